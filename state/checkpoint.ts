// State ⇄ state.json: the seed's document, readable by people, complete enough to go on from. The chain stays the truth.

import { createHash } from "node:crypto";
import type {
  Change,
  DriftIgnore,
  Envelope,
  LeaseRecord,
  LineageEntry,
  ManagedResource,
  Operation,
  SpilledLineage,
  State,
} from "../src/core/change.js";
import { digest, isObject, type Json, type JsonObject, sha256 } from "../src/core/json.js";
import { fromDisk, LineageShape, textOf, toDisk } from "./events.js";

export const MANAGED_BY = "AWS-DEVOPS-MCP";
const FORMAT = 1;
/** With `spilled`: a reader that does not know it would take what is inline for the whole history. */
const FORMAT_SPILLED = 2;

/** A document with its keys in one order, so that equal documents make equal text. */
const sorted = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const keys = Object.keys(value).sort();
  return Object.fromEntries(keys.map((key) => [key, sorted(value[key]!)]));
};

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
    ...optional("not_verified", entry.notVerified),
    ...optional("not_proven", entry.notProven),
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
    ...optional("notVerified", disk.not_verified),
    ...optional("notProven", disk.not_proven),
    ...optional("error", disk.error === undefined ? undefined : fromDisk(disk.error)),
    ...optional("resolved", disk.resolved),
  });
}

function resourceOnDisk(resource: ManagedResource, dependents: readonly string[]): Record<string, unknown> {
  const { ref, drift } = resource;
  return {
    resource_type: ref.type,
    identifier: ref.id,
    region: ref.region,
    account_id: ref.account,
    current_properties: sorted(resource.properties),
    lineage: resource.lineage.map(entryOnDisk),
    ...optional("lineage_spilled", resource.lineageSpilled),
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
    dependencies: { depends_on: resource.dependsOn ?? [], dependents },
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
    ...(isObject(disk.lineage_spilled) && { lineageSpilled: disk.lineage_spilled as unknown as SpilledLineage }),
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

/** `ch_9` before `ch_10`: by number, because that is the order in which they were made. */
const byNumber = (a: string, b: string): number => a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Whatever a checkpoint says of one resource, change or operation. */
interface Part {
  readonly name: string;
  /** Of which object it is said: as long as this is the same, so is what is said. */
  readonly of: object;
  /** Where others decide on it too: what they said. */
  readonly and: string;
  readonly make: () => JsonObject;
}

/** A checkpoint before its text: what is said of the store as a whole, and the parts of it that can be many. */
interface Outline {
  readonly head: JsonObject;
  readonly resources: readonly Part[];
  readonly journal: JsonObject;
  readonly changes: readonly Part[];
  readonly operations: readonly Part[];
  readonly leases: JsonObject;
}

function outlineOf(state: State, serverVersion: string, segments: readonly string[]): Outline {
  const resources = [...state.resources.values()].sort((a, b) => byName(a.alias, b.alias));
  const dependents = new Map<string, string[]>();
  for (const { alias, dependsOn = [] } of resources) {
    for (const target of dependsOn) dependents.set(target, [...(dependents.get(target) ?? []), alias]);
  }
  const changes = [...state.changes.values()].sort((a, b) => byNumber(a.id, b.id));
  const operations = [...state.operations.values()].sort((a, b) => byNumber(a.id, b.id));
  const plain = (one: Change | Operation): Part => ({
    name: one.id,
    of: one,
    and: "",
    make: () => sorted(toDisk(one)) as JsonObject,
  });
  return {
    head: {
      version: "1.0",
      metadata: {
        created: state.created,
        last_updated: state.updated,
        mcp_server_version: serverVersion,
        total_resources: resources.length,
        total_operations: operations.length + (state.spilled?.operations ?? 0),
      },
    },
    resources: resources.map((resource) => {
      const others = dependents.get(resource.alias) ?? [];
      return {
        name: resource.alias,
        of: resource,
        and: others.join("\n"),
        make: () => resourceOnDisk(resource, others) as JsonObject,
      };
    }),
    journal: {
      format: state.spilled ? FORMAT_SPILLED : FORMAT,
      store: state.store,
      applied_seq: state.seq,
      head_hash: state.head,
      pending_ops: operations.filter((operation) => !operation.settledAt).map((operation) => operation.id),
      archive_segments: segments,
      ...(optional("spilled", state.spilled) as JsonObject),
    },
    changes: changes.map(plain),
    operations: operations.map(plain),
    leases: optional(
      "leases",
      state.leases && sorted(Object.fromEntries(state.leases) as unknown as Json),
    ) as JsonObject,
  };
}

const documentOf = (parts: readonly Part[]): JsonObject =>
  Object.fromEntries(parts.map(({ name, make }) => [name, make()]));

/**
 * The checkpoint as a document. Equal states give equal documents, key order included. `segments`: the archive it was
 * written beside.
 */
export function checkpointDocument(state: State, serverVersion: string, segments: readonly string[] = []): JsonObject {
  const outline = outlineOf(state, serverVersion, segments);
  const body: JsonObject = {
    ...outline.head,
    resources: documentOf(outline.resources),
    stacks: {},
    journal: {
      ...outline.journal,
      changes: documentOf(outline.changes),
      operations: documentOf(outline.operations),
      ...outline.leases,
    },
  };
  return { ...body, integrity: { sum: sumOf(body) } };
}

/**
 * The checksum of a checkpoint: a digest of digests, one a resource, so that it is the same in any layout of the text
 * and a later writer need not serialise what did not change.
 */
export function sumOf({ integrity: _, ...body }: JsonObject): string {
  const parts = (members: unknown): unknown =>
    isObject(members)
      ? Object.fromEntries(Object.entries(members).map(([key, member]) => [key, digest(member)]))
      : members;
  const journal = isObject(body.journal)
    ? { ...body.journal, changes: parts(body.journal.changes), operations: parts(body.journal.operations) }
    : body.journal;
  return digest({ ...body, resources: parts(body.resources), journal });
}

/** The text of state.json: two spaces, other people's documents with sorted keys, so that Git shows a small difference. */
export const checkpointText = (document: JsonObject): string => `${JSON.stringify(document, null, 2)}\n`;

/** Bytes that are made before others have their turn: some ten milliseconds of work. */
const SLICE_BYTES = 256 * 1024;
/** From this size on others have their turn between the steps that take all bytes at once, too. */
const LARGE_BYTES = 8 * 1024 * 1024;

interface Written {
  readonly of: object;
  readonly and: string;
  /** Name and value, indented as where it stands. */
  readonly bytes: Uint8Array;
  readonly digest: string;
}

const encoder = new TextEncoder();
const COMMA = encoder.encode(",");

/**
 * Makes the bytes of one checkpoint after another, in slices between which `breathe` is awaited. What is said of a thing
 * is made once and kept for as long as the thing is: most do not change between two checkpoints. Null, as soon as that
 * shows, where they would be more than `most`.
 */
export function checkpointWriter(serverVersion: string) {
  const kept: Kept = { resources: new Map(), changes: new Map(), operations: new Map() };

  return async function bytesOf(
    state: State,
    segments: readonly string[],
    breathe: () => Promise<void>,
    most: number,
  ): Promise<Uint8Array | null> {
    const { head, resources, journal, changes, operations, leases } = outlineOf(state, serverVersion, segments);
    const chunks: Uint8Array[] = [];
    let length = 0;
    let fresh = 0;
    const add = (chunk: Uint8Array): void => {
      chunks.push(chunk);
      length += chunk.length;
    };
    const say = (text: string): void => add(encoder.encode(text));
    const pause = async (): Promise<void> => {
      if (length > LARGE_BYTES) await breathe();
    };

    /** Adds an object of the document, a member a part; answers the digests of its members. */
    async function members(parts: readonly Part[], section: keyof Kept, indent: string): Promise<JsonObject | null> {
      const before = kept[section];
      const now = new Map<string, Written>();
      const byOwnName = new Map(parts.map((part) => [part.name, part]));
      // As an object has its keys, numbers first: parsed and written again it is the same text.
      const names = Object.keys(Object.fromEntries(byOwnName));
      say("{");
      for (const [index, name] of names.entries()) {
        const part = byOwnName.get(name)!;
        let made = before.get(name);
        if (made?.of !== part.of || made.and !== part.and) {
          if (fresh > SLICE_BYTES) {
            await breathe();
            fresh = 0;
          }
          const value = part.make();
          const text = `\n${JSON.stringify(name)}: ${JSON.stringify(value, null, 2)}`;
          const bytes = encoder.encode(text.replaceAll("\n", indent));
          made = { of: part.of, and: part.and, bytes, digest: digest(value) };
          // At once, so that what a writer who is stopped has made is not made again.
          before.set(name, made);
          fresh += bytes.length;
        }
        now.set(name, made);
        if (index > 0) add(COMMA);
        add(made.bytes);
        if (length > most) return null;
      }
      kept[section] = now;
      say(names.length > 0 ? `${indent.slice(0, -2)}}` : "}");
      return Object.fromEntries(names.map((name) => [name, now.get(name)!.digest]));
    }
    /** Members as JSON.stringify lays them out, without the braces around them. */
    const inner = (object: JsonObject, indent: string): string =>
      JSON.stringify(object, null, 2).slice(1, -2).replaceAll("\n", indent);

    say(`{${inner(head, "\n")},\n  "resources": `);
    const resourceSums = await members(resources, "resources", "\n    ");
    if (!resourceSums) return null;
    await pause();
    say(`,\n  "stacks": {},\n  "journal": {${inner(journal, "\n  ")},\n    "changes": `);
    const changeSums = await members(changes, "changes", "\n      ");
    if (!changeSums) return null;
    await pause();
    say(',\n    "operations": ');
    const operationSums = await members(operations, "operations", "\n      ");
    if (!operationSums) return null;
    await pause();
    say(`${Object.keys(leases).length > 0 ? `,${inner(leases, "\n  ")}` : ""}\n  }`);
    const sum = digest({
      ...head,
      resources: resourceSums,
      stacks: {},
      journal: { ...journal, changes: changeSums, operations: operationSums, ...leases },
    });
    say(`,\n  "integrity": {\n    "sum": "${sum}"`);
    await pause();
    const end = (checksum: string): Uint8Array => encoder.encode(`${BYTES}${checksum}"\n  }\n}\n`);
    const size = length + end("0".repeat(64)).length;
    if (size > most) return null;
    const whole = Buffer.allocUnsafe(size);
    let at = 0;
    for (const chunk of chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    const hash = createHash("sha256");
    for (let from = 0; from < at; from += LARGE_BYTES) {
      await pause();
      hash.update(whole.subarray(from, Math.min(at, from + LARGE_BYTES)));
    }
    whole.set(end(hash.digest("hex")), at);
    await pause();
    return whole;
  };
}

type Kept = Record<"resources" | "changes" | "operations", Map<string, Written>>;

/** Before the checksum of all that precedes it: by this a file as we laid it out is known without a look at each part. */
const BYTES = ',\n    "bytes": "';

/** Whether these bytes are, to the last one, what a server wrote. */
function isUntouched(bytes: Uint8Array): boolean {
  const tail = Buffer.from(bytes.subarray(Math.max(0, bytes.length - 256))).toString("latin1");
  const found = /,\n {4}"bytes": "([0-9a-f]{64})"\n {2}\}\n\}\n$/.exec(tail);
  return found !== null && found[1] === sha256(bytes.subarray(0, bytes.length - found[0].length));
}

/** Whether a document says what its checksums cover, in whatever layout it stands now. */
function isWhole({ integrity, ...body }: JsonObject): boolean {
  if (!isObject(integrity) || integrity.sum !== sumOf(body)) return false;
  const { sum: _, bytes, ...unknown } = integrity;
  if (Object.keys(unknown).length > 0) return false;
  const before = JSON.stringify({ ...body, integrity: { sum: integrity.sum } }, null, 2).slice(0, -"\n  }\n}".length);
  return bytes === undefined || bytes === sha256(before);
}

/** Which store a checkpoint is of and how far it goes, or null where it is no checkpoint of use. */
export function checkpointExtent(bytes: Uint8Array): { readonly store: string; readonly seq: number } | null {
  if (isUntouched(bytes)) {
    // No string of the document holds a line break, so this can stand in one place only.
    const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf('\n  "journal": {\n');
    const head = Buffer.from(bytes.subarray(at, at + 300)).toString();
    const found = /"format": ([12]),\n {4}"store": "([^"\\]+)",\n {4}"applied_seq": (\d+),\n/.exec(head);
    if (at >= 0 && found) return { store: found[2]!, seq: Number(found[3]) };
  }
  const found = readCheckpoint(bytes);
  return found.kind === "checkpoint" ? { store: found.state.store, seq: found.state.seq } : null;
}

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
  const { journal } = document;
  const whole = isUntouched(bytes) || safely(() => isWhole(document as JsonObject));
  if (!isObject(journal) || !whole) return { kind: "edited", document };
  if (document.version !== "1.0" || journal.format !== (journal.spilled ? FORMAT_SPILLED : FORMAT)) {
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
    ...(isObject(journal.spilled) && { spilled: journal.spilled as unknown as NonNullable<State["spilled"]> }),
    ...(isObject(journal.leases) && {
      leases: new Map(Object.entries(journal.leases as unknown as { [scope: string]: LeaseRecord })),
    }),
  };
}
