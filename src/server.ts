// The MCP edge: the only file that knows the protocol's SDK. One server instance per connection, one app behind them.

import { Transform, type Writable } from "node:stream";
import {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  type ClientCapabilities,
  createRequestStateCodec,
  type Implementation,
  inputRequired,
  inputResponse,
  ProtocolError,
  ProtocolErrorCode,
  Server,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { StdioServerTransport, serveStdio } from "@modelcontextprotocol/server/stdio";
import type { App } from "./app.js";
import type { ApprovalForm, ApprovalReply } from "./core/call.js";
import { digest, isObject } from "./core/json.js";
import { refOf, TEMPLATE } from "./resource-uri.js";

const LIST_TTL_MS = 3_600_000;
/** How long a human may think about a form. The token of the change may expire before that. */
const FORM_TTL_SECONDS = 600;
/** The name of the one request, and of the one field of its form. */
const APPROVAL = "approval";

/** A name that is no tool's is an error of the protocol; whatever else is refused is a tool's answer. */
const NO_TOOL: ReadonlySet<string> = new Set(["unknown_tool", "rate_limited"]);

/** What a client carries from the question to the repeated call. Signed, not secret. */
interface Sealed extends Pick<ApprovalForm, "changeId" | "planDigest" | "risk"> {
  /** Of the arguments of the call that was asked about: the reply counts for that call only. */
  readonly call: string;
}

/** Serves the app over stdio, in both protocol eras. `closed` resolves when the client has gone. */
export function serveApp(
  app: App,
  streams: {
    readonly stdin: NodeJS.ReadableStream;
    readonly stdout: Writable;
    readonly onError: (error: Error) => void;
  },
): { closed: Promise<void>; close(): Promise<void> } {
  const lines = messages(app, streams.stdout);
  const handle = serveStdio(() => createServer(app), {
    transport: new StdioServerTransport(streams.stdin.pipe(lines), streams.stdout),
    onerror: streams.onError,
  });
  const closed = new Promise<void>((resolve) => {
    for (const event of ["end", "close"] as const) streams.stdin.once(event, () => resolve());
  });
  return {
    closed,
    async close() {
      await handle.close();
      // An input that is listened to keeps the process alive.
      streams.stdin.unpipe(lines);
      streams.stdin.pause();
    },
  };
}

/** A line longer than this is not held here; the transport refuses it. */
const MOST_LINE_BYTES = 10_000_000;

/** Lets lines through to the SDK. What is no message is answered and gets its row here, because the SDK drops it silently. */
function messages(app: App, stdout: Writable): Transform {
  let held: Buffer = Buffer.alloc(0);
  const isMessage = (line: Buffer): boolean => {
    const text = line.toString("utf8").trim();
    if (text === "") return true;
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      const error = { code: ProtocolErrorCode.ParseError, message: "This line is not JSON." };
      stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id: null, error })}\n`);
      void app.malformed("", error.message);
      return false;
    }
    // The SDK answers these; here they get their row.
    const wrong = wrongCall(message);
    if (wrong) void app.malformed(wrong.name, wrong.because);
    return true;
  };
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      for (let end = held.indexOf(10); end >= 0; end = held.indexOf(10)) {
        const line = held.subarray(0, end + 1);
        held = held.subarray(end + 1);
        if (isMessage(line)) this.push(line);
      }
      if (held.length > MOST_LINE_BYTES) {
        this.push(held);
        held = Buffer.alloc(0);
      }
      done();
    },
  });
}

/** Why a tools/call is none, else null. */
function wrongCall(message: unknown): { readonly name: string; readonly because: string } | null {
  if (!isObject(message) || message.method !== "tools/call") return null;
  const params = isObject(message.params) ? message.params : {};
  const name = typeof params.name === "string" ? params.name : "";
  if (name === "") return { name, because: "tools/call names no tool" };
  const { arguments: given } = params;
  return given === undefined || isObject(given) ? null : { name, because: "arguments is not an object" };
}

/** One MCP server over the app: a connection's, or a test's. */
export function createServer(app: App): Server {
  const seals = createRequestStateCodec<Sealed>({ key: app.sealKey, ttlSeconds: FORM_TTL_SECONDS });
  const server = new Server(
    { name: "aws-devops-mcp", title: "AWS DevOps with state protection", version: app.version },
    {
      capabilities: { tools: {}, resources: { subscribe: true } },
      instructions: app.instructions,
      requestState: { verify: seals.verify },
      // What is live is never served from a client's cache.
      cacheHints: {
        "tools/list": { ttlMs: LIST_TTL_MS, cacheScope: "private" },
        "resources/list": { ttlMs: 0, cacheScope: "private" },
        "resources/templates/list": { ttlMs: LIST_TTL_MS, cacheScope: "private" },
        "resources/read": { ttlMs: 0, cacheScope: "private" },
      },
    },
  );
  server.setRequestHandler("tools/list", () => ({ tools: app.tools as never }));
  serveResources(server, app);
  server.setRequestHandler("tools/call", async (request, ctx) => {
    const { name, arguments: given = {}, _meta } = request.params;
    const progressToken = _meta?.progressToken;
    let step = 0;
    let form: ApprovalForm | undefined;
    const reply = replyOf(ctx, [name, given]);
    const answer = await app.call(name, given, {
      client: clientOf(server, ctx),
      ...(showsForms(server, ctx) && {
        askHuman(wanted: ApprovalForm) {
          form = wanted;
        },
      }),
      ...(reply && { reply }),
      progress(message, done, total) {
        if (progressToken === undefined) return;
        step = done ?? step + 1;
        void ctx.mcpReq
          .notify({
            method: "notifications/progress",
            params: { progressToken, progress: step, ...(total ? { total } : {}), message },
          })
          .catch(() => {});
      },
    });
    const { code, message } = answer.structuredContent;
    if (!app.isTool(name) && NO_TOOL.has(String(code)))
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, String(message), answer.structuredContent);
    // Progress written in the same tick as the answer is lost on the 2025 era.
    if (step > 0) await new Promise((resolve) => setImmediate(resolve));
    if (form) {
      const { changeId, planDigest, risk } = form;
      return inputRequired({
        inputRequests: { [APPROVAL]: inputRequired.elicit(question(form)) },
        requestState: await seals.mint({ changeId, planDigest, risk, call: digest([name, given]) }, ctx),
      }) as never;
    }
    return answer as never;
  });
  return server;
}

/** Live resources under their uris: read through the same tools, and named again whenever what was shown is outdated. */
function serveResources(server: Server, app: App): void {
  const wanted = new Set<string>();
  // The 2025 era subscribes here; in the 2026 era the SDK knows who listens, and drops what nobody asked for.
  const forget = app.onOutdated((uri) => {
    if (server.getClientVersion() === undefined || wanted.has(uri))
      void server.sendResourceUpdated({ uri }).catch(() => {});
  });
  server.onclose = forget;
  server.setRequestHandler("resources/subscribe", ({ params: { uri } }) => {
    wanted.add(uri);
    return {};
  });
  server.setRequestHandler("resources/unsubscribe", ({ params: { uri } }) => {
    wanted.delete(uri);
    return {};
  });
  server.setRequestHandler("resources/list", () => ({
    resources: app.shown().map((resource) => ({ ...resource, mimeType: "application/json" })),
  }));
  server.setRequestHandler("resources/templates/list", () => ({
    resourceTemplates: [
      {
        uriTemplate: TEMPLATE,
        name: "AWS resource",
        description: "A live AWS resource by its CloudFormation type and identifier, read now.",
        mimeType: "application/json",
      },
    ],
  }));
  server.setRequestHandler("resources/read", async ({ params: { uri } }, ctx) => {
    const ref = refOf(uri);
    if (!ref)
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `${uri} is not of the form ${TEMPLATE}`, { uri });
    const { tool, arguments: given } = app.readCall(ref);
    const answer = await app.call(tool, given, { client: clientOf(server, ctx), progress() {} });
    const { account, code, message } = answer.structuredContent;
    if (answer.isError || account !== ref.account) {
      const why = answer.isError
        ? String(message)
        : `These credentials are of account ${String(account)}, not ${ref.account}.`;
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, why, { uri, ...(answer.isError ? { code } : {}) });
    }
    return { contents: [{ uri, mimeType: "application/json", text: answer.content[0]!.text }] };
  });
}

/** One field, in which the name has to be typed: a click alone approves nothing. */
const question = ({ message, phrase }: ApprovalForm) => ({
  mode: "form" as const,
  message,
  requestedSchema: {
    type: "object" as const,
    properties: {
      [APPROVAL]: {
        type: "string" as const,
        title: "Approve",
        description: `To approve exactly this, type ${phrase}`,
      },
    },
    required: [APPROVAL],
  },
});

/** In the 2026 era every request carries what the handshake told before. */
const inEnvelope = <T>(ctx: ServerContext, key: string): T | undefined =>
  (ctx.mcpReq.envelope as Readonly<Record<string, T>> | undefined)?.[key];

const clientOf = (server: Server, ctx: ServerContext): string =>
  (inEnvelope<Implementation>(ctx, CLIENT_INFO_META_KEY) ?? server.getClientVersion())?.name ?? "unknown";

/** Whether the client declares forms; an empty declaration means them. */
function showsForms(server: Server, ctx: ServerContext): boolean {
  const declared = inEnvelope<ClientCapabilities>(ctx, CLIENT_CAPABILITIES_META_KEY) ?? server.getClientCapabilities();
  const { elicitation } = declared ?? {};
  return elicitation !== undefined && (elicitation.form !== undefined || elicitation.url === undefined);
}

/** The human's reply to the question of the round before: only to this very call, and only if its seal is ours. */
function replyOf(ctx: ServerContext, asked: readonly unknown[]): ApprovalReply | undefined {
  const sealed = ctx.mcpReq.requestState<Sealed>();
  const response = inputResponse(ctx.mcpReq.inputResponses, APPROVAL);
  if (!sealed || sealed.call !== digest(asked) || response.kind !== "elicit") return undefined;
  const typed = response.content?.[APPROVAL];
  const { changeId, planDigest, risk } = sealed;
  return { changeId, planDigest, risk, action: response.action, typed: typeof typed === "string" ? typed : "" };
}
