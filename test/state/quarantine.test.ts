// Recovery choices: what is moved aside, when that is refused, and which checkpoint a damaged store is read from.

import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.js";
import { journalKey, type StateDriver } from "../../state/driver.js";
import { memoryDriver } from "../../state/drivers/memory.js";
import { folder } from "./folder.js";
import { applied, intent, open, plan, testClock } from "./helpers.js";

async function store() {
  const made = await folder();
  const first = await open(made.driver());
  await applied(first);
  const next = plan(4);
  await first.commit(() => [next.event]);
  await first.commit((_, seq) => [intent(seq, next.id, next.token)]);
  return made;
}

describe("a damaged last commit", () => {
  it("is moved aside on request, named with its operation, and its number given out again", async () => {
    const made = await store();
    const path = made.path(journalKey(5));
    const whole = await readFile(path);
    await writeFile(path, whole.subarray(0, -9));
    const opened = await open(made.driver());
    expect(opened.readOnly?.details).toMatchObject({ last: true, seq: 5 });
    const report = await opened.recover("last_commit");
    expect(report.operations).toEqual(["op_5"]);
    expect(await readFile(made.path(report.quarantined))).toEqual(whole.subarray(0, -9));
    expect(opened.readOnly).toBeNull();
    expect((await opened.commit((_, seq) => [plan(seq).event])).seq).toBe(5);
    expect(await (await open(made.driver())).verify()).toMatchObject({ ok: true, commits: 5 });
  });

  it("is the last one that is there, not the last one there was: what is missing behind it is asked about next", async () => {
    const made = await folder();
    const first = await open(made.driver());
    for (let seq = 1; seq <= 6; seq++) await first.commit((_, next) => [plan(next).event]);
    const third = made.path(journalKey(3));
    await writeFile(third, (await readFile(third)).subarray(0, -9));
    for (const seq of [4, 5, 6]) await rm(made.path(journalKey(seq)));
    const opened = await open(made.driver());
    expect(opened.readOnly?.details).toMatchObject({ last: true, seq: 3, missing: 3 });
    expect(opened.readOnly?.message).toContain("commit 3, the last one there is, is damaged");
    expect(opened.readOnly?.message).toContain("commits 4 to 6, which followed it, are gone");
    await opened.recover("last_commit");
    expect(opened.readOnly?.message).toContain("commits 3 to 6, the last ones, are gone");
    await expect(opened.commit((_, seq) => [plan(seq).event])).rejects.toMatchObject({ code: "state_unreadable" });
    expect((await open(made.driver())).readOnly?.details).toMatchObject({ file: "head", seq: 6, verifiedUpTo: 2 });
    await opened.recover("missing_commits");
    expect(opened.readOnly).toBeNull();
    expect((await opened.commit((_, seq) => [plan(seq).event])).seq).toBe(3);
    expect(await opened.verify()).toMatchObject({ ok: true, commits: 3 });
  });

  it("that a checkpoint covers was whole once: it stays", async () => {
    const made = await store();
    await (await open(made.driver())).checkpoint();
    await writeFile(made.path(journalKey(5)), "");
    const before = await made.picture();
    const opened = await open(made.driver());
    await expect(opened.recover("last_commit")).rejects.toThrow("was whole once");
    expect(opened.readOnly).not.toBeNull();
    expect(await made.picture()).toEqual(before);
  });

  it("in the middle is none", async () => {
    const made = await store();
    await rm(made.path("state.json"));
    await rm(made.path("backups"), { recursive: true });
    await writeFile(made.path(journalKey(2)), "");
    const before = await made.picture();
    const opened = await open(made.driver());
    for (const choice of ["last_commit", "checkpoint"] as const) {
      await expect(opened.recover(choice)).rejects.toMatchObject({ code: "validation_error", field: "choice" });
    }
    expect(await made.picture()).toEqual(before);
  });

  it("of a whole store is none either", async () => {
    const made = await store();
    const before = await made.picture();
    await expect((await open(made.driver())).recover("last_commit")).rejects.toThrow("The store is whole");
    expect(await made.picture()).toEqual(before);
  });
});

describe("commits that are gone from the end", () => {
  it("are missed, and given up on request only", async () => {
    const made = await store();
    const whole = await open(made.driver());
    for (const seq of [4, 5]) await rm(made.path(journalKey(seq)));
    const opened = await open(made.driver());
    expect(opened.readOnly?.message).toContain("commits 4 to 5, the last ones, are gone");
    expect((await opened.state()).seq).toBe(3);
    expect(await opened.verify()).toMatchObject({ ok: false, firstBad: { seq: 4, because: "the file is missing" } });
    const before = await made.picture();
    await expect(opened.commit((_, seq) => [plan(seq).event])).rejects.toMatchObject({ code: "state_unreadable" });
    for (const choice of ["last_commit", "checkpoint"] as const) {
      await expect(opened.recover(choice)).rejects.toMatchObject({ code: "validation_error", field: "choice" });
    }
    expect(await made.picture()).toEqual(before);
    await opened.recover("missing_commits");
    expect(opened.readOnly).toBeNull();
    expect((await opened.commit((_, seq) => [plan(seq).event])).seq).toBe(4);
    expect(await (await open(made.driver())).verify()).toMatchObject({ ok: true, commits: 4 });
    // One that had read them does not go on with another chain.
    await whole.reload();
    expect(whole.readOnly).not.toBeNull();
  });

  it("are missed where another commit took the number", async () => {
    const made = await store();
    const head = await readFile(made.path("head"));
    await rm(made.path(journalKey(5)));
    await rm(made.path("head"));
    await (await open(made.driver())).commit((_, seq) => [plan(seq).event]);
    await writeFile(made.path("head"), head);
    const opened = await open(made.driver());
    expect(opened.readOnly?.message).toContain("commit 5 is another one than was recorded");
    const because = "another one was recorded under this number";
    expect(await opened.verify()).toMatchObject({ ok: false, commits: 5, firstBad: { seq: 5, because } });
  });

  it("are not missed where nothing whole says so: a torn hint is no damage", async () => {
    const made = await store();
    const head = await readFile(made.path("head"));
    for (const bytes of [Buffer.alloc(0), Buffer.alloc(head.length), head.subarray(0, 100), Buffer.from("[]")]) {
      await writeFile(made.path("head"), bytes);
      expect((await open(made.driver())).readOnly).toBeNull();
    }
    const other = await store();
    await writeFile(made.path("head"), await readFile(other.path("head")));
    expect((await open(made.driver())).readOnly, "that of another store").toBeNull();
  });
});

describe("a state.json of no use", () => {
  it.each([
    ["unparsable", () => '{"version'],
    ["empty", () => ""],
    ["edited", (text: string) => text.replace("save money", "burn money")],
  ])("that is %s is moved aside on request and written anew from the journal", async (_, change) => {
    const made = await store();
    const text = await readFile(made.path("state.json"), "utf8");
    await writeFile(made.path("state.json"), change(text));
    const opened = await open(made.driver());
    expect(opened.readOnly?.code).toBe("state_unreadable");
    const { quarantined } = await opened.recover("checkpoint");
    expect(await readFile(made.path(quarantined), "utf8")).toBe(change(text));
    expect(opened.readOnly).toBeNull();
    expect(await opened.verify()).toMatchObject({ ok: true, checkpoint: { ok: true, appliedSeq: 5 } });
    expect((await open(made.driver())).readOnly).toBeNull();
  });

  it("that covers lost commits is not moved: the journal is what is wrong", async () => {
    const made = await store();
    for (const seq of [3, 4, 5]) await rm(made.path(journalKey(seq)));
    const opened = await open(made.driver());
    await expect(opened.recover("checkpoint")).rejects.toThrow("not what is wrong");
    await expect(opened.recover("last_commit")).rejects.toThrow("not what is wrong");
  });

  /** Which commits were read to open the store. */
  async function readCommits(kept: Map<string, Uint8Array>): Promise<string[]> {
    const inner = memoryDriver(kept);
    const read: string[] = [];
    const watched: StateDriver = {
      ...inner,
      get: (key) => {
        if (key.startsWith("journal/")) read.push(key);
        return inner.get(key);
      },
    };
    const opened = await open(watched);
    expect((await opened.state()).seq).toBe(7);
    return read;
  }

  it("is stepped over to the one before it, then to a backup, then to the first commit", async () => {
    const kept = new Map<string, Uint8Array>();
    const first = await open(memoryDriver(kept));
    await applied(first);
    await applied(first);
    await first.commit((_, seq) => [plan(seq).event]);
    kept.set("state.json", new TextEncoder().encode("{"));
    expect(await readCommits(kept)).toEqual([3, 4, 5, 6, 7].map(journalKey));
    kept.set("state.json.prev", new Uint8Array());
    expect(await readCommits(kept)).toEqual([3, 4, 5, 6, 7].map(journalKey));
    for (const key of kept.keys()) if (key.startsWith("backups/")) kept.delete(key);
    expect(await readCommits(kept)).toEqual([1, 2, 3, 4, 5, 6, 7].map(journalKey));
  });

  it("and gone, while the one before it covers what the journal lost, is no whole store", async () => {
    const kept = new Map<string, Uint8Array>();
    const first = await open(memoryDriver(kept));
    await applied(first);
    await applied(first);
    for (const key of [...kept.keys()]) if (/^(journal|head$|state.json$)/.test(key)) kept.delete(key);
    const opened = await open(memoryDriver(kept));
    expect(opened.readOnly?.message).toContain("state.json.prev covers commit 3");
    const because = expect.stringContaining("state.json.prev covers commit 3");
    expect(await opened.verify(), "verify says what opening says").toMatchObject({ ok: false, opens: { because } });
  });
});

describe("backups", () => {
  it("keep the first checkpoint of a day, for as many days as asked, and never none", async () => {
    const made = await folder();
    const clock = testClock();
    const first = await open(made.driver(), { clock, backupRetentionDays: 2 });
    const days = async () => (await readdir(made.path("backups"))).map((name) => name.slice(6, 16));
    for (let day = 0; day < 4; day++) {
      await first.commit((_, seq) => [plan(seq, undefined, { expiresAt: "2027-01-01T00:00:00.000Z" }).event]);
      await first.checkpoint();
      await first.commit((_, seq) => [plan(seq, undefined, { expiresAt: "2027-01-01T00:00:00.000Z" }).event]);
      await first.checkpoint();
      clock.advance(86_400_000);
    }
    expect(await days()).toEqual(["2026-11-23", "2026-11-24"]);
    const backup = JSON.parse(await readFile(made.path("backups/state-2026-11-24.json"), "utf8"));
    expect(backup.journal.applied_seq).toBe(7);
    clock.advance(365 * 86_400_000);
    expect(await days()).toHaveLength(2);
  });

  it("that cannot be made do not stop a checkpoint", async () => {
    const inner = memoryDriver();
    const logged: string[] = [];
    const full = new OpsError("state_read_only", "full");
    const first = await open(
      {
        ...inner,
        putIfAbsent: async (key, bytes) => {
          if (key.startsWith("backups/")) throw full;
          return inner.putIfAbsent(key, bytes);
        },
      },
      { log: (_, message) => logged.push(message) },
    );
    await applied(first);
    expect((await first.verify()).checkpoint.appliedSeq).toBe(3);
    expect(logged).toEqual(["The backup of 2026-11-21 was not made. full"]);
  });
});
