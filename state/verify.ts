// Verification: the chain from its first commit, every archive segment, and the checkpoint beside them. Changes nothing.

import type { State } from "../src/core/change.js";
import { canonicalJson, isObject } from "../src/core/json.js";
import type { VerifyReport } from "../src/core/record.js";
import { ARCHIVE, walkSegment } from "./archive.js";
import { CHECKPOINT, type ChainReader, STORE_ID } from "./chain.js";
import { checkpointDocument, type ReadCheckpoint, readCheckpoint } from "./checkpoint.js";
import { type StateDriver, seqOfKey } from "./driver.js";
import { emptyState } from "./fold.js";
import { missed } from "./head.js";
import { spill } from "./spill.js";

interface Verification {
  readonly driver: StateDriver;
  readonly chain: ChainReader;
  /** Nothing was ever committed, so there may be no `store.id`. */
  readonly fresh: boolean;
}

/** Walks the chain from its first commit and names the first one that does not hold. */
export async function verifyStore({ driver, chain, fresh }: Verification): Promise<VerifyReport> {
  const { damage } = await chain.load();
  const opens = damage?.code === "state_unreadable" ? { ok: false, because: damage.message } : { ok: true };
  const id = await driver.get(STORE_ID);
  const stored = await driver.get(CHECKPOINT);
  const origin = id ? chain.readStoreId(id.bytes) : fresh ? emptyState("", "", "") : "it is missing";
  const blank = {
    ok: false,
    store: "",
    commits: 0,
    head: "",
    anchored: [],
    archive: { ok: true, segments: 0, floor: 0 },
    opens,
  };
  if (typeof origin === "string") {
    return {
      ...blank,
      firstBad: { seq: 0, because: `store.id: ${origin}` },
      checkpoint: { ok: false, appliedSeq: null, because: "there is no store to compare it with" },
    };
  }
  const found = stored ? readCheckpoint(stored.bytes) : null;
  const at = found?.kind === "checkpoint" ? found.state.seq : 0;
  // Looked at before the chain is read: what others commit meanwhile is no gap.
  const known = await chain.knownHead();
  const last = (await driver.list("journal/")).reduce((max, name) => Math.max(max, seqOfKey(name) ?? 0), 0);
  const early = await chain.follow(origin, at);
  const { state: end, bad } = early.bad ? early : await chain.follow(early.state);
  const gap = last > end.seq ? { seq: end.seq + 1, because: "the file is missing" } : missed(known, end);
  const firstBad = bad ?? gap;
  const checkpoint = compared(found, early.state);
  const archive = await walkArchive(driver, chain, origin.store);
  return {
    ok: firstBad === null && checkpoint.ok && archive.ok && opens.ok,
    store: origin.store,
    commits: end.seq,
    head: end.head,
    firstBad,
    checkpoint,
    archive,
    opens,
    anchored: [],
  };
}

/** Every segment by itself, also one that reading can do without because another one overlaps it. */
async function walkArchive(driver: StateDriver, chain: ChainReader, store: string): Promise<VerifyReport["archive"]> {
  const keys = await driver.list(ARCHIVE);
  let because: string | undefined;
  for (const key of keys) {
    const segment = await chain.readSegment(key);
    const end = typeof segment === "string" ? segment : walkSegment(segment);
    if (typeof end === "string") because ??= `${key}: ${end}`;
    else if (end.store !== store) because ??= `${key}: it belongs to another store`;
  }
  const floor = await chain.highestFloor();
  return { ok: because === undefined, segments: keys.length, floor, ...(because !== undefined && { because }) };
}

/** The checkpoint says how far it was spilled; the chain, spilled as far, has to say the same as it does. */
function compared(found: ReadCheckpoint | null, truth: State): VerifyReport["checkpoint"] {
  if (found === null) return { ok: true, appliedSeq: null };
  if (found.kind === "edited") return { ok: false, appliedSeq: null, because: "it was edited by hand" };
  if (found.kind === "seed") return { ok: false, appliedSeq: null, because: "it is of an earlier server" };
  if (found.kind === "malformed") return { ok: false, appliedSeq: null, because: found.because };
  const appliedSeq = found.state.seq;
  if (truth.seq !== appliedSeq) return { ok: false, appliedSeq, because: "the journal ends before it" };
  const said = spill(truth, found.state.spilled);
  const same = sameParts(checkpointDocument(said, ""), checkpointDocument(found.state, ""));
  return same ? { ok: true, appliedSeq } : { ok: false, appliedSeq, because: "it is not what the journal says" };
}

/** Equal documents, compared a resource at a time: as one text a large one would be longer than a text can be. */
function sameParts(a: unknown, b: unknown, depth = 3): boolean {
  if (depth === 0 || !isObject(a) || !isObject(b)) return canonicalJson(a) === canonicalJson(b);
  const [left, right] = [Object.keys(a).sort(), Object.keys(b).sort()];
  return left.join("\n") === right.join("\n") && left.every((key) => sameParts(a[key], b[key], depth - 1));
}
