// One scan for all tag tools: which regions and types, what was found, and what the figures do not cover.

import { z } from "zod";
import { type Compliance, complianceOf, type Tagged } from "../../policies/tagging/evaluate.js";
import type { TagException } from "../../policies/tagging/exceptions.js";
import type { TaggingPolicy } from "../../policies/tagging/policy.js";
import { chosenTypes, GLOBAL_TYPES, type TypeTable } from "../../policies/tagging/types.js";
import { OpsError } from "../../src/core/errors.js";
import { type Json, type JsonObject, looksSecret, redact } from "../../src/core/json.js";
import type { ReadPorts } from "../../src/core/ports.js";
import type { RegionScan, TaggedResource, Unread } from "../../src/core/tagged.js";
import type { Tags } from "../../src/core/tags.js";
import type { Filters } from "./inputs.js";
import { heldTypes } from "./policy.js";

/** In `all` mode there is more to do in a region. */
const ALL = { timeoutMs: 180_000, regionsAtOnce: 8 };
const ENABLED = new Set(["opt-in-not-required", "opted-in"]);

export interface ScanQuestion {
  readonly resource_types: readonly string[];
  readonly filters?: Filters | undefined;
  readonly force_refresh?: boolean;
}

export interface Scanned {
  readonly resources: readonly Tagged[];
  readonly unread: readonly Unread[];
  readonly regions: readonly RegionScan[];
  readonly table: TypeTable;
  readonly types: readonly string[];
  readonly skippedTypes: readonly string[];
  /** Where was looked. */
  readonly scannedRegions: readonly string[];
  /** The regions that the figures are about, where they are not all of the account. */
  readonly limitedTo: readonly string[] | null;
  /** When AWS was asked. */
  readonly at: string;
  readonly metadata: JsonObject;
  readonly quality: JsonObject;
  readonly complete: boolean;
}

const withoutSecrets = (one: TaggedResource): TaggedResource => ({ ...one, tags: redact(one.tags) as Tags });

export const taggedView = (one: TaggedResource): Tagged => {
  const withheld = Object.keys(one.tags).filter(looksSecret);
  return { ...viewOf(withoutSecrets(one)), ...(withheld.length > 0 && { withheld }) };
};

const viewOf = (one: TaggedResource): Tagged => ({
  resource_id: one.id,
  resource_type: one.type,
  region: one.region,
  arn: one.arn,
  account_id: one.account,
  tags: one.tags,
  ...(one.createdAt && { created_at: one.createdAt }),
  ...(one.instanceState && { instance_state: one.instanceState }),
  ...(one.instanceType && { instance_type: one.instanceType }),
  ...(one.bucketRegion && { bucket_region: one.bucketRegion }),
});

interface Places {
  readonly regions: readonly string[];
  readonly skipped: readonly string[];
  readonly failure: string | null;
}

/** @throws OpsError validation_error naming the regions that are not available, and those that are. */
async function placesOf({ aws, cached, tagging }: ReadPorts, filters: Filters | undefined): Promise<Places> {
  let enabled: readonly string[];
  let failure: string | null = null;
  try {
    const { value } = await cached("regions", { ask: { what: "enabled" } }, async () => {
      const all = await aws.regions();
      const names = all.filter(({ optIn }) => ENABLED.has(optIn)).map(({ region }) => region);
      return { value: names.sort(), whole: true };
    });
    enabled = value;
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    failure = error.code;
    enabled = [aws.region];
  }
  const { allowedRegions } = tagging;
  const wanted = [...new Set([...(filters?.region ?? []), ...(filters?.regions ?? [])])];
  // What is not known to be enabled is tried where somebody named it: AWS refuses what is not.
  if (failure !== null) enabled = [...new Set([...(allowedRegions.length > 0 ? allowedRegions : enabled), ...wanted])];
  const available = allowedRegions.length > 0 ? enabled.filter((one) => allowedRegions.includes(one)) : enabled;
  const invalid = wanted.filter((one) => !available.includes(one));
  if (invalid.length > 0 || available.length === 0) {
    throw new OpsError(
      "validation_error",
      invalid.length > 0
        ? `Not available to this scan: ${invalid.join(", ")}. Available are ${available.join(", ") || "none"}.`
        : "The operator's list of allowed regions names none that is enabled in this account.",
      { field: "filters", details: { invalid, available: [...available] } },
    );
  }
  const regions = wanted.length > 0 ? wanted.sort() : available;
  return { regions, skipped: enabled.filter((one) => !regions.includes(one)), failure };
}

/**
 * The named accounts that no scan with these credentials sees.
 * @throws OpsError validation_error where there is no other: nothing found there would look like nothing to be found
 */
function unseenAccounts({ account }: ReadPorts["aws"], filters: Filters | undefined): readonly string[] {
  const named = filters?.account_id;
  const unseen = [...new Set(named ?? [])].filter((one) => one !== account);
  if (named === undefined || named.includes(account)) return unseen;
  throw new OpsError(
    "validation_error",
    `This scan sees account ${account} only, so nothing is known of the accounts that were named: neither compliant nor untagged.`,
    { field: "filters", details: { account, accounts_not_seen: [...unseen] } },
  );
}

/** Everything of these types in these regions, from the cache where it was read whole not long ago. */
export async function scan(ports: ReadPorts, question: ScanQuestion): Promise<Scanned> {
  const { aws, cached, tagging, progress, now } = ports;
  const unseen = unseenAccounts(aws, question.filters);
  const table = await heldTypes(ports);
  const { types, skipped, all } = chosenTypes(question.resource_types, table);
  const places = await placesOf(ports, question.filters);
  const load = async () => {
    const regions = await aws.tagged.scan(
      {
        types,
        regions: places.regions,
        concurrency: all ? Math.max(ALL.regionsAtOnce, tagging.regionsAtOnce) : tagging.regionsAtOnce,
        timeoutMs: all ? Math.max(ALL.timeoutMs, tagging.regionTimeoutMs) : tagging.regionTimeoutMs,
        globalTypes: GLOBAL_TYPES,
      },
      (done, total) => progress("scanning tags", done, total),
    );
    const whole = regions.every((one) => !one.failed && one.unread.length === 0 && one.taggedOnly.length === 0);
    // What is scanned is kept, here and in Redis.
    const shown = regions.map((one) => ({ ...one, resources: one.resources.map(withoutSecrets) }));
    return { value: shown as unknown as Json, whole };
  };
  const { value, readAt } =
    types.length === 0
      ? { value: [] as Json, readAt: now.toISOString() }
      : await cached(
          "compliance",
          {
            ask: { what: "scan" },
            sets: { types, regions: places.regions },
            ...(question.force_refresh && { forceRefresh: true }),
          },
          load,
        );
  return found(value as unknown as readonly RegionScan[], { unseen, places, table, types, skipped, at: readAt });
}

function found(
  regions: readonly RegionScan[],
  facts: {
    readonly unseen: readonly string[];
    readonly places: Places;
    readonly table: TypeTable;
    readonly types: readonly string[];
    readonly skipped: readonly string[];
    readonly at: string;
  },
): Scanned {
  const { places, unseen, table, types, skipped, at } = facts;
  const resources = regions.flatMap((one) => one.resources).map(taggedView);
  const unread = regions.flatMap((one) => one.unread);
  const failed = regions.filter((one) => one.failed);
  const succeeded = regions.filter((one) => !one.failed);
  const taggedOnly = [...new Set(regions.flatMap((one) => one.taggedOnly))];
  // Whole types only: a resource whose tags were refused proves that its type was listed.
  const blind = unread.filter(({ arn }) => arn === undefined);
  if (regions.length > 0 && resources.length === 0 && (succeeded.length === 0 || nothingRead(succeeded, blind))) {
    throw allFailed(failed, blind);
  }
  // Where every type was skipped nothing was looked at, and nothing may be said of it.
  const nothing = types.length === 0;
  const complete =
    !nothing &&
    failed.length === 0 &&
    unread.length === 0 &&
    taggedOnly.length === 0 &&
    places.failure === null &&
    unseen.length === 0;
  const shown = unread.slice(0, MOST_UNREAD);
  const withheld = [...new Set(resources.flatMap((one) => one.withheld ?? []))].sort();
  return {
    resources,
    unread,
    regions,
    table,
    types,
    skippedTypes: skipped,
    scannedRegions: places.regions,
    limitedTo: places.skipped.length > 0 || places.failure !== null ? places.regions : null,
    at,
    complete,
    metadata: {
      total_regions: regions.length,
      successful_regions: succeeded.map(({ region }) => region),
      failed_regions: failed.map(({ region }) => region),
      skipped_regions: [...places.skipped],
      discovery_failed: places.failure !== null,
      discovery_error: places.failure,
    },
    quality: {
      ...(complete
        ? {
            status: "complete",
            note: `${resources.length === 0 ? "Nothing of these types was found." : "Everything was read."}${skipped.length > 0 ? " The types in skipped_types were not looked at." : ""}`,
          }
        : {
            status: "partial",
            warning: nothing
              ? "None of these types is scanned, so nothing was looked at: nothing is known, neither compliant nor untagged. Give `all`, or types such as ec2:instance."
              : "Some of it could not be read. Do not present these figures as account-wide; say what is missing.",
            failed_regions: failed.map(({ region, failed: because }) => ({ region, because: because ?? "" })),
            unknown: shown.map((one) => ({ ...one })),
            unknown_count: unread.length,
            ...(taggedOnly.length > 0 && { never_tagged_not_seen: taggedOnly }),
            ...(unseen.length > 0 && { accounts_not_seen: [...unseen] }),
          }),
      // Judged by being there only.
      ...(withheld.length > 0 && { values_withheld: withheld }),
    },
  };
}

const MOST_UNREAD = 50;

/** Whether no lister of any region that answered in time read anything. */
const nothingRead = (succeeded: readonly RegionScan[], blind: readonly Unread[]): boolean =>
  blind.length > 0 && blind.length === succeeded.reduce((sum, { types }) => sum + types, 0);

function allFailed(failed: readonly RegionScan[], blind: readonly Unread[]): OpsError {
  const denied = blind.length > 0 && blind.every(({ code }) => code === "access_denied");
  const actions = [...new Set(blind.flatMap(({ action }) => (action ? [action] : [])))];
  return new OpsError(
    denied ? "access_denied" : "aws_unavailable",
    denied
      ? "AWS denied every list this scan asked for, so nothing is known: neither compliant nor untagged. An administrator can grant the actions in `actions`."
      : "Nothing of this scan could be read, so nothing is known: neither compliant nor untagged. Call again, with fewer types or regions.",
    {
      details: {
        error: failed.length > 0 && blind.length === 0 ? "timeout" : "scan_failed",
        suggestion: "Ask for fewer types and regions, or see what the identity in use may list.",
        failed_regions: failed.map(({ region }) => region),
        actions,
      },
    },
  );
}

export const compliance = (
  policy: TaggingPolicy,
  exceptions: readonly TagException[],
  scanned: Scanned,
  now: Date,
): Compliance => complianceOf(policy, scanned.resources, exceptions, now.toISOString());

/** A score of what is known; none where nothing is, because what could not be read is not compliant. */
export const scoreOf = ({ total, score }: Compliance, { complete }: Pick<Scanned, "complete">): number | null =>
  total === 0 && !complete ? null : score;

export const Quality = z.looseObject({ status: z.enum(["complete", "partial"]) });
export const Metadata = z.looseObject({ total_regions: z.number() });
