// What only the file driver can break: modes, leftovers, lost answers, full disks, mounts without hard links.

import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.js";
import { journalKey } from "../../state/driver.js";
import { fileDriver } from "../../state/drivers/file.js";
import { driverSuite } from "./driver-suite.js";
import { faultyFs, folder } from "./folder.js";
import { applied, ids, open, owner, plan, START, testClock } from "./helpers.js";

const refusal = async (run: Promise<unknown>): Promise<OpsError> => {
  const error = await run.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(OpsError);
  return error as OpsError;
};

describe("the state folder", () => {
  it("does not come into being by being looked at", async () => {
    const { root, driver, picture } = await folder();
    const store = await open(driver());
    expect(store.readOnly).toBeNull();
    expect(store.location).toBe(root);
    expect((await store.state()).seq).toBe(0);
    expect((await store.verify()).ok).toBe(true);
    await store.commit(() => []);
    await store.checkpoint();
    await store.close();
    expect(await picture()).toEqual({});
  });

  it("may come into being between two looks of somebody who opens it", async () => {
    const { root, driver } = await folder();
    let looks = 0;
    const fs = faultyFs((call, path) =>
      call === "readdir" && path === root && looks++ === 0 ? { code: "ENOENT" } : undefined,
    );
    await (await open(driver())).commit((_, seq) => [plan(seq).event]);
    const store = await open(driver(fs));
    expect(store.readOnly).toBeNull();
    expect((await store.state()).seq).toBe(1);
  });

  it("is not taken for missing where two calls disagree for good", async () => {
    const { root, driver } = await folder();
    await (await open(driver())).commit((_, seq) => [plan(seq).event]);
    const fs = faultyFs((call, path) => (call === "readdir" && path === root ? { code: "ENOENT" } : undefined));
    expect((await refusal(open(driver(fs)))).code).toBe("state_unreadable");
  });

  it("belongs to its user alone", async () => {
    const { root, driver } = await folder();
    const store = await open(driver());
    await applied(store);
    await store.fingerprint("secret");
    await store.checkpoint();
    expect((await stat(root)).mode & 0o777).toBe(0o700);
    for (const name of await readdir(root, { recursive: true })) {
      const found = await stat(join(root, name));
      expect([name, found.mode & 0o777]).toEqual([name, found.isDirectory() ? 0o700 : 0o600]);
    }
    expect((await readdir(root)).sort()).toEqual([
      "backups",
      "head",
      "journal",
      "key",
      "reserve",
      "state.json",
      "store.id",
      "tmp",
    ]);
    expect(await readdir(join(root, "tmp"))).toEqual([]);
  });

  it("is closed to others by the first commit where it was empty", async () => {
    const { root, driver } = await folder();
    await mkdir(root, { mode: 0o755 });
    await chmod(root, 0o777);
    const store = await open(driver());
    expect(store.readOnly).toBeNull();
    expect((await stat(root)).mode & 0o777).toBe(0o777);
    await store.commit((_, seq) => [plan(seq).event]);
    expect((await stat(root)).mode & 0o777).toBe(0o700);
  });

  it("is not somebody else's folder", async () => {
    const { root, driver, picture } = await folder();
    await mkdir(root);
    await chmod(root, 0o755);
    await writeFile(join(root, "notes.txt"), "mine");
    const before = await picture();
    const store = await open(driver());
    expect(store.readOnly?.code).toBe("state_read_only");
    expect((await refusal(store.commit((_, seq) => [plan(seq).event]))).message).toContain("a folder of its own");
    expect(await picture()).toEqual(before);
  });

  it("is read-only while other users can write into it", async () => {
    const { root, driver } = await folder();
    await applied(await open(driver()));
    await chmod(root, 0o777);
    const store = await open(driver());
    expect(store.readOnly?.code).toBe("state_read_only");
    expect(store.readOnly?.message).toContain(`chmod 700 '${root}'`);
    expect((await store.state()).seq).toBe(3);
  });

  it.each([
    ["state.json", 0o666],
    ["store.id", 0o620],
    ["key", 0o640],
  ])("is read-only while %s has mode %o", async (name, mode) => {
    const { path, driver } = await folder();
    const first = await open(driver());
    await applied(first);
    await first.fingerprint(1);
    await chmod(path(name), mode);
    expect((await open(driver())).readOnly?.message).toContain(`chmod 600 '${path(name)}'`);
  });

  it("refuses a file in the folder's place", async () => {
    const { root, driver } = await folder();
    await writeFile(root, "x");
    const store = await open(driver());
    expect(store.readOnly).toMatchObject({ code: "state_unreadable" });
    await expect(store.state()).rejects.toThrow("is not a folder");
  });

  it("loses what killed writers left behind, and nothing that is being written", async () => {
    const { path, driver } = await folder();
    await (await open(driver())).commit((_, seq) => [plan(seq).event]);
    await writeFile(path("tmp/old"), "half a com");
    await writeFile(path("tmp/young"), "half a com");
    const long = new Date(Date.parse(START) - 3_600_000);
    await utimes(path("tmp/old"), long, long);
    await utimes(path("tmp/young"), new Date(START), new Date(START));
    const store = await open(driver());
    expect((await readdir(path("tmp"))).sort()).toEqual(["old", "young"]);
    await store.commit((_, seq) => [plan(seq).event]);
    expect(await readdir(path("tmp"))).toEqual(["young"]);
    expect((await store.verify()).commits).toBe(2);
  });
});

describe("a commit on a failing disk", () => {
  it("is made when the answer of link got lost", async () => {
    const { driver } = await folder();
    let lost = 0;
    const fs = faultyFs((call, path) =>
      call === "link" && path.includes("journal") && lost++ === 1 ? { code: "EIO", after: true } : undefined,
    );
    const store = await open(driver(fs));
    for (let index = 0; index < 3; index++) await store.commit((_, seq) => [plan(seq).event]);
    expect(lost).toBe(3);
    expect(await store.verify()).toMatchObject({ ok: true, commits: 3 });
  });

  it("knows its own commit when the medium says that it exists", async () => {
    const { driver } = await folder();
    const inner = driver();
    let lying = false;
    const store = await open({
      ...inner,
      async putIfAbsent(key, bytes) {
        const answer = await inner.putIfAbsent(key, bytes);
        return lying && key.startsWith("journal/") ? "exists" : answer;
      },
    });
    await store.commit((_, seq) => [plan(seq).event]);
    lying = true;
    let built = 0;
    const { seq } = await store.commit((_, next) => {
      built++;
      return [plan(next).event];
    });
    expect({ seq, built }).toEqual({ seq: 2, built: 1 });
    expect(await store.verify()).toMatchObject({ ok: true, commits: 2 });
  });

  it("goes into a new file after a failed fsync, once", async () => {
    const { driver } = await folder();
    const synced: string[] = [];
    let fail = 0;
    const fs = faultyFs((call, path) => {
      if (call !== "sync") return undefined;
      synced.push(path);
      return fail-- > 0 ? { code: "EIO" } : undefined;
    });
    const store = await open(driver(fs));
    await store.commit((_, seq) => [plan(seq).event]);
    synced.length = 0;
    fail = 1;
    expect((await store.commit((_, seq) => [plan(seq).event])).seq).toBe(2);
    expect(new Set(synced).size).toBe(2);
    fail = 2;
    expect((await refusal(store.commit((_, seq) => [plan(seq).event]))).code).toBe("state_read_only");
    const closed = store.readOnly;
    expect(closed?.code).toBe("state_read_only");
    expect(closed?.message).toContain("start again");
    // Two in a row: the disk is not asked a third time by this process, whatever it says now.
    expect(await refusal(store.commit((_, seq) => [plan(seq).event]))).toBe(closed);
    await store.reload();
    expect(store.readOnly).toBe(closed);
    expect((await store.verify()).commits).toBe(2);
    expect((await (await open(driver())).commit((_, seq) => [plan(seq).event])).seq).toBe(3);
  });

  it("is not closed for good by a disk that says only with fsync that it is full", async () => {
    const { driver } = await folder();
    let full = false;
    const fs = faultyFs((call) => (full && call === "sync" ? { code: "ENOSPC" } : undefined));
    const store = await open(driver(fs));
    await store.commit((_, seq) => [plan(seq).event]);
    full = true;
    expect((await refusal(store.commit((_, seq) => [plan(seq).event]))).details.cause).toBe("ENOSPC");
    full = false;
    expect((await store.commit((_, seq) => [plan(seq).event])).seq).toBe(2);
  });

  it("closes the store when it is in the chain and cannot be made durable", async () => {
    const { driver } = await folder();
    let failing = false;
    const fs = faultyFs((call, path) =>
      failing && call === "syncDirectory" && path.endsWith("journal") ? { code: "EIO" } : undefined,
    );
    const store = await open(driver(fs));
    await store.commit((_, seq) => [plan(seq).event]);
    failing = true;
    const error = await refusal(store.commit((_, seq) => [plan(seq).event]));
    expect(error.message).toContain("could not be made durable");
    failing = false;
    expect((await refusal(store.commit((_, seq) => [plan(seq).event]))).code).toBe("state_read_only");
    expect(await (await open(driver())).verify()).toMatchObject({ ok: true, commits: 2 });
  });

  it.each([
    ["ENOSPC", "free some space"],
    ["EDQUOT", "free some space"],
    ["EROFS", "mount it writable"],
    ["EACCES", "give this user the folder"],
    ["EIO", "check the disk"],
  ])("fails with %s, names the folder and what to do, and works again afterwards", async (code, remedy) => {
    const { root, driver, picture } = await folder();
    let failing = false;
    const fs = faultyFs((call) => (failing && (call === "create" || call === "writable") ? { code } : undefined));
    const store = await open(driver(fs));
    await store.commit((_, seq) => [plan(seq).event]);
    const before = await picture();
    failing = true;
    const error = await refusal(store.commit((_, seq) => [plan(seq).event]));
    expect(error).toMatchObject({ code: "state_read_only" });
    expect(error.message).toContain(root);
    expect(error.message).toContain(remedy);
    expect(error.message).toContain(`(${code})`);
    expect(store.readOnly).toBe(error);
    expect(await picture()).toEqual(before);
    expect((await store.state()).seq).toBe(1);
    failing = false;
    expect((await store.commit((_, seq) => [plan(seq).event])).seq).toBe(2);
    expect(store.readOnly).toBeNull();
  });

  it("is refused before it is tried where the folder cannot be written or the disk is full", async () => {
    const { driver, picture } = await folder();
    for (const call of ["writable", "freeBytes"] as const) {
      const fs = faultyFs((asked) => (asked === call ? { code: call === "writable" ? "EROFS" : "ENOSPC" } : undefined));
      const store = await open(driver(fs));
      expect(store.readOnly?.code).toBe("state_read_only");
      expect((await store.state()).seq).toBe(0);
      await refusal(store.commit((_, seq) => [plan(seq).event]));
      await refusal(store.fingerprint("x"));
      expect(await picture()).toEqual({});
    }
  });

  it("does not make a folder anew under a store that lost its own", async () => {
    const { root, driver, picture } = await folder();
    const store = await open(driver());
    await store.commit((_, seq) => [plan(seq).event]);
    await rm(root, { recursive: true });
    await refusal(store.commit((_, seq) => [plan(seq).event]));
    expect(await picture()).toEqual({});
  });

  it("alone never brings a folder into being", async () => {
    const { driver, picture } = await folder();
    await refusal(driver().putIfAbsent(journalKey(2), new Uint8Array([1])));
    expect(await picture()).toEqual({});
  });

  it("survives a checkpoint that cannot be written", async () => {
    const { driver } = await folder();
    let failing = true;
    const fs = faultyFs((call, path) =>
      failing && call === "rename" && path.endsWith("state.json") ? { code: "ENOSPC" } : undefined,
    );
    const store = await open(driver(fs));
    const { id } = await applied(store).catch(() => ({ id: "ch_1" }));
    expect((await store.state()).changes.get(id)?.state).toBe("applied");
    failing = false;
    await store.checkpoint();
    expect((await store.verify()).checkpoint).toMatchObject({ ok: true, appliedSeq: 3 });
  });
});

describe("a checkpoint that is replaced", () => {
  it("is kept as the previous one, also where its second name was taken for a leftover", async () => {
    const { driver, path } = await folder();
    let cleared = 0;
    const fs = faultyFs(async (call, where) => {
      if (call !== "rename" || !where.endsWith(".prev") || cleared++ > 0) return undefined;
      for (const name of await readdir(path("tmp"))) {
        if ((await readFile(path(join("tmp", name)))).equals(old)) await rm(path(join("tmp", name)));
      }
      return undefined;
    });
    const store = await open(driver(fs));
    await store.commit((_, seq) => [plan(seq).event]);
    await store.checkpoint();
    const old = await readFile(path("state.json"));
    await store.commit((_, seq) => [plan(seq).event]);
    await store.checkpoint();
    expect(cleared).toBe(2);
    expect(store.readOnly).toBeNull();
    expect((await readFile(path("state.json.prev"))).equals(old)).toBe(true);
    expect(await readdir(path("tmp"))).toEqual([]);
  });

  it.each(["EPERM", "EACCES", "EBUSY"])(
    "is replaced once nobody has it open on Windows any more (%s)",
    async (code) => {
      const { driver, path } = await folder();
      let held = 0;
      const windows = faultyFs((call, where) =>
        call === "rename" && where.endsWith("state.json") && held-- > 0 ? { code } : undefined,
      );
      const store = await open(driver({ ...windows, posix: false }));
      await store.commit((_, seq) => [plan(seq).event]);
      held = 3;
      await store.checkpoint();
      expect(held).toBe(-1);
      await store.commit((_, seq) => [plan(seq).event]);
      held = 1_000;
      expect((await refusal(store.checkpoint())).details.cause).toBe(code);
      expect(await readdir(path("tmp"))).toEqual([]);
      expect(held).toBeGreaterThan(980);
    },
  );
});

driverSuite("file without hard links", async () => {
  const parent = await mkdtemp(join(tmpdir(), "nolink-"));
  const fs = faultyFs((call) => (call === "link" ? { code: "EPERM" } : undefined));
  const make = () => fileDriver({ root: join(parent, "state") }, { clock: testClock(), ids, fs });
  return { a: make(), b: make(), done: () => rm(parent, { recursive: true }) };
});

describe("without hard links", () => {
  it("a reader waits for a last commit that is still being written", async () => {
    const { path, driver } = await folder();
    const writer = await open(driver());
    await writer.commit((_, seq) => [plan(seq).event]);
    const waits: number[] = [];
    const clock = {
      ...testClock(),
      sleep: async (ms: number) => {
        waits.push(ms);
        if (waits.length === 3) await writeFile(path(journalKey(2)), whole);
      },
    };
    const reader = await open(driver(), { clock });
    await writer.commit((_, seq) => [plan(seq).event]);
    const whole = await readFile(path(journalKey(2)));
    await writeFile(path(journalKey(2)), whole.subarray(0, 40));
    expect((await reader.state()).seq).toBe(2);
    expect(reader.readOnly).toBeNull();
    expect(waits).toHaveLength(3);
  });

  it("a reader waits for the id of a store that is just being made", async () => {
    const { path, driver } = await folder();
    await (await open(driver())).commit((_, seq) => [plan(seq).event]);
    const whole = await readFile(path("store.id"));
    await writeFile(path("store.id"), whole.subarray(0, 9));
    const clock = { ...testClock(), sleep: () => writeFile(path("store.id"), whole) };
    const reader = await open(driver(), { clock });
    expect(reader.readOnly).toBeNull();
    expect((await reader.state()).seq).toBe(1);
  });

  it("a half-written commit of ours does not stay", async () => {
    const { driver } = await folder();
    let full = false;
    const fs = faultyFs((call, path) => {
      if (call === "link") return { code: "EPERM" };
      return full && call === "write" && path.includes("journal") ? { code: "ENOSPC" } : undefined;
    });
    const store = await open(driver(fs));
    await store.commit((_, seq) => [plan(seq).event]);
    full = true;
    expect((await refusal(store.commit((_, seq) => [plan(seq).event]))).code).toBe("state_read_only");
    full = false;
    expect((await store.commit((_, seq) => [plan(seq).event])).seq).toBe(2);
    expect((await store.verify()).ok).toBe(true);
  });

  it.each(["sync", "write"] as const)(
    "a commit that was written whole and whose %s failed stays, because others have built on it",
    async (failing) => {
      const { driver } = await folder();
      const unlinked = (fault: Parameters<typeof faultyFs>[0] = () => undefined) =>
        faultyFs((call, path) => (call === "link" ? { code: "EPERM" } : fault(call, path)));
      const other = await open(driver(unlinked()), { owner: owner("s-2", 2) });
      let met = false;
      const fs = unlinked(async (call, path) => {
        if (call === "sync" && failing === "sync" && path.endsWith(journalKey(2)) && !met) {
          met = true;
          expect((await other.commit((_, seq) => [plan(seq).event])).seq).toBe(3);
          return { code: "EIO" };
        }
        return call === "write" && failing === "write" && path.endsWith(journalKey(2))
          ? { code: "EIO", after: true }
          : undefined;
      });
      const store = await open(driver(fs));
      await store.commit((_, seq) => [plan(seq).event]);
      const error = await refusal(store.commit((_, seq) => [plan(seq).event]));
      expect(error.message).toContain("commit 2 was written and could not be made durable");
      expect((await refusal(store.commit((_, seq) => [plan(seq).event]))).message).toBe(error.message);
      if (failing === "write") await other.commit((_, seq) => [plan(seq).event]);
      expect(await (await open(driver())).verify()).toMatchObject({ ok: true, commits: 3, firstBad: null });
    },
  );

  it("nothing is built on a file whose sync failed, also where it succeeds the second time", async () => {
    const { driver, path } = await folder();
    await (await open(driver())).commit((_, seq) => [plan(seq).event]);
    let failures = 0;
    const fs = faultyFs((call, where) => {
      if (call === "link") return { code: "EPERM" };
      return call === "syncFile" && where === path(journalKey(1)) && failures++ === 0 ? { code: "EIO" } : undefined;
    });
    const store = await open(driver(fs));
    for (let attempt = 0; attempt < 3; attempt++) {
      expect((await refusal(store.commit((_, seq) => [plan(seq).event]))).code).toBe("state_read_only");
    }
    expect(failures).toBe(1);
    expect((await (await open(driver())).verify()).commits).toBe(1);
  });
});
