// Runs a script that is written beside the sources: Node cannot read them as they are.

import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { schemaData } from "../schema-table.mjs";

/** What stands beside a source is found from where the source is, not from where the bundle is. */
const inPlace = {
  name: "in-place",
  setup(build) {
    build.onLoad({ filter: /\/test\/emulated\/[^/]+\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href)),
      loader: "ts",
    }));
  },
};

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
      plugins: [schemaData, inPlace],
      outfile,
      logLevel: "error",
    });
    await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
