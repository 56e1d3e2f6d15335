// Two servers on one real Redis: one budget to the call, loops seen across them, an outage survived, caches beside it untouched.

import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { createRedis, redisCache } from "../../src/redis.js";
import { type Assistant, startAssistant } from "../harness.js";
import { redisFor } from "./redis-server.js";

const server = await redisFor("guardrails shared through Redis");
afterAll(() => server?.close());

const CALLS = 100;
const started: Assistant[] = [];
async function start(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<Assistant> {
  const assistant = await startAssistant({
    args: ["--sandbox", "--session", "team-a", "--calls-per-hour", String(CALLS), "--log-level", "info", ...args],
    env: { REDIS_URL: server!.url, ...env },
  });
  started.push(assistant);
  return assistant;
}
afterAll(() => Promise.all(started.map((one) => one.close())));

/** Calls of different arguments, all at once. */
const ask = (assistant: Assistant, count: number) =>
  Promise.all(Array.from({ length: count }, (_, n) => assistant.call("session_seen", { limit: n + 1 })));
const allowed = (answers: readonly { readonly isError: boolean }[]) => answers.filter(({ isError }) => !isError).length;
const budgetOf = async (assistant: Assistant) => (await assistant.call("session_whoami")).data.budget;
const KEY = "aws-devops-mcp:budget:{team-a}";

describe.skipIf(!server)("guardrails on Redis", () => {
  beforeEach(() => {
    server!.cli("FLUSHALL");
  });

  it("two servers share one budget exactly: of 200 calls at once 100 are allowed", async () => {
    const [a, b] = await Promise.all([start(), start()]);
    const answers = (await Promise.all([ask(a, 100), ask(b, 100)])).flat();
    expect(allowed(answers)).toBe(CALLS);
    expect(server!.cli("GET", KEY)).toBe(String(CALLS));
    const refused = answers.find(({ isError }) => isError)!;
    expect(refused.data).toMatchObject({
      code: "budget_exhausted",
      error_type: "budget_exhausted",
      session_id: "team-a",
      current_usage: CALLS,
      limit: CALLS,
    });
    // Really left: what Redis says, and not the window anew.
    const left = Number(server!.cli("PTTL", KEY)) / 1_000;
    expect(Math.abs(refused.data.retry_after_seconds - left)).toBeLessThan(30);
    // A third one has nothing either, and another session has everything.
    expect(allowed(await ask(await start(), 1))).toBe(0);
    expect(allowed(await ask(await start(["--session", "team-b"]), 1))).toBe(1);
  });

  it("survives its end and its start: nobody gets more meanwhile, and nothing is forgotten", async () => {
    const [a, b] = await Promise.all([start(), start()]);
    expect(allowed(await ask(a, 40))).toBe(40);
    expect(allowed(await ask(b, 40))).toBe(40);
    await server!.stop();
    // Each knows of what it last saw: 40 of its own, and 80 where it asked last.
    expect(allowed(await ask(b, 40))).toBe(20);
    expect(b.stderr().match(/Redis is away/g)).toHaveLength(1);
    await server!.start();
    const back = async (one: Assistant) => {
      while (!one.stderr().includes("Redis is back")) {
        await one.call("session_seen", { limit: 1 });
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await back(b);
    await b.call("session_seen", { limit: 2 });
    // What the restart lost is there again, from what the servers knew.
    expect(server!.cli("GET", KEY)).toBe(String(CALLS));
    expect(allowed(await ask(a, 10))).toBe(0);
    expect(a.stderr()).toContain("Redis is back");
  });

  it("a loop is seen across servers, and forgotten when a change makes the answer stale", async () => {
    const [a, b] = await Promise.all([start(["--identical-calls", "3"]), start(["--identical-calls", "3"])]);
    const list = (one: Assistant) => one.call("instances_list", { limit: 7 });
    expect([await list(a), await list(b), await list(a)].map(({ isError }) => isError)).toEqual([false, false, false]);
    expect((await list(b)).data).toMatchObject({ code: "loop_detected", tool_name: "instances.list", max_calls: 3 });
    const plan = await a.call("instances_launch", {
      ...{ imageId: "ami-0cc00000000000001", instanceType: "t3.micro", count: 1 },
      intent: "one more",
    });
    expect(plan.isError, plan.text[0]).toBe(false);
    expect((await a.call("changes_apply", { executionToken: plan.data.executionToken })).isError).toBe(false);
    expect((await list(b)).isError).toBe(false);
  });

  it("says how the shared budget stands, which counts whoever asks", async () => {
    const [a, b] = await Promise.all([start(), start()]);
    await ask(a, 3);
    expect(await budgetOf(b)).toMatchObject({ sessionId: "team-a", used: 4, max: 100, remaining: 96, percent: 4 });
  });

  it("that refuses to count is told of once; the server counts alone until it does again", async () => {
    const one = await start();
    server!.cli("LPUSH", KEY, "somebody else's");
    expect(allowed(await ask(one, 3))).toBe(3);
    expect(one.stderr().match(/Redis refuses to count/g)).toHaveLength(1);
    expect(one.stderr()).not.toContain("Redis is away");
    server!.cli("DEL", KEY);
    expect(await budgetOf(one)).toMatchObject({ used: 4 });
    expect(one.stderr()).toContain("Redis counts again");
    expect(server!.cli("GET", KEY)).toBe("4");
  });

  it("takes its password from a variable, where it stands in no url that a list of processes shows", async () => {
    const word = "a word of ours";
    server!.cli("CONFIG", "SET", "requirepass", word);
    try {
      const [without, given] = await Promise.all([start(), start([], { REDIS_PASSWORD: word })]);
      await Promise.all([ask(without, 2), ask(given, 3)]);
      expect(server!.cli("-a", word, "--no-auth-warning", "GET", KEY)).toBe("3");
      expect(without.stderr()).toContain("NOAUTH");
      expect(given.stderr()).not.toMatch(/Redis is away|a word of ours/);
    } finally {
      server!.cli("-a", word, "--no-auth-warning", "CONFIG", "SET", "requirepass", "");
    }
  });

  it("a cache's keys go by their prefix, letter for letter, and nothing else goes with them", async () => {
    const redis = createRedis({
      url: server!.url,
      clock: {
        monotonic: () => performance.now(),
        sleep: (_, signal) => new Promise((_r, no) => signal?.addEventListener("abort", no)),
      },
      log: () => {},
    });
    const store = redisCache(redis);
    server!.cli("SET", KEY, "5");
    await store.set("costs:1*2:a", "x", 60);
    await store.set("costs:112:b", "y", 60);
    for (let n = 0; n < 1_200; n++) await store.set(`costs:1*2:${n}`, "z", 60);
    await store.deletePrefix("costs:1*2:");
    expect(await store.get("costs:1*2:a")).toBeNull();
    expect(await store.get("costs:1*2:1199")).toBeNull();
    expect(await store.get("costs:112:b")).toBe("y");
    expect(server!.cli("GET", KEY)).toBe("5");
    expect(Number(server!.cli("TTL", "aws-devops-mcp:cache:costs:112:b"))).toBeGreaterThan(50);
    redis.close();
  });
});
