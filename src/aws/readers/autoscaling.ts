// Auto Scaling's reads: groups by their own word on each member, and the activities that changed them.

import type { Activity, AutoScalingGroup as AwsGroup, Filter } from "@aws-sdk/client-auto-scaling";
import type { AutoScalingGroup, Member, ScalingActivity, ScalingReads } from "../../core/content/auto-scaling.js";
import { asKnown } from "../../core/known.js";
import type { ListQuery } from "../../core/ports.js";
import { takesWork } from "../../core/takes-work.js";
import type { Api } from "../api.js";
import { byName, capitalised, chunks, page, present, type TypeReader, tagsOf } from "./parts.js";

/** AWS's largest page. */
const PAGE = 100;
/** Pages of all groups that are read at most. */
const MOST_PAGES = 5;
/** Groups whose activities are asked for at once. */
const MOST_ASKED = 5;

function launchedFrom(aws: AwsGroup): string | undefined {
  const template = aws.LaunchTemplate ?? aws.MixedInstancesPolicy?.LaunchTemplate?.LaunchTemplateSpecification;
  if (template) {
    return `${template.LaunchTemplateName ?? template.LaunchTemplateId ?? ""}:${template.Version ?? "$Default"}`;
  }
  return aws.LaunchConfigurationName;
}

export function groupOf(aws: AwsGroup): AutoScalingGroup {
  const instances = (aws.Instances ?? [])
    .map((member) =>
      present<Member>({
        instanceId: member.InstanceId ?? "",
        lifecycleState: member.LifecycleState ?? "unknown",
        healthStatus: capitalised(member.HealthStatus ?? "unknown"),
        instanceType: member.InstanceType,
        availabilityZone: member.AvailabilityZone,
        protectedFromScaleIn: member.ProtectedFromScaleIn || undefined,
      }),
    )
    .sort((a, b) => byName(a.instanceId, b.instanceId));
  return present<AutoScalingGroup>({
    groupName: aws.AutoScalingGroupName ?? "",
    desiredCapacity: aws.DesiredCapacity ?? 0,
    minSize: aws.MinSize ?? 0,
    maxSize: aws.MaxSize ?? 0,
    inService: instances.filter(takesWork).length,
    instances,
    launchedFrom: launchedFrom(aws),
    healthCheckType: aws.HealthCheckType,
    suspendedProcesses: (aws.SuspendedProcesses ?? []).map(({ ProcessName = "" }) => ProcessName).sort(byName),
    availabilityZones: [...(aws.AvailabilityZones ?? [])].sort(byName),
    subnetIds: (aws.VPCZoneIdentifier ?? "").split(",").filter(Boolean).sort(byName),
    targetGroupArns: [...(aws.TargetGroupARNs ?? [])].sort(byName),
    status: aws.Status,
    createdAt: aws.CreatedTime?.toISOString(),
    tags: tagsOf(aws.Tags),
  });
}

const INSTANCE_ID = /\bi-[0-9a-f]{8,17}\b/g;

export function activityOf(aws: Activity): ScalingActivity {
  const text = `${aws.Description ?? ""} ${aws.Cause ?? ""}`;
  return present<ScalingActivity>({
    activityId: aws.ActivityId ?? "",
    groupName: aws.AutoScalingGroupName ?? "",
    status: aws.StatusCode ?? "unknown",
    description: aws.Description ?? "",
    cause: aws.Cause ?? "",
    statusMessage: aws.StatusMessage || undefined,
    startedAt: aws.StartTime?.toISOString() ?? "",
    endedAt: aws.EndTime?.toISOString(),
    instanceIds: [...new Set(text.match(INSTANCE_ID) ?? [])].sort(byName),
  });
}

async function groupPage(api: Api, { filters = {}, limit, cursor }: ListQuery) {
  const Filters: Filter[] = Object.entries(filters).map(([Name, Values]) => ({ Name, Values: [...Values] }));
  const output = await api.call("autoscaling", "DescribeAutoScalingGroups", {
    ...(Filters.length > 0 && { Filters }),
    MaxRecords: Math.min(Math.max(limit ?? PAGE, 1), PAGE),
    ...(cursor && { NextToken: cursor }),
  });
  return page((output.AutoScalingGroups ?? []).map(groupOf), output.NextToken);
}

async function groupsNamed(api: Api, names: readonly string[]): Promise<AutoScalingGroup[]> {
  const pages = chunks([...new Set(names)], PAGE).map((AutoScalingGroupNames) =>
    api.call("autoscaling", "DescribeAutoScalingGroups", { AutoScalingGroupNames, MaxRecords: PAGE }),
  );
  return (await Promise.all(pages)).flatMap(({ AutoScalingGroups = [] }) => AutoScalingGroups.map(groupOf));
}

/** A question by names is whole, so what else it asks for is looked at here. */
const bears = ({ tags }: AutoScalingGroup, filters: ListQuery["filters"] = {}): boolean =>
  Object.entries(filters).every(([name, values]) => values.includes(tags[name.replace(/^tag:/, "")] ?? ""));

export const autoScalingGroupReader = (api: Api): TypeReader<AutoScalingGroup> => ({
  // A name that no group bears is answered by an empty list, which is AWS's word for it.
  get: async (name) => (await groupsNamed(api, [name])).find(({ groupName }) => groupName === name) ?? null,
  async list(query) {
    if (query.ids) {
      const named = query.ids.length === 0 ? [] : await groupsNamed(api, query.ids);
      return { items: named.filter((group) => bears(group, query.filters)) };
    }
    return groupPage(api, query);
  },
});

async function allGroups(api: Api) {
  const groups: AutoScalingGroup[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < MOST_PAGES; pages++) {
    const found = await groupPage(api, cursor === undefined ? {} : { cursor });
    groups.push(...found.items);
    cursor = found.next;
    if (cursor === undefined) return { groups, more: false };
  }
  return { groups, more: true };
}

export function scalingReads(api: Api): ScalingReads {
  const activities: ScalingReads["activities"] = async ({ groupName, limit = PAGE, cursor }) => {
    const output = await api.call("autoscaling", "DescribeScalingActivities", {
      ...(groupName !== undefined && { AutoScalingGroupName: groupName }),
      MaxRecords: Math.min(limit, PAGE),
      ...(cursor && { NextToken: cursor }),
    });
    return page((output.Activities ?? []).map(activityOf), output.NextToken);
  };
  return {
    activities,
    groups: (names) =>
      asKnown(async () =>
        names === undefined
          ? allGroups(api)
          : { groups: names.length === 0 ? [] : await groupsNamed(api, names), more: false },
      ),
    recent: (groupNames) =>
      asKnown(async () => {
        const pages = await Promise.all(groupNames.slice(0, MOST_ASKED).map((groupName) => activities({ groupName })));
        return pages.flatMap(({ items }) => items).sort((a, b) => byName(b.startedAt, a.startedAt));
      }),
  };
}
