// The sandbox's EC2: instances with a life of their own, security groups rule by rule.

import type { Instance, IpPermission, SecurityGroupRule } from "@aws-sdk/client-ec2";
import { digest } from "../../core/json.js";
import type { Answered } from "../api.js";
import type { ReadOperations } from "../operations/index.js";
import { REGION_NAMES } from "../region-list.js";
import type { WriteOperations } from "../writes/index.js";
import { type Draft, type Handler, matches, newId, notInSandbox, paged, refusal, tagList } from "./draft.js";
import { SANDBOX_ACCOUNT, type WorldGroup, type WorldInstance, type WorldRule } from "./world.js";

type Operations = ReadOperations & WriteOperations;
export type HandlersOf<Prefix extends string> = {
  readonly [N in keyof Operations as N extends `${Prefix}:${string}` ? N : never]?: Handler<
    Operations[N][0],
    Operations[N][1] & Answered
  >;
};

const FORWARD: Readonly<Partial<Record<WorldInstance["state"], WorldInstance["state"]>>> = {
  pending: "running",
  stopping: "stopped",
  "shutting-down": "terminated",
};

/** Time passes: whatever was on its way has arrived. A terminated instance has let go of everything. */
function live(draft: Draft): WorldInstance[] {
  const all = Object.values(draft.here.instances);
  for (const instance of all) {
    instance.state = FORWARD[instance.state] ?? instance.state;
    if (instance.state !== "terminated") continue;
    instance.groupIds = [];
    delete instance.publicIp;
    for (const [address, id] of Object.entries(draft.here.addresses)) {
      if (id === instance.id) draft.here.addresses[address] = "";
    }
  }
  return all;
}

const STATE_CODES = {
  pending: 0,
  running: 16,
  "shutting-down": 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
} as const;
const stateOf = (state: WorldInstance["state"]) => ({ Name: state, Code: STATE_CODES[state] });

function instanceOut({ here }: Draft, it: WorldInstance): Instance {
  const subnet = here.subnets[it.subnetId];
  const gone = it.state === "terminated";
  return {
    InstanceId: it.id,
    ImageId: it.imageId,
    InstanceType: it.type as NonNullable<Instance["InstanceType"]>,
    State: stateOf(it.state),
    LaunchTime: new Date(it.launchedAt),
    ...(subnet && { Placement: { AvailabilityZone: subnet.zone } }),
    ...(subnet && !gone && { SubnetId: it.subnetId, VpcId: subnet.vpcId, PrivateIpAddress: it.privateIp }),
    ...(it.publicIp !== undefined && { PublicIpAddress: it.publicIp }),
    ...(it.clientToken !== "" && { ClientToken: it.clientToken }),
    SecurityGroups: it.groupIds.map((id) => ({ GroupId: id, GroupName: here.groups[id]?.name ?? "" })),
    BlockDeviceMappings: gone
      ? []
      : [{ DeviceName: "/dev/xvda", Ebs: { VolumeId: it.volumeId, DeleteOnTermination: true, Status: "attached" } }],
    Tags: tagList(it.tags),
  };
}

function theInstance({ here }: Draft, id = ""): WorldInstance {
  const found = here.instances[id];
  if (!found) throw refusal("InvalidInstanceID.NotFound", `The instance ID '${id}' does not exist`);
  return found;
}

function theGroup({ here }: Draft, id = ""): WorldGroup {
  const found = here.groups[id];
  if (!found) throw refusal("InvalidGroup.NotFound", `The security group '${id}' does not exist`);
  return found;
}

function theRule({ here }: Draft, groupId: string, egress: boolean, id = ""): WorldRule {
  const found = here.rules[id];
  if (!found || found.groupId !== groupId || found.egress !== egress) {
    throw refusal("InvalidSecurityGroupRuleId.NotFound", `The security group rule ID '${id}' does not exist`);
  }
  return found;
}

const ruleOut = (rule: WorldRule): SecurityGroupRule => ({
  SecurityGroupRuleId: rule.id,
  GroupId: rule.groupId,
  GroupOwnerId: SANDBOX_ACCOUNT,
  IsEgress: rule.egress,
  IpProtocol: rule.protocol,
  FromPort: rule.fromPort,
  ToPort: rule.toPort,
  ...(rule.peerKind === "group"
    ? { ReferencedGroupInfo: { GroupId: rule.peer, UserId: SANDBOX_ACCOUNT } }
    : { [rule.peerKind]: rule.peer }),
  ...(rule.description !== "" && { Description: rule.description }),
  Tags: [],
});

type Traffic = Omit<WorldRule, "id" | "groupId" | "egress">;

const sameTraffic = (a: Traffic, b: Traffic): boolean =>
  a.protocol === b.protocol && a.fromPort === b.fromPort && a.toPort === b.toPort && a.peer === b.peer;

function checked(draft: Draft, traffic: Traffic): Traffic {
  const { peerKind, peer } = traffic;
  const shape = {
    CidrIpv4: /^(\d{1,3}\.){3}\d{1,3}\/\d{1,2}$/,
    CidrIpv6: /^[0-9a-f:]+\/\d{1,3}$/i,
    PrefixListId: /^pl-/,
  };
  if (peerKind === "group") theGroup(draft, peer);
  else if (!shape[peerKind].test(peer)) throw refusal("InvalidParameterValue", `Invalid value '${peer}' for peer.`);
  const ports = ["tcp", "udp"].includes(traffic.protocol);
  if (ports && !(traffic.fromPort >= 0 && traffic.toPort >= traffic.fromPort && traffic.toPort <= 65_535)) {
    throw refusal("InvalidParameterValue", "Invalid port range.");
  }
  return traffic;
}

function trafficOf(draft: Draft, permission: IpPermission): Traffic[] {
  const { IpProtocol: protocol = "-1", FromPort: fromPort = -1, ToPort: toPort = -1 } = permission;
  const one = (peerKind: Traffic["peerKind"], peer = "", description = ""): Traffic =>
    checked(draft, { protocol, fromPort, toPort, peerKind, peer, description });
  return [
    ...(permission.IpRanges ?? []).map(({ CidrIp, Description }) => one("CidrIpv4", CidrIp, Description)),
    ...(permission.Ipv6Ranges ?? []).map(({ CidrIpv6, Description }) => one("CidrIpv6", CidrIpv6, Description)),
    ...(permission.PrefixListIds ?? []).map(({ PrefixListId, Description }) =>
      one("PrefixListId", PrefixListId, Description),
    ),
    ...(permission.UserIdGroupPairs ?? []).map(({ GroupId, Description }) => one("group", GroupId, Description)),
  ];
}

function refuseDuplicate({ here }: Draft, groupId: string, egress: boolean, traffic: Traffic, except?: string): void {
  const twin = Object.values(here.rules).find(
    (rule) => rule.groupId === groupId && rule.egress === egress && rule.id !== except && sameTraffic(rule, traffic),
  );
  if (!twin) return;
  const text = `peer: ${traffic.peer}, ${traffic.protocol}, from port: ${traffic.fromPort}, to port: ${traffic.toPort}, ALLOW`;
  throw refusal("InvalidPermission.Duplicate", `the specified rule "${text}" already exists`);
}

const authorize = (egress: boolean) => ({
  takes: "GroupId IpPermissions",
  run(draft: Draft, { GroupId, IpPermissions = [] }: WriteOperations["ec2:AuthorizeSecurityGroupIngress"][0]) {
    const group = theGroup(draft, GroupId);
    const made = IpPermissions.flatMap((permission) => trafficOf(draft, permission)).map((traffic) => {
      refuseDuplicate(draft, group.id, egress, traffic);
      const rule: WorldRule = { id: newId(draft, "sgr"), groupId: group.id, egress, ...traffic };
      draft.here.rules[rule.id] = rule;
      return rule;
    });
    if (made.length === 0) throw refusal("MissingParameter", "The request must contain the parameter ipPermissions");
    return { Return: true, SecurityGroupRules: made.map(ruleOut) };
  },
});

const revoke = (egress: boolean) => ({
  takes: "GroupId SecurityGroupRuleIds",
  run(draft: Draft, input: WriteOperations["ec2:RevokeSecurityGroupIngress"][0]) {
    const group = theGroup(draft, input.GroupId);
    for (const { id } of (input.SecurityGroupRuleIds ?? []).map((id) => theRule(draft, group.id, egress, id))) {
      delete draft.here.rules[id];
    }
    return { Return: true };
  },
});

const describe = (egress: boolean) => ({
  takes: "GroupId SecurityGroupRuleDescriptions",
  run(draft: Draft, input: WriteOperations["ec2:UpdateSecurityGroupRuleDescriptionsIngress"][0]) {
    const group = theGroup(draft, input.GroupId);
    for (const { SecurityGroupRuleId, Description = "" } of input.SecurityGroupRuleDescriptions ?? []) {
      theRule(draft, group.id, egress, SecurityGroupRuleId).description = Description;
    }
    return { Return: true };
  },
});

const retag = (change: (tags: Record<string, string>, key: string, value: string | undefined) => void) => ({
  takes: "Resources Tags",
  run(draft: Draft, { Resources = [], Tags = [] }: WriteOperations["ec2:CreateTags"][0]) {
    for (const id of Resources) {
      const { tags } = id.startsWith("sg-") ? theGroup(draft, id) : theInstance(draft, id);
      for (const { Key = "", Value } of Tags) {
        if (Key.startsWith("aws:"))
          throw refusal("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved");
        change(tags, Key, Value);
      }
    }
    return {};
  },
});

const MOST_AT_ONCE = 20;

function launch(draft: Draft, input: WriteOperations["ec2:RunInstances"][0]): WorldInstance[] {
  const { ImageId = "", InstanceType = "m1.small", MaxCount = 1, ClientToken = "", TagSpecifications = [] } = input;
  const known = draft.here.launches[ClientToken];
  const asked = digest(input);
  if (ClientToken !== "" && known) {
    if (known.digest !== asked) {
      throw refusal("IdempotentParameterMismatch", "The client token was used with other parameters.");
    }
    return known.ids.map((id) => theInstance(draft, id));
  }
  const groups = (input.SecurityGroupIds ?? []).map((id) => theGroup(draft, id).id);
  const subnetId = input.SubnetId ?? Object.keys(draft.here.subnets)[0];
  if (!/^ami-0cc[0-9a-f]{14}$/.test(ImageId)) {
    throw refusal("InvalidAMIID.NotFound", `The image id '[${ImageId}]' does not exist`);
  }
  if (subnetId === undefined) throw refusal("MissingInput", "No subnets found for the default VPC.");
  if (!draft.here.subnets[subnetId]) {
    throw refusal("InvalidSubnetID.NotFound", `The subnet ID '${subnetId}' does not exist`);
  }
  if (!/^[a-z][a-z0-9-]*\.[a-z0-9-]+$/.test(InstanceType)) {
    throw refusal("InvalidParameterValue", `Invalid value '${InstanceType}' for InstanceType.`);
  }
  if (MaxCount > MOST_AT_ONCE) throw refusal("InstanceLimitExceeded", `The sandbox launches at most ${MOST_AT_ONCE}.`);
  const spec = TagSpecifications.find(({ ResourceType }) => ResourceType === "instance");
  const tags = Object.fromEntries((spec?.Tags ?? []).map(({ Key = "", Value = "" }) => [Key, Value]));
  const made = Array.from({ length: MaxCount }, (): WorldInstance => {
    const id = newId(draft, "i");
    const number = draft.world.lastId;
    return {
      id,
      state: "pending",
      type: InstanceType,
      imageId: ImageId,
      subnetId,
      privateIp: `10.0.9.${number % 250}`,
      groupIds: groups,
      volumeId: newId(draft, "vol"),
      protected: input.DisableApiTermination ?? false,
      launchedAt: draft.now.toISOString(),
      clientToken: ClientToken,
      tags,
    };
  });
  for (const instance of made) draft.here.instances[instance.id] = instance;
  if (ClientToken !== "") draft.here.launches[ClientToken] = { digest: asked, ids: made.map(({ id }) => id) };
  return made;
}

const wrongState = (id: string): Error =>
  refusal("IncorrectInstanceState", `The instance '${id}' is not in a state from which this can be done.`);

function moveTo(
  draft: Draft,
  ids: readonly string[],
  way: Readonly<Record<"from" | "through" | "to", WorldInstance["state"]>>,
) {
  const all = ids.map((id) => theInstance(draft, id));
  const other = all.find(({ state }) => !Object.values(way).includes(state));
  if (other) throw wrongState(other.id);
  return all.map((instance) => {
    const before = instance.state;
    if (before === way.from) instance.state = way.through;
    return { InstanceId: instance.id, PreviousState: stateOf(before), CurrentState: stateOf(instance.state) };
  });
}

const instanceFields = ({ here }: Draft, it: WorldInstance) => ({
  "instance-id": [it.id],
  "instance-state-name": [it.state],
  "instance-type": [it.type],
  "image-id": [it.imageId],
  "subnet-id": [it.subnetId],
  "vpc-id": [here.subnets[it.subnetId]?.vpcId ?? ""],
  "instance.group-id": it.groupIds,
  "network-interface.group-id": it.groupIds,
  "client-token": [it.clientToken],
});

const groupFields = ({ here }: Draft, { id, name, vpcId }: WorldGroup) => {
  const peers = (egress: boolean) =>
    Object.values(here.rules).flatMap((rule) =>
      rule.groupId === id && rule.egress === egress && rule.peerKind === "group" ? [rule.peer] : [],
    );
  return {
    "group-id": [id],
    "group-name": [name],
    "vpc-id": [vpcId],
    "ip-permission.group-id": peers(false),
    "egress.ip-permission.group-id": peers(true),
  };
};

function createGroup(draft: Draft, input: WriteOperations["ec2:CreateSecurityGroup"][0]): WorldGroup {
  const { GroupName: name = "", Description: description = "", VpcId: vpcId = "", TagSpecifications = [] } = input;
  if (!Object.values(draft.here.subnets).some((subnet) => subnet.vpcId === vpcId)) {
    throw refusal("InvalidVpcID.NotFound", `The vpc ID '${vpcId}' does not exist`);
  }
  if (Object.values(draft.here.groups).some((group) => group.name === name && group.vpcId === vpcId)) {
    throw refusal("InvalidGroup.Duplicate", `The security group '${name}' already exists for VPC '${vpcId}'`);
  }
  const given = TagSpecifications.flatMap(({ Tags = [] }) => Tags);
  const tags = Object.fromEntries(given.map(({ Key = "", Value = "" }) => [Key, Value]));
  const group: WorldGroup = { id: newId(draft, "sg"), name, description, vpcId, tags };
  draft.here.groups[group.id] = group;
  const all: Traffic = {
    protocol: "-1",
    fromPort: -1,
    toPort: -1,
    peerKind: "CidrIpv4",
    peer: "0.0.0.0/0",
    description: "",
  };
  const egress: WorldRule = { id: newId(draft, "sgr"), groupId: group.id, egress: true, ...all };
  draft.here.rules[egress.id] = egress;
  return group;
}

function deleteGroup(draft: Draft, id: string | undefined): void {
  const group = theGroup(draft, id);
  const carried = live(draft).some(({ groupIds }) => groupIds.includes(group.id));
  const named = Object.values(draft.here.rules).some((rule) => rule.peer === group.id && rule.groupId !== group.id);
  if (carried || named) throw refusal("DependencyViolation", `resource ${group.id} has a dependent object`);
  for (const rule of Object.values(draft.here.rules)) {
    if (rule.groupId === group.id) delete draft.here.rules[rule.id];
  }
  delete draft.here.groups[group.id];
}

export const ec2: HandlersOf<"ec2"> = {
  "ec2:DescribeInstances": {
    takes: "InstanceIds Filters MaxResults NextToken",
    run(draft, { InstanceIds, Filters, ...paging }) {
      for (const id of InstanceIds ?? []) theInstance(draft, id);
      const found = live(draft).filter(
        (it) =>
          (InstanceIds === undefined || InstanceIds.includes(it.id)) &&
          matches(Filters, instanceFields(draft, it), it.tags),
      );
      const { page, ...next } = paged(found, paging);
      return { Reservations: page.map((it) => ({ Instances: [instanceOut(draft, it)] })), ...next };
    },
  },
  "ec2:DescribeInstanceAttribute": {
    takes: "InstanceId Attribute",
    run(draft, { InstanceId, Attribute }) {
      const instance = theInstance(draft, InstanceId);
      if (Attribute === "disableApiStop") return { InstanceId: instance.id, DisableApiStop: { Value: false } };
      if (Attribute !== "disableApiTermination") throw notInSandbox(`attribute ${Attribute}`);
      return { InstanceId: instance.id, DisableApiTermination: { Value: instance.protected } };
    },
  },
  "ec2:DescribeInstanceStatus": {
    takes: "InstanceIds IncludeAllInstances",
    run(draft, { InstanceIds = [] }) {
      const asked = live(draft).filter(({ id }) => InstanceIds.includes(id));
      return {
        InstanceStatuses: asked.map(({ id, state }) => {
          const Status = state === "running" ? ("ok" as const) : ("not-applicable" as const);
          return {
            InstanceId: id,
            InstanceState: stateOf(state),
            SystemStatus: { Status },
            InstanceStatus: { Status },
          };
        }),
      };
    },
  },
  "ec2:DescribeAddresses": {
    takes: "Filters",
    run: ({ here }, { Filters }) => ({
      Addresses: Object.entries(here.addresses)
        .filter(([, id]) => matches(Filters, { "instance-id": [id] }))
        .map(([PublicIp, InstanceId]) => ({ PublicIp, ...(InstanceId !== "" && { InstanceId }) })),
    }),
  },
  "ec2:DescribeNetworkInterfaces": {
    takes: "Filters MaxResults NextToken",
    run(draft, { Filters, ...paging }) {
      const all = live(draft).filter(
        ({ state, groupIds }) => state !== "terminated" && matches(Filters, { "group-id": groupIds }),
      );
      const { page, ...next } = paged(all, paging);
      const NetworkInterfaces = page.map(({ id }) => ({
        NetworkInterfaceId: id.replace(/^i-/, "eni-"),
        Description: "Primary network interface",
        Attachment: { InstanceId: id },
      }));
      return { NetworkInterfaces, ...next };
    },
  },
  "ec2:DescribeSecurityGroups": {
    takes: "GroupIds Filters MaxResults NextToken",
    run(draft, { GroupIds, Filters, ...paging }) {
      for (const id of GroupIds ?? []) theGroup(draft, id);
      const found = Object.values(draft.here.groups).filter(
        (it) =>
          (GroupIds === undefined || GroupIds.includes(it.id)) && matches(Filters, groupFields(draft, it), it.tags),
      );
      const { page, ...next } = paged(found, paging);
      const SecurityGroups = page.map(({ id, name, description, vpcId, tags }) => ({
        GroupId: id,
        GroupName: name,
        Description: description,
        VpcId: vpcId,
        OwnerId: SANDBOX_ACCOUNT,
        Tags: tagList(tags),
      }));
      return { SecurityGroups, ...next };
    },
  },
  "ec2:DescribeSecurityGroupRules": {
    takes: "Filters MaxResults NextToken SecurityGroupRuleIds",
    run(draft, { Filters, SecurityGroupRuleIds, ...paging }) {
      const found = Object.values(draft.here.rules).filter(
        ({ id, groupId }) =>
          (SecurityGroupRuleIds === undefined || SecurityGroupRuleIds.includes(id)) &&
          matches(Filters, { "group-id": [groupId], "security-group-rule-id": [id] }),
      );
      const { page, ...next } = paged(found, paging);
      return { SecurityGroupRules: page.map(ruleOut), ...next };
    },
  },
  "ec2:DescribeRegions": {
    takes: "AllRegions",
    run: () => ({
      Regions: REGION_NAMES.filter((name) => /^(af|ap|ca|eu|il|me|mx|sa|us)-[a-z]+-\d$/.test(name)).map(
        (RegionName) => ({ RegionName, OptInStatus: "opt-in-not-required" }),
      ),
    }),
  },
  "ec2:RunInstances": {
    takes:
      "ImageId InstanceType MinCount MaxCount SubnetId SecurityGroupIds TagSpecifications ClientToken DisableApiTermination UserData KeyName MetadataOptions",
    run: (draft, input) => ({ Instances: launch(draft, input).map((it) => instanceOut(draft, it)) }),
  },
  "ec2:StartInstances": {
    takes: "InstanceIds",
    run: (draft, { InstanceIds = [] }) => ({
      StartingInstances: moveTo(draft, InstanceIds, { from: "stopped", through: "pending", to: "running" }),
    }),
  },
  "ec2:StopInstances": {
    takes: "InstanceIds",
    run: (draft, { InstanceIds = [] }) => ({
      StoppingInstances: moveTo(draft, InstanceIds, { from: "running", through: "stopping", to: "stopped" }),
    }),
  },
  "ec2:RebootInstances": {
    takes: "InstanceIds",
    run(draft, { InstanceIds = [] }) {
      for (const { id, state } of InstanceIds.map((one) => theInstance(draft, one))) {
        if (state !== "running") throw wrongState(id);
      }
      return {};
    },
  },
  "ec2:ModifyInstanceAttribute": {
    takes: "InstanceId InstanceType",
    run(draft, { InstanceId, InstanceType }) {
      const instance = theInstance(draft, InstanceId);
      if (instance.state !== "stopped") throw wrongState(instance.id);
      instance.type = InstanceType?.Value ?? instance.type;
      return {};
    },
  },
  "ec2:TerminateInstances": {
    takes: "InstanceIds",
    run(draft, { InstanceIds = [] }) {
      const all = InstanceIds.map((id) => theInstance(draft, id));
      const kept = all.find((it) => it.protected);
      if (kept) {
        throw refusal(
          "OperationNotPermitted",
          `The instance '${kept.id}' may not be terminated. Modify its attribute first.`,
        );
      }
      return {
        TerminatingInstances: all.map((it) => {
          const before = it.state;
          if (it.state !== "terminated") it.state = "shutting-down";
          return { InstanceId: it.id, PreviousState: stateOf(before), CurrentState: stateOf(it.state) };
        }),
      };
    },
  },
  "ec2:CreateSecurityGroup": {
    takes: "GroupName Description VpcId TagSpecifications",
    run: (draft, input) => ({ GroupId: createGroup(draft, input).id }),
  },
  "ec2:DeleteSecurityGroup": {
    takes: "GroupId",
    run(draft, { GroupId }) {
      deleteGroup(draft, GroupId);
      return {};
    },
  },
  "ec2:AuthorizeSecurityGroupIngress": authorize(false),
  "ec2:AuthorizeSecurityGroupEgress": authorize(true),
  "ec2:RevokeSecurityGroupIngress": revoke(false),
  "ec2:RevokeSecurityGroupEgress": revoke(true),
  "ec2:UpdateSecurityGroupRuleDescriptionsIngress": describe(false),
  "ec2:UpdateSecurityGroupRuleDescriptionsEgress": describe(true),
  "ec2:CreateTags": retag((tags, key, value = "") => {
    tags[key] = value;
  }),
  // A key that is named with a value goes only while it has that value.
  "ec2:DeleteTags": retag((tags, key, value) => {
    if (value === undefined || tags[key] === value) delete tags[key];
  }),
};
