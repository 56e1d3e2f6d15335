// The audit log of a real server: one row at the end of every path, under the id its answer names; unwritable, it stops nothing.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { startAssistant, temporaryFolder } from "../harness.js";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const folder = temporaryFolder();
afterAll(() => folder.remove());
const server = (db: string, ...args: string[]) =>
  startAssistant({
    args: [
      "--sandbox",
      "--audit-db",
      join(folder.path, db),
      "--calls-per-hour",
      "12",
      "--identical-calls",
      "3",
      ...args,
    ],
  });
const shown = (db: string, ...args: string[]) =>
  JSON.parse(
    execFileSync(process.execPath, [CLI, "audit", "--audit-db", join(folder.path, db), "--json", ...args], {
      encoding: "utf8",
    }),
  ).calls;

it("writes one row for every path, and the command shows them newest first", async () => {
  const one = await server("paths.db");
  expect(existsSync(join(folder.path, "paths.db"))).toBe(false);
  const good = await one.call("session_whoami");
  const wrapped = await one.call("tools_run", { tool: "instances.get", arguments: { instanceId: "i-1; rm -rf /" } });
  expect(wrapped.data).toMatchObject({ code: "security_violation", field: "instanceId" });
  await one.call("instances_get", {});
  await one.call("no_such", {}).catch(() => {});
  for (let n = 0; n < 4; n++) await one.call("instances_list", {});
  await one.call("changes_apply", { executionToken: "xt_1_AAAAAAAAAAAAAAAAAAAAAA" });
  for (let n = 0; n < 6; n++) await one.call("session_seen", { limit: n + 1 });
  const rows = shown("paths.db");
  const told = rows
    .map((row: Record<string, string>) => `${row.tool_name} ${row.refusal_class ?? row.status}`)
    .reverse();
  expect(told).toEqual([
    "session.whoami success",
    "instances.get security_violation",
    "instances.get validation_error",
    "no_such unknown_tool",
    ...Array(3).fill("instances.list success"),
    "instances.list loop_detected",
    "changes.apply unknown_token",
    // The attack spent nothing: twelve calls were counted.
    ...Array(4).fill("session.seen success"),
    ...Array(2).fill("session.seen budget_exhausted"),
  ]);
  const audit = (...args: string[]) =>
    execFileSync(process.execPath, [CLI, "audit", "security", "--audit-db", join(folder.path, "paths.db"), ...args], {
      encoding: "utf8",
    });
  expect(JSON.parse(audit("--json")).refusals).toMatchObject([
    { class: "budget_exhausted", count: 2, sessions: 1, last: expect.stringMatching(/^20/) },
    { class: "loop_detected", count: 1 },
    { class: "security_violation", kind: "injection_attempt", count: 1 },
    { class: "unknown_tool", count: 1 },
  ]);
  expect(audit()).toContain("security_violation (injection_attempt)");
  expect(audit()).not.toContain("rm -rf");
  expect(audit("--since", "2099-01-01")).toBe("The guardrails refused nothing.\n");
  const id = good.meta["aws-devops-mcp/correlationId"];
  expect(rows.at(-1)).toMatchObject({ correlation_id: id, status: "success" });
  const attacked = wrapped.data.correlationId;
  const [attack] = shown("paths.db", "--correlation", String(attacked));
  const lines = one
    .stderr()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const event = { correlationId: attacked, type: "injection_attempt", severity: "high" };
  expect(lines).toContainEqual(expect.objectContaining(event));
  expect(attack.parameters).toEqual({ _security_violation: "injection_attempt" });
  expect(JSON.stringify(rows)).not.toMatch(/rm -rf|AAAAAAAAAAAA/);
  expect(shown("paths.db", "--status", "failure", "--tool", "session_seen", "--limit", "1")).toHaveLength(1);
  await one.close();
});

it("a line that is no JSON, and a call that is none, are answered and have their row", async () => {
  const child = spawn(process.execPath, [CLI, "--sandbox", "--audit-db", join(folder.path, "lines.db")]);
  let out = "";
  child.stdout.on("data", (chunk) => {
    out += String(chunk);
  });
  child.stdin.write("{bad\n");
  await expect.poll(() => out, { timeout: 20_000 }).toContain("-32700");
  child.stdin.end();
  await new Promise((resolve) => child.once("exit", resolve));
  expect(shown("lines.db")).toMatchObject([{ refusal_class: "request_error", status: "failure" }]);
});

it("a log that cannot be written warns once and stops nothing, or stops everything where it is required", async () => {
  mkdirSync(join(folder.path, "folder.db"));
  const free = await server("folder.db");
  for (let n = 0; n < 3; n++) expect((await free.call("session_seen", { limit: n + 1 })).isError).toBe(false);
  expect(free.stderr().match(/audit log cannot be written/g)).toHaveLength(1);
  await free.close();
  const strict = await server("folder.db", "--audit-required");
  expect((await strict.call("instances_list")).data).toMatchObject({
    code: "audit_unavailable",
    nothingWasChanged: true,
  });
  await strict.close();
});

it("two servers write one log, each row under the id that its answer names", async () => {
  const many = ["--calls-per-hour", "0"];
  const servers = await Promise.all([server("shared.db", ...many), server("shared.db", ...many)]);
  const answers = await Promise.all(
    servers.flatMap((one) => Array.from({ length: 40 }, (_, n) => one.call("session_seen", { limit: n + 1 }))),
  );
  await Promise.all(servers.map((one) => one.close()));
  const rows: Array<Record<string, string>> = shown("shared.db", "--limit", "1000");
  const idOf = ({ meta }: (typeof answers)[number]) => meta["aws-devops-mcp/correlationId"];
  expect(rows.map((row) => row.correlation_id).sort()).toEqual(answers.map(idOf).sort());
  expect(new Set(rows.map((row) => row.session_id)).size).toBe(2);
});

it("purge ends the rows that are older than so many days, and no other", async () => {
  const one = await server("purged.db");
  await one.call("session_whoami");
  await one.close();
  const purge = (...args: string[]) =>
    execFileSync(process.execPath, [CLI, "audit", "purge", ...args, "--audit-db", join(folder.path, "purged.db")], {
      encoding: "utf8",
      stdio: "pipe",
    });
  expect(purge("1")).toBe("0 rows are gone.\n");
  expect(() => purge()).toThrow(/takes a number of days/);
  expect(JSON.parse(purge("0", "--json"))).toMatchObject({ purged: 1 });
  expect(shown("purged.db")).toEqual([]);
});
