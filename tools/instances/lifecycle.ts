// instances.start, stop, reboot, terminate: one step an instance, planned with what hangs on it.

import { z } from "zod";
import type { Basis, ChangeStep, Proposal } from "../../src/core/change.js";
import { ridOf } from "../../src/core/change.js";
import type { Instance, InstanceDependants } from "../../src/core/content/instances.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import type { AwsReader, PlanPorts } from "../../src/core/ports.js";
import { plan } from "../../src/core/tool.js";
import { existing, hangingOf, InstanceIds, notKnown, refOf, targetsOf } from "./parts.js";

/** By these a caller knows an instance: whoever acts on one has to have seen them as they are. */
const KNOWN_BY = ["/instanceId", "/name", "/state", "/instanceType", "/autoScalingGroup"];

type Verb = "start" | "stop" | "reboot" | "terminate";

interface Rule {
  readonly operation: string;
  readonly kind: ChangeStep["kind"];
  /** States from which it can be done. */
  readonly from: readonly string[];
  /** States in which it is done already, or on its way. */
  readonly already: readonly string[];
  readonly to?: string;
  /** Pointers the step depends on, beyond those that name the instance. */
  readonly touches: readonly string[];
}

const RULES: Readonly<Record<Verb, Rule>> = {
  start: {
    operation: "StartInstances",
    kind: "action",
    from: ["stopped"],
    already: ["running", "pending"],
    to: "running",
    touches: KNOWN_BY,
  },
  stop: {
    operation: "StopInstances",
    kind: "action",
    from: ["running"],
    already: ["stopped", "stopping"],
    to: "stopped",
    touches: KNOWN_BY,
  },
  reboot: { operation: "RebootInstances", kind: "action", from: ["running"], already: [], touches: KNOWN_BY },
  // What cannot be undone is refused for whatever changed since the plan.
  terminate: {
    operation: "TerminateInstances",
    kind: "delete",
    from: ["pending", "running", "stopping", "stopped"],
    already: ["shutting-down", "terminated"],
    touches: [""],
  },
};

const now = (id: string, state: string): string => `${id} is ${state}`;

/** @throws OpsError nothing_to_change where it is so already, unsupported where it cannot be done from this state. */
function checkState(verb: Verb, { instanceId, state }: Instance, aws: AwsReader): void {
  const { from, already } = RULES[verb];
  if (from.includes(state)) return;
  const next = [{ tool: "instances.get", arguments: { instanceId, region: aws.region } }];
  if (already.includes(state)) {
    throw new OpsError("nothing_to_change", `${now(instanceId, state)} already. Nothing was planned.`, {
      field: "instanceIds",
      details: { instanceId, state },
      next,
    });
  }
  throw new OpsError(
    "unsupported",
    `${now(instanceId, state)}, and AWS can ${verb} it only when it is ${from.join(" or ")}. Nothing was planned; read it again once it is.`,
    { field: "instanceIds", details: { instanceId, state }, next },
  );
}

/** @throws OpsError unsupported where the instance's own protection or kind forbids it. */
export function checkProtection(
  verb: "stop" | "terminate",
  { instanceId, rootDevice }: Instance,
  { terminationProtection, stopProtection }: InstanceDependants,
  aws: AwsReader,
): void {
  const next = [{ tool: "instances.get", arguments: { instanceId, region: aws.region } }];
  const on = verb === "stop" ? stopProtection : terminationProtection;
  if (on.known && on.value) {
    throw new OpsError(
      "unsupported",
      `${instanceId} has ${verb === "stop" ? "stop" : "termination"} protection on. Ask the user to switch it off first if it really must be so.`,
      { field: "instanceIds", details: { instanceId, protection: verb }, next },
    );
  }
  if (verb === "stop" && rootDevice === "instance-store") {
    throw new OpsError(
      "unsupported",
      `${instanceId} runs from an instance store: AWS cannot stop it, only reboot or terminate it.`,
      { field: "instanceIds", details: { instanceId, rootDevice }, next },
    );
  }
}

/** What stopping an instance takes away, whatever it is stopped for. */
export function stopWarnings(
  { instanceId, publicIp, autoScalingGroup }: Instance,
  dependants: InstanceDependants,
): string[] {
  const { instanceStore, elasticIps, autoScaling } = dependants;
  const keepsAddress = elasticIps.known && elasticIps.value.includes(publicIp ?? "");
  // Where the group itself cannot be read, the tag that it gives its members tells.
  const member = autoScaling.known
    ? autoScaling.value !== null && autoScaling.value.lifecycleState !== "Standby"
    : autoScalingGroup !== undefined;
  return [
    ...(instanceStore.known && instanceStore.value
      ? [`${instanceId} has instance-store disks of its type: what they hold is lost when it stops.`]
      : []),
    ...(member
      ? [
          `${instanceId} is a member of an Auto Scaling group, which takes a stopped member for unhealthy, terminates it and launches another one. Put it in standby first, or change the group's capacity (autoscaling.setCapacity).`,
        ]
      : []),
    ...(publicIp !== undefined && !keepsAddress
      ? [`${instanceId} loses its public address and gets another one.`]
      : []),
    ...targetWarning(instanceId, dependants),
  ];
}

function targetWarning(instanceId: string, dependants: InstanceDependants): string[] {
  const { targetGroups } = dependants;
  const count = targetsOf(dependants);
  return [
    ...(count > 0 ? [`${instanceId} takes traffic in ${count} target group(s).`] : []),
    ...(targetGroups.known && targetGroups.value.notAsked > 0
      ? [`${targetGroups.value.notAsked} target groups were not asked whether ${instanceId} is in them.`]
      : []),
  ];
}

function terminateWarnings(instance: Instance, dependants: InstanceDependants): string[] {
  const { instanceId, lifecycle } = instance;
  const { autoScaling, elasticIps, volumes } = dependants;
  const lost = volumes.filter((volume) => volume.deleteOnTermination).length;
  const kept = volumes.length - lost;
  const addresses = elasticIps.known ? elasticIps.value.length : 0;
  return [
    ...(instance.autoScalingGroup || (autoScaling.known && autoScaling.value)
      ? [`${instanceId} belongs to an Auto Scaling group, which will launch another one in its place.`]
      : []),
    ...(addresses > 0 ? [`${instanceId} holds ${addresses} elastic IP(s), which stay and cost.`] : []),
    ...(lost > 0 ? [`${lost} volume(s) of ${instanceId} are deleted with it.`] : []),
    ...(kept > 0 ? [`${kept} volume(s) of ${instanceId} stay behind and cost.`] : []),
    ...(lifecycle === "spot" ? [`${instanceId} is a spot instance: a persistent request launches it anew.`] : []),
    ...targetWarning(instanceId, dependants),
  ];
}

function warningsOf(verb: Verb, instance: Instance, dependants: InstanceDependants): string[] {
  const { instanceId } = instance;
  if (verb === "terminate") return [...terminateWarnings(instance, dependants), ...notKnown(instanceId, dependants)];
  if (verb === "stop") return [...stopWarnings(instance, dependants), ...notKnown(instanceId, dependants)];
  if (verb === "reboot") return targetWarning(instanceId, dependants);
  return [];
}

/** What a caller who was shown parts of an instance has judged it by. */
function basisOf(aws: AwsReader, instance: Instance, { basedOn }: Pick<PlanPorts, "basedOn">): Basis {
  const ref = refOf(aws, instance.instanceId);
  const shown = basedOn.get(ridOf(ref))?.shown ?? [""];
  return {
    ref,
    reader: "service",
    before: instance as JsonObject,
    touches: [...new Set([...KNOWN_BY, ...shown])],
    alone: true,
  };
}

const SUMMARY: Readonly<Record<Verb, string>> = {
  start: "Start",
  stop: "Stop",
  reboot: "Reboot",
  terminate: "Terminate",
};

async function proposal(verb: Verb, ids: readonly string[], ports: PlanPorts): Promise<Proposal> {
  const { aws } = ports;
  const rule = RULES[verb];
  const instances: Instance[] = [];
  for (const id of new Set(ids)) {
    const instance = await existing(aws, id, "instanceIds");
    checkState(verb, instance, aws);
    instances.push(instance);
  }
  const dependants = await aws.instances.dependants(instances);
  const steps = instances.map((instance): ChangeStep => {
    const hanging = dependants.get(instance.instanceId)!;
    if (verb === "stop" || verb === "terminate") checkProtection(verb, instance, hanging, aws);
    const { to } = rule;
    return {
      service: "ec2",
      operation: rule.operation,
      input: { InstanceIds: [instance.instanceId] },
      ref: refOf(aws, instance.instanceId),
      reader: "service",
      kind: rule.kind,
      before: instance as JsonObject,
      after: rule.kind === "delete" ? null : ({ ...instance, ...(to && { state: to }) } as JsonObject),
      touches: rule.touches,
      ...(to && { desired: { state: to } }),
    };
  });
  return {
    summary: `${SUMMARY[verb]} ${instances.map(({ instanceId }) => instanceId).join(", ")}`,
    basis: instances.map((instance) => basisOf(aws, instance, ports)),
    steps,
    warnings: instances.flatMap((instance) => warningsOf(verb, instance, dependants.get(instance.instanceId)!)),
    facts: {
      hanging: Object.fromEntries([...dependants].map(([id, hanging]) => [id, hangingOf(hanging)])) as JsonObject,
    },
  };
}

const input = z.object({ instanceIds: InstanceIds });

export const start = plan({
  title: "Plan starting EC2 instances",
  description: "Plan the start of stopped instances. Applying waits until they run, or hands over.",
  scope: "region",
  basedOn: "many",
  input,
  propose: ({ instanceIds }, ports) => proposal("start", instanceIds, ports),
});

export const stop = plan({
  title: "Plan stopping EC2 instances",
  description:
    "Plan the stop of running instances; shows what hangs on them. Applying waits until they are stopped, or hands over. An Auto Scaling group replaces a stopped member: use autoscaling.setCapacity there.",
  scope: "region",
  basedOn: "many",
  input,
  propose: ({ instanceIds }, ports) => proposal("stop", instanceIds, ports),
});

export const reboot = plan({
  title: "Plan rebooting EC2 instances",
  description:
    "Plan the reboot of running instances. AWS takes the request and shows no end of it: check health after.",
  scope: "region",
  basedOn: "many",
  input,
  propose: ({ instanceIds }, ports) => proposal("reboot", instanceIds, ports),
});

export const terminate = plan({
  title: "Plan terminating EC2 instances",
  description:
    "Plan a termination, which cannot be undone. `basedOn`: the revision of each instance from instances.get or instances.list. Shows what hangs on them. Refused while termination protection is on.",
  scope: "region",
  basedOn: "many",
  input,
  propose: ({ instanceIds }, ports) => proposal("terminate", instanceIds, ports),
});
