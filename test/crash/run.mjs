// Bundles the full run and runs it: node cannot read the sources as they are.

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(root, ".crash-"));
const outfile = join(folder, "run.mjs");
try {
  await build({
    entryPoints: [join(import.meta.dirname, "run.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    outfile,
    logLevel: "error",
  });
  await import(pathToFileURL(outfile).href);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
