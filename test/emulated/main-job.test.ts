// The main job on moto, through a real client and a real server process: launch, change, be refused, re-plan, remember.

import {
  AuthorizeSecurityGroupIngressCommand,
  CreateSecurityGroupCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSecurityGroupsCommand,
  DescribeVpcsCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { CORRELATION } from "../../src/render.js";
import type { Assistant } from "../harness.js";
import { type Product, startProduct } from "./product.js";

const product = await startProduct("the main job on moto", import.meta.url);

describe.skipIf(!product)("the main job on moto", () => {
  const { proxy, outsider, ledger, calls } = (product ?? {}) as Product;
  let assistant: Assistant;
  let imageId: string;
  let groupId: string;

  const running = async () => {
    const { Reservations = [] } = await outsider.ec2.send(new DescribeInstancesCommand({}));
    return Reservations.flatMap(({ Instances = [] }) => Instances).filter(
      (instance) => instance.State?.Name === "running" || instance.State?.Name === "pending",
    );
  };
  const allow = (port: number, cidr: string) =>
    outsider.ec2.send(
      new AuthorizeSecurityGroupIngressCommand({
        GroupId: groupId,
        IpPermissions: [{ IpProtocol: "tcp", FromPort: port, ToPort: port, IpRanges: [{ CidrIp: cidr }] }],
      }),
    );
  const livePorts = async () => {
    const { SecurityGroups = [] } = await outsider.ec2.send(new DescribeSecurityGroupsCommand({ GroupIds: [groupId] }));
    return SecurityGroups[0]!.IpPermissions!.map((permission) => permission.FromPort);
  };

  beforeAll(async () => {
    await product!.moto.reset();
    const { Images = [] } = await outsider.ec2.send(new DescribeImagesCommand({ Owners: ["amazon"] }));
    imageId = Images[0]!.ImageId!;
    const { Vpcs = [] } = await outsider.ec2.send(new DescribeVpcsCommand({}));
    const created = await outsider.ec2.send(
      new CreateSecurityGroupCommand({ GroupName: "prod", Description: "production", VpcId: Vpcs[0]!.VpcId! }),
    );
    groupId = created.GroupId!;
    await allow(443, "0.0.0.0/0");
    assistant = await product!.start();
  });
  beforeEach(() => proxy.clear());
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => product!.close());

  it("says who it is, where, and lists the regions", async () => {
    const who = await assistant.call("session_whoami");
    expect(who.isError, JSON.stringify(who.data)).toBe(false);
    expect(who.data).toMatchObject({
      account: "123456789012",
      region: "eu-west-1",
      mode: "writes allowed",
    });
    expect(Date.parse(who.data.asOf)).not.toBeNaN();
    const regions = await assistant.call("regions_list");
    expect(regions.data.regions.map((row: { region: string }) => row.region)).toContain("eu-west-1");
  });

  it("tells AWS which call each request belongs to, also of calls at the same time", async () => {
    const [groups, instances] = await Promise.all([
      assistant.call("securityGroups_list"),
      assistant.call("instances_list"),
    ]);
    const idsOf = (operation: string) => new Set(calls("ec2", operation).map(({ call }) => call));
    expect(idsOf("DescribeSecurityGroups")).toEqual(new Set([groups.meta[CORRELATION]]));
    expect(idsOf("DescribeInstances")).toEqual(new Set([instances.meta[CORRELATION]]));
    expect(groups.meta[CORRELATION]).not.toBe(instances.meta[CORRELATION]);
  });

  it("launches by plan and token, with one ClientToken and the intent on disk before the call", async () => {
    const planned = await assistant.call("instances_launch", {
      imageId,
      instanceType: "t3.micro",
      count: 2,
      name: "api",
      securityGroupIds: [groupId],
      intent: "two API servers for the launch",
    });
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    expect(calls("ec2", "RunInstances").every(({ params }) => String(params.DryRun) === "true")).toBe(true);
    expect(await running()).toHaveLength(0);
    const applied = await assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(applied.isError, JSON.stringify(applied.data)).toBe(false);
    expect(applied.text[0]).toBe(
      "[System: Cache invalidated for instances_*, autoscaling_*, costs_* — caused by instances_launch]",
    );
    expect(applied.data.stateSync).toMatchObject({
      patterns: ["instances.*", "autoscaling.*", "costs.*"],
      outcome: "applied",
    });
    expect(applied.data.outcome).toBe("applied");
    expect(applied.data.resources).toHaveLength(2);
    expect(await running()).toHaveLength(2);
    const listed = await assistant.call("instances_list");
    expect(listed.data).toMatchObject({ count: 2 });
    expect(listed.data.instances[0]).toMatchObject({
      name: "api",
      instanceType: "t3.micro",
      securityGroups: [groupId],
    });
  });

  it("answers a repeated token with the recorded outcome and sends nothing", async () => {
    const history = await assistant.call("state_history", { identifier: (await running())[0]!.InstanceId });
    const token = history.data.lineage[0].executionToken;
    const again = await assistant.call("changes_apply", { executionToken: token });
    expect(again.data).toMatchObject({
      outcome: "applied",
      repeated: { code: "token_spent", field: "executionToken" },
    });
    expect(again.data.stateSync).toBeUndefined();
    expect(calls("ec2", "RunInstances")).toHaveLength(0);
  });

  it("refuses an apply when an outside rule came between, names it, and applies the new plan", async () => {
    const rule = { protocol: "tcp", fromPort: 8443, peer: "10.0.0.0/8" };
    const first = await assistant.call("securityGroups_addRule", {
      groupId,
      rule: { protocol: "tcp", fromPort: 20, toPort: 30, peer: "10.0.0.0/8" },
      intent: "admin port for the office",
    });
    expect(first.isError, JSON.stringify(first.data)).toBe(false);
    await allow(22, "10.0.0.0/8");
    const refused = await assistant.call("changes_apply", { executionToken: first.data.executionToken });
    expect(refused.isError).toBe(true);
    expect(refused.data).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
    expect(refused.data.message).toContain("tcp/22 from 10.0.0.0/8");
    expect(refused.data.changed[0].now).toMatchObject({ fromPort: 22, peer: "10.0.0.0/8" });
    expect(refused.text.join()).not.toContain("Cache invalidated");
    expect(await livePorts()).not.toContain(20);
    expect(
      calls("ec2", "AuthorizeSecurityGroupIngress").filter(({ params }) => String(params.DryRun) !== "true"),
    ).toHaveLength(0);

    const second = await assistant.call("securityGroups_addRule", {
      groupId,
      rule,
      intent: "admin port for the office",
    });
    const applied = await assistant.call("changes_apply", { executionToken: second.data.executionToken });
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect((await livePorts()).sort()).toEqual([22, 443, 8443]);
  });

  it("keeps port 22 when a stale rule set is sent, whatever the revision", async () => {
    const seen = await assistant.call("securityGroups_get", { groupId });
    await allow(5432, "10.1.0.0/16");
    const update = (basedOn?: string) =>
      assistant.call("tools_run", {
        tool: "securityGroups.update",
        arguments: {
          groupId,
          rules: [{ fromPort: 443, peer: "0.0.0.0/0" }],
          intent: "clean up the group",
          ...(basedOn === undefined ? {} : { basedOn }),
        },
      });
    const stale = await update(seen.data.revision);
    expect(stale.data).toMatchObject({ code: "stale_revision", field: "basedOn" });
    expect(stale.data.message).toContain("tcp/5432 from 10.1.0.0/16");
    expect(stale.data.next[0]).toEqual({ tool: "securityGroups_get", arguments: { groupId, region: "eu-west-1" } });
    expect((await update()).data).toMatchObject({ code: "precondition_required", field: "basedOn" });
    expect((await update("")).data).toMatchObject({ code: "precondition_required" });
    expect((await update("r7-deadbeef")).data).toMatchObject({ code: "stale_revision" });
    expect((await livePorts()).sort()).toEqual([22, 443, 5432, 8443]);
    const fresh = await assistant.call("securityGroups_get", { groupId });
    const planned = await update(fresh.data.revision);
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    const applied = await assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(await livePorts()).toEqual([443]);
  });

  it("shows both tokens in the history and rolls back to the first", async () => {
    const history = await assistant.call("state_history", { identifier: groupId });
    const { lineage } = history.data;
    expect(lineage.length).toBeGreaterThanOrEqual(2);
    expect(new Set(lineage.map((entry: { executionToken: string }) => entry.executionToken)).size).toBe(2);
    expect(lineage[0]).toMatchObject({ tool: "securityGroups.addRule", intent: "admin port for the office" });
    const fresh = await assistant.call("securityGroups_get", { groupId });
    const back = await assistant.call("state_rollback", {
      identifier: groupId,
      to: lineage[0].executionToken,
      intent: "the clean-up broke the office",
      basedOn: fresh.data.revision,
    });
    expect(back.isError, JSON.stringify(back.data)).toBe(false);
    const applied = await assistant.call("changes_apply", { executionToken: back.data.executionToken });
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(await livePorts()).toContain(8443);
  });

  it("lists groups without their rules, and does not take that for having seen them", async () => {
    const listed = await assistant.call("securityGroups_list", { groupIds: [groupId] });
    const row = listed.data.securityGroups[0];
    expect(row).toMatchObject({ groupId, openToWorld: ["tcp/443 from 0.0.0.0/0"] });
    expect(row.rules).toBeUndefined();
    const fresh = await product!.start();
    const again = await fresh.call("securityGroups_list", { groupIds: [groupId] });
    const planned = await fresh.call("securityGroups_update", {
      groupId,
      rules: [],
      intent: "remove everything",
      basedOn: again.data.securityGroups[0].revision,
    });
    expect(planned.data, JSON.stringify(planned.data)).toMatchObject({
      code: "precondition_required",
      field: "basedOn",
    });
    await fresh.close();
  });

  it("removes one rule by its id and no other", async () => {
    const seen = await assistant.call("securityGroups_get", { groupId });
    const rule = seen.data.securityGroup.rules.find((one: { fromPort?: number }) => one.fromPort === 8443);
    const planned = await assistant.call("securityGroups_removeRule", {
      groupId,
      ruleId: rule.ruleId,
      intent: "the office has moved",
      basedOn: seen.data.revision,
    });
    await allow(9000, "10.2.0.0/16");
    const applied = await assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(applied.data.notes.join()).toContain("stays");
    expect((await livePorts()).sort()).toEqual([22, 443, 9000]);
  });

  it("finds drift, by whom it cannot say, and calls a port opened to the world critical", async () => {
    await allow(3389, "0.0.0.0/0");
    const drift = await assistant.call("state_drift", { identifier: groupId });
    expect(drift.data.resources[0]).toMatchObject({ status: "MODIFIED", severity: "CRITICAL" });
    expect(JSON.stringify(drift.data.resources[0].differences)).toContain("3389");
  });

  it("tells a client of a count that has changed since it was read", async () => {
    const first = await assistant.call("instances_list");
    expect(first.data.count).toBe(2);
    const [gone] = await running();
    await outsider.ec2.send(new TerminateInstancesCommand({ InstanceIds: [gone!.InstanceId!] }));
    const second = await assistant.call("instances_list");
    expect(second.data.count).toBe(1);
    expect(second.data.staleNotices[0]).toMatchObject({
      what: "instances_list",
      youSaw: { count: 2 },
      now: { count: 1, gone: [gone!.InstanceId] },
    });
    expect(JSON.parse(second.text.at(-1)!).staleNotices).toEqual(second.data.staleNotices);
  });

  it("terminates only what was seen as it is", async () => {
    const [left] = await running();
    const id = left!.InstanceId!;
    const seen = await assistant.call("instances_get", { instanceId: id });
    const planned = await assistant.call("instances_terminate", {
      instanceIds: [id],
      basedOn: [seen.data.revision],
      intent: "the last one of the test",
    });
    expect(planned.data.change.risk.level, JSON.stringify(planned.data)).toBe("high");
    const applied = await assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(await running()).toHaveLength(0);
    const drift = await assistant.call("state_drift", {});
    expect(drift.isError).toBe(false);
  });
});
