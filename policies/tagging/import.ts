// Tag policies of AWS Organizations as a tagging policy: their inheritance operators, capitals, wildcards and names of types. Pure.

import { PolicyFile } from "./policy.js";
import { SCANNED_TYPES } from "./types.js";

type Plain = Readonly<Record<string, unknown>>;

export interface ImportedPolicy {
  readonly file: PolicyFile;
  /** Services of `enforced_for`, as AWS names them. */
  readonly services: readonly string[];
  /** What of it a tagging policy cannot say. */
  readonly warnings: readonly string[];
}

export interface ImportFacts {
  readonly now: string;
  /** `effective`, or the id of one policy. */
  readonly policyId: string;
  readonly policyName?: string;
}

const isPlain = (value: unknown): value is Plain =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const textsOf = (value: unknown): string[] | undefined =>
  typeof value === "string"
    ? [value]
    : Array.isArray(value)
      ? value.filter((one): one is string => typeof one === "string")
      : undefined;

/** A list as policies write it: plain in an effective one, by operators in a single one. Undefined: it says nothing. */
function listIn(value: unknown): { readonly list: string[]; readonly inherits: boolean } | undefined {
  const plain = textsOf(value);
  if (plain) return { list: plain, inherits: false };
  if (!isPlain(value)) return undefined;
  const [assign, append, remove] = ["@@assign", "@@append", "@@remove"].map((name) => textsOf(value[name]));
  if (!assign && !append && !remove) return undefined;
  const all = [...new Set([...(assign ?? []), ...(append ?? [])])];
  return { list: all.filter((one) => !remove?.includes(one)), inherits: !assign };
}

/** Services that tagging policies call otherwise than AWS's tag policies do. */
const SERVICES: Readonly<Record<string, string>> = {
  es: "opensearch",
  elasticmapreduce: "emr",
  states: "stepfunctions",
};
const TYPES: Readonly<Record<string, string>> = {
  s3: "s3:bucket",
  "apigateway:restapis": "apigateway:restapi",
  "ec2:nat-gateway": "ec2:natgateway",
  "elasticache:replication-group": "elasticache:replicationgroup",
};

/** Our names of a type or a whole service of AWS's; what has none keeps its own, for an empty list would mean all types. */
export function typesOf(name: string): { readonly types: readonly string[]; readonly known: boolean } {
  const lower = name.trim().toLowerCase();
  const [given = "", rest = "*"] = lower.split(":");
  const service = SERVICES[given] ?? given;
  if (rest === "*" || rest === "all_supported") {
    const exact = TYPES[lower];
    const all = exact ? [exact] : SCANNED_TYPES.filter((type) => type.startsWith(`${service}:`));
    return all.length > 0 ? { types: all, known: true } : { types: [lower], known: false };
  }
  // A load balancer's kind is no type of its own.
  const type = TYPES[lower] ?? `${service}:${rest.split("/")[0]}`;
  return { types: [type], known: SCANNED_TYPES.includes(type) };
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");

/** Values with `*` for any run of characters as one pattern, anchored at both ends. */
export const patternOf = (values: readonly string[]): string =>
  `^(?:${values.map((value) => value.split("*").map(escaped).join(".*")).join("|")})$`;

interface Converted {
  readonly required: boolean;
  readonly tag: PolicyFile["required_tags"][number];
}

function tagOf(key: string, given: Plain, services: Set<string>, warnings: string[]): Converted {
  const name = textsOf(given.tag_key)?.[0] ?? textsOf(isPlain(given.tag_key) ? given.tag_key["@@assign"] : null)?.[0];
  const values = listIn(given.tag_value);
  const enforced = listIn(given.enforced_for);
  const reported = listIn(given.report_required_tag_for);
  const shown = name ?? key;
  if ([values, enforced, reported].some((one) => one?.inherits)) {
    warnings.push(`${shown} adds to what policies above it say, which is not part of this one: import "effective".`);
  }
  for (const one of enforced?.list ?? []) services.add(one.split(":")[0]!);
  const named = [...(enforced?.list ?? []), ...(reported?.list ?? [])].map((one) => ({ one, ...typesOf(one) }));
  const unknown = named.filter(({ known }) => !known).map(({ one }) => one);
  if (unknown.length > 0) warnings.push(`${shown} is asked of types that are not scanned: ${unknown.join(", ")}.`);
  const required = named.length > 0;
  const list = values?.list ?? [];
  const isWild = list.some((value) => value.includes("*"));
  const isAny = list.length === 0 || list.includes("*");
  if (!required && isWild && !isAny) {
    warnings.push(`The values of ${shown} hold wildcards; as it is required nowhere, they are not checked.`);
  }
  return {
    required,
    tag: {
      name: shown,
      description: "From an AWS tag policy",
      allowed_values: isAny || isWild ? null : list,
      ...(required && {
        validation_regex: isWild && !isAny ? patternOf(list) : null,
        applies_to: [...new Set(named.flatMap(({ types }) => types))].sort(),
      }),
    },
  };
}

/**
 * A tagging policy from the document of a tag policy. What is enforced for types, or reported as missing there, is required
 * of them; everything else is optional.
 * @returns because where the document is no tag policy
 * @example importedPolicy({ tags: { cost: { tag_key: "CostCenter", enforced_for: ["ec2:instance"] } } }, facts)
 */
export function importedPolicy(document: unknown, facts: ImportFacts): ImportedPolicy | { readonly because: string } {
  if (!isPlain(document) || !isPlain(document.tags)) return { because: "it has no `tags`" };
  const services = new Set<string>();
  const warnings: string[] = [];
  const converted = new Map<string, Converted>();
  for (const [key, given] of Object.entries(document.tags)) {
    // Operators for policies below this one.
    if (key.startsWith("@@")) continue;
    if (!isPlain(given)) return { because: `tags.${key} is no object` };
    const one = tagOf(key, given, services, warnings);
    const { name } = one.tag;
    if (name.length === 0 || name.length > 128) return { because: `tags.${key}.tag_key is no tag key` };
    if (converted.has(name)) warnings.push(`${name} stands in it twice; the last one counts.`);
    converted.set(name, one);
  }
  const all = [...converted.values()];
  return {
    file: PolicyFile.parse({
      version: "1.0",
      last_updated: facts.now,
      metadata: {
        source: "aws_organizations",
        policy_id: facts.policyId,
        ...(facts.policyName !== undefined && { policy_name: facts.policyName }),
        imported_at: facts.now,
      },
      required_tags: all.filter(({ required }) => required).map(({ tag }) => tag),
      optional_tags: all.filter(({ required }) => !required).map(({ tag }) => tag),
    }),
    services: [...services].sort(),
    warnings,
  };
}
