// Compaction: commits that both checkpoints cover move from the journal into one archive segment. Nothing is lost at any step.

import type { OpsError } from "../src/core/errors.js";
import { sha256 } from "../src/core/json.js";
import { ARCHIVE, archiveKey, decodeSegment, encodeSegment, floorKey, type Range, rangeOfKey } from "./archive.js";
import { CHECKPOINT, type ChainReader, PREVIOUS } from "./chain.js";
import { checkpointExtent } from "./checkpoint.js";
import { journalKey, type StateDriver, seqOfKey } from "./driver.js";
import { type ChainEnd, decodeCommit } from "./events.js";

/** What a compaction did. `archived`: what it moved, null where there was nothing to move. */
export interface CompactReport {
  readonly archived: Range | null;
  /** Numbers up to this one live in the archive only. */
  readonly floor: number;
  /** Journal files taken away. */
  readonly removed: number;
}

/** Commits of one segment: a reader holds one in memory. */
const MOST_COMMITS = 5_000;
const ATTEMPTS = 20;

interface Compaction {
  readonly driver: StateDriver;
  readonly chain: Pick<ChainReader, "highestFloor" | "commitBytes" | "damaged">;
  /** The chain before its first commit. */
  readonly origin: ChainEnd;
  /** Asked before each segment; false ends it where it is. Segments and floors agree without it: it saves double work. */
  goOn?(): Promise<boolean>;
}

/**
 * Archive, then floor, then removal, each durable before the next begins: killed anywhere it leaves every commit in at
 * least one place that readers look at, and may be run again. Two processes may compact at once: segments follow from
 * the chain alone, and what overlaps agrees.
 * @throws OpsError `state_unreadable` where what is to be moved does not hold; nothing is removed then.
 */
export async function compactStore(on: Compaction): Promise<CompactReport> {
  const { driver, chain } = on;
  const before = await chain.highestFloor();
  const covered = await coveredTwice(on);
  await dropHalves(on, before);
  let floor = before;
  for (let attempt = 0; floor < covered && attempt < ATTEMPTS; attempt++) {
    if (on.goOn && !(await on.goOn())) break;
    floor = await archiveFrom(on, floor, covered);
  }
  const done = (await driver.list("journal/")).filter((key) => (seqOfKey(key) ?? Number.POSITIVE_INFINITY) <= floor);
  if (done.length > 0) await driver.remove(done);
  return { archived: floor > before ? { from: before + 1, to: floor } : null, floor, removed: done.length };
}

/** What a killed process left where there are no hard links. No floor stands on it, and nobody else may ever come to its name. */
async function dropHalves({ driver }: Compaction, floor: number): Promise<void> {
  for (const key of await driver.list(ARCHIVE)) {
    const stored = (rangeOfKey(key)?.to ?? 0) > floor ? await driver.get(key) : null;
    if (stored && typeof decodeSegment(stored.bytes) === "string") await driver.remove([key]);
  }
}

/** Whether there is anything to move or to take away. */
export async function needsCompaction(on: Compaction): Promise<boolean> {
  const floor = await on.chain.highestFloor();
  if (floor < (await coveredTwice(on))) return true;
  return (await on.driver.list("journal/")).some((key) => (seqOfKey(key) ?? Number.POSITIVE_INFINITY) <= floor);
}

/** The last number that state.json and the one before it both cover: either of them may be the one that is left. */
async function coveredTwice({ driver, origin }: Compaction): Promise<number> {
  let covered = Number.POSITIVE_INFINITY;
  for (const key of [CHECKPOINT, PREVIOUS]) {
    const stored = await driver.get(key);
    const extent = stored && checkpointExtent(stored.bytes);
    if (extent?.store !== origin.store) return 0;
    covered = Math.min(covered, extent.seq);
  }
  return covered;
}

/** Writes one segment and its floor; answers the floor that holds afterwards. */
async function archiveFrom({ driver, chain, origin }: Compaction, floor: number, covered: number): Promise<number> {
  const under = floor === 0 ? null : await chain.commitBytes(floor);
  if (floor > 0 && !under) throw unfit(chain, floor, "no archive segment holds it");
  const start: ChainEnd = under ? { store: origin.store, seq: floor, head: sha256(under) } : origin;
  const commits: Uint8Array[] = [];
  let end = start;
  let because: string | null = null;
  while (end.seq < covered && commits.length < MOST_COMMITS && because === null) {
    const stored = await driver.get(journalKey(end.seq + 1));
    const commit = stored ? decodeCommit(stored.bytes, end) : "the file is gone";
    if (typeof commit === "string") because = commit;
    else {
      commits.push(stored!.bytes);
      end = { store: end.store, seq: commit.seq, head: commit.hash };
    }
  }
  // Read after the files: somebody who compacted meanwhile may have freed these numbers, and others taken them.
  const risen = await chain.highestFloor();
  if (risen > floor) return risen;
  if (because !== null) throw unfit(chain, end.seq + 1, because);
  await keepSegment(driver, chain, archiveKey({ from: floor + 1, to: end.seq }), encodeSegment(start, commits));
  await driver.putIfAbsent(floorKey(end.seq), new TextEncoder().encode(`{"last_hash":"${end.head}"}\n`));
  return end.seq;
}

/** The segment under its key, byte for byte: the journal files go on the strength of it. */
async function keepSegment(
  driver: StateDriver,
  chain: Compaction["chain"],
  key: string,
  bytes: Uint8Array,
): Promise<void> {
  for (let attempt = 0; attempt < 2; attempt++) {
    await driver.putIfAbsent(key, bytes);
    const stored = await driver.get(key);
    if (stored && sha256(stored.bytes) === sha256(bytes)) return;
    // No floor stands on it yet, so half a segment of a killed process can go.
    if (stored && typeof decodeSegment(stored.bytes) === "string") await driver.remove([key]);
  }
  throw chain.damaged(`${key} is there and is not what the journal says. Nothing was removed; move it elsewhere.`, {
    file: key,
  });
}

const unfit = (chain: Compaction["chain"], seq: number, because: string): OpsError =>
  chain.damaged(`commit ${seq} cannot be archived: ${because}. Nothing was removed; run verify.`, { seq, because });
