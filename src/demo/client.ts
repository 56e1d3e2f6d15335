// The demo's assistant: a real MCP client on the stdio of a real server process.

import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import type { JsonObject } from "../core/json.js";

export interface Spawn {
  readonly command: string;
  readonly args: readonly string[];
}

export interface Told {
  readonly isError: boolean;
  readonly data: JsonObject;
  readonly text: readonly string[];
}

export interface Assistant {
  call(tool: string, args: JsonObject): Promise<Told>;
  close(): Promise<void>;
}

/** Starts the server and opens a session with it. */
export async function connect({ command, args }: Spawn, env: Readonly<Record<string, string>>): Promise<Assistant> {
  const client = new Client({ name: "aws-devops-mcp-demo", version: "1" });
  await client.connect(new StdioClientTransport({ command, args: [...args], env: { ...env } }));
  return {
    async call(tool, args_) {
      const result = await client.callTool({ name: tool, arguments: { ...args_ } });
      const content = (result.content ?? []) as Array<{ text?: string }>;
      return {
        isError: result.isError === true,
        data: (result.structuredContent ?? {}) as JsonObject,
        text: content.map((block) => block.text ?? ""),
      };
    },
    close: () => client.close(),
  };
}
