// The published budget diagram, story by story, through a real MCP client on the app; its Redis is one that fails.

import { describe, expect } from "vitest";
import { memoryMeters, redisMeters } from "../../src/meters.js";
import { inMemory } from "../in-memory.js";
import { teller } from "./diagrams.js";

const HOUR = 3_600_000;
const ARGS = ["--calls-per-hour", "5"];
const loops = { identical: 0, windowSeconds: 300 };
const budget = { calls: 5, windowSeconds: 3_600 };
const clock = { monotonic: () => 0 };

describe("the budget diagram", () => {
  const tell = teller("budget");

  tell("the first call begins a window of an hour", async () => {
    const session = await inMemory({ args: ARGS });
    expect((await session.call("session_whoami")).budget).toMatchObject({ used: 1, max: 5, resetsInSeconds: 3_600 });
  });

  tell("a call runs and is counted", async () => {
    const session = await inMemory({ args: ARGS });
    const answer = await session.call("instances_list");
    expect(answer.isError).toBeUndefined();
    expect(answer.budget).toBeUndefined();
    expect((await session.call("session_whoami")).budget.used).toBe(2);
  });

  tell("from 80 % on the answer says what is left", async () => {
    const session = await inMemory({ args: ARGS });
    for (let n = 0; n < 4; n++) expect((await session.call("instances_list")).budget).toBeUndefined();
    expect((await session.call("instances_list")).budget).toMatchObject({ used: 5, remaining: 0, percent: 100 });
  });

  tell("refused until the hour is over, not longer", async () => {
    const session = await inMemory({ args: ARGS });
    for (let n = 0; n < 5; n++) await session.call("instances_list");
    const refused = { isError: true, code: "budget_exhausted", current_usage: 5, limit: 5 };
    expect(await session.call("instances_list")).toMatchObject({ ...refused, retry_after_seconds: 3_600 });
    session.pass(HOUR - 1);
    expect(await session.call("instances_list")).toMatchObject({ ...refused, retry_after_seconds: 1 });
    session.pass(1);
    expect((await session.call("session_whoami")).budget).toMatchObject({ used: 1, remaining: 4 });
  });

  tell("a window that is over leaves nothing behind", async () => {
    let now = 0;
    const meters = memoryMeters({ budget, loops, clock: { monotonic: () => now } });
    await meters.spend();
    now = HOUR;
    expect(await meters.standing()).toEqual({ used: 0, msLeft: 0 });
  });

  tell("without Redis this process counts on", async () => {
    const redis = { send: () => Promise.reject(new Error("away")), close() {} };
    const meters = redisMeters({ budget, loops, clock, redis, session: "s", ids: { uuid: () => "" }, log: () => {} });
    for (let n = 0; n < 5; n++) expect(await meters.spend()).toMatchObject({ allowed: true, used: n + 1 });
    expect(await meters.spend()).toMatchObject({ allowed: false });
  });

  tell("a write whose answer is lost is counted here all the same", async () => {
    let calls = 0;
    const redis = {
      send: async () => {
        if (++calls > 1) throw new Error("no answer");
        return [1, 4, HOUR];
      },
      close() {},
    };
    const meters = redisMeters({ budget, loops, clock, redis, session: "s", ids: { uuid: () => "" }, log: () => {} });
    await meters.spend();
    expect(await meters.spend()).toMatchObject({ allowed: true, used: 5 });
    expect(await meters.spend()).toMatchObject({ allowed: false, used: 5 });
  });
});
