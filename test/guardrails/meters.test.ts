// Budget and loops as counters: the window, the warning, the slide, and a Redis that fails at every moment.

import { describe, expect, it } from "vitest";
import { budgetDecision, budgetStatus, isLoop, mostIdentical } from "../../policies/guardrails.js";
import { memoryMeters, redisMeters } from "../../src/meters.js";
import { RedisAway } from "../../src/redis.js";

const budget = { calls: 10, windowSeconds: 3_600 };
const loops = { identical: 3, windowSeconds: 300 };

function clockOf() {
  let now = 1_000;
  return {
    monotonic: () => now,
    pass: (seconds: number) => {
      now += seconds * 1_000;
    },
  };
}

describe("the budget", () => {
  it.each([
    [0, { allow: true, warn: false }],
    [79, { allow: true, warn: false }],
    [80, { allow: true, warn: true }],
    [99, { allow: true, warn: true }],
    [100, { allow: false }],
    [101, { allow: false }],
  ])("%i calls before this one of 100", (before, decision) => {
    expect(budgetDecision(before, { calls: 100, windowSeconds: 60 })).toEqual(decision);
  });

  it("0 limits nothing", () => {
    expect(budgetDecision(1_000_000, { calls: 0, windowSeconds: 60 })).toEqual({ allow: true, warn: false });
  });

  it("says how it stands with two decimals, and never to wait for 0 seconds while it refuses", () => {
    expect(budgetStatus({ used: 1, msLeft: 1 }, { calls: 3, windowSeconds: 60 })).toEqual({
      used: 1,
      max: 3,
      remaining: 2,
      percent: 33.33,
      exhausted: false,
      resetsInSeconds: 1,
    });
  });

  it("its window is fixed from the first call, not renewed by later ones, and begins anew when it is over", async () => {
    const clock = clockOf();
    const meters = memoryMeters({ budget, loops, clock });
    expect(await meters.standing()).toEqual({ used: 0, msLeft: 0 });
    await meters.spend();
    clock.pass(3_000);
    for (let n = 0; n < 9; n++) expect(await meters.spend()).toMatchObject({ allowed: true });
    const refused = await meters.spend();
    expect(refused).toMatchObject({ allowed: false, used: 10, msLeft: 600_000 });
    clock.pass(599);
    expect(await meters.spend()).toMatchObject({ allowed: false, used: 10 });
    clock.pass(1);
    expect(await meters.spend()).toMatchObject({ allowed: true, used: 1, msLeft: 3_600_000 });
  });
});

describe("a loop", () => {
  it("is the fourth identical call within the window, which slides; a refused attempt counts", async () => {
    const clock = clockOf();
    const meters = memoryMeters({ budget, loops, clock });
    const seen: number[] = [];
    for (const at of [0, 100, 100, 50, 60]) {
      clock.pass(at);
      seen.push(await meters.attempt("instances.list", "a"));
    }
    // At 310 s the first has left the window.
    expect(seen).toEqual([1, 2, 3, 4, 4]);
    expect(seen.map((count) => isLoop("instances.list", count, loops))).toEqual([false, false, false, true, true]);
    expect(await meters.attempt("instances.list", "b")).toBe(1);
    await meters.forget(["instances.list"]);
    expect(await meters.attempt("instances.list", "a")).toBe(1);
  });

  it("polling has a limit of its own", () => {
    expect(mostIdentical("changes.get", loops)).toBe(30);
    expect(isLoop("operations.get", 30, loops)).toBe(false);
    expect(isLoop("operations.get", 31, loops)).toBe(true);
    expect(isLoop("changes.get", 1_000, { ...loops, identical: 0 })).toBe(false);
  });
});

/** Redis as far as the budget's script uses it. `lose`: it does as told, and the answer does not arrive. */
function fakeRedis(clock: { monotonic(): number }) {
  const held = new Map<string, { value: number; until: number }>();
  let mode: "well" | "away" | "lose" = "well";
  return {
    set(next: typeof mode) {
      mode = next;
    },
    flush: () => held.clear(),
    async send(...words: readonly string[]) {
      if (mode === "away") throw new Error("away");
      if (words[0] !== "EVAL") return 0;
      const key = words[3]!;
      const [max = 0, window = 0, base = 0, extra = 0, known = 0, take = 0] = words.slice(4).map(Number);
      const now = clock.monotonic();
      const entry = held.get(key);
      const there = entry && entry.until > now ? entry : null;
      let counted = Math.max(there?.value ?? 0, base) + extra;
      let left = there ? there.until - now : known;
      if (left <= 0) {
        counted = 0;
        left = window;
      }
      const allowed = take === 1 && (max === 0 || counted < max) ? 1 : 0;
      counted += allowed;
      if (counted > 0) held.set(key, { value: counted, until: now + left });
      if (mode === "lose") throw new Error("no answer");
      return [allowed, counted, counted > 0 ? left : 0];
    },
    close() {},
  };
}

describe("a shared budget whose Redis fails", () => {
  const two = () => {
    const clock = clockOf();
    const redis = fakeRedis(clock);
    const one = () =>
      redisMeters({ budget, loops, clock, redis, session: "team", ids: { uuid: () => "id" }, log: () => {} });
    return { clock, redis, a: one(), b: one() };
  };

  it("goes on from what it last saw, in the same window: the gate never opens", async () => {
    const { clock, redis, a } = two();
    for (let n = 0; n < 8; n++) await a.spend();
    clock.pass(1_800);
    redis.set("away");
    expect(await a.spend()).toMatchObject({ allowed: true, used: 9, warn: true, msLeft: 1_800_000 });
    expect(await a.spend()).toMatchObject({ allowed: true, used: 10 });
    expect(await a.spend()).toMatchObject({ allowed: false, used: 10 });
    clock.pass(1_800);
    expect(await a.spend()).toMatchObject({ allowed: true, used: 1 });
  });

  it.each(["kept", "lost"] as const)(
    "adds what each counted meanwhile when it is back and has %s what it held",
    async (what) => {
      const { redis, a, b } = two();
      for (let n = 0; n < 2; n++) await a.spend();
      for (let n = 0; n < 2; n++) await b.spend();
      await a.standing();
      redis.set("away");
      await a.spend();
      await a.spend();
      await b.spend();
      if (what === "lost") redis.flush();
      redis.set("well");
      expect(await a.standing()).toMatchObject({ used: 6 });
      expect(await b.standing()).toMatchObject({ used: 7 });
      expect(await a.spend()).toMatchObject({ allowed: true, used: 8 });
    },
  );

  it("an answer that does not arrive counts a call twice rather than not at all", async () => {
    const { redis, a } = two();
    await a.spend();
    redis.set("lose");
    expect(await a.spend()).toMatchObject({ allowed: true });
    redis.set("well");
    expect((await a.standing()).used).toBeGreaterThanOrEqual(2);
  });

  it("many at once add what was counted alone only once", async () => {
    const { redis, a } = two();
    redis.set("away");
    await a.spend();
    redis.set("well");
    await Promise.all(Array.from({ length: 5 }, () => a.spend()));
    expect(await a.standing()).toMatchObject({ used: 6 });
  });
});

it("a Redis that refuses the script alone is told of once, and again when it stops and starts anew", async () => {
  const lines: string[] = [];
  let answer: () => Promise<unknown> = async () => [1, 1, 1_000];
  const meters = redisMeters({
    ...{ budget, loops, clock: clockOf(), session: "team", ids: { uuid: () => "id" } },
    redis: { send: () => answer(), close() {} },
    log: (level, message, facts) => void lines.push(`${level} ${message.split(":")[0]} ${facts?.why ?? ""}`.trim()),
  });
  await meters.spend();
  answer = () => Promise.reject(new Error("ERR unknown command 'EVAL'"));
  for (let n = 0; n < 3; n++) expect(await meters.spend()).toMatchObject({ allowed: true, used: n + 2 });
  await meters.attempt("instances.list", "a");
  await meters.standing();
  expect(lines).toEqual(["warn Redis refuses to count ERR unknown command 'EVAL'"]);
  answer = async () => [1, 5, 1_000];
  await meters.spend();
  // Its connection has said that it is away; the meters add nothing.
  answer = () => Promise.reject(new RedisAway("away"));
  await meters.spend();
  answer = () => Promise.reject(new Error("BUSY"));
  await meters.spend();
  expect(lines.slice(1)).toEqual(["info Redis counts again", "warn Redis refuses to count BUSY"]);
});
