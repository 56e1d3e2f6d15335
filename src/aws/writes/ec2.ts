// What is written to EC2.

import type {
  AuthorizeSecurityGroupEgressRequest,
  AuthorizeSecurityGroupEgressResult,
  AuthorizeSecurityGroupIngressRequest,
  AuthorizeSecurityGroupIngressResult,
  CreateSecurityGroupRequest,
  CreateSecurityGroupResult,
  CreateTagsRequest,
  DeleteSecurityGroupRequest,
  DeleteSecurityGroupResult,
  DeleteTagsRequest,
  ModifyInstanceAttributeRequest,
  RebootInstancesRequest,
  Reservation,
  RevokeSecurityGroupEgressRequest,
  RevokeSecurityGroupEgressResult,
  RevokeSecurityGroupIngressRequest,
  RevokeSecurityGroupIngressResult,
  RunInstancesRequest,
  StartInstancesRequest,
  StartInstancesResult,
  StopInstancesRequest,
  StopInstancesResult,
  TerminateInstancesRequest,
  TerminateInstancesResult,
  UpdateSecurityGroupRuleDescriptionsEgressRequest,
  UpdateSecurityGroupRuleDescriptionsEgressResult,
  UpdateSecurityGroupRuleDescriptionsIngressRequest,
  UpdateSecurityGroupRuleDescriptionsIngressResult,
} from "@aws-sdk/client-ec2";
import type { ChangeStep } from "../../core/change.js";
import type { Instance } from "../../core/content/instances.js";
import { isObject, type JsonObject } from "../../core/json.js";
import type { Progress } from "../../core/ports.js";
import { OPERATION_MARK, tagsOf, withMark } from "../../core/tags.js";
import { allPages } from "../pages.js";
import { instanceReader } from "../readers/ec2.js";
import { asIs, type Followed, ids, listed, type Op, type Reads, type Rows, withToken } from "./row.js";

export interface Ec2Writes {
  "ec2:RunInstances": [RunInstancesRequest, Reservation];
  "ec2:TerminateInstances": [TerminateInstancesRequest, TerminateInstancesResult];
  "ec2:StartInstances": [StartInstancesRequest, StartInstancesResult];
  "ec2:StopInstances": [StopInstancesRequest, StopInstancesResult];
  "ec2:RebootInstances": [RebootInstancesRequest, object];
  "ec2:ModifyInstanceAttribute": [ModifyInstanceAttributeRequest, object];
  "ec2:AuthorizeSecurityGroupIngress": [AuthorizeSecurityGroupIngressRequest, AuthorizeSecurityGroupIngressResult];
  "ec2:AuthorizeSecurityGroupEgress": [AuthorizeSecurityGroupEgressRequest, AuthorizeSecurityGroupEgressResult];
  "ec2:RevokeSecurityGroupIngress": [RevokeSecurityGroupIngressRequest, RevokeSecurityGroupIngressResult];
  "ec2:RevokeSecurityGroupEgress": [RevokeSecurityGroupEgressRequest, RevokeSecurityGroupEgressResult];
  "ec2:UpdateSecurityGroupRuleDescriptionsIngress": [
    UpdateSecurityGroupRuleDescriptionsIngressRequest,
    UpdateSecurityGroupRuleDescriptionsIngressResult,
  ];
  "ec2:UpdateSecurityGroupRuleDescriptionsEgress": [
    UpdateSecurityGroupRuleDescriptionsEgressRequest,
    UpdateSecurityGroupRuleDescriptionsEgressResult,
  ];
  "ec2:CreateSecurityGroup": [CreateSecurityGroupRequest, CreateSecurityGroupResult];
  "ec2:DeleteSecurityGroup": [DeleteSecurityGroupRequest, DeleteSecurityGroupResult];
  "ec2:CreateTags": [CreateTagsRequest, object];
  "ec2:DeleteTags": [DeleteTagsRequest, object];
}

/** Tags at creation, with our mark among those of the instances. */
function marked(input: JsonObject, op: Op): JsonObject {
  const mark = { Key: OPERATION_MARK, Value: op.clientToken };
  const given = listed(input.TagSpecifications);
  const instance = given.find((spec) => isObject(spec) && spec.ResourceType === "instance");
  const tags = isObject(instance) ? listed(instance.Tags) : [];
  // A specification without tags is refused by EC2.
  const others = given.filter((spec) => spec !== instance && isObject(spec) && listed(spec.Tags).length > 0);
  return { ...input, TagSpecifications: [...others, { ResourceType: "instance", Tags: [...tags, mark] }] };
}

/** By the tag; by the token only where no tag is seen, for tags may show later than the instances that bear them. */
async function launchedBy(api: Reads, op: Op): Promise<readonly string[]> {
  const by = async (Name: string, value: string): Promise<string[]> => {
    const found = await allPages(
      (NextToken) =>
        api.call("ec2", "DescribeInstances", {
          Filters: [{ Name, Values: [value] }],
          ...(NextToken && { NextToken }),
        }),
      (output) => output.Reservations?.flatMap(({ Instances = [] }) => Instances),
      (output) => output.NextToken,
    );
    return found.flatMap(({ InstanceId }) => (InstanceId ? [InstanceId] : [])).sort();
  };
  const tagged = await by(`tag:${OPERATION_MARK}`, op.clientToken);
  return tagged.length > 0 ? tagged : by("client-token", op.clientToken);
}

/** A mark that was planned gets this operation's value. */
const markedAsPlanned = (input: JsonObject, op: Op): JsonObject => ({
  ...input,
  TagSpecifications: listed(input.TagSpecifications).map((spec) =>
    isObject(spec) ? withMark(spec, op.clientToken) : spec,
  ),
});

/** A group's name is unique in its network, and a second one is refused: whose it is, the mark tells. */
async function createdGroup(api: Reads, op: Op, { input }: ChangeStep): Promise<readonly string[] | null> {
  const planned = listed(input.TagSpecifications).some((spec) => isObject(spec) && OPERATION_MARK in tagsOf(spec));
  if (!planned) return null;
  const found = await api.call("ec2", "DescribeSecurityGroups", {
    Filters: [{ Name: `tag:${OPERATION_MARK}`, Values: [op.clientToken] }],
  });
  return (found.SecurityGroups ?? []).flatMap(({ GroupId }) => (GroupId ? [GroupId] : []));
}

/** A call whose target is a state; EC2 refuses what is already so, and the target is read before it is sent again. */
const NATURAL = { idempotency: "natural", dryRun: true, input: asIs } as const;
const ON_A_GROUP = {
  ...NATURAL,
  identifiers: (_: unknown, input: JsonObject) => ids([input.GroupId ?? null]),
} as const;
/** An instance that is still on its way after that does not get there by itself. */
const MOVED_HOURS = 4;

/** The start of a run: a reboot leaves it, only a start after a stop makes it anew. */
const startedSince = (live: Instance | null, before: JsonObject | null, since: string | undefined): boolean =>
  since !== undefined &&
  live?.launchedAt !== undefined &&
  live.launchedAt !== before?.launchedAt &&
  Date.parse(live.launchedAt) > Date.parse(since);

/** AWS answers when it has begun: the instance says when it has arrived. */
const movesTo = (state: "running" | "stopped" | "terminated", through: string) => ({
  hours: MOVED_HOURS,
  requestToken: (_: unknown, input: JsonObject) => ids(input.InstanceIds)[0],
  async follow(api: Reads, { step: { ref, before }, since }: Followed): Promise<Progress> {
    const live = await instanceReader(api).get(ref.id);
    const now = live?.state ?? "terminated";
    if (now === state) return { status: "succeeded", identifier: ref.id };
    if (now === through) return { status: "pending" };
    const reason = { awsCode: live?.stateReason?.code ?? now, message: live?.stateReason?.awsMessage ?? "" };
    // From there nothing leads back.
    if (now === "terminated" || now === "shutting-down") return { status: "failed", code: "aws_failed", ...reason };
    // Started again since it was stopped, or stopped again since it was started: it has been where it was sent.
    if (startedSince(live, before, since)) return { status: "succeeded", identifier: ref.id };
    return { status: "pending", atRest: true, ...reason };
  },
});
const instancesIn = (_: unknown, input: JsonObject): readonly string[] => ids(input.InstanceIds);
const TAGS = { ...NATURAL, identifiers: (_: unknown, input: JsonObject) => ids(input.Resources) } as const;

export const EC2_WRITES: Rows<Ec2Writes> = {
  "ec2:RunInstances": {
    idempotency: "token",
    dryRun: true,
    input: (input, op) => marked(withToken(input, op), op),
    identifiers: ({ Instances = [] }) => Instances.map(({ InstanceId }) => InstanceId),
    find: launchedBy,
  },
  "ec2:TerminateInstances": {
    ...NATURAL,
    ...movesTo("terminated", "shutting-down"),
    identifiers: ({ TerminatingInstances = [] }) => TerminatingInstances.map(({ InstanceId }) => InstanceId),
  },
  // A start in a plan that stops first: asked now, EC2 may say that the instance is not stopped.
  "ec2:StartInstances": {
    ...NATURAL,
    ...movesTo("running", "pending"),
    laterOn: ["IncorrectInstanceState"],
    identifiers: instancesIn,
  },
  "ec2:StopInstances": { ...NATURAL, ...movesTo("stopped", "stopping"), identifiers: instancesIn },
  // A second reboot is a second reboot.
  "ec2:RebootInstances": { ...NATURAL, idempotency: "none", identifiers: instancesIn },
  "ec2:ModifyInstanceAttribute": {
    ...NATURAL,
    laterOn: ["IncorrectInstanceState"],
    identifiers: (_: unknown, input: JsonObject) => ids([input.InstanceId ?? null]),
  },
  "ec2:AuthorizeSecurityGroupIngress": ON_A_GROUP,
  "ec2:AuthorizeSecurityGroupEgress": ON_A_GROUP,
  "ec2:RevokeSecurityGroupIngress": ON_A_GROUP,
  "ec2:RevokeSecurityGroupEgress": ON_A_GROUP,
  "ec2:UpdateSecurityGroupRuleDescriptionsIngress": ON_A_GROUP,
  "ec2:UpdateSecurityGroupRuleDescriptionsEgress": ON_A_GROUP,
  "ec2:CreateSecurityGroup": {
    ...NATURAL,
    input: markedAsPlanned,
    identifiers: ({ GroupId }) => [GroupId],
    find: createdGroup,
  },
  "ec2:DeleteSecurityGroup": ON_A_GROUP,
  "ec2:CreateTags": TAGS,
  "ec2:DeleteTags": TAGS,
};
