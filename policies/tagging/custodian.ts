// Cloud Custodian policies for a tagging policy: one for each type and tag, so that no filter hides another. Pure.

import { requiredFor, type TaggingPolicy } from "./policy.js";
import { SCANNED } from "./types.js";

export type CustodianViolation = "missing_tag" | "invalid_value";

export interface CustodianPolicy {
  readonly name: string;
  readonly resource_type: string;
  readonly yaml_content: string;
  readonly description: string;
  readonly filter_count: number;
  readonly action_type: "notify" | "tag";
}

export interface CustodianRequest {
  readonly types: readonly string[];
  readonly violations: readonly CustodianViolation[];
  /** Empty: every required tag. */
  readonly tags: readonly string[];
  readonly dryRun: boolean;
}

/** Any text as a YAML scalar: JSON's strings are YAML's. */
const scalar = (text: string): string => JSON.stringify(text);
const slug = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");

const NOTIFY = (what: string): string =>
  [
    "      - type: notify",
    "        to: [resource-owner]",
    `        subject: ${scalar(what)}`,
    "        transport:",
    "          type: sqs",
    "          queue: custodian-mailer",
  ].join("\n");

/** Names of tags in names of policies: those that read alike there, or leave nothing, are numbered. */
function slugs(tags: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const used = new Set<string>();
  for (const tag of tags) {
    const plain = slug(tag) || "tag";
    let name = plain;
    for (let n = 2; used.has(name); n++) name = `${plain}-${n}`;
    used.add(name);
    found.set(tag, name);
  }
  return found;
}

interface Parts {
  readonly type: string;
  /** What the policy is named by. */
  readonly slug: string;
  readonly filter: string;
  readonly suffix: string;
  readonly what: string;
  readonly action: string;
  readonly actionType: CustodianPolicy["action_type"];
  readonly dryRun: boolean;
}

function policyOf({ type, slug: named, filter, suffix, what, action, actionType, dryRun }: Parts): CustodianPolicy {
  const name = `enforce-required-tags-${type.replace(":", "-")}-${named}${suffix}`;
  const description = `${what}${dryRun ? " (dry run)" : ""}`;
  const yaml_content = [
    "policies:",
    `  - name: ${scalar(name)}`,
    `    resource: ${scalar(`aws.${SCANNED[type]!.custodian}`)}`,
    `    description: ${scalar(description)}`,
    "    filters:",
    filter,
    "    actions:",
    action,
    "",
  ].join("\n");
  return { name, resource_type: type, yaml_content, description, filter_count: 1, action_type: actionType };
}

/**
 * Absent: that key alone is tagged, or told of in a dry run. Invalid: told of only, for nobody knows what was meant.
 * @returns what Custodian has no name for is skipped with a warning
 */
export function custodianPolicies(
  policy: TaggingPolicy,
  { types, violations, tags, dryRun }: CustodianRequest,
): { readonly policies: readonly CustodianPolicy[]; readonly warnings: readonly string[] } {
  const warnings: string[] = [];
  const policies: CustodianPolicy[] = [];
  for (const type of types) {
    if (!SCANNED[type]?.custodian) {
      warnings.push(`Custodian has no resource for ${type}; it was skipped.`);
      continue;
    }
    const rules = requiredFor(policy, type);
    const named = slugs(rules.map(({ name }) => name));
    for (const rule of rules) {
      if (tags.length > 0 && !tags.includes(rule.name)) continue;
      const key = scalar(`tag:${rule.name}`);
      if (violations.includes("missing_tag")) {
        const what = `${type} without ${rule.name}`;
        const value = rule.allowed?.[0] ?? "unassigned";
        const sets = ["      - type: tag", `        key: ${scalar(rule.name)}`, `        value: ${scalar(value)}`].join(
          "\n",
        );
        policies.push(
          policyOf({
            ...{ type, slug: named.get(rule.name)!, suffix: "-missing", what, dryRun },
            filter: `      - ${key}: absent`,
            action: dryRun ? NOTIFY(what) : sets,
            actionType: dryRun ? "notify" : "tag",
          }),
        );
      }
      if (violations.includes("invalid_value") && rule.allowed !== null) {
        const what = `${type} with another ${rule.name} than the policy allows`;
        // not-in matches what has no value at all, which is the other policy's business.
        const filter = [
          "      - and:",
          `          - ${key}: present`,
          "          - type: value",
          `            key: ${key}`,
          "            op: not-in",
          `            value: [${rule.allowed.map(scalar).join(", ")}]`,
        ].join("\n");
        policies.push(
          policyOf({
            ...{ type, slug: named.get(rule.name)!, suffix: "-invalid", what, dryRun, filter },
            action: NOTIFY(what),
            actionType: "notify",
          }),
        );
      }
    }
  }
  return { policies, warnings };
}
