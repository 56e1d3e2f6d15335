// What is read of Elastic Load Balancing.

import type {
  DescribeLoadBalancersInput,
  DescribeLoadBalancersOutput,
  DescribeTagsInput,
  DescribeTagsOutput,
  DescribeTargetGroupsInput,
  DescribeTargetGroupsOutput,
} from "@aws-sdk/client-elastic-load-balancing-v2";

export interface Elbv2Reads {
  "elbv2:DescribeLoadBalancers": [DescribeLoadBalancersInput, DescribeLoadBalancersOutput];
  "elbv2:DescribeTargetGroups": [DescribeTargetGroupsInput, DescribeTargetGroupsOutput];
  "elbv2:DescribeTags": [DescribeTagsInput, DescribeTagsOutput];
}
