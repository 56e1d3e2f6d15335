// Where stored secrets belong and whether one is stored. Pure.

import type { Envelope } from "../src/core/change.js";
import { escapePointer, isObject, isSecretMark, type Json, pointerSegments } from "../src/core/json.js";

/** A pointer whose list positions are `*`: elements move, and the fingerprint says which value it was. */
export const placeOf = (path: string): string =>
  pointerSegments(path)
    .map((segment) => `/${/^(\d+|-)$/.test(segment) ? "*" : escapePointer(segment)}`)
    .join("");

/** The stored envelope of a fingerprint at a path. */
export function envelopeAt(
  envelopes: readonly Envelope[] | undefined,
  path: string,
  print: string,
): Envelope | undefined {
  const place = placeOf(path);
  return envelopes?.find((one) => one.path === place && one.print === print);
}

/** Pointers of the fingerprints in a value that stands at a path, of which no value is stored. */
export function notStored(envelopes: readonly Envelope[] | undefined, value: Json | undefined, path: string): string[] {
  if (isSecretMark(value)) return envelopeAt(envelopes, path, value.$secret) ? [] : [path];
  if (Array.isArray(value)) return value.flatMap((item, index) => notStored(envelopes, item, `${path}/${index}`));
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, member]) =>
    notStored(envelopes, member, `${path}/${escapePointer(key)}`),
  );
}
