// Leases: what only one process may do at a time (stacks, maintenance). A number that only grows, a heartbeat, and a proof before it is taken over.

import type { Liveness, Owner } from "../src/core/change.js";
import { OpsError } from "../src/core/errors.js";
import { canonicalJson, isObject } from "../src/core/json.js";
import type { Clock, Ids } from "../src/core/ports.js";
import type { StateDriver } from "./driver.js";
import { type Event, fromDisk, OwnerShape, textOf, toDisk } from "./events.js";

/** The scope of maintenance of the store itself. */
export const STORE_SCOPE = "store";

const LOCK = "lock/";
export const LEASE_MS = 60_000;
/** How many leases a heartbeat must stand still, on the waiter's own clock, to prove that nobody holds it. */
export const PATIENCE = 1.5;
const ATTEMPTS = 20;

const stem = (generation: number): string => LOCK + String(generation).padStart(6, "0");
const leaseKey = (generation: number): string => `${stem(generation)}.json`;
const beatKey = (generation: number): string => `${stem(generation)}.hb`;
const releasedKey = (generation: number): string => `${stem(generation)}.released`;

/** A lease this process holds. Its generation is the epoch of the commits made under it. */
export interface Lease {
  readonly scope: string;
  readonly generation: number;
  /** To be called before each part of the work; in between it beats by itself. False: it was taken over or broken, and
   * nothing more may be done under it. */
  heartbeat(): Promise<boolean>;
  release(): Promise<void>;
}

/** How long to wait for a lease that somebody holds. */
export interface LeaseWait {
  readonly waitMs?: number;
  /** Told once, before the wait begins: who holds it. */
  readonly waiting?: (held: LeaseView) => void;
}

/** A lease as everybody sees it. `owner` is null where its file cannot be read: it is held all the same. */
export interface LeaseView {
  readonly scope: string | null;
  readonly generation: number;
  readonly owner: Owner | null;
  readonly operation: string;
  readonly leaseMs: number;
  readonly released: boolean;
}

export interface Leases {
  /** The newest lease of every scope. */
  list(): Promise<readonly LeaseView[]>;
  /**
   * The lease, or `resource_busy` once the wait has passed. Every call is a look at the heartbeat of whoever holds it, and
   * what counts is the time between looks, also from call to call: a process that never waits takes it over in the end.
   */
  acquire(scope: string, operation: string, wait?: LeaseWait): Promise<Lease | OpsError>;
  /** Ends a lease on the word of a human. No tool may call this. */
  break(generation: number, by: string, because: string): Promise<void>;
}

/** Who holds a lease, in words. */
export const heldBy = ({ generation, scope, owner, operation }: LeaseView): string => {
  const by = owner ? `process ${owner.pid} on ${owner.host}` : "a process that cannot be named";
  return `Lease ${generation} on ${scope ?? "every scope"} is held by ${by}${operation && ` (${operation})`}`;
};

interface Watched {
  readonly generation: number;
  readonly beat: string | null;
  readonly lookedAt: number;
  readonly stillMs: number;
}

export interface LeaseEffects {
  readonly driver: StateDriver;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly owner: Owner;
  readonly user: string;
  /** What this machine can prove about the process behind an owner. */
  readonly liveness: Liveness;
  /** How long a lease lives without a heartbeat, 60 s unless told. Written into each lease: a waiter goes by the holder's. */
  readonly leaseMs?: number;
  /** Resolves once the store is there and may be written; throws why it may not. */
  ready(): Promise<void>;
  /** Commits events under an epoch; throws the fold's refusal. */
  record(events: readonly Event[], epoch: number): Promise<unknown>;
}

const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(`${canonicalJson(value)}\n`);

/** The leases of a store. The files show who is at work; the commit of `lease.acquired` is what decides. */
export function leasesOf(effects: LeaseEffects): Leases {
  const { driver, clock, ids, owner, user, liveness, leaseMs = LEASE_MS, ready, record } = effects;

  async function view(generation: number, keys: ReadonlySet<string>): Promise<LeaseView> {
    const stored = await driver.get(leaseKey(generation));
    const file = stored ? parsed(stored.bytes) : null;
    const known = OwnerShape.safeParse(file?.owner);
    return {
      scope: typeof file?.scope === "string" ? file.scope : null,
      generation,
      owner: known.success ? known.data : null,
      operation: typeof file?.operation === "string" ? file.operation : "",
      leaseMs: typeof file?.leaseMs === "number" ? file.leaseMs : LEASE_MS,
      released: keys.has(releasedKey(generation)),
    };
  }

  /** Every lease there is, oldest first. */
  async function all(): Promise<LeaseView[]> {
    const keys = new Set(await driver.list(LOCK));
    const generations = [...keys].map(generationOf).filter((generation) => generation !== null);
    return Promise.all(generations.sort((a, b) => a - b).map((generation) => view(generation, keys)));
  }

  /** The newest of a scope. One that cannot be read may be of any scope, so it counts for each. */
  const newestOf = (views: readonly LeaseView[], scope: string): LeaseView | null =>
    views.findLast((one) => one.scope === scope || one.scope === null) ?? null;

  const beatOf = async ({ generation }: LeaseView): Promise<string | null> =>
    (await driver.get(beatKey(generation)))?.etag ?? null;

  /** By scope: the newest look at the heartbeat of whoever holds it. */
  const watched = new Map<string, Watched>();

  /** For how long a heartbeat was seen unchanged. A long gap between two looks proves little: both may have slept in it. */
  async function stillMs(scope: string, held: LeaseView): Promise<number> {
    const { generation, leaseMs: patience } = held;
    const beat = await beatOf(held);
    const lookedAt = clock.monotonic();
    const last = watched.get(scope);
    const same = last?.generation === generation && last.beat === beat;
    const still = same ? last.stillMs + Math.min(lookedAt - last.lookedAt, patience) : 0;
    watched.set(scope, { generation, beat, lookedAt, stillMs: still });
    return still;
  }

  async function acquire(
    scope: string,
    operation: string,
    { waitMs = 0, waiting }: LeaseWait = {},
  ): Promise<Lease | OpsError> {
    await ready();
    let waited = 0;
    for (let attempt = 1; attempt <= ATTEMPTS || waited < waitMs; attempt++) {
      const views = await all();
      const held = newestOf(views, scope);
      let because = held ? freed(held) : "";
      if (held && because === null) {
        if ((await stillMs(scope, held)) >= PATIENCE * held.leaseMs) because = "its heartbeat stood still";
        else if (waited >= waitMs) return busy(scope, held);
        else {
          if (waited === 0) waiting?.(held);
          const nap = Math.min(held.leaseMs / 10, waitMs - waited);
          await clock.sleep(nap);
          waited += nap;
          continue;
        }
      }
      const lease = await take(scope, operation, views.at(-1)?.generation ?? 0, held, because ?? "");
      if (lease) return lease;
      await clock.sleep((ids.bytes(1)[0]! / 255) * Math.min(200, 2 ** attempt));
    }
    return busy(scope, newestOf(await all(), scope));
  }

  /** Why a lease is free: empty where it was given back, the proof where its process is gone, null where it is held. */
  function freed({ released, owner: by }: LeaseView): string | null {
    if (released) return "";
    return by && liveness(by) === "dead" ? "its process is gone" : null;
  }

  /** Takes the next number. Null: somebody else moved first, and what was found before no longer counts. */
  async function take(
    scope: string,
    operation: string,
    highest: number,
    held: LeaseView | null,
    because: string,
  ): Promise<Lease | null> {
    const generation = highest + 1;
    const supersedes = held?.generation ?? null;
    const file = { generation, leaseMs, operation, owner, scope, supersedes, user };
    if ((await driver.putIfAbsent(leaseKey(generation), bytesOf(toDisk(file)))) === "exists") return null;
    const views = await all();
    const below = newestOf(
      views.filter((one) => one.generation < generation),
      scope,
    );
    // Old files are cleared away, so a process that slept can create a number that has passed.
    if (views.at(-1)?.generation !== generation || (below?.generation ?? null) !== supersedes) {
      await driver.remove([leaseKey(generation)]);
      return null;
    }
    await beat(generation);
    try {
      await record(
        [{ type: "lease.acquired", scope, generation, supersedes, operation, owner, ...(because && { because }) }],
        generation,
      );
    } catch (error) {
      await driver.remove([leaseKey(generation), beatKey(generation)]);
      if (error instanceof OpsError && error.code === "resource_busy") return null;
      throw error;
    }
    await clear(views.filter((one) => one.scope === scope && one.generation < generation));
    const rest = beating(scope, generation);
    return {
      scope,
      generation,
      heartbeat: () => heartbeat(scope, generation),
      async release() {
        await rest();
        await release(generation);
      },
    };
  }

  /** Beats until it is told to stop or the lease is lost: however long a part of the work takes, its holder lives. */
  function beating(scope: string, generation: number): () => Promise<void> {
    let stop = (): void => {};
    let beat: Promise<unknown> = Promise.resolve();
    let stopped = false;
    const next = (): void => {
      stop =
        clock.later?.(leaseMs / 6, () => {
          beat = heartbeat(scope, generation).then(
            (holds) => holds && !stopped && next(),
            // What it cannot say here it says to the holder, who asks before each part of the work.
            () => !stopped && next(),
          );
        }) ?? stop;
    };
    next();
    return async () => {
      stopped = true;
      stop();
      await beat;
    };
  }

  async function beat(generation: number): Promise<void> {
    const key = beatKey(generation);
    await driver.putIfMatch(key, bytesOf(ids.uuid()), (await driver.get(key))?.etag ?? null);
  }

  async function heartbeat(scope: string, generation: number): Promise<boolean> {
    try {
      const newest = newestOf(await all(), scope);
      if (newest?.generation !== generation || newest.released) return false;
      await beat(generation);
    } catch (error) {
      // A disk that hiccups is no proof of a loss; whoever took over is found by the epoch of the next commit.
      if (!(error instanceof OpsError)) throw error;
    }
    return true;
  }

  const release = async (generation: number): Promise<void> => {
    await driver.putIfAbsent(releasedKey(generation), bytesOf({ by: user }));
  };

  /** The newest of every scope stays: it is what the next number is counted from. */
  const clear = (views: readonly LeaseView[]): Promise<void> =>
    driver.remove(
      views.flatMap(({ generation }) => [leaseKey(generation), beatKey(generation), releasedKey(generation)]),
    );

  return {
    acquire,

    async list() {
      const views = await all();
      return views.filter((one) => newestOf(views, one.scope ?? "") === one);
    },

    async break(generation, by, because) {
      await ready();
      const views = await all();
      const found = views.find((one) => one.generation === generation);
      const newest = found && newestOf(views, found.scope ?? "");
      if (!found || found !== newest || found.released) {
        throw new OpsError(
          "validation_error",
          `There is no lease ${generation} that somebody holds. Nothing was changed; list the leases.`,
          { field: "generation" },
        );
      }
      await record([{ type: "lease.broken", scope: found.scope ?? STORE_SCOPE, generation, by, because }], 0);
      await release(generation);
    },
  };
}

function generationOf(key: string): number | null {
  const match = /^lock\/(\d{6,})\.json$/.exec(key);
  return match ? Number(match[1]) : null;
}

function parsed(bytes: Uint8Array): Record<string, unknown> | null {
  try {
    const value = fromDisk(JSON.parse(textOf(bytes) ?? ""));
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

function busy(scope: string, held: LeaseView | null): OpsError {
  const { generation = 0, owner = null, operation = "" } = held ?? {};
  const who = held ? heldBy({ ...held, scope }) : `A lease on ${scope} was taken by others again and again`;
  return new OpsError("resource_busy", `${who}. Nothing was changed; wait until it ends.`, {
    details: { scope, generation, owner, operation },
  });
}
