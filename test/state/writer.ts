// A process that commits to a store: bundled and started by journal.test.ts, several at a time.

import { randomBytes, randomUUID } from "node:crypto";
import { fileDriver } from "../../state/drivers/file.js";
import { openStore } from "../../state/journal.js";
import { plan } from "./helpers.js";

const [root = "", count = "1"] = process.argv.slice(2);
const clock = {
  now: () => new Date(),
  sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
};
const ids = { uuid: () => randomUUID(), bytes: (size: number) => randomBytes(size) };
const session = randomUUID();
const store = await openStore({
  driver: fileDriver({ root }, { clock, ids }),
  clock,
  ids,
  owner: { host: "h", bootId: "b", pid: process.pid, pidStart: "1", session },
  user: "child",
});
for (let index = 0; index < Number(count); index++) {
  const { seq } = await store.commit((_, next) => [plan(next).event]);
  // Printed only after the acknowledgement: whatever was printed has to be in the chain.
  process.stdout.write(`${seq} ${session}\n`);
}
await store.close();
