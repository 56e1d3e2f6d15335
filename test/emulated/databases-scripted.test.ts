// Databases where moto is wrong about AWS (scripted): changes that wait for the window, work that takes time and fails,
// announced maintenance, AWS's own refusals. The rest of each answer is moto's.

import {
  CreateDBInstanceCommand,
  CreateDBSnapshotCommand,
  DeleteDBSnapshotCommand,
  DescribeDBInstancesCommand,
} from "@aws-sdk/client-rds";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Answer, Assistant } from "../harness.js";
import { type Product, startProduct } from "./product.js";
import { announced, maintenanceWindow } from "./scripted-rds.js";

const product = await startProduct("databases, scripted", import.meta.url);
const intent = "the database of the shop";
const always = Number.POSITIVE_INFINITY;

describe.skipIf(!product)("databases, scripted where moto is wrong", () => {
  const { proxy, outsider, ledger, calls, cloudControl } = (product ?? {}) as Product;
  let assistant: Assistant;
  let window: ReturnType<typeof maintenanceWindow>;
  let name: string;
  let number = 0;

  const get = (databaseId: string) => assistant.call("databases_get", { databaseId });
  const plan = async (change: object): Promise<Answer> => {
    const { data } = await get(name);
    return assistant.call("databases_modifyInstance", { databaseId: name, basedOn: data.revision, intent, ...change });
  };
  const apply = (planned: Answer): Promise<Answer> =>
    assistant.call("changes_apply", { executionToken: planned.data.executionToken });
  const sent = () => calls("rds", "ModifyDBInstance").map(({ params }) => params);
  const status = (value: string, times = always) =>
    proxy.rule({
      service: "rds",
      operation: "DescribeDBInstances",
      status: { field: "DBInstanceStatus", value },
      times,
    });

  beforeAll(async () => {
    await product!.moto.reset();
    assistant = await product!.start();
  });
  beforeEach(async () => {
    name = `shop-${++number}`;
    await outsider.rds.send(
      new CreateDBInstanceCommand({
        DBInstanceIdentifier: name,
        DBInstanceClass: "db.t3.micro",
        Engine: "postgres",
        EngineVersion: "15.4",
        AllocatedStorage: 20,
        MasterUsername: "admin",
        MasterUserPassword: "outsider-knows-it",
        PreferredBackupWindow: "03:00-03:30",
        PreferredMaintenanceWindow: "sun:05:00-sun:06:00",
        BackupRetentionPeriod: 7,
      }),
    );
    proxy.clear();
    window = maintenanceWindow(name);
    proxy.rule(announced(), ...window.rules);
  });
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => product!.close());

  it("shows databases where announced maintenance is denied, and says that it is unknown", async () => {
    proxy.clear();
    proxy.rule({
      service: "rds",
      operation: "DescribePendingMaintenanceActions",
      answer: { status: 403, code: "AccessDenied" },
      times: always,
    });
    const unknown = [{ what: "maintenance", code: "access_denied", action: "rds:DescribePendingMaintenanceActions" }];
    const listed = await assistant.call("databases_list", { databaseIds: [name], fields: ["maintenance"] });
    expect(listed.data, JSON.stringify(listed.data)).toMatchObject({ count: 1, unknown });
    expect(listed.data.databases[0]).not.toHaveProperty("maintenance");
    const one = await get(name);
    expect(one.data, JSON.stringify(one.data)).toMatchObject({ instance: { instanceId: name }, unknown });
    expect(one.data).not.toHaveProperty("maintenance");
  });

  it("says what waits until when, takes a queued value for what was asked, and sees no drift once the window has passed", async () => {
    const planned = await plan({ class: "db.r6g.large", deletionProtection: true, apply: "window" });
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    expect(planned.data.change.facts).toMatchObject({
      apply: "window",
      window: { maintenanceWindow: "sun:05:00-sun:06:00" },
      effects: [
        { setting: "class", takesEffect: "in the maintenance window", interrupts: true },
        { setting: "deletionProtection", takesEffect: "soon after the call", interrupts: false },
      ],
    });
    expect(planned.data.change.warnings.join("\n")).toContain("class interrupts in the window that opens at 20");
    expect(planned.data.change.warnings.join("\n")).toContain("deletionProtection does not wait for the window");
    const applied = await apply(planned);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(applied.data.resources[0].properties).toMatchObject({
      class: "db.t3.micro",
      pending: { class: "db.r6g.large" },
      deletionProtection: true,
    });
    expect(sent()).toMatchObject([{ ApplyImmediately: "false", DBInstanceClass: "db.r6g.large" }]);
    expect((await plan({ class: "db.r6g.large", apply: "window" })).data).toMatchObject({ code: "nothing_to_change" });
    expect((await get(name)).data.attention).toContain("pending: class");
    window.open();
    const drift = await assistant.call("state_drift", { identifier: name });
    expect(JSON.stringify(drift.data)).toContain("IN_SYNC");
    expect((await get(name)).data.instance.class).toBe("db.r6g.large");
  });

  it("names what somebody queued and immediately would carry out too, and refuses what was queued after the plan", async () => {
    await get(name);
    window.queue("AllocatedStorage", "80");
    const planned = await plan({ class: "db.r6g.large", apply: "immediate" });
    expect(planned.data.change.warnings.join("\n")).toContain(
      "RDS applies everything that waits along with it: storageGib",
    );
    expect(planned.data.change.facts.waitingAlready).toEqual({ "storage.allocatedGib": 80 });
    window.queue("EngineVersion", "15.6");
    const refused = await apply(planned);
    expect(refused.data).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
    expect(sent()).toHaveLength(0);
  });

  it("withdraws what only waits without carrying anything else out", async () => {
    const first = await plan({ deletionProtection: true, apply: "immediate" });
    await apply(first);
    const history = await assistant.call("state_history", { identifier: name });
    await apply(await plan({ class: "db.r6g.large", apply: "window" }));
    window.queue("AllocatedStorage", "80");
    const { data } = await get(name);
    const back = await assistant.call("state_rollback", {
      identifier: name,
      to: history.data.lineage[0].executionToken,
      basedOn: data.revision,
      undoOthers: false,
      intent: "keep the small class after all",
    });
    expect(back.isError, JSON.stringify(back.data)).toBe(false);
    const applied = await apply(back);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(sent().at(-1)).toMatchObject({ ApplyImmediately: "false", DBInstanceClass: "db.t3.micro" });
    expect(window.pending.has("DBInstanceClass")).toBe(false);
    expect(window.pending.get("AllocatedStorage")).toBe("80");
  });

  it("takes a queued value for proof where the answer was lost, and sends once", async () => {
    const planned = await plan({ class: "db.r6g.large", apply: "window" });
    proxy.rule({ service: "rds", operation: "ModifyDBInstance", dropReply: true });
    const applied = await apply(planned);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(sent()).toHaveLength(1);
  });

  it("sends again where the call itself was lost", async () => {
    const planned = await plan({ class: "db.r6g.large", apply: "window" });
    proxy.rule({ service: "rds", operation: "ModifyDBInstance", dropRequest: true });
    const applied = await apply(planned);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(window.pending.get("DBInstanceClass")).toBe("db.r6g.large");
  });

  it("lets RDS keep the master password, and takes none as an argument", async () => {
    const refused = await plan({ masterUserPassword: "hunter2hunter2", apply: "immediate" });
    expect(refused.data.code).toBe("validation_error");
    const planned = await plan({ manageMasterUser: true, apply: "immediate" });
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    expect(planned.data.change.warnings.join()).toContain("new master password");
    const applied = await apply(planned);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(sent()).toMatchObject([{ ManageMasterUserPassword: "true" }]);
    expect((await get(name)).data.instance.masterUserManaged.secretArn).toContain(":secret:");
  });

  it("refuses while RDS is at work, and passes on AWS's own refusal", async () => {
    const planned = await plan({ class: "db.r6g.large", apply: "immediate" });
    status("modifying");
    expect((await plan({ storageGib: 40, apply: "immediate" })).data).toMatchObject({
      code: "wrong_state",
      field: "databaseId",
      status: "modifying",
      retriable: true,
      next: [{ tool: "databases_get" }],
    });
    proxy.clear();
    proxy.rule(announced(), ...window.rules, {
      service: "rds",
      operation: "ModifyDBInstance",
      answer: { status: 400, code: "InvalidDBInstanceState", message: "Instance is being backed up" },
    });
    expect((await apply(planned)).data).toMatchObject({ code: "wrong_state", nothingWasChanged: true });
    status("storage-optimization");
    expect((await plan({ storageGib: 40, apply: "immediate" })).data).toMatchObject({
      code: "wrong_state",
      field: "storageGib",
    });
  });

  it("shows the maintenance that AWS has announced", async () => {
    const { DBInstances } = await outsider.rds.send(new DescribeDBInstancesCommand({ DBInstanceIdentifier: name }));
    proxy.clear();
    proxy.rule(announced({ [DBInstances![0]!.DBInstanceArn!]: "system-update" }));
    const { data } = await get(name);
    expect(data).toMatchObject({
      maintenance: [{ action: "system-update" }],
      attention: ["maintenance: system-update", "no deletion protection"],
    });
    const listed = await assistant.call("databases_list", { databaseIds: [name], kind: "instance" });
    expect(listed.data.databases[0].attention).toContain("maintenance: system-update");
  });

  it("follows a restore until it is available", async () => {
    await outsider.rds.send(
      new CreateDBSnapshotCommand({ DBInstanceIdentifier: name, DBSnapshotIdentifier: `${name}-s` }),
    );
    const planned = await assistant.call("databases_restoreSnapshot", {
      snapshotId: `${name}-s`,
      databaseId: `${name}-copy`,
      deletionProtection: false,
      intent,
    });
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    expect(planned.data.change.warnings.join()).toContain("Nothing will protect the new instance");
    // A snapshot of an older engine is upgraded on its way; RDS knows more such states than it documents.
    for (const value of ["creating", "upgrading", "upgrading", "of tomorrow"]) {
      proxy.rule({
        service: "rds",
        operation: "DescribeDBInstances",
        where: ({ params }) =>
          params.DBInstanceIdentifier === `${name}-copy` && calls("rds", "RestoreDBInstanceFromDBSnapshot").length > 0,
        status: { field: "DBInstanceStatus", value },
      });
    }
    const applied = await apply(planned);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(applied.data.resources[0].properties.status).toBe("available");
    expect(proxy.unused).toHaveLength(0);
    expect(calls("rds", "RestoreDBInstanceFromDBSnapshot")[0]!.params.DeletionProtection).toBe("false");
  });

  it("says that a snapshot could not be made", async () => {
    const planned = await assistant.call("databases_createSnapshot", {
      databaseId: name,
      snapshotId: `${name}-bad`,
      intent,
    });
    proxy.rule({
      service: "rds",
      operation: "DescribeDBSnapshots",
      where: () => calls("rds", "CreateDBSnapshot").length > 0,
      status: { field: "DBSnapshot/Status", value: "failed" },
      times: always,
    });
    const failed = await apply(planned);
    expect(failed.data, JSON.stringify(failed.data)).toMatchObject({ code: "aws_failed" });
    expect(failed.data.nothingWasChanged).not.toBe(true);
  });

  it("deletes no database that is protected or of which no fresh copy is kept", async () => {
    const type = "AWS::RDS::DBInstance";
    cloudControl.world.put(type, name, { DBInstanceIdentifier: name });
    const remove = async () => {
      const { data } = await assistant.call("resources_get", { type, identifier: name });
      return assistant.call("resources_delete", { type, identifier: name, basedOn: data.revision, intent });
    };
    expect((await remove()).data).toMatchObject({
      code: "unsupported",
      next: [{ tool: "databases_createSnapshot", arguments: { databaseId: name } }],
    });
    await apply(
      await assistant.call("databases_createSnapshot", { databaseId: name, snapshotId: `${name}-final`, intent }),
    );
    const planned = await remove();
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    expect(planned.data.change.warnings.join()).toContain(`${name}-final`);
    // The copy that the plan was allowed for goes before it is applied.
    await outsider.rds.send(new DeleteDBSnapshotCommand({ DBSnapshotIdentifier: `${name}-final` }));
    expect((await apply(planned)).data).toMatchObject({ code: "unsupported", nothingWasChanged: true });
    expect(cloudControl.world.get(type, name)).toBeTruthy();
    await apply(await plan({ deletionProtection: true, apply: "immediate" }));
    expect((await remove()).data).toMatchObject({ code: "unsupported", deletionProtection: true });
  });
});
