// The audit log on a real database: it stays within its age and its size, and a row that cannot wait is waited for.

import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { AUDIT_SCHEMA, createAudit, purgeBefore } from "../../src/audit.js";
import type { Audit, AuditRow, Clock, Sqlite } from "../../src/core/ports.js";
import { sqlite } from "../../src/sqlite.js";
import { temporaryFolder } from "../harness.js";

const DAY = 86_400_000;
const folder = temporaryFolder();
afterAll(() => folder.remove());

let now = 0;
let files = 0;
let db: Sqlite;
const clock: Clock = {
  now: () => new Date(now),
  monotonic: () => now,
  // Nobody's patience ends here.
  sleep: (_, signal) =>
    new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason))),
};
const owner = { host: "test", bootId: "b", pid: 1, pidStart: "1", session: "s" };
beforeEach(() => {
  now = Date.parse("2026-11-21T10:00:00Z");
  db = sqlite({ path: `${folder.path}/${files++}.db`, schema: AUDIT_SCHEMA, clock, owner, liveness: () => "unknown" });
  return () => db.close();
});
const audit = (more: { days?: number; megabytes?: number } = {}) =>
  createAudit({ db, clock, log: () => {}, required: false, days: 90, megabytes: 100, ...more });
const row = (n: number, parameters = "{}"): AuditRow => ({
  ...{ at: new Date(now).toISOString(), tool: "session.seen", parameters, correlationId: `id-${n}`, sessionId: "s" },
  ...{ status: "success", durationMs: 1 },
});
/** At once, as a busy server's rows come: they share their transactions. */
const many = (log: Audit, from: number, to: number, parameters?: string) =>
  Promise.all(Array.from({ length: to - from + 1 }, (_, n) => log.end(row(from + n, parameters))));
const kept = async () =>
  (await audit().query({ limit: 100_000 })).rows.map((one) => String(one.correlation_id)).reverse();

describe("rotation", () => {
  it("by age: rows older than the days are gone with the next start's first row, younger ones stay", async () => {
    const first = audit();
    await first.end(row(1));
    now += 89 * DAY;
    await first.end(row(2));
    now += DAY + 1;
    await audit({ days: 90 }).end(row(3));
    expect(await kept()).toEqual(["id-2", "id-3"]);
  });

  it("by age: a server that never ends looks again every 500 rows", async () => {
    const one = audit();
    await one.end(row(0));
    now += 91 * DAY;
    await many(one, 1, 499);
    expect((await kept())[0]).toBe("id-0");
    await one.end(row(500));
    expect((await kept())[0]).toBe("id-1");
  });

  it("by size: the oldest rows go, the newest stay, and the file grows no further", async () => {
    const one = audit({ megabytes: 1 });
    const pages = async (name: string) => Number(Object.values((await db.all(`PRAGMA ${name}`))[0]!)[0]);
    const large = JSON.stringify({ text: "x".repeat(4_000) });
    let file = 0;
    for (let n = 0; n < 2_000; n += 100) {
      await many(one, n, n + 99, large);
      if (n === 1_000) file = await pages("page_count");
    }
    // The look comes after 500 rows, so whoever looks now sees what came since.
    await audit({ megabytes: 1 }).end(row(2_000, large));
    const used = ((await pages("page_count")) - (await pages("freelist_count"))) * (await pages("page_size"));
    expect(used).toBeLessThanOrEqual(1_048_576);
    expect(await pages("page_count")).toBeLessThan(file * 1.1);
    const rows = await kept();
    expect(rows.length).toBeGreaterThan(150);
    expect(rows).toEqual(Array.from({ length: rows.length }, (_, n) => `id-${2_001 - rows.length + n}`));
  });
});

it("a purge counts what it takes, and takes nothing of that very moment", async () => {
  const one = audit();
  for (let n = 0; n < 3; n++) {
    await one.end(row(n));
    now += DAY;
  }
  const before = new Date(now - 2 * DAY);
  expect(await db.transaction((tx) => purgeBefore(tx, before))).toBe(1);
  expect(await kept()).toEqual(["id-1", "id-2"]);
});
