// What is written through Cloud Control.

import type {
  CancelResourceRequestInput,
  CancelResourceRequestOutput,
  CreateResourceInput,
  CreateResourceOutput,
  DeleteResourceInput,
  DeleteResourceOutput,
  UpdateResourceInput,
  UpdateResourceOutput,
} from "@aws-sdk/client-cloudcontrol";
import type { ChangeStep } from "../../core/change.js";
import { isObject, type JsonObject } from "../../core/json.js";
import { OPERATION_MARK, tagsOf, withMark } from "../../core/tags.js";
import { getResource, listResources } from "../control.js";
import { asIs, type Op, type Reads, type Rows, withToken } from "./row.js";

export interface ControlWrites {
  "cloudcontrol:CreateResource": [CreateResourceInput, CreateResourceOutput];
  "cloudcontrol:UpdateResource": [UpdateResourceInput, UpdateResourceOutput];
  "cloudcontrol:DeleteResource": [DeleteResourceInput, DeleteResourceOutput];
  "cloudcontrol:CancelResourceRequest": [CancelResourceRequestInput, CancelResourceRequestOutput];
}

/** A desired state planned with a mark gets this operation's. */
const bearing = (input: JsonObject, op: Op): JsonObject =>
  isObject(input.DesiredState) ? { ...input, DesiredState: withMark(input.DesiredState, op.clientToken) } : input;

/** Documents travel as text in Cloud Control. */
const asText = (input: JsonObject, ...names: readonly string[]): JsonObject =>
  Object.fromEntries(
    Object.entries(input).map(([name, value]) =>
      names.includes(name) && typeof value !== "string" ? [name, JSON.stringify(value)] : [name, value],
    ),
  );

/** Resources of a type looked at one by one for a mark, at most. */
const MOST_LOOKED_AT = 50;

/**
 * By the mark among the resources of the type. Not finding it proves nothing: not every read shows tags, and some types
 * cannot be listed without a parent.
 */
async function createdBy(
  api: Reads,
  op: Op,
  { input: { TypeName, DesiredState } }: ChangeStep,
): Promise<readonly string[] | null> {
  const type = String(TypeName);
  if (!isObject(DesiredState) || tagsOf(DesiredState)[OPERATION_MARK] === undefined) return null;
  const bears = (properties: JsonObject | null): boolean =>
    properties !== null && tagsOf(properties)[OPERATION_MARK] === op.clientToken;
  let cursor: string | undefined;
  let looked = 0;
  do {
    const page = await listResources(api, type, undefined, cursor);
    for (const { id, properties } of page.items) {
      if (bears(properties)) return [id];
      if (looked++ >= MOST_LOOKED_AT) return null;
      if (bears(await getResource(api, type, id))) return [id];
    }
    cursor = page.next;
  } while (cursor !== undefined);
  return null;
}

const PROGRESS = {
  idempotency: "token",
  dryRun: false,
  identifiers: ({ ProgressEvent }: CreateResourceOutput) => [ProgressEvent?.Identifier],
  requestToken: ({ ProgressEvent }: CreateResourceOutput) => ProgressEvent?.RequestToken,
} as const;

export const CONTROL_WRITES: Rows<ControlWrites> = {
  "cloudcontrol:CreateResource": {
    ...PROGRESS,
    input: (input, op) => asText(withToken(bearing(input, op), op), "DesiredState"),
    find: createdBy,
  },
  "cloudcontrol:UpdateResource": {
    ...PROGRESS,
    input: (input, op) => asText(withToken(input, op), "PatchDocument"),
  },
  "cloudcontrol:DeleteResource": { ...PROGRESS, input: withToken },
  "cloudcontrol:CancelResourceRequest": { ...PROGRESS, idempotency: "natural", input: asIs },
};
