// What is read of ECS.

import type {
  DescribeClustersRequest,
  DescribeClustersResponse,
  DescribeServicesRequest,
  DescribeServicesResponse,
  DescribeTaskDefinitionRequest,
  DescribeTaskDefinitionResponse,
  ListClustersRequest,
  ListClustersResponse,
  ListServicesRequest,
  ListServicesResponse,
  ListTaskDefinitionsRequest,
  ListTaskDefinitionsResponse,
} from "@aws-sdk/client-ecs";

export interface EcsReads {
  "ecs:ListClusters": [ListClustersRequest, ListClustersResponse];
  "ecs:DescribeClusters": [DescribeClustersRequest, DescribeClustersResponse];
  "ecs:ListServices": [ListServicesRequest, ListServicesResponse];
  "ecs:DescribeServices": [DescribeServicesRequest, DescribeServicesResponse];
  "ecs:ListTaskDefinitions": [ListTaskDefinitionsRequest, ListTaskDefinitionsResponse];
  "ecs:DescribeTaskDefinition": [DescribeTaskDefinitionRequest, DescribeTaskDefinitionResponse];
}
