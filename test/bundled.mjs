// Runs a script that is written beside the sources: Node cannot read them as they are.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { schemaData } from "../schema-table.mjs";

/** @param {string} source path of a TypeScript file; it runs in this process, to its end */
export async function runBundled(source) {
  const cache = join(import.meta.dirname, "../.cache");
  // Beside the packages, so that the bundle finds them, and where nobody looks for sources.
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "bundled-"));
  const outfile = join(folder, "run.mjs");
  try {
    await build({
      entryPoints: [source],
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
