// Lint: what a table says against what the tools are. Every finding says what to do about it.
import { covers, intersects, matchGlob } from "../glob.js";
import { type Settled, type StateSyncConfig, settled } from "./config.js";
import { hasPlantedDirective } from "./describe.js";
import { PolicyEngine } from "./engine.js";
import { NAME_LIMITS, type ResolvedPolicy, type SyncPolicy, withinLimits } from "./policy.js";

export type Severity = "error" | "warn" | "info";

const SEVERITY = {
  shadowed: "error",
  covered_by_union: "error",
  partial_overlap: "info",
  unused_match: "warn",
  dead_invalidation: "warn",
  mutator_without_policy: "error",
  own_domain_missing: "warn",
  reader_invalidates: "error",
  immutable_mutator: "error",
  immutable_invalidated: "warn",
  no_effect: "warn",
  wire_collision: "error",
  wire_name: "error",
  planted_directive: "warn",
  duplicate_pattern: "warn",
} as const satisfies Record<string, Severity>;

export type FindingCode = keyof typeof SEVERITY;

export interface Finding {
  readonly code: FindingCode;
  /** An accepted finding is `info`, whatever it was. */
  readonly severity: Severity;
  /** What the finding is about: a row's match, a stale pattern, or a tool's name. `accept` entries are held against it. */
  readonly match: string;
  readonly index?: number;
  readonly tool?: string;
  readonly message: string;
  readonly fix: string;
  /** Why the owner of the table accepts it. */
  readonly accepted?: string;
}

export interface LintedTool {
  readonly name: string;
  readonly description?: string | undefined;
  /** What the tool does to the world. Without it, what depends on it is not checked. */
  readonly kind?: "read" | "plan" | "apply" | undefined;
}

export interface OverlapWarning {
  readonly message: string;
  readonly shadowingIndex: number;
  readonly shadowedIndex: number;
}

/**
 * Every pair of rows where the earlier one leaves nothing to the later one.
 *
 * @example
 * const warnings = detectOverlaps([{ match: "sprints.*", cacheControl: "no-store" }, { match: "sprints.update", invalidates: ["sprints.*"] }]);
 * warnings.map((w) => [w.shadowingIndex, w.shadowedIndex]); // => [[0, 1]]
 */
export function detectOverlaps(policies: readonly SyncPolicy[]): OverlapWarning[] {
  return policies.flatMap(({ match: later }, shadowedIndex) =>
    policies.slice(0, shadowedIndex).flatMap(({ match: earlier }, shadowingIndex) => {
      if (!covers([earlier], later)) return [];
      const message = `Policy [${shadowingIndex}] "${earlier}" shadows policy [${shadowedIndex}] "${later}": the later one can never match`;
      return [{ message, shadowingIndex, shadowedIndex }];
    }),
  );
}

/**
 * All findings, errors first. Under `strict` it throws instead, if an error or a warning is left that `accept` does not cover.
 *
 * @example
 * const tools = [{ name: "sprints.update", kind: "plan" }];
 * lintPolicies({ policies: [] }, tools).map((f) => f.code); // => ["mutator_without_policy"]
 * lintPolicies({ policies: [{ match: "sprints.update", invalidates: ["sprints.*"] }] }, tools); // => []
 */
export function lintPolicies(config: StateSyncConfig, tools: readonly LintedTool[]): Finding[] {
  return lint(settled(config), tools);
}

/** The same for a configuration that is already checked and copied. */
export function lint(config: Settled, tools: readonly LintedTool[]): Finding[] {
  const table = subject(config, tools);
  const findings = CHECKS.flatMap((check) => check(table)).map((draft) => judged(draft, table));
  const sorted = RANKS.flatMap((severity) => findings.filter((finding) => finding.severity === severity));
  const open = sorted.filter(({ severity }) => severity !== "info");
  if (table.strict && open.length > 0) {
    const lines = open.map(({ code, severity, message, fix }) => `${severity} ${code}: ${message} ${fix}`);
    throw new Error(`StateSync lint: ${open.length} finding(s)\n${lines.join("\n")}`);
  }
  return sorted;
}

type Draft = Omit<Finding, "severity" | "accepted">;
type Tool = LintedTool & { readonly listed: string; readonly wire: string; readonly policy: ResolvedPolicy | null };
type Subject = ReturnType<typeof subject>;
type Check = (table: Subject) => Draft[];

const RANKS: readonly Severity[] = ["error", "warn", "info"];

function subject(config: Settled, tools: readonly LintedTool[]) {
  const { policies, defaults, toWire, toCanonical, strict, accept } = config;
  const engine = new PolicyEngine(policies, defaults);
  const known = tools.map((tool): Tool => {
    const name = toCanonical(tool.name);
    return { ...tool, name, listed: tool.name, wire: toWire(name), policy: engine.resolve(name) };
  });
  const matches = policies.map(({ match }) => match);
  const unreachable = policies.map(({ match }, index) => covers(matches.slice(0, index), match));
  return { policies, matches, unreachable, defaults, engine, tools: known, strict, accept };
}

function judged(draft: Draft, { accept }: Subject): Finding {
  const entry = accept.find(({ code, match }) => code === draft.code && covers([match], draft.match));
  return entry ? { ...draft, severity: "info", accepted: entry.because } : { ...draft, severity: SEVERITY[draft.code] };
}

const unreachableRows: Check = ({ matches, unreachable }) =>
  matches.flatMap((match, index): Draft[] => {
    if (!unreachable[index]) return [];
    const by = matches.findIndex((earlier) => covers([earlier], match));
    const fix = "Move it in front of them, or delete it.";
    return by < index
      ? [
          {
            code: "shadowed",
            match,
            index,
            message: `Row ${index} "${match}" can never match: row ${by} "${matches[by]}" shadows it.`,
            fix,
          },
        ]
      : [
          {
            code: "covered_by_union",
            match,
            index,
            message: `Row ${index} "${match}" can never match: earlier rows together cover it.`,
            fix,
          },
        ];
  });

const partialOverlaps: Check = ({ matches, tools }) =>
  matches.flatMap((match, index) =>
    matches.slice(0, index).flatMap((earlier, by): Draft[] => {
      if (!intersects(earlier, match) || covers([earlier], match) || covers([match], earlier)) return [];
      const common = tools
        .filter(({ name }) => matchGlob(earlier, name) && matchGlob(match, name))
        .map(({ name }) => name);
      const taken = common.length > 0 ? common.join(", ") : "no registered tool today";
      const message = `Rows ${by} "${earlier}" and ${index} "${match}" overlap; the first one takes ${taken}.`;
      return [
        {
          code: "partial_overlap",
          match,
          index,
          message,
          fix: "Name the common tools in a row in front of both if that is not meant.",
        },
      ];
    }),
  );

const unusedMatches: Check = ({ matches, unreachable, engine, tools }) => {
  const deciding = new Set(tools.map(({ name }) => engine.explain(name)?.index));
  return matches.flatMap((match, index): Draft[] => {
    if (deciding.has(index) || unreachable[index]) return [];
    const message = `Row ${index} "${match}" decides no registered tool.`;
    return [{ code: "unused_match", match, index, message, fix: "Correct the name, or delete the row." }];
  });
};

const deadInvalidations: Check = ({ policies, tools }) =>
  policies.flatMap(({ match, invalidates = [] }, index) =>
    [...new Set(invalidates)].flatMap((pattern): Draft[] => {
      if (tools.some(({ name }) => matchGlob(pattern, name))) return [];
      const message = `Row ${index} "${match}" makes "${pattern}" stale, which no registered tool reads.`;
      return [{ code: "dead_invalidation", match: pattern, index, message, fix: "Correct the pattern, or remove it." }];
    }),
  );

const kindsAgainstPolicies: Check = ({ tools, engine }) =>
  tools.flatMap(({ name, kind, policy }): Draft[] => {
    const about = { match: name, tool: name, ...indexOf(engine, name) };
    const stale = policy?.invalidates ?? [];
    const own = `${name.split(".")[0]}.**`;
    const drafts: (Draft | false)[] = [
      kind === "plan" &&
        stale.length === 0 && {
          ...about,
          code: "mutator_without_policy",
          message: `${name} changes something and makes nothing stale.`,
          fix: `Add a row: { match: "${name}", invalidates: ["${own}"] }.`,
        },
      kind === "plan" &&
        stale.length > 0 &&
        !stale.some((pattern) => intersects(pattern, own)) && {
          ...about,
          code: "own_domain_missing",
          message: `${name} makes ${stale.join(", ")} stale but not its own domain.`,
          fix: `Add "${own}" to the list.`,
        },
      kind === "read" &&
        stale.length > 0 && {
          ...about,
          code: "reader_invalidates",
          message: `${name} only reads, and every read would make ${stale.join(", ")} stale.`,
          fix: "Narrow the row's match to the tools that change something.",
        },
      (kind === "plan" || kind === "apply") &&
        policy?.cacheControl === "immutable" && {
          ...about,
          code: "immutable_mutator",
          message: `${name} changes something and is tagged immutable.`,
          fix: "Remove the directive, or narrow the row's match to reads.",
        },
    ];
    return drafts.filter((draft) => draft !== false);
  });

const immutableInvalidated: Check = ({ policies, tools, engine }) =>
  tools.flatMap(({ name, policy }): Draft[] => {
    const by = policies.flatMap(({ invalidates = [] }) => invalidates).filter((pattern) => matchGlob(pattern, name));
    if (policy?.cacheControl !== "immutable" || by.length === 0) return [];
    const message = `${name} is immutable, yet ${[...new Set(by)].join(", ")} covers it.`;
    const fix = "Immutable wins: accept it with the reason, narrow the pattern, or drop the directive.";
    return [{ code: "immutable_invalidated", match: name, tool: name, ...indexOf(engine, name), message, fix }];
  });

const rowsWithoutEffect: Check = ({ policies, defaults }) =>
  policies.flatMap(({ match, cacheControl, invalidates = [] }, index): Draft[] => {
    if (cacheControl || defaults.cacheControl || invalidates.length > 0) return [];
    const message = `Row ${index} "${match}" says nothing and keeps later rows from being asked.`;
    return [{ code: "no_effect", match, index, message, fix: "Give it a directive or a list, or delete it." }];
  });

const repeatedPatterns: Check = ({ policies }) =>
  policies.flatMap(({ match, invalidates = [] }, index) =>
    [...new Set(invalidates.filter((pattern, at) => invalidates.indexOf(pattern) !== at))].map((pattern): Draft => {
      const message = `Row ${index} "${match}" lists "${pattern}" more than once.`;
      return { code: "duplicate_pattern", match: pattern, index, message, fix: "Remove the repetition." };
    }),
  );

// Where every name is served as it is, dots are meant; where some are mapped, a dot on the wire is a name the map forgot.
const wireNames: Check = ({ tools }) => {
  const dotted = tools.every(({ name, wire }) => name === wire);
  const allowed = dotted ? /^[a-zA-Z0-9_.-]{1,64}$/ : /^[a-zA-Z0-9_-]{1,64}$/;
  return tools.flatMap((tool): Draft[] => {
    const { name, listed, wire } = tool;
    const first = tools.find((other) => other.wire === wire) ?? tool;
    const about = { match: name, tool: name };
    const drafts: (Draft | false)[] = [
      first !== tool && {
        ...about,
        code: "wire_collision",
        message: `Two tools are "${wire}" on the wire: ${first.listed} and ${listed}.`,
        fix: "Rename one of them.",
      },
      (!allowed.test(wire) || !withinLimits(name)) && {
        ...about,
        code: "wire_name",
        message: `"${wire}" cannot be served: at most 64 of ${dotted ? "[a-zA-Z0-9_.-]" : "[a-zA-Z0-9_-]"}, and at most ${NAME_LIMITS.characters} characters and ${NAME_LIMITS.segments} segments before the mapping.`,
        fix: "Rename the tool, or map its name.",
      },
    ];
    return drafts.filter((draft) => draft !== false);
  });
};

const plantedDirectives: Check = ({ tools }) =>
  tools.flatMap(({ name, description = "" }): Draft[] => {
    if (!hasPlantedDirective(description)) return [];
    const message = `The description of ${name} holds a cache directive in mid-text, which policies cannot change.`;
    return [
      {
        code: "planted_directive",
        match: name,
        tool: name,
        message,
        fix: "Remove it; the policy's own stands at the end.",
      },
    ];
  });

const CHECKS: readonly Check[] = [
  unreachableRows,
  partialOverlaps,
  unusedMatches,
  deadInvalidations,
  kindsAgainstPolicies,
  immutableInvalidated,
  rowsWithoutEffect,
  wireNames,
  plantedDirectives,
  repeatedPatterns,
];

function indexOf(engine: PolicyEngine, name: string): { index?: number } {
  const decided = engine.explain(name);
  return decided ? { index: decided.index } : {};
}
