// The product against a plain model: stories kept, and stories made at random.

import { describe, expect, it } from "vitest";
import { COUNTEREXAMPLES } from "./counterexamples.js";
import { type Explored, explore, replay } from "./explore.js";

/** `npm test` takes the same stories every time; `npm run test:model` takes others. */
const SEEDS = [20_261_121, 20_261_122, 20_261_123];
const RUNS_EACH = 100;

const told = ({ failure }: Explored, seed: number): string =>
  failure ? `${failure.because}\n[${failure.commands}]\nMODEL_SEED=${seed} MODEL_PATH=${failure.path}` : "";

describe("a kept story", () => {
  it.each(COUNTEREXAMPLES.map(({ because, steps }) => [because, steps] as const))("%s", async (_, steps) => {
    await replay(steps);
  });
});

describe("the product and the model agree", () => {
  it.each(SEEDS)(
    `in ${RUNS_EACH} stories of up to sixty commands, seed %i`,
    async (seed) => {
      const found = await explore({ seed, runs: RUNS_EACH });
      expect(told(found, seed)).toBe("");
      expect(found.runs).toBe(RUNS_EACH);
      expect(found.commands).toBeGreaterThan(RUNS_EACH * 20);
    },
    300_000,
  );
});
