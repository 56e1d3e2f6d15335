// Schemas: a registry document trimmed, and what is said when there is none.

import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Api } from "../../src/aws/api.js";
import { schemas, trimSchema } from "../../src/aws/schema.js";
import { OVERLAY } from "../../src/aws/schema-overlay.js";
import { shippedSchema, shippedTypes } from "../../src/aws/schema-table.js";
import { schemaFolder } from "../../state/drivers/schema-folder.js";
import { temporaryFolder } from "../harness.js";
import { clock, sandbox } from "./support.js";

const account = "123456789012";
const document = {
  typeName: "AWS::Test::Thing",
  definitions: {
    Tag: { type: "object", properties: { Key: { type: "string" }, Value: { type: "string" } } },
    Rule: {
      type: "object",
      properties: { Ports: { type: "array", insertionOrder: false, items: { type: "integer" } } },
    },
    Loop: { type: "object", properties: { Next: { $ref: "#/definitions/Loop" } } },
  },
  properties: {
    Name: { type: "string", description: "The name. Second sentence." },
    Rules: { type: "array", insertionOrder: false, items: { $ref: "#/definitions/Rule" } },
    Ordered: { type: "array", items: { type: "string" } },
    Loop: { $ref: "#/definitions/Loop" },
    Secret: { type: "object", properties: { Value: { type: "string" } } },
    Tags: { type: "array", insertionOrder: false, items: { $ref: "#/definitions/Tag" } },
    Arn: { type: ["string", "object"] },
  },
  required: ["Name"],
  primaryIdentifier: ["/properties/Name", "/properties/Arn"],
  readOnlyProperties: ["/properties/Arn"],
  writeOnlyProperties: ["/properties/Secret/Value", "/properties/Rules/*/Password"],
  createOnlyProperties: ["/properties/Name"],
  tagging: { taggable: true, tagProperty: "/properties/Tags" },
  handlers: { list: { handlerSchema: { properties: {}, required: ["Parent"] } } },
};

describe("a registry document", () => {
  const schema = trimSchema("AWS::Test::Thing", document);
  it("is trimmed to what plans need", () => {
    expect(schema).toMatchObject({
      source: "registry",
      primaryIdentifier: ["/Name", "/Arn"],
      readOnly: ["/Arn"],
      writeOnly: ["/Secret/Value", "/Rules/*/Password"],
      createOnly: ["/Name"],
      required: ["Name"],
      unordered: ["/Rules", "/Rules/*/Ports", "/Tags"],
      tags: { property: "Tags", shape: "list" },
      listRequires: ["Parent"],
    });
    expect(schema.properties.Name).toEqual({ type: "string", description: "The name." });
    expect(schema.properties.Loop).toEqual({ type: "object" });
    expect(schema.properties.Arn).toEqual({ type: "string or object" });
  });
  it("knows what may replace, how long a handler may take, and what a list needs one of", () => {
    const schema = trimSchema("x", {
      properties: { A: { type: "string" } },
      conditionalCreateOnlyProperties: ["/properties/A"],
      handlers: {
        create: { permissions: ["x:Create"], timeoutInMinutes: 2160 },
        delete: { timeoutInMinutes: 5 },
        list: { handlerSchema: { properties: {}, oneOf: [{ required: ["B"] }, { required: ["C", "D"] }] } },
      },
    });
    expect(schema).toMatchObject({
      conditional: ["/A"],
      timeouts: { create: 2160, delete: 5 },
      listRequires: [],
      listRequiresOneOf: [["B"], ["C", "D"]],
      writeOnlyKnown: true,
    });
  });
  it("tags are only those whose shape can be written", () => {
    const tagged = (fields: object) =>
      trimSchema("x", {
        properties: { Tags: { type: "array", items: { type: "object", properties: fields } } },
      } as never).tags;
    expect(tagged({ Key: {}, Value: {}, PropagateAtLaunch: {} })?.shape).toBe("asg");
    expect(tagged({ Key: {}, Value: {} })?.shape).toBe("list");
    expect(tagged({ ResourceType: {}, Tags: {} })).toBeUndefined();
  });
  it("without tags has none; a map is a map; untaggable is said", () => {
    expect(trimSchema("x", { properties: {} }).tags).toBeUndefined();
    expect(trimSchema("x", { properties: { Tags: { type: "object" } } }).tags?.shape).toBe("map");
    expect(trimSchema("x", { properties: { Tags: {} }, tagging: { taggable: false } }).tags).toBeUndefined();
  });
});

describe("where a schema comes from", () => {
  it("the sandbox has no registry: the table, or nothing, and it says which", async () => {
    const aws = await sandbox().reader();
    expect(await aws.schema("AWS::S3::Bucket")).toMatchObject({
      source: "built-in",
      primaryIdentifier: ["/BucketName"],
    });
    expect(await aws.schema("AWS::No::Such")).toMatchObject({ source: "none", readOnly: [], properties: {} });
    expect((await aws.schema("toString")).source).toBe("none");
    expect((await aws.schema("AWS::No::Such")).writeOnlyKnown).toBe(false);
  });
  it("the registry is asked once when it answers, and again later when it failed", async () => {
    let time = 0;
    let calls = 0;
    let fail = true;
    const api = {
      call: async () => {
        calls += 1;
        if (fail) throw new Error("denied");
        return { Schema: JSON.stringify(document) };
      },
    } as unknown as Api;
    const schema = schemas({ now: () => new Date(time) });
    const sources: string[] = [];
    const ask = async () =>
      sources.push((await schema(api, { account, region: "us-east-1", type: "AWS::S3::Bucket" })).source);
    await ask();
    await ask();
    time += 6 * 60_000;
    fail = false;
    await ask();
    time += 23 * 3_600_000;
    await ask();
    expect(sources).toEqual(["built-in", "built-in", "registry", "registry"]);
    expect(calls).toBe(2);
    time += 3_600_000;
    fail = true;
    await ask();
    expect([sources.at(-1), calls], "what it said last is better than nothing").toEqual(["registry", 3]);
  });
  it("what only the shipped table knows stands beside a registry document", async () => {
    const api = { call: async () => ({ Schema: JSON.stringify(document) }) } as unknown as Api;
    const ask = schemas({ ...clock, now: () => new Date(0) });
    const bucket = await ask(api, { account, region: "us-east-1", type: "AWS::S3::Bucket" });
    expect(bucket).toMatchObject({
      source: "registry",
      stateful: true,
      arn: expect.stringContaining(":s3:::"),
      readOnly: ["/Arn"],
    });
    expect(await ask(api, { account, region: "us-east-1", type: "Acme::Private::Thing" })).toMatchObject({
      source: "registry",
      readOnly: ["/Arn"],
    });
  });
});

describe("the shipped table", () => {
  it("knows the published types: identifiers, tags, replacement, references", async () => {
    const all = await Promise.all((await shippedTypes()).map(shippedSchema));
    expect(all.length).toBeGreaterThan(1_700);
    const count = (fits: (one: (typeof all)[number]) => unknown) => all.filter(fits).length;
    expect(count(({ tags }) => tags?.shape === "list")).toBeGreaterThan(1_000);
    expect(count(({ tags }) => tags?.shape === "map")).toBeGreaterThan(140);
    expect(all.filter(({ tags }) => tags?.shape === "asg").map(({ type }) => type)).toEqual([
      "AWS::AutoScaling::AutoScalingGroup",
    ]);
    expect(count(({ primaryIdentifier }) => primaryIdentifier.length > 1)).toBeGreaterThan(250);
    expect(count(({ refs }) => refs)).toBeGreaterThan(350);
    expect(count(({ stateful }) => stateful)).toBeGreaterThan(25);
    expect(count(({ arn }) => arn)).toBeGreaterThan(950);
    expect(count(({ scrutiny }) => scrutiny?.[""])).toBeGreaterThan(40);
  });

  it.each([
    [
      "AWS::EC2::SecurityGroup",
      {
        primaryIdentifier: ["/Id"],
        createOnly: ["/GroupDescription", "/GroupName", "/VpcId"],
        readOnly: ["/GroupId", "/Id"],
        required: ["GroupDescription"],
      },
    ],
    ["AWS::EC2::SecurityGroupIngress", { tags: undefined, scrutiny: { "": "IngressRuleResource" } }],
    [
      "AWS::ECS::Service",
      { primaryIdentifier: ["/ServiceArn", "/Cluster"], tags: { property: "Tags", shape: "list" } },
    ],
    [
      "AWS::CodeDeploy::DeploymentGroup",
      { primaryIdentifier: ["/ApplicationName", "/DeploymentGroupName"], listRequires: ["ApplicationName"] },
    ],
    [
      "AWS::SSM::Parameter",
      {
        tags: { property: "Tags", shape: "map" },
        writeOnly: ["/AllowedPattern", "/Description", "/Policies", "/Tier"],
        writeOnlyKnown: true,
      },
    ],
    ["AWS::RDS::DBInstance", { stateful: true, primaryIdentifier: ["/DBInstanceIdentifier"] }],
    ["AWS::Cognito::UserPool", { tags: { property: "UserPoolTags", shape: "map" }, writeOnlyKnown: false }],
    [
      "AWS::ElasticLoadBalancingV2::Listener",
      { listRequires: [], listRequiresOneOf: [["LoadBalancerArn"], ["ListenerArns"]] },
    ],
  ])("%s is as published", async (type, facts) => {
    const schema = await shippedSchema(type);
    expect(schema.source).toBe("built-in");
    for (const [name, value] of Object.entries(facts)) {
      expect(schema[name as keyof typeof schema], name).toEqual(value);
    }
  });

  it("names the paths that may point at other resources, in depth", async () => {
    const { refs } = await shippedSchema("AWS::ECS::Service");
    expect(refs).toMatchObject({
      "/TaskDefinition": [{ type: "AWS::ECS::TaskDefinition", path: "/TaskDefinitionArn" }],
      "/NetworkConfiguration/AwsvpcConfiguration/Subnets": [{ type: "AWS::EC2::Subnet", path: "/SubnetId" }],
      "/LoadBalancers/*/TargetGroupArn": [
        { type: "AWS::ElasticLoadBalancingV2::TargetGroup", path: "/TargetGroupArn" },
      ],
    });
  });

  it("the rows written by hand are of types it knows, and name properties of theirs", async () => {
    const wrong: string[] = [];
    for (const [type, row] of OVERLAY) {
      const { properties, readOnly } = await shippedSchema(type);
      const known = new Set([...Object.keys(properties), ...readOnly.map((path) => path.split("/")[1]!)]);
      const named = [...(row.writeOnly ?? []), ...(row.unordered ?? []), ...(row.exclusive ?? []).flat()];
      for (const path of named) if (!known.has(path.split("/")[1]!)) wrong.push(`${type} ${path}`);
      if (known.size === 0) wrong.push(type);
    }
    expect(wrong).toEqual([]);
  });
});

describe("what the registry said, in the next process", () => {
  const folder = temporaryFolder();
  afterAll(() => folder.remove());
  let time = Date.parse("2026-11-21T10:00:00Z");
  const ids = { uuid: () => "00000000-0000-4000-8000-000000000000" };
  const at = { account, region: "us-east-1", type: "AWS::S3::Bucket" };
  const file = join(folder.path, "state/schemas/123456789012/us-east-1/AWS-S3-Bucket.json");

  /** What a new process finds out, and how often it has to ask. */
  async function start(options: { readonly fail?: boolean; readonly of?: typeof at; readonly root?: string } = {}) {
    const shelf = schemaFolder({ root: options.root ?? join(folder.path, "state"), ids, log: () => {} });
    let calls = 0;
    const api = {
      call: async () => {
        calls += 1;
        if (options.fail) throw new Error("denied");
        return { Schema: JSON.stringify(document) };
      },
    } as unknown as Api;
    const { source } = await schemas({ now: () => new Date(time) }, shelf)(api, options.of ?? at);
    await shelf.settled();
    return { source, calls };
  }

  it("from what the one before was told, for a day; by account, region and type", async () => {
    expect(await start()).toEqual({ source: "registry", calls: 1 });
    expect(existsSync(file), "a state folder that does not exist is not made by looking").toBe(false);
    mkdirSync(join(folder.path, "state"));
    expect(await start()).toEqual({ source: "registry", calls: 1 });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await start()).toEqual({ source: "registry", calls: 0 });
    for (const of of [{ account: "210987654321" }, { region: "eu-west-1" }, { type: "AWS::S3::AccessPoint" }])
      expect((await start({ of: { ...at, ...of } })).calls, JSON.stringify(of)).toBe(1);
    time += 25 * 3_600_000;
    expect(await start({ fail: true }), "an old word is better than none").toEqual({ source: "registry", calls: 1 });
    expect(await start()).toEqual({ source: "registry", calls: 1 });
    expect(await start()).toEqual({ source: "registry", calls: 0 });
  });

  it("never from a file that is torn, edited, another's, or of the future; and never outside its folder", async () => {
    const text = readFileSync(file, "utf8");
    for (const [what, bad] of [
      ["torn", text.slice(0, -20)],
      ["empty", ""],
      ["edited", text.replace("/properties/Arn", "/properties/Brn")],
      ["another's", text.replace(account, "210987654321")],
      ["of the future", text.replace(/"at":"2026/, '"at":"2036')],
    ] as const) {
      expect(bad, what).not.toBe(text);
      writeFileSync(file, bad);
      expect((await start()).calls, what).toBe(1);
    }
    const before = readdirSync(folder.path, { recursive: true }).length;
    for (const type of ["../../escaped", "AWS::../..::x", "AWS::S3::Bucket/../../../x"])
      expect((await start({ of: { ...at, type } })).calls).toBe(1);
    expect(readdirSync(folder.path, { recursive: true })).toHaveLength(before);
  });

  it("where the folder cannot be written everything is asked, and nothing fails", async () => {
    const root = join(folder.path, "blocked");
    mkdirSync(root);
    writeFileSync(join(root, "schemas"), "not a folder");
    expect(await start({ root })).toEqual({ source: "registry", calls: 1 });
    expect(await start({ root })).toEqual({ source: "registry", calls: 1 });
  });
});
