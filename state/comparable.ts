// A content as it may be compared: what AWS fills in, hides or reorders is out of the way. Pure.

import type { ResourceSchema } from "../src/core/content.js";
import { canonicalJson, escapePointer, isObject, type Json, type JsonObject } from "../src/core/json.js";
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
  if (!/^\s*\{/.test(text)) return text;
  let parsed: Json;
  try {
    parsed = JSON.parse(text) as Json;
  } catch {
    return text;
  }
  if (countKeys(parsed) !== (text.match(/"(?:[^"\\]|\\.)*"\s*:/g) ?? []).length) return text;
  return isPolicyDocument(parsed) || /policy|document/i.test(path) ? normalPolicy(parsed) : parsed;
}

const countKeys = (value: Json): number =>
  Array.isArray(value)
    ? value.reduce<number>((sum, item) => sum + countKeys(item), 0)
    : isObject(value)
      ? Object.values(value).reduce<number>((sum, item) => sum + 1 + countKeys(item), 0)
      : 0;

export const isPolicyDocument = (value: Json): value is JsonObject => isObject(value) && "Statement" in value;

const SETS = ["Action", "NotAction", "Resource", "NotResource"];
const PRINCIPALS = ["Principal", "NotPrincipal"];

/** IAM's own equivalences: one element is a list of one, lists are sets, actions have no case, statements no order. */
export function normalPolicy(document: Json): Json {
  if (!isPolicyDocument(document)) return document;
  const statements = Array.isArray(document.Statement) ? document.Statement : [document.Statement!];
  return {
    Version: "2008-10-17",
    ...document,
    Statement: sorted(statements.map((statement) => (isObject(statement) ? normalStatement(statement) : statement))),
  };
}

function normalStatement(statement: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(statement).map(([key, value]): [string, Json] => {
      if (SETS.includes(key)) {
        const lower = /Action$/.test(key);
        return [
          key,
          sorted(listOf(value).map((item) => (lower && typeof item === "string" ? item.toLowerCase() : item))),
        ];
      }
      if (PRINCIPALS.includes(key) && isObject(value)) {
        return [
          key,
          Object.fromEntries(Object.entries(value).map(([kind, who]) => [kind, sorted(listOf(who).map(principal))])),
        ];
      }
      if (key === "Condition" && isObject(value)) return [key, normalCondition(value)];
      return [key, value];
    }),
  );
}

const normalCondition = (condition: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(condition).map(([operator, keys]) => [
      operator,
      isObject(keys)
        ? Object.fromEntries(Object.entries(keys).map(([key, value]) => [key, sorted(listOf(value).map(String))]))
        : keys,
    ]),
  );

const listOf = (value: Json): readonly Json[] => (Array.isArray(value) ? value : [value]);
const principal = (who: Json): Json =>
  typeof who === "string" && /^\d{12}$/.test(who) ? `arn:aws:iam::${who}:root` : who;

/** A list as a set: each member once, in one order. */
const sorted = (items: readonly Json[]): readonly Json[] => {
  const byText = new Map(items.map((item) => [canonicalJson(item), item]));
  return [...byText.keys()].sort().map((text) => byText.get(text)!);
};
