// Danger 3, stale deployment state and accidental rollback: random histories of ECS services, CodeDeploy groups and instance
// refreshes, all scripted, with a pipeline that deploys at any moment. The oracle keeps its own account of what ran when.

import { describe, expect, it } from "vitest";
import { DeploymentAccount } from "../deployments/account.js";
import { PIPELINE } from "../deployments/party.js";
import { inMemory } from "../in-memory.js";
import { playAll, type Random } from "./variations.js";

const intent = "the API seems slow, roll back to the previous stable version";

/** A thing that is deployed to, as somebody outside sees it. */
interface Stage {
  readonly service: string;
  /** Brings out version `n`; a bad one fails and is taken back. */
  deploy(n: number): void;
  running(): string;
  label(n: number): string;
  spoil(n: number): void;
  /** Begins a deployment that does not end by itself. */
  begin(n: number): void;
}

const s3 = (n: number) => ({
  revisionType: "S3",
  s3Location: { bucket: "releases", key: "web.zip", bundleType: "zip", version: `v${n}` },
});

function ecsStage({ ecs }: DeploymentAccount, name: string): Stage {
  const image = (n: number) => `registry.example/${name}:v2.${n}.0`;
  const define = (n: number) => {
    while (!ecs.definition(`${name}:${n}`)) {
      const next = [...ecs.definitions.values()].filter(({ family }) => family === name).length + 1;
      ecs.define(name, { web: image(next) });
    }
    return `${name}:${n}`;
  };
  ecs.serve("prod", name, define(1), PIPELINE);
  return {
    service: `prod/${name}`,
    deploy: (n) => ecs.deploy("prod", name, define(n), PIPELINE),
    running: () => ecs.services.get(`prod/${name}`)!.taskDefinition,
    label: (n) => `${name}:${n}`,
    spoil: (n) => void ecs.bad.add(image(n)),
    begin: (n) => {
      ecs.looks = 10_000;
      ecs.deploy("prod", name, define(n), PIPELINE, false);
      ecs.looks = 1;
    },
  };
}

function groupStage({ codedeploy }: DeploymentAccount, name: string): Stage {
  const group = codedeploy.group(name, "production");
  codedeploy.deploy(group, s3(1), PIPELINE);
  const label = (n: number) => `s3://releases/web.zip?versionId=v${n}`;
  const here = () => codedeploy.deployments.filter(({ applicationName }) => applicationName === name);
  return {
    service: `${name}/production`,
    deploy: (n) => void codedeploy.deploy(group, s3(n), PIPELINE),
    running: () => {
      const good = here().find(({ status }) => status === "Succeeded")!;
      return `s3://releases/web.zip?versionId=${(good.revision as ReturnType<typeof s3>).s3Location.version}`;
    },
    label,
    spoil: (n) => void codedeploy.bad.add(`"v${n}"`),
    begin: (n) => {
      codedeploy.looks = 10_000;
      codedeploy.deploy(group, s3(n), PIPELINE, false);
      codedeploy.looks = 1;
    },
  };
}

function refreshStage({ refreshes }: DeploymentAccount, name: string): Stage {
  const group = refreshes.group(name, "1", 30);
  refreshes.deploy(group, "1", PIPELINE);
  return {
    service: name,
    deploy: (n) => refreshes.deploy(group, String(n), PIPELINE),
    running: () => group.version,
    label: String,
    spoil: (n) => void refreshes.bad.add(String(n)),
    begin: (n) => {
      refreshes.looks = 10_000;
      refreshes.deploy(group, String(n), PIPELINE, false);
      refreshes.looks = 1;
    },
  };
}

const STAGES = [ecsStage, groupStage, refreshStage];

/** What ran, in order: the outside account that the server's answers are held against. */
class Ran {
  readonly versions: number[] = [1];
  private readonly bad = new Set<number>();

  constructor(private readonly stage: Stage) {}

  deploy(n: number, bad: boolean): void {
    if (bad) {
      this.bad.add(n);
      this.stage.spoil(n);
    }
    this.stage.deploy(n);
    if (!this.bad.has(n)) this.versions.push(n);
  }

  get running(): number {
    return this.versions.at(-1)!;
  }

  /** The last other version that ran before the running one's newest deployment. */
  get previous(): number | undefined {
    return this.versions.findLast((n) => n !== this.running);
  }
}

async function variation(random: Random): Promise<string | null> {
  const account = new DeploymentAccount();
  const stage = random.pick(STAGES)(account, "api");
  const ran = new Ran(stage);
  let newest = 1;
  const deploy = (): void => {
    const again = random.chance(0.15) && ran.versions.length > 1;
    const n = again ? random.pick(ran.versions) : ++newest;
    if (n !== ran.running) ran.deploy(n, !again && random.chance(0.25));
  };
  for (let count = random.below(5); count > 0; count--) deploy();
  account.script.pass(600);
  const session = await inMemory({ wrap: (_, clock) => account.aws(clock) });
  const call = (tool: string, given: object = {}) =>
    session.call(`deployments_${tool}`, { service: stage.service, ...given });
  const wrong = (what: string, answer: unknown) => `${stage.service}: ${what}: ${JSON.stringify(answer).slice(0, 600)}`;
  try {
    const read = await call(random.pick(["list", "get"]));
    const revision = read.revision ?? read.services[0].revision;
    const saw = ran.running;
    const sawCalls = account.script.trail.length;
    // Somebody else, between the read and the question.
    for (let count = random.pick([0, 1, 1, 2]); count > 0; count--) deploy();
    session.pass(60_000);
    if (random.chance(0.15)) {
      stage.begin(++newest);
      const raced = await call("rollback", { basedOn: revision, intent });
      if (!raced.isError || !["resource_busy", "stale_revision"].includes(raced.code)) {
        return wrong("raced a deployment in progress", raced);
      }
      return account.calls.some(({ writes }) => writes) ? wrong("wrote beside a deployment in progress", raced) : null;
    }
    const planned = await call("rollback", { basedOn: revision, intent });
    if (ran.running !== saw && planned.code !== "stale_revision") return wrong("planned from a stale read", planned);
    if (planned.code === "stale_revision") {
      if (account.script.trail.length === sawCalls) return wrong("refused for nothing", planned);
      if (account.calls.some(({ writes }) => writes)) return wrong("wrote although it refused", planned);
    }
    const fresh = await call("get");
    const plan =
      planned.code === "stale_revision" ? await call("rollback", { basedOn: fresh.revision, intent }) : planned;
    if (ran.previous === undefined) {
      return plan.code === "not_found" && plan.field === "to"
        ? null
        : wrong("found a previous where there is none", plan);
    }
    const facts = plan.change?.facts;
    if (facts?.resolvedTo.version !== stage.label(ran.previous))
      return wrong(`previous is ${stage.label(ran.previous)}`, plan);
    const first = facts.deployedSince.find(({ status }: { status: string }) => status === "succeeded");
    if (first?.version !== stage.label(ran.running)) return wrong("the running version is not named first", facts);
    // Somebody else again, between the plan and the apply.
    const hotfix = random.chance(0.3);
    if (hotfix) ran.deploy(++newest, false);
    const applied = await session.call("changes_apply", { executionToken: plan.executionToken });
    if (hotfix) {
      if (applied.code !== "stale_revision") return wrong("applied over a hotfix", applied);
      return stage.running() === stage.label(ran.running) ? null : wrong("the hotfix is gone", applied);
    }
    if (applied.outcome !== "applied") return wrong("did not apply", applied);
    return stage.running() === stage.label(ran.previous) ? null : wrong(`runs ${stage.running()}`, applied);
  } finally {
    await session.close();
  }
}

describe("danger 3 (ECS, CodeDeploy and instance refreshes scripted)", () => {
  it("gives no wrong answer in any variation", { timeout: 3_600_000 }, async () => {
    expect(await playAll("danger 3", variation)).toEqual([]);
  });
});
