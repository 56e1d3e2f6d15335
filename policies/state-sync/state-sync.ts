// The whole thing for one server: configuration in, `attachToServer` out.
import { type AttachOptions, attach } from "./attach.js";
import { type Settled, type StateSyncConfig, settled } from "./config.js";
import type { PolicyEngine } from "./engine.js";
import { StateSyncLayer } from "./layer.js";
import { type Finding, type LintedTool, lint } from "./lint.js";
import { isRegistry, type Registry, type RegistryOptions, type ToolsAndHandler } from "./source.js";

/**
 * A signal is a hint to a model, not protection: whatever must not happen has to be refused by the tool itself.
 *
 * @example
 * const sync = new StateSync({
 *   defaults: { cacheControl: "no-store" },
 *   policies: [{ match: "sprints.update", invalidates: ["sprints.*"] }],
 * });
 * const handlers = new Map();
 * const server = { setRequestHandler: (key, handler) => handlers.set(key, handler) };
 * const detach = sync.attachToServer(server, {
 *   tools: [{ name: "sprints.update", description: "Change a sprint." }],
 *   handler: async () => ({ content: [] }),
 * });
 * handlers.get("tools/list")().tools[0].description; // => "Change a sprint. [Cache-Control: no-store]"
 * detach();
 */
export class StateSync {
  readonly layer: StateSyncLayer;
  readonly #config: Settled;

  constructor(config: StateSyncConfig) {
    this.layer = new StateSyncLayer(config);
    this.#config = settled(config);
  }

  get engine(): PolicyEngine {
    return this.layer.engine;
  }

  /** Serves the tools through the layer. Answers `detach`, which puts back what was there. Under `strict` a list of tools is linted first. */
  attachToServer(server: unknown, source: ToolsAndHandler, opts?: AttachOptions): () => void;
  attachToServer(server: unknown, registry: Registry, opts?: AttachOptions & RegistryOptions): () => void;
  attachToServer(
    server: unknown,
    source: ToolsAndHandler | Registry,
    opts?: AttachOptions & RegistryOptions,
  ): () => void {
    const listed = isRegistry(source) ? undefined : source?.tools;
    if (this.#config.strict && Array.isArray(listed)) this.lint(listed);
    return attach(server, source, this.layer, opts);
  }

  lint(tools: readonly LintedTool[]): Finding[] {
    return lint(this.#config, tools);
  }
}
