// Security groups: rules by id, never by list, so that nobody's rule disappears unseen.

import { z } from "zod";
import { isWorld } from "../policies/types.js";
import { type ChangeStep, type ResourceRef, ridOf, type Seen } from "../src/core/change.js";
import { type GroupUser, type Rule, SecurityGroup, showRule } from "../src/core/content/security-groups.js";
import { decodeCursor, encodeCursor } from "../src/core/cursor.js";
import { OpsError } from "../src/core/errors.js";
import type { JsonObject } from "../src/core/json.js";
import type { AwsReader } from "../src/core/ports.js";
import { domain, plan, read } from "../src/core/tool.js";
import { authorizeStep, revokeStep, sameTraffic } from "../state/converge.js";

const GroupId = z.string().regex(/^sg-[0-9a-z]{3,17}$/, "must look like sg-0123456789abcdef0");
const RuleId = z.string().regex(/^sgr-[0-9a-z]{3,17}$/, "must look like sgr-0123456789abcdef0");
const CIDR_OR_ID = /^(\d{1,3}(\.\d{1,3}){3}\/\d{1,2}|[0-9a-fA-F:]+\/\d{1,3}|sg-[0-9a-z]+|pl-[0-9a-z]+)$/;

const NewRule = z
  .strictObject({
    direction: z.enum(["ingress", "egress"]).default("ingress"),
    protocol: z
      .string()
      .regex(/^(tcp|udp|icmp|icmpv6|all|-1|\d{1,3})$/, "must be tcp, udp, icmp, icmpv6, all or a number")
      .default("tcp"),
    fromPort: z.number().int().min(-1).max(65_535).optional(),
    toPort: z.number().int().min(-1).max(65_535).optional().describe("Default: fromPort"),
    peer: z.string().regex(CIDR_OR_ID, "must be a CIDR block, sg-… or pl-…").describe("CIDR block, sg-… or pl-…"),
    description: z.string().max(255).optional(),
  })
  .transform(normalised)
  .superRefine((rule, context) => {
    const needsPorts = rule.protocol === "tcp" || rule.protocol === "udp";
    if (needsPorts && rule.fromPort === undefined) {
      context.addIssue({ code: "custom", path: ["fromPort"], message: `is needed for ${rule.protocol}` });
    }
    if (needsPorts && rule.toPort !== undefined && rule.fromPort !== undefined && rule.toPort < rule.fromPort) {
      context.addIssue({ code: "custom", path: ["toPort"], message: "must not be below fromPort" });
    }
  });

type RuleWanted = Omit<Rule, "ruleId">;

/** As AWS stores it: `all` is -1 and carries no ports, one port is a range of one. */
function normalised(rule: {
  direction: "ingress" | "egress";
  protocol: string;
  fromPort?: number | undefined;
  toPort?: number | undefined;
  peer: string;
  description?: string | undefined;
}): RuleWanted {
  const protocol = rule.protocol === "all" ? "-1" : rule.protocol;
  const ports =
    protocol === "-1" || rule.fromPort === undefined
      ? {}
      : { fromPort: rule.fromPort, toPort: rule.toPort ?? rule.fromPort };
  return {
    direction: rule.direction,
    protocol,
    ...ports,
    peer: rule.peer,
    ...(rule.description ? { description: rule.description } : {}),
  };
}

const refOf = (aws: AwsReader, id: string): ResourceRef => ({
  account: aws.account,
  region: aws.region,
  type: "AWS::EC2::SecurityGroup",
  id,
});

const seenOf = (aws: AwsReader, group: SecurityGroup): Seen => ({
  ref: refOf(aws, group.groupId),
  reader: "service",
  content: group as JsonObject,
});

const list = read({
  title: "List security groups",
  description:
    "Security groups with the number of their rules and the ingress open to the internet. The rules themselves come from securityGroups.get, and so does the revision a change needs.",
  scope: "region",
  foreignText: true,
  input: z.object({
    groupIds: z.array(GroupId).min(1).max(100).optional(),
    groupName: z.string().optional(),
    vpcId: z.string().optional(),
    tags: z.record(z.string(), z.string()).optional(),
    limit: z.number().int().min(5).max(100).default(25),
    cursor: z.string().optional(),
  }),
  output: z.object({
    count: z.number(),
    securityGroups: z.array(
      SecurityGroup.omit({ rules: true }).extend({
        ruleCount: z.number(),
        openToWorld: z.array(z.string()),
        revision: z.string(),
      }),
    ),
    nextCursor: z.string().optional(),
  }),
  everywhere: { rows: "securityGroups", sum: ["count"] },
  async run({ cursor, limit, ...query }, { aws, now, revision }) {
    const filters: Record<string, readonly string[]> = {};
    if (query.groupIds) filters["group-id"] = query.groupIds;
    if (query.groupName) filters["group-name"] = [query.groupName];
    if (query.vpcId) filters["vpc-id"] = [query.vpcId];
    for (const [key, value] of Object.entries(query.tags ?? {})) filters[`tag:${key}`] = [value];
    const scope = { ...query, account: aws.account, region: aws.region };
    const page = await aws.list("AWS::EC2::SecurityGroup", {
      filters,
      limit,
      ...(cursor ? { cursor: decodeCursor(cursor, scope, now) } : {}),
    });
    const rows = page.items.map((group) => {
      const { rules, ...shown } = group;
      return {
        ...shown,
        ruleCount: rules.length,
        openToWorld: rules.filter(isWorldOpen).map(showRule),
        revision: revision(seenOf(aws, group)),
      };
    });
    return {
      data: {
        count: rows.length,
        securityGroups: rows,
        ...(page.next ? { nextCursor: encodeCursor(page.next, scope, now) } : {}),
      },
      seen: page.items.map((group) => ({
        ...seenOf(aws, group),
        shown: ["/groupId", "/groupName", "/description", "/vpcId", "/tags"],
      })),
      complete: !page.next && !cursor,
    };
  },
});

const get = read({
  title: "Get a security group",
  description: "One group with every rule, its rule id, and who uses the group. Read it before any change.",
  scope: "region",
  foreignText: true,
  input: z.object({ groupId: GroupId }),
  output: z.object({
    revision: z.string(),
    securityGroup: SecurityGroup,
    usedBy: z.array(z.record(z.string(), z.unknown())),
  }),
  async run({ groupId }, { aws, revision }) {
    const group = await existing(aws, groupId);
    const usedBy = await aws.groupUsers(groupId);
    const seen = seenOf(aws, group);
    return {
      data: { revision: revision(seen), securityGroup: group, usedBy: usedBy.map((user: GroupUser) => ({ ...user })) },
      seen: [seen],
    };
  },
});

const addRule = plan({
  title: "Plan adding a security group rule",
  description:
    "Plan one ingress or egress rule. For a whole rule set use securityGroups.update. Opening to the internet raises the risk.",
  scope: "region",
  basedOn: "none",
  input: z.object({ groupId: GroupId, rule: NewRule }),
  async propose({ groupId, rule }, { aws }) {
    const group = await existing(aws, groupId);
    const same = group.rules.find((other) => sameTraffic(other, rule));
    if (same) {
      throw new OpsError("rule_exists", `${groupId} already allows ${showRule(rule)} by rule ${same.ruleId}.`, {
        field: "rule",
        details: { rule: same },
      });
    }
    const step = authorizeStep(group, refOf(aws, groupId), [rule], rule.direction);
    // By these names the caller knows the group; rules that bear on the same traffic are found when it is applied.
    const touches = ["/groupId", "/groupName", "/tags/Name"];
    return { summary: `Add ${showRule(rule)} to ${groupId}`, steps: [{ ...step, touches }], warnings: [] };
  },
});

const removeRule = plan({
  title: "Plan removing a security group rule",
  description: "Plan the removal of one rule by its id from securityGroups.get. No other rule is touched.",
  scope: "region",
  basedOn: "none",
  input: z.object({ groupId: GroupId, ruleId: RuleId }),
  async propose({ groupId, ruleId }, { aws }) {
    const group = await existing(aws, groupId);
    const rule = group.rules.find((other) => other.ruleId === ruleId);
    if (!rule) {
      throw new OpsError("not_found", `${groupId} has no rule ${ruleId}. Read the group again for its rule ids.`, {
        field: "ruleId",
        next: [{ tool: "securityGroups.get", arguments: { groupId, region: aws.region } }],
      });
    }
    const step = revokeStep(group, refOf(aws, groupId), [rule], rule.direction);
    return { summary: `Remove ${showRule(rule)} (${ruleId}) from ${groupId}`, steps: [step], warnings: [] };
  },
});

const update = plan({
  title: "Plan replacing a security group's rules",
  description:
    "Plan a whole desired rule set for one direction. Rules you leave out are removed only if the revision in `basedOn` showed them to you; any other rule stays, and the answer says so.",
  scope: "region",
  basedOn: "one",
  input: z.object({
    groupId: GroupId,
    rules: z.array(NewRule).max(200).describe("Every rule that shall remain in this direction"),
    direction: z.enum(["ingress", "egress", "both"]).default("ingress").describe("Which rules the list stands for"),
  }),
  async propose({ groupId, rules, direction }, { aws, basedOn }) {
    const group = await existing(aws, groupId);
    const stray = rules.find((rule) => direction !== "both" && rule.direction !== direction);
    if (stray) {
      throw new OpsError("validation_error", `The list stands for ${direction} rules and holds ${showRule(stray)}.`, {
        field: "rules",
      });
    }
    const shown = basedOn.get(ridOf(refOf(aws, groupId)))?.content as SecurityGroup | undefined;
    const shownIds = new Set(shown?.rules.map((rule) => rule.ruleId));
    const concerned = group.rules.filter((rule) => direction === "both" || rule.direction === direction);
    const leftOut = concerned.filter((rule) => !rules.some((wanted) => sameTraffic(wanted, rule)));
    const removed = leftOut.filter((rule) => shownIds.has(rule.ruleId));
    const kept = leftOut.filter((rule) => !shownIds.has(rule.ruleId));
    const added = rules.filter((wanted) => !concerned.some((rule) => sameTraffic(wanted, rule)));
    const steps: ChangeStep[] = [];
    let current = group;
    const put = (step: ChangeStep) => {
      steps.push(step);
      current = step.after as unknown as SecurityGroup;
    };
    for (const way of ["ingress", "egress"] as const) {
      const some = added.filter((rule) => rule.direction === way);
      if (some.length > 0) put(authorizeStep(current, refOf(aws, groupId), some, way));
    }
    for (const way of ["ingress", "egress"] as const) {
      const some = removed.filter((rule) => rule.direction === way);
      if (some.length > 0) put(revokeStep(current, refOf(aws, groupId), some, way));
    }
    return {
      summary:
        steps.length === 0
          ? `${groupId} already has exactly these ${direction} rules.`
          : `Replace the ${direction} rules of ${groupId}: add ${added.length}, remove ${removed.length}, keep ${concerned.length - removed.length}`,
      basis: [{ ref: refOf(aws, groupId), reader: "service", before: group as JsonObject, touches: ["/rules"] }],
      // The whole rule set is what the caller judged: an outside change of any rule makes the plan stale.
      steps: steps.map((step) => ({ ...step, before: group as JsonObject, touches: ["/rules"] })),
      warnings: kept.map((rule) => `${rule.ruleId} (${showRule(rule)}) stays: your revision did not show it.`),
      facts: {
        adds: added.map(showRule),
        removes: removed.map((rule) => `${rule.ruleId}: ${showRule(rule)}`),
        keeps: kept.map((rule) => `${rule.ruleId}: ${showRule(rule)}`),
      },
    };
  },
});

const isWorldOpen = (rule: Rule): boolean => rule.direction === "ingress" && isWorld(rule.peer);

async function existing(aws: AwsReader, groupId: string): Promise<SecurityGroup> {
  const group = await aws.get("AWS::EC2::SecurityGroup", groupId);
  if (group) return group;
  throw new OpsError("not_found", `There is no security group ${groupId} in account ${aws.account}, ${aws.region}.`, {
    field: "groupId",
    next: [{ tool: "securityGroups.list", arguments: { region: aws.region } }],
  });
}

export const securityGroups = domain("securityGroups", { list, get, addRule, removeRule, update }, [
  "list",
  "get",
  "addRule",
  "removeRule",
]);
