// Archive segments: merged commits, immutable, each line still the exact bytes of its commit. Pure; compact.ts writes them.

import { canonicalJson, isObject, sha256 } from "../src/core/json.js";
import { type ChainEnd, decodeCommit, textOf } from "./events.js";

const FORMAT = 1;
const DIGITS = 12;
const padded = (seq: number): string => String(seq).padStart(DIGITS, "0");

export const ARCHIVE = "archive/";
export const FLOOR = "floor/";

/** The commits a segment holds, both ends included. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

export const archiveKey = ({ from, to }: Range): string => `${ARCHIVE}${padded(from)}-${padded(to)}.jsonl`;

/** What a segment's key says it holds, or null where the key is no segment. */
export function rangeOfKey(key: string): Range | null {
  const match = /^archive\/(\d{12,})-(\d{12,})\.jsonl$/.exec(key);
  return match ? { from: Number(match[1]), to: Number(match[2]) } : null;
}

/** The marker that numbers up to this one are read from the archive only, for ever. */
export const floorKey = (seq: number): string => FLOOR + padded(seq);

/** The highest floor among these keys; 0 where there is none. */
export const highestOf = (keys: readonly string[]): number =>
  keys.reduce((max, key) => Math.max(max, Number(/^floor\/(\d{12,})$/.exec(key)?.[1] ?? 0)), 0);

/** A segment that was verified on its own: whether it follows the chain is the chain's to say. */
export interface Segment extends Range {
  readonly store: string;
  /** sha256 of the commit before the first one. */
  readonly prev: string;
  /** sha256 of the last one. */
  readonly lastHash: string;
  /** The exact bytes of one of its commits. */
  commit(seq: number): Uint8Array;
}

const encoder = new TextEncoder();
const line = (value: unknown): Uint8Array => encoder.encode(`${canonicalJson(value)}\n`);

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * The bytes of a segment. They follow from the commits alone, so that two processes that archive the same range write
 * the same file.
 */
export function encodeSegment(start: ChainEnd, commits: readonly Uint8Array[]): Uint8Array {
  const header = line({
    format: FORMAT,
    from: start.seq + 1,
    prev: start.head,
    store: start.store,
    to: start.seq + commits.length,
  });
  const offsets: number[] = [];
  let at = header.length;
  for (const commit of commits) {
    offsets.push(at);
    at += commit.length;
  }
  const body = joined([header, ...commits]);
  const last = commits.at(-1);
  return joined([body, line({ last_hash: last ? sha256(last) : start.head, offsets, sum: sha256(body) })]);
}

const NEWLINE = 10;
const isSeq = (value: unknown): value is number => typeof value === "number" && Number.isSafeInteger(value);

/** The segment that these bytes are, or one sentence on why they are none. Every commit's checksum is left to the chain. */
export function decodeSegment(bytes: Uint8Array): Segment | string {
  if (bytes.length === 0) return "the segment is empty";
  const footerAt = bytes.lastIndexOf(NEWLINE, bytes.length - 2) + 1;
  if (bytes.at(-1) !== NEWLINE || footerAt === 0) return "the segment is not whole";
  const header = parsed(bytes.subarray(0, bytes.indexOf(NEWLINE)));
  const footer = parsed(bytes.subarray(footerAt));
  if (!header || !footer) return "the segment is not whole";
  if (header.format !== FORMAT) return "the segment is of a format that this version does not know";
  if (sha256(bytes.subarray(0, footerAt)) !== footer.sum) return "the segment's checksum does not match its content";
  const { from, to, store, prev } = header;
  const { offsets, last_hash: lastHash } = footer;
  const whole =
    isSeq(from) &&
    isSeq(to) &&
    typeof store === "string" &&
    typeof prev === "string" &&
    typeof lastHash === "string" &&
    Array.isArray(offsets) &&
    offsets.every(isSeq) &&
    offsets.length === to - from + 1;
  if (!whole) return "the segment's header and footer do not agree";
  const ends = [...(offsets as number[]).slice(1), footerAt];
  return {
    from,
    to,
    store,
    prev,
    lastHash,
    commit: (seq) => bytes.slice((offsets as number[])[seq - from], ends[seq - from]),
  };
}

function parsed(bytes: Uint8Array): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(textOf(bytes) ?? "");
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

/** The end of the chain after a segment's commits, or why they do not follow one another. */
export function walkSegment(segment: Segment): ChainEnd | string {
  let at: ChainEnd = { store: segment.store, seq: segment.from - 1, head: segment.prev };
  for (let seq = segment.from; seq <= segment.to; seq++) {
    const commit = decodeCommit(segment.commit(seq), at);
    if (typeof commit === "string") return `commit ${seq}: ${commit}`;
    at = { store: at.store, seq, head: commit.hash };
  }
  return at.head === segment.lastHash ? at : "the footer names another last commit";
}
