// What a missing required tag could be: a table of keywords, what similar resources bear, parts of the name. Pure, and no more sure than it says.

import type { Tagged } from "./evaluate.js";
import { accepts, requiredFor, type TaggingPolicy, type TagRule } from "./policy.js";

export interface Suggestion {
  readonly tag_key: string;
  readonly suggested_value: string;
  /** 0.1..0.95 */
  readonly confidence: number;
  readonly reasoning: string;
  /** Invented from a word: nobody has seen that it exists. */
  readonly verified?: false;
  /** Sure enough to be chosen unless somebody objects. */
  readonly preselected: boolean;
}

/** What is known of a resource beside its tags. */
export interface Clues {
  readonly vpcName?: string;
  readonly role?: string;
}

const PRESELECT_FROM = 0.5;

/** Value → words that mean it. */
type Words = Readonly<Record<string, readonly string[]>>;

const PATTERNS: Readonly<Record<string, Words>> = {
  Environment: {
    production: ["production", "prod", "prd", "live", "main"],
    staging: ["staging", "stag", "stg", "preprod", "uat"],
    development: ["development", "dev", "develop", "sandbox"],
    test: ["test", "tst", "qa", "quality"],
  },
  CostCenter: {
    Engineering: ["eng", "tech", "platform", "infra", "backend", "frontend", "devops", "sre"],
    Marketing: ["mkt", "campaign", "analytics", "growth"],
    Sales: ["crm", "revenue", "commercial"],
    Operations: ["ops", "support", "helpdesk", "service"],
    Finance: ["fin", "billing", "accounting", "payment"],
  },
  DataClassification: {
    public: ["cdn", "static", "assets", "media"],
    internal: ["private", "corp", "intranet"],
    confidential: ["sensitive", "pii", "customer"],
    restricted: ["secret", "classified", "hipaa", "pci"],
  },
};

/** Where a word was found → how sure that makes. */
const SOURCES = { "VPC name": 0.85, "IAM role": 0.8, name: 0.75, ARN: 0.65 } as const;
type Source = keyof typeof SOURCES;

/** Whole words: `preprod` is not `prod`, and `domain` is not `main`. */
export const tokensOf = (text: string): readonly string[] =>
  text
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter(Boolean);

/** The part of an ARN that somebody named. */
const namedPart = (arn: string): string =>
  arn
    .split(":")
    .slice(5)
    .join(":")
    .replace(/^[a-z-]+[/:]/, "");

/** The value whose longest word is among the tokens. */
function wordIn(words: Words, tokens: readonly string[]): { readonly value: string; readonly word: string } | null {
  const found = Object.entries(words)
    .flatMap(([value, list]) => list.map((word) => ({ value, word })))
    .filter(({ word }) => tokens.includes(word))
    .sort((a, b) => b.word.length - a.word.length)[0];
  return found ?? null;
}

/** The policy's own spelling of a meaning; null where it has none. */
function inPolicy(rule: TagRule, words: Words | undefined, value: string): string | null {
  if (accepts(rule, value)) return value;
  if (rule.allowed === null) return null;
  const synonyms = new Set([value.toLowerCase(), ...(words?.[value] ?? [])]);
  return rule.allowed.find((one) => synonyms.has(one.toLowerCase()) && accepts(rule, one)) ?? null;
}

export const nameOf = (resource: Tagged): string => resource.tags.Name ?? resource.resource_id;

const IDENTIFIER = /^(i|vol|snap|eipalloc|nat|sg|vpc|subnet|eni|fs)-[0-9a-f]{6,17}$/;

function byPattern(rule: TagRule, resource: Tagged, clues: Clues): Suggestion | null {
  const words = PATTERNS[rule.name];
  if (!words) return null;
  const sources: readonly (readonly [Source, string | undefined])[] = [
    ["VPC name", clues.vpcName],
    ["IAM role", clues.role],
    ["name", nameOf(resource)],
    ["ARN", namedPart(resource.arn)],
  ];
  for (const [source, text] of sources) {
    const found = text ? wordIn(words, tokensOf(text)) : null;
    const value = found && inPolicy(rule, words, found.value);
    if (!found || value === null) continue;
    return {
      tag_key: rule.name,
      suggested_value: value,
      confidence: SOURCES[source],
      reasoning: `the word "${found.word}" stands in its ${source}`,
      preselected: true,
    };
  }
  return null;
}

const MOST_SIMILAR = 10;

function bySimilar(rule: TagRule, similar: readonly Tagged[]): Suggestion | null {
  const values = similar
    .filter(({ tags, withheld }) => Object.keys(tags).length > 0 && !withheld?.includes(rule.name))
    .slice(0, MOST_SIMILAR)
    .flatMap(({ tags }) => (Object.hasOwn(tags, rule.name) ? [tags[rule.name]!] : []))
    .filter((value) => accepts(rule, value));
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const [value, count] = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0] ?? [];
  if (value === undefined || count === undefined) return null;
  const sure = 0.7 * (count / values.length) * Math.min(1, values.length / 5);
  const confidence = Number(Math.min(0.95, Math.max(0.1, sure)).toFixed(2));
  return {
    tag_key: rule.name,
    suggested_value: value,
    confidence,
    reasoning: `${count} of ${values.length} similar resources bear it`,
    preselected: confidence >= PRESELECT_FROM,
  };
}

const STAGES = new Set(Object.values(PATTERNS.Environment!).flat());
const PLACES =
  /^(us|eu|ap|sa|ca|af|me|il|mx|cn|gov|north|south|east|west|central|northeast|northwest|southeast|southwest)$/;

function byInference(rule: TagRule, resource: Tagged, clues: Clues): Suggestion | null {
  if (rule.name === "Application") {
    const name = nameOf(resource);
    if (IDENTIFIER.test(name) || !name.includes("-")) return null;
    const parts = name
      .split("-")
      .filter(
        (part) =>
          part !== "" && !STAGES.has(part.toLowerCase()) && !PLACES.test(part.toLowerCase()) && !/^\d+$/.test(part),
      );
    const value = parts.slice(0, 3).join("-");
    if (parts.length < 1 || value === "" || !accepts(rule, value)) return null;
    return {
      tag_key: rule.name,
      suggested_value: value,
      confidence: 0.6,
      reasoning: "taken from its name",
      preselected: true,
    };
  }
  if (rule.name === "Owner" && clues.role) {
    const word = /([a-z0-9]+)[-_ ](?:team|squad|group|service)\b/i.exec(clues.role)?.[1]?.toLowerCase();
    const value = word && `${word}-team@example.com`;
    if (!value || !accepts(rule, value)) return null;
    return {
      tag_key: rule.name,
      suggested_value: value,
      confidence: 0.45,
      reasoning: "made from a word in its IAM role; the address is invented",
      verified: false,
      preselected: false,
    };
  }
  return null;
}

/** One suggestion at most for each required tag that is missing; never one the policy would reject. */
export function suggestionsFor(
  policy: TaggingPolicy,
  resource: Tagged,
  similar: readonly Tagged[],
  clues: Clues = {},
): readonly Suggestion[] {
  return requiredFor(policy, resource.resource_type)
    .filter(({ name }) => !Object.hasOwn(resource.tags, name))
    .flatMap((rule) => {
      const found = byPattern(rule, resource, clues) ?? bySimilar(rule, similar) ?? byInference(rule, resource, clues);
      return found && accepts(rule, found.suggested_value) ? [found] : [];
    });
}
