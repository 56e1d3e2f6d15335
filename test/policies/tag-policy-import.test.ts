// Tag policies of AWS Organizations as tagging policies: operators, capitals, wildcards, names of types.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { importedPolicy, patternOf, typesOf } from "../../policies/tagging/import.js";
import { compilePattern } from "../../policies/tagging/pattern.js";
import { accepts, policyFrom } from "../../policies/tagging/policy.js";
import { SCANNED_TYPES } from "../../policies/tagging/types.js";

const FACTS = { now: "2026-03-01T12:00:00.000Z", policyId: "p-0123456789" };

function made(tags: object) {
  const found = importedPolicy({ tags }, FACTS);
  if ("because" in found) throw new Error(found.because);
  return found;
}

describe("a tag policy of AWS Organizations", () => {
  it("is a tagging policy: capitals from tag_key, values, and what is enforced or reported is required of its types", () => {
    const { file, services, warnings } = made({
      costcenter: {
        tag_key: { "@@assign": "CostCenter", "@@operators_allowed_for_child_policies": ["@@none"] },
        tag_value: { "@@assign": ["100", "200"] },
        enforced_for: { "@@assign": ["ec2:instance", "rds:ALL_SUPPORTED"] },
      },
      owner: { tag_key: { "@@assign": "Owner" }, report_required_tag_for: { "@@assign": ["s3:bucket"] } },
      project: { tag_value: { "@@assign": ["alpha"] } },
      "@@operators_allowed_for_child_policies": ["@@none"],
    });
    expect(file).toMatchObject({
      last_updated: FACTS.now,
      metadata: { source: "aws_organizations", policy_id: "p-0123456789", imported_at: FACTS.now },
      required_tags: [
        { name: "CostCenter", allowed_values: ["100", "200"], applies_to: ["ec2:instance", "rds:cluster", "rds:db"] },
        { name: "Owner", allowed_values: null, applies_to: ["s3:bucket"] },
      ],
      // Without a tag_key it is the key as it stands.
      optional_tags: [{ name: "project", allowed_values: ["alpha"] }],
    });
    expect(services).toEqual(["ec2", "rds"]);
    expect(warnings).toEqual([]);
    expect(policyFrom(file).warnings).toEqual([]);
  });

  it("is read plain as well, as an effective one is", () => {
    const { file } = made({ env: { tag_key: "Env", tag_value: ["prod", "dev"], enforced_for: ["ec2:volume"] } });
    expect(file.required_tags).toMatchObject([
      { name: "Env", allowed_values: ["prod", "dev"], applies_to: ["ec2:volume"] },
    ]);
  });

  it("appends and removes, and says where it rests on policies above it", () => {
    const { file, warnings } = made({
      a: { tag_value: { "@@assign": ["1", "2"], "@@append": ["3"], "@@remove": ["1"] } },
      b: { tag_value: { "@@append": ["4"] } },
    });
    expect(file.optional_tags.map(({ allowed_values }) => allowed_values)).toEqual([["2", "3"], ["4"]]);
    expect(warnings).toEqual([expect.stringMatching(/^b adds to what policies above it say/)]);
  });

  it("takes wildcards for any run of characters and nothing else for one", () => {
    const { file } = made({ c: { tag_value: ["300*", "*@example.com", "a.b"], enforced_for: ["ec2:instance"] } });
    const [rule] = policyFrom(file).rules;
    expect(rule).toMatchObject({ allowed: null, regex: expect.any(String) });
    for (const value of ["300", "3001", "me@example.com", "a.b"]) expect(accepts(rule!, value), value).toBe(true);
    for (const value of ["30", "x300", "me@example.org", "axb", "a.bc"])
      expect(accepts(rule!, value), value).toBe(false);
    expect(made({ any: { tag_value: ["*"], enforced_for: ["ec2:instance"] } }).file.required_tags).toMatchObject([
      { allowed_values: null, validation_regex: null },
    ]);
    expect(made({ c: { tag_value: ["300*"] } }).warnings).toEqual([expect.stringContaining("wildcards")]);
  });

  it("matches with its pattern exactly what the wildcards mean", () => {
    const Text = fc.string({ minLength: 1, maxLength: 8, unit: fc.constantFrom(..."ab1.-/@+*$^|()[]\\ ") });
    fc.assert(
      fc.property(fc.array(Text, { minLength: 1, maxLength: 4 }), Text, (values, text) => {
        const value = text.replaceAll("*", "");
        const { pattern, because } = compilePattern(patternOf(values));
        expect(because).toBeUndefined();
        const means = (wild: string, at: string): boolean => {
          if (wild === "") return at === "";
          if (wild[0] === "*")
            return Array.from({ length: at.length + 1 }).some((_, skip) => means(wild.slice(1), at.slice(skip)));
          return at[0] === wild[0] && means(wild.slice(1), at.slice(1));
        };
        expect(pattern!.test(value)).toBe(values.some((wild) => means(wild, value)));
      }),
    );
  });

  it.each([
    ["es:domain", ["opensearch:domain"]],
    ["elasticmapreduce:cluster", ["emr:cluster"]],
    ["states:stateMachine", ["stepfunctions:statemachine"]],
    ["s3", ["s3:bucket"]],
    ["s3:*", ["s3:bucket"]],
    ["apigateway:restapis", ["apigateway:restapi"]],
    ["elasticloadbalancing:loadbalancer/app", ["elasticloadbalancing:loadbalancer"]],
    ["ecs:ALL_SUPPORTED", ["ecs:cluster", "ecs:service", "ecs:task-definition"]],
  ])("calls %s %j", (name, types) => {
    expect(typesOf(name)).toEqual({ types, known: true });
  });

  it("keeps the names of types it does not scan, for none would mean all, and says so", () => {
    const { file, warnings } = made({ t: { enforced_for: ["sns:topic", "quantum:*"] } });
    expect(file.required_tags[0]?.applies_to).toEqual(["quantum:*", "sns:topic"]);
    expect(warnings).toEqual([expect.stringContaining("sns:topic, quantum:*")]);
  });

  it("knows every type of the scan by its own name", () => {
    expect(SCANNED_TYPES.filter((type) => !typesOf(type).known)).toEqual([]);
  });

  it.each([[null], [{}], [{ tags: [] }], [{ tags: { a: "x" } }], [{ tags: { "": {} } }], ["text"]])(
    "says why %j is none",
    (document) => {
      expect(importedPolicy(document, FACTS)).toEqual({ because: expect.any(String) });
    },
  );
});
