// The cache through the front door: what a change evicts where servers share a store, and what a broken store costs nobody.

import { expect, it } from "vitest";
import { memoryCache } from "../../src/cache.js";
import { loadConfig } from "../../src/config.js";
import type { AwsReader, CacheStore } from "../../src/core/ports.js";
import { inMemory } from "../in-memory.js";

const launch = { imageId: "ami-0cc00000000000001", instanceType: "t3.micro", intent: "one more for the queue" };

async function launched(cacheStore: CacheStore) {
  const assistant = await inMemory({ cacheStore });
  const planned = await assistant.call("instances_launch", launch);
  return { assistant, apply: () => assistant.call("changes_apply", { executionToken: planned.executionToken }) };
}

it("an applied change evicts what its policy row names, for every server on the store, and a plan evicts nothing", async () => {
  const evicted: string[] = [];
  const store = memoryCache({ monotonic: () => 0 });
  const watched: CacheStore = {
    ...store,
    deletePrefix: async (prefix) => {
      evicted.push(prefix);
      await store.deletePrefix(prefix);
    },
  };
  await store.set("costs:000000000000:one", "kept by another server", 3_600);
  await store.set("costs:123456789012:one", "another account's", 3_600);
  await store.set("budget:session", "7", 3_600);
  const { assistant, apply } = await launched(watched);
  expect(evicted).toEqual([]);
  expect(await apply()).toMatchObject({ outcome: "applied" });
  // A compliance scan is made of the instances that are.
  expect(evicted.sort()).toEqual(["compliance:000000000000:", "costs:000000000000:"]);
  const kept = await Promise.all(
    ["costs:000000000000:one", "costs:123456789012:one", "budget:session"].map((key) => store.get(key)),
  );
  expect(kept).toEqual([null, "another account's", "7"]);
  await assistant.close();
});

it("a store that fails at everything stops no change and no answer", async () => {
  const broken = () => Promise.reject(new Error("ECONNREFUSED"));
  const { assistant, apply } = await launched({ name: "broken", get: broken, set: broken, deletePrefix: broken });
  expect(await apply()).toMatchObject({ outcome: "applied", stateSync: { outcome: "applied" } });
  expect(await assistant.call("regions_list")).toMatchObject({ source: "live", count: expect.any(Number) });
  await assistant.close();
});

it("what is cached says since when it was true", async () => {
  const assistant = await inMemory();
  const live = await assistant.call("regions_list");
  assistant.pass(90_000);
  const cached = await assistant.call("regions_list");
  expect(live).toMatchObject({ source: "live", age_seconds: 0 });
  expect(cached).toMatchObject({ source: "cache", age_seconds: 90, asOf: live.asOf, regions: live.regions });
  await assistant.close();
});

it("which regions there are is asked once for all that look everywhere, and an answer from the list says its age", async () => {
  let asked = 0;
  const assistant = await inMemory({
    wrap: (aws) => ({
      ...aws,
      async reader(region, via) {
        const reader = await aws.reader(region, via);
        const regions: AwsReader["regions"] = () => {
          asked++;
          return reader.regions();
        };
        return { ...reader, regions };
      },
    }),
  });
  const everywhere = (limit: number) => assistant.call("instances_list", { region: "*", limit });
  const first = await everywhere(25);
  expect(first.regionListAgeSeconds).toBeUndefined();
  assistant.pass(120_000);
  const second = await everywhere(26);
  expect(second).toMatchObject({ regionListAgeSeconds: 120, count: first.count });
  expect(second.source, "the instances themselves are read now").toBeUndefined();
  expect(await assistant.call("regions_list")).toMatchObject({ source: "cache", age_seconds: 120 });
  expect(asked).toBe(1);
  assistant.pass(3_600_000);
  await everywhere(27);
  expect(asked).toBe(2);
  await assistant.close();
});

it("the sandbox invents no costs and no prices", async () => {
  const assistant = await inMemory();
  for (const tool of ["costs_summary", "costs_byTag", "costs_forecast", "costs_anomalies"]) {
    expect(await assistant.call(tool, tool === "costs_byTag" ? { tagKey: "Team" } : {})).toMatchObject({
      isError: true,
      code: "not_in_sandbox",
    });
  }
  const items = [{ kind: "instance", instanceType: "t3.micro" }];
  const estimate = await assistant.call("costs_estimate", { items });
  expect(estimate).toMatchObject({
    complete: false,
    lines: [],
    unknown: [{ because: "the sandbox has no price list" }],
  });
  expect(estimate).not.toHaveProperty("monthlyChange");
  await assistant.close();
});

it("how long answers are kept is the operator's, also under the names of the server that came before", () => {
  const seconds = (args: string[], env: Record<string, string>) => {
    const { cacheTtlSeconds, regionCacheTtlSeconds } = loadConfig(args, env).config;
    return [cacheTtlSeconds, regionCacheTtlSeconds];
  };
  expect(seconds([], {})).toEqual([3_600, 3_600]);
  const old = { COMPLIANCE_CACHE_TTL_SECONDS: "120", REGION_CACHE_TTL_SECONDS: "600" };
  expect(seconds([], old)).toEqual([120, 600]);
  expect(seconds(["--cache-ttl-seconds", "60"], { ...old, AWS_DEVOPS_MCP_CACHE_TTL_SECONDS: "90" })).toEqual([60, 600]);
  expect(() => seconds([], { COMPLIANCE_CACHE_TTL_SECONDS: "59" })).toThrow("COMPLIANCE_CACHE_TTL_SECONDS");
  expect(() => seconds([], { COMPLIANCE_CACHE_TTL_SECONDS: "86401" })).toThrow("COMPLIANCE_CACHE_TTL_SECONDS");
});
