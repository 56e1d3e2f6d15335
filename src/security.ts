// Security events of this process: counted by type and severity, the last hundred kept. And who keeps asking for tools that do not exist.

import { SECURITY_EVENTS, type SecurityEventType } from "../policies/guardrails.js";
import type { Clock, Log, SecurityLog, Ship } from "./core/ports.js";

const MOST_KEPT = 100;

export interface SecurityOptions {
  /** Unknown tools a session may ask for in the window; 0 means any number. */
  readonly attempts: number;
  readonly windowSeconds: number;
  readonly clock: Pick<Clock, "now" | "monotonic">;
  readonly log: Log;
  readonly ship?: Pick<Ship, "security">;
}

export function securityLog({ attempts, windowSeconds, clock, log, ship }: SecurityOptions): SecurityLog {
  const kept: Array<ReturnType<SecurityLog["recent"]>[number]> = [];
  const counts = new Map<SecurityEventType, number>();
  let unknown: number[] = [];

  function record(type: SecurityEventType, facts: Readonly<Record<string, string>>): void {
    const severity = SECURITY_EVENTS[type];
    kept.push({ at: clock.now().toISOString(), type, severity, ...facts });
    if (kept.length > MOST_KEPT) kept.shift();
    counts.set(type, (counts.get(type) ?? 0) + 1);
    log("warn", "a security event", { type, severity, ...facts });
    ship?.security({ type, severity, ...facts });
  }

  return {
    record,
    unknownTool(tool) {
      const now = clock.monotonic();
      unknown = [...unknown.filter((at) => at > now - windowSeconds * 1_000), now].slice(-Math.max(1, attempts + 1));
      record("unknown_tool_attempt", { tool });
      const limited = attempts > 0 && unknown.length > attempts;
      if (limited) record("rate_limit_exceeded", { tool });
      return limited ? Math.max(1, Math.ceil((unknown[0]! + windowSeconds * 1_000 - now) / 1_000)) : null;
    },
    total: () => [...counts.values()].reduce((sum, count) => sum + count, 0),
    byType: () => Object.fromEntries(counts),
    recent: () => [...kept],
  };
}
