// JSON as a mathematical object: one canonical text, one digest, one diff, one patch. Pure.

import { createHash } from "node:crypto";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** An RFC 6902 operation; `path` and `from` are RFC 6901 pointers. */
export type PatchOp =
  | { readonly op: "add" | "replace" | "test"; readonly path: string; readonly value: Json }
  | { readonly op: "remove"; readonly path: string }
  | { readonly op: "move" | "copy"; readonly from: string; readonly path: string };

/** One path on which two documents differ. Kinds are CloudFormation's words for drift. */
export interface Difference {
  readonly path: string;
  readonly kind: "ADD" | "REMOVE" | "NOT_EQUAL";
  readonly before?: Json;
  readonly after?: Json;
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Canonical text of a JSON value (RFC 8785). `undefined` members are left out, as JSON.stringify does.
 * @throws TypeError on what has no canonical form: lone surrogates, NaN, integers outside the safe range, cycles.
 * @example canonicalJson({ b: 1, a: [true] }) // '{"a":[true],"b":1}'
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))) {
      throw new TypeError(`no canonical JSON for the number ${value}`);
    }
    return JSON.stringify(value);
  }
  if (typeof value === "string") {
    // Node 20 has isWellFormed at run time; the ES2023 lib does not declare it.
    if (/[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/.test(value)) {
      throw new TypeError("no canonical JSON for a string with a lone surrogate");
    }
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(",")}]`;
  if (typeof value === "object") {
    const members = Object.entries(value as Record<string, unknown>)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([key, member]) => `${canonicalJson(key)}:${canonicalJson(member)}`);
    return `{${members.join(",")}}`;
  }
  throw new TypeError(`no canonical JSON for a ${typeof value}`);
}

/** sha256 in hex of text or bytes. */
export const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");

/** sha256 of the canonical text: equal for documents that differ in key order only. */
export const digest = (value: unknown): string => sha256(canonicalJson(value));

export const sameJson = (a: unknown, b: unknown): boolean => {
  if (a === undefined || b === undefined) return a === b;
  return canonicalJson(a) === canonicalJson(b);
};

export const escapePointer = (segment: string): string => segment.replaceAll("~", "~0").replaceAll("/", "~1");
const unescapePointer = (segment: string): string => segment.replaceAll("~1", "/").replaceAll("~0", "~");

/** The segments of an RFC 6901 pointer. `""` is the whole document. @throws TypeError if it does not start with `/`. */
export function pointerSegments(pointer: string): string[] {
  if (pointer === "") return [];
  if (!pointer.startsWith("/")) throw new TypeError(`not a JSON pointer: ${pointer}`);
  return pointer.slice(1).split("/").map(unescapePointer);
}

/** The value at a pointer, or undefined where there is none. */
export function valueAt(document: unknown, pointer: string): Json | undefined {
  let here: unknown = document;
  for (const segment of pointerSegments(pointer)) {
    if (Array.isArray(here)) here = /^(0|[1-9]\d*)$/.test(segment) ? here[Number(segment)] : undefined;
    else if (isObject(here) && Object.hasOwn(here, segment)) here = here[segment];
    else return undefined;
  }
  return here as Json | undefined;
}

/** Whether one path lies on, above or below another: a change of the one can be seen at the other. */
export function pathsTouch(a: string, b: string): boolean {
  return a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`) || a === "" || b === "";
}

/** The last part of a path. */
export const nameOf = (path: string): string => pointerSegments(path).at(-1) ?? "";

/** The top-level property of a path, for prose: what lies below it may be text that anybody wrote. */
export function propertyOf(path: string): string {
  const top = pointerSegments(path)[0] ?? "";
  return /^[A-Za-z][A-Za-z0-9]{0,63}$/.test(top) ? top : "a property";
}

/** Fields by which the elements of a list may be named. */
export const IDENTITY_FIELDS = [
  "Key",
  "Id",
  "id",
  "ruleId",
  "Name",
  "name",
  "Sid",
  "AttributeName",
  "IndexName",
] as const;

/** The field by which every element of a list is named, each by another name. */
export function identityField(items: readonly Json[]): string | undefined {
  return IDENTITY_FIELDS.find((field) => {
    const ids = items.map((item) => (isObject(item) ? item[field] : undefined));
    return ids.every((id) => typeof id === "string") && new Set(ids).size === ids.length;
  });
}

/**
 * Lists whose order means something although their elements have names: stages of a pipeline, columns and partition keys
 * of a table, rules of which the first that fits counts, steps that are run one after another.
 */
const SEQUENCES = /^(Stages|Columns|PartitionKeys|CorsRules|CORSRules|Steps)$/;

/** Whether a list of this property is another one in another order. */
export const isSequence = (name: string): boolean => SEQUENCES.test(name);

/** Whether what both lists name stands in another order. */
export function reordered(before: readonly Json[], after: readonly Json[], field: string): boolean {
  const names = (items: readonly Json[]) => items.map((item) => (item as JsonObject)[field]);
  const [was, is] = [names(before), names(after)];
  return !sameJson(
    was.filter((name) => is.includes(name)),
    is.filter((name) => was.includes(name)),
  );
}

/**
 * The differences between two documents, by path. Arrays whose elements all carry one identity field (`Key`, `Id`,
 * `Name`, …) are compared by it, and their paths then name the identity (`/Tags/env/Value`); other arrays of equal
 * content in another order are equal when `unordered` says so for their path, else compared by position.
 */
export function diff(
  before: unknown,
  after: unknown,
  unordered: (path: string) => boolean = () => false,
  path = "",
): Difference[] {
  if (before === undefined && after === undefined) return [];
  if (before === undefined) return [{ path, kind: "ADD", after: after as Json }];
  if (after === undefined) return [{ path, kind: "REMOVE", before: before as Json }];
  if (isObject(before) && isObject(after) && !isSecretMark(before) && !isSecretMark(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
    return keys.flatMap((key) => diff(own(before, key), own(after, key), unordered, `${path}/${escapePointer(key)}`));
  }
  if (Array.isArray(before) && Array.isArray(after)) return diffArrays(before, after, unordered, path);
  return sameJson(before, after) ? [] : [{ path, kind: "NOT_EQUAL", before: before as Json, after: after as Json }];
}

/** A member of its own: `__proto__` is a legal key of somebody's document. */
const own = (object: JsonObject, key: string): Json | undefined =>
  Object.hasOwn(object, key) ? object[key] : undefined;

function diffArrays(
  before: readonly Json[],
  after: readonly Json[],
  unordered: (path: string) => boolean,
  path: string,
): Difference[] {
  if (sameJson(before, after)) return [];
  const field = identityField([...before]) === identityField([...after]) ? identityField(before) : undefined;
  const shared = before.length === 0 ? identityField(after) : after.length === 0 ? identityField(before) : field;
  if (shared && isSequence(nameOf(path)) && reordered(before, after, shared)) {
    return [{ path, kind: "NOT_EQUAL", before, after }];
  }
  if (shared) {
    const keyed = (items: readonly Json[]) =>
      Object.fromEntries(items.map((item) => [String((item as JsonObject)[shared]), item]));
    return diff(keyed(before), keyed(after), unordered, path);
  }
  if (unordered(path)) {
    const left = [...before];
    const added = after.filter((item) => {
      const at = left.findIndex((other) => sameJson(other, item));
      if (at >= 0) left.splice(at, 1);
      return at < 0;
    });
    return [
      ...left.map((item): Difference => ({ path: `${path}/-`, kind: "REMOVE", before: item })),
      ...added.map((item): Difference => ({ path: `${path}/-`, kind: "ADD", after: item })),
    ];
  }
  return Array.from({ length: Math.max(before.length, after.length) }).flatMap((_, index) =>
    diff(before[index], after[index], unordered, `${path}/${index}`),
  );
}

/**
 * The document after an RFC 6902 patch; the input is not changed.
 * @throws Error naming the operation when a path does not exist or a `test` fails: then nothing is applied.
 * @example applyPatch({ a: 1 }, [{ op: "test", path: "/a", value: 1 }, { op: "add", path: "/b", value: 2 }]) // { a: 1, b: 2 }
 */
export function applyPatch(document: unknown, patch: readonly PatchOp[]): Json {
  return patch.reduce<Json>((doc, op, index) => {
    try {
      return applyOp(doc, op);
    } catch (cause) {
      throw new Error(`patch operation ${index} (${op.op} ${op.path}): ${(cause as Error).message}`, { cause });
    }
  }, structuredClone(document) as Json);
}

function applyOp(doc: Json, op: PatchOp): Json {
  switch (op.op) {
    case "test":
      if (!sameJson(valueAt(doc, op.path), op.value)) throw new Error("test failed");
      return doc;
    case "add":
      return put(doc, pointerSegments(op.path), op.value, "add");
    case "replace":
      return put(doc, pointerSegments(op.path), op.value, "replace");
    case "remove":
      return put(doc, pointerSegments(op.path), undefined, "remove");
    default: {
      const value = valueAt(doc, op.from);
      if (value === undefined) throw new Error("no such path");
      const without = op.op === "move" ? put(doc, pointerSegments(op.from), undefined, "remove") : doc;
      return put(without, pointerSegments(op.path), value, "add");
    }
  }
}

function put(doc: Json, segments: string[], value: Json | undefined, how: "add" | "replace" | "remove"): Json {
  const [head, ...rest] = segments;
  if (head === undefined) {
    if (value === undefined) throw new Error("the whole document cannot be removed");
    return value;
  }
  if (Array.isArray(doc)) {
    const index = head === "-" ? doc.length : /^(0|[1-9]\d*)$/.test(head) ? Number(head) : Number.NaN;
    const last = how === "add" && rest.length === 0 ? doc.length : doc.length - 1;
    if (!(index <= last)) throw new Error("no such path");
    const copy = [...doc] as Json[];
    if (rest.length > 0) copy[index] = put(copy[index]!, rest, value, how);
    else if (how === "add") copy.splice(index, 0, value!);
    else if (how === "remove") copy.splice(index, 1);
    else copy[index] = value!;
    return copy;
  }
  if (!isObject(doc)) throw new Error("no such path");
  const exists = Object.hasOwn(doc, head);
  if (!exists && (rest.length > 0 || how !== "add")) throw new Error("no such path");
  const members = new Map(Object.entries(doc));
  if (rest.length > 0) members.set(head, put(members.get(head)!, rest, value, how));
  else if (how === "remove") members.delete(head);
  else members.set(head, value!);
  return Object.fromEntries(members);
}

/** What stands for a secret in every document: its fingerprint. One value, never an object with a member. */
export const isSecretMark = (value: unknown): value is { readonly $secret: string } =>
  isObject(value) && typeof value.$secret === "string" && Object.keys(value).length === 1;

export const holdsSecretMark = (value: unknown): boolean =>
  isSecretMark(value) ||
  (Array.isArray(value) ? value.some(holdsSecretMark) : isObject(value) && Object.values(value).some(holdsSecretMark));

const SECRET_NAME =
  /pass(word|phrase|wd)?$|secret(string|value|key)?$|private_?key|(auth|access|api)[_-]?(token|key)$|credentials?$|connection_?string|user_?data/i;
/** As variables are named; AWS's own tokens, which are no secrets, are written in camel case. */
const TOKEN_VARIABLE = /(^|_)TOKEN$/;

/** Whether a property of this name is taken for a secret wherever no schema says otherwise. */
export const looksSecret = (name: string): boolean =>
  (SECRET_NAME.test(name) || TOKEN_VARIABLE.test(name)) && !SWITCH.test(name);
/** Whether AWS keeps a password, not the password. */
const SWITCH = /^(Manage|Rotate)Master(User)?Password$/;

/** How lists write a name beside its value: environments of containers, variables of builds, parameters. Tags write Key. */
const PAIRS: readonly (readonly [name: string, value: string])[] = [
  ["Name", "Value"],
  ["name", "value"],
  ["ParameterKey", "ParameterValue"],
  ["OptionName", "Value"],
];

/** What a member is called: by its own name, or, where it is the value of a pair, by the name beside it. */
export function calledIn(object: JsonObject, key: string): string {
  const [beside] = PAIRS.find(([name, value]) => value === key && typeof object[name] === "string") ?? [];
  return beside === undefined ? key : String(object[beside]);
}

/**
 * A copy in which every leaf that `isSecret` names is replaced. Paths are pointers in the document; array indices
 * are given as `*`, as resource schemas write them.
 */
export function redact(
  value: unknown,
  isSecret: (path: string, name: string) => boolean = (_, name) => looksSecret(name),
  mark: (secret: Json) => Json = () => "[redacted]",
  path = "",
): Json {
  if (Array.isArray(value)) return value.map((item) => redact(item, isSecret, mark, `${path}/*`));
  if (!isObject(value)) return value as Json;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([key, member]) => {
        const here = `${path}/${escapePointer(key)}`;
        const secret = member !== null && isSecret(here, calledIn(value, key));
        return [key, secret ? mark(member) : redact(member, isSecret, mark, here)];
      }),
  );
}
