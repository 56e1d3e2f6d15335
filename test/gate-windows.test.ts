// What SECURITY.md says of the window between the last look and the call: every write there is, and no other.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { WRITES } from "../src/aws/writes/index.js";
import { isObject, type Json, type JsonObject } from "../src/core/json.js";
import { DeploymentAccount } from "./deployments/account.js";
import { PIPELINE } from "./deployments/party.js";
import { inMemory } from "./in-memory.js";
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

// The judge of the interleavings plays no ECS: what is sent there is held to the row here, and each part of it to its guard.
describe("what an ECS deployment sends", () => {
  const row = rows.find(({ calls }) => calls.includes("ecs:UpdateService"))!;
  /** The words of the row for each part of the call but the name of the service. */
  const SAID: Readonly<Record<string, string>> = {
    taskDefinition: "only the task definition of the plan is sent",
    deploymentConfiguration: "where it asks for another strategy the service's deployment configuration as well",
  };
  const CONFIGURATION: JsonObject = {
    maximumPercent: 200,
    minimumHealthyPercent: 100,
    strategy: "ROLLING",
    bakeTimeInMinutes: 5,
    deploymentCircuitBreaker: { enable: true, rollback: true },
    alarms: { alarmNames: ["errors"], enable: true, rollback: true },
  };

  async function story() {
    const account = new DeploymentAccount();
    const { ecs } = account;
    const service = ecs.serve("prod", "api", ecs.define("api", { web: "api:1" }), PIPELINE, { shiftsTraffic: true });
    ecs.deploy("prod", "api", ecs.define("api", { web: "api:2" }), PIPELINE);
    service.configuration = { ...CONFIGURATION };
    account.script.pass(7_200);
    const session = await inMemory({ wrap: (_, clock) => account.aws(clock) });
    const { revision } = await session.call("deployments_get", { service: "prod/api" });
    return {
      service,
      plan: (tool: string, more: object) =>
        session.call(`deployments_${tool}`, { service: "prod/api", basedOn: revision, intent: "release", ...more }),
      apply: ({ executionToken }: { executionToken: string }) => session.call("changes_apply", { executionToken }),
      sent: () => account.writes("UpdateService").map(({ input }) => input as JsonObject),
      close: () => session.close(),
    };
  }

  const PLANS = [
    ["create", { version: "3" }],
    ["create", { version: "api:1" }],
    ["rollback", { to: "previous" }],
  ] as const;

  it.each(PLANS)("by deployments.%s %j is what the row says, and what it says is sent", async (tool, wanted) => {
    for (const strategy of [undefined, "rolling", "canary"]) {
      const { plan, apply, sent, close } = await story();
      const applied = await apply(await plan(tool, { ...wanted, ...(strategy && { strategy }) }));
      expect(applied.outcome, JSON.stringify(applied)).toBe("applied");
      const [{ cluster, service, ...parts } = {}, ...more] = sent();
      expect([cluster, service, more]).toEqual(["prod", expect.stringContaining("prod/api"), []]);
      const expected = ["taskDefinition", ...(strategy === "canary" ? ["deploymentConfiguration"] : [])];
      expect(Object.keys(parts).sort()).toEqual(expected.sort());
      for (const part of expected) expect(row.guard).toContain(SAID[part]);
      if (strategy === "canary") {
        expect(parts.deploymentConfiguration).toEqual({ ...CONFIGURATION, strategy: "CANARY" });
      }
      await close();
    }
  });

  it("repeats nothing of the service that somebody else could have changed unseen", async () => {
    expect(row.guard).toContain("has to be as it was seen");
    const { plan, apply, sent, close } = await story();
    await apply(await plan("create", { version: "api:1", strategy: "canary" }));
    const configuration = sent()[0]!.deploymentConfiguration as JsonObject;
    await close();
    const leaves = leavesOf(configuration);
    expect(leaves).toHaveLength(9);
    for (const path of leaves) {
      const theirs = await story();
      const planned = await theirs.plan("create", { version: "api:1", strategy: "canary" });
      theirs.service.configuration = otherAt(CONFIGURATION, path) as Record<string, unknown>;
      const refused = await theirs.apply(planned);
      expect(refused.code, path.join("/")).toBe("stale_revision");
      expect(theirs.sent(), path.join("/")).toEqual([]);
      await theirs.close();
    }
  });
});

const leavesOf = (value: Json, at: readonly string[] = []): readonly (readonly string[])[] =>
  isObject(value) ? Object.entries(value).flatMap(([name, member]) => leavesOf(member, [...at, name])) : [at];

/** The same with something else at a path. */
function otherAt(value: JsonObject, [name = "", ...rest]: readonly string[]): JsonObject {
  const member = value[name]!;
  const other = isObject(member)
    ? otherAt(member, rest)
    : typeof member === "boolean"
      ? !member
      : typeof member === "number"
        ? member + 1
        : Array.isArray(member)
          ? [...member, "latency"]
          : "BLUE_GREEN";
  return { ...value, [name]: other };
}
