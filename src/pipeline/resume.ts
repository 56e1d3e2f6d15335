// Before the first call that looks at AWS or the state: finish or name what an earlier process left open.

import type { Call, Outcome } from "../core/call.js";
import type { Layer } from "../core/compose.js";
import { OpsError } from "../core/errors.js";
import type { AwsReader } from "../core/ports.js";

export interface ResumeDeps {
  /** Settles what dead processes left open in this account and region; cheap when there is nothing. */
  readonly settleOpen: (aws: AwsReader) => Promise<void>;
}

export const resume =
  ({ settleOpen }: ResumeDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    await settleOpen(call.aws!).catch(unlessState);
    return next(call);
  };

/** A store that cannot be read or written has its own words in the answer of whatever needs it. */
function unlessState(error: unknown): void {
  if (!(error instanceof OpsError) || !error.code.startsWith("state_")) throw error;
}
