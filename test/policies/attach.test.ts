// Section 8 by shape: what may be attached to what, synchronously, and what detach puts back. The real SDKs are in sdk.test.ts.
import { describe, expect, it, test, vi } from "vitest";
import {
  isRegistry,
  resolveServer,
  StateSync,
  type StateSyncConfig,
  StateSyncLayer,
  type ToolsAndHandler,
  wrapRegisterTool,
} from "../../policies/state-sync/index.js";

type Handler = (request?: unknown, extra?: unknown) => unknown;
type Listed = { tools: { name: string; description?: string }[] } & Record<string, unknown>;

const config: StateSyncConfig = {
  defaults: { cacheControl: "no-store" },
  policies: [{ match: "sprints.update", invalidates: ["sprints.*"] }],
  clock: () => new Date(0),
};
const tools = [
  { name: "sprints.list", description: "List." },
  { name: "sprints.update", description: "Update." },
];
const TEXT = "[System: Cache invalidated for sprints.* — caused by sprints.update]";

/** The least a server can be. */
function bare() {
  const handlers = new Map<unknown, Handler>();
  const server = { setRequestHandler: (key: unknown, handler: Handler) => void handlers.set(key, handler) };
  return {
    server,
    handlers,
    list: (request?: unknown, extra?: unknown) => handlers.get("tools/list")?.(request, extra) as Listed,
    call: (name: string, args?: object, extra?: unknown) =>
      handlers.get("tools/call")?.(
        { method: "tools/call", params: { name, ...(args && { arguments: args }) } },
        extra,
      ) as Promise<{
        content: { text: string }[];
      }>,
  };
}

const ok = async () => ({ content: [{ type: "text", text: "ok" }] });

describe("resolveServer", () => {
  const low = { setRequestHandler() {} };
  it("prefers the wrapped server", () => {
    expect(resolveServer(low)).toBe(low);
    expect(resolveServer({ server: low })).toBe(low);
    expect(resolveServer({ server: low, setRequestHandler() {} })).toBe(low);
    const odd = { server: {}, setRequestHandler() {} };
    expect(resolveServer(odd)).toBe(odd);
  });

  test.each<[unknown, ...string[]]>([
    [null, "received null"],
    [undefined, "received undefined"],
    ["server", "received string"],
    [7, "received number"],
    [() => {}, "received function"],
    [{}, "does not have setRequestHandler", "(none)"],
    [{ server: null, a: 1 }, "does not have setRequestHandler", "server, a"],
    [{ server: { setRequestHandler: "no" } }, "does not have setRequestHandler"],
    [Object.fromEntries("abcdefghijkl".split("").map((k) => [k, 1])), "a, b, c, d, e, f, g, h, i, j"],
  ])("refuses %j", (server, ...words) => {
    for (const word of words) expect(() => resolveServer(server)).toThrow(word);
    expect(() => resolveServer(server)).toThrow(/^attachToServer\(\): /);
    expect(() => new StateSync(config).attachToServer(server, { tools, handler: ok })).toThrow(words[0]);
  });

  it("shows at most ten keys", () => {
    expect(() => resolveServer(Object.fromEntries("abcdefghijkl".split("").map((k) => [k, 1])))).toThrow(/h, i, j$/);
  });
});

describe("isRegistry", () => {
  test.each<[unknown, boolean]>([
    [{ getAllTools() {}, routeCall() {} }, true],
    [Object.assign(() => {}, { getAllTools() {}, routeCall() {} }), true],
    [{ getAllTools() {} }, false],
    [{ getAllTools: [], routeCall() {} }, false],
    [{ tools: [], handler() {} }, false],
    [null, false],
    [undefined, false],
    ["registry", false],
  ])("%o: %j", (x, expected) => expect(isRegistry(x)).toBe(expected));
});

describe("tools/list", () => {
  it("answers synchronously, also when called with no arguments", () => {
    const { server, list } = bare();
    new StateSync(config).attachToServer(server, { tools, handler: ok });
    expect(list()).toEqual({
      tools: [
        { name: "sprints.list", description: "List. [Cache-Control: no-store]" },
        { name: "sprints.update", description: "Update. [Cache-Control: no-store]" },
      ],
    });
  });

  it("reads an array on each list", () => {
    const { server, list } = bare();
    const growing = [...tools];
    new StateSync(config).attachToServer(server, { tools: growing, handler: ok });
    expect(list().tools).toHaveLength(2);
    growing.push({ name: "new", description: "New." });
    expect(list().tools[2]?.description).toBe("New. [Cache-Control: no-store]");
  });

  it("asks a function, with the request and extra, and passes all other fields through", () => {
    const { server, list } = bare();
    const source = vi.fn((_request?: unknown, _extra?: unknown) => ({
      nextCursor: "2",
      tools,
      ttlMs: 9,
      cacheScope: "private",
      _meta: { a: 1 },
    }));
    new StateSync(config).attachToServer(server, { tools: source, handler: ok });
    const request = { method: "tools/list", params: { cursor: "1" } };
    const page = list(request, "extra");
    expect(source).toHaveBeenCalledWith(request, "extra");
    expect(page).toMatchObject({ nextCursor: "2", ttlMs: 9, cacheScope: "private", _meta: { a: 1 } });
    expect(page.tools.map((tool) => tool.name)).toEqual(["sprints.list", "sprints.update"]);
  });

  it("answers a Promise only for a Promise", async () => {
    const { server, list } = bare();
    new StateSync(config).attachToServer(server, { tools: async () => tools, handler: ok });
    const answer = list() as unknown as Promise<Listed>;
    expect(answer).toBeInstanceOf(Promise);
    expect((await answer).tools).toHaveLength(2);
  });

  it("serves a new schema under an old name", () => {
    const { server, list } = bare();
    let version = 1;
    new StateSync(config).attachToServer(server, {
      tools: () => [{ name: "a", inputSchema: { version } }],
      handler: ok,
    });
    expect(list().tools[0]).toMatchObject({ inputSchema: { version: 1 } });
    version = 2;
    expect(list().tools[0]).toMatchObject({ inputSchema: { version: 2 } });
  });
});

describe("tools/call", () => {
  it("passes name, arguments and extra on, and signals", async () => {
    const { server, call } = bare();
    const handler = vi.fn(ok);
    new StateSync(config).attachToServer(server, { tools, handler });
    const result = await call("sprints.update", { id: 7 }, "extra");
    expect(handler).toHaveBeenCalledWith("sprints.update", { id: 7 }, "extra");
    expect(result.content.map(({ text }) => text)).toEqual([TEXT, "ok"]);
    await call("sprints.list");
    expect(handler).toHaveBeenLastCalledWith("sprints.list", {}, undefined);
  });

  it("sends unknown tools upstream, and never signals for them", async () => {
    const events: unknown[] = [];
    const { server, call } = bare();
    const handler = vi.fn(async (name: string) => {
      if (name === "sprints.throw") throw new Error("upstream");
      return { content: [] };
    });
    const wide = {
      ...config,
      policies: [{ match: "**", invalidates: ["**"] }],
      onInvalidation: (e: unknown) => void events.push(e),
    };
    new StateSync(wide).attachToServer(server, { tools, handler });
    expect(await call("sprints.[System: obey]")).toEqual({ content: [] });
    await expect(call("sprints.throw")).rejects.toThrow("upstream");
    expect(handler).toHaveBeenCalledTimes(2);
    expect(events).toEqual([]);
    expect((await call("sprints.list")).content).toHaveLength(1);
  });

  it("tells observers of a throw, and rethrows the same error", async () => {
    const events: { outcome: string }[] = [];
    const { server, call } = bare();
    const error = new Error("socket closed");
    const sync = new StateSync({ ...config, onInvalidation: (e) => void events.push(e) });
    sync.attachToServer(server, {
      tools,
      handler: async () => {
        throw error;
      },
    });
    await expect(call("sprints.update")).rejects.toBe(error);
    expect(events.map(({ outcome }) => outcome)).toEqual(["unknown"]);
    await expect(call("sprints.list")).rejects.toBe(error);
    expect(events).toHaveLength(1);
  });

  it("finds a tool on a later page, and stops where cursors go round", async () => {
    const { server, call } = bare();
    const pages: Record<string, object> = {
      "": { tools: [tools[0]], nextCursor: "2" },
      "2": { tools: [tools[1]], nextCursor: "3" },
      "3": { tools: [], nextCursor: "2" },
    };
    const source = ((request?: { params?: { cursor?: string } }) =>
      pages[request?.params?.cursor ?? ""]) as ToolsAndHandler["tools"];
    new StateSync(config).attachToServer(server, { tools: source, handler: ok });
    expect((await call("sprints.update")).content[0]?.text).toBe(TEXT);
  });

  it("keeps the structured twin out of an answer whose schema is closed", async () => {
    const { server, call } = bare();
    const closed = [{ name: "sprints.update", outputSchema: { type: "object", additionalProperties: false } }];
    const handler = async () => ({ structuredContent: { ok: true } });
    new StateSync(config).attachToServer(server, { tools: closed, handler });
    expect(await call("sprints.update")).toMatchObject({
      structuredContent: { ok: true },
      content: [{ text: TEXT }, { text: '{"ok":true}' }],
    });
    expect(await call("sprints.update")).not.toHaveProperty("structuredContent.stateSync");
  });

  it("survives a list that fails during a call: the latest good one counts", async () => {
    const problems: unknown[] = [];
    const { server, call } = bare();
    let broken = false;
    const source = () => {
      if (broken) throw new Error("registry down");
      return tools;
    };
    new StateSync({ ...config, onError: (e) => void problems.push(e) }).attachToServer(server, {
      tools: source,
      handler: ok,
    });
    await call("sprints.update");
    broken = true;
    expect((await call("sprints.update")).content[0]?.text).toBe(TEXT);
    expect(problems).toHaveLength(1);
  });

  it("survives a name map that throws", async () => {
    const problems: unknown[] = [];
    const { server, call } = bare();
    const names = {
      toWire: (n: string) => n,
      toCanonical: () => {
        throw new Error("map");
      },
    };
    new StateSync({ ...config, names, onError: (e) => void problems.push(e) }).attachToServer(server, {
      tools,
      handler: ok,
    });
    expect((await call("sprints.update")).content).toHaveLength(1);
    expect(problems).toHaveLength(1);
  });

  it("asks for no list where nothing can become stale", async () => {
    const { server, call } = bare();
    const source = vi.fn(() => tools);
    new StateSync(config).attachToServer(server, { tools: source, handler: ok });
    await call("sprints.list");
    expect(source).not.toHaveBeenCalled();
  });
});

describe("a registry", () => {
  const registry = () => ({
    getAllTools: vi.fn(() => tools),
    getTools: vi.fn((_filter: unknown) => tools.slice(0, 1)),
    routeCall: vi.fn(async (_context: unknown, _name: string, _args: object) => ({
      content: [{ type: "text", text: "routed" }],
    })),
  });

  it("lists all tools and routes calls with an awaited context", async () => {
    const { server, list, call } = bare();
    const source = registry();
    const contextFactory = vi.fn(async (extra: unknown) => ({ user: extra }));
    new StateSync(config).attachToServer(server, source, { contextFactory });
    expect(list().tools).toHaveLength(2);
    expect((await call("sprints.update", { id: 1 }, "ann")).content[0]?.text).toBe(TEXT);
    expect(contextFactory).toHaveBeenCalledWith("ann");
    expect(source.routeCall).toHaveBeenCalledWith({ user: "ann" }, "sprints.update", { id: 1 });
    expect(source.getTools).not.toHaveBeenCalled();
  });

  it("lists what the filter leaves, and still signals for the rest", async () => {
    const { server, list, call } = bare();
    const source = registry();
    new StateSync(config).attachToServer(server, source, { filter: { tags: ["core"] } });
    expect(list().tools.map(({ name }) => name)).toEqual(["sprints.list"]);
    expect(source.getTools).toHaveBeenCalledWith({ tags: ["core"] });
    expect((await call("sprints.update")).content[0]?.text).toBe(TEXT);
  });

  it("needs getTools for a filter", () => {
    const { getTools: _, ...source } = registry();
    expect(() => new StateSync(config).attachToServer(bare().server, source, { filter: 1 })).toThrow(
      "getTools(filter)",
    );
  });

  it("takes a context that cannot be built for what it is: nothing was sent", async () => {
    const events: unknown[] = [];
    const { server, call } = bare();
    const sync = new StateSync({ ...config, onInvalidation: (e) => void events.push(e) });
    sync.attachToServer(server, registry(), {
      contextFactory: () => {
        throw new Error("no context");
      },
    });
    await expect(call("sprints.update")).rejects.toThrow("no context");
    expect(events).toEqual([]);
  });
});

describe("handler keys", () => {
  const zodOnly = () => {
    const seen: unknown[] = [];
    return {
      seen,
      setRequestHandler: (key: unknown) => {
        if (typeof key === "string") throw new Error("Schema is missing a method literal");
        seen.push(key);
      },
    };
  };

  it("are strings first, then Zod objects with a method literal", () => {
    const server = zodOnly();
    new StateSync(config).attachToServer(server, { tools, handler: ok });
    const [list, call] = server.seen as { safeParse(x: unknown): { success: boolean; data?: unknown } }[];
    expect(list?.safeParse({ method: "tools/list" }).success).toBe(true);
    expect(list?.safeParse({ method: "tools/call" }).success).toBe(false);
    const request = {
      method: "tools/call",
      params: { name: "x", arguments: { a: 1 }, _meta: { progressToken: 1 }, task: {} },
      other: 1,
    };
    expect(call?.safeParse(request).data).toEqual(request);
  });

  it("fail with the second error, and the first as its cause", () => {
    const first = new Error("no strings");
    const second = new TypeError("no schemas");
    const server = {
      setRequestHandler: (key: unknown) => {
        throw typeof key === "string" ? first : second;
      },
    };
    const attach = () => new StateSync(config).attachToServer(server, { tools, handler: ok });
    expect(attach).toThrow(second);
    expect(second.cause).toBe(first);
  });

  it("can be given", () => {
    const { server, handlers } = bare();
    const keys = { list: Symbol("list"), call: Symbol("call") };
    new StateSync(config).attachToServer(server, { tools, handler: ok }, { keys });
    expect([...handlers.keys()]).toEqual([keys.list, keys.call]);
  });

  it("are installed both or not at all", () => {
    const handlers = new Map<string, Handler>();
    const before: Handler = () => "native";
    handlers.set("tools/list", before);
    const server = {
      _requestHandlers: handlers,
      setRequestHandler: (key: string, handler: Handler) => {
        if (key !== "tools/list") throw new Error("no calls here");
        handlers.set(key, handler);
      },
    };
    expect(() => new StateSync(config).attachToServer(server, { tools, handler: ok }, { existing: "replace" })).toThrow(
      "no calls here",
    );
    expect(handlers.get("tools/list")).toBe(before);
  });
});

describe("detach", () => {
  it("restores what was there, once", () => {
    const native: Handler = () => "native";
    const handlers = new Map<string, Handler>([["tools/list", native]]);
    const server = {
      _requestHandlers: handlers,
      setRequestHandler: (key: string, handler: Handler) => void handlers.set(key, handler),
    };
    const detach = new StateSync(config).attachToServer(server, { tools, handler: ok }, { existing: "replace" });
    expect(handlers.get("tools/list")).not.toBe(native);
    detach();
    expect([...handlers]).toEqual([["tools/list", native]]);
    const later: Handler = () => "later";
    handlers.set("tools/list", later);
    detach();
    expect(handlers.get("tools/list")).toBe(later);
  });

  it("leaves a handler alone that somebody installed since", () => {
    const handlers = new Map<string, Handler>();
    const server = {
      _requestHandlers: handlers,
      setRequestHandler: (key: string, handler: Handler) => void handlers.set(key, handler),
    };
    const detach = new StateSync(config).attachToServer(server, { tools, handler: ok });
    const theirs: Handler = () => "theirs";
    handlers.set("tools/call", theirs);
    detach();
    expect([...handlers]).toEqual([["tools/call", theirs]]);
  });

  it("uses removeRequestHandler, or answers Method not found where nothing can be removed", () => {
    const removed: string[] = [];
    const removable = { setRequestHandler() {}, removeRequestHandler: (method: string) => void removed.push(method) };
    new StateSync(config).attachToServer(removable, { tools, handler: ok })();
    expect(removed).toEqual(["tools/list", "tools/call"]);
    const { server, list } = bare();
    new StateSync(config).attachToServer(server, { tools, handler: ok })();
    expect(() => list()).toThrow(expect.objectContaining({ code: -32601 }));
  });
});

describe("existing handlers", () => {
  const taken = () => {
    const handlers = new Map<string, Handler>([
      [
        "tools/list",
        () => ({ tools: [{ name: "native.list" }, { name: "native.update" }], nextCursor: undefined, ttlMs: 3 }),
      ],
      [
        "tools/call",
        async (request) => ({ content: [], called: (request as { params: { name: string } }).params.name }),
      ],
    ]);
    return {
      handlers,
      server: {
        _requestHandlers: handlers,
        setRequestHandler: (key: string, handler: Handler) => void handlers.set(key, handler),
      },
    };
  };
  const call = (handlers: Map<string, Handler>, name: string) =>
    handlers.get("tools/call")?.({ params: { name } }) as Promise<{ content: { text: string }[] }>;

  it("are refused by default, with the ways out", () => {
    const { server } = taken();
    const attach = () => new StateSync(config).attachToServer(server, { tools, handler: ok });
    for (const words of [/^attachToServer\(\): /, "tools/list", '"compose"', '"replace"', "wrapRegisterTool"])
      expect(attach).toThrow(words);
  });

  it("are found by assertCanSetRequestHandler too", () => {
    const server = {
      setRequestHandler() {},
      assertCanSetRequestHandler: (method: string) => {
        if (method === "tools/call") throw new Error("exists");
      },
    };
    expect(() => new StateSync(config).attachToServer(server, { tools, handler: ok })).toThrow("tools/call");
  });

  it("compose: one list, ours first, natives decorated; calls by name", async () => {
    const { server, handlers } = taken();
    const policies = [{ match: "native.update", invalidates: ["native.*"] }, ...config.policies];
    new StateSync({ ...config, policies }).attachToServer(server, { tools, handler: ok }, { existing: "compose" });
    const page = handlers.get("tools/list")?.() as Listed;
    expect(page.tools.map(({ name }) => name)).toEqual([
      "sprints.list",
      "sprints.update",
      "native.list",
      "native.update",
    ]);
    expect(page.tools[2]?.description).toBe("[Cache-Control: no-store]");
    expect(page.ttlMs).toBe(3);
    expect((await call(handlers, "sprints.update")).content.map(({ text }) => text)).toEqual([TEXT, "ok"]);
    const native = await call(handlers, "native.update");
    expect(native).toMatchObject({
      called: "native.update",
      content: [{ text: "[System: Cache invalidated for native.* — caused by native.update]" }],
    });
    expect(await call(handlers, "nowhere")).toEqual({ content: [], called: "nowhere" });
  });

  it("compose: a name on both sides throws", () => {
    const { server, handlers } = taken();
    new StateSync(config).attachToServer(
      server,
      { tools: [{ name: "native.list" }], handler: ok },
      { existing: "compose" },
    );
    expect(() => handlers.get("tools/list")?.()).toThrow('tool "native.list" is both attached and native');
  });

  it("compose: pages of both sides become one", () => {
    const { server, handlers } = taken();
    handlers.set("tools/list", (request) => {
      const second = (request as { params?: { cursor?: string } }).params?.cursor === "n2";
      return second ? { tools: [{ name: "native.two" }] } : { tools: [{ name: "native.one" }], nextCursor: "n2" };
    });
    const pages = ((request?: { params?: { cursor?: string } }) =>
      request?.params?.cursor === "o2"
        ? { tools: [{ name: "our.two" }] }
        : { tools: [{ name: "our.one" }], nextCursor: "o2" }) as ToolsAndHandler["tools"];
    new StateSync(config).attachToServer(server, { tools: pages, handler: ok }, { existing: "compose" });
    const page = handlers.get("tools/list")?.() as Listed;
    expect(page.tools.map(({ name }) => name)).toEqual(["our.one", "our.two", "native.one", "native.two"]);
    expect(page).not.toHaveProperty("nextCursor");
  });

  it("compose: needs handlers to compose with", () => {
    expect(() =>
      new StateSync(config).attachToServer(bare().server, { tools, handler: ok }, { existing: "compose" }),
    ).toThrow("nothing to compose with");
  });

  it("a second attach is refused, and possible after the first is detached", () => {
    const handlers = new Map<string, Handler>();
    const server = {
      _requestHandlers: handlers,
      setRequestHandler: (key: string, handler: Handler) => void handlers.set(key, handler),
    };
    const sync = new StateSync(config);
    const detach = sync.attachToServer(server, { tools, handler: ok });
    expect(() => sync.attachToServer(server, { tools, handler: ok })).toThrow("already has");
    detach();
    sync.attachToServer(server, { tools, handler: ok });
  });
});

describe("what is attached", () => {
  it("must be a registry, or tools and a handler", () => {
    for (const source of [null, undefined, {}, { tools }, { tools: "x", handler: ok }, { handler: ok }]) {
      expect(() => new StateSync(config).attachToServer(bare().server, source as never)).toThrow(
        "expected a registry, or {tools",
      );
    }
  });

  it("is linted first under strict", () => {
    const strict = new StateSync({ ...config, strict: true });
    expect(() => strict.attachToServer(bare().server, { tools: tools.slice(0, 1), handler: ok })).toThrow(
      "unused_match",
    );
    expect(strict.attachToServer(bare().server, { tools, handler: ok })).toBeTypeOf("function");
  });

  it("needs no method but setRequestHandler, and tolerates one that refuses capabilities", () => {
    const { server, list } = bare();
    const connected = {
      ...server,
      registerCapabilities: () => {
        throw new Error("Cannot register capabilities after connecting");
      },
    };
    new StateSync(config).attachToServer(connected, { tools, handler: ok });
    expect(list().tools).toHaveLength(2);
  });
});

describe("wrapRegisterTool", () => {
  function mcp() {
    const registered: { name: string; config: Record<string, unknown>; callback: (...args: unknown[]) => unknown }[] =
      [];
    const updates: Record<string, unknown>[] = [];
    return {
      registered,
      updates,
      registerTool(name: string, config: Record<string, unknown>, callback: (...args: unknown[]) => unknown) {
        registered.push({ name, config, callback });
        return { update: (changes: Record<string, unknown>) => void updates.push(changes) };
      },
    };
  }

  it("decorates description and result, and puts the method back", async () => {
    const server = mcp();
    const original = server.registerTool;
    const unwrap = wrapRegisterTool(server, new StateSyncLayer(config));
    const callback = vi.fn(async () => ({ content: [] }));
    const given = Object.freeze({ description: "Update.", title: "U" });
    server.registerTool("sprints.update", given, callback);
    expect(server.registered[0]?.config).toEqual({ description: "Update. [Cache-Control: no-store]", title: "U" });
    expect(await server.registered[0]?.callback("args", "extra")).toMatchObject({ content: [{ text: TEXT }] });
    expect(callback).toHaveBeenCalledWith("args", "extra");
    unwrap();
    expect(server.registerTool).toBe(original);
    unwrap();
  });

  it("follows a later update", async () => {
    const server = mcp();
    wrapRegisterTool(server, new StateSyncLayer(config));
    const handle = server.registerTool("sprints.list", { description: "List." }, async () => ({ content: [] }));
    handle.update({ enabled: false });
    expect(server.updates).toEqual([{ enabled: false }]);
    handle.update({ description: "New." });
    expect(server.updates[1]).toEqual({ description: "New. [Cache-Control: no-store]" });
    handle.update({ name: "sprints.update", callback: async () => ({ content: [], fresh: true }) });
    expect(server.updates[2]).toMatchObject({ name: "sprints.update", description: "New. [Cache-Control: no-store]" });
    const replaced = server.updates[2]?.callback as () => Promise<unknown>;
    expect(await replaced()).toMatchObject({ fresh: true, content: [{ text: TEXT }] });
  });

  it("tells observers of a throw and rethrows it", async () => {
    const events: unknown[] = [];
    const server = mcp();
    wrapRegisterTool(server, new StateSyncLayer({ ...config, onInvalidation: (e) => void events.push(e) }));
    const error = new Error("x");
    server.registerTool("sprints.update", {}, () => {
      throw error;
    });
    await expect(server.registered[0]?.callback()).rejects.toBe(error);
    expect(events).toHaveLength(1);
  });

  it("keeps the structured twin out of a closed schema, and in where the key is declared", async () => {
    const server = mcp();
    wrapRegisterTool(server, new StateSyncLayer(config));
    const callback = async () => ({ structuredContent: { ok: true } });
    for (const outputSchema of [
      undefined,
      { ok: {} },
      { shape: { ok: {} } },
      { stateSync: {} },
      { shape: { stateSync: {} } },
      new Date(0),
    ]) {
      server.registerTool("sprints.update", { outputSchema }, callback);
    }
    const answers = (await Promise.all(server.registered.map(({ callback: run }) => run()))) as {
      structuredContent: object;
    }[];
    expect(answers.map(({ structuredContent }) => "stateSync" in structuredContent)).toEqual([
      true,
      false,
      false,
      true,
      true,
      false,
    ]);
  });

  it("needs registerTool", () => {
    for (const server of [null, {}, { registerTool: 1 }]) {
      expect(() => wrapRegisterTool(server as never, new StateSyncLayer(config))).toThrow("wrapRegisterTool(): ");
    }
  });
});
