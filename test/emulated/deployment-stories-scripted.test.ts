// The same stories over every way of deploying, through a real client and real server processes: going back, not racing,
// stopping, kill -9 in the middle, and somebody else at work all the while. ECS, CodeDeploy and instance refreshes are scripted
// from AWS's published API; launch templates are moto's.

import { CreateLaunchTemplateCommand, CreateLaunchTemplateVersionCommand } from "@aws-sdk/client-ec2";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { deploymentsOverHttp } from "../deployments/http.js";
import { PIPELINE } from "../deployments/party.js";
import type { Assistant } from "../harness.js";
import { type Product, startProduct } from "./product.js";
import { gate } from "./rules.js";

const deployed = await deploymentsOverHttp();
const { ecs, codedeploy, refreshes } = deployed;
const product = await startProduct("deployment stories, scripted", import.meta.url, deployed.routes);

/** A service of one provider: version `n` of it by every name that it goes by, and somebody else's hand on it. */
interface Provider {
  readonly service: string;
  /** As a caller asks for it. */
  readonly asked: (n: number) => string;
  /** As AWS's record shows it. */
  readonly shown: (n: number) => string;
  readonly deploy: (n: number, settled?: boolean) => void;
  /** Somebody else ends whatever is in progress. */
  readonly stop: () => void;
  readonly settle: () => void;
  readonly running: () => string;
  readonly inProgress: () => string[];
  readonly breaks: (n: number) => void;
  readonly creates: readonly [service: string, operation: string];
  readonly stops: readonly [service: string, operation: string];
}

const image = (family: string, n: number) => `registry.example/${family}:v${n}`;

function ecsService(name: string, strategy: string): Provider {
  ecs.define(name, { web: image(name, 1) });
  ecs.serve("prod", name, `${name}:1`, PIPELINE, { strategy, shiftsTraffic: strategy !== "ROLLING" });
  const service = ecs.services.get(`prod/${name}`)!;
  const definitionOf = (n: number): string => {
    const made = [...ecs.definitions.values()].find(
      ({ body }) => body.containerDefinitions[0]?.image === image(name, n),
    );
    return made ? `${made.family}:${made.revision}` : ecs.define(name, { web: image(name, n) });
  };
  const provider: Provider = {
    service: `prod/${name}`,
    asked: (n) => `v${n}`,
    shown: definitionOf,
    deploy: (n, settled = true) => ecs.deploy("prod", name, definitionOf(n), PIPELINE, settled),
    stop: () => {
      const [open] = service.deployments.filter(({ status }) => status === "IN_PROGRESS");
      ecs.handlers.StopServiceDeployment!({ serviceDeploymentArn: open!.serviceDeploymentArn } as never, PIPELINE);
    },
    settle: () => {
      service.rollouts[0]!.looks = 0;
      ecs.settle(service);
    },
    running: () => service.taskDefinition,
    inProgress: () =>
      service.deployments
        .filter(({ status }) => status === "IN_PROGRESS")
        .map(({ revision }) => service.revisions.get(revision)!),
    breaks: (n) => ecs.bad.add(image(name, n)),
    creates: ["ecs", "UpdateService"],
    stops: ["ecs", "StopServiceDeployment"],
  };
  return provider;
}

function codeDeployGroup(): Provider {
  const group = codedeploy.group("web", "production");
  const revision = (n: number) => ({
    revisionType: "S3",
    s3Location: { bucket: "releases", key: "web.zip", bundleType: "zip", version: `v${n}` },
  });
  const named = (n: number) => `s3://releases/web.zip?versionId=v${n}`;
  const versionOf = (one: { revision: object }) =>
    `s3://releases/web.zip?versionId=${(one.revision as ReturnType<typeof revision>).s3Location.version}`;
  const open = () => codedeploy.deployments.filter(({ status }) => ["Created", "InProgress"].includes(status));
  codedeploy.deploy(group, revision(1), PIPELINE);
  return {
    service: "web/production",
    asked: named,
    shown: named,
    deploy: (n, settled = true) => void codedeploy.deploy(group, revision(n), PIPELINE, settled),
    stop: () => void codedeploy.handlers.StopDeployment!({ deploymentId: open()[0]!.deploymentId } as never, PIPELINE),
    settle: () => {
      for (const one of open()) one.looks = 0;
      codedeploy.settle(group);
    },
    running: () => versionOf(codedeploy.deployments.find(({ status }) => status === "Succeeded")!),
    inProgress: () => open().map(versionOf),
    breaks: (n) => codedeploy.bad.add(`"v${n}"`),
    creates: ["codedeploy", "CreateDeployment"],
    stops: ["codedeploy", "StopDeployment"],
  };
}

async function refreshedGroup({ outsider }: Product): Promise<Provider> {
  const LaunchTemplateData = { InstanceType: "t3.micro" as const };
  const { LaunchTemplate } = await outsider.ec2.send(
    new CreateLaunchTemplateCommand({ LaunchTemplateName: "workers-template", LaunchTemplateData }),
  );
  const LaunchTemplateId = LaunchTemplate!.LaunchTemplateId!;
  for (let version = 2; version <= 30; version++)
    await outsider.ec2.send(new CreateLaunchTemplateVersionCommand({ LaunchTemplateId, LaunchTemplateData }));
  const group = refreshes.group("workers", "1", 30, LaunchTemplateId);
  refreshes.deploy(group, "1", PIPELINE);
  const open = () => group.refreshes.filter(({ Status }) => Status === "InProgress");
  return {
    service: "workers",
    asked: String,
    shown: String,
    deploy: (n, settled = true) => refreshes.deploy(group, String(n), PIPELINE, settled),
    stop: () =>
      void refreshes.handlers.RollbackInstanceRefresh!({ AutoScalingGroupName: "workers" } as never, PIPELINE),
    settle: () => {
      for (const one of open()) one.looks = 0;
      refreshes.look(group);
    },
    running: () => group.version,
    inProgress: () => open().map(({ Version }) => Version),
    breaks: (n) => refreshes.bad.add(String(n)),
    creates: ["autoscaling", "StartInstanceRefresh"],
    stops: ["autoscaling", "RollbackInstanceRefresh"],
  };
}

const NAMES = ["ECS rolling", "ECS blue/green", "CodeDeploy", "instance refresh"] as const;
const THREE = NAMES.filter((name) => name !== "ECS blue/green");
/** ECS is killed in test/deployments/ecs.test.ts. */
const KILLED = ["CodeDeploy", "instance refresh"] as const;

describe.skipIf(!product)("deployment stories, scripted", () => {
  const { proxy, ledger, calls, trail } = (product ?? {}) as Product;
  const providers = new Map<string, Provider>();
  let assistant: Assistant;
  const told = new Set<object>();

  const looks = (count: number) => {
    for (const one of [ecs, codedeploy, refreshes]) one.looks = count;
  };
  /** CloudTrail hears of what others did. */
  const publish = () => {
    const known = deployed.recorded().filter((one) => one.by === PIPELINE && !told.has(one));
    for (const one of known) told.add(one);
    trail.record(
      ...known.map(({ name, source, resource, at, response }) => ({
        eventName: name,
        eventSource: source,
        session: "release-2024",
        resource: { ResourceType: "a deployment", ResourceName: resource },
        requestParameters: { name: resource },
        ...(response && { responseElements: response }),
        at,
      })),
    );
  };
  const on = (server: Assistant, service: string) => ({
    ask: (tool: string, more: object = {}) => server.call(`deployments_${tool}`, { service, ...more }),
    /** As an honest caller deploys: read, then planned. */
    create: async (more: object) => {
      const { data } = await server.call("deployments_get", { service });
      return server.call("deployments_create", { service, basedOn: data.revision, ...more });
    },
    apply: (planned: { data: { executionToken: string } }) =>
      server.call("changes_apply", { executionToken: planned.data.executionToken }),
    change: async (changeId: string) => (await server.call("changes_get", { changeId })).data.change,
  });
  const start = (state: string) =>
    product!.start({ args: ["--state", `${product!.stateDir}-${state}`, "--wait-seconds", "3"] });

  beforeAll(async () => {
    await product!.moto.reset();
    looks(0);
    providers.set("ECS rolling", ecsService("api", "ROLLING"));
    providers.set("ECS blue/green", ecsService("shop", "BLUE_GREEN"));
    providers.set("CodeDeploy", codeDeployGroup());
    providers.set("instance refresh", await refreshedGroup(product!));
    assistant = await start("stories");
  });
  beforeEach(() => {
    looks(0);
    proxy.clear();
  });
  afterEach(({ task }) => ledger.settle(task));
  afterAll(async () => {
    await product!.close();
    await deployed.stop();
  });

  it.each(NAMES)(
    "%s: goes back to what ran before, and says what it resolved to, what else was deployed and by whom",
    async (name) => {
      const { service, asked, shown, deploy, breaks, running } = providers.get(name)!;
      const { ask, create, apply } = on(assistant, service);
      const ours = await create({ version: asked(2), intent: "release" });
      expect((await apply(ours)).data.outcome).toBe("applied");
      const read = await ask("get");
      deploy(3);
      breaks(4);
      deploy(4);
      publish();
      const stale = await ask("rollback", { basedOn: read.data.revision, intent: "it is slow" });
      expect(stale.data, JSON.stringify(stale.data)).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
      expect(running()).toBe(shown(3));
      // The call that a refusal proposes is one that works.
      const [proposed] = stale.data.next;
      const looked = await assistant.call(proposed.tool, proposed.arguments);
      expect(looked.isError, JSON.stringify(stale.data.next)).toBe(false);
      const fresh = await ask("get");
      expect(looked.data.revision.split("-")[1]).toBe(fresh.data.revision.split("-")[1]);
      const back = await ask("rollback", { basedOn: fresh.data.revision, intent: "it is slow" });
      expect(back.isError, JSON.stringify(back.data)).toBe(false);
      const { facts } = back.data.change;
      expect(facts.resolvedTo).toMatchObject({
        version: shown(2),
        neverSuccessful: false,
        ours: { changeId: ours.data.change.changeId },
      });
      const since = facts.deployedSince as {
        version: string;
        status: string;
        by?: { session: string };
        startedBy?: string;
      }[];
      // The failed one is told of, and so is what AWS itself did about it.
      expect(since.map(({ version }) => version)).toEqual(expect.arrayContaining([shown(3), shown(4)]));
      const third = since.find(({ version, startedBy }) => version === shown(3) && startedBy !== "codeDeployRollback");
      expect(third?.by?.session).toBe("release-2024");
      expect(since.find(({ version }) => version === shown(4))?.status).toBe("rolled_back");

      // Never deployed successfully: never "previous", and planned only because it was named.
      const named = await ask("rollback", { to: shown(4), basedOn: fresh.data.revision, intent: "by name" });
      expect(named.data.change.facts.resolvedTo).toMatchObject({ version: shown(4), neverSuccessful: true });
      expect(named.data.change.warnings.join()).toContain("no successful deployment of this version");

      expect((await apply(back)).data.outcome).toBe("applied");
      expect(running()).toBe(shown(2));
    },
  );

  it.each(THREE)("%s: a deployment that somebody else began is not raced, before and after the plan", async (name) => {
    const { service, asked, shown, deploy, running, inProgress, settle, creates } = providers.get(name)!;
    const { ask, create, apply } = on(assistant, service);
    const planned = await create({ version: asked(6), intent: "release" });
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    looks(500);
    deploy(5, false);
    publish();
    const refused = await apply(planned);
    expect(refused.data, JSON.stringify(refused.data)).toMatchObject({ nothingWasChanged: true });
    expect(["stale_revision", "resource_busy"]).toContain(refused.data.code);
    expect(inProgress()).toEqual([shown(5)]);
    const { data } = await ask("get");
    for (const [tool, args] of [
      ["create", { version: asked(6), basedOn: data.revision }],
      ["rollback", { basedOn: data.revision }],
    ] as const) {
      const raced = await ask(tool, { ...args, intent: "release" });
      expect(raced.data, JSON.stringify(raced.data)).toMatchObject({
        code: "resource_busy",
        field: "service",
        nothingWasChanged: true,
        running: {
          version: shown(5),
          status: "in_progress",
          by: { session: "release-2024" },
        },
      });
      expect(raced.data.next[0]).toMatchObject({ tool: "deployments_get" });
    }
    // AWS was asked at most once, and refused.
    expect(calls(...creates).filter(({ status }) => status === 200)).toEqual([]);
    settle();
    expect(running()).toBe(shown(5));
  });

  it.each(NAMES)("%s: a deployment of ours is stopped when asked, and the old version is back", async (name) => {
    const { service, asked, running, inProgress, stops } = providers.get(name)!;
    const { ask, create, apply, change } = on(assistant, service);
    const before = running();
    looks(500);
    const planned = await create({ version: asked(7), intent: "release" });
    const begun = await apply(planned);
    expect(begun.data.outcome, JSON.stringify(begun.data)).toBe("in_progress");
    const shown = await ask("get");
    expect(shown.data.deployments, JSON.stringify(shown.data)).toBeDefined();
    expect(shown.data.deployments[0]).toMatchObject({ status: "in_progress" });
    if (name === "ECS blue/green") expect(shown.data.deployments[0].stage).toBe("SCALE_UP");
    else expect(shown.data.deployments[0].stage).toBeUndefined();
    const { changeId } = planned.data.change;
    const stopped = await assistant.call("changes_cancel", { changeId });
    expect(stopped.isError, JSON.stringify(stopped.data)).toBe(false);
    expect(inProgress()).toEqual([]);
    expect(running()).toBe(before);
    expect(calls(...stops)).toHaveLength(1);
    expect((await change(changeId)).state).toBe("failed");
    const again = await assistant.call("changes_cancel", { changeId });
    expect(again.data).toMatchObject({ code: "unsupported", field: "changeId" });
    expect(calls(...stops)).toHaveLength(1);
  });

  it.each(THREE)("%s: what somebody else has begun in place of ours is not ours to stop", async (name) => {
    const { service, asked, shown, deploy, stop, inProgress, settle, stops } = providers.get(name)!;
    const { create, apply, change } = on(assistant, service);
    looks(500);
    const planned = await create({ version: asked(8), intent: "release" });
    const begun = await apply(planned);
    expect(begun.data.outcome, JSON.stringify(begun.data)).toBe("in_progress");
    stop();
    deploy(9, false);
    publish();
    const { changeId } = planned.data.change;
    const refused = await assistant.call("changes_cancel", { changeId });
    expect(refused.data, JSON.stringify(refused.data)).toMatchObject({ code: "unsupported", field: "changeId" });
    expect(inProgress()).toEqual([shown(9)]);
    expect(calls(...stops).filter(({ status }) => status === 200)).toEqual([]);
    expect((await change(changeId)).state).toBe("failed");
    settle();
  });

  it.each([
    ["ECS rolling", "ListServiceDeployments", 0],
    ["instance refresh", "DescribeInstanceRefreshes", 1],
  ] as const)("%s: nor is it where they began it between our look and our call", async (name, read, before) => {
    const { service, asked, shown, deploy, stop, inProgress, settle, stops } = providers.get(name)!;
    const { create, apply } = on(assistant, service);
    looks(500);
    const planned = await create({ version: asked(14), intent: "release" });
    const begun = await apply(planned);
    expect(begun.data.outcome, JSON.stringify(begun.data)).toBe("in_progress");
    const [from] = stops;
    for (let look = 0; look < before; look++) proxy.rule({ service: from, operation: read, before: () => {} });
    proxy.rule({
      service: from,
      operation: read,
      before: () => {
        stop();
        deploy(15, false);
      },
    });
    const refused = await assistant.call("changes_cancel", { changeId: planned.data.change.changeId });
    expect(proxy.unused).toEqual([]);
    expect(refused.data, JSON.stringify(refused.data)).toMatchObject({ code: "unsupported", field: "changeId" });
    expect(inProgress()).toEqual([shown(15)]);
    expect(calls(...stops)).toEqual([]);
    settle();
  });

  it.each(KILLED)(
    "%s: kill -9 between intent and outcome: the next process finds how it ended, also past what others deployed since",
    async (name) => {
      const { service, asked, shown, deploy, settle, running, creates } = providers.get(name)!;
      const state = `killed-${name.replace(/\W/g, "")}`;
      const first = await start(state);
      const { create } = on(first, service);
      const planned = await create({ version: asked(10), intent: "release" });
      expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
      const held = gate();
      const [called, operation] = creates;
      proxy.rule({ service: called, operation, after: () => held.closed });
      const lost = first.call("changes_apply", { executionToken: planned.data.executionToken }).catch(() => "lost");
      await proxy.arrived({ service: called, operation });
      const { inProgress } = providers.get(name)!;
      while (inProgress().length === 0 && running() !== shown(10))
        await new Promise((resolve) => setImmediate(resolve));
      process.kill(first.pid, "SIGKILL");
      expect(await lost).toBe("lost");
      settle();
      deploy(11);
      publish();
      const next = await start(state);
      const change = await on(next, service).change(planned.data.change.changeId);
      held.open();
      expect(change, JSON.stringify(change)).toMatchObject({ state: "applied" });
      expect(running()).toBe(shown(11));
      const got = (await on(next, service).ask("get")).data.deployments as {
        version: string;
        ours?: object;
        by?: object;
      }[];
      expect(got[0]).toMatchObject({ version: shown(11), by: {} });
      expect(got[0]!.ours).toBeUndefined();
      expect(got.find(({ version }) => version === shown(10))?.ours).toEqual(
        expect.objectContaining({ changeId: planned.data.change.changeId }),
      );
      expect(calls(called, operation)).toHaveLength(1);
      await next.close();
    },
  );

  it.each(KILLED)(
    "%s: kill -9 before AWS got the call: nothing is deployed in the name of somebody who is gone",
    async (name) => {
      const { service, asked, shown, deploy, running, creates } = providers.get(name)!;
      const state = `unsent-${name.replace(/\W/g, "")}`;
      const first = await start(state);
      const planned = await on(first, service).create({ version: asked(12), intent: "release" });
      expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
      const held = gate();
      const [called, operation] = creates;
      proxy.rule({ service: called, operation, hold: held.closed });
      const lost = first.call("changes_apply", { executionToken: planned.data.executionToken }).catch(() => "lost");
      await proxy.arrived({ service: called, operation });
      process.kill(first.pid, "SIGKILL");
      expect(await lost).toBe("lost");
      // Meanwhile the pipeline brings out another version.
      deploy(13);
      publish();
      const next = await start(state);
      const change = await on(next, service).change(planned.data.change.changeId);
      expect(change.state, JSON.stringify(change)).not.toBe("applied");
      expect(running()).toBe(shown(13));
      expect(calls(called, operation).filter(({ status }) => status === 200)).toEqual([]);
      await next.close();
    },
  );
});
