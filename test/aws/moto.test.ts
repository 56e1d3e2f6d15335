// The same readers and executor on moto, through the real SDK clients and a proxy that loses answers. What moto is known
// to answer wrongly is not asserted here: see test/emulated/known-wrong.

import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createAws } from "../../src/aws/index.js";
import { Instance } from "../../src/core/content/instances.js";
import { SecurityGroup } from "../../src/core/content/security-groups.js";
import type { Aws, AwsReader, AwsWriter } from "../../src/core/ports.js";
import { BESIDE_DRIFT, whoChanged } from "../../src/gate/who.js";
import { emptyState } from "../../state/fold.js";
import { clientsFor, emulatedEnvironment } from "../emulated/clients.js";
import { type Moto, motoFor } from "../emulated/moto.js";
import { type FaultProxy, startProxy } from "../emulated/proxy.js";
import { allow, clock, codeOf, log, op, step } from "./support.js";

const REGION = "eu-west-1";
const moto: Moto | undefined = await motoFor("src/aws on moto");

describe.skipIf(!moto)("src/aws on moto", () => {
  let proxy: FaultProxy;
  let aws: Aws;
  let reader: AwsReader;
  let writer: AwsWriter;
  let groupId = "";
  let imageId = "";
  let outsider: ReturnType<typeof clientsFor>;

  beforeAll(async () => {
    const { CreateSecurityGroupCommand, DescribeImagesCommand } = await import("@aws-sdk/client-ec2");
    proxy = await startProxy(moto!.endpoint);
    for (const [name, value] of Object.entries(emulatedEnvironment(proxy.endpoint, REGION))) vi.stubEnv(name, value);
    aws = createAws({ env: process.env, version: "0.0.0", clock, log });
    reader = await aws.reader(REGION);
    writer = aws.writer(REGION);
    outsider = clientsFor(moto!.endpoint, { region: REGION });
    const group = await outsider.ec2.send(new CreateSecurityGroupCommand({ GroupName: "web", Description: "web" }));
    groupId = group.GroupId!;
    const images = await outsider.ec2.send(new DescribeImagesCommand({ Owners: ["amazon"] }));
    imageId = images.Images![0]!.ImageId!;
  });
  afterAll(async () => {
    aws.close();
    outsider.close();
    await proxy.stop();
    await moto?.stop();
    vi.unstubAllEnvs();
  });

  const launch = (count = 1) =>
    step(
      "ec2",
      "RunInstances",
      { ImageId: imageId, InstanceType: "t3.micro", MinCount: count, MaxCount: count, SecurityGroupIds: [groupId] },
      { kind: "create", region: REGION },
    );
  const group = () => reader.get("AWS::EC2::SecurityGroup", groupId);
  const ports = async () => (await group())!.rules.flatMap(({ fromPort }) => fromPort ?? []);

  it("has no CloudTrail: who made a change is unknown, with the reason, and nothing fails", async () => {
    const query = { name: groupId, from: "2026-11-21T09:00:00.000Z", to: "2026-11-21T10:00:00.000Z", global: false };
    // Past the proxy, which names the emulator's gaps: moto's own answer is an HTML page under status 500.
    for (const endpoint of [moto!.endpoint, proxy.endpoint]) {
      vi.stubEnv("AWS_ENDPOINT_URL", endpoint);
      const own = createAws({ env: process.env, version: "0.0.0", clock, log });
      const here = await own.reader(REGION);
      const code = await codeOf(here.trail(query));
      expect(["aws_unavailable", "aws_rejected"]).toContain(code);
      const ref = { account: here.account, region: REGION, type: "AWS::EC2::SecurityGroup", id: groupId };
      const asked = {
        ref,
        names: [groupId],
        since: query.from,
        changes: [{ path: "/rules/sgr-1", kind: "ADD" as const }],
      };
      const who = whoChanged({ clock: { ...clock, sleep: () => new Promise(() => {}) }, log });
      expect(await who.ask(here, emptyState("s", query.to, "h"), [asked], BESIDE_DRIFT)).toEqual([
        [{ status: "unknown", because: `cloudtrail:LookupEvents not available (${code})` }],
      ]);
      own.close();
    }
    vi.stubEnv("AWS_ENDPOINT_URL", proxy.endpoint);
  });

  it("knows who it is and which regions there are", async () => {
    expect(reader.identity).toMatchObject({ account: "123456789012", credentialSource: "environment variables" });
    expect((await reader.regions()).map(({ region }) => region)).toContain("us-east-1");
  });

  it("reads a group as its schema says, and null for one that is not there", async () => {
    const read = await group();
    SecurityGroup.strict().parse(read);
    expect(read).toMatchObject({ groupId, groupName: "web", rules: [{ direction: "egress", protocol: "-1" }] });
    expect(await reader.get("AWS::EC2::SecurityGroup", "sg-0123456789abcdef0")).toBeNull();
    expect(await reader.get("AWS::EC2::Instance", "i-0123456789abcdef0")).toBeNull();
  });

  it("adds a rule once, and says so the second time", async () => {
    const sent = await writer.send(allow(443, "0.0.0.0/0", groupId), op("op-1"));
    expect(sent.identifiers).toEqual([groupId]);
    expect(await ports()).toEqual([443]);
    expect(await codeOf(writer.send(allow(443, "0.0.0.0/0", groupId), op("op-2")))).toBe("rule_exists");
  });

  it("an answer lost is unknown, and the rule is there all the same", async () => {
    proxy.rule({ operation: "AuthorizeSecurityGroupIngress", dropReply: true });
    expect(await codeOf(writer.send(allow(22, "10.0.0.0/8", groupId), op("op-3")))).toBe("outcome_unknown");
    expect(await ports()).toContain(22);
  });

  it("removes a rule by its id, and says so the second time", async () => {
    const rule = (await group())!.rules.find(({ fromPort }) => fromPort === 22)!;
    const of = { type: "AWS::EC2::SecurityGroup", id: groupId, region: REGION };
    const remove = { GroupId: groupId, SecurityGroupRuleIds: [rule.ruleId] };
    await writer.send(step("ec2", "RevokeSecurityGroupIngress", remove, of), op("op-5"));
    expect(await ports()).toEqual([443]);
    expect(await codeOf(writer.send(step("ec2", "RevokeSecurityGroupIngress", remove, of), op("op-6")))).toBe(
      "not_found",
    );
  });

  it("sets and removes tags", async () => {
    const of = { type: "AWS::EC2::SecurityGroup", id: groupId, region: REGION };
    const Tags = [{ Key: "owner", Value: "x" }];
    await writer.send(step("ec2", "CreateTags", { Resources: [groupId], Tags }, of), op("op-7"));
    expect((await group())!.tags).toEqual({ owner: "x" });
    await writer.send(step("ec2", "DeleteTags", { Resources: [groupId], Tags }, of), op("op-8"));
    expect((await group())!.tags).toEqual({});
  });

  it("a dry run of every EC2 write changes nothing", async () => {
    const before = await group();
    await reader.preflight(allow(5432, "10.0.0.0/8", groupId));
    await reader.preflight(launch(2));
    expect(await group()).toEqual(before);
    expect((await reader.list("AWS::EC2::Instance", {})).items).toEqual([]);
  });

  it("launches under a mark, finds by it, and reads what was launched", async () => {
    const sent = await writer.send(launch(2), op("op-9"));
    expect(sent.identifiers).toHaveLength(2);
    expect(await writer.find(launch(2), op("op-9"))).toEqual([...sent.identifiers].sort());
    const { items } = await reader.list("AWS::EC2::Instance", { ids: sent.identifiers });
    for (const item of items) Instance.strict().parse(item);
    expect(items.map(({ securityGroups }) => securityGroups)).toEqual([[groupId], [groupId]]);
    expect((await reader.groupUsers(groupId)).flatMap(({ instanceId }) => instanceId ?? []).sort()).toEqual(
      [...sent.identifiers].sort(),
    );
    const dependants = (await reader.instances.dependants(items)).get(sent.identifiers[0]!)!;
    expect(dependants).toMatchObject({
      terminationProtection: { known: true, value: false },
      stopProtection: { known: true, value: false },
      elasticIps: { known: true, value: [] },
      autoScaling: { known: true, value: null },
      targetGroups: { known: true, value: { registered: [], notAsked: 0 } },
      instanceStore: { known: true, value: false },
    });
    expect(dependants.volumes.length).toBeGreaterThan(0);
  });

  it("a launch whose answer is lost goes out once, and what it made is found by the mark", async () => {
    proxy.rule({ operation: "RunInstances", dropReply: true });
    expect(await codeOf(writer.send(launch(), op("op-10")))).toBe("outcome_unknown");
    const sent = proxy
      .calls({ operation: "RunInstances" })
      .filter(({ params }) => params.ClientToken === "token-of-op-10");
    expect(sent).toHaveLength(1);
    expect(await writer.find(launch(), op("op-10"))).toHaveLength(1);
  });

  it("pages through instances with AWS's token", async () => {
    const seen: string[] = [];
    let cursor: string | undefined;
    let pages = 0;
    // moto counts reservations: one each.
    for (let n = 0; n < 5; n++) await writer.send(launch(), op(`op-11-${n}`));
    do {
      const page = await reader.list("AWS::EC2::Instance", { limit: 5, ...(cursor && { cursor }) });
      seen.push(...page.items.map(({ instanceId }) => instanceId));
      cursor = page.next;
      pages += 1;
    } while (cursor);
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.length).toBe(8);
    expect(pages).toBeGreaterThan(1);
  });

  it("terminates, and the terminated instance is still told", async () => {
    const [id = ""] = (await writer.find(launch(2), op("op-9")))!;
    const end = step("ec2", "TerminateInstances", { InstanceIds: [id] }, { id, kind: "delete", region: REGION });
    expect((await writer.send(end, op("op-12"))).identifiers).toEqual([id]);
    expect((await reader.get("AWS::EC2::Instance", id))?.state).toBe("terminated");
  });

  it("what moto lacks is AWS being away: the schema comes from the table, and a resource is not absent", async () => {
    expect((await reader.schema("AWS::S3::Bucket")).source).toBe("built-in");
    expect(await codeOf(reader.resource("AWS::S3::Bucket", "x"))).not.toBe("not_found");
  });

  it("what IAM denies is denied, in a dry run too", async () => {
    await moto!.enforceIam();
    try {
      expect(["access_denied", "credentials_invalid"]).toContain(await codeOf(reader.regions()));
      expect(["access_denied", "credentials_invalid"]).toContain(
        await codeOf(reader.preflight(allow(5432, "10.0.0.0/8", groupId))),
      );
    } finally {
      await moto!.reset();
    }
  });
});
