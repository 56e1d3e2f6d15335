// What a large store leaves to the chain: it is all there when it is asked for, and a checkpoint says the same in any process.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ridOf, type State } from "../../src/core/change.js";
import { OpsError } from "../../src/core/errors.js";
import { isObject, type JsonObject } from "../../src/core/json.js";
import { archiveKey } from "../../state/archive.js";
import { chainReader, STORE_ID } from "../../state/chain.js";
import { checkpointDocument, checkpointText, checkpointWriter, readCheckpoint } from "../../state/checkpoint.js";
import { journalKey } from "../../state/driver.js";
import { memoryDriver } from "../../state/drivers/memory.js";
import { decodeCommit, type Event } from "../../state/events.js";
import { fold } from "../../state/fold.js";
import type { Store } from "../../state/journal.js";
import { rollbackTo } from "../../state/rollback.js";
import { seqsIn, spill, spillChanges } from "../../state/spill.js";
import { operationId } from "../../state/tokens.js";
import { applied, intent, open, owner, plan, ref, result, START, step, testClock } from "./helpers.js";

type Files = Map<string, Uint8Array>;
const TINY = { limits: { inlineBytes: 1, recentMs: 0, spilledAtOnce: 2 } } as const;
const at = (to: number) => ({ to, before: START });
const error = { code: "aws_failed", message: "no" };

/** A store with a history: each number chooses what is tried next; what the store refuses does not happen. */
async function history(choices: readonly number[]): Promise<Files> {
  const files: Files = new Map();
  const by = [owner("s-1", 1), owner("s-2", 2)] as const;
  const stores = [await open(memoryDriver(files), { owner: by[0] }), await open(memoryDriver(files), { owner: by[1] })];
  const planned: { id: string; token: string }[] = [];
  const ops: { id: string; change: number; index: number }[] = [];
  const refusal = (thrown: unknown): void => {
    if (!(thrown instanceof OpsError)) throw thrown;
  };
  for (const choice of choices) {
    if (choice % 13 === 0) await stores[0]!.compact();
    const who = choice % 11 === 0 ? 1 : 0;
    const store = stores[who]!;
    const target = ref(`i-${choice % 3}`);
    if (choice % 3 === 0) {
      const steps = Array.from({ length: 1 + (choice % 2) }, () =>
        step({ ref: target, kind: "update", desired: { v: choice } }),
      );
      const results = steps.map((_, index) => [result({ v: -choice }, { v: choice + index }, target)]);
      await applied(store, steps, results, by[who]).catch(refusal);
      continue;
    }
    const change = planned[choice % Math.max(1, planned.length)];
    const op = choice % 4 === 0 ? ops[choice % Math.max(1, ops.length)] : ops.at(-1);
    const tries: ((seq: number) => readonly Event[])[] = [
      (seq) => {
        const steps = Array.from({ length: 1 + (choice % 3) }, (_, index) =>
          step({ ref: target, kind: "update", before: { v: index }, desired: { v: choice } }),
        );
        const made = plan(seq, steps);
        planned.push(made);
        return [made.event];
      },
      (seq) => {
        const made = planned.at(-1) ?? change;
        if (!made) return [];
        ops.push({ id: operationId(seq), change: planned.indexOf(made), index: 0 });
        return [intent(seq, made.id, made.token, 0, by[who])];
      },
      (seq) => {
        const of = op && planned[op.change];
        if (!op || !of) return [];
        ops.push({ id: operationId(seq), change: op.change, index: op.index + 1 });
        return [intent(seq, of.id, of.token, op.index + 1, by[who])];
      },
      ...Array.from({ length: 3 }, () => (): readonly Event[] => {
        const others = choice % 5 === 0 ? [result(null, { w: choice }, ref("i-9"))] : [];
        const results = [result({ v: -choice }, choice % 7 ? { v: choice } : null, target), ...others];
        return op ? [{ type: "op.succeeded", operationId: op.id, results }] : [];
      }),
      () => (op ? [{ type: "op.failed", operationId: op.id, error, nothingWasChanged: choice % 2 === 0 }] : []),
      () => (op ? [{ type: "op.unknown", operationId: op.id, error, because: "lost" }] : []),
      () => (op ? [{ type: "op.parked", operationId: op.id, because: "lost" }] : []),
      () => (op ? [{ type: "op.takeover", operationId: op.id, owner: by[who] }] : []),
      () => {
        const results = [result({ v: 0 }, { v: choice }, target)];
        return op
          ? [{ type: "op.resolved", operationId: op.id, choice: choice % 2 ? "import" : "clear", by: "bob", results }]
          : [];
      },
      () => {
        const kept = { tool: "", operation: "update", outcome: "succeeded", timestamp: START, user: "u" } as const;
        const old = { ...kept, seq: 0, changeId: "", operationId: "", awsSession: "", explanation: "", intent: "" };
        const lineage = [1, 2].map((v) => ({
          ...old,
          executionToken: `old-${choice}-${v}`,
          before: null,
          after: { v },
        }));
        const event = { ref: target, reader: "service", properties: { v: choice }, provenance: "read" } as const;
        return [{ type: "resource.imported", ...event, ...(choice % 2 && { lineage }) }];
      },
      () => [{ type: "drift.accepted", rid: ridOf(target), properties: { v: -choice }, by: "bob", because: "fine" }],
      () => {
        const edit = { rid: ridOf(target), properties: { v: choice }, desired: { v: choice }, dependsOn: [] };
        return [{ type: "state.manual_edit", by: "bob", resources: [edit] }];
      },
      () => (choice % 5 ? [] : [{ type: "resource.forgotten", rid: ridOf(target), by: "bob", because: "x" }]),
      () => (change ? [{ type: "change.cancelled", changeId: change.id, by: "bob" }] : []),
    ];
    await store.commit((_, seq) => tries[choice % tries.length]!(seq)).catch(refusal);
  }
  return files;
}

const anyHistory = fc.array(fc.nat({ max: 10_000 }), { minLength: 20, maxLength: 90 });

/** The state with everything in it, from the first commit on. */
async function whole(files: Files): Promise<State> {
  const chain = chainReader({ driver: memoryDriver(files), clock: testClock() });
  const origin = chain.readStoreId(files.get(STORE_ID)!);
  if (typeof origin === "string") throw new Error(origin);
  const { state, bad } = await chain.follow(origin);
  expect(bad).toBeNull();
  return state;
}

/** Everything anybody can ask of the past. */
async function told(store: Store, truth: State) {
  const rows = [];
  for (const { rid, ref: of, reader } of truth.resources.values()) {
    const lineage = await store.lineage(rid);
    const rollbacks = lineage.map(({ executionToken: token }) => {
      try {
        return rollbackTo({ resource: { rid, ref: of, reader, lineage }, token, live: { v: 3 } });
      } catch (refusal) {
        return (refusal as OpsError).message;
      }
    });
    rows.push({ rid, lineage, rollbacks });
  }
  const changes = [];
  for (const id of truth.changes.keys()) {
    const state = await store.recall(id);
    const change = state?.changes.get(id);
    changes.push([change, change?.operationIds.map((op) => state?.operations.get(op))]);
  }
  return { rows, changes };
}

const documentIn = (files: Files): JsonObject =>
  JSON.parse(Buffer.from(files.get("state.json")!).toString()) as JsonObject;
const journalIn = (files: Files): JsonObject => documentIn(files).journal as JsonObject;

/** A resource with four changes behind a floor. */
async function grown(): Promise<{ files: Files; tokens: string[]; ids: string[] }> {
  const files: Files = new Map();
  const store = await open(memoryDriver(files));
  const made = [];
  for (let version = 0; version < 4; version++) {
    made.push(await applied(store, undefined, [[result({ v: version }, { v: version + 1 })]]));
  }
  await store.compact();
  await applied(store, undefined, [[result({ v: 4 }, { v: 5 })]]);
  await store.compact();
  await store.close();
  return { files, tokens: made.map(({ token }) => token), ids: made.map(({ id }) => id) };
}

describe("a checkpoint beyond its limit", () => {
  it("leaves to the archive what only that need hold, and names it", async () => {
    const { files, tokens, ids } = await grown();
    const truth = await whole(files);
    const store = await open(memoryDriver(files), TINY);
    await store.commit((_, seq) => [plan(seq).event]);
    await store.checkpoint();
    const document = documentIn(files) as { resources: JsonObject; journal: JsonObject; metadata: JsonObject };
    const floor = Number([...files.keys()].findLast((key) => key.startsWith("floor/"))!.slice(6));
    expect(document.journal).toMatchObject({
      format: 2,
      spilled: { to: floor, before: START, changes: 4, operations: 4 },
    });
    expect(document.journal.archive_segments).toEqual(
      [...files.keys()]
        .filter((key) => key.startsWith("archive/"))
        .map((key) => key.slice(8))
        .sort(),
    );
    expect(document.metadata.total_operations).toBe(5);
    expect(document.resources["i-1"]).toMatchObject({ lineage: [{ seq: 16 }], lineage_spilled: { count: 4 } });
    const kept = await store.state();
    expect(kept.resources.get(ridOf(ref()))?.lineage).toHaveLength(1);
    expect([...kept.changes.keys()]).not.toContain(ids[0]);
    expect(kept.tokens.size).toBe(kept.changes.size);
    const reopened = await open(memoryDriver(files));
    expect(await told(reopened, truth)).toEqual(
      await told(await open(memoryDriver(new Map([...files].filter(([key]) => !key.startsWith("state.json"))))), truth),
    );
    expect((await reopened.lineage(ridOf(ref()))).map(({ executionToken }) => executionToken).slice(0, 4)).toEqual(
      tokens,
    );
    expect(await reopened.verify()).toMatchObject({ ok: true });
  });

  it("keeps changes that ended within a day, because limits count them", async () => {
    const { files, ids: names } = await grown();
    const clock = testClock();
    const store = await open(memoryDriver(files), { clock, limits: { inlineBytes: 1 } });
    clock.advance(24 * 3_600_000 - 1);
    await store.commit((_, seq) => [plan(seq).event]);
    await store.checkpoint();
    expect((await store.state()).changes.has(names[0]!)).toBe(true);
    expect((await store.state()).spilled).toMatchObject({ changes: 0 });
    clock.advance(1);
    await store.commit((_, seq) => [plan(seq).event]);
    await store.checkpoint();
    expect((await store.state()).changes.has(names[0]!)).toBe(false);
    expect((await (await open(memoryDriver(files))).verify()).ok).toBe(true);
  });

  it("leaves plans behind that nobody applied, a day after their time ran out, and answers for them", async () => {
    const files: Files = new Map();
    const clock = testClock();
    const store = await open(memoryDriver(files), { clock, limits: { inlineBytes: 1 } });
    const other = await open(memoryDriver(files), { clock, owner: owner("s-2", 2) });
    const forgotten: { id: string; token: string }[] = [];
    for (let count = 0; count < 3; count++) {
      await store.commit((_, seq) => {
        const made = plan(seq);
        forgotten.push(made);
        return [made.event];
      });
    }
    await other.state();
    // What both checkpoints cover goes into the archive.
    for (let round = 0; round < 2; round++) {
      await store.commit((_, seq) => [plan(seq).event]);
      await store.checkpoint();
    }
    await store.compact();
    const later = async (milliseconds: number) => {
      clock.advance(milliseconds);
      await store.commit((_, seq) => [plan(seq).event]);
      await store.checkpoint();
      return store.state();
    };
    // They live for a quarter of an hour.
    expect((await later(24 * 3_600_000)).changes.has(forgotten[0]!.id), "its time ran out less than a day ago").toBe(
      true,
    );
    const state = await later(15 * 60_000);
    for (const { id } of forgotten) expect(state.changes.has(id), id).toBe(false);
    expect(state.tokens.size).toBe(state.changes.size);
    expect(state.spilled).toMatchObject({ changes: 4, operations: 0 });
    expect((await store.recall(forgotten[0]!.id))?.changes.get(forgotten[0]!.id)).toMatchObject({ state: "planned" });

    // A process that holds the whole history says something of one: it changes nothing for whoever left it behind.
    await other.commit(() => [{ type: "change.cancelled", changeId: forgotten[0]!.id, by: "bob" }]);
    expect((await store.state()).changes.has(forgotten[0]!.id)).toBe(false);
    for (const asked of [store, other, await open(memoryDriver(files), { clock })]) {
      expect(await asked.verify()).toMatchObject({ ok: true });
      expect((await asked.recall(forgotten[0]!.id))?.changes.get(forgotten[0]!.id)).toMatchObject({
        state: "cancelled",
      });
    }
    const never = store.commit(() => [{ type: "change.cancelled", changeId: "ch_zz", by: "bob" }]);
    await expect(never).rejects.toThrow();
  });

  it("stays whole while nothing is archived", async () => {
    const files: Files = new Map();
    const store = await open(memoryDriver(files), TINY);
    await applied(store);
    await applied(store);
    expect(journalIn(files)).toMatchObject({ format: 1, archive_segments: [] });
    expect(journalIn(files)).not.toHaveProperty("spilled");
  });

  it("is not taken for the whole history by a server that does not know spilling", async () => {
    const { files } = await grown();
    await (await open(memoryDriver(files), TINY)).checkpoint();
    const store = await open(memoryDriver(files), TINY);
    await store.commit((_, seq) => [plan(seq).event]);
    await store.checkpoint();
    const document = documentIn(files);
    const { spilled: _, ...journal } = document.journal as JsonObject;
    // What it would read, had the number not changed: a document of format 1 with a short lineage.
    const cut = { ...document, journal: { ...journal, format: 2 } };
    expect(readCheckpoint(Buffer.from(JSON.stringify(cut))).kind).not.toBe("checkpoint");
  });

  it("is the same, byte for byte, in two processes", async () => {
    const { files } = await grown();
    const other: Files = new Map(files);
    const [one, two] = [await open(memoryDriver(files), TINY), await open(memoryDriver(other), TINY)];
    await one.commit((_, seq) => [plan(seq).event]);
    const seq = (await one.state()).seq;
    other.set(journalKey(seq), files.get(journalKey(seq))!);
    await two.state();
    await one.checkpoint();
    await two.checkpoint();
    expect(other.get("state.json")).toEqual(files.get("state.json"));
    // The one that has spilled in memory, and one that comes to it with everything.
    const late: Files = new Map([...files].filter(([key]) => !key.startsWith("state.json")));
    await (await open(memoryDriver(late), TINY)).checkpoint();
    const again = journalIn(late);
    expect(again.applied_seq).toBe(seq);
  });

  it("of which the archive lost a part says so, and the rest goes on", async () => {
    const { files } = await grown();
    const store = await open(memoryDriver(files), TINY);
    await store.commit((_, seq) => [plan(seq).event]);
    await store.checkpoint();
    const key = [...files.keys()].find((name) => name.startsWith(archiveKey({ from: 1, to: 1 }).slice(0, 20)))!;
    files.delete(key);
    const opened = await open(memoryDriver(files));
    await expect(opened.lineage(ridOf(ref()))).rejects.toMatchObject({ code: "state_unreadable" });
    expect(await opened.lineage("nobody")).toEqual([]);
    expect((await opened.verify()).ok).toBe(false);
  });

  it("that somebody edited shows the edit alone, and it can be adopted", async () => {
    const { files } = await grown();
    const store = await open(memoryDriver(files), TINY);
    await store.commit((_, seq) => [plan(seq).event]);
    await store.close();
    const text = Buffer.from(files.get("state.json")!).toString();
    files.set(
      "state.json",
      Buffer.from(text.replace('"current_properties": {\n        "v": 5', '"current_properties": {\n        "v": 6')),
    );
    const opened = await open(memoryDriver(files));
    expect(opened.readOnly?.details).toMatchObject({ differences: 1 });
    await opened.adopt("alice");
    expect((await opened.lineage(ridOf(ref()))).map(({ tool }) => tool).slice(-2)).toEqual([
      "instances.stop",
      "state.adopt",
    ]);
    expect(await opened.verify()).toMatchObject({ ok: true });
  });

  it("answers for a change it left to the chain, and for no other", async () => {
    const { files, ids, tokens } = await grown();
    const store = await open(memoryDriver(files), TINY);
    await store.commit((_, seq) => [plan(seq).event]);
    await store.checkpoint();
    const found = await store.recall(ids[1]!);
    expect(found?.changes.get(ids[1]!)).toMatchObject({ state: "applied", token: tokens[1] });
    expect(found?.changes.size).toBe(1);
    expect(found?.resources.get(ridOf(ref()))?.lineage).toMatchObject([{ after: { v: 2 } }]);
    for (const name of ["ch_2", "ch_zzzz", "ch_0", "nothing", ""]) expect(await store.recall(name)).toBeNull();
  });
});

describe("for any history", () => {
  it("all that was spilled is read back as it was, and the store verifies", async () => {
    let spilled = 0;
    await fc.assert(
      fc.asyncProperty(anyHistory, async (choices) => {
        const files = await history([...choices, 13, 1, 13]);
        const truth = await whole(files);
        const expected = await told(
          await open(memoryDriver(new Map([...files].filter(([key]) => !key.startsWith("state.json"))))),
          truth,
        );
        const store = await open(memoryDriver(files), TINY);
        await store.commit((_, seq) => [plan(seq).event]);
        await store.checkpoint();
        for (const asked of [store, await open(memoryDriver(files))]) {
          expect(await told(asked, truth)).toEqual(expected);
          expect(await asked.verify()).toMatchObject({ ok: true });
        }
        for (const { lineageSpilled } of (await store.state()).resources.values())
          spilled += lineageSpilled?.count ?? 0;
      }),
      {
        numRuns: 25,
        // A failure that took the place of the doubt by which its resource was first named.
        examples: [[[5488, 0, 0, 0, 337, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1240, 0, 0, 0, 7850]]],
      },
    );
    expect(spilled).toBeGreaterThan(200);
  });

  it("spilling and going on give the same in either order, and a checkpoint gives it back", async () => {
    await fc.assert(
      fc.asyncProperty(anyHistory, fc.nat(), fc.nat(), async (choices, first, second) => {
        const files = await history(choices.filter((choice) => choice % 13 !== 0));
        const chain = chainReader({ driver: memoryDriver(files), clock: testClock() });
        const origin = files.has(STORE_ID) ? chain.readStoreId(files.get(STORE_ID)!) : "";
        if (typeof origin === "string") return;
        const { state: full } = await chain.follow(origin);
        const [early, late] = [first % (full.seq + 1), second % (full.seq + 1)].sort((a, b) => a - b) as [
          number,
          number,
        ];
        let state = origin;
        for (let seq = 1; seq <= full.seq; seq++) {
          const commit = decodeCommit(files.get(journalKey(seq))!, state);
          if (typeof commit === "string") throw new Error(commit);
          const next = fold(state, commit);
          if (next instanceof OpsError) throw next;
          state = seq === Math.ceil((early + late) / 2) ? throughDisk(spill(next, at(Math.min(early, seq)))) : next;
        }
        expect(checkpointDocument(spill(state, at(late)), "")).toEqual(checkpointDocument(spill(full, at(late)), ""));
        const said = spill(full, at(late));
        const inSteps = spill(spillChanges(full, at(Math.max(1, early))), at(late));
        if (late >= Math.max(1, early)) expect(checkpointDocument(inSteps, "")).toEqual(checkpointDocument(said, ""));
        const bytes = (await checkpointWriter("1")(said, ["a"], async () => {}, Number.POSITIVE_INFINITY))!;
        const { integrity, ...body } = checkpointDocument(said, "1", ["a"]);
        const { bytes: sum } = JSON.parse(Buffer.from(bytes).toString()).integrity as { bytes: string };
        const document = { ...body, integrity: { ...(integrity as JsonObject), bytes: sum } };
        expect(Buffer.from(bytes).toString()).toBe(checkpointText(document));
        expect(readCheckpoint(Buffer.from(JSON.stringify(document))).kind).toBe("checkpoint");
        // Given up for its size, a writer begins again with nothing of it left behind.
        const writer = checkpointWriter("1");
        expect(await writer(said, ["a"], async () => {}, first % bytes.length)).toBeNull();
        expect(await writer(said, ["a"], async () => {}, bytes.length)).toEqual(bytes);
      }),
      { numRuns: 30 },
    );
  });

  const throughDisk = (state: State): State => {
    const read = readCheckpoint(Buffer.from(checkpointText(checkpointDocument(state, ""))));
    if (read.kind !== "checkpoint") throw new Error(read.kind);
    return read.state;
  };

  it("numbers are told in few words", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 2 }), (numbers) => {
        const seqs = numbers.sort((a, b) => a - b);
        const lineage = seqs.map((seq) => ({ seq, outcome: "succeeded" }));
        const state = { resources: new Map([["r", { lineage }]]), changes: new Map() } as unknown as State;
        const left = spill(state, at(60)).resources.get("r")!;
        expect(seqsIn(left.lineageSpilled!)).toEqual(seqs.slice(0, -1));
        expect(isObject(left.lineageSpilled)).toBe(true);
      }),
    );
  });
});
