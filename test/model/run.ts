// The long run: npm run test:model. RUNS, MODEL_SEED and MODEL_PATH repeat or lengthen it.

import { explore } from "./explore.js";

const seed = Number(process.env.MODEL_SEED ?? Date.now() % 1_000_000_000);
const runs = Number(process.env.RUNS ?? 10_000);
const path = process.env.MODEL_PATH;
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const began = performance.now();

say(`seed ${seed}, ${runs} runs`);
const held = (stories: number): void => {
  if (stories % 1_000 === 0) say(`  ${stories} stories held`);
};
const found = await explore({ seed, runs, held, ...(path !== undefined && { path }) });
const seconds = Math.round((performance.now() - began) / 100) / 10;
say(`${found.runs} runs, ${found.commands} commands, ${seconds} s`);
if (found.failure) {
  const { because, commands, path } = found.failure;
  say(`BROKEN ${because}\n\n[${commands}]\n\nMODEL_SEED=${seed} MODEL_PATH=${path}`);
  process.exitCode = 1;
}
