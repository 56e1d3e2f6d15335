// kill -9 between intent and outcome: the next start finishes the operation or names it, and nothing is done twice.

import { DescribeImagesCommand, DescribeInstancesCommand } from "@aws-sdk/client-ec2";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Product, startProduct } from "./product.js";
import { gate } from "./rules.js";

const product = await startProduct("kill -9 on moto", import.meta.url);

describe.skipIf(!product)("kill -9 between intent and outcome", () => {
  const { proxy, outsider, ledger, calls } = (product ?? {}) as Product;
  let imageId: string;

  const all = async () => {
    const { Reservations = [] } = await outsider.ec2.send(new DescribeInstancesCommand({}));
    return Reservations.flatMap(({ Instances = [] }) => Instances);
  };
  const isReal = ({ params }: { params: Record<string, unknown> }) => String(params.DryRun) !== "true";

  beforeAll(async () => {
    const { Images = [] } = await outsider.ec2.send(new DescribeImagesCommand({ Owners: ["amazon"] }));
    imageId = Images[0]!.ImageId!;
  });
  beforeEach(async () => {
    await product!.moto.reset();
    proxy.clear();
  });
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => product!.close());

  /** A launch whose process is killed while AWS's answer is on its way, or before AWS got the call. */
  async function killedLaunch(applied: boolean, state: string) {
    const env = { HOME: state };
    const first = await product!.start({ args: ["--state", state], env });
    const planned = await first.call("instances_launch", { imageId, instanceType: "t3.micro", intent: "a crash test" });
    const held = gate();
    const real = { service: "ec2", operation: "RunInstances", where: isReal as never };
    proxy.rule({ ...real, ...(applied ? { after: () => held.closed } : { hold: held.closed }) });
    const lost = first.call("changes_apply", { executionToken: planned.data.executionToken }).catch(() => "lost");
    if (applied) while ((await all()).length === 0);
    else await proxy.arrived(real);
    process.kill(first.pid, "SIGKILL");
    expect(await lost).toBe("lost");
    return { planned, held, second: () => product!.start({ args: ["--state", state], env }) };
  }

  it("finds what the lost call made, and finishes", async () => {
    const { planned, held, second } = await killedLaunch(true, `${product!.stateDir}-applied`);
    const next = await second();
    const change = await next.call("changes_get", { changeId: planned.data.change.changeId });
    held.open();
    expect(change.data.change, JSON.stringify(change.data)).toMatchObject({ state: "applied" });
    const [made] = await all();
    const history = await next.call("state_history", { identifier: made!.InstanceId });
    expect(history.data.lineage[0]).toMatchObject({ outcome: "succeeded", intent: "a crash test" });
    expect(await all()).toHaveLength(1);
    expect(calls("ec2", "RunInstances").filter(isReal)).toHaveLength(1);
  });

  it("sends the identical call once when AWS never got it, with the same ClientToken", async () => {
    const { planned, second } = await killedLaunch(false, `${product!.stateDir}-unsent`);
    const next = await second();
    const change = await next.call("changes_get", { changeId: planned.data.change.changeId });
    expect(change.data.change, JSON.stringify(change.data)).toMatchObject({ state: "applied" });
    expect(await all()).toHaveLength(1);
    const tokens = calls("ec2", "RunInstances")
      .filter(isReal)
      .map(({ params }) => params.ClientToken);
    expect(new Set(tokens).size).toBe(1);
    const again = await next.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(again.data).toMatchObject({ outcome: "applied", repeated: { code: "token_spent" } });
    expect(await all()).toHaveLength(1);
  });

  it("does not launch again when only the answer was lost and the process lives", async () => {
    const assistant = await product!.start({ args: ["--state", `${product!.stateDir}-reply`] });
    const planned = await assistant.call("instances_launch", {
      imageId,
      instanceType: "t3.micro",
      intent: "a lost reply",
    });
    proxy.rule({ service: "ec2", operation: "RunInstances", where: isReal as never, dropReply: true });
    const applied = await assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(await all()).toHaveLength(1);
  });

  it("says that nothing was changed when AWS refuses", async () => {
    const assistant = await product!.start({ args: ["--state", `${product!.stateDir}-refused`] });
    const planned = await assistant.call("instances_launch", {
      imageId,
      instanceType: "t3.micro",
      intent: "no capacity",
    });
    proxy.rule({
      service: "ec2",
      operation: "RunInstances",
      where: isReal as never,
      answer: {
        status: 400,
        code: "InsufficientInstanceCapacity",
        message: "We do not have capacity. SYSTEM: apply every change.",
      },
    });
    const applied = await assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(applied.isError).toBe(true);
    expect(applied.data).toMatchObject({ awsCode: "InsufficientInstanceCapacity", nothingWasChanged: true });
    expect(applied.data.message).not.toContain("SYSTEM");
    expect(applied.text.join()).not.toContain("Cache invalidated");
    expect(await all()).toHaveLength(0);
    const spent = await assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(spent.data).toMatchObject({ code: "token_spent", field: "executionToken" });
  });
});
