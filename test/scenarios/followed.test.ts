// Work that goes on in AWS after the call was answered: followed to its end, by whichever process is there to see it.

import { afterEach, describe, expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.js";
import type { Aws, Progress } from "../../src/core/ports.js";
import { type InMemory, inMemory } from "../in-memory.js";

const GROUP = "sg-0bb00000000000001";
const RULE = { protocol: "tcp", fromPort: 8443, peer: "10.0.0.0/8" };
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
});
