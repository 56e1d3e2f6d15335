// What a modification of a database has to say besides what was asked.

import { describe, expect, it } from "vitest";
import type { DatabaseCluster, DatabaseInstance } from "../../src/core/content/databases.js";
import { acceptedOf } from "../../src/core/own-types.js";
import {
  convergeDatabase,
  effectsOf,
  modified,
  modifyStep,
  notOfThisKind,
  olderVersion,
  SETTINGS,
  type Wanted,
} from "../../state/databases.js";
import { ref } from "./helpers.js";

const live = (engine: string, storage: Partial<DatabaseInstance["storage"]>): DatabaseInstance =>
  ({
    instanceId: "shop",
    engine,
    storage: { encrypted: true, ...storage },
    pending: {},
    replicas: [],
    securityGroups: [],
    tags: {},
  }) as unknown as DatabaseInstance;

const step = (database: DatabaseInstance, wanted: Wanted) =>
  modifyStep(database, ref("shop", "AWS::RDS::DBInstance"), wanted, "immediate");

describe("provisioned storage", () => {
  it.each([
    ["postgres", { type: "io1", allocatedGib: 100, iops: 3000 }, { storageGib: 200 }, { Iops: 3000 }],
    ["postgres", { type: "io2", allocatedGib: 100, iops: 3000 }, { iops: 4000 }, { AllocatedStorage: 100 }],
    [
      "mysql",
      { type: "gp3", allocatedGib: 400, iops: 12000, throughputMibps: 500 },
      { storageGib: 800 },
      { Iops: 12000, StorageThroughput: 500 },
    ],
    ["sqlserver-se", { type: "gp3", allocatedGib: 100, iops: 3000 }, { storageGib: 200 }, { Iops: 3000 }],
  ] as const)("%s %j: %j also says %j, and rests on it", (engine, storage, wanted, also) => {
    const { input, touches, desired } = step(live(engine, storage), wanted);
    expect(input).toMatchObject(also);
    const paths = Object.values(SETTINGS).flatMap(({ api, path }) => (api in also ? [path] : []));
    expect(touches).toEqual(expect.arrayContaining(paths));
    expect(Object.keys(desired!.storage as object)).toHaveLength(1);
  });

  it.each([
    ["postgres", { type: "gp2", allocatedGib: 100 }, { storageGib: 200 }],
    ["postgres", { type: "gp3", allocatedGib: 100, iops: 3000, throughputMibps: 125 }, { storageGib: 200 }],
    ["postgres", { type: "io1", allocatedGib: 100, iops: 3000 }, { multiAz: true }],
  ] as const)("%s %j: %j says nothing else", (engine, storage, wanted) => {
    const { input } = step(live(engine, storage), wanted);
    expect(Object.keys(input)).toHaveLength(3);
  });
});

const cluster = (engine: string, more: Partial<DatabaseCluster> = {}): DatabaseCluster =>
  ({
    clusterId: "ledger",
    arn: "arn:aws:rds:eu-west-1:123456789012:cluster:ledger",
    engine,
    engineVersion: "15.4",
    storage: { encrypted: true, type: engine.startsWith("aurora") ? "aurora" : "io1", allocatedGib: 100 },
    backupRetentionDays: 7,
    members: [],
    pending: {},
    securityGroups: [],
    tags: {},
    ...more,
  }) as unknown as DatabaseCluster;
const clusterRef = ref("ledger", "AWS::RDS::DBCluster");

describe("clusters", () => {
  it("are sent a range of capacity as one structure, whichever end was asked for", () => {
    const live = cluster("aurora-mysql", { serverless: { minAcus: 0.5, maxAcus: 8 } });
    const { operation, input, touches, desired } = modifyStep(live, clusterRef, { serverlessMinAcus: 2 }, "immediate");
    expect({ operation, input }).toEqual({
      operation: "ModifyDBCluster",
      input: {
        DBClusterIdentifier: "ledger",
        ApplyImmediately: true,
        ServerlessV2ScalingConfiguration: { MinCapacity: 2, MaxCapacity: 8 },
      },
    });
    expect(touches).toEqual(expect.arrayContaining(["/serverless/minAcus", "/serverless/maxAcus", "/pending"]));
    expect(desired).toEqual({ serverless: { minAcus: 2 } });
  });

  it.each([
    ["aurora-mysql", undefined, ["class", "iops", "storageGib"]],
    ["aurora-mysql", "serverless", ["class", "iops", "serverlessMinAcus", "storageGib"]],
    ["postgres", undefined, ["serverlessMinAcus"]],
    ["neptune", undefined, ["class", "iops", "serverlessMinAcus", "storageGib"]],
  ] as const)("%s %s has not %j", (engine, engineMode, without) => {
    const asked = ["class", "iops", "serverlessMinAcus", "storageGib", "storageType", "engineVersion"] as const;
    expect(notOfThisKind(cluster(engine, engineMode ? { engineMode } : {}), asked)).toEqual(without);
  });

  it("say what waits, and take what waits for accepted", () => {
    const live = cluster("aurora-postgresql");
    const wanted: Wanted = { engineVersion: "15.6", backupRetentionDays: 3, iamAuthentication: true };
    expect(effectsOf(live, wanted, "window")).toMatchObject([
      { setting: "engineVersion", takesEffect: "in the maintenance window", interrupts: true },
      { setting: "backupRetentionDays", takesEffect: "soon after the call", interrupts: false },
      { setting: "iamAuthentication", takesEffect: "in the maintenance window", interrupts: false },
    ]);
    const step = modifyStep(live, clusterRef, wanted, "window");
    expect(step.after).toMatchObject({
      engineVersion: "15.4",
      backupRetentionDays: 3,
      pending: { engineVersion: "15.6", iamAuthentication: true },
    });
    expect(acceptedOf("AWS::RDS::DBCluster", "service", step.after!)).toMatchObject({
      engineVersion: "15.6",
      pending: {},
    });
    expect(modified(step, step.after!)).toBe(true);
    expect(modified(step, { ...step.after!, pending: { engineVersion: "15.6" } })).toBe(false);
  });

  it("go back as far as RDS allows, and name the rest", () => {
    const then = cluster("aurora-postgresql", { deletionProtection: true, subnetGroup: "old" });
    const now = cluster("aurora-postgresql", {
      engineVersion: "15.6",
      deletionProtection: false,
      subnetGroup: "new",
      status: "backing-up",
      storage: { encrypted: true, type: "aurora", allocatedGib: 400 },
    });
    const { steps, remaining } = convergeDatabase(clusterRef, now as never, then as never);
    expect(steps.map(({ input }) => input)).toEqual([
      { DBClusterIdentifier: "ledger", ApplyImmediately: true, DeletionProtection: true },
    ]);
    expect(remaining.map(({ path }) => path).sort()).toEqual(["/engineVersion", "/subnetGroup"]);
  });
});

it.each([
  ["8.0.mysql_aurora.3.04.0", "8.0.mysql_aurora.3.05.2", true],
  ["8.0.mysql_aurora.3.05.2", "8.0.mysql_aurora.3.04.0", false],
  ["5.7.mysql_aurora.2.11.1", "8.0.mysql_aurora.3.01.0", true],
  ["15.4", "15.10", true],
  ["15.4", "15.4", false],
  ["15.a", "15.b", false],
])("%s is older than %s: %s", (a, b, older) => {
  expect(olderVersion(a, b)).toBe(older);
});
