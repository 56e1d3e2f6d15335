// The configuration: checked, then copied and frozen, so that nothing the caller edits later changes what the layer does.
import type { Outcome, Scope } from "./outcome.js";
import type { SyncDefaults, SyncPolicy } from "./policy.js";
import { validateConfig } from "./validate.js";

export interface InvalidationEvent {
  readonly causedBy: string;
  readonly patterns: readonly string[];
  /** ISO 8601 */
  readonly timestamp: string;
  readonly outcome: Outcome;
  readonly scope?: Scope;
}

export interface ResourceNotification {
  readonly method: "notifications/resources/updated";
  readonly params: { readonly uri: string };
}

/** A finding the owner of the table has looked at. `match` covers what the finding is about: a row, a pattern or a tool. */
export interface AcceptedFinding {
  readonly code: string;
  readonly match: string;
  readonly because: string;
}

export interface StateSyncConfig {
  readonly policies: readonly SyncPolicy[];
  readonly defaults?: SyncDefaults | undefined;
  /** Told once for each signal, before the result returns. Never awaited; may throw or reject. */
  onInvalidation?(event: InvalidationEvent): void | Promise<void>;
  /** Told once for each stale pattern, in order. Never awaited; may throw or reject. */
  notificationSink?(notification: ResourceNotification): void | Promise<void>;
  readonly signal?:
    | {
        readonly text?: "system" | "xml" | false | undefined;
        readonly placement?: "first" | "last" | "merge" | undefined;
        readonly meta?: string | false | undefined;
        readonly structured?: string | false | undefined;
        readonly emptyDescription?: "tag" | "space-tag" | undefined;
      }
    | undefined;
  readonly staleUri?: string | ((pattern: string) => string) | undefined;
  /** Policies speak canonical names, models see wire names. `toCanonical` must accept both. */
  readonly names?: { toWire(canonical: string): string; toCanonical(wire: string): string } | undefined;
  /** Replaces the default rule: truthy `isError` is `not_applied`, a result is `applied`, a thrown error is `unknown`. */
  classify?(tool: string, result?: unknown, error?: unknown): Outcome;
  /** Told of everything that was contained instead of failing a call. */
  onError?(error: unknown, where: Where): void;
  clock?(): Date;
  /** Lint throws on errors and warnings that are not accepted. */
  readonly strict?: boolean | undefined;
  readonly accept?: readonly AcceptedFinding[] | undefined;
}

export type Where = "observer" | "sink" | "decorate";

/** The configuration with every default filled in. */
export type Settled = Readonly<ReturnType<typeof settled>>;

/** Functions keep the object they came from as `this`, and are taken now: a method replaced later is not seen. */
export function settled(config: StateSyncConfig) {
  validateConfig(config);
  const { signal = {}, staleUri = "fusion://stale/", names } = config;
  return Object.freeze({
    policies: Object.freeze(config.policies.map(frozenPolicy)),
    defaults: Object.freeze({ ...config.defaults }),
    signal: Object.freeze({
      text: signal.text ?? "system",
      placement: signal.placement ?? "first",
      meta: signal.meta ?? "aws-devops-mcp/state-sync",
      structured: signal.structured ?? "stateSync",
      emptyDescription: signal.emptyDescription ?? "tag",
    }),
    staleUri: typeof staleUri === "function" ? staleUri : (pattern: string) => staleUri + pattern,
    toWire: names ? names.toWire.bind(names) : (name: string) => name,
    toCanonical: names ? names.toCanonical.bind(names) : (name: string) => name,
    onInvalidation: config.onInvalidation?.bind(config),
    notificationSink: config.notificationSink?.bind(config),
    classify: config.classify?.bind(config),
    onError: config.onError?.bind(config),
    clock: config.clock ? config.clock.bind(config) : () => new Date(),
    strict: config.strict ?? false,
    accept: Object.freeze((config.accept ?? []).map((entry) => Object.freeze({ ...entry }))),
  });
}

function frozenPolicy(policy: SyncPolicy): SyncPolicy {
  const { invalidates } = policy;
  return Object.freeze({ ...policy, ...(invalidates && { invalidates: Object.freeze([...invalidates]) }) });
}
