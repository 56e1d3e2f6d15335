// kill -9 at random moments of the real server: nothing that was acknowledged is lost, nothing is made twice, nothing is left over.

import { expect, it } from "vitest";
import { episode, noTally } from "./kills.js";

/** `npm run test:kill` kills more of them; KILL_SEED repeats the choices of a run (the instants of the kills are the machine's). */
const KILLS = Number(process.env.KILLS ?? 150);
const SEED = Number(process.env.KILL_SEED ?? 20261121);
const LANES = Number(process.env.KILL_LANES ?? 3);
const KILLS_OF_A_STORE = 25;

it(`${KILLS} servers killed at random moments leave every acknowledged change, once, and no orphan`, async () => {
  const tally = noTally();
  let begun = 0;
  const lane = async () => {
    while (begun * KILLS_OF_A_STORE < KILLS) {
      const seed = SEED + begun;
      const kills = Math.min(KILLS_OF_A_STORE, KILLS - begun++ * KILLS_OF_A_STORE);
      await episode(seed, kills, tally);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  const { violations, ...figures } = tally;
  process.stdout.write(`kill -9, seed ${SEED}: ${JSON.stringify(figures)}\n`);
  expect(violations, `seed ${SEED}`).toEqual([]);
  expect(tally.kills).toBe(KILLS);
  // A torture that never hits anything proves nothing.
  expect(tally.applied).toBeGreaterThan(KILLS / 10);
  expect(tally.lost).toBeGreaterThan(KILLS / 20);
  expect(tally.takeovers).toBeGreaterThan(KILLS / 50);
}, 14_400_000);
