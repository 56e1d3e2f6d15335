// Before the first call that looks at AWS or the state: finish or name what an earlier process left open.

import type { Call, Outcome } from "../core/call.js";
import type { Layer } from "../core/compose.js";
import { OpsError } from "../core/errors.js";
import type { AwsReader, Log } from "../core/ports.js";

export interface ResumeDeps {
  /** Settles what dead processes left open in this account and region; cheap when there is nothing. */
  readonly settleOpen: (aws: AwsReader) => Promise<void>;
  readonly log: Log;
}

export const resume =
  ({ settleOpen, log }: ResumeDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    if (!call.aws) return next(call);
    await settleOpen(call.aws).catch((error: unknown) => {
      if (!(error instanceof OpsError)) throw error;
      // What is left open is named by session.whoami and changes.get; it does not stop a look at something else.
      log("warn", "an open operation could not be settled", { code: error.code, why: error.message });
    });
    return next(call);
  };
