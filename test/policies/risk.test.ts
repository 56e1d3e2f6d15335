// Risk: each rule of the table once, and that the worst one decides.

import { describe, expect, it } from "vitest";
import { type RiskStep, riskOf } from "../../policies/risk.js";

const step = (given: Partial<RiskStep>): RiskStep => ({
  service: "cloudcontrol",
  operation: "UpdateResource",
  kind: "update",
  type: "AWS::ECS::Service",
  input: {},
  ...given,
});
const ingress = (permission: object): RiskStep =>
  step({
    operation: "AuthorizeSecurityGroupIngress",
    type: "AWS::EC2::SecurityGroup",
    input: { IpPermissions: [permission] },
  });
const world = { IpRanges: [{ CidrIp: "0.0.0.0/0" }] };

describe("risk", () => {
  it.each<[string, RiskStep[], string]>([
    ["ssh from the world", [ingress({ FromPort: 22, ToPort: 22, ...world })], "critical"],
    ["all ports from the world", [ingress({ ...world })], "critical"],
    ["a range that holds 443, from the world", [ingress({ FromPort: 443, ToPort: 500, ...world })], "critical"],
    [
      "ssh from the IPv6 world",
      [ingress({ FromPort: 22, ToPort: 22, Ipv6Ranges: [{ CidrIpv6: "::/0" }] })],
      "critical",
    ],
    ...["10.1.2.3/0", "0.0.0.0/1", "128.0.0.0/1", "64.0.0.0/2"].map((CidrIp): [string, RiskStep[], string] => [
      `ssh from ${CidrIp}`,
      [ingress({ FromPort: 22, ToPort: 22, IpRanges: [{ CidrIp }] })],
      "critical",
    ]),
    ...["0::0/0", "2000::/3", "fd00::/0"].map((CidrIpv6): [string, RiskStep[], string] => [
      `ssh from ${CidrIpv6}`,
      [ingress({ FromPort: 22, ToPort: 22, Ipv6Ranges: [{ CidrIpv6 }] })],
      "critical",
    ]),
    [
      "ssh from a private IPv6 net",
      [ingress({ FromPort: 22, ToPort: 22, Ipv6Ranges: [{ CidrIpv6: "fd00::/8" }] })],
      "medium",
    ],
    [
      "a protocol without ports from the world",
      [ingress({ IpProtocol: "50", FromPort: 443, ToPort: 443, ...world })],
      "critical",
    ],
    [
      "most of the world through Cloud Control, in a patch",
      [
        step({
          operation: "UpdateResource",
          type: "AWS::EC2::SecurityGroup",
          input: { PatchDocument: '[{"op":"add","path":"/SecurityGroupIngress/0","value":{"CidrIp":"1.2.3.4/0"}}]' },
        }),
      ],
      "critical",
    ],
    ["https from the world", [ingress({ FromPort: 443, ToPort: 443, ...world })], "high"],
    ["ssh from an office", [ingress({ FromPort: 22, ToPort: 22, IpRanges: [{ CidrIp: "10.0.0.0/8" }] })], "medium"],
    ["a bucket deleted", [step({ kind: "delete", type: "AWS::S3::Bucket" })], "critical"],
    ["an instance terminated", [step({ kind: "delete", type: "AWS::EC2::Instance" })], "high"],
    ["a role changed", [step({ type: "AWS::IAM::Role" })], "high"],
    ["a service changed", [step({})], "medium"],
    ["an instance launched", [step({ kind: "create", type: "AWS::EC2::Instance" })], "low"],
    [
      "ssh from the world through Cloud Control",
      [
        step({
          operation: "CreateResource",
          kind: "create",
          type: "AWS::EC2::SecurityGroupIngress",
          input: { DesiredState: { CidrIp: "0.0.0.0/0", FromPort: 22 } },
        }),
      ],
      "critical",
    ],
    ["a bucket policy", [step({ operation: "CreateResource", kind: "create", type: "AWS::S3::BucketPolicy" })], "high"],
    [
      "a type without rules",
      [step({ operation: "CreateResource", kind: "create", type: "AWS::SNS::Topic" })],
      "medium",
    ],
    ...(["create", "update", "delete"] as const).map((kind): [string, RiskStep[], string] => [
      `a stack: ${kind}`,
      [
        step({
          operation: `${kind[0]!.toUpperCase()}${kind.slice(1)}Resource`,
          kind,
          type: "AWS::CloudFormation::Stack",
          input: { DesiredState: { TemplateURL: "https://example.com/anything.json" } },
        }),
      ],
      "critical",
    ]),
    ...[
      "AWS::SSM::Association",
      "AWS::SSO::Assignment",
      "AWS::SSO::PermissionSet",
      "AWS::EKS::AccessEntry",
      "AWS::Cognito::IdentityPoolRoleAttachment",
      "AWS::RAM::ResourceShare",
      "AWS::LakeFormation::PrincipalPermissions",
      "AWS::Lambda::Url",
    ].map((type): [string, RiskStep[], string] => [
      type,
      [step({ operation: "CreateResource", kind: "create", type })],
      "high",
    ]),
    ["the worst of several", [step({}), step({ kind: "delete", type: "AWS::KMS::Key" })], "critical"],
  ])("%s", (_what, steps, level) => {
    const risk = riskOf(steps);
    expect(risk.level).toBe(level);
    expect(risk.because.length > 0 || level === "low").toBe(true);
  });
});
