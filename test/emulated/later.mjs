// A process whose clock is ahead: `NODE_OPTIONS=--import=…/later.mjs LATER_MINUTES=20`. What it waits for takes no longer.
const ahead = Number(process.env.LATER_MINUTES ?? 0) * 60_000;
const Real = Date;
globalThis.Date = class extends Real {
  constructor(...given) {
    super(...(given.length === 0 ? [Real.now() + ahead] : given));
  }
  static now() {
    return Real.now() + ahead;
  }
};
