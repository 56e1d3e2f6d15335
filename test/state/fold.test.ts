// The fold: what each event asks for, what it does, and the laws that hold for any history.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ChangeStep, ridOf } from "../../src/core/change.js";
import { OpsError } from "../../src/core/errors.js";
import { canonicalJson, type JsonObject, type PatchOp } from "../../src/core/json.js";
import { checkpointDocument, checkpointText, readCheckpoint } from "../../state/checkpoint.js";
import type { Event } from "../../state/events.js";
import { claims, emptyState, fold } from "../../state/fold.js";
import { clientToken, operationId } from "../../state/tokens.js";
import { withKey } from "../../state/versioned-map.js";
import { chain, intent, owner, plan, ref, result, START, step } from "./helpers.js";

const code = (answer: unknown): string => (answer instanceof OpsError ? answer.code : "accepted");
const rid = ridOf(ref());

/** A chain with one change of the given steps, planned and begun. */
function begun(steps: readonly ChangeStep[] = [step()]) {
  const log = chain();
  const made = plan(1, steps);
  expect(code(log.add([made.event]))).toBe("accepted");
  expect(code(log.add([intent(2, made.id, made.token)]))).toBe("accepted");
  return { log, ...made, op: operationId(2) };
}

const error = { code: "aws_failed", message: "AWS said no" };
const succeeded = (op: string, results = [result({ state: "running" }, { state: "stopped" })]): Event => ({
  type: "op.succeeded",
  operationId: op,
  results,
});

describe("steps that one call carries", () => {
  const two = [step(), step({ ref: ref("i-2") })];
  const alongside = (log: ReturnType<typeof begun>["log"], id: string, token: string) =>
    log.add([{ ...without(intent(3, id, token)), step: 1, alongside: true, clientToken: clientToken(token, 1) }]);
  const without = ({ token: _, ...event }: ReturnType<typeof intent>) => event;

  it("begin beside one that has no outcome yet, and only where the record says so", () => {
    const { log, id, token } = begun(two);
    const plain = { ...without(intent(3, id, token)), step: 1, clientToken: clientToken(token, 1) };
    expect(code(log.add([plain]))).toBe("internal");
    expect(code(alongside(log, id, token))).toBe("accepted");
    expect(claims(log.state).size).toBe(2);
  });

  it("hold every resource until all have an outcome, and one that failed fails the change", () => {
    for (const failsFirst of [true, false]) {
      const { log, id, token, op } = begun(two);
      alongside(log, id, token);
      const other = operationId(3);
      const failed: Event = { type: "op.failed", operationId: other, error, nothingWasChanged: true };
      log.add([failsFirst ? failed : succeeded(op)]);
      expect(log.state.changes.get(id)).toMatchObject({ state: "applying" });
      expect(claims(log.state).size).toBe(2);
      log.add([failsFirst ? succeeded(op) : failed]);
      expect(log.state.changes.get(id)).toMatchObject({ state: "failed", because: "AWS said no" });
      expect(claims(log.state).size).toBe(0);
      expect(log.state.resources.get(rid)?.lineage.at(-1)).toMatchObject({ outcome: "succeeded" });
    }
  });

  it("end as applied whichever is known last", () => {
    const { log, id, token, op } = begun(two);
    alongside(log, id, token);
    log.add([succeeded(operationId(3), [result({ state: "a" }, { state: "b" }, ref("i-2"))])]);
    expect(log.state.changes.get(id)).toMatchObject({ state: "applying" });
    log.add([succeeded(op)]);
    expect(log.state.changes.get(id)).toMatchObject({ state: "applied" });
  });
});

describe("a token", () => {
  it("begins its change once", () => {
    const { log, id, token, op } = begun();
    expect(log.state.changes.get(id)).toMatchObject({ state: "applying", token, operationIds: [op] });
    expect(code(log.add([intent(3, id, token)]))).toBe("token_spent");
    log.add([succeeded(op)]);
    expect(code(log.add([intent(4, id, token)]))).toBe("token_spent");
  });

  it("of another change or of nobody begins nothing", () => {
    const log = chain();
    const one = plan(1);
    const two = plan(2);
    log.add([one.event]);
    log.add([two.event]);
    expect(code(log.add([intent(3, one.id, two.token)]))).toBe("unknown_token");
    expect(code(log.add([intent(3, one.id, "xt_1_made-up")]))).toBe("unknown_token");
    const { token: _, ...without } = intent(3, one.id, one.token);
    expect(code(log.add([without]))).toBe("unknown_token");
    expect(code(log.add([intent(3, "ch_9", one.token)]))).toBe("unknown_change");
  });

  it("is dead at its expiry to the millisecond", () => {
    const log = chain();
    const { event, id, token } = plan(1);
    log.add([event]);
    expect(code(log.add([intent(2, id, token)], owner(), "2026-11-21T10:15:00.000Z"))).toBe("token_expired");
    expect(code(log.add([intent(2, id, token)], owner(), "2026-11-21T10:14:59.999Z"))).toBe("accepted");
  });

  it("of a cancelled change begins nothing, and a begun change is not cancelled", () => {
    const log = chain();
    const one = plan(1);
    log.add([one.event]);
    log.add([{ type: "change.cancelled", changeId: one.id, by: "alice", because: "no longer wanted" }]);
    expect(log.state.changes.get(one.id)).toMatchObject({
      state: "cancelled",
      because: "cancelled by alice: no longer wanted",
    });
    expect(code(log.add([intent(3, one.id, one.token)]))).toBe("change_cancelled");
    expect(code(log.add([{ type: "change.cancelled", changeId: one.id, by: "alice" }]))).toBe("change_cancelled");
    const { log: other, id } = begun();
    expect(code(other.add([{ type: "change.cancelled", changeId: id, by: "alice" }]))).toBe("token_spent");
  });

  it("is bound to the plan it was issued for", () => {
    const log = chain();
    const { event } = plan(1);
    if (event.type !== "change.planned") throw new Error();
    const altered = { ...event.change, steps: [step({ input: { InstanceIds: ["i-2"] } })] };
    expect(code(log.add([{ type: "change.planned", change: altered }]))).toBe("plan_mismatch");
    expect(code(log.add([{ type: "change.planned", change: { ...event.change, id: "ch_7" } }]))).toBe("internal");
    expect(code(log.add([event]))).toBe("accepted");
    const again = plan(2);
    if (again.event.type !== "change.planned") throw new Error();
    const reissued = { ...again.event.change, tokenSha256: event.change.tokenSha256 };
    expect(code(log.add([{ type: "change.planned", change: reissued }]))).toBe("internal");
  });

  it("decides the client token", () => {
    const log = chain();
    const { event, id, token } = plan(1);
    log.add([event]);
    expect(code(log.add([{ ...intent(2, id, token), clientToken: "mine" }]))).toBe("internal");
  });
});

describe("approval", () => {
  it("is kept with the change it was given to", () => {
    const log = chain();
    const { event, id } = plan(1);
    log.add([event]);
    const { planDigest } = log.state.changes.get(id)!;
    const yes = {
      type: "change.approved",
      changeId: id,
      planDigest,
      channel: "terminal",
      by: "bob",
      validUntil: START,
    } as const;
    expect(code(log.add([{ ...yes, planDigest: "0".repeat(64) }]))).toBe("plan_mismatch");
    log.add([yes]);
    expect(log.state.changes.get(id)?.approval).toMatchObject({ by: "bob", channel: "terminal" });
    const risk = { level: "critical", because: ["it became production"] } as const;
    log.add([
      { type: "change.rated", changeId: id, risk },
      { ...yes, risk: "critical" },
    ]);
    expect(log.state.changes.get(id)).toMatchObject({ state: "planned", risk, approval: { risk: "critical" } });
    log.add([{ type: "change.rejected", changeId: id, planDigest, channel: "terminal", by: "bob" }]);
    expect(log.state.changes.get(id)).toMatchObject({ state: "cancelled", because: "rejected by bob" });
    expect(code(log.add([{ type: "change.rated", changeId: id, risk }]))).toBe("change_cancelled");
  });
});

describe("a claim", () => {
  it("covers every resource of an open change and nothing else", () => {
    const { log, id, token, op } = begun([
      step(),
      step({ ref: ref("i-2") }),
      step({ ref: ref(""), kind: "create", before: null }),
    ]);
    expect([...claims(log.state)]).toEqual([
      [rid, { changeId: id, operationId: op }],
      [ridOf(ref("i-2")), { changeId: id, operationId: op }],
    ]);
    log.add([succeeded(op)]);
    expect(claims(log.state).get(rid)).toEqual({ changeId: id });
    log.add([intent(4, id, token, 1)]);
    log.add([{ type: "op.failed", operationId: operationId(4), error, nothingWasChanged: true }]);
    expect(claims(log.state).size).toBe(0);
  });

  it("keeps other changes out, also while the outcome is unknown or parked", () => {
    const { log, op } = begun();
    const other = plan(3);
    log.add([other.event]);
    const tries = () => code(log.add([intent(log.next, other.id, other.token)]));
    expect(tries()).toBe("resource_busy");
    log.add([{ type: "op.unknown", operationId: op, error, because: "the answer was lost" }]);
    expect(tries()).toBe("resource_busy");
    log.add([{ type: "op.parked", operationId: op, because: "nothing proves it" }]);
    expect(tries()).toBe("resource_busy");
    log.add([{ type: "op.resolved", operationId: op, choice: "clear", by: "bob" }]);
    expect(tries()).toBe("accepted");
  });

  it("takes the planned patch with other guards, and no other edits", () => {
    const log = chain();
    const edit = { op: "add" as const, path: "/Tags", value: [] };
    const guard = (value: string) => ({ op: "test" as const, path: "/Tags", value: [value] });
    const PatchDocument = [guard("planned"), edit];
    const made = plan(1, [step({ kind: "update", reader: "cloudcontrol", input: { PatchDocument } })]);
    log.add([made.event]);
    const begun = (patch: readonly PatchOp[]) => log.add([{ ...intent(2, made.id, made.token), patch }]);
    expect(code(begun([guard("shown"), { ...edit, value: ["more"] }]))).toBe("internal");
    expect(code(begun([edit]))).toBe("internal");
    expect(code(begun([guard("shown"), edit]))).toBe("accepted");
    log.add([{ type: "op.succeeded", operationId: operationId(2), results: [result({}, {})] }]);
    expect(log.state.resources.get(rid)?.lineage[0]?.patch).toEqual([guard("shown"), edit]);
  });

  it("lets two creates of one type go on at the same time", () => {
    const log = chain();
    const create = step({ ref: ref(""), kind: "create", before: null });
    const [one, two] = [plan(1, [create]), plan(2, [create])];
    log.add([one.event]);
    log.add([two.event]);
    log.add([intent(3, one.id, one.token)]);
    expect(code(log.add([intent(4, two.id, two.token)]))).toBe("accepted");
  });

  it("keeps imports, acceptance and forgetting out", () => {
    const { log } = begun();
    const imported: Event = {
      type: "resource.imported",
      ref: ref(),
      reader: "service",
      properties: {},
      provenance: "read",
    };
    expect(code(log.add([imported]))).toBe("resource_busy");
    expect(code(log.add([{ type: "resource.forgotten", rid, by: "bob", because: "x" }]))).toBe("no_history");
  });
});

describe("an outcome", () => {
  it("is given once, by the owner", () => {
    const { log, op } = begun();
    expect(code(log.add([succeeded(op)], owner("session-2", 7)))).toBe("resource_busy");
    expect(code(log.add([{ type: "op.submitted", operationId: op, requestToken: "r" }], owner("session-2", 7)))).toBe(
      "resource_busy",
    );
    expect(code(log.add([succeeded(op)]))).toBe("accepted");
    expect(code(log.add([succeeded(op)]))).toBe("token_spent");
    expect(code(log.add([{ type: "op.takeover", operationId: op, owner: owner("session-2", 7) }]))).toBe("token_spent");
    expect(code(log.add([succeeded("op_zz")]))).toBe("internal");
  });

  it("after a takeover is the new owner's", () => {
    const { log, op } = begun();
    log.add([{ type: "op.takeover", operationId: op, owner: owner("session-2", 7) }]);
    expect(code(log.add([succeeded(op)]))).toBe("resource_busy");
    expect(code(log.add([succeeded(op)], owner("session-2", 7)))).toBe("accepted");
  });

  it("of a success is the new baseline, with who, why and from what", () => {
    const { log, id, token, op } = begun();
    log.add([{ type: "op.submitted", operationId: op, requestToken: "r-1", awsRequestId: "a-1" }]);
    log.add([succeeded(op)]);
    expect(log.state.changes.get(id)).toMatchObject({ state: "applied" });
    expect(log.state.operations.get(op)).toMatchObject({ state: "succeeded", requestToken: "r-1", settledAt: START });
    const resource = log.state.resources.get(rid)!;
    expect(resource).toMatchObject({ alias: "i-1", properties: { state: "stopped" }, deleted: false, revisionSeq: 4 });
    expect(resource.lineage).toEqual([
      {
        seq: 4,
        executionToken: token,
        changeId: id,
        operationId: op,
        tool: "instances.stop",
        operation: "action",
        outcome: "succeeded",
        timestamp: START,
        user: "alice",
        awsSession: "arn:aws:iam::123456789012:user/alice",
        before: { state: "running" },
        after: { state: "stopped" },
        explanation: "it idles",
        intent: "save money",
      },
    ]);
  });

  it("may make several resources", () => {
    const { log, op } = begun([
      step({ ref: ref(""), kind: "create", before: null, desired: { instanceType: "t3.micro" } }),
    ]);
    log.add([succeeded(op, [result(null, { n: 1 }, ref("i-7")), result(null, { n: 2 }, ref("i-8"))])]);
    expect([...log.state.resources.keys()]).toEqual([ridOf(ref("i-7")), ridOf(ref("i-8"))]);
    expect(log.state.resources.get(ridOf(ref("i-8")))).toMatchObject({
      properties: { n: 2 },
      desired: { instanceType: "t3.micro" },
    });
  });

  it("of a deletion keeps the lineage", () => {
    const { log, op } = begun([step({ kind: "delete", after: null })]);
    log.add([succeeded(op, [result({ state: "running" }, null)])]);
    expect(log.state.resources.get(rid)).toMatchObject({
      deleted: true,
      properties: null,
      lineage: [{ operation: "delete" }],
    });
  });

  it("of a failure that changed nothing is an entry on what we hold, and nothing on what never was", () => {
    const { log, op, id } = begun([step({ ref: ref(""), kind: "create", before: null })]);
    log.add([{ type: "op.failed", operationId: op, error, nothingWasChanged: true }]);
    expect(log.state.resources.size).toBe(0);
    expect(log.state.changes.get(id)).toMatchObject({ state: "failed", because: "AWS said no" });
    const second = begun();
    second.log.add([succeeded(second.op)]);
    const next = plan(4);
    second.log.add([next.event]);
    second.log.add([intent(5, next.id, next.token)]);
    second.log.add([{ type: "op.failed", operationId: operationId(5), error, nothingWasChanged: true }]);
    expect(second.log.state.resources.get(rid)).toMatchObject({
      properties: { state: "stopped" },
      lineage: [{ outcome: "succeeded" }, { outcome: "failed", error }],
    });
  });

  it("of a failure that changed something is what was read back", () => {
    const { log, op } = begun();
    log.add([
      {
        type: "op.failed",
        operationId: op,
        error,
        nothingWasChanged: false,
        results: [result({ state: "running" }, { state: "half" })],
      },
    ]);
    expect(log.state.resources.get(rid)).toMatchObject({
      properties: { state: "half" },
      lineage: [{ outcome: "failed" }],
    });
  });

  it("that is unknown takes the resource into the state, and one entry becomes the truth later", () => {
    const { log, op, id } = begun();
    log.add([{ type: "op.unknown", operationId: op, error, because: "lost" }]);
    expect(log.state.changes.get(id)).toMatchObject({ state: "unknown", because: "lost" });
    expect(log.state.resources.get(rid)).toMatchObject({
      properties: { state: "running" },
      drift: { status: "UNKNOWN" },
      lineage: [{ outcome: "unknown", after: null }],
    });
    log.add([succeeded(op)]);
    expect(log.state.changes.get(id)?.state).toBe("applied");
    expect(log.state.changes.get(id)).not.toHaveProperty("because");
    expect(log.state.operations.get(op)).not.toHaveProperty("error");
    expect(log.state.resources.get(rid)?.lineage).toMatchObject([
      { outcome: "succeeded", after: { state: "stopped" } },
    ]);
  });

  describe("that was parked", () => {
    const decide = (
      choice: "import" | "clear" | "retry",
      op: string,
      results?: ReturnType<typeof result>[],
    ): Event => ({
      type: "op.resolved",
      operationId: op,
      choice,
      by: "bob",
      reason: "looked in the console",
      ...(results && { results }),
    });
    const resolved = (choice: string) => ({ choice, by: "bob", reason: "looked in the console" });

    it("stands in the history as unknown, and is no process's to end any more", () => {
      const { log, op, id } = begun();
      log.add([{ type: "op.parked", operationId: op, because: "nothing proves it" }]);
      expect(log.state.operations.get(op)).toMatchObject({ state: "parked", parkedAt: START });
      expect(log.state.changes.get(id)).toMatchObject({ state: "unknown", because: "nothing proves it" });
      expect(log.state.resources.get(rid)).toMatchObject({
        drift: { status: "UNKNOWN" },
        lineage: [{ outcome: "unknown" }],
      });
      expect(code(log.add([succeeded(op)]))).toBe("token_spent");
      expect(code(log.add([{ type: "op.takeover", operationId: op, owner: owner("session-2", 7) }]))).toBe(
        "token_spent",
      );
    });

    it("is imported: what was read is its outcome, and who decided so stands beside it", () => {
      const { log, op, id } = begun();
      log.add([{ type: "op.parked", operationId: op, because: "nothing proves it" }]);
      const imported = decide("import", op, [result({ state: "running" }, { state: "stopped" })]);
      expect(code(log.add([imported], owner("session-2", 7)))).toBe("accepted");
      expect(log.state.changes.get(id)?.state).toBe("applied");
      expect(log.state.operations.get(op)).toMatchObject({ state: "succeeded", resolved: resolved("import") });
      expect(log.state.resources.get(rid)).toMatchObject({
        properties: { state: "stopped" },
        lineage: [{ outcome: "succeeded", resolved: resolved("import") }],
      });
      expect(code(log.add([imported]))).toBe("token_spent");
    });

    it.each(["clear", "retry"] as const)(
      "is closed by %s: not carried out, the resource free, no doubt left",
      (choice) => {
        const { log, op, id } = begun();
        log.add([{ type: "op.parked", operationId: op, because: "nothing proves it" }]);
        log.add([decide(choice, op)], owner("session-2", 7));
        expect(log.state.operations.get(op)).toMatchObject({ state: "failed", resolved: resolved(choice) });
        expect(log.state.changes.get(id)).toMatchObject({ state: "failed" });
        expect(log.state.changes.get(id)?.because).toContain("by bob: looked in the console");
        expect(claims(log.state).size).toBe(0);
        expect(log.state.resources.get(rid)).toMatchObject({
          properties: { state: "running" },
          drift: { status: "NOT_CHECKED" },
          lineage: [{ outcome: "failed", resolved: resolved(choice) }],
        });
      },
    );

    it("or unknown can be decided, and nothing that is still under way", () => {
      const { log, op } = begun();
      expect(code(log.add([decide("clear", op)]))).toBe("resource_busy");
      log.add([{ type: "op.unknown", operationId: op, error, because: "lost" }]);
      expect(code(log.add([decide("clear", op)]))).toBe("accepted");
    });
  });
});

describe("a takeover with its proof", () => {
  const one = owner();
  const two = owner("session-2", 7);
  const far = { ...two, host: "host-2", bootId: "boot-2" };
  const rebooted = { ...two, bootId: "boot-9" };
  const LEASE = 60_000;

  /** An operation whose owner heartbeats. */
  function held() {
    const log = chain();
    const made = plan(1);
    log.add([made.event]);
    log.add([{ ...intent(2, made.id, made.token), leaseMs: LEASE }]);
    return { log, op: operationId(2) };
  }
  const takeover = (more: Partial<Extract<Event, { type: "op.takeover" }>> = {}): Event => ({
    type: "op.takeover",
    operationId: operationId(2),
    owner: two,
    from: one,
    supersedes: 2,
    proof: { kind: "process_gone" },
    leaseMs: LEASE,
    ...more,
  });
  const still = (stillMs: number) => ({ kind: "heartbeat_still", stillMs }) as const;

  it("is accepted, and from then on the old owner's commits are refused", () => {
    const { log, op } = held();
    expect(code(log.add([takeover()], two))).toBe("accepted");
    expect(log.state.operations.get(op)).toMatchObject({ owner: two, epoch: 3, leaseMs: LEASE });
    const zombie: Event[] = [
      { type: "op.submitted", operationId: op, requestToken: "r" },
      succeeded(op),
      { type: "op.failed", operationId: op, error, nothingWasChanged: true },
      { type: "op.unknown", operationId: op, error, because: "lost" },
      { type: "op.parked", operationId: op, because: "?" },
    ];
    for (const event of zombie) {
      const refusal = log.add([event], one);
      expect(refusal, event.type).toMatchObject({ code: "resource_busy", details: { operationId: op, owner: two } });
    }
    expect(code(log.add([succeeded(op)], two))).toBe("accepted");
  });

  it("is one process's: the second that found the same owner gone is refused", () => {
    const { log } = held();
    const three = owner("session-3", 8);
    expect(code(log.add([takeover()], two))).toBe("accepted");
    expect(code(log.add([takeover({ owner: three })], three))).toBe("resource_busy");
    // Named rightly, under the number by which it got the operation: accepted.
    expect(code(log.add([takeover({ owner: three, from: two })], three))).toBe("resource_busy");
    expect(code(log.add([takeover({ owner: three, from: two, supersedes: 3 })], three))).toBe("accepted");
  });

  it.each<[string, Partial<Extract<Event, { type: "op.takeover" }>>, ReturnType<typeof owner>]>([
    ["names nobody", { from: undefined }, two],
    ["is from oneself", { owner: one }, one],
    ["is for somebody else", {}, far],
    ["calls a process of another host gone", { owner: far }, far],
    ["calls a process of another boot gone", { owner: rebooted }, rebooted],
    ["calls the same boot another one", { proof: { kind: "other_boot" } }, two],
    ["calls another host another boot", { owner: far, proof: { kind: "other_boot" } }, far],
    ["did not wait for a lease and a half", { owner: far, proof: still(1.5 * LEASE - 1) }, far],
  ])("that %s is refused", (_, more, by) => {
    const { log, op } = held();
    expect(code(log.add([takeover(more)], by))).toBe("internal");
    expect(log.state.operations.get(op)?.owner).toEqual(one);
  });

  it("may rest on a heartbeat that stood still, from any host, or on another boot of this one", () => {
    expect(code(held().log.add([takeover({ owner: far, proof: still(1.5 * LEASE) })], far))).toBe("accepted");
    expect(code(held().log.add([takeover({ owner: rebooted, proof: { kind: "other_boot" } })], rebooted))).toBe(
      "accepted",
    );
  });

  it("never rests on the heartbeat of a process that gives none", () => {
    const { log } = begun();
    expect(code(log.add([takeover({ owner: far, proof: still(1_000 * LEASE) })], far))).toBe("internal");
  });

  it("of a store from before is read as it was", () => {
    const { log, op } = held();
    expect(code(log.add([{ type: "op.takeover", operationId: op, owner: two }]))).toBe("accepted");
    expect(log.state.operations.get(op)).not.toHaveProperty("leaseMs");
    expect(log.state.operations.get(op)).not.toHaveProperty("epoch");
  });
});

describe("a change of several steps", () => {
  it("goes step by step to its end", () => {
    const { log, id, token, op } = begun([step(), step()]);
    expect(code(log.add([intent(3, id, token, 1)]))).toBe("internal");
    log.add([succeeded(op)]);
    expect(log.state.changes.get(id)?.state).toBe("applying");
    expect(code(log.add([intent(4, id, token, 2)]))).toBe("internal");
    log.add([intent(4, id, token, 1)]);
    log.add([succeeded(operationId(4))]);
    expect(log.state.changes.get(id)?.state).toBe("applied");
    expect(code(log.add([intent(6, id, token, 1)]))).toBe("internal");
  });

  it("that was left between two steps is named as such, and not before", () => {
    const { log, id, token, op } = begun([step(), step()]);
    const interrupted: Event = { type: "change.interrupted", changeId: id, because: "the rest was never sent" };
    expect(code(log.add([interrupted]))).toBe("internal");
    log.add([succeeded(op)]);
    expect(code(log.add([interrupted]))).toBe("accepted");
    expect(log.state.changes.get(id)).toMatchObject({ state: "failed", because: "the rest was never sent" });
    expect(claims(log.state).size).toBe(0);
    expect(code(log.add([intent(5, id, token, 1)]))).toBe("internal");
  });

  it("is left by its own process, or by one that is proved gone, and not once it went on", () => {
    const other = owner("session-2", 7);
    const left = (more: Partial<Extract<Event, { type: "change.interrupted" }>> = {}): Event => {
      const proved = { operationId: operationId(2), owner: other, from: owner(), supersedes: 2 };
      return { type: "change.interrupted", changeId: "ch_1", because: "left", ...proved, ...more };
    };
    const gone = { kind: "process_gone" } as const;
    const between = () => {
      const made = begun([step(), step(), step()]);
      made.log.add([succeeded(made.op)]);
      return made;
    };
    const { log, id, token } = between();
    expect(code(log.add([left()], other)), "no proof").toBe("internal");
    expect(code(log.add([left({ proof: gone, from: other })], other)), "of somebody else").toBe("resource_busy");
    expect(code(log.add([left({ proof: { kind: "other_boot" } })], other)), "the same boot").toBe("internal");
    expect(code(log.add([left({ proof: gone })], owner("session-3", 8))), "for somebody else").toBe("internal");
    expect(code(between().log.add([left({ proof: gone })], other))).toBe("accepted");
    expect(code(between().log.add([left()], owner())), "its own process").toBe("accepted");
    log.add([intent(4, id, token, 1)]);
    log.add([succeeded(operationId(4))]);
    expect(code(log.add([left({ proof: gone })], other)), "it went on").toBe("resource_busy");
    expect(log.state.changes.get(id)?.state).toBe("applying");
  });
});

describe("resources and drift", () => {
  const imported = (id: string, more: Partial<Extract<Event, { type: "resource.imported" }>> = {}): Event => ({
    type: "resource.imported",
    ref: ref(id),
    reader: "service",
    properties: { state: "running" },
    provenance: "read from AWS",
    ...more,
  });

  it("get an alias once, longer only where it is taken", () => {
    const log = chain();
    log.add([imported("a"), imported("a", { ref: { ...ref("a"), region: "us-east-1" } })]);
    log.add([imported("a", { ref: { ...ref("a"), region: "us-east-1", account: "2" } })]);
    log.add([imported("b", { alias: "web" }), imported("c", { alias: "web" })]);
    expect([...log.state.resources.values()].map(({ alias }) => alias)).toEqual([
      "a",
      "a@us-east-1",
      "a@2/us-east-1/AWS::EC2::Instance",
      "web",
      "c",
    ]);
  });

  it("are imported once, and again after their deletion", () => {
    const log = chain();
    log.add([imported("i-1")]);
    expect(code(log.add([imported("i-1")]))).toBe("already_exists");
    log.add([{ type: "drift.accepted", rid, properties: null, by: "bob", because: "it was retired" }]);
    expect(log.state.resources.get(rid)).toMatchObject({ deleted: true, properties: null });
    expect(code(log.add([imported("i-1")]))).toBe("accepted");
    expect(log.state.resources.get(rid)?.lineage.map(({ operation }) => operation)).toEqual([
      "import",
      "accept",
      "import",
    ]);
  });

  it("an observation changes the drift field and nothing else", () => {
    const log = chain();
    log.add([imported("i-1")]);
    const before = log.state.resources.get(rid)!;
    log.add([{ type: "drift.observed", rid, status: "DELETED", severity: "CRITICAL", details: { why: "gone" } }]);
    expect(log.state.resources.get(rid)).toEqual({
      ...before,
      drift: { status: "DELETED", severity: "CRITICAL", details: { why: "gone" }, lastChecked: START },
    });
    expect(
      code(log.add([{ type: "drift.observed", rid: "x", status: "IN_SYNC", severity: null, details: null }])),
    ).toBe("no_history");
  });

  it("an accepted drift is the new baseline", () => {
    const log = chain();
    log.add([imported("i-1")]);
    log.add([{ type: "drift.accepted", rid, properties: { state: "stopped" }, by: "bob", because: "fine" }]);
    expect(log.state.resources.get(rid)).toMatchObject({
      properties: { state: "stopped" },
      drift: { status: "IN_SYNC" },
      lineage: [
        { operation: "import" },
        { operation: "accept", before: { state: "running" }, after: { state: "stopped" }, user: "bob" },
      ],
    });
  });

  it("an ignore rule is kept, one a path", () => {
    const log = chain();
    log.add([imported("i-1")]);
    const rule = { type: "drift.ignored", rid, path: "/tags/*", reason: "autoscaling", by: "bob" } as const;
    log.add([rule]);
    log.add([{ ...rule, reason: "cost tool", until: "2027-01-01T00:00:00Z" }]);
    expect(log.state.resources.get(rid)?.ignores).toEqual([
      { path: "/tags/*", reason: "cost tool", by: "bob", since: START, until: "2027-01-01T00:00:00Z" },
    ]);
  });

  it("what is forgotten is gone from the state and its alias is free", () => {
    const log = chain();
    log.add([imported("i-1")]);
    log.add([{ type: "resource.forgotten", rid, by: "bob", because: "not ours" }]);
    expect(log.state.resources.size).toBe(0);
    log.add([imported("i-1")]);
    expect(log.state.resources.get(rid)?.alias).toBe("i-1");
  });

  it("rules of a security group stay declared for as long as the group has them", () => {
    const group = { ...ref("sg-1", "AWS::EC2::SecurityGroup") };
    const rule = (port: number) => ({
      direction: "ingress",
      protocol: "tcp",
      fromPort: port,
      toPort: port,
      peer: "10.0.0.0/8",
    });
    const content = (...ports: number[]): JsonObject => ({
      rules: ports.map((port) => ({ ruleId: `sgr-${port}`, ...rule(port) })),
    });
    const log = chain();
    const change = (before: JsonObject, after: JsonObject, desired?: JsonObject) => {
      const made = plan(log.next, [step({ ref: group, kind: "update", before, after, ...(desired && { desired }) })]);
      log.add([made.event]);
      log.add([intent(log.next, made.id, made.token)]);
      log.add([succeeded(operationId(log.state.seq), [result(before, after, group)])]);
    };
    const declared = () =>
      (log.state.resources.get(ridOf(group))?.desired.rules as { ruleId: string }[] | undefined)?.map(
        ({ ruleId }) => ruleId,
      );
    change(content(22), content(22, 80), { rules: [rule(80)] });
    expect(declared()).toEqual(["sgr-80"]);
    change(content(22, 80), content(22, 80, 443), { rules: [rule(443)] });
    expect(declared()).toEqual(["sgr-80", "sgr-443"]);
    change(content(22, 80, 443), content(22, 443));
    expect(declared()).toEqual(["sgr-443"]);
  });
});

describe("several events in one commit", () => {
  it("take effect together or not at all", () => {
    const { log, op } = begun();
    const before = log.state;
    expect(code(log.add([succeeded(op), succeeded(op)]))).toBe("token_spent");
    expect(log.state).toBe(before);
    expect(before.operations.get(op)?.state).toBe("open");
  });
});

// ── laws ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Any history: each number chooses what is tried next; what the fold refuses does not happen. */
function history(choices: readonly number[]) {
  const log = chain();
  const planned: { id: string; token: string; steps: number }[] = [];
  const ops: { id: string; change: number; index: number }[] = [];
  for (const choice of choices) {
    const some = choice % 5;
    const target = ref(`i-${some}`);
    const change = planned[choice % Math.max(1, planned.length)];
    const op = ops[choice % Math.max(1, ops.length)];
    const tries: Record<number, () => Event[] | null> = {
      0: () => {
        const steps = Array.from({ length: 1 + (choice % 3) }, (_, index) =>
          step({
            ref: index === 1 ? ref("", "AWS::S3::Bucket") : target,
            kind: index === 1 ? "create" : "update",
            before: index === 1 ? null : { v: some },
            desired: { v: choice },
          }),
        );
        const made = plan(log.next, steps);
        planned.push({ id: made.id, token: made.token, steps: steps.length });
        return [made.event];
      },
      1: () => {
        if (!change) return null;
        ops.push({ id: operationId(log.next), change: planned.indexOf(change), index: 0 });
        return [intent(log.next, change.id, change.token)];
      },
      2: () =>
        op
          ? [
              {
                type: "op.succeeded",
                operationId: op.id,
                results: [result({ v: some }, choice % 7 ? { v: choice } : null, target)],
              },
            ]
          : null,
      3: () => (op ? [{ type: "op.failed", operationId: op.id, error, nothingWasChanged: choice % 2 === 0 }] : null),
      4: () => (op ? [{ type: "op.unknown", operationId: op.id, error, because: "lost" }] : null),
      5: () => {
        const last = op && planned[op.change];
        if (!op || !last) return null;
        ops.push({ id: operationId(log.next), change: op.change, index: op.index + 1 });
        return [intent(log.next, last.id, last.token, op.index + 1)];
      },
      6: () => [
        { type: "resource.imported", ref: target, reader: "service", properties: { v: choice }, provenance: "read" },
      ],
      7: () => [
        { type: "drift.observed", rid: ridOf(target), status: "MODIFIED", severity: "LOW", details: { at: choice } },
      ],
      8: () => [{ type: "drift.accepted", rid: ridOf(target), properties: { v: -choice }, by: "bob", because: "fine" }],
      9: () => (change ? [{ type: "change.cancelled", changeId: change.id, by: "bob" }] : null),
      10: () => (op ? [{ type: "op.parked", operationId: op.id, because: "?" }] : null),
      11: () =>
        op
          ? [
              {
                type: "op.resolved",
                operationId: op.id,
                choice: (["import", "clear", "retry"] as const)[choice % 3]!,
                by: "bob",
              },
            ]
          : null,
      12: () => [{ type: "resource.forgotten", rid: ridOf(target), by: "bob", because: "x" }],
      13: () => (change ? [{ type: "change.interrupted", changeId: change.id, because: "left" }] : null),
      14: () =>
        change ? [{ type: "change.rated", changeId: change.id, risk: { level: "critical", because: ["x"] } }] : null,
    };
    const events = tries[choice % 15]!();
    if (events) log.add(events);
  }
  return log;
}

const anyHistory = fc.array(fc.nat({ max: 10_000 }), { maxLength: 80 }).map(history);
const shown = (state: Parameters<typeof checkpointDocument>[0]) => canonicalJson(checkpointDocument(state, "test"));

describe("for any history", () => {
  it("folding it again from nothing gives the same state", () => {
    fc.assert(
      fc.property(anyHistory, (log) => {
        const again = log.commits.reduce(
          (state, commit) => {
            const next = fold(state, commit);
            if (next instanceof OpsError) throw next;
            return next;
          },
          emptyState("store-1", START, "0".repeat(64)),
        );
        expect(shown(again)).toBe(shown(log.state));
      }),
      { numRuns: 150 },
    );
  });

  it("a checkpoint gives the state back, exactly, and the history goes on from it as if nothing had been", () => {
    fc.assert(
      fc.property(anyHistory, fc.nat(), (log, cut) => {
        const at = log.commits.length === 0 ? 0 : cut % log.commits.length;
        const upTo = (from: Parameters<typeof fold>[0], commits: typeof log.commits) =>
          commits.reduce((state, commit) => fold(state, commit) as typeof state, from);
        const early = upTo(emptyState("store-1", START, "0".repeat(64)), log.commits.slice(0, at));
        const text = checkpointText(checkpointDocument(early, "test"));
        const read = readCheckpoint(new TextEncoder().encode(text));
        if (read.kind !== "checkpoint") throw new Error(read.kind);
        expect(plain(read.state)).toEqual(plain(early));
        expect(checkpointText(checkpointDocument(read.state, "test"))).toBe(text);
        expect(shown(upTo(read.state, log.commits.slice(at)))).toBe(shown(log.state));
      }),
      { numRuns: 150 },
    );
  });

  it("a state somebody holds never changes under them", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 10_000 }), { minLength: 5, maxLength: 60 }), (choices) => {
        const early = history(choices.slice(0, choices.length / 2));
        const held = early.state;
        const before = shown(held);
        const size = held.resources.size;
        for (const id of ["i-0", "i-1", "i-9"]) {
          early.add([
            { type: "resource.imported", ref: ref(id), reader: "service", properties: {}, provenance: "later" },
          ]);
          early.add([{ type: "resource.forgotten", rid: ridOf(ref(id)), by: "x", because: "y" }]);
        }
        expect(held.resources.size).toBe(size);
        expect(shown(held)).toBe(before);
      }),
      { numRuns: 60 },
    );
  });

  it("no resource is held by two changes, every claim is of an open change, aliases are unique", () => {
    fc.assert(
      fc.property(anyHistory, ({ state }) => {
        const open = [...state.changes.values()].filter((one) => one.state === "applying" || one.state === "unknown");
        const held = open.flatMap((one) => [
          ...new Set(one.steps.filter((each) => each.ref.id).map((each) => ridOf(each.ref))),
        ]);
        expect(new Set(held).size).toBe(held.length);
        expect(new Set(claims(state).keys())).toEqual(new Set(held));
        const aliases = [...state.resources.values()].map(({ alias }) => alias);
        expect(new Set(aliases).size).toBe(aliases.length);
        const pending = [...state.operations.values()].filter((one) => !one.settledAt);
        expect(pending.every((one) => open.some((change) => change.id === one.changeId))).toBe(true);
      }),
      { numRuns: 150 },
    );
  });
});

const plain = (state: object): unknown =>
  Object.fromEntries(
    Object.entries(state).map(([key, value]) => [
      key,
      value && typeof value === "object" ? Object.fromEntries([...(value as Map<string, unknown>)].sort()) : value,
    ]),
  );

describe("the versioned map", () => {
  it("is a map, in every version", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(..."abcdefghij"), fc.option(fc.nat())), { maxLength: 200 }),
        (writes) => {
          let map: ReadonlyMap<string, number> = new Map();
          const model = new Map<string, number>();
          const versions: [ReadonlyMap<string, number>, string][] = [];
          for (const [key, value] of writes) {
            map = withKey(map, key, value ?? undefined);
            if (value === null) model.delete(key);
            else model.set(key, value);
            versions.push([map, JSON.stringify([...model].sort())]);
            expect(map.size).toBe(model.size);
            expect(map.get(key)).toBe(model.get(key));
            expect(map.has(key)).toBe(model.has(key));
          }
          for (const [version, text] of versions) {
            expect(JSON.stringify([...version].sort())).toBe(text);
            expect([...version.keys()].length).toBe(version.size);
            let seen = 0;
            version.forEach(() => {
              seen++;
            });
            expect(seen).toBe(version.size);
          }
        },
      ),
    );
  });

  it("keeps older versions through many merges", () => {
    let map: ReadonlyMap<string, number> = new Map();
    for (let index = 0; index < 20_000; index++) map = withKey(map, `key-${index}`, index);
    const held = map;
    for (let index = 0; index < 5_000; index++) map = withKey(map, `key-${index}`, -index);
    expect([held.size, held.get("key-4999"), map.get("key-4999")]).toEqual([20_000, 4999, -4999]);
  });
});
