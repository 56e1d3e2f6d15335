// Records what the session is shown and says what it was shown before that is outdated now.

import { emptyState } from "../../state/fold.js";
import type { Call, Outcome } from "../core/call.js";
import type { State } from "../core/change.js";
import type { Layer } from "../core/compose.js";
import type { JsonObject } from "../core/json.js";
import type { Session } from "../session.js";

export interface SeeDeps {
  readonly session: Session;
  readonly currentState: () => Promise<State>;
}

export const see =
  ({ session, currentState }: SeeDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    const outcome = await next(call);
    const state = await currentState().catch(() => emptyState("", call.at.toISOString(), ""));
    const at = call.at.toISOString();
    const shown =
      outcome.status === "ok" && outcome.seen
        ? session.see({
            seen: outcome.seen,
            complete: outcome.complete ?? false,
            state,
            at,
            place: { account: call.aws!.account, region: call.aws!.region },
            readWith: { tool: call.entry!.name, arguments: (call.input ?? {}) as JsonObject },
          })
        : [];
    const staleNotices = [...(outcome.staleNotices ?? []), ...shown, ...session.outdated(state)];
    return staleNotices.length > 0 ? { ...outcome, staleNotices } : outcome;
  };
