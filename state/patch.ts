// The Cloud Control patch: made by us from live, guarded by `test`, never written by a model.

import type { ResourceSchema } from "../src/core/content.js";
import {
  applyPatch,
  canonicalJson,
  escapePointer,
  holdsSecretMark,
  IDENTITY_FIELDS,
  isObject,
  isSecretMark,
  isSequence,
  type Json,
  type JsonObject,
  nameOf,
  type PatchOp,
  pointerSegments,
  sameJson,
  valueAt,
} from "../src/core/json.js";
import { canonical } from "../src/core/same.js";
import { hasBelow, isAt, isUnder } from "./schema-paths.js";

export { mergeDesired } from "./desired.js";

export interface PatchRequest {
  readonly live: JsonObject;
  /** The content wanted. What it leaves out is removed only with a right to: see `PatchResult.kept`. */
  readonly target: JsonObject;
  readonly schema?: Pick<
    ResourceSchema,
    "readOnly" | "writeOnly" | "createOnly" | "conditional" | "unordered" | "tags" | "exclusive"
  >;
  /** What the user asks for now; an explicit null removes. */
  readonly desired?: JsonObject;
  /** What was declared before: ours to remove, and where write-only values stand that an update has to repeat. */
  readonly declaredBefore?: JsonObject;
  /** What the caller saw: its elements may be removed. */
  readonly seen?: JsonObject;
  /** Whether the value of a fingerprint is stored, so that it can be sent again. */
  readonly stored?: (path: string, print: string) => boolean;
}

export interface PatchResult {
  /** All guards first, then the edits. Applied to live it gives `after`, or nothing at all when live has moved. */
  readonly patch: readonly PatchOp[];
  readonly after: JsonObject;
  /** Create-only pointers that differ: no patch sets them. */
  readonly replacements: readonly string[];
  /** Pointers whose change may replace or interrupt, as far as the schema says. */
  readonly conditional: readonly string[];
  /** Write-only pointers that were set before and are not stored: left out, an update would drop them. */
  readonly needsSecret: readonly string[];
  /** Pointers the target leaves out that stay, because nobody declared or saw them. */
  readonly kept: readonly string[];
  /** Pointers given up because the user sets another of which AWS keeps only one. */
  readonly givenUp: readonly string[];
  readonly noChange: boolean;
}

const NO_SCHEMA = { readOnly: [], writeOnly: [], createOnly: [], unordered: [] } as const;

/** The patch from live to target. Pure; what it cannot do is said, never silently left out. */
export function patchFor({
  live,
  target,
  schema = NO_SCHEMA,
  desired = {},
  declaredBefore = {},
  seen = {},
  stored = () => false,
}: PatchRequest): PatchResult {
  const tests = new Map<string, Json>();
  const edits: PatchOp[] = [];
  const replacements: string[] = [];
  const kept: string[] = [];
  const unreadable = [...schema.readOnly, ...schema.writeOnly];

  const guard = (path: string, value: Json): void => {
    // A guard on a part that AWS fills or hides would fail by itself.
    // And no secret is sent to be compared: that it moved is seen by the read before the call.
    const testable = !isUnder(unreadable, path) && !hasBelow(unreadable, path) && !holdsSecretMark(value);
    if (testable) tests.set(path, value);
  };

  /** Absence cannot be tested: the parent that is there stands for it, unless it is the whole document. */
  const guardParent = (path: string): void => {
    const parent = path.slice(0, path.lastIndexOf("/"));
    const value = parent === "" ? undefined : valueAt(live, parent);
    if (value !== undefined) guard(parent, value);
  };

  /** An object goes as a whole only if all of it is ours or was seen: a part that somebody else set stays. */
  const mayRemove = (path: string, from: Json): boolean => {
    if (valueAt(desired, path) === null || without.has(path)) return true;
    if (isObject(from) && Object.keys(from).length > 0) {
      return Object.entries(from).every(([key, inner]) => mayRemove(`${path}/${escapePointer(key)}`, inner));
    }
    return valueAt(declaredBefore, path) !== undefined || valueAt(seen, path) !== undefined;
  };

  function walk(path: string, from: Json | undefined, to: Json | undefined): void {
    if (isUnder(schema.readOnly, path)) return;
    if (isAt(schema.writeOnly, path)) {
      // Never shown, so a value in live is a leftover of our own; what the user gives is set, unguarded.
      if (to !== undefined && valueAt(desired, path) !== undefined) edits.push({ op: "add", path, value: bare(to) });
      return;
    }
    if (from !== undefined && to !== undefined && equal(from, to)) return;
    if (isUnder(schema.createOnly, path)) {
      replacements.push(path);
      return;
    }
    if (to === undefined) removal(path, from!);
    else if (from === undefined) addition(path, to);
    else if (isObject(from) && isObject(to) && !(isSecretMark(from) && isSecretMark(to))) {
      for (const key of new Set([...Object.keys(from), ...Object.keys(to)])) {
        walk(`${path}/${escapePointer(key)}`, member(from, key), member(to, key));
      }
    } else if (Array.isArray(from) && Array.isArray(to) && isOrdered(path, from, to)) ordered(path, from, to);
    else if (!(Array.isArray(from) && Array.isArray(to) && !isSequence(nameOf(path)) && sameMembers(from, to))) {
      guard(path, from);
      edits.push({ op: "add", path, value: bare(to) });
    }
  }

  function removal(path: string, from: Json): void {
    if (!mayRemove(path, from)) {
      if (isObject(from) && Object.keys(from).length > 0) {
        for (const key of Object.keys(from)) walk(`${path}/${escapePointer(key)}`, member(from, key), undefined);
      } else kept.push(path);
      return;
    }
    if (hasBelow(schema.createOnly, path)) replacements.push(path);
    else {
      guard(path, from);
      edits.push({ op: "remove", path });
    }
  }

  function addition(path: string, to: Json): void {
    // Absent, null and empty are one to AWS, unless the user asks for the empty value by name.
    if (isEmpty(to) && (to === null || valueAt(desired, path) === undefined)) return;
    if (hasBelow(schema.createOnly, path) && isObject(to)) {
      const below = Object.keys(to).map((key) => `${path}/${escapePointer(key)}`);
      const blocked = below.filter((pointer) => isUnder(schema.createOnly, pointer));
      if (blocked.length > 0) {
        replacements.push(...blocked);
        return;
      }
    }
    guardParent(path);
    edits.push({ op: "add", path, value: bare(to) });
  }

  /** Only a list known to be ordered may be edited by index: in any other an index names nothing. */
  function isOrdered(path: string, from: readonly Json[], to: readonly Json[]): boolean {
    const property = schema.tags && `/${schema.tags.property.replace(/^\//, "")}`;
    if (path === property || isAt(schema.unordered, path)) return false;
    return from.length > 1 && to.length > 0 && !identified(from) && !identified(to);
  }

  function ordered(path: string, from: readonly Json[], to: readonly Json[]): void {
    const shared = Math.min(from.length, to.length);
    for (let index = from.length - 1; index >= shared; index--) {
      guard(`${path}/${index}`, from[index]!);
      edits.push({ op: "remove", path: `${path}/${index}` });
    }
    for (let index = shared - 1; index >= 0; index--) {
      if (equal(from[index]!, to[index]!)) continue;
      guard(`${path}/${index}`, from[index]!);
      edits.push({ op: "replace", path: `${path}/${index}`, value: bare(to[index]!) });
    }
    if (to.length > shared) {
      // Appending is right only behind the last element the plan saw.
      guard(path, from);
      for (const item of to.slice(shared)) edits.push({ op: "add", path: `${path}/-`, value: bare(item) });
    }
  }

  const givenUp = derivedMembers(schema.exclusive ?? [], live, target, desired);
  const without = new Set(givenUp);
  walk("", live, Object.fromEntries(Object.entries(target).filter(([key]) => !without.has(`/${escapePointer(key)}`))));
  const noChange = edits.length === 0;
  const { resend, needsSecret } = noChange
    ? { resend: [], needsSecret: [] }
    : repeated(schema, { live, declared: declaredBefore, desired, stored, edits });
  const patch: PatchOp[] = noChange
    ? []
    : [...[...tests].map(([path, value]): PatchOp => ({ op: "test", path, value })), ...edits, ...resend];
  return {
    patch,
    after: applyPatch(live, [...edits]) as JsonObject,
    replacements,
    conditional: (schema.conditional ?? []).filter((pattern) => edits.some(({ path }) => meets(pattern, path))),
    needsSecret,
    kept,
    givenUp: noChange ? [] : givenUp,
    noChange,
  };
}

/**
 * The patch with its guards as `live` spells them: AWS lists what has no order in another order, or writes a document
 * otherwise, and compares a `test` by the letter. A guard stays where live does not say the same at its very path: that is
 * for AWS to refuse. Undefined where all of them stay.
 * @param unordered pointers of lists without an order, `*` for any element
 */
export function guardedAsShown(
  patch: readonly PatchOp[],
  live: JsonObject,
  unordered: readonly string[],
): readonly PatchOp[] | undefined {
  const guarded = patch.map((op): PatchOp => {
    const shown = op.op === "test" ? valueAt(live, op.path) : undefined;
    if (op.op !== "test" || shown === undefined || sameJson(shown, op.value)) return op;
    const pattern = patternOf(live, op.path);
    const form = (value: Json): Json => canonical(value, unordered, pattern, nameOf(pattern.replace(/(\/\*)+$/, "")));
    return sameJson(form(shown), form(op.value)) ? { ...op, value: shown } : op;
  });
  return guarded.some((op, index) => op !== patch[index]) ? guarded : undefined;
}

/** A pointer with `*` in place of each position in a list. */
function patternOf(document: JsonObject, pointer: string): string {
  let path = "";
  let pattern = "";
  for (const segment of pointerSegments(pointer)) {
    const isPosition = Array.isArray(valueAt(document, path));
    path += `/${escapePointer(segment)}`;
    pattern += isPosition ? "/*" : `/${escapePointer(segment)}`;
  }
  return pattern;
}

/** Whether two patches do the same, whatever their guards hold. */
export const sameEdits = (a: readonly PatchOp[], b: readonly PatchOp[]): boolean => {
  const bare = (patch: readonly PatchOp[]) =>
    patch.map((op) => (op.op === "test" ? { op: op.op, path: op.path } : op)) as unknown as Json;
  return sameJson(bare(a), bare(b));
};

/** Whether a pattern names the path, something above it or something below it. */
const meets = (pattern: string, path: string): boolean => isUnder([pattern], path) || hasBelow([pattern], path);

/**
 * Of properties that exclude one another, those that have to go: the user sets one, and live has others that the user
 * says nothing of.
 */
function derivedMembers(
  groups: readonly (readonly string[])[],
  live: JsonObject,
  target: JsonObject,
  desired: JsonObject,
): string[] {
  return groups.flatMap((group) => {
    const set = group.filter((path) => (valueAt(desired, path) ?? null) !== null);
    const changes = set.some((path) => !sameJson(valueAt(live, path) ?? null, valueAt(target, path) ?? null));
    if (!changes) return [];
    return group.filter((path) => !set.includes(path) && valueAt(live, path) !== undefined);
  });
}

interface Repeat {
  readonly live: JsonObject;
  readonly declared: JsonObject;
  readonly desired: JsonObject;
  readonly stored: (path: string, print: string) => boolean;
  readonly edits: readonly PatchOp[];
}

/**
 * Write-only values vanish from the model when an update does not repeat them. Those we hold are sent again; those we
 * hold only a fingerprint of (`stored` says which of them are not, because they are stored) have to be given, or let go by
 * an explicit null; those that are also create-only must not be sent at all. In the elements of an array they are repeated with the whole array, matched by the elements' names.
 */
function repeated(
  schema: NonNullable<PatchRequest["schema"]>,
  { live, declared, desired, stored, edits }: Repeat,
): { resend: PatchOp[]; needsSecret: string[] } {
  const resend: PatchOp[] = [];
  const held = (path: string, value: Json): boolean =>
    !holdsSecretMark(value) || (isSecretMark(value) && stored(path, value.$secret));
  // What live hides behind a fingerprint cannot be sent: only its owner can give it.
  const needsSecret = edits.flatMap((edit) =>
    edit.op !== "remove" && "value" in edit && !held(edit.path, edit.value) ? [edit.path] : [],
  );
  const patterns = schema.writeOnly.map((pattern) => pattern.replace(/^\/properties(?=\/)/, ""));
  const covered = (path: string): boolean =>
    [...edits, ...resend].some((edit) => edit.path === path || path.startsWith(`${edit.path}/`));
  for (const path of patterns.filter((pattern) => !pattern.split("/").includes("*"))) {
    const value = valueAt(declared, path);
    if (value === undefined || covered(path) || isUnder(schema.createOnly, path)) continue;
    if (valueAt(desired, path) === null) continue;
    if (held(path, value)) resend.push({ op: "add", path, value });
    else needsSecret.push(path);
  }
  const inLists = patterns.filter((pattern) => pattern.split("/").includes("*"));
  for (const list of new Set(inLists.map((pattern) => pattern.slice(0, pattern.indexOf("/*"))))) {
    const [ours, now] = [valueAt(declared, list), valueAt(live, list)];
    if (!Array.isArray(ours) || !Array.isArray(now) || covered(list)) continue;
    const below = inLists
      .filter((pattern) => pattern.startsWith(`${list}/*/`) && !isUnder(schema.createOnly, pattern))
      .map((pattern) => pattern.slice(list.length + 2));
    // An element that is gone needs nothing.
    const values = below
      .flatMap((pattern) => expanded(`${list}/*${pattern}`, declared))
      .filter((path) => valueAt(live, path.slice(0, path.lastIndexOf("/"))) !== undefined);
    if (values.length === 0) continue;
    const edited = edits.some(({ path }) => path.startsWith(`${list}/`));
    const value = edited || below.some((path) => path.includes("/*")) ? null : refilled(now, ours, below);
    if (value === null || holdsSecretMark(value)) needsSecret.push(...values);
    else resend.push({ op: "add", path: list, value });
  }
  return { resend, needsSecret };
}

/** The pointers of a document that a pattern names. */
function expanded(pattern: string, document: Json): string[] {
  const at = pattern.indexOf("/*");
  if (at < 0) return valueAt(document, pattern) === undefined ? [] : [pattern];
  const [head, rest] = [pattern.slice(0, at), pattern.slice(at + 2)];
  const list = valueAt(document, head);
  if (!Array.isArray(list)) return [];
  return list.flatMap((item, index) => expanded(rest, item).map((below) => `${head}/${index}${below}`));
}

/** The list as it is live with our write-only values put back; null where it is not certain which element is which. */
function refilled(now: readonly Json[], ours: readonly Json[], below: readonly string[]): Json | null {
  const name = IDENTITY_FIELDS.find((field) =>
    [...now, ...ours].every((item) => isObject(item) && typeof item[field] === "string"),
  );
  if (name === undefined && now.length !== ours.length) return null;
  return now.map((item, index) => {
    const twin =
      name === undefined ? ours[index] : ours.find((one) => (one as JsonObject)[name] === (item as JsonObject)[name]);
    if (!isObject(item) || !isObject(twin)) return item;
    return below.reduce<JsonObject>((sum, path) => putBack(sum, pointerSegments(path), valueAt(twin, path)), item);
  });
}

/** A copy with a value at a path, its parents made where they are missing. */
function putBack(document: JsonObject, [segment, ...rest]: readonly string[], value: Json | undefined): JsonObject {
  if (segment === undefined || value === undefined) return document;
  if (rest.length === 0) return { ...document, [segment]: value };
  const inner = document[segment];
  return { ...document, [segment]: putBack(isObject(inner) ? inner : {}, rest, value) };
}

const sameMembers = (a: readonly Json[], b: readonly Json[]): boolean =>
  sameJson(a.map(canonicalJson).sort(), b.map(canonicalJson).sort());

const member = (object: JsonObject, key: string): Json | undefined =>
  Object.hasOwn(object, key) ? object[key] : undefined;

const isEmpty = (value: Json): boolean =>
  value === null || (typeof value === "object" && Object.keys(value).length === 0);

/** Nulls crash some handlers, and mean nothing to the others. */
const bare = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(bare);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => (inner === null ? [] : [[key, bare(inner)] as const])),
  );
};

/** Equal, also where one side is the JSON text of the other: some properties travel as strings. */
function equal(a: Json, b: Json): boolean {
  return sameJson(a, b) || (typeof a !== typeof b && sameJson(parsed(a), parsed(b)));
}

function parsed(value: Json): Json {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value) as Json;
  } catch {
    return value;
  }
}

/** Elements with names of their own are a set, whatever the schema leaves unsaid. */
const identified = (items: readonly Json[]): boolean =>
  IDENTITY_FIELDS.some((field) => items.every((item) => isObject(item) && typeof item[field] === "string"));
