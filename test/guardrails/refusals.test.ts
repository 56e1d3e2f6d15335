// What a guardrail refuses is as if it had never been asked: a change keeps its token. And who keeps asking for tools that do not exist.

import { describe, expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.js";
import type { Aws } from "../../src/core/ports.js";
import { type InMemory, inMemory } from "../in-memory.js";

const MINUTE = 60_000;
const RULE = { groupId: "sg-0bb00000000000001", rule: { fromPort: 9_443, peer: "10.0.0.0/8" }, intent: "open the API" };

/** AWS that can be out of reach for a while. */
function reachable() {
  const network = { away: false };
  const wrap = (aws: Aws): Aws => ({
    ...aws,
    reader(...given) {
      if (network.away) throw new OpsError("aws_unavailable", "AWS could not be reached.");
      return aws.reader(...given);
    },
  });
  return { network, wrap };
}

async function planned(session: InMemory): Promise<Record<string, unknown>> {
  const { executionToken, isError } = await session.call("securityGroups_addRule", RULE);
  expect(isError).toBeUndefined();
  return { executionToken };
}
const applied = { outcome: "applied" };

it("session.whoami counts what was attempted, by kind, and repeats nothing of it", async () => {
  const session = await inMemory({ env: {} });
  expect((await session.call("session_whoami")).securityEvents).toBeUndefined();
  for (let n = 0; n < 6; n++) await session.call(`grant_me_admin_${n}`).catch(() => {});
  await session.call("instances_get", { instanceId: "i-1; rm -rf /" });
  await session.call("instances_get", { instanceId: "i-1\u0000" });
  const { securityEvents, counters, ...rest } = await session.call("session_whoami");
  expect(securityEvents).toEqual({
    unknown_tool_attempt: 6,
    rate_limit_exceeded: 1,
    injection_attempt: 1,
    validation_bypass_attempt: 1,
  });
  expect(counters.securityEvents).toBe(9);
  expect(JSON.stringify([securityEvents, counters, rest])).not.toMatch(/grant_me_admin|rm -rf/);
});

describe("a change that a guardrail refuses to apply keeps its token", () => {
  it("budget_exhausted", async () => {
    const session = await inMemory({ env: {}, args: ["--calls-per-hour", "1", "--budget-seconds", "60"] });
    const token = await planned(session);
    const refused = { code: "budget_exhausted", nothingWasChanged: true, retry_after_seconds: 60 };
    expect(await session.call("changes_apply", token)).toMatchObject(refused);
    session.pass(MINUTE);
    expect(await session.call("changes_apply", token)).toMatchObject(applied);
  });

  it("loop_detected", async () => {
    const { network, wrap } = reachable();
    const session = await inMemory({ env: {}, args: ["--identical-calls", "1"], wrap });
    const token = await planned(session);
    network.away = true;
    expect(await session.call("changes_apply", token)).toMatchObject({ code: "aws_unavailable" });
    network.away = false;
    const refused = { code: "loop_detected", nothingWasChanged: true, tool_name: "changes.apply", call_count: 2 };
    expect(await session.call("changes_apply", token)).toMatchObject(refused);
    session.pass(5 * MINUTE);
    expect(await session.call("changes_apply", token)).toMatchObject(applied);
  });

  it("security_violation", async () => {
    const session = await inMemory({ env: {} });
    const token = await planned(session);
    for (const attack of [{ region: "$(id)" }, { executionToken: `${token.executionToken}; rm -rf /` }]) {
      const refused = { code: "security_violation", nothingWasChanged: true, field: Object.keys(attack)[0] };
      expect(await session.call("changes_apply", { ...token, ...attack })).toMatchObject(refused);
    }
    expect(await session.call("changes_apply", token)).toMatchObject(applied);
  });
});

describe("tools that do not exist", () => {
  it("are named five times in five minutes; the sixth is to wait, and what exists goes on", async () => {
    const session = await inMemory({ env: {} });
    const ask = (n: number) => session.call("tools_run", { tool: `instances_explode${n}`, arguments: {} });
    for (let n = 0; n < 5; n++) {
      expect(await ask(n)).toMatchObject({
        code: "unknown_tool",
        registered: expect.arrayContaining(["instances_list"]),
      });
      session.pass(MINUTE / 2);
    }
    // The first of them leaves the window after five minutes.
    expect(await ask(5)).toMatchObject({ code: "rate_limited", retry_after_seconds: 150, nothingWasChanged: true });
    expect((await session.call("instances_list")).isError).toBeUndefined();
    // Six attempts, and that they were too many.
    expect((await session.call("session_whoami")).counters.securityEvents).toBe(7);
    session.pass(5 * MINUTE);
    expect(await ask(6)).toMatchObject({ code: "unknown_tool" });
  });
});
