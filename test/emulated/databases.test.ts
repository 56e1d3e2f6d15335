// Databases on moto: listed whole, changed by plan, copied and restored, while somebody else changes the account. What moto
// is wrong about stands in databases-scripted.test.ts.

import {
  AddTagsToResourceCommand,
  CreateDBClusterCommand,
  CreateDBInstanceCommand,
  CreateDBParameterGroupCommand,
  DescribeDBInstancesCommand,
  ModifyDBInstanceCommand,
  StopDBInstanceCommand,
} from "@aws-sdk/client-rds";
import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Assistant } from "../harness.js";
import { type Product, startProduct } from "./product.js";
import { announced } from "./scripted-rds.js";

const product = await startProduct("databases on moto", import.meta.url);
const intent = "the database of the shop";

describe.skipIf(!product)("databases on moto", () => {
  const { proxy, outsider, ledger, calls } = (product ?? {}) as Product;
  let assistant: Assistant;

  const make = (DBInstanceIdentifier: string, more: object = {}) =>
    outsider.rds.send(
      new CreateDBInstanceCommand({
        DBInstanceIdentifier,
        DBInstanceClass: "db.t3.micro",
        Engine: "postgres",
        EngineVersion: "15.4",
        AllocatedStorage: 20,
        MasterUsername: "admin",
        MasterUserPassword: "outsider-knows-it",
        PreferredBackupWindow: "03:00-03:30",
        PreferredMaintenanceWindow: "sun:05:00-sun:06:00",
        BackupRetentionPeriod: 7,
        ...more,
      }),
    );
  const modify = (DBInstanceIdentifier: string, change: object) =>
    outsider.rds.send(new ModifyDBInstanceCommand({ DBInstanceIdentifier, ApplyImmediately: true, ...change }));
  const live = async (DBInstanceIdentifier: string) =>
    (await outsider.rds.send(new DescribeDBInstancesCommand({ DBInstanceIdentifier }))).DBInstances![0]!;
  const get = (databaseId: string) => assistant.call("databases_get", { databaseId });
  const plan = async (databaseId: string, change: object) => {
    const { data } = await get(databaseId);
    return assistant.call("databases_modifyInstance", { databaseId, basedOn: data.revision, intent, ...change });
  };
  const apply = (planned: { data: { executionToken: string } }) =>
    assistant.call("changes_apply", { executionToken: planned.data.executionToken });

  beforeAll(async () => {
    await product!.moto.reset();
    await make("shop", { DeletionProtection: true, Tags: [{ Key: "team", Value: "shop" }] });
    await make("asleep");
    await outsider.rds.send(new StopDBInstanceCommand({ DBInstanceIdentifier: "asleep" }));
    await outsider.rds.send(
      new CreateDBClusterCommand({
        DBClusterIdentifier: "ledger",
        Engine: "aurora-postgresql",
        MasterUsername: "admin",
        MasterUserPassword: "outsider-knows-it",
      }),
    );
    await make("ledger-1", {
      DBClusterIdentifier: "ledger",
      Engine: "aurora-postgresql",
      AllocatedStorage: undefined,
      MasterUsername: undefined,
      MasterUserPassword: undefined,
      BackupRetentionPeriod: undefined,
    });
    assistant = await product!.start();
  });
  beforeEach(() => {
    proxy.clear();
    proxy.rule(announced());
  });
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => product!.close());

  it("shows instances and clusters in one list, with what needs attention", async () => {
    const { data, isError } = await assistant.call("databases_list", {});
    expect(isError, JSON.stringify(data)).toBe(false);
    const row = (id: string) => data.databases.find((one: { databaseId: string }) => one.databaseId === id);
    expect(data.count).toBe(4);
    expect(data.databases[0]).toMatchObject({ databaseId: "ledger", kind: "cluster" });
    expect(row("ledger-1")).toMatchObject({ kind: "instance", clusterId: "ledger" });
    expect(row("shop")).toMatchObject({ status: "available", engine: "postgres", class: "db.t3.micro" });
    expect(row("asleep")).toMatchObject({ status: "stopped", attention: ["no deletion protection"] });
    const more = await assistant.call("databases_list", {
      kind: "instance",
      databaseIds: ["shop"],
      fields: ["backups"],
    });
    expect(more.data.databases).toMatchObject([
      { databaseId: "shop", backupRetentionDays: 7, backupWindow: "03:00-03:30" },
    ]);
  });

  it("shows one in full, and never a password", async () => {
    const { data } = await get("shop");
    expect(data).toMatchObject({
      kind: "instance",
      instance: { instanceId: "shop", deletionProtection: true, storage: { allocatedGib: 20 }, pending: {} },
      attention: [],
    });
    expect(Date.parse(data.maintenanceWindowOpensAt)).not.toBeNaN();
    expect(JSON.stringify(data)).not.toContain("outsider-knows-it");
    expect((await get("ledger")).data).toMatchObject({ kind: "cluster", cluster: { clusterId: "ledger" } });
  });

  it("changes the class by plan and token, says what interrupts, and reads it back", async () => {
    const planned = await plan("shop", { class: "db.r6g.large", apply: "immediate" });
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    expect(planned.data.change.facts).toMatchObject({
      apply: "immediate",
      effects: [
        { setting: "class", from: "db.t3.micro", to: "db.r6g.large", takesEffect: "at once", interrupts: true },
      ],
    });
    expect(planned.data.change.warnings.join()).toContain("class interrupts at once");
    expect(planned.data.change.risk.level).toBe("high");
    expect(calls("rds", "ModifyDBInstance")).toHaveLength(0);
    const applied = await apply(planned);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect((await live("shop")).DBInstanceClass).toBe("db.r6g.large");
    expect(applied.data.stateSync.patterns).toEqual(["databases.*", "costs.*"]);
  });

  it("refuses to apply once somebody else has changed the same setting, and keeps what they did elsewhere", async () => {
    const first = await plan("shop", { class: "db.r6g.xlarge", apply: "immediate" });
    await modify("shop", { DBInstanceClass: "db.m6g.large" });
    const refused = await apply(first);
    expect(refused.data).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
    expect((await live("shop")).DBInstanceClass).toBe("db.m6g.large");
    const second = await plan("shop", { storageGib: 40, apply: "immediate" });
    await modify("shop", { CopyTagsToSnapshot: true });
    const applied = await apply(second);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(applied.data.notes.join()).toContain("stays");
    expect(await live("shop")).toMatchObject({ AllocatedStorage: 40, CopyTagsToSnapshot: true });
  });

  it("asks for the revision that showed the database in full", async () => {
    const listed = await assistant.call("databases_list", { databaseIds: ["shop"], kind: "instance" });
    const fresh = await product!.start();
    const again = await fresh.call("databases_list", { databaseIds: ["shop"], kind: "instance" });
    const change = { databaseId: "shop", storageGib: 80, apply: "window", intent };
    expect((await fresh.call("databases_modifyInstance", change)).data).toMatchObject({
      code: "precondition_required",
    });
    const basedOn = again.data.databases[0].revision;
    expect((await fresh.call("databases_modifyInstance", { ...change, basedOn })).data).toMatchObject({
      code: "precondition_required",
      next: [{ tool: "databases_get", arguments: { databaseId: "shop" } }],
    });
    expect(listed.data.databases[0].revision).toBeDefined();
    await fresh.close();
  });

  it("goes back as far as RDS allows, and names the rest", async () => {
    const history = await assistant.call("state_history", { identifier: "shop" });
    const first = history.data.lineage[0];
    const { data } = await get("shop");
    const back = await assistant.call("state_rollback", {
      identifier: "shop",
      to: first.executionToken,
      basedOn: data.revision,
      undoOthers: true,
      intent: "back to the class of the morning",
    });
    expect(back.isError, JSON.stringify(back.data)).toBe(false);
    expect(JSON.stringify(back.data)).toContain("storage never shrinks");
    const applied = await apply(back);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(await live("shop")).toMatchObject({ DBInstanceClass: "db.r6g.large", AllocatedStorage: 40 });
  });

  it("takes a snapshot, lists it beside the automated ones, and restores it to a new instance with the settings named", async () => {
    const planned = await assistant.call("databases_createSnapshot", {
      databaseId: "shop",
      snapshotId: "shop-before",
      intent,
    });
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    const taken = await apply(planned);
    expect(taken.data.outcome, JSON.stringify(taken.data)).toBe("applied");
    const listed = await assistant.call("snapshots_list", { databaseId: "shop" });
    expect(listed.data.snapshots).toContainEqual(
      expect.objectContaining({ snapshotId: "shop-before", of: "instance", kind: "manual", status: "available" }),
    );
    const restore = await assistant.call("databases_restoreSnapshot", {
      snapshotId: "shop-before",
      databaseId: "shop-copy",
      deletionProtection: true,
      intent: "look at yesterday's orders",
    });
    expect(restore.isError, JSON.stringify(restore.data)).toBe(false);
    expect(restore.data.change.facts.settings).toMatchObject({
      class: { value: "db.r6g.large", from: "the snapshot's database" },
      deletionProtection: { value: true },
      publiclyAccessible: { value: false },
    });
    const applied = await apply(restore);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(await live("shop-copy")).toMatchObject({ DBInstanceClass: "db.r6g.large", DeletionProtection: true });
    const sent = calls("rds", "RestoreDBInstanceFromDBSnapshot")[0]!.params;
    expect(sent).toMatchObject({ DeletionProtection: "true", PubliclyAccessible: "false", BackupRetentionPeriod: "7" });
  });

  it("takes a snapshot of a cluster, and sends a member's to it", async () => {
    const member = await assistant.call("databases_createSnapshot", { databaseId: "ledger-1", intent });
    expect(member.data).toMatchObject({
      code: "unsupported",
      field: "databaseId",
      next: [{ tool: "databases_createSnapshot", arguments: { databaseId: "ledger", kind: "cluster" } }],
    });
    const planned = await assistant.call("databases_createSnapshot", { databaseId: "ledger", intent });
    const applied = await apply(planned);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    const listed = await assistant.call("snapshots_list", { of: "cluster", kind: "manual" });
    expect(listed.data.snapshots).toMatchObject([{ databaseId: "ledger", of: "cluster" }]);
  });

  it("finds a snapshot whose answer was lost by its mark, and takes no second one", async () => {
    const planned = await assistant.call("databases_createSnapshot", {
      databaseId: "shop",
      snapshotId: "lost",
      intent,
    });
    proxy.rule({ service: "rds", operation: "CreateDBSnapshot", dropReply: true });
    const applied = await apply(planned);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(calls("rds", "CreateDBSnapshot")).toHaveLength(1);
  });

  it("answers wrong requests with code, field and the next call", async () => {
    const refusal = async (change: object) => (await plan("shop", { apply: "immediate", ...change })).data;
    expect(await refusal({ storageGib: 20 })).toMatchObject({ code: "unsupported", field: "storageGib" });
    expect(await refusal({ engineVersion: "14.9" })).toMatchObject({ code: "unsupported", field: "engineVersion" });
    expect(await refusal({ engineVersion: "16.1" })).toMatchObject({
      code: "validation_error",
      field: "allowMajorVersionUpgrade",
    });
    expect(await refusal({ maintenanceWindow: "sun:03:00-sun:04:00" })).toMatchObject({
      code: "validation_error",
      field: "maintenanceWindow",
    });
    expect(await refusal({ backupWindow: "24:00-01:00" })).toMatchObject({
      code: "validation_error",
      field: "backupWindow",
    });
    expect(await refusal({ deletionProtection: false, apply: "window" })).toMatchObject({
      code: "validation_error",
      field: "apply",
    });
    expect(await refusal({ masterUserPassword: "a new one" })).toMatchObject({ code: "validation_error" });
    expect(await refusal({ class: "db.r6g.large" })).toMatchObject({ code: "nothing_to_change" });
    expect((await plan("asleep", { class: "db.r6g.large", apply: "immediate" })).data).toMatchObject({
      code: "wrong_state",
      field: "databaseId",
      status: "stopped",
      next: [{ tool: "databases_get" }, { tool: "databases_start", arguments: { databaseId: "asleep" } }],
    });
    expect((await plan("ledger-1", { storageGib: 100, apply: "immediate" })).data).toMatchObject({
      code: "unsupported",
      field: "storageGib",
    });
    expect((await plan("ledger", { class: "db.r6g.large", apply: "immediate" })).data).toMatchObject({
      code: "unsupported",
      field: "databaseId",
    });
    expect((await get("nobody")).data).toMatchObject({
      code: "not_found",
      field: "databaseId",
      next: [{ tool: "databases_list" }],
    });
    const snapshot = { snapshotId: "nothing", databaseId: "new-one", deletionProtection: true, intent };
    expect((await assistant.call("databases_restoreSnapshot", snapshot)).data).toMatchObject({
      code: "not_found",
      field: "snapshotId",
      next: [{ tool: "snapshots_list" }],
    });
    const over = { ...snapshot, snapshotId: "shop-before", databaseId: "shop" };
    expect((await assistant.call("databases_restoreSnapshot", over)).data).toMatchObject({
      code: "already_exists",
      field: "databaseId",
    });
    const { deletionProtection: _, ...unsaid } = { ...snapshot, snapshotId: "shop-before" };
    expect((await assistant.call("databases_restoreSnapshot", unsaid)).data).toMatchObject({
      code: "validation_error",
      field: "deletionProtection",
    });
    expect((await assistant.call("databases_createSnapshot", { databaseId: "asleep", intent })).data).toMatchObject({
      code: "wrong_state",
      field: "databaseId",
    });
  });

  it("tells what somebody else changed since it was shown", async () => {
    await get("shop");
    await outsider.rds.send(
      new CreateDBParameterGroupCommand({
        DBParameterGroupName: "tuned",
        DBParameterGroupFamily: "postgres15",
        Description: "tuned",
      }),
    );
    await modify("shop", { DBParameterGroupName: "tuned" });
    const { DBInstanceArn } = await live("shop");
    await outsider.rds.send(
      new AddTagsToResourceCommand({ ResourceName: DBInstanceArn!, Tags: [{ Key: "team", Value: "other" }] }),
    );
    const { data } = await get("shop");
    expect(data.staleNotices[0].now.values).toMatchObject({ "/parameterGroup": "tuned", "/tags/team": "other" });
    const drift = await assistant.call("state_drift", { identifier: "shop" });
    expect(JSON.stringify(drift.data)).toContain("/parameterGroup");
  });

  it("lists 300 of them, complete and in order, each answer small", async () => {
    const names = Array.from({ length: 296 }, (_, n) => `many-${String(n).padStart(3, "0")}`);
    for (const name of names) await make(name);
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const answer = await assistant.call("databases_list", cursor ? { cursor } : {});
      expect(answer.isError, JSON.stringify(answer.data)).toBe(false);
      expect(countTokens(answer.text.join(""))).toBeLessThanOrEqual(5_000);
      seen.push(...answer.data.databases.map((row: { databaseId: string }) => row.databaseId));
      cursor = answer.data.nextCursor;
    } while (cursor);
    expect(seen).toHaveLength(new Set(seen).size);
    expect(seen.filter((id) => id.startsWith("many-"))).toEqual(names);
    expect(seen.length).toBeGreaterThanOrEqual(300);
  });
});
