// What is asked wrongly of each domain, on moto (ECS scripted): every refusal has its code, the field, and a call that helps,
// which itself works; and AWS is asked to change nothing.

import {
  AutoScalingClient,
  CreateAutoScalingGroupCommand,
  CreateLaunchConfigurationCommand,
} from "@aws-sdk/client-auto-scaling";
import {
  AuthorizeSecurityGroupIngressCommand,
  CreateSecurityGroupCommand,
  DescribeImagesCommand,
  RunInstancesCommand,
} from "@aws-sdk/client-ec2";
import { CreateDBInstanceCommand, StopDBInstanceCommand } from "@aws-sdk/client-rds";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { deploymentsOverHttp } from "../deployments/http.js";
import { PIPELINE } from "../deployments/party.js";
import type { Assistant } from "../harness.js";
import { type Product, startProduct } from "./product.js";
import { announced } from "./scripted-rds.js";

const deployed = await deploymentsOverHttp();
const product = await startProduct("wrong inputs of six domains", import.meta.url, { ecs: deployed.routes.ecs });

describe.skipIf(!product)("wrong inputs of six domains", () => {
  const { proxy, outsider, ledger, moto } = (product ?? {}) as Product;
  let assistant: Assistant;
  let groupId: string;
  const intent = "asked wrongly";

  const revisionOf = async (tool: string, args: object): Promise<string> =>
    (await assistant.call(tool, args as Record<string, unknown>)).data.revision;

  beforeAll(async () => {
    await moto.reset();
    const { ec2, rds } = outsider;
    const GroupName = "web";
    groupId = (await ec2.send(new CreateSecurityGroupCommand({ GroupName, Description: GroupName }))).GroupId!;
    await ec2.send(
      new AuthorizeSecurityGroupIngressCommand({
        GroupId: groupId,
        IpPermissions: [{ IpProtocol: "tcp", FromPort: 443, ToPort: 443, IpRanges: [{ CidrIp: "10.0.0.0/8" }] }],
      }),
    );
    const { Images = [] } = await ec2.send(new DescribeImagesCommand({ Owners: ["amazon"] }));
    const ImageId = Images[0]!.ImageId!;
    await ec2.send(new RunInstancesCommand({ ImageId, MinCount: 1, MaxCount: 1, SecurityGroupIds: [groupId] }));
    const credentials = { accessKeyId: "AKIAEMULATED", secretAccessKey: "emulated" };
    const scaling = new AutoScalingClient({ endpoint: moto.endpoint, region: "eu-west-1", credentials });
    await scaling.send(
      new CreateLaunchConfigurationCommand({ LaunchConfigurationName: "w", ImageId, InstanceType: "t3.micro" }),
    );
    await scaling.send(
      new CreateAutoScalingGroupCommand({
        AutoScalingGroupName: "workers",
        LaunchConfigurationName: "w",
        MinSize: 0,
        MaxSize: 2,
        AvailabilityZones: ["eu-west-1a"],
      }),
    );
    scaling.destroy();
    for (const DBInstanceIdentifier of ["shop", "asleep"]) {
      await rds.send(
        new CreateDBInstanceCommand({
          DBInstanceIdentifier,
          DBInstanceClass: "db.t3.micro",
          Engine: "postgres",
          AllocatedStorage: 20,
          MasterUsername: "admin",
          MasterUserPassword: "outsider-knows-it",
          PreferredMaintenanceWindow: "sun:05:00-sun:06:00",
        }),
      );
    }
    await rds.send(new StopDBInstanceCommand({ DBInstanceIdentifier: "asleep" }));
    deployed.ecs.define("api", { web: "registry.example/api:v1" });
    deployed.ecs.serve("prod", "api", "api:1", PIPELINE);
    assistant = await product!.start();
  });
  beforeEach(() => {
    proxy.clear();
    proxy.rule(announced());
  });
  afterEach(({ task }) => ledger.settle(task));
  afterAll(async () => {
    await product!.close();
    await deployed.stop();
  });

  const modify = (databaseId: string, change: object) => async () => ({
    databaseId,
    ...change,
    basedOn: await revisionOf("databases_get", { databaseId }),
    intent,
  });

  it.each<[string, string, () => Promise<Record<string, unknown>>, string, string, string]>([
    [
      "unknown id",
      "instances_get",
      async () => ({ instanceId: "i-0123456789abcdef0" }),
      "not_found",
      "instanceId",
      "instances_list",
    ],
    [
      "foreign region",
      "deployments_get",
      async () => ({ service: "arn:aws:ecs:us-east-1:123456789012:service/prod/api" }),
      "validation_error",
      "region",
      "deployments_list",
    ],
    [
      "closed window",
      "databases_modifyInstance",
      modify("shop", { deletionProtection: true, apply: "window" }),
      "validation_error",
      "apply",
      "databases_get",
    ],
    [
      "capacity outside limits",
      "autoscaling_setCapacity",
      async () => ({
        groupName: "workers",
        desiredCapacity: 9,
        basedOn: await revisionOf("autoscaling_get", { groupName: "workers" }),
        intent,
      }),
      "validation_error",
      "desiredCapacity",
      "autoscaling_get",
    ],
    [
      "duplicate rule",
      "securityGroups_addRule",
      async () => ({ groupId, rule: { fromPort: 443, peer: "10.0.0.0/8" }, intent }),
      "rule_exists",
      "rule",
      "securityGroups_get",
    ],
    [
      "in-use group",
      "securityGroups_delete",
      async () => ({ groupId, basedOn: await revisionOf("securityGroups_get", { groupId }), intent }),
      "in_use",
      "groupId",
      "securityGroups_get",
    ],
    [
      "stopped database",
      "databases_modifyInstance",
      modify("asleep", { class: "db.r6g.large", apply: "immediate" }),
      "wrong_state",
      "databaseId",
      "databases_get",
    ],
    [
      "unknown version",
      "deployments_create",
      async () => ({
        service: "prod/api",
        version: "api:99",
        basedOn: await revisionOf("deployments_get", { service: "prod/api" }),
        intent,
      }),
      "not_found",
      "version",
      "deployments_list",
    ],
  ])("%s: %s says the code, the field and the next step", async (_what, tool, args, code, field, next) => {
    const given = await args();
    const { data, isError } = await assistant.call(tool, given);
    expect(isError).toBe(true);
    expect(data, JSON.stringify(data)).toMatchObject({ code, field, nothingWasChanged: true });
    expect(data.next[0], JSON.stringify(data)).toMatchObject({ tool: next });
    expect(data.message.length).toBeGreaterThan(30);
    const changing = proxy.seen.filter(
      ({ operation, params }) => !/^(Describe|Get|List|Lookup)/.test(operation) && String(params.DryRun) !== "true",
    );
    expect(changing.map(({ operation }) => operation)).toEqual([]);
    const [{ tool: proposed, arguments: more }] = data.next;
    // What is proposed can be called as it is, unless it is about another region's account.
    const helped = await assistant.call(proposed, more);
    expect(helped.isError, JSON.stringify([data.next, helped.data])).toBe(false);
  });
});
