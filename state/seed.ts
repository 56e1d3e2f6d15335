// The seed's state.json, from before this store: read once, taken over with its whole lineage.

import { z } from "zod";
import { isObject, type JsonObject } from "../src/core/json.js";
import type { EventOf } from "./events.js";

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
  /** What the document says and this store does not take over. */
  readonly notTaken: readonly string[];
}

/**
 * The events that take a seed document into a store. Pure; nothing is written.
 * @throws ZodError naming the field when the document is not the seed's.
 */
export function importSeed(json: unknown): SeedImport {
  const document = SeedDocument.parse(json);
  const events = Object.entries(document.resources).map(([alias, seed]): EventOf<"resource.imported"> => {
    const dependsOn = seed.dependencies?.depends_on ?? [];
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
  return { events, notTaken: Object.keys(document.stacks).map((name) => `stack ${name}`) };
}
