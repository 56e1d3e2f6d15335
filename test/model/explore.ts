// Random stories: fast-check makes them, the product lives them, the model says what must be true.

import fc from "fast-check";
import { step } from "./arbitraries.js";
import { Machine, type Variant } from "./machine.js";
import { Model } from "./model.js";
import { begin, perform, type Run, type Step } from "./steps.js";

/** One command as fast-check runs it; printed, it is the entry of a kept counterexample. */
class Command implements fc.AsyncCommand<Model, Run> {
  constructor(readonly step: Step) {}
  check = (): boolean => true;
  run = (_: Model, run: Run): Promise<void> => perform(run, this.step);
  toString = (): string => JSON.stringify(this.step);
}

const MOST_COMMANDS = 60;

export interface Exploration {
  readonly seed: number;
  readonly runs: number;
  /** Of a failure: where it was found. */
  readonly path?: string;
  readonly variant?: Variant;
  /** False: the first failure is enough, as long as it is. */
  readonly shrink?: boolean;
  /** Told after each story that held. */
  readonly held?: (stories: number) => void;
}

export interface Explored {
  readonly runs: number;
  readonly commands: number;
  /** Null: every promise was kept. */
  readonly failure: { readonly because: string; readonly commands: string; readonly path: string } | null;
}

async function fresh(variant?: Variant): Promise<Run> {
  return begin(new Model(), await Machine.start(variant));
}

export async function explore({ seed, runs, path, variant, shrink = true, held }: Exploration): Promise<Explored> {
  let commands = 0;
  let told = 0;
  const stories = fc.commands([step.map((one) => new Command(one))], {
    maxCommands: MOST_COMMANDS,
    size: "max",
    disableReplayLog: true,
  });
  const property = fc.asyncProperty(stories, async (story) => {
    const run = await fresh(variant);
    await fc.asyncModelRun(() => ({ model: run.model, real: run }), story);
    commands += [...story].length;
    held?.(++told);
  });
  const found = await fc.check(property, {
    seed,
    numRuns: runs,
    endOnFailure: !shrink,
    ...(path !== undefined && { path }),
  });
  if (!found.failed) return { runs: found.numRuns, commands, failure: null };
  const because = found.errorInstance instanceof Error ? found.errorInstance.message : String(found.errorInstance);
  const failure = { because, commands: String(found.counterexample?.[0]), path: found.counterexamplePath ?? "" };
  return { runs: found.numRuns, commands, failure };
}

/** One given story from its beginning. */
export async function replay(steps: readonly Step[], variant?: Variant): Promise<void> {
  const run = await fresh(variant);
  for (const one of steps) await perform(run, one);
}
