// Outcome → MCP content: the same object as structured content and as JSON text, redacted, cleaned and bounded. Pure.

import { sanitised, withoutSecrets } from "../policies/sanitise.js";
import type { Outcome } from "./core/call.js";
import { CODES, type OpsError } from "./core/errors.js";
import { isObject, type Json, type JsonObject, looksSecret, redact } from "./core/json.js";
import { bounded, boundedName, nameWithin } from "./core/shown.js";

export interface ToolResult {
  content: Array<{ type: "text"; text: string }>;
  structuredContent: Record<string, unknown>;
  isError?: boolean;
  _meta?: Record<string, unknown>;
}

export interface Frame {
  readonly at: Date;
  readonly sandbox: boolean;
  /** Why the store takes no commit, if it does not: said in every answer. */
  readonly storeProblem: OpsError | null;
  /** Writes a canonical tool name in the spelling in force. */
  spell(tool: string): string;
}

/** Where an answer's `_meta` names the call, as the audit log and the log lines do. */
export const CORRELATION = "aws-devops-mcp/correlationId";

/** The answer a client sees. What is stale stands first, then when and where, then the data. */
export function render(outcome: Outcome, frame: Frame): ToolResult {
  const envelope = {
    ...(outcome.staleNotices && outcome.staleNotices.length > 0
      ? { staleNotices: outcome.staleNotices.map((notice) => ({ ...notice, what: spelledName(notice.what, frame) })) }
      : {}),
    ...(outcome.parked ? { parked: outcome.parked.map((notice) => ({ ...notice })) } : {}),
    asOf: frame.at.toISOString(),
    ...(outcome.account ? { account: outcome.account } : {}),
    ...(outcome.accountAlias ? { accountAlias: outcome.accountAlias } : {}),
    ...(outcome.region ? { region: outcome.region } : {}),
    ...(frame.sandbox ? { sandbox: true } : {}),
    ...(outcome.budget ? { budget: outcome.budget } : {}),
    ...(frame.storeProblem
      ? { stateProblem: { code: frame.storeProblem.code, message: frame.storeProblem.message } }
      : {}),
  };
  const isError = outcome.status === "refused" || outcome.status === "failed";
  const body = isError ? errorBody(outcome, outcome.status === "failed" ? outcome.applied : "no") : outcome.data;
  const data = present(spelled({ ...envelope, ...body } as JsonObject, frame)) as Record<string, unknown>;
  return {
    content: [{ type: "text", text: JSON.stringify(data) }],
    structuredContent: data,
    ...(isError ? { isError: true } : {}),
    ...(outcome.correlationId ? { _meta: { [CORRELATION]: outcome.correlationId } } : {}),
  };
}

function errorBody(
  { error, correlationId }: Extract<Outcome, { error: OpsError }>,
  applied: "no" | "maybe",
): JsonObject {
  return {
    code: error.code,
    message: withoutSecrets(error.message),
    ...(correlationId ? { correlationId } : {}),
    ...(error.field ? { field: error.field } : {}),
    nothingWasChanged: applied === "no" ? true : "unknown",
    retriable: CODES[error.code].retriable,
    fixableBy: CODES[error.code].fixableBy,
    next: error.next as unknown as Json,
    ...(error.details as JsonObject),
    // What AWS says of a failure nobody asked for.
    ...(typeof error.details.awsMessage === "string" ? { awsMessage: sanitised(error.details.awsMessage) } : {}),
  };
}

/** A notice is about a resource, by its key, or about a read, by its tool. */
const spelledName = (what: string, frame: Frame): string => (what.includes("/") ? what : frame.spell(what));

/** Every call an answer proposes, in the spelling in force. */
function spelled(value: Json, frame: Frame): Json {
  if (Array.isArray(value)) return value.map((item) => spelled(item, frame));
  if (!isObject(value)) return value;
  const isCall = typeof value.tool === "string" && isObject(value.arguments);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([key, member]) => [key, isCall && key === "tool" ? frame.spell(String(member)) : spelled(member, frame)]),
  );
}

/** Redacted by name, then cleaned of characters that hide or reorder text, then bounded. */
export function present(value: unknown): Json {
  return clean(
    redact(value, (_, name) => looksSecret(name)),
    "",
  );
}

// Control and format characters (bidirectional, zero-width, tag characters): text from AWS may use them to hide
// instructions from a human. Line breaks and tabs stay.
const HIDING = /(?![\n\t])[\p{Cc}\p{Cf}]/gu;

function clean(value: Json, key: string): Json {
  if (typeof value === "string") {
    return bounded(value.replace(HIDING, ""), key);
  }
  if (Array.isArray(value)) return value.map((item) => clean(item, key));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      boundedName(name.replace(HIDING, "")),
      clean(member, nameWithin(key, name)),
    ]),
  );
}
