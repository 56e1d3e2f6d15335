// The defaults of production: an hour of an assistant's ordinary work is not in the way of anything, and the 101st call is.

import { expect, it } from "vitest";
import { inMemory } from "../in-memory.js";

const SECONDS = 1_000;
const PROD = "sg-0bb00000000000001";
const OFFICE = "sg-0bb00000000000002";

it("an ordinary hour is not blocked; its 101st call is, until the hour is over", async () => {
  // No variable, no flag: whoever installs this gets just these limits.
  const session = await inMemory({ env: {} });
  let calls = 0;
  let began = 0;
  const call = async (tool: string, args: Record<string, unknown> = {}) => {
    session.pass(15 * SECONDS);
    const answer = await session.call(tool, args);
    calls++;
    if (calls === 1) began = Date.parse(answer.asOf);
    expect(answer.isError, `${calls}: ${tool} ${JSON.stringify(answer).slice(0, 300)}`).toBeUndefined();
    return answer;
  };
  expect((await call("session_whoami")).budget).toMatchObject({ used: 1, max: 100 });
  // A look around.
  const { instances } = await call("instances_list");
  for (const { instanceId } of instances) await call("instances_get", { instanceId });
  await call("securityGroups_list");
  for (const groupId of [PROD, OFFICE]) await call("securityGroups_get", { groupId });
  for (const query of ["security group rule", "restart an instance"]) await call("tools_search", { query });

  // The same group planned, changed and read again four times in few minutes, while somebody else changes it too.
  for (let round = 0; round < 4; round++) {
    await session.outsider.allow(PROD, 8_000 + round, "10.0.0.0/8");
    const { staleNotices } = await call("instances_list", { limit: 5 + round });
    expect(staleNotices[0].readAgainWith).toEqual({ tool: "securityGroups_get", arguments: { groupId: PROD } });
    const { securityGroup } = await call("securityGroups_get", { groupId: PROD });
    expect(securityGroup.rules).toContainEqual(expect.objectContaining({ fromPort: 8_000 + round }));
    const rule = { fromPort: 9_000 + round, peer: "10.0.0.0/8" };
    const plan = await call("securityGroups_addRule", { groupId: PROD, rule, intent: "open the API to the office" });
    await call("changes_apply", { executionToken: plan.executionToken });
    await call("securityGroups_get", { groupId: PROD });
    await call("changes_get", { changeId: plan.change.changeId });
  }

  // A launch, polled with the same words for five minutes.
  const launch = { imageId: "ami-0cc00000000000001", instanceType: "t3.micro", count: 1, intent: "one more worker" };
  const plan = await call("instances_launch", launch);
  await call("changes_apply", { executionToken: plan.executionToken });
  for (let poll = 0; poll < 20; poll++) await call("changes_get", { changeId: plan.change.changeId });
  await call("instances_list");
  expect(calls).toBe(58);

  // More of it, to the last call; from 80 on the answers say what is left.
  const warned = [];
  while (calls < 100) {
    const { budget } = await call("session_seen", { limit: calls });
    if (budget) warned.push(budget.used);
  }
  expect(warned).toEqual(Array.from({ length: 20 }, (_, n) => 81 + n));
  session.pass(15 * SECONDS);
  const refused = await session.call("session_seen", { limit: 1 });
  const left = 3_600 - (Date.parse(refused.timestamp) - began) / SECONDS;
  expect(left).toBeGreaterThan(1_500);
  expect(refused).toMatchObject({
    ...{ isError: true, code: "budget_exhausted", nothingWasChanged: true },
    ...{ current_usage: 100, limit: 100, retry_after_seconds: left },
  });
  session.pass(left * SECONDS - 1);
  expect(await session.call("session_seen", { limit: 1 })).toMatchObject({ isError: true, retry_after_seconds: 1 });
  session.pass(1);
  expect((await session.call("session_whoami")).budget).toMatchObject({ used: 1, remaining: 99 });
});

it("the fourth identical call within five minutes is refused where nothing changed, and costs its call", async () => {
  const session = await inMemory({ env: {} });
  for (let n = 0; n < 3; n++) expect((await session.call("instances_list")).isError).toBeUndefined();
  expect(await session.call("instances_list")).toMatchObject({ code: "loop_detected", call_count: 4, max_calls: 3 });
  expect((await session.call("session_whoami")).budget.used).toBe(5);
});
