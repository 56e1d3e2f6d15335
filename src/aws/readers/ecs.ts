// ECS's reads: services by what they run, task definitions without what may hold secrets, and deployments as AWS records them.

import type {
  Service as AwsService,
  TaskDefinition as AwsTaskDefinition,
  Deployment as Rollout,
  ServiceDeployment,
  ServiceRevision,
} from "@aws-sdk/client-ecs";
import type { Deployment, EcsService, TaskDefinition } from "../../core/content/deployments.js";
import { type DeploymentStatus, isRunning } from "../../core/deploying.js";
import { OpsError } from "../../core/errors.js";
import type { JsonObject } from "../../core/json.js";
import type { Page } from "../../core/page.js";
import type { Api } from "../api.js";
import { foreign } from "../foreign.js";
import { allPages } from "../pages.js";
import { byName, chunks, page, present, type TypeReader, unlessAbsent } from "./parts.js";

const ABSENT = new Set(["ClusterNotFoundException", "ServiceNotFoundException"]);
/** AWS's limits of one question. */
const MOST = { services: 10, deployments: 20, listed: 100 } as const;
const REASON = 400;

/** The last part of an ARN: a service's name, or `family:revision`. */
export const lastOf = (arn = ""): string => arn.split("/").at(-1) ?? "";

/** A service's id, as Cloud Control composes it. */
export const serviceIdOf = ({ serviceArn = "", clusterArn = "" }: Pick<AwsService, "serviceArn" | "clusterArn">) =>
  `${serviceArn}|${lastOf(clusterArn)}`;

/** How the API names a service. */
export function serviceOf(id: string): { readonly cluster: string; readonly service: string } {
  const [service = "", cluster = ""] = id.split("|");
  return { service, cluster: cluster || "default" };
}

const imagesIn = ({ containerDefinitions = [] }: AwsTaskDefinition): Record<string, string> =>
  Object.fromEntries(
    containerDefinitions.map(({ name = "", image = "" }) => [name, image] as const).sort((a, b) => byName(a[0], b[0])),
  );

const tagMap = (tags: readonly { readonly key?: string; readonly value?: string }[] = []): Record<string, string> =>
  Object.fromEntries(tags.map(({ key = "", value = "" }) => [key, value] as const).sort((a, b) => byName(a[0], b[0])));

/** AWS has no code of its own for a task definition that does not exist. */
const noDefinition = (error: OpsError): boolean =>
  error.details.awsCode === "ClientException" &&
  /unable to describe task definition/i.test(String(error.details.awsMessage));

/** A definition in AWS's shape with its tags; null where AWS says that there is none. */
export async function definitionOf(api: Api, name: string) {
  try {
    const { taskDefinition, tags = [] } = await api.call("ecs", "DescribeTaskDefinition", {
      taskDefinition: name,
      include: ["TAGS"],
    });
    return taskDefinition ? { taskDefinition, tags } : null;
  } catch (error) {
    if (error instanceof OpsError && noDefinition(error)) return null;
    throw error;
  }
}

function taskDefinitionContent(aws: AwsTaskDefinition, tags: Parameters<typeof tagMap>[0]): TaskDefinition {
  const exposed = (aws.containerDefinitions ?? []).find(({ portMappings = [] }) => portMappings[0]?.containerPort);
  return present<TaskDefinition>({
    taskDefinition: lastOf(aws.taskDefinitionArn),
    family: aws.family ?? "",
    revision: aws.revision ?? 0,
    status: aws.status ?? "unknown",
    images: imagesIn(aws),
    cpu: aws.cpu,
    memory: aws.memory,
    networkMode: aws.networkMode,
    taskRole: aws.taskRoleArn,
    executionRole: aws.executionRoleArn,
    container: exposed && { name: exposed.name ?? "", port: exposed.portMappings![0]!.containerPort! },
    tags: tagMap(tags),
  });
}

export const taskDefinitionReader = (api: Api): TypeReader<TaskDefinition> => ({
  async get(id) {
    const found = await definitionOf(api, id);
    return found && taskDefinitionContent(found.taskDefinition, found.tags);
  },
  async list({ ids = [] }) {
    const found = await Promise.all(ids.map((id) => definitionOf(api, id)));
    return { items: found.flatMap((one) => (one ? [taskDefinitionContent(one.taskDefinition, one.tags)] : [])) };
  },
});

/** Images of task definitions. A revision never changes, so one answer of a call serves all of it. */
function imagesOf(api: Api) {
  const known = new Map<string, Promise<Record<string, string>>>();
  return (taskDefinition: string | undefined): Promise<Record<string, string>> => {
    if (!taskDefinition) return Promise.resolve({});
    const asked =
      known.get(taskDefinition) ??
      definitionOf(api, taskDefinition).then((found) => (found ? imagesIn(found.taskDefinition) : {}));
    known.set(taskDefinition, asked);
    return asked;
  };
}

/** What runs: by the primary deployment of ECS, or the primary task set where another controller moves the tasks. */
function primaryOf(aws: AwsService) {
  const set = (aws.taskSets ?? []).find(({ status }) => status === "PRIMARY");
  if (set) {
    const state = set.stabilityStatus === "STEADY_STATE" ? "COMPLETED" : "IN_PROGRESS";
    return { id: set.id, taskDefinition: set.taskDefinition, state, createdAt: set.createdAt, failedTasks: 0 };
  }
  const rollout: Rollout = (aws.deployments ?? []).find(({ status }) => status === "PRIMARY") ?? {};
  return {
    id: rollout.id,
    taskDefinition: aws.taskDefinition,
    state: rollout.rolloutState ?? "unknown",
    reason: rollout.rolloutStateReason,
    createdAt: rollout.createdAt,
    failedTasks: rollout.failedTasks ?? 0,
  };
}

function serviceContent(aws: AwsService, images: Record<string, string>): EcsService {
  const primary = primaryOf(aws);
  const { deploymentConfiguration: configuration = {} } = aws;
  return {
    serviceArn: aws.serviceArn ?? "",
    serviceName: aws.serviceName ?? "",
    cluster: lastOf(aws.clusterArn),
    status: aws.status ?? "unknown",
    controller: aws.deploymentController?.type ?? "ECS",
    strategy: configuration.strategy ?? "ROLLING",
    shiftsTraffic: (aws.loadBalancers ?? []).some((one) => one.advancedConfiguration !== undefined),
    taskDefinition: lastOf(primary.taskDefinition),
    images,
    circuitBreaker: {
      enabled: configuration.deploymentCircuitBreaker?.enable ?? false,
      rollback: configuration.deploymentCircuitBreaker?.rollback ?? false,
    },
    configuration: JSON.parse(JSON.stringify(configuration)) as JsonObject,
    desiredCount: aws.desiredCount ?? 0,
    runningCount: aws.runningCount ?? 0,
    pendingCount: aws.pendingCount ?? 0,
    rollout: present<EcsService["rollout"]>({
      id: primary.id ?? "",
      state: primary.state,
      reason: primary.reason ? foreign(primary.reason, REASON) : undefined,
      startedAt: primary.createdAt?.toISOString(),
      failedTasks: primary.failedTasks,
      deployments: (aws.taskSets ?? []).length > 0 ? aws.taskSets!.length : (aws.deployments ?? []).length,
    }),
    tags: tagMap(aws.tags),
  };
}

async function describe(api: Api, cluster: string, services: readonly string[]): Promise<AwsService[]> {
  const pages = await Promise.all(
    chunks(services, MOST.services).map((some) =>
      api.call("ecs", "DescribeServices", { cluster, services: some, include: ["TAGS"] }),
    ),
  );
  const failure = pages.flatMap(({ failures = [] }) => failures).find(({ reason }) => reason !== "MISSING");
  if (failure) {
    throw new OpsError("aws_unavailable", "ECS could not describe a service; its reason is in awsCode.", {
      details: { awsCode: foreign(failure.reason, 80), awsMessage: foreign(failure.detail), arn: failure.arn },
    });
  }
  return pages.flatMap((output) => output.services ?? []);
}

/** Services as contents, with the images of what each of them runs. */
async function contents(api: Api, services: readonly AwsService[]): Promise<EcsService[]> {
  const images = imagesOf(api);
  return Promise.all(services.map(async (aws) => serviceContent(aws, await images(primaryOf(aws).taskDefinition))));
}

/** A service in AWS's own shape; null where AWS says that there is none. */
export const describedService = (api: Api, id: string): Promise<AwsService | null> =>
  unlessAbsent(ABSENT, async () => {
    const { cluster, service } = serviceOf(id);
    return (await describe(api, cluster, [service]))[0];
  });

export const ecsServiceReader = (api: Api): TypeReader<EcsService> => ({
  async get(id) {
    const found = await describedService(api, id);
    return found ? (await contents(api, [found]))[0]! : null;
  },
  async list({ ids = [] }) {
    const found = await Promise.all(ids.map((id) => describedService(api, id)));
    return {
      items: await contents(
        api,
        found.filter((one) => one !== null),
      ),
    };
  },
});

export const clustersOf = async (api: Api): Promise<string[]> =>
  (
    await allPages(
      (nextToken) => api.call("ecs", "ListClusters", { maxResults: MOST.listed, ...(nextToken && { nextToken }) }),
      ({ clusterArns }) => clusterArns,
      ({ nextToken }) => nextToken,
    )
  )
    .map(lastOf)
    .sort(byName);

/** The services of this name in a cluster, or in every one. */
export async function servicesNamed(api: Api, name: string, cluster: string | undefined): Promise<EcsService[]> {
  const clusters = cluster === undefined ? await clustersOf(api) : [cluster];
  const found: AwsService[] = [];
  for (const some of chunks(clusters, 8)) {
    const pages = await Promise.all(some.map((one) => unlessAbsent(ABSENT, async () => describe(api, one, [name]))));
    found.push(...pages.flatMap((one) => one ?? []));
  }
  return contents(
    api,
    found.filter(({ status }) => status !== "INACTIVE"),
  );
}

/** A page of the services of one cluster after another; the cursor says in which. */
export async function servicesPage(
  api: Api,
  { cluster, limit, cursor }: { readonly cluster?: string; readonly limit: number; readonly cursor?: string },
): Promise<Page<EcsService>> {
  const clusters = cluster === undefined ? await clustersOf(api) : [cluster];
  const [at = clusters[0] ?? "", token = ""] = cursor === undefined ? [] : (JSON.parse(cursor) as [string, string]);
  // A cluster that is gone meanwhile: on with the next one in the order of names.
  const from = clusters.findIndex((one) => one >= at);
  const items: AwsService[] = [];
  let nextToken: string | undefined = clusters[from] === at && token !== "" ? token : undefined;
  for (let index = Math.max(from, 0); from >= 0 && index < clusters.length; index++) {
    const here = clusters[index]!;
    do {
      const room = limit - items.length;
      const output: { serviceArns?: string[] | undefined; nextToken?: string | undefined } | null = await unlessAbsent(
        cluster === undefined ? ABSENT : new Set(),
        () =>
          api.call("ecs", "ListServices", {
            cluster: here,
            maxResults: Math.min(Math.max(room, 1), MOST.listed),
            ...(nextToken && { nextToken }),
          }),
      );
      const arns = output?.serviceArns ?? [];
      if (arns.length > 0) items.push(...(await describe(api, here, arns)));
      nextToken = output?.nextToken || undefined;
      if (items.length < limit) continue;
      const following = nextToken ? [here, nextToken] : clusters[index + 1] ? [clusters[index + 1]!, ""] : undefined;
      return page(await contents(api, items), following && JSON.stringify(following));
    } while (nextToken !== undefined);
  }
  return page(await contents(api, items), undefined);
}

const STATUS: Readonly<Record<string, DeploymentStatus>> = {
  PENDING: "pending",
  IN_PROGRESS: "in_progress",
  STOP_REQUESTED: "in_progress",
  ROLLBACK_REQUESTED: "rolling_back",
  ROLLBACK_IN_PROGRESS: "rolling_back",
  ROLLBACK_SUCCESSFUL: "rolled_back",
  ROLLBACK_FAILED: "failed",
  STOPPED: "stopped",
  SUCCESSFUL: "succeeded",
};

function deploymentOf(
  aws: ServiceDeployment,
  revisions: ReadonlyMap<string, ServiceRevision>,
  images: Record<string, string>,
): Deployment {
  const target = revisions.get(aws.targetServiceRevision?.arn ?? "");
  const back = aws.rollback && revisions.get(aws.rollback.serviceRevisionArn ?? "");
  const { requestedTaskCount: of, runningTaskCount: done } = aws.targetServiceRevision ?? {};
  const status = STATUS[aws.status ?? ""] ?? "unknown";
  const reason = aws.rollback?.reason ?? aws.statusReason;
  return present<Deployment>({
    deploymentId: lastOf(aws.serviceDeploymentArn),
    version: lastOf(target?.taskDefinition) || "unknown",
    images,
    status,
    awsStatus: aws.status ?? "unknown",
    strategy: aws.deploymentConfiguration?.strategy,
    createdAt: (aws.createdAt ?? aws.startedAt)?.toISOString() ?? "",
    finishedAt: (aws.finishedAt ?? aws.stoppedAt)?.toISOString(),
    startedBy: undefined,
    stage: isRunning({ status }) && aws.lifecycleStage ? foreign(aws.lifecycleStage, 80) : undefined,
    progress: isRunning({ status }) && of !== undefined ? { done: done ?? 0, of } : undefined,
    reason: reason ? foreign(reason, REASON) : undefined,
    rollback: aws.rollback
      ? present<NonNullable<Deployment["rollback"]>>({
          to: back ? lastOf(back.taskDefinition) : undefined,
          reason: aws.rollback.reason ? foreign(aws.rollback.reason, REASON) : undefined,
        })
      : undefined,
    again: undefined,
  });
}

/** AWS's record of what was deployed to a service: kept for 90 days, newest first. */
export async function serviceDeployments(
  api: Api,
  id: string,
  { limit, cursor }: { readonly limit: number; readonly cursor?: string },
): Promise<Page<Deployment>> {
  const { cluster, service } = serviceOf(id);
  const listed = await api.call("ecs", "ListServiceDeployments", {
    cluster,
    service,
    maxResults: Math.min(limit, MOST.listed),
    ...(cursor && { nextToken: cursor }),
  });
  const arns = (listed.serviceDeployments ?? []).flatMap(({ serviceDeploymentArn }) => serviceDeploymentArn ?? []);
  const described = (
    await Promise.all(
      chunks(arns, MOST.deployments).map((serviceDeploymentArns) =>
        api.call("ecs", "DescribeServiceDeployments", { serviceDeploymentArns }),
      ),
    )
  ).flatMap((output) => output.serviceDeployments ?? []);
  const named = described.flatMap(({ targetServiceRevision, rollback }) => [
    targetServiceRevision?.arn ?? [],
    rollback?.serviceRevisionArn ?? [],
  ]);
  const revisions = (
    await Promise.all(
      chunks([...new Set(named.flat())], MOST.deployments).map((serviceRevisionArns) =>
        api.call("ecs", "DescribeServiceRevisions", { serviceRevisionArns }),
      ),
    )
  ).flatMap((output) => output.serviceRevisions ?? []);
  const byArn = new Map(revisions.map((one) => [one.serviceRevisionArn ?? "", one]));
  const images = imagesOf(api);
  const items = await Promise.all(
    described.map(async (one) => {
      const target = byArn.get(one.targetServiceRevision?.arn ?? "");
      const told = (target?.containerImages ?? []).flatMap(({ containerName, image }) =>
        containerName && image ? [[containerName, image] as const] : [],
      );
      const shown =
        told.length > 0
          ? Object.fromEntries(told.sort((a, b) => byName(a[0], b[0])))
          : await images(target?.taskDefinition);
      return deploymentOf(one, byArn, shown);
    }),
  );
  return page(newestFirst(items), listed.nextToken);
}

export const newestFirst = (items: readonly Deployment[]): Deployment[] =>
  [...items].sort((a, b) => byName(b.createdAt, a.createdAt) || byName(b.deploymentId, a.deploymentId));
