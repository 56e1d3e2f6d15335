// Globs: literal pins, and properties against brute force over all short names.
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { covers, intersects, MAX_ITERATIONS, matchGlob, matchSegments } from "../../policies/glob.js";

describe("matchGlob", () => {
  test.each([
    ["sprints.get", "sprints.get", true],
    ["sprints.get", "sprints.list", false],
    ["sprints.*", "sprints.get", true],
    ["sprints.*", "sprints.update", true],
    ["sprints.*", "sprints", false],
    ["sprints.*", "sprints.tasks.get", false],
    ["sprints.**", "sprints", true],
    ["sprints.**", "sprints.get", true],
    ["sprints.**", "sprints.tasks.get", true],
    ["sprints.**", "tasks.get", false],
    ["**.a", "a", true],
    ["**.a", "x.y.a", true],
    ["**.a", "a.b", false],
    ["a.**.z", "a.z", true],
    ["a.**.z", "a.b.c.z", true],
    ["a.**.z", "a.b.c", false],
    ["**", "", true],
    ["**", "a.b.c", true],
    ["**.**", "", true],
    ["**.**", "a", true],
    ["a.*", "a.", true],
    ["a.*.b", "a..b", true],
    ["*", "", true],
    ["*", "a", true],
    ["*", "a.b", false],
    ["Sprints.*", "sprints.get", false],
    ["ins*", "instances", false],
    ["ins*", "ins*", true],
    ["a.**.b.**.c", "a.b.x.b.c", true],
    ["a.**.b.**.c", "a.c.b", false],
    ["**.a.*", "a.a.b", true],
    ["**.get", "get", true],
    ["**.get", "a.get.b", false],
    ["instances.*", "instances_list", false],
  ])("%j against %j is %j", (pattern, name, expected) => {
    expect(matchGlob(pattern, name)).toBe(expected);
  });

  it("tests for ** before literal equality, so a name that spells ** is matched like any other", () => {
    expect(matchGlob("**.x", "**.y.x")).toBe(true);
    expect(matchGlob("a.**", "a.**")).toBe(true);
  });

  it("agrees with the definition", () => {
    fc.assert(
      fc.property(dotted(SEGMENTS, 6), dotted(["a", "b", "", "c"], 8), (pattern, name) => {
        expect(matchGlob(pattern, name)).toBe(defined(pattern.split("."), name.split(".")));
      }),
      { numRuns: 3000 },
    );
  });

  it("needs no more steps than pattern segments times name segments, and a few for the ends", () => {
    const hostile = fc.record({
      pattern: fc.array(fc.constantFrom("a", "*", "**"), { minLength: 1, maxLength: 16 }),
      name: fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 32 }),
    });
    fc.assert(
      fc.property(hostile, ({ pattern, name }) => {
        expect(steps(pattern, name)).toBeLessThanOrEqual((pattern.length + 1) * (name.length + 1));
      }),
      { numRuns: 2000 },
    );
  });

  it("stays within MAX_ITERATIONS for every pattern and name inside the limits, without using it as a cut-off", () => {
    expect(MAX_ITERATIONS).toBe(1024);
    const sixteen = [
      "a.**.a.**.a.**.a.**.a.**.a.**.a.**.a.b",
      "**.a.*.a.*.a.*.a.*.a.*.a.*.a.*.b",
      Array(16).fill("**").join("."),
    ];
    const names = [Array(32).fill("a"), Array.from({ length: 32 }, (_, i) => (i % 2 ? "a" : "b"))];
    for (const pattern of sixteen) {
      for (const name of names) expect(steps(pattern.split(".").slice(0, 16), name)).toBeLessThanOrEqual(1024);
    }
  });

  it("answers exactly far beyond 1024 steps: a matcher that gives up drops a policy", () => {
    const name = [...Array(300).fill("a"), "b"].join(".");
    const pattern = `**.${Array(150).fill("a").join(".")}.b`;
    expect(steps(pattern.split("."), name.split("."))).toBeGreaterThan(1024);
    expect(matchGlob(pattern, name)).toBe(true);
    expect(matchGlob(`${pattern}.c`, name)).toBe(false);
  });
});

describe("covers", () => {
  test.each([
    [["a.*"], "a.b", true],
    [["a.**"], "a.*", true],
    [["a.*"], "a.**", false],
    [["**"], "**.get", true],
    [["**.get"], "**", false],
    [["*", "*.**.*"], "**", true],
    [["*", "*.*.**"], "**", true],
    [["*.**"], "**", true],
    [["**.*"], "**", true],
    [["*", "*.*"], "**", false],
    [["*.**.*"], "**", false],
    [["a.**", "b.**"], "*.get", false],
    [["a.b", "a.c"], "a.*", false],
    [["**.a", "**.*"], "x.**", true],
    [["a.**.b"], "a.b", true],
    [["a.**.b"], "a.*.b", true],
    [["a.*.b"], "a.**.b", false],
    [["a.*"], "a.*", true],
    [["**.**.**"], "**", true],
    [["**"], "**.**", true],
    [[], "a", false],
  ] as [string[], string, boolean][])("%j over %j is %j", (patterns, pattern, expected) => {
    expect(covers(patterns, pattern)).toBe(expected);
  });

  it("is what brute force says, for every pair of short patterns", () => {
    const short = everyPattern(["a", "*", "**"], 3);
    const names = everyName(["a", "o"], 7);
    const matched = new Map(short.map((p) => [p, new Set(names.filter((n) => matchGlob(p, n)))]));
    for (const outer of short) {
      for (const inner of short) {
        const expected = [...matched.get(inner)!].every((name) => matched.get(outer)!.has(name));
        if (covers([outer], inner) !== expected) expect.fail(`covers(["${outer}"], "${inner}") should be ${expected}`);
      }
    }
  });

  it("is what brute force says, for unions", () => {
    const names = everyName(["a", "b", "o"], 6);
    fc.assert(
      fc.property(
        fc.array(dotted(["a", "b", "*", "**"], 3), { maxLength: 3 }),
        dotted(["a", "b", "*", "**"], 3),
        (union, inner) => {
          const missed = names.find((name) => matchGlob(inner, name) && !union.some((p) => matchGlob(p, name)));
          expect(covers(union, inner)).toBe(missed === undefined);
        },
      ),
      { numRuns: 1500 },
    );
  });

  it("stays exact where subsets explode", () => {
    const tail = Array(11).fill("*").join(".");
    expect(covers([`**.a.*.${tail}`], `**.a.a.${tail}`)).toBe(true);
    expect(covers([`**.a.*.${tail}`], `**.a.${tail}`)).toBe(false);
  });

  it("is total: long patterns, odd segments", () => {
    expect(covers([Array(300).fill("**").join(".")], "a")).toBe(true);
    expect(covers(["ins*"], "instances")).toBe(false);
    expect(covers([""], "")).toBe(true);
  });
});

describe("intersects", () => {
  test.each([
    ["a.*", "*.get", true],
    ["a.*", "b.*", false],
    ["a.*", "b.**", false],
    ["a.**", "**.z", true],
    ["**", "", true],
    ["a.*.c", "a.**", true],
    ["a.b", "a.b.c", false],
    ["a.b.**", "a.b", true],
    ["a.**.b", "a.**.c", false],
    ["**.a.**", "**.b.**", true],
    ["*.*", "**.x", true],
    ["*", "**.x", true],
    ["*", "y.**.x", false],
  ])("%j and %j: %j", (a, b, expected) => {
    expect(intersects(a, b)).toBe(expected);
    expect(intersects(b, a)).toBe(expected);
  });

  it("is what brute force says", () => {
    const names = everyName(["a", "b", "o"], 6);
    fc.assert(
      fc.property(dotted(["a", "b", "*", "**"], 3), dotted(["a", "b", "*", "**"], 3), (a, b) => {
        expect(intersects(a, b)).toBe(names.some((name) => matchGlob(a, name) && matchGlob(b, name)));
      }),
      { numRuns: 1500 },
    );
  });

  it("agrees with covers: what is covered and matches anything is met", () => {
    fc.assert(
      fc.property(dotted(SEGMENTS, 4), dotted(SEGMENTS, 4), (a, b) => {
        if (covers([a], b)) expect(intersects(a, b)).toBe(true);
      }),
    );
  });
});

const SEGMENTS = ["a", "b", "*", "**", ""];

function dotted(segments: readonly string[], maxLength: number) {
  return fc.array(fc.constantFrom(...segments), { minLength: 1, maxLength }).map((list) => list.join("."));
}

// The definition, word for word and exponential.
function defined(pattern: readonly string[], name: readonly string[]): boolean {
  const [segment, ...rest] = pattern;
  if (segment === undefined) return name.length === 0;
  if (segment === "**") return defined(rest, name) || (name.length > 0 && defined(pattern, name.slice(1)));
  return name.length > 0 && (segment === "*" || segment === name[0]) && defined(rest, name.slice(1));
}

// How often the matcher looks at the pattern: once a step.
function steps(pattern: readonly string[], name: readonly string[]): number {
  let looks = 0;
  const counted = new Proxy(pattern, {
    get(target, key, receiver) {
      if (typeof key === "string" && /^\d+$/.test(key)) looks++;
      return Reflect.get(target, key, receiver);
    },
  });
  matchSegments(counted, name);
  return looks;
}

function everyPattern(segments: readonly string[], length: number): string[] {
  return everyName(segments, length);
}

function everyName(segments: readonly string[], length: number): string[] {
  let layer = [...segments];
  const all = [...layer];
  for (let i = 1; i < length; i++) {
    layer = layer.flatMap((name) => segments.map((segment) => `${name}.${segment}`));
    all.push(...layer);
  }
  return all;
}
