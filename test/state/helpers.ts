// Ports and events for the tests of the state: a clock that is moved by hand, plans with one or more steps.

import { randomBytes, randomUUID } from "node:crypto";
import { type ChangeStep, liveDigest, type Owner, planDigest, type ResourceRef } from "../../src/core/change.js";
import type { JsonObject } from "../../src/core/json.js";
import type { Clock, Ids } from "../../src/core/ports.js";
import type { StateDriver } from "../../state/driver.js";
import { memoryDriver } from "../../state/drivers/memory.js";
import type { Commit, Event, PlannedChange } from "../../state/events.js";
import { emptyState, fold } from "../../state/fold.js";
import { openStore, type Store, type StoreOptions } from "../../state/journal.js";
import { changeId, clientToken, mintToken, operationId, tokenSha256 } from "../../state/tokens.js";

export const START = "2026-11-21T10:00:00.000Z";

export interface TestClock extends Clock {
  advance(ms: number): void;
}

/** Time stands still but for `advance`; sleeping lets everybody else have a turn. */
export function testClock(start = START): TestClock {
  let now = Date.parse(start);
  return {
    now: () => new Date(now),
    monotonic: () => now,
    sleep: () => new Promise((resolve) => setImmediate(resolve)),
    advance: (ms) => {
      now += ms;
    },
  };
}

/** A clock moved by hand, whose timers fire when their time has come. */
export function timers(): Clock & { pass(ms: number): void; readonly waiting: number } {
  let now = Date.parse(START);
  const due = new Map<symbol, { at: number; run: () => void }>();
  return {
    now: () => new Date(now),
    monotonic: () => now,
    sleep: () => new Promise((resolve) => setImmediate(resolve)),
    later(ms, run) {
      const own = Symbol();
      due.set(own, { at: now + ms, run });
      return () => void due.delete(own);
    },
    pass(ms) {
      now += ms;
      for (const [own, { at, run }] of due) {
        if (at > now) continue;
        due.delete(own);
        run();
      }
    },
    get waiting() {
      return due.size;
    },
  };
}

/** Lets everything that waits for its turn go on. */
export const turns = async (count = 200): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((next) => setImmediate(next));
};

export const ids: Ids = { uuid: () => randomUUID(), bytes: (count) => randomBytes(count) };

export const owner = (session = "session-1", pid = 100): Owner => ({
  host: "host-1",
  bootId: "boot-1",
  pid,
  pidStart: "1",
  session,
});

export const open = (driver: StateDriver = memoryDriver(), more: Partial<StoreOptions> = {}): Promise<Store> =>
  openStore({ driver, clock: testClock(), ids, owner: owner(), user: "alice", client: "test", ...more });

export const ref = (id = "i-1", type = "AWS::EC2::Instance"): ResourceRef => ({
  account: "123456789012",
  region: "eu-west-1",
  type,
  id,
});

export const step = (more: Partial<ChangeStep> = {}): ChangeStep => ({
  service: "ec2",
  operation: "StopInstances",
  input: { InstanceIds: ["i-1"] },
  ref: ref(),
  reader: "service",
  kind: "action",
  before: { state: "running" },
  after: { state: "stopped" },
  touches: ["/state"],
  ...more,
});

/** The plan that commit `seq` may hold, and its token. */
export function plan(
  seq: number,
  steps: readonly ChangeStep[] = [step()],
  more: Partial<PlannedChange> = {},
): { token: string; event: Event; id: string } {
  const token = mintToken(seq, ids);
  const where = { tool: "instances.stop", account: "123456789012", region: "eu-west-1", steps };
  const change: PlannedChange = {
    id: changeId(seq),
    summary: "Stop i-1",
    ...where,
    warnings: [],
    intent: "save money",
    explanation: "it idles",
    caller: { arn: "arn:aws:iam::123456789012:user/alice", session: "session-1" },
    planDigest: planDigest(where),
    liveDigest: liveDigest(steps),
    risk: { level: "low", because: [] },
    tokenSha256: tokenSha256(token),
    plannedAt: START,
    expiresAt: "2026-11-21T10:15:00.000Z",
    ...more,
  };
  return { token, event: { type: "change.planned", change }, id: change.id };
}

export const intent = (
  seq: number,
  change: string,
  token: string,
  index = 0,
  by: Owner = owner(),
): Extract<Event, { type: "op.intent" }> => ({
  type: "op.intent",
  operationId: operationId(seq),
  changeId: change,
  step: index,
  ...(index === 0 && { token }),
  clientToken: clientToken(token, index),
  owner: by,
  resendUntil: "2026-11-22T10:00:00.000Z",
});

export const result = (
  before: JsonObject | null,
  after: JsonObject | null,
  of: ResourceRef = ref(),
  reader: ChangeStep["reader"] = "service",
) => ({ ref: of, reader, before, after });

/** Plans and applies one change through a store; answers its token. */
export async function applied(
  store: Store,
  steps: readonly ChangeStep[] = [step()],
  results: readonly (readonly ReturnType<typeof result>[])[] = [[result({ state: "running" }, { state: "stopped" })]],
  by: Owner = owner(),
  more: Partial<PlannedChange> = {},
): Promise<{ token: string; id: string; operations: string[] }> {
  let made = plan(1, steps, more);
  await store.commit((_, seq) => {
    made = plan(seq, steps, more);
    return [made.event];
  });
  const operations: string[] = [];
  for (const [index, some] of results.entries()) {
    let id = "";
    await store.commit((_, seq) => {
      id = operationId(seq);
      return [intent(seq, made.id, made.token, index, by)];
    });
    operations.push(id);
    await store.commit(() => [{ type: "op.succeeded", operationId: id, results: some }]);
  }
  return { token: made.token, id: made.id, operations };
}

/** A chain held in memory without a store, for the laws of the fold. */
export function chain() {
  let state = emptyState("store-1", START, "0".repeat(64));
  const commits: Commit[] = [];
  const make = (events: readonly Event[], by: Owner = owner(), ts = START): Commit => ({
    actor: { awsArn: null, client: "test", host: by.host, pid: by.pid, session: by.session, user: "alice" },
    commitId: `commit-${commits.length + 1}`,
    epoch: 0,
    events,
    prev: state.head,
    seq: state.seq + 1,
    store: "store-1",
    ts,
    hash: String(state.seq + 1).padStart(64, "0"),
  });
  return {
    commits,
    get state() {
      return state;
    },
    get next() {
      return state.seq + 1;
    },
    /** The fold's answer; the chain grows only where it is a state. */
    add(events: readonly Event[], by?: Owner, ts?: string) {
      const commit = make(events, by, ts);
      const after = fold(state, commit);
      if (after instanceof Error) return after;
      state = after;
      commits.push(commit);
      return after;
    },
  };
}
