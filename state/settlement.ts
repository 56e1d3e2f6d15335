// What an outcome leaves behind: the resource as read back, and one entry of its history for each operation.

import {
  type Change,
  type Envelope,
  type LineageEntry,
  type ManagedResource,
  type Operation,
  patchOf,
  type ResourceRef,
  ridOf,
  type State,
} from "../src/core/change.js";
import type { Json, JsonObject } from "../src/core/json.js";
import { newAlias, putChange, putOperation, putResource } from "./claims.js";
import { declaredAfter } from "./desired.js";
import type { Commit, Result } from "./events.js";

/** Drift of what was never compared since it was last settled. */
export const NOT_CHECKED = { status: "NOT_CHECKED", lastChecked: null, severity: null, details: null } as const;

export function succeed(
  state: State,
  operation: Operation,
  results: readonly Result[],
  commit: Commit,
  notProven?: string,
): State {
  const change = state.changes.get(operation.changeId)!;
  const { resolved } = operation;
  const entry = {
    ...entryOf(change, operation, commit),
    outcome: "succeeded" as const,
    ...(resolved && { resolved }),
    ...(notProven !== undefined && { notProven }),
  };
  const settled = results.reduce((at, result) => settle(at, change, operation, result, entry, commit), state);
  const { error: _, because: __, ...clean } = operation;
  const doubtful = results.find(({ notVerified }) => notVerified !== undefined)?.notVerified ?? notProven;
  const next = putOperation(settled, {
    ...clean,
    ...(doubtful !== undefined && { because: doubtful }),
    state: "succeeded",
    settledAt: commit.ts,
  });
  const { because: reason, ...open } = change;
  const after = stateAfter(next, change);
  return putChange(next, {
    ...open,
    // What went out in the same call may have failed, or still be in doubt.
    ...(reason !== undefined && (after === "failed" || after === "unknown") && { because: reason }),
    state: after,
  });
}

/** The state of a change that follows from its operations: several may be under way where one call carried them. */
export function stateAfter({ operations }: Pick<State, "operations">, change: Change): Change["state"] {
  const all = change.operationIds.map((id) => operations.get(id)!);
  const open = all.filter(({ settledAt }) => settledAt === undefined);
  if (open.length > 0) return open.some(({ state }) => state !== "open") ? "unknown" : "applying";
  if (all.some(({ state }) => state === "failed")) return "failed";
  return all.length === change.steps.length ? "applied" : "applying";
}

type EntryCore = Omit<LineageEntry, "before" | "after">;

export function entryOf(change: Change, operation: Operation, commit: Commit): Omit<EntryCore, "outcome"> {
  const step = change.steps[operation.step]!;
  const patch = operation.patch ?? patchOf(step);
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
    ...(patch && { patch }),
    explanation: change.explanation,
    intent: change.intent,
    ...(change.policyResults && { policyResults: change.policyResults as unknown as Json }),
    ...(change.rolledBackTo !== undefined && { rolledBackTo: change.rolledBackTo }),
  };
}

/** One operation has one entry on a resource: an outcome that becomes known takes the place of the doubt. */
const withEntry = (lineage: readonly LineageEntry[], entry: LineageEntry): readonly LineageEntry[] =>
  lineage.at(-1)?.operationId === entry.operationId ? [...lineage.slice(0, -1), entry] : [...lineage, entry];

export function settle(
  state: State,
  change: Change,
  operation: Operation,
  { ref, reader, before, after, notVerified }: Result,
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
    ...(notVerified !== undefined && { notVerified }),
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
    ...(known?.lineageSpilled && { lineageSpilled: known.lineageSpilled }),
    drift:
      gone || notVerified !== undefined
        ? NOT_CHECKED
        : { status: "IN_SYNC", lastChecked: commit.ts, severity: null, details: null },
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
export function note(state: State, change: Change, operation: Operation, core: EntryCore, commit: Commit): State {
  const { ref, before } = change.steps[operation.step]!;
  const known = state.resources.get(ridOf(ref));
  if (!known) return state;
  const entry: LineageEntry = { ...core, before, after: before };
  return putResource(state, {
    ...known,
    revisionSeq: commit.seq,
    lineage: withEntry(known.lineage, entry),
    // What was in doubt no longer is, and live has yet to be compared.
    ...(core.resolved && { drift: NOT_CHECKED }),
  });
}

/** Remembers that AWS may have acted. The resource is taken into the state, because we may have changed it. */
export function doubt(state: State, change: Change, operation: Operation, core: EntryCore, commit: Commit): State {
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
