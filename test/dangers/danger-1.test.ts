// Danger 1, a stale instance count, on moto with scaling activities scripted: the story as it is told, then random
// variations of it. The oracle knows nothing of the server: it counts what moto holds.

import {
  CreateAutoScalingGroupCommand,
  CreateLaunchConfigurationCommand,
  DescribeAutoScalingGroupsCommand,
  SetDesiredCapacityCommand,
  TerminateInstanceInAutoScalingGroupCommand,
} from "@aws-sdk/client-auto-scaling";
import { DescribeImagesCommand, DescribeSubnetsCommand } from "@aws-sdk/client-ec2";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Product, startProduct } from "../emulated/product.js";
import { type Activity, scaledIn, scriptedActivities } from "../emulated/scripted-activities.js";
import type { Assistant } from "../harness.js";
import { playAll, type Random } from "./variations.js";

const product = await startProduct("danger 1 on moto, activities scripted", import.meta.url);

describe.skipIf(!product)("danger 1 on moto, activities scripted", () => {
  const { proxy, outsider, ledger } = (product ?? {}) as Product;
  let assistant: Assistant;
  let subnet: string;
  let made = 0;
  const happened: Activity[] = [];

  async function group(size: number): Promise<string> {
    const AutoScalingGroupName = `api-${++made}`;
    await outsider.autoScaling.send(
      new CreateAutoScalingGroupCommand({
        AutoScalingGroupName,
        LaunchConfigurationName: "config",
        MinSize: 0,
        MaxSize: 10,
        DesiredCapacity: size,
        VPCZoneIdentifier: subnet,
      }),
    );
    return AutoScalingGroupName;
  }
  const live = async (name: string) => {
    const { AutoScalingGroups = [] } = await outsider.autoScaling.send(
      new DescribeAutoScalingGroupsCommand({ AutoScalingGroupNames: [name] }),
    );
    const { Instances = [], DesiredCapacity = 0 } = AutoScalingGroups[0]!;
    return { ids: Instances.map(({ InstanceId }) => InstanceId!).sort(), desired: DesiredCapacity };
  };
  async function scaleIn(name: string, ids: readonly string[]): Promise<void> {
    for (const InstanceId of ids) {
      await outsider.autoScaling.send(
        new TerminateInstanceInAutoScalingGroupCommand({ InstanceId, ShouldDecrementDesiredCapacity: true }),
      );
      happened.push(scaledIn(name, InstanceId, new Date()));
    }
  }

  async function anew(): Promise<void> {
    await assistant?.close();
    await product!.moto.reset();
    const { Images = [] } = await outsider.ec2.send(new DescribeImagesCommand({ Owners: ["amazon"] }));
    subnet = (await outsider.ec2.send(new DescribeSubnetsCommand({}))).Subnets![0]!.SubnetId!;
    await outsider.autoScaling.send(
      new CreateLaunchConfigurationCommand({
        LaunchConfigurationName: "config",
        ImageId: Images[0]!.ImageId!,
        InstanceType: "t3.micro",
      }),
    );
    assistant = await product!.start();
    script();
  }
  function script(): void {
    proxy.clear();
    happened.length = 0;
    proxy.rule(scriptedActivities(happened));
  }

  beforeAll(anew);
  beforeEach(script);
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => product!.close());

  it("answers 2 in service and why, where the assistant had seen 4", async () => {
    const name = await group(4);
    const before = (await live(name)).ids;
    const seen = await assistant.call("instances_list", { autoScalingGroup: name });
    expect(seen.data, JSON.stringify(seen.data)).toMatchObject({ count: 4, inService: 4 });
    expect(seen.data.groups).toMatchObject([{ groupName: name, desiredCapacity: 4, inService: 4 }]);
    expect(seen.data.scaled).toBeUndefined();

    const gone = before.slice(2);
    await scaleIn(name, gone);

    // "We're expecting a traffic spike. Do we need to scale up?"
    const now = await assistant.call("instances_list", { autoScalingGroup: name });
    expect(now.data).toMatchObject({ count: 2, inService: 2 });
    expect(now.data.staleNotices[0]).toMatchObject({ youSaw: { count: 4 }, now: { count: 2 } });
    expect([...now.data.staleNotices[0].now.gone].sort()).toEqual(gone);
    expect(now.data.scaled.groups).toMatchObject([
      { groupName: name, youSaw: { inService: 4 }, now: { inService: 2, desiredCapacity: 2 }, gone },
    ]);
    const { activities } = now.data.scaled;
    expect(activities.map((one: Row) => one.instanceIds[0]).sort()).toEqual(gone);
    expect(activities[0].cause).toContain("a monitor alarm low-cpu");

    const why = await assistant.call("autoscaling_activities", { instanceId: gone[0] });
    expect(why.data).toMatchObject({ count: 1, activities: [{ groupName: name, instanceIds: [gone[0]] }] });

    // From what it saw first, the capacity cannot be set.
    const revision = seen.data.groups[0].revision;
    const planned = { groupName: name, desiredCapacity: 6, intent: "a traffic spike is expected" };
    const stale = await assistant.call("autoscaling_setCapacity", { ...planned, basedOn: revision });
    expect(stale.data, JSON.stringify(stale.data)).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
    const fresh = await assistant.call("autoscaling_get", { groupName: name });
    expect(fresh.data.activities).toHaveLength(2);
    const plan = await assistant.call("autoscaling_setCapacity", { ...planned, basedOn: fresh.data.revision });
    expect(plan.isError, JSON.stringify(plan.data)).toBe(false);
    const applied = await assistant.call("changes_apply", { executionToken: plan.data.executionToken });
    expect(applied.data, JSON.stringify(applied.data)).toMatchObject({ outcome: "applied" });
    expect((await live(name)).desired).toBe(6);
  });

  it("gives no wrong answer in any variation", { timeout: 3_600_000 }, async () => {
    expect(await playAll("danger 1", play, anew)).toEqual([]);
  });

  interface Row {
    readonly instanceIds: readonly string[];
  }

  /** The assistant looks, Auto Scaling acts once or twice, the assistant is asked: what is wrong with its answer, or null. */
  async function play(random: Random): Promise<string | null> {
    const name = await group(1 + random.below(5));
    const ask = async () => (await assistant.call("instances_list", { autoScalingGroup: name })).data;
    let shown = await live(name);
    await ask();
    for (let turn = 0; turn <= random.below(2); turn++) {
      happened.length = 0;
      const gone = random.some(shown.ids);
      await scaleIn(name, gone);
      if (random.chance(0.3)) {
        await outsider.autoScaling.send(
          new SetDesiredCapacityCommand({ AutoScalingGroupName: name, DesiredCapacity: random.below(7) }),
        );
      }
      if (random.chance(0.5)) await assistant.call("regions_list");
      const now = await live(name);
      const answer = await ask();
      const facts = JSON.stringify({ answer, now, shown });
      if (answer.count !== now.ids.length || answer.inService !== now.ids.length) return `wrong count: ${facts}`;
      const row = answer.groups?.[0] ?? { inService: 0, desiredCapacity: now.desired };
      if (row.inService !== now.ids.length || row.desiredCapacity !== now.desired) return `wrong group: ${facts}`;
      const lost = shown.ids.filter((id) => !now.ids.includes(id));
      const came = now.ids.filter((id) => !shown.ids.includes(id));
      const moved = lost.length + came.length > 0;
      if (moved && !answer.staleNotices) return `no notice: ${facts}`;
      const told = answer.scaled?.groups?.[0];
      if (moved && (String(told?.gone) !== String(lost) || String(told?.came) !== String(came))) {
        return `what scaled is told wrongly: ${facts}`;
      }
      const causes: Row[] = answer.scaled?.activities ?? [];
      const named = causes.flatMap(({ instanceIds }) => instanceIds);
      const due = happened.flatMap(({ description }) => description.split(": ")[1]!);
      if (due.slice(0, 5).some((id) => due.length <= 5 && !named.includes(id))) return `a cause is missing: ${facts}`;
      if (named.some((id) => !due.includes(id))) return `a cause is made up: ${facts}`;
      shown = now;
    }
    await outsider.autoScaling.send(new SetDesiredCapacityCommand({ AutoScalingGroupName: name, DesiredCapacity: 0 }));
    return null;
  }
});
