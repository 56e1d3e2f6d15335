// An outcome that no disk would take: the caller carries it, signed, and any process can record it later, once and unaltered.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.js";
import type { Aws } from "../../src/core/ports.js";
import type { StateDriver } from "../../state/driver.js";
import { type InMemory, type InMemoryOptions, inMemory } from "../in-memory.js";

const BUCKET = "AWS::S3::Bucket";
const LOGS = { type: BUCKET, identifier: "sandbox-logs" };
const SECRET = "hunter2-hunter2";
const NEAR = { owner: { pid: 2, session: "after" }, liveness: () => "dead" as const };

/** A medium that fills up as soon as AWS has a call, reserve and all, and an AWS whose polls can be made to fail. */
function faults() {
  const now = { full: false, fillOnSend: true, poll: null as OpsError | null, failed: false, unreadable: false };
  const sent: string[] = [];
  const wrapDriver = (driver: StateDriver): StateDriver => {
    const guarded =
      <A extends unknown[], R>(verb: (...args: A) => Promise<R>) =>
      async (...args: A): Promise<R> => {
        if (now.full) throw new OpsError("state_read_only", "full", { details: { cause: "ENOSPC" } });
        return verb(...args);
      };
    return { ...driver, putIfAbsent: guarded(driver.putIfAbsent), putIfMatch: guarded(driver.putIfMatch) };
  };
  const wrap = (aws: Aws): Aws => ({
    ...aws,
    writer: (region) => {
      const writer = aws.writer(region);
      return {
        ...writer,
        async send(...args) {
          sent.push(args[0].operation);
          const answer = await writer.send(...args);
          now.full ||= now.fillOnSend;
          return answer;
        },
        async poll(...args) {
          if (now.poll) throw now.poll;
          if (now.failed) return { status: "failed", awsCode: "NotStabilized", message: "no" };
          return writer.poll(...args);
        },
      };
    },
  });
  return { now, sent, wrap, wrapDriver };
}

let world: ReturnType<typeof faults>;
let session: InMemory;
const start = (options: InMemoryOptions = {}) =>
  inMemory({ wrap: world.wrap, wrapDriver: world.wrapDriver, ...options });
beforeEach(async () => {
  world = faults();
  session = await start();
});
afterEach(() => session.close());

async function applied(properties: Record<string, unknown> = { Note: "ours" }) {
  const seen = await session.call("resources_get", LOGS);
  const planned = await session.call("resources_update", {
    ...LOGS,
    properties,
    intent: "a change on a full disk",
    basedOn: seen.revision,
  });
  const answer = await session.call("changes_apply", { executionToken: planned.executionToken });
  return { answer, changeId: planned.change.changeId as string, token: planned.executionToken as string };
}

/** AWS answers nothing that would prove it to the process that comes after, and shows nothing while it is unreadable. */
const blind = (aws: Aws): Aws => ({
  ...aws,
  reader: async (region) => {
    const reader = await aws.reader(region);
    return {
      ...reader,
      content: async (...args) => {
        if (world.now.unreadable) throw new OpsError("aws_unavailable", "no answer");
        return reader.content(...args);
      },
    };
  },
  writer: (region) => ({
    ...aws.writer(region),
    send: async () => {
      throw new OpsError("outcome_unknown", "no answer");
    },
  }),
});

const resolve = (who: InMemory, args: Record<string, unknown>) =>
  who.call("tools_run", { tool: "changes_resolve", arguments: { reason: "from the answer", ...args } });
const stateOf = async (who: InMemory, changeId: string) =>
  (await who.call("changes_get", { changeId })).change as { state: string; operations: { requestToken?: string }[] };

describe("an outcome that could not be stored", () => {
  it("is in the answer, signed and without any content, and the server takes no further change", async () => {
    const { answer, changeId } = await applied({ AdminPassword: SECRET, Note: "ours" });
    expect(answer).toMatchObject({ isError: true, code: "outcome_unknown", reason: "state_read_only" });
    expect(answer.unrecordedOutcome).toMatchObject({ changeId, outcome: "succeeded", resources: ["sandbox-logs"] });
    expect(answer.unrecordedOutcome.recordWith).toEqual({ tool: "changes_resolve", arguments: { changeId } });
    const inside = Buffer.from(answer.unrecordedOutcome.record.split(".")[0], "base64url").toString();
    expect(JSON.parse(inside)).toMatchObject({ v: 1, changeId, outcome: "succeeded" });
    expect(`${JSON.stringify(answer)}${inside}`).not.toContain(SECRET);
    expect(inside).not.toContain("Note");
    const next = await session.call("resources_delete", {
      ...LOGS,
      intent: "another one",
      basedOn: (await session.call("resources_get", LOGS)).revision,
    });
    expect(next).toMatchObject({ isError: true });
    expect(world.sent).toHaveLength(1);
  });

  it("is one of an intent too that is written and may not be durable: another process may carry it out", async () => {
    let unsynced = false;
    const intents = (driver: StateDriver): StateDriver => ({
      ...driver,
      async putIfAbsent(key, bytes) {
        const answer = await driver.putIfAbsent(key, bytes);
        if (!unsynced && key.startsWith("journal/") && Buffer.from(bytes).toString().includes('"op.intent"')) {
          unsynced = true;
          throw Object.assign(new Error("EIO: i/o error, fsync"), { code: "EIO" });
        }
        return answer;
      },
    });
    world.now.fillOnSend = false;
    session = await start({ wrapDriver: intents });
    const { answer, changeId } = await applied();
    expect(answer, JSON.stringify(answer)).toMatchObject({ isError: true, code: "outcome_unknown", changeId });
    expect(answer.nothingWasChanged).not.toBe(true);
    expect(world.sent).toEqual([]);
    const after = await session.beside({ wrap: world.wrap, ...NEAR });
    expect((await after.call("changes_get", { changeId })).change.state).toBe("applied");
    expect(world.sent).toEqual(["UpdateResource"]);
  });

  it("is recorded by the same process with its next call, as it was read then", async () => {
    const { changeId, token } = await applied();
    world.now.full = false;
    session.pass(11_000);
    expect(await stateOf(session, changeId)).toMatchObject({
      state: "applied",
      operations: [{ requestToken: expect.any(String) }],
    });
    expect((await session.call("changes_apply", { executionToken: token })).repeated.code).toBe("token_spent");
    expect(world.sent).toHaveLength(1);
  });

  it("is recorded by another process from the signed record, once", async () => {
    const { answer, changeId } = await applied();
    world.now.full = false;
    const after = await session.beside({ ...NEAR, wrap: blind });
    world.now.unreadable = true;
    expect((await after.call("session_whoami")).openOperations).toMatchObject([{ state: "unknown" }]);
    world.now.unreadable = false;
    const { record } = answer.unrecordedOutcome;
    const broken = `${record.slice(0, 20)}${record[20] === "A" ? "B" : "A"}${record.slice(21)}`;
    const forged = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(record.split(".")[0], "base64url").toString()), outcome: "failed" }),
    ).toString("base64url");
    for (const bad of [broken, `${forged}.${record.split(".")[1]}`, record.slice(0, -1), "x", "."]) {
      expect(await resolve(after, { record: bad }), bad).toMatchObject({ code: "validation_error", field: "record" });
    }
    const done = await resolve(after, { record: ` ${record}\n` });
    expect(done, JSON.stringify(done)).toMatchObject({
      ok: true,
      change: { changeId, state: "applied" },
      resources: [{ id: "sandbox-logs", properties: { Note: "ours" } }],
    });
    expect(done.notes).toBeUndefined();
    expect(await resolve(after, { record })).toMatchObject({ code: "nothing_to_change" });
    const history = await after.call("state_history", { identifier: "sandbox-logs" });
    expect(history.lineage).toMatchObject([{ outcome: "succeeded", changeId }]);
  });

  it("that was signed before the world moved on is recorded with what is true now, and says so", async () => {
    const { answer, changeId } = await applied();
    world.now.full = false;
    await session.edit((region) => {
      (region.resources[BUCKET]!["sandbox-logs"] as Record<string, unknown>).Note = "theirs";
    });
    session.pass(16 * 60_000);
    const after = await session.beside(NEAR);
    expect((await after.call("session_whoami")).parked).toMatchObject([{ changeId }]);
    const done = await resolve(after, { record: answer.unrecordedOutcome.record });
    expect(done, JSON.stringify(done)).toMatchObject({
      change: { state: "applied", operations: [{ resolved: { choice: "import" } }] },
    });
    expect(done.notes[0]).toContain("was changed since the outcome was signed");
    expect(done.change.operations[0].resolved.reason).toContain("outcome signed at");
  });

  it("of a resource that somebody deleted since is no deletion of ours", async () => {
    const { answer } = await applied();
    world.now.full = false;
    await session.edit((region) => {
      delete region.resources[BUCKET]!["sandbox-logs"];
    });
    session.pass(16 * 60_000);
    const after = await session.beside(NEAR);
    await after.call("session_whoami");
    const done = await resolve(after, { record: answer.unrecordedOutcome.record });
    expect(done, JSON.stringify(done)).toMatchObject({ change: { state: "applied" }, resources: [] });
    const history = await after.call("state_history", { identifier: "sandbox-logs" });
    expect(history).toMatchObject({ deleted: false, lineage: [{ operation: "update", after: { Note: "ours" } }] });
    expect((await after.call("state_drift", {})).resources).toMatchObject([{ status: "DELETED" }]);
  });

  it("of a failure is recorded as the failure it was, by whichever process", async () => {
    world.now.failed = true;
    const first = await applied();
    expect(first.answer.unrecordedOutcome).toMatchObject({ outcome: "failed" });
    world.now.full = false;
    // The very process that could not store it does so first, with all that it knew.
    const own = await resolve(session, { record: first.answer.unrecordedOutcome.record });
    expect(own).toMatchObject({ code: "nothing_to_change", state: "failed" });
    const second = await applied({ Note: "again" });
    world.now.full = false;
    await session.edit((region) => {
      (region.resources[BUCKET]!["sandbox-logs"] as Record<string, unknown>).Note = "half";
    });
    const after = await session.beside({ ...NEAR, wrap: blind });
    await after.call("session_whoami");
    const done = await resolve(after, { record: second.answer.unrecordedOutcome.record });
    expect(done, JSON.stringify(done)).toMatchObject({
      change: { state: "failed", operations: [{ state: "failed" }] },
    });
    expect(done.change.because).toContain("AWS could not finish");
  });

  it("of a call that AWS is still at work on is the handle to follow it by", async () => {
    world.now.poll = new OpsError("access_denied", "not for you");
    const { answer, changeId } = await applied();
    expect(answer).toMatchObject({ code: "outcome_unknown", unrecordedOutcome: { outcome: "submitted" } });
    world.now.full = false;
    session.pass(11_000);
    world.now.poll = null;
    expect(await stateOf(session, changeId)).toMatchObject({ state: "applied" });
    expect(world.sent).toHaveLength(1);
  });

  it("is no other store's, and no other process's that may still be alive", async () => {
    const { answer } = await applied();
    world.now.full = false;
    const other = await start();
    expect(await resolve(other, { record: answer.unrecordedOutcome.record })).toMatchObject({
      code: "validation_error",
      field: "record",
    });
    await other.close();
    const beside = await session.beside({ owner: { host: "far", session: "far" } });
    const refused = await resolve(beside, { record: answer.unrecordedOutcome.record });
    expect(refused).toMatchObject({ code: "resource_busy", owner: { session: "test-session" } });
  });
});
