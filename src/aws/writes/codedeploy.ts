// What is written to CodeDeploy.

import type {
  CreateDeploymentInput,
  CreateDeploymentOutput,
  RevisionLocation,
  StopDeploymentInput,
  StopDeploymentOutput,
} from "@aws-sdk/client-codedeploy";
import type { ChangeStep } from "../../core/change.js";
import type { DeploymentGroup } from "../../core/content/deployments.js";
import { isRunning } from "../../core/deploying.js";
import { OpsError } from "../../core/errors.js";
import { isObject, type JsonObject } from "../../core/json.js";
import type { Progress } from "../../core/ports.js";
import { foreign } from "../foreign.js";
import { groupDeployments, groupNamesOf, statusOf, versionOf, withTaskDefinition } from "../readers/codedeploy.js";
import { definitionOf, lastOf } from "../readers/ecs.js";
import { asIs, type Followed, type Op, type Reads, type Rows } from "./row.js";

export interface CodeDeployWrites {
  "codedeploy:CreateDeployment": [CreateDeploymentInput, CreateDeploymentOutput];
  "codedeploy:StopDeployment": [StopDeploymentInput, StopDeploymentOutput];
}

/** CodeDeploy takes no token and shows no tags: its free text bears the mark. */
const markOf = ({ clientToken }: Op): string => `aws-devops-mcp:${clientToken}`;

async function createdBy(api: Reads, op: Op, step: ChangeStep): Promise<readonly string[]> {
  const { deployments = [] } = await api.call("codedeploy", "ListDeployments", groupNamesOf(step.ref.id));
  // The newest ones; what a lost call made is among them.
  const deploymentIds = deployments.slice(0, 25);
  if (deploymentIds.length === 0) return [];
  const { deploymentsInfo = [] } = await api.call("codedeploy", "BatchGetDeployments", { deploymentIds });
  return deploymentsInfo.some(({ description = "" }) => description.includes(markOf(op))) ? [step.ref.id] : [];
}

/**
 * A plan that brings out a task definition names it and the deployment whose AppSpec it is put into: the rest of the AppSpec
 * (container, port, hooks) stays as it was deployed last, and a deployment's revision never changes.
 */
async function withAppSpec(api: Reads, { appSpec, ...input }: JsonObject): Promise<JsonObject> {
  if (!isObject(appSpec)) return input;
  const [{ deploymentInfo }, definition] = await Promise.all([
    api.call("codedeploy", "GetDeployment", { deploymentId: String(appSpec.from) }),
    definitionOf(api, String(appSpec.taskDefinition)),
  ]);
  const text = deploymentInfo?.revision?.appSpecContent?.content ?? deploymentInfo?.revision?.string?.content;
  const arn = definition?.taskDefinition.taskDefinitionArn;
  const content = text && arn && withTaskDefinition(text, arn);
  if (!content) {
    throw new OpsError(
      "unsupported",
      "The AppSpec of the last deployment names no task definition, or is kept outside CodeDeploy. Nothing was sent; deploy a revision (s3://bucket/appspec.yaml) instead.",
      { details: { deploymentId: appSpec.from } },
    );
  }
  return { ...input, revision: { revisionType: "AppSpecContent", appSpecContent: { content } } };
}

const wantedBy = ({ input }: ChangeStep): string | undefined =>
  isObject(input.appSpec)
    ? lastOf(String(input.appSpec.taskDefinition))
    : versionOf(input.revision as RevisionLocation);

/** The deployment that a step began, where the answer that named it was lost: of its revision, and newer than any before. */
async function lostDeployment(api: Reads, step: ChangeStep): Promise<string | undefined> {
  const since = (step.before as unknown as DeploymentGroup | null)?.latest?.createdAt ?? "";
  const wanted = wantedBy(step);
  const { items } = await groupDeployments(api, step.ref.id, {});
  return items.find(({ version, createdAt }) => version === wanted && createdAt > since)?.deploymentId;
}

async function followDeployment(api: Reads, { step, handle }: Followed): Promise<Progress> {
  const deploymentId = handle ?? (await lostDeployment(api, step));
  if (deploymentId === undefined) return { status: "pending" };
  const { deploymentInfo: info } = await api.call("codedeploy", "GetDeployment", { deploymentId });
  const status = statusOf(info?.status);
  if (status === "succeeded") return { status };
  if (isRunning({ status }) || status === "unknown") {
    const { Succeeded: count = 0, ...others } = info?.deploymentOverview ?? {};
    const of = Object.values(others).reduce<number>((sum, one) => sum + (one ?? 0), count);
    return { status: "pending", ...(of > 0 && { done: { count, of } }) };
  }
  const back = info?.rollbackInfo?.rollbackDeploymentId;
  if (back !== undefined && back !== "") {
    const { deploymentInfo: returning } = await api.call("codedeploy", "GetDeployment", { deploymentId: back });
    if (isRunning({ status: statusOf(returning?.status) })) return { status: "pending" };
  }
  const { errorInformation: error } = info ?? {};
  return {
    status: "failed",
    code: "aws_failed",
    awsCode: foreign(error?.code ?? info?.status ?? "unknown", 80),
    ...(error?.message && { message: foreign(error.message, 400) }),
  };
}

export const CODEDEPLOY_WRITES: Rows<CodeDeployWrites> = {
  "codedeploy:CreateDeployment": {
    idempotency: "none",
    dryRun: false,
    complete: withAppSpec,
    input: (input, op) => ({ ...input, description: `${String(input.description ?? "")} [${markOf(op)}]`.trim() }),
    identifiers: () => [],
    requestToken: ({ deploymentId }) => deploymentId,
    find: createdBy,
    follow: followDeployment,
    stop: async (api, { step, handle }) => {
      const deploymentId = handle ?? (await lostDeployment(api, step));
      return deploymentId === undefined
        ? null
        : { operation: "StopDeployment", input: { deploymentId, autoRollbackEnabled: true } };
    },
  },
  "codedeploy:StopDeployment": { idempotency: "natural", dryRun: false, input: asIs, identifiers: () => [] },
};
