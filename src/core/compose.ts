// The onion: steps wrap what comes after them, in the order of the list.

export type Layer<C, O> = (call: C, next: (call: C) => Promise<O>) => Promise<O>;

/** One function out of a list of steps; the last step's `next` is `core`. */
export const compose = <C, O>(
  steps: readonly Layer<C, O>[],
  core: (call: C) => Promise<O>,
): ((call: C) => Promise<O>) =>
  steps.reduceRight<(call: C) => Promise<O>>((next, step) => (call) => step(call, next), core);
