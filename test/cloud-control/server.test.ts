// The scripted Cloud Control through the real SDK client: every behaviour that cloud-control.md asks the product to survive.
import {
  CancelResourceRequestCommand,
  CloudControlClient,
  CreateResourceCommand,
  DeleteResourceCommand,
  GetResourceCommand,
  GetResourceRequestStatusCommand,
  ListResourceRequestsCommand,
  ListResourcesCommand,
  UpdateResourceCommand,
} from "@aws-sdk/client-cloudcontrol";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { exceptions, handlerErrorCodes } from "./errors.js";
import type { PatchOperation, Properties } from "./json.js";
import { type CloudControl, startCloudControl } from "./server.js";

const start = Date.parse("2026-11-21T12:00:00Z");
const day = 86_400_000;
const parameter = "AWS::SSM::Parameter";
const group = "AWS::EC2::SecurityGroup";

let server: CloudControl;
let client: CloudControlClient;

const connect = (settings: { region?: string; accessKeyId?: string; maxAttempts?: number } = {}) => {
  const { region = "eu-west-1", accessKeyId = "AKIATEST", maxAttempts = 1 } = settings;
  const credentials = { accessKeyId, secretAccessKey: "test" };
  return new CloudControlClient({ endpoint: server.endpoint, region, credentials, maxAttempts });
};

beforeAll(async () => {
  server = await startCloudControl({ now: () => start, accounts: { AKIAOTHER: "210987654321" } });
  client = connect();
});
beforeEach(() => server.reset());
afterAll(async () => {
  client.destroy();
  await server.stop();
});

const create = (TypeName: string, desired: Properties, ClientToken?: string) =>
  client.send(new CreateResourceCommand({ TypeName, DesiredState: JSON.stringify(desired), ClientToken }));
const update = (TypeName: string, Identifier: string, patch: PatchOperation[], ClientToken?: string) =>
  client.send(new UpdateResourceCommand({ TypeName, Identifier, PatchDocument: JSON.stringify(patch), ClientToken }));
const remove = (TypeName: string, Identifier: string) =>
  client.send(new DeleteResourceCommand({ TypeName, Identifier }));
const status = async (RequestToken: string | undefined) =>
  (await client.send(new GetResourceRequestStatusCommand({ RequestToken }))).ProgressEvent!;
const read = async (TypeName: string, Identifier: string) => {
  const { ResourceDescription } = await client.send(new GetResourceCommand({ TypeName, Identifier }));
  return JSON.parse(ResourceDescription!.Properties!) as Properties;
};
const made = async (TypeName: string, desired: Properties) => {
  const { ProgressEvent } = await create(TypeName, desired);
  server.settle();
  return (await status(ProgressEvent!.RequestToken)).Identifier!;
};
const aParameter = { Name: "/app/key", Type: "String", Value: "one" };

describe("a request takes its time", () => {
  test("in progress, then success after n status calls; the resource is there only then", async () => {
    server.rule({ operation: "CreateResource", polls: 3, pending: 1, retryAfterSeconds: 2 });
    const { ProgressEvent: first } = await create(parameter, aParameter);
    expect(first).toMatchObject({ TypeName: parameter, Operation: "CREATE", OperationStatus: "PENDING" });
    expect(first?.EventTime).toEqual(new Date(start));
    expect(first?.RetryAfter).toEqual(new Date(start + 2000));
    const states = [];
    for (let n = 0; n < 3; n++) {
      states.push((await status(first?.RequestToken)).OperationStatus);
      expect(server.world.get(parameter, "/app/key") !== undefined).toBe(n === 2);
    }
    expect(states).toEqual(["IN_PROGRESS", "IN_PROGRESS", "SUCCESS"]);
    const last = await status(first?.RequestToken);
    expect(last).toMatchObject({ Identifier: "/app/key", ResourceModel: '{"Name":"/app/key"}' });
    expect(last.RetryAfter).toBeUndefined();
  });

  test("a generated identifier is told only at the end, unless the service tells it early", async () => {
    const { ProgressEvent: late } = await create(group, { GroupDescription: "web" });
    expect(late?.Identifier).toBeUndefined();
    expect((await status(late?.RequestToken)).Identifier).toMatch(/^sg-[0-9a-f]{17}$/);
    server.rule({ operation: "CreateResource", earlyIdentifier: true });
    const { ProgressEvent: early } = await create(group, { GroupDescription: "db" });
    expect(early?.Identifier).toMatch(/^sg-/);
  });

  test("it can end in the first answer", async () => {
    server.rule({ polls: 0 });
    expect((await create(parameter, aParameter)).ProgressEvent?.OperationStatus).toBe("SUCCESS");
  });

  test("update and delete", async () => {
    await made(parameter, aParameter);
    const changed = await update(parameter, "/app/key", [{ op: "replace", path: "/Value", value: "two" }]);
    expect((await status(changed.ProgressEvent?.RequestToken)).OperationStatus).toBe("SUCCESS");
    expect((await read(parameter, "/app/key")).Value).toBe("two");
    const gone = await remove(parameter, "/app/key");
    expect((await status(gone.ProgressEvent?.RequestToken)).OperationStatus).toBe("SUCCESS");
    await expect(read(parameter, "/app/key")).rejects.toMatchObject({ name: "ResourceNotFoundException" });
  });

  test("a second operation on the same resource is refused while the first runs", async () => {
    await made(parameter, aParameter);
    const { ProgressEvent } = await update(parameter, "/app/key", [{ op: "add", path: "/Value", value: "two" }]);
    await expect(remove(parameter, "/app/key")).rejects.toMatchObject({ name: "ConcurrentOperationException" });
    await status(ProgressEvent?.RequestToken);
    await remove(parameter, "/app/key");
  });

  test("delete and update of what an outsider removed meanwhile fail with NotFound", async () => {
    await made(parameter, aParameter);
    const { ProgressEvent } = await update(parameter, "/app/key", [{ op: "add", path: "/Value", value: "two" }]);
    server.world.remove(parameter, "/app/key");
    expect(await status(ProgressEvent?.RequestToken)).toMatchObject({
      OperationStatus: "FAILED",
      ErrorCode: "NotFound",
    });
    const again = await remove(parameter, "/app/key");
    expect(await status(again.ProgressEvent?.RequestToken)).toMatchObject({
      ErrorCode: "NotFound",
      Identifier: "/app/key",
    });
  });
});

describe("what is read is not what was written", () => {
  test("write-only values are stripped, defaults and read-only values appear", async () => {
    await made(parameter, { ...aParameter, Description: "secret remark", Tier: "Advanced" });
    expect(await read(parameter, "/app/key")).toEqual({ ...aParameter, DataType: "text" });
    expect(server.world.get(parameter, "/app/key")).toMatchObject({ Description: "secret remark" });
  });

  test("arrays come back in the service's order, the same at every read", async () => {
    const ports = [22, 80, 443, 8080];
    const rules = ports.map((port) => ({ CidrIp: "10.0.0.0/8", FromPort: port, IpProtocol: "tcp", ToPort: port }));
    const id = await made(group, { GroupDescription: "web", SecurityGroupIngress: rules });
    const { SecurityGroupIngress: seen, SecurityGroupEgress: egress } = await read(group, id);
    expect(seen).not.toEqual(rules);
    expect(seen).toHaveLength(4);
    expect(new Set(seen as object[])).toEqual(new Set(rules));
    expect((await read(group, id)).SecurityGroupIngress).toEqual(seen);
    expect(egress).toMatchObject([{ CidrIp: "0.0.0.0/0" }]);
  });

  test("nested write-only values too", async () => {
    const Rules = [{ Id: "old", Status: "Enabled", Transition: { StorageClass: "GLACIER", TransitionInDays: 30 } }];
    await made("AWS::S3::Bucket", { BucketName: "logs", LifecycleConfiguration: { Rules } });
    const { LifecycleConfiguration, Arn } = await read("AWS::S3::Bucket", "logs");
    expect(LifecycleConfiguration).toEqual({ Rules: [{ Id: "old", Status: "Enabled" }] });
    expect(Arn).toBe("arn:aws:s3:::logs");
  });

  test("identifiers are compound where the type's are", async () => {
    const id = await made("AWS::ECS::Service", { ServiceName: "web", Cluster: "prod", TaskDefinition: "web:1" });
    expect(id).toBe("arn:aws:ecs:eu-west-1:123456789012:service/prod/web|prod");
    expect(await read("AWS::ECS::Service", id)).toMatchObject({
      DesiredCount: 1,
      Name: "web",
      TaskDefinition: "web:1",
    });
  });

  test.each([
    ["AWS::Logs::LogGroup", { LogGroupName: "/app" }, "/app", { LogGroupClass: "STANDARD" }],
    [
      "AWS::IAM::Role",
      { RoleName: "runner", AssumeRolePolicyDocument: {} },
      "runner",
      { Path: "/", MaxSessionDuration: 3600 },
    ],
  ])("%s is known", async (type, desired, id, defaults) => {
    expect(await made(type, desired)).toBe(id);
    expect(await read(type, id)).toMatchObject(defaults);
  });

  test("after a create the first n reads say not found", async () => {
    server.rule({ operation: "CreateResource", notFoundReads: 2 });
    await made(parameter, aParameter);
    for (let n = 0; n < 2; n++)
      await expect(read(parameter, "/app/key")).rejects.toMatchObject({ name: "ResourceNotFoundException" });
    expect(await read(parameter, "/app/key")).toMatchObject(aParameter);
  });
});

describe("patches", () => {
  test("a failing test fails the whole request with nothing changed", async () => {
    await made(parameter, aParameter);
    const patch = [
      { op: "replace", path: "/Value", value: "three" },
      { op: "test", path: "/Type", value: "StringList" },
    ];
    const failing = update(parameter, "/app/key", patch);
    await expect(failing).rejects.toMatchObject({
      name: "ValidationException",
      message: "[TEST Operation] value mismatch",
    });
    expect((await read(parameter, "/app/key")).Value).toBe("one");
    await expect(client.send(new ListResourceRequestsCommand({}))).resolves.toMatchObject({
      ResourceRequestStatusSummaries: [{ Operation: "CREATE" }],
    });
  });

  test("a write-only value is invisible to a patch, and vanishes unless it is added again", async () => {
    await made(parameter, { ...aParameter, Description: "remark" });
    const blind = update(parameter, "/app/key", [{ op: "replace", path: "/Description", value: "new" }]);
    await expect(blind).rejects.toMatchObject({
      message: "[REPLACE Operation] noSuchPath in source, path provided : //Description",
    });
    await update(parameter, "/app/key", [{ op: "add", path: "/Value", value: "two" }]);
    server.settle();
    expect(server.world.get(parameter, "/app/key")).not.toHaveProperty("Description");
    await update(parameter, "/app/key", [{ op: "add", path: "/Description", value: "kept" }]);
    server.settle();
    expect(server.world.get(parameter, "/app/key")).toMatchObject({ Description: "kept", Value: "two" });
  });

  test("an index means the order of the read, not that of the write", async () => {
    const Tags = ["a", "b", "c", "d"].map((Key) => ({ Key, Value: "1" }));
    const id = await made(group, { GroupDescription: "web", Tags });
    const seen = (await read(group, id)).Tags as { Key: string }[];
    await update(group, id, [{ op: "remove", path: "/Tags/0" }]);
    server.settle();
    const left = (await read(group, id)).Tags as { Key: string }[];
    expect(left.map(({ Key }) => Key)).toEqual(seen.slice(1).map(({ Key }) => Key));
  });

  test.each<[string, PatchOperation[], string, RegExp]>([
    [
      "create-only",
      [{ op: "add", path: "/GroupName", value: "other" }],
      "NotUpdatableException",
      /createOnlyProperties \[\/properties\/GroupName\]/,
    ],
    ["read-only", [{ op: "add", path: "/GroupId", value: "sg-1" }], "NotUpdatableException", /readOnlyProperties/],
    [
      "a removed required value",
      [{ op: "remove", path: "/GroupDescription" }],
      "NotUpdatableException",
      /GroupDescription/,
    ],
    [
      "an unknown property",
      [{ op: "add", path: "/Colour", value: "red" }],
      "ValidationException",
      /extraneous key \[Colour\]/,
    ],
    ["no operation", [], "ValidationException", /at least one/],
  ])("refuses %s", async (_, patch, name, message) => {
    const id = await made(group, { GroupDescription: "web", GroupName: "web" });
    await expect(update(group, id, patch)).rejects.toMatchObject({ name, message: expect.stringMatching(message) });
  });

  test("what a patch leaves must be valid: a removed required value is missing", async () => {
    await made(parameter, aParameter);
    await expect(update(parameter, "/app/key", [{ op: "remove", path: "/Value" }])).rejects.toMatchObject({
      name: "ValidationException",
      message: "Model validation failed (#: required key [Value] not found)",
    });
  });

  test("a create needs what is required, and no read-only or unknown value", async () => {
    const name = "ValidationException";
    await expect(create(parameter, { Name: "x", Type: "String" })).rejects.toMatchObject({
      name,
      message: expect.stringMatching(/required key \[Value\]/),
    });
    await expect(create(group, { GroupDescription: "d", Id: "sg-1" })).rejects.toMatchObject({
      name,
      message: expect.stringMatching(/readOnlyProperties/),
    });
    await expect(create(group, { GroupDescription: "d", Nope: 1 })).rejects.toMatchObject({
      name,
      message: expect.stringMatching(/extraneous/),
    });
    const broken = client.send(new CreateResourceCommand({ TypeName: group, DesiredState: "{" }));
    await expect(broken).rejects.toMatchObject({ name: "InvalidRequestException" });
    await expect(create("AWS::No::Such", {})).rejects.toMatchObject({ name: "TypeNotFoundException" });
  });
});

describe("one request, once", () => {
  test("the same ClientToken with the same parameters is the same request", async () => {
    const first = await create(parameter, aParameter, "token");
    await status(first.ProgressEvent?.RequestToken);
    const second = await create(parameter, aParameter, "token");
    expect(second.ProgressEvent).toMatchObject({
      RequestToken: first.ProgressEvent?.RequestToken,
      OperationStatus: "SUCCESS",
    });
    const { ResourceRequestStatusSummaries } = await client.send(new ListResourceRequestsCommand({}));
    expect(ResourceRequestStatusSummaries).toHaveLength(1);
  });

  test("with other parameters it is a conflict, and after 36 hours it is forgotten", async () => {
    await create(parameter, aParameter, "token");
    const other = () => create(parameter, { ...aParameter, Name: "/other" }, "token");
    await expect(other()).rejects.toMatchObject({ name: "ClientTokenConflictException" });
    server.clock.advance(1.5 * day + 1);
    expect((await other()).ProgressEvent?.OperationStatus).toBe("IN_PROGRESS");
  });

  test("a create of what exists ends with AlreadyExists and no Identifier", async () => {
    await made(parameter, aParameter);
    const { ProgressEvent } = await create(parameter, aParameter);
    const end = await status(ProgressEvent?.RequestToken);
    expect(end).toMatchObject({ OperationStatus: "FAILED", ErrorCode: "AlreadyExists" });
    expect(end.Identifier).toBeUndefined();
  });

  test("a reply lost after success: the SDK's retry finds the request, and there is one resource", async () => {
    server.rule({ operation: "CreateResource", loseReply: true });
    const patient = connect({ maxAttempts: 2 });
    const { ProgressEvent } = await patient.send(
      new CreateResourceCommand({ TypeName: group, DesiredState: '{"GroupDescription":"web"}' }),
    );
    patient.destroy();
    await status(ProgressEvent?.RequestToken);
    expect(server.world.identifiers(group)).toHaveLength(1);
    const [lost, found] = server.calls;
    expect([lost?.error, found?.error]).toEqual(["replyLost", undefined]);
    expect(lost?.params.ClientToken).toBe(found?.params.ClientToken);
  });

  test("without a retry the caller knows nothing, and the resource is there", async () => {
    server.rule({ operation: "CreateResource", loseReply: true });
    await expect(create(parameter, aParameter, "token")).rejects.toThrow(/ECONNRESET|socket hang up/);
    server.settle();
    expect(server.world.get(parameter, "/app/key")).toBeDefined();
    server.rule({ operation: "DeleteResource", loseRequest: true });
    await expect(remove(parameter, "/app/key")).rejects.toThrow();
    server.settle();
    expect(server.world.get(parameter, "/app/key")).toBeDefined();
  });
});

describe("failures", () => {
  test.each(Object.entries(exceptions))(
    "%s, synchronous, with status %i, consumed once",
    async (fail, httpStatusCode) => {
      server.rule({
        operation: "CreateResource",
        type: parameter,
        fail: fail as keyof typeof exceptions,
        message: "because",
      });
      await expect(create(parameter, aParameter)).rejects.toMatchObject({
        name: fail,
        message: "because",
        $metadata: { httpStatusCode },
      });
      expect((await create(parameter, aParameter)).ProgressEvent?.OperationStatus).toBe("IN_PROGRESS");
      expect(server.calls.map(({ error }) => error)).toEqual([fail, undefined]);
    },
  );

  test.each(handlerErrorCodes)("%s, asynchronous", async (errorCode) => {
    server.rule({ operation: "CreateResource", errorCode, message: "because" });
    const { ProgressEvent } = await create(parameter, aParameter);
    expect(await status(ProgressEvent?.RequestToken)).toMatchObject({ ErrorCode: errorCode, StatusMessage: "because" });
    expect(server.world.get(parameter, "/app/key")).toBeUndefined();
  });

  test("throttling in both places: the SDK retries the first only", async () => {
    server.rule(
      { operation: "CreateResource", fail: "ThrottlingException" },
      { operation: "CreateResource", errorCode: "Throttling" },
    );
    const patient = connect({ maxAttempts: 2 });
    const { ProgressEvent, $metadata } = await patient.send(
      new CreateResourceCommand({ TypeName: parameter, DesiredState: JSON.stringify(aParameter) }),
    );
    patient.destroy();
    expect($metadata.attempts).toBe(2);
    expect(await status(ProgressEvent?.RequestToken)).toMatchObject({
      OperationStatus: "FAILED",
      ErrorCode: "Throttling",
    });
    expect(server.rules.unused).toEqual([]);
  });

  test("FAILED with an Identifier leaves a remnant", async () => {
    server.rule({ operation: "CreateResource", errorCode: "NotStabilized", withIdentifier: true, remnant: true });
    const { ProgressEvent } = await create(group, { GroupDescription: "web" });
    const end = await status(ProgressEvent?.RequestToken);
    expect(end).toMatchObject({ OperationStatus: "FAILED", ErrorCode: "NotStabilized" });
    expect(await read(group, end.Identifier!)).toMatchObject({ GroupDescription: "web" });
  });

  test("a failed hook stops the request and says why; a warning does not", async () => {
    const hook = { name: "Acme::No::PublicPorts", status: "HOOK_COMPLETE_FAILED", message: "port 22 is open" } as const;
    server.rule({ operation: "CreateResource", hook });
    const { ProgressEvent: stopped } = await create(parameter, aParameter);
    const reply = await client.send(new GetResourceRequestStatusCommand({ RequestToken: stopped?.RequestToken }));
    expect(reply.ProgressEvent).toMatchObject({
      OperationStatus: "FAILED",
      StatusMessage: expect.stringContaining(hook.name),
    });
    expect(reply.ProgressEvent?.HooksRequestToken).toBeDefined();
    expect(reply.HooksProgressEvent).toMatchObject([
      {
        HookTypeName: hook.name,
        HookStatus: "HOOK_COMPLETE_FAILED",
        HookStatusMessage: "port 22 is open",
        HookEventTime: new Date(start),
      },
    ]);
    server.rule({ operation: "CreateResource", hook: { ...hook, failureMode: "WARN" } });
    const { ProgressEvent: warned } = await create(parameter, aParameter);
    expect((await status(warned?.RequestToken)).OperationStatus).toBe("SUCCESS");
  });
});

describe("lists", () => {
  test("pages of 25 whatever MaxResults says", async () => {
    for (let n = 0; n < 60; n++)
      server.world.put(parameter, `/p/${String(n).padStart(2, "0")}`, { Type: "String", Value: "x" });
    const sizes = [];
    let NextToken: string | undefined;
    do {
      const page = await client.send(new ListResourcesCommand({ TypeName: parameter, MaxResults: 5, NextToken }));
      sizes.push(page.ResourceDescriptions?.length);
      NextToken = page.NextToken;
    } while (NextToken);
    expect(sizes).toEqual([25, 25, 10]);
  });

  test("identifiers and little else; some types need their parent", async () => {
    const listener = "AWS::ElasticLoadBalancingV2::Listener";
    const balancer = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/web/1";
    const id = await made(listener, { LoadBalancerArn: balancer, DefaultActions: [], Port: 80 });
    await expect(client.send(new ListResourcesCommand({ TypeName: listener }))).rejects.toMatchObject({
      name: "InvalidRequestException",
      message: expect.stringMatching(/Required property: \[LoadBalancerArn\]/),
    });
    const of = (LoadBalancerArn: string) =>
      client.send(new ListResourcesCommand({ TypeName: listener, ResourceModel: JSON.stringify({ LoadBalancerArn }) }));
    expect((await of(balancer)).ResourceDescriptions).toEqual([
      { Identifier: id, Properties: JSON.stringify({ ListenerArn: id }) },
    ]);
    expect((await of("other")).ResourceDescriptions).toEqual([]);
  });

  test("requests: 20 a page, newest first, filtered", async () => {
    for (let n = 0; n < 25; n++) await create(parameter, { ...aParameter, Name: `/p/${n}` });
    const first = await client.send(new ListResourceRequestsCommand({}));
    expect(first.ResourceRequestStatusSummaries).toHaveLength(20);
    expect(first.ResourceRequestStatusSummaries?.[0]?.Identifier).toBe("/p/24");
    const rest = await client.send(new ListResourceRequestsCommand({ NextToken: first.NextToken }));
    expect(rest.ResourceRequestStatusSummaries).toHaveLength(5);
    const filtered = await client.send(
      new ListResourceRequestsCommand({ ResourceRequestStatusFilter: { Operations: ["DELETE"] }, MaxResults: 100 }),
    );
    expect(filtered.ResourceRequestStatusSummaries).toEqual([]);
  });
});

describe("tracking", () => {
  test("a request token lives seven days, in its region and account", async () => {
    const { ProgressEvent } = await create(parameter, aParameter);
    const RequestToken = ProgressEvent?.RequestToken;
    for (const settings of [{ region: "us-east-1" }, { accessKeyId: "AKIAOTHER" }]) {
      const elsewhere = connect(settings);
      const asking = elsewhere.send(new GetResourceRequestStatusCommand({ RequestToken }));
      await expect(asking).rejects.toMatchObject({ name: "RequestTokenNotFoundException" });
      elsewhere.destroy();
    }
    server.clock.advance(7 * day);
    expect((await status(RequestToken)).OperationStatus).toBe("SUCCESS");
    server.clock.advance(1);
    await expect(status(RequestToken)).rejects.toMatchObject({ name: "RequestTokenNotFoundException" });
  });

  test("only what is open can be cancelled, and a cancelled request did nothing", async () => {
    server.rule({ operation: "CreateResource", polls: 5 });
    const { ProgressEvent } = await create(parameter, aParameter);
    const RequestToken = ProgressEvent?.RequestToken;
    const cancel = () => client.send(new CancelResourceRequestCommand({ RequestToken }));
    expect((await cancel()).ProgressEvent?.OperationStatus).toBe("CANCEL_IN_PROGRESS");
    expect((await status(RequestToken)).OperationStatus).toBe("CANCEL_COMPLETE");
    await expect(cancel()).rejects.toMatchObject({ name: "ConcurrentModificationException" });
    expect(server.world.get(parameter, "/app/key")).toBeUndefined();
  });

  test("accounts and regions are apart", async () => {
    const other = connect({ accessKeyId: "AKIAOTHER" });
    await other.send(
      new CreateResourceCommand({ TypeName: "AWS::Logs::LogGroup", DesiredState: '{"LogGroupName":"/app"}' }),
    );
    other.destroy();
    server.settle();
    await expect(read("AWS::Logs::LogGroup", "/app")).rejects.toMatchObject({ name: "ResourceNotFoundException" });
    expect(server.world.get("AWS::Logs::LogGroup", "/app", { account: "210987654321" })?.Arn).toContain(
      ":210987654321:",
    );
  });

  test("generated ids repeat after a reset", async () => {
    const id = await made(group, { GroupDescription: "web" });
    server.reset();
    expect(await made(group, { GroupDescription: "web" })).toBe(id);
  });
});

describe("from another process", () => {
  const post = async (path: string, body: object = {}) =>
    (await fetch(`${server.endpoint}/_control/${path}`, { method: "POST", body: JSON.stringify(body) })).json();
  const get = async (path: string) => (await fetch(`${server.endpoint}/_control/${path}`)).json();

  test("an outsider puts and removes, sets rules, moves time, and reads the calls", async () => {
    await post("put", { type: parameter, id: "/app/key", properties: { Type: "String", Value: "outside" } });
    expect((await read(parameter, "/app/key")).Value).toBe("outside");
    await post("rules", [{ operation: "GetResource", fail: "ThrottlingException", times: 2 }]);
    await expect(read(parameter, "/app/key")).rejects.toMatchObject({ name: "ThrottlingException" });
    expect(await get("unused")).toHaveLength(1);
    await expect(read(parameter, "/app/key")).rejects.toMatchObject({ name: "ThrottlingException" });
    await remove(parameter, "/app/key");
    await post("settle");
    expect(await get("resource?type=AWS::SSM::Parameter&id=/app/key")).toEqual({ properties: null });
    await post("advance", { milliseconds: 8 * day });
    expect((await client.send(new ListResourceRequestsCommand({}))).ResourceRequestStatusSummaries).toEqual([]);
    const calls = (await get("calls")) as { operation: string; error?: string; params: { Identifier?: string } }[];
    expect(calls.map(({ operation }) => operation)).toEqual([
      "GetResource",
      "GetResource",
      "GetResource",
      "DeleteResource",
      "ListResourceRequests",
    ]);
    expect(calls[3]?.params.Identifier).toBe("/app/key");
    expect(await post("remove", { type: parameter, id: "/app/key" })).toEqual({ removed: false });
    await post("reset");
    expect(await get("calls")).toEqual([]);
  });

  test("a mistake of ours never looks like an answer of AWS", async () => {
    expect((await fetch(`${server.endpoint}/_control/nothing`)).status).toBe(418);
  });
});
