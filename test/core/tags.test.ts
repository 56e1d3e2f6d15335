// Tags: put on a document in the type's shape, found in any, and never lost.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../src/core/json.js";
import type { TagRule } from "../../src/core/tags.js";
import { OPERATION_MARK, stackOf, tagsOf, withMark, withTags } from "../../src/core/tags.js";

const rule = (shape: TagRule["shape"], property = "Tags"): TagRule => ({ property, shape });
const shapes = ["list", "map", "asg"] as const;

describe("tags put on a document", () => {
  it.each<[string, JsonObject, TagRule | undefined, JsonObject]>([
    ["a list", {}, rule("list"), { Tags: [{ Key: "a", Value: "1" }] }],
    ["a map", {}, rule("map", "UserPoolTags"), { UserPoolTags: { a: "1" } }],
    [
      "an Auto Scaling group's, which stay off its instances",
      {},
      rule("asg"),
      { Tags: [{ Key: "a", Value: "1", PropagateAtLaunch: false }] },
    ],
    ["a type that takes none", { X: 1 }, undefined, { X: 1 }],
    ["the caller's own key", { Tags: { a: "mine" } }, rule("map"), { Tags: { a: "mine" } }],
    ["tags of another shape", { Tags: { b: "2" } }, rule("list"), { Tags: { b: "2" } }],
    ["a list that is none of tags", { Tags: ["b"] }, rule("list"), { Tags: ["b"] }],
  ])("%s", (_, document, where, expected) => {
    const given = structuredClone(document);
    expect(withTags(document, where, { a: "1" })).toEqual(expected);
    expect(document).toEqual(given);
  });

  const tags = fc.dictionary(fc.string({ minLength: 1, maxLength: 5 }), fc.string({ maxLength: 5 }), {
    noNullPrototype: true,
  });
  it("whatever the shape: the caller's stay, ours are added, and doing it twice changes nothing", () => {
    fc.assert(
      fc.property(fc.constantFrom(...shapes), tags, tags, (shape, own, ours) => {
        const document = withTags({ Name: "n" }, rule(shape), own);
        const once = withTags(document, rule(shape), ours);
        expect(tagsOf(once)).toEqual({ ...ours, ...own });
        expect(withTags(once, rule(shape), ours)).toEqual(once);
        expect(once.Name).toBe("n");
      }),
    );
  });
});

describe("the mark", () => {
  it.each(shapes)("gets its value in a %s, and in nothing else", (shape) => {
    const planned = withTags(
      { Name: OPERATION_MARK, Tags: shape === "map" ? { b: "2" } : [{ Key: "b", Value: "2" }] },
      rule(shape),
      {
        [OPERATION_MARK]: "",
      },
    );
    const sent = withMark(planned, "t0");
    expect(tagsOf(sent)).toEqual({ b: "2", [OPERATION_MARK]: "t0" });
    expect(sent.Name).toBe(OPERATION_MARK);
    expect(tagsOf(planned)[OPERATION_MARK]).toBe("");
  });
  it("is not put where none was planned", () => {
    expect(withMark({ Tags: [{ Key: "a", Value: "1" }] }, "t0")).toEqual({ Tags: [{ Key: "a", Value: "1" }] });
  });
});

describe("the stack that owns a resource", () => {
  const id = "arn:aws:cloudformation:eu-west-1:1:stack/web/0c0";
  it.each<[string, JsonObject, unknown]>([
    [
      "by both tags",
      {
        Tags: [
          { Key: "aws:cloudformation:stack-name", Value: "web" },
          { Key: "aws:cloudformation:stack-id", Value: id },
        ],
      },
      { name: "web", id },
    ],
    ["by its id alone", { tags: { "aws:cloudformation:stack-id": id } }, { name: "web", id }],
    [
      "under another property",
      { HostedZoneTags: [{ Key: "aws:cloudformation:stack-name", Value: "web" }] },
      { name: "web" },
    ],
    [
      "in the lower case some types write their tags in",
      { Tags: [{ key: "aws:cloudformation:stack-name", value: "web" }] },
      { name: "web" },
    ],
    ["as KMS spells them", { tags: [{ TagKey: "aws:cloudformation:stack-name", TagValue: "web" }] }, { name: "web" }],
    ["none", { Tags: [{ Key: "cloudformation", Value: "x" }] }, null],
    ["not in a text elsewhere", { Description: "aws:cloudformation:stack-name=web" }, null],
  ])("%s", (_, content, expected) => {
    expect(stackOf(content)).toEqual(expected);
  });
});
