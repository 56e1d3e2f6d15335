// Audits on a schedule: kept with the stored scans, run by the server while it is there, caught up on when it is back.

import { z } from "zod";
import { cronOf, isTimezone, nextRun, RHYTHMS, TIME_OF_DAY } from "../../policies/tagging/schedule.js";
import { OpsError } from "../../src/core/errors.js";
import { digest, type Json, type JsonObject } from "../../src/core/json.js";
import type { ReadPorts } from "../../src/core/ports.js";
import type { AuditSchedule } from "../../src/core/tagging.js";
import { type ReadResult, read } from "../../src/core/tool.js";
import { ResourceTypes } from "./inputs.js";

const MOST_SCHEDULES = 50;
const RHYTHM = "daily";
const TIME = "09:00";
const ZONE = "UTC";

const Time = z.string().regex(TIME_OF_DAY, "must be HH:MM, such as 09:00");
const Zone = z.string().max(64).refine(isTimezone, "must be the name of a time zone, such as Europe/Berlin");

const view = (one: AuditSchedule, now: Date): JsonObject => ({
  schedule_id: one.id,
  origin: one.origin,
  schedule_type: one.rhythm,
  time: one.time,
  timezone: one.timezone,
  cron_expression: cronOf(one),
  resource_types: [...one.resourceTypes],
  recipients: [...one.recipients],
  notification_format: one.notificationFormat,
  ...(one.account && { account: one.account }),
  created_by: one.createdBy,
  created_at: one.createdAt,
  next_run: one.nextRun,
  running: one.runningUntil !== undefined && one.runningUntil > now.toISOString(),
  run_count: one.runCount,
  last_run: (one.lastRun ?? null) as unknown as Json,
  last_status: one.lastRun?.status ?? null,
  last_error: one.lastRun?.error ?? null,
});

/** The schedules are in a file of this machine: what ails it is said in words of ours. */
async function orRefused<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (cause instanceof OpsError) throw cause;
    throw new OpsError("state_unreadable", "The schedules cannot be read or written. See --history-db-path.", {
      cause,
    });
  }
}

/** Those of this account, and the operator's snapshot. */
async function held({ tagging: { schedules, dailySnapshot }, aws }: ReadPorts): Promise<readonly AuditSchedule[]> {
  if (!schedules.present()) return [];
  const all = await orRefused(schedules.all());
  return all.filter((one) => (one.origin === "operator" ? one.id === dailySnapshot : one.account === aws.account));
}

const SAYS_NOTHING =
  "This server sends no mail and no message: recipients are kept with the schedule, and each run's result stands in tags.scheduleAudit (list) and tags.history.";

const LIST = { tool: "tags.scheduleAudit", arguments: { action: "list" } };

const Input = z.object({
  action: z.enum(["create", "list", "remove"]).default("create"),
  schedule_id: z.string().max(200).optional().describe("To remove"),
  schedule: z.enum(RHYTHMS).default(RHYTHM),
  time: Time.default(TIME),
  timezone_str: Zone.default(ZONE),
  resource_types: ResourceTypes.default(["all"]),
  recipients: z.array(z.string().min(1).max(256)).max(50).default([]),
  notification_format: z.enum(["email", "slack", "both"]).default("email"),
  schedule_type: z.enum(RHYTHMS).optional(),
  time_of_day: Time.optional(),
  timezone: Zone.optional(),
});

export const scheduleAudit = read({
  title: "Schedule compliance audits",
  description:
    "Have a compliance scan stored daily, weekly (Mondays) or monthly (the 1st) for tags.history and tags.drift. It runs while this server runs, and once on its next start if it was due meanwhile; it only reads AWS and sends nothing to anybody. `list` shows schedules with their last result, `remove` ends one.",
  scope: "region",
  foreignText: false,
  input: Input,
  output: z.object({
    status: z.string(),
    schedule_id: z.string().optional(),
    schedule_type: z.string().optional(),
    time: z.string().optional(),
    timezone: z.string().optional(),
    resource_types: z.array(z.string()).optional(),
    next_run: z.string().optional(),
    notification_format: z.string().optional(),
    recipients: z.array(z.string()).optional(),
    cron_expression: z.string().optional(),
    message: z.string(),
    schedules: z.array(z.looseObject({})).optional(),
    daily_snapshot: z.looseObject({ enabled: z.boolean() }).optional(),
  }),
  async run(input, ports) {
    const all = await held(ports);
    if (input.action === "list") return listed(ports, all);
    if (input.action === "remove") return removed(ports, all, input.schedule_id);
    return created(input, ports, all.length);
  },
});

function listed({ tagging, now }: ReadPorts, all: readonly AuditSchedule[]): ReadResult {
  const daily = all.find(({ origin }) => origin === "operator");
  const own = all.filter(({ origin }) => origin === "caller");
  return {
    data: {
      status: "listed",
      schedules: own.map((one) => view(one, now)),
      daily_snapshot: { enabled: tagging.dailySnapshot !== null, ...(daily && view(daily, now)) },
      message: `${own.length} scheduled for this account. ${SAYS_NOTHING}`,
    },
  };
}

async function created(input: z.infer<typeof Input>, ports: ReadPorts, count: number): Promise<ReadResult> {
  const { tagging, aws, caller, now } = ports;
  if (count >= MOST_SCHEDULES) {
    throw new OpsError("validation_error", `There are ${MOST_SCHEDULES} schedules; remove one first.`, {
      field: "action",
      next: [LIST],
    });
  }
  // The second set of names counts only where the first one says nothing.
  const when = {
    rhythm: input.schedule === RHYTHM ? (input.schedule_type ?? input.schedule) : input.schedule,
    time: input.time === TIME ? (input.time_of_day ?? input.time) : input.time,
    timezone: input.timezone_str === ZONE ? (input.timezone ?? input.timezone_str) : input.timezone_str,
  };
  const createdAt = now.toISOString();
  const asked = digest([aws.account, createdAt, count, when, input.resource_types]);
  const made: AuditSchedule = {
    ...{ id: `audit-sched-${asked.slice(-8)}`, origin: "caller", ...when, resourceTypes: input.resource_types },
    ...{ recipients: input.recipients, notificationFormat: input.notification_format },
    ...{ account: aws.account, ...(aws.via !== undefined && { via: aws.via }), region: aws.region },
    ...{ createdBy: caller.arn, createdAt, nextRun: nextRun(when, createdAt), runCount: 0, attempts: 0 },
  };
  await orRefused(tagging.schedules.put(made));
  return {
    data: {
      ...view(made, now),
      status: "created",
      message: `Scans are stored from ${made.nextRun} on, while this server runs; one that comes due while it does not is made once when it is back. ${SAYS_NOTHING}`,
    },
  };
}

async function removed(
  { tagging }: ReadPorts,
  all: readonly AuditSchedule[],
  id: string | undefined,
): Promise<ReadResult> {
  const found = all.find((one) => one.id === id);
  if (id === undefined || !found) {
    const message = id === undefined ? "Name the schedule to remove." : "There is no such schedule for this account.";
    throw new OpsError(id === undefined ? "validation_error" : "not_found", message, {
      field: "schedule_id",
      next: [LIST],
    });
  }
  if (found.origin === "operator") {
    throw new OpsError("validation_error", "The daily snapshot is the operator's: it ends with --daily-snapshot.", {
      field: "schedule_id",
    });
  }
  await orRefused(tagging.schedules.remove(found.id));
  return { data: { status: "removed", schedule_id: found.id, message: "It runs no more; its stored scans stay." } };
}
