// A disk that is really full, or read-only: nothing begins on it, what had begun is recorded on it, and it is said why.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JsonObject } from "../../src/core/json.js";
import { readCheckpoint } from "../../state/checkpoint.js";
import { fileDriver } from "../../state/drivers/file.js";
import { clientToken } from "../../state/tokens.js";
import { seeded } from "../crash/scenario.js";
import { skipLoudly } from "../emulated/skip.js";
import { type Answer, type Assistant, startAssistant } from "../harness.js";
import { ids, open, testClock } from "../state/helpers.js";
import { type ScriptedAccount, startAccount } from "./account.js";
import { type SmallDisk, smallDisk } from "./small-disk.js";
import { startWorker } from "./worker-process.js";

// Many processes on few cores: a busy machine makes them slow, not wrong.
vi.setConfig({ testTimeout: 240_000 });

const LOGS = "AWS::Logs::LogGroup";
const KiB = 1024;

const probe = await smallDisk(64);
await probe?.close();
if (!probe)
  skipLoudly(
    "a full and a read-only disk",
    "the right to mount: unshare --map-root-user --mount, as root or where users may",
  );

describe.skipIf(!probe)("a state folder on a small disk", () => {
  let account: ScriptedAccount;
  let disk: SmallDisk;
  const servers: Assistant[] = [];

  beforeEach(async () => {
    account = await startAccount({ held: true });
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close().catch(() => {});
    await disk.close();
    await account.stop();
  });

  const root = () => `${disk.path}/state`;
  const seenHere = () => `${disk.here}/state`;
  const opened = () => open(fileDriver({ root: seenHere() }, { clock: testClock(), ids }));

  async function start(): Promise<Assistant> {
    const args = ["--allow-writes", "--approve-from", "never", "--state", root()];
    const server = await startAssistant({ args, env: account.env, within: disk.within });
    servers.push(server);
    return server;
  }

  const createInput = (name: string) => ({ type: LOGS, properties: { LogGroupName: name }, intent: "on a small disk" });
  const plan = (server: Assistant, name: string) => server.call("resources_create", createInput(name));
  const apply = (server: Assistant, planned: Answer) =>
    server.call("changes_apply", { executionToken: planned.data.executionToken });

  /** What must hold at every moment: checkpoints are whole, and AWS got nothing that is not in the journal. */
  function holds(): void {
    for (const name of ["state.json", "state.json.prev"]) {
      const file = join(seenHere(), name);
      if (existsSync(file)) expect(readCheckpoint(readFileSync(file)).kind, name).toBe("checkpoint");
    }
    const journal = join(seenHere(), "journal");
    const commits = (existsSync(journal) ? readdirSync(journal) : []).map((name) =>
      readFileSync(join(journal, name), "utf8"),
    );
    for (const { params } of account.writes()) {
      const intended = commits.some((text) => text.includes(`"client_token":"${params.ClientToken}"`));
      expect(intended, `${params.ClientToken} is in AWS and not in the journal`).toBe(true);
    }
  }

  /** An apply, with something done to the disk after its call was sent and before AWS gets it. */
  function during(server: Assistant, planned: Answer, happens: () => unknown): Promise<Answer> {
    account.proxy.rule({ service: "cloudcontrolapi", operation: "CreateResource", before: happens });
    return apply(server, planned);
  }

  it("of 256 KiB refuses to begin anything, says why, and says it from the first list of tools on", async () => {
    disk = (await smallDisk(256))!;
    const server = await start();
    expect((await server.tools()).map(({ name }) => name)).not.toContain("changes_apply");
    const planned = await plan(server, "never");
    expect(planned.data, JSON.stringify(planned.data)).toMatchObject({
      code: "state_read_only",
      nothingWasChanged: true,
      stateProblem: { code: "state_read_only" },
    });
    expect(planned.data.message).toContain("its disk or quota is full (ENOSPC)");
    expect(planned.data.message).toContain("free some space there");
    const read = await server.call("resources_list", { type: LOGS });
    expect(read.isError, JSON.stringify(read.data)).toBe(false);
    expect(read.data.stateProblem.message).toContain("its disk or quota is full");
    expect(account.writes()).toEqual([]);
    expect(existsSync(seenHere())).toBe(false);
  });

  it("that fills up between intent and outcome takes the outcome from the space set aside, and begins nothing more", async () => {
    disk = (await smallDisk(2 * KiB))!;
    const server = await start();
    const first = await plan(server, "held");
    const second = await plan(server, "later");
    expect(readFileSync(join(seenHere(), "reserve"))).toHaveLength(64 * KiB);
    const applied = await during(server, first, () => disk.takeAll());
    expect(applied.data, JSON.stringify(applied.data)).toMatchObject({ outcome: "applied" });
    expect(existsSync(join(seenHere(), "reserve"))).toBe(false);
    holds();
    const refused = await apply(server, second);
    expect(refused.data, JSON.stringify(refused.data)).toMatchObject({
      code: "state_read_only",
      nothingWasChanged: true,
    });
    expect(refused.data.message).toContain("its disk or quota is full (ENOSPC)");
    expect(account.writes()).toHaveLength(1);
    const store = await opened();
    expect((await store.state()).changes.get(first.data.change.changeId)?.state).toBe("applied");
    expect(await store.verify()).toMatchObject({ ok: true, firstBad: null });
    disk.giveBack();
    expect((await apply(server, second)).data.outcome).toBe("applied");
    holds();
  });

  it("that has not even the space set aside: the outcome is said to be unrecorded, and settled when there is room", async () => {
    disk = (await smallDisk(2 * KiB))!;
    const server = await start();
    const planned = await plan(server, "held");
    const applied = await during(server, planned, async () => {
      await fileDriver({ root: seenHere() }, { clock: testClock(), ids }).spendReserve();
      disk.takeAll();
    });
    expect(applied.data, JSON.stringify(applied.data)).toMatchObject({
      code: "outcome_unknown",
      reason: "state_read_only",
    });
    expect(applied.data.stateProblem.message).toContain("its disk or quota is full");
    holds();
    disk.giveBack();
    await server.close();
    const next = await start();
    const change = await next.call("changes_get", { changeId: planned.data.change.changeId });
    expect(change.data.change, JSON.stringify(change.data)).toMatchObject({ state: "applied" });
    expect(new Set(account.writes().map(({ params }) => params.ClientToken)).size).toBe(1);
    holds();
  });

  it.each([1, 2, 3, 4])("of 256 KiB that fills up at random (seed %i) loses nothing it acknowledged", async (seed) => {
    disk = (await smallDisk(256))!;
    const next = seeded(seed);
    // The command keeps a mebibyte free before it begins. Here it is little more than the reserve, so that changes begin
    // on a disk that has hardly anything left.
    const options = { root: root(), minFreeBytes: 68 * KiB };
    const worker = await startWorker(options, { env: account.env, within: disk.within });
    const call = (tool: string, args: JsonObject): Promise<Answer> => worker.ask({ do: "call", tool, args });
    let fills = false;
    account.proxy.rule({
      service: "cloudcontrolapi",
      operation: "CreateResource",
      times: Number.POSITIVE_INFINITY,
      before: () => fills && disk.takeAll(),
    });
    const acknowledged: string[] = [];
    const reserve = () => existsSync(join(seenHere(), "reserve"));
    let fromReserve = 0;
    let refused = 0;
    for (let round = 0; round < 30; round++) {
      if (next() % 2 === 0) disk.giveBack();
      disk.take((next() % 24) * 4 * KiB);
      fills = next() % 2 === 0;
      const planned = await call("resources_create", createInput(`small-${seed}-${round}`));
      holds();
      if (planned.isError) {
        expect(planned.data, JSON.stringify(planned.data)).toMatchObject({ code: "state_read_only" });
        expect(planned.data.message).toContain("its disk or quota is full (ENOSPC)");
        refused++;
        continue;
      }
      const had = reserve();
      const { executionToken, change } = planned.data;
      const applied = await call("changes_apply", { executionToken });
      holds();
      if (applied.data.outcome === "applied") {
        acknowledged.push(change.changeId);
        if (had && !reserve()) fromReserve++;
      } else {
        refused++;
        expect(["state_read_only", "outcome_unknown"], JSON.stringify(applied.data)).toContain(applied.data.code);
        const mine = account.writes().filter(({ params }) => params.ClientToken === clientToken(executionToken, 0));
        if (applied.data.code === "state_read_only") expect(mine).toEqual([]);
      }
    }
    await worker.kill();
    const store = await opened();
    const report = await store.verify();
    expect(report, JSON.stringify(report)).toMatchObject({ ok: true, firstBad: null });
    const { changes } = await store.state();
    expect(acknowledged.filter((id) => changes.get(id)?.state !== "applied")).toEqual([]);
    process.stdout.write(
      `256 KiB, seed ${seed}: ${acknowledged.length} applied, ${fromReserve} from the reserve, ${refused} refused\n`,
    );
    expect(acknowledged.length).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
  });

  it("that becomes read-only while the server runs: reads go on, changes are refused, and go on when it is writable again", async () => {
    disk = (await smallDisk(2 * KiB))!;
    const server = await start();
    const planned = await plan(server, "held");
    await disk.remount("ro");
    const refused = await apply(server, planned);
    expect(refused.data, JSON.stringify(refused.data)).toMatchObject({
      code: "state_read_only",
      nothingWasChanged: true,
    });
    expect(refused.data.message).toContain("its file system is read-only (EROFS)");
    expect(refused.data.message).toContain("mount it writable or choose another folder with --state");
    const read = await server.call("resources_list", { type: LOGS });
    expect(read.isError).toBe(false);
    expect(read.data.stateProblem).toMatchObject({ code: "state_read_only" });
    expect(account.writes()).toEqual([]);
    // A server that starts there serves reads and has no tool that changes AWS.
    const late = await start();
    expect((await late.tools()).map(({ name }) => name)).not.toContain("changes_apply");
    const asked = await apply(late, planned);
    expect(asked.data.message).toContain("EROFS");
    await disk.remount("rw");
    expect((await apply(server, planned)).data.outcome).toBe("applied");
    expect((await server.call("session_whoami")).data.stateProblem).toBeUndefined();
    expect(account.writes()).toHaveLength(1);
    holds();
  });

  it("that becomes read-only between intent and outcome: the outcome is unrecorded, named, and settled without a second call", async () => {
    disk = (await smallDisk(2 * KiB))!;
    const server = await start();
    const planned = await plan(server, "held");
    const applied = await during(server, planned, () => disk.remount("ro"));
    expect(applied.data, JSON.stringify(applied.data)).toMatchObject({
      code: "outcome_unknown",
      reason: "state_read_only",
      nothingWasChanged: "unknown",
    });
    expect(applied.data.message).toContain("do not plan it a second time");
    await disk.remount("rw");
    await server.close();
    const next = await start();
    const change = await next.call("changes_get", { changeId: planned.data.change.changeId });
    expect(change.data.change, JSON.stringify(change.data)).toMatchObject({ state: "applied" });
    expect(new Set(account.writes().map(({ params }) => params.ClientToken)).size).toBe(1);
    holds();
  });
});
