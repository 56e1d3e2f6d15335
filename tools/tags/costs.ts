// What scanned resources cost: Cost Explorer's figures over a scan, by the one allocator, and never a figure that nothing stands behind.

import { type CostGap, costGap, type GapGroup, type GapResource } from "../../policies/cost-gap.js";
import type { Compliance, Violation } from "../../policies/tagging/evaluate.js";
import { GLOBAL_TYPES, type TypeTable } from "../../policies/tagging/types.js";
import { namedBy } from "../../src/core/arns.js";
import type { Period, Spend, SpendFilter, SpendGroup } from "../../src/core/content/costs.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import type { ReadPorts } from "../../src/core/ports.js";
import type { Scanned, ScanQuestion } from "./scan.js";

export const DAY_MS = 86_400_000;

/** Services whose spend Cost Explorer can tell apart by the Name tag of instances and databases. */
const withNamesIn = ({ costsOf }: TypeTable): string[] => ["ec2:instance", "rds:db"].map(costsOf).filter(Boolean);

export const usd = (micros: number): number => Math.round(micros) / 1e6;

/** Thirty days up to today, whose end is exclusive. */
export function lastThirtyDays(now: Date): Period {
  const day = (at: Date): string => at.toISOString().slice(0, 10);
  return { start: day(new Date(now.getTime() - 30 * DAY_MS)), end: day(now) };
}

/** Spend by the keys of its groups, over all periods; `currency` is null where AWS named no amount at all. */
interface Totals {
  readonly sums: ReadonlyMap<string, number>;
  readonly currency: string | null;
}

function totals({ periods, currency }: Spend): Totals {
  const sums = new Map<string, number>();
  for (const { keys, micros } of periods.flatMap(({ groups }) => groups)) {
    const key = keys.join("\u0000");
    sums.set(key, (sums.get(key) ?? 0) + micros);
  }
  return { sums, currency };
}

async function spendOf(
  { aws, cached }: ReadPorts,
  period: Period,
  groupBy: readonly SpendGroup[],
  filter: SpendFilter,
  forceRefresh: boolean,
): Promise<Totals> {
  const query = { ...period, granularity: "MONTHLY" as const, metric: "UnblendedCost" as const, groupBy, filter };
  const ask = { spend: query } as unknown as JsonObject;
  const { value } = await cached<Spend>("costs", { ask, forceRefresh }, async (billed) => ({
    value: await aws.costs.spend(query, billed),
    whole: true,
  }));
  return totals(value);
}

/** What Cost Explorer calls the region of services without one. */
const NO_REGION = "global";

/**
 * The money of what was looked at: this account's, for a bill may be a whole organization's, and of the regions that were
 * scanned where others were left out.
 */
function filterOf({ limitedTo, types }: Scanned, account: string): SpendFilter {
  const global = types.some((type) => GLOBAL_TYPES.has(type)) ? [NO_REGION] : [];
  return { accounts: [account], ...(limitedTo && { regions: [...limitedTo, ...global] }) };
}

/** Buckets are listed wherever they are; what one outside of these regions costs is not in their figures. */
const isElsewhere = ({ limitedTo }: Scanned, bucketRegion: string | undefined): boolean =>
  limitedTo !== null && bucketRegion !== undefined && !limitedTo.includes(bucketRegion);

export const inRegions = (scanned: Scanned): Scanned => ({
  ...scanned,
  resources: scanned.resources.filter(({ bucket_region }) => !isElsewhere(scanned, bucket_region)),
});

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
      elsewhere: isElsewhere(scanned, one.bucket_region),
    }),
  );
  return [...seen, ...hidden];
}

/** Services of which a list failed somewhere: whose the spend is cannot be said. */
function unreadServices({ unread, regions, types, table }: Scanned): string[] {
  const blind = regions.flatMap(({ taggedOnly, failed }) => (failed ? types : taggedOnly));
  const lists = unread.flatMap(({ arn, type }) => (arn === undefined ? [type] : []));
  return [...new Set([...blind, ...lists].map(table.costsOf))].filter(Boolean);
}

export interface CostQuestion {
  readonly period: Period;
  readonly groupBy?: GapGroup;
  /** The whole account's spend, and not only that of the scanned types' services. */
  readonly all: boolean;
  readonly forceRefresh: boolean;
}

export interface Costs {
  readonly gap: CostGap;
  /** null: AWS named no amount at all, and nothing is known. */
  readonly currency: string | null;
}

/** @throws OpsError where Cost Explorer cannot say: never a cost of nothing */
export async function costsOver(
  ports: ReadPorts,
  scanned: Scanned,
  found: Compliance,
  { period, groupBy, all, forceRefresh }: CostQuestion,
): Promise<Costs> {
  const { table } = scanned;
  const named = [...new Set(scanned.types.map(table.costsOf).filter(Boolean))];
  const filter = filterOf(scanned, ports.aws.account);
  const limited = all ? filter : { ...filter, services: named };
  const byService: SpendGroup = { by: "service" };
  const isFree = named.length === 0 && !all;
  const spend: Totals = isFree
    ? { sums: new Map(), currency: null }
    : await spendOf(ports, period, [byService], limited, forceRefresh);
  const withNames = withNamesIn(table).filter(
    (service) => named.includes(service) && (spend.sums.get(service) ?? 0) > 0,
  );
  const byName: Record<string, Record<string, number>> = {};
  if (withNames.length > 0) {
    const groups: SpendGroup[] = [byService, { by: "tag", tagKey: "Name" }];
    const { sums } = await spendOf(ports, period, groups, { ...filter, services: withNames }, forceRefresh);
    for (const [key, micros] of sums) {
      const [service = "", tag = ""] = key.split("\u0000");
      // `Name$` is what bears no name.
      const name = tag.slice(tag.indexOf("$") + 1);
      if (name === "") continue;
      byName[service] = { ...byName[service], [name]: (byName[service]?.[name] ?? 0) + micros };
    }
  }
  const services = Object.fromEntries(spend.sums);
  const gap = costGap({
    services,
    unattributable: all ? Object.keys(services).filter(table.isUnattributable) : [],
    unread: unreadServices(scanned),
    types: scanned.types,
    serviceOf: Object.fromEntries(scanned.types.map((type) => [type, table.costsOf(type)])),
    byName,
    resources: resourcesOf(scanned, found, ports.aws.account),
    ...(groupBy && { groupBy }),
  });
  return { gap, currency: isFree ? "USD" : spend.currency };
}

/** Costs beside an answer that stands without them. */
export interface CostsBeside {
  /** Of the last thirty days; absent: not asked for, or not known. */
  readonly costs?: Costs;
  readonly failure?: OpsError;
  /** The figure of a resource, where there is one. */
  of(arn: string): { readonly cost: number; readonly source: string } | null;
  readonly facts: JsonObject & { readonly cost_attribution_gap: number | null; readonly cost_data_note: string };
}

const NOT_ASKED = "Not asked for: include_costs asks Cost Explorer, at $0.01 a request.";

/** What is found costs, where it is asked for; what could not be had is said, and no reason to fail. */
export async function costsBeside(
  ports: ReadPorts,
  scanned: Scanned,
  found: Compliance,
  asked: Pick<CostQuestion, "all" | "forceRefresh"> & { readonly wanted: boolean },
): Promise<CostsBeside> {
  const without = (cost_data_note: string, failure?: OpsError): CostsBeside => ({
    ...(failure && { failure }),
    of: () => null,
    facts: { cost_attribution_gap: null, cost_data_note },
  });
  if (!asked.wanted) return without(NOT_ASKED);
  const period = lastThirtyDays(ports.now);
  let costs: Costs;
  try {
    costs = await costsOver(ports, scanned, found, { ...asked, period });
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    const { action } = error.details;
    return without(`cost_data_unavailable: ${error.code}${typeof action === "string" ? ` (${action})` : ""}`, error);
  }
  if (costs.currency === null) {
    return without("cost_data_unavailable: Cost Explorer has no figures of these services for the last thirty days");
  }
  const { resources, warnings } = costs.gap;
  return {
    costs,
    of(arn) {
      const given = resources.get(arn);
      return given && given.source !== "unknown" ? { cost: usd(given.cost), source: given.source } : null;
    },
    facts: {
      cost_attribution_gap: usd(costs.gap.attribution_gap),
      cost_unallocated: usd(costs.gap.unallocated),
      currency: costs.currency,
      cost_data_note: [
        `Unblended cost from ${period.start} to ${period.end} (exclusive). Only cost_source actual is AWS's own figure of the resource; the others are shares of the service's spend.`,
        ...warnings,
      ].join(" "),
    },
  };
}

/** Violations with what their resources cost, where that is known. */
export const withCosts = (violations: readonly Violation[], { of }: Pick<CostsBeside, "of">): Violation[] =>
  violations.map((one) => ({ ...one, cost_impact_monthly: of(one.resource_arn)?.cost ?? null }));

export const costsAsked = (
  { resource_types, force_refresh }: ScanQuestion,
  wanted: boolean,
): Parameters<typeof costsBeside>[3] => ({
  ...{ wanted, forceRefresh: force_refresh ?? false },
  all: resource_types.includes("all"),
});
