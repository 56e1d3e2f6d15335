// What is read of Auto Scaling.

import type {
  ActivitiesType,
  AutoScalingGroupNamesType,
  AutoScalingGroupsType,
  AutoScalingInstancesType,
  DescribeAutoScalingInstancesType,
  DescribeScalingActivitiesType,
} from "@aws-sdk/client-auto-scaling";

export interface AutoScalingReads {
  "autoscaling:DescribeAutoScalingGroups": [AutoScalingGroupNamesType, AutoScalingGroupsType];
  "autoscaling:DescribeAutoScalingInstances": [DescribeAutoScalingInstancesType, AutoScalingInstancesType];
  "autoscaling:DescribeScalingActivities": [DescribeScalingActivitiesType, ActivitiesType];
}
