// A scan to hand on: a report in three formats, and violations as CSV.

import { z } from "zod";
import {
  bySeverity,
  COLUMN_ALIASES,
  CSV_COLUMNS,
  type CsvColumn,
  DEFAULT_COLUMNS,
  gradeIn,
  type ReportSummary,
  rankedTags,
  recommendationsFor,
  reportCsv,
  reportMarkdown,
  violationsCsv,
} from "../../policies/tagging/report.js";
import type { Json } from "../../src/core/json.js";
import { read } from "../../src/core/tool.js";
import { costsAsked, costsBeside, withCosts } from "./costs.js";
import { Filters, ForceRefresh, IncludeCosts, ResourceTypes, SeverityFilter } from "./inputs.js";
import { heldExceptions, heldPolicy } from "./policy.js";
import { compliance, Quality, scan, scoreOf } from "./scan.js";

const warningOf = (quality: { readonly [key: string]: Json }): { warning?: string } =>
  typeof quality.warning === "string" ? { warning: quality.warning } : {};

export const report = read({
  title: "Report tag compliance",
  description:
    "A compliance report as JSON, CSV or Markdown: score, violations ranked by tag, recommendations. It names what could not be read; keep that line when you pass it on. Single violations: tags.exportCsv.",
  scope: "region",
  foreignText: true,
  input: z.object({
    resource_types: ResourceTypes,
    format: z.enum(["json", "csv", "markdown"]).default("json"),
    include_recommendations: z.boolean().default(true),
    include_costs: IncludeCosts,
    filters: Filters.optional(),
    force_refresh: ForceRefresh,
  }),
  output: z.object({
    format: z.string(),
    formatted_output: z.string(),
    summary: z.object({
      overall_compliance_score: z.number().nullable(),
      total_resources: z.number(),
      compliant_resources: z.number(),
      non_compliant_resources: z.number(),
      total_violations: z.number(),
      cost_attribution_gap: z.number().nullable(),
    }),
    cost_data_note: z.string(),
    excepted_resources: z.number(),
    data_quality: Quality,
    skipped_types: z.array(z.string()),
    report_timestamp: z.string(),
    scan_timestamp: z.string(),
  }),
  async run({ format, include_recommendations, include_costs, ...question }, ports) {
    const [{ policy }, exceptions] = await Promise.all([heldPolicy(ports), heldExceptions(ports)]);
    const scanned = await scan(ports, question);
    const found = compliance(policy, exceptions, scanned, ports.now);
    const beside = await costsBeside(ports, scanned, found, costsAsked(question, include_costs));
    const errors = found.violations.filter(({ severity }) => severity === "error");
    const violations = withCosts(errors, beside);
    const summary: ReportSummary = {
      overall_compliance_score: scoreOf(found, scanned),
      total_resources: found.total,
      compliant_resources: found.compliant,
      non_compliant_resources: found.total - found.compliant,
      total_violations: violations.length,
      cost_attribution_gap: beside.facts.cost_attribution_gap,
    };
    const recommendations = include_recommendations ? recommendationsFor(summary, violations) : [];
    const parts = { summary, violations, recommendations, ...warningOf(scanned.quality) };
    const ranked = rankedTags(violations);
    const bare = ranked.byCount.map(({ total_cost_impact, ...row }) =>
      beside.costs ? { ...row, total_cost_impact } : row,
    );
    const formatted =
      format === "csv"
        ? reportCsv(parts)
        : format === "markdown"
          ? reportMarkdown(parts)
          : JSON.stringify({
              summary,
              grade: gradeIn(summary),
              top_violations_by_count: bare,
              ...(beside.costs && { top_violations_by_cost: ranked.byCost }),
              recommendations,
              ...warningOf(scanned.quality),
            });
    return {
      data: {
        format,
        formatted_output: formatted,
        summary: { ...summary },
        cost_data_note: beside.facts.cost_data_note,
        excepted_resources: found.excepted,
        data_quality: scanned.quality,
        skipped_types: [...scanned.skippedTypes],
        report_timestamp: ports.now.toISOString(),
        scan_timestamp: scanned.at,
      },
    };
  },
});

const Column = z
  .enum([...CSV_COLUMNS, "arn", "cost_impact"])
  .transform((name): CsvColumn => COLUMN_ALIASES[name] ?? (name as CsvColumn));

export const exportCsv = read({
  title: "Export violations as CSV",
  description:
    "Every violation of a scan as CSV, for spreadsheets: cells that would be formulas are text. Columns can be chosen. What could not be read is in data_quality, not in the rows.",
  scope: "region",
  foreignText: true,
  input: z.object({
    resource_types: ResourceTypes.default(["all"]),
    severity: SeverityFilter,
    columns: z.array(Column).min(1).max(CSV_COLUMNS.length).optional(),
    include_costs: IncludeCosts,
    filters: Filters.optional(),
    force_refresh: ForceRefresh,
  }),
  output: z.object({
    csv_data: z.string(),
    row_count: z.number(),
    column_count: z.number(),
    columns: z.array(z.string()),
    format: z.literal("csv"),
    filters_applied: z.looseObject({}),
    cost_data_note: z.string(),
    data_quality: Quality,
    skipped_types: z.array(z.string()),
    export_timestamp: z.string(),
    scan_timestamp: z.string(),
  }),
  async run({ severity, columns = [...DEFAULT_COLUMNS], include_costs, ...question }, ports) {
    const [{ policy }, exceptions] = await Promise.all([heldPolicy(ports), heldExceptions(ports)]);
    const scanned = await scan(ports, question);
    const found = compliance(policy, exceptions, scanned, ports.now);
    const beside = await costsBeside(ports, scanned, found, costsAsked(question, include_costs));
    const rows = withCosts(bySeverity(found.violations, severity), beside);
    return {
      data: {
        csv_data: violationsCsv(rows, columns),
        row_count: rows.length,
        column_count: columns.length,
        columns,
        format: "csv",
        filters_applied: { resource_types: question.resource_types, severity },
        cost_data_note: beside.facts.cost_data_note,
        data_quality: scanned.quality,
        skipped_types: [...scanned.skippedTypes],
        export_timestamp: ports.now.toISOString(),
        scan_timestamp: scanned.at,
      },
    };
  },
});
