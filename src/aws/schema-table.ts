// The schema table shipped with this version: rules of every published resource type, for when AWS's registry cannot be
// asked, and references, statefulness and ARNs that the registry does not give. Loaded and inflated at first use.

import { gunzipSync } from "node:zlib";
import type { ResourceSchema } from "../core/content.js";
import type { Published } from "../core/ports.js";
import { OVERLAY } from "./schema-overlay.js";

/** One type in the table. Pointers start at the properties; `*` stands for an array index or a map's key. */
interface Row {
  /** Primary identifier. */
  readonly i?: readonly string[];
  /** Top-level properties: name → type. */
  readonly p?: Readonly<Record<string, string>>;
  /** Required top-level properties. */
  readonly q?: readonly string[];
  /** Read-only. */
  readonly r?: readonly string[];
  /** Create-only, and what may be. */
  readonly c?: readonly string[];
  readonly m?: readonly string[];
  /** The tag property and its shape. */
  readonly t?: readonly [string, "list" | "map" | "asg"];
  /** Defaults, as JSON text where they are JSON. */
  readonly d?: Readonly<Record<string, string>>;
  /** References: property → types and the property of theirs that it names. */
  readonly f?: Readonly<Record<string, readonly (readonly [string, string])[]>>;
  /** Holds data. */
  readonly s?: true;
  /** ARN template. */
  readonly a?: string;
  /** Kind of scrutiny a change of the type, or of a property, deserves. */
  readonly z?: string;
  readonly y?: Readonly<Record<string, string>>;
}

interface Table {
  /** What the table was made from: package and version. */
  readonly source: string;
  readonly types: Readonly<Record<string, Row>>;
}

let loading: Promise<Table> | undefined;

async function load(): Promise<Table> {
  const { TABLE } = await import("./schema-data.js");
  return JSON.parse(gunzipSync(Buffer.from(TABLE, "base64")).toString("utf8")) as Table;
}

const table = (): Promise<Table> => {
  loading ??= load();
  return loading;
};

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

/** What the table says beyond what a registry document does. */
export type Extras = Pick<ResourceSchema, "stateful" | "arn" | "scrutiny" | "refs" | "defaults" | "exclusive">;

function extrasOf(type: string, row: Row): Extras {
  const overlay = OVERLAY.get(type);
  return {
    ...(row.s && { stateful: true }),
    ...(row.a !== undefined && { arn: row.a }),
    ...((row.z ?? row.y) && { scrutiny: { ...(row.z && { "": row.z }), ...row.y } }),
    ...(row.f && {
      refs: Object.fromEntries(
        Object.entries(row.f).map(([path, targets]) => [path, targets.map(([type, path]) => ({ type, path }))]),
      ),
    }),
    ...(row.d && { defaults: row.d }),
    ...(overlay?.exclusive && { exclusive: overlay.exclusive }),
  };
}

const rowOf = async (type: string): Promise<Row | undefined> => {
  const { types } = await table();
  return Object.hasOwn(types, type) ? types[type] : undefined;
};

export const shippedExtras = async (type: string): Promise<Extras> => extrasOf(type, (await rowOf(type)) ?? {});

/** The rules of a type from this package alone; `source: "none"` where it has never heard of it. */
export async function shippedSchema(type: string): Promise<ResourceSchema> {
  const row = await rowOf(type);
  if (!row) return { type, source: "none", ...NOTHING, writeOnlyKnown: false };
  const overlay = OVERLAY.get(type);
  return {
    type,
    source: "built-in",
    primaryIdentifier: row.i ?? [],
    readOnly: row.r ?? [],
    writeOnly: overlay?.writeOnly ?? [],
    writeOnlyKnown: overlay?.writeOnly !== undefined,
    createOnly: row.c ?? [],
    ...(row.m && { conditional: row.m }),
    required: row.q ?? [],
    unordered: overlay?.unordered ?? [],
    ...(row.t && { tags: { property: row.t[0], shape: row.t[1] } }),
    properties: Object.fromEntries(Object.entries(row.p ?? {}).map(([name, word]) => [name, { type: word }])),
    listRequires: overlay?.list?.length === 1 ? overlay.list[0]! : [],
    ...(overlay?.list && overlay.list.length > 1 && { listRequiresOneOf: overlay.list }),
    ...extrasOf(type, row),
  };
}

/** The names of all types in the table. */
export const shippedTypes = async (): Promise<readonly string[]> => Object.keys((await table()).types);

let everyType: Promise<readonly ResourceSchema[]> | undefined;

/** All of it, by name. */
export const published: Published = {
  source: async () => (await table()).source,
  types() {
    everyType ??= shippedTypes().then((names) => Promise.all([...names].sort().map(shippedSchema)));
    return everyType;
  },
};
