// CodeDeploy's reads: deployment groups by what runs on them, and every deployment to them.

import type { DeploymentGroupInfo, DeploymentInfo, RevisionLocation } from "@aws-sdk/client-codedeploy";
import type { Deployment, DeploymentGroup } from "../../core/content/deployments.js";
import { type DeploymentStatus, isRunning } from "../../core/deploying.js";
import type { JsonObject } from "../../core/json.js";
import { sha256 } from "../../core/json.js";
import type { Page } from "../../core/page.js";
import type { Api } from "../api.js";
import { foreign } from "../foreign.js";
import { allPages } from "../pages.js";
import { lastOf, newestFirst } from "./ecs.js";
import { byName, chunks, page, present, type TypeReader, unlessAbsent } from "./parts.js";

const ABSENT = new Set(["ApplicationDoesNotExistException", "DeploymentGroupDoesNotExistException"]);
/** AWS's limits of one question. */
const MOST = { groups: 100, deployments: 25 } as const;
const REASON = 400;

/** A group's id, as Cloud Control composes it. */
export const groupIdOf = (applicationName = "", deploymentGroupName = ""): string =>
  `${applicationName}|${deploymentGroupName}`;

export function groupNamesOf(id: string): { readonly applicationName: string; readonly deploymentGroupName: string } {
  const [applicationName = "", deploymentGroupName = ""] = id.split("|");
  return { applicationName, deploymentGroupName };
}

/** The task definition that an AppSpec for ECS names, in YAML or JSON. */
const NAMED = /(TaskDefinition["']?\s*:\s*["']?)(arn:[^\s"',}]+|[\w-]+:\d+)/;
const taskDefinitionIn = (content: string): string | undefined => NAMED.exec(content)?.[2];

/** The same AppSpec with another task definition; undefined where it names none. */
export const withTaskDefinition = (content: string, arn: string): string | undefined =>
  NAMED.test(content) ? content.replace(NAMED, (_, before: string) => `${before}${arn}`) : undefined;

/**
 * A revision in a few characters that stand for it and for no other one.
 * @example versionOf({ revisionType: "S3", s3Location: { bucket: "b", key: "app.zip", version: "v1" } }) // "s3://b/app.zip?versionId=v1"
 */
export function versionOf(revision: RevisionLocation | undefined): string | undefined {
  const { s3Location: s3, gitHubLocation: git, appSpecContent, string } = revision ?? {};
  if (s3) {
    const exact = s3.version ? `?versionId=${s3.version}` : s3.eTag ? `?etag=${s3.eTag.replaceAll('"', "")}` : "";
    return `s3://${s3.bucket ?? ""}/${s3.key ?? ""}${exact}`;
  }
  if (git) return `github:${git.repository ?? ""}@${git.commitId ?? ""}`;
  const text = appSpecContent?.content ?? string?.content;
  if (text === undefined) return undefined;
  const definition = taskDefinitionIn(text);
  return definition ? lastOf(definition) : `appspec:${sha256(text).slice(0, 12)}`;
}

const STATUS: Readonly<Record<string, DeploymentStatus>> = {
  Created: "pending",
  Queued: "pending",
  InProgress: "in_progress",
  Baking: "in_progress",
  Ready: "in_progress",
  Succeeded: "succeeded",
  Failed: "failed",
  Stopped: "stopped",
};

export const statusOf = (aws: string | undefined): DeploymentStatus => STATUS[aws ?? ""] ?? "unknown";

function deploymentOf(aws: DeploymentInfo): Deployment {
  const status = statusOf(aws.status);
  const { Succeeded: done = 0, ...others } = aws.deploymentOverview ?? {};
  const of = Object.values(others).reduce<number>((sum, count) => sum + (count ?? 0), done);
  const rolledBack = aws.rollbackInfo?.rollbackDeploymentId;
  const reason = aws.errorInformation?.message ?? aws.additionalDeploymentStatusInfo;
  return present<Deployment>({
    deploymentId: aws.deploymentId ?? "",
    version: versionOf(aws.revision) ?? "unknown",
    images: undefined,
    status: status === "failed" && rolledBack ? "rolled_back" : status,
    awsStatus: aws.status ?? "unknown",
    strategy: aws.deploymentConfigName,
    createdAt: aws.createTime?.toISOString() ?? "",
    finishedAt: aws.completeTime?.toISOString(),
    startedBy: aws.creator,
    stage: undefined,
    progress: isRunning({ status }) && of > 0 ? { done, of } : undefined,
    reason: reason ? foreign(reason, REASON) : undefined,
    rollback: rolledBack
      ? present<NonNullable<Deployment["rollback"]>>({
          to: versionOf(aws.previousRevision),
          reason: aws.rollbackInfo?.rollbackMessage ? foreign(aws.rollbackInfo.rollbackMessage, REASON) : undefined,
        })
      : undefined,
    again: aws.revision ? (JSON.parse(JSON.stringify(aws.revision)) as JsonObject) : undefined,
  });
}

function groupContent(aws: DeploymentGroupInfo, running: DeploymentInfo | undefined): DeploymentGroup {
  const [ecs] = aws.ecsServices ?? [];
  const { lastSuccessfulDeployment: good, lastAttemptedDeployment: latest } = aws;
  return present<DeploymentGroup>({
    applicationName: aws.applicationName ?? "",
    deploymentGroupName: aws.deploymentGroupName ?? "",
    computePlatform: aws.computePlatform ?? "Server",
    deploymentType: aws.deploymentStyle?.deploymentType ?? "IN_PLACE",
    deploymentConfig: aws.deploymentConfigName ?? "",
    autoRollback: aws.autoRollbackConfiguration?.enabled
      ? [...(aws.autoRollbackConfiguration.events ?? [])].sort(byName)
      : [],
    ecsService: ecs ? `${ecs.clusterName ?? ""}/${ecs.serviceName ?? ""}` : undefined,
    autoScalingGroups: (aws.autoScalingGroups ?? []).map(({ name = "" }) => name).sort(byName),
    version: versionOf(running?.revision),
    lastSuccessful: good?.deploymentId
      ? present<NonNullable<DeploymentGroup["lastSuccessful"]>>({
          deploymentId: good.deploymentId,
          createdAt: good.createTime?.toISOString(),
        })
      : undefined,
    latest: latest?.deploymentId
      ? present<NonNullable<DeploymentGroup["latest"]>>({
          deploymentId: latest.deploymentId,
          status: latest.status ?? "unknown",
          createdAt: latest.createTime?.toISOString(),
        })
      : undefined,
  });
}

async function deploymentsNamed(api: Api, ids: readonly string[]): Promise<DeploymentInfo[]> {
  const pages = await Promise.all(
    chunks([...new Set(ids)], MOST.deployments).map((deploymentIds) =>
      api.call("codedeploy", "BatchGetDeployments", { deploymentIds }),
    ),
  );
  return pages.flatMap((output) => output.deploymentsInfo ?? []);
}

/** Groups as contents, with the revision of each one's last success. */
async function contents(api: Api, groups: readonly DeploymentGroupInfo[]): Promise<DeploymentGroup[]> {
  const ids = groups.flatMap(({ lastSuccessfulDeployment }) => lastSuccessfulDeployment?.deploymentId ?? []);
  const running = new Map((await deploymentsNamed(api, ids)).map((one) => [one.deploymentId, one]));
  return groups.map((group) => groupContent(group, running.get(group.lastSuccessfulDeployment?.deploymentId)));
}

/** A group in AWS's own shape; null where AWS says that there is none. */
export const describedGroup = (api: Api, id: string): Promise<DeploymentGroupInfo | null> =>
  unlessAbsent(
    ABSENT,
    async () => (await api.call("codedeploy", "GetDeploymentGroup", groupNamesOf(id))).deploymentGroupInfo,
  );

export const deploymentGroupReader = (api: Api): TypeReader<DeploymentGroup> => ({
  async get(id) {
    const found = await describedGroup(api, id);
    return found ? (await contents(api, [found]))[0]! : null;
  },
  async list({ ids = [] }) {
    const found = await Promise.all(ids.map((id) => describedGroup(api, id)));
    return {
      items: await contents(
        api,
        found.filter((one) => one !== null),
      ),
    };
  },
});

const applicationsOf = async (api: Api): Promise<string[]> =>
  (
    await allPages(
      (nextToken) => api.call("codedeploy", "ListApplications", nextToken ? { nextToken } : {}),
      ({ applications }) => applications,
      ({ nextToken }) => nextToken,
    )
  ).sort(byName);

/** The groups of an application; none where AWS says that there is no such application. */
async function groupsIn(api: Api, applicationName: string): Promise<DeploymentGroup[]> {
  const names = await unlessAbsent(ABSENT, () =>
    allPages(
      (nextToken) =>
        api.call("codedeploy", "ListDeploymentGroups", { applicationName, ...(nextToken && { nextToken }) }),
      ({ deploymentGroups }) => deploymentGroups,
      ({ nextToken }) => nextToken,
    ),
  );
  const pages = await Promise.all(
    chunks((names ?? []).sort(byName), MOST.groups).map((deploymentGroupNames) =>
      api.call("codedeploy", "BatchGetDeploymentGroups", { applicationName, deploymentGroupNames }),
    ),
  );
  return contents(
    api,
    pages.flatMap((output) => output.deploymentGroupsInfo ?? []),
  );
}

/** The groups of an application by its name, or the one that `application/group` names. */
export async function groupsNamed(api: Api, name: string): Promise<DeploymentGroup[]> {
  const [application = "", group] = name.split(/[/|]/);
  if (group === undefined) return groupsIn(api, application);
  const found = await deploymentGroupReader(api).get(groupIdOf(application, group));
  return found ? [found] : [];
}

/** A page of groups, one application after another; the cursor is the next one's application and name. */
export async function groupsPage(
  api: Api,
  { limit, cursor }: { readonly limit: number; readonly cursor?: string },
): Promise<Page<DeploymentGroup>> {
  const [at = "", group = ""] = cursor === undefined ? [] : (JSON.parse(cursor) as [string, string]);
  const items: DeploymentGroup[] = [];
  for (const application of (await applicationsOf(api)).filter((name) => name >= at)) {
    const found = await groupsIn(api, application);
    for (const one of found.filter(({ deploymentGroupName }) => application !== at || deploymentGroupName >= group)) {
      if (items.length >= limit) return page(items, JSON.stringify([application, one.deploymentGroupName]));
      items.push(one);
    }
  }
  return page(items, undefined);
}

/** The group that deploys to an ECS service. */
export async function groupForService(api: Api, ecsService: string): Promise<DeploymentGroup | null> {
  for (const application of await applicationsOf(api)) {
    const found = (await groupsIn(api, application)).find((group) => group.ecsService === ecsService);
    if (found) return found;
  }
  return null;
}

/** Deployments of a group, newest first. CodeDeploy promises no order, so a page is put into order by itself. */
export async function groupDeployments(
  api: Api,
  id: string,
  { cursor }: { readonly cursor?: string },
): Promise<Page<Deployment>> {
  const { deployments = [], nextToken } = await api.call("codedeploy", "ListDeployments", {
    ...groupNamesOf(id),
    ...(cursor && { nextToken: cursor }),
  });
  const found = await deploymentsNamed(api, deployments);
  return page(newestFirst(found.map(deploymentOf)), nextToken);
}
