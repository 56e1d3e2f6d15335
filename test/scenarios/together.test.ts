// Several steps of one plan: by one call, as AWS lets some services be asked, or each by its own with AWS's work followed after the last.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.js";
import type { Aws, AwsWriter } from "../../src/core/ports.js";
import type { StateDriver } from "../../state/driver.js";
import { type InMemory, type InMemoryOptions, inMemory } from "../in-memory.js";

const intent = "nobody needs them tonight";
const NEAR = { owner: { pid: 2, session: "after" }, liveness: () => "dead" as const };
const lost = () => new OpsError("outcome_unknown", "the answer was lost");
const refused = () => new OpsError("access_denied", "AWS denied it", { details: { awsCode: "UnauthorizedOperation" } });

type Together = AwsWriter["sendTogether"];
type Poll = AwsWriter["poll"];
type Send = AwsWriter["send"];

/** AWS that takes the stop of several instances by one call, and does with it what a test wants. */
function place() {
  const now = {
    together: true,
    full: false,
    call: null as null | ((real: Together, ...given: Parameters<Together>) => ReturnType<Together>),
    poll: null as null | ((real: Poll, ...given: Parameters<Poll>) => ReturnType<Poll>),
    alone: null as null | ((real: Send, ...given: Parameters<Send>) => ReturnType<Send>),
  };
  /** What arrived at AWS: `together` with how many, or the id of one. */
  const arrived: string[] = [];
  const wrap = (aws: Aws): Aws => ({
    ...aws,
    writer: (...where) => {
      const writer = aws.writer(...where);
      const real: Together = async (steps, op) => {
        arrived.push(`together ${steps.length}`);
        const answers: Awaited<ReturnType<Together>>[number][] = [];
        for (const step of steps) answers.push(await writer.send(step, op));
        return answers.map((answer) => (answer instanceof OpsError ? answer : { identifiers: answer.identifiers }));
      };
      const send: Send = async (...given) => {
        arrived.push(given[0].ref.id);
        return writer.send(...given);
      };
      return {
        ...writer,
        follows: (step) => !now.together && writer.follows(step),
        batch: (steps) => (now.together ? steps.length : 1),
        sendTogether: (...given) => (now.call ? now.call(real, ...given) : real(...given)),
        poll: (...given) => (now.poll ? now.poll(writer.poll, ...given) : writer.poll(...given)),
        send: (...given) => (now.alone ? now.alone(send, ...given) : send(...given)),
      };
    },
  });
  const wrapDriver = (driver: StateDriver): StateDriver => {
    const guarded =
      <A extends unknown[], R>(verb: (...args: A) => Promise<R>) =>
      async (...args: A): Promise<R> => {
        if (now.full) throw new OpsError("state_read_only", "full", { details: { cause: "ENOSPC" } });
        return verb(...args);
      };
    return { ...driver, putIfAbsent: guarded(driver.putIfAbsent), putIfMatch: guarded(driver.putIfMatch) };
  };
  return { now, arrived, wrap, wrapDriver };
}

/** A call that never comes back: its process is dead from there on. */
function hanging() {
  let arrive = () => {};
  const reached = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  const forEver = (): Promise<never> => {
    arrive();
    return new Promise(() => {});
  };
  return { reached, forEver };
}

let world: ReturnType<typeof place>;
let session: InMemory;
let ids: string[];

const start = (more: InMemoryOptions = {}) => ({
  args: ["--toolsets", "all"],
  wrap: world.wrap,
  wrapDriver: world.wrapDriver,
  ...more,
});

beforeEach(async () => {
  world = place();
  session = await inMemory(start());
});
afterEach(() => session.close());

async function planned(count = 3): Promise<{ executionToken: string; changeId: string }> {
  const { instances } = await session.call("instances_list", { states: ["running"] });
  const rows = instances.slice(0, count) as { instanceId: string; revision: string }[];
  expect(rows).toHaveLength(count);
  ids = rows.map(({ instanceId }) => instanceId);
  const basedOn = rows.map(({ revision }) => revision);
  const plan = await session.call("instances_stop", { instanceIds: ids, basedOn, intent });
  expect(plan.isError, JSON.stringify(plan)).toBeUndefined();
  return { executionToken: plan.executionToken, changeId: plan.change.changeId };
}

const states = async (at: InMemory = session): Promise<string[]> => {
  for (let looks = 0; looks < 3; looks++) await at.call("instances_list", { instanceIds: ids });
  const { instances } = await at.call("instances_list", { instanceIds: ids });
  return ids.map((id) => instances.find((one: { instanceId: string }) => one.instanceId === id).state);
};
const changeAt = async (changeId: string, at: InMemory = session) => {
  const { change, ...rest } = await at.call("changes_get", { changeId });
  return change ?? rest;
};
const lineage = async (id: string, at: InMemory = session) =>
  (await at.call("state_history", { identifier: id })).lineage ?? [];

describe("steps of one call", () => {
  it("have an outcome each", async () => {
    const { executionToken, changeId } = await planned();
    expect(await session.call("changes_apply", { executionToken })).toMatchObject({ outcome: "applied" });
    expect(world.arrived).toEqual(["together 3"]);
    expect(await changeAt(changeId)).toMatchObject({ state: "applied" });
    for (const id of ids) expect(await lineage(id)).toHaveLength(1);
  });

  it("of which AWS refuses one are recorded as they are, and nothing is held", async () => {
    world.now.call = async (real, steps, op) => {
      const answers = await real([steps[0]!, steps[2]!], op);
      return [answers[0]!, refused(), answers[1]!];
    };
    const { executionToken, changeId } = await planned();
    const answer = await session.call("changes_apply", { executionToken });
    expect(answer).toMatchObject({ code: "access_denied", stepsDone: 2, failures: [{ id: ids[1] }] });
    expect(await changeAt(changeId)).toMatchObject({ state: "failed" });
    expect(await states()).toEqual(["stopped", "running", "stopped"]);
    world.now.call = null;
    const { revision } = await session.call("instances_get", { instanceId: ids[1] });
    const again = await session.call("instances_stop", { instanceIds: [ids[1]], basedOn: [revision], intent });
    expect(again.planned, JSON.stringify(again)).toBe(true);
  });

  it("whose answer is lost are looked for each, and only what was not done is asked for again", async () => {
    world.now.call = async (real, steps, op) => {
      await real(steps.slice(0, 2), op);
      throw lost();
    };
    const { executionToken, changeId } = await planned();
    expect(await session.call("changes_apply", { executionToken })).toMatchObject({ outcome: "applied" });
    expect(world.arrived).toEqual(["together 2", ids[2]]);
    expect(await changeAt(changeId)).toMatchObject({ state: "applied" });
  });

  it("that nothing proves stay open, and the answer does not call them unsent", async () => {
    world.now.call = async () => {
      throw lost();
    };
    world.now.alone = async () => {
      throw lost();
    };
    const { executionToken, changeId } = await planned();
    const answer = await session.call("changes_apply", { executionToken });
    expect(answer).toMatchObject({ code: "outcome_unknown", stepsDone: 0, nothingWasChanged: "unknown" });
    expect(answer.failures).toHaveLength(3);
    expect(answer.message).not.toMatch(/the rest was not sent/);
    expect(await changeAt(changeId)).toMatchObject({ state: "unknown" });
  });

  it("whose process is killed before the call are carried out by the next, each once", async () => {
    const hung = hanging();
    world.now.call = () => hung.forEver();
    const { executionToken, changeId } = await planned();
    void session.call("changes_apply", { executionToken }).catch(() => {});
    await hung.reached;
    world.now.call = null;
    const next = await session.beside(start(NEAR));
    await next.call("session_whoami");
    expect(await changeAt(changeId, next)).toMatchObject({ state: "applied" });
    expect([...world.arrived].sort()).toEqual([...ids].sort());
    await next.close();
  });

  it("whose process is killed after the call are found by the next, and nothing is sent", async () => {
    const hung = hanging();
    world.now.call = async (real, steps, op) => {
      await real(steps, op);
      return hung.forEver();
    };
    const { executionToken, changeId } = await planned();
    void session.call("changes_apply", { executionToken }).catch(() => {});
    await hung.reached;
    world.now.call = null;
    const next = await session.beside(start(NEAR));
    await next.call("session_whoami");
    expect(await changeAt(changeId, next)).toMatchObject({ state: "applied" });
    expect(world.arrived).toEqual(["together 3"]);
    for (const id of ids) expect((await lineage(id, next)).at(-1)).toMatchObject({ outcome: "succeeded" });
    await next.close();
  });

  it.each([0, 1])(
    "of which no disk takes an outcome after %i of them are recorded by a later call, and none is sent again",
    async (taken) => {
      let recorded = 0;
      const { executionToken, changeId } = await planned();
      await session.close();
      void recorded;
      session = await session.beside(
        start({
          owner: { session: "again" },
          wrapStore: (store) => ({
            ...store,
            commit: async (build, ...more) =>
              store.commit(
                (state, seq) => {
                  const events = build(state, seq);
                  if (
                    !(events instanceof Error) &&
                    events.some(({ type }) => type === "op.succeeded") &&
                    recorded++ >= taken
                  ) {
                    world.now.full = true;
                  }
                  return events;
                },
                ...more,
              ),
          }),
        }),
      );
      const answer = await session.call("changes_apply", { executionToken });
      expect(answer, JSON.stringify(answer)).toMatchObject({ code: "outcome_unknown" });
      expect(answer.unrecordedOutcome).toMatchObject({ changeId, outcome: "succeeded", resources: [ids[taken]] });
      world.now.full = false;
      recorded = -10;
      session.pass(60_000);
      await session.call("session_whoami");
      session.pass(60_000);
      await session.call("session_whoami");
      expect(await changeAt(changeId)).toMatchObject({ state: "applied" });
      expect(world.arrived).toEqual(["together 3"]);
      for (const id of ids) expect(await lineage(id)).toHaveLength(1);
    },
  );
});

describe("a step whose outcome no disk took", () => {
  it("is recorded by the first question about its change once there is room, and not carried out again", async () => {
    const { executionToken, changeId } = await planned();
    world.now.call = async (real, ...given) => {
      const answers = await real(...given);
      world.now.full = true;
      return answers;
    };
    expect(await session.call("changes_apply", { executionToken })).toMatchObject({ code: "outcome_unknown" });
    expect(await changeAt(changeId)).toMatchObject({ state: "applying" });
    world.now.full = false;
    world.now.call = null;
    // Any other commit shows that there is room again.
    const rule = { fromPort: 8443, peer: "10.0.0.0/8" };
    const other = await session.call("securityGroups_addRule", { groupId: "sg-0bb00000000000001", rule, intent });
    expect(other.planned, JSON.stringify(other)).toBe(true);
    expect(await changeAt(changeId)).toMatchObject({ state: "applied" });
    expect(world.arrived).toEqual(["together 3"]);
    for (const id of ids) expect(await lineage(id)).toHaveLength(1);
  });
});

describe("a batch whose second intent no disk took", () => {
  it("is not sent, then or later, and the answer holds what another process needs to know that", async () => {
    const { executionToken, changeId } = await planned();
    await session.close();
    let intents = 0;
    session = await session.beside(
      start({
        owner: { session: "again" },
        wrapStore: (store) => ({
          ...store,
          commit: async (build, ...more) =>
            store.commit(
              (state, seq) => {
                const events = build(state, seq);
                if (Array.isArray(events) && events.some(({ type }) => type === "op.intent") && intents++ === 1)
                  world.now.full = true;
                return events;
              },
              ...more,
            ),
        }),
      }),
    );
    const answer = await session.call("changes_apply", { executionToken });
    expect(answer, JSON.stringify(answer)).toMatchObject({ isError: true, code: "outcome_unknown" });
    expect(answer.unrecordedOutcome).toMatchObject({ changeId, outcome: "failed" });
    world.now.full = false;
    for (let look = 0; look < 2; look++) {
      session.pass(60_000);
      await session.call("session_whoami");
    }
    expect(await changeAt(changeId)).toMatchObject({ state: "failed" });
    expect(world.arrived).toEqual([]);
    expect(await states()).toEqual(["running", "running", "running"]);
  });
});

describe("equal calls whose work AWS goes on with", () => {
  beforeEach(() => {
    world.now.together = false;
  });

  it("are all sent before the first is waited for, and recorded as they came to rest", async () => {
    const order: string[] = [];
    world.now.alone = (send, step, ...more) => {
      order.push("sent");
      return send(step, ...more);
    };
    world.now.poll = (poll, ...given) => {
      order.push("looked");
      return poll(...given);
    };
    const { executionToken, changeId } = await planned();
    const answer = await session.call("changes_apply", { executionToken });
    expect(answer, JSON.stringify(answer)).toMatchObject({ outcome: "applied" });
    expect(order.slice(0, 4)).toEqual(["sent", "sent", "sent", "looked"]);
    expect(await changeAt(changeId)).toMatchObject({ state: "applied" });
    for (const id of ids) {
      const entries = await lineage(id);
      expect(entries).toHaveLength(1);
      expect(entries[0]).toMatchObject({ outcome: "succeeded", after: { state: "stopped" } });
    }
  });

  it("with a straggler are not called done, and it is followed by later calls", async () => {
    world.now.poll = async (poll, step, ...more) =>
      step.ref.id === ids[0] ? { status: "pending" } : poll(step, ...more);
    const { executionToken, changeId } = await planned();
    const answer = await session.call("changes_apply", { executionToken });
    expect(answer).toMatchObject({ outcome: "in_progress" });
    expect(answer.notes.join(" ")).toContain(ids[0]);
    expect(answer.notes.join(" ")).not.toContain(ids[1]);
    expect(await changeAt(changeId)).toMatchObject({ state: "applying" });
    world.now.poll = null;
    expect(await changeAt(changeId)).toMatchObject({ state: "applied" });
    expect(world.arrived).toHaveLength(3);
  });

  it("of which several are unfinished are all followed by one question about the change", async () => {
    world.now.poll = async () => ({ status: "pending" });
    const { executionToken, changeId } = await planned();
    expect(await session.call("changes_apply", { executionToken })).toMatchObject({ outcome: "in_progress" });
    world.now.poll = null;
    expect(await changeAt(changeId)).toMatchObject({ state: "applied" });
  });

  it("are all followed by a question about the change that comes before anybody looks again by itself", async () => {
    world.now.poll = async () => ({ status: "pending" });
    const { executionToken, changeId } = await planned();
    expect(await session.call("changes_apply", { executionToken })).toMatchObject({ outcome: "in_progress" });
    await session.call("session_whoami");
    world.now.poll = null;
    expect(await changeAt(changeId)).toMatchObject({ state: "applied" });
  });

  it("hold a question about the change no longer together than one alone", async () => {
    world.now.poll = async () => ({ status: "pending" });
    const { executionToken, changeId } = await planned();
    await session.call("changes_apply", { executionToken });
    await session.call("session_whoami");
    const before = Date.parse((await session.call("changes_get", { changeId })).asOf);
    const after = Date.parse((await session.call("session_whoami")).asOf);
    expect(after - before).toBeGreaterThan(4_000);
    expect(after - before).toBeLessThan(10_000);
  });

  it("of which AWS gives one up are recorded as they ended, and the answer names it", async () => {
    world.now.poll = async (poll, step, ...more) =>
      step.ref.id === ids[0]
        ? { status: "failed", code: "aws_failed", awsCode: "Server.InternalError", message: "no" }
        : poll(step, ...more);
    const { executionToken, changeId } = await planned();
    const answer = await session.call("changes_apply", { executionToken });
    expect(answer).toMatchObject({ isError: true, code: "aws_failed", stepsDone: 2, stepsPlanned: 3 });
    expect(answer.failures).toMatchObject([{ id: ids[0], awsCode: "Server.InternalError" }]);
    expect(await changeAt(changeId)).toMatchObject({ state: "failed" });
    expect((await lineage(ids[0]!)).at(-1)).toMatchObject({ outcome: "failed" });
    expect((await lineage(ids[2]!)).at(-1)).toMatchObject({ outcome: "succeeded" });
  });

  it("of which AWS refuses the last one: those before it are followed to their end", async () => {
    world.now.alone = async (send, step, ...more) => {
      if (step.ref.id === ids[2]) throw refused();
      return send(step, ...more);
    };
    const { executionToken, changeId } = await planned();
    const answer = await session.call("changes_apply", { executionToken });
    expect(answer).toMatchObject({ isError: true, code: "access_denied", stepsDone: 2, stepsPlanned: 3 });
    expect(await changeAt(changeId)).toMatchObject({ state: "failed" });
    expect(await states()).toEqual(["stopped", "stopped", "running"]);
  });

  it("whose process is killed at the second: the next one ends what was begun, and says what was never sent", async () => {
    const hung = hanging();
    world.now.alone = async (send, step, ...more) => {
      if (step.ref.id === ids[1]) return hung.forEver();
      return send(step, ...more);
    };
    const { executionToken, changeId } = await planned();
    void session.call("changes_apply", { executionToken }).catch(() => {});
    await hung.reached;
    world.now.alone = null;
    const next = await session.beside(start(NEAR));
    await next.call("session_whoami");
    const change = await changeAt(changeId, next);
    expect(change, JSON.stringify(change)).toMatchObject({ state: "failed" });
    expect(change.because).toContain("left after step 2 of 3");
    expect(world.arrived).toEqual([ids[0], ids[1]]);
    expect(await states(next)).toEqual(["stopped", "stopped", "running"]);
    await next.close();
  });
});
