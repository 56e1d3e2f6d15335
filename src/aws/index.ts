// AWS as the rest of the house sees it: readers and the writer for a region, real or sandboxed. Nothing is loaded,
// resolved or opened before the first call.

import { OpsError } from "../core/errors.js";
import type { Aws, AwsReader, Clock, Identity, Kms, ListedAccount, Log, LogSink, SchemaShelf } from "../core/ports.js";
import { type Reach, severalAccounts } from "./accounts.js";
import { accountAliases } from "./alias.js";
import { type ApiOptions, apiOf, readOnly, type Transport } from "./api.js";
import { awsClients, type Credentials } from "./clients.js";
import { opsError } from "./errors.js";
import { executor, preflight, type WholeApi } from "./executor.js";
import { homeOf } from "./homes.js";
import { identityOf } from "./identity.js";
import { kmsOf } from "./kms.js";
import { logSink } from "./logs.js";
import { type Pace, pace } from "./pace.js";
import { defaultRegion, type Env, profileName, profileRegion, renewal } from "./profile.js";
import { awsReader } from "./reader.js";
import { costReader } from "./readers/costs.js";
import { priceReader } from "./readers/prices.js";
import { regionCheck } from "./regions.js";
import { sandboxTransport } from "./sandbox/api.js";
import { SANDBOX_REGION, type WorldStore } from "./sandbox/world.js";
import { schemas } from "./schema.js";
import { globalTrailRegion, LOOKUPS, lookupEvents } from "./trail.js";
import { turns } from "./turns.js";

export interface AwsOptions {
  /** The environment the server was started in. Credentials and endpoints are read by the SDK itself. */
  readonly env: Env;
  readonly profile?: string;
  readonly region?: string;
  /** A role to assume before anything else. */
  readonly roleArn?: string;
  /** Further accounts that a call may name. */
  readonly accounts?: readonly ListedAccount[];
  /** The name an assumed role's calls bear in CloudTrail: the same at every start, so that it can be searched for. */
  readonly sessionName?: string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  /** The tool call in whose course a request is made; AWS is told. */
  readonly callId?: () => string | undefined;
  /** How long AWS has for one attempt of a read. */
  readonly readTimeoutMs?: number;
  /** Where AWS's registry's words are kept for the next process. */
  readonly schemas?: SchemaShelf;
}

interface Place {
  /** What the operator calls the account. */
  readonly name?: string;
  readonly transport: Transport;
  readonly credentials: () => Promise<Credentials>;
  readonly roleArn?: string;
  readonly region: () => Promise<string | undefined>;
  readonly clock: Clock;
  readonly schemas?: SchemaShelf;
  readonly api: Omit<ApiOptions, "region">;
  close(): void;
}

/** STS answers in every region; this one is asked for names of regions when none is configured. */
const ANY_REGION = "us-east-1";

/** @param paces CloudTrail's rate is one for an account and region, whoever asks */
function awsOf(place: Place, paces = new Map<string, Pace>()): Reach {
  const whole = (region: string): WholeApi => apiOf(place.transport, { ...place.api, region }) as WholeApi;
  const reading = (region: string) => readOnly(whole(region));
  const check = regionCheck(async () => reading((await place.region()) ?? ANY_REGION));
  const identity = identityOf(place.credentials, place.roleArn);
  const schema = schemas(place.clock, place.schemas);
  const inTurn = turns();
  const aliasOf = accountAliases(place.name, place.clock);

  function paceOf(key: string): Pace {
    const made = paces.get(key) ?? pace(place.clock, LOOKUPS.count, LOOKUPS.windowMs);
    paces.set(key, made);
    return made;
  }

  async function whoIn(region: string): Promise<Identity> {
    const call = { service: "sts", operation: "GetCallerIdentity", region, writes: false, login: place.api.login };
    return identity(reading(region)).catch(async (cause: unknown) => {
      throw await opsError(cause, call);
    });
  }

  async function reader(region: string): Promise<AwsReader> {
    await check(region);
    const api = reading(region);
    const who = await whoIn(region);
    return awsReader({
      api,
      alias: aliasOf(api, who.account),
      region,
      identity: who,
      apiIn: reading,
      clock: place.clock,
      schema: (type) => schema(api, { account: who.account, region, type }),
      preflight: (step) => preflight(whole(region), step),
      costs: costReader({ api: () => reading(homeOf("ce", who.arn, region)), inTurn }),
      prices: priceReader(() => reading(homeOf("pricing", who.arn, region))),
      async trail(query) {
        const where = query.global ? globalTrailRegion(who.arn, region) : (query.region ?? region);
        return lookupEvents(where === region ? api : reading(where), paceOf(`${who.account}/${where}`), query);
      },
    });
  }

  return {
    defaultRegion: () => place.region(),
    identity: async () => whoIn((await place.region()) ?? ANY_REGION),
    reader,
    writer: (region) => executor(whole(region), place.clock),
    close: place.close,
  };
}

/** @example const aws = createAws({ env: process.env, version: "1.0.0", clock, log }); // opens nothing */
export function createAws(options: AwsOptions): Aws {
  const place = placeOf(options);
  const paces = new Map<string, Pace>();
  const { accounts = [], env } = options;
  return severalAccounts(awsOf(place, paces), profileName(options.profile, env), accounts, (account) =>
    awsOf({ ...placeOf(forAccount(options, account), place), name: account.name }, paces),
  );
}

/** A listed role is assumed with the server's own credentials; a listed profile has its own. */
const forAccount = ({ profile, region, roleArn: _, ...options }: AwsOptions, listed: ListedAccount): AwsOptions =>
  listed.roleArn === undefined
    ? { ...options, profile: listed.profile }
    : { ...options, ...(profile && { profile }), ...(region && { region }), roleArn: listed.roleArn };

/** The key service for the store's own keys. Opens nothing before its first call. */
export function createKms(options: AwsOptions): Kms {
  const { transport, region, api } = placeOf(options);
  return kmsOf((here) => apiOf(transport, { ...api, region: here }), region);
}

/** @param under whose credentials assume the role, and whose region stands in for one; absent: nobody's */
function placeOf(options: AwsOptions, under?: Place): Place {
  const { env, region, roleArn, version, clock, log, callId, readTimeoutMs } = options;
  const profile = profileName(options.profile, env);
  const home = under
    ? async () => (roleArn === undefined ? await profileRegion(profile) : undefined) ?? under.region()
    : () => defaultRegion(region, profile, env);
  const clients = awsClients({
    sessionName: options.sessionName ?? "aws-devops-mcp",
    version,
    clock,
    homeRegion: home,
    ...(callId && { callId }),
    ...(readTimeoutMs !== undefined && { readTimeoutMs }),
    ...(profile !== undefined && { profile }),
    ...(roleArn !== undefined && { roleArn }),
    ...(under && roleArn !== undefined && { base: under.credentials }),
  });
  return {
    transport: clients.transport,
    credentials: clients.credentials,
    region: home,
    clock,
    ...(options.schemas && { schemas: options.schemas }),
    api: { login: () => renewal(profile, env), log, onCredentialsRefused: clients.forget },
    close: clients.close,
    ...(roleArn !== undefined && { roleArn }),
  };
}

/** Where this server's own log lines go. Opens nothing before its first event. */
export function createLogSink(options: AwsOptions, group: string): LogSink {
  const { transport, region, api, close } = placeOf(options);
  return logSink((here) => apiOf(transport, { ...api, region: here }), region, { group, close });
}

export interface SandboxOptions {
  readonly store: WorldStore;
  readonly clock: Clock;
  readonly log: Log;
}

const SANDBOX_CREDENTIALS: Credentials = { accessKeyId: "sandbox", secretAccessKey: "", $source: { SANDBOX: true } };

/** The same readers and writer on an account in memory: demo data, never AWS. Reads no credential and opens no connection. */
export function createSandboxAws({ store, clock, log }: SandboxOptions): Aws {
  const own = awsOf({
    transport: sandboxTransport(store, clock),
    credentials: async () => SANDBOX_CREDENTIALS,
    region: async () => SANDBOX_REGION,
    clock,
    api: {
      log,
      login: () => Promise.reject(new OpsError("internal", "The sandbox has no credentials to renew.")),
    },
    close: () => {},
  });
  return severalAccounts(own, undefined, [], () => own);
}
