// SDK clients: one per service and region, loaded and built at first use. The only file that makes them.

import { OpsError } from "../core/errors.js";
import type { Clock } from "../core/ports.js";
import type { RawCall, Service, Transport } from "./api.js";
import { LostAttempt, mayHaveActed } from "./errors.js";
import { checkShape } from "./regions.js";

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
  readonly accountId?: string;
  /** Where the SDK found them, in its own marks. */
  readonly $source?: Readonly<Record<string, unknown>>;
}

export interface ClientOptions {
  readonly profile?: string;
  readonly roleArn?: string;
  /** Who assumes the role, where it is not the SDK's chain. */
  readonly base?: () => Promise<Credentials>;
  readonly sessionName: string;
  readonly version: string;
  readonly clock: Clock;
  /** How long AWS has for one attempt of a read. */
  readonly readTimeoutMs?: number;
  /** The tool call in whose course a request is made. AWS sees it in the user agent, and CloudTrail records that. */
  readonly callId?: () => string | undefined;
  /** The region for assuming the role; the SDK's own answer otherwise. */
  readonly homeRegion: () => Promise<string | undefined>;
}

export interface Clients {
  readonly transport: Transport;
  credentials(): Promise<Credentials>;
  /** Forgets credentials and clients: the next call resolves both anew, so a login needs no restart. */
  forget(): void;
  close(): void;
}

interface Client {
  send(command: object, options?: { abortSignal?: AbortSignal }): Promise<unknown>;
  destroy(): void;
}
type ClientClass = new (config: object) => Client;
type CommandClass = new (input: object) => { readonly middlewareStack: MiddlewareStack };
type Handler = (args: object) => Promise<object>;
interface MiddlewareStack {
  add(middleware: (next: Handler, context: { userAgent?: [string, string][] }) => Handler, options: object): void;
}

interface Module {
  readonly client: string;
  load(): Promise<unknown>;
  /** Attempts of one call, where its caller retries at a pace of its own; else the SDK's number. */
  readonly attempts?: number;
}

/** One import a service, so that a bundler can cut them apart and start-up loads none. */
const MODULES: Readonly<Record<Service, Module>> = {
  ec2: { client: "EC2Client", load: () => import("@aws-sdk/client-ec2") },
  sts: { client: "STSClient", load: () => import("@aws-sdk/client-sts") },
  cloudcontrol: { client: "CloudControlClient", load: () => import("@aws-sdk/client-cloudcontrol") },
  kms: { client: "KMSClient", load: () => import("@aws-sdk/client-kms") },
  cloudformation: { client: "CloudFormationClient", load: () => import("@aws-sdk/client-cloudformation") },
  cloudtrail: { client: "CloudTrailClient", load: () => import("@aws-sdk/client-cloudtrail"), attempts: 1 },
  autoscaling: { client: "AutoScalingClient", load: () => import("@aws-sdk/client-auto-scaling") },
  elbv2: { client: "ElasticLoadBalancingV2Client", load: () => import("@aws-sdk/client-elastic-load-balancing-v2") },
  rds: { client: "RDSClient", load: () => import("@aws-sdk/client-rds") },
  ecs: { client: "ECSClient", load: () => import("@aws-sdk/client-ecs") },
  codedeploy: { client: "CodeDeployClient", load: () => import("@aws-sdk/client-codedeploy") },
  ce: { client: "CostExplorerClient", load: () => import("@aws-sdk/client-cost-explorer") },
  pricing: { client: "PricingClient", load: () => import("@aws-sdk/client-pricing") },
  tagging: {
    client: "ResourceGroupsTaggingAPIClient",
    load: () => import("@aws-sdk/client-resource-groups-tagging-api"),
  },
  iam: { client: "IAMClient", load: () => import("@aws-sdk/client-iam") },
  organizations: { client: "OrganizationsClient", load: () => import("@aws-sdk/client-organizations") },
  logs: { client: "CloudWatchLogsClient", load: () => import("@aws-sdk/client-cloudwatch-logs"), attempts: 2 },
  s3: { client: "S3Client", load: () => import("@aws-sdk/client-s3") },
};

/** Cloud Control runs a handler behind every read, which takes longer than a plain call. */
const REQUEST_HANDLER = { connectionTimeout: 5_000, requestTimeout: 60_000, throwOnRequestTimeout: true };
/** The one service whose reads have that time whatever is set. */
const SLOW: Service = "cloudcontrol";
const RENEW_BEFORE_MS = 5 * 60_000;

function exported<T>(module: unknown, name: string): T {
  const found = (module as Readonly<Record<string, T | undefined>>)[name];
  if (found === undefined) throw new OpsError("internal", `The AWS SDK in use has no ${name}.`);
  return found;
}

/** The SDK's chain, with the role on top of it; asked again shortly before what it gave expires. */
function credentialProvider(options: ClientOptions): { get(): Promise<Credentials>; forget(): void } {
  let chain: (() => Promise<Credentials>) | undefined;
  let given: Promise<Credentials> | undefined;
  const userAgent = { customUserAgent: [["aws-devops-mcp", options.version]] as [string, string][] };

  async function build(): Promise<() => Promise<Credentials>> {
    const { fromNodeProviderChain, fromTemporaryCredentials } = await import("@aws-sdk/credential-providers");
    const region = await options.homeRegion();
    const clientConfig = { ...userAgent, ...(region !== undefined && { region }) };
    const chained = fromNodeProviderChain({
      ignoreCache: true,
      clientConfig,
      ...(options.profile !== undefined && { profile: options.profile }),
    });
    if (options.roleArn === undefined) return chained;
    return fromTemporaryCredentials({
      masterCredentials: options.base ?? chained,
      params: { RoleArn: options.roleArn, RoleSessionName: options.sessionName },
      clientConfig,
    });
  }

  const forget = () => {
    chain = undefined;
    given = undefined;
  };

  async function get(): Promise<Credentials> {
    given ??= (async () => {
      chain ??= await build();
      return chain();
    })();
    const pending = given;
    try {
      const credentials = await pending;
      const expiry = credentials.expiration?.getTime() ?? Number.POSITIVE_INFINITY;
      if (expiry - options.clock.now().getTime() > RENEW_BEFORE_MS) return credentials;
      if (given === pending) given = undefined;
      return credentials;
    } catch (cause) {
      if (given === pending) forget();
      throw cause;
    }
  }
  return { get, forget };
}

export function awsClients(options: ClientOptions): Clients {
  const credentials = credentialProvider(options);
  const clients = new Map<string, Promise<Client>>();

  /** A write is never cut short: its answer is worth the wait. */
  const timeoutOf = (service: Service, writes: boolean): number => {
    const { readTimeoutMs = REQUEST_HANDLER.requestTimeout } = options;
    return writes || service === SLOW ? Math.max(REQUEST_HANDLER.requestTimeout, readTimeoutMs) : readTimeoutMs;
  };

  async function build(service: Service, region: string, requestTimeout: number): Promise<Client> {
    const { client, load, attempts } = MODULES[service];
    const Class = exported<ClientClass>(await load(), client);
    return new Class({
      region,
      credentials: credentials.get,
      customUserAgent: [["aws-devops-mcp", options.version]],
      requestHandler: { ...REQUEST_HANDLER, requestTimeout },
      ...(attempts !== undefined && { maxAttempts: attempts }),
      ...(options.profile !== undefined && { profile: options.profile }),
    });
  }

  function client(service: Service, region: string, writes: boolean): Promise<Client> {
    checkShape(region);
    const timeout = timeoutOf(service, writes);
    const key = `${service} ${region} ${timeout}`;
    const existing = clients.get(key);
    if (existing) return existing;
    const made = build(service, region, timeout);
    clients.set(key, made);
    made.catch(() => clients.delete(key));
    return made;
  }

  /**
   * The SDK sends a refused call again by itself, but no write whose answer was lost: what it did is looked for first, and
   * a second attempt's refusal ("already exists") would hide that the first one acted.
   */
  async function transport({ service, operation, region, input, writes, signal }: RawCall): Promise<unknown> {
    const Command = exported<CommandClass>(await MODULES[service].load(), `${operation}Command`);
    const command = new Command(input);
    const stopWhenLost = (next: Handler) => async (args: object) => {
      try {
        return await next(args);
      } catch (cause) {
        throw mayHaveActed(cause) ? new LostAttempt(cause) : cause;
      }
    };
    const id = options.callId?.();
    const named = { step: "initialize", name: "nameTheCall" };
    if (id !== undefined) {
      command.middlewareStack.add((next, context) => {
        context.userAgent = [["call", id]];
        return next;
      }, named);
    }
    // Below the SDK's retries, so that it sees every single attempt.
    const everyAttempt = { step: "finalizeRequest", priority: "low", name: "stopWhenLost" };
    if (writes) command.middlewareStack.add(stopWhenLost, everyAttempt);
    const sender = await client(service, region, writes);
    return sender.send(command, { ...(signal && { abortSignal: signal }) });
  }

  function close(): void {
    for (const made of clients.values()) made.then((built) => built.destroy()).catch(() => {});
    clients.clear();
  }

  return {
    transport,
    credentials: credentials.get,
    forget() {
      credentials.forget();
      // Calls in flight keep their sockets: the clients are dropped, not destroyed.
      clients.clear();
    },
    close,
  };
}
