// The rules of a resource type: AWS's registry where it can be asked, else the table shipped with this version, else
// nothing is known, and the answer says which.

import type { ResourceSchema } from "../core/content.js";
import { toItsEnd } from "../core/given-up.js";
import { isObject, type Json, type JsonObject, valueAt } from "../core/json.js";
import type { Clock, SchemaShelf, TypeAt } from "../core/ports.js";
import type { Api } from "./api.js";
import { foreign } from "./foreign.js";
import { shippedExtras, shippedSchema } from "./schema-table.js";

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

/** Tags we could write: a map of texts, or a list whose elements have Key and Value. */
function tagsOf(schema: JsonObject, properties: JsonObject): ResourceSchema["tags"] {
  const tagging = isObject(schema.tagging) ? schema.tagging : {};
  if (tagging.taggable === false || schema.taggable === false) return undefined;
  const property = typeof tagging.tagProperty === "string" ? tagging.tagProperty.replace("/properties/", "") : "Tags";
  if (!Object.hasOwn(properties, property)) return undefined;
  const definition = resolved(schema, properties[property]);
  if (definition.type === "object") return { property, shape: "map" };
  const { properties: fields } = resolved(schema, definition.items);
  if (!isObject(fields)) return { property, shape: "list" };
  if (!("Key" in fields && "Value" in fields)) return undefined;
  return { property, shape: "PropagateAtLaunch" in fields ? "asg" : "list" };
}

/** The sets of fields a list handler needs, any one of them in full: `required`, or its alternatives. */
function listNeeds(schema: JsonObject): Pick<ResourceSchema, "listRequires" | "listRequiresOneOf"> {
  const handler = valueAt(schema, "/handlers/list/handlerSchema");
  if (!isObject(handler)) return { listRequires: [] };
  const choices = [handler.oneOf, handler.anyOf].find(Array.isArray) ?? [];
  const sets = choices.map((one) => (isObject(one) ? strings(one.required) : [])).filter((set) => set.length > 0);
  return { listRequires: strings(handler.required), ...(sets.length > 0 && { listRequiresOneOf: sets }) };
}

/** Minutes each handler may take, where it says so. */
function timeoutsOf(schema: JsonObject): Pick<ResourceSchema, "timeouts"> {
  const declared = (["create", "update", "delete"] as const).flatMap((kind) => {
    const minutes = valueAt(schema, `/handlers/${kind}/timeoutInMinutes`);
    return typeof minutes === "number" && minutes > 0 ? [[kind, minutes] as const] : [];
  });
  return declared.length > 0 ? { timeouts: Object.fromEntries(declared) } : {};
}

/** Pure: a registry document, trimmed to what plans and comparisons need. */
export function trimSchema(type: string, schema: JsonObject): ResourceSchema {
  const properties = isObject(schema.properties) ? schema.properties : {};
  const tags = tagsOf(schema, properties);
  const conditional = pointers(schema.conditionalCreateOnlyProperties);
  const names = Object.entries(properties).map(([name, child]) => [name, resolved(schema, child), child] as const);
  return {
    type,
    source: "registry",
    primaryIdentifier: pointers(schema.primaryIdentifier),
    readOnly: pointers(schema.readOnlyProperties),
    writeOnly: pointers(schema.writeOnlyProperties),
    writeOnlyKnown: true,
    createOnly: pointers(schema.createOnlyProperties),
    ...(conditional.length > 0 && { conditional }),
    required: strings(schema.required),
    unordered: names.flatMap(([name, definition]) => unorderedIn(schema, definition, `/${name}`, 8)),
    ...(tags && { tags }),
    properties: Object.fromEntries(
      names.map(([name, definition, own]) => [name, describedAs({ ...definition, ...(isObject(own) ? own : {}) })]),
    ),
    ...listNeeds(schema),
    ...timeoutsOf(schema),
    ...unreadable(schema),
  };
}

/** Types that can be made and never looked at: their handlers are declared, and none of them reads. */
const unreadable = ({ handlers }: JsonObject): Pick<ResourceSchema, "unreadable"> =>
  isObject(handlers) && isObject(handlers.create) && !isObject(handlers.read) ? { unreadable: true } : {};

const ASK_AGAIN_MS = 5 * 60_000;
/** For so long the registry's word on a type is taken for what it would say again. */
const GOOD_FOR_MS = 24 * 3_600_000;

export type SchemaOf = (api: Api, at: TypeAt) => Promise<ResourceSchema>;

/**
 * Schemas by account, region and type, asked once a day, also by the processes after this one where there is a shelf. A
 * failure is asked again after a while: it may have been a matter of rights. Until then the last word is better than none.
 */
export function schemas(clock: Pick<Clock, "now">, shelf?: SchemaShelf): SchemaOf {
  const known = new Map<string, { readonly schema: ResourceSchema; readonly until: number }>();

  const trimmed = async (type: string, document: JsonObject): Promise<ResourceSchema> => ({
    ...trimSchema(type, document),
    ...(await shippedExtras(type)),
  });

  async function registry(api: Api, { type }: TypeAt): Promise<JsonObject | null> {
    try {
      const { Schema } = await api.call("cloudformation", "DescribeType", { Type: "RESOURCE", TypeName: type });
      const parsed: unknown = JSON.parse(Schema ?? "null");
      return isObject(parsed) ? parsed : null;
    } catch {
      return null;
    }
  }

  return async (api, at) => {
    const { account, region, type } = at;
    const key = `${account} ${region} ${type}`;
    const now = clock.now().getTime();
    const cached = known.get(key);
    if (cached && now < cached.until) return cached.schema;
    const kept = await shelf?.find(at);
    const keptUntil = kept ? Date.parse(kept.at) + GOOD_FOR_MS : 0;
    const remember = (schema: ResourceSchema, until: number): ResourceSchema => {
      known.set(key, { schema, until });
      return schema;
    };
    // A file of the future is of another clock: nobody knows how old it is.
    if (kept && now < keptUntil && Date.parse(kept.at) <= now) {
      return remember(await trimmed(type, kept.document), keptUntil);
    }
    const document = await toItsEnd(() => registry(api, at));
    if (document) {
      shelf?.keep(at, document, clock.now().toISOString());
      return remember(await trimmed(type, document), now + GOOD_FOR_MS);
    }
    if (cached?.schema.source === "registry") return remember(cached.schema, now + ASK_AGAIN_MS);
    return remember(kept ? await trimmed(type, kept.document) : await shippedSchema(type), now + ASK_AGAIN_MS);
  };
}
