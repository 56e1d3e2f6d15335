// One resource against the policy: violations, score, band. Then many: the compliance of a scan. Pure.

import { isExcepted, type TagException } from "./exceptions.js";
import { accepts, appliesTo, type TaggingPolicy, type TagRule } from "./policy.js";

/** A resource as a scan shows it. */
export interface Tagged {
  readonly resource_id: string;
  readonly resource_type: string;
  readonly region: string;
  readonly arn: string;
  readonly account_id: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Tags whose value is withheld, for its name says that it is a secret: they are judged by being there. */
  readonly withheld?: readonly string[];
  readonly created_at?: string;
  readonly instance_state?: string;
  readonly instance_type?: string;
  readonly bucket_region?: string;
}

export type ViolationType = "missing_required_tag" | "invalid_value" | "invalid_format";
export type Severity = "error" | "warning";

export interface Violation {
  readonly resource_id: string;
  readonly resource_arn: string;
  readonly resource_type: string;
  readonly account_id: string;
  readonly region: string;
  readonly violation_type: ViolationType;
  readonly tag_name: string;
  readonly severity: Severity;
  readonly current_value: string | null;
  readonly allowed_values: readonly string[] | null;
  /** What its resource costs; null: not asked, or not known. */
  readonly cost_impact_monthly: number | null;
  /** A key that is there and differs by case, hyphen, underscore or blank only. */
  readonly near_miss?: string;
}

export type Status = "fully_compliant" | "partially_compliant" | "non_compliant" | "untagged";

export interface Evaluation {
  /** Required rules that apply to the type; none: the policy says nothing about it. */
  readonly applicable: number;
  readonly satisfied: number;
  readonly violations: readonly Violation[];
}

const bare = (key: string): string => key.toLowerCase().replace(/[-_\s]/g, "");

/** The key that was probably meant, where it is there under another spelling. */
export const nearMiss = (name: string, tags: Tagged["tags"]): string | undefined =>
  Object.keys(tags).find((key) => key !== name && !key.startsWith("aws:") && bare(key) === bare(name));

const tagValue = (tags: Tagged["tags"], name: string): string | undefined =>
  Object.hasOwn(tags, name) ? tags[name] : undefined;

function violationOf(rule: TagRule, value: string | undefined, withheld: boolean): ViolationType | null {
  if (value === undefined) return rule.required ? "missing_required_tag" : null;
  if (withheld) return null;
  if (rule.allowed !== null && !rule.allowed.includes(value)) return "invalid_value";
  return accepts(rule, value) ? null : "invalid_format";
}

/** At most one violation a rule, in the order of the file. */
export function evaluate(policy: TaggingPolicy, resource: Tagged): Evaluation {
  let applicable = 0;
  let broken = 0;
  const violations: Violation[] = [];
  for (const rule of policy.rules) {
    if (!appliesTo(rule, resource.resource_type)) continue;
    if (rule.required) applicable++;
    const value = tagValue(resource.tags, rule.name);
    const type = violationOf(rule, value, resource.withheld?.includes(rule.name) ?? false);
    if (type === null) continue;
    if (rule.required) broken++;
    const near = type === "missing_required_tag" ? nearMiss(rule.name, resource.tags) : undefined;
    violations.push({
      resource_id: resource.resource_id,
      resource_arn: resource.arn,
      resource_type: resource.resource_type,
      account_id: resource.account_id,
      region: resource.region,
      violation_type: type,
      tag_name: rule.name,
      severity: rule.required ? "error" : "warning",
      current_value: value ?? null,
      allowed_values: type === "invalid_format" ? null : rule.allowed,
      cost_impact_monthly: null,
      ...(near !== undefined && { near_miss: near }),
    });
  }
  return { applicable, satisfied: applicable - broken, violations };
}

/** 0..100, unrounded. A resource the policy asks nothing of has nothing to answer for. */
export const scoreOf = ({ applicable, satisfied }: Pick<Evaluation, "applicable" | "satisfied">): number =>
  applicable === 0 ? 100 : (satisfied / applicable) * 100;

/** By the unrounded score: 99.95 is not full, 0.05 is not nothing. */
export const statusOf = (score: number): Status =>
  score >= 100 ? "fully_compliant" : score >= 50 ? "partially_compliant" : score > 0 ? "non_compliant" : "untagged";

/** For display: two decimals, and never a whole that it is not. */
export function shownPercent(score: number, decimals = 2): number {
  const unit = 10 ** -decimals;
  const rounded = Number(score.toFixed(decimals));
  if (rounded >= 100 && score < 100) return Number((100 - unit).toFixed(decimals));
  if (rounded <= 0 && score > 0) return unit;
  return rounded;
}

/** @param percent 0..100 */
export const gradeOf = (percent: number): "excellent" | "good" | "fair" | "poor" =>
  percent >= 90 ? "excellent" : percent >= 70 ? "good" : percent >= 50 ? "fair" : "poor";

export const hasUserTags = (tags: Tagged["tags"]): boolean => Object.keys(tags).some((key) => !key.startsWith("aws:"));

export interface ResourceStatus {
  readonly resource_id: string;
  readonly resource_arn: string;
  readonly status: Status;
  readonly score_percent: number;
  readonly critical: boolean;
  readonly has_user_tags: boolean;
  /** Exceptions cover all that is wrong with it: it is counted by itself, neither way. */
  readonly excepted?: true;
}

export interface Compliance {
  readonly total: number;
  readonly compliant: number;
  /** 0..1; 1 where there was nothing. */
  readonly score: number;
  readonly status: Status;
  readonly violations: readonly Violation[];
  readonly statuses: readonly ResourceStatus[];
  readonly excepted: number;
  /** Resources of types that no required tag applies to. */
  readonly outOfScope: number;
}

/** The compliance of what was found. What could not be read is not among it and counts neither way. */
export function complianceOf(
  policy: TaggingPolicy,
  resources: readonly Tagged[],
  exceptions: readonly TagException[],
  now: string,
): Compliance {
  let compliant = 0;
  let excepted = 0;
  let outOfScope = 0;
  const violations: Violation[] = [];
  const statuses: ResourceStatus[] = [];
  for (const resource of resources) {
    const found = evaluate(policy, resource);
    const left = found.violations.filter(({ tag_name }) => !isExcepted(exceptions, resource.arn, tag_name, now));
    if (found.applicable === 0) {
      outOfScope++;
      for (const violation of left) violations.push(violation);
      continue;
    }
    const errors = left.filter(({ severity }) => severity === "error").length;
    const all = found.applicable - found.satisfied;
    // Nothing is held against it, and it is not held for compliant either.
    const waived = errors === 0 && all > 0;
    const score = scoreOf({ applicable: found.applicable, satisfied: found.applicable - (waived ? all : errors) });
    const status = statusOf(score);
    if (waived) excepted++;
    else if (errors === 0) compliant++;
    for (const violation of left) violations.push(violation);
    statuses.push({
      resource_id: resource.resource_id,
      resource_arn: resource.arn,
      status,
      score_percent: shownPercent(score),
      critical: status === "untagged" && !waived,
      has_user_tags: hasUserTags(resource.tags),
      ...(waived && { excepted: true as const }),
    });
  }
  const total = statuses.length - excepted;
  const score = total === 0 ? 1 : compliant / total;
  return { total, compliant, score, status: statusOf(score * 100), violations, statuses, excepted, outOfScope };
}
