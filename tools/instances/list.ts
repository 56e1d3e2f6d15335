// instances.list: what runs and what is in service now, by Auto Scaling group, and what scaled it since it was last asked.

import { z } from "zod";
import type { Seen } from "../../src/core/change.js";
import type { AutoScalingGroup, ScalingActivity } from "../../src/core/content/auto-scaling.js";
import type { Instance, InstanceHealth } from "../../src/core/content/instances.js";
import { decodeCursor, encodeCursor } from "../../src/core/cursor.js";
import { OpsError } from "../../src/core/errors.js";
import { literal } from "../../src/core/filters.js";
import type { JsonObject } from "../../src/core/json.js";
import { type Unknown, unknownOf } from "../../src/core/known.js";
import type { AwsReader, Ledger, ReadPorts } from "../../src/core/ports.js";
import { takesWork } from "../../src/core/takes-work.js";
import { read } from "../../src/core/tool.js";
import { InstanceId, refOf, Tags } from "./parts.js";

const STATES = ["pending", "running", "shutting-down", "terminated", "stopping", "stopped"] as const;
const LIVING = ["pending", "running", "stopping", "stopped"] as const;

/** What a row always shows, and what `fields` adds to it. */
const SHOWN = [
  "instanceId",
  "name",
  "state",
  "instanceType",
  "availabilityZone",
  "securityGroups",
  "autoScalingGroup",
] as const satisfies readonly (keyof Instance)[];
const MORE = [
  "tags",
  "imageId",
  "vpcId",
  "subnetId",
  "privateIp",
  "publicIp",
  "launchedAt",
  "lifecycle",
  "stateReason",
] as const satisfies readonly (keyof Instance)[];

/** Instances that are counted at most, by the thousand AWS answers at once. */
const MOST_COUNTED = 20_000;
const GROUPS_SHOWN = 10;
const SCALED_SHOWN = 5;
const ACTIVITIES_SHOWN = 5;
const IDS_SHOWN = 10;
/** AWS's clock and ours, and what was under way when the caller last looked. */
const MARGIN_MS = 60_000;

export const list = read({
  title: "List EC2 instances",
  description:
    "Instances now: how many are in service, whole and by Auto Scaling group, what scaled them since you last looked and why, a row each (`fields` for more). Terminated ones only by `states`. instances.get shows what hangs on one.",
  scope: "region",
  foreignText: true,
  input: z.object({
    states: z.array(z.enum(STATES)).min(1).optional(),
    instanceIds: z.array(InstanceId).min(1).max(100).optional(),
    name: z.string().min(1).max(255).optional().describe("Name tag, with * and ?"),
    tags: Tags.optional().describe("All of these tags"),
    vpcId: z.string().optional(),
    securityGroupId: z.string().optional(),
    autoScalingGroup: z.string().optional(),
    instanceTypes: z.array(z.string()).min(1).max(20).optional(),
    fields: z.array(z.enum(MORE)).optional(),
    health: z.boolean().optional().describe("With AWS's status checks"),
    limit: z.number().int().min(5).max(100).default(20),
    cursor: z.string().optional(),
  }),
  output: z.object({
    count: z.number().optional(),
    inService: z.number().optional(),
    byState: z.record(z.string(), z.number()).optional(),
    groups: z.array(z.object({})).optional(),
    instances: z.array(z.object({})),
    nextCursor: z.string().optional(),
  }),
  everywhere: {
    rows: "instances",
    sum: ["count", "inService", "byState"],
    once: ["count", "inService", "byState", "notShown", "groups", "groupsNotShown", "scaled"],
  },
  async run({ cursor, limit, fields = [], health, ...query }, { aws, now, revision, ledger }) {
    const filters = filtersOf(query);
    const question = { ...query, account: aws.account, region: aws.region };
    const page = await pageAt(aws, filters, limit, cursor ? decodeCursor(cursor, question, now) : "");
    const names = [...SHOWN, ...fields];
    const seen = page.items.map((instance): Seen => rowSeen(aws, instance, names));
    const checks = health ? await aws.instances.health(page.items.map(({ instanceId }) => instanceId)) : undefined;
    const healthOf = new Map(checks?.known ? checks.value.map((one) => [one.instanceId, one]) : []);
    const rows = page.items.map((instance, index) => ({
      ...picked(instance, names),
      ...healthIn(healthOf.get(instance.instanceId)),
      revision: revision(seen[index]!),
    }));
    const whole = cursor ? null : await countedWhole(aws, filters, page);
    const narrow = Object.keys(query).some((key) => key !== "states" && query[key as keyof typeof query] !== undefined);
    const scaling = whole
      ? await scalingOf(whole.items, narrow, query.autoScalingGroup, { aws, ledger, revision })
      : null;
    const unknown: Unknown[] = [
      ...(checks && !checks.known ? [unknownOf("health", checks)] : []),
      ...(scaling?.unknown ?? []),
    ];
    const serving = !query.states || query.states.includes("running");
    return {
      data: {
        ...(whole && {
          count: whole.items.length,
          ...(whole.more && { countedAtLeast: true }),
          ...(serving && { inService: inServiceOf(whole.items, scaling?.byName) }),
          byState: countBy(whole.items),
          ...(whole.items.length > rows.length && { notShown: whole.items.length - rows.length }),
        }),
        ...(scaling?.data ?? {}),
        ...(unknown.length > 0 ? { unknown: unknown as unknown as JsonObject[] } : {}),
        instances: rows as unknown as JsonObject[],
        ...(page.next ? { nextCursor: encodeCursor(page.next, question, now) } : {}),
      },
      seen,
      ...(scaling ? { beside: scaling.seen } : {}),
      complete: !page.next && !cursor,
    };
  },
});

type Query = Readonly<{
  states?: readonly string[];
  instanceIds?: readonly string[];
  name?: string;
  tags?: Readonly<Record<string, string>>;
  vpcId?: string;
  securityGroupId?: string;
  autoScalingGroup?: string;
  instanceTypes?: readonly string[];
}>;

function filtersOf(query: { [K in keyof Query]?: Query[K] | undefined }): Record<string, readonly string[]> {
  const filters: Record<string, readonly string[]> = { "instance-state-name": query.states ?? LIVING };
  if (query.name !== undefined && query.tags?.Name !== undefined) {
    throw new OpsError("validation_error", "name: give `name` or the tag Name, not both.", { field: "name" });
  }
  for (const [key, value] of Object.entries(query.tags ?? {})) filters[`tag:${key}`] = [literal(value)];
  if (query.name !== undefined) filters["tag:Name"] = [query.name];
  if (query.vpcId) filters["vpc-id"] = [query.vpcId];
  if (query.securityGroupId) filters["instance.group-id"] = [query.securityGroupId];
  if (query.autoScalingGroup) filters["tag:aws:autoscaling:groupName"] = [query.autoScalingGroup];
  if (query.instanceTypes) filters["instance-type"] = query.instanceTypes;
  if (query.instanceIds) filters["instance-id"] = query.instanceIds;
  return filters;
}

const picked = (instance: Instance, names: readonly (keyof Instance)[]): JsonObject =>
  Object.fromEntries(
    names.flatMap((name) => (instance[name] === undefined ? [] : [[name, instance[name]]])),
  ) as JsonObject;

const rowSeen = (aws: AwsReader, instance: Instance, names: readonly (keyof Instance)[]): Seen => ({
  ref: refOf(aws, instance.instanceId),
  reader: "service",
  content: instance as JsonObject,
  shown: names.map((name) => `/${name}`),
});

function healthIn(health: InstanceHealth | undefined): JsonObject {
  if (!health) return {};
  const { instanceId: _, ...checks } = health;
  return { health: checks as unknown as JsonObject };
}

const countBy = (instances: readonly Instance[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const { state } of instances) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
};

interface Place {
  /** AWS's token for the page. */
  readonly token?: string;
  /** Where in that page to go on, and after which instance: AWS may answer more at once than was asked for. */
  readonly from: number;
  readonly after?: string;
}

/** One page of rows in AWS's order. */
async function pageAt(aws: AwsReader, filters: Record<string, readonly string[]>, limit: number, cursor: string) {
  const place: Place = cursor ? (JSON.parse(cursor) as Place) : { from: 0 };
  const page = await aws.list("AWS::EC2::Instance", { filters, limit, ...(place.token && { cursor: place.token }) });
  const last = page.items.findIndex(({ instanceId }) => instanceId === place.after);
  const from = last >= 0 ? last + 1 : Math.min(place.from, page.items.length);
  const items = page.items.slice(from, from + limit);
  const end = from + items.length;
  const next: Place | undefined =
    end < page.items.length
      ? { ...(place.token && { token: place.token }), from: end, after: items.at(-1)!.instanceId }
      : page.next
        ? { token: page.next, from: 0 }
        : undefined;
  // The first answer of AWS is the whole when nothing follows it.
  const all = page.next === undefined && place.token === undefined ? page.items : undefined;
  return { items, ...(all && { all }), ...(next && { next: JSON.stringify(next) }) };
}

/** Every instance the question is about, for the counts: a number of one page would be taken for the number. */
async function countedWhole(
  aws: AwsReader,
  filters: Record<string, readonly string[]>,
  { all }: { readonly all?: readonly Instance[] },
): Promise<{ readonly items: readonly Instance[]; readonly more: boolean }> {
  if (all) return { items: all, more: false };
  const items: Instance[] = [];
  let cursor: string | undefined;
  do {
    const page = await aws.list("AWS::EC2::Instance", { filters, ...(cursor && { cursor }) });
    items.push(...page.items);
    cursor = page.next;
  } while (cursor !== undefined && items.length < MOST_COUNTED);
  return { items, more: cursor !== undefined };
}

/** Running, and in service by its Auto Scaling group's own word where it has one that could be read. */
function inServiceOf(
  instances: readonly Instance[],
  groups: ReadonlyMap<string, AutoScalingGroup> | undefined,
): number {
  const serves = ({ instanceId, state, autoScalingGroup }: Instance): boolean => {
    if (state !== "running") return false;
    const group = autoScalingGroup === undefined ? undefined : groups?.get(autoScalingGroup);
    const member = group?.instances.find((one) => one.instanceId === instanceId);
    return group === undefined || (member !== undefined && takesWork(member));
  };
  return instances.filter(serves).length;
}

const groupRef = (aws: AwsReader, groupName: string) => ({
  account: aws.account,
  region: aws.region,
  type: "AWS::AutoScaling::AutoScalingGroup",
  id: groupName,
});

const GROUP_SHOWN = ["groupName", "desiredCapacity", "minSize", "maxSize", "inService", "status", "suspendedProcesses"];

const groupSeen = (aws: AwsReader, group: AutoScalingGroup): Seen => ({
  ref: groupRef(aws, group.groupName),
  reader: "service",
  content: group as unknown as JsonObject,
  shown: GROUP_SHOWN.map((name) => `/${name}`),
});

/** The groups behind the instances, by their own count, and what moved them since the caller last looked. */
async function scalingOf(
  instances: readonly Instance[],
  narrow: boolean,
  asked: string | undefined,
  { aws, ledger, revision }: Pick<ReadPorts, "aws" | "ledger" | "revision">,
) {
  const named = new Set(instances.flatMap(({ autoScalingGroup }) => autoScalingGroup ?? []));
  if (asked) named.add(asked);
  const found = await aws.scaling.groups(narrow ? [...named] : undefined);
  if (!found.known) return { data: {}, seen: [], unknown: [unknownOf("autoScaling", found)] };
  const { groups, more } = found.value;
  const moved = groups.flatMap((group) => movedSince(aws, ledger, group) ?? []);
  const before = new Map(moved.map((one) => [one.groupName, one]));
  const order = [...groups].sort(
    (a, b) =>
      Number(before.has(b.groupName)) - Number(before.has(a.groupName)) ||
      Number(b.inService < b.desiredCapacity) - Number(a.inService < a.desiredCapacity) ||
      (a.groupName < b.groupName ? -1 : 1),
  );
  const shown = order.slice(0, GROUPS_SHOWN);
  const seen = shown.map((group) => groupSeen(aws, group));
  const scaled = [...before.values()].slice(0, SCALED_SHOWN);
  const recent = scaled.length > 0 ? await aws.scaling.recent(scaled.map(({ groupName }) => groupName)) : undefined;
  const activities = recent?.known ? causesOf(recent.value, scaled) : [];
  return {
    byName: new Map(groups.map((group) => [group.groupName, group])),
    seen,
    unknown: recent && !recent.known ? [unknownOf("scalingActivities", recent)] : [],
    data: {
      ...(shown.length > 0 && {
        groups: shown.map((group, index) => ({ ...groupRow(group), revision: revision(seen[index]!) })),
      }),
      ...(groups.length > shown.length && { groupsNotShown: groups.length - shown.length }),
      ...(more && { groupsBeyond: true }),
      ...(scaled.length > 0 && {
        scaled: {
          groups: scaled,
          activities: activities.slice(0, ACTIVITIES_SHOWN),
          ...(activities.length > ACTIVITIES_SHOWN && { activitiesNotShown: activities.length - ACTIVITIES_SHOWN }),
        },
      }),
    } as unknown as JsonObject,
  };
}

function groupRow(group: AutoScalingGroup): JsonObject {
  const members: Record<string, number> = {};
  for (const { lifecycleState, healthStatus } of group.instances) {
    const how = healthStatus === "Healthy" ? lifecycleState : `${lifecycleState}, ${healthStatus}`;
    members[how] = (members[how] ?? 0) + 1;
  }
  return {
    groupName: group.groupName,
    desiredCapacity: group.desiredCapacity,
    minSize: group.minSize,
    maxSize: group.maxSize,
    inService: group.inService,
    ...(group.inService !== group.instances.length && { members }),
    ...(group.suspendedProcesses.length > 0 && { suspendedProcesses: group.suspendedProcesses }),
    ...(group.status !== undefined && { status: group.status }),
  };
}

interface Scaled {
  readonly groupName: string;
  readonly since: string;
  readonly youSaw: { readonly desiredCapacity: number; readonly inService: number };
  readonly now: { readonly desiredCapacity: number; readonly inService: number };
  readonly gone: readonly string[];
  readonly came: readonly string[];
}

/** What differs from what an answer to this caller last showed of a group. */
function movedSince(aws: AwsReader, ledger: Ledger, group: AutoScalingGroup): Scaled | undefined {
  const ref = groupRef(aws, group.groupName);
  const entry = ledger
    .entries()
    .find(({ shown }) => shown.ref.type === ref.type && shown.ref.id === ref.id && sameReader(shown.ref, ref));
  if (!entry) return undefined;
  const old = entry.shown.content as unknown as AutoScalingGroup;
  const ids = (one: AutoScalingGroup) => one.instances.filter(takesWork).map(({ instanceId }) => instanceId);
  const [was, is] = [ids(old), ids(group)];
  const gone = was.filter((id) => !is.includes(id));
  const came = is.filter((id) => !was.includes(id));
  if (gone.length + came.length === 0 && old.desiredCapacity === group.desiredCapacity) return undefined;
  const counts = ({ desiredCapacity, inService }: AutoScalingGroup) => ({ desiredCapacity, inService });
  return {
    groupName: group.groupName,
    since: entry.shown.observedAt,
    youSaw: counts(old),
    now: counts(group),
    gone: gone.slice(0, IDS_SHOWN),
    came: came.slice(0, IDS_SHOWN),
  };
}

const sameReader = (a: { account: string; region: string }, b: { account: string; region: string }): boolean =>
  a.account === b.account && a.region === b.region;

/** The activities that ended, or began, since the caller last looked, newest first. */
function causesOf(recent: readonly ScalingActivity[], scaled: readonly Scaled[]): ScalingActivity[] {
  const since = new Map(
    scaled.map(({ groupName, since }) => [groupName, new Date(Date.parse(since) - MARGIN_MS).toISOString()]),
  );
  return recent.filter(
    ({ groupName, startedAt, endedAt }) =>
      (endedAt ?? startedAt) >= (since.get(groupName) ?? "") || endedAt === undefined,
  );
}
