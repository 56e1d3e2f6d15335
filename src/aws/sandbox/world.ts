// The sandbox's world: one account as one plain JSON document, seeded with the story of the README. Demo data, not AWS.

import type { JsonObject } from "../../core/json.js";

export const SANDBOX_ACCOUNT = "000000000000";
export const SANDBOX_REGION = "us-east-1";
export const SANDBOX_ARN = `arn:aws:iam::${SANDBOX_ACCOUNT}:user/sandbox`;

export type InstanceState = "pending" | "running" | "stopping" | "stopped" | "shutting-down" | "terminated";

export interface WorldInstance {
  id: string;
  state: InstanceState;
  type: string;
  imageId: string;
  subnetId: string;
  privateIp: string;
  publicIp?: string;
  groupIds: string[];
  volumeId: string;
  protected: boolean;
  launchedAt: string;
  clientToken: string;
  tags: Record<string, string>;
}

export interface WorldGroup {
  id: string;
  name: string;
  description: string;
  vpcId: string;
  tags: Record<string, string>;
}

export interface WorldRule {
  id: string;
  groupId: string;
  egress: boolean;
  protocol: string;
  fromPort: number;
  toPort: number;
  peerKind: "CidrIpv4" | "CidrIpv6" | "PrefixListId" | "group";
  peer: string;
  description: string;
}

/** A Cloud Control request. It takes effect at the first call after the one that made it. */
export interface WorldRequest {
  token: string;
  clientToken: string;
  digest: string;
  operation: "CREATE" | "UPDATE" | "DELETE";
  type: string;
  id?: string;
  /** DesiredState or PatchDocument, as text. */
  document: string;
  status: "IN_PROGRESS" | "SUCCESS" | "FAILED";
  errorCode?: string;
  message?: string;
  at: string;
}

/** A call as CloudTrail recorded it, and the resources it names. */
export interface WorldEvent {
  resources: { type?: string; name: string }[];
  record: JsonObject;
}

export interface WorldRegion {
  instances: Record<string, WorldInstance>;
  groups: Record<string, WorldGroup>;
  rules: Record<string, WorldRule>;
  /** Public address → the instance that holds it. */
  addresses: Record<string, string>;
  subnets: Record<string, { vpcId: string; zone: string; cidr: string }>;
  resources: Record<string, Record<string, JsonObject>>;
  requests: Record<string, WorldRequest>;
  /** ClientToken of a launch → what it asked for and what it made. */
  launches: Record<string, { digest: string; ids: string[] }>;
  /** Who changed what, oldest first; absent in worlds that were made before it was kept. */
  trail?: WorldEvent[];
}

export interface World {
  format: 1;
  /** Virtual time: it begins here and moves one second a call. */
  startedAt: string;
  tick: number;
  lastId: number;
  regions: Record<string, WorldRegion>;
}

/**
 * Where the world is kept. Within one process calls follow each other. Every `load` is followed by exactly one `save`,
 * also after a refused call, so that a store shared by processes can lock in the one and unlock in the other.
 */
export interface WorldStore {
  load(): World | null | Promise<World | null>;
  save(world: World): void | Promise<void>;
}

export function memoryStore(world: World | null = null): WorldStore {
  let held = world;
  return {
    load: () => held,
    save: (next) => {
      held = next;
    },
  };
}

export const emptyRegion = (): WorldRegion => ({
  instances: {},
  groups: {},
  rules: {},
  addresses: {},
  subnets: {},
  resources: {},
  requests: {},
  launches: {},
});

const VPC = "vpc-0dd00000000000001";
const SUBNETS = { a: "subnet-0ee00000000000001", b: "subnet-0ee00000000000002" } as const;
const PROD = "sg-0bb00000000000001";
const OFFICE = "sg-0bb00000000000002";
const hex = (prefix: string, index: number) => `${prefix}${String(index).padStart(14, "0")}`;

const instance = (index: number, startedAt: string): WorldInstance => ({
  id: hex("i-0aa", index),
  state: "running",
  type: "t3.medium",
  imageId: "ami-0cc00000000000001",
  subnetId: index % 2 === 1 ? SUBNETS.a : SUBNETS.b,
  privateIp: `10.0.${index % 2 === 1 ? 1 : 2}.${10 + index}`,
  publicIp: `203.0.113.${10 + index}`,
  groupIds: index === 1 ? [PROD, OFFICE] : [PROD],
  volumeId: hex("vol-0ff", index),
  protected: false,
  launchedAt: new Date(Date.parse(startedAt) - index * 86_400_000).toISOString(),
  clientToken: "",
  tags: {
    Name: `api-${index}`,
    service: "api",
    ...(index < 4 && { environment: "prod" }),
    "aws:autoscaling:groupName": "api-asg",
  },
});

const rule = (id: string, groupId: string, port: number, description: string): WorldRule => ({
  id,
  groupId,
  egress: false,
  protocol: "tcp",
  fromPort: port,
  toPort: port,
  peerKind: "CidrIpv4",
  peer: "0.0.0.0/0",
  description,
});

export const allTraffic = (id: string, groupId: string): WorldRule => ({
  ...rule(id, groupId, -1, ""),
  egress: true,
  protocol: "-1",
});

const ECS = `arn:aws:ecs:${SANDBOX_REGION}:${SANDBOX_ACCOUNT}`;
const IMAGE = `${SANDBOX_ACCOUNT}.dkr.ecr.${SANDBOX_REGION}.amazonaws.com/api`;
export const taskDefinitionArn = (family: string, revision: number): string =>
  `${ECS}:task-definition/${family}:${revision}`;

const taskDefinition = (revision: number, version: string): JsonObject => ({
  TaskDefinitionArn: taskDefinitionArn("api", revision),
  Family: "api",
  Cpu: "256",
  Memory: "512",
  NetworkMode: "awsvpc",
  RequiresCompatibilities: ["FARGATE"],
  ContainerDefinitions: [
    { Name: "api", Image: `${IMAGE}:${version}`, Essential: true, PortMappings: [{ ContainerPort: 8080 }] },
  ],
});

const service: JsonObject = {
  ServiceArn: `${ECS}:service/prod/api-service`,
  ServiceName: "api-service",
  Name: "api-service",
  Cluster: "prod",
  LaunchType: "FARGATE",
  DesiredCount: 4,
  TaskDefinition: taskDefinitionArn("api", 23),
  DeploymentConfiguration: {
    MaximumPercent: 200,
    MinimumHealthyPercent: 100,
    DeploymentCircuitBreaker: { Enable: true, Rollback: true },
  },
  NetworkConfiguration: {
    AwsvpcConfiguration: { AssignPublicIp: "DISABLED", SecurityGroups: [PROD], Subnets: [SUBNETS.a, SUBNETS.b] },
  },
  Tags: [
    { Key: "service", Value: "api" },
    { Key: "environment", Value: "prod" },
  ],
};

export const bucket = (name: string, region: string): JsonObject => ({
  BucketName: name,
  Arn: `arn:aws:s3:::${name}`,
  DomainName: `${name}.s3.amazonaws.com`,
  RegionalDomainName: `${name}.s3.${region}.amazonaws.com`,
  BucketEncryption: {
    ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" } }],
  },
  PublicAccessBlockConfiguration: {
    BlockPublicAcls: true,
    BlockPublicPolicy: true,
    IgnorePublicAcls: true,
    RestrictPublicBuckets: true,
  },
});

/** The world every sandbox begins with; equal for equal times. */
export function seed(now: Date): World {
  const startedAt = now.toISOString();
  const instances = [1, 2, 3, 4].map((index) => instance(index, startedAt));
  const rules = [
    rule("sgr-0aa00000000000001", PROD, 443, "https"),
    allTraffic("sgr-0aa00000000000002", PROD),
    rule("sgr-0aa00000000000003", OFFICE, 22, ""),
    allTraffic("sgr-0aa00000000000004", OFFICE),
  ];
  const services = { [`${service.ServiceArn}|${service.Cluster}`]: service };
  const definitions = [taskDefinition(22, "v2.2.0"), taskDefinition(23, "v2.3.0"), taskDefinition(24, "v2.4.0")];
  return {
    format: 1,
    startedAt,
    tick: 0,
    lastId: 0,
    regions: {
      [SANDBOX_REGION]: {
        ...emptyRegion(),
        instances: Object.fromEntries(instances.map((each) => [each.id, each])),
        groups: {
          [PROD]: {
            id: PROD,
            name: "sg-prod",
            description: "Production API",
            vpcId: VPC,
            tags: { Name: "sg-prod", environment: "prod" },
          },
          [OFFICE]: { id: OFFICE, name: "sg-debug", description: "Debugging access", vpcId: VPC, tags: {} },
        },
        rules: Object.fromEntries(rules.map((each) => [each.id, each])),
        addresses: { "203.0.113.11": instances[0]!.id },
        subnets: {
          [SUBNETS.a]: { vpcId: VPC, zone: `${SANDBOX_REGION}a`, cidr: "10.0.1.0/24" },
          [SUBNETS.b]: { vpcId: VPC, zone: `${SANDBOX_REGION}b`, cidr: "10.0.2.0/24" },
        },
        resources: {
          "AWS::ECS::Service": services,
          "AWS::ECS::TaskDefinition": Object.fromEntries(
            definitions.map((each) => [String(each.TaskDefinitionArn), each]),
          ),
          "AWS::S3::Bucket": {
            "sandbox-logs": {
              ...bucket("sandbox-logs", SANDBOX_REGION),
              Tags: [{ Key: "service", Value: "api" }],
            },
          },
        },
      },
    },
  };
}
