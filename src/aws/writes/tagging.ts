// What is written through the Resource Groups Tagging API: tags of up to twenty resources of any type by one call.

import type {
  FailureInfo,
  TagResourcesInput,
  TagResourcesOutput,
  UntagResourcesInput,
  UntagResourcesOutput,
} from "@aws-sdk/client-resource-groups-tagging-api";
import type { ErrorCode } from "../../core/errors.js";
import type { JsonObject } from "../../core/json.js";
import { asIs, ids, type Many, type Refusal, type Rows } from "./row.js";

export interface TaggingWrites {
  "tagging:TagResources": [TagResourcesInput, TagResourcesOutput];
  "tagging:UntagResources": [UntagResourcesInput, UntagResourcesOutput];
}

/** A failure inside AWS may have come after the tags were set: a read tells. */
function codeOf({ StatusCode = 0, ErrorCode: name, ErrorMessage = "" }: FailureInfo): ErrorCode {
  if (StatusCode === 403 || /AccessDenied|not authorized/i.test(ErrorMessage)) return "access_denied";
  if (StatusCode === 429 || /throttl|rate exceeded/i.test(ErrorMessage)) return "throttled";
  return StatusCode >= 500 || name === "InternalServiceException" ? "outcome_unknown" : "aws_rejected";
}

const refusals = (failed: Readonly<Record<string, FailureInfo>> = {}): ReadonlyMap<string, Refusal> =>
  new Map(
    Object.entries(failed).map(([arn, info]) => [
      arn,
      { code: codeOf(info), awsCode: info.ErrorCode ?? "unknown", awsMessage: info.ErrorMessage ?? "" },
    ]),
  );

/** HTTP 200 with a map of failures is a failure of those. */
const MANY: Many<TagResourcesOutput | UntagResourcesOutput> = {
  list: "ResourceARNList",
  most: 20,
  failures: ({ FailedResourcesMap }) => refusals(FailedResourcesMap),
};

const TAGS = {
  idempotency: "natural",
  dryRun: false,
  input: asIs,
  identifiers: (_: unknown, input: JsonObject) => ids(input.ResourceARNList),
  many: MANY,
} as const;

export const TAGGING_WRITES: Rows<TaggingWrites> = { "tagging:TagResources": TAGS, "tagging:UntagResources": TAGS };
