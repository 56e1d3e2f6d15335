// What a caller means by a service: exactly one thing that is deployed to, or an answer that names the candidates.

import type { ResourceRef, Seen } from "../../src/core/change.js";
import type { DeployTarget, NotLookedAt } from "../../src/core/content/deployments.js";
import type { Provider } from "../../src/core/deploying.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import type { AwsReader } from "../../src/core/ports.js";

const TYPES: Readonly<Record<Provider, string>> = {
  ecs: "AWS::ECS::Service",
  codedeploy: "AWS::CodeDeploy::DeploymentGroup",
  "instance-refresh": "AWS::AutoScaling::AutoScalingGroup",
};

export const refOf = (aws: AwsReader, type: string, id: string): ResourceRef => ({
  account: aws.account,
  region: aws.region,
  type,
  id,
});

export const seenOf = (aws: AwsReader, target: DeployTarget): Seen => ({
  ref: refOf(aws, TYPES[target.provider], target.id),
  reader: "service",
  content: target.content as unknown as JsonObject,
});

/** The name by which a target is asked for again. */
export function shownName({ provider, content }: DeployTarget): string {
  if (provider === "ecs") return `${content.cluster}/${content.serviceName}`;
  return provider === "codedeploy" ? `${content.applicationName}/${content.deploymentGroupName}` : content.groupName;
}

export interface Asked {
  readonly service: string;
  readonly cluster?: string | undefined;
  readonly provider?: Provider | undefined;
}

/** An ARN says where its service is: looking for it elsewhere would answer "there is none". */
function refuseElsewhere(aws: AwsReader, service: string): void {
  if (!service.startsWith("arn:")) return;
  const [, , , region = "", account = ""] = service.split(":");
  if (region !== "" && region !== aws.region) {
    throw new OpsError("validation_error", `This ARN is of ${region}, and the call looks in ${aws.region}.`, {
      field: "region",
      details: { region: aws.region, arnRegion: region },
      next: [{ tool: "deployments.list", arguments: { service, region } }],
    });
  }
  if (account !== "" && account !== aws.account) {
    throw new OpsError("identity_mismatch", "This ARN is of another account than these credentials.", {
      field: "service",
      details: { account: aws.account, arnAccount: account },
      next: [{ tool: "session.whoami", arguments: {} }],
    });
  }
}

/**
 * The one target that bears the name. An ECS service that CodeDeploy moves is deployed to through its deployment group.
 * @throws OpsError not_found, validation_error where several bear it, access_denied where nothing was found and not all could
 * be looked at
 */
export async function existing(
  aws: AwsReader,
  { service, cluster, provider }: Asked,
): Promise<{ readonly target: DeployTarget; readonly notLookedAt: readonly NotLookedAt[] }> {
  refuseElsewhere(aws, service);
  const { found, notLookedAt } = await aws.deployments.find(service, {
    ...(cluster !== undefined && { cluster }),
    ...(provider !== undefined && { provider }),
  });
  const [target, ...others] = found;
  if (!target) {
    const where = cluster === undefined ? "" : ` in cluster ${JSON.stringify(cluster)}`;
    throw new OpsError(
      "not_found",
      `Nothing that is deployed to bears this name${where} in account ${aws.account}, ${aws.region}: no ECS service, CodeDeploy group or Auto Scaling group.`,
      {
        field: cluster === undefined ? "service" : "cluster",
        details: { service, ...(cluster !== undefined && { cluster }) },
        next: [{ tool: "deployments.list", arguments: { region: aws.region } }],
      },
    );
  }
  if (others.length > 0) {
    const candidates = found.map((one) => ({ provider: one.provider, service: shownName(one) }));
    throw new OpsError(
      "validation_error",
      `${found.length} things bear this name. Nothing was planned. Give one of \`candidates\`, with its provider.`,
      {
        field: "service",
        details: { candidates },
        next: candidates.slice(0, 3).map((one) => ({
          tool: "deployments.get",
          arguments: { ...one, region: aws.region },
        })),
      },
    );
  }
  if (target.provider === "ecs" && target.content.controller === "CODE_DEPLOY") {
    const group = await aws.deployments.groupOf(target.content);
    if (group) return { target: { provider: "codedeploy", ...group }, notLookedAt };
  }
  return { target, notLookedAt };
}
