// What the user declared, laid over what is there. One meaning of "desired" for plans, baselines and drift.

import type { Rule } from "../src/core/content/security-groups.js";
import type { ResourceSchema } from "../src/core/content.js";
import { isObject, type Json, type JsonObject } from "../src/core/json.js";

const SECURITY_GROUP = "AWS::EC2::SecurityGroup";

type TagRule = Pick<ResourceSchema, "tags"> | undefined;

/**
 * The content expected once `desired` is laid over `live`: objects merge, tag lists merge by key, every other array and
 * every scalar replaces, an explicit null removes. Which list holds tags is the schema's word, else its shape's.
 * @example mergeDesired({ a: 1, b: { c: 2, d: 3 } }, { b: { d: null, e: 4 } }) // { a: 1, b: { c: 2, e: 4 } }
 */
export const mergeDesired = (live: JsonObject, desired: JsonObject, schema?: TagRule): JsonObject =>
  mergeObject(live, desired, schema?.tags ? [schema.tags.property.replace(/^\//, "")] : null);

function mergeObject(live: JsonObject, desired: JsonObject, tagNames: readonly string[] | null): JsonObject {
  // A map and fromEntries, not a spread: `__proto__` is a legal key of a user's document.
  const merged = new Map<string, Json>(Object.entries(live));
  for (const [key, wanted] of Object.entries(desired)) {
    const value =
      wanted === null
        ? undefined
        : mergeValue(merged.get(key), wanted, tagNames === null || tagNames.includes(key), tagNames);
    if (value === undefined) merged.delete(key);
    else merged.set(key, value);
  }
  return Object.fromEntries(merged);
}

function mergeValue(
  live: Json | undefined,
  wanted: Json,
  maybeTags: boolean,
  tagNames: readonly string[] | null,
): Json | undefined {
  if (isObject(wanted)) return mergeObject(isObject(live) ? live : {}, wanted, tagNames);
  // An empty list of tags adds none; whoever wants them gone says null.
  if (maybeTags && isTagList(live) && Array.isArray(wanted) && wanted.length === 0) return live;
  if (maybeTags && isTagList(live) && isTagList(wanted)) return mergeTags(live, wanted);
  if (maybeTags && isTagList(wanted) && (live === undefined || (Array.isArray(live) && live.length === 0))) {
    const tags = mergeTags([], wanted);
    return tags.length > 0 ? tags : live;
  }
  return withoutNulls(wanted);
}

const withoutNulls = (value: Json): Json =>
  Array.isArray(value) ? value.map(withoutNulls) : isObject(value) ? mergeDesired({}, value) : value;

type Tag = { readonly Key: string; readonly [field: string]: Json };

/** A list of `{Key, Value, …}`, each key once: the one array whose elements have names in every service. */
export const isTagList = (value: unknown): value is readonly Tag[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every((item) => isObject(item) && typeof item.Key === "string" && "Value" in item) &&
  new Set(value.map((item) => (item as Tag).Key)).size === value.length;

function mergeTags(live: readonly Tag[], wanted: readonly Tag[]): readonly Tag[] {
  const byKey = new Map(live.map((tag) => [tag.Key, tag]));
  for (const tag of wanted) {
    if (tag.Value === null) byKey.delete(tag.Key);
    else byKey.set(tag.Key, tag);
  }
  return [...byKey.values()];
}

/** The traffic a security group rule lets through, without its id and description. */
export const trafficOf = (rule: Omit<Rule, "ruleId">): string =>
  JSON.stringify([rule.direction, rule.protocol, rule.fromPort ?? null, rule.toPort ?? null, rule.peer]);

const PROTOCOLS: Readonly<Record<string, string>> = { "1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6" };

/**
 * Whether some packet to or from the same peer is let through by both rules. ICMP types are taken for all: they are few,
 * and a rule too many only asks again.
 */
export function overlappingTraffic(a: Omit<Rule, "ruleId">, b: Omit<Rule, "ruleId">): boolean {
  if (a.direction !== b.direction || a.peer !== b.peer) return false;
  const [left, right] = [PROTOCOLS[a.protocol] ?? a.protocol, PROTOCOLS[b.protocol] ?? b.protocol];
  if (left === "-1" || right === "-1") return true;
  if (left !== right) return false;
  if (left !== "tcp" && left !== "udp") return true;
  return (a.fromPort ?? 0) <= (b.toPort ?? 65_535) && (b.fromPort ?? 0) <= (a.toPort ?? 65_535);
}

/** Whether two security group rules let the same traffic through. */
export const sameTraffic = (a: Omit<Rule, "ruleId">, b: Omit<Rule, "ruleId">): boolean => trafficOf(a) === trafficOf(b);

/**
 * What is declared of a resource after an operation: earlier declarations with the new ones laid over. Rules of a
 * security group are declared one by one, and stay declared for as long as the group has them.
 */
export function declaredAfter(
  type: string,
  earlier: JsonObject,
  now: JsonObject | undefined,
  after: JsonObject | null,
): JsonObject {
  if (after === null) return {};
  const merged = mergeDesired(earlier, now ?? {});
  if (type !== SECURITY_GROUP || !Array.isArray(after.rules)) return merged;
  const live = rulesOf(after);
  const declared = [...rulesOf(earlier), ...rulesOf(now ?? {})];
  const kept = live.filter((rule) => declared.some((one) => sameTraffic(one, rule)));
  const { rules: _, ...rest } = merged;
  return kept.length > 0 ? { ...rest, rules: kept as unknown as Json } : rest;
}

const rulesOf = (content: JsonObject): readonly Rule[] =>
  Array.isArray(content.rules) ? (content.rules as unknown as readonly Rule[]) : [];
