// The MCP edge: the only file that knows the protocol's SDK. One server instance per connection, one app behind them.

import { ProtocolError, ProtocolErrorCode, Server } from "@modelcontextprotocol/server";
import { StdioServerTransport, serveStdio } from "@modelcontextprotocol/server/stdio";
import type { App } from "./app.js";

const LIST_TTL_MS = 3_600_000;

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
  const server = new Server(
    { name: "aws-devops-mcp", title: "AWS DevOps with state protection", version: app.version },
    {
      capabilities: { tools: {} },
      instructions: app.instructions,
      cacheHints: { "tools/list": { ttlMs: LIST_TTL_MS, cacheScope: "private" } },
    },
  );
  server.setRequestHandler("tools/list", () => ({ tools: app.tools as never }));
  server.setRequestHandler("tools/call", async (request, ctx) => {
    const { name, arguments: given = {}, _meta } = request.params;
    const progressToken = _meta?.progressToken;
    let step = 0;
    const unknown = app.unknownTool(name);
    if (unknown) throw new ProtocolError(ProtocolErrorCode.InvalidParams, String(unknown.message), unknown);
    const answer = await app.call(name, given, {
      client: server.getClientVersion()?.name ?? "unknown",
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
    return answer as never;
  });
  return server;
}
