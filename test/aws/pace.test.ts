// Two calls a second, whoever asks: on a clock of our own.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Pace, pace } from "../../src/aws/pace.js";
import type { Clock } from "../../src/core/ports.js";

/** Time that passes only by sleeping. */
function virtual(): Clock & { at: number } {
  const clock = {
    at: 1_000_000,
    now: () => new Date(clock.at),
    monotonic: () => clock.at,
    sleep: async (ms: number) => {
      clock.at += ms;
    },
  };
  return clock;
}

const grants = async (it: Pace, clock: { at: number }, count: number): Promise<number[]> => {
  const times: number[] = [];
  await Promise.all(Array.from({ length: count }, () => it.take().then(() => times.push(clock.at))));
  return times;
};

describe("a pace", () => {
  it("lets two through at once, then two a second, in the order they came", async () => {
    const clock = virtual();
    const order: number[] = [];
    const it = pace(clock, 2, 1_000);
    const times: number[] = [];
    await Promise.all(
      [1, 2, 3, 4, 5].map((number) =>
        it.take().then(() => {
          order.push(number);
          times.push(clock.at - 1_000_000);
        }),
      ),
    );
    expect(order).toEqual([1, 2, 3, 4, 5]);
    expect(times).toEqual([0, 0, 1_000, 1_000, 2_000]);
  });

  it("holds everybody when AWS said it was too much", async () => {
    const clock = virtual();
    const it = pace(clock, 2, 1_000);
    await it.take();
    it.hold(3_000);
    expect((await grants(it, clock, 3)).map((at) => at - 1_000_000)).toEqual([3_000, 3_000, 4_000]);
  });

  it("one who gave up takes no turn from the others", async () => {
    const clock = virtual();
    const it = pace(clock, 2, 1_000);
    const gone = AbortSignal.abort(new Error("gone"));
    const turns = [it.take(), it.take(gone), it.take(gone), it.take()].map((turn) =>
      turn.catch((error) => error.message),
    );
    expect(await Promise.all(turns)).toEqual([undefined, "gone", "gone", undefined]);
    expect(clock.at).toBe(1_000_000);
  });

  it("a clock set back by a day makes nobody wait for a day", async () => {
    const clock = virtual();
    const it = pace(clock, 2, 1_000);
    await grants(it, clock, 2);
    clock.at -= 86_400_000;
    const before = clock.at;
    await it.take();
    expect(clock.at - before).toBeLessThanOrEqual(1_000);
  });

  it("whatever the arrivals, no window of a second holds more than two", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 1_500 }), { maxLength: 20 }), async (gaps) => {
        const clock = virtual();
        const it = pace(clock, 2, 1_000);
        const times: number[] = [];
        for (const gap of gaps) {
          clock.at += gap;
          await it.take();
          times.push(clock.at);
        }
        expect(times.every((at, index) => index < 2 || at - times[index - 2]! >= 1_000)).toBe(true);
      }),
    );
  });
});
