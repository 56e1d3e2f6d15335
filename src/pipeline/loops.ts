// The same call again and again is a model going in circles. What became outdated may be asked again.

import { isLoop, type LoopLimits, mostIdentical } from "../../policies/guardrails.js";
import { type Call, type Outcome, plainName } from "../core/call.js";
import type { Layer } from "../core/compose.js";
import { OpsError } from "../core/errors.js";
import { digest } from "../core/json.js";
import type { Meters } from "../core/ports.js";

export interface LoopDeps {
  readonly meters: Meters;
  readonly loopLimits: LoopLimits;
  /** The tools whose answers an applied change of this tool makes stale. */
  readonly staleBy: (tool: string) => readonly string[];
}

/** Refusals that tell the caller to read again. */
const READ_AGAIN: ReadonlySet<string> = new Set(["stale_revision", "live_guard_failed"]);

export const loops =
  ({ meters, loopLimits, staleBy }: LoopDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    if (loopLimits.identical === 0) return next(call);
    const { name, arguments: given } = call.meant!;
    const tool = plainName(name);
    if (!call.context.reply) {
      const attempts = await meters.attempt(tool, digest([name, given]).slice(0, 16));
      if (isLoop(tool, attempts, loopLimits)) throw looping(tool, attempts, loopLimits, call.at);
    }
    const outcome = await next(call);
    const again = outdatedBy(outcome, staleBy);
    if (again.length > 0) await meters.forget(again);
    return outcome;
  };

/** The tools that the answer itself tells to call again. */
function outdatedBy(outcome: Outcome, staleBy: LoopDeps["staleBy"]): string[] {
  const told = (outcome.staleNotices ?? []).map(({ readAgainWith }) => readAgainWith.tool);
  const changed = outcome.sync ? staleBy(outcome.sync.tool) : [];
  const refused =
    outcome.status === "refused" && READ_AGAIN.has(outcome.error.code)
      ? outcome.error.next.map(({ tool }) => tool)
      : [];
  return [...new Set([...told, ...changed, ...refused])];
}

const looping = (tool: string, attempts: number, limits: LoopLimits, at: Date): OpsError =>
  new OpsError(
    "loop_detected",
    "The same call was made too often in a short time. Nothing was done. Its earlier answer holds until something changes; use it, or ask something else.",
    {
      details: {
        error_type: "loop_detected",
        tool_name: tool,
        call_count: attempts,
        max_calls: mostIdentical(tool, limits),
        timestamp: at.toISOString(),
        suggestion: "Use the earlier answer, change the arguments, or ask the user.",
      },
    },
  );
