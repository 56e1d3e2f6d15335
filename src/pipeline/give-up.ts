// No call lasts for ever: a read that takes too long is given up, and AWS is asked nothing more for it. What changes AWS is
// never cut: its caller is told where to look, and the work goes on until its outcome is recorded.

import { changeOfToken } from "../../state/tokens.js";
import type { Call, Outcome } from "../core/call.js";
import type { Change, State } from "../core/change.js";
import type { Layer } from "../core/compose.js";
import { OpsError } from "../core/errors.js";
import { tooLong, whileWanted } from "../core/given-up.js";
import { inTime, LATE } from "../core/in-time.js";
import type { Clock } from "../core/ports.js";

export interface GiveUpDeps {
  readonly clock: Clock;
  readonly callSeconds: number;
  readonly currentState: () => Promise<State>;
  /** Hears of work that goes on after its call was answered. */
  readonly goesOn: (work: Promise<unknown>) => void;
}

export const giveUp =
  ({ clock, callSeconds, currentState, goesOn }: GiveUpDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    const { tool } = call.entry!;
    if (tool.kind !== "gate") {
      const { answer, giveUp } = whileWanted(() => next(call));
      if ((await inTime(answer, callSeconds * 1_000, clock)) === LATE) giveUp(tooLong(callSeconds));
      return answer;
    }
    const answer = next(call);
    const first = await inTime(answer, callSeconds * 1_000, clock);
    if (first !== LATE) return first;
    goesOn(answer);
    return stillAt(call, callSeconds, await currentState().catch(() => null));
  };

async function stillAt(call: Call, seconds: number, state: State | null): Promise<Outcome> {
  const { tool, name } = call.entry!;
  const change = state?.changes.get(changeIdOf(call) ?? "");
  const error = new OpsError(
    "timed_out",
    `${name} took longer than the ${seconds} seconds a call may (--call-seconds). It was not cut: it goes on, and what becomes of it is recorded. Look at the change; do not plan it a second time.`,
    {
      details: { seconds, ...(change && { changeId: change.id }) },
      next: [change ? look(change) : { tool: "changes.list", arguments: {} }],
    },
  );
  if (tool.kind !== "gate" || !tool.changesAws) return { status: "refused", error };
  return {
    status: "failed",
    error,
    applied: "maybe",
    ...(change && {
      sync: { tool: change.tool, outcome: "unknown" as const, account: change.account, region: change.region },
    }),
  };
}

const look = ({ id, region }: Change) => ({ tool: "changes.get", arguments: { changeId: id, region } });

function changeIdOf({ input = {} }: Call): string | undefined {
  if (typeof input.changeId === "string") return input.changeId;
  return typeof input.executionToken === "string" ? changeOfToken(input.executionToken) : undefined;
}
