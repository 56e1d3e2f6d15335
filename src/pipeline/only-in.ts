// What was asked for one account is done in that one, or not at all: credentials may be others by now.

import type { Call, Outcome } from "../core/call.js";
import type { Layer } from "../core/compose.js";
import { OpsError } from "../core/errors.js";

/** @param account absent: wherever the credentials lead */
export const onlyIn =
  (account: string | undefined): Layer<Call, Outcome> =>
  (call, next) => {
    if (account === undefined || call.aws?.account === account) return next(call);
    throw new OpsError(
      "identity_mismatch",
      "The credentials of this server are of another account; nothing was read.",
      {
        details: { account: call.aws?.account ?? "", wanted: account },
      },
    );
  };
