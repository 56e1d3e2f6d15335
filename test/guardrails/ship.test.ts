// What is sent on to CloudWatch: within what it takes in one request, kept while it is away, bounded, and never twice.

import { expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.js";
import type { AuditRow, Clock } from "../../src/core/ports.js";
import { batches, createShip, type Shipped } from "../../src/ship.js";

const event = (at: number, stream = "audit", text = "{}"): Shipped => ({ stream, at, text });
const HOUR = 3_600_000;

it("one request holds one stream, in the order of time, a day, a megabyte and its count at most", () => {
  const parts = batches([event(3), event(1, "server"), event(1), event(2)]);
  expect(parts.map((part) => part.map(({ at, stream }) => `${stream} ${at}`))).toEqual([
    ["audit 1", "audit 2", "audit 3"],
    ["server 1"],
  ]);
  expect(batches([event(0), event(22 * HOUR), event(24 * HOUR)]).map(({ length }) => length)).toEqual([2, 1]);
  expect(batches(Array.from({ length: 2_500 }, (_, n) => event(n))).map(({ length }) => length)).toEqual([
    1_000, 1_000, 500,
  ]);
  const large = Array.from({ length: 12 }, (_, n) => event(n, "audit", "ä".repeat(100_000)));
  for (const part of batches(large)) {
    const bytes = part.reduce((sum, { text }) => sum + Buffer.byteLength(text) + 26, 0);
    expect(bytes).toBeLessThanOrEqual(1_048_576);
  }
  expect(batches(large).flat()).toEqual(large);
  expect(batches([])).toEqual([]);
});

const row: AuditRow = {
  ...{ at: "2026-11-28T10:00:00.000Z", tool: "instances.list", parameters: "{}", correlationId: "c", sessionId: "s" },
  ...{ status: "success", durationMs: 2 },
};

function shipping(answers: (OpsError | number)[]) {
  let now = 0;
  const timers: (() => void)[] = [];
  const clock: Clock = {
    now: () => new Date(now),
    monotonic: () => now,
    sleep: (_, signal) =>
      new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason))),
    later: (_, run) => {
      timers.push(run);
      return () => void timers.splice(0);
    },
  };
  const sent: number[] = [];
  const said: string[] = [];
  const ship = createShip({
    sink: {
      async put(_stream, events) {
        const answer = answers.shift() ?? 0;
        if (answer instanceof OpsError) throw answer;
        sent.push(events.length);
        return { refused: answer };
      },
      close: () => said.push("closed"),
    },
    clock,
    log: (level, message, facts) => void said.push(`${level} ${message.slice(0, 30)} ${JSON.stringify(facts ?? {})}`),
    ...{ securityStream: "security", sessionId: "s", host: "h" },
  });
  /** What is due is sent, and what that came to has been heard. */
  const fire = async () => {
    for (const run of timers.splice(0)) run();
    for (let n = 0; n < 20; n++) await Promise.resolve();
  };
  const pass = (ms: number): void => {
    now += ms;
  };
  return { ship, sent, said, fire, timers, pass };
}

it("what is refused is kept and sent once it is taken again, told of once each way", async () => {
  const away = new OpsError("aws_unavailable", "away");
  const { ship, sent, said, fire, pass } = shipping([away, away]);
  ship.call(row);
  await fire();
  ship.call(row);
  await fire();
  expect(sent, "not before the pause is over").toEqual([]);
  pass(15_000);
  ship.call(row);
  await fire();
  pass(30_000);
  ship.call(row);
  await fire();
  expect(sent).toEqual([4]);
  expect(said).toEqual([
    expect.stringContaining("warn CloudWatch Logs does not take"),
    expect.stringContaining("info CloudWatch Logs takes"),
  ]);
});

it("what was refused goes without a further line", async () => {
  const { ship, sent, fire, pass } = shipping([new OpsError("aws_unavailable", "away")]);
  ship.call(row);
  await fire();
  expect(sent).toEqual([]);
  pass(15_000);
  await fire();
  expect(sent).toEqual([1]);
});

it("what may have arrived is not sent again", async () => {
  const { ship, sent, fire, pass, said } = shipping([new OpsError("outcome_unknown", "lost")]);
  ship.call(row);
  await fire();
  pass(60_000);
  ship.call(row);
  await fire();
  expect(sent).toEqual([1]);
  expect(said.at(-1)).toContain('"lost":1');
});

it("what waits is bounded: the oldest go, and are counted", async () => {
  const { ship, sent, said, fire, pass } = shipping([new OpsError("access_denied", "no")]);
  ship.call(row);
  await fire();
  for (let n = 0; n < 2_500; n++) ship.call(row);
  await fire();
  pass(15_000);
  ship.call(row);
  await fire();
  expect(sent.reduce((sum, count) => sum + count, 0)).toBe(2_000);
  expect(said.at(-1)).toContain("info CloudWatch Logs takes");
  await ship.settled();
  expect(said.at(-1)).toBe("closed");
});
