// Section 4: every mistake is found at construction, with the words of the specification.
import { describe, expect, it, test } from "vitest";
import {
  PolicyEngine,
  StateSync,
  type StateSyncConfig,
  StateSyncLayer,
  VALID_DIRECTIVES,
  validateDefaults,
  validatePolicies,
} from "../../policies/state-sync/index.js";

const row = (extra: object) => [{ match: "a.b", ...extra }];

describe("validatePolicies", () => {
  test.each<[unknown, ...string[]]>([
    [undefined, "'policies' must be an array"],
    [{}, "'policies' must be an array"],
    ["a.*", "'policies' must be an array"],
    [[null], "StateSync policy[0]", "must be an object"],
    [["a.*"], "StateSync policy[0]", "must be an object"],
    [[[]], "must be an object"],
    [[{ match: "a" }, 7], "StateSync policy[1]", "must be an object"],
    // biome-ignore lint/suspicious/noSparseArray: a hole is one of the mistakes
    [[, { match: "a" }], "StateSync policy[0]", "must be an object"],
    [row({ invalidate: [] }), 'unknown key "invalidate"; did you mean "invalidates"?'],
    [row({ cachecontrol: "no-store" }), 'unknown key "cachecontrol"; did you mean "cacheControl"?'],
    [row({ Match: "x" }), 'unknown key "Match"; did you mean "match"?'],
    [row({ ttl: 3 }), 'unknown key "ttl"', "match, cacheControl, invalidates"],
    [[{}], "'match' must be a non-empty string"],
    [[{ match: "" }], "'match' must be a non-empty string"],
    [[{ match: 5 }], "'match' must be a non-empty string"],
    [[{ match: null }], "'match' must be a non-empty string"],
    [[{ match: "a..b" }], 'StateSync policy[0] (match: "a..b"): ', 'invalid segment ""', '"a..b"', "[A-Za-z0-9_-]+"],
    [[{ match: "a." }], 'invalid segment ""', '"a."'],
    [[{ match: "a.***" }], 'invalid segment "***"'],
    [[{ match: "ins*" }], 'invalid segment "ins*"'],
    [[{ match: "a/b" }], 'invalid segment "a/b"'],
    [[{ match: "ns:a" }], 'invalid segment "ns:a"'],
    [[{ match: "a. b" }], 'invalid segment " b"'],
    [[{ match: " " }], 'invalid segment " "'],
    [[{ match: "a\n" }], 'invalid segment "a\\n"'],
    [row({ invalidates: ["a.*", "b.c*"] }), 'StateSync policy[0] (match: "a.b"): ', 'invalid segment "c*"', '"b.c*"'],
    [row({ cacheControl: "max-age=300" }), 'invalid cacheControl "max-age=300"', '"no-store" or "immutable"'],
    [row({ cacheControl: null }), 'invalid cacheControl "null"'],
    [row({ cacheControl: "" }), 'invalid cacheControl ""'],
    [row({ cacheControl: ["no-store"] }), "invalid cacheControl"],
    [row({ invalidates: "a.*" }), "'invalidates' must be an array"],
    [row({ invalidates: null }), "'invalidates' must be an array"],
    [row({ invalidates: ["a.*", ""] }), "'invalidates' entries must be non-empty strings (index 1)"],
    [row({ invalidates: [7] }), "'invalidates' entries must be non-empty strings (index 0)"],
    [[{ match: "a".repeat(129) }], "pattern too long"],
    [[{ match: Array(17).fill("a").join(".") }], "pattern too long", "17 segments"],
    [row({ invalidates: [Array(17).fill("**").join(".")] }), "pattern too long"],
  ])("%j", (policies, ...words) => {
    const said = thrown(() => validatePolicies(policies));
    for (const word of words) expect(said.message).toContain(word);
    expect(Object.getPrototypeOf(said)).toBe(Error.prototype);
    expect(thrown(() => new PolicyEngine(policies as never)).message).toBe(said.message);
    expect(thrown(() => new StateSyncLayer({ policies: policies as never })).message).toBe(said.message);
    expect(thrown(() => new StateSync({ policies: policies as never })).message).toBe(said.message);
  });

  it("throws the first error", () => {
    expect(() => validatePolicies([{ match: "ok" }, { match: "a..b" }, { match: "" }])).toThrow("policy[1]");
  });

  it.each(["a", "*", "**", "a.*", "**.a-b_C9.*", Array(16).fill("**").join("."), "a".repeat(128)])(
    "accepts %j",
    (match) => {
      expect(validatePolicies([{ match, invalidates: [match] }])).toBeUndefined();
    },
  );

  it("accepts absent fields, also when they are spelled out", () => {
    expect(validatePolicies([])).toBeUndefined();
    expect(validatePolicies([{ match: "a", cacheControl: undefined, invalidates: undefined }])).toBeUndefined();
    expect(validatePolicies([{ match: "a", invalidates: [] }])).toBeUndefined();
  });
});

describe("validateDefaults", () => {
  it("accepts the two directives, and nothing", () => {
    for (const defaults of [
      undefined,
      {},
      { cacheControl: undefined },
      { cacheControl: "no-store" },
      { cacheControl: "immutable" },
    ]) {
      expect(validateDefaults(defaults)).toBeUndefined();
    }
  });

  test.each<[unknown, string]>([
    [{ cacheControl: "max-age=60" }, 'Default cacheControl "max-age=60" is invalid'],
    [{ cacheControl: null }, 'Default cacheControl "null" is invalid'],
    [{ cacheControl: "" }, 'Default cacheControl "" is invalid'],
    [{ cacheControll: "no-store" }, 'unknown key "cacheControll"; did you mean "cacheControl"?'],
    [null, "must be an object"],
    [[], "must be an object"],
  ])("%j", (defaults, words) => {
    expect(() => validateDefaults(defaults)).toThrow(words);
    expect(() => new PolicyEngine([], defaults as never)).toThrow(words);
  });
});

describe("the configuration", () => {
  test.each<[object, string]>([
    [{ policy: [] }, 'unknown key "policy"; did you mean "policies"?'],
    [{ onInvalidations: () => {} }, 'unknown key "onInvalidations"; did you mean "onInvalidation"?'],
    [{ cacheTtl: 5 }, 'unknown key "cacheTtl"'],
    [{ onInvalidation: 5 }, "'onInvalidation' must be a function"],
    [{ notificationSink: {} }, "'notificationSink' must be a function"],
    [{ clock: 0 }, "'clock' must be a function"],
    [{ staleUri: 5 }, "'staleUri' must be a string or a function"],
    [{ strict: "yes" }, "'strict' must be true or false"],
    [{ signal: { text: "html" } }, "'text' must be one of system, xml, false"],
    [{ signal: { placement: "middle" } }, "'placement' must be one of first, last, merge"],
    [{ signal: { meta: "" } }, "'meta' must be one of"],
    [{ signal: { txt: false } }, 'unknown key "txt"; did you mean "text"?'],
    [{ names: { toWire: (n: string) => n } }, "'toWire' and 'toCanonical' must both be functions"],
    [{ accept: {} }, "'accept' must be an array"],
    [{ accept: [{ code: "unused_match", match: "a" }] }, "'because' must be a non-empty string"],
  ])("%j", (extra, words) => {
    expect(() => new StateSyncLayer({ policies: [], ...extra } as StateSyncConfig)).toThrow(words);
  });

  it("is required", () => {
    expect(() => new StateSyncLayer(undefined as never)).toThrow("StateSync config: must be an object");
    expect(() => new StateSyncLayer({} as never)).toThrow("'policies' must be an array");
  });
});

it("names the two directives", () => {
  expect([...VALID_DIRECTIVES]).toEqual(["no-store", "immutable"]);
});

function thrown(act: () => unknown): Error {
  try {
    act();
  } catch (error) {
    return error as Error;
  }
  return expect.fail("nothing was thrown");
}
