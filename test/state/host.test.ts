// Which processes this machine may call dead: none that it only cannot see.

import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import type { Owner } from "../../src/core/change.js";
import { livenessOn, type Proc, thisOwner } from "../../state/drivers/host.js";

const MACHINE = "pid:[4026531836]";
const POD = "pid:[4026532900]";

const errno = (code: string): Error => Object.assign(new Error(code), { code });

/** A machine as one of its processes sees it: who runs in its own pid namespace, and when each began. */
interface Seen {
  readonly boot?: string;
  readonly namespace?: string;
  readonly running?: Readonly<Record<number, string>>;
  /** What reading of another process fails with. */
  readonly fails?: string;
  readonly self?: number;
}

function process({ boot = "boot-1", namespace = MACHINE, running = {}, fails, self = 100 }: Seen = {}) {
  const starts: Readonly<Record<number, string>> = { [self]: "1000", ...running };
  const proc: Proc = {
    read(path) {
      if (path === "/proc/sys/kernel/random/boot_id") return `${boot}\n`;
      const pid = Number(/^\/proc\/(\d+)\/stat$/.exec(path)?.[1]);
      if (fails && pid !== self) throw errno(fails);
      if (starts[pid] === undefined) throw errno("ENOENT");
      return `${pid} (a (strange) name) S ${"0 ".repeat(18)}${starts[pid]} 0 0`;
    },
    link: () => namespace,
  };
  const runtime = { host: "web", pid: self, session: `s-${self}`, pidExists: (pid: number) => pid in starts };
  return { owner: thisOwner(runtime, proc), liveness: livenessOn(runtime, proc) };
}

describe("a process of this machine", () => {
  const { owner } = process({ self: 7 });

  it("is alive as long as its pid runs since the same moment, and dead once it does not", () => {
    expect(owner).toEqual({
      ...{ host: "web", bootId: "boot-1", pid: 7, pidStart: "1000", session: "s-7", pidNamespace: MACHINE },
    });
    expect(process({ running: { 7: "1000" } }).liveness(owner)).toBe("alive");
    expect(process().liveness(owner), "its pid is gone").toBe("dead");
    expect(process({ running: { 7: "2000" } }).liveness(owner), "its pid is another's now").toBe("dead");
    expect(process({ boot: "boot-2" }).liveness(owner), "the machine was started anew").toBe("dead");
    expect(process().liveness({ ...owner, host: "db" })).toBe("unknown");
  });

  it.each(["EMFILE", "EACCES", "EIO"])("that cannot be looked at (%s) is not dead", (fails) => {
    expect(process({ running: { 7: "1000" }, fails }).liveness(owner)).toBe("unknown");
  });

  it("that is there and shows nothing, as with hidepid, is not dead", () => {
    expect(process({ running: { 7: "1000" }, fails: "ENOENT" }).liveness(owner)).toBe("unknown");
  });

  it("that could not read its own start is dead only once its pid is gone", () => {
    const unread = { ...owner, pidStart: "" };
    expect(process({ running: { 7: "1000" } }).liveness(unread)).toBe("unknown");
    expect(process().liveness(unread)).toBe("dead");
  });
});

describe("a process of another pid namespace under the same host name and boot", () => {
  // Containers of one pod, a container with the host's network, a container that was started again.
  const inPod = process({ self: 7, namespace: POD }).owner;

  it("is not dead because its pid is gone or another's here", () => {
    expect(process().liveness(inPod)).toBe("unknown");
    expect(process({ running: { 7: "2000" } }).liveness(inPod)).toBe("unknown");
    expect(process({ running: { 7: "1000" } }).liveness(inPod)).toBe("unknown");
    expect(process({ namespace: POD }).liveness(inPod), "looked at from its own").toBe("dead");
  });

  it("is not dead because a machine of this name has another boot id: the name may be a container's on another one", () => {
    expect(process({ boot: "boot-2", namespace: POD }).liveness(inPod)).toBe("unknown");
    expect(process({ boot: "boot-2" }).liveness(inPod)).toBe("unknown");
  });
});

describe("a process recorded without its namespace, by an earlier version", () => {
  const { pidNamespace: _, ...earlier } = process({ self: 7 }).owner;

  it("is dead only where the machine was started anew", () => {
    expect(process().liveness(earlier)).toBe("unknown");
    expect(process({ running: { 7: "2000" } }).liveness(earlier)).toBe("unknown");
    expect(process({ boot: "boot-2" }).liveness(earlier)).toBe("dead");
  });
});

it("where the system shows none of this there are no namespaces either: a pid that is gone is a process that is", () => {
  const none: Proc = {
    read: () => {
      throw errno("ENOENT");
    },
    link: () => {
      throw errno("ENOENT");
    },
  };
  const runtime = { host: "mac", pid: 1, session: "s", pidExists: (pid: number) => pid < 10 };
  const owner: Owner = thisOwner(runtime, none);
  expect(owner).toEqual({ host: "mac", bootId: "", pid: 1, pidStart: "", session: "s" });
  expect(livenessOn(runtime, none)({ ...owner, pid: 2 })).toBe("alive");
  expect(livenessOn(runtime, none)({ ...owner, pid: 20 })).toBe("dead");
  expect(livenessOn(runtime, none)({ ...owner, bootId: "b" })).toBe("unknown");
});

/** A process in a pid namespace of its own, where it is number 1: its number, start and namespace. Null: not allowed here. */
function contained() {
  const script = 'read -r stat < /proc/self/stat; readlink /proc/self/ns/pid; echo "$$ $stat"';
  const args = ["-Ur", "--pid", "--fork", "--mount-proc", "sh", "-c", script];
  const { status, stdout } = spawnSync("unshare", args, { encoding: "utf8" });
  if (status !== 0) return null;
  const [pidNamespace = "", line = ""] = stdout.trim().split("\n");
  return {
    pidNamespace,
    pid: Number(line.split(" ")[0]),
    pidStart: line.slice(line.lastIndexOf(")") + 2).split(" ")[19]!,
  };
}
const other = contained();

it.skipIf(other === null)(
  "a real process of another pid namespace, whose pid is somebody else's here, is not dead",
  () => {
    const here = { host: "here", pid: globalThis.process.pid, session: "s", pidExists: () => true };
    expect(other?.pid).toBe(1);
    expect(livenessOn(here)({ ...thisOwner(here), ...other })).toBe("unknown");
  },
);

it("this very process is alive", () => {
  const runtime = { host: "here", pid: globalThis.process.pid, session: "s", pidExists: () => true };
  expect(livenessOn(runtime)(thisOwner(runtime))).toBe("alive");
});
