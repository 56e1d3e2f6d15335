// RDS's answers → our contents. Pure, and independent of the order in which AWS lists things.

import type {
  DBClusterSnapshot as AwsClusterSnapshot,
  DBCluster,
  DBInstance,
  DBSnapshot,
  PendingMaintenanceAction,
} from "@aws-sdk/client-rds";
import type {
  ClusterSnapshot,
  DatabaseCluster,
  DatabaseInstance,
  DatabaseSnapshot,
  Maintenance,
} from "../../core/content/databases.js";
import { byName, present, tagsOf } from "./parts.js";

/** RDS's names of values that wait → the members of our contents they will change. Others are shown under RDS's name. */
const PENDING: Readonly<Record<string, string>> = {
  DBInstanceClass: "class",
  AllocatedStorage: "storage.allocatedGib",
  StorageType: "storage.type",
  Iops: "storage.iops",
  StorageThroughput: "storage.throughputMibps",
  BackupRetentionPeriod: "backupRetentionDays",
  MultiAZ: "multiAz",
  EngineVersion: "engineVersion",
  Port: "port",
  CACertificateIdentifier: "caCertificate",
  DBSubnetGroupName: "subnetGroup",
  IAMDatabaseAuthenticationEnabled: "iamAuthentication",
};

function pendingOf(values: object | undefined): DatabaseInstance["pending"] {
  const told = Object.entries(values ?? {}).flatMap(([name, value]): [string, string | number | boolean][] => {
    if (value === undefined || value === null) return [];
    // RDS masks it; that there is one is all anybody may know.
    if (name === "MasterUserPassword") return [["masterUser", "a new password"]];
    if (typeof value !== "object") return [[PENDING[name] ?? name, value]];
    const text = JSON.stringify(value);
    return text === "{}" || text === "[]" ? [] : [[PENDING[name] ?? name, text]];
  });
  return Object.fromEntries(told.sort((a, b) => byName(a[0], b[0])));
}

const groupsOf = (groups: readonly { readonly VpcSecurityGroupId?: string | undefined }[] | undefined): string[] =>
  (groups ?? []).flatMap(({ VpcSecurityGroupId }) => VpcSecurityGroupId ?? []).sort(byName);

const storageOf = (aws: DBInstance | DBCluster): DatabaseInstance["storage"] =>
  present<DatabaseInstance["storage"]>({
    type: aws.StorageType,
    allocatedGib: aws.AllocatedStorage,
    maxAllocatedGib: "MaxAllocatedStorage" in aws ? aws.MaxAllocatedStorage : undefined,
    iops: aws.Iops,
    throughputMibps: aws.StorageThroughput || undefined,
    encrypted: aws.StorageEncrypted ?? false,
    kmsKeyId: aws.StorageEncrypted ? aws.KmsKeyId : undefined,
  });

const managedOf = ({
  MasterUserSecret: secret,
}: Pick<DBInstance, "MasterUserSecret">): DatabaseInstance["masterUserManaged"] =>
  secret?.SecretArn ? present({ secretArn: secret.SecretArn, status: secret.SecretStatus }) : undefined;

const logsOf = (logs: readonly string[] | undefined): string[] | undefined =>
  logs && logs.length > 0 ? [...logs].sort(byName) : undefined;

/** What RDS says alike of instances and clusters. */
const commonOf = (aws: DBInstance | DBCluster) => ({
  engine: aws.Engine ?? "unknown",
  engineVersion: aws.EngineVersion,
  storage: storageOf(aws),
  multiAz: aws.MultiAZ ?? false,
  securityGroups: groupsOf(aws.VpcSecurityGroups),
  deletionProtection: aws.DeletionProtection ?? false,
  backupRetentionDays: aws.BackupRetentionPeriod ?? 0,
  backupWindow: aws.PreferredBackupWindow || undefined,
  maintenanceWindow: aws.PreferredMaintenanceWindow || undefined,
  autoMinorVersionUpgrade: aws.AutoMinorVersionUpgrade,
  iamAuthentication: aws.IAMDatabaseAuthenticationEnabled ?? false,
  copyTagsToSnapshots: aws.CopyTagsToSnapshot ?? false,
  logExports: logsOf(aws.EnabledCloudwatchLogsExports),
  masterUserManaged: managedOf(aws),
  masterUsername: aws.MasterUsername || undefined,
  pending: pendingOf(aws.PendingModifiedValues),
  tags: tagsOf(aws.TagList),
});

export function databaseInstanceOf(aws: DBInstance): DatabaseInstance {
  const parameters = aws.DBParameterGroups?.[0];
  const { Address: address, Port: port } = aws.Endpoint ?? {};
  return present<DatabaseInstance>({
    instanceId: aws.DBInstanceIdentifier ?? "",
    arn: aws.DBInstanceArn ?? "",
    status: aws.DBInstanceStatus ?? "unknown",
    ...commonOf(aws),
    class: aws.DBInstanceClass ?? "unknown",
    clusterId: aws.DBClusterIdentifier || undefined,
    replicaOf: aws.ReadReplicaSourceDBInstanceIdentifier || aws.ReadReplicaSourceDBClusterIdentifier || undefined,
    replicas: [...(aws.ReadReplicaDBInstanceIdentifiers ?? []), ...(aws.ReadReplicaDBClusterIdentifiers ?? [])].sort(
      byName,
    ),
    endpoint: address || port ? present({ address: address || undefined, port }) : undefined,
    port: port ?? (aws.DbInstancePort || undefined),
    vpcId: aws.DBSubnetGroup?.VpcId || undefined,
    subnetGroup: aws.DBSubnetGroup?.DBSubnetGroupName || undefined,
    availabilityZone: aws.AvailabilityZone || undefined,
    publiclyAccessible: aws.PubliclyAccessible ?? false,
    parameterGroup: parameters?.DBParameterGroupName || undefined,
    parameterStatus: parameters?.ParameterApplyStatus || undefined,
    optionGroup: aws.OptionGroupMemberships?.[0]?.OptionGroupName || undefined,
    caCertificate: aws.CACertificateIdentifier || undefined,
    createdAt: aws.InstanceCreateTime?.toISOString(),
  });
}

export function databaseClusterOf(aws: DBCluster): DatabaseCluster {
  const members = (aws.DBClusterMembers ?? []).map((member) =>
    present<DatabaseCluster["members"][number]>({
      instanceId: member.DBInstanceIdentifier ?? "",
      writer: member.IsClusterWriter ?? false,
      parameterStatus: member.DBClusterParameterGroupStatus || undefined,
    }),
  );
  const { MinCapacity: minAcus, MaxCapacity: maxAcus } = aws.ServerlessV2ScalingConfiguration ?? {};
  const common = commonOf(aws);
  return present<DatabaseCluster>({
    clusterId: aws.DBClusterIdentifier ?? "",
    arn: aws.DBClusterArn ?? "",
    status: aws.Status ?? "unknown",
    ...common,
    // RDS says nothing of Aurora's standard storage.
    storage:
      common.engine.startsWith("aurora") && !aws.StorageType ? { ...common.storage, type: "aurora" } : common.storage,
    serverless: minAcus === undefined && maxAcus === undefined ? undefined : present({ minAcus, maxAcus }),
    engineMode: aws.EngineMode || undefined,
    class: aws.DBClusterInstanceClass || undefined,
    members: members.sort((a, b) => byName(a.instanceId, b.instanceId)),
    endpoint: aws.Endpoint ? present({ address: aws.Endpoint, port: aws.Port }) : undefined,
    readerEndpoint: aws.ReaderEndpoint || undefined,
    subnetGroup: aws.DBSubnetGroup || undefined,
    parameterGroup: aws.DBClusterParameterGroup || undefined,
    createdAt: aws.ClusterCreateTime?.toISOString(),
  });
}

const snapshotOf = (aws: DBSnapshot | AwsClusterSnapshot) => ({
  kind: aws.SnapshotType ?? "unknown",
  status: aws.Status ?? "unknown",
  progressPercent: aws.PercentProgress,
  engine: aws.Engine ?? "unknown",
  engineVersion: aws.EngineVersion,
  allocatedGib: aws.AllocatedStorage,
  kmsKeyId: aws.KmsKeyId || undefined,
  port: aws.Port || undefined,
  vpcId: aws.VpcId || undefined,
  createdAt: aws.SnapshotCreateTime?.toISOString(),
  tags: tagsOf(aws.TagList),
});

export const databaseSnapshotOf = (aws: DBSnapshot): DatabaseSnapshot =>
  present<DatabaseSnapshot>({
    snapshotId: aws.DBSnapshotIdentifier ?? "",
    instanceId: aws.DBInstanceIdentifier ?? "",
    arn: aws.DBSnapshotArn ?? "",
    ...snapshotOf(aws),
    encrypted: aws.Encrypted ?? false,
    storageType: aws.StorageType,
    optionGroup: aws.OptionGroupName || undefined,
  });

export const clusterSnapshotOf = (aws: AwsClusterSnapshot): ClusterSnapshot =>
  present<ClusterSnapshot>({
    snapshotId: aws.DBClusterSnapshotIdentifier ?? "",
    clusterId: aws.DBClusterIdentifier ?? "",
    arn: aws.DBClusterSnapshotArn ?? "",
    ...snapshotOf(aws),
    encrypted: aws.StorageEncrypted ?? false,
  });

export const maintenanceOf = (aws: PendingMaintenanceAction): Maintenance =>
  present<Maintenance>({
    action: aws.Action ?? "unknown",
    description: aws.Description || undefined,
    optInStatus: aws.OptInStatus || undefined,
    autoAppliedAfter: aws.AutoAppliedAfterDate?.toISOString(),
    forcedApplyAt: aws.ForcedApplyDate?.toISOString(),
    appliesAt: aws.CurrentApplyDate?.toISOString(),
  });
