// Tags in the shapes AWS keeps them in: put on what we create, read off anything. Pure.

import { isObject, type Json, type JsonObject } from "./json.js";

/** The tag by which whatever a lost call made is found again. Its value is the client token: no other store has it. */
export const OPERATION_MARK = "aws-devops-mcp:op";

export type Tags = Readonly<Record<string, string>>;

/** Where a type keeps its tags: a list of Key and Value, a map, or the list of an Auto Scaling group. */
export interface TagRule {
  readonly property: string;
  readonly shape: "list" | "map" | "asg";
}

const isPair = (item: Json): item is JsonObject & { readonly Key: string } =>
  isObject(item) && typeof item.Key === "string";

const element = (shape: TagRule["shape"], Key: string, Value: string): JsonObject =>
  shape === "asg" ? { Key, Value, PropagateAtLaunch: false } : { Key, Value };

/**
 * A copy of a document with tags beside its own, in the type's shape; a key it has already stays as it is. Tags of
 * another shape than the type's are left for AWS to judge.
 * @example withTags({ Tags: { a: "1" } }, { property: "Tags", shape: "map" }, { b: "2" }) // { Tags: { a: "1", b: "2" } }
 */
export function withTags(document: JsonObject, rule: TagRule | undefined, tags: Tags): JsonObject {
  if (!rule) return document;
  const given = document[rule.property] ?? (rule.shape === "map" ? {} : []);
  const put = (value: Json): JsonObject => ({ ...document, [rule.property]: value });
  if (rule.shape === "map") {
    const missing = Object.entries(tags).filter(([key]) => isObject(given) && !Object.hasOwn(given, key));
    return isObject(given) && missing.length > 0 ? put({ ...given, ...Object.fromEntries(missing) }) : document;
  }
  if (!Array.isArray(given) || !given.every(isPair)) return document;
  const missing = Object.entries(tags).filter(([key]) => !given.some((tag) => tag.Key === key));
  return missing.length > 0
    ? put([...given, ...missing.map(([key, value]) => element(rule.shape, key, value))])
    : document;
}

const holdsTags = (property: string): boolean => /tags(AtCreate)?$/i.test(property);

/** How services spell a tag in a list. Only the first is ever written; a tag that is read counts however it is spelt. */
const SPELLINGS = [
  ["Key", "Value"],
  ["key", "value"],
  ["TagKey", "TagValue"],
] as const;

function readPair(item: Json): [string, string][] {
  if (!isObject(item)) return [];
  const spelt = SPELLINGS.find(([name]) => typeof item[name] === "string");
  return spelt ? [[String(item[spelt[0]]), String(item[spelt[1]] ?? "")]] : [];
}

/** Every tag a content shows at its top level, whatever the property is called. */
export function tagsOf(content: JsonObject): Tags {
  const found: [string, string][] = [];
  for (const [property, value] of Object.entries(content)) {
    if (!holdsTags(property)) continue;
    if (isObject(value)) {
      for (const [key, tag] of Object.entries(value)) if (typeof tag === "string") found.push([key, tag]);
    } else if (Array.isArray(value)) {
      for (const tag of value) found.push(...readPair(tag));
    }
  }
  return Object.fromEntries(found);
}

/** A copy of a document whose operation mark, if it bears one, has this value. */
export function withMark(document: JsonObject, value: string): JsonObject {
  const entries = Object.entries(document).map(([property, tags]): [string, Json] => {
    if (!holdsTags(property)) return [property, tags];
    if (isObject(tags)) {
      return [property, Object.hasOwn(tags, OPERATION_MARK) ? { ...tags, [OPERATION_MARK]: value } : tags];
    }
    if (!Array.isArray(tags)) return [property, tags];
    return [property, tags.map((tag) => (isPair(tag) && tag.Key === OPERATION_MARK ? { ...tag, Value: value } : tag))];
  });
  return Object.fromEntries(entries);
}

/** The CloudFormation stack that owns a resource, by the tags CloudFormation itself puts on it. */
export function stackOf(content: JsonObject): { readonly name: string; readonly id?: string } | null {
  const tags = tagsOf(content);
  const id = tags["aws:cloudformation:stack-id"];
  const name = tags["aws:cloudformation:stack-name"] ?? id?.split("/")[1];
  return name === undefined ? null : { name, ...(id !== undefined && { id }) };
}
