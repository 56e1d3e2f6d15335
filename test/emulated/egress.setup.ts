// vitest setupFile: no test file passes if it, or a child it started, tried to leave this machine.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { egress, type Refusal } from "./egress-guard.mjs";

const folder = mkdtempSync(join(tmpdir(), "egress-"));
process.env.EGRESS_REPORT = join(folder, "refusals.jsonl");

afterAll(() => {
  const report = process.env.EGRESS_REPORT ?? "";
  const lines = existsSync(report) ? readFileSync(report, "utf8").trim().split("\n") : [];
  const children = lines.map((line) => JSON.parse(line) as Refusal).filter(({ pid }) => pid !== process.pid);
  const all = [...egress.take(), ...children];
  rmSync(folder, { recursive: true, force: true });
  if (all.length === 0) return;
  throw new Error(`${all.length} attempts to leave this machine:\n${all.map(({ stack }) => stack).join("\n\n")}`);
});
