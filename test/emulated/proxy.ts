// Stands between the product and its AWS: records what AWS saw, and injects the faults of rules.ts. It forwards Host unchanged,
// because enforcement checks signatures. One address serves every service; `routes` sends some of them elsewhere.
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { withEpochTimes, withStatus } from "./rewrite.js";
import { type Effects, type Match, matches, type Rule, RuleBook } from "./rules.js";
import { type AwsRequest, errorReply, readAws, type WireReply, type WireRequest } from "./wire.js";

/** What became of a request: answered by a backend, its reply lost, or stopped here. */
export type Fate = "answered" | "replyDropped" | "requestDropped" | "injected" | "gap";

export interface Seen extends AwsRequest {
  readonly number: number;
  /** The name of the backend that would answer: "moto", or the route's ("scripted"). */
  readonly backend: string;
  readonly fate: Fate;
  /** Undefined when no backend and no rule answered. */
  readonly status: number | undefined;
}

/** An operation the emulator lacks: neither a product failure nor a pass. */
export interface EmulatorGap {
  readonly service: string;
  readonly operation: string;
  readonly detail: string;
}

export interface Backend {
  readonly url: string;
  readonly name: string;
}

export interface ProxyOptions {
  /** Service (credential scope) to another backend: `{ cloudcontrolapi: { url, name: "scripted" } }`. */
  readonly routes?: Readonly<Record<string, Backend | string>>;
  /** Name of the main backend in the records. */
  readonly name?: string;
}

export interface FaultProxy {
  readonly endpoint: string;
  /** Every finished request, in order of arrival of its answer. */
  readonly seen: readonly Seen[];
  readonly gaps: readonly EmulatorGap[];
  /** Finite rules that no request has met. */
  readonly unused: readonly Rule[];
  rule(...rules: readonly Rule[]): void;
  /** The requests AWS saw, filtered. */
  calls(match?: Match): Seen[];
  /** Resolves when the n-th matching request has arrived (before it is held, answered or forwarded). */
  arrived(match: Match, count?: number): Promise<void>;
  /** Forget rules, records and gaps, keep the connection. */
  clear(): void;
  stop(): Promise<void>;
}

export async function startProxy(target: string, options: ProxyOptions = {}): Promise<FaultProxy> {
  const book = new RuleBook();
  const seen: Seen[] = [];
  const gaps: EmulatorGap[] = [];
  const arrivals: AwsRequest[] = [];
  let waiting: { match: Match; count: number; resolve: () => void }[] = [];
  let number = 0;

  const backendOf = (service: string): Backend => {
    const route = options.routes?.[service];
    if (route === undefined) return { url: target, name: options.name ?? "moto" };
    return typeof route === "string" ? { url: route, name: "scripted" } : route;
  };

  const noteArrival = (request: AwsRequest) => {
    arrivals.push(request);
    waiting = waiting.filter(({ match, count, resolve }) => {
      if (arrivals.filter((each) => matches(match, each)).length < count) return true;
      resolve();
      return false;
    });
  };

  const handle = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const wire = await readWire(incoming);
    const request = readAws(wire);
    const backend = backendOf(request.service);
    const record = { ...request, number: ++number, backend: backend.name };
    const note = (fate: Fate, status?: number) => seen.push({ ...record, fate, status });
    const effects = book.take(request);
    noteArrival(request);
    await effects.hold;
    await effects.before?.(request);
    if (effects.dropRequest) {
      note("requestDropped");
      reset(response);
      return;
    }
    if (effects.answer) {
      const refusal = typeof effects.answer === "function" ? effects.answer(request) : effects.answer;
      const { status, code, message = "Injected by the proxy." } = refusal;
      note("injected", status);
      await send(response, errorReply(request, status, code, message), effects);
      return;
    }
    if (effects.reply) {
      const { status = 200, body } = effects.reply;
      const type = body.trimStart().startsWith("<") ? "text/xml" : "application/x-amz-json-1.1";
      note("injected", status);
      await send(response, { status, headers: { "content-type": type }, body: Buffer.from(body) }, effects);
      return;
    }
    const answer = await forward(backend.url, wire).catch(() => undefined);
    if (!answer) {
      // The backend closed the connection: so does its stand-in.
      note("replyDropped");
      reset(response);
      return;
    }
    await effects.after?.(request);
    const gap = gapIn(answer, request);
    if (gap) {
      gaps.push(gap);
      note("gap", answer.status);
      // Not 500: the SDK would try three times and then report a parse error.
      await send(response, errorReply(request, 501, "EmulatorGap", gap.detail), {});
      return;
    }
    note(effects.dropReply ? "replyDropped" : effects.rewrite ? "injected" : "answered", answer.status);
    if (effects.dropReply) reset(response);
    else await send(response, rewritten(answer, effects, request), effects);
  };

  const server = createServer({ keepAliveTimeout: 60_000 }, (incoming, response) => {
    handle(incoming, response).catch(() => reset(response));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref();

  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    gaps,
    get unused() {
      return book.unused;
    },
    rule: (...rules) => {
      for (const rule of rules) book.add(rule);
    },
    calls: (match = {}) => seen.filter((each) => matches(match, each)),
    arrived: (match, count = 1) => {
      if (arrivals.filter((each) => matches(match, each)).length >= count) return Promise.resolve();
      return new Promise((resolve) => waiting.push({ match, count, resolve }));
    },
    clear: () => {
      book.clear();
      for (const list of [seen, gaps, arrivals]) list.length = 0;
    },
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

async function readWire(incoming: IncomingMessage): Promise<WireRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return {
    method: incoming.method ?? "GET",
    url: incoming.url ?? "/",
    headers: incoming.headers,
    body: Buffer.concat(chunks),
  };
}

function forward(target: string, wire: WireRequest): Promise<WireReply> {
  const { hostname, port } = new URL(target);
  const { connection: _, "transfer-encoding": __, expect: ___, ...kept } = wire.headers;
  const headers = { ...kept, "content-length": String(wire.body.length) };
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      { hostname, port, method: wire.method, path: wire.url, headers, agent: false },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.once("error", reject);
        answer.once("end", () => {
          const pairs = Object.entries(answer.headers).filter(([name]) => !hopByHop.has(name));
          const flat = pairs.map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : String(value)]);
          resolve({ status: answer.statusCode ?? 502, headers: Object.fromEntries(flat), body: Buffer.concat(chunks) });
        });
      },
    );
    outgoing.once("error", reject);
    outgoing.end(wire.body);
  });
}

const hopByHop = new Set(["connection", "keep-alive", "transfer-encoding"]);

/** moto answers what it lacks with an HTML page: 500 "not implemented", or 404 for an unrouted host. */
function gapIn(answer: WireReply, { service, operation }: AwsRequest): EmulatorGap | undefined {
  if (answer.status < 400 || !/text\/html/.test(answer.headers["content-type"] ?? "")) return undefined;
  const text = answer.body.toString();
  if (!/^\s*<(!doctype html|html|title)/i.test(text)) return undefined;
  const said = text
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, 200);
  return { service, operation, detail: `The emulator lacks ${service} ${operation} (${answer.status}: ${said})` };
}

function rewritten(answer: WireReply, { isoToEpoch, status, rewrite }: Effects, request: AwsRequest): WireReply {
  if (answer.status >= 400 || answer.body.length === 0 || (!isoToEpoch && !status && !rewrite)) return answer;
  let body = answer.body.toString();
  if (status) body = withStatus(body, status.field, status.value);
  if (isoToEpoch) body = withEpochTimes(body);
  if (rewrite) body = rewrite(body, request);
  return { ...answer, body: Buffer.from(body) };
}

async function send(response: ServerResponse, { status, headers, body }: WireReply, { stall }: Effects): Promise<void> {
  // The length of a HEAD answer is that of the body it does not have.
  const length = response.req.method === "HEAD" ? {} : { "content-length": String(body.length) };
  response.writeHead(status, { ...headers, ...length });
  if (stall) {
    response.write(body.subarray(0, body.length >> 1));
    await stall;
    response.end(body.subarray(body.length >> 1));
  } else response.end(body);
}

function reset(response: ServerResponse): void {
  response.socket?.resetAndDestroy();
}
