// The sandbox is a demo, and a lawful one: pure steps, time of its own, refusals by name.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { stepWorld } from "../../src/aws/sandbox/api.js";
import { outsider } from "../../src/aws/sandbox/outsider.js";
import { memoryStore, seed, type World } from "../../src/aws/sandbox/world.js";
import { fileStore } from "../../src/aws/sandbox/world-file.js";
import { API, allow, clock, codeOf, NOW, op, PROD, SERVICE, sandbox, step } from "./support.js";

const call = (operation: string, input: object = {}, service: "ec2" | "cloudcontrol" = "ec2") => ({
  service,
  operation,
  region: "us-east-1",
  input,
});

describe("a step of the world", () => {
  it("changes nothing it was given, and survives JSON", () => {
    const world = seed(new Date(NOW));
    const before = JSON.stringify(world);
    const stepped = stepWorld(world, call("TerminateInstances", { InstanceIds: API }));
    expect(JSON.stringify(world)).toBe(before);
    expect(JSON.parse(JSON.stringify(stepped.world))).toEqual(stepped.world);
    expect(stepWorld(JSON.parse(before) as World, call("TerminateInstances", { InstanceIds: API }))).toEqual(stepped);
  });
  it("a refused call moves time and nothing else", () => {
    const world = seed(new Date(NOW));
    const refused = stepWorld(world, call("TerminateInstances", { InstanceIds: [API[0], "i-0123456789abcdef0"] }));
    expect(refused).toHaveProperty("error");
    expect(refused.world).toEqual({ ...world, tick: 1 });
  });
  it("a life: launched pending, then running; terminated on its way, then gone from its groups", async () => {
    const { writer, reader } = sandbox();
    const run = step("ec2", "RunInstances", { ImageId: "ami-0cc00000000000001", MinCount: 1, MaxCount: 1 });
    const [id = ""] = (await writer.send(run, op("op-1"))).identifiers;
    const aws = await reader();
    expect((await aws.get("AWS::EC2::Instance", id))?.state).toBe("running");
    await writer.send(step("ec2", "TerminateInstances", { InstanceIds: [API[0]!] }), op("op-2"));
    expect((await aws.groupUsers(PROD)).map(({ instanceId }) => instanceId)).toEqual(API.slice(1));
  });
  it("other regions exist and are empty", async () => {
    const aws = await sandbox().aws.reader("eu-west-1");
    expect((await aws.list("AWS::EC2::Instance", {})).items).toEqual([]);
    expect((await aws.resources("AWS::S3::Bucket", undefined)).items).toEqual([]);
  });
});

describe("what it does not know", () => {
  it.each([
    ["an operation", call("DescribeRouteTables")],
    ["a parameter", call("DescribeInstances", { IncludeManagedResources: true })],
    ["a filter", call("DescribeInstances", { Filters: [{ Name: "hypervisor", Values: ["xen"] }] })],
    ["a filter named like a method", call("DescribeInstances", { Filters: [{ Name: "constructor", Values: ["x"] }] })],
    ["a resource type", call("GetResource", { TypeName: "AWS::SQS::Queue", Identifier: "x" }, "cloudcontrol")],
  ])("%s is refused as not in the sandbox", (_, given) => {
    expect(stepWorld(seed(new Date(NOW)), given)).toMatchObject({ error: { code: "not_in_sandbox" } });
  });
  it("through the reader as well", async () => {
    expect(await codeOf((await sandbox().reader()).resource("AWS::SQS::Queue", "x"))).toBe("not_in_sandbox");
  });
});

describe("launching in it", () => {
  it.each([
    [{ ImageId: "ami-0123" }, "not_found"],
    [{ SubnetId: "subnet-0123" }, "not_found"],
    [{ SecurityGroupIds: ["sg-0123"] }, "not_found"],
    [{ InstanceType: "huge" }, "aws_rejected"],
    [{ MaxCount: 99 }, "aws_rejected"],
  ])("%j is %s", async (wrong, code) => {
    const good = { ImageId: "ami-0cc00000000000001", InstanceType: "t3.micro", MinCount: 1, MaxCount: 1 };
    expect(await codeOf(sandbox().writer.send(step("ec2", "RunInstances", { ...good, ...wrong }), op("op-1")))).toBe(
      code,
    );
  });
  it("termination protection holds", async () => {
    const { writer } = sandbox();
    const run = { ImageId: "ami-0cc00000000000001", MinCount: 1, MaxCount: 1, DisableApiTermination: true };
    const { identifiers } = await writer.send(step("ec2", "RunInstances", run), op("op-1"));
    const end = step("ec2", "TerminateInstances", { InstanceIds: [...identifiers] });
    expect(await codeOf(writer.send(end, op("op-2")))).toBe("aws_rejected");
  });
});

describe("Cloud Control in it", () => {
  const create = (type: string, state: object) =>
    step("cloudcontrol", "CreateResource", { TypeName: type, DesiredState: state as never }, { type, kind: "create" });
  it("creates a revision of a task definition, deploys it, and refuses one that is not there", async () => {
    const box = sandbox();
    const made = create("AWS::ECS::TaskDefinition", { Family: "api" });
    const sent = await box.writer.send(made, op("op-1"));
    const progress = await box.writer.poll(made, sent.requestToken!);
    expect(progress.identifier).toMatch(/task-definition\/api:25$/);
    const player = outsider(box.store, clock);
    await player.deploy("api-service", 24);
    const service = await (await box.reader()).resource("AWS::ECS::Service", SERVICE);
    expect(service?.TaskDefinition).toMatch(/api:24$/);
    await player.deploy("api-service", 99);
    expect((await (await box.reader()).resource("AWS::ECS::Service", SERVICE))?.TaskDefinition).toMatch(/api:24$/);
  });
  it("gives no revision twice, whatever became of the one before", async () => {
    const { writer } = sandbox();
    const type = "AWS::ECS::TaskDefinition";
    const made = create(type, { Family: "api" });
    const first = await writer.send(made, op("op-1"));
    const { identifier } = await writer.poll(made, first.requestToken!);
    const input = { TypeName: type, Identifier: identifier! };
    await writer.send(step("cloudcontrol", "DeleteResource", input, { type, kind: "delete" }), op("op-2"));
    const second = await writer.send(made, op("op-3"));
    expect((await writer.poll(made, second.requestToken!)).identifier).toMatch(/:26$/);
  });
  it("makes, refuses to make twice, and deletes a bucket", async () => {
    const { writer, reader } = sandbox();
    const bucket = create("AWS::S3::Bucket", { BucketName: "mine", AccessControl: "Private" });
    const first = await writer.send(bucket, op("op-1"));
    expect(await writer.poll(bucket, first.requestToken!)).toMatchObject({ status: "succeeded", identifier: "mine" });
    expect(await (await reader()).resource("AWS::S3::Bucket", "mine")).not.toHaveProperty("AccessControl");
    const second = await writer.send(bucket, op("op-2"));
    expect(await writer.poll(bucket, second.requestToken!)).toMatchObject({ status: "failed", code: "already_exists" });
    const remove = step(
      "cloudcontrol",
      "DeleteResource",
      { TypeName: "AWS::S3::Bucket", Identifier: "mine" },
      { kind: "delete" },
    );
    await writer.send(remove, op("op-3"));
    expect(await (await reader()).resource("AWS::S3::Bucket", "mine")).toBeNull();
    expect(await codeOf(writer.poll(remove, "request-none"))).toBe("not_found");
  });
});

describe("its CloudTrail", () => {
  const lookUp = (world: World, name: string) => {
    const input = { LookupAttributes: [{ AttributeKey: "ResourceName", AttributeValue: name }] };
    const { output } = stepWorld(world, {
      service: "cloudtrail",
      operation: "LookupEvents",
      region: "us-east-1",
      input,
    }) as {
      output: { Events: { EventName: string; CloudTrailEvent: string }[] };
    };
    return output.Events.map(({ EventName, CloudTrailEvent }) => [EventName, JSON.parse(CloudTrailEvent)] as const);
  };
  it("keeps what changed something, newest first, by whom; no reads, no refusals, no dry runs, no user data", async () => {
    const box = sandbox();
    await outsider(box.store, clock).allow(PROD, 22, "10.0.0.0/8", "dana");
    await outsider(box.store, clock).terminate([API[0]!]);
    const run = { ImageId: "ami-0cc00000000000001", MinCount: 1, MaxCount: 1, UserData: "c2VjcmV0" };
    const { identifiers } = await box.writer.send(step("ec2", "RunInstances", run), op("op-1"));
    await codeOf(box.writer.send(allow(22, "10.0.0.0/8"), op("op-2")));
    await (await box.reader()).preflight(allow(23, "10.0.0.0/8"));
    const world = (await box.store.load())!;
    const [[name, record], ...more] = lookUp(world, PROD) as [[string, Record<string, unknown>]];
    expect(more).toEqual([]);
    expect([name, record.eventTime]).toEqual(["AuthorizeSecurityGroupIngress", "2026-11-21T10:00:00Z"]);
    expect(JSON.stringify(record.userIdentity)).toContain("assumed-role/NetworkEngineer/dana");
    expect(lookUp(world, API[0]!).map(([each]) => each)).toEqual(["TerminateInstances"]);
    expect(lookUp(world, identifiers[0]!).map(([each]) => each)).toEqual(["RunInstances"]);
    expect(JSON.stringify(world)).not.toContain("c2VjcmV0");
    expect(lookUp(seed(new Date(NOW)), PROD)).toEqual([]);
  });
  it("answers by resource name only", () => {
    const input = { LookupAttributes: [{ AttributeKey: "EventName", AttributeValue: "x" }] };
    const asked = { service: "cloudtrail" as const, operation: "LookupEvents", region: "us-east-1", input };
    expect(stepWorld(seed(new Date(NOW)), asked)).toMatchObject({ error: { code: "not_in_sandbox" } });
  });
});

describe("a store", () => {
  it("is loaded and saved exactly once a call, refused or not, and calls follow each other", async () => {
    const inner = memoryStore();
    const events: string[] = [];
    const box = sandbox({
      load: async () => {
        events.push("load");
        return inner.load();
      },
      save: async (world) => {
        events.push("save");
        await inner.save(world);
      },
    });
    await Promise.allSettled([
      box.writer.send(allow(22, "10.0.0.0/8"), op("op-1")),
      box.writer.send(allow(22, "10.0.0.0/8"), op("op-2")),
      box.outsider.call("ec2", "DescribeInstances", { InstanceIds: ["i-none"] }),
    ]);
    expect(events.join(" ")).toMatch(/^(load|save)( (load|save)){5}$/);
    expect(events.filter((event) => event === "load")).toHaveLength(3);
  });
  it("a file is one world for two", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sandbox-"));
    try {
      const path = join(folder, "world.json");
      const ours = sandbox(fileStore(path, clock));
      const other = outsider(fileStore(path, clock), clock);
      await Promise.all([
        ours.writer.send(allow(22, "10.0.0.0/8"), op("op-1")),
        other.allow(PROD, 5432, "10.1.0.0/16"),
      ]);
      const group = await (await ours.reader()).get("AWS::EC2::SecurityGroup", PROD);
      expect(group?.rules.flatMap(({ fromPort }) => fromPort ?? []).sort((a, b) => a - b)).toEqual([22, 443, 5432]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
