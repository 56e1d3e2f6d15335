// Benches by name: `npm run bench` measures start-up and surface, `npm run bench -- state` the state store at size,
// `npm run bench -- lists` lists at size, `npm run bench -- gate` what a plan and its apply add to the bare calls.
// `npm run bench -- compliance` tag compliance at size, `npm run bench -- pipeline` what the guardrails add to a call.

import { join } from "node:path";
import { runBundled } from "../bundled.mjs";

const here = import.meta.dirname;
const SUITES = {
  surface: () => import("./surface.mjs"),
  state: () => runBundled(join(here, "state.ts")),
  lists: () => import("./lists.mjs"),
  gate: () => runBundled(join(here, "gate.ts")),
  pipeline: () => runBundled(join(here, "pipeline.ts")),
  compliance: () => runBundled(join(here, "compliance.ts")),
};

const suite = SUITES[process.argv[2] ?? "surface"];
if (suite) await suite();
else {
  process.stderr.write(`There is no bench "${process.argv[2]}". Benches: ${Object.keys(SUITES).join(", ")}.\n`);
  process.exitCode = 2;
}
