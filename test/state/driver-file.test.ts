import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileDriver } from "../../state/drivers/file.js";
import { driverSuite } from "./driver-suite.js";
import { ids, testClock } from "./helpers.js";

driverSuite("file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "store-"));
  const make = () => fileDriver({ root: join(folder, "deep", "state") }, { clock: testClock(), ids });
  return { a: make(), b: make(), done: () => rm(folder, { recursive: true }) };
});
