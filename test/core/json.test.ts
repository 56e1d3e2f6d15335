// Canonical JSON, differences and patches: laws, and the examples of RFC 6902 and RFC 8785.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  applyPatch,
  canonicalJson,
  diff,
  digest,
  type Json,
  looksSecret,
  type PatchOp,
  pathsTouch,
  redact,
  valueAt,
} from "../../src/core/json.js";

const json = fc.jsonValue({ maxDepth: 3 }).filter((value) => {
  try {
    canonicalJson(value);
    return true;
  } catch {
    return false;
  }
});

describe("canonical JSON", () => {
  it("has one text for one document, whatever the key order", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), json), (document) => {
        let text: string;
        try {
          text = canonicalJson(document);
        } catch {
          return;
        }
        const reversed = Object.fromEntries(Object.entries(document).reverse());
        expect(canonicalJson(reversed)).toBe(text);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
      }),
    );
  });

  it("writes RFC 8785's example as the RFC does", () => {
    const example = {
      numbers: [1e30, 4.5, 2e-3, 1e-27],
      string: "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\u002f",
      literals: [null, true, false],
    };
    expect(() => canonicalJson(example)).toThrow(/1e\+30/);
    const { numbers: _, ...rest } = example;
    expect(canonicalJson(rest)).toBe('{"literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}');
  });

  it.each([[Number.NaN], [2 ** 53], ["\ud800"], [() => 1]])("refuses what has no canonical form (%#)", (value) => {
    expect(() => canonicalJson({ value })).toThrow(TypeError);
  });

  it("leaves undefined members out, and digests accordingly", () => {
    expect(digest({ a: 1, b: undefined })).toBe(digest({ a: 1 }));
  });
});

describe("differences", () => {
  it("are none between a document and its copy, and some between different ones", () => {
    fc.assert(
      fc.property(json, json, (a, b) => {
        expect(diff(a, structuredClone(a))).toEqual([]);
        if (canonicalJson(a) !== canonicalJson(b)) expect(diff({ a }, { a: b }).length).toBeGreaterThan(0);
      }),
    );
  });

  it("see a key that objects inherit as the document's own", () => {
    const document = JSON.parse('{"__proto__":{"a":1}}');
    expect(diff({}, document)).toHaveLength(1);
    expect(diff(document, {})).toHaveLength(1);
    const added = applyPatch({}, [{ op: "add", path: "/__proto__", value: { a: 1 } }]);
    expect(JSON.stringify(added)).toBe('{"__proto__":{"a":1}}');
    expect(valueAt(added, "/__proto__/a")).toBe(1);
  });

  it("name list elements by their identity and do not mind their order", () => {
    const before = {
      Tags: [
        { Key: "a", Value: "1" },
        { Key: "b", Value: "2" },
      ],
    };
    const after = {
      Tags: [
        { Key: "b", Value: "3" },
        { Key: "a", Value: "1" },
      ],
    };
    expect(diff(before, after)).toEqual([{ path: "/Tags/b/Value", kind: "NOT_EQUAL", before: "2", after: "3" }]);
  });

  it("touch along a path and never beside it", () => {
    expect(pathsTouch("/rules", "/rules/sgr-1")).toBe(true);
    expect(pathsTouch("/rules/sgr-1", "/rules")).toBe(true);
    expect(pathsTouch("/rules/sgr-1", "/rules/sgr-10")).toBe(false);
    expect(pathsTouch("", "/anything")).toBe(true);
  });
});

describe("patches (RFC 6902, appendix A)", () => {
  it.each<[string, unknown, PatchOp[], unknown]>([
    ["A.1", { foo: "bar" }, [{ op: "add", path: "/baz", value: "qux" }], { baz: "qux", foo: "bar" }],
    ["A.2", { foo: ["bar", "baz"] }, [{ op: "add", path: "/foo/1", value: "qux" }], { foo: ["bar", "qux", "baz"] }],
    ["A.3", { baz: "qux", foo: "bar" }, [{ op: "remove", path: "/baz" }], { foo: "bar" }],
    ["A.4", { foo: ["bar", "qux", "baz"] }, [{ op: "remove", path: "/foo/1" }], { foo: ["bar", "baz"] }],
    ["A.5", { baz: "qux", foo: "bar" }, [{ op: "replace", path: "/baz", value: "boo" }], { baz: "boo", foo: "bar" }],
    [
      "A.6",
      { foo: { bar: "baz", waldo: "fred" }, qux: { corge: "grault" } },
      [{ op: "move", from: "/foo/waldo", path: "/qux/thud" }],
      { foo: { bar: "baz" }, qux: { corge: "grault", thud: "fred" } },
    ],
    [
      "A.10",
      { foo: "bar" },
      [{ op: "add", path: "/child", value: { grandchild: {} } }],
      { foo: "bar", child: { grandchild: {} } },
    ],
    ["A.14", { "/": 9, "~1": 10 }, [{ op: "test", path: "/~01", value: 10 }], { "/": 9, "~1": 10 }],
    [
      "A.16",
      { foo: ["bar"] },
      [{ op: "add", path: "/foo/-", value: ["abc", "def"] }],
      { foo: ["bar", ["abc", "def"]] },
    ],
  ])("%s", (_name, document, patch, expected) => {
    expect(applyPatch(document, patch)).toEqual(expected);
  });

  it.each<[string, unknown, PatchOp[]]>([
    ["A.9 a failing test", { baz: "qux" }, [{ op: "test", path: "/baz", value: "bar" }]],
    ["A.12 a missing parent", { foo: "bar" }, [{ op: "add", path: "/baz/bat", value: "qux" }]],
    ["an index beyond the end", { foo: [] }, [{ op: "add", path: "/foo/1", value: 1 }]],
    ["a replace of nothing", {}, [{ op: "replace", path: "/a", value: 1 }]],
    ["a leading zero", { foo: [1, 2] }, [{ op: "remove", path: "/foo/01" }]],
  ])("refuses %s and changes nothing", (_name, document, patch) => {
    const before = structuredClone(document);
    expect(() => applyPatch(document, [{ op: "add", path: "/touched", value: 1 }, ...patch])).toThrow(
      /patch operation 1/,
    );
    expect(document).toEqual(before);
  });

  it("finds what it added", () => {
    fc.assert(
      fc.property(fc.string(), json, (key, value) => {
        const path = `/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
        expect(valueAt(applyPatch({}, [{ op: "add", path, value: value as Json }]), path)).toEqual(value);
      }),
    );
  });
});

describe("secrets", () => {
  it.each([
    "MasterUserPassword",
    "password",
    "SecretString",
    "secret",
    "privateKey",
    "AuthToken",
    "UserData",
    "userData",
    "accessKey",
    "ConnectionString",
    "STRIPE_API_KEY",
    "stripeApiKey",
    "GITHUB_TOKEN",
    "TOKEN",
    "github-access-token",
  ])("%s is taken for one", (name) => {
    expect(looksSecret(name)).toBe(true);
    expect(redact({ deep: [{ [name]: "x" }] })).toEqual({ deep: [{ [name]: "[redacted]" }] });
    for (const [key, value] of [
      ["Name", "Value"],
      ["name", "value"],
      ["ParameterKey", "ParameterValue"],
    ] as const) {
      expect(redact([{ [key]: name, [value]: "x" }])).toEqual([{ [key]: name, [value]: "[redacted]" }]);
    }
  });
  it("a tag is text, whatever its key", () => {
    const tag = { Key: "password", Value: "see the vault" };
    expect(redact([tag])).toEqual([tag]);
  });
  it.each([
    "KeyName",
    "executionToken",
    "ClientToken",
    "NextToken",
    "KMSKey",
    "ApiKeySource",
    "Name",
    "credentialSource",
    "SecretId",
    "nextCursor",
  ])("%s is not", (name) => expect(looksSecret(name)).toBe(false));
});
