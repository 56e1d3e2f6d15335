// Text that others wrote in AWS is data: bounded, and without the characters that hide or reorder text.

/** Control, format (bidirectional marks, zero-width, tags), lone surrogates, variation selectors, line separators. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Variation_Selector}]/gu;

/**
 * A text from AWS, fit for a field of its own.
 * @example foreign("no\u202e such\nthing", 8) // "no such…"
 */
export function foreign(text: unknown, limit = 256): string {
  const clean = String(text ?? "")
    .replace(/\s+/g, " ")
    .replace(UNSEEN, "")
    .trim();
  return clean.length > limit ? `${clean.slice(0, limit - 1).replace(UNSEEN, "")}…` : clean;
}
