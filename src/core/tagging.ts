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

/** Tag policies of AWS Organizations; `null`: AWS says that there is none. */
export interface TagPolicyReads {
  /** What is in force for the account, as its document. */
  effective(): Promise<Json | null>;
  list(): Promise<readonly { readonly id: string; readonly name: string; readonly description: string }[]>;
  get(id: string): Promise<{ readonly id: string; readonly name: string; readonly content: Json } | null>;
}

/** A policy for where there is no file, or why there is none from elsewhere. */
export type MadePolicy =
  | { readonly value: JsonObject; readonly policyId: string }
  /** `forNow`: asking again may tell otherwise, so nothing is written. */
  | { readonly because: string; readonly forNow: boolean };

/** The operator's files. What they replace is kept beside them. */
export interface TaggingFiles {
  /** Looked up anew at every call; where there is none, what `imported` brings is kept, else `fallback` if the operator lets it. */
  policy(imported: () => Promise<MadePolicy>, fallback: () => JsonObject): Promise<PolicySource>;
  /**
   * @param name another file of the policy's folder; `inForce` is whether it is the one that is judged by
   * @throws OpsError validation_error for a place outside of it
   */
  writePolicy(
    value: JsonObject,
    name?: string,
  ): Promise<{ readonly path: string; readonly kept?: string; readonly inForce: boolean }>;
  /** The file of resource types; `value` is null where there is none, `path` then what was looked for by name. */
  resourceTypes(): Promise<{ readonly path: string | null; readonly value: Json }>;
  exceptions(): Promise<{ readonly path: string; readonly list: readonly Json[] }>;
  /** One change at a time, each made to the list as it is then: what another call has added is never lost. */
  changeExceptions(
    change: (list: readonly Json[], path: string) => readonly JsonObject[],
  ): Promise<{ readonly path: string; readonly kept?: string }>;
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

/** What became of a scheduled audit. */
export interface AuditRun {
  readonly at: string;
  /** `partial`: not everything could be read, so nothing was stored. */
  readonly status: "completed" | "partial" | "failed";
  /** How late it was begun: the server was not there when it was due. */
  readonly late_seconds: number;
  readonly account?: string;
  readonly compliance_score?: number;
  readonly total_resources?: number;
  readonly violation_count?: number;
  /** Of a failure its code, of a partial scan why it was not stored. */
  readonly error?: string;
}

/** An audit that is to be run by itself. Everything of it is the user's, who asked for it, or the operator's. */
export interface AuditSchedule {
  readonly id: string;
  /** `operator`: the daily snapshot of the configuration, which only servers so configured run. */
  readonly origin: "caller" | "operator";
  readonly rhythm: "daily" | "weekly" | "monthly";
  readonly time: string;
  readonly timezone: string;
  readonly resourceTypes: readonly string[];
  readonly recipients: readonly string[];
  readonly notificationFormat: "email" | "slack" | "both";
  /** What is scanned; absent: the account of whoever runs it. */
  readonly account?: string;
  /** The listed account whose credentials are used; absent: the server's own. */
  readonly via?: string;
  readonly region?: string;
  readonly createdBy: string;
  readonly createdAt: string;
  readonly nextRun: string;
  readonly runCount: number;
  /** How often it was tried since it was due. */
  readonly attempts: number;
  readonly lastRun?: AuditRun;
  /** Until when a process is taken to be at it. */
  readonly runningUntil?: string;
}

/** Schedules of audits, in the database that several servers share: each run is one server's. */
export interface AuditSchedules {
  /** False: there are none, and nothing was opened to see it. */
  present(): boolean;
  all(): Promise<readonly AuditSchedule[]>;
  put(schedule: AuditSchedule): Promise<void>;
  /** False: there was none of this id. */
  remove(id: string): Promise<boolean>;
  /** Takes a due run for one process. False: it was taken, done or moved meanwhile. */
  claim(id: string, dueAt: string, by: string, now: string, until: string): Promise<boolean>;
  /** Ends a claimed run, or gives it back where nothing is said to have become of it. What somebody else took over stays theirs. */
  finish(id: string, by: string, change: Partial<AuditSchedule>): Promise<void>;
}

export interface TaggingPorts {
  readonly files: TaggingFiles;
  readonly history: ScanHistory;
  readonly schedules: AuditSchedules;
  /** The id of the operator's daily snapshot; null: none was asked for. */
  readonly dailySnapshot: string | null;
  /** Whether a policy is taken from AWS Organizations where there is no file, and which one where not the one in force. */
  readonly autoImport: { readonly policyId?: string } | null;
  /** Empty: all that are enabled. */
  readonly allowedRegions: readonly string[];
  readonly regionsAtOnce: number;
  readonly regionTimeoutMs: number;
}
