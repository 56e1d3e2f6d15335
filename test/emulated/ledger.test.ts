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
  const see = (call: string, fate: Fate = "answered", backend = "moto") => {
    const [service = "", operation = ""] = call.split(":");
    const wire = {
      region: "eu-west-1",
      accessKeyId: "",
      protocol: "json",
      params: {},
      invocation: undefined,
      attempt: 1,
    } as const;
    seen.push({ ...wire, service, operation, fate, backend, status: 200, number: seen.length + 1 });
  };
  return { seen, see };
}

test("attributes what the proxy saw to the tool under call", async () => {
  const ledger = createLedger(dir, "file:///somewhere/test/scenarios/a.test.ts");
  const proxy = witness();
  proxy.see("sts:GetCallerIdentity");
  await ledger.during("instances.list", proxy, async () => proxy.see("ec2:DescribeInstances"));
  await ledger.during("instances.list", proxy, async () => proxy.see("ec2:DescribeInstances"));
  proxy.see("ec2:DescribeVpcs");
  ledger.commit();
  ledger.flush();
  expect(readFragments(dir)).toEqual([
    {
      testFile: "test/scenarios/a.test.ts",
      rows: [{ tool: "instances.list", service: "ec2", operation: "DescribeInstances", backend: "moto" }],
    },
  ]);
});

test("a failed test proves nothing, a passed one does; the tool's own error does not matter", async () => {
  const ledger = createLedger(dir, "test/b.test.ts");
  const proxy = witness();
  await ledger.during("a.b", proxy, async () => proxy.see("ec2:RunInstances"));
  ledger.settle({ result: { state: "fail" } });
  const failing = ledger.during("a.b", proxy, async () => {
    proxy.see("ec2:StopInstances");
    throw new Error("refused");
  });
  await expect(failing).rejects.toThrow("refused");
  ledger.settle({ result: { state: "pass" } });
  ledger.flush();
  expect(readFragments(dir)[0]?.rows.map(({ operation }) => operation)).toEqual(["StopInstances"]);
});

test("dropped requests and gaps are no evidence; an injected answer is scripted", async () => {
  const ledger = createLedger(dir, "test/c.test.ts");
  const proxy = witness();
  await ledger.during("a.b", proxy, async () => {
    proxy.see("ec2:A", "requestDropped");
    proxy.see("ec2:B", "gap");
    proxy.see("ec2:C", "injected");
    proxy.see("ec2:D", "replyDropped");
    proxy.see("cloudcontrolapi:E", "answered", "scripted");
  });
  ledger.commit();
  ledger.flush();
  expect(readFragments(dir)[0]?.rows.map(({ operation, backend }) => `${operation} ${backend}`)).toEqual([
    "E scripted",
    "C scripted",
    "D moto",
  ]);
});

test("two tools at once on one proxy are attributed to neither", async () => {
  const ledger = createLedger(dir, "test/d.test.ts");
  const proxy = witness();
  await ledger.during("a.b", proxy, () => ledger.during("c.d", proxy, async () => proxy.see("ec2:A")));
  await ledger.during("a.b", proxy, async () => proxy.see("ec2:B"));
  ledger.commit();
  ledger.flush();
  expect(readFragments(dir)[0]?.rows.map(({ tool, operation }) => `${tool} ${operation}`)).toEqual(["a.b B"]);
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
