// How a database is changed, an instance or a cluster: what RDS calls each setting, what waits for the maintenance window, and what
// interrupts. A table for plans, for proof that a change was accepted, and for going back. Pure.

import { accepted } from "../src/core/accepted.js";
import type { ChangeStep, ResourceRef } from "../src/core/change.js";
import type { DatabaseCluster, DatabaseInstance } from "../src/core/content/databases.js";
import { diff, escapePointer, isObject, type Json, type JsonObject, sameJson, valueAt } from "../src/core/json.js";
import { volatileOf } from "../src/core/own-types.js";
import type { Converged } from "./converged.js";
import { isUnder } from "./schema-paths.js";

export type Apply = "immediate" | "window";
export type Modifiable = DatabaseInstance | DatabaseCluster;

/** When RDS carries a setting out: with the window or `immediate`, soon after the call, or as a restart at once. */
type When = "apply" | "soon";

interface Setting<Live extends Modifiable> {
  /** RDS's name in the call, with that of its structure where it stands in one. */
  readonly api: string;
  /** Pointer into the content. */
  readonly path: string;
  readonly when: When | ((now: Json | undefined, wanted: Json) => When);
  /** Why clients notice it; absent: they do not lose their connections. */
  interrupts?(live: Live, wanted: Json): string | undefined;
  /** Of an instance: where that is a member of a cluster, it belongs to the cluster. */
  readonly ofCluster?: true;
  /** Of a cluster: only this kind has it. */
  readonly only?: ClusterKind;
  note?(live: Live, wanted: Json): string | undefined;
}

export type ClusterKind = "aurora" | "multiAz";

/** Instances of a Multi-AZ cluster are changed with it alone; those of Aurora, and of what is built like it, have settings of their own. */
const inMultiAz = (engine: string): boolean => /^(mysql|postgres)/.test(engine);
export const isOfKind = ({ engine, engineMode }: DatabaseCluster, kind: ClusterKind): boolean =>
  kind === "multiAz" ? inMultiAz(engine) : engine.startsWith("aurora") && engineMode !== "serverless";

const restarts = (live: DatabaseInstance): string =>
  live.multiAz ? "a failover to the standby, about a minute" : "the instance restarts and is down meanwhile";
const slower = (): string => "no interruption; I/O may be slower until RDS has finished";

export const SETTINGS = {
  class: { api: "DBInstanceClass", path: "/class", when: "apply", interrupts: restarts },
  engineVersion: {
    api: "EngineVersion",
    path: "/engineVersion",
    when: "apply",
    interrupts: () => "the engine is upgraded and down meanwhile, standbys too; there is no way back but a restore",
    ofCluster: true,
  },
  storageGib: {
    api: "AllocatedStorage",
    path: "/storage/allocatedGib",
    when: "apply",
    ofCluster: true,
    note: () => "no interruption; storage never shrinks again, and takes no other change for six hours",
  },
  maxStorageGib: { api: "MaxAllocatedStorage", path: "/storage/maxAllocatedGib", when: "soon", ofCluster: true },
  storageType: {
    api: "StorageType",
    path: "/storage/type",
    when: "apply",
    ofCluster: true,
    interrupts: (live, wanted) =>
      [live.storage.type, wanted].includes("standard") ? "changes from or to magnetic storage interrupt" : undefined,
    note: slower,
  },
  iops: { api: "Iops", path: "/storage/iops", when: "apply", ofCluster: true, note: slower },
  throughputMibps: {
    api: "StorageThroughput",
    path: "/storage/throughputMibps",
    when: "apply",
    ofCluster: true,
    note: slower,
  },
  multiAz: { api: "MultiAZ", path: "/multiAz", when: "apply", ofCluster: true, note: slower },
  backupRetentionDays: {
    api: "BackupRetentionPeriod",
    path: "/backupRetentionDays",
    // Between two periods it is only kept longer or shorter; switching backups on or off is work on the instance.
    when: (now, wanted) => (now === 0 || wanted === 0 ? "apply" : "soon"),
    ofCluster: true,
    interrupts: (live, wanted) =>
      live.backupRetentionDays === 0 || wanted === 0 ? "switching automated backups on or off interrupts" : undefined,
    note: (_, wanted) =>
      wanted === 0 ? "every automated backup is deleted, and no point in time can be restored any more" : undefined,
  },
  backupWindow: { api: "PreferredBackupWindow", path: "/backupWindow", when: "soon", ofCluster: true },
  maintenanceWindow: {
    api: "PreferredMaintenanceWindow",
    path: "/maintenanceWindow",
    when: "soon",
    note: () => "what waits for the window now waits for the new one; a window that holds the present moment begins it",
  },
  deletionProtection: { api: "DeletionProtection", path: "/deletionProtection", when: "soon", ofCluster: true },
  publiclyAccessible: {
    api: "PubliclyAccessible",
    path: "/publiclyAccessible",
    when: "soon",
    note: () => "its name resolves to another address: open connections end and clients have to connect anew",
  },
  securityGroups: { api: "VpcSecurityGroupIds", path: "/securityGroups", when: "soon", ofCluster: true },
  parameterGroup: {
    api: "DBParameterGroupName",
    path: "/parameterGroup",
    when: "soon",
    note: () => "its parameters wait for a reboot, which RDS does not make by itself",
  },
  autoMinorVersionUpgrade: { api: "AutoMinorVersionUpgrade", path: "/autoMinorVersionUpgrade", when: "soon" },
  caCertificate: {
    api: "CACertificateIdentifier",
    path: "/caCertificate",
    when: "apply",
    interrupts: () => "most engines restart for a new certificate",
  },
  iamAuthentication: {
    api: "EnableIAMDatabaseAuthentication",
    path: "/iamAuthentication",
    when: "apply",
    ofCluster: true,
  },
  copyTagsToSnapshots: { api: "CopyTagsToSnapshot", path: "/copyTagsToSnapshots", when: "soon", ofCluster: true },
} as const satisfies Readonly<Record<string, Setting<DatabaseInstance>>>;

const capacityNote = (): string =>
  "connections stay; parameters that follow the capacity change with a reboot of each member";

/** Of https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Modifying.html and .../UserGuide/modify-multi-az-db-cluster.html. */
export const CLUSTER_SETTINGS = {
  class: {
    api: "DBClusterInstanceClass",
    path: "/class",
    when: "apply",
    only: "multiAz",
    interrupts: () => "every member restarts, and the writer's place goes to another one",
  },
  engineVersion: {
    api: "EngineVersion",
    path: "/engineVersion",
    when: "apply",
    interrupts: () => "every member is upgraded and the cluster down meanwhile; there is no way back but a restore",
  },
  storageGib: {
    api: "AllocatedStorage",
    path: "/storage/allocatedGib",
    when: "apply",
    only: "multiAz",
    note: () => "no interruption; storage never shrinks again",
  },
  storageType: {
    api: "StorageType",
    path: "/storage/type",
    when: "apply",
    note: (live, wanted) =>
      isOfKind(live, "multiAz")
        ? slower()
        : `members whose class has NVMe storage may restart, others go on; ${wanted === "aurora-iopt1" ? "instances and storage cost more from then on, and I/O nothing; RDS takes this once in 30 days" : "I/O is billed from then on, and the way back is open once in 30 days"}`,
  },
  iops: { api: "Iops", path: "/storage/iops", when: "apply", only: "multiAz", note: slower },
  backupRetentionDays: {
    api: "BackupRetentionPeriod",
    path: "/backupRetentionDays",
    when: "soon",
    note: (live, wanted) =>
      Number(wanted) < live.backupRetentionDays
        ? "automated backups that are older go, and no point before them can be restored any more"
        : undefined,
  },
  backupWindow: { api: "PreferredBackupWindow", path: "/backupWindow", when: "soon" },
  maintenanceWindow: {
    api: "PreferredMaintenanceWindow",
    path: "/maintenanceWindow",
    when: "soon",
    note: () =>
      "what waits of the cluster now waits for the new one; a window that holds the present moment begins it; members of Aurora keep windows of their own",
  },
  deletionProtection: { api: "DeletionProtection", path: "/deletionProtection", when: "soon" },
  securityGroups: { api: "VpcSecurityGroupIds", path: "/securityGroups", when: "soon" },
  parameterGroup: {
    api: "DBClusterParameterGroupName",
    path: "/parameterGroup",
    when: "soon",
    note: () =>
      "some of its parameters change in every member at once, the others wait for a reboot, which RDS does not make by itself",
  },
  autoMinorVersionUpgrade: { api: "AutoMinorVersionUpgrade", path: "/autoMinorVersionUpgrade", when: "soon" },
  iamAuthentication: { api: "EnableIAMDatabaseAuthentication", path: "/iamAuthentication", when: "apply" },
  copyTagsToSnapshots: { api: "CopyTagsToSnapshot", path: "/copyTagsToSnapshots", when: "soon" },
  serverlessMinAcus: {
    api: "ServerlessV2ScalingConfiguration/MinCapacity",
    path: "/serverless/minAcus",
    when: "soon",
    only: "aurora",
    note: (_, wanted) =>
      wanted === 0
        ? `${capacityNote()}; idle members are paused, and the next connection waits until they run again`
        : capacityNote(),
  },
  serverlessMaxAcus: {
    api: "ServerlessV2ScalingConfiguration/MaxCapacity",
    path: "/serverless/maxAcus",
    when: "soon",
    only: "aurora",
    note: capacityNote,
  },
} as const satisfies Readonly<Record<string, Setting<DatabaseCluster>>>;

export type SettingName = keyof typeof SETTINGS | keyof typeof CLUSTER_SETTINGS;
export type Wanted = { readonly [N in SettingName]?: Json };

interface Kind {
  readonly operation: "ModifyDBInstance" | "ModifyDBCluster";
  readonly id: string;
  readonly settings: Readonly<Partial<Record<SettingName, Setting<Modifiable>>>>;
}
const INSTANCE: Kind = { operation: "ModifyDBInstance", id: "DBInstanceIdentifier", settings: SETTINGS };
const CLUSTER: Kind = { operation: "ModifyDBCluster", id: "DBClusterIdentifier", settings: CLUSTER_SETTINGS };

const isInstance = (live: Modifiable): live is DatabaseInstance => "instanceId" in live;
const kindOf = (live: Modifiable): Kind => (isInstance(live) ? INSTANCE : CLUSTER);
const settingOf = (live: Modifiable, name: SettingName): Setting<Modifiable> => kindOf(live).settings[name]!;

/** What a cluster of another kind has, and this one has not. */
export const notOfThisKind = (live: DatabaseCluster, asked: readonly SettingName[]): SettingName[] =>
  asked.filter((name) => {
    const { only } = settingOf(live, name);
    return only !== undefined && !isOfKind(live, only);
  });

const namesOf = (live: Modifiable): SettingName[] => {
  const names = Object.keys(kindOf(live).settings) as SettingName[];
  const without = isInstance(live) ? [] : notOfThisKind(live, names);
  return names.filter((name) => !without.includes(name));
};

const nested = (path: string, value: Json): JsonObject => {
  const [head = "", ...rest] = path.slice(1).split("/");
  return { [head]: rest.length === 0 ? value : nested(`/${rest.join("/")}`, value) };
};

const merged = (a: JsonObject, b: JsonObject): JsonObject => ({
  ...a,
  ...Object.fromEntries(
    Object.entries(b).map(([key, value]) => {
      const was = a[key];
      return [key, isObject(was) && isObject(value) ? merged(was, value) : value];
    }),
  ),
});

const pendingName = (path: string): string => path.slice(1).replaceAll("/", ".");

const asListed = (value: Json | undefined): Json | undefined => (Array.isArray(value) ? [...value].sort() : value);
const same = (a: Json | undefined, b: Json | undefined): boolean => sameJson(asListed(a) ?? null, asListed(b) ?? null);
const at = (content: Modifiable, path: string): Json | undefined => valueAt(content as unknown as JsonObject, path);

/** One setting as a plan shows it. */
export interface Effect {
  readonly setting: string;
  readonly from: Json;
  readonly to: Json;
  readonly takesEffect: "at once" | "soon after the call" | "in the maintenance window";
  readonly interrupts: boolean;
  readonly because?: string;
}

export const whenOf = (name: SettingName, live: Modifiable, wanted: Json): When => {
  const { when, path } = settingOf(live, name);
  return typeof when === "function" ? when(at(live, path), wanted) : when;
};

/** The settings of `wanted` that differ from what is or is already on its way. */
export const differing = (live: Modifiable, wanted: Wanted): SettingName[] =>
  namesOf(live).filter((name) => {
    const value = wanted[name];
    return value !== undefined && !same(at(accepted(live), settingOf(live, name).path), value);
  });

/** The settings that belong to the cluster, where the instance is a member of one. */
export const ofCluster = (live: DatabaseInstance, asked: readonly SettingName[]): SettingName[] =>
  live.clusterId === undefined ? [] : asked.filter((name) => inMultiAz(live.engine) || settingOf(live, name).ofCluster);

export function effectsOf(live: Modifiable, wanted: Wanted, apply: Apply): Effect[] {
  return differing(live, wanted).map((name): Effect => {
    const setting = settingOf(live, name);
    const to = wanted[name]!;
    const cause = setting.interrupts?.(live, to);
    const because = [cause, setting.note?.(live, to)].filter((one) => one !== undefined).join("; ");
    return {
      setting: name,
      from: at(live, setting.path) ?? null,
      to,
      takesEffect:
        whenOf(name, live, to) === "soon"
          ? "soon after the call"
          : apply === "window"
            ? "in the maintenance window"
            : "at once",
      interrupts: cause !== undefined,
      ...(because && { because }),
    };
  });
}

/** Below so many GiB RDS sets IOPS and throughput of gp3 itself, and refuses to be told them. */
const GP3_FROM: readonly (readonly [engine: RegExp, gib: number])[] = [
  [/^(mysql|mariadb|postgres)/, 400],
  [/^oracle/, 200],
  [/^db2/, 100],
];

/** What RDS wants to be told again where a part of provisioned storage changes: size and IOPS go together. */
function toldAgain(live: Modifiable, asked: readonly SettingName[]): SettingName[] {
  const parts = isInstance(live) ? provisionedWith(live, asked) : asked.flatMap((name) => TOGETHER[name] ?? []);
  return [...new Set(parts)].filter(
    (name) => !asked.includes(name) && at(accepted(live), settingOf(live, name).path) !== undefined,
  );
}

/** Of clusters. */
const TOGETHER: Readonly<Partial<Record<SettingName, readonly SettingName[]>>> = {
  storageGib: ["iops"],
  iops: ["storageGib"],
  storageType: ["iops"],
  serverlessMinAcus: ["serverlessMaxAcus"],
  serverlessMaxAcus: ["serverlessMinAcus"],
};

function provisionedWith(live: DatabaseInstance, asked: readonly SettingName[]): readonly SettingName[] {
  if (!asked.includes("storageGib") && !asked.includes("iops")) return [];
  const { type, allocatedGib = 0 } = accepted(live).storage;
  const [, least] = GP3_FROM.find(([engine]) => engine.test(live.engine)) ?? [undefined, 0];
  const provisioned = type === "io1" || type === "io2" || (type === "gp3" && allocatedGib >= least);
  return provisioned ? ["storageGib", "iops", ...(type === "gp3" ? ["throughputMibps" as const] : [])] : [];
}

/** One ModifyDBInstance or ModifyDBCluster. `managed`: RDS takes the master user's password into Secrets Manager. */
export function modifyStep(
  live: Modifiable,
  ref: ResourceRef,
  wanted: Wanted,
  apply: Apply,
  more: { readonly allowMajorVersionUpgrade?: boolean; readonly managed?: boolean } = {},
): ChangeStep {
  const asked = differing(live, wanted);
  const values = asked.map((name) => [settingOf(live, name), name, wanted[name]!] as const);
  const desired = values.map(([{ path }, , value]) => nested(path, value)).reduce(merged, {});
  const again = toldAgain(live, asked).map(
    (name) => [settingOf(live, name), at(accepted(live), settingOf(live, name).path)!] as const,
  );
  const waiting = values.filter(([, name, value]) => apply === "window" && whenOf(name, live, value) === "apply");
  const now = values.filter((one) => !waiting.includes(one));
  // Immediately is everything: also what somebody queued for the window before.
  const base = apply === "immediate" ? accepted(live) : live;
  const pending =
    apply === "immediate"
      ? {}
      : Object.fromEntries([
          ...Object.entries(live.pending).filter(([key]) => !waiting.some(([{ path }]) => pendingName(path) === key)),
          ...waiting
            .filter(([{ path }, , value]) => !same(at(live, path), value))
            .map(([{ path }, , value]) => [pendingName(path), value]),
        ]);
  const after = now.map(([{ path }, , value]) => nested(path, value)).reduce(merged, base as unknown as JsonObject);
  const told = [
    ...values.map(([{ api }, , value]) => [api, value] as const),
    ...again.map(([{ api }, value]) => [api, value] as const),
  ]
    .map(([api, value]) => nested(`/${api}`, value))
    .reduce(merged, {});
  return {
    service: "rds",
    operation: kindOf(live).operation,
    input: {
      [kindOf(live).id]: ref.id,
      ApplyImmediately: apply === "immediate",
      ...told,
      ...(more.allowMajorVersionUpgrade && { AllowMajorVersionUpgrade: true }),
      ...(more.managed && { ManageMasterUserPassword: true }),
    },
    ref,
    reader: "service",
    kind: "update",
    before: live as unknown as JsonObject,
    after: { ...after, pending },
    // What is queued is part of what was judged: applied immediately it goes along, whoever asked for it.
    touches: [
      ...new Set([
        ...[...values, ...again].map(([{ path }]) => path),
        "/pending",
        ...(more.managed ? ["/masterUserManaged"] : []),
      ]),
    ],
    desired,
  };
}

/** Whether RDS shows that it has carried out or accepted what a modification asks for. */
export function modified({ input, desired }: ChangeStep, live: JsonObject): boolean {
  const shown = accepted(live as unknown as Modifiable) as unknown as JsonObject;
  const managed = input.ManageMasterUserPassword !== true || isObject(live.masterUserManaged);
  return managed && holdsAll(shown, desired ?? {});
}

const holdsAll = (live: Json | undefined, wanted: Json): boolean =>
  isObject(wanted)
    ? isObject(live) && Object.entries(wanted).every(([key, value]) => holdsAll(live[key], value))
    : same(live, wanted);

type Tagged = { readonly arn: string; readonly tags: Readonly<Record<string, string>> };

/** Sets and removes tags of anything of RDS. */
export function tagSteps(live: JsonObject & Tagged, target: Pick<Tagged, "tags">, ref: ResourceRef): ChangeStep[] {
  const ours = (tags: Tagged["tags"]) => Object.entries(tags).filter(([key]) => !key.startsWith("aws:"));
  const set = ours(target.tags).filter(([key, value]) => live.tags[key] !== value);
  const gone = ours(live.tags).filter(([key]) => !Object.hasOwn(target.tags, key));
  const steps: ChangeStep[] = [];
  let current: JsonObject = live;
  const put = (
    operation: string,
    input: JsonObject,
    keys: readonly string[],
    tags: JsonObject,
    desired?: JsonObject,
  ) => {
    const after = { ...current, tags };
    steps.push({
      service: "rds",
      operation,
      input: { ResourceName: live.arn, ...input },
      ref,
      reader: "service",
      kind: "update",
      before: current,
      after,
      touches: keys.map((key) => `/tags/${escapePointer(key)}`),
      ...(desired && { desired }),
    });
    current = after;
  };
  const keysOf = (entries: readonly (readonly [string, string])[]) => entries.map(([key]) => key);
  if (set.length > 0) {
    const tags = { ...live.tags, ...Object.fromEntries(set) };
    const Tags = set.map(([Key, Value]) => ({ Key, Value }));
    put("AddTagsToResource", { Tags }, keysOf(set), tags, { tags: Object.fromEntries(set) });
  }
  if (gone.length > 0) {
    const kept = Object.entries(current.tags as JsonObject).filter(([key]) => !keysOf(gone).includes(key));
    put("RemoveTagsFromResource", { TagKeys: keysOf(gone) }, keysOf(gone), Object.fromEntries(kept));
  }
  return steps;
}

/** Higher is newer; different parts that are no numbers end the comparison. */
export function olderVersion(a: string, b: string): boolean {
  const [left, right] = [a, b].map((text) => text.split(/[.-]/));
  for (const [index, part] of left!.entries()) {
    const other = right![index];
    if (part === other) continue;
    const [mine, theirs] = [Number(part), Number(other ?? Number.NaN)];
    if (Number.isNaN(mine) || Number.isNaN(theirs)) return false;
    if (mine !== theirs) return mine < theirs;
  }
  return false;
}

/** Why RDS has no way back to a value, or undefined where it has. */
function noWayBack(name: SettingName, live: Modifiable, target: Json): string | undefined {
  if (name === "storageGib" && typeof target === "number" && target < (live.storage.allocatedGib ?? 0)) {
    return "storage never shrinks: only a new instance can have less";
  }
  if (name === "engineVersion" && olderVersion(String(target), live.engineVersion ?? "")) {
    return "RDS does not downgrade an engine: restore a snapshot from before the upgrade";
  }
  return isInstance(live) && ofCluster(live, [name]).length > 0
    ? "it belongs to the cluster, which is changed by itself"
    : undefined;
}

/** The steps back to an earlier content, as far as RDS allows; the rest is named. */
export function convergeDatabase(ref: ResourceRef, live: JsonObject, target: JsonObject): Converged {
  const [is, then] = [live, target] as unknown as [Modifiable, Modifiable];
  const remaining: Converged["remaining"][number][] = [];
  const wanted: Partial<Record<SettingName, Json>> = {};
  const goal = accepted(then);
  for (const name of namesOf(is)) {
    const { path } = settingOf(is, name);
    const [now, value] = [at(accepted(is), path), at(goal, path)];
    if (same(now, value)) continue;
    const because = value === undefined ? "RDS cannot take the value away once it was set" : noWayBack(name, is, value);
    if (because === undefined) wanted[name] = value!;
    else {
      const kind = value === undefined ? "REMOVE" : now === undefined ? "ADD" : "NOT_EQUAL";
      remaining.push({
        path,
        kind,
        ...(now !== undefined && { before: now }),
        ...(value !== undefined && { after: value }),
        because,
      });
    }
  }
  const named = [...namesOf(is).map((name) => settingOf(is, name).path), ...volatileOf(ref.type, "service"), "/tags"];
  for (const difference of diff(accepted(is), goal)) {
    if (!isUnder(named, difference.path))
      remaining.push({ ...difference, because: "this version has no call that changes it back" });
  }
  const asked = differing(is, wanted);
  // What only waits is withdrawn without carrying anything else out that waits.
  const onlyQueued = asked.every((name) => same(at(is, settingOf(is, name).path), wanted[name]));
  const apply: Apply = onlyQueued ? "window" : "immediate";
  const steps = asked.length > 0 ? [modifyStep(is, ref, wanted, apply)] : [];
  const current = (steps[0]?.after ?? live) as JsonObject & Tagged;
  const others = Object.keys(is.pending).filter(
    (key) => !asked.some((name) => pendingName(settingOf(is, name).path) === key),
  );
  return {
    steps: [...steps, ...tagSteps(current, then, ref)],
    remaining,
    warnings: [
      ...effectsOf(is, wanted, apply).flatMap(({ setting, interrupts, because }) =>
        interrupts ? [`${setting} interrupts at once: ${because}.`] : [],
      ),
      ...(apply === "immediate" && others.length > 0 ? [alsoApplied(others)] : []),
    ],
  };
}

/** RDS applies the whole queue when it is told to apply anything immediately. */
export const alsoApplied = (waiting: readonly string[]): string =>
  `RDS applies everything that waits along with it: ${waiting.join(", ")}. Whoever queued that for the window is overruled.`;

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const WEEK = 7 * 24 * 60;

/** Minutes into a week (daily: into a day) at which a window opens and closes; null for a text that is none. */
export function windowOf(
  text: string,
): { readonly from: number; readonly minutes: number; readonly daily: boolean } | null {
  const weekly = /^([a-z]{3}):([01]\d|2[0-3]):([0-5]\d)-([a-z]{3}):([01]\d|2[0-3]):([0-5]\d)$/.exec(text);
  const daily = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$/.exec(text);
  const clock = (hour: string, minute: string) => Number(hour) * 60 + Number(minute);
  if (daily) {
    const [from, to] = [clock(daily[1]!, daily[2]!), clock(daily[3]!, daily[4]!)];
    return { from, minutes: (to - from + 24 * 60) % (24 * 60), daily: true };
  }
  if (!weekly || !DAYS.includes(weekly[1]!) || !DAYS.includes(weekly[4]!)) return null;
  const minute = (day: string, hour: string, min: string) => DAYS.indexOf(day) * 24 * 60 + clock(hour, min);
  const [from, to] = [minute(weekly[1]!, weekly[2]!, weekly[3]!), minute(weekly[4]!, weekly[5]!, weekly[6]!)];
  return { from, minutes: (to - from + WEEK) % WEEK, daily: false };
}

/** Whether a daily backup window and a weekly maintenance window overlap, which RDS refuses. */
export function windowsOverlap(backup: string, maintenance: string): boolean {
  const [daily, weekly] = [windowOf(backup), windowOf(maintenance)];
  if (!daily || !weekly) return false;
  return DAYS.some((_, day) => {
    const from = day * 24 * 60 + daily.from;
    const [ahead, behind] = [(weekly.from - from + WEEK) % WEEK, (from - weekly.from + WEEK) % WEEK];
    return ahead < daily.minutes || behind < weekly.minutes;
  });
}

/** When a weekly window opens next; where it is open now, now. */
export function nextOpening(text: string, now: Date): string | undefined {
  const weekly = windowOf(text);
  if (!weekly || weekly.daily) return undefined;
  const sunday = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() - now.getUTCDay());
  const into = (now.getTime() - sunday) / 60_000;
  const open = (into - weekly.from + WEEK) % WEEK < weekly.minutes;
  const wait = open ? 0 : (weekly.from - into + WEEK) % WEEK;
  return new Date(now.getTime() + wait * 60_000).toISOString();
}
