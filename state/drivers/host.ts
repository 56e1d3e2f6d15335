// Telling a living process from a dead one on this machine: boot id and process start time, so that a reused pid proves nothing.

import { readFileSync } from "node:fs";
import type { Liveness, Owner } from "../../src/core/change.js";

/** What the caller's runtime knows; `pidExists` is a signal-0 probe. */
export interface Runtime {
  readonly host: string;
  readonly pid: number;
  readonly session: string;
  pidExists(pid: number): boolean;
}

/** This process as the owner of operations. Where the system shows no boot id or start time they are empty. */
export const thisOwner = (runtime: Runtime): Owner => ({
  host: runtime.host,
  bootId: read("/proc/sys/kernel/random/boot_id"),
  pid: runtime.pid,
  pidStart: startOf(runtime.pid),
  session: runtime.session,
});

/**
 * Whether an owner still runs, as far as this machine can prove it: another host's process is `unknown`; on this host a
 * process of an earlier boot, a pid that is gone, or a pid that started at another time is `dead`.
 */
export function livenessOn(runtime: Runtime): Liveness {
  const bootId = read("/proc/sys/kernel/random/boot_id");
  return (owner) => {
    if (owner.host !== runtime.host) return "unknown";
    if (owner.bootId !== bootId) return owner.bootId !== "" && bootId !== "" ? "dead" : "unknown";
    if (!runtime.pidExists(owner.pid)) return "dead";
    return startOf(owner.pid) === owner.pidStart ? "alive" : "dead";
  };
}

/** Field 22 of /proc/<pid>/stat, counted behind the command name, which may itself hold blanks and brackets. */
function startOf(pid: number): string {
  const stat = read(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
