// The MCP edge: the only file that knows the protocol's SDK. One server instance per connection, one app behind them.

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
import { digest } from "./core/json.js";
import { readCallOf, refOf, TEMPLATE } from "./resource-uri.js";

const LIST_TTL_MS = 3_600_000;
/** How long a human may think about a form. The token of the change may expire before that. */
const FORM_TTL_SECONDS = 600;
/** The name of the one request, and of the one field of its form. */
const APPROVAL = "approval";

/** What a client carries from the question to the repeated call. Signed, not secret. */
interface Sealed extends Pick<ApprovalForm, "changeId" | "planDigest"> {
  /** Of the arguments of the call that was asked about: the reply counts for that call only. */
  readonly call: string;
}

/** Serves the app over stdio, in both protocol eras. `closed` resolves when the client has gone. */
export function serveApp(
  app: App,
  streams: { readonly stdin: NodeJS.ReadableStream; readonly onError: (error: Error) => void },
): { closed: Promise<void>; close(): Promise<void> } {
  const handle = serveStdio(() => createServer(app), {
    transport: new StdioServerTransport(),
    onerror: streams.onError,
  });
  const closed = new Promise<void>((resolve) => {
    for (const event of ["end", "close"] as const) streams.stdin.once(event, () => resolve());
  });
  return { closed, close: () => handle.close() };
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
    const unknown = app.unknownTool(name);
    if (unknown) throw new ProtocolError(ProtocolErrorCode.InvalidParams, String(unknown.message), unknown);
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
    // Progress written in the same tick as the answer is lost on the 2025 era.
    if (step > 0) await new Promise((resolve) => setImmediate(resolve));
    if (form) {
      const { changeId, planDigest } = form;
      return inputRequired({
        inputRequests: { [APPROVAL]: inputRequired.elicit(question(form)) },
        requestState: await seals.mint({ changeId, planDigest, call: digest([name, given]) }, ctx),
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
    const { tool, arguments: given } = readCallOf(ref);
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
  const { changeId, planDigest } = sealed;
  return { changeId, planDigest, action: response.action, typed: typeof typed === "string" ? typed : "" };
}
