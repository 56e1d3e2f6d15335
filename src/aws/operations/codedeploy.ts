// What is read of CodeDeploy.

import type {
  BatchGetDeploymentGroupsInput,
  BatchGetDeploymentGroupsOutput,
  BatchGetDeploymentsInput,
  BatchGetDeploymentsOutput,
  GetDeploymentGroupInput,
  GetDeploymentGroupOutput,
  GetDeploymentInput,
  GetDeploymentOutput,
  ListApplicationsInput,
  ListApplicationsOutput,
  ListDeploymentGroupsInput,
  ListDeploymentGroupsOutput,
  ListDeploymentsInput,
  ListDeploymentsOutput,
} from "@aws-sdk/client-codedeploy";

export interface CodeDeployReads {
  "codedeploy:ListApplications": [ListApplicationsInput, ListApplicationsOutput];
  "codedeploy:ListDeploymentGroups": [ListDeploymentGroupsInput, ListDeploymentGroupsOutput];
  "codedeploy:GetDeploymentGroup": [GetDeploymentGroupInput, GetDeploymentGroupOutput];
  "codedeploy:BatchGetDeploymentGroups": [BatchGetDeploymentGroupsInput, BatchGetDeploymentGroupsOutput];
  "codedeploy:ListDeployments": [ListDeploymentsInput, ListDeploymentsOutput];
  "codedeploy:GetDeployment": [GetDeploymentInput, GetDeploymentOutput];
  "codedeploy:BatchGetDeployments": [BatchGetDeploymentsInput, BatchGetDeploymentsOutput];
}
