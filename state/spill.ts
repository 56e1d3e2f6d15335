// What a large store leaves to the chain: old lineage entries and changes that ended. Pure; recall.ts reads them back.

import type { Change, LineageEntry, ManagedResource, SpilledLineage, SpillPoint, State } from "../src/core/change.js";
import { seqOfChange } from "./tokens.js";

/** Nothing that ended like this can take another event. */
const FINAL: ReadonlySet<Change["state"]> = new Set<Change["state"]>(["applied", "failed", "cancelled"]);

/**
 * The state without what commits up to `to` alone hold: of every resource all entries before its newest success (before
 * its newest entry, where none succeeded), and changes planned up to there whose operations all ended by `before`, with
 * those and their tokens: what was done lately is counted by limits on it.
 *
 * It follows from the state and the point alone, and in either order with folding: what is spilled and then goes on equals
 * what went on and is then spilled. So a checkpoint that names its point can be compared with a fold of the whole chain.
 */
export function spill(state: State, point: SpillPoint | undefined): State {
  const { to, before } = point ?? { to: 0, before: "" };
  if (to < Math.max(1, state.spilled?.to ?? 0)) return state;
  const resources = new Map<string, ManagedResource>();
  let other = false;
  for (const [rid, resource] of state.resources) {
    const slim = spilledResource(resource, to);
    other ||= slim !== resource;
    resources.set(rid, slim);
  }
  return spillChanges(other ? { ...state, resources } : state, { to, before });
}

/** The part of it that concerns changes: what `spill` with a later point leaves is the same with this before it. */
export function spillChanges(state: State, { to, before }: SpillPoint): State {
  const ended: Change[] = [];
  state.changes.forEach((change) => {
    if (hasEnded(state, change, { to, before })) ended.push(change);
  });
  const gone = { changes: ended.length, operations: ended.reduce((sum, one) => sum + one.operationIds.length, 0) };
  const { changes = 0, operations = 0 } = state.spilled ?? {};
  return {
    ...state,
    ...(ended.length > 0 && {
      changes: without(state.changes, new Set(ended.map(({ id }) => id))),
      tokens: without(state.tokens, new Set(ended.map(({ tokenSha256 }) => tokenSha256))),
      operations: without(state.operations, new Set(ended.flatMap(({ operationIds }) => operationIds))),
    }),
    spilled: { to, before, changes: changes + gone.changes, operations: operations + gone.operations },
  };
}

/** A plan whose time ran out begins nothing any more: whoever cancels it later changes nothing that anybody could use. */
function hasEnded(state: State, change: Change, { to, before }: SpillPoint): boolean {
  const { id, state: how, operationIds, expiresAt } = change;
  if ((seqOfChange(id) ?? Number.POSITIVE_INFINITY) > to) return false;
  if (how === "planned") return expiresAt <= before;
  return (
    FINAL.has(how) && operationIds.every((operation) => (state.operations.get(operation)?.settledAt ?? "~") <= before)
  );
}

function without<V>(map: ReadonlyMap<string, V>, keys: ReadonlySet<string>): ReadonlyMap<string, V> {
  const left = new Map<string, V>();
  map.forEach((value, key) => {
    if (!keys.has(key)) left.set(key, value);
  });
  return left;
}

/** The last one made of each: what did not change between two checkpoints stays the same object, and so its text. */
const known = new WeakMap<ManagedResource, { readonly to: number; readonly slim: ManagedResource }>();

function spilledResource(resource: ManagedResource, to: number): ManagedResource {
  const { lineage } = resource;
  if (lineage.length < 2) return resource;
  const before = known.get(resource);
  if (before?.to === to) return before.slim;
  const newest = lineage.findLastIndex(({ outcome }) => outcome === "succeeded");
  const head = newest >= 0 ? newest : lineage.length - 1;
  const holders = holdersOf(lineage);
  let count = 0;
  while (count < head && holders[count]! <= to) count++;
  const slim =
    count === 0
      ? resource
      : {
          ...resource,
          lineage: lineage.slice(count),
          lineageSpilled: joined(resource.lineageSpilled, holders.slice(0, count)),
        };
  known.set(resource, { to, slim });
  return slim;
}

/**
 * The commits that hold the entries of a lineage. An entry names its own, but for those that an import brought along:
 * they stand in the commit of the import, whose own entry follows them.
 */
function holdersOf(lineage: readonly LineageEntry[]): number[] {
  const holders: number[] = [];
  let next = Number.POSITIVE_INFINITY;
  for (let index = lineage.length - 1; index >= 0; index--) {
    const { seq } = lineage[index]!;
    if (seq > 0 && seq <= next) next = seq;
    holders[index] = next;
  }
  return holders;
}

function joined(before: SpilledLineage | undefined, holders: readonly number[]): SpilledLineage {
  const seqs = [...(before ? seqsIn(before) : []), ...holders];
  return { count: (before?.count ?? 0) + holders.length, seqs: rangesOf(seqs) };
}

/** Ascending numbers in few words. @example rangesOf([3, 7, 8, 8, 9]) // "3,7-9" */
function rangesOf(seqs: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const seq of seqs) {
    const last = ranges.at(-1);
    if (last && seq <= last[1] + 1) last[1] = seq;
    else ranges.push([seq, seq]);
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(",");
}

/** The commits that hold what was spilled of a lineage, in order. */
export const seqsIn = ({ seqs }: SpilledLineage): readonly number[] =>
  seqs.split(",").flatMap((range) => {
    const [from = 0, to = from] = range.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
