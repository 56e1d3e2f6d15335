// The audit log: one row a call, whatever became of it, in a database that servers share. A row is testimony: where it cannot be
// written the call goes on, unless the operator asked for the opposite.

import { withoutSecrets } from "../policies/sanitise.js";
import { OpsError } from "./core/errors.js";
import { inTime } from "./core/in-time.js";
import { type JsonObject, looksSecret, redact } from "./core/json.js";
import type {
  Audit,
  AuditFilter,
  AuditRow,
  AuditStart,
  Clock,
  Log,
  Sqlite,
  SqlTransaction,
  SqlValue,
} from "./core/ports.js";

/** The first is what the server that we take over made, so that its file goes on. */
export const AUDIT_SCHEMA: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS audit_logs (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     timestamp TEXT NOT NULL,
     tool_name TEXT NOT NULL,
     parameters TEXT NOT NULL,
     status TEXT NOT NULL,
     error_message TEXT,
     execution_time_ms REAL,
     correlation_id TEXT
   );
   CREATE INDEX IF NOT EXISTS idx_audit_logs_timestamp ON audit_logs (timestamp);
   CREATE INDEX IF NOT EXISTS idx_audit_logs_correlation_id ON audit_logs (correlation_id);`,
  `ALTER TABLE audit_logs ADD COLUMN session_id TEXT;
   ALTER TABLE audit_logs ADD COLUMN refusal_class TEXT;`,
];

export interface AuditOptions {
  readonly db: Sqlite;
  readonly clock: Clock;
  readonly log: Log;
  /** Refuse a call whose row cannot be written, before AWS is touched. */
  readonly required: boolean;
  readonly days: number;
  readonly megabytes: number;
}

/** Rows kept while the database cannot be written. */
const MOST_WAITING = 1_000;
/** How long an answer waits for its row; after that the row is written behind it. */
const PATIENCE_MS = 250;
const TRY_AGAIN_MS = 5_000;
/** Between two looks at age and size. */
const ROTATE_EVERY_ROWS = 500;
const MOST_PARAMETERS = 8_192;
const MOST_ERROR = 1_024;
const STARTED = "started";

type Write = { readonly row: AuditRow | AuditStart; readonly tell: (error?: unknown) => void };

export function createAudit({ db, clock, log, required, days, megabytes }: AuditOptions): Audit {
  let waiting: Write[] = [];
  let flushing: Promise<void> | null = null;
  let failedAt: number | null = null;
  let lost = 0;
  let untilRotation = 0;

  function put(tx: SqlTransaction, row: AuditRow | AuditStart): void {
    if (required && "status" in row) {
      const values = [
        row.status,
        row.error ?? null,
        row.durationMs,
        row.refusalClass ?? null,
        row.tool,
        row.parameters,
      ];
      const done = tx.run(
        "UPDATE audit_logs SET status = ?, error_message = ?, execution_time_ms = ?, refusal_class = ?, tool_name = ?, parameters = ? WHERE correlation_id = ? AND status = ?",
        ...values,
        row.correlationId,
        STARTED,
      );
      if (done > 0) return;
    }
    const end =
      "status" in row ? row : { status: STARTED, error: undefined, durationMs: null, refusalClass: undefined };
    tx.run(
      "INSERT INTO audit_logs (timestamp, tool_name, parameters, status, error_message, execution_time_ms, correlation_id, session_id, refusal_class) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      row.at,
      row.tool,
      row.parameters,
      end.status,
      end.error ?? null,
      end.durationMs,
      row.correlationId,
      row.sessionId,
      end.refusalClass ?? null,
    );
  }

  /** Everything that waits in one transaction. Rows that came meanwhile are the next one's. */
  async function flush(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      try {
        await db.transaction((tx) => {
          for (const { row } of batch) put(tx, row);
          untilRotation -= batch.length;
          if (untilRotation <= 0) rotate(tx, clock.now(), days, megabytes);
          if (untilRotation <= 0) untilRotation = ROTATE_EVERY_ROWS;
        });
        if (failedAt !== null) log("info", "the audit log is written again", { rowsLost: lost });
        failedAt = null;
        lost = 0;
        for (const { tell } of batch) tell();
      } catch (error) {
        if (failedAt === null) {
          log("warn", "the audit log cannot be written; calls go on without it, and it is tried again", { error });
        }
        failedAt = clock.monotonic();
        const kept = [...batch, ...waiting].slice(-MOST_WAITING);
        lost += batch.length + waiting.length - kept.length;
        // Whoever needs its row is told that there is none; the others wait for the next try.
        waiting = kept.filter(({ row }) => "status" in row);
        for (const { tell } of batch) tell(error);
        return;
      }
    }
  }

  function write(row: AuditRow | AuditStart): Promise<void> {
    return new Promise((resolve, reject) => {
      waiting.push({ row, tell: (error) => (error === undefined ? resolve() : reject(error)) });
      const rests = failedAt !== null && clock.monotonic() - failedAt < TRY_AGAIN_MS;
      if (rests && "status" in row) return resolve();
      void begin();
    });
  }

  function begin(): Promise<void> {
    flushing ??= flush().finally(() => {
      flushing = null;
    });
    return flushing;
  }

  return {
    required,
    async start(row) {
      if (!required) return;
      await write(row).catch((cause: unknown) => {
        throw new OpsError(
          "audit_unavailable",
          "The audit log cannot be written, and the operator asked for no call without its row. Nothing was done.",
          { cause },
        );
      });
    },
    async end(row) {
      await inTime(
        write(row).catch(() => {}),
        PATIENCE_MS,
        clock,
      );
    },
    query: (filter) => query(db, filter),
    async settled() {
      await begin();
      await db.close().catch(() => {});
    },
  };
}

function rotate(tx: SqlTransaction, now: Date, days: number, megabytes: number): void {
  purgeBefore(tx, new Date(now.getTime() - days * 86_400_000));
  const pragma = (name: string) => Number(Object.values(tx.all(`PRAGMA ${name}`)[0] ?? { none: 0 })[0]);
  const most = Math.floor((megabytes * 1_048_576) / pragma("page_size"));
  // Pages that are freed are used again, so the file itself stays as large as that.
  for (let tries = 0; tries < 20 && pragma("page_count") - pragma("freelist_count") > most; tries++) {
    tx.run(
      "DELETE FROM audit_logs WHERE id IN (SELECT id FROM audit_logs ORDER BY id LIMIT max(1, (SELECT count(*) / 10 FROM audit_logs)))",
    );
  }
}

export const purgeBefore = (tx: SqlTransaction, before: Date): number =>
  tx.run("DELETE FROM audit_logs WHERE timestamp < ?", before.toISOString());

/** Newest first. */
export async function query(db: Sqlite, { tool, status, correlationId, since, limit }: AuditFilter) {
  const wanted: readonly (readonly [string, SqlValue | undefined])[] = [
    ["tool_name = ?", tool],
    ["status = ?", status],
    ["correlation_id = ?", correlationId],
    ["timestamp >= ?", since],
  ];
  const given = wanted.filter((one): one is readonly [string, SqlValue] => one[1] !== undefined);
  const where = given.length > 0 ? `WHERE ${given.map(([condition]) => condition).join(" AND ")}` : "";
  const values = given.map(([, value]) => value);
  return db.transaction((tx) => ({
    total: Number(tx.all(`SELECT count(*) AS total FROM audit_logs ${where}`, ...values)[0]?.total),
    rows: tx.all(`SELECT * FROM audit_logs ${where} ORDER BY id DESC LIMIT ?`, ...values, limit).map(rowOf),
  }));
}

/** What the guardrails refused: how often, of which kind of attack, and when last. */
const GUARDED = ["security_violation", "unknown_tool", "rate_limited", "loop_detected", "budget_exhausted"];

/** Refusals by class and kind, most first. What was refused is not among it. */
export async function refusals(db: Sqlite, since?: string): Promise<JsonObject[]> {
  const rows = await db.all(
    `SELECT refusal_class AS class, CASE refusal_class WHEN 'security_violation' THEN parameters END AS what,
       count(*) AS count, count(DISTINCT session_id) AS sessions, max(timestamp) AS last
     FROM audit_logs WHERE refusal_class IN (${GUARDED.map(() => "?").join(", ")}) AND timestamp >= ?
     GROUP BY class, what ORDER BY count DESC, class, what`,
    ...GUARDED,
    since ?? "",
  );
  return rows.map(({ class: name, what, count, sessions, last }) => {
    const kind = typeof what === "string" ? parsed(what)._security_violation : undefined;
    return {
      class: String(name),
      ...(typeof kind === "string" && { kind }),
      ...{ count: Number(count), sessions: Number(sessions), last: String(last) },
    };
  });
}

function rowOf(row: Readonly<Record<string, unknown>>): JsonObject {
  const { parameters, ...rest } = row as JsonObject & { parameters: string };
  const filled = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null));
  return { ...filled, parameters: parsed(parameters) };
}

function parsed(text: string): JsonObject {
  try {
    return JSON.parse(text);
  } catch {
    return { _unreadable: true };
  }
}

/** Whoever holds a token may execute its change: it is as secret as a password. */
const isSecretParameter = (name: string): boolean => looksSecret(name) || /token$/i.test(name) || name === "record";

/** What is kept of a call's arguments: without secrets, and bounded. */
export function auditParameters(given: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify(
    redact(given, (_, name) => isSecretParameter(name)),
    (_, value) => (typeof value === "string" ? withoutSecrets(value) : value),
  );
  return text.length <= MOST_PARAMETERS
    ? text
    : JSON.stringify({ _truncated: text.length, _begins: text.slice(0, MOST_PARAMETERS / 2) });
}

export const auditError = (code: string, message: string): string =>
  withoutSecrets(`${code}: ${message}`).slice(0, MOST_ERROR);
