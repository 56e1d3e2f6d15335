// Benches by name: `npm run bench` measures start-up and surface, `npm run bench -- state` the state store at size,
// `npm run bench -- gate` what a plan and its apply add to the bare calls.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { schemaData } from "../../schema-table.mjs";

const SUITES = {
  surface: () => import("./surface.mjs"),
  state: () => bundled("state.ts"),
  gate: () => bundled("gate.ts"),
};

/** Runs a suite that is written beside the sources: Node cannot read them as they are. */
async function bundled(name) {
  const cache = join(import.meta.dirname, "../../.cache");
  // Beside the packages, so that the bundle finds them, and where nobody looks for sources.
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "bench-"));
  const outfile = join(folder, "bench.mjs");
  try {
    await build({
      entryPoints: [join(import.meta.dirname, name)],
      bundle: true,
      platform: "node",
      format: "esm",
      packages: "external",
      plugins: [schemaData],
      outfile,
      logLevel: "error",
    });
    await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const suite = SUITES[process.argv[2] ?? "surface"];
if (suite) await suite();
else {
  process.stderr.write(`There is no bench "${process.argv[2]}". Benches: ${Object.keys(SUITES).join(", ")}.\n`);
  process.exitCode = 2;
}
