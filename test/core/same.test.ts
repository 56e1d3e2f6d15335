// Two contents that say the same: whatever order AWS lists them in, and whatever it writes documents like.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Json, JsonObject } from "../../src/core/json.js";
import { canonical, differences } from "../../src/core/same.js";

const UNORDERED = ["/Groups", "/Rules", "/Rules/*/Ports"];
const content = fc.record({
  Name: fc.string(),
  Command: fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 4 }),
  Groups: fc.array(fc.constantFrom("sg-1", "sg-2", "sg-3"), { maxLength: 4 }),
  Rules: fc.array(fc.record({ Cidr: fc.constantFrom("x", "y"), Ports: fc.array(fc.nat(3), { maxLength: 3 }) }), {
    maxLength: 4,
  }),
  Tags: fc.uniqueArray(fc.record({ Key: fc.constantFrom("k1", "k2", "k3"), Value: fc.string() }), {
    selector: ({ Key }) => Key,
  }),
  Policy: fc.array(
    fc.record({
      Effect: fc.constantFrom("Allow", "Deny"),
      Action: fc.oneof(fc.constant("s3:GetObject"), fc.constant(["s3:Get*", "s3:List*"])),
      Resource: fc.constantFrom("*", "arn:aws:s3:::b"),
    }),
    { minLength: 1, maxLength: 3 },
  ),
});
type Content = typeof content extends fc.Arbitrary<infer T> ? T : never;

const written = (one: Content): JsonObject =>
  ({ ...one, Policy: JSON.stringify({ Version: "2012-10-17", Statement: one.Policy }) }) as unknown as JsonObject;

/** The same content as AWS might list and write it the next time. */
function again(one: Content, turn: <T>(items: readonly T[]) => T[]): JsonObject {
  const statements = turn(one.Policy).map((statement) =>
    Object.fromEntries(
      turn(Object.entries(statement)).map(([key, value]) => [key, key === "Action" ? turn([value].flat()) : value]),
    ),
  );
  const whole = {
    ...one,
    Groups: turn(one.Groups),
    Rules: turn(one.Rules.map((rule) => ({ ...rule, Ports: turn(rule.Ports) }))),
    Tags: turn(one.Tags),
    Policy: JSON.stringify({ Statement: statements, Version: "2012-10-17" }, null, 2),
  };
  return Object.fromEntries(turn(Object.entries(whole))) as unknown as JsonObject;
}

const turned = (seed: number) => {
  let state = seed;
  return <T>(items: readonly T[]): T[] => {
    const left = [...items];
    return items.map(() => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return left.splice(state % left.length, 1)[0]!;
    });
  };
};

describe("contents that say the same", () => {
  it("have one form and no difference, in whatever order they are listed", () => {
    fc.assert(
      fc.property(content, fc.nat(), (one, seed) => {
        const [first, second] = [written(one), again(one, turned(seed))];
        expect(differences(first, second, UNORDERED)).toEqual([]);
        expect(canonical(second, UNORDERED)).toEqual(canonical(first, UNORDERED));
      }),
      { numRuns: 1_000 },
    );
  });

  it("differ in exactly the part that was changed, however the rest is listed", () => {
    fc.assert(
      fc.property(content, fc.nat(), fc.constantFrom("Name", "Groups", "Policy", "Command"), (one, seed, part) => {
        const other = structuredClone(one) as Content;
        if (part === "Name") other.Name += "!";
        if (part === "Groups") other.Groups.push("sg-9" as never);
        if (part === "Policy") other.Policy.push({ Effect: "Deny", Action: "iam:*" as never, Resource: "*" });
        if (part === "Command") other.Command.push("new" as never);
        const found = differences(written(one), again(other, turned(seed)), UNORDERED);
        expect(new Set(found.map(({ path }) => path.split("/")[1]))).toEqual(new Set([part]));
        expect(canonical(again(other, turned(seed)), UNORDERED)).not.toEqual(canonical(written(one), UNORDERED));
      }),
    );
  });

  const pairs: [string, Json, Json][] = [
    ["a list that nothing calls unordered", { Command: ["a", "b"] }, { Command: ["b", "a"] }],
    ["a member that stands once more in a set", { Groups: ["a"] }, { Groups: ["a", "a"] }],
    ["text that only looks like a document", { Description: '{"a":1}' }, { Description: '{ "a": 1 }' }],
    ["a document in which a key stands twice", { Policy: '{"a":1,"a":2}' }, { Policy: '{"a":2}' }],
    ["upper and lower case of a resource", policy("arn:aws:s3:::B"), policy("arn:aws:s3:::b")],
  ];
  it.each(pairs)("%s is another content", (_what, before, after) => {
    expect(differences(before as JsonObject, after as JsonObject, UNORDERED)).not.toEqual([]);
    expect(canonical(before, UNORDERED)).not.toEqual(canonical(after, UNORDERED));
  });

  it("shows a difference as AWS shows it, not as it was compared", () => {
    const [before, after] = [policy("arn:aws:s3:::a"), policy("arn:aws:s3:::b")];
    expect(differences(before, after)).toEqual([
      { path: "/Policy", kind: "NOT_EQUAL", before: before.Policy, after: after.Policy },
    ]);
    expect(differences({ Groups: ["a", "b"] }, { Groups: ["c", "b", "a"] }, UNORDERED)).toEqual([
      { path: "/Groups/-", kind: "ADD", after: "c" },
    ]);
    expect(differences(null, { a: 1 })).toEqual([{ path: "", kind: "ADD", after: { a: 1 } }]);
    expect(differences({ a: 1 }, null)).toEqual([{ path: "", kind: "REMOVE", before: { a: 1 } }]);
  });
});

function policy(Resource: string): JsonObject {
  return { Policy: JSON.stringify({ Statement: { Effect: "Allow", Action: "S3:*", Resource } }) };
}
