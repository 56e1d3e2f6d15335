// RDS databases, instances and clusters in one view: what is, what waits, what interrupts; and copies of them.

import { z } from "zod";
import { type ChangeStep, type ResourceRef, ridOf, type Seen } from "../src/core/change.js";
import {
  DatabaseCluster,
  DatabaseInstance,
  type DatabaseSnapshot,
  Maintenance,
} from "../src/core/content/databases.js";
import type { Contents } from "../src/core/content.js";
import { decodeCursor, encodeCursor } from "../src/core/cursor.js";
import { OpsError } from "../src/core/errors.js";
import { joined, type Part } from "../src/core/joined.js";
import type { Json, JsonObject } from "../src/core/json.js";
import { asKnown, type Known, unknownOf } from "../src/core/known.js";
import type { AwsReader, Mode } from "../src/core/ports.js";
import { OPERATION_MARK } from "../src/core/tags.js";
import { domain, plan, read } from "../src/core/tool.js";
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
} from "../state/databases.js";

const INSTANCE = "AWS::RDS::DBInstance";
const CLUSTER = "AWS::RDS::DBCluster";
type Type = typeof INSTANCE | typeof CLUSTER | "AWS::RDS::DBSnapshot" | "AWS::RDS::DBClusterSnapshot";

/** RDS keeps names in lower case. */
const name = (most: number) =>
  z
    .string()
    .max(most)
    .toLowerCase()
    .regex(/^[a-z](-?[a-z0-9])*$/, "must begin with a letter, then letters, digits and single hyphens");
const DatabaseId = name(63);
const Kind = z.enum(["instance", "cluster"]);
type Kind = z.infer<typeof Kind>;

const refOf = (aws: AwsReader, type: Type, id: string): ResourceRef => ({
  account: aws.account,
  region: aws.region,
  type,
  id,
});

const seenOf = (aws: AwsReader, { kind, content }: Database, shown?: readonly string[]): Seen => ({
  ref: refOf(aws, kind === "instance" ? INSTANCE : CLUSTER, idOf({ kind, content })),
  reader: "service",
  content: content as unknown as JsonObject,
  ...(shown && { shown }),
});

type Database =
  | { readonly kind: "instance"; readonly content: DatabaseInstance }
  | { readonly kind: "cluster"; readonly content: DatabaseCluster };

const idOf = (one: Pick<Database, "kind" | "content">): string =>
  one.kind === "instance" ? (one.content as DatabaseInstance).instanceId : (one.content as DatabaseCluster).clusterId;

/** What somebody should know of a database although nobody asked: names only, the values come with `databases.get`. */
function attentionOf({ kind, content }: Database, maintenance: readonly Maintenance[]): string[] {
  const waiting = Object.keys(content.pending).filter((key) => /^[\w.]+$/.test(key));
  const actions = maintenance.map(({ action }) => (/^[\w-]{1,64}$/.test(action) ? action : "another"));
  const parameters =
    kind === "instance" ? [content.parameterStatus] : content.members.map(({ parameterStatus }) => parameterStatus);
  return [
    ...(waiting.length > 0 ? [`pending: ${waiting.join(", ")}`] : []),
    ...(actions.length > 0 ? [`maintenance: ${actions.join(", ")}`] : []),
    ...(parameters.includes("pending-reboot") ? ["parameters wait for a reboot"] : []),
    ...(kind === "instance" && content.publiclyAccessible ? ["publicly accessible"] : []),
    ...(content.deletionProtection || (kind === "instance" && content.clusterId) ? [] : ["no deletion protection"]),
  ];
}

/** Announced maintenance stands beside a database: where it could not be read, that is said, and the database is shown. */
type Announced = Known<ReadonlyMap<string, readonly Maintenance[]>>;
const announcedFor = (announced: Announced, { content }: Database): readonly Maintenance[] =>
  announced.known ? (announced.value.get(content.arn) ?? []) : [];
const unknownIn = (announced: Announced): JsonObject =>
  announced.known ? {} : { unknown: [{ ...unknownOf("maintenance", announced) }] };

/** What `fields` adds to a row: members of the contents. */
const FIELDS = {
  endpoint: ["endpoint", "readerEndpoint", "port"],
  storage: ["storage"],
  network: ["vpcId", "subnetGroup", "securityGroups", "publiclyAccessible", "availabilityZone"],
  backups: ["backupRetentionDays", "backupWindow", "copyTagsToSnapshots"],
  maintenance: ["maintenanceWindow", "autoMinorVersionUpgrade", "caCertificate"],
  parameters: ["parameterGroup", "parameterStatus", "optionGroup"],
  protection: ["deletionProtection", "iamAuthentication", "masterUserManaged"],
  pending: ["pending"],
  members: ["members", "replicaOf", "replicas"],
  tags: ["tags"],
} as const;
type Field = keyof typeof FIELDS;

/** What every row shows. */
const ALWAYS = ["status", "engine", "engineVersion", "class", "multiAz", "clusterId"] as const;

const members = (content: object, names: readonly string[]): JsonObject =>
  Object.fromEntries(
    names.flatMap((member) => {
      const value = (content as JsonObject)[member];
      return value === undefined ? [] : [[member, value]];
    }),
  );

const list = read({
  title: "List databases",
  description:
    "RDS instances and clusters (Aurora too) with status, engine, class and what needs attention: pending changes, announced maintenance, parameters that wait for a reboot. `fields` adds more; one database in full: databases.get.",
  scope: "region",
  everywhere: { rows: "databases", sum: ["count"] },
  foreignText: true,
  input: z.object({
    kind: Kind.optional(),
    databaseIds: z.array(DatabaseId).min(1).max(100).optional(),
    clusterId: DatabaseId.optional().describe("This cluster and its members"),
    engine: z.string().optional(),
    fields: z.array(z.enum(Object.keys(FIELDS) as [Field, ...Field[]])).optional(),
    limit: z.number().int().min(5).max(100).default(25),
    cursor: z.string().optional(),
  }),
  output: z.object({
    count: z.number(),
    unknown: z.array(z.object({})).optional(),
    databases: z.array(z.looseObject({ databaseId: z.string(), kind: Kind, status: z.string(), revision: z.string() })),
    nextCursor: z.string().optional(),
  }),
  async run({ cursor, limit, fields = [], ...query }, { aws, now, revision }) {
    const scope = { ...query, account: aws.account, region: aws.region };
    const { clusterId, databaseIds, engine } = query;
    // A cluster is asked for by one filter, whichever argument names it.
    const clusterIds = clusterId && databaseIds ? databaseIds.filter((id) => id === clusterId) : databaseIds;
    const filters = (ids: Record<string, readonly string[] | undefined>): Record<string, readonly string[]> =>
      Object.fromEntries(
        Object.entries({ ...ids, engine: engine === undefined ? undefined : [engine] }).flatMap(([key, values]) =>
          values ? [[key, values]] : [],
        ),
      );
    const ofClusters = filters({ "db-cluster-id": clusterIds ?? (clusterId ? [clusterId] : undefined) });
    const ofInstances = filters({
      "db-instance-id": databaseIds,
      "db-cluster-id": clusterId ? [clusterId] : undefined,
    });
    const clusters: Part<Database> = {
      idOf,
      async read(page) {
        const { items, ...rest } = await aws.list(CLUSTER, { ...page, filters: ofClusters });
        return { ...rest, items: items.map((content) => ({ kind: "cluster", content })) };
      },
    };
    const instances: Part<Database> = {
      idOf,
      async read(page) {
        const { items, ...rest } = await aws.list(INSTANCE, { ...page, filters: ofInstances });
        return { ...rest, items: items.map((content) => ({ kind: "instance", content })) };
      },
    };
    const noCluster = query.kind === "instance" || clusterIds?.length === 0;
    const parts = [...(noCluster ? [] : [clusters]), ...(query.kind === "cluster" ? [] : [instances])];
    const from = cursor ? decodeCursor(cursor, scope, now) : undefined;
    const [page, announced] = await Promise.all([
      joined(parts, limit, from),
      asKnown(() => aws.databases.maintenance()),
    ]);
    const more = fields.flatMap((field) => FIELDS[field]);
    const shown = [...ALWAYS, ...more].map((member) => `/${member}`);
    const seen = page.items.map((one) =>
      seenOf(aws, one, [...shown, one.kind === "instance" ? "/instanceId" : "/clusterId"]),
    );
    return {
      data: {
        count: page.items.length,
        databases: page.items.map((one, index) => {
          const maintenance = announcedFor(announced, one);
          const attention = attentionOf(one, maintenance);
          return {
            databaseId: idOf(one),
            kind: one.kind,
            ...members(
              one.content,
              one.kind === "cluster" ? ALWAYS.filter((member) => member !== "clusterId") : ALWAYS,
            ),
            ...members(one.content, more),
            ...(fields.includes("maintenance") && maintenance.length > 0
              ? { maintenance: maintenance as unknown as Json }
              : {}),
            ...(attention.length > 0 ? { attention } : {}),
            revision: revision(seen[index]!),
          };
        }),
        ...unknownIn(announced),
        ...(page.next ? { nextCursor: encodeCursor(page.next, scope, now) } : {}),
      },
      seen,
      complete: !page.next && !cursor,
    };
  },
});

const get = read({
  title: "Get a database",
  description:
    "One RDS instance or cluster in full: storage, network, endpoints, windows, pending changes, announced maintenance, protection. Read it before a change.",
  scope: "region",
  foreignText: true,
  input: z.object({
    databaseId: DatabaseId.describe("An instance or a cluster"),
    kind: Kind.optional().describe("Where both have this name"),
  }),
  output: z.object({
    kind: Kind,
    revision: z.string(),
    instance: DatabaseInstance.optional(),
    cluster: DatabaseCluster.optional(),
    maintenance: z.array(Maintenance).optional(),
    unknown: z.array(z.object({})).optional(),
    attention: z.array(z.string()),
    maintenanceWindowOpensAt: z.string().optional(),
  }),
  async run({ databaseId, kind }, { aws, now, revision }) {
    const found = await existing(aws, databaseId, kind);
    const announced = await asKnown(() => aws.databases.maintenance(found.content.arn));
    const maintenance = announcedFor(announced, found);
    const seen = seenOf(aws, found);
    const opens = found.content.maintenanceWindow && nextOpening(found.content.maintenanceWindow, now);
    return {
      data: {
        kind: found.kind,
        revision: revision(seen),
        [found.kind]: found.content as unknown as Json,
        ...(announced.known && { maintenance: maintenance as unknown as Json }),
        ...unknownIn(announced),
        attention: attentionOf(found, maintenance),
        ...(opens ? { maintenanceWindowOpensAt: opens } : {}),
      },
      seen: [seen],
    };
  },
});

const GroupIds = z
  .array(z.string().regex(/^sg-[0-9a-z]{3,17}$/, "must look like sg-0123456789abcdef0"))
  .min(1)
  .max(5);
const Class = z.string().regex(/^db\.[a-z0-9-]+\.[a-z0-9-]+$/, "must look like db.r6g.large");
const ResourceName = z.string().regex(/^[A-Za-z][A-Za-z0-9._-]{0,254}$/, "must begin with a letter");

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

const modifyInstance = plan({
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
    refuseWindow(live, wanted, effects, apply, managed);
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
      `${live.instanceId} is stopped, and RDS changes only what runs. It has to be started first, outside this server; then read it and plan again.`,
      { field: "databaseId", details, next },
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
    { field: "apply" },
  );
}

/** The part of a version whose change RDS calls a major upgrade. */
function majorOf(engine: string, version: string): string {
  const [first = "", second = ""] = version.split(".");
  const two = /mysql|mariadb|oracle|sqlserver/.test(engine) || Number(first) < 10;
  return two ? `${first}.${second}` : first;
}

const MARK = { Key: OPERATION_MARK, Value: "" };

/** Tags of what is made: those given first, the server's own, and the mark by which it is found again. */
const tagList = (given: Readonly<Record<string, string>>, { defaultTags }: Mode): JsonObject[] => [
  ...Object.entries({ ...defaultTags, ...given })
    .filter(([key]) => !key.startsWith("aws:") && key !== OPERATION_MARK)
    .map(([Key, Value]) => ({ Key, Value })),
  ...(defaultTags ? [MARK] : []),
];

const createSnapshot = plan({
  title: "Plan a database snapshot",
  description:
    "Plan a manual snapshot of an RDS instance or cluster; it is kept until somebody deletes it, and followed until it is complete.",
  scope: "region",
  basedOn: "none",
  input: z.object({
    databaseId: DatabaseId,
    kind: Kind.optional().describe("Where an instance and a cluster have this name"),
    snapshotId: name(255).optional().describe("Default: the database's name and the time"),
  }),
  async propose({ databaseId, kind, snapshotId: given }, { aws, mode, now }) {
    const found = await existing(aws, databaseId, kind);
    const next = [{ tool: "databases.get", arguments: { databaseId, kind: found.kind, region: aws.region } }];
    if (found.kind === "instance" && found.content.clusterId !== undefined) {
      throw new OpsError(
        "unsupported",
        `${databaseId} is a member of a cluster, which holds the data. Plan the snapshot of the cluster.`,
        {
          field: "databaseId",
          next: [
            { tool: "databases.createSnapshot", arguments: { databaseId: found.content.clusterId, kind: "cluster" } },
          ],
        },
      );
    }
    if (found.content.status !== "available" && found.content.status !== "storage-optimization") {
      throw new OpsError(
        "wrong_state",
        `RDS takes snapshots of what is available, and ${databaseId} is not. Read it again later, or use its newest automated snapshot.`,
        { field: "databaseId", details: { status: found.content.status }, next },
      );
    }
    const snapshotId = given ?? `${databaseId}-${now.toISOString().slice(0, 19).replace(/\D/g, "")}`;
    const type = found.kind === "instance" ? "AWS::RDS::DBSnapshot" : "AWS::RDS::DBClusterSnapshot";
    if (await aws.get(type, snapshotId)) {
      throw new OpsError("already_exists", `There is a snapshot ${snapshotId} already. Choose another name.`, {
        field: "snapshotId",
        next: [{ tool: "snapshots.list", arguments: { snapshotId, region: aws.region } }],
      });
    }
    const cluster = found.kind === "cluster";
    const desired = { snapshotId, [cluster ? "clusterId" : "instanceId"]: databaseId };
    const step: ChangeStep = {
      service: "rds",
      operation: cluster ? "CreateDBClusterSnapshot" : "CreateDBSnapshot",
      input: {
        [cluster ? "DBClusterSnapshotIdentifier" : "DBSnapshotIdentifier"]: snapshotId,
        [cluster ? "DBClusterIdentifier" : "DBInstanceIdentifier"]: databaseId,
        Tags: tagList(found.content.copyTagsToSnapshots ? found.content.tags : {}, mode),
      },
      ref: refOf(aws, type, snapshotId),
      reader: "service",
      kind: "create",
      before: null,
      after: desired,
      touches: [""],
      desired,
    };
    // SQL Server is copied from the primary, standby or not.
    const pauses =
      found.kind === "instance" && (!found.content.multiAz || found.content.engine.startsWith("sqlserver"));
    return {
      summary: `Take snapshot ${snapshotId} of ${found.kind} ${databaseId}`,
      steps: [step],
      warnings: pauses ? ["I/O of this database may pause for some seconds while it begins."] : [],
    };
  },
});

const Carried = z.object({
  class: Class.optional(),
  subnetGroup: ResourceName.optional(),
  securityGroups: GroupIds.optional(),
  parameterGroup: ResourceName.optional(),
  multiAz: z.boolean().optional(),
  backupRetentionDays: z.number().int().min(1).max(35).optional(),
  iamAuthentication: z.boolean().optional(),
});

const restoreSnapshot = plan({
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

async function existing(aws: AwsReader, databaseId: string, kind?: Kind): Promise<Database> {
  const one = <T extends keyof Contents>(type: T, asked: boolean): Promise<Contents[T] | null> =>
    asked ? aws.get(type, databaseId) : Promise.resolve(null);
  const [instance, cluster] = await Promise.all([one(INSTANCE, kind !== "cluster"), one(CLUSTER, kind !== "instance")]);
  if (instance && cluster) {
    throw new OpsError("validation_error", `An instance and a cluster are called ${databaseId}. Say which is meant.`, {
      field: "kind",
    });
  }
  if (instance) return { kind: "instance", content: instance };
  if (cluster) return { kind: "cluster", content: cluster };
  throw notFound(aws, databaseId, kind ?? "database");
}

async function existingInstance(aws: AwsReader, databaseId: string): Promise<DatabaseInstance> {
  const instance = await aws.get(INSTANCE, databaseId);
  if (instance) return instance;
  const cluster = await aws.get(CLUSTER, databaseId);
  if (cluster) {
    throw new OpsError(
      "unsupported",
      `${databaseId} is a cluster; this tool changes instances, also the members of one.`,
      {
        field: "databaseId",
        details: { members: cluster.members.map(({ instanceId }) => instanceId) },
        next: [{ tool: "databases.get", arguments: { databaseId, kind: "cluster", region: aws.region } }],
      },
    );
  }
  throw notFound(aws, databaseId, "instance");
}

const notFound = (aws: AwsReader, databaseId: string, what: string): OpsError =>
  new OpsError("not_found", `There is no ${what} ${databaseId} in account ${aws.account}, ${aws.region}.`, {
    field: "databaseId",
    details: { rid: ridOf(refOf(aws, what === "cluster" ? CLUSTER : INSTANCE, databaseId)) },
    next: [{ tool: "databases.list", arguments: { region: aws.region } }],
  });

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

export const databases = domain("databases", { list, get, modifyInstance, createSnapshot, restoreSnapshot }, [
  "list",
  "modifyInstance",
]);
