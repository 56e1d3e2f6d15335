// How much was made and deleted lately, by any process on the store. Pure.

import type { ChangeStep, State } from "../src/core/change.js";

const HOUR_MS = 3_600_000;

/** How many resources a step makes or deletes: a launch names a number. */
export function weightOf(step: ChangeStep): number {
  const count = step.input.MaxCount;
  return step.kind === "create" && typeof count === "number" ? count : 1;
}

/** What was begun in the hour before `now`; what AWS refused counts too, because it is known only afterwards. */
export function spentInHour(state: State, now: Date): Readonly<Record<"create" | "delete", number>> {
  const since = new Date(now.getTime() - HOUR_MS).toISOString();
  const spent = { create: 0, delete: 0 };
  for (const { changeId, step, intentAt } of state.operations.values()) {
    if (intentAt <= since) continue;
    const begun = state.changes.get(changeId)?.steps[step];
    if (begun?.kind === "create" || begun?.kind === "delete") spent[begun.kind] += weightOf(begun);
  }
  return spent;
}
