// The store: an append-only chain of commits, read to its end before every answer and extended by one verb that cannot race.

import { createHmac } from "node:crypto";
import type { Owner, State } from "../src/core/change.js";
import { OpsError } from "../src/core/errors.js";
import { canonicalJson, diff, isObject, type Json, type JsonObject, sha256 } from "../src/core/json.js";
import type { Clock, Ids, Log } from "../src/core/ports.js";
import { checkpointDocument, checkpointText, type ReadCheckpoint, readCheckpoint } from "./checkpoint.js";
import { journalKey, type StateDriver, seqOfKey } from "./driver.js";
import { type Commit, decodeCommit, type Event, type EventType, encodeCommit, textOf } from "./events.js";
import { emptyState, fold } from "./fold.js";

export interface StoreOptions {
  readonly driver: StateDriver;
  readonly clock: Clock;
  readonly ids: Ids;
  /** This process, as operations it begins will name it. */
  readonly owner: Owner;
  /** The person at the machine, for the record. */
  readonly user: string;
  /** The MCP client this process serves, for the record. */
  readonly client?: string;
  readonly version?: string;
  readonly log?: Log;
}

/** Who acts in AWS: part of every commit's actor, where it is known. */
export interface CommitActor {
  readonly awsArn?: string;
  readonly client?: string;
}

export interface Committed {
  readonly seq: number;
  readonly state: State;
  readonly events: readonly Event[];
}

export interface VerifyReport {
  readonly ok: boolean;
  readonly store: string;
  /** How many commits were verified, from the first on. */
  readonly commits: number;
  readonly head: string;
  readonly firstBad: { readonly seq: number; readonly because: string } | null;
  readonly checkpoint: { readonly ok: boolean; readonly appliedSeq: number | null; readonly because?: string };
  /** Where the head is also written down outside the folder; without one, a rewrite of the whole chain cannot be seen. */
  readonly anchored: readonly string[];
}

export interface Store {
  readonly location: string;
  /** False: the record ends with this process. */
  readonly durable: boolean;
  /** Why nothing may be committed, or null. `state_unreadable`: what `state()` answers ends before the damage. */
  readonly readOnly: OpsError | null;
  /** Everything committed so far, by any process. Rejects where damage leaves nothing that can be verified. */
  state(): Promise<State>;
  /**
   * Commits what `build` makes of the newest state, or throws the OpsError it returns. When another process commits
   * first, `build` is called again with the newer state and number, so that every precondition holds on the state the
   * commit really follows. No events: no commit.
   */
  commit(build: (state: State, seq: number) => readonly Event[] | OpsError, actor?: CommitActor): Promise<Committed>;
  /** Writes state.json now. */
  checkpoint(): Promise<void>;
  /** Walks the chain from its first commit and names the first one that does not hold. Changes nothing. */
  verify(): Promise<VerifyReport>;
  /** "Did it change?" for values that may not be kept: an HMAC under a key of this store. */
  fingerprint(value: Json): Promise<string>;
  close(): Promise<void>;
}

const STORE_ID = "store.id";
const CHECKPOINT = "state.json";
const KEY = "key";

const MiB = 1024 * 1024;
const ATTEMPTS = 200;
const TORN_TRIES = 6;
const SHOWN_DIFFERENCES = 50;

const OUTCOMES: ReadonlySet<EventType> = new Set<EventType>([
  "op.succeeded",
  "op.failed",
  "op.unknown",
  "op.parked",
  "op.resolved",
  "change.interrupted",
  "resource.imported",
  "resource.forgotten",
  "drift.accepted",
  "drift.ignored",
]);

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

interface Loaded {
  /** Null: nothing could be verified. */
  readonly state: State | null;
  readonly fresh: boolean;
  readonly etag: string | null;
  readonly checkpointBytes: number;
  readonly damage: OpsError | null;
}

interface BadCommit {
  readonly seq: number;
  readonly because: string;
}

/** Opens a store for reading; nothing is created or changed before the first commit. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { driver, clock, ids, owner, user, client = "", version = "0.1.0", log = () => {} } = options;

  const damaged = (message: string, details: Record<string, unknown> = {}): OpsError =>
    new OpsError("state_unreadable", `${driver.name}: ${message}`, {
      details: { location: driver.location, ...details },
    });

  let loaded: Loaded = await load();
  /** Damage, or a medium that failed in a way a new attempt cannot mend. */
  let closedFor: OpsError | null = loaded.damage;
  /** A full disk or a missing right: asked again before the next commit. */
  let unwritable: OpsError | null = closedFor ? null : await driver.probeWritable();
  let state: State | null = loaded.state;
  let checkpointedSeq = state?.seq ?? 0;
  let tailBytes = 0;
  let committedHere = false;
  let key: Uint8Array | null = null;

  // ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────

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

    const origin = readStoreId(id.bytes);
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
      damage = edited(found.document, await follow(origin, appliedSeq(found.document)));
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

  function edited(document: JsonObject, { state: truth }: { state: State }): OpsError {
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

  /** The fold at the end of the chain as it is now. */
  async function head(): Promise<State> {
    if (loaded.fresh && (await driver.get(STORE_ID))) await reload();
    if (!state) throw closedFor ?? damaged("nothing in it could be verified. Nothing was changed.");
    if (loaded.fresh || closedFor?.code === "state_unreadable") return state;
    const { state: folded, bad } = await follow(state);
    state = folded;
    if (bad) closedFor = badCommit(bad, await driver.probeNext(bad.seq));
    return state;
  }

  async function reload(): Promise<void> {
    loaded = await load();
    state = loaded.state;
    checkpointedSeq = state?.seq ?? 0;
    closedFor ??= loaded.damage;
  }

  // ── writing ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Makes the store if it is not there. Two processes that both make it end up in the same one. */
  async function ensureStore(): Promise<void> {
    if (!loaded.fresh) return;
    const id = canonicalJson({ store: ids.uuid(), created: clock.now().toISOString() });
    await driver.putIfAbsent(STORE_ID, encode(`${id}\n`));
    await reload();
  }

  async function refuseUnlessWritable(): Promise<void> {
    if (closedFor) throw closedFor;
    if (unwritable) unwritable = await driver.probeWritable();
    if (unwritable) throw unwritable;
  }

  function failed(error: unknown): never {
    if (error instanceof OpsError && error.code === "state_read_only") unwritable = error;
    throw error;
  }

  async function commit(
    build: (state: State, seq: number) => readonly Event[] | OpsError,
    actor: CommitActor = {},
  ): Promise<Committed> {
    const commitId = ids.uuid();
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      let at = await head();
      const seq = at.seq + 1;
      const events = build(at, seq);
      if (events instanceof OpsError) throw events;
      if (events.length === 0) return { seq: at.seq, state: at, events };
      await refuseUnlessWritable();
      if (loaded.fresh) {
        await ensureStore().catch(failed);
        if (closedFor) throw closedFor;
        at = await head();
        // Somebody else's store was there first: what was built has to be built on it.
        if (at.seq + 1 !== seq) continue;
      }
      const { bytes, commit: made } = encodeOrRefuse({
        actor: {
          awsArn: actor.awsArn ?? null,
          client: actor.client ?? client,
          host: owner.host,
          pid: owner.pid,
          session: owner.session,
          user,
        },
        commitId,
        epoch: 0,
        events,
        prev: at.head,
        seq,
        store: at.store,
        ts: clock.now().toISOString(),
      });
      const next = fold(at, made);
      if (next instanceof OpsError) throw next;
      if (await put(made, bytes)) {
        state = next;
        committedHere = true;
        tailBytes += bytes.length;
        await checkpointIfDue(events);
        return { seq, state: next, events };
      }
      // Full jitter up to 50 ms: racing processes must not meet again at the same instant.
      await clock.sleep((ids.bytes(1)[0]! / 255) * Math.min(50, 2 ** attempt));
    }
    throw new OpsError(
      "resource_busy",
      `Other processes committed first ${ATTEMPTS} times in a row. Nothing was recorded or sent; try again.`,
    );
  }

  function encodeOrRefuse(body: Omit<Commit, "hash">): { bytes: Uint8Array; commit: Commit } {
    try {
      return encodeCommit(body);
    } catch (cause) {
      if (cause instanceof TypeError) {
        throw new OpsError(
          "validation_error",
          `The change cannot be recorded: ${cause.message}. Nothing was recorded or sent; leave out the character or number.`,
          { cause },
        );
      }
      throw new OpsError("internal", "An event has a shape the store does not know. Nothing was recorded or sent.", {
        cause,
      });
    }
  }

  /** True if the commit is in the chain, false if another one has its number. */
  async function put({ seq, commitId }: Commit, bytes: Uint8Array): Promise<boolean> {
    // A folder that lost its journal looks like one with free numbers.
    if (seq > 1 && !(await driver.probeNext(seq - 2))) {
      closedFor = badCommit({ seq: seq - 1, because: "the file is missing" }, false);
      throw closedFor;
    }
    try {
      if ((await driver.putIfAbsent(journalKey(seq), bytes)) === "created") return true;
    } catch (error) {
      const there = await driver.get(journalKey(seq)).catch(() => null);
      if (there && commitIdOf(there.bytes) === commitId) {
        // In the chain, yet perhaps not durable: everybody will build on it, so it cannot be taken back either.
        closedFor = new OpsError(
          "state_read_only",
          `${driver.name}: commit ${seq} was written and could not be made durable. Nothing more is committed; check the disk of ${driver.location}, then start again.`,
          { details: { seq, location: driver.location }, cause: error },
        );
        throw closedFor;
      }
      return failed(error);
    }
    const there = await driver.get(journalKey(seq));
    return there !== null && commitIdOf(there.bytes) === commitId;
  }

  function commitIdOf(bytes: Uint8Array): string | null {
    return /"commit_id":"([^"]+)"/.exec(textOf(bytes) ?? "")?.[1] ?? null;
  }

  async function checkpointIfDue(events: readonly Event[]): Promise<void> {
    const size = loaded.checkpointBytes;
    const due =
      size <= 2 * MiB ? events.some(({ type }) => OUTCOMES.has(type)) : tailBytes > Math.max(4 * MiB, size / 4);
    if (!due) return;
    try {
      await writeCheckpoint();
    } catch (error) {
      // The commit stands and the chain is the truth; the next checkpoint covers this one.
      if (!(error instanceof OpsError)) throw error;
      if (error.code === "state_read_only") unwritable = error;
      log("warn", error.message, { code: error.code });
    }
  }

  async function writeCheckpoint(): Promise<void> {
    const current = await head();
    if (closedFor) throw closedFor;
    if (loaded.fresh || (current.seq === checkpointedSeq && loaded.etag !== null)) return;
    const bytes = encode(checkpointText(checkpointDocument(current, version)));
    for (let attempt = 0; attempt < 5; attempt++) {
      const put = await driver.putIfMatch(CHECKPOINT, bytes, loaded.etag, true).catch(failed);
      if (put !== "conflict") {
        loaded = { ...loaded, etag: put.etag, checkpointBytes: bytes.length };
        checkpointedSeq = current.seq;
        tailBytes = 0;
        return;
      }
      const other = await driver.get(CHECKPOINT);
      loaded = { ...loaded, etag: other?.etag ?? null };
      if (!other) continue;
      const found = readCheckpoint(other.bytes);
      if (found.kind !== "checkpoint" || found.state.store !== current.store) {
        closedFor =
          found.kind === "edited"
            ? edited(found.document, { state: current })
            : damaged("state.json was replaced by something else while the store was in use. It was left as it is.", {
                file: CHECKPOINT,
              });
        throw closedFor;
      }
      if (found.state.seq >= current.seq) {
        checkpointedSeq = current.seq;
        tailBytes = 0;
        return;
      }
    }
  }

  // ── the rest ───────────────────────────────────────────────────────────────────────────────────────────────────

  async function verify(): Promise<VerifyReport> {
    const id = await driver.get(STORE_ID);
    const stored = await driver.get(CHECKPOINT);
    const origin = id ? readStoreId(id.bytes) : loaded.fresh ? emptyState("", "", "") : "it is missing";
    const blank = { ok: false, store: "", commits: 0, head: "", anchored: [] };
    if (typeof origin === "string") {
      return {
        ...blank,
        firstBad: { seq: 0, because: `store.id: ${origin}` },
        checkpoint: { ok: false, appliedSeq: null, because: "there is no store to compare it with" },
      };
    }
    const found = stored ? readCheckpoint(stored.bytes) : null;
    const at = found?.kind === "checkpoint" ? found.state.seq : 0;
    const early = await follow(origin, at);
    const { state: end, bad } = early.bad ? early : await follow(early.state);
    const last = (await driver.list("journal/")).reduce((max, name) => Math.max(max, seqOfKey(name) ?? 0), 0);
    const firstBad = bad ?? (last > end.seq ? { seq: end.seq + 1, because: "the file is missing" } : null);
    const checkpoint = compared(found, early.state);
    return {
      ok: firstBad === null && checkpoint.ok,
      store: origin.store,
      commits: end.seq,
      head: end.head,
      firstBad,
      checkpoint,
      anchored: [],
    };
  }

  function compared(found: ReadCheckpoint | null, truth: State): VerifyReport["checkpoint"] {
    if (found === null) return { ok: true, appliedSeq: null };
    if (found.kind === "edited") return { ok: false, appliedSeq: null, because: "it was edited by hand" };
    if (found.kind === "seed") return { ok: false, appliedSeq: null, because: "it is of an earlier server" };
    if (found.kind === "malformed") return { ok: false, appliedSeq: null, because: found.because };
    const appliedSeq = found.state.seq;
    if (truth.seq !== appliedSeq) return { ok: false, appliedSeq, because: "the journal ends before it" };
    const same = canonicalJson(checkpointDocument(truth, "")) === canonicalJson(checkpointDocument(found.state, ""));
    return same ? { ok: true, appliedSeq } : { ok: false, appliedSeq, because: "it is not what the journal says" };
  }

  async function storeKey(): Promise<Uint8Array> {
    if (key) return key;
    let stored = await driver.get(KEY);
    if (!stored) {
      await head();
      await refuseUnlessWritable();
      await ensureStore().catch(failed);
      await driver.putIfAbsent(KEY, encode(`${Buffer.from(ids.bytes(32)).toString("hex")}\n`)).catch(failed);
      stored = await driver.get(KEY);
    }
    const text = stored && textOf(stored.bytes);
    if (!text || !/^[0-9a-f]{64}\n$/.test(text)) {
      throw damaged("its key file is damaged. Nothing was changed; restore it from a backup.", { file: KEY });
    }
    key = Buffer.from(text.trim(), "hex");
    return key;
  }

  // One thing at a time within this process: the race that matters is the one with other processes.
  let queue: Promise<unknown> = Promise.resolve();
  function inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = queue.then(run);
    queue = turn.catch(() => {});
    return turn;
  }

  return {
    location: driver.location,
    durable: driver.durable,
    get readOnly() {
      return closedFor ?? unwritable;
    },
    state: () => inTurn(head),
    commit: (build, actor) => inTurn(() => commit(build, actor)),
    checkpoint: () =>
      inTurn(async () => {
        await refuseUnlessWritable();
        await writeCheckpoint();
      }),
    verify: () => inTurn(verify),
    fingerprint: (value) =>
      inTurn(async () =>
        createHmac("sha256", await storeKey())
          .update(canonicalJson(value))
          .digest("hex"),
      ),
    close: () =>
      inTurn(async () => {
        if (committedHere && !closedFor && !unwritable) await writeCheckpoint();
        await driver.close();
      }),
  };
}
