// The Cloud Control patch: made by us from live, guarded by `test`, never written by a model.

import type { ResourceSchema } from "../src/core/content.js";
import {
  applyPatch,
  canonicalJson,
  escapePointer,
  holdsSecretMark,
  isObject,
  isSecretMark,
  type Json,
  type JsonObject,
  type PatchOp,
  sameJson,
  valueAt,
} from "../src/core/json.js";
import { hasBelow, isAt, isUnder } from "./schema-paths.js";

export { mergeDesired } from "./desired.js";

export interface PatchRequest {
  readonly live: JsonObject;
  /** The content wanted. What it leaves out is removed only with a right to: see `PatchResult.kept`. */
  readonly target: JsonObject;
  readonly schema?: Pick<ResourceSchema, "readOnly" | "writeOnly" | "createOnly" | "unordered" | "tags">;
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
    if (valueAt(desired, path) === null) return true;
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
    else if (!(Array.isArray(from) && Array.isArray(to) && sameMembers(from, to))) {
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

  walk("", live, target);
  const noChange = edits.length === 0;
  const { resend, needsSecret } = noChange
    ? { resend: [], needsSecret: [] }
    : repeated(schema, { declaredBefore, desired, live, stored }, edits);
  const patch: PatchOp[] = noChange
    ? []
    : [...[...tests].map(([path, value]): PatchOp => ({ op: "test", path, value })), ...edits, ...resend];
  return {
    patch,
    after: applyPatch(live, [...edits]) as JsonObject,
    replacements,
    conditional: [],
    needsSecret,
    kept,
    noChange,
  };
}

/**
 * Write-only values vanish from the model when an update does not repeat them. Those we hold are sent again; those we
 * hold only a fingerprint of (`stored` says which of them are not, because they are stored) have to be given, or let go by
 * an explicit null; those that are also create-only must not be sent at all.
 */
function repeated(
  schema: NonNullable<PatchRequest["schema"]>,
  {
    declaredBefore,
    desired,
    live,
    stored,
  }: Required<Pick<PatchRequest, "declaredBefore" | "desired" | "live" | "stored">>,
  edits: readonly PatchOp[],
): { resend: PatchOp[]; needsSecret: string[] } {
  const resend: PatchOp[] = [];
  const needsSecret: string[] = [];
  const patterns = schema.writeOnly.map((pattern) => pattern.replace(/^\/properties(?=\/)/, ""));
  for (const path of patterns.flatMap((pattern) => expanded(pattern, declaredBefore))) {
    const value = valueAt(declaredBefore, path)!;
    const covered = edits.some((edit) => edit.path === path || path.startsWith(`${edit.path}/`));
    const letGo = valueAt(desired, path) === null;
    if (covered || letGo || isUnder(schema.createOnly, path)) continue;
    const inList = patterns.every((pattern) => pattern !== path);
    // An element that is gone needs nothing; of the others nobody knows that they stand where they stood.
    if (inList && valueAt(live, path.slice(0, path.lastIndexOf("/"))) === undefined) continue;
    const held = !holdsSecretMark(value) || (isSecretMark(value) && stored(path, value.$secret));
    if (held && !inList) resend.push({ op: "add", path, value });
    else needsSecret.push(path);
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

const IDENTITIES = ["Key", "Id", "id", "Name", "name", "Sid", "AttributeName", "IndexName"];

/** Elements with names of their own are a set, whatever the schema leaves unsaid. */
const identified = (items: readonly Json[]): boolean =>
  IDENTITIES.some((field) => items.every((item) => isObject(item) && typeof item[field] === "string"));
