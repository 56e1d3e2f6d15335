// One row at the end of every path: answers, refusals, faults, tools that do not exist.

import { auditError, auditParameters } from "../audit.js";
import { type Call, type Outcome, plainName } from "../core/call.js";
import type { Layer } from "../core/compose.js";
import { OpsError } from "../core/errors.js";
import type { Audit, AuditRow, AuditStart, Clock, Ship } from "../core/ports.js";

export interface AuditDeps {
  /** Null where no log is kept. */
  readonly audit: Audit | null;
  /** Where rows are sent on, whether a log is kept here or not. */
  readonly ship?: Pick<Ship, "call">;
  readonly sessionId: string;
  readonly clock: Pick<Clock, "monotonic">;
}

export const audited =
  ({ audit, ship, sessionId, clock }: AuditDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    if (!audit && !ship) return next(call);
    const from = clock.monotonic();
    const row: AuditStart = {
      at: call.at.toISOString(),
      tool: plainName(call.meant!.name),
      parameters: audit?.required ? auditParameters(call.meant!.arguments) : "",
      correlationId: call.id!,
      sessionId,
    };
    const refused = await (audit?.start(row) ?? Promise.resolve()).then(
      () => null,
      (error: unknown) => {
        if (error instanceof OpsError) return error;
        throw error;
      },
    );
    const outcome: Outcome = refused ? { status: "refused", error: refused } : await next(call);
    const error = outcome.status === "refused" || outcome.status === "failed" ? outcome.error : null;
    const ended: AuditRow = {
      ...row,
      parameters: parametersOf(call, error),
      status: error ? "failure" : "success",
      ...(error && { error: auditError(error.code, error.message), refusalClass: error.code }),
      durationMs: Math.round((clock.monotonic() - from) * 1_000) / 1_000,
    };
    ship?.call(ended);
    await audit?.end(ended);
    return outcome;
  };

/** The attack itself is not kept: whoever reads the log must not be reached by it. */
const parametersOf = (call: Call, error: OpsError | null): string =>
  error?.code === "security_violation"
    ? JSON.stringify({ _security_violation: error.details.kind })
    : auditParameters(call.meant!.arguments);
