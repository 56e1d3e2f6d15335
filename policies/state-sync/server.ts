// An MCP server as this module sees it: something that takes request handlers, of either SDK generation, met by shape only.
import { z } from "zod";

export type Handler = (request?: unknown, extra?: unknown) => unknown;

/** The low-level server. Everything but `setRequestHandler` is optional. */
export interface ServerLike {
  setRequestHandler(key: unknown, handler: Handler): unknown;
  registerCapabilities?(capabilities: { tools: object }): unknown;
  assertCanSetRequestHandler?(method: string): unknown;
  removeRequestHandler?(method: string): unknown;
  readonly _requestHandlers?: unknown;
}

/** What names the two handlers to `setRequestHandler`. */
export interface HandlerKeys {
  readonly list: unknown;
  readonly call: unknown;
}

export interface ToolHandlers {
  readonly list: Handler;
  readonly call: Handler;
}

export const METHODS = { list: "tools/list", call: "tools/call" } as const;

// The second SDK generation takes the method's name, the first any Zod object with a method literal. Loose, so that no field is lost.
const BY_NAME: HandlerKeys = METHODS;
const BY_SCHEMA: HandlerKeys = {
  list: z.looseObject({ method: z.literal(METHODS.list), params: z.looseObject({}).optional() }),
  call: z.looseObject({ method: z.literal(METHODS.call), params: z.looseObject({ name: z.string() }) }),
};

/**
 * The object that takes handlers: the low-level server inside a wrapper, else the object itself.
 *
 * @example
 * const low = { setRequestHandler() {} };
 * resolveServer({ server: low }) === low; // => true
 * resolveServer(low) === low; // => true
 */
export function resolveServer(server: unknown): ServerLike {
  if (typeof server !== "object" || server === null) {
    throw new Error(`attachToServer(): expected an MCP server, received ${server === null ? "null" : typeof server}`);
  }
  const wrapped = (server as { server?: unknown }).server;
  if (takesHandlers(wrapped)) return wrapped;
  if (takesHandlers(server)) return server;
  const keys = Object.keys(server).slice(0, 10).join(", ") || "(none)";
  throw new Error(`attachToServer(): the object does not have setRequestHandler; its keys: ${keys}`);
}

/** The handlers in place, as far as the server shows them. */
export function nativeHandlers(server: ServerLike): { list?: Handler; call?: Handler } {
  const handlers = handlerMap(server);
  return { list: handlers?.get(METHODS.list), call: handlers?.get(METHODS.call) };
}

/** Whether the server has a handler that would be replaced silently. */
export function isTaken(server: ServerLike, method: string): boolean {
  if (handlerMap(server)?.has(method)) return true;
  try {
    server.assertCanSetRequestHandler?.(method);
    return false;
  } catch {
    return true;
  }
}

/** Installs both handlers or none. Answers the function that puts back what was there; calling it again does nothing. */
export function install(server: ServerLike, handlers: ToolHandlers, keys?: HandlerKeys): () => void {
  declareTools(server);
  if (keys) return installBoth(server, handlers, keys);
  try {
    return installBoth(server, handlers, BY_NAME);
  } catch (first) {
    try {
      return installBoth(server, handlers, BY_SCHEMA);
    } catch (second) {
      throw second instanceof Error ? Object.assign(second, { cause: first }) : second;
    }
  }
}

function installBoth(server: ServerLike, handlers: ToolHandlers, keys: HandlerKeys): () => void {
  const removeList = installOne(server, METHODS.list, keys.list, handlers.list);
  try {
    const removeCall = installOne(server, METHODS.call, keys.call, handlers.call);
    return once(() => {
      removeList();
      removeCall();
    });
  } catch (error) {
    removeList();
    throw error;
  }
}

function installOne(server: ServerLike, method: string, key: unknown, handler: Handler): () => void {
  const handlers = handlerMap(server);
  const before = handlers?.get(method);
  server.setRequestHandler(key, handler);
  const installed = handlers?.get(method);
  return () => {
    if (handlers && handlers.get(method) !== installed) return; // somebody else's by now
    if (handlers && before) handlers.set(method, before);
    else if (server.removeRequestHandler) server.removeRequestHandler(method);
    else if (handlers) handlers.delete(method);
    else server.setRequestHandler(key, methodNotFound);
  };
}

// Both generations refuse handlers for an undeclared capability, and refuse new capabilities once connected.
// In the second case the handler's own refusal says what is missing, so this one need not.
function declareTools(server: ServerLike): void {
  try {
    server.registerCapabilities?.({ tools: {} });
  } catch {}
}

function methodNotFound(): never {
  throw Object.assign(new Error("Method not found"), { code: -32601 });
}

function handlerMap(server: ServerLike): Map<string, Handler> | undefined {
  return server._requestHandlers instanceof Map ? server._requestHandlers : undefined;
}

function takesHandlers(value: unknown): value is ServerLike {
  if (typeof value !== "object" || value === null) return false;
  return typeof (value as { setRequestHandler?: unknown }).setRequestHandler === "function";
}

/** Puts a method on an object. Answers the function that puts back what was there, own or inherited. */
export function replaceMethod<K extends string>(
  object: Partial<Record<K, unknown>>,
  key: K,
  method: unknown,
): () => void {
  const before = Object.getOwnPropertyDescriptor(object, key);
  Object.defineProperty(object, key, {
    value: method,
    writable: true,
    configurable: true,
    enumerable: before?.enumerable ?? false,
  });
  return () => {
    if (object[key] !== method) return; // somebody else's by now
    if (before) Object.defineProperty(object, key, before);
    else delete object[key];
  };
}

export function once(act: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    act();
  };
}
