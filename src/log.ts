// JSON lines on a stream that is never stdout: stdout belongs to the protocol.

import { AsyncLocalStorage } from "node:async_hooks";
import { withoutSecrets } from "../policies/sanitise.js";
import { redact } from "./core/json.js";
import type { Clock, Log } from "./core/ports.js";

export const LEVELS = ["debug", "info", "warn", "error"] as const;
export type Level = (typeof LEVELS)[number];

const calls = new AsyncLocalStorage<string>();

/** Every line logged in the course of `work`, also by what it starts, names this id. */
export const underId = <T>(id: string, work: () => T): T => calls.run(id, work);

/** Work that is nobody's: what it logs and asks names no call. */
export const outsideOfCalls = <T>(work: () => T): T => calls.exit(work);

/** The id of the call in whose course this runs; undefined outside of one. */
export const currentId = (): string | undefined => calls.getStore();

/** @example const log = jsonLog((line) => process.stderr.write(line), "warn", clock) */
export function jsonLog(write: (line: string) => void, from: Level, clock: Pick<Clock, "now">): Log {
  return (level, message, facts = {}) => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(from)) return;
    const safe = redact(JSON.parse(JSON.stringify(facts, plain)));
    const id = currentId();
    const call = id === undefined ? {} : { correlationId: id };
    write(`${JSON.stringify({ time: clock.now().toISOString(), level, message, ...call, ...(safe as object) })}\n`);
  };
}

const plain = (_key: string, value: unknown): unknown => {
  if (typeof value === "string") return withoutSecrets(value);
  return value instanceof Error ? { name: value.name, message: value.message, stack: value.stack } : value;
};
