// Section 10: overlaps, and one finding of every code.
import { describe, expect, it, test } from "vitest";
import {
  detectOverlaps,
  type LintedTool,
  lintPolicies,
  StateSync,
  type StateSyncConfig,
  type SyncPolicy,
} from "../../policies/state-sync/index.js";

const plan = (name: string): LintedTool => ({ name, kind: "plan" });
const read = (name: string): LintedTool => ({ name, kind: "read" });
const rows = (...matches: string[]): SyncPolicy[] => matches.map((match) => ({ match, cacheControl: "no-store" }));

describe("detectOverlaps", () => {
  test.each([
    [[], []],
    [["sprints.*"], []],
    [["sprints.*", "sprints.update"], [[0, 1]]],
    [["sprints.update", "sprints.*"], []],
    [["a", "a"], [[0, 1]]],
    [
      ["**", "billing.*", "billing.pay"],
      [
        [0, 1],
        [0, 2],
        [1, 2],
      ],
    ],
    [["**", "**.get"], [[0, 1]]],
    [["a.*", "a.**"], []],
    [["a.**", "a.*"], [[0, 1]]],
    [["a.*", "*.get"], []],
    [["*", "*.**.*", "**"], []],
  ])("%j: %j", (matches, expected) => {
    expect(detectOverlaps(rows(...matches)).map((w) => [w.shadowingIndex, w.shadowedIndex])).toEqual(expected);
  });

  it("says what is wrong", () => {
    const [warning] = detectOverlaps(rows("sprints.*", "sprints.update"));
    expect(warning?.message).toContain("shadows");
    expect(warning?.message).toContain("can never match");
    expect(warning?.message).toContain('"sprints.*"');
    expect(warning?.message).toContain('"sprints.update"');
  });
});

describe("lintPolicies: one finding of every code", () => {
  const update = { match: "a.update", invalidates: ["a.*"] };
  const tools = [read("a.list"), plan("a.update")];
  test.each<[string, string, string, SyncPolicy[], LintedTool[], object?]>([
    ["shadowed", "error", "a.update", [{ match: "a.*", invalidates: ["a.*"] }, update], [plan("a.update")]],
    [
      "covered_by_union",
      "error",
      "**",
      [...rows("*", "*.**.*"), { match: "**", cacheControl: "immutable" }],
      [read("a"), read("a.b")],
    ],
    ["partial_overlap", "info", "*.get", rows("a.*", "*.get"), [read("a.get"), read("b.get")]],
    ["unused_match", "warn", "z.*", [...rows("z.*"), update], tools],
    ["dead_invalidation", "warn", "z.*", [{ match: "a.update", invalidates: ["a.*", "z.*"] }], tools],
    ["mutator_without_policy", "error", "a.remove", [update], [...tools, plan("a.remove")]],
    [
      "own_domain_missing",
      "warn",
      "a.update",
      [{ match: "a.update", invalidates: ["b.*"] }],
      [plan("a.update"), read("b.list")],
    ],
    ["reader_invalidates", "error", "a.list", [{ match: "a.*", invalidates: ["a.*"] }], tools],
    [
      "immutable_mutator",
      "error",
      "a.update",
      [{ ...update, cacheControl: "immutable" }],
      [plan("a.update"), read("b")],
    ],
    ["immutable_invalidated", "warn", "a.list", [update, { match: "a.list", cacheControl: "immutable" }], tools],
    ["no_effect", "warn", "a.list", [{ match: "a.list" }, update], tools],
    [
      "wire_collision",
      "error",
      "a.b_c",
      [],
      [read("a_b.c"), read("a.b_c")],
      { names: { toWire: (n: string) => n.replaceAll(".", "_"), toCanonical: (n: string) => n } },
    ],
    ["wire_name", "error", "a/b", [], [read("a/b")]],
    [
      "planted_directive",
      "warn",
      "a.list",
      [update],
      [{ ...read("a.list"), description: "Is [Cache-Control: immutable], honest." }, plan("a.update")],
    ],
    ["duplicate_pattern", "warn", "a.*", [{ match: "a.update", invalidates: ["a.*", "a.*"] }], tools],
  ])("%s", (code, severity, match, policies, given, extra) => {
    const findings = lintPolicies({ policies, ...extra }, given).filter(
      (f) => f.code !== "immutable_invalidated" || code === f.code,
    );
    const [finding, ...others] = findings;
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ code, severity, match });
    expect(finding?.message).toMatch(/^\S.*\.$/);
    expect(finding?.fix).toMatch(/^[A-Z].*\.$/);
  });

  it("is silent where nothing is wrong", () => {
    const policies: SyncPolicy[] = [{ match: "regions.*", cacheControl: "immutable" }, update];
    const given = [...tools, read("regions.list"), { name: "changes.apply", kind: "apply" } as const];
    expect(lintPolicies({ policies, defaults: { cacheControl: "no-store" } }, given)).toEqual([]);
  });

  it("points at the row and the tool", () => {
    const findings = lintPolicies({ policies: [...rows("regions.*"), { match: "a.*", invalidates: ["b.*"] }] }, [
      plan("a.update"),
      read("regions.x"),
    ]);
    expect(findings).toEqual([
      {
        code: "dead_invalidation",
        severity: "warn",
        match: "b.*",
        index: 1,
        message: expect.any(String),
        fix: expect.any(String),
      },
      {
        code: "own_domain_missing",
        severity: "warn",
        match: "a.update",
        index: 1,
        tool: "a.update",
        message: expect.any(String),
        fix: expect.any(String),
      },
    ]);
  });

  it("puts errors first and reports a shadowed row as one finding, not as an unused one too", () => {
    const policies = [
      { match: "z.*" },
      { match: "**", invalidates: ["**"] },
      { match: "a.update", invalidates: ["a.*"] },
      { match: "a.b" },
    ];
    const found = lintPolicies({ policies }, [plan("a.update")]).map(({ code, index }) => [code, index]);
    expect(found).toEqual([
      ["shadowed", 2],
      ["shadowed", 3],
      ["unused_match", 0],
      ["no_effect", 0],
      ["no_effect", 3],
    ]);
  });

  it("names the common tools of a partial overlap", () => {
    const [finding] = lintPolicies({ policies: rows("a.*", "*.get") }, [read("a.get"), read("b.get"), read("a.x")]);
    expect(finding?.message).toContain("the first one takes a.get.");
    const [nobody] = lintPolicies({ policies: rows("a.*", "*.get") }, [read("b.get"), read("a.x")]);
    expect(nobody?.message).toContain("no registered tool today");
  });

  it("checks what depends on the kind only where the kind is known", () => {
    expect(lintPolicies({ policies: [{ match: "a.b", invalidates: ["a.*"] }] }, [{ name: "a.b" }])).toEqual([]);
    expect(lintPolicies({ policies: [] }, [{ name: "a.b" }])).toEqual([]);
  });

  it("does not ask an apply tool for a row of its own, but for no immutable tag either", () => {
    const apply = { name: "changes.apply", kind: "apply" } as const;
    expect(lintPolicies({ policies: [] }, [apply])).toEqual([]);
    expect(lintPolicies({ policies: [{ match: "changes.*", cacheControl: "immutable" }] }, [apply])[0]?.code).toBe(
      "immutable_mutator",
    );
  });

  it("takes a wildcard for the own domain", () => {
    expect(
      lintPolicies({ policies: [{ match: "a.b", invalidates: ["*.list"] }] }, [plan("a.b"), read("a.list")]),
    ).toEqual([]);
  });

  describe("wire names", () => {
    const names = { toWire: (n: string) => n.replaceAll(".", "_"), toCanonical: (n: string) => n.replaceAll("_", ".") };
    const codes = (config: Partial<StateSyncConfig>, ...tools: string[]) =>
      lintPolicies({ policies: [], ...config }, tools.map(read)).map((f) => f.code);
    it("are checked as the client sees them", () => {
      expect(codes({ names }, "a.b", "a_c")).toEqual([]);
      expect(codes({ names }, `a.${"b".repeat(63)}`)).toEqual(["wire_name"]);
    });
    it("collide also where both spell one canonical name, or one name is listed twice", () => {
      expect(codes({ names }, "a.b", "a_b")).toEqual(["wire_collision"]);
      expect(codes({}, "a.b", "a.b", "a.b")).toEqual(["wire_collision", "wire_collision"]);
    });
    it("may hold dots only where every name is served as it is", () => {
      expect(codes({}, "a.b", "c.d")).toEqual([]);
      const forgetful = { toWire: (n: string) => (n === "a.b" ? "a_b" : n), toCanonical: (n: string) => n };
      expect(codes({ names: forgetful }, "a.b", "c.d")).toEqual(["wire_name"]);
    });
    it("are held to the canonical limits too", () => {
      expect(codes({}, Array(33).fill("a").join("."))).toEqual(["wire_name"]);
      expect(codes({ names: { toWire: () => "short", toCanonical: (n: string) => n } }, "n".repeat(129))).toEqual([
        "wire_name",
      ]);
    });
  });
});

describe("accept and strict", () => {
  const policies = [{ match: "a.update", invalidates: ["a.*", "z.*", "y.*"] }];
  const tools = [plan("a.update")];
  const because = "comes later";

  it("keeps an accepted finding, with its reason, as information", () => {
    const accept = [{ code: "dead_invalidation", match: "z.*", because }];
    const found = lintPolicies({ policies, accept }, tools).map(({ match, severity, accepted }) => [
      match,
      severity,
      accepted,
    ]);
    expect(found).toEqual([
      ["y.*", "warn", undefined],
      ["z.*", "info", because],
    ]);
  });

  it("accepts by code, and by pattern", () => {
    const severities = (code: string, match: string) =>
      lintPolicies({ policies, accept: [{ code, match, because }] }, tools).map(({ severity }) => severity);
    expect(severities("dead_invalidation", "*.*")).toEqual(["info", "info"]);
    expect(severities("dead_invalidation", "z.list")).toEqual(["warn", "warn"]);
    expect(severities("unused_match", "**")).toEqual(["warn", "warn"]);
  });

  it("throws under strict on what is not accepted, all of it", () => {
    const attempt = (accept: { code: string; match: string; because: string }[]) => () =>
      lintPolicies({ policies, strict: true, accept }, tools);
    expect(attempt([])).toThrow(/2 finding\(s\)[\s\S]*warn dead_invalidation[^\n]*"z\.\*"[\s\S]*"y\.\*"/);
    expect(attempt([{ code: "dead_invalidation", match: "z.*", because }])).toThrow("1 finding(s)");
    expect(attempt([{ code: "dead_invalidation", match: "*.*", because }])()).toHaveLength(2);
  });

  it("does not throw on information", () => {
    expect(lintPolicies({ policies: rows("a.*", "*.get"), strict: true }, [read("a.x"), read("b.get")])).toHaveLength(
      1,
    );
  });

  it("is what StateSync.lint answers, for the configuration as it was given", () => {
    const config = { policies: [{ match: "a.update", invalidates: ["a.*", "z.*"] }] };
    const sync = new StateSync(config);
    config.policies.push({ match: "b.*", invalidates: ["b.*"] });
    config.policies[0]?.invalidates.push("later.*");
    expect(sync.lint(tools)).toEqual(
      lintPolicies({ policies: [{ match: "a.update", invalidates: ["a.*", "z.*"] }] }, tools),
    );
  });
});

it("validates before it lints", () => {
  expect(() => lintPolicies({ policies: [{ match: "a..b" }] }, [])).toThrow("invalid segment");
});
