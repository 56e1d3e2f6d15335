// A version of a service as the steps that bring it out, by whoever deploys to it, and which ways of doing so there are.

import { type ChangeStep, madeBy, type Proposal } from "../../src/core/change.js";
import type { DeploymentGroup, DeployTarget, EcsService } from "../../src/core/content/deployments.js";
import type { Strategy } from "../../src/core/deploying.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import type { AwsReader, ReadPorts } from "../../src/core/ports.js";
import { refOf, seenOf, shownName } from "./target.js";
import type { Wanted } from "./version.js";

type Ecs = Extract<DeployTarget, { provider: "ecs" }>;
type Group = Extract<DeployTarget, { provider: "codedeploy" }>;
type Refreshed = Extract<DeployTarget, { provider: "instance-refresh" }>;

const GROUP_BUSY = /^(Created|Queued|InProgress|Baking|Ready)$/;

export interface Runs {
  readonly version: string;
  readonly images?: Readonly<Record<string, string>>;
  readonly state: string;
  readonly since?: string;
  /** The content itself says that a deployment is in progress. */
  readonly busy: boolean;
}

/** What runs, by the content alone. */
export function runningOf({ provider, content }: DeployTarget): Runs {
  if (provider === "ecs") {
    const { taskDefinition, images, rollout } = content;
    return {
      version: taskDefinition,
      images,
      state: rollout.state,
      ...(rollout.startedAt !== undefined && { since: rollout.startedAt }),
      busy: rollout.state === "IN_PROGRESS" || rollout.deployments > 1,
    };
  }
  if (provider === "codedeploy") {
    const since = content.lastSuccessful?.createdAt;
    return {
      version: content.version ?? "none",
      state: content.latest?.status ?? "none",
      ...(since !== undefined && { since }),
      busy: GROUP_BUSY.test(content.latest?.status ?? ""),
    };
  }
  return { version: content.launchedFrom?.split(":").at(-1) ?? "none", state: "unknown", busy: false };
}

/** The number of the version that runs, also where the group says `$Latest`. */
export async function runningVersion(aws: AwsReader, target: DeployTarget): Promise<string> {
  const { version } = runningOf(target);
  if (target.provider !== "instance-refresh" || !version.startsWith("$")) return version;
  const template = await aws.deployments.template(target.content.groupName);
  return (template && (await aws.deployments.templateVersion(template.id, version))) ?? version;
}

/** What a deployment rests on: whoever deploys, or sets the service up otherwise, makes a plan stale. */
const TOUCHES: Readonly<Record<DeployTarget["provider"], readonly string[]>> = {
  ecs: ["/taskDefinition", "/images", "/rollout/id", "/controller", "/strategy"],
  codedeploy: ["/version", "/latest/deploymentId", "/deploymentConfig", "/deploymentType"],
  "instance-refresh": ["/launchedFrom"],
};
/** With another strategy an ECS service is sent its whole configuration again: whoever sets any of that makes the plan stale too. */
export const touchesOf = (target: DeployTarget, strategy?: Strategy): readonly string[] =>
  target.provider === "ecs" && configurationFor(target.content, strategy)
    ? [...TOUCHES.ecs, "/configuration", "/circuitBreaker"]
    : TOUCHES[target.provider];

const SHIFTING: readonly Strategy[] = ["blue-green", "canary", "linear"];
const ECS_STRATEGY: Readonly<Record<Strategy, string>> = {
  rolling: "ROLLING",
  "blue-green": "BLUE_GREEN",
  canary: "CANARY",
  linear: "LINEAR",
};

/** The deployment configuration by which an ECS service gets another strategy. AWS takes it as a whole. */
const configurationFor = (service: EcsService, strategy: Strategy | undefined): JsonObject | undefined =>
  strategy === undefined || ECS_STRATEGY[strategy] === service.strategy
    ? undefined
    : { ...service.configuration, strategy: ECS_STRATEGY[strategy] };

function supportedBy({ provider, content }: DeployTarget): readonly Strategy[] {
  if (provider === "instance-refresh") return ["rolling"];
  if (provider === "codedeploy") {
    if (content.computePlatform !== "Server") return SHIFTING;
    return content.deploymentType === "BLUE_GREEN" ? ["blue-green"] : ["rolling"];
  }
  if (content.controller !== "ECS") return [];
  return content.shiftsTraffic || content.strategy !== "ROLLING" ? ["rolling", ...SHIFTING] : ["rolling"];
}

/** @throws OpsError unsupported for a strategy the provider has not, naming those it has */
export async function strategiesOf(
  aws: AwsReader,
  target: DeployTarget,
  asked?: Strategy,
): Promise<{ readonly supported: readonly Strategy[] }> {
  const supported = supportedBy(target);
  if (asked !== undefined && supported.length > 0 && !supported.includes(asked)) {
    throw new OpsError(
      "unsupported",
      `${shownName(target)} is deployed to by ${target.provider}, which does ${supported.join(", ")} here and not ${asked}. Nothing was planned.`,
      {
        field: "strategy",
        details: { provider: target.provider, supported: [...supported] },
        next: [{ tool: "deployments.get", arguments: { service: shownName(target), region: aws.region } }],
      },
    );
  }
  return { supported };
}

/** The steps that bring a version out. What runs already is refused. */
export async function deployPlan(
  ports: ReadPorts,
  target: DeployTarget,
  wanted: Wanted,
  strategy: Strategy | undefined,
): Promise<Proposal> {
  if (wanted.version === (await runningVersion(ports.aws, target))) {
    throw new OpsError("nothing_to_change", `${shownName(target)} already runs this version.`, {
      field: "version",
      details: { version: wanted.version },
      next: [{ tool: "deployments.get", arguments: { service: shownName(target), region: ports.aws.region } }],
    });
  }
  if (target.provider === "ecs") return ecsPlan(ports, target, wanted, strategy);
  if (target.provider === "codedeploy") return groupPlan(ports, target, wanted, strategy);
  return refreshPlan(ports, target, wanted);
}

const touched = (aws: AwsReader, target: DeployTarget, strategy?: Strategy) => {
  const { ref, reader, content } = seenOf(aws, target);
  return { ref, reader, kind: "update" as const, before: content, touches: touchesOf(target, strategy) };
};

const misfit = (target: DeployTarget): OpsError =>
  new OpsError("validation_error", `is no version that ${target.provider} can bring out.`, { field: "version" });

/** The task definition that has to be made first, from the one that runs with only its image changed. */
function registerSteps({ aws, mode }: ReadPorts, wanted: Wanted): readonly ChangeStep[] {
  if (wanted.kind !== "definition" || !wanted.register) return [];
  const { from, images } = wanted.register;
  return [
    {
      service: "ecs",
      operation: "RegisterTaskDefinition",
      input: { from, images: { ...images }, ...(mode.defaultTags !== null && { marked: true }) },
      ref: refOf(aws, "AWS::ECS::TaskDefinition", ""),
      reader: "service",
      kind: "create",
      before: null,
      after: { family: from.split(":")[0]!, images: { ...wanted.images } },
      touches: [],
      desired: { images: { ...wanted.images } },
    },
  ];
}

function ecsPlan(ports: ReadPorts, target: Ecs, wanted: Wanted, strategy: Strategy | undefined): Proposal {
  if (wanted.kind !== "definition") throw misfit(target);
  const service: EcsService = target.content;
  if (service.controller !== "ECS") {
    throw new OpsError(
      "unsupported",
      `${shownName(target)} is deployed to by its ${service.controller} controller${service.controller === "CODE_DEPLOY" ? ", and no CodeDeploy group of it is to be seen in this region" : ", which no tool here speaks to"}. Nothing was planned.`,
      { field: "service", details: { controller: service.controller } },
    );
  }
  const register = registerSteps(ports, wanted);
  const taskDefinition = register.length > 0 ? madeBy(0) : wanted.version;
  const configuration = configurationFor(service, strategy);
  const step: ChangeStep = {
    service: "ecs",
    operation: "UpdateService",
    input: {
      cluster: service.cluster,
      service: service.serviceArn,
      taskDefinition,
      ...(configuration && { deploymentConfiguration: configuration }),
    },
    ...touched(ports.aws, target, strategy),
    after: {
      ...(service as unknown as JsonObject),
      taskDefinition,
      images: { ...wanted.images },
      ...(configuration && { strategy: configuration.strategy!, configuration }),
    },
    desired: {
      images: { ...wanted.images },
      ...(register.length === 0 && { taskDefinition: wanted.version }),
    },
  };
  const { enabled, rollback } = service.circuitBreaker;
  const how = (strategy ?? service.strategy).toLowerCase().replace("_", "-");
  return {
    summary: `Deploy ${register.length > 0 ? `a new revision of ${service.taskDefinition.split(":")[0]}` : wanted.version} to ${shownName(target)} (now ${service.taskDefinition}), ${how}`,
    steps: [...register, step],
    warnings: [
      ...(enabled && rollback
        ? []
        : [
            `${enabled ? "The circuit breaker of this service stops a failing deployment and does not bring the old version back" : "This service has no deployment circuit breaker: AWS goes on trying to start tasks that fail"}. changes.cancel stops it and brings the old version back.`,
          ]),
      ...(register.length > 0 ? ["Whether the image exists is not checked: tasks that cannot pull it fail."] : []),
      ...(configuration ? [`The service's own strategy is changed from ${service.strategy} and stays so.`] : []),
    ],
    facts: {
      provider: "ecs",
      from: { version: service.taskDefinition, images: { ...service.images } },
      to: { version: wanted.version, images: { ...wanted.images } },
    },
  };
}

/** CodeDeploy's own configurations for a strategy, by compute platform. */
const CONFIGS: Readonly<Record<string, Readonly<Partial<Record<Strategy, string>>>>> = {
  ECS: {
    "blue-green": "CodeDeployDefault.ECSAllAtOnce",
    canary: "CodeDeployDefault.ECSCanary10Percent5Minutes",
    linear: "CodeDeployDefault.ECSLinear10PercentEvery1Minutes",
  },
  Lambda: {
    "blue-green": "CodeDeployDefault.LambdaAllAtOnce",
    canary: "CodeDeployDefault.LambdaCanary10Percent5Minutes",
    linear: "CodeDeployDefault.LambdaLinear10PercentEvery1Minute",
  },
};

const doesAlready = (config: string, strategy: Strategy): boolean =>
  strategy === "canary"
    ? /canary/i.test(config)
    : strategy === "linear"
      ? /linear/i.test(config)
      : /allatonce/i.test(config);

function configFor(group: DeploymentGroup, strategy: Strategy | undefined): string {
  const own = strategy && CONFIGS[group.computePlatform]?.[strategy];
  return own === undefined || doesAlready(group.deploymentConfig, strategy!) ? group.deploymentConfig : own;
}

function groupPlan(ports: ReadPorts, target: Group, wanted: Wanted, strategy: Strategy | undefined): Proposal {
  const group = target.content;
  if (wanted.kind === "template") throw misfit(target);
  const from = group.lastSuccessful?.deploymentId;
  if (wanted.kind === "definition" && from === undefined) {
    throw new OpsError(
      "unsupported",
      "Nothing was deployed to this group successfully yet, so there is no AppSpec to put a task definition into. Give a revision (s3://bucket/appspec.yaml).",
      { field: "version", details: { applicationName: group.applicationName } },
    );
  }
  const register = registerSteps(ports, wanted);
  const taskDefinition = register.length > 0 ? madeBy(0) : wanted.version;
  const config = configFor(group, strategy);
  const step: ChangeStep = {
    service: "codedeploy",
    operation: "CreateDeployment",
    input: {
      applicationName: group.applicationName,
      deploymentGroupName: group.deploymentGroupName,
      ...(wanted.kind === "revision" ? { revision: wanted.revision } : { appSpec: { from: from!, taskDefinition } }),
      ...(config !== "" && { deploymentConfigName: config }),
    },
    ...touched(ports.aws, target),
    after: { ...(group as unknown as JsonObject), version: register.length > 0 ? madeBy(0) : wanted.version },
    desired: register.length > 0 ? {} : { version: wanted.version },
  };
  return {
    summary: `Deploy another revision to ${shownName(target)} by ${config || "the group's configuration"}`,
    steps: [...register, step],
    warnings: [
      ...(group.autoRollback.length > 0 ? [] : ["This group does not roll a failed deployment back by itself."]),
      ...(wanted.kind === "revision"
        ? ["Whether the revision exists is not checked: CodeDeploy fails where it does not."]
        : []),
    ],
    facts: {
      provider: "codedeploy",
      deploymentConfig: config,
      from: { version: group.version ?? "none" },
      to: { version: wanted.version, ...(wanted.kind === "definition" && { images: { ...wanted.images } }) },
    },
  };
}

async function refreshPlan(ports: ReadPorts, target: Refreshed, wanted: Wanted): Promise<Proposal> {
  if (wanted.kind !== "template") throw misfit(target);
  const { template, version } = wanted;
  const { items } = await ports.aws.deployments.history(target, { limit: 1 });
  const launchedFrom = `${template.name ?? template.id}:${version}`;
  // AWS goes back to a version it knows by its number, and to no other.
  const goesBack = /^\d+$/.test(template.version);
  const step: ChangeStep = {
    service: "autoscaling",
    operation: "StartInstanceRefresh",
    input: {
      AutoScalingGroupName: target.content.groupName,
      DesiredConfiguration: { LaunchTemplate: { LaunchTemplateId: template.id, Version: version } },
      Preferences: { AutoRollback: goesBack, SkipMatching: true },
      newestRefresh: items[0]?.deploymentId ?? "",
    },
    ...touched(ports.aws, target),
    after: { ...(target.content as unknown as JsonObject), launchedFrom },
    desired: { launchedFrom },
  };
  return {
    summary: `Refresh the instances of ${target.content.groupName} to version ${version} of ${template.id} (now ${template.version})`,
    steps: [step],
    warnings: [
      "Instances are replaced a few at a time: those that run now are terminated.",
      goesBack
        ? "Where AWS's checks fail, the refresh is rolled back to the version before."
        : `The group says ${template.version} and not a number, so AWS cannot roll this refresh back: one that fails, or is stopped with changes.cancel, leaves the instances it has replaced.`,
    ],
    facts: {
      provider: "instance-refresh",
      from: { version: template.version },
      to: { version, launchTemplate: template.id },
    },
  };
}
