// Deployments over all providers: what bears a name, what there is, and what was deployed when.

import type {
  Deployment,
  DeploymentGroup,
  DeploymentReads,
  DeployTarget,
  EcsService,
  Looked,
  NotLookedAt,
  RefreshedGroup,
  StartedBy,
} from "../../core/content/deployments.js";
import { PROVIDERS, type Provider } from "../../core/deploying.js";
import { OpsError } from "../../core/errors.js";
import { isObject, type Json } from "../../core/json.js";
import type { Page } from "../../core/page.js";
import type { TrailEvent, TrailPage, TrailQuery } from "../../core/trail.js";
import type { Api } from "../api.js";
import { groupDeployments, groupForService, groupIdOf, groupsNamed, groupsPage } from "./codedeploy.js";
import { lastOf, serviceDeployments, servicesNamed, servicesPage } from "./ecs.js";
import { refreshes, templateOf, templateVersion } from "./instance-refresh.js";
import { present, type TypeReader } from "./parts.js";

const ecsTarget = (content: EcsService): DeployTarget => ({
  provider: "ecs",
  id: `${content.serviceArn}|${content.cluster}`,
  content,
});

const groupTarget = (content: DeploymentGroup): DeployTarget => ({
  provider: "codedeploy",
  id: groupIdOf(content.applicationName, content.deploymentGroupName),
  content,
});

const refreshTarget = (content: RefreshedGroup): DeployTarget => ({
  provider: "instance-refresh",
  id: content.groupName,
  content,
});

/** Cluster and service that a name means: an ARN says both, `cluster/service` too. */
function ecsNames(name: string, cluster: string | undefined): { readonly service: string; readonly cluster?: string } {
  const [arn = "", composed] = name.split("|");
  const parts = arn.startsWith("arn:") ? arn.split(":service/").at(-1)!.split("/") : arn.split("/");
  const named = parts.length > 1 ? parts[0] : composed;
  const where = named ?? (cluster === undefined ? undefined : lastOf(cluster));
  return { service: parts.at(-1)!, ...(where !== undefined && { cluster: where }) };
}

/** What each provider may call so. */
const MAY_BE: Readonly<Record<Provider, (name: string) => boolean>> = {
  ecs: (name) => (name.startsWith("arn:") ? name.includes(":ecs:") : name.split("/").length <= 2),
  codedeploy: (name) => !name.startsWith("arn:") && name.split(/[/|]/).length <= 2,
  "instance-refresh": (name) => !name.startsWith("arn:"),
};

/** CloudTrail's names of a target, and the calls that begin a deployment to it. */
const TRACES: Readonly<Record<Provider, readonly string[]>> = {
  ecs: ["UpdateService", "CreateService", "CreateDeployment", "StopServiceDeployment"],
  codedeploy: ["CreateDeployment", "StopDeployment"],
  "instance-refresh": ["StartInstanceRefresh"],
};
const traceNameOf = ({ provider, content }: DeployTarget): string =>
  provider === "ecs"
    ? content.serviceName
    : provider === "codedeploy"
      ? content.deploymentGroupName
      : content.groupName;

/** CloudTrail's clock and the service's may differ by this much; events come within about the second time. */
const NEAR_MS = 120_000;
const LATE_MS = 15 * 60_000;

const textIn = (value: Json, member: string): string | undefined => {
  const found = isObject(value) ? value[member] : undefined;
  return typeof found === "string" ? found : undefined;
};

const apart = ({ at }: TrailEvent, { createdAt }: Deployment): number => {
  const ms = Math.abs(Date.parse(at) - Date.parse(createdAt));
  return Number.isNaN(ms) ? Number.POSITIVE_INFINITY : ms;
};

/**
 * Whether a call can have begun a deployment: by the id that AWS answered it, else by the version it asked for and by the
 * time. A call that stops a deployment may begin the one that goes back, never the one it stops.
 */
function mayHaveBegun(event: TrailEvent, deployment: Deployment): boolean {
  const { request, response } = event;
  const { deploymentId, version } = deployment;
  const made = textIn(response, "deploymentId") ?? textIn(response, "instanceRefreshId");
  if (made !== undefined) return made === deploymentId;
  const stopped = textIn(request, "deploymentId") ?? textIn(request, "serviceDeploymentArn");
  if (stopped?.split("/").at(-1) === deploymentId.split("/").at(-1)) return false;
  const asked = textIn(request, "taskDefinition")?.split("/").at(-1);
  if (asked !== undefined && version !== asked && !version.startsWith(`${asked}:`)) return false;
  return apart(event, deployment) <= NEAR_MS;
}

/** One call begins one deployment: of those that can have, the nearest in time. By the index of the deployment. */
function begunBy(deployments: readonly Deployment[], events: readonly TrailEvent[]): ReadonlyMap<number, TrailEvent> {
  const pairs = deployments.flatMap((one, index) =>
    events.filter((event) => mayHaveBegun(event, one)).map((event) => ({ index, event, ms: apart(event, one) })),
  );
  const found = new Map<number, TrailEvent>();
  const taken = new Set<TrailEvent>();
  for (const { index, event } of pairs.sort((a, b) => (a.ms === b.ms ? 0 : a.ms - b.ms))) {
    if (found.has(index) || taken.has(event)) continue;
    found.set(index, event);
    taken.add(event);
  }
  return found;
}

/** One lookup for all of them. */
async function startedBy(
  trail: (query: TrailQuery) => Promise<TrailPage>,
  now: Date,
  target: DeployTarget,
  deployments: readonly Deployment[],
): Promise<readonly StartedBy[]> {
  const times = deployments.map(({ createdAt }) => Date.parse(createdAt)).filter((time) => !Number.isNaN(time));
  if (times.length === 0) return deployments.map(() => ({ status: "unknown", because: "AWS shows no time of it" }));
  const found = await trail({
    name: traceNameOf(target),
    from: new Date(Math.min(...times) - NEAR_MS).toISOString(),
    to: new Date(Math.max(...times) + NEAR_MS).toISOString(),
    global: false,
  }).catch((error: unknown) => {
    if (!(error instanceof OpsError)) throw error;
    return error;
  });
  if (found instanceof OpsError) {
    const because = `cloudtrail:LookupEvents did not answer (${found.code})`;
    return deployments.map(() => ({ status: found.code === "throttled" ? "pending" : "unknown", because }));
  }
  const begins = found.events.filter(({ name, failed }) => !failed && TRACES[target.provider].includes(name));
  const authors = begunBy(deployments, begins);
  return deployments.map(({ createdAt }, index): StartedBy => {
    const event = authors.get(index);
    if (event) {
      return present<Extract<StartedBy, { status: "known" }>>({
        status: "known",
        principal: event.principal,
        session: event.session,
        sourceIp: event.sourceIp,
        invokedBy: event.invokedBy,
        eventName: event.name,
        at: event.at,
      });
    }
    return now.getTime() - Date.parse(createdAt) < LATE_MS
      ? { status: "pending", because: "CloudTrail's events arrive minutes late; ask again" }
      : { status: "unknown", because: "CloudTrail shows no call that began it" };
  });
}

export function deploymentReads(
  api: Api,
  groups: TypeReader<RefreshedGroup>,
  trail: (query: TrailQuery) => Promise<TrailPage>,
  now: () => Date,
): DeploymentReads {
  const named: Readonly<Record<Provider, (name: string, cluster?: string) => Promise<DeployTarget[]>>> = {
    async ecs(name, cluster) {
      const { service, cluster: where } = ecsNames(name, cluster);
      return (await servicesNamed(api, service, where)).map(ecsTarget);
    },
    codedeploy: async (name) => (await groupsNamed(api, name)).map(groupTarget),
    async "instance-refresh"(name) {
      const found = await groups.get(name);
      return found ? [refreshTarget(found)] : [];
    },
  };

  return {
    async find(name, { cluster, provider }): Promise<Looked> {
      const asked = provider
        ? [provider]
        : cluster !== undefined
          ? (["ecs"] as const)
          : PROVIDERS.filter((one) => MAY_BE[one](name));
      const looks = await Promise.all(
        asked.map(async (one) => {
          try {
            return { provider: one, found: await named[one](name, cluster) };
          } catch (error) {
            if (!(error instanceof OpsError)) throw error;
            return { provider: one, found: [], error };
          }
        }),
      );
      const failed = looks.flatMap(({ error }) => error ?? []);
      const found = looks.flatMap((look) => look.found);
      // Not found where one of them could not be looked at is not "there is none".
      if (found.length === 0 && failed.length > 0) throw failed[0];
      return {
        found,
        notLookedAt: looks.flatMap(({ provider: one, error }) => (error ? [notLookedAt(one, error)] : [])),
      };
    },
    async targets({ provider, cluster, limit, cursor }, mustAnswer) {
      const query = { limit, ...(cursor !== undefined && { cursor }) };
      const pageOf = async (): Promise<Page<DeployTarget>> => {
        if (provider === "codedeploy") return mapped(await groupsPage(api, query), groupTarget);
        if (provider === "instance-refresh") return mapped(await groups.list(query), refreshTarget);
        const within = cluster !== undefined && { cluster: lastOf(cluster) };
        return mapped(await servicesPage(api, { ...query, ...within }), ecsTarget);
      };
      try {
        return await pageOf();
      } catch (error) {
        if (mustAnswer || !(error instanceof OpsError)) throw error;
        return notLookedAt(provider, error);
      }
    },
    async history({ provider, id }, query) {
      if (provider === "ecs") return serviceDeployments(api, id, query);
      return provider === "codedeploy" ? groupDeployments(api, id, query) : refreshes(api, id, query);
    },
    async groupOf({ cluster, serviceName }) {
      const found = await groupForService(api, `${cluster}/${serviceName}`);
      return found && { id: groupIdOf(found.applicationName, found.deploymentGroupName), content: found };
    },
    startedBy: (target, deployments) => startedBy(trail, now(), target, deployments),
    template: (groupName) => templateOf(api, groupName),
    templateVersion: (id, version) => templateVersion(api, id, version),
  };
}

const notLookedAt = (provider: Provider, { code, details }: OpsError): NotLookedAt => ({
  provider,
  code,
  ...(typeof details.action === "string" && { action: details.action }),
});

const mapped = <A, B>({ items, next }: Page<A>, map: (item: A) => B): Page<B> => ({
  items: items.map(map),
  ...(next !== undefined && { next }),
});
