// Findings: each rule finds what is unsafe and is silent about the nearest safe thing.

import { describe, expect, it } from "vitest";
import { findingsOf, rulesFor } from "../../policies/findings.js";

const GROUP = "AWS::EC2::SecurityGroup";
const allow = (statement: object) => ({ Statement: [{ Effect: "Allow", ...statement }] });
const rule = (more: object) => ({ direction: "ingress", protocol: "tcp", peer: "0.0.0.0/0", ...more });

/** Type, unsafe content, the rule and path it is found under, and the nearest content that is safe. */
const CASES: readonly [string, string, object, string, object][] = [
  [
    "open-port",
    GROUP,
    { rules: [rule({ fromPort: 22, toPort: 22 })] },
    "/rules/0",
    { rules: [rule({ fromPort: 22, toPort: 22, peer: "10.0.0.0/8" })] },
  ],
  [
    "open-port",
    GROUP,
    { rules: [rule({ fromPort: 22, toPort: 22, peer: "::/0" })] },
    "/rules/0",
    { rules: [rule({ direction: "egress" })] },
  ],
  [
    "open-port",
    GROUP,
    { SecurityGroupIngress: [{ CidrIp: "0.0.0.0/0", IpProtocol: "-1" }] },
    "/SecurityGroupIngress/0",
    { SecurityGroupEgress: [{ CidrIp: "0.0.0.0/0", IpProtocol: "-1" }] },
  ],
  [
    "open-port",
    "AWS::EC2::SecurityGroupIngress",
    { CidrIpv6: "::/0", FromPort: 3389, ToPort: 3389, IpProtocol: "tcp" },
    "",
    { CidrIp: "192.0.2.0/24", FromPort: 22, ToPort: 22 },
  ],
  [
    "open-port",
    GROUP,
    { SecurityGroupIngress: [{ CidrIp: "10.1.2.3/0", IpProtocol: "tcp", FromPort: 22, ToPort: 22 }] },
    "/SecurityGroupIngress/0",
    { SecurityGroupIngress: [{ CidrIp: "10.1.2.3/8", IpProtocol: "tcp", FromPort: 22, ToPort: 22 }] },
  ],
  [
    "open-port",
    GROUP,
    { SecurityGroupIngress: [{ CidrIp: "0.0.0.0/0", IpProtocol: -1, FromPort: 443, ToPort: 443 }] },
    "/SecurityGroupIngress/0",
    { SecurityGroupIngress: [{ CidrIp: "0.0.0.0/0", IpProtocol: 6, FromPort: 443, ToPort: 443 }] },
  ],
  [
    "open-web-port",
    GROUP,
    { rules: [rule({ fromPort: 443, toPort: 443 })] },
    "/rules/0",
    { rules: [rule({ fromPort: 443, toPort: 443, peer: "sg-1" })] },
  ],
  [
    "public-bucket-acl",
    "AWS::S3::Bucket",
    { AccessControl: "PublicRead" },
    "/AccessControl",
    { AccessControl: "Private" },
  ],
  [
    "public-access-not-blocked",
    "AWS::S3::Bucket",
    { PublicAccessBlockConfiguration: { BlockPublicPolicy: false } },
    "/PublicAccessBlockConfiguration/BlockPublicPolicy",
    {},
  ],
  [
    "public-policy",
    "AWS::S3::BucketPolicy",
    { PolicyDocument: allow({ Principal: "*", Action: "s3:GetObject" }) },
    "/PolicyDocument/Statement/0",
    {
      PolicyDocument: allow({
        Principal: "*",
        Action: "s3:GetObject",
        Condition: { StringEquals: { "aws:PrincipalOrgID": "o-1" } },
      }),
    },
  ],
  [
    "public-policy",
    "AWS::KMS::Key",
    { KeyPolicy: allow({ Principal: { AWS: ["*"] }, Action: "kms:*", Resource: "*" }) },
    "/KeyPolicy/Statement/0",
    { KeyPolicy: allow({ Principal: { AWS: "arn:aws:iam::1:root" }, Action: "kms:*", Resource: "*" }) },
  ],
  [
    "public-policy",
    "AWS::SQS::QueuePolicy",
    { PolicyDocument: JSON.stringify(allow({ Principal: { AWS: "*" } })) },
    "/PolicyDocument/Statement/0",
    { PolicyDocument: { Statement: [{ Effect: "Deny", Principal: "*" }] } },
  ],
  [
    "public-policy",
    "AWS::IAM::Role",
    { AssumeRolePolicyDocument: allow({ Principal: { AWS: "*" } }) },
    "/AssumeRolePolicyDocument/Statement/0",
    { AssumeRolePolicyDocument: allow({ Principal: { Service: "ec2.amazonaws.com" } }) },
  ],
  [
    "public-function",
    "AWS::Lambda::Permission",
    { Principal: "*" },
    "/Principal",
    { Principal: "*", SourceArn: "arn:aws:s3:::b" },
  ],
  [
    "allow-everything",
    "AWS::IAM::ManagedPolicy",
    { PolicyDocument: allow({ Action: "*", Resource: "*" }) },
    "/PolicyDocument/Statement/0",
    { PolicyDocument: allow({ Action: "s3:Get*", Resource: "*" }) },
  ],
  [
    "allow-everything",
    "AWS::IAM::Role",
    { Policies: [{ PolicyDocument: allow({ Action: ["*"], Resource: ["*"] }) }] },
    "/Policies/0/PolicyDocument/Statement/0",
    { Policies: [{ PolicyDocument: allow({ Action: "*", Resource: "arn:aws:s3:::b/*" }) }] },
  ],
  [
    "allow-whole-service",
    "AWS::IAM::Policy",
    { PolicyDocument: allow({ Action: "s3:*", Resource: "*" }) },
    "/PolicyDocument/Statement/0",
    { PolicyDocument: allow({ Action: "s3:*", Resource: "arn:aws:s3:::b" }) },
  ],
  [
    "public-database",
    "AWS::RDS::DBInstance",
    { PubliclyAccessible: true, StorageEncrypted: true },
    "/PubliclyAccessible",
    { PubliclyAccessible: false, StorageEncrypted: true },
  ],
  [
    "unencrypted-database",
    "AWS::RDS::DBInstance",
    { DBInstanceClass: "db.t3.micro", Engine: "postgres" },
    "/StorageEncrypted",
    { DBInstanceClass: "db.r6g.large", Engine: "aurora-mysql" },
  ],
  [
    "unencrypted-database",
    "AWS::RDS::DBCluster",
    { Engine: "aurora-mysql" },
    "/StorageEncrypted",
    { Engine: "aurora-mysql", SnapshotIdentifier: "s" },
  ],
  ["unencrypted-volume", "AWS::EC2::Volume", { Size: 8 }, "/Encrypted", { Encrypted: true }],
  ["unencrypted-file-system", "AWS::EFS::FileSystem", {}, "/Encrypted", { Encrypted: "true" }],
  ["unencrypted-cluster", "AWS::Redshift::Cluster", { Encrypted: false }, "/Encrypted", { Encrypted: true }],
  [
    "unencrypted-cache",
    "AWS::ElastiCache::ReplicationGroup",
    {},
    "/AtRestEncryptionEnabled",
    { AtRestEncryptionEnabled: true },
  ],
  [
    "unencrypted-search",
    "AWS::OpenSearchService::Domain",
    {},
    "/EncryptionAtRestOptions/Enabled",
    { EncryptionAtRestOptions: { Enabled: true } },
  ],
  [
    "unencrypted-queue",
    "AWS::SQS::Queue",
    { SqsManagedSseEnabled: false },
    "/SqsManagedSseEnabled",
    { SqsManagedSseEnabled: false, KmsMasterKeyId: "alias/k" },
  ],
  [
    "no-backups",
    "AWS::RDS::DBInstance",
    { BackupRetentionPeriod: 0, StorageEncrypted: true },
    "/BackupRetentionPeriod",
    { StorageEncrypted: true },
  ],
  [
    "imds-v1",
    "AWS::EC2::Instance",
    { MetadataOptions: { HttpTokens: "optional" } },
    "/MetadataOptions/HttpTokens",
    { MetadataOptions: { HttpTokens: "required" } },
  ],
  ["key-rotation-off", "AWS::KMS::Key", { EnableKeyRotation: false }, "/EnableKeyRotation", {}],
  [
    "trail-validation-off",
    "AWS::CloudTrail::Trail",
    { EnableLogFileValidation: false },
    "/EnableLogFileValidation",
    { EnableLogFileValidation: true },
  ],
  ...[
    { ManagedPolicyArns: ["arn:aws:iam::aws:policy/AdministratorAccess"] },
    { ManagedPolicyArns: ["arn:aws-cn:iam::aws:policy/IAMFullAccess"] },
  ].map((unsafe): [string, string, object, string, object] => [
    "administrator",
    "AWS::IAM::Role",
    unsafe,
    "/ManagedPolicyArns/0",
    { ManagedPolicyArns: ["arn:aws:iam::aws:policy/ReadOnlyAccess"] },
  ]),
  ...[
    { Action: "*:*", Resource: "*" },
    { Action: "**", Resource: ["arn:aws:s3:::x", "**"] },
    { Action: "*", NotResource: "arn:aws:s3:::x" },
    { NotAction: "iam:*", Resource: "*" },
  ].map((unsafe): [string, string, object, string, object] => [
    "allow-everything",
    "AWS::IAM::ManagedPolicy",
    { PolicyDocument: allow(unsafe) },
    "/PolicyDocument/Statement/0",
    { PolicyDocument: allow({ Action: "s3:GetObject", NotResource: "arn:aws:s3:::x" }) },
  ]),
  [
    "allow-whole-service",
    "AWS::SSO::PermissionSet",
    { InlinePolicy: allow({ Action: "iam:**", Resource: "*" }) },
    "/InlinePolicy/Statement/0",
    { InlinePolicy: allow({ Action: "iam:Get*", Resource: "*" }) },
  ],
  ...[
    { Principal: "*", Condition: { Bool: { "aws:SecureTransport": "true" } } },
    { Principal: { AWS: ["*"] }, Condition: { StringLike: { "aws:PrincipalArn": "*" } } },
    { Principal: "*", Condition: { StringNotEquals: { "aws:SourceAccount": "123456789012" } } },
    { Principal: "*", Condition: { IpAddress: { "aws:SourceIp": ["192.0.2.0/24", "0.0.0.0/0"] } } },
    { NotPrincipal: { AWS: "arn:aws:iam::123456789012:root" } },
    { Principal: { Federated: "x", AWS: "*" } },
  ].map((unsafe): [string, string, object, string, object] => [
    "public-policy",
    "AWS::SQS::QueueInlinePolicy",
    { PolicyDocument: allow(unsafe) },
    "/PolicyDocument/Statement/0",
    {
      PolicyDocument: allow({
        Principal: "*",
        Condition: { ArnLike: { "aws:sourcearn": "arn:aws:sns:*:123456789012:t" } },
      }),
    },
  ]),
  ["public-function", "AWS::Lambda::Url", { AuthType: "NONE" }, "/AuthType", { AuthType: "AWS_IAM" }],
];

describe("findings", () => {
  it.each(CASES)("%s in %s", (name, type, unsafe, path, safe) => {
    const found = findingsOf(type, unsafe as never).filter((one) => one.rule === name);
    expect(found.map((one) => one.path)).toEqual([path]);
    expect(findingsOf(type, safe as never).filter((one) => one.rule === name)).toEqual([]);
  });

  it("says nothing of a type it does not know, nor of values of another shape", () => {
    expect(findingsOf("AWS::SNS::Topic", { Anything: true })).toEqual([]);
    expect(rulesFor("AWS::SNS::Topic")).toBe(0);
    expect(rulesFor(GROUP)).toBe(2);
    for (const odd of [{ rules: "x" }, { rules: [null, 3] }, { SecurityGroupIngress: {} }]) {
      expect(findingsOf(GROUP, odd)).toEqual([]);
    }
    expect(findingsOf("AWS::S3::BucketPolicy", { PolicyDocument: "{ not json" })).toEqual([]);
  });
});
