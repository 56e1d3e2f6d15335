// EC2's answers → our contents. Pure, and independent of the order in which AWS lists things, so that equal worlds give
// equal documents.

import type {
  Instance as AwsInstance,
  SecurityGroup as AwsSecurityGroup,
  SecurityGroupRule,
} from "@aws-sdk/client-ec2";
import type { Instance } from "../../core/content/instances.js";
import type { Rule, SecurityGroup } from "../../core/content/security-groups.js";
import { byName, present, tagsOf } from "./parts.js";

export function instanceOf(aws: AwsInstance): Instance {
  const tags = tagsOf(aws.Tags);
  return present<Instance>({
    instanceId: aws.InstanceId ?? "",
    name: tags.Name,
    state: aws.State?.Name ?? "unknown",
    stateReason: aws.StateReason?.Code
      ? { code: aws.StateReason.Code, awsMessage: aws.StateReason.Message ?? "" }
      : undefined,
    instanceType: aws.InstanceType ?? "unknown",
    imageId: aws.ImageId,
    availabilityZone: aws.Placement?.AvailabilityZone,
    subnetId: aws.SubnetId || undefined,
    vpcId: aws.VpcId || undefined,
    privateIp: aws.PrivateIpAddress || undefined,
    publicIp: aws.PublicIpAddress || undefined,
    securityGroups: (aws.SecurityGroups ?? []).map(({ GroupId = "" }) => GroupId).sort(byName),
    autoScalingGroup: tags["aws:autoscaling:groupName"],
    lifecycle: aws.InstanceLifecycle,
    rootDevice: aws.RootDeviceType === "instance-store" ? aws.RootDeviceType : undefined,
    launchedAt: aws.LaunchTime?.toISOString(),
    tags,
  });
}

/** AWS writes "all ports" of "all protocols" as -1; for ICMP, -1 is a type and stays. */
const port = (value: number | undefined, protocol: string): number | undefined =>
  value === -1 && !protocol.startsWith("icmp") ? undefined : value;

/** A group of a peered VPC may be of another account: AWS takes it by that account only. */
function peerGroupOf({ ReferencedGroupInfo, GroupOwnerId }: SecurityGroupRule): string {
  const { GroupId = "", UserId } = ReferencedGroupInfo ?? {};
  return UserId && GroupOwnerId && UserId !== GroupOwnerId ? `${UserId}/${GroupId}` : GroupId;
}

export function ruleOf(aws: SecurityGroupRule): Rule {
  const protocol = aws.IpProtocol ?? "-1";
  return present<Rule>({
    ruleId: aws.SecurityGroupRuleId ?? "",
    direction: aws.IsEgress ? "egress" : "ingress",
    protocol,
    fromPort: port(aws.FromPort, protocol),
    toPort: port(aws.ToPort, protocol),
    peer: aws.CidrIpv4 ?? aws.CidrIpv6 ?? aws.PrefixListId ?? peerGroupOf(aws),
    description: aws.Description || undefined,
  });
}

export function securityGroupOf(aws: AwsSecurityGroup, rules: readonly SecurityGroupRule[]): SecurityGroup {
  return present<SecurityGroup>({
    groupId: aws.GroupId ?? "",
    groupName: aws.GroupName ?? "",
    description: aws.Description ?? "",
    vpcId: aws.VpcId || undefined,
    rules: rules
      .filter((rule) => rule.GroupId === aws.GroupId)
      .map(ruleOf)
      .sort((a, b) => byName(a.ruleId, b.ruleId)),
    tags: tagsOf(aws.Tags),
  });
}
