// What is read of instances beside their content: what hangs on one, what AWS's checks say, what a type is.

import type { InstanceStatus } from "@aws-sdk/client-ec2";
import type {
  Instance,
  InstanceDependants,
  InstanceHealth,
  InstanceReads,
  InstanceTypeFacts,
  Membership,
  Registration,
} from "../../core/content/instances.js";
import { asKnown, type Known } from "../../core/known.js";
import type { Api } from "../api.js";
import { allPages } from "../pages.js";
import { targetGroupsOf, targetHealthOf } from "./elbv2.js";
import { byName, capitalised, chunks, present } from "./parts.js";

/** AWS's limit of ids in one question. */
const MOST_IDS = 100;
/** Target groups that are asked for one instance; no call of AWS answers which ones it is in. */
const MOST_TARGET_GROUPS = 60;
const AT_ONCE = 6;
/** Auto Scaling's limit of ids in one question. */
const MOST_MEMBERS = 50;

export const instanceReads = (api: Api): InstanceReads => ({
  dependants: (instances) => dependantsOf(api, instances),
  health: (ids) => asKnown(() => healthOf(api, ids)),
  types: (names) => asKnown(() => typesOf(api, names)),
});

/** One answer for many: the same for each, but what failed for all is unknown of each. */
const mapKnown = <A, B>(known: Known<A>, to: (value: A) => B): Known<B> =>
  known.known ? { known: true, value: to(known.value) } : known;

/** What goes with each instance, or stays behind, when it is stopped or terminated. */
async function dependantsOf(api: Api, instances: readonly Instance[]): Promise<Map<string, InstanceDependants>> {
  const ids = instances.map(({ instanceId }) => instanceId);
  const attribute = (InstanceId: string, Attribute: "disableApiTermination" | "disableApiStop") =>
    api.call("ec2", "DescribeInstanceAttribute", { InstanceId, Attribute });
  const [volumes, addresses, members, groups, types] = await Promise.all([
    volumesOf(api, ids),
    asKnown(() => addressesOf(api, ids)),
    asKnown(() => membershipsOf(api, ids)),
    asKnown(() => registrationsOf(api, instances)),
    asKnown(() => typesOf(api, [...new Set(instances.map(({ instanceType }) => instanceType))])),
  ]);
  const one = async ({ instanceId, instanceType }: Instance): Promise<[string, InstanceDependants]> => {
    const [terminationProtection, stopProtection] = await Promise.all([
      asKnown(async () => {
        const answer = await attribute(instanceId, "disableApiTermination");
        return answer.DisableApiTermination?.Value ?? false;
      }),
      asKnown(async () => (await attribute(instanceId, "disableApiStop")).DisableApiStop?.Value ?? false),
    ]);
    const type = types.known ? types.value.find((each) => each.instanceType === instanceType) : undefined;
    return [
      instanceId,
      {
        volumes: volumes.get(instanceId) ?? [],
        terminationProtection,
        stopProtection,
        elasticIps: mapKnown(addresses, (all) => all.get(instanceId) ?? []),
        autoScaling: mapKnown(members, (all) => all.get(instanceId) ?? null),
        targetGroups: mapKnown(groups, ({ registered, notAsked }) => ({
          registered: registered.get(instanceId) ?? [],
          notAsked,
        })),
        // A type that the region does not name (any more) says nothing.
        instanceStore:
          types.known && !type ? { known: false, because: "not_found" } : mapKnown(types, () => type!.instanceStore),
      },
    ];
  };
  return new Map(await Promise.all(instances.map(one)));
}

const grouped = <T>(pairs: readonly (readonly [string, T])[]): Map<string, T[]> => {
  const map = new Map<string, T[]>();
  for (const [key, value] of pairs) map.set(key, [...(map.get(key) ?? []), value]);
  return map;
};

async function volumesOf(api: Api, InstanceIds: string[]) {
  const output = await api.call("ec2", "DescribeInstances", { InstanceIds });
  const instances = (output.Reservations ?? []).flatMap(({ Instances = [] }) => Instances);
  const volumes = instances.flatMap(({ InstanceId = "", BlockDeviceMappings = [] }) =>
    BlockDeviceMappings.flatMap(({ Ebs }) =>
      Ebs?.VolumeId
        ? [[InstanceId, { volumeId: Ebs.VolumeId, deleteOnTermination: Ebs.DeleteOnTermination ?? false }] as const]
        : [],
    ),
  );
  return grouped([...volumes].sort((a, b) => byName(a[1].volumeId, b[1].volumeId)));
}

async function addressesOf(api: Api, ids: string[]) {
  const Filters = [{ Name: "instance-id", Values: ids }];
  const { Addresses = [] } = await api.call("ec2", "DescribeAddresses", { Filters });
  const held = Addresses.flatMap(({ PublicIp, InstanceId }) =>
    PublicIp && InstanceId ? [[InstanceId, PublicIp] as const] : [],
  );
  return grouped(held.sort((a, b) => byName(a[1], b[1])));
}

async function membershipsOf(api: Api, ids: readonly string[]): Promise<Map<string, Membership>> {
  const pages = chunks(ids, MOST_MEMBERS).map((InstanceIds) =>
    api.call("autoscaling", "DescribeAutoScalingInstances", { InstanceIds }),
  );
  const found = (await Promise.all(pages)).flatMap(({ AutoScalingInstances = [] }) => AutoScalingInstances);
  return new Map(
    found.map((one) => [
      one.InstanceId ?? "",
      {
        groupName: one.AutoScalingGroupName ?? "",
        lifecycleState: one.LifecycleState ?? "unknown",
        healthStatus: capitalised(one.HealthStatus ?? "unknown"),
        protectedFromScaleIn: one.ProtectedFromScaleIn ?? false,
      },
    ]),
  );
}

/** Every target group of their networks is asked: by instance id, or by address where targets are addresses. */
async function registrationsOf(api: Api, instances: readonly Instance[]) {
  const networks = new Set(instances.map(({ vpcId }) => vpcId));
  const all = (await targetGroupsOf(api, {})).filter(
    ({ vpcId, targetType }) => networks.has(vpcId) && (targetType === "instance" || targetType === "ip"),
  );
  const asked = all.slice(0, MOST_TARGET_GROUPS);
  const byTarget = new Map(
    instances.flatMap(({ instanceId, privateIp }) =>
      [instanceId, ...(privateIp === undefined ? [] : [privateIp])].map((name) => [name, instanceId] as const),
    ),
  );
  const registered: [string, Registration][] = [];
  for (const some of chunks(asked, AT_ONCE)) {
    const healths = await Promise.all(some.map(({ targetGroupArn }) => targetHealthOf(api, targetGroupArn)));
    for (const [index, health] of healths.entries()) {
      const { name, targetGroupArn } = some[index]!;
      for (const { targetId, ...rest } of health) {
        const instanceId = byTarget.get(targetId);
        if (instanceId !== undefined) registered.push([instanceId, { targetGroup: name, targetGroupArn, ...rest }]);
      }
    }
  }
  return { registered: grouped(registered), notAsked: all.length - asked.length };
}

function healthIn(status: InstanceStatus): InstanceHealth {
  const events = (status.Events ?? []).map(({ Code, Description, NotBefore }) =>
    present<NonNullable<InstanceHealth["events"]>[number]>({
      code: Code ?? "unknown",
      description: Description,
      notBefore: NotBefore?.toISOString(),
    }),
  );
  return present<InstanceHealth>({
    instanceId: status.InstanceId ?? "",
    system: status.SystemStatus?.Status ?? "unknown",
    instance: status.InstanceStatus?.Status ?? "unknown",
    events: events.length > 0 ? events : undefined,
  });
}

async function healthOf(api: Api, ids: readonly string[]): Promise<InstanceHealth[]> {
  const pages = chunks(ids, MOST_IDS).map((InstanceIds) =>
    api.call("ec2", "DescribeInstanceStatus", { InstanceIds, IncludeAllInstances: true }),
  );
  return (await Promise.all(pages)).flatMap(({ InstanceStatuses = [] }) => InstanceStatuses.map(healthIn));
}

/** By filter, so that a name which does not exist is missing from the answer instead of failing all of it. */
async function typesOf(api: Api, names: readonly string[]): Promise<InstanceTypeFacts[]> {
  const Filters = [{ Name: "instance-type", Values: [...names] }];
  const found = await allPages(
    (NextToken) => api.call("ec2", "DescribeInstanceTypes", { Filters, ...(NextToken && { NextToken }) }),
    (output) => output.InstanceTypes,
    (output) => output.NextToken,
  );
  return found.map(({ InstanceType = "", ProcessorInfo, InstanceStorageSupported }) => ({
    instanceType: InstanceType,
    architectures: [...(ProcessorInfo?.SupportedArchitectures ?? [])].sort(byName),
    instanceStore: InstanceStorageSupported ?? false,
  }));
}
