// The plain model: what exists, what is ours, which tokens live, what drift and a rollback must be. It never reads the
// store, and shares no code with it: contents are flat fields here.

import type { JsonObject } from "../../src/core/json.js";

export const BUCKET = "AWS::S3::Bucket";
export const TASK = "AWS::ECS::TaskDefinition";

/** A content as flat fields. A part that is there and empty has the value EMPTY: drift takes it for absent. */
export type Fields = Readonly<Record<string, string>>;
/** What a change sets; null removes. */
export type Wish = Readonly<Record<string, string | null>>;
export const EMPTY = "(empty)";

const text = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

export function fieldsOf(content: JsonObject | null): Fields | null {
  if (content === null) return null;
  if ("Family" in content) return { image: text((content.ContainerDefinitions as { Image: string }[])[0]!.Image) };
  const found: Record<string, string> = {};
  const inner = (property: string, leaf: string, field: string): void => {
    const part = content[property] as JsonObject | undefined;
    if (part !== undefined) found[field] = part[leaf] === undefined ? EMPTY : text(part[leaf]);
  };
  inner("VersioningConfiguration", "Status", "versioning");
  inner("AccelerateConfiguration", "AccelerationStatus", "accelerate");
  inner("PublicAccessBlockConfiguration", "BlockPublicAcls", "acls");
  inner("PublicAccessBlockConfiguration", "BlockPublicPolicy", "policy");
  const tags = content.Tags as { Key: string; Value: string }[] | undefined;
  for (const { Key, Value } of tags ?? []) found[`tag:${Key}`] = text(Value);
  if (tags?.length === 0) found.tags = EMPTY;
  return found;
}

/** A wish as properties of a bucket. */
export function propertiesOf(wish: Wish): JsonObject {
  const properties: Record<string, JsonObject[string]> = {};
  const tags: JsonObject[] = [];
  const access: Record<string, boolean> = {};
  for (const [field, value] of Object.entries(wish)) {
    if (field === "versioning") properties.VersioningConfiguration = value === null ? null : { Status: value };
    else if (field === "accelerate")
      properties.AccelerateConfiguration = value === null ? null : { AccelerationStatus: value };
    else if (field === "acls") access.BlockPublicAcls = value === "true";
    else if (field === "policy") access.BlockPublicPolicy = value === "true";
    else if (field.startsWith("tag:")) tags.push({ Key: field.slice(4), Value: value });
  }
  if (tags.length > 0) properties.Tags = tags;
  if (Object.keys(access).length > 0) properties.PublicAccessBlockConfiguration = access;
  return properties;
}

/** What somebody outside makes of a content. */
export function editedOutside(content: JsonObject, wish: Wish): JsonObject {
  const next: Record<string, JsonObject[string]> = { ...content };
  const { Tags = [], PublicAccessBlockConfiguration: access, ...rest } = propertiesOf(wish);
  for (const [property, value] of Object.entries(rest)) {
    if (value === null) delete next[property];
    else next[property] = value;
  }
  if (access)
    next.PublicAccessBlockConfiguration = {
      ...(content.PublicAccessBlockConfiguration as JsonObject),
      ...(access as JsonObject),
    };
  for (const tag of Tags as { Key: string; Value: string | null }[]) {
    const held = (next.Tags ?? []) as { Key: string }[];
    const others = held.filter(({ Key }) => Key !== tag.Key);
    // In its place: a `test` of Cloud Control compares lists in their order.
    const put = others.length < held.length ? held.map((one) => (one.Key === tag.Key ? tag : one)) : [...held, tag];
    next.Tags = (tag.Value === null ? others : put) as unknown as JsonObject[string];
  }
  return next;
}

const DEFAULTS: Fields = { acls: "true", policy: "true" };

/** What is one thing to a guard: a list is read and written as a whole. */
const groupOf = (field: string): string => (field === "tags" || field.startsWith("tag:") ? "tags" : field);
/** The property of the document a field lies in. */
const propertyOf = (field: string): string => (field === "acls" || field === "policy" ? "access" : groupOf(field));

const solid = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== EMPTY));

/** Fields that differ, empty parts taken for what they are. */
export function differing(a: Fields | null, b: Fields | null): string[] {
  const names = new Set([...Object.keys(a ?? {}), ...Object.keys(b ?? {})]);
  return [...names].filter((name) => a?.[name] !== b?.[name]).sort();
}
/** Fields that differ to whoever takes empty for absent. */
const meaningful = (a: Fields, b: Fields): string[] => differing(solid(a), solid(b));

export const same = (a: Fields | null, b: Fields | null): boolean =>
  a === null || b === null ? a === b : differing(a, b).length === 0;
export const sameButEmpty = (a: Fields | null, b: Fields | null): boolean =>
  a === null || b === null ? a === b : meaningful(a, b).length === 0;

const put = (fields: Fields, wish: Wish): Fields => {
  const next: Record<string, string> = { ...fields };
  for (const [field, value] of Object.entries(wish)) {
    if (value === null) delete next[field];
    else next[field] = value;
  }
  // The first tag fills the list.
  if (Object.keys(next).some((field) => field.startsWith("tag:"))) delete next.tags;
  return next;
};

export type Outcome = "succeeded" | "failed" | "unknown";

export interface Entry {
  /** Empty for an import and an accept. */
  readonly token: string;
  readonly operation: string;
  readonly outcome: Outcome;
  readonly before: Fields | null;
  readonly after: Fields | null;
  readonly declared: Wish;
}

export interface Managed {
  readonly key: string;
  baseline: Fields | null;
  deleted: boolean;
  desired: Fields;
  lineage: Entry[];
}

export type PlanState = "live" | "open" | "unknown" | "applied" | "failed" | "cancelled";

/** A token that somebody was given, and what it stands for. */
export interface Plan {
  readonly token: string;
  readonly changeId: string;
  readonly clientToken: string;
  readonly kind: "create" | "update" | "delete";
  /** `type/id`; the id is empty where AWS will give it. */
  key: string;
  /** False where AWS will give the id: what does not exist yet cannot be held. */
  readonly named: boolean;
  readonly before: Fields | null;
  /** What an update sends. */
  readonly wish: Wish;
  /** What a create makes. */
  readonly makes: Fields | null;
  readonly declared: Wish;
  readonly touches: ReadonlySet<string> | "all";
  readonly expiresAt: number;
  readonly by: string;
  state: PlanState;
  /** How often AWS carried it out. */
  effects: number;
  /** The content right before that. */
  found: Fields | null | undefined;
  /** What the process had read last when it sent the call. */
  read: Fields | null | undefined;
  /** Somebody was told that it was applied. */
  acknowledged: boolean;
  /** Somebody tried to cancel it. */
  maybeCancelled: boolean;
}

export interface Rollback {
  readonly refusals: readonly string[];
  readonly wish: Wish;
  readonly recreates: Fields | null;
  readonly declared: Wish;
  readonly to: string;
}

export class Model {
  /** Tokens of changes that AWS reports as done and nobody could read back. */
  readonly unseen = new Set<string>();
  /** What AWS holds, by `type/id`. */
  readonly aws = new Map<string, Fields>();
  readonly managed = new Map<string, Managed>();
  readonly plans: Plan[] = [];
  /** When each field of each resource was last changed by somebody else. */
  readonly outside = new Map<string, number>();
  /** What each process was last shown of each resource: `slot key` → revision and content. */
  readonly seen = new Map<string, { readonly revision: string; readonly fields: Fields }>();

  /** Everything a command can be about, in a fixed order. */
  keys(): string[] {
    return [...new Set([...this.aws.keys(), ...this.managed.keys()])].sort();
  }

  holder(key: string): Plan | undefined {
    return this.plans.find(
      (plan) => plan.named && plan.key === key && (plan.state === "open" || plan.state === "unknown"),
    );
  }

  // ── what plans mean ────────────────────────────────────────────────────────────────────────────────────────────

  createdBy = (wish: Wish): Fields => put(DEFAULTS, wish);

  /** What an update really sends: what is as wished already is no part of it, whatever somebody makes of it later. */
  changing = (before: Fields | null, wish: Wish): Wish =>
    Object.fromEntries(Object.entries(wish).filter(([field, value]) => (before?.[field] ?? null) !== value));

  /** What an update has to touch: the things that really change. */
  touchedBy = (before: Fields, wish: Wish): Set<string> =>
    new Set(Object.keys(this.changing(before, wish)).map(groupOf));

  overlaps(touches: ReadonlySet<string> | "all", a: Fields | null, b: Fields | null): boolean {
    if (a === null || b === null) return a !== b;
    const groups = differing(a, b).map(groupOf);
    return touches === "all" ? groups.length > 0 : groups.some((group) => touches.has(group));
  }

  /** What a call of ours leaves where AWS holds `before`: tags are sent as the whole list that was planned. */
  madeBy({ kind, makes, touches, before: planned, wish }: Plan, before: Fields | null): Fields | null {
    if (kind === "delete") return null;
    if (kind === "create") return makes;
    const after = put(before ?? {}, wish);
    if (touches === "all" || !touches.has("tags")) return after;
    const tags = Object.entries(put(planned ?? {}, wish)).filter(([field]) => groupOf(field) === "tags");
    const others = Object.entries(after).filter(([field]) => groupOf(field) !== "tags");
    return Object.fromEntries([...others, ...tags]);
  }

  /** A call of ours was carried out by AWS. */
  carriedOut(plan: Plan, key: string): void {
    const before = this.aws.get(key) ?? null;
    const after = this.madeBy(plan, before);
    plan.effects++;
    plan.found = before;
    plan.key = key;
    if (after === null) this.aws.delete(key);
    else this.aws.set(key, after);
  }

  // ── what is remembered ─────────────────────────────────────────────────────────────────────────────────────────

  private resource(key: string): Managed {
    const known = this.managed.get(key);
    if (known) return known;
    const made: Managed = { key, baseline: null, deleted: false, desired: {}, lineage: [] };
    this.managed.set(key, made);
    return made;
  }

  /** An outcome takes the place of the doubt about the same operation. */
  private note(resource: Managed, entry: Entry): void {
    const last = resource.lineage.at(-1);
    if (last && entry.token !== "" && last.token === entry.token) resource.lineage.pop();
    resource.lineage.push(entry);
  }

  succeeded(plan: Plan, before: Fields | null, after: Fields | null): void {
    const resource = this.resource(plan.key);
    const gone = after === null || plan.kind === "delete";
    const operation = before === null ? "create" : gone ? "delete" : plan.kind === "create" ? "update" : plan.kind;
    const desired = resource.deleted ? {} : resource.desired;
    resource.desired = after === null ? {} : put(desired, plan.declared);
    resource.baseline = after;
    resource.deleted = gone;
    this.note(resource, { token: plan.token, operation, outcome: "succeeded", before, after, declared: plan.declared });
    plan.state = "applied";
  }

  /** `after`: what was read back, where something was; undefined: nothing was recorded as changed. */
  failed(plan: Plan, after: Fields | null | undefined): void {
    plan.state = "failed";
    if (!this.managed.has(plan.key) && after === undefined) return;
    const resource = this.resource(plan.key);
    const { token, before, declared } = plan;
    if (after === undefined) {
      this.note(resource, { token, operation: plan.kind, outcome: "failed", before, after: before, declared });
      return;
    }
    const gone = after === null;
    const operation = before === null ? "create" : gone ? "delete" : plan.kind === "create" ? "update" : plan.kind;
    if (resource.deleted || gone) resource.desired = {};
    resource.baseline = after;
    resource.deleted = gone;
    this.note(resource, { token, operation, outcome: "failed", before, after, declared });
  }

  doubted(plan: Plan): void {
    plan.state = "unknown";
    const known = this.managed.has(plan.key);
    if (!plan.named || (!known && plan.before === null)) return;
    const resource = this.resource(plan.key);
    if (!known) resource.baseline = plan.before;
    const { token, before, declared, kind } = plan;
    this.note(resource, { token, operation: kind, outcome: "unknown", before, after: null, declared });
  }

  imported(key: string, content: Fields): void {
    const resource = this.resource(key);
    resource.baseline = content;
    resource.deleted = false;
    resource.desired = {};
    this.note(resource, {
      token: "",
      operation: "import",
      outcome: "succeeded",
      before: null,
      after: content,
      declared: {},
    });
  }

  accepted(key: string, content: Fields | null): void {
    const resource = this.resource(key);
    const before = resource.baseline;
    resource.baseline = content;
    resource.deleted = content === null;
    this.note(resource, { token: "", operation: "accept", outcome: "succeeded", before, after: content, declared: {} });
  }

  // ── drift ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The fields in which live is not as we left it; those that came to agree with what was asked for do not count. */
  drift(resource: Managed, live: Fields | null): { readonly status: string; readonly fields: readonly string[] } {
    if (this.holder(resource.key)) return { status: "BUSY", fields: [] };
    if (live === null) return { status: "DELETED", fields: [] };
    const moved = meaningful(resource.baseline!, live);
    const counted = moved.filter(
      (field) => live[field] === undefined || live[field] === EMPTY || live[field] !== resource.desired[field],
    );
    // Of what nobody could read back only what was asked for is known.
    const unseen = this.unseen.has(resource.lineage.at(-1)?.token ?? "");
    const fields = unseen ? counted.filter((field) => field in resource.desired) : counted;
    return { status: fields.length > 0 ? "MODIFIED" : "IN_SYNC", fields };
  }

  // ── rollback ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** The version before what is live, by the lineage. */
  previous(resource: Managed, live: Fields | null): Entry | undefined {
    return resource.lineage.findLast(
      ({ outcome, after }) =>
        outcome === "succeeded" && after !== null && (live === null || !sameButEmpty(after, live)),
    );
  }

  /** What our first change found, where nothing of ours differs from live. */
  beforeOurs({ lineage }: Managed, live: Fields | null): Entry | undefined {
    const first = lineage.find(({ token, outcome }) => token !== "" && outcome === "succeeded");
    return first?.before && !(live && sameButEmpty(first.before, live)) ? first : undefined;
  }

  rollback(resource: Managed, token: string | "previous", live: Fields | null, undoOthers: boolean): Rollback {
    const refused = (...refusals: string[]): Rollback => ({
      refusals,
      wish: {},
      recreates: null,
      declared: {},
      to: "",
    });
    const earlier = token === "previous" ? this.previous(resource, live) : undefined;
    const first = token === "previous" && !earlier ? this.beforeOurs(resource, live) : undefined;
    const found = earlier ?? first;
    if (token === "previous" && !found) return refused("no_history");
    const to = found?.token ?? token;
    const named = to === "" ? -1 : resource.lineage.findLastIndex((entry) => entry.token === to);
    const at = first ? named - 1 : named;
    const entry = first ? { ...first, outcome: "succeeded" as const, after: first.before } : resource.lineage[at];
    if (!entry) return refused("no_history");
    if (entry.outcome !== "succeeded" || entry.after === null) return refused("unsupported");
    const until = resource.lineage.slice(0, at + 1);
    if (live === null) {
      const declared = until.flatMap((one) => Object.keys(one.declared).map(propertyOf));
      const kept = Object.entries(solid(entry.after)).filter(
        ([field]) => declared.length === 0 || declared.includes(propertyOf(field)),
      );
      const wish = Object.fromEntries(kept);
      return { refusals: [], wish: {}, recreates: this.createdBy(wish), declared: wish, to };
    }
    const declared = until.flatMap((one) => (one.outcome === "succeeded" ? Object.keys(one.declared) : []));
    const later = resource.lineage
      .slice(at + 1)
      .filter(({ outcome, operation }) => outcome !== "failed" && operation !== "accept" && operation !== "import");
    const ours = later.flatMap((one) => [
      ...Object.keys(one.declared),
      ...(one.outcome === "unknown" ? [] : differing(one.before, one.after)),
    ]);
    const mine = new Set([...declared, ...ours]);
    const wish: Record<string, string | null> = {};
    for (const field of meaningful(entry.after, live)) {
      if (undoOthers || mine.has(field)) wish[field] = solid(entry.after)[field] ?? null;
    }
    if (Object.keys(wish).length === 0) return refused("nothing_to_change");
    return { refusals: [], wish, recreates: null, declared: wish, to };
  }
}
