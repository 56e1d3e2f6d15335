// A disk in memory that knows what a power cut would leave: bytes last once their file was synced, names once their
// folder was.

import type { FsPort } from "../../state/drivers/file.js";

interface Inode {
  readonly folder: boolean;
  /** Written over in place and never synced. */
  hint?: boolean;
  /** What readers see. */
  bytes: Uint8Array;
  /** What a power cut leaves for sure; null: nothing was ever synced. */
  synced: Uint8Array | null;
  mode: number;
  modifiedMs: number;
  /** Of a folder: its names as readers see them, and as a power cut leaves them for sure. */
  names: Map<string, number>;
  durable: Map<string, number>;
}

/** One thing that was done and is not durable yet. */
type Pending =
  | { readonly kind: "add"; readonly folder: number; readonly name: string; readonly inode: number }
  | { readonly kind: "remove"; readonly folder: number; readonly name: string; readonly inode: number }
  | {
      readonly kind: "move";
      readonly from: number;
      readonly name: string;
      readonly folder: number;
      readonly to: string;
      readonly inode: number;
    }
  | { readonly kind: "data"; readonly inode: number; readonly bytes: Uint8Array };

export type Mode = "kill" | "ordered" | "subset";
export const MODES: readonly Mode[] = ["kill", "ordered", "subset"];

/** What a file holds after a power cut whose bytes were never synced. */
const TORN: readonly ((bytes: Uint8Array) => Uint8Array)[] = [
  () => new Uint8Array(),
  (bytes) => bytes.slice(0, bytes.length >> 1),
  (bytes) => new Uint8Array(bytes.length),
  (bytes) => bytes,
];

export interface Limits {
  /** Subsets are taken of this many of the last operations on names; the ones before are taken as done. */
  readonly subsetOf: number;
  /** Prefixes end within this many of the first and of the last operations. */
  readonly prefixOf: number;
}

export const ALL: Limits = { subsetOf: 8, prefixOf: Number.POSITIVE_INFINITY };

export interface World {
  readonly disk: Disk;
  readonly mode: Mode;
  readonly what: string;
}

/** Without a stack: most of a run is looking for what is not there. */
function fault(code: string, path: string): Error {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const error = Object.assign(new Error(`${code}: ${path}`), { code });
  Error.stackTraceLimit = limit;
  return error;
}

export class Disk {
  private readonly inodes = new Map<number, Inode>();
  private pending: Pending[] = [];
  private nextInode = 1;
  /** Called before each call of the port; `changes` tells whether the call can leave another disk behind. */
  beforeCall: (call: string, changes: boolean) => void = () => {};
  /** Called after a file stood whole under a name that nobody had: linked, or written in place. */
  afterMade: (path: string, bytes: Uint8Array) => void = () => {};
  calls = 0;

  /** @param now clock of the machine, for modification times */
  constructor(private readonly now: () => number) {
    this.inodes.set(0, this.blank(true));
    this.inodes.get(0)!.mode = 0o755;
  }

  private blank(folder: boolean): Inode {
    return {
      folder,
      bytes: new Uint8Array(),
      synced: null,
      mode: folder ? 0o700 : 0o600,
      modifiedMs: this.now(),
      names: new Map(),
      durable: new Map(),
    };
  }

  /** The same disk, to go on from here; not synced things stay so, because a page cache outlives a killed process. */
  clone(now = this.now): Disk {
    const copy = new Disk(now);
    for (const [id, inode] of this.inodes) {
      copy.inodes.set(id, { ...inode, names: new Map(inode.names), durable: new Map(inode.durable) });
    }
    copy.pending = [...this.pending];
    copy.nextInode = this.nextInode;
    return copy;
  }

  // ── what a crash leaves ────────────────────────────────────────────────────────────────────────────────────────

  /** How many operations a power cut could take back. */
  get unsynced(): number {
    return this.pending.length;
  }

  /** Every disk that may be found after a crash here. */
  *worlds(mode: Mode, limits: Limits = ALL): Generator<World> {
    if (mode === "kill") {
      yield { disk: this.clone(), mode, what: "killed" };
      return;
    }
    if (mode === "ordered") {
      for (let count = 0; count <= this.pending.length; count++) {
        if (count >= limits.prefixOf && count < this.pending.length - limits.prefixOf) continue;
        const what = `power lost after ${count} of ${this.pending.length} unsynced operations`;
        yield { disk: this.cut(this.pending.slice(0, count), 0), mode, what };
      }
      return;
    }
    const named = this.pending.filter((one) => one.kind !== "data");
    const open = named.slice(-limits.subsetOf);
    const before = named.slice(0, named.length - open.length);
    for (let bits = 0; bits < 2 ** open.length; bits++) {
      const kept = [...before, ...open.filter((_, at) => bits & (1 << at))];
      const done = this.cut(kept, 0);
      const torn = done.tornNames();
      for (const [how] of torn > 0 ? TORN.entries() : [[0] as const]) {
        const disk = how === 0 ? done : this.cut(kept, how);
        yield { disk, mode, what: `power lost, ${bits.toString(2)} of the last ${open.length} names, torn ${how}` };
      }
    }
  }

  /** The durable disk and these operations on top of it; `how` names what bytes that were never synced look like. */
  private cut(kept: readonly Pending[], how: number): Disk {
    const found = new Disk(this.now);
    const written = new Map<number, Uint8Array>();
    for (const one of kept) if (one.kind === "data") written.set(one.inode, one.bytes);
    for (const [id, inode] of this.inodes) {
      const bytes = written.get(id) ?? (inode.synced && inode.synced === inode.bytes ? inode.bytes : null);
      // One state of it a world, another one in the next: it may never make a difference.
      const way = inode.hint ? kept.length % TORN.length : how;
      const left = bytes ?? (way === 0 ? (inode.synced ?? new Uint8Array()) : TORN[way]!(inode.bytes));
      const torn = !inode.hint && bytes === null && !inode.folder && inode.bytes.length > 0;
      found.inodes.set(id, {
        ...inode,
        bytes: left,
        synced: torn ? null : left,
        names: new Map(inode.durable),
        durable: new Map(),
      });
    }
    for (const one of kept) found.make(one, "names");
    for (const inode of found.inodes.values()) inode.durable = new Map(inode.names);
    found.nextInode = this.nextInode;
    return found;
  }

  /** Files that can be reached and whose bytes a power cut took. Only asked of a disk after a cut. */
  private tornNames(): number {
    let torn = 0;
    for (const inode of this.inodes.values()) {
      for (const id of inode.names.values()) {
        const file = this.inodes.get(id)!;
        if (!file.folder && file.synced === null) torn++;
      }
    }
    return torn;
  }

  private make(one: Pending, where: "names" | "durable"): void {
    if (one.kind === "data") return;
    const names = this.inodes.get(one.folder)![where];
    if (one.kind === "add") names.set(one.name, one.inode);
    else if (one.kind === "remove") {
      if (names.get(one.name) === one.inode) names.delete(one.name);
    } else {
      names.set(one.to, one.inode);
      const from = this.inodes.get(one.from)![where];
      if (from.get(one.name) === one.inode) from.delete(one.name);
    }
  }

  // ── looking at it from outside ─────────────────────────────────────────────────────────────────────────────────

  private *walk(id = 0, path = ""): Generator<[path: string, inode: Inode]> {
    for (const [name, child] of [...this.inodes.get(id)!.names].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const inode = this.inodes.get(child)!;
      yield [`${path}/${name}`, inode];
      if (inode.folder) yield* this.walk(child, `${path}/${name}`);
    }
  }

  /** The files that can be read, by path. */
  files(): Map<string, Uint8Array> {
    return new Map([...this.walk()].filter(([, { folder }]) => !folder).map(([path, { bytes }]) => [path, bytes]));
  }

  /** Two disks of one image behave alike, also at the next power cut. */
  image(digestOf: (bytes: Uint8Array) => string): string {
    const parts = [...this.walk()].map(([path, { folder, bytes }]) => `${path} ${folder ? "" : digestOf(bytes)}`);
    if (this.pending.length > 0) {
      parts.push(...this.pending.map(({ kind, inode }) => `${kind} ${inode}`), `next ${this.nextInode}`);
    }
    return parts.join("\n");
  }

  /** Puts a file there, or takes it away: durable at once. For damage done from outside. */
  put(path: string, bytes: Uint8Array | null): void {
    const { folder, name } = this.place(path);
    if (bytes === null) {
      folder.names.delete(name);
      folder.durable.delete(name);
      return;
    }
    const id = this.nextInode++;
    this.inodes.set(id, { ...this.blank(false), bytes, synced: bytes });
    folder.names.set(name, id);
    folder.durable.set(name, id);
  }

  /** Whether any name or byte could still be lost. */
  settle(): void {
    for (const inode of this.inodes.values()) {
      inode.durable = new Map(inode.names);
      inode.synced = inode.bytes;
    }
    this.pending = [];
  }

  // ── the port ───────────────────────────────────────────────────────────────────────────────────────────────────

  private id(path: string): number {
    let at = 0;
    for (const name of path.split("/").filter(Boolean)) {
      const here = this.inodes.get(at)!;
      if (!here.folder) throw fault("ENOTDIR", path);
      const next = here.names.get(name);
      if (next === undefined) throw fault("ENOENT", path);
      at = next;
    }
    return at;
  }

  private find(path: string): Inode {
    return this.inodes.get(this.id(path))!;
  }

  private place(path: string): { folderId: number; folder: Inode; name: string } {
    const cut = path.lastIndexOf("/");
    const folderId = this.id(path.slice(0, cut));
    const folder = this.inodes.get(folderId)!;
    if (!folder.folder) throw fault("ENOTDIR", path);
    return { folderId, folder, name: path.slice(cut + 1) };
  }

  private did(one: Pending): void {
    this.make(one, "names");
    this.pending.push(one);
  }

  private add(path: string, folder: boolean): number {
    const at = this.place(path);
    if (at.folder.names.has(at.name)) throw fault("EEXIST", path);
    const inode = this.nextInode++;
    this.inodes.set(inode, this.blank(folder));
    this.did({ kind: "add", folder: at.folderId, name: at.name, inode });
    return inode;
  }

  private syncFolder(id: number): void {
    const left: Pending[] = [];
    const moved: Pending[] = [];
    for (const one of this.pending) {
      if (one.kind === "data" || one.folder !== id) left.push(one);
      else {
        this.make(one, "durable");
        if (one.kind === "move") moved.push(one);
      }
    }
    // A name that was moved on durably cannot come back under its old one.
    this.pending = left.filter(
      (one) =>
        !(
          one.kind === "add" &&
          moved.some((gone) => gone.kind === "move" && gone.from === one.folder && gone.inode === one.inode)
        ),
    );
  }

  readonly port: FsPort = (() => {
    const call = (what: string, changes: boolean): void => {
      this.calls++;
      this.beforeCall(what, changes);
    };
    const write = (inode: number, bytes: Uint8Array): void => {
      const file = this.inodes.get(inode)!;
      file.bytes = Buffer.concat([file.bytes, bytes]);
      file.modifiedMs = this.now();
      this.pending.push({ kind: "data", inode, bytes: file.bytes });
    };
    const sync = (inode: number): void => {
      const file = this.inodes.get(inode)!;
      file.synced = file.bytes;
      this.pending = this.pending.filter((one) => one.kind !== "data" || one.inode !== inode);
    };
    return {
      posix: true,
      readFile: async (path) => {
        call(`readFile ${path}`, false);
        const file = this.find(path);
        if (file.folder) throw fault("EISDIR", path);
        return file.bytes;
      },
      stat: async (path) => {
        call(`stat ${path}`, false);
        const { mode, folder: directory, modifiedMs } = this.find(path);
        return { mode, directory, modifiedMs };
      },
      readdir: async (path) => {
        call(`readdir ${path}`, false);
        const folder = this.find(path);
        if (!folder.folder) throw fault("ENOTDIR", path);
        return [...folder.names.keys()];
      },
      mkdir: async (path) => {
        call(`mkdir ${path}`, true);
        this.add(path, true);
      },
      chmod: async (path, mode) => {
        call(`chmod ${path}`, true);
        this.find(path).mode = mode;
      },
      create: async (path) => {
        call(`create ${path}`, true);
        const inode = this.add(path, false);
        return {
          write: async (bytes) => {
            call(`write ${path}`, true);
            write(inode, bytes);
            this.afterMade(path, this.inodes.get(inode)!.bytes);
          },
          sync: async () => {
            call(`sync ${path}`, true);
            sync(inode);
          },
          close: async () => call(`close ${path}`, false),
        };
      },
      overwrite: async (path, bytes) => {
        call(`overwrite ${path}`, true);
        const { folder, name } = this.place(path);
        const inode = folder.names.get(name) ?? this.add(path, false);
        const file = this.inodes.get(inode)!;
        file.hint = true;
        file.bytes = Buffer.concat([bytes, file.bytes.subarray(bytes.length)]);
        file.modifiedMs = this.now();
        this.pending = this.pending.filter((one) => one.kind !== "data" || one.inode !== inode);
        this.pending.push({ kind: "data", inode, bytes: file.bytes });
      },
      link: async (from, to) => {
        call(`link ${to}`, true);
        const inode = this.id(from);
        const at = this.place(to);
        if (at.folder.names.has(at.name)) throw fault("EEXIST", to);
        this.did({ kind: "add", folder: at.folderId, name: at.name, inode });
        this.afterMade(to, this.inodes.get(inode)!.bytes);
      },
      unlink: async (path) => {
        call(`unlink ${path}`, true);
        const at = this.place(path);
        const inode = this.id(path);
        this.did({ kind: "remove", folder: at.folderId, name: at.name, inode });
      },
      rename: async (from, to) => {
        call(`rename ${to}`, true);
        const inode = this.id(from);
        const source = this.place(from);
        const target = this.place(to);
        this.did({
          kind: "move",
          from: source.folderId,
          name: source.name,
          folder: target.folderId,
          to: target.name,
          inode,
        });
      },
      syncFile: async (path) => {
        call(`syncFile ${path}`, true);
        sync(this.id(path));
      },
      syncDirectory: async (path) => {
        call(`syncDirectory ${path}`, true);
        this.syncFolder(this.id(path));
      },
      writable: async (path) => {
        call(`writable ${path}`, false);
        this.find(path);
      },
      freeBytes: async () => {
        call("freeBytes", false);
        return 2 ** 40;
      },
    } satisfies FsPort;
  })();
}

/** A port over which no file is ever synced. */
export const withoutFileSync = (fs: FsPort): FsPort => ({
  ...fs,
  syncFile: async () => {},
  create: async (path) => ({ ...(await fs.create(path)), sync: async () => {} }),
});

/** A port over a file system without hard links. */
export const withoutLinks = (fs: FsPort): FsPort => ({
  ...fs,
  link: async (_, to) => {
    throw fault("EPERM", to);
  },
});

/** A port over which no folder is ever synced. */
export const withoutFolderSync = (fs: FsPort): FsPort => ({ ...fs, syncDirectory: async () => {} });
