// Archive, floor, removal: what they keep, what they refuse, and that no writer who slept through them loses a commit.

import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { archiveKey, decodeSegment, encodeSegment, floorKey, walkSegment } from "../../state/archive.js";
import { checkpointDocument } from "../../state/checkpoint.js";
import { journalKey, type StateDriver } from "../../state/driver.js";
import { memoryDriver } from "../../state/drivers/memory.js";
import type { Store } from "../../state/journal.js";
import { changeId } from "../../state/tokens.js";
import { faultyFs, folder } from "./folder.js";
import { applied, open, owner, plan } from "./helpers.js";

const commits = async (store: Store, count: number, summary = "B"): Promise<number[]> => {
  const made: number[] = [];
  for (let index = 0; index < count; index++) {
    made.push((await store.commit((_, seq) => [plan(seq, undefined, { summary }).event])).seq);
  }
  return made;
};

/** Commits that end up below the floor: both checkpoints cover them. */
async function burst(store: Store): Promise<number[]> {
  const made = await commits(store, 3);
  await store.checkpoint();
  made.push(...(await commits(store, 1)));
  await store.compact();
  return made;
}

/** A state by what it says, not by how its maps are laid out. */
const shown = async (store: Store) => checkpointDocument(await store.state(), "");

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

describe("a compaction", () => {
  it("moves what both checkpoints cover, byte for byte, and the state stays", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    await applied(store);
    await commits(store, 2);
    const bytes = numbers(1, 3).map((seq) => kept.get(journalKey(seq))!);
    const truth = await store.state();
    expect(await store.compact()).toEqual({ archived: { from: 1, to: 3 }, floor: 3, removed: 3 });
    expect([...kept.keys()].filter((key) => /^(journal|archive|floor)/.test(key)).sort()).toEqual([
      archiveKey({ from: 1, to: 3 }),
      floorKey(3),
      journalKey(4),
      journalKey(5),
      // Under a lease, which is a commit too.
      journalKey(6),
    ]);
    const segment = decodeSegment(kept.get(archiveKey({ from: 1, to: 3 }))!);
    if (typeof segment === "string") throw new Error(segment);
    expect(numbers(1, 3).map(segment.commit)).toEqual(bytes);
    expect((await store.state()).resources).toBe(truth.resources);
    expect(await shown(await open(memoryDriver(kept)))).toEqual(await shown(store));
    expect(await store.verify()).toMatchObject({ ok: true, commits: 6, archive: { ok: true, segments: 1, floor: 3 } });
  });

  it("again moves what was left, until nothing is left but what only one checkpoint covers", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    await burst(store);
    await commits(store, 1);
    expect(await store.compact()).toEqual({ archived: { from: 4, to: 4 }, floor: 4, removed: 1 });
    expect(await store.compact()).toEqual({ archived: { from: 5, to: 6 }, floor: 6, removed: 2 });
    // Everything under the newest checkpoint is in the archive: the next number still follows it.
    const { seq } = await store.state();
    expect((await commits(await open(memoryDriver(kept)), 2)).at(-1)).toBe(seq + 2);
    expect(await store.verify()).toMatchObject({ ok: true, commits: seq + 2, archive: { segments: 3 } });
  });

  it("can leave a journal that begins with the next number", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    await commits(store, 2);
    await store.checkpoint();
    kept.set("state.json.prev", kept.get("state.json")!);
    const lock = await store.leases.acquire("stack:x", "x");
    expect(lock).not.toBeInstanceOf(Error);
    await store.checkpoint();
    kept.set("state.json.prev", kept.get("state.json")!);
    expect((await store.compact()).floor).toBe(3);
    kept.delete(journalKey(4));
    kept.delete("head");
    const opened = await open(memoryDriver(kept));
    expect([...kept.keys()].filter((key) => key.startsWith("journal/"))).toEqual([]);
    expect(opened.readOnly).toBeNull();
    expect(await commits(opened, 2)).toEqual([4, 5]);
    expect(await opened.verify()).toMatchObject({ ok: true, commits: 5 });
  });

  it("of a store with nothing in it changes nothing", async () => {
    const { driver, picture } = await folder();
    expect(await (await open(driver())).compact()).toEqual({ archived: null, floor: 0, removed: 0 });
    expect(await picture()).toEqual({});
  });

  it("happens by itself after an outcome once enough commits are covered twice", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept), { compactEvery: 6 });
    for (let round = 0; round < 4; round++) await applied(store);
    expect([...kept.keys()].filter((key) => key.startsWith("floor/"))).toEqual([floorKey(6)]);
    expect(await store.verify()).toMatchObject({ ok: true, commits: 13 });
  });

  it("leaves the whole history readable without any checkpoint", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    await burst(store);
    await burst(store);
    const truth = await shown(store);
    kept.delete("state.json");
    kept.delete("state.json.prev");
    const opened = await open(memoryDriver(kept));
    expect(opened.readOnly).toBeNull();
    expect(await shown(opened)).toEqual(truth);
  });

  it("is followed by a store that was open all the while", async () => {
    const kept = new Map<string, Uint8Array>();
    const [one, two] = [await open(memoryDriver(kept)), await open(memoryDriver(kept), { owner: owner("s-2", 2) })];
    await commits(one, 1);
    expect((await two.state()).seq).toBe(1);
    await burst(one);
    await burst(one);
    expect(await shown(two)).toEqual(await shown(one));
    const { seq } = await one.state();
    expect((await commits(two, 1))[0]).toBe(seq + 1);
  });

  it("of half a store that lost its id is never a new store", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    await burst(store);
    for (const key of kept.keys()) if (!key.startsWith("archive/")) kept.delete(key);
    expect((await open(memoryDriver(kept))).readOnly?.code).toBe("state_unreadable");
  });

  it("ignores and clears away a journal file under the floor", async () => {
    const { driver, path } = await folder();
    const store = await open(driver());
    await burst(store);
    await writeFile(path(journalKey(2)), "garbage\n", { mode: 0o600 });
    const opened = await open(driver());
    expect(opened.readOnly).toBeNull();
    expect(await opened.verify()).toMatchObject({ ok: true, commits: 5 });
    await opened.compact();
    expect(await readdir(path("journal"))).not.toContain("000000000002.json");
  });

  it("refuses to move what does not hold, and removes nothing", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    await commits(store, 3);
    await store.checkpoint();
    await commits(store, 1);
    kept.set(journalKey(2), kept.get(journalKey(2))!.slice(1));
    await expect(store.compact()).rejects.toMatchObject({ code: "state_unreadable" });
    expect([...kept.keys()].filter((key) => key.startsWith("journal/"))).toHaveLength(5);
    expect([...kept.keys()].filter((key) => /^(archive|floor)/.test(key))).toEqual([]);
  });

  it("writes half a segment of a killed process anew, as long as no floor stands on it", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    await commits(store, 3);
    await store.checkpoint();
    await commits(store, 1);
    kept.set(archiveKey({ from: 1, to: 3 }), new TextEncoder().encode('{"format":1'));
    expect((await store.compact()).floor).toBe(3);
    expect((await store.verify()).ok).toBe(true);
  });

  it("killed before any of its calls loses nothing, and the next one finishes it", async () => {
    for (let at = 1; ; at++) {
      const { driver } = await folder();
      const seed = await open(driver());
      await commits(seed, 3);
      await seed.checkpoint();
      await commits(seed, 1);
      let calls = 0;
      const fs = faultyFs(() => (armed && ++calls >= at ? { code: "EIO" } : undefined));
      let armed = false;
      const store = await open(driver(fs));
      await store.state();
      armed = true;
      const ended = await store.compact().then(
        () => true,
        () => false,
      );
      armed = false;
      const opened = await open(driver(), { liveness: () => "dead" });
      expect(opened.readOnly).toBeNull();
      const { ok, commits: whole } = await opened.verify();
      expect(ok && whole >= 4).toBe(true);
      await opened.compact();
      expect((await opened.verify()).ok).toBe(true);
      expect((await opened.state()).changes.size).toBe(4);
      if (ended) {
        expect(at).toBeGreaterThan(20);
        return;
      }
    }
  });
});

describe("an archive", () => {
  const key = archiveKey({ from: 1, to: 3 });
  async function compacted() {
    const made = await folder();
    const store = await open(made.driver());
    await burst(store);
    return made;
  }

  it.each([
    ["gone", null],
    ["empty", () => ""],
    ["cut off", (text: string) => text.slice(0, -9)],
    ["changed", (text: string) => text.replace("save money", "burn money")],
    ["cleared of a commit", (text: string) => text.split("\n").toSpliced(2, 1).join("\n")],
  ])("that is %s is found by verify; what needs it goes read-only, nothing is changed", async (_, change) => {
    const made = await compacted();
    const path = made.path(key);
    if (change === null) await rm(path);
    else await writeFile(path, change(await readFile(path, "utf8")));
    await rm(made.path("state.json"));
    const before = await made.picture();
    const opened = await open(made.driver());
    expect((await opened.verify()).ok).toBe(false);
    expect(opened.readOnly).toMatchObject({ code: "state_unreadable" });
    expect(await made.picture()).toEqual(before);
  });

  it("whose every byte counts: none can be changed unnoticed", async () => {
    const kept = new Map<string, Uint8Array>();
    await burst(await open(memoryDriver(kept)));
    const whole = kept.get(key)!;
    const missed: number[] = [];
    for (let at = 0; at < whole.length; at += 23) {
      const flipped = Uint8Array.from(whole);
      flipped[at]! ^= 1 << (at % 8);
      const segment = decodeSegment(flipped);
      if (typeof segment !== "string" && typeof walkSegment(segment) !== "string") missed.push(at);
    }
    expect(missed).toEqual([]);
  });

  it("with a floor nobody wrote is read-only", async () => {
    const made = await compacted();
    await writeFile(made.path(floorKey(9)), "", { mode: 0o600 });
    expect((await open(made.driver())).readOnly?.code).toBe("state_unreadable");
  });

  it("without its floor is read-only, because the journal does not begin where it should", async () => {
    const made = await compacted();
    await rm(made.path("floor"), { recursive: true });
    await rm(made.path("state.json"));
    expect((await open(made.driver())).readOnly?.code).toBe("state_unreadable");
  });

  it("of overlapping segments needs one", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    await burst(store);
    const segment = decodeSegment(kept.get(key)!);
    if (typeof segment === "string") throw new Error(segment);
    const start = { store: segment.store, seq: 0, head: segment.prev };
    kept.set(archiveKey({ from: 1, to: 2 }), encodeSegment(start, [1, 2].map(segment.commit)));
    kept.set(key, kept.get(key)!.slice(0, -1));
    kept.set(journalKey(3), segment.commit(3));
    kept.delete(floorKey(3));
    kept.set(floorKey(2), new Uint8Array());
    kept.delete("state.json");
    const opened = await open(memoryDriver(kept));
    expect(opened.readOnly).toBeNull();
    expect((await opened.state()).seq).toBe(5);
    expect(await opened.verify()).toMatchObject({ ok: false, firstBad: null, archive: { ok: false } });
  });
});

describe("a writer who slept through a compaction", () => {
  /** What became of one commit of A during which B commits and compacts at the given calls of A. */
  async function schedule(
    a: (before: () => Promise<void>) => StateDriver,
    b: StateDriver,
    at: readonly number[],
  ): Promise<{ calls: number; violation: string | null }> {
    const other = await open(b, { owner: owner("s-b", 2) });
    await commits(other, 2);
    let calls = 0;
    let armed = false;
    let sleeping = false;
    const acknowledged: number[] = [];
    const driver = a(async () => {
      if (!armed || sleeping) return;
      calls++;
      if (!at.includes(calls)) return;
      sleeping = true;
      acknowledged.push(...(await burst(other)));
      sleeping = false;
    });
    const writer = await open(driver, { owner: owner("s-a", 1) });
    await writer.state();
    armed = true;
    const mine = await commits(writer, 1, "A").then(
      ([seq]) => seq!,
      () => null,
    );
    armed = false;
    const truth = await open(b, { owner: owner("s-c", 3) });
    const report = await truth.verify();
    const { changes } = await truth.state();
    if (mine === null) return { calls, violation: "A refused" };
    const lost = [
      ...(changes.get(changeId(mine))?.summary === "A" ? [] : [`A ${mine}`]),
      ...acknowledged.filter((seq) => changes.get(changeId(seq))?.summary !== "B").map((seq) => `B ${seq}`),
      ...([...changes.values()].filter(({ summary }) => summary === "A").length === 1 ? [] : ["A twice or never"]),
    ];
    const violation = !report.ok ? JSON.stringify(report) : lost.length > 0 ? lost.join() : null;
    return { calls, violation };
  }

  const pausing = (inner: StateDriver, pause: () => Promise<void>): StateDriver => {
    const slow =
      <A extends unknown[], R>(run: (...args: A) => Promise<R>) =>
      async (...args: A): Promise<R> => {
        await pause();
        return run(...args);
      };
    return {
      ...inner,
      get: slow(inner.get),
      putIfAbsent: slow(inner.putIfAbsent),
      putIfMatch: slow(inner.putIfMatch),
      remove: slow(inner.remove),
      list: slow(inner.list),
      probeNext: slow(inner.probeNext),
    };
  };

  /** The floor check switched off: this writer is never shown a floor. */
  const floorless = (inner: StateDriver): StateDriver => ({
    ...inner,
    list: async (prefix) => (prefix === "floor/" ? [] : inner.list(prefix)),
  });

  async function everyPair(change: (driver: StateDriver) => StateDriver): Promise<{ runs: number; bad: string[] }> {
    const bad: string[] = [];
    let runs = 0;
    for (let first = 1, most = 1; first <= most; first++) {
      for (let second = first; second <= most; second++) {
        const kept = new Map<string, Uint8Array>();
        const { calls, violation } = await schedule(
          (pause) => pausing(change(memoryDriver(kept)), pause),
          memoryDriver(kept),
          [first, second],
        );
        most = Math.max(most, calls);
        runs++;
        if (violation) bad.push(`${first},${second}: ${violation}`);
      }
    }
    return { runs, bad };
  }

  it("loses nothing, wherever between two calls of the driver it slept once or twice", async () => {
    const { runs, bad } = await everyPair((driver) => driver);
    expect(bad).toEqual([]);
    expect(runs).toBeGreaterThan(50);
  });

  it("misleads no reader while its file stands under a number that was taken", async () => {
    const kept = new Map<string, Uint8Array>();
    const other = await open(memoryDriver(kept), { owner: owner("s-b", 2) });
    await commits(other, 2);
    const reader = await open(memoryDriver(kept), { owner: owner("s-c", 3) });
    expect((await reader.state()).seq).toBe(2);
    const inner = memoryDriver(kept);
    let slept = false;
    let seen: unknown = null;
    const writer = await open({
      ...inner,
      async putIfAbsent(key, bytes) {
        if (slept || !key.startsWith("journal/")) return inner.putIfAbsent(key, bytes);
        slept = true;
        await burst(other);
        const answer = await inner.putIfAbsent(key, bytes);
        expect([answer, key]).toEqual(["created", journalKey(3)]);
        seen = await shown(reader);
        expect(await reader.verify()).toMatchObject({ ok: true });
        expect(await shown(await open(memoryDriver(kept)))).toEqual(seen);
        return answer;
      },
    });
    const [mine] = await commits(writer, 1, "A");
    expect(mine).toBe((await other.state()).seq);
    expect(seen).toMatchObject({ journal: { applied_seq: (await other.state()).seq - 1 } });
    expect(reader.readOnly).toBeNull();
    expect(kept.has(journalKey(3))).toBe(false);
  });

  it("would lose commits without the floor check", async () => {
    const { bad } = await everyPair(floorless);
    expect(bad.filter((line) => line.includes(": A ")).length).toBeGreaterThan(0);
  });

  it.each([
    ["loses nothing", (driver: StateDriver) => driver, false],
    ["would lose commits without the floor check", floorless, true],
  ])("%s, wherever between two calls of the file system it slept", async (_, change, trapped) => {
    const bad: string[] = [];
    for (let at = 1, most = 1; at <= most; at++) {
      const made = await folder();
      const { calls, violation } = await schedule(
        (pause) =>
          change(
            made.driver(
              faultyFs(async () => {
                await pause();
                return undefined;
              }),
            ),
          ),
        made.driver(),
        [at],
      );
      most = Math.max(most, calls);
      if (violation) bad.push(`${at}: ${violation}`);
    }
    expect(
      bad.some((line) => !line.endsWith("refused")),
      bad.join("\n"),
    ).toBe(trapped);
    if (!trapped) expect(bad).toEqual([]);
  });
});
