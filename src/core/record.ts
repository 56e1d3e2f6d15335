// The record as its own tools see it: doors to look, to copy and to prove, and none to mend.

import type { OpsError } from "./errors.js";
import type { Audit, Hear, Mode, Runs } from "./ports.js";

/** Tools about the record itself hold its doors and nothing of AWS, so they answer without credentials. */
export interface StorePorts {
  readonly record: RecordDoors;
  /** Null where no log is kept. */
  readonly audit: Pick<Audit, "query"> | null;
  /** Calls that were handed over. */
  readonly runs: Runs;
  readonly progress: Hear;
  readonly now: Date;
  readonly mode: Mode;
}

/** Looking at the record and copying it. What ends damage, takes an edit over or breaks a lock is not here: a human does that. */
export interface RecordDoors {
  /** Writes state.json now. */
  save(): Promise<{ readonly seq: number; readonly head: string }>;
  /** Reads the store again from disk. `news`: what was committed since this session last asked, oldest first. */
  load(): Promise<RecordNews>;
  /** Walks the whole chain; `readOnly` is why nothing may be committed now, or null. */
  verify(): Promise<{ readonly report: VerifyReport; readonly readOnly: OpsError | null }>;
  /** The whole record as one document: in a new file beside it, or as text where the record has no folder. */
  export(): Promise<ExportedRecord>;
}

export interface RecordNews {
  readonly seq: number;
  readonly head: string;
  readonly resources: number;
  readonly readOnly: OpsError | null;
  readonly committed: number;
  /** The newest of them, oldest first. */
  readonly news: readonly {
    readonly seq: number;
    readonly at: string;
    readonly user: string;
    readonly host: string;
    readonly client: string;
    /** This session wrote it. */
    readonly own: boolean;
    readonly events: readonly string[];
  }[];
}

/** A document of the whole state: a state.json that leaves nothing out, and readable as one. */
export interface Export {
  readonly text: string;
  readonly bytes: number;
  readonly sha256: string;
  /** The commit it goes up to, and that commit's hash. */
  readonly seq: number;
  readonly head: string;
  readonly resources: number;
  readonly lineageEntries: number;
  readonly changes: number;
  readonly operations: number;
}

export interface ExportedRecord extends Export {
  /** The file, absolute; null where the record ends with this process. */
  readonly path: string | null;
  /** Why it is not everything: it ends before the damage. */
  readonly readOnly: OpsError | null;
}

/** What walking a store from its first commit to its last found. */
export interface VerifyReport {
  readonly ok: boolean;
  readonly store: string;
  /** How many commits were verified, from the first on. */
  readonly commits: number;
  readonly head: string;
  readonly firstBad: { readonly seq: number; readonly because: string } | null;
  readonly checkpoint: { readonly ok: boolean; readonly appliedSeq: number | null; readonly because?: string };
  /** Segments that are whole, and the first one that is not: another one may hold the same commits. */
  readonly archive: {
    readonly ok: boolean;
    readonly segments: number;
    readonly floor: number;
    readonly because?: string;
  };
  /** What a process that opens the store now says. */
  readonly opens: { readonly ok: boolean; readonly because?: string };
  /** Where the head is also written down outside the folder; without one, a rewrite of the whole chain cannot be seen. */
  readonly anchored: readonly string[];
}
