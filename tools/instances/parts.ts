// What the tools about instances share: names, the one they are asked about, and what hangs on it.

import { z } from "zod";
import { type ResourceRef, ridOf, type Seen } from "../../src/core/change.js";
import type { Instance, InstanceDependants } from "../../src/core/content/instances.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import { type Known, type Unknown, unknownOf } from "../../src/core/known.js";
import type { AwsReader } from "../../src/core/ports.js";

export const InstanceId = z.string().regex(/^i-[0-9a-f]{8,17}$/, "must look like i-0123456789abcdef0");
export const InstanceIds = z.array(InstanceId).min(1).max(20);
export const InstanceTypeName = z.string().regex(/^[a-z0-9-]+\.[a-z0-9-]+$/, "must look like t3.micro");
export const Tags = z.record(z.string().min(1).max(128), z.string().max(256));

export const refOf = (aws: AwsReader, id: string): ResourceRef => ({
  account: aws.account,
  region: aws.region,
  type: "AWS::EC2::Instance",
  id,
});

export const seenOf = (aws: AwsReader, instance: Instance): Seen => ({
  ref: refOf(aws, instance.instanceId),
  reader: "service",
  content: instance as JsonObject,
});

export async function existing(aws: AwsReader, instanceId: string, field = "instanceId"): Promise<Instance> {
  const instance = await aws.get("AWS::EC2::Instance", instanceId);
  if (instance) return instance;
  throw new OpsError(
    "not_found",
    `There is no instance ${instanceId} in account ${aws.account}, ${aws.region}. It may be in another region, or terminated more than an hour ago.`,
    {
      field,
      details: { rid: ridOf(refOf(aws, instanceId)) },
      next: [{ tool: "instances.list", arguments: { region: aws.region } }],
    },
  );
}

const PARTS = [
  "terminationProtection",
  "stopProtection",
  "elasticIps",
  "autoScaling",
  "targetGroups",
  "instanceStore",
] as const;

/** What hangs on an instance, as an answer shows it: what could not be read is named, and is not "none". */
export function hangingOf(dependants: InstanceDependants): JsonObject {
  const unknown = PARTS.flatMap((part): Unknown[] => {
    const fact: Known<unknown> = dependants[part];
    return fact.known ? [] : [unknownOf(part, fact)];
  });
  const { terminationProtection, stopProtection, elasticIps, autoScaling, targetGroups, instanceStore } = dependants;
  const shown = {
    ...(terminationProtection.known ? { terminationProtection: terminationProtection.value } : {}),
    ...(stopProtection.known ? { stopProtection: stopProtection.value } : {}),
    volumes: dependants.volumes,
    ...(elasticIps.known ? { elasticIps: elasticIps.value } : {}),
    ...(autoScaling.known ? { autoScaling: autoScaling.value } : {}),
    ...(targetGroups.known ? { targetGroups: targetGroups.value.registered } : {}),
    ...(targetGroups.known && targetGroups.value.notAsked > 0
      ? { targetGroupsNotAsked: targetGroups.value.notAsked }
      : {}),
    ...(instanceStore.known ? { instanceStore: instanceStore.value } : {}),
    ...(unknown.length > 0 ? { unknown } : {}),
  };
  return shown as unknown as JsonObject;
}

/** What nobody could say about an instance before it is stopped or terminated. */
export function notKnown(instanceId: string, dependants: InstanceDependants): string[] {
  const names = PARTS.filter((part) => !dependants[part].known);
  return names.length > 0
    ? [`What hangs on ${instanceId} is not wholly known: ${names.join(", ")} could not be read.`]
    : [];
}

/** Where traffic reaches an instance, in words: by count, for the names are AWS's. */
export const targetsOf = ({ targetGroups }: InstanceDependants): number =>
  targetGroups.known ? targetGroups.value.registered.filter(({ state }) => state !== "unused").length : 0;
