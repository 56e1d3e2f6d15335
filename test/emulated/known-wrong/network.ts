// Security groups.
import type { Fields, RawAws } from "../raw-aws.js";
import { given, group, launched, wrong } from "./fault.js";

const permission = (groupId: string, peer: string): Fields => ({
  GroupId: groupId,
  "IpPermissions.1.IpProtocol": "tcp",
  "IpPermissions.1.FromPort": 443,
  "IpPermissions.1.ToPort": 443,
  "IpPermissions.1.Groups.1.GroupId": peer,
});

const allowed = async (aws: RawAws, groupId: string, peer: string, description?: string) => {
  const described: Fields = description ? { "IpPermissions.1.Groups.1.Description": description } : {};
  const fields = { ...permission(groupId, peer), ...described };
  const answer = await aws.query("ec2", "AuthorizeSecurityGroupIngress", fields);
  return given(answer.xml("securityGroupRuleId"), answer.text);
};

export const networkFaults = [
  wrong(
    "ec2.RevokeSecurityGroupIngress",
    "an unknown rule id: InvalidPermission.NotFound",
    "InvalidSecurityGroupRuleId.NotFound",
    async (aws) => {
      const fields = { GroupId: await group(aws, "web"), "SecurityGroupRuleId.1": "sgr-0000000000000dead" };
      return (
        (await aws.query("ec2", "RevokeSecurityGroupIngress", fields)).xml("Code") === "InvalidPermission.NotFound"
      );
    },
  ),
  wrong(
    "ec2.RevokeSecurityGroupIngress",
    "a described group reference is not revoked without its description",
    "revoked",
    async (aws) => {
      const [web, peer] = [await group(aws, "web"), await group(aws, "peer")];
      const rule = await allowed(aws, web, peer, "from peer");
      await aws.query("ec2", "RevokeSecurityGroupIngress", permission(web, peer));
      const left = await aws.query("ec2", "DescribeSecurityGroupRules", {
        "Filter.1.Name": "group-id",
        "Filter.1.Value.1": web,
      });
      return left.all("securityGroupRuleId").includes(rule);
    },
  ),
  wrong("ec2.DeleteSecurityGroup", "a group in use by an instance is deleted", "DependencyViolation", async (aws) => {
    const GroupId = await group(aws, "web");
    await launched(aws, { "SecurityGroupId.1": GroupId });
    return (await aws.query("ec2", "DeleteSecurityGroup", { GroupId })).status === 200;
  }),
  wrong("ec2.DeleteSecurityGroup", "a group another one refers to is deleted", "DependencyViolation", async (aws) => {
    const [web, peer] = [await group(aws, "web"), await group(aws, "peer")];
    await allowed(aws, web, peer);
    return (await aws.query("ec2", "DeleteSecurityGroup", { GroupId: peer })).status === 200;
  }),
];
