// The seed's state.json, from before this store: read once, taken over with its whole lineage.

import { z } from "zod";
import { ridOf, type State } from "../src/core/change.js";
import { OpsError } from "../src/core/errors.js";
import { isObject, type JsonObject } from "../src/core/json.js";
import type { EventOf } from "./events.js";
import { aliases, claims } from "./fold.js";

const Doc = z.custom<JsonObject>(isObject, "expected an object");

const SeedEntry = z.looseObject({
  execution_token: z.string(),
  operation: z.enum(["create", "update", "delete", "import"]),
  timestamp: z.string(),
  user: z.string().default(""),
  aws_session: z.string().default(""),
  properties_before: Doc.nullable().default(null),
  properties_after: Doc.nullable().default(null),
  explanation: z.string().default(""),
  user_intent: z.string().default(""),
  patch_document: z.array(z.custom<JsonObject>(isObject)).optional(),
  checkov_results: Doc.optional(),
});

const SeedResource = z.looseObject({
  resource_type: z.string().min(1),
  identifier: z.string().min(1),
  region: z.string().min(1),
  account_id: z.string().min(1),
  current_properties: Doc.nullable(),
  lineage: z.array(SeedEntry).default([]),
  managed_by: z.string().default("unknown"),
  created_at: z.string().optional(),
  dependencies: z.looseObject({ depends_on: z.array(z.string()).default([]) }).optional(),
});

const SeedDocument = z.looseObject({
  version: z.literal("1.0"),
  resources: z.record(z.string(), SeedResource),
  stacks: z.record(z.string(), Doc).default({}),
});

export interface SeedImport {
  /** One a resource, in the order of the document. */
  readonly events: readonly EventOf<"resource.imported">[];
  /** What the document says and this store does not take over, by path. */
  readonly notTaken: readonly string[];
}

/** Derived here from the resources themselves, or looked at again in AWS. */
const MADE_ANEW = ["managed_by", "last_modified", "drift_status"];

const unknownIn = (found: JsonObject, shape: object, at: string): string[] =>
  Object.keys(found)
    .filter((key) => !(key in shape) && !MADE_ANEW.includes(key))
    .map((key) => `${at}.${key}`);

/**
 * The events that take a seed document into a store. Pure; nothing is written.
 * @throws OpsError `validation_error` naming the field when the document is not the seed's.
 */
export function importSeed(json: unknown): SeedImport {
  const parsed = SeedDocument.safeParse(json);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new OpsError(
      "validation_error",
      `This is not a state.json of version 1.0: ${path.join(".") || "the document"}: ${message}. Nothing was imported.`,
      { field: path.join(".") },
    );
  }
  const document = parsed.data;
  const notTaken = Object.keys(document.stacks).map((name) => `stacks.${name}`);
  const events = Object.entries(document.resources).map(([alias, seed]): EventOf<"resource.imported"> => {
    const dependsOn = seed.dependencies?.depends_on ?? [];
    notTaken.push(...unknownIn(seed as unknown as JsonObject, SeedResource.shape, `resources.${alias}`));
    for (const [index, entry] of seed.lineage.entries()) {
      const at = `resources.${alias}.lineage.${index}`;
      notTaken.push(...unknownIn(entry as unknown as JsonObject, SeedEntry.shape, at));
    }
    return {
      type: "resource.imported",
      ref: { account: seed.account_id, region: seed.region, type: seed.resource_type, id: seed.identifier },
      reader: "cloudcontrol",
      alias,
      properties: seed.current_properties,
      provenance: `state.json of ${seed.managed_by}`,
      ...(seed.created_at !== undefined && { createdAt: seed.created_at }),
      lineage: seed.lineage.map((entry) => ({
        seq: 0,
        executionToken: entry.execution_token,
        changeId: "",
        operationId: "",
        tool: "",
        operation: entry.operation,
        outcome: "succeeded" as const,
        timestamp: entry.timestamp,
        user: entry.user,
        awsSession: entry.aws_session,
        before: entry.properties_before,
        after: entry.properties_after,
        explanation: entry.explanation,
        intent: entry.user_intent,
        ...(entry.patch_document && { patch: entry.patch_document }),
        ...(entry.checkov_results && { policyResults: entry.checkov_results }),
      })),
      ...(dependsOn.length > 0 && { dependsOn }),
    };
  });
  return { events, notTaken };
}

/** A resource that an import leaves as it is, and why. */
export interface NotImported {
  readonly alias: string;
  readonly rid: string;
  readonly because: string;
}

/**
 * What of an import this state can take, in one commit. Where an alias is another resource's here, the imported one
 * gets a longer one, and those that depend on it follow.
 */
export function admissible(
  state: State,
  events: SeedImport["events"],
): { readonly events: SeedImport["events"]; readonly refused: readonly NotImported[] } {
  const held = claims(state);
  const taken = new Map(aliases(state.resources));
  const renamed = new Map<string, string>();
  const refused: NotImported[] = [];
  const seen = new Set<string>();
  const fitting = events.flatMap((event) => {
    const { alias = event.ref.id } = event;
    const rid = ridOf(event.ref);
    const known = state.resources.get(rid);
    const claim = held.get(rid);
    const because = claim
      ? `change ${claim.changeId} holds it until its outcome is recorded`
      : known && !known.deleted
        ? "the state holds it already"
        : seen.has(rid)
          ? "the document names it twice"
          : null;
    if (known) renamed.set(alias, known.alias);
    if (because !== null) {
      refused.push({ alias, rid, because });
      return [];
    }
    seen.add(rid);
    const { account, region, type } = event.ref;
    const free =
      [alias, `${alias}@${region}`, `${alias}@${account}/${region}/${type}`].find((one) => !taken.has(one)) ?? rid;
    if (!known) {
      taken.set(free, rid);
      renamed.set(alias, free);
    }
    return [{ ...event, alias: known?.alias ?? free }];
  });
  return {
    events: fitting.map((event) =>
      event.dependsOn ? { ...event, dependsOn: event.dependsOn.map((name) => renamed.get(name) ?? name) } : event,
    ),
    refused,
  };
}
