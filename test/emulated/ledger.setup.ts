// vitest globalSetup: the whole run's evidence becomes COVERAGE.md. A run of some files, or with skips, testifies nothing.

import { join } from "node:path";
import { createCatalogue } from "../../src/catalogue.js";
import { domains } from "../../tools/index.js";
import { knownWrong } from "./known-wrong.js";
import { clearFragments, readFragments, settleLedger } from "./ledger.js";
import { renderLedger } from "./ledger-page.js";

const ROOT = join(import.meta.dirname, "..", "..");
const DIR = join(ROOT, ".cache", "ledger");

export function setup(): () => void {
  const whole = process.argv.slice(2).every((argument) => argument === "run");
  if (!whole) return () => {};
  clearFragments(DIR);
  return () => {
    if (process.exitCode) return;
    const tools = createCatalogue(domains, { allowWrites: true }).entries.map(({ name }) => name);
    const told = settleLedger(join(ROOT, "COVERAGE.md"), renderLedger(readFragments(DIR), tools, knownWrong));
    if (told === "stale") {
      process.stderr.write("\nCOVERAGE.md differs from this run's evidence; REQUIRE_EMULATORS=1 npm test writes it.\n");
    }
  };
}
