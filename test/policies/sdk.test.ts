// Section 8 and R9 against the real SDKs, both generations, low-level and high-level server, over a real client.

import { Client as ClientV2 } from "@modelcontextprotocol/client";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { InMemoryTransport as TransportV1 } from "@modelcontextprotocol/sdk/inMemory.js";
import { Server as ServerV1 } from "@modelcontextprotocol/sdk/server/index.js";
import { McpServer as McpServerV1 } from "@modelcontextprotocol/sdk/server/mcp.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import {
  McpServer as McpServerV2,
  Server as ServerV2,
  InMemoryTransport as TransportV2,
} from "@modelcontextprotocol/server";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type InvalidationEvent, StateSync, wrapRegisterTool } from "../../policies/state-sync/index.js";

const META = "aws-devops-mcp/state-sync";
const TEXT = "[System: Cache invalidated for sprints_* — caused by sprints_update]";
const schema = { type: "object" as const, properties: { id: { type: "number" } } };
const tools = [
  { name: "sprints_list", description: "List sprints.", inputSchema: schema },
  { name: "sprints_update", description: "Change a sprint.", inputSchema: schema },
  {
    name: "sprints_close",
    description: "Close a sprint.",
    inputSchema: schema,
    outputSchema: { type: "object" as const, properties: { ok: { type: "boolean" } }, additionalProperties: false },
  },
];
const handler = async (name: string, args: Record<string, unknown>) => {
  if (name === "sprints_close") return { structuredContent: { ok: true } };
  if (!tools.some((tool) => tool.name === name))
    return { content: [{ type: "text", text: `no ${name}` }], isError: true };
  return {
    content: [{ type: "text", text: `${name} ${JSON.stringify(args)}` }],
    structuredContent: { id: args.id ?? 0 },
  };
};

function sync() {
  const events: InvalidationEvent[] = [];
  const state = new StateSync({
    defaults: { cacheControl: "no-store" },
    policies: [
      { match: "sprints.update", invalidates: ["sprints.*"] },
      { match: "sprints.close", invalidates: ["sprints.*"] },
      { match: "native.update", invalidates: ["native.*"] },
    ],
    names: { toWire: (n) => n.replaceAll(".", "_"), toCanonical: (n) => n.replaceAll("_", ".") },
    onInvalidation: (event) => void events.push(event),
  });
  return { state, events };
}

interface Page {
  tools: { name: string; description?: string; inputSchema?: unknown }[];
}
interface Answer {
  content: { type: string; text: string }[];
  structuredContent?: Record<string, unknown>;
  isError?: boolean;
  _meta?: Record<string, unknown>;
}
interface Talk {
  list(): Promise<Page>;
  call(name: string, args?: object): Promise<Answer>;
}
interface High {
  server: object;
  registerTool(
    name: string,
    config: object,
    callback: (...args: never[]) => unknown,
  ): { update(changes: object): void };
}
interface Generation {
  low(options?: { capabilities?: object }): object;
  high(options?: { capabilities?: object }): High;
  connect(server: object): Promise<Talk>;
}

const info = { name: "t", version: "1" };
const v1: Generation = {
  low: (options) => new ServerV1(info, options as never),
  high: (options) => new McpServerV1(info, options as never) as unknown as High,
  async connect(server) {
    const [ours, theirs] = TransportV1.createLinkedPair();
    const client = new ClientV1(info);
    await Promise.all([(server as ServerV1).connect(theirs), client.connect(ours)]);
    return {
      list: async () => (await client.listTools()) as Page,
      call: async (name, args) =>
        (await client.callTool({ name, ...(args && { arguments: args as never }) })) as unknown as Answer,
    };
  },
};
const v2: Generation = {
  low: (options) => new ServerV2(info, options as never),
  high: (options) => new McpServerV2(info, options as never) as unknown as High,
  async connect(server) {
    const [ours, theirs] = TransportV2.createLinkedPair();
    const client = new ClientV2(info);
    await Promise.all([(server as ServerV2).connect(theirs), client.connect(ours as never)]);
    return {
      list: async () => (await client.listTools()) as unknown as Page,
      call: async (name, args) =>
        (await client.callTool({ name, ...(args && { arguments: args as never }) })) as unknown as Answer,
    };
  },
};

const NATIVE = { description: "Change something native.", inputSchema: z.object({}) };
const native = async () => ({ content: [{ type: "text", text: "native" }] });

describe.each([
  ["v1 1.32.2", v1],
  ["v2 2.4.0", v2],
])("%s", (_, sdk) => {
  describe.each(["Server", "McpServer"])("%s", (kind) => {
    const fresh = (options?: { capabilities?: object }) => (kind === "Server" ? sdk.low(options) : sdk.high(options));

    it.each([
      ["no capability declared", undefined],
      ["capability declared", { capabilities: { tools: {} } }],
    ])("serves decorated tools and signals (%s)", async (_, options) => {
      const { state, events } = sync();
      const server = fresh(options);
      // A wrapper installs its own handlers at construction when the capability is declared.
      state.attachToServer(
        server,
        { tools, handler },
        { existing: kind === "McpServer" && options ? "replace" : "error" },
      );
      const client = await sdk.connect(server);
      const listed = await client.list();
      expect(listed.tools.map(({ name, description }) => [name, description])).toEqual([
        ["sprints_list", "List sprints. [Cache-Control: no-store]"],
        ["sprints_update", "Change a sprint. [Cache-Control: no-store]"],
        ["sprints_close", "Close a sprint. [Cache-Control: no-store]"],
      ]);
      const answer = await client.call("sprints_update", { id: 7 });
      expect(answer.content.map(({ text }) => text)).toEqual([TEXT, 'sprints_update {"id":7}']);
      expect(answer.structuredContent).toMatchObject({
        id: 7,
        stateSync: { invalidated: ["sprints_*"], causedBy: "sprints_update" },
      });
      expect(answer._meta?.[META]).toEqual(answer.structuredContent?.stateSync);
      const read = await client.call("sprints_list");
      expect(read).toMatchObject({ content: [{ text: "sprints_list {}" }], structuredContent: { id: 0 } });
      expect(read._meta?.[META]).toBeUndefined();
      expect(events.map(({ causedBy }) => causedBy)).toEqual(["sprints.update"]);
    });

    it("does not make a client reject a closed structured answer", async () => {
      const server = fresh();
      sync().state.attachToServer(server, { tools, handler });
      const client = await sdk.connect(server);
      await client.list();
      const answer = await client.call("sprints_close");
      expect(answer.structuredContent).toEqual({ ok: true });
      expect(answer.content.map(({ text }) => text)).toEqual([
        TEXT.replace("sprints_update", "sprints_close"),
        '{"ok":true}',
      ]);
    });

    it("sends unknown tools upstream without a signal", async () => {
      const { state, events } = sync();
      const server = fresh();
      state.attachToServer(server, { tools, handler });
      const client = await sdk.connect(server);
      expect(await client.call("elsewhere")).toMatchObject({ isError: true, content: [{ text: "no elsewhere" }] });
      expect(events).toEqual([]);
    });

    it("tells observers of a throw, and the client of the error", async () => {
      const { state, events } = sync();
      const server = fresh();
      state.attachToServer(server, {
        tools,
        handler: async () => {
          throw new Error("socket closed");
        },
      });
      const client = await sdk.connect(server);
      await expect(client.call("sprints_update")).rejects.toThrow("socket closed");
      expect(events.map(({ outcome }) => outcome)).toEqual(["unknown"]);
    });

    it("detaches: the server has no tools, and can be given new ones", async () => {
      const { state } = sync();
      const server = fresh();
      const detach = state.attachToServer(server, { tools, handler });
      detach();
      detach();
      state.attachToServer(server, { tools: tools.slice(0, 1), handler });
      const client = await sdk.connect(server);
      expect((await client.list()).tools).toHaveLength(1);
    });

    it("detaches while connected: the method is gone", async () => {
      const server = fresh();
      const detach = sync().state.attachToServer(server, { tools, handler });
      const client = await sdk.connect(server);
      detach();
      await expect(client.call("sprints_list")).rejects.toThrow("Method not found");
    });

    it("attaches while connected where the capability was declared", async () => {
      const server = fresh({ capabilities: { tools: {} } });
      const client = await sdk.connect(server);
      sync().state.attachToServer(server, { tools, handler }, { existing: "replace" });
      expect((await client.list()).tools).toHaveLength(3);
    });

    it("refuses to attach while connected where it was not, and says why", async () => {
      const server = fresh();
      await sdk.connect(server);
      let thrown: unknown;
      try {
        sync().state.attachToServer(server, { tools, handler });
      } catch (error) {
        thrown = error;
      }
      const said = [thrown, (thrown as Error).cause].map(String).join(" ");
      expect(said).toContain("Server does not support tools");
    });
  });

  describe("McpServer with tools of its own", () => {
    it("is refused by default, in words", () => {
      const mcp = sdk.high();
      mcp.registerTool("native_update", NATIVE, native);
      const attach = () => sync().state.attachToServer(mcp, { tools, handler });
      expect(attach).toThrow('existing: "compose"');
      expect(attach).toThrow('existing: "replace"');
      expect(attach).toThrow("wrapRegisterTool()");
    });

    it("is refused too when only its capability was declared", () => {
      expect(() => sync().state.attachToServer(sdk.high({ capabilities: { tools: {} } }), { tools, handler })).toThrow(
        "tools/list",
      );
      const low = sdk.high({ capabilities: { tools: {} } }).server;
      expect(() => sync().state.attachToServer(low, { tools, handler })).toThrow("tools/list");
    });

    it("compose: keeps them, decorated, behind ours", async () => {
      const { state, events } = sync();
      const mcp = sdk.high();
      mcp.registerTool("native_update", { ...NATIVE, inputSchema: z.object({ id: z.number().optional() }) }, native);
      state.attachToServer(mcp, { tools, handler }, { existing: "compose" });
      const client = await sdk.connect(mcp);
      const listed = await client.list();
      expect(listed.tools.map(({ name }) => name)).toEqual([
        "sprints_list",
        "sprints_update",
        "sprints_close",
        "native_update",
      ]);
      expect(listed.tools[3]?.description).toBe("Change something native. [Cache-Control: no-store]");
      expect(listed.tools[3]?.inputSchema).toMatchObject({ properties: { id: { type: "number" } } });
      expect((await client.call("native_update", { id: 3 })).content.map(({ text }) => text)).toEqual([
        "[System: Cache invalidated for native_* — caused by native_update]",
        "native",
      ]);
      expect((await client.call("native_update", { id: "three" })).isError).toBe(true);
      expect((await client.call("sprints_update")).content[0]?.text).toBe(TEXT);
      expect(events.map(({ causedBy }) => causedBy)).toEqual(["native.update", "sprints.update"]);
    });

    it("compose: refuses a name on both sides", async () => {
      const mcp = sdk.high();
      mcp.registerTool("sprints_list", NATIVE, native);
      sync().state.attachToServer(mcp, { tools, handler }, { existing: "compose" });
      const client = await sdk.connect(mcp);
      await expect(client.list()).rejects.toThrow('"sprints_list" is both attached and native');
    });

    it("compose: throws where there is nothing to compose with", () => {
      expect(() => sync().state.attachToServer(sdk.high(), { tools, handler }, { existing: "compose" })).toThrow(
        "nothing to compose with",
      );
    });

    it("replace: serves ours until detach, then theirs again", async () => {
      const mcp = sdk.high();
      mcp.registerTool("native_update", NATIVE, native);
      const detach = sync().state.attachToServer(mcp, { tools, handler }, { existing: "replace" });
      const client = await sdk.connect(mcp);
      expect((await client.list()).tools).toHaveLength(3);
      detach();
      expect(await client.list()).toMatchObject({
        tools: [{ name: "native_update", description: "Change something native." }],
      });
      expect((await client.call("native_update")).content[0]?.text).toBe("native");
    });

    it.each([
      [
        "declared at construction, where a later tool would be silently missing",
        { capabilities: { tools: {} } },
        "replace",
      ],
      ["not declared, where the SDK would throw about handlers", undefined, "error"],
    ] as const)("registerTool after attaching says what to do (%s)", async (_, options, existing) => {
      const mcp = sdk.high(options);
      const detach = sync().state.attachToServer(mcp, { tools, handler }, { existing });
      const register = () => mcp.registerTool("late", NATIVE, native);
      for (const words of ['registerTool("late")', "attached tools", "detach()", "wrapRegisterTool()"])
        expect(register).toThrow(words);
      detach();
      register();
      const client = await sdk.connect(mcp);
      expect((await client.list()).tools.map(({ name }) => name)).toEqual(["late"]);
    });
  });

  describe("wrapRegisterTool", () => {
    it("decorates what is registered from now on and installs no handler", async () => {
      const { state, events } = sync();
      const mcp = sdk.high();
      mcp.registerTool("native_early", NATIVE, native);
      const unwrap = wrapRegisterTool(mcp, state.layer);
      mcp.registerTool("native_update", NATIVE, native);
      const closed = {
        description: "Close.",
        inputSchema: z.object({ id: z.number() }),
        outputSchema: z.object({ ok: z.boolean() }),
      };
      mcp.registerTool("sprints_close", closed, async ({ id }: { id: number }) => ({
        content: [],
        structuredContent: { ok: id === 1 },
      }));
      unwrap();
      mcp.registerTool("native_late", NATIVE, native);
      const client = await sdk.connect(mcp);
      expect((await client.list()).tools.map(({ name, description }) => [name, description])).toEqual([
        ["native_early", "Change something native."],
        ["native_update", "Change something native. [Cache-Control: no-store]"],
        ["sprints_close", "Close. [Cache-Control: no-store]"],
        ["native_late", "Change something native."],
      ]);
      expect((await client.call("native_update")).content).toHaveLength(2);
      const answer = await client.call("sprints_close", { id: 1 });
      expect(answer.structuredContent).toEqual({ ok: true });
      expect(answer._meta?.[META]).toMatchObject({ tool: "sprints.close" });
      expect(events).toHaveLength(2);
    });

    it("follows a tool that is described anew, or given another callback", async () => {
      const { state } = sync();
      const mcp = sdk.high();
      wrapRegisterTool(mcp, state.layer);
      const tool = mcp.registerTool("native_update", NATIVE, native);
      tool.update({ description: "New words.", callback: async () => ({ content: [{ type: "text", text: "new" }] }) });
      const client = await sdk.connect(mcp);
      expect((await client.list()).tools[0]?.description).toBe("New words. [Cache-Control: no-store]");
      expect((await client.call("native_update")).content.map(({ text }) => text)).toEqual([
        "[System: Cache invalidated for native_* — caused by native_update]",
        "new",
      ]);
    });
  });
});

it("takes the first generation's own schemas as keys", async () => {
  const server = v1.low();
  sync().state.attachToServer(
    server,
    { tools, handler },
    { keys: { list: ListToolsRequestSchema, call: CallToolRequestSchema } },
  );
  const client = await v1.connect(server);
  expect((await client.list()).tools).toHaveLength(3);
  expect((await client.call("sprints_update")).content[0]?.text).toBe(TEXT);
});

it("leaves the second generation's cache hints to the SDK", async () => {
  const server = new ServerV2(info, {
    cacheHints: { "tools/list": { ttlMs: 3_600_000, cacheScope: "private" } },
  } as never);
  sync().state.attachToServer(server, { tools: () => ({ tools, ttlMs: 7, cacheScope: "private" }) as never, handler });
  const client = await v2.connect(server);
  expect((await client.list()).tools).toHaveLength(3);
});
