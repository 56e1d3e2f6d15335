// How often a session may call, and what it is told: budget, loops, attempts at tools that do not exist. Pure decisions.

export interface BudgetLimits {
  /** Calls in one window; 0 means that nothing is limited. */
  readonly calls: number;
  readonly windowSeconds: number;
}

export interface LoopLimits {
  /** Identical calls in the window before the next is refused; 0 means that nothing is. */
  readonly identical: number;
  readonly windowSeconds: number;
}

/** How a session's window stands. */
export interface Standing {
  /** Calls counted in this window. */
  readonly used: number;
  /** Until the window ends and counting begins anew; a window begins with its first call. */
  readonly msLeft: number;
}

export interface BudgetStatus {
  readonly used: number;
  readonly max: number;
  readonly remaining: number;
  /** Two decimals. */
  readonly percent: number;
  readonly exhausted: boolean;
  readonly resetsInSeconds: number;
}

/** From this share of the budget on, every answer says how much is left. */
const WARN_FROM = 0.8;

export function budgetStatus({ used, msLeft }: Standing, { calls }: BudgetLimits): BudgetStatus {
  return {
    used,
    max: calls,
    remaining: Math.max(0, calls - used),
    percent: Math.round((used / calls) * 10_000) / 100,
    exhausted: used >= calls,
    // Never "try again in 0 seconds" while it would be refused.
    resetsInSeconds: Math.max(0, Math.ceil(msLeft / 1_000)),
  };
}

export type BudgetDecision = { readonly allow: true; readonly warn: boolean } | { readonly allow: false };

/** @param before calls counted before this one */
export function budgetDecision(before: number, { calls }: BudgetLimits): BudgetDecision {
  if (calls === 0) return { allow: true, warn: false };
  if (before >= calls) return { allow: false };
  return { allow: true, warn: before >= calls * WARN_FROM };
}

/** Tools that are meant to be called again with the same words, until something is done. */
const POLLING: ReadonlySet<string> = new Set(["changes.get", "operations.get"]);
const POLLS_PER_IDENTICAL = 10;

/** How many identical calls of this tool are no loop. */
export const mostIdentical = (tool: string, { identical }: LoopLimits): number =>
  POLLING.has(tool) ? identical * POLLS_PER_IDENTICAL : identical;

/** @param attempts identical calls in the window, this one among them */
export const isLoop = (tool: string, attempts: number, limits: LoopLimits): boolean =>
  limits.identical > 0 && attempts > mostIdentical(tool, limits);

export type Severity = "medium" | "high";

export const SECURITY_EVENTS = {
  unknown_tool_attempt: "medium",
  injection_attempt: "high",
  validation_bypass_attempt: "high",
  rate_limit_exceeded: "high",
} as const satisfies Record<string, Severity>;

export type SecurityEventType = keyof typeof SECURITY_EVENTS;

/** Which event an unclean argument is; a size alone is none. */
export function eventOf(kind: string): SecurityEventType | null {
  if (kind === "injection_attempt") return "injection_attempt";
  return kind === "null_byte_injection" || kind === "control_character" ? "validation_bypass_attempt" : null;
}
