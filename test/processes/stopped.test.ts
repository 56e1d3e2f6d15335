// SIGSTOP for longer than a lease, then SIGCONT: whoever was taken over finds it out and records nothing; who was not finishes, once.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { thisOwner } from "../../state/drivers/host.js";
import { clientToken } from "../../state/tokens.js";
import { gate } from "../emulated/rules.js";
import { type Assistant, startAssistant } from "../harness.js";
import { folder } from "../state/folder.js";
import { open } from "../state/helpers.js";
import { REGION, type ScriptedAccount, startAccount } from "./account.js";
import { killed, startWorker, stopped, type Worker } from "./worker-process.js";

// Many processes on few cores: a busy machine makes them slow, not wrong.
vi.setConfig({ testTimeout: 240_000 });

const LEASE_MS = 300;
const SCOPE = "stack:web";

const refusal = (asked: Promise<unknown>) => expect(asked).rejects;

/** Every event of the journal and the epoch it was made under, in order. */
async function events(path: (name: string) => string): Promise<{ type: string; epoch: number }[]> {
  const names = (await readdir(path("journal"))).sort();
  const commits = await Promise.all(names.map((name) => readFile(path(`journal/${name}`), "utf8")));
  return commits.flatMap((text) => {
    const { epoch, events: made } = JSON.parse(text) as { epoch: number; events: { type: string }[] };
    return made.map(({ type }) => ({ type, epoch }));
  });
}

describe("a holder of a lease that is stopped for longer than the lease", () => {
  it("is taken over, and afterwards commits nothing under its old generation", async () => {
    const { root, driver, path } = await folder();
    const zombie = await startWorker({ root, leaseMs: LEASE_MS });
    const next = await startWorker({ root, leaseMs: LEASE_MS });
    await zombie.ask({ do: "plan" });
    const { generation } = await zombie.ask({ do: "acquire", scope: SCOPE });
    await zombie.ask({ do: "plan", epoch: generation });
    // While it lives and beats nobody gets the lease, however long they wait for it.
    await zombie.ask({ do: "keepBeating", generation, everyMs: LEASE_MS / 20 });
    await refusal(next.ask({ do: "acquire", scope: SCOPE, waitMs: 2 * LEASE_MS })).toMatchObject({
      code: "resource_busy",
    });
    zombie.signal("SIGSTOP");
    await stopped(zombie.pid);
    // Its pid is there all the while: a look at the process alone proves nothing.
    await refusal(next.ask({ do: "acquire", scope: SCOPE })).toMatchObject({ code: "resource_busy" });
    const taken = await next.ask({ do: "acquire", scope: SCOPE, waitMs: 10 * LEASE_MS });
    expect(taken.generation).toBe(generation + 1);
    const asked = zombie.ask({ do: "plan", epoch: generation });
    zombie.signal("SIGCONT");
    await refusal(asked).toMatchObject({ code: "resource_busy" });
    expect(await zombie.ask({ do: "beat", generation })).toEqual({ holds: false });
    await next.ask({ do: "plan", epoch: taken.generation });
    // What needs no lease it may still do.
    await zombie.ask({ do: "plan" });
    await Promise.all([zombie.close(), next.close()]);
    const made = await events(path);
    const takenAt = made.findLastIndex(({ type }) => type === "lease.acquired");
    expect(made.slice(takenAt).filter(({ epoch }) => epoch === generation)).toEqual([]);
    expect(made.slice(0, takenAt).filter(({ epoch }) => epoch === generation).length).toBe(2);
    expect(await (await open(driver())).verify()).toMatchObject({ ok: true, firstBad: null });
  });

  it("is taken over at once where its pid belongs to a process that began at another time", async () => {
    const { root, path } = await folder();
    const holder = await startWorker({ root });
    const next = await startWorker({ root });
    const { generation } = await holder.ask({ do: "acquire", scope: SCOPE });
    await refusal(next.ask({ do: "acquire", scope: SCOPE })).toMatchObject({ code: "resource_busy" });
    const lease = path(`lock/${String(generation).padStart(6, "0")}.json`);
    const text = await readFile(lease, "utf8");
    expect(JSON.parse(text).owner).toMatchObject({ pid: holder.pid });
    await writeFile(
      lease,
      text.replace(/"pid_start":"(\d+)"/, (_, start) => `"pid_start":"${Number(start) + 1}"`),
    );
    expect((await next.ask({ do: "acquire", scope: SCOPE })).generation).toBe(generation + 1);
    await refusal(holder.ask({ do: "plan", epoch: generation })).toMatchObject({ code: "resource_busy" });
    await Promise.all([holder.close(), next.close()]);
  });

  it.each(["link", "unlink"] as const)("in the middle of a compaction (%s) misleads nobody", async (call) => {
    const { root, driver } = await folder();
    const at = { call, path: call === "link" ? "/archive/" : "/journal/", nth: 1 };
    const zombie = await startWorker({ root, leaseMs: LEASE_MS, stopAt: at });
    const next = await startWorker({ root, leaseMs: LEASE_MS });
    for (let round = 0; round < 2; round++) {
      await next.ask({ do: "change", of: `i-${round}` });
      await next.ask({ do: "checkpoint" });
    }
    const compacting = zombie.ask({ do: "compact" });
    await stopped(zombie.pid);
    await refusal(next.ask({ do: "compact" })).toMatchObject({ code: "resource_busy" });
    // Somebody who waits for the lease gets it: the heartbeat of a stopped process stands still.
    const { generation } = await next.ask({ do: "acquire", scope: "store", waitMs: 10 * LEASE_MS });
    await next.ask({ do: "release", generation });
    await next.ask({ do: "compact" });
    await next.ask({ do: "change", of: "i-later" });
    zombie.signal("SIGCONT");
    await compacting;
    const answer = await zombie.ask({ do: "change", of: "i-last" });
    await Promise.all([zombie.close(), next.close()]);
    const store = await open(driver());
    const report = await store.verify();
    expect(report).toMatchObject({ ok: true, firstBad: null });
    expect(report.commits).toBe(answer.seq);
    expect((await store.state()).resources.size).toBe(4);
  });
});

describe("an operation whose process is stopped between intent and outcome", () => {
  const LOGS = "AWS::Logs::LogGroup";
  const PARAMETER = "AWS::SSM::Parameter";
  let account: ScriptedAccount;
  let root: string;
  let made: Awaited<ReturnType<typeof folder>>;
  let servers: Assistant[];

  beforeEach(async () => {
    account = await startAccount({ held: true });
    made = await folder();
    root = made.root;
    servers = [];
  });
  afterEach(async () => {
    await Promise.all(servers.map((server) => server.close().catch(() => {})));
    await account.stop();
  });

  async function start(): Promise<Assistant> {
    const server = await startAssistant({
      args: ["--allow-writes", "--approve-from", "never", "--default-tags", "off", "--state", root],
      env: account.env,
    });
    servers.push(server);
    return server;
  }

  const plan = (server: Assistant, type: string, properties: object) =>
    server.call("resources_create", { type, properties, intent: "held" });

  /** An apply whose call AWS has carried out while the server was stopped before it could hear of it. */
  async function stoppedApply(server: Assistant, executionToken: string, operation = "CreateResource") {
    const held = gate();
    const rule = { service: "cloudcontrolapi", operation };
    account.cloudControl.rule({ operation: operation as "CreateResource", polls: 0 });
    account.proxy.rule({ ...rule, hold: held.closed });
    const applying = server.call("changes_apply", { executionToken }).catch(() => null);
    await account.proxy.arrived(rule);
    process.kill(server.pid, "SIGSTOP");
    await stopped(server.pid);
    held.open();
    while (account.writes().length === 0) await new Promise((resolve) => setImmediate(resolve));
    return { applying };
  }

  const state = async () => (await open(made.driver())).state();

  it("and lives is left alone by everybody, and finishes once it goes on", async () => {
    const server = await start();
    const other = await start();
    const planned = await plan(server, LOGS, { LogGroupName: "held" });
    const { executionToken, change } = planned.data;
    const { applying } = await stoppedApply(server, executionToken);
    const seen = await other.call("session_whoami");
    expect(seen.data.openOperations).toMatchObject([{ changeId: change.changeId, state: "open" }]);
    expect((await other.call("changes_get", { changeId: change.changeId })).data.change.state).toBe("applying");
    const repeated = await other.call("changes_apply", { executionToken });
    expect(repeated.data, JSON.stringify(repeated.data)).toMatchObject({ outcome: "in_progress" });
    const read = await other.call("resources_get", { type: LOGS, identifier: "held" });
    const busy = await other.call("resources_delete", {
      type: LOGS,
      identifier: "held",
      basedOn: read.data.revision,
      intent: "meanwhile",
    });
    const refused = busy.isError
      ? busy
      : await other.call("changes_apply", { executionToken: busy.data.executionToken });
    expect(refused.data, JSON.stringify(refused.data)).toMatchObject({ code: "resource_busy" });
    process.kill(server.pid, "SIGCONT");
    expect((await applying)?.data.outcome).toBe("applied");
    expect(account.writes().map(({ params }) => params.ClientToken)).toEqual([clientToken(executionToken, 0)]);
    const types = (await events(made.path)).map(({ type }) => type);
    expect(types.filter((type) => type === "op.intent" || type === "op.takeover")).toEqual(["op.intent"]);
    expect(types.filter((type) => type === "op.succeeded")).toHaveLength(1);
    expect(await (await open(made.driver())).verify()).toMatchObject({ ok: true });
  });

  it("and is killed then: a create that AWS carried out is settled as done by the next one", async () => {
    const server = await start();
    const planned = await plan(server, LOGS, { LogGroupName: "held", RetentionInDays: 7 });
    const { executionToken, change } = planned.data;
    const { applying } = await stoppedApply(server, executionToken);
    await killed(server.pid);
    expect(await applying).toBeNull();
    const next = await start();
    const after = await next.call("changes_get", { changeId: change.changeId });
    expect(after.data.change, JSON.stringify(after.data)).toMatchObject({ state: "applied" });
    // Asked again under the same token, AWS says what became of it: there is one request and one resource.
    expect([...new Set(account.writes().map(({ params }) => params.ClientToken))]).toEqual([
      clientToken(executionToken, 0),
    ]);
    const [found] = [...(await state()).resources.values()];
    expect(found?.lineage.map(({ outcome, executionToken: token }) => [outcome, token])).toEqual([
      ["succeeded", executionToken],
    ]);
  });

  it("and is killed then: a create that no read can prove is named, waits for a decision in the end, and is imported by one", async () => {
    const server = await start();
    const properties = { Name: "/held", Type: "String", Value: "v", Tier: "Standard" };
    const { executionToken, change } = (await plan(server, PARAMETER, properties)).data;
    const { applying } = await stoppedApply(server, executionToken);
    await killed(server.pid);
    expect(await applying).toBeNull();
    const next = await start();
    const named = await next.call("session_whoami");
    expect(named.data.openOperations).toMatchObject([{ changeId: change.changeId, state: "unknown" }]);
    await next.close();
    const later = await startWorker({ root, aheadMs: 30 * 60_000 }, { env: account.env });
    const after = await later.ask({ do: "call", tool: "changes_get", args: { changeId: change.changeId } });
    expect(after.data.change, JSON.stringify(after.data)).toMatchObject({ state: "unknown" });
    expect(after.data.parked).toMatchObject([{ changeId: change.changeId, choices: ["import", "clear", "retry"] }]);
    const decided = await later.ask({
      do: "call",
      tool: "changes_resolve",
      args: { changeId: change.changeId, choice: "import", reason: "it is the one this plan made" },
    });
    expect(decided.data.change, JSON.stringify(decided.data)).toMatchObject({ state: "applied" });
    await later.close();
    expect(account.writes()).toHaveLength(1);
    const [found] = [...(await state()).resources.values()];
    expect(found).toMatchObject({ ref: { id: "/held" }, deleted: false, properties: { Value: "v" } });
    expect(found?.lineage.map(({ outcome }) => outcome)).toEqual(["succeeded"]);
  });

  it("and is killed then: an update that AWS carried out is settled as done by the next one", async () => {
    account.cloudControl.world.put(LOGS, "held", { LogGroupName: "held", RetentionInDays: 7 });
    const server = await start();
    const seen = await server.call("resources_get", { type: LOGS, identifier: "held" });
    const planned = await server.call("resources_update", {
      type: LOGS,
      identifier: "held",
      properties: { RetentionInDays: 30 },
      basedOn: seen.data.revision,
      intent: "held",
    });
    const { applying } = await stoppedApply(server, planned.data.executionToken, "UpdateResource");
    await killed(server.pid);
    expect(await applying).toBeNull();
    const next = await start();
    const after = await next.call("changes_get", { changeId: planned.data.change.changeId });
    expect(after.data.change, JSON.stringify(after.data)).toMatchObject({ state: "applied" });
    expect(account.writes()).toHaveLength(1);
  });

  it("is not the business of a process that has only its pid", async () => {
    const worker = await startWorker({ root }, { env: account.env });
    const server = await start();
    const planned = await plan(server, LOGS, { LogGroupName: "reused" });
    const { executionToken, change } = planned.data;
    // This test's own process lives; the owner is said to be a process of that pid which began at another time.
    const { session: _, ...machine } = await worker.ask({ do: "owner" });
    const mine = thisOwner({ host: machine.host, pid: process.pid, session: "gone", pidExists: () => true });
    expect(mine.pidStart).not.toBe("");
    await worker.ask({
      do: "intend",
      changeId: change.changeId,
      token: executionToken,
      owner: { ...mine, pidStart: String(Number(mine.pidStart) + 1) },
    });
    const after = await server.call("changes_get", { changeId: change.changeId });
    expect(after.data.change, JSON.stringify(after.data)).toMatchObject({ state: "applied" });
    expect(account.cloudControl.world.identifiers(LOGS, { region: REGION })).toEqual(["reused"]);
    expect(account.writes()).toHaveLength(1);
    expect((await events(made.path)).filter(({ type }) => type === "op.takeover")).toHaveLength(1);
    await worker.close();
  });

  it("finds out that it was taken over, and records nothing", async () => {
    const zombie: Worker = await startWorker({ root });
    const next = await startWorker({ root });
    const { changeId, token } = await zombie.ask({ do: "plan" });
    const { operationId } = await zombie.ask({ do: "intend", changeId, token });
    zombie.signal("SIGSTOP");
    await stopped(zombie.pid);
    // As a process would that holds the proof of a death this machine cannot see.
    await next.ask({
      do: "commit",
      events: [{ type: "op.takeover", operationId, owner: await next.ask({ do: "owner" }) }],
    });
    const outcome = zombie.ask({ do: "succeed", operationId });
    zombie.signal("SIGCONT");
    await refusal(outcome).toMatchObject({ code: "resource_busy" });
    expect((await state()).operations.get(operationId)?.state).toBe("open");
    await next.ask({ do: "succeed", operationId });
    await refusal(zombie.ask({ do: "succeed", operationId })).toBeInstanceOf(Error);
    await Promise.all([zombie.close(), next.close()]);
    expect((await events(made.path)).filter(({ type }) => type === "op.succeeded")).toHaveLength(1);
  });
});
