// A scripted Cloud Control on loopback, speaking the service's wire protocol (awsJson1_0). It is ours: what it says about AWS is not
// independently verified. Tests hold `world`, `rules` and `clock`; another process holds the same under /_control/.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { control } from "./control.js";
import { CloudControlError, exceptions } from "./errors.js";
import { type Account, type Input, type Output, perform } from "./operations.js";
import { Requests } from "./requests.js";
import { type Operation, type Rule, RuleBook } from "./rules.js";
import type { Place } from "./types.js";
import { World } from "./world.js";

export interface CloudControlOptions {
  readonly port?: number;
  /** Access key id to account; any other key is 123456789012. */
  readonly accounts?: Readonly<Record<string, string>>;
  /** Where world.get/put/remove look when no place is given. */
  readonly region?: string;
  /** Status calls a write takes when no rule says otherwise. */
  readonly polls?: number;
  readonly now?: () => number;
}

/** A call as it arrived. `error` is the exception's name; "replyLost" and "requestLost" name a reset connection. */
export interface Call extends Place {
  readonly number: number;
  readonly operation: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly status: number | undefined;
  readonly error?: string;
}

export interface CloudControl {
  readonly endpoint: string;
  readonly world: World;
  readonly calls: readonly Call[];
  readonly rules: RuleBook;
  readonly clock: { advance(milliseconds: number): void };
  rule(...rules: readonly Rule[]): void;
  /** Ends every open request, as if time had passed. */
  settle(): void;
  /** A new account: no resources, requests, rules or calls, and the clock as at the start. */
  reset(): void;
  stop(): Promise<void>;
}

export async function startCloudControl(options: CloudControlOptions = {}): Promise<CloudControl> {
  const { accounts = {}, region = "eu-west-1", polls = 1, now = Date.now } = options;
  let ahead = 0;
  const calls: Call[] = [];
  const account: Account = {
    world: new World({ account: "123456789012", region }),
    requests: new Requests(() => now() + ahead),
    rules: new RuleBook(),
    polls,
  };
  const handles: Omit<CloudControl, "endpoint" | "stop"> = {
    world: account.world,
    calls,
    rules: account.rules,
    clock: {
      advance: (milliseconds) => {
        ahead += milliseconds;
      },
    },
    rule: (...rules) => {
      for (const rule of rules) account.rules.add(rule);
    },
    settle: () => account.requests.settle(),
    reset: () => {
      for (const part of [account.world, account.requests, account.rules]) part.clear();
      calls.length = 0;
      ahead = 0;
    },
  };

  const answer = (incoming: IncomingMessage, body: string, response: ServerResponse) => {
    const operation = String(incoming.headers["x-amz-target"] ?? "").replace(/^CloudApiService\./, "");
    const { accessKeyId, ...scope } = scopeOf(incoming);
    const place = { account: accounts[accessKeyId] ?? "123456789012", region: scope.region };
    const params = read(body);
    const note = (status: number | undefined, error?: string) =>
      calls.push({ number: calls.length + 1, operation, ...place, params, status, ...(error && { error }) });
    try {
      const { body: output, loseReply } = serve(operation, params, scope.service, place, account);
      note(loseReply ? undefined : 200, loseReply ? "replyLost" : undefined);
      if (loseReply) response.socket?.resetAndDestroy();
      else reply(response, 200, output);
    } catch (error) {
      if (error instanceof RequestLost) {
        note(undefined, "requestLost");
        response.socket?.resetAndDestroy();
        return;
      }
      if (!(error instanceof CloudControlError)) throw error;
      const status = exceptions[error.exception];
      note(status, error.exception);
      const __type = `com.amazonaws.cloudcontrol#${error.exception}`;
      reply(response, status, { __type, Message: error.message, message: error.message });
    }
  };

  const server = createServer({ keepAliveTimeout: 60_000 }, async (incoming, response) => {
    const body = await text(incoming);
    try {
      if (incoming.url?.startsWith("/_control/")) reply(response, 200, control(incoming, body, handles));
      else answer(incoming, body, response);
    } catch (error) {
      // Our own fault, never AWS's: say so in a shape that no test can take for a service error.
      reply(response, 418, { scriptedCloudControl: String(error instanceof Error ? error.stack : error) });
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  server.unref();
  return {
    ...handles,
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

class RequestLost extends Error {}

const operations: readonly string[] = [
  "CreateResource",
  "GetResource",
  "UpdateResource",
  "DeleteResource",
  "ListResources",
  "GetResourceRequestStatus",
  "ListResourceRequests",
  "CancelResourceRequest",
] satisfies Operation[];

function serve(name: string, input: Input, service: string, place: Place, account: Account): Output {
  if (service !== "cloudcontrolapi") {
    throw new CloudControlError(
      "UnrecognizedClientException",
      `Credential should be scoped to cloudcontrolapi, not '${service}'.`,
    );
  }
  if (!operations.includes(name))
    throw new CloudControlError("UnsupportedActionException", `Unknown operation ${name}.`);
  const operation = name as Operation;
  const call = { operation, type: input.TypeName, identifier: input.Identifier };
  const { fail, loseRequest } = account.rules.take(call, ["fail", "loseRequest"]);
  if (loseRequest) throw new RequestLost();
  if (fail) throw new CloudControlError(fail.fail!, fail.message ?? `Injected ${fail.fail}.`);
  return perform(operation, input, place, account);
}

function scopeOf({ headers }: IncomingMessage) {
  const credential = /Credential=([^,\s]+)/.exec(headers.authorization ?? "")?.[1] ?? "";
  const [accessKeyId = "", , region = "", service = ""] = credential.split("/");
  return { accessKeyId, region, service };
}

function read(body: string): Input & Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(body);
  } catch {
    return {};
  }
}

async function text(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function reply(response: ServerResponse, status: number, body: object): void {
  const bytes = JSON.stringify(body);
  response.writeHead(status, {
    "content-type": "application/x-amz-json-1.0",
    "x-amzn-requestid": "00000000-0000-0000-0000-000000000000",
    "content-length": Buffer.byteLength(bytes),
  });
  response.end(bytes);
}
