// Reading a store: the chain from its first commit or its checkpoint to its end, and what is wrong with it. Changes nothing.

import type { State } from "../src/core/change.js";
import { operatorCommand } from "../src/core/command.js";
import { OpsError } from "../src/core/errors.js";
import { isObject, type JsonObject, sha256 } from "../src/core/json.js";
import type { Clock } from "../src/core/ports.js";
import { differencesTo } from "./adopt.js";
import { ARCHIVE, archiveKey, decodeSegment, FLOOR, highestOf, rangeOfKey, type Segment } from "./archive.js";
import { backupKeys } from "./backups.js";
import { type ReadCheckpoint, readCheckpoint } from "./checkpoint.js";
import { journalKey, type StateDriver, seqOfKey } from "./driver.js";
import { decodeCommit, isLater, textOf } from "./events.js";
import { emptyState, fold } from "./fold.js";
import { HEAD, type Head, missed, readHead } from "./head.js";

export const STORE_ID = "store.id";
export const CHECKPOINT = "state.json";
export const PREVIOUS = `${CHECKPOINT}.prev`;

const TORN_TRIES = 6;
const SHOWN_DIFFERENCES = 50;

/** What opening a location found. */
export interface Loaded {
  /** Null: nothing could be verified. */
  readonly state: State | null;
  readonly fresh: boolean;
  readonly etag: string | null;
  readonly checkpointBytes: number;
  /** Up to where the checkpoint goes; 0 where there is none of use. */
  readonly checkpointSeq: number;
  /** Bytes of the journal behind the checkpoint. */
  readonly tailBytes: number;
  readonly damage: OpsError | null;
}

export interface BadCommit {
  readonly seq: number;
  readonly because: string;
  /** Where it stands, if not in a file of its own. */
  readonly file?: string;
}

/** How far a chain could be followed; `bytes`: what was read of the journal for it. */
export interface Followed {
  readonly state: State;
  readonly bad: BadCommit | null;
  readonly bytes: number;
}

export interface ChainReader {
  load(): Promise<Loaded>;
  /** Follows the chain from a state to its end, to `until`, or to the first commit that does not hold. */
  follow(from: State, until?: number): Promise<Followed>;
  /** Numbers up to this one are read from the archive only: a journal file under one of them is a latecomer's. */
  highestFloor(): Promise<number>;
  /** The exact bytes of a commit, from wherever it is kept now; null where it is not. Whether they hold is not checked. */
  commitBytes(seq: number): Promise<Uint8Array | null>;
  /** The same for many numbers in a row: a segment is read once. */
  inARow(): (seq: number) => Promise<Uint8Array | null>;
  /** The archive segment that holds a commit and is whole; null where there is none. */
  segmentOf(seq: number): Promise<Segment | null>;
  /** A segment that is whole and is what its key says, or why it is not. */
  readSegment(key: string): Promise<Segment | string>;
  /** How far the chain went at least, as said beside it; null where nobody says. Read before the chain, never after. */
  knownHead(): Promise<Head | null>;
  /** The state before the first commit, or why `store.id` gives none. */
  readStoreId(bytes: Uint8Array): State | string;
  damaged(message: string, details?: Record<string, unknown>): OpsError;
  badCommit(bad: BadCommit): Promise<OpsError>;
  /** The refusal of a checkpoint that somebody edited, with its difference to what the chain says. */
  edited(document: JsonObject, truth: State): OpsError;
  /** The edited state.json with the state it was made of, or null where it was not edited. */
  readEdit(): Promise<{ readonly document: JsonObject; readonly truth: State } | null>;
}

/** The reading half of a store. */
export function chainReader({ driver, clock }: { readonly driver: StateDriver; readonly clock: Clock }): ChainReader {
  const damaged = (message: string, details: Record<string, unknown> = {}): OpsError =>
    new OpsError("state_unreadable", `${driver.name}: ${message}`, {
      details: { location: driver.location, ...details },
    });

  /** What the operator types about this store. */
  const command = (...words: string[]): string => operatorCommand(["state", ...words], driver.location);

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

  const highestFloor = async (): Promise<number> => highestOf(await driver.list(FLOOR));

  /**
   * A journal file proves nothing about a number at or below the floor: the commit was moved to the archive, and the
   * number may have been taken again by a process that slept. So the floor is read after what it judges.
   */
  async function follow(from: State, until = Number.POSITIVE_INFINITY): Promise<Followed> {
    for (let at = from; ; ) {
      const read = await followJournal(at, until);
      const floor = await highestFloor();
      if (floor <= at.seq) return read;
      const archived = await followArchive(at, Math.min(floor, until));
      if (archived.bad || archived.state.seq >= until) return archived;
      at = archived.state;
    }
  }

  async function followJournal(from: State, until: number): Promise<Followed> {
    let at = from;
    let bytes = 0;
    while (at.seq < until && (await driver.probeNext(at.seq))) {
      const next = await read(at);
      if (typeof next === "string") return { state: at, bad: { seq: at.seq + 1, because: next }, bytes };
      at = next.state;
      bytes += next.bytes;
    }
    return { state: at, bad: null, bytes };
  }

  async function read(at: State): Promise<{ state: State; bytes: number } | string> {
    const seq = at.seq + 1;
    for (let tries = 1; ; tries++) {
      const stored = await driver.get(journalKey(seq));
      const next = stored ? folded(at, stored.bytes) : "the file is gone";
      if (typeof next !== "string") return { state: next, bytes: stored!.bytes.length };
      // A last commit may still be on its way where the medium knows no hard links; one with a successor never is.
      if (tries === TORN_TRIES || (await driver.probeNext(seq))) return next;
      await clock.sleep(5 * 2 ** tries);
    }
  }

  function folded(at: State, bytes: Uint8Array): State | string {
    const commit = decodeCommit(bytes, at);
    if (typeof commit === "string") return commit;
    const next = fold(at, commit);
    return next instanceof OpsError ? `it breaks a rule of the store: ${next.message}` : next;
  }

  async function followArchive(from: State, until: number): Promise<Followed> {
    let at = from;
    while (at.seq < until) {
      const keys = await segmentsWith(at.seq + 1);
      let because = "no archive segment holds it";
      let furthest = at;
      for (const key of keys) {
        const segment = await readSegment(key);
        if (typeof segment === "string") {
          because = segment;
          continue;
        }
        const end = Math.min(segment.to, until);
        let walked = at;
        while (walked.seq < end) {
          const next = folded(walked, segment.commit(walked.seq + 1));
          if (typeof next === "string") {
            because = next;
            break;
          }
          walked = next;
        }
        if (walked.seq > furthest.seq) furthest = walked;
        if (walked.seq === end) break;
      }
      if (furthest === at) {
        const file = keys[0] ?? ARCHIVE.slice(0, -1);
        return { state: at, bad: { seq: at.seq + 1, because, file }, bytes: 0 };
      }
      at = furthest;
    }
    return { state: at, bad: null, bytes: 0 };
  }

  /** Segments that hold a number, the one that goes furthest first: of two that overlap, each is whole. */
  async function segmentsWith(seq: number): Promise<readonly string[]> {
    return (await driver.list(ARCHIVE))
      .map(rangeOfKey)
      .filter((range) => range !== null && range.from <= seq && seq <= range.to)
      .sort((a, b) => b!.to - a!.to)
      .map((range) => archiveKey(range!));
  }

  async function readSegment(key: string): Promise<Segment | string> {
    const stored = await driver.get(key);
    const segment = stored ? decodeSegment(stored.bytes) : "the segment is gone";
    if (typeof segment === "string") return segment;
    return archiveKey(segment) === key ? segment : "the segment holds other numbers than its name says";
  }

  function inARow(): (seq: number) => Promise<Uint8Array | null> {
    let segment: Segment | null = null;
    return async (seq) => {
      if (segment && segment.from <= seq && seq <= segment.to) return segment.commit(seq);
      const stored = await driver.get(journalKey(seq));
      if ((await highestFloor()) < seq) return stored?.bytes ?? null;
      segment = await segmentOf(seq);
      return segment?.commit(seq) ?? null;
    };
  }

  async function segmentOf(seq: number): Promise<Segment | null> {
    for (const key of await segmentsWith(seq)) {
      const segment = await readSegment(key);
      if (typeof segment !== "string") return segment;
    }
    return null;
  }

  const commitBytes = (seq: number): Promise<Uint8Array | null> => inARow()(seq);

  async function badCommit({ seq, because, file }: BadCommit): Promise<OpsError> {
    const key = file ?? journalKey(seq);
    if (isLater(because)) {
      return damaged(
        `commit ${seq} was written by a later version: ${because}. Nothing was changed; start that version, or a later one.`,
        { seq, because, verifiedUpTo: seq - 1, file: key, later: true },
      );
    }
    const last = (await driver.list("journal/")).reduce((max, name) => Math.max(max, seqOfKey(name) ?? 0), 0);
    const middle = file !== undefined || last > seq;
    const missing = middle ? 0 : await missingAfter(seq);
    const followed = missing > 1 ? `commits ${seq + 1} to ${seq + missing}` : `commit ${seq + 1}`;
    const which =
      missing > 0
        ? `commit ${seq}, the last one there is, is damaged: ${because}; ${followed}, which followed it, ${missing > 1 ? "are" : "is"} gone. Nothing was changed; restore journal/ from a backup, because what they recorded may have happened in AWS.`
        : `the last commit, ${seq}, is damaged: ${because}. Nothing was changed; restore ${key} from a backup, because what it recorded may have happened in AWS.`;
    return damaged(
      file !== undefined
        ? `commit ${seq} cannot be read from the archive: ${because}. Nothing was changed; restore ${key} from a backup, then start again.`
        : middle
          ? `commit ${seq} is damaged in the middle of the journal: ${because}. Nothing was changed; restore ${key} from a backup, then start again.`
          : `${which} Where there is none, run: ${command("recover")}`,
      { seq, because, verifiedUpTo: seq - 1, file: key, last: !middle, ...(missing > 0 && { missing }) },
    );
  }

  /** How many commits after the last one there is are known to have been there. */
  async function missingAfter(seq: number): Promise<number> {
    const known = await knownHead();
    const origin = readStoreId((await driver.get(STORE_ID))?.bytes ?? new Uint8Array());
    return known && typeof origin !== "string" && known.store === origin.store ? Math.max(0, known.seq - seq) : 0;
  }

  const knownHead = async (): Promise<Head | null> => readHead((await driver.get(HEAD))?.bytes);

  function cutOff(known: Head | null, end: State): OpsError | null {
    const gap = missed(known, end);
    if (!gap) return null;
    const { seq, upTo } = gap;
    const what =
      seq === end.seq
        ? `commit ${seq} is another one than was recorded under this number`
        : seq === upTo
          ? `commit ${seq}, the last one, is gone`
          : `commits ${seq} to ${upTo}, the last ones, are gone`;
    return damaged(
      `${what}. Nothing was changed; restore journal/ from a backup, because what is missing may have happened in AWS. Where there is none, run: ${command("recover")}`,
      { file: HEAD, seq: upTo, verifiedUpTo: end.seq },
    );
  }

  async function load(): Promise<Loaded> {
    const nothing = (damage: OpsError): Loaded => ({
      state: null,
      fresh: false,
      etag: null,
      checkpointBytes: 0,
      checkpointSeq: 0,
      tailBytes: 0,
      damage,
    });
    const wrong = await driver.inspect();
    if (wrong?.code === "state_unreadable") return nothing(wrong);

    const known = await knownHead();
    // The id is written before everything else, so it is read again after everything else.
    let id = await driver.get(STORE_ID);
    const checkpoint = await driver.get(CHECKPOINT);
    const seqs = (await driver.list("journal/")).map(seqOfKey).filter((seq) => seq !== null);
    const kept =
      seqs.length > 0 ||
      known !== null ||
      (await driver.list(ARCHIVE)).length > 0 ||
      (await driver.get(PREVIOUS)) !== null;
    if (!id && (checkpoint || kept)) id = await driver.get(STORE_ID);
    if (!id) {
      if (!checkpoint && !kept) {
        const now = clock.now().toISOString();
        return {
          state: emptyState("", now, ""),
          fresh: true,
          etag: null,
          checkpointBytes: 0,
          checkpointSeq: 0,
          tailBytes: 0,
          damage: wrong,
        };
      }
      const kind = checkpoint ? readCheckpoint(checkpoint.bytes).kind : null;
      return nothing(
        kind === "seed" && !kept
          ? seedAlone()
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
    const start =
      found?.kind === "checkpoint" || found?.kind === "seed"
        ? startFrom(found, origin)
        : await fallback(origin, found !== null);
    const base = start instanceof OpsError ? origin : start;
    const wrongStart =
      start instanceof OpsError || found?.kind !== "checkpoint"
        ? orNull(start)
        : await contradiction(start, CHECKPOINT);
    const { state: end, bad, bytes } = wrongStart && base !== origin ? await follow(origin) : await follow(base);
    const last = seqs.reduce((max, seq) => Math.max(max, seq), 0);

    let damage: OpsError | null = found?.kind === "seed" && !kept ? seedAlone() : (wrongStart ?? wrong);
    if (bad) damage = await badCommit(bad);
    else if (last > end.seq) damage = await badCommit({ seq: end.seq + 1, because: "the file is missing" });
    else if (found?.kind === "edited")
      damage = edited(found.document, (await follow(origin, appliedSeq(found.document))).state);
    else if (found?.kind === "malformed" && isLater(found.because)) {
      damage = damaged(
        `state.json was written by a later version: ${found.because}. Nothing was changed; start that version, or a later one.`,
        { file: CHECKPOINT, because: found.because, verifiedUpTo: end.seq, later: true },
      );
    } else if (found?.kind === "malformed") {
      damage = damaged(
        `state.json cannot be used: ${found.because}. The journal is whole up to commit ${end.seq} and nothing was changed; to have state.json written anew from it, run: ${command("recover")}`,
        { file: CHECKPOINT, because: found.because, verifiedUpTo: end.seq },
      );
    } else damage ??= cutOff(known, end);
    return {
      state: end,
      fresh: false,
      etag: checkpoint?.etag ?? null,
      checkpointBytes: checkpoint?.bytes.length ?? 0,
      checkpointSeq: wrongStart || found?.kind !== "checkpoint" ? 0 : base.seq,
      tailBytes: bytes,
      damage,
    };
  }

  /** Also beside a store.id: an import was begun there and recorded nothing yet. */
  const seedAlone = (): OpsError =>
    damaged(
      `${driver.location} holds a state.json of an earlier server and no store. Nothing was changed; to import it into a new store with its whole history, run: ${command("import", `${driver.location}/${CHECKPOINT}`)}`,
      { file: CHECKPOINT, seed: true },
    );

  const orNull = (start: State | OpsError): OpsError | null => (start instanceof OpsError ? start : null);

  /** Where to start folding, or why the checkpoint is of no use. */
  function startFrom(found: ReadCheckpoint & { kind: "checkpoint" | "seed" }, origin: State): State | OpsError {
    if (found.kind === "seed") {
      return damaged(
        `state.json is of an earlier server and does not belong to this journal. Nothing was changed; to move it to quarantine/ and have it written anew, run: ${command("recover")} (it can be imported from there)`,
        { file: CHECKPOINT },
      );
    }
    if (found.state.store === origin.store) return found.state;
    return damaged(
      `state.json belongs to another store (${found.state.store}). Nothing was changed; restore the one of ${origin.store}, or have it written anew, run: ${command("recover")}`,
      { file: CHECKPOINT },
    );
  }

  /**
   * Without a state.json of use: the one before it, else a backup, else the first commit. Where it is merely gone the
   * whole chain is read, which proves more; but no checkpoint may know of commits that are not there.
   */
  async function fallback(origin: State, unusable: boolean): Promise<State | OpsError> {
    for (const key of [PREVIOUS, ...(await backupKeys(driver))]) {
      const stored = await driver.get(key);
      const found = stored ? readCheckpoint(stored.bytes) : null;
      if (found?.kind !== "checkpoint" || found.state.store !== origin.store) continue;
      const lost = await contradiction(found.state, key);
      if (lost) return lost;
      if (unusable) return found.state;
    }
    return origin;
  }

  /** A checkpoint must stand on a commit that is there; otherwise commits were lost after it was written. */
  async function contradiction(start: State, key: string): Promise<OpsError | null> {
    if (start.seq === 0) return null;
    const under = await commitBytes(start.seq);
    if (under && sha256(under) === start.head) return null;
    return damaged(
      `${key} covers commit ${start.seq}, and the journal ${under ? "has another one under this number" : "does not have it"}. Nothing was changed; restore the journal from a backup.`,
      { seq: start.seq },
    );
  }

  const appliedSeq = (document: JsonObject): number => {
    const seq = isObject(document.journal) ? document.journal.applied_seq : undefined;
    return typeof seq === "number" ? seq : Number.POSITIVE_INFINITY;
  };

  function edited(document: JsonObject, truth: State): OpsError {
    const difference = differencesTo(document, truth);
    const paths = difference.slice(0, 3).map(({ path }) => path);
    return damaged(
      `state.json was edited by hand${paths.length > 0 ? ` (${paths.join(", ")}${difference.length > 3 ? ", …" : ""})` : ""}. Nothing was changed and nothing will be committed; to take the edit over, run: ${command("adopt-edit")}; to have state.json written anew from the journal, run: ${command("recover")}`,
      {
        file: CHECKPOINT,
        differences: difference.length,
        difference: difference.slice(0, SHOWN_DIFFERENCES),
        verifiedUpTo: truth.seq,
      },
    );
  }

  async function readEdit(): Promise<{ document: JsonObject; truth: State } | null> {
    const [id, stored] = [await driver.get(STORE_ID), await driver.get(CHECKPOINT)];
    const origin = id ? readStoreId(id.bytes) : "";
    const found = stored ? readCheckpoint(stored.bytes) : null;
    if (typeof origin === "string" || found?.kind !== "edited") return null;
    return { document: found.document, truth: (await follow(origin, appliedSeq(found.document))).state };
  }

  return {
    load,
    readEdit,
    follow,
    highestFloor,
    commitBytes,
    inARow,
    segmentOf,
    readSegment,
    knownHead,
    readStoreId,
    damaged,
    badCommit,
    edited,
  };
}
