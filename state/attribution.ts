// Who made a change: CloudTrail's events weighed against a difference. Pure; an event that names another resource, that
// failed or that is our own is never an answer.

import { type ManagedResource, type ResourceRef, ridOf, type State } from "../src/core/change.js";
import { type Difference, isObject, type Json, type JsonObject, pointerSegments, sameJson } from "../src/core/json.js";
import type { WhoAsked } from "../src/core/ports.js";
import type { Attribution, Confidence, TrailEvent } from "../src/core/trail.js";
import {
  CONTROL_SOURCE,
  controlEffect,
  effectOf,
  GONE,
  isTabled,
  MADE,
  sourceOf,
  subjectsOf,
  USES,
} from "./attribution-table.js";
import type { DriftReport } from "./drift.js";
import { lowered, SEVERITIES, worst } from "./severity.js";

/** What tells our own calls from others'. */
export interface Ours {
  readonly arn: string;
  readonly requestIds: ReadonlySet<string>;
  /** When operations of ours worked on this resource, in milliseconds. */
  readonly times: readonly { readonly from: number; readonly to: number }[];
}

/** Clocks of ours and of AWS may differ by this much. */
const SLACK_MS = 120_000;

/** @example windowOf("2026-11-21T10:00:00.000Z") // "2026-11-21T09:58:00.000Z" */
export const windowOf = (since: string): string => new Date(Date.parse(since) - SLACK_MS).toISOString();

const MOST_NAMES = 3;

/** Identifier, then ARN, then name: `|` joins the parts of a composed identifier, which CloudTrail knows one by one. */
export function namesOf(ref: ResourceRef, content: JsonObject | null): string[] {
  const parts = ref.id.split("|").filter(Boolean);
  const members = Object.entries(content ?? {}).flatMap(([key, value]) =>
    typeof value === "string" && value !== "" ? [[key, value] as const] : [],
  );
  const arns = members
    .filter(([key, value]) => /arn$/i.test(key) && value.startsWith("arn:"))
    .map(([, value]) => value);
  const noun = ref.type.split("::").at(-1) ?? "";
  const own = arns.filter((arn) => parts.some((part) => arn.endsWith(part)));
  const named = members.filter(([key]) => key === `${noun}Name` || key === "groupName" || key === "Name");
  const lastOfArn = parts[0]?.startsWith("arn:") ? [parts[0].split(/[/:]/).at(-1)!] : [];
  return [...new Set([parts[0] ?? "", ...own, ...lastOfArn, ...named.map(([, value]) => value)])]
    .filter(Boolean)
    .slice(0, MOST_NAMES);
}

export function oursOf(state: State, ref: ResourceRef, arn: string): Ours {
  const rid = ridOf(ref);
  const operations = [...state.operations.values()];
  const worked = operations.filter((operation) => {
    const step = state.changes.get(operation.changeId)?.steps[operation.step];
    return step !== undefined && ridOf(step.ref) === rid;
  });
  return {
    arn,
    requestIds: new Set(operations.flatMap(({ awsRequestId }) => awsRequestId ?? [])),
    times: [
      ...worked.map(({ intentAt, settledAt }) => ({
        from: Date.parse(intentAt) - SLACK_MS,
        to: settledAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(settledAt) + SLACK_MS,
      })),
      // Operations that a large store left to its archive: their ends stand in the lineage.
      ...(state.resources.get(rid)?.lineage ?? [])
        .filter(({ operationId }) => operationId !== "")
        .map(({ timestamp }) => ({
          from: Date.parse(timestamp) - SLACK_MS,
          to: Date.parse(timestamp) + SLACK_MS,
        })),
    ],
  };
}

/**
 * Ours by AWS's request id; or by who, when and how: our identity, while an operation of ours was at work, and through this
 * program or a service that it uses. The same person in the console is somebody else.
 */
function isOurs(event: TrailEvent, { arn, requestIds, times }: Ours): boolean {
  if (event.requestId !== undefined && requestIds.has(event.requestId)) return true;
  if (event.arn !== arn) return false;
  const at = Date.parse(event.at);
  const throughUs = (event.userAgent ?? "").includes("aws-devops-mcp") || event.invokedBy !== undefined;
  return throughUs && times.some(({ from, to }) => at >= from && at <= to);
}

const ARN = /^arn:[a-z-]+:/;
/** Ids that AWS gives out once, over all types: `sg-0bb00000000000001`. */
const UNIQUE = /^[a-z]{1,12}-([0-9a-f]{8}|[0-9a-f]{17})$/;

const RANK: Readonly<Record<Confidence, number>> = { exact: 3, likely: 2, possible: 1 };

interface Weighed {
  readonly event: TrailEvent;
  readonly confidence: Confidence;
}

/** The author of one difference among events, in whatever order these come; null where none of them can be. */
export function authorOf(
  change: Difference,
  { ref, names, since }: Pick<WhoAsked, "ref" | "names" | "since">,
  events: readonly TrailEvent[],
  ours: Ours,
): Extract<Attribution, { status: "known" }> | null {
  const from = Date.parse(since) - SLACK_MS;
  const weighed = events
    .filter((event) => !event.readOnly && !event.failed && Date.parse(event.at) > from && !isOurs(event, ours))
    .flatMap((event): Weighed[] => {
      const confidence = weigh(event, ref, names, change);
      return confidence ? [{ event, confidence }] : [];
    });
  // The surest; of those the last, for it left what is there; of those any one, but always the same.
  weighed.sort(
    (a, b) =>
      RANK[b.confidence] - RANK[a.confidence] ||
      compare(b.event.at, a.event.at) ||
      compare(a.event.eventId, b.event.eventId),
  );
  return weighed[0] ? known(weighed[0]) : null;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function known({ event, confidence }: Weighed): Extract<Attribution, { status: "known" }> {
  const { eventId, at, principal, name, source } = event;
  return {
    status: "known",
    confidence,
    principal,
    ...(event.principalType !== undefined && { principalType: event.principalType }),
    ...(event.session !== undefined && { session: event.session }),
    at,
    ...(event.sourceIp !== undefined && { sourceIp: event.sourceIp }),
    ...(event.userAgent !== undefined && { userAgent: event.userAgent }),
    ...(event.console && { console: true }),
    ...(event.invokedBy !== undefined && { invokedBy: event.invokedBy }),
    ...(event.onItsOwn && { onItsOwn: true }),
    eventName: name,
    eventSource: source,
    eventId,
  };
}

function weigh(event: TrailEvent, ref: ResourceRef, names: readonly string[], change: Difference): Confidence | null {
  const control = event.source === CONTROL_SOURCE;
  if (control && (!isObject(event.request) || event.request.typeName !== ref.type)) return null;
  const sourceFits = control || event.source === sourceOf(ref.type);
  if (!concerns(event, ref, names, sourceFits)) return null;
  if (!sourceFits) return isTabled(ref.type) && effectOf(ref.type, event.name)?.includes(USES) ? null : "possible";
  const effect = control ? controlEffect(event.name) : effectOf(ref.type, event.name);
  if (effect === null) return "possible";
  // What is known to do something else did not do this.
  if (!fits(effect, change)) return null;
  const said = says(event, ref.type, change);
  if (said === "another rule") return null;
  return said === "yes" ? "exact" : said === "silent" ? "likely" : "possible";
}

/**
 * Whether the event names this resource. A name that others may bear too counts only in events of the type's own service,
 * and not where the event says that the bearer is of another type.
 */
function concerns(
  event: TrailEvent,
  { type, id }: ResourceRef,
  names: readonly string[],
  sourceFits: boolean,
): boolean {
  const wanted = new Set([id, ...names]);
  if (sourceFits && !aboutSubject(event.request, type, [...wanted])) return false;
  const named = event.resources.filter(({ name }) => wanted.has(name));
  const inRequest = leaves(event.request).values;
  const unique = [...wanted].some(
    (name) => (ARN.test(name) || UNIQUE.test(name)) && (inRequest.has(name) || named.some((one) => one.name === name)),
  );
  if (unique) return true;
  if (!sourceFits) return false;
  if (named.length > 0) return named.some((one) => one.type === undefined || one.type === type);
  // Without a list of its own, the parameters have to name it, in a call that is known to be about such a type.
  const told = [...wanted].some((name) => inRequest.has(name));
  return told && event.resources.every((one) => one.type !== type) && effectOf(type, event.name) !== null;
}

/** False where a parameter that says which resource is meant says another one. */
function aboutSubject(request: Json, type: string, wanted: readonly string[]): boolean {
  if (!isObject(request)) return true;
  return subjectsOf(type).every((key) => {
    const given = request[key];
    if (typeof given !== "string") return true;
    // A cluster stands in the ARN of what runs in it.
    const short = ARN.test(given) ? given.split("/").at(-1)! : given;
    return wanted.some((name) => same(name, given) || name.split(/[/|]/).includes(short));
  });
}

function fits(effect: readonly string[], { path, kind }: Difference): boolean {
  if (effect.includes(USES)) return false;
  if (path === "") return kind === "REMOVE" ? effect.includes(GONE) : kind === "ADD" ? effect.includes(MADE) : true;
  return effect.some((at) => at === "/" || path === at || path.startsWith(`${at}/`));
}

type Said = "yes" | "other" | "silent" | "another rule";

/** Whether the parameters hold the new value; `other`: they hold another one for the same property. */
function says(event: TrailEvent, type: string, change: Difference): Said {
  // That the resource was made or removed is what the call says by its name.
  if (change.path === "") return "yes";
  if (type === "AWS::EC2::SecurityGroup" && change.path.startsWith("/rules/")) return saysRule(event, change);
  const { values, pairs } = leaves(event.request);
  const key = pointerSegments(change.path)
    .filter((segment) => segment !== "-" && !/^\d+$/.test(segment))
    .at(-1)!;
  const { after } = change;
  if (after === undefined) return values.has(key) ? "yes" : "silent";
  if (typeof after === "object" && after !== null) {
    const parts = [...leaves(after).values];
    return parts.length > 0 && parts.every((part) => values.has(part)) ? "yes" : "silent";
  }
  const given = pairs.get(key.toLowerCase());
  if (given === undefined) return "silent";
  return [...given].some((value) => same(value, String(after))) ? "yes" : "other";
}

/** AWS takes the end of an ARN for the whole of it. */
function same(a: string, b: string): boolean {
  const [short, long] = a.length < b.length ? [a, b] : [b, a];
  return a === b || (long.startsWith("arn:") && (long.endsWith(`/${short}`) || long.endsWith(`:${short}`)));
}

const RULE_IDS = ["securitygroupruleid", "securitygroupruleids"];

/** A rule by its id in the answer or the request, or by its traffic in the request. */
function saysRule({ name, request, response }: TrailEvent, { path, before, after }: Difference): Said {
  const id = pointerSegments(path)[1] ?? "";
  const whole = pointerSegments(path).length === 2;
  const rule = after ?? before;
  const ids = new Set(
    [request, response].flatMap((part) => [...RULE_IDS.flatMap((key) => [...(leaves(part).pairs.get(key) ?? [])])]),
  );
  const permissions = permissionsIn(request);
  if (ids.has(id)) {
    if (whole || after === undefined) return "yes";
    return leaves(request).values.has(String(after)) ? "yes" : "silent";
  }
  if (whole && isObject(rule)) {
    const direction = /Egress$/.test(name) ? "egress" : "ingress";
    if (rule.direction === direction && permissions.some((one) => sameTraffic(one, rule))) return "yes";
  }
  return ids.size > 0 || permissions.length > 0 ? "another rule" : "silent";
}

interface Permission {
  readonly protocol: string;
  readonly fromPort: string;
  readonly toPort: string;
  readonly peer: string;
}

const PEERS = new Set(["cidrip", "cidripv6", "prefixlistid", "groupid"]);

/** `ipPermissions` as traffic, one entry a peer. */
function permissionsIn(request: Json): Permission[] {
  const found: Permission[] = [];
  walk(request, (object) => {
    const member = (name: string): Json | undefined =>
      Object.entries(object).find(([key]) => key.toLowerCase() === name)?.[1];
    const protocol = member("ipprotocol");
    if (protocol === undefined) return;
    const base = { protocol: String(protocol), fromPort: port(member("fromport")), toPort: port(member("toport")) };
    for (const [key, values] of leaves(object).pairs) {
      if (PEERS.has(key)) found.push(...[...values].map((peer) => ({ ...base, peer })));
    }
  });
  return found;
}

/** No port and port -1 are both "all". */
const port = (value: Json | undefined): string => (value === undefined || value === -1 ? "" : String(value));

const sameTraffic = (one: Permission, rule: JsonObject): boolean =>
  one.protocol === rule.protocol &&
  one.fromPort === port(rule.fromPort) &&
  one.toPort === port(rule.toPort) &&
  one.peer === String(rule.peer).replace(OWNER, "");

/** CloudTrail names a group and its account apart. */
const OWNER = /^\d{12}\//;

interface Leaves {
  /** Every scalar as text. */
  readonly values: ReadonlySet<string>;
  /** Member name in lower case → its scalars, directly or in a list; a `key`/`value` pair counts under its key as well. */
  readonly pairs: ReadonlyMap<string, ReadonlySet<string>>;
}

const DEEPEST = 12;
const MOST_LEAVES = 5_000;
/** CloudTrail's word in place of what it does not record. */
const HIDDEN = /^HIDDEN_|^\*{3,}$|^<sensitiveDataRemoved>$/;

/** Documents are compared many times: each is taken apart once. */
const apart = new WeakMap<object, Leaves>();

function leaves(value: Json): Leaves {
  if (typeof value !== "object" || value === null) return takenApart(value);
  const found = apart.get(value) ?? takenApart(value);
  apart.set(value, found);
  return found;
}

function takenApart(value: Json): Leaves {
  const values = new Set<string>();
  const pairs = new Map<string, Set<string>>();
  const put = (key: string, leaf: string): void => {
    pairs.set(key, (pairs.get(key) ?? new Set()).add(leaf));
  };
  const visit = (node: Json, key: string, depth: number): void => {
    if (depth > DEEPEST || values.size > MOST_LEAVES) return;
    if (Array.isArray(node)) {
      for (const item of node) visit(item, key, depth + 1);
    } else if (isObject(node)) {
      const under = (name: RegExp): Json | undefined => Object.entries(node).find(([each]) => name.test(each))?.[1];
      // Tags and variables are lists of pairs; a patch says where its value goes.
      const at = under(/^(key|name|path)$/i);
      const held = under(/^value$/i);
      const last = typeof at === "string" ? (at.split("/").at(-1) ?? "") : "";
      if (last !== "" && held !== undefined) visit(held, last.toLowerCase(), depth + 1);
      for (const [name, member] of Object.entries(node)) {
        visit(member, name === "items" ? key : name.toLowerCase(), depth + 1);
      }
    } else if (node !== null) {
      const text = String(node);
      if (HIDDEN.test(text)) return;
      values.add(text);
      put(key, text);
      const inner = document(text);
      if (inner !== undefined) visit(inner, key, depth + 1);
    }
  };
  visit(value, "", 0);
  return { values, pairs };
}

/** Policies and patches are documents in a string. */
function document(text: string): Json | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

function walk(value: Json, see: (object: JsonObject) => void, depth = 0): void {
  if (depth > DEEPEST) return;
  if (Array.isArray(value)) for (const item of value) walk(item, see, depth + 1);
  else if (isObject(value)) {
    see(value);
    for (const member of Object.values(value)) walk(member, see, depth + 1);
  }
}

/** Who made a difference, and when: `by` says so in AWS's words, or why it cannot be said. */
export function authorView(by: Attribution | undefined): { readonly by?: JsonObject; readonly at?: string } {
  if (!by) return {};
  if (by.status !== "known") return { by: { ...by } };
  const { at, ...author } = by;
  return { by: { ...author }, at };
}

// ── drift ──────────────────────────────────────────────────────────────────────────────────────────────────────────

type Reported = Omit<DriftReport, "status"> & { readonly status: string };

/** What a drift report asks; null where there is nobody to ask for. */
export function questionOf(resource: ManagedResource, report: Reported): WhoAsked | null {
  const { ref, properties, baselineAt, drift } = resource;
  if (report.status !== "MODIFIED" && report.status !== "DELETED") return null;
  const changes: Difference[] =
    report.differences.length === 0
      ? [{ path: "", kind: "REMOVE", ...(properties ? { before: properties } : {}) }]
      : report.differences.map(({ path, kind, before, after }) => ({
          path,
          kind,
          ...(before !== undefined && { before }),
          ...(after !== undefined && { after }),
        }));
  const known = isObject(drift.details) && drift.status === report.status ? drift.details : {};
  const same = sameJson(movedIn(known.differences), movedIn(report.differences as unknown as Json));
  return {
    ref,
    names: namesOf(ref, properties),
    since: baselineAt,
    changes,
    ...(same && typeof known.noticedAt === "string" && { noticedAt: known.noticedAt }),
  };
}

/** What a list of differences says has moved to what. */
const movedIn = (differences: Json | undefined): Json =>
  Array.isArray(differences)
    ? differences.map((one) => (isObject(one) ? [one.path ?? "", one.after ?? null] : null))
    : [];

/** Which report to ask for first. */
export const worseFirst = (a: Reported, b: Reported): number => rank(b) - rank(a);
const rank = ({ severity }: Reported): number => (severity === null ? -1 : SEVERITIES.indexOf(severity));

/**
 * The report with who made each difference in it. What an AWS service did by itself weighs one level less, where that is
 * more than possible.
 */
export function withAuthors<R extends Reported>(report: R, by: readonly Attribution[]): R {
  const mild = (at: number): boolean => {
    const author = by[at];
    return author?.status === "known" && author.confidence !== "possible" && author.onItsOwn === true;
  };
  if (report.differences.length === 0) {
    if (!mild(0) || report.severity === null) return report;
    return { ...report, severity: lowered(report.severity), because: `${report.because}, by ${BY_ITSELF}` };
  }
  const differences = report.differences.map((one, at) => ({
    ...one,
    ...(mild(at) && { severity: lowered(one.severity), because: `${one.because}, by ${BY_ITSELF}` }),
    ...authorView(by[at]),
  }));
  const counted = differences.filter((one) => one.class === "declared" || one.class === "undeclared");
  const severity = worst(counted.map((one) => one.severity));
  const told = counted.find((one) => one.severity === severity);
  return { ...report, differences, severity, ...(told ? { because: `${told.path}: ${told.because}` } : {}) };
}

const BY_ITSELF = "an AWS service itself";
