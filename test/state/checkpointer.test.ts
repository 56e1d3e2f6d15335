// When a large state.json is written: behind the commits, in slices, after a pause; and never after the end.

import { describe, expect, it } from "vitest";
import type { Clock } from "../../src/core/ports.js";
import { memoryDriver } from "../../state/drivers/memory.js";
import type { Store } from "../../state/journal.js";
import { applied, open, plan, ref, result, step, timers, turns } from "./helpers.js";

type Files = Map<string, Uint8Array>;

/** Everything is large: nothing is written with an outcome, and nothing by its tail. */
const LARGE = { everyOutcomeBytes: 0, tailBytes: 1e9, idleMs: 30_000 } as const;

const covers = (files: Files): number | null => {
  const bytes = files.get("state.json");
  return bytes
    ? (JSON.parse(Buffer.from(bytes).toString()) as { journal: { applied_seq: number } }).journal.applied_seq
    : null;
};
const commit = (store: Store) => store.commit((_, seq) => [plan(seq).event]);

describe("a large checkpoint", () => {
  async function large(limits: object = LARGE) {
    const files: Files = new Map();
    const clock = timers();
    const store = await open(memoryDriver(files), { clock, limits });
    await commit(store);
    await store.checkpoint();
    return { files, clock, store };
  }

  it("is written after half a minute in which nothing was committed", async () => {
    const { files, clock, store } = await large();
    await applied(store);
    clock.pass(29_999);
    await turns();
    expect(covers(files)).toBe(1);
    await commit(store);
    clock.pass(29_999);
    await turns();
    expect(covers(files)).toBe(1);
    clock.pass(1);
    await turns();
    expect(covers(files)).toBe(5);
    expect(clock.waiting).toBe(0);
  });

  it("is written at the end, and never after it", async () => {
    const { files, clock, store } = await large();
    await commit(store);
    await store.close();
    expect(covers(files)).toBe(2);
    expect(clock.waiting).toBe(0);
    const other = await open(memoryDriver(files), { limits: LARGE });
    await commit(other);
    clock.pass(60_000);
    await turns();
    expect(covers(files)).toBe(2);
  });

  it("that is under way when the store is closed ends before it does", async () => {
    const { files, clock, store } = await large();
    await commit(store);
    let sleeping = (): void => {};
    clock.sleep = () =>
      new Promise((resolve) => {
        sleeping = resolve;
      });
    clock.pass(30_000);
    const closed = store.close();
    await turns();
    sleeping();
    await closed;
    const after = Buffer.from(files.get("state.json")!);
    clock.pass(60_000);
    await turns();
    expect(covers(files)).toBe(2);
    expect(Buffer.from(files.get("state.json")!)).toEqual(after);
  });

  it("waits for a tail of a quarter of itself, and the commit does not wait for it", async () => {
    const { files, store } = await large({ everyOutcomeBytes: 0, tailBytes: 1, tailShare: 0.25 });
    const before = files.get("state.json")!.length;
    let tail = 0;
    for (let seq = 2; covers(files) === 1; seq++) {
      await commit(store);
      tail += files.get(`journal/${String(seq).padStart(12, "0")}.json`)!.length;
      if (tail > before / 4) expect(covers(files)).toBe(1);
      else await turns(20);
      if (tail <= before / 4) expect(covers(files)).toBe(1);
      else await turns();
    }
    expect(tail).toBeGreaterThan(before / 4);
  });

  it("of any size leaves others their turn while it is made", async () => {
    const files: Files = new Map();
    const slept: number[] = [];
    let now = 0;
    const clock: Clock = {
      now: () => new Date(now),
      monotonic: () => now,
      sleep: async (ms) => {
        slept.push(ms);
        now += ms;
        await new Promise((resolve) => setImmediate(resolve));
      },
    };
    const store = await open(memoryDriver(files), { clock, limits: LARGE });
    const text = "x".repeat(60_000);
    for (let index = 0; index < 20; index++) {
      const of = ref(`i-${index}`);
      await applied(store, [step({ ref: of })], [[result({ text: "" }, { text }, of)]]);
    }
    slept.length = 0;
    await store.checkpoint();
    const breaths = slept.length;
    // About 1.2 MB twice over, in slices of a quarter of a megabyte.
    expect(breaths).toBeGreaterThan(5);
    await commit(store);
    slept.length = 0;
    await store.checkpoint();
    expect(slept.length).toBe(0);
  });

  it("that cannot be written is told to the log, and the commits stand", async () => {
    const files: Files = new Map();
    const said: string[] = [];
    const inner = memoryDriver(files);
    let broken = false;
    const driver = {
      ...inner,
      putIfMatch: (...args: Parameters<typeof inner.putIfMatch>) => {
        if (broken) throw new Error("the disk is on fire");
        return inner.putIfMatch(...args);
      },
    };
    const clock = timers();
    const store = await open(driver, { clock, limits: LARGE, log: (_, message) => void said.push(message) });
    await commit(store);
    await store.checkpoint();
    broken = true;
    await commit(store);
    clock.pass(30_000);
    await turns();
    expect(said).toEqual(["state.json was not written: the disk is on fire"]);
    expect((await commit(store)).seq).toBe(3);
    broken = false;
    clock.pass(30_000);
    await turns();
    expect(covers(files)).toBe(3);
  });
});
