// What AWS shows after a step, against what was planned. Pure.

import { sameTraffic } from "../../state/desired.js";
import { reached } from "../../state/recover.js";
import { isUnder } from "../../state/schema-paths.js";
import type { ChangeStep } from "../core/change.js";
import type { Rule } from "../core/content/security-groups.js";
import { type Json, type JsonObject, pathsTouch } from "../core/json.js";
import { moved } from "./conflict.js";
import type { GateDeps } from "./deps.js";

/** A planned content with the ids that AWS gave to the rules it numbered meanwhile. */
export function withIds(planned: JsonObject, left: JsonObject): JsonObject {
  if (!Array.isArray(planned.rules) || !Array.isArray(left.rules)) return planned;
  const [before, after] = [planned.rules, left.rules] as unknown as readonly (readonly Rule[])[];
  const rules = before!.map((rule) => {
    const numbered = rule.ruleId.startsWith("new-") && after!.find((one) => sameTraffic(one, rule));
    return numbered ? { ...rule, ruleId: numbered.ruleId } : rule;
  });
  return { ...planned, rules: rules as unknown as Json };
}

/**
 * Whether a read shows the whole of what was planned and nothing else: then a second one could only say the same. Never of
 * a create, whose defaults AWS fills in as it goes along.
 */
export function isAsPlanned(
  deps: Pick<GateDeps, "unordered">,
  { kind, ref, reader, after }: ChangeStep,
  live: JsonObject,
): boolean {
  if (kind === "create" || after === null) return false;
  return moved(deps, { ref, reader, before: withIds(after, live), touches: [""] }, live).overlapping.length === 0;
}

/**
 * Whether a read shows, wherever a step changes something that AWS shows at all, what was there before it: reads of AWS may
 * lag behind what it took. What somebody did beside the step does not make it shown.
 */
export function showsNothingYet(
  deps: Pick<GateDeps, "unordered">,
  step: ChangeStep,
  live: JsonObject,
  neverShown: readonly string[] = [],
): boolean {
  const { ref, reader, before, after, touches } = step;
  if (step.kind === "create" || before === null || after === null || reached(step, live)) return false;
  const planned = moved(deps, { ref, reader, before, touches }, withIds(after, live)).overlapping;
  const expected = planned.filter(({ path }) => !isUnder(neverShown, path));
  const came = moved(deps, { ref, reader, before, touches: [""] }, live).overlapping;
  return expected.length > 0 && !expected.some((one) => came.some(({ path }) => pathsTouch(one.path, path)));
}
