// Reading a store: the chain from its first commit or its checkpoint to its end, and what is wrong with it. Changes nothing.

import type { State } from "../src/core/change.js";
import { OpsError } from "../src/core/errors.js";
import { diff, isObject, type JsonObject, sha256 } from "../src/core/json.js";
import type { Clock } from "../src/core/ports.js";
import { checkpointDocument, type ReadCheckpoint, readCheckpoint } from "./checkpoint.js";
import { journalKey, type StateDriver, seqOfKey } from "./driver.js";
import { decodeCommit, textOf } from "./events.js";
import { emptyState, fold } from "./fold.js";

export const STORE_ID = "store.id";
export const CHECKPOINT = "state.json";

const TORN_TRIES = 6;
const SHOWN_DIFFERENCES = 50;

/** What opening a location found. */
export interface Loaded {
  /** Null: nothing could be verified. */
  readonly state: State | null;
  readonly fresh: boolean;
  readonly etag: string | null;
  readonly checkpointBytes: number;
  readonly damage: OpsError | null;
}

export interface BadCommit {
  readonly seq: number;
  readonly because: string;
}

export interface ChainReader {
  load(): Promise<Loaded>;
  /** Follows the chain from a state to its end, to `until`, or to the first commit that does not hold. */
  follow(from: State, until?: number): Promise<{ readonly state: State; readonly bad: BadCommit | null }>;
  /** The state before the first commit, or why `store.id` gives none. */
  readStoreId(bytes: Uint8Array): State | string;
  damaged(message: string, details?: Record<string, unknown>): OpsError;
  badCommit(bad: BadCommit, middle: boolean): OpsError;
  /** The refusal of a checkpoint that somebody edited, with its difference to what the chain says. */
  edited(document: JsonObject, truth: State): OpsError;
}

/** The reading half of a store. */
export function chainReader({
  driver,
  clock,
  version,
}: {
  readonly driver: StateDriver;
  readonly clock: Clock;
  readonly version: string;
}): ChainReader {
  const damaged = (message: string, details: Record<string, unknown> = {}): OpsError =>
    new OpsError("state_unreadable", `${driver.name}: ${message}`, {
      details: { location: driver.location, ...details },
    });

  function readStoreId(bytes: Uint8Array): State | string {
    if (bytes.length === 0) return "it is empty";
    try {
      const id: unknown = JSON.parse(textOf(bytes) ?? "");
      if (isObject(id) && typeof id.store === "string" && id.store && typeof id.created === "string") {
        return emptyState(id.store, id.created, sha256(bytes));
      }
      return "it names no store";
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** Follows the chain from a state to its end or to the first commit that does not hold. */
  async function follow(
    from: State,
    until = Number.POSITIVE_INFINITY,
  ): Promise<{ state: State; bad: BadCommit | null }> {
    let at = from;
    while (at.seq < until && (await driver.probeNext(at.seq))) {
      const next = await read(at);
      if (typeof next === "string") return { state: at, bad: { seq: at.seq + 1, because: next } };
      at = next;
    }
    return { state: at, bad: null };
  }

  async function read(at: State): Promise<State | string> {
    const seq = at.seq + 1;
    for (let tries = 1; ; tries++) {
      const stored = await driver.get(journalKey(seq));
      const commit = stored ? decodeCommit(stored.bytes, at) : "the file is gone";
      if (typeof commit !== "string") {
        const next = fold(at, commit);
        return next instanceof OpsError ? `it breaks a rule of the store: ${next.message}` : next;
      }
      // A last commit may still be on its way where the medium knows no hard links; one with a successor never is.
      if (tries === TORN_TRIES || (await driver.probeNext(seq))) return commit;
      await clock.sleep(5 * 2 ** tries);
    }
  }

  const badCommit = ({ seq, because }: BadCommit, middle: boolean): OpsError =>
    damaged(
      middle
        ? `commit ${seq} is damaged in the middle of the journal: ${because}. Nothing was changed; restore ${journalKey(seq)} from a backup, then start again.`
        : `the last commit, ${seq}, is damaged: ${because}. Nothing was changed; restore ${journalKey(seq)} from a backup, because what it recorded may have happened in AWS.`,
      { seq, because, verifiedUpTo: seq - 1 },
    );

  async function load(): Promise<Loaded> {
    const nothing = (damage: OpsError): Loaded => ({
      state: null,
      fresh: false,
      etag: null,
      checkpointBytes: 0,
      damage,
    });
    const wrong = await driver.inspect();
    if (wrong?.code === "state_unreadable") return nothing(wrong);

    // The id is written before everything else, so it is read again after everything else.
    let id = await driver.get(STORE_ID);
    const checkpoint = await driver.get(CHECKPOINT);
    const seqs = (await driver.list("journal/")).map(seqOfKey).filter((seq) => seq !== null);
    if (!id && (checkpoint || seqs.length > 0)) id = await driver.get(STORE_ID);
    if (!id) {
      if (!checkpoint && seqs.length === 0) {
        const now = clock.now().toISOString();
        return { state: emptyState("", now, ""), fresh: true, etag: null, checkpointBytes: 0, damage: wrong };
      }
      const kind = checkpoint ? readCheckpoint(checkpoint.bytes).kind : null;
      return nothing(
        kind === "seed" && seqs.length === 0
          ? damaged(
              `${driver.location} holds a state.json of an earlier server and no store. Nothing was changed; move the file elsewhere and import it into a new store.`,
              { file: CHECKPOINT },
            )
          : damaged(
              `${driver.location} holds ${checkpoint ? "a state.json" : "a journal"} and no store.id, so it is not a new store. Nothing was changed; restore store.id from a backup.`,
              { file: STORE_ID },
            ),
      );
    }

    let origin = readStoreId(id.bytes);
    // Where the medium knows no hard links, the id of a store that is just being made comes after its name.
    for (let tries = 1; typeof origin === "string" && tries < TORN_TRIES; tries++) {
      await clock.sleep(5 * 2 ** tries);
      origin = readStoreId((await driver.get(STORE_ID))?.bytes ?? new Uint8Array());
    }
    if (typeof origin === "string") {
      return nothing(
        damaged(`store.id cannot be used: ${origin}. Nothing was changed; restore it from a backup.`, {
          file: STORE_ID,
        }),
      );
    }
    const found = checkpoint ? readCheckpoint(checkpoint.bytes) : null;
    const start = startFrom(found, origin);
    const base = start instanceof OpsError ? origin : start;
    const wrongStart = start instanceof OpsError ? start : await contradiction(start, found !== null);
    const { state: folded, bad } = wrongStart && base !== origin ? await follow(origin) : await follow(base);
    const last = seqs.reduce((max, seq) => Math.max(max, seq), 0);

    let damage: OpsError | null = wrongStart ?? wrong;
    if (bad) damage = badCommit(bad, last > bad.seq || (await driver.probeNext(bad.seq)));
    else if (last > folded.seq) {
      damage = badCommit({ seq: folded.seq + 1, because: "the file is missing" }, true);
    } else if (found?.kind === "edited")
      damage = edited(found.document, (await follow(origin, appliedSeq(found.document))).state);
    else if (found?.kind === "malformed") {
      damage = damaged(
        `state.json cannot be used: ${found.because}. The journal is whole up to commit ${folded.seq} and nothing was changed; move state.json away and start again, it is then written anew.`,
        { file: CHECKPOINT, because: found.because, verifiedUpTo: folded.seq },
      );
    }
    return {
      state: folded,
      fresh: false,
      etag: checkpoint?.etag ?? null,
      checkpointBytes: checkpoint?.bytes.length ?? 0,
      damage,
    };
  }

  /** Where to start folding, or why the checkpoint is of no use. */
  function startFrom(found: ReadCheckpoint | null, origin: State): State | OpsError {
    if (found === null || found.kind === "malformed" || found.kind === "edited") return origin;
    if (found.kind === "seed") {
      return damaged(
        "state.json is of an earlier server and does not belong to this journal. Nothing was changed; move it elsewhere and start again.",
        { file: CHECKPOINT },
      );
    }
    if (found.state.store === origin.store) return found.state;
    return damaged(
      `state.json belongs to another store (${found.state.store}). Nothing was changed; restore the one of ${origin.store} or move it away.`,
      { file: CHECKPOINT },
    );
  }

  /** A checkpoint must stand on a commit that is there; otherwise commits were lost after it was written. */
  async function contradiction(start: State, written: boolean): Promise<OpsError | null> {
    if (!written || start.seq === 0) return null;
    const under = await driver.get(journalKey(start.seq));
    if (under && sha256(under.bytes) === start.head) return null;
    return damaged(
      `state.json covers commit ${start.seq}, and the journal ${under ? "has another one under this number" : "does not have it"}. Nothing was changed; restore the journal from a backup.`,
      { seq: start.seq },
    );
  }

  const appliedSeq = (document: JsonObject): number => {
    const seq = isObject(document.journal) ? document.journal.applied_seq : undefined;
    return typeof seq === "number" ? seq : Number.POSITIVE_INFINITY;
  };

  function edited(document: JsonObject, truth: State): OpsError {
    const comparable = ({ integrity: _, metadata, ...rest }: JsonObject): JsonObject => ({
      ...rest,
      metadata: isObject(metadata) ? { ...metadata, mcp_server_version: "" } : (metadata ?? null),
    });
    const difference = diff(comparable(checkpointDocument(truth, version)), comparable(document));
    const paths = difference.slice(0, 3).map(({ path }) => path);
    return damaged(
      `state.json was edited by hand${paths.length > 0 ? ` (${paths.join(", ")}${difference.length > 3 ? ", …" : ""})` : ""}. Nothing was changed and nothing will be committed; restore state.json.prev, or move state.json away to have it written anew.`,
      {
        file: CHECKPOINT,
        differences: difference.length,
        difference: difference.slice(0, SHOWN_DIFFERENCES),
        verifiedUpTo: truth.seq,
      },
    );
  }

  return { load, follow, readStoreId, damaged, badCommit, edited };
}
