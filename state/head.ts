// How far the chain went, said beside it: a lower bound that costs no sync, so that commits taken off its end are missed.

import type { State } from "../src/core/change.js";
import { canonicalJson, isObject, sha256 } from "../src/core/json.js";
import { textOf } from "./events.js";

/** Written over in place after each durable commit. A power cut may take or tear it: then it says nothing. */
export const HEAD = "head";

/** Longer than any, so that one written over another leaves nothing of it. */
const BYTES = 512;

export interface Head {
  readonly store: string;
  readonly seq: number;
  /** The commit's hash. */
  readonly head: string;
}

export interface MissedCommit {
  readonly seq: number;
  /** The last number that is known to have been taken. */
  readonly upTo: number;
  readonly because: string;
}

const sumOf = ({ store, seq, head }: Head): string => sha256(canonicalJson({ store, seq, head }));

/** What stands in the file once the state's newest commit is durable. */
export function headBytes({ store, seq, head }: Pick<State, "store" | "seq" | "head">): Uint8Array {
  const text = canonicalJson({ head, seq, store, sum: sumOf({ store, seq, head }) });
  return new TextEncoder().encode(`${text.padEnd(BYTES - 1)}\n`);
}

/** What is known of the chain and not in it: `seq` is the first number that does not hold. Null: nothing is missed. */
export function missed(known: Head | null, end: Pick<State, "store" | "seq" | "head">): MissedCommit | null {
  if (known?.store !== end.store) return null;
  if (known.seq > end.seq) return { seq: end.seq + 1, upTo: known.seq, because: "the file is missing" };
  if (known.seq < end.seq || known.head === end.head) return null;
  return { seq: end.seq, upTo: end.seq, because: "another one was recorded under this number" };
}

/** Null where the bytes are not whole: then nothing is known, and nothing is wrong. */
export function readHead(bytes: Uint8Array | undefined): Head | null {
  try {
    const found: unknown = JSON.parse(textOf(bytes ?? new Uint8Array()) ?? "");
    if (!isObject(found)) return null;
    const { store, seq, head, sum } = found;
    if (typeof store !== "string" || typeof seq !== "number" || typeof head !== "string") return null;
    return sum === sumOf({ store, seq, head }) ? { store, seq, head } : null;
  } catch {
    return null;
  }
}
