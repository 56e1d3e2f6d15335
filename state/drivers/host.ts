// Telling a living process from a dead one on this machine. Nothing is called dead by doubt: what cannot be seen may live.

import { readFileSync, readlinkSync } from "node:fs";
import type { Liveness, Owner } from "../../src/core/change.js";

/** What the caller's runtime knows; `pidExists` is a signal-0 probe. */
export interface Runtime {
  readonly host: string;
  readonly pid: number;
  readonly session: string;
  pidExists(pid: number): boolean;
}

/** What Linux says of its processes. Throws as the file system does, everywhere else too. */
export interface Proc {
  read(path: string): string;
  link(path: string): string;
}

const PROC: Proc = { read: (path) => readFileSync(path, "utf8"), link: (path) => readlinkSync(path) };

/** The pid namespace of a machine itself has this number on every machine; those of containers have others. */
const MACHINE = "pid:[4026531836]";

/** This process as the owner of operations. Where the system shows no boot id or start time they are empty. */
export function thisOwner(runtime: Runtime, proc = PROC): Owner {
  const { host, pid, session } = runtime;
  const pidNamespace = orEmpty(() => proc.link("/proc/self/ns/pid"));
  return {
    host,
    bootId: bootIdOf(proc),
    pid,
    pidStart: orEmpty(() => startOf(pid, proc)),
    session,
    ...(pidNamespace !== "" && { pidNamespace }),
  };
}

/**
 * Whether an owner still runs, as far as this machine can prove it. `dead`: on this host, a process of an earlier boot, a pid
 * that is gone, or one that started at another time; the last two only of this process's own pid namespace, because pids of
 * another one say nothing here. A container's host name is no machine's, so another boot proves nothing about it.
 * Everything else, and whatever cannot be read, is `unknown`.
 */
export function livenessOn(runtime: Runtime, proc = PROC): Liveness {
  const here = thisOwner(runtime, proc);
  return (owner) => {
    if (owner.host !== here.host) return "unknown";
    if (owner.bootId !== here.bootId) {
      const known = owner.bootId !== "" && here.bootId !== "" && (owner.pidNamespace ?? MACHINE) === MACHINE;
      return known ? "dead" : "unknown";
    }
    // Where there is no boot id there is no Linux, and there are no pid namespaces.
    if (here.bootId === "") return runtime.pidExists(owner.pid) ? "alive" : "dead";
    if (here.pidNamespace === undefined || owner.pidNamespace !== here.pidNamespace) return "unknown";
    if (!runtime.pidExists(owner.pid)) return "dead";
    const start = orEmpty(() => startOf(owner.pid, proc));
    // It may have ended just now, or be hidden from this user.
    if (start === "") return runtime.pidExists(owner.pid) ? "unknown" : "dead";
    if (owner.pidStart === "") return "unknown";
    return start === owner.pidStart ? "alive" : "dead";
  };
}

const bootIdOf = (proc: Proc): string => orEmpty(() => proc.read("/proc/sys/kernel/random/boot_id").trim());

/** Field 22 of /proc/<pid>/stat, counted behind the command name, which may itself hold blanks and brackets. */
function startOf(pid: number, proc: Proc): string {
  const stat = proc.read(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}

function orEmpty(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}
