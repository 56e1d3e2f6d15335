// What the operator allows: forbidden changes, security findings that block, and how much may be made or deleted in an hour.

import { type Finding, findingsOf, rulesFor } from "../../policies/findings.js";
import { isAtLeast, type Level, parseRiskRule, type RiskStep, riskOf } from "../../policies/risk.js";
import { forbids } from "../../policies/steps.js";
import { instancesMoved, spentInHour, weightOf } from "../../state/budget.js";
import { driftOf } from "../../state/drift.js";
import { isProduction, type Severity } from "../../state/severity.js";
import {
  type Change,
  type ChangeStep,
  type PlanFinding,
  type PolicyResults,
  type Risk,
  ridOf,
  type State,
} from "../core/change.js";
import { OpsError } from "../core/errors.js";
import { digest, type JsonObject, valueAt } from "../core/json.js";
import { specifiedOf, volatileOf } from "../core/own-types.js";
import type { Scan } from "../core/ports.js";
import { tagsOf } from "../core/tags.js";
import type { GateDeps } from "./deps.js";

type Limits = GateDeps["config"];

const factsOf = ({ service, operation, kind, ref }: ChangeStep) => ({ service, operation, kind, type: ref.type });

/** @throws OpsError forbidden_by_operator, naming the pattern and the step. */
export function refuseForbidden({ neverAllow }: Pick<Limits, "neverAllow">, steps: readonly ChangeStep[]): void {
  for (const step of steps) {
    const pattern = neverAllow.find((one) => forbids(one, factsOf(step)));
    if (pattern === undefined) continue;
    throw new OpsError(
      "forbidden_by_operator",
      `${step.kind} of ${step.ref.type} is on this server's never-allow list. Nothing was changed. Tell the user; only the operator can change the list, and no argument can.`,
      { details: { pattern, operation: `${step.service}.${step.operation}`, id: step.ref.id } },
    );
  }
}

/** Whether this server's operator lets it send a step that another process began. */
export function maySend(config: Limits, { policyResults }: Pick<Change, "policyResults">, step: ChangeStep): boolean {
  try {
    refuseForbidden(config, [step]);
    refuseUnsafe(config, policyResults);
    return config.allowWrites;
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    return false;
  }
}

/** What a plan is made of for the checks: the content that each step would leave. */
const checked = (
  steps: readonly ChangeStep[],
): readonly { step: number; type: string; after: JsonObject; before: JsonObject | null }[] =>
  // Tags alone say nothing of how a resource is set up.
  steps.flatMap(({ kind, ref, reader, before, after }, step) =>
    (kind === "create" || kind === "update") && reader !== "tags" && after
      ? [
          {
            step,
            type: ref.type,
            after: specifiedOf(ref.type, reader, after),
            before: before && specifiedOf(ref.type, reader, before),
          },
        ]
      : [],
  );

/** A fault is the same one where the value at fault is: elements of a list may move, and a text is judged as a whole. */
const sameFault = ({ rule, path }: Finding, content: JsonObject): string => {
  let at = path;
  while (at !== "" && valueAt(content, at) === undefined && typeof valueAt(content, parentOf(at)) !== "object") {
    at = parentOf(at);
  }
  const value = valueAt(content, at);
  return `${rule} ${typeof value === "object" ? "" : at} ${digest(value ?? null)}`;
};
const parentOf = (pointer: string): string => pointer.slice(0, pointer.lastIndexOf("/"));

/** What the built-in rules say of a plan. */
const builtInFindings = (contents: ReturnType<typeof checked>): readonly PlanFinding[] =>
  contents.flatMap(({ step, type, after, before }) => {
    const known = new Set(before ? findingsOf(type, before).map((one) => sameFault(one, before)) : []);
    return findingsOf(type, after).map((one): PlanFinding => {
      const existing = known.has(sameFault(one, after));
      return { source: BUILT_IN, ...one, step, ...(existing && { existing: true as const }) };
    });
  });

const BUILT_IN = "built-in";

/** The findings of a plan by the rules of this server: it may be older than they are. What scanners said then stands. */
export function checkedAnew({
  steps,
  policyResults,
}: Pick<Change, "steps" | "policyResults">): PolicyResults | undefined {
  const builtIn = builtInFindings(checked(steps));
  const scanned = policyResults?.findings.filter(({ source }) => source !== BUILT_IN) ?? [];
  if (!policyResults && builtIn.length === 0) return undefined;
  const before = policyResults ?? { passed: 0, failed: 0, critical_issues: [], checked_by: [BUILT_IN] };
  return { ...before, findings: [...builtIn, ...scanned] };
}

/** Built-in rules and installed scanners on what the plan would leave behind; undefined where nothing of it is known. */
export async function checkPlan(steps: readonly ChangeStep[], scan: Scan): Promise<PolicyResults | undefined> {
  const contents = checked(steps);
  const builtIn = builtInFindings(contents);
  const rules = contents.reduce((sum, { type }) => sum + rulesFor(type), 0);
  const scannable = contents.filter(({ step }) => steps[step]!.reader === "cloudcontrol");
  const reports =
    scannable.length > 0 ? await scan(scannable.map(({ type, after }) => ({ type, properties: after }))) : [];
  if (rules === 0 && reports.length === 0) return undefined;
  const scanned = reports.flatMap(({ scanner, findings }) =>
    findings.map(
      // A scanner that names no severity is taken at medium.
      ({ rule, severity = "medium", message, resource }): PlanFinding => ({
        source: scanner,
        rule,
        severity,
        message,
        step: scannable[resource]?.step ?? 0,
      }),
    ),
  );
  const failedRules = new Set(builtIn.map(({ step, rule }) => `${step} ${rule}`)).size;
  const failed = reports.flatMap(({ scanner, failure }) => (failure ? [`${scanner}: ${failure}`] : []));
  const findings = [...builtIn, ...scanned].sort((a, b) => Number(a.existing ?? false) - Number(b.existing ?? false));
  return {
    passed: rules - failedRules + reports.reduce((sum, report) => sum + report.passed, 0),
    failed: failedRules + scanned.length,
    critical_issues: [...new Set(findings.filter(({ severity }) => severity === "critical").map(({ rule }) => rule))],
    findings,
    checked_by: [
      ...(rules > 0 ? [BUILT_IN] : []),
      ...reports.flatMap(({ scanner, version, failure }) =>
        failure ? [] : [`${scanner}${version ? ` ${version}` : ""}`],
      ),
    ],
    ...(failed.length > 0 && { not_checked_by: failed }),
  };
}

/** What was so before is shown and blocks nothing: this plan does not make it worse. */
const fresh = (results: PolicyResults | undefined): readonly PlanFinding[] =>
  results?.findings.filter(({ existing }) => !existing) ?? [];

/** @throws OpsError unsafe_change with the findings. */
export function refuseUnsafe(
  { blockFindings }: Pick<Limits, "blockFindings">,
  results: PolicyResults | undefined,
): void {
  const blocking = fresh(results).filter(({ severity }) => isAtLeast(severity, blockFindings));
  if (blocking.length === 0) return;
  throw new OpsError(
    "unsafe_change",
    `This plan would leave ${blocking.length} security finding${blocking.length > 1 ? "s" : ""} of ${blockFindings} or above, which the operator blocks. Nothing was changed. Plan it without them.`,
    { details: { findings: blocking.slice(0, 20) } },
  );
}

const LEVEL_OF: Partial<Record<Severity, Level>> = { HIGH: "high", CRITICAL: "critical" };

/**
 * The risk of a plan: its calls, what its differences do, what its findings say, and the operator's own rules.
 * @param live what its resources hold now, by key: one may have become production since it was planned
 */
export function planRisk(
  steps: readonly ChangeStep[],
  results: PolicyResults | undefined,
  { riskRules }: Pick<Limits, "riskRules">,
  live?: ReadonlyMap<string, JsonObject | null>,
): Risk {
  const findings = fresh(results);
  return riskOf(
    steps.map((step, index): RiskStep => {
      const found = findings.filter((one) => one.step === index && one.source === BUILT_IN);
      return {
        ...factsOf(step),
        id: step.ref.id,
        moves: Math.abs(instancesMoved(step)),
        input: step.input,
        effects: [...effectsOf(step), ...found.map(({ severity, message }) => ({ level: severity, because: message }))],
        production: [step.before, step.after, live?.get(ridOf(step.ref))].some(
          (content) => content && isProduction(tagsOf(content)),
        ),
      };
    }),
    riskRules.flatMap((text) => parseRiskRule(text) ?? []),
  );
}

/**
 * Protections that an update takes away. Rules of a security group have levels of their own in the risk table, and what
 * production adds is added there.
 */
function effectsOf({ ref, reader, before, after }: ChangeStep): NonNullable<RiskStep["effects"]> {
  if (!before || !after || reader !== "cloudcontrol") return [];
  const bare = (content: JsonObject): JsonObject => {
    const { tags: _, Tags: __, ...rest } = content;
    return rest;
  };
  const resource = { ref, reader, properties: bare(before), desired: {}, deleted: false };
  return driftOf({ resource, live: bare(after), volatile: volatileOf(ref.type, reader) }).differences.flatMap(
    ({ severity, because }) => {
      const level = LEVEL_OF[severity];
      return level ? [{ level, because }] : [];
    },
  );
}

/** The refusal of a change that would go beyond what the operator allows in an hour, or null. */
export function overBudget(
  state: State,
  change: Change,
  limits: Pick<Limits, "createsPerHour" | "deletesPerHour">,
  now: Date,
): OpsError | null {
  const spent = spentInHour(state, now);
  for (const [kind, most] of [
    ["create", limits.createsPerHour],
    ["delete", limits.deletesPerHour],
  ] as const) {
    const wanted = change.steps.reduce((sum, step) => sum + weightOf(step)[kind], 0);
    if (wanted === 0 || spent[kind] + wanted <= most) continue;
    return new OpsError(
      "budget_spent",
      `${spent[kind]} resources were ${kind}d in the last hour and this change would ${kind} ${wanted} more; the operator allows ${most}. Nothing was sent and the token is not spent. Tell the user${wanted > most ? "; only the operator can raise the limit" : ", or wait"}.`,
      { field: "executionToken", details: { kind, spent: spent[kind], wanted, allowed: most, changeId: change.id } },
    );
  }
  return null;
}
