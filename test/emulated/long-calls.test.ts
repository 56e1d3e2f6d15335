// Calls that take long, on moto: a tag scan that a client cannot wait for, a read that AWS does not answer, a write that it answers late.

import { CreateSecurityGroupCommand, CreateVolumeCommand, EC2Client } from "@aws-sdk/client-ec2";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Assistant } from "../harness.js";
import { type Product, startProduct } from "./product.js";
import { gate } from "./rules.js";

const product = await startProduct("long calls on moto", import.meta.url);
const REGIONS = ["eu-west-1", "us-east-1"];
afterAll(() => product?.close());

describe.skipIf(!product)("a long tag scan on moto", () => {
  const { proxy, ledger, calls, moto } = (product ?? {}) as Product;
  let assistant: Assistant;
  const CHECK = { resource_types: ["ec2:volume"], force_refresh: true };
  const operation = (verb: string, args: object, onProgress?: (message: string) => void) =>
    assistant.call("tools_run", { tool: `operations_${verb}`, arguments: args }, onProgress);
  const SLOW = {
    service: "ec2",
    operation: "DescribeVolumes",
    where: ({ region }: { region: string }) => region === "us-east-1",
  };
  /** One region whose volumes are listed only once it is let go. */
  function slowRegion() {
    const hold = gate();
    proxy.rule({ ...SLOW, hold: hold.closed, times: Number.POSITIVE_INFINITY });
    return hold;
  }

  beforeAll(async () => {
    await moto.reset();
    for (const region of REGIONS) {
      const credentials = { accessKeyId: "AKIAEMULATED", secretAccessKey: "emulated" };
      const client = new EC2Client({ endpoint: moto.endpoint, region, credentials });
      for (let n = 0; n < 3; n++)
        await client.send(new CreateVolumeCommand({ AvailabilityZone: `${region}a`, Size: 1 }));
      client.destroy();
    }
    assistant = await product!.start({
      args: ["--wait-seconds", "1"],
      fetches: false,
      env: { ALLOWED_REGIONS: REGIONS.join(","), TOOL_EXECUTION_TIMEOUT_SECONDS: "5" },
    });
  });
  beforeEach(() => proxy.clear());
  afterEach(({ task }) => ledger.settle(task));

  it("hands back an operation, tells how far it is, and answers the whole scan in the end", async () => {
    const hold = slowRegion();
    const handed = await assistant.call("tags_check", CHECK);
    expect(handed.isError).toBe(false);
    expect(handed.data).toMatchObject({
      inProgress: true,
      operationId: expect.stringMatching(/^run_/),
      progress: { message: "scanning tags", total: 2 },
      account: "123456789012",
    });
    expect(handed.data.compliance_score).toBeUndefined();
    const { operationId } = handed.data;
    const heard: string[] = [];
    const waiting = operation("get", { operationId, waitSeconds: 20 }, (message) => {
      heard.push(message);
      hold.open();
    });
    const done = await waiting;
    expect(done.data, JSON.stringify(done.data)).toMatchObject({
      state: "complete",
      tool: "tags.check",
      of: { account: "123456789012" },
      result: { total_resources: 6, source: "live", data_quality: { status: "complete" } },
    });
    expect(heard).toContain("scanning tags");
    // Whole, so it is what the next call is answered from.
    const again = await assistant.call("tags_check", { resource_types: ["ec2:volume"] });
    expect(again.data).toMatchObject({ source: "cache", total_resources: 6 });
  });

  it("is cancelled: AWS is asked nothing more, and nothing of it is kept as a result", async () => {
    const hold = slowRegion();
    const end = "</DescribeVolumesResponse>";
    proxy.rule({ ...SLOW, rewrite: (page) => page.replace(end, `<nextToken>more</nextToken>${end}`) });
    const { operationId } = (await assistant.call("tags_check", CHECK)).data;
    await proxy.arrived(SLOW);
    const cancelled = await operation("cancel", { operationId });
    expect(cancelled.data).toMatchObject({ state: "cancelled" });
    hold.open();
    // What was under way when it was cancelled is answered, with more to come; nothing follows it.
    await expect.poll(() => proxy.calls(SLOW), { timeout: 30_000 }).toHaveLength(1);
    const got = await operation("get", { operationId });
    expect(got.data).toMatchObject({ state: "cancelled", error: { code: "call_cancelled" } });
    expect(got.data.result).toBeUndefined();
    const asked = calls("ec2", "DescribeVolumes").map(({ region }) => region);
    expect(asked.sort()).toEqual(REGIONS);
  });

  it("that never ends is given up after the time a call may take", async () => {
    const hold = slowRegion();
    const { operationId } = (await assistant.call("tags_check", CHECK)).data;
    const got = await operation("get", { operationId, waitSeconds: 20 });
    hold.open();
    expect(got.data).toMatchObject({ state: "failed", error: { code: "timed_out", seconds: 5 } });
  });
});

describe.skipIf(!product)("AWS that answers late, on moto", () => {
  const { proxy, ledger, calls, outsider } = (product ?? {}) as Product;
  afterEach(({ task }) => ledger.settle(task));

  it("is not waited for longer than a read may take, and always for what changes something", async () => {
    proxy.clear();
    const assistant = await product!.start({ env: { AWS_API_TIMEOUT_SECONDS: "1" } });
    const { GroupId: groupId } = await outsider.ec2.send(
      new CreateSecurityGroupCommand({ GroupName: "late", Description: "late" }),
    );
    const planned = await assistant.call("securityGroups_addRule", {
      groupId,
      rule: { protocol: "tcp", fromPort: 8443, peer: "10.0.0.0/8" },
      intent: "office",
    });
    const late = gate();
    const write = { service: "ec2", operation: "AuthorizeSecurityGroupIngress" };
    const isCall = ({ params }: { params: Readonly<Record<string, unknown>> }) => String(params.DryRun) !== "true";
    proxy.rule({ ...write, where: isCall, hold: late.closed });
    const applied = assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    await proxy.arrived({ ...write, where: isCall });

    const never = gate();
    proxy.rule({ service: "ec2", operation: "DescribeInstances", hold: never.closed, times: Number.POSITIVE_INFINITY });
    const read = await assistant.call("instances_list");
    expect(read.data).toMatchObject({ code: "aws_unavailable", retriable: true, nothingWasChanged: true });
    // Longer than a read may take, several times over.
    late.open();
    expect((await applied).data).toMatchObject({ outcome: "applied" });
    expect(calls(write.service, write.operation).filter(isCall)).toHaveLength(1);
    never.open();
    await assistant.close();
  });
});
