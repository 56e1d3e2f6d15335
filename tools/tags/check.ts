// Compliance of what is there: the score of a scan, what has no required tag, single resources, stored scans.

import { z } from "zod";
import {
  type Compliance,
  evaluate,
  shownPercent,
  type Tagged,
  type Violation,
} from "../../policies/tagging/evaluate.js";
import { requiredFor } from "../../policies/tagging/policy.js";
import { bySeverity } from "../../policies/tagging/report.js";
import { OpsError } from "../../src/core/errors.js";
import type { Json, JsonObject } from "../../src/core/json.js";
import type { ReadPorts } from "../../src/core/ports.js";
import { read } from "../../src/core/tool.js";
import { type CostsBeside, costsAsked, costsBeside, DAY_MS, usd, withCosts } from "./costs.js";
import { Arn, Filters, ForceRefresh, IncludeCosts, Limit, Regions, ResourceTypes, SeverityFilter } from "./inputs.js";
import { heldExceptions, heldPolicy } from "./policy.js";
import { compliance, Metadata, Quality, type Scanned, scan, scoreOf, taggedView } from "./scan.js";
import { seenOf } from "./seen.js";

const Row = z.looseObject({});
const plain = <T>(value: T): Json => value as unknown as Json;

/** What the resources of a region cost that their tags attribute to nobody; null where not all of them have a figure. */
function regionalGaps(scanned: Scanned, found: Compliance, beside: CostsBeside): ReadonlyMap<string, number | null> {
  const attributed = new Set(
    found.statuses.flatMap((one) => (one.status === "fully_compliant" && !one.excepted ? [one.resource_arn] : [])),
  );
  const gaps = new Map<string, number | null>();
  for (const { arn, region } of scanned.resources) {
    const given = beside.of(arn);
    const before = gaps.get(region) ?? 0;
    const isKnown = gaps.get(region) !== null && given !== null;
    gaps.set(region, isKnown ? before + (attributed.has(arn) ? 0 : given.cost) : null);
  }
  return new Map([...gaps].map(([region, gap]) => [region, gap === null ? null : Math.round(gap * 1e6) / 1e6]));
}

function breakdown(scanned: Scanned, found: Compliance, beside: CostsBeside): JsonObject[] {
  const violated = new Map<string, number>();
  for (const { region } of found.violations) violated.set(region, (violated.get(region) ?? 0) + 1);
  const counted = new Map<string, { total: number; compliant: number }>();
  const regionOf = new Map(scanned.resources.map((one) => [one.arn, one.region]));
  for (const status of found.statuses) {
    if (status.excepted) continue;
    const region = regionOf.get(status.resource_arn) ?? "";
    const row = counted.get(region) ?? { total: 0, compliant: 0 };
    row.total++;
    if (status.status === "fully_compliant") row.compliant++;
    counted.set(region, row);
  }
  const gaps = beside.costs && regionalGaps(scanned, found, beside);
  const isBlind = new Set(
    scanned.regions.flatMap(({ region, unread, taggedOnly }) =>
      unread.length + taggedOnly.length > 0 ? [region] : [],
    ),
  );
  return scanned.regions
    .filter((one) => !one.failed)
    .map(({ region }) => {
      const { total, compliant } = counted.get(region) ?? { total: 0, compliant: 0 };
      return {
        region,
        total_resources: total,
        compliant_resources: compliant,
        compliance_score: total > 0 ? compliant / total : isBlind.has(region) ? null : 1,
        violation_count: violated.get(region) ?? 0,
        ...(gaps && { cost_attribution_gap: gaps.has(region) ? gaps.get(region)! : isBlind.has(region) ? null : 0 }),
      };
    });
}

/**
 * Kept for history and as the baseline of tag drift, as of when AWS was asked. Only what was read whole: a hole in the record
 * would later look like drift or progress. Returns why it was not kept; null: it was.
 */
export async function storeSnapshot(
  { tagging, aws }: ReadPorts,
  scanned: Scanned,
  found: Compliance,
  policyHash: string,
): Promise<string | null> {
  const { types, scannedRegions: regions, at } = scanned;
  if (!scanned.complete) return "the scan is not complete";
  try {
    await tagging.history.store(
      {
        timestamp: at,
        compliance_score: found.score,
        total_resources: found.total,
        compliant_resources: found.compliant,
        violation_count: found.violations.filter(({ severity }) => severity === "error").length,
      },
      { account: aws.account, types, regions, policyHash },
      new Map(scanned.resources.map(({ arn, tags }) => [arn, tags])),
    );
    return null;
  } catch (error) {
    return `the history could not be written (${error instanceof Error ? error.name : "unknown"})`;
  }
}

export const check = read({
  title: "Check tag compliance",
  description:
    "Score of resources against the tagging policy, with violations: every page of every enabled region, also what was never tagged. Read tags.policy first; 4 to 6 types a call. What could not be read is `unknown` in data_quality and counts neither way: report partial as partial. Only resources without required tags: tags.untagged.",
  scope: "region",
  foreignText: true,
  input: z.object({
    resource_types: ResourceTypes,
    filters: Filters.optional(),
    severity: SeverityFilter,
    store_snapshot: z.boolean().default(false).describe("Keep it for tags.history and tags.drift"),
    include_costs: IncludeCosts,
    force_refresh: ForceRefresh,
    limit: Limit,
  }),
  output: z.object({
    compliance_score: z.number().nullable(),
    compliance_percent: z.number().nullable(),
    status: z.string(),
    total_resources: z.number(),
    compliant_resources: z.number(),
    excepted_resources: z.number(),
    unknown_resources: z.number(),
    out_of_scope_resources: z.number(),
    violations: z.array(Row),
    violation_count: z.number(),
    cost_attribution_gap: z.number().nullable(),
    cost_data_note: z.string(),
    resource_status: z.array(Row),
    not_shown: z.object({ violations: z.number(), resource_status: z.number() }),
    scan_timestamp: z.string(),
    stored_in_history: z.boolean(),
    data_quality: Quality,
    region_metadata: Metadata,
    regional_breakdown: z.array(Row),
    skipped_types: z.array(z.string()),
    policy_warnings: z.array(z.string()),
  }),
  async run({ severity, store_snapshot, include_costs, limit, ...question }, ports) {
    const [{ policy, hash }, exceptions] = await Promise.all([heldPolicy(ports), heldExceptions(ports)]);
    const scanned = await scan(ports, question);
    const found = compliance(policy, exceptions, scanned, ports.now);
    const score = scoreOf(found, scanned);
    const beside = await costsBeside(ports, scanned, found, costsAsked(question, include_costs));
    const violations = withCosts(bySeverity(found.violations, severity), beside);
    const notStored = store_snapshot ? await storeSnapshot(ports, scanned, found, hash) : null;
    const worst = [...found.statuses].sort((a, b) => a.score_percent - b.score_percent);
    return {
      data: {
        compliance_score: score,
        compliance_percent: score === null ? null : shownPercent(score * 100),
        status: score === null ? "unknown" : found.status,
        total_resources: found.total,
        compliant_resources: found.compliant,
        excepted_resources: found.excepted,
        unknown_resources: scanned.unread.filter(({ arn }) => arn !== undefined).length,
        out_of_scope_resources: found.outOfScope,
        violations: plain(violations.slice(0, limit)) as Json[],
        violation_count: violations.length,
        ...beside.facts,
        resource_status: plain(worst.slice(0, limit)) as Json[],
        not_shown: {
          violations: Math.max(0, violations.length - limit),
          resource_status: Math.max(0, worst.length - limit),
        },
        scan_timestamp: scanned.at,
        stored_in_history: store_snapshot && notStored === null,
        ...(notStored !== null && { not_stored_because: notStored }),
        data_quality: scanned.quality,
        region_metadata: scanned.metadata,
        regional_breakdown: breakdown(scanned, found, beside),
        skipped_types: [...scanned.skippedTypes],
        policy_warnings: [...policy.warnings],
      },
    };
  },
});

export const untagged = read({
  title: "Find resources without required tags",
  description:
    "Resources that lack required tags (presence only; values are judged by tags.check), also those that never bore any tag, in all enabled regions. What could not be read is in data_quality and is not called untagged. With costs the dearest come first; one without a figure has none, which is not free.",
  scope: "region",
  foreignText: true,
  input: z.object({
    resource_types: ResourceTypes,
    regions: Regions.optional(),
    include_costs: IncludeCosts,
    min_cost_threshold: z
      .number()
      .min(0)
      .max(1_000_000)
      .optional()
      .describe("Monthly, inclusive; implies include_costs"),
    force_refresh: ForceRefresh,
    limit: Limit,
  }),
  output: z.object({
    total_untagged: z.number(),
    total_monthly_cost: z.number().optional(),
    without_cost_figure: z.number().optional(),
    currency: z.string().optional(),
    cost_data_note: z.string().optional(),
    resources: z.array(Row),
    not_shown: z.number(),
    data_quality: Quality,
    region_metadata: Metadata,
    skipped_types: z.array(z.string()),
    scan_timestamp: z.string(),
  }),
  async run({ regions, include_costs, min_cost_threshold, limit, ...given }, ports) {
    const [{ policy }, exceptions] = await Promise.all([heldPolicy(ports), heldExceptions(ports)]);
    const question = { ...given, ...(regions && { filters: { regions } }) };
    const scanned = await scan(ports, question);
    const found = compliance(policy, exceptions, scanned, ports.now);
    const missing = new Map<string, string[]>();
    for (const { resource_arn, tag_name, violation_type } of found.violations) {
      if (violation_type !== "missing_required_tag") continue;
      missing.set(resource_arn, [...(missing.get(resource_arn) ?? []), tag_name]);
    }
    const least = min_cost_threshold;
    const isPriced = include_costs || least !== undefined;
    const beside = await costsBeside(ports, scanned, found, costsAsked(question, isPriced));
    if (least !== undefined && !beside.costs) throw beside.failure ?? noThreshold(beside.facts.cost_data_note);
    const all = scanned.resources.filter(({ arn }) => missing.has(arn));
    const costOf = ({ arn }: Tagged): number | null => beside.of(arn)?.cost ?? null;
    const figures = all.filter((one) => costOf(one) !== null);
    const kept = least === undefined ? all : figures.filter((one) => costOf(one)! >= least);
    // Dearest first, where there are costs; what has none comes last.
    const lacking = beside.costs ? [...kept].sort((a, b) => (costOf(b) ?? -1) - (costOf(a) ?? -1)) : kept;
    return {
      data: {
        total_untagged: lacking.length,
        resources: lacking
          .slice(0, limit)
          .map((one) => ({ ...untaggedRow(one, missing.get(one.arn)!, ports.now), ...figureOf(beside.of(one.arn)) })),
        ...(beside.costs && {
          total_monthly_cost: usd(lacking.reduce((sum, one) => sum + Math.round((costOf(one) ?? 0) * 1e6), 0)),
          without_cost_figure: all.length - figures.length,
          ...(beside.costs.currency !== null && { currency: beside.costs.currency }),
        }),
        ...(isPriced && { cost_data_note: beside.facts.cost_data_note }),
        not_shown: Math.max(0, lacking.length - limit),
        data_quality: scanned.quality,
        region_metadata: scanned.metadata,
        skipped_types: [...scanned.skippedTypes],
        scan_timestamp: scanned.at,
      },
    };
  },
});

const figureOf = (given: ReturnType<CostsBeside["of"]>): JsonObject =>
  given ? { monthly_cost_estimate: given.cost, cost_source: given.source } : {};

/** Without figures nothing can be said to cost so much. */
const noThreshold = (note: string): OpsError =>
  new OpsError("aws_unavailable", "What these resources cost is not known, so they cannot be chosen by it.", {
    field: "min_cost_threshold",
    details: { cost_data_note: note },
  });

const untaggedRow = (one: Tagged, missing: readonly string[], now: Date): JsonObject => ({
  resource_id: one.resource_id,
  resource_type: one.resource_type,
  region: one.region,
  arn: one.arn,
  current_tags: { ...one.tags },
  missing_required_tags: [...missing],
  ...(one.created_at && {
    age_days: Math.max(0, Math.floor((now.getTime() - Date.parse(one.created_at)) / DAY_MS)),
  }),
});

/** The permission that is missing, where AWS names it. */
const actionOf = ({ details: { action } }: OpsError): JsonObject => (typeof action === "string" ? { action } : {});

const bare = ({ cost_impact_monthly: _, ...violation }: Violation): Json => plain(violation);

export const validate = read({
  title: "Validate the tags of resources",
  description:
    "The tags of up to 100 resources by ARN, read live where they live, against the policy, with a revision each for tags.apply. An ARN that AWS does not know is `not_found`; tags AWS does not show are `unknown`: neither is untagged.",
  scope: "region",
  foreignText: true,
  input: z.object({ resource_arns: z.array(Arn).min(1).max(100) }),
  output: z.object({
    total_resources: z.number(),
    compliant_resources: z.number(),
    non_compliant_resources: z.number(),
    results: z.array(Row),
    not_found: z.array(z.string()),
    unknown: z.array(Row),
    validation_timestamp: z.string(),
  }),
  async run({ resource_arns }, ports) {
    const [{ policy, types }, exceptions] = await Promise.all([heldPolicy(ports), heldExceptions(ports)]);
    const arns = [...new Set(resource_arns)];
    let done = 0;
    const looked = await Promise.all(
      arns.map(async (arn) => {
        const found = await seenOf(ports, arn).catch((error: unknown) => {
          if (error instanceof OpsError) return error;
          throw error;
        });
        ports.progress("reading tags", ++done, arns.length);
        return { arn, found };
      }),
    );
    const results: JsonObject[] = [];
    const seen = [];
    let compliant = 0;
    for (const { found } of looked) {
      if (found === null || found instanceof OpsError) continue;
      const view = taggedView(found.resource);
      const one = compliance(policy, exceptions, { resources: [view] } as unknown as Scanned, ports.now);
      const judged = types.isScanned(view.resource_type) && requiredFor(policy, view.resource_type).length > 0;
      const isCompliant = one.violations.every(({ severity }) => severity !== "error");
      if (isCompliant) compliant++;
      if (found.seen) seen.push(found.seen);
      results.push({
        resource_arn: view.arn,
        resource_id: view.resource_id,
        resource_type: view.resource_type,
        region: view.region,
        is_compliant: isCompliant,
        ...(one.excepted > 0 && { excepted: true }),
        ...(!judged && { note: "The policy requires nothing of this type." }),
        violations: (judged ? one.violations : evaluate(policy, view).violations).map(bare),
        current_tags: { ...view.tags },
        ...(found.seen && { revision: ports.revision(found.seen) }),
      });
    }
    return {
      data: {
        total_resources: results.length,
        compliant_resources: compliant,
        non_compliant_resources: results.length - compliant,
        results,
        not_found: looked.filter(({ found }) => found === null).map(({ arn }) => arn),
        unknown: looked.flatMap(({ arn, found }) =>
          found instanceof OpsError
            ? [{ resource_arn: arn, code: found.code, message: found.message, ...actionOf(found) }]
            : [],
        ),
        validation_timestamp: ports.now.toISOString(),
      },
      seen,
    };
  },
});
