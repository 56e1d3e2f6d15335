// A state folder on disk for a test, a picture of everything in it, and a file system that fails on demand.

import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { StateDriver } from "../../state/driver.js";
import { type FsFile, type FsPort, fileDriver, nodeFs } from "../../state/drivers/file.js";
import { ids, testClock } from "./helpers.js";

export interface Folder {
  readonly root: string;
  driver(fs?: FsPort): StateDriver;
  path(name: string): string;
  /** Every file with its mode and bytes: equal pictures mean that nothing was touched. */
  picture(): Promise<Record<string, string>>;
}

export async function folder(): Promise<Folder> {
  const parent = await mkdtemp(join(tmpdir(), "state-"));
  const root = join(parent, "state");
  onTestFinished(() => rm(parent, { recursive: true }));
  return {
    root,
    driver: (fs) => fileDriver({ root }, { clock: testClock(), ids, ...(fs && { fs }) }),
    path: (name) => join(root, name),
    async picture() {
      const names = await readdir(parent, { recursive: true });
      const shown = names.map(async (name) => {
        const path = join(parent, name);
        const found = await stat(path);
        const content = found.isDirectory() ? "folder" : (await readFile(path)).toString("hex");
        return [name, `${(found.mode & 0o777).toString(8)} ${content}`] as const;
      });
      return Object.fromEntries((await Promise.all(shown)).sort());
    },
  };
}

const errno = (code: string): Error => Object.assign(new Error(code), { code });

type Call = "write" | "sync" | Exclude<keyof FsPort, "posix">;

type Fault = { code: string; after?: boolean } | undefined;

/** The real file system, asked before each call whether the call shall fail; `after` fails it once it was done. */
export function faultyFs(fault: (call: Call, path: string) => Fault | Promise<Fault>): FsPort {
  const guarded =
    <A extends unknown[], R>(call: Call, pathOf: (...args: A) => string, run: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      const planned = await fault(call, pathOf(...args));
      if (planned && !planned.after) throw errno(planned.code);
      const answer = await run(...args);
      if (planned) throw errno(planned.code);
      return answer;
    };
  const one = (path: string) => path;
  return {
    posix: true,
    readFile: guarded("readFile", one, nodeFs.readFile),
    stat: guarded("stat", one, nodeFs.stat),
    readdir: guarded("readdir", one, nodeFs.readdir),
    mkdir: guarded("mkdir", one, nodeFs.mkdir),
    chmod: guarded("chmod", (path: string, _: number) => path, nodeFs.chmod),
    overwrite: guarded("overwrite", (path: string, _: Uint8Array) => path, nodeFs.overwrite),
    link: guarded("link", (_, to) => to, nodeFs.link),
    unlink: guarded("unlink", one, nodeFs.unlink),
    rename: guarded("rename", (_, to) => to, nodeFs.rename),
    syncFile: guarded("syncFile", one, nodeFs.syncFile),
    syncDirectory: guarded("syncDirectory", one, nodeFs.syncDirectory),
    writable: guarded("writable", one, nodeFs.writable),
    freeBytes: guarded("freeBytes", one, nodeFs.freeBytes),
    async create(path): Promise<FsFile> {
      const file = await guarded("create", one, nodeFs.create)(path);
      return {
        write: guarded("write", (_: Uint8Array) => path, file.write),
        sync: guarded("sync", () => path, file.sync),
        close: file.close,
      };
    },
  };
}
