// The vocabulary of change: what a resource is, what a plan says, what is remembered of it. Plain data, serialisable.

import { diff, digest, type Json, type JsonObject, type PatchOp } from "./json.js";
import { canonical } from "./same.js";

/** A resource of one account and region. `type` is the CloudFormation type name. */
export interface ResourceRef {
  readonly account: string;
  /** `global` for services without regions. */
  readonly region: string;
  readonly type: string;
  /** What AWS calls it; empty in a plan whose create has not been answered yet. */
  readonly id: string;
}

/** `account/region/type/id`: the key of a resource everywhere. The id stands last because it may contain `/` and `|`. */
export const ridOf = (ref: ResourceRef): string => `${ref.account}/${ref.region}/${ref.type}/${ref.id}`;

export function parseRid(rid: string): ResourceRef {
  const [account = "", region = "", type = "", ...id] = rid.split("/");
  return { account, region, type, id: id.join("/") };
}

/**
 * Which reader produced a content. Contents of different readers are never compared. `tags`: the tags alone, of a type without
 * a reader of its own.
 */
export type ReaderName = "service" | "cloudcontrol" | "tags";

/** `r<seq>-<8 hex>`: proof of having seen a content of a resource; seq = last commit touching it, 0 if none. */
export type Revision = string;

/** @param unordered pointers of lists without an order: AWS may list them otherwise, and it is the same revision */
export const revisionOf = (seq: number, content: JsonObject, unordered: readonly string[] = []): Revision =>
  `r${seq}-${digest(canonical(content, unordered)).slice(0, 8)}`;

/** One NotFound proves nothing: AWS says it of what has just been made. A second one, so much later, is believed. */
export const ABSENCE_CONFIRMED_AFTER_MS = 5_000;

/** A text of a content of which answers showed only the first `shown` characters. */
export interface CutOff {
  readonly path: string;
  readonly shown: number;
}

/** What a read showed of one resource. */
export interface Seen {
  readonly ref: ResourceRef;
  readonly reader: ReaderName;
  readonly content: JsonObject;
  /** Pointers of the parts shown, when the answer left parts of the content out. Absent: all was shown. */
  readonly shown?: readonly string[];
  /** Texts not shown to their end. Absent: as far as any answer shows texts. */
  readonly cutOff?: readonly CutOff[];
}

export type StepKind = "create" | "update" | "delete" | "action";

/** One call to AWS as data. Built by tools, run by the executor only. */
export interface ChangeStep {
  readonly service: string;
  readonly operation: string;
  readonly input: JsonObject;
  readonly ref: ResourceRef;
  readonly reader: ReaderName;
  readonly kind: StepKind;
  /** Live content the step was planned from; null where the resource does not exist yet. */
  readonly before: JsonObject | null;
  /** Content expected afterwards, as far as the plan can know it; null for a delete. */
  readonly after: JsonObject | null;
  /** Pointers into `before` the step depends on or changes. `""` = all of it. */
  readonly touches: readonly string[];
  /** What the user declared: the part of `after` that drift calls declared. */
  readonly desired?: JsonObject;
}

/** The patch of an update through Cloud Control. */
export const patchOf = ({ input }: Pick<ChangeStep, "input">): readonly PatchOp[] | undefined =>
  Array.isArray(input.PatchDocument) ? (input.PatchDocument as unknown as readonly PatchOp[]) : undefined;

/** What a plan was judged from: a live content, and the paths of it the judgement rests on. */
export type Basis = Pick<ChangeStep, "ref" | "reader" | "before" | "touches"> & {
  /** These paths are all that the caller has to have seen: what else the steps touch is guarded from the plan on. */
  readonly alone?: true;
};

/** Stands for the id of what step `step` of the same plan makes, in the input of a later step and in what it expects. */
export const madeBy = (step: number): JsonObject => ({ $made: step });

/** What a plan tool answers: nothing has happened yet. No steps: nothing needs to be done, and `summary` says why. */
export interface Proposal {
  readonly summary: string;
  /** Given where the judgement rests on more than the steps touch, also when there are no steps. */
  readonly basis?: readonly Basis[];
  readonly steps: readonly ChangeStep[];
  readonly warnings: readonly string[];
  /** Keys of the resources to which the plan only adds what is not there: that needs no proof of having seen anything. */
  readonly addsOnly?: readonly string[];
  /** Set when the plan is a rollback: the execution token of the state it goes back to. */
  readonly rolledBackTo?: string;
  /** Facts about the plan in a shape of the tool's own, shown beside the difference. */
  readonly facts?: JsonObject;
}

/** Differences an answer shows of a step: the rest is in the change. */
const MOST_DIFFERENCES = 50;

const upTo = (most: number, name: string, rows: readonly unknown[]): JsonObject => ({
  [name]: rows.slice(0, most) as unknown as Json,
  ...(rows.length > most && { notShown: rows.length - most }),
});

/**
 * A step for whoever looks at a plan: the call and what it changes. What is made or removed whole is shown whole. In an
 * answer the differences are bounded, and how many more there are is said; `everything` is for who approves it.
 */
export const stepView = (step: ChangeStep, everything?: "everything"): JsonObject => ({
  call: `${step.service}.${step.operation}`,
  kind: step.kind,
  type: step.ref.type,
  id: step.ref.id,
  ...upTo(
    everything === "everything" ? Number.POSITIVE_INFINITY : MOST_DIFFERENCES,
    "differences",
    diff(step.before ?? undefined, step.after ?? undefined),
  ),
});

const MOST_FINDINGS = 20;

/** What the security checks said of a plan, for whoever looks at it. */
export const securityView = (
  { passed, failed, findings, checked_by, not_checked_by = [] }: PolicyResults,
  everything?: "everything",
): JsonObject => ({
  passed,
  failed,
  checkedBy: [...checked_by],
  ...(not_checked_by.length > 0 && { notCheckedBy: [...not_checked_by] }),
  ...upTo(everything ? Number.POSITIVE_INFINITY : MOST_FINDINGS, "findings", findings),
});

/** A name that a human can read and type: in one line, of a length, and nothing in it that a terminal acts on. */
const TYPEABLE = /^(?=.{1,200}$)(?! )[\p{L}\p{M}\p{N}\p{P}\p{S} ]*(?<! )$/u;

/** What a human types to approve exactly this change: the resource it is about, or the change where that has no name for it. */
export const approvalPhrase = ({ id, steps }: Pick<Change, "id" | "steps">): string => {
  const name = steps.find((step) => step.ref.id !== "")?.ref.id ?? id;
  return TYPEABLE.test(name) ? name : id;
};

export type RiskLevel = "low" | "medium" | "high" | "critical";

export interface Risk {
  readonly level: RiskLevel;
  readonly because: readonly string[];
}

/** Who asks: the AWS identity as STS names it, and the session of this server it came through. */
export interface Caller {
  readonly arn: string;
  readonly session: string;
}

/** A human's yes to exactly this plan, given outside the model. */
export interface Approval {
  readonly by: string;
  readonly channel: "elicitation" | "terminal";
  readonly at: string;
  readonly validUntil: string;
  /** What the plan was shown as: a yes to less is none to more. */
  readonly risk?: RiskLevel;
}

/**
 * A secret value that is stored, encrypted, beside the fingerprint (`print`) that stands for it in every document. Bound to
 * store, resource, path and fingerprint: moved elsewhere it does not open. Documents are compared by fingerprints only.
 */
export interface Envelope {
  readonly $enc: "v1";
  /** The data key it was made with: `keys/<kid>.json`. */
  readonly kid: string;
  readonly iv: string;
  readonly ct: string;
  /** Pointer in the resource, list positions as `*`. */
  readonly path: string;
  readonly print: string;
}

export type ChangeState = "planned" | "applying" | "applied" | "failed" | "unknown" | "cancelled";

/** One security finding about what a plan would leave behind. */
export interface PlanFinding {
  /** `built-in`, or the name of an installed scanner. */
  readonly source: string;
  readonly rule: string;
  readonly severity: RiskLevel;
  readonly message: string;
  /** Of the step it is about. */
  readonly step: number;
  readonly path?: string;
  /** It was so before, and this plan leaves it. */
  readonly existing?: true;
}

/** What security checks said of a plan; in the record the seed's `checkov_results`, hence the names. */
export interface PolicyResults {
  readonly passed: number;
  readonly failed: number;
  readonly critical_issues: readonly string[];
  readonly findings: readonly PlanFinding[];
  readonly checked_by: readonly string[];
  /** Scanners that could not check, each with the reason. */
  readonly not_checked_by?: readonly string[];
}

/** A proposal under a token. `expired` is not a state: it is `planned` after `expiresAt`. */
export interface Change extends Omit<Proposal, "addsOnly"> {
  readonly id: string;
  readonly tool: string;
  readonly intent: string;
  readonly explanation: string;
  readonly caller: Caller;
  readonly account: string;
  readonly region: string;
  /** Covers tool, account, region and every step (secrets by fingerprint): see `planDigest`. */
  readonly planDigest: string;
  /** Digest of the live contents the plan was made from, in step order. */
  readonly liveDigest: string;
  readonly risk: Risk;
  readonly policyResults?: PolicyResults;
  readonly tokenSha256: string;
  /** The token in clear, once it is spent and therefore only a name. */
  readonly token?: string;
  readonly plannedAt: string;
  readonly expiresAt: string;
  readonly state: ChangeState;
  readonly because?: string;
  readonly approval?: Approval;
  readonly operationIds: readonly string[];
  /** The secrets its steps send, where they are stored; by number of the step. Not part of the plan's digest. */
  readonly envelopes?: readonly (Envelope & { readonly step: number })[];
}

/** The stored secrets of one step. */
export const envelopesOf = ({ envelopes = [] }: Pick<Change, "envelopes">, step: number): readonly Envelope[] =>
  envelopes.filter((one) => one.step === step);

/** The digest a token is bound to: what will be done, where, to what. */
export const planDigest = (plan: Pick<Change, "tool" | "account" | "region" | "steps">): string =>
  digest({ tool: plan.tool, account: plan.account, region: plan.region, steps: plan.steps });

/** The digest of the world the plan was made from. */
export const liveDigest = (steps: readonly ChangeStep[]): string =>
  digest(steps.map((step) => [ridOf(step.ref), step.reader, step.before]));

export type OperationState = "open" | "succeeded" | "failed" | "unknown" | "parked";

/** Who owns an open operation: enough to tell a living owner from a dead one without comparing clocks. */
export interface Owner {
  readonly host: string;
  readonly bootId: string;
  readonly pid: number;
  readonly pidStart: string;
  readonly session: string;
  /** Whose pids these are: containers under one host name count their own. Absent where the system has none, and in stores from before. */
  readonly pidNamespace?: string;
}

const OWNER = ["session", "host", "bootId", "pid", "pidStart", "pidNamespace"] as const;

export const sameOwner = (a: Owner, b: Owner): boolean => OWNER.every((part) => a[part] === b[part]);

/** What this machine can say of the process behind an owner: only of its own processes anything at all. */
export type Liveness = (owner: Owner) => "alive" | "dead" | "unknown";

/** One AWS call of a change, from intent to outcome. */
export interface Operation {
  readonly id: string;
  readonly changeId: string;
  readonly step: number;
  readonly clientToken: string;
  readonly owner: Owner;
  readonly intentAt: string;
  /** Until when the identical call may be sent again after a crash. */
  readonly resendUntil: string;
  /** The patch it sends, where live spelled its guards otherwise than the plan did. */
  readonly patch?: readonly PatchOp[];
  readonly state: OperationState;
  /** Its owner heartbeats, and may be held for gone when no beat came for one and a half of these. Absent: it does not. */
  readonly leaseMs?: number;
  /** The commit by which its owner took it over. */
  readonly epoch?: number;
  readonly parkedAt?: string;
  /** What was decided about it once it was parked. */
  readonly resolved?: Resolution;
  readonly requestToken?: string;
  readonly awsRequestId?: string;
  readonly error?: OperationError;
  readonly because?: string;
  readonly settledAt?: string;
}

/** The decision on a parked operation: whose, which, and why. */
export interface Resolution {
  readonly choice: "import" | "clear" | "retry";
  readonly by: string;
  readonly reason: string;
}

export interface OperationError {
  readonly code: string;
  readonly message: string;
  readonly awsCode?: string;
  /** AWS's reason in its own words: data. */
  readonly awsMessage?: string;
}

/** One entry of a resource's history: who did what, why, from what, to what. */
export interface LineageEntry {
  readonly seq: number;
  readonly executionToken: string;
  readonly changeId: string;
  readonly operationId: string;
  readonly tool: string;
  readonly operation: StepKind | "import" | "accept";
  readonly outcome: "succeeded" | "failed" | "unknown";
  readonly timestamp: string;
  readonly user: string;
  readonly awsSession: string;
  readonly before: JsonObject | null;
  readonly after: JsonObject | null;
  readonly desired?: JsonObject;
  readonly patch?: readonly Json[];
  readonly explanation: string;
  readonly intent: string;
  readonly rolledBackTo?: string;
  /** Why `after` is what was asked for and not what was read back. */
  readonly notVerified?: string;
  /** Why nothing proves that this call brought `after` about: AWS shows what was asked for, and never answered. */
  readonly notProven?: string;
  readonly error?: OperationError;
  /** Set where nothing proved the outcome and somebody decided it. */
  readonly resolved?: Resolution;
  /** What security checks said of it; the seed's `checkov_results`. */
  readonly policyResults?: Json;
}

/** Older entries, which only the chain holds. */
export interface SpilledLineage {
  readonly count: number;
  /** The commits that hold them, oldest first. @example "3,7-9" */
  readonly seqs: string;
}

export type DriftStatus = "IN_SYNC" | "MODIFIED" | "DELETED" | "NOT_CHECKED" | "UNKNOWN" | "BUSY";

/** A rule under which one kind of drift of one resource is not reported. `path` is a pointer; `*` stands for one segment. */
export interface DriftIgnore {
  readonly path: string;
  readonly reason: string;
  readonly by: string;
  readonly since: string;
  readonly until?: string;
}

/** A resource the state knows. `properties` is the baseline: what AWS held when we last settled it. */
export interface ManagedResource {
  readonly rid: string;
  readonly ref: ResourceRef;
  readonly alias: string;
  readonly reader: ReaderName;
  readonly properties: JsonObject | null;
  readonly desired: JsonObject;
  readonly deleted: boolean;
  readonly createdAt: string;
  readonly baselineAt: string;
  /** Seq of the last commit touching it. */
  readonly revisionSeq: number;
  /** The newest entries, at least from the last success on; all of them unless `lineageSpilled` says otherwise. */
  readonly lineage: readonly LineageEntry[];
  readonly lineageSpilled?: SpilledLineage;
  readonly drift: {
    readonly status: DriftStatus;
    readonly lastChecked: string | null;
    readonly severity: string | null;
    readonly details: Json;
  };
  readonly ignores?: readonly DriftIgnore[];
  /** Every secret that was declared of it through this server, where they are stored: for re-sending and going back. */
  readonly envelopes?: readonly Envelope[];
  /** Declared dependencies, by alias. */
  readonly dependsOn?: readonly string[];
}

/** The newest lease of a scope. Commits under another number are refused; under a broken one as well. */
export interface LeaseRecord {
  readonly generation: number;
  readonly broken?: boolean;
}

/** How far a state was spilled: what commits up to `to` hold, and of changes those whose last operation ended by `before`. */
export interface SpillPoint {
  readonly to: number;
  readonly before: string;
}

/** The fold of all commits: everything this store knows, at one sequence number. */
export interface State {
  readonly store: string;
  readonly seq: number;
  /** sha256 of the newest commit's bytes; of `store.id` at seq 0. */
  readonly head: string;
  readonly created: string;
  readonly updated: string;
  readonly resources: ReadonlyMap<string, ManagedResource>;
  readonly changes: ReadonlyMap<string, Change>;
  /** sha256 of an execution token → change id. */
  readonly tokens: ReadonlyMap<string, string>;
  readonly operations: ReadonlyMap<string, Operation>;
  /** By scope; absent until the first lease. */
  readonly leases?: ReadonlyMap<string, LeaseRecord>;
  /**
   * What is left to the chain: older lineage entries, and how many changes that ended with how many operations. Absent:
   * nothing.
   */
  readonly spilled?: SpillPoint & { readonly changes: number; readonly operations: number };
}
