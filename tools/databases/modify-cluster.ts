// databases.modifyCluster: changed settings of a cluster of Aurora or of a Multi-AZ cluster, as databases.modifyInstance is of instances.

import { z } from "zod";
import type { DatabaseCluster } from "../../src/core/content/databases.js";
import { OpsError } from "../../src/core/errors.js";
import type { AwsReader } from "../../src/core/ports.js";
import { plan } from "../../src/core/tool.js";
import { isOfKind, notOfThisKind, type SettingName, type Wanted } from "../../state/databases.js";
import { How, modification, refuseStatus, refuseValues, wantedOf } from "./modify.js";
import { Settings as OfInstances } from "./modify-instance.js";
import { existingCluster, onCluster, onInstance } from "./parts.js";

const acus = (least: number) => z.number().min(least).max(256).multipleOf(0.5).optional();

const Settings = OfInstances.pick({
  engineVersion: true,
  backupWindow: true,
  maintenanceWindow: true,
  deletionProtection: true,
  securityGroups: true,
  autoMinorVersionUpgrade: true,
  iamAuthentication: true,
  copyTagsToSnapshots: true,
  class: true,
  storageGib: true,
  iops: true,
}).extend({
  backupRetentionDays: z.number().int().min(1).max(35).optional(),
  parameterGroup: OfInstances.shape.parameterGroup.describe("A cluster parameter group"),
  storageType: z.enum(["aurora", "aurora-iopt1", "gp3", "io1", "io2"]).optional(),
  serverlessMinAcus: acus(0).describe("0: idle members are paused"),
  serverlessMaxAcus: acus(1),
});

export const modifyCluster = plan({
  title: "Plan modifying a database cluster",
  description:
    "Plan changed settings of one Aurora or Multi-AZ cluster; what belongs to an Aurora member (class, public access, CA): databases.modifyInstance. `apply` as there: `immediate` or in the maintenance `window`; the plan names what interrupts, what waits and until when. `class`, `storageGib` and `iops` are of Multi-AZ clusters only, serverless capacity of Aurora. The master password is never an argument: `manageMasterUser` lets RDS keep it.",
  scope: "region",
  basedOn: "one",
  input: Settings.extend(How.shape),
  async propose({ databaseId, apply, allowMajorVersionUpgrade, manageMasterUser, ...settings }, { aws, now }) {
    const live = await existingCluster(aws, databaseId);
    const wanted = wantedOf(settings);
    const found = { kind: "cluster", content: live } as const;
    const how = { databaseId, apply, allowMajorVersionUpgrade, manageMasterUser };
    refuseStatus(aws, found, Object.keys(wanted));
    refuseOfOtherKind(aws, live, wanted);
    refuseCapacity(live, wanted);
    refuseValues(found, wanted, how);
    return modification(found, { wanted, raised: [] }, how, { aws, now });
  },
});

/** What a cluster of this kind has not: with Aurora some of it is its members'. */
function refuseOfOtherKind(aws: AwsReader, live: DatabaseCluster, wanted: Wanted): void {
  const refuse = (field: string, message: string, next = onCluster(aws, live.clusterId).slice(0, 1)): OpsError =>
    new OpsError("unsupported", message, {
      field,
      details: { engine: live.engine, members: live.members.map(({ instanceId }) => instanceId) },
      next,
    });
  const [foreign] = notOfThisKind(live, Object.keys(wanted) as SettingName[]);
  if (foreign === "class") {
    const [first] = live.members;
    const members = first && onInstance(aws, first.instanceId);
    throw refuse(
      "class",
      `Each member of ${live.clusterId} has a class of its own: databases.modifyInstance.`,
      members,
    );
  }
  if (foreign !== undefined) {
    const capacity = foreign.startsWith("serverless");
    throw refuse(
      foreign,
      capacity
        ? `${live.clusterId} is no cluster of Aurora that scales members between two capacities.`
        : `The storage of ${live.clusterId} grows by itself, and its size and IOPS are not set.`,
    );
  }
  const { storageType } = wanted;
  if (storageType !== undefined && isOfKind(live, "multiAz") === String(storageType).startsWith("aurora")) {
    throw refuse("storageType", `RDS has no such storage for the engine of ${live.clusterId}.`);
  }
}

/** RDS takes both ends of the range together. */
function refuseCapacity({ serverless = {} }: DatabaseCluster, wanted: Wanted): void {
  if (wanted.serverlessMinAcus === undefined && wanted.serverlessMaxAcus === undefined) return;
  const { serverlessMinAcus: least = serverless.minAcus, serverlessMaxAcus: most = serverless.maxAcus } = wanted;
  const field = wanted.serverlessMaxAcus === undefined ? "serverlessMinAcus" : "serverlessMaxAcus";
  if (least === undefined || most === undefined) {
    throw new OpsError("validation_error", "This cluster has no capacity yet: say the least and the most of it.", {
      field: least === undefined ? "serverlessMinAcus" : "serverlessMaxAcus",
    });
  }
  if (Number(least) > Number(most)) {
    throw new OpsError("validation_error", "The least capacity is above the most.", {
      field,
      details: { serverlessMinAcus: least, serverlessMaxAcus: most },
    });
  }
}
