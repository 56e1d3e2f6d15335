// The test bench itself: moto answers, the proxy injects and records, the guard refuses. A bench nobody tested proves nothing.
import { spawnSync } from "node:child_process";
import { lookup, resolve4 } from "node:dns/promises";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CreateResourceCommand, GetResourceCommand } from "@aws-sdk/client-cloudcontrol";
import {
  CreateSecurityGroupCommand,
  DescribeInstancesCommand,
  DescribeSecurityGroupsCommand,
  RunInstancesCommand,
} from "@aws-sdk/client-ec2";
import { ListClustersCommand } from "@aws-sdk/client-ecs";
import { GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startCloudControl } from "../cloud-control/server.js";
import { clientsFor } from "./clients.js";
import { egress } from "./egress-guard.mjs";
import { installMoto } from "./emulator-install.js";
import { createLedger, readFragments } from "./ledger.js";
import { motoFor, startMoto } from "./moto.js";
import { type FaultProxy, startProxy } from "./proxy.js";
import { gate } from "./rules.js";
import { startScriptedHttp } from "./scripted-http.js";
import { skipLoudly } from "./skip.js";

const moto = await motoFor("test bench on moto");

describe.skipIf(!moto)("moto behind the proxy", () => {
  let proxy: FaultProxy;
  let clients: ReturnType<typeof clientsFor>;

  beforeAll(async () => {
    proxy = await startProxy(moto!.endpoint);
    clients = clientsFor(proxy.endpoint);
  });
  beforeEach(async () => {
    proxy.clear();
    await moto!.reset();
  });
  afterAll(async () => {
    clients.close();
    await proxy.stop();
    await moto!.stop();
  });

  const launch = (ClientToken: string) =>
    clients.ec2.send(
      new RunInstancesCommand({
        ImageId: "ami-12c6146b",
        InstanceType: "t3.micro",
        MinCount: 1,
        MaxCount: 1,
        ClientToken,
      }),
    );
  const instances = async () => {
    const { Reservations = [] } = await clients.ec2.send(new DescribeInstancesCommand({}));
    return Reservations.flatMap(({ Instances = [] }) => Instances);
  };

  test("records what AWS saw, with service, region, operation and parameters", async () => {
    await launch("token-1");
    await clients.ecs.send(new ListClustersCommand({ maxResults: 5 }));
    await clients.sts.send(new GetCallerIdentityCommand({}));
    expect(
      proxy.seen.map(({ service, operation, region, protocol, status }) => [
        service,
        operation,
        region,
        protocol,
        status,
      ]),
    ).toEqual([
      ["ec2", "RunInstances", "eu-west-1", "ec2", 200],
      ["ecs", "ListClusters", "eu-west-1", "json", 200],
      ["sts", "GetCallerIdentity", "eu-west-1", "query", 200],
    ]);
    expect(proxy.seen[0]?.params).toMatchObject({ ClientToken: "token-1", MinCount: "1" });
    expect(proxy.seen[1]?.params).toEqual({ maxResults: 5 });
    expect(proxy.seen.every(({ backend, fate }) => backend === "moto" && fate === "answered")).toBe(true);
  });

  test("ids repeat after a reset", async () => {
    const make = () => clients.ec2.send(new CreateSecurityGroupCommand({ GroupName: "web", Description: "web" }));
    const first = await make();
    await moto!.reset();
    expect((await make()).GroupId).toBe(first.GroupId);
  });

  test("one throttle: the second attempt succeeds", async () => {
    proxy.rule({
      service: "ec2",
      operation: "DescribeSecurityGroups",
      answer: { status: 503, code: "RequestLimitExceeded" },
    });
    const { SecurityGroups = [], $metadata } = await clients.ec2.send(new DescribeSecurityGroupsCommand({}));
    expect(SecurityGroups.length).toBeGreaterThan(0);
    expect($metadata.attempts).toBe(2);
    expect(proxy.seen.map(({ fate, attempt }) => [fate, attempt])).toEqual([
      ["injected", 1],
      ["answered", 2],
    ]);
    expect(proxy.unused).toEqual([]);
  });

  test("a dropped reply: the retry sends the same ClientToken, and moto (unlike AWS) makes two instances", async () => {
    proxy.rule({ operation: "RunInstances", dropReply: true });
    await launch("token-2");
    const sent = proxy.calls({ operation: "RunInstances" });
    expect(sent.map(({ fate }) => fate)).toEqual(["replyDropped", "answered"]);
    expect(sent.map(({ params }) => params.ClientToken)).toEqual(["token-2", "token-2"]);
    expect(new Set(sent.map(({ invocation }) => invocation)).size).toBe(1);
    expect(await instances()).toHaveLength(2);
  });

  test("a dropped request is not applied", async () => {
    proxy.rule({ operation: "RunInstances", dropRequest: true });
    await launch("token-3");
    expect(proxy.calls({ operation: "RunInstances" }).map(({ fate }) => fate)).toEqual(["requestDropped", "answered"]);
    expect(await instances()).toHaveLength(1);
  });

  test("a status lingers for the first n describes", async () => {
    await launch("token-4");
    await instances();
    const rule = {
      operation: "DescribeInstances",
      status: { field: "instanceState/name", value: "pending" },
      times: 2,
    };
    proxy.rule(rule);
    const states = [];
    for (let n = 0; n < 3; n++) states.push((await instances())[0]?.State?.Name);
    expect(states).toEqual(["pending", "pending", "running"]);
  });

  test("a held call waits for the test; the world changes before it goes on", async () => {
    const { closed, open } = gate();
    proxy.rule({ operation: "DescribeInstances", hold: closed });
    const reading = instances();
    await proxy.arrived({ operation: "DescribeInstances" });
    await launch("somebody-else");
    open();
    expect(await reading).toHaveLength(1);
  });

  test("the world changes between two calls", async () => {
    proxy.rule({ operation: "DescribeInstances", times: 1, after: () => launch("colleague") });
    expect(await instances()).toHaveLength(0);
    expect(await instances()).toHaveLength(1);
  });

  test("a stalled answer arrives whole once released", async () => {
    const { closed, open } = gate();
    proxy.rule({ operation: "GetCallerIdentity", stall: closed });
    const asking = clients.sts.send(new GetCallerIdentityCommand({}));
    await proxy.arrived({ operation: "GetCallerIdentity" });
    open();
    expect((await asking).Account).toBe("123456789012");
  });

  test("what moto lacks is a gap: one attempt, named, and neither failure nor pass", async () => {
    const asking = clients.cloudControl.send(new GetResourceCommand({ TypeName: "AWS::S3::Bucket", Identifier: "b" }));
    await expect(asking).rejects.toMatchObject({ name: "EmulatorGap", $metadata: { attempts: 1 } });
    expect(proxy.gaps.map(({ service, operation }) => [service, operation])).toEqual([
      ["cloudcontrolapi", "GetResource"],
    ]);
  });
});

describe("what is missing", () => {
  const bare = { PATH: process.env.PATH, PYTHON: process.env.PYTHON, MOTO_ENDPOINT: process.env.MOTO_ENDPOINT };
  const required = process.env.REQUIRE_EMULATORS;
  const restore = (name: string, value: string | undefined) => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  afterEach(() => {
    for (const [name, value] of Object.entries({ ...bare, REQUIRE_EMULATORS: required })) restore(name, value);
  });

  test("without Python the answer names it and the command that installs it", async () => {
    const root = mkdtempSync(join(tmpdir(), "emulators-"));
    restore("PATH", root);
    restore("PYTHON", undefined);
    expect(await installMoto(root)).toEqual({
      unavailable: expect.stringMatching(/^Python 3\.10 or newer: apt-get install python3/),
    });
    rmSync(root, { recursive: true });
  });

  test("a skip becomes a failure when the emulators are required", () => {
    restore("REQUIRE_EMULATORS", "1");
    expect(() => skipLoudly("suite", "moto")).toThrow("SKIPPED suite: missing moto");
  });

  test("an emulator must be on this machine", async () => {
    restore("MOTO_ENDPOINT", "http://192.0.2.1:5000");
    await expect(startMoto()).rejects.toThrow("must be a loopback");
  });
});

describe("the ledger", () => {
  const dir = mkdtempSync(join(tmpdir(), "ledger-"));
  const ledger = createLedger(dir, import.meta.url);
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => rmSync(dir, { recursive: true }));

  test("hears from vitest that this test passed (1 of 2)", async () => {
    const backend = await startScriptedHttp(() => ({ status: 200, body: "{}" }));
    const proxy = await startProxy(backend.endpoint);
    const clients = clientsFor(proxy.endpoint);
    const command = new ListClustersCommand({});
    command.middlewareStack.add(
      (next, context) => {
        context.userAgent = [["call", "one"]];
        return next;
      },
      { step: "initialize" },
    );
    await clients.ecs.send(command);
    ledger.book("clusters.list", "one", proxy);
    clients.close();
    await proxy.stop();
    await backend.stop();
  });

  test("and kept it (2 of 2)", () => {
    ledger.flush();
    expect(readFragments(dir)[0]?.rows).toEqual([
      { tool: "clusters.list", service: "ecs", operation: "ListClusters", backend: "moto" },
    ]);
  });
});

describe("the proxy alone", () => {
  test("routes a service to another backend, and rewrites ISO times on the way", async () => {
    const backend = await startScriptedHttp(() => ({
      status: 200,
      body: '{"createTime":"2026-01-02T03:04:05Z","clusterArns":[]}',
    }));
    const proxy = await startProxy("http://127.0.0.1:9", { routes: { ecs: backend.endpoint } });
    const clients = clientsFor(proxy.endpoint);
    proxy.rule({ service: "ecs", isoToEpoch: true, times: Number.POSITIVE_INFINITY });
    await clients.ecs.send(new ListClustersCommand({}));
    expect(proxy.seen).toMatchObject([{ backend: "scripted", fate: "answered" }]);
    expect(proxy.unused).toEqual([]);
    expect(backend.seen[0]?.headers.host).toBe(new URL(proxy.endpoint).host);
    clients.close();
    await proxy.stop();
    await backend.stop();
  });

  test("one endpoint for everything: Cloud Control goes to the script, whose lost reply is lost here too", async () => {
    const control = await startCloudControl();
    const proxy = await startProxy("http://127.0.0.1:9", { routes: { cloudcontrolapi: control.endpoint } });
    const clients = clientsFor(proxy.endpoint);
    control.rule({ operation: "CreateResource", loseReply: true });
    const DesiredState = JSON.stringify({ Name: "/app/key", Type: "String", Value: "one" });
    await clients.cloudControl.send(new CreateResourceCommand({ TypeName: "AWS::SSM::Parameter", DesiredState }));
    const sent = proxy.calls({ service: "cloudcontrolapi", operation: "CreateResource" });
    expect(sent.map(({ backend, fate }) => [backend, fate])).toEqual([
      ["scripted", "replyDropped"],
      ["scripted", "answered"],
    ]);
    expect(new Set(sent.map(({ params }) => params.ClientToken)).size).toBe(1);
    control.settle();
    expect(control.world.identifiers("AWS::SSM::Parameter")).toEqual(["/app/key"]);
    clients.close();
    await proxy.stop();
    await control.stop();
  });

  test("says which finite rules nobody met", async () => {
    const proxy = await startProxy("http://127.0.0.1:9");
    proxy.rule({ operation: "RunInstances", dropReply: true });
    expect(proxy.unused).toHaveLength(1);
    await proxy.stop();
  });
});

describe("the egress guard", () => {
  const ask = (url: string) => new Promise((resolve, reject) => get(url, resolve).once("error", reject));

  test.each([
    ["fetch to an address", () => fetch("http://192.0.2.1/path")],
    ["http to an address", () => ask("http://192.0.2.1/path")],
    ["http to a name", () => ask("http://queue.example.test/path")],
    ["a lookup", () => lookup("example.test")],
    ["a query", () => resolve4("example.test")],
  ])("refuses %s, and counts it though the caller swallowed it", async (_, attempt) => {
    await attempt().catch(() => {});
    const taken = egress.take();
    expect(taken).toHaveLength(1);
    expect(taken[0]?.host).toMatch(/192\.0\.2\.1|example\.test/);
    expect(taken[0]?.stack).toContain("selftest.test.ts");
  });

  test("lets loopback through, by address and by name", async () => {
    const backend = await startScriptedHttp(() => ({ status: 200, body: "here" }));
    const { port } = new URL(backend.endpoint);
    expect(await (await fetch(backend.endpoint)).text()).toBe("here");
    await ask(`http://127.0.0.1:${port}/path`);
    expect((await lookup("localhost")).address).toMatch(/127|::1/);
    expect(egress.count).toBe(0);
    await backend.stop();
  });

  test("guards a child that loads it, and reports to its parent", () => {
    const folder = mkdtempSync(join(tmpdir(), "egress-child-"));
    const report = join(folder, "report.jsonl");
    const guard = fileURLToPath(new URL("./egress-guard.mjs", import.meta.url));
    const child =
      "fetch('http://192.0.2.1/').catch(() => {}); import('node:dns').then((dns) => dns.lookup('example.test', () => {}))";
    const done = spawnSync(process.execPath, ["--import", guard, "-e", child], {
      env: { ...process.env, EGRESS_REPORT: report },
      encoding: "utf8",
    });
    expect(done.stderr).toBe("");
    const refusals = readFileSync(report, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { host: string });
    expect(refusals.map(({ host }) => host).sort()).toEqual(["192.0.2.1:80", "example.test"]);
    rmSync(folder, { recursive: true });
  });
});
