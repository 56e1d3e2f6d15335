// What a store answers beside its commits: read again, commit by commit, and as one document.

import { readFile, rm, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { journalKey } from "../../state/driver.js";
import { memoryDriver } from "../../state/drivers/memory.js";
import { faultyFs, folder } from "./folder.js";
import { applied, open, owner, plan } from "./helpers.js";

describe("verify", () => {
  it("takes what another process commits meanwhile for no gap", async () => {
    const files = new Map<string, Uint8Array>();
    const by = owner("session-2", 200);
    const other = await open(memoryDriver(files), { owner: by });
    await applied(other, undefined, undefined, by);
    const driver = memoryDriver(files);
    const commit = async () => void (await other.commit((_, seq) => [plan(seq).event]));
    let meanwhile = async () => {};
    const list = async (prefix: string) => {
      if (prefix === "journal/") await meanwhile();
      return driver.list(prefix);
    };
    const store = await open({ ...driver, list });
    meanwhile = commit;
    expect(await store.verify()).toMatchObject({ ok: true, firstBad: null });
  });
});

describe("reload", () => {
  it("believes that damage was mended, and goes on", async () => {
    const made = await folder();
    await applied(await open(made.driver()));
    const path = made.path(journalKey(3));
    const bytes = await readFile(path);
    await writeFile(path, "{");
    const store = await open(made.driver());
    expect(store.readOnly?.code).toBe("state_unreadable");
    await store.reload();
    expect(store.readOnly?.code, "it still is damaged").toBe("state_unreadable");
    await writeFile(path, bytes);
    expect((await store.reload()).seq).toBe(3);
    expect(store.readOnly).toBeNull();
    expect((await store.commit((_, seq) => [plan(seq).event])).seq).toBe(4);
  });

  it("finds that another chain, or an older one, stands where it had read", async () => {
    const made = await folder();
    const store = await open(made.driver());
    await store.commit((_, seq) => [plan(seq).event]);
    await store.commit((_, seq) => [plan(seq).event]);
    await store.commit((_, seq) => [plan(seq).event]);
    const last = await readFile(made.path(journalKey(3)));
    await rm(made.path(journalKey(3)));
    await store.reload();
    expect(store.readOnly?.message).toContain("commit 3, the last one, is gone");
    await expect(store.commit((_, seq) => [plan(seq).event])).rejects.toMatchObject({ code: "state_unreadable" });
    await writeFile(made.path(journalKey(3)), last, { mode: 0o600 });
    await store.reload();
    expect(store.readOnly).toBeNull();

    // Another process took the number that this one had read.
    await rm(made.path(journalKey(3)));
    await rm(made.path("head"));
    await store.reload();
    expect(store.readOnly?.message).toContain("commit 3, which this process had read, is gone");
    const thief = await open(made.driver(), { owner: owner("session-2", 200) });
    await thief.commit((_, seq) => [plan(seq).event]);
    await store.reload();
    expect(store.readOnly?.message).toContain("commit 3, which this process had read, is another one now");

    await rm(made.root, { recursive: true });
    await store.reload();
    expect(store.readOnly?.message, "also where nothing is left").toContain("is gone");
  });

  it("does not make up for a write that the disk did not keep", async () => {
    const made = await folder();
    await (await open(made.driver())).commit((_, seq) => [plan(seq).event]);
    let [failing, linked] = [true, false];
    const fs = faultyFs((call, path) => {
      if (call === "link" && path.includes("journal")) linked = true;
      return failing && linked && call === "syncDirectory" ? { code: "EIO" } : undefined;
    });
    const store = await open(made.driver(fs));
    await expect(store.commit((_, seq) => [plan(seq).event])).rejects.toThrow("could not be made durable");
    failing = false;
    await store.reload();
    expect(store.readOnly?.message).toContain("could not be made durable");
  });
});

describe("commits", () => {
  it("come from journal and archive alike, in order and no more than asked for", async () => {
    const store = await open(memoryDriver());
    await applied(store);
    await applied(store);
    await store.compact();
    await applied(store);
    await store.compact();
    const all = await store.commits(0, 100);
    expect(all.map(({ seq }) => seq)).toEqual(Array.from({ length: (await store.state()).seq }, (_, at) => at + 1));
    expect((await store.verify()).archive.floor).toBeGreaterThan(2);
    expect(await store.commits(2, 2)).toEqual(all.slice(2, 4));
    expect(await store.commits(all.length, 5)).toEqual([]);
    expect(await (await open(memoryDriver())).commits(0, 5)).toEqual([]);
  });
});

describe("export", () => {
  it("is kept under one name for one state, and nowhere in a store that does not last", async () => {
    const made = await folder();
    const store = await open(made.driver());
    expect((await store.export({ keep: true })).file, "there is no store yet").toBeNull();
    expect(await made.picture()).toEqual({});
    await applied(store);
    const first = await store.export({ keep: true });
    expect(first.file).toBe(`exports/state-000000000003-${first.sha256.slice(0, 12)}.json`);
    expect((await store.export({ keep: true })).file).toBe(first.file);
    expect(await readFile(made.path(first.file!), "utf8")).toBe(first.text);
    expect((await store.export({ keep: false })).file).toBeNull();
    const memory = await open(memoryDriver());
    await applied(memory);
    expect(await memory.export({ keep: true })).toMatchObject({ file: null, resources: 1, seq: 3 });
  });
});
