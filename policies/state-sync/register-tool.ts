// The other way in: tools are decorated as they are registered, and the server's own handlers stay.
import type { StateSyncLayer } from "./layer.js";
import { isPlainObject } from "./output-schema.js";
import { once, replaceMethod } from "./server.js";

export interface RegistersTools {
  registerTool?: unknown;
}

interface ToolConfig {
  readonly description?: string | undefined;
  readonly outputSchema?: unknown;
}

type Callback = (...args: unknown[]) => unknown;

interface Updates extends ToolConfig {
  readonly name?: string | null | undefined;
  readonly callback?: Callback | undefined;
}

/**
 * From now on `mcp.registerTool` decorates descriptions, and the results of changes. Tools registered before stay as they are.
 * Answers the function that ends it.
 *
 * @example
 * const described = [];
 * const mcp = { registerTool: (name, { description }) => void described.push(description) };
 * const unwrap = wrapRegisterTool(mcp, new StateSyncLayer({ policies: [], defaults: { cacheControl: "no-store" } }));
 * mcp.registerTool("sprints.list", { description: "List sprints." }, async () => ({ content: [] }));
 * unwrap();
 * described; // => ["List sprints. [Cache-Control: no-store]"]
 */
export function wrapRegisterTool(mcp: RegistersTools, layer: StateSyncLayer): () => void {
  const { registerTool } = Object(mcp) as { registerTool?: unknown };
  if (typeof registerTool !== "function") throw new Error("wrapRegisterTool(): the object does not have registerTool");
  const register = (name: string, config: ToolConfig, callback: Callback): unknown => {
    const current = { name, config, callback };
    const described = () =>
      layer.decorateTools([{ name: current.name, description: current.config.description }])[0]?.description;
    const signalled: Callback = async (...args) => {
      let result: unknown;
      try {
        result = await current.callback(...args);
      } catch (error) {
        layer.observeThrow(current.name, error);
        throw error;
      }
      return layer.decorateResult(current.name, result, { outputSchema: declared(current.config.outputSchema) });
    };
    const handle: unknown = registerTool.call(mcp, name, { ...config, description: described() }, signalled);
    const { update } = Object(handle) as { update?: unknown };
    if (typeof update === "function") {
      // A tool may be renamed, described anew or given another callback later; the decoration has to follow.
      replaceMethod(handle as { update?: unknown }, "update", (updates: Updates) => {
        const { name: renamed, description, outputSchema, callback: replaced } = updates;
        current.name = renamed ?? current.name;
        current.callback = replaced ?? current.callback;
        current.config = {
          description: description ?? current.config.description,
          outputSchema: outputSchema ?? current.config.outputSchema,
        };
        return update.call(handle, {
          ...updates,
          ...((description !== undefined || renamed) && { description: described() }),
          ...(replaced && { callback: signalled }),
        });
      });
    }
    return handle;
  };
  return once(replaceMethod(mcp, "registerTool", register));
}

// The SDK emits closed JSON Schemas for the schemas given here, so only a declared key may be added. A raw shape or an object schema shows its keys.
function declared(outputSchema: unknown): object | undefined {
  if (outputSchema === undefined) return undefined;
  const { shape } = Object(outputSchema) as { shape?: unknown };
  return {
    additionalProperties: false,
    properties: isPlainObject(shape) ? shape : isPlainObject(outputSchema) ? outputSchema : {},
  };
}
