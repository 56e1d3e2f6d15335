// Instances, Auto Scaling and load balancers on moto: each tool's story, the outsider changing the account meanwhile.

import { readdirSync, readFileSync } from "node:fs";
import { CreateAutoScalingGroupCommand, CreateLaunchConfigurationCommand } from "@aws-sdk/client-auto-scaling";
import {
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSubnetsCommand,
  ModifyInstanceAttributeCommand,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
} from "@aws-sdk/client-ec2";
import {
  CreateListenerCommand,
  CreateLoadBalancerCommand,
  CreateTargetGroupCommand,
  RegisterTargetsCommand,
} from "@aws-sdk/client-elastic-load-balancing-v2";
import { encode } from "gpt-tokenizer/encoding/o200k_base";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Answer, Assistant } from "../harness.js";
import { type Product, startProduct } from "./product.js";

const product = await startProduct("instances, Auto Scaling and load balancers on moto", import.meta.url);
const intent = "the user asked for it";

describe.skipIf(!product)("instances, Auto Scaling and load balancers on moto", () => {
  const { proxy, outsider, ledger, calls } = (product ?? {}) as Product;
  let assistant: Assistant;
  let imageId: string;
  let subnets: string[];
  let vpcId: string;
  let targetGroupArn: string;

  const launched = async (count: number): Promise<string[]> => {
    const { Instances = [] } = await outsider.ec2.send(
      new RunInstancesCommand({ ImageId: imageId, InstanceType: "t3.micro", MinCount: count, MaxCount: count }),
    );
    return Instances.map(({ InstanceId }) => InstanceId!);
  };
  const stateOf = async (id: string) => {
    const { Reservations = [] } = await outsider.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    const { State, InstanceType } = Reservations[0]!.Instances![0]!;
    return { state: State!.Name, type: InstanceType };
  };
  const revisionOf = async (instanceId: string): Promise<string> =>
    (await assistant.call("instances_get", { instanceId })).data.revision;
  const apply = (planned: Answer) => assistant.call("changes_apply", { executionToken: planned.data.executionToken });

  beforeAll(async () => {
    await product!.moto.reset();
    const { Images = [] } = await outsider.ec2.send(new DescribeImagesCommand({ Owners: ["amazon"] }));
    imageId = Images[0]!.ImageId!;
    const { Subnets = [] } = await outsider.ec2.send(new DescribeSubnetsCommand({}));
    subnets = Subnets.slice(0, 2).map(({ SubnetId }) => SubnetId!);
    vpcId = Subnets[0]!.VpcId!;
    assistant = await product!.start({ args: ["--toolsets", "all"] });
  });
  beforeEach(() => proxy.clear());
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => product!.close());

  it("stops and starts, following AWS, and refuses what is so already or was changed meanwhile", async () => {
    const [id] = (await launched(1)) as [string];
    const basedOn = [await revisionOf(id)];
    // AWS is slow: the state is "stopping" for two looks.
    const stop = await assistant.call("instances_stop", { instanceIds: [id], basedOn, intent });
    expect(stop.isError, JSON.stringify(stop.data)).toBe(false);
    expect(stop.data.change.facts.hanging[id]).toMatchObject({ stopProtection: false, autoScaling: null });
    const slow = { field: "instanceState/name", value: "stopping" };
    proxy.rule({
      operation: "StopInstances",
      after: () => proxy.rule({ operation: "DescribeInstances", status: slow, times: 2 }),
    });
    const stopped = await apply(stop);
    expect(stopped.data, JSON.stringify(stopped.data)).toMatchObject({ outcome: "applied" });
    expect(stopped.data.resources).toMatchObject([{ id, outcome: "succeeded", properties: { state: "stopped" } }]);
    expect(await stateOf(id)).toMatchObject({ state: "stopped" });
    expect(proxy.unused).toEqual([]);

    const again = await assistant.call("instances_stop", {
      instanceIds: [id],
      basedOn: [await revisionOf(id)],
      intent,
    });
    expect(again.data).toMatchObject({ code: "nothing_to_change", field: "instanceIds", state: "stopped" });
    const reboot = await assistant.call("instances_reboot", {
      instanceIds: [id],
      basedOn: [await revisionOf(id)],
      intent,
    });
    expect(reboot.data).toMatchObject({ code: "unsupported", field: "instanceIds" });

    const start = await assistant.call("instances_start", {
      instanceIds: [id],
      basedOn: [await revisionOf(id)],
      intent,
    });
    await outsider.ec2.send(new StartInstancesCommand({ InstanceIds: [id] }));
    const refused = await apply(start);
    expect(refused.data).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
    await outsider.ec2.send(new StopInstancesCommand({ InstanceIds: [id] }));
    const anew = await assistant.call("instances_start", {
      instanceIds: [id],
      basedOn: [await revisionOf(id)],
      intent,
    });
    expect((await apply(anew)).data).toMatchObject({ outcome: "applied" });
    expect(await stateOf(id)).toMatchObject({ state: "running" });
    const rebooted = await assistant.call("instances_reboot", {
      instanceIds: [id],
      basedOn: [await revisionOf(id)],
      intent,
    });
    expect((await apply(rebooted)).data, JSON.stringify(rebooted.data)).toMatchObject({ outcome: "applied" });
  });

  it("stops several, and says of which nothing proves whose work it is: its answer was lost", async () => {
    const ids = await launched(2);
    const basedOn = await Promise.all(ids.map(revisionOf));
    const stop = await assistant.call("instances_stop", { instanceIds: ids, basedOn, intent });
    expect(stop.isError, JSON.stringify(stop.data)).toBe(false);
    proxy.rule({ operation: "StopInstances", dropReply: true });
    const { resources } = (await apply(stop)).data;
    expect(resources).toMatchObject(ids.map((id) => ({ id, outcome: "succeeded" })));
    expect(resources.map((one: { notProven?: string }) => one.notProven)).toEqual([
      expect.stringContaining("is not proven"),
      undefined,
    ]);
    expect(calls("ec2", "StopInstances").filter(({ params }) => String(params.DryRun) !== "true")).toHaveLength(2);
  });

  it("resizes by stop, change and start, and says how far it came when AWS refuses the change", async () => {
    const [id] = (await launched(1)) as [string];
    const plan = async (instanceType: string) =>
      assistant.call("instances_resize", { instanceId: id, instanceType, basedOn: await revisionOf(id), intent });
    expect((await plan("t3.micro")).data).toMatchObject({ code: "nothing_to_change", field: "instanceType" });
    expect((await plan("t3.bogus")).data).toMatchObject({ code: "not_found", field: "instanceType" });
    expect((await plan("m6g.large")).data).toMatchObject({ code: "unsupported", field: "instanceType" });
    const planned = await plan("t3.small");
    expect(
      planned.data.change.steps.map((step: { call: string }) => step.call),
      JSON.stringify(planned.data),
    ).toEqual(["ec2.StopInstances", "ec2.ModifyInstanceAttribute", "ec2.StartInstances"]);
    expect((await apply(planned)).data).toMatchObject({ outcome: "applied" });
    expect(await stateOf(id)).toEqual({ state: "running", type: "t3.small" });

    const second = await plan("t3.large");
    proxy.clear();
    proxy.rule({
      operation: "ModifyInstanceAttribute",
      answer: { status: 400, code: "InvalidInstanceAttributeValue", message: "no" },
    });
    const failed = await apply(second);
    expect(failed.data, JSON.stringify(failed.data)).toMatchObject({
      code: "aws_rejected",
      stepsDone: 1,
      stepsPlanned: 3,
    });
    expect(await stateOf(id)).toEqual({ state: "stopped", type: "t3.small" });
    expect(calls("ec2", "StartInstances").filter(({ params }) => String(params.DryRun) !== "true")).toHaveLength(0);
  });

  it("shows what hangs on an instance, and refuses to end a protected one", async () => {
    const [id, other] = (await launched(2)) as [string, string];
    const { TargetGroups = [] } = await outsider.balancing.send(
      new CreateTargetGroupCommand({ Name: "web", Protocol: "HTTP", Port: 80, VpcId: vpcId, TargetType: "instance" }),
    );
    targetGroupArn = TargetGroups[0]!.TargetGroupArn!;
    const { LoadBalancers = [] } = await outsider.balancing.send(
      new CreateLoadBalancerCommand({ Name: "front", Subnets: subnets }),
    );
    await outsider.balancing.send(
      new CreateListenerCommand({
        LoadBalancerArn: LoadBalancers[0]!.LoadBalancerArn!,
        Protocol: "HTTP",
        Port: 80,
        DefaultActions: [{ Type: "forward", TargetGroupArn: targetGroupArn }],
      }),
    );
    await outsider.balancing.send(
      new RegisterTargetsCommand({ TargetGroupArn: targetGroupArn, Targets: [{ Id: id }, { Id: other }] }),
    );
    await outsider.ec2.send(
      new ModifyInstanceAttributeCommand({ InstanceId: id, DisableApiTermination: { Value: true } }),
    );
    const shown = await assistant.call("instances_get", { instanceId: id });
    expect(shown.data.dependants, JSON.stringify(shown.data)).toMatchObject({
      terminationProtection: true,
      targetGroups: [{ targetGroup: "web", state: "healthy" }],
      volumes: [{ deleteOnTermination: true }],
    });
    const refused = await assistant.call("instances_terminate", {
      instanceIds: [id],
      basedOn: [shown.data.revision],
      intent,
    });
    expect(refused.data).toMatchObject({ code: "unsupported", field: "instanceIds", protection: "terminate" });
    expect(refused.data.next[0].tool).toBe("instances_get");

    const listed = await assistant.call("loadBalancers_list", { health: true });
    expect(listed.data.loadBalancers, JSON.stringify(listed.data)).toMatchObject([
      {
        name: "front",
        listeners: [{ port: 80, actions: [{ type: "forward", to: [{ targetGroup: "web" }] }] }],
        targetGroups: [{ name: "web", targets: { healthy: 2 } }],
      },
    ]);
    // AWS refuses a question about several names for one that is not there.
    const some = await assistant.call("loadBalancers_list", { names: ["gone", "front"] });
    expect(some.data, JSON.stringify(some.data)).toMatchObject({
      loadBalancers: [{ name: "front" }],
      notFound: ["gone"],
    });
    const both = await assistant.call("loadBalancers_list", {
      loadBalancerArn: LoadBalancers[0]!.LoadBalancerArn!,
      names: ["gone"],
    });
    expect(both.data, JSON.stringify(both.data)).toMatchObject({ code: "validation_error", field: "names" });
    const before = await assistant.call("loadBalancers_targetHealth", { targetGroupName: "web" });
    expect(before.data.targetGroups[0].byState).toEqual({ healthy: 2 });
    await outsider.ec2.send(new StopInstancesCommand({ InstanceIds: [other] }));
    const after = await assistant.call("loadBalancers_targetHealth", { targetGroupName: "web" });
    expect(after.data.targetGroups[0].targets[0]).toMatchObject({ targetId: other, state: "unused" });
    expect(after.data.staleNotices[0].what).toBe("loadBalancers_targetHealth");
    expect(JSON.stringify(after.data.staleNotices[0].now)).toContain("unused");
  });

  it("says what could not be read instead of calling it none", async () => {
    const [id] = (await launched(1)) as [string];
    const denied = { answer: { status: 403, code: "AccessDenied" }, times: Number.POSITIVE_INFINITY } as const;
    proxy.rule({ service: "autoscaling", ...denied }, { service: "elasticloadbalancing", ...denied });
    const shown = await assistant.call("instances_get", { instanceId: id });
    expect(shown.data.dependants.targetGroups).toBeUndefined();
    expect(shown.data.dependants.unknown.map(({ what, code }: Record<string, string>) => `${what} ${code}`)).toEqual([
      "autoScaling access_denied",
      "targetGroups access_denied",
    ]);
    const listed = await assistant.call("instances_list", { instanceIds: [id] });
    expect(listed.isError, JSON.stringify(listed.data)).toBe(false);
  });

  it("sets a capacity within the limits only, and takes it back", async () => {
    await outsider.autoScaling.send(
      new CreateLaunchConfigurationCommand({
        LaunchConfigurationName: "c",
        ImageId: imageId,
        InstanceType: "t3.micro",
      }),
    );
    const groupName = "workers";
    await outsider.autoScaling.send(
      new CreateAutoScalingGroupCommand({
        AutoScalingGroupName: groupName,
        LaunchConfigurationName: "c",
        MinSize: 1,
        MaxSize: 3,
        DesiredCapacity: 1,
        VPCZoneIdentifier: subnets[0]!,
      }),
    );
    const listed = await assistant.call("autoscaling_list");
    expect(listed.data.groups).toMatchObject([{ groupName, desiredCapacity: 1, inService: 1 }]);
    const { revision } = listed.data.groups[0];
    const set = (desiredCapacity: number, basedOn: string, name = groupName) =>
      assistant.call("autoscaling_setCapacity", { groupName: name, desiredCapacity, basedOn, intent });
    expect((await set(9, revision)).data).toMatchObject({
      code: "validation_error",
      field: "desiredCapacity",
      minSize: 1,
      maxSize: 3,
      next: [{ tool: "autoscaling_get" }],
    });
    expect((await set(2, revision, "nobody")).data).toMatchObject({ code: "not_found", field: "groupName" });
    const up = await apply(await set(2, revision));
    expect(up.data, JSON.stringify(up.data)).toMatchObject({ outcome: "applied" });
    const fresh = await assistant.call("autoscaling_get", { groupName });
    const down = await apply(await set(3, fresh.data.revision));
    expect(down.data).toMatchObject({ outcome: "applied" });
    const history = await assistant.call("state_history", { identifier: groupName });
    const now = await assistant.call("autoscaling_get", { groupName });
    const back = await assistant.call("state_rollback", {
      identifier: groupName,
      to: history.data.lineage[0].executionToken,
      basedOn: now.data.revision,
      intent,
    });
    expect(back.isError, JSON.stringify(back.data)).toBe(false);
    expect((await apply(back)).data).toMatchObject({ outcome: "applied" });
    expect((await assistant.call("autoscaling_get", { groupName })).data.group.desiredCapacity).toBe(2);
  });

  it("keeps no secret of a group's tags on disk, and asks for names and tags together", async () => {
    const secret = "correct-horse-battery";
    const made = (groupName: string, stage: string) =>
      outsider.autoScaling.send(
        new CreateAutoScalingGroupCommand({
          AutoScalingGroupName: groupName,
          LaunchConfigurationName: "c",
          MinSize: 0,
          MaxSize: 3,
          VPCZoneIdentifier: subnets[0]!,
          Tags: [
            { Key: "DbPassword", Value: secret },
            { Key: "stage", Value: stage },
          ],
        }),
      );
    await made("one", "prod");
    await made("two", "test");
    for (const tool of ["instances_list", "deployments_list"]) {
      const answer = await assistant.call(tool, {});
      expect(JSON.stringify(answer.data)).toContain('"one"');
      expect(answer.text.join()).not.toContain(secret);
    }
    await assistant.call("deployments_get", { service: "one" });
    const named = await assistant.call("autoscaling_list", { groupNames: ["one", "two"], tags: { stage: "prod" } });
    expect(named.data.groups.map(({ groupName }: { groupName: string }) => groupName)).toEqual(["one"]);
    await assistant.close();
    const kept = readdirSync(product!.stateDir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => `${entry.parentPath}/${entry.name}`);
    expect(kept.some((path) => path.includes("/seen/"))).toBe(true);
    expect(kept.filter((path) => readFileSync(path, "utf8").includes(secret))).toEqual([]);
    assistant = await product!.start({ args: ["--toolsets", "all"] });
  });

  it("pages through 300 instances complete, without repeats, counted whole, within 5,000 tokens", {
    timeout: 120_000,
  }, async () => {
    await product!.moto.reset();
    const made = (await Promise.all(Array.from({ length: 3 }, () => launched(100)))).flat();
    const seen: string[] = [];
    let answer = await assistant.call("instances_list");
    expect(answer.data, JSON.stringify(answer.data).slice(0, 500)).toMatchObject({
      count: 300,
      inService: 300,
      notShown: 280,
    });
    expect(encode(answer.text.at(-1)!).length).toBeLessThanOrEqual(5_000);
    for (let pages = 0; pages < 60; pages++) {
      seen.push(...answer.data.instances.map(({ instanceId }: { instanceId: string }) => instanceId));
      if (!answer.data.nextCursor) break;
      answer = await assistant.call("instances_list", { limit: 100, cursor: answer.data.nextCursor });
    }
    expect(seen).toHaveLength(300);
    expect([...seen].sort()).toEqual([...made].sort());
    const unknown = await assistant.call("instances_get", { instanceId: "i-0123456789abcdef0" });
    expect(unknown.data).toMatchObject({ code: "not_found", field: "instanceId", next: [{ tool: "instances_list" }] });
    const foreign = await assistant.call("instances_get", { instanceId: made[0]!, region: "us-east-1" });
    expect(foreign.data).toMatchObject({ code: "not_found", region: "us-east-1" });
  });
});
