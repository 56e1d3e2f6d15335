// Auto Scaling: how many instances a group wants and has, what scaled it and why, and another number.

import { z } from "zod";
import { type ResourceRef, ridOf, type Seen } from "../src/core/change.js";
import { AutoScalingGroup, type ScalingActivity } from "../src/core/content/auto-scaling.js";
import { decodeCursor, encodeCursor } from "../src/core/cursor.js";
import { OpsError } from "../src/core/errors.js";
import type { JsonObject } from "../src/core/json.js";
import type { AwsReader } from "../src/core/ports.js";
import { stackOf } from "../src/core/tags.js";
import { domain, plan, read } from "../src/core/tool.js";
import { capacityStep } from "../state/converge.js";

const GroupName = z.string().min(1).max(255);
const InstanceId = z.string().regex(/^i-[0-9a-f]{8,17}$/, "must look like i-0123456789abcdef0");

const refOf = (aws: AwsReader, groupName: string): ResourceRef => ({
  account: aws.account,
  region: aws.region,
  type: "AWS::AutoScaling::AutoScalingGroup",
  id: groupName,
});

const seenOf = (aws: AwsReader, group: AutoScalingGroup): Seen => ({
  ref: refOf(aws, group.groupName),
  reader: "service",
  content: group as unknown as JsonObject,
});

const HEAD = [
  "groupName",
  "desiredCapacity",
  "minSize",
  "maxSize",
  "inService",
  "suspendedProcesses",
  "status",
] as const;
const MORE = [
  "launchedFrom",
  "healthCheckType",
  "availabilityZones",
  "subnetIds",
  "targetGroupArns",
  "createdAt",
  "tags",
] as const;

/** Members by how they are, in numbers. */
function membersOf({ instances }: AutoScalingGroup): Record<string, number> {
  const members: Record<string, number> = {};
  for (const { lifecycleState, healthStatus } of instances) {
    const how = healthStatus === "Healthy" ? lifecycleState : `${lifecycleState}, ${healthStatus}`;
    members[how] = (members[how] ?? 0) + 1;
  }
  return members;
}

const list = read({
  title: "List Auto Scaling groups",
  description:
    "Groups with desired, min, max and members in service now. Each member: autoscaling.get. Why it scaled: autoscaling.activities.",
  scope: "region",
  foreignText: true,
  input: z.object({
    groupNames: z.array(GroupName).min(1).max(100).optional(),
    tags: z.record(z.string(), z.string()).optional(),
    fields: z.array(z.enum(MORE)).optional(),
    limit: z.number().int().min(1).max(100).default(25),
    cursor: z.string().optional(),
  }),
  output: z.object({ count: z.number(), groups: z.array(z.object({})), nextCursor: z.string().optional() }),
  everywhere: { rows: "groups", sum: ["count"] },
  async run({ cursor, limit, fields = [], ...query }, { aws, now, revision }) {
    const filters = Object.fromEntries(Object.entries(query.tags ?? {}).map(([key, value]) => [`tag:${key}`, [value]]));
    const question = { ...query, account: aws.account, region: aws.region };
    const page = await aws.list("AWS::AutoScaling::AutoScalingGroup", {
      filters,
      limit,
      ...(query.groupNames && { ids: query.groupNames }),
      ...(cursor ? { cursor: decodeCursor(cursor, question, now) } : {}),
    });
    const names = [...HEAD, ...fields];
    const seen = page.items.map((group) => ({ ...seenOf(aws, group), shown: names.map((name) => `/${name}`) }));
    return {
      data: {
        count: page.items.length,
        groups: page.items.map((group, index) => ({
          ...picked(group, names),
          members: membersOf(group),
          revision: revision(seen[index]!),
        })),
        ...(page.next ? { nextCursor: encodeCursor(page.next, question, now) } : {}),
      },
      seen,
      complete: !page.next && !cursor,
    };
  },
});

const picked = (group: AutoScalingGroup, names: readonly (keyof AutoScalingGroup)[]): JsonObject => {
  const some = names.flatMap((name): [string, unknown][] => {
    const value = group[name];
    return value === undefined || (Array.isArray(value) && value.length === 0) ? [] : [[name, value]];
  });
  return Object.fromEntries(some) as JsonObject;
};

const ACTIVITIES_BESIDE = 5;

const get = read({
  title: "Get an Auto Scaling group",
  description:
    "One group with every member's lifecycle and health, and its latest scaling activities with AWS's cause.",
  scope: "region",
  foreignText: true,
  input: z.object({ groupName: GroupName }),
  output: z.object({
    revision: z.string(),
    group: AutoScalingGroup,
    activities: z.array(z.object({})).optional(),
    unknown: z.array(z.object({})).optional(),
  }),
  async run({ groupName }, { aws, revision }) {
    const group = await existing(aws, groupName);
    const recent = await aws.scaling.recent([groupName]);
    const seen = seenOf(aws, group);
    return {
      data: {
        revision: revision(seen),
        group,
        ...(recent.known
          ? { activities: recent.value.slice(0, ACTIVITIES_BESIDE) as unknown as JsonObject[] }
          : { unknown: [{ what: "activities", code: recent.because }] }),
      },
      seen: [seen],
    };
  },
});

/** Pages of AWS's that are looked through for one instance. */
const MOST_PAGES = 10;
/** A lifecycle hook holds an activity for so long at most: what began earlier has ended, in whatever order AWS lists it. */
const LONGEST_MS = 48 * 3_600_000;

const activities = read({
  title: "List scaling activities",
  description:
    "What scaled a group, or every group, newest first, with AWS's cause: why an instance was launched or terminated. With `instanceId` only what names it. AWS keeps six weeks.",
  scope: "region",
  foreignText: true,
  input: z.object({
    groupName: GroupName.optional(),
    instanceId: InstanceId.optional(),
    since: z.iso.datetime({ offset: true }).optional().describe("Only what began or ended after; ISO 8601"),
    limit: z.number().int().min(1).max(50).default(10),
    cursor: z.string().optional(),
  }),
  output: z.object({
    count: z.number(),
    activities: z.array(z.object({})),
    lookedThrough: z.number().optional(),
    nextCursor: z.string().optional(),
  }),
  async run({ limit, cursor, ...query }, { aws, now }) {
    if (query.groupName !== undefined) await existing(aws, query.groupName);
    const question = { ...query, account: aws.account, region: aws.region };
    const since = query.since === undefined ? undefined : new Date(query.since).toISOString();
    const earliest = since === undefined ? "" : new Date(Date.parse(since) - LONGEST_MS).toISOString();
    const late = ({ startedAt, endedAt }: ScalingActivity) => since !== undefined && (endedAt ?? startedAt) < since;
    const fits = (one: ScalingActivity) =>
      (query.instanceId === undefined || one.instanceIds.includes(query.instanceId)) && !(late(one) && one.endedAt);
    const found: ScalingActivity[] = [];
    let next: string | undefined = cursor ? decodeCursor(cursor, question, now) : "";
    let looked = 0;
    // AWS has no filter by instance: its pages are looked through, newest first.
    for (let pages = 0; next !== undefined && found.length === 0 && pages < MOST_PAGES; pages++) {
      const page = await aws.scaling.activities({
        ...(query.groupName !== undefined && { groupName: query.groupName }),
        ...(next !== "" && { cursor: next }),
        limit: query.instanceId === undefined ? limit : 100,
      });
      looked += page.items.length;
      found.push(...page.items.filter(fits));
      next = page.next;
      if (page.items.some(({ startedAt }) => startedAt !== "" && startedAt < earliest)) next = undefined;
    }
    return {
      data: {
        count: found.length,
        activities: found as unknown as JsonObject[],
        ...(query.instanceId !== undefined && { lookedThrough: looked }),
        ...(next ? { nextCursor: encodeCursor(next, question, now) } : {}),
      },
    };
  },
});

/** A process of the group without which a new number has no effect. */
const NEEDS = { more: "Launch", less: "Terminate" } as const;

const setCapacity = plan({
  title: "Plan an Auto Scaling group's capacity",
  description:
    "Plan another desired number of instances. Refused outside the group's min and max. AWS takes the number at once; instances come and go over minutes: read autoscaling.get then.",
  scope: "region",
  basedOn: "one",
  input: z.object({ groupName: GroupName, desiredCapacity: z.number().int().min(0).max(100_000) }),
  async propose({ groupName, desiredCapacity: wanted }, { aws }) {
    const group = await existing(aws, groupName);
    const ref = refOf(aws, groupName);
    const { minSize, maxSize, desiredCapacity, inService } = group;
    const next = [{ tool: "autoscaling.get", arguments: { groupName, region: aws.region } }];
    if (group.status !== undefined) {
      throw new OpsError("unsupported", "The group is being deleted: its capacity cannot be set.", {
        field: "groupName",
        next,
      });
    }
    if (wanted < minSize || wanted > maxSize) {
      throw new OpsError(
        "validation_error",
        `desiredCapacity: ${wanted} is outside what the group allows, ${minSize} to ${maxSize}. Nothing was planned. Choose a number within, or have its owner change the limits.`,
        { field: "desiredCapacity", details: { wanted, minSize, maxSize, desiredCapacity, inService }, next },
      );
    }
    if (wanted === desiredCapacity) {
      return {
        summary: `The group's desired capacity is ${wanted} already; ${inService} are in service.`,
        basis: [{ ref, reader: "service", before: group as unknown as JsonObject, touches: ["/desiredCapacity"] }],
        steps: [],
        warnings: [],
      };
    }
    const way = wanted > desiredCapacity ? "more" : "less";
    const shielded = group.instances.filter(({ protectedFromScaleIn }) => protectedFromScaleIn).length;
    const stack = stackOf(group as unknown as JsonObject) !== null;
    return {
      summary: `Set the desired capacity of ${groupName} from ${desiredCapacity} to ${wanted}`,
      steps: [capacityStep(group, ref, wanted)],
      warnings: [
        ...(way === "less"
          ? [`${desiredCapacity - wanted} instance(s) are terminated, which ones Auto Scaling decides.`]
          : []),
        ...(way === "less" && shielded > 0 ? [`${shielded} member(s) are protected from scale-in and stay.`] : []),
        ...(group.suspendedProcesses.includes(NEEDS[way])
          ? [`The process ${NEEDS[way]} of this group is suspended: the number alone changes nothing.`]
          : []),
        ...(stack ? ["A CloudFormation stack owns this group: its next update may set another number."] : []),
        "Scaling policies and schedules of the group may set another number again.",
      ],
      facts: { desiredCapacity, minSize, maxSize, inService, members: membersOf(group) },
    };
  },
});

async function existing(aws: AwsReader, groupName: string): Promise<AutoScalingGroup> {
  const group = await aws.get("AWS::AutoScaling::AutoScalingGroup", groupName);
  if (group) return group;
  throw new OpsError(
    "not_found",
    `Account ${aws.account} has no Auto Scaling group of this name in ${aws.region}. It may be in another region.`,
    {
      field: "groupName",
      details: { rid: ridOf(refOf(aws, groupName)) },
      next: [{ tool: "autoscaling.list", arguments: { region: aws.region } }],
    },
  );
}

export const autoscaling = domain("autoscaling", { list, get, activities, setCapacity }, ["list"]);
