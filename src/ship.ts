// What this server says of itself, sent on to CloudWatch Logs: audit rows, security events, log lines, with metrics of them.
// Nobody waits for it: what cannot be sent is kept for a while, told of once, and never stops a call.

import { OpsError } from "./core/errors.js";
import { toItsEnd } from "./core/given-up.js";
import { inTime } from "./core/in-time.js";
import { isObject, type JsonObject } from "./core/json.js";
import type { AuditRow, Clock, Log, LogSink, Ship } from "./core/ports.js";
import { outsideOfCalls } from "./log.js";

export interface ShipOptions {
  readonly sink: LogSink;
  readonly clock: Clock;
  /** Not one whose lines are sent on. */
  readonly log: Log;
  readonly securityStream: string;
  readonly environment?: string | undefined;
  readonly sessionId: string;
  readonly host: string;
}

export interface Shipped {
  readonly stream: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly text: string;
}

const NAMESPACE = "aws-devops-mcp";
/** Kept while they cannot be sent; the oldest go first. */
const MOST_WAITING = 2_000;
const SEND_AFTER_MS = 2_000;
/** Between two attempts after one that failed; doubled with each. */
const FIRST_PAUSE_MS = 15_000;
const LONGEST_PAUSE_MS = 300_000;
/** How long the end of the server waits for the last of them. */
const PATIENCE_MS = 3_000;
/** CloudWatch counts 26 bytes an event, and takes a megabyte, 10,000 events and a day in one request. */
const EVENT_BYTES = 26;
const MOST_BYTES = 1_000_000;
const MOST_EVENTS = 1_000;
const MOST_SPAN_MS = 23 * 3_600_000;
const MOST_TEXT = 200_000;

/** @example const ship = createShip({ sink, clock, log, securityStream: "security", sessionId, host }) */
export function createShip({ sink, clock, log, securityStream, environment, sessionId, host }: ShipOptions): Ship {
  let waiting: Shipped[] = [];
  let lost = 0;
  let away = false;
  let pause = FIRST_PAUSE_MS;
  let notBefore = Number.NEGATIVE_INFINITY;
  let sending: Promise<void> | null = null;
  let due: (() => void) | undefined;
  let ended = false;
  const always = { Service: NAMESPACE, ...(environment !== undefined && { Environment: environment }) };

  function keep(stream: string, at: number, body: JsonObject): void {
    const text = JSON.stringify(body);
    waiting.push({ stream, at, text: text.length <= MOST_TEXT ? text : JSON.stringify({ truncated: text.length }) });
    if (waiting.length > MOST_WAITING) lost += waiting.splice(0, waiting.length - MOST_WAITING).length;
    if (waiting.length >= MOST_EVENTS) void send();
    else sendSoon();
  }

  function sendSoon(): void {
    if (ended) return;
    const ms = Math.max(SEND_AFTER_MS, notBefore - clock.monotonic());
    due ??= outsideOfCalls(() => clock.later?.(ms, () => void send()));
  }

  function send(): Promise<void> {
    due?.();
    due = undefined;
    // In nobody's name: no call's id, and no call's end.
    sending ??= toItsEnd(() => outsideOfCalls(sendAll)).finally(() => {
      sending = null;
      if (waiting.length > 0) sendSoon();
    });
    return sending;
  }

  async function sendAll(): Promise<void> {
    if (clock.monotonic() < notBefore) return;
    const all = waiting;
    waiting = [];
    const parts = batches(all);
    for (const [index, part] of parts.entries()) {
      try {
        const { refused } = await sink.put(part[0]!.stream, part);
        lost += refused;
        back();
      } catch (error) {
        gone(error);
        // An answer that was lost may have been a yes: counted twice would be worse than not at all.
        const maySend = error instanceof OpsError && error.code === "outcome_unknown" ? index + 1 : index;
        if (maySend > index) lost += part.length;
        waiting = [...parts.slice(maySend).flat(), ...waiting].slice(-MOST_WAITING);
        return;
      }
    }
  }

  function back(): void {
    if (away) log("info", "CloudWatch Logs takes what this server says again", { lost });
    away = false;
    lost = 0;
    pause = FIRST_PAUSE_MS;
    notBefore = Number.NEGATIVE_INFINITY;
  }

  function gone(error: unknown): void {
    if (!away) {
      const { code, message } = error instanceof OpsError ? error : { code: "internal", message: String(error) };
      const told = "CloudWatch Logs does not take what this server says; calls go on, and it is tried again";
      log("warn", told, { code, why: message });
    }
    away = true;
    notBefore = clock.monotonic() + pause;
    pause = Math.min(LONGEST_PAUSE_MS, pause * 2);
  }

  return {
    call(row) {
      const at = Date.parse(row.at);
      keep("audit", at, { ...callMetrics(row, always, at), ...callFacts(row), sessionId, host });
    },
    security({ type, severity, ...facts }) {
      const at = clock.now().getTime();
      keep(securityStream, at, {
        ...metrics(at, always, { Type: type }, [["Service", "Type"]], { SecurityEvents: ["Count", 1] }),
        ...{ severity, ...facts, sessionId, host },
      });
    },
    line(text) {
      const parsed: unknown = JSON.parse(text);
      if (isObject(parsed))
        keep("server", clock.now().getTime(), { ...always, ...(parsed as JsonObject), sessionId, host });
    },
    async settled() {
      notBefore = Number.NEGATIVE_INFINITY;
      const last = (sending ?? Promise.resolve()).then(() => (waiting.length > 0 ? send() : undefined));
      await inTime(last, PATIENCE_MS, clock);
      ended = true;
      due?.();
      sink.close();
    },
  };
}

type Measured = Readonly<Record<string, readonly [unit: "Count" | "Milliseconds", value: number]>>;

/** A line that CloudWatch also counts: its embedded metric format. */
function metrics(
  at: number,
  always: Readonly<Record<string, string>>,
  own: Readonly<Record<string, string>>,
  by: readonly (readonly string[])[],
  measured: Measured,
): JsonObject {
  const sets = by.map((set) => ("Environment" in always ? [...set, "Environment"] : [...set]));
  return {
    _aws: {
      Timestamp: at,
      CloudWatchMetrics: [
        {
          Namespace: NAMESPACE,
          Dimensions: sets,
          Metrics: Object.entries(measured).map(([Name, [Unit]]) => ({ Name, Unit })),
        },
      ],
    },
    ...always,
    ...own,
    ...Object.fromEntries(Object.entries(measured).map(([name, [, value]]) => [name, value])),
  };
}

/** Refusals for want of such a tool: what was asked for is the caller's text, and no name of a metric. */
const NO_TOOL: ReadonlySet<string> = new Set(["unknown_tool", "rate_limited", "request_error"]);

function callMetrics(row: AuditRow, always: Readonly<Record<string, string>>, at: number): JsonObject {
  const { refusalClass = "none", status, tool, durationMs } = row;
  const failed = status === "failure";
  return metrics(
    at,
    always,
    { Tool: NO_TOOL.has(refusalClass) ? "unknown" : tool, Code: refusalClass },
    [["Service"], ["Service", "Tool"], ...(failed ? [["Service", "Code"]] : [])],
    { Calls: ["Count", 1], Failures: ["Count", failed ? 1 : 0], Duration: ["Milliseconds", durationMs] },
  );
}

const callFacts = ({ tool, status, correlationId, parameters, error }: AuditRow): JsonObject => ({
  tool,
  status,
  correlationId,
  parameters,
  ...(error !== undefined && { error }),
});

/** Requests CloudWatch takes: of one stream each, oldest first. */
export function batches(events: readonly Shipped[]): readonly (readonly Shipped[])[] {
  const parts: Shipped[][] = [];
  const sorted = [...events].sort((a, b) => (a.stream === b.stream ? a.at - b.at : a.stream < b.stream ? -1 : 1));
  let bytes = 0;
  for (const event of sorted) {
    const size = Buffer.byteLength(event.text) + EVENT_BYTES;
    const part = parts.at(-1);
    const first = part?.[0];
    const fits =
      part &&
      first?.stream === event.stream &&
      part.length < MOST_EVENTS &&
      bytes + size <= MOST_BYTES &&
      event.at - first.at <= MOST_SPAN_MS;
    if (fits) part.push(event);
    else parts.push([event]);
    bytes = fits ? bytes + size : size;
  }
  return parts;
}
