// What IAM calls the operations this program uses, as far as it does not call them as the SDK does. From the tables of the
// Service Authorization Reference (https://docs.aws.amazon.com/service-authorization/latest/reference/), one page a service;
// what a call needs beside its own action stands there as a dependent action.

/** IAM's prefix, where it is not the service's name in the SDK. */
const PREFIX: Readonly<Record<string, string>> = {
  cloudcontrol: "cloudformation",
  elbv2: "elasticloadbalancing",
  tagging: "tag",
};

/**
 * A master password that RDS is to keep is put into Secrets Manager in the caller's name, under the key AWS itself has for it.
 * A key of the account's own would need kms:Decrypt, GenerateDataKey and CreateGrant as well: no tool here names one.
 */
const MASTER_PASSWORD = ["kms:DescribeKey", "secretsmanager:CreateSecret", "secretsmanager:TagResource"] as const;

/** All that an operation needs, where it is not just its own name. */
const ACTIONS: Readonly<Record<string, readonly string[]>> = {
  // Any identity may ask who it is.
  "sts:GetCallerIdentity": [],
  "s3:ListBuckets": ["s3:ListAllMyBuckets"],
  "s3:HeadBucket": ["s3:ListBucket"],
  "s3:ListObjectsV2": ["s3:ListBucket"],
  "s3:DeleteBucketTagging": ["s3:PutBucketTagging"],
  // Tags given with the request are checked as a call of their own.
  "ec2:RunInstances": ["ec2:RunInstances", "ec2:CreateTags"],
  "ec2:CreateSecurityGroup": ["ec2:CreateSecurityGroup", "ec2:CreateTags"],
  "rds:CreateDBSnapshot": ["rds:CreateDBSnapshot", "rds:AddTagsToResource"],
  "rds:CreateDBClusterSnapshot": ["rds:CreateDBClusterSnapshot", "rds:AddTagsToResource"],
  "rds:RestoreDBInstanceFromDBSnapshot": [
    "rds:RestoreDBInstanceFromDBSnapshot",
    "rds:AddTagsToResource",
    ...MASTER_PASSWORD,
  ],
  "rds:ModifyDBInstance": ["rds:ModifyDBInstance", ...MASTER_PASSWORD],
  "rds:ModifyDBCluster": ["rds:ModifyDBCluster", ...MASTER_PASSWORD],
  "ecs:RegisterTaskDefinition": ["ecs:RegisterTaskDefinition", "ecs:TagResource"],
  // A group with a launch template is checked for what its instances will need.
  "autoscaling:UpdateAutoScalingGroup": ["autoscaling:UpdateAutoScalingGroup", "ec2:RunInstances", "ec2:CreateTags"],
  "autoscaling:StartInstanceRefresh": ["autoscaling:StartInstanceRefresh", "ec2:RunInstances", "ec2:CreateTags"],
  "autoscaling:RollbackInstanceRefresh": ["autoscaling:RollbackInstanceRefresh", "ec2:RunInstances", "ec2:CreateTags"],
  "codedeploy:CreateDeployment": [
    "codedeploy:CreateDeployment",
    "codedeploy:GetApplicationRevision",
    "codedeploy:GetDeploymentConfig",
    "codedeploy:RegisterApplicationRevision",
  ],
  // The tagging API checks the action of the service whose resource it tags as well.
  "tagging:TagResources": [
    "tag:TagResources",
    "ec2:CreateTags",
    "rds:AddTagsToResource",
    "ecs:TagResource",
    "elasticloadbalancing:AddTags",
    "lambda:TagResource",
    "dynamodb:TagResource",
    "sqs:TagQueue",
    "sns:TagResource",
    "s3:GetBucketTagging",
    "s3:PutBucketTagging",
  ],
  "tagging:UntagResources": [
    "tag:UntagResources",
    "ec2:DeleteTags",
    "rds:RemoveTagsFromResource",
    "ecs:UntagResource",
    "elasticloadbalancing:RemoveTags",
    "lambda:UntagResource",
    "dynamodb:UntagResource",
    "sqs:UntagQueue",
    "sns:UntagResource",
    "s3:GetBucketTagging",
    "s3:PutBucketTagging",
  ],
};

/** Services that an operation may hand a role to: iam:PassRole, limited to them. */
const PASSES_ROLE_TO: Readonly<Record<string, readonly string[]>> = {
  "ecs:RegisterTaskDefinition": ["ecs-tasks.amazonaws.com"],
  "ecs:UpdateService": ["ecs.amazonaws.com", "ecs-tasks.amazonaws.com"],
  "autoscaling:UpdateAutoScalingGroup": ["ec2.amazonaws.com"],
  "autoscaling:StartInstanceRefresh": ["ec2.amazonaws.com"],
  "autoscaling:RollbackInstanceRefresh": ["ec2.amazonaws.com"],
};

/** The action of an operation itself, as a refusal names it: `"cloudcontrol:GetResource"` → `"cloudformation:GetResource"`. */
export function actionOf(service: string, operation: string): string {
  const [renamed] = ACTIONS[`${service}:${operation}`] ?? [];
  return renamed ?? `${PREFIX[service] ?? service}:${operation}`;
}

/** Every action that an operation needs. */
export function actionsOf(name: string): readonly string[] {
  const [service = "", operation = ""] = name.split(":");
  return ACTIONS[name] ?? [actionOf(service, operation)];
}

export const passesRoleTo = (name: string): readonly string[] => PASSES_ROLE_TO[name] ?? [];
