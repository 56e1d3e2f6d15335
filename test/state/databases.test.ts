// What a modification of a database has to say besides what was asked.

import { describe, expect, it } from "vitest";
import type { DatabaseInstance } from "../../src/core/content/databases.js";
import { modifyStep, SETTINGS, type Wanted } from "../../state/databases.js";
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
