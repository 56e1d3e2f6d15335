// What nothing proves waits for a decision, on moto: reboots whose answers were lost, a process later, when their approval has run out.

import { DescribeImagesCommand, RunInstancesCommand } from "@aws-sdk/client-ec2";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Assistant } from "../harness.js";
import { type Product, startProduct } from "./product.js";

const product = await startProduct("parked operations on moto", import.meta.url);

describe.skipIf(!product)("a parked operation on moto", () => {
  const { proxy, outsider, ledger, calls } = (product ?? {}) as Product;
  const LATER = new URL("later.mjs", import.meta.url).href;
  const REBOOT = { service: "ec2", operation: "RebootInstances" };
  const isReal = ({ params }: { params: Readonly<Record<string, unknown>> }) => String(params.DryRun) !== "true";
  let instances: string[];
  let lost: { instanceId: string; changeId: string }[];
  let later: Assistant;

  const resolve = (args: object) =>
    later.call("tools_run", { tool: "changes_resolve", arguments: { reason: "looked in the console", ...args } });
  const reboot = async (on: Assistant, instanceId: string) => {
    const { revision } = (await on.call("instances_get", { instanceId })).data;
    const given = { instanceIds: [instanceId], basedOn: [revision], intent: "a hung agent" };
    return on.call("tools_run", { tool: "instances_reboot", arguments: given });
  };
  const parked = async () => (await later.call("session_whoami")).data.parked ?? [];
  const sent = () => calls(REBOOT.service, REBOOT.operation).filter(isReal).length;

  beforeAll(async () => {
    const { Images = [] } = await outsider.ec2.send(new DescribeImagesCommand({ Owners: ["amazon"] }));
    const { Instances = [] } = await outsider.ec2.send(
      new RunInstancesCommand({ ImageId: Images[0]!.ImageId!, MinCount: 3, MaxCount: 3, InstanceType: "t3.micro" }),
    );
    instances = Instances.map(({ InstanceId }) => InstanceId!);
    const first = await product!.start();
    lost = [];
    for (const instanceId of instances) {
      const planned = await reboot(first, instanceId);
      proxy.rule({ ...REBOOT, where: isReal, dropReply: true });
      const answer = await first.call("changes_apply", { executionToken: planned.data.executionToken });
      expect(answer.data, JSON.stringify([planned.data, answer.data])).toMatchObject({ code: "outcome_unknown" });
      lost.push({ instanceId, changeId: planned.data.change.changeId });
    }
    await first.close();
    later = await product!.start({ env: { NODE_OPTIONS: `--import=${LATER}`, LATER_MINUTES: "20" } });
    // The first call of a process looks after what was left open, and may ask for all that changes may.
    await later.call("changes_get", { changeId: lost[0]!.changeId });
  }, 60_000);
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => product!.close());

  it("is named in every answer about it, and holds its resource", async () => {
    const waiting = await parked();
    expect(waiting.map(({ changeId }: { changeId: string }) => changeId)).toEqual(lost.map(({ changeId }) => changeId));
    const [{ instanceId, changeId }] = lost as [(typeof lost)[number]];
    expect(waiting[0]).toMatchObject({
      rid: expect.stringContaining(instanceId),
      choices: ["import", "clear", "retry"],
      decideWith: { tool: "changes_resolve", arguments: { changeId } },
    });
    const shown = await later.call("instances_get", { instanceId });
    expect(shown.data.parked).toMatchObject([{ changeId }]);
    const refused = await later.call("tools_run", {
      tool: "instances_stop",
      arguments: { instanceIds: [instanceId], basedOn: [shown.data.revision], intent: "stop it instead" },
    });
    expect(refused.data).toMatchObject({ code: "resource_busy", parked: [{ changeId }] });
    expect(sent(), "nobody sends a second reboot").toBe(3);
  });

  it("is imported, cleared, or closed to be planned anew, each with who and why in the record", async () => {
    const [one, two, three] = lost as [(typeof lost)[number], (typeof lost)[number], (typeof lost)[number]];
    const imported = await resolve({ changeId: one.changeId, choice: "import" });
    expect(imported.data, JSON.stringify(imported.data)).toMatchObject({
      ok: true,
      change: { state: "applied", operations: [{ state: "succeeded", resolved: { choice: "import" } }] },
      resources: [{ id: one.instanceId, properties: { state: "running" } }],
    });
    const cleared = await resolve({ changeId: two.changeId, choice: "clear" });
    expect(cleared.data).toMatchObject({ ok: true, change: { state: "failed" } });
    const retry = await resolve({ changeId: three.changeId, choice: "retry" });
    expect(retry.data.next, JSON.stringify(retry.data)).toMatchObject([
      { tool: "instances_get", arguments: { instanceId: three.instanceId } },
      { tool: "instances_reboot" },
    ]);
    expect(await parked()).toEqual([]);
    expect(sent(), "a decision sends nothing").toBe(3);
    for (const { instanceId, choice, outcome } of [
      { ...one, choice: "import", outcome: "succeeded" },
      { ...two, choice: "clear", outcome: "failed" },
      { ...three, choice: "retry", outcome: "failed" },
    ]) {
      const history = await later.call("state_history", { identifier: instanceId });
      expect(history.data.lineage[0], choice).toMatchObject({
        outcome,
        resolved: { choice, reason: "looked in the console", by: expect.stringContaining("arn:aws") },
      });
    }
    // Free again, also for what was to be done anew.
    const again = await reboot(later, three.instanceId);
    const applied = await later.call("changes_apply", { executionToken: again.data.executionToken });
    expect(applied.data, JSON.stringify(applied.data)).toMatchObject({ outcome: "applied" });
    expect(sent()).toBe(4);
  });
});
