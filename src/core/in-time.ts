// For how long somebody waits. What they wait for goes on, and whoever waits decides what becomes of it.

import type { Clock } from "./ports.js";

/** Instead of an answer that did not come in time. */
export const LATE: unique symbol = Symbol("late");

/** What `work` comes to within `ms` milliseconds, else `LATE`. A failure of late work is nobody's. */
export function inTime<T>(work: Promise<T>, ms: number, clock: Pick<Clock, "sleep">): Promise<T | typeof LATE> {
  const over = new AbortController();
  const late = (): typeof LATE => LATE;
  return Promise.race([work, clock.sleep(ms, over.signal).then(late, late)]).finally(() => over.abort());
}
