// The rules of a resource type: AWS's registry where it can be asked, else the table shipped with this version, else
// nothing is known, and the answer says which.

import type { ResourceSchema } from "../core/content.js";
import { isObject, type Json, type JsonObject, valueAt } from "../core/json.js";
import type { Clock } from "../core/ports.js";
import type { Api } from "./api.js";
import { foreign } from "./foreign.js";
import { BUILT_IN } from "./schema-table.js";

const strings = (value: Json | undefined): string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === "string") : [];

/** `/properties/A/items/properties/B` and `/properties/A/*` + `/B`, as schemas write them → `/A/*` + `/B`. */
const pointer = (path: string): string =>
  path
    .replace(/^\/properties\//, "/")
    .replaceAll("/items/properties/", "/*/")
    .replaceAll("/properties/", "/");

const pointers = (value: Json | undefined): string[] => strings(value).map(pointer);

/** A property's definition with its `$ref` followed; schemas may refer in circles, so the walk counts. */
function resolved(schema: JsonObject, definition: Json | undefined, hops = 8): JsonObject {
  if (!isObject(definition)) return {};
  const ref = definition.$ref;
  if (typeof ref !== "string" || hops === 0) return definition;
  return resolved(schema, valueAt(schema, ref.replace(/^#/, "")), hops - 1);
}

/** Pointers of the arrays that are declared to have no order, to a depth beyond which nobody compares by hand. */
function unorderedIn(schema: JsonObject, definition: JsonObject, path: string, depth: number): string[] {
  if (depth === 0) return [];
  const here = definition.type === "array" && definition.insertionOrder === false ? [path] : [];
  const item = resolved(schema, definition.items);
  const below = Object.entries(isObject(definition.properties) ? definition.properties : {});
  return [
    ...here,
    ...(Object.keys(item).length > 0 ? unorderedIn(schema, item, `${path}/*`, depth - 1) : []),
    ...below.flatMap(([name, child]) => unorderedIn(schema, resolved(schema, child), `${path}/${name}`, depth - 1)),
  ];
}

const typeName = (definition: JsonObject): string => {
  if (typeof definition.type === "string") return definition.type;
  const several = strings(definition.type);
  return several.length > 0 ? several.join(" or ") : isObject(definition.properties) ? "object" : "any";
};

function describedAs(definition: JsonObject): { type: string; description?: string } {
  const text = typeof definition.description === "string" ? definition.description : "";
  const line = foreign(text.split(/(?<=\.)\s/)[0], 140);
  return line === "" ? { type: typeName(definition) } : { type: typeName(definition), description: line };
}

function tagsOf(schema: JsonObject, properties: JsonObject): ResourceSchema["tags"] {
  const tagging = isObject(schema.tagging) ? schema.tagging : {};
  if (tagging.taggable === false || schema.taggable === false) return undefined;
  const property = typeof tagging.tagProperty === "string" ? tagging.tagProperty.replace("/properties/", "") : "Tags";
  if (!(property in properties)) return undefined;
  return { property, shape: resolved(schema, properties[property]).type === "object" ? "map" : "list" };
}

/** Pure: a registry document, trimmed to what plans and comparisons need. */
export function trimSchema(type: string, schema: JsonObject): ResourceSchema {
  const properties = isObject(schema.properties) ? schema.properties : {};
  const list = valueAt(schema, "/handlers/list/handlerSchema/required");
  const tags = tagsOf(schema, properties);
  const names = Object.entries(properties).map(([name, child]) => [name, resolved(schema, child), child] as const);
  return {
    type,
    source: "registry",
    primaryIdentifier: pointers(schema.primaryIdentifier),
    readOnly: pointers(schema.readOnlyProperties),
    writeOnly: pointers(schema.writeOnlyProperties),
    createOnly: pointers(schema.createOnlyProperties),
    required: strings(schema.required),
    unordered: names.flatMap(([name, definition]) => unorderedIn(schema, definition, `/${name}`, 8)),
    ...(tags && { tags }),
    properties: Object.fromEntries(
      names.map(([name, definition, own]) => [name, describedAs({ ...definition, ...(isObject(own) ? own : {}) })]),
    ),
    listRequires: strings(list),
  };
}

const NOTHING: Omit<ResourceSchema, "type" | "source"> = {
  primaryIdentifier: [],
  readOnly: [],
  writeOnly: [],
  createOnly: [],
  required: [],
  unordered: [],
  properties: {},
  listRequires: [],
};

export function shippedSchema(type: string): ResourceSchema {
  const row = Object.hasOwn(BUILT_IN, type) ? BUILT_IN[type] : undefined;
  return row ? { type, source: "built-in", ...row } : { type, source: "none", ...NOTHING };
}

const ASK_AGAIN_MS = 5 * 60_000;

/** Schemas by type and region, asked once. A failure is asked again after a while: it may have been a matter of rights. */
export function schemas(clock: Clock): (api: Api, region: string, type: string) => Promise<ResourceSchema> {
  const known = new Map<string, { readonly schema: ResourceSchema; readonly until: number }>();
  return async (api, region, type) => {
    const key = `${region} ${type}`;
    const now = clock.now().getTime();
    const cached = known.get(key);
    if (cached && now < cached.until) return cached.schema;
    try {
      const { Schema } = await api.call("cloudformation", "DescribeType", { Type: "RESOURCE", TypeName: type });
      const parsed: unknown = JSON.parse(Schema ?? "null");
      if (!isObject(parsed)) throw new TypeError("no schema in the answer");
      const schema = trimSchema(type, parsed);
      known.set(key, { schema, until: Number.POSITIVE_INFINITY });
      return schema;
    } catch {
      const schema = shippedSchema(type);
      known.set(key, { schema, until: now + ASK_AGAIN_MS });
      return schema;
    }
  };
}
