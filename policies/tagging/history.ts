// Stored scans over time, and tags against a baseline. Pure.

import type { Tagged } from "./evaluate.js";

/** One stored scan. */
export interface Scan {
  /** ISO time. */
  readonly timestamp: string;
  readonly compliance_score: number;
  readonly total_resources: number;
  readonly compliant_resources: number;
  readonly violation_count: number;
}

export type Grouping = "day" | "week" | "month";

/** The first day of the period a time is in. */
export function periodOf(timestamp: string, by: Grouping): string {
  const day = timestamp.slice(0, 10);
  if (by === "day") return day;
  if (by === "month") return `${day.slice(0, 7)}-01`;
  const date = new Date(`${day}T00:00:00Z`);
  date.setUTCDate(date.getUTCDate() - ((date.getUTCDay() + 6) % 7));
  return date.toISOString().slice(0, 10);
}

/** A mean of equal scores is that score: what floats add is no trend. */
const meanOf = (scores: readonly number[]): number =>
  Number((scores.reduce((sum, score) => sum + score, 0) / scores.length).toPrecision(12));

/** Periods oldest first: the score is the mean of its scans, the counts are those of the last one. */
export function historyOf(scans: readonly Scan[], by: Grouping) {
  const periods = new Map<string, Scan[]>();
  for (const scan of [...scans].sort((a, b) => (a.timestamp < b.timestamp ? -1 : 1))) {
    const key = periodOf(scan.timestamp, by);
    periods.set(key, [...(periods.get(key) ?? []), scan]);
  }
  const history = [...periods].map(([timestamp, some]) => {
    const last = some.at(-1)!;
    return {
      timestamp,
      compliance_score: meanOf(some.map(({ compliance_score }) => compliance_score)),
      total_resources: last.total_resources,
      compliant_resources: last.compliant_resources,
      violation_count: last.violation_count,
      scan_count: some.length,
    };
  });
  const earliest = history[0]?.compliance_score ?? 1;
  const latest = history.at(-1)?.compliance_score ?? 1;
  const change = latest - earliest;
  const direction = change > 0 ? "improving" : change < 0 ? "declining" : "stable";
  return {
    history,
    trend_direction: direction,
    earliest_score: earliest,
    latest_score: latest,
    trend_analysis: { direction, score_change: change, score_change_percentage: change * 100 },
  };
}

export type DriftType = "added" | "removed" | "changed";

export interface TagDrift {
  readonly resource_arn: string;
  readonly resource_id: string;
  readonly resource_type: string;
  readonly region: string;
  readonly tag_key: string;
  readonly drift_type: DriftType;
  readonly old_value: string | null;
  readonly new_value: string | null;
  readonly severity: "critical" | "warning" | "info";
}

const severityOf = (type: DriftType, required: boolean): TagDrift["severity"] =>
  !required || type === "added" ? "info" : type === "removed" ? "critical" : "warning";

/** How tags differ from those of a baseline. A resource the baseline does not hold is new, and has not drifted. */
export function tagDrift(
  baseline: ReadonlyMap<string, Tagged["tags"]>,
  resources: readonly Tagged[],
  keys: ReadonlySet<string>,
  isRequired: (type: string, key: string) => boolean,
): readonly TagDrift[] {
  return resources.flatMap((resource) => {
    const old = baseline.get(resource.arn);
    if (!old) return [];
    return [...keys].sort().flatMap((tag_key): TagDrift[] => {
      const old_value = Object.hasOwn(old, tag_key) ? old[tag_key]! : null;
      const new_value = Object.hasOwn(resource.tags, tag_key) ? resource.tags[tag_key]! : null;
      if (old_value === new_value) return [];
      const drift_type = old_value === null ? "added" : new_value === null ? "removed" : "changed";
      return [
        {
          resource_arn: resource.arn,
          resource_id: resource.resource_id,
          resource_type: resource.resource_type,
          region: resource.region,
          tag_key,
          drift_type,
          old_value,
          new_value,
          severity: severityOf(drift_type, isRequired(resource.resource_type, tag_key)),
        },
      ];
    });
  });
}
