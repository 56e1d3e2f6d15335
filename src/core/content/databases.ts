// RDS databases and their snapshots as our readers show them: instances and clusters (Aurora too) in one vocabulary.

import { z } from "zod";
import { Tags } from "./tags.js";

const Storage = z.object({
  type: z.string().optional(),
  allocatedGib: z.number().optional(),
  maxAllocatedGib: z.number().optional().describe("up to which RDS grows it by itself"),
  iops: z.number().optional(),
  throughputMibps: z.number().optional(),
  encrypted: z.boolean(),
  kmsKeyId: z.string().optional(),
});

const Endpoint = z.object({ address: z.string().optional(), port: z.number().optional() });

/** What instances and clusters have in common. */
const COMMON = {
  arn: z.string(),
  status: z.string().describe("available, stopped, modifying, backing-up, … as RDS says"),
  engine: z.string(),
  engineVersion: z.string().optional(),
  storage: Storage,
  multiAz: z.boolean(),
  endpoint: Endpoint.optional(),
  subnetGroup: z.string().optional(),
  securityGroups: z.array(z.string()),
  deletionProtection: z.boolean(),
  backupRetentionDays: z.number(),
  backupWindow: z.string().optional().describe("daily, UTC"),
  maintenanceWindow: z.string().optional().describe("weekly, UTC"),
  autoMinorVersionUpgrade: z.boolean().optional(),
  iamAuthentication: z.boolean(),
  copyTagsToSnapshots: z.boolean(),
  logExports: z.array(z.string()).optional(),
  /** Where the master user's password is kept, if RDS itself keeps it. */
  masterUserManaged: z
    .object({ secretArn: z.string(), status: z.string().optional() })
    .optional()
    .describe("RDS keeps and rotates the password in Secrets Manager"),
  masterUsername: z.string().optional(),
  createdAt: z.string().optional(),
  tags: Tags,
} as const;

/** Values that RDS has accepted and not yet carried out, by the names of the members they will change. */
const Pending = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));

export const DatabaseInstance = z.object({
  instanceId: z.string(),
  ...COMMON,
  class: z.string(),
  clusterId: z.string().optional(),
  replicaOf: z.string().optional(),
  replicas: z.array(z.string()),
  port: z.number().optional(),
  vpcId: z.string().optional(),
  availabilityZone: z.string().optional(),
  publiclyAccessible: z.boolean(),
  parameterGroup: z.string().optional(),
  parameterStatus: z.string().optional().describe("in-sync, or pending-reboot: changed parameters wait for a reboot"),
  optionGroup: z.string().optional(),
  caCertificate: z.string().optional(),
  pending: Pending,
});
export type DatabaseInstance = z.infer<typeof DatabaseInstance>;

export const DatabaseCluster = z.object({
  clusterId: z.string(),
  ...COMMON,
  class: z.string().optional().describe("of Multi-AZ clusters; instances of Aurora have their own"),
  engineMode: z.string().optional(),
  serverless: z
    .object({ minAcus: z.number().optional(), maxAcus: z.number().optional() })
    .optional()
    .describe("between which Aurora scales members of db.serverless; 0: idle ones are paused"),
  readerEndpoint: z.string().optional(),
  members: z.array(z.object({ instanceId: z.string(), writer: z.boolean(), parameterStatus: z.string().optional() })),
  parameterGroup: z.string().optional(),
  pending: Pending,
});
export type DatabaseCluster = z.infer<typeof DatabaseCluster>;

const SNAPSHOT = {
  arn: z.string(),
  kind: z.string().describe("manual, automated, awsbackup, shared or public"),
  status: z.string().describe("available, creating, copying, deleting or failed"),
  progressPercent: z.number().optional(),
  engine: z.string(),
  engineVersion: z.string().optional(),
  allocatedGib: z.number().optional(),
  encrypted: z.boolean(),
  kmsKeyId: z.string().optional(),
  port: z.number().optional(),
  vpcId: z.string().optional(),
  createdAt: z.string().optional(),
  tags: Tags,
} as const;

export const DatabaseSnapshot = z.object({
  snapshotId: z.string(),
  instanceId: z.string(),
  ...SNAPSHOT,
  storageType: z.string().optional(),
  optionGroup: z.string().optional(),
});
export type DatabaseSnapshot = z.infer<typeof DatabaseSnapshot>;

export const ClusterSnapshot = z.object({ snapshotId: z.string(), clusterId: z.string(), ...SNAPSHOT });
export type ClusterSnapshot = z.infer<typeof ClusterSnapshot>;

/** Maintenance that AWS has announced for a database. */
export const Maintenance = z.object({
  action: z.string(),
  description: z.string().optional(),
  optInStatus: z.string().optional(),
  autoAppliedAfter: z.string().optional(),
  forcedApplyAt: z.string().optional(),
  appliesAt: z.string().optional(),
});
export type Maintenance = z.infer<typeof Maintenance>;

/** Reads of databases beyond their contents. */
export interface DatabaseReads {
  /** Announced maintenance by ARN; a database without any is not in it. */
  maintenance(arn?: string): Promise<ReadonlyMap<string, readonly Maintenance[]>>;
}
