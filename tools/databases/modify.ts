// databases.modifyInstance: changed settings, with what interrupts, what waits and until when.

import { z } from "zod";
import type { DatabaseInstance } from "../../src/core/content/databases.js";
import { OpsError } from "../../src/core/errors.js";
import type { Json } from "../../src/core/json.js";
import type { AwsReader } from "../../src/core/ports.js";
import { plan } from "../../src/core/tool.js";
import {
  type Apply,
  alsoApplied,
  differing,
  type Effect,
  effectsOf,
  modifyStep,
  nextOpening,
  ofCluster,
  olderVersion,
  type SettingName,
  type Wanted,
  whenOf,
  windowOf,
  windowsOverlap,
} from "../../state/databases.js";
import { Class, DatabaseId, existingInstance, GroupIds, INSTANCE, majorOf, ResourceName, refOf } from "./parts.js";

const Settings = z.object({
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
    "Plan changed settings of one RDS instance. `apply` says when what can wait happens: `immediate`, or in the maintenance `window`; the plan names what interrupts, what waits and until when. Storage never shrinks. The master password is never an argument: `manageMasterUser` lets RDS keep it in Secrets Manager.",
  scope: "region",
  basedOn: "one",
  input: Settings.extend({
    databaseId: DatabaseId,
    apply: z.enum(["immediate", "window"]),
    allowMajorVersionUpgrade: z.boolean().optional(),
    manageMasterUser: z.literal(true).optional(),
  }),
  async propose({ databaseId, apply, allowMajorVersionUpgrade = false, manageMasterUser, ...settings }, { aws, now }) {
    const live = await existingInstance(aws, databaseId);
    const given = wantedOf(settings);
    refuseStatus(aws, live, Object.keys(given));
    const { wanted, raised } = checked(live, given, allowMajorVersionUpgrade);
    const managed = manageMasterUser === true && live.masterUserManaged === undefined;
    const effects = effectsOf(live, wanted, apply);
    if (effects.length === 0 && !managed) {
      throw new OpsError(
        "nothing_to_change",
        `${databaseId} already is as asked, or RDS has accepted it and it waits.`,
        {
          details: { pending: live.pending },
        },
      );
    }
    refuseWindow(aws, live, wanted, effects, apply, managed);
    const opensAt = live.maintenanceWindow && nextOpening(live.maintenanceWindow, now);
    const waiting = waitingBeside(live, wanted);
    const step = modifyStep(live, refOf(aws, INSTANCE, databaseId), wanted, apply, {
      allowMajorVersionUpgrade,
      managed,
    });
    return {
      summary: `Modify ${databaseId} ${apply === "window" ? "in its maintenance window" : "immediately"}: ${[...effects.map(({ setting }) => setting), ...(managed ? ["master user managed by RDS"] : [])].join(", ")}`,
      steps: [step],
      warnings: [
        ...effects.flatMap((effect) => warningOf(effect, apply, opensAt)),
        ...raised,
        ...(apply === "immediate" && waiting.length > 0 ? [alsoApplied(waiting)] : []),
        ...(managed
          ? ["RDS sets a new master password at once: whoever uses the old one is refused from then on."]
          : []),
      ],
      facts: {
        apply,
        effects: effects as unknown as Json,
        ...(apply === "window" && live.maintenanceWindow
          ? { window: { maintenanceWindow: live.maintenanceWindow, ...(opensAt ? { opensAt } : {}) } }
          : {}),
        ...(waiting.length > 0 ? { waitingAlready: live.pending } : {}),
      },
    };
  },
});

const wantedOf = (settings: object): Wanted =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as Wanted;

/** Named values that wait in RDS's queue and that this plan does not ask for. */
function waitingBeside(live: DatabaseInstance, wanted: Wanted): string[] {
  const asked = new Set(Object.keys(wanted));
  const names: Readonly<Record<string, string>> = {
    "storage.allocatedGib": "storageGib",
    "storage.type": "storageType",
    "storage.iops": "iops",
    "storage.throughputMibps": "throughputMibps",
  };
  return Object.keys(live.pending)
    .map((key) => names[key] ?? key)
    .filter((key) => !asked.has(key) && /^\w+$/.test(key));
}

function warningOf({ setting, takesEffect, interrupts, because }: Effect, apply: Apply, opensAt?: string): string[] {
  const why = because ? `: ${because}` : "";
  if (takesEffect === "in the maintenance window") {
    return interrupts
      ? [`${setting} interrupts in the window that opens at ${opensAt ?? "a time RDS chose"}${why}.`]
      : [];
  }
  if (interrupts) return [`${setting} interrupts ${takesEffect}${why}.`];
  if (apply === "window") return [`${setting} does not wait for the window: RDS changes it ${takesEffect}${why}.`];
  return because ? [`${setting}${why}.`] : [];
}

/** In which RDS takes a modification. */
const MODIFIABLE = new Set(["available", "storage-optimization", "storage-full", "incompatible-parameters"]);
const STORAGE: readonly string[] = ["storageGib", "storageType", "iops", "throughputMibps"];

function refuseStatus(aws: AwsReader, live: DatabaseInstance, asked: readonly string[]): void {
  const next = [{ tool: "databases.get", arguments: { databaseId: live.instanceId, region: aws.region } }];
  const details = { status: live.status };
  const stopped = live.status === "stopped" || live.status === "stopping";
  if (stopped) {
    throw new OpsError(
      "wrong_state",
      `${live.instanceId} is stopped or stopping, and RDS changes only what runs. Start it first (databases.start), which makes it cost by the hour again; then read it and plan anew.`,
      {
        field: "databaseId",
        details,
        next: [...next, { tool: "databases.start", arguments: { databaseId: live.instanceId, region: aws.region } }],
      },
    );
  }
  if (!MODIFIABLE.has(live.status)) {
    throw new OpsError(
      "wrong_state",
      `RDS is at work on ${live.instanceId} or it is not well, so nothing can be changed now. Read it again later; plan once it is available.`,
      { field: "databaseId", details, next },
    );
  }
  const storage = asked.find((setting) => STORAGE.includes(setting));
  if (live.status === "storage-optimization" && storage !== undefined) {
    throw new OpsError(
      "wrong_state",
      `The storage of ${live.instanceId} is still being optimised after its last change; RDS takes the next one when that has ended, at the earliest six hours after it.`,
      { field: storage, details, next },
    );
  }
}

/** Engines whose storage RDS grows by at least a tenth. */
const BY_A_TENTH = /^(mysql|mariadb|postgres|oracle|db2)/;

/** What RDS would refuse or change silently is refused or said before anything is sent. */
function checked(live: DatabaseInstance, given: Wanted, mayUpgrade: boolean): { wanted: Wanted; raised: string[] } {
  const bad = (code: "unsupported" | "validation_error", field: string, message: string): OpsError =>
    new OpsError(code, message, { field });
  const [foreign] = ofCluster(live, differing(live, given));
  if (foreign !== undefined) {
    throw new OpsError("unsupported", `${foreign} of ${live.instanceId} belongs to its cluster: it is changed there.`, {
      field: foreign,
      next: [{ tool: "databases.get", arguments: { databaseId: live.clusterId!, kind: "cluster" } }],
    });
  }
  const raised: string[] = [];
  let wanted = given;
  const { storageGib, maxStorageGib, engineVersion } = given;
  const has = live.storage.allocatedGib ?? 0;
  if (typeof storageGib === "number" && storageGib < has) {
    throw bad(
      "unsupported",
      "storageGib",
      `${live.instanceId} has ${has} GiB, and RDS storage never shrinks. Less needs a new instance into which the data is copied.`,
    );
  }
  if (typeof storageGib === "number" && storageGib > has && BY_A_TENTH.test(live.engine)) {
    const least = Math.ceil(has * 1.1);
    if (storageGib < least) {
      wanted = { ...given, storageGib: least };
      raised.push(`storageGib becomes ${least}: RDS grows the storage of this engine by at least a tenth.`);
    }
  }
  const storage = typeof wanted.storageGib === "number" ? wanted.storageGib : has;
  if (typeof maxStorageGib === "number" && maxStorageGib <= storage) {
    throw bad("validation_error", "maxStorageGib", `It must be above the ${storage} GiB that are allocated.`);
  }
  if (typeof engineVersion === "string" && engineVersion !== live.engineVersion) {
    if (olderVersion(engineVersion, live.engineVersion ?? "")) {
      throw bad(
        "unsupported",
        "engineVersion",
        `RDS does not go back to an older engine. Restore a snapshot from before the upgrade instead: databases.restoreSnapshot.`,
      );
    }
    if (majorOf(live.engine, engineVersion) !== majorOf(live.engine, live.engineVersion ?? "") && !mayUpgrade) {
      throw bad(
        "validation_error",
        "allowMajorVersionUpgrade",
        "This is a major upgrade, which may break what uses the database. Ask the user, take a snapshot, then plan it with allowMajorVersionUpgrade.",
      );
    }
  }
  checkWindows(live, given);
  return { wanted, raised };
}

function checkWindows(live: DatabaseInstance, { backupWindow, maintenanceWindow }: Wanted): void {
  const refuse = (field: string, message: string): OpsError => new OpsError("validation_error", message, { field });
  for (const [field, value, daily] of [
    ["backupWindow", backupWindow, true],
    ["maintenanceWindow", maintenanceWindow, false],
  ] as const) {
    if (value === undefined) continue;
    const window = windowOf(String(value));
    if (!window || window.daily !== daily) {
      throw refuse(field, `${field} must look like ${daily ? "04:00-04:30" : "sun:05:00-sun:05:30"}, in UTC.`);
    }
    if (window.minutes < 30) throw refuse(field, `${field} must be open for 30 minutes at least.`);
  }
  if (backupWindow === undefined && maintenanceWindow === undefined) return;
  const [backup, weekly] = [backupWindow ?? live.backupWindow, maintenanceWindow ?? live.maintenanceWindow];
  if (backup === undefined || weekly === undefined || !windowsOverlap(String(backup), String(weekly))) return;
  const field = maintenanceWindow === undefined ? "backupWindow" : "maintenanceWindow";
  throw new OpsError("validation_error", "The backup and the maintenance window overlap, which RDS refuses.", {
    field,
    details: { backupWindow: backup, maintenanceWindow: weekly },
  });
}

/** Nobody is told "in the window" of a change that happens at once. */
function refuseWindow(
  aws: AwsReader,
  live: DatabaseInstance,
  wanted: Wanted,
  effects: readonly Effect[],
  apply: Apply,
  managed: boolean,
) {
  if (apply === "immediate") return;
  const waits = effects.some(
    ({ setting }) => whenOf(setting as SettingName, live, wanted[setting as SettingName]!) === "apply",
  );
  if (waits && !managed) return;
  const soon = managed ? "manageMasterUser" : effects.map(({ setting }) => setting).join(", ");
  throw new OpsError(
    "validation_error",
    `${soon} cannot wait for a window: RDS changes it soon after the call, whatever is asked. Plan it with apply "immediate", when that is right.`,
    {
      field: "apply",
      next: [{ tool: "databases.get", arguments: { databaseId: live.instanceId, region: aws.region } }],
    },
  );
}
