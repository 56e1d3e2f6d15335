// Drift: what counts as a difference, whose it is, how bad it is; and that order and AWS's own business are none.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ManagedResource } from "../../src/core/change.js";
import type { ResourceSchema } from "../../src/core/content.js";
import type { Json, JsonObject } from "../../src/core/json.js";
import { volatileOf } from "../../src/core/own-types.js";
import { driftOf } from "../../state/drift.js";
import { ref } from "./helpers.js";
import { schema } from "./schemas.js";

type Resource = Parameters<typeof driftOf>[0]["resource"];

const thing = (properties: JsonObject | null, more: Partial<ManagedResource> = {}): Resource => ({
  ref: ref("thing", "AWS::Test::Thing"),
  reader: "cloudcontrol",
  properties,
  desired: {},
  deleted: false,
  ...more,
});

const drift = (
  before: JsonObject,
  after: JsonObject | null,
  rules: Partial<ResourceSchema> = {},
  more: Partial<ManagedResource> = {},
  now?: Date,
) => driftOf({ resource: thing(before, more), live: after, schema: schema(rules), volatile: [], ...(now && { now }) });

const typed = (type: string) => ({ ref: ref("thing", type) });

describe("what is a difference", () => {
  it.each<[string, JsonObject, JsonObject, Partial<ResourceSchema>]>([
    ["key order", { a: 1, b: 2 }, { b: 2, a: 1 }, {}],
    ["what AWS fills in", { A: 1, Arn: "x" }, { A: 1, Arn: "y" }, { readOnly: ["/Arn"] }],
    ["what AWS fills in below", { L: [{ Id: "a", At: 1 }] }, { L: [{ Id: "a", At: 2 }] }, { readOnly: ["/L/*/At"] }],
    ["what AWS fills in, under the registry's spelling", { Arn: "x" }, { Arn: "y" }, { readOnly: ["/properties/Arn"] }],
    ["absent, null and empty", { A: null, B: [], C: {} }, {}, {}],
    ["order where it means nothing", { L: ["a", "b"] }, { L: ["b", "a"] }, { unordered: ["/L"] }],
    ["order of named elements", { L: [{ Id: "a" }, { Id: "b" }] }, { L: [{ Id: "b" }, { Id: "a" }] }, {}],
    [
      "tags in another order",
      {
        Tags: [
          { Key: "a", Value: "1" },
          { Key: "b", Value: "2" },
        ],
      },
      {
        Tags: [
          { Key: "b", Value: "2" },
          { Key: "a", Value: "1" },
        ],
      },
      {},
    ],
    ["AWS's own tags", { Tags: [] }, { Tags: [{ Key: "aws:cloudformation:stack-id", Value: "s" }] }, {}],
    ["JSON text in another layout", { P: '{"a":1,"b":[1]}' }, { P: '{ "b": [1], "a": 1 }' }, {}],
    [
      "a policy that means the same",
      {
        Policy: {
          Statement: {
            Effect: "Allow",
            Action: "s3:GetObject",
            Principal: { AWS: "123456789012" },
            Resource: ["a", "b"],
          },
        },
      },
      {
        Policy: {
          Version: "2008-10-17",
          Statement: [
            {
              Effect: "Allow",
              Action: ["S3:getobject"],
              Principal: { AWS: ["arn:aws:iam::123456789012:root"] },
              Resource: ["b", "a"],
            },
          ],
        },
      },
      {},
    ],
    [
      "a number in quotes, where the schema says number",
      { N: "80" },
      { N: 80 },
      { properties: { N: { type: "integer" } } },
    ],
  ])("%s is none", (_, before, after, rules) => {
    expect(drift(before, after, rules)).toMatchObject({ status: "IN_SYNC", severity: null, differences: [] });
  });

  it("an emptiness that somebody asked for is one when it goes, and one that a removal left is none", () => {
    const before = { C: {} };
    const lineage = (...desired: JsonObject[]) =>
      desired.map((one) => ({ desired: one, outcome: "succeeded" })) as unknown as ManagedResource["lineage"];
    const left = (...said: JsonObject[]) =>
      drift(before, {}, {}, { desired: before, lineage: lineage(...said) }).status;
    expect(left({ C: {} })).toBe("MODIFIED");
    expect(left({ C: { x: 1 } }, { C: { x: null } })).toBe("IN_SYNC");
    expect(left({ C: { x: null } }, { C: {} })).toBe("MODIFIED");
    expect(left({ D: 1 }), "what is not known is told").toBe("MODIFIED");
  });

  it.each<[string, JsonObject, JsonObject, Partial<ResourceSchema>, string, string]>([
    ["a changed value", { A: 1 }, { A: 2 }, {}, "/A", "NOT_EQUAL"],
    ["a new value", {}, { A: 2 }, {}, "/A", "ADD"],
    ["a value that went", { A: 1 }, {}, {}, "/A", "REMOVE"],
    ["a tag", { Tags: [{ Key: "a", Value: "1" }] }, { Tags: [{ Key: "a", Value: "2" }] }, {}, "/Tags/a", "NOT_EQUAL"],
    [
      "a tag in a map",
      { Tags: { a: "1" } },
      { Tags: {} },
      { tags: { property: "Tags", shape: "map" } },
      "/Tags/a",
      "REMOVE",
    ],
    ["order where nobody says it means nothing", { L: ["a", "b"] }, { L: ["b", "a"] }, {}, "/L/0", "NOT_EQUAL"],
    ["one inserted element of an ordered list", { L: [1, 2, 3] }, { L: [1, 9, 2, 3] }, {}, "/L/1", "ADD"],
    [
      "one edited element of an unordered list",
      { L: [1, 2, 3] },
      { L: [3, 9, 1] },
      { unordered: ["/L"] },
      "/L/-",
      "NOT_EQUAL",
    ],
    ["one field of a named element", { L: [{ Id: "a", v: 1 }] }, { L: [{ Id: "a", v: 2 }] }, {}, "/L/a/v", "NOT_EQUAL"],
    [
      "a policy's new action",
      { Policy: { Statement: [{ Action: "a" }] } },
      { Policy: { Statement: [{ Action: ["a", "b"] }] } },
      {},
      "/Policy",
      "NOT_EQUAL",
    ],
    ["a number in quotes, where no schema says number", { N: "80" }, { N: 80 }, {}, "/N", "NOT_EQUAL"],
    ["text in which a key stands twice", { P: '{"a":1,"a":2}' }, { P: '{"a":2}' }, {}, "/P", "NOT_EQUAL"],
  ])("%s is one", (_, before, after, rules, path, kind) => {
    const { status, differences } = drift(before, after, rules);
    expect(status).toBe("MODIFIED");
    expect(differences.slice(0, 1)).toMatchObject([{ path, kind }]);
  });

  it("a value AWS never shows is set aside, with the reason, and never called removed", () => {
    const report = drift(
      { A: 1 },
      { A: 1 },
      { writeOnly: ["/Password", "/Other"] },
      { desired: { Password: { $secret: "x" } } },
    );
    expect(report).toMatchObject({
      status: "IN_SYNC",
      unverifiable: [{ path: "/Password", because: "AWS never shows this value" }],
    });
  });

  it("what AWS moves by itself is none on our own types", () => {
    const before = {
      state: "running",
      publicIp: "1.2.3.4",
      instanceType: "t3.micro",
      securityGroups: ["sg-1"],
      tags: {},
    };
    const resource = thing(before, { ref: ref("i-1"), reader: "service" });
    const volatile = volatileOf("AWS::EC2::Instance", "service");
    expect(driftOf({ resource, live: { ...before, state: "stopped", publicIp: "5.6.7.8" }, volatile }).status).toBe(
      "IN_SYNC",
    );
    expect(driftOf({ resource, live: { ...before, instanceType: "t3.large" }, volatile })).toMatchObject({
      status: "MODIFIED",
      confidence: "high",
      differences: [{ path: "/instanceType", before: "t3.micro", after: "t3.large" }],
    });
  });

  it("without a schema everything is compared, and said to be less sure", () => {
    const report = driftOf({
      resource: thing({ Arn: "x", Tags: [{ Key: "a", Value: "1" }] }),
      live: { Arn: "y", Tags: [{ Key: "a", Value: "1" }] },
      volatile: [],
    });
    expect(report).toMatchObject({ status: "MODIFIED", confidence: "low", differences: [{ path: "/Arn" }] });
  });
});

describe("whose it is", () => {
  const before = {
    A: 1,
    B: { x: 1, y: 1 },
    L: [1],
    Tags: [
      { Key: "t", Value: "1" },
      { Key: "u", Value: "1" },
    ],
  };
  const desired = { A: 1, B: { x: 1 }, L: [1], Tags: [{ Key: "t", Value: "1" }] };
  const classOf = (after: JsonObject, more: Partial<ManagedResource> = {}, now?: Date) =>
    drift(before, { ...before, ...after }, {}, { desired, ...more }, now).differences.map((one) => [
      one.path,
      one.class,
    ]);

  it("declared where the user asked for the path, undeclared elsewhere", () => {
    expect(classOf({ A: 2 })).toEqual([["/A", "declared"]]);
    expect(classOf({ B: { x: 2, y: 2 } })).toEqual([
      ["/B/x", "declared"],
      ["/B/y", "undeclared"],
    ]);
    expect(classOf({ L: [1, 2] })).toEqual([["/L/1", "declared"]]);
    expect(
      classOf({
        Tags: [
          { Key: "t", Value: "2" },
          { Key: "u", Value: "2" },
        ],
      }),
    ).toEqual([
      ["/Tags/t", "declared"],
      ["/Tags/u", "undeclared"],
    ]);
    expect(classOf({ Z: 1 })).toEqual([["/Z", "undeclared"]]);
  });

  it("absorbed where the world came to what was declared: told, not counted", () => {
    const report = drift({ A: 1 }, { A: 2 }, {}, { desired: { A: 2 } });
    expect(report).toMatchObject({
      status: "IN_SYNC",
      severity: null,
      differences: [{ class: "absorbed", severity: "INFO" }],
    });
  });

  it("ignored by a rule, until the rule ends: counted, not reported", () => {
    const ignores = [
      { path: "/B/*", reason: "tuning", by: "bob", since: "2026-01-01T00:00:00Z", until: "2026-12-01T00:00:00Z" },
    ];
    expect(classOf({ B: { x: 2, y: 1 } }, { ignores }, new Date("2026-11-30T00:00:00Z"))).toEqual([
      ["/B/x", "ignored"],
    ]);
    expect(classOf({ B: { x: 2, y: 1 } }, { ignores }, new Date("2026-12-01T00:00:00Z"))).toEqual([
      ["/B/x", "declared"],
    ]);
    expect(
      drift({ A: 1 }, { A: 2 }, {}, { ignores: [{ path: "/A", reason: "r", by: "b", since: "s" }] }),
    ).toMatchObject({ status: "IN_SYNC", ignored: 1 });
  });
});

describe("a resource that is gone or back", () => {
  it("deleted outside is DELETED, worst where it held data", () => {
    expect(drift({ A: 1 }, null, {}, typed("AWS::RDS::DBInstance"))).toMatchObject({
      status: "DELETED",
      severity: "CRITICAL",
    });
    expect(drift({ A: 1 }, null, {}, typed("AWS::Lambda::Function"))).toMatchObject({
      status: "DELETED",
      severity: "HIGH",
    });
    const instance = thing({ state: "running", tags: {} }, { ref: ref("i-1"), reader: "service" });
    expect(driftOf({ resource: instance, live: { state: "terminated", tags: {} }, volatile: [] }).status).toBe(
      "DELETED",
    );
  });
  it("deleted by us and gone is in sync; there again is a difference", () => {
    expect(driftOf({ resource: thing(null, { deleted: true }), live: null, volatile: [] }).status).toBe("IN_SYNC");
    expect(driftOf({ resource: thing(null, { deleted: true }), live: { A: 1 }, volatile: [] })).toMatchObject({
      status: "MODIFIED",
      differences: [{ path: "", kind: "ADD" }],
    });
  });
});

describe("severity", () => {
  const statement = (more: JsonObject) => ({
    Policy: { Statement: [{ Effect: "Allow", Principal: { AWS: "arn:a" }, Action: "s3:GetObject", ...more }] },
  });
  it.each<[string, string, JsonObject, JsonObject]>([
    ["CRITICAL", "AWS::RDS::DBInstance", { DeletionProtection: true }, { DeletionProtection: false }],
    ["LOW", "AWS::RDS::DBInstance", { DeletionProtection: false }, { DeletionProtection: true }],
    [
      "CRITICAL",
      "AWS::S3::Bucket",
      { PublicAccessBlockConfiguration: { BlockPublicAcls: true } },
      { PublicAccessBlockConfiguration: { BlockPublicAcls: false } },
    ],
    ["CRITICAL", "AWS::S3::Bucket", { PublicAccessBlockConfiguration: { BlockPublicAcls: true } }, {}],
    [
      "LOW",
      "AWS::S3::Bucket",
      { PublicAccessBlockConfiguration: { BlockPublicAcls: false } },
      { PublicAccessBlockConfiguration: { BlockPublicAcls: true } },
    ],
    ["CRITICAL", "AWS::S3::Bucket", { BucketEncryption: { Rule: "aes" } }, {}],
    ["CRITICAL", "AWS::EC2::Volume", { Encrypted: true }, { Encrypted: false }],
    ["CRITICAL", "AWS::CloudTrail::Trail", { IsLogging: true }, { IsLogging: false }],
    ["LOW", "AWS::CloudTrail::Trail", { IsLogging: false }, { IsLogging: true }],
    ["CRITICAL", "AWS::KMS::Key", { Enabled: true }, { Enabled: false }],
    ["CRITICAL", "AWS::S3::BucketPolicy", statement({}), statement({ Principal: "*" })],
    ["CRITICAL", "AWS::IAM::ManagedPolicy", statement({}), statement({ Action: ["s3:GetObject", "*"] })],
    ["LOW", "AWS::S3::BucketPolicy", statement({ Principal: "*" }), statement({})],
    ["HIGH", "AWS::S3::BucketPolicy", statement({}), statement({ Action: "s3:PutObject" })],
    [
      "CRITICAL",
      "AWS::EC2::SecurityGroup",
      { SecurityGroupIngress: [{ CidrIp: "10.0.0.0/8" }] },
      { SecurityGroupIngress: [{ CidrIp: "10.0.0.0/8" }, { CidrIp: "0.0.0.0/0" }] },
    ],
    ["HIGH", "AWS::IAM::Role", { MaxSessionDuration: 3600 }, { MaxSessionDuration: 7200 }],
    ["HIGH", "AWS::RDS::DBInstance", { BackupRetentionPeriod: 7 }, { BackupRetentionPeriod: 0 }],
    [
      "HIGH",
      "AWS::S3::Bucket",
      { VersioningConfiguration: { Status: "Enabled" } },
      { VersioningConfiguration: { Status: "Suspended" } },
    ],
    ["HIGH", "AWS::RDS::DBInstance", { PubliclyAccessible: false }, { PubliclyAccessible: true }],
    ["LOW", "AWS::RDS::DBInstance", { PubliclyAccessible: true }, { PubliclyAccessible: false }],
    ["HIGH", "AWS::RDS::DBInstance", { EngineVersion: "15" }, { EngineVersion: "16" }],
    ["LOW", "AWS::Lambda::Function", { Tags: [{ Key: "a", Value: "1" }] }, { Tags: [{ Key: "a", Value: "2" }] }],
    ["LOW", "AWS::Lambda::Function", { Description: "a" }, { Description: "b" }],
    ["INFO", "AWS::Lambda::Function", { MemorySize: 128 }, { MemorySize: 256 }],
  ])("%s: %s %j → %j", (severity, type, before, after) => {
    expect(drift(before, after, {}, typed(type)).severity).toBe(severity);
  });

  it("of a declared value is at least MEDIUM, marked as a guess where no rule knows the type", () => {
    const report = drift(
      { MemorySize: 128 },
      { MemorySize: 256 },
      {},
      { ...typed("AWS::Lambda::Function"), desired: { MemorySize: 128 } },
    );
    expect(report).toMatchObject({
      severity: "MEDIUM",
      because: "/MemorySize: a declared value changed",
      differences: [{ heuristic: true }],
    });
  });

  it("goes one level up in production, in any shape of tags", () => {
    const tags = [{ Key: "Environment", Value: "prod" }];
    expect(drift({ Description: "a", Tags: tags }, { Description: "b", Tags: tags }).severity).toBe("MEDIUM");
    expect(drift({ Description: "a", Tags: tags }, { Description: "b", Tags: [] }).severity).toBe("MEDIUM");
    const other = [{ Key: "Environment", Value: "dev" }];
    expect(drift({ Description: "a", Tags: tags }, { Description: "b", Tags: other }).severity).toBe("MEDIUM");
    const shapes: readonly JsonObject[] = [
      { Tags: [{ Key: "env", Value: "prod", PropagateAtLaunch: true }] },
      { HostedZoneTags: [{ Key: "env", Value: "prod" }] },
      { UserPoolTags: { env: "prod" } },
    ];
    for (const odd of shapes) {
      expect(drift({ Description: "a", ...odd }, { Description: "b", ...odd }).severity).toBe("MEDIUM");
    }
  });

  it("of several is the worst", () => {
    expect(drift({ Description: "a", Encrypted: true }, { Description: "b", Encrypted: false })).toMatchObject({
      severity: "CRITICAL",
      because: "/Encrypted: encryption is off or gone",
    });
  });
});

describe("security groups", () => {
  const rule = (ruleId: string, more: JsonObject = {}) => ({
    ruleId,
    direction: "ingress",
    protocol: "tcp",
    fromPort: 22,
    toPort: 22,
    peer: "10.0.0.0/8",
    ...more,
  });
  const group = (...rules: JsonObject[]): JsonObject => ({
    groupId: "sg-1",
    groupName: "web",
    description: "d",
    rules,
    tags: {},
  });
  const of = (before: JsonObject, after: JsonObject, desired: JsonObject = {}) =>
    driftOf({
      resource: thing(before, { ref: ref("sg-1", "AWS::EC2::SecurityGroup"), reader: "service", desired }),
      live: after,
      volatile: [],
    });

  it.each<[string, string, JsonObject[], JsonObject[], string]>([
    ["a world-open rule", "CRITICAL", [], [rule("b", { peer: "0.0.0.0/0" })], "/rules/b"],
    ["a world-open IPv6 rule", "CRITICAL", [], [rule("b", { peer: "::/0" })], "/rules/b"],
    ["all ports open to the world", "CRITICAL", [], [rule("b", { peer: "0.0.0.0/0", protocol: "-1" })], "/rules/b"],
    [
      "a web port open to the world",
      "HIGH",
      [],
      [rule("b", { peer: "0.0.0.0/0", fromPort: 443, toPort: 443 })],
      "/rules/b",
    ],
    ["world-open egress", "HIGH", [], [rule("b", { peer: "0.0.0.0/0", direction: "egress" })], "/rules/b"],
    ["another rule", "HIGH", [], [rule("b")], "/rules/b"],
    ["a rule that went", "LOW", [rule("b")], [], "/rules/b"],
    ["a rule opened to the world", "CRITICAL", [rule("b")], [rule("b", { peer: "0.0.0.0/0" })], "/rules/b/peer"],
    ["a world-open rule that was narrowed", "LOW", [rule("b", { peer: "0.0.0.0/0" })], [rule("b")], "/rules/b/peer"],
    [
      "a world-open rule with more ports",
      "CRITICAL",
      [rule("b", { peer: "0.0.0.0/0" })],
      [rule("b", { peer: "0.0.0.0/0", toPort: 99 })],
      "/rules/b/toPort",
    ],
    ["another port", "HIGH", [rule("b")], [rule("b", { toPort: 23 })], "/rules/b/toPort"],
    ["a description", "LOW", [rule("b")], [rule("b", { description: "x" })], "/rules/b/description"],
    ["a rule made again", "INFO", [rule("b")], [rule("c")], "/rules/b/ruleId"],
  ])("%s is %s", (_, severity, before, after, path) => {
    const report = of(group(rule("a"), ...before), group(rule("a"), ...after));
    expect(report).toMatchObject({ status: "MODIFIED", severity, differences: [{ path, class: "undeclared" }] });
    expect(report.differences).toHaveLength(1);
  });

  it("a rule we declared that went is ours to miss", () => {
    const { ruleId: _, ...declared } = rule("b");
    expect(of(group(rule("a"), rule("b")), group(rule("a")), { rules: [{ ...declared }] })).toMatchObject({
      differences: [{ class: "declared" }],
    });
  });

  it("rules in another order are the same rules", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([22, 80, 443, 8080], { minLength: 4 }), (ports) => {
        const rules = (order: number[]) => order.map((port) => rule(`sgr-${port}`, { fromPort: port, toPort: port }));
        expect(of(group(...rules([22, 80, 443, 8080])), group(...rules(ports))).status).toBe("IN_SYNC");
      }),
    );
  });
});

// ── properties ─────────────────────────────────────────────────────────────────────────────────────────────────────

const name = fc.constantFrom("A", "B", "C", "D");
const scalar = fc.oneof(
  fc.integer({ min: 1 }),
  fc.string({ minLength: 1, maxLength: 5 }).filter((text) => !/^\s*\{/.test(text)),
  fc.boolean(),
);
const content = fc.record({
  Plain: scalar,
  Nested: fc.dictionary(name, scalar, { minKeys: 1, noNullPrototype: true }),
  Ordered: fc.array(scalar, { minLength: 1, maxLength: 5 }),
  Unordered: fc.uniqueArray(fc.integer(), { minLength: 1, maxLength: 6 }),
  Named: fc.uniqueArray(fc.record({ Name: fc.constantFrom("n1", "n2", "n3"), v: fc.integer() }), {
    selector: (one) => one.Name,
    minLength: 1,
  }),
  Tags: fc.uniqueArray(fc.record({ Key: fc.constantFrom("k1", "k2", "k3"), Value: fc.string({ maxLength: 4 }) }), {
    selector: (one) => one.Key,
    minLength: 1,
  }),
  Policy: fc.record({
    Statement: fc.array(
      fc.record({
        Effect: fc.constant("Allow"),
        Action: fc.uniqueArray(fc.constantFrom("s3:Get", "s3:Put", "ec2:Run"), { minLength: 1 }),
        Resource: fc.constantFrom("a", "b"),
      }),
      { minLength: 1, maxLength: 3 },
    ),
  }),
});
type Content = typeof content extends fc.Arbitrary<infer T> ? T : never;
const RULES = { unordered: ["/Unordered"], readOnly: ["/Arn"] };

/** The same thing as AWS may say it another time. */
const rephrased = (of: Content): fc.Arbitrary<JsonObject> =>
  fc
    .record({
      Unordered: fc.shuffledSubarray(of.Unordered, { minLength: of.Unordered.length }),
      Named: fc.shuffledSubarray(of.Named, { minLength: of.Named.length }),
      Tags: fc.shuffledSubarray(of.Tags, { minLength: of.Tags.length }),
      statements: fc.shuffledSubarray(of.Policy.Statement, { minLength: of.Policy.Statement.length }),
      asText: fc.boolean(),
      Arn: fc.string(),
      reversed: fc.boolean(),
    })
    .map(({ statements, asText, reversed, ...lists }) => {
      const Policy = {
        Statement: statements.map((one) => ({
          ...one,
          Action: one.Action.length === 1 ? one.Action[0]! : [...one.Action].reverse(),
        })),
      };
      const said = { ...of, ...lists, Policy: asText ? JSON.stringify(Policy) : Policy } as unknown as JsonObject;
      return reversed ? Object.fromEntries(Object.entries(said).reverse()) : said;
    });

/** One change of one place, and the path it must be reported at. */
const mutated = (of: Content): fc.Arbitrary<{ live: JsonObject; path: string }> =>
  fc.constantFrom<{ live: JsonObject; path: string }>(
    { live: { ...of, Plain: "mutated" } as unknown as JsonObject, path: "/Plain" },
    { live: { ...of, New: 1 } as unknown as JsonObject, path: "/New" },
    { live: { ...of, Nested: { ...of.Nested, X: 1 } } as unknown as JsonObject, path: "/Nested/X" },
    {
      live: { ...of, Ordered: [...of.Ordered, "more"] } as unknown as JsonObject,
      path: `/Ordered/${of.Ordered.length}`,
    },
    { live: { ...of, Ordered: ["first", ...of.Ordered] } as unknown as JsonObject, path: "/Ordered/0" },
    { live: { ...of, Unordered: [0.5, ...of.Unordered] } as unknown as JsonObject, path: "/Unordered/-" },
    { live: { ...of, Unordered: [...of.Unordered.slice(1), 0.5] } as unknown as JsonObject, path: "/Unordered/-" },
    {
      live: {
        ...of,
        Named: of.Named.map((one, index) => (index === 0 ? { ...one, v: 0.5 } : one)),
      } as unknown as JsonObject,
      path: `/Named/${of.Named[0]!.Name}/v`,
    },
    { live: { ...of, Named: [...of.Named, { Name: "n9", v: 1 }] } as unknown as JsonObject, path: "/Named/n9" },
    {
      live: {
        ...of,
        Tags: of.Tags.map((tag, index) => (index === 0 ? { ...tag, Value: "mutated" } : tag)),
      } as unknown as JsonObject,
      path: `/Tags/${of.Tags[0]!.Key}`,
    },
    {
      live: {
        ...of,
        Policy: { Statement: [...of.Policy.Statement, { Effect: "Deny", Action: ["x:Y"], Resource: "c" }] },
      } as unknown as JsonObject,
      path: "/Policy",
    },
  );

describe("for any content", () => {
  it("saying it in another way is no drift", () => {
    fc.assert(
      fc.property(
        content.chain((of) => rephrased(of).map((live) => [of, live] as const)),
        ([of, live]) => {
          expect(drift(of as unknown as JsonObject, live, RULES).differences).toEqual([]);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("one change is exactly one difference, at its path", () => {
    fc.assert(
      fc.property(
        content.chain((of) => mutated(of).map((one) => [of, one] as const)),
        ([of, { live, path }]) => {
          const report = drift(of as unknown as JsonObject, live, RULES);
          expect(report.differences.map((one) => one.path)).toEqual([path]);
          expect(report.status).toBe("MODIFIED");
        },
      ),
      { numRuns: 300 },
    );
  });

  it("what differs is never called in sync, schema or not", () => {
    const anyJson = fc.dictionary(
      name,
      fc.oneof(
        scalar,
        fc.array(scalar, { minLength: 1, maxLength: 3 }),
        fc.dictionary(name, scalar, { minKeys: 1, noNullPrototype: true }),
      ),
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(anyJson, anyJson, (before, after) => {
        const report = driftOf({ resource: thing(before as JsonObject), live: after as JsonObject, volatile: [] });
        const same = JSON.stringify(order(before as Json)) === JSON.stringify(order(after as Json));
        expect(report.status === "IN_SYNC").toBe(same);
      }),
      { numRuns: 300 },
    );
  });
});

const order = (value: Json): Json =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(
        Object.entries(value)
          .sort()
          .map(([key, member]) => [key, order(member)]),
      )
    : value;
