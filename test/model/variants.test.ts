// Products broken on purpose: the model that lets the real one pass catches each of them.

import { describe, expect, it } from "vitest";
import { explore } from "./explore.js";
import { VARIANTS } from "./variants.js";

describe("the model catches", () => {
  it.each(Object.keys(VARIANTS))(
    "%s",
    async (name) => {
      const found = await explore({ seed: 20_261_121, runs: 300, variant: VARIANTS[name]!, shrink: false });
      expect(found.failure, `${found.runs} runs found nothing`).not.toBeNull();
    },
    300_000,
  );
});
