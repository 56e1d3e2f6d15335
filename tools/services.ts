// What can be managed: AWS's services and their resource types, from the specification that AWS publishes.

import { z } from "zod";
import type { ResourceSchema } from "../src/core/content.js";
import { decodeCursor, encodeCursor } from "../src/core/cursor.js";
import type { JsonObject } from "../src/core/json.js";
import { isOwnType, ownType } from "../src/core/own-types.js";
import { data, domain, reference } from "../src/core/tool.js";

/** Pointers of one type that are listed; some types have hundreds. */
const MOST_POINTERS = 12;

const serviceOf = (type: string): string => type.split("::").slice(0, 2).join("::");

/** Without an identifier nothing of a type can be read, changed or found again. */
const isManageable = ({ primaryIdentifier }: ResourceSchema): boolean => primaryIdentifier.length > 0;

const short = (pointers: readonly string[]): string[] => pointers.map((pointer) => pointer.replace(/^\//, ""));

function rowOf({ type, primaryIdentifier, createOnly }: ResourceSchema): JsonObject {
  const fixed = short(createOnly);
  return {
    type,
    identifier: short(primaryIdentifier),
    ...(fixed.length > 0 ? { createOnly: fixed.slice(0, MOST_POINTERS) } : {}),
    ...(fixed.length > MOST_POINTERS ? { createOnlyNotShown: fixed.length - MOST_POINTERS } : {}),
    ...(isOwnType(type) ? { readWith: { tool: ownType(type).readWith[0], arguments: {} } } : {}),
  };
}

const list = reference({
  title: "List services and resource types",
  description:
    "Services of AWS with the number of their resource types; with `service` or `query` the types themselves: identifier, properties fixed at creation, and the tool that reads a type better than resources.get. Reference data of this version: AWS's own word on one type is resources.schema.",
  input: z.object({
    service: z
      .string()
      .regex(/^(AWS::)?[A-Za-z0-9]+$/, "must look like S3 or AWS::S3")
      .optional(),
    query: data(z.string().min(2).max(100)).optional().describe("Part of a type's name, e.g. bucket"),
    limit: z.number().int().min(5).max(400).optional().describe("Default 400 services, 40 types"),
    cursor: z.string().optional(),
  }),
  output: z.object({
    count: z.number(),
    total: z.number(),
    services: z.record(z.string(), z.number()).optional(),
    types: z
      .array(
        z.object({
          type: z.string(),
          identifier: z.array(z.string()),
          createOnly: z.array(z.string()).optional(),
          createOnlyNotShown: z.number().optional(),
          readWith: z.object({ tool: z.string(), arguments: z.object({}) }).optional(),
        }),
      )
      .optional(),
    source: z.string(),
    nextCursor: z.string().optional(),
  }),
  async run({ service, query, limit, cursor }, { published, now }) {
    const all = (await published.types()).filter(isManageable);
    const wanted = service && `aws::${service.replace(/^AWS::/i, "")}`.toLowerCase();
    const types = all.filter(
      ({ type }) =>
        (!wanted || serviceOf(type).toLowerCase() === wanted) &&
        (!query || type.toLowerCase().includes(query.toLowerCase())),
    );
    const asked = { service: wanted, query };
    const from = cursor === undefined ? 0 : Number(decodeCursor(cursor, asked, now));
    const source = await published.source();
    const paged = <T>(rows: readonly T[], usual: number) => {
      const to = from + (limit ?? usual);
      const next: JsonObject = to < rows.length ? { nextCursor: encodeCursor(String(to), asked, now) } : {};
      return { page: rows.slice(from, to), facts: { total: rows.length, source, ...next } };
    };
    if (!wanted && !query) {
      const counts = new Map<string, number>();
      for (const { type } of types) counts.set(serviceOf(type), (counts.get(serviceOf(type)) ?? 0) + 1);
      const { page, facts } = paged([...counts], 400);
      return { data: { count: page.length, services: Object.fromEntries(page), ...facts } };
    }
    const { page, facts } = paged(types, 40);
    return { data: { count: page.length, types: page.map(rowOf), ...facts } };
  },
});

export const services = domain("services", { list }, []);
