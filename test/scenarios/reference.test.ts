// Reference data: what the server can manage, without credentials and without asking AWS.

import { encode } from "gpt-tokenizer/encoding/o200k_base";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { schemaTable } from "../../schema-table.mjs";
import { type Assistant, startAssistant } from "../harness.js";

interface TypeRow {
  readonly type: string;
  readonly identifier: readonly string[];
  readonly createOnly?: readonly string[];
  readonly createOnlyNotShown?: number;
  readonly readWith?: { readonly tool: string };
}

describe("services_list", () => {
  let assistant: Assistant;
  beforeAll(async () => {
    // No credentials, no region, and an egress guard that refuses every connection.
    assistant = await startAssistant();
  });
  afterAll(() => assistant.close());

  const list = async (args: Record<string, unknown>) => {
    const answer = await assistant.call("tools_run", { tool: "services.list", arguments: args });
    expect(answer.isError, JSON.stringify(answer.data)).toBe(false);
    expect(encode(answer.text[0]!).length, JSON.stringify(args)).toBeLessThanOrEqual(5_000);
    return answer.data;
  };

  it("counts the types of every service, and says what it knows them from", async () => {
    const data = await list({});
    expect(data.services["AWS::S3"]).toBeGreaterThanOrEqual(5);
    expect(data.services["AWS::EC2"]).toBeGreaterThanOrEqual(80);
    expect(data.source).toMatch(/aws-service-spec \d/);
    expect(data.account).toBeUndefined();
    expect(data.nextCursor).toBeUndefined();
  });

  it("names identifier and what is fixed at creation, and the better reader where there is one", async () => {
    const { types } = await list({ service: "s3", query: "bucket" });
    expect(types).toContainEqual({
      type: "AWS::S3::Bucket",
      identifier: ["BucketName"],
      createOnly: expect.arrayContaining(["BucketName"]),
    });
    const { types: ec2 } = await list({ query: "ec2::instance" });
    const instance = ec2.find(({ type }: TypeRow) => type === "AWS::EC2::Instance") as TypeRow;
    expect(instance).toMatchObject({ identifier: ["InstanceId"], readWith: { tool: "instances_get" } });
    expect(instance.createOnly!.length + instance.createOnlyNotShown!).toBeGreaterThan(12);
  });

  it("pages through every type that can be managed, in order and once", async () => {
    const seen: string[] = [];
    let cursor: string | undefined;
    let total: number;
    do {
      const data = await list({ query: "::", ...(cursor ? { cursor } : {}) });
      seen.push(...data.types.map(({ type }: TypeRow) => type));
      total = data.total;
      cursor = data.nextCursor;
    } while (cursor);
    const manageable = Object.entries(schemaTable().types).flatMap(([type, row]) => (row.i ? [type] : []));
    expect(seen).toEqual(manageable.sort());
    expect(total).toBe(seen.length);
  });

  it("finds nothing without calling it an error, and refuses a cursor of another question", async () => {
    expect(await list({ query: "no such thing" })).toMatchObject({ count: 0, total: 0, types: [] });
    const { nextCursor } = await list({ service: "EC2" });
    const other = await assistant.call("tools_run", {
      tool: "services.list",
      arguments: { service: "S3", cursor: nextCursor },
    });
    expect(other.data).toMatchObject({ code: "invalid_cursor", field: "cursor" });
  });
});
