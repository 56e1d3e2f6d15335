// A server for stories of days: begun within four minutes of midnight it lives after it, so that no story runs across.

// Four, because AWS's SDK takes an answer whose date is five minutes off for a wrong clock, and asks again.
const ahead = `
const Real = Date;
const day = 86400000;
const left = day - (Real.now() % day);
const ahead = left < 4 * 60000 ? left : 0;
globalThis.Date = class Date extends Real {
  constructor(...given) { super(...(given.length > 0 ? given : [Real.now() + ahead])); }
  static now() { return Real.now() + ahead; }
};`;

/** For the environment of a server process. */
export const PAST_MIDNIGHT = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(ahead)}` } as const;
