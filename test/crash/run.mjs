// Bundles the full run and runs it: node cannot read the sources as they are.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { schemaData } from "../../schema-table.mjs";

const root = join(import.meta.dirname, "../..");
// Beside the packages, so that the bundle finds them, and where nobody looks for sources.
mkdirSync(join(root, ".cache"), { recursive: true });
const folder = mkdtempSync(join(root, ".cache", "crash-"));
const outfile = join(folder, "run.mjs");
try {
  await build({
    entryPoints: [join(import.meta.dirname, "run.ts")],
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
