// Stored scans in SQLite. The first table is the one that users' dashboards read; what we add stands beside it.

import type { Sqlite, SqlRow } from "../core/ports.js";
import type { ScanHistory, ScanScope, StoredScan, StoredTags } from "../core/tagging.js";

/** For `sqlite()`: never edited, only added to. */
export const HISTORY_SCHEMA: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS compliance_scans (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     timestamp TEXT NOT NULL,
     compliance_score REAL NOT NULL,
     total_resources INTEGER NOT NULL,
     compliant_resources INTEGER NOT NULL,
     violation_count INTEGER NOT NULL,
     created_at TEXT DEFAULT CURRENT_TIMESTAMP
   );
   CREATE INDEX IF NOT EXISTS idx_timestamp ON compliance_scans (timestamp);
   CREATE TABLE scan_scopes (
     scan_id INTEGER PRIMARY KEY,
     account TEXT NOT NULL,
     scope TEXT NOT NULL
   );
   CREATE TABLE scan_tags (
     account TEXT NOT NULL,
     arn TEXT NOT NULL,
     timestamp TEXT NOT NULL,
     tags TEXT NOT NULL
   );
   CREATE INDEX idx_scan_tags ON scan_tags (account, arn, timestamp);`,
  `CREATE TABLE audit_schedules (
     id TEXT PRIMARY KEY,
     next_run TEXT NOT NULL,
     claimed_by TEXT,
     claimed_until TEXT,
     schedule TEXT NOT NULL
   );`,
];

const ARNS_AT_ONCE = 500;

const scanOf = (row: SqlRow): StoredScan => ({
  timestamp: String(row.timestamp),
  compliance_score: Number(row.compliance_score),
  total_resources: Number(row.total_resources),
  compliant_resources: Number(row.compliant_resources),
  violation_count: Number(row.violation_count),
});

/** @param db opened with HISTORY_SCHEMA */
export const scanHistory = (db: Sqlite): ScanHistory => ({
  store: (scan, { account, ...scope }, tags) =>
    db.transaction((sql) => {
      sql.run(
        `INSERT INTO compliance_scans (timestamp, compliance_score, total_resources, compliant_resources, violation_count)
         VALUES (?, ?, ?, ?, ?)`,
        scan.timestamp,
        scan.compliance_score,
        scan.total_resources,
        scan.compliant_resources,
        scan.violation_count,
      );
      const [row] = sql.all("SELECT last_insert_rowid() AS id");
      sql.run("INSERT INTO scan_scopes VALUES (?, ?, ?)", Number(row!.id), account, JSON.stringify(scope));
      for (const [arn, map] of tags) {
        sql.run("INSERT INTO scan_tags VALUES (?, ?, ?, ?)", account, arn, scan.timestamp, JSON.stringify(map));
      }
    }),
  async scans(account, since) {
    const rows = await db.all(
      `SELECT s.*, c.scope FROM compliance_scans s LEFT JOIN scan_scopes c ON c.scan_id = s.id
       WHERE s.timestamp >= ? AND (c.account = ? OR c.account IS NULL) ORDER BY s.timestamp, s.id`,
      since,
      account,
    );
    return rows.map((row) => ({
      ...scanOf(row),
      ...(typeof row.scope === "string" && { scope: JSON.parse(row.scope) as Omit<ScanScope, "account"> }),
    }));
  },
  async lastTags(account, arns, since) {
    const found = new Map<string, StoredTags>();
    for (let begin = 0; begin < arns.length; begin += ARNS_AT_ONCE) {
      const some = arns.slice(begin, begin + ARNS_AT_ONCE);
      const rows = await db.all(
        `SELECT arn, max(timestamp) AS timestamp, tags FROM scan_tags
         WHERE account = ? AND timestamp >= ? AND arn IN (${some.map(() => "?").join(", ")}) GROUP BY arn`,
        account,
        since,
        ...some,
      );
      for (const row of rows) {
        found.set(String(row.arn), { timestamp: String(row.timestamp), tags: JSON.parse(String(row.tags)) });
      }
    }
    return found;
  },
});

/** For a process without a folder of its own. */
export function memoryHistory(): ScanHistory {
  const kept: { scan: StoredScan; scope: ScanScope; tags: ReadonlyMap<string, StoredTags["tags"]> }[] = [];
  return {
    async store(scan, scope, tags) {
      kept.push({ scan, scope, tags });
    },
    async scans(account, since) {
      return kept
        .filter(({ scan, scope }) => scope.account === account && scan.timestamp >= since)
        .map(({ scan, scope: { account: _, ...scope } }) => ({ ...scan, scope }));
    },
    async lastTags(account, arns, since) {
      const found = new Map<string, StoredTags>();
      for (const { scan, scope, tags } of kept) {
        if (scope.account !== account || scan.timestamp < since) continue;
        for (const arn of arns) {
          const held = tags.get(arn);
          if (held) found.set(arn, { timestamp: scan.timestamp, tags: held });
        }
      }
      return found;
    },
  };
}
