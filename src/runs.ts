// Calls that go on after their caller was handed a handle, and what they came to: this process's alone, for a while.

import type { Outcome } from "./core/call.js";
import { OpsError } from "./core/errors.js";
import { inTime } from "./core/in-time.js";
import type { JsonObject } from "./core/json.js";
import type { Clock, Going, Hear, Ids, Log, Run, Runs } from "./core/ports.js";

/** At once; further calls are waited for. */
const MOST_GOING = 10;
const MOST_KEPT = 20;
/** For how long what they came to can be fetched. */
const KEPT_MS = 30 * 60_000;

interface Held {
  readonly going: Going;
  readonly operationId: string;
  outcome?: Outcome;
  endedAt?: Date;
  cancelled?: true;
}

/** @example const runs = createRuns({ clock, ids, log }) */
export function createRuns({
  clock,
  ids,
  log,
}: {
  readonly clock: Clock;
  readonly ids: Pick<Ids, "uuid">;
  readonly log: Log;
}): Runs {
  const held = new Map<string, Held>();

  function forgetOld(): void {
    const before = clock.now().getTime() - KEPT_MS;
    const ended = [...held.values()].filter(({ endedAt }) => endedAt);
    for (const [index, { operationId, endedAt }] of ended.entries()) {
      if (endedAt!.getTime() < before || index < ended.length - MOST_KEPT) held.delete(operationId);
    }
  }

  function end(one: Held, outcome: Outcome): void {
    if (one.outcome) return;
    one.outcome = outcome;
    one.endedAt = clock.now();
    const { operationId, going } = one;
    log("info", "a call that was handed over has ended", { operationId, tool: going.tool, status: outcome.status });
  }

  const stateOf = ({ outcome, cancelled }: Held): Run["state"] =>
    cancelled ? "cancelled" : !outcome ? "running" : outcome.status === "ok" ? "complete" : "failed";

  const viewOf = (one: Held): Run => {
    const { tool, account, region, startedAt, last } = one.going;
    const step = last();
    return {
      ...{ operationId: one.operationId, tool, account, region, startedAt, state: stateOf(one) },
      ...(one.endedAt && { endedAt: one.endedAt.toISOString() }),
      ...(step && { progress: progressOf(step) }),
      ...(one.outcome && { outcome: one.outcome }),
    };
  };

  function find(operationId: string): Held {
    forgetOld();
    const one = held.get(operationId);
    if (one) return one;
    throw new OpsError(
      "unknown_operation",
      "No call under way in this server process has this id: it was another process's, or its result is no longer kept. Call the tool again.",
      { field: "operationId", next: [{ tool: "operations.list", arguments: {} }] },
    );
  }

  return {
    take(going) {
      forgetOld();
      if ([...held.values()].filter(({ outcome }) => !outcome).length >= MOST_GOING) return null;
      const one: Held = { going, operationId: `run_${ids.uuid().replaceAll("-", "").slice(0, 12)}` };
      held.set(one.operationId, one);
      going.listen(null);
      going.answer.then(
        (outcome) => end(one, outcome),
        (error: unknown) => end(one, { status: "refused", error: asOurs(error, log) }),
      );
      return viewOf(one);
    },
    list() {
      forgetOld();
      return [...held.values()].reverse().map(viewOf);
    },
    async look(operationId, waitMs, hear: Hear) {
      const one = find(operationId);
      if (one.outcome || waitMs <= 0) return viewOf(one);
      const last = one.going.last();
      if (last) hear(...last);
      one.going.listen(hear);
      await inTime(
        one.going.answer.catch(() => {}),
        waitMs,
        clock,
      );
      one.going.listen(null);
      return viewOf(one);
    },
    cancel(operationId) {
      const one = find(operationId);
      if (one.outcome) return viewOf(one);
      const error = new OpsError(
        "call_cancelled",
        "The call was cancelled before it had an answer. AWS was only read.",
        {
          details: { operationId },
        },
      );
      one.cancelled = true;
      end(one, { status: "refused", error });
      one.going.giveUp(error);
      return viewOf(one);
    },
    close() {
      for (const one of held.values()) {
        if (!one.outcome) one.going.giveUp(new OpsError("call_cancelled", "The server ended."));
      }
      held.clear();
    },
  };
}

const progressOf = ([message, done, total]: Parameters<Hear>): JsonObject => ({
  message,
  ...(done !== undefined && { done }),
  ...(total !== undefined && { total }),
});

function asOurs(error: unknown, log: Log): OpsError {
  if (error instanceof OpsError) return error;
  log("error", "a call that was handed over failed by a fault of ours", { error });
  return new OpsError(
    "internal",
    "The server failed on this call by a fault of its own; its log on stderr has the details.",
  );
}
