// The sandbox's CloudTrail: every call that changed something, by whom, in CloudTrail's own shape. Nothing arrives late here.

import type { Event as AwsEvent } from "@aws-sdk/client-cloudtrail";
import { isObject, type Json, type JsonObject } from "../../core/json.js";
import type { RawCall } from "../api.js";
import { type Draft, notInSandbox, paged } from "./draft.js";
import type { HandlersOf } from "./ec2.js";
import { SANDBOX_ACCOUNT, SANDBOX_ARN, type WorldEvent } from "./world.js";

/** Who calls, as CloudTrail names a caller. */
export interface Party {
  readonly userIdentity: JsonObject;
  readonly sourceIPAddress: string;
  readonly userAgent: string;
  /** The console's own mark. */
  readonly sessionCredentialFromConsole?: "true";
}

/** The server itself. */
export const OURSELVES: Party = {
  userIdentity: {
    type: "IAMUser",
    principalId: "AIDASANDBOX",
    arn: SANDBOX_ARN,
    accountId: SANDBOX_ACCOUNT,
    userName: "sandbox",
  },
  sourceIPAddress: "127.0.0.1",
  userAgent: "aws-devops-mcp",
};

/** A session of a role. `path` is the role's, with a slash at its end. */
export const session = (role: string, name: string, party: Omit<Party, "userIdentity">, path = ""): Party => ({
  ...party,
  userIdentity: {
    type: "AssumedRole",
    principalId: `AROASANDBOX:${name}`,
    arn: `arn:aws:sts::${SANDBOX_ACCOUNT}:assumed-role/${role}/${name}`,
    accountId: SANDBOX_ACCOUNT,
    sessionContext: {
      sessionIssuer: {
        type: "Role",
        principalId: "AROASANDBOX",
        arn: `arn:aws:iam::${SANDBOX_ACCOUNT}:role/${path}${role}`,
        accountId: SANDBOX_ACCOUNT,
        userName: role,
      },
    },
    ...(path.startsWith("aws-service-role/") ? { invokedBy: path.split("/")[1]! } : {}),
  },
});

const MOST_EVENTS = 500;
const READ = /^(Describe|Get|List|Lookup)[A-Z]/;
const SOURCES: Readonly<Record<string, string>> = {
  ec2: "ec2.amazonaws.com",
  cloudcontrol: "cloudcontrolapi.amazonaws.com",
};

/** Adds a call that was carried out to the account's history; reads are not kept. */
export function recordCall(
  draft: Draft,
  { service, operation, input }: Pick<RawCall, "service" | "operation" | "input">,
  output: object,
  { by, at }: { readonly by: Party; readonly at: Date },
): void {
  const source = SOURCES[service];
  if (source === undefined || READ.test(operation)) return;
  const { userIdentity, ...party } = by;
  const number = `${draft.world.tick}`.padStart(12, "0");
  const event: WorldEvent = {
    resources: resourcesIn(input as JsonObject, output as JsonObject),
    record: {
      eventVersion: "1.11",
      userIdentity,
      eventTime: at.toISOString().replace(/\.\d{3}Z$/, "Z"),
      eventSource: source,
      eventName: operation,
      awsRegion: draft.region,
      ...party,
      requestParameters: service === "ec2" ? ec2Shape(input as JsonObject) : plainShape(input as JsonObject),
      responseElements: service === "ec2" ? ec2Answer(output as JsonObject) : null,
      requestID: `sandbox-${draft.world.tick}`,
      eventID: `00000000-0000-4000-8000-${number}`,
      readOnly: false,
      eventType: "AwsApiCall",
      managementEvent: true,
      recipientAccountId: SANDBOX_ACCOUNT,
      eventCategory: "Management",
    },
  };
  draft.here.trail = [...(draft.here.trail ?? []), event].slice(-MOST_EVENTS);
}

const TYPES: Readonly<Record<string, string>> = { sg: "AWS::EC2::SecurityGroup", i: "AWS::EC2::Instance" };

function resourcesIn(input: JsonObject, output: JsonObject): WorldEvent["resources"] {
  if (typeof input.TypeName === "string") {
    const [first = "", ...rest] = String(input.Identifier ?? "").split("|");
    const last = first.startsWith("arn:") ? [first.split(/[/:]/).at(-1)!] : [];
    const names = first === "" ? [] : [first, ...last];
    return [...names.map((name) => ({ type: String(input.TypeName), name })), ...rest.map((name) => ({ name }))];
  }
  const made = Array.isArray(output.Instances)
    ? output.Instances.map((one) => (isObject(one) ? one.InstanceId : ""))
    : [];
  const ids = [input.GroupId, input.InstanceIds, input.Resources, made].flat().filter((id) => typeof id === "string");
  return ids.flatMap((name) => {
    const type = TYPES[name.split("-")[0]!];
    return type === undefined ? [] : [{ type, name }];
  });
}

const lower = (key: string): string => `${key.slice(0, 1).toLowerCase()}${key.slice(1)}`;

function plainShape(value: Json): Json {
  if (Array.isArray(value)) return value.map(plainShape);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [lower(key), plainShape(member)]));
}

/** Lists of EC2 that CloudTrail names otherwise: member → its name there, and the name of a bare string in it. */
const EC2_LISTS: Readonly<Record<string, readonly [name: string, item: string]>> = {
  InstanceIds: ["instancesSet", "instanceId"],
  Resources: ["resourcesSet", "resourceId"],
  Tags: ["tagSet", "tag"],
  UserIdGroupPairs: ["groups", "groupId"],
  SecurityGroupRuleIds: ["securityGroupRuleIds", "securityGroupRuleId"],
};

function ec2Shape(value: Json): Json {
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => {
      if (key === "UserData") return [lower(key), "<sensitiveDataRemoved>"];
      const [name, item] = EC2_LISTS[key] ?? [lower(key), "item"];
      if (!Array.isArray(member)) return [name, ec2Shape(member)];
      return [name, { items: member.map((one) => (isObject(one) ? ec2Shape(one) : { [item]: one })) }];
    }),
  );
}

const ec2Answer = ({ SecurityGroupRules: rules, Instances: instances }: JsonObject): Json => ({
  _return: true,
  ...(Array.isArray(rules) ? { securityGroupRuleSet: { items: rules.map(ec2Shape) } } : {}),
  ...(Array.isArray(instances)
    ? { instancesSet: { items: instances.map((one) => ({ instanceId: isObject(one) ? (one.InstanceId ?? "") : "" })) } }
    : {}),
});

function eventOut({ resources, record }: WorldEvent): AwsEvent {
  const identity = isObject(record.userIdentity) ? record.userIdentity : {};
  return {
    EventId: String(record.eventID),
    EventName: String(record.eventName),
    ReadOnly: "false",
    EventTime: new Date(String(record.eventTime)),
    EventSource: String(record.eventSource),
    Username: String(identity.userName ?? String(identity.principalId).split(":").at(-1)),
    Resources: resources.map(({ type, name }) => ({ ResourceName: name, ...(type && { ResourceType: type }) })),
    CloudTrailEvent: JSON.stringify(record),
  };
}

export const trail: HandlersOf<"cloudtrail"> = {
  "cloudtrail:LookupEvents": {
    takes: "LookupAttributes StartTime EndTime MaxResults NextToken",
    run({ here }, { LookupAttributes = [], StartTime, EndTime, ...paging }) {
      const [attribute] = LookupAttributes;
      if (LookupAttributes.length !== 1 || attribute?.AttributeKey !== "ResourceName") {
        throw notInSandbox("LookupEvents by anything but one ResourceName");
      }
      const found = [...(here.trail ?? [])].reverse().filter(({ resources, record }) => {
        const at = Date.parse(String(record.eventTime));
        const late = StartTime !== undefined && at < StartTime.getTime();
        const early = EndTime !== undefined && at > EndTime.getTime();
        return !late && !early && resources.some(({ name }) => name === attribute.AttributeValue);
      });
      const { page, ...next } = paged(found, paging);
      return { Events: page.map(eventOut), ...next };
    },
  },
};
