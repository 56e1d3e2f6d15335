// A server whose day is at noon, whatever the time is here: a story of days never runs across midnight.

const atNoon = `
const Real = Date;
const day = 86400000;
const ahead = Math.floor(Real.now() / day) * day + day / 2 - Real.now();
globalThis.Date = class Date extends Real {
  constructor(...given) { super(...(given.length > 0 ? given : [Real.now() + ahead])); }
  static now() { return Real.now() + ahead; }
};`;

/** For the environment of a server process; everything else goes on as fast as ever. */
export const NOON = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(atNoon)}` } as const;
