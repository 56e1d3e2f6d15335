// Calls that take long: handed over, fetched, cancelled, given up; and a change that is never cut, whoever waits for it.

import { afterEach, expect, it } from "vitest";
import { givenUp } from "../../src/core/given-up.js";
import type { Aws, AwsReader } from "../../src/core/ports.js";
import { type InMemory, inMemory } from "../in-memory.js";

const open: InMemory[] = [];
afterEach(async () => {
  for (const session of open.splice(0)) await session.close();
});

const WAIT_MS = 45_000;
const CALL_MS = 300_000;
const GROUP = "sg-0bb00000000000001";

/** AWS whose lists, and whose writes, stand still until they are let go. */
async function slow(options: { readonly args?: readonly string[] } = {}) {
  const held: Array<() => void> = [];
  const at = { reads: 0, sends: 0, given: undefined as AbortSignal | undefined };
  const hold = { reads: false, writes: false };
  const until = () => new Promise<void>((resolve) => held.push(resolve));
  const wrap = (aws: Aws): Aws => ({
    ...aws,
    async reader(region) {
      const reader = await aws.reader(region);
      const regions: AwsReader["regions"] = async () => {
        at.reads++;
        at.given = givenUp();
        if (hold.reads) await until();
        return reader.regions();
      };
      const list: AwsReader["list"] = async (type, query) => {
        if (hold.reads) await until();
        return reader.list(type, query);
      };
      return { ...reader, regions, list };
    },
    writer: (region) => {
      const writer = aws.writer(region);
      return {
        ...writer,
        async send(step, op) {
          at.sends++;
          expect(givenUp(), "what changes AWS cannot be given up").toBeUndefined();
          if (hold.writes) await until();
          return writer.send(step, op);
        },
      };
    },
  });
  const log: string[] = [];
  const session = await inMemory({ wrap, ports: { log: (_, message) => void log.push(message) }, ...options });
  open.push(session);
  const go = () => {
    for (const one of held.splice(0)) one();
  };
  const operation = (verb: string, args: object = {}) =>
    session.call("tools_run", { tool: `operations_${verb}`, arguments: args });
  return { session, at, hold, go, log, operation, wrap };
}

it("a read that takes longer than a client waits is handed over, goes on, and is fetched", async () => {
  const { session, hold, go, operation } = await slow();
  hold.reads = true;
  const asked = session.call("regions_list");
  await session.waitedFor(WAIT_MS);
  const handed = await asked;
  expect(handed).toMatchObject({
    inProgress: true,
    operationId: expect.stringMatching(/^run_[0-9a-f]{12}$/),
    account: expect.any(String),
    next: { tool: "operations_get", arguments: { operationId: handed.operationId } },
  });
  expect(handed.isError).toBeUndefined();
  expect(handed.regions, "no empty result").toBeUndefined();

  const { operationId } = handed;
  expect(await operation("list")).toMatchObject({ count: 1, operations: [{ operationId, state: "running" }] });
  expect(await operation("get", { operationId, waitSeconds: 0 })).toMatchObject({
    state: "running",
    tool: "regions.list",
  });
  const waiting = operation("get", { operationId, waitSeconds: 30 });
  go();
  const done = await waiting;
  expect(done).toMatchObject({ state: "complete", result: { source: "live", count: expect.any(Number) } });
  expect(done.result.regions.length).toBe(done.result.count);
  expect(done.result.asOf, "when it was asked, not when it was fetched").toBe(done.startedAt);
  session.pass(31 * 60_000);
  expect(await operation("get", { operationId })).toMatchObject({ isError: true, code: "unknown_operation" });
});

it("one that was handed over can be cancelled, and whoever asks the same meanwhile is answered all the same", async () => {
  const { session, at, hold, go, operation } = await slow();
  hold.reads = true;
  const asked = session.call("regions_list");
  await session.waitedFor(WAIT_MS);
  const { operationId } = await asked;
  await expect.poll(() => at.given?.aborted).toBe(false);
  const first = at.given!;
  const other = session.call("regions_list");
  expect(await operation("cancel", { operationId })).toMatchObject({ state: "cancelled" });
  expect(first.aborted, "its reads of AWS end").toBe(true);
  expect(await operation("get", { operationId })).toMatchObject({
    state: "cancelled",
    error: { code: "call_cancelled" },
  });
  expect(await operation("cancel", { operationId }), "twice is once").toMatchObject({ state: "cancelled" });
  go();
  hold.reads = false;
  expect(await other).toMatchObject({ count: expect.any(Number) });
});

it("one that never ends is given up in the end, and says what to do", async () => {
  const { session, hold, operation } = await slow();
  hold.reads = true;
  const asked = session.call("regions_list");
  await session.waitedFor(WAIT_MS);
  const { operationId } = await asked;
  await session.waitedFor(CALL_MS - WAIT_MS);
  expect(await operation("get", { operationId })).toMatchObject({
    state: "failed",
    error: { code: "timed_out", seconds: 300, retriable: false },
  });
});

it("where nothing is handed over, a read is given up by its error", async () => {
  const { session, hold } = await slow({ args: ["--call-seconds", "10"] });
  hold.reads = true;
  const asked = session.call("regions_list");
  await session.waitedFor(10_000);
  const answer = await asked;
  expect(answer).toMatchObject({ isError: true, code: "timed_out", nothingWasChanged: true });
  expect(answer.message).toContain("fewer regions");
});

it("a change is never cut: the answer says that it goes on, and its outcome is recorded", async () => {
  const { session, hold, go } = await slow({ args: ["--call-seconds", "10", "--wait-seconds", "5"] });
  const planned = await session.call("securityGroups_addRule", {
    groupId: GROUP,
    rule: { protocol: "tcp", fromPort: 8443, peer: "10.0.0.0/8" },
    intent: "office",
  });
  const { changeId } = planned.change;
  hold.writes = true;
  const asked = session.call("changes_apply", { executionToken: planned.executionToken });
  await session.waitedFor(10_000);
  const answer = await asked;
  expect(answer).toMatchObject({
    isError: true,
    code: "timed_out",
    nothingWasChanged: "unknown",
    changeId,
    next: [{ tool: "changes_get", arguments: { changeId } }],
    stateSync: { outcome: "unknown" },
  });
  // The same token begins nothing a second time.
  expect(await session.call("changes_apply", { executionToken: planned.executionToken })).toMatchObject({
    code: "token_spent",
  });
  const looked = await session.call("changes_get", { changeId });
  expect(looked.change).toMatchObject({ state: "applying" });
  go();
  await expect.poll(async () => (await session.call("changes_get", { changeId })).change.state).toBe("applied");
  const group = await session.call("securityGroups_get", { groupId: GROUP });
  expect(JSON.stringify(group)).toContain("8443");
});

it("what a read settles beside itself is not given up with it", async () => {
  const { session, at, hold, wrap } = await slow();
  const planned = await session.call("securityGroups_addRule", {
    groupId: GROUP,
    rule: { protocol: "tcp", fromPort: 8443, peer: "10.0.0.0/8" },
    intent: "office",
  });
  hold.writes = true;
  session.call("changes_apply", { executionToken: planned.executionToken }).catch(() => {});
  await expect.poll(() => at.sends).toBe(1);
  hold.writes = false;
  // The first process never wakes. Everything that follows is a read, and each of them could be given up.
  const next = await session.beside({ owner: { pid: 2, session: "next" }, liveness: () => "dead", wrap });
  open.push(next);
  await next.call("instances_list");
  expect(at.sends).toBe(2);
  const { changes } = await next.call("changes_list");
  expect(changes).toMatchObject([{ changeId: planned.change.changeId, state: "applied" }]);
});

it("an eleventh long read is waited for, and the results of earlier ones stay", async () => {
  const { session, hold, go, operation } = await slow();
  hold.reads = true;
  const handed: string[] = [];
  for (let n = 0; n < 10; n++) {
    const asked = session.call("instances_list", { limit: n + 5 });
    const first = await Promise.race([asked, session.waitedFor(WAIT_MS)]);
    expect(first).toBeUndefined();
    handed.push((await asked).operationId);
  }
  expect(new Set(handed).size).toBe(10);
  const eleventh = session.call("instances_list", { limit: 50 });
  await session.waitedFor(WAIT_MS);
  expect(await operation("list")).toMatchObject({ count: 10 });
  hold.reads = false;
  go();
  expect(await eleventh).toMatchObject({ instances: expect.any(Array) });
  for (const operationId of handed) {
    expect(await operation("get", { operationId })).toMatchObject({
      state: "complete",
      result: { instances: expect.any(Array) },
    });
  }
});
