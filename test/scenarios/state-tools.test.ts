// The record through an assistant's tools: written now, read again, verified, exported; without AWS, and where it is damaged.

import { readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sha256 } from "../../src/core/json.js";
import { readCheckpoint } from "../../state/checkpoint.js";
import { fileDriver } from "../../state/drivers/file.js";
import { type Assistant, startAssistant, temporaryFolder } from "../harness.js";
import { inMemory } from "../in-memory.js";
import { ids, open, plan } from "../state/helpers.js";

let folder: ReturnType<typeof temporaryFolder>;
let root: string;
let assistant: Assistant;
beforeEach(async () => {
  folder = temporaryFolder();
  root = join(folder.path, "state");
  assistant = await startAssistant({ args: ["--sandbox", "--state", root] });
});
afterEach(async () => {
  await assistant.close();
  folder.remove();
});

const addRule = async (fromPort: number) => {
  const planned = await assistant.call("securityGroups_addRule", {
    groupId: "sg-0bb00000000000001",
    rule: { fromPort, peer: "10.0.0.0/8" },
    intent: "admin port",
  });
  return assistant.call("changes_apply", { executionToken: planned.data.executionToken });
};
const somebodyElse = () =>
  open(fileDriver({ root }, { clock: { now: () => new Date(), monotonic: () => 0, sleep: async () => {} }, ids }), {
    clock: { now: () => new Date(), monotonic: () => 0, sleep: async () => {} },
  });

describe("state_save and state_load", () => {
  it("write the checkpoint, and say what others committed since", async () => {
    expect((await addRule(8443)).data.outcome).toBe("applied");
    const first = await assistant.call("state_load");
    expect(first.data).toMatchObject({ stateDir: root, writable: true, resources: 1, notShown: 0 });
    expect(first.data.commits.every(({ own }: { own: boolean }) => own)).toBe(true);
    expect(first.data.commits.at(-1).events).toEqual(["op.succeeded"]);
    expect(first.data).not.toHaveProperty("account");

    expect((await assistant.call("state_load")).data).toMatchObject({ committed: 0, commits: [] });
    const other = await somebodyElse();
    const { seq } = await other.commit((_, next) => [plan(next).event]);
    const news = await assistant.call("load_state");
    expect(news.data).toMatchObject({
      seq,
      committed: 1,
      commits: [{ seq, user: "alice", host: "host-1", client: "test", own: false, events: ["change.planned"] }],
    });
    const saved = await assistant.call("save_state");
    expect(saved.data).toMatchObject({ seq, head: news.data.head });
    expect(JSON.parse(await readFile(join(root, "state.json"), "utf8")).journal.applied_seq).toBe(seq);
  });

  it("tell the number and the newest of very many", async () => {
    await assistant.call("state_load");
    const other = await somebodyElse();
    for (let count = 0; count < 60; count++) await other.commit((_, next) => [plan(next).event]);
    const { data } = await assistant.call("state_load");
    expect(data).toMatchObject({ committed: 60, notShown: 10 });
    expect(data.commits.map(({ seq }: { seq: number }) => seq)).toEqual(Array.from({ length: 50 }, (_, at) => at + 11));
  });

  it("notice a folder that was replaced by an older one, and that it was put back", async () => {
    await addRule(8443);
    await assistant.call("state_load");
    const newest = join(folder.path, "newest");
    const path = join(root, "journal");
    const names = (await readdir(path)).sort();
    const last = join(path, names.at(-1)!);
    await assistant.call("state_save");
    await rename(last, newest);
    await rename(join(root, "state.json"), join(folder.path, "state.json"));
    await rename(join(root, "state.json.prev"), join(folder.path, "prev")).catch(() => {});
    await rename(join(root, "backups"), join(folder.path, "backups"));
    const lost = await assistant.call("state_load");
    expect(lost.data.writable, JSON.stringify(lost.data)).toBe(false);
    expect(lost.data.problem.message).toContain("the last one, is gone");
    const refused = await assistant.call("securityGroups_addRule", {
      groupId: "sg-0bb00000000000002",
      rule: { fromPort: 8444, peer: "10.0.0.0/8" },
      intent: "admin port",
    });
    expect(refused.data).toMatchObject({ code: "state_unreadable", nothingWasChanged: true });
    await rename(newest, last);
    expect((await assistant.call("state_load")).data).toMatchObject({ writable: true, committed: 0 });
  });
});

describe("state_verify", () => {
  it("needs neither credentials nor a region", async () => {
    await addRule(8443);
    const bare = await startAssistant({ args: ["--state", root] });
    const who = await bare.call("session_whoami");
    expect(who.isError).toBe(true);
    const { data, isError } = await bare.call("state_verify");
    expect(isError).toBe(false);
    expect(data).toMatchObject({ stateDir: root, ok: true, firstBad: null, checkpoint: { ok: true }, anchored: [] });
    expect((await bare.call("state_export")).data).toMatchObject({ complete: true });
    await bare.close();
  });

  it("names the first bad commit of a damaged record, and what can be read is exported", async () => {
    await addRule(8443);
    await somebodyElse().then((other) => other.commit((_, next) => [plan(next).event]));
    const path = join(root, "journal", (await readdir(join(root, "journal"))).sort().at(-1)!);
    await writeFile(path, (await readFile(path, "utf8")).replace('"intent":"save money"', '"intent":"save moneys"'));
    const damaged = await startAssistant({ args: ["--sandbox", "--state", root] });
    const { data } = await damaged.call("state_verify");
    expect(data).toMatchObject({
      ok: false,
      firstBad: { because: "its checksum does not match its content" },
      problem: { code: "state_unreadable" },
    });
    const copy = await damaged.call("state_export");
    expect(copy.data).toMatchObject({ complete: false, counts: { resources: 1 } });
    expect(copy.data.upTo.seq).toBe(data.firstBad.seq - 1);
    expect((await damaged.call("state_save")).data).toMatchObject({
      code: "state_unreadable",
      nothingWasChanged: true,
    });
    await damaged.close();
  });
});

describe("state_export", () => {
  it("writes one new file of 0600 under exports/, takes no path, and says what is in it", async () => {
    await addRule(8443);
    const { data } = await assistant.call("state_export");
    expect(data.path).toMatch(new RegExp(`^${root}/exports/state-\\d{12}-[0-9a-f]{12}\\.json$`));
    const bytes = await readFile(data.path);
    expect(data).toMatchObject({
      bytes: bytes.length,
      sha256: sha256(bytes),
      complete: true,
      counts: { resources: 1, lineageEntries: 1, changes: 1, operations: 1 },
    });
    expect((await stat(data.path)).mode & 0o777).toBe(0o600);
    const found = readCheckpoint(bytes);
    expect(found.kind === "checkpoint" && found.state.seq).toBe(data.upTo.seq);
    expect((await assistant.call("state_export")).data, "the same state is the same file").toEqual({
      ...data,
      asOf: expect.any(String),
    });
    for (const args of [{ path: "/tmp/x" }, { out: "x" }, { file: "x" }]) {
      expect((await assistant.call("state_export", args)).data.code).toBe("validation_error");
    }
    await writeFile(data.path, "mine");
    const taken = await assistant.call("state_export");
    expect(taken.data).toMatchObject({ code: "already_exists" });
    expect(await readFile(data.path, "utf8")).toBe("mine");
    expect((await assistant.call("state_verify")).data.ok, "an export is no part of the store").toBe(true);
  });

  it("of a state in memory stands in the answer, up to a bound", async () => {
    const session = await inMemory();
    const empty = await session.call("state_export");
    expect(empty).toMatchObject({ path: null, complete: true, counts: { resources: 0 } });
    expect(empty.document).toMatchObject({ version: "1.0", resources: {} });
    for (let port = 1; port <= 40; port++) {
      await session.call("securityGroups_addRule", {
        groupId: "sg-0bb00000000000001",
        rule: { fromPort: port, peer: "10.0.0.0/8" },
        intent: "a plan that takes room",
      });
    }
    const long = await session.call("state_export");
    expect(long).toMatchObject({ isError: true, code: "unsupported", counts: { changes: 40 } });
    expect(long.message).toContain("--state DIR");
    await session.close();
  });
});

it("no tool breaks a lock, recovers or adopts", async () => {
  const { data } = await assistant.call("tools_search", { query: "", limit: 100 });
  const names = data.tools.map(({ name }: { name: string }) => name);
  expect(names).toContain("state_export");
  expect(names.join()).not.toMatch(/lock|recover|adopt|repair|state_import/i);
  for (const tool of ["state_unlock", "state_recover", "state_adoptEdit", "state_adopt", "locks_break"]) {
    const answer = await assistant.call("tools_run", { tool, arguments: {} });
    expect(answer.data.code, tool).toBe("unknown_tool");
  }
});
