// Variables of the servers we take over: each reaches its option, ours wins, and a wrong one is named.

import { describe, expect, it } from "vitest";
import { type Config, loadConfig } from "../../src/config.js";

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
  ])("%s=%s is %s", (name, text, key, value) => {
    expect(of({ [name]: text })[key]).toEqual(value);
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
  ])("%s=%s is refused by its name", (name, text) => {
    expect(() => of({ [name]: text })).toThrow(new RegExp(`^${name}: `));
  });

  it("that is empty says nothing, and names of others are nobody's", () => {
    expect(of({ MAX_TOOL_CALLS_PER_SESSION: "", LOG_LEVEL: "", MAX_TOOL_CALLS: "1" })).toEqual(of({}));
  });
});
