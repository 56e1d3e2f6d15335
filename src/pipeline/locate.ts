// Where a call looks: the account and region it names, or those of the change it is about, or the session's, and AWS there.
// Nothing ever falls back to a region of ours, and no call goes out with credentials it did not name. What is about the record alone looks nowhere.

import type { Cache } from "../cache.js";
import type { Call, Outcome, StaleNotice } from "../core/call.js";
import type { State } from "../core/change.js";
import type { Layer } from "../core/compose.js";
import type { Region } from "../core/content.js";
import { OpsError } from "../core/errors.js";
import type { JsonObject } from "../core/json.js";
import type { Aws, AwsReader, Cached } from "../core/ports.js";
import { EVERYWHERE } from "../core/tool.js";

/** Where a change belongs, and who planned it. */
export interface PlaceOfChange {
  readonly account: string;
  readonly region: string;
  readonly arn: string;
}

export interface LocateDeps {
  readonly aws: Aws;
  /** Where the change is that the input names by token or id. */
  readonly placeOfChange: (input: JsonObject) => Promise<PlaceOfChange | undefined>;
  readonly cache: Cache;
  readonly currentState: () => Promise<State>;
  /** Whether a tool takes the common `account`. */
  readonly takesAccount: (tool: string) => boolean;
}

export const locate =
  ({ aws, placeOfChange, takesAccount, cache, currentState }: LocateDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    if (call.entry!.tool.scope === "none") return next(call);
    const input = call.input!;
    const change = await placeOfChange(input);
    const via =
      input.account === undefined
        ? change && (await aws.accounts.reaching(change.account, change.arn))?.via
        : await aws.accounts.named(String(input.account));
    const outcome =
      input.region === EVERYWHERE
        ? await everywhere(call, next, aws, via, (home) => regionsOf(home, cache, currentState))
        : await inRegion(call, next, aws, via, change?.region);
    if (aws.accounts.allowed.length === 0) return outcome;
    const noticed = { ...outcome, ...noticesOf(outcome) };
    // What it says to call next is about the account it is about, not about the server's own.
    return via === undefined ? noticed : inAccount(noticed, takesAccount);
  };

/** A notice may be about another account than the answer it stands in: that of its resource. */
function noticesOf({ staleNotices }: Outcome): { readonly staleNotices?: readonly StaleNotice[] } {
  if (!staleNotices) return {};
  const named = staleNotices.map((notice) => {
    const account = /^(\d{12})\//.exec(notice.what)?.[1];
    const { tool, arguments: given } = notice.readAgainWith;
    return account ? { ...notice, readAgainWith: { tool, arguments: { account, ...given } } } : notice;
  });
  return { staleNotices: named };
}

async function inRegion(
  call: Call,
  next: (call: Call) => Promise<Outcome>,
  aws: Aws,
  via: string | undefined,
  ofChange: string | undefined,
): Promise<Outcome> {
  const region = (call.input!.region as string | undefined) ?? ofChange ?? (await aws.defaultRegion(via));
  if (!region) {
    throw new OpsError(
      "region_missing",
      "No region was given and none is configured. Give `region`, or start the server with --region or AWS_REGION.",
      { field: "region" },
    );
  }
  const reader = checked(await aws.reader(region, via), via);
  const outcome = await next({ ...call, aws: reader });
  return { ...placed(reader), ...outcome };
}

const placed = ({ account, alias, region }: AwsReader) => {
  const name = alias?.known();
  return { account, region, ...(name === undefined ? {} : { accountAlias: name }) };
};

/** Whoever asked for other credentials must never be answered with these. */
function checked(reader: AwsReader, via: string | undefined): AwsReader {
  if (reader.via === via) return reader;
  throw new OpsError("internal", "AWS was to be read with credentials other than those the call names; nothing was.");
}

/** Every call that an answer proposes, with the account it is about. */
function inAccount(outcome: Outcome, takesAccount: (tool: string) => boolean): Outcome {
  const { account } = outcome;
  if (account === undefined) return outcome;
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
    const members = Object.fromEntries(Object.entries(value).map(([key, member]) => [key, walk(member)]));
    const { tool, arguments: given } = members;
    const isCall = typeof tool === "string" && typeof given === "object" && given !== null;
    return isCall && takesAccount(tool) ? { ...members, arguments: { account, ...given } } : members;
  };
  if (outcome.status === "ok" || outcome.status === "planned") {
    return { ...outcome, data: walk(outcome.data) as JsonObject };
  }
  const { code, message, field, details, next, cause } = outcome.error;
  const error = new OpsError(code, message, {
    ...(field === undefined ? {} : { field }),
    details: walk(details) as JsonObject,
    next: walk(next) as typeof next,
    cause,
  });
  return { ...outcome, error };
}

/** STS and EC2 answer here whatever the account has opted in to. */
const ANY_REGION = "us-east-1";

/** All regions the account may use, for a tool that can be asked about several; a plan is made in one. */
async function everywhere(
  call: Call,
  next: (call: Call) => Promise<Outcome>,
  aws: Aws,
  via: string | undefined,
  regionsOf: (home: AwsReader) => Promise<Cached<Region[]>>,
): Promise<Outcome> {
  const { tool, name } = call.entry!;
  if (tool.kind !== "read" || !tool.everywhere) {
    const why = tool.kind === "plan" ? "A change is planned in one region" : `${name} looks in one region at a time`;
    throw new OpsError("validation_error", `${why}: name it, or leave \`region\` out for the session's.`, {
      field: "region",
      next: [{ tool: "regions.list", arguments: {} }],
    });
  }
  const home = checked(await aws.reader((await aws.defaultRegion(via)) ?? ANY_REGION, via), via);
  if (tool.everywhere.global?.(call.input!)) {
    const outcome = await next({ ...call, aws: home, input: { ...call.input, region: home.region } });
    return { ...placed(home), ...outcome };
  }
  const listed = await regionsOf(home);
  const enabled = listed.value.filter(({ optIn }) => optIn !== "not-opted-in");
  const names = enabled.map(({ region }) => region).sort();
  const reader = async (region: string): Promise<AwsReader> => checked(await aws.reader(region, via), via);
  const outcome = await next({ ...call, aws: home, everywhere: { names, reader } });
  const told = { ...placed(home), region: EVERYWHERE, ...outcome };
  if (told.status !== "ok" || listed.source !== "cache") return told;
  // A region that was enabled since is not among those asked.
  return { ...told, data: { ...told.data, regionListAgeSeconds: listed.ageSeconds } };
}

/** Asked once an hour, under the same question as regions.list. */
async function regionsOf(home: AwsReader, cache: Cache, currentState: () => Promise<State>): Promise<Cached<Region[]>> {
  const state = await currentState().catch(() => undefined);
  const { account, identity } = home;
  const { cached } = cache.forCall({ account, arn: identity.arn, ...(state && { state }) });
  return cached("regions", { ask: {} }, async () => ({
    value: (await home.regions()).map((region) => ({ ...region })),
    whole: true,
  }));
}
