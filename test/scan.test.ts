// Scanners: real programs on a PATH of our own that write what Checkov 3.3 and cfn-guard 3 write, or fail in each way there is.

import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Scanned } from "../src/core/ports.js";
import { installedScanners } from "../src/scan.js";
import { temporaryFolder } from "./harness.js";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const RESOURCES: readonly Scanned[] = [
  { type: "AWS::SNS::Topic", properties: {} },
  { type: "AWS::RDS::DBInstance", properties: { PubliclyAccessible: true } },
];

/** A program of this name that leaves what it was given in the folder and runs the rest. */
function install(name: string, script: string): void {
  const path = join(folder.path, name);
  const keep = `echo "$@" > ${folder.path}/${name}.args\n/usr/bin/env > ${folder.path}/${name}.env\n/bin/cat "$2" > ${folder.path}/${name}.second 2>/dev/null\n`;
  writeFileSync(path, `#!/bin/sh\n${keep}${script}\n`);
  chmodSync(path, 0o755);
}
const says = (report: unknown, code = 0) => {
  writeFileSync(join(folder.path, "report.json"), JSON.stringify(report));
  return `/bin/cat ${folder.path}/report.json\nexit ${code}`;
};
const logged: string[] = [];
const scan = (guardRules?: string, patienceMs?: number) =>
  installedScanners({
    path: folder.path,
    temporary: folder.path,
    log: (_level, message) => void logged.push(message),
    ...(guardRules ? { guardRules } : {}),
    ...(patienceMs ? { patienceMs } : {}),
  });
const leftovers = () => readdirSync(folder.path).filter((name) => name.startsWith("aws-devops-mcp-scan-"));

/** As Checkov 3.3.30 wrote it, without the members nobody reads. */
const CHECKOV = {
  check_type: "cloudformation",
  results: {
    failed_checks: [
      {
        check_id: "CKV_AWS_17",
        check_name: "Ensure all data stored in RDS is not publicly accessible",
        check_result: { result: "FAILED" },
        resource: "AWS::RDS::DBInstance.Planned1",
        severity: null,
      },
      { check_id: "CKV_X", check_name: "n", resource: "AWS::SNS::Topic.Planned0", severity: "HIGH" },
    ],
  },
  summary: { passed: 3, failed: 2, checkov_version: "3.3.30" },
};

describe("Checkov", () => {
  it("is given a template and none of the environment, and its failed checks become findings", async () => {
    install("checkov", says(CHECKOV));
    expect(await scan()(RESOURCES)).toEqual([
      {
        scanner: "checkov",
        version: "3.3.30",
        passed: 3,
        findings: [
          { rule: "CKV_AWS_17", message: "Ensure all data stored in RDS is not publicly accessible", resource: 1 },
          { rule: "CKV_X", message: "n", resource: 0, severity: "high" },
        ],
      },
    ]);
    expect(JSON.parse(readFileSync(join(folder.path, "checkov.second"), "utf8")).Resources.Planned1).toEqual({
      Type: "AWS::RDS::DBInstance",
      Properties: { PubliclyAccessible: true },
    });
    expect(readFileSync(join(folder.path, "checkov.env"), "utf8")).not.toMatch(/AWS|NODE|VITEST/);
    expect(leftovers()).toEqual([]);
  });

  it("knows none of the types: no finding", async () => {
    install("checkov", says({ passed: 0, failed: 0, resource_count: 0, checkov_version: "3.3.30" }));
    expect(await scan()(RESOURCES)).toMatchObject([{ passed: 0, findings: [] }]);
  });

  it.each([
    ["writes nothing", "exit 1", "it wrote no report"],
    ["writes no JSON", "echo oops", "its report could not be read"],
    ["writes another report", "echo '{\"results\": 3}'", "its report could not be read"],
  ])("that %s is named and says nothing", async (_, script, failure) => {
    install("checkov", script);
    expect(await scan()(RESOURCES)).toEqual([{ scanner: "checkov", failure, passed: 0, findings: [] }]);
    expect(logged).toContain("a security scanner failed");
  });

  it("finds no configuration: its home and its folder are its own, gone afterwards", async () => {
    install("checkov", `pwd > ${folder.path}/checkov.pwd\n${says(CHECKOV)}`);
    await scan()(RESOURCES);
    const kept = (name: string) => readFileSync(join(folder.path, name), "utf8");
    const [home = ""] = kept("checkov.env").match(/(?<=^HOME=).*$/m) ?? [];
    expect(home).toContain("aws-devops-mcp-scan-");
    expect(kept("checkov.pwd").trim()).toContain("aws-devops-mcp-scan-");
    expect(existsSync(home)).toBe(false);
  });

  it("that does not end, and will not when it is asked to, is ended and named", async () => {
    install("checkov", "trap '' TERM\nwhile :; do /bin/sleep 0.1; done");
    const began = Date.now();
    expect(await scan(undefined, 300)(RESOURCES)).toEqual([
      { scanner: "checkov", failure: "it took longer than 0.3 s", passed: 0, findings: [] },
    ]);
    expect(Date.now() - began).toBeLessThan(4_000);
  });

  it("that is not installed is no report", async () => {
    const run = scan();
    expect(await run(RESOURCES)).toEqual([]);
    install("checkov", says(CHECKOV));
    expect(await run(RESOURCES), "looked for once a process").toEqual([]);
  });
});

describe("cfn-guard", () => {
  const GUARD = [
    {
      name: "template.json",
      status: "FAIL",
      compliant: ["RDS_ENCRYPTED"],
      not_applicable: [],
      not_compliant: [
        {
          Rule: {
            name: "RDS_NOT_PUBLIC",
            messages: { custom_message: "keep it private", error_message: null },
            checks: [{ Clause: { Unary: { check: { value: { path: "/Resources/Planned1/Properties" } } } } }],
          },
        },
      ],
    },
  ];

  it("is run with the operator's rules; an exit code of its own is a report", async () => {
    install("cfn-guard", says(GUARD, 19));
    expect(await scan("/rules/a.guard")(RESOURCES)).toEqual([
      {
        scanner: "cfn-guard",
        passed: 1,
        findings: [{ rule: "RDS_NOT_PUBLIC", message: "keep it private", resource: 1 }],
      },
    ]);
    expect(readFileSync(join(folder.path, "cfn-guard.args"), "utf8")).toContain("--rules /rules/a.guard");
  });

  it("without rules has nothing to say and is not run", async () => {
    install("cfn-guard", says(GUARD));
    expect(await scan()(RESOURCES)).toEqual([]);
  });
});
