// What a tool's schema says of each argument: text that controls, text that is carried, documents. For the hygiene of calls.

import type { z } from "zod";
import { isData } from "./tool.js";

/** As policies/hygiene.ts reads it. */
type Argument =
  | { readonly is: "control" | "data"; readonly most?: number }
  | { readonly is: "document" }
  | { readonly is: "list"; readonly of: Argument; readonly most?: number }
  | { readonly is: "object"; readonly members: Readonly<Record<string, Argument>>; readonly rest: Argument }
  | { readonly is: "either"; readonly options: readonly Argument[] };

const CONTROL: Argument = { is: "control" };
/** Made here of what AWS names its next page, which may be long. */
const CURSOR: Argument = { is: "control", most: 16_384 };
/** Fields of these names hold what people write in their own words: data without being declared. */
const PROSE = /^(intent|explanation|reason|description|userData|query|comment|note|notes|message|value|values)$/;
/** What has no form is a document of the caller's. */
const OPEN: ReadonlySet<string> = new Set(["record", "map", "unknown", "any", "custom", "lazy", "transform"]);

interface Definition {
  readonly type: string;
  readonly innerType?: z.core.$ZodType;
  readonly in?: z.core.$ZodType;
  readonly element?: z.core.$ZodType;
  readonly options?: readonly z.core.$ZodType[];
  readonly left?: z.core.$ZodType;
  readonly right?: z.core.$ZodType;
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>;
}

export function argumentOf(schema: z.core.$ZodType, carried = false): Argument {
  const data = carried || isData(schema);
  const of = (inner: z.core.$ZodType) => argumentOf(inner, data);
  const definition = schema._zod.def as unknown as Definition;
  const most = schema._zod.bag.maximum as number | undefined;
  const declared = typeof most === "number" ? { most } : {};
  if (OPEN.has(definition.type)) return { is: "document" };
  if (definition.innerType) return of(definition.innerType);
  if (definition.in) return of(definition.in);
  if (definition.element) return { is: "list", of: of(definition.element), ...declared };
  if (definition.options) return { is: "either", options: definition.options.map(of) };
  if (definition.left && definition.right)
    return { is: "either", options: [of(definition.left), of(definition.right)] };
  if (definition.shape) {
    const members = Object.entries(definition.shape).map(
      ([name, member]) => [name, name === "cursor" ? CURSOR : argumentOf(member, data || PROSE.test(name))] as const,
    );
    return { is: "object", members: Object.fromEntries(members), rest: CONTROL };
  }
  return { is: data ? "data" : "control", ...declared };
}
