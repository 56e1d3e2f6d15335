// Security scanners that are installed beside this server: Checkov and cfn-guard, each run as a process of its own on a template of the plan.

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import type { Log, Scan, Scanned, ScanReport } from "./core/ports.js";

const PATIENCE_MS = 60_000;
const MOST_OUTPUT = 16 * 1024 * 1024;

export interface ScanOptions {
  /** Where programs are looked for; nothing else of the environment reaches a scanner, credentials least of all. */
  readonly path: string;
  /** What cfn-guard checks: without rules it has nothing to say and is not run. */
  readonly guardRules?: string;
  /** How long one may take; a minute unless told. */
  readonly patienceMs?: number;
  readonly log: Log;
  /** Where the template is for as long as a scanner reads it. */
  readonly temporary?: string;
}

interface Scanner {
  readonly name: string;
  arguments(template: string): readonly string[];
  read(output: string): Omit<ScanReport, "scanner">;
}

const logicalId = (index: number): string => `Planned${index}`;
const indexOf = (text: string): number => Number(/Planned(\d+)/.exec(text)?.[1] ?? 0);

/** Checkov's JSON report, as its open-source version writes it: severities come with the paid platform only. */
const CheckovReport = z.object({
  results: z.object({
    failed_checks: z.array(
      z.object({ check_id: z.string(), check_name: z.string(), resource: z.string(), severity: z.string().nullish() }),
    ),
  }),
  summary: z.object({ passed: z.number(), checkov_version: z.string().optional() }),
});
/** Of a template in which Checkov knows no type. */
const CheckovNothing = z.object({ passed: z.number(), checkov_version: z.string().optional() });

const LEVEL = z.enum(["low", "medium", "high", "critical"]);

const checkov: Scanner = {
  name: "checkov",
  arguments: (template) => [
    ...["-f", template, "--framework", "cloudformation", "-o", "json"],
    ...["--compact", "--quiet", "--soft-fail", "--skip-download"],
  ],
  read(output) {
    const report = z.union([CheckovReport, CheckovNothing]).parse(JSON.parse(output));
    if (!("results" in report)) return { passed: report.passed, findings: [], ...version(report.checkov_version) };
    return {
      passed: report.summary.passed,
      ...version(report.summary.checkov_version),
      findings: report.results.failed_checks.map((check) => {
        const severity = LEVEL.safeParse(check.severity?.toLowerCase()).data;
        return {
          rule: check.check_id,
          message: check.check_name,
          resource: indexOf(check.resource),
          ...(severity && { severity }),
        };
      }),
    };
  },
};

const version = (text: string | undefined) => (text ? { version: text } : {});

/** cfn-guard's structured report (version 3): one row a file; rules that do not comply carry their own message. */
const GuardReport = z.array(
  z.object({
    compliant: z.array(z.string()),
    not_compliant: z.array(
      z.looseObject({
        Rule: z.looseObject({
          name: z.string(),
          messages: z.object({ custom_message: z.string().nullish(), error_message: z.string().nullish() }).nullish(),
        }),
      }),
    ),
  }),
);

const cfnGuard = (rules: string): Scanner => ({
  name: "cfn-guard",
  arguments: (template) => [
    ...["validate", "--data", template, "--rules", resolve(rules)],
    ...["--structured", "--output-format", "json", "--show-summary", "none"],
  ],
  read(output) {
    const files = GuardReport.parse(JSON.parse(output));
    return {
      passed: files.reduce((sum, file) => sum + file.compliant.length, 0),
      findings: files.flatMap((file) =>
        file.not_compliant.map((row) => ({
          rule: row.Rule.name,
          message: row.Rule.messages?.custom_message || row.Rule.messages?.error_message || "does not comply",
          resource: indexOf(JSON.stringify(row)),
        })),
      ),
    };
  },
});

/** The installed scanners. One that is not found is not looked for again; one that fails is named and says nothing. */
export function installedScanners({
  path,
  guardRules,
  patienceMs = PATIENCE_MS,
  log,
  temporary = tmpdir(),
}: ScanOptions): Scan {
  const missing = new Set<string>();
  const all = [checkov, ...(guardRules ? [cfnGuard(guardRules)] : [])];

  async function scanWith(scanner: Scanner, template: string): Promise<ScanReport | null> {
    if (missing.has(scanner.name)) return null;
    const ran = await run(scanner.name, scanner.arguments(template), { path, patienceMs, folder: dirname(template) });
    if (ran.kind === "missing") {
      missing.add(scanner.name);
      return null;
    }
    try {
      if (ran.kind === "failed") throw new Error(ran.because);
      return { scanner: scanner.name, ...scanner.read(ran.output) };
    } catch (error) {
      log("warn", "a security scanner failed", { scanner: scanner.name, error });
      const failure = ran.kind === "failed" ? ran.because : "its report could not be read";
      return { scanner: scanner.name, failure, passed: 0, findings: [] };
    }
  }

  return async (resources) => {
    if (all.every(({ name }) => missing.has(name))) return [];
    const folder = await mkdtemp(join(temporary, "aws-devops-mcp-scan-")).catch(() => null);
    if (!folder) return [];
    try {
      const template = join(folder, "template.json");
      await writeFile(template, JSON.stringify(templateOf(resources)), { mode: 0o600 });
      const reports = await Promise.all(all.map((scanner) => scanWith(scanner, template)));
      return reports.filter((report) => report !== null);
    } catch (error) {
      log("warn", "security scanners could not be run", { error });
      return [];
    } finally {
      await rm(folder, { recursive: true, force: true }).catch(() => {});
    }
  };
}

const templateOf = (resources: readonly Scanned[]) => ({
  AWSTemplateFormatVersion: "2010-09-09",
  Resources: Object.fromEntries(
    resources.map(({ type, properties }, index) => [logicalId(index), { Type: type, Properties: properties }]),
  ),
});

type Ran =
  | { readonly kind: "missing" }
  | { readonly kind: "failed"; readonly because: string }
  | { readonly kind: "done"; readonly output: string };

interface Surroundings {
  readonly path: string;
  readonly patienceMs: number;
  /** Home and working directory: what lies in others' might tell a scanner what to load and what to overlook. */
  readonly folder: string;
}

/** A program without a shell. An exit code other than 0 with a report on stdout is a report: findings make one. */
function run(program: string, args: readonly string[], { path, patienceMs, folder }: Surroundings): Promise<Ran> {
  return new Promise((resolve) => {
    const options = {
      env: { PATH: path, HOME: folder },
      cwd: folder,
      timeout: patienceMs,
      killSignal: "SIGKILL" as const,
      maxBuffer: MOST_OUTPUT,
    };
    execFile(program, [...args], options, (error, stdout) => {
      if (error && "code" in error && (error.code === "ENOENT" || error.code === "EACCES"))
        return resolve({ kind: "missing" });
      if (error?.killed) return resolve({ kind: "failed", because: `it took longer than ${patienceMs / 1_000} s` });
      if (stdout.trim() === "") return resolve({ kind: "failed", because: "it wrote no report" });
      resolve({ kind: "done", output: stdout });
    });
  });
}
