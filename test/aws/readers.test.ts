// Readers: what they say, and that only AWS's own "there is none of this id" is null.

import { describe, expect, it } from "vitest";
import { type Api, readOnly } from "../../src/aws/api.js";
import { instanceOf, ruleOf, securityGroupOf } from "../../src/aws/readers/ec2-shapes.js";
import { typeReaders } from "../../src/aws/readers/index.js";
import { Instance } from "../../src/core/content/instances.js";
import { SecurityGroup } from "../../src/core/content/security-groups.js";
import { OpsError } from "../../src/core/errors.js";
import { canonicalJson } from "../../src/core/json.js";
import { API, codeOf, failure, PROD, SERVICE, sandbox } from "./support.js";

const failing = (awsCode: string, code: "not_found" | "aws_rejected" | "access_denied" | "throttled") =>
  ({
    call: () => Promise.reject(new OpsError(code, "no", { details: { awsCode } })),
  }) as unknown as Api;

describe("instances", () => {
  it("lists the seeded instances as their schema says", async () => {
    const { items, next } = await (await sandbox().reader()).list("AWS::EC2::Instance", {});
    expect(next).toBeUndefined();
    expect(items.map(({ name }) => name)).toEqual(["api-1", "api-2", "api-3", "api-4"]);
    for (const item of items) Instance.strict().parse(item);
    expect(items[0]).toMatchObject({ state: "running", autoScalingGroup: "api-asg", publicIp: "203.0.113.11" });
  });
  it("pages with AWS's own token, whatever the limit", async () => {
    const { outsider, reader } = sandbox();
    await outsider.call("ec2", "RunInstances", { ImageId: "ami-0cc00000000000001", MinCount: 3, MaxCount: 3 });
    const aws = await reader();
    const first = await aws.list("AWS::EC2::Instance", { limit: 2 });
    expect(first.items).toHaveLength(5);
    const second = await aws.list("AWS::EC2::Instance", { limit: 2, cursor: first.next! });
    expect(second.items).toHaveLength(2);
    expect(second.next).toBeUndefined();
  });
  it("ids that are gone are missing from a list and do not fail it; no ids ask for nothing", async () => {
    const aws = await sandbox().reader();
    const { items } = await aws.list("AWS::EC2::Instance", { ids: [API[0]!, "i-0123456789abcdef0"] });
    expect(items.map(({ instanceId }) => instanceId)).toEqual([API[0]]);
    expect((await aws.list("AWS::EC2::Instance", { ids: [] })).items).toEqual([]);
    const many = Array.from({ length: 201 }, () => API[0]!);
    expect(await codeOf(aws.list("AWS::EC2::Instance", { ids: many }))).toBe("validation_error");
  });
  it("a terminated instance is still told, with its state", async () => {
    const { outsider, reader } = sandbox();
    await outsider.call("ec2", "TerminateInstances", { InstanceIds: [API[2]!] });
    const aws = await reader();
    const gone = await aws.get("AWS::EC2::Instance", API[2]!);
    expect(gone).toMatchObject({ instanceId: API[2], state: "terminated", securityGroups: [] });
    expect(gone).not.toHaveProperty("publicIp");
    const running = await aws.list("AWS::EC2::Instance", { filters: { "instance-state-name": ["running"] } });
    expect(running.items).toHaveLength(3);
  });
  it("tells what hangs on an instance", async () => {
    const aws = await sandbox().reader();
    const instance = (await aws.get("AWS::EC2::Instance", API[0]!))!;
    const known = <T>(value: T) => ({ known: true, value });
    const unknown = { known: false, because: "not_in_sandbox" };
    expect((await aws.instances.dependants([instance])).get(API[0]!)).toEqual({
      volumes: [{ volumeId: "vol-0ff00000000000001", deleteOnTermination: true }],
      terminationProtection: known(false),
      stopProtection: known(false),
      elasticIps: known(["203.0.113.11"]),
      // What the sandbox cannot say is unknown, not none.
      autoScaling: unknown,
      targetGroups: unknown,
      instanceStore: unknown,
    });
    const gone = { ...instance, instanceId: "i-0123456789abcdef0" };
    expect(await codeOf(aws.instances.dependants([gone]))).toBe("not_found");
  });
});

describe("security groups", () => {
  it("reads a group with its rules by id", async () => {
    const group = await (await sandbox().reader()).get("AWS::EC2::SecurityGroup", PROD);
    SecurityGroup.strict().parse(group);
    expect(group).toMatchObject({ groupName: "sg-prod", tags: { environment: "prod" } });
    expect(group?.rules).toEqual([
      {
        ruleId: "sgr-0aa00000000000001",
        direction: "ingress",
        protocol: "tcp",
        fromPort: 443,
        toPort: 443,
        peer: "0.0.0.0/0",
        description: "https",
      },
      { ruleId: "sgr-0aa00000000000002", direction: "egress", protocol: "-1", peer: "0.0.0.0/0" },
    ]);
  });
  it("lists groups, each with its own rules", async () => {
    const { items } = await (await sandbox().reader()).list("AWS::EC2::SecurityGroup", {});
    expect(items.map(({ groupName, rules }) => [groupName, rules.length])).toEqual([
      ["sg-prod", 2],
      ["sg-debug", 2],
    ]);
  });
  it("reads all pages of rules", async () => {
    const pages: Record<string, object> = {
      first: { SecurityGroupRules: [{ SecurityGroupRuleId: "sgr-2", GroupId: "sg-1" }], NextToken: "second" },
      second: { SecurityGroupRules: [{ SecurityGroupRuleId: "sgr-1", GroupId: "sg-1" }] },
    };
    const api = {
      call: async (_: string, operation: string, { NextToken = "first" }: { NextToken?: string }) =>
        operation === "DescribeSecurityGroupRules" ? pages[NextToken] : { SecurityGroups: [{ GroupId: "sg-1" }] },
    } as unknown as Api;
    const group = await typeReaders(api)["AWS::EC2::SecurityGroup"].get("sg-1");
    expect(group?.rules.map(({ ruleId }) => ruleId)).toEqual(["sgr-1", "sgr-2"]);
  });
  it("a page that names itself as the next one ends in an error", async () => {
    const api = { call: async () => ({ SecurityGroupRules: [], NextToken: "again" }) } as unknown as Api;
    expect(await codeOf(typeReaders(api)["AWS::EC2::SecurityGroup"].get("sg-1"))).toBe("aws_unavailable");
  });
  it("reads the rules before the group, so that a group deleted in between is absent and never without rules", async () => {
    const asked: string[] = [];
    const api = {
      call: async (_: string, operation: string) => {
        asked.push(operation);
        if (operation === "DescribeSecurityGroupRules") return { SecurityGroupRules: [{ GroupId: "sg-1" }] };
        throw new OpsError("not_found", "no", { details: { awsCode: "InvalidGroup.NotFound" } });
      },
    } as unknown as Api;
    expect(await typeReaders(api)["AWS::EC2::SecurityGroup"].get("sg-1")).toBeNull();
    expect(asked).toEqual(["DescribeSecurityGroupRules", "DescribeSecurityGroups"]);
  });
  it("tells who uses a group", async () => {
    const users = await (await sandbox().reader()).groupUsers(PROD);
    expect(users.map(({ instanceId }) => instanceId)).toEqual(API);
  });
});

describe("absence", () => {
  it("null is said of an id that AWS does not know", async () => {
    const aws = await sandbox().reader();
    expect(await aws.get("AWS::EC2::Instance", "i-0123456789abcdef0")).toBeNull();
    expect(await aws.get("AWS::EC2::SecurityGroup", "sg-0123456789abcdef0")).toBeNull();
    expect(await aws.resource("AWS::S3::Bucket", "no-such-bucket")).toBeNull();
  });
  it.each([
    ["InvalidGroup.NotFound", "not_found"],
    ["InvalidInstanceID.Malformed", "aws_rejected"],
    ["UnauthorizedOperation", "access_denied"],
    ["RequestLimitExceeded", "throttled"],
  ] as const)("an instance read that ends in %s is an error", async (awsCode, code) => {
    expect(await codeOf(typeReaders(failing(awsCode, code))["AWS::EC2::Instance"].get("i-1"))).toBe(code);
  });
  it("an empty answer is absence too", async () => {
    const api = { call: async () => ({}) } as unknown as Api;
    expect(await typeReaders(api)["AWS::EC2::Instance"].get("i-1")).toBeNull();
    expect(await typeReaders(api)["AWS::EC2::SecurityGroup"].get("sg-1")).toBeNull();
  });
});

describe("contents", () => {
  it("are the same document whatever the order in which AWS lists", () => {
    const rules = ["sgr-b", "sgr-a"].map((SecurityGroupRuleId) => ({ SecurityGroupRuleId, GroupId: "sg-1" }));
    const tags = [
      { Key: "b", Value: "1" },
      { Key: "a", Value: "2" },
    ];
    const groups = [{ GroupId: "sg-2" }, { GroupId: "sg-1" }];
    const group = (flip: boolean) =>
      canonicalJson(
        securityGroupOf(
          { GroupId: "sg-1", Tags: flip ? [...tags].reverse() : tags },
          flip ? [...rules].reverse() : rules,
        ),
      );
    const instance = (flip: boolean) =>
      JSON.stringify(
        instanceOf({
          InstanceId: "i-1",
          SecurityGroups: flip ? [...groups].reverse() : groups,
          Tags: flip ? [...tags].reverse() : tags,
        }),
      );
    expect(group(true)).toBe(group(false));
    expect(instance(true)).toBe(instance(false));
  });
  it("hold no undefined", () => {
    const shown = [instanceOf({}), securityGroupOf({}, [{}])];
    expect(shown).toStrictEqual(JSON.parse(JSON.stringify(shown)));
  });
  it.each([
    [
      { IpProtocol: "-1", FromPort: -1, ToPort: -1, CidrIpv4: "0.0.0.0/0" },
      { protocol: "-1", peer: "0.0.0.0/0" },
    ],
    [
      { IpProtocol: "icmp", FromPort: -1, ToPort: -1, CidrIpv6: "::/0" },
      { protocol: "icmp", fromPort: -1, toPort: -1, peer: "::/0" },
    ],
    [
      { IpProtocol: "tcp", FromPort: 80, ToPort: 80, ReferencedGroupInfo: { GroupId: "sg-9" }, IsEgress: true },
      { direction: "egress", protocol: "tcp", fromPort: 80, toPort: 80, peer: "sg-9" },
    ],
    [
      {
        IpProtocol: "-1",
        GroupOwnerId: "123456789012",
        ReferencedGroupInfo: { GroupId: "sg-9", UserId: "210987654321", VpcPeeringConnectionId: "pcx-1" },
      },
      { protocol: "-1", peer: "210987654321/sg-9" },
    ],
    [
      {
        IpProtocol: "-1",
        GroupOwnerId: "123456789012",
        ReferencedGroupInfo: { GroupId: "sg-9", UserId: "123456789012" },
      },
      { protocol: "-1", peer: "sg-9" },
    ],
    [
      { IpProtocol: "udp", FromPort: 53, ToPort: 53, PrefixListId: "pl-1", Description: "" },
      { protocol: "udp", fromPort: 53, toPort: 53, peer: "pl-1" },
    ],
  ])("a rule %j reads %j", (aws, rule) => {
    expect(ruleOf(aws)).toStrictEqual({ ruleId: "", direction: "ingress", ...rule });
  });
});

describe("a reader", () => {
  it("says who and where it is", async () => {
    const aws = await sandbox().reader();
    expect(aws).toMatchObject({ account: "000000000000", region: "us-east-1" });
    expect(aws.identity).toEqual({
      account: "000000000000",
      arn: "arn:aws:iam::000000000000:user/sandbox",
      credentialSource: "sandbox",
    });
  });
  it("answers contents by the reader asked for, of its own account and region only", async () => {
    const aws = await sandbox().reader();
    const ref = { account: "000000000000", region: "us-east-1", type: "AWS::EC2::SecurityGroup", id: PROD };
    expect(await aws.content(ref, "service")).toMatchObject({ groupId: PROD });
    expect(await aws.content({ ...ref, type: "AWS::ECS::Service", id: SERVICE }, "cloudcontrol")).toMatchObject({
      ServiceName: "api-service",
    });
    expect(await codeOf(aws.content({ ...ref, type: "AWS::S3::Bucket" }, "service"))).toBe("unsupported");
    expect(await codeOf(aws.content({ ...ref, account: "111111111111" }, "service"))).toBe("identity_mismatch");
    expect(await codeOf(aws.content({ ...ref, region: "eu-west-1" }, "service"))).toBe("internal");
  });
  it("knows the regions, sorted", async () => {
    const regions = await (await sandbox().reader()).regions();
    expect(regions.map(({ region }) => region)).toContain("us-east-1");
    expect(regions).toEqual([...regions].sort((a, b) => (a.region < b.region ? -1 : 1)));
  });
  it("refuses a region that is none", async () => {
    expect((await failure(sandbox().aws.reader("us-est-1"))).details.nearest).toContain("us-east-1");
  });
  it("passes reads on and nothing else, also past the types", async () => {
    let calls = 0;
    const api = readOnly({ call: async () => ({ $metadata: { requestId: String(++calls) } }) } as unknown as Api);
    const call = api.call as unknown as (...args: unknown[]) => Promise<unknown>;
    await call("ec2", "DescribeInstances", {});
    for (const name of ["TerminateInstances", "RunInstances", "CreateResource", "DescribeAndDelete".slice(11)]) {
      expect(() => call("ec2", name, {})).toThrow(OpsError);
    }
    expect(calls).toBe(1);
  });
});
