// The resource types of tag compliance by their `service:type` names: which are scanned, which are free, what they cost under;
// built in, or as the operator's file says.

import { z } from "zod";

interface TypeFacts {
  /** The CloudFormation type; absent where there is none. */
  readonly cloudFormation?: string;
  /** Cost Explorer's name of the service; empty: free. */
  readonly costs: string;
  /** Cloud Custodian's name; absent where Custodian has none. */
  readonly custodian?: string;
}

const EC2_COSTS = "Amazon Elastic Compute Cloud - Compute";
const EC2_OTHER = "EC2 - Other";
const ELB = "Amazon Elastic Load Balancing";

const row = (cloudFormation: string | undefined, costs: string, custodian?: string): TypeFacts => ({
  costs,
  ...(cloudFormation !== undefined && { cloudFormation }),
  ...(custodian !== undefined && { custodian }),
});

/** The scannable set. */
export const SCANNED: Readonly<Record<string, TypeFacts>> = {
  "ec2:instance": row("AWS::EC2::Instance", EC2_COSTS, "ec2"),
  "ec2:volume": row("AWS::EC2::Volume", EC2_OTHER, "ebs"),
  "ec2:elastic-ip": row("AWS::EC2::EIP", EC2_OTHER, "elastic-ip"),
  "ec2:snapshot": row(undefined, EC2_OTHER, "ebs-snapshot"),
  "ec2:natgateway": row("AWS::EC2::NatGateway", EC2_OTHER, "nat-gateway"),
  "lambda:function": row("AWS::Lambda::Function", "AWS Lambda", "lambda"),
  "ecs:cluster": row("AWS::ECS::Cluster", "Amazon Elastic Container Service", "ecs"),
  "ecs:service": row("AWS::ECS::Service", "Amazon Elastic Container Service", "ecs-service"),
  "ecs:task-definition": row("AWS::ECS::TaskDefinition", "Amazon Elastic Container Service", "ecs-task-definition"),
  "eks:cluster": row("AWS::EKS::Cluster", "Amazon Elastic Kubernetes Service", "eks"),
  "eks:nodegroup": row("AWS::EKS::Nodegroup", "Amazon Elastic Kubernetes Service", "eks-nodegroup"),
  "s3:bucket": row("AWS::S3::Bucket", "Amazon Simple Storage Service", "s3"),
  "elasticfilesystem:file-system": row("AWS::EFS::FileSystem", "Amazon Elastic File System", "efs"),
  "fsx:file-system": row("AWS::FSx::FileSystem", "Amazon FSx", "fsx"),
  "rds:db": row("AWS::RDS::DBInstance", "Amazon Relational Database Service", "rds"),
  "rds:cluster": row("AWS::RDS::DBCluster", "Amazon Relational Database Service", "rds-cluster"),
  "dynamodb:table": row("AWS::DynamoDB::Table", "Amazon DynamoDB", "dynamodb-table"),
  "elasticache:cluster": row("AWS::ElastiCache::CacheCluster", "Amazon ElastiCache", "cache-cluster"),
  "elasticache:replicationgroup": row("AWS::ElastiCache::ReplicationGroup", "Amazon ElastiCache", "elasticache-group"),
  "redshift:cluster": row("AWS::Redshift::Cluster", "Amazon Redshift", "redshift"),
  "sagemaker:endpoint": row("AWS::SageMaker::Endpoint", "Amazon SageMaker", "sagemaker-endpoint"),
  "sagemaker:notebook-instance": row("AWS::SageMaker::NotebookInstance", "Amazon SageMaker", "sagemaker-notebook"),
  "bedrock:agent": row("AWS::Bedrock::Agent", "Amazon Bedrock", "bedrock-agent"),
  "bedrock:knowledge-base": row("AWS::Bedrock::KnowledgeBase", "Amazon Bedrock", "bedrock-knowledge-base"),
  "elasticloadbalancing:loadbalancer": row("AWS::ElasticLoadBalancingV2::LoadBalancer", ELB, "app-elb"),
  "elasticloadbalancing:targetgroup": row("AWS::ElasticLoadBalancingV2::TargetGroup", "", "app-elb-target-group"),
  "kinesis:stream": row("AWS::Kinesis::Stream", "Amazon Kinesis", "kinesis"),
  "glue:job": row("AWS::Glue::Job", "AWS Glue", "glue-job"),
  "glue:crawler": row("AWS::Glue::Crawler", "AWS Glue", "glue-crawler"),
  "glue:table": row("AWS::Glue::Table", "AWS Glue", "glue-table"),
  "opensearch:domain": row("AWS::OpenSearchService::Domain", "Amazon OpenSearch Service", "elasticsearch"),
  "emr:cluster": row("AWS::EMR::Cluster", "Amazon Elastic MapReduce", "emr"),
  "cognito-idp:userpool": row("AWS::Cognito::UserPool", "Amazon Cognito", "user-pool"),
  "cognito-identity:identitypool": row("AWS::Cognito::IdentityPool", "Amazon Cognito", "identity-pool"),
  "secretsmanager:secret": row("AWS::SecretsManager::Secret", "AWS Secrets Manager", "secrets-manager"),
  "kms:key": row("AWS::KMS::Key", "AWS Key Management Service", "kms-key"),
  "apigateway:restapi": row("AWS::ApiGateway::RestApi", "Amazon API Gateway", "rest-api"),
  "cloudfront:distribution": row("AWS::CloudFront::Distribution", "Amazon CloudFront", "distribution"),
  "route53:hostedzone": row("AWS::Route53::HostedZone", "Amazon Route 53", "hostedzone"),
  "stepfunctions:statemachine": row("AWS::StepFunctions::StateMachine", "AWS Step Functions", "step-machine"),
  "codebuild:project": row("AWS::CodeBuild::Project", "AWS CodeBuild", "codebuild"),
  "codepipeline:pipeline": row("AWS::CodePipeline::Pipeline", "AWS CodePipeline", "codepipeline"),
};

export const SCANNED_TYPES: readonly string[] = Object.keys(SCANNED);

/** Types that cost nothing by themselves: known, and not scanned. */
export const FREE_TYPES: readonly string[] = [
  "ec2:vpc",
  "ec2:subnet",
  "ec2:security-group",
  "logs:log-group",
  "cloudwatch:alarm",
  "sns:topic",
  "sqs:queue",
  "ecr:repository",
  "glue:database",
  "athena:workgroup",
];

/** Types of services without regions: listed once, wherever one asks. */
export const GLOBAL_TYPES: ReadonlySet<string> = new Set([
  "s3:bucket",
  "route53:hostedzone",
  "cloudfront:distribution",
  "iam:role",
  "iam:user",
  "iam:policy",
]);

/** Types of the set that AWS keeps no tags on: nothing can be asked of them. */
const UNTAGGABLE: ReadonlySet<string> = new Set(["glue:table"]);

/** Whether there is a way to list it. */
const isListed = (type: string): boolean => Object.hasOwn(SCANNED, type) && !UNTAGGABLE.has(type);

/** What is scanned, and what it costs under. */
export interface TypeTable {
  /** `all`. */
  readonly types: readonly string[];
  isScanned(type: string): boolean;
  /** Cost Explorer's name of the type's service; empty: free, or not known. */
  costsOf(type: string): string;
  /** Whether a service of Cost Explorer is one that no resource with tags stands behind. */
  isUnattributable(service: string): boolean;
  /** What of the operator's file could not be taken as it stands. */
  readonly warnings: readonly string[];
}

/**
 * The types a caller means: `all` is the scannable set. Names the scanner does not scan are skipped, never an error.
 * @example chosenTypes(["ec2:instance", "rds:db-instance"]) // { types: ["ec2:instance"], skipped: ["rds:db-instance"] }
 */
export function chosenTypes(
  named: readonly string[],
  { types, isScanned }: Pick<TypeTable, "types" | "isScanned"> = BUILT_IN,
): {
  readonly types: readonly string[];
  readonly skipped: readonly string[];
  readonly all: boolean;
} {
  const all = named.includes("all");
  const wanted = [...new Set(all ? [...types, ...named.filter((name) => name !== "all")] : named)];
  return { types: wanted.filter(isScanned), skipped: wanted.filter((name) => !isScanned(name)), all };
}

const UNATTRIBUTABLE =
  /^(Tax|AWS Cost Explorer|AWS Data Transfer|AWS Marketplace|Refund|Savings Plans? for .*)$|\bSupport\b|\(Amazon Bedrock Edition\)$|Marketplace/;

const isUnattributable = (service: string): boolean => UNATTRIBUTABLE.test(service);
const builtInCosts = (type: string): string => (Object.hasOwn(SCANNED, type) ? SCANNED[type]!.costs : "");

export const BUILT_IN: TypeTable = {
  types: SCANNED_TYPES,
  isScanned: isListed,
  costsOf: builtInCosts,
  isUnattributable,
  warnings: [],
};

const TYPE = /^[a-z0-9-]+:[a-z0-9-]+$/;
const TypeName = z.string().regex(TYPE, "must look like ec2:instance");

/** A list, or lists under headings; what begins with `_` is a comment. */
const listOf = <T extends z.ZodType<string>>(name: T) => {
  const Grouped = z
    .record(z.string(), z.unknown())
    .transform((groups) => Object.fromEntries(Object.entries(groups).filter(([key]) => !key.startsWith("_"))));
  return z.union([z.array(name), Grouped.pipe(z.record(z.string(), z.array(name)))], {
    error: "must be a list of names, or lists of names under headings",
  });
};

/** The file as users have it: every part may be absent, and what it says beyond this is ignored. */
const TypesFile = z.looseObject({
  cost_generating_resources: listOf(TypeName).optional(),
  free_resources: listOf(TypeName).optional(),
  unattributable_services: listOf(z.string().min(1)).optional(),
  service_name_mapping: z
    .record(z.string(), z.unknown())
    .transform((all) => Object.fromEntries(Object.entries(all).filter(([key]) => !key.startsWith("_"))))
    .pipe(z.record(TypeName, z.string()))
    .optional(),
});

const flat = (list: readonly string[] | Readonly<Record<string, readonly string[]>>): string[] => [
  ...new Set(Array.isArray(list) ? (list as readonly string[]) : Object.values(list).flat()),
];

/**
 * The table that an operator's file makes. It chooses among the types that can be listed: others are skipped and said.
 * @throws z.ZodError where it is no such file
 */
export function typeTable(value: unknown): TypeTable {
  const file = TypesFile.parse(value);
  const named = file.cost_generating_resources ? flat(file.cost_generating_resources) : SCANNED_TYPES;
  const types = named.filter(isListed);
  const unlisted = named.filter((type) => !isListed(type) && !UNTAGGABLE.has(type));
  const unattributable = file.unattributable_services && new Set(flat(file.unattributable_services));
  const costs = file.service_name_mapping ?? {};
  return {
    types,
    isScanned: (type) => isListed(type) && (types.includes(type) || !file.cost_generating_resources),
    costsOf: (type) => (Object.hasOwn(costs, type) ? costs[type]! : builtInCosts(type)),
    isUnattributable: unattributable ? (service) => unattributable.has(service) : isUnattributable,
    warnings:
      unlisted.length > 0
        ? [`The file of resource types names some that cannot be listed, and are skipped: ${unlisted.join(", ")}.`]
        : [],
  };
}
