// Policies where the emulator has no service to enforce them on (scripted): every request the server makes is held to them by
// the test's own evaluator, which answers as IAM would. What such a service itself would check further is not shown here.

import { CreateLaunchTemplateCommand, CreateLaunchTemplateVersionCommand } from "@aws-sdk/client-ec2";
import { CreateDBInstanceCommand } from "@aws-sdk/client-rds";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Policy, policiesFor, readActions, writeActions } from "../../src/iam/policy.js";
import { USES } from "../../src/iam/uses.js";
import { deploymentsOverHttp } from "../deployments/http.js";
import { PIPELINE } from "../deployments/party.js";
import type { Answer, Assistant } from "../harness.js";
import { SCRIPTED_PLANS, SCRIPTED_READS, type ScriptedWorld } from "./iam-calls.js";
import { missing, neededFor } from "./iam-evaluator.js";
import { type Product, startProduct } from "./product.js";
import { type ScriptedRequest, startScriptedHttp } from "./scripted-http.js";
import { announced } from "./scripted-rds.js";

describe("the evaluator", () => {
  const request = (service: string, operation: string, params: Record<string, unknown> = {}) => ({
    service,
    operation,
    params,
    region: "eu-west-1",
  });
  const allow = (more: object) => [{ Statement: [{ Effect: "Allow", Action: "*", Resource: "*", ...more }] }];
  const role = "arn:aws:iam::000000000000:role/task";
  it.each([
    ["nothing allows nothing", [], request("ecs", "UpdateService"), "ecs:UpdateService"],
    ["an action by name", allow({ Action: ["ecs:updateservice"] }), request("ecs", "UpdateService"), undefined],
    ["an action by pattern", allow({ Action: "ecs:Update*" }), request("ecs", "UpdateService"), undefined],
    ["another action", allow({ Action: "ecs:Update" }), request("ecs", "UpdateService"), "ecs:UpdateService"],
    [
      "another resource",
      allow({ Resource: "arn:aws:codedeploy:*:*:deploymentgroup:web/*" }),
      request("codedeploy", "StopX", { applicationName: "shop", deploymentGroupName: "blue" }),
      "codedeploy:StopX",
    ],
    [
      "a role handed to a service that may have it",
      allow({ Condition: { StringEquals: { "iam:PassedToService": ["ecs-tasks.amazonaws.com"] } } }),
      request("ecs", "RegisterTaskDefinition", { taskRoleArn: role }),
      // The condition stands on every action of this statement, and only passing a role has the key.
      "ecs:RegisterTaskDefinition",
    ],
    [
      "a role that nobody may hand on",
      allow({ Action: "ecs:*" }),
      request("ecs", "RegisterTaskDefinition", { executionRoleArn: role }),
      "iam:PassRole",
    ],
    [
      "tags given on creation",
      allow({ Action: "ecs:RegisterTaskDefinition" }),
      request("ecs", "RegisterTaskDefinition", { tags: [{ key: "a", value: "b" }] }),
      "ecs:TagResource",
    ],
    [
      "Cloud Control by its own prefix",
      allow({ Action: "cloudformation:GetResource" }),
      request("cloudcontrolapi", "GetResource"),
      undefined,
    ],
    ["who it is", [], request("sts", "GetCallerIdentity"), undefined],
  ])("%s", (_, policies, asked, expected) => {
    expect(missing(policies, asked)?.action).toBe(expected);
  });
  it("refuses to judge what it does not understand", () => {
    expect(() => missing(allow({ Effect: "Deny" }), request("ecs", "UpdateService"))).toThrow("not understood");
    expect(() => missing(allow({ NotAction: "x" }), request("ecs", "UpdateService"))).toThrow("not understood");
    const dated = allow({ Condition: { DateLessThan: {} } });
    expect(() => missing(dated, request("ecs", "UpdateService"))).toThrow("not understood");
  });
});

const deployed = await deploymentsOverHttp();
const { ecs, codedeploy, refreshes } = deployed;
const money = await startScriptedHttp(({ headers }: ScriptedRequest) => {
  const operation = String(headers["x-amz-target"]).split(".")[1]!;
  const said: Readonly<Record<string, object>> = {
    GetCostForecast: { Total: { Amount: "1", Unit: "USD" }, ForecastResultsByTime: [] },
    GetCostAndUsage: { ResultsByTime: [] },
    GetAnomalies: { Anomalies: [] },
    GetAnomalyMonitors: { AnomalyMonitors: [] },
    GetProducts: { PriceList: [] },
  };
  return { status: 200, body: JSON.stringify(said[operation]) };
});
const product = await startProduct("policies on scripted services", import.meta.url, {
  ...deployed.routes,
  ce: money.endpoint,
  pricing: money.endpoint,
});

const toolsetOf = (tool: string): string => tool.split(".")[0]!;

describe.skipIf(!product)("policies on scripted services, by the test's own evaluator", () => {
  const { proxy, outsider, ledger, cloudControl, calls } = (product ?? {}) as Product;
  const users = new Map<string, readonly Policy[]>();
  const servers = new Map<string, Assistant>();
  const world: ScriptedWorld = { bucket: "logs", databaseId: "shop" };

  /** A server of somebody with these policies. */
  async function as(
    name: string,
    policies: readonly Policy[],
  ): Promise<(tool: string, args: Record<string, unknown>) => Promise<Answer>> {
    const key = `AKIA${name.toUpperCase().replace(/[^A-Z]/g, "")}`;
    users.set(key, policies);
    let server = servers.get(name);
    if (!server) {
      server = await product!.start({
        args: ["--state", `${product!.stateDir}-${name}`, "--wait-seconds", "3"],
        env: { AWS_ACCESS_KEY_ID: key, AWS_SECRET_ACCESS_KEY: "scripted" },
      });
      servers.set(name, server);
    }
    const running = server;
    return (tool, args) => running.call(tool.replace(".", "_"), args);
  }
  const reader = (toolset: string) => as(`read-${toolset}`, policiesFor([toolset]));
  const writer = (toolset: string) => as(`write-${toolset}`, policiesFor([toolset], { write: true }));

  beforeAll(async () => {
    await product!.moto.reset();
    for (const one of [ecs, codedeploy, refreshes]) one.looks = 0;
    cloudControl.world.put("AWS::S3::Bucket", world.bucket, { BucketName: world.bucket });
    const roles = {
      taskRoleArn: "arn:aws:iam::000000000000:role/task",
      executionRoleArn: "arn:aws:iam::000000000000:role/execution",
    };
    const tags = [{ key: "team", value: "api" }];
    ecs.define("api", { web: "registry.example/api:1" }, roles, tags);
    ecs.serve("prod", "api", "api:1", PIPELINE);
    ecs.deploy("prod", "api", ecs.define("api", { web: "registry.example/api:2" }, roles, tags), PIPELINE);
    ecs.define("shop", { web: "registry.example/shop:1" }, roles, tags);
    ecs.serve("prod", "shop", "shop:1", PIPELINE, { controller: "CODE_DEPLOY" });
    const blue = codedeploy.group("shop", "blue", {
      computePlatform: "ECS",
      deploymentType: "BLUE_GREEN",
      ecsServices: [{ clusterName: "prod", serviceName: "shop" }],
    });
    const properties = { TaskDefinition: ecs.definition("shop:1")!.arn };
    const content = JSON.stringify({ Resources: [{ TargetService: { Properties: properties } }] });
    codedeploy.deploy(blue, { revisionType: "AppSpecContent", appSpecContent: { content } }, PIPELINE);
    const web = codedeploy.group("web", "production");
    for (const version of ["one", "two"]) {
      const s3Location = { bucket: "releases", key: "web.zip", bundleType: "zip", version };
      codedeploy.deploy(web, { revisionType: "S3", s3Location }, PIPELINE);
    }
    const LaunchTemplateData = { InstanceType: "t3.micro" as const };
    const { LaunchTemplate } = await outsider.ec2.send(
      new CreateLaunchTemplateCommand({ LaunchTemplateName: "workers-template", LaunchTemplateData }),
    );
    const LaunchTemplateId = LaunchTemplate!.LaunchTemplateId!;
    for (let version = 2; version <= 5; version++)
      await outsider.ec2.send(new CreateLaunchTemplateVersionCommand({ LaunchTemplateId, LaunchTemplateData }));
    const workers = refreshes.group("workers", "2", 5, LaunchTemplateId);
    for (const version of ["3", "4"]) refreshes.deploy(workers, version, PIPELINE);
    await outsider.rds.send(
      new CreateDBInstanceCommand({
        DBInstanceIdentifier: world.databaseId,
        DBInstanceClass: "db.t3.micro",
        Engine: "postgres",
        AllocatedStorage: 20,
        MasterUsername: "admin",
        MasterUserPassword: "outsider-knows-it",
      }),
    );
  });
  beforeEach(() => {
    proxy.clear();
    proxy.rule(announced(), {
      where: (request) => missing(users.get(request.accessKeyId) ?? [], request) !== undefined,
      answer(request) {
        const { action, resource } = missing(users.get(request.accessKeyId) ?? [], request)!;
        const message = `User: arn:aws:iam::000000000000:user/test is not authorized to perform: ${action} on resource: ${resource} because no identity-based policy allows the ${action} action`;
        const json = request.protocol === "json";
        return { status: json ? 400 : 403, code: json ? "AccessDeniedException" : "AccessDenied", message };
      },
      times: Number.POSITIVE_INFINITY,
    });
  });
  afterEach(({ task }) => ledger.settle(task));
  afterAll(async () => {
    await product!.close();
    await deployed.stop();
    await money.stop();
  });

  it("refuses whoever may nothing, and names the action", async () => {
    const call = await as("nothing", []);
    expect((await call("resources.list", { type: "AWS::S3::Bucket" })).data).toMatchObject({
      code: "access_denied",
      action: "cloudformation:ListResources",
    });
  });

  it.each(SCRIPTED_READS)("%s, %s: the policy for reading its toolset is enough", async (tool, _about, args) => {
    const call = await reader(toolsetOf(tool));
    const answer = await call(tool, await args(world, call));
    expect(answer.isError, JSON.stringify(answer.data)).toBe(false);
    expect(/.{0,200}(access_denied|credentials_).{0,300}/.exec(JSON.stringify(answer.data))?.[0]).toBeUndefined();
  });

  it.each(SCRIPTED_PLANS)("%s, %s: the policy for reading everything is not enough", async (tool, _about, args) => {
    const call = await reader("all");
    const planned = await call(tool, { ...(await args(world, call)), intent: "not allowed to" });
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    const refused = await call("changes.apply", { executionToken: planned.data.executionToken });
    expect(refused.data).toMatchObject({ code: "access_denied", nothingWasChanged: true });
    expect(writeActions([toolsetOf(tool)])).toContain(refused.data.action);
  });

  it.each(SCRIPTED_PLANS)("%s, %s: with --write the policy of its toolset is enough", async (tool, _about, args) => {
    const call = await writer(toolsetOf(tool));
    const planned = await call(tool, { ...(await args(world, call)), intent: "as planned with the team" });
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    const applied = await call("changes.apply", { executionToken: planned.data.executionToken });
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect((await call("changes.get", { changeId: planned.data.change.changeId })).data.change.state).toBe("applied");
  });

  it.each([
    ["ECS", { service: "prod/api", version: "9" }, "ecs", "StopServiceDeployment"],
    [
      "CodeDeploy",
      { service: "web/production", version: "s3://releases/web.zip?versionId=nine" },
      "codedeploy",
      "StopDeployment",
    ],
    ["instance refresh", { service: "workers", version: "2" }, "autoscaling", "RollbackInstanceRefresh"],
  ] as const)(
    "stopping a deployment of %s is within the policy of its toolset",
    async (_, args, service, operation) => {
      const call = await writer("deployments");
      for (const one of [ecs, codedeploy, refreshes]) one.looks = 500;
      const planned = await call("deployments.create", {
        ...args,
        basedOn: (await call("deployments.get", { service: args.service })).data.revision,
        intent: "release",
      });
      const begun = await call("changes.apply", { executionToken: planned.data.executionToken });
      expect(begun.data.outcome, JSON.stringify(begun.data)).toBe("in_progress");
      const stopped = await call("changes.cancel", { changeId: planned.data.change.changeId });
      for (const one of [ecs, codedeploy, refreshes]) one.looks = 0;
      expect(stopped.isError, JSON.stringify(stopped.data)).toBe(false);
      expect(calls(service, operation).map(({ fate, status }) => [fate, status])).toEqual([["answered", 200]]);
    },
  );

  it("what looks for a lost answer is within the policy, too", async () => {
    const call = await writer("deployments");
    for (const [service, operation, args] of [
      ["ecs", "RegisterTaskDefinition", { service: "prod/api", version: "10" }],
      ["ecs", "UpdateService", { service: "prod/api", version: "11" }],
      ["codedeploy", "CreateDeployment", { service: "web/production", version: "s3://releases/web.zip?versionId=ten" }],
      ["autoscaling", "StartInstanceRefresh", { service: "workers", version: "3" }],
    ] as const) {
      proxy.rule({ service, operation, dropReply: true });
      const planned = await call("deployments.create", {
        ...args,
        basedOn: (await call("deployments.get", { service: args.service })).data.revision,
        intent: "release",
      });
      const applied = await call("changes.apply", { executionToken: planned.data.executionToken });
      expect(applied.data.outcome, `${operation}: ${JSON.stringify(applied.data)}`).toBe("applied");
      expect(calls(service, operation).map(({ fate }) => fate)).toContain("replyDropped");
    }
  });

  it("state.rollback is within the policy of the toolset whose resource it rolls back", async () => {
    const call = await as("write-all", policiesFor(["state", "deployments"], { write: true }));
    const { data } = await call("deployments.get", { service: "prod/api" });
    const planned = await call("deployments.create", {
      service: "prod/api",
      version: "12",
      basedOn: data.revision,
      intent: "release",
    });
    await call("changes.apply", { executionToken: planned.data.executionToken });
    const identifier = `${data.running.serviceArn}|prod`;
    const { revision } = (await call("deployments.get", { service: "prod/api" })).data;
    const to = `before:${planned.data.executionToken}`;
    const back = await call("state.rollback", { identifier, to, basedOn: revision, intent: "back" });
    expect(back.isError, JSON.stringify(back.data)).toBe(false);
    const applied = await call("changes.apply", { executionToken: back.data.executionToken });
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
  });
});

it("no read policy allows what the evaluator calls a write, whatever the toolset", () => {
  const writes = new Set(Object.keys(USES).flatMap((toolset) => writeActions([toolset])));
  for (const toolset of Object.keys(USES))
    expect(readActions([toolset]).filter((action) => writes.has(action))).toEqual([]);
  const [request] = [{ service: "cloudcontrolapi", operation: "DeleteResource", params: {}, region: "eu-west-1" }];
  expect(neededFor(request!)).toEqual([{ action: "cloudformation:DeleteResource", resource: "*" }]);
});
