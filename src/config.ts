// One frozen configuration: defaults < file < environment < flags. Every wrong value is refused by name.

import { existsSync, readFileSync, statSync } from "node:fs";
import { isAbsolute, join, resolve, sep } from "node:path";
import { parseArgs } from "node:util";
import { z } from "zod";
import { CHANNELS } from "../policies/approval.js";
import { parseRiskRule, THRESHOLDS } from "../policies/risk.js";
import { isStepPattern, PATTERN_HELP } from "../policies/steps.js";
import { isTimezone } from "../policies/tagging/schedule.js";
import type { DataClass, ListedAccount } from "./core/ports.js";
import { LEVELS } from "./log.js";

const flag = z.boolean();

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
      'LIST of your own levels of risk, such as "critical=delete AWS::EC2::Instance"; the first that fits wins',
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
    .describe("SECONDS changes.apply waits before it hands over"),
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
  historyDbPath: z
    .string()
    .min(1)
    .default("compliance_history.db")
    .describe("FILE of the stored compliance scans (SQLite)"),
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
  COMPLIANCE_CACHE_TTL_SECONDS: "cacheTtlSeconds",
  REGION_CACHE_TTL_SECONDS: "regionCacheTtlSeconds",
  POLICY_PATH: "policyPath",
  POLICY_FILE_PATH: "policyPath",
  AUTO_IMPORT_AWS_POLICY: "autoImportPolicy",
  AUTO_IMPORT_POLICY_ID: "autoImportPolicyId",
  FALLBACK_TO_DEFAULT_POLICY: "fallbackToDefaultPolicy",
  HISTORY_DB_PATH: "historyDbPath",
  DATABASE_PATH: "historyDbPath",
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
    throw new ConfigError(`${where} must be true or false, not "${text}"`);
  }
  if (kind instanceof z.ZodNumber) return Number(text);
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
  env: Readonly<Record<string, string | undefined>>,
): {
  config: Config;
  positionals: readonly string[];
  help: boolean;
  version: boolean;
  json: boolean;
  options: CommandOptions;
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
  const file = (values.config as string | undefined) ?? env.AWS_DEVOPS_MCP_CONFIG;
  if (file) for (const [key, value] of Object.entries(readConfigFile(file))) take(key, value, `${key} in ${file}`);
  for (const [name, key] of Object.entries(OLD_VARIABLES)) {
    const text = env[name];
    if (text !== undefined && text !== "") take(key, fromText(key, text, name), name);
  }
  for (const [name, key] of Object.entries(OLD_SWITCHES)) if (isOff(env[name])) take(key, 0, name);
  // A name that many programs use: what is no level of ours is not meant for us.
  const level = OLD_LEVELS[env.LOG_LEVEL?.toUpperCase() ?? ""];
  if (level) take("logLevel", level, "LOG_LEVEL");
  for (const key of KEYS) {
    const text = env[envName(key)];
    if (text !== undefined && text !== "") take(key, fromText(key, text, envName(key)), envName(key));
  }
  for (const key of KEYS) {
    const given = values[kebab(key)];
    if (given === undefined) continue;
    take(key, typeof given === "string" ? fromText(key, given, `--${kebab(key)}`) : given, `--${kebab(key)}`);
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
    options: {
      ...Object.fromEntries(
        COMMAND_TEXTS.flatMap((name) => (typeof values[name] === "string" ? [[name, values[name]]] : [])),
      ),
      ...(values["dry-run"] === true ? { dryRun: true } : {}),
      ...(values.write === true ? { write: true } : {}),
    },
  };
}

function parseFlags(argv: readonly string[]) {
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = {
    config: { type: "string" },
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

/** The flags as `--help` prints them; the README's table is made from the same text. */
export function flagHelp(): string {
  const rows = KEYS.map((key) => {
    const [first = "", ...rest] = (ConfigSchema.shape[key].description ?? "").split(" ");
    const takes =
      !isFlag(key) && /^[A-Z]+$/.test(first)
        ? [first, rest.join(" ")]
        : [isFlag(key) ? "" : "VALUE", [first, ...rest].join(" ")];
    return [`  --${kebab(key)}${takes[0] ? ` ${takes[0]}` : ""}`, takes[1] ?? ""] as const;
  });
  rows.push(["  --config FILE", "JSON file with the same keys in camelCase"]);
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return rows.map(([left, right]) => `${left.padEnd(width)}${right}`).join("\n");
}
