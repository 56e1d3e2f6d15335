// What to do about an operation whose outcome is not known. Pure: the gate does it.

import type { ChangeStep, Operation } from "../src/core/change.js";
import { isGone, type SecurityGroup } from "../src/core/content.js";
import { isObject, type Json, type JsonObject, sameJson } from "../src/core/json.js";
import { trafficOf } from "./converge.js";

/** `resend`: the identical call may be sent again, its approval still stands. `probe`: only look. */
export type Recovery = "resend" | "probe";

export const recoveryOf = (operation: Pick<Operation, "resendUntil">, now: Date): Recovery =>
  now.toISOString() < operation.resendUntil ? "resend" : "probe";

/** Whether live shows what the step was to bring about, so that a lost answer can be taken for a success. */
export function reached(step: ChangeStep, live: JsonObject | null): boolean {
  if (step.kind === "delete") return isGone(step.ref.type, live);
  if (live === null || step.after === null) return false;
  if (step.reader === "service" && step.ref.type === "AWS::EC2::SecurityGroup") {
    const traffic = (group: JsonObject) => (group as unknown as SecurityGroup).rules.map(trafficOf).sort();
    return sameJson(traffic(step.after), traffic(live));
  }
  return holds(live, step.desired ?? step.after);
}

/** Every leaf of `wanted` stands in `live`. */
function holds(live: Json | undefined, wanted: Json): boolean {
  if (isObject(wanted)) {
    return isObject(live) && Object.entries(wanted).every(([key, value]) => holds(live[key], value));
  }
  return live !== undefined && sameJson(live, wanted);
}
