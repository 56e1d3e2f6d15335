// A region's name becomes part of a host name, so it is known or confirmed before anything is sent to it.

import { describe, expect, it } from "vitest";
import type { Api } from "../../src/aws/api.js";
import { nearestRegions } from "../../src/aws/region-list.js";
import { regionCheck } from "../../src/aws/regions.js";
import { failure } from "./support.js";

function home(names: readonly string[] | Error) {
  const calls: string[] = [];
  const api = {
    call: async (_: string, operation: string) => {
      calls.push(operation);
      if (names instanceof Error) throw names;
      return { Regions: names.map((RegionName) => ({ RegionName })) };
    },
  } as unknown as Api;
  return { calls, check: regionCheck(async () => api) };
}

describe("regions", () => {
  it("a known region needs no question", async () => {
    const { check, calls } = home([]);
    await check("eu-central-2");
    expect(calls).toEqual([]);
  });
  it("a new region is confirmed by AWS, once", async () => {
    const { check, calls } = home(["eu-west-9"]);
    await check("eu-west-9");
    await check("eu-west-9");
    expect(calls).toEqual(["DescribeRegions"]);
  });
  it("an unknown one is refused with the nearest names", async () => {
    const error = await failure(home(["eu-west-1"]).check("us-est-1"));
    expect(error.code).toBe("unknown_region");
    expect(error.field).toBe("region");
    expect(error.details).toMatchObject({ confirmed: true, nearest: ["us-east-1", "us-west-1", "us-east-2"] });
  });
  it("and so it is when AWS cannot be asked", async () => {
    const error = await failure(home(new Error("no network")).check("eu-west-9"));
    expect(error).toMatchObject({ code: "unknown_region", details: { confirmed: false } });
  });
  it.each(["evil.example.com/", "us-east-1.evil.com", "", "US-EAST-1", "us_east_1", `us-${"a".repeat(99)}-1`])(
    "%j is no region, and AWS is not asked",
    async (name) => {
      const { check, calls } = home([name]);
      expect((await failure(check(name))).code).toBe("unknown_region");
      expect(calls).toEqual([]);
    },
  );
  it("nearest names are stable", () => {
    expect(nearestRegions("eu-wst-1")[0]).toBe("eu-west-1");
    expect(nearestRegions("EU-CENTRAL-1")[0]).toBe("eu-central-1");
  });
});
