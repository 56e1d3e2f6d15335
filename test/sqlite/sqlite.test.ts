// The database file: several processes of either engine write it at once, one is killed, and nothing is lost or torn.

import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Owner } from "../../src/core/change.js";
import { type EngineName, SqliteBusy, sqlite } from "../../src/sqlite.js";

const SCHEMA = ["CREATE TABLE rows (id INTEGER PRIMARY KEY, who TEXT NOT NULL, n INTEGER NOT NULL)"];
const ROWS = 10_000;
const cache = join(import.meta.dirname, "../../.cache");
const native = await import("node:sqlite" as string).then(
  () => true,
  () => false,
);
const ENGINES: readonly EngineName[] = native ? ["node", "wasm"] : ["wasm"];
const PAIRS: readonly (readonly [EngineName, EngineName])[] = native
  ? [
      ["node", "node"],
      ["wasm", "wasm"],
      ["node", "wasm"],
    ]
  : [["wasm", "wasm"]];

let room = "";
let folder = "";
let path = "";
let writer = "";

beforeAll(async () => {
  // Beside the packages, so that the bundle finds the WebAssembly build.
  mkdirSync(cache, { recursive: true });
  room = mkdtempSync(join(cache, "writer-"));
  writer = join(room, "writer.mjs");
  await build({
    entryPoints: [join(import.meta.dirname, "writer.ts")],
    outfile: writer,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    logLevel: "silent",
  });
});
afterAll(() => rmSync(room, { recursive: true, force: true }));
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sqlite-"));
  path = join(folder, "data", "rows.db");
  return () => rmSync(folder, { recursive: true, force: true });
});

const write = (engine: EngineName, who: string, rows = ROWS, ...more: string[]) =>
  promisify(execFile)(process.execPath, [writer, path, engine, who, String(rows), ...more]);

const me: Owner = { host: "test", bootId: "b", pid: 1, pidStart: "1", session: "me" };
const open = (engine: EngineName, more: Partial<Parameters<typeof sqlite>[0]> = {}) =>
  sqlite({
    path,
    schema: SCHEMA,
    clock: { monotonic: () => performance.now(), sleep: (ms) => wait(ms) },
    owner: me,
    liveness: () => "unknown",
    engine,
    ...more,
  });

const counted = "SELECT who, count(*) AS rows, count(DISTINCT n) AS different FROM rows GROUP BY who ORDER BY who";

describe.each(PAIRS)("two processes on %s and %s", (one, other) => {
  it(`write ${ROWS} rows each; none is lost and none is there twice`, async () => {
    await Promise.all([write(one, "a"), write(other, "b")]);
    for (const engine of ENGINES) {
      const db = open(engine);
      expect(await db.all(counted)).toEqual([
        { who: "a", rows: ROWS, different: ROWS },
        { who: "b", rows: ROWS, different: ROWS },
      ]);
      expect(await db.all("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
      await db.close();
    }
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(folder, "data")).sort()).toEqual(["rows.db", "rows.db-journal"]);
  });
});

describe.each(ENGINES)("a process killed in the middle of a transaction on %s", (engine) => {
  it.each(ENGINES)("is undone by the next one on %s, and its lock is broken", async (next) => {
    await write(engine, "a", 1000);
    const died = await write(engine, "a", 1000, "die").catch((error) => error);
    expect(died.signal).toBe("SIGKILL");
    // Pages of the file had been overwritten: without a roll back this would be seen.
    expect(Number(/(\d+) bytes/.exec(died.stdout)?.[1])).toBeGreaterThan(1_000);
    expect(readlinkSync(`${path}.owner`)).toMatch(/^a-\d+ /);
    await write(next, "b", 1000);
    const db = open(next);
    expect(await db.all(counted)).toEqual([
      { who: "a", rows: 1000, different: 1000 },
      { who: "b", rows: 1000, different: 1000 },
    ]);
    expect(await db.all("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
    await db.close();
    expect(readdirSync(join(folder, "data")).sort()).toEqual(["rows.db", "rows.db-journal"]);
  });
});

describe.each(ENGINES)("on %s", (engine) => {
  it("opens and creates nothing before it is used", async () => {
    const db = open(engine);
    await db.close();
    expect(existsSync(join(folder, "data"))).toBe(false);
  });

  it("keeps nothing of a transaction that throws, and works on", async () => {
    const db = open(engine);
    await expect(
      db.transaction((tx) => {
        tx.run("INSERT INTO rows (who, n) VALUES ('a', 1)");
        throw new Error("no");
      }),
    ).rejects.toThrow("no");
    expect(await db.run("INSERT INTO rows (who, n) VALUES (?, ?)", "b", 2)).toBe(1);
    expect(await db.all("SELECT who FROM rows")).toEqual([{ who: "b" }]);
    await db.close();
  });

  it("waits for an owner of whom nothing is known, says so in time, and leaves its lock alone", async () => {
    const db = open(engine, { busyMs: 50 });
    await db.run("INSERT INTO rows (who, n) VALUES ('a', 1)");
    symlinkSync("other b 1 2 elsewhere", `${path}.owner`);
    const said = `process 2 on elsewhere; if that one is gone, remove ${path}.owner`;
    await expect(db.all("SELECT 1")).rejects.toThrow(new SqliteBusy(`${path} is in use by ${said}`));
    expect(readlinkSync(`${path}.owner`)).toBe("other b 1 2 elsewhere");
    rmSync(`${path}.owner`);
    expect(await db.all("SELECT who FROM rows")).toEqual([{ who: "a" }]);
    await db.close();
  });

  it("begins anew where the file was taken away under it", async () => {
    const db = open(engine);
    await db.run("INSERT INTO rows (who, n) VALUES ('a', 1)");
    rmSync(join(folder, "data"), { recursive: true });
    await db.run("INSERT INTO rows (who, n) VALUES ('b', 2)");
    expect(await db.all("SELECT who FROM rows")).toEqual([{ who: "b" }]);
    await db.close();
  });

  it("brings an older format to today's, once, and refuses a newer one", async () => {
    await open(engine).run("INSERT INTO rows (who, n) VALUES ('a', 1)");
    const newer = open(engine, { schema: [...SCHEMA, "ALTER TABLE rows ADD COLUMN note TEXT"] });
    expect(await newer.all("SELECT who, note FROM rows")).toEqual([{ who: "a", note: null }]);
    await newer.close();
    await expect(open(engine).all("SELECT 1")).rejects.toThrow(/newer version/);
  });
});
