// An assistant for tests: a real MCP client of either generation, connected to the built server as a child over stdio.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport as StdioTransportV1 } from "@modelcontextprotocol/sdk/client/stdio.js";
import { ElicitRequestSchema, ResourceUpdatedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

import { UNHURRIED } from "./unhurried.js";

const CLI = fileURLToPath(new URL("../dist/cli.js", import.meta.url));
const GUARD = new URL("./emulated/egress-guard.mjs", import.meta.url).href;

export interface Answer {
  readonly isError: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: answers are read as a client reads them, without our types
  readonly data: any;
  readonly text: readonly string[];
  readonly meta: Record<string, unknown>;
}

export interface Assistant {
  call(tool: string, args?: Record<string, unknown>, onProgress?: (message: string) => void): Promise<Answer>;
  tools(): Promise<
    Array<{ name: string; description?: string; inputSchema: object; outputSchema?: object; annotations?: object }>
  >;
  /** The uris that resources/list names. */
  resources(): Promise<readonly string[]>;
  /** What a live resource is, as MCP reads it. */
  // biome-ignore lint/suspicious/noExplicitAny: read as a client reads it
  read(uri: string): Promise<any>;
  /** Subscribes as this generation does; every uri that is said to be updated from then on. */
  subscribe(uri: string): Promise<readonly string[]>;
  readonly pid: number;
  readonly stderr: () => string;
  close(): Promise<void>;
}

export type Generation = "v1" | "v2" | "v2-2026";

export interface ServerOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly client?: Generation;
  /** The person in front of the host: what they answer to a form. Without one the client declares no forms. */
  readonly human?: Human;
  /** A command that runs the server: in another mount namespace, as another user. */
  readonly within?: readonly string[];
}

/** @param message what the form says; @param field what the one field asks for */
export type Human = (message: string, field: string) => Reply | Promise<Reply>;
export type Reply = { action: "accept" | "decline" | "cancel"; content?: Record<string, string> };

const askedOf = (params: unknown): [message: string, field: string] => {
  const { message, requestedSchema } = params as {
    message: string;
    requestedSchema: { properties: { approval: { description: string } } };
  };
  return [message, requestedSchema.properties.approval.description];
};

/** A server process and a client on its stdio. Nothing of this machine's AWS configuration reaches it. */
export async function startAssistant(options: ServerOptions = {}): Promise<Assistant> {
  const { args = [], env = {}, client = "v2", human, within = [] } = options;
  const [command, ...rest] = [...within, process.execPath, "--import", GUARD, CLI, ...args] as [string, ...string[]];
  const parameters = {
    command,
    args: rest,
    env: {
      PATH: process.env.PATH ?? "",
      HOME: env.HOME ?? "/nonexistent",
      ...(process.env.EGRESS_REPORT ? { EGRESS_REPORT: process.env.EGRESS_REPORT } : {}),
      AWS_CONFIG_FILE: "/dev/null",
      AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
      AWS_EC2_METADATA_DISABLED: "true",
      ...UNHURRIED,
      ...env,
    },
    stderr: "pipe" as const,
  };
  return client === "v1"
    ? connectV1(parameters, human)
    : connectV2(parameters, client === "v2-2026" ? "auto" : "legacy", human);
}

type Parameters = ConstructorParameters<typeof StdioClientTransport>[0];

async function connectV2(parameters: Parameters, mode: "auto" | "legacy", human?: Human): Promise<Assistant> {
  const transport = new StdioClientTransport(parameters);
  const stderr = collect(transport.stderr);
  const client = new Client(
    { name: "test", version: "1" },
    { versionNegotiation: { mode }, ...(human && { capabilities: { elicitation: { form: {} } } }) },
  );
  if (human) client.setRequestHandler("elicitation/create", async ({ params }) => human(...askedOf(params)));
  await client.connect(transport);
  return {
    pid: transport.pid ?? 0,
    stderr,
    call: async (name, args = {}, onProgress) =>
      answerOf(
        await client.callTool(
          { name, arguments: args },
          onProgress ? { onprogress: (progress) => onProgress(progress.message ?? "") } : {},
        ),
      ),
    tools: async () => (await client.listTools()).tools,
    resources: async () => (await client.listResources()).resources.map(({ uri }) => uri),
    read: async (uri) => textOf(await client.readResource({ uri })),
    async subscribe(uri) {
      const updated: string[] = [];
      client.setNotificationHandler("notifications/resources/updated", ({ params }) => void updated.push(params.uri));
      if (mode === "auto") await client.listen({ resourceSubscriptions: [uri] });
      else await client.subscribeResource({ uri });
      return updated;
    },
    close: () => client.close(),
  };
}

/** The one text of a resource, as JSON. */
function textOf({ contents: [content] }: { contents: readonly object[] }): unknown {
  return JSON.parse(content && "text" in content ? String(content.text) : "null");
}

async function connectV1(parameters: Parameters, human?: Human): Promise<Assistant> {
  const transport = new StdioTransportV1(parameters as ConstructorParameters<typeof StdioTransportV1>[0]);
  const stderr = collect(transport.stderr);
  const client = new ClientV1({ name: "test-v1", version: "1" }, human ? { capabilities: { elicitation: {} } } : {});
  if (human) client.setRequestHandler(ElicitRequestSchema, async ({ params }) => human(...askedOf(params)));
  await client.connect(transport as Parameters0<typeof client.connect>);
  return {
    pid: transport.pid ?? 0,
    stderr,
    call: async (name, args = {}) => answerOf(await client.callTool({ name, arguments: args })),
    tools: async () => (await client.listTools()).tools,
    resources: async () => (await client.listResources()).resources.map(({ uri }) => uri),
    read: async (uri) => textOf(await client.readResource({ uri })),
    async subscribe(uri) {
      const updated: string[] = [];
      client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => void updated.push(params.uri));
      await client.subscribeResource({ uri });
      return updated;
    },
    close: () => client.close(),
  };
}

type Parameters0<F> = F extends (first: infer P, ...rest: never[]) => unknown ? P : never;

function collect(stream: unknown): () => string {
  let text = "";
  (stream as NodeJS.ReadableStream | null)?.on("data", (chunk) => {
    text += String(chunk);
  });
  return () => text;
}

function answerOf(result: unknown): Answer {
  const {
    content = [],
    structuredContent,
    isError,
    _meta,
  } = result as {
    content?: Array<{ type: string; text?: string }>;
    structuredContent?: unknown;
    isError?: boolean;
    _meta?: Record<string, unknown>;
  };
  return {
    isError: isError === true,
    data: structuredContent,
    text: content.map((block) => block.text ?? ""),
    meta: _meta ?? {},
  };
}

/** A folder that goes with the test. */
export function temporaryFolder(prefix = "aws-devops-mcp-"): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), prefix));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
