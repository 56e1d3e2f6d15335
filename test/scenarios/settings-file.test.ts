// A .env in the folder a host happens to start the server in: not read by itself, said, and read where it is named.

import { writeFileSync } from "node:fs";
import { afterAll, afterEach, expect, it } from "vitest";
import { type Assistant, startAssistant, temporaryFolder } from "../harness.js";

const folder = temporaryFolder();
afterAll(folder.remove);
const open: Assistant[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

const SECRET = "correct-horse-battery-staple";
/** The server in that folder, as a host starts it. */
async function startIn(env: string, ...args: string[]): Promise<Assistant> {
  writeFileSync(`${folder.path}/.env`, env);
  const assistant = await startAssistant({
    args: ["--sandbox", ...args],
    within: ["sh", "-c", `cd '${folder.path}' && exec "$@"`, "sh"],
    // As the harness sets it, a session is not limited.
    env: { AWS_DEVOPS_MCP_CALLS_PER_HOUR: "" },
  });
  open.push(assistant);
  return assistant;
}
const budget = async (assistant: Assistant) => (await assistant.call("session_whoami")).data.budget;
const OURS = `MAX_TOOL_CALLS_PER_SESSION=7\nREDIS_PASSWORD=${SECRET}\n`;

it("is not read unasked: an opened project cannot switch a guard off, and whoever meant it is told", async () => {
  const assistant = await startIn(OURS);
  expect(await budget(assistant)).toMatchObject({ max: 100 });
  expect(assistant.stderr()).toContain("--env-file .env");
  expect(assistant.stderr()).toContain("MAX_TOOL_CALLS_PER_SESSION");
  expect(assistant.stderr()).not.toContain(SECRET);
});

it("of another program is none of our business", async () => {
  const assistant = await startIn("LOG_LEVEL=debug\nREDIS_URL=redis://localhost\nDEBUG=true\nSECRET_KEY=x\n");
  expect(await budget(assistant)).toMatchObject({ max: 100 });
  expect(assistant.stderr()).toBe("");
});

it("is read where the operator names it", async () => {
  const assistant = await startIn(OURS, "--env-file", ".env", "--log-level", "info");
  expect(await budget(assistant)).toMatchObject({ max: 7 });
  expect(assistant.stderr()).toContain("read settings from a file");
  expect(assistant.stderr()).not.toContain(SECRET);
});
