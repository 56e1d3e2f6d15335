// Cloud Control through the real SDK client, on the scripted server of test/cloud-control: what that says about AWS is
// ours and not independently verified.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { createAws } from "../../src/aws/index.js";
import type { ChangeStep } from "../../src/core/change.js";
import type { Aws, AwsReader, AwsWriter, Progress } from "../../src/core/ports.js";
import { type CloudControl, startCloudControl } from "../cloud-control/server.js";
import { emulatedEnvironment } from "../emulated/clients.js";
import { codeOf, log, op, step } from "./support.js";

const REGION = "eu-west-1";
const TYPE = "AWS::Logs::LogGroup";
const clock = { now: () => new Date(), sleep: () => Promise.resolve(), monotonic: () => 0 };

const create = (name: string) =>
  step(
    "cloudcontrol",
    "CreateResource",
    { TypeName: TYPE, DesiredState: { LogGroupName: name } },
    { type: TYPE, kind: "create" },
  );
const update = (name: string, patch: object[]) =>
  step(
    "cloudcontrol",
    "UpdateResource",
    { TypeName: TYPE, Identifier: name, PatchDocument: patch as never },
    { type: TYPE, id: name },
  );
const remove = (name: string) =>
  step(
    "cloudcontrol",
    "DeleteResource",
    { TypeName: TYPE, Identifier: name },
    { type: TYPE, id: name, kind: "delete" },
  );

describe("Cloud Control over the wire", () => {
  let server: CloudControl;
  let sts: Server;
  let aws: Aws;
  let reader: AwsReader;
  let writer: AwsWriter;

  beforeAll(async () => {
    server = await startCloudControl({ region: REGION });
    sts = createServer((_, response) =>
      response.end(
        "<R><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/me</Arn><Account>123456789012</Account></GetCallerIdentityResult></R>",
      ),
    );
    await new Promise<void>((resolve) => sts.listen(0, "127.0.0.1", resolve));
    const env = {
      ...emulatedEnvironment(server.endpoint, REGION),
      AWS_ENDPOINT_URL_STS: `http://127.0.0.1:${(sts.address() as AddressInfo).port}`,
    };
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    aws = createAws({ env: process.env, version: "0.0.0", clock, log });
    reader = await aws.reader(REGION);
    writer = aws.writer(REGION);
  });
  beforeEach(() => server.reset());
  afterAll(async () => {
    aws.close();
    sts.closeAllConnections();
    sts.close();
    await server.stop();
    vi.unstubAllEnvs();
  });

  async function finished(change: ChangeStep, id: string): Promise<Progress> {
    const { requestToken = "" } = await writer.send(change, op(id));
    for (let polls = 0; polls < 20; polls++) {
      const progress = await writer.poll(change, requestToken);
      if (progress.status !== "pending") return progress;
    }
    throw new Error("the request did not end");
  }

  it("makes, reads, lists, patches and deletes", async () => {
    expect(await finished(create("a"), "op-1")).toMatchObject({ status: "succeeded", identifier: "a" });
    expect(await reader.resource(TYPE, "a")).toMatchObject({ LogGroupName: "a" });
    expect((await reader.resources(TYPE, undefined)).items.map(({ id }) => id)).toEqual(["a"]);
    const patched = await finished(update("a", [{ op: "add", path: "/RetentionInDays", value: 7 }]), "op-2");
    expect(patched.status).toBe("succeeded");
    expect(await reader.resource(TYPE, "a")).toMatchObject({ RetentionInDays: 7 });
    expect((await finished(remove("a"), "op-3")).status).toBe("succeeded");
    expect(await reader.resource(TYPE, "a")).toBeNull();
  });

  it("a failing test changes nothing and is a refusal, whichever way it is told", async () => {
    await finished(create("a"), "op-1");
    const change = update("a", [
      { op: "test", path: "/LogGroupName", value: "b" },
      { op: "add", path: "/RetentionInDays", value: 7 },
    ]);
    const told = await finished(change, "op-2").then(
      ({ code }) => code,
      (error: { code: string }) => error.code,
    );
    expect(told).toBe("aws_rejected");
    expect(await reader.resource(TYPE, "a")).not.toHaveProperty("RetentionInDays");
  });

  it("the same token is the same request", async () => {
    const first = await writer.send(create("a"), op("op-1"));
    const again = await writer.send(create("a"), op("op-1"));
    expect(again.requestToken).toBe(first.requestToken);
    expect(await codeOf(writer.send(create("b"), op("op-1")))).toBe("outcome_unknown");
  });

  it("an answer lost is unknown; the identical call under the same token gets the same request: one resource", async () => {
    server.rule({ operation: "CreateResource", loseReply: true });
    expect(await codeOf(writer.send(create("a"), op("op-1")))).toBe("outcome_unknown");
    const sent = await writer.send(create("a"), op("op-1"));
    server.settle();
    expect((await writer.poll(create("a"), sent.requestToken!)).status).toBe("succeeded");
    const tokens = server.calls
      .filter(({ operation }) => operation === "CreateResource")
      .map(({ params }) => params.ClientToken);
    expect(tokens).toEqual(["token-of-op-1", "token-of-op-1"]);
  });

  it.each([
    ["NotStabilized", "outcome_unknown"],
    ["ServiceTimeout", "outcome_unknown"],
    ["AccessDenied", "access_denied"],
    ["NotUpdatable", "replacement_needed"],
    ["Throttling", "throttled"],
  ] as const)("a request that ends FAILED with %s is %s", async (errorCode, code) => {
    server.rule({ operation: "CreateResource", errorCode });
    expect(await finished(create("a"), "op-1")).toMatchObject({ status: "failed", awsCode: errorCode, code });
  });

  it("a create that fails with an identifier is said to have left something", async () => {
    server.rule({ operation: "CreateResource", errorCode: "AccessDenied", withIdentifier: true, remnant: true });
    expect(await finished(create("a"), "op-1")).toMatchObject({
      status: "failed",
      code: "aws_failed",
      identifier: "a",
    });
  });

  it("RetryAfter and a hook's message come through", async () => {
    server.rule({ operation: "CreateResource", retryAfterSeconds: 5, polls: 2 });
    const { requestToken = "" } = await writer.send(create("a"), op("op-1"));
    const pending = await writer.poll(create("a"), requestToken);
    expect(pending.status).toBe("pending");
    expect(pending.retryAfterMs).toBeGreaterThan(1_000);
    server.rule({
      operation: "CreateResource",
      hook: { name: "h", status: "HOOK_COMPLETE_FAILED", message: "not on our watch" },
    });
    expect(await finished(create("b"), "op-2")).toMatchObject({ status: "failed", message: "not on our watch" });
  });

  it.each([
    ["ResourceNotFoundException", "null"],
    ["TypeNotFoundException", "unsupported"],
    ["UnsupportedActionException", "unsupported"],
    ["GeneralServiceException", "aws_unavailable"],
    ["HandlerInternalFailureException", "aws_unavailable"],
  ] as const)("a read that fails with %s is %s", async (fail, code) => {
    server.rule({ operation: "GetResource", fail, times: null });
    const told = await reader.resource(TYPE, "a").then(
      (found) => JSON.stringify(found),
      (error: { code: string }) => error.code,
    );
    expect(told).toBe(code);
  });

  it("an unknown handle is not found, and a lost poll says nothing about the request", async () => {
    expect(await codeOf(writer.poll(create("a"), "00000000-0000-4000-8000-000000000000"))).toBe("not_found");
    server.rule({ operation: "GetResourceRequestStatus", loseRequest: true, times: null });
    expect(await codeOf(writer.poll(create("a"), "00000000-0000-4000-8000-000000000000"))).toBe("aws_unavailable");
  });
});
