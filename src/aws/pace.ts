// A rate that callers share: so many grants in any window of time, in the order they were asked for.

import type { Clock } from "../core/ports.js";

export interface Pace {
  /** Resolves when the next call may go out; rejects with the signal's reason if that came first. */
  take(signal?: AbortSignal): Promise<void>;
  /** No grant for this long: AWS said that it was too much. */
  hold(ms: number): void;
}

/** @example const two = pace(clock, 2, 1_000); await two.take(); */
export function pace(clock: Clock, count: number, windowMs: number): Pace {
  const granted: number[] = [];
  let heldUntil = Number.NEGATIVE_INFINITY;
  let last: Promise<void> = Promise.resolve();

  async function grant(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const now = clock.now().getTime();
    const free = granted.length < count ? Number.NEGATIVE_INFINITY : granted[0]! + windowMs;
    const due = Math.max(now, free, heldUntil);
    // A clock that was set back must not make anybody wait for longer than the rules can ask.
    const wait = Math.min(due - now, Math.max(windowMs, heldUntil - now));
    if (wait > 0) await clock.sleep(wait);
    signal?.throwIfAborted();
    granted.push(now + wait);
    if (granted.length > count) granted.shift();
  }

  return {
    take(signal) {
      const turn = last.then(() => grant(signal));
      last = turn.catch(() => {});
      return turn;
    },
    hold(ms) {
      heldUntil = Math.max(heldUntil, clock.now().getTime() + ms);
    },
  };
}
