// What every driver must do, as the contract in state/driver.ts says it. Two drivers on one location stand for two processes.

import { describe, expect, it } from "vitest";
import { journalKey, type StateDriver } from "../../state/driver.js";
import { applied, open, owner, plan } from "./helpers.js";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (stored: { bytes: Uint8Array } | null) => stored && Buffer.from(stored.bytes).toString();

/** @param make two drivers on one fresh location, and how to take it away */
export function driverSuite(
  name: string,
  make: () => Promise<{ a: StateDriver; b: StateDriver; done: () => Promise<void> }>,
): void {
  const on = (run: (a: StateDriver, b: StateDriver) => Promise<void>) => async () => {
    const { a, b, done } = await make();
    try {
      await run(a, b);
    } finally {
      await a.close();
      await b.close();
      await done();
    }
  };

  describe(`driver ${name}`, () => {
    it(
      "says null for what is missing, and nothing else",
      on(async (a) => {
        expect(await a.get("store.id")).toBeNull();
        expect(await a.list("journal/")).toEqual([]);
        expect(await a.probeNext(0)).toBe(false);
        expect(await a.inspect()).toBeNull();
        expect(await a.probeWritable()).toBeNull();
        await a.putIfAbsent("store.id", bytes(""));
        expect((await a.get("store.id"))?.bytes).toHaveLength(0);
      }),
    );

    it(
      "creates a key once, and every driver on the location sees it",
      on(async (a, b) => {
        expect(await a.putIfAbsent("store.id", bytes("one"))).toBe("created");
        expect(await b.putIfAbsent("store.id", bytes("two"))).toBe("exists");
        expect(text(await b.get("store.id"))).toBe("one");
        expect(await a.putIfAbsent(journalKey(1), bytes("c1"))).toBe("created");
        expect(await b.probeNext(0)).toBe(true);
        expect(await b.probeNext(1)).toBe(false);
        expect(await b.list("journal/")).toEqual([journalKey(1)]);
      }),
    );

    it(
      "lets one of many racing creators win",
      on(async (a, b) => {
        await a.putIfAbsent("store.id", bytes("id"));
        for (let seq = 1; seq <= 20; seq++) {
          const answers = await Promise.all(
            Array.from({ length: 8 }, (_, index) =>
              (index % 2 ? a : b).putIfAbsent(journalKey(seq), bytes(`${seq}-${index}`)),
            ),
          );
          expect(answers.filter((answer) => answer === "created")).toHaveLength(1);
          expect(text(await a.get(journalKey(seq)))).toBe(`${seq}-${answers.indexOf("created")}`);
        }
        expect(await a.list("journal/")).toHaveLength(20);
      }),
    );

    it(
      "replaces a key only for who knows what it holds",
      on(async (a, b) => {
        await a.putIfAbsent("store.id", bytes("id"));
        const first = await a.putIfMatch("state.json", bytes("1"), null);
        expect(first).not.toBe("conflict");
        expect(await b.putIfMatch("state.json", bytes("x"), null)).toBe("conflict");
        expect(await b.putIfMatch("state.json", bytes("x"), "another")).toBe("conflict");
        const { etag } = (await b.get("state.json"))!;
        expect(first).toEqual({ etag });
        const second = await b.putIfMatch("state.json", bytes("2"), etag, true);
        expect(second).toEqual({ etag: (await a.get("state.json"))!.etag });
        expect(text(await a.get("state.json"))).toBe("2");
        expect(text(await a.get("state.json.prev"))).toBe("1");
        expect(await a.putIfMatch("state.json", bytes("3"), etag)).toBe("conflict");
      }),
    );

    it(
      "gives out bytes nobody can change afterwards",
      on(async (a) => {
        const mine = bytes("abc");
        await a.putIfAbsent("store.id", mine);
        mine[0] = 0;
        (await a.get("store.id"))!.bytes[1] = 0;
        expect(text(await a.get("store.id"))).toBe("abc");
      }),
    );

    it(
      "carries a store: two stores on it make one chain without gaps or losses",
      on(async (a, b) => {
        const stores = await Promise.all([open(a, { owner: owner("s-a", 1) }), open(b, { owner: owner("s-b", 2) })]);
        const made: number[] = [];
        await Promise.all(
          stores.flatMap((store) =>
            Array.from({ length: 15 }, async () => {
              made.push((await store.commit((_, seq) => [plan(seq).event])).seq);
            }),
          ),
        );
        expect(made.sort((x, y) => x - y)).toEqual(Array.from({ length: 30 }, (_, index) => index + 1));
        const report = await stores[0]!.verify();
        expect(report).toMatchObject({ ok: true, commits: 30, firstBad: null });
        expect((await stores[1]!.state()).changes.size).toBe(30);
        expect((await stores[0]!.state()).store).toBe((await stores[1]!.state()).store);
      }),
    );

    it(
      "carries a change from plan to outcome into a store opened later",
      on(async (a, b) => {
        const first = await open(a);
        const { token, id } = await applied(first);
        await first.close();
        const state = await (await open(b)).state();
        expect(state.changes.get(id)).toMatchObject({ state: "applied", token });
        expect([...state.resources.values()][0]?.lineage[0]).toMatchObject({
          executionToken: token,
          outcome: "succeeded",
        });
      }),
    );
  });
}
