// Which part of the spend its tags attribute: Cost Explorer's figures over the resources of a scan, by the one allocator.

import { z } from "zod";
import { isDay } from "../../src/core/content/costs.js";
import { OpsError } from "../../src/core/errors.js";
import { read } from "../../src/core/tool.js";
import { costsOver, DAY_MS, inRegions, lastThirtyDays, usd } from "./costs.js";
import { Filters, ForceRefresh, ResourceTypes } from "./inputs.js";
import { heldExceptions, heldPolicy } from "./policy.js";
import { compliance, Quality, scan } from "./scan.js";

const MOST_DAYS = 365;

const Day = z.string().refine(isDay, "must be a day, YYYY-MM-DD");

const TimePeriod = z
  .strictObject({ Start: Day, End: Day })
  .refine(({ Start, End }) => End > Start, "End is exclusive and comes after Start")
  .refine(({ Start, End }) => Date.parse(End) - Date.parse(Start) <= MOST_DAYS * DAY_MS, "spans 365 days at most");

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
    currency: z.string().nullable(),
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
    const usual = lastThirtyDays(now);
    const period = { start: time_period?.Start ?? usual.start, end: time_period?.End ?? usual.end };
    if (period.start >= usual.end) {
      throw new OpsError("validation_error", "The period begins after the last day that has figures.", {
        field: "time_period",
        details: { latest_start: usual.start },
      });
    }
    const [{ policy }, exceptions] = await Promise.all([heldPolicy(ports), heldExceptions(ports)]);
    const scanned = inRegions(await scan(ports, { ...question, force_refresh }));
    const found = compliance(policy, exceptions, scanned, now);
    const { gap, currency } = await costsOver(ports, scanned, found, {
      ...{ period, groupBy: group_by, forceRefresh: force_refresh },
      all: question.resource_types.includes("all"),
    });
    return {
      data: {
        total_spend: usd(gap.total_spend),
        taggable_spend: usd(gap.taggable_spend),
        attributable_spend: usd(gap.attributable_spend),
        attribution_gap: usd(gap.attribution_gap),
        attribution_gap_percentage: Math.round(gap.attribution_gap_percentage * 100) / 100,
        unallocated: usd(gap.unallocated),
        currency,
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
        warnings: [...gap.warnings],
        data_quality: scanned.quality,
        skipped_types: [...scanned.skippedTypes],
        scan_timestamp: scanned.at,
      },
    };
  },
});
