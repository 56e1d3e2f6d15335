// `aws-devops-mcp state` as an operator runs it: a child of the built command; where a phrase is typed, the same code with somebody typing.

import { execFile } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { cpSync } from "node:fs";
import { chmod, cp, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConfigError, loadConfig } from "../../src/config.js";
import { OpsError } from "../../src/core/errors.js";
import { sha256 } from "../../src/core/json.js";
import { type Operator, stateCommand } from "../../src/state-command.js";
import { readCheckpoint } from "../../state/checkpoint.js";
import { fileDriver } from "../../state/drivers/file.js";
import { startAssistant, temporaryFolder } from "../harness.js";
import { applied, ids, intent, open, plan, ref, step } from "../state/helpers.js";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const FIXTURES = join(import.meta.dirname, "..", "state", "fixtures");
const SEED = join(FIXTURES, "seed-state.json");

let folder: ReturnType<typeof temporaryFolder>;
let root: string;
beforeEach(() => {
  folder = temporaryFolder();
  root = join(folder.path, "state");
});
afterEach(() => folder.remove());

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The built command on this test's folder, without a terminal. */
const run = (...words: string[]): Promise<Ran> =>
  new Promise((resolve) => {
    execFile(process.execPath, [CLI, "state", ...words, "--state", root], (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
const json = async (...words: string[]) => {
  const { code, stdout } = await run(...words, "--json");
  return { code, data: JSON.parse(stdout) };
};

/** The command in a terminal in which `phrase` is typed; answers what was shown before the question, too. */
const typed = (phrase: string, ...words: string[]) => typedIn(root, phrase, words);

async function typedIn(
  root: string,
  phrase: string,
  words: readonly string[],
  more: Partial<Operator> = {},
): Promise<{ code: number; shown: string; question: string }> {
  let [shown, question] = ["", ""];
  const { config, positionals, options, help } = loadConfig([...words, "--state", root], {});
  const code = await stateCommand(
    config,
    { words: positionals, options, help, json: false },
    {
      clock: { now: () => new Date(), monotonic: () => 0, sleep: async () => {} },
      ids: { uuid: () => randomUUID(), bytes: (count) => randomBytes(count) },
      env: {},
      host: "test",
      user: "alice",
      pid: process.pid,
      pidExists: () => true,
      writeLog: () => {},
      terminal: {
        ask: async (asked) => {
          question += asked;
          return phrase;
        },
      },
      write: (text) => {
        shown += text;
      },
      ...more,
    },
  );
  return { code, shown, question };
}

/** Everything in the folder: equal pictures mean that nothing was touched. */
async function picture(): Promise<Record<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(await Promise.all(files.sort().map(async (path) => [path, sha256(await readFile(path))])));
}

const driver = (at = root) =>
  fileDriver({ root: at }, { clock: { now: () => new Date(), monotonic: () => 0, sleep: async () => {} }, ids });
const opened = () => open(driver());

async function golden(): Promise<void> {
  await cp(join(FIXTURES, "format-1"), root, { recursive: true });
  await mkdir(join(root, "tmp"));
  await chmod(root, 0o700);
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o700 : 0o600);
  }
}

describe("looking", () => {
  it("shows, verifies, lists and exports without changing a byte", async () => {
    await golden();
    const before = await picture();
    expect(await run("show")).toMatchObject({ code: 0, stdout: expect.stringContaining("commits     48") });
    expect(await json("show")).toMatchObject({ code: 0, data: { commits: 48, resources: 4, writable: true } });
    const verified = await run("verify");
    expect(verified).toMatchObject({ code: 0, stderr: "" });
    expect(verified.stdout).toContain("48 commits verified");
    expect(verified.stdout).toContain("anchored    nothing: a rewrite of the whole chain would not be seen");
    expect(await json("verify")).toMatchObject({ code: 0, data: { ok: true, commits: 48, anchored: [] } });
    const locks = await json("locks");
    expect(locks.data.operations).toMatchObject([
      { operationId: "op_p", state: "unknown", changeId: "ch_o", holder: "unknown" },
      { operationId: "op_1c", state: "open", owner: { host: "host-1", pid: 102 }, since: "2026-11-22T10:00:29.000Z" },
    ]);
    expect((await run("locks")).stdout).toContain(
      "op_1c  open since 2026-11-22T10:00:29.000Z, by process 102 on host-1",
    );
    expect((await run("export")).code).toBe(0);
    expect(await picture()).toEqual(before);
  });

  it("on a folder that is not there creates nothing", async () => {
    expect(await run("show")).toMatchObject({ code: 0, stdout: expect.stringContaining("none yet") });
    expect((await run("verify")).code).toBe(0);
    expect((await run("locks")).stdout).toBe("Nothing is held.\n");
    await expect(stat(root)).rejects.toThrow("ENOENT");
  });

  it("names the first bad commit, and exits with 1", async () => {
    await golden();
    const path = join(root, "journal", "000000000046.json");
    await writeFile(path, (await readFile(path, "utf8")).replace("alice", "mally"));
    const verified = await run("verify");
    expect(verified.code).toBe(1);
    expect(verified.stdout).toContain("BAD: commit 46: its checksum does not match its content; 45 commits verified");
    expect(verified.stdout).toContain("NOT OK. Nothing was changed.");
    expect(await json("verify")).toMatchObject({ code: 1, data: { ok: false, firstBad: { seq: 46 } } });
  });

  it("tells a lease, who holds it and since when", async () => {
    const store = await opened();
    await store.commit((_, seq) => [plan(seq).event]);
    const lease = await store.leases.acquire("stack:web", "update");
    if (lease instanceof OpsError) throw lease;
    const { data } = await json("locks");
    expect(data.leases).toMatchObject([
      { generation: 1, scope: "stack:web", operation: "update", owner: { host: "host-1", pid: 100 }, broken: false },
    ]);
    expect(data.leases[0].since).toMatch(/^\d{4}-/);
    await lease.release();
    expect((await json("locks")).data.leases).toEqual([]);
  });
});

describe("export", () => {
  it("is the whole state, archived commits included, and reads back as it", async () => {
    await golden();
    const { stdout } = await run("export");
    const found = readCheckpoint(new TextEncoder().encode(stdout));
    if (found.kind !== "checkpoint") throw new Error(found.kind);
    expect(found.state.resources).toEqual((await (await opened()).state()).resources);
    expect(JSON.parse((await run("export", "--json")).stdout)).toEqual(JSON.parse(stdout));
  });

  it("goes into a new file of 0600 and never over an old one", async () => {
    await golden();
    const out = join(folder.path, "copy.json");
    const made = await json("export", "--out", out);
    const text = await readFile(out, "utf8");
    expect(made).toMatchObject({
      code: 0,
      data: { path: out, bytes: Buffer.byteLength(text), sha256: sha256(text), complete: true, seq: 48, resources: 4 },
    });
    expect((await stat(out)).mode & 0o777).toBe(0o600);
    await writeFile(out, "mine");
    const again = await run("export", "--out", out);
    expect(again).toMatchObject({ code: 1, stdout: expect.stringContaining("already_exists") });
    expect(await readFile(out, "utf8")).toBe("mine");
    const nowhere = await run("export", "--out", join(folder.path, "no", "such", "copy.json"));
    expect(nowhere).toMatchObject({ code: 1, stdout: expect.stringContaining("cannot be written (ENOENT)") });
  });

  it("of a damaged state ends before the damage, and says so", async () => {
    await golden();
    await writeFile(join(root, "journal", "000000000048.json"), "{");
    const { code, stdout, stderr } = await run("export");
    expect(code).toBe(1);
    expect(stderr).toContain("this export ends before the damage");
    expect(JSON.parse(stdout).journal.applied_seq).toBe(47);
  });
});

describe("compact", () => {
  it("says what it does, moves what is covered twice, and leaves a whole store", async () => {
    await golden();
    const done = await run("compact");
    expect(done.code).toBe(0);
    expect(done.stdout).toMatch(/^Writing state.json up to commit 48 .*\nCommits 44 to 45 are in archive\/ now/);
    expect(await json("verify")).toMatchObject({ code: 0, data: { archive: { floor: 45 } } });
  });
});

describe("the state.json of an earlier server", () => {
  it("is shown, then imported with every lineage entry, and its history is there for the assistant", async () => {
    const document = JSON.parse(await readFile(SEED, "utf8"));
    const dry = await json("import", SEED, "--dry-run");
    expect(dry).toMatchObject({ code: 0, data: { dryRun: true, lineageEntries: 2, refused: [] } });
    await expect(stat(root), "a dry run makes no store").rejects.toThrow("ENOENT");

    const done = await json("import", SEED);
    expect(done).toMatchObject({
      code: 0,
      data: { done: true, imported: 1, seq: 1, notTaken: ["stacks.web-app-infrastructure"] },
    });
    const kept = JSON.parse(await readFile(join(root, "state.json"), "utf8")).resources["my-bucket"];
    const theirs = document.resources["my-bucket"];
    for (const [index, entry] of theirs.lineage.entries()) expect(kept.lineage[index]).toMatchObject(entry);
    expect(kept).toMatchObject({
      current_properties: theirs.current_properties,
      created_at: theirs.created_at,
      dependencies: { depends_on: theirs.dependencies.depends_on },
    });
    expect(await json("verify")).toMatchObject({ code: 0, data: { commits: 1 } });

    const assistant = await startAssistant({ args: ["--sandbox", "--state", root, "--region", "us-east-1"] });
    const store = await opened();
    const rid = [...(await store.state()).resources.keys()][0];
    expect(rid).toBe("123456789012/us-east-1/AWS::S3::Bucket/my-bucket");
    // The sandbox is another account: its history is refused by account, not forgotten.
    const other = await assistant.call("state_history", { identifier: "my-bucket" });
    expect(other.data).toMatchObject({ code: "no_history" });
    await assistant.close();
  });

  it("of the caller's account is shown by state_history, entry by entry", async () => {
    const mine = join(folder.path, "mine.json");
    await writeFile(mine, (await readFile(SEED, "utf8")).replaceAll("123456789012", "000000000000"));
    expect((await run("import", mine)).code).toBe(0);
    const assistant = await startAssistant({ args: ["--sandbox", "--state", root] });
    const { data } = await assistant.call("state_history", { identifier: "my-bucket" });
    await assistant.close();
    expect(data.lineage).toMatchObject([
      {
        executionToken: "abc123",
        operation: "create",
        user: "novekm",
        intent: "Store application logs and backups",
        policyResults: { passed: 8, failed: 2, critical_issues: [] },
      },
      {
        executionToken: "def456",
        operation: "update",
        explanation: "Added environment tag and enabled versioning for compliance",
        patch: [{ op: "add", path: "/Tags/-", value: { Key: "Environment", Value: "prod" } }, { op: "add" }],
      },
      { operation: "import", tool: "state.import", explanation: "state.json of CCAPI-MCP-SERVER" },
    ]);
  });

  it("is not imported over what is there or held, and the rest is", async () => {
    const document = JSON.parse(await readFile(SEED, "utf8"));
    const bucket = document.resources["my-bucket"];
    document.resources.other = { ...bucket, identifier: "other", dependencies: { depends_on: ["my-bucket", "held"] } };
    document.resources.held = {
      ...bucket,
      resource_type: "AWS::EC2::Instance",
      identifier: "i-1",
      region: "eu-west-1",
    };
    const file = join(folder.path, "two.json");
    await writeFile(file, JSON.stringify(document));
    // Here `my-bucket` is another resource's alias, the instance is held by an open change, and one was imported before.
    const store = await opened();
    const made = plan(1);
    await store.commit(() => [made.event]);
    await store.commit((_, seq) => [intent(seq, made.id, made.token)]);
    await store.commit(() => [
      {
        type: "resource.imported",
        ref: { account: "123456789012", region: "us-west-2", type: "AWS::S3::Bucket", id: "my-bucket" },
        reader: "cloudcontrol",
        properties: {},
        provenance: "read",
      },
    ]);
    const first = await json("import", file);
    expect(first).toMatchObject({
      code: 1,
      data: { imported: 2, refused: [{ alias: "held", because: expect.stringContaining("change ch_1 holds it") }] },
    });
    const { resources } = await (await opened()).state();
    const aliasOf = (id: string) => resources.get(`123456789012/us-east-1/AWS::S3::Bucket/${id}`);
    expect(aliasOf("my-bucket")?.alias).toBe("my-bucket@us-east-1");
    expect(aliasOf("other")?.dependsOn).toEqual(["my-bucket@us-east-1", "held"]);
    const before = await picture();
    const again = await json("import", file);
    expect(again).toMatchObject({ code: 1, data: { done: false, refused: [{}, {}, { alias: "held" }] } });
    expect(await picture()).toEqual(before);
  });

  it("keeps no secret in clear", async () => {
    const document = JSON.parse(await readFile(SEED, "utf8"));
    const bucket = document.resources["my-bucket"];
    bucket.current_properties.MasterUserPassword = "hunter2";
    bucket.lineage[1].properties_before.MasterUserPassword = "hunter1";
    bucket.lineage[1].checkov_results = { passed: 1, evaluated: { MasterUserPassword: "hunter1" } };
    bucket.lineage[1].patch_document.push({ op: "add", path: "/MasterUserPassword", value: "hunter2" });
    const file = join(folder.path, "secret.json");
    await writeFile(file, JSON.stringify(document));
    expect((await run("import", file)).code).toBe(0);
    const all = await Promise.all(Object.keys(await picture()).map((path) => readFile(path, "utf8")));
    expect(all.join("\n")).not.toMatch(/hunter/);
    const [resource] = [...(await (await opened()).state()).resources.values()];
    expect(resource?.properties?.MasterUserPassword).toEqual({ $secret: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(resource?.lineage[1]?.patch?.at(-1)).toMatchObject({ value: resource?.properties?.MasterUserPassword });
  });

  it("keeps no write-only value in clear either, whatever it is called", async () => {
    const document = JSON.parse(await readFile(SEED, "utf8"));
    const [first] = document.resources["my-bucket"].lineage;
    const code = (text: string) => ({ FunctionName: "fn", Code: { ZipFile: text } });
    document.resources = {
      fn: {
        ...document.resources["my-bucket"],
        resource_type: "AWS::Lambda::Function",
        identifier: "fn",
        current_properties: code("hunter3"),
        lineage: [
          {
            ...first,
            properties_before: code("hunter1"),
            properties_after: code("hunter2"),
            patch_document: [{ op: "replace", path: "/Code/ZipFile", value: "hunter2" }],
          },
        ],
      },
    };
    const file = join(folder.path, "write-only.json");
    await writeFile(file, JSON.stringify(document));
    expect((await run("import", file)).code).toBe(0);
    const all = await Promise.all(Object.keys(await picture()).map((path) => readFile(path, "utf8")));
    expect(all.join("\n")).not.toMatch(/hunter/);
    const [resource] = [...(await (await opened()).state()).resources.values()];
    const mark = { $secret: expect.stringMatching(/^[0-9a-f]{64}$/) };
    expect(resource?.properties).toEqual({ FunctionName: "fn", Code: mark });
    expect(resource?.lineage[0]).toMatchObject({ before: { Code: mark }, patch: [{ value: mark }] });
  });

  it("alone in the state folder: the server names the command, and the command makes it a store", async () => {
    await mkdir(root, { mode: 0o700 });
    const path = join(root, "state.json");
    await cp(SEED, path);
    await chmod(path, 0o600);
    const command = `aws-devops-mcp state import ${path} --state ${root}`;
    const assistant = await startAssistant({ args: ["--sandbox", "--state", root] });
    const { data } = await assistant.call("regions_list");
    await assistant.close();
    expect(data.stateProblem.message).toContain(`run: ${command}`);
    expect((await run("show")).stdout).toContain(command);
    expect((await typed("recover checkpoint", "recover")).code).toBe(1);
    const done = await run("import", path);
    expect(done, done.stdout).toMatchObject({ code: 0 });
    expect(done.stdout).toMatch(
      /was moved to quarantine\/[0-9a-f]{12}-state\.json, with its secrets in clear: delete it there once/,
    );
    expect(await json("show")).toMatchObject({ code: 0, data: { resources: 1, lineageEntries: 3, writable: true } });
    const [moved] = await readdir(join(root, "quarantine"));
    expect(await readFile(join(root, "quarantine", moved!))).toEqual(await readFile(SEED));
  });

  it("alone in the state folder is told of or imported, wherever the command was killed", async () => {
    await mkdir(root, { mode: 0o700 });
    const path = join(root, "state.json");
    await cp(SEED, path);
    // Every name is asked for before something is made: what is there then is what a kill leaves.
    const killed: string[] = [];
    const uuid = () => {
      killed.push(`${root}-${killed.length}`);
      cpSync(root, killed.at(-1)!, { recursive: true });
      return randomUUID();
    };
    const bytes = (count: number) => randomBytes(count);
    const done = await typedIn(root, "", ["import", path], { ids: { uuid, bytes } });
    expect(done, done.shown).toMatchObject({ code: 0 });
    expect(killed.length).toBeGreaterThan(5);
    for (const left of killed) {
      const found = await open(driver(left));
      if (found.readOnly?.details.seed) {
        const again = await typedIn(left, "", ["import", join(left, "state.json")]);
        expect(again, again.shown).toMatchObject({ code: 0 });
      } else if (found.readOnly) {
        const mended = await typedIn(left, "recover checkpoint", ["recover"]);
        expect(mended, mended.shown).toMatchObject({ code: 0 });
      }
      const after = await open(driver(left));
      expect([left, after.readOnly, (await after.state()).resources.size]).toEqual([left, null, 1]);
      expect(await after.verify()).toMatchObject({ ok: true, commits: 1 });
    }
  });

  it("alone in the state folder stays there when it cannot be imported", async () => {
    await mkdir(root, { mode: 0o700 });
    const path = join(root, "state.json");
    const text = (await readFile(SEED, "utf8")).replace("Store application logs and backups", "\\ud800");
    await writeFile(path, text, { mode: 0o600 });
    const refused = await run("import", path);
    expect(refused).toMatchObject({ code: 1, stdout: expect.stringContaining("cannot be recorded") });
    expect(await readFile(path, "utf8")).toBe(text);
    expect(await json("show"), "it is no empty store now").toMatchObject({ code: 1, data: { writable: false } });
  });

  it.each([
    ["no JSON", "{", "is not JSON"],
    ["another version", '{"version":"2.0","resources":{}}', "version"],
    [
      "a resource without region",
      '{"version":"1.0","resources":{"x":{"resource_type":"T","identifier":"i"}}}',
      "resources.x.region",
    ],
  ])("that is %s is refused by name, and nothing is made", async (_, text, named) => {
    const file = join(folder.path, "bad.json");
    await writeFile(file, text);
    const refused = await run("import", file);
    expect(refused.code).toBe(1);
    expect(refused.stdout).toMatch(/^validation_error: /);
    expect(refused.stdout).toContain(named);
    await expect(stat(root)).rejects.toThrow("ENOENT");
  });

  it("is not a file that is missing, nor a state.json of this server", async () => {
    expect((await run("import", join(folder.path, "none.json"))).stdout).toContain("cannot be read (ENOENT)");
    const own = join(FIXTURES, "format-1", "state.json");
    expect((await run("import", own)).stdout).toContain("is a state.json of this server");
  });
});

describe("an edited state.json", () => {
  async function edited(): Promise<string> {
    const store = await opened();
    await applied(store);
    await store.close();
    const path = join(root, "state.json");
    const document = JSON.parse(await readFile(path, "utf8"));
    document.resources["i-1"].desired = { state: "stopped" };
    document.resources["i-1"].current_properties = { state: "by-hand" };
    await writeFile(path, JSON.stringify(document, null, 2));
    return path;
  }

  it("closes the server, is shown, adopted by the word of a human, and a new server is writable", async () => {
    await edited();
    const args = ["--sandbox", "--state", root];
    const closed = await startAssistant({ args });
    expect((await closed.tools()).map(({ name }) => name)).not.toContain("changes_apply");
    const refused = await closed.call("changes_apply", { executionToken: "xt_1_x" }).catch((error) => error);
    expect(refused.data).toMatchObject({ code: "state_unreadable", nothingWasChanged: true });
    expect(refused.data.message).toContain(`run: aws-devops-mcp state adopt-edit --state ${root}`);
    expect(refused.data.difference).toMatchObject([
      { path: "/resources/i-1/current_properties/state", before: "stopped", after: "by-hand" },
      { path: "/resources/i-1/desired/state" },
    ]);
    const read = await closed.call("instances_list");
    expect(read.data.stateProblem.message).toContain("state adopt-edit");

    const before = await picture();
    const unasked = await run("adopt-edit");
    expect(unasked).toMatchObject({ code: 1, stdout: expect.stringContaining("Nothing was changed") });
    expect(unasked.stdout).toContain('"stopped" -> "by-hand"');
    const wrong = await typed("yes", "adopt-edit");
    expect(wrong.code).toBe(1);
    expect(await json("adopt-edit")).toMatchObject({ code: 1, data: { differences: 2, done: false } });
    expect(await picture(), "nothing without the phrase").toEqual(before);

    const right = await typed("adopt 2 differences", "adopt-edit");
    expect(right, right.shown).toMatchObject({ code: 0, question: expect.stringContaining("adopt 2 differences") });
    expect(right.shown).toContain("Adopted as commit 4");
    const looked = await closed.call("state_load");
    expect(looked.data, "the open server sees that it is mended").toMatchObject({ writable: true, seq: 4 });
    await closed.close();
    const anew = await startAssistant({ args });
    expect((await anew.tools()).map(({ name }) => name)).toContain("changes_apply");
    await anew.close();
    expect(await json("verify")).toMatchObject({ code: 0, data: { commits: 4 } });
    expect((await typed("x", "adopt-edit")).shown).toContain("there is nothing to adopt");
  });

  it("is not adopted where it puts a write-only value in clear, whatever that is called", async () => {
    const store = await opened();
    const ref = { account: "123456789012", region: "eu-west-1", type: "AWS::Lambda::Function", id: "fn" };
    const properties = { FunctionName: "fn" };
    await store.commit(() => [
      { type: "resource.imported", ref, reader: "cloudcontrol", properties, provenance: "read", desired: {} },
    ]);
    const path = join(root, "state.json");
    const document = JSON.parse(await readFile(path, "utf8"));
    document.resources.fn.current_properties.Code = { ZipFile: "hunter4" };
    await writeFile(path, JSON.stringify(document));
    const before = await picture();
    const refused = await typed("adopt 1 difference", "adopt-edit");
    expect(refused).toMatchObject({
      code: 1,
      shown: expect.stringContaining("no clear value may stand in the journal"),
    });
    expect(await picture()).toEqual(before);
  });

  it("can be thrown aside instead, and is kept in quarantine", async () => {
    const path = await edited();
    const bytes = await readFile(path);
    const done = await typed("recover checkpoint", "recover");
    expect(done, done.shown).toMatchObject({ code: 0 });
    expect(done.shown).toContain('"stopped" -> "by-hand"');
    const [kept] = await readdir(join(root, "quarantine"));
    expect(await readFile(join(root, "quarantine", kept!))).toEqual(bytes);
    expect(await json("verify")).toMatchObject({ code: 0, data: { commits: 3, checkpoint: { ok: true } } });
  });
});

describe("recover", () => {
  it("gives a damaged last commit's number out again, and names what it held", async () => {
    const store = await opened();
    const made = plan(1, [step(), step({ ref: ref("i-2") })]);
    await store.commit(() => [made.event]);
    await store.checkpoint();
    await store.commit((_, seq) => [intent(seq, made.id, made.token)]);
    const path = join(root, "journal", "000000000002.json");
    await writeFile(path, (await readFile(path, "utf8")).replace("host-1", "host-2"));
    expect((await run("show")).stdout).toContain(
      `Where there is none, run: aws-devops-mcp state recover --state ${root}`,
    );
    const before = await picture();
    const unasked = await run("recover");
    expect(unasked).toMatchObject({ code: 1 });
    expect(unasked.stdout).toContain("Choice `last_commit`");
    expect((await typed("recover", "recover")).code).toBe(1);
    expect(await picture()).toEqual(before);
    const done = await typed("recover last_commit", "recover");
    expect(done, done.shown).toMatchObject({ code: 0 });
    expect(done.shown).toContain("It named op_2: look up in AWS what became of it.");
    expect(await json("verify")).toMatchObject({ code: 0, data: { commits: 1 } });
    expect((await run("recover")).stdout).toContain("nothing to recover");
  });

  it("gives up commits that are gone from the end, on a typed phrase", async () => {
    const store = await opened();
    await store.commit((_, seq) => [plan(seq).event]);
    await store.checkpoint();
    await store.commit((_, seq) => [plan(seq).event]);
    await rm(join(root, "journal", "000000000002.json"));
    expect((await run("show")).stdout).toContain("commit 2, the last one, is gone");
    expect(await json("verify")).toMatchObject({ code: 1 });
    const done = await typed("recover missing_commits", "recover");
    expect(done, done.shown).toMatchObject({ code: 0 });
    expect(done.shown).toContain("Choice `missing_commits`");
    expect(await json("verify")).toMatchObject({ code: 0, data: { commits: 1 } });
  });

  it("is what verify asks for as well where another commit took the number of one that is known", async () => {
    const store = await opened();
    await store.commit((_, seq) => [plan(seq).event]);
    const head = join(root, "head");
    const known = await readFile(head);
    await rm(head);
    await rm(join(root, "journal", "000000000001.json"));
    await (await opened()).commit((_, seq) => [plan(seq).event]);
    await writeFile(head, known);
    const verified = await run("verify");
    expect(verified).toMatchObject({ code: 1, stdout: expect.stringContaining("NOT OK. Nothing was changed.") });
    expect(verified.stdout).toContain("BAD: commit 1: another one was recorded under this number");
    expect(verified.stdout).toContain("problem     state_unreadable: file: commit 1 is another one");
  });

  it("has no choice for damage in the middle, and says what to do", async () => {
    await golden();
    await writeFile(join(root, "journal", "000000000046.json"), "");
    const before = await picture();
    const none = await typed("recover last_commit", "recover");
    expect(none.code).toBe(1);
    expect(none.shown).toContain("restore journal/000000000046.json from a backup");
    expect(none.question).toBe("");
    expect(await picture()).toEqual(before);
  });
});

describe("unlock", () => {
  it("breaks a lease on the word of a human, with the reason on record", async () => {
    const store = await opened();
    await store.commit((_, seq) => [plan(seq).event]);
    const lease = await store.leases.acquire("stack:web", "update");
    if (lease instanceof OpsError) throw lease;
    const words = ["unlock", "1", "--reason", "the laptop is gone"];
    const before = await picture();
    const unasked = await run(...words);
    expect(unasked).toMatchObject({ code: 1 });
    expect(unasked.stdout).toContain("Lease 1 on stack:web (update), held by process 100 on host-1.");
    expect(unasked.stdout).toContain("cannot see whether that process still runs");
    expect((await typed("yes", ...words)).code).toBe(1);
    expect(await picture()).toEqual(before);
    expect(await typed("break 1", ...words)).toMatchObject({ code: 0 });
    const commits = await (await opened()).commits(2, 5);
    expect(commits[0]?.events).toEqual([
      { type: "lease.broken", scope: "stack:web", generation: 1, by: "alice", because: "the laptop is gone" },
    ]);
    expect(await lease.heartbeat()).toBe(false);
    expect((await json("locks")).data.leases).toEqual([]);
    expect((await run(...words)).stdout).toContain("no lease 1 that somebody holds");
  });
});

describe("a lease on the store whose holder was killed on another host", () => {
  /** Time passes for whoever sleeps. */
  const sleeper = () => {
    let slept = 0;
    const sleep = async (ms: number) => {
      slept += ms;
    };
    return { clock: { now: () => new Date(), monotonic: () => slept, sleep }, slept: () => slept };
  };

  it.each([
    ["compact", "Commits 1 to"],
    ["rotate-key", "New secrets are sealed with k1-"],
  ])("keeps %s waiting, with a word, until its heartbeat stood still", async (verb, done) => {
    const store = await opened();
    for (let index = 0; index < 2; index++) {
      await store.commit((_, seq) => [plan(seq).event]);
      await store.checkpoint();
    }
    const lease = await store.leases.acquire("store", "compact");
    if (lease instanceof OpsError) throw lease;
    const { clock, slept } = sleeper();
    const logged: string[] = [];
    const told = await typedIn(root, "", [verb], {
      clock,
      env: { AWS_DEVOPS_MCP_STATE_PASSPHRASE: "correct horse battery" },
      writeLog: (line) => logged.push(line),
    });
    expect(told, told.shown).toMatchObject({ code: 0, shown: expect.stringContaining(done) });
    expect(slept()).toBeGreaterThanOrEqual(90_000);
    expect(logged.join("")).toBe(
      "aws-devops-mcp: Lease 1 on store is held by process 100 on host-1 (compact). Waiting up to 120 s until it ends, or until its heartbeat stood still for 90 s.\n",
    );
    expect(await lease.heartbeat()).toBe(false);
  });

  it("is left alone while its heart beats, and the verb says so in time", async () => {
    const store = await opened();
    await store.commit((_, seq) => [plan(seq).event]);
    const lease = await store.leases.acquire("store", "compact");
    if (lease instanceof OpsError) throw lease;
    const { clock, slept } = sleeper();
    const beating = {
      ...clock,
      sleep: async (ms: number) => {
        await clock.sleep(ms);
        await lease.heartbeat();
      },
    };
    const told = await typedIn(root, "", ["rotate-key"], {
      clock: beating,
      env: { AWS_DEVOPS_MCP_STATE_PASSPHRASE: "correct horse battery" },
    });
    expect(told).toMatchObject({ code: 1, shown: expect.stringContaining("resource_busy: Lease 1 on store is held") });
    expect(slept()).toBe(120_000);
    expect(await lease.heartbeat()).toBe(true);
  });
});

describe("usage", () => {
  it.each([
    [["frob"], 'no verb "frob"'],
    [["verify", "now"], "takes no further word"],
    [["import"], "takes FILE"],
    [["unlock", "1"], "needs --reason"],
    [["unlock", "one", "--reason", "x"], 'not "one"'],
    [["verify", "--out", "x"], "takes no --out"],
    [["compact", "--dry-run"], "takes no --dry-run"],
  ])("%j ends with 2 and says what is wrong", async (words, message) => {
    expect(await run(...words)).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(message) });
  });

  it("is shown for every verb, and without one", async () => {
    const help = await run("--help");
    expect(help.code).toBe(0);
    const verbs = [...help.stdout.matchAll(/^ {2}([a-z-]+)/gm)].map(([, verb]) => verb!);
    expect(verbs).toEqual([
      "show",
      "verify",
      "locks",
      "export",
      "compact",
      "rotate-key",
      "import",
      "unlock",
      "recover",
      "adopt-edit",
    ]);
    for (const verb of verbs) {
      const one = await typed("", verb, "--help");
      expect(one, verb).toMatchObject({ code: 0, shown: expect.stringContaining(`state ${verb}`) });
    }
    expect(await run()).toMatchObject({ code: 2, stdout: help.stdout });
  });

  it("keeps its options to itself, and a memory state is none", async () => {
    expect(() => loadConfig(["serve", "--out"], {})).toThrow(ConfigError);
    const serve = await new Promise<Ran>((resolve) => {
      execFile(process.execPath, [CLI, "demo", "--out", "x"], (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
      );
    });
    expect(serve).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--out is an option of the state command"),
    });
    root = "memory:";
    expect((await run("show", "--sandbox")).stdout).toContain("give --state DIR");
  });
});
