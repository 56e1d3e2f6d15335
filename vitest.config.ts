import { defineConfig } from "vitest/config";
import { schemaDataForTests } from "./schema-table.mjs";

export default defineConfig({
  plugins: [schemaDataForTests],
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    // Most of the time is spent waiting for child processes: one worker a core, not one less.
    maxWorkers: "100%",
    globalSetup: ["test/emulated/skip.ts", "test/emulated/ledger.setup.ts"],
    setupFiles: ["test/emulated/egress.setup.ts"],
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" },
    testTimeout: 240_000,
    hookTimeout: 240_000,
  },
});
