// dist/: one small entry, code split so that an AWS client is loaded when it is first used. ESM main fields let esbuild
// shake the SDK; the CommonJS ones do not.

import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";
import { NOTICE, schemaData } from "./schema-table.mjs";

rmSync("dist", { recursive: true, force: true });

await build({
  entryPoints: { cli: "src/cli.ts", index: "src/index.ts", "state-sync": "policies/state-sync/index.ts" },
  outdir: "dist",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20",
  mainFields: ["module", "main"],
  minify: true,
  legalComments: "linked",
  plugins: [schemaData],
  chunkNames: "chunks/[name]-[hash]",
  banner: {
    js: 'import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url),__dirname=import.meta.dirname;',
  },
  logLevel: "warning",
});

// Read at first use, from beside the chunk that holds its loader.
copyFileSync("node_modules/node-sqlite3-wasm/dist/node-sqlite3-wasm.wasm", "dist/chunks/node-sqlite3-wasm.wasm");
writeFileSync("dist/schema-table.NOTICE", NOTICE);
chmodSync("dist/cli.js", 0o755);
execFileSync("npx", ["--no-install", "tsc", "-p", "tsconfig.build.json"], { stdio: "inherit" });
