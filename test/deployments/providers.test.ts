// CodeDeploy and instance refreshes, scripted, and what is asked wrongly of any of them.

import { afterEach, describe, expect, it } from "vitest";
import { type InMemory, inMemory } from "../in-memory.js";
import { DeploymentAccount } from "./account.js";
import { ALICE, PIPELINE } from "./party.js";

const open: InMemory[] = [];
afterEach(async () => {
  for (const session of open.splice(0)) await session.close();
});
const s3 = (version: string) => ({
  revisionType: "S3",
  s3Location: { bucket: "releases", key: "web.zip", bundleType: "zip", version },
});
const appSpec = (definition: string) => ({
  revisionType: "AppSpecContent",
  appSpecContent: {
    content: JSON.stringify({
      Resources: [
        { TargetService: { Properties: { TaskDefinition: definition, LoadBalancerInfo: { ContainerPort: 8080 } } } },
      ],
    }),
  },
});

async function story() {
  const account = new DeploymentAccount();
  const { ecs, codedeploy, refreshes } = account;
  const web = codedeploy.group("web", "production");
  for (const version of ["one", "two"]) codedeploy.deploy(web, s3(version), PIPELINE);
  ecs.define("shop", { web: "shop:1" });
  ecs.serve("prod", "shop", "shop:1", PIPELINE, { controller: "CODE_DEPLOY" });
  const shop = codedeploy.group("shop", "blue", {
    computePlatform: "ECS",
    deploymentType: "BLUE_GREEN",
    deploymentConfigName: "CodeDeployDefault.ECSAllAtOnce",
    ecsServices: [{ clusterName: "prod", serviceName: "shop" }],
  });
  codedeploy.deploy(shop, appSpec(ecs.definition("shop:1")!.arn), PIPELINE);
  const workers = refreshes.group("workers", "2");
  refreshes.deploy(workers, "3", PIPELINE);
  refreshes.deploy(workers, "4", PIPELINE);
  account.script.pass(3_600);
  const session = await inMemory({ wrap: (_, clock) => account.aws(clock) });
  open.push(session);
  const call = (tool: string, given: object = {}) =>
    session.call(`deployments_${tool}`, given as Record<string, unknown>);
  /** As an honest caller deploys: read, then planned. */
  const create = async (given: { readonly service: string; readonly [more: string]: unknown }) =>
    call("create", { basedOn: (await call("get", { service: given.service })).revision, ...given });
  const apply = ({ executionToken }: { executionToken: string }) => session.call("changes_apply", { executionToken });
  return { account, ecs, codedeploy, refreshes, session, call, create, apply, web, shop, workers };
}

describe("CodeDeploy (scripted)", () => {
  it("goes back to the revision before, and a failure that CodeDeploy rolled back is a failure", async () => {
    const { codedeploy, call, create, apply, web } = await story();
    codedeploy.deploy(web, s3("three"), PIPELINE);
    const got = await call("get", { service: "web/production" });
    expect(got).toMatchObject({ strategies: ["rolling"], deployments: [{ by: { principal: PIPELINE.arn } }, {}, {}] });
    const back = await call("rollback", { service: "web/production", basedOn: got.revision, intent: "slow" });
    expect(back.change.facts).toMatchObject({
      resolvedTo: { version: "s3://releases/web.zip?versionId=two" },
      deployedSince: [{ version: "s3://releases/web.zip?versionId=three" }],
    });
    expect(await apply(back)).toMatchObject({ outcome: "applied" });
    codedeploy.bad.add('"bad"');
    const version = "s3://releases/web.zip?versionId=bad";
    const failed = await apply(await create({ service: "web/production", version, intent: "release" }));
    expect(failed).toMatchObject({ code: "aws_failed", awsCode: "HEALTH_CONSTRAINTS" });
    const listed = await call("list", { service: "web/production" });
    expect(listed.services[0].version).toBe("s3://releases/web.zip?versionId=two");
    expect(listed.deployments.find((one: { version: string }) => one.version === version)).toMatchObject({
      status: "rolled_back",
      ours: {},
    });
  });

  it("deploys to an ECS service that CodeDeploy moves, through its group, with only the task definition changed", async () => {
    const { ecs, codedeploy, create, apply } = await story();
    const planned = await create({ service: "prod/shop", version: "2", strategy: "canary", intent: "release" });
    expect(planned.isError, JSON.stringify(planned)).toBeUndefined();
    expect(planned.change.facts).toMatchObject({
      provider: "codedeploy",
      deploymentConfig: "CodeDeployDefault.ECSCanary10Percent5Minutes",
      supportedStrategies: ["blue-green", "canary", "linear"],
    });
    expect(await apply(planned)).toMatchObject({ outcome: "applied" });
    const made = codedeploy.deployments[0]!;
    expect(JSON.parse((made.revision as ReturnType<typeof appSpec>).appSpecContent.content)).toEqual(
      JSON.parse(appSpec(ecs.definition("shop:2")!.arn).appSpecContent.content),
    );
  });
});

describe("instance refreshes (scripted)", () => {
  it("goes back to the version before, follows it, and says why one was rolled back", async () => {
    const { refreshes, call, create, apply, workers } = await story();
    const got = await call("get", { service: "workers" });
    expect(got).toMatchObject({ provider: "instance-refresh", strategies: ["rolling"] });
    const back = await call("rollback", { service: "workers", basedOn: got.revision, intent: "slow" });
    expect(back.change.facts).toMatchObject({ resolvedTo: { version: "3" }, deployedSince: [{ version: "4" }] });
    expect(await apply(back)).toMatchObject({ outcome: "applied" });
    expect(workers.version).toBe("3");
    refreshes.bad.add("5");
    const failed = await apply(await create({ service: "workers", version: "5", intent: "release" }));
    expect(failed).toMatchObject({
      code: "aws_failed",
      awsCode: "RollbackSuccessful",
      awsMessage: "Instances failed health checks.",
    });
    expect(workers.version).toBe("3");
  });

  it("of a group that says $Latest cannot be rolled back by AWS: the plan says so, and stopping ends it where it is", async () => {
    const { account, refreshes, session, create, apply } = await story();
    const group = refreshes.group("floating", "$Latest");
    const planned = await create({ service: "floating", version: "3", intent: "pin it" });
    expect(planned.isError, JSON.stringify(planned)).toBeUndefined();
    expect(planned.change.warnings.join()).toContain("cannot roll this refresh back");
    refreshes.looks = 500;
    expect(await apply(planned)).toMatchObject({ outcome: "in_progress" });
    const stopped = await session.call("changes_cancel", { changeId: planned.change.changeId });
    expect(stopped.isError, JSON.stringify(stopped)).toBeUndefined();
    expect(account.writes("CancelInstanceRefresh")).toHaveLength(1);
    expect(group.refreshes[0]).toMatchObject({ Status: "Cancelled" });
  });

  it("is found where the answer was lost, and not begun twice", async () => {
    const { account, create, apply, workers } = await story();
    account.lost.add("autoscaling:StartInstanceRefresh");
    const planned = await create({ service: "workers", version: "5", intent: "release" });
    expect(await apply(planned)).toMatchObject({ outcome: "applied" });
    expect(workers.version).toBe("5");
    expect(account.writes("StartInstanceRefresh")).toHaveLength(1);
  });
});

describe("a row of a list (scripted)", () => {
  it.each([
    ["web/production", "s3://releases/web.zip?versionId=nine"],
    ["workers", "5"],
    ["prod/shop", "2"],
  ])("of %s shows all that a deployment rests on: by its revision one is planned", async (service, version) => {
    const { call, codedeploy, refreshes, web, shop, workers } = await story();
    const [row] = (await call("list", { service })).services;
    const { running } = await call("get", { service });
    expect(row).toMatchObject(
      row.provider === "codedeploy"
        ? {
            latestDeploymentId: running.latest.deploymentId,
            deploymentConfig: running.deploymentConfig,
            deploymentType: running.deploymentType,
          }
        : { launchedFrom: running.launchedFrom },
    );
    const given = { service, version, basedOn: row.revision, intent: "release" };
    const planned = await call("create", given);
    expect(planned.isError, JSON.stringify(planned)).toBeUndefined();
    codedeploy.deploy(web, s3("theirs"), PIPELINE);
    codedeploy.deploy(shop, appSpec("arn:aws:ecs:us-east-1:000000000000:task-definition/shop:1"), PIPELINE);
    refreshes.deploy(workers, "3", PIPELINE);
    expect(await call("create", given)).toMatchObject({ code: "stale_revision", field: "basedOn" });
    expect(await call("rollback", { service, basedOn: row.revision, intent: "back" })).toMatchObject({
      code: "stale_revision",
    });
  });
});

describe("what is asked wrongly", () => {
  const intent = "release";
  it.each([
    [
      "a service that does not exist",
      "create",
      { service: "prod/none", version: "v1", intent },
      "not_found",
      "service",
    ],
    ["a cluster that does not exist", "list", { service: "shop", cluster: "none" }, "not_found", "cluster"],
    [
      "a task definition that does not exist",
      "create",
      { service: "prod/shop", version: "shop:99", intent },
      "not_found",
      "version",
    ],
    [
      "a launch template version that does not exist",
      "create",
      { service: "workers", version: "99", intent },
      "not_found",
      "version",
    ],
    [
      "a revision of no shape",
      "create",
      { service: "web/production", version: "web.zip", intent },
      "validation_error",
      "version",
    ],
    [
      "a strategy the provider has not",
      "create",
      { service: "workers", version: "5", strategy: "canary", intent },
      "unsupported",
      "strategy",
    ],
    [
      "a container that does not exist",
      "create",
      { service: "prod/shop", version: "shop:2x", container: "db", intent },
      "validation_error",
      "container",
    ],
    ["what runs already", "create", { service: "workers", version: "4", intent }, "nothing_to_change", "version"],
    [
      "a region the ARN is not of",
      "get",
      { service: "arn:aws:ecs:eu-west-1:000000000000:service/prod/shop" },
      "validation_error",
      "region",
    ],
    [
      "another account's ARN",
      "get",
      { service: "arn:aws:ecs:us-east-1:999999999999:service/prod/shop" },
      "identity_mismatch",
      "service",
    ],
    ["no name at all", "get", {}, "validation_error", "service"],
    [
      "a strategy there is none of",
      "create",
      { service: "workers", version: "5", strategy: "big-bang", intent },
      "validation_error",
      "strategy",
    ],
  ] as const)("%s is refused with its field, and nothing is sent", async (_, tool, given, code, field) => {
    const { account, call, create } = await story();
    const answer = tool === "create" ? await create(given) : await call(tool, given);
    expect(answer, JSON.stringify(answer)).toMatchObject({ isError: true, code, field });
    expect(account.calls.filter(({ writes }) => writes)).toEqual([]);
  });

  it("a version of a rollback that never ran here, a running deployment, and several things of one name", async () => {
    const { codedeploy, refreshes, call, create, workers, ecs, account } = await story();
    const { revision } = await call("get", { service: "workers" });
    expect(
      await call("rollback", { service: "workers", to: "99", basedOn: revision, intent: "release" }),
    ).toMatchObject({
      code: "not_found",
      field: "to",
    });
    refreshes.looks = 500;
    refreshes.begin(workers, "5", PIPELINE);
    const raced = await create({ service: "workers", version: "2", intent: "release" });
    expect(raced).toMatchObject({ code: "resource_busy", running: { version: "5", progress: { of: 100 } } });
    codedeploy.group("workers", "all");
    ecs.serve("prod", "workers", "shop:1", PIPELINE);
    const several = await create({ service: "workers", version: "2", intent: "release" });
    expect(several).toMatchObject({ code: "validation_error", field: "service" });
    expect(several.candidates.map((one: { provider: string }) => one.provider)).toEqual([
      "ecs",
      "codedeploy",
      "instance-refresh",
    ]);
    expect(account.calls.filter(({ writes }) => writes)).toEqual([]);
  });

  it("does not take a provider that cannot be asked for an empty one", async () => {
    const { account, call, create } = await story();
    account.denied.add("ecs:ListClusters");
    expect(await create({ service: "nowhere", version: "1", intent: "release" })).toMatchObject({
      code: "access_denied",
      action: "ecs:ListClusters",
    });
    const found = await call("list", { service: "workers" });
    expect(found).toMatchObject({
      services: [{ service: "workers" }],
      notLookedAt: [{ provider: "ecs", code: "access_denied" }],
    });
  });
});

describe("who began a deployment", () => {
  it("is not the one before, where CloudTrail has yet to hear of it", async () => {
    const { account, codedeploy, call, web } = await story();
    codedeploy.deploy(web, s3("three"), PIPELINE);
    account.script.pass(20);
    codedeploy.deploy(web, s3("four"), ALICE);
    const { deployments: both } = await call("get", { service: "web/production" });
    expect(both).toMatchObject([{ by: { principal: ALICE.arn } }, { by: { principal: PIPELINE.arn } }, {}, {}]);
    account.script.trail.pop();
    const { deployments } = await call("get", { service: "web/production" });
    expect(deployments).toMatchObject([{ by: { status: "pending" } }, { by: { principal: PIPELINE.arn } }, {}, {}]);
  });

  it("is not whoever stopped or rolled back, however long after", async () => {
    const { account, codedeploy, refreshes, call, web, workers } = await story();
    const made = codedeploy.deploy(web, s3("three"), PIPELINE);
    refreshes.deploy(workers, "5", PIPELINE);
    const { deploymentId } = made;
    const instanceRefreshId = workers.refreshes[0]!.InstanceRefreshId;
    account.script.trail.length = 0;
    const { script } = account;
    script.record("codedeploy.amazonaws.com", "StopDeployment", "production", ALICE, { request: { deploymentId } });
    script.record("autoscaling.amazonaws.com", "RollbackInstanceRefresh", "workers", ALICE, {
      response: { instanceRefreshId },
    });
    for (const service of ["web/production", "workers"]) {
      const { deployments } = await call("get", { service });
      expect(deployments[0].by, service).toMatchObject({ status: "pending" });
    }
  });

  it("is a call that asked for its version", async () => {
    const { account, ecs, call } = await story();
    ecs.define("api", { web: "registry.example/api:7" });
    ecs.serve("prod", "api", "api:1", PIPELINE);
    ecs.deploy("prod", "api", ecs.define("api", { web: "registry.example/api:8" }), PIPELINE);
    account.script.trail.length = 0;
    const asked = (taskDefinition: string) =>
      account.script.record("ecs.amazonaws.com", "UpdateService", "api", ALICE, { request: { taskDefinition } });
    asked("api:1");
    const by = async () => (await call("get", { service: "prod/api" })).deployments[0].by;
    expect(await by()).toMatchObject({ status: "pending" });
    asked("api:2");
    expect(await by()).toMatchObject({ principal: ALICE.arn });
  });

  it("is one call for one deployment where the call names none", async () => {
    const { account, ecs, call } = await story();
    ecs.define("api", { web: "registry.example/api:7" });
    ecs.serve("prod", "api", "api:1", PIPELINE);
    ecs.deploy("prod", "api", ecs.define("api", { web: "registry.example/api:8" }), PIPELINE);
    account.script.pass(20);
    ecs.deploy("prod", "api", ecs.define("api", { web: "registry.example/api:9" }), ALICE);
    account.script.trail.pop();
    const { deployments } = await call("get", { service: "prod/api" });
    expect(deployments[0]).toMatchObject({ by: { status: "pending" } });
    expect(deployments[1]).toMatchObject({ by: { principal: PIPELINE.arn } });
  });
});
