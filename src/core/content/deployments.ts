// What is deployed where, in one shape over ECS, CodeDeploy and instance refreshes: what runs, and what was deployed when.

import { z } from "zod";
import { type Provider, STATUSES } from "../deploying.js";
import { isObject, type JsonObject } from "../json.js";
import type { Page } from "../page.js";
import { Tags } from "./tags.js";

const Images = z.record(z.string(), z.string()).describe("container → image");

/** An ECS service, as far as it says what it runs. */
export const EcsService = z.object({
  serviceArn: z.string(),
  serviceName: z.string(),
  cluster: z.string(),
  status: z.string(),
  controller: z.string().describe("ECS, CODE_DEPLOY or EXTERNAL"),
  strategy: z.string().describe("ROLLING, BLUE_GREEN, CANARY or LINEAR"),
  /** Whether its load balancers are prepared for shifting traffic. */
  shiftsTraffic: z.boolean(),
  taskDefinition: z.string().describe("family:revision"),
  images: Images,
  circuitBreaker: z.object({ enabled: z.boolean(), rollback: z.boolean() }),
  /** The deployment configuration as AWS has it: what an update of a part of it has to give again. */
  configuration: z.custom<JsonObject>(isObject),
  desiredCount: z.number(),
  runningCount: z.number(),
  pendingCount: z.number(),
  /** The deployment that AWS calls the primary one. */
  rollout: z.object({
    id: z.string(),
    state: z.string(),
    reason: z.string().optional(),
    startedAt: z.string().optional(),
    failedTasks: z.number(),
    /** Deployments that have tasks: more than one while one replaces another. */
    deployments: z.number(),
  }),
  tags: Tags,
});
export type EcsService = z.infer<typeof EcsService>;

/** One revision of a task definition. What may hold secrets (environments, commands) is left out, and a revision never changes. */
export const TaskDefinition = z.object({
  taskDefinition: z.string(),
  family: z.string(),
  revision: z.number(),
  status: z.string(),
  images: Images,
  cpu: z.string().optional(),
  memory: z.string().optional(),
  networkMode: z.string().optional(),
  taskRole: z.string().optional(),
  executionRole: z.string().optional(),
  /** Port of the first container that maps one: where a load balancer sends traffic. */
  container: z.object({ name: z.string(), port: z.number() }).optional(),
  tags: Tags,
});
export type TaskDefinition = z.infer<typeof TaskDefinition>;

/** A CodeDeploy deployment group, and the revision its last successful deployment left on it. */
export const DeploymentGroup = z.object({
  applicationName: z.string(),
  deploymentGroupName: z.string(),
  computePlatform: z.string().describe("Server, ECS or Lambda"),
  deploymentType: z.string().describe("IN_PLACE or BLUE_GREEN"),
  deploymentConfig: z.string(),
  autoRollback: z.array(z.string()),
  ecsService: z.string().optional().describe("cluster/service"),
  autoScalingGroups: z.array(z.string()),
  /** What runs: a revision in a few characters. */
  version: z.string().optional(),
  lastSuccessful: z.object({ deploymentId: z.string(), createdAt: z.string().optional() }).optional(),
  latest: z.object({ deploymentId: z.string(), status: z.string(), createdAt: z.string().optional() }).optional(),
});
export type DeploymentGroup = z.infer<typeof DeploymentGroup>;

/** One deployment, whoever made it. */
export const Deployment = z.object({
  deploymentId: z.string(),
  version: z.string().describe("task definition, CodeDeploy revision or launch template version"),
  images: Images.optional(),
  status: z.enum(STATUSES),
  awsStatus: z.string(),
  strategy: z.string().optional(),
  createdAt: z.string(),
  finishedAt: z.string().optional(),
  startedBy: z.string().optional().describe("what AWS says began it"),
  /** Of one that shifts traffic and is in progress: where AWS says it is, as PRODUCTION_TRAFFIC_SHIFT or BAKE_TIME. */
  stage: z.string().optional(),
  progress: z.object({ done: z.number(), of: z.number() }).optional(),
  reason: z.string().optional().describe("AWS's words"),
  rollback: z.object({ to: z.string().optional(), reason: z.string().optional() }).optional(),
});
export type Deployment = z.infer<typeof Deployment> & {
  /** What a deployment of the same version has to say to the provider, where the version's name is not enough. */
  readonly again?: JsonObject;
};

/** Something that is deployed to, of one provider. */
export type DeployTarget =
  | { readonly provider: "ecs"; readonly id: string; readonly content: EcsService }
  | { readonly provider: "codedeploy"; readonly id: string; readonly content: DeploymentGroup }
  | { readonly provider: "instance-refresh"; readonly id: string; readonly content: RefreshedGroup };

/** An Auto Scaling group, as far as its instances are made from a version of a launch template. */
export const RefreshedGroup = z.object({
  groupName: z.string(),
  launchedFrom: z.string().optional().describe("launch template and version, name:7"),
});
export type RefreshedGroup = z.infer<typeof RefreshedGroup>;

/** The launch template of a group, and the version it says: a number, `$Latest` or `$Default`. */
export interface TemplateUse {
  readonly id: string;
  readonly name?: string;
  readonly version: string;
}

/** What was looked for and found under a name; what could not be looked at is named, never taken for absent. */
export interface Looked {
  readonly found: readonly DeployTarget[];
  readonly notLookedAt: readonly NotLookedAt[];
}

/** A provider that could not be asked, and why: what it holds is not known. */
export interface NotLookedAt {
  readonly provider: Provider;
  readonly code: string;
  readonly action?: string;
}

/** Who began a deployment. Texts are others' and come cleaned and bounded. */
export type StartedBy =
  | {
      readonly status: "known";
      readonly principal: string;
      readonly session?: string;
      readonly sourceIp?: string;
      readonly invokedBy?: string;
      readonly eventName: string;
      readonly at: string;
    }
  | { readonly status: "pending" | "unknown"; readonly because: string };

export interface DeploymentReads {
  /** Whatever bears the name: `cluster/service`, `application/group`, a group's name, an ARN, or a service's name alone. */
  find(name: string, where: { readonly cluster?: string; readonly provider?: Provider }): Promise<Looked>;
  /** Everything that is deployed to, by provider; or why it cannot be said, unless that was asked to be an error. */
  targets(
    query: {
      readonly provider: Provider;
      readonly cluster?: string;
      readonly limit: number;
      readonly cursor?: string;
    },
    mustAnswer: boolean,
  ): Promise<Page<DeployTarget> | NotLookedAt>;
  /** Deployments of a target, newest first. */
  history(target: DeployTarget, query: { readonly limit: number; readonly cursor?: string }): Promise<Page<Deployment>>;
  /** The deployment group through which CodeDeploy deploys to an ECS service; null where AWS shows none. */
  groupOf(service: EcsService): Promise<{ readonly id: string; readonly content: DeploymentGroup } | null>;
  /** Who began deployments, by CloudTrail: one answer each, in the order given. Never fails: what is not known says why. */
  startedBy(target: DeployTarget, deployments: readonly Deployment[]): Promise<readonly StartedBy[]>;
  /** Null where the group has no launch template of its own, or makes a mix of instances from it. */
  template(groupName: string): Promise<TemplateUse | null>;
  /** The number of a version of a launch template (`$Latest` too); null where AWS says that it has no such version. */
  templateVersion(id: string, version: string): Promise<string | null>;
}
