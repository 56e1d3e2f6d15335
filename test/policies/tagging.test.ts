// Tag compliance as rules: files as users have them, violations, scores, bands, exceptions, suggestions, reports.

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { custodianPolicies } from "../../policies/tagging/custodian.js";
import {
  complianceOf,
  evaluate,
  scoreOf,
  shownPercent,
  statusOf,
  type Tagged,
} from "../../policies/tagging/evaluate.js";
import { fits, isExcepted, TagException } from "../../policies/tagging/exceptions.js";
import { historyOf, periodOf, tagDrift } from "../../policies/tagging/history.js";
import { compilePattern } from "../../policies/tagging/pattern.js";
import { accepts, PolicyFile, policyFrom, policyView, requiredFor } from "../../policies/tagging/policy.js";
import { recommendationsFor, reportCsv, reportMarkdown, violationsCsv } from "../../policies/tagging/report.js";
import { suggestionsFor, tokensOf } from "../../policies/tagging/suggest.js";
import { chosenTypes, SCANNED_TYPES } from "../../policies/tagging/types.js";

const NOW = "2026-03-01T12:00:00.000Z";

const resource = (tags: Record<string, string>, more: Partial<Tagged> = {}): Tagged => ({
  resource_id: "i-0123456789abcdef0",
  resource_type: "ec2:instance",
  region: "eu-west-1",
  arn: "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0",
  account_id: "123456789012",
  tags,
  ...more,
});

const policy = policyFrom({
  version: 1,
  metadata: { team: "finops" },
  required_tags: [
    { name: "Environment", allowed_values: ["production", "staging"], applies_to: ["ec2:instance", "rds:db-instance"] },
    { name: "CostCenter", validation_regex: "CC-\\d{4}", house: "kept" },
    { name: "Owner" },
  ],
  optional_tags: [{ name: "Class", allowed_values: ["public"] }],
});

describe("the policy file", () => {
  it("loads as the original's and keeps what it does not know when written again", () => {
    const text = readFileSync(new URL("../../policies/tagging_policy.json", import.meta.url), "utf8");
    const example = policyFrom(JSON.parse(text));
    expect(example.warnings).toEqual([]);
    expect(PolicyFile.parse(JSON.parse(text))).toEqual(JSON.parse(text));
    expect(policy.file).toMatchObject({ metadata: { team: "finops" }, required_tags: [{}, { house: "kept" }, {}] });
    expect(policyView(policy, NOW)).toMatchObject({
      version: "1",
      last_updated: NOW,
      required_tag_count: 3,
      all_applicable_resource_types: expect.arrayContaining(["s3:bucket", "rds:db-instance"]),
    });
  });

  it("says what of it is not scanned or not applied", () => {
    expect(policy.warnings.join()).toContain("rds:db-instance");
    const odd = policyFrom({ required_tags: [{ name: "A", validation_regex: "(" }] });
    expect(odd.warnings.join()).toContain("pattern of A");
    expect(accepts(odd.rules[0]!, "anything")).toBe(true);
  });

  it("knows the 42 scanned types, and skips the others by name", () => {
    expect(SCANNED_TYPES).toHaveLength(42);
    expect(chosenTypes(["all", "rds:db-instance"])).toMatchObject({
      all: true,
      skipped: ["glue:table", "rds:db-instance"],
    });
  });
});

describe("patterns", () => {
  it.each([
    ["CC-\\d{4}", ["CC-1234", "CC-12345-junk"], ["xCC-1234", "CC-123"]],
    ["^CC-\\d{4}$", ["CC-1234"], ["CC-12345"]],
    ["(?i)prod|stag", ["PROD", "Staging"], ["dev"]],
    ["\\A[a-z]{2,3}\\Z", ["ab", "abc"], ["abcd", "ab\n"]],
    ["(?P<a>x+)(?:y|z)?$", ["xxy", "x"], ["xw"]],
    ["(?P<q>[ab])-(?P=q)$", ["a-a"], ["a-b"]],
    ["(?!test)\\w+", ["prod"], ["test1"]],
    ["[^-\\s][\\w.]*", ["a.b"], ["-a"]],
    ["a{2}|[]]", ["aa", "]"], ["a"]],
    ["\\bdev\\b", ["dev-1"], ["devs"]],
    // A backslash before a digit and a set with what opens a lookahead refer to nothing.
    ["(?:.*b|.*c|\\\\1.*a)$", ["b", "\\1a"], ["1a"]],
    ["[(?=]a*b*c*$", ["?", "=abc"], ["abc"]],
    ["(?!x)\\\\A$", ["\\A"], ["\\", "A"]],
  ])("%s", (source, good, bad) => {
    const { pattern, because } = compilePattern(source);
    expect(because).toBeUndefined();
    for (const value of good) expect(pattern!.test(value), value).toBe(true);
    for (const value of bad) expect(pattern!.test(value), value).toBe(false);
  });

  it("says why a pattern is none", () => {
    for (const source of ["(", "a)", "[a", "*a", "a**", "(?m)a", "(x(?=y)+)+", "((a{99}){99}){99}", "\\"]) {
      expect(compilePattern(source).because, source).toBeTypeOf("string");
    }
  });

  it("agrees with JavaScript's engine where both read a pattern alike", () => {
    const piece = fc.constantFrom(
      "a",
      "b",
      ".",
      "[ab]",
      "[^a]",
      "\\d",
      "(a|b)",
      "(?:ab|a)",
      "a*",
      "b+",
      "(ab)?",
      "a{1,2}",
      "$",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), fc.stringMatching(/^[ab1]{0,8}$/), (pieces, value) => {
        const source = pieces.join("");
        const { pattern } = compilePattern(source);
        expect(pattern!.test(value)).toBe(new RegExp(`^(?:${source})`, "u").test(value));
      }),
    );
  });

  it.each(["(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*a){12}$", "(a?){40}a{40}$"])(
    "takes a bounded time for %s on a hostile value",
    (source) => {
      const started = performance.now();
      expect(compilePattern(source).pattern!.test(`${"a".repeat(250)}!`)).toBe(false);
      expect(performance.now() - started).toBeLessThan(2_000);
    },
  );
});

describe("evaluation", () => {
  it("finds at most one violation a rule, in the order of the file", () => {
    const { violations } = evaluate(policy, resource({ Environment: "prod", CostCenter: "x", Class: "secret" }));
    expect(
      violations.map(({ tag_name, violation_type, severity, current_value, allowed_values }) => [
        tag_name,
        violation_type,
        severity,
        current_value,
        allowed_values,
      ]),
    ).toEqual([
      ["Environment", "invalid_value", "error", "prod", ["production", "staging"]],
      ["CostCenter", "invalid_format", "error", "x", null],
      ["Owner", "missing_required_tag", "error", null, null],
      ["Class", "invalid_value", "warning", "secret", ["public"]],
    ]);
  });

  it("takes an empty value for present, keys for case-sensitive, and hints at what was meant", () => {
    const { violations } = evaluate(
      policy,
      resource({ environment: "production", "cost-center": "CC-1234", Owner: "" }),
    );
    expect(violations.map(({ tag_name, near_miss }) => [tag_name, near_miss])).toEqual([
      ["Environment", "environment"],
      ["CostCenter", "cost-center"],
    ]);
  });

  it("an empty list of values allows nothing", () => {
    const none = policyFrom({ required_tags: [{ name: "A", allowed_values: [] }] });
    expect(evaluate(none, resource({ A: "x" })).violations[0]).toMatchObject({ violation_type: "invalid_value" });
  });

  it("bands come from the unrounded score, and display never rounds into another band", () => {
    expect([100, 99.96, 50, 49.99, 0.04, 0].map(statusOf)).toEqual([
      "fully_compliant",
      "partially_compliant",
      "partially_compliant",
      "non_compliant",
      "non_compliant",
      "untagged",
    ]);
    expect(shownPercent(99.999)).toBe(99.99);
    expect(shownPercent(99.96, 1)).toBe(99.9);
    expect(shownPercent(0.001)).toBe(0.01);
  });

  it("flags unrelated tags, which score nothing, and ignores AWS's own", () => {
    const { statuses } = complianceOf(policy, [resource({ Foo: "1" }), resource({ "aws:x": "1" })], [], NOW);
    expect(statuses.map(({ status, critical, has_user_tags }) => [status, critical, has_user_tags])).toEqual([
      ["untagged", true, true],
      ["untagged", true, false],
    ]);
  });

  it("counts no type that no required tag applies to", () => {
    const narrow = policyFrom({ required_tags: [{ name: "A", applies_to: ["s3:bucket"] }] });
    expect(complianceOf(narrow, [resource({})], [], NOW)).toMatchObject({ total: 0, score: 1, outOfScope: 1 });
  });
});

const key = fc.constantFrom("Environment", "CostCenter", "Owner", "Class", "Other", "aws:x", "environment");
const value = fc.constantFrom("production", "prod", "CC-1234", "xCC-1", "", "public", "a");
const tags = fc.dictionary(key, value);

describe("laws", () => {
  it("the score is satisfied over applicable, and a rule is violated exactly where it is broken", () => {
    fc.assert(
      fc.property(tags, fc.constantFrom("ec2:instance", "s3:bucket"), (given, type) => {
        const one = resource(given, { resource_type: type });
        const found = evaluate(policy, one);
        const rules = requiredFor(policy, type);
        const kept = rules.filter(({ name, allowed, regex }) => {
          const has = Object.hasOwn(given, name);
          return has && (allowed?.includes(given[name]!) ?? true) && (regex === null || /^CC-\d{4}/.test(given[name]!));
        });
        expect(scoreOf(found)).toBe((kept.length / rules.length) * 100);
        const broken = found.violations.filter(({ severity }) => severity === "error").map(({ tag_name }) => tag_name);
        expect(broken).toEqual(rules.filter((rule) => !kept.includes(rule)).map(({ name }) => name));
      }),
    );
  });

  it("a scan's score is compliant over total, warnings change nothing", () => {
    fc.assert(
      fc.property(fc.array(tags, { maxLength: 20 }), (many) => {
        const found = complianceOf(
          policy,
          many.map((given) => resource(given)),
          [],
          NOW,
        );
        const full = many.filter((given) => evaluate(policy, resource(given)).satisfied === 3).length;
        expect(found).toMatchObject({ total: many.length, compliant: full });
        expect(found.score).toBe(many.length === 0 ? 1 : full / many.length);
        expect(found.statuses).toHaveLength(many.length);
      }),
    );
  });

  it("no suggestion is against the policy, and none is of a tag that is there", () => {
    const named = policyFrom({
      required_tags: [
        { name: "Environment", allowed_values: ["prod", "stg"] },
        { name: "CostCenter", validation_regex: "^[EO]" },
        { name: "DataClassification" },
        { name: "Owner", validation_regex: ".*@" },
        { name: "Application", validation_regex: "^[a-z-]+$" },
      ],
    });
    const words = fc.array(
      fc.constantFrom("prod", "preprod", "eng", "pii", "api", "web", "eu", "1", "team", "domain"),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(words, words, tags, fc.array(tags, { maxLength: 6 }), (name, role, given, others) => {
        const one = resource({ ...given, Name: name.join("-") });
        for (const suggestion of suggestionsFor(
          named,
          one,
          others.map((some) => resource(some)),
          { role: role.join("-") },
        )) {
          const rule = named.rules.find((each) => each.name === suggestion.tag_key)!;
          expect(accepts(rule, suggestion.suggested_value), JSON.stringify(suggestion)).toBe(true);
          expect(Object.hasOwn(one.tags, suggestion.tag_key)).toBe(false);
          expect(suggestion.preselected).toBe(suggestion.confidence >= 0.5);
        }
      }),
    );
  });

  it("no cell of a CSV begins like a formula", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const { violations } = evaluate(policy, resource({ Environment: text }));
        const line = violationsCsv(violations.slice(0, 1), ["current_value"]).split("\r\n").slice(1).join("\r\n");
        expect(/^"?[=+\-@\t\r]/.test(line.trimEnd())).toBe(false);
      }),
    );
  });
});

describe("exceptions", () => {
  const excepted = TagException.parse({ pattern: "arn:aws:ec2:*:instance/*", reason: "legacy", expires: "2026-03-01" });

  it("leaves the violations, is counted by itself, and counts again after its last day", () => {
    const one = [resource({})];
    expect(complianceOf(policy, one, [excepted], NOW)).toMatchObject({
      total: 0,
      excepted: 1,
      violations: [],
      statuses: [{ excepted: true }],
    });
    expect(complianceOf(policy, one, [excepted], "2026-03-02T00:00:00.000Z")).toMatchObject({ total: 1, excepted: 0 });
  });

  it("may name single tags, and then the rest still counts", () => {
    const some = TagException.parse({ ...excepted, tags: ["Owner"] });
    const found = complianceOf(policy, [resource({ Environment: "production" })], [some], NOW);
    expect(found).toMatchObject({ total: 1, compliant: 0, excepted: 0 });
    expect(found.violations.map(({ tag_name }) => tag_name)).toEqual(["CostCenter"]);
    expect(isExcepted([some], one.arn, "Owner", NOW)).toBe(true);
  });
  const one = resource({});

  it("matches `*` as any run", () => {
    expect(["ab", "a--b", "aXbYb"].every((text) => fits("a*b", text))).toBe(true);
    expect(["a", "b", "abc"].some((text) => fits("a*b", text))).toBe(false);
    expect(fits("ab*b", "ab")).toBe(false);
  });

  it.each([
    [{ reason: "x", expires: "2026-01-01" }],
    [{ arn: "a", pattern: "b", reason: "x", expires: "2026-01-01" }],
    [{ arn: "a", reason: "x", expires: "soon" }],
  ])("refuses %j", (given) => expect(TagException.safeParse(given).success).toBe(false));
});

describe("suggestions", () => {
  it("reads whole words, and says values as the policy spells them", () => {
    expect(tokensOf("arn-PreprodDomain_controller")).toEqual(["arn", "preprod", "domain", "controller"]);
    const spelt = policyFrom({ required_tags: [{ name: "Environment", allowed_values: ["prod", "stg"] }] });
    const of = (name: string) => suggestionsFor(spelt, resource({ Name: name }), [])[0];
    expect(of("api-production-1")).toMatchObject({ suggested_value: "prod", confidence: 0.75 });
    expect(of("api-preprod-1")).toMatchObject({ suggested_value: "stg" });
    expect(of("domain-controller")).toBeUndefined();
  });

  it("takes the surest source first, and marks an invented address", () => {
    const owner = policyFrom({ required_tags: [{ name: "Environment" }, { name: "Owner" }] });
    const found = suggestionsFor(owner, resource({ Name: "dev-box" }), [], {
      vpcName: "prod-vpc",
      role: "payments-team-role",
    });
    expect(found[0]).toMatchObject({ suggested_value: "production", confidence: 0.85 });
    expect(found[1]).toMatchObject({
      suggested_value: "payments-team@example.com",
      verified: false,
      preselected: false,
    });
  });
});

describe("history", () => {
  it("groups by Mondays and firsts, takes the mean score and the last counts", () => {
    expect(periodOf("2026-03-01T05:00:00Z", "week")).toBe("2026-02-23");
    expect(periodOf("2026-03-09T05:00:00Z", "month")).toBe("2026-03-01");
    const scan = (timestamp: string, compliance_score: number, total_resources: number) => ({
      timestamp,
      compliance_score,
      total_resources,
      compliant_resources: 1,
      violation_count: 2,
    });
    const found = historyOf(
      [
        scan("2026-03-02T09:00:00Z", 1, 12),
        scan("2026-03-01T09:00:00Z", 0.5, 10),
        scan("2026-03-01T10:00:00Z", 0.7, 11),
      ],
      "day",
    );
    expect(found.history[0]).toMatchObject({ compliance_score: 0.6, total_resources: 11, scan_count: 2 });
    expect(found.trend_direction).toBe("improving");
    expect(historyOf([], "day")).toMatchObject({ trend_direction: "stable", earliest_score: 1, latest_score: 1 });
  });

  it("finds what moved against a baseline, and nothing where there is none", () => {
    const now = [resource({ Owner: "b", New: "1" }), resource({}, { arn: "arn:new" })];
    const old = new Map([[now[0]!.arn, { Owner: "a", Environment: "production" }]]);
    const drift = tagDrift(old, now, new Set(["Owner", "Environment", "New"]), (_, name) => name !== "New");
    expect(drift.map(({ tag_key, drift_type, severity }) => [tag_key, drift_type, severity])).toEqual([
      ["Environment", "removed", "critical"],
      ["New", "added", "info"],
      ["Owner", "changed", "warning"],
    ]);
  });
});

describe("reports", () => {
  const found = complianceOf(
    policy,
    Array.from({ length: 12 }, () => resource({ Environment: "|=x" })),
    [],
    NOW,
  );
  const summary = {
    overall_compliance_score: 0.999999,
    total_resources: 12,
    compliant_resources: 0,
    non_compliant_resources: 12,
    total_violations: found.violations.length,
    cost_attribution_gap: 0,
  };

  it("ranks, recommends, hides empty cost columns and rounds within the band", () => {
    const recommendations = recommendationsFor({ ...summary, overall_compliance_score: 0 }, found.violations);
    expect(recommendations.map(({ priority }) => priority)).toEqual(["high", "high", "medium"]);
    const parts = { summary, violations: found.violations, recommendations };
    expect(reportMarkdown(parts)).toContain("99.9%");
    expect(reportCsv(parts)).toContain("99.99%");
    expect(reportMarkdown(parts)).not.toContain("Cost impact");
  });
});

describe("Custodian policies", () => {
  const all = {
    types: ["ec2:instance", "opensearch:domain"],
    violations: ["missing_tag", "invalid_value"] as const,
    tags: [],
  };

  it("are one for each type and tag, so that a good tag hides no missing one", () => {
    const { policies } = custodianPolicies(policy, { ...all, dryRun: true });
    expect(policies.map(({ name }) => name)).toEqual([
      "enforce-required-tags-ec2-instance-environment-missing",
      "enforce-required-tags-ec2-instance-environment-invalid",
      "enforce-required-tags-ec2-instance-costcenter-missing",
      "enforce-required-tags-ec2-instance-owner-missing",
      "enforce-required-tags-opensearch-domain-costcenter-missing",
      "enforce-required-tags-opensearch-domain-owner-missing",
    ]);
    expect(
      policies.every(({ action_type, description }) => action_type === "notify" && description.endsWith("(dry run)")),
    ).toBe(true);
    expect(policies[4]!.yaml_content).toContain('resource: "aws.elasticsearch"');
  });

  it("have names of their own where tags read alike, or in no Latin letters", () => {
    const names = ["Cost Center", "cost-center", "Kostenträger", "部門", "部署"];
    const alike = policyFrom({ required_tags: names.map((name) => ({ name })) });
    const { policies } = custodianPolicies(alike, { ...all, types: ["ec2:instance"], dryRun: true });
    expect(policies.map(({ name }) => name.replace("enforce-required-tags-ec2-instance-", ""))).toEqual([
      "cost-center-missing",
      "cost-center-2-missing",
      "kostentr-ger-missing",
      "tag-missing",
      "tag-2-missing",
    ]);
  });

  it("set the missing key alone, and never overwrite what is there", () => {
    const { policies } = custodianPolicies(policy, { ...all, dryRun: false });
    const [missing, invalid] = policies;
    expect(missing).toMatchObject({ action_type: "tag" });
    expect(missing!.yaml_content).toContain('- "tag:Environment": absent');
    expect(missing!.yaml_content).toContain('key: "Environment"\n        value: "production"');
    expect(invalid).toMatchObject({ action_type: "notify" });
    expect(invalid!.yaml_content).toContain("op: not-in");
    expect(policies[2]!.yaml_content).toContain('value: "unassigned"');
  });
});
