// The ledger counts what passing tests proved, and nothing else.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createLedger, readFragments, settleLedger } from "./ledger.js";
import { renderLedger } from "./ledger-page.js";
import type { Fate, Seen } from "./proxy.js";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "ledger-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

/** A proxy as the ledger sees it. */
function witness() {
  const seen: Seen[] = [];
  const see = (asked: string, call?: string, fate: Fate = "answered", backend = "moto") => {
    const [service = "", operation = ""] = asked.split(":");
    const wire = {
      region: "eu-west-1",
      accessKeyId: "",
      protocol: "json",
      params: {},
      invocation: undefined,
      attempt: 1,
      call,
    } as const;
    seen.push({ ...wire, service, operation, fate, backend, status: 200, number: seen.length + 1 });
  };
  return { seen, see };
}

const told = () => readFragments(dir)[0]?.rows.map(({ tool, operation, backend }) => `${tool} ${operation} ${backend}`);

test("books what the proxy saw of a call on its tool, and what comes late or beside another call too", () => {
  const all: string[] = [];
  const ledger = createLedger(dir, "file:///somewhere/test/scenarios/a.test.ts", (tool, { operation }) => {
    all.push(`${tool} ${operation}`);
  });
  const proxy = witness();
  proxy.see("sts:GetCallerIdentity");
  proxy.see("ec2:DescribeInstances", "1");
  proxy.see("ec2:DescribeInstances", "2");
  proxy.see("ec2:DescribeVpcs", "nobody's");
  ledger.book("instances.list", "1", proxy);
  ledger.book("instances.list", "2", proxy);
  proxy.see("ec2:DescribeImages", "2");
  proxy.see("rds:DescribeDBInstances", "3");
  ledger.book("databases.list", "3", proxy);
  proxy.see("ec2:DescribeInstanceStatus", "1");
  ledger.settle({ result: { state: "pass" } });
  ledger.flush();
  expect(readFragments(dir)[0]?.testFile).toBe("test/scenarios/a.test.ts");
  expect(told()).toEqual([
    "databases.list DescribeDBInstances moto",
    "instances.list DescribeImages moto",
    "instances.list DescribeInstanceStatus moto",
    "instances.list DescribeInstances moto",
  ]);
  expect(all).toHaveLength(5);
});

test("a failed test proves nothing, a passed one does", () => {
  const ledger = createLedger(dir, "test/b.test.ts");
  const proxy = witness();
  proxy.see("ec2:RunInstances", "1");
  ledger.book("a.b", "1", proxy);
  ledger.settle({ result: { state: "fail" } });
  proxy.see("ec2:StopInstances", "2");
  ledger.book("a.b", "2", proxy);
  ledger.settle({ result: { state: "pass" } });
  ledger.flush();
  expect(told()).toEqual(["a.b StopInstances moto"]);
});

test("dropped requests and gaps are no evidence; an injected answer is scripted", () => {
  const ledger = createLedger(dir, "test/c.test.ts");
  const proxy = witness();
  proxy.see("ec2:A", "1", "requestDropped");
  proxy.see("ec2:B", "1", "gap");
  proxy.see("ec2:C", "1", "injected");
  proxy.see("ec2:D", "1", "replyDropped");
  proxy.see("cloudcontrolapi:E", "1", "answered", "scripted");
  ledger.book("a.b", "1", proxy);
  ledger.commit();
  ledger.flush();
  expect(told()).toEqual(["a.b E scripted", "a.b C scripted", "a.b D moto"]);
});

test("the page says who has no evidence, whatever the order of the fragments", () => {
  const row = (tool: string, operation: string, backend: string) => ({ tool, service: "ec2", operation, backend });
  const fragments = [
    { testFile: "1", rows: [row("a.list", "DescribeInstances", "moto"), row("a.list", "RunInstances", "scripted")] },
    { testFile: "2", rows: [row("b.stop", "StopInstances", "scripted"), row("c.try", "X", "sandbox")] },
  ];
  const tools = ["c.try", { name: "b.stop", operations: ["ec2:StopInstances", "ec2:DescribeTags"] }, "a.list"];
  const faults = [
    { service: "ec2", operation: "RunInstances", moto: "launches | again", aws: "one", kind: "wrong" },
    { service: "ecs", operation: "ListServiceDeployments", moto: "missing", aws: "exists", kind: "missing" },
  ] as const;
  const page = renderLedger(fragments, tools, faults);
  expect(page).toBe(renderLedger([...fragments].reverse(), [...tools].reverse(), faults));
  expect(page).toContain("Of 3 tools, 1 have independent evidence, 1 scripted evidence only, 1 none;");
  expect(page).toContain("| a.list | independent | ec2:DescribeInstances | ec2:RunInstances | none |");
  expect(page).toContain("| b.stop | scripted | none | ec2:StopInstances | ec2:DescribeTags |");
  expect(page).toContain("| c.try | none | none | none | none |");
  expect(page).toContain("| ec2:RunInstances | launches \\| again | one |");
  expect(page).toContain("- ecs: ListServiceDeployments");
  expect(() => renderLedger(fragments, ["a.list"], faults)).toThrow("does not exist: b.stop");
});

test("only a run that requires the emulators writes the file", () => {
  const file = join(dir, "COVERAGE.md");
  const before = process.env.REQUIRE_EMULATORS;
  try {
    process.env.REQUIRE_EMULATORS = "";
    expect(settleLedger(file, "one")).toBe("stale");
    process.env.REQUIRE_EMULATORS = "1";
    expect(settleLedger(file, "one")).toBe("written");
    process.env.REQUIRE_EMULATORS = "";
    expect([settleLedger(file, "one"), settleLedger(file, "two")]).toEqual(["current", "stale"]);
    expect(readFileSync(file, "utf8")).toBe("one");
  } finally {
    if (before === undefined) delete process.env.REQUIRE_EMULATORS;
    else process.env.REQUIRE_EMULATORS = before;
  }
});
