// Under IAM: the policy made for reading is enough for every read and for no change; with --write it is enough for every
// change of its toolset.

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
  StopInstancesCommand,
} from "@aws-sdk/client-ec2";
import { CreateTargetGroupCommand, ElasticLoadBalancingV2Client } from "@aws-sdk/client-elastic-load-balancing-v2";
import { CreateAccessKeyCommand, CreateUserCommand, IAMClient, PutUserPolicyCommand } from "@aws-sdk/client-iam";
import { CreateOrganizationCommand, CreatePolicyCommand, OrganizationsClient } from "@aws-sdk/client-organizations";
import {
  CreateDBClusterCommand,
  CreateDBInstanceCommand,
  CreateDBSnapshotCommand,
  StopDBInstanceCommand,
} from "@aws-sdk/client-rds";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createCatalogue } from "../../src/catalogue.js";
import { type Policy, policiesFor, writeActions } from "../../src/iam/policy.js";
import { USES } from "../../src/iam/uses.js";
import { domains } from "../../tools/index.js";
import type { Answer, Assistant } from "../harness.js";
import { NOT_RUN, PLANS, READS, SCRIPTED_PLANS, SCRIPTED_READS, type World } from "./iam-calls.js";
import { type Product, startProduct } from "./product.js";
import { announced } from "./scripted-rds.js";

const entries = createCatalogue(domains, { allowWrites: true }).entries.filter(({ tool }) => tool.scope === "region");

it("every tool that looks at AWS is run under its policy, or it is said why not", () => {
  const reads = new Set([...Object.keys(READS), ...SCRIPTED_READS.map(([tool]) => tool)]);
  const plans = new Set([...Object.keys(PLANS), ...SCRIPTED_PLANS.map(([tool]) => tool)]);
  const missing = entries.map(({ name }) => name).filter((name) => ![reads, plans].some((one) => one.has(name)));
  expect(missing, "give these a call in test/emulated/iam-calls.ts").toEqual(
    Object.keys(NOT_RUN).filter((name) => missing.includes(name)),
  );
  expect(
    Object.keys(NOT_RUN).filter((name) => !missing.includes(name)),
    "these are run",
  ).toEqual([]);
  const wrongKind = entries.filter(
    ({ name, tool }) => (tool.kind === "plan" ? reads : plans).has(name) && !(name in NOT_RUN),
  );
  expect(wrongKind.map(({ name }) => name)).toEqual([]);
});

const product = await startProduct("policies on moto with IAM enforced", import.meta.url);

const toolsetOf = (tool: string): string => tool.split(".")[0]!;
/** A toolset that looks at what others manage is run with theirs. */
const chosen = (toolset: string): string[] => (USES[toolset]?.others ? ["all"] : [toolset]);

/** The emulator names actions after how requests are signed: AWS calls those of the tagging API `tag:`. */
const asEmulated = (policy: Policy): Policy => ({
  ...policy,
  Statement: policy.Statement.map((statement) => ({
    ...statement,
    Action: statement.Action.flatMap((action) => [
      action,
      ...(action.startsWith("tag:") ? [action.replace("tag:", "tagging:")] : []),
    ]),
  })),
});

/** The emulator lists the regions of all partitions as one's own, and no other partition knows our users. */
function inOurPartition(value: unknown): unknown {
  if (Array.isArray(value))
    return value.filter((one) => !/^(cn|us-gov)-/.test(String(one?.region))).map(inOurPartition);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, inOurPartition(member)]));
}

describe.skipIf(!product)("policies on moto with IAM enforced", () => {
  const { proxy, outsider, ledger, moto, calls } = (product ?? {}) as Product;
  const credentials = { accessKeyId: "AKIAEMULATED", secretAccessKey: "emulated" };
  const iam = product && new IAMClient({ endpoint: moto.endpoint, region: "us-east-1", credentials });
  const keys = new Map<string, Record<string, string>>();
  const servers = new Map<string, Assistant>();
  let world: World;

  async function user(name: string, policies: readonly Policy[]): Promise<void> {
    await iam!.send(new CreateUserCommand({ UserName: name }));
    for (const [index, policy] of policies.map(asEmulated).entries()) {
      const PolicyDocument = JSON.stringify(policy);
      await iam!.send(new PutUserPolicyCommand({ UserName: name, PolicyName: `p${index}`, PolicyDocument }));
    }
    const { AccessKey } = await iam!.send(new CreateAccessKeyCommand({ UserName: name }));
    keys.set(name, { AWS_ACCESS_KEY_ID: AccessKey!.AccessKeyId!, AWS_SECRET_ACCESS_KEY: AccessKey!.SecretAccessKey! });
  }
  /** A server that runs as this user. */
  async function as(name: string): Promise<Assistant> {
    const running = servers.get(name);
    if (running) return running;
    const state = `${product!.stateDir}-${name}`;
    const made = await product!.start({ args: ["--state", state], env: keys.get(name)! });
    servers.set(name, made);
    return made;
  }
  const callAs =
    (assistant: Assistant) =>
    (tool: string, args: Record<string, unknown>): Promise<Answer> =>
      assistant.call(tool.replace(".", "_"), args);

  const toolsets = [...new Set(entries.map(({ name }) => toolsetOf(name)))].filter((one) => !USES[one]?.others);

  async function tagPolicy(): Promise<string> {
    const client = new OrganizationsClient({ endpoint: moto.endpoint, region: "us-east-1", credentials });
    await client.send(new CreateOrganizationCommand({ FeatureSet: "ALL" }));
    const Content = JSON.stringify({ tags: { owner: { tag_key: { "@@assign": "Owner" } } } });
    const made = await client.send(
      new CreatePolicyCommand({ Name: "Owners", Description: "tags", Type: "TAG_POLICY", Content }),
    );
    return made.Policy!.PolicySummary!.Id!;
  }

  beforeAll(async () => {
    await moto.reset();
    const { ec2, rds } = outsider;
    const { Images = [] } = await ec2.send(new DescribeImagesCommand({ Owners: ["amazon"] }));
    const imageId = Images[0]!.ImageId!;
    const { Instances = [] } = await ec2.send(new RunInstancesCommand({ ImageId: imageId, MinCount: 5, MaxCount: 5 }));
    await ec2.send(new StopInstancesCommand({ InstanceIds: [Instances[3]!.InstanceId!] }));
    const elsewhere = { endpoint: moto.endpoint, region: "eu-west-1", credentials };
    const autoscaling = new AutoScalingClient(elsewhere);
    const configuration = { LaunchConfigurationName: "workers", ImageId: imageId, InstanceType: "t3.micro" };
    await autoscaling.send(new CreateLaunchConfigurationCommand(configuration));
    await autoscaling.send(
      new CreateAutoScalingGroupCommand({
        AutoScalingGroupName: "workers",
        LaunchConfigurationName: "workers",
        MinSize: 0,
        MaxSize: 2,
        AvailabilityZones: ["eu-west-1a"],
      }),
    );
    await new ElasticLoadBalancingV2Client(elsewhere).send(
      new CreateTargetGroupCommand({ Name: "web", Protocol: "HTTP", Port: 80, VpcId: Instances[0]!.VpcId! }),
    );
    const group = async (GroupName: string): Promise<string> =>
      (await ec2.send(new CreateSecurityGroupCommand({ GroupName, Description: GroupName }))).GroupId!;
    const GroupId = await group("web");
    for (const port of [443, 80]) {
      const IpPermissions = [{ IpProtocol: "tcp", FromPort: port, ToPort: port, IpRanges: [{ CidrIp: "10.0.0.0/8" }] }];
      await ec2.send(new AuthorizeSecurityGroupIngressCommand({ GroupId, IpPermissions }));
    }
    for (const DBInstanceIdentifier of ["shop", "idle", "asleep"]) {
      await rds.send(
        new CreateDBInstanceCommand({
          DBInstanceIdentifier,
          DBInstanceClass: "db.t3.micro",
          Engine: "postgres",
          AllocatedStorage: 20,
          MasterUsername: "admin",
          MasterUserPassword: "outsider-knows-it",
          BackupRetentionPeriod: 7,
        }),
      );
    }
    await rds.send(new StopDBInstanceCommand({ DBInstanceIdentifier: "asleep" }));
    await rds.send(
      new CreateDBClusterCommand({
        DBClusterIdentifier: "ledger",
        Engine: "aurora-postgresql",
        MasterUsername: "admin",
        MasterUserPassword: "outsider-knows-it",
      }),
    );
    await rds.send(new CreateDBSnapshotCommand({ DBInstanceIdentifier: "shop", DBSnapshotIdentifier: "yesterday" }));
    const s3 = new S3Client({ endpoint: moto.endpoint, region: "us-east-1", credentials, forcePathStyle: true });
    await s3.send(new CreateBucketCommand({ Bucket: "shop-data" }));
    world = {
      imageId,
      instanceIds: Instances.map(({ InstanceId }) => InstanceId!),
      groupId: GroupId,
      unusedGroupId: await group("unused"),
      vpcId: Instances[0]!.VpcId!,
      autoScalingGroup: "workers",
      targetGroup: "web",
      databaseId: "shop",
      idleDatabaseId: "idle",
      asleepDatabaseId: "asleep",
      clusterId: "ledger",
      snapshotId: "yesterday",
      bucketArn: "arn:aws:s3:::shop-data",
      tagPolicyId: await tagPolicy(),
    };
    await user("read-all", policiesFor(["all"]));
    await user("write-all", policiesFor(["all"], { write: true }));
    await user("nothing", []);
    for (const toolset of toolsets) {
      await user(`read-${toolset}`, policiesFor([toolset]));
      await user(`write-${toolset}`, policiesFor([toolset], { write: true }));
    }
    await moto.enforceIam();
  });
  beforeEach(() => {
    proxy.clear();
    // The emulator lacks what is announced of databases.
    proxy.rule(announced());
    // It lacks effective policies too: what is in force is then looked for among the single ones.
    proxy.rule({
      ...{ service: "organizations", operation: "DescribeEffectivePolicy", times: Number.POSITIVE_INFINITY },
      answer: { status: 400, code: "EffectivePolicyNotFoundException" },
    });
  });
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => product!.close());

  it("enforces IAM at all: who may nothing is denied, and told which action is missing", async () => {
    const refused = await (await as("nothing")).call("instances_list");
    expect(refused.data).toMatchObject({ code: "access_denied", action: "ec2:DescribeInstances" });
    expect(refused.data.message).toContain("ec2:DescribeInstances");
  });

  it.each(Object.keys(READS))("%s: the policy for reading its toolset is enough", async (tool) => {
    const server = await as(`read-${chosen(toolsetOf(tool))[0]}`);
    const answer = await callAs(server)(tool, READS[tool]!(world));
    // What somebody else's region or resource answers is another matter than being denied.
    const told = JSON.stringify(inOurPartition(answer.data));
    const denied = /.{0,200}(access_denied|credentials_).{0,300}/.exec(told)?.[0];
    expect(denied).toBeUndefined();
    const expected = tool === "state.history" ? "no_history" : undefined;
    expect(answer.data.code, JSON.stringify(answer.data)).toBe(expected);
  });

  it.each(Object.keys(PLANS))("%s: the policy for reading everything is not enough", async (tool) => {
    const call = callAs(await as("read-all"));
    const planned = await call(tool, { ...(await PLANS[tool]!(world, call)), intent: "not allowed to" });
    // EC2 is asked by dry run already; the other services have no such question.
    const refused = planned.isError
      ? planned
      : await call("changes.apply", { executionToken: planned.data.executionToken });
    expect(refused.data, JSON.stringify(refused.data)).toMatchObject({ nothingWasChanged: true });
    if (refused.data.awsCode === "SyntaxError") {
      // The emulator's denial of a JSON service cannot be read: see known-wrong/identity.ts.
      const { service, operation } = refused.data;
      expect(calls(service, operation).map(({ status }) => status)).toContain(403);
      return;
    }
    expect(refused.data.code).toBe("access_denied");
    expect(writeActions([toolsetOf(tool)])).toContain(refused.data.action);
    expect(refused.data.message).toContain(refused.data.action);
  });

  it.each(Object.keys(PLANS))("%s: with --write the policy of its toolset is enough", async (tool) => {
    const call = callAs(await as(`write-${toolsetOf(tool)}`));
    const planned = await call(tool, { ...(await PLANS[tool]!(world, call)), intent: "as planned with the team" });
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    const applied = await call("changes.apply", { executionToken: planned.data.executionToken });
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    const change = await call("changes.get", { changeId: planned.data.change.changeId });
    expect(change.data.change.state).toBe("applied");
  });
});
