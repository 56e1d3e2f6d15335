// The executor on the sandbox: what goes over the wire, what comes back, and which outcome is called unknown.

import { describe, expect, it } from "vitest";
import { apiOf, type RawCall } from "../../src/aws/api.js";
import { executor, preflight, type WholeApi, writeNames } from "../../src/aws/executor.js";
import type { SecurityGroup } from "../../src/core/content/security-groups.js";
import type { Clock } from "../../src/core/ports.js";
import { OPERATION_MARK } from "../../src/core/tags.js";
import { API, allow, clock, codeOf, failure, log, op, PROD, SERVICE, sandbox, step } from "./support.js";

const launch = (count = 1) =>
  step(
    "ec2",
    "RunInstances",
    {
      ImageId: "ami-0cc00000000000001",
      InstanceType: "t3.micro",
      MinCount: count,
      MaxCount: count,
      TagSpecifications: [
        { ResourceType: "instance", Tags: [{ Key: "Name", Value: "worker" }] },
        { ResourceType: "volume", Tags: [] },
      ],
    },
    { kind: "create" },
  );

/** An executor over a transport that answers from a list and records what it was asked. */
function scripted(...answers: readonly (object | Error)[]) {
  const calls: RawCall[] = [];
  const left = [...answers];
  const api = apiOf(
    async (call) => {
      calls.push(call);
      const answer = left.shift() ?? {};
      if (answer instanceof Error) throw answer;
      return answer;
    },
    { region: "us-east-1", login: async () => "aws login", log },
  ) as WholeApi;
  return { calls, api, writer: executor(api, clock) };
}

const refusal = (name: string, httpStatusCode = 400) =>
  Object.assign(new Error("text of AWS"), { name, $metadata: { httpStatusCode } });

const rules = async (box: ReturnType<typeof sandbox>): Promise<SecurityGroup["rules"]> =>
  (await (await box.reader()).get("AWS::EC2::SecurityGroup", PROD))!.rules;

describe("launching", () => {
  it("carries the client token and the operation's mark, and drops tag lists that EC2 would refuse", async () => {
    const { writer, calls } = scripted({ Instances: [{ InstanceId: "i-1" }], $metadata: { requestId: "r-1" } });
    expect(await writer.send(launch(), op("op-1"))).toEqual({ identifiers: ["i-1"], awsRequestId: "r-1" });
    expect(calls[0]?.input).toMatchObject({
      ClientToken: "token-of-op-1",
      TagSpecifications: [
        {
          ResourceType: "instance",
          Tags: [
            { Key: "Name", Value: "worker" },
            { Key: OPERATION_MARK, Value: "token-of-op-1" },
          ],
        },
      ],
    });
  });
  it("the same token makes the same instances, and they are found by the mark", async () => {
    const { writer } = sandbox();
    const first = await writer.send(launch(2), op("op-1"));
    const again = await writer.send(launch(2), op("op-1"));
    expect(first.identifiers).toHaveLength(2);
    expect(again.identifiers).toEqual(first.identifiers);
    expect(await writer.find(launch(2), op("op-1"))).toEqual([...first.identifiers].sort());
    expect(await writer.find(launch(2), op("op-2"))).toEqual([]);
  });
  it("the same token with other parameters is an unknown outcome: an earlier call exists", async () => {
    const { writer } = sandbox();
    await writer.send(launch(1), op("op-1"));
    expect(await codeOf(writer.send(launch(2), op("op-1")))).toBe("outcome_unknown");
  });
});

describe("security group rules", () => {
  it("adds, describes and removes one rule, naming the group as what changed", async () => {
    const box = sandbox();
    expect((await box.writer.send(allow(22, "10.0.0.0/8"), op("op-1"))).identifiers).toEqual([PROD]);
    const added = (await rules(box)).find(({ fromPort }) => fromPort === 22)!;
    const group = { type: "AWS::EC2::SecurityGroup", id: PROD };
    const describeIt = step(
      "ec2",
      "UpdateSecurityGroupRuleDescriptionsIngress",
      { GroupId: PROD, SecurityGroupRuleDescriptions: [{ SecurityGroupRuleId: added.ruleId, Description: "ssh" }] },
      group,
    );
    await box.writer.send(describeIt, op("op-2"));
    expect((await rules(box)).find(({ ruleId }) => ruleId === added.ruleId)?.description).toBe("ssh");
    const removeIt = step(
      "ec2",
      "RevokeSecurityGroupIngress",
      { GroupId: PROD, SecurityGroupRuleIds: [added.ruleId] },
      group,
    );
    await box.writer.send(removeIt, op("op-3"));
    expect((await rules(box)).map(({ fromPort }) => fromPort)).toEqual([443, undefined]);
    expect(await codeOf(box.writer.send(removeIt, op("op-4")))).toBe("not_found");
  });
  it("a rule that exists is refused as such, and nothing changed", async () => {
    const box = sandbox();
    expect(await codeOf(box.writer.send(allow(443, "0.0.0.0/0"), op("op-1")))).toBe("rule_exists");
    expect(await rules(box)).toHaveLength(2);
  });
  it("sets and removes tags", async () => {
    const box = sandbox();
    const tags = (operation: string, Tags: { Key: string; Value: string }[]) =>
      step("ec2", operation, { Resources: [PROD], Tags }, { type: "AWS::EC2::SecurityGroup", id: PROD });
    const sent = await box.writer.send(tags("CreateTags", [{ Key: "owner", Value: "x" }]), op("op-1"));
    expect(sent.identifiers).toEqual([PROD]);
    await box.writer.send(tags("DeleteTags", [{ Key: "environment", Value: "prod" }]), op("op-2"));
    const group = await (await box.reader()).get("AWS::EC2::SecurityGroup", PROD);
    expect(group?.tags).toEqual({ Name: "sg-prod", owner: "x" });
  });
});

describe("preflight", () => {
  it("asks without changing anything", async () => {
    const box = sandbox();
    const before = await rules(box);
    await (await box.reader()).preflight(allow(22, "10.0.0.0/8"));
    await (await box.reader()).preflight(launch(3));
    await (await box.reader()).preflight(step("ec2", "TerminateInstances", { InstanceIds: API }));
    expect(await rules(box)).toEqual(before);
    const { items } = await (await box.reader()).list("AWS::EC2::Instance", {});
    expect(items.map(({ state }) => state)).toEqual(["running", "running", "running", "running"]);
  });
  it("sends DryRun with the marks of the real call, and no client token", async () => {
    const { api, calls } = scripted(refusal("DryRunOperation", 412));
    await preflight(api, launch());
    expect(calls[0]?.input).toMatchObject({ DryRun: true, TagSpecifications: [{ ResourceType: "instance" }] });
    expect(calls[0]?.input).not.toHaveProperty("ClientToken");
  });
  it.each([
    ["UnauthorizedOperation", 403, "access_denied"],
    ["InvalidGroup.NotFound", 400, "not_found"],
    ["InternalError", 500, "aws_unavailable"],
  ])("%s becomes an error that is certain", async (name, status, code) => {
    expect(await codeOf(preflight(scripted(refusal(name, status)).api, allow(22, "10.0.0.0/8")))).toBe(code);
  });
  it("an endpoint that carries a dry run out is called out", async () => {
    expect(await codeOf(preflight(scripted({ Return: true }).api, allow(22, "10.0.0.0/8")))).toBe("aws_failed");
  });
  it("Cloud Control has no such question", async () => {
    const { api, calls } = scripted();
    await preflight(api, step("cloudcontrol", "DeleteResource", { TypeName: "AWS::S3::Bucket", Identifier: "x" }));
    expect(calls).toEqual([]);
  });
});

describe("outcomes", () => {
  it.each([
    [refusal("InternalError", 500), "outcome_unknown"],
    [Object.assign(new Error("socket hang up"), { name: "TimeoutError", code: "ECONNRESET" }), "outcome_unknown"],
    [Object.assign(new Error("refused"), { code: "ECONNREFUSED" }), "aws_unavailable"],
    [refusal("UnauthorizedOperation", 403), "access_denied"],
    [refusal("InsufficientInstanceCapacity", 500), "aws_rejected"],
  ])("%s is %s", async (cause, code) => {
    expect(await codeOf(scripted(cause).writer.send(launch(), op("op-1")))).toBe(code);
  });
  it("a throttled call goes out again as it was, a few times with pauses", async () => {
    const limit = refusal("RequestLimitExceeded", 503);
    const pauses: number[] = [];
    const patient: Clock = { ...clock, sleep: async (pause) => void pauses.push(pause) };
    const never = scripted(limit, limit, limit, limit);
    expect(await codeOf(executor(never.api, patient).send(launch(), op("op-1")))).toBe("throttled");
    expect(never.calls).toHaveLength(4);
    expect(pauses).toEqual([2_000, 4_000, 8_000]);
    expect(new Set(never.calls.map(({ input }) => (input as { ClientToken: string }).ClientToken)).size).toBe(1);
    const soon = scripted(limit, { Instances: [{ InstanceId: "i-1" }] });
    expect((await executor(soon.api, patient).send(launch(), op("op-1"))).identifiers).toEqual(["i-1"]);
  });
  it("a call cancelled beforehand is not sent", async () => {
    const { writer, calls } = scripted();
    const error = await failure(writer.send(launch(), op("op-1"), AbortSignal.abort()));
    expect(error.code).toBe("aws_unavailable");
    expect(calls).toEqual([]);
  });
  it("a step without a row is refused before anything is sent", async () => {
    const { writer, calls } = scripted();
    for (const name of ["DeleteVpc", "toString", "DescribeInstances"]) {
      expect(await codeOf(writer.send(step("ec2", name, {}), op("op-1")))).toBe("internal");
    }
    expect(calls).toEqual([]);
  });
});

describe("the table", () => {
  it("says of every write how it may be sent a second time", () => {
    const { writer } = scripted();
    const classes = Object.fromEntries(
      writeNames().map((name) => {
        const [service = "", operation = ""] = name.split(":");
        return [operation, writer.idempotency(step(service, operation, {}))];
      }),
    );
    expect(classes).toEqual({
      RunInstances: "token",
      TerminateInstances: "natural",
      StartInstances: "natural",
      StopInstances: "natural",
      // A second reboot is a second reboot.
      RebootInstances: "none",
      ModifyInstanceAttribute: "natural",
      SetDesiredCapacity: "natural",
      AuthorizeSecurityGroupIngress: "natural",
      AuthorizeSecurityGroupEgress: "natural",
      RevokeSecurityGroupIngress: "natural",
      RevokeSecurityGroupEgress: "natural",
      UpdateSecurityGroupRuleDescriptionsIngress: "natural",
      UpdateSecurityGroupRuleDescriptionsEgress: "natural",
      CreateTags: "natural",
      CreateSecurityGroup: "natural",
      DeleteSecurityGroup: "natural",
      DeleteTags: "natural",
      CreateResource: "token",
      UpdateResource: "token",
      DeleteResource: "token",
      CancelResourceRequest: "natural",
      ModifyDBInstance: "natural",
      ModifyDBCluster: "natural",
      StartDBInstance: "natural",
      StopDBInstance: "natural",
      StartDBCluster: "natural",
      StopDBCluster: "natural",
      CreateDBSnapshot: "natural",
      CreateDBClusterSnapshot: "natural",
      RestoreDBInstanceFromDBSnapshot: "natural",
      AddTagsToResource: "natural",
      RemoveTagsFromResource: "natural",
      TagResources: "natural",
      UntagResources: "natural",
      RegisterTaskDefinition: "none",
      UpdateService: "natural",
      StopServiceDeployment: "natural",
      CreateDeployment: "none",
      StopDeployment: "natural",
      StartInstanceRefresh: "none",
      RollbackInstanceRefresh: "natural",
      CancelInstanceRefresh: "natural",
    });
  });
  it("terminating names the instances", async () => {
    const { writer } = sandbox();
    const sent = await writer.send(step("ec2", "TerminateInstances", { InstanceIds: API.slice(2) }), op("op-1"));
    expect(sent.identifiers).toEqual(API.slice(2));
  });
});

describe("Cloud Control writes", () => {
  const update = (patch: object[]) =>
    step(
      "cloudcontrol",
      "UpdateResource",
      { TypeName: "AWS::ECS::Service", Identifier: SERVICE, PatchDocument: patch as never },
      { type: "AWS::ECS::Service", id: SERVICE },
    );
  it("carry the token, and documents as text", async () => {
    const { writer, calls } = scripted({ ProgressEvent: { RequestToken: "q", Identifier: "b" } });
    const create = step("cloudcontrol", "CreateResource", {
      TypeName: "AWS::S3::Bucket",
      DesiredState: { BucketName: "b" },
    });
    expect(await writer.send(create, op("op-1"))).toEqual({ identifiers: ["b"], requestToken: "q" });
    expect(calls[0]?.input).toEqual({
      TypeName: "AWS::S3::Bucket",
      DesiredState: '{"BucketName":"b"}',
      ClientToken: "token-of-op-1",
    });
    expect(await writer.find(create, op("op-1"))).toBeNull();
  });
  it("take effect later, guarded by test", async () => {
    const { writer, reader } = sandbox();
    const patch = update([
      { op: "test", path: "/DesiredCount", value: 4 },
      { op: "add", path: "/DesiredCount", value: 6 },
    ]);
    const sent = await writer.send(patch, op("op-1"));
    expect(sent.identifiers).toEqual([SERVICE]);
    expect(await writer.poll(patch, sent.requestToken!)).toMatchObject({ status: "succeeded", identifier: SERVICE });
    expect(await (await reader()).resource("AWS::ECS::Service", SERVICE)).toMatchObject({ DesiredCount: 6 });
    const again = await writer.send(patch, op("op-1"));
    expect(again.requestToken).toBe(sent.requestToken);
    const late = await writer.send(patch, op("op-2"));
    expect(await writer.poll(patch, late.requestToken!)).toMatchObject({
      status: "failed",
      code: "aws_rejected",
      awsCode: "InvalidRequest",
    });
    expect(await codeOf(writer.send(update([]), op("op-1")))).toBe("outcome_unknown");
  });
  it("what cannot be changed needs a replacement", async () => {
    const { writer } = sandbox();
    const patch = update([{ op: "add", path: "/Cluster", value: "other" }]);
    const sent = await writer.send(patch, op("op-1"));
    expect(await writer.poll(patch, sent.requestToken!)).toMatchObject({ code: "replacement_needed" });
  });
});
