// A process that commits to a store: bundled and started by journal.test.ts, several at a time.

import { randomBytes, randomUUID } from "node:crypto";
import { OpsError } from "../../src/core/errors.js";
import { fileDriver } from "../../state/drivers/file.js";
import { livenessOn, thisOwner } from "../../state/drivers/host.js";
import { openStore } from "../../state/journal.js";
import { plan } from "./helpers.js";

const [root = "", count = "1", compactEvery = "0"] = process.argv.slice(2);
const clock = {
  now: () => new Date(),
  sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
  monotonic: () => performance.now(),
};
const ids = { uuid: () => randomUUID(), bytes: (size: number) => randomBytes(size) };
const runtime = {
  host: "h",
  pid: process.pid,
  session: randomUUID(),
  pidExists: (pid: number) => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  },
};
const { session } = runtime;
const store = await openStore({
  driver: fileDriver({ root }, { clock, ids }),
  clock,
  ids,
  owner: thisOwner(runtime),
  liveness: livenessOn(runtime),
  user: "child",
});
for (let index = 0; index < Number(count); index++) {
  const { seq } = await store.commit((_, next) => [plan(next).event]);
  // Printed only after the acknowledgement: whatever was printed has to be in the chain.
  process.stdout.write(`${seq} ${session}\n`);
  if (Number(compactEvery) > 0 && index % Number(compactEvery) === 0) {
    // Another process may be at it.
    await store.compact().catch((error: unknown) => {
      if (!(error instanceof OpsError) || error.code !== "resource_busy") throw error;
    });
  }
}
await store.close();
