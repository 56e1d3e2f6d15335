// (State, commit) → State, or a refusal. Pure: the same commits give the same state in every process, for ever.

import {
  type Change,
  type Envelope,
  type LeaseRecord,
  type LineageEntry,
  type ManagedResource,
  type Operation,
  planDigest,
  type ResourceRef,
  ridOf,
  type State,
} from "../src/core/change.js";
import { type ErrorCode, OpsError } from "../src/core/errors.js";
import type { Json, JsonObject } from "../src/core/json.js";
import { declaredAfter } from "./desired.js";
import type { Commit, Event, EventOf, EventType, Result } from "./events.js";
import { changeId, clientToken, tokenSha256 } from "./tokens.js";
import { withKey } from "./versioned-map.js";

/** A store in which nothing has happened. `head` is the sha256 of the bytes of `store.id`. */
export const emptyState = (store: string, created: string, head: string): State => ({
  store,
  seq: 0,
  head,
  created,
  updated: created,
  resources: new Map(),
  changes: new Map(),
  tokens: new Map(),
  operations: new Map(),
});

/** Who holds a resource: the open change, and its operation once one is under way. */
export interface Claim {
  readonly changeId: string;
  readonly operationId?: string;
}

const isOpen = (change: Change): boolean => change.state === "applying" || change.state === "unknown";
const isRunning = (operation: Operation): boolean => operation.state === "open" || operation.state === "unknown";

/**
 * The resources held by changes that have begun and not ended. An open intent is the lock on all resources of its
 * change; an outcome that is not known yet keeps them, because AWS may still be acting.
 */
export function claims(state: State): ReadonlyMap<string, Claim> {
  const held = new Map<string, Claim>();
  for (const id of openChanges(state.changes).keys()) {
    const change = state.changes.get(id)!;
    const operation = change.operationIds.map((op) => state.operations.get(op)!).find((op) => !op.settledAt);
    const claim: Claim = { changeId: id, ...(operation && { operationId: operation.id }) };
    for (const rid of ridsOf(change)) held.set(rid, claim);
  }
  return held;
}

/** Changes that have begun and not ended, also those whose resources do not exist yet and so cannot be held. */
export const openChangeIds = (state: State): readonly string[] => [...openChanges(state.changes).keys()];

/** A resource that does not exist yet has no id and cannot be held. */
const ridsOf = (change: Change): string[] =>
  change.steps.filter((step) => step.ref.id !== "").map((step) => ridOf(step.ref));

// Two indexes that follow from the maps. They ride along from version to version, so a fold never scans 10,000 entries.
const openIndex = new WeakMap<ReadonlyMap<string, Change>, ReadonlyMap<string, true>>();
const aliasIndex = new WeakMap<ReadonlyMap<string, ManagedResource>, ReadonlyMap<string, string>>();

function openChanges(changes: State["changes"]): ReadonlyMap<string, true> {
  let open = openIndex.get(changes);
  if (!open) {
    open = new Map([...changes.values()].filter(isOpen).map((change) => [change.id, true] as const));
    openIndex.set(changes, open);
  }
  return open;
}

/** Alias → rid, for every resource of the state. */
export function aliases(resources: State["resources"]): ReadonlyMap<string, string> {
  let known = aliasIndex.get(resources);
  if (!known) {
    known = new Map([...resources.values()].map((resource) => [resource.alias, resource.rid]));
    aliasIndex.set(resources, known);
  }
  return known;
}

function putChange(state: State, change: Change): State {
  const changes = withKey(state.changes, change.id, change);
  openIndex.set(changes, withKey(openChanges(state.changes), change.id, isOpen(change) ? true : undefined));
  return { ...state, changes };
}

function putResource(state: State, resource: ManagedResource): State {
  const resources = withKey(state.resources, resource.rid, resource);
  aliasIndex.set(resources, withKey(aliases(state.resources), resource.alias, resource.rid));
  return { ...state, resources };
}

function dropResource(state: State, resource: ManagedResource): State {
  const resources = withKey(state.resources, resource.rid, undefined);
  aliasIndex.set(resources, withKey(aliases(state.resources), resource.alias, undefined));
  return { ...state, resources };
}

const putOperation = (state: State, operation: Operation): State => ({
  ...state,
  operations: withKey(state.operations, operation.id, operation),
});

/** Given once and never changed: the identifier, made longer only where that is taken. */
function newAlias(state: State, ref: ResourceRef, wanted?: string): string {
  const taken = aliases(state.resources);
  const { account, region, type, id } = ref;
  const candidates = [...(wanted ? [wanted] : []), id, `${id}@${region}`, `${id}@${account}/${region}/${type}`];
  return candidates.find((alias) => !taken.has(alias)) ?? ridOf(ref);
}

const refused = (code: ErrorCode, message: string, details: Record<string, unknown> = {}): OpsError =>
  new OpsError(code, message, { details });

const broken = (message: string): OpsError => refused("internal", `${message} Nothing was recorded.`);

/**
 * The state after a commit, or the refusal of its first event whose precondition does not hold. The given state is
 * never changed: a reader may keep it for as long as it likes.
 */
export function fold(state: State, commit: Commit): State | OpsError {
  if (commit.seq !== state.seq + 1) return broken(`Commit ${commit.seq} does not follow ${state.seq}.`);
  let next: State | OpsError = state;
  for (const event of commit.events) {
    next = apply(next, event, commit);
    if (next instanceof OpsError) return next;
  }
  if (commit.epoch !== 0 && !leads(next, commit.epoch)) {
    return refused("resource_busy", `Lease ${commit.epoch} was taken over. Nothing was recorded; start again.`);
  }
  return { ...next, seq: commit.seq, head: commit.hash, updated: commit.ts };
}

/** Whether a lease is the newest of its scope: a process that slept through a takeover finds here that it is not. */
const leads = ({ leases = new Map() }: State, generation: number): boolean =>
  [...leases.values()].some((lease) => lease.generation === generation && !lease.broken);

const putLease = (state: State, scope: string, lease: LeaseRecord): State => ({
  ...state,
  leases: new Map(state.leases).set(scope, lease),
});

type Rule<T extends EventType> = (state: State, event: EventOf<T>, commit: Commit) => State | OpsError;

const apply = <T extends EventType>(state: State, event: Event & { type: T }, commit: Commit): State | OpsError =>
  (RULES[event.type] as unknown as Rule<T>)(state, event as unknown as EventOf<T>, commit);

const RULES: { readonly [T in EventType]: Rule<T> } = {
  "change.planned"(state, { change }, commit) {
    if (change.id !== changeId(commit.seq))
      return broken(`A change planned by commit ${commit.seq} is not ${change.id}.`);
    if (state.tokens.has(change.tokenSha256)) return broken("An execution token can be issued once.");
    if (planDigest(change) !== change.planDigest) {
      return refused(
        "plan_mismatch",
        "The plan is not the one its digest was made of. Nothing was recorded; plan again.",
      );
    }
    const tokens = withKey(state.tokens, change.tokenSha256, change.id);
    return putChange({ ...state, tokens }, { ...change, state: "planned", operationIds: [] });
  },

  "change.approved"(state, { changeId: id, planDigest: digest, by, channel, validUntil }, commit) {
    const change = planned(state, id);
    if (change instanceof OpsError) return change;
    if (change.planDigest !== digest) return otherPlan(id);
    return putChange(state, { ...change, approval: { by, channel, at: commit.ts, validUntil } });
  },

  "change.rejected"(state, { changeId: id, planDigest: digest, by, because }) {
    const change = planned(state, id);
    if (change instanceof OpsError) return change;
    if (change.planDigest !== digest) return otherPlan(id);
    return putChange(state, {
      ...change,
      state: "cancelled",
      because: `rejected by ${by}${because ? `: ${because}` : ""}`,
    });
  },

  "change.cancelled"(state, { changeId: id, by, because }) {
    const change = planned(state, id);
    if (change instanceof OpsError) return change;
    return putChange(state, {
      ...change,
      state: "cancelled",
      because: `cancelled by ${by}${because ? `: ${because}` : ""}`,
    });
  },

  "change.interrupted"(state, { changeId: id, because }) {
    const change = state.changes.get(id);
    if (!change) return unknownChange(id);
    if (change.state !== "applying") return broken(`Change ${id} is ${change.state}, so it cannot be interrupted.`);
    if (unsettled(state, change)) return broken(`An operation of change ${id} has no outcome yet.`);
    return putChange(state, { ...change, state: "failed", because });
  },

  "op.intent"(state, event, commit) {
    const change = state.changes.get(event.changeId);
    if (!change) return unknownChange(event.changeId);
    if (state.operations.has(event.operationId)) return broken(`Operation ${event.operationId} exists.`);
    if (!change.steps[event.step]) return broken(`Change ${change.id} has no step ${event.step}.`);
    const begun = event.step === 0 ? begin(state, change, event, commit) : proceed(state, change, event);
    if (begun instanceof OpsError) return begun;
    if (event.clientToken !== clientToken(begun.token!, event.step)) {
      return broken("A client token follows from the execution token and the step.");
    }
    const { operationId, step, owner, resendUntil } = event;
    const operation: Operation = {
      id: operationId,
      changeId: change.id,
      step,
      clientToken: event.clientToken,
      owner,
      intentAt: commit.ts,
      resendUntil,
      state: "open",
    };
    return putOperation(
      putChange(state, { ...begun, state: "applying", operationIds: [...change.operationIds, operationId] }),
      operation,
    );
  },

  "op.submitted"(state, { operationId, requestToken, awsRequestId }, commit) {
    const operation = running(state, operationId, commit);
    if (operation instanceof OpsError) return operation;
    return putOperation(state, {
      ...operation,
      ...(requestToken !== undefined && { requestToken }),
      ...(awsRequestId !== undefined && { awsRequestId }),
    });
  },

  "op.succeeded"(state, { operationId, results }, commit) {
    const operation = running(state, operationId, commit);
    return operation instanceof OpsError ? operation : succeed(state, operation, results, commit);
  },

  "op.failed"(state, { operationId, error, nothingWasChanged, results = [] }, commit) {
    const operation = running(state, operationId, commit);
    if (operation instanceof OpsError) return operation;
    const change = state.changes.get(operation.changeId)!;
    const entry = { ...entryOf(change, operation, commit), outcome: "failed" as const, error };
    let next = results.reduce((at, result) => settle(at, change, operation, result, entry, commit), state);
    if (results.length === 0 && !nothingWasChanged) next = doubt(next, change, operation, entry, commit);
    else if (results.length === 0) next = note(next, change, operation, entry, commit);
    next = putOperation(next, { ...operation, state: "failed", error, settledAt: commit.ts });
    return putChange(next, { ...change, state: "failed", because: error.message });
  },

  "op.unknown"(state, { operationId, error, because }, commit) {
    const operation = running(state, operationId, commit);
    if (operation instanceof OpsError) return operation;
    const change = state.changes.get(operation.changeId)!;
    const entry = { ...entryOf(change, operation, commit), outcome: "unknown" as const, error };
    const next = doubt(state, change, operation, entry, commit);
    return putChange(putOperation(next, { ...operation, state: "unknown", error, because }), {
      ...change,
      state: "unknown",
      because,
    });
  },

  "op.takeover"(state, { operationId, owner }) {
    const operation = state.operations.get(operationId);
    if (!operation) return unknownOperation(operationId);
    if (!isRunning(operation)) return settled(operation);
    return putOperation(state, { ...operation, owner });
  },

  "op.parked"(state, { operationId, because }, commit) {
    const operation = running(state, operationId, commit);
    if (operation instanceof OpsError) return operation;
    const change = state.changes.get(operation.changeId)!;
    return putChange(putOperation(state, { ...operation, state: "parked", because }), {
      ...change,
      state: "unknown",
      because,
    });
  },

  "op.resolved"(state, { operationId, choice, by, results = [] }, commit) {
    const operation = state.operations.get(operationId);
    if (!operation) return unknownOperation(operationId);
    if (operation.state !== "parked" && operation.state !== "unknown") return settled(operation);
    const change = state.changes.get(operation.changeId)!;
    if (choice === "retry") {
      const { because: _, error: __, ...again } = operation;
      const { because: ___, ...open } = change;
      return putChange(putOperation(state, { ...again, state: "open" }), { ...open, state: "applying" });
    }
    if (choice === "import") return succeed(state, operation, results, commit);
    const because = `closed without an outcome by ${by}`;
    return putChange(putOperation(state, { ...operation, state: "failed", because, settledAt: commit.ts }), {
      ...change,
      state: "failed",
      because,
    });
  },

  "resource.imported"(state, event, commit) {
    const rid = ridOf(event.ref);
    const busy = heldBy(state, [rid]);
    if (busy) return busy;
    const known = state.resources.get(rid);
    if (known && !known.deleted) {
      return refused(
        "already_exists",
        `${rid} is in the state already. Nothing was changed; read its history instead.`,
      );
    }
    const entry: LineageEntry = {
      seq: commit.seq,
      executionToken: "",
      changeId: "",
      operationId: "",
      tool: "state.import",
      operation: "import",
      outcome: "succeeded",
      timestamp: commit.ts,
      user: commit.actor.user,
      awsSession: commit.actor.awsArn ?? "",
      before: null,
      after: event.properties,
      explanation: event.provenance,
      intent: "",
    };
    return putResource(state, {
      rid,
      ref: event.ref,
      alias: known?.alias ?? newAlias(state, event.ref, event.alias),
      reader: event.reader,
      properties: event.properties,
      desired: event.desired ?? {},
      deleted: event.properties === null,
      createdAt: event.createdAt ?? commit.ts,
      baselineAt: commit.ts,
      revisionSeq: commit.seq,
      lineage: [...(known?.lineage ?? []), ...(event.lineage ?? []), entry],
      drift: NOT_CHECKED,
      ...(known?.envelopes && { envelopes: known.envelopes }),
      ...(event.dependsOn && { dependsOn: event.dependsOn }),
    });
  },

  "resource.forgotten"(state, { rid }) {
    const resource = managed(state, rid);
    if (resource instanceof OpsError) return resource;
    return heldBy(state, [rid]) ?? dropResource(state, resource);
  },

  "drift.observed"(state, { rid, status, severity, details }, commit) {
    const resource = managed(state, rid);
    if (resource instanceof OpsError) return resource;
    // Not a new revision: what we hold of the resource is what it was, and DELETED above all erases nothing.
    return putResource(state, { ...resource, drift: { status, severity, details, lastChecked: commit.ts } });
  },

  "drift.accepted"(state, { rid, properties, by, because }, commit) {
    const resource = managed(state, rid);
    if (resource instanceof OpsError) return resource;
    const busy = heldBy(state, [rid]);
    if (busy) return busy;
    const entry: LineageEntry = {
      seq: commit.seq,
      executionToken: "",
      changeId: "",
      operationId: "",
      tool: "state.accept",
      operation: "accept",
      outcome: "succeeded",
      timestamp: commit.ts,
      user: by,
      awsSession: commit.actor.awsArn ?? "",
      before: resource.properties,
      after: properties,
      explanation: because,
      intent: because,
    };
    return putResource(state, {
      ...resource,
      properties,
      deleted: properties === null,
      baselineAt: commit.ts,
      revisionSeq: commit.seq,
      lineage: [...resource.lineage, entry],
      drift: { status: "IN_SYNC", lastChecked: commit.ts, severity: null, details: null },
    });
  },

  "drift.ignored"(state, { rid, path, reason, by, until }, commit) {
    const resource = managed(state, rid);
    if (resource instanceof OpsError) return resource;
    const rule = { path, reason, by, since: commit.ts, ...(until !== undefined && { until }) };
    const others = (resource.ignores ?? []).filter((other) => other.path !== path);
    return putResource(state, { ...resource, ignores: [...others, rule] });
  },

  "state.manual_edit"(state, { by, resources }, commit) {
    let next = state;
    for (const { rid, properties, desired, dependsOn } of resources) {
      const resource = managed(next, rid);
      if (resource instanceof OpsError) return resource;
      const busy = heldBy(next, [rid]);
      if (busy) return busy;
      const entry: LineageEntry = {
        seq: commit.seq,
        executionToken: "",
        changeId: "",
        operationId: "",
        tool: "state.adopt",
        operation: "accept",
        outcome: "succeeded",
        timestamp: commit.ts,
        user: by,
        awsSession: commit.actor.awsArn ?? "",
        before: resource.properties,
        after: properties,
        desired,
        explanation: "state.json was edited by hand and the edit adopted.",
        intent: "",
      };
      const { dependsOn: _, ...rest } = resource;
      next = putResource(next, {
        ...rest,
        properties,
        desired,
        deleted: properties === null,
        baselineAt: commit.ts,
        revisionSeq: commit.seq,
        lineage: [...resource.lineage, entry],
        drift: NOT_CHECKED,
        ...(dependsOn.length > 0 && { dependsOn }),
      });
    }
    return next;
  },

  "lease.acquired"(state, { scope, generation, supersedes }, commit) {
    const newest = state.leases?.get(scope)?.generation ?? 0;
    if (generation <= newest || (supersedes ?? 0) < newest) {
      return refused("resource_busy", `Lease ${newest} on ${scope} was taken first. Nothing was recorded; try again.`);
    }
    if (commit.epoch !== generation) return broken(`Lease ${generation} is recorded under epoch ${commit.epoch}.`);
    return putLease(state, scope, { generation });
  },

  // A record of who did it: which key is the newest is said by the key files.
  "key.rotated": (state) => state,

  "lease.broken"(state, { scope, generation }) {
    const newest = state.leases?.get(scope)?.generation ?? 0;
    if (generation < newest) return broken(`Lease ${generation} on ${scope} is not the newest, ${newest} is.`);
    return putLease(state, scope, { generation, broken: true });
  },
};

const NOT_CHECKED = { status: "NOT_CHECKED", lastChecked: null, severity: null, details: null } as const;

const unknownChange = (id: string): OpsError =>
  refused("unknown_change", `This store holds no change ${id}. Nothing was recorded; list the changes it holds.`);
const unknownOperation = (id: string): OpsError => broken(`This store holds no operation ${id}.`);
const otherPlan = (id: string): OpsError =>
  refused("plan_mismatch", `The decision was made on another plan than the one change ${id} holds. Show it again.`);
const settled = (operation: Operation): OpsError =>
  refused(
    "token_spent",
    `Operation ${operation.id} already has an outcome: ${operation.state}. Nothing was recorded.`,
    {
      operationId: operation.id,
      changeId: operation.changeId,
      state: operation.state,
    },
  );

function managed(state: State, rid: string): ManagedResource | OpsError {
  return (
    state.resources.get(rid) ??
    refused("no_history", `The state does not hold ${rid}. Nothing was recorded; import the resource first.`, { rid })
  );
}

/** A change that is still only a plan. */
function planned(state: State, id: string): Change | OpsError {
  const change = state.changes.get(id);
  if (!change) return unknownChange(id);
  return change.state === "planned" ? change : noLongerPlanned(change);
}

function noLongerPlanned(change: Change): OpsError {
  const details = { changeId: change.id, state: change.state };
  return change.state === "cancelled"
    ? refused(
        "change_cancelled",
        `Change ${change.id} was cancelled. Nothing was sent; plan again if it is still wanted.`,
        details,
      )
    : refused(
        "token_spent",
        `The execution token of change ${change.id} was used before; the change is ${change.state}. Nothing was sent again; read the change for its outcome.`,
        details,
      );
}

const unsettled = (state: State, change: Change): boolean =>
  change.operationIds.some((id) => !state.operations.get(id)!.settledAt);

/** Spends the token: from here on this plan can never begin again, in any process, also after a crash. */
function begin(state: State, change: Change, event: EventOf<"op.intent">, commit: Commit): Change | OpsError {
  if (event.token === undefined || state.tokens.get(tokenSha256(event.token)) !== change.id) {
    return refused(
      "unknown_token",
      "No plan was issued for this execution token by this store. Nothing was sent; plan again.",
    );
  }
  if (change.state !== "planned") return noLongerPlanned(change);
  if (Date.parse(commit.ts) >= Date.parse(change.expiresAt)) {
    return refused(
      "token_expired",
      `The execution token of change ${change.id} expired at ${change.expiresAt}. Nothing was sent; plan again.`,
      { changeId: change.id, expiresAt: change.expiresAt },
    );
  }
  return heldBy(state, ridsOf(change)) ?? { ...change, token: event.token };
}

function proceed(state: State, change: Change, event: EventOf<"op.intent">): Change | OpsError {
  const last = state.operations.get(change.operationIds.at(-1) ?? "");
  const follows = change.state === "applying" && last?.state === "succeeded" && last.step === event.step - 1;
  return follows ? change : broken(`Step ${event.step} of change ${change.id} does not follow a step that succeeded.`);
}

function heldBy(state: State, rids: readonly string[]): OpsError | null {
  const held = claims(state);
  for (const rid of rids) {
    const claim = held.get(rid);
    if (!claim) continue;
    return refused(
      "resource_busy",
      `Change ${claim.changeId} holds ${rid} until its outcome is recorded. Nothing was sent; read that change, then try again.`,
      { rid, ...claim },
    );
  }
  return null;
}

/** An operation that waits for its outcome, and the right of this commit's writer to give it. */
function running(state: State, id: string, commit: Commit): Operation | OpsError {
  const operation = state.operations.get(id);
  if (!operation) return unknownOperation(id);
  if (!isRunning(operation)) return settled(operation);
  const { owner } = operation;
  const { actor } = commit;
  if (owner.host === actor.host && owner.pid === actor.pid && owner.session === actor.session) return operation;
  return refused("resource_busy", `Operation ${id} belongs to another process now. Nothing was recorded by this one.`, {
    operationId: id,
    owner,
  });
}

function succeed(state: State, operation: Operation, results: readonly Result[], commit: Commit): State {
  const change = state.changes.get(operation.changeId)!;
  const entry = { ...entryOf(change, operation, commit), outcome: "succeeded" as const };
  const next = results.reduce((at, result) => settle(at, change, operation, result, entry, commit), state);
  const { error: _, because: __, ...clean } = operation;
  const { because: ___, ...open } = change;
  const done = operation.step === change.steps.length - 1;
  return putChange(putOperation(next, { ...clean, state: "succeeded", settledAt: commit.ts }), {
    ...open,
    state: done ? "applied" : "applying",
  });
}

type EntryCore = Omit<LineageEntry, "before" | "after">;

function entryOf(change: Change, operation: Operation, commit: Commit): Omit<EntryCore, "outcome"> {
  const step = change.steps[operation.step]!;
  const patch = step.input.PatchDocument;
  return {
    seq: commit.seq,
    executionToken: change.token!,
    changeId: change.id,
    operationId: operation.id,
    tool: change.tool,
    operation: step.kind,
    timestamp: commit.ts,
    user: commit.actor.user,
    awsSession: change.caller.arn,
    ...(step.desired && { desired: step.desired }),
    ...(Array.isArray(patch) && { patch: patch as readonly Json[] }),
    explanation: change.explanation,
    intent: change.intent,
    ...(change.policyResults && { policyResults: change.policyResults as unknown as Json }),
    ...(change.rolledBackTo !== undefined && { rolledBackTo: change.rolledBackTo }),
  };
}

/** One operation has one entry on a resource: an outcome that becomes known takes the place of the doubt. */
const withEntry = (lineage: readonly LineageEntry[], entry: LineageEntry): readonly LineageEntry[] =>
  lineage.at(-1)?.operationId === entry.operationId ? [...lineage.slice(0, -1), entry] : [...lineage, entry];

function settle(
  state: State,
  change: Change,
  operation: Operation,
  { ref, reader, before, after }: Result,
  core: EntryCore,
  commit: Commit,
): State {
  const rid = ridOf(ref);
  const step = change.steps[operation.step]!;
  const known = state.resources.get(rid);
  const own = rid === ridOf(step.ref) || step.ref.id === "";
  const gone = after === null || (step.kind === "delete" && own && core.outcome === "succeeded");
  const kind = before === null ? "create" : gone ? "delete" : step.kind === "create" ? "update" : step.kind;
  const { desired: declared, ...rest } = core;
  const entry: LineageEntry = {
    ...rest,
    ...(own && declared && { desired: declared }),
    operation: kind,
    before,
    after,
  };
  const envelopes = own ? envelopesAfter(known?.envelopes, change, operation.step) : known?.envelopes;
  const comparable = known && known.reader === reader && !known.deleted ? known.desired : {};
  return putResource(state, {
    rid,
    ref,
    alias: known?.alias ?? newAlias(state, ref),
    reader,
    properties: after,
    desired: declaredAfter(ref.type, comparable, own && core.outcome === "succeeded" ? declared : undefined, after),
    deleted: gone,
    createdAt: known && !known.deleted ? known.createdAt : commit.ts,
    baselineAt: commit.ts,
    revisionSeq: commit.seq,
    lineage: withEntry(known?.lineage ?? [], entry),
    drift: gone ? NOT_CHECKED : { status: "IN_SYNC", lastChecked: commit.ts, severity: null, details: null },
    ...(known?.ignores && { ignores: known.ignores }),
    ...(envelopes && { envelopes }),
    ...(known?.dependsOn && { dependsOn: known.dependsOn }),
  });
}

/** One envelope for each value a path ever had, so that going back finds it; the newest is under the newest key. */
function envelopesAfter(
  earlier: readonly Envelope[] | undefined,
  { envelopes = [] }: Change,
  step: number,
): readonly Envelope[] | undefined {
  const sent = envelopes.filter((one) => one.step === step).map(({ step: _, ...envelope }): Envelope => envelope);
  if (sent.length === 0) return earlier;
  const replaced = (one: Envelope): boolean => sent.some(({ path, print }) => path === one.path && print === one.print);
  return [...(earlier ?? []).filter((one) => !replaced(one)), ...sent];
}

/** Remembers a failure that changed nothing, on a resource we hold. What never existed gets no history. */
function note(state: State, change: Change, operation: Operation, core: EntryCore, commit: Commit): State {
  const { ref, before } = change.steps[operation.step]!;
  const known = state.resources.get(ridOf(ref));
  if (!known) return state;
  const entry: LineageEntry = { ...core, before, after: before };
  return putResource(state, { ...known, revisionSeq: commit.seq, lineage: withEntry(known.lineage, entry) });
}

/** Remembers that AWS may have acted. The resource is taken into the state, because we may have changed it. */
function doubt(state: State, change: Change, operation: Operation, core: EntryCore, commit: Commit): State {
  const { ref, reader, before } = change.steps[operation.step]!;
  const rid = ridOf(ref);
  const known = state.resources.get(rid) ?? (before && unmanaged(state, ref, reader, before, commit));
  if (!known || ref.id === "") return state;
  const entry: LineageEntry = { ...core, before, after: null };
  return putResource(state, {
    ...known,
    revisionSeq: commit.seq,
    lineage: withEntry(known.lineage, entry),
    drift: { ...known.drift, status: "UNKNOWN" },
  });
}

function unmanaged(
  state: State,
  ref: ResourceRef,
  reader: ManagedResource["reader"],
  before: JsonObject,
  commit: Commit,
): ManagedResource {
  return {
    rid: ridOf(ref),
    ref,
    alias: newAlias(state, ref),
    reader,
    properties: before,
    desired: {},
    deleted: false,
    createdAt: commit.ts,
    baselineAt: commit.ts,
    revisionSeq: commit.seq,
    lineage: [],
    drift: NOT_CHECKED,
  };
}
