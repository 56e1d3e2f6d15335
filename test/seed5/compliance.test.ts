// The published compliance diagram of a resource, story by story, on the tools themselves.

import { describe, expect, it } from "vitest";
import { costGap } from "../../policies/cost-gap.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import type { ReadPorts } from "../../src/core/ports.js";
import type { RegionScan, TaggedResource, Unread } from "../../src/core/tagged.js";
import type { ReadTool } from "../../src/core/tool.js";
import { memoryHistory } from "../../src/tagging/history.js";
import { tags } from "../../tools/tags.js";
import { teller } from "./diagrams.js";

const POLICY = {
  required_tags: [
    { name: "Environment", allowed_values: ["production"] },
    { name: "Owner", allowed_values: null },
    { name: "Team", allowed_values: null },
  ],
};
const ARN = "arn:aws:ec2:eu-west-1:123456789012:volume/vol-0123456789abcdef0";

const NOW = "2026-03-01T12:00:00.000Z";

/** One volume in one region, as somebody else keeps changing it. */
function world({ readAt = NOW } = {}) {
  const live = { tags: {} as Readonly<Record<string, string>>, unread: [] as Unread[], listed: true };
  const volume = (): TaggedResource => ({
    arn: ARN,
    type: "ec2:volume",
    id: "vol-0123456789abcdef0",
    account: "123456789012",
    region: "eu-west-1",
    tags: { ...live.tags },
  });
  const region = (): RegionScan => ({
    region: "eu-west-1",
    types: 1,
    resources: live.listed ? [volume()] : [],
    unread: live.unread,
    taggedOnly: [],
  });
  const history = memoryHistory();
  let exceptions: readonly JsonObject[] = [];
  const ports = {
    aws: {
      account: "123456789012",
      region: "eu-west-1",
      regions: async () => [{ region: "eu-west-1", optIn: "opt-in-not-required" }],
      tagged: { scan: async () => [region()], get: async () => volume() },
    },
    cached: async (_class: string, _question: object, load: () => Promise<{ value: unknown }>) => ({
      value: (await load()).value,
      readAt,
    }),
    tagging: {
      files: {
        policy: async () => ({ source: "existing_file", success: true, message: "", policy_path: "p", value: POLICY }),
        resourceTypes: async () => ({ path: null, value: null }),
        exceptions: async () => ({ path: "e", list: exceptions }),
        changeExceptions: async (change: (list: readonly JsonObject[], path: string) => readonly JsonObject[]) => {
          exceptions = change(exceptions, "e");
          return { path: "e" };
        },
      },
      history,
      allowedRegions: [],
      regionsAtOnce: 1,
      regionTimeoutMs: 1,
    },
    state: { resources: new Map() },
    caller: { arn: "arn:aws:iam::123456789012:user/ada" },
    now: new Date(NOW),
    revision: () => "r0-00000000",
    progress: () => {},
  } as unknown as ReadPorts;
  // biome-ignore lint/suspicious/noExplicitAny: answers are read as a client reads them
  const ask = async (tool: string, given: object = {}): Promise<any> => {
    const { input, run } = tags.tools[tool] as ReadTool;
    return (await run(input.parse(given), ports)).data;
  };
  return {
    live,
    ask,
    history,
    check: (more: object = {}) => ask("check", { resource_types: ["ec2:volume"], ...more }),
  };
}

const GOOD = { Environment: "production", Owner: "web", Team: "core" };

describe("a resource on its way through the published diagram", () => {
  const tell = teller("compliance");

  tell("fully compliant, included in the report and stored", async () => {
    const { live, check, history } = world();
    live.tags = GOOD;
    const found = await check({ store_snapshot: true });
    expect(found.resource_status).toEqual([expect.objectContaining({ status: "fully_compliant", score_percent: 100 })]);
    expect(found).toMatchObject({ violations: [], stored_in_history: true });
    expect(await history.scans("123456789012", "2026-01-01")).toHaveLength(1);
  });

  const MISSES = [
    ["partially compliant", "partially_compliant", { Environment: "production", Owner: "web" }, 1],
    ["not compliant", "non_compliant", { Environment: "prod", Owner: "web" }, 2],
    ["untagged", "untagged", {}, 3],
  ] as const;
  for (const [name, status, given, count] of MISSES) {
    tell(`${name}, its violations are logged`, async () => {
      const { live, check } = world();
      live.tags = given;
      const found = await check();
      expect(found.resource_status[0]).toMatchObject({ status, critical: status === "untagged" });
      expect(found.violations).toHaveLength(count);
    });
  }

  tell("its cost is nobody's, values are suggested, and once they are there it complies", async () => {
    const { live, check, ask } = world();
    live.tags = { Owner: "web", Team: "core", Name: "api-prod-1" };
    expect((await check()).violations).toHaveLength(1);
    const gap = costGap({
      services: { "EC2 - Other": 100_000_000 },
      unattributable: [],
      types: ["ec2:volume"],
      serviceOf: { "ec2:volume": "EC2 - Other" },
      byName: {},
      resources: [{ arn: ARN, type: "ec2:volume", region: "eu-west-1", account: "123456789012", compliant: false }],
    });
    expect(gap.attribution_gap).toBe(100_000_000);
    const { suggestions } = await ask("suggest", { resource_arn: ARN });
    expect(suggestions).toEqual([expect.objectContaining({ tag_key: "Environment", suggested_value: "production" })]);
    live.tags = { ...live.tags, [suggestions[0].tag_key]: suggestions[0].suggested_value };
    expect(await check()).toMatchObject({ compliant_resources: 1, compliance_score: 1 });
  });

  tell("ignored as an exception, in the report and out of the violations", async () => {
    const { check, ask } = world();
    await ask("exceptions", { action: "add", arn: ARN, reason: "goes away", expires: "2026-03-02" });
    const found = await check();
    expect(found).toMatchObject({ violations: [], excepted_resources: 1, total_resources: 0 });
    expect(found.resource_status[0]).toMatchObject({ excepted: true, status: "untagged" });
  });

  tell("a list that failed, named and skipped", async () => {
    const { live, check } = world();
    live.listed = false;
    live.unread = [{ type: "ec2:volume", region: "eu-west-1", code: "access_denied", action: "ec2:DescribeVolumes" }];
    const failed = await check().catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(OpsError);
    expect((failed as OpsError).details).toMatchObject({ error: "scan_failed", actions: ["ec2:DescribeVolumes"] });
  });

  tell("tags that could not be read, neither compliant nor untagged", async () => {
    const { live, check } = world();
    live.listed = false;
    live.unread = [{ type: "ec2:volume", region: "eu-west-1", arn: ARN, code: "access_denied" }];
    expect(await check()).toMatchObject({
      compliance_score: null,
      status: "unknown",
      unknown_resources: 1,
      total_resources: 0,
      data_quality: { status: "partial", unknown: [{ arn: ARN, code: "access_denied" }] },
    });
  });
});

describe("what was not read", () => {
  const partly = { type: "rds:db", region: "eu-west-1", code: "access_denied" } as const;

  it("gives a report no score and no grade, and its region none either", async () => {
    const { live, ask, check } = world();
    live.listed = false;
    live.unread = [{ ...partly, arn: "arn:aws:rds:eu-west-1:123456789012:db:hidden" }];
    for (const format of ["json", "csv", "markdown"]) {
      const report = await ask("report", { resource_types: ["ec2:volume", "rds:db"], format });
      expect(report.summary.overall_compliance_score).toBeNull();
      expect(report.formatted_output).not.toMatch(/100|excellent/);
      expect(report.formatted_output).toMatch(/unknown/);
    }
    expect((await check()).regional_breakdown).toEqual([expect.objectContaining({ compliance_score: null })]);
  });

  it("is everything where no type is one that is scanned: a misspelt one is not compliant", async () => {
    const { ask, check } = world();
    const found = await check({ resource_types: ["ec2:instnce"] });
    expect(found).toMatchObject({
      compliance_score: null,
      status: "unknown",
      skipped_types: ["ec2:instnce"],
      data_quality: { status: "partial", warning: expect.stringContaining("nothing was looked at") },
    });
    expect(await ask("untagged", { resource_types: ["ec2:instnce"] })).toMatchObject({
      total_untagged: 0,
      data_quality: { status: "partial" },
    });
    const some = await check({ resource_types: ["ec2:instnce", "ec2:volume"] });
    expect(some.data_quality).toMatchObject({ status: "complete", note: expect.stringContaining("skipped_types") });
  });

  it("makes no baseline of drift, and the next whole scan does", async () => {
    const { live, ask, history } = world();
    live.unread = [partly];
    expect(await ask("drift", { resource_types: ["ec2:volume", "rds:db"] })).toMatchObject({
      baseline_stored: false,
      not_stored_because: "the scan is not complete",
      data_quality: { status: "partial" },
    });
    expect(await history.scans("123456789012", "2000")).toEqual([]);
    live.unread = [];
    expect(await ask("drift", { resource_types: ["ec2:volume"] })).toMatchObject({ baseline_stored: true });
  });

  it("stores a scan as of when AWS was asked, and hands one on with that time", async () => {
    const { ask, check, history } = world({ readAt: "2026-03-01T11:15:00.000Z" });
    await check({ store_snapshot: true });
    const [stored] = await history.scans("123456789012", "2000");
    expect(stored).toMatchObject({ timestamp: "2026-03-01T11:15:00.000Z" });
    const csv = await ask("exportCsv", { resource_types: ["ec2:volume"] });
    expect(csv).toMatchObject({ scan_timestamp: "2026-03-01T11:15:00.000Z", export_timestamp: NOW });
  });
});
