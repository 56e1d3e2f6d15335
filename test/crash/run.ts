// The full run: npm run test:crash [seed]. Prints worlds, violations and the seed; fails on a violation or too few worlds.

import { ALL, withoutLinks } from "./disk.js";
import { broken, enumerate, total } from "./enumerate.js";
import type { Variant } from "./scenario.js";

const seed = Number(process.argv[2] ?? Date.now() % 1_000_000);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function run(what: string, variant: Variant, atLeast: number): Promise<void> {
  const began = performance.now();
  say(`${what}, seed ${seed}`);
  const count = await enumerate({
    seed,
    variant,
    limits: { ...ALL, prefixOf: 12 },
    againEvery: 16,
    againLimits: { subsetOf: 4, prefixOf: 6 },
    progress: (line) => say(line),
  });
  const { kill, ordered, subset, again } = count.worlds;
  say(`port calls ${count.calls}, crashes between them that can differ ${count.crashes}`);
  say(
    `worlds ${total(count)}: kill ${kill}, ordered power loss ${ordered}, subset and torn ${subset}, recovery crashed ${again}`,
  );
  say(`restarted ${count.restarted} (the others equal one of these byte for byte)`);
  for (const [violation, times] of count.violations)
    say(`VIOLATION ${violation}: ${times}; ${count.examples.get(violation)}`);
  say(`violations ${broken(count)}, seed ${seed}, ${Math.round((performance.now() - began) / 1000)} s`);
  if (broken(count) > 0 || total(count) < atLeast) process.exitCode = 1;
}

await run("with hard links", {}, 100_000);
await run("without hard links", { port: withoutLinks, inPlace: true }, 100_000);
