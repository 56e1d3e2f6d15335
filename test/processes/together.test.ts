// Many processes on one store at the same time: one chain without a gap, every operation once, every token once.

import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { journalKey } from "../../state/driver.js";
import { clientToken } from "../../state/tokens.js";
import { type Assistant, startAssistant } from "../harness.js";
import { type Folder, folder } from "../state/folder.js";
import { open } from "../state/helpers.js";
import { type ScriptedAccount, startAccount } from "./account.js";
import { Refusal, startWorker, type Worker } from "./worker-process.js";

// Many processes on few cores: a busy machine makes them slow, not wrong.
vi.setConfig({ testTimeout: 240_000 });

const LOGS = "AWS::Logs::LogGroup";

/** Told to start at the same moment, each with its own changes; one of them archives and checkpoints all the while. */
async function allAtOnce(made: Folder, processes: number, changes: number, compacting: boolean) {
  const workers = await Promise.all(Array.from({ length: processes }, () => startWorker({ root: made.root })));
  let writing = true;
  const maintenance = async (worker: Worker) => {
    while (writing) {
      await worker.ask({ do: "checkpoint" });
      await worker.ask({ do: "compact" }).catch((error: unknown) => {
        if (!(error instanceof Refusal) || error.code !== "resource_busy") throw error;
      });
    }
  };
  const several = async (worker: Worker, index: number) => {
    const answers: { seq: number; changeId: string; token: string }[] = [];
    for (let change = 0; change < changes; change++) {
      answers.push(await worker.ask({ do: "change", of: `i-${index}-${change}` }));
    }
    return answers;
  };
  const upkeep = compacting ? maintenance(await startWorker({ root: made.root }).then(kept(workers))) : null;
  const answers = (await Promise.all(workers.slice(0, processes).map(several))).flat();
  writing = false;
  await upkeep;
  await Promise.all(workers.map((worker) => worker.close()));
  return answers;
}

const kept =
  (workers: Worker[]) =>
  (worker: Worker): Worker => {
    workers.push(worker);
    return worker;
  };

describe("processes that commit at once", () => {
  it.each([
    [2, 12, false],
    [2, 12, true],
    [8, 5, false],
    [8, 5, true],
    [32, 2, false],
    [32, 2, true],
  ])("%i of them, %i changes each, one compacting: %s", async (processes, changes, compacting) => {
    const made = await folder();
    const answers = await allAtOnce(made, processes, changes, compacting);
    const expected = processes * changes;
    expect(new Set(answers.map(({ token }) => token)).size).toBe(expected);
    const store = await open(made.driver());
    expect(store.readOnly).toBeNull();
    const report = await store.verify();
    expect(report).toMatchObject({ ok: true, firstBad: null });
    const state = await store.state();
    // Plan, intent and outcome of every change; a compaction adds its leases.
    if (!compacting) expect(report.commits).toBe(3 * expected);
    else expect(report.archive.floor).toBeGreaterThan(0);
    expect(report.commits - (state.leases?.get("store")?.generation ?? 0)).toBe(3 * expected);
    for (const { changeId, token } of answers) {
      const change = state.changes.get(changeId);
      expect(change?.state).toBe("applied");
      const entries = [...state.resources.values()].flatMap(({ lineage }) =>
        lineage.filter((entry) => entry.executionToken === token),
      );
      expect(entries).toHaveLength(1);
    }
    expect(state.operations.size).toBe(expected);
    expect(state.resources.size).toBe(expected);
  });
});

describe("server processes that apply at once", () => {
  const SERVERS = 8;
  let account: ScriptedAccount;
  let made: Folder["root"];
  let servers: Assistant[];

  beforeAll(async () => {
    account = await startAccount({ held: true });
  });
  afterAll(() => account.stop());

  async function startAll(root: string): Promise<void> {
    made = root;
    servers = await Promise.all(
      Array.from({ length: SERVERS }, () =>
        startAssistant({ args: ["--allow-writes", "--approve-from", "never", "--state", made], env: account.env }),
      ),
    );
  }
  const stopAll = () => Promise.all(servers.map((server) => server.close()));
  const create = (server: Assistant, name: string) =>
    server.call("resources_create", { type: LOGS, properties: { LogGroupName: name }, intent: "all at once" });

  it("different changes: each is in AWS and in the state once", async () => {
    const { root, driver } = await folder();
    await startAll(root);
    const applied = await Promise.all(
      servers.map(async (server, index) => {
        const planned = await create(server, `different-${index}`);
        return server.call("changes_apply", { executionToken: planned.data.executionToken });
      }),
    );
    expect(applied.map(({ data }) => data.outcome)).toEqual(Array(SERVERS).fill("applied"));
    await stopAll();
    const store = await open(driver());
    expect(await store.verify()).toMatchObject({ ok: true, firstBad: null });
    expect((await store.state()).resources.size).toBe(SERVERS);
    expect(account.cloudControl.world.identifiers(LOGS)).toHaveLength(SERVERS);
    expect(account.writes()).toHaveLength(SERVERS);
  });

  it("the same token: one call in AWS, and nobody is told anything else than that it is being or was applied", async () => {
    account.cloudControl.reset();
    account.proxy.clear();
    const { root, driver, path } = await folder();
    await startAll(root);
    const planned = await create(servers[0]!, "the-one");
    const { executionToken } = planned.data;
    const answers = await Promise.all(servers.map((server) => server.call("changes_apply", { executionToken })));
    const outcomes = answers.map(({ data }) => data.outcome ?? data.code);
    expect(outcomes.filter((outcome) => outcome === "applied").length).toBeGreaterThan(0);
    for (const outcome of outcomes)
      expect(["applied", "in_progress", "token_spent", "already_exists"]).toContain(outcome);
    const again = await Promise.all(servers.map((server) => server.call("changes_apply", { executionToken })));
    expect(again.map(({ data }) => [data.outcome, data.repeated?.code])).toEqual(
      Array(SERVERS).fill(["applied", "token_spent"]),
    );
    await stopAll();
    expect(account.writes().map(({ params }) => params.ClientToken)).toEqual([clientToken(executionToken, 0)]);
    const store = await open(driver());
    const report = await store.verify();
    expect(report).toMatchObject({ ok: true, firstBad: null });
    let intents = 0;
    for (let seq = 1; seq <= report.commits; seq++) {
      if ((await readFile(path(journalKey(seq)), "utf8")).includes('"op.intent"')) intents++;
    }
    expect(intents).toBe(1);
  });
});
