// Tag compliance on moto: 500 resources over three regions, with denied lists, throttles, hidden tags and a region that stands still.

import { writeFileSync } from "node:fs";
import {
  AllocateAddressCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DeleteTagsCommand,
  DescribeImagesCommand,
  EC2Client,
  RunInstancesCommand,
} from "@aws-sdk/client-ec2";
import { CreateBucketCommand, PutBucketTaggingCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { sqlite } from "../../src/sqlite.js";
import { HISTORY_SCHEMA } from "../../src/tagging/history.js";
import { type Assistant, temporaryFolder } from "../harness.js";
import { type Product, startProduct } from "./product.js";
import { gate } from "./rules.js";

const product = await startProduct("tag compliance on moto", import.meta.url);
const REGIONS = ["eu-west-1", "eu-central-1", "us-east-1"];
const POLICY = {
  version: "1.0",
  required_tags: [
    { name: "Environment", allowed_values: ["production", "staging"], applies_to: [] },
    { name: "Owner", allowed_values: null, validation_regex: "^[a-z]+$", applies_to: [] },
  ],
  optional_tags: [],
};
const GOOD = { Environment: "production", Owner: "web" };
const HALF = { Environment: "production", Owner: "WEB 1" };

describe.skipIf(!product)("tag compliance on moto", () => {
  const { proxy, ledger, calls, moto } = (product ?? {}) as Product;
  const folder = temporaryFolder();
  const settings = {
    POLICY_PATH: `${folder.path}/policy.json`,
    ALLOWED_REGIONS: REGIONS.join(", "),
    REGION_SCAN_TIMEOUT_SECONDS: "10",
  };
  let assistant: Assistant;
  const clients = new Map<string, EC2Client>();
  const credentials = { accessKeyId: "AKIAEMULATED", secretAccessKey: "emulated" };
  const listOf = (tags: Record<string, string>) => Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));

  const volumes = async (region: string, count: number, tags: Record<string, string>) => {
    const client = clients.get(region)!;
    const made = Array.from({ length: count }, () =>
      client.send(
        new CreateVolumeCommand({
          AvailabilityZone: `${region}a`,
          Size: 1,
          ...(Object.keys(tags).length > 0 && { TagSpecifications: [{ ResourceType: "volume", Tags: listOf(tags) }] }),
        }),
      ),
    );
    return (await Promise.all(made)).map(({ VolumeId }) => `arn:aws:ec2:${region}:123456789012:volume/${VolumeId}`);
  };
  let never: string[];
  let half: string[];

  beforeAll(async () => {
    await moto.reset();
    for (const region of REGIONS) {
      clients.set(region, new EC2Client({ endpoint: moto.endpoint, region, credentials }));
      await volumes(region, 110, GOOD);
    }
    half = await volumes("eu-west-1", 60, HALF);
    never = await volumes("eu-central-1", 70, {});
    await volumes("us-east-1", 40, { Team: "x" });
    await clients.get("eu-west-1")!.send(new AllocateAddressCommand({ Domain: "vpc" }));
    const s3 = new S3Client({ endpoint: moto.endpoint, region: "us-east-1", credentials, forcePathStyle: true });
    for (const Bucket of ["bare-bucket", "tagged-bucket", "hidden-bucket"]) {
      await s3.send(new CreateBucketCommand({ Bucket }));
    }
    await s3.send(new PutBucketTaggingCommand({ Bucket: "tagged-bucket", Tagging: { TagSet: listOf(GOOD) } }));
    await s3.send(new PutBucketTaggingCommand({ Bucket: "hidden-bucket", Tagging: { TagSet: listOf(GOOD) } }));
    s3.destroy();
    writeFileSync(`${folder.path}/policy.json`, JSON.stringify(POLICY));
    assistant = await product!.start({ env: settings });
  }, 60_000);
  beforeEach(() => proxy.clear());
  afterEach(({ task }) => ledger.settle(task));
  afterAll(async () => {
    for (const client of clients.values()) client.destroy();
    await product!.close();
    folder.remove();
  });

  it("shows the policy, under the old name as well", async () => {
    const shown = await assistant.call("tags_policy");
    expect(shown.data, JSON.stringify(shown.data)).toMatchObject({
      required_tag_count: 2,
      policy_source: { source: "existing_file" },
    });
    expect((await assistant.call("get_tagging_policy")).data.required_tags).toEqual(shown.data.required_tags);
  });

  it("scores 500 volumes of three regions, on every page, also those that never bore a tag", async () => {
    const seen: string[] = [];
    const found = await assistant.call(
      "check_tag_compliance",
      { resource_types: ["ec2:volume"], limit: 1_000, store_snapshot: true },
      (message) => seen.push(message),
    );
    expect(found.isError, JSON.stringify(found.data)).toBe(false);
    expect(found.data).toMatchObject({
      total_resources: 500,
      compliant_resources: 330,
      compliance_score: 0.66,
      compliance_percent: 66,
      status: "partially_compliant",
      stored_in_history: true,
      data_quality: { status: "complete" },
      region_metadata: { total_regions: 3, failed_regions: [], discovery_failed: false },
    });
    expect(found.data.violation_count).toBe(60 + 2 * 70 + 2 * 40);
    const bands = new Map<string, number>();
    for (const { status } of found.data.resource_status) bands.set(status, (bands.get(status) ?? 0) + 1);
    expect(Object.fromEntries(bands)).toEqual({ fully_compliant: 330, partially_compliant: 60, untagged: 110 });
    expect(found.data.resource_status.filter((one: { has_user_tags: boolean }) => !one.has_user_tags)).toHaveLength(70);
    expect(found.data.regional_breakdown).toContainEqual(
      expect.objectContaining({ region: "eu-central-1", total_resources: 180, compliant_resources: 110 }),
    );
    expect(found.data.violations[0]).toMatchObject({ tag_name: expect.any(String), severity: "error" });
    expect(seen.join()).toContain("scanning tags");
  });

  it("answers again from the cache with its age, and asks AWS when told to", async () => {
    const ask = { resource_types: ["ec2:volume"] };
    const again = await assistant.call("tags_check", ask);
    expect(again.data).toMatchObject({ source: "cache", total_resources: 500 });
    expect(calls("ec2", "DescribeVolumes")).toHaveLength(0);
    await assistant.call("tags_check", { ...ask, force_refresh: true });
    expect(calls("ec2", "DescribeVolumes").length).toBeGreaterThanOrEqual(3);
  });

  it("outlasts throttles", async () => {
    const throttled = { status: 400, code: "RequestLimitExceeded" };
    proxy.rule({ service: "ec2", operation: "DescribeVolumes", answer: throttled, times: 2 });
    const found = await assistant.call("tags_check", { resource_types: ["ec2:volume"], force_refresh: true });
    expect(found.data).toMatchObject({ total_resources: 500, data_quality: { status: "complete" } });
    expect(proxy.unused).toEqual([]);
  });

  it("takes a denied list for unknown: neither compliant nor untagged, and never for nothing", async () => {
    const denied = { status: 403, code: "UnauthorizedOperation" };
    const inRegion = (region: string) => (request: { headers?: unknown }) => JSON.stringify(request).includes(region);
    proxy.rule({
      service: "ec2",
      operation: "DescribeVolumes",
      where: inRegion("eu-central-1") as never,
      answer: denied,
      times: 9,
    });
    const found = await assistant.call("tags_check", { resource_types: ["ec2:volume"], force_refresh: true });
    expect(found.data).toMatchObject({
      total_resources: 320,
      compliant_resources: 220,
      data_quality: { status: "partial" },
    });
    expect(found.data.data_quality.unknown).toEqual([
      { type: "ec2:volume", region: "eu-central-1", code: "access_denied", action: "ec2:DescribeVolumes" },
    ]);
    const lacking = await assistant.call("find_untagged_resources", { resource_types: ["ec2:volume"], limit: 1_000 });
    expect(lacking.data).toMatchObject({ total_untagged: 110 });
    expect(lacking.data.data_quality.status).toBe("complete");
    proxy.clear();
    proxy.rule({ service: "ec2", operation: "DescribeVolumes", answer: denied, times: 99 });
    const nothing = await assistant.call("tags_check", { resource_types: ["ec2:volume"], force_refresh: true });
    expect(nothing.isError).toBe(true);
    expect(nothing.data).toMatchObject({
      code: "access_denied",
      error: "scan_failed",
      actions: ["ec2:DescribeVolumes"],
    });
  });

  it("gives a region up that stands still, and stops no other", async () => {
    const still = gate();
    const inRegion = (request: object) => JSON.stringify(request).includes("us-east-1");
    proxy.rule({
      service: "ec2",
      operation: "DescribeVolumes",
      where: inRegion as never,
      hold: still.closed,
      times: 9,
    });
    const found = await assistant.call("tags_check", { resource_types: ["ec2:volume"], force_refresh: true });
    still.open();
    expect(found.data).toMatchObject({
      total_resources: 350,
      data_quality: { status: "partial", failed_regions: [{ region: "us-east-1", because: "timeout" }] },
      region_metadata: { failed_regions: ["us-east-1"] },
    });
    expect(found.data.data_quality.warning).toContain("account-wide");
  }, 30_000);

  it("keeps a bucket without tags apart from one whose tags are hidden, and lists buckets once", async () => {
    const hidden = (request: object) => JSON.stringify(request).includes("hidden-bucket");
    proxy.rule({ service: "s3", where: hidden as never, answer: { status: 403, code: "AccessDenied" }, times: 9 });
    const found = await assistant.call("tags_check", {
      resource_types: ["s3:bucket"],
      filters: { region: "eu-west-1" },
    });
    expect(found.data, JSON.stringify(found.data)).toMatchObject({
      total_resources: 2,
      compliant_resources: 1,
      unknown_resources: 1,
      data_quality: { status: "partial", unknown: [{ arn: "arn:aws:s3:::hidden-bucket", code: "access_denied" }] },
    });
    expect(found.data.violations.every((one: { resource_id: string }) => one.resource_id === "bare-bucket")).toBe(true);
    expect(found.data.regional_breakdown).toEqual([expect.objectContaining({ region: "global", total_resources: 2 })]);
  });

  it("validates by ARN where the resource lives; one that does not exist is not found", async () => {
    const missing = "arn:aws:ec2:eu-west-1:123456789012:volume/vol-0123456789abcdef0";
    const found = await assistant.call("validate_resource_tags", {
      resource_arns: [
        half[0],
        never[0],
        missing,
        "arn:aws:rds:eu-west-1:123456789012:snapshot:x",
        "arn:aws:s3:::no-such-bucket-here",
      ],
    });
    expect(found.isError, JSON.stringify(found.data)).toBe(false);
    expect(found.data).toMatchObject({ total_resources: 2, non_compliant_resources: 2 });
    expect(found.data.not_found).toEqual([missing, "arn:aws:s3:::no-such-bucket-here"]);
    expect(found.data.unknown).toEqual([expect.objectContaining({ code: "unsupported" })]);
    expect(found.data.results[0]).toMatchObject({
      resource_arn: half[0],
      violations: [{ tag_name: "Owner", violation_type: "invalid_format", current_value: "WEB 1" }],
      revision: expect.stringMatching(/^r0-/),
    });
    // It lives in another region than the call: shown, and without a revision here.
    expect(found.data.results[1]).toMatchObject({ region: "eu-central-1", current_tags: {} });
    expect(found.data.results[1].revision).toBeUndefined();
  });

  it("refuses regions that are not available by name", async () => {
    const refused = await assistant.call("tags_check", {
      resource_types: ["ec2:volume"],
      filters: { regions: ["sa-east-1"] },
    });
    expect(refused.data).toMatchObject({ code: "validation_error", invalid: ["sa-east-1"] });
    expect(refused.data.available).toEqual([...REGIONS].sort());
  });

  it("counts an exception by itself until it ends", async () => {
    const exception = { pattern: "arn:aws:ec2:us-east-1:*", reason: "moved out soon", expires: "2999-01-01" };
    writeFileSync(`${folder.path}/tag_exceptions.json`, JSON.stringify([exception]));
    const found = await assistant.call("tags_check", { resource_types: ["ec2:volume"] });
    expect(found.data).toMatchObject({ total_resources: 460, excepted_resources: 40, compliant_resources: 330 });
    writeFileSync(`${folder.path}/tag_exceptions.json`, JSON.stringify([{ ...exception, expires: "2001-01-01" }]));
    expect((await assistant.call("tags_check", { resource_types: ["ec2:volume"] })).data.total_resources).toBe(500);
  });

  it("reports, ranks and exports what it found; a value that would be a formula is text", async () => {
    const ask = { resource_types: ["ec2:volume"] };
    await clients.get("eu-west-1")!.send(
      new CreateTagsCommand({
        Resources: [half[1]!.split("/")[1]!],
        Tags: [{ Key: "Owner", Value: "=HYPERLINK()" }],
      }),
    );
    const report = await assistant.call("generate_compliance_report", {
      ...ask,
      format: "markdown",
      force_refresh: true,
    });
    expect(report.isError, JSON.stringify(report.data)).toBe(false);
    expect(report.data.formatted_output).toContain("| Owner | 170 |");
    expect(report.data.summary).toMatchObject({
      total_resources: 500,
      compliant_resources: 330,
      total_violations: 280,
    });
    const csv = await assistant.call("export_violations_csv", { ...ask, columns: ["arn", "current_value"] });
    expect(csv.data).toMatchObject({ row_count: 280, columns: ["resource_arn", "current_value"] });
    expect(csv.data.csv_data).toContain(`${half[1]},'=HYPERLINK()`);
  });

  it("answers stored scans with their trend, and drift against the stored tags", async () => {
    const history = await assistant.call("get_violation_history", { group_by: "DAY" });
    expect(history.data, JSON.stringify(history.data)).toMatchObject({
      history: [{ compliance_score: 0.66, total_resources: 500, scan_count: 1 }],
      trend_direction: "stable",
      scope: { types: ["ec2:volume"] },
    });
    await clients
      .get("eu-west-1")!
      .send(new DeleteTagsCommand({ Resources: [half[0]!.split("/")[1]!], Tags: [{ Key: "Environment" }] }));
    // Somebody in another region than the call's, and as CloudTrail records it.
    const gone = half[0]!.split("/")[1]!;
    product!.trail.record({
      ...{ eventName: "DeleteTags", eventSource: "ec2.amazonaws.com", session: "mallory", at: new Date() },
      resource: { ResourceType: "AWS::EC2::Volume", ResourceName: gone },
      requestParameters: {
        resourcesSet: { items: [{ resourceId: gone }] },
        tagSet: { items: [{ key: "Environment" }] },
      },
    });
    const other = never[2]!.split("/")[1]!;
    const Tags = [{ Key: "Environment", Value: "staging" }];
    await clients.get("eu-central-1")!.send(new CreateTagsCommand({ Resources: [other], Tags }));
    product!.trail.record({
      ...{ eventName: "CreateTags", eventSource: "ec2.amazonaws.com", session: "carol", at: new Date() },
      resource: { ResourceType: "AWS::EC2::Volume", ResourceName: other },
      requestParameters: {
        resourcesSet: { items: [{ resourceId: other }] },
        tagSet: { items: [{ key: "Environment", value: "staging" }] },
      },
    });
    // And this server itself.
    const [shown] = (await assistant.call("tags_validate", { resource_arns: [half[2]] })).data.results;
    const planned = await assistant.call("tags_apply", {
      changes: [{ resource_arn: half[2], set: { Owner: "WEB 2" } }],
      ...{ basedOn: [shown.revision], intent: "a second web team" },
    });
    const { executionToken } = planned.data;
    expect((await assistant.call("changes_apply", { executionToken })).data.outcome).toBe("applied");

    const drift = await assistant.call("detect_tag_drift", { resource_types: ["ec2:volume"] });
    expect(drift.data, JSON.stringify(drift.data)).toMatchObject({
      resources_analyzed: 500,
      summary: { removed: 1, changed: 2, added: 1 },
      baseline_stored: false,
    });
    expect(drift.data.drift_detected).toContainEqual(
      expect.objectContaining({ resource_arn: half[0], drift_type: "removed", severity: "critical" }),
    );
    const rows = new Map(
      drift.data.drift_detected.map((one: { resource_arn: string }) => [one.resource_arn, one] as const),
    );
    expect(rows.get(half[0]!)).toMatchObject({
      by: {
        status: "known",
        confidence: "exact",
        principal: expect.stringContaining("NetworkEngineer"),
        session: "mallory",
      },
      at: expect.any(String),
    });
    expect(rows.get(never[2]!)).toMatchObject({ by: { confidence: "exact", session: "carol" } });
    const places = calls("cloudtrail", "LookupEvents").map((request) => JSON.stringify(request));
    expect(places.some((request) => request.includes("eu-central-1") && request.includes(other))).toBe(true);
    expect(rows.get(half[2]!)).toMatchObject({
      by: { status: "known", thisServer: true, changeId: planned.data.change.changeId, intent: "a second web team" },
    });
    // Nobody has recorded the other one yet: that is said, and nobody is named.
    expect(rows.get(half[1]!)).toMatchObject({
      by: { status: "pending", because: expect.stringContaining("15 minutes") },
    });
    // Nothing of this type was stored before: the first run makes the baseline.
    const first = await assistant.call("tags_drift", { resource_types: ["ec2:elastic-ip"] });
    expect(first.data).toMatchObject({ baseline_stored: true, total_drifts: 0, resources_without_baseline: 1 });
    expect((await assistant.call("tags_drift", { resource_types: ["ec2:elastic-ip"] })).data).toMatchObject({
      baseline_stored: false,
      resources_analyzed: 1,
    });
  });

  it("suggests by name and by what is alike, and never what is there", async () => {
    await clients
      .get("eu-central-1")!
      .send(
        new CreateTagsCommand({ Resources: [never[0]!.split("/")[1]!], Tags: [{ Key: "Name", Value: "api-prod-1" }] }),
      );
    const found = await assistant.call("suggest_tags", { resource_arn: never[0] });
    expect(found.data, JSON.stringify(found.data)).toMatchObject({ resource_type: "ec2:volume", not_read: [] });
    expect(found.data.suggestions).toEqual([
      expect.objectContaining({ tag_key: "Environment", suggested_value: "production", confidence: 0.75 }),
      expect.objectContaining({ tag_key: "Owner", suggested_value: "web" }),
    ]);
  });

  it("adds an exception with its author, and ends it", async () => {
    const exception = { arn: never[1], reason: "a test volume", expires: "2999-01-01" };
    expect((await assistant.call("tags_exceptions", { action: "add", ...exception })).data).toMatchObject({
      code: "validation_error",
      field: "expires",
    });
    const day = new Date(Date.parse((await assistant.call("tags_policy")).data.asOf) + 86_400_000).toISOString();
    const added = await assistant.call("tags_exceptions", { action: "add", ...exception, expires: day.slice(0, 10) });
    expect(added.data, JSON.stringify(added.data)).toMatchObject({ active_count: 1 });
    expect(added.data.exceptions.at(-1)).toMatchObject({
      arn: never[1],
      active: true,
      added_by: expect.stringContaining("arn:"),
    });
    expect((await assistant.call("tags_check", { resource_types: ["ec2:volume"] })).data.excepted_resources).toBe(1);
    const ended = await assistant.call("tags_exceptions", { action: "end", arn: never[1] });
    expect(ended.data.active_count).toBe(0);
  });

  it("puts Cost Explorer's figures over the scan, says what asking cost, and asks once", async () => {
    const seeded = {
      results: [
        {
          ResultsByTime: [
            {
              TimePeriod: { Start: "2026-01-01", End: "2026-01-31" },
              Estimated: false,
              Total: {},
              Groups: [{ Keys: ["EC2 - Other"], Metrics: { UnblendedCost: { Amount: "500", Unit: "USD" } } }],
            },
          ],
          DimensionValueAttributes: [],
        },
      ],
    };
    await fetch(`${moto.endpoint}/moto-api/static/ce/cost-and-usage-results`, {
      method: "POST",
      body: JSON.stringify(seeded),
    });
    const ask = { resource_types: ["ec2:volume"], time_period: { Start: "2026-01-01", End: "2026-01-31" } };
    const gap = await assistant.call("get_cost_attribution_gap", ask);
    expect(gap.isError, JSON.stringify(gap.data)).toBe(false);
    expect(gap.data).toMatchObject({
      total_spend: 500,
      taggable_spend: 500,
      attributable_spend: 330,
      attribution_gap: 170,
      attribution_gap_percentage: 34,
      unallocated: 0,
      api_cost_usd: 0.01,
      breakdown: { "ec2:volume": { total: 500, gap: 170, resources_scanned: 500 } },
    });
    expect((await assistant.call("tags_costGap", ask)).data.api_cost_usd).toBe(0);
  });

  /** What Cost Explorer answers from now on, in order; the emulator keeps an answer for the parameters it was first asked with. */
  const spends = (...answers: Record<string, string>[]) =>
    fetch(`${moto.endpoint}/moto-api/static/ce/cost-and-usage-results`, {
      method: "POST",
      body: JSON.stringify({
        results: answers.map((amounts) => ({
          ResultsByTime: [
            {
              ...{ TimePeriod: { Start: "2026-01-01", End: "2026-01-31" }, Estimated: true, Total: {} },
              Groups: Object.entries(amounts).map(([key, Amount]) => ({
                Keys: key.split("|"),
                Metrics: { UnblendedCost: { Amount, Unit: "USD" } },
              })),
            },
          ],
          DimensionValueAttributes: [],
        })),
      }),
    });

  it("asks for costs only where it is told to, and then says whose figure each is", async () => {
    const ask = { resource_types: ["ec2:volume"], limit: 1_000 };
    const without = await assistant.call("tags_check", ask);
    expect(without.data).toMatchObject({
      cost_attribution_gap: null,
      cost_data_note: expect.stringContaining("Not asked"),
    });
    expect(without.data.api_cost_usd).toBeUndefined();
    expect(without.data.violations[0].cost_impact_monthly).toBeNull();
    expect((await assistant.call("tags_untagged", ask)).data.resources[0].monthly_cost_estimate).toBeUndefined();
    expect(calls("ce", "GetCostAndUsage")).toHaveLength(0);

    await spends({ "EC2 - Other": "1000" });
    const found = await assistant.call("check_tag_compliance", { ...ask, include_costs: true });
    expect(found.isError, JSON.stringify(found.data)).toBe(false);
    expect(found.data).toMatchObject({ cost_attribution_gap: 340, cost_unallocated: 0, api_cost_usd: 0.01 });
    expect(found.data.violations[0].cost_impact_monthly).toBe(2);
    const gaps = found.data.regional_breakdown.map((one: { cost_attribution_gap: number }) => one.cost_attribution_gap);
    expect(gaps.reduce((sum: number, gap: number) => sum + gap, 0)).toBe(340);
    const [request] = calls("ce", "GetCostAndUsage");
    // Only what was scanned is asked about: these regions, this account, this service.
    expect(JSON.stringify(request)).toContain("123456789012");
    for (const region of REGIONS) expect(JSON.stringify(request)).toContain(region);

    // The figures are every tag tool's, and were paid for once.
    const untagged = await assistant.call("find_untagged_resources", { ...ask, include_costs: true });
    expect(untagged.data).toMatchObject({ total_monthly_cost: 2 * untagged.data.total_untagged, api_cost_usd: 0 });
    expect(untagged.data).toMatchObject({ without_cost_figure: 0, currency: "USD" });
    expect(untagged.data.resources[0]).toMatchObject({ monthly_cost_estimate: 2, cost_source: "service_average" });
    const dear = await assistant.call("tags_untagged", { ...ask, min_cost_threshold: 2 });
    expect(dear.data.total_untagged).toBe(untagged.data.total_untagged);
    expect((await assistant.call("tags_untagged", { ...ask, min_cost_threshold: 2.01 })).data).toMatchObject({
      ...{ total_untagged: 0, total_monthly_cost: 0 },
    });
    const report = await assistant.call("tags_report", {
      ...ask,
      limit: undefined,
      include_costs: true,
      format: "markdown",
    });
    expect(report.data, JSON.stringify(report.data)).toMatchObject({ summary: { cost_attribution_gap: 340 } });
    expect(report.data.formatted_output).toContain("Cost attribution gap | 340.00");
    const columns = ["arn", "cost_impact"];
    const csv = await assistant.call("tags_exportCsv", {
      resource_types: ["ec2:volume"],
      columns,
      include_costs: true,
    });
    expect(csv.data.csv_data).toMatch(/,2\.00\r?\n/);
    const bare = await assistant.call("tags_exportCsv", { resource_types: ["ec2:volume"], columns });
    expect(bare.data.csv_data.split(/\r?\n/)[1]).toMatch(/,$/);
  });

  it("shares what is paid for by name among its bearers, and names what is AWS's own figure", async () => {
    const { Images = [] } = await product!.outsider.ec2.send(new DescribeImagesCommand({ Owners: ["amazon"] }));
    const launch = (Name: string, count: number) =>
      clients.get("eu-west-1")!.send(
        new RunInstancesCommand({
          ...{ ImageId: Images[0]!.ImageId!, MinCount: count, MaxCount: count },
          TagSpecifications: [{ ResourceType: "instance", Tags: [{ Key: "Name", Value: Name }] }],
        }),
      );
    await launch("db one", 1);
    await launch("web", 2);
    await launch("unnamed-in-costs", 2);
    const EC2 = "Amazon Elastic Compute Cloud - Compute";
    await spends(
      { [EC2]: "100" },
      { [`${EC2}|Name$DB-One`]: "40", [`${EC2}|Name$web`]: "30", [`${EC2}|Name$gone`]: "10", [`${EC2}|Name$`]: "20" },
    );
    const found = await assistant.call("tags_untagged", { resource_types: ["ec2:instance"], include_costs: true });
    const figures = found.data.resources.map(
      (one: { current_tags: { Name: string }; monthly_cost_estimate: number; cost_source: string }) => [
        ...[one.current_tags.Name, one.monthly_cost_estimate, one.cost_source],
      ],
    );
    expect(figures).toEqual([
      ["db one", 40, "actual"],
      ["web", 15, "estimated"],
      ["web", 15, "estimated"],
      ["unnamed-in-costs", 10, "estimated"],
      ["unnamed-in-costs", 10, "estimated"],
    ]);
    expect(found.data).toMatchObject({ total_monthly_cost: 90, api_cost_usd: 0.02 });
  });

  it("invents no figure: where Cost Explorer is denied or silent, where a list failed, where it is another region's", async () => {
    const denied = { status: 400, code: "AccessDeniedException" };
    const ask = { resource_types: ["s3:bucket"] };
    proxy.rule({ service: "ce", answer: denied, times: 9 });
    const check = await assistant.call("tags_check", { ...ask, include_costs: true });
    expect(check.data, JSON.stringify(check.data)).toMatchObject({
      cost_attribution_gap: null,
      cost_data_note: "cost_data_unavailable: access_denied (ce:GetCostAndUsage)",
    });
    const untagged = await assistant.call("tags_untagged", { ...ask, include_costs: true });
    expect(untagged.data.cost_data_note).toContain("cost_data_unavailable");
    expect(untagged.data.total_monthly_cost).toBeUndefined();
    const chosen = await assistant.call("tags_untagged", { ...ask, min_cost_threshold: 1 });
    expect(chosen.data).toMatchObject({ code: "access_denied", action: "ce:GetCostAndUsage" });
    expect((await assistant.call("tags_costGap", ask)).data.code).toBe("access_denied");
    proxy.clear();

    await spends({});
    const silent = await assistant.call("tags_untagged", { ...ask, include_costs: true });
    expect(silent.data.cost_data_note).toContain("no figures");
    expect(silent.data.total_monthly_cost).toBeUndefined();

    // Buckets are listed whole, and the money asked for is that of these regions: where a bucket lives it is paid for.
    await spends({ "Amazon Simple Storage Service": "12" });
    const here = await assistant.call("tags_untagged", {
      ...{ ...ask, regions: ["us-east-1", "eu-west-1"], include_costs: true, force_refresh: true },
    });
    expect(here.data, JSON.stringify(here.data)).toMatchObject({ without_cost_figure: 0 });
    await spends({ "Amazon Simple Storage Service": "0.5" });
    const there = await assistant.call("tags_untagged", {
      ...{ ...ask, regions: ["eu-central-1"], include_costs: true, force_refresh: true },
    });
    expect(there.data).toMatchObject({ without_cost_figure: there.data.total_untagged, total_monthly_cost: 0 });
    expect(there.data.resources[0].monthly_cost_estimate).toBeUndefined();

    proxy.rule({
      ...{ service: "ec2", operation: "DescribeVolumes", times: 9 },
      where: ((request: object) => JSON.stringify(request).includes("eu-central-1")) as never,
      answer: { status: 403, code: "UnauthorizedOperation" },
    });
    const partial = await assistant.call("tags_untagged", {
      ...{ resource_types: ["ec2:volume"], include_costs: true, force_refresh: true },
    });
    // What the volumes of the denied region cost is among the service's spend, and nobody can say how much of it.
    expect(partial.data).toMatchObject({
      ...{ without_cost_figure: partial.data.total_untagged, total_monthly_cost: 0 },
      cost_data_note: expect.stringContaining("attributed to nobody"),
    });
  });

  it("makes Custodian policies of the policy in force, and knows its tags", async () => {
    const made = await assistant.call("generate_custodian_policy", { resource_types: ["ec2:volume"] });
    expect(made.data, JSON.stringify(made.data)).toMatchObject({
      total_policies: 3,
      dry_run: true,
      resource_types_covered: ["ec2:volume"],
      target_tags: ["Environment", "Owner"],
    });
    expect(made.data.combined_yaml.match(/^policies:$/gm)).toHaveLength(1);
    const refused = await assistant.call("tags_custodianPolicy", { target_tags: ["Nope"] });
    expect(refused.data).toMatchObject({ code: "validation_error", field: "target_tags" });
  });

  it("runs a scheduled audit by itself once the server is back, where it was due meanwhile", async () => {
    const ask = { resource_types: ["ec2:volume"], schedule: "weekly", time: "03:00" };
    const made = await assistant.call("schedule_compliance_audit", ask);
    expect(made.data, JSON.stringify(made.data)).toMatchObject({ status: "created", cron_expression: "0 3 * * MON" });
    await assistant.close();
    // A week passes while nobody is there.
    const path = `${product!.stateDir}/tagging/compliance_history.db`;
    const owner = { host: "test", bootId: "b", pid: 1, pidStart: "1", session: "time" };
    const clock = { monotonic: () => 0, sleep: async () => {} };
    const db = sqlite({ path, schema: HISTORY_SCHEMA, clock, owner, liveness: () => "unknown" });
    expect(await db.run("UPDATE audit_schedules SET next_run = '2026-01-05T03:00:00.000Z'")).toBe(1);
    await db.close();
    assistant = await product!.start({ env: settings });
    const before = (await assistant.call("tags_history")).data.history.at(-1);
    const ran = await vi.waitFor(
      async () => {
        const { data } = await assistant.call("tags_scheduleAudit", { action: "list" });
        expect(data.schedules).toMatchObject([{ schedule_id: made.data.schedule_id, run_count: 1 }]);
        return data.schedules[0];
      },
      { timeout: 15_000, interval: 200 },
    );
    expect(ran).toMatchObject({
      ...{ last_status: "completed", running: false, cron_expression: "0 3 * * MON" },
      last_run: { account: "123456789012", total_resources: 505, late_seconds: expect.any(Number) },
    });
    expect(Date.parse(ran.next_run)).toBeGreaterThan(Date.parse(ran.last_run.at));
    const after = (await assistant.call("tags_history")).data.history.at(-1);
    expect(after).toMatchObject({ total_resources: 505, scan_count: before.scan_count + 1 });
    expect(calls("ec2", "DescribeVolumes").length).toBeGreaterThanOrEqual(3);
    const { schedule_id } = ran;
    expect((await assistant.call("tags_scheduleAudit", { action: "remove", schedule_id })).data.status).toBe("removed");
  }, 30_000);
});
