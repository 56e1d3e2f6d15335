// Auto Scaling groups as our readers show them, and what scaled them.

import { z } from "zod";
import type { Known } from "../known.js";
import type { Page } from "../page.js";
import { Tags } from "./tags.js";

export const Member = z.object({
  instanceId: z.string(),
  lifecycleState: z.string().describe("InService, Pending…, Terminating…, Standby, Detached…"),
  healthStatus: z.string().describe("Healthy or Unhealthy, as the group sees it"),
  instanceType: z.string().optional(),
  availabilityZone: z.string().optional(),
  protectedFromScaleIn: z.boolean().optional(),
});
export type Member = z.infer<typeof Member>;

export const AutoScalingGroup = z.object({
  groupName: z.string(),
  desiredCapacity: z.number(),
  minSize: z.number(),
  maxSize: z.number(),
  /** Members that the group itself calls in service and healthy. */
  inService: z.number(),
  instances: z.array(Member),
  launchedFrom: z.string().optional().describe("launch template and version, or launch configuration"),
  healthCheckType: z.string().optional(),
  suspendedProcesses: z.array(z.string()),
  availabilityZones: z.array(z.string()),
  subnetIds: z.array(z.string()),
  targetGroupArns: z.array(z.string()),
  /** Set only while the group is being deleted. */
  status: z.string().optional(),
  createdAt: z.string().optional(),
  tags: Tags,
});
export type AutoScalingGroup = z.infer<typeof AutoScalingGroup>;

export const ScalingActivity = z.object({
  activityId: z.string(),
  groupName: z.string(),
  status: z.string().describe("Successful, Failed, InProgress, Cancelled, …"),
  description: z.string(),
  cause: z.string().describe("AWS's own words on why"),
  statusMessage: z.string().optional(),
  startedAt: z.string(),
  endedAt: z.string().optional(),
  instanceIds: z.array(z.string()),
});
export type ScalingActivity = z.infer<typeof ScalingActivity>;

/** What is read of Auto Scaling beside the groups' content. */
export interface ScalingReads {
  /** The groups of these names, or all of them up to a number; those left out are counted where that is known. */
  groups(
    names?: readonly string[],
  ): Promise<Known<{ readonly groups: readonly AutoScalingGroup[]; readonly more: boolean }>>;
  /** What scaled a group, or every group, newest first. AWS keeps six weeks of it. */
  activities(query: {
    readonly groupName?: string;
    readonly limit?: number;
    readonly cursor?: string;
  }): Promise<Page<ScalingActivity>>;
  /** The latest of what scaled these groups, newest first; a few groups at most. */
  recent(groupNames: readonly string[]): Promise<Known<readonly ScalingActivity[]>>;
}
