// Owners: who has an operation open shows that it lives, and nobody is held for gone without a proof.

import { describe, expect, it } from "vitest";
import type { Owner } from "../../src/core/change.js";
import { OpsError } from "../../src/core/errors.js";
import type { StateDriver } from "../../state/driver.js";
import { memoryDriver } from "../../state/drivers/memory.js";
import type { Store, StoreOptions } from "../../state/journal.js";
import { operationId } from "../../state/tokens.js";
import { folder } from "./folder.js";
import { ids, intent, open, owner, plan, result, testClock } from "./helpers.js";

const LEASE = 60_000;
const one = owner("session-1", 100);
const far: Owner = { host: "host-2", bootId: "boot-2", pid: 7, pidStart: "1", session: "session-2" };
const HB = "lock/owner-session-1.hb";

/** A store whose process has an operation open, under a clock of its own. */
async function holding(kept = new Map<string, Uint8Array>(), more: Partial<StoreOptions> = {}) {
  const clock = testClock();
  const store = await open(memoryDriver(kept), { clock, owner: one, ...more });
  const made = plan(1);
  await store.commit(() => [made.event]);
  await store.owners.hold();
  await store.commit((_, seq) => [{ ...intent(seq, made.id, made.token), leaseMs: LEASE }]);
  return { kept, clock, store, op: operationId(2) };
}

const ended = (store: Store, op: string) =>
  store.commit(() => [{ type: "op.succeeded", operationId: op, results: [result(null, {})] }]);

describe("a heartbeat", () => {
  it("is there before the operation, changes with every beat, and goes when nothing is open", async () => {
    const { kept, clock, store, op } = await holding();
    const seen = new Set<string>();
    for (let beat = 0; beat < 4; beat++) {
      seen.add(Buffer.from(kept.get(HB)!).toString());
      clock.advance(10_000);
      await store.owners.heartbeat();
    }
    expect(seen.size).toBe(4);
    await ended(store, op);
    clock.advance(LEASE);
    await store.owners.heartbeat();
    expect(kept.has(HB)).toBe(false);
    // Nothing to show any more: not a file, not a look.
    await store.owners.heartbeat();
    expect(kept.has(HB)).toBe(false);
  });

  it("goes with its process, unless the process leaves something open", async () => {
    const left = await holding();
    await left.store.owners.rest();
    expect(left.kept.has(HB)).toBe(true);
    await ended(left.store, left.op);
    await left.store.owners.rest();
    expect(left.kept.has(HB)).toBe(false);
  });

  it("stops when the operation is another process's, and when it is parked", async () => {
    const { kept, clock, store, op } = await holding();
    await store.commit(() => [{ type: "op.parked", operationId: op, because: "nothing proves it" }]);
    clock.advance(2 * LEASE);
    await store.owners.heartbeat();
    expect(kept.has(HB)).toBe(false);
  });

  it("is not taken away from an operation that begins meanwhile", async () => {
    const kept = new Map<string, Uint8Array>();
    let store: Store;
    let begin = async () => {};
    const slow = (driver: StateDriver): StateDriver => ({
      ...driver,
      async remove(keys) {
        if (keys.includes(HB)) await begin();
        return driver.remove(keys);
      },
    });
    const made = await holding(kept);
    await ended(made.store, made.op);
    store = await open(slow(memoryDriver(kept)), { clock: made.clock, owner: one });
    await store.owners.hold();
    made.clock.advance(LEASE);
    begin = () => store.owners.hold();
    await store.owners.heartbeat();
    expect(kept.has(HB)).toBe(true);
    const before = kept.get(HB);
    await store.owners.heartbeat();
    expect(kept.get(HB)).not.toEqual(before);
  });

  it("that cannot be written stops nothing, and is written again", async () => {
    const kept = new Map<string, Uint8Array>();
    let failing = false;
    const driver = memoryDriver(kept);
    const faulty: StateDriver = {
      ...driver,
      putIfMatch: async (...args) => {
        if (failing) throw new OpsError("state_read_only", "EIO");
        return driver.putIfMatch(...args);
      },
    };
    const clock = testClock();
    const store = await open(faulty, { clock, owner: one });
    failing = true;
    await store.owners.hold();
    await store.owners.heartbeat();
    expect(kept.has(HB)).toBe(false);
    failing = false;
    await store.owners.heartbeat();
    expect(kept.has(HB)).toBe(true);
  });

  it("is a file of its own, in the store's folder", async () => {
    const { driver, picture } = await folder();
    const store = await open(driver(), { owner: { ...one, session: "../../x" } });
    const made = plan(1);
    await store.commit(() => [made.event]);
    await store.owners.hold();
    const names = Object.keys(await picture()).filter((name) => name.includes("owner-"));
    expect(names).toHaveLength(1);
    expect(names[0]).toMatch(/^state\/lock\/owner-[0-9a-f]{32}\.hb$/);
  });
});

describe("the proof that an owner is gone", () => {
  const watcher = (kept: Map<string, Uint8Array>, clock = testClock(), more: Partial<StoreOptions> = {}) =>
    open(memoryDriver(kept), { clock, owner: far, ...more });
  const of = (leaseMs: number | undefined = LEASE, who: Owner = one) => ({ owner: who, ...(leaseMs && { leaseMs }) });

  it("is at once what this machine knows of its own processes, and of its own only", async () => {
    const kept = new Map<string, Uint8Array>();
    const here = { ...far, host: one.host };
    const dead = { liveness: () => "dead" as const };
    const same = await watcher(kept, testClock(), { ...dead, owner: { ...here, bootId: one.bootId } });
    expect(await same.owners.proofOf(of())).toEqual({ kind: "process_gone" });
    const later = await watcher(kept, testClock(), { ...dead, owner: here });
    expect(await later.owners.proofOf(of(0))).toEqual({ kind: "other_boot" });
    expect(await (await watcher(kept, testClock(), dead)).owners.proofOf(of())).toBeNull();
  });

  it("is a heartbeat that stood still for a lease and a half between the looks of this process", async () => {
    const { kept } = await holding();
    const clock = testClock();
    const { owners } = await watcher(kept, clock);
    expect(await owners.proofOf(of())).toBeNull();
    for (const [ms, proof] of [
      [LEASE, null],
      [LEASE / 2 - 1, null],
      [1, { kind: "heartbeat_still", stillMs: 1.5 * LEASE }],
    ] as const) {
      clock.advance(ms);
      expect(await owners.proofOf(of())).toEqual(proof);
    }
  });

  it("begins anew with every beat", async () => {
    const { kept, store } = await holding();
    const clock = testClock();
    const { owners } = await watcher(kept, clock);
    for (let round = 0; round < 10; round++) {
      expect(await owners.proofOf(of())).toBeNull();
      clock.advance(LEASE);
      await store.owners.heartbeat();
    }
  });

  it("is not one long pause of this process: it may have slept, and the other one with it", async () => {
    const { kept, store } = await holding();
    const clock = testClock();
    const { owners } = await watcher(kept, clock);
    await owners.proofOf(of());
    clock.advance(10 * 3_600_000);
    expect(await owners.proofOf(of())).toBeNull();
    await store.owners.heartbeat();
    clock.advance(LEASE / 2);
    expect(await owners.proofOf(of())).toBeNull();
  });

  it("is never given of an owner that does not heartbeat", async () => {
    const { kept } = await holding();
    const clock = testClock();
    const { owners } = await watcher(kept, clock);
    for (let round = 0; round < 5; round++) {
      expect(await owners.proofOf({ owner: one })).toBeNull();
      clock.advance(LEASE);
    }
  });

  it("is not a disk that cannot be read", async () => {
    const { kept } = await holding();
    const clock = testClock();
    let failing = false;
    const driver = memoryDriver(kept);
    const get: StateDriver["get"] = async (key) => {
      if (failing && key === HB) throw new OpsError("state_unreadable", "EIO");
      return driver.get(key);
    };
    const { owners } = await open({ ...driver, get }, { clock, owner: far });
    await owners.proofOf(of());
    failing = true;
    for (let round = 0; round < 3; round++) {
      clock.advance(LEASE);
      await expect(owners.proofOf(of())).rejects.toMatchObject({ code: "state_unreadable" });
    }
  });

  it("done with, the heartbeat of the one that is gone goes; not while it has more open", async () => {
    const { kept, store, op } = await holding();
    const { owners } = await watcher(kept);
    await owners.forget(one);
    expect(kept.has(HB)).toBe(true);
    await ended(store, op);
    await owners.forget(one);
    expect(kept.has(HB)).toBe(false);
  });
});

it("a seal is the store's, the same in every process, and no fingerprint", async () => {
  const kept = new Map<string, Uint8Array>();
  const first = await open(memoryDriver(kept));
  const seal = await first.sign({ a: 1 });
  expect(await (await open(memoryDriver(kept))).sign({ a: 1 })).toBe(seal);
  expect(await first.sign({ a: 2 })).not.toBe(seal);
  expect(await first.fingerprint({ a: 1 })).not.toBe(seal);
  expect(await (await open(memoryDriver(new Map()), { ids })).sign({ a: 1 })).not.toBe(seal);
});
