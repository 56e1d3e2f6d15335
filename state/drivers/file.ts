// File: a commit is a hard link to a finished, synced file. It exists whole or not at all, and only one process can make it.

import {
  access,
  chmod,
  constants,
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
} from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { OpsError } from "../../src/core/errors.js";
import { sha256 } from "../../src/core/json.js";
import type { Clock, Ids } from "../../src/core/ports.js";
import { journalKey, type StateDriver, seqOfKey } from "../driver.js";
import { HEAD } from "../head.js";

/** A file open for writing. */
export interface FsFile {
  write(bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The calls to the file system that a commit is made of, one method a system call, so that a test can fail each. */
export interface FsPort {
  /** Whether modes and directory syncs mean anything here. */
  readonly posix: boolean;
  readFile(path: string): Promise<Uint8Array>;
  stat(path: string): Promise<{ mode: number; directory: boolean; modifiedMs: number }>;
  readdir(path: string): Promise<string[]>;
  /** One level, mode 0700. */
  mkdir(path: string): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
  /** A new file, mode 0600; EEXIST where the name is taken. */
  create(path: string): Promise<FsFile>;
  /** Bytes from the beginning of a file on, which is made (mode 0600) where it is not there. Never synced. */
  overwrite(path: string, bytes: Uint8Array): Promise<void>;
  link(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Bytes that somebody else wrote. */
  syncFile(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  /** Throws unless this process may write there. */
  writable(path: string): Promise<void>;
  freeBytes(path: string): Promise<number>;
}

const POSIX = sep === "/";

/** For what nobody unlinks or renames, and whose bytes are where they belong: nothing depends on when it is closed. */
const letGo = (handle: FileHandle): void => void handle.close().catch(() => {});

async function syncOpened(path: string, flags: string): Promise<void> {
  const handle = await open(path, flags);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The file system of this machine. */
export const nodeFs: FsPort = {
  posix: POSIX,
  readFile: (path) => readFile(path),
  async stat(path) {
    const found = await stat(path);
    return { mode: found.mode & 0o7777, directory: found.isDirectory(), modifiedMs: found.mtimeMs };
  },
  readdir: (path) => readdir(path),
  mkdir: (path) => mkdir(path, { mode: 0o700 }).then(() => undefined),
  chmod: (path, mode) => chmod(path, mode),
  async create(path) {
    const handle = await open(path, "wx", 0o600);
    return {
      write: (bytes) => handle.writeFile(bytes),
      sync: () => handle.sync(),
      close: () => handle.close(),
    };
  },
  async overwrite(path, bytes) {
    const handle = await open(path, constants.O_WRONLY | constants.O_CREAT, 0o600);
    try {
      await handle.write(bytes, 0, bytes.length, 0);
    } finally {
      letGo(handle);
    }
  },
  link: (from, to) => link(from, to),
  unlink: (path) => rm(path),
  rename: (from, to) => rename(from, to),
  // Windows syncs only what is open for writing, a mount that is read-only only what is not.
  syncFile: (path) => syncOpened(path, POSIX ? "r" : "r+"),
  async syncDirectory(path) {
    const handle = await open(path, "r");
    try {
      await handle.sync();
    } finally {
      letGo(handle);
    }
  },
  writable: (path) => access(path, constants.W_OK),
  async freeBytes(path) {
    const found = await statfs(path);
    return found.bavail * found.bsize;
  },
};

export interface FileOptions {
  /** The folder of one store, absolute. It is created by the first write, not by opening. */
  readonly root: string;
  /** Free space, in bytes, below which nothing begins and no reserve is made; 1 MiB unless told. */
  readonly minFreeBytes?: number;
}

interface FileEffects {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly fs?: FsPort;
}

const MIN_FREE_BYTES = 1024 * 1024;
const RESERVE = "reserve";
const RESERVE_BYTES = 64 * 1024;
const LEFTOVER_MS = 10 * 60_000;
const FOLDERS = ["journal", "tmp"] as const;
/** Made when first needed. Their loss is found by the chain; the loss of journal/ by `inspect`. */
const LATER_FOLDERS: ReadonlySet<string> = new Set([
  ...["archive", "floor", "lock", "keys", "quarantine", "backups", "exports"],
]);
const HELD_OPEN = new Set(["EPERM", "EACCES", "EBUSY"]);
const RENAME_TRIES = 6;
const FULL = new Set(["ENOSPC", "EDQUOT"]);
const NO_HARD_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EXDEV", "EMLINK"]);

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException | null)?.code ?? "unknown error";
const missing = (error: unknown): boolean => codeOf(error) === "ENOENT";

/**
 * The kernel marks pages clean after a failed fsync, so that another one of the same file would succeed without writing:
 * a failed one is final for its file.
 */
class FailedSync extends Error {
  readonly code: string;
  constructor(cause: unknown) {
    super("fsync failed", { cause });
    this.code = codeOf(cause);
  }
}

/** A store in a folder of the local machine. */
export function fileDriver(
  { root, minFreeBytes = MIN_FREE_BYTES }: FileOptions,
  { clock, ids, fs = nodeFs }: FileEffects,
): StateDriver {
  const at = (key: string): string => join(root, ...key.split("/"));
  /** Null until the first link tells. */
  let hardLinks: boolean | null = null;
  let prepared = false;
  /**
   * Folders in which something was seen that this driver did not make durable. Whoever made it may have been killed
   * before it could, and nothing may be built on a name that a power cut can still take.
   */
  const unsure = new Set<string>();
  /** The same of files: without hard links one is seen before its bytes are synced. */
  const unsureFiles = new Set<string>();
  /** The newest commit of this driver, which is durable: the next one looks at it again. */
  let madeLast = "";
  /** The failed sync of a file that stays: nothing can be built on it here any more. */
  let unsynced: FailedSync | null = null;
  const listed = new Map<string, string>();

  const unreadable = (cause: unknown, path: string): OpsError =>
    new OpsError(
      "state_unreadable",
      `file: ${path} could not be read (${codeOf(cause)}). Nothing was changed; make the folder readable for this user, then start again.`,
      { details: { path, cause: codeOf(cause) }, cause },
    );

  function unwritable(cause: unknown, path = root): OpsError {
    if (cause instanceof OpsError) return cause;
    const code = codeOf(cause);
    const final = cause instanceof FailedSync;
    const [happened, remedy] = final
      ? ["what was written there did not reach the disk", "check the disk, then start again"]
      : FULL.has(code)
        ? ["its disk or quota is full", "free some space there"]
        : code === "EROFS"
          ? ["its file system is read-only", "mount it writable or choose another folder with --state"]
          : code === "EACCES" || code === "EPERM"
            ? ["this user may not write there", "give this user the folder or choose another one with --state"]
            : code === "ENOENT" || code === "ENOTDIR"
              ? ["it or a part of it is gone", "restore the folder, then start again"]
              : ["the file system failed", "check the disk or choose another folder with --state"];
    return new OpsError(
      "state_read_only",
      `file: the state folder ${root} cannot take a commit because ${happened} (${code}). Nothing is changed in AWS without a record; ${remedy}.`,
      { details: { path, cause: code, ...(final && { final }) }, cause },
    );
  }

  async function exists(path: string): Promise<boolean> {
    try {
      await fs.stat(path);
      return true;
    } catch (error) {
      if (missing(error)) return false;
      throw unreadable(error, path);
    }
  }

  async function read(path: string): Promise<Uint8Array | null> {
    try {
      return await fs.readFile(path);
    } catch (error) {
      if (missing(error)) return null;
      throw unreadable(error, path);
    }
  }

  async function names(path: string): Promise<string[] | null> {
    try {
      return await fs.readdir(path);
    } catch (error) {
      if (!missing(error)) throw unreadable(error, path);
      // One "not found" can be a lying mount: it counts when a second, different call agrees.
      if (!(await exists(path))) return null;
    }
    // The two disagree: either another process made the folder in between, or the mount does lie.
    try {
      return await fs.readdir(path);
    } catch (error) {
      throw unreadable(error, path);
    }
  }

  const syncDirectory = async (path: string): Promise<void> => {
    if (fs.posix) await fs.syncDirectory(path);
  };

  function saw(key: string): void {
    unsure.add(dirname(at(key)));
    // A hard link names synced bytes only. `head` promises nothing.
    if (hardLinks === true || key === HEAD) return;
    // Whoever made a commit made the one before it durable first.
    const seq = seqOfKey(key);
    if (seq !== null) unsureFiles.delete(at(journalKey(seq - 1)));
    unsureFiles.add(at(key));
  }

  async function settleSeen({ files = true } = {}): Promise<void> {
    if (unsynced) throw unsynced;
    for (const path of files ? unsureFiles : []) {
      await fs.syncFile(path).catch((error: unknown) => {
        if (!missing(error)) throw stays(error);
      });
      unsureFiles.delete(path);
    }
    for (const folder of unsure) {
      await syncDirectory(folder).catch((error: unknown) => {
        if (!missing(error)) throw error;
      });
      unsure.delete(folder);
    }
  }

  function stays(cause: unknown): FailedSync {
    unsynced = new FailedSync(cause);
    return unsynced;
  }

  async function makeFolder(path: string): Promise<void> {
    try {
      await fs.mkdir(path);
    } catch (error) {
      if (codeOf(error) === "EEXIST") return;
      const parent = dirname(path);
      if (!missing(error) || parent === path) throw error;
      await makeFolder(parent);
      return makeFolder(path);
    }
    await syncDirectory(dirname(path));
  }

  /** Makes the folders of a store. Only keys at the root may bring a folder into being: a commit never may. */
  async function prepare(key: string): Promise<void> {
    // The folders are made with the store: what stood in the folder before it (quarantine/) made none of them.
    if (prepared && key !== "store.id") return;
    if (!key.includes("/")) {
      await makeFolder(root);
      for (const folder of FOLDERS) await makeFolder(join(root, folder));
    }
    // The name of the store itself, for a store whose maker was killed right after making it.
    await syncDirectory(dirname(root)).catch((error: unknown) => {
      if (codeOf(error) !== "EACCES" && codeOf(error) !== "EPERM") throw error;
    });
    if (fs.posix && ((await fs.stat(root)).mode & 0o077) !== 0) await fs.chmod(root, 0o700);
    await clearLeftovers();
    prepared = true;
  }

  /** Makes the folder of a key that is not there from the start, in a store that is. */
  async function prepareFolder(key: string): Promise<void> {
    const folder = key.split("/")[0]!;
    if (!LATER_FOLDERS.has(folder) || (await exists(join(root, folder)))) return;
    await fs.mkdir(join(root, folder)).catch((error: unknown) => {
      if (codeOf(error) !== "EEXIST") throw error;
    });
    await syncDirectory(root);
  }

  /** What killed processes left in tmp/. A live writer whose file goes with it makes another. */
  async function clearLeftovers(): Promise<void> {
    const folder = join(root, "tmp");
    for (const name of (await names(folder)) ?? []) {
      const path = join(folder, name);
      try {
        const { modifiedMs } = await fs.stat(path);
        if (clock.now().getTime() - modifiedMs > LEFTOVER_MS) await fs.unlink(path);
      } catch (error) {
        if (!missing(error)) throw error;
      }
    }
  }

  async function discard(path: string): Promise<void> {
    // A leftover is harmless, and the error that matters is the one already on its way.
    await fs.unlink(path).catch(() => {});
  }

  async function fill(path: string, bytes: Uint8Array): Promise<void> {
    const file = await fs.create(path);
    try {
      await file.write(bytes);
      await file.sync().catch((error: unknown) => {
        // Some file systems find out only here that they are full, which passes.
        throw FULL.has(codeOf(error)) ? error : new FailedSync(error);
      });
    } finally {
      await file.close();
    }
  }

  /** A synced file under tmp/. After a failure the bytes go into a new file, once; a second failed sync is final. */
  async function temporary(bytes: Uint8Array, attemptsLeft = 1): Promise<string> {
    const path = join(root, "tmp", ids.uuid());
    try {
      await fill(path, bytes);
      return path;
    } catch (error) {
      await discard(path);
      if (attemptsLeft === 0) throw error;
      if (missing(error)) await fs.mkdir(join(root, "tmp"));
      return temporary(bytes, attemptsLeft - 1);
    }
  }

  async function settle(path: string): Promise<void> {
    await syncDirectory(dirname(path));
  }

  async function createLinked(path: string, bytes: Uint8Array, attemptsLeft = 1): Promise<"created" | "exists"> {
    const made = await temporary(bytes);
    try {
      await fs.link(made, path);
    } catch (error) {
      await discard(made);
      const code = codeOf(error);
      if (code === "EEXIST") return "exists";
      if (NO_HARD_LINKS.has(code)) {
        hardLinks = false;
        await settleSeen();
        return createInPlace(path, bytes);
      }
      // Our temporary file may have been taken for a leftover; with the folder itself gone the next try fails as well.
      if (code === "ENOENT" && attemptsLeft > 0) return createLinked(path, bytes, attemptsLeft - 1);
      // A network mount can lose the answer of a link it made.
      const there = await read(path);
      if (!there || sha256(there) !== sha256(bytes)) throw error;
      await settle(path);
      return "created";
    }
    hardLinks = true;
    unsureFiles.clear();
    await Promise.all([discard(made), settle(path)]);
    return "created";
  }

  /** Without hard links the name comes first and the bytes after it; readers wait for a last commit that is not whole. */
  async function createInPlace(path: string, bytes: Uint8Array): Promise<"created" | "exists"> {
    let file: FsFile;
    try {
      file = await fs.create(path);
    } catch (error) {
      if (codeOf(error) === "EEXIST") return "exists";
      throw error;
    }
    try {
      await file.write(bytes).catch(async (error: unknown) => {
        // Half a file is nobody's to build on. A whole one is visible, and whoever saw it may have.
        const there = await read(path).catch(() => bytes);
        if (there && sha256(there) !== sha256(bytes)) await discard(path);
        throw error;
      });
      await file.sync().catch((error: unknown) => {
        throw stays(error);
      });
    } finally {
      await file.close();
    }
    await settle(path);
    return "created";
  }

  /** Windows refuses while somebody has the file open, a scanner or a reader: they let go of it soon. */
  async function rename(from: string, to: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await fs.rename(from, to);
      } catch (error) {
        if (fs.posix || tries === RENAME_TRIES || !HELD_OPEN.has(codeOf(error))) {
          await discard(from);
          throw error;
        }
        await clock.sleep(5 * 2 ** tries);
      }
    }
  }

  async function keepAsPrevious(path: string, bytes: Uint8Array): Promise<void> {
    const kept = join(root, "tmp", ids.uuid());
    try {
      await fs.link(path, kept);
      await rename(kept, `${path}.prev`);
    } catch (error) {
      // No hard links; or the name was as old as its file, and somebody who begins took it for a leftover.
      if (!NO_HARD_LINKS.has(codeOf(error)) && !missing(error)) throw error;
      await rename(await temporary(bytes), `${path}.prev`);
    }
    await settle(path);
  }

  return {
    name: "file",
    location: root,
    durable: true,

    async get(key) {
      const bytes = await read(at(key));
      if (!bytes) return null;
      const etag = sha256(bytes);
      if (etag !== madeLast) saw(key);
      return { bytes, etag };
    },

    async putIfAbsent(key, bytes) {
      const path = at(key);
      try {
        await prepare(key);
        await prepareFolder(key);
        // Until a link is tried, nobody knows whether there is a file to be synced: the link comes first.
        await settleSeen({ files: hardLinks === false });
        const made = await (hardLinks === false ? createInPlace(path, bytes) : createLinked(path, bytes));
        if (made === "exists") unsure.add(dirname(path));
        else if (seqOfKey(key) !== null) madeLast = sha256(bytes);
        return made;
      } catch (error) {
        throw unwritable(error, path);
      }
    },

    async putIfMatch(key, bytes, etag, keepPrevious = false) {
      const path = at(key);
      const current = await read(path);
      if ((current ? sha256(current) : null) !== etag) return "conflict";
      try {
        await prepare(key);
        await prepareFolder(key);
        await settleSeen();
        const made = await temporary(bytes);
        try {
          if (current && keepPrevious) await keepAsPrevious(path, current);
          await rename(made, path);
        } catch (error) {
          await discard(made);
          throw error;
        }
        await settle(path);
        return { etag: sha256(bytes) };
      } catch (error) {
        throw unwritable(error, path);
      }
    },

    // Whatever is wrong with the disk, the next commit finds it and says it.
    hint: (key, bytes) => fs.overwrite(at(key), bytes).catch(() => {}),

    settle: () =>
      settleSeen().catch((error: unknown) => {
        throw unwritable(error, root);
      }),

    async remove(keys) {
      try {
        await settleSeen();
        for (const key of keys) {
          await fs.unlink(at(key)).catch((error: unknown) => {
            if (!missing(error)) throw error;
          });
        }
        for (const folder of new Set(keys.map((key) => dirname(at(key))))) await syncDirectory(folder);
      } catch (error) {
        throw unwritable(error);
      }
    },

    async list(prefix) {
      const folder = at(prefix.replace(/\/$/, ""));
      const keys = ((await names(folder)) ?? []).map((name) => prefix + name).sort();
      const text = keys.join();
      if (text !== (listed.get(prefix) ?? "")) unsure.add(folder).add(root);
      listed.set(prefix, text);
      return keys;
    },

    probeNext: (seq) => exists(at(journalKey(seq + 1))),

    async inspect() {
      const refuse = (code: "state_unreadable" | "state_read_only", message: string, path = root): OpsError =>
        new OpsError(code, `file: ${message} Nothing was changed in it.`, { details: { path } });
      const here = await names(root).catch((error: unknown) => {
        if (codeOf((error as OpsError).cause) === "ENOTDIR")
          return refuse("state_unreadable", `${root} is not a folder.`);
        throw error;
      });
      if (here === null) return null;
      if (here instanceof OpsError) return here;
      const holds = new Set(here);
      const store = holds.has("store.id");
      if (store && !holds.has("journal") && !(await exists(join(root, "journal"))))
        return refuse("state_unreadable", `${root} holds a store whose journal folder is gone; restore it.`);
      if (!fs.posix) return null;
      const { mode } = await fs.stat(root);
      const looser = (mode & 0o077) !== 0;
      if (store && (mode & 0o022) !== 0) {
        return refuse(
          "state_read_only",
          `the state folder ${root} can be written by other users; run: chmod 700 '${root}'.`,
        );
      }
      if (looser && !store && here.length > 0) {
        return refuse(
          "state_read_only",
          `${root} is not empty and open to other users; give the state a folder of its own with --state.`,
        );
      }
      const keys = holds.has("keys") ? ((await names(join(root, "keys"))) ?? []).map((name) => `keys/${name}`) : [];
      const looked = ["store.id", "state.json", "state.json.prev", "key", "keys"].filter((name) => holds.has(name));
      for (const name of [...looked, ...keys]) {
        const path = at(name);
        const forbidden = /^key/.test(name) ? 0o077 : 0o022;
        const found = await fs.stat(path).catch((error: unknown) => {
          if (missing(error)) return null;
          throw unreadable(error, path);
        });
        if (found && (found.mode & forbidden) !== 0) {
          return refuse(
            "state_read_only",
            `${path} is open to other users; run: chmod ${name === "keys" ? 700 : 600} '${path}'.`,
            path,
          );
        }
      }
      return null;
    },

    async probeWritable() {
      let folder = root;
      try {
        while (!(await exists(folder)) && dirname(folder) !== folder) folder = dirname(folder);
        await fs.writable(folder);
        const free = await fs.freeBytes(folder);
        if (free < minFreeBytes) throw Object.assign(new Error(`${free} bytes free`), { code: "ENOSPC" });
        return null;
      } catch (error) {
        return unwritable(error instanceof OpsError ? error.cause : error, folder);
      }
    },

    async keepReserve() {
      const path = join(root, RESERVE);
      try {
        if (await exists(path)) return true;
        if ((await fs.freeBytes(root)) < minFreeBytes) return false;
        // Random bytes: a file system that compresses would set aside nothing for zeros.
        await rename(await temporary(ids.bytes(RESERVE_BYTES)), path);
        await settle(path);
        return true;
      } catch {
        // Whatever is wrong with the disk, the commit that follows finds it and says it.
        return false;
      }
    },

    async spendReserve() {
      try {
        await fs.unlink(join(root, RESERVE));
        await settle(join(root, RESERVE));
        return true;
      } catch {
        return false;
      }
    },

    close: async () => {},
  };
}
