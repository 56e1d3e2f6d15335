// Leases: one holder at a time, a proof before a takeover, and no commit of a process that slept through one.

import { readdir } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import type { Owner } from "../../src/core/change.js";
import { OpsError } from "../../src/core/errors.js";
import type { Clock } from "../../src/core/ports.js";
import type { StateDriver } from "../../state/driver.js";
import { memoryDriver } from "../../state/drivers/memory.js";
import type { Store, StoreOptions } from "../../state/journal.js";
import type { Lease } from "../../state/leases.js";
import { folder } from "./folder.js";
import { applied, open, owner, plan, testClock, timers, turns } from "./helpers.js";

const two = owner("s-2", 2);

/** Stores of two processes on one memory. */
async function pair(more: Partial<StoreOptions> = {}, kept = new Map<string, Uint8Array>()) {
  return {
    kept,
    one: await open(memoryDriver(kept)),
    other: await open(memoryDriver(kept), { owner: two, ...more }),
  };
}

const held = (answer: Lease | OpsError): Lease => {
  if (answer instanceof OpsError) throw answer;
  return answer;
};

/** A commit under a lease: refused once somebody else has it. */
const under = (store: Store, { generation }: Lease) =>
  store
    .commit((_, seq) => [plan(seq).event], { epoch: generation })
    .then(
      () => true,
      (error: unknown) => {
        expect(error).toMatchObject({ code: "resource_busy" });
        return false;
      },
    );

describe("a lease", () => {
  it("is one process's until it gives it back, and is numbered on", async () => {
    const { one, other } = await pair();
    const lease = held(await one.leases.acquire("store", "compact"));
    expect(lease).toMatchObject({ scope: "store", generation: 1 });
    const refusal = await other.leases.acquire("store", "verify");
    expect(refusal).toMatchObject({ code: "resource_busy", details: { generation: 1, operation: "compact" } });
    expect((refusal as OpsError).message).toContain("process 100 on host-1 (compact)");
    expect(await lease.heartbeat()).toBe(true);
    await lease.release();
    expect(await lease.heartbeat()).toBe(false);
    expect(held(await other.leases.acquire("store", "verify")).generation).toBe(2);
    expect((await one.state()).leases?.get("store")).toEqual({ generation: 2 });
    expect((await one.verify()).ok).toBe(true);
  });

  it("excludes nobody from another scope", async () => {
    const { one, other } = await pair();
    const leases = [
      held(await one.leases.acquire("store", "compact")),
      held(await other.leases.acquire("stack:web", "deploy")),
    ];
    expect(leases.map(({ generation }) => generation)).toEqual([1, 2]);
    expect(await Promise.all(leases.map((lease) => lease.heartbeat()))).toEqual([true, true]);
    expect((await one.leases.list()).map(({ scope }) => scope)).toEqual(["store", "stack:web"]);
  });

  it("goes to one of many who ask at once", async () => {
    const kept = new Map<string, Uint8Array>();
    const stores = await Promise.all(
      Array.from({ length: 8 }, (_, index) => open(memoryDriver(kept), { owner: owner(`s-${index}`, index + 1) })),
    );
    const answers = await Promise.all(stores.map((store) => store.leases.acquire("store", "x")));
    expect(answers.filter((answer) => !(answer instanceof OpsError))).toHaveLength(1);
  });

  it("is in the checkpoint, so that its number is known without its file", async () => {
    const { kept, one } = await pair();
    const lease = held(await one.leases.acquire("store", "x"));
    await one.checkpoint();
    await lease.release();
    for (const key of [...kept.keys()]) if (key.startsWith("lock/")) kept.delete(key);
    const again = await open(memoryDriver(kept), { owner: two });
    expect((await again.state()).leases).toEqual(new Map([["store", { generation: 1 }]]));
    expect(await again.leases.acquire("store", "x")).toMatchObject({ code: "resource_busy" });
    expect((await again.verify()).ok).toBe(true);
  });

  it("leaves no more than its newest files behind, in a folder of its own", async () => {
    const { driver, path } = await folder();
    const store = await open(driver());
    for (let round = 0; round < 4; round++) await held(await store.leases.acquire("store", "x")).release();
    expect((await readdir(path("lock"))).sort()).toEqual(["000004.hb", "000004.json", "000004.released"]);
  });
});

it("a store that may not be written takes no lease and gets no file", async () => {
  const kept = new Map<string, Uint8Array>();
  await (await open(memoryDriver(kept))).commit((_, seq) => [plan(seq).event]);
  kept.set("state.json", new Uint8Array());
  const store = await open(memoryDriver(kept));
  const before = new Map(kept);
  await expect(store.leases.acquire("store", "x")).rejects.toBe(store.readOnly);
  await expect(store.leases.break(1, "bob", "x")).rejects.toBe(store.readOnly);
  expect(kept).toEqual(before);
});

describe("a takeover", () => {
  it("needs no wait where the process is proven gone", async () => {
    const asked: Owner[] = [];
    const { one, other } = await pair({
      liveness: (who) => {
        asked.push(who);
        return "dead";
      },
    });
    const first = held(await one.leases.acquire("store", "compact"));
    const second = held(await other.leases.acquire("store", "compact"));
    expect(asked).toContainEqual(owner());
    expect(second.generation).toBe(2);
    expect(await first.heartbeat()).toBe(false);
    expect([await under(one, first), await under(other, second)]).toEqual([false, true]);
  });

  it.each(["alive", "unknown"] as const)("is refused without a wait where it is %s", async (answer) => {
    const { one, other } = await pair({ liveness: () => answer });
    await one.leases.acquire("store", "compact");
    expect(await other.leases.acquire("store", "compact")).toMatchObject({ code: "resource_busy" });
  });

  /** A clock on which time passes for the sleeper alone, and somebody acts meanwhile. */
  const sleeper = (meanwhile: (slept: number) => unknown = () => {}) => {
    let slept = 0;
    const clock: Clock = {
      now: testClock().now,
      monotonic: () => slept,
      async sleep(ms) {
        slept += ms;
        await meanwhile(slept);
      },
    };
    return { clock, slept: () => slept };
  };

  it("needs a heartbeat that stood still for one and a half leases of the waiter's own time", async () => {
    const { clock, slept } = sleeper();
    const { one, other } = await pair({ clock });
    await one.leases.acquire("store", "compact");
    expect(await other.leases.acquire("store", "x", { waitMs: 89_000 })).toMatchObject({ code: "resource_busy" });
    expect(slept()).toBe(89_000);
    expect(held(await other.leases.acquire("store", "x", { waitMs: 120_000 })).generation).toBe(2);
    // The looks of the wait before count as well: nothing is proved twice.
    expect(slept()).toBeGreaterThanOrEqual(90_000);
    expect(slept()).toBeLessThan(100_000);
  });

  it("does not happen to a process whose heart beats", async () => {
    const kept = new Map<string, Uint8Array>();
    const one = await open(memoryDriver(kept));
    const lease = held(await one.leases.acquire("store", "compact"));
    let beats = 0;
    const { clock } = sleeper(async (slept) => {
      if (slept / 60_000 > beats) {
        beats++;
        await lease.heartbeat();
      }
    });
    const other = await open(memoryDriver(kept), { owner: two, clock });
    expect(await other.leases.acquire("store", "x", { waitMs: 1_000_000 })).toMatchObject({ code: "resource_busy" });
    expect(beats).toBeGreaterThan(10);
  });

  it("of a lease whose file cannot be read needs the wait: it is never taken for a free one", async () => {
    const { clock, slept } = sleeper();
    const { kept, one, other } = await pair({ clock, liveness: () => "dead" });
    await one.leases.acquire("store", "compact");
    kept.set("lock/000001.json", new Uint8Array());
    expect(await other.leases.acquire("store", "x")).toMatchObject({ code: "resource_busy" });
    expect(held(await other.leases.acquire("store", "x", { waitMs: 100_000 })).generation).toBe(2);
    expect(slept()).toBeGreaterThanOrEqual(90_000);
  });

  it("that lost its answer on the way leaves a number behind and no holder", async () => {
    const kept = new Map<string, Uint8Array>();
    const inner = memoryDriver(kept);
    let full = true;
    const one = await open({
      ...inner,
      putIfAbsent: async (key, bytes) => {
        if (full && key.startsWith("journal/")) throw new OpsError("state_read_only", "full");
        return inner.putIfAbsent(key, bytes);
      },
    });
    await expect(one.leases.acquire("store", "x")).rejects.toThrow("full");
    full = false;
    expect([...kept.keys()].filter((key) => key.startsWith("lock/"))).toEqual([]);
    expect(held(await one.leases.acquire("store", "x")).generation).toBe(1);
  });
});

describe("a broken lease", () => {
  it("stops its holder, and the next one may have it", async () => {
    const { one, other } = await pair();
    const lease = held(await one.leases.acquire("store", "compact"));
    await other.leases.break(1, "bob", "stuck");
    expect(await lease.heartbeat()).toBe(false);
    expect(await under(one, lease)).toBe(false);
    expect((await other.state()).leases?.get("store")).toEqual({ generation: 1, broken: true });
    expect(held(await other.leases.acquire("store", "x")).generation).toBe(2);
    await expect(other.leases.break(1, "bob", "again")).rejects.toMatchObject({ code: "validation_error" });
  });
});

describe("a compaction", () => {
  /** A store with commits to move, and a process on another host that was killed while it held the store. */
  async function leftBehind(more: Partial<StoreOptions> = {}) {
    const { kept, one, other } = await pair(more);
    for (let index = 0; index < 2; index++) {
      await one.commit((_, seq) => [plan(seq).event]);
      await one.checkpoint();
    }
    held(await one.leases.acquire("store", "compact"));
    return { kept, other };
  }

  it("goes on after a holder of another host that was killed: by looks from call to call, without waiting", async () => {
    const clock = testClock();
    const { other } = await leftBehind({ clock });
    const refused = { code: "resource_busy" };
    await expect(other.compact(), "the first look").rejects.toMatchObject(refused);
    clock.advance(600_000);
    await expect(other.compact(), "one long gap proves little").rejects.toMatchObject(refused);
    clock.advance(29_000);
    await expect(other.compact()).rejects.toMatchObject(refused);
    await expect(other.rotateKey("bob")).rejects.toMatchObject(refused);
    clock.advance(1_000);
    expect((await other.compact()).floor).toBeGreaterThan(0);
    expect((await other.state()).leases?.get("store")?.generation).toBe(2);
  });

  it("goes on by itself in a server that only ever commits", async () => {
    const clock = testClock();
    const { other } = await leftBehind({ clock, compactEvery: 1 });
    const floors: number[] = [];
    for (let index = 0; index < 6; index++) {
      clock.advance(20_000);
      await applied(other, undefined, undefined, two);
      floors.push((await other.verify()).archive.floor);
    }
    expect(floors.slice(0, 4)).toEqual([0, 0, 0, 0]);
    expect(floors.at(-1)).toBeGreaterThan(0);
  });

  it("keeps its lease through a long segment, and a rotation through a slow key service: its heart beats by a timer", async () => {
    const clock = timers();
    const kept = new Map<string, Uint8Array>();
    const inner = memoryDriver(kept);
    const watched = { clock, other: null as Store | null, beats: new Set<string>(), refused: 0 };
    /** What takes three minutes, while somebody else looks every five seconds. */
    const slowly = async () => {
      for (let passed = 0; watched.other && passed < 180_000; passed += 5_000) {
        clock.pass(5_000);
        await turns(10);
        watched.beats.add(Buffer.from(kept.get("lock/000001.hb") ?? []).toString());
        const answer = await watched.other.leases.acquire("store", "x");
        expect(answer).toMatchObject({ code: "resource_busy" });
        watched.refused++;
      }
    };
    const slow: StateDriver = {
      ...inner,
      putIfAbsent: async (key, bytes) => {
        if (key.startsWith("archive/") || key.startsWith("keys/")) await slowly();
        return inner.putIfAbsent(key, bytes);
      },
    };
    const keys = { passphrase: { text: "correct horse", source: "test" }, scryptN: 1024 };
    const one = await open(slow, { clock, keys });
    for (let index = 0; index < 2; index++) {
      await one.commit((_, seq) => [plan(seq).event]);
      await one.checkpoint();
    }
    watched.other = await open(memoryDriver(kept), { clock, owner: two });
    expect((await one.compact()).floor).toBeGreaterThan(0);
    expect(watched.beats.size).toBeGreaterThan(10);
    const before = watched.refused;
    await one.rotateKey("alice");
    expect(watched.refused, "somebody looked meanwhile").toBeGreaterThan(before + 20);
    expect(clock.waiting, "no timer is left").toBe(0);
    expect(held(await watched.other.leases.acquire("store", "x")).generation).toBe(3);
  });

  it("waits for nobody: it is refused while another process holds the store", async () => {
    const { kept, one, other } = await pair();
    for (let index = 0; index < 2; index++) {
      await one.commit((_, seq) => [plan(seq).event]);
      await one.checkpoint();
    }
    const lease = held(await other.leases.acquire("store", "export"));
    await expect(one.compact()).rejects.toMatchObject({ code: "resource_busy" });
    expect([...kept.keys()].filter((key) => /^(archive|floor)/.test(key))).toEqual([]);
    await lease.release();
    expect((await one.compact()).floor).toBeGreaterThan(0);
  });
});

describe("a process that slept between two calls of taking a lease", () => {
  it("never holds it beside another one", async () => {
    const both: string[] = [];
    let calls = 0;
    for (let at = 1; at === 1 || at <= calls; at++) {
      const kept = new Map<string, Uint8Array>();
      const other = await open(memoryDriver(kept), { owner: two });
      // Numbers that pass while it sleeps, of this scope and of another one.
      const burst = async () => {
        for (const scope of ["store", "stack:a", "store", "stack:a"]) {
          const lease = await other.leases.acquire(scope, "b");
          if (!(lease instanceof OpsError)) await lease.release();
        }
        return other.leases.acquire("store", "b");
      };
      let theirs: Lease | OpsError | null = null;
      let armed = false;
      calls = 0;
      const inner = memoryDriver(kept);
      const slow =
        <A extends unknown[], R>(run: (...args: A) => Promise<R>) =>
        async (...args: A): Promise<R> => {
          if (armed && ++calls === at) theirs = await burst();
          return run(...args);
        };
      const driver: StateDriver = {
        ...inner,
        get: slow(inner.get),
        putIfAbsent: slow(inner.putIfAbsent),
        putIfMatch: slow(inner.putIfMatch),
        remove: slow(inner.remove),
        list: slow(inner.list),
        probeNext: slow(inner.probeNext),
      };
      const one = await open(driver);
      await held(await one.leases.acquire("store", "a")).release();
      armed = true;
      const mine = await one.leases.acquire("store", "a");
      armed = false;
      const holders = [
        mine instanceof OpsError ? false : await under(one, mine),
        theirs === null || (theirs as unknown) instanceof OpsError ? false : await under(other, theirs),
      ];
      // Whoever was told that it holds the lease still does: nobody was pushed aside by a number that had passed.
      const told = [mine, theirs].map((one) => one !== null && !((one as unknown) instanceof OpsError));
      if (holders.filter(Boolean).length !== 1 || told.filter(Boolean).length !== 1) {
        both.push(`${at}: told ${told}, may commit ${holders}`);
      }
      expect((await other.verify()).ok).toBe(true);
    }
    expect(calls).toBeGreaterThan(10);
    expect(both).toEqual([]);
  });
});
