// Bad input: its own code, the field, the next step; AWS untouched, state intact.

import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Assistant, startAssistant, temporaryFolder } from "../harness.js";

describe("arguments", () => {
  let assistant: Assistant;
  beforeAll(async () => {
    assistant = await startAssistant({ args: ["--sandbox"] });
  });
  afterAll(() => assistant.close());

  it("an unknown tool is a protocol error with our code, the nearest names and the next call", async () => {
    const error = await assistant.call("instances_lists").catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: -32602,
      data: { code: "unknown_tool", field: "name", next: [{ tool: "tools_search" }] },
    });
    expect((error as Error).message).toContain("instances_list");
    const wrapped = await assistant.call("tools_run", { tool: "instances.lists" });
    expect(wrapped).toMatchObject({ isError: true, data: { code: "unknown_tool", field: "name" } });
  });

  it.each([
    ["missing", "securityGroups_get", {}, "groupId", /required/],
    ["missing, and a token by its name,", "changes_apply", {}, "executionToken", /executionToken is required/],
    ["malformed", "securityGroups_get", { groupId: "prod" }, "groupId", /sg-/],
    ["unknown", "instances_list", { limits: 5 }, "limits", /did you mean limit/],
    ["wrong type", "instances_list", { limit: "five" }, "limit", /number/],
    ["out of range", "instances_list", { limit: 5000 }, "limit", /100/],
    [
      "nested",
      "securityGroups_addRule",
      { groupId: "sg-0bb00000000000001", rule: { peer: "everyone" }, intent: "open it" },
      "rule.peer",
      /CIDR/,
    ],
    [
      "nested missing",
      "securityGroups_addRule",
      { groupId: "sg-0bb00000000000001", rule: { peer: "10.0.0.0/8" }, intent: "open it" },
      "rule.fromPort",
      /needed/,
    ],
    [
      "no intent",
      "securityGroups_addRule",
      { groupId: "sg-0bb00000000000001", rule: { peer: "10.0.0.0/8", fromPort: 1 } },
      "intent",
      /required/,
    ],
    ["a type", "resources_get", { type: "S3 bucket", identifier: "x" }, "type", /AWS::S3::Bucket/],
    ["a foreign cursor", "instances_list", { cursor: "bm90IG9uZQ" }, "cursor", /without a cursor/],
  ] as const)("%s argument is named, with what is right", async (_what, tool, args, field, hint) => {
    const answer = await assistant.call(tool, args);
    expect(answer.isError, JSON.stringify(answer.data)).toBe(true);
    expect(answer.data).toMatchObject({ field, nothingWasChanged: true });
    expect(["validation_error", "invalid_cursor"]).toContain(answer.data.code);
    expect(answer.data.message).toMatch(hint);
  });

  it("an unknown region is refused by name, with near ones", async () => {
    const answer = await assistant.call("instances_list", { region: "us-est-1" });
    expect(answer.data).toMatchObject({ code: "unknown_region", field: "region" });
    expect(JSON.stringify(answer.data)).toContain("us-east-1");
  });

  it.each([
    ["a made-up token", "xt_1_AAAAAAAAAAAAAAAAAAAAAA", "unknown_token"],
    ["no token at all", "please", "unknown_token"],
    ["an empty one", "", "validation_error"],
  ])("%s is refused", async (_what, executionToken, code) => {
    const answer = await assistant.call("changes_apply", { executionToken });
    expect(answer.data).toMatchObject({ code, field: "executionToken", nothingWasChanged: true });
  });

  it("extra arguments of apply are refused: there is nothing to smuggle in", async () => {
    const answer = await assistant.call("changes_apply", { executionToken: "x", confirm: true });
    expect(answer.data).toMatchObject({ code: "validation_error", field: "confirm" });
  });

  it("things that do not exist are said not to, with the list to look in", async () => {
    const group = await assistant.call("securityGroups_get", { groupId: "sg-0123456789abcdef0" });
    expect(group.data).toMatchObject({ code: "not_found", field: "groupId", next: [{ tool: "securityGroups_list" }] });
    const change = await assistant.call("changes_get", { changeId: "ch_zz" });
    expect(change.data).toMatchObject({ code: "unknown_change", next: [{ tool: "changes_list" }] });
    const history = await assistant.call("state_history", { identifier: "nothing" });
    expect(history.data).toMatchObject({ code: "no_history" });
  });

  it("a call the sandbox does not know is refused, never answered empty", async () => {
    const answer = await assistant.call("resources_list", { type: "AWS::Lambda::Function" });
    expect(answer.data).toMatchObject({ code: "not_in_sandbox", sandbox: true });
  });
});

describe("tokens", () => {
  it("expired, foreign and cancelled ones are refused by their own codes", async () => {
    const folder = temporaryFolder();
    const world = join(folder.path, "world.json");
    const start = (state: string, ...args: string[]) =>
      startAssistant({ args: ["--sandbox", "--sandbox-world", world, "--state", join(folder.path, state), ...args] });
    const a = await start("a");
    const rule = { fromPort: 8443, peer: "10.0.0.0/8" };
    const plan = (assistant: Assistant) =>
      assistant.call("securityGroups_addRule", { groupId: "sg-0bb00000000000001", rule, intent: "admin port" });
    const planned = await plan(a);
    const b = await start("b");
    const foreign = await b.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(foreign.data).toMatchObject({ code: "unknown_token", field: "executionToken" });

    expect((await a.call("changes_cancel", { changeId: planned.data.change.changeId })).isError).toBe(false);
    const cancelled = await a.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(cancelled.data).toMatchObject({ code: "change_cancelled", field: "executionToken" });

    // Another process on the same folder may apply: the identity is the same.
    const shared = await plan(a);
    const c = await start("a");
    expect((await c.call("changes_apply", { executionToken: shared.data.executionToken })).data.outcome).toBe(
      "applied",
    );
    const spent = await a.call("changes_apply", { executionToken: shared.data.executionToken });
    expect(spent.data.repeated).toMatchObject({ code: "token_spent" });
    for (const assistant of [a, b, c]) await assistant.close();
    folder.remove();
  });
});

describe("configuration", () => {
  const refusedStart = async (args: string[], env: Record<string, string> = {}) => {
    const assistant = await startAssistant({ args, env }).catch((error: unknown) => error as Error);
    if (assistant instanceof Error) return assistant;
    await assistant.close();
    throw new Error("it started");
  };

  it.each([
    [["--sandbox", "--profile", "prod"], {}],
    [["--sandbox"], { AWS_ENDPOINT_URL: "http://127.0.0.1:1" }],
    [["--region", "Frankfurt"], {}],
    [["--toolset", "all"], {}],
    [["--token-minutes", "never"], {}],
    [["--state", "memory:"], {}],
    [["launch"], {}],
  ])("%j %j does not start", async (args, env) => {
    await expect(refusedStart(args, env)).resolves.toBeInstanceOf(Error);
  });
});

describe("credentials and region", () => {
  it("starts, lists and says what to run when there are none", async () => {
    const assistant = await startAssistant({ args: ["--region", "eu-west-1"] });
    expect((await assistant.tools()).length).toBeGreaterThan(10);
    const answer = await assistant.call("instances_list");
    expect(answer.data).toMatchObject({ code: "credentials_missing", fixableBy: "operator", nothingWasChanged: true });
    expect(JSON.stringify(answer.data)).toMatch(/aws (configure|sso login|login)/);
    await assistant.close();
  });

  it("asks for a region when none is configured", async () => {
    const assistant = await startAssistant({ env: { AWS_ACCESS_KEY_ID: "AKIA", AWS_SECRET_ACCESS_KEY: "x" } });
    expect((await assistant.call("instances_list")).data).toMatchObject({ code: "region_missing", field: "region" });
    await assistant.close();
  });

  it("says read_only when apply is asked of a read-only server", async () => {
    const assistant = await startAssistant({ args: ["--sandbox", "--read-only"] });
    expect((await assistant.tools()).map((tool) => tool.name)).not.toContain("changes_apply");
    const planned = await assistant.call("securityGroups_addRule", {
      groupId: "sg-0bb00000000000001",
      rule: { fromPort: 8443, peer: "10.0.0.0/8" },
      intent: "admin port",
    });
    expect(planned.isError).toBe(false);
    const applied = await assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(applied.data).toMatchObject({ code: "read_only", fixableBy: "operator" });
    // What an earlier server had: the call says so, and what does the same work.
    const workflow = await assistant.call("generate_openops_workflow", { resource_types: ["ec2:instance"] });
    expect(workflow.data).toMatchObject({ code: "not_implemented", next: [{ tool: "tags_custodianPolicy" }] });
    await assistant.close();
  });
});

describe("the state folder", () => {
  const plan = { groupId: "sg-0bb00000000000001", rule: { fromPort: 8443, peer: "10.0.0.0/8" }, intent: "admin port" };
  const contents = (folder: string): Record<string, string> =>
    Object.fromEntries(
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => [join(entry.parentPath, entry.name), readFileSync(join(entry.parentPath, entry.name), "utf8")]),
    );

  it.each([
    ["malformed", "{ not json"],
    ["zero-length", ""],
    ["foreign", '{"version":"1.0","metadata":{},"resources":{},"stacks":{}}'],
  ])("a %s state.json is refused and left as it is", async (_what, text) => {
    const folder = temporaryFolder();
    const state = join(folder.path, "state");
    const first = await startAssistant({ args: ["--sandbox", "--state", state] });
    const planned = await first.call("securityGroups_addRule", plan);
    await first.call("changes_apply", { executionToken: planned.data.executionToken });
    await first.close();
    expect(existsSync(join(state, "state.json"))).toBe(true);
    writeFileSync(join(state, "state.json"), text);
    const before = contents(state);
    const second = await startAssistant({ args: ["--sandbox", "--state", state] });
    const answer = await second.call("securityGroups_addRule", plan);
    const healed = !answer.isError;
    // Either refused and untouched, or the chain itself, which is the truth, was whole: then nothing is lost.
    if (healed) {
      const history = await second.call("state_history", { identifier: "sg-0bb00000000000001" });
      expect(history.data.lineage).toHaveLength(1);
    } else {
      expect(answer.data).toMatchObject({ code: "state_unreadable", fixableBy: "operator" });
      expect(contents(state)).toEqual(before);
    }
    await second.close();
    folder.remove();
  });

  it("a folder that holds only a malformed state.json is never taken for a fresh one", async () => {
    const folder = temporaryFolder();
    const state = join(folder.path, "state");
    mkdirSync(state, { mode: 0o700 });
    writeFileSync(join(state, "state.json"), "{ not json", { mode: 0o600 });
    const assistant = await startAssistant({ args: ["--sandbox", "--state", state] });
    const answer = await assistant.call("session_whoami");
    expect(answer.data).toMatchObject({ code: "state_unreadable", nothingWasChanged: true });
    expect(readdirSync(state)).toEqual(["state.json"]);
    await assistant.close();
    folder.remove();
  });

  it("an unwritable place serves reads, registers no apply, and says why", async () => {
    const folder = temporaryFolder();
    const file = join(folder.path, "not-a-folder");
    writeFileSync(file, "x");
    chmodSync(file, 0o400);
    const assistant = await startAssistant({ args: ["--sandbox", "--state", join(file, "state")] });
    expect((await assistant.tools()).map((tool) => tool.name)).not.toContain("changes_apply");
    expect((await assistant.call("instances_list")).data.count).toBe(4);
    const planned = await assistant.call("securityGroups_addRule", plan);
    expect(planned.data).toMatchObject({ fixableBy: "operator", nothingWasChanged: true });
    expect(["state_read_only", "state_unreadable"]).toContain(planned.data.code);
    await assistant.close();
    folder.remove();
  });

  it("is private: folder 0700, files 0600", async () => {
    const folder = temporaryFolder();
    const state = join(folder.path, "state");
    const assistant = await startAssistant({ args: ["--sandbox", "--state", state] });
    const planned = await assistant.call("securityGroups_addRule", plan);
    await assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(statSync(state).mode & 0o777).toBe(0o700);
    for (const path of Object.keys(contents(state))) expect(statSync(path).mode & 0o777, path).toBe(0o600);
    await assistant.close();
    folder.remove();
  });
});
