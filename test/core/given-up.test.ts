// A call that is given up: its reads end, and as many of them as there are may wait for that.

import { expect, it } from "vitest";
import { givenUp, orGivenUp, tooLong, whileWanted } from "../../src/core/given-up.js";

it("ends every read of its course, however many, without a warning of Node", async () => {
  const warnings: string[] = [];
  const heard = ({ name }: Error): void => void warnings.push(name);
  process.on("warning", heard);
  try {
    const never = new Promise<void>(() => {});
    const { answer, giveUp } = whileWanted(async () =>
      Promise.allSettled(Array.from({ length: 50 }, () => orGivenUp(never, givenUp()))),
    );
    const ended = expect(answer).rejects.toMatchObject({ code: "timed_out" });
    giveUp(tooLong(300));
    await ended;
    // Warnings are told in a later turn.
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings).toEqual([]);
  } finally {
    process.off("warning", heard);
  }
});
