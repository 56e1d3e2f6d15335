// A small IAM, for services on which the emulator enforces none: which permissions a request takes, and whether policies
// give them. What is needed is written down here from the Service Authorization Reference, independently of src/aws.

import type { AwsRequest } from "./wire.js";

export interface Needed {
  readonly action: string;
  /** An ARN, or "*" where the action takes no resource. */
  readonly resource: string;
  readonly context?: Readonly<Record<string, string>>;
}

type Params = Readonly<Record<string, unknown>>;

/** IAM's prefix, where requests are signed for another name. */
const PREFIX: Readonly<Record<string, string>> = { cloudcontrolapi: "cloudformation", tagging: "tag" };

const passRole = (role: unknown, service: string): Needed[] =>
  typeof role === "string" && role !== ""
    ? [{ action: "iam:PassRole", resource: role, context: { "iam:PassedToService": service } }]
    : [];

const masterPassword = ({ ManageMasterUserPassword }: Params): readonly Needed[] =>
  ManageMasterUserPassword === "true"
    ? ["kms:DescribeKey", "secretsmanager:CreateSecret", "secretsmanager:TagResource"].map((action) => ({
        action,
        resource: "*",
      }))
    : [];

/** What AWS checks beside the action itself. */
const BESIDE: Readonly<Record<string, (params: Params) => readonly Needed[]>> = {
  "ecs:RegisterTaskDefinition": ({ tags, taskRoleArn, executionRoleArn }) => [
    ...(Array.isArray(tags) && tags.length > 0 ? [{ action: "ecs:TagResource", resource: "*" }] : []),
    ...passRole(taskRoleArn, "ecs-tasks.amazonaws.com"),
    ...passRole(executionRoleArn, "ecs-tasks.amazonaws.com"),
  ],
  "codedeploy:CreateDeployment": () =>
    ["GetDeploymentConfig", "GetApplicationRevision", "RegisterApplicationRevision"].map((name) => ({
      action: `codedeploy:${name}`,
      resource: "*",
    })),
  "autoscaling:StartInstanceRefresh": () => [{ action: "ec2:RunInstances", resource: "*" }],
  "ec2:RunInstances": (params) =>
    Object.keys(params).some((name) => name.startsWith("TagSpecification"))
      ? [{ action: "ec2:CreateTags", resource: "*" }]
      : [],
  "rds:ModifyDBInstance": masterPassword,
  "rds:ModifyDBCluster": masterPassword,
};

const arnOf = (service: string, region: string, rest: string): string =>
  `arn:aws:${service}:${region}:000000000000:${rest}`;

/** What a request is about, where its action can be limited to it. */
function resourceOf({ service, region, params }: Pick<AwsRequest, "service" | "region" | "params">): string {
  const text = (name: string): string | undefined => (typeof params[name] === "string" ? params[name] : undefined);
  const [named] = ["serviceDeploymentArn", "service"].flatMap((name) => text(name) ?? []);
  if (service === "ecs" && named?.startsWith("arn:")) return named;
  const group = text("deploymentGroupName");
  if (service === "codedeploy" && group)
    return arnOf("codedeploy", region, `deploymentgroup:${text("applicationName")}/${group}`);
  const name = text("AutoScalingGroupName");
  if (service === "autoscaling" && name)
    return arnOf("autoscaling", region, `autoScalingGroup:*:autoScalingGroupName/${name}`);
  return "*";
}

export function neededFor(request: Pick<AwsRequest, "service" | "region" | "operation" | "params">): readonly Needed[] {
  const { service, operation, params } = request;
  const action = `${PREFIX[service] ?? service}:${operation}`;
  // Any identity may ask who it is.
  if (action === "sts:GetCallerIdentity") return [];
  return [{ action, resource: resourceOf(request) }, ...(BESIDE[`${service}:${operation}`]?.(params) ?? [])];
}

const fits = (pattern: string, value: string): boolean =>
  new RegExp(
    `^${pattern
      .split("*")
      .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"))
      .join(".*")}$`,
    "i",
  ).test(value);
const each = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : [String(value)]);

function gives(statement: Params, { action, resource, context = {} }: Needed): boolean {
  const { Sid: _, Effect, Action, Resource, Condition = {}, ...others } = statement;
  if (Effect !== "Allow" || Object.keys(others).length > 0)
    throw new Error(`not understood: ${JSON.stringify(statement)}`);
  return (
    each(Action).some((pattern) => fits(pattern, action)) &&
    each(Resource).some((pattern) => fits(pattern, resource)) &&
    Object.entries(Condition as Record<string, Record<string, unknown>>).every(([operator, keys]) => {
      if (operator !== "StringEquals") throw new Error(`not understood: ${operator}`);
      return Object.entries(keys).every(([key, values]) => each(values).includes(context[key] ?? ""));
    })
  );
}

/** The first permission of a request that these policies do not give. */
export function missing(
  policies: readonly { readonly Statement: readonly object[] }[],
  request: Parameters<typeof neededFor>[0],
): Needed | undefined {
  const statements = policies.flatMap(({ Statement }) => Statement) as Params[];
  return neededFor(request).find((needed) => !statements.some((statement) => gives(statement, needed)));
}
