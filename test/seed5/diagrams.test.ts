// Every state and every transition of the published diagrams is on the way of a story; that each story is told, its own file proves.

import { describe, expect, it } from "vitest";
import { DIAGRAMS, passed, statesOf, transitionsOf } from "./diagrams.js";
import { STORIES } from "./stories.js";

/** States (the edge among them) and transitions, counted in what was published. */
const SIZES = { lifecycle: [30, 43], compliance: [20, 26], cache: [20, 26], budget: [19, 24] };

describe.each(DIAGRAMS)("the %s diagram", (diagram) => {
  const walked = Object.values(STORIES[diagram]).flatMap((paths) => passed(diagram, paths));

  it("is whole", () => {
    expect([statesOf(diagram).length, transitionsOf(diagram).length]).toEqual(SIZES[diagram]);
  });

  it.each(transitionsOf(diagram))("$from → $to $on", (transition) => {
    expect(walked).toContainEqual(transition);
  });

  it("knows no story that leaves it", () => {
    expect(() => passed(diagram, `${statesOf(diagram)[1]} → Elsewhere`)).toThrow("0 transitions");
  });
});
