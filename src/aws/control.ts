// Cloud Control: any resource type by one API. Reads are synchronous; a write answers a handle whose progress is asked for.

import type { HookProgressEvent, ProgressEvent } from "@aws-sdk/client-cloudcontrol";
import type { StepKind } from "../core/change.js";
import { type ErrorCode, OpsError } from "../core/errors.js";
import { isObject, type JsonObject } from "../core/json.js";
import type { Page } from "../core/page.js";
import type { Progress } from "../core/ports.js";
import type { Api } from "./api.js";
import { ASYNCHRONOUS, ROLE_ERRORS, ROLE_NOT_READY } from "./error-table.js";
import { foreign } from "./foreign.js";

/** The resource model Cloud Control sends as text. */
export function propertiesOf(text: string | undefined): JsonObject {
  try {
    const parsed: unknown = JSON.parse(text ?? "");
    if (isObject(parsed)) return parsed;
  } catch {
    // Falls through to the one answer for everything that is not an object.
  }
  throw new OpsError(
    "aws_unavailable",
    "Cloud Control answered a resource that is not JSON; nothing is known of it. Call again.",
  );
}

/** Types whose name is not one are refused here, before they cost a call. */
function checkType(type: string): void {
  if (/^[A-Za-z0-9]{2,64}::[A-Za-z0-9]{2,64}::[A-Za-z0-9]{2,64}(::MODULE)?$/.test(type)) return;
  throw new OpsError("validation_error", "A resource type is written as in AWS::S3::Bucket.", {
    field: "type",
    details: { type: foreign(type, 64) },
  });
}

export async function getResource(api: Api, type: string, id: string): Promise<JsonObject | null> {
  checkType(type);
  try {
    const output = await api.call("cloudcontrol", "GetResource", { TypeName: type, Identifier: id });
    return propertiesOf(output.ResourceDescription?.Properties);
  } catch (error) {
    if (error instanceof OpsError && error.details.awsCode === "ResourceNotFoundException") return null;
    throw error;
  }
}

export async function listResources(
  api: Api,
  type: string,
  model: JsonObject | undefined,
  cursor: string | undefined,
): Promise<Page<{ id: string; properties: JsonObject }>> {
  checkType(type);
  const output = await api.call("cloudcontrol", "ListResources", {
    TypeName: type,
    ...(model !== undefined && { ResourceModel: JSON.stringify(model) }),
    ...(cursor !== undefined && { NextToken: cursor }),
  });
  const items = (output.ResourceDescriptions ?? []).map(({ Identifier = "", Properties }) => ({
    id: Identifier,
    properties: propertiesOf(Properties),
  }));
  return output.NextToken ? { items, next: output.NextToken } : { items };
}

const STATUS: Readonly<Record<string, Progress["status"]>> = {
  PENDING: "pending",
  IN_PROGRESS: "pending",
  CANCEL_IN_PROGRESS: "pending",
  SUCCESS: "succeeded",
  FAILED: "failed",
  CANCEL_COMPLETE: "failed",
};

const HOOK_FAILURES: ReadonlySet<string> = new Set(["HOOK_FAILED", "HOOK_COMPLETE_FAILED"]);
const LONGEST_WAIT_MS = 60_000;

/** A failed request's code in our words. A create that failed with an identifier left something behind. */
function failureOf(event: ProgressEvent, kind: StepKind, hookFailed: boolean): ErrorCode {
  if (event.OperationStatus === "CANCEL_COMPLETE") return "aws_failed";
  if (hookFailed) return "aws_rejected";
  const code = ASYNCHRONOUS[event.ErrorCode ?? ""]?.code ?? "outcome_unknown";
  const leftSomething = kind === "create" && event.Identifier !== undefined && code !== "already_exists";
  return leftSomething && code !== "outcome_unknown" ? "aws_failed" : code;
}

const roleNotReady = (kind: StepKind, awsCode: string, message: string): boolean =>
  kind === "create" && ROLE_ERRORS.has(awsCode) && ROLE_NOT_READY.test(message);

/** Whether a create was refused for a role that will be ready in a moment. */
export const refusedForNow = ({ details }: OpsError, kind: StepKind): boolean =>
  roleNotReady(kind, String(details.awsCode), String(details.awsMessage));

/** Whether a new request may mend the failure: never after an identifier was issued, for then something was made. */
function mendable(event: ProgressEvent, kind: StepKind, hookFailed: boolean): Progress["again"] {
  const { ErrorCode = "", StatusMessage = "", OperationStatus } = event;
  const made = kind === "create" && event.Identifier !== undefined;
  if (OperationStatus !== "FAILED" || hookFailed || made) return undefined;
  if (roleNotReady(kind, ErrorCode, StatusMessage)) return "refused";
  if (ASYNCHRONOUS[ErrorCode]?.policy !== "again") return undefined;
  return ErrorCode === "Throttling" ? "refused" : "unproven";
}

/**
 * One progress event in our words. A delete whose resource is already gone has succeeded: the handle belongs to this
 * account and region. A failed hook's message stands before the handler's, for it is the reason.
 */
export function progressOf(
  event: ProgressEvent,
  kind: StepKind,
  now: Date,
  hooks: readonly HookProgressEvent[] = [],
): Progress {
  const hook = hooks.find(({ HookStatus }) => HOOK_FAILURES.has(HookStatus ?? ""));
  const alreadyGone = kind === "delete" && event.OperationStatus === "FAILED" && event.ErrorCode === "NotFound";
  const status = alreadyGone ? "succeeded" : (STATUS[event.OperationStatus ?? ""] ?? "pending");
  const message = foreign(hook?.HookStatusMessage ?? event.StatusMessage ?? "");
  const wait = event.RetryAfter && Math.min(Math.max(event.RetryAfter.getTime() - now.getTime(), 0), LONGEST_WAIT_MS);
  const awsCode = event.ErrorCode ?? (event.OperationStatus === "CANCEL_COMPLETE" ? "CANCEL_COMPLETE" : undefined);
  const again = status === "failed" ? mendable(event, kind, hook !== undefined) : undefined;
  return {
    status,
    ...(event.Identifier !== undefined && { identifier: event.Identifier }),
    ...(awsCode !== undefined && { awsCode: foreign(awsCode, 80) }),
    ...(status === "failed" && { code: failureOf(event, kind, hook !== undefined) }),
    ...(message !== "" && { message }),
    ...(again !== undefined && { again }),
    ...(status === "pending" && wait !== undefined && { retryAfterMs: wait }),
  };
}

/** Asks once. An error of the asking says nothing about the request itself. */
export async function requestProgress(api: Api, requestToken: string, kind: StepKind, now: Date): Promise<Progress> {
  const output = await api.call("cloudcontrol", "GetResourceRequestStatus", { RequestToken: requestToken });
  return progressOf(output.ProgressEvent ?? {}, kind, now, output.HooksProgressEvent);
}

/** Another request that AWS is working on for the same resource, in a few pages of the newest; null where none is seen. */
export async function requestInFlight(
  api: Api,
  type: string,
  id: string,
): Promise<{ readonly requestToken: string; readonly operation: string; readonly since?: string } | null> {
  const found = await openRequest(api, ({ TypeName, Identifier }) => TypeName === type && Identifier === id);
  if (!found?.RequestToken) return null;
  return {
    requestToken: foreign(found.RequestToken, 80),
    operation: foreign(found.Operation, 20),
    ...(found.EventTime && { since: found.EventTime.toISOString() }),
  };
}

/** Whether AWS is working on a request of this kind that may be about this resource: a create may not tell its name yet. */
export async function requestAtWork(api: Api, kind: StepKind, type: string, id: string): Promise<boolean> {
  const found = await openRequest(
    api,
    ({ TypeName, Operation, Identifier }) =>
      TypeName === type &&
      Operation === kind.toUpperCase() &&
      (id === "" || Identifier === undefined || Identifier === id),
  );
  return found !== undefined;
}

async function openRequest(api: Api, fits: (event: ProgressEvent) => boolean): Promise<ProgressEvent | undefined> {
  let NextToken: string | undefined;
  for (let page = 0; page < 3; page++) {
    const output = await api.call("cloudcontrol", "ListResourceRequests", {
      MaxResults: 100,
      ResourceRequestStatusFilter: { OperationStatuses: ["PENDING", "IN_PROGRESS", "CANCEL_IN_PROGRESS"] },
      ...(NextToken !== undefined && { NextToken }),
    });
    const found = output.ResourceRequestStatusSummaries?.find(fits);
    if (found) return found;
    NextToken = output.NextToken;
    if (NextToken === undefined) break;
  }
  return undefined;
}
