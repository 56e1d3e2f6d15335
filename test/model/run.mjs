// The long run, as a script.

import { join } from "node:path";
import { runBundled } from "../bundled.mjs";

await runBundled(join(import.meta.dirname, "run.ts"));
