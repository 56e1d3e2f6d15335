// Errors become outcomes here and nowhere else.

import type { Call, Outcome } from "../core/call.js";
import type { Layer } from "../core/compose.js";
import { OpsError } from "../core/errors.js";
import type { Log } from "../core/ports.js";

export interface RecoverDeps {
  readonly log: Log;
}

export const recover =
  ({ log }: RecoverDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    try {
      return await next(call);
    } catch (error) {
      if (error instanceof OpsError) {
        const began = error.code === "outcome_unknown" || error.code === "aws_failed";
        return began ? { status: "failed", error, applied: "maybe" } : { status: "refused", error };
      }
      log("error", "a call failed by a fault of ours", { tool: call.name, error });
      return {
        status: "refused",
        error: new OpsError(
          "internal",
          "The server failed on this call by a fault of its own; its log on stderr has the details.",
          {
            cause: error,
          },
        ),
      };
    }
  };
