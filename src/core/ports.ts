// Every effect, as an interface. Tools hold readers only; the gate alone holds the writer.

import type { Outcome } from "./call.js";
import type {
  Caller,
  Change,
  ChangeStep,
  CutOff,
  LineageEntry,
  ReaderName,
  Resolution,
  ResourceRef,
  Revision,
  RiskLevel,
  Seen,
  State,
} from "./change.js";
import type { ScalingReads } from "./content/auto-scaling.js";
import type { CostReader, PriceReader } from "./content/costs.js";
import type { DatabaseReads } from "./content/databases.js";
import type { DeploymentReads } from "./content/deployments.js";
import type { InstanceReads } from "./content/instances.js";
import type { BalancingReads } from "./content/load-balancers.js";
import type { GroupReference, GroupUser } from "./content/security-groups.js";
import type { Contents, Region, ResourceSchema } from "./content.js";
import type { ErrorCode, OpsError } from "./errors.js";
import type { Difference, Json, JsonObject } from "./json.js";
import type { Page } from "./page.js";
import type { TaggedReads } from "./tagged.js";
import type { TaggingPorts, TagPolicyReads } from "./tagging.js";
import type { Attribution, TrailPage, TrailQuery } from "./trail.js";

export interface Clock {
  now(): Date;
  /** Resolves after `ms`, or rejects with the signal's reason. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Milliseconds since some moment, which nobody can set: for how long something lasted, never for when. */
  monotonic(): number;
  /** Runs it after `ms` unless the answer is called first. Keeps no process alive. Absent: such work waits for others. */
  later?(ms: number, run: () => void): () => void;
}

export interface Ids {
  uuid(): string;
  /** Random bytes from the system's generator. */
  bytes(count: number): Uint8Array;
}

/** AWS's key service, to wrap the store's own keys with. Neither call changes a resource. */
export interface Kms {
  /** A fresh 32-byte key, in clear and encrypted under `keyId`; `keyId` in the answer is the key's ARN. */
  generate(
    keyId: string,
    context: Readonly<Record<string, string>>,
  ): Promise<{ readonly keyId: string; readonly key: Uint8Array; readonly ciphertext: Uint8Array }>;
  decrypt(keyId: string, ciphertext: Uint8Array, context: Readonly<Record<string, string>>): Promise<Uint8Array>;
}

export type Log = (
  level: "debug" | "info" | "warn" | "error",
  message: string,
  facts?: Readonly<Record<string, unknown>>,
) => void;

export interface Identity {
  readonly account: string;
  readonly arn: string;
  readonly credentialSource: string;
  readonly credentialExpiry?: string;
}

export interface ListQuery {
  readonly ids?: readonly string[];
  /** AWS filters: name → values. */
  readonly filters?: Readonly<Record<string, readonly string[]>>;
  readonly limit?: number;
  readonly cursor?: string;
}

/** What an account is called: on the operator's list, else by IAM. */
export interface AccountAlias {
  /** As far as it is known. */
  known(): string | undefined;
  /** Asks IAM, once; where that may not be asked nothing is known, and nothing fails. */
  ask(): Promise<string | undefined>;
}

/**
 * Live AWS for one account and region. Every method throws an OpsError when AWS cannot say; `null` means that AWS
 * says the resource does not exist, and nothing else ever does.
 */
export interface AwsReader {
  readonly account: string;
  readonly region: string;
  readonly identity: Identity;
  /** The allow-listed account whose credentials these are; absent: the server's own. */
  readonly via?: string;
  readonly alias?: AccountAlias;
  get<T extends keyof Contents>(type: T, id: string): Promise<Contents[T] | null>;
  list<T extends keyof Contents>(type: T, query: ListQuery): Promise<Page<Contents[T]>>;
  regions(): Promise<readonly Region[]>;
  readonly deployments: DeploymentReads;
  readonly instances: InstanceReads;
  readonly scaling: ScalingReads;
  readonly balancing: BalancingReads;
  groupUsers(groupId: string): Promise<readonly GroupUser[]>;
  /** The other groups whose rules let traffic through from or to this one. */
  groupReferences(groupId: string): Promise<readonly GroupReference[]>;
  /** Tags of any type, wherever the resources live. */
  readonly tagged: TaggedReads;
  readonly tagPolicies: TagPolicyReads;
  readonly databases: DatabaseReads;
  resource(type: string, id: string): Promise<JsonObject | null>;
  resources(
    type: string,
    model: JsonObject | undefined,
    cursor?: string,
  ): Promise<Page<{ id: string; properties: JsonObject }>>;
  schema(type: string): Promise<ResourceSchema>;
  /** The content of a resource by the reader that is asked for: what guards, drift and read-backs compare. */
  content(ref: ResourceRef, reader: ReaderName): Promise<JsonObject | null>;
  /** The calls that changed a resource in a time, as CloudTrail recorded them. Its limit of two requests a second is kept here. */
  trail(query: TrailQuery): Promise<TrailPage>;
  /** Cost Explorer and the price list of the account's partition, wherever this reader looks. */
  readonly costs: CostReader;
  readonly prices: PriceReader;
  /** Asks AWS whether the step would be accepted (EC2 DryRun); returns where the service has no such question. */
  preflight(step: ChangeStep): Promise<void>;
}

/** What AWS answered to a write. */
export interface Sent {
  /** The handle of work that goes on in AWS, by which it is followed. Absent: the call itself was the work. */
  readonly requestToken?: string;
  readonly awsRequestId?: string;
  /** What the call made or changed, as AWS names it. */
  readonly identifiers: readonly string[];
}

export interface Progress {
  readonly status: "pending" | "succeeded" | "failed";
  readonly identifier?: string;
  /** Of a failure: our code for it. `aws_failed` and `outcome_unknown` say that something may have been done. */
  readonly code?: ErrorCode;
  readonly awsCode?: string;
  readonly message?: string;
  /** Of work whose parts can be counted: how many are done. */
  readonly done?: { readonly count: number; readonly of: number };
  readonly retryAfterMs?: number;
  /** Of pending work: nothing is going on that would bring it about. */
  readonly atRest?: true;
  /**
   * A failure that a new request may mend: `refused` before anything was done, `unproven` where a read has to show that
   * nothing was.
   */
  readonly again?: "refused" | "unproven";
  /** Of a conflict: the other request that AWS is working on. */
  readonly inFlight?: { readonly requestToken: string; readonly operation: string; readonly since?: string };
}

/** How a call may be sent a second time: by AWS's own token, because its target is a state, or not at all. */
export type Idempotency = "token" | "natural" | "none";

/**
 * The sole writer. `send` throws an OpsError: code `outcome_unknown` when AWS may have acted, every other code when it
 * has not.
 */
export interface AwsWriter {
  idempotency(step: ChangeStep): Idempotency;
  send(
    step: ChangeStep,
    /** `attempt` above 0 is a new request to AWS, under a token of its own that follows from the operation's. */
    op: { readonly id: string; readonly clientToken: string; readonly attempt?: number },
    signal?: AbortSignal,
  ): Promise<Sent>;
  /** How many of these steps, from the first on, one call can carry: equal ones but for the resource. */
  batch(steps: readonly ChangeStep[]): number;
  /** One call for steps that go together: what AWS answered for each, in their order. Throws as `send` where it has no answer. */
  sendTogether(
    steps: readonly ChangeStep[],
    op: { readonly id: string; readonly clientToken: string },
  ): Promise<readonly (Sent | OpsError)[]>;
  /** Whether the work goes on after AWS has answered by reads of its own, so that a call that was taken is not yet done. */
  follows(step: ChangeStep): boolean;
  /** For how long such work is looked after; then somebody has to decide what became of it. */
  followedHours(step: ChangeStep): number;
  /**
   * How far the work is. Without a handle, where `follows`: the answer was lost, and live shows that the call was taken.
   * `since`: when the call was about to be sent.
   */
  poll(step: ChangeStep, requestToken?: string, since?: string): Promise<Progress>;
  /** The step that asks AWS to stop work in progress; null where AWS has no such call, or nothing to stop. */
  stopping(step: ChangeStep, requestToken?: string): Promise<ChangeStep | null>;
  /** What an operation of this id made, found by its mark in AWS; `null` where the service bears no mark. */
  find(step: ChangeStep, op: { readonly id: string; readonly clientToken: string }): Promise<readonly string[] | null>;
  /** Whether AWS is at work on a request that may be this step's; false where a call is done once it is answered. */
  atWork(step: ChangeStep): Promise<boolean>;
}

/** A resource as a plan would leave it; secrets in it are fingerprints. */
export interface Scanned {
  readonly type: string;
  readonly properties: JsonObject;
}

/** What one installed scanner said, or why it could not. What it says is its own text, and data. */
export interface ScanReport {
  readonly scanner: string;
  readonly version?: string;
  /** Set where it did not finish: then it said nothing. */
  readonly failure?: string;
  readonly passed: number;
  readonly findings: readonly {
    readonly rule: string;
    /** Where the scanner names one. */
    readonly severity?: RiskLevel;
    readonly message: string;
    /** Which of the scanned resources. */
    readonly resource: number;
  }[];
}

/** Runs whatever scanners are installed; none is no report. Never throws, and never sees credentials. */
export type Scan = (resources: readonly Scanned[]) => Promise<readonly ScanReport[]>;

/** An account on the operator's list: how it is named, and whose credentials it is reached with. */
export type ListedAccount = { readonly name: string } & (
  | { readonly profile: string; readonly roleArn?: undefined }
  | { readonly roleArn: string; readonly profile?: undefined }
);

/** The accounts a call may name: the server's own, and those on the operator's list. */
export interface Accounts {
  /** The list, in its order; `account` where it is known without asking AWS. */
  readonly allowed: readonly { readonly name: string; readonly account?: string }[];
  /**
   * Whose credentials a name means: a name of the list, a profile or role of it, or an account id. Undefined: the server's own.
   * @throws OpsError unknown_account
   */
  named(name: string): Promise<string | undefined>;
  /** Whose credentials reach the account, rather those of this identity; null where none of several do. */
  reaching(account: string, arn?: string): Promise<{ readonly via: string | undefined } | null>;
}

/**
 * AWS as a whole: readers and the writer for the account and region of a call. Opens no connection before first use.
 * `via` is an account of the list; without it everything is done with the server's own credentials.
 */
export interface Aws {
  readonly accounts: Accounts;
  /** The configured region, if any; of a listed profile its own, if it has one. */
  defaultRegion(via?: string): Promise<string | undefined>;
  reader(region: string, via?: string): Promise<AwsReader>;
  writer(region: string, via?: string): AwsWriter;
  close(): void;
}

/** Pointers of the lists without an order in a content, as far as its type's schema is known; `*` for any element. */
export type Unordered = (seen: Pick<Seen, "ref" | "reader">) => readonly string[];

/** What this session has been shown. */
export interface Ledger {
  /** What a revision showed, or null if this server never handed it out or has dropped it. */
  seen(revision: Revision): SeenRecord | null;
  /** The newest record of everything shown, with the read that shows it again. */
  entries(): readonly {
    readonly record: SeenRecord;
    readonly readWith: { readonly tool: string; readonly arguments: JsonObject };
    /** AWS says it no longer exists. */
    readonly gone: boolean;
    /** Another look was tried since it was last known to be true, and showed nothing. */
    readonly unverified?: Unverified;
    /** What an answer to the caller last showed of it, whatever looks of the server's own found since. */
    readonly shown: SeenRecord;
  }[];
}

/** Since when looks have shown nothing, and what the first of them came to: the code of a failure, or `not_found` once. */
export interface Unverified {
  readonly since: string;
  readonly because: ErrorCode;
}

export interface SeenRecord extends Seen {
  readonly cutOff: readonly CutOff[];
  readonly revision: Revision;
  readonly observedAt: string;
}

/** What revisions showed, kept beyond the process that handed them out. A cache: what it has lost is stale. */
export interface SeenShelf {
  keep(record: SeenRecord): void;
  find(revision: Revision): Promise<SeenRecord | null>;
  /** Resolves once everything kept so far is written. */
  settled(): Promise<void>;
}

/** A resource type as one account sees it in one region: private types and AWS's own versions differ. */
export interface TypeAt {
  readonly account: string;
  readonly region: string;
  readonly type: string;
}

/** What AWS's registry said of types, kept beyond the process that asked. A cache: what it has lost is asked again. */
export interface SchemaShelf {
  keep(of: TypeAt, document: JsonObject, at: string): void;
  find(of: TypeAt): Promise<{ readonly document: JsonObject; readonly at: string } | null>;
  /** Resolves once everything kept so far is written. */
  settled(): Promise<void>;
}

/** What may be answered from a cache. Infrastructure never is: nothing that a change could be planned from. */
export type DataClass = "compliance" | "costs" | "schemas" | "regions" | "prices";

/** Where cached answers are kept, as text. Every verb may reject, and the cache then goes without. */
export interface CacheStore {
  readonly name: string;
  get(key: string): Promise<string | null>;
  set(key: string, text: string, ttlSeconds: number): Promise<void>;
  /** Every key that begins so; whatever else is kept in the same place stays. */
  deletePrefix(prefix: string): Promise<void>;
}

/** All that an answer depends on besides account, principal and its data class. */
export interface CacheQuestion {
  /** Lists in it have an order. */
  readonly ask: JsonObject;
  /** Lists that are sets: another order, or a member twice, is the same question. */
  readonly sets?: Readonly<Record<string, readonly string[]>>;
  /** Absent: the answer is the whole account's, wherever it is asked. */
  readonly region?: string;
  /** The cache is not read, and still written. */
  readonly forceRefresh?: boolean;
}

export interface Loaded<T extends Json> {
  readonly value: T;
  /** False: some of it could not be read. It is answered, and never kept as if it were all. */
  readonly whole: boolean;
}

export interface Cached<T extends Json> {
  readonly value: T;
  readonly source: "live" | "cache";
  /** When it was asked of AWS. */
  readonly readAt: string;
  readonly ageSeconds: number;
}

/**
 * The answer to a question of a cached data class, from the cache or by `load`, which says what each call cost. The
 * pipeline puts source, age and cost into the tool's answer.
 */
export type CachedRead = <T extends Json>(
  dataClass: DataClass,
  question: CacheQuestion,
  load: (billed: (usd: number) => void) => Promise<Loaded<T>>,
) => Promise<Cached<T>>;

/** Everything a tool may hold. There is no writer in it. */
export interface ReadPorts {
  readonly aws: AwsReader;
  readonly cached: CachedRead;
  readonly tagging: TaggingPorts;
  readonly state: State;
  /** Every entry of a resource's lineage, oldest first; the state of a large store holds the newest ones only. */
  lineage(rid: string): Promise<readonly LineageEntry[]>;
  readonly ledger: Ledger;
  readonly now: Date;
  readonly caller: Caller;
  readonly mode: Mode;
  /** The revision under which this answer shows a content. */
  revision(seen: Seen): Revision;
  progress(message: string, done?: number, total?: number): void;
  /**
   * Who made changes, by CloudTrail: one answer a change, in the order asked, worst first. Never fails and never waits
   * long; what could not be looked up in time is `pending`.
   */
  whoChanged(questions: readonly WhoAsked[]): Promise<readonly (readonly Attribution[])[]>;
}

/** How far something is: what it is at, and how many of how many parts. */
export type Hear = (message: string, done?: number, total?: number) => void;

/** A call that goes on, as whoever waits for it no longer hands it over. */
export interface Going {
  readonly tool: string;
  readonly account: string;
  readonly region: string;
  readonly startedAt: string;
  readonly answer: Promise<Outcome>;
  giveUp(because: OpsError): void;
  last(): Parameters<Hear> | undefined;
  /** Who hears from now on how far it is. */
  listen(hear: Hear | null): void;
}

/** A call that was handed over, as it stands. */
export interface Run extends Pick<Going, "tool" | "account" | "region" | "startedAt"> {
  readonly operationId: string;
  readonly state: "running" | "complete" | "failed" | "cancelled";
  readonly endedAt?: string;
  readonly progress?: JsonObject;
  readonly outcome?: Outcome;
}

/** The calls of this process that were handed over. Their ids mean nothing to another. */
export interface Runs {
  /** Null: too many go on already. */
  take(going: Going): Run | null;
  /** Newest first. */
  list(): readonly Run[];
  /**
   * As it stands once it has ended, or after so long.
   * @throws OpsError unknown_operation, as `cancel` does
   */
  look(operationId: string, waitMs: number, hear: Hear): Promise<Run>;
  cancel(operationId: string): Run;
  /** Nobody will fetch anything any more. */
  close(): void;
}

/** What AWS has published of its resource types, as this version brings it along. */
export interface Published {
  /** What it was made from. */
  source(): Promise<string>;
  types(): Promise<readonly ResourceSchema[]>;
}

export interface ReferencePorts {
  readonly published: Published;
  readonly now: Date;
}

/** What StateSync and the gate did in this session. */
export interface Counters {
  readonly signalsApplied: number;
  readonly signalsUnknown: number;
  readonly staleNotices: number;
  readonly staleWritesRefused: number;
}

export interface Mode {
  readonly sandbox: boolean;
  readonly allowWrites: boolean;
  readonly stateDir: string;
  readonly version: string;
  readonly defaultRegion?: string;
  /** Accounts that a call may name besides the server's own. */
  readonly accounts: Accounts["allowed"];
  /** Tags that a create adds to what it is given; null: none, and no mark either. */
  readonly defaultTags: Readonly<Record<string, string>> | null;
  readonly counters: Counters;
  /** How the session stands with its guardrails. Asking counts nothing. */
  readonly guard: {
    /** Null where calls are not limited. */
    budget(): Promise<JsonObject | null>;
    securityEvents(): Readonly<Record<string, number>>;
  };
  /** Resources that may be made and deleted in an hour. */
  readonly perHour: Readonly<Record<"create" | "delete", number>>;
}

/** A plan tool also gets what the caller's `basedOn` showed, by resource key (`ridOf`). */
export interface PlanPorts extends ReadPorts {
  readonly basedOn: ReadonlyMap<string, SeenRecord>;
}

/** The gate as `changes.*` and `state.*` tools see it. */
export interface GatePorts extends ReadPorts {
  apply(executionToken: string): Promise<ApplyReport>;
  cancel(changeId: string): Promise<Change>;
  /** A change as it stands, after asking AWS about any operation of it that is still running. */
  follow(changeId: string): Promise<{ readonly change: Change; readonly state: State }>;
  /** Ends an operation that nothing proved, as somebody decided. AWS is only read. */
  resolve(decision: Decision): Promise<Resolved>;
  /**
   * Live contents in the given order; an OpsError where AWS could not say. "Does not exist" is believed only when AWS says
   * it twice, five seconds apart.
   */
  confirmed(
    resources: readonly { readonly ref: ResourceRef; readonly reader: ReaderName }[],
  ): Promise<readonly (JsonObject | null | OpsError)[]>;
  recordDrift(reports: readonly DriftObservation[]): Promise<void>;
}

/** What is asked of CloudTrail about one resource. */
export interface WhoAsked {
  readonly ref: ResourceRef;
  /** What CloudTrail may call it, most telling first. */
  readonly names: readonly string[];
  /** When it was last known to be otherwise. */
  readonly since: string;
  readonly changes: readonly Difference[];
  /** When the change was first noticed, if that was before now. */
  readonly noticedAt?: string;
}

/** What is to become of a parked operation, or the signed outcome of one that is open. */
export interface Decision {
  readonly changeId?: string;
  readonly operationId?: string;
  readonly choice?: Resolution["choice"];
  readonly reason: string;
  /** What AWS calls the resource that a create made. */
  readonly identifier?: string;
  readonly record?: string;
}

export interface Resolved {
  readonly change: Change;
  readonly step: ChangeStep;
  readonly operationId: string;
  readonly state: State;
  /** What is true now of the resources it was about, as far as AWS let itself be read. */
  readonly resources: readonly Seen[];
  /** Said of what was found: for the caller. */
  readonly notes: readonly string[];
}

export interface DriftObservation {
  readonly rid: string;
  readonly status: ManagedDriftStatus;
  readonly severity: string | null;
  readonly details: JsonObject | null;
}
export type ManagedDriftStatus = "IN_SYNC" | "MODIFIED" | "DELETED" | "NOT_CHECKED" | "UNKNOWN" | "BUSY";

/** What became of an applied change. */
export interface ApplyReport {
  readonly change: Change;
  readonly outcome: "applied" | "unknown" | "in_progress";
  /** True when the token had been spent before: nothing was sent now. */
  readonly repeated: boolean;
  readonly notes: readonly string[];
  readonly resources: readonly (Seen & Pick<LineageEntry, "outcome" | "notVerified" | "notProven">)[];
}

export type SqlValue = string | number | null;
export type SqlRow = Readonly<Record<string, unknown>>;

/** A database as the work inside one transaction sees it. */
export interface SqlTransaction {
  /** How many rows it changed. */
  run(sql: string, ...values: readonly SqlValue[]): number;
  all(sql: string, ...values: readonly SqlValue[]): readonly SqlRow[];
}

/** A database file of this machine, shared by its processes. Nothing is opened or created before the first call. */
export interface Sqlite {
  /** Whether the file is there; opens and creates nothing. */
  present(): boolean;
  /** Alone among all processes; all of it is kept, or nothing where the work throws. */
  transaction<T>(work: (db: SqlTransaction) => T): Promise<T>;
  run(sql: string, ...values: readonly SqlValue[]): Promise<number>;
  all(sql: string, ...values: readonly SqlValue[]): Promise<readonly SqlRow[]>;
  close(): Promise<void>;
}

/** What a session has used, for the decisions of policies/guardrails.ts. Never rejects for a store that is away. */
export interface Meters {
  /** Counts one call where the budget allows it, in one step with the judgement. */
  spend(): Promise<Standing & { readonly allowed: boolean; readonly warn: boolean }>;
  standing(): Promise<Standing>;
  /** Records an attempt; how many of the same in the window, this one among them. */
  attempt(tool: string, signature: string): Promise<number>;
  /** What was called may be called again: its answers are outdated. */
  forget(tools: readonly string[]): Promise<void>;
}

/** Calls of a session's window so far, and how long it lasts. */
export interface Standing {
  readonly used: number;
  readonly msLeft: number;
}

type SecurityEventType =
  | "unknown_tool_attempt"
  | "injection_attempt"
  | "validation_bypass_attempt"
  | "rate_limit_exceeded";

export interface SecurityLog {
  record(type: SecurityEventType, facts: Readonly<Record<string, string>>): void;
  /** Seconds to wait where there were too many of them lately, else null. */
  unknownTool(tool: string): number | null;
  total(): number;
  byType(): Readonly<Record<string, number>>;
  /** The last hundred, oldest first. */
  recent(): readonly {
    readonly at: string;
    readonly type: SecurityEventType;
    readonly severity: string;
    readonly tool?: string;
    readonly field?: string;
  }[];
}

/** A call as it begins. `parameters` is redacted JSON. */
export interface AuditStart {
  readonly at: string;
  readonly tool: string;
  readonly parameters: string;
  readonly correlationId: string;
  readonly sessionId: string;
}

export interface AuditRow extends AuditStart {
  readonly status: "success" | "failure";
  readonly error?: string;
  /** The code of a refusal or failure. */
  readonly refusalClass?: string;
  readonly durationMs: number;
}

export interface AuditFilter {
  readonly tool?: string;
  readonly status?: "success" | "failure" | "started";
  readonly correlationId?: string;
  /** ISO 8601. */
  readonly since?: string;
  readonly limit: number;
}

export interface Audit {
  readonly required: boolean;
  /** @throws OpsError audit_unavailable where rows are required and this one cannot be written. */
  start(row: AuditStart): Promise<void>;
  /** Never rejects, and never holds an answer up for long. */
  end(row: AuditRow): Promise<void>;
  query(filter: AuditFilter): Promise<{ readonly total: number; readonly rows: readonly JsonObject[] }>;
  /** Resolves once everything that can be written is, and closes the database. */
  settled(): Promise<void>;
}

/** A group of log streams elsewhere; made at first use. */
export interface LogSink {
  /** In the order of their times. Throws an OpsError; `refused` is how many of them were too old or too new. */
  put(
    stream: string,
    events: readonly { readonly at: number; readonly text: string }[],
  ): Promise<{ readonly refused: number }>;
  close(): void;
}

/** Where what this server says of itself is sent on. No verb waits for it, and none fails. */
export interface Ship {
  call(row: AuditRow): void;
  security(event: { readonly type: string; readonly severity: string } & Readonly<Record<string, string>>): void;
  /** A line of the log, as it was written. */
  line(text: string): void;
  /** Sends the last of it, for a moment, and lets go. */
  settled(): Promise<void>;
}

/** A Redis shared by several servers, spoken to in its own words. */
export interface Redis {
  /** @throws Error while it is away, at once; and where it refuses the command. */
  send(...words: readonly string[]): Promise<unknown>;
  close(): void;
}
