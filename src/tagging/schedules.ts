// Schedules of audits in SQLite, beside the stored scans: who takes a due run is decided there, so that each is run once.

import type { Sqlite, SqlRow } from "../core/ports.js";
import type { AuditSchedule, AuditSchedules } from "../core/tagging.js";

const scheduleOf = ({ schedule, next_run, claimed_until }: SqlRow): AuditSchedule => {
  const { runningUntil: _, ...kept } = JSON.parse(String(schedule)) as AuditSchedule;
  return {
    ...kept,
    nextRun: String(next_run),
    ...(typeof claimed_until === "string" && { runningUntil: claimed_until }),
  };
};

/** @param db opened with HISTORY_SCHEMA */
export const auditSchedules = (db: Sqlite): AuditSchedules => ({
  present: () => db.present(),
  async all() {
    return (await db.all("SELECT * FROM audit_schedules ORDER BY next_run, id")).map(scheduleOf);
  },
  async put(schedule) {
    await db.run(
      "INSERT OR REPLACE INTO audit_schedules (id, next_run, schedule) VALUES (?, ?, ?)",
      schedule.id,
      schedule.nextRun,
      JSON.stringify(schedule),
    );
  },
  async remove(id) {
    return (await db.run("DELETE FROM audit_schedules WHERE id = ?", id)) > 0;
  },
  async claim(id, dueAt, by, now, until) {
    const taken = await db.run(
      `UPDATE audit_schedules SET claimed_by = ?, claimed_until = ?
       WHERE id = ? AND next_run = ? AND (claimed_until IS NULL OR claimed_until <= ?)`,
      ...[by, until, id, dueAt, now],
    );
    return taken > 0;
  },
  finish: (id, by, change) =>
    db.transaction((sql) => {
      const [row] = sql.all("SELECT * FROM audit_schedules WHERE id = ? AND claimed_by = ?", id, by);
      if (!row) return;
      const next = { ...scheduleOf(row), ...change };
      sql.run(
        "UPDATE audit_schedules SET claimed_by = NULL, claimed_until = NULL, next_run = ?, schedule = ? WHERE id = ?",
        ...[next.nextRun, JSON.stringify(next), id],
      );
    }),
});

/** For a process without a folder of its own. */
export function memorySchedules(): AuditSchedules {
  const kept = new Map<string, { readonly schedule: AuditSchedule; readonly by?: string }>();
  return {
    present: () => kept.size > 0,
    all: async () => [...kept.values()].map(({ schedule }) => schedule),
    async put(schedule) {
      kept.set(schedule.id, { schedule });
    },
    remove: async (id) => kept.delete(id),
    async claim(id, dueAt, by, now, until) {
      const held = kept.get(id)?.schedule;
      if (held?.nextRun !== dueAt || (held.runningUntil !== undefined && held.runningUntil > now)) return false;
      kept.set(id, { schedule: { ...held, runningUntil: until }, by });
      return true;
    },
    async finish(id, by, change) {
      const held = kept.get(id);
      if (held?.by !== by) return;
      const { runningUntil: _, ...schedule } = held.schedule;
      kept.set(id, { schedule: { ...schedule, ...change } });
    },
  };
}
