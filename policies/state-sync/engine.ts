// The engine: which row decides about a name. Validated, copied and frozen at construction; memory bounded for ever.
import { matchSegments } from "../glob.js";
import { type ResolvedPolicy, type SyncDefaults, type SyncPolicy, withinLimits } from "./policy.js";
import { validateDefaults, validatePolicies } from "./validate.js";

/** Entries kept before the cache of decided names is emptied as a whole. */
const CACHE_LIMIT = 2048;
const DEFAULT = -1;

/**
 * First match wins: the first row whose `match` fits decides alone, and nothing is merged from later ones.
 *
 * @example
 * const engine = new PolicyEngine([{ match: "regions.*", cacheControl: "immutable" }], { cacheControl: "no-store" });
 * engine.resolve("regions.list"); // => { cacheControl: "immutable" }
 * engine.resolve("instances.list"); // => { cacheControl: "no-store" }
 * engine.explain("regions.list"); // => { index: 0, match: "regions.*" }
 */
export class PolicyEngine {
  readonly #rows: readonly { readonly match: string; readonly segments: readonly string[] }[];
  readonly #resolutions: readonly (ResolvedPolicy | null)[];
  readonly #fallback: ResolvedPolicy | null;
  readonly #decided = new Map<string, number>();

  constructor(policies: readonly SyncPolicy[], defaults?: SyncDefaults) {
    validatePolicies(policies);
    validateDefaults(defaults);
    const interned = new Map<string, ResolvedPolicy>();
    const resolution = (policy: Omit<SyncPolicy, "match">): ResolvedPolicy | null => {
      const resolved = resolve(policy, defaults);
      if (resolved === null) return null;
      const key = JSON.stringify([resolved.cacheControl, resolved.invalidates]);
      const known = interned.get(key) ?? resolved;
      interned.set(key, known);
      return known;
    };
    this.#rows = policies.map(({ match }) => ({ match, segments: match.split(".") }));
    this.#resolutions = policies.map(resolution);
    this.#fallback = resolution({});
  }

  /** What holds for this canonical name, or null if neither a row nor a default says anything. */
  resolve(name: string): ResolvedPolicy | null {
    const index = this.#decide(name);
    return index === DEFAULT ? this.#fallback : (this.#resolutions[index] ?? null);
  }

  /** Which row decided, or null if none did. */
  explain(name: string): { index: number; match: string } | null {
    const index = this.#decide(name);
    const row = this.#rows[index];
    return row === undefined ? null : { index, match: row.match };
  }

  #decide(name: string): number {
    const known = this.#decided.get(name);
    if (known !== undefined) return known;
    const segments = name.split(".");
    const index = this.#rows.findIndex((row) => matchSegments(row.segments, segments));
    if (withinLimits(name)) {
      if (this.#decided.size >= CACHE_LIMIT) this.#decided.clear();
      this.#decided.set(name, index);
    }
    return index;
  }
}

// A row that says nothing and has no default resolves to null, and still keeps later rows from being asked.
function resolve(policy: Omit<SyncPolicy, "match">, defaults?: SyncDefaults): ResolvedPolicy | null {
  const cacheControl = policy.cacheControl ?? defaults?.cacheControl;
  const invalidates = policy.invalidates?.length ? Object.freeze([...policy.invalidates]) : undefined;
  if (!cacheControl && !invalidates) return null;
  return Object.freeze({ ...(cacheControl && { cacheControl }), ...(invalidates && { invalidates }) });
}
