// What a call did to the world, and what that makes stale. Three answers, because a lost answer is not a refusal.
import type { ResolvedPolicy } from "./policy.js";

/** Only a refusal known to have happened before anything was sent is `not_applied`; a timeout or a throw is `unknown`. */
export type Outcome = "applied" | "not_applied" | "unknown";

/** Where a change took place, as far as the caller knows. */
export interface Scope {
  readonly account?: string | undefined;
  readonly region?: string | undefined;
  readonly type?: string | undefined;
  readonly id?: string | undefined;
}

/** What the caller knows about a call that its result does not show. */
export interface About {
  /** Replaces the classification of the result. */
  readonly outcome?: Outcome | undefined;
  /** Canonical name of the tool that caused the change, where another one answers (a plan executed by an apply tool). */
  readonly tool?: string | undefined;
  readonly scope?: Scope | undefined;
  /** JSON Schema of the answering tool's output; decides whether the structured twin may be added. */
  readonly outputSchema?: object | undefined;
}

const OUTCOMES: ReadonlySet<unknown> = new Set<Outcome>(["applied", "not_applied", "unknown"]);
const NONE: readonly string[] = Object.freeze([]);

/**
 * The patterns made stale. An error (`true`) and `not_applied` make nothing stale; not knowing makes everything stale that success would.
 *
 * @example
 * const policy = { invalidates: ["sprints.*"] };
 * resolveInvalidations(policy, false); // => ["sprints.*"]
 * resolveInvalidations(policy, true); // => []
 * resolveInvalidations(policy, "unknown"); // => ["sprints.*"]
 */
export function resolveInvalidations(
  policy: ResolvedPolicy | null,
  isErrorOrOutcome: boolean | Outcome,
): readonly string[] {
  const untouched = isErrorOrOutcome === true || isErrorOrOutcome === "not_applied";
  return untouched ? NONE : (policy?.invalidates ?? NONE);
}

/** The rule where no `classify` is given. A call that only asks for more input (`input_required`) will be repeated. */
export function outcomeOf(result: unknown): Outcome {
  const { isError, resultType } = Object(result) as { isError?: unknown; resultType?: unknown };
  return isError || resultType === "input_required" ? "not_applied" : "applied";
}

export function isOutcome(value: unknown): value is Outcome {
  return OUTCOMES.has(value);
}
