// instances.resize: another type for the same instance, which has to stop for it.

import { z } from "zod";
import type { ChangeStep } from "../../src/core/change.js";
import type { Instance } from "../../src/core/content/instances.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import type { AwsReader } from "../../src/core/ports.js";
import { plan } from "../../src/core/tool.js";
import { checkProtection, stopWarnings } from "./lifecycle.js";
import { existing, hangingOf, InstanceId, InstanceTypeName, notKnown, refOf } from "./parts.js";

const TOUCHES = ["/instanceId", "/name", "/state", "/instanceType", "/autoScalingGroup"];

export const resize = plan({
  title: "Plan changing an EC2 instance's type",
  description:
    "Plan another type for one instance. A running one is stopped, changed and started again, all in this plan; a stopped one stays stopped. Applying says how far it came if a step fails.",
  scope: "region",
  basedOn: "one",
  input: z.object({ instanceId: InstanceId, instanceType: InstanceTypeName }),
  async propose({ instanceId, instanceType }, { aws }) {
    const instance = await existing(aws, instanceId);
    if (instance.instanceType === instanceType) {
      throw new OpsError("nothing_to_change", `${instanceId} is a ${instanceType} already.`, { field: "instanceType" });
    }
    if (instance.state !== "running" && instance.state !== "stopped") {
      throw new OpsError(
        "unsupported",
        `${instanceId} is ${instance.state}: its type can be changed when it is running or stopped. Nothing was planned; read it again once it is.`,
        {
          field: "instanceId",
          details: { instanceId, state: instance.state },
          next: [{ tool: "instances.get", arguments: { instanceId, region: aws.region } }],
        },
      );
    }
    const unchecked = await checkType(aws, instance, instanceType);
    const dependants = (await aws.instances.dependants([instance])).get(instanceId)!;
    const running = instance.state === "running";
    if (running) checkProtection("stop", instance, dependants, aws);
    const steps = stepsOf(aws, instance, instanceType);
    return {
      summary: running
        ? `Stop ${instanceId}, make it a ${instanceType}, start it again`
        : `Make ${instanceId}, which is stopped, a ${instanceType}`,
      basis: [{ ref: refOf(aws, instanceId), reader: "service", before: instance as JsonObject, touches: TOUCHES }],
      steps,
      warnings: [
        ...(running
          ? [
              `${instanceId} is out of service from its stop until it runs again. If AWS refuses the new type or has no room for it, it stays stopped: the answer says so, and instances.start is the way back.`,
              ...stopWarnings(instance, dependants),
            ]
          : []),
        ...notKnown(instanceId, dependants),
        ...unchecked,
      ],
      facts: { hanging: { [instanceId]: hangingOf(dependants) } },
    };
  },
});

/** The calls, each planned from what the one before it leaves. */
function stepsOf(aws: AwsReader, instance: Instance, instanceType: string): ChangeStep[] {
  const ref = refOf(aws, instance.instanceId);
  const InstanceIds = [instance.instanceId];
  const running = instance.state === "running";
  const stopped: Instance = { ...instance, state: "stopped" };
  const changed: Instance = { ...stopped, instanceType };
  const shared = { service: "ec2", ref, reader: "service", touches: TOUCHES } as const;
  const move = (operation: string, before: Instance, after: Instance): ChangeStep => ({
    ...shared,
    operation,
    input: { InstanceIds },
    kind: "action",
    before: before as JsonObject,
    after: after as JsonObject,
    desired: { state: after.state },
  });
  const change: ChangeStep = {
    ...shared,
    operation: "ModifyInstanceAttribute",
    input: { InstanceId: instance.instanceId, InstanceType: { Value: instanceType } },
    kind: "update",
    before: stopped as JsonObject,
    after: changed as JsonObject,
    desired: { instanceType },
  };
  if (!running) return [change];
  return [
    move("StopInstances", instance, stopped),
    change,
    move("StartInstances", changed, { ...changed, state: "running" }),
  ];
}

/**
 * Whether the region has the type and it runs what the instance runs: found out before anything is stopped for it.
 * Answers what could not be checked.
 */
async function checkType(aws: AwsReader, instance: Instance, instanceType: string): Promise<string[]> {
  const types = await aws.instances.types([instance.instanceType, instanceType]);
  if (!types.known) return [`Whether ${instanceType} suits this instance could not be checked (${types.because}).`];
  const [was, wanted] = [instance.instanceType, instanceType].map((name) =>
    types.value.find((one) => one.instanceType === name),
  );
  if (!wanted) {
    throw new OpsError("not_found", `${aws.region} has no instance type ${instanceType}. Nothing was planned.`, {
      field: "instanceType",
      details: { instanceType, region: aws.region },
      next: [{ tool: "instances.get", arguments: { instanceId: instance.instanceId, region: aws.region } }],
    });
  }
  if (!was || was.architectures.some((one) => wanted.architectures.includes(one))) return [];
  throw new OpsError(
    "unsupported",
    `${instanceType} has another processor architecture than this instance's image was made for. A new instance from another image is needed.`,
    {
      field: "instanceType",
      details: { now: [...was.architectures], wanted: [...wanted.architectures] },
      next: [{ tool: "instances.get", arguments: { instanceId: instance.instanceId, region: aws.region } }],
    },
  );
}
