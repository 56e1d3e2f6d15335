// The policy a tag tool judges by: the operator's file, read at every call.

import { z } from "zod";
import { TagException } from "../../policies/tagging/exceptions.js";
import { defaultPolicy, policyFrom, policyView, type TaggingPolicy } from "../../policies/tagging/policy.js";
import { BUILT_IN, type TypeTable, typeTable } from "../../policies/tagging/types.js";
import { OpsError } from "../../src/core/errors.js";
import { digest, type Json, type JsonObject } from "../../src/core/json.js";
import type { ReadPorts } from "../../src/core/ports.js";
import type { PolicySource } from "../../src/core/tagging.js";
import { read } from "../../src/core/tool.js";
import { autoImported } from "./organizations.js";

export interface HeldPolicy {
  readonly policy: TaggingPolicy;
  readonly source: PolicySource;
  readonly types: TypeTable;
  /** Of the file's content: an answer under another policy is another answer. */
  readonly hash: string;
}

/** The first fault of a file, by its place in it. */
const faultOf = (error: z.ZodError): string => {
  const [issue] = error.issues;
  return issue ? `${issue.path.join(".") || "the file"}: ${issue.message}` : "it has another shape";
};

/**
 * The types that are scanned, as the operator's file says.
 * @throws OpsError validation_error naming the field that is wrong
 */
export async function heldTypes({ tagging }: Pick<ReadPorts, "tagging">): Promise<TypeTable> {
  const { path, value } = await tagging.files.resourceTypes();
  if (value === null) {
    if (path === null) return BUILT_IN;
    return { ...BUILT_IN, warnings: [`There is no file of resource types at ${path}; the built-in list is used.`] };
  }
  try {
    return typeTable(value);
  } catch (cause) {
    if (!(cause instanceof z.ZodError)) throw cause;
    const because = faultOf(cause);
    throw new OpsError("validation_error", "The file of resource types cannot be taken; it was left as it is.", {
      details: { resource_types_path: path, field_in_file: because.split(": ")[0]!, because },
      cause,
    });
  }
}

/** @throws OpsError validation_error where the file is no policy, not_found where there is none. */
export async function heldPolicy(ports: Pick<ReadPorts, "aws" | "tagging" | "now">): Promise<HeldPolicy> {
  const { tagging, now } = ports;
  const types = await heldTypes(ports);
  const source = await tagging.files.policy(
    () => autoImported(ports),
    () => defaultPolicy(now.toISOString()) as unknown as JsonObject,
  );
  if (source.value === undefined) {
    throw new OpsError("not_found", `${source.message} Name one with --policy-path.`, {
      details: { source: source.source },
    });
  }
  try {
    return { policy: policyFrom(source.value, types), source, types, hash: digest(source.value) };
  } catch (cause) {
    if (!(cause instanceof z.ZodError)) throw cause;
    throw new OpsError("validation_error", "The policy file is no tagging policy; it was left as it is.", {
      details: { policy_path: source.policy_path, because: faultOf(cause) },
      cause,
    });
  }
}

/** @throws OpsError validation_error where one of them cannot be read: a broken exception must not go unnoticed. */
export async function heldExceptions({ tagging }: Pick<ReadPorts, "tagging">): Promise<readonly TagException[]> {
  const { list, path } = await tagging.files.exceptions();
  return exceptionsIn(list, path);
}

/** @throws OpsError validation_error naming the one that cannot be read. */
export const exceptionsIn = (list: readonly Json[], path: string): readonly TagException[] =>
  list.map((one, index) => {
    const parsed = TagException.safeParse(one);
    if (parsed.success) return parsed.data;
    throw new OpsError("validation_error", `Exception ${index + 1} of the file cannot be read; it was left as it is.`, {
      details: { path, because: faultOf(parsed.error) },
    });
  });

const Rule = z.object({
  name: z.string(),
  description: z.string(),
  allowed_values: z.array(z.string()).nullable(),
});

export const policy = read({
  title: "Show the tagging policy",
  description:
    "The tagging policy that tag tools judge by: required and optional tags, allowed values, patterns, the types they apply to. Read it first; use its types with tags.check and tags.untagged.",
  scope: "region",
  foreignText: false,
  input: z.object({}),
  output: z.object({
    version: z.string(),
    last_updated: z.string(),
    required_tags: z.array(Rule.extend({ validation_regex: z.string().nullable(), applies_to: z.array(z.string()) })),
    optional_tags: z.array(Rule),
    tag_naming_rules: z.object({
      case_sensitivity: z.boolean(),
      allow_special_characters: z.boolean(),
      max_key_length: z.number(),
      max_value_length: z.number(),
    }),
    required_tag_count: z.number(),
    optional_tag_count: z.number(),
    all_applicable_resource_types: z.array(z.string()),
    policy_warnings: z.array(z.string()),
    policy_source: z.object({
      source: z.string(),
      success: z.boolean(),
      message: z.string(),
      policy_path: z.string().nullable(),
      aws_policy_id: z.string().nullable(),
    }),
  }),
  async run(_input, ports) {
    const { policy: held, source } = await heldPolicy(ports);
    const { value: _, ...said } = source;
    return {
      data: {
        ...policyView(held, ports.now.toISOString()),
        policy_source: said as unknown as JsonObject,
      } as unknown as {
        readonly [key: string]: Json;
      },
    };
  },
});
