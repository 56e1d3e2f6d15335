// What is read of ECS.

import type {
  DescribeClustersRequest,
  DescribeClustersResponse,
  DescribeServiceDeploymentsRequest,
  DescribeServiceDeploymentsResponse,
  DescribeServiceRevisionsRequest,
  DescribeServiceRevisionsResponse,
  DescribeServicesRequest,
  DescribeServicesResponse,
  DescribeTaskDefinitionRequest,
  DescribeTaskDefinitionResponse,
  ListClustersRequest,
  ListClustersResponse,
  ListServiceDeploymentsRequest,
  ListServiceDeploymentsResponse,
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
  "ecs:ListServiceDeployments": [ListServiceDeploymentsRequest, ListServiceDeploymentsResponse];
  "ecs:DescribeServiceDeployments": [DescribeServiceDeploymentsRequest, DescribeServiceDeploymentsResponse];
  "ecs:DescribeServiceRevisions": [DescribeServiceRevisionsRequest, DescribeServiceRevisionsResponse];
}
