// What is read of Elastic Load Balancing.

import type {
  DescribeListenersInput,
  DescribeListenersOutput,
  DescribeLoadBalancersInput,
  DescribeLoadBalancersOutput,
  DescribeTagsInput,
  DescribeTagsOutput,
  DescribeTargetGroupsInput,
  DescribeTargetGroupsOutput,
  DescribeTargetHealthInput,
  DescribeTargetHealthOutput,
} from "@aws-sdk/client-elastic-load-balancing-v2";

export interface Elbv2Reads {
  "elbv2:DescribeLoadBalancers": [DescribeLoadBalancersInput, DescribeLoadBalancersOutput];
  "elbv2:DescribeListeners": [DescribeListenersInput, DescribeListenersOutput];
  "elbv2:DescribeTargetGroups": [DescribeTargetGroupsInput, DescribeTargetGroupsOutput];
  "elbv2:DescribeTargetHealth": [DescribeTargetHealthInput, DescribeTargetHealthOutput];
  "elbv2:DescribeTags": [DescribeTagsInput, DescribeTagsOutput];
}
