// The same configuration, spoken: for those who would rather chain than write a literal.
import type { InvalidationEvent, ResourceNotification } from "./config.js";
import { StateSyncLayer } from "./layer.js";
import type { CacheDirective, SyncPolicy } from "./policy.js";

/**
 * What one row says.
 *
 * @example
 * new PolicyBuilder().stale().invalidates("sprints.*").invalidates("tasks.*").toPolicy("sprints.update");
 * // => { match: "sprints.update", cacheControl: "no-store", invalidates: ["sprints.*", "tasks.*"] }
 */
export class PolicyBuilder {
  #cacheControl: CacheDirective | undefined;
  readonly #invalidates: string[] = [];

  /** Reference data: never changes. */
  cached(): this {
    this.#cacheControl = "immutable";
    return this;
  }

  /** May change at any time. */
  stale(): this {
    this.#cacheControl = "no-store";
    return this;
  }

  invalidates(...globs: string[]): this {
    this.#invalidates.push(...globs);
    return this;
  }

  toPolicy(match: string): SyncPolicy {
    const invalidates = this.#invalidates.length > 0 && { invalidates: [...this.#invalidates] };
    return { match, ...(this.#cacheControl && { cacheControl: this.#cacheControl }), ...invalidates };
  }
}

/**
 * A layer, row by row, in the order in which rows are asked. A row for one tool names exactly that tool.
 *
 * @example
 * const layer = new StateSyncBuilder()
 *   .defaults((p) => p.stale())
 *   .policy("sprints.update", (p) => p.invalidates("sprints.*"))
 *   .build();
 * layer.engine.resolve("sprints.update"); // => { cacheControl: "no-store", invalidates: ["sprints.*"] }
 */
export class StateSyncBuilder {
  readonly #policies: SyncPolicy[] = [];
  #defaults: { cacheControl?: CacheDirective | undefined } = {};
  #onInvalidation: ((event: InvalidationEvent) => void | Promise<void>) | undefined;
  #notificationSink: ((notification: ResourceNotification) => void | Promise<void>) | undefined;
  #layer: StateSyncLayer | undefined;

  defaults(fn: (policy: PolicyBuilder) => unknown): this {
    const { cacheControl, invalidates } = spoken("**", fn);
    if (invalidates) {
      throw new Error(
        "StateSyncBuilder.defaults(): a default makes nothing stale; say invalidates in .policy(match, fn)",
      );
    }
    this.#defaults = { cacheControl };
    return this.#changed();
  }

  policy(match: string, fn: (policy: PolicyBuilder) => unknown): this {
    this.#policies.push(spoken(match, fn));
    return this.#changed();
  }

  onInvalidation(fn: (event: InvalidationEvent) => void | Promise<void>): this {
    this.#onInvalidation = fn;
    return this.#changed();
  }

  notificationSink(fn: (notification: ResourceNotification) => void | Promise<void>): this {
    this.#notificationSink = fn;
    return this.#changed();
  }

  build(): StateSyncLayer {
    return new StateSyncLayer({
      policies: this.#policies,
      defaults: this.#defaults,
      ...(this.#onInvalidation && { onInvalidation: this.#onInvalidation }),
      ...(this.#notificationSink && { notificationSink: this.#notificationSink }),
    });
  }

  /** The same object until the builder is changed. */
  get layer(): StateSyncLayer {
    this.#layer ??= this.build();
    return this.#layer;
  }

  #changed(): this {
    this.#layer = undefined;
    return this;
  }
}

function spoken(match: string, fn: (policy: PolicyBuilder) => unknown): SyncPolicy {
  const builder = new PolicyBuilder();
  fn(builder);
  return builder.toPolicy(match);
}
