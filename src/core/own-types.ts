// What the machine must know of the types that are read through their own service: one row a type.

import { accepted } from "./accepted.js";
import type { ReaderName } from "./change.js";
import type { Contents } from "./content.js";
import type { JsonObject } from "./json.js";

/** What the machine must know of a type that has a reader of its own. */
interface OwnType<Content> {
  /** The tool that shows one of it, and the argument that takes the id. */
  readonly readWith: readonly [tool: string, argument: string];
  /** The member of a content that is its id, or the last part of an id of several. */
  readonly id: keyof Content & string;
  /** Whether AWS lets many of it be looked at by one call (`ids` of a list). */
  readonly many: boolean;
  /** Pointers that AWS moves by itself: part of what a revision covers, never drift. */
  readonly volatile: readonly string[];
  /** Whether AWS still lists one that is already on its way out. */
  gone?(content: Content): boolean;
  /** The content once what AWS has accepted, and will carry out later, is carried out: what going back compares. */
  accepted?(content: Content): Content;
  /** A content, or the part of it that a plan knows, by the names of AWS's specification: as far as security rules look at it. */
  specified?(content: Partial<Content>): JsonObject;
}

/** RDS moves these by itself, or carries out later what it has accepted. */
const DATABASE_VOLATILE = ["/status", "/endpoint", "/pending", "/parameterStatus", "/masterUserManaged/status"];
const SNAPSHOT_VOLATILE = ["/status", "/progressPercent", "/createdAt"];

const OWN_TYPES: { readonly [T in keyof Contents]: OwnType<Contents[T]> } = {
  "AWS::EC2::Instance": {
    readWith: ["instances.get", "instanceId"],
    id: "instanceId",
    many: true,
    volatile: ["/state", "/stateReason", "/publicIp", "/privateIp", "/launchedAt"],
    gone: ({ state }) => state === "terminated" || state === "shutting-down",
  },
  "AWS::EC2::SecurityGroup": {
    readWith: ["securityGroups.get", "groupId"],
    id: "groupId",
    many: true,
    volatile: [],
  },
  "AWS::RDS::DBInstance": {
    readWith: ["databases.get", "databaseId"],
    id: "instanceId",
    many: true,
    volatile: [...DATABASE_VOLATILE, "/availabilityZone", "/replicas", "/port"],
    gone: ({ status }) => status === "deleting",
    accepted,
    specified: ({ class: DBInstanceClass = "", clusterId, publiclyAccessible, pending, ...rest }) => ({
      DBInstanceClass,
      ...(clusterId !== undefined && { DBClusterIdentifier: clusterId }),
      PubliclyAccessible: publiclyAccessible ?? false,
      // What is restored is encrypted as its snapshot is.
      ...(rest.storage ? { StorageEncrypted: rest.storage.encrypted } : { DBSnapshotIdentifier: "restored" }),
      BackupRetentionPeriod: pending?.backupRetentionDays ?? rest.backupRetentionDays ?? 1,
    }),
  },
  "AWS::RDS::DBCluster": {
    readWith: ["databases.get", "databaseId"],
    id: "clusterId",
    many: true,
    volatile: [...DATABASE_VOLATILE, "/readerEndpoint", "/members", "/storage/allocatedGib"],
    gone: ({ status }) => status === "deleting",
    accepted,
    specified: ({ storage, pending, backupRetentionDays = 1 }) => ({
      StorageEncrypted: storage?.encrypted ?? false,
      BackupRetentionPeriod: pending?.backupRetentionDays ?? backupRetentionDays,
    }),
  },
  "AWS::RDS::DBSnapshot": {
    readWith: ["snapshots.list", "snapshotId"],
    id: "snapshotId",
    many: false,
    volatile: SNAPSHOT_VOLATILE,
    gone: ({ status }) => status === "deleting",
  },
  "AWS::RDS::DBClusterSnapshot": {
    readWith: ["snapshots.list", "snapshotId"],
    id: "snapshotId",
    many: false,
    volatile: SNAPSHOT_VOLATILE,
    gone: ({ status }) => status === "deleting",
  },
  "AWS::ECS::Service": {
    readWith: ["deployments.get", "service"],
    id: "serviceArn",
    many: false,
    volatile: ["/rollout", "/desiredCount", "/runningCount", "/pendingCount"],
    gone: ({ status }) => status === "INACTIVE",
  },
  "AWS::ECS::TaskDefinition": {
    readWith: ["deployments.get", "taskDefinition"],
    id: "taskDefinition",
    many: false,
    volatile: [],
    gone: ({ status }) => status !== "ACTIVE",
  },
  "AWS::CodeDeploy::DeploymentGroup": {
    readWith: ["deployments.get", "service"],
    id: "deploymentGroupName",
    many: false,
    volatile: ["/latest", "/lastSuccessful"],
  },
  "AWS::AutoScaling::AutoScalingGroup": {
    readWith: ["autoscaling.get", "groupName"],
    id: "groupName",
    many: true,
    volatile: ["/inService", "/instances"],
  },
  "AWS::ElasticLoadBalancingV2::LoadBalancer": {
    readWith: ["loadBalancers.list", "loadBalancerArn"],
    id: "loadBalancerArn",
    many: true,
    volatile: ["/state", "/stateReason"],
  },
  "AWS::ElasticLoadBalancingV2::TargetGroup": {
    readWith: ["loadBalancers.targetHealth", "targetGroupArn"],
    id: "targetGroupArn",
    many: false,
    volatile: ["/targets"],
  },
};

/** A type that is read through its own service; every other one is read through Cloud Control. */
export const isOwnType = (type: string): type is keyof Contents => Object.hasOwn(OWN_TYPES, type);

export const ownType = (type: keyof Contents): OwnType<JsonObject> => OWN_TYPES[type] as unknown as OwnType<JsonObject>;

/** Pointers of a content that AWS moves by itself: of what our own readers show, and of nothing else, for shapes differ. */
export const volatileOf = (type: string, reader: ReaderName): readonly string[] =>
  reader === "service" && isOwnType(type) ? ownType(type).volatile : [];

/** A content as it will be once nothing waits any more. */
export const acceptedOf = (type: string, reader: ReaderName, content: JsonObject): JsonObject =>
  (reader === "service" && isOwnType(type) && ownType(type).accepted?.(content)) || content;

/** What security rules look at of a content of either reader. */
export const specifiedOf = (type: string, reader: ReaderName, content: JsonObject): JsonObject =>
  (reader === "service" && isOwnType(type) && ownType(type).specified?.(content)) || content;

/** Whether a resource does not exist any more, also where AWS still lists it. */
export const isGone = (type: string, reader: ReaderName, content: JsonObject | null): boolean =>
  content === null || (reader === "service" && isOwnType(type) && ownType(type).gone?.(content) === true);
