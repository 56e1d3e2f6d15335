// One call of every tool that looks at AWS, for the test that runs them under the policies made for them. A tool that is
// missing here fails that test.

import type { Answer } from "../harness.js";

/** What the account holds. */
export interface World {
  readonly imageId: string;
  readonly instanceIds: readonly string[];
  readonly groupId: string;
  readonly unusedGroupId: string;
  readonly vpcId: string;
  readonly autoScalingGroup: string;
  readonly targetGroup: string;
  readonly databaseId: string;
  readonly idleDatabaseId: string;
  readonly asleepDatabaseId: string;
  readonly clusterId: string;
  readonly snapshotId: string;
  readonly bucketArn: string;
  readonly tagPolicyId: string;
}

type Call = (tool: string, args: Record<string, unknown>) => Promise<Answer>;
type Arguments = Record<string, unknown>;

/** Arguments of a read. */
export const READS: Readonly<Record<string, (world: World) => Arguments>> = {
  "session.whoami": () => ({}),
  "session.seen": () => ({}),
  "regions.list": () => ({}),
  "instances.list": () => ({ region: "*" }),
  "instances.get": ({ instanceIds }) => ({ instanceId: instanceIds[0] }),
  "autoscaling.list": () => ({}),
  "autoscaling.get": ({ autoScalingGroup }) => ({ groupName: autoScalingGroup }),
  "autoscaling.activities": ({ autoScalingGroup }) => ({ groupName: autoScalingGroup }),
  "loadBalancers.list": () => ({}),
  "loadBalancers.targetHealth": ({ targetGroup }) => ({ targetGroupName: targetGroup }),
  "securityGroups.list": () => ({ region: "*" }),
  "securityGroups.get": ({ groupId }) => ({ groupId }),
  "databases.list": () => ({}),
  "databases.get": ({ databaseId }) => ({ databaseId }),
  "snapshots.list": () => ({}),
  "deployments.list": () => ({}),
  "costs.summary": () => ({}),
  "costs.byTag": () => ({ tagKey: "team" }),
  "tags.policy": () => ({}),
  "tags.check": () => ({
    resource_types: ["ec2:instance", "rds:db", "s3:bucket", "ecs:cluster", "elasticloadbalancing:loadbalancer"],
  }),
  "tags.untagged": () => ({ resource_types: ["ec2:volume", "rds:db", "s3:bucket"] }),
  "tags.suggest": ({ bucketArn }) => ({ resource_arn: bucketArn }),
  "tags.report": () => ({ resource_types: ["ec2:volume"] }),
  "tags.history": () => ({}),
  "tags.drift": () => ({ resource_types: ["ec2:volume"] }),
  "tags.exportCsv": () => ({ resource_types: ["ec2:volume"] }),
  "tags.custodianPolicy": () => ({}),
  "tags.scheduleAudit": () => ({ action: "list" }),
  "tags.importPolicy": ({ tagPolicyId }) => ({ policy_id: tagPolicyId, save_to_file: false }),
  "tags.exceptions": () => ({}),
  "tags.costGap": () => ({ resource_types: ["ec2:volume"] }),
  "tags.validate": ({ bucketArn }) => ({ resource_arns: [bucketArn] }),
  "changes.list": () => ({}),
  "state.history": ({ instanceIds }) => ({ identifier: instanceIds[0] }),
  "state.drift": () => ({}),
};

/** One of the instances, by the revision it is read at. */
const lifecycle =
  (index: number) =>
  async ({ instanceIds }: Pick<World, "instanceIds">, call: Call) => ({
    instanceIds: [instanceIds[index]],
    basedOn: [String((await call("instances.get", { instanceId: instanceIds[index] })).data.revision)],
  });

/** Arguments of a plan, after whatever has to be read for it. */
export const PLANS: Readonly<Record<string, (world: World, call: Call) => Promise<Arguments>>> = {
  "instances.launch": async ({ imageId }) => ({ imageId, instanceType: "t3.micro", tags: { team: "shop" } }),
  "instances.stop": lifecycle(2),
  "instances.start": lifecycle(3),
  "instances.reboot": lifecycle(0),
  "instances.resize": async ({ instanceIds }, call) => {
    const { instanceIds: _, basedOn } = await lifecycle(4)({ instanceIds }, call);
    return { instanceId: instanceIds[4], instanceType: "t3.small", basedOn: basedOn[0] };
  },
  "autoscaling.setCapacity": async ({ autoScalingGroup }, call) => ({
    groupName: autoScalingGroup,
    desiredCapacity: 1,
    basedOn: (await call("autoscaling.get", { groupName: autoScalingGroup })).data.revision,
  }),
  "instances.terminate": async ({ instanceIds }, call) => ({
    instanceIds: [instanceIds[1]],
    basedOn: [(await call("instances.get", { instanceId: instanceIds[1] })).data.revision],
  }),
  "securityGroups.addRule": async ({ groupId }) => ({ groupId, rule: { fromPort: 8443, peer: "10.1.0.0/16" } }),
  "securityGroups.removeRule": async ({ groupId }, call) => {
    const { data } = await call("securityGroups.get", { groupId });
    const rule = data.securityGroup.rules.find(({ fromPort }: { fromPort?: number }) => fromPort === 443);
    return { groupId, ruleId: rule.ruleId, basedOn: data.revision };
  },
  "securityGroups.update": async ({ groupId }, call) => {
    const { data } = await call("securityGroups.get", { groupId });
    return { groupId, basedOn: data.revision, rules: [{ fromPort: 22, peer: "10.9.0.0/16", description: "bastion" }] };
  },
  "securityGroups.create": async ({ vpcId }) => ({
    groupName: "api",
    description: "api servers",
    vpcId,
    tags: { team: "shop" },
  }),
  "securityGroups.delete": async ({ unusedGroupId }, call) => ({
    groupId: unusedGroupId,
    basedOn: (await call("securityGroups.get", { groupId: unusedGroupId })).data.revision,
  }),
  "tags.apply": async ({ instanceIds }) => ({
    changes: [{ resource_arn: `arn:aws:ec2:eu-west-1:123456789012:instance/${instanceIds[0]}`, set: { Owner: "web" } }],
  }),
  "databases.modifyInstance": async ({ databaseId }, call) => ({
    databaseId,
    basedOn: (await call("databases.get", { databaseId })).data.revision,
    storageGib: 40,
    apply: "immediate",
  }),
  "databases.modifyCluster": async ({ clusterId }, call) => ({
    databaseId: clusterId,
    basedOn: (await call("databases.get", { databaseId: clusterId })).data.revision,
    backupRetentionDays: 14,
    apply: "immediate",
  }),
  "databases.stop": async ({ idleDatabaseId }, call) => ({
    databaseId: idleDatabaseId,
    basedOn: (await call("databases.get", { databaseId: idleDatabaseId })).data.revision,
  }),
  "databases.start": async ({ asleepDatabaseId }, call) => ({
    databaseId: asleepDatabaseId,
    basedOn: (await call("databases.get", { databaseId: asleepDatabaseId })).data.revision,
  }),
  "databases.createSnapshot": async ({ databaseId }) => ({ databaseId, snapshotId: "before-the-move" }),
  "databases.restoreSnapshot": async ({ snapshotId }) => ({
    snapshotId,
    databaseId: "restored",
    deletionProtection: false,
  }),
};

/** Names of what the scripted services hold. */
export interface ScriptedWorld {
  readonly bucket: string;
  readonly databaseId: string;
}

type Row = readonly [tool: string, about: string, args: (world: ScriptedWorld, call: Call) => Promise<Arguments>];
const BUCKET = "AWS::S3::Bucket";
const REVISION = "s3://releases/web.zip?versionId=three";

/** Reads of services that the emulator lacks: they are scripted, and what they ask is held to the policies by an evaluator. */
export const SCRIPTED_READS: readonly Row[] = [
  ["resources.list", "a type", async () => ({ type: BUCKET })],
  ["resources.get", "a bucket", async ({ bucket }) => ({ type: BUCKET, identifier: bucket })],
  ["resources.schema", "the registry's", async () => ({ type: "AWS::SNS::Topic" })],
  ["deployments.list", "all there is", async () => ({})],
  ["deployments.get", "ECS", async () => ({ service: "prod/api" })],
  ["deployments.get", "a task definition", async () => ({ taskDefinition: "api:1" })],
  ["deployments.get", "CodeDeploy", async () => ({ service: "web/production" })],
  ["deployments.get", "instance refresh", async () => ({ service: "workers" })],
  ["costs.forecast", "this month", async () => ({})],
  ["costs.anomalies", "of the last months", async () => ({})],
  ["costs.estimate", "of an instance", async () => ({ items: [{ kind: "instance", instanceType: "t3.micro" }] })],
];

const deploy =
  (service: string, more: object = {}) =>
  async (_: ScriptedWorld, call: Call) => ({
    service,
    ...more,
    basedOn: (await call("deployments.get", { service })).data.revision,
  });
const ofBucket =
  (more: object) =>
  async ({ bucket }: ScriptedWorld, call: Call) => ({
    type: BUCKET,
    identifier: bucket,
    ...more,
    basedOn: (await call("resources.get", { type: BUCKET, identifier: bucket })).data.revision,
  });

/** Plans of such services. */
export const SCRIPTED_PLANS: readonly Row[] = [
  ["resources.create", "a bucket", async () => ({ type: BUCKET, properties: { BucketName: "made" } })],
  ["resources.update", "a bucket", ofBucket({ properties: { VersioningConfiguration: { Status: "Enabled" } } })],
  ["resources.delete", "a bucket", ofBucket({})],
  ["deployments.create", "an image to ECS", deploy("prod/api", { version: "3" })],
  ["deployments.create", "a revision to CodeDeploy", deploy("web/production", { version: REVISION })],
  ["deployments.create", "an image to ECS by CodeDeploy", deploy("prod/shop", { version: "2" })],
  ["deployments.create", "a version to instances", deploy("workers", { version: "5" })],
  ["deployments.rollback", "ECS", deploy("prod/api")],
  ["deployments.rollback", "CodeDeploy", deploy("web/production")],
  ["deployments.rollback", "instance refresh", deploy("workers")],
  [
    "databases.modifyInstance",
    "a password that RDS is to keep",
    async ({ databaseId }, call) => ({
      databaseId,
      manageMasterUser: true,
      apply: "immediate",
      basedOn: (await call("databases.get", { databaseId })).data.revision,
    }),
  ],
];

/** Tools that are not run by themselves, and why. */
export const NOT_RUN: Readonly<Record<string, string>> = {
  "changes.apply": "runs with every plan",
  "changes.get": "runs with every plan",
  "changes.cancel": "stops what others began: run by name on the scripted services",
  "changes.resolve": "asks AWS only about an operation that is parked, which takes longer than a test",
  "state.rollback":
    "its steps are those of the toolset whose resource it rolls back: run by name on the scripted services",
};
