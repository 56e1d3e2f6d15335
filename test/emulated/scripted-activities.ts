// DescribeScalingActivities, scripted from AWS's published answer shape: moto's is always empty.

import type { Rule } from "./rules.js";

export interface Activity {
  readonly id: string;
  readonly group: string;
  readonly description: string;
  readonly cause: string;
  readonly at: Date;
}

const member = ({ id, group, description, cause, at }: Activity): string =>
  `<member><ActivityId>${id}</ActivityId><AutoScalingGroupName>${group}</AutoScalingGroupName><Description>${description}</Description><Cause>${cause}</Cause><StartTime>${at.toISOString()}</StartTime><EndTime>${at.toISOString()}</EndTime><StatusCode>Successful</StatusCode><Progress>100</Progress></member>`;

/** Answers every question from now on; newest first, as AWS does. */
export const scriptedActivities = (activities: readonly Activity[]): Rule => ({
  service: "autoscaling",
  operation: "DescribeScalingActivities",
  times: Number.POSITIVE_INFINITY,
  rewrite: () =>
    `<DescribeScalingActivitiesResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><DescribeScalingActivitiesResult><Activities>${[
      ...activities,
    ]
      .sort((a, b) => b.at.getTime() - a.at.getTime())
      .map(member)
      .join("")}</Activities></DescribeScalingActivitiesResult></DescribeScalingActivitiesResponse>`,
});

/** The words of a scale-in, as AWS writes them. */
export const scaledIn = (group: string, instanceId: string, at: Date): Activity => ({
  id: `activity-${instanceId}`,
  group,
  description: `Terminating EC2 instance: ${instanceId}`,
  cause: `At ${at.toISOString()} a monitor alarm low-cpu in state ALARM triggered policy scale-in changing the desired capacity. At ${at.toISOString()} instance ${instanceId} was selected for termination.`,
  at,
});
