// What SECURITY.md says of the window between the last look and the call: every write there is, and no other.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { WRITES } from "../src/aws/writes/index.js";
import { BETWEEN_CALLS, UNDONE_UNSEEN, WINDOWS } from "./interleavings/windows.js";

const text = readFileSync(new URL("../SECURITY.md", import.meta.url), "utf8");
const table = text.slice(text.indexOf("| What is written |")).split("\n\n")[0]!;
const rows = table
  .split("\n")
  .slice(2)
  .map((line) => line.split("|").slice(1, -1))
  .map(([what = "", calls = "", guard = "", remains = ""]) => ({
    what: what.trim(),
    calls: [...calls.matchAll(/`([a-z0-9]+)\.(\w+)`/g)].map(([, service, operation]) => `${service}:${operation}`),
    guard: guard.trim(),
    remains: remains.trim(),
  }));

describe("the windows that remain", () => {
  it("are told of every write, each once, and of nothing that is no write", () => {
    const told = rows.flatMap(({ calls }) => calls);
    expect([...told].sort()).toEqual(Object.keys(WRITES).sort());
  });

  it("have words for what guards and for what remains", () => {
    for (const { what, guard, remains } of rows) {
      expect(guard.length, what).toBeGreaterThan(5);
      expect(remains.length, what).toBeGreaterThan(3);
    }
  });

  it("are those that the judge of the interleavings knows, and of the same calls", () => {
    for (const { operation, row } of WINDOWS) {
      const known = rows.filter(({ remains }) => remains.includes(row)).flatMap(({ calls }) => calls);
      const meant = Object.keys(WRITES).filter((name) => operation.test(name));
      expect(meant.length, row).toBeGreaterThan(0);
      expect([...known].sort(), row).toEqual(meant.sort());
    }
    for (const { row } of [UNDONE_UNSEEN, BETWEEN_CALLS]) {
      expect(rows.filter(({ remains }) => remains.includes(row))).toHaveLength(1);
    }
  });

  it("are none where the judge lets nothing be lost of what it plays", () => {
    const played = /^(ec2:(?!Start|Stop|Reboot|Modify|DeleteSecurityGroup)|cloudcontrol:)/;
    const windowed = Object.keys(WRITES).filter((name) => WINDOWS.some(({ operation }) => operation.test(name)));
    for (const { calls, remains } of rows) {
      for (const call of calls.filter((one) => played.test(one) && !windowed.includes(one))) {
        expect(remains, call).toMatch(/^none|answers a create with what is there/);
      }
    }
  });
});
