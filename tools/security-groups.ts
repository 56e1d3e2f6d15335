// Security groups: rules by id, never by list, so that nobody's rule disappears unseen.

import { z } from "zod";
import { isWorld } from "../policies/types.js";
import { type ChangeStep, type ResourceRef, ridOf, type Seen } from "../src/core/change.js";
import { canonicalCidr } from "../src/core/cidr.js";
import { type GroupUser, type Rule, SecurityGroup, showRule } from "../src/core/content/security-groups.js";
import { decodeCursor, encodeCursor } from "../src/core/cursor.js";
import { OpsError } from "../src/core/errors.js";
import { literal } from "../src/core/filters.js";
import type { JsonObject } from "../src/core/json.js";
import type { AwsReader, SeenRecord } from "../src/core/ports.js";
import { OPERATION_MARK } from "../src/core/tags.js";
import { data, domain, plan, read } from "../src/core/tool.js";
import { authorizeStep, revokeStep, sameTraffic } from "../state/converge.js";

const GroupId = z.string().regex(/^sg-[0-9a-z]{3,17}$/, "must look like sg-0123456789abcdef0");
const RuleId = z.string().regex(/^sgr-[0-9a-z]{3,17}$/, "must look like sgr-0123456789abcdef0");
const CIDR_OR_ID = /^(\d{1,3}(\.\d{1,3}){3}\/\d{1,2}|[0-9a-fA-F:]+\/\d{1,3}|(\d{12}\/)?sg-[0-9a-z]+|pl-[0-9a-z]+)$/;

const NewRule = z
  .strictObject({
    direction: z.enum(["ingress", "egress"]).default("ingress"),
    protocol: z
      .string()
      .regex(/^(tcp|udp|icmp|icmpv6|all|-1|\d{1,3})$/, "must be tcp, udp, icmp, icmpv6, all or a number")
      .default("tcp"),
    fromPort: z.number().int().min(-1).max(65_535).optional(),
    toPort: z.number().int().min(-1).max(65_535).optional().describe("Default: fromPort; ICMP: every code"),
    peer: z
      .string()
      .regex(CIDR_OR_ID, "must be a CIDR block, sg-… (of another account: 123456789012/sg-…) or pl-…")
      .describe("CIDR block, sg-… or pl-…"),
    description: data(z.string().max(255)).optional(),
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

const NUMBERED: Readonly<Record<string, string>> = { all: "-1", "1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6" };

/** Ports as AWS stores them: one is a range of one; of ICMP they are a type and a code, -1 for all; others have none. */
function portsOf(protocol: string, fromPort: number | undefined, toPort: number | undefined) {
  if (protocol === "icmp" || protocol === "icmpv6") return { fromPort: fromPort ?? -1, toPort: toPort ?? -1 };
  if (fromPort === undefined || (protocol !== "tcp" && protocol !== "udp")) return {};
  return { fromPort, toPort: toPort ?? fromPort };
}

/** As AWS stores it: protocols it has a name for are named, and a block of addresses has no bits of a host. */
function normalised(rule: {
  direction: "ingress" | "egress";
  protocol: string;
  fromPort?: number | undefined;
  toPort?: number | undefined;
  peer: string;
  description?: string | undefined;
}): RuleWanted {
  const protocol = NUMBERED[rule.protocol] ?? rule.protocol;
  return {
    direction: rule.direction,
    protocol,
    ...portsOf(protocol, rule.fromPort, rule.toPort),
    peer: canonicalCidr(rule.peer),
    ...(rule.description ? { description: rule.description } : {}),
  };
}

/** AWS names the account of a peer group only where it is another one. */
const asShown = (rule: RuleWanted, { account }: AwsReader): RuleWanted => ({
  ...rule,
  peer: rule.peer.replace(`${account}/sg-`, "sg-"),
});

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

/** World-open rules a row of a list names; the rest is counted. */
const MOST_OPEN = 5;

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
    fields: z
      .array(z.enum(["description", "tags"]))
      .optional()
      .describe("More of each group"),
    limit: z.number().int().min(5).max(100).default(25),
    cursor: z.string().optional(),
  }),
  output: z.object({
    count: z.number(),
    securityGroups: z.array(
      SecurityGroup.omit({ rules: true })
        .partial({ description: true, tags: true })
        .extend({
          ruleCount: z.number(),
          openToWorld: z.array(z.string()),
          moreOpen: z.number().optional(),
          revision: z.string(),
        }),
    ),
    nextCursor: z.string().optional(),
  }),
  everywhere: { rows: "securityGroups", sum: ["count"] },
  async run({ cursor, limit, fields = [], ...query }, { aws, now, revision }) {
    const filters: Record<string, readonly string[]> = {};
    if (query.groupIds) filters["group-id"] = query.groupIds;
    if (query.groupName) filters["group-name"] = [query.groupName];
    if (query.vpcId) filters["vpc-id"] = [query.vpcId];
    for (const [key, value] of Object.entries(query.tags ?? {})) filters[`tag:${key}`] = [literal(value)];
    const scope = { ...query, account: aws.account, region: aws.region };
    const page = await aws.list("AWS::EC2::SecurityGroup", {
      filters,
      limit,
      ...(cursor ? { cursor: decodeCursor(cursor, scope, now) } : {}),
    });
    const rows = page.items.map((group) => {
      const open = group.rules.filter(isWorldOpen).map(showRule);
      return {
        groupId: group.groupId,
        groupName: group.groupName,
        ...(group.vpcId ? { vpcId: group.vpcId } : {}),
        ...Object.fromEntries(fields.map((field) => [field, group[field]])),
        ruleCount: group.rules.length,
        openToWorld: open.slice(0, MOST_OPEN),
        ...(open.length > MOST_OPEN ? { moreOpen: open.length - MOST_OPEN } : {}),
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
        shown: ["/groupId", "/groupName", "/vpcId", ...fields.map((field) => `/${field}`)],
      })),
      complete: !page.next && !cursor,
    };
  },
});

/** Characters of rules in one answer unless more are asked for: with what stands around them about 4,000 tokens. */
const RULE_CHARACTERS = 9_000;
/** Users and references an answer names; the rest is counted. */
const MOST_USERS = 20;

const get = read({
  title: "Get a security group",
  description:
    "One group with its rules, their ids, and who uses it. Read it before any change. Long rule sets come in pages (`nextCursor`) or filtered; `revision` proves the rules you were shown, and a change takes no other one away.",
  scope: "region",
  foreignText: true,
  input: z.object({
    groupId: GroupId,
    direction: z.enum(["ingress", "egress"]).optional(),
    port: z.number().int().min(0).max(65_535).optional().describe("Rules that let this port through"),
    peer: z.string().transform(canonicalCidr).optional(),
    limit: z.number().int().min(1).max(200).optional().describe("Rules; default: as many as fit"),
    cursor: z.string().optional(),
  }),
  output: z.object({
    revision: z.string(),
    securityGroup: SecurityGroup,
    ruleCount: z.number(),
    notShown: z.number().optional(),
    usedBy: z.array(z.record(z.string(), z.unknown())),
    usedByCount: z.number(),
    referencedBy: z.array(z.string()),
    nextCursor: z.string().optional(),
  }),
  async run({ groupId, limit, cursor, ...wanted }, { aws, now, ledger, revision }) {
    const group = await existing(aws, groupId);
    const [users, references] = await Promise.all([aws.groupUsers(groupId), aws.groupReferences(groupId)]);
    const scope = { groupId, ...wanted, account: aws.account, region: aws.region };
    const after = cursor ? decodeCursor(cursor, scope, now) : "";
    const fitting = group.rules.filter((rule) => rule.ruleId > after && fits(rule, wanted));
    const page = fitting.slice(0, limit ?? roomFor(fitting));
    const whole = seenOf(aws, group);
    const revised = revision(whole);
    const seen = shownSoFar(whole, page, group, ledger.seen(revised)?.shown);
    const referencing = [...new Set(references.map((one) => one.groupId))];
    return {
      data: {
        revision: revised,
        securityGroup: { ...group, rules: page },
        ruleCount: group.rules.length,
        ...(page.length < group.rules.length ? { notShown: group.rules.length - page.length } : {}),
        usedBy: users.slice(0, MOST_USERS).map((user: GroupUser) => ({ ...user })),
        usedByCount: users.length,
        referencedBy: referencing.slice(0, MOST_USERS),
        ...(page.length < fitting.length ? { nextCursor: encodeCursor(page.at(-1)!.ruleId, scope, now) } : {}),
      },
      seen: [seen],
    };
  },
});

const fits = (
  rule: Rule,
  { direction, port, peer }: { direction?: string | undefined; port?: number | undefined; peer?: string | undefined },
): boolean =>
  (direction === undefined || rule.direction === direction) &&
  (peer === undefined || rule.peer === peer) &&
  (port === undefined ||
    ((rule.fromPort ?? 0) <= port && (rule.toPort ?? 65_535) >= port && !rule.protocol.startsWith("icmp")));

/** How many rules fit into one answer; one always does, so that pages go on. */
function roomFor(rules: readonly Rule[]): number {
  let characters = 0;
  const count = rules.findIndex((rule) => {
    characters += JSON.stringify(rule).length + 1;
    return characters > RULE_CHARACTERS;
  });
  return count === -1 ? rules.length : Math.max(count, 1);
}

/** What this revision has shown, with the pages before: once every rule was, the whole group was. */
function shownSoFar(whole: Seen, page: readonly Rule[], group: SecurityGroup, before: readonly string[] = []): Seen {
  const shown = new Set([...before, ...page.map(({ ruleId }) => rulePath(ruleId))]);
  if (before.includes("/rules") || group.rules.every(({ ruleId }) => shown.has(rulePath(ruleId)))) return whole;
  const { rules: _, ...rest } = group;
  return { ...whole, shown: [...Object.keys(rest).map((name) => `/${name}`), ...shown] };
}

const rulePath = (ruleId: string): string => `/rules/${ruleId}`;

/** As EC2 takes names and descriptions of groups. */
const GROUP_TEXT = /^[A-Za-z0-9 ._\-:/()#,@[\]+=&;{}!$*]+$/;

const create = plan({
  title: "Plan creating a security group",
  description:
    "Plan an empty group in a VPC; AWS lets all egress through by itself. Its rules come with securityGroups.addRule or update.",
  scope: "region",
  basedOn: "none",
  input: z.object({
    groupName: z
      .string()
      .max(255)
      .regex(GROUP_TEXT)
      .refine((text) => !text.startsWith("sg-"), "must not begin with sg-"),
    description: z.string().min(1).max(255).regex(GROUP_TEXT),
    vpcId: z.string().regex(/^vpc-[0-9a-f]{8,17}$/, "must look like vpc-0123456789abcdef0"),
    tags: z.record(z.string().min(1).max(128), z.string().max(256)).optional(),
  }),
  async propose({ groupName, description, vpcId, tags = {} }, { aws, mode }) {
    const same = await aws.list("AWS::EC2::SecurityGroup", {
      filters: { "group-name": [literal(groupName)], "vpc-id": [vpcId] },
    });
    const [there] = same.items;
    if (there) {
      throw new OpsError("already_exists", `${vpcId} has a group of this name already: ${there.groupId}.`, {
        field: "groupName",
        details: { groupId: there.groupId },
        next: [{ tool: "securityGroups.get", arguments: { groupId: there.groupId, region: aws.region } }],
      });
    }
    const all = { ...mode.defaultTags, ...tags };
    const Tags = [
      ...Object.entries(all).map(([Key, Value]) => ({ Key, Value })),
      ...(mode.defaultTags ? [{ Key: OPERATION_MARK, Value: "" }] : []),
    ];
    const desired = { groupName, description, vpcId, ...(Object.keys(all).length > 0 ? { tags: all } : {}) };
    return {
      summary: `Create a security group in ${vpcId}`,
      steps: [
        {
          service: "ec2",
          operation: "CreateSecurityGroup",
          input: {
            GroupName: groupName,
            Description: description,
            VpcId: vpcId,
            ...(Tags.length > 0 ? { TagSpecifications: [{ ResourceType: "security-group", Tags }] } : {}),
          },
          ref: refOf(aws, ""),
          reader: "service",
          kind: "create",
          before: null,
          after: desired,
          touches: [""],
          desired,
        },
      ],
      warnings: [],
    };
  },
});

const remove = plan({
  title: "Plan deleting a security group",
  description:
    "Plan the deletion of a group that nothing uses. Refused, with the users named, while a network interface carries it or another group's rule names it.",
  scope: "region",
  basedOn: "one",
  input: z.object({ groupId: GroupId }),
  async propose({ groupId }, { aws }) {
    const group = await existing(aws, groupId);
    if (group.groupName === "default") {
      throw new OpsError("unsupported", `${groupId} is the default group of its network, which AWS never deletes.`, {
        field: "groupId",
      });
    }
    const [users, references] = await Promise.all([aws.groupUsers(groupId), aws.groupReferences(groupId)]);
    if (users.length > 0 || references.length > 0) {
      const who = [
        ...(users.length > 0 ? [`${users.length} network interface(s) carry it`] : []),
        ...(references.length > 0 ? [`${references.length} rule set(s) of other groups name it`] : []),
      ].join(" and ");
      throw new OpsError(
        "in_use",
        `${groupId} is in use: ${who}. Nothing was planned. Take it off them first, each by its own plan.`,
        {
          field: "groupId",
          details: {
            usedBy: {
              networkInterfaces: users.slice(0, MOST_USERS).map((user) => ({ ...user })),
              groups: references.slice(0, MOST_USERS).map((one) => ({ ...one })),
            },
          },
          next: [
            references[0]
              ? {
                  tool: "securityGroups.get",
                  arguments: { groupId: references[0].groupId, peer: groupId, region: aws.region },
                }
              : { tool: "securityGroups.get", arguments: { groupId, region: aws.region } },
          ],
        },
      );
    }
    return {
      summary: `Delete security group ${groupId} with its ${group.rules.length} rules`,
      steps: [
        {
          service: "ec2",
          operation: "DeleteSecurityGroup",
          input: { GroupId: groupId },
          ref: refOf(aws, groupId),
          reader: "service",
          kind: "delete",
          before: group as JsonObject,
          after: null,
          touches: [""],
        },
      ],
      warnings: ["A deleted group does not come back: a new one has another id."],
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
  async propose({ groupId, rule: given }, { aws }) {
    const rule = asShown(given, aws);
    const group = await existing(aws, groupId);
    const same = group.rules.find((other) => sameTraffic(other, rule));
    if (same) {
      throw new OpsError(
        "rule_exists",
        `${groupId} already allows ${showRule(rule)} by rule ${same.ruleId}. Nothing was planned, and nothing is needed.`,
        {
          field: "rule",
          details: { rule: same },
          next: [{ tool: "securityGroups.get", arguments: { groupId, region: aws.region } }],
        },
      );
    }
    const step = authorizeStep(group, refOf(aws, groupId), [rule], rule.direction);
    // By these names the caller knows the group; rules that bear on the same traffic are found when it is applied.
    const touches = ["/groupId", "/groupName", "/tags/Name"];
    return { summary: `Add ${showRule(rule)} to ${groupId}`, steps: [{ ...step, touches }], warnings: [] };
  },
});

const removeRule = plan({
  title: "Plan removing a security group rule",
  description: "Plan removing one rule, and no other, by its id as securityGroups.get showed it.",
  scope: "region",
  basedOn: "one",
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
    // An id stays when its rule is modified: the caller has to have seen this rule as it is, and no other one.
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
  async propose({ groupId, rules: given, direction }, { aws, basedOn }) {
    const rules = given.map((rule) => asShown(rule, aws));
    const group = await existing(aws, groupId);
    const stray = rules.find((rule) => direction !== "both" && rule.direction !== direction);
    if (stray) {
      throw new OpsError("validation_error", `The list stands for ${direction} rules and holds ${showRule(stray)}.`, {
        field: "rules",
      });
    }
    const record = basedOn.get(ridOf(refOf(aws, groupId)));
    const { shownIds, touches } = judgedOn(record);
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
          ? kept.length === 0
            ? `${groupId} already has exactly these ${direction} rules.`
            : `Nothing to change: ${kept.length} ${direction} rules of ${groupId} beyond the list were not shown to you by this revision, and stay.`
          : `Replace the ${direction} rules of ${groupId}: add ${added.length}, remove ${removed.length}, keep ${concerned.length - removed.length}`,
      basis: [{ ref: refOf(aws, groupId), reader: "service", before: group as JsonObject, touches }],
      // What was shown is what the caller judged: an outside change of any of it makes the plan stale.
      steps: steps.map((step) => ({ ...step, before: group as JsonObject, touches })),
      warnings: [
        ...kept
          .slice(0, MOST_NAMED)
          .map((rule) => `${rule.ruleId} (${showRule(rule)}) stays: your revision did not show it.`),
        ...(kept.length > MOST_NAMED
          ? [`${kept.length - MOST_NAMED} more rules stay: your revision did not show them.`]
          : []),
      ],
      facts: {
        adds: added.map(showRule),
        removes: removed.map(named),
        keeps: kept.slice(0, MOST_NAMED).map(named),
        ...(kept.length > MOST_NAMED ? { keepsMore: kept.length - MOST_NAMED } : {}),
      },
    };
  },
});

/** Rules that stay although the list leaves them out, of which a plan names so many. */
const MOST_NAMED = 20;

const named = (rule: Rule): string => `${rule.ruleId}: ${showRule(rule)}`;

/** The rules a revision showed, and the paths a judgement from it rests on: only those, where it did not show all. */
function judgedOn(record: SeenRecord | undefined): { shownIds: ReadonlySet<string>; touches: readonly string[] } {
  const rules = (record?.content as SecurityGroup | undefined)?.rules ?? [];
  const paths = record?.shown;
  const shown = paths ? rules.filter(({ ruleId }) => paths.includes(rulePath(ruleId))) : rules;
  const partly = paths !== undefined && shown.length > 0;
  return {
    shownIds: new Set(shown.map(({ ruleId }) => ruleId)),
    touches: partly ? shown.map(({ ruleId }) => rulePath(ruleId)) : ["/rules"],
  };
}

const isWorldOpen = (rule: Rule): boolean => rule.direction === "ingress" && isWorld(rule.peer);

async function existing(aws: AwsReader, groupId: string): Promise<SecurityGroup> {
  const group = await aws.get("AWS::EC2::SecurityGroup", groupId);
  if (group) return group;
  throw new OpsError("not_found", `There is no security group ${groupId} in account ${aws.account}, ${aws.region}.`, {
    field: "groupId",
    next: [{ tool: "securityGroups.list", arguments: { region: aws.region } }],
  });
}

export const securityGroups = domain(
  "securityGroups",
  { list, get, addRule, removeRule, update, create, delete: remove },
  ["list", "get", "addRule", "removeRule"],
);
