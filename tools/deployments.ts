// Deployments in one shape over ECS, CodeDeploy and instance refreshes: what runs, what was deployed, another version, and back.

import { z } from "zod";
import { type Proposal, ridOf, type Seen } from "../src/core/change.js";
import {
  Deployment,
  DeploymentGroup,
  type DeployTarget,
  EcsService,
  type NotLookedAt,
  RefreshedGroup,
  TaskDefinition,
} from "../src/core/content/deployments.js";
import { decodeCursor, encodeCursor } from "../src/core/cursor.js";
import { isRunning, PROVIDERS, type Provider, STRATEGIES, type Strategy } from "../src/core/deploying.js";
import { OpsError } from "../src/core/errors.js";
import { type Difference, type Json, type JsonObject, pathsTouch, valueAt } from "../src/core/json.js";
import type { AwsReader, PlanPorts, ReadPorts } from "../src/core/ports.js";
import { differences } from "../src/core/same.js";
import { domain, plan, read } from "../src/core/tool.js";
import { named, versionBefore } from "../state/versions.js";
import { oursOf } from "./deployments/ours.js";
import { deployPlan, runningOf, runningVersion, strategiesOf, touchesOf } from "./deployments/plan.js";
import { existing, refOf, seenOf, shownName } from "./deployments/target.js";
import { againOf, wantedOf } from "./deployments/version.js";

const Service = z
  .string()
  .min(1)
  .max(600)
  .describe("cluster/service, application/group, Auto Scaling group, ARN or ECS service name");
const Where = {
  cluster: z.string().min(1).max(255).optional(),
  provider: z.enum(PROVIDERS).optional(),
};

const Ours = z.object({ changeId: z.string(), by: z.string() });
const Row = Deployment.extend({ ours: Ours.optional(), by: z.record(z.string(), z.unknown()).optional() });
const Running = z.object({
  provider: z.enum(PROVIDERS),
  service: z.string(),
  version: z.string(),
  images: z.record(z.string(), z.string()).optional(),
  state: z.string(),
  since: z.string().optional(),
  rolloutId: z.string().optional(),
  controller: z.string().optional(),
  strategy: z.string().optional(),
  latestDeploymentId: z.string().optional(),
  deploymentConfig: z.string().optional(),
  deploymentType: z.string().optional(),
  launchedFrom: z.string().optional(),
  revision: z.string(),
});

/** Deployments an answer about one service shows, and those a rollback looks back over. */
const SHOWN = 5;
const LOOKED_BACK = 100;
const AUTHORS = 5;

const rowOf = ({ again: _, ...deployment }: DeploymentHeld): JsonObject => ({ ...deployment }) as unknown as JsonObject;
type DeploymentHeld = Awaited<ReturnType<AwsReader["deployments"]["history"]>>["items"][number];

/** What else of a provider's content stands in a row, by its name there: with what runs, all that a deployment rests on. */
const BESIDE: Readonly<Record<Provider, Readonly<Record<string, string>>>> = {
  ecs: { rolloutId: "/rollout/id", controller: "/controller", strategy: "/strategy" },
  codedeploy: {
    latestDeploymentId: "/latest/deploymentId",
    deploymentConfig: "/deploymentConfig",
    deploymentType: "/deploymentType",
  },
  "instance-refresh": { launchedFrom: "/launchedFrom" },
};
/** What `runningOf` tells of each. */
const RUNS: Readonly<Record<Provider, readonly string[]>> = {
  ecs: ["/taskDefinition", "/images", "/rollout/state", "/rollout/startedAt"],
  codedeploy: ["/version", "/latest/status", "/lastSuccessful/createdAt"],
  "instance-refresh": [],
};

/** A row shows these parts and no other: what was not shown is never built upon. */
const seenInRow = (aws: AwsReader, target: DeployTarget): Seen => ({
  ...seenOf(aws, target),
  shown: [...RUNS[target.provider], ...Object.values(BESIDE[target.provider])],
});

function runningRow(ports: ReadPorts, target: DeployTarget): JsonObject {
  const { version, images, state, since } = runningOf(target);
  const beside = Object.entries(BESIDE[target.provider]).flatMap(([name, path]): [string, Json][] => {
    const value = valueAt(target.content, path);
    return value === undefined ? [] : [[name, value]];
  });
  return {
    provider: target.provider,
    service: shownName(target),
    version,
    ...(images && { images }),
    state,
    ...(since !== undefined && { since }),
    ...Object.fromEntries(beside),
    revision: ports.revision(seenOf(ports.aws, target)),
  };
}

/** Rows with what the record says of them: ours, and by whom. */
async function ownRows(ports: ReadPorts, target: DeployTarget, items: readonly DeploymentHeld[]) {
  const ours = await oursOf(ports, target, items);
  return items.map((one, index) => ({ ...rowOf(one), ...(ours[index] && { ours: ours[index] }) }) as JsonObject);
}

/** And with who began those that are not ours, as CloudTrail tells. */
async function authoredRows(ports: ReadPorts, target: DeployTarget, items: readonly DeploymentHeld[]) {
  const rows = await ownRows(ports, target, items);
  const others = items.filter((_, index) => rows[index]!.ours === undefined).slice(0, AUTHORS);
  const by = others.length > 0 ? await ports.aws.deployments.startedBy(target, others) : [];
  const byId = new Map(others.map(({ deploymentId }, index) => [deploymentId, by[index]]));
  return rows.map((row) => {
    const author = byId.get(String(row.deploymentId));
    return author ? { ...row, by: author as unknown as Json } : row;
  });
}

const list = read({
  title: "List deployments",
  description:
    "With `service`: what it runs and what was deployed to it, newest first, with version, status, reason and whether by this server. Without: what every ECS service, CodeDeploy group and Auto Scaling group runs. For progress, authors and strategies use deployments.get.",
  scope: "region",
  everywhere: { rows: "services", sum: [] },
  foreignText: true,
  input: z.object({
    service: Service.optional(),
    ...Where,
    limit: z.number().int().min(1).max(50).default(20),
    cursor: z.string().optional(),
  }),
  // Beside them `notLookedAt`: providers that could not be asked.
  output: z.object({
    services: z.array(Running),
    deployments: z.array(Row).optional(),
    nextCursor: z.string().optional(),
  }),
  async run({ service, cluster, provider, limit, cursor }, ports) {
    const { aws, now } = ports;
    const question = { service, cluster, provider, limit, account: aws.account, region: aws.region };
    const at = cursor === undefined ? undefined : decodeCursor(cursor, question, now);
    if (service === undefined) {
      const found = await everything(aws, { cluster, provider, limit, at });
      return {
        data: {
          services: found.targets.map((target) => runningRow(ports, target)),
          ...(found.notLookedAt.length > 0 && { notLookedAt: found.notLookedAt as unknown as Json }),
          ...(found.next !== undefined && { nextCursor: encodeCursor(found.next, question, now) }),
        },
        seen: found.targets.map((target) => seenInRow(aws, target)),
        complete: found.next === undefined && cursor === undefined && found.notLookedAt.length === 0,
      };
    }
    const { target, notLookedAt } = await existing(aws, { service, cluster, provider });
    const page = await aws.deployments.history(target, { limit, ...(at !== undefined && { cursor: at }) });
    return {
      data: {
        services: [runningRow(ports, target)],
        deployments: await ownRows(ports, target, page.items),
        ...(notLookedAt.length > 0 && { notLookedAt: notLookedAt as unknown as Json }),
        ...(page.next !== undefined && { nextCursor: encodeCursor(page.next, question, now) }),
      },
      seen: [seenInRow(aws, target)],
    };
  },
});

/** Targets of one provider after another. Where no provider was asked for, one that cannot be looked at is named. */
async function everything(
  aws: AwsReader,
  query: {
    readonly cluster: string | undefined;
    readonly provider: Provider | undefined;
    readonly limit: number;
    readonly at: string | undefined;
  },
) {
  const { cluster, provider, limit, at } = query;
  const asked: readonly Provider[] = provider ? [provider] : cluster === undefined ? PROVIDERS : ["ecs"];
  const [first, token] = at === undefined ? [asked[0]!, undefined] : (JSON.parse(at) as [Provider, string | undefined]);
  const targets: DeployTarget[] = [];
  const notLookedAt: NotLookedAt[] = [];
  for (let index = Math.max(asked.indexOf(first), 0); index < asked.length; index++) {
    const one = asked[index]!;
    const page = await aws.deployments.targets(
      {
        provider: one,
        limit: limit - targets.length,
        ...(cluster !== undefined && { cluster }),
        ...(one === first && token !== undefined && { cursor: token }),
      },
      asked.length === 1,
    );
    if ("code" in page) {
      notLookedAt.push(page);
      continue;
    }
    targets.push(...page.items);
    const next = page.next !== undefined ? [one, page.next] : asked[index + 1] && [asked[index + 1]!];
    if (targets.length >= limit || page.next !== undefined) {
      return { targets, notLookedAt, next: next && JSON.stringify(next) };
    }
  }
  return { targets, notLookedAt, next: undefined };
}

const get = read({
  title: "Get deployments of a service",
  description:
    "One service in full: what runs, its revision, which strategies it supports, the latest deployments with progress, reason, rollback and who began each (this server, or by CloudTrail). Or one `deploymentId` of it, or a `taskDefinition` alone.",
  scope: "region",
  foreignText: true,
  input: z.object({
    service: Service.optional(),
    ...Where,
    deploymentId: z.string().max(200).optional(),
    taskDefinition: z.string().max(600).optional().describe("family:revision"),
  }),
  output: z.object({
    revision: z.string(),
    provider: z.enum(PROVIDERS).optional(),
    service: z.string().optional(),
    running: z.union([EcsService, DeploymentGroup, RefreshedGroup]).optional(),
    strategies: z.array(z.enum(STRATEGIES)).optional(),
    deployments: z.array(Row).optional(),
    taskDefinition: TaskDefinition.optional(),
  }),
  async run({ service, cluster, provider, deploymentId, taskDefinition }, ports) {
    const { aws, revision } = ports;
    if (service === undefined) return definition(ports, taskDefinition);
    const { target } = await existing(aws, { service, cluster, provider });
    const page = await aws.deployments.history(target, { limit: deploymentId === undefined ? SHOWN : LOOKED_BACK });
    const items = page.items.filter((one) => deploymentId === undefined || one.deploymentId === deploymentId);
    if (deploymentId !== undefined && items.length === 0) {
      throw new OpsError("not_found", "AWS shows no such deployment of this service among the latest ones.", {
        field: "deploymentId",
        next: [{ tool: "deployments.list", arguments: { service, region: aws.region } }],
      });
    }
    const seen = seenOf(aws, target);
    return {
      data: {
        revision: revision(seen),
        provider: target.provider,
        service: shownName(target),
        running: target.content as unknown as JsonObject,
        strategies: [...(await strategiesOf(aws, target)).supported],
        deployments: await authoredRows(ports, target, items.slice(0, SHOWN)),
      },
      seen: [seen],
    };
  },
});

async function definition({ aws, revision }: ReadPorts, name: string | undefined) {
  if (name === undefined) {
    throw new OpsError("validation_error", "Give `service`, or a `taskDefinition`.", {
      field: "service",
      next: [{ tool: "deployments.list", arguments: { region: aws.region } }],
    });
  }
  const content = await aws.get("AWS::ECS::TaskDefinition", name);
  if (!content) {
    throw new OpsError("not_found", `ECS has no such task definition in account ${aws.account}, ${aws.region}.`, {
      field: "taskDefinition",
    });
  }
  const seen: Seen = {
    ref: { ...refOf(aws, "AWS::ECS::TaskDefinition", content.taskDefinition) },
    reader: "service",
    content: content as unknown as JsonObject,
  };
  return { data: { revision: revision(seen), taskDefinition: content as unknown as JsonObject }, seen: [seen] };
}

/** A deployment in progress is shown, and not raced. */
async function refuseRunning(ports: ReadPorts, target: DeployTarget): Promise<void> {
  const { items } = await ports.aws.deployments.history(target, { limit: SHOWN });
  const running = items.find(isRunning);
  if (!running && !runningOf(target).busy) return;
  const [row] = running ? await authoredRows(ports, target, [running]) : [];
  const changeId = (row?.ours as { changeId?: string } | undefined)?.changeId;
  throw new OpsError(
    "resource_busy",
    `A deployment to ${shownName(target)} is in progress, and another one would race it. Nothing was planned. Wait until it has ended${
      changeId
        ? ", or stop it with changes.cancel, which brings the old version back"
        : ", or stop it where it was begun"
    }; then read the service and plan again.`,
    {
      field: "service",
      details: { running: row ?? { state: runningOf(target).state } },
      next: [
        { tool: "deployments.get", arguments: { service: shownName(target), region: ports.aws.region } },
        ...(changeId ? [{ tool: "changes.cancel", arguments: { changeId } }] : []),
      ],
    },
  );
}

const create = plan({
  title: "Plan a deployment",
  description:
    "Plan bringing out another version: image or tag (ECS: the live task definition with only that image changed), task definition, CodeDeploy revision (s3://bucket/key, github:owner/repo@commit) or launch template version. Refused while a deployment runs or if one was made since your read. To go back use deployments.rollback.",
  scope: "region",
  basedOn: "one",
  input: z.object({
    service: Service,
    ...Where,
    version: z.string().min(1).max(1_024),
    container: z.string().max(255).optional().describe("Whose image, where a task has several"),
    strategy: z.enum(STRATEGIES).optional().describe("Default: as the service is set up"),
  }),
  async propose(input, ports) {
    const { target, notLookedAt } = await existing(ports.aws, input);
    const { supported } = await strategiesOf(ports.aws, target, input.strategy);
    const stale = unseen(ports, target, input.strategy);
    if (stale) return stale;
    await refuseRunning(ports, target);
    const wanted = await wantedOf(ports.aws, target, input.version, input.container);
    const made = await deployPlan(ports, target, wanted, input.strategy);
    return {
      ...made,
      facts: {
        ...made.facts,
        supportedStrategies: [...supported],
        ...(notLookedAt.length > 0 && { notLookedAt: notLookedAt as unknown as Json }),
      },
    };
  },
});

const rollback = plan({
  title: "Plan a deployment rollback",
  description:
    "Plan going back to `previous`, resolved from live AWS: the last version deployed successfully before the one running, never what you remember; or to a named one. Refused with what changed if somebody deployed since your read. Shows what is undone and who deployed it.",
  scope: "region",
  basedOn: "one",
  input: z.object({
    service: Service,
    ...Where,
    to: z.string().min(1).max(1_024).default("previous").describe("previous, a version, image tag or deployment id"),
    strategy: z.enum(STRATEGIES).optional(),
  }),
  async propose({ to, strategy, ...input }, ports) {
    const { aws } = ports;
    const { target } = await existing(aws, input);
    await strategiesOf(aws, target, strategy);
    const stale = unseen(ports, target, strategy);
    if (stale) return stale;
    await refuseRunning(ports, target);
    const now = runningOf(target);
    const history = await lookBack(aws, target);
    const before = versionBefore(history, await runningVersion(aws, target));
    const chosen = to === "previous" ? before.previous : named(history, to);
    if (to === "previous" && !chosen) throw noPrevious(target, history, aws);
    const wanted = chosen ? await againOf(aws, target, chosen) : await wantedOf(aws, target, to, undefined, "to");
    const made = await deployPlan(ports, target, wanted, strategy);
    const since = chosen ? history.slice(0, history.indexOf(chosen)) : before.since;
    const undone = await authoredRows(ports, target, since.slice(0, LOOKED_BACK).slice(0, SHOWN));
    const [row] = chosen ? await ownRows(ports, target, [chosen]) : [];
    const everGood = history.some((one) => one.status === "succeeded" && one.version === wanted.version);
    const resolved: JsonObject = { ...(row ?? { version: wanted.version }), neverSuccessful: !everGood };
    return {
      ...made,
      warnings: [
        ...(everGood
          ? []
          : ["AWS's record shows no successful deployment of this version: it was named, so it is planned."]),
        ...(since.length > SHOWN
          ? [`${since.length - SHOWN} more deployments were made since; deployments.list has them.`]
          : []),
        ...made.warnings,
      ],
      facts: {
        resolvedTo: resolved,
        running: { version: now.version, ...(now.images && { images: now.images }) },
        deployedSince: undone,
        ...made.facts,
      },
    };
  },
});

/**
 * Where the caller saw nothing of the target, or it is otherwise now where a deployment looks: nothing but what the gate needs
 * to refuse that and say what changed. Asked before anything is said about what runs now, for then nothing else counts.
 */
function unseen({ aws, basedOn }: PlanPorts, target: DeployTarget, strategy: Strategy | undefined): Proposal | null {
  const { ref, reader, content } = seenOf(aws, target);
  const touches = touchesOf(target, strategy);
  const shown = basedOn.get(ridOf(ref));
  const moved = ({ path }: Difference): boolean => touches.some((touch) => pathsTouch(touch, path));
  if (shown && !differences(shown.content, content, []).some(moved)) return null;
  const basis = [{ ref, reader, before: content, touches }];
  return { summary: `Deploy to ${shownName(target)}`, basis, steps: [], warnings: [] };
}

/** The deployments a rollback looks back over, newest first. */
async function lookBack(aws: AwsReader, target: DeployTarget): Promise<DeploymentHeld[]> {
  const found: DeploymentHeld[] = [];
  let cursor: string | undefined;
  do {
    const page = await aws.deployments.history(target, { limit: LOOKED_BACK, ...(cursor && { cursor }) });
    found.push(...page.items);
    cursor = page.next;
  } while (cursor !== undefined && found.length < LOOKED_BACK);
  return found.sort((a, b) => (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : 0));
}

function noPrevious(target: DeployTarget, history: readonly DeploymentHeld[], aws: AwsReader): OpsError {
  const tried = history.filter(({ status }) => status !== "succeeded").slice(0, SHOWN);
  return new OpsError(
    "not_found",
    `AWS's record of ${shownName(target)} shows no other version that was deployed successfully before the running one. Nothing was planned. Ask the user which version they mean, and name it in \`to\`.`,
    {
      field: "to",
      details: { deployments: history.length, notSuccessful: tried.map(rowOf) },
      next: [{ tool: "deployments.list", arguments: { service: shownName(target), region: aws.region } }],
    },
  );
}

// Found by tools.search: the default list has no room for more.
export const deployments = domain("deployments", { list, get, create, rollback }, ["list", "create", "rollback"]);
