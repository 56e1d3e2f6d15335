// One after the other: for services that refuse bursts.

export type Turns = <T>(run: () => Promise<T>) => Promise<T>;

/** @example const inTurn = turns(); await Promise.all([inTurn(first), inTurn(second)]); // second begins after first */
export function turns(): Turns {
  let last: Promise<unknown> = Promise.resolve();
  return (run) => {
    const mine = last.then(run);
    last = mine.catch(() => {});
    return mine;
  };
}
