// Putting the layer between a server and its tools. The SDKs have no interception point, so this owns the two tool handlers.
import type { ToolLike } from "./describe.js";
import type { StateSyncLayer } from "./layer.js";
import {
  type HandlerKeys,
  install,
  isTaken,
  METHODS,
  nativeHandlers,
  once,
  replaceMethod,
  resolveServer,
  type ServerLike,
  type ToolHandlers,
} from "./server.js";
import {
  after,
  type CallRequest,
  composed,
  fromHandler,
  fromRegistry,
  isRegistry,
  type Registry,
  type RegistryOptions,
  type Source,
  type ToolsAndHandler,
} from "./source.js";

export interface AttachOptions {
  /** What happens to handlers the server already has: refuse, keep them behind ours, or drop them until `detach()`. */
  readonly existing?: "error" | "compose" | "replace" | undefined;
  /** What names the handlers, where neither method names nor our own schemas are accepted. */
  readonly keys?: HandlerKeys | undefined;
}

/** Installs both handlers, synchronously. Answers `detach`. */
export function attach(
  server: unknown,
  source: ToolsAndHandler | Registry,
  layer: StateSyncLayer,
  opts: AttachOptions & RegistryOptions = {},
): () => void {
  const target = resolveServer(server);
  const own = isRegistry(source) ? fromRegistry(source, opts) : fromHandler(source);
  const tools = coexisting(target, own, opts.existing ?? "error");
  const remove = install(target, decorated(tools, layer), opts.keys);
  const unlock = target === server ? () => {} : lockRegistration(server as Wrapper);
  return once(() => {
    unlock();
    remove();
  });
}

function decorated(source: Source, layer: StateSyncLayer): ToolHandlers {
  const known = remembered(source, layer);
  return {
    list: (request, extra) =>
      after(source.page(request, extra), (page) => ({ ...page, tools: layer.decorateTools(page.tools) })),
    call: async (request, extra) => {
      const { name } = (request as CallRequest).params;
      const tool = await signalling(name, () => known(extra), layer);
      const run = await source.prepare(request as CallRequest, extra);
      if (!tool) return run();
      let result: unknown;
      try {
        result = await run();
      } catch (error) {
        layer.observeThrow(name, error);
        throw error;
      }
      return layer.decorateResult(name, result, { outputSchema: tool.outputSchema });
    },
  };
}

// Only a listed tool signals, so that a signal never repeats a name the client made up.
async function signalling(name: string, tools: () => Promise<readonly ListedTool[]>, layer: StateSyncLayer) {
  try {
    const canonical = layer.canonical(name);
    if (!layer.engine.resolve(canonical)?.invalidates) return undefined;
    return (await tools()).find((tool) => layer.canonical(tool.name) === canonical);
  } catch (error) {
    layer.problem(error);
    return undefined;
  }
}

interface ListedTool extends ToolLike {
  readonly outputSchema?: object | undefined;
}

// A list that fails must not fail a call, nor hide what it changed: then the latest good list counts.
function remembered(source: Source, layer: StateSyncLayer) {
  let latest: readonly ListedTool[] = [];
  return async (extra: unknown): Promise<readonly ListedTool[]> => {
    try {
      latest = await source.all(extra);
    } catch (error) {
      layer.problem(error);
    }
    return latest;
  };
}

function coexisting(server: ServerLike, own: Source, existing: "error" | "compose" | "replace"): Source {
  if (existing === "replace") return own;
  if (existing === "compose") {
    const { list, call } = nativeHandlers(server);
    if (list && call) return composed(own, { list, call });
    throw new Error(
      'attachToServer(): nothing to compose with: the server has no tools/list and tools/call handlers of its own, or does not show them. Register its tools first, or leave out existing: "compose"',
    );
  }
  const taken = Object.values(METHODS).find((method) => isTaken(server, method));
  if (taken === undefined) return own;
  throw new Error(
    `attachToServer(): the server already has a ${taken} handler. Pass existing: "compose" to keep its tools beside these, existing: "replace" to drop them, or decorate them as they are registered with wrapRegisterTool()`,
  );
}

const REGISTRARS = ["registerTool", "tool"] as const;
type Wrapper = Partial<Record<(typeof REGISTRARS)[number], unknown>>;

// A tool registered on the wrapper from now on would be missing without a word, or fail with words about handlers.
function lockRegistration(wrapper: Wrapper): () => void {
  const locked = REGISTRARS.filter((key) => typeof wrapper[key] === "function");
  const restore = locked.map((key) => replaceMethod(wrapper, key, refuse(key)));
  return () => {
    for (const undo of restore) undo();
  };
}

function refuse(key: string) {
  return (name: unknown): never => {
    throw new Error(
      `${key}(${JSON.stringify(String(name))}): this server's tools are served by attachToServer(), so the tool would not be listed. Add it to the attached tools, call detach() first, or use wrapRegisterTool() instead of attachToServer()`,
    );
  };
}
