// A name → the tool it means. tools.search is answered here, tools.run becomes the call it wraps.

import { type Catalogue, type ListOptions, parseInput, translateArguments } from "../catalogue.js";
import { type Call, type Outcome, plainName } from "../core/call.js";
import type { Layer } from "../core/compose.js";
import { OpsError } from "../core/errors.js";
import type { SecurityLog } from "../core/ports.js";

export interface LookupDeps {
  readonly catalogue: Catalogue;
  readonly listing: ListOptions;
  /** Why a tool that exists is not registered now. */
  readonly absent: ReadonlyMap<string, OpsError>;
  readonly security: Pick<SecurityLog, "unknownTool">;
}

export const lookup =
  (deps: LookupDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    const { catalogue, listing, absent, security } = deps;
    const entry = catalogue.find(call.name);
    if (!entry)
      throw absent.get(call.name) ?? unknown(call.name, catalogue, security.unknownTool(plainName(call.name)));
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
    return lookup(deps)({ ...call, name: inner, arguments: input.arguments as Record<string, unknown> }, next);
  };

/** @param waitSeconds too many of them were asked for lately */
function unknown(name: string, catalogue: Catalogue, waitSeconds: number | null): OpsError {
  if (waitSeconds !== null) {
    return new OpsError(
      "rate_limited",
      `Too many tools were asked for that do not exist. Nothing was done. Search for tools, and ask for others in ${waitSeconds} seconds.`,
      { field: "name", details: { retry_after_seconds: waitSeconds }, next: [{ tool: "tools.search", arguments: {} }] },
    );
  }
  const near = catalogue.nearest(name);
  return new OpsError(
    "unknown_tool",
    near.length > 0
      ? `There is no such tool. Did you mean ${near.join(", ")}?`
      : "There is no such tool. Search for it.",
    {
      field: "name",
      details: { asked: name.slice(0, 128), registered: byNearness(near, catalogue) },
      next: [{ tool: "tools.search", arguments: { query: name.replace(/[._]/g, " ").slice(0, 100) } }],
    },
  );
}

/** Every registered name, the likely ones first. */
const byNearness = (near: readonly string[], { entries }: Catalogue): string[] => [
  ...new Set([...near, ...entries.map(({ wire }) => wire)]),
];
