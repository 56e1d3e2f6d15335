// The contract between the store and what it is kept on. A few verbs; everything the store promises rests on `putIfAbsent`.

import type { OpsError } from "../src/core/errors.js";

/** What a key holds, and a tag that changes whenever the bytes do. */
export interface Stored {
  readonly bytes: Uint8Array;
  readonly etag: string;
}

/**
 * What every driver guarantees, also when several processes use the same location at once:
 *
 * - A key is a relative path of `/`-separated names. A missing key is `null`, and only a key that is known to be missing
 *   is: a medium that cannot say throws. A key that exists and is empty is zero bytes, never `null`.
 * - A key is visible with all its bytes or not at all, unless the driver cannot do better and says so (`file` without
 *   hard links): readers therefore verify what they read and wait for a last commit that is still being written.
 * - Whatever a resolved write promised survives a power cut where `durable` is true.
 * - A conflict is a value. Everything else throws an OpsError that names the driver, with the cause attached.
 * - Nothing is created before the first write: looking at a location leaves no trace in it.
 */
export interface StateDriver {
  readonly name: string;
  /** Where the store is, in words an operator can use. */
  readonly location: string;
  /** False: the store ends with the process, so it may never stand behind a change of real AWS. */
  readonly durable: boolean;

  get(key: string): Promise<Stored | null>;

  /**
   * Creates the key unless it exists. Of any number of racing callers exactly one gets `created`, and it gets it only
   * once the bytes are durable. This verb is the commit: the conflict detector and the fence in one.
   * After a throw the key may or may not exist: compare what is there with what was written.
   */
  putIfAbsent(key: string, bytes: Uint8Array): Promise<"created" | "exists">;

  /**
   * Replaces the key if it still has this etag (`null`: if it does not exist). For documents that can be made again
   * (the checkpoint): a driver may let a simultaneous writer win silently, but a reader always finds one whole document.
   * `keepPrevious` leaves the replaced bytes under `<key>.prev`.
   */
  putIfMatch(
    key: string,
    bytes: Uint8Array,
    etag: string | null,
    keepPrevious?: boolean,
  ): Promise<{ readonly etag: string } | "conflict">;

  /**
   * Leaves the bytes under the key for whoever can use them: not durable, perhaps torn by a power cut or mixed with what
   * another process leaves there. Never throws.
   */
  hint(key: string, bytes: Uint8Array): Promise<void>;

  /**
   * Makes what was read so far durable: the process that wrote it may have been killed before it could, and what is told of
   * it must survive a power cut. Changes no byte.
   */
  settle(): Promise<void>;

  /** Takes keys away, durably; a key that is missing already is no error. Never a commit the archive does not hold. */
  remove(keys: readonly string[]): Promise<void>;

  /** The keys that start with the prefix, sorted. A prefix ends in `/`. */
  list(prefix: string): Promise<readonly string[]>;

  /** Whether a commit after number `seq` exists. One cheap look, no listing. */
  probeNext(seq: number): Promise<boolean>;

  /** What is wrong with the location as a whole (not a folder, open to other users, a part is gone), or null. */
  inspect(): Promise<OpsError | null>;

  /** Whether a write could succeed now, found out without writing: null, or `state_read_only` naming what to do. */
  probeWritable(): Promise<OpsError | null>;

  /** Sets space aside for outcomes, if it is not and there is plenty; whether it is now. Never throws: it is a precaution. */
  keepReserve(): Promise<boolean>;

  /** Gives the space set aside back to the medium. False: there was none. */
  spendReserve(): Promise<boolean>;

  close(): Promise<void>;
}

const DIGITS = 12;

/** The key of a commit. Twelve digits, so that names sort as numbers do. */
export const journalKey = (seq: number): string => `journal/${String(seq).padStart(DIGITS, "0")}.json`;

/** The number of a commit's key, or null where the key is no commit. */
export function seqOfKey(key: string): number | null {
  const match = /^journal\/(\d{12,})\.json$/.exec(key);
  return match ? Number(match[1]) : null;
}
