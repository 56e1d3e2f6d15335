// Starts worker.ts as a process and talks to it; and what a test asks about any process on this machine.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import { schemaData } from "../../schema-table.mjs";
import type { Owner } from "../../src/core/change.js";
import type { JsonObject } from "../../src/core/json.js";

export interface WorkerOptions {
  readonly root: string;
  readonly leaseMs?: number;
  readonly minFreeBytes?: number;
  /** How far this process' clock is ahead of the machine's. */
  readonly aheadMs?: number;
  /** The process stops itself (SIGSTOP) right before the n-th such call of the file system on such a path. */
  readonly stopAt?: { readonly call: "link" | "unlink" | "rename"; readonly path: string; readonly nth: number };
}

export type Order =
  | { readonly do: "call"; readonly tool: string; readonly args?: JsonObject }
  | { readonly do: "change"; readonly of: string }
  | { readonly do: "commit"; readonly events: readonly object[]; readonly epoch?: number }
  | { readonly do: "plan"; readonly epoch?: number }
  | { readonly do: "intend"; readonly changeId: string; readonly token: string; readonly owner?: Owner }
  | { readonly do: "succeed"; readonly operationId: string }
  | { readonly do: "acquire"; readonly scope: string; readonly waitMs?: number }
  | { readonly do: "beat" | "release"; readonly generation: number }
  | { readonly do: "keepBeating"; readonly generation: number; readonly everyMs: number }
  | { readonly do: "ahead"; readonly ms: number }
  | { readonly do: "compact" | "checkpoint" | "owner" | "seq" };

/** What an OpsError of the worker says. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly details: JsonObject,
  ) {
    super(message);
  }
}

export interface Worker {
  readonly pid: number;
  // biome-ignore lint/suspicious/noExplicitAny: each order has an answer of its own; the test names what it expects
  ask(order: Order): Promise<any>;
  signal(name: NodeJS.Signals): void;
  /** Killed and gone: nobody finds its pid any more. */
  kill(): Promise<void>;
  /** Ends when its input does. */
  close(): Promise<void>;
}

let built: Promise<string> | undefined;

function bundle(): Promise<string> {
  built ??= (async () => {
    const folder = mkdtempSync(join(tmpdir(), "worker-"));
    await build({
      entryPoints: ["test/processes/worker.ts"],
      outdir: folder,
      outExtension: { ".js": ".mjs" },
      bundle: true,
      splitting: true,
      platform: "node",
      format: "esm",
      target: "node20",
      mainFields: ["module", "main"],
      banner: {
        js: 'import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url);',
      },
      plugins: [schemaData],
      logLevel: "silent",
    });
    return join(folder, "worker.mjs");
  })();
  return built;
}

export async function startWorker(
  options: WorkerOptions,
  {
    env = {},
    within = [],
  }: { readonly env?: Readonly<Record<string, string>>; readonly within?: readonly string[] } = {},
): Promise<Worker> {
  const guard = new URL("../emulated/egress-guard.mjs", import.meta.url).href;
  const [command = "", ...args] = [
    ...within,
    process.execPath,
    "--import",
    guard,
    await bundle(),
    JSON.stringify(options),
  ];
  const child = spawn(command, args, {
    stdio: ["pipe", "pipe", "inherit"],
    env: { PATH: process.env.PATH ?? "", EGRESS_REPORT: process.env.EGRESS_REPORT ?? "", ...env },
  });
  return talkTo(child);
}

async function talkTo(child: ChildProcess): Promise<Worker> {
  interface Waiting {
    readonly resolve: (answer: unknown) => void;
    readonly reject: (error: Error) => void;
  }
  const waiting = new Map<number, Waiting>();
  const ended = once(child, "close").then(() => {
    for (const { reject } of waiting.values()) reject(new Error("the process ended"));
  });
  createInterface({ input: child.stdout! }).on("line", (line) => {
    const { id, answer, refusal } = JSON.parse(line);
    const asked = waiting.get(id);
    waiting.delete(id);
    if (refusal) asked?.reject(new Refusal(refusal.code, refusal.message, refusal.details));
    else asked?.resolve(answer);
  });
  const answerTo = (id: number) => new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
  await answerTo(0);
  let last = 0;
  return {
    pid: child.pid!,
    ask(order) {
      const answer = answerTo(++last);
      child.stdin!.write(`${JSON.stringify({ ...order, id: last })}\n`);
      return answer;
    },
    signal: (name) => void child.kill(name),
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
    async close() {
      child.stdin!.end();
      await ended;
    },
  };
}

/** The state letter of a process in /proc: R, S, D, T (stopped), Z; null where it is gone. */
export function stateOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
  } catch {
    return null;
  }
}

/** Resolves once it holds. What it looks at is on its way already, so there is nothing to time. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 2));
}

export const stopped = (pid: number): Promise<void> => until(() => stateOf(pid) === "T");

/** Killed, and reaped: for everybody else its pid is gone. */
export async function killed(pid: number): Promise<void> {
  process.kill(pid, "SIGKILL");
  await until(() => !existsSync(`/proc/${pid}`));
}
