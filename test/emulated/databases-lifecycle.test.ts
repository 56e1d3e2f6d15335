// Stopping and starting databases on moto, with somebody else at work meanwhile; the time that RDS takes for it is scripted.

import {
  CreateDBClusterCommand,
  CreateDBInstanceCommand,
  CreateDBInstanceReadReplicaCommand,
  DescribeDBClustersCommand,
  DescribeDBInstancesCommand,
  ModifyDBInstanceCommand,
  StartDBInstanceCommand,
} from "@aws-sdk/client-rds";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Answer, Assistant } from "../harness.js";
import { type Product, startProduct } from "./product.js";
import { announced } from "./scripted-rds.js";

const product = await startProduct("stopping and starting databases on moto", import.meta.url);

describe.skipIf(!product)("stopping and starting databases on moto", () => {
  const { proxy, outsider, ledger, calls } = (product ?? {}) as Product;
  const { rds } = outsider ?? {};
  let assistant: Assistant;

  const make = (DBInstanceIdentifier: string, more: object = {}) =>
    rds!.send(
      new CreateDBInstanceCommand({
        DBInstanceIdentifier,
        DBInstanceClass: "db.t3.micro",
        Engine: "postgres",
        AllocatedStorage: 20,
        MasterUsername: "admin",
        MasterUserPassword: "outsider-knows-it",
        BackupRetentionPeriod: 7,
        ...more,
      }),
    );
  const statusOf = async (DBInstanceIdentifier: string) =>
    (await rds!.send(new DescribeDBInstancesCommand({ DBInstanceIdentifier }))).DBInstances![0]!.DBInstanceStatus;
  const clusterStatus = async (DBClusterIdentifier: string) =>
    (await rds!.send(new DescribeDBClustersCommand({ DBClusterIdentifier }))).DBClusters![0]!.Status;
  const revision = async (databaseId: string): Promise<string> =>
    (await assistant.call("databases_get", { databaseId })).data.revision;
  const plan = async (verb: "start" | "stop", databaseId: string, basedOn?: string): Promise<Answer> =>
    assistant.call(`databases_${verb}`, {
      databaseId,
      basedOn: basedOn ?? (await revision(databaseId)),
      intent: "nobody works at the weekend",
    });
  const apply = (planned: Answer) => assistant.call("changes_apply", { executionToken: planned.data.executionToken });

  beforeAll(async () => {
    await product!.moto.reset();
    await make("shop");
    await make("primary");
    await rds!.send(
      new CreateDBInstanceReadReplicaCommand({
        DBInstanceIdentifier: "copy",
        SourceDBInstanceIdentifier: "primary",
        DBInstanceClass: "db.t3.micro",
      }),
    );
    await rds!.send(
      new CreateDBClusterCommand({
        DBClusterIdentifier: "ledger",
        Engine: "aurora-postgresql",
        MasterUsername: "admin",
        MasterUserPassword: "outsider-knows-it",
      }),
    );
    await make("ledger-1", { Engine: "aurora-postgresql", DBClusterIdentifier: "ledger" });
    assistant = await product!.start();
  });
  beforeEach(() => {
    proxy.clear();
    proxy.rule(announced());
  });
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => product!.close());

  it("stops what was looked at, says what that means and for how long, and starts it again", async () => {
    const shown = await revision("shop");
    await rds!.send(
      new ModifyDBInstanceCommand({
        DBInstanceIdentifier: "shop",
        DBInstanceClass: "db.r6g.large",
        ApplyImmediately: true,
      }),
    );
    const stale = await plan("stop", "shop", shown);
    expect(stale.data).toMatchObject({ code: "stale_revision", field: "basedOn", nothingWasChanged: true });
    expect(JSON.stringify(stale.data.changed)).toContain("db.r6g.large");

    const planned = await plan("stop", "shop");
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    const warnings = planned.data.change.warnings.join("\n");
    expect(warnings).toContain("by itself after 7 days");
    expect(warnings).toContain("Storage, provisioned IOPS and backups are billed");
    expect(planned.data.change.facts).toMatchObject({ kind: "instance", startsByItselfAfterDays: 7 });
    expect(planned.data.change.risk.level).toBe("medium");
    proxy.rule({
      service: "rds",
      operation: "DescribeDBInstances",
      where: () => calls("rds", "StopDBInstance").length > 0,
      status: { field: "DBInstanceStatus", value: "stopping" },
      times: 2,
    });
    const stopped = await apply(planned);
    expect(stopped.data.outcome, JSON.stringify(stopped.data)).toBe("applied");
    expect(proxy.unused).toEqual([]);
    expect(await statusOf("shop")).toBe("stopped");
    expect(stopped.text.join()).toContain("costs");

    expect((await plan("stop", "shop")).data).toMatchObject({
      code: "nothing_to_change",
      field: "databaseId",
      status: "stopped",
      next: [{ tool: "databases_get" }],
    });
    // What asks for more of a stopped database is told how to start it.
    const modify = await assistant.call("databases_modifyInstance", {
      databaseId: "shop",
      class: "db.t3.small",
      apply: "immediate",
      basedOn: await revision("shop"),
      intent: "smaller",
    });
    expect(modify.data).toMatchObject({ code: "wrong_state", field: "databaseId" });
    const proposed = modify.data.next.find(({ tool }: { tool: string }) => tool === "databases_start");
    const start = await assistant.call("databases_start", {
      ...proposed.arguments,
      basedOn: await revision("shop"),
      intent: "Monday",
    });
    expect(start.isError, JSON.stringify(start.data)).toBe(false);
    expect(start.data.change.warnings.join("\n")).toContain("billed by the hour again");
    expect((await apply(start)).data.outcome).toBe("applied");
    expect(await statusOf("shop")).toBe("available");
    const history = await assistant.call("state_history", { identifier: "shop" });
    expect(history.data.lineage).toMatchObject([{ outcome: "succeeded" }, { outcome: "succeeded" }]);
  });

  it("is not started twice: who was there first is told of, and a lost answer is looked up", async () => {
    await apply(await plan("stop", "shop"));
    const planned = await plan("start", "shop");
    await rds!.send(new StartDBInstanceCommand({ DBInstanceIdentifier: "shop" }));
    const refused = await apply(planned);
    expect(refused.data, JSON.stringify(refused.data)).toMatchObject({
      code: "stale_revision",
      nothingWasChanged: true,
    });
    expect(calls("rds", "StartDBInstance")).toEqual([]);
    proxy.rule({ service: "rds", operation: "StopDBInstance", dropReply: true });
    const stopped = await apply(await plan("stop", "shop"));
    expect(stopped.data.outcome, JSON.stringify(stopped.data)).toBe("applied");
    expect(await statusOf("shop")).toBe("stopped");
    // One for the first stop, one whose answer was lost.
    expect(calls("rds", "StopDBInstance")).toHaveLength(2);
  });

  it("stops a cluster with its members, and never a member by itself", async () => {
    const member = await plan("stop", "ledger-1");
    expect(member.data).toMatchObject({
      code: "unsupported",
      field: "databaseId",
      clusterId: "ledger",
      next: [{ tool: "databases_get", arguments: { databaseId: "ledger", kind: "cluster" } }],
    });
    const planned = await plan("stop", "ledger");
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    expect(planned.data.change.facts).toMatchObject({ kind: "cluster", members: ["ledger-1"] });
    expect((await apply(planned)).data.outcome).toBe("applied");
    expect(await clusterStatus("ledger")).toBe("stopped");
    expect((await apply(await plan("start", "ledger"))).data.outcome).toBe("applied");
    expect(await clusterStatus("ledger")).toBe("available");
  });

  it.each(["primary", "copy"])(
    "refuses to stop %s: RDS stops no replica, and nothing that has one",
    async (databaseId) => {
      const refused = await plan("stop", databaseId);
      expect(refused.data).toMatchObject({ code: "unsupported", field: "databaseId", nothingWasChanged: true });
      expect(calls("rds", "StopDBInstance")).toEqual([]);
    },
  );

  it("waits for nothing that RDS is at work on, and knows no database that is not there", async () => {
    proxy.rule({
      service: "rds",
      operation: "DescribeDBInstances",
      status: { field: "DBInstanceStatus", value: "backing-up" },
      times: Number.POSITIVE_INFINITY,
    });
    expect((await plan("stop", "primary")).data.code).toBe("unsupported");
    expect((await plan("start", "shop")).data).toMatchObject({
      code: "wrong_state",
      field: "databaseId",
      status: "backing-up",
      next: [{ tool: "databases_get" }],
    });
    const unknown = await assistant.call("databases_stop", {
      databaseId: "nobody",
      basedOn: await revision("shop"),
      intent: "tidy up",
    });
    expect(unknown.data).toMatchObject({ code: "not_found", field: "databaseId", next: [{ tool: "databases_list" }] });
  });
});
