// One id for everything that comes of a call, and which tool it means: what wraps a call is judged by what it wraps.

import type { Catalogue } from "../catalogue.js";
import type { Call, Meant, Outcome } from "../core/call.js";
import type { Layer } from "../core/compose.js";
import { isObject } from "../core/json.js";
import type { Ids } from "../core/ports.js";
import { underId } from "../log.js";

export interface CorrelateDeps {
  readonly catalogue: Catalogue;
  readonly ids: Pick<Ids, "uuid">;
}

export const correlate =
  ({ catalogue, ids }: CorrelateDeps): Layer<Call, Outcome> =>
  (call, next) => {
    const id = ids.uuid();
    return underId(id, async () => ({
      ...(await next({ ...call, id, meant: meantBy(catalogue, call) })),
      correlationId: id,
    }));
  };

function meantBy(catalogue: Catalogue, { name, arguments: given }: Call): Meant {
  const entry = catalogue.find(name);
  const { tool, arguments: inner = {} } = given;
  if (entry?.tool.kind === "meta" && entry.tool.meta === "run" && typeof tool === "string" && isObject(inner)) {
    const wrapped = catalogue.find(tool);
    // A wrapper in a wrapper is run by nobody: it is refused as what it is.
    if (wrapped?.tool.kind !== "meta") return meant(tool, inner, wrapped);
  }
  return meant(name, given, entry);
}

const meant = (name: string, given: Meant["arguments"], entry: Meant["entry"]): Meant => ({
  name: entry?.name ?? name,
  arguments: given,
  ...(entry && { entry }),
});
