// What is written to ECS: a revision of a task definition from another one, and which of them a service runs.

import type {
  RegisterTaskDefinitionRequest,
  RegisterTaskDefinitionResponse,
  StopServiceDeploymentRequest,
  StopServiceDeploymentResponse,
  UpdateServiceRequest,
  UpdateServiceResponse,
} from "@aws-sdk/client-ecs";
import type { ChangeStep } from "../../core/change.js";
import type { Deployment, EcsService } from "../../core/content/deployments.js";
import { isRunning } from "../../core/deploying.js";
import { OpsError } from "../../core/errors.js";
import { isObject, type JsonObject } from "../../core/json.js";
import type { Progress } from "../../core/ports.js";
import { OPERATION_MARK } from "../../core/tags.js";
import { foreign } from "../foreign.js";
import { definitionOf, describedService, lastOf, serviceDeployments, serviceOf } from "../readers/ecs.js";
import { asIs, type Followed, listed, type Op, type Reads, type Rows } from "./row.js";

export interface EcsWrites {
  "ecs:RegisterTaskDefinition": [RegisterTaskDefinitionRequest, RegisterTaskDefinitionResponse];
  "ecs:UpdateService": [UpdateServiceRequest, UpdateServiceResponse];
  "ecs:StopServiceDeployment": [StopServiceDeploymentRequest, StopServiceDeploymentResponse];
}

/** Newest revisions of a family that are looked at for a mark. */
const MOST_LOOKED_AT = 10;
const RECENT = 20;

/**
 * The whole definition of a revision with other images, as RegisterTaskDefinition takes it. A plan names revision and images
 * only: the rest may hold secrets, and a revision never changes.
 */
async function registered(api: Reads, { from, images, marked }: JsonObject): Promise<JsonObject> {
  const found = await definitionOf(api, String(from));
  if (!found) {
    throw new OpsError(
      "not_found",
      "The task definition this plan starts from does not exist any more; nothing was sent.",
      {
        details: { taskDefinition: from },
      },
    );
  }
  const {
    taskDefinitionArn: _arn,
    revision: _revision,
    status: _status,
    requiresAttributes: _attributes,
    compatibilities: _compatibilities,
    registeredAt: _at,
    registeredBy: _by,
    deregisteredAt: _until,
    ...definition
  } = found.taskDefinition;
  const wanted = isObject(images) ? images : {};
  const tags = found.tags.filter(({ key = "" }) => !key.startsWith("aws:") && key !== OPERATION_MARK);
  const all = marked === true ? [...tags, { key: OPERATION_MARK, value: "" }] : tags;
  return JSON.parse(
    JSON.stringify({
      ...definition,
      containerDefinitions: (definition.containerDefinitions ?? []).map((container) => ({
        ...container,
        image: wanted[container.name ?? ""] ?? container.image,
      })),
      ...(all.length > 0 && { tags: all }),
    }),
  ) as JsonObject;
}

const bearing = (input: JsonObject, { clientToken }: Op): JsonObject => ({
  ...input,
  ...(Array.isArray(input.tags) && {
    tags: input.tags.map((tag) => (isObject(tag) && tag.key === OPERATION_MARK ? { ...tag, value: clientToken } : tag)),
  }),
});

/** By the mark among the newest revisions of the family. Where the plan bears no marks, nothing can be said. */
async function registeredBy(api: Reads, op: Op, { input }: ChangeStep): Promise<readonly string[] | null> {
  if (input.marked !== true) return null;
  const { taskDefinitionArns = [] } = await api.call("ecs", "ListTaskDefinitions", {
    familyPrefix: String(input.from).split(":")[0]!,
    sort: "DESC",
    maxResults: MOST_LOOKED_AT,
  });
  for (const arn of taskDefinitionArns) {
    const found = await definitionOf(api, arn);
    if (found?.tags.some(({ key, value }) => key === OPERATION_MARK && value === op.clientToken)) return [lastOf(arn)];
  }
  return [];
}

const wantedBy = ({ input }: ChangeStep): string => lastOf(String(input.taskDefinition));
const rolloutBefore = ({ before }: ChangeStep) => (before as unknown as EcsService | null)?.rollout;

/** What AWS recorded of the deployment that a step began: of its version, and newer than what was there before it. */
async function recordOf(api: Reads, step: ChangeStep): Promise<Deployment | undefined> {
  const { items } = await serviceDeployments(api, step.ref.id, { limit: RECENT });
  const since = rolloutBefore(step)?.startedAt ?? "";
  return items.find(({ version, createdAt }) => version === wantedBy(step) && createdAt > since);
}

const failed = (awsCode: string, reason: string | undefined): Progress => ({
  status: "failed",
  code: "aws_failed",
  awsCode: foreign(awsCode, 80),
  ...(reason && { message: foreign(reason, 400) }),
});

/**
 * A rollout by its own state for as long as it is the service's primary one. Once it is not (a circuit breaker brought the old
 * version back, somebody else deployed), AWS's record of service deployments tells how it ended.
 */
async function followRollout(api: Reads, { step, handle }: Followed): Promise<Progress> {
  const service = await describedService(api, step.ref.id);
  if (!service || service.status === "INACTIVE") return failed("ServiceNotFoundException", undefined);
  const rollouts = service.deployments ?? [];
  const primary = rollouts.find(({ status }) => status === "PRIMARY");
  const ours = rollouts.find(({ id, taskDefinition }) =>
    handle === undefined ? lastOf(taskDefinition) === wantedBy(step) : id === handle,
  );
  if (ours && ours === primary) {
    if (ours.rolloutState === "COMPLETED") return { status: "succeeded" };
    const { runningCount: count = 0, desiredCount: of = 0 } = ours;
    if (ours.rolloutState !== "FAILED") return { status: "pending", done: { count, of } };
  }
  const record = await recordOf(api, step);
  if (record && isRunning(record)) return { status: "pending" };
  if (record) {
    return record.status === "succeeded"
      ? { status: "succeeded" }
      : failed(record.awsStatus, record.reason ?? ours?.rolloutStateReason);
  }
  // A read that is older than our call.
  if (!ours && primary?.id === rolloutBefore(step)?.id) return { status: "pending" };
  const goingBack = primary !== ours && primary?.rolloutState === "IN_PROGRESS";
  if (ours && goingBack) return { status: "pending" };
  return failed(ours?.rolloutState ?? "REPLACED", ours?.rolloutStateReason);
}

/**
 * AWS brings the version back that ran before. What is in progress has to be the step's own rollout: where somebody else
 * deployed meanwhile theirs took its place, and is not ours to stop.
 */
async function stopRollout(api: Reads, { step, handle }: Followed) {
  if (handle !== undefined) {
    const primary = (await describedService(api, step.ref.id))?.deployments?.find(({ status }) => status === "PRIMARY");
    if (primary?.id !== handle) return null;
  }
  const [record, { serviceDeployments: running = [] }] = await Promise.all([
    recordOf(api, step),
    api.call("ecs", "ListServiceDeployments", {
      ...serviceOf(step.ref.id),
      status: ["PENDING", "IN_PROGRESS"],
    }),
  ]);
  const ours = running.find(
    ({ serviceDeploymentArn }) => record && lastOf(serviceDeploymentArn) === record.deploymentId,
  );
  return ours?.serviceDeploymentArn === undefined
    ? null
    : {
        operation: "StopServiceDeployment",
        input: { serviceDeploymentArn: ours.serviceDeploymentArn, stopType: "ROLLBACK" },
      };
}

export const ECS_WRITES: Rows<EcsWrites> = {
  "ecs:RegisterTaskDefinition": {
    idempotency: "none",
    dryRun: false,
    complete: registered,
    input: bearing,
    identifiers: ({ taskDefinition }) => [lastOf(taskDefinition?.taskDefinitionArn)],
    find: registeredBy,
  },
  "ecs:UpdateService": {
    idempotency: "natural",
    dryRun: false,
    input: asIs,
    identifiers: () => [],
    requestToken: ({ service }) => service?.deployments?.find(({ status }) => status === "PRIMARY")?.id,
    find: async (api, _, step) => ((await recordOf(api, step)) ? [step.ref.id] : []),
    follow: followRollout,
    stop: stopRollout,
  },
  "ecs:StopServiceDeployment": {
    idempotency: "natural",
    dryRun: false,
    input: asIs,
    identifiers: (_, input) => listed(input.serviceDeploymentArn).map(String),
  },
};
