// How much was made and deleted lately, by any process on the store. Pure.

import type { ChangeStep, State } from "../src/core/change.js";

const HOUR_MS = 3_600_000;

/** How many resources a step makes or deletes: a launch names a number. */
export function weightOf(step: ChangeStep): number {
  const count = step.input.MaxCount;
  return step.kind === "create" && typeof count === "number" ? count : 1;
}

/**
 * What was begun in the hour before `now`, and what changes at work have yet to begin: several that are applied at once
 * share the limit. What AWS refused counts too, because it is known only afterwards.
 */
export function spentInHour(state: State, now: Date): Readonly<Record<"create" | "delete", number>> {
  const since = new Date(now.getTime() - HOUR_MS).toISOString();
  const spent = { create: 0, delete: 0 };
  for (const { changeId, step, intentAt } of state.operations.values()) {
    if (intentAt <= since) continue;
    const begun = state.changes.get(changeId)?.steps[step];
    if (begun?.kind === "create" || begun?.kind === "delete") spent[begun.kind] += weightOf(begun);
  }
  for (const { state: at, steps, operationIds } of state.changes.values()) {
    if (at !== "applying") continue;
    const begun = new Set(operationIds.map((id) => state.operations.get(id)?.step));
    for (const [index, step] of steps.entries()) {
      if (!begun.has(index) && (step.kind === "create" || step.kind === "delete")) spent[step.kind] += weightOf(step);
    }
  }
  return spent;
}
