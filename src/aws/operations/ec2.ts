// What is read of EC2.

import type {
  DescribeAddressesRequest,
  DescribeAddressesResult,
  DescribeInstanceAttributeRequest,
  DescribeInstanceStatusRequest,
  DescribeInstanceStatusResult,
  DescribeInstancesRequest,
  DescribeInstancesResult,
  DescribeInstanceTypesRequest,
  DescribeInstanceTypesResult,
  DescribeNatGatewaysRequest,
  DescribeNatGatewaysResult,
  DescribeNetworkInterfacesRequest,
  DescribeNetworkInterfacesResult,
  DescribeRegionsRequest,
  DescribeRegionsResult,
  DescribeSecurityGroupRulesRequest,
  DescribeSecurityGroupRulesResult,
  DescribeSecurityGroupsRequest,
  DescribeSecurityGroupsResult,
  DescribeSnapshotsRequest,
  DescribeSnapshotsResult,
  DescribeVolumesRequest,
  DescribeVolumesResult,
  DescribeVpcsRequest,
  DescribeVpcsResult,
  InstanceAttribute,
} from "@aws-sdk/client-ec2";

export interface Ec2Reads {
  "ec2:DescribeInstances": [DescribeInstancesRequest, DescribeInstancesResult];
  "ec2:DescribeInstanceAttribute": [DescribeInstanceAttributeRequest, InstanceAttribute];
  "ec2:DescribeInstanceStatus": [DescribeInstanceStatusRequest, DescribeInstanceStatusResult];
  "ec2:DescribeInstanceTypes": [DescribeInstanceTypesRequest, DescribeInstanceTypesResult];
  "ec2:DescribeAddresses": [DescribeAddressesRequest, DescribeAddressesResult];
  "ec2:DescribeNetworkInterfaces": [DescribeNetworkInterfacesRequest, DescribeNetworkInterfacesResult];
  "ec2:DescribeSecurityGroups": [DescribeSecurityGroupsRequest, DescribeSecurityGroupsResult];
  "ec2:DescribeSecurityGroupRules": [DescribeSecurityGroupRulesRequest, DescribeSecurityGroupRulesResult];
  "ec2:DescribeRegions": [DescribeRegionsRequest, DescribeRegionsResult];
  "ec2:DescribeVolumes": [DescribeVolumesRequest, DescribeVolumesResult];
  "ec2:DescribeSnapshots": [DescribeSnapshotsRequest, DescribeSnapshotsResult];
  "ec2:DescribeNatGateways": [DescribeNatGatewaysRequest, DescribeNatGatewaysResult];
  "ec2:DescribeVpcs": [DescribeVpcsRequest, DescribeVpcsResult];
}
