// The long run of the dangers: npm run test:dangers. VARIATIONS and SEED lengthen or repeat it.

import { spawnSync } from "node:child_process";

const { status } = spawnSync("npx", ["vitest", "run", "test/dangers", "--testTimeout", "3600000"], {
  stdio: "inherit",
  env: { ...process.env, VARIATIONS: process.env.VARIATIONS ?? "1000", REQUIRE_EMULATORS: "1" },
});
process.exitCode = status ?? 1;
