// When state.json is written and how: beside the commits, never instead of them, and never so that others wait for it.

import type { State } from "../src/core/change.js";
import { OpsError } from "../src/core/errors.js";
import type { Clock, Log } from "../src/core/ports.js";
import { ARCHIVE } from "./archive.js";
import { backUp } from "./backups.js";
import { CHECKPOINT, type ChainReader, type Loaded } from "./chain.js";
import { checkpointExtent, checkpointWriter, readCheckpoint } from "./checkpoint.js";
import type { StateDriver } from "./driver.js";
import { spill, spillChanges } from "./spill.js";

const MiB = 1024 * 1024;
/** Bytes in state.json: a change has more, also without a step. */
const LEAST_OF_A_CHANGE = 800;

/** From which sizes on a checkpoint is treated otherwise. */
export interface CheckpointLimits {
  /** Up to this many bytes it is written after every outcome. */
  readonly everyOutcomeBytes: number;
  /** Above, it is written when the journal behind it passes both of these. */
  readonly tailBytes: number;
  /** Of its own size. */
  readonly tailShare: number;
  /** Or when nothing was committed for so long. */
  readonly idleMs: number;
  /** From this many bytes on what only the archive need hold is left to it. */
  readonly inlineBytes: number;
  /** But changes that ended less than so long ago stay. */
  readonly recentMs: number;
  /** Commits whose changes are left to it before others have their turn. */
  readonly spilledAtOnce: number;
}

export const LIMITS: CheckpointLimits = {
  everyOutcomeBytes: 2 * MiB,
  tailBytes: 4 * MiB,
  tailShare: 0.25,
  idleMs: 30_000,
  inlineBytes: 16 * MiB,
  recentMs: 24 * 3_600_000,
  spilledAtOnce: 20_000,
};

interface Around {
  readonly driver: StateDriver;
  readonly chain: ChainReader;
  readonly clock: Clock;
  readonly log: Log;
  readonly version: string;
  readonly limits: CheckpointLimits;
  readonly backupRetentionDays: number;
}

/** `now`: before the commit is acknowledged. `soon`: behind the commits. `idle`: when they pause. */
export type CheckpointDue = "now" | "soon" | "idle" | "no";

export interface Checkpointer {
  /** Up to where the newest checkpoint goes. */
  readonly seq: number;
  /** Goes on from what opening found. */
  loaded(found: Loaded): void;
  /** So many bytes of the journal came behind the checkpoint. */
  grew(bytes: number): void;
  /** When the checkpoint behind a commit is to be written. */
  due(outcome: boolean): CheckpointDue;
  /** Makes a large checkpoint in slices, so that `write` has little left to do. Writes nothing; ends where `goOn` says. */
  prepare(state: State, goOn: () => boolean): Promise<void>;
  /**
   * Writes the checkpoint of a state, unless it stands already; answers the state as it should be kept from here on.
   * @throws OpsError `state_unreadable` where somebody replaced state.json meanwhile: it is left as it is.
   */
  write(state: State): Promise<State>;
}

export function checkpointer(around: Around): Checkpointer {
  const { driver, chain, clock, log, version, limits, backupRetentionDays } = around;
  let etag: string | null = null;
  let size = 0;
  let seq = 0;
  let tail = 0;
  let backedUp = "";

  const bytesOf = checkpointWriter(version);
  const breathe = (): Promise<void> => clock.sleep(0);

  /** The state as a checkpoint holds it now: once that is large, without what the archive holds. */
  async function slim(state: State, pause: () => Promise<void>): Promise<State> {
    const { to, before } = state.spilled ?? { to: 0, before: "" };
    if (size <= limits.inlineBytes) return spill(state, state.spilled);
    const recent = new Date(Date.parse(state.updated) - limits.recentMs).toISOString();
    const point = { to: Math.max(to, await chain.highestFloor()), before: recent > before ? recent : before };
    let said = state;
    for (let next = to + limits.spilledAtOnce; next < point.to; next += limits.spilledAtOnce) {
      said = spillChanges(said, { ...point, to: next });
      await pause();
    }
    said = spill(said, point);
    await pause();
    return said;
  }

  const segments = async (): Promise<readonly string[]> =>
    (await driver.list(ARCHIVE)).map((key) => key.slice(ARCHIVE.length));

  /** The bytes of a checkpoint, and the state they say. */
  async function made(state: State, pause = breathe): Promise<{ bytes: Uint8Array; said: State }> {
    const archive = await segments();
    // Of what was never written it shows by the number of its changes, or as soon as the bytes are too many.
    if (state.changes.size * LEAST_OF_A_CHANGE > limits.inlineBytes) size = Math.max(size, limits.inlineBytes + 1);
    const isLarge = size > limits.inlineBytes;
    const said = await slim(state, pause);
    const bytes = await bytesOf(said, archive, pause, isLarge ? Number.POSITIVE_INFINITY : limits.inlineBytes);
    if (bytes) return { bytes, said };
    // The first that is too large; every later one is known to be.
    size = limits.inlineBytes + 1;
    return made(state, pause);
  }

  function wrote(current: State, bytes: Uint8Array, tag: string): void {
    etag = tag;
    size = bytes.length;
    seq = current.seq;
    tail = 0;
  }

  async function backUpOfToday(checkpoint: Uint8Array): Promise<void> {
    const at = clock.now();
    const day = at.toISOString().slice(0, 10);
    if (day === backedUp) return;
    try {
      await backUp(driver, { checkpoint, at, retentionDays: backupRetentionDays });
      backedUp = day;
    } catch (error) {
      if (!(error instanceof OpsError)) throw error;
      log("warn", `The backup of ${day} was not made. ${error.message}`, { code: error.code });
    }
  }

  return {
    get seq() {
      return seq;
    },

    loaded(found) {
      etag = found.etag;
      size = found.checkpointBytes;
      seq = found.checkpointSeq;
      tail = found.tailBytes;
    },

    grew(bytes) {
      tail += bytes;
    },

    due(outcome) {
      if (size <= limits.everyOutcomeBytes) return outcome ? "now" : "no";
      return tail > Math.max(limits.tailBytes, size * limits.tailShare) ? "soon" : "idle";
    },

    async prepare(state, goOn) {
      if (size <= limits.everyOutcomeBytes) return;
      const ended = new OpsError("internal", "The store was closed.");
      await made(state, async () => {
        await breathe();
        if (!goOn()) throw ended;
      }).catch((error: unknown) => {
        if (error !== ended) throw error;
      });
    },

    async write(state) {
      if (state.seq === seq && etag !== null) return state;
      const { bytes, said } = await made(state);
      for (let attempt = 0; attempt < 5; attempt++) {
        const put = await driver.putIfMatch(CHECKPOINT, bytes, etag, true);
        if (put !== "conflict") {
          wrote(said, bytes, put.etag);
          await backUpOfToday(bytes);
          return said;
        }
        const other = await driver.get(CHECKPOINT);
        etag = other?.etag ?? null;
        if (!other) continue;
        const extent = checkpointExtent(other.bytes);
        if (extent?.store !== state.store) throw replaced(other.bytes, state);
        if (extent.seq >= state.seq) {
          seq = state.seq;
          tail = 0;
          return state;
        }
      }
      return state;
    },
  };

  function replaced(bytes: Uint8Array, truth: State): OpsError {
    const found = readCheckpoint(bytes);
    return found.kind === "edited"
      ? chain.edited(found.document, truth)
      : chain.damaged("state.json was replaced by something else while the store was in use. It was left as it is.", {
          file: CHECKPOINT,
        });
  }
}
