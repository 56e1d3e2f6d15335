// Spend in groups: what is largest, what the rest comes to, what drove a change. Pure; whole micros, so that the parts are the whole.

import { amountOf } from "../../src/core/content/costs.js";

export type Amounts = Readonly<Record<string, number>>;

const keyOrder = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const own = (amounts: Amounts, key: string): number => (Object.hasOwn(amounts, key) ? amounts[key]! : 0);

export const totalOf = (amounts: Amounts): number => Object.values(amounts).reduce((sum, micros) => sum + micros, 0);

/** Largest first; equal ones by key. */
export const largest = (amounts: Amounts): (readonly [key: string, micros: number])[] =>
  Object.entries(amounts).sort(([a, x], [b, y]) => y - x || keyOrder(a, b));

export interface Mover {
  readonly key: string;
  readonly from: number;
  readonly to: number;
  readonly change: number;
}

export interface Movement {
  readonly change: number;
  readonly movers: readonly Mover[];
  /** What all the others changed by, together. */
  readonly otherChange: number;
}

/** What changed most between two periods. The movers and the others add up to the change. */
export function movement(before: Amounts, after: Amounts, most: number): Movement {
  const all = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .map((key): Mover => {
      const [from, to] = [own(before, key), own(after, key)];
      return { key, from, to, change: to - from };
    })
    .filter(({ change }) => change !== 0)
    .sort((a, b) => Math.abs(b.change) - Math.abs(a.change) || keyOrder(a.key, b.key));
  const sum = (list: readonly Mover[]) => list.reduce((total, { change }) => total + change, 0);
  return { change: sum(all), movers: all.slice(0, most), otherChange: sum(all.slice(most)) };
}

/** Percent with one decimal; absent where there is nothing to compare with. */
export const percentOf = (part: number, whole: number): number | undefined =>
  whole > 0 ? Math.round((part / whole) * 1_000) / 10 : undefined;

export const moverView = ({
  key,
  from,
  to,
  change,
}: Mover): { key: string; from: number; to: number; change: number; percent?: number } => {
  const percent = percentOf(change, from);
  return {
    key,
    from: amountOf(from),
    to: amountOf(to),
    change: amountOf(change),
    ...(percent !== undefined && { percent }),
  };
};
