// How many calls a session may make in its window. Counted before anything is looked up, and judged in the same step.

import { type BudgetLimits, budgetStatus } from "../../policies/guardrails.js";
import type { Call, Outcome } from "../core/call.js";
import type { Layer } from "../core/compose.js";
import { OpsError } from "../core/errors.js";
import type { Log, Meters } from "../core/ports.js";

export interface BudgetDeps {
  readonly meters: Meters;
  readonly budgetLimits: BudgetLimits;
  /** Whose budget it is: this process's, or what several servers share. */
  readonly budgetSession: string;
  readonly log: Log;
}

export const budget =
  ({ meters, budgetLimits, budgetSession, log }: BudgetDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    // A human's reply goes on with the call that asked.
    if (budgetLimits.calls === 0 || call.context.reply) return next(call);
    const { allowed, warn, ...standing } = await meters.spend();
    const status = budgetStatus(standing, budgetLimits);
    if (!allowed) throw exhausted(status, budgetSession, call.at);
    if (!warn) return next(call);
    log("warn", "a session has used most of its calls", { session: budgetSession, used: status.used, max: status.max });
    return { ...(await next(call)), budget: { warning: `${status.used} of ${status.max} calls used`, ...status } };
  };

const exhausted = (status: ReturnType<typeof budgetStatus>, session: string, at: Date): OpsError =>
  new OpsError(
    "budget_exhausted",
    `This session has made its ${status.max} calls. Nothing was done. It may call again in ${status.resetsInSeconds} seconds.`,
    {
      details: {
        error_type: "budget_exhausted",
        session_id: session,
        current_usage: status.used,
        limit: status.max,
        timestamp: at.toISOString(),
        retry_after_seconds: status.resetsInSeconds,
        suggestion: "Tell the user, and go on with what you know; the operator may allow more with --calls-per-hour.",
      },
    },
  );
