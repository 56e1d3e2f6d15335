// What the tag tools must never say: of an account they did not look at, of money that is not its own, of a scan that is the same.

import { describe, expect, it } from "vitest";
import type { SpendQuery } from "../../src/core/content/costs.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import type { ReadPorts } from "../../src/core/ports.js";
import type { ScanRequest, TaggedResource } from "../../src/core/tagged.js";
import type { ReadTool } from "../../src/core/tool.js";
import { memoryHistory } from "../../src/tagging/history.js";
import { tags } from "../../tools/tags.js";

const ACCOUNT = "123456789012";
const NOW = "2026-11-28T12:00:00.000Z";
const POLICY = {
  required_tags: [{ name: "Owner", applies_to: ["ec2:volume", "cloudfront:distribution"] }],
  optional_tags: [{ name: "Stage", allowed_values: ["production"] }],
};

const resource = (type: string, region: string, id: string, given: Record<string, string> = {}): TaggedResource => ({
  arn: `arn:aws:${type.split(":")[0]}:${region === "global" ? "" : region}:${ACCOUNT}:${type.split(":")[1]}/${id}`,
  ...{ type, id, account: ACCOUNT, region, tags: given },
});

interface Facts {
  readonly resources?: readonly TaggedResource[];
  readonly enabled?: readonly string[] | OpsError;
  readonly allowedRegions?: readonly string[];
  readonly spend?: Readonly<Record<string, string>>;
}

/** An account with two regions, whose money is told by service. */
function world({ resources = [], enabled = ["eu-west-1", "us-east-1"], allowedRegions = [], spend = {} }: Facts = {}) {
  const queries: SpendQuery[] = [];
  const scans: ScanRequest[] = [];
  const history = memoryHistory();
  let exceptions: readonly JsonObject[] = [];
  const ports = {
    aws: {
      account: ACCOUNT,
      region: "eu-west-1",
      async regions() {
        if (enabled instanceof OpsError) throw enabled;
        return enabled.map((region) => ({ region, optIn: "opt-in-not-required" }));
      },
      tagged: {
        async scan(request: ScanRequest) {
          scans.push(request);
          const regions = request.types.every((type) => request.globalTypes.has(type)) ? [] : request.regions;
          const places = request.types.some((type) => request.globalTypes.has(type)) ? ["global", ...regions] : regions;
          return places.map((region) => ({
            region,
            types: request.types.length,
            resources: resources.filter((one) => one.region === region && request.types.includes(one.type)),
            unread: [],
            taggedOnly: [],
          }));
        },
      },
      costs: {
        async spend(query: SpendQuery) {
          queries.push(query);
          const groups = Object.entries(spend).map(([key, usd]) => ({ keys: [key], micros: Number(usd) * 1e6 }));
          return {
            currency: "USD",
            periods: [{ start: query.start, end: query.end, estimated: false, groups }],
            labels: {},
          };
        },
      },
    },
    cached: async (_class: string, _question: object, load: (billed: () => void) => Promise<{ value: unknown }>) => ({
      value: (await load(() => {})).value,
      readAt: NOW,
    }),
    tagging: {
      files: {
        policy: async () => ({ source: "existing_file", success: true, message: "", policy_path: "p", value: POLICY }),
        resourceTypes: async () => ({ path: null, value: null }),
        exceptions: async () => ({ path: "e", list: exceptions }),
      },
      history,
      allowedRegions,
      regionsAtOnce: 1,
      regionTimeoutMs: 1,
    },
    state: { resources: new Map() },
    caller: { arn: `arn:aws:iam::${ACCOUNT}:user/ada` },
    now: new Date(NOW),
    progress: () => {},
  } as unknown as ReadPorts;
  return {
    queries,
    scans,
    history,
    except(list: readonly JsonObject[]) {
      exceptions = list;
    },
    // biome-ignore lint/suspicious/noExplicitAny: answers are read as a client reads them
    async ask(tool: string, given: object = {}): Promise<any> {
      const { input, run } = tags.tools[tool] as ReadTool;
      return (await run(input.parse(given), ports)).data;
    },
  };
}

const VOLUMES = ["eu-west-1", "us-east-1"].map((region) => resource("ec2:volume", region, `vol-${region}`));

describe("an account that a scan did not look at", () => {
  it("is not said to comply, and nothing of it is stored", async () => {
    const { ask, history } = world({ resources: VOLUMES });
    const given = { resource_types: ["ec2:volume"], filters: { account_id: "999999999999" } };
    const asked = ask("check", { ...given, store_snapshot: true });
    await expect(asked).rejects.toMatchObject({ code: "validation_error", field: "filters" });
    expect(await history.scans(ACCOUNT, "2026-01-01")).toEqual([]);
  });

  it("makes figures partial where another one was named with it", async () => {
    const { ask } = world({ resources: VOLUMES });
    const filters = { account_id: [ACCOUNT, "999999999999"] };
    const found = await ask("check", { resource_types: ["ec2:volume"], filters });
    expect(found).toMatchObject({
      total_resources: 2,
      data_quality: { status: "partial", accounts_not_seen: ["999999999999"] },
    });
  });
});

describe("the money a gap is made of", () => {
  const ask = { resource_types: ["ec2:volume"] };

  it("is the scanned account's own, also where the bill is an organization's", async () => {
    const { ask: run, queries } = world({ resources: VOLUMES, spend: { "EC2 - Other": "10" } });
    await run("costGap", ask);
    expect(queries[0]!.filter).toMatchObject({ accounts: [ACCOUNT] });
  });

  it("is that of the regions the operator lets it look at", async () => {
    const { ask: run, queries } = world({ resources: VOLUMES, allowedRegions: ["eu-west-1"], spend: {} });
    await run("costGap", ask);
    expect(queries[0]!.filter).toMatchObject({ regions: ["eu-west-1"] });
  });

  it("holds that of services without regions, which are scanned whatever region is named", async () => {
    const cdn = resource("cloudfront:distribution", "global", "E1");
    const { ask: run, queries } = world({ resources: [cdn], spend: { "Amazon CloudFront": "10" } });
    await run("costGap", { resource_types: ["cloudfront:distribution"], filters: { region: "eu-west-1" } });
    expect(queries[0]!.filter.regions).toEqual(["eu-west-1", "global"]);
  });

  it("calls nothing non-compliant of which the policy asks nothing, or which is excepted", async () => {
    const queue = resource("kinesis:stream", "eu-west-1", "s");
    const { ask: run, except } = world({
      resources: [...VOLUMES, queue],
      spend: { "EC2 - Other": "10", "Amazon Kinesis": "5" },
    });
    except([{ arn: VOLUMES[0]!.arn, reason: "sandbox", expires: "2027-01-01" }]);
    const found = await run("costGap", { resource_types: ["ec2:volume", "kinesis:stream"] });
    expect(found.total_resources_non_compliant).toBe(1);
    const rows = Object.values(found.breakdown) as { resources_non_compliant: number }[];
    expect(rows.reduce((sum, row) => sum + row.resources_non_compliant, 0)).toBe(1);
    expect(found.breakdown["kinesis:stream"]).toMatchObject({ resources_not_judged: 1, gap: 5 });
    expect(found.breakdown["ec2:volume"]).toMatchObject({ resources_not_judged: 1, resources_non_compliant: 1 });
  });
});

describe("what is not known of the regions", () => {
  const denied = new OpsError("access_denied", "no");

  it("is no list of the operator's that names none", async () => {
    const { ask } = world({ enabled: denied, allowedRegions: ["us-east-1"], resources: VOLUMES });
    const found = await ask("check", { resource_types: ["ec2:volume"] });
    expect(found).toMatchObject({
      total_resources: 1,
      region_metadata: { discovery_failed: true, successful_regions: ["us-east-1"] },
      data_quality: { status: "partial" },
    });
  });

  it("is no reason to refuse a region that was named", async () => {
    const { ask } = world({ enabled: denied, resources: VOLUMES });
    const found = await ask("check", { resource_types: ["ec2:volume"], filters: { region: "us-east-1" } });
    expect(found).toMatchObject({ total_resources: 1, data_quality: { status: "partial" } });
  });
});

describe("stored scans", () => {
  it("are of one scope in whatever order its types were named", async () => {
    const { ask } = world({ resources: VOLUMES });
    await ask("check", { resource_types: ["ec2:volume", "kinesis:stream"], store_snapshot: true });
    await ask("check", { resource_types: ["kinesis:stream", "ec2:volume"], store_snapshot: true });
    const found = await ask("history");
    expect(found).toMatchObject({ scans_of_other_scopes: 0, history: [{ scan_count: 2 }] });
  });

  it.each([0.1, 0.7])("that all score %d show no trend", async (score) => {
    const { ask, history } = world();
    const days = ["25", "26", "26", "26"];
    for (const [index, day] of days.entries()) {
      const scan = { compliance_score: score, total_resources: 10, compliant_resources: 1, violation_count: 9 };
      const scope = { account: ACCOUNT, types: ["ec2:volume"], regions: ["eu-west-1"], policyHash: "p" };
      await history.store({ ...scan, timestamp: `2026-11-${day}T0${index}:00:00.000Z` }, scope, new Map());
    }
    expect(await ask("history")).toMatchObject({ trend_direction: "stable", latest_score: score });
  });
});

describe("an exception", () => {
  it("counts for what is optional too, also of a type of which nothing is required", async () => {
    const stream = resource("kinesis:stream", "eu-west-1", "s", { Stage: "other" });
    const { ask, except } = world({ resources: [stream] });
    const given = { resource_types: ["kinesis:stream"] };
    expect((await ask("check", given)).violation_count).toBe(1);
    except([{ arn: stream.arn, reason: "sandbox", expires: "2027-01-01" }]);
    expect((await ask("check", given)).violation_count).toBe(0);
  });
});
