// The layer: tools in, tools with directives out; results in, results with signals out. It never fails the call it decorates.
import { type InvalidationEvent, type Settled, type StateSyncConfig, settled } from "./config.js";
import { decorateDescription, type ToolLike } from "./describe.js";
import { PolicyEngine } from "./engine.js";
import { announce, report } from "./observe.js";
import { type About, isOutcome, type Outcome, outcomeOf, resolveInvalidations } from "./outcome.js";
import { type CacheDirective, NAME_LIMITS, withinLimits } from "./policy.js";
import { carriesSignal, decorateResponse } from "./signal.js";

/**
 * Decorates without a server: for a pipeline of your own.
 *
 * @example
 * const layer = new StateSyncLayer({ policies: [{ match: "sprints.update", invalidates: ["sprints.*"] }] });
 * layer.decorateResult("sprints.update", { content: [] }).content[0].text; // => "[System: Cache invalidated for sprints.* — caused by sprints.update]"
 * layer.decorateResult("sprints.update", { content: [], isError: true }); // => { content: [], isError: true }
 */
export class StateSyncLayer {
  readonly engine: PolicyEngine;
  readonly #config: Settled;
  readonly #decorated = new WeakMap<object, Decorated>();

  constructor(config: StateSyncConfig) {
    this.#config = settled(config);
    this.engine = new PolicyEngine(this.#config.policies, this.#config.defaults);
  }

  /** Every tool with the directive of its policy, in the same order. A tool without one is the same object. */
  decorateTools<T extends ToolLike>(tools: readonly T[]): (T & ToolLike)[] {
    return tools.map((tool) => {
      try {
        return this.#decorateTool(tool);
      } catch (error) {
        this.problem(error);
        return tool;
      }
    });
  }

  /** The result, with a signal if the call changed or may have changed something. Observers are told first. */
  decorateResult<R>(toolName: string, result: R, about: About = {}): R {
    try {
      if (carriesSignal(result, this.#config.signal.meta)) return result;
      const event = this.#invalidation(toolName, about, [result]);
      if (!event) return result;
      announce(event, this.#config);
      const { signal, toWire } = this.#config;
      const { causedBy, patterns, outcome, timestamp: at, scope } = event;
      const { outputSchema } = about;
      return decorateResponse(result, patterns, causedBy, { ...signal, toWire, outcome, at, scope, outputSchema });
    } catch (error) {
      this.problem(error);
      return result;
    }
  }

  /** For a call whose handler threw: observers are told if it may have changed something. Rethrowing is the caller's. */
  observeThrow(toolName: string, error: unknown, about: About = {}): void {
    try {
      const event = this.#invalidation(toolName, about, [undefined, error]);
      if (event) announce(event, this.#config);
    } catch (failure) {
      this.problem(failure);
    }
  }

  /** Hands a contained failure to `onError`. */
  problem(error: unknown): void {
    report(error, "decorate", this.#config);
  }

  /** The name policies know this tool by: the one function behind lists and calls. */
  canonical(name: string): string {
    return this.#config.toCanonical(name);
  }

  #decorateTool<T extends ToolLike>(tool: T): T & ToolLike {
    const name = this.canonical(tool.name);
    if (!withinLimits(name)) {
      const { characters, segments } = NAME_LIMITS;
      const shown = JSON.stringify(name.slice(0, characters));
      this.problem(new Error(`StateSync: tool name ${shown} is over ${characters} characters or ${segments} segments`));
    }
    const policy = this.engine.resolve(name);
    if (!policy?.cacheControl) return tool;
    const known = this.#decorated.get(tool);
    if (known && known.directive === policy.cacheControl && sameFields(known.source, tool)) return known.copy as T;
    const source = { ...tool };
    const copy = decorateDescription(source, policy, this.#config.signal);
    this.#decorated.set(tool, { directive: policy.cacheControl, source, copy });
    return copy;
  }

  #invalidation(toolName: string, about: About, answer: [result?: unknown, error?: unknown]): InvalidationEvent | null {
    const causedBy = about.tool ?? this.canonical(toolName);
    const policy = this.engine.resolve(causedBy);
    if (!policy?.invalidates) return null;
    const outcome = about.outcome ?? this.#classify(causedBy, answer);
    const patterns = resolveInvalidations(policy, outcome);
    if (patterns.length === 0) return null;
    const timestamp = this.#config.clock().toISOString();
    const scope = about.scope && Object.freeze({ ...about.scope });
    return Object.freeze({ causedBy, patterns, timestamp, outcome, ...(scope && { scope }) });
  }

  // A classifier that fails or answers nonsense leaves the outcome unknown, which never hides a change.
  #classify(tool: string, answer: [result?: unknown, error?: unknown]): Outcome {
    try {
      const threw = answer.length === 2;
      const { classify } = this.#config;
      const outcome: unknown = classify ? classify(tool, ...answer) : threw ? "unknown" : outcomeOf(answer[0]);
      if (isOutcome(outcome)) return outcome;
      throw new TypeError(`StateSync: classify(${JSON.stringify(tool)}) answered no outcome`);
    } catch (error) {
      this.problem(error);
      return "unknown";
    }
  }
}

// Cached by tool object, and only while its fields are the same: a schema replaced in place is never served from here.
interface Decorated {
  readonly directive: CacheDirective;
  readonly source: object;
  readonly copy: object;
}

function sameFields(source: object, tool: object): boolean {
  const fields = Object.entries(tool);
  const known = source as Record<string, unknown>;
  return fields.length === Object.keys(source).length && fields.every(([key, value]) => Object.is(known[key], value));
}
