// Load balancers: what listens, where it sends traffic, and how each target does.

import { z } from "zod";
import { type ResourceRef, ridOf, type Seen } from "../src/core/change.js";
import type {
  Listener,
  LoadBalancer,
  TargetGroup,
  TargetGroupHead,
  TargetHealth,
} from "../src/core/content/load-balancers.js";
import { decodeCursor, encodeCursor } from "../src/core/cursor.js";
import { OpsError } from "../src/core/errors.js";
import type { JsonObject } from "../src/core/json.js";
import { type Known, type Unknown, unknownOf } from "../src/core/known.js";
import type { AwsReader } from "../src/core/ports.js";
import { domain, read } from "../src/core/tool.js";

const Arn = z
  .string()
  .regex(/^arn:[a-z-]+:elasticloadbalancing:[a-z0-9-]+:\d{12}:/, "must be an ARN of Elastic Load Balancing");

const refOf = (aws: AwsReader, type: "LoadBalancer" | "TargetGroup", id: string): ResourceRef => ({
  account: aws.account,
  region: aws.region,
  type: `AWS::ElasticLoadBalancingV2::${type}`,
  id,
});

const HEAD = ["loadBalancerArn", "name", "type", "scheme", "state", "stateReason", "dnsName"] as const;
const MORE = ["vpcId", "availabilityZones", "securityGroups", "createdAt"] as const;

const countStates = (targets: readonly TargetHealth[]): Record<string, number> => {
  const states: Record<string, number> = {};
  for (const { state } of targets) states[state] = (states[state] ?? 0) + 1;
  return states;
};

const list = read({
  title: "List load balancers",
  description:
    "Application, network and gateway load balancers with state, listeners and target groups, and how many targets of each are healthy with `health`. One target after another, with reasons: loadBalancers.targetHealth.",
  scope: "region",
  foreignText: true,
  input: z.object({
    loadBalancerArn: Arn.optional(),
    names: z.array(z.string().min(1).max(32)).min(1).max(20).optional(),
    health: z.boolean().optional().describe("Count the targets of each target group by state"),
    fields: z.array(z.enum(MORE)).optional(),
    limit: z.number().int().min(1).max(25).default(8),
    cursor: z.string().optional(),
  }),
  output: z.object({
    count: z.number(),
    loadBalancers: z.array(z.object({})),
    unknown: z.array(z.object({})).optional(),
    nextCursor: z.string().optional(),
  }),
  everywhere: { rows: "loadBalancers", sum: ["count"] },
  async run({ cursor, limit, health = false, fields = [], ...query }, { aws, now, revision }) {
    if (query.names && query.loadBalancerArn) {
      throw new OpsError("validation_error", "names: give names or one loadBalancerArn, not both.", { field: "names" });
    }
    const question = { ...query, account: aws.account, region: aws.region };
    const page = await aws.list("AWS::ElasticLoadBalancingV2::LoadBalancer", {
      limit,
      ...(query.loadBalancerArn ? { ids: [query.loadBalancerArn] } : {}),
      ...(query.names ? { filters: { name: query.names } } : {}),
      ...(cursor ? { cursor: decodeCursor(cursor, question, now) } : {}),
    });
    if (page.items.length === 0 && (query.names || query.loadBalancerArn)) {
      throw notFound(aws, "load balancer", query.names ? "names" : "loadBalancerArn");
    }
    const absent = query.names?.filter((name) => page.items.every((one) => one.name !== name)) ?? [];
    const unknown: Unknown[] = [];
    const rows: JsonObject[] = [];
    const names = [...HEAD, ...fields];
    const seen = page.items.map(
      (one): Seen => ({
        ref: refOf(aws, "LoadBalancer", one.loadBalancerArn),
        reader: "service",
        content: one as unknown as JsonObject,
        shown: names.map((name) => `/${name}`),
      }),
    );
    for (const [index, balancer] of page.items.entries()) {
      const { loadBalancerArn } = balancer;
      const [listeners, groups] = await Promise.all([
        aws.balancing.listeners(loadBalancerArn),
        aws.balancing.targetGroups({ loadBalancerArns: [loadBalancerArn] }),
      ]);
      const counts = groups.known && health ? await healthOf(aws, groups.value) : new Map<string, Counted>();
      unknown.push(...missing("listeners", listeners), ...missing("targetGroups", groups));
      for (const counted of counts.values()) unknown.push(...missing("targetHealth", counted));
      rows.push({
        ...picked(balancer, names),
        ...(listeners.known ? { listeners: listeners.value.map((one) => listenerRow(one, groups)) } : {}),
        ...(groups.known ? { targetGroups: groups.value.map((group) => groupRow(group, counts)) } : {}),
        revision: revision(seen[index]!),
      });
    }
    return {
      data: {
        count: rows.length,
        loadBalancers: rows,
        ...(absent.length > 0 ? { notFound: absent } : {}),
        ...(unknown.length > 0 ? { unknown: onlyOnce(unknown) as unknown as JsonObject[] } : {}),
        ...(page.next ? { nextCursor: encodeCursor(page.next, question, now) } : {}),
      },
      seen,
      complete: !page.next && !cursor,
    };
  },
});

type Counted = Known<readonly TargetHealth[]>;

const missing = (what: string, fact: Known<unknown>): Unknown[] => (fact.known ? [] : [unknownOf(what, fact)]);

const onlyOnce = (unknown: readonly Unknown[]): Unknown[] => [
  ...new Map(unknown.map((one) => [JSON.stringify(one), one])).values(),
];

async function healthOf(aws: AwsReader, groups: readonly TargetGroupHead[]): Promise<Map<string, Counted>> {
  const all = groups.map(
    async ({ targetGroupArn }) => [targetGroupArn, await aws.balancing.health(targetGroupArn)] as const,
  );
  return new Map(await Promise.all(all));
}

const picked = (balancer: LoadBalancer, names: readonly (keyof LoadBalancer)[]): JsonObject =>
  Object.fromEntries(
    names.flatMap((name) => (balancer[name] === undefined ? [] : [[name, balancer[name]]])),
  ) as JsonObject;

/** A listener in a line of data: where it listens, and which target groups it sends to, by name where that is known. */
function listenerRow({ protocol, port, actions }: Listener, groups: Known<readonly TargetGroupHead[]>): JsonObject {
  const nameOf = (arn: string): string =>
    (groups.known ? groups.value.find(({ targetGroupArn }) => targetGroupArn === arn)?.name : undefined) ?? arn;
  return {
    ...(protocol !== undefined && { protocol }),
    ...(port !== undefined && { port }),
    actions: actions.map(({ type, targetGroups = [] }) => ({
      type,
      ...(targetGroups.length > 0 && {
        to: targetGroups.map(({ targetGroupArn, weight }) => ({
          targetGroup: nameOf(targetGroupArn),
          ...(weight !== undefined && targetGroups.length > 1 && { weight }),
        })),
      }),
    })),
  };
}

function groupRow(group: TargetGroupHead, counts: ReadonlyMap<string, Counted>): JsonObject {
  const { targetGroupArn, name, protocol, port, targetType } = group;
  const counted = counts.get(targetGroupArn);
  return {
    name,
    targetGroupArn,
    targetType,
    ...(protocol !== undefined && { protocol }),
    ...(port !== undefined && { port }),
    ...(counted?.known && { targets: countStates(counted.value) }),
  };
}

const targetHealth = read({
  title: "Get the health of targets",
  description:
    "Every target of a target group with its state and AWS's reason, unhealthy ones first, and the health check they are measured by. By `targetGroupArn` or `targetGroupName`, or of one load balancer.",
  scope: "region",
  foreignText: true,
  input: z.object({
    targetGroupArn: Arn.optional(),
    targetGroupName: z.string().min(1).max(32).optional(),
    loadBalancerArn: Arn.optional(),
    states: z
      .array(z.enum(["healthy", "unhealthy", "initial", "draining", "unused", "unavailable"]))
      .min(1)
      .optional(),
    limit: z.number().int().min(1).max(200).default(40).describe("Targets of each group"),
  }),
  output: z.object({ count: z.number(), targetGroups: z.array(z.object({})) }),
  async run({ states, limit, ...which }, { aws, revision }) {
    const arns = await groupArns(aws, which);
    const groups = await Promise.all(arns.map((arn) => aws.get("AWS::ElasticLoadBalancingV2::TargetGroup", arn)));
    const found = groups.filter((group): group is TargetGroup => group !== null);
    if (found.length === 0) {
      throw notFound(
        aws,
        "target group",
        Object.keys(which).find((key) => which[key as keyof typeof which]) ?? "targetGroupArn",
      );
    }
    const seen = found.map(
      (group): Seen => ({
        ref: refOf(aws, "TargetGroup", group.targetGroupArn),
        reader: "service",
        content: group as unknown as JsonObject,
      }),
    );
    return {
      data: {
        count: found.length,
        targetGroups: found.map((group, index) => {
          const wanted = group.targets.filter(({ state }) => !states || states.includes(state as never));
          const targets = [...wanted].sort((a, b) => worst(a) - worst(b)).slice(0, limit);
          const { targets: _, ...head } = group;
          return {
            ...head,
            byState: countStates(group.targets),
            targets,
            ...(wanted.length > targets.length && { targetsNotShown: wanted.length - targets.length }),
            revision: revision(seen[index]!),
          };
        }) as unknown as JsonObject[],
      },
      seen,
      complete: true,
    };
  },
});

const ORDER = ["unhealthy", "unavailable", "initial", "draining", "unused", "healthy"];
const worst = ({ state }: TargetHealth): number => ORDER.indexOf(state);

async function groupArns(
  aws: AwsReader,
  which: {
    targetGroupArn?: string | undefined;
    targetGroupName?: string | undefined;
    loadBalancerArn?: string | undefined;
  },
): Promise<readonly string[]> {
  const given = Object.values(which).filter((value) => value !== undefined);
  if (given.length !== 1) {
    throw new OpsError(
      "validation_error",
      "targetGroupArn: give exactly one of targetGroupArn, targetGroupName and loadBalancerArn.",
      {
        field: "targetGroupArn",
        details: { given: Object.keys(which).filter((key) => which[key as keyof typeof which] !== undefined) },
        next: [{ tool: "loadBalancers.list", arguments: { region: aws.region } }],
      },
    );
  }
  if (which.targetGroupArn) return [which.targetGroupArn];
  const groups = await aws.balancing.targetGroups(
    which.targetGroupName ? { names: [which.targetGroupName] } : { loadBalancerArns: [which.loadBalancerArn!] },
  );
  if (groups.known) return groups.value.map(({ targetGroupArn }) => targetGroupArn);
  throw new OpsError(groups.because, "The target groups could not be read, so nothing is known of their targets.", {
    details: { ...(groups.action !== undefined && { action: groups.action }) },
  });
}

const notFound = (aws: AwsReader, what: string, field: string): OpsError =>
  new OpsError(
    "not_found",
    `Account ${aws.account} has no such ${what} in ${aws.region}. It may be in another region, or gone.`,
    {
      field,
      details: { rid: ridOf(refOf(aws, what === "target group" ? "TargetGroup" : "LoadBalancer", "")) },
      next: [{ tool: "loadBalancers.list", arguments: { region: aws.region } }],
    },
  );

export const loadBalancers = domain("loadBalancers", { list, targetHealth }, []);
