// The cache: whose answer a key is, what a change makes stale, what is said of an answer, and what memory holds.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cacheKey, createCache, memoryCache } from "../src/cache.js";
import type { Change, Operation, State } from "../src/core/change.js";
import type { CacheStore, DataClass, Loaded } from "../src/core/ports.js";
import { emptyState } from "../state/fold.js";

const ARN = "arn:aws:iam::123456789012:user/ada";
const scope = { account: "123456789012", arn: ARN };
const START = Date.parse("2026-11-21T10:00:00Z");
const iso = (seconds: number): string => new Date(START + seconds * 1_000).toISOString();

function bench(store?: CacheStore) {
  let now = START;
  const clock = { now: () => new Date(now), monotonic: () => now, sleep: async () => {} };
  const kept = store ?? memoryCache(clock);
  const cache = createCache({
    store: kept,
    clock,
    log: () => {},
    ttlSeconds: { compliance: 3_600, costs: 3_600, schemas: 3_600, regions: 3_600, prices: 3_600 },
    madeStaleBy: (tool) => (tool === "instances.launch" ? ["instances.*", "costs.*"] : ["securityGroups.**"]),
  });
  const pass = (seconds: number) => {
    now += seconds * 1_000;
  };
  return { cache, pass };
}

const load = (value: number) => async (): Promise<Loaded<number>> => ({ value, whole: true });

/** A state with one operation of a change by this tool. */
function recorded(tool: string, operation: Partial<Operation>, account = scope.account): State {
  const changeId = "chg-1";
  return {
    ...emptyState("store", iso(0), ""),
    changes: new Map([[changeId, { id: changeId, tool, account } as Change]]),
    operations: new Map([["op-1", { id: "op-1", changeId, intentAt: iso(0), ...operation } as Operation]]),
  };
}

it("a scan of tags is outdated by whatever makes, ends or changes what it scans", async () => {
  const { cache, pass } = bench();
  const ask = (state?: State) =>
    cache.forCall({ ...scope, ...(state && { state }) }).cached("compliance", { ask: {} }, load(1));
  await ask();
  pass(10);
  expect((await ask()).source).toBe("cache");
  expect((await ask(recorded("instances.launch", { state: "succeeded", settledAt: iso(5) }))).source).toBe("live");
});

describe("a key", () => {
  const words = fc.uniqueArray(fc.string({ maxLength: 8 }), { maxLength: 6 });

  it("is free of the order of sets and of repetition in them, and of the order of members", () => {
    fc.assert(
      fc.property(words, words, fc.string(), fc.infiniteStream(fc.nat()), (types, regions, filter, order) => {
        const shuffled = (list: readonly string[]) =>
          [...list, ...list.slice(0, 1)]
            .map((item) => [order.next().value, item] as const)
            .sort(([a], [b]) => a - b)
            .map(([, item]) => item);
        const one = { ask: { filter, severity: "all" }, sets: { types, regions } };
        const other = {
          sets: { regions: shuffled(regions), types: shuffled(types) },
          ask: { severity: "all", filter },
        };
        expect(cacheKey("compliance", other, scope)).toBe(cacheKey("compliance", one, scope));
      }),
    );
  });

  it("differs where the sets differ, or belong to other names", () => {
    fc.assert(
      fc.property(words, words, (a, b) => {
        fc.pre([...a].sort().join("\n") !== [...b].sort().join("\n"));
        expect(cacheKey("costs", { ask: {}, sets: { a, b } }, scope)).not.toBe(
          cacheKey("costs", { ask: {}, sets: { a: b, b: a } }, scope),
        );
      }),
    );
  });

  it("keeps the order of lists that have one", () => {
    const of = (groupBy: string[]) => cacheKey("costs", { ask: { groupBy } }, scope);
    expect(of(["SERVICE", "REGION"])).not.toBe(of(["REGION", "SERVICE"]));
  });

  it("differs by class, account, principal and region; sessions of one role share it", () => {
    const role = (session: string) => `arn:aws:sts::123456789012:assumed-role/reader/${session}`;
    const keys = [
      cacheKey("costs", { ask: {} }, scope),
      cacheKey("prices", { ask: {} }, scope),
      cacheKey("costs", { ask: {} }, { ...scope, account: "210987654321" }),
      cacheKey("costs", { ask: {}, region: "eu-west-1" }, scope),
      cacheKey("costs", { ask: {} }, { ...scope, arn: role("a") }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(cacheKey("costs", { ask: {} }, { ...scope, arn: role("b") })).toBe(keys[4]);
  });
});

describe("what a change makes stale", () => {
  const asked = async (
    dataClass: DataClass,
    state: State,
    before: (b: ReturnType<typeof bench>) => unknown = () => {},
  ) => {
    const made = bench();
    await made.cache.forCall(scope).cached(dataClass, { ask: {} }, load(1));
    made.pass(60);
    await before(made);
    return (await made.cache.forCall({ ...scope, state }).cached(dataClass, { ask: {} }, load(2))).value;
  };
  const quiet = emptyState("store", iso(0), "");

  it("is evicted by the patterns of its policy row, by the read tools that show it", async () => {
    const evicted =
      (patterns: string[], account = scope.account) =>
      (made: ReturnType<typeof bench>) =>
        made.cache.evict(patterns, account);
    expect(await asked("costs", quiet, evicted(["instances.*", "costs.*"]))).toBe(2);
    expect(await asked("costs", quiet, evicted(["costs.forecast"]))).toBe(2);
    expect(await asked("costs", quiet, evicted(["instances.**"]))).toBe(1);
    expect(await asked("costs", quiet, evicted(["costs.**"], "210987654321"))).toBe(1);
    expect(await asked("compliance", quiet, evicted(["tags.**"]))).toBe(2);
    expect(await asked("prices", quiet, evicted(["costs.**", "resources.**"]))).toBe(1);
  });

  it.each<[string, Partial<Operation>, number]>([
    ["an applied change", { state: "succeeded", settledAt: iso(30) }, 2],
    ["an unknown one", { state: "unknown", settledAt: iso(30) }, 2],
    ["one that is open", { state: "open", intentAt: iso(30) }, 2],
    ["a parked one", { state: "parked", intentAt: iso(0), parkedAt: iso(30) }, 2],
    ["one that failed", { state: "failed", settledAt: iso(30) }, 1],
    ["one before it was read", { state: "succeeded", settledAt: iso(-30) }, 1],
  ])("is not answered again after %s of another process", async (_, operation, answer) => {
    expect(await asked("costs", recorded("instances.launch", operation))).toBe(answer);
    expect(await asked("costs", recorded("securityGroups.addRule", operation))).toBe(1);
    expect(await asked("costs", recorded("instances.launch", operation, "210987654321"))).toBe(1);
  });

  it("is not answered where the record left to its archive what may have changed it", async () => {
    expect(await asked("costs", { ...quiet, spilled: { to: 9, before: iso(30), changes: 1, operations: 1 } })).toBe(2);
    expect(await asked("costs", { ...quiet, spilled: { to: 9, before: iso(-30), changes: 1, operations: 1 } })).toBe(1);
  });

  it("is not kept by a question that was under way when the change came", async () => {
    const { cache, pass } = bench();
    let answer = (_: Loaded<number>): void => {};
    const slow = new Promise<Loaded<number>>((resolve) => {
      answer = resolve;
    });
    const first = cache.forCall(scope).cached("costs", { ask: {} }, () => slow);
    await new Promise((resolve) => setImmediate(resolve));
    pass(60);
    const state = recorded("instances.launch", { state: "succeeded", settledAt: iso(30) });
    const second = cache.forCall({ ...scope, state }).cached("costs", { ask: {} }, load(2));
    expect((await second).value).toBe(2);
    answer({ value: 1, whole: true });
    expect((await first).value).toBe(1);
    expect((await cache.forCall({ ...scope, state }).cached("costs", { ask: {} }, load(3))).value).toBe(3);
  });
});

describe("what is said of an answer", () => {
  it("source, age and cost: of what was asked now, of what was kept, of both", async () => {
    const { cache, pass } = bench();
    const paid = (value: number) => async (billed: (usd: number) => void) => {
      billed(0.01);
      billed(0.01);
      return { value, whole: true };
    };
    const first = cache.forCall(scope);
    expect(first.facts()).toBeNull();
    await first.cached("costs", { ask: { n: 1 } }, paid(1));
    expect(first.facts()).toEqual({ source: "live", age_seconds: 0, api_cost_usd: 0.02 });
    pass(90);
    const second = cache.forCall(scope);
    await second.cached("costs", { ask: { n: 1 } }, paid(1));
    expect(second.facts()).toEqual({ source: "cache", age_seconds: 90, api_cost_usd: 0, asOf: iso(0) });
    await second.cached("costs", { ask: { n: 2 } }, paid(2));
    expect(second.facts()).toEqual({ source: "mixed", age_seconds: 90, api_cost_usd: 0.02, asOf: iso(0) });
  });

  it("two that ask the same at once ask AWS once, and one of them pays", async () => {
    const { cache } = bench();
    const [a, b] = [cache.forCall(scope), cache.forCall(scope)];
    const paid = async (billed: (usd: number) => void) => {
      billed(0.01);
      return { value: 1, whole: true };
    };
    await Promise.all([a.cached("costs", { ask: {} }, paid), b.cached("costs", { ask: {} }, paid)]);
    expect(a.billedUsd() + b.billedUsd()).toBe(0.01);
  });

  it("an eviction that fails never reaches the call", async () => {
    const { cache } = bench({
      name: "broken",
      get: async () => null,
      set: async () => {},
      deletePrefix: () => Promise.reject(new Error("ECONNRESET")),
    });
    await expect(cache.evict(["costs.**"], scope.account)).resolves.toBeUndefined();
  });
});

describe("the memory store", () => {
  it("forgets by time, by number and by size, the longest unasked first", async () => {
    let now = 0;
    const store = memoryCache({ monotonic: () => now }, { entries: 2, characters: 10 });
    await store.set("a", "1", 10);
    await store.set("b", "2", 10);
    await store.get("a");
    await store.set("c", "3", 10);
    expect([await store.get("a"), await store.get("b"), await store.get("c")]).toEqual(["1", null, "3"]);
    await store.set("d", "123456789", 10);
    expect([await store.get("a"), await store.get("c"), await store.get("d")]).toEqual([null, "3", "123456789"]);
    now = 10_000;
    expect(await store.get("d")).toBeNull();
    await store.set("e", "a text longer than all the room there is", 10);
    expect(await store.get("e")).toBeNull();
  });

  it("deletes by prefix and nothing else", async () => {
    const store = memoryCache({ monotonic: () => 0 });
    for (const key of ["costs:1:a", "costs:1:b", "costs:12:a", "prices:1:a"]) await store.set(key, key, 10);
    await store.deletePrefix("costs:1:");
    expect(await Promise.all(["costs:1:a", "costs:1:b", "costs:12:a", "prices:1:a"].map(store.get))).toEqual([
      null,
      null,
      "costs:12:a",
      "prices:1:a",
    ]);
  });
});
