// Drift: what of a resource is not as we left it, whose it is and how bad. Pure; any doubt over-reports, never hides.

import type { DriftIgnore, DriftStatus, LineageEntry, ManagedResource } from "../src/core/change.js";
import type { Rule } from "../src/core/content/security-groups.js";
import type { ResourceSchema } from "../src/core/content.js";
import {
  canonicalJson,
  escapePointer,
  identityField,
  isObject,
  isSecretMark,
  isSequence,
  type Json,
  type JsonObject,
  nameOf,
  pointerSegments,
  reordered,
  sameJson,
} from "../src/core/json.js";
import { isGone } from "../src/core/own-types.js";
import { isPolicyDocument, normalPolicy } from "../src/core/same.js";
import { tagsOf } from "../src/core/tags.js";
import { comparable } from "./comparable.js";
import { sameTraffic } from "./desired.js";
import { isAt } from "./schema-paths.js";
import { isProduction, judge, judgeDeletion, raised, type Severity, worst } from "./severity.js";

/** Whose difference it is: the user's declaration broken, something undeclared moved, or the world came to agree. */
export type DriftClass = "declared" | "undeclared" | "absorbed" | "ignored";

export interface DriftDifference {
  /** Pointer into the content; elements with an identity are named by it (`/Tags/env`, `/rules/sgr-1/peer`). */
  readonly path: string;
  readonly kind: "ADD" | "REMOVE" | "NOT_EQUAL";
  readonly class: DriftClass;
  /** What our last change left, as read back then. */
  readonly before?: Json;
  /** What AWS holds now. */
  readonly after?: Json;
  readonly severity: Severity;
  readonly because: string;
  readonly heuristic?: true;
}

export interface DriftReport {
  readonly status: Extract<DriftStatus, "IN_SYNC" | "MODIFIED" | "DELETED" | "NOT_CHECKED" | "UNKNOWN">;
  /** The worst of the differences that count; null where there are none. */
  readonly severity: Severity | null;
  readonly differences: readonly DriftDifference[];
  readonly unverifiable: readonly { readonly path: string; readonly because: string }[];
  readonly ignored: number;
  readonly confidence: "high" | "low";
  readonly because: string;
}

export interface DriftInput {
  readonly resource: Pick<ManagedResource, "ref" | "reader" | "properties" | "desired" | "deleted" | "ignores"> & {
    /** Tells an emptiness that was asked for from one that a removal left behind. */
    readonly lineage?: readonly Pick<LineageEntry, "desired" | "outcome" | "notVerified">[];
  };
  /** Read now by the same reader as the baseline; null only where AWS said twice that it does not exist. */
  readonly live: JsonObject | null;
  readonly schema?: ResourceSchema;
  /** Pointers that AWS moves by itself. */
  readonly volatile: readonly string[];
  /** For ignore rules that end. */
  readonly now?: Date;
}

const report = (status: DriftReport["status"], because: string, more: Partial<DriftReport> = {}): DriftReport => ({
  status,
  severity: null,
  differences: [],
  unverifiable: [],
  ignored: 0,
  confidence: "high",
  because,
  ...more,
});

/** Compares what we left with what is there. Reads nothing and decides nothing about what to do. */
export function driftOf({ resource, live, schema, volatile, now }: DriftInput): DriftReport {
  const { ref, properties } = resource;
  const gone = isGone(ref.type, resource.reader, live);
  if (resource.deleted || properties === null) {
    if (gone) return report("IN_SYNC", "it was deleted and does not exist");
    const because = "it was deleted by a change of ours and exists again";
    const difference = {
      path: "",
      kind: "ADD",
      class: "undeclared",
      after: live!,
      severity: "MEDIUM",
      because,
    } as const;
    return report("MODIFIED", because, { severity: "MEDIUM", differences: [difference] });
  }
  if (gone) {
    const raw = judgeDeletion(ref.type);
    const severity = isProduction(tagsOf(properties)) ? raised(raw.severity) : raw.severity;
    return report("DELETED", raw.because, { severity });
  }
  const rules = { type: ref.type, volatile, ...(schema && { schema }) };
  const baseline = comparable(properties, rules);
  const current = comparable(live!, rules);
  const desired = comparable(resource.desired, rules).content;
  const production = isProduction(tagsOf(properties)) || isProduction(tagsOf(live!));
  const group = resource.reader === "service" && ref.type === "AWS::EC2::SecurityGroup";
  const found = group
    ? groupDifferences(baseline.content, current.content)
    : contentDifferences(baseline.content, current.content, asked(desired, resource.lineage ?? []), schema);

  const differences = found.map((raw): DriftDifference => {
    const { rule, ...shown } = raw;
    const isDeclared = rule ? declaresRule(desired, rule) : declares(desired, raw.path);
    const wanted = isDeclared && !rule ? lookup(desired, raw.path) : undefined;
    if (resource.ignores?.some((rule) => globMatches(rule.path, raw.path) && holds(rule, now))) {
      return { ...shown, class: "ignored", severity: "INFO", because: "a rule says to ignore it" };
    }
    if (wanted !== undefined && raw.after !== undefined && sameJson(wanted, raw.after)) {
      return { ...shown, class: "absorbed", severity: "INFO", because: "it is what was declared" };
    }
    const verdict = judge({ type: ref.type, ...raw, before: raw.before, after: raw.after, declared: isDeclared });
    const severity = production && verdict.severity !== "INFO" ? raised(verdict.severity) : verdict.severity;
    return { ...shown, class: isDeclared ? "declared" : "undeclared", ...verdict, severity };
  });
  // A baseline that nobody read holds what was asked for and no more: what else is there was perhaps there from the start.
  const unseen = resource.lineage?.at(-1)?.notVerified !== undefined;
  const known = unseen ? differences.filter((one) => one.class !== "undeclared") : differences;
  const counted = known.filter((one) => one.class === "declared" || one.class === "undeclared");
  const unverifiable = unique([...baseline.unverifiable, ...current.unverifiable, ...hidden(resource.desired, schema)]);
  const severity = worst(counted.map((one) => one.severity));
  const told = counted.find((one) => one.severity === severity);
  return report(
    counted.length > 0 ? "MODIFIED" : "IN_SYNC",
    told ? `${told.path}: ${told.because}` : unseen ? "nothing of what was asked for differs" : "nothing differs",
    {
      severity,
      differences: known,
      unverifiable,
      ignored: known.filter((one) => one.class === "ignored").length,
      confidence: unseen ? "low" : resource.reader === "service" || schema?.source === "registry" ? "high" : "low",
    },
  );
}

/** What is declared, without the objects that nobody asked to be empty: the removal of all they held left them so. */
function asked(desired: JsonObject, lineage: NonNullable<DriftInput["resource"]["lineage"]>): JsonObject {
  const said = lineage.flatMap((entry) => (entry.outcome === "succeeded" && entry.desired ? [entry.desired] : []));
  const left = (document: JsonObject, at: string): JsonObject =>
    Object.fromEntries(
      Object.entries(document).flatMap(([key, value]): [string, Json][] => {
        const path = `${at}/${escapePointer(key)}`;
        if (!isObject(value)) return [[key, value]];
        if (Object.keys(value).length > 0) return [[key, left(value, path)]];
        const last = said.findLast((one) => lookup(one, path) !== undefined);
        return last && !isEmpty(lookup(last, path)) ? [] : [[key, value]];
      }),
    );
  return left(desired, "");
}

type Raw = Pick<DriftDifference, "path" | "kind" | "before" | "after"> & {
  readonly rule?: { readonly before?: Rule; readonly after?: Rule };
};

// ── security groups: rules by id, then by traffic ──────────────────────────────────────────────────────────────────

function groupDifferences(baseline: JsonObject, live: JsonObject): Raw[] {
  const { rules: was, ...fixedBefore } = baseline;
  const { rules: is, ...fixedAfter } = live;
  const before = (was ?? []) as unknown as readonly Rule[];
  const after = (is ?? []) as unknown as readonly Rule[];
  const rest = contentDifferences(fixedBefore, fixedAfter, {}, undefined);
  const edited = before.flatMap((rule) => {
    const other = after.find(({ ruleId }) => ruleId === rule.ruleId);
    return other ? ruleDifferences(rule, other) : [];
  });
  const gone = before.filter((rule) => !after.some(({ ruleId }) => ruleId === rule.ruleId));
  const fresh = after.filter((rule) => !before.some(({ ruleId }) => ruleId === rule.ruleId));
  const remade = gone.flatMap((rule) => {
    const other = fresh.find((one) => sameTraffic(one, rule));
    return other ? [[rule, other] as const] : [];
  });
  const pointer = (rule: Rule): string => `/rules/${escapePointer(rule.ruleId)}`;
  return [
    ...rest,
    ...edited,
    ...remade.flatMap(([rule, other]) => ruleDifferences(rule, other)),
    ...gone
      .filter((rule) => !remade.some(([one]) => one === rule))
      .map(
        (rule): Raw => ({ path: pointer(rule), kind: "REMOVE", before: rule as JsonObject, rule: { before: rule } }),
      ),
    ...fresh
      .filter((rule) => !remade.some(([, one]) => one === rule))
      .map((rule): Raw => ({ path: pointer(rule), kind: "ADD", after: rule as JsonObject, rule: { after: rule } })),
  ];
}

const ruleDifferences = (before: Rule, after: Rule): Raw[] =>
  contentDifferences(before as JsonObject, after as JsonObject, {}, undefined).map((difference) => ({
    ...difference,
    path: `/rules/${escapePointer(before.ruleId)}${difference.path}`,
    rule: { before, after },
  }));

const declaresRule = (desired: JsonObject, { before, after }: NonNullable<Raw["rule"]>): boolean =>
  Array.isArray(desired.rules) &&
  (desired.rules as unknown as readonly Rule[]).some((rule) => sameTraffic(rule, (before ?? after)!));

// ── documents ──────────────────────────────────────────────────────────────────────────────────────────────────────

const isEmpty = (value: Json | undefined): boolean =>
  value === undefined || value === null || (typeof value === "object" && Object.keys(value).length === 0);

function contentDifferences(before: Json, after: Json, desired: JsonObject, schema: ResourceSchema | undefined): Raw[] {
  const compare = (was: Json | undefined, is: Json | undefined, path: string, shape: string): Raw[] => {
    // Absent, null and empty are one, unless the user asked for one of them.
    if (isEmpty(was) && isEmpty(is) && (lookup(desired, path) === undefined || sameJson(was ?? null, is ?? null)))
      return [];
    if (was === undefined) return [{ path, kind: "ADD", after: is! }];
    if (is === undefined) return [{ path, kind: "REMOVE", before: was }];
    if (isPolicyDocument(was) && isPolicyDocument(is)) {
      const [left, right] = [normalPolicy(was), normalPolicy(is)];
      return sameJson(left, right) ? [] : [{ path, kind: "NOT_EQUAL", before: was, after: is }];
    }
    if (isObject(was) && isObject(is) && !isSecretMark(was) && !isSecretMark(is)) {
      const keys = [...new Set([...Object.keys(was), ...Object.keys(is)])].sort();
      return keys.flatMap((key) => {
        const below = `/${escapePointer(key)}`;
        return compare(own(was, key), own(is, key), path + below, shape + below);
      });
    }
    if (Array.isArray(was) && Array.isArray(is)) return lists(was, is, path, shape);
    return sameScalar(was, is, shape, schema) ? [] : [{ path, kind: "NOT_EQUAL", before: was, after: is }];
  };

  const lists = (was: readonly Json[], is: readonly Json[], path: string, shape: string): Raw[] => {
    const field = identityField(was.length > 0 ? was : is);
    if (field && field === identityField(is.length > 0 ? is : was)) {
      if (isSequence(nameOf(path)) && reordered(was, is, field)) {
        return [{ path, kind: "NOT_EQUAL", before: was, after: is }];
      }
      const keyed = (items: readonly Json[]): JsonObject =>
        Object.fromEntries(items.map((item) => [String((item as JsonObject)[field]), item]));
      const [left, right] = [keyed(was), keyed(is)];
      const names = [...new Set([...Object.keys(left), ...Object.keys(right)])].sort();
      const moved = names.flatMap((name) => {
        const below = `/${escapePointer(name)}`;
        return compare(own(left, name), own(right, name), path + below, `${shape}/*`);
      });
      if (moved.length > 0 || (schema && isAt(schema.unordered, shape)) || sameOrder(was, is, field)) return moved;
      // Nothing says that order means nothing, so a new order is said.
      return schema ? moved : [{ path, kind: "NOT_EQUAL", before: was, after: is }];
    }
    const unordered = schema !== undefined && isAt(schema.unordered, shape);
    const [left, right] = unordered ? unmatched(was, is) : [was, is];
    return unordered ? pairs(left, right, path) : aligned(left, right, path, shape);
  };

  /** What one list has and the other has not, as multisets. */
  const unmatched = (was: readonly Json[], is: readonly Json[]): [readonly Json[], readonly Json[]] => {
    const left = [...was];
    const right = is.filter((item) => {
      const at = left.findIndex((other) => compare(other, item, "", "").length === 0);
      if (at >= 0) left.splice(at, 1);
      return at < 0;
    });
    return [left, right];
  };

  /** Leftovers of an unordered list: an edited element shows as one edit of it. */
  const pairs = (left: readonly Json[], right: readonly Json[], path: string): Raw[] =>
    Array.from({ length: Math.max(left.length, right.length) }, (_, index): Raw => {
      const was = left[index];
      const is = right[index];
      if (was === undefined) return { path: `${path}/-`, kind: "ADD", after: is! };
      if (is === undefined) return { path: `${path}/-`, kind: "REMOVE", before: was };
      return { path: `${path}/-`, kind: "NOT_EQUAL", before: was, after: is };
    });

  /** An ordered list: what both ends share is out of the way, so that one insertion is one difference. */
  const aligned = (was: readonly Json[], is: readonly Json[], path: string, shape: string): Raw[] => {
    const same = (a: Json, b: Json): boolean => compare(a, b, "", `${shape}/*`).length === 0;
    let head = 0;
    while (head < was.length && head < is.length && same(was[head]!, is[head]!)) head++;
    let tail = 0;
    while (tail < was.length - head && tail < is.length - head && same(was.at(-1 - tail)!, is.at(-1 - tail)!)) tail++;
    const left = was.slice(head, was.length - tail);
    const right = is.slice(head, is.length - tail);
    return Array.from({ length: Math.max(left.length, right.length) }).flatMap((_, index) =>
      compare(left[index], right[index], `${path}/${head + index}`, `${shape}/*`),
    );
  };

  return compare(before, after, "", "");
}

const sameOrder = (was: readonly Json[], is: readonly Json[], field: string): boolean =>
  sameJson(
    was.map((item) => (item as JsonObject)[field]!),
    is.map((item) => (item as JsonObject)[field]!),
  );

/** "80" is 80 only where the schema says the property is a number. */
function sameScalar(a: Json, b: Json, shape: string, schema: ResourceSchema | undefined): boolean {
  if (sameJson(a, b)) return true;
  const segments = pointerSegments(shape);
  const type = segments.length === 1 ? schema?.properties[segments[0]!]?.type : undefined;
  if (type !== "integer" && type !== "number") return false;
  return typeof a !== typeof b && Number(a) === Number(b) && String(a).trim() !== "" && String(b).trim() !== "";
}

const own = (object: JsonObject, key: string): Json | undefined =>
  Object.hasOwn(object, key) ? object[key] : undefined;

// ── what was declared ──────────────────────────────────────────────────────────────────────────────────────────────

/** The value at a path whose segments may name list elements by identity. */
function lookup(document: JsonObject, path: string): Json | undefined {
  let here: Json | undefined = document;
  for (const segment of pointerSegments(path)) {
    if (Array.isArray(here)) {
      const field = identityField(here);
      here = field
        ? here.find((item) => (item as JsonObject)[field] === segment)
        : (here[segment === "-" ? -1 : Number(segment)] as Json | undefined);
    } else here = isObject(here) ? own(here, segment) : undefined;
    if (here === undefined) return undefined;
  }
  return here;
}

/** Whether the user declared the path, something above it as a whole value, or something below it. */
function declares(desired: JsonObject, path: string): boolean {
  let here: Json | undefined = desired;
  for (const segment of pointerSegments(path)) {
    // A declared list is declared with every element it has and has not.
    if (Array.isArray(here)) return true;
    if (!isObject(here)) return here !== undefined;
    here = own(here, segment);
    if (here === undefined) return false;
  }
  return true;
}

// ── the rest ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Declared values that AWS never shows: whether they changed cannot be seen. */
const hidden = (desired: JsonObject, schema: ResourceSchema | undefined): DriftReport["unverifiable"] =>
  (schema?.writeOnly ?? [])
    .filter((path) => !path.includes("*") && lookup(desired, path) !== undefined)
    .map((path) => ({ path, because: "AWS never shows this value" }));

const unique = (items: DriftReport["unverifiable"]): DriftReport["unverifiable"] => [
  ...new Map(items.map((item) => [canonicalJson(item), item])).values(),
];

/** A rule that ends holds only where it is known to be before its end. */
const holds = ({ until }: DriftIgnore, now: Date | undefined): boolean =>
  until === undefined || (now !== undefined && now.getTime() < Date.parse(until));

/** A pointer with `*` for one segment; it also covers everything below. */
function globMatches(glob: string, path: string): boolean {
  const wanted = pointerSegments(glob);
  const segments = pointerSegments(path);
  return wanted.length <= segments.length && wanted.every((part, at) => part === "*" || part === segments[at]);
}
