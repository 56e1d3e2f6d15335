// The patch builder and the merge: what is asked for happens, what is not stays, and a moved world is refused.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyPatch, canonicalJson, type Json, type JsonObject, sameJson } from "../../src/core/json.js";
import { mergeDesired, type PatchRequest, patchFor } from "../../state/patch.js";
import { schema } from "./schemas.js";

const asked = (live: JsonObject, desired: JsonObject, more: Partial<PatchRequest> = {}) =>
  patchFor({ live, target: mergeDesired(live, desired, more.schema), desired, ...more });

describe("mergeDesired", () => {
  it.each<[string, JsonObject, JsonObject, JsonObject]>([
    ["objects merge", { a: { x: 1, y: 2 } }, { a: { y: 3 } }, { a: { x: 1, y: 3 } }],
    ["scalars and arrays replace", { a: [1, 2], b: 1 }, { a: [3], b: 2 }, { a: [3], b: 2 }],
    ["null removes", { a: 1, b: { c: 1, d: 2 } }, { a: null, b: { c: null } }, { b: { d: 2 } }],
    [
      "tags merge by key",
      {
        T: [
          { Key: "a", Value: "1" },
          { Key: "b", Value: "2" },
        ],
      },
      {
        T: [
          { Key: "b", Value: "3" },
          { Key: "c", Value: "4" },
        ],
      },
      {
        T: [
          { Key: "a", Value: "1" },
          { Key: "b", Value: "3" },
          { Key: "c", Value: "4" },
        ],
      },
    ],
    [
      "a tag's null removes it",
      {
        T: [
          { Key: "a", Value: "1" },
          { Key: "b", Value: "2" },
        ],
      },
      { T: [{ Key: "a", Value: null }] },
      { T: [{ Key: "b", Value: "2" }] },
    ],
    ["no tags add no tags", { T: [{ Key: "a", Value: "1" }] }, { T: [] }, { T: [{ Key: "a", Value: "1" }] }],
    ["a tag's null takes it also from nowhere", { A: 1 }, { T: [{ Key: "a", Value: null }] }, { A: 1 }],
    [
      "a tag's null takes it also from an empty list",
      { T: [] },
      {
        T: [
          { Key: "a", Value: null },
          { Key: "b", Value: "2" },
        ],
      },
      { T: [{ Key: "b", Value: "2" }] },
    ],
    ["null removes all tags", { T: [{ Key: "a", Value: "1" }] }, { T: null }, {}],
    ["a new object loses its nulls", {}, { a: { b: null, c: [{ d: null, e: 1 }] } }, { a: { c: [{ e: 1 }] } }],
    ["an object takes a scalar's place", { a: 1 }, { a: { b: 1 } }, { a: { b: 1 } }],
  ])("%s", (_, live, desired, merged) => {
    expect(mergeDesired(live, desired)).toEqual(merged);
  });

  it("takes the schema's word for what holds tags", () => {
    const list = (name: string, value: string) => ({ [name]: [{ Key: "a", Value: value }] });
    const live = { ...list("Tags", "1"), ...list("Attributes", "1") };
    const desired = { Tags: [{ Key: "b", Value: "2" }], Attributes: [{ Key: "b", Value: "2" }] };
    expect(mergeDesired(live, desired, schema({}))).toEqual({
      Tags: [
        { Key: "a", Value: "1" },
        { Key: "b", Value: "2" },
      ],
      Attributes: [{ Key: "b", Value: "2" }],
    });
  });
});

describe("the patch", () => {
  it("guards what it sets with the value it saw", () => {
    expect(asked({ A: 1, B: 2 }, { A: 3 }).patch).toEqual([
      { op: "test", path: "/A", value: 1 },
      { op: "add", path: "/A", value: 3 },
    ]);
  });

  it("guards an absent value by its parent, and not by the whole document", () => {
    expect(asked({ V: { X: 1 } }, { V: { Y: 2 } }).patch).toEqual([
      { op: "test", path: "/V", value: { X: 1 } },
      { op: "add", path: "/V/Y", value: 2 },
    ]);
    expect(asked({ A: 1 }, { B: 2 }).patch).toEqual([{ op: "add", path: "/B", value: 2 }]);
    const withSecret = schema({ writeOnly: ["/V/Secret"] });
    expect(asked({ V: { X: 1 } }, { V: { Y: 2 } }, { schema: withSecret }).patch).toEqual([
      { op: "add", path: "/V/Y", value: 2 },
    ]);
  });

  it("replaces tags and unordered lists as a whole, edits ordered ones by index from behind", () => {
    expect(
      asked({ Tags: [{ Key: "a", Value: "1" }] }, { Tags: [{ Key: "b", Value: "2" }] }, { schema: schema({}) }).patch,
    ).toEqual([
      { op: "test", path: "/Tags", value: [{ Key: "a", Value: "1" }] },
      {
        op: "add",
        path: "/Tags",
        value: [
          { Key: "a", Value: "1" },
          { Key: "b", Value: "2" },
        ],
      },
    ]);
    expect(asked({ L: [1, 2, 3, 4] }, { L: [1, 9] }).patch).toEqual([
      { op: "test", path: "/L/3", value: 4 },
      { op: "test", path: "/L/2", value: 3 },
      { op: "test", path: "/L/1", value: 2 },
      { op: "remove", path: "/L/3" },
      { op: "remove", path: "/L/2" },
      { op: "replace", path: "/L/1", value: 9 },
    ]);
    const unordered = schema({ unordered: ["/L"] });
    expect(asked({ L: ["a", "b"] }, { L: ["b", "a"] }, { schema: unordered }).noChange).toBe(true);
    expect(asked({ L: ["a", "b"] }, { L: ["b", "c"] }, { schema: unordered }).patch).toHaveLength(2);
  });

  it("removes what was asked for, declared or seen, and keeps the rest", () => {
    const live = { A: 1, B: 2, C: 3, D: 4 };
    const { patch, kept, after } = patchFor({
      live,
      target: {},
      desired: { A: null },
      declaredBefore: { B: 2 },
      seen: { C: 3 },
    });
    expect(patch.filter(({ op }) => op === "remove").map(({ path }) => path)).toEqual(["/A", "/B", "/C"]);
    expect(kept).toEqual(["/D"]);
    expect(after).toEqual({ D: 4 });
  });

  it("removes what is ours from an object that is not", () => {
    const { patch, kept } = patchFor({
      live: { O: { mine: 1, theirs: 2 } },
      target: {},
      declaredBefore: { O: { mine: 1 } },
    });
    expect(patch.filter(({ op }) => op === "remove")).toEqual([{ op: "remove", path: "/O/mine" }]);
    expect(kept).toEqual(["/O/theirs"]);
  });

  it("sets no create-only value and says which", () => {
    const rules = schema({ createOnly: ["/Name", "/Net/Subnet"] });
    const live = { Name: "a", Net: { Subnet: "s", Public: true } };
    const answer = asked(live, { Name: "b", Net: { Subnet: "t", Public: false } }, { schema: rules });
    expect(answer.replacements).toEqual(["/Name", "/Net/Subnet"]);
    expect(answer.patch).toEqual([
      { op: "test", path: "/Net/Public", value: true },
      { op: "add", path: "/Net/Public", value: false },
    ]);
    expect(asked({}, { Net: { Subnet: "t" } }, { schema: rules }).replacements).toEqual(["/Net/Subnet"]);
  });

  it("ignores what AWS fills in", () => {
    expect(asked({ Arn: "x", A: 1 }, { Arn: "y" }, { schema: schema({ readOnly: ["/Arn"] }) }).noChange).toBe(true);
  });

  it("repeats a write-only value that is stored, lets go one that null lets go, and asks for those of list elements", () => {
    const print = "a".repeat(64);
    const declaredBefore: JsonObject = {
      Password: { $secret: print },
      Users: [{ Name: "x", Key: { $secret: print } }, { Name: "gone" }],
    };
    const rules = schema({ writeOnly: ["/Password", "/Users/*/Key"] });
    const live = { A: 1, Users: [{ Name: "x" }] };
    const stored = (path: string, one: string) => path === "/Password" && one === print;
    const make = (desired: JsonObject) =>
      patchFor({ live, target: mergeDesired(live, desired), desired, declaredBefore, schema: rules, stored });
    const kept = make({ A: 2 });
    expect(kept.patch.at(-1)).toEqual({ op: "add", path: "/Password", value: { $secret: print } });
    expect(kept.needsSecret).toEqual(["/Users/0/Key"]);
    expect(make({ A: 2, Password: null, Users: [{ Name: "x", Key: "k" }] })).toMatchObject({
      needsSecret: [],
      patch: expect.not.arrayContaining([expect.objectContaining({ path: "/Password" })]),
    });
  });

  it("treats a secret's mark as one value, and sends none to be compared", () => {
    const live = { Environment: { Token: { $secret: "a" }, Mode: "x" } };
    const target = { Environment: { Token: { $secret: "b" }, Mode: "x", New: 1 } };
    const { patch } = patchFor({ live, target, desired: target });
    expect(patch).toEqual([
      { op: "add", path: "/Environment/Token", value: { $secret: "b" } },
      { op: "add", path: "/Environment/New", value: 1 },
    ]);
  });

  it("sends write-only values without a guard, repeats those it holds, asks for those it does not", () => {
    const rules = schema({ writeOnly: ["/Password", "/Description", "/Code/Zip", "/Born"], createOnly: ["/Born"] });
    const declaredBefore = { Password: { $secret: "f00" }, Description: "words", Born: "b", Code: { Zip: "z" } };
    const answer = asked({ A: 1 }, { A: 2, Code: { Zip: "new" } }, { schema: rules, declaredBefore });
    expect(answer.patch).toEqual([
      { op: "test", path: "/A", value: 1 },
      { op: "add", path: "/A", value: 2 },
      { op: "add", path: "/Code", value: { Zip: "new" } },
      { op: "add", path: "/Description", value: "words" },
    ]);
    expect(answer.needsSecret).toEqual(["/Password"]);
    expect(asked({ A: 1 }, { A: 1 }, { schema: rules, declaredBefore })).toMatchObject({
      noChange: true,
      patch: [],
      needsSecret: [],
    });
  });

  it("escapes names and drops nulls and empties nobody asked for", () => {
    expect(asked({ M: { "a/b~c": 1 } }, { M: { "a/b~c": 2 } }).patch[1]).toEqual({
      op: "add",
      path: "/M/a~1b~0c",
      value: 2,
    });
    expect(patchFor({ live: {}, target: { A: null, B: [], C: {} } }).noChange).toBe(true);
    expect(asked({}, { C: {} }).patch).toEqual([{ op: "add", path: "/C", value: {} }]);
  });

  it("takes JSON in a string for the JSON it is", () => {
    expect(asked({ P: '{"a":1,"b":2}' }, { P: { b: 2, a: 1 } }).noChange).toBe(true);
  });
});

const leaf = fc.oneof(fc.integer(), fc.string({ maxLength: 4 }), fc.boolean());
const key = fc.constantFrom("a", "b", "c", "a/b", "~");
const document = fc.letrec<{ value: Json; object: JsonObject }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    leaf,
    fc.array(leaf, { maxLength: 4 }),
    fc.array(tie("object"), { maxLength: 3 }),
    tie("object"),
  ),
  object: fc.dictionary(key, tie("value"), {
    maxKeys: 4,
    minKeys: 1,
    noNullPrototype: true,
  }) as fc.Arbitrary<JsonObject>,
})).object;

/** Without empties: to AWS they are absent. */
const tidy = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(tidy);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([name, member]) => [name, tidy(member)] as const)
      .filter(([, member]) => !(typeof member === "object" && member !== null && Object.keys(member).length === 0)),
  );
};

describe("for any two documents", () => {
  it("the patch makes the target of live, when all of live was seen", () => {
    fc.assert(
      fc.property(document, document, (live, target) => {
        const { patch, after, kept, replacements } = patchFor({ live, target, seen: live });
        expect(kept).toEqual([]);
        expect(replacements).toEqual([]);
        const got = applyPatch(live, patch) as JsonObject;
        expect(got).toEqual(after);
        expect(canonicalJson(tidy(got))).toBe(canonicalJson(tidy(target)));
      }),
      { numRuns: 400 },
    );
  });

  it("nothing unseen and undeclared is lost", () => {
    fc.assert(
      fc.property(document, document, (live, target) => {
        const { after } = patchFor({ live, target });
        for (const name of Object.keys(live)) expect(Object.hasOwn(after, name)).toBe(true);
      }),
    );
  });

  it("equal documents need no patch", () => {
    fc.assert(
      fc.property(document, (live) => {
        expect(patchFor({ live, target: structuredClone(live) }).noChange).toBe(true);
      }),
    );
  });

  it("what was asked for is there afterwards", () => {
    fc.assert(
      fc.property(document, document, (live, desired) => {
        const target = mergeDesired(live, desired);
        const { patch } = patchFor({ live, target, desired });
        expect(canonicalJson(tidy(applyPatch(live, patch)))).toBe(canonicalJson(tidy(target)));
        expect(canonicalJson(mergeDesired(target, desired))).toBe(canonicalJson(target));
      }),
      { numRuns: 300 },
    );
  });

  it("a world that moved on a guarded path refuses the whole patch", () => {
    fc.assert(
      fc.property(document, document, (live, target) => {
        const { patch } = patchFor({ live, target, seen: live });
        const guards = patch.filter((op) => op.op === "test");
        for (const guard of guards) {
          const moved = applyPatch(live, [
            { op: "replace", path: guard.path, value: { moved: "on", by: [guard.path] } },
          ]);
          if (sameJson(moved, live)) continue;
          expect(() => applyPatch(moved, patch)).toThrow();
        }
      }),
    );
  });
});
