// A content as it may be compared: what AWS fills in, hides or reorders is out of the way. Pure.

import type { ResourceSchema } from "../src/core/content.js";
import { escapePointer, isObject, type Json, type JsonObject } from "../src/core/json.js";
import { isPolicyDocument, normalPolicy, parsedObject } from "../src/core/same.js";
import { OPERATION_MARK } from "../src/core/tags.js";
import { isAt, isUnder } from "./schema-paths.js";

export interface Comparable {
  readonly content: JsonObject;
  /** Pointers that cannot be compared, with the reason. */
  readonly unverifiable: readonly { readonly path: string; readonly because: string }[];
}

export interface ComparisonRules {
  readonly type: string;
  readonly schema?: ResourceSchema;
  /** Pointers that AWS moves by itself. */
  readonly volatile: readonly string[];
}

/**
 * The comparable form of a content. Read-only and volatile parts are dropped, write-only ones set aside, tags become a
 * map without AWS's own, policies written as text are parsed. A content without a schema is compared as it is: doubt
 * over-reports.
 */
export function comparable(content: JsonObject, { schema, volatile }: ComparisonRules): Comparable {
  const unverifiable: { path: string; because: string }[] = [];
  const readOnly = schema?.readOnly ?? [];
  const writeOnly = schema?.writeOnly ?? [];
  const tagProperty = schema?.tags ? `/${schema.tags.property.replace(/^\//, "")}` : undefined;

  const walk = (value: Json, path: string): Json | undefined => {
    if (path !== "" && isUnder(readOnly, path)) return undefined;
    if (volatile.includes(path)) return undefined;
    if (path !== "" && isAt(writeOnly, path)) {
      unverifiable.push({ path, because: "AWS never shows this value" });
      return undefined;
    }
    if (path === tagProperty || path === "/tags" || path === "/Tags") {
      const tags = tagMap(value);
      if (tags) return Object.fromEntries(Object.entries(tags).filter(([key]) => !isBookkeeping(key)));
    }
    if (typeof value === "string") return policy(value, path);
    if (Array.isArray(value)) return value.map((item) => walk(item, `${path}/*`) ?? null);
    if (!isObject(value)) return value;
    return Object.fromEntries(
      Object.entries(value).flatMap(([key, member]) => {
        const kept = walk(member, `${path}/${escapePointer(key)}`);
        return kept === undefined ? [] : [[key, kept] as const];
      }),
    );
  };
  return { content: walk(content, "") as JsonObject, unverifiable };
}

/** AWS's own tags, and the mark an operation of ours leaves. */
const isBookkeeping = (key: string): boolean => key.startsWith("aws:") || key === OPERATION_MARK;

/** Tags as a map, from a list or a map; null for what has another shape, or a key twice. */
export function tagMap(value: Json | undefined): Readonly<Record<string, Json>> | null {
  if (isObject(value)) return Object.values(value).every((tag) => typeof tag === "string") ? value : null;
  if (!Array.isArray(value)) return null;
  const pairs = value.map((tag): [string, Json] | null => {
    if (!isObject(tag) || typeof tag.Key !== "string") return null;
    const { Key, Value = null, ...rest } = tag;
    return [Key, Object.keys(rest).length > 0 ? { Value, ...rest } : Value];
  });
  if (!pairs.every((pair) => pair !== null) || new Set(pairs.map(([key]) => key)).size !== pairs.length) return null;
  return Object.fromEntries(pairs);
}

/** JSON in a string is compared as JSON; text in which a key stands twice is compared as text. */
function policy(text: string, path: string): Json {
  const parsed = parsedObject(text);
  if (parsed === undefined) return text;
  return isPolicyDocument(parsed) || /policy|document/i.test(path) ? normalPolicy(parsed) : parsed;
}
