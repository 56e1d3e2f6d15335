// Audit: what was called through this server and through the others on the same log.

import { z } from "zod";
import { OpsError } from "../src/core/errors.js";
import { domain, store } from "../src/core/tool.js";

const query = store({
  title: "Look into the audit log",
  description:
    "Calls of this and other servers on the same log, newest first: tool, redacted parameters, status, error, duration, session, correlation id. `_meta` of an answer and errors name theirs. What a change did is in state.history.",
  foreignText: true,
  input: z.object({
    tool: z.string().min(1).max(128).optional().describe("Canonical name, as securityGroups.get"),
    status: z.enum(["success", "failure", "started"]).optional().describe("started: begun, with no end on record"),
    correlationId: z.uuid().optional(),
    since: z.string().max(40).optional().describe("ISO 8601 UTC"),
    limit: z.number().int().min(1).max(500).default(100),
  }),
  output: z.object({ count: z.number(), notShown: z.number(), calls: z.array(z.record(z.string(), z.unknown())) }),
  async run({ tool, since, limit, ...filter }, { audit }) {
    if (!audit)
      throw new OpsError(
        "unsupported",
        "This server keeps no audit log. The operator gives it one with --audit-db FILE.",
      );
    const from = since === undefined ? undefined : Date.parse(since);
    if (Number.isNaN(from)) {
      throw new OpsError("validation_error", "since: must be a time such as 2026-11-27T10:00:00Z.", { field: "since" });
    }
    const { total, rows } = await audit.query({
      ...filter,
      // As the wire spells it, too.
      ...(tool !== undefined && { tool: tool.includes(".") ? tool : tool.replace("_", ".") }),
      limit,
      ...(from !== undefined && { since: new Date(from).toISOString() }),
    });
    return { data: { count: rows.length, notShown: total - rows.length, calls: [...rows] } };
  },
});

export const audit = domain("audit", { query }, []);
