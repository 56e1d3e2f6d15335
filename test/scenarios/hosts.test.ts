// Hosts of both generations, and how a process behaves towards them: same answers, clean stdout, a quick goodbye.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { type Generation, startAssistant, temporaryFolder } from "../harness.js";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const GROUP = "sg-0bb00000000000001";
const rule = { fromPort: 8443, peer: "10.0.0.0/8" };

describe.each<Generation>(["v1", "v2", "v2-2026"])("a %s client", (client) => {
  it("lists, reads, plans, applies, and sees every notice twice: as text and as data", async () => {
    const assistant = await startAssistant({ args: ["--sandbox"], client });
    expect((await assistant.tools()).length).toBeGreaterThan(20);
    const read = await assistant.call("securityGroups.get", { groupId: GROUP });
    expect(JSON.parse(read.text[0]!)).toEqual(read.data);
    const planned = await assistant.call("securityGroups_addRule", { groupId: GROUP, rule, intent: "admin port" });
    expect(planned.text.join()).not.toContain("Cache invalidated");
    const applied = await assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(applied.text[0]).toBe(
      "[System: Cache invalidated for securityGroups_*, instances_* — caused by securityGroups_addRule]",
    );
    expect(applied.data.stateSync).toMatchObject({
      invalidated: ["securityGroups_*", "instances_*"],
      tool: "securityGroups.addRule",
      outcome: "applied",
      scope: { account: "000000000000", region: "us-east-1" },
    });
    expect(applied.meta["aws-devops-mcp/state-sync"]).toEqual(applied.data.stateSync);
    const refused = await assistant.call("securityGroups_get", { groupId: "sg-0123456789abcdef0" });
    expect(refused).toMatchObject({
      isError: true,
      data: { code: "not_found", account: "000000000000", region: "us-east-1" },
    });
    await assistant.close();
  });
});

describe("old names and spellings", () => {
  it("are accepted on call: dotted, wire, seed and ccapi names", async () => {
    const assistant = await startAssistant({ args: ["--sandbox"] });
    const old = await assistant.call("get_resource", { resource_type: "AWS::S3::Bucket", identifier: "sandbox-logs" });
    expect(old.data, JSON.stringify(old.data)).toMatchObject({ type: "AWS::S3::Bucket" });
    const plan = await assistant.call("create_resource", {
      resource_type: "AWS::S3::Bucket",
      properties: { BucketName: "from-an-old-host" },
      user_intent: "keep the logs",
      credentials_token: "creds_1",
      explained_token: "explained_1",
      skip_security_check: true,
    });
    expect(plan.data, JSON.stringify(plan.data)).toMatchObject({ planned: true, nothingWasChanged: true });
    const drift = await assistant.call("detect_drift", { auto_fix: true });
    expect(drift.data).toMatchObject({ ignoredArguments: ["auto_fix"] });
    await assistant.close();
  });

  it("dotted names speak the seed's sentence to the letter", async () => {
    const assistant = await startAssistant({ args: ["--sandbox", "--tool-names", "dotted"] });
    const planned = await assistant.call("securityGroups.addRule", { groupId: GROUP, rule, intent: "admin port" });
    const applied = await assistant.call("changes.apply", { executionToken: planned.data.executionToken });
    expect(applied.text[0]).toBe(
      "[System: Cache invalidated for securityGroups.*, instances.* — caused by securityGroups.addRule]",
    );
    await assistant.close();
  });
});

describe("two sessions on one store", () => {
  it("the first is told what the second changed of what it was shown", async () => {
    const folder = temporaryFolder();
    const args = [
      "--sandbox",
      "--sandbox-world",
      join(folder.path, "world.json"),
      "--state",
      join(folder.path, "state"),
    ];
    const first = await startAssistant({ args });
    const second = await startAssistant({ args });
    const seen = await first.call("securityGroups_get", { groupId: GROUP });
    const planned = await second.call("securityGroups_addRule", { groupId: GROUP, rule, intent: "admin port" });
    await second.call("changes_apply", { executionToken: planned.data.executionToken });
    const next = await first.call("session_whoami");
    expect(next.data.staleNotices[0], JSON.stringify(next.data)).toMatchObject({
      what: `000000000000/us-east-1/AWS::EC2::SecurityGroup/${GROUP}`,
      youSaw: { revision: seen.data.revision },
      now: { changedBy: "securityGroups.addRule" },
      readAgainWith: { tool: "securityGroups_get", arguments: { groupId: GROUP } },
    });
    expect((await first.call("session_whoami")).data.staleNotices).toBeUndefined();
    await first.close();
    await second.close();
    folder.remove();
  });
});

describe("the process", () => {
  const start = (...args: string[]) => {
    const child = spawn(process.execPath, [CLI, ...args], {
      stdio: "pipe",
      env: { PATH: process.env.PATH, HOME: "/nonexistent" },
    });
    let stdout = "";
    child.stdout.on("data", (chunk) => {
      stdout += String(chunk);
    });
    return { child, stdout: () => stdout };
  };
  const line = (message: object) => `${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`;

  it("leaves at the end of stdin, also with work open, and writes only the protocol", async () => {
    const { child, stdout } = start("--sandbox");
    const opening = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } };
    child.stdin.write(line({ id: 1, method: "initialize", params: opening }));
    child.stdin.write(line({ method: "notifications/initialized" }));
    child.stdin.write(line({ id: 2, method: "tools/call", params: { name: "instances_list", arguments: {} } }));
    while (!stdout().includes('"id":2')) await once(child.stdout, "data");
    child.stdin.end();
    const [code] = await once(child, "exit");
    expect(code).toBe(0);
    for (const text of stdout().trim().split("\n")) expect(JSON.parse(text)).toMatchObject({ jsonrpc: "2.0" });
  });

  it("ends on SIGTERM", async () => {
    const { child, stdout } = start();
    child.stdin.write(line({ id: 1, method: "ping" }));
    while (!stdout()) await once(child.stdout, "data");
    child.kill("SIGTERM");
    const [code] = await once(child, "exit");
    expect(code).toBe(0);
  });

  it("prints its help and version without opening anything", async () => {
    for (const flag of ["--help", "--version"]) {
      const { child, stdout } = start(flag);
      child.stdin.end();
      const [code] = await once(child, "exit");
      expect(code).toBe(0);
      expect(stdout()).toMatch(flag === "--help" ? /--allow-writes/ : /^\d+\.\d+\.\d+\n$/);
    }
  });
});

describe("where a change belongs", () => {
  it("the token knows its region; another one is refused", async () => {
    const assistant = await startAssistant({ args: ["--sandbox"] });
    const create = (BucketName: string) =>
      assistant.call("resources_create", {
        type: "AWS::S3::Bucket",
        properties: { BucketName },
        intent: "keep the logs",
        region: "eu-west-1",
      });
    const elsewhere = await create("logs-eu-1");
    const wrong = await assistant.call("changes_apply", {
      executionToken: elsewhere.data.executionToken,
      region: "us-east-1",
    });
    expect(wrong.data).toMatchObject({ code: "identity_mismatch", what: "region", planned: "eu-west-1" });
    const right = await assistant.call("changes_apply", { executionToken: elsewhere.data.executionToken });
    expect(right.data, JSON.stringify(right.data)).toMatchObject({ outcome: "applied", region: "eu-west-1" });
    await assistant.close();
  });

  it("two calls with one token at once: one applies, the other is told so", async () => {
    const assistant = await startAssistant({ args: ["--sandbox"] });
    const planned = await assistant.call("securityGroups_addRule", { groupId: GROUP, rule, intent: "admin port" });
    const call = () => assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    const answers = await Promise.all([call(), call(), call()]);
    expect(answers.filter(({ data }) => data.outcome === "applied" && !data.repeated)).toHaveLength(1);
    for (const { data } of answers)
      expect(data.code ?? data.repeated?.code ?? data.outcome).toMatch(/applied|token_spent/);
    const group = await assistant.call("securityGroups_get", { groupId: GROUP });
    expect(group.data.securityGroup.rules).toHaveLength(3);
    await assistant.close();
  });
});
