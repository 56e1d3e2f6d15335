// An outcome that the record could not take, signed by the store: the caller carries it until a process can store it.

import type { Change } from "../core/change.js";
import { OpsError } from "../core/errors.js";
import { canonicalJson, digest, type Json, type JsonObject, sha256 } from "../core/json.js";
import type { GateDeps } from "./deps.js";

/** What is known of one operation. Contents stand in it as digests: what live shows then is compared with them. */
export interface OutcomeRecord {
  readonly v: 1;
  readonly store: string;
  readonly changeId: string;
  readonly operationId: string;
  readonly at: string;
  /** `submitted`: AWS took the call and was still at work. */
  readonly outcome: "submitted" | "succeeded" | "failed";
  readonly requestToken?: string;
  readonly error?: { readonly code: string; readonly message: string; readonly awsCode?: string };
  readonly nothingWasChanged?: boolean;
  readonly notProven?: string;
  /** Resources of the operation's step as read back; `after` is the digest of the content, null where it was gone. */
  readonly results: readonly { readonly id: string; readonly after: string | null }[];
}

const MOST_MESSAGE = 300;
const PURPOSE = "unrecorded outcome";

/** The answer's part about an outcome that could not be stored, or null where nothing is known of it. */
export async function signedOutcome(deps: GateDeps, change: Change, operationId: string): Promise<JsonObject | null> {
  const events = deps.unrecorded.get(operationId);
  if (!events) return null;
  let record: OutcomeRecord = {
    v: 1,
    store: (await deps.store.state()).store,
    changeId: change.id,
    operationId,
    at: deps.clock.now().toISOString(),
    outcome: "submitted",
    results: [],
  };
  for (const event of events) {
    if (event.type === "op.submitted" && event.requestToken) record = { ...record, requestToken: event.requestToken };
    if (event.type !== "op.succeeded" && event.type !== "op.failed") continue;
    const results = (event.results ?? []).map(({ ref, after }) => ({ id: ref.id, after: after && digest(after) }));
    record = { ...record, outcome: event.type === "op.succeeded" ? "succeeded" : "failed", results };
    if (event.type === "op.succeeded" && event.notProven !== undefined)
      record = { ...record, notProven: event.notProven };
    if (event.type !== "op.failed") continue;
    const { nothingWasChanged, error } = event;
    record = { ...record, nothingWasChanged, error: { ...error, message: error.message.slice(0, MOST_MESSAGE) } };
  }
  if (record.outcome === "submitted" && !record.requestToken) return null;
  const body = canonicalJson(record);
  const mac = await deps.store.sign({ purpose: PURPOSE, record } as unknown as Json);
  return {
    operationId,
    changeId: change.id,
    at: record.at,
    outcome: record.outcome,
    resources: record.results.map(({ id }) => id),
    recordWith: { tool: "changes.resolve", arguments: { changeId: change.id } },
    record: `${Buffer.from(body).toString("base64url")}.${mac}`,
  };
}

/** @throws OpsError validation_error for what this store did not sign, to the letter */
export async function openRecord(deps: GateDeps, text: string): Promise<OutcomeRecord> {
  const foreign = new OpsError(
    "validation_error",
    "This is no outcome that this state store signed, or a character of it was lost. Nothing was recorded. Give `record` exactly as it stood in `unrecordedOutcome`.",
    { field: "record" },
  );
  const [body = "", mac = ""] = text.trim().split(".");
  let record: OutcomeRecord;
  try {
    record = JSON.parse(Buffer.from(body, "base64url").toString("utf8")) as OutcomeRecord;
  } catch {
    throw foreign;
  }
  const expected = await deps.store.sign({ purpose: PURPOSE, record } as unknown as Json).catch((error: unknown) => {
    if (error instanceof TypeError) throw foreign;
    throw error;
  });
  // Digests are compared, so that how much of a guess is right shows nowhere.
  if (sha256(mac) !== sha256(expected) || record.v !== 1) throw foreign;
  return record;
}
