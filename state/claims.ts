// What is held and by what name, beside the maps of a state: indexes that ride along from version to version, and who holds what.

import {
  type Change,
  type ManagedResource,
  type Operation,
  type ResourceRef,
  ridOf,
  type State,
} from "../src/core/change.js";
import { withKey } from "./versioned-map.js";

/** Who holds a resource: the open change, and its operation once one is under way. */
export interface Claim {
  readonly changeId: string;
  readonly operationId?: string;
}

const isOpen = (change: Change): boolean => change.state === "applying" || change.state === "unknown";
export const isRunning = (operation: Operation): boolean => operation.state === "open" || operation.state === "unknown";

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
export const ridsOf = (change: Change): string[] =>
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

export function putChange(state: State, change: Change): State {
  const changes = withKey(state.changes, change.id, change);
  openIndex.set(changes, withKey(openChanges(state.changes), change.id, isOpen(change) ? true : undefined));
  return { ...state, changes };
}

export function putResource(state: State, resource: ManagedResource): State {
  const resources = withKey(state.resources, resource.rid, resource);
  aliasIndex.set(resources, withKey(aliases(state.resources), resource.alias, resource.rid));
  return { ...state, resources };
}

export function dropResource(state: State, resource: ManagedResource): State {
  const resources = withKey(state.resources, resource.rid, undefined);
  aliasIndex.set(resources, withKey(aliases(state.resources), resource.alias, undefined));
  return { ...state, resources };
}

export const putOperation = (state: State, operation: Operation): State => ({
  ...state,
  operations: withKey(state.operations, operation.id, operation),
});

/** Given once and never changed: the identifier, made longer only where that is taken. */
export function newAlias(state: State, ref: ResourceRef, wanted?: string): string {
  const taken = aliases(state.resources);
  const { account, region, type, id } = ref;
  const candidates = [...(wanted ? [wanted] : []), id, `${id}@${region}`, `${id}@${account}/${region}/${type}`];
  return candidates.find((alias) => !taken.has(alias)) ?? ridOf(ref);
}
