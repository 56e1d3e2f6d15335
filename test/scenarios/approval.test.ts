// Approval by a human: in a terminal, of exactly one plan, never by what a model says.

import { execFile } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { needsHuman } from "../../policies/approval.js";
import { approve } from "../../src/approve.js";
import { loadConfig } from "../../src/config.js";
import { type Assistant, startAssistant, temporaryFolder } from "../harness.js";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const run = promisify(execFile);
const INSTANCE = "i-0aa00000000000004";

let folder: ReturnType<typeof temporaryFolder>;
let assistant: Assistant;
let args: string[];

beforeEach(async () => {
  folder = temporaryFolder();
  args = ["--sandbox", "--sandbox-world", join(folder.path, "world.json"), "--state", join(folder.path, "state")];
  assistant = await startAssistant({ args: [...args, "--approve-from", "high"] });
});
afterEach(async () => {
  await assistant.close();
  folder.remove();
});

async function planTerminate() {
  const seen = await assistant.call("instances_get", { instanceId: INSTANCE });
  return assistant.call("instances_terminate", {
    instanceIds: [INSTANCE],
    basedOn: [seen.data.revision],
    intent: "one less",
  });
}

/** The terminal command in this process: another session on the same folder, with somebody typing. */
async function inTerminal(changeId: string, typed: string | null): Promise<{ code: number; shown: string }> {
  let shown = "";
  const { config } = loadConfig(args, {});
  const code = await approve(config, [changeId], {
    clock: { now: () => new Date(), sleep: async () => {} },
    ids: { uuid: () => randomUUID(), bytes: (count) => randomBytes(count) },
    env: {},
    host: "test",
    user: "alice",
    pid: process.pid,
    pidExists: () => true,
    writeLog: () => {},
    terminal: typed === null ? null : { ask: async () => typed },
    write: (text) => {
      shown += text;
    },
  });
  return { code, shown };
}

describe("a change of high risk", () => {
  it("is refused until a human approves it in a terminal, and then applied", async () => {
    const planned = await planTerminate();
    const apply = () => assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    const refused = await apply();
    expect(refused.data).toMatchObject({ code: "approval_required", fixableBy: "operator", nothingWasChanged: true });
    const { changeId } = planned.data.change;
    expect(refused.data.command).toBe(`aws-devops-mcp approve ${changeId} --state ${join(folder.path, "state")}`);

    const wrong = await inTerminal(changeId, "yes");
    expect(wrong).toMatchObject({ code: 1 });
    expect(wrong.shown).toContain("Nothing was approved");
    expect((await apply()).data.code).toBe("approval_required");

    const right = await inTerminal(changeId, INSTANCE);
    expect(right, right.shown).toMatchObject({ code: 0 });
    expect(right.shown).toContain("Terminate i-0aa00000000000004");
    expect(right.shown).toContain('"intent": "one less"');
    const applied = await apply();
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
  });

  it("is not approved by anything a model can call or say", async () => {
    const planned = await planTerminate();
    const { executionToken } = planned.data;
    for (const extra of [{ confirm: true }, { approved: true }, { approval: "alice" }]) {
      const answer = await assistant.call("changes_apply", { executionToken, ...extra });
      expect(answer.data.code).toBe("validation_error");
    }
    const found = await assistant.call("tools_search", { query: "approve", limit: 50 });
    expect(found.data.tools.map(({ name }: { name: string }) => name).join()).not.toMatch(/approve/);
    expect((await assistant.call("changes_apply", { executionToken })).data.code).toBe("approval_required");
  });

  it("is not approved without a terminal, and the command says so", async () => {
    const planned = await planTerminate();
    const { changeId } = planned.data.change;
    const failed = await run(process.execPath, [CLI, "approve", changeId, ...args]).catch((error) => error);
    expect(failed).toMatchObject({ code: 1 });
    expect(failed.stdout).toContain("This is none, so nothing was approved");
    const unknown = await run(process.execPath, [CLI, "approve", "ch_zz", ...args]).catch((error) => error);
    expect(unknown.stdout).toContain("knows no change ch_zz");
    const none = await run(process.execPath, [CLI, "approve", ...args]).catch((error) => error);
    expect(none).toMatchObject({ code: 2 });
  });

  it("is approved as it was shown: when live moves it is refused all the same", async () => {
    const planned = await planTerminate();
    await inTerminal(planned.data.change.changeId, INSTANCE);
    const other = await startAssistant({ args });
    const seen = await other.call("instances_get", { instanceId: INSTANCE });
    const theirs = await other.call("instances_terminate", {
      instanceIds: [INSTANCE],
      basedOn: [seen.data.revision],
      intent: "somebody else",
    });
    expect((await other.call("changes_apply", { executionToken: theirs.data.executionToken })).data.outcome).toBe(
      "applied",
    );
    await other.close();
    const late = await assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(late.data.code).toBe("stale_revision");
  });
});

it("a change below the threshold needs nobody, and `never` asks for nobody", async () => {
  const planned = await assistant.call("securityGroups_addRule", {
    groupId: "sg-0bb00000000000001",
    rule: { fromPort: 8443, peer: "10.0.0.0/8" },
    intent: "admin port",
  });
  expect((await assistant.call("changes_apply", { executionToken: planned.data.executionToken })).data.outcome).toBe(
    "applied",
  );
  expect(needsHuman("critical", "never")).toBe(false);
  expect(needsHuman("medium", "high")).toBe(false);
  expect(needsHuman("high", "high")).toBe(true);
});
