// `aws-devops-mcp audit`: the log as an operator reads it, and the end of rows that are too old.

import { livenessOn, thisOwner } from "../state/drivers/host.js";
import { purgeBefore, query, refusals } from "./audit.js";
import { type CommandOptions, type Config, ConfigError } from "./config.js";
import type { JsonObject } from "./core/json.js";
import type { AuditFilter } from "./core/ports.js";
import { auditDatabase, type Host } from "./serve.js";

const HELP = `aws-devops-mcp audit: what was called through this server, newest first

Usage: aws-devops-mcp audit [--tool NAME] [--status success|failure|started] [--correlation ID] [--since TIME] [--limit NUMBER] [--json]
       aws-devops-mcp audit security [--since TIME] [--json]
       aws-devops-mcp audit purge DAYS

TIME is ISO 8601, or how long ago: 90m, 2h, 7d. started: begun, with no end on record.
security: what the guardrails refused, counted by class and kind of attack.
--audit-db FILE and --data DIR say where the log is, as for the server.
`;

const STATUSES = ["success", "failure", "started"] as const;
const DEFAULT_LIMIT = 100;

interface Given {
  readonly words: readonly string[];
  readonly options: CommandOptions;
  readonly help: boolean;
  readonly json: boolean;
}

export async function auditCommand(
  config: Config,
  { words, options, help, json }: Given,
  host: Host & { write(text: string): void },
): Promise<number> {
  if (help) {
    host.write(HELP);
    return 0;
  }
  const { out, reason, dryRun, ...filter } = options;
  const foreign = Object.entries({ out, reason, "dry-run": dryRun }).find(([, value]) => value !== undefined);
  if (foreign) throw new ConfigError(`--${foreign[0]} is an option of the state command`);
  const runtime = { host: host.host, pid: host.pid, session: host.ids.uuid(), pidExists: host.pidExists };
  const db = auditDatabase(config, host, { owner: thisOwner(runtime), liveness: livenessOn(runtime) });
  if (!db)
    throw new ConfigError("no audit log is kept in the sandbox, or with --audit-db off; name one with --audit-db FILE");
  try {
    const [verb, days, ...more] = words;
    const known = verb === "purge" ? more.length === 0 : verb === "security" ? days === undefined : verb === undefined;
    if (!known) throw new ConfigError(HELP);
    if (verb === "security") {
      const { since, ...others } = filter;
      if (Object.values(others).some((one) => one !== undefined))
        throw new ConfigError("audit security takes --since and --json");
      const found = await refusals(db, since === undefined ? undefined : timeOf(since, host.clock.now()));
      host.write(json ? `${JSON.stringify({ refusals: found }, null, 2)}\n` : securityText(found));
      return 0;
    }
    if (verb === "purge") {
      if (!/^\d{1,4}$/.test(days ?? "")) throw new ConfigError("audit purge takes a number of days: audit purge 90");
      const before = new Date(host.clock.now().getTime() - Number(days) * 86_400_000);
      const gone = await db.transaction((tx) => purgeBefore(tx, before));
      host.write(
        json ? `${JSON.stringify({ purged: gone, before: before.toISOString() })}\n` : `${gone} rows are gone.\n`,
      );
      return 0;
    }
    const { total, rows } = await query(db, filterOf(filter, host.clock.now()));
    if (json)
      host.write(`${JSON.stringify({ count: rows.length, notShown: total - rows.length, calls: rows }, null, 2)}\n`);
    else
      host.write(
        rows.length === 0
          ? "No such call is on record.\n"
          : `${rows.map(line).join("\n")}\n${rest(total - rows.length)}`,
      );
    return 0;
  } finally {
    await db.close();
  }
}

function filterOf(
  { tool, status, correlation, since, limit = String(DEFAULT_LIMIT) }: CommandOptions,
  now: Date,
): AuditFilter {
  if (status !== undefined && !(STATUSES as readonly string[]).includes(status))
    throw new ConfigError(`--status must be one of ${STATUSES.join(", ")}`);
  if (!/^[1-9]\d{0,5}$/.test(limit)) throw new ConfigError("--limit must be a number from 1 on");
  return {
    ...(tool !== undefined && { tool: tool.includes(".") ? tool : tool.replace("_", ".") }),
    ...(status !== undefined && { status: status as (typeof STATUSES)[number] }),
    ...(correlation !== undefined && { correlationId: correlation }),
    ...(since !== undefined && { since: timeOf(since, now) }),
    limit: Number(limit),
  };
}

const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

function timeOf(text: string, now: Date): string {
  const [, count, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const at = count && unit ? now.getTime() - Number(count) * UNITS[unit]! : Date.parse(text);
  if (Number.isNaN(at)) throw new ConfigError("--since must be a time such as 2026-11-27T10:00:00Z, or 90m, 2h, 7d");
  return new Date(at).toISOString();
}

function securityText(found: readonly JsonObject[]): string {
  if (found.length === 0) return "The guardrails refused nothing.\n";
  const lines = found.map(({ class: name, kind, count, sessions, last }) =>
    [String(count).padStart(6), kind === undefined ? name : `${name} (${kind})`, `${sessions} sessions`, `last ${last}`]
      .map(plain)
      .join("  "),
  );
  return `${lines.join("\n")}\n`;
}

// Names and texts of others may hide characters that a terminal obeys.
const plain = (value: unknown): string => String(value ?? "").replace(/\p{Cc}|\p{Cf}/gu, "?");

function line(row: JsonObject): string {
  const { timestamp, status, tool_name, execution_time_ms, error_message, correlation_id, parameters } = row;
  const what = [
    timestamp,
    String(status).padEnd(7),
    tool_name,
    execution_time_ms === undefined ? "" : `${execution_time_ms} ms`,
  ];
  const said = error_message === undefined ? JSON.stringify(parameters) : error_message;
  return [...what, correlation_id, said].map(plain).filter(Boolean).join("  ");
}

const rest = (more: number): string => (more > 0 ? `${more} more; --limit shows them.\n` : "");
