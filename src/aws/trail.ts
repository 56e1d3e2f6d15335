// CloudTrail's record of calls: LookupEvents, two requests a second for all of an account and region, one attribute a
// call. Events arrive minutes late and are kept for 90 days; only management events are among them.

import type { Event as AwsEvent, LookupEventsRequest } from "@aws-sdk/client-cloudtrail";
import { OpsError } from "../core/errors.js";
import { isObject, type Json, type JsonObject } from "../core/json.js";
import type { TrailEvent, TrailPage, TrailQuery } from "../core/trail.js";
import type { Api } from "./api.js";
import { foreign } from "./foreign.js";
import type { Pace } from "./pace.js";
import { present } from "./readers/parts.js";

/** AWS's limits. */
export const LOOKUPS = { count: 2, windowMs: 1_000 } as const;
const PAGE = 50;
const KEPT_MS = 90 * 86_400_000;
/** Pages read for one question: newest first, and the newest are the ones that matter. */
const MOST_PAGES = 2;
const ATTEMPTS = 3;
const HOLD_MS = 1_000;
/** CloudTrail cuts its own records at 256 KB; what is longer is not one. */
const MOST_RECORD = 262_144;

/** Where a partition records the calls of services without regions; an unknown partition records them where it is asked. */
const GLOBAL_REGION: Readonly<Record<string, string>> = {
  aws: "us-east-1",
  "aws-cn": "cn-north-1",
  "aws-us-gov": "us-gov-west-1",
};

/** @example globalTrailRegion("arn:aws-cn:iam::123456789012:user/me", "cn-northwest-1") // "cn-north-1" */
export const globalTrailRegion = (arn: string, region: string): string =>
  GLOBAL_REGION[arn.split(":")[1] ?? ""] ?? region;

/**
 * The write events that name a resource, in a time.
 * @throws OpsError access_denied, throttled, aws_unavailable: nothing is known then, and nothing else follows from it.
 */
export async function lookupEvents(api: Api, pace: Pace, query: TrailQuery): Promise<TrailPage> {
  const to = Date.parse(query.to);
  const from = Math.max(Date.parse(query.from), to - KEPT_MS);
  const input: LookupEventsRequest = {
    LookupAttributes: [{ AttributeKey: "ResourceName", AttributeValue: query.name }],
    StartTime: new Date(from),
    EndTime: new Date(to),
    MaxResults: PAGE,
  };
  const events: TrailEvent[] = [];
  let token: string | undefined;
  for (let page = 0; page < MOST_PAGES; page++) {
    const output = await asked(api, pace, { ...input, ...(token !== undefined && { NextToken: token }) });
    events.push(...(output.Events ?? []).flatMap((event) => trailEventOf(event) ?? []));
    token = output.NextToken || undefined;
    if (token === undefined) break;
  }
  return { events, complete: token === undefined };
}

/** Every attempt is paced, so the SDK's own retries are off for this service. */
async function asked(api: Api, pace: Pace, input: LookupEventsRequest) {
  for (let attempt = 1; ; attempt++) {
    await pace.take();
    try {
      return await api.call("cloudtrail", "LookupEvents", input);
    } catch (error) {
      if (!(error instanceof OpsError) || !error.retriable || attempt >= ATTEMPTS) throw error;
      if (error.code === "throttled") pace.hold(HOLD_MS * attempt);
    }
  }
}

const TEXT = 128;
const AGENT = 200;
const PRINCIPAL = 600;
const some = (value: unknown, limit = TEXT): string | undefined =>
  typeof value === "string" && value !== "" ? foreign(value, limit) || undefined : undefined;
const object = (value: unknown): JsonObject => (isObject(value) ? value : {});

function recordOf(text: string | undefined): JsonObject {
  if (text === undefined || text.length > MOST_RECORD) return {};
  try {
    return object(JSON.parse(text));
  } catch {
    // A record that is not JSON: what the envelope says is all there is.
    return {};
  }
}

/** An event in our words; null for one without id or time, which nothing could be said of. */
export function trailEventOf(event: AwsEvent): TrailEvent | null {
  const record = recordOf(event.CloudTrailEvent);
  const identity = object(record.userIdentity);
  const issuer = object(object(identity.sessionContext).sessionIssuer);
  const type = some(identity.type, 40);
  const arn = some(identity.arn, 2048);
  const invokedBy = some(identity.invokedBy);
  const at = event.EventTime ?? new Date(Date.parse(String(record.eventTime)));
  const eventId = some(event.EventId) ?? some(record.eventID);
  if (eventId === undefined || Number.isNaN(at.getTime())) return null;
  const session = type === "AssumedRole" ? some(arn?.split("/").at(-1)) : undefined;
  const serviceRole = typeof issuer.arn === "string" && issuer.arn.includes(":role/aws-service-role/");
  return present<TrailEvent>({
    eventId,
    at: at.toISOString(),
    source: some(event.EventSource) ?? some(record.eventSource) ?? "",
    name: some(event.EventName) ?? some(record.eventName) ?? "",
    readOnly: event.ReadOnly === "true" || record.readOnly === true,
    failed: typeof record.errorCode === "string" && record.errorCode !== "",
    requestId: some(record.requestID),
    arn,
    principal:
      some(issuer.arn, PRINCIPAL) ??
      some(identity.arn, PRINCIPAL) ??
      some(identity.userName) ??
      invokedBy ??
      some(event.Username) ??
      "unknown",
    principalType: type,
    session,
    sourceIp: some(record.sourceIPAddress),
    userAgent: some(record.userAgent, AGENT),
    console:
      record.sessionCredentialFromConsole === "true" || record.sessionCredentialFromConsole === true || undefined,
    invokedBy,
    onItsOwn: type === "AWSService" || serviceRole || undefined,
    resources: (event.Resources ?? []).flatMap(({ ResourceName, ResourceType }) =>
      ResourceName
        ? [present<TrailEvent["resources"][number]>({ name: ResourceName, type: ResourceType || undefined })]
        : [],
    ),
    request: (record.requestParameters ?? null) as Json,
    response: (record.responseElements ?? null) as Json,
  });
}
