// Random interleavings of an assistant and of somebody else: no outside change is lost but in a documented window, none is
// refused for nothing, and what is said to be applied is in AWS.

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BROKEN } from "./broken.js";
import { explore, holds, kept } from "./explore.js";
import { play, type StageMaker } from "./play.js";
import { schedules } from "./schedule.js";
import { inProcess } from "./stage.js";
import { WINDOWS } from "./windows.js";

const SECURITY = new URL("../../SECURITY.md", import.meta.url);
const SCHEDULES = Number(process.env.SCHEDULES ?? 300);
const here: StageMaker = (watch) => inProcess(watch);

describe("interleavings that broke a promise once", () => {
  it.each(kept().map(({ broke, schedule }) => [broke, schedule] as const))("%s", async (_broke, schedule) => {
    await holds(schedule, here);
  });
});

describe("random interleavings", () => {
  it(`lose no outside change, in ${SCHEDULES} schedules`, { timeout: 10_800_000 }, async () => {
    const { failure, seen } = await explore({ count: SCHEDULES, among: schedules, stage: here, where: "in process" });
    expect(failure).toBe("");
    // A schedule in which nothing happens proves nothing.
    for (const what of [
      "applied",
      "outside",
      "inCalls",
      "stale_revision",
      "live_guard_failed",
      "precondition_required",
    ]) {
      expect(seen[what] ?? 0, what).toBeGreaterThan(0);
    }
    expect(Object.keys(seen).filter((name) => WINDOWS.some(({ row }) => row === name)).length).toBeGreaterThan(1);
  });

  it("know only windows that SECURITY.md names", () => {
    const text = readFileSync(SECURITY, "utf8");
    expect(WINDOWS.filter(({ row }) => !text.includes(row))).toEqual([]);
  });
});

describe("a broken product is caught", () => {
  it.each(Object.entries(BROKEN))("when %s", { timeout: 300_000 }, async (_how, bend) => {
    const result = await fc.check(
      fc.asyncProperty(schedules, async (schedule) => {
        await holds(schedule, (watch) => inProcess(watch, bend));
      }),
      { numRuns: 1_000, seed: 20_261_121, endOnFailure: true },
    );
    expect(result.failed).toBe(true);
    expect(String((result.errorInstance as Error).message)).toMatch(/turn \d+: /);
    expect(await play(result.counterexample![0]), "the real product holds in the same schedule").toMatchObject({
      violations: [],
    });
  });
});
