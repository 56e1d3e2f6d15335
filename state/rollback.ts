// Back to the state of a token, planned from live: ours is restored, other people's work stays. Pure.

import type { LineageEntry, ManagedResource } from "../src/core/change.js";
import type { Rule } from "../src/core/content/security-groups.js";
import type { ResourceSchema } from "../src/core/content.js";
import { OpsError } from "../src/core/errors.js";
import {
  escapePointer,
  isObject,
  isSecretMark,
  type Json,
  type JsonObject,
  pathsTouch,
  pointerSegments,
  sameJson,
} from "../src/core/json.js";
import { acceptedOf, volatileOf } from "../src/core/own-types.js";
import { isTagList, trafficOf } from "./desired.js";
import { notStored } from "./envelopes.js";
import { isUnder } from "./schema-paths.js";

export interface KeptChange {
  readonly path: string;
  readonly atToken?: Json;
  readonly now?: Json;
}

export interface Rollback {
  readonly entry: LineageEntry;
  /** The content to converge live to. For a resource that is gone: what to create it from. */
  readonly target: JsonObject;
  /** The part of the target that this rollback sets. */
  readonly desired: JsonObject;
  /** Changes of other people since then: they stay unless the user asks to undo them too. */
  readonly kept: readonly KeptChange[];
  /** Secrets that were others then and are not stored: pointers. They are among the unrestorable, too. */
  readonly needsSecret: readonly string[];
  readonly unrestorable: readonly { readonly path: string; readonly because: string }[];
  readonly recreate: boolean;
  readonly noChange: boolean;
}

export interface RollbackInput {
  readonly resource: Pick<ManagedResource, "ref" | "reader" | "lineage" | "rid" | "envelopes">;
  readonly token: string;
  readonly live: JsonObject | null;
  readonly schema?: ResourceSchema;
  /** Undo other people's changes as well, because the user asked for it. */
  readonly undoOthers?: boolean;
  /** Back to what the change of the token found, not to what it left. */
  readonly before?: boolean;
}

/**
 * What going back to a token means for one resource, path by path: declared at that token → the value read back then;
 * undeclared then and changed by a later operation of ours → as it was then; changed by others only → kept.
 * @throws OpsError `no_history` where the token left no state of this resource, `unsupported` where it left none to go back to.
 */
export function rollbackTo(input: RollbackInput): Rollback {
  const { resource, token, live, schema, undoOthers = false, before = false } = input;
  const { ref, lineage, rid } = resource;
  const ofToken = (entry: LineageEntry): boolean => entry.executionToken === token && token !== "";
  // A change of several steps on the resource left what the last of them did, and found what the first of them did.
  const named = before ? lineage.findIndex(ofToken) : lineage.findLastIndex(ofToken);
  const found = lineage[named];
  /** Entries up to here are of the state gone back to. */
  const at = before ? named - 1 : named;
  const entry = before && found ? asFound(found) : found;
  if (!entry) {
    throw new OpsError(
      "no_history",
      "The lineage of this resource has no entry under this token. Nothing was planned; read its history for the tokens it has.",
      {
        field: "executionToken",
        details: { rid },
      },
    );
  }
  if (entry.outcome !== "succeeded" || entry.after === null) {
    const why = before
      ? "made the resource, so there was nothing before it"
      : entry.outcome === "succeeded"
        ? "deleted the resource, so it left no state to go back to"
        : `ended as ${entry.outcome}, so what it left is not known`;
    throw new OpsError(
      "unsupported",
      `The change under this token ${why}. Nothing was planned; choose an earlier token.`,
      {
        field: "executionToken",
        details: { rid, outcome: entry.outcome },
      },
    );
  }
  if (showsTagsAlone(entry.after) !== (resource.reader === "tags")) {
    throw new OpsError(
      "unsupported",
      "What is recorded under this token and what the state holds of the resource by now were read in two ways (its tags alone, and all of it), so they cannot be compared. Nothing was planned; choose another token.",
      { field: "executionToken", details: { rid } },
    );
  }
  const readOnly = schema?.readOnly ?? [];
  const hidden = [...new Set([...(schema?.writeOnly ?? []).filter((path) => !path.includes("*"))])];
  const [secretThen, secretNow] = [declaredBy(lineage.slice(0, at + 1)), declaredBy(lineage)];
  const declaredEver = hidden.filter((path) =>
    lineage.some((one) => one.desired && valueIn(one.desired, path) !== undefined),
  );
  const isStored = (path: string): boolean =>
    valueIn(secretThen, path) !== undefined &&
    notStored(resource.envelopes, valueIn(secretThen, path), path).length === 0;
  const secrets = declaredEver
    .filter((path) => !isStored(path))
    .map((path) => ({ path, because: "AWS never shows this value, so the one of then is not known" }));
  const isOther = (path: string): boolean => !sameJson(valueIn(secretThen, path), valueIn(secretNow, path));
  const needsSecret = secrets.map(({ path }) => path).filter((path) => valueIn(secretThen, path) && isOther(path));
  const restored = declaredEver.filter(isStored);
  const withSecrets = (document: JsonObject, paths: readonly string[]): JsonObject =>
    paths.reduce((doc, path) => put(doc, pointerSegments(path), valueIn(secretThen, path)), document);

  if (live === null) {
    const declared = lineage.slice(0, at + 1).reduce<JsonObject>((sum, one) => overlay(sum, one.desired), {});
    const whole = drop(entry.after, readOnly);
    return {
      entry,
      target: withSecrets(whole, restored),
      desired: withSecrets(Object.keys(declared).length > 0 ? pick(whole, declared) : whole, restored),
      kept: [],
      needsSecret,
      unrestorable: [
        ...secrets,
        {
          path: "",
          because:
            "the resource is gone: it is made again under a new identifier where AWS assigns it, and its data is not restored",
        },
      ],
      recreate: true,
      noChange: false,
    };
  }

  const shape = keyedBy(ref.type, resource.reader);
  const then = shape.keyed(acceptedOf(ref.type, resource.reader, entry.after));
  const now = shape.keyed(acceptedOf(ref.type, resource.reader, live));
  const declared = declaredPaths(lineage.slice(0, at + 1), shape);
  const later = lineage
    .slice(at + 1)
    .filter((one) => one.outcome !== "failed" && one.operation !== "accept" && one.operation !== "import");
  const ours = later.flatMap((one) => changedPaths(one, shape));
  const skip = (path: string): boolean =>
    isUnder(readOnly, path) || volatileOf(ref.type, resource.reader).some((pointer) => pathsTouch(pointer, path));

  let target = now;
  let desired: JsonObject = {};
  const kept: KeptChange[] = [];
  const unrestorable = [...secrets];
  let changes = 0;
  const paths = [...new Set([...leaves(then), ...leaves(now)])].filter((path) => !skip(path)).sort();
  const differing = paths.filter((path) => !sameJson(valueIn(then, path), valueIn(now, path)));
  // Removals first: a value that replaces a whole object must not be undone by the removal of its members.
  for (const path of differing.sort(
    (a, b) => Number(valueIn(then, a) !== undefined) - Number(valueIn(then, b) !== undefined),
  )) {
    const wasThen = valueIn(then, path);
    const isNow = valueIn(now, path);
    const touchesOurs = touches(declared, path) || touches(ours, path);
    if (!touchesOurs && !undoOthers) {
      kept.push({
        path,
        ...(wasThen !== undefined && { atToken: wasThen }),
        ...(isNow !== undefined && { now: isNow }),
      });
      continue;
    }
    if (isUnder(schema?.createOnly ?? [], path)) {
      unrestorable.push({ path, because: "it can only be set when the resource is created: a replacement is needed" });
      continue;
    }
    const unknown = notStored(resource.envelopes, wasThen, path);
    if (unknown.length > 0) {
      needsSecret.push(...unknown);
      unrestorable.push({ path, because: "it was a secret then, and its value is not stored" });
      continue;
    }
    changes++;
    target = put(target, pointerSegments(path), wasThen);
    desired = put(desired, pointerSegments(path), wasThen ?? null);
  }
  const setAgain = restored.filter((path) => isOther(path) && !isUnder(schema?.createOnly ?? [], path));
  changes += setAgain.length;
  return {
    entry,
    target: withSecrets(shape.plain(target), setAgain),
    desired: withSecrets(shape.plain(desired), setAgain),
    kept,
    needsSecret,
    unrestorable,
    recreate: false,
    noChange: changes === 0,
  };
}

/** What an entry's change found, in the place of what it left. */
const asFound = (entry: LineageEntry): LineageEntry => ({ ...entry, outcome: "succeeded", after: entry.before });

/** The tags of a resource alone say nothing of the rest of it. */
const showsTagsAlone = (content: JsonObject): boolean =>
  Object.keys(content).length === 2 && typeof content.arn === "string" && isObject(content.tags);

// ── a content whose list elements have names ───────────────────────────────────────────────────────────────────────

interface Shape {
  keyed(content: JsonObject): JsonObject;
  plain(content: JsonObject): JsonObject;
}

/** Rules are named by their traffic, because a rule that is made again has another id; tags by their key. */
function keyedBy(type: string, reader: ManagedResource["reader"]): Shape {
  if (reader === "service" && type === "AWS::EC2::SecurityGroup") {
    const ids = new Map<string, string>();
    return {
      keyed: ({ rules, ...rest }) => {
        if (rules === undefined) return rest;
        const named = (rules as unknown as readonly Rule[]).map(({ ruleId, ...rule }) => {
          ids.set(trafficOf(rule), ruleId ?? "new");
          return [trafficOf(rule), [rule as JsonObject]] as const;
        });
        return { ...rest, rules: Object.fromEntries(named) };
      },
      plain: ({ rules, ...rest }) => {
        if (!isObject(rules)) return rest;
        const listed = Object.entries(rules).flatMap(([traffic, rule]) =>
          Array.isArray(rule) ? [{ ruleId: ids.get(traffic) ?? "new", ...(rule[0] as JsonObject) }] : [],
        );
        return { ...rest, rules: listed };
      },
    };
  }
  const lists = new Set<string>();
  return {
    keyed: (content) =>
      Object.fromEntries(
        Object.entries(content).map(([key, value]) => {
          if (!isTagList(value)) return [key, value];
          lists.add(key);
          return [key, Object.fromEntries(value.map((tag) => [tag.Key, [tag as JsonObject]]))];
        }),
      ),
    plain: (content) =>
      Object.fromEntries(
        Object.entries(content).map(([key, value]) => [
          key,
          lists.has(key) && isObject(value)
            ? Object.entries(value).map(([Key, tag]) => (Array.isArray(tag) ? (tag[0] as Json) : { Key, Value: null }))
            : value,
        ]),
      ),
  };
}

/**
 * Pointers to every value that is not an object: the unit in which things are declared and restored. Absent and empty are
 * one: the emptiness of a whole list of tags says nothing of whose each of them was.
 */
function leaves(value: Json, path = ""): string[] {
  if (typeof value === "object" && value !== null && Object.keys(value).length === 0) return [];
  if (!isObject(value) || isSecretMark(value)) return path === "" ? [] : [path];
  return Object.entries(value).flatMap(([key, member]) => leaves(member, `${path}/${escapePointer(key)}`));
}

/** What was declared by the end of these entries: a deletion ends every declaration before it. */
const declaredBy = (entries: readonly LineageEntry[]): JsonObject =>
  entries
    .filter((entry) => entry.outcome === "succeeded")
    .reduce<JsonObject>((sum, entry) => (entry.after === null ? {} : overlay(sum, entry.desired)), {});

const declaredPaths = (entries: readonly LineageEntry[], shape: Shape): string[] =>
  entries.flatMap((entry) =>
    entry.desired && entry.outcome === "succeeded" ? leaves(shape.keyed(entry.desired)) : [],
  );

function changedPaths(entry: LineageEntry, shape: Shape): string[] {
  const before = entry.before ? shape.keyed(entry.before) : {};
  const after = entry.after ? shape.keyed(entry.after) : {};
  const set = entry.desired ? leaves(shape.keyed(entry.desired)) : [];
  if (entry.outcome === "unknown") return set;
  const moved = [...new Set([...leaves(before), ...leaves(after)])].filter(
    (path) => !sameJson(valueIn(before, path), valueIn(after, path)),
  );
  return [...set, ...moved];
}

const touches = (paths: readonly string[], path: string): boolean =>
  paths.some((one) => one === path || one.startsWith(`${path}/`) || path.startsWith(`${one}/`));

/** The value at a pointer of objects; lists are values. */
function valueIn(document: JsonObject, path: string): Json | undefined {
  let here: Json | undefined = document;
  for (const segment of pointerSegments(path)) {
    here = isObject(here) && Object.hasOwn(here, segment) ? here[segment] : undefined;
    if (here === undefined) return undefined;
  }
  return here;
}

function put(document: JsonObject, [head, ...rest]: readonly string[], value: Json | undefined): JsonObject {
  const members = new Map(Object.entries(document));
  const inner = members.get(head!);
  if (rest.length > 0) members.set(head!, put(isObject(inner) ? inner : {}, rest, value));
  else if (value === undefined) members.delete(head!);
  else members.set(head!, value);
  return Object.fromEntries(members);
}

function overlay(sum: JsonObject, desired: JsonObject | undefined): JsonObject {
  return leaves(desired ?? {}).reduce((doc, path) => put(doc, pointerSegments(path), valueIn(desired!, path)), sum);
}

/** The members of a document whose top-level names were declared. */
const pick = (document: JsonObject, declared: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(document).filter(([key]) => Object.hasOwn(declared, key)));

function drop(document: JsonObject, patterns: readonly string[]): JsonObject {
  return leaves(document)
    .filter((path) => isUnder(patterns, path))
    .reduce((doc, path) => put(doc, pointerSegments(path), undefined), document);
}
