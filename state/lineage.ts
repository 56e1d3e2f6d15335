// Questions about the past: who, when, why, from what, to what. Pure.

import type { Change, LineageEntry, ManagedResource, Operation, State } from "../src/core/change.js";
import { OpsError } from "../src/core/errors.js";
import { diff, type Json, type JsonObject, pathsTouch } from "../src/core/json.js";
import { volatileOf } from "../src/core/own-types.js";
import { aliases, openChangeIds } from "./fold.js";
import { tokenSha256 } from "./tokens.js";

/** Narrows a name down where several resources bear it. */
export interface Where {
  readonly account?: string;
  readonly region?: string;
  readonly type?: string;
}

export type Found =
  | { readonly kind: "one"; readonly resource: ManagedResource }
  | { readonly kind: "none" }
  /** Several resources bear the name. The caller chooses by rid; it is never chosen for it. */
  | { readonly kind: "several"; readonly resources: readonly ManagedResource[] };

/**
 * The resource a person means: by rid, by alias, or by AWS's identifier. An alias that is also the identifier of
 * another resource is ambiguous, because the one who asks may mean either.
 */
export function findResource(state: State, name: string, where: Where = {}): Found {
  const exact = state.resources.get(name);
  if (exact) return { kind: "one", resource: exact };
  const aliased = aliases(state.resources).get(name);
  const resources = [...state.resources.values()].filter(
    ({ rid, ref }) =>
      (rid === aliased || ref.id === name) &&
      (where.account === undefined || ref.account === where.account) &&
      (where.region === undefined || ref.region === where.region) &&
      (where.type === undefined || ref.type === where.type),
  );
  if (resources.length > 1) return { kind: "several", resources };
  return resources[0] ? { kind: "one", resource: resources[0] } : { kind: "none" };
}

/**
 * The resource whose history is asked for; all of its lineage is the store's to tell (`Store.lineage`).
 * @throws OpsError `no_history` when the state knows no such resource, `validation_error` listing the candidates when it knows several.
 */
export function history(state: State, name: string, where: Where = {}): ManagedResource {
  const found = findResource(state, name, where);
  if (found.kind === "one") return found.resource;
  if (found.kind === "none") {
    throw new OpsError(
      "no_history",
      `The state holds no lineage of ${JSON.stringify(name)}. Only resources that were changed through this server or imported have one.`,
      {
        field: "resource",
        details: { name },
      },
    );
  }
  const candidates = found.resources.map(({ rid, alias }) => ({ rid, alias }));
  throw new OpsError(
    "validation_error",
    `${candidates.length} resources bear this name. Give one of the keys in candidates instead.`,
    { field: "resource", details: { name, candidates } },
  );
}

/**
 * What an execution token did: an entry for every resource it touched. Empty for a token this store never executed, and
 * for one whose change the state leaves to the chain: `Store.recall` has the state to ask then.
 */
export function entryOf(
  state: State,
  executionToken: string,
): readonly { readonly resource: ManagedResource; readonly entry: LineageEntry }[] {
  if (executionToken === "") return [];
  return [...state.resources.values()].flatMap((resource) => {
    const entry = resource.lineage.findLast((one) => one.executionToken === executionToken);
    return entry ? [{ resource, entry }] : [];
  });
}

/** The change behind a token, spent or not. */
export function changeOf(state: State, executionToken: string): Change | undefined {
  const id = state.tokens.get(tokenSha256(executionToken));
  return id === undefined ? undefined : state.changes.get(id);
}

/** Operations without an outcome, oldest first: under way, unknown or parked. */
export const openOperations = (state: State): readonly Operation[] =>
  openChangeIds(state)
    .flatMap((id) => state.changes.get(id)!.operationIds)
    .map((id) => state.operations.get(id)!)
    .filter((operation) => !operation.settledAt)
    .sort((a, b) => (a.intentAt < b.intentAt ? -1 : a.intentAt > b.intentAt ? 1 : 0));

/** Operations whose outcome nothing proved and which wait for a decision, oldest first. */
export const parkedOperations = (state: State): readonly Operation[] =>
  openOperations(state).filter((operation) => operation.state === "parked");

/** Plans that may still be applied, oldest first. */
export const plannedChanges = (state: State, now: Date): readonly Change[] =>
  [...state.changes.values()].filter(
    (change) => change.state === "planned" && now.getTime() < Date.parse(change.expiresAt),
  );

export interface Previous {
  readonly entry: LineageEntry;
  /** Live is not what our last change left: somebody changed it outside this lineage, so "previous" is our last. */
  readonly changedOutside: boolean;
  /** Not what that change left, but what it found: it is our first one. */
  readonly before?: true;
  readonly because: string;
}

const lastOf = (entries: readonly LineageEntry[], { executionToken }: LineageEntry): number =>
  entries.findLastIndex((entry) => entry.executionToken === executionToken);

/** What our first change of a resource found, where that change did not make it. */
function beforeOurs(
  resource: ManagedResource,
  lineage: readonly LineageEntry[],
  live: JsonObject | null,
): Previous | null {
  const first = lineage.find(({ executionToken, outcome }) => executionToken !== "" && outcome === "succeeded");
  if (!first?.before || sameVersion(resource, first.before, live)) return null;
  const because = `Live is our first version, of ${first.timestamp}; before it the resource was as that change found it.`;
  return { entry: first, changedOutside: false, before: true, because };
}

/**
 * The version "previous" means, in the whole lineage where the state holds a part of it only: the newest one in our lineage that differs from live. When somebody outside moved the
 * resource on, that is our own last version, never the one before it: going back two versions is not what was asked.
 */
export function previous(
  state: State,
  rid: string,
  live: JsonObject | null,
  lineage = state.resources.get(rid)?.lineage ?? [],
): Previous | null {
  const resource = state.resources.get(rid);
  if (!resource) return null;
  // Of a change of several steps on the resource, what the last of them left.
  const versions = lineage
    .filter((entry) => entry.outcome === "succeeded" && entry.after !== null)
    .filter((entry, index, all) => entry.executionToken === "" || lastOf(all, entry) === index)
    .reverse();
  const entry = versions.find(({ after }) => !sameVersion(resource, after, live));
  if (!entry) return beforeOurs(resource, lineage, live);
  const changedOutside = entry === versions[0];
  return {
    entry,
    changedOutside,
    because: changedOutside
      ? `Live is not what our last change left (${entry.timestamp}): it was changed outside this lineage, so that change is the version to go back to.`
      : `Live is our version of ${versions[versions.indexOf(entry) - 1]!.timestamp}; the one before it differs.`,
  };
}

const sameVersion = ({ ref, reader }: ManagedResource, a: JsonObject | null, b: JsonObject | null): boolean =>
  a !== null &&
  b !== null &&
  diff(a, b).every(
    ({ path, before, after }) =>
      (isEmpty(before) && isEmpty(after)) || volatileOf(ref.type, reader).some((pointer) => pathsTouch(pointer, path)),
  );

/** Absent and empty are one version. */
const isEmpty = (value: Json | undefined): boolean =>
  value === undefined || (typeof value === "object" && value !== null && Object.keys(value).length === 0);
