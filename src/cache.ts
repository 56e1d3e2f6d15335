// The cache: compliance scans, costs, schemas, region lists and price lists, with an age. Never infrastructure. What fails
// here is a warning and a question to AWS; what a change made stale is never answered.

import { matchGlob } from "../policies/glob.js";
import type { Operation, State } from "./core/change.js";
import { OpsError } from "./core/errors.js";
import { givenUp } from "./core/given-up.js";
import { digest, isObject, type Json, type JsonObject } from "./core/json.js";
import type { Cached, CachedRead, CacheQuestion, CacheStore, Clock, DataClass, Loaded, Log } from "./core/ports.js";

/** Part of every key: entries of another shape are never found. Raise it when what is kept changes its shape. */
const SCHEMA_VERSION = 2;

interface ClassRow {
  /** The read tools that show it: what makes one of them stale evicts it. None: AWS publishes it, whatever we change. */
  readonly shownBy: readonly string[];
  /** Reads of what it is made from: a resource that comes, goes or changes is another scan. */
  readonly madeOf?: readonly string[];
  /** Whether an answer says what asking cost. */
  readonly metered: boolean;
}

export const CLASSES: Readonly<Record<DataClass, ClassRow>> = {
  compliance: {
    shownBy: ["tags.check", "tags.untagged", "tags.report", "tags.exportCsv"],
    madeOf: ["instances.list", "databases.list", "deployments.list"],
    metered: false,
  },
  costs: {
    shownBy: ["costs.summary", "costs.byTag", "costs.forecast", "costs.anomalies", "tags.costGap"],
    metered: true,
  },
  schemas: { shownBy: [], metered: false },
  regions: { shownBy: ["regions.list"], metered: false },
  prices: { shownBy: [], metered: true },
};

/** The states of one question's way, by the names of the published diagram. */
export type CacheState =
  | "CacheQuery"
  | "ForceRefresh"
  | "KeyGeneration"
  | "CacheLookup"
  | "CacheHit"
  | "CacheMiss"
  | "CacheUnavailable"
  | "TTLCheck"
  | "ValidData"
  | "ExpiredData"
  | "CacheInvalidation"
  | "DataFetch"
  | "AWSQuery"
  | "FetchError"
  | "DataProcessing"
  | "CacheWrite"
  | "CacheStored"
  | "WriteError"
  | "DataReturned";

export interface CacheOptions {
  readonly store: CacheStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly ttlSeconds: Readonly<Record<DataClass, number>>;
  /** What an applied change of this tool makes stale, by the policy table. */
  readonly madeStaleBy: (tool: string) => readonly string[];
  /** Hears every state a question passes through. */
  readonly at?: (state: CacheState) => void;
}

/** Whose question it is: nobody is answered what was read with another principal's rights. */
export interface CacheScope {
  readonly account: string;
  readonly arn: string;
  /** What the record holds, for what was made stale; absent where it cannot be read, and nothing can be applied either. */
  readonly state?: State;
}

/** What is said of an answer that came through the cache. */
export interface CacheFacts {
  readonly source: "live" | "cache" | "mixed";
  readonly age_seconds: number;
  readonly api_cost_usd?: number;
  /** When the oldest part of it was true. */
  readonly asOf?: string;
}

/** The cache for one call. */
export interface CallCache {
  readonly cached: CachedRead;
  /** `null`: the call asked for nothing that is cached. */
  facts(): CacheFacts | null;
  /** What AWS billed for this call, also where it failed in the end. */
  billedUsd(): number;
}

export interface Cache {
  forCall(scope: CacheScope): CallCache;
  /** Drops what these patterns of read tools make stale in this account. Never rejects. */
  evict(patterns: readonly string[], account: string): Promise<void>;
}

interface Entry {
  readonly readAt: number;
  readonly value: Json;
}

/** Sessions of one role have the same rights. */
const principalOf = (arn: string): string => arn.replace(/^(arn:[^:]*:sts::\d*:assumed-role\/[^/]+)\/.*$/, "$1");

const asSet = (list: readonly string[]): string[] => [...new Set(list)].sort();

/** @example cacheKey("costs", { ask: {}, sets: { services: ["b", "a"] } }, scope) // "costs:123456789012:…" */
export function cacheKey(
  dataClass: DataClass,
  { ask, sets = {}, region }: CacheQuestion,
  { account, arn }: Pick<CacheScope, "account" | "arn">,
): string {
  const question = {
    version: SCHEMA_VERSION,
    principal: principalOf(arn),
    ask,
    sets: Object.fromEntries(Object.entries(sets).map(([name, list]) => [name, asSet(list)])),
    ...(region !== undefined && { region }),
  };
  return `${prefixOf(dataClass, account)}${digest(question)}`;
}

const prefixOf = (dataClass: DataClass, account: string): string => `${dataClass}:${account}:`;

const isStaleBy = (dataClass: DataClass, patterns: readonly string[]): boolean =>
  [...CLASSES[dataClass].shownBy, ...(CLASSES[dataClass].madeOf ?? [])].some((tool) =>
    patterns.some((pattern) => matchGlob(pattern, tool)),
  );

/**
 * Until when what was read of a class may have been changed by us: the end of the last change that made it stale, the
 * start of one that is open. What the state left to the archive counts as such a change.
 */
export function madeStaleAt(
  state: State,
  account: string,
  dataClass: DataClass,
  madeStaleBy: (tool: string) => readonly string[],
): number {
  if (CLASSES[dataClass].shownBy.length === 0) return Number.NEGATIVE_INFINITY;
  let last = state.spilled ? Date.parse(state.spilled.before) : Number.NEGATIVE_INFINITY;
  for (const operation of state.operations.values()) {
    const at = Date.parse(mayHaveChangedAt(operation) ?? "");
    if (!(at > last)) continue;
    const change = state.changes.get(operation.changeId);
    if (change?.account === account && isStaleBy(dataClass, madeStaleBy(change.tool))) last = at;
  }
  return last;
}

const mayHaveChangedAt = ({ state, settledAt, parkedAt, intentAt }: Operation): string | null =>
  state === "failed" ? null : (settledAt ?? parkedAt ?? intentAt);

/** @example const cache = createCache({ store: memoryCache(clock), clock, log, ttlSeconds, madeStaleBy }); */
export function createCache(options: CacheOptions): Cache {
  const { store, clock, log, ttlSeconds, madeStaleBy, at = () => {} } = options;
  const loading = new Map<string, { readonly since: number; readonly answer: Promise<Cached<Json>> }>();
  const now = () => clock.now().getTime();

  /** What fails in a store costs a question to AWS, never an answer. */
  async function attempt<T>(what: string, verb: () => Promise<T>): Promise<{ readonly done: T } | null> {
    try {
      return { done: await verb() };
    } catch (error) {
      log("warn", `the cache could not ${what}; the answer does not depend on it`, { store: store.name, error });
      return null;
    }
  }

  /** The kept entry if it may still be answered. What is broken, expired or outdated is deleted. */
  async function lookup(key: string, dataClass: DataClass, staleAt: number): Promise<Entry | null> {
    at("CacheLookup");
    const found = await attempt("be read", () => store.get(key));
    if (!found) {
      at("CacheUnavailable");
      return null;
    }
    if (found.done === null) {
      at("CacheMiss");
      return null;
    }
    at("CacheHit");
    at("TTLCheck");
    const entry = parseEntry(found.done);
    if (entry && now() - entry.readAt < ttlSeconds[dataClass] * 1_000 && entry.readAt > staleAt) {
      at("ValidData");
      return entry;
    }
    at("ExpiredData");
    at("CacheInvalidation");
    await attempt("be cleaned", () => store.deletePrefix(key));
    return null;
  }

  async function fetch<T extends Json>(
    key: string,
    dataClass: DataClass,
    load: () => Promise<Loaded<T>>,
  ): Promise<Cached<T>> {
    at("DataFetch");
    const readAt = now();
    at("AWSQuery");
    const over = givenUp();
    const { value, whole } = await load().catch((error: unknown) => {
      at("FetchError");
      throw error;
    });
    // What was read until then may look like all there is.
    over?.throwIfAborted();
    at("DataProcessing");
    if (whole) {
      at("CacheWrite");
      const text = JSON.stringify({ readAt, value } satisfies Entry);
      const written = await attempt("be written", () => store.set(key, text, ttlSeconds[dataClass]));
      at(written ? "CacheStored" : "WriteError");
    }
    return { value, source: "live", readAt: new Date(readAt).toISOString(), ageSeconds: 0 };
  }

  /** Two that ask the same at once ask AWS once, unless the first began before a change that the second knows of. */
  function fetchOnce<T extends Json>(
    key: string,
    dataClass: DataClass,
    staleAt: number,
    join: boolean,
    load: () => Promise<Loaded<T>>,
  ): Promise<Cached<T>> {
    const running = loading.get(key);
    if (join && running && running.since > staleAt) {
      // That somebody else no longer waits is no answer to this question.
      return (running.answer as Promise<Cached<T>>).catch((error: unknown) => {
        if (!isGivenUp(error) || givenUp()?.aborted) throw error;
        return fetchOnce(key, dataClass, staleAt, true, load);
      });
    }
    const answer = fetch(key, dataClass, load);
    const mine = { since: now(), answer };
    loading.set(key, mine);
    const over = () => {
      if (loading.get(key) === mine) loading.delete(key);
    };
    answer.then(over, over);
    return answer;
  }

  return {
    forCall(scope) {
      const parts: { readonly dataClass: DataClass; readonly answer: Cached<Json> }[] = [];
      let billedCents = 0;
      const billed = (usd: number): void => {
        billedCents += Math.round(usd * 100);
      };

      async function cached<T extends Json>(
        dataClass: DataClass,
        question: CacheQuestion,
        load: (billed: (usd: number) => void) => Promise<Loaded<T>>,
      ): Promise<Cached<T>> {
        at("CacheQuery");
        const key = cacheKey(dataClass, question, scope);
        const staleAt = scope.state
          ? madeStaleAt(scope.state, scope.account, dataClass, madeStaleBy)
          : Number.NEGATIVE_INFINITY;
        const forced = question.forceRefresh === true;
        at(forced ? "ForceRefresh" : "KeyGeneration");
        const entry = forced ? null : await lookup(key, dataClass, staleAt);
        const answer = entry
          ? kept<T>(entry, now())
          : await fetchOnce(key, dataClass, staleAt, !forced, () => load(billed));
        parts.push({ dataClass, answer });
        at("DataReturned");
        return answer;
      }

      return {
        cached,
        billedUsd: () => billedCents / 100,
        facts() {
          if (parts.length === 0) return null;
          const fromCache = parts.filter(({ answer }) => answer.source === "cache");
          const oldest = fromCache.map(({ answer }) => answer.readAt).sort()[0];
          return {
            source: fromCache.length === 0 ? "live" : fromCache.length === parts.length ? "cache" : "mixed",
            age_seconds: Math.max(...parts.map(({ answer }) => answer.ageSeconds)),
            ...(parts.some(({ dataClass }) => CLASSES[dataClass].metered) && { api_cost_usd: billedCents / 100 }),
            ...(oldest !== undefined && { asOf: oldest }),
          };
        },
      };
    },

    async evict(patterns, account) {
      const stale = (Object.keys(CLASSES) as DataClass[]).filter((dataClass) => isStaleBy(dataClass, patterns));
      await Promise.all(
        stale.map((dataClass) => attempt("be evicted", () => store.deletePrefix(prefixOf(dataClass, account)))),
      );
    },
  };
}

const isGivenUp = (error: unknown): boolean =>
  error instanceof OpsError && (error.code === "timed_out" || error.code === "call_cancelled");

const kept = <T extends Json>({ readAt, value }: Entry, now: number): Cached<T> => ({
  value: value as T,
  source: "cache",
  readAt: new Date(readAt).toISOString(),
  // Another host's clock may be ahead.
  ageSeconds: Math.max(0, Math.floor((now - readAt) / 1_000)),
});

function parseEntry(text: string): Entry | null {
  try {
    const parsed: unknown = JSON.parse(text);
    if (isObject(parsed) && Number.isFinite(parsed.readAt) && "value" in parsed) return parsed as unknown as Entry;
  } catch {}
  return null;
}

export interface MemoryCacheLimits {
  readonly entries: number;
  readonly characters: number;
}

/** In this process's memory; what was asked for longest ago goes first. */
export function memoryCache(
  clock: Pick<Clock, "monotonic">,
  limits: MemoryCacheLimits = { entries: 1_000, characters: 32_000_000 },
): CacheStore {
  const held = new Map<string, { readonly text: string; readonly until: number }>();
  let characters = 0;
  const drop = (key: string): void => {
    characters -= held.get(key)?.text.length ?? 0;
    held.delete(key);
  };
  return {
    name: "memory",
    async get(key) {
      const found = held.get(key);
      if (!found) return null;
      held.delete(key);
      held.set(key, found);
      if (found.until > clock.monotonic()) return found.text;
      drop(key);
      return null;
    },
    async set(key, text, ttlSeconds) {
      drop(key);
      held.set(key, { text, until: clock.monotonic() + ttlSeconds * 1_000 });
      characters += text.length;
      for (const oldest of held.keys()) {
        if (held.size <= limits.entries && characters <= limits.characters) break;
        drop(oldest);
      }
    },
    async deletePrefix(prefix) {
      for (const key of [...held.keys()]) if (key.startsWith(prefix)) drop(key);
    },
  };
}

/** An answer that came through the cache says so. */
export const withFacts = (data: JsonObject, facts: CacheFacts | null): JsonObject =>
  facts ? { ...facts, ...data } : data;
