// State ⇄ state.json: the seed's document, readable by people, complete enough to go on from. The chain stays the truth.

import type {
  Change,
  DriftIgnore,
  Envelope,
  LeaseRecord,
  LineageEntry,
  ManagedResource,
  Operation,
  State,
} from "../src/core/change.js";
import { digest, isObject, type Json, type JsonObject } from "../src/core/json.js";
import { fromDisk, LineageShape, textOf, toDisk } from "./events.js";

export const MANAGED_BY = "AWS-DEVOPS-MCP";
const FORMAT = 1;

/** A document with its keys in one order, so that equal documents make equal text. */
const sorted = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const keys = Object.keys(value).sort();
  return Object.fromEntries(keys.map((key) => [key, sorted(value[key]!)]));
};

/** What a checkpoint says of one thing is made once and kept for as long as the thing is: most do not change between two. */
const onDisk = new WeakMap<object, JsonObject>();

function kept<T extends object>(thing: T, make: (thing: T) => unknown): JsonObject {
  let disk = onDisk.get(thing);
  if (!disk) {
    disk = make(thing) as JsonObject;
    onDisk.set(thing, disk);
  }
  return disk;
}

const optional = (key: string, value: unknown): Record<string, unknown> =>
  value === undefined ? {} : { [key]: value };

/** The lineage entry in the seed's words, with what the seed has no word for behind it. */
function entryOnDisk(entry: LineageEntry): Record<string, unknown> {
  return {
    execution_token: entry.executionToken,
    operation: entry.operation,
    timestamp: entry.timestamp,
    user: entry.user,
    aws_session: entry.awsSession,
    properties_before: sorted(entry.before),
    properties_after: sorted(entry.after),
    explanation: entry.explanation,
    user_intent: entry.intent,
    ...optional("patch_document", entry.patch && sorted(entry.patch)),
    ...optional("checkov_results", entry.policyResults && sorted(entry.policyResults)),
    seq: entry.seq,
    change_id: entry.changeId,
    operation_id: entry.operationId,
    tool: entry.tool,
    outcome: entry.outcome,
    ...optional("desired", entry.desired && sorted(entry.desired)),
    ...optional("rolled_back_to", entry.rolledBackTo),
    ...optional("error", entry.error && toDisk(entry.error)),
    ...optional("resolved", entry.resolved && toDisk(entry.resolved)),
  };
}

function entryFromDisk(disk: JsonObject): LineageEntry {
  return LineageShape.parse({
    executionToken: disk.execution_token,
    operation: disk.operation,
    timestamp: disk.timestamp,
    user: disk.user,
    awsSession: disk.aws_session,
    before: disk.properties_before,
    after: disk.properties_after,
    explanation: disk.explanation,
    intent: disk.user_intent,
    ...optional("patch", disk.patch_document),
    ...optional("policyResults", disk.checkov_results),
    seq: disk.seq,
    changeId: disk.change_id,
    operationId: disk.operation_id,
    tool: disk.tool,
    outcome: disk.outcome,
    ...optional("desired", disk.desired),
    ...optional("rolledBackTo", disk.rolled_back_to),
    ...optional("error", disk.error === undefined ? undefined : fromDisk(disk.error)),
    ...optional("resolved", disk.resolved),
  });
}

function resourceOnDisk(resource: ManagedResource): Record<string, unknown> {
  const { ref, drift } = resource;
  return {
    resource_type: ref.type,
    identifier: ref.id,
    region: ref.region,
    account_id: ref.account,
    current_properties: sorted(resource.properties),
    lineage: resource.lineage.map((entry) => kept(entry, entryOnDisk)),
    managed_by: MANAGED_BY,
    created_at: resource.createdAt,
    last_modified: resource.lineage.at(-1)?.timestamp ?? resource.baselineAt,
    drift_status: {
      last_checked: drift.lastChecked,
      drift_detected: drift.status === "MODIFIED" || drift.status === "DELETED",
      drift_details: sorted(drift.details),
      status: drift.status,
      severity: drift.severity,
    },
    dependencies: { depends_on: resource.dependsOn ?? [], dependents: [] },
    rid: resource.rid,
    reader: resource.reader,
    revision: resource.revisionSeq,
    etag: resource.properties === null ? null : digest(resource.properties),
    desired: sorted(resource.desired),
    baseline_at: resource.baselineAt,
    deleted: resource.deleted,
    ...optional("ignored_drift", resource.ignores && toDisk(resource.ignores)),
    ...optional("envelopes", resource.envelopes && sorted(toDisk(resource.envelopes))),
  };
}

function resourceFromDisk(alias: string, disk: JsonObject): ManagedResource {
  const drift = disk.drift_status as JsonObject;
  const dependsOn = (disk.dependencies as { depends_on: readonly string[] }).depends_on;
  return {
    rid: disk.rid as string,
    ref: {
      account: disk.account_id as string,
      region: disk.region as string,
      type: disk.resource_type as string,
      id: disk.identifier as string,
    },
    alias,
    reader: disk.reader as ManagedResource["reader"],
    properties: disk.current_properties as JsonObject | null,
    desired: disk.desired as JsonObject,
    deleted: disk.deleted as boolean,
    createdAt: disk.created_at as string,
    baselineAt: disk.baseline_at as string,
    revisionSeq: disk.revision as number,
    lineage: (disk.lineage as readonly JsonObject[]).map(entryFromDisk),
    drift: {
      status: drift.status as ManagedResource["drift"]["status"],
      lastChecked: drift.last_checked as string | null,
      severity: drift.severity as string | null,
      details: drift.drift_details as Json,
    },
    ...(disk.ignored_drift !== undefined && {
      ignores: fromDisk(disk.ignored_drift) as unknown as readonly DriftIgnore[],
    }),
    ...(disk.envelopes !== undefined && { envelopes: disk.envelopes as unknown as readonly Envelope[] }),
    ...(dependsOn.length > 0 && { dependsOn }),
  };
}

function withDependents(resource: ManagedResource, dependents: readonly string[] | undefined): JsonObject {
  const disk = kept(resource, resourceOnDisk);
  return dependents ? { ...disk, dependencies: { ...(disk.dependencies as JsonObject), dependents } } : disk;
}

/** `ch_9` before `ch_10`: by number, because that is the order in which they were made. */
const byNumber = (a: string, b: string): number => a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The checkpoint as a document. Equal states give equal documents, key order included. */
export function checkpointDocument(state: State, serverVersion: string): JsonObject {
  const resources = [...state.resources.values()].sort((a, b) => byName(a.alias, b.alias));
  const dependents = new Map<string, string[]>();
  for (const { alias, dependsOn = [] } of resources) {
    for (const target of dependsOn) dependents.set(target, [...(dependents.get(target) ?? []), alias]);
  }
  const changes = [...state.changes.values()].sort((a, b) => byNumber(a.id, b.id));
  const operations = [...state.operations.values()].sort((a, b) => byNumber(a.id, b.id));
  const body = {
    version: "1.0",
    metadata: {
      created: state.created,
      last_updated: state.updated,
      mcp_server_version: serverVersion,
      total_resources: resources.length,
      total_operations: operations.length,
    },
    resources: Object.fromEntries(
      resources.map((resource) => [resource.alias, withDependents(resource, dependents.get(resource.alias))]),
    ),
    stacks: {},
    journal: {
      format: FORMAT,
      store: state.store,
      applied_seq: state.seq,
      head_hash: state.head,
      pending_ops: operations.filter((operation) => !operation.settledAt).map((operation) => operation.id),
      archive_segments: [],
      changes: Object.fromEntries(changes.map((change) => [change.id, kept(change, (one) => sorted(toDisk(one)))])),
      operations: Object.fromEntries(
        operations.map((operation) => [operation.id, kept(operation, (one) => sorted(toDisk(one)))]),
      ),
      ...optional("leases", state.leases && sorted(Object.fromEntries(state.leases) as unknown as Json)),
    },
  } as unknown as JsonObject;
  return { ...body, integrity: { sum: sumOf(body) } };
}

const digests = new WeakMap<object, string>();

function digestOf(part: Json): string {
  if (part === null || typeof part !== "object") return digest(part);
  let known = digests.get(part);
  if (known === undefined) {
    known = digest(part);
    digests.set(part, known);
  }
  return known;
}

/**
 * The checksum of a checkpoint: a digest of digests, one a resource, so that it is the same in any layout of the text
 * and a later writer need not serialise what did not change.
 */
export function sumOf({ integrity: _, ...body }: JsonObject): string {
  const parts = (members: unknown): unknown =>
    isObject(members)
      ? Object.fromEntries(Object.entries(members).map(([key, member]) => [key, digestOf(member)]))
      : members;
  const journal = isObject(body.journal)
    ? { ...body.journal, changes: parts(body.journal.changes), operations: parts(body.journal.operations) }
    : body.journal;
  return digest({ ...body, resources: parts(body.resources), journal });
}

/** The text of state.json: two spaces, other people's documents with sorted keys, so that Git shows a small difference. */
export const checkpointText = (document: JsonObject): string => `${JSON.stringify(document, null, 2)}\n`;

/** What the bytes under `state.json` turned out to be. */
export type ReadCheckpoint =
  | { readonly kind: "checkpoint"; readonly state: State; readonly document: JsonObject }
  /** Valid JSON of ours whose checksum is wrong: somebody edited it. */
  | { readonly kind: "edited"; readonly document: JsonObject }
  /** The seed's document from before this store: it can be imported. */
  | { readonly kind: "seed"; readonly document: JsonObject }
  | { readonly kind: "malformed"; readonly because: string };

export function readCheckpoint(bytes: Uint8Array): ReadCheckpoint {
  if (bytes.length === 0) return { kind: "malformed", because: "it is empty" };
  const text = textOf(bytes);
  let document: unknown;
  try {
    document = JSON.parse(text ?? "");
  } catch (error) {
    return { kind: "malformed", because: text === null ? "it is not UTF-8" : (error as Error).message };
  }
  if (!isObject(document)) return { kind: "malformed", because: "it is not a JSON object" };
  if (!isObject(document.journal) && !isObject(document.integrity) && isObject(document.resources)) {
    return { kind: "seed", document };
  }
  const { journal, integrity } = document;
  if (!isObject(journal) || !isObject(integrity) || integrity.sum !== safely(() => sumOf(document as JsonObject))) {
    return { kind: "edited", document };
  }
  if (document.version !== "1.0" || journal.format !== FORMAT) {
    return { kind: "malformed", because: "it was written in a format that this version does not know" };
  }
  return { kind: "checkpoint", state: stateOf(document), document };
}

function safely<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}

function stateOf(document: JsonObject): State {
  const journal = document.journal as JsonObject;
  const metadata = document.metadata as JsonObject;
  const resources = Object.entries(document.resources as { [alias: string]: JsonObject }).map(([alias, disk]) =>
    resourceFromDisk(alias, disk),
  );
  const changes = Object.values(journal.changes as JsonObject).map((disk) => fromDisk(disk) as unknown as Change);
  const operations = Object.values(journal.operations as JsonObject).map(
    (disk) => fromDisk(disk) as unknown as Operation,
  );
  return {
    store: journal.store as string,
    seq: journal.applied_seq as number,
    head: journal.head_hash as string,
    created: metadata.created as string,
    updated: metadata.last_updated as string,
    resources: new Map(resources.map((resource) => [resource.rid, resource])),
    changes: new Map(changes.map((change) => [change.id, change])),
    tokens: new Map(changes.map((change) => [change.tokenSha256, change.id])),
    operations: new Map(operations.map((operation) => [operation.id, operation])),
    ...(isObject(journal.leases) && {
      leases: new Map(Object.entries(journal.leases as unknown as { [scope: string]: LeaseRecord })),
    }),
  };
}
