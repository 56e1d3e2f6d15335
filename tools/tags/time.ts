// Compliance over time: stored scans and their trend, and tags against the last stored ones.

import { z } from "zod";
import { historyOf, type Scan, tagDrift } from "../../policies/tagging/history.js";
import { requiredFor } from "../../policies/tagging/policy.js";
import { OpsError } from "../../src/core/errors.js";
import { digest, type Json } from "../../src/core/json.js";
import type { ReadPorts } from "../../src/core/ports.js";
import { read } from "../../src/core/tool.js";
import { storeSnapshot } from "./check.js";
import { ForceRefresh, ResourceTypes } from "./inputs.js";
import { heldExceptions, heldPolicy } from "./policy.js";
import { compliance, Quality, scan } from "./scan.js";
import { authored } from "./who.js";

const DAY_MS = 86_400_000;
const Days = z.number().int().min(1).max(90);
const since = ({ now }: Pick<ReadPorts, "now">, days: number): string =>
  new Date(now.getTime() - days * DAY_MS).toISOString();

/** The stored scans are a file of this machine: what ails it is said in words of ours. */
const unreadable = (cause: unknown): never => {
  if (cause instanceof OpsError) throw cause;
  throw new OpsError("state_unreadable", "The stored scans cannot be read. See --history-db-path.", { cause });
};

export const history = read({
  title: "Show compliance over time",
  description:
    "Stored scans (tags.check with store_snapshot) by day, week or month, with their trend. Scans of one scope are compared: that of the newest one; how many others there are is said.",
  scope: "region",
  foreignText: false,
  input: z.object({
    days_back: Days.default(30),
    group_by: z
      .string()
      .transform((text) => text.toLowerCase())
      .pipe(z.enum(["day", "week", "month"]))
      .default("day"),
  }),
  output: z.object({
    history: z.array(
      z.object({
        timestamp: z.string(),
        compliance_score: z.number(),
        total_resources: z.number(),
        compliant_resources: z.number(),
        violation_count: z.number(),
        scan_count: z.number(),
      }),
    ),
    group_by: z.string(),
    days_back: z.number(),
    trend_direction: z.string(),
    earliest_score: z.number(),
    latest_score: z.number(),
    trend_analysis: z.object({
      direction: z.string(),
      score_change: z.number(),
      score_change_percentage: z.number(),
    }),
    scope: z.object({ types: z.array(z.string()), regions: z.array(z.string()) }).optional(),
    scans_of_other_scopes: z.number(),
  }),
  async run({ days_back, group_by }, ports) {
    const all = await ports.tagging.history.scans(ports.aws.account, since(ports, days_back)).catch(unreadable);
    // Types and regions are sets: in whatever order they were named, it is the same scan.
    const keyOf = (scope: (typeof all)[number]["scope"]): string =>
      digest(scope ? { ...scope, types: [...scope.types].sort(), regions: [...scope.regions].sort() } : null);
    const newest = all.at(-1)?.scope;
    const alike: readonly Scan[] = all.filter(({ scope }) => keyOf(scope) === keyOf(newest));
    const found = historyOf(alike, group_by);
    return {
      data: {
        ...(found as unknown as { readonly [key: string]: Json }),
        group_by,
        days_back,
        ...(newest && { scope: { types: [...newest.types], regions: [...newest.regions] } }),
        scans_of_other_scopes: all.length - alike.length,
      },
    };
  },
});

export const drift = read({
  title: "Find drifted tags",
  description:
    "Tags that were added, removed or changed since they were last stored (tags.check with store_snapshot). The first run stores a baseline and reports nothing. Who did it and when (`by`, `at`) is this server's record or CloudTrail's word with its confidence; `pending` or `unknown` where neither can say.",
  scope: "region",
  foreignText: true,
  input: z.object({
    resource_types: ResourceTypes.default(["ec2:instance", "s3:bucket", "rds:db"]),
    tag_keys: z.array(z.string().min(1).max(128)).min(1).max(50).optional().describe("Default: all required tags"),
    lookback_days: Days.default(7),
    force_refresh: ForceRefresh.default(true),
  }),
  output: z.object({
    drift_detected: z.array(z.looseObject({})),
    total_drifts: z.number(),
    resources_analyzed: z.number(),
    resources_without_baseline: z.number(),
    lookback_days: z.number(),
    baseline_timestamp: z.string().nullable(),
    baseline_stored: z.boolean(),
    summary: z.object({ added: z.number(), removed: z.number(), changed: z.number() }),
    data_quality: Quality,
    scan_timestamp: z.string(),
  }),
  async run({ tag_keys, lookback_days, ...question }, ports) {
    const [{ policy, hash }, exceptions] = await Promise.all([heldPolicy(ports), heldExceptions(ports)]);
    const scanned = await scan(ports, question);
    const arns = scanned.resources.map(({ arn }) => arn);
    const stored = await ports.tagging.history
      .lastTags(ports.aws.account, arns, since(ports, lookback_days))
      .catch(unreadable);
    const keys = new Set(tag_keys ?? policy.rules.filter(({ required }) => required).map(({ name }) => name));
    const isRequired = (type: string, key: string): boolean =>
      requiredFor(policy, type).some(({ name }) => name === key);
    const baseline = new Map([...stored].map(([arn, { tags }]) => [arn, tags] as const));
    const times = new Map([...stored].map(([arn, { timestamp }]) => [arn, timestamp] as const));
    const found = await authored(
      ports,
      tagDrift(baseline, scanned.resources, keys, isRequired),
      scanned.resources,
      times,
    );
    const first = stored.size === 0 && scanned.resources.length > 0;
    const notStored = first
      ? await storeSnapshot(ports, scanned, compliance(policy, exceptions, scanned, ports.now), hash)
      : null;
    const count = (type: string): number => found.filter(({ drift_type }) => drift_type === type).length;
    return {
      data: {
        drift_detected: found as unknown as Json,
        total_drifts: found.length,
        resources_analyzed: stored.size,
        resources_without_baseline: arns.length - stored.size,
        lookback_days,
        baseline_timestamp: [...stored.values()].map(({ timestamp }) => timestamp).sort()[0] ?? null,
        baseline_stored: first && notStored === null,
        ...(notStored !== null && { not_stored_because: notStored }),
        summary: { added: count("added"), removed: count("removed"), changed: count("changed") },
        data_quality: scanned.quality,
        scan_timestamp: scanned.at,
      },
    };
  },
});
