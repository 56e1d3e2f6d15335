// Audits on a schedule: run by themselves, caught up on, once among several servers, and never at the expense of a session.

import { describe, expect, it } from "vitest";
import type { Audit, AuditRow, Aws, Clock, Log } from "../../src/core/ports.js";
import type { AuditSchedules } from "../../src/core/tagging.js";
import { taggingFiles } from "../../src/tagging/files.js";
import { memoryHistory } from "../../src/tagging/history.js";
import { memorySchedules } from "../../src/tagging/schedules.js";
import { type InMemoryOptions, inMemory } from "../in-memory.js";

const HOUR = 3_600_000;
const TYPES = { resource_types: ["ec2:instance"] };

function server({ schedules = memorySchedules(), ...options }: InMemoryOptions & { schedules?: AuditSchedules } = {}) {
  const rows: AuditRow[] = [];
  const audit: Audit = {
    required: false,
    start: async () => {},
    end: async (row) => void rows.push(row),
    query: async () => ({ total: 0, rows: [] }),
    settled: async () => {},
  };
  const clock: Pick<Clock, "now"> = { now: () => new Date("2026-11-21T10:00:00Z") };
  const log: Log = () => {};
  const tagging = {
    files: taggingFiles({ policyPath: "none.json", folder: null, fallbackToDefault: true, clock }),
    history: memoryHistory(),
    schedules,
  };
  const started = inMemory({ ...options, ports: { audit, log, tagging, ...options.ports } });
  return { rows, schedules, tagging, started };
}

const list = { action: "list" };

describe("audits on a schedule", () => {
  it("is made with its next run, under the old name and names too, and listed", async () => {
    const assistant = await server().started;
    const made = await assistant.call("schedule_compliance_audit", {
      ...{ ...TYPES, schedule_type: "weekly", time_of_day: "07:30", timezone: "Europe/Berlin" },
      ...{ recipients: ["finops@example.com", "#cloud-costs"], notification_format: "both" },
    });
    // 21 November 2026 is a Saturday.
    expect(made).toMatchObject({
      ...{ status: "created", schedule_type: "weekly", time: "07:30", timezone: "Europe/Berlin" },
      ...{ cron_expression: "30 7 * * MON", next_run: "2026-11-23T06:30:00.000Z", resource_types: ["ec2:instance"] },
      ...{ recipients: ["finops@example.com", "#cloud-costs"], notification_format: "both" },
      schedule_id: expect.stringMatching(/^audit-sched-[0-9a-f]{8}$/),
      message: expect.stringContaining("sends no mail"),
    });
    const both = await assistant.call("tags_scheduleAudit", { schedule: "monthly", schedule_type: "weekly" });
    expect(both).toMatchObject({ schedule_type: "monthly", time: "09:00", resource_types: ["all"] });
    expect(await assistant.call("tags_scheduleAudit", list)).toMatchObject({
      status: "listed",
      schedules: [
        { schedule_id: made.schedule_id, run_count: 0, last_status: null, running: false },
        { schedule_id: both.schedule_id },
      ],
      daily_snapshot: { enabled: false },
    });
    await assistant.close();
  });

  it.each([
    [{ schedule: "hourly" }, "schedule"],
    [{ time: "25:00" }, "time"],
    [{ time: "9" }, "time"],
    [{ time_of_day: "09:00:00" }, "time_of_day"],
    [{ timezone_str: "Mars/Olympus" }, "timezone_str"],
    [{ action: "remove" }, "schedule_id"],
    [{ action: "remove", schedule_id: "audit-sched-00000000" }, "schedule_id"],
  ])("refuses %j by its field", async (given, field) => {
    const assistant = await server().started;
    expect(await assistant.call("tags_scheduleAudit", given)).toMatchObject({ isError: true, field });
    await assistant.close();
  });

  it("stores a scan when it is due, not before, and again at its next time; nobody's budget pays for it", async () => {
    const { rows, started } = server({ env: {} });
    const assistant = await started;
    await assistant.call("tags_scheduleAudit", { ...TYPES, time: "11:00" });
    await assistant.app.lookAtSchedules();
    expect(rows.filter(({ tool }) => tool === "tags.check")).toEqual([]);
    assistant.pass(HOUR);
    await assistant.app.lookAtSchedules();
    await assistant.app.lookAtSchedules();
    const [row, ...more] = rows.filter(({ tool }) => tool === "tags.check");
    expect(more).toEqual([]);
    const listed = await assistant.call("tags_scheduleAudit", list);
    expect(listed.schedules[0]).toMatchObject({
      ...{ run_count: 1, last_status: "completed", last_error: null, next_run: "2026-11-22T11:00:00.000Z" },
      last_run: { late_seconds: 0, account: listed.account, total_resources: 4 },
    });
    expect(row).toMatchObject({ status: "success", sessionId: listed.schedules[0].schedule_id });
    expect(await assistant.call("tags_history")).toMatchObject({ history: [{ total_resources: 4, scan_count: 1 }] });
    // A new hour has begun: the list, the history and this.
    expect((await assistant.call("session_whoami")).budget).toMatchObject({ used: 3 });
    await assistant.close();
  });

  it("is caught up on once, however often it was due while no server was there, and says how late", async () => {
    const { schedules, started } = server();
    const first = await started;
    await first.call("tags_scheduleAudit", { ...TYPES, time: "11:00" });
    first.pass(4 * 24 * HOUR);
    const second = await first.beside({ ports: { tagging: server({ schedules }).tagging } });
    await second.app.lookAtSchedules();
    expect((await second.call("tags_scheduleAudit", list)).schedules).toMatchObject([
      { run_count: 1, last_run: { late_seconds: (3 * 24 + 23) * 3_600 }, next_run: "2026-11-25T11:00:00.000Z" },
    ]);
    await first.close();
  });

  it("is run by one of several servers", async () => {
    let scans = 0;
    const wrap = (aws: Aws): Aws => ({
      ...aws,
      reader: async (region, via) => {
        const reader = await aws.reader(region, via);
        const scan: typeof reader.tagged.scan = (...asked) => {
          scans++;
          return reader.tagged.scan(...asked);
        };
        return { ...reader, tagged: { ...reader.tagged, scan } };
      },
    });
    const { schedules, tagging, started } = server({ wrap });
    const first = await started;
    await first.call("tags_scheduleAudit", { ...TYPES, time: "11:00" });
    const second = await first.beside({ wrap, ports: { tagging }, owner: { session: "another", pid: 2 } });
    first.pass(HOUR);
    await Promise.all([first.app.lookAtSchedules(), second.app.lookAtSchedules()]);
    expect((await schedules.all())[0]).toMatchObject({ runCount: 1 });
    expect(scans).toBe(1);
    await first.close();
  });

  it("is given back by a server that goes away in the middle, and run by the next one", async () => {
    const { schedules, tagging, started } = server({
      wrap: (aws) => ({
        ...aws,
        reader: async (region, via) => {
          const reader = await aws.reader(region, via);
          // A scan that does not end.
          return { ...reader, tagged: { ...reader.tagged, scan: () => new Promise<never>(() => {}) } };
        },
      }),
    });
    const first = await started;
    await first.call("tags_scheduleAudit", { ...TYPES, time: "11:00" });
    first.pass(HOUR);
    void first.app.lookAtSchedules();
    while ((await schedules.all())[0]?.runningUntil === undefined) await Promise.resolve();
    const second = await first.beside({ ports: { tagging }, owner: { session: "another", pid: 2 } });
    await second.app.lookAtSchedules();
    expect((await schedules.all())[0]).toMatchObject({ runCount: 0, runningUntil: "2026-11-21T11:30:00.000Z" });
    await Promise.all([first.app.close(), first.waitedFor(45_000)]);
    await second.app.lookAtSchedules();
    expect((await schedules.all())[0]).toMatchObject({ runCount: 1, lastRun: { status: "completed" } });
  });

  it("is tried again where it failed, twice, then at its next time, and says what failed", async () => {
    let denied = true;
    const { schedules, started } = server({
      wrap: (aws) => ({
        ...aws,
        reader: async (region, via) => {
          const reader = await aws.reader(region, via);
          const scan: typeof reader.tagged.scan = async (request, progress) => {
            const found = await reader.tagged.scan(request, progress);
            const unread = [{ type: "ec2:instance", region, code: "access_denied" as const }];
            return denied ? found.map((one) => ({ ...one, resources: [], unread })) : found;
          };
          return { ...reader, tagged: { ...reader.tagged, scan } };
        },
      }),
    });
    const assistant = await started;
    await assistant.call("tags_scheduleAudit", { ...TYPES, time: "11:00" });
    assistant.pass(HOUR);
    const nexts: string[] = [];
    for (let attempt = 0; attempt < 3; attempt++) {
      await assistant.app.lookAtSchedules();
      nexts.push((await schedules.all())[0]!.nextRun.slice(5, 16));
      assistant.pass(HOUR / 4);
    }
    expect(nexts).toEqual(["11-21T11:15", "11-21T11:30", "11-22T11:00"]);
    const listed = await assistant.call("tags_scheduleAudit", list);
    expect(listed.schedules[0]).toMatchObject({ run_count: 3, last_status: "failed", last_error: "access_denied" });
    denied = false;
    assistant.pass(24 * HOUR);
    await assistant.app.lookAtSchedules();
    expect((await schedules.all())[0]).toMatchObject({ lastRun: { status: "completed" } });
    await assistant.close();
  });

  it("leaves the schedules of accounts that it does not reach to servers that do", async () => {
    const { schedules, rows, started } = server();
    const assistant = await started;
    const { schedule_id } = await assistant.call("tags_scheduleAudit", { ...TYPES, time: "11:00" });
    const [mine] = await schedules.all();
    await schedules.put({ ...mine!, id: "audit-sched-elsewhere", account: "999999999999" });
    assistant.pass(HOUR);
    await assistant.app.lookAtSchedules();
    await assistant.app.lookAtSchedules();
    const after = new Map((await schedules.all()).map((one) => [one.id, one]));
    expect(after.get(schedule_id)?.runCount).toBe(1);
    expect(after.get("audit-sched-elsewhere")).toMatchObject({ runCount: 0, nextRun: "2026-11-21T11:00:00.000Z" });
    expect(after.get("audit-sched-elsewhere")?.runningUntil).toBeUndefined();
    expect(rows.filter(({ refusalClass }) => refusalClass === "identity_mismatch")).toHaveLength(1);
    expect((await assistant.call("tags_scheduleAudit", list)).schedules).toHaveLength(1);
    await assistant.close();
  });

  it("runs no more once it is removed", async () => {
    const { rows, started } = server();
    const assistant = await started;
    const { schedule_id } = await assistant.call("tags_scheduleAudit", { ...TYPES, time: "11:00" });
    expect(await assistant.call("tags_scheduleAudit", { action: "remove", schedule_id })).toMatchObject({
      status: "removed",
      schedule_id,
    });
    assistant.pass(HOUR);
    await assistant.app.lookAtSchedules();
    expect(rows.filter(({ tool }) => tool === "tags.check")).toEqual([]);
    await assistant.close();
  });

  it("runs the operator's daily snapshot, shows how it stands and lets nobody remove it", async () => {
    const env = { SCHEDULER_ENABLED: "true", SNAPSHOT_SCHEDULE_HOUR: "11", SNAPSHOT_SCHEDULE_TIMEZONE: "Asia/Kolkata" };
    const { schedules, started } = server({ env });
    const assistant = await started;
    await assistant.app.lookAtSchedules();
    expect((await assistant.call("tags_scheduleAudit", list)).daily_snapshot).toMatchObject({
      ...{ enabled: true, schedule_id: "daily-snapshot", cron_expression: "0 11 * * *", run_count: 0 },
      next_run: "2026-11-22T05:30:00.000Z",
    });
    assistant.pass(24 * HOUR);
    await assistant.app.lookAtSchedules();
    const { daily_snapshot: shown, schedules: own } = await assistant.call("tags_scheduleAudit", list);
    // The sandbox lists some of the types only: what it could not read is not stored as if it were all.
    expect(shown).toMatchObject({ run_count: 1, last_status: "partial", last_error: "the scan is not complete" });
    expect(own).toEqual([]);
    expect(
      await assistant.call("tags_scheduleAudit", { action: "remove", schedule_id: "daily-snapshot" }),
    ).toMatchObject({ isError: true, code: "validation_error" });
    // A server without it leaves it alone; one with another time moves it.
    const plain = await assistant.beside({ env: {}, ports: { tagging: server({ schedules }).tagging } });
    assistant.pass(48 * HOUR);
    await plain.app.lookAtSchedules();
    expect((await schedules.all())[0]?.runCount).toBe(1);
    const moved = await assistant.beside({
      env: { ...env, SNAPSHOT_SCHEDULE_MINUTE: "15" },
      ports: { tagging: server({ schedules }).tagging },
    });
    await moved.app.lookAtSchedules();
    expect((await schedules.all())[0]).toMatchObject({ time: "11:15", runCount: 1 });
    await assistant.close();
  });
});
