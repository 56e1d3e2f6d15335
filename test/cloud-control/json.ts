// JSON, paths with wildcards and RFC 6902, written apart from the product's: a double made of product code repeats its mistakes.
import { isDeepStrictEqual } from "node:util";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Properties = { [key: string]: Json };

export interface PatchOperation {
  readonly op: string;
  readonly path: string;
  readonly from?: string;
  readonly value?: Json;
}

/** A patch that does not fit; the words are those Cloud Control passes on from its patch library. */
export class PatchError extends Error {}

/** Applies in order to a copy; throws PatchError, leaving the original as it was. */
export function patched(document: Properties, patch: readonly PatchOperation[]): Properties {
  const holder: Properties = { root: structuredClone(document) };
  for (const operation of patch) step(holder, operation);
  return holder.root as Properties;
}

function step(holder: Properties, operation: PatchOperation): void {
  const { op, path, from, value } = operation;
  if (["add", "replace", "test"].includes(op) && value === undefined)
    fail(op, `value is missing, path provided : /${path}`);
  if (["move", "copy"].includes(op) && from === undefined) fail(op, `from is missing, path provided : /${path}`);
  switch (op) {
    case "add":
      add(place(holder, op, path), value!);
      break;
    case "remove":
      remove(place(holder, op, path));
      break;
    case "replace":
      replace(place(holder, op, path), value!);
      break;
    case "test":
      if (!isDeepStrictEqual(read(place(holder, op, path)), value)) fail(op, "value mismatch");
      break;
    case "copy":
      add(place(holder, op, path), structuredClone(read(place(holder, op, from!))));
      break;
    case "move": {
      if (path === from) break;
      if (path.startsWith(`${from}/`)) fail(op, `a value cannot move into itself, path provided : /${path}`);
      const source = place(holder, op, from!);
      const moved = read(source);
      remove(source);
      add(place(holder, op, path), moved);
      break;
    }
    default:
      throw new PatchError(`Unknown patch operation ${op}`);
  }
}

interface Place {
  readonly op: string;
  readonly path: string;
  readonly parent: Json[] | Properties;
  readonly key: string;
}

function place(holder: Properties, op: string, path: string): Place {
  if (path !== "" && !path.startsWith("/")) fail(op, `invalid path, path provided : ${path}`);
  const steps = [
    "root",
    ...path
      .split("/")
      .slice(1)
      .map((text) => text.replace(/~1/g, "/").replace(/~0/g, "~")),
  ];
  let parent: Json = holder;
  for (const key of steps.slice(0, -1)) {
    const next: Json | undefined = isContainer(parent) ? readKey({ op, path, parent, key }) : undefined;
    if (next === undefined) noSuchPath(op, path);
    parent = next!;
  }
  if (!isContainer(parent)) noSuchPath(op, path);
  return { op, path, parent: parent as Json[] | Properties, key: steps.at(-1)! };
}

function readKey({ op, path, parent, key }: Place): Json | undefined {
  if (!Array.isArray(parent)) return Object.hasOwn(parent, key) ? parent[key] : undefined;
  return parent[index(op, path, key, parent.length - 1)];
}

function read(where: Place): Json {
  const value = readKey(where);
  if (value === undefined) noSuchPath(where.op, where.path);
  return value!;
}

function add({ op, path, parent, key }: Place, value: Json): void {
  if (!Array.isArray(parent)) define(parent, key, value);
  else if (key === "-") parent.push(value);
  else parent.splice(index(op, path, key, parent.length), 0, value);
}

function replace(where: Place, value: Json): void {
  read(where);
  const { op, path, parent, key } = where;
  if (Array.isArray(parent)) parent[index(op, path, key, parent.length - 1)] = value;
  else define(parent, key, value);
}

function remove(where: Place): void {
  read(where);
  const { op, path, parent, key } = where;
  if (Array.isArray(parent)) parent.splice(index(op, path, key, parent.length - 1), 1);
  else delete parent[key];
}

/** As data, also when the key is `__proto__`. */
function define(parent: Properties, key: string, value: Json): void {
  Object.defineProperty(parent, key, { value, writable: true, enumerable: true, configurable: true });
}

function index(op: string, path: string, key: string, last: number): number {
  if (!/^(0|[1-9]\d*)$/.test(key) || Number(key) > last) noSuchPath(op, path);
  return Number(key);
}

function noSuchPath(op: string, path: string): never {
  return fail(op, `noSuchPath in source, path provided : /${path}`);
}

function fail(op: string, message: string): never {
  throw new PatchError(`[${op.toUpperCase()} Operation] ${message}`);
}

function isContainer(value: Json): value is Json[] | Properties {
  return typeof value === "object" && value !== null;
}

/** Every value at a schema path such as "Rules/*\/Prefix", with a setter; absent ones are not listed. */
export function at(document: Json, path: string): { value: Json; set(value: Json | undefined): void }[] {
  const [key = "", ...rest] = path.split("/");
  if (!isContainer(document)) return [];
  const keys = key === "*" ? Object.keys(document) : Object.hasOwn(document, key) ? [key] : [];
  const parent = document as Properties;
  return keys.flatMap((name) => {
    if (rest.length > 0) return at(parent[name]!, rest.join("/"));
    const set = (value: Json | undefined) => {
      if (value === undefined) delete parent[name];
      else parent[name] = value;
    };
    return [{ value: parent[name]!, set }];
  });
}

/** Equal for equal values whatever the order of keys. */
export function stable(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(stable).join()}]`;
  if (!isContainer(value)) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${stable(item)}`).join()}}`;
}
