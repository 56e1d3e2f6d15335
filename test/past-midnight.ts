// Servers for stories of days. Begun within four minutes of midnight they live after it, so that no story runs across.

// Four, because AWS's SDK takes an answer whose date is five minutes off for a wrong clock, and asks again what failed.
const ahead = (more: string) => `
const Real = Date;
const day = 86400000;
const left = day - (Real.now() % day);
const soon = left < 4 * 60000 ? left : 0;
const ahead = soon + (${more});
globalThis.Date = class Date extends Real {
  constructor(...given) { super(...(given.length > 0 ? given : [Real.now() + ahead])); }
  static now() { return Real.now() + ahead; }
};`;

const clock = (more: string) =>
  ({ NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(ahead(more))}` }) as const;

/** For the environment of a server process. */
export const PAST_MIDNIGHT = clock("0");

/** The same, and on the first of a month a day later: a month that has only begun has no past to ask for. */
export const PAST_THE_FIRST = clock("new Real(Real.now() + soon).getUTCDate() === 1 ? day : 0");
