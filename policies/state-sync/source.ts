// Where tools come from: an array and a handler, a registry, or a server's own handlers. All of them list pages and answer calls.
import type { ToolLike } from "./describe.js";
import { type Handler, METHODS } from "./server.js";

export type MaybePromise<T> = T | PromiseLike<T>;

/** One page of tools; every other field of the list result passes through. */
export interface ToolPage {
  readonly tools: readonly ToolLike[];
  readonly nextCursor?: unknown;
}

export interface Source {
  page(request: unknown, extra: unknown): MaybePromise<ToolPage>;
  /** Every tool a call can reach, also one that the list leaves out. */
  all(extra: unknown): MaybePromise<readonly ToolLike[]>;
  /** The call, ready to run. What fails before it runs has changed nothing. */
  prepare(request: CallRequest, extra: unknown): MaybePromise<() => unknown>;
}

export interface CallRequest {
  readonly params: { readonly name: string; readonly arguments?: Record<string, unknown> };
}

/** Tools and one handler. A function is asked on each list, with the request and the SDK's extra; it may answer a list result. */
export interface ToolsAndHandler {
  readonly tools:
    | readonly ToolLike[]
    | ((request?: unknown, extra?: unknown) => MaybePromise<readonly ToolLike[] | ToolPage>);
  handler(name: string, args: Record<string, unknown>, extra: unknown): unknown;
}

export interface Registry {
  getAllTools(): MaybePromise<readonly ToolLike[]>;
  getTools?(filter: unknown): MaybePromise<readonly ToolLike[]>;
  routeCall(context: unknown, name: string, args: Record<string, unknown>): unknown;
}

export interface RegistryOptions {
  /** Passed to the registry's `getTools`: what is listed. Calls reach every tool. */
  readonly filter?: unknown;
  /** Builds the first argument of `routeCall` from the SDK's extra. Awaited. */
  contextFactory?(extra: unknown): unknown;
}

/**
 * Whether the object can list all its tools and route a call.
 *
 * @example
 * isRegistry({ getAllTools: () => [], routeCall: async () => ({}) }); // => true
 * isRegistry({ tools: [] }); // => false
 */
export function isRegistry(x: unknown): x is Registry {
  const { getAllTools, routeCall } = Object(x) as Partial<Record<keyof Registry, unknown>>;
  return typeof getAllTools === "function" && typeof routeCall === "function";
}

export function fromHandler(source: ToolsAndHandler): Source {
  const { tools, handler } = Object(source) as Partial<ToolsAndHandler>;
  if (typeof handler !== "function" || !(Array.isArray(tools) || typeof tools === "function")) {
    throw new Error("attachToServer(): expected a registry, or {tools: array or function, handler: function}");
  }
  const page: Source["page"] = (request, extra) =>
    after(typeof source.tools === "function" ? source.tools(request, extra) : source.tools, asPage);
  return {
    page,
    all: (extra) => after(drained(page, extra), ({ tools: all }) => all),
    prepare:
      ({ params }, extra) =>
      () =>
        source.handler(params.name, params.arguments ?? {}, extra),
  };
}

export function fromRegistry(registry: Registry, { filter, contextFactory }: RegistryOptions): Source {
  if (filter !== undefined && typeof registry.getTools !== "function") {
    throw new Error("attachToServer(): a filter needs a registry with getTools(filter)");
  }
  const listed = () => (filter === undefined ? registry.getAllTools() : registry.getTools?.(filter)) ?? [];
  return {
    page: () => after(listed(), asPage),
    all: () => registry.getAllTools(),
    prepare: async ({ params }, extra) => {
      const context = await contextFactory?.(extra);
      return () => registry.routeCall(context, params.name, params.arguments ?? {});
    },
  };
}

/** The server's own handlers behind ours: one page, ours first, and no name twice. */
export function composed(ours: Source, native: { readonly list: Handler; readonly call: Handler }): Source {
  const nativePage: Source["page"] = (request, extra) =>
    native.list(request ?? { method: METHODS.list }, extra) as MaybePromise<ToolPage>;
  const page: Source["page"] = (request, extra) =>
    after(drained(ours.page, extra, request), (first) =>
      after(drained(nativePage, extra, request), (second) => {
        const twice = first.tools.find((tool) => second.tools.some((other) => other.name === tool.name));
        if (twice)
          throw new Error(`attachToServer(): tool "${twice.name}" is both attached and native; rename one of them`);
        return { ...second, ...first, tools: [...first.tools, ...second.tools] };
      }),
    );
  return {
    page,
    all: (extra) => after(page(undefined, extra), ({ tools }) => tools),
    prepare: async (request, extra) => {
      const own = (await ours.all(extra)).some((tool) => tool.name === request.params.name);
      return own ? ours.prepare(request, extra) : () => native.call(request, extra);
    },
  };
}

/** Goes on at once with a plain value, later with a promised one: `tools/list` must be able to answer synchronously. */
export function after<A, B>(value: MaybePromise<A>, next: (value: A) => MaybePromise<B>): MaybePromise<B> {
  const { then } = Object(value) as { then?: unknown };
  return typeof then === "function" ? Promise.resolve(value).then(next) : next(value as A);
}

// All pages as one. A cursor that comes back ends the walk.
function drained(
  page: Source["page"],
  extra: unknown,
  request?: unknown,
  seen: readonly unknown[] = [],
): MaybePromise<ToolPage> {
  const { params } = Object(request) as { params?: object };
  const cursor = seen.at(-1);
  const asked = cursor === undefined ? request : { method: METHODS.list, params: { ...params, cursor } };
  return after(page(asked, extra), ({ nextCursor, ...rest }) => {
    if (nextCursor === undefined || seen.includes(nextCursor)) return rest;
    return after(drained(page, extra, request, [...seen, nextCursor]), ({ tools }) => ({
      ...rest,
      tools: [...rest.tools, ...tools],
    }));
  });
}

function asPage(listed: readonly ToolLike[] | ToolPage): ToolPage {
  return isTools(listed) ? { tools: listed } : listed;
}

function isTools(listed: readonly ToolLike[] | ToolPage): listed is readonly ToolLike[] {
  return Array.isArray(listed);
}
