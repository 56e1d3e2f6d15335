// Which part of the spend its tags attribute: Cost Explorer's figures over the resources of a scan, by the one allocator.

import { z } from "zod";
import { type GapResource, costGap as gapOf } from "../../policies/cost-gap.js";
import type { Compliance } from "../../policies/tagging/evaluate.js";
import { GLOBAL_TYPES, isUnattributable, SCANNED } from "../../policies/tagging/types.js";
import { namedBy } from "../../src/core/arns.js";
import { isDay, type Period, type Spend, type SpendFilter, type SpendGroup } from "../../src/core/content/costs.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import type { ReadPorts } from "../../src/core/ports.js";
import { read } from "../../src/core/tool.js";
import { Filters, ForceRefresh, ResourceTypes } from "./inputs.js";
import { heldExceptions, heldPolicy } from "./policy.js";
import { compliance, Quality, type Scanned, scan } from "./scan.js";

const DAY_MS = 86_400_000;
const MOST_DAYS = 365;

const Day = z.string().refine(isDay, "must be a day, YYYY-MM-DD");

const TimePeriod = z
  .strictObject({ Start: Day, End: Day })
  .refine(({ Start, End }) => End > Start, "End is exclusive and comes after Start")
  .refine(({ Start, End }) => Date.parse(End) - Date.parse(Start) <= MOST_DAYS * DAY_MS, "spans 365 days at most");

/** Services whose spend Cost Explorer can tell apart by the Name tag of instances and databases. */
const NAMED = [SCANNED["ec2:instance"]!.costs, SCANNED["rds:db"]!.costs];

const usd = (micros: number): number => Math.round(micros) / 1e6;

/** What Cost Explorer calls the region of services without one. */
const NO_REGION = "global";

/**
 * The money of what was looked at: this account's, for a bill may be a whole organization's, and of the regions that were
 * scanned where others were left out.
 */
function filterOf({ scannedRegions, metadata, types }: Scanned, account: string): SpendFilter {
  const { skipped_regions: skipped, discovery_failed: blind } = metadata;
  const limited = blind === true || (Array.isArray(skipped) && skipped.length > 0);
  const global = types.some((type) => GLOBAL_TYPES.has(type)) ? [NO_REGION] : [];
  return { accounts: [account], ...(limited && { regions: [...scannedRegions, ...global] }) };
}

/** Buckets are listed wherever they are; what one outside these regions costs is not in their figures. */
const inRegions = (scanned: Scanned, { regions }: SpendFilter): Scanned => ({
  ...scanned,
  resources: scanned.resources.filter(
    ({ bucket_region }) => !regions || bucket_region === undefined || regions.includes(bucket_region),
  ),
});

/** Spend by the keys of its groups, over all periods. */
const totals = (spend: Spend): ReadonlyMap<string, number> => {
  const sums = new Map<string, number>();
  for (const { keys, micros } of spend.periods.flatMap(({ groups }) => groups)) {
    const key = keys.join("\u0000");
    sums.set(key, (sums.get(key) ?? 0) + micros);
  }
  return sums;
};

async function spendOf(
  { aws, cached }: ReadPorts,
  period: Period,
  groupBy: readonly SpendGroup[],
  filter: SpendFilter,
  forceRefresh: boolean,
): Promise<ReadonlyMap<string, number>> {
  const query = { ...period, granularity: "MONTHLY" as const, metric: "UnblendedCost" as const, groupBy, filter };
  const ask = { spend: query } as unknown as JsonObject;
  const { value } = await cached<Spend>("costs", { ask, forceRefresh }, async (billed) => ({
    value: await aws.costs.spend(query, billed),
    whole: true,
  }));
  return totals(value);
}

/** What was found, and what has an ARN and hid its tags: its spend is attributed to nobody. */
function resourcesOf(scanned: Scanned, { statuses }: Compliance, account: string): GapResource[] {
  const judged = statuses.filter(({ excepted }) => !excepted);
  const compliant = new Map(judged.map(({ resource_arn, status }) => [resource_arn, status === "fully_compliant"]));
  const hidden = scanned.unread.flatMap(({ arn, type, region }): GapResource[] =>
    arn === undefined || namedBy(arn) === null ? [] : [{ arn, type, region, account, compliant: null }],
  );
  const seen = scanned.resources.map(
    (one): GapResource => ({
      arn: one.arn,
      type: one.resource_type,
      region: one.region,
      account: one.account_id,
      ...(one.tags.Name && { name: one.tags.Name }),
      ...(one.instance_state && { state: one.instance_state }),
      compliant: compliant.get(one.arn) ?? false,
      ...(!compliant.has(one.arn) && { judged: false }),
    }),
  );
  return [...seen, ...hidden];
}

const Money = z.looseObject({ total: z.number(), attributable: z.number(), gap: z.number() });

export const costGap = read({
  title: "Show the cost attribution gap",
  description:
    "How much of the spend compliant tags attribute, and to whom the rest would belong: Cost Explorer's figures over a scan. 3 to 4 types a call, or all. Asks Cost Explorer ($0.01 a request, see api_cost_usd; cached for an hour). Today's figures lag a day. Spend by a tag's values: costs.byTag.",
  scope: "region",
  foreignText: true,
  input: z.object({
    resource_types: ResourceTypes,
    time_period: TimePeriod.optional().describe("Default: the last 30 days"),
    group_by: z.enum(["resource_type", "region", "account", "service"]).default("resource_type"),
    filters: Filters.optional(),
    force_refresh: ForceRefresh,
  }),
  output: z.object({
    total_spend: z.number(),
    taggable_spend: z.number(),
    attributable_spend: z.number(),
    attribution_gap: z.number(),
    attribution_gap_percentage: z.number(),
    unallocated: z.number(),
    time_period: z.object({ Start: z.string(), End: z.string() }),
    breakdown: z.record(z.string(), Money),
    unattributable_services: z.array(z.object({ service: z.string(), cost: z.number() })),
    total_resources_scanned: z.number(),
    total_resources_compliant: z.number(),
    total_resources_non_compliant: z.number(),
    warnings: z.array(z.string()),
    data_quality: Quality,
    skipped_types: z.array(z.string()),
    scan_timestamp: z.string(),
  }),
  async run({ time_period, group_by, force_refresh, ...question }, ports) {
    const { now } = ports;
    const today = now.toISOString().slice(0, 10);
    const before = new Date(now.getTime() - 30 * DAY_MS).toISOString().slice(0, 10);
    const period = { start: time_period?.Start ?? before, end: time_period?.End ?? today };
    if (period.start >= today) {
      throw new OpsError("validation_error", "The period begins after the last day that has figures.", {
        field: "time_period",
        details: { latest_start: before },
      });
    }
    const [{ policy }, exceptions] = await Promise.all([heldPolicy(ports), heldExceptions(ports)]);
    const all = question.resource_types.includes("all");
    const everything = await scan(ports, { ...question, force_refresh });
    const filter = filterOf(everything, ports.aws.account);
    const scanned = inRegions(everything, filter);
    const found = compliance(policy, exceptions, scanned, now);
    const named = [...new Set(scanned.types.map((type) => SCANNED[type]?.costs ?? "").filter(Boolean))];
    const limited = all ? filter : { ...filter, services: named };
    const byService: SpendGroup = { by: "service" };
    const spend =
      named.length === 0 && !all
        ? new Map<string, number>()
        : await spendOf(ports, period, [byService], limited, force_refresh);
    const withNames = NAMED.filter((service) => named.includes(service) && (spend.get(service) ?? 0) > 0);
    const byName: Record<string, Record<string, number>> = {};
    if (withNames.length > 0) {
      const groups: SpendGroup[] = [byService, { by: "tag", tagKey: "Name" }];
      const rows = await spendOf(ports, period, groups, { ...filter, services: withNames }, force_refresh);
      for (const [key, micros] of rows) {
        const [service = "", tag = ""] = key.split("\u0000");
        // `Name$` is what bears no name.
        const name = tag.slice(tag.indexOf("$") + 1);
        if (name === "") continue;
        byName[service] = { ...byName[service], [name]: (byName[service]?.[name] ?? 0) + micros };
      }
    }
    const services = Object.fromEntries(spend);
    const gap = gapOf({
      services,
      unattributable: all ? Object.keys(services).filter(isUnattributable) : [],
      types: scanned.types,
      serviceOf: Object.fromEntries(scanned.types.map((type) => [type, SCANNED[type]?.costs ?? ""])),
      byName,
      resources: resourcesOf(scanned, found, ports.aws.account),
      groupBy: group_by,
    });
    return {
      data: {
        total_spend: usd(gap.total_spend),
        taggable_spend: usd(gap.taggable_spend),
        attributable_spend: usd(gap.attributable_spend),
        attribution_gap: usd(gap.attribution_gap),
        attribution_gap_percentage: Math.round(gap.attribution_gap_percentage * 100) / 100,
        unallocated: usd(gap.unallocated),
        time_period: { Start: period.start, End: period.end },
        breakdown: Object.fromEntries(
          Object.entries(gap.breakdown).map(([key, one]) => [
            key,
            { ...one, total: usd(one.total), attributable: usd(one.attributable), gap: usd(one.gap) },
          ]),
        ),
        unattributable_services: gap.unattributable_services.map(({ service, cost }) => ({ service, cost: usd(cost) })),
        total_resources_scanned: scanned.resources.length,
        total_resources_compliant: found.compliant,
        total_resources_non_compliant: found.total - found.compliant,
        warnings: [
          ...gap.warnings,
          ...(scanned.complete
            ? []
            : ["What was not read costs too: its spend is shared by what was found, or unallocated."]),
        ],
        data_quality: scanned.quality,
        skipped_types: [...scanned.skippedTypes],
        scan_timestamp: scanned.at,
      },
    };
  },
});
