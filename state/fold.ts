// (State, commit) → State, or a refusal. Pure: the same commits give the same state in every process, for ever.

import {
  type Change,
  type LeaseRecord,
  type LineageEntry,
  type ManagedResource,
  type Operation,
  type Owner,
  patchOf,
  planDigest,
  ridOf,
  type State,
  sameOwner,
} from "../src/core/change.js";
import { type ErrorCode, OpsError } from "../src/core/errors.js";
import { claims, dropResource, isRunning, newAlias, putChange, putOperation, putResource, ridsOf } from "./claims.js";
import type { Commit, Event, EventOf, EventType } from "./events.js";
import { PATIENCE } from "./leases.js";
import { sameEdits } from "./patch.js";
import { doubt, entryOf, NOT_CHECKED, note, settle, stateAfter, succeed } from "./settlement.js";
import { changeId, clientToken, seqOfChange, seqOfOperation, tokenSha256 } from "./tokens.js";
import { withKey } from "./versioned-map.js";

export { aliases, type Claim, claims, openChangeIds } from "./claims.js";

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

  "change.approved"(state, { changeId: id, planDigest: digest, by, channel, validUntil, risk }, commit) {
    const change = planned(state, id);
    if (change === null) return state;
    if (change instanceof OpsError) return change;
    if (change.planDigest !== digest) return otherPlan(id);
    const approval = { by, channel, at: commit.ts, validUntil, ...(risk !== undefined && { risk }) };
    return putChange(state, { ...change, approval });
  },

  "change.rated"(state, { changeId: id, risk }) {
    const change = planned(state, id);
    if (change === null) return state;
    if (change instanceof OpsError) return change;
    return putChange(state, { ...change, risk });
  },

  "change.rejected"(state, { changeId: id, planDigest: digest, by, because }) {
    const change = planned(state, id);
    if (change === null) return state;
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
    if (change === null) return state;
    if (change instanceof OpsError) return change;
    return putChange(state, {
      ...change,
      state: "cancelled",
      because: `cancelled by ${by}${because ? `: ${because}` : ""}`,
    });
  },

  "change.interrupted"(state, event, commit) {
    const { changeId: id, because } = event;
    const change = state.changes.get(id);
    if (!change) return unknownChange(id);
    if (change.state !== "applying") return broken(`Change ${id} is ${change.state}, so it cannot be interrupted.`);
    if (unsettled(state, change)) return broken(`An operation of change ${id} has no outcome yet.`);
    const refusal = event.operationId === undefined ? null : notLeft(state, change, event, commit);
    if (refusal) return refusal;
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
    const { operationId, step, owner, resendUntil, leaseMs, patch } = event;
    if (patch && !sameEdits(patch, patchOf(change.steps[step]!) ?? []))
      return broken("A call does what was planned, whatever its guards hold.");
    const operation: Operation = {
      id: operationId,
      changeId: change.id,
      step,
      clientToken: event.clientToken,
      owner,
      intentAt: commit.ts,
      resendUntil,
      state: "open",
      ...(leaseMs !== undefined && { leaseMs }),
      ...(patch && { patch }),
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

  "op.succeeded"(state, { operationId, results, notProven }, commit) {
    const operation = running(state, operationId, commit);
    return operation instanceof OpsError ? operation : succeed(state, operation, results, commit, notProven);
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
    return putChange(next, { ...change, state: stateAfter(next, change), because: error.message });
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

  "op.takeover"(state, event, commit) {
    const operation = state.operations.get(event.operationId);
    if (!operation) return unknownOperation(event.operationId);
    if (!isRunning(operation)) return settled(operation);
    const { owner, proof, leaseMs } = event;
    const refusal = proof ? unproven(operation, event, commit) : null;
    if (refusal) return refusal;
    const { leaseMs: _, ...rest } = operation;
    return putOperation(state, {
      ...rest,
      owner,
      ...(leaseMs !== undefined && { leaseMs }),
      ...(proof && { epoch: commit.seq }),
    });
  },

  "op.parked"(state, { operationId, because }, commit) {
    const operation = running(state, operationId, commit);
    if (operation instanceof OpsError) return operation;
    const change = state.changes.get(operation.changeId)!;
    const error = operation.error ?? { code: "outcome_unknown", message: because };
    const entry = { ...entryOf(change, operation, commit), outcome: "unknown" as const, error };
    const next = doubt(state, change, operation, entry, commit);
    return putChange(putOperation(next, { ...operation, state: "parked", because, parkedAt: commit.ts }), {
      ...change,
      state: "unknown",
      because,
    });
  },

  "op.resolved"(state, { operationId, choice, by, reason = "", results = [] }, commit) {
    const operation = state.operations.get(operationId);
    if (!operation) return unknownOperation(operationId);
    if (operation.settledAt !== undefined) return settled(operation);
    if (operation.state === "open") {
      return refused(
        "resource_busy",
        `Operation ${operationId} is still under way, so there is nothing to decide yet. Nothing was recorded.`,
        { operationId, changeId: operation.changeId },
      );
    }
    const change = state.changes.get(operation.changeId)!;
    const resolved = { choice, by, reason };
    if (choice === "import") return succeed(state, { ...operation, resolved }, results, commit);
    const how = choice === "retry" ? "closed, to be planned anew," : "closed as not carried out";
    const because = `${how} by ${by}${reason && `: ${reason}`}`;
    const error = { code: "outcome_unknown", message: because };
    const entry = { ...entryOf(change, operation, commit), outcome: "failed" as const, error, resolved };
    let next = note(state, change, operation, entry, commit);
    const closed = { ...operation, state: "failed" as const, because, resolved, settledAt: commit.ts };
    next = putOperation(next, closed);
    return putChange(next, { ...change, state: stateAfter(next, change), because });
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
      ...(known?.lineageSpilled && { lineageSpilled: known.lineageSpilled }),
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
/** Null for one that was left to the archive: it expired long before, and what is said of it since changes nothing. */
function planned(state: State, id: string): Change | OpsError | null {
  const change = state.changes.get(id);
  if (!change)
    return (seqOfChange(id) ?? Number.POSITIVE_INFINITY) <= (state.spilled?.to ?? 0) ? null : unknownChange(id);
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
  const ready = last?.state === "succeeded" || (event.alongside === true && last?.state === "open");
  const follows = change.state === "applying" && ready && last?.step === event.step - 1;
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
  if (isWriter(operation.owner, commit)) return operation;
  return refused("resource_busy", `Operation ${id} belongs to another process now. Nothing was recorded by this one.`, {
    operationId: id,
    changeId: operation.changeId,
    owner: operation.owner,
  });
}

const isWriter = ({ host, pid, session }: Owner, { actor }: Commit): boolean =>
  host === actor.host && pid === actor.pid && session === actor.session;

/** The seq of the commit by which an operation got its owner: a takeover names the one it ends. */
export const epochOf = (operation: Operation): number => operation.epoch ?? seqOfOperation(operation.id);

/** Why a change between two steps may go on: its process lives as far as the chain can tell, or it did go on. */
function notLeft(
  state: State,
  change: Change,
  { operationId, owner, from, supersedes, proof }: EventOf<"change.interrupted">,
  commit: Commit,
): OpsError | null {
  const last = state.operations.get(change.operationIds.at(-1) ?? "");
  if (last?.id !== operationId) {
    return refused("resource_busy", `Change ${change.id} went on meanwhile. Nothing was recorded.`, {
      changeId: change.id,
    });
  }
  if (isWriter(last!.owner, commit)) return null;
  return owner
    ? unproven(last!, { owner, from, supersedes, proof }, commit)
    : broken(`Change ${change.id} does not say by whom it was left.`);
}

type Claimed = { [K in "from" | "supersedes" | "proof"]?: EventOf<"op.takeover">[K] | undefined } & { owner: Owner };

/** Why a takeover is refused, as far as the chain itself can tell; that the process is gone it has to believe. */
function unproven(operation: Operation, event: Claimed, commit: Commit): OpsError | null {
  const { owner, from, supersedes, proof } = event;
  const { id, changeId, leaseMs } = operation;
  if (!from || !proof) return broken(`The takeover of operation ${id} does not say from whom.`);
  if (!sameOwner(from, operation.owner) || supersedes !== epochOf(operation)) {
    return refused("resource_busy", `Operation ${id} was taken over by another process first. Nothing was recorded.`, {
      operationId: id,
      changeId,
      owner: operation.owner,
    });
  }
  if (from.session === owner.session || !isWriter(owner, commit)) {
    return broken(`Operation ${id} can be taken over only from another process, and only for oneself.`);
  }
  const here = from.host === owner.host;
  const fits =
    proof.kind === "heartbeat_still"
      ? leaseMs !== undefined && proof.stillMs >= PATIENCE * leaseMs
      : here && (from.bootId === owner.bootId) === (proof.kind === "process_gone");
  return fits ? null : broken(`The proof (${proof.kind}) does not show that the owner of operation ${id} is gone.`);
}
