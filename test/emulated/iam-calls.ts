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
  readonly snapshotId: string;
  readonly bucketArn: string;
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
    return { groupId, ruleId: rule.ruleId };
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
  "databases.createSnapshot": async ({ databaseId }) => ({ databaseId, snapshotId: "before-the-move" }),
  "databases.restoreSnapshot": async ({ snapshotId }) => ({
    snapshotId,
    databaseId: "restored",
    deletionProtection: false,
  }),
};

/** Tools that are not run here, and why nothing is claimed of them. */
export const NOT_RUN: Readonly<Record<string, string>> = {
  "resources.list": "Cloud Control is scripted, and a script enforces no IAM",
  "resources.get": "Cloud Control is scripted, and a script enforces no IAM",
  "resources.schema": "the registry is scripted, and a script enforces no IAM",
  "resources.create": "Cloud Control is scripted, and a script enforces no IAM",
  "resources.update": "Cloud Control is scripted, and a script enforces no IAM",
  "resources.delete": "Cloud Control is scripted, and a script enforces no IAM",
  "deployments.get": "the emulator lacks service deployments and instance refreshes, and a script enforces no IAM",
  "deployments.create": "the emulator lacks service deployments and instance refreshes, and a script enforces no IAM",
  "deployments.rollback": "the emulator lacks service deployments and instance refreshes, and a script enforces no IAM",
  "costs.forecast": "the emulator lacks it, and a script enforces no IAM",
  "costs.anomalies": "the emulator lacks it, and a script enforces no IAM",
  "costs.estimate": "the emulator lacks the price list, and a script enforces no IAM",
  "changes.apply": "runs with every plan",
  "changes.get": "runs with every plan",
  "changes.cancel": "asks AWS only where Cloud Control is at work, which is scripted",
  "changes.resolve": "asks AWS only about an operation that is parked",
  "state.rollback": "its steps are those of the toolset whose resource it rolls back",
};
