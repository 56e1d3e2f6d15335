// Schemas: a registry document trimmed, and what is said when there is none.

import { describe, expect, it } from "vitest";
import type { Api } from "../../src/aws/api.js";
import { schemas, shippedSchema, trimSchema } from "../../src/aws/schema.js";
import { BUILT_IN } from "../../src/aws/schema-table.js";
import { sandbox } from "./support.js";

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
    const schema = schemas({ now: () => new Date(time), sleep: async () => {}, monotonic: () => time });
    const sources: string[] = [];
    const ask = async () => sources.push((await schema(api, "us-east-1", "AWS::S3::Bucket")).source);
    await ask();
    await ask();
    time += 6 * 60_000;
    fail = false;
    await ask();
    time += 24 * 3_600_000;
    await ask();
    expect(sources).toEqual(["built-in", "built-in", "registry", "registry"]);
    expect(calls).toBe(2);
  });
  it("the table's pointers name properties of their type", () => {
    for (const type of Object.keys(BUILT_IN)) {
      const { readOnly, createOnly, unordered, properties, required, tags } = shippedSchema(type);
      const known = new Set([...Object.keys(properties), ...readOnly.map((path) => path.split("/")[1])]);
      if (tags) expect(known).toContain(tags.property);
      for (const name of required) expect(known, type).toContain(name);
      for (const path of createOnly)
        expect([...known, "Role", "SchedulingStrategy"], type).toContain(path.split("/")[1]);
      for (const path of unordered) expect(path).toMatch(/^\/[A-Za-z]/);
    }
  });
});
