// Deployments to ECS services, on a scripted ECS: what runs, another version, failures, and back.

import { afterEach, describe, expect, it } from "vitest";
import { type InMemory, inMemory } from "../in-memory.js";
import { DeploymentAccount } from "./account.js";
import { PIPELINE } from "./party.js";

const REPO = "000000000000.dkr.ecr.us-east-1.amazonaws.com/api";
const SERVICE = "prod/api-service";
const open: InMemory[] = [];
afterEach(async () => {
  for (const session of open.splice(0)) await session.close();
});

/** A service that was brought from v2.1.0 to v2.3.0 by a pipeline, and an assistant beside it. */
async function story(prepare: (account: DeploymentAccount) => void = () => {}, args: readonly string[] = []) {
  const account = new DeploymentAccount();
  const { ecs } = account;
  ecs.define("api", { web: `${REPO}:v2.1.0` });
  ecs.serve("prod", "api-service", "api:1", PIPELINE);
  for (const version of ["v2.2.0", "v2.3.0"]) {
    ecs.deploy("prod", "api-service", ecs.define("api", { web: `${REPO}:${version}` }), PIPELINE);
  }
  account.script.pass(7_200);
  prepare(account);
  const session = await inMemory({ wrap: (_, clock) => account.aws(clock), args });
  open.push(session);
  const call = (tool: string, given: object = {}) =>
    session.call(`deployments_${tool}`, { service: SERVICE, ...given });
  /** As an honest caller deploys: read, then planned. */
  const create = async (given: object) => call("create", { basedOn: (await call("get")).revision, ...given });
  const apply = ({ executionToken }: { executionToken: string }) => session.call("changes_apply", { executionToken });
  const running = () => ecs.services.get("prod/api-service")!.taskDefinition;
  const hotfix = () => ecs.deploy("prod", "api-service", ecs.define("api", { web: `${REPO}:v2.4.0` }), PIPELINE);
  return { account, ecs, session, call, create, apply, running, hotfix };
}

describe("what is deployed (scripted ECS)", () => {
  it("shows what runs and what was deployed, newest first, and who did it", async () => {
    const { call } = await story();
    const listed = await call("list");
    expect(listed.services).toMatchObject([
      { provider: "ecs", service: SERVICE, version: "api:3", images: { web: `${REPO}:v2.3.0` }, state: "COMPLETED" },
    ]);
    expect(listed.deployments.map((one: { version: string }) => one.version)).toEqual(["api:3", "api:2", "api:1"]);
    expect(listed.deployments[0]).toMatchObject({ status: "succeeded", images: { web: `${REPO}:v2.3.0` } });
    expect(listed.deployments[0].ours).toBeUndefined();
    const got = await call("get");
    expect(got).toMatchObject({
      revision: listed.services[0].revision,
      provider: "ecs",
      strategies: ["rolling"],
      running: { taskDefinition: "api:3", controller: "ECS", circuitBreaker: { enabled: true, rollback: true } },
    });
    expect(got.deployments[0].by).toMatchObject({
      status: "known",
      principal: PIPELINE.arn,
      eventName: "UpdateService",
    });
    expect(JSON.stringify(got)).not.toContain("hunter2");
  });

  it("has been seen as far as a row shows it: enough to deploy and to go back from, and not for another strategy", async () => {
    const { ecs, call, hotfix } = await story();
    ecs.services.get(SERVICE)!.loadBalancers.push({ containerName: "web", advancedConfiguration: {} });
    const [row] = (await call("list")).services;
    expect(row).toMatchObject({ rolloutId: expect.stringMatching(/^ecs-svc/), controller: "ECS", strategy: "ROLLING" });
    for (const [tool, wanted] of [
      ["create", { version: "v2.4.0" }],
      ["rollback", { to: "previous" }],
    ] as const) {
      const given = { ...wanted, basedOn: row.revision, intent: "from the list" };
      const planned = await call(tool, given);
      expect(planned.isError, JSON.stringify(planned)).toBeUndefined();
      const unseen = await call(tool, { ...given, strategy: "canary" });
      expect(unseen, JSON.stringify(unseen)).toMatchObject({ code: "precondition_required", field: "basedOn" });
      expect(unseen.message).toContain("/configuration");
      expect(unseen.next[0]).toMatchObject({ tool: "deployments_get" });
    }
    // Whoever reads on from there has seen it.
    const { revision } = await call("get");
    const given = { to: "previous", strategy: "canary", basedOn: revision, intent: "from the service" };
    expect((await call("rollback", given)).isError).toBeUndefined();
    hotfix();
    const stale = await call("rollback", { basedOn: row.revision, intent: "from the list" });
    expect(stale).toMatchObject({ code: "stale_revision" });
  });

  it("lists what every service runs, a page at a time, and names what it could not look at", async () => {
    const { account, session, ecs } = await story(({ ecs }) => {
      for (let n = 0; n < 7; n++) ecs.serve(n % 2 ? "prod" : "stage", `s${n}`, "api:1", PIPELINE);
    });
    account.denied.add("codedeploy:ListApplications");
    const names: string[] = [];
    let cursor: string | undefined;
    let pages = 0;
    do {
      const page = await session.call("deployments_list", { limit: 3, ...(cursor ? { cursor } : {}) });
      expect(page.isError, JSON.stringify(page)).toBeUndefined();
      expect(page.services.length).toBeLessThanOrEqual(3);
      names.push(...page.services.map((one: { service: string }) => one.service));
      cursor = page.nextCursor;
      if (!cursor) expect(page.notLookedAt).toMatchObject([{ provider: "codedeploy", code: "access_denied" }]);
      pages++;
    } while (cursor && pages < 20);
    expect(names).toHaveLength(ecs.services.size);
    expect(new Set(names).size).toBe(names.length);
    const denied = await session.call("deployments_list", { provider: "codedeploy" });
    expect(denied).toMatchObject({ isError: true, code: "access_denied", action: "codedeploy:ListApplications" });
  });
});

describe("deploying (scripted ECS)", () => {
  it("makes a task definition from the live one with only the image changed, and waits until AWS says it is done", async () => {
    const { account, ecs, call, create, apply, running, session } = await story(({ ecs }) => {
      ecs.looks = 3;
    });
    const planned = await create({ version: "v2.4.0", intent: "release" });
    expect(planned.isError, JSON.stringify(planned)).toBeUndefined();
    expect(planned.change.steps.map((step: { call: string }) => step.call)).toEqual([
      "ecs.RegisterTaskDefinition",
      "ecs.UpdateService",
    ]);
    expect(planned.change.facts).toMatchObject({
      to: { images: { web: `${REPO}:v2.4.0` } },
      supportedStrategies: ["rolling"],
    });
    expect(account.writes("RegisterTaskDefinition")).toEqual([]);
    const applied = await apply(planned);
    expect(applied, JSON.stringify(applied)).toMatchObject({ outcome: "applied" });
    expect(running()).toBe("api:4");
    const [before, after] = [ecs.definition("api:3")!, ecs.definition("api:4")!];
    expect(after.body).toEqual({
      ...before.body,
      containerDefinitions: [{ ...before.body.containerDefinitions[0], image: `${REPO}:v2.4.0` }],
    });
    const stored = [...session.kept.values()].map((bytes) => Buffer.from(bytes).toString()).join();
    expect(stored).not.toContain("hunter2");
    const listed = await call("list");
    expect(listed.deployments[0]).toMatchObject({ version: "api:4", ours: { changeId: planned.change.changeId } });
  });

  it("records a deployment that the circuit breaker took back as failed, with AWS's reason as data", async () => {
    const { ecs, call, create, apply, running, session } = await story();
    ecs.bad.add(`${REPO}:v2.4.0`);
    const planned = await create({ version: `${REPO}:v2.4.0`, intent: "release" });
    const failed = await apply(planned);
    expect(failed).toMatchObject({ isError: true, code: "aws_failed", awsCode: "ROLLBACK_SUCCESSFUL" });
    expect(failed.awsMessage).toContain("circuit breaker threshold");
    expect(failed.message).not.toContain("circuit breaker threshold");
    expect(running()).toBe("api:3");
    const history = await session.call("state_history", {
      identifier: `${ecs.services.get("prod/api-service")!.serviceArn}|prod`,
    });
    expect(history.lineage.at(-1)).toMatchObject({ outcome: "failed", error: { awsCode: "ROLLBACK_SUCCESSFUL" } });
    const listed = await call("list");
    expect(listed.deployments[0]).toMatchObject({
      version: "api:4",
      status: "rolled_back",
      rollback: { to: "api:3" },
      ours: { changeId: planned.change.changeId },
    });
  });

  it("stops no deployment that took the place of its own", async () => {
    const { account, ecs, create, apply, session } = await story(({ ecs }) => {
      ecs.looks = 1_000;
    });
    const planned = await create({ version: "v2.4.0", intent: "release" });
    expect(await apply(planned)).toMatchObject({ outcome: "in_progress" });
    // Nobody looks at it again by itself before it is cancelled.
    await session.call("session_whoami");
    ecs.deploy("prod", "api-service", ecs.define("api", { web: `${REPO}:v2.5.0` }), PIPELINE, false);
    const { changeId } = planned.change;
    const refused = await session.call("changes_cancel", { changeId });
    expect(refused, JSON.stringify(refused)).toMatchObject({ isError: true, code: "unsupported" });
    expect(account.writes("StopServiceDeployment")).toEqual([]);
    expect(ecs.services.get(SERVICE)!.deployments[0]).toMatchObject({ status: "IN_PROGRESS" });
  });

  it("hands a long one over, shows it, does not race it, and stops it when asked", async () => {
    const { ecs, create, apply, running, session } = await story(({ ecs }) => {
      ecs.looks = 500;
    });
    const planned = await create({ version: "v2.4.0", intent: "release" });
    expect(await apply(planned)).toMatchObject({ outcome: "in_progress" });
    const raced = await create({ version: "v2.5.0", intent: "another" });
    expect(raced).toMatchObject({ isError: true, code: "resource_busy", field: "service" });
    expect(raced.running).toMatchObject({ status: "in_progress", version: "api:4" });
    const { changeId } = planned.change;
    expect(raced.next).toContainEqual({ tool: "changes_cancel", arguments: { changeId } });
    const stopped = await session.call("changes_cancel", { changeId });
    expect(stopped.isError, JSON.stringify(stopped)).toBeUndefined();
    expect(running()).toBe("api:3");
    expect((await session.call("changes_get", { changeId })).change.state).toBe("failed");
    ecs.looks = 1;
    expect(await apply(await create({ version: "v2.5.0", intent: "another" }))).toMatchObject({
      outcome: "applied",
    });
  });

  it("does not race a deployment that somebody else began, before or after the plan", async () => {
    const { ecs, create, apply, hotfix, running } = await story();
    const planned = await create({ version: "v2.5.0", intent: "release" });
    hotfix();
    expect(await apply(planned)).toMatchObject({ isError: true, code: "stale_revision" });
    expect(running()).toBe("api:4");
    ecs.looks = 500;
    ecs.deploy("prod", "api-service", "api:2", PIPELINE, false);
    const raced = await create({ version: "v2.5.0", intent: "release" });
    expect(raced).toMatchObject({
      code: "resource_busy",
      running: { version: "api:2", by: { principal: PIPELINE.arn } },
    });
  });

  it("finishes what was lost on the way, once", async () => {
    for (const lost of ["ecs:RegisterTaskDefinition", "ecs:UpdateService"]) {
      const { account, create, apply, running } = await story();
      account.lost.add(lost);
      const planned = await create({ version: "v2.4.0", intent: "release" });
      expect(await apply(planned), lost).toMatchObject({ outcome: "applied" });
      expect(running()).toBe("api:4");
      expect(account.writes("RegisterTaskDefinition")).toHaveLength(1);
      expect(account.writes("UpdateService")).toHaveLength(1);
    }
  });

  it("is finished by the next process where the first one is gone in the middle", async () => {
    const { account, ecs, session, create, apply, running } = await story(({ ecs }) => {
      ecs.looks = 500;
    });
    const planned = await create({ version: "v2.4.0", intent: "release" });
    expect(await apply(planned)).toMatchObject({ outcome: "in_progress" });
    ecs.settle(ecs.services.get("prod/api-service")!);
    ecs.services.get("prod/api-service")!.rollouts[0]!.looks = 0;
    const next = await session.beside({
      owner: { pid: 2, session: "next" },
      liveness: () => "dead",
      wrap: (_, clock) => account.aws(clock),
    });
    open.push(next);
    for (let look = 0; look < 4; look++) {
      await next.call("session_whoami");
      next.pass(20_000);
    }
    const change = (await next.call("changes_get", { changeId: planned.change.changeId })).change;
    expect(change.state, JSON.stringify(change)).toBe("applied");
    expect(running()).toBe("api:4");
    expect(account.writes("UpdateService")).toHaveLength(1);
  });
});

describe("deploying over somebody else (scripted ECS)", () => {
  it("needs a revision of the service", async () => {
    const { call } = await story();
    for (const given of [
      {},
      { basedOn: "" },
      { basedOn: (await call("get", { service: undefined, taskDefinition: "api:2" })).revision },
    ]) {
      expect(await call("create", { version: "api:2", intent: "back", ...given })).toMatchObject({
        code: "precondition_required",
        field: "basedOn",
      });
    }
  });

  it("is refused with what they deployed and by whom, and is planned from that", async () => {
    const { account, call, apply, hotfix, running, session } = await story();
    const { revision } = await call("get");
    hotfix();
    session.pass(30 * 60_000);
    for (const version of ["api:2", "v2.5.0", "api:4", "api:99"]) {
      const stale = await call("create", { version, basedOn: revision, intent: "the version of yesterday" });
      expect(stale, JSON.stringify(stale)).toMatchObject({ isError: true, code: "stale_revision", field: "basedOn" });
      expect(stale.changed).toContainEqual(
        expect.objectContaining({ path: "/taskDefinition", youSaw: "api:3", now: "api:4" }),
      );
      expect(JSON.stringify(stale.changed)).toContain("ci-deployer");
    }
    expect(account.calls.filter(({ writes }) => writes)).toEqual([]);
    const { now } = await call("create", { version: "api:2", basedOn: revision, intent: "the version of yesterday" });
    const planned = await call("create", { version: "api:2", basedOn: now.revision, intent: "yes, over the hotfix" });
    expect(planned.change?.summary, JSON.stringify(planned)).toContain("now api:4");
    expect(await apply(planned)).toMatchObject({ outcome: "applied" });
    expect(running()).toBe("api:2");
  });

  it("is not disturbed by how many tasks run or by tags", async () => {
    const { ecs, call } = await story();
    const { revision } = await call("get");
    Object.assign(ecs.services.get(SERVICE)!, { desired: 5, tags: [{ key: "team", value: "shop" }] });
    const planned = await call("create", { version: "v2.4.0", basedOn: revision, intent: "release" });
    expect(planned.isError, JSON.stringify(planned)).toBeUndefined();
  });
});

describe("another strategy (scripted ECS)", () => {
  const shifting = () => story(({ ecs }) => void ecs.services.get(SERVICE)!.loadBalancers.push(SHIFTS));
  const SHIFTS = { containerName: "web", containerPort: 8080, advancedConfiguration: {} };
  const breakerOff = { deploymentCircuitBreaker: { enable: false, rollback: false } };
  /** What an outsider sets with UpdateService: nothing is deployed by it. */
  const set = (ecs: DeploymentAccount["ecs"], part: object) => {
    const service = ecs.services.get(SERVICE)!;
    service.configuration = { ...service.configuration, ...part };
    return service.configuration;
  };

  it.each([
    ["minimumHealthyPercent", { minimumHealthyPercent: 77 }, "/configuration/minimumHealthyPercent"],
    ["the circuit breaker", breakerOff, "/circuitBreaker/enabled"],
  ])("does not overwrite %s that somebody set, after the plan or before it", async (_, part, path) => {
    for (const [tool, wanted] of [
      ["create", { version: "v2.4.0" }],
      ["rollback", { to: "previous" }],
    ] as const) {
      const { account, ecs, call, apply, running } = await shifting();
      const { revision } = await call("get");
      const asked = {
        ...wanted,
        strategy: "canary",
        basedOn: revision,
        intent: "carefully",
      };
      const planned = await call(tool, asked);
      expect(planned.isError, JSON.stringify(planned)).toBeUndefined();
      const theirs = set(ecs, part);
      for (const refused of [await apply(planned), await call(tool, asked)]) {
        expect(refused, JSON.stringify(refused)).toMatchObject({ isError: true, code: "stale_revision" });
        expect(refused.changed).toContainEqual(expect.objectContaining({ path }));
      }
      expect(account.calls.filter(({ writes }) => writes)).toEqual([]);
      expect(ecs.services.get(SERVICE)!.configuration).toEqual(theirs);
      expect(running()).toBe("api:3");
    }
  });

  it("is planned with the whole configuration that it leaves, and sends that", async () => {
    const { account, ecs, create, apply } = await shifting();
    const before = ecs.services.get(SERVICE)!.configuration;
    const planned = await create({ version: "api:2", strategy: "canary", intent: "carefully" });
    const [step] = planned.change.steps;
    expect(step.differences).toContainEqual(
      expect.objectContaining({ path: "/configuration/strategy", before: "ROLLING", after: "CANARY" }),
    );
    const applied = await apply(planned);
    expect(applied, JSON.stringify(applied)).toMatchObject({ outcome: "applied" });
    expect(applied.notes ?? []).toEqual([]);
    expect(account.writes("UpdateService")).toHaveLength(1);
    expect(ecs.services.get(SERVICE)!.configuration).toEqual({ ...before, strategy: "CANARY" });
  });

  it("that the service has already is not sent, so what somebody set meanwhile stays", async () => {
    const { ecs, create, apply, running } = await shifting();
    const planned = await create({ version: "api:2", strategy: "rolling", intent: "back" });
    const theirs = set(ecs, { minimumHealthyPercent: 77, ...breakerOff });
    const applied = await apply(planned);
    expect(applied, JSON.stringify(applied)).toMatchObject({ outcome: "applied" });
    expect(applied.notes.join()).toContain("it stays");
    expect(running()).toBe("api:2");
    expect(ecs.services.get(SERVICE)!.configuration).toEqual(theirs);
  });
});

describe("going back (scripted ECS)", () => {
  it("danger 3: refuses what was read before a hotfix, says who deployed it, and then goes back to what ran before it", async () => {
    const { call, apply, hotfix, running, session } = await story();
    const read = await call("list");
    expect(read.services[0].version).toBe("api:3");
    hotfix();
    session.pass(30 * 60_000);
    const stale = await call("rollback", {
      to: "previous",
      basedOn: read.services[0].revision,
      intent: "the API seems slow, roll back to the previous stable version",
    });
    expect(stale).toMatchObject({ isError: true, code: "stale_revision", field: "basedOn" });
    expect(stale.changed).toContainEqual(
      expect.objectContaining({ path: "/taskDefinition", youSaw: "api:3", now: "api:4" }),
    );
    expect(JSON.stringify(stale.changed)).toContain("ci-deployer");
    expect(running()).toBe("api:4");
    expect(stale.next[0]).toMatchObject({ tool: "deployments_get" });
    const fresh = await call("get");
    expect(fresh.deployments[0]).toMatchObject({ version: "api:4", by: { principal: PIPELINE.arn } });
    const planned = await call("rollback", {
      to: "previous",
      basedOn: fresh.revision,
      intent: "the hotfix made it slow",
    });
    expect(planned.isError, JSON.stringify(planned)).toBeUndefined();
    expect(planned.change.facts).toMatchObject({
      resolvedTo: { version: "api:3", images: { web: `${REPO}:v2.3.0` }, neverSuccessful: false },
      running: { version: "api:4", images: { web: `${REPO}:v2.4.0` } },
      deployedSince: [{ version: "api:4", images: { web: `${REPO}:v2.4.0` }, by: { principal: PIPELINE.arn } }],
    });
    expect(await apply(planned)).toMatchObject({ outcome: "applied" });
    expect(running()).toBe("api:3");
  });

  it("needs a revision of the service", async () => {
    const { call } = await story();
    expect(await call("rollback", { intent: "back" })).toMatchObject({
      code: "precondition_required",
      field: "basedOn",
    });
  });

  it("never takes a failed version for the one before, and refuses where no other one ever ran", async () => {
    const { ecs, call } = await story();
    ecs.bad.add(`${REPO}:bad`);
    ecs.deploy("prod", "api-service", ecs.define("api", { web: `${REPO}:bad` }), PIPELINE);
    const planned = await call("rollback", { basedOn: (await call("get")).revision, intent: "back" });
    expect(planned.change.facts.resolvedTo.version).toBe("api:2");
    ecs.serve("prod", "fresh", ecs.define("fresh", { web: "fresh:1" }), PIPELINE);
    ecs.bad.add("fresh:2");
    ecs.deploy("prod", "fresh", ecs.define("fresh", { web: "fresh:2" }), PIPELINE);
    const fresh = await call("get", { service: "prod/fresh" });
    const refused = await call("rollback", { service: "prod/fresh", basedOn: fresh.revision, intent: "back" });
    expect(refused).toMatchObject({ isError: true, code: "not_found", field: "to" });
    expect(refused.notSuccessful).toMatchObject([{ version: "fresh:2", status: "rolled_back" }]);
    const asked = await call("rollback", {
      service: "prod/fresh",
      to: "fresh:2",
      basedOn: fresh.revision,
      intent: "back",
    });
    expect(asked.change.facts.resolvedTo).toMatchObject({ version: "fresh:2", neverSuccessful: true });
    expect(asked.change.warnings.join()).toContain("no successful deployment of this version");
  });

  it("goes back to a version by its tag, also past others", async () => {
    const { call, apply, running } = await story();
    const planned = await call("rollback", { to: "v2.1.0", basedOn: (await call("get")).revision, intent: "far back" });
    expect(planned.change.facts).toMatchObject({
      resolvedTo: { version: "api:1" },
      deployedSince: [{ version: "api:3" }, { version: "api:2" }],
    });
    await apply(planned);
    expect(running()).toBe("api:1");
  });

  it("state.rollback brings back what a token of this server left", async () => {
    const { ecs, call, create, apply, running, session } = await story();
    const first = await create({ version: "v2.4.0", intent: "release" });
    await apply(first);
    await apply(await create({ version: "v2.5.0", intent: "release" }));
    expect(running()).toBe("api:5");
    const identifier = `${ecs.services.get("prod/api-service")!.serviceArn}|prod`;
    const back = await session.call("state_rollback", {
      identifier,
      to: first.executionToken,
      basedOn: (await call("get")).revision,
      intent: "back to the release",
    });
    expect(back.isError, JSON.stringify(back)).toBeUndefined();
    expect(await apply(back)).toMatchObject({ outcome: "applied" });
    expect(running()).toBe("api:4");
  });
});
