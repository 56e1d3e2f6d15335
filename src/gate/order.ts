// Which lists of a content have no order: noted from every schema a reader fetches, for whoever compares contents.

import type { Aws, Unordered } from "../core/ports.js";

export interface Order {
  readonly unordered: Unordered;
  /** AWS whose readers note the schemas they fetch. Nothing compares a content before its schema was asked for. */
  noting(aws: Aws): Aws;
}

export function contentOrder(): Order {
  const known = new Map<string, readonly string[]>();
  return {
    unordered: ({ ref, reader }) => (reader === "cloudcontrol" ? (known.get(ref.type) ?? []) : []),
    noting: (aws) => ({
      ...aws,
      async reader(region, via) {
        const reader = await aws.reader(region, via);
        return {
          ...reader,

          async schema(type) {
            const schema = await reader.schema(type);
            const tags = schema.tags?.shape === "list" ? [`/${schema.tags.property.replace(/^\//, "")}`] : [];
            known.set(type, [...schema.unordered, ...tags]);
            return schema;
          },
        };
      },
    }),
  };
}
