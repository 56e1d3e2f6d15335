// A process that writes rows: node writer.mjs PATH ENGINE NAME ROWS [die-in-the-middle]. For sqlite.test.ts.

import { readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { type EngineName, sqlite } from "../../src/sqlite.js";
import { livenessOn, thisOwner } from "../../state/drivers/host.js";

export const SCHEMA = ["CREATE TABLE rows (id INTEGER PRIMARY KEY, who TEXT NOT NULL, n INTEGER NOT NULL)"];

const [, , path = "", engine = "", who = "", rows = "0", ending] = process.argv;
const pidExists = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
};
const runtime = { host: "here", pid: process.pid, session: `${who}-${process.pid}`, pidExists };
const db = sqlite({
  path,
  schema: SCHEMA,
  clock: { monotonic: () => performance.now(), sleep: (ms) => wait(ms) },
  owner: thisOwner(runtime),
  liveness: livenessOn(runtime),
  busyMs: 60_000,
  engine: engine as EngineName,
});

if (ending === "die") {
  await db.transaction((tx) => {
    // More than the page cache holds, so that pages of the file itself are overwritten before the end.
    for (let n = 0; n < Number(rows); n++) tx.run("UPDATE rows SET who = ? WHERE n = ?", "x".repeat(4000), n);
    process.stdout.write(`dying with a journal of ${readFileSync(`${path}-journal`).length} bytes\n`);
    process.kill(process.pid, "SIGKILL");
    for (;;);
  });
}
// One row a commit, some of them many at once, as an audit log is written.
const BATCH = 50;
for (let n = 0; n < Number(rows); n += BATCH) {
  await db.transaction((tx) => {
    for (let i = n; i < n + BATCH; i++) tx.run("INSERT INTO rows (who, n) VALUES (?, ?)", who, i);
  });
}
await db.close();
