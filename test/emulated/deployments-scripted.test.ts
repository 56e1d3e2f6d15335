// Deployments through a real client and a real server process: ECS and CodeDeploy scripted from AWS's published API, for moto
// follows neither to its end; Auto Scaling groups are moto's.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { deploymentsOverHttp } from "../deployments/http.js";
import { PIPELINE } from "../deployments/party.js";
import type { Assistant } from "../harness.js";
import { type Product, startProduct } from "./product.js";

const deployed = await deploymentsOverHttp();
const { ecs, codedeploy } = deployed;
const { autoscaling: _, ...routes } = deployed.routes;
const product = await startProduct("deployments, scripted", import.meta.url, routes);
const s3 = (version: string) => ({
  revisionType: "S3",
  s3Location: { bucket: "releases", key: "web.zip", bundleType: "zip", version },
});

describe.skipIf(!product)("deployments, scripted", () => {
  const { proxy, ledger, calls } = (product ?? {}) as Product;
  let assistant: Assistant;
  const call = (tool: string, args: Record<string, unknown>) => assistant.call(`deployments_${tool}`, args);
  const create = async (args: { readonly service: string; readonly [more: string]: unknown }) =>
    call("create", { basedOn: (await call("get", { service: args.service })).data.revision, ...args });
  const apply = (planned: { data: { executionToken: string } }) =>
    assistant.call("changes_apply", { executionToken: planned.data.executionToken });

  beforeAll(async () => {
    ecs.define("api", { web: "registry.example/api:v2.2.0" });
    ecs.serve("prod", "api-service", "api:1", PIPELINE);
    ecs.deploy("prod", "api-service", ecs.define("api", { web: "registry.example/api:v2.3.0" }), PIPELINE);
    const group = codedeploy.group("web", "production");
    codedeploy.deploy(group, s3("one"), PIPELINE);
    codedeploy.deploy(group, s3("two"), PIPELINE);
    assistant = await product!.start();
  });
  beforeEach(() => proxy.clear());
  afterEach(({ task }) => ledger.settle(task));
  afterAll(async () => {
    await product!.close();
    await deployed.stop();
  });

  it("lists what everything runs, over every provider", async () => {
    const { data } = await call("list", {});
    expect(data.services, JSON.stringify(data)).toMatchObject([
      { provider: "ecs", service: "prod/api-service", version: "api:2" },
      { provider: "codedeploy", service: "web/production", version: "s3://releases/web.zip?versionId=two" },
    ]);
    expect(data.notLookedAt).toBeUndefined();
  });

  it("refuses the rollback of a stale read and goes back to what ran before the hotfix", async () => {
    const read = await call("list", { service: "prod/api-service" });
    ecs.deploy("prod", "api-service", ecs.define("api", { web: "registry.example/api:v2.4.0" }), PIPELINE);
    const ask = (basedOn: string) => call("rollback", { service: "prod/api-service", basedOn, intent: "it is slow" });
    const stale = await ask(read.data.services[0].revision);
    expect(stale.data).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
    expect(calls("ecs", "UpdateService")).toEqual([]);
    const planned = await ask((await call("get", { service: "prod/api-service" })).data.revision);
    expect(planned.data.change.facts).toMatchObject({
      resolvedTo: { version: "api:2" },
      deployedSince: [{ version: "api:3" }],
    });
    const applied = await apply(planned);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(applied.text[0]).toContain("deployments_*");
    expect(ecs.services.get("prod/api-service")!.taskDefinition).toBe("api:2");
  });

  it("brings out another image, and is told when AWS took it back", async () => {
    const planned = await create({ service: "prod/api-service", version: "v2.5.0", intent: "release" });
    expect((await apply(planned)).data.outcome).toBe("applied");
    ecs.bad.add("registry.example/api:v2.6.0");
    const failed = await apply(await create({ service: "prod/api-service", version: "v2.6.0", intent: "release" }));
    expect(failed.data).toMatchObject({ code: "aws_failed", awsCode: "ROLLBACK_SUCCESSFUL" });
    expect(ecs.services.get("prod/api-service")!.taskDefinition).toBe("api:4");
  });

  it("deploys a CodeDeploy revision and finds it by its mark where the answer was lost", async () => {
    proxy.rule({ service: "codedeploy", operation: "CreateDeployment", dropReply: true });
    const version = "s3://releases/web.zip?versionId=three";
    const planned = await create({ service: "web/production", version, intent: "release" });
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    const applied = await apply(planned);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(calls("codedeploy", "CreateDeployment")).toHaveLength(1);
    const got = await call("get", { service: "web/production" });
    expect(got.data).toMatchObject({ running: { version }, deployments: [{ version, ours: {} }, {}, {}] });
  });
});
