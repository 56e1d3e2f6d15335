// A tagging policy: the file as users have it, and the rules that follow from it. Pure.

import { z } from "zod";
import { compilePattern, type Pattern } from "./pattern.js";
import { BUILT_IN, SCANNED_TYPES, type TypeTable } from "./types.js";

const Name = z.string().min(1).max(128);
const Values = z.array(z.string()).nullish();

const RequiredTag = z.looseObject({
  name: Name,
  description: z.string().nullish(),
  allowed_values: Values,
  validation_regex: z.string().nullish(),
  applies_to: z.array(z.string()).nullish(),
});
const OptionalTag = z.looseObject({ name: Name, description: z.string().nullish(), allowed_values: Values });

/** The file: what it says beyond this is kept when it is written again. */
export const PolicyFile = z.looseObject({
  version: z.union([z.string(), z.number()]).default("1.0"),
  last_updated: z.string().optional(),
  required_tags: z.array(RequiredTag).default([]),
  optional_tags: z.array(OptionalTag).default([]),
  tag_naming_rules: z
    .looseObject({
      case_sensitivity: z.boolean().default(false),
      allow_special_characters: z.boolean().default(false),
      max_key_length: z.number().int().min(1).max(256).default(128),
      max_value_length: z.number().int().min(1).max(512).default(256),
    })
    .prefault({}),
});
export type PolicyFile = z.infer<typeof PolicyFile>;

export interface TagRule {
  readonly name: string;
  readonly description: string;
  readonly required: boolean;
  /** null: any value. An empty list allows nothing. */
  readonly allowed: readonly string[] | null;
  readonly regex: string | null;
  readonly pattern: Pattern | null;
  /** null: every type. */
  readonly appliesTo: readonly string[] | null;
}

export interface TaggingPolicy {
  readonly file: PolicyFile;
  readonly rules: readonly TagRule[];
  /** What of the file could not be taken as it stands. */
  readonly warnings: readonly string[];
  /** The types that a rule without a list applies to. */
  readonly types: readonly string[];
}

/**
 * A policy from the value of its file.
 * @throws z.ZodError where it is no policy.
 */
export function policyFrom(value: unknown, table: TypeTable = BUILT_IN): TaggingPolicy {
  const file = PolicyFile.parse(value);
  const warnings: string[] = [...table.warnings];
  const known = new Set([...SCANNED_TYPES, ...table.types]);
  const required = file.required_tags.map((tag): TagRule => {
    const compiled: ReturnType<typeof compilePattern> | null = tag.validation_regex
      ? compilePattern(tag.validation_regex)
      : null;
    if (compiled?.because !== undefined) {
      warnings.push(`The pattern of ${tag.name} is not applied: ${compiled.because}.`);
    }
    const types = tag.applies_to && tag.applies_to.length > 0 ? tag.applies_to : null;
    const unscanned = types?.filter((type) => !known.has(type)) ?? [];
    if (unscanned.length > 0) warnings.push(`${tag.name} names types that are not scanned: ${unscanned.join(", ")}.`);
    return {
      name: tag.name,
      description: tag.description ?? "",
      required: true,
      allowed: tag.allowed_values ?? null,
      regex: tag.validation_regex ?? null,
      pattern: compiled?.pattern ?? null,
      appliesTo: types,
    };
  });
  const optional = file.optional_tags.map(
    (tag): TagRule => ({
      name: tag.name,
      description: tag.description ?? "",
      required: false,
      allowed: tag.allowed_values ?? null,
      regex: null,
      pattern: null,
      appliesTo: null,
    }),
  );
  return { file, rules: [...required, ...optional], warnings, types: table.types };
}

export const appliesTo = (rule: TagRule, type: string): boolean => rule.appliesTo?.includes(type) ?? true;

export const requiredFor = (policy: TaggingPolicy, type: string): readonly TagRule[] =>
  policy.rules.filter((rule) => rule.required && appliesTo(rule, type));

/** Whether a value keeps a rule: the list first, then the pattern. */
export const accepts = (rule: TagRule, value: string): boolean =>
  rule.allowed !== null && !rule.allowed.includes(value) ? false : (rule.pattern?.test(value) ?? true);

/** Every type some required tag applies to: a rule without a list means all that are scanned. */
export const applicableTypes = (policy: TaggingPolicy): readonly string[] =>
  [
    ...new Set(policy.rules.filter(({ required }) => required).flatMap((rule) => rule.appliesTo ?? policy.types)),
  ].sort();

/** What is written where there is no policy and the operator did not say otherwise. */
export const defaultPolicy = (now: string): PolicyFile =>
  PolicyFile.parse({
    version: "1.0",
    last_updated: now,
    required_tags: [
      {
        name: "Owner",
        description: "Who answers for it",
        allowed_values: null,
        validation_regex: null,
        applies_to: [],
      },
      {
        name: "Environment",
        description: "Stage",
        allowed_values: ["production", "staging", "development", "test"],
        validation_regex: null,
        applies_to: [],
      },
      {
        name: "Application",
        description: "What it belongs to",
        allowed_values: null,
        validation_regex: null,
        applies_to: [],
      },
    ],
    optional_tags: [
      { name: "Project", description: "Project", allowed_values: null },
      { name: "CostCenter", description: "Cost center", allowed_values: null },
    ],
  });

/** The file of a policy as `tags.policy` shows it. */
export function policyView(policy: TaggingPolicy, now: string) {
  const { file, rules, warnings } = policy;
  const required = rules.filter((rule) => rule.required);
  const optional = rules.filter((rule) => !rule.required);
  return {
    version: String(file.version),
    last_updated: file.last_updated ?? now,
    required_tags: required.map((rule) => ({
      name: rule.name,
      description: rule.description,
      allowed_values: rule.allowed === null ? null : [...rule.allowed],
      validation_regex: rule.regex,
      applies_to: rule.appliesTo === null ? [] : [...rule.appliesTo],
    })),
    optional_tags: optional.map((rule) => ({
      name: rule.name,
      description: rule.description,
      allowed_values: rule.allowed === null ? null : [...rule.allowed],
    })),
    tag_naming_rules: {
      case_sensitivity: file.tag_naming_rules.case_sensitivity,
      allow_special_characters: file.tag_naming_rules.allow_special_characters,
      max_key_length: file.tag_naming_rules.max_key_length,
      max_value_length: file.tag_naming_rules.max_value_length,
    },
    required_tag_count: required.length,
    optional_tag_count: optional.length,
    all_applicable_resource_types: [...applicableTypes(policy)],
    policy_warnings: [...warnings],
  };
}
