// Variables of the servers we take over: each reaches its option, ours wins, and a wrong one is named.

import { chmodSync, writeFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { type Config, loadConfig, optionRows } from "../../src/config.js";
import { temporaryFolder } from "../harness.js";

const of = (env: Record<string, string>, ...args: string[]): Config => loadConfig(args, env).config;

describe("a variable of theirs", () => {
  it.each<[string, string, keyof Config, unknown]>([
    ["COMPLIANCE_CACHE_TTL_SECONDS", "120", "cacheTtlSeconds", 120],
    ["REGION_CACHE_TTL_SECONDS", "90", "regionCacheTtlSeconds", 90],
    ["POLICY_PATH", "/p.json", "policyPath", "/p.json"],
    ["POLICY_FILE_PATH", "/q.json", "policyPath", "/q.json"],
    ["FALLBACK_TO_DEFAULT_POLICY", "false", "fallbackToDefaultPolicy", false],
    ["AUTO_IMPORT_AWS_POLICY", "false", "autoImportPolicy", false],
    ["AUTO_IMPORT_POLICY_ID", "p-0123456789", "autoImportPolicyId", "p-0123456789"],
    ["RESOURCE_TYPES_CONFIG_PATH", "/types.json", "resourceTypesPath", "/types.json"],
    ["SCHEDULER_ENABLED", "true", "dailySnapshot", true],
    ["SNAPSHOT_SCHEDULE_HOUR", "4", "snapshotHour", 4],
    ["SNAPSHOT_SCHEDULE_MINUTE", "30", "snapshotMinute", 30],
    ["SNAPSHOT_SCHEDULE_TIMEZONE", "Europe/Berlin", "snapshotTimezone", "Europe/Berlin"],
    ["HISTORY_DB_PATH", "/h.db", "historyDbPath", "/h.db"],
    ["DATABASE_PATH", "/d.db", "historyDbPath", "/d.db"],
    ["ALLOWED_REGIONS", " eu-west-1, ,us-east-1 ", "allowedRegions", ["eu-west-1", "us-east-1"]],
    ["MAX_CONCURRENT_REGIONS", "7", "maxConcurrentRegions", 7],
    ["REGION_SCAN_TIMEOUT_SECONDS", "30", "regionScanTimeoutSeconds", 30],
    ["MAX_TOOL_CALLS_PER_SESSION", "250", "callsPerHour", 250],
    ["SESSION_BUDGET_TTL_SECONDS", "600", "budgetSeconds", 600],
    ["MAX_IDENTICAL_CALLS", "9", "identicalCalls", 9],
    ["LOOP_DETECTION_WINDOW_SECONDS", "61", "loopSeconds", 61],
    ["MAX_UNKNOWN_TOOL_ATTEMPTS", "2", "unknownTools", 2],
    ["SECURITY_EVENT_WINDOW_SECONDS", "62", "unknownSeconds", 62],
    ["REDIS_URL", "redis://cache:6379/2", "redisUrl", "redis://cache:6379/2"],
    ["REDIS_TIMEOUT_SECONDS", "3", "redisTimeoutSeconds", 3],
    ["AUDIT_DB_PATH", "/a.db", "auditDb", "/a.db"],
    ["BUDGET_TRACKING_ENABLED", "false", "callsPerHour", 0],
    ["LOOP_DETECTION_ENABLED", "off", "identicalCalls", 0],
    ["SECURITY_MONITORING_ENABLED", "0", "unknownTools", 0],
    ["BUDGET_TRACKING_ENABLED", "true", "callsPerHour", 100],
    ["LOG_LEVEL", "WARNING", "logLevel", "warn"],
    ["LOG_LEVEL", "critical", "logLevel", "error"],
    ["LOG_LEVEL", "verbose", "logLevel", "warn"],
    ["REDIS_TTL", "120", "cacheTtlSeconds", 120],
    ["TOOL_EXECUTION_TIMEOUT_SECONDS", "90", "callSeconds", 90],
    ["AWS_API_TIMEOUT_SECONDS", "10", "awsSeconds", 10],
    ["CLOUDWATCH_ENABLED", "true", "cloudwatch", true],
    ["CLOUDWATCH_ENABLED", "false", "cloudwatch", false],
    ["CLOUDWATCH_LOG_GROUP", "/team/mcp", "cloudwatchLogGroup", "/team/mcp"],
    ["SECURITY_LOG_STREAM", "alerts", "securityLogStream", "alerts"],
    ["ENVIRONMENT", "staging", "environment", "staging"],
    ["ENVIRONMENT", "two words, another program's", "environment", undefined],
    ["DEBUG", "true", "logLevel", "debug"],
    ["DEBUG", "express:*", "logLevel", "warn"],
  ])("%s=%s is %s", (name, text, key, value) => {
    expect(of({ [name]: text })[key]).toEqual(value);
  });

  it("is what the more telling of two says", () => {
    expect(of({ REDIS_TTL: "120", COMPLIANCE_CACHE_TTL_SECONDS: "180" }).cacheTtlSeconds).toBe(180);
    expect(of({ DEBUG: "1", LOG_LEVEL: "ERROR" }).logLevel).toBe("error");
  });

  it("blanks are no number: a limit is never lifted by them", () => {
    expect(() => of({ MAX_TOOL_CALLS_PER_SESSION: " " })).toThrow(/MAX_TOOL_CALLS_PER_SESSION/);
  });

  it("yields to ours, and ours to a flag", () => {
    const env = { MAX_TOOL_CALLS_PER_SESSION: "1", AWS_DEVOPS_MCP_CALLS_PER_HOUR: "2" };
    expect(of(env).callsPerHour).toBe(2);
    expect(of(env, "--calls-per-hour", "3").callsPerHour).toBe(3);
    expect(of({ BUDGET_TRACKING_ENABLED: "false", AWS_DEVOPS_MCP_CALLS_PER_HOUR: "2" }).callsPerHour).toBe(2);
  });

  it.each([
    ["MAX_TOOL_CALLS_PER_SESSION", "many"],
    ["SESSION_BUDGET_TTL_SECONDS", "59"],
    ["LOOP_DETECTION_WINDOW_SECONDS", "5"],
    ["SECURITY_EVENT_WINDOW_SECONDS", "0"],
    ["MAX_CONCURRENT_REGIONS", "21"],
    ["REGION_SCAN_TIMEOUT_SECONDS", "9"],
    ["COMPLIANCE_CACHE_TTL_SECONDS", "1"],
    ["TOOL_EXECUTION_TIMEOUT_SECONDS", "0"],
    ["AWS_API_TIMEOUT_SECONDS", "1000"],
    ["CLOUDWATCH_LOG_GROUP", "no such group"],
    ["SECURITY_LOG_STREAM", "a:b"],
  ])("%s=%s is refused by its name", (name, text) => {
    expect(() => of({ [name]: text })).toThrow(new RegExp(`^${name}: `));
  });

  it("that is empty says nothing, and names of others are nobody's", () => {
    expect(of({ MAX_TOOL_CALLS_PER_SESSION: "", LOG_LEVEL: "", MAX_TOOL_CALLS: "1" })).toEqual(of({}));
  });
});

describe("a file of settings", () => {
  const folder = temporaryFolder();
  afterAll(folder.remove);
  const written = (text: string, mode = 0o600): string => {
    const path = `${folder.path}/settings-${mode}.env`;
    writeFileSync(path, text);
    chmodSync(path, mode);
    return path;
  };
  const SECRET = "correct-horse-battery";
  const FILE = [
    "# of the server before",
    "MAX_TOOL_CALLS_PER_SESSION=7",
    'AWS_DEVOPS_MCP_LOG_LEVEL="info"',
    "export LOOP_DETECTION_ENABLED=false",
    `REDIS_PASSWORD=${SECRET}`,
    "AWS_REGION=eu-west-3",
    "AWS_PROFILE=somebody-else",
    "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
    "AWS_ENDPOINT_URL=http://evil.example",
    "AWS_DEVOPS_MCP_PROFILE=somebody-else",
    "AWS_DEVOPS_MCP_ROLE_ARN=arn:aws:iam::111111111111:role/evil",
    "AWS_DEVOPS_MCP_CONFIG=/etc/passwd",
    "NODE_OPTIONS=--require=/evil.js",
    "PATH=/evil",
  ].join("\n");

  it("is read where it is named, under the environment and the flags, and for names of ours alone", () => {
    const path = written(FILE);
    const { config, env, notices } = loadConfig(["--env-file", path], { PATH: "/usr/bin", AWS_PROFILE: "mine" });
    expect(config).toMatchObject({ callsPerHour: 7, logLevel: "info", identicalCalls: 0 });
    expect([config.profile, config.roleArn]).toEqual([undefined, undefined]);
    expect(env).toEqual({
      ...{ PATH: "/usr/bin", AWS_PROFILE: "mine", AWS_REGION: "eu-west-3", REDIS_PASSWORD: SECRET },
      ...{ MAX_TOOL_CALLS_PER_SESSION: "7", LOOP_DETECTION_ENABLED: "false", AWS_DEVOPS_MCP_LOG_LEVEL: "info" },
    });
    expect(notices.map(({ facts }) => [...(facts.names as string[])].sort())).toEqual([
      [
        ...["AWS_DEVOPS_MCP_LOG_LEVEL", "AWS_REGION", "LOOP_DETECTION_ENABLED"],
        ...["MAX_TOOL_CALLS_PER_SESSION", "REDIS_PASSWORD"],
      ],
      [
        ...["AWS_ACCESS_KEY_ID", "AWS_DEVOPS_MCP_CONFIG", "AWS_DEVOPS_MCP_PROFILE"],
        ...["AWS_DEVOPS_MCP_ROLE_ARN", "AWS_ENDPOINT_URL", "AWS_PROFILE"],
      ],
    ]);
    expect(JSON.stringify(notices)).not.toContain(SECRET);
    expect(loadConfig(["--env-file", path, "--calls-per-hour", "9"], {}).config.callsPerHour).toBe(9);
  });

  it("never overrides the environment: neither by a name of ours, nor where that says nothing", () => {
    const ours = written("AWS_DEVOPS_MCP_CALLS_PER_HOUR=1\nREDIS_URL=redis://elsewhere:6379");
    const env = { MAX_TOOL_CALLS_PER_SESSION: "55", REDIS_URL: "", AWS_DEVOPS_MCP_ENV_FILE: ours };
    const read = loadConfig([], env);
    expect(read.config.callsPerHour).toBe(55);
    expect(read.config.redisUrl).toBeUndefined();
    expect(read.env.REDIS_URL).toBe("");
  });

  it("that is wrong is named, and nothing of it is repeated", () => {
    const tell = (text: string, mode?: number): string => {
      try {
        loadConfig(["--env-file", written(text, mode)], {});
      } catch (error) {
        return (error as Error).message;
      }
      return "";
    };
    expect(tell(`MAX_TOOL_CALLS_PER_SESSION=${SECRET}`)).toMatch(/^MAX_TOOL_CALLS_PER_SESSION in .*: /);
    expect(tell(`AWS_DEVOPS_MCP_ALLOW_WRITES=${SECRET}`)).toMatch(/must be true or false$/);
    expect(tell(`AWS_DEVOPS_MCP_STATE_PASSPHRASE=${SECRET}`, 0o644)).toContain("chmod 600");
    expect(tell(`AWS_DEVOPS_MCP_STATE_PASSPHRASE=${SECRET}`)).toBe("");
    for (const text of [
      `MAX_TOOL_CALLS_PER_SESSION=${SECRET}`,
      `REDIS_URL=http://user:${SECRET}@host`,
      `AWS_DEVOPS_MCP_READ_ONLY=${SECRET}`,
      `AWS_DEVOPS_MCP_STATE_PASSPHRASE=${SECRET}`,
    ]) {
      expect(tell(text, 0o644), text).not.toBe("");
      expect(tell(text, 0o644), text).not.toContain(SECRET);
    }
    expect(() => loadConfig(["--env-file", `${folder.path}/none`], {})).toThrow(/cannot be read/);
  });
});

it("every variable of the reference is an option's, or read elsewhere", () => {
  const told = new Set([...optionRows().flatMap(({ theirs }) => theirs.map((name) => name.replace(/[= ].*$/, "")))]);
  const elsewhere = ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "REDIS_PASSWORD"];
  const missing = THEIRS.filter((name) => !told.has(name) && !elsewhere.includes(name));
  expect(missing).toEqual([]);
});

const THEIRS = `
  AWS_REGION AWS_DEFAULT_REGION AWS_PROFILE POLICY_PATH POLICY_FILE_PATH RESOURCE_TYPES_CONFIG_PATH ALLOWED_REGIONS
  MAX_CONCURRENT_REGIONS REGION_SCAN_TIMEOUT_SECONDS REGION_CACHE_TTL_SECONDS COMPLIANCE_CACHE_TTL_SECONDS REDIS_URL REDIS_PASSWORD
  REDIS_TTL HISTORY_DB_PATH DATABASE_PATH AUDIT_DB_PATH BUDGET_TRACKING_ENABLED MAX_TOOL_CALLS_PER_SESSION
  SESSION_BUDGET_TTL_SECONDS LOOP_DETECTION_ENABLED MAX_IDENTICAL_CALLS LOOP_DETECTION_WINDOW_SECONDS SECURITY_MONITORING_ENABLED
  MAX_UNKNOWN_TOOL_ATTEMPTS SECURITY_EVENT_WINDOW_SECONDS AUTO_IMPORT_AWS_POLICY AUTO_IMPORT_POLICY_ID FALLBACK_TO_DEFAULT_POLICY
  SCHEDULER_ENABLED SNAPSHOT_SCHEDULE_HOUR SNAPSHOT_SCHEDULE_MINUTE SNAPSHOT_SCHEDULE_TIMEZONE TOOL_EXECUTION_TIMEOUT_SECONDS
  AWS_API_TIMEOUT_SECONDS REDIS_TIMEOUT_SECONDS LOG_LEVEL ENVIRONMENT DEBUG CLOUDWATCH_ENABLED CLOUDWATCH_LOG_GROUP
  SECURITY_LOG_STREAM
`
  .trim()
  .split(/\s+/);
