// One discovery for all tag tools: every type by its own lister, every page, every region; a failure stands for itself.

import { namedBy, parseArn, policyTypeOf } from "../../core/arns.js";
import type { ResourceSchema } from "../../core/content.js";
import { OpsError } from "../../core/errors.js";
import { inTime, LATE } from "../../core/in-time.js";
import type { Clock, Identity } from "../../core/ports.js";
import type { Listing, RegionScan, ScanRequest, TaggedReads, TaggedResource, Unread } from "../../core/tagged.js";
import type { Api } from "../api.js";
import { controlLister } from "./control.js";
import { EC2_LISTERS, vpcName } from "./ec2.js";
import { inPool, type Lister, type Place, unreadBy, withSignal } from "./lister.js";
import { buckets, SERVICE_LISTERS } from "./services.js";

export interface TaggedParts {
  readonly apiIn: (region: string) => Api;
  readonly identity: Identity;
  readonly schema: (type: string) => Promise<ResourceSchema>;
  readonly clock: Clock;
}

/** Types of one region at once. */
const TYPES_AT_ONCE = 15;
/** Tries of one lister beyond the SDK's own, and the longest pause between two. */
const TRIES = 3;
const LONGEST_PAUSE_MS = 30_000;

/** Where services without regions answer. */
const HOME: Readonly<Record<string, string>> = { "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1" };

export function taggedReads({ apiIn, identity, schema, clock }: TaggedParts): TaggedReads {
  const partition = parseArn(identity.arn)?.partition ?? identity.arn.split(":")[1] ?? "aws";
  const home = HOME[partition] ?? "us-east-1";
  const listerOf = (type: string): Lister =>
    EC2_LISTERS[type] ??
    SERVICE_LISTERS[type] ??
    (type === "s3:bucket" ? buckets({ apiIn }) : controlLister(type, { schema }));
  const placeIn = (region: string, api = apiIn(region)): Place => ({
    api,
    account: identity.account,
    region,
    partition,
  });

  /** A lister that AWS turned away for now is asked again; what it cannot list is said, not left out. */
  async function listed(type: string, place: Place, where: string, signal: AbortSignal): Promise<Listing> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await listerOf(type).list(place);
      } catch (error) {
        if (signal.aborted || !(error instanceof OpsError) || !error.retriable || attempt >= TRIES) {
          return { resources: [], unread: [unreadBy(error, type, where)] };
        }
        await clock.sleep(Math.min(1_000 * 2 ** attempt, LONGEST_PAUSE_MS), signal).catch(() => {});
      }
    }
  }

  async function scanRegion(region: string, types: readonly string[], timeoutMs: number): Promise<RegionScan> {
    const late = new AbortController();
    const place = placeIn(
      region === "global" ? home : region,
      withSignal(apiIn(region === "global" ? home : region), late.signal),
    );
    const work = inPool(
      types,
      TYPES_AT_ONCE,
      async (type) => [type, await listed(type, place, region, late.signal)] as const,
    );
    const first = await inTime(work, timeoutMs, clock);
    if (first === LATE) {
      late.abort();
      return { region, types: types.length, resources: [], unread: [], taggedOnly: [], failed: "timeout" };
    }
    return {
      region,
      types: types.length,
      resources: first.flatMap(([, { resources }]) => resources),
      unread: first.flatMap(([, { unread }]) => unread),
      taggedOnly: first.flatMap(([type, { taggedOnly }]) => (taggedOnly ? [type] : [])),
    };
  }

  return {
    vpcName: (region, vpcId) => vpcName(apiIn(region), vpcId),
    async content({ type, id, region }) {
      const named = policyTypeOf(type);
      if (!named) {
        throw new OpsError("unsupported", "This server reads no tags of resources of this type.", {
          details: { type },
        });
      }
      const found = await listerOf(named).one(placeIn(region === "global" ? home : region), id);
      return found && { arn: found.arn, tags: found.tags };
    },
    async scan({ types, regions, concurrency, timeoutMs, globalTypes }: ScanRequest, progress) {
      const everywhere = types.filter((type) => globalTypes.has(type));
      const regional = types.filter((type) => !globalTypes.has(type));
      const work = [
        ...(everywhere.length > 0 ? [{ region: "global", types: everywhere }] : []),
        ...(regional.length > 0 ? regions.map((region) => ({ region, types: regional })) : []),
      ];
      let done = 0;
      progress(done, work.length);
      return inPool(work, concurrency, async (one) => {
        const scanned = await scanRegion(one.region, one.types, timeoutMs);
        progress(++done, work.length);
        return unique(scanned);
      });
    },
    async get(arn) {
      const named = namedBy(arn);
      if (!named)
        throw new OpsError("unsupported", "This is not the ARN of a resource whose tags this server reads.", {
          field: "resource_arn",
        });
      const account = parseArn(arn)?.account;
      if (account && account !== identity.account) {
        throw new OpsError(
          "identity_mismatch",
          "The resource belongs to another account than these credentials; it was not read.",
          {
            details: { account: identity.account, resourceAccount: account },
          },
        );
      }
      const regional = named.region !== "" && named.region !== "global";
      return listerOf(named.type).one(placeIn(regional ? named.region : home), named.id);
    },
  };
}

/** The ARN is the identity: what two pages both held is one resource. */
function unique(scan: RegionScan): RegionScan {
  const byArn = new Map<string, TaggedResource>(scan.resources.map((one) => [one.arn, one]));
  const unread = new Map<string, Unread>(scan.unread.map((one) => [one.arn ?? `${one.type} ${one.code}`, one]));
  return { ...scan, resources: [...byArn.values()], unread: [...unread.values()] };
}
