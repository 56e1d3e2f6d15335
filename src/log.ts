// JSON lines on a stream that is never stdout: stdout belongs to the protocol.

import { redact } from "./core/json.js";
import type { Clock, Log } from "./core/ports.js";

export const LEVELS = ["debug", "info", "warn", "error"] as const;
export type Level = (typeof LEVELS)[number];

/** @example const log = jsonLog((line) => process.stderr.write(line), "warn", clock) */
export function jsonLog(write: (line: string) => void, from: Level, clock: Pick<Clock, "now">): Log {
  return (level, message, facts = {}) => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(from)) return;
    const safe = redact(JSON.parse(JSON.stringify(facts, plainError)));
    write(`${JSON.stringify({ time: clock.now().toISOString(), level, message, ...(safe as object) })}\n`);
  };
}

const plainError = (_key: string, value: unknown): unknown =>
  value instanceof Error ? { name: value.name, message: value.message, stack: value.stack } : value;
