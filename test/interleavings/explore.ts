// Plays random schedules on a stage and says what came of them; one that breaks a promise is kept.

import { randomInt } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { playOn, type StageMaker, type Verdict } from "./play.js";
import type { Schedule } from "./schedule.js";

const KEPT = new URL("./counterexamples.json", import.meta.url);
/** A script takes other schedules every time, `npm test` the same ones. */
export const byScript = process.env.SCHEDULES !== undefined;
export const SEED = Number(process.env.SEED ?? (byScript ? randomInt(2 ** 31) : 20_261_121));

export interface Kept {
  readonly broke: string;
  readonly schedule: Schedule;
}
export const kept = (): Kept[] => JSON.parse(readFileSync(KEPT, "utf8")) as Kept[];

export async function holds(schedule: Schedule, stage: StageMaker): Promise<Verdict> {
  const verdict = await playOn(schedule, stage);
  if (verdict.violations.length > 0) throw new Error(verdict.violations.join("\n"));
  return verdict;
}

export interface Exploration {
  /** Of schedules. */
  readonly count: number;
  readonly among: fc.Arbitrary<Schedule>;
  readonly stage: StageMaker;
  readonly where: string;
}

export interface Explored {
  /** Empty: every promise was kept. */
  readonly failure: string;
  /** How often what happened: refusals by code, outside changes that fell into a window by its row, … */
  readonly seen: Readonly<Record<string, number>>;
}

export async function explore({ count, among, stage, where }: Exploration): Promise<Explored> {
  const say = (line: string): void => void (byScript && process.stderr.write(`${line}\n`));
  const seen: Record<string, number> = { schedules: 0 };
  say(`${where}: ${count} schedules, SEED=${SEED}`);
  const result = await fc.check(
    fc.asyncProperty(among, async (schedule) => {
      const { counts, inWindow } = await holds(schedule, stage);
      const { refused, ...numbers } = counts;
      for (const [name, more] of Object.entries({ schedules: 1, ...refused, ...inWindow, ...numbers })) {
        seen[name] = (seen[name] ?? 0) + more;
      }
      if (seen.schedules! % 500 === 0) say(`${where}: ${seen.schedules} held`);
    }),
    { numRuns: count, seed: SEED },
  );
  say(`${where}: ${JSON.stringify(seen, null, 1)}`);
  const [schedule] = result.counterexample ?? [];
  if (byScript && schedule) {
    const because = String((result.errorInstance as Error).message).split("\n")[0];
    const broke = `${because} (${where}, SEED=${result.seed}, path ${result.counterexamplePath})`;
    writeFileSync(KEPT, `${JSON.stringify([...kept(), { broke, schedule }], null, 1)}\n`);
  }
  return { failure: result.failed ? String(fc.defaultReportMessage(result)) : "", seen };
}
