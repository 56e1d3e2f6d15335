// Cloud Custodian policies made from the tagging policy: text to review and run elsewhere.

import { z } from "zod";
import { type CustodianPolicy, custodianPolicies } from "../../policies/tagging/custodian.js";
import { chosenTypes } from "../../policies/tagging/types.js";
import { OpsError } from "../../src/core/errors.js";
import type { Json } from "../../src/core/json.js";
import { read } from "../../src/core/tool.js";
import { ResourceTypes } from "./inputs.js";
import { heldPolicy } from "./policy.js";

/** All of them in one file: one list of policies. */
const combined = (policies: readonly CustodianPolicy[]): string =>
  policies.length === 0
    ? ""
    : `policies:\n${policies.map(({ yaml_content }) => yaml_content.replace(/^policies:\n/, "")).join("")}`;

export const custodianPolicy = read({
  title: "Make Cloud Custodian policies",
  description:
    "Cloud Custodian YAML from the tagging policy, one policy for each type and required tag: absent (notify in a dry run, else tag that key alone) and invalid (notify only: what is there is never overwritten). Text only; nothing is run. To change tags from here: tags.apply.",
  scope: "region",
  foreignText: false,
  input: z.object({
    resource_types: ResourceTypes.default(["all"]),
    violation_types: z
      .array(z.enum(["missing_tag", "invalid_value"]))
      .min(1)
      .default(["missing_tag", "invalid_value"]),
    target_tags: z.array(z.string().min(1).max(128)).min(1).max(50).optional().describe("Default: all required tags"),
    dry_run: z.boolean().default(true),
  }),
  output: z.object({
    policies: z.array(
      z.object({
        name: z.string(),
        resource_type: z.string(),
        yaml_content: z.string(),
        description: z.string(),
        filter_count: z.number(),
        action_type: z.string(),
      }),
    ),
    combined_yaml: z.string(),
    total_policies: z.number(),
    resource_types_covered: z.array(z.string()),
    dry_run: z.boolean(),
    target_tags: z.array(z.string()),
    warnings: z.array(z.string()),
  }),
  async run({ resource_types, violation_types, target_tags = [], dry_run }, ports) {
    const { policy, types: table } = await heldPolicy(ports);
    const required = policy.rules.filter((rule) => rule.required).map(({ name }) => name);
    const unknown = target_tags.filter((tag) => !required.includes(tag));
    if (unknown.length > 0) {
      throw new OpsError("validation_error", `Not required by the policy: ${unknown.join(", ")}.`, {
        field: "target_tags",
        details: { required_tags: required },
        next: [{ tool: "tags.policy", arguments: {} }],
      });
    }
    const { types, skipped } = chosenTypes(resource_types, table);
    const made = custodianPolicies(policy, { types, violations: violation_types, tags: target_tags, dryRun: dry_run });
    return {
      data: {
        policies: made.policies as unknown as Json,
        combined_yaml: combined(made.policies),
        total_policies: made.policies.length,
        resource_types_covered: [...new Set(made.policies.map(({ resource_type }) => resource_type))],
        dry_run,
        target_tags: target_tags.length > 0 ? target_tags : required,
        warnings: [...made.warnings, ...skipped.map((type) => `${type} is not scanned; it was skipped.`)],
      },
    };
  },
});
