// state.json: the seed's document field by field, and the seed itself taken over.

import { describe, expect, it } from "vitest";
import { ridOf } from "../../src/core/change.js";
import type { JsonObject } from "../../src/core/json.js";
import { checkpointDocument, checkpointText, readCheckpoint } from "../../state/checkpoint.js";
import { memoryDriver } from "../../state/drivers/memory.js";
import { importSeed } from "../../state/seed.js";
import { applied, chain, intent, open, plan, ref, result, START, step } from "./helpers.js";

/** The document of seed 2, shortened. */
const SEED = {
  version: "1.0",
  metadata: {
    created: "2025-01-07T10:00:00Z",
    last_updated: "2025-01-07T15:30:00Z",
    mcp_server_version: "1.1.0",
    total_resources: 1,
    total_operations: 2,
  },
  resources: {
    "my-bucket": {
      resource_type: "AWS::S3::Bucket",
      identifier: "my-bucket",
      region: "us-east-1",
      account_id: "123456789012",
      current_properties: { BucketName: "my-bucket", VersioningConfiguration: { Status: "Enabled" } },
      lineage: [
        {
          execution_token: "abc123",
          operation: "create",
          timestamp: "2025-01-07T10:30:00Z",
          user: "novekm",
          aws_session: "arn:aws:iam::123456789012:user/novekm",
          properties_before: null,
          properties_after: { BucketName: "my-bucket" },
          explanation: "Created S3 bucket for application data storage",
          user_intent: "Store application logs and backups",
          checkov_results: { passed: 8, failed: 2, critical_issues: [] },
        },
        {
          execution_token: "def456",
          operation: "update",
          timestamp: "2025-01-07T11:15:00Z",
          user: "novekm",
          aws_session: "arn:aws:iam::123456789012:user/novekm",
          properties_before: { BucketName: "my-bucket" },
          properties_after: { BucketName: "my-bucket", VersioningConfiguration: { Status: "Enabled" } },
          explanation: "Enabled versioning",
          user_intent: "Compliance",
          patch_document: [{ op: "add", path: "/VersioningConfiguration", value: { Status: "Enabled" } }],
        },
      ],
      managed_by: "CCAPI-MCP-SERVER",
      created_at: "2025-01-07T10:30:00Z",
      last_modified: "2025-01-07T11:15:00Z",
      drift_status: { last_checked: "2025-01-07T15:00:00Z", drift_detected: false, drift_details: null },
      dependencies: { depends_on: ["kms-key-1"], dependents: ["iam-role-s3-access"] },
    },
  },
  stacks: {
    web: {
      execution_token: "stack789",
      resources: ["my-bucket"],
      created_at: "2025-01-07T10:30:00Z",
      user_intent: "Deploy",
      status: "deployed",
    },
  },
};

describe("state.json", () => {
  it("is the seed's document, with what we add behind it", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    const bucket = ref("logs", "AWS::S3::Bucket");
    const patch = [{ op: "add", path: "/A", value: 1 }];
    const { token, id, operations } = await applied(
      store,
      [
        step({
          service: "cloudcontrol",
          operation: "UpdateResource",
          ref: bucket,
          kind: "update",
          reader: "cloudcontrol",
          input: { PatchDocument: patch },
          before: {},
          after: { A: 1 },
          desired: { A: 1 },
        }),
      ],
      [[result({}, { A: 1 }, bucket, "cloudcontrol")]],
    );
    const text = Buffer.from(kept.get("state.json")!).toString();
    expect(text.startsWith('{\n  "version": "1.0",\n  "metadata": {\n    "created"')).toBe(true);
    const document = JSON.parse(text) as typeof SEED & { journal: JsonObject; integrity: JsonObject };
    expect(Object.keys(document)).toEqual(["version", "metadata", "resources", "stacks", "journal", "integrity"]);
    expect(document.metadata).toEqual({
      created: START,
      last_updated: START,
      mcp_server_version: "0.1.0",
      total_resources: 1,
      total_operations: 1,
    });
    expect((document.resources as unknown as JsonObject).logs).toEqual({
      resource_type: "AWS::S3::Bucket",
      identifier: "logs",
      region: "eu-west-1",
      account_id: "123456789012",
      current_properties: { A: 1 },
      lineage: [
        {
          execution_token: token,
          operation: "update",
          timestamp: START,
          user: "alice",
          aws_session: "arn:aws:iam::123456789012:user/alice",
          properties_before: {},
          properties_after: { A: 1 },
          explanation: "it idles",
          user_intent: "save money",
          patch_document: patch,
          seq: 3,
          change_id: id,
          operation_id: operations[0],
          tool: "instances.stop",
          outcome: "succeeded",
          desired: { A: 1 },
        },
      ],
      managed_by: "AWS-DEVOPS-MCP",
      created_at: START,
      last_modified: START,
      drift_status: {
        last_checked: START,
        drift_detected: false,
        drift_details: null,
        status: "IN_SYNC",
        severity: null,
      },
      dependencies: { depends_on: [], dependents: [] },
      rid: ridOf(bucket),
      reader: "cloudcontrol",
      revision: 3,
      etag: expect.stringMatching(/^[0-9a-f]{64}$/),
      desired: { A: 1 },
      baseline_at: START,
      deleted: false,
    });
    expect(document.journal).toMatchObject({
      format: 1,
      applied_seq: 3,
      head_hash: (await store.state()).head,
      pending_ops: [],
      archive_segments: [],
    });
    expect(document.integrity).toEqual({
      sum: expect.stringMatching(/^[0-9a-f]{64}$/),
      bytes: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it("names operations without an outcome", async () => {
    const log = chain();
    const made = plan(1);
    log.add([made.event]);
    log.add([intent(2, made.id, made.token)]);
    expect((checkpointDocument(log.state, "x").journal as JsonObject).pending_ops).toEqual(["op_2"]);
  });

  it("has one text for one state, in whatever order keys came", () => {
    const make = (properties: JsonObject) => {
      const log = chain();
      log.add([{ type: "resource.imported", ref: ref(), reader: "service", properties, provenance: "x" }]);
      return checkpointText(checkpointDocument(log.state, "x"));
    };
    expect(make({ b: { d: 1, c: 2 }, a: 1 })).toBe(make({ a: 1, b: { c: 2, d: 1 } }));
  });

  it("of a format to come is not read", () => {
    const document = checkpointDocument(chain().state, "x");
    const { integrity: _, ...body } = document;
    expect(
      readCheckpoint(
        new TextEncoder().encode(JSON.stringify({ ...body, journal: { ...(body.journal as JsonObject), format: 2 } })),
      ).kind,
    ).toBe("edited");
  });
});

describe("the seed's state.json", () => {
  it("is taken over with its whole lineage", async () => {
    const { events, notTaken } = importSeed(SEED);
    expect(notTaken).toEqual(["stacks.web"]);
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    const { state } = await store.commit(() => events);
    const resource = [...state.resources.values()][0]!;
    expect(resource).toMatchObject({
      alias: "my-bucket",
      reader: "cloudcontrol",
      properties: SEED.resources["my-bucket"].current_properties,
      createdAt: "2025-01-07T10:30:00Z",
      dependsOn: ["kms-key-1"],
    });
    expect(resource.lineage.map(({ executionToken, operation }) => [executionToken, operation])).toEqual([
      ["abc123", "create"],
      ["def456", "update"],
      ["", "import"],
    ]);
    const disk = (JSON.parse(Buffer.from(kept.get("state.json")!).toString()) as typeof SEED).resources["my-bucket"];
    for (const [index, entry] of SEED.resources["my-bucket"].lineage.entries()) {
      expect(disk.lineage[index]).toMatchObject(entry);
    }
    expect(disk.dependencies).toEqual({ depends_on: ["kms-key-1"], dependents: [] });
    expect((await (await open(memoryDriver(kept))).state()).resources.get(resource.rid)).toEqual(resource);
  });

  it("is recognised as what it is", () => {
    expect(readCheckpoint(new TextEncoder().encode(JSON.stringify(SEED))).kind).toBe("seed");
  });

  it("that is something else is refused with the field", () => {
    expect(() => importSeed({ ...SEED, version: "2.0" })).toThrow("version");
    expect(() => importSeed({ ...SEED, resources: { x: { ...SEED.resources["my-bucket"], region: "" } } })).toThrow(
      "region",
    );
  });

  it("shows who depends on whom", () => {
    const log = chain();
    log.add([
      { type: "resource.imported", ref: ref("key"), reader: "service", properties: {}, provenance: "x" },
      {
        type: "resource.imported",
        ref: ref("bucket"),
        reader: "service",
        properties: {},
        provenance: "x",
        dependsOn: ["key"],
      },
    ]);
    const { resources } = checkpointDocument(log.state, "x") as unknown as {
      resources: Record<string, { dependencies: JsonObject }>;
    };
    expect(resources.key?.dependencies).toEqual({ depends_on: [], dependents: ["bucket"] });
    expect(resources.bucket?.dependencies).toEqual({ depends_on: ["key"], dependents: [] });
  });
});
