// What tag tools hold beside AWS: the operator's policy files, scan limits and stored scans.

import type { Json, JsonObject } from "./json.js";
import type { Tags } from "./tags.js";

/** Where a policy came from, and the value of its file. */
export interface PolicySource {
  readonly source: "existing_file" | "aws_organizations" | "default" | "none";
  readonly success: boolean;
  readonly message: string;
  readonly policy_path: string | null;
  readonly aws_policy_id: string | null;
  /** Absent where there is no policy, or its file is no JSON. */
  readonly value?: Json;
}

/** The operator's files. What they replace is kept beside them. */
export interface TaggingFiles {
  /** Looked up anew at every call; where there is none, `fallback` is written if the operator lets it. */
  policy(fallback: () => JsonObject): Promise<PolicySource>;
  writePolicy(value: JsonObject, path?: string): Promise<{ readonly path: string; readonly kept?: string }>;
  exceptions(): Promise<{ readonly path: string; readonly list: readonly Json[] }>;
  writeExceptions(list: readonly JsonObject[]): Promise<{ readonly path: string; readonly kept?: string }>;
}

/** What a stored scan covered: only scans of one scope are compared. */
export interface ScanScope {
  readonly account: string;
  readonly types: readonly string[];
  readonly regions: readonly string[];
  readonly policyHash: string;
}

export interface StoredScan {
  readonly timestamp: string;
  readonly compliance_score: number;
  readonly total_resources: number;
  readonly compliant_resources: number;
  readonly violation_count: number;
}

export interface StoredTags {
  readonly timestamp: string;
  readonly tags: Tags;
}

/** Scans over time, in a database that several servers share. */
export interface ScanHistory {
  store(scan: StoredScan, scope: ScanScope, tags: ReadonlyMap<string, Tags>): Promise<void>;
  /** Scans since a time, oldest first, with the scope of each; absent for scans stored without one. */
  scans(
    account: string,
    since: string,
  ): Promise<readonly (StoredScan & { readonly scope?: Omit<ScanScope, "account"> })[]>;
  /** The last stored tags of each of these resources since a time. */
  lastTags(account: string, arns: readonly string[], since: string): Promise<ReadonlyMap<string, StoredTags>>;
}

export interface TaggingPorts {
  readonly files: TaggingFiles;
  readonly history: ScanHistory;
  /** Empty: all that are enabled. */
  readonly allowedRegions: readonly string[];
  readonly regionsAtOnce: number;
  readonly regionTimeoutMs: number;
}
