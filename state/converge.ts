// From what is to what shall be, as steps. Access is given before other access is taken, so nothing breaks in between.

import type { ChangeStep, ReaderName, ResourceRef } from "../src/core/change.js";
import type { AutoScalingGroup } from "../src/core/content/auto-scaling.js";
import type { EcsService } from "../src/core/content/deployments.js";
import type { Rule, SecurityGroup } from "../src/core/content/security-groups.js";
import type { Contents, ResourceSchema } from "../src/core/content.js";
import {
  type Difference,
  diff,
  escapePointer,
  isObject,
  type Json,
  type JsonObject,
  type PatchOp,
  pointerSegments,
  sameJson,
} from "../src/core/json.js";
import { isOwnType } from "../src/core/own-types.js";
import { convergeService, notByToken } from "./converge-deployments.js";
import type { Converged } from "./converged.js";
import { convergeDatabase, tagSteps as databaseTagSteps } from "./databases.js";
import { sameTraffic, trafficOf } from "./desired.js";
import { patchFor } from "./patch.js";
import { taggingSteps } from "./tagging-steps.js";

export { sameTraffic, trafficOf } from "./desired.js";

export type RuleWanted = Omit<Rule, "ruleId"> & { readonly ruleId?: string };
export type Direction = Rule["direction"];

const cap = (direction: Direction): "Ingress" | "Egress" => (direction === "ingress" ? "Ingress" : "Egress");

const PEER_GROUP = /^(?:(?<UserId>\d{12})\/)?(?<GroupId>sg-.+)$/;

function permission({ protocol, fromPort, toPort, peer, description }: RuleWanted): JsonObject {
  const Description: JsonObject = description === undefined ? {} : { Description: description };
  return {
    IpProtocol: protocol,
    ...(fromPort !== undefined && { FromPort: fromPort }),
    ...(toPort !== undefined && { ToPort: toPort }),
    ...(PEER_GROUP.test(peer)
      ? { UserIdGroupPairs: [{ ...PEER_GROUP.exec(peer)?.groups, ...Description }] }
      : peer.startsWith("pl-")
        ? { PrefixListIds: [{ PrefixListId: peer, ...Description }] }
        : peer.includes(":")
          ? { Ipv6Ranges: [{ CidrIpv6: peer, ...Description }] }
          : { IpRanges: [{ CidrIp: peer, ...Description }] }),
  };
}

const content = (group: SecurityGroup): JsonObject => group as unknown as JsonObject;

/** Rules that AWS has not numbered yet get names of ours, unlike any of AWS's. */
function withRules(group: SecurityGroup, rules: readonly RuleWanted[]): SecurityGroup {
  const first = group.rules.filter(({ ruleId }) => ruleId.startsWith("new-")).length + 1;
  return {
    ...group,
    rules: [...group.rules, ...rules.map((rule, index) => ({ ...rule, ruleId: `new-${first + index}` }))],
  };
}

/**
 * Adds rules of one direction to a security group. It depends on no rule that is there: whoever changes another one
 * meanwhile is not in its way, and AWS itself refuses a rule that exists.
 */
export function authorizeStep(
  group: SecurityGroup,
  ref: ResourceRef,
  rules: readonly RuleWanted[],
  direction: Direction,
): ChangeStep {
  const wanted = rules.map(({ ruleId: _, ...rule }) => rule);
  return {
    service: "ec2",
    operation: `AuthorizeSecurityGroup${cap(direction)}`,
    input: { GroupId: ref.id, IpPermissions: wanted.map(permission) },
    ref,
    reader: "service",
    kind: "update",
    before: content(group),
    after: content(withRules(group, wanted)),
    touches: ["/groupId"],
    desired: { rules: wanted as unknown as Json },
  };
}

/** Removes rules of one direction by their ids: a rule that was not named cannot go with them. */
export function revokeStep(
  group: SecurityGroup,
  ref: ResourceRef,
  rules: readonly Rule[],
  direction: Direction,
): ChangeStep {
  const ids = rules.map(({ ruleId }) => ruleId);
  return {
    service: "ec2",
    operation: `RevokeSecurityGroup${cap(direction)}`,
    input: { GroupId: ref.id, SecurityGroupRuleIds: ids },
    ref,
    reader: "service",
    kind: "update",
    before: content(group),
    after: content({ ...group, rules: group.rules.filter(({ ruleId }) => !ids.includes(ruleId)) }),
    touches: ids.map((id) => `/rules/${id}`),
  };
}

/** Changes descriptions by rule id. This call cannot change what traffic a rule lets through. */
export function describeStep(
  group: SecurityGroup,
  ref: ResourceRef,
  rules: readonly Rule[],
  direction: Direction,
): ChangeStep {
  const described = new Map(rules.map((rule) => [rule.ruleId, rule]));
  return {
    service: "ec2",
    operation: `UpdateSecurityGroupRuleDescriptions${cap(direction)}`,
    input: {
      GroupId: ref.id,
      SecurityGroupRuleDescriptions: rules.map(({ ruleId, description = "" }) => ({
        SecurityGroupRuleId: ruleId,
        Description: description,
      })),
    },
    ref,
    reader: "service",
    kind: "update",
    before: content(group),
    after: content({ ...group, rules: group.rules.map((rule) => described.get(rule.ruleId) ?? rule) }),
    touches: [...described.keys()].map((id) => `/rules/${id}`),
    desired: { rules: rules.map(({ ruleId: _, ...rule }) => rule) as unknown as Json },
  };
}

/** Sets and removes tags of an EC2 resource. */
function tagSteps<C extends { readonly tags: Readonly<Record<string, string>> }>(
  live: C,
  target: C,
  ref: ResourceRef,
): ChangeStep[] {
  const ours = (tags: C["tags"]) => Object.entries(tags).filter(([key]) => !key.startsWith("aws:"));
  const set = ours(target.tags).filter(([key, value]) => live.tags[key] !== value);
  const gone = ours(live.tags).filter(([key]) => !Object.hasOwn(target.tags, key));
  const steps: ChangeStep[] = [];
  let current = live;
  const put = (
    operation: string,
    entries: [string, string][],
    tags: Record<string, string>,
    desired?: JsonObject,
  ): void => {
    const after = { ...current, tags };
    steps.push({
      service: "ec2",
      operation,
      input: { Resources: [ref.id], Tags: entries.map(([Key, Value]) => ({ Key, Value })) },
      ref,
      reader: "service",
      kind: "update",
      before: current as unknown as JsonObject,
      after: after as unknown as JsonObject,
      touches: entries.map(([key]) => `/tags/${escapePointer(key)}`),
      ...(desired && { desired }),
    });
    current = after;
  };
  if (set.length > 0) {
    const tags = Object.fromEntries(set);
    put("CreateTags", set, { ...current.tags, ...tags }, { tags });
  }
  if (gone.length > 0) {
    const names = new Set(gone.map(([key]) => key));
    put("DeleteTags", gone, Object.fromEntries(Object.entries(current.tags).filter(([key]) => !names.has(key))));
  }
  return steps;
}

/** One Cloud Control update: the patch as an array, its guards included; the executor makes the string of it. */
export function updateStep({
  ref,
  live,
  target,
  desired,
  patch,
}: {
  readonly ref: ResourceRef;
  readonly live: JsonObject;
  readonly target: JsonObject;
  readonly desired?: JsonObject;
  readonly patch: readonly PatchOp[];
}): ChangeStep {
  return {
    service: "cloudcontrol",
    operation: "UpdateResource",
    input: { TypeName: ref.type, Identifier: ref.id, PatchDocument: patch as unknown as Json },
    ref,
    reader: "cloudcontrol",
    kind: "update",
    before: live,
    after: target,
    touches: [...new Set(patch.map(({ path }) => wholeArray(live, path)))],
    ...(desired && { desired }),
  };
}

/** A pointer that ends where an array begins: differences name elements by identity, patches by index. */
function wholeArray(document: JsonObject, pointer: string): string {
  let here: Json | undefined = document;
  const path: string[] = [];
  for (const segment of pointerSegments(pointer)) {
    if (Array.isArray(here)) break;
    path.push(segment);
    here = isObject(here) && Object.hasOwn(here, segment) ? here[segment] : undefined;
  }
  return path.map((segment) => `/${escapePointer(segment)}`).join("");
}

export interface ConvergeRequest {
  readonly ref: ResourceRef;
  readonly reader: ReaderName;
  readonly live: JsonObject;
  readonly target: JsonObject;
  /** Cloud Control only. */
  readonly schema?: ResourceSchema;
  readonly desired?: JsonObject;
  readonly declaredBefore?: JsonObject;
  /** What the caller saw, so that what is removed was seen. */
  readonly seen?: JsonObject;
  /** Whether the value of a secret's fingerprint is stored. */
  readonly stored?: (path: string, print: string) => boolean;
}

type Converger = (request: ConvergeRequest) => Converged;

/** How a type with a reader of its own is brought back; where there is no row, by its tags alone. */
const CONVERGERS: Readonly<Partial<Record<keyof Contents, Converger>>> = {
  "AWS::AutoScaling::AutoScalingGroup": ({ ref, live, target }) =>
    convergeCapacity(ref, live as unknown as AutoScalingGroup, target as unknown as AutoScalingGroup),
  "AWS::EC2::SecurityGroup": ({ ref, live, target }) =>
    convergeGroup(ref, live as unknown as SecurityGroup, target as unknown as SecurityGroup),
  "AWS::RDS::DBInstance": ({ ref, live, target }) => convergeDatabase(ref, live, target),
  "AWS::RDS::DBCluster": ({ ref, live, target }) => convergeDatabase(ref, live, target),
  "AWS::RDS::DBSnapshot": (request) => databaseTags(request),
  "AWS::RDS::DBClusterSnapshot": (request) => databaseTags(request),
  "AWS::ECS::Service": ({ ref, live, target }) =>
    convergeService(ref, live as unknown as EcsService, target as unknown as EcsService),
  "AWS::CodeDeploy::DeploymentGroup": ({ live, target }) => notByToken(live, target),
};

/** The steps that bring live to a target, for whatever type and reader it is. */
export function converge(request: ConvergeRequest): Converged {
  const { ref, reader, live, target } = request;
  if (reader === "cloudcontrol") return convergeResource(request);
  if (reader === "tags") return convergeTags(request);
  const own = isOwnType(ref.type) ? CONVERGERS[ref.type] : undefined;
  if (own) return own(request);
  // EC2's calls tag what is EC2's.
  if (!ref.type.startsWith("AWS::EC2::") || !isObject(live.tags) || !isObject(target.tags)) {
    return { steps: [], remaining: unhandled(diff(live, target)) };
  }
  const tagged = tagSteps(live as JsonObject & Tagged, target as JsonObject & Tagged, ref);
  return { steps: tagged, remaining: unhandled(diff({ ...live, tags: {} }, { ...target, tags: {} })) };
}

function databaseTags({ ref, live, target }: ConvergeRequest): Converged {
  const [is, then] = [live, target] as (JsonObject & Tagged & { readonly arn: string })[];
  return {
    steps: databaseTagSteps(is!, then!, ref),
    remaining: unhandled(diff({ ...live, tags: {} }, { ...target, tags: {} })),
  };
}

/** Of a resource whose tags alone are known. */
function convergeTags({ ref, live, target }: ConvergeRequest): Converged {
  const { arn } = live;
  if (typeof arn !== "string" || !isObject(live.tags) || !isObject(target.tags)) {
    return { steps: [], remaining: unhandled(diff(live, target)) };
  }
  const [now, then] = [live.tags, target.tags] as [Tagged["tags"], Tagged["tags"]];
  const ours = (tags: Tagged["tags"]) => Object.entries(tags).filter(([key]) => !key.startsWith("aws:"));
  const set = Object.fromEntries(ours(then).filter(([key, value]) => now[key] !== value));
  const gone = ours(now).flatMap(([key]) => (Object.hasOwn(then, key) ? [] : [key]));
  return { steps: taggingSteps({ ref, reader: "tags", content: live }, arn, { set, remove: gone }), remaining: [] };
}

type Tagged = { readonly tags: Readonly<Record<string, string>> };

const unhandled = (differences: readonly Difference[]): Converged["remaining"] =>
  differences.map((difference) => ({ ...difference, because: "this version has no call that changes it back" }));

/** Asks for a number of instances. AWS takes the number at once; the instances come and go afterwards. */
export function capacityStep(group: AutoScalingGroup, ref: ResourceRef, desiredCapacity: number): ChangeStep {
  return {
    service: "autoscaling",
    operation: "SetDesiredCapacity",
    input: { AutoScalingGroupName: ref.id, DesiredCapacity: desiredCapacity, HonorCooldown: false },
    ref,
    reader: "service",
    kind: "action",
    before: group as unknown as JsonObject,
    after: { ...group, desiredCapacity } as unknown as JsonObject,
    touches: ["/desiredCapacity", "/minSize", "/maxSize", "/status"],
    desired: { desiredCapacity },
  };
}

function convergeCapacity(ref: ResourceRef, live: AutoScalingGroup, target: AutoScalingGroup): Converged {
  const wanted = target.desiredCapacity;
  const within = wanted >= live.minSize && wanted <= live.maxSize;
  const moves = wanted !== live.desiredCapacity;
  const rest = (group: AutoScalingGroup): JsonObject =>
    ({ ...group, desiredCapacity: 0, inService: 0, instances: [] }) as unknown as JsonObject;
  return {
    steps: moves && within ? [capacityStep(live, ref, wanted)] : [],
    remaining: [
      ...unhandled(diff(rest(live), rest(target))),
      ...(moves && !within
        ? [
            {
              path: "/desiredCapacity",
              kind: "NOT_EQUAL" as const,
              before: live.desiredCapacity,
              after: wanted,
              because: `the group allows ${live.minSize} to ${live.maxSize} by now`,
            },
          ]
        : []),
    ],
  };
}

function convergeGroup(ref: ResourceRef, live: SecurityGroup, target: SecurityGroup): Converged {
  const added = target.rules.filter((rule) => !live.rules.some((other) => sameTraffic(other, rule)));
  const removed = live.rules.filter((rule) => !target.rules.some((other) => sameTraffic(other, rule)));
  const redescribed = live.rules.flatMap((rule) => {
    const wanted = target.rules.find((other) => sameTraffic(other, rule));
    if (!wanted || (wanted.description ?? "") === (rule.description ?? "")) return [];
    const { description: _, ...bare } = rule;
    return [wanted.description === undefined ? bare : { ...bare, description: wanted.description }];
  });
  const steps: ChangeStep[] = [];
  let current = live;
  const put = (step: ChangeStep): void => {
    steps.push(step);
    current = step.after as unknown as SecurityGroup;
  };
  const each = <R extends { direction: Direction }>(
    rules: readonly R[],
    make: (some: R[], way: Direction) => ChangeStep,
  ): void => {
    for (const way of ["ingress", "egress"] as const) {
      const some = rules.filter((rule) => rule.direction === way);
      if (some.length > 0) put(make(some, way));
    }
  };
  each(added, (some, way) => authorizeStep(current, ref, some, way));
  each(redescribed, (some, way) => describeStep(current, ref, some, way));
  each(removed, (some, way) => revokeStep(current, ref, some, way));
  for (const step of tagSteps(current, { ...current, tags: target.tags }, ref)) put(step);
  const fixed = (group: SecurityGroup): JsonObject => ({ ...content(group), rules: [], tags: {} });
  const remaining = diff(fixed(live), fixed(target)).map((difference) => ({
    ...difference,
    because: "it can only be set when the group is created",
  }));
  return { steps, remaining };
}

function convergeResource({
  ref,
  live,
  target,
  schema,
  desired,
  declaredBefore,
  seen,
  stored,
}: ConvergeRequest): Converged {
  const made = patchFor({
    live,
    target,
    ...(schema && { schema }),
    ...(desired && { desired }),
    ...(declaredBefore && { declaredBefore }),
    ...(seen && { seen }),
    ...(stored && { stored }),
  });
  const left = (paths: readonly string[], because: string) =>
    diff(live, target).flatMap((difference) => {
      const on = paths.some((path) => difference.path === path || difference.path.startsWith(`${path}/`));
      return on ? [{ ...difference, because }] : [];
    });
  return {
    needsSecret: made.needsSecret,
    steps: made.noChange
      ? []
      : [updateStep({ ref, live, target: made.after, ...(desired && { desired }), patch: made.patch })],
    warnings: [
      ...made.conditional.map(
        (path) => `Possible interruption or replacement: AWS may replace ${ref.type} for ${path}.`,
      ),
      ...made.givenUp.map((path) => `${path} is given up: AWS keeps only one of its kind.`),
    ],
    remaining: [
      ...left(made.replacements, "it can only be set when the resource is created: a replacement is needed"),
      ...left(made.kept, "it was neither declared nor seen, so it is not removed"),
      ...made.needsSecret.map((path) => ({
        path,
        kind: "NOT_EQUAL" as const,
        because: "AWS never shows this value and it is not stored: it has to be given again",
      })),
    ],
  };
}

/** Whether a group's rules let the same traffic through, whatever the rules are called. */
export const sameRules = (a: SecurityGroup, b: SecurityGroup): boolean =>
  sameJson(a.rules.map(trafficOf).sort(), b.rules.map(trafficOf).sort());
