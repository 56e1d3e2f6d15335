// SQLite behind one small port: Node's own where it has one, else the WebAssembly build. Opened at first use; safe for several processes.

// SQLite behind one small port: Node's own where it has one, else the WebAssembly build. Opened at first use; safe for several processes.

import fs, {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import type { Liveness, Owner } from "./core/change.js";
import type { Clock, Sqlite, SqlRow, SqlTransaction, SqlValue } from "./core/ports.js";

export interface SqliteOptions {
  readonly path: string;
  /** `schema[i]` brings a database from version i to i + 1. Never edited, only added to. */
  readonly schema: readonly string[];
  readonly clock: Pick<Clock, "monotonic" | "sleep">;
  readonly owner: Owner;
  readonly liveness: Liveness;
  /** How long to wait for other processes. */
  readonly busyMs?: number;
  /** The engine, where it is not the best there is. */
  readonly engine?: EngineName;
}

export type EngineName = "node" | "wasm";

/** What both engines are made to look like. */
interface Engine {
  exec(sql: string): void;
  run(sql: string, values: readonly SqlValue[]): number;
  all(sql: string, values: readonly SqlValue[]): readonly SqlRow[];
  /** Said by whoever has just come to be alone with the file. */
  enter(): void;
  close(): void;
}

/** Somebody else is in the database, and stays. */
export class SqliteBusy extends Error {}

const BUSY_MS = 5_000;
const LONGEST_PAUSE_MS = 25;

/**
 * The two engines lock a file each in its own way, and WebAssembly's outlives a killed process. So neither is relied upon:
 * whoever touches the database holds a lock of ours, which names its owner and is broken only when that is proved dead.
 * The journal is a rollback journal, because the WebAssembly build cannot share a write-ahead log.
 *
 * @example const db = sqlite({ path, schema: ["CREATE TABLE t (a)"], clock, owner, liveness })
 */
export function sqlite(options: SqliteOptions): Sqlite {
  const { path, schema } = options;
  const lock = lockOf(options);
  let engine: { readonly db: Engine; readonly inode: number } | null = null;
  let last: Promise<unknown> = Promise.resolve();

  async function opened(): Promise<Engine> {
    if (engine && engine.inode === inodeOf(path)) {
      engine.db.enter();
      return engine.db;
    }
    // Moved or deleted under us: what we would write goes nowhere.
    engine?.db.close();
    engine = null;
    const open = await openerOf(options.engine);
    createPrivate(path);
    const db = open(path);
    db.enter();
    db.exec("PRAGMA journal_mode = PERSIST; PRAGMA synchronous = NORMAL");
    migrate(db, schema, path);
    engine = { db, inode: inodeOf(path) };
    return db;
  }

  async function alone<T>(work: (db: SqlTransaction) => T): Promise<T> {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    await lock.take();
    try {
      // The WebAssembly build's own lock, of a process that was killed: nobody else is in the file.
      ignoring("ENOENT", () => rmdirSync(`${path}.lock`));
      const db = await opened();
      return inTransaction(db, () =>
        work({ run: (sql, ...values) => db.run(sql, values), all: (sql, ...values) => db.all(sql, values) }),
      );
    } finally {
      lock.release();
    }
  }

  /** One after the other in this process, so that the lock is taken once at a time. */
  function queued<T>(work: () => Promise<T>): Promise<T> {
    const mine = last.then(work, work);
    last = mine.catch(() => {});
    return mine;
  }

  const transaction: Sqlite["transaction"] = (work) => queued(() => alone(work));
  return {
    present: () => inodeOf(path) !== -1,
    transaction,
    run: (sql, ...values) => transaction((db) => db.run(sql, ...values)),
    all: (sql, ...values) => transaction((db) => db.all(sql, ...values)),
    close: () =>
      queued(async () => {
        engine?.db.close();
        engine = null;
      }),
  };
}

function inTransaction<T>(db: Engine, work: () => T): T {
  db.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    db.exec("COMMIT");
    return result;
  } catch (error) {
    try {
      db.exec("ROLLBACK");
    } catch {
      // A full disk has rolled back by itself; the first error is the one to know.
    }
    throw error;
  }
}

function migrate(db: Engine, schema: readonly string[], path: string): void {
  const version = Number(db.all("PRAGMA user_version", [])[0]?.user_version ?? 0);
  if (version > schema.length)
    throw new Error(`${path} was written by a newer version of this server (its format is ${version})`);
  if (version === schema.length) return;
  inTransaction(db, () => {
    for (const step of schema.slice(version)) db.exec(step);
    db.exec(`PRAGMA user_version = ${schema.length}`);
  });
}

function createPrivate(path: string): void {
  closeSync(openSync(path, "a", 0o600));
  try {
    chmodSync(path, 0o600);
  } catch {
    // Another user's file: whether it may be written shows when it is.
  }
}

function inodeOf(path: string): number {
  try {
    return statSync(path).ino;
  } catch {
    return -1;
  }
}

// ---------------------------------------------------------------------------------------------------------- the engines

type Opener = (path: string) => Engine;

interface NodeSqlite {
  readonly DatabaseSync: new (
    path: string,
  ) => {
    exec(sql: string): void;
    prepare(sql: string): NodeStatement;
    close(): void;
  };
}
interface NodeStatement {
  run(...values: readonly SqlValue[]): { readonly changes: number | bigint };
  all(...values: readonly SqlValue[]): readonly SqlRow[];
}

async function openerOf(name?: EngineName): Promise<Opener> {
  if (name === "wasm") return wasmOpener();
  // Not to be found by bundlers and by a Node that has none.
  const builtIn: string = "node:sqlite";
  const found = (await import(builtIn).catch(() => null)) as NodeSqlite | null;
  if (found) return nodeOpener(found);
  if (name === "node") throw new Error("this Node has no node:sqlite");
  return wasmOpener();
}

const nodeOpener =
  ({ DatabaseSync }: NodeSqlite): Opener =>
  (path) => {
    const db = new DatabaseSync(path);
    // Somebody with the sqlite3 command may be reading.
    db.exec("PRAGMA busy_timeout = 1000");
    const prepared = new Map<string, NodeStatement>();
    const statement = (sql: string): NodeStatement => {
      const known = prepared.get(sql) ?? db.prepare(sql);
      prepared.set(sql, known);
      return known;
    };
    return {
      exec: (sql) => db.exec(sql),
      run: (sql, values) => Number(statement(sql).run(...values).changes),
      all: (sql, values) => statement(sql).all(...values),
      // Its locks go with their process, and a journal left behind is rolled back at the first look.
      enter() {},
      close: () => db.close(),
    };
  };

async function wasmOpener(): Promise<Opener> {
  const { Database } = (await import("node-sqlite3-wasm")).default ?? (await import("node-sqlite3-wasm"));
  return (path) => {
    const db = new Database(path);
    return {
      exec: (sql) => db.exec(sql),
      run: (sql, values) => db.run(sql, [...values]).changes,
      all: (sql, values) => db.all(sql, [...values]) as SqlRow[],
      enter() {
        if (isHot(`${path}-journal`)) asIfUnlocked(path, () => db.all("SELECT count(*) FROM sqlite_schema"));
      },
      close: () => db.close(),
    };
  };
}

/** A journal whose header was not wiped belongs to a transaction that never ended. */
function isHot(journal: string): boolean {
  const first = Buffer.alloc(1);
  try {
    const file = openSync(journal, "r");
    try {
      return readSync(file, first, 0, 1, 0) === 1 && first[0] !== 0;
    } finally {
      closeSync(file);
    }
  } catch {
    return false;
  }
}

/**
 * This build takes its own lock for another writer's, so it would read past the journal of a killed process and never roll
 * it back. Nobody else is in the file here, so it is told that there is no lock.
 */
function asIfUnlocked<T>(path: string, use: () => T): T {
  const { accessSync } = fs;
  fs.accessSync = (what, mode) => {
    if (what === `${path}.lock`) throw Object.assign(new Error("no lock but ours"), { code: "ENOENT" });
    accessSync(what, mode);
  };
  try {
    return use();
  } finally {
    fs.accessSync = accessSync;
  }
}

// ------------------------------------------------------------------------------------------------------------- the lock

/**
 * One owner at a time, by name. The name appears with the lock in one step, so nobody sees a lock without an owner. A dead
 * owner's lock is removed only by whoever holds the lock on removing that very one: nobody's new lock is ever removed.
 */
function lockOf({ path, clock, owner, liveness, busyMs = BUSY_MS }: SqliteOptions) {
  const mine = [owner.session, owner.bootId, owner.pidStart, owner.pid, owner.host, owner.pidNamespace ?? ""]
    .join(" ")
    .trimEnd();

  /** False: a living process, or one of which nothing is known, has it. */
  function claim(lock: string): boolean {
    if (placed(lock, mine)) return true;
    const holder = ownerNamedIn(lock);
    if (holder === null) return placed(lock, mine);
    if (holder === "unreadable" || liveness(holder) !== "dead") return false;
    const removal = `${lock}-${holder.session}`;
    if (!claim(removal)) return false;
    try {
      const still = ownerNamedIn(lock);
      if (still !== null && still !== "unreadable" && still.session === holder.session) unlinkSync(lock);
    } finally {
      unlinkSync(removal);
    }
    return placed(lock, mine);
  }

  const file = `${path}.owner`;
  return {
    async take(): Promise<void> {
      const until = clock.monotonic() + busyMs;
      for (let pause = 1; !claim(file); pause = Math.min(LONGEST_PAUSE_MS, pause * 2)) {
        if (clock.monotonic() >= until) throw new SqliteBusy(`${path} is in use by ${holding(file)}`);
        await clock.sleep(pause);
      }
    },
    release: () => ignoring("ENOENT", () => unlinkSync(file)),
  };
}

/** For whoever has to look after a lock that nothing proves dead. */
function holding(lock: string): string {
  const holder = ownerNamedIn(lock);
  const who =
    holder === null || holder === "unreadable" ? "another process" : `process ${holder.pid} on ${holder.host}`;
  return `${who}; if that one is gone, remove ${lock}`;
}

/** A symbolic link holds its text from its first moment. Where there are none it is a file, for a moment without text. */
function placed(lock: string, text: string): boolean {
  try {
    symlinkSync(text, lock);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "ENOSYS") throw error;
  }
  try {
    writeFileSync(lock, text, { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Null: there is no lock any more. */
function ownerNamedIn(lock: string): Owner | "unreadable" | null {
  let text: string;
  try {
    text = readlinkSync(lock);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return null;
    if (code !== "EINVAL" && code !== "UNKNOWN") throw error;
    try {
      text = readFileSync(lock, "utf8");
    } catch {
      return null;
    }
  }
  const [session = "", bootId = "", pidStart = "", pid = "", host, pidNamespace] = text.split(" ");
  if (host === undefined) return "unreadable";
  return { session, bootId, pidStart, pid: Number(pid), host, ...(pidNamespace !== undefined && { pidNamespace }) };
}

function ignoring(code: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== code) throw error;
  }
}
