// Page cursors: opaque, bound to the question they continue, gone after an hour.

import { OpsError } from "./errors.js";
import { digest } from "./json.js";

const LIFETIME_MS = 3_600_000;

/** The cursor for AWS's next page of this question. */
export const encodeCursor = (next: string, question: unknown, now: Date): string =>
  Buffer.from(JSON.stringify([next, digest(question).slice(0, 16), now.getTime()])).toString("base64url");

/** @throws OpsError invalid_cursor for a cursor of another question, account or region, or older than an hour. */
export function decodeCursor(cursor: string, question: unknown, now: Date): string {
  try {
    const [next, asked, at]: unknown[] = JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
    const fresh = typeof at === "number" && now.getTime() - at < LIFETIME_MS;
    if (typeof next === "string" && asked === digest(question).slice(0, 16) && fresh) return next;
  } catch {}
  throw new OpsError(
    "invalid_cursor",
    "This cursor does not continue this question here, or is older than an hour. Ask again without a cursor.",
    { field: "cursor" },
  );
}
