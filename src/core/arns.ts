// ARNs of the resource types that tag tools know: an ARN says which resource it is, and a resource what its ARN is. Pure.

import type { ResourceRef } from "./change.js";

export interface Arn {
  readonly partition: string;
  readonly service: string;
  readonly region: string;
  readonly account: string;
  readonly resource: string;
}

const SHAPE = /^arn:(aws[a-z-]*):([a-z0-9-]+):([a-z0-9-]*):(\d{12}|):([A-Za-z0-9\-/:._*$@+=]+)$/;

export function parseArn(text: string): Arn | null {
  const [, partition, service, region, account, resource] = SHAPE.exec(text) ?? [];
  if (partition === undefined) return null;
  return { partition, service: service!, region: region!, account: account!, resource: resource! };
}

interface Row {
  /** The name in tagging policies. */
  readonly type: string;
  readonly cloudFormation: string;
  readonly service: string;
  /** The resource part; `*` stands for the id, `**` for one that may hold separators. */
  readonly resource: string;
  /** The id is the whole ARN. */
  readonly wholeArn: boolean;
}

const row = (line: string): Row => {
  const [type = "", cloudFormation = "", service = "", resource = "", mark] = line.split(" ");
  return { type, cloudFormation, service, resource, wholeArn: mark === "arn" };
};

const ROWS: readonly Row[] = `
ec2:instance AWS::EC2::Instance ec2 instance/*
ec2:volume AWS::EC2::Volume ec2 volume/*
ec2:elastic-ip AWS::EC2::EIP ec2 elastic-ip/*
ec2:snapshot AWS::EC2::Snapshot ec2 snapshot/*
ec2:natgateway AWS::EC2::NatGateway ec2 natgateway/*
lambda:function AWS::Lambda::Function lambda function:*
ecs:cluster AWS::ECS::Cluster ecs cluster/*
ecs:service AWS::ECS::Service ecs service/** arn
ecs:task-definition AWS::ECS::TaskDefinition ecs task-definition/** arn
eks:cluster AWS::EKS::Cluster eks cluster/*
eks:nodegroup AWS::EKS::Nodegroup eks nodegroup/**
s3:bucket AWS::S3::Bucket s3 *
elasticfilesystem:file-system AWS::EFS::FileSystem elasticfilesystem file-system/*
fsx:file-system AWS::FSx::FileSystem fsx file-system/*
rds:db AWS::RDS::DBInstance rds db:*
rds:cluster AWS::RDS::DBCluster rds cluster:*
dynamodb:table AWS::DynamoDB::Table dynamodb table/*
elasticache:cluster AWS::ElastiCache::CacheCluster elasticache cluster:*
elasticache:replicationgroup AWS::ElastiCache::ReplicationGroup elasticache replicationgroup:*
redshift:cluster AWS::Redshift::Cluster redshift cluster:*
sagemaker:endpoint AWS::SageMaker::Endpoint sagemaker endpoint/** arn
sagemaker:notebook-instance AWS::SageMaker::NotebookInstance sagemaker notebook-instance/** arn
bedrock:agent AWS::Bedrock::Agent bedrock agent/*
bedrock:knowledge-base AWS::Bedrock::KnowledgeBase bedrock knowledge-base/*
elasticloadbalancing:loadbalancer AWS::ElasticLoadBalancingV2::LoadBalancer elasticloadbalancing loadbalancer/** arn
elasticloadbalancing:targetgroup AWS::ElasticLoadBalancingV2::TargetGroup elasticloadbalancing targetgroup/** arn
kinesis:stream AWS::Kinesis::Stream kinesis stream/*
glue:job AWS::Glue::Job glue job/*
glue:crawler AWS::Glue::Crawler glue crawler/*
opensearch:domain AWS::OpenSearchService::Domain es domain/*
emr:cluster AWS::EMR::Cluster elasticmapreduce cluster/*
cognito-idp:userpool AWS::Cognito::UserPool cognito-idp userpool/*
cognito-identity:identitypool AWS::Cognito::IdentityPool cognito-identity identitypool/*
secretsmanager:secret AWS::SecretsManager::Secret secretsmanager secret:** arn
kms:key AWS::KMS::Key kms key/*
apigateway:restapi AWS::ApiGateway::RestApi apigateway /restapis/*
cloudfront:distribution AWS::CloudFront::Distribution cloudfront distribution/*
route53:hostedzone AWS::Route53::HostedZone route53 hostedzone/*
stepfunctions:statemachine AWS::StepFunctions::StateMachine states stateMachine:** arn
codebuild:project AWS::CodeBuild::Project codebuild project/*
codepipeline:pipeline AWS::CodePipeline::Pipeline codepipeline *
`
  .trim()
  .split("\n")
  .map(row);

/** Services whose ARNs leave the region, the account or both out. */
const WITHOUT: Readonly<Record<string, { readonly region?: true; readonly account?: true }>> = {
  s3: { region: true, account: true },
  route53: { region: true, account: true },
  cloudfront: { region: true },
  apigateway: { account: true },
};

/** A resource as tag tools name it. `id` is what Cloud Control and CloudFormation call it. */
export interface Named {
  readonly type: string;
  readonly cloudFormation: string;
  readonly id: string;
  /** `global` for services without regions; of a bucket, which has one its ARN does not say, empty. */
  readonly region: string;
}

function idIn({ resource, wholeArn }: Row, text: string, arn: string): string | null {
  const [head = "", tail = ""] = resource.split(/\*+/);
  if (!text.startsWith(head) || !text.endsWith(tail)) return null;
  const id = text.slice(head.length, text.length - tail.length);
  const whole = resource.includes("**") ? id !== "" : /^[^/:]+$/.test(id);
  return whole ? (wholeArn ? arn : id) : null;
}

const regionOf = (service: string, region: string): string =>
  service === "s3" ? "" : WITHOUT[service]?.region ? "global" : region;

/** What an ARN names; null for what no tag tool knows: a snapshot of a database, an alias of a function. */
export function namedBy(text: string): Named | null {
  const arn = parseArn(text);
  if (!arn) return null;
  for (const candidate of ROWS) {
    if (candidate.service !== arn.service) continue;
    const found = idIn(candidate, arn.resource, text);
    if (found === null) continue;
    const region = regionOf(arn.service, arn.region);
    if (region === "" && arn.service !== "s3") return null;
    const id = candidate.type === "eks:nodegroup" ? found.split("/").slice(0, 2).join("/") : found;
    return { type: candidate.type, cloudFormation: candidate.cloudFormation, id, region };
  }
  return null;
}

/** The ARN of a resource; null where it cannot be told from the id. */
export function arnOf({ account, region, type, id }: ResourceRef, partition = "aws"): string | null {
  const found = ROWS.find(({ cloudFormation }) => cloudFormation === type);
  if (!found || found.type === "eks:nodegroup") return null;
  if (found.wholeArn) return id;
  const without = WITHOUT[found.service] ?? {};
  const parts = [
    ...["arn", partition, found.service],
    ...[without.region ? "" : region, without.account ? "" : account],
    found.resource.replace(/\*+/, () => id),
  ];
  return parts.join(":");
}

/** A policy's type name ⇄ CloudFormation's. */
export const cloudFormationOf = (type: string): string | undefined =>
  ROWS.find((one) => one.type === type)?.cloudFormation;
export const policyTypeOf = (cloudFormation: string): string | undefined =>
  ROWS.find((one) => one.cloudFormation === cloudFormation)?.type;
