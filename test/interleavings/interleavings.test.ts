// Random interleavings of an assistant and of somebody else: no outside change is lost but in a documented window, none is
// refused for nothing, and what is said to be applied is in AWS.

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BROKEN, BROKEN_BETWEEN_CALLS } from "./broken.js";
import { explore, holds, kept } from "./explore.js";
import { play, type StageMaker } from "./play.js";
import { betweenCalls, schedules } from "./schedule.js";
import { inProcess } from "./stage.js";
import { BETWEEN_CALLS, UNDONE_UNSEEN, WINDOWS } from "./windows.js";

const SECURITY = new URL("../../SECURITY.md", import.meta.url);
const SCHEDULES = Number(process.env.SCHEDULES ?? 300);
const BETWEEN = Math.ceil(SCHEDULES / 6);
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
    expect([...WINDOWS, UNDONE_UNSEEN, BETWEEN_CALLS].filter(({ row }) => !text.includes(row))).toEqual([]);
  });
});

describe("somebody between the calls of one plan", () => {
  it(`is met in the two documented windows and nowhere else, in ${BETWEEN} schedules`, {
    timeout: 10_800_000,
  }, async () => {
    const { failure, seen } = await explore({
      count: BETWEEN,
      among: betweenCalls,
      stage: here,
      where: "between calls",
    });
    expect(failure).toBe("");
    for (const { row } of [UNDONE_UNSEEN, BETWEEN_CALLS]) expect(seen[row] ?? 0, row).toBeGreaterThan(0);
  });
});

describe("a broken product is caught", () => {
  it.each([
    ...Object.entries(BROKEN).map(([how, bend]) => [how, bend, schedules] as const),
    ...Object.entries(BROKEN_BETWEEN_CALLS).map(([how, bend]) => [how, bend, betweenCalls] as const),
  ])("when %s", { timeout: 300_000 }, async (_how, bend, among) => {
    const result = await fc.check(
      fc.asyncProperty(among, async (schedule) => {
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
