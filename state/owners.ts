// Owners: a process with an open operation shows that it lives; another one proves that it does not before it takes over.

import type { Liveness, Operation, Owner, State } from "../src/core/change.js";
import { OpsError } from "../src/core/errors.js";
import { sha256 } from "../src/core/json.js";
import type { Clock, Ids, Log } from "../src/core/ports.js";
import { openChangeIds } from "./claims.js";
import type { StateDriver } from "./driver.js";
import type { Proof } from "./events.js";
import { LEASE_MS, PATIENCE } from "./leases.js";

/** How often `heartbeat` is to be called. */
export const BEAT_MS = 10_000;

export interface Owners {
  /** The first beat: to be called before the commit that makes this process the owner of an operation. */
  hold(): Promise<void>;
  /** To be called every 10 s: beats while this process owns something that is open, and cleans up when it does not. */
  heartbeat(): Promise<void>;
  /**
   * Proof that the process behind an owner is gone; null: there is none yet. Every call is one look at its heartbeat,
   * and what counts is the time between the looks on this process's monotonic clock. Nobody waits here.
   */
  proofOf(operation: Pick<Operation, "owner" | "leaseMs">): Promise<Proof | null>;
  /** Takes the heartbeat of an owner away that has nothing open any more. */
  forget(owner: Owner): Promise<void>;
  /** This process ends: its heartbeat goes, unless it leaves something open. */
  rest(): Promise<void>;
}

export interface OwnerEffects {
  readonly driver: StateDriver;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  readonly owner: Owner;
  /** What this machine can prove about the process behind an owner. */
  readonly liveness: Liveness;
  readonly state: () => Promise<State>;
}

interface Watched {
  readonly beat: string | null;
  readonly lookedAt: number;
  readonly stillMs: number;
}

/** Sessions name themselves; only a plain name becomes part of a key. */
const beatKey = (session: string): string =>
  `lock/owner-${/^[\w-]{1,64}$/.test(session) ? session : sha256(session).slice(0, 32)}.hb`;

/** Whether a process still has an operation to end, or a change whose next step it has yet to begin. */
function owns(state: State, { session }: Owner): boolean {
  return openChangeIds(state).some((id) => {
    const last = state.operations.get(state.changes.get(id)!.operationIds.at(-1) ?? "");
    return last?.owner.session === session && last.state !== "parked";
  });
}

/** @example const proof = await owners.proofOf(operation); if (proof) await takeOver(operation, proof); */
export function ownersOf({ driver, clock, ids, log, owner, liveness, state }: OwnerEffects): Owners {
  const own = beatKey(owner.session);
  const watched = new Map<string, Watched>();
  /** When this process last became an owner; null: nothing of it is open. */
  let heldAt: number | null = null;

  async function beat(): Promise<void> {
    const bytes = new TextEncoder().encode(`${JSON.stringify(ids.uuid())}\n`);
    await driver.putIfMatch(own, bytes, (await driver.get(own))?.etag ?? null);
  }

  /** A disk that hiccups is no reason to stop: the next beat is near, and a commit that fails says so itself. */
  const riddenOut = (work: Promise<void>): Promise<void> =>
    work.catch((error: unknown) => {
      if (!(error instanceof OpsError)) throw error;
      log("warn", "a heartbeat could not be written", { code: error.code, message: error.message });
    });

  async function restUnless(now: State): Promise<void> {
    if (owns(now, owner)) return beat();
    const before = heldAt;
    await driver.remove([own]);
    // An operation may have begun meanwhile: it began with a beat, which has just been taken away.
    if (heldAt === before) heldAt = null;
    else await beat();
  }

  return {
    hold() {
      heldAt = clock.monotonic();
      return riddenOut(beat());
    },

    async heartbeat() {
      if (heldAt === null) return;
      // Between the first beat and the commit it was made for there is nothing to be seen yet.
      if (clock.monotonic() - heldAt < LEASE_MS) return riddenOut(beat());
      await riddenOut(state().then(restUnless));
    },

    async proofOf({ owner: other, leaseMs }) {
      if (other.host === owner.host && liveness(other) === "dead") {
        return { kind: other.bootId === owner.bootId ? "process_gone" : "other_boot" };
      }
      if (leaseMs === undefined) return null;
      const seen = (await driver.get(beatKey(other.session)))?.etag ?? null;
      const now = clock.monotonic();
      const last = watched.get(other.session);
      // One long gap between two looks proves little: this machine may have slept, and the other process with it.
      const stillMs = last && last.beat === seen ? last.stillMs + Math.min(now - last.lookedAt, leaseMs) : 0;
      if (watched.size > 1_000) watched.clear();
      watched.set(other.session, { beat: seen, lookedAt: now, stillMs });
      return stillMs >= PATIENCE * leaseMs ? { kind: "heartbeat_still", stillMs: Math.floor(stillMs) } : null;
    },

    async forget(other) {
      watched.delete(other.session);
      if (!owns(await state(), other)) await riddenOut(driver.remove([beatKey(other.session)]));
    },

    async rest() {
      if (heldAt !== null) await riddenOut(state().then(restUnless));
    },
  };
}
