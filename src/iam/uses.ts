// What each toolset asks of AWS. The emulated tests hold every tool to its row: a call that is not in it fails them, and an
// operation in no row fails the laws of the house.

import type { ReadOperations } from "../aws/operations/index.js";
import type { WriteOperations } from "../aws/writes/index.js";

type Read = keyof ReadOperations;
type Write = keyof WriteOperations;

export interface Uses {
  readonly reads: readonly Read[];
  readonly writes: readonly Write[];
  /** It looks at, or changes, whatever the other toolsets do: what it may is what they may. */
  readonly others?: true;
}

/** What any tool may ask: who it is, which regions there are (`region: "*"`), and who made a change that it refuses over. */
export const ANY_TOOL: readonly Read[] = ["sts:GetCallerIdentity", "ec2:DescribeRegions", "cloudtrail:LookupEvents"];

const CONTROL: readonly Read[] = [
  "cloudcontrol:GetResource",
  "cloudcontrol:ListResources",
  "cloudformation:DescribeType",
  "cloudcontrol:GetResourceRequestStatus",
  "cloudcontrol:ListResourceRequests",
];
const EC2_TAGS: readonly Write[] = ["ec2:CreateTags", "ec2:DeleteTags"];

const GROUPS: readonly Read[] = [
  "autoscaling:DescribeAutoScalingGroups",
  "autoscaling:DescribeAutoScalingInstances",
  "autoscaling:DescribeScalingActivities",
];
const TARGETS: readonly Read[] = [
  "elbv2:DescribeLoadBalancers",
  "elbv2:DescribeListeners",
  "elbv2:DescribeTargetGroups",
  "elbv2:DescribeTargetHealth",
];

/** By toolset. */
export const USES: Readonly<Record<string, Uses>> = {
  session: { reads: ["iam:ListAccountAliases"], writes: [] },
  regions: { reads: [], writes: [] },
  instances: {
    reads: [
      "ec2:DescribeInstances",
      "ec2:DescribeInstanceAttribute",
      "ec2:DescribeInstanceStatus",
      "ec2:DescribeInstanceTypes",
      "ec2:DescribeAddresses",
      ...GROUPS,
      ...TARGETS,
    ],
    writes: [
      "ec2:RunInstances",
      "ec2:StartInstances",
      "ec2:StopInstances",
      "ec2:RebootInstances",
      "ec2:ModifyInstanceAttribute",
      "ec2:TerminateInstances",
      ...EC2_TAGS,
    ],
  },
  autoscaling: {
    reads: [...GROUPS, ...TARGETS, "autoscaling:DescribeInstanceRefreshes", "ec2:DescribeInstances"],
    writes: ["autoscaling:SetDesiredCapacity"],
  },
  loadBalancers: { reads: [...TARGETS, "ec2:DescribeInstances"], writes: [] },
  securityGroups: {
    reads: ["ec2:DescribeSecurityGroups", "ec2:DescribeSecurityGroupRules", "ec2:DescribeNetworkInterfaces"],
    writes: [
      "ec2:CreateSecurityGroup",
      "ec2:DeleteSecurityGroup",
      "ec2:AuthorizeSecurityGroupIngress",
      "ec2:AuthorizeSecurityGroupEgress",
      "ec2:RevokeSecurityGroupIngress",
      "ec2:RevokeSecurityGroupEgress",
      "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
      "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
      ...EC2_TAGS,
    ],
  },
  resources: {
    // A database is deleted only where what it holds is kept.
    reads: [
      ...CONTROL,
      "rds:DescribeDBInstances",
      "rds:DescribeDBClusters",
      "rds:DescribeDBSnapshots",
      "rds:DescribeDBClusterSnapshots",
    ],
    writes: [
      "cloudcontrol:CreateResource",
      "cloudcontrol:UpdateResource",
      "cloudcontrol:DeleteResource",
      "cloudcontrol:CancelResourceRequest",
    ],
  },
  databases: {
    reads: [
      "rds:DescribeDBInstances",
      "rds:DescribeDBClusters",
      "rds:DescribeDBSnapshots",
      "rds:DescribeDBClusterSnapshots",
      "rds:DescribePendingMaintenanceActions",
    ],
    writes: [
      "rds:StartDBInstance",
      "rds:StopDBInstance",
      "rds:StartDBCluster",
      "rds:StopDBCluster",
      "rds:ModifyDBInstance",
      "rds:ModifyDBCluster",
      "rds:CreateDBSnapshot",
      "rds:CreateDBClusterSnapshot",
      "rds:RestoreDBInstanceFromDBSnapshot",
      "rds:AddTagsToResource",
      "rds:RemoveTagsFromResource",
    ],
  },
  deployments: {
    reads: [
      "ecs:ListClusters",
      "ecs:ListServices",
      "ecs:DescribeServices",
      "ecs:DescribeTaskDefinition",
      // Where the answer to a registration was lost, it is looked for by its mark.
      "ecs:ListTaskDefinitions",
      "ecs:ListServiceDeployments",
      "ecs:DescribeServiceDeployments",
      "ecs:DescribeServiceRevisions",
      "codedeploy:ListApplications",
      "codedeploy:ListDeploymentGroups",
      "codedeploy:GetDeploymentGroup",
      "codedeploy:BatchGetDeploymentGroups",
      "codedeploy:ListDeployments",
      "codedeploy:GetDeployment",
      "codedeploy:BatchGetDeployments",
      "autoscaling:DescribeAutoScalingGroups",
      "autoscaling:DescribeInstanceRefreshes",
      "ec2:DescribeLaunchTemplateVersions",
    ],
    writes: [
      "ecs:RegisterTaskDefinition",
      "ecs:UpdateService",
      "ecs:StopServiceDeployment",
      "codedeploy:CreateDeployment",
      "codedeploy:StopDeployment",
      "autoscaling:StartInstanceRefresh",
      "autoscaling:RollbackInstanceRefresh",
      "autoscaling:CancelInstanceRefresh",
    ],
  },
  snapshots: { reads: ["rds:DescribeDBSnapshots", "rds:DescribeDBClusterSnapshots"], writes: [] },
  costs: {
    reads: [
      "ce:GetCostAndUsage",
      "ce:GetCostForecast",
      "ce:GetAnomalies",
      "ce:GetAnomalyMonitors",
      "pricing:GetProducts",
    ],
    writes: [],
  },
  tags: {
    reads: [
      "tagging:GetResources",
      "ce:GetCostAndUsage",
      "ec2:DescribeInstances",
      "ec2:DescribeVolumes",
      "ec2:DescribeSnapshots",
      "ec2:DescribeAddresses",
      "ec2:DescribeNatGateways",
      "ec2:DescribeVpcs",
      "rds:DescribeDBInstances",
      "rds:DescribeDBClusters",
      "ecs:ListClusters",
      "ecs:DescribeClusters",
      "ecs:ListServices",
      "ecs:DescribeServices",
      "ecs:ListTaskDefinitions",
      "ecs:DescribeTaskDefinition",
      "elbv2:DescribeLoadBalancers",
      "elbv2:DescribeTargetGroups",
      "elbv2:DescribeTags",
      "s3:ListBuckets",
      "s3:GetBucketLocation",
      "s3:GetBucketTagging",
      "cloudcontrol:GetResource",
      "cloudcontrol:ListResources",
      "cloudformation:DescribeType",
      "organizations:DescribeEffectivePolicy",
      "organizations:ListPolicies",
      "organizations:DescribePolicy",
    ],
    writes: ["tagging:TagResources", "tagging:UntagResources"],
  },
  changes: { reads: [], writes: [], others: true },
  state: { reads: [], writes: [], others: true },
};
