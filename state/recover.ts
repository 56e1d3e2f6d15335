// What to do about an operation whose outcome is not known. Pure: the gate does it.

import type { ChangeStep, Operation } from "../src/core/change.js";
import type { Rule, SecurityGroup } from "../src/core/content/security-groups.js";
import { isObject, type Json, type JsonObject, sameJson } from "../src/core/json.js";
import { isGone } from "../src/core/own-types.js";
import { tagsOf } from "../src/core/tags.js";
import { modified } from "./databases.js";
import { mergeDesired, sameTraffic } from "./desired.js";

/** `resend`: the identical call may be sent again, its approval still stands. `settle`: only look, and end the matter. */
export type Recovery = "resend" | "settle";

export const recoveryOf = (operation: Pick<Operation, "resendUntil">, now: Date): Recovery =>
  now.toISOString() < operation.resendUntil ? "resend" : "settle";

/** Whether live shows what the step was to bring about, so that a lost answer can be taken for a success. */
export function reached(step: ChangeStep, live: JsonObject | null): boolean {
  if (step.kind === "delete") return isGone(step.ref.type, step.reader, live);
  if (live === null) return false;
  const shows = SHOWS.find(([operation]) => step.operation.startsWith(operation));
  if (shows) return shows[1](step.input, live, step);
  const wanted = step.desired ?? step.after;
  if (!wanted) return false;
  return step.kind === "create" ? holds(live, wanted) : sameJson(mergeDesired(live, wanted), live);
}

/** What AWS shows of a call whose answer was lost, once it may not be sent again. */
export type Verdict = "carried_out" | "not_carried_out" | "open";

/**
 * Judges by what the call was to bring about. A create is proved by its mark alone: what bears the name may be somebody
 * else's. `live`, `made`: undefined where AWS cannot say; `made` null where the call leaves no mark.
 */
export function verdictOn(
  step: ChangeStep,
  facts: {
    readonly live: JsonObject | null | undefined;
    readonly made: readonly string[] | null | undefined;
    /** The target of the call is a state that can be read. */
    readonly natural: boolean;
    /** Nothing the step depends on or changes differs from what it was planned from. */
    readonly unmoved: boolean;
  },
): Verdict {
  const { live, made, natural, unmoved } = facts;
  if (made && made.length > 0) return "carried_out";
  if (step.kind === "create") {
    const absent = step.ref.id === "" ? made !== null && made !== undefined : live === null;
    return absent ? "not_carried_out" : "open";
  }
  if (live === undefined) return "open";
  if (reached(step, live)) return "carried_out";
  // Nothing shows of an action that aims at no state, whether it was done or not.
  if (step.kind === "action" && !natural) return "open";
  return step.kind === "delete" || natural || unmoved ? "not_carried_out" : "open";
}

type Shows = (input: JsonObject, live: JsonObject, step: ChangeStep) => boolean;

const rulesOf = (live: JsonObject): readonly Rule[] => (live as unknown as SecurityGroup).rules ?? [];
const listOf = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? (value as readonly JsonObject[]) : [];

/** Calls that name a part of a resource, by how their operation begins, and how live shows that they were carried out. */
const SHOWS: readonly (readonly [string, Shows])[] = [
  [
    "AuthorizeSecurityGroup",
    (_, live, { desired }) => {
      const wanted = listOf(desired?.rules) as unknown as readonly Omit<Rule, "ruleId">[];
      return wanted.length > 0 && wanted.every((rule) => rulesOf(live).some((other) => sameTraffic(other, rule)));
    },
  ],
  [
    "RevokeSecurityGroup",
    ({ SecurityGroupRuleIds: ids }, live) =>
      Array.isArray(ids) && rulesOf(live).every(({ ruleId }) => !ids.includes(ruleId)),
  ],
  [
    "UpdateSecurityGroupRuleDescriptions",
    ({ SecurityGroupRuleDescriptions: wanted }, live) =>
      listOf(wanted).every((one) =>
        rulesOf(live).some(
          (rule) => rule.ruleId === one.SecurityGroupRuleId && (rule.description ?? "") === (one.Description ?? ""),
        ),
      ),
  ],
  ["UpdateService", ({ taskDefinition }, live) => live.taskDefinition === String(taskDefinition).split("/").at(-1)],
  ["CreateTags", ({ Tags }, live) => listOf(Tags).every(({ Key, Value }) => tagsOf(live)[String(Key)] === Value)],
  ["ModifyDBInstance", (_, live, step) => modified(step, live)],
  ["ModifyDBCluster", (_, live, step) => modified(step, live)],
  [
    "AddTagsToResource",
    ({ Tags }, live) => listOf(Tags).every(({ Key, Value }) => tagsOf(live)[String(Key)] === Value),
  ],
  [
    "RemoveTagsFromResource",
    ({ TagKeys: keys }, live) => Array.isArray(keys) && keys.every((key) => !Object.hasOwn(tagsOf(live), String(key))),
  ],
  ["StartInstances", (_, { state }) => state === "pending" || state === "running"],
  ["StopInstances", (_, { state }) => state === "stopping" || state === "stopped"],
  ["RebootInstances", () => false],
  // A database that has begun to start or stop arrives; until then RDS calls it so.
  ["StartDBInstance", (_, { status }) => status === "starting" || status === "available"],
  ["StopDBInstance", (_, { status }) => status === "stopping" || status === "stopped"],
  ["StartDBCluster", (_, { status }) => status === "starting" || status === "available"],
  ["StopDBCluster", (_, { status }) => status === "stopping" || status === "stopped"],
  ["DeleteTags", ({ Tags }, live) => listOf(Tags).every(({ Key }) => !Object.hasOwn(tagsOf(live), String(Key)))],
  [
    "TagResources",
    ({ Tags }, live) => isObject(Tags) && Object.entries(Tags).every(([key, value]) => tagsOf(live)[key] === value),
  ],
  [
    "UntagResources",
    ({ TagKeys }, live) => Array.isArray(TagKeys) && TagKeys.every((key) => !Object.hasOwn(tagsOf(live), String(key))),
  ],
];

/** Every leaf of `wanted` stands in `live`. */
function holds(live: Json | undefined, wanted: Json): boolean {
  if (isObject(wanted)) {
    return isObject(live) && Object.entries(wanted).every(([key, value]) => holds(live[key], value));
  }
  return live !== undefined && sameJson(live, wanted);
}
