// databases.restoreSnapshot: a new instance from a copy, and where each of its settings comes from.

import { z } from "zod";
import type { ChangeStep } from "../../src/core/change.js";
import type { DatabaseInstance, DatabaseSnapshot } from "../../src/core/content/databases.js";
import { OpsError } from "../../src/core/errors.js";
import type { Json, JsonObject } from "../../src/core/json.js";
import type { AwsReader } from "../../src/core/ports.js";
import { plan } from "../../src/core/tool.js";
import { tagList } from "./made.js";
import { CLUSTER, Class, DatabaseId, GroupIds, INSTANCE, majorOf, ResourceName, refOf } from "./parts.js";

const Carried = z.object({
  class: Class.optional(),
  subnetGroup: ResourceName.optional(),
  securityGroups: GroupIds.optional(),
  parameterGroup: ResourceName.optional(),
  multiAz: z.boolean().optional(),
  backupRetentionDays: z.number().int().min(1).max(35).optional(),
  iamAuthentication: z.boolean().optional(),
});

export const restoreSnapshot = plan({
  title: "Plan restoring a snapshot to a new database instance",
  description:
    "Plan a NEW instance from an instance snapshot; nothing existing is overwritten. Class, network, parameters and backups are those of the snapshot's database while it exists, or as given; the plan says where each comes from. `deletionProtection` must be said: RDS restores without it.",
  scope: "region",
  basedOn: "none",
  input: Carried.extend({
    snapshotId: z
      .string()
      .max(255)
      .regex(/^[A-Za-z][\w:-]*$/, "must be a snapshot's name"),
    databaseId: DatabaseId.describe("Name of the new instance"),
    deletionProtection: z.boolean(),
    publiclyAccessible: z.boolean().default(false),
    tags: z.record(z.string().min(1).max(128), z.string().max(256)).optional(),
  }),
  async propose(
    { snapshotId, databaseId, deletionProtection, publiclyAccessible, tags = {}, ...given },
    { aws, mode },
  ) {
    const snapshot = await existingSnapshot(aws, snapshotId);
    if (await aws.get(INSTANCE, databaseId)) {
      throw new OpsError(
        "already_exists",
        `There is an instance ${databaseId} already, and a restore never overwrites one.`,
        {
          field: "databaseId",
          next: [{ tool: "databases.get", arguments: { databaseId, kind: "instance", region: aws.region } }],
        },
      );
    }
    const source = await aws.get(INSTANCE, snapshot.instanceId);
    const settings = carriedOver(given, source, snapshot);
    const missing = (["class", "subnetGroup", "securityGroups"] as const).find((name) => settings[name] === undefined);
    if (source === null && missing !== undefined) {
      throw new OpsError(
        "validation_error",
        `The database of this snapshot does not exist any more here, so ${missing} cannot be taken from it, and what RDS would choose by itself is rarely meant. Give it.`,
        { field: missing, details: { instanceId: snapshot.instanceId } },
      );
    }
    const value = (name: keyof typeof settings): Json | undefined => settings[name]?.value;
    const managed = source?.masterUserManaged !== undefined;
    const input = Object.fromEntries(
      Object.entries({
        DBSnapshotIdentifier: snapshotId,
        DBInstanceIdentifier: databaseId,
        DBInstanceClass: value("class"),
        DBSubnetGroupName: value("subnetGroup"),
        VpcSecurityGroupIds: value("securityGroups"),
        DBParameterGroupName: value("parameterGroup"),
        OptionGroupName: value("optionGroup"),
        MultiAZ: value("multiAz"),
        PubliclyAccessible: publiclyAccessible,
        DeletionProtection: deletionProtection,
        BackupRetentionPeriod: value("backupRetentionDays"),
        EnableIAMDatabaseAuthentication: value("iamAuthentication"),
        AutoMinorVersionUpgrade: value("autoMinorVersionUpgrade"),
        CopyTagsToSnapshot: value("copyTagsToSnapshots"),
        EnableCloudwatchLogsExports: value("logExports"),
        ManageMasterUserPassword: managed || undefined,
        Tags: tagList({ ...(source?.tags ?? snapshot.tags), ...tags }, mode),
      }).filter((entry): entry is [string, Json] => entry[1] !== undefined),
    );
    const desired: JsonObject = {
      instanceId: databaseId,
      publiclyAccessible,
      deletionProtection,
      ...Object.fromEntries(Object.entries(settings).flatMap(([name, one]) => (one ? [[name, one.value]] : []))),
    };
    const step: ChangeStep = {
      service: "rds",
      operation: "RestoreDBInstanceFromDBSnapshot",
      input,
      ref: refOf(aws, INSTANCE, databaseId),
      reader: "service",
      kind: "create",
      before: null,
      after: desired,
      touches: [""],
      desired,
    };
    return {
      summary: `Restore snapshot ${snapshotId} to a new instance ${databaseId}`,
      steps: [step],
      warnings: [
        "A restored instance costs from its creation on, and holds the data of the snapshot, not of today.",
        ...(deletionProtection ? [] : ["Nothing will protect the new instance from deletion."]),
        ...(publiclyAccessible ? ["The new instance gets a public address."] : []),
        ...(managed
          ? ["RDS gives the new instance a master password of its own in Secrets Manager, as its source has one."]
          : ["The master password is the one the database had when the snapshot was taken."]),
      ],
      facts: {
        snapshot: {
          instanceId: snapshot.instanceId,
          kind: snapshot.kind,
          ...(snapshot.createdAt ? { createdAt: snapshot.createdAt } : {}),
        },
        sourceExists: source !== null,
        settings: {
          ...Object.fromEntries(Object.entries(settings).flatMap(([name, one]) => (one ? [[name, { ...one }]] : []))),
          publiclyAccessible: { value: publiclyAccessible, from: "asked for; never carried over" },
          deletionProtection: { value: deletionProtection, from: "asked for; RDS itself would leave it off" },
        },
      },
    };
  },
});

interface Setting {
  readonly value: Json;
  readonly from: string;
}
type CarriedName =
  | keyof z.infer<typeof Carried>
  | "optionGroup"
  | "autoMinorVersionUpgrade"
  | "copyTagsToSnapshots"
  | "logExports";

/** Each setting of the new instance and where it comes from. What is not here is RDS's own default. */
function carriedOver(
  given: Readonly<Partial<Record<CarriedName, unknown>>>,
  source: DatabaseInstance | null,
  snapshot: DatabaseSnapshot,
): Partial<Record<CarriedName, Setting>> {
  // A parameter or option group of another major version does not fit.
  const fits =
    source !== null &&
    majorOf(source.engine, source.engineVersion ?? "") === majorOf(snapshot.engine, snapshot.engineVersion ?? "");
  // The default ones RDS finds by itself.
  const own = (group: string | undefined) => (fits && group && !/^default[.:]/.test(group) ? group : undefined);
  const carried: Readonly<Record<CarriedName, Json | undefined>> = {
    class: source?.class,
    subnetGroup: source?.subnetGroup,
    securityGroups: source && source.securityGroups.length > 0 ? source.securityGroups : undefined,
    parameterGroup: own(source?.parameterGroup),
    optionGroup: own(source?.optionGroup),
    multiAz: source?.multiAz,
    backupRetentionDays: source?.backupRetentionDays || undefined,
    iamAuthentication: source?.iamAuthentication,
    autoMinorVersionUpgrade: source?.autoMinorVersionUpgrade,
    copyTagsToSnapshots: source?.copyTagsToSnapshots,
    logExports: source?.logExports,
  };
  return Object.fromEntries(
    Object.entries(carried).flatMap(([key, value]): [string, Setting][] => {
      const asked = given[key as CarriedName] as Json | undefined;
      if (asked !== undefined) return [[key, { value: asked, from: "given" }]];
      return value === undefined ? [] : [[key, { value, from: "the snapshot's database" }]];
    }),
  );
}

async function existingSnapshot(aws: AwsReader, snapshotId: string): Promise<DatabaseSnapshot> {
  const snapshot = await aws.get("AWS::RDS::DBSnapshot", snapshotId);
  const next = [{ tool: "snapshots.list", arguments: { region: aws.region } }];
  if (!snapshot) {
    if (await aws.get("AWS::RDS::DBClusterSnapshot", snapshotId)) {
      throw new OpsError(
        "unsupported",
        `${snapshotId} is a snapshot of a cluster, which restores to a cluster: plan that with resources.create, type ${CLUSTER}, and SnapshotIdentifier.`,
        { field: "snapshotId", next: [{ tool: "resources.schema", arguments: { type: CLUSTER, region: aws.region } }] },
      );
    }
    throw new OpsError("not_found", `There is no snapshot ${snapshotId} in account ${aws.account}, ${aws.region}.`, {
      field: "snapshotId",
      next,
    });
  }
  if (snapshot.status === "available") return snapshot;
  throw new OpsError("wrong_state", `${snapshotId} is not complete, so nothing can be restored from it now.`, {
    field: "snapshotId",
    details: { status: snapshot.status },
    next: [{ tool: "snapshots.list", arguments: { snapshotId, region: aws.region } }],
  });
}
