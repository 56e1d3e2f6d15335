// Loud skips: one line per suite, kept on disk so that the end of the run can repeat them.
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const log = join(dirname(fileURLToPath(import.meta.url)), "..", "..", ".cache", "skipped.log");

/** True in CI: there every missing emulator is a failure. */
export function requireEmulators(): boolean {
  return process.env.REQUIRE_EMULATORS === "1";
}

/** Says which suite did not run, what is missing and how to get it; throws when REQUIRE_EMULATORS=1. */
export function skipLoudly(suite: string, missing: string): void {
  const line = `SKIPPED ${suite}: missing ${missing}`;
  if (requireEmulators()) throw new Error(line);
  process.stderr.write(`${line}\n`);
  mkdirSync(dirname(log), { recursive: true });
  appendFileSync(log, `${line}\n`);
}

/** vitest globalSetup: forget the last run's skips, and repeat this run's as its last words. */
export function setup(): () => void {
  rmSync(log, { force: true });
  return () => {
    if (existsSync(log)) process.stderr.write(`\nNot everything ran:\n${readFileSync(log, "utf8")}`);
  };
}
