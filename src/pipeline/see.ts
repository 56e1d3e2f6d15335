// Records what the session is shown and says what it was shown before that is outdated now.

import { emptyState } from "../../state/fold.js";
import type { Call, Outcome, ShownIn } from "../core/call.js";
import type { State } from "../core/change.js";
import type { Layer } from "../core/compose.js";
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
    const shown = placesOf(call, outcome).flatMap(
      ({ region, seen, beside = [], listed = [], complete, arguments: again }) =>
        session.see({
          seen,
          beside,
          listed,
          complete,
          state,
          at,
          place: { account: call.aws!.account, region },
          readWith: { tool: call.entry!.name, arguments: again },
        }),
    );
    const staleNotices = [...(outcome.staleNotices ?? []), ...shown, ...session.outdated(state)];
    return staleNotices.length > 0 ? { ...outcome, staleNotices } : outcome;
  };

function placesOf(call: Call, outcome: Outcome): readonly ShownIn[] {
  if (outcome.status !== "ok") return [];
  if (outcome.places) return outcome.places;
  const { seen = [], beside = [], listed = [], complete = false } = outcome;
  if (!outcome.seen && !outcome.beside && !outcome.listed) return [];
  return [{ region: call.aws!.region, seen, beside, listed, complete, arguments: call.input ?? {} }];
}
