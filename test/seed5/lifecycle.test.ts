// The published diagram of a call, story by story, over stdio: through the real pipeline, the SDK, an AWS scripted on HTTP and an
// audit log in SQLite. Each port notes the state that it stands for, and what they noted has to be the story's own way.

import { rmSync } from "node:fs";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { AUDIT_SCHEMA, createAudit } from "../../src/audit.js";
import { createAws } from "../../src/aws/index.js";
import { memoryCache } from "../../src/cache.js";
import { guardrailLimits, loadConfig } from "../../src/config.js";
import type { Clock } from "../../src/core/ports.js";
import { memoryMeters } from "../../src/meters.js";
import { serveApp } from "../../src/server.js";
import { sqlite } from "../../src/sqlite.js";
import { taggingFiles } from "../../src/tagging/files.js";
import { memoryHistory } from "../../src/tagging/history.js";
import { memorySchedules } from "../../src/tagging/schedules.js";
import { emulatedEnvironment } from "../emulated/clients.js";
import { type ScriptedAnswer, type ScriptedHttp, startScriptedHttp } from "../emulated/scripted-http.js";
import { temporaryFolder } from "../harness.js";
import { inMemory } from "../in-memory.js";
import { teller } from "./diagrams.js";
import { STORIES } from "./stories.js";

const folder = temporaryFolder();
afterAll(() => rmSync(folder.path, { recursive: true, force: true }));

/** States that a port shows from outside; what lies between two of them is the pipeline's, and shown by the answer. */
const SHOWN = new Set([
  ...["RequestReceived", "RequestError", "ValidationError", "BudgetCheck", "BudgetExhausted", "LoopDetection"],
  ...["LoopDetected", "UnknownTool", "CacheCheck", "AWSAPICall", "AWSError", "CacheStorage", "HistoryStorage"],
  ...["AuditLogging", "ErrorAuditLogging", "ResponseSuccess"],
]);
const REFUSAL: Readonly<Record<string, string>> = {
  request_error: "RequestError",
  security_violation: "ValidationError",
  validation_error: "ValidationError",
  budget_exhausted: "BudgetExhausted",
  loop_detected: "LoopDetected",
  unknown_tool: "UnknownTool",
};
const shownOf = (story: keyof typeof STORIES.lifecycle): string[] =>
  [STORIES.lifecycle[story]]
    .flat()
    .flatMap((path) => path.split(/ →(?:\{.*?\})? /))
    .filter((state) => SHOWN.has(state));

const clock: Clock = {
  now: () => new Date("2026-11-21T10:00:00Z"),
  monotonic: () => 0,
  sleep: (_, signal) =>
    new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason))),
};

let trace: string[] = [];
/** Errors that AWS answers to the next calls, in order. */
let failing: string[] = [];
let http: ScriptedHttp;
const STATUS: Readonly<Record<string, number>> = { RequestLimitExceeded: 503, UnauthorizedOperation: 403 };
const ANSWERS: Readonly<Record<string, string>> = {
  GetCallerIdentity:
    "<GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/ada</Arn><Account>123456789012</Account><UserId>A</UserId></GetCallerIdentityResult>",
  DescribeRegions:
    "<regionInfo><item><regionName>eu-west-1</regionName><regionEndpoint>e</regionEndpoint><optInStatus>opt-in-not-required</optInStatus></item></regionInfo>",
  DescribeVolumes:
    "<volumeSet><item><volumeId>vol-0123456789abcdef0</volumeId><status>in-use</status><tagSet><item><key>Owner</key><value>web</value></item></tagSet></item></volumeSet>",
};

beforeAll(async () => {
  http = await startScriptedHttp(({ body }): ScriptedAnswer => {
    const action = new URLSearchParams(body).get("Action") ?? "";
    const headers = { "content-type": "text/xml" };
    if (action === "DescribeVolumes" || action === "DescribeInstances") {
      trace.push("AWSAPICall");
      const code = failing.shift();
      if (code) {
        trace.push("AWSError");
        const error = `<Response><Errors><Error><Code>${code}</Code><Message>no</Message></Error></Errors></Response>`;
        return { status: STATUS[code]!, headers, body: error };
      }
    }
    return { status: 200, headers, body: `<${action}Response>${ANSWERS[action] ?? ""}</${action}Response>` };
  });
  Object.assign(process.env, emulatedEnvironment(http.endpoint));
  return () => http.stop();
});

type Message = Readonly<Record<string, unknown>>;

/** A server on two streams. `fail` names what cannot be written. */
async function stage({ args = [] as readonly string[], fail = "" as "" | "cache" | "history" } = {}) {
  const all = ["--revalidate", "off", "--data", folder.path, ...args];
  const { config } = loadConfig(["--sandbox", ...all], {});
  const noted =
    <A extends readonly unknown[], R>(state: (...given: A) => string | null, does: (...given: A) => Promise<R>) =>
    (...given: A): Promise<R> => {
      const at = state(...given);
      if (at) trace.push(...at.split(" "));
      return does(...given);
    };
  const broken = () => Promise.reject(new Error("disk full"));
  const limits = guardrailLimits(config);
  const meters = memoryMeters({ ...limits, clock });
  const db = sqlite({
    path: `${folder.path}/${crypto.randomUUID()}.db`,
    schema: AUDIT_SCHEMA,
    clock,
    owner: { host: "test", bootId: "b", pid: 1, pidStart: "1", session: "s" },
    liveness: () => "unknown",
  });
  const audit = createAudit({ db, clock, log: () => {}, required: false, days: 90, megabytes: 10 });
  const cache = memoryCache(clock);
  const history = memoryHistory();
  const scans = (key: string, state: string) => (key.startsWith("compliance:") ? state : null);
  const session = await inMemory({
    args: all,
    env: {},
    wrap: () => createAws({ env: process.env, region: "eu-west-1", version: "test", clock, log: () => {} }),
    cacheStore: {
      ...cache,
      get: noted((key) => scans(key, "CacheCheck"), cache.get),
      set: noted((key, _text, _ttl) => scans(key, "CacheStorage"), fail === "cache" ? broken : cache.set),
    },
    ports: {
      meters: {
        ...meters,
        spend: noted(() => "BudgetCheck", meters.spend),
        attempt: noted((_tool, _signature) => "LoopDetection", meters.attempt),
      },
      audit: {
        ...audit,
        end: noted(({ status, refusalClass = "" }) => {
          const state = REFUSAL[refusalClass];
          return status === "success" ? "AuditLogging" : `${state ? `${state} ` : ""}ErrorAuditLogging`;
        }, audit.end),
      },
      tagging: {
        files: taggingFiles({ policyPath: "none.json", folder: null, fallbackToDefault: true, clock }),
        schedules: memorySchedules(),
        history: {
          ...history,
          store: noted((..._of) => "HistoryStorage", fail === "history" ? broken : history.store),
        },
      },
    },
  });
  const [stdin, stdout] = [new PassThrough(), new PassThrough()];
  const edge = serveApp(session.app, { stdin, stdout, onError: () => {} });
  const waiting: Array<(message: Message) => void> = [];
  let rest = "";
  stdout.on("data", (chunk) => {
    const lines = (rest + String(chunk)).split("\n");
    rest = lines.pop()!;
    for (const line of lines) waiting.shift()?.(JSON.parse(line));
  });
  const say = (line: string): Promise<Message> => {
    // What is no message is answered in the same tick.
    const answer = new Promise<Message>((resolve) => void waiting.push(resolve));
    stdin.write(`${line}\n`);
    return answer;
  };
  const ask = (id: number, method: string, params: object) =>
    say(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
  await ask(0, "initialize", {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "test", version: "1" },
  });
  stdin.write(`${JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" })}\n`);
  let calls = 0;
  const received = async (answer: () => Promise<Message>): Promise<Message> => {
    trace = ["RequestReceived"];
    const message = await answer();
    const { isError } = (message.result ?? { isError: true }) as { isError?: boolean };
    if (!isError) trace.push("ResponseSuccess");
    return message;
  };
  return {
    line: (text: string) => received(() => say(text)),
    // biome-ignore lint/suspicious/noExplicitAny: answers are read as a client reads them
    async call(name: string, given: object = {}): Promise<any> {
      const { result, error } = await received(() => ask(++calls, "tools/call", { name, arguments: given }));
      if (error) return error;
      const { structuredContent, isError = false } = result as { structuredContent: object; isError?: boolean };
      return { ...structuredContent, isError };
    },
    /** The newest row of the log. */
    row: async () => (await audit.query({ limit: 1 })).rows[0],
    async close() {
      await edge.close();
      await session.app.close();
    },
  };
}

const CHECK = { resource_types: ["ec2:volume"] };

describe("the diagram of a call", () => {
  const tell = teller("lifecycle");
  /** Tells a story on a server of its own; what its ports noted since the last call has to be the story's way. */
  const onStage = (
    title: keyof typeof STORIES.lifecycle,
    options: Parameters<typeof stage>[0],
    story: (server: Awaited<ReturnType<typeof stage>>) => Promise<void>,
  ) =>
    tell(title, async () => {
      failing = [];
      const server = await stage(options);
      try {
        await story(server);
        expect(trace).toEqual(shownOf(title));
      } finally {
        await server.close();
      }
    });

  onStage("an answer from AWS", {}, async ({ call, row }) => {
    const answer = await call("tags_check", { ...CHECK, store_snapshot: true });
    expect(answer).toMatchObject({ isError: false, total_resources: 1, source: "live", stored_in_history: true });
    expect(answer.violations.length).toBeGreaterThan(0);
    expect(await row()).toMatchObject({ tool_name: "tags.check", status: "success" });
  });

  onStage("an answer from the cache", {}, async ({ call }) => {
    await call("tags_check", CHECK);
    expect(await call("tags_check", CHECK)).toMatchObject({ isError: false, total_resources: 1, source: "cache" });
  });

  onStage("what no cache keeps", {}, async ({ call }) => {
    const answer = await call("instances_list");
    expect(answer).toMatchObject({ isError: false, instances: [] });
    expect(answer.source).toBeUndefined();
  });

  onStage("a cache that cannot be written", { fail: "cache" }, async ({ call }) => {
    expect(await call("tags_check", CHECK)).toMatchObject({ isError: false, total_resources: 1, source: "live" });
  });

  onStage("a history that cannot be written", { fail: "history" }, async ({ call }) => {
    expect(await call("tags_check", { ...CHECK, store_snapshot: true })).toMatchObject({
      ...{ isError: false, total_resources: 1, stored_in_history: false },
      not_stored_because: expect.stringContaining("could not be written"),
    });
  });

  onStage("a line that is no JSON", {}, async ({ line, row }) => {
    expect(await line("{bad")).toMatchObject({ id: null, error: { code: -32700 } });
    // The row is written beside the answer, which says nothing that it could testify to.
    expect(await row()).toMatchObject({ status: "failure", refusal_class: "request_error" });
  });

  onStage("an attack", {}, async ({ call, row }) => {
    expect(await call("instances_get", { instanceId: "i-1' OR '1'='1" })).toMatchObject({ code: "security_violation" });
    expect(await row()).toMatchObject({ parameters: { _security_violation: "injection_attempt" } });
  });

  onStage("a budget that is spent", { args: ["--calls-per-hour", "1"] }, async ({ call, row }) => {
    await call("instances_list");
    expect(await call("instances_list")).toMatchObject({ code: "budget_exhausted", current_usage: 1, limit: 1 });
    expect(await row()).toMatchObject({ refusal_class: "budget_exhausted" });
  });

  onStage("a loop", {}, async ({ call, row }) => {
    for (let n = 0; n < 3; n++) expect((await call("instances_list")).isError).toBe(false);
    expect(await call("instances_list")).toMatchObject({ code: "loop_detected", call_count: 4, max_calls: 3 });
    expect(await row()).toMatchObject({ refusal_class: "loop_detected" });
  });

  onStage("a tool that does not exist", {}, async ({ call, row }) => {
    expect(await call("instances_explode")).toMatchObject({ code: -32602, data: { code: "unknown_tool" } });
    expect(await row()).toMatchObject({ tool_name: "instances_explode", refusal_class: "unknown_tool" });
  });

  onStage("arguments of another shape", {}, async ({ call, row }) => {
    expect(await call("instances_get", { instanceId: 7 })).toMatchObject({
      code: "validation_error",
      field: "instanceId",
    });
    expect(await row()).toMatchObject({ tool_name: "instances.get", refusal_class: "validation_error" });
  });

  onStage("an error of AWS that passes", {}, async ({ call }) => {
    failing = ["RequestLimitExceeded"];
    expect(await call("tags_check", CHECK)).toMatchObject({ isError: false, total_resources: 1, source: "live" });
  });

  onStage("an error of AWS that stays", {}, async ({ call, row }) => {
    failing = Array(3).fill("RequestLimitExceeded");
    expect(await call("instances_list")).toMatchObject({ isError: true, code: "throttled" });
    expect(await row()).toMatchObject({ refusal_class: "throttled", status: "failure" });
  });

  onStage("an error of AWS that is final", {}, async ({ call, row }) => {
    failing = ["UnauthorizedOperation"];
    expect(await call("instances_list")).toMatchObject({ isError: true, code: "access_denied" });
    expect(await row()).toMatchObject({ refusal_class: "access_denied" });
  });
});
