// What is read of instance refreshes, and of the launch templates they bring out.

import type {
  AutoScalingGroupNamesType,
  AutoScalingGroupsType,
  DescribeInstanceRefreshesAnswer,
  DescribeInstanceRefreshesType,
} from "@aws-sdk/client-auto-scaling";
import type { DescribeLaunchTemplateVersionsRequest, DescribeLaunchTemplateVersionsResult } from "@aws-sdk/client-ec2";

export interface RefreshReads {
  "autoscaling:DescribeAutoScalingGroups": [AutoScalingGroupNamesType, AutoScalingGroupsType];
  "autoscaling:DescribeInstanceRefreshes": [DescribeInstanceRefreshesType, DescribeInstanceRefreshesAnswer];
  "ec2:DescribeLaunchTemplateVersions": [DescribeLaunchTemplateVersionsRequest, DescribeLaunchTemplateVersionsResult];
}
