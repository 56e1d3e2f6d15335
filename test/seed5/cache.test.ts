// The published cache diagram, story by story, on the cache itself.

import { describe, expect, it } from "vitest";
import { type CacheState, createCache, memoryCache } from "../../src/cache.js";
import type { CacheQuestion, CacheStore, Loaded } from "../../src/core/ports.js";
import { teller } from "./diagrams.js";
import { STORIES } from "./stories.js";

const TTL = 3_600;
const scope = { account: "123456789012", arn: "arn:aws:iam::123456789012:user/ada" };
const question: CacheQuestion = {
  ask: { severity: "all" },
  sets: { resourceTypes: ["ec2:instance", "s3:bucket"], scannedRegions: ["eu-west-1", "us-east-1"] },
};

interface Bench {
  ask(more?: Partial<CacheQuestion>): Promise<{ value: number; source: string; ageSeconds: number }>;
  /** The states since the last look. */
  path(): string;
  pass(seconds: number): void;
  readonly store: CacheStore;
  readonly warnings: string[];
  /** How often AWS was asked. */
  readonly asked: () => number;
}

function bench(broken: Partial<CacheStore> = {}, load?: () => Promise<Loaded<number>>): Bench {
  let now = Date.parse("2026-11-21T10:00:00Z");
  let asked = 0;
  const states: CacheState[] = [];
  const warnings: string[] = [];
  const clock = { now: () => new Date(now), monotonic: () => now, sleep: async () => {} };
  // It keeps what has expired, as a store of coarse clocks does, so that the cache's own look is what counts.
  const store: CacheStore = { ...memoryCache({ monotonic: () => 0 }), ...broken };
  const cache = createCache({
    store,
    clock,
    log: (level, message) => void (level === "warn" && warnings.push(message)),
    ttlSeconds: { compliance: TTL, costs: TTL, schemas: TTL, regions: TTL, prices: TTL },
    madeStaleBy: () => [],
    at: (state) => void states.push(state),
  });
  return {
    ask: (more = {}) =>
      cache.forCall(scope).cached("compliance", { ...question, ...more }, async () => {
        asked++;
        return load ? load() : { value: asked, whole: true };
      }),
    path: () => states.splice(0).join(" → "),
    pass: (seconds) => {
      now += seconds * 1_000;
    },
    store,
    warnings,
    asked: () => asked,
  };
}

/** What the cache itself reports on a story's way. */
const pathOf = (story: keyof typeof STORIES.cache): string =>
  STORIES.cache[story].replaceAll(/\[\*\] → | → \[\*\]/g, "");

describe("the cache diagram", () => {
  const tell = teller("cache");

  tell("asks AWS, stores with the TTL and returns", async () => {
    const { ask, path } = bench();
    expect(await ask()).toMatchObject({ value: 1, source: "live", ageSeconds: 0 });
    expect(path()).toBe(pathOf("asks AWS, stores with the TTL and returns"));
  });

  tell("answers what is kept, with its age, without AWS", async () => {
    const { ask, path, pass, asked } = bench();
    await ask();
    pass(TTL - 1);
    path();
    expect(await ask()).toMatchObject({ value: 1, source: "cache", ageSeconds: TTL - 1 });
    expect(path()).toBe(pathOf("answers what is kept, with its age, without AWS"));
    expect(asked()).toBe(1);
  });

  tell("at the TTL the entry is removed and AWS asked", async () => {
    const removed: string[] = [];
    const { ask, path, pass } = bench({ deletePrefix: async (key) => void removed.push(key) });
    await ask();
    pass(TTL);
    path();
    expect(await ask()).toMatchObject({ value: 2, source: "live" });
    expect(path()).toBe(pathOf("at the TTL the entry is removed and AWS asked"));
    expect(removed).toEqual([expect.stringMatching(/^compliance:123456789012:[0-9a-f]{64}$/)]);
  });

  tell("goes on without, and says so to the operator", async () => {
    const { ask, path, warnings } = bench({ get: () => Promise.reject(new Error("ECONNREFUSED")) });
    expect(await ask()).toMatchObject({ value: 1, source: "live" });
    expect(path()).toBe(pathOf("goes on without, and says so to the operator"));
    expect(warnings).toHaveLength(1);
  });

  tell("when told to, does not read and still writes", async () => {
    const { ask, path } = bench();
    await ask();
    path();
    expect(await ask({ forceRefresh: true })).toMatchObject({ value: 2, source: "live" });
    expect(path()).toBe(pathOf("when told to, does not read and still writes"));
    expect(await ask()).toMatchObject({ value: 2, source: "cache" });
  });

  tell("AWS's error is the answer, and nothing is stored", async () => {
    let healthy = false;
    const { ask, path } = bench({}, async () => {
      if (!healthy) throw new Error("AccessDenied");
      return { value: 7, whole: true };
    });
    await expect(ask()).rejects.toThrow("AccessDenied");
    expect(path()).toBe(pathOf("AWS's error is the answer, and nothing is stored"));
    healthy = true;
    expect(await ask()).toMatchObject({ value: 7, source: "live" });
    expect(path()).toBe(pathOf("asks AWS, stores with the TTL and returns"));
  });

  tell("what cannot be written is answered all the same", async () => {
    const { ask, path, warnings } = bench({ set: () => Promise.reject(new Error("OOM")) });
    expect(await ask()).toMatchObject({ value: 1, source: "live" });
    expect(path()).toBe(pathOf("what cannot be written is answered all the same"));
    expect(warnings).toHaveLength(1);
  });

  it("KeyGeneration: types, filters, severity and scanned regions are in the key", async () => {
    const { ask, asked } = bench();
    const { resourceTypes, scannedRegions } = question.sets as Record<string, string[]>;
    await ask();
    await ask({ sets: { resourceTypes: ["ec2:instance"], scannedRegions: scannedRegions! } });
    await ask({ ask: { severity: "errors_only" } });
    await ask({ ask: { severity: "all", filters: { account_id: "1" } } });
    await ask({ sets: { resourceTypes: resourceTypes! } });
    expect(asked()).toBe(5);
    await ask({
      sets: { resourceTypes: [...resourceTypes!].reverse(), scannedRegions: [...scannedRegions!].reverse() },
    });
    expect(asked()).toBe(5);
  });

  it("a broken entry is removed and is a miss", async () => {
    for (const broken of ["{", "[]", '{"readAt":"yesterday","value":1}', '{"value":1}', '{"readAt":1}']) {
      const { ask, path, store } = bench();
      await ask();
      const { get } = store;
      let key = "";
      Object.assign(store, {
        get: async (asked: string) => {
          key = asked;
          return broken;
        },
      });
      path();
      expect(await ask()).toMatchObject({ value: 2, source: "live" });
      expect(path()).toBe(pathOf("at the TTL the entry is removed and AWS asked"));
      expect(JSON.parse((await get(key))!)).toMatchObject({ value: 2 });
    }
  });

  it("what was read in part is answered and never kept as whole", async () => {
    const { ask, path, asked } = bench({}, async () => ({ value: 3, whole: false }));
    expect(await ask()).toMatchObject({ value: 3, source: "live" });
    expect(path()).toBe(
      "CacheQuery → KeyGeneration → CacheLookup → CacheMiss → DataFetch → AWSQuery → DataProcessing → DataReturned",
    );
    await ask();
    expect(asked()).toBe(2);
  });
});
