// Audits that were asked for on a schedule, run by themselves while the server is there; what came due before, once it is back.
// A run reads AWS and stores a scan. It is nobody's call: it spends no session's budget and tells no session anything.

import { nextRun } from "../policies/tagging/schedule.js";
import type { Outcome } from "./core/call.js";
import { isObject, type JsonObject } from "./core/json.js";
import type { Clock, Log } from "./core/ports.js";
import type { AuditRun, AuditSchedule, AuditSchedules } from "./core/tagging.js";

export interface SchedulerDeps {
  readonly schedules: AuditSchedules;
  /** The daily snapshot of the configuration. */
  readonly daily: AuditSchedule | null;
  readonly clock: Clock;
  readonly log: Log;
  /** This process. */
  readonly by: string;
  /** One scan, stored where it is whole. Never rejects. */
  readonly run: (schedule: AuditSchedule) => Promise<Outcome>;
}

export interface Scheduler {
  start(): void;
  /** A schedule was made or changed by this process. */
  changed(): void;
  /** One look, with everything that is due. */
  tick(): Promise<void>;
  /** What is under way is given back: whoever comes next runs it. */
  stop(): Promise<void>;
}

/** After the start, so that it waits for nothing. */
const START_MS = 1_000;
/** The longest time between two looks: other processes make schedules too, and machines sleep. */
const LOOK_MS = 5 * 60_000;
/** For which a run is this process's alone; a scan of everything takes minutes. */
const LEASE_MS = 30 * 60_000;
/** A run that failed is tried again, so often until its next time. */
const AGAIN_MS = 15 * 60_000;
const ATTEMPTS = 3;

/** It belongs to an account that this server does not reach: another one's to run. */
const OTHERS: ReadonlySet<string> = new Set(["unknown_account", "identity_mismatch"]);

export function scheduler({ schedules, daily, clock, log, by, run }: SchedulerDeps): Scheduler {
  let started = false;
  let stopped = false;
  let cancel: (() => void) | undefined;
  let looking: Promise<void> | null = null;
  let atWork: string | null = null;
  /** Schedules that are another server's, until when they are not looked at. */
  const others = new Map<string, number>();

  function arm(ms: number): void {
    cancel?.();
    cancel = stopped ? undefined : clock.later?.(ms, () => void tick());
  }

  /** The configuration's own: made where there is none, moved where the configuration says another time. */
  async function ensureDaily(): Promise<void> {
    if (!daily) return;
    const held = (await schedules.all()).find(({ id }) => id === daily.id);
    const same = held?.time === daily.time && held.timezone === daily.timezone && held.rhythm === daily.rhythm;
    if (same) return;
    const due = nextRun(daily, clock.now().toISOString());
    await schedules.put({ ...daily, ...held, time: daily.time, timezone: daily.timezone, nextRun: due });
  }

  const isOurs = ({ origin, id }: AuditSchedule): boolean =>
    (origin === "caller" || id === daily?.id) && !((others.get(id) ?? 0) > clock.now().getTime());

  async function runOne(schedule: AuditSchedule): Promise<void> {
    const began = clock.now();
    const until = new Date(began.getTime() + LEASE_MS).toISOString();
    if (!(await schedules.claim(schedule.id, schedule.nextRun, by, began.toISOString(), until))) return;
    atWork = schedule.id;
    log("info", "a scheduled audit begins", { schedule: schedule.id });
    const outcome = await run(schedule);
    atWork = null;
    if (stopped) return;
    if (outcome.status === "refused" && OTHERS.has(outcome.error.code)) {
      others.set(schedule.id, began.getTime() + LEASE_MS);
      await schedules.finish(schedule.id, by, {});
      return;
    }
    const result = resultOf(schedule, outcome, began);
    const level = result.status === "completed" ? "info" : "warn";
    log(level, "a scheduled audit ended", { schedule: schedule.id, ...result });
    const now = clock.now();
    const next = nextRun(schedule, now.toISOString());
    const again = new Date(now.getTime() + AGAIN_MS).toISOString();
    const attempts = schedule.attempts + 1;
    const isTriedAgain = result.status === "failed" && attempts < ATTEMPTS && again < next;
    await schedules.finish(schedule.id, by, {
      lastRun: result,
      runCount: schedule.runCount + 1,
      nextRun: isTriedAgain ? again : next,
      attempts: isTriedAgain ? attempts : 0,
    });
  }

  async function look(): Promise<void> {
    if (daily) await ensureDaily();
    if (!schedules.present()) return arm(LOOK_MS);
    for (const schedule of await schedules.all()) {
      if (stopped) return;
      if (schedule.nextRun <= clock.now().toISOString() && isOurs(schedule)) await runOne(schedule);
    }
    const waiting = (await schedules.all()).filter(isOurs);
    const now = clock.now().getTime();
    // What another process is at is not waited for more closely than by the next look.
    const soonest = waiting.map(({ nextRun: at }) => Date.parse(at)).filter((at) => at > now);
    arm(Math.min(LOOK_MS, ...soonest.map((at) => at - now)));
  }

  function tick(): Promise<void> {
    looking ??= look()
      .catch((error: unknown) => {
        atWork = null;
        log("warn", "the schedule of audits could not be looked at", { error });
        arm(LOOK_MS);
      })
      .finally(() => {
        looking = null;
      });
    return looking;
  }

  return {
    start() {
      started = true;
      arm(START_MS);
    },
    changed() {
      if (started && !looking) arm(START_MS);
    },
    tick,
    async stop() {
      stopped = true;
      cancel?.();
      if (atWork !== null) await schedules.finish(atWork, by, {}).catch(() => {});
    },
  };
}

const numberOf = (data: JsonObject, key: string) => {
  const value = data[key];
  return typeof value === "number" ? { [key]: value } : {};
};

function resultOf(schedule: AuditSchedule, outcome: Outcome, began: Date): AuditRun {
  const at = began.toISOString();
  const late_seconds = Math.max(0, Math.round((began.getTime() - Date.parse(schedule.nextRun)) / 1_000));
  const where = outcome.account === undefined ? {} : { account: outcome.account };
  if (outcome.status !== "ok") {
    const error = outcome.status === "planned" ? "internal" : outcome.error.code;
    return { at, status: "failed", late_seconds, ...where, error };
  }
  const { data } = outcome;
  const figures = {
    ...numberOf(data, "compliance_score"),
    ...numberOf(data, "total_resources"),
    ...numberOf(data, "violation_count"),
  };
  if (data.stored_in_history === true) return { at, status: "completed", late_seconds, ...where, ...figures };
  const error = typeof data.not_stored_because === "string" ? data.not_stored_because : "it was not stored";
  const isPartial = isObject(data.data_quality) && data.data_quality.status === "partial";
  return { at, status: isPartial ? "partial" : "failed", late_seconds, ...where, ...figures, error };
}
