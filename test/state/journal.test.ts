// The store as its callers see it, alone and beside other processes.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { beforeAll, describe, expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.js";
import { type JsonObject, sha256 } from "../../src/core/json.js";
import { archiveKey, encodeSegment, floorKey } from "../../state/archive.js";
import { journalKey, type StateDriver } from "../../state/driver.js";
import { memoryDriver } from "../../state/drivers/memory.js";
import { driverFor, type Store } from "../../state/index.js";
import { changeId, operationId } from "../../state/tokens.js";
import { folder } from "./folder.js";
import { applied, ids, intent, open, owner, plan, ref, result, START, step, testClock } from "./helpers.js";

describe("a commit", () => {
  it("throws what build returns, and commits nothing for no events", async () => {
    const store = await open();
    const refusal = new OpsError("resource_busy", "busy");
    await expect(store.commit(() => refusal)).rejects.toBe(refusal);
    expect(await store.commit(() => [])).toMatchObject({ seq: 0, events: [] });
    expect((await store.state()).seq).toBe(0);
  });

  it("throws the fold's refusal and leaves the chain as it was", async () => {
    const store = await open();
    const { token } = await applied(store);
    await expect(store.commit((_, seq) => [intent(seq, "ch_1", token)])).rejects.toMatchObject({ code: "token_spent" });
    expect((await store.verify()).commits).toBe(3);
  });

  it("is built again on what another process committed first", async () => {
    const kept = new Map<string, Uint8Array>();
    const [one, two] = await Promise.all([
      open(memoryDriver(kept)),
      open(memoryDriver(kept), { owner: owner("s-2", 2) }),
    ]);
    await one.commit((_, seq) => [plan(seq).event]);
    const seen: number[] = [];
    let interfere = true;
    const slow: StateDriver = {
      ...memoryDriver(kept),
      async putIfAbsent(key, bytes) {
        if (interfere) {
          interfere = false;
          await two.commit((_, seq) => [plan(seq).event]);
        }
        return memoryDriver(kept).putIfAbsent(key, bytes);
      },
    };
    const third = await open(slow, { owner: owner("s-3", 3) });
    const { seq, state } = await third.commit((at, next) => {
      seen.push(at.changes.size);
      return [plan(next).event];
    });
    expect({ seen, seq, size: state.changes.size }).toEqual({ seen: [1, 2], seq: 3, size: 3 });
  });

  it("lets one of two appliers of one token through", async () => {
    const kept = new Map<string, Uint8Array>();
    const stores = await Promise.all([open(memoryDriver(kept)), open(memoryDriver(kept), { owner: owner("s-2", 2) })]);
    let made = plan(1);
    await stores[0]!.commit((_, seq) => {
      made = plan(seq);
      return [made.event];
    });
    const answers = await Promise.allSettled(
      stores.map((store, index) =>
        store.commit((_, seq) => [intent(seq, made.id, made.token, 0, index ? owner("s-2", 2) : owner())]),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const lost = answers.find((answer) => answer.status === "rejected");
    expect(lost?.reason).toMatchObject({ code: "token_spent" });
  });

  it("does not take a number that is free because the journal was emptied under it", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    await store.commit((_, seq) => [plan(seq).event]);
    await store.commit((_, seq) => [plan(seq).event]);
    kept.delete(journalKey(1));
    kept.delete(journalKey(2));
    await expect(store.commit((_, seq) => [plan(seq).event])).rejects.toMatchObject({ code: "state_unreadable" });
    expect([...kept.keys()]).toEqual(["store.id", "head"]);
    expect(store.readOnly?.code).toBe("state_unreadable");
  });

  it("does not follow one whose number was given out again", async () => {
    const { driver, path } = await folder();
    const running = await open(driver(), { owner: owner("s-2", 2) });
    for (let seq = 1; seq <= 3; seq++) await running.commit((_, seq) => [plan(seq).event]);
    const third = path(journalKey(3));
    await writeFile(third, (await readFile(third)).subarray(0, 40));
    const terminal = await open(driver());
    await terminal.recover("last_commit");
    await terminal.commit((_, seq) => [plan(seq).event]);
    const error = await running.commit((_, seq) => [plan(seq).event]).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "state_unreadable", details: { seq: 3 } });
    expect((error as OpsError).message).toContain("commit 3, which this process had read, is another one now");
    expect(running.readOnly).toBe(error);
    await expect(running.commit((_, seq) => [plan(seq).event])).rejects.toBe(error);
    expect((await terminal.commit((_, seq) => [plan(seq).event])).seq).toBe(4);
    expect(await terminal.verify()).toMatchObject({ ok: true, commits: 4, firstBad: null });
  });

  /** A process that has read commit 3, and a store in which recovery gave that number up. */
  async function givenOutAgain() {
    const kept = new Map<string, Uint8Array>();
    const running = await open(memoryDriver(kept), { owner: owner("s-2", 2) });
    for (let seq = 1; seq <= 3; seq++) await running.commit((_, seq) => [plan(seq).event]);
    kept.set(journalKey(3), kept.get(journalKey(3))!.subarray(0, 40));
    const terminal = await open(memoryDriver(kept));
    await terminal.recover("last_commit");
    return { kept, running, terminal };
  }

  it("does not call damaged what others committed after a number was given out again", async () => {
    const { running, terminal } = await givenOutAgain();
    for (let seq = 3; seq <= 4; seq++) await terminal.commit((_, seq) => [plan(seq).event]);
    expect((await running.state()).seq).toBe(3);
    expect(running.readOnly?.message).toContain("commit 3, which this process had read, is another one now");
  });

  it("does not follow one that the archive holds otherwise", async () => {
    const { kept, running, terminal } = await givenOutAgain();
    await terminal.commit((_, seq) => [plan(seq).event]);
    const numbers = [1, 2, 3].map(journalKey);
    const origin = { store: (await terminal.state()).store, seq: 0, head: sha256(kept.get("store.id")!) };
    kept.set(
      archiveKey({ from: 1, to: 3 }),
      encodeSegment(
        origin,
        numbers.map((key) => kept.get(key)!),
      ),
    );
    kept.set(floorKey(3), new Uint8Array());
    for (const key of numbers) kept.delete(key);
    const error = await running.commit((_, seq) => [plan(seq).event]).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "state_unreadable", details: { seq: 3 } });
    expect(kept.has(journalKey(4))).toBe(false);
    expect((await (await open(memoryDriver(kept))).commit((_, seq) => [plan(seq).event])).seq).toBe(4);
  });

  it("is possible in a store that came into being while this one was being opened", async () => {
    const kept = new Map<string, Uint8Array>();
    const inner = memoryDriver(kept);
    let first = true;
    const store = await open({
      ...inner,
      async get(key) {
        const found = await inner.get(key);
        if (!first) return found;
        first = false;
        await applied(
          await open(memoryDriver(kept), { owner: owner("s-2", 2) }),
          undefined,
          undefined,
          owner("s-2", 2),
        );
        return found;
      },
    });
    expect(store.readOnly).toBeNull();
    expect((await store.commit((_, seq) => [plan(seq).event])).seq).toBe(4);
  });

  it("carries who, when and what, in snake_case, and is sealed", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    await store.commit((_, seq) => [plan(seq, [step({ input: { keepMyCase: { aB_c: 1 } } })]).event], {
      awsArn: "arn:x",
    });
    const text = Buffer.from(kept.get(journalKey(1))!).toString();
    expect(text.endsWith('"}\n')).toBe(true);
    expect(text.indexOf("\n")).toBe(text.length - 1);
    const commit = JSON.parse(text) as JsonObject;
    expect(Object.keys(commit)).toEqual([
      "actor",
      "commit_id",
      "epoch",
      "events",
      "prev",
      "seq",
      "store",
      "ts",
      "v",
      "sum",
    ]);
    expect(commit).toMatchObject({
      actor: { aws_arn: "arn:x", client: "test", host: "host-1", pid: 100, session: "session-1", user: "alice" },
      prev: sha256(kept.get("store.id")!),
      ts: START,
      v: 1,
      events: [
        {
          type: "change.planned",
          change: { token_sha256: expect.any(String), steps: [{ input: { keepMyCase: { aB_c: 1 } } }] },
        },
      ],
    });
    const body = text.slice(0, text.lastIndexOf(',"sum"'));
    expect(commit.sum).toBe(sha256(`${body}}`));
  });

  it("never holds a live token", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    let token = "";
    await store.commit((_, seq) => {
      const made = plan(seq);
      token = made.token;
      return [made.event];
    });
    await store.checkpoint();
    const all = [...kept.values()].map((bytes) => Buffer.from(bytes).toString()).join("");
    expect(all).not.toContain(token);
    expect(all).toContain(sha256(token));
  });

  it("refuses text that JSON cannot carry", async () => {
    const store = await open();
    await expect(
      store.commit((_, seq) => [plan(seq, undefined, { intent: "half \ud800 of it" }).event]),
    ).rejects.toMatchObject({
      code: "validation_error",
    });
    await expect(store.commit(() => [{ type: "nonsense" } as never])).rejects.toMatchObject({ code: "internal" });
    expect((await store.state()).seq).toBe(0);
  });

  it("does not depend on what the caller does to its objects afterwards", async () => {
    const store = await open();
    const input: { InstanceIds: string[] } = { InstanceIds: ["i-1"] };
    const { state } = await store.commit((_, seq) => [plan(seq, [step({ input })]).event]);
    input.InstanceIds.push("i-2");
    expect(state.changes.get("ch_1")?.steps[0]?.input).toEqual({ InstanceIds: ["i-1"] });
  });
});

describe("an outcome", () => {
  const edit = (bytes: Uint8Array): Uint8Array =>
    new TextEncoder().encode(Buffer.from(bytes).toString().replace('"version": "1.0"', '"version": "1.1"'));

  it("is recorded where state.json alone was edited, by the process that noticed it and by one that follows others", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    await applied(store);
    const made = plan(4);
    await store.commit(() => [made.event]);
    await store.commit((_, seq) => [intent(seq, made.id, made.token)]);
    kept.set("state.json", edit(kept.get("state.json")!));
    await expect(store.checkpoint()).rejects.toMatchObject({ code: "state_unreadable" });
    const noticed = store.readOnly;
    expect(noticed?.message).toContain("edited by hand");
    const edited = kept.get("state.json");
    const operation = operationId(5);
    await expect(store.commit((_, seq) => [plan(seq).event])).rejects.toBe(noticed);
    await store.commit(() => [{ type: "op.submitted", operationId: operation, requestToken: "r-1" }]);
    const opened = await open(memoryDriver(kept));
    expect(opened.readOnly?.message).toContain("edited by hand");
    await store.commit(() => [
      { type: "op.succeeded", operationId: operation, results: [result({ state: "running" }, { state: "stopped" })] },
    ]);
    expect((await opened.state()).operations.get(operation)?.state).toBe("succeeded");
    await expect(opened.commit((_, seq) => [plan(seq).event])).rejects.toMatchObject({ code: "state_unreadable" });
    expect(store.readOnly).toBe(noticed);
    expect(kept.get("state.json")).toBe(edited);
    await opened.recover("checkpoint");
    expect(await opened.verify()).toMatchObject({ ok: true, commits: 7, checkpoint: { ok: true, appliedSeq: 7 } });
  });

  it("is the only thing that is: no import, no accepted drift", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    await applied(store);
    kept.set("state.json", edit(kept.get("state.json")!));
    const opened = await open(memoryDriver(kept));
    await expect(
      opened.commit(() => [
        { type: "resource.imported", ref: ref("i-2"), reader: "service", properties: {}, provenance: "test" },
      ]),
    ).rejects.toBe(opened.readOnly);
    expect((await opened.state()).seq).toBe(3);
  });

  it("is refused where the chain is damaged", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    const made = plan(1);
    await store.commit(() => [made.event]);
    await store.commit((_, seq) => [intent(seq, made.id, made.token)]);
    kept.set("state.json", new TextEncoder().encode("{}"));
    kept.set(journalKey(2), kept.get(journalKey(2))!.subarray(0, 40));
    const opened = await open(memoryDriver(kept));
    await expect(
      opened.commit(() => [{ type: "op.submitted", operationId: operationId(2), requestToken: "r-1" }]),
    ).rejects.toMatchObject({ code: "state_unreadable" });
    expect(kept.has(journalKey(3))).toBe(false);
  });
});

describe("a checkpoint", () => {
  it("follows every outcome while it is small, and no plan", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    const covers = () => {
      const bytes = kept.get("state.json");
      return (
        bytes && (JSON.parse(Buffer.from(bytes).toString()) as { journal: { applied_seq: number } }).journal.applied_seq
      );
    };
    await store.commit((_, seq) => [plan(seq).event]);
    expect(covers()).toBeUndefined();
    await applied(store);
    expect(covers()).toBe(4);
    await store.commit((_, seq) => [plan(seq).event]);
    expect(covers()).toBe(4);
    await store.close();
    expect(covers()).toBe(5);
  });

  it("beyond two mebibytes waits for a tail of four, also one that other processes or an earlier one wrote", async () => {
    const kept = new Map<string, Uint8Array>();
    const big = (store: Store) =>
      store.commit((_, seq) => [
        {
          type: "resource.imported",
          ref: { account: "1", region: "eu-west-1", type: "A::B::C", id: `i-${seq}` },
          reader: "service",
          properties: { text: "x".repeat(1_500_000) },
          provenance: "test",
        },
      ]);
    const covers = () =>
      (JSON.parse(Buffer.from(kept.get("state.json")!).toString()) as { journal: { applied_seq: number } }).journal
        .applied_seq;
    const one = await open(memoryDriver(kept));
    await big(one);
    expect(covers()).toBe(1);
    await big(one);
    expect(covers()).toBe(1);
    const two = await open(memoryDriver(kept), { owner: owner("s-2", 2) });
    await big(two);
    expect(covers()).toBe(1);
    await big(one);
    // Behind the commit: nobody waits for a large one.
    for (let turns = 0; turns < 1_000 && covers() !== 4; turns++) await new Promise((next) => setImmediate(next));
    expect(covers()).toBe(4);
  });

  it("of another process that is further on is left alone", async () => {
    const kept = new Map<string, Uint8Array>();
    const [one, two] = [await open(memoryDriver(kept)), await open(memoryDriver(kept), { owner: owner("s-2", 2) })];
    await applied(one);
    await applied(two, undefined, undefined, owner("s-2", 2));
    const before = kept.get("state.json");
    await one.checkpoint();
    expect(kept.get("state.json")).toEqual(before);
    expect(await one.verify()).toMatchObject({ ok: true, commits: 6, checkpoint: { appliedSeq: 6 } });
  });
});

describe("a fingerprint", () => {
  it("is equal for equal values of one store, and of no use anywhere else", async () => {
    const kept = new Map<string, Uint8Array>();
    const [one, two, other] = [await open(memoryDriver(kept)), await open(memoryDriver(kept)), await open()];
    const print = await one.fingerprint({ b: 1, a: "x" });
    expect(print).toMatch(/^[0-9a-f]{64}$/);
    expect(await two.fingerprint({ a: "x", b: 1 })).toBe(print);
    expect(await two.fingerprint("y")).not.toBe(print);
    expect(await other.fingerprint({ a: "x", b: 1 })).not.toBe(print);
    expect(print).not.toBe(sha256('{"a":"x","b":1}'));
  });

  it("is refused where the key is damaged", async () => {
    const kept = new Map<string, Uint8Array>();
    await (await open(memoryDriver(kept))).fingerprint("x");
    kept.set("key", new Uint8Array());
    await expect((await open(memoryDriver(kept))).fingerprint("x")).rejects.toMatchObject({ code: "state_unreadable" });
  });
});

describe("a location", () => {
  const effects = { clock: testClock(), ids };
  it("is memory or an absolute folder", () => {
    expect(driverFor("memory:", effects)).toMatchObject({ name: "memory", durable: false });
    expect(driverFor("/tmp/x", effects)).toMatchObject({ name: "file", durable: true, location: "/tmp/x" });
    expect(driverFor("C:\\state", effects)).toMatchObject({ name: "file" });
  });
  it.each(["s3://bucket/x", "git+ssh://x", "redis:", "relative/path", ""])(
    "%j is refused with what to give instead",
    (location) => {
      expect(() => driverFor(location, effects)).toThrow(/--state/);
    },
  );
});

describe("real processes on one folder", () => {
  const script = join(tmpdir(), `writer-${process.pid}.mjs`);
  beforeAll(async () => {
    await build({
      entryPoints: ["test/state/writer.ts"],
      bundle: true,
      platform: "node",
      format: "esm",
      outfile: script,
      logLevel: "silent",
    });
  });

  function start(
    root: string,
    count: number,
    compactEvery = 0,
  ): { child: ChildProcess; acknowledged: () => string[]; ended: Promise<unknown> } {
    const child = spawn(process.execPath, [script, root, String(count), String(compactEvery)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let out = "";
    child.stdout!.on("data", (chunk: Buffer) => {
      out += chunk.toString();
    });
    return { child, acknowledged: () => out.split("\n").slice(0, -1), ended: once(child, "close") };
  }

  async function reached(child: ChildProcess, there: () => boolean): Promise<void> {
    while (!there()) await once(child.stdout!, "data");
  }

  it("four of them make one store and one chain without a gap", async () => {
    const { root, driver } = await folder();
    const writers = Array.from({ length: 4 }, () => start(root, 40));
    await Promise.all(writers.map(({ ended }) => ended));
    const lines = writers.flatMap(({ acknowledged }) => acknowledged());
    expect(lines.map((line) => Number(line.split(" ")[0])).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 160 }, (_, index) => index + 1),
    );
    const report = await (await open(driver())).verify();
    expect(report).toMatchObject({ ok: true, commits: 160, firstBad: null });
  });

  it("nothing that was acknowledged is lost to processes that compact, nor to kill -9 among them", async () => {
    const { root, driver } = await folder();
    const all: string[] = [];
    for (let round = 0; round < 4; round++) {
      const writers = Array.from({ length: 3 }, () => start(root, 10_000, 3));
      await Promise.race(writers.map(({ child, acknowledged }) => reached(child, () => acknowledged().length > 20)));
      for (const { child } of writers) child.kill("SIGKILL");
      await Promise.all(writers.map(({ ended }) => ended));
      all.push(...writers.flatMap(({ acknowledged }) => acknowledged()));
      const store = await open(driver());
      expect(store.readOnly).toBeNull();
      const report = await store.verify();
      expect(report).toMatchObject({ ok: true, firstBad: null });
      const { changes } = await store.state();
      const lost = all.map((line) => changeId(Number(line.split(" ")[0]))).filter((id) => !changes.has(id));
      expect(lost).toEqual([]);
    }
    expect(new Set(all).size).toBe(all.length);
    expect((await (await open(driver())).verify()).archive.segments).toBeGreaterThan(4);
  });

  it("nothing that was acknowledged is lost to kill -9", async () => {
    const { root, driver, path } = await folder();
    const all: string[] = [];
    for (let round = 0; round < 4; round++) {
      const writers = Array.from({ length: 3 }, () => start(root, 10_000));
      // Killed wherever they are once the first of them has come this far.
      await Promise.race(
        writers.map(({ child, acknowledged }) => reached(child, () => acknowledged().length > 7 * round)),
      );
      for (const { child } of writers) child.kill("SIGKILL");
      await Promise.all(writers.map(({ ended }) => ended));
      all.push(...writers.flatMap(({ acknowledged }) => acknowledged()));
      const store = await open(driver());
      expect(store.readOnly).toBeNull();
      const report = await store.verify();
      expect(report.ok).toBe(true);
      const sessions = new Map<number, string>();
      for (let seq = 1; seq <= report.commits; seq++) {
        const commit = JSON.parse(await readFile(path(journalKey(seq)), "utf8")) as { actor: { session: string } };
        sessions.set(seq, commit.actor.session);
      }
      for (const line of all) {
        const [seq, session] = line.split(" ");
        expect(sessions.get(Number(seq))).toBe(session);
      }
    }
    expect(all.length).toBeGreaterThan(0);
  });
});

it("results of an applied change are there for whoever opens the store next", async () => {
  const kept = new Map<string, Uint8Array>();
  await applied(await open(memoryDriver(kept)), [step()], [[result({ state: "running" }, { state: "stopped" })]]);
  const state = await (await open(memoryDriver(kept))).state();
  expect([...state.resources.values()][0]).toMatchObject({ properties: { state: "stopped" }, alias: "i-1" });
});
