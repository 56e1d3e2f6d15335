// Work that goes on in AWS after the call was answered: followed to its end, by whichever process is there to see it.

import { afterEach, describe, expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.js";
import type { Aws, Progress } from "../../src/core/ports.js";
import { type InMemory, inMemory } from "../in-memory.js";

const GROUP = "sg-0bb00000000000001";
const RULE = { protocol: "tcp", fromPort: 8443, peer: "10.0.0.0/8" };
const RULE2 = { ...RULE, fromPort: 9443 };
const HOUR_MS = 3_600_000;
const pending: Progress = { status: "pending", done: { count: 1, of: 3 } };

/** AWS that goes on with a rule after it has taken the call, and says so from a list. */
function working(...says: (Progress | OpsError)[]) {
  const log: string[] = [];
  const losing = { next: false };
  const wrap = (aws: Aws): Aws => ({
    ...aws,
    writer: (region) => {
      const writer = aws.writer(region);
      return {
        ...writer,
        follows: () => true,
        async send(step, op) {
          log.push("send");
          const sent = await writer.send(step, op);
          if (losing.next) {
            losing.next = false;
            throw new OpsError("outcome_unknown", "the answer was lost");
          }
          return { ...sent, requestToken: "work-1" };
        },
        async poll(_, requestToken) {
          log.push(`poll ${requestToken ?? "without a handle"}`);
          const next = says.length > 1 ? says.shift()! : says[0]!;
          if (next instanceof OpsError) throw next;
          return next;
        },
      };
    },
  });
  return { log, losing, says, wrap };
}

const open: InMemory[] = [];
afterEach(async () => {
  for (const session of open.splice(0)) await session.close();
});

async function story(aws: ReturnType<typeof working>) {
  const session = await inMemory({ wrap: aws.wrap });
  open.push(session);
  const planned = await session.call("securityGroups_addRule", { groupId: GROUP, rule: RULE, intent: "office" });
  const apply = () => session.call("changes_apply", { executionToken: planned.executionToken });
  const look = (who = session) => who.call("changes_get", { changeId: planned.change.changeId });
  return { session, apply, look };
}

describe("work that goes on after the answer", () => {
  it("is waited for, and read back once AWS says that it is done", async () => {
    const aws = working(pending, pending, { status: "succeeded" });
    const { apply } = await story(aws);
    expect(await apply()).toMatchObject({ outcome: "applied" });
    expect(aws.log).toEqual(["send", "poll work-1", "poll work-1", "poll work-1"]);
  });

  it("that AWS gives up is a failure, with AWS's reason in the record as data", async () => {
    const aws = working(pending, {
      status: "failed",
      code: "aws_failed",
      awsCode: "ROLLBACK_SUCCESSFUL",
      message: "tasks failed to start",
    });
    const { session, apply } = await story(aws);
    expect(await apply()).toMatchObject({
      code: "aws_failed",
      awsCode: "ROLLBACK_SUCCESSFUL",
      awsMessage: "tasks failed to start",
    });
    const history = await session.call("state_history", { identifier: GROUP });
    expect(history.lineage.at(-1)).toMatchObject({
      outcome: "failed",
      error: { code: "aws_failed", awsCode: "ROLLBACK_SUCCESSFUL", awsMessage: "tasks failed to start" },
    });
  });

  it("that outlasts the wait is handed over, and followed by later calls", async () => {
    const aws = working(pending);
    const { apply, look } = await story(aws);
    expect(await apply()).toMatchObject({ outcome: "in_progress" });
    expect((await look()).change.state).toBe("applying");
    aws.says.splice(0, 1, { status: "succeeded" });
    expect((await look()).change.state).toBe("applied");
    expect(aws.log.filter((one) => one === "send")).toHaveLength(1);
  });

  it("is finished by the next process where the one that began it is gone", async () => {
    const aws = working(pending);
    const { session, apply, look } = await story(aws);
    await apply();
    aws.says.splice(0, 1, { status: "succeeded" });
    const next = await session.beside({ owner: { pid: 2, session: "next" }, liveness: () => "dead", wrap: aws.wrap });
    open.push(next);
    await next.call("session_whoami");
    expect((await look(next)).change.state).toBe("applied");
    expect(aws.log.filter((one) => one === "send")).toHaveLength(1);
  });

  it("is followed also where the answer was lost, and not taken for done because AWS took the call", async () => {
    const aws = working(pending, pending, { status: "succeeded" });
    aws.losing.next = true;
    const { apply } = await story(aws);
    expect(await apply()).toMatchObject({ outcome: "applied" });
    expect(aws.log.filter((one) => one === "poll without a handle")).toHaveLength(3);
    expect(aws.log.filter((one) => one === "send")).toHaveLength(1);
  });

  it("that AWS no longer lets us see stays open while its approval stands, then waits for a decision", async () => {
    const aws = working(new OpsError("access_denied", "denied"));
    const { session, apply, look } = await story(aws);
    expect(await apply()).toMatchObject({ outcome: "in_progress" });
    session.pass(60 * 60_000);
    await session.call("session_whoami");
    const { change } = await look();
    expect(change).toMatchObject({ operations: [{ state: "parked" }] });
  });

  it("is asked about for its own account and region alone", async () => {
    const aws = working(pending);
    const elsewhere: { account?: string } = {};
    const session = await inMemory({
      wrap: (real) => {
        const wrapped = aws.wrap(real);
        return {
          ...wrapped,
          reader: async (...where) => ({ ...(await wrapped.reader(...where)), ...elsewhere }),
        };
      },
    });
    open.push(session);
    const planned = await session.call("securityGroups_addRule", { groupId: GROUP, rule: RULE, intent: "office" });
    await session.call("changes_apply", { executionToken: planned.executionToken });
    const { changeId } = planned.change;
    const asked = aws.log.length;
    const other = await session.call("changes_get", { changeId, region: "eu-west-1" });
    expect(other.change.state).toBe("applying");
    elsewhere.account = "111111111111";
    await session.call("changes_get", { changeId });
    expect(aws.log).toHaveLength(asked);
    delete elsewhere.account;
    await session.call("changes_get", { changeId });
    expect(aws.log.length).toBeGreaterThan(asked);
  });

  it("is asked about by one call at a time", async () => {
    const aws = working(pending);
    let arrive = () => {};
    let goOn = (_: Progress) => {};
    const reached = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    const { session, apply, look } = await story({
      ...aws,
      wrap: (real) => {
        const wrapped = aws.wrap(real);
        return {
          ...wrapped,
          writer: (...where) => ({
            ...wrapped.writer(...where),
            poll: () => {
              aws.log.push("poll");
              arrive();
              return new Promise((resolve) => {
                goOn = resolve;
              });
            },
          }),
        };
      },
    });
    const applied = apply();
    await reached;
    expect((await look()).change.state).toBe("applying");
    await session.call("session_whoami");
    expect(aws.log.filter((one) => one === "poll")).toHaveLength(1);
    goOn({ status: "succeeded" });
    expect(await applied).toMatchObject({ outcome: "applied" });
  });

  it("is said to have been left halfway by the answer that sees its first call end", async () => {
    let over = false;
    const session = await inMemory({
      args: ["--toolsets", "all"],
      wrap: (aws) => ({
        ...aws,
        writer: (...where) => {
          const writer = aws.writer(...where);
          return {
            ...writer,
            poll: (...given) => (over ? writer.poll(...given) : Promise.resolve({ status: "pending" as const })),
          };
        },
      }),
    });
    open.push(session);
    const instanceId = "i-0aa00000000000001";
    const { revision: basedOn } = await session.call("instances_get", { instanceId });
    const planned = await session.call("instances_resize", {
      ...{ instanceId, instanceType: "t3.large", basedOn, intent: "it is slow" },
    });
    expect(planned.change.steps, JSON.stringify(planned)).toHaveLength(3);
    const { executionToken, change } = planned;
    expect(await session.call("changes_apply", { executionToken })).toMatchObject({ outcome: "in_progress" });
    const look = async () => (await session.call("changes_get", { changeId: change.changeId })).change;
    await session.call("session_whoami");
    over = true;
    expect(await look()).toMatchObject({
      state: "failed",
      because: expect.stringContaining("left after step 1 of 3; the rest was never sent"),
    });
  });

  it("that cannot be settled stands in no other's way, and is tried ever less often", async () => {
    const aws = working(pending);
    const stuck = { on: false, tries: 0 };
    const session = await inMemory({
      wrap: aws.wrap,
      wrapStore: (store) => ({
        ...store,
        commit: (build, ...more) =>
          store.commit(
            (state, seq) => {
              const events = build(state, seq);
              const of = Array.isArray(events) ? events.find(({ type }) => type === "op.succeeded") : undefined;
              const first = [...state.operations.keys()][0];
              if (!stuck.on || of === undefined || !("operationId" in of) || of.operationId !== first) return events;
              stuck.tries++;
              return new OpsError("internal", "it cannot be folded");
            },
            ...more,
          ),
      }),
    });
    open.push(session);
    const changes: string[] = [];
    for (const groupId of [GROUP, "sg-0bb00000000000002"]) {
      const { executionToken, change } = await session.call("securityGroups_addRule", {
        ...{ groupId, rule: RULE, intent: "office" },
      });
      expect(await session.call("changes_apply", { executionToken })).toMatchObject({ outcome: "in_progress" });
      changes.push(change.changeId);
    }
    session.pass(60_000);
    stuck.on = true;
    aws.says.splice(0, 1, { status: "succeeded" });
    await session.call("session_whoami");
    const states = async () =>
      (await session.call("changes_list")).changes.map(({ state }: { state: string }) => state);
    expect(await states()).toEqual(["applied", "applying"]);
    for (let minute = 0; minute < 60; minute++) {
      session.pass(60_000);
      await session.call("session_whoami");
    }
    expect(stuck.tries).toBeGreaterThan(5);
    expect(stuck.tries).toBeLessThan(15);
    stuck.on = false;
    session.pass(10 * 60_000);
    await session.call("session_whoami");
    expect(await states()).toEqual(["applied", "applied"]);
  });

  it("that never ends waits for a decision in the end, and says that AWS is still at it", async () => {
    const aws = working(pending);
    const { session, apply, look } = await story(aws);
    expect(await apply()).toMatchObject({ outcome: "in_progress" });
    session.pass(23 * HOUR_MS);
    expect((await look()).change, "a rollout may take a day").toMatchObject({ state: "applying" });
    session.pass(HOUR_MS);
    const { change } = await look();
    expect(change).toMatchObject({ state: "unknown", operations: [{ state: "parked" }] });
    expect(change.because).toContain("longer than 24 hours");
    expect((await session.call("session_whoami")).parked).toMatchObject([{ changeId: change.changeId }]);
    const decision = { changeId: change.changeId, choice: "import", reason: "the rule is there" };
    const resolved = await session.call("tools_run", { tool: "changes_resolve", arguments: decision });
    expect(resolved, JSON.stringify(resolved)).toMatchObject({ ok: true, change: { state: "applied" } });
    expect(resolved.notes.join(" ")).toContain("AWS is still at work");
    const again = await session.call("securityGroups_addRule", { groupId: GROUP, rule: RULE2, intent: "free again" });
    expect(again.planned, JSON.stringify(again)).toBe(true);
    expect(aws.log.filter((one) => one === "send")).toHaveLength(1);
  });
});

describe("an instance whose way was not seen to its end", () => {
  const ID = "i-0aa00000000000004";
  const edit = (session: InMemory, to: object) =>
    session.edit((region) => {
      Object.assign(region.instances[ID]!, to);
    });

  /** A stop that AWS takes and whose process ends before it is seen to finish; then somebody else, then the next process. */
  async function stopped(meanwhile: (session: InMemory) => Promise<unknown>, stuck = false) {
    const hold = { polls: true };
    const wrap = (aws: Aws): Aws => ({
      ...aws,
      writer: (region) => {
        const writer = aws.writer(region);
        return {
          ...writer,
          poll: (...given) => (hold.polls ? Promise.resolve({ status: "pending" }) : writer.poll(...given)),
        };
      },
    });
    const first = await inMemory({ wrap });
    open.push(first);
    const { revision } = await first.call("instances_get", { instanceId: ID });
    const planned = await first.call("instances_stop", {
      instanceIds: [ID],
      basedOn: [revision],
      intent: "for the night",
    });
    const applied = await first.call("changes_apply", { executionToken: planned.executionToken });
    expect(applied, JSON.stringify([planned, applied])).toMatchObject({ outcome: "in_progress" });
    first.pass(30 * 60_000);
    await meanwhile(first);
    hold.polls = stuck;
    const next = await first.beside({ owner: { pid: 2, session: "next" }, liveness: () => "dead", wrap });
    open.push(next);
    const { change } = await next.call("changes_get", { changeId: planned.change.changeId });
    const [entry] = (await next.call("state_history", { identifier: ID })).lineage;
    return { change, entry };
  }

  it("is not called failed where somebody started it again: its new launch time proves that it had stopped", async () => {
    const { change, entry } = await stopped((session) =>
      edit(session, { state: "running", launchedAt: "2026-11-21T10:20:00.000Z" }),
    );
    expect(change).toMatchObject({ state: "applied" });
    expect(entry).toMatchObject({ outcome: "succeeded", after: { state: "running" } });
  });

  it("is not called unchanged where nothing proves either: it was not seen to finish", async () => {
    const { change, entry } = await stopped((session) => edit(session, { state: "running" }));
    expect(change).toMatchObject({ state: "failed" });
    expect(entry).toMatchObject({ outcome: "failed" });
    expect(entry.error.message).toContain("not seen to finish");
    expect(JSON.stringify(change)).not.toContain("could not finish");
  });

  it("is done where it arrived, and waits for a decision where it is stuck for hours", async () => {
    expect((await stopped((session) => edit(session, { state: "stopped" }))).change).toMatchObject({
      state: "applied",
    });
    const { change } = await stopped(async (session) => session.pass(4 * HOUR_MS), true);
    expect(change).toMatchObject({ operations: [{ state: "parked" }] });
    expect(change.because).toContain("longer than 4 hours");
  });
});
