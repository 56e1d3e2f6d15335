// A server process from configuration to the client's goodbye.

import { isAbsolute, join, resolve } from "node:path";
import type { Writable } from "node:stream";
import { livenessOn, thisOwner } from "../state/drivers/host.js";
import { schemaFolder } from "../state/drivers/schema-folder.js";
import { seenFolder } from "../state/drivers/seen-folder.js";
import { BEAT_MS, driverFor, openStore, type Store } from "../state/index.js";
import { type App, createApp } from "./app.js";
import { AUDIT_SCHEMA, createAudit } from "./audit.js";
import { type AwsOptions, createAws, createKms, createLogSink, createSandboxAws } from "./aws/index.js";
import { memoryStore } from "./aws/sandbox/world.js";
import { fileStore } from "./aws/sandbox/world-file.js";
import { shippedSchema } from "./aws/schema-table.js";
import {
  type Config,
  ConfigError,
  dataFile,
  guardrailLimits,
  type Notice,
  parseAccount,
  statePassphrases,
} from "./config.js";
import type { Liveness, Owner } from "./core/change.js";
import type { Audit, Aws, Clock, Ids, Log, Scan, Ship, Sqlite } from "./core/ports.js";
import { currentId, jsonLog } from "./log.js";
import { redisMeters } from "./meters.js";
import { createRedis, redisCache } from "./redis.js";
import { installedScanners } from "./scan.js";
import { serveApp } from "./server.js";
import { createShip } from "./ship.js";
import { sqlite } from "./sqlite.js";
import { taggingFiles } from "./tagging/files.js";
import { HISTORY_SCHEMA, scanHistory } from "./tagging/history.js";
import { auditSchedules } from "./tagging/schedules.js";
import { VERSION } from "./version.js";

export interface Host {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly host: string;
  readonly user: string;
  readonly pid: number;
  pidExists(pid: number): boolean;
  writeLog(line: string): void;
}

interface Streams {
  /** What the configuration has to say, now that there is a log. */
  readonly notices: readonly Notice[];
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: Writable;
  onSignal(stop: () => void): void;
}

/** Serves until the client closes stdin or a signal comes. */
export async function serve(config: Config, host: Host & Streams): Promise<number> {
  const app = await buildApp(config, host);
  const log = jsonLog(host.writeLog, config.logLevel, host.clock);
  for (const { level, message, facts } of host.notices) log(level, message, facts);
  const { closed, close } = serveApp(app, {
    stdin: host.stdin,
    stdout: host.stdout,
    onError: (error) => log("warn", "transport", { error }),
  });
  const ended = new AbortController();
  app.runSchedules();
  const beating = heartbeats(app, host.clock, ended.signal, log);
  await Promise.race([closed, new Promise<void>((resolve) => host.onSignal(resolve))]);
  await close();
  await app.close();
  ended.abort();
  await beating;
  return 0;
}

/** Until the end, also while what was begun gets its outcome recorded. */
async function heartbeats(app: App, clock: Clock, signal: AbortSignal, log: Log): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(BEAT_MS, signal).catch(() => {});
    if (signal.aborted) return;
    await app.heartbeat().catch((error: unknown) => log("error", "a heartbeat failed by a fault of ours", { error }));
  }
}

/** The app of a configuration. Reads the state folder if there is one; creates nothing, calls nothing. */
export async function buildApp(config: Config, host: Host): Promise<App> {
  const { clock, ids } = host;
  let ship: Ship | null = null;
  const writeLog = (line: string): void => {
    host.writeLog(line);
    ship?.line(line);
  };
  const { store, owner, liveness, log } = await buildStore(config, { ...host, writeLog }, "mcp");
  ship = shipOf(config, host, owner);
  const aws = config.sandbox ? sandboxAws(config, host) : realAws(config, host, schemasOf(store, host, log));
  const redis = redisOf(config, host, log);
  return createApp({
    config,
    version: VERSION,
    aws,
    store,
    clock,
    ids,
    log,
    owner,
    ...(ship && { ship }),
    scan: scanOf(config, host, log),
    ...shelfOf(store, host, log),
    ...taggingOf(config, store, owner, liveness, clock),
    ...auditOf(config, host, { owner, liveness, log }),
    ...(redis && {
      redis,
      cacheStore: redisCache(redis),
      meters: redisMeters({
        ...{ ...guardrailLimits(config), clock, ids, redis, log },
        session: config.session ?? owner.session,
      }),
    }),
  });
}

/** Its own log is not sent on: what it says is about the sending. */
function shipOf(config: Config, host: Host, owner: Owner): Ship | null {
  if (!config.cloudwatch) return null;
  const { clock, writeLog } = host;
  return createShip({
    sink: createLogSink(awsOptions(config, host), config.cloudwatchLogGroup),
    clock,
    log: jsonLog(writeLog, config.logLevel, clock),
    securityStream: config.securityLogStream,
    environment: config.environment,
    sessionId: owner.session,
    host: host.host,
  });
}

const redisOf = ({ redisUrl, redisTimeoutSeconds }: Config, { clock, env }: Host, log: Log) =>
  redisUrl === undefined
    ? null
    : createRedis({
        url: redisUrl,
        ...(env.REDIS_PASSWORD ? { password: env.REDIS_PASSWORD } : {}),
        timeoutMs: redisTimeoutSeconds * 1_000,
        clock,
        log,
      });

/** Where audit and history are kept, apart from the state: looking at AWS leaves no trace in that. */
export const dataFolder = (config: Config, { env }: Pick<Host, "env">): string =>
  config.data ? resolve(config.data) : join(env.HOME ?? env.USERPROFILE ?? ".", ".aws", "devops-mcp-data");

/** The audit database; null where none is kept. What is done to an invented account nobody audits unless asked to. */
export function auditDatabase(
  config: Config,
  host: Pick<Host, "env" | "clock">,
  { owner, liveness }: { readonly owner: Owner; readonly liveness: Liveness },
): Sqlite | null {
  if (config.auditDb === "off" || (config.sandbox && config.auditDb === undefined)) return null;
  const path = dataFile(config.auditDb ?? "audit_logs.db", dataFolder(config, host));
  return sqlite({ path, schema: AUDIT_SCHEMA, clock: host.clock, owner, liveness });
}

function auditOf(
  config: Config,
  host: Host,
  self: { readonly owner: Owner; readonly liveness: Liveness; readonly log: Log },
): { readonly audit?: Audit } {
  const db = auditDatabase(config, host, self);
  if (!db) return {};
  const { auditRequired: required, auditDays: days, auditMegabytes: megabytes } = config;
  return { audit: createAudit({ db, clock: host.clock, log: self.log, required, days, megabytes }) };
}

/** On this machine, whatever the state is kept on; a state in memory ends with its process, and so does this. */
const shelfOf = (store: Store, { clock }: Host, log: Log) =>
  store.durable
    ? { shelf: seenFolder({ root: store.location, clock, log, mayWrite: () => store.readOnly === null }) }
    : {};

const schemasOf = (store: Store, { ids }: Host, log: Log) =>
  store.durable
    ? { schemas: schemaFolder({ root: store.location, ids, log, mayWrite: () => store.readOnly === null }) }
    : {};

/** Files are made beside the state, and live in memory where the state does. */
function taggingOf(config: Config, store: Store, owner: Owner, liveness: Liveness, clock: Clock) {
  if (!store.durable) return {};
  const folder = join(store.location, "tagging");
  const path = isAbsolute(config.historyDbPath) ? config.historyDbPath : join(folder, config.historyDbPath);
  const { policyPath, resourceTypesPath, fallbackToDefaultPolicy: fallbackToDefault } = config;
  const db = sqlite({ path, schema: HISTORY_SCHEMA, clock, owner, liveness });
  return {
    tagging: {
      files: taggingFiles({ policyPath, resourceTypesPath, folder, fallbackToDefault, clock }),
      history: scanHistory(db),
      schedules: auditSchedules(db),
    },
  };
}

const scanOf = ({ scanners, guardRules }: Config, { env }: Host, log: Log): Scan =>
  scanners === "off"
    ? async () => []
    : installedScanners({ path: env.PATH ?? "", log, ...(guardRules ? { guardRules: resolve(guardRules) } : {}) });

/** The store of a configuration, opened by this process. */
export async function buildStore(config: Config, host: Host, client: string) {
  const { clock, ids } = host;
  const log = jsonLog(host.writeLog, config.logLevel, clock);
  const runtime = { host: host.host, pid: host.pid, session: ids.uuid(), pidExists: host.pidExists };
  const owner = thisOwner(runtime);
  const liveness = livenessOn(runtime);
  const location = stateLocation(config, host);
  const driver = driverFor(location, { clock, ids });
  if (!driver.durable && !config.sandbox) {
    throw new ConfigError("--state: memory is for the sandbox only; a change of real AWS needs a record that survives");
  }
  const store = await openStore({
    driver,
    clock,
    ids,
    owner,
    user: host.user,
    client,
    version: VERSION,
    log,
    liveness,
    writeOnly: async (type) => (await shippedSchema(type)).writeOnly,
    backupRetentionDays: config.backupRetentionDays,
    keys: {
      ...statePassphrases(config, host.env),
      ...(config.stateKmsKey && { kms: { keyId: config.stateKmsKey, port: createKms(awsOptions(config, host)) } }),
    },
  });
  return { store, owner, liveness, log };
}

function stateLocation(config: Config, host: Host): string {
  if (config.state) return /^[a-z][a-z0-9+.-]+:/i.test(config.state) ? config.state : resolve(config.state);
  if (config.sandbox) return "memory:";
  return join(host.env.HOME ?? host.env.USERPROFILE ?? ".", ".aws", "devops-mcp");
}

const realAws = (config: Config, host: Host, more: Pick<AwsOptions, "schemas">): Aws =>
  createAws({ ...awsOptions(config, host), ...more });

const awsOptions = (config: Config, { env, user, clock, writeLog }: Host): AwsOptions => ({
  env,
  ...(config.profile ? { profile: config.profile } : {}),
  ...(config.region ? { region: config.region } : {}),
  ...(config.roleArn ? { roleArn: config.roleArn } : {}),
  accounts: config.accounts.flatMap((text) => parseAccount(text) ?? []),
  sessionName: `aws-devops-mcp-${user}`.replace(/[^\w+=,.@-]/g, "-").slice(0, 64),
  version: VERSION,
  clock,
  log: jsonLog(writeLog, config.logLevel, clock),
  callId: currentId,
  readTimeoutMs: config.awsSeconds * 1_000,
});

const sandboxAws = (config: Config, { clock, writeLog }: Host): Aws =>
  createSandboxAws({
    store: config.sandboxWorld ? fileStore(resolve(config.sandboxWorld), clock) : memoryStore(),
    clock,
    log: jsonLog(writeLog, config.logLevel, clock),
  });
