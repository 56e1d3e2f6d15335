// The store: an append-only chain of commits, read to its end before every answer and extended by one verb that cannot race.

import type { LineageEntry, Liveness, Owner, State } from "../src/core/change.js";
import { OpsError } from "../src/core/errors.js";
import { canonicalJson, type Json, sha256 } from "../src/core/json.js";
import type { Clock, Ids, Log } from "../src/core/ports.js";
import type { Export, VerifyReport } from "../src/core/record.js";
import { adoption } from "./adopt.js";
import { CHECKPOINT, chainReader, type Loaded, STORE_ID } from "./chain.js";
import { type CheckpointLimits, checkpointer, LIMITS } from "./checkpointer.js";
import { type CompactReport, compactStore, needsCompaction } from "./compact.js";
import { journalKey, type StateDriver } from "./driver.js";
import { type Commit, decodeCommit, type Event, type EventType, encodeCommit, textOf } from "./events.js";
import { exportKey, exportOf } from "./export.js";
import { fold } from "./fold.js";
import { HEAD, headBytes } from "./head.js";
import { type KeyMeans, type Rotated, type StoreKeys, storeKeys } from "./keys.js";
import { type Leases, type LeaseWait, leasesOf, STORE_SCOPE } from "./leases.js";
import { type Owners, ownersOf } from "./owners.js";
import { quarantine, type RecoveryChoice, type RecoveryReport } from "./quarantine.js";
import { recallFrom } from "./recall.js";
import { verifyStore } from "./verify.js";

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
  /** Commits that both checkpoints cover and the archive does not: from this many on they are moved there. */
  readonly compactEvery?: number;
  /** What this machine can prove about other processes; without it only a heartbeat that stands still does. */
  readonly liveness?: Liveness;
  /** How long a lease of this process lives without a heartbeat, 60 s unless told. */
  readonly leaseMs?: number;
  /** How long the checkpoint of a day is kept in backups/. */
  readonly backupRetentionDays?: number;
  /** What wraps the keys of stored secrets; without it there are none, and fingerprints have a key file of their own. */
  readonly keys?: KeyMeans;
  /** What AWS takes and never shows of a type, by path: no edit puts it in clear into the record. Absent: names alone tell. */
  readonly writeOnly?: (type: string) => Promise<readonly string[]>;
  /** Sizes and times by which checkpoints are written, where they are not the usual ones. */
  readonly limits?: Partial<CheckpointLimits>;
}

/** Who acts in AWS: part of every commit's actor, where it is known. */
export interface CommitActor {
  readonly awsArn?: string;
  readonly client?: string;
  /** The generation of the lease the commit is made under: it is refused once another process took that over. */
  readonly epoch?: number;
}

export interface Committed {
  readonly seq: number;
  readonly state: State;
  readonly events: readonly Event[];
}

/** What a commit holds, made of the state it follows. */
export type Build = (state: State, seq: number) => readonly Event[] | OpsError;

type Fingerprint = (value: Json) => Promise<string>;

export interface Store {
  /** What only one process may do at a time. */
  readonly leases: Leases;
  /** The heartbeats of processes with open operations. */
  readonly owners: Owners;
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
  commit(build: Build, actor?: CommitActor): Promise<Committed>;
  /**
   * Every entry of a resource's lineage, oldest first: also those that the state of a large store leaves to the chain.
   * Empty for what the state does not hold. @throws OpsError `state_unreadable` where the chain does not hold them.
   */
  lineage(rid: string): Promise<readonly LineageEntry[]>;
  /**
   * A state that holds this change, its operations and what they left: the newest one, or where that leaves the change
   * to the chain, one of the change alone. Null where this store knows no such change.
   */
  recall(changeId: string): Promise<State | null>;
  /** Writes state.json now. */
  checkpoint(): Promise<void>;
  /** Writes state.json and moves the commits that it and the one before it cover into an archive segment. */
  compact(wait?: LeaseWait): Promise<CompactReport>;
  /**
   * Moves a damaged file to quarantine/ and opens the store again. Only ever on the word of a human who was shown what
   * `readOnly` says. @throws OpsError `validation_error` where the choice is not about what is wrong.
   */
  recover(choice: RecoveryChoice): Promise<RecoveryReport>;
  /**
   * The state.json of an earlier server that stands alone in the folder: what `prepare` makes of it is committed, and only
   * then does it go to quarantine/. Killed anywhere, it is still there or recorded, and opening says so.
   * @throws OpsError `validation_error` where there is none.
   */
  importInPlace(prepare: (fingerprint: Fingerprint) => Promise<Build>): Promise<Committed & RecoveryReport>;
  /**
   * Takes an edit of state.json over as a commit; then the edited file goes to quarantine/. Only on the word of a human who was
   * shown the difference. @throws OpsError `validation_error` where it is no edit, or one that cannot be adopted.
   */
  adopt(by: string): Promise<Committed>;
  /** Walks the chain from its first commit and names the first one that does not hold. Changes nothing. */
  verify(): Promise<VerifyReport>;
  /**
   * Reads the store again from disk, as a new process would: damage that was mended meanwhile no longer counts, and a
   * chain that lost what this process had read is damage. Changes nothing.
   */
  reload(): Promise<State>;
  /** The commits after a number, oldest first, at most `limit` of them. */
  commits(after: number, limit: number): Promise<readonly Commit[]>;
  /**
   * Everything that can be read of the store as one document; with `keep` also as a new file under exports/, whose name
   * is answered. A store that does not outlive the process keeps none.
   */
  export(options: { readonly keep: boolean }): Promise<Export & { readonly file: string | null }>;
  /** "Did it change?" for values that may not be kept: an HMAC under a key of this store. */
  fingerprint(value: Json): Promise<string>;
  /** Secrets that are stored, encrypted. */
  readonly keys: Omit<StoreKeys, "sign">;
  /** A new data key for what is sealed from now on; the older ones stay readable and are wrapped anew. */
  rotateKey(by: string, wait?: LeaseWait): Promise<Rotated>;
  /** A signature of this store under what it handed out, under a key of its own: no fingerprint is one. */
  sign(value: Json): Promise<string>;
  close(): Promise<void>;
}

const ATTEMPTS = 200;

const ENDS: readonly EventType[] = [
  "op.succeeded",
  "op.failed",
  "op.unknown",
  "op.parked",
  "op.resolved",
  "change.interrupted",
];

/** What has happened in AWS already: it is written with the last byte there is, and beside a state.json that is wrong. */
const OUTCOMES: ReadonlySet<EventType> = new Set<EventType>(["op.submitted", ...ENDS]);
const isOutcome = ({ type }: Event): boolean => OUTCOMES.has(type);

/** What people look for in state.json. */
const CHECKPOINTED: ReadonlySet<EventType> = new Set<EventType>([
  ...ENDS,
  "resource.imported",
  "resource.forgotten",
  "drift.accepted",
  "drift.ignored",
]);

const FULL = new Set(["ENOSPC", "EDQUOT"]);
const isFull = (error: unknown): boolean => error instanceof OpsError && FULL.has(String(error.details.cause));

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Opens a store for reading; nothing is created or changed before the first commit. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { driver, clock, ids, owner, user, client = "", version = "0.1.0", log = () => {} } = options;
  const { compactEvery = 5_000, backupRetentionDays = 30, liveness = () => "unknown", leaseMs } = options;

  const chain = chainReader({ driver, clock });
  const { damaged } = chain;
  const recall = recallFrom(chain);
  const limits = { ...LIMITS, ...options.limits };
  const saver = checkpointer({ driver, chain, clock, log, version, limits, backupRetentionDays });

  let loaded: Loaded = await chain.load();
  saver.loaded(loaded);
  /** Damage, or a medium that failed in a way a new attempt cannot mend. */
  let closedFor: OpsError | null = loaded.damage;
  /** A full disk or a missing right: asked again before the next commit. */
  let unwritable: OpsError | null = closedFor ? null : await driver.probeWritable();
  let state: State | null = loaded.state;
  /** How far this process had read before a reload found the chain damaged. */
  let lost: State | null = null;
  /** The newest commit that is known to be durable. */
  let settledSeq = 0;
  let committedHere = false;
  let reserved = false;
  /** The space set aside is in use: it is for outcomes, not for checkpoints. */
  let spent = false;
  let closing = false;
  /** The checkpoint that nobody waits for. */
  let behind: Promise<void> | null = null;
  let stopIdle = (): void => {};

  /** Whether nothing but a state.json of this version or an earlier one is wrong: the chain goes on without it. */
  const chainWhole = (): boolean => closedFor?.details.file === CHECKPOINT && closedFor.details.later !== true;

  /** The fold at the end of the chain as it is now. */
  async function head(): Promise<State> {
    if (loaded.fresh && (await driver.get(STORE_ID))) await reload();
    if (!state) throw closedFor ?? damaged("nothing in it could be verified. Nothing was changed.");
    if (loaded.fresh || (closedFor?.code === "state_unreadable" && !chainWhole())) return state;
    const { state: folded, bad, bytes } = await chain.follow(state);
    state = folded;
    saver.grew(bytes);
    if (bad) closedFor = (await follows(state)) ? await chain.badCommit(bad) : replaced(state.seq, "another one now");
    return state;
  }

  /** The newest state, which nothing can take back any more: what is answered of another process's commit has to last. */
  async function settled(): Promise<State> {
    const now = await head();
    if (now.seq <= settledSeq) return now;
    try {
      await driver.settle();
      settledSeq = now.seq;
    } catch (error) {
      if (!(error instanceof OpsError)) throw error;
      log("warn", `What was read could not be made durable. ${error.message}`, { code: error.code });
    }
    return now;
  }

  async function reload(): Promise<void> {
    loaded = await chain.load();
    state = loaded.state;
    saver.loaded(loaded);
    closedFor ??= loaded.damage;
  }

  // ── writing ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Makes the store if it is not there. Two processes that both make it end up in the same one. */
  async function ensureStore(): Promise<void> {
    if (loaded.fresh) await makeStore();
  }

  async function makeStore(): Promise<void> {
    const id = canonicalJson({ store: ids.uuid(), created: clock.now().toISOString() });
    await driver.putIfAbsent(STORE_ID, encode(`${id}\n`));
    await reload();
  }

  async function refuseUnlessWritable(events: readonly Event[] = []): Promise<void> {
    const outcome = events.some(isOutcome);
    if (closedFor && !(outcome && chainWhole())) throw closedFor;
    // An outcome is tried in any case; an intent is not begun without room for what follows it.
    if (outcome) return;
    if (unwritable || events.some(({ type }) => type === "op.intent")) unwritable = await driver.probeWritable();
    if (unwritable) throw unwritable;
  }

  /** A commit makes sure that a full disk later on leaves room for its outcomes. */
  async function keepReserve(): Promise<void> {
    if (reserved) return;
    reserved = await driver.keepReserve();
  }

  /** What a disk lost twice in a row it is not trusted with a third time. */
  function notice(error: unknown): void {
    if (!(error instanceof OpsError) || error.code !== "state_read_only") return;
    if (error.details.final === true) closedFor = error;
    else unwritable = error;
  }

  function failed(error: unknown): never {
    notice(error);
    throw error;
  }

  async function commit(build: Build, actor?: CommitActor): Promise<Committed> {
    const made = await append(build, actor);
    if (made.events.length > 0) await checkpointIfDue(made.events);
    return made;
  }

  /** A commit that leaves state.json as it is. */
  async function append(build: Build, actor: CommitActor = {}): Promise<Committed> {
    const commitId = ids.uuid();
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      let at = await head();
      const seq = at.seq + 1;
      const events = build(at, seq);
      if (events instanceof OpsError) throw events;
      if (events.length === 0) return { seq: at.seq, state: at, events };
      await refuseUnlessWritable(events);
      if (loaded.fresh) {
        await ensureStore().catch(failed);
        if (closedFor) throw closedFor;
        at = await head();
        // Somebody else's store was there first: what was built has to be built on it.
        if (at.seq + 1 !== seq) continue;
      }
      const bytes = encodeOrRefuse({
        actor: {
          awsArn: actor.awsArn ?? null,
          client: actor.client ?? client,
          host: owner.host,
          pid: owner.pid,
          session: owner.session,
          user,
        },
        commitId,
        epoch: actor.epoch ?? 0,
        events,
        prev: at.head,
        seq,
        store: at.store,
        ts: clock.now().toISOString(),
      });
      // What is folded is what the bytes say, so that this process and every later one see the same.
      const made = decodeCommit(bytes, at);
      if (typeof made === "string") throw new OpsError("internal", `A commit cannot be read back: ${made}.`);
      const next = fold(at, made);
      if (next instanceof OpsError) throw next;
      await keepReserve();
      if (await putWithReserve(made, bytes)) {
        unwritable = null;
        state = next;
        settledSeq = seq;
        committedHere = true;
        await driver.hint(HEAD, headBytes(next));
        saver.grew(bytes.length);
        return { seq, state: next, events: made.events };
      }
      // Full jitter up to 50 ms: racing processes must not meet again at the same instant.
      await clock.sleep((ids.bytes(1)[0]! / 255) * Math.min(50, 2 ** attempt));
    }
    throw new OpsError(
      "resource_busy",
      `Other processes committed first ${ATTEMPTS} times in a row. Nothing was recorded or sent; try again.`,
    );
  }

  function encodeOrRefuse(body: Omit<Commit, "hash">): Uint8Array {
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

  /** An outcome on a full disk takes the space that was set aside for it. */
  async function putWithReserve(made: Commit, bytes: Uint8Array): Promise<boolean> {
    try {
      return await put(made, bytes);
    } catch (error) {
      if (!made.events.some(isOutcome) || !isFull(error) || !(await driver.spendReserve())) throw error;
      log("warn", "The disk is full: an outcome was stored in the space that was set aside for it.", { seq: made.seq });
      reserved = false;
      spent = true;
      return put(made, bytes);
    }
  }

  /** True if the commit is in the chain, false if another one has its number. */
  async function put(made: Commit, bytes: Uint8Array): Promise<boolean> {
    const { seq, commitId } = made;
    await requireUnder(made);
    const ours = async (): Promise<boolean> => {
      const there = await driver.get(journalKey(seq));
      return there !== null && commitIdOf(there.bytes) === commitId;
    };
    try {
      if ((await driver.putIfAbsent(journalKey(seq), bytes)) === "exists") {
        if (!(await ours())) return false;
        // Made, and the answer got lost.
        await driver.settle();
      }
      return await stands(seq, commitId);
    } catch (error) {
      if (error !== closedFor && (await ours().catch(() => false))) {
        // In the chain, yet perhaps not durable: everybody will build on it, so it cannot be taken back either.
        closedFor = new OpsError(
          "state_read_only",
          `${driver.name}: commit ${seq} was written and could not be made durable. Nothing more is committed; check the disk of ${driver.location}, then start again.`,
          { details: { seq, location: driver.location, inChain: true }, cause: error },
        );
        throw closedFor;
      }
      return failed(error);
    }
  }

  /**
   * What a commit follows has to be there still: a folder that lost its journal looks like one with free numbers, and a
   * number may have been given out again.
   */
  async function requireUnder({ seq, prev }: Commit): Promise<void> {
    const under = await driver.get(seq > 1 ? journalKey(seq - 1) : STORE_ID);
    if (under && sha256(under.bytes) === prev) return;
    const kept = seq > 1 ? await chain.commitBytes(seq - 1) : (under?.bytes ?? null);
    if (kept && sha256(kept) === prev) return;
    if (kept) closedFor = replaced(seq - 1, "another one now");
    else if (await driver.get(STORE_ID)) {
      const archived = (await chain.highestFloor()) >= seq - 1;
      closedFor = await chain.badCommit({
        seq: seq - 1,
        because: archived ? "no archive segment holds it" : "the file is missing",
        ...(archived && { file: "archive" }),
      });
    } else {
      closedFor = damaged(
        "the folder is gone, or another one is in its place. Nothing was changed; restore it, then start again.",
        { file: STORE_ID },
      );
    }
    throw closedFor;
  }

  const replaced = (seq: number, what: "gone" | "another one now"): OpsError =>
    damaged(
      `${seq > 0 ? `commit ${seq}` : STORE_ID}, which this process had read, is ${what}: its number was given out again, or the folder was replaced by another or an older one. Nothing was changed; put the newest folder back if it was replaced, then start again.`,
      { seq },
    );

  /**
   * Whether a number that was free had never been taken: compaction frees numbers, and a process that slept finds one of
   * them. Its commit is in the chain only if the archive has it; else the file is its own and goes.
   */
  async function stands(seq: number, commitId: string): Promise<boolean> {
    if ((await chain.highestFloor()) < seq) return true;
    const archived = await chain.commitBytes(seq);
    if (!archived) {
      closedFor = await chain.badCommit({ seq, because: "no archive segment holds it", file: "archive" });
      throw closedFor;
    }
    if (commitIdOf(archived) === commitId) return true;
    await driver.remove([journalKey(seq)]).catch(failed);
    return false;
  }

  function commitIdOf(bytes: Uint8Array): string | null {
    return /"commit_id":"([^"]+)"/.exec(textOf(bytes) ?? "")?.[1] ?? null;
  }

  async function checkpointIfDue(events: readonly Event[]): Promise<void> {
    if (closedFor) return;
    const due = saver.due(events.some(({ type }) => CHECKPOINTED.has(type)));
    stopIdle();
    if (due === "soon") checkpointSoon();
    else if (due === "idle" && !closing) stopIdle = clock.later?.(limits.idleMs, checkpointSoon) ?? stopIdle;
    else if (due === "now") await checkpointNow();
  }

  /** The commits stand and the chain is the truth: what fails here is made up for by the next checkpoint. */
  async function checkpointNow(): Promise<void> {
    if (spent && (await driver.probeWritable())) return;
    spent = false;
    const before = saver.seq;
    try {
      await writeCheckpoint();
      if (before - (await chain.highestFloor()) >= compactEvery) await compactNow();
    } catch (error) {
      if (!(error instanceof OpsError)) throw error;
      notice(error);
      log("warn", error.message, { code: error.code });
    }
  }

  /** A large checkpoint is made beside the commits; only what is left to write takes its turn among them. */
  function checkpointSoon(): void {
    if (behind || closing || !state) return;
    const now = state;
    behind = saver
      .prepare(now, () => !closing)
      .then(() => (closing ? undefined : inTurn(checkpointNow)))
      .catch((error: unknown) => log("error", `state.json was not written: ${(error as Error).message}`))
      .finally(() => {
        behind = null;
      });
  }

  async function writeCheckpoint(): Promise<void> {
    const current = await head();
    if (closedFor) throw closedFor;
    if (loaded.fresh) return;
    try {
      state = await saver.write(current);
    } catch (error) {
      if (error instanceof OpsError && error.details.file === CHECKPOINT) closedFor = error;
      failed(error);
    }
  }

  const leases = (turn: <T>(run: () => Promise<T>) => Promise<T>): Leases =>
    leasesOf({
      driver,
      clock,
      ids,
      owner,
      user,
      liveness,
      ...(leaseMs !== undefined && { leaseMs }),
      ready: () => turn(ready),
      record: (events, epoch) => turn(() => commit(() => events, { epoch })),
    });
  const owners = ownersOf({ driver, clock, ids, log, owner, liveness, state: () => inTurn(head) });
  /** For work that has its turn already. */
  const maintenance = leases((run) => run());

  async function ready(): Promise<void> {
    await head();
    await refuseUnlessWritable();
    await ensureStore().catch(failed);
    if (closedFor) throw closedFor;
  }

  async function compactNow(wait?: LeaseWait): Promise<CompactReport> {
    const origin = chain.readStoreId((await driver.get(STORE_ID))?.bytes ?? new Uint8Array());
    if (typeof origin === "string") throw damaged(`store.id cannot be used: ${origin}.`, { file: STORE_ID });
    if (!(await needsCompaction({ driver, chain, origin }))) {
      return { archived: null, floor: await chain.highestFloor(), removed: 0 };
    }
    const lease = await maintenance.acquire(STORE_SCOPE, "compact", wait);
    if (lease instanceof OpsError) throw lease;
    try {
      return await compactStore({ driver, chain, origin, goOn: lease.heartbeat });
    } finally {
      await lease.release();
    }
  }

  // ── the rest ───────────────────────────────────────────────────────────────────────────────────────────────────

  const keys = storeKeys({
    driver,
    clock,
    ids,
    means: options.keys ?? {},
    ready,
    failed,
    damaged,
    storeId: async () => (await head()).store,
  });

  async function rotateKey(by: string, wait?: LeaseWait): Promise<Rotated> {
    await ready();
    const lease = await maintenance.acquire(STORE_SCOPE, "rotate-key", wait);
    if (lease instanceof OpsError) throw lease;
    try {
      const rotated = await keys.rotate();
      await commit(() => [{ type: "key.rotated", kid: rotated.kid, by }], { epoch: lease.generation });
      return rotated;
    } finally {
      await lease.release();
    }
  }

  async function readAgain(): Promise<State> {
    const known = lost && lost.seq > (state?.seq ?? 0) ? lost : state;
    // A write that could not be made durable is no matter of reading.
    if (closedFor === loaded.damage || closedFor?.code === "state_unreadable") closedFor = null;
    await reload();
    const now = await head();
    if (!closedFor && known && known.seq > 0 && !(await follows(known))) {
      closedFor = replaced(known.seq, now.seq < known.seq ? "gone" : "another one now");
    }
    lost = closedFor ? known : null;
    unwritable = closedFor ? null : await driver.probeWritable();
    return now;
  }

  /** Whether the chain as it is now still leads through a state that this process was in. */
  async function follows({ store, seq, head: hash }: State): Promise<boolean> {
    const bytes = seq > 0 ? await chain.commitBytes(seq) : ((await driver.get(STORE_ID))?.bytes ?? null);
    return state?.store === store && bytes !== null && sha256(bytes) === hash;
  }

  async function commitsAfter(after: number, limit: number): Promise<readonly Commit[]> {
    const end = await head();
    const bytesOf = chain.inARow();
    const before = after > 0 ? await bytesOf(after) : ((await driver.get(STORE_ID))?.bytes ?? null);
    const found: Commit[] = [];
    let at = { store: end.store, seq: after, head: before ? sha256(before) : "" };
    while (at.seq < end.seq && found.length < limit) {
      const bytes = await bytesOf(at.seq + 1);
      const commit = bytes ? decodeCommit(bytes, at) : "the file is gone";
      if (typeof commit === "string") throw await chain.badCommit({ seq: at.seq + 1, because: commit });
      found.push(commit);
      at = { ...at, seq: commit.seq, head: commit.hash };
    }
    return found;
  }

  /** The state with everything that a checkpoint left to the chain, folded again from the first commit. */
  async function unspilled(at: State): Promise<State> {
    if (!at.spilled) return at;
    const origin = chain.readStoreId((await driver.get(STORE_ID))?.bytes ?? new Uint8Array());
    if (typeof origin === "string") throw damaged(`store.id cannot be used: ${origin}.`, { file: STORE_ID });
    const { state: whole, bad } = await chain.follow(origin, at.seq);
    if (bad) throw await chain.badCommit(bad);
    return whole;
  }

  async function exported(keep: boolean): Promise<Export & { readonly file: string | null }> {
    const made = exportOf(await unspilled(await head()), version);
    if (!keep || !driver.durable || loaded.fresh) return { ...made, file: null };
    const file = exportKey(made);
    const bytes = encode(made.text);
    if ((await driver.putIfAbsent(file, bytes)) === "exists") {
      const there = await driver.get(file);
      if (!there || sha256(there.bytes) !== made.sha256) {
        throw new OpsError(
          "already_exists",
          `${file} exists in ${driver.location} and is not this export. It was left as it is; move it elsewhere, then try again.`,
        );
      }
    }
    return { ...made, file };
  }

  async function recover(choice: RecoveryChoice): Promise<RecoveryReport> {
    await reload();
    const unable = await driver.probeWritable();
    if (unable) throw unable;
    const report = await quarantine(driver, choice, loaded.damage);
    log("warn", `Moved to ${report.quarantined}.`, { choice, operations: report.operations });
    closedFor = null;
    lost = null;
    await reload();
    if (!closedFor && choice === "checkpoint") await writeCheckpoint();
    return report;
  }

  async function adopt(by: string): Promise<Committed> {
    await reload();
    const edit = closedFor?.details.file === CHECKPOINT ? await chain.readEdit() : null;
    if (!edit || !state) {
      throw new OpsError("validation_error", "There is no edit of state.json to adopt. Nothing was changed.");
    }
    const paths = new Map<string, readonly string[]>();
    for (const { ref } of state.resources.values()) {
      if (!paths.has(ref.type)) paths.set(ref.type, (await options.writeOnly?.(ref.type)) ?? []);
    }
    const hidden = (type: string) => paths.get(type) ?? [];
    return (await takeOver((now) => [adoption(edit.document, edit.truth, now, by, hidden)])).committed;
  }

  async function importInPlace(
    prepare: (fingerprint: Fingerprint) => Promise<Build>,
  ): Promise<Committed & RecoveryReport> {
    await reload();
    if (closedFor?.details.seed !== true) {
      throw new OpsError(
        "validation_error",
        "No state.json of an earlier server stands here alone. Nothing was changed.",
      );
    }
    const unable = await driver.probeWritable();
    if (unable) throw unable;
    await makeStore().catch(failed);
    const { committed, report } = await takeOver(await opened(() => prepare((value) => keys.fingerprint(value))));
    return { ...committed, ...report };
  }

  /** Commits what a state.json that is not ours says, and only then moves that aside. */
  async function takeOver(build: Build): Promise<{ committed: Committed; report: RecoveryReport }> {
    const committed = await opened(() => append(build));
    return { committed, report: await recover("checkpoint") };
  }

  /** Work that a state.json which is not ours does not keep from committing. */
  async function opened<T>(run: () => Promise<T>): Promise<T> {
    closedFor = null;
    try {
      return await run();
    } finally {
      closedFor ??= loaded.damage;
    }
  }

  // One thing at a time within this process: the race that matters is the one with other processes.
  let queue: Promise<unknown> = Promise.resolve();
  function inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = queue.then(run);
    queue = turn.catch(() => {});
    return turn;
  }

  async function prepared<T>(run: () => Promise<T>): Promise<T> {
    if (state && !closedFor) await saver.prepare(state, () => !closing);
    return inTurn(run);
  }

  return {
    leases: leases(inTurn),
    owners,
    location: driver.location,
    durable: driver.durable,
    get readOnly() {
      return closedFor ?? unwritable;
    },
    state: () => inTurn(settled),
    commit: (build, actor) => inTurn(() => commit(build, actor)),
    async lineage(rid) {
      const at = await inTurn(head);
      const resource = at.resources.get(rid);
      return resource ? recall.lineage(at, resource) : [];
    },
    async recall(changeId) {
      const at = await inTurn(head);
      return at.changes.has(changeId) ? at : recall.change(at, changeId);
    },
    checkpoint: () =>
      prepared(async () => {
        await refuseUnlessWritable();
        await writeCheckpoint();
      }),
    compact: (wait) =>
      prepared(async () => {
        await refuseUnlessWritable();
        await writeCheckpoint();
        return loaded.fresh ? { archived: null, floor: 0, removed: 0 } : await compactNow(wait);
      }),
    importInPlace: (prepare) => inTurn(() => importInPlace(prepare)),
    adopt: (by) => inTurn(() => adopt(by)),
    recover: (choice) => inTurn(() => recover(choice)),
    verify: () => inTurn(() => verifyStore({ driver, chain, fresh: loaded.fresh })),
    reload: () => inTurn(readAgain),
    commits: (after, limit) => inTurn(() => commitsAfter(after, limit)),
    export: ({ keep }) => inTurn(() => exported(keep)),
    fingerprint: (value) => inTurn(() => keys.fingerprint(value)),
    keys: {
      fingerprint: (value) => inTurn(() => keys.fingerprint(value)),
      seal: (place, value) => inTurn(() => keys.seal(place, value)),
      open: (place, envelope) => inTurn(() => keys.open(place, envelope)),
      problem: () => inTurn(keys.problem),
    },
    rotateKey: (by, wait) => inTurn(() => rotateKey(by, wait)),
    sign: (value) => inTurn(() => keys.sign(value)),
    async close() {
      closing = true;
      stopIdle();
      await behind;
      await inTurn(async () => {
        if (committedHere && !closedFor && !unwritable) await writeCheckpoint();
        await driver.close();
      });
    },
  };
}
