// A name → the tool it means. tools.search is answered here, tools.run becomes the call it wraps.

import { type Catalogue, type ListOptions, parseInput, translateArguments } from "../catalogue.js";
import type { Call, Outcome } from "../core/call.js";
import type { Layer } from "../core/compose.js";
import { OpsError } from "../core/errors.js";

export interface LookupDeps {
  readonly catalogue: Catalogue;
  readonly listing: ListOptions;
  /** Why a tool that exists is not registered now. */
  readonly absent: ReadonlyMap<string, OpsError>;
}

export const lookup =
  ({ catalogue, listing, absent }: LookupDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    const entry = catalogue.find(call.name);
    if (!entry) throw absent.get(call.name) ?? unknown(call.name, catalogue);
    const { arguments: given, ignored } = translateArguments(call.name, call.arguments);
    const { tool } = entry;
    if (tool.kind !== "meta") {
      const outcome = await next({ ...call, arguments: given, entry });
      return ignored.length > 0 && outcome.status === "ok"
        ? { ...outcome, data: { ...outcome.data, ignoredArguments: ignored } }
        : outcome;
    }
    const input = parseInput(entry, given);
    if (tool.meta === "search") {
      const found = catalogue.search(input.query as string, input.limit as number, listing).map((hit) => ({
        name: hit.name,
        title: hit.title,
        description: hit.description,
        inputSchema: hit.inputSchema,
        listed: hit.listed,
      }));
      return { status: "ok", data: { count: found.length, tools: JSON.parse(JSON.stringify(found)) } };
    }
    const inner = input.tool as string;
    const wrapped = catalogue.find(inner)?.tool;
    if (wrapped?.kind === "meta") {
      throw new OpsError("validation_error", "tools.run runs tools other than itself and the search.", {
        field: "tool",
      });
    }
    // A host may let read-only tools run unasked, and tools.run says it is one.
    if (wrapped?.kind === "gate" && wrapped.changesAws) {
      throw new OpsError(
        "validation_error",
        "What changes AWS is called by its own name, so that the host can ask first.",
        {
          field: "tool",
          next: [{ tool: "changes.apply", arguments: input.arguments as Record<string, unknown> }],
        },
      );
    }
    return lookup({ catalogue, listing, absent })(
      { ...call, name: inner, arguments: input.arguments as Record<string, unknown> },
      next,
    );
  };

function unknown(name: string, catalogue: Catalogue): OpsError {
  const near = catalogue.nearest(name);
  return new OpsError(
    "unknown_tool",
    near.length > 0
      ? `There is no such tool. Did you mean ${near.join(", ")}?`
      : "There is no such tool. Search for it.",
    {
      field: "name",
      details: { asked: name },
      next: [{ tool: "tools.search", arguments: { query: name.replace(/[._]/g, " ") } }],
    },
  );
}
