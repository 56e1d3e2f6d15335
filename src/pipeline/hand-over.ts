// A read that takes longer than a client waits goes on under a handle, as a change under way in AWS does: operations.get
// answers how far it is, and in the end what it came to.

import type { Call, Outcome } from "../core/call.js";
import type { Layer } from "../core/compose.js";
import { tooLong, whileWanted } from "../core/given-up.js";
import { inTime, LATE } from "../core/in-time.js";
import type { JsonObject } from "../core/json.js";
import type { Clock, Hear, Run, Runs } from "../core/ports.js";

export interface HandOverDeps {
  readonly clock: Clock;
  readonly runs: Runs;
  readonly waitSeconds: number;
  readonly callSeconds: number;
}

export const handOver =
  ({ clock, runs, waitSeconds, callSeconds }: HandOverDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    const { tool, name } = call.entry!;
    const { aws } = call;
    if (tool.kind !== "read" || !aws || waitSeconds >= callSeconds) return next(call);
    let hear: Hear | null = call.context.progress;
    let last: Parameters<Hear> | undefined;
    const progress: Hear = (...step) => {
      last = step;
      hear?.(...step);
    };
    const { answer, giveUp } = whileWanted(() => next({ ...call, context: { ...call.context, progress } }));
    const first = await inTime(answer, waitSeconds * 1_000, clock);
    if (first !== LATE) return first;
    const run = runs.take({
      tool: name,
      startedAt: call.at.toISOString(),
      account: aws.account,
      region: call.everywhere ? "*" : aws.region,
      answer,
      giveUp,
      last: () => last,
      listen: (other) => {
        hear = other;
      },
    });
    // As many as may go on already do: this one is waited for.
    if (!run) return answer;
    inTime(answer, (callSeconds - waitSeconds) * 1_000, clock).then(
      (rest) => rest === LATE && giveUp(tooLong(callSeconds)),
      () => {},
    );
    return { status: "ok", data: handle(run) };
  };

const handle = ({ operationId, tool, progress }: Run): JsonObject => ({
  inProgress: true,
  operationId,
  ...(progress && { progress }),
  note: "This is no result: the call takes longer than a client waits, and goes on.",
  next: { tool: "operations.get", arguments: { operationId }, when: `to wait for what ${tool} finds` },
});
