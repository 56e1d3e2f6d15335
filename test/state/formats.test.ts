// Stores as earlier versions wrote them, byte for byte: today's code opens them, says the same of them and goes on.

import { chmod, cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { State } from "../../src/core/change.js";
import { digest, sha256 } from "../../src/core/json.js";
import { chainReader } from "../../state/chain.js";
import { checkpointDocument, checkpointText, readCheckpoint, sumOf } from "../../state/checkpoint.js";
import { decodeCommit, encodeCommit } from "../../state/events.js";
import { type Folder, folder } from "./folder.js";
import { open, plan, testClock } from "./helpers.js";

const FIXTURE = join(import.meta.dirname, "fixtures", "format-1");
const HEAD = "f0b842c025c0513815542a6d36f2a3374327e5fe7c890321f1c3736644fea1f0";
/** Digest of the whole state in its document form: what it says may never change. */
const SAYS = "abe6d372bfae63f719d68da6bee40903854f14a98ce12d01021fd7ee1a3c7224";
const COMMITS = 48;

/** A copy under the modes a store has: Git keeps none. */
async function copied(): Promise<Folder> {
  const made = await folder();
  await cp(FIXTURE, made.root, { recursive: true });
  await mkdir(made.path("tmp"));
  await chmod(made.root, 0o700);
  for (const entry of await readdir(made.root, { recursive: true, withFileTypes: true })) {
    await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o700 : 0o600);
  }
  return made;
}

/** All that a state says, whatever else a later version keeps beside it. */
const says = ({ store, seq, head, created, updated, resources, changes, tokens, operations, leases }: State): string =>
  digest([
    store,
    seq,
    head,
    created,
    updated,
    ...[resources, changes, tokens, operations, leases ?? []].map((map) => [...map].sort(byKey)),
  ]);

const byKey = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);

/** Every commit of the store, from wherever it is kept. */
async function commits(made: Folder): Promise<Uint8Array[]> {
  const chain = chainReader({ driver: made.driver(), clock: testClock() });
  return Promise.all(Array.from({ length: COMMITS }, async (_, index) => (await chain.commitBytes(index + 1))!));
}

describe("a store of format 1", () => {
  it("opens writable, says what it said, and is whole", async () => {
    const made = await copied();
    const before = await made.picture();
    const store = await open(made.driver());
    expect(store.readOnly).toBeNull();
    const state = await store.state();
    expect({ seq: state.seq, head: state.head, says: says(state) }).toEqual({ seq: COMMITS, head: HEAD, says: SAYS });
    expect(await store.verify()).toMatchObject({
      ok: true,
      commits: COMMITS,
      firstBad: null,
      checkpoint: { ok: true, appliedSeq: 45 },
      archive: { ok: true, segments: 3, floor: 43 },
    });
    expect(await made.picture(), "reading changes nothing").toEqual(before);
  });

  it("says the same when it is folded from its first commit", async () => {
    const made = await copied();
    const chain = chainReader({ driver: made.driver(), clock: testClock() });
    const origin = chain.readStoreId(await readFile(made.path("store.id")));
    if (typeof origin === "string") throw new Error(origin);
    const { state, bad } = await chain.follow(origin);
    expect(bad).toBeNull();
    expect([state.head, says(state)]).toEqual([HEAD, SAYS]);
  });

  it("holds every event that could be written then", async () => {
    const text = Buffer.concat(await commits(await copied())).toString();
    const types = [...text.matchAll(/"type":"((?:change|op|resource|drift|state|lease)\.[a-z_]+)"/g)];
    expect([...new Set(types.map(([, type]) => type))].sort()).toEqual([
      "change.approved",
      "change.cancelled",
      "change.interrupted",
      "change.planned",
      "change.rejected",
      "drift.accepted",
      "drift.ignored",
      "drift.observed",
      "lease.acquired",
      "lease.broken",
      "op.failed",
      "op.intent",
      "op.submitted",
      "op.succeeded",
      "op.takeover",
      "op.unknown",
      "resource.forgotten",
      "resource.imported",
      "state.manual_edit",
    ]);
  });

  it("is written as it was: every commit decoded and encoded again has the same bytes", async () => {
    const made = await copied();
    const id = await readFile(made.path("store.id"));
    let end = { store: JSON.parse(id.toString()).store as string, seq: 0, head: sha256(id) };
    for (const bytes of await commits(made)) {
      const commit = decodeCommit(bytes, end);
      if (typeof commit === "string") throw new Error(commit);
      const { hash, ...body } = commit;
      expect(Buffer.from(encodeCommit(body)).toString()).toBe(Buffer.from(bytes).toString());
      end = { ...end, seq: commit.seq, head: hash };
    }
    expect(end.head).toBe(HEAD);
  });

  it("has checkpoints and backups that say what its commits say, and still do once written again", async () => {
    const made = await copied();
    const chain = chainReader({ driver: made.driver(), clock: testClock() });
    const origin = chain.readStoreId(await readFile(made.path("store.id")));
    if (typeof origin === "string") throw new Error(origin);
    const days = (await readdir(made.path("backups"))).map((name) => `backups/${name}`);
    expect(days).toHaveLength(2);
    for (const name of ["state.json", "state.json.prev", ...days]) {
      const found = readCheckpoint(await readFile(made.path(name)));
      if (found.kind !== "checkpoint") throw new Error(`${name}: ${found.kind}`);
      const { state } = await chain.follow(origin, found.state.seq);
      expect(says(found.state), name).toBe(says(state));
      const again = readCheckpoint(new TextEncoder().encode(checkpointText(checkpointDocument(found.state, "9.9.9"))));
      expect(again.kind === "checkpoint" && says(again.state), name).toBe(says(state));
    }
  });

  it("takes a new commit, a checkpoint and a compaction, and is the same store afterwards", async () => {
    const made = await copied();
    const old = await commits(made);
    const store = await open(made.driver(), { liveness: () => "dead" });
    const { seq } = await store.commit((_, next) => [plan(next).event]);
    expect(seq).toBe(COMMITS + 1);
    await store.checkpoint();
    await store.compact();
    const state = await store.state();
    await store.close();
    const again = await open(made.driver());
    expect(again.readOnly).toBeNull();
    expect(says(await again.state())).toBe(says(state));
    expect(await again.verify()).toMatchObject({ ok: true, commits: state.seq });
    expect(await commits(made), "no commit is ever rewritten").toEqual(old);
    const { resources, operations, tokens } = await again.state();
    const was = await (await open((await copied()).driver())).state();
    expect([...resources.keys()]).toEqual([...was.resources.keys()]);
    expect([...operations.values()]).toEqual([...was.operations.values()]);
    expect([...was.tokens.keys()].every((token) => tokens.has(token))).toBe(true);
  });

  it("of a later format is left alone: read-only, with the commit and the format named", async () => {
    const made = await copied();
    const last = made.path("journal/000000000048.json");
    const body = (await readFile(last, "utf8")).replace(/,"sum":"[0-9a-f]{64}"\}\n$/, "}").replace('"v":1', '"v":2');
    await writeFile(last, `${body.slice(0, -1)},"sum":"${sha256(body)}"}\n`);
    const before = await made.picture();
    const store = await open(made.driver());
    expect(store.readOnly?.message).toContain("it was written in format 2, which this version does not know");
    expect((await store.state()).seq).toBe(47);
    await expect(store.commit((_, seq) => [plan(seq).event])).rejects.toMatchObject({ code: "state_unreadable" });
    // It is whole, and others may have built on it: it is nothing to be moved aside.
    expect(store.readOnly?.message).toContain("start that version, or a later one");
    expect(store.readOnly?.message).not.toContain("recover");
    await expect(store.recover("last_commit")).rejects.toMatchObject({ code: "validation_error" });
    expect(await made.picture()).toEqual(before);
  });

  it("with a checkpoint of a later format is left alone as well", async () => {
    const made = await copied();
    const document = JSON.parse(await readFile(made.path("state.json"), "utf8"));
    document.journal.format = 2;
    const { integrity: _, ...body } = document;
    await writeFile(made.path("state.json"), JSON.stringify({ ...body, integrity: { sum: sumOf(body) } }));
    const before = await made.picture();
    const store = await open(made.driver());
    expect(store.readOnly?.message).toContain("start that version, or a later one");
    expect((await store.state()).head).toBe(HEAD);
    await expect(store.recover("checkpoint")).rejects.toMatchObject({ code: "validation_error" });
    expect(await made.picture()).toEqual(before);
  });
});
