// A scan as people read it: violations ranked, recommendations, CSV and Markdown. Pure.

import { csv } from "./csv.js";
import { gradeOf, type Severity, shownPercent, type Violation } from "./evaluate.js";

export interface ReportSummary {
  /** null: what could not be read leaves nothing to judge. */
  readonly overall_compliance_score: number | null;
  readonly total_resources: number;
  readonly compliant_resources: number;
  readonly non_compliant_resources: number;
  readonly total_violations: number;
  /** null: not asked, or not known. */
  readonly cost_attribution_gap: number | null;
}

export interface RankedTag {
  readonly tag_name: string;
  readonly violation_count: number;
  readonly total_cost_impact: number;
  readonly affected_resource_types: readonly string[];
}

const MOST_RANKED = 10;

export function rankedTags(violations: readonly Violation[]): {
  readonly byCount: readonly RankedTag[];
  readonly byCost: readonly RankedTag[];
} {
  const tags = new Map<string, { count: number; cost: number; types: Set<string> }>();
  for (const { tag_name, cost_impact_monthly, resource_type } of violations) {
    const row = tags.get(tag_name) ?? { count: 0, cost: 0, types: new Set<string>() };
    row.count++;
    row.cost += cost_impact_monthly ?? 0;
    row.types.add(resource_type);
    tags.set(tag_name, row);
  }
  const rows = [...tags].map(([tag_name, { count, cost, types }]) => ({
    tag_name,
    violation_count: count,
    total_cost_impact: Number(cost.toFixed(2)),
    affected_resource_types: [...types].sort(),
  }));
  const byName = (a: RankedTag, b: RankedTag): number => (a.tag_name < b.tag_name ? -1 : 1);
  return {
    byCount: [...rows].sort((a, b) => b.violation_count - a.violation_count || byName(a, b)).slice(0, MOST_RANKED),
    byCost: rows
      .filter(({ total_cost_impact }) => total_cost_impact > 0)
      .sort((a, b) => b.total_cost_impact - a.total_cost_impact || byName(a, b))
      .slice(0, MOST_RANKED),
  };
}

export interface Recommendation {
  readonly priority: "high" | "medium" | "low";
  readonly title: string;
  readonly description: string;
}

export function recommendationsFor(
  summary: ReportSummary,
  violations: readonly Violation[],
): readonly Recommendation[] {
  const { byCount, byCost } = rankedTags(violations);
  const found: Recommendation[] = [];
  const put = (priority: Recommendation["priority"], title: string, description: string): void => {
    found.push({ priority, title, description });
  };
  const [dearest] = byCost;
  const [commonest] = byCount;
  if (dearest && dearest.total_cost_impact > 1_000) {
    put(
      "high",
      `Fix ${dearest.tag_name} first`,
      `Its violations hide $${dearest.total_cost_impact.toFixed(2)} a month.`,
    );
  }
  if (commonest && commonest.violation_count > 10) {
    put("high", `Fix ${commonest.tag_name} across the account`, `It is violated ${commonest.violation_count} times.`);
  }
  const score = summary.overall_compliance_score;
  if (score !== null && score < 0.5)
    put("high", "Make tags part of how resources are created", "Fewer than half of the resources comply.");
  const types = new Map<string, number>();
  for (const { resource_type } of violations) types.set(resource_type, (types.get(resource_type) ?? 0) + 1);
  const [worst] = [...types].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  if (worst && worst[1] > 5) put("medium", `Look at ${worst[0]}`, `It has ${worst[1]} violations.`);
  const gap = summary.cost_attribution_gap ?? 0;
  if (gap > 1_000) {
    put(
      gap > 5_000 ? "high" : "medium",
      "Close the cost attribution gap",
      `$${gap.toFixed(2)} a month belong to nobody.`,
    );
  }
  if (score !== null && score >= 0.9 && summary.total_resources > 0)
    put("low", "Keep it so", "Nine of ten resources comply; watch for drift.");
  return found;
}

export const CSV_COLUMNS = [
  "resource_arn",
  "resource_id",
  "resource_type",
  "region",
  "violation_type",
  "tag_name",
  "severity",
  "current_value",
  "allowed_values",
  "cost_impact_monthly",
] as const;
export type CsvColumn = (typeof CSV_COLUMNS)[number];
export const DEFAULT_COLUMNS: readonly CsvColumn[] = [
  "resource_arn",
  "resource_type",
  "violation_type",
  "tag_name",
  "severity",
  "region",
];
/** Short names users give. */
export const COLUMN_ALIASES: Readonly<Record<string, CsvColumn>> = {
  arn: "resource_arn",
  cost_impact: "cost_impact_monthly",
};

export const violationsCsv = (violations: readonly Violation[], columns: readonly CsvColumn[]): string =>
  csv([
    columns,
    ...violations.map((violation) =>
      columns.map((column) => {
        if (column === "allowed_values") return violation.allowed_values?.join("; ") ?? null;
        if (column === "cost_impact_monthly") return violation.cost_impact_monthly?.toFixed(2) ?? null;
        return violation[column];
      }),
    ),
  ]);

/** What `severity` means in every tag tool that takes it. */
export const bySeverity = (
  violations: readonly Violation[],
  severity: "all" | "errors_only" | "warnings_only",
): readonly Violation[] => {
  const wanted: Severity | null =
    severity === "errors_only" ? "error" : severity === "warnings_only" ? "warning" : null;
  return wanted === null ? violations : violations.filter((one) => one.severity === wanted);
};

interface ReportParts {
  readonly summary: ReportSummary;
  readonly violations: readonly Violation[];
  readonly recommendations: readonly Recommendation[];
  /** Says what the figures do not cover. */
  readonly warning?: string;
}

const scoreText = (score: number, decimals: number): string => shownPercent(score * 100, decimals).toFixed(decimals);

const UNKNOWN = "unknown";

export const gradeIn = ({ overall_compliance_score: score }: ReportSummary): string =>
  score === null ? UNKNOWN : gradeOf(score * 100);

function summaryRows({ summary, warning }: ReportParts, decimals: number, costs: boolean): string[][] {
  const score = summary.overall_compliance_score;
  return [
    ["Compliance score", score === null ? UNKNOWN : `${scoreText(score, decimals)}%`],
    ["Grade", gradeIn(summary)],
    ["Total resources", String(summary.total_resources)],
    ["Compliant resources", String(summary.compliant_resources)],
    ["Non-compliant resources", String(summary.non_compliant_resources)],
    ["Total violations", String(summary.total_violations)],
    ...(costs ? [["Cost attribution gap", summary.cost_attribution_gap?.toFixed(2) ?? UNKNOWN]] : []),
    ...(warning ? [["Incomplete", warning]] : []),
  ];
}

interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

function tables(parts: ReportParts, decimals: number): readonly Table[] {
  const { byCount, byCost } = rankedTags(parts.violations);
  const costs = (parts.summary.cost_attribution_gap ?? 0) > 0 || byCost.length > 0;
  const ranked = (rows: readonly RankedTag[]): Table["rows"] =>
    rows.map((row) => [
      row.tag_name,
      String(row.violation_count),
      ...(costs ? [row.total_cost_impact.toFixed(2)] : []),
      row.affected_resource_types.join("; "),
    ]);
  const head = ["Tag", "Violations", ...(costs ? ["Cost impact"] : []), "Resource types"];
  return [
    { title: "Summary", head: ["Metric", "Value"], rows: summaryRows(parts, decimals, costs) },
    { title: "Top violations by count", head, rows: ranked(byCount) },
    ...(byCost.length > 0 ? [{ title: "Top violations by cost", head, rows: ranked(byCost) }] : []),
    ...(parts.recommendations.length > 0
      ? [
          {
            title: "Recommendations",
            head: ["Priority", "What", "Why"],
            rows: parts.recommendations.map((one) => [one.priority, one.title, one.description]),
          },
        ]
      : []),
  ];
}

export const reportCsv = (parts: ReportParts): string =>
  tables(parts, 2)
    .map(({ title, head, rows }) => csv([[title], head, ...rows]))
    .join("\r\n");

/** A cell of a table in Markdown: what is in it starts no other cell, no markup and no line. */
const markdownCell = (text: string): string =>
  text.replace(/[\r\n]+/g, " ").replace(/[\\|<>`*_[\]]/g, (sign) => `\\${sign}`);

export const reportMarkdown = (parts: ReportParts): string =>
  [
    "# Tag compliance report",
    ...tables(parts, 1).map(({ title, head, rows }) =>
      [
        `## ${title}`,
        "",
        `| ${head.join(" | ")} |`,
        `|${head.map(() => "---").join("|")}|`,
        ...rows.map((row) => `| ${row.map(markdownCell).join(" | ")} |`),
      ].join("\n"),
    ),
  ].join("\n\n");
