// Opening a store that was damaged, edited, mixed up or half removed: it says so, and not a byte on disk changes.

import { cp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.js";
import { type JsonObject, sha256 } from "../../src/core/json.js";
import { checkpointDocument, checkpointText, readCheckpoint } from "../../state/checkpoint.js";
import { journalKey } from "../../state/driver.js";
import { memoryDriver } from "../../state/drivers/memory.js";
import type { Store } from "../../state/journal.js";
import { type Folder, folder } from "./folder.js";
import { applied, open, plan, result, step } from "./helpers.js";

/** A store of four commits: an applied change, and a plan after the last checkpoint. */
async function store(): Promise<Folder & { tokens: string[] }> {
  const made = await folder();
  const first = await open(made.driver());
  const { token } = await applied(first, [step({ before: { state: "running" } })]);
  await first.commit((_, seq) => [plan(seq).event]);
  return { ...made, tokens: [token] };
}

/** Opens it, tries everything that writes, and proves that nothing was written. */
async function readOnly(made: Folder): Promise<{ store: Store; error: OpsError }> {
  const before = await made.picture();
  const opened = await open(made.driver());
  const error = opened.readOnly!;
  expect(error).toBeInstanceOf(OpsError);
  await opened.state().catch(() => null);
  await expect(opened.commit((_, seq) => [plan(seq).event])).rejects.toThrow(OpsError);
  await expect(opened.checkpoint()).rejects.toThrow(OpsError);
  await opened.verify();
  await opened.close();
  expect(await made.picture()).toEqual(before);
  return { store: opened, error };
}

const edit = async (path: string, change: (text: string) => string): Promise<void> =>
  writeFile(path, change(await readFile(path, "utf8")));

describe("state.json", () => {
  it("that is missing is written anew from the journal", async () => {
    const made = await store();
    const truth = await readFile(made.path("state.json"), "utf8");
    await rm(made.path("state.json"));
    const opened = await open(made.driver());
    expect(opened.readOnly).toBeNull();
    expect((await opened.state()).seq).toBe(4);
    await opened.checkpoint();
    expect(JSON.parse(await readFile(made.path("state.json"), "utf8")).resources).toEqual(JSON.parse(truth).resources);
  });

  it.each([
    ["zero-length", "", "it is empty"],
    ["cut off", '{"version": "1.0", "metad', "JSON"],
    ["not an object", "[]\n", "not a JSON object"],
  ])("that is %s is left as it is; the journal answers", async (_, content, because) => {
    const made = await store();
    await writeFile(made.path("state.json"), content);
    const { store: opened, error } = await readOnly(made);
    expect(error.code).toBe("state_unreadable");
    expect(error.message).toContain(because);
    expect(error.message).toContain("whole up to commit 4");
    expect((await opened.state()).changes.get("ch_1")?.state).toBe("applied");
  });

  it("that was edited is shown with the difference and never overwritten", async () => {
    const made = await store();
    await edit(made.path("state.json"), (text) => text.replace('"user_intent": "save money"', '"user_intent": "none"'));
    const { store: opened, error } = await readOnly(made);
    expect(error.code).toBe("state_unreadable");
    expect(error.message).toContain("edited by hand");
    expect(error.details.differences).toBe(1);
    expect(error.details.difference).toMatchObject([{ kind: "NOT_EQUAL", before: "save money", after: "none" }]);
    expect([...(await opened.state()).resources.values()][0]?.lineage[0]?.intent).toBe("save money");
  });

  it("is not called edited for another layout of the same document", async () => {
    const made = await store();
    await edit(made.path("state.json"), (text) => JSON.stringify(JSON.parse(text)));
    expect((await open(made.driver())).readOnly).toBeNull();
  });

  it("that is edited while the store is in use stays", async () => {
    const made = await store();
    const opened = await open(made.driver());
    await edit(made.path("state.json"), (text) => text.replace("save money", "spend money"));
    const edited = await readFile(made.path("state.json"), "utf8");
    await opened.commit((_, seq) => [plan(seq).event]);
    await expect(opened.checkpoint()).rejects.toThrow("edited by hand");
    expect(opened.readOnly?.code).toBe("state_unreadable");
    expect(await readFile(made.path("state.json"), "utf8")).toBe(edited);
  });

  it("of another store is refused", async () => {
    const made = await store();
    const other = await store();
    await cp(other.path("state.json"), made.path("state.json"));
    const { store: opened, error } = await readOnly(made);
    expect(error.message).toContain("belongs to another store");
    expect((await opened.state()).seq).toBe(4);
  });

  it("that covers commits the journal lost is refused", async () => {
    const made = await store();
    await rm(made.path(journalKey(3)));
    await rm(made.path(journalKey(4)));
    const { error } = await readOnly(made);
    expect(error.message).toContain("covers commit 3");
  });

  it("of the seed is told apart", async () => {
    const made = await folder();
    await (await open(made.driver())).commit((_, seq) => [plan(seq).event]);
    await rm(made.path("journal"), { recursive: true });
    await rm(made.path("store.id"));
    await rm(made.path("head"));
    await writeFile(
      made.path("state.json"),
      JSON.stringify({ version: "1.0", metadata: {}, resources: {}, stacks: {} }),
    );
    const { store: opened, error } = await readOnly(made);
    expect(error.message).toContain("import it");
    await expect(opened.state()).rejects.toThrow(OpsError);
  });
});

describe("store.id", () => {
  it.each([
    ["missing", null],
    ["empty", ""],
    ["damaged", '{"store":'],
    ["nameless", "{}"],
  ])("that is %s is never a new store", async (_, content) => {
    const made = await store();
    if (content === null) await rm(made.path("store.id"));
    else await writeFile(made.path("store.id"), content);
    const { store: opened, error } = await readOnly(made);
    expect(error.code).toBe("state_unreadable");
    await expect(opened.state()).rejects.toBe(error);
  });

  it.each(["state.json", "journal"])("with only %s beside it gone or left is never a new store", async (left) => {
    const made = await store();
    for (const name of ["store.id", "state.json", "journal"].filter((one) => one !== left)) {
      await rm(made.path(name), { recursive: true });
    }
    expect((await readOnly(made)).error.code).toBe("state_unreadable");
  });

  it("alone, with an empty journal, is a store whose first commit was never made", async () => {
    const made = await folder();
    const first = await open(made.driver());
    await first.fingerprint("x");
    const opened = await open(made.driver());
    expect(opened.readOnly).toBeNull();
    expect((await opened.commit((_, seq) => [plan(seq).event])).seq).toBe(1);
  });

  it("of another store is refused", async () => {
    const made = await store();
    await cp((await store()).path("store.id"), made.path("store.id"));
    expect((await readOnly(made)).error.code).toBe("state_unreadable");
  });
});

describe("the journal", () => {
  it("that is gone is not an empty one", async () => {
    const made = await store();
    await rm(made.path("journal"), { recursive: true });
    expect((await readOnly(made)).error.message).toContain("journal folder is gone");
  });

  it("that lost all commits is not an empty one", async () => {
    const made = await store();
    for (const name of await readdir(made.path("journal"))) await rm(made.path(`journal/${name}`));
    const { error, store: opened } = await readOnly(made);
    expect(error.message).toContain("covers commit 3");
    expect(opened.readOnly).toBe(error);
  });

  it("with its last commit cut off is read-only up to the one before", async () => {
    const made = await store();
    const path = made.path(journalKey(4));
    await writeFile(path, (await readFile(path)).subarray(0, -20));
    const { store: opened, error } = await readOnly(made);
    expect(error.message).toContain("last commit, 4, is damaged");
    expect(error.details).toMatchObject({ seq: 4, verifiedUpTo: 3 });
    expect((await opened.state()).seq).toBe(3);
    expect((await opened.verify()).firstBad).toMatchObject({ seq: 4 });
  });

  it("with an empty last commit does not reuse its number", async () => {
    const made = await store();
    await writeFile(made.path(journalKey(4)), "");
    expect((await readOnly(made)).error.message).toContain("the file is empty");
  });

  it.each(["damaged", "missing", "empty"])("with a %s commit in the middle is read-only up to it", async (how) => {
    const made = await store();
    // Without the checkpoint, which covers the middle, the chain alone has to show it.
    await rm(made.path("state.json"));
    const path = made.path(journalKey(2));
    if (how === "missing") await rm(path);
    else if (how === "empty") await writeFile(path, "");
    else await edit(path, (text) => text.replace("op.intent", "op.intend"));
    const { store: opened, error } = await readOnly(made);
    expect(error.message).toContain("commit 2 is damaged in the middle");
    expect((await opened.state()).seq).toBe(1);
    expect((await opened.verify()).firstBad?.seq).toBe(2);
  });

  it("with two commits swapped is read-only", async () => {
    const made = await store();
    await rename(made.path(journalKey(3)), made.path("tmp/x"));
    await rename(made.path(journalKey(4)), made.path(journalKey(3)));
    await rename(made.path("tmp/x"), made.path(journalKey(4)));
    expect((await readOnly(made)).error.code).toBe("state_unreadable");
  });

  const resealed = (text: string): string => {
    const body = `${text.slice(0, text.lastIndexOf(',"sum":'))}}`;
    return `${body.slice(0, -1)},"sum":"${sha256(body)}"}\n`;
  };

  it.each([
    ["an unknown event", (text: string) => text.replace('"type":"change.planned"', '"type":"change.dreamed"')],
    ["an unknown format", (text: string) => text.replace('"v":1}', '"v":2}').replace('"v":1,', '"v":2,')],
    ["an unknown field", (text: string) => text.replace('"epoch":0', '"epoch":0,"fancy":1')],
    ["a key in two spellings", (text: string) => text.replace('"commit_id"', '"commitId"')],
    ["another store", (text: string) => text.replace(/"store":"[^"]+"/, '"store":"other"')],
    ["another number", (text: string) => text.replace('"seq":4', '"seq":5')],
    ["another predecessor", (text: string) => text.replace(/"prev":"[^"]+"/, `"prev":"${"0".repeat(64)}"`)],
    ["a broken rule", (text: string) => text.replace('"id":"ch_4"', '"id":"ch_9"')],
  ])("with %s in a commit that is otherwise whole is read-only, never skipped", async (_, change) => {
    const made = await store();
    await edit(made.path(journalKey(4)), (text) => {
      const changed = change(text);
      expect(changed).not.toBe(text);
      return resealed(changed);
    });
    const { store: opened, error } = await readOnly(made);
    expect(error.details).toMatchObject({ seq: 4 });
    expect((await opened.state()).seq).toBe(3);
  });

  it("damaged while the store is in use closes it for writing", async () => {
    const made = await store();
    const opened = await open(made.driver());
    await opened.state();
    await writeFile(made.path(journalKey(5)), "garbage\n");
    expect((await opened.state()).seq).toBe(4);
    expect(opened.readOnly?.code).toBe("state_unreadable");
    await expect(opened.commit((_, seq) => [plan(seq).event])).rejects.toThrow("last commit, 5, is damaged");
  });
});

describe("every single byte", () => {
  const kept = new Map<string, Uint8Array>();
  let truth: { head: string; seq: number };

  beforeAll(async () => {
    const first = await open(memoryDriver(kept));
    await applied(first, [step()], [[result({ state: "running" }, { state: "stopped" })]]);
    await first.commit((_, seq) => [plan(seq).event]);
    truth = await first.state();
    await first.checkpoint();
  });

  const quiet = { now: () => new Date("2026-11-21T10:00:00Z"), sleep: async () => {}, monotonic: () => 0 };

  /** Damage is refused at open, or it does no harm to the state; verify finds it in either case. */
  async function detected(files: Map<string, Uint8Array>): Promise<boolean> {
    const before = new Map(files);
    const opened = await open(memoryDriver(files), { clock: quiet });
    const refused = opened.readOnly !== null;
    const state = await opened.state().catch(() => null);
    const { ok } = await opened.verify();
    expect(files).toEqual(before);
    return !ok && (refused || (state?.head === truth.head && state.seq === truth.seq));
  }

  it.each(["store.id", "state.json", journalKey(1), journalKey(3), journalKey(4)])(
    "of %s: flipped, cut off or gone, it is detected or harmless",
    async (name) => {
      const whole = kept.get(name)!;
      const missed: string[] = [];
      for (let at = 0; at < whole.length; at += whole.length > 1_000 ? 61 : 7) {
        const flipped = Uint8Array.from(whole);
        flipped[at]! ^= 1 << (at % 8);
        const cut = whole.slice(0, at);
        if (!(await detected(new Map(kept).set(name, flipped)))) missed.push(`flip ${at}`);
        if (!(await detected(new Map(kept).set(name, cut)))) missed.push(`cut ${at}`);
      }
      expect(missed).toEqual([]);
    },
  );
});

describe("a checkpoint that lies", () => {
  it("with a fresh checksum is found by verify", async () => {
    const files = new Map<string, Uint8Array>();
    const first = await open(memoryDriver(files));
    await applied(first);
    const forged = JSON.parse(Buffer.from(files.get("state.json")!).toString()) as JsonObject;
    const read = readCheckpoint(new TextEncoder().encode(JSON.stringify(forged)));
    if (read.kind !== "checkpoint") throw new Error(read.kind);
    const state = {
      ...read.state,
      resources: new Map(
        [...read.state.resources].map(([rid, one]) => [rid, { ...one, properties: { state: "forged" } }]),
      ),
    };
    files.set("state.json", new TextEncoder().encode(checkpointText(checkpointDocument(state, "0.1.0"))));
    const report = await (await open(memoryDriver(files))).verify();
    expect(report).toMatchObject({
      ok: false,
      firstBad: null,
      checkpoint: { ok: false, because: "it is not what the journal says" },
    });
  });
});
