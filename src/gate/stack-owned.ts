// What a CloudFormation stack owns is changed by its stack: refused when planned, and again when applied.

import type { ChangeStep } from "../core/change.js";
import { OpsError } from "../core/errors.js";
import type { JsonObject } from "../core/json.js";
import { stackOf } from "../core/tags.js";

/**
 * @param live what AWS holds now
 * @throws OpsError stack_owned, unless the operator has allowed it; a create has no owner yet, and an action (a start, a
 * reboot, a capacity) sets nothing that the next stack update would take for its own
 */
export function refuseStackOwned(step: ChangeStep, live: JsonObject | null, allowStackOwned: boolean): void {
  if (allowStackOwned || step.kind === "create" || step.kind === "action" || live === null) return;
  const stack = stackOf(live);
  if (!stack) return;
  throw new OpsError(
    "stack_owned",
    `A CloudFormation stack owns ${step.ref.id}; its name is in \`stack\`. Nothing was changed: change the template and update the stack, or the next stack update undoes this. Only the operator can lift this, with --allow-stack-owned.`,
    { details: { stack, type: step.ref.type, id: step.ref.id } },
  );
}
