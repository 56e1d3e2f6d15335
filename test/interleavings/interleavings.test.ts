// Random interleavings of an assistant and of somebody else: no outside change is lost but in a documented window, none is
// refused for nothing, and what is said to be applied is in AWS.

import { randomInt } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BROKEN } from "./broken.js";
import { play, type Verdict } from "./play.js";
import { type Schedule, schedules } from "./schedule.js";
import type { Bend } from "./stage.js";
import { WINDOWS } from "./windows.js";

const KEPT = new URL("./counterexamples.json", import.meta.url);
const SECURITY = new URL("../../SECURITY.md", import.meta.url);
const byScript = process.env.SCHEDULES !== undefined;
const SCHEDULES = Number(process.env.SCHEDULES ?? 300);
const SEED = Number(process.env.SEED ?? (byScript ? randomInt(2 ** 31) : 20_261_121));

interface Kept {
  readonly broke: string;
  readonly schedule: Schedule;
}
const kept = JSON.parse(readFileSync(KEPT, "utf8")) as Kept[];

const holds = async (schedule: Schedule, bend?: Bend): Promise<Verdict> => {
  const verdict = await play(schedule, bend);
  if (verdict.violations.length > 0) throw new Error(verdict.violations.join("\n"));
  return verdict;
};

describe("interleavings that broke a promise once", () => {
  it.each(kept.map(({ broke, schedule }) => [broke, schedule] as const))("%s", async (_broke, schedule) => {
    await holds(schedule);
  });
});

describe("random interleavings", () => {
  it(`lose no outside change, in ${SCHEDULES} schedules`, { timeout: 3_600_000 }, async () => {
    if (byScript) process.stderr.write(`${SCHEDULES} schedules, SEED=${SEED}\n`);
    const seen: Record<string, number> = {};
    const count = (name: string, more: number) => {
      seen[name] = (seen[name] ?? 0) + more;
    };
    const result = await fc.check(
      fc.asyncProperty(schedules, async (schedule) => {
        const { counts, inWindow } = await holds(schedule);
        const { refused, ...numbers } = counts;
        for (const [name, more] of Object.entries({ ...refused, ...inWindow, ...numbers })) count(name, more);
      }),
      { numRuns: SCHEDULES, seed: SEED },
    );
    if (byScript) process.stderr.write(`${JSON.stringify(seen, null, 1)}\n`);
    const [schedule] = result.counterexample ?? [];
    if (byScript && schedule) {
      const broke = `${String((result.errorInstance as Error).message).split("\n")[0]} (SEED=${result.seed}, path ${result.counterexamplePath})`;
      writeFileSync(KEPT, `${JSON.stringify([...kept, { broke, schedule }], null, 1)}\n`);
    }
    expect(result.failed, fc.defaultReportMessage(result) as string | undefined).toBe(false);
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
        await holds(schedule, bend);
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
