// Whether the call in whose course something runs was given up. Reads of AWS end then; nothing that records or changes does.

import { AsyncLocalStorage } from "node:async_hooks";
import { setMaxListeners } from "node:events";
import { OpsError } from "./errors.js";

const calls = new AsyncLocalStorage<AbortSignal>();

/** What `giveUp` is told is what every read of AWS in the course of `work` then fails with. */
export function whileWanted<T>(work: () => Promise<T>): {
  readonly answer: Promise<T>;
  giveUp(because: OpsError): void;
} {
  const over = new AbortController();
  const around = calls.getStore();
  const signal = around ? AbortSignal.any([around, over.signal]) : over.signal;
  // One call reads many things at once, and each of them listens: that is no leak for Node to warn of.
  setMaxListeners(0, signal);
  return { answer: calls.run(signal, () => orGivenUp(work(), signal)), giveUp: (because) => over.abort(because) };
}

/** @example tooLong(300).code // "timed_out" */
export const tooLong = (seconds: number): OpsError =>
  new OpsError(
    "timed_out",
    `The call took longer than the ${seconds} seconds it may (--call-seconds) and was given up. AWS was only read, and nothing is known from this call. Ask for less: fewer regions, types or resources.`,
    { details: { seconds } },
  );

/** Work that others share or that has to be recorded: it goes on, whoever stops waiting for it. */
export const toItsEnd = <T>(work: () => T): T => calls.exit(work);

/** The signal of the call in whose course this runs; undefined where nobody can give it up. */
export const givenUp = (): AbortSignal | undefined => calls.getStore();

/** The work's answer, or the reason as soon as its call is given up. What the work still comes to nobody hears. */
export function orGivenUp<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const over = () => reject(signal.reason);
    if (signal.aborted) over();
    signal.addEventListener("abort", over, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", over));
  });
}
