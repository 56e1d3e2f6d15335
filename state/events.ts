// What can happen, as it stands on disk. Nothing that this version does not know in full is ever folded.

import { z } from "zod";
import type { PolicyResults } from "../src/core/change.js";
import type { JsonObject, PatchOp } from "../src/core/json.js";
import { canonicalJson, isObject, type Json, sha256 } from "../src/core/json.js";

const Text = z.string();
const Seq = z.number().int().nonnegative();
const Name = z.string().min(1);
const Hash = z.string().regex(/^[0-9a-f]{64}$/);
/** Documents of AWS or of the user: kept as they are, key by key. */
const Doc = z.custom<JsonObject>(isObject, "expected an object");
const AnyJson = z.custom<Json>((value) => value !== undefined, "expected a JSON value");
const Patch = z.custom<readonly PatchOp[]>(
  (value) => Array.isArray(value) && value.every(isObject),
  "expected a patch",
);
const list = <T extends z.ZodType>(item: T) => z.array(item).readonly();

const Ref = z.strictObject({ account: Text, region: Text, type: Name, id: Text });
const Reader = z.enum(["service", "cloudcontrol", "tags"]);
const Kind = z.enum(["create", "update", "delete", "action"]);

export const StepShape = z.strictObject({
  service: Name,
  operation: Name,
  input: Doc,
  ref: Ref,
  reader: Reader,
  kind: Kind,
  before: Doc.nullable(),
  after: Doc.nullable(),
  touches: list(Text),
  desired: Doc.optional(),
});

const Level = z.enum(["low", "medium", "high", "critical"]);
const RiskShape = z.strictObject({ level: Level, because: list(Text) });

/** An encrypted secret beside its fingerprint. */
export const EnvelopeShape = z.strictObject({
  $enc: z.literal("v1"),
  kid: Name,
  iv: Name,
  ct: Name,
  path: Text,
  print: Hash,
});

export const PlannedShape = z.strictObject({
  id: Name,
  summary: Text,
  basis: list(StepShape.pick({ ref: true, reader: true, before: true, touches: true })).optional(),
  steps: list(StepShape),
  warnings: list(Text),
  rolledBackTo: Text.optional(),
  facts: Doc.optional(),
  tool: Name,
  intent: Text,
  explanation: Text,
  caller: z.strictObject({ arn: Text, session: Text }),
  account: Text,
  region: Text,
  planDigest: Hash,
  liveDigest: Hash,
  risk: RiskShape,
  policyResults: Doc.transform((value) => value as unknown as PolicyResults).optional(),
  tokenSha256: Hash,
  plannedAt: Text,
  expiresAt: Text,
  envelopes: list(EnvelopeShape.extend({ step: Seq })).optional(),
});

export const OwnerShape = z.strictObject({
  host: Text,
  bootId: Text,
  pid: z.number().int(),
  pidStart: Text,
  session: Text,
  pidNamespace: Text.optional(),
});

export const ErrorShape = z.strictObject({
  code: Name,
  message: Text,
  awsCode: Text.optional(),
  awsMessage: Text.optional(),
});

/** Why an owner is held to be gone. A heartbeat stood still on the waiter's own monotonic clock. */
export const ProofShape = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("process_gone") }),
  z.strictObject({ kind: z.literal("other_boot") }),
  z.strictObject({ kind: z.literal("heartbeat_still"), stillMs: z.number().int().nonnegative() }),
]);
export type Proof = z.infer<typeof ProofShape>;

const Choice = z.enum(["import", "clear", "retry"]);

/** What one operation did to one resource, both sides read back. */
export const ResultShape = z.strictObject({
  ref: Ref,
  reader: Reader,
  before: Doc.nullable(),
  after: Doc.nullable(),
  /** Why `after` is what was asked for and not what was read back. */
  notVerified: Text.optional(),
});

export const LineageShape = z.strictObject({
  seq: Seq,
  executionToken: Text,
  changeId: Text,
  operationId: Text,
  tool: Text,
  operation: z.enum(["create", "update", "delete", "action", "import", "accept"]),
  outcome: z.enum(["succeeded", "failed", "unknown"]),
  timestamp: Text,
  user: Text,
  awsSession: Text,
  before: Doc.nullable(),
  after: Doc.nullable(),
  desired: Doc.optional(),
  patch: z.array(AnyJson).readonly().optional(),
  explanation: Text,
  intent: Text,
  rolledBackTo: Text.optional(),
  notVerified: Text.optional(),
  notProven: Text.optional(),
  error: ErrorShape.optional(),
  resolved: z.strictObject({ choice: Choice, by: Text, reason: Text }).optional(),
  policyResults: AnyJson.optional(),
});

const DriftStatusShape = z.enum(["IN_SYNC", "MODIFIED", "DELETED", "NOT_CHECKED", "UNKNOWN", "BUSY"]);
/** The two ways a human can be asked; no tool is among them. */
const Channel = z.enum(["elicitation", "terminal"]);

const EVENTS = [
  z.strictObject({ type: z.literal("change.planned"), change: PlannedShape }),
  z.strictObject({
    type: z.literal("change.approved"),
    changeId: Name,
    planDigest: Hash,
    channel: Channel,
    by: Text,
    validUntil: Text,
    /** As which it was shown. */
    risk: Level.optional(),
  }),
  /** The world or the operator's rules moved: it is more dangerous than when it was planned. */
  z.strictObject({ type: z.literal("change.rated"), changeId: Name, risk: RiskShape }),
  z.strictObject({
    type: z.literal("change.rejected"),
    changeId: Name,
    planDigest: Hash,
    channel: Channel,
    by: Text,
    because: Text.optional(),
  }),
  z.strictObject({ type: z.literal("change.cancelled"), changeId: Name, by: Text, because: Text.optional() }),
  z.strictObject({
    type: z.literal("change.interrupted"),
    changeId: Name,
    because: Text,
    /** The last operation there was, and who says so. Absent in stores from before, and where a decision ended it. */
    operationId: Name.optional(),
    owner: OwnerShape.optional(),
    /** Of another process: who that was, the commit by which it was the owner, and the proof that it is gone. */
    from: OwnerShape.optional(),
    supersedes: Seq.optional(),
    proof: ProofShape.optional(),
  }),
  z.strictObject({
    type: z.literal("op.intent"),
    operationId: Name,
    changeId: Name,
    step: Seq,
    /** In clear with step 0, which spends it: from this commit on it opens nothing. */
    token: Text.optional(),
    clientToken: Name,
    owner: OwnerShape,
    resendUntil: Text,
    /** The owner heartbeats under this lease. */
    leaseMs: z.number().int().positive().optional(),
    /** It goes out in one call with the step before it, whose outcome is not known yet. */
    alongside: z.literal(true).optional(),
    /** What is sent in place of the planned patch: the same edits, with the guards as live spelled them. */
    patch: Patch.optional(),
  }),
  z.strictObject({
    type: z.literal("op.submitted"),
    operationId: Name,
    requestToken: Text.optional(),
    awsRequestId: Text.optional(),
  }),
  z.strictObject({
    type: z.literal("op.succeeded"),
    operationId: Name,
    results: list(ResultShape),
    /** AWS shows what was asked for, and that this call brought it about is not proven. */
    notProven: Text.optional(),
  }),
  z.strictObject({
    type: z.literal("op.failed"),
    operationId: Name,
    error: ErrorShape,
    nothingWasChanged: z.boolean(),
    /** What was changed in spite of the failure, as read back. */
    results: list(ResultShape).optional(),
  }),
  z.strictObject({ type: z.literal("op.unknown"), operationId: Name, error: ErrorShape, because: Text }),
  z.strictObject({
    type: z.literal("op.takeover"),
    operationId: Name,
    owner: OwnerShape,
    /** The owner it is taken from, and the commit by which that one got it. */
    from: OwnerShape.optional(),
    supersedes: Seq.optional(),
    proof: ProofShape.optional(),
    leaseMs: z.number().int().positive().optional(),
  }),
  z.strictObject({ type: z.literal("op.parked"), operationId: Name, because: Text }),
  z.strictObject({
    type: z.literal("op.resolved"),
    operationId: Name,
    choice: Choice,
    by: Text,
    reason: Text.optional(),
    results: list(ResultShape).optional(),
  }),
  z.strictObject({
    type: z.literal("resource.imported"),
    ref: Ref,
    reader: Reader,
    alias: Name.optional(),
    properties: Doc.nullable(),
    desired: Doc.optional(),
    provenance: Text,
    createdAt: Text.optional(),
    /** History from before this store knew the resource. */
    lineage: list(LineageShape).optional(),
    dependsOn: list(Text).optional(),
  }),
  z.strictObject({ type: z.literal("resource.forgotten"), rid: Name, by: Text, because: Text }),
  z.strictObject({
    type: z.literal("drift.observed"),
    rid: Name,
    status: DriftStatusShape,
    severity: Text.nullable(),
    details: AnyJson,
  }),
  z.strictObject({
    type: z.literal("drift.accepted"),
    rid: Name,
    properties: Doc.nullable(),
    by: Text,
    because: Text,
  }),
  z.strictObject({
    type: z.literal("drift.ignored"),
    rid: Name,
    path: Text,
    reason: Text,
    by: Text,
    until: Text.optional(),
  }),
  z.strictObject({
    type: z.literal("state.manual_edit"),
    by: Text,
    resources: list(z.strictObject({ rid: Name, properties: Doc.nullable(), desired: Doc, dependsOn: list(Text) })),
  }),
  z.strictObject({
    type: z.literal("lease.acquired"),
    scope: Name,
    generation: Seq,
    /** The lease that was the newest of the scope; null where there was none. */
    supersedes: Seq.nullable(),
    operation: Text,
    owner: OwnerShape,
    /** The proof on which it was taken from a holder that had not given it back. */
    because: Text.optional(),
  }),
  z.strictObject({ type: z.literal("key.rotated"), kid: Name, by: Text }),
  z.strictObject({ type: z.literal("lease.broken"), scope: Name, generation: Seq, by: Text, because: Text }),
] as const;

/** One thing that happened. */
export const EventShape = z.discriminatedUnion("type", EVENTS);
export type Event = z.infer<typeof EventShape>;
export type EventType = Event["type"];
export type EventOf<T extends EventType> = Extract<Event, { type: T }>;
export type PlannedChange = z.infer<typeof PlannedShape>;
export type Result = z.infer<typeof ResultShape>;

const ActorShape = z.strictObject({
  awsArn: Text.nullable(),
  client: Text,
  host: Text,
  pid: z.number().int(),
  session: Text,
  user: Text,
});
/** Who wrote a commit. */
export type Actor = z.infer<typeof ActorShape>;

const BodyShape = z.strictObject({
  actor: ActorShape,
  commitId: Name,
  epoch: Seq,
  events: z.array(EventShape).min(1).readonly(),
  prev: Hash,
  seq: z.number().int().positive(),
  store: Name,
  ts: Text,
  v: z.literal(1),
});
type Body = z.infer<typeof BodyShape>;

/** A commit that was verified: its events take effect together. `hash` covers its exact bytes. */
export type Commit = Omit<Body, "v"> & { readonly hash: string };

/** Members whose value is somebody else's document: its keys are never respelled. */
const DOCUMENTS = new Set([
  "input",
  "before",
  "after",
  "desired",
  "facts",
  "details",
  "properties",
  "patch",
  "policyResults",
]);

interface Spelled {
  readonly key: string;
  readonly holdsDocument: boolean;
}
type Spelling = (key: string) => Spelled;

/** The keys of all formats together are a few hundred; what is damaged or later may bear any others. */
const MOST_REMEMBERED = 1_000;

/** Every commit and checkpoint bears the same few keys: each is spelled once. */
function spelling(spell: (key: string) => string): Spelling {
  const known = new Map<string, Spelled>();
  return (key) => {
    const found = known.get(key);
    if (found) return found;
    const spelled = { key: spell(key), holdsDocument: DOCUMENTS.has(camel(key)) };
    if (known.size < MOST_REMEMBERED) known.set(key, spelled);
    return spelled;
  };
}

const camel = (key: string): string => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
const snakeCase = spelling((key) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
const camelCase = spelling((key) => {
  if (/[A-Z]/.test(key)) throw new TypeError(`unknown field "${key}"`);
  return camel(key);
});

/** snake_case for the disk; documents stay as they are. */
export const toDisk = (value: unknown): Json => respell(value, snakeCase);

/** camelCase for the code. @throws TypeError on a key that is not snake_case, because two keys could become one. */
export const fromDisk = (value: unknown): Json => respell(value, camelCase);

function respell(value: unknown, spell: Spelling): Json {
  if (Array.isArray(value)) return value.map((item) => respell(item, spell));
  if (!isObject(value)) return value as Json;
  const members: [string, Json][] = [];
  for (const [name, member] of Object.entries(value)) {
    if (member === undefined) continue;
    const { key, holdsDocument } = spell(name);
    members.push([key, holdsDocument ? member : respell(member, spell)]);
  }
  return Object.fromEntries(members);
}

const SUM = /^(\{.*),"sum":"([0-9a-f]{64})"\}\n$/s;

/**
 * The bytes of a commit: one line of canonical JSON, its own checksum last.
 * @throws TypeError on text that has no canonical form.
 */
export function encodeCommit(commit: Omit<Commit, "hash">): Uint8Array {
  const body = canonicalJson(toDisk(BodyShape.parse({ ...commit, v: 1 })));
  return new TextEncoder().encode(`${body.slice(0, -1)},"sum":"${sha256(body)}"}\n`);
}

/** The text of bytes that are UTF-8 to the last one, so that equal text means equal bytes. */
export function textOf(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

const LATER = "this version does not know";

/** Whether a commit or checkpoint is refused for what it is, not for damage: a later version wrote it, and it is whole. */
export const isLater = (because: string): boolean => because.includes(LATER);

/** What a commit must be to follow the chain so far. */
export interface ChainEnd {
  readonly store: string;
  readonly seq: number;
  readonly head: string;
}

/** The commit that these bytes are, or one sentence on why they are not the next commit of this chain. */
export function decodeCommit(bytes: Uint8Array, after: ChainEnd): Commit | string {
  if (bytes.length === 0) return "the file is empty";
  const text = textOf(bytes);
  const match = text === null ? null : SUM.exec(text);
  if (!match) return "the file is not a whole commit";
  const [, opened, sum] = match;
  const body = `${opened}}`;
  if (sha256(body) !== sum) return "its checksum does not match its content";
  let commit: Body;
  try {
    const disk: unknown = JSON.parse(body);
    const version = isObject(disk) ? disk.v : undefined;
    if (version !== 1) return `it was written in format ${JSON.stringify(version)}, which ${LATER}`;
    const parsed = BodyShape.safeParse(fromDisk(disk));
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      return `it holds what ${LATER} (${issue?.path.join(".")}: ${issue?.message})`;
    }
    commit = parsed.data;
  } catch (error) {
    return `it cannot be read (${(error as Error).message})`;
  }
  if (commit.store !== after.store) return `it belongs to another store (${commit.store})`;
  if (commit.seq !== after.seq + 1) return `it carries number ${commit.seq} instead of ${after.seq + 1}`;
  if (commit.prev !== after.head) return "it does not follow the commit before it";
  const { v: _, ...known } = commit;
  return { ...known, hash: sha256(bytes) };
}
