// Tags for many resources on moto: planned, applied in batches, refused, lost and undone. Refusals per resource, which moto never answers, are scripted.

import { CreateTagsCommand, CreateVolumeCommand, DeleteTagsCommand, DescribeVolumesCommand } from "@aws-sdk/client-ec2";
import { CreateBucketCommand, GetBucketTaggingCommand, PutBucketTaggingCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Assistant } from "../harness.js";
import { type Product, startProduct } from "./product.js";

const product = await startProduct("tags for many resources on moto", import.meta.url);
const BUCKET = "arn:aws:s3:::kept-bucket";

describe.skipIf(!product)("tags for many resources on moto", () => {
  const { proxy, ledger, calls, moto, outsider } = (product ?? {}) as Product;
  let assistant: Assistant;
  let arns: string[];
  const s3 = new S3Client({
    endpoint: moto?.endpoint ?? "http://127.0.0.1:1",
    region: "eu-west-1",
    credentials: { accessKeyId: "AKIAEMULATED", secretAccessKey: "emulated" },
    forcePathStyle: true,
  });

  const idOf = (arn: string): string => arn.split("/")[1]!;
  const tagsOf = async (arn: string): Promise<Record<string, string>> => {
    const { Volumes = [] } = await outsider.ec2.send(new DescribeVolumesCommand({ VolumeIds: [idOf(arn)] }));
    return Object.fromEntries((Volumes[0]?.Tags ?? []).map(({ Key, Value }) => [Key!, Value!]));
  };
  const plan = (changes: object[], more: object = {}) =>
    assistant.call("tags_apply", { changes, intent: "everything has an owner", ...more });
  const applied = async (planned: { data: { executionToken?: string } }) =>
    assistant.call("changes_apply", { executionToken: planned.data.executionToken });
  const carried = () =>
    calls("tagging", "TagResources").map(({ params }) => (params as { ResourceARNList: string[] }).ResourceARNList);

  beforeAll(async () => {
    await moto.reset();
    const made = await Promise.all(
      Array.from({ length: 30 }, () =>
        outsider.ec2.send(new CreateVolumeCommand({ AvailabilityZone: "eu-west-1a", Size: 1 })),
      ),
    );
    arns = made.map(({ VolumeId }) => `arn:aws:ec2:eu-west-1:123456789012:volume/${VolumeId}`);
    await s3.send(
      new CreateBucketCommand({
        Bucket: "kept-bucket",
        CreateBucketConfiguration: { LocationConstraint: "eu-west-1" },
      }),
    );
    const TagSet = [{ Key: "Team", Value: "data" }];
    await s3.send(new PutBucketTaggingCommand({ Bucket: "kept-bucket", Tagging: { TagSet } }));
    assistant = await product!.start();
  }, 60_000);
  beforeEach(() => proxy.clear());
  afterEach(({ task }) => ledger.settle(task));
  afterAll(async () => {
    s3.destroy();
    await product!.close();
  });

  it("plans a difference per resource without revisions, and one call carries twenty", async () => {
    const planned = await plan(arns.slice(0, 25).map((resource_arn) => ({ resource_arn, set: { Owner: "web" } })));
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    expect(planned.data.change.facts.resources[0]).toEqual({
      resource_arn: arns[0],
      added: { Owner: "web" },
      replaced: [],
      removed: [],
    });
    expect(await tagsOf(arns[0]!)).toEqual({});
    const done = await applied(planned);
    expect(done.data.outcome, JSON.stringify(done.data)).toBe("applied");
    expect(carried().map((list) => list.length)).toEqual([20, 5]);
    expect(done.data.resources).toHaveLength(25);
    expect(await tagsOf(arns[24]!)).toEqual({ Owner: "web" });
    const history = await assistant.call("state_history", { identifier: idOf(arns[24]!) });
    expect(history.data.lineage).toHaveLength(1);
    expect(history.data.lineage[0]).toMatchObject({ tool: "tags.apply", outcome: "succeeded" });
  });

  it("has nothing to do where everything is as asked", async () => {
    const again = await plan([{ resource_arn: arns[0], set: { Owner: "web" } }]);
    expect(again.data).toMatchObject({ code: "nothing_to_change" });
  });

  it("undoes one of them, and leaves what somebody else has set since", async () => {
    await outsider.ec2.send(
      new CreateTagsCommand({ Resources: [idOf(arns[0]!)], Tags: [{ Key: "Patch", Value: "A" }] }),
    );
    const seen = await assistant.call("tags_validate", { resource_arns: [arns[0]] });
    const history = await assistant.call("state_history", { identifier: idOf(arns[0]!) });
    const back = await assistant.call("state_rollback", {
      identifier: idOf(arns[0]!),
      to: `before:${history.data.lineage[0].executionToken}`,
      intent: "it was the wrong owner",
      basedOn: seen.data.results[0].revision,
    });
    expect(back.isError, JSON.stringify(back.data)).toBe(false);
    expect((await applied(back)).data.outcome).toBe("applied");
    expect(await tagsOf(arns[0]!)).toEqual({ Patch: "A" });
  });

  it("calls what our first change found the version before it", async () => {
    const seen = await assistant.call("tags_validate", { resource_arns: [arns[1]] });
    const back = await assistant.call("state_rollback", {
      identifier: idOf(arns[1]!),
      to: "previous",
      intent: "undo it",
      basedOn: seen.data.results[0].revision,
    });
    expect(back.isError, JSON.stringify(back.data)).toBe(false);
    expect((await applied(back)).data.outcome).toBe("applied");
    expect(await tagsOf(arns[1]!)).toEqual({});
  });

  it("wants the revision of what it replaces or removes, and refuses one that is outdated", async () => {
    const change = [{ resource_arn: arns[2], set: { Owner: "ops" }, remove: ["Gone"] }];
    expect((await plan(change)).data).toMatchObject({ code: "precondition_required", field: "basedOn" });
    const seen = await assistant.call("tags_validate", { resource_arns: [arns[2]] });
    const tag = { Resources: [idOf(arns[2]!)], Tags: [{ Key: "Owner", Value: "finance" }] };
    await outsider.ec2.send(new CreateTagsCommand(tag));
    const stale = await plan(change, { basedOn: seen.data.results[0].revision });
    expect(stale.data).toMatchObject({ code: "stale_revision", changed: [{ path: "/tags/Owner", now: "finance" }] });
    const fresh = await assistant.call("tags_validate", { resource_arns: [arns[2]] });
    const planned = await plan(change, { basedOn: [fresh.data.results[0].revision] });
    expect(planned.data.change.facts.resources[0].replaced).toEqual([{ key: "Owner", from: "finance", to: "ops" }]);
    expect((await applied(planned)).data.outcome).toBe("applied");
    expect(await tagsOf(arns[2]!)).toEqual({ Owner: "ops" });
  });

  it("makes room first where a resource bears as many tags as AWS allows, there and back", async () => {
    const more = Object.fromEntries(Array.from({ length: 49 }, (_, n) => [`k${n}`, "v"]));
    const full = { ...(await tagsOf(arns[3]!)), ...more };
    expect(Object.keys(full)).toHaveLength(50);
    const Tags = Object.entries(more).map(([Key, Value]) => ({ Key, Value }));
    await outsider.ec2.send(new CreateTagsCommand({ Resources: [idOf(arns[3]!)], Tags }));
    const change = [{ resource_arn: arns[3], set: { Team: "web" }, remove: ["k7"] }];
    const above = await plan([{ resource_arn: arns[3], set: { Team: "web" } }]);
    expect(above.data).toMatchObject({ code: "validation_error", message: expect.stringContaining("51 tags") });
    const seen = await assistant.call("tags_validate", { resource_arns: [arns[3]] });
    const planned = await plan(change, { basedOn: seen.data.results[0].revision });
    expect((await applied(planned)).data.outcome).toBe("applied");
    const { k7: _, ...others } = full;
    expect(await tagsOf(arns[3]!)).toEqual({ ...others, Team: "web" });
    const after = await assistant.call("tags_validate", { resource_arns: [arns[3]] });
    const history = await assistant.call("state_history", { identifier: idOf(arns[3]!) });
    const back = await assistant.call("state_rollback", {
      identifier: idOf(arns[3]!),
      to: `before:${history.data.lineage.at(-1).executionToken}`,
      intent: "k7 was needed",
      basedOn: after.data.results[0].revision,
    });
    expect(back.isError, JSON.stringify(back.data)).toBe(false);
    expect((await applied(back)).data.outcome).toBe("applied");
    expect(await tagsOf(arns[3]!)).toEqual(full);
  });

  it("refuses to overwrite a key that somebody added between plan and apply", async () => {
    const planned = await plan([{ resource_arn: arns[25], set: { Stage: "test" } }]);
    const tag = { Resources: [idOf(arns[25]!)], Tags: [{ Key: "Stage", Value: "production" }] };
    await outsider.ec2.send(new CreateTagsCommand(tag));
    expect((await applied(planned)).data).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
    expect(await tagsOf(arns[25]!)).toEqual({ Stage: "production" });
  });

  it("keeps a bucket's other tags, which S3's own call would replace", async () => {
    const planned = await plan([{ resource_arn: BUCKET, set: { Owner: "data" } }]);
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    expect((await applied(planned)).data.outcome).toBe("applied");
    const { TagSet = [] } = await s3.send(new GetBucketTaggingCommand({ Bucket: "kept-bucket" }));
    expect(Object.fromEntries(TagSet.map(({ Key, Value }) => [Key, Value]))).toEqual({ Team: "data", Owner: "data" });
  });

  it("refuses AWS's own keys, resources that are not there, and those of other regions", async () => {
    expect((await plan([{ resource_arn: arns[3], set: { "aws:x": "1" } }])).data).toMatchObject({
      code: "validation_error",
    });
    const missing = "arn:aws:ec2:eu-west-1:123456789012:volume/vol-0123456789abcdef0";
    expect((await plan([{ resource_arn: missing, set: { A: "1" } }])).data).toMatchObject({
      code: "not_found",
      resource_arns: [missing],
    });
    const away = await assistant.call("tags_apply", {
      changes: [{ resource_arn: BUCKET, set: { A: "1" } }],
      region: "us-east-1",
      intent: "elsewhere",
    });
    expect(away.data, JSON.stringify(away.data)).toMatchObject({
      code: "validation_error",
      byRegion: [{ region: "eu-west-1", resource_arns: [BUCKET] }],
    });
  });

  it("warns of what code manages", async () => {
    const Tags = [{ Key: "ManagedBy", Value: "Terraform" }];
    await outsider.ec2.send(new CreateTagsCommand({ Resources: [idOf(arns[4]!)], Tags }));
    const planned = await plan([{ resource_arn: arns[4], set: { A: "1" } }]);
    expect(planned.data.change.warnings.join()).toContain("terraform: edit the code");
  });

  it("finds by reading what a lost answer left, for each of them", async () => {
    proxy.rule({ service: "tagging", operation: "TagResources", dropReply: true });
    const planned = await plan(arns.slice(5, 10).map((resource_arn) => ({ resource_arn, set: { Lost: "no" } })));
    const done = await applied(planned);
    expect(done.data.outcome, JSON.stringify(done.data)).toBe("applied");
    expect(carried()).toHaveLength(1);
    for (const arn of arns.slice(5, 10)) expect(await tagsOf(arn)).toMatchObject({ Lost: "no" });
  });

  it("records a refusal inside an answer of 200 for the resource it is about, and the rest as done", async () => {
    const refused = arns[11]!;
    const info = {
      StatusCode: 403,
      ErrorCode: "InvalidParameterException",
      ErrorMessage: "not authorized to perform: ec2:CreateTags",
    };
    proxy.rule({
      service: "tagging",
      operation: "TagResources",
      // What AWS refused is not there either.
      after: () => outsider.ec2.send(new DeleteTagsCommand({ Resources: [idOf(refused)], Tags: [{ Key: "Half" }] })),
    });
    proxy.rule({
      service: "tagging",
      operation: "TagResources",
      rewrite: () => JSON.stringify({ FailedResourcesMap: { [refused]: info } }),
    });
    const planned = await plan(arns.slice(10, 13).map((resource_arn) => ({ resource_arn, set: { Half: "1" } })));
    const done = await applied(planned);
    expect(done.isError).toBe(true);
    expect(done.data, JSON.stringify(done.data)).toMatchObject({
      code: "access_denied",
      stepsDone: 2,
      stepsPlanned: 3,
      failures: [{ id: idOf(refused), code: "access_denied", action: "ec2:CreateTags" }],
    });
    const change = await assistant.call("changes_get", { changeId: planned.data.change.changeId });
    expect(change.data.change ?? change.data).toMatchObject({ state: "failed" });
    const good = await assistant.call("state_history", { identifier: idOf(arns[10]!) });
    expect(good.data.lineage.at(-1)).toMatchObject({ outcome: "succeeded" });
    const bad = await assistant.call("state_history", { identifier: idOf(refused) });
    expect(bad.data.lineage.at(-1)).toMatchObject({ outcome: "failed" });
    // Nothing is held any more.
    const again = await plan([{ resource_arn: refused, set: { Half: "1" } }]);
    expect((await applied(again)).data.outcome).toBe("applied");
  });
});
