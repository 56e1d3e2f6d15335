// Between calls: another look, every so often, at what the session was shown, so that a subscribed host hears of it by itself.

import { emptyState } from "../state/fold.js";
import type { State } from "./core/change.js";
import type { Aws, Clock, Log } from "./core/ports.js";
import { lookAgain } from "./pipeline/revalidate.js";
import type { Session } from "./session.js";

export interface WatchDeps {
  readonly aws: Aws;
  readonly session: Session;
  readonly clock: Clock;
  readonly log: Log;
  readonly everyMs: number;
  readonly currentState: () => Promise<State>;
}

/** Nobody called for this long: whoever asks next is told by the look beside their call. */
const IDLE_MS = 30 * 60_000;

export interface Watch {
  /** Told of every call: the first one starts the watch. */
  called(): void;
  stop(): void;
}

/** Looks within the same bounds as beside a call, in every account and region that was read. A look that fails says nothing. */
export function watchSeen({ aws, session, clock, log, everyMs, currentState }: WatchDeps): Watch {
  const over = new AbortController();
  let lastCall = 0;
  let running = false;

  async function look(): Promise<void> {
    const at = clock.now();
    const before = new Date(at.getTime() - everyMs / 2).toISOString();
    for (const place of session.places()) {
      const reached = await aws.accounts.reaching(place.account);
      if (!reached) continue;
      const reader = await aws.reader(place.region, reached.via);
      if (reader.account !== place.account) continue;
      const looks = await lookAgain(reader, session.due(place, before), clock);
      const state = await currentState().catch(() => emptyState("", at.toISOString(), ""));
      session.tellLater(session.lookedAgain(looks, state, at.toISOString()));
    }
  }

  async function run(): Promise<void> {
    while (!over.signal.aborted && clock.now().getTime() - lastCall < IDLE_MS) {
      await clock.sleep(everyMs, over.signal);
      await look().catch((error: unknown) => log("debug", "a look at what was shown failed", { error }));
    }
  }

  return {
    called() {
      lastCall = clock.now().getTime();
      if (running || over.signal.aborted) return;
      running = true;
      void run()
        .catch(() => {})
        .finally(() => {
          running = false;
        });
    },
    stop: () => over.abort(new Error("stopped")),
  };
}
