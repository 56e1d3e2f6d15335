// Backups: how long the checkpoint of a day is kept is the operator's to say.

import { readdir } from "node:fs/promises";
import { expect, it } from "vitest";
import { loadConfig } from "../../src/config.js";
import { buildStore } from "../../src/serve.js";
import { folder } from "./folder.js";
import { ids, plan, testClock } from "./helpers.js";

const DAY_MS = 86_400_000;

it.each([
  [[], 30],
  [["--backup-retention-days", "3"], 3],
] as const)("with %j a backup is kept for %i days", async (options, days) => {
  const { root, path } = await folder();
  const clock = testClock();
  const nobody = { host: "test", user: "alice", pid: 1, pidExists: () => true, writeLog: () => {} };
  const host = { clock, ids, env: {}, ...nobody };
  const { store } = await buildStore(loadConfig(["--sandbox", "--state", root, ...options], {}).config, host, "test");
  for (let day = 0; day < 35; day++) {
    await store.commit((_, seq) => [plan(seq).event]);
    await store.checkpoint();
    clock.advance(DAY_MS);
  }
  expect(await readdir(path("backups"))).toHaveLength(days);
  await store.close();
});
