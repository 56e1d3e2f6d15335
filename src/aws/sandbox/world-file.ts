// The sandbox's world in a file, so that a second process can be somebody else in the same account. Demo data only.

import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { Clock } from "../../core/ports.js";
import type { World, WorldStore } from "./world.js";

const RETRY_MS = 5;
/** A lock held this long belongs to a process that died: a step of the world takes microseconds. */
const STOLEN_AFTER_TRIES = 400;

/** One process steps the world at a time: `load` takes the lock, the `save` that follows it gives it back. */
export function fileStore(path: string, clock: Clock): WorldStore {
  const lock = `${path}.lock`;
  return {
    async load() {
      for (let tries = 0; !taken(lock); tries++) {
        if (tries >= STOLEN_AFTER_TRIES) rmSync(lock, { force: true });
        else await clock.sleep(RETRY_MS);
      }
      return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as World) : null;
    },
    save(world) {
      const next = `${path}.next`;
      writeFileSync(next, JSON.stringify(world));
      renameSync(next, path);
      rmSync(lock, { force: true });
    },
  };
}

function taken(lock: string): boolean {
  try {
    closeSync(openSync(lock, "wx"));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}
