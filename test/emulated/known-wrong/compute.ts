// EC2 instances, Auto Scaling and RDS.
import type { RawAws } from "../raw-aws.js";
import { given, launched, subnetOf, wrong } from "./fault.js";

const database = async (aws: RawAws, more: Record<string, string> = {}) => {
  const DBInstanceIdentifier = "db";
  const base = { DBInstanceIdentifier, Engine: "postgres", DBInstanceClass: "db.t3.micro", AllocatedStorage: 20 };
  const login = { MasterUsername: "root", MasterUserPassword: "not-a-secret" };
  const answer = await aws.query("rds", "CreateDBInstance", { ...base, ...login, ...more });
  given(answer.xml("DBInstanceIdentifier"), answer.text);
  return answer;
};

const cluster = async (aws: RawAws) => {
  const base = { DBClusterIdentifier: "cluster", Engine: "aurora-postgresql", EngineVersion: "15.4" };
  const login = { MasterUsername: "root", MasterUserPassword: "not-a-secret" };
  const answer = await aws.query("rds", "CreateDBCluster", { ...base, ...login });
  given(answer.xml("DBClusterIdentifier"), answer.text);
};

const scalingGroup = async (aws: RawAws) => {
  await aws.query("autoscaling", "CreateLaunchConfiguration", {
    LaunchConfigurationName: "config",
    ImageId: "ami-12c6146b",
    InstanceType: "t3.micro",
  });
  const answer = await aws.query("autoscaling", "CreateAutoScalingGroup", {
    AutoScalingGroupName: "group",
    LaunchConfigurationName: "config",
    MinSize: 1,
    MaxSize: 2,
    VPCZoneIdentifier: await subnetOf(aws),
  });
  if (answer.status !== 200) given(undefined, answer.text);
};

export const computeFaults = [
  wrong("ec2.RunInstances", "the same ClientToken launches again", "one instance", async (aws) => {
    const first = await launched(aws, { ClientToken: "token" });
    return (await launched(aws, { ClientToken: "token" })) !== first;
  }),
  wrong("ec2.RunInstances", "a type that does not exist is accepted", "InvalidParameterValue", async (aws) => {
    return (await launched(aws, { InstanceType: "t3.bogus" })).startsWith("i-");
  }),
  wrong(
    "ec2.ModifyInstanceAttribute",
    "the type of a running instance changes",
    "IncorrectInstanceState",
    async (aws) => {
      const InstanceId = await launched(aws);
      const change = { InstanceId, "InstanceType.Value": "t3.large" };
      return (await aws.query("ec2", "ModifyInstanceAttribute", change)).status === 200;
    },
  ),
  wrong("ec2.TerminateInstances", "DryRun does not look at the ids", "InvalidInstanceID.NotFound", async (aws) => {
    const fields = { "InstanceId.1": "i-0000000000000dead", DryRun: "true" };
    return (await aws.query("ec2", "TerminateInstances", fields)).xml("Code") === "DryRunOperation";
  }),
  wrong(
    "autoscaling.SetDesiredCapacity",
    "more than MaxSize is accepted and launched",
    "ValidationError",
    async (aws) => {
      await scalingGroup(aws);
      const fields = { AutoScalingGroupName: "group", DesiredCapacity: 5 };
      await aws.query("autoscaling", "SetDesiredCapacity", fields);
      return (await aws.query("ec2", "DescribeInstances")).all("instanceId").length >= 5;
    },
  ),
  wrong("autoscaling.DescribeScalingActivities", "always empty", "the launches of the group", async (aws) => {
    await scalingGroup(aws);
    const answer = await aws.query("autoscaling", "DescribeScalingActivities", { AutoScalingGroupName: "group" });
    return answer.status === 200 && !answer.xml("ActivityId");
  }),
  wrong("rds.CreateDBInstance", "available at once", "creating, for minutes", async (aws) => {
    return (await database(aws)).xml("DBInstanceStatus") === "available";
  }),
  wrong(
    "rds.ModifyDBInstance",
    "applied at once without ApplyImmediately",
    "kept as PendingModifiedValues",
    async (aws) => {
      await database(aws);
      const change = { DBInstanceIdentifier: "db", DBInstanceClass: "db.m5.large", ApplyImmediately: "false" };
      await aws.query("rds", "ModifyDBInstance", change);
      const now = await aws.query("rds", "DescribeDBInstances");
      return now.xml("DBInstanceClass") === "db.m5.large" && !now.xml("PendingModifiedValues")?.includes("db.m5.large");
    },
  ),
  wrong(
    "rds.ModifyDBCluster",
    "applied at once without ApplyImmediately",
    "kept as PendingModifiedValues",
    async (aws) => {
      await cluster(aws);
      const change = { DBClusterIdentifier: "cluster", EngineVersion: "15.6", ApplyImmediately: "false" };
      await aws.query("rds", "ModifyDBCluster", change);
      const now = await aws.query("rds", "DescribeDBClusters");
      return now.xml("EngineVersion") === "15.6" && !now.xml("PendingModifiedValues")?.includes("15.6");
    },
  ),
  wrong("rds.ModifyDBCluster", "forgets IAM authentication", "IAMDatabaseAuthenticationEnabled", async (aws) => {
    await cluster(aws);
    const change = {
      DBClusterIdentifier: "cluster",
      EnableIAMDatabaseAuthentication: "true",
      ApplyImmediately: "true",
    };
    given((await aws.query("rds", "ModifyDBCluster", change)).xml("DBClusterIdentifier"), "change");
    return (await aws.query("rds", "DescribeDBClusters")).xml("IAMDatabaseAuthenticationEnabled") === "false";
  }),
  wrong("rds.RestoreDBInstanceFromDBSnapshot", "inherits DeletionProtection", "off unless asked for", async (aws) => {
    await database(aws, { DeletionProtection: "true" });
    const snapshot = { DBInstanceIdentifier: "db", DBSnapshotIdentifier: "snap" };
    given((await aws.query("rds", "CreateDBSnapshot", snapshot)).xml("DBSnapshotIdentifier"), "snapshot");
    const restore = { DBInstanceIdentifier: "copy", DBSnapshotIdentifier: "snap" };
    const answer = await aws.query("rds", "RestoreDBInstanceFromDBSnapshot", restore);
    return given(answer.xml("DeletionProtection"), answer.text) === "true";
  }),
  wrong("rds.DeleteDBInstance", "needs no decision on a final snapshot", "InvalidParameterCombination", async (aws) => {
    await database(aws);
    return (await aws.query("rds", "DeleteDBInstance", { DBInstanceIdentifier: "db" })).status === 200;
  }),
  wrong("rds.DescribeOrderableDBInstanceOptions", "always empty", "the options of the engine", async (aws) => {
    const answer = await aws.query("rds", "DescribeOrderableDBInstanceOptions", { Engine: "postgres" });
    return answer.status === 200 && answer.all("DBInstanceClass").length === 0;
  }),
];
