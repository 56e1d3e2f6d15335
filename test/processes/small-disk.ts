// A real, small file system (tmpfs) in a mount namespace of its own, and a way for processes into it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { temporaryFolder } from "../harness.js";

export interface SmallDisk {
  /** Where processes started `within` find it. */
  readonly path: string;
  /** The same place as this process sees it. */
  readonly here: string;
  /** The command words that lead a process into the namespace. */
  readonly within: readonly string[];
  /** Takes this much of what is free, at most all of it; answers what it took. */
  take(bytes: number): number;
  takeAll(): void;
  /** Gives back everything that was taken. */
  giveBack(): void;
  freeBytes(): Promise<number>;
  /** Mounts it anew, for reading only or for writing as well. */
  remount(mode: "ro" | "rw"): Promise<void>;
  close(): Promise<void>;
}

const PAGE = 4096;

/** Null where this machine lets nobody mount. */
export async function smallDisk(kibibytes: number): Promise<SmallDisk | null> {
  const folder = temporaryFolder("disk-");
  const path = join(folder.path, "disk");
  mkdirSync(path);
  const script = `mount -t tmpfs -o size=${kibibytes}k,mode=700 none '${path}' && echo ready && exec cat`;
  const holder = spawn("unshare", ["--map-root-user", "--mount", "sh", "-c", script], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  const ended = once(holder, "close").catch(() => {});
  const [said] = await Promise.race([once(holder.stdout, "data"), ended.then(() => [""])]).catch(() => [""]);
  if (String(said).trim() !== "ready") {
    folder.remove();
    return null;
  }
  const here = `/proc/${holder.pid}/root${path}`;
  const within = ["nsenter", "--target", String(holder.pid), "--user", "--mount", "--preserve-credentials"];
  let fillers = 0;
  const take = (bytes: number): number => {
    let taken = 0;
    // A page at a time: the file system itself says when it is full.
    for (; taken + PAGE <= bytes; taken += PAGE) {
      try {
        writeFileSync(join(here, "filler"), new Uint8Array(PAGE), { flag: "a" });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
        break;
      }
    }
    fillers += taken;
    return taken;
  };
  return {
    path,
    here,
    within,
    take,
    takeAll: () => void take(Number.POSITIVE_INFINITY),
    giveBack: () => {
      if (fillers > 0) writeFileSync(join(here, "filler"), "");
      fillers = 0;
    },
    async freeBytes() {
      const found = await statfs(here);
      return found.bavail * found.bsize;
    },
    async remount(mode) {
      const [command = "", ...args] = [...within, "mount", "-o", `remount,${mode}`, path];
      const [code] = await once(spawn(command, args, { stdio: "inherit" }), "close");
      if (code !== 0) throw new Error(`remount,${mode} ended with ${code}`);
    },
    async close() {
      holder.stdin.end();
      await ended;
      folder.remove();
    },
  };
}
