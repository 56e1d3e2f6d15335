// How much was made and deleted lately, by any process on the store. Pure.

import type { ChangeStep, State } from "../src/core/change.js";
import type { JsonObject } from "../src/core/json.js";

const HOUR_MS = 3_600_000;

export type Spent = Readonly<Record<"create" | "delete", number>>;

const GROUP = "AWS::AutoScaling::AutoScalingGroup";

/** The instances that a group is asked for, as either reader shows it: the least and the most it allows bound them. */
function capacityOf(group: JsonObject | null): number {
  const number = (...names: readonly string[]): number => Number(names.map((name) => group?.[name]).find(Boolean) ?? 0);
  const least = number("minSize", "MinSize");
  return Math.max(least, number("desiredCapacity", "DesiredCapacity") || least);
}

/** How many more instances a step asks a group for; negative: how many fewer. */
export const instancesMoved = ({ ref, before, after }: Pick<ChangeStep, "ref" | "before" | "after">): number =>
  ref.type === GROUP ? capacityOf(after) - capacityOf(before) : 0;

/** How many resources a step makes and deletes: a launch names a number, and a group launches and terminates its own. */
export function weightOf(step: ChangeStep): Spent {
  const count = step.input.MaxCount;
  const instances = instancesMoved(step);
  return {
    create: (step.kind === "create" ? (typeof count === "number" ? count : 1) : 0) + Math.max(0, instances),
    delete: (step.kind === "delete" ? 1 : 0) + Math.max(0, -instances),
  };
}

/**
 * What was begun in the hour before `now`, and what changes at work have yet to begin: several that are applied at once
 * share the limit. What AWS refused counts too, because it is known only afterwards.
 */
export function spentInHour(state: State, now: Date): Spent {
  const since = new Date(now.getTime() - HOUR_MS).toISOString();
  const spent = { create: 0, delete: 0 };
  const add = (step: ChangeStep | undefined): void => {
    const weight = step && weightOf(step);
    spent.create += weight?.create ?? 0;
    spent.delete += weight?.delete ?? 0;
  };
  for (const { changeId, step, intentAt } of state.operations.values()) {
    if (intentAt <= since) continue;
    add(state.changes.get(changeId)?.steps[step]);
  }
  for (const { state: at, steps, operationIds } of state.changes.values()) {
    if (at !== "applying") continue;
    const begun = new Set(operationIds.map((id) => state.operations.get(id)?.step));
    for (const [index, step] of steps.entries()) {
      if (!begun.has(index)) add(step);
    }
  }
  return spent;
}
