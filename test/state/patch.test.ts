// The patch builder and the merge: what is asked for happens, what is not stays, and a moved world is refused.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyPatch, canonicalJson, type Json, type JsonObject, sameJson, valueAt } from "../../src/core/json.js";
import { guardedAsShown, mergeDesired, type PatchRequest, patchFor, sameEdits } from "../../state/patch.js";
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

  it("lets a write-only value go when the user says null, and asks for none twice", () => {
    const rules = schema({ writeOnly: ["/Password"] });
    const declaredBefore = { Password: { $secret: "f00" } };
    const answer = asked({ A: 1 }, { A: 2, Password: null }, { schema: rules, declaredBefore });
    expect(answer.needsSecret).toEqual([]);
    expect(JSON.stringify(answer.patch)).not.toContain("Password");
  });

  it("repeats write-only values inside a list with the whole list, matched by name", () => {
    const rules = schema({ writeOnly: ["/Rules/*/Days"], unordered: ["/Rules"] });
    const live = { A: 1, Rules: [{ Id: "b" }, { Id: "a" }, { Id: "theirs" }] };
    const declaredBefore = {
      Rules: [
        { Id: "a", Days: 1 },
        { Id: "b", Days: 2 },
      ],
    };
    expect(asked(live, { A: 2 }, { schema: rules, declaredBefore }).patch.at(-1)).toEqual({
      op: "add",
      path: "/Rules",
      value: [{ Id: "b", Days: 2 }, { Id: "a", Days: 1 }, { Id: "theirs" }],
    });
    const nameless = asked(
      { A: 1, Rules: [{}, {}] },
      { A: 2 },
      { schema: rules, declaredBefore: { Rules: [{ Days: 1 }] } },
    );
    expect(nameless.needsSecret).toEqual(["/Rules/0/Days"]);
    const secret = { Rules: [{ Id: "a", Days: { $secret: "f00" } }] };
    expect(asked(live, { A: 2 }, { schema: rules, declaredBefore: secret }).needsSecret).toEqual(["/Rules/0/Days"]);
    expect(asked(live, { A: 2 }, { schema: rules, declaredBefore: { Rules: [{ Id: "a" }] } }).needsSecret).toEqual([]);
  });

  it("neither guards nor sends what live hides", () => {
    const live = { L: [{ n: "PASSWORD", v: { $secret: "f00" } }], A: 1 };
    expect(asked(live, { A: 2 }).needsSecret).toEqual([]);
    const added = asked(live, { L: [{ n: "PASSWORD", v: "given" }] });
    expect(added.needsSecret).toEqual([]);
    expect(added.patch).toEqual([{ op: "add", path: "/L", value: [{ n: "PASSWORD", v: "given" }] }]);
    const kept = patchFor({ live, target: { ...live, L: [...live.L, { n: "B", v: "1" }] } });
    expect(kept.needsSecret).toEqual(["/L"]);
  });

  it("says what may replace or interrupt", () => {
    const rules = schema({ conditional: ["/Type", "/Net/*/Zone"] });
    const live = { Type: "a", Net: [{ Zone: "z" }], Size: 1 };
    expect(asked(live, { Type: "b", Size: 2 }, { schema: rules }).conditional).toEqual(["/Type"]);
    expect(asked(live, { Net: [{ Zone: "y" }] }, { schema: rules }).conditional).toEqual(["/Net/*/Zone"]);
    expect(asked(live, { Size: 2 }, { schema: rules }).conditional).toEqual([]);
  });

  it("gives up what AWS keeps only one of, and only for another of the kind", () => {
    const rules = schema({ exclusive: [["/Template", "/Configuration"]] });
    const live = { Configuration: "c", Size: 1 };
    const answer = asked(live, { Template: "t" }, { schema: rules });
    expect(answer.patch).toEqual(
      [
        { op: "add", path: "/Template", value: "t" },
        { op: "test", path: "/Configuration", value: "c" },
        { op: "remove", path: "/Configuration" },
      ].sort(
        (a, b) =>
          Number(b.op === "test") - Number(a.op === "test") || Number(b.op === "remove") - Number(a.op === "remove"),
      ),
    );
    expect(answer.givenUp).toEqual(["/Configuration"]);
    expect(answer.after).toEqual({ Template: "t", Size: 1 });
    expect(asked(live, { Size: 2 }, { schema: rules }).givenUp).toEqual([]);
    expect(asked(live, { Template: "t", Configuration: "c" }, { schema: rules }).givenUp).toEqual([]);
    expect(asked({ ...live, Template: "t" }, { Template: "t", Size: 2 }, { schema: rules }).givenUp).toEqual([]);
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

/** The characters of a text in order: two lists of the same members have the same, whatever the order. */
const bag = (text: string): string => [...text].sort().join("");

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

  it("with any rules, the patch makes the target of live but for what the rules forbid", () => {
    const names = ["a", "b", "c", "a/b", "~"].map((name) => `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`);
    const some = fc.subarray(names);
    fc.assert(
      fc.property(
        document,
        document,
        some,
        some,
        some,
        some,
        (live, target, readOnly, createOnly, unordered, writeOnly) => {
          const rules = schema({ readOnly, createOnly, unordered, writeOnly });
          const { patch, after, kept, replacements } = patchFor({ live, target, seen: live, schema: rules });
          const got = applyPatch(live, patch) as JsonObject;
          expect(got).toEqual(after);
          expect(kept).toEqual([]);
          for (const path of names) {
            const [was, is, wanted] = [live, got, target].map((one) => canonicalJson(valueAt(tidy(one), path) ?? null));
            const fixed = [...readOnly, ...writeOnly, ...createOnly].includes(path);
            if (fixed) expect(is).toBe(was);
            else if (unordered.includes(path)) expect(bag(is!)).toBe(bag(wanted!));
            else expect(is).toBe(wanted);
            const bound = createOnly.includes(path) && !readOnly.includes(path) && !writeOnly.includes(path);
            if (bound && was !== wanted) expect(replacements).toContain(path);
          }
          for (const { op, path } of patch) {
            expect(
              [...readOnly, ...writeOnly, ...createOnly].some((one) => path === one || path.startsWith(`${one}/`)),
              `${op} ${path}`,
            ).toBe(false);
          }
        },
      ),
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

describe("guardedAsShown", () => {
  const tag = fc.record({ Key: fc.string(), Value: fc.string() });
  const tags = fc.uniqueArray(tag, { selector: ({ Key }) => Key, minLength: 1 });

  it("makes a patch hold on what says the same in another order, and leaves what it does", () => {
    fc.assert(
      fc.property(
        tags.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }), tag)),
        ([Tags, shown, { Key, Value }]) => {
          const { patch, noChange } = asked({ Tags }, { Tags: [{ Key, Value }] }, { schema: schema({}) });
          fc.pre(!noChange);
          const live = { Tags: shown };
          const sent = guardedAsShown(patch, live, schema({}).unordered);
          expect(sent === undefined).toBe(sameJson(Tags, shown));
          expect(sameEdits(sent ?? patch, patch)).toBe(true);
          expect(applyPatch(live, sent ?? patch)).toEqual(applyPatch({ Tags }, patch));
        },
      ),
    );
  });

  it("takes nothing in place of a guard whose part is gone", () => {
    const { patch } = asked({ a: { b: 1 } }, { a: { b: 2 } });
    expect(guardedAsShown(patch, {}, [])).toBeUndefined();
  });

  it("leaves a guard of one position alone, whatever stands there now", () => {
    const { patch } = asked({ Ids: ["a", "b", "c"] }, { Ids: ["a", "b"] });
    expect(patch).toEqual([
      { op: "test", path: "/Ids/2", value: "c" },
      { op: "remove", path: "/Ids/2" },
    ]);
    expect(guardedAsShown(patch, { Ids: ["c", "a", "b"] }, ["/Ids"])).toBeUndefined();
  });

  it("respells what has no order inside of what has", () => {
    const rule = (...Ports: number[]) => ({ Ports });
    const { patch } = asked({ Rules: [rule(1, 2), rule(3)] }, { Rules: [rule(9), rule(3)] });
    expect(patch[0]).toEqual({ op: "test", path: "/Rules/0", value: rule(1, 2) });
    const live = { Rules: [rule(2, 1), rule(3)] };
    expect(guardedAsShown(patch, live, ["/Rules/*/Ports"])?.[0]).toMatchObject({ value: rule(2, 1) });
    expect(guardedAsShown(patch, live, [])).toBeUndefined();
  });

  it("takes a document that says the same, and no other text", () => {
    const policy = (Action: string | string[]) => ({
      Policy: JSON.stringify({ Statement: [{ Action, Effect: "Allow" }] }),
    });
    const { patch } = asked(policy("s3:Get*"), policy("s3:Put*"));
    expect(guardedAsShown(patch, policy(["s3:Get*"]), [])?.[0]).toEqual({
      op: "test",
      path: "/Policy",
      value: policy(["s3:Get*"]).Policy,
    });
    expect(guardedAsShown(patch, policy("s3:List*"), [])).toBeUndefined();
  });
});

it("two patches that do otherwise are not the same, whatever their guards hold", () => {
  const { patch } = asked({ a: 1 }, { a: 2 });
  expect(sameEdits(patch, asked({ a: 0 }, { a: 2 }).patch)).toBe(true);
  expect(sameEdits(patch, asked({ a: 1 }, { a: 3 }).patch)).toBe(false);
  expect(sameEdits(patch, patch.slice(1))).toBe(false);
});
