// ECS, CodeDeploy, CloudFormation change sets and Cost Explorer.
import type { RawAws } from "../raw-aws.js";
import { given, group, subnetOf, wrong } from "./fault.js";

interface Service {
  readonly deployments: readonly { id: string; taskDefinition: string; rolloutState: string; runningCount: number }[];
  readonly deploymentConfiguration?: { deploymentCircuitBreaker?: { enable: boolean } };
  readonly taskDefinition: string;
}

const breaker = { deploymentCircuitBreaker: { enable: true, rollback: true } };

const register = async (aws: RawAws, memory: number | undefined = 128) => {
  const containerDefinitions = [{ name: "web", image: "web", ...(memory && { memory }) }];
  const fargate = { networkMode: "awsvpc", requiresCompatibilities: ["FARGATE"], cpu: "256", memory: "512" };
  const answer = await aws.json("ecs", "RegisterTaskDefinition", { family: "web", containerDefinitions, ...fargate });
  given((answer.json as { taskDefinition?: object }).taskDefinition, answer.text);
};

const network = async (aws: RawAws) => {
  const awsvpcConfiguration = { subnets: [await subnetOf(aws)], securityGroups: [await group(aws, "web")] };
  return { launchType: "FARGATE", networkConfiguration: { awsvpcConfiguration } };
};

const serving = async (aws: RawAws) => {
  await aws.json("ecs", "CreateCluster", { clusterName: "c" });
  await register(aws);
  await register(aws);
  const input = { cluster: "c", serviceName: "s", taskDefinition: "web:1", desiredCount: 1, ...(await network(aws)) };
  const answer = await aws.json("ecs", "CreateService", { ...input, deploymentConfiguration: breaker });
  return given((answer.json as { service?: Service }).service, answer.text);
};

const updated = async (aws: RawAws, change: object) => {
  const answer = await aws.json("ecs", "UpdateService", { cluster: "c", service: "s", ...change });
  return given((answer.json as { service?: Service }).service, answer.text);
};

const described = async (aws: RawAws) => {
  const answer = await aws.json("ecs", "DescribeServices", { cluster: "c", services: ["s"] });
  return given((answer.json as { services?: Service[] }).services?.[0], answer.text);
};

const running = async (aws: RawAws) => {
  await aws.json("ecs", "CreateCluster", { clusterName: "c" });
  await register(aws);
  const answer = await aws.json("ecs", "RunTask", { cluster: "c", taskDefinition: "web:1", ...(await network(aws)) });
  const { tasks } = answer.json as { tasks?: { taskArn: string }[] };
  return given(tasks?.[0]?.taskArn, answer.text);
};

const deployment = async (aws: RawAws) => {
  await aws.json("codedeploy", "CreateApplication", { applicationName: "app" });
  const names = { applicationName: "app", deploymentGroupName: "group" };
  await aws.json("codedeploy", "CreateDeploymentGroup", {
    ...names,
    serviceRoleArn: "arn:aws:iam::123456789012:role/deploy",
  });
  const s3Location = { bucket: "bucket", key: "key", bundleType: "zip" };
  const answer = await aws.json("codedeploy", "CreateDeployment", {
    ...names,
    revision: { revisionType: "S3", s3Location },
  });
  const deploymentId = given((answer.json as { deploymentId?: string }).deploymentId, answer.text);
  const { deploymentInfo } = (await aws.json("codedeploy", "GetDeployment", { deploymentId })).json as {
    deploymentInfo?: { status: string; createTime: unknown };
  };
  return given(deploymentInfo, "GetDeployment");
};

const template = (kind: string) => JSON.stringify({ Resources: { Thing: { Type: kind } } });

export const deploymentFaults = [
  wrong("ecs.CreateService", "awsvpc without securityGroups: HTTP 500", "the VPC's default group", async (aws) => {
    await aws.json("ecs", "CreateCluster", { clusterName: "c" });
    await register(aws);
    const networkConfiguration = { awsvpcConfiguration: { subnets: [await subnetOf(aws)] } };
    const input = { cluster: "c", serviceName: "s", taskDefinition: "web:1", desiredCount: 1, launchType: "FARGATE" };
    return (await aws.json("ecs", "CreateService", { ...input, networkConfiguration })).isMissing;
  }),
  wrong("ecs.DescribeServices", "IN_PROGRESS with nothing running for ever", "COMPLETED once stable", async (aws) => {
    await serving(aws);
    await described(aws);
    const [first] = (await described(aws)).deployments;
    return first?.rolloutState === "IN_PROGRESS" && first.runningCount === 0;
  }),
  wrong(
    "ecs.UpdateService",
    "the deployments keep the old task definition",
    "a new PRIMARY deployment",
    async (aws) => {
      await serving(aws);
      await updated(aws, { taskDefinition: "web:2" });
      const { taskDefinition, deployments } = await described(aws);
      return taskDefinition.endsWith("web:2") && deployments.every((each) => each.taskDefinition.endsWith("web:1"));
    },
  ),
  wrong(
    "ecs.UpdateService",
    "a forced deployment after a new task definition shows the old one",
    "the new one",
    async (aws) => {
      const before = await serving(aws);
      await updated(aws, { taskDefinition: "web:2" });
      await updated(aws, { forceNewDeployment: true });
      const { deployments } = await described(aws);
      const isNew = deployments.some(({ id }) => id !== before.deployments[0]?.id);
      return isNew && deployments.every((each) => each.taskDefinition.endsWith("web:1"));
    },
  ),
  wrong("ecs.CreateService", "the circuit breaker is dropped", "kept in deploymentConfiguration", async (aws) => {
    await serving(aws);
    return !(await described(aws)).deploymentConfiguration?.deploymentCircuitBreaker?.enable;
  }),
  wrong("ecs.RunTask", "memory of the task alone: HTTP 500", "accepted on FARGATE", async (aws) => {
    await aws.json("ecs", "CreateCluster", { clusterName: "c" });
    await register(aws, 0);
    return (await aws.json("ecs", "RunTask", { cluster: "c", taskDefinition: "web:1", ...(await network(aws)) }))
      .isMissing;
  }),
  wrong(
    "ecs.DescribeTasks",
    "each describe moves the task on, to STOPPED by the fourth",
    "it runs until it ends",
    async (aws) => {
      const task = await running(aws);
      const states = [];
      for (let n = 0; n < 4; n++) {
        const answer = await aws.json("ecs", "DescribeTasks", { cluster: "c", tasks: [task] });
        states.push((answer.json as { tasks?: { lastStatus: string }[] }).tasks?.[0]?.lastStatus);
      }
      return states.join() === "DEACTIVATING,STOPPING,DEPROVISIONING,STOPPED";
    },
  ),
  wrong("codedeploy.CreateDeployment", "the status stays Created", "it moves on", async (aws) => {
    return (await deployment(aws)).status === "Created";
  }),
  wrong("codedeploy.GetDeployment", "times are ISO text: SDK v3 throws", "epoch seconds", async (aws) => {
    return typeof (await deployment(aws)).createTime === "string";
  }),
  wrong("codedeploy.GetApplication", "times are ISO text: SDK v3 throws", "epoch seconds", async (aws) => {
    await aws.json("codedeploy", "CreateApplication", { applicationName: "app" });
    const answer = await aws.json("codedeploy", "GetApplication", { applicationName: "app" });
    return typeof (answer.json as { application?: { createTime: unknown } }).application?.createTime === "string";
  }),
  wrong(
    "ce.GetCostAndUsage",
    "a date that does not exist, ending before it starts, is accepted",
    "ValidationException",
    async (aws) => {
      const TimePeriod = { Start: "2026-02-30", End: "2020-01-01" };
      return (
        (await aws.json("ce", "GetCostAndUsage", { TimePeriod, Granularity: "MONTHLY", Metrics: ["UnblendedCost"] }))
          .status === 200
      );
    },
  ),
  wrong(
    "cloudformation.DescribeChangeSet",
    "a replacement is a Modify without Replacement or Details",
    "Replacement: True",
    async (aws) => {
      await aws.query("cloudformation", "CreateStack", {
        StackName: "stack",
        TemplateBody: template("AWS::S3::Bucket"),
      });
      const set = {
        StackName: "stack",
        ChangeSetName: "next",
        ChangeSetType: "UPDATE",
        TemplateBody: template("AWS::SNS::Topic"),
      };
      given((await aws.query("cloudformation", "CreateChangeSet", set)).xml("Id"), "CreateChangeSet");
      const described = await aws.query("cloudformation", "DescribeChangeSet", {
        StackName: "stack",
        ChangeSetName: "next",
      });
      return described.xml("Action") === "Modify" && !described.xml("Replacement") && !described.xml("Details");
    },
  ),
];
