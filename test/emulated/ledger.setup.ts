// vitest globalSetup: the whole run's evidence becomes COVERAGE.md. A run of some files, or with skips, testifies nothing.

import { join } from "node:path";
import { createCatalogue } from "../../src/catalogue.js";
import { domains } from "../../tools/index.js";
import { knownWrong } from "./known-wrong.js";
import { clearFragments, readFragments, settleLedger } from "./ledger.js";
import { renderLedger } from "./ledger-page.js";

const ROOT = join(import.meta.dirname, "..", "..");
const DIR = join(ROOT, ".cache", "ledger");

/** Tools that answer from the state, the catalogue, a file or a log alone. */
const NOT_AWS = new Set([
  "audit.query",
  "changes.cancel",
  "changes.list",
  "operations.cancel",
  "operations.get",
  "operations.list",
  "services.list",
  "session.seen",
  "state.export",
  "state.history",
  "state.load",
  "state.save",
  "state.verify",
  "tags.custodianPolicy",
  "tags.exceptions",
  "tags.history",
  "tags.policy",
  "tags.scheduleAudit",
  "tools.run",
  "tools.search",
]);

export function setup(): () => void {
  const whole = process.argv.slice(2).every((argument) => argument === "run");
  if (!whole) return () => {};
  clearFragments(DIR);
  return () => {
    if (process.exitCode) return;
    const tools = createCatalogue(domains, { allowWrites: true }).entries.map(({ name }) => name);
    const fragments = readFragments(DIR);
    const shown = new Set(fragments.flatMap(({ rows }) => rows.map(({ tool }) => tool)));
    const bare = tools.filter((tool) => !NOT_AWS.has(tool) && !shown.has(tool));
    if (process.env.REQUIRE_EMULATORS === "1" && bare.length > 0) {
      process.exitCode = 1;
      throw new Error(`Tools that reach AWS and have no evidence: ${bare.join(", ")}`);
    }
    const told = settleLedger(join(ROOT, "COVERAGE.md"), renderLedger(fragments, tools, knownWrong, NOT_AWS));
    if (told === "stale") {
      process.stderr.write("\nCOVERAGE.md differs from this run's evidence; REQUIRE_EMULATORS=1 npm test writes it.\n");
    }
  };
}
