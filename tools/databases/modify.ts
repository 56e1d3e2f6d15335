// What modifying an instance and modifying a cluster have in common: the plan, and what RDS would refuse.

import { z } from "zod";
import type { Proposal } from "../../src/core/change.js";
import { OpsError } from "../../src/core/errors.js";
import type { Json } from "../../src/core/json.js";
import type { AwsReader, PlanPorts } from "../../src/core/ports.js";
import {
  type Apply,
  alsoApplied,
  type Effect,
  effectsOf,
  type Modifiable,
  modifyStep,
  nextOpening,
  olderVersion,
  type SettingName,
  type Wanted,
  whenOf,
  windowOf,
  windowsOverlap,
} from "../../state/databases.js";
import { CLUSTER, type Database, DatabaseId, INSTANCE, idOf, majorOf, refOf } from "./parts.js";

/** Beside the settings. */
export const How = z.object({
  databaseId: DatabaseId,
  apply: z.enum(["immediate", "window"]),
  allowMajorVersionUpgrade: z.boolean().optional(),
  manageMasterUser: z.literal(true).optional(),
});
type How = z.infer<typeof How>;

/** Settings that were checked, and what was made of them that the caller has to know. */
export interface Checked {
  readonly wanted: Wanted;
  readonly raised: readonly string[];
}

export function modification(
  found: Database,
  { wanted, raised }: Checked,
  { databaseId, apply, allowMajorVersionUpgrade = false, manageMasterUser }: How,
  { aws, now }: Pick<PlanPorts, "aws" | "now">,
): Proposal {
  const live: Modifiable = found.content;
  const managed = manageMasterUser === true && live.masterUserManaged === undefined;
  const effects = effectsOf(live, wanted, apply);
  if (effects.length === 0 && !managed) {
    throw new OpsError("nothing_to_change", `${databaseId} already is as asked, or RDS has accepted it and it waits.`, {
      details: { pending: live.pending },
    });
  }
  refuseWindow(aws, found, wanted, effects, apply, managed);
  const opensAt = live.maintenanceWindow && nextOpening(live.maintenanceWindow, now);
  const waiting = waitingBeside(live, wanted);
  const step = modifyStep(live, refOf(aws, found.kind === "instance" ? INSTANCE : CLUSTER, databaseId), wanted, apply, {
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
      ...(managed ? ["RDS sets a new master password at once: whoever uses the old one is refused from then on."] : []),
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
}

export const wantedOf = (settings: object): Wanted =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as Wanted;

/** Named values that wait in RDS's queue and that this plan does not ask for. */
function waitingBeside(live: Modifiable, wanted: Wanted): string[] {
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

/** @throws OpsError wrong_state where RDS takes no modification now */
export function refuseStatus(aws: AwsReader, found: Database, asked: readonly string[]): void {
  const { kind, content: live } = found;
  const databaseId = idOf(found);
  const next = [{ tool: "databases.get", arguments: { databaseId, kind, region: aws.region } }];
  const details = { status: live.status };
  const stopped = live.status === "stopped" || live.status === "stopping";
  if (stopped) {
    throw new OpsError(
      "wrong_state",
      `${databaseId} is stopped or stopping, and RDS changes only what runs. Start it first (databases.start), which makes it cost by the hour again; then read it and plan anew.`,
      {
        field: "databaseId",
        details,
        next: [...next, { tool: "databases.start", arguments: { databaseId, kind, region: aws.region } }],
      },
    );
  }
  if (!MODIFIABLE.has(live.status)) {
    throw new OpsError(
      "wrong_state",
      `RDS is at work on ${databaseId} or it is not well, so nothing can be changed now. Read it again later; plan once it is available.`,
      { field: "databaseId", details, next },
    );
  }
  const storage = asked.find((setting) => STORAGE.includes(setting));
  if (live.status === "storage-optimization" && storage !== undefined) {
    throw new OpsError(
      "wrong_state",
      `The storage of ${databaseId} is still being optimised after its last change; RDS takes the next one when that has ended, at the earliest six hours after it.`,
      { field: storage, details, next },
    );
  }
}

/** What RDS refuses of either. */
export function refuseValues(
  { content: live }: Database,
  wanted: Wanted,
  { databaseId, allowMajorVersionUpgrade: mayUpgrade = false }: How,
): void {
  const bad = (code: "unsupported" | "validation_error", field: string, message: string): OpsError =>
    new OpsError(code, message, { field });
  const { storageGib, engineVersion } = wanted;
  const has = live.storage.allocatedGib ?? 0;
  if (typeof storageGib === "number" && storageGib < has) {
    throw bad(
      "unsupported",
      "storageGib",
      `${databaseId} has ${has} GiB, and RDS storage never shrinks. Less needs a new instance into which the data is copied.`,
    );
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
  checkWindows(live, wanted);
}

function checkWindows(live: Modifiable, { backupWindow, maintenanceWindow }: Wanted): void {
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
  found: Database,
  wanted: Wanted,
  effects: readonly Effect[],
  apply: Apply,
  managed: boolean,
) {
  if (apply === "immediate") return;
  const { kind, content: live } = found;
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
      next: [{ tool: "databases.get", arguments: { databaseId: idOf(found), kind, region: aws.region } }],
    },
  );
}
