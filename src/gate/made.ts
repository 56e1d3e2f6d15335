// The call a planned step becomes. What an earlier step makes has no name before it is made: `{ "$made": n }` stands for the
// id step n's result bears. And a patch goes out with its guards as the look right before the call showed them.

import type { Change, ChangeStep, Operation, State } from "../core/change.js";
import { OpsError } from "../core/errors.js";
import { isObject, type Json, type JsonObject } from "../core/json.js";

const numberOf = (value: Json): number | undefined =>
  isObject(value) && Object.keys(value).length === 1 && typeof value.$made === "number" ? value.$made : undefined;

function mapped<T extends Json>(value: T, idOf: (step: number) => string): Json {
  const step = numberOf(value);
  if (step !== undefined) return idOf(step);
  if (Array.isArray(value)) return value.map((item: Json) => mapped(item, idOf));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, mapped(member, idOf)]));
}

const refers = (value: Json): boolean =>
  numberOf(value) !== undefined ||
  (Array.isArray(value) ? value.some(refers) : isObject(value) && Object.values(value).some(refers));

/**
 * The step as it is sent, each time: the same call is sent again under the same token.
 * @throws OpsError `internal` where it refers to a step without a result: then nothing may be sent.
 */
export function calledStep(
  { step: index, patch }: Pick<Operation, "step" | "patch">,
  change: Change,
  state?: State,
): ChangeStep {
  const step = change.steps[index]!;
  return withMade(patch ? { ...step, input: { ...step.input, PatchDocument: patch } } : step, change, state);
}

/**
 * The step with the ids in place of the references. Of `desired` nothing may refer: it is recorded as the plan has it.
 */
function withMade(step: ChangeStep, change: Change, state: State | undefined): ChangeStep {
  if (!refers(step.input) && !(step.after && refers(step.after))) return step;
  const idOf = (number: number): string => {
    const operationId = change.operationIds[number];
    const id = operationId === undefined ? undefined : resultOf(state, operationId);
    if (id !== undefined) return id;
    throw new OpsError("internal", "A step of this plan refers to what an earlier one made, and that has no result.", {
      details: { changeId: change.id, step: number },
    });
  };
  return {
    ...step,
    input: mapped(step.input, idOf) as JsonObject,
    after: step.after && (mapped(step.after, idOf) as JsonObject),
  };
}

/** What the operation made, by the entry it left in a lineage. */
function resultOf(state: State | undefined, operationId: string): string | undefined {
  for (const { ref, lineage } of state?.resources.values() ?? []) {
    if (lineage.some((entry) => entry.operationId === operationId && entry.outcome === "succeeded")) return ref.id;
  }
  return undefined;
}
