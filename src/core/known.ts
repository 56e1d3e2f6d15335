// What could be read, or why it could not: for facts that stand beside an answer and must not take it down with them.

import { type ErrorCode, OpsError } from "./errors.js";

export type Known<T> =
  | { readonly known: true; readonly value: T }
  /** Not known is not none: whoever shows it says so. */
  | { readonly known: false; readonly because: ErrorCode; readonly action?: string };

/** Failures that say nothing of AWS: they are of the whole call. */
const OF_THE_CALL = /^(credentials_|internal$|validation_error$|invalid_cursor$)/;

/** @example const groups = await asKnown(() => readGroups(api)); groups.known ? groups.value : groups.because */
export async function asKnown<T>(read: () => Promise<T>): Promise<Known<T>> {
  try {
    return { known: true, value: await read() };
  } catch (error) {
    if (!(error instanceof OpsError) || OF_THE_CALL.test(error.code)) throw error;
    const { action } = error.details;
    return { known: false, because: error.code, ...(typeof action === "string" ? { action } : {}) };
  }
}

/** A fact that could not be read, as an answer shows it. */
export interface Unknown {
  readonly what: string;
  readonly code: ErrorCode;
  /** The permission that is missing, where AWS names it. */
  readonly action?: string;
}

export const unknownOf = (what: string, { because, action }: Known<unknown> & { readonly known: false }): Unknown => ({
  what,
  code: because,
  ...(action === undefined ? {} : { action }),
});
