// CloudTrail's LookupEvents, scripted from AWS's published answer shape: moto has none. Knows what a test recorded in it.

import type { ScriptedAnswer, ScriptedRequest } from "./scripted-http.js";

/** A call somebody made, in the words of CloudTrail's records. */
export interface Recorded {
  readonly eventName: string;
  readonly eventSource: string;
  readonly session: string;
  readonly resource: { readonly ResourceType: string; readonly ResourceName: string };
  readonly requestParameters: object;
  readonly responseElements?: object;
  readonly userAgent?: string;
  readonly at: Date;
}

export interface ScriptedTrail {
  answer(request: ScriptedRequest): ScriptedAnswer;
  record(...events: readonly Recorded[]): void;
  /** The next answers are this error. */
  fail(code: string, times: number): void;
}

const ACCOUNT = "123456789012";
const ROLE = "NetworkEngineer";

function eventOf(it: Recorded, number: number) {
  const eventID = `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
  const record = {
    eventVersion: "1.11",
    userIdentity: {
      type: "AssumedRole",
      principalId: `AROAEXAMPLE:${it.session}`,
      arn: `arn:aws:sts::${ACCOUNT}:assumed-role/${ROLE}/${it.session}`,
      accountId: ACCOUNT,
      sessionContext: {
        sessionIssuer: {
          type: "Role",
          arn: `arn:aws:iam::${ACCOUNT}:role/${ROLE}`,
          accountId: ACCOUNT,
          userName: ROLE,
        },
      },
    },
    eventTime: `${it.at.toISOString().slice(0, 19)}Z`,
    eventSource: it.eventSource,
    eventName: it.eventName,
    awsRegion: "eu-west-1",
    sourceIPAddress: "198.51.100.7",
    userAgent: it.userAgent ?? "Mozilla/5.0",
    requestParameters: it.requestParameters,
    responseElements: it.responseElements ?? null,
    requestID: `request-${number}`,
    eventID,
    readOnly: false,
    eventType: "AwsApiCall",
    managementEvent: true,
    recipientAccountId: ACCOUNT,
    eventCategory: "Management",
  };
  return {
    EventId: eventID,
    EventName: it.eventName,
    ReadOnly: "false",
    EventTime: Math.floor(it.at.getTime() / 1_000),
    EventSource: it.eventSource,
    Username: it.session,
    Resources: [it.resource],
    CloudTrailEvent: JSON.stringify(record),
  };
}

export function scriptedTrail(): ScriptedTrail {
  const held: Recorded[] = [];
  const failures: string[] = [];
  return {
    record: (...events) => held.push(...events),
    fail: (code, times) => failures.push(...Array.from({ length: times }, () => code)),
    answer({ headers, body }) {
      if (!String(headers["x-amz-target"]).endsWith(".LookupEvents")) {
        return { status: 400, body: JSON.stringify({ __type: "UnknownOperationException" }) };
      }
      const failure = failures.shift();
      if (failure) return { status: 400, body: JSON.stringify({ __type: failure, message: failure }) };
      const { LookupAttributes = [], StartTime = 0, EndTime = Number.POSITIVE_INFINITY } = JSON.parse(body);
      if (LookupAttributes.length !== 1 || LookupAttributes[0].AttributeKey !== "ResourceName") {
        return { status: 400, body: JSON.stringify({ __type: "InvalidLookupAttributesException" }) };
      }
      const found = held
        .map(eventOf)
        .filter(({ Resources }) =>
          Resources.some(({ ResourceName }) => ResourceName === LookupAttributes[0].AttributeValue),
        )
        .filter(({ EventTime }) => EventTime >= Math.floor(StartTime) && EventTime <= EndTime)
        .reverse();
      return { status: 200, body: JSON.stringify({ Events: found }) };
    },
  };
}
