// Instance refreshes: which version of its launch template an Auto Scaling group was brought to, and when.

import type { AutoScalingGroup, InstanceRefresh } from "@aws-sdk/client-auto-scaling";
import type { Deployment, TemplateUse } from "../../core/content/deployments.js";
import { type DeploymentStatus, isRunning } from "../../core/deploying.js";
import type { Page } from "../../core/page.js";
import type { Api } from "../api.js";
import { foreign } from "../foreign.js";
import { newestFirst } from "./ecs.js";
import { page, present, unlessAbsent } from "./parts.js";

const MOST = 100;
const REASON = 400;
const NO_TEMPLATE = new Set([
  "InvalidLaunchTemplateId.NotFound",
  "InvalidLaunchTemplateName.NotFoundException",
  "InvalidLaunchTemplateId.VersionNotFound",
  "InvalidLaunchTemplateVersion.NotFound",
]);

const STATUS: Readonly<Record<string, DeploymentStatus>> = {
  Pending: "pending",
  InProgress: "in_progress",
  Baking: "in_progress",
  Cancelling: "in_progress",
  RollbackInProgress: "rolling_back",
  Successful: "succeeded",
  Failed: "failed",
  RollbackFailed: "failed",
  RollbackSuccessful: "rolled_back",
  Cancelled: "stopped",
};

export const refreshStatus = (aws: string | undefined): DeploymentStatus => STATUS[aws ?? ""] ?? "unknown";

function deploymentOf(aws: InstanceRefresh): Deployment {
  const status = refreshStatus(aws.Status);
  const template = aws.DesiredConfiguration?.LaunchTemplate;
  const reason = aws.RollbackDetails?.RollbackReason ?? aws.StatusReason;
  return present<Deployment>({
    deploymentId: aws.InstanceRefreshId ?? "",
    // A refresh without a wish brings out what the group said at its time, which AWS does not keep.
    version: template?.Version ?? "unknown",
    images: undefined,
    status,
    awsStatus: aws.Status ?? "unknown",
    strategy: aws.Strategy,
    createdAt: aws.StartTime?.toISOString() ?? "",
    finishedAt: aws.EndTime?.toISOString(),
    startedBy: undefined,
    stage: undefined,
    progress:
      isRunning({ status }) && aws.PercentageComplete !== undefined
        ? { done: aws.PercentageComplete, of: 100 }
        : undefined,
    reason: reason ? foreign(reason, REASON) : undefined,
    rollback: aws.RollbackDetails
      ? present<NonNullable<Deployment["rollback"]>>({
          to: undefined,
          reason: aws.RollbackDetails.RollbackReason ? foreign(aws.RollbackDetails.RollbackReason, REASON) : undefined,
        })
      : undefined,
    again: undefined,
  });
}

export async function refreshes(
  api: Api,
  groupName: string,
  { limit, cursor }: { readonly limit: number; readonly cursor?: string },
): Promise<Page<Deployment>> {
  const output = await api.call("autoscaling", "DescribeInstanceRefreshes", {
    AutoScalingGroupName: groupName,
    MaxRecords: Math.min(limit, MOST),
    ...(cursor && { NextToken: cursor }),
  });
  return page(newestFirst((output.InstanceRefreshes ?? []).map(deploymentOf)), output.NextToken);
}

/** The launch template a group makes its instances from; null where it has none, or a mix of instances. */
export async function templateOf(api: Api, groupName: string): Promise<TemplateUse | null> {
  const { AutoScalingGroups: [group] = [] } = await api.call("autoscaling", "DescribeAutoScalingGroups", {
    AutoScalingGroupNames: [groupName],
  });
  return group ? templateIn(group) : null;
}

function templateIn({ LaunchTemplate: template, MixedInstancesPolicy: mixed }: AutoScalingGroup): TemplateUse | null {
  if (!template?.LaunchTemplateId || mixed) return null;
  return present<TemplateUse>({
    id: template.LaunchTemplateId,
    name: template.LaunchTemplateName,
    version: template.Version ?? "$Default",
  });
}

/** The number of a version of a launch template; null where AWS says that it has no such version. */
export async function templateVersion(api: Api, id: string, version: string): Promise<string | null> {
  const found = await unlessAbsent(NO_TEMPLATE, async () => {
    const output = await api.call("ec2", "DescribeLaunchTemplateVersions", {
      LaunchTemplateId: id,
      Versions: [version],
    });
    return output.LaunchTemplateVersions?.[0]?.VersionNumber;
  });
  return found === null ? null : String(found);
}
