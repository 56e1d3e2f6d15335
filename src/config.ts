// One frozen configuration: defaults < file < environment < flags. Every wrong value is refused by name.

import { existsSync, readFileSync, statSync } from "node:fs";
import { isAbsolute, join, resolve, sep } from "node:path";
import { parseArgs, parseEnv } from "node:util";
import { z } from "zod";
import { CHANNELS } from "../policies/approval.js";
import { parseRiskRule, THRESHOLDS } from "../policies/risk.js";
import { isStepPattern, PATTERN_HELP } from "../policies/steps.js";
import { isTimezone } from "../policies/tagging/schedule.js";
import type { DataClass, ListedAccount } from "./core/ports.js";
import { LEVELS } from "./log.js";

const flag = z.boolean();
const ENVIRONMENT_NAME = /^[\w.-]{1,64}$/;

function isRedisUrl(text: string): boolean {
  try {
    const { protocol, hostname } = new URL(text);
    return (protocol === "redis:" || protocol === "rediss:") && hostname !== "";
  } catch {
    return false;
  }
}

/** The one schema behind flags (`--allow-writes`), environment (`AWS_DEVOPS_MCP_ALLOW_WRITES`) and file (`allowWrites`). */
export const ConfigSchema = z.strictObject({
  allowWrites: flag.default(false).describe("register changes.apply, the only tool that changes AWS"),
  readOnly: flag.default(false).describe("the default; wins over --allow-writes"),
  sandbox: flag
    .default(false)
    .describe("a small in-memory account instead of AWS; allows writes, reads no credentials"),
  sandboxWorld: z.string().min(1).optional().describe("FILE the sandbox account lives in, shared by several processes"),
  state: z.string().min(1).optional().describe("DIR of the state (default ~/.aws/devops-mcp; with --sandbox: memory)"),
  rollbackSecrets: flag
    .default(false)
    .describe("store secrets encrypted, so that a rollback, a re-send and other processes have them"),
  statePassphraseFile: z
    .string()
    .min(1)
    .optional()
    .describe("FILE (mode 0600) with the passphrase of the stored secrets; or AWS_DEVOPS_MCP_STATE_PASSPHRASE"),
  stateKmsKey: z
    .string()
    .regex(
      /^(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)\/[\w/-]+|alias\/[\w/-]+)$/,
      "must be the ARN of a KMS key or alias, or alias/NAME",
    )
    .optional()
    .describe("KEY of KMS (ARN or alias/NAME) that wraps the keys of the stored secrets"),
  backupRetentionDays: z
    .number()
    .int()
    .min(1)
    .max(3_650)
    .default(30)
    .describe("DAYS the daily backups of state.json are kept"),
  profile: z.string().min(1).optional().describe("NAME of the AWS profile"),
  region: z
    .string()
    .regex(/^[a-z]{2}(-[a-z]+)+-\d+$/, "must look like us-east-1")
    .optional()
    .describe("REGION used when a call names none"),
  roleArn: z
    .string()
    .regex(/^arn:aws[a-z-]*:iam::\d{12}:role\/.+$/, "must be the ARN of an IAM role")
    .optional()
    .describe("ARN of a role to assume"),
  accounts: z
    .array(
      z
        .string()
        .refine(
          (text) => parseAccount(text) !== null,
          "must be ALIAS=profile:NAME, ALIAS=ARN of a role, or one of these without ALIAS=",
        ),
    )
    .refine((all) => new Set(all.map((one) => parseAccount(one)?.name)).size === all.length, "names an account twice")
    .default([])
    .describe("LIST of further accounts a call may name: ALIAS=profile:NAME, ALIAS=ROLE-ARN, or either without ALIAS="),
  toolsets: z
    .array(z.string().min(1))
    .min(1)
    .default(["default"])
    .describe("LIST of toolsets to list directly: default, all, or names"),
  toolNames: z.enum(["wire", "dotted"]).default("wire").describe("wire (instances_list) or dotted (instances.list)"),
  signalPlacement: z.enum(["first", "last", "merge"]).default("first").describe("where the invalidation text stands"),
  signalText: z.enum(["system", "xml", "off"]).default("system").describe("form of the invalidation text"),
  approveFrom: z
    .enum(THRESHOLDS)
    .default("high")
    .describe(
      "LEVEL of risk from which a human has to approve: low, medium, high, critical, never (default high; sandbox never)",
    ),
  approveVia: z
    .enum(CHANNELS)
    .default("host")
    .describe("WAY a human approves: host (its form, else a terminal) or terminal"),
  neverAllow: z
    .array(z.string().refine((text) => text === "none" || isStepPattern(text), `must be none, ${PATTERN_HELP}`))
    .min(1)
    .default(["delete AWS::KMS::Key", "delete AWS::CloudTrail::Trail", "* AWS::Organizations::*"])
    .describe(
      'LIST of changes nobody may make through this server, or none (default "delete AWS::KMS::Key", "delete AWS::CloudTrail::Trail", "* AWS::Organizations::*")',
    ),
  riskRules: z
    .array(
      z.string().refine((text) => parseRiskRule(text) !== null, `must look like high=PATTERN, such as ${PATTERN_HELP}`),
    )
    .default([])
    .describe(
      'LIST of your own levels of risk, such as "critical=delete AWS::EC2::Instance"; the first that fits wins, graver findings still count',
    ),
  createsPerHour: z.number().int().min(0).default(100).describe("NUMBER of resources that may be made in an hour"),
  deletesPerHour: z.number().int().min(0).default(20).describe("NUMBER of resources that may be deleted in an hour"),
  blockFindings: z
    .enum(THRESHOLDS)
    .default("never")
    .describe("LEVEL of a security finding from which a plan is refused: low, medium, high, critical or never"),
  scanners: z
    .enum(["auto", "off"])
    .default("auto")
    .describe("VALUE auto also runs Checkov and cfn-guard on plans where they are installed; off"),
  guardRules: z.string().min(1).optional().describe("PATH of the rules cfn-guard is to check"),
  revalidate: z
    .enum(["off", "on-call", "interval"])
    .default("on-call")
    .describe("look again at what was shown: off, on-call (beside later calls) or interval (between calls too)"),
  revalidateSeconds: z.number().int().min(5).max(3600).default(30).describe("SECONDS between two looks with interval"),
  tokenMinutes: z.number().int().min(1).max(1440).default(15).describe("MINUTES an execution token lives"),
  waitSeconds: z
    .number()
    .int()
    .min(1)
    .max(600)
    .default(45)
    .describe("SECONDS a call waits before it hands over what goes on: a change under way in AWS, a long scan"),
  callSeconds: z
    .number()
    .int()
    .min(5)
    .max(3_600)
    .default(300)
    .describe("SECONDS after which a call is given up; what changes AWS goes on, and its outcome is recorded"),
  awsSeconds: z
    .number()
    .int()
    .min(1)
    .max(300)
    .default(60)
    .describe(
      "SECONDS AWS has for each attempt at a read; Cloud Control and whatever changes something have 60 at least",
    ),
  defaultTags: z
    .array(z.string().regex(/^(off|[^=]{1,128}=.{0,256})$/, "must be KEY=VALUE, or off alone"))
    .min(1)
    .refine((tags) => tags.length === 1 || !tags.includes("off"), "off stands alone")
    .refine((tags) => !tags.some((tag) => /^aws:/i.test(tag)), "keys that begin with aws: belong to AWS")
    .default(["ManagedBy=aws-devops-mcp"])
    .describe("TAGS that resources.create adds: KEY=VALUE,…, or off"),
  allowStackOwned: flag
    .default(false)
    .describe(
      "let resources be changed that a CloudFormation stack owns (start, stop, reboot and capacity always may)",
    ),
  cacheTtlSeconds: z
    .number()
    .int()
    .min(60)
    .max(86_400)
    .default(3_600)
    .describe("SECONDS compliance scans and cost figures are answered from the cache"),
  regionCacheTtlSeconds: z
    .number()
    .int()
    .min(60)
    .default(3_600)
    .describe("SECONDS the list of enabled regions is answered from the cache"),
  policyPath: z
    .string()
    .min(1)
    .default("policies/tagging_policy.json")
    .describe("FILE of the tagging policy; a relative one is looked for in the working directory first"),
  autoImportPolicy: flag
    .default(true)
    .describe("where there is no tagging policy, take the tag policy of AWS Organizations"),
  autoImportPolicyId: z
    .string()
    .regex(/^p-[0-9a-zA-Z_]{8,128}$/, "must look like p-0123456789")
    .optional()
    .describe("ID of that policy (default: what is in force for the account)"),
  fallbackToDefaultPolicy: flag.default(true).describe("make a tagging policy where there is none"),
  resourceTypesPath: z
    .string()
    .min(1)
    .optional()
    .describe("FILE that says which resource types are scanned and what they cost under (default: built in)"),
  historyDbPath: z
    .string()
    .min(1)
    .default("compliance_history.db")
    .describe("FILE of the stored compliance scans (SQLite); a relative one is in the folder of --data"),
  dailySnapshot: flag.default(false).describe("store a compliance scan of everything every day, in the background"),
  snapshotHour: z.number().int().min(0).max(23).default(2).describe("HOUR of that scan"),
  snapshotMinute: z.number().int().min(0).max(59).default(0).describe("MINUTE of that scan"),
  snapshotTimezone: z
    .string()
    .refine(isTimezone, "must be the name of a time zone, such as Europe/Berlin")
    .default("UTC")
    .describe("ZONE in which that is meant"),
  allowedRegions: z
    .array(z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d+$/, "must look like us-east-1"))
    .default([])
    .describe("LIST of regions that tag scans look at (default: all enabled ones)"),
  maxConcurrentRegions: z
    .number()
    .int()
    .min(1)
    .max(20)
    .default(5)
    .describe("NUMBER of regions a tag scan reads at once"),
  regionScanTimeoutSeconds: z
    .number()
    .int()
    .min(10)
    .max(300)
    .default(60)
    .describe("SECONDS a tag scan waits for one region"),
  callsPerHour: z
    .number()
    .int()
    .min(0)
    .default(100)
    .describe("NUMBER of calls a session may make in an hour (or in --budget-seconds); 0: no limit"),
  budgetSeconds: z.number().int().min(60).default(3_600).describe("SECONDS of that window, from its first call on"),
  identicalCalls: z
    .number()
    .int()
    .min(0)
    .default(3)
    .describe("NUMBER of identical calls in --loop-seconds before the next is refused; 0: no limit"),
  loopSeconds: z.number().int().min(60).default(300).describe("SECONDS in which identical calls are a loop"),
  unknownTools: z
    .number()
    .int()
    .min(0)
    .default(5)
    .describe("NUMBER of tools that do not exist a session may ask for in --unknown-seconds; 0: no limit"),
  unknownSeconds: z.number().int().min(60).default(300).describe("SECONDS in which they are counted"),
  session: z
    .string()
    .regex(/^[\w.@:-]{1,64}$/, "must be 1-64 of A-Z a-z 0-9 _ . @ : -")
    .optional()
    .describe("NAME whose budget and loop counters all servers on the same Redis share (default: this process alone)"),
  redisUrl: z
    .string()
    .refine(isRedisUrl, "must look like redis://HOST:6379/0 or rediss://…")
    .optional()
    .describe("URL of a Redis for budgets, loop counters and caches of several servers"),
  redisTimeoutSeconds: z.number().int().min(1).max(60).default(5).describe("SECONDS to wait for Redis"),
  data: z.string().min(1).optional().describe("DIR of audit and history (default ~/.aws/devops-mcp-data)"),
  auditDb: z
    .string()
    .min(1)
    .optional()
    .describe("FILE of the audit log (default audit_logs.db in --data; with --sandbox: none), or off"),
  auditRequired: flag.default(false).describe("refuse a call whose audit row cannot be written"),
  auditDays: z.number().int().min(1).max(3_650).default(90).describe("DAYS audit rows are kept"),
  auditMegabytes: z.number().int().min(1).max(100_000).default(100).describe("SIZE from which the oldest rows go"),
  logLevel: z.enum(LEVELS).default("warn").describe("debug, info, warn or error; logs go to stderr"),
  cloudwatch: flag
    .default(false)
    .describe("also send audit rows, security events and log lines, with metrics of them, to CloudWatch Logs"),
  cloudwatchLogGroup: z
    .string()
    .regex(/^[\w./#-]{1,512}$/, "must be 1-512 of A-Z a-z 0-9 _ - / . #")
    .default("/finops/mcp-server")
    .describe("GROUP of CloudWatch Logs they go to"),
  securityLogStream: z
    .string()
    .regex(/^[^:*]{1,512}$/, "must be 1-512 characters without : and *")
    .default("security")
    .describe("STREAM of that group for security events; the others are audit and server"),
  environment: z
    .string()
    .regex(ENVIRONMENT_NAME, "must be 1-64 of A-Z a-z 0-9 _ . -")
    .optional()
    .describe("NAME that what is sent to CloudWatch bears, such as staging"),
});

const ROLE_ARN = /^arn:aws[a-z-]*:iam::\d{12}:role\/.+$/;

/** @example parseAccount("prod=profile:acme-prod") // { name: "prod", profile: "acme-prod" } */
export function parseAccount(text: string): ListedAccount | null {
  const [, alias, target = ""] = /^(?:([A-Za-z][\w.-]{0,62})=)?(.+)$/.exec(text.trim()) ?? [];
  if (ROLE_ARN.test(target)) return { name: alias ?? target, roleArn: target };
  const profile = target.replace(/^profile:/, "").trim();
  if (profile === "" || /^arn:/.test(profile) || (alias === undefined && profile.includes("="))) return null;
  return { name: alias ?? profile, profile };
}

export type Config = Readonly<z.output<typeof ConfigSchema>>;
type Key = keyof Config;

/** The limits of policies/guardrails.ts. */
export const guardrailLimits = (config: Config) => ({
  budget: { calls: config.callsPerHour, windowSeconds: config.budgetSeconds },
  loops: { identical: config.identicalCalls, windowSeconds: config.loopSeconds },
  unknown: { attempts: config.unknownTools, windowSeconds: config.unknownSeconds },
});

/**
 * A file that is named without a folder is the one in the working directory if there is one; one to be created goes to the
 * data folder, because hosts start servers anywhere.
 */
export function dataFile(name: string, dataFolder: string): string {
  const here = resolve(name);
  return isAbsolute(name) || existsSync(here) ? here : join(dataFolder, name);
}

/** The tags of `defaultTags`; null where they are off. */
export const tagsToAdd = ({ defaultTags }: Pick<Config, "defaultTags">): Readonly<Record<string, string>> | null =>
  defaultTags[0] === "off"
    ? null
    : Object.fromEntries(
        defaultTags.map((tag) => [tag.slice(0, tag.indexOf("=")), tag.slice(tag.indexOf("=") + 1)] as const),
      );

/** What AWS publishes changes by the week. */
const PUBLISHED_SECONDS = 6 * 3_600;

/** How long each class of data may be answered from the cache. */
export const cacheSeconds = ({
  cacheTtlSeconds,
  regionCacheTtlSeconds,
}: Pick<Config, "cacheTtlSeconds" | "regionCacheTtlSeconds">): Readonly<Record<DataClass, number>> => ({
  compliance: cacheTtlSeconds,
  costs: cacheTtlSeconds,
  regions: regionCacheTtlSeconds,
  schemas: PUBLISHED_SECONDS,
  prices: PUBLISHED_SECONDS,
});

/** Variables of servers we take over, which go on working; ours wins where both are set. */
const OLD_VARIABLES: Readonly<Record<string, Key>> = {
  REDIS_TTL: "cacheTtlSeconds",
  COMPLIANCE_CACHE_TTL_SECONDS: "cacheTtlSeconds",
  REGION_CACHE_TTL_SECONDS: "regionCacheTtlSeconds",
  POLICY_PATH: "policyPath",
  POLICY_FILE_PATH: "policyPath",
  AUTO_IMPORT_AWS_POLICY: "autoImportPolicy",
  AUTO_IMPORT_POLICY_ID: "autoImportPolicyId",
  FALLBACK_TO_DEFAULT_POLICY: "fallbackToDefaultPolicy",
  HISTORY_DB_PATH: "historyDbPath",
  DATABASE_PATH: "historyDbPath",
  RESOURCE_TYPES_CONFIG_PATH: "resourceTypesPath",
  SCHEDULER_ENABLED: "dailySnapshot",
  SNAPSHOT_SCHEDULE_HOUR: "snapshotHour",
  SNAPSHOT_SCHEDULE_MINUTE: "snapshotMinute",
  SNAPSHOT_SCHEDULE_TIMEZONE: "snapshotTimezone",
  ALLOWED_REGIONS: "allowedRegions",
  MAX_CONCURRENT_REGIONS: "maxConcurrentRegions",
  REGION_SCAN_TIMEOUT_SECONDS: "regionScanTimeoutSeconds",
  MAX_TOOL_CALLS_PER_SESSION: "callsPerHour",
  SESSION_BUDGET_TTL_SECONDS: "budgetSeconds",
  MAX_IDENTICAL_CALLS: "identicalCalls",
  LOOP_DETECTION_WINDOW_SECONDS: "loopSeconds",
  MAX_UNKNOWN_TOOL_ATTEMPTS: "unknownTools",
  SECURITY_EVENT_WINDOW_SECONDS: "unknownSeconds",
  REDIS_URL: "redisUrl",
  REDIS_TIMEOUT_SECONDS: "redisTimeoutSeconds",
  AUDIT_DB_PATH: "auditDb",
  TOOL_EXECUTION_TIMEOUT_SECONDS: "callSeconds",
  AWS_API_TIMEOUT_SECONDS: "awsSeconds",
  CLOUDWATCH_ENABLED: "cloudwatch",
  CLOUDWATCH_LOG_GROUP: "cloudwatchLogGroup",
  SECURITY_LOG_STREAM: "securityLogStream",
};

/** Switches of theirs: off is our limit of none. */
const OLD_SWITCHES: Readonly<Record<string, Key>> = {
  BUDGET_TRACKING_ENABLED: "callsPerHour",
  LOOP_DETECTION_ENABLED: "identicalCalls",
  SECURITY_MONITORING_ENABLED: "unknownTools",
};
const OLD_LEVELS: Readonly<Record<string, Config["logLevel"]>> = {
  DEBUG: "debug",
  INFO: "info",
  WARNING: "warn",
  ERROR: "error",
  CRITICAL: "error",
};
const isOff = (text: string | undefined): boolean => /^(0|false|no|off)$/i.test(text ?? "");
const isOn = (text: string | undefined): boolean => /^(1|true|yes|on)$/i.test(text ?? "");

/** Names that many programs use: what is no value of ours is not meant for us. */
const SHARED_VARIABLES: Readonly<
  Record<string, { readonly key: Key; readonly means: (text: string) => unknown; readonly says: string }>
> = {
  DEBUG: { key: "logLevel", means: (text) => (isOn(text) ? "debug" : undefined), says: "true: debug" },
  LOG_LEVEL: { key: "logLevel", means: (text) => OLD_LEVELS[text.toUpperCase()], says: "DEBUG to CRITICAL" },
  ENVIRONMENT: {
    key: "environment",
    means: (text) => (ENVIRONMENT_NAME.test(text) ? text : undefined),
    says: "the same",
  },
};

/** Read by the SDK or by a store of ours, and never part of the configuration. */
export const OTHER_VARIABLES: Readonly<Record<string, string>> = {
  AWS_REGION: "the region used when a call names none, as AWS_DEFAULT_REGION; --region wins",
  AWS_PROFILE: "the AWS profile; --profile wins. Credentials come from the AWS default chain",
  AWS_ENDPOINT_URL: "another endpoint than AWS's, as AWS_ENDPOINT_URL_<SERVICE> for one service",
  REDIS_PASSWORD: "the password of --redis-url, where that holds none",
  AWS_DEVOPS_MCP_STATE_PASSPHRASE: "the passphrase of the stored secrets; or --state-passphrase-file",
  AWS_DEVOPS_MCP_STATE_PASSPHRASE_OLD: "the one before, while keys are wrapped anew",
  AWS_DEVOPS_MCP_CONFIG: "as --config",
  AWS_DEVOPS_MCP_ENV_FILE: "as --env-file",
};

const kebab = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const envName = (key: string): string => `AWS_DEVOPS_MCP_${kebab(key).replaceAll("-", "_").toUpperCase()}`;
const KEYS = Object.keys(ConfigSchema.shape) as Key[];

/** A wrong flag, variable or file: the message names it and what would be right. */
export class ConfigError extends Error {}

const isFlag = (key: Key): boolean => unwrap(ConfigSchema.shape[key]) instanceof z.ZodBoolean;

function unwrap(schema: unknown): unknown {
  return schema instanceof z.ZodDefault || schema instanceof z.ZodOptional ? unwrap(schema.unwrap()) : schema;
}

function fromText(key: Key, text: string, where: string): unknown {
  const kind = unwrap(ConfigSchema.shape[key]);
  if (kind instanceof z.ZodBoolean) {
    if (/^(1|true|yes|on)$/i.test(text)) return true;
    if (/^(0|false|no|off|)$/i.test(text)) return false;
    throw new ConfigError(`${where} must be true or false`);
  }
  // Blanks are no number: read as 0 they would lift a limit.
  if (kind instanceof z.ZodNumber) return text.trim() === "" ? Number.NaN : Number(text);
  if (kind instanceof z.ZodArray)
    return text
      .split(",")
      .map((part) => part.trim())
      .filter(Boolean);
  return text;
}

function readConfigFile(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new ConfigError(`--config ${path} cannot be read: ${(cause as Error).message}`);
  }
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed))
      return parsed as Record<string, unknown>;
  } catch {}
  throw new ConfigError(`--config ${path} must be a JSON object`);
}

type Env = Readonly<Record<string, string | undefined>>;

/** Whose credentials and which account: a file in a folder that others may write to never says that. */
const NEVER_FROM_A_FILE: ReadonlySet<string> = new Set([
  ...(["profile", "roleArn", "accounts"] as const).map(envName),
  envName("config"),
  envName("envFile"),
]);

const isOurs = (name: string): boolean =>
  !NEVER_FROM_A_FILE.has(name) &&
  (KEYS.some((key) => envName(key) === name) ||
    [OLD_VARIABLES, OLD_SWITCHES, SHARED_VARIABLES].some((table) => Object.hasOwn(table, name)) ||
    ["AWS_REGION", "AWS_DEFAULT_REGION", "REDIS_PASSWORD", PASSPHRASE, `${PASSPHRASE}_OLD`].includes(name));

const MOST_ENV_BYTES = 65_536;

/**
 * The variables of ours in a file of the form of `.env`. Whatever else stands in it is left alone.
 * @throws ConfigError naming the file, never what stands in it.
 */
function readEnvFile(path: string): { readonly ours: Record<string, string>; readonly refused: readonly string[] } {
  let text: string;
  let mode: number;
  try {
    const { size, mode: bits } = statSync(path);
    if (size > MOST_ENV_BYTES) throw new Error(`it is larger than ${MOST_ENV_BYTES} bytes`);
    text = readFileSync(path, "utf8");
    mode = bits;
  } catch (cause) {
    throw new ConfigError(`--env-file ${path} cannot be read: ${(cause as Error).message}`);
  }
  const all = Object.entries(parseEnv(text)) as [string, string][];
  const ours = Object.fromEntries(all.filter(([name]) => isOurs(name)));
  if (PASSPHRASE in ours && sep === "/" && (mode & 0o077) !== 0) {
    throw new ConfigError(`${path} holds ${PASSPHRASE} and is open to other users; run: chmod 600 '${path}'`);
  }
  return { ours, refused: all.flatMap(([name]) => (!isOurs(name) && /^AWS_/.test(name) ? [name] : [])) };
}

/** Something to say once there is a log. Names only: values may be secrets. */
export interface Notice {
  readonly level: "info" | "warn";
  readonly message: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** Names that no other program has: a file that holds one was written for this server. */
const isOursAlone = (name: string): boolean =>
  name.startsWith("AWS_DEVOPS_MCP_") ||
  ((Object.hasOwn(OLD_VARIABLES, name) || Object.hasOwn(OLD_SWITCHES, name)) &&
    !/^(REDIS_|DATABASE_PATH|POLICY_|AUDIT_DB_PATH)/.test(name));

/** A `.env` in the working directory that nobody named: it is not read, and whoever wrote it for this server learns why. */
function unreadEnvFile(): Notice[] {
  const path = resolve(".env");
  let names: string[];
  try {
    if (statSync(path).size > MOST_ENV_BYTES) return [];
    names = Object.keys(parseEnv(readFileSync(path, "utf8"))).filter(isOursAlone);
  } catch {
    return [];
  }
  if (names.length === 0) return [];
  const message =
    "a .env in the working directory holds settings of this server and was not read; --env-file .env reads it";
  return [{ level: "warn", message, facts: { file: path, names } }];
}

/** What opens the stored secrets besides KMS. `source` is what an error may name. */
export interface StatePassphrases {
  readonly passphrase?: { readonly text: string; readonly source: string };
  readonly oldPassphrase?: { readonly text: string; readonly source: string };
}

const PASSPHRASE = "AWS_DEVOPS_MCP_STATE_PASSPHRASE";
const SHORTEST_PASSPHRASE = 12;

/**
 * The passphrases of the state, which are no options: they come from the environment or a file of their own and stand in
 * no configuration.
 * @throws ConfigError naming the variable or file at fault, never its content.
 */
export function statePassphrases(
  config: Pick<Config, "statePassphraseFile">,
  env: Readonly<Record<string, string | undefined>>,
): StatePassphrases {
  const file = config.statePassphraseFile;
  const given = env[PASSPHRASE] || undefined;
  if (file !== undefined && given !== undefined) {
    throw new ConfigError(`${PASSPHRASE} and the file ${file} both give a passphrase; give one of them`);
  }
  const text = file === undefined ? given : readPassphrase(file);
  const source = file ?? PASSPHRASE;
  if (text !== undefined && text.length < SHORTEST_PASSPHRASE) {
    throw new ConfigError(`${source} must hold at least ${SHORTEST_PASSPHRASE} characters`);
  }
  const old = env[`${PASSPHRASE}_OLD`] || undefined;
  return {
    ...(text !== undefined && { passphrase: { text, source } }),
    ...(old !== undefined && { oldPassphrase: { text: old, source: `${PASSPHRASE}_OLD` } }),
  };
}

function readPassphrase(file: string): string {
  try {
    if (sep === "/" && (statSync(file).mode & 0o077) !== 0) {
      throw new ConfigError(`${file} is open to other users; run: chmod 600 '${file}'`);
    }
    return readFileSync(file, "utf8").replace(/\r?\n$/, "");
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    throw new ConfigError(`--state-passphrase-file ${file} cannot be read: ${(cause as Error).message}`);
  }
}

/** Every variable of one source, theirs before ours: ours wins where both are set. */
function takeVariables(env: Env, take: (key: Key, value: unknown, name: string) => void): void {
  const set = (name: string): string | undefined => env[name] || undefined;
  for (const [name, key] of Object.entries(OLD_VARIABLES)) {
    const text = set(name);
    if (text !== undefined) take(key, fromText(key, text, name), name);
  }
  for (const [name, key] of Object.entries(OLD_SWITCHES)) if (isOff(set(name))) take(key, 0, name);
  for (const [name, { key, means }] of Object.entries(SHARED_VARIABLES)) {
    const value = means(set(name) ?? "");
    if (value !== undefined) take(key, value, name);
  }
  for (const key of KEYS) {
    const text = set(envName(key));
    if (text !== undefined) take(key, fromText(key, text, envName(key)), envName(key));
  }
}

/** Options of single commands: they configure nothing, and the command says which of them it takes. */
export interface CommandOptions {
  readonly out?: string;
  readonly reason?: string;
  readonly dryRun?: boolean;
  readonly tool?: string;
  readonly status?: string;
  readonly correlation?: string;
  readonly since?: string;
  readonly limit?: string;
  readonly write?: boolean;
}

const COMMAND_TEXTS = ["out", "reason", "tool", "status", "correlation", "since", "limit"] as const;

/**
 * The configuration out of command-line flags and environment.
 * @throws ConfigError naming the flag, variable or file at fault.
 * @example loadConfig(["--sandbox"], {}).config.sandbox // true
 */
export function loadConfig(
  argv: readonly string[],
  given: Env,
): {
  config: Config;
  positionals: readonly string[];
  help: boolean;
  version: boolean;
  json: boolean;
  options: CommandOptions;
  /** The environment with what --env-file adds to it. */
  env: Env;
  notices: readonly Notice[];
} {
  let parsed: ReturnType<typeof parseFlags>;
  try {
    parsed = parseFlags(argv);
  } catch (cause) {
    throw new ConfigError((cause as Error).message.replace(/ To specify a positional.*$/s, ""));
  }
  const { values, positionals } = parsed;
  const origin = new Map<string, string>();
  const merged: Record<string, unknown> = {};
  const take = (key: string, value: unknown, where: string) => {
    merged[key] = value;
    origin.set(key, where);
  };
  const file = (values.config as string | undefined) ?? given.AWS_DEVOPS_MCP_CONFIG;
  if (file) for (const [key, value] of Object.entries(readConfigFile(file))) take(key, value, `${key} in ${file}`);
  const envFile = (values["env-file"] as string | undefined) ?? (given[envName("envFile")] || undefined);
  const { ours, refused } = envFile === undefined ? { ours: {}, refused: [] } : readEnvFile(envFile);
  // What the environment says of a name, also that it is empty, stands.
  const added = Object.fromEntries(Object.entries(ours).filter(([name]) => given[name] === undefined));
  const env: Env = { ...added, ...given };
  for (const [source, where] of [
    [added, ` in ${envFile}`],
    [given, ""],
  ] as const) {
    takeVariables(source, (key, value, name) => take(key, value, `${name}${where}`));
  }
  for (const key of KEYS) {
    const value = values[kebab(key)];
    if (value === undefined) continue;
    take(key, typeof value === "string" ? fromText(key, value, `--${kebab(key)}`) : value, `--${kebab(key)}`);
  }
  const result = ConfigSchema.safeParse(merged);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    const key = String(issue.path[0] ?? (issue.code === "unrecognized_keys" ? issue.keys[0] : ""));
    throw new ConfigError(`${origin.get(key) ?? key}: ${issue.message}`);
  }
  const config = { ...result.data };
  if (config.readOnly) config.allowWrites = false;
  if (config.sandbox) {
    const mixed = (["profile", "roleArn", "stateKmsKey"] as const).find((key) => config[key] !== undefined);
    if (mixed)
      throw new ConfigError(`--sandbox cannot be combined with ${origin.get(mixed)}: it never touches real AWS`);
    if (config.accounts.length > 0) {
      throw new ConfigError(`--sandbox cannot be combined with ${origin.get("accounts")}: it never touches real AWS`);
    }
    const endpoint = Object.keys(env).find((name) => /^AWS_ENDPOINT_URL(_|$)/.test(name) && env[name]);
    if (endpoint) throw new ConfigError(`--sandbox cannot be combined with ${endpoint}: it never touches real AWS`);
    if (config.cloudwatch)
      throw new ConfigError(`--sandbox cannot be combined with ${origin.get("cloudwatch")}: it never touches real AWS`);
    config.allowWrites = !config.readOnly;
    // Nothing real is at stake there.
    if (merged.approveFrom === undefined) config.approveFrom = "never";
  } else if (config.sandboxWorld) {
    throw new ConfigError(`${origin.get("sandboxWorld")} needs --sandbox`);
  }
  const { passphrase } = statePassphrases(config, env);
  if (config.rollbackSecrets && !passphrase && !config.stateKmsKey) {
    throw new ConfigError(
      `${origin.get("rollbackSecrets")} needs a key: set ${PASSPHRASE} (or --state-passphrase-file FILE), or --state-kms-key`,
    );
  }
  return {
    config: Object.freeze(config),
    positionals,
    help: values.help === true,
    version: values.version === true,
    json: values.json === true,
    env,
    notices: [...(envFile === undefined ? unreadEnvFile() : readNotices(envFile, added, refused))],
    options: {
      ...Object.fromEntries(
        COMMAND_TEXTS.flatMap((name) => (typeof values[name] === "string" ? [[name, values[name]]] : [])),
      ),
      ...(values["dry-run"] === true ? { dryRun: true } : {}),
      ...(values.write === true ? { write: true } : {}),
    },
  };
}

const readNotices = (file: string, added: Env, refused: readonly string[]): Notice[] => [
  { level: "info", message: "read settings from a file", facts: { file, names: Object.keys(added) } },
  ...(refused.length > 0
    ? [
        {
          level: "warn" as const,
          message:
            "credentials, accounts and endpoints are not taken from a file of settings; set them in the environment",
          facts: { file, names: refused },
        },
      ]
    : []),
];

function parseFlags(argv: readonly string[]) {
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = {
    config: { type: "string" },
    "env-file": { type: "string" },
    help: { type: "boolean", short: "h" },
    version: { type: "boolean", short: "v" },
    json: { type: "boolean" },
    ...Object.fromEntries(COMMAND_TEXTS.map((name) => [name, { type: "string" as const }])),
    "dry-run": { type: "boolean" },
    write: { type: "boolean" },
  };
  for (const key of KEYS) options[kebab(key)] = { type: isFlag(key) ? "boolean" : "string" };
  return parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
}

/** One setting as the help and the README's table show it. */
export interface OptionRow {
  readonly flag: string;
  /** What the flag takes; empty for a switch. */
  readonly takes: string;
  readonly variable: string;
  /** Variables of the servers we take over that mean it too. */
  readonly theirs: readonly string[];
  /** Its value where nobody sets it; absent where there is none. */
  readonly fallback?: string;
  /** Begins with the word for what it takes, where it takes something. */
  readonly text: string;
}

const ALSO: readonly OptionRow[] = [
  ["--config", "JSON file with the same keys in camelCase"],
  ["--env-file", "FILE of the form of .env with these variables; the environment wins, and no .env is read unasked"],
].map(([flag = "", text = ""]) => ({
  flag,
  takes: "FILE",
  variable: envName(flag.slice(2).replace("-f", "F")),
  theirs: [],
  text,
}));

/** Every setting there is, in the order of the schema. */
export function optionRows(): readonly OptionRow[] {
  const fallbacks = ConfigSchema.parse({}) as Readonly<Record<string, unknown>>;
  const theirs = (key: Key): string[] => [
    ...[OLD_VARIABLES, OLD_SWITCHES].flatMap((table) =>
      Object.entries(table).flatMap(([name, to]) =>
        to === key ? [table === OLD_SWITCHES ? `${name}=false` : name] : [],
      ),
    ),
    ...Object.entries(SHARED_VARIABLES).flatMap(([name, row]) =>
      row.key === key ? [row.says === "the same" ? name : `${name} (${row.says})`] : [],
    ),
  ];
  return [
    ...KEYS.map((key) => {
      const text = ConfigSchema.shape[key].description ?? "";
      const [first = ""] = text.split(" ");
      const value = fallbacks[key];
      const shown = Array.isArray(value) ? value.join(",") : value === undefined ? "" : String(value);
      return {
        flag: `--${kebab(key)}`,
        takes: isFlag(key) ? "" : /^[A-Z]+$/.test(first) ? first : "VALUE",
        variable: envName(key),
        theirs: theirs(key),
        ...(shown !== "" && { fallback: shown }),
        text,
      };
    }),
    ...ALSO,
  ];
}

/** The flags as `--help` prints them; the README's table is made from the same text. */
export function flagHelp(): string {
  const rows = optionRows().map(
    ({ flag, takes, text }) =>
      [
        `  ${flag}${takes ? ` ${takes}` : ""}`,
        text.startsWith(`${takes} `) ? text.slice(takes.length + 1) : text,
      ] as const,
  );
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return rows.map(([left, right]) => `${left.padEnd(width)}${right}`).join("\n");
}
