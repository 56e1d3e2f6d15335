// When two contents say the same: lists without an order, policies by IAM's equivalences, documents that travel as text. Pure.

import {
  canonicalJson,
  type Difference,
  diff,
  escapePointer,
  identityField,
  isObject,
  isSequence,
  type Json,
  type JsonObject,
  sameJson,
} from "./json.js";

/** Properties whose text is a document: AWS serialises it as it likes. Any other text is compared by the letter. */
const DOCUMENTS = /(policy|document|pattern|definition|definitionstring|body)$/i;

/**
 * One form for all contents that say the same. `unordered` are pointers of lists without an order, `*` for any element;
 * lists whose elements carry an identity have none either. Only for comparing: what is sent to AWS keeps AWS's order.
 */
export function canonical(value: Json, unordered: readonly string[], path = "", name = ""): Json {
  if (typeof value === "string") {
    const document = documentOf(value, name);
    return document === undefined ? value : normalPolicy(document);
  }
  if (Array.isArray(value)) {
    const items = (value as readonly Json[]).map((item) => canonical(item, unordered, `${path}/*`, name));
    const named = items.length > 1 && !isSequence(name) && identityField(items) !== undefined;
    const isSet = unordered.includes(path) || named;
    return isSet ? byText(items) : items;
  }
  if (!isObject(value)) return value;
  if ("Statement" in value) return normalPolicy(value);
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      canonical(member, unordered, `${path}/${escapePointer(key)}`, key),
    ]),
  );
}

/** What differs between two contents, each difference as AWS shows it; none where they say the same. */
export function differences(
  before: JsonObject | null,
  after: JsonObject | null,
  unordered: readonly string[] = [],
): Difference[] {
  if (before === null || after === null) return diff(before ?? undefined, after ?? undefined);
  const told = like(before, after, unordered, "", "");
  return diff(before, told, (path) => unordered.some((pattern) => matches(pattern, path)));
}

/** `after`, with every part that says the same as in `before` written as it is written there. */
function like(before: Json, after: Json, unordered: readonly string[], path: string, name: string): Json {
  const form = (value: Json, at = path): string => canonicalJson(canonical(value, unordered, at, name));
  if (sameJson(before, after) || form(before) === form(after)) return before;
  if (isObject(before) && isObject(after)) {
    return Object.fromEntries(
      Object.entries(after).map(([key, member]) => {
        const was = Object.hasOwn(before, key) ? before[key] : undefined;
        const at = `${path}/${escapePointer(key)}`;
        return [key, was === undefined ? member : like(was, member, unordered, at, key)];
      }),
    );
  }
  if (!Array.isArray(before) || !Array.isArray(after)) return after;
  const at = `${path}/*`;
  if (unordered.includes(path)) {
    const left = new Map<string, Json[]>();
    for (const item of before) left.set(form(item, at), [...(left.get(form(item, at)) ?? []), item]);
    return after.map((item) => left.get(form(item, at))?.shift() ?? item);
  }
  const field = identityField(before);
  const twin = (item: Json, index: number): Json | undefined =>
    field && isObject(item) ? before.find((one) => (one as JsonObject)[field] === item[field]) : before[index];
  return after.map((item, index) => {
    const was = twin(item, index);
    return was === undefined ? item : like(was, item, unordered, at, name);
  });
}

/** Whether a pointer of a document is one that a pattern names; `*` stands for one segment. */
function matches(pattern: string, path: string): boolean {
  const [wanted, segments] = [pattern.split("/"), path.split("/")];
  return wanted.length === segments.length && wanted.every((part, at) => part === "*" || part === segments[at]);
}

/** The document that a text is, where its name or its content says that it is one; keys that stand twice leave it text. */
function documentOf(text: string, name: string): Json | undefined {
  const parsed = parsedObject(text);
  return parsed !== undefined && (isPolicyDocument(parsed) || DOCUMENTS.test(name)) ? parsed : undefined;
}

/** The object a text stands for; undefined for other text, and for one in which a key stands twice. */
export function parsedObject(text: string): JsonObject | undefined {
  if (!/^\s*\{/.test(text)) return undefined;
  let parsed: Json;
  try {
    parsed = JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
  const once = countKeys(parsed) === (text.match(/"(?:[^"\\]|\\.)*"\s*:/g) ?? []).length;
  return once && isObject(parsed) ? parsed : undefined;
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

const byText = (items: readonly Json[]): Json[] =>
  items
    .map((item) => [canonicalJson(item), item] as const)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([, item]) => item);

/** A list as a set: each member once, in one order. */
const sorted = (items: readonly Json[]): readonly Json[] => {
  const once = new Map(items.map((item) => [canonicalJson(item), item]));
  return [...once.keys()].sort().map((text) => once.get(text)!);
};
