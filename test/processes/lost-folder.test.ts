// The state folder is taken away from a running server: its rights, or all of it. Nothing is sent without a record, nothing is made anew.

import { chmodSync, chownSync, cpSync, existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Answer, type Assistant, startAssistant, temporaryFolder } from "../harness.js";
import { type ScriptedAccount, startAccount } from "./account.js";

// Many processes on few cores: a busy machine makes them slow, not wrong.
vi.setConfig({ testTimeout: 240_000 });

const LOGS = "AWS::Logs::LogGroup";
/** Modes mean nothing to root: where the tests are root's, the server is somebody else's. */
const IS_ROOT = process.getuid?.() === 0;
const NOBODY = 65_534;
const AS_NOBODY = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];

let account: ScriptedAccount;
let folder: ReturnType<typeof temporaryFolder>;
let servers: Assistant[];
let root: string;

beforeEach(async () => {
  account = await startAccount({ held: true });
  folder = temporaryFolder("lost-");
  if (IS_ROOT) chownSync(folder.path, NOBODY, NOBODY);
  root = join(folder.path, "state");
  servers = [];
});
afterEach(async () => {
  for (const server of servers) await server.close().catch(() => {});
  await account.stop();
  folder.remove();
});

async function start(): Promise<Assistant> {
  const args = ["--allow-writes", "--approve-from", "never", "--state", root];
  const server = await startAssistant({ args, env: account.env, ...(IS_ROOT && { within: AS_NOBODY }) });
  servers.push(server);
  return server;
}

const plan = (server: Assistant, name: string) =>
  server.call("resources_create", { type: LOGS, properties: { LogGroupName: name }, intent: "before it is lost" });
const apply = (server: Assistant, planned: Answer) =>
  server.call("changes_apply", { executionToken: planned.data.executionToken });

/** An apply, with something done after its call was sent and before AWS gets it. */
function during(server: Assistant, planned: Answer, happens: () => unknown): Promise<Answer> {
  account.proxy.rule({ service: "cloudcontrolapi", operation: "CreateResource", before: happens });
  return apply(server, planned);
}

const mode = (bits: number): void => {
  for (const name of ["journal", "tmp", ""]) chmodSync(join(root, name), bits);
};

describe("a state folder whose rights are taken away while the server runs", () => {
  it("refuses changes, says whose folder it has to be, serves reads, and goes on once it has them again", async () => {
    const server = await start();
    const planned = await plan(server, "held");
    mode(0o500);
    const refused = await apply(server, planned);
    expect(refused.data, JSON.stringify(refused.data)).toMatchObject({
      code: "state_read_only",
      nothingWasChanged: true,
    });
    expect(refused.data.message).toContain("this user may not write there (EACCES)");
    expect(refused.data.message).toContain("give this user the folder or choose another one with --state");
    const read = await server.call("resources_list", { type: LOGS });
    expect(read.isError).toBe(false);
    expect(read.data.stateProblem).toMatchObject({ code: "state_read_only" });
    const late = await start();
    expect((await late.tools()).map(({ name }) => name)).not.toContain("changes_apply");
    expect(account.writes()).toEqual([]);
    mode(0o700);
    expect((await apply(server, planned)).data.outcome).toBe("applied");
    expect((await server.call("session_whoami")).data.stateProblem).toBeUndefined();
    expect(account.writes()).toHaveLength(1);
  });

  it("names an outcome that it could not record, and the next server settles it without a second call", async () => {
    const server = await start();
    const planned = await plan(server, "held");
    const applied = await during(server, planned, () => mode(0o500));
    expect(applied.data, JSON.stringify(applied.data)).toMatchObject({
      code: "outcome_unknown",
      reason: "state_read_only",
    });
    expect(applied.data.stateProblem.message).toContain("EACCES");
    mode(0o700);
    await server.close();
    const next = await start();
    const change = await next.call("changes_get", { changeId: planned.data.change.changeId });
    expect(change.data.change, JSON.stringify(change.data)).toMatchObject({ state: "applied" });
    expect(new Set(account.writes().map(({ params }) => params.ClientToken)).size).toBe(1);
  });

  it("that cannot even be read any more is never taken for a new one", async () => {
    const server = await start();
    const planned = await plan(server, "held");
    chmodSync(root, 0o000);
    const refused = await apply(server, planned);
    expect(refused.data, JSON.stringify(refused.data)).toMatchObject({
      code: "state_unreadable",
      nothingWasChanged: true,
    });
    expect(refused.data.message).toContain("could not be read (EACCES)");
    expect(account.writes()).toEqual([]);
    chmodSync(root, 0o700);
    expect((await apply(server, planned)).data.outcome).toBe("applied");
  });
});

describe("a state folder that is removed while the server runs", () => {
  it("stays removed: nothing is sent, and the plans are there again once the folder is", async () => {
    const server = await start();
    const planned = await plan(server, "held");
    const copy = join(folder.path, "copy");
    cpSync(root, copy, { recursive: true, preserveTimestamps: true });
    rmSync(root, { recursive: true });
    const refused = await apply(server, planned);
    expect(refused.data, JSON.stringify(refused.data)).toMatchObject({
      code: "state_unreadable",
      nothingWasChanged: true,
    });
    expect(refused.data.message).toContain("the folder is gone");
    expect(refused.data.message).toContain("restore it, then start again");
    const again = await plan(server, "another");
    expect(again.isError, JSON.stringify(again.data)).toBe(true);
    expect(["state_read_only", "state_unreadable"]).toContain(again.data.code);
    const read = await server.call("resources_list", { type: LOGS });
    expect(read.isError).toBe(false);
    expect(read.data.stateProblem).toBeDefined();
    expect(existsSync(root)).toBe(false);
    expect(account.writes()).toEqual([]);
    await server.close();
    expect(readdirSync(folder.path)).toEqual(["copy"]);
    restore(copy);
    const next = await start();
    expect((await apply(next, planned)).data.outcome).toBe("applied");
    expect(account.writes()).toHaveLength(1);
  });

  it("between intent and outcome: the outcome is named as unrecorded, and settled in the folder that was saved", async () => {
    const server = await start();
    const planned = await plan(server, "held");
    const copy = join(folder.path, "copy");
    const applied = await during(server, planned, () => {
      cpSync(root, copy, { recursive: true, preserveTimestamps: true });
      rmSync(root, { recursive: true });
    });
    expect(applied.data, JSON.stringify(applied.data)).toMatchObject({ code: "outcome_unknown" });
    expect(existsSync(root)).toBe(false);
    await server.close();
    restore(copy);
    const next = await start();
    const change = await next.call("changes_get", { changeId: planned.data.change.changeId });
    expect(change.data.change, JSON.stringify(change.data)).toMatchObject({ state: "applied" });
    expect(new Set(account.writes().map(({ params }) => params.ClientToken)).size).toBe(1);
  });

  /** What was saved, as the server's user has to find it. */
  function restore(copy: string): void {
    cpSync(copy, root, { recursive: true, preserveTimestamps: true });
    const all = [root, ...readdirSync(root, { recursive: true }).map((name) => join(root, String(name)))];
    if (IS_ROOT) for (const path of all) chownSync(path, NOBODY, NOBODY);
    chmodSync(root, 0o700);
  }
});
