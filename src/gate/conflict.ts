// You saw / now, and by whom: whether the world moved under a plan, and the answer that says so. Hands out content, never a key.

import { authorView, namesOf } from "../../state/attribution.js";
import { tagMap } from "../../state/comparable.js";
import { overlappingTraffic } from "../../state/desired.js";
import { isProduction } from "../../state/severity.js";
import { type Basis, type ChangeStep, type ResourceRef, ridOf, type Seen, type State } from "../core/change.js";
import { type Rule, showRule } from "../core/content/security-groups.js";
import { OpsError } from "../core/errors.js";
import {
  type Difference,
  escapePointer,
  isObject,
  type Json,
  type JsonObject,
  pathsTouch,
  propertyOf,
} from "../core/json.js";
import type { AwsReader, SeenRecord } from "../core/ports.js";
import { differences } from "../core/same.js";
import { visible, withinBounds } from "../core/shown.js";
import { readerOf } from "../session.js";
import type { GateDeps } from "./deps.js";
import { BESIDE_REFUSAL } from "./who.js";

export interface Moved {
  readonly overlapping: readonly Difference[];
  readonly disjoint: readonly Difference[];
}

/** What differs between what was shown and now, split by whether the plan depends on it or changes it. */
export function moved({ unordered }: Pick<GateDeps, "unordered">, shown: Basis, now: JsonObject | null): Moved {
  const all = shown.before === null && now === null ? [] : differences(shown.before, now, unordered(shown));
  const overlaps = (difference: Difference): boolean =>
    difference.path === "" || shown.touches.some((path) => pathsTouch(path, difference.path));
  return {
    overlapping: all.filter(overlaps),
    disjoint: all.filter((difference) => !overlaps(difference)),
  };
}

/**
 * What a step depends on when it is compared with `now`: its own pointers, and whatever rule of a security group lets
 * through traffic of a rule that it adds. Where a human approved the change, every rule: what they saw is what they approved.
 */
export function touchedBy(step: ChangeStep, now: JsonObject | null, approved = false): readonly string[] {
  if (step.reader !== "service" || step.ref.type !== "AWS::EC2::SecurityGroup") return step.touches;
  if (approved) return [...step.touches, "/rules"];
  if (!step.operation.startsWith("AuthorizeSecurityGroup")) return step.touches;
  const added = rulesOf(step.desired ?? null);
  const concerned = [...rulesOf(step.before), ...rulesOf(now)].filter((rule) =>
    added.some((one) => overlappingTraffic(one, rule)),
  );
  // The risk that was shown rests on whether the group is production.
  const rated = [step.before, now].map((content) => isProduction(tagMap(content?.tags) ?? {}));
  return [
    ...new Set([
      ...step.touches,
      ...concerned.map(({ ruleId }) => `/rules/${escapePointer(ruleId)}`),
      ...(rated[0] === rated[1] ? [] : ["/tags"]),
    ]),
  ];
}

const rulesOf = (content: JsonObject | null): readonly Rule[] =>
  Array.isArray(content?.rules) ? (content.rules as unknown as readonly Rule[]) : [];

/** A difference in a few words made of validated parts: rules are shown as traffic, other values by path alone. */
export function inWords(ref: ResourceRef, { path, kind, before, after }: Difference): string {
  const verb = { ADD: "was added", REMOVE: "was removed", NOT_EQUAL: "changed" }[kind];
  const rule = (after ?? before) as never;
  const isRule = ref.type === "AWS::EC2::SecurityGroup" && /^\/rules\/[^/]+$/.test(path) && isObject(rule);
  return isRule ? `rule ${showRule(rule)} ${verb}` : path === "" ? `it ${verb}` : `${propertyOf(path)} changed`;
}

/** Differences an answer shows; who made each of them is looked for. */
const MOST_SHOWN = 20;

/** What a resource was that is gone now. */
const beforeOf = ([first]: readonly Difference[]): JsonObject | null =>
  first?.path === "" && isObject(first.before) ? first.before : null;

/**
 * The refusal when the world moved. Records the fresh content as shown, so that its revision can be built upon.
 * After two refusals in a row on a resource it tells the model to stop and ask.
 */
export async function conflict(
  facts: {
    readonly aws: AwsReader;
    /** When the resource was last seen to be as it was seen. */
    readonly since: string;
    readonly ref: ResourceRef;
    readonly reader: Seen["reader"];
    readonly youSaw: { readonly revision?: string; readonly observedAt: string };
    readonly now: JsonObject | null;
    readonly overlapping: readonly Difference[];
    readonly touches: readonly string[];
    /** `call`: AWS itself refused it, by a precondition that was sent along. */
    readonly phase: "plan" | "apply" | "call";
    readonly state: State;
    readonly at: string;
    readonly repeated: boolean;
  },
  { session, who }: Pick<GateDeps, "session" | "who">,
): Promise<OpsError> {
  const { ref, now, overlapping } = facts;
  const shown = overlapping.slice(0, MOST_SHOWN);
  const read = readerOf({ ref, reader: facts.reader });
  const told = now
    ? withinBounds(
        { ref, reader: facts.reader, content: now },
        shown.map(({ path }) => path),
      )
    : undefined;
  const fresh = told ? session.changed([told], facts.state, facts.at)[0] : undefined;
  const [by = []] = await who.ask(
    facts.aws,
    facts.state,
    [{ ref, names: namesOf(ref, now ?? beforeOf(overlapping)), since: facts.since, changes: shown }],
    BESIDE_REFUSAL,
  );
  const happenings = [...new Set(overlapping.map((difference) => inWords(ref, difference)))];
  const words = happenings.slice(0, 3);
  const more = happenings.length > 3 ? ` and ${happenings.length - 3} more` : "";
  const happened = now ? `${words.join("; ")}${more}` : "it no longer exists";
  const todo = facts.repeated
    ? "This is the second refusal in a row here: stop and ask the user what they want."
    : `Tell the user what changed${by.some(({ status }) => status === "known") ? " and by whom (`changed[].by`)" : ""} and ask; then plan again from the fresh revision.`;
  const refused = facts.phase === "call" ? "AWS refused the call, and nothing was changed by it" : null;
  return new OpsError(
    refused ? "live_guard_failed" : "stale_revision",
    `${refused ?? `Not ${facts.phase === "plan" ? "planned" : "applied"}, nothing changed in AWS`}. Since ${ref.id} was read ${happened}. ${todo}`,
    {
      field: facts.phase === "plan" ? "basedOn" : "executionToken",
      details: {
        rid: ridOf(ref),
        youSaw: facts.youSaw,
        now: told
          ? { revision: fresh, observedAt: facts.at, ...visible(told) }
          : { exists: false, observedAt: facts.at },
        changed: shown.map((difference, index) => ({
          path: difference.path,
          kind: difference.kind,
          ...(difference.before !== undefined ? { youSaw: difference.before } : {}),
          ...(difference.after !== undefined ? { now: difference.after } : {}),
          ...authorView(by[index]),
        })) as unknown as Json,
        yourChangeTouches: facts.touches.slice(0, MOST_SHOWN),
      },
      next: [read],
    },
  );
}

/**
 * Checks a plan against what the caller was shown.
 * @throws OpsError precondition_required where the revision shows nothing of the resource or of the paths concerned,
 * stale_revision where live differs from what it showed on them.
 */
export async function checkBasedOn(
  steps: readonly Basis[],
  basedOn: ReadonlyMap<string, SeenRecord>,
  context: { readonly aws: AwsReader; readonly state: State; readonly at: string; refusals(rid: string): boolean },
  deps: Pick<GateDeps, "session" | "who" | "unordered">,
): Promise<void> {
  const touchesOf = new Map<string, { step: Basis; touches: Set<string> }>();
  const alone = new Set(steps.filter((step) => step.alone).map((step) => ridOf(step.ref)));
  for (const step of steps) {
    if (step.before === null || (alone.has(ridOf(step.ref)) && !step.alone)) continue;
    const entry = touchesOf.get(ridOf(step.ref)) ?? { step, touches: new Set<string>() };
    for (const path of step.touches) entry.touches.add(path);
    touchesOf.set(ridOf(step.ref), entry);
  }
  for (const [rid, { step, touches }] of touchesOf) {
    const record = basedOn.get(rid);
    const read = readerOf(step);
    if (!record || record.reader !== step.reader) {
      throw new OpsError(
        "precondition_required",
        basedOn.size === 0
          ? "This change replaces or removes, so it needs `basedOn`: the revision of the answer in which you saw the resource. Read it, show the user what is there, then plan."
          : `\`basedOn\` holds no revision of ${step.ref.id}. Read it, then plan from the revision it answers.`,
        {
          field: "basedOn",
          details: { rid },
          next: [read],
        },
      );
    }
    const unseen =
      record.shown &&
      [...touches].find((path) => !record.shown!.some((shown) => path === shown || path.startsWith(`${shown}/`)));
    if (unseen !== undefined) {
      throw new OpsError(
        "precondition_required",
        `The answer of revision ${record.revision} did not show ${unseen || "all"} of ${step.ref.id}, which this change touches. Read it in full first.`,
        { field: "basedOn", details: { rid }, next: [read] },
      );
    }
    const half = record.cutOff.find(({ path }) => [...touches].some((touched) => pathsTouch(touched, path)));
    if (half) {
      throw new OpsError(
        "precondition_required",
        `The answers of revision ${record.revision} showed ${half.shown} characters of ${propertyOf(half.path)} of ${step.ref.id} (\`path\`), and this change touches all of it. Read it, and its \`nextCursor\` to the end, first.`,
        { field: "basedOn", details: { rid, ...half }, next: [read] },
      );
    }
    const shown = { ref: step.ref, reader: step.reader, before: record.content, touches: [...touches] };
    const { overlapping } = moved(deps, shown, step.before);
    if (overlapping.length > 0) {
      throw await conflict(
        {
          aws: context.aws,
          since: record.observedAt,
          ref: step.ref,
          reader: step.reader,
          youSaw: { revision: record.revision, observedAt: record.observedAt },
          now: step.before,
          overlapping,
          touches: [...touches],
          phase: "plan",
          state: context.state,
          at: context.at,
          repeated: context.refusals(rid),
        },
        deps,
      );
    }
  }
}
