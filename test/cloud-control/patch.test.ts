// RFC 6902 as Cloud Control applies it: the RFC's own examples, and the words of its patch library.
import { describe, expect, test } from "vitest";
import { type PatchOperation, type Properties, patched } from "./json.js";

describe("RFC 6902, appendix A", () => {
  test.each<[string, Properties, PatchOperation[], Properties]>([
    ["A.1 add a member", { foo: "bar" }, [{ op: "add", path: "/baz", value: "qux" }], { foo: "bar", baz: "qux" }],
    [
      "A.2 add an element",
      { foo: ["bar", "baz"] },
      [{ op: "add", path: "/foo/1", value: "qux" }],
      { foo: ["bar", "qux", "baz"] },
    ],
    ["A.3 remove a member", { baz: "qux", foo: "bar" }, [{ op: "remove", path: "/baz" }], { foo: "bar" }],
    [
      "A.4 remove an element",
      { foo: ["bar", "qux", "baz"] },
      [{ op: "remove", path: "/foo/1" }],
      { foo: ["bar", "baz"] },
    ],
    [
      "A.5 replace",
      { baz: "qux", foo: "bar" },
      [{ op: "replace", path: "/baz", value: "boo" }],
      { baz: "boo", foo: "bar" },
    ],
    [
      "A.6 move",
      { foo: { bar: "baz", waldo: "fred" }, qux: { corge: "grault" } },
      [{ op: "move", from: "/foo/waldo", path: "/qux/thud" }],
      { foo: { bar: "baz" }, qux: { corge: "grault", thud: "fred" } },
    ],
    [
      "A.7 move an element",
      { foo: ["all", "grass", "cows", "eat"] },
      [{ op: "move", from: "/foo/1", path: "/foo/3" }],
      { foo: ["all", "cows", "eat", "grass"] },
    ],
    [
      "A.8 test",
      { baz: "qux", foo: ["a", 2, "c"] },
      [
        { op: "test", path: "/baz", value: "qux" },
        { op: "test", path: "/foo/1", value: 2 },
      ],
      { baz: "qux", foo: ["a", 2, "c"] },
    ],
    [
      "A.10 add a nested member",
      { foo: "bar" },
      [{ op: "add", path: "/child", value: { x: {} } }],
      { foo: "bar", child: { x: {} } },
    ],
    ["A.14 escapes", { "/": 9, "~1": 10 }, [{ op: "test", path: "/~01", value: 10 }], { "/": 9, "~1": 10 }],
    ["A.16 append", { foo: ["bar"] }, [{ op: "add", path: "/foo/-", value: ["abc"] }], { foo: ["bar", ["abc"]] }],
    ["copy", { a: { b: 1 } }, [{ op: "copy", from: "/a", path: "/c" }], { a: { b: 1 }, c: { b: 1 } }],
    ["add at the root", { a: 1 }, [{ op: "add", path: "", value: { b: 2 } }], { b: 2 }],
  ])("%s", (_, before, patch, after) => {
    expect(patched(before, patch)).toEqual(after);
  });

  test.each<[string, PatchOperation, string]>([
    ["A.9 a test that fails", { op: "test", path: "/baz", value: "bar" }, "[TEST Operation] value mismatch"],
    ["A.12 no parent", { op: "add", path: "/nope/bat", value: 1 }, "noSuchPath in source, path provided : //nope/bat"],
    ["A.15 a number is not its text", { op: "test", path: "/n", value: "10" }, "value mismatch"],
    [
      "replace needs the path",
      { op: "replace", path: "/nope", value: 1 },
      "[REPLACE Operation] noSuchPath in source, path provided : //nope",
    ],
    ["remove needs the path", { op: "remove", path: "/nope" }, "[REMOVE Operation] noSuchPath"],
    ["a test of nothing", { op: "test", path: "/nope", value: null }, "[TEST Operation] noSuchPath"],
    ["past the end", { op: "add", path: "/list/5", value: 1 }, "noSuchPath"],
    ["leading zeros", { op: "remove", path: "/list/00" }, "noSuchPath"],
    ["an unknown operation", { op: "merge", path: "/list" }, "Unknown patch operation"],
    ["no value", { op: "add", path: "/x" }, "value is missing"],
    ["into itself", { op: "move", from: "/child", path: "/child/inner" }, "cannot move into itself"],
    ["the prototype", { op: "test", path: "/constructor", value: null }, "noSuchPath"],
  ])("%s is refused, and nothing changes", (_, operation, message) => {
    const document: Properties = { baz: "qux", n: 10, list: [1], child: {} };
    const before = structuredClone(document);
    expect(() => patched(document, [{ op: "add", path: "/first", value: 1 }, operation])).toThrow(message);
    expect(document).toEqual(before);
  });
});
