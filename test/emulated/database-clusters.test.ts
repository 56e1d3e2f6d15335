// Clusters changed by plan on moto, with somebody else at work meanwhile. Moto applies everything at once: what waits is scripted.

import {
  CreateDBClusterCommand,
  CreateDBInstanceCommand,
  DescribeDBClustersCommand,
  ModifyDBClusterCommand,
  StopDBClusterCommand,
} from "@aws-sdk/client-rds";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Answer, Assistant } from "../harness.js";
import { type Product, startProduct } from "./product.js";
import { announced } from "./scripted-rds.js";

const product = await startProduct("changing clusters on moto, partly scripted", import.meta.url);

describe.skipIf(!product)("changing clusters on moto", () => {
  const { proxy, outsider, ledger, calls } = (product ?? {}) as Product;
  const { rds } = outsider ?? {};
  let assistant: Assistant;

  const make = (DBClusterIdentifier: string, more: object = {}) =>
    rds!.send(
      new CreateDBClusterCommand({
        DBClusterIdentifier,
        Engine: "aurora-postgresql",
        EngineVersion: "15.4",
        MasterUsername: "admin",
        MasterUserPassword: "outsider-knows-it",
        PreferredBackupWindow: "03:00-03:30",
        PreferredMaintenanceWindow: "sun:05:00-sun:06:00",
        BackupRetentionPeriod: 7,
        DeletionProtection: true,
        StorageType: "aurora",
        AllocatedStorage: 1,
        ...more,
      }),
    );
  const modify = (DBClusterIdentifier: string, change: object) =>
    rds!.send(new ModifyDBClusterCommand({ DBClusterIdentifier, ApplyImmediately: true, ...change }));
  const live = async (DBClusterIdentifier: string) =>
    (await rds!.send(new DescribeDBClustersCommand({ DBClusterIdentifier }))).DBClusters![0]!;
  const get = async (databaseId: string) => (await assistant.call("databases_get", { databaseId })).data;
  const plan = async (databaseId: string, change: object, tool = "databases_modifyCluster"): Promise<Answer> => {
    const { revision: basedOn } = await get(databaseId);
    return assistant.call(tool, { databaseId, basedOn, intent: "the ledger grows", ...change });
  };
  const apply = (planned: Answer) => assistant.call("changes_apply", { executionToken: planned.data.executionToken });
  const sent = () => calls("rds", "ModifyDBCluster").map(({ params }) => params);
  const waits = (EngineVersion: string) =>
    proxy.rule({
      service: "rds",
      operation: "DescribeDBClusters",
      times: Number.POSITIVE_INFINITY,
      rewrite: (body) =>
        body.replaceAll(
          "</DBCluster>",
          `<PendingModifiedValues><EngineVersion>${EngineVersion}</EngineVersion></PendingModifiedValues></DBCluster>`,
        ),
    });

  beforeAll(async () => {
    await product!.moto.reset();
    await make("ledger");
    await make("asleep");
    await make("trio", {
      Engine: "postgres",
      DBClusterInstanceClass: "db.m6gd.large",
      StorageType: "io1",
      AllocatedStorage: 100,
      Iops: 3000,
    });
    for (const DBClusterIdentifier of ["ledger", "trio"]) {
      await rds!.send(
        new CreateDBInstanceCommand({
          DBInstanceIdentifier: `${DBClusterIdentifier}-1`,
          DBClusterIdentifier,
          DBInstanceClass: "db.r6g.large",
          Engine: DBClusterIdentifier === "ledger" ? "aurora-postgresql" : "postgres",
        }),
      );
    }
    await rds!.send(new StopDBClusterCommand({ DBClusterIdentifier: "asleep" }));
    assistant = await product!.start();
  });
  beforeEach(() => {
    proxy.clear();
    proxy.rule(announced());
  });
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => product!.close());

  it("changes settings by plan and token, says when and what interrupts, reads them back, and goes back", async () => {
    const planned = await plan("ledger", {
      backupRetentionDays: 3,
      engineVersion: "15.5",
      deletionProtection: false,
      apply: "immediate",
    });
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    expect(planned.data.change.facts.effects).toMatchObject([
      { setting: "engineVersion", from: "15.4", to: "15.5", takesEffect: "at once", interrupts: true },
      { setting: "backupRetentionDays", takesEffect: "soon after the call", interrupts: false },
      { setting: "deletionProtection", takesEffect: "soon after the call", interrupts: false },
    ]);
    expect(planned.data.change.warnings.join("\n")).toContain("engineVersion interrupts at once: every member");
    expect(planned.data.change.warnings.join("\n")).toContain("no point before them can be restored");
    expect(planned.data.change.risk).toMatchObject({ level: "high" });
    expect(JSON.stringify(planned.data.change.risk)).toContain("deletion protection");
    expect(sent()).toEqual([]);
    const applied = await apply(planned);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(applied.data.stateSync.patterns).toEqual(expect.arrayContaining(["databases.**", "costs.**"]));
    expect(await live("ledger")).toMatchObject({
      BackupRetentionPeriod: 3,
      EngineVersion: "15.5",
      DeletionProtection: false,
    });

    const second = await plan("ledger", {
      backupRetentionDays: 9,
      engineVersion: "15.6",
      deletionProtection: true,
      apply: "immediate",
    });
    expect((await apply(second)).data.outcome).toBe("applied");
    const back = await assistant.call("state_rollback", {
      identifier: "ledger",
      to: planned.data.executionToken,
      basedOn: (await get("ledger")).revision,
      undoOthers: true,
      intent: "as it was in the morning",
    });
    expect(back.isError, JSON.stringify(back.data)).toBe(false);
    expect(JSON.stringify(back.data)).toContain("does not downgrade an engine");
    const returned = await apply(back);
    expect(returned.data.outcome, JSON.stringify(returned.data)).toBe("applied");
    expect(await live("ledger")).toMatchObject({
      BackupRetentionPeriod: 3,
      DeletionProtection: false,
      EngineVersion: "15.6",
    });
  });

  it("refuses once somebody else has changed the same setting, and keeps what they did elsewhere", async () => {
    const first = await plan("ledger", { backupRetentionDays: 14, apply: "immediate" });
    await modify("ledger", { BackupRetentionPeriod: 30 });
    expect((await apply(first)).data).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
    const second = await plan("ledger", { backupRetentionDays: 14, apply: "immediate" });
    await modify("ledger", { CopyTagsToSnapshot: true });
    const applied = await apply(second);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(await live("ledger")).toMatchObject({ BackupRetentionPeriod: 14, CopyTagsToSnapshot: true });
  });

  it("sends once where the answer was lost", async () => {
    const planned = await plan("ledger", { backupRetentionDays: 21, apply: "immediate" });
    proxy.rule({ service: "rds", operation: "ModifyDBCluster", dropReply: true });
    expect((await apply(planned)).data.outcome).toBe("applied");
    expect(sent().filter(({ BackupRetentionPeriod }) => BackupRetentionPeriod === "21")).toHaveLength(1);
  });

  it("takes what is queued for accepted, names what goes along, and refuses what was queued after the plan", async () => {
    waits("15.8");
    const again = await plan("ledger", { engineVersion: "15.8", apply: "window" });
    expect(again.data).toMatchObject({ code: "nothing_to_change" });
    const planned = await plan("ledger", { iamAuthentication: true, apply: "immediate" });
    expect(planned.data.change.warnings.join("\n")).toContain("everything that waits along with it: engineVersion");
    proxy.clear();
    proxy.rule(announced());
    waits("15.9");
    const before = sent().length;
    expect((await apply(planned)).data).toMatchObject({ code: "stale_revision" });
    expect(sent()).toHaveLength(before);
  });

  it("sends both ends of Aurora's capacity, and says that it does not wait for a window", async () => {
    expect((await plan("ledger", { serverlessMaxAcus: 16, apply: "immediate" })).data).toMatchObject({
      code: "validation_error",
      field: "serverlessMinAcus",
    });
    await modify("ledger", { ServerlessV2ScalingConfiguration: { MinCapacity: 0.5, MaxCapacity: 8 } });
    expect((await plan("ledger", { serverlessMinAcus: 9, apply: "immediate" })).data).toMatchObject({
      code: "validation_error",
      field: "serverlessMinAcus",
    });
    expect((await plan("ledger", { serverlessMaxAcus: 16, apply: "window" })).data).toMatchObject({
      code: "validation_error",
      field: "apply",
    });
    const planned = await plan("ledger", { serverlessMaxAcus: 16, apply: "immediate" });
    expect(planned.data.change.facts.effects).toMatchObject([
      { setting: "serverlessMaxAcus", from: 8, to: 16, interrupts: false },
    ]);
    const applied = await apply(planned);
    expect(sent().at(-1)).toMatchObject({
      "ServerlessV2ScalingConfiguration.MinCapacity": "0.5",
      "ServerlessV2ScalingConfiguration.MaxCapacity": "16",
    });
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    const storage = await plan("ledger", { storageType: "aurora-iopt1", apply: "window" });
    expect(storage.data.change.facts.effects, JSON.stringify(storage.data)).toMatchObject([
      { setting: "storageType", from: "aurora", takesEffect: "in the maintenance window", interrupts: false },
    ]);
  });

  it("lets RDS keep the master password, and takes none as an argument", async () => {
    expect((await plan("ledger", { masterUserPassword: "hunter2hunter2", apply: "immediate" })).data.code).toBe(
      "validation_error",
    );
    const planned = await plan("ledger", { manageMasterUser: true, apply: "immediate" });
    expect(planned.data.change.warnings.join()).toContain("new master password");
    const applied = await apply(planned);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(sent().at(-1)).toMatchObject({ ManageMasterUserPassword: "true" });
    expect((await get("ledger")).cluster.masterUserManaged.secretArn).toContain(":secret:");
  });

  it("changes the class and the storage of a Multi-AZ cluster, whose members are changed with it alone", async () => {
    const planned = await plan("trio", { class: "db.m6gd.xlarge", storageGib: 200, apply: "immediate" });
    expect(planned.data.change.facts.effects, JSON.stringify(planned.data)).toMatchObject([
      { setting: "class", interrupts: true },
      { setting: "storageGib", interrupts: false },
    ]);
    expect((await apply(planned)).data.outcome).toBe("applied");
    expect(sent().at(-1)).toMatchObject({
      DBClusterInstanceClass: "db.m6gd.xlarge",
      AllocatedStorage: "200",
      Iops: "3000",
    });
    expect((await plan("trio", { storageGib: 100, apply: "immediate" })).data).toMatchObject({
      code: "unsupported",
      field: "storageGib",
    });
    for (const refused of [
      await plan("trio-1", { class: "db.r6g.xlarge", apply: "immediate" }, "databases_modifyInstance"),
      await plan(
        "trio-1",
        { maintenanceWindow: "mon:05:00-mon:06:00", apply: "immediate" },
        "databases_modifyInstance",
      ),
    ]) {
      expect(refused.data).toMatchObject({ code: "unsupported", clusterId: "trio" });
    }
  });

  it("answers wrong requests with code, field and the next call", async () => {
    const refusal = async (change: object) => (await plan("ledger", { apply: "immediate", ...change })).data;
    const [look, cluster, instance] = ["databases_get", "databases_modifyCluster", "databases_modifyInstance"];
    expect(await refusal({ class: "db.r6g.xlarge" })).toMatchObject({
      code: "unsupported",
      field: "class",
      next: [{ tool: look }, { tool: instance, arguments: { databaseId: "ledger-1" } }],
    });
    expect(await refusal({ storageGib: 100 })).toMatchObject({ code: "unsupported", field: "storageGib" });
    expect(await refusal({ storageType: "gp3" })).toMatchObject({ code: "unsupported", field: "storageType" });
    expect(await refusal({ engineVersion: "14.9" })).toMatchObject({ code: "unsupported", field: "engineVersion" });
    expect(await refusal({ engineVersion: "16.1" })).toMatchObject({
      code: "validation_error",
      field: "allowMajorVersionUpgrade",
    });
    expect(await refusal({ maintenanceWindow: "sun:03:00-sun:04:00" })).toMatchObject({ field: "maintenanceWindow" });
    expect(await refusal({ backupRetentionDays: 0 })).toMatchObject({ code: "validation_error" });
    expect((await plan("trio", { serverlessMaxAcus: 4, apply: "immediate" })).data).toMatchObject({
      code: "unsupported",
      field: "serverlessMaxAcus",
    });
    expect((await plan("asleep", { backupRetentionDays: 9, apply: "immediate" })).data).toMatchObject({
      code: "wrong_state",
      field: "databaseId",
      status: "stopped",
      next: [{ tool: look }, { tool: "databases_start", arguments: { databaseId: "asleep" } }],
    });
    expect((await plan("ledger-1", { backupRetentionDays: 9, apply: "immediate" })).data).toMatchObject({
      code: "unsupported",
      field: "databaseId",
      clusterId: "ledger",
      next: [{ tool: look }, { tool: instance }, { tool: cluster, arguments: { databaseId: "ledger" } }],
    });
    for (const change of [{ deletionProtection: true }, { manageMasterUser: true }, { iamAuthentication: true }]) {
      const refused = await plan("ledger-1", { ...change, apply: "immediate" }, instance);
      expect(refused.data, JSON.stringify(refused.data)).toMatchObject({
        code: "unsupported",
        field: Object.keys(change)[0],
        next: [{ tool: look }, { tool: cluster, arguments: { databaseId: "ledger" } }],
      });
    }
    expect((await plan("ledger", { class: "db.r6g.large", apply: "immediate" }, instance)).data).toMatchObject({
      code: "unsupported",
      field: "databaseId",
      next: [{ tool: look }, { tool: cluster }],
    });
  });
});
