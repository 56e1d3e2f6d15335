// An edit of state.json by hand: adopted on request as a commit, and only where it says something about a resource.

import { cpSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fileDriver } from "../../state/drivers/file.js";
import { folder } from "./folder.js";
import { applied, ids, open, plan, result, step, testClock } from "./helpers.js";

type Doc = Record<string, unknown>;
type Edit = (resource: Doc, document: Doc) => void;

async function edited(edit: Edit) {
  const made = await folder();
  const store = await open(made.driver());
  await applied(store);
  const path = made.path("state.json");
  const document = JSON.parse(await readFile(path, "utf8")) as Doc;
  edit((document.resources as Doc)["i-1"] as Doc, document);
  await writeFile(path, JSON.stringify(document, null, 2));
  return { ...made, text: await readFile(path, "utf8") };
}

const properties: Edit = (resource) => {
  resource.current_properties = { state: "by-hand", tags: { a: "1" } };
  resource.desired = { state: "by-hand" };
  (resource.dependencies as Doc).depends_on = ["vpc"];
};

describe("an edited state.json", () => {
  it("is adopted as a commit with a history entry, and the edited file is kept", async () => {
    const made = await edited(properties);
    const store = await open(made.driver());
    expect(store.readOnly?.details.difference).not.toEqual([]);
    const { seq, events } = await store.adopt("alice");
    expect(seq).toBe(4);
    expect(events).toMatchObject([{ type: "state.manual_edit", by: "alice" }]);
    expect(store.readOnly).toBeNull();
    const [resource] = [...(await (await open(made.driver())).state()).resources.values()];
    expect(resource).toMatchObject({
      properties: { state: "by-hand", tags: { a: "1" } },
      desired: { state: "by-hand" },
      dependsOn: ["vpc"],
      revisionSeq: 4,
      drift: { status: "NOT_CHECKED" },
    });
    expect(resource?.lineage.at(-1)).toMatchObject({
      tool: "state.adopt",
      user: "alice",
      before: { state: "stopped" },
      after: { state: "by-hand", tags: { a: "1" } },
    });
    expect(await store.verify()).toMatchObject({ ok: true, commits: 4, checkpoint: { ok: true, appliedSeq: 4 } });
    const kept = Object.entries(await made.picture()).filter(([name]) => name.includes("quarantine/"));
    expect(kept.map(([, content]) => content)).toEqual([`600 ${Buffer.from(made.text).toString("hex")}`]);
  });

  it("is never aside without being adopted, wherever the process was killed", async () => {
    const made = await edited(properties);
    const killed: string[] = [];
    const watched = {
      ...ids,
      // Every name is asked for before something is made: what is there then is what a kill leaves.
      uuid: () => {
        killed.push(`${made.root}-${killed.length}`);
        cpSync(made.root, killed.at(-1)!, { recursive: true });
        return ids.uuid();
      },
    };
    const store = await open(fileDriver({ root: made.root }, { clock: testClock(), ids: watched }), { ids: watched });
    await store.adopt("alice");
    expect(killed.length).toBeGreaterThan(3);
    for (const left of killed) {
      const found = await open(fileDriver({ root: left }, { clock: testClock(), ids }));
      const [resource] = [...(await found.state()).resources.values()];
      const kept = await readFile(join(left, "state.json"), "utf8").catch(() => "");
      expect([left, resource?.revisionSeq === 4 || kept === made.text]).toEqual([left, true]);
      if (!found.readOnly) continue;
      if (resource?.revisionSeq === 4) await found.recover("checkpoint");
      else await found.adopt("alice");
      expect(found.readOnly).toBeNull();
      expect(await found.verify()).toMatchObject({ ok: true, commits: 4, checkpoint: { appliedSeq: 4 } });
    }
  });

  it.each<[string, Edit]>([
    [
      "its history",
      (resource) => {
        (resource.lineage as Doc[]).pop();
      },
    ],
    [
      "its name in AWS",
      (resource) => {
        resource.identifier = "i-2";
      },
    ],
    [
      "a token",
      (_, document) => {
        (document.journal as Doc).changes = {};
      },
    ],
    [
      "another number",
      (_, document) => {
        (document.journal as Doc).applied_seq = 2;
      },
    ],
    [
      "no resource any more",
      (_, document) => {
        document.resources = {};
      },
    ],
    [
      "a resource without shape",
      (resource) => {
        resource.desired = "none";
      },
    ],
  ])("that also says %s is not adopted, and nothing is changed", async (_, edit) => {
    const made = await edited((resource, document) => {
      properties(resource, document);
      edit(resource, document);
    });
    const before = await made.picture();
    const store = await open(made.driver());
    await expect(store.adopt("alice")).rejects.toMatchObject({ code: "validation_error" });
    expect(await made.picture()).toEqual(before);
  });

  it.each<[string, Edit]>([
    ["a property", (resource) => Object.assign(resource.current_properties as Doc, { MasterUserPassword: "hunter2!" })],
    ["a member of one", (resource) => Object.assign(resource.desired as Doc, { Login: [{ Password: "hunter2!" }] })],
  ])("that names a secret in %s is not adopted: it would stand in the journal for ever", async (_, edit) => {
    const made = await edited(edit);
    const store = await open(made.driver());
    await expect(store.adopt("alice")).rejects.toMatchObject({ code: "validation_error" });
    const journal = Object.entries(await made.picture()).filter(([name]) => name.includes("journal/"));
    const clear = Buffer.from("hunter2!").toString("hex");
    expect(journal.filter(([, content]) => content.includes(clear))).toEqual([]);
  });

  it("of a resource that was changed since is not adopted", async () => {
    const made = await folder();
    const store = await open(made.driver());
    await applied(store);
    const old = JSON.parse(await readFile(made.path("state.json"), "utf8")) as Doc;
    await applied(
      store,
      [step({ before: { state: "stopped" }, after: { state: "running" } })],
      [[result({ state: "stopped" }, { state: "running" })]],
    );
    properties((old.resources as Doc)["i-1"] as Doc, old);
    await writeFile(made.path("state.json"), JSON.stringify(old));
    const again = await open(made.driver());
    await expect(again.adopt("alice")).rejects.toThrow("was changed by commit 6");
  });

  it("is the only thing that can be adopted", async () => {
    const made = await folder();
    const store = await open(made.driver());
    await store.commit((_, seq) => [plan(seq).event]);
    await expect(store.adopt("alice")).rejects.toThrow("no edit");
    await store.checkpoint();
    await writeFile(made.path("state.json"), "{");
    await expect((await open(made.driver())).adopt("alice")).rejects.toThrow("no edit");
  });
});
