// databases.modifyInstance: changed settings, with what interrupts, what waits and until when.

import { z } from "zod";
import type { DatabaseInstance } from "../../src/core/content/databases.js";
import { OpsError } from "../../src/core/errors.js";
import type { AwsReader } from "../../src/core/ports.js";
import { plan } from "../../src/core/tool.js";
import { differing, ofCluster, type Wanted } from "../../state/databases.js";
import { type Checked, How, modification, refuseStatus, refuseValues, wantedOf } from "./modify.js";
import { Class, existingInstance, GroupIds, onCluster, ResourceName } from "./parts.js";

export const Settings = z.object({
  class: Class.optional(),
  storageGib: z.number().int().min(5).max(65_536).optional().describe("Only grows"),
  maxStorageGib: z.number().int().min(5).max(65_536).optional().describe("Up to which RDS grows it by itself"),
  storageType: z.enum(["standard", "gp2", "gp3", "io1", "io2"]).optional(),
  iops: z.number().int().min(1000).max(256_000).optional(),
  throughputMibps: z.number().int().min(125).max(16_000).optional(),
  engineVersion: z
    .string()
    .regex(/^[\w.-]{1,64}$/)
    .optional()
    .describe("Exact"),
  multiAz: z.boolean().optional(),
  backupRetentionDays: z.number().int().min(0).max(35).optional(),
  backupWindow: z.string().toLowerCase().optional().describe("hh:mm-hh:mm UTC"),
  maintenanceWindow: z.string().toLowerCase().optional().describe("ddd:hh:mm-ddd:hh:mm UTC"),
  deletionProtection: z.boolean().optional(),
  publiclyAccessible: z.boolean().optional(),
  securityGroups: GroupIds.optional(),
  parameterGroup: ResourceName.optional(),
  autoMinorVersionUpgrade: z.boolean().optional(),
  caCertificate: ResourceName.optional(),
  iamAuthentication: z.boolean().optional(),
  copyTagsToSnapshots: z.boolean().optional(),
});

export const modifyInstance = plan({
  title: "Plan modifying a database instance",
  description:
    "Plan changed settings of one RDS instance (of a cluster: databases.modifyCluster). `apply` says when what can wait happens: `immediate`, or in the maintenance `window`; the plan names what interrupts, what waits and until when. Storage never shrinks. The master password is never an argument: `manageMasterUser` lets RDS keep it in Secrets Manager.",
  scope: "region",
  basedOn: "one",
  input: Settings.extend(How.shape),
  async propose({ databaseId, apply, allowMajorVersionUpgrade, manageMasterUser, ...settings }, { aws, now }) {
    const live = await existingInstance(aws, databaseId);
    const given = wantedOf(settings);
    const found = { kind: "instance", content: live } as const;
    const how = { databaseId, apply, allowMajorVersionUpgrade, manageMasterUser };
    refuseStatus(aws, found, Object.keys(given));
    refuseOfCluster(aws, live, [
      ...ofCluster(live, differing(live, given)),
      ...(live.clusterId !== undefined && manageMasterUser ? ["manageMasterUser"] : []),
    ]);
    refuseValues(found, given, how);
    return modification(found, grown(live, given), how, { aws, now });
  },
});

function refuseOfCluster(aws: AwsReader, { instanceId, clusterId = "" }: DatabaseInstance, [foreign]: string[]): void {
  if (foreign === undefined) return;
  throw new OpsError("unsupported", `${foreign} of ${instanceId} belongs to its cluster: it is changed there.`, {
    field: foreign,
    details: { clusterId },
    next: onCluster(aws, clusterId),
  });
}

/** Engines whose storage RDS grows by at least a tenth. */
const BY_A_TENTH = /^(mysql|mariadb|postgres|oracle|db2)/;

/** What RDS would change silently is said before anything is sent. */
function grown(live: DatabaseInstance, given: Wanted): Checked {
  const has = live.storage.allocatedGib ?? 0;
  const { storageGib = has, maxStorageGib } = given;
  const asked = Number(storageGib);
  const least = asked > has && BY_A_TENTH.test(live.engine) ? Math.ceil(has * 1.1) : asked;
  const storage = Math.max(asked, least);
  if (typeof maxStorageGib === "number" && maxStorageGib <= storage) {
    throw new OpsError("validation_error", `It must be above the ${storage} GiB that are allocated.`, {
      field: "maxStorageGib",
    });
  }
  if (storage === asked) return { wanted: given, raised: [] };
  return {
    wanted: { ...given, storageGib: storage },
    raised: [`storageGib becomes ${storage}: RDS grows the storage of this engine by at least a tenth.`],
  };
}
