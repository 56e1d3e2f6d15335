// What a policy says: one row, what it resolves to, and the limits every pattern and name is held to.

/** Binary on purpose: a model has no clock, so an age would mean nothing to it. */
export type CacheDirective = "no-store" | "immutable";

/** One row of the table. The first row whose `match` fits a tool decides about it alone. */
export interface SyncPolicy {
  readonly match: string;
  readonly cacheControl?: CacheDirective | undefined;
  readonly invalidates?: readonly string[] | undefined;
}

/** What holds where no row says otherwise. */
export interface SyncDefaults {
  readonly cacheControl?: CacheDirective | undefined;
}

/** What a tool's name resolves to. Frozen; equal resolutions of one engine are the same object. */
export interface ResolvedPolicy {
  readonly cacheControl?: CacheDirective;
  readonly invalidates?: readonly string[];
}

/**
 * Every directive a policy may carry.
 *
 * @example
 * VALID_DIRECTIVES.has("no-store"); // => true
 * VALID_DIRECTIVES.has("max-age=300"); // => false
 */
export const VALID_DIRECTIVES: ReadonlySet<string> = new Set<CacheDirective>(["no-store", "immutable"]);

export const PATTERN_LIMITS = { characters: 128, segments: 16 } as const;
export const NAME_LIMITS = { characters: 128, segments: 32 } as const;

/** False for a name that is too long to be cached or served; it is still resolved correctly. */
export function withinLimits(name: string): boolean {
  return name.length <= NAME_LIMITS.characters && name.split(".").length <= NAME_LIMITS.segments;
}
