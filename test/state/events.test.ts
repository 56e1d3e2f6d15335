// The one border between the code and the disk: every event survives it, and what is not known in full does not pass it.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type {
  Approval,
  Change,
  ChangeStep,
  LineageEntry,
  OperationError,
  Owner,
  ResourceRef,
} from "../../src/core/change.js";
import { type JsonObject, sha256 } from "../../src/core/json.js";
import {
  type Commit,
  decodeCommit,
  type ErrorShape,
  type Event,
  type EventOf,
  type EventType,
  encodeCommit,
  fromDisk,
  type LineageShape,
  type OwnerShape,
  type PlannedChange,
  type StepShape,
  toDisk,
} from "../../state/events.js";
import { changeId, clientToken, mintToken, operationId, parseToken, tokenSha256 } from "../../state/tokens.js";
import { ids, intent, owner, plan, ref, result, START, step } from "./helpers.js";

// A field that core gains or loses has to be gained or lost on disk too: these lines stop compiling until it is.
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
type Of<S extends { _output: unknown }> = keyof S["_output"];
const tied: true[] = [
  true satisfies Same<
    keyof PlannedChange,
    Exclude<keyof Change, "state" | "token" | "because" | "approval" | "operationIds">
  >,
  true satisfies Same<Of<typeof StepShape>, keyof ChangeStep>,
  true satisfies Same<Of<typeof OwnerShape>, keyof Owner>,
  true satisfies Same<Of<typeof ErrorShape>, keyof OperationError>,
  true satisfies Same<Of<typeof LineageShape>, keyof LineageEntry>,
  true satisfies Same<keyof EventOf<"resource.imported">["ref"], keyof ResourceRef>,
  true satisfies Same<
    Exclude<keyof EventOf<"change.approved">, "type" | "changeId" | "planDigest">,
    Exclude<keyof Approval, "at">
  >,
];

const made = plan(1, [step({ desired: { camelCase: 1, snake_case: 2 } })], {
  basis: [{ ref: ref(), reader: "service", before: { aB: 1 }, touches: ["/aB"] }],
  facts: { "Odd Key": { x_y: 1, xY: 2 } },
  rolledBackTo: "xt_1",
});
const error = { code: "aws_failed", message: "no", awsCode: "Bad" };
const rid = "1/eu/T/i";
const EVERY: { [T in EventType]: EventOf<T> } = {
  "change.planned": made.event as EventOf<"change.planned">,
  "change.approved": {
    type: "change.approved",
    changeId: "ch_1",
    planDigest: sha256("x"),
    channel: "terminal",
    by: "bob",
    validUntil: START,
    risk: "high",
  },
  "change.rated": { type: "change.rated", changeId: "ch_1", risk: { level: "high", because: ["it is production"] } },
  "change.rejected": {
    type: "change.rejected",
    changeId: "ch_1",
    planDigest: sha256("x"),
    channel: "elicitation",
    by: "bob",
    because: "no",
  },
  "change.cancelled": { type: "change.cancelled", changeId: "ch_1", by: "bob", because: "no" },
  "change.interrupted": {
    type: "change.interrupted",
    changeId: "ch_1",
    because: "left",
    operationId: "op_2",
    owner: owner(),
  },
  "op.intent": intent(2, made.id, made.token),
  "op.submitted": { type: "op.submitted", operationId: "op_2", requestToken: "r", awsRequestId: "a" },
  "op.succeeded": { type: "op.succeeded", operationId: "op_2", results: [result({ aB: 1 }, { a_b: 2 })] },
  "op.failed": {
    type: "op.failed",
    operationId: "op_2",
    error,
    nothingWasChanged: false,
    results: [result(null, null)],
  },
  "op.unknown": { type: "op.unknown", operationId: "op_2", error, because: "lost" },
  "op.takeover": {
    type: "op.takeover",
    operationId: "op_2",
    owner: owner("session-2", 7),
    from: owner(),
    supersedes: 2,
    proof: { kind: "heartbeat_still", stillMs: 90_000 },
    leaseMs: 60_000,
  },
  "op.parked": { type: "op.parked", operationId: "op_2", because: "?" },
  "op.resolved": { type: "op.resolved", operationId: "op_2", choice: "import", by: "bob", reason: "seen", results: [] },
  "resource.imported": {
    type: "resource.imported",
    ref: ref(),
    reader: "service",
    alias: "web",
    properties: { aB: 1 },
    desired: { c_d: 1 },
    provenance: "x",
    createdAt: START,
    dependsOn: ["y"],
    lineage: [
      {
        seq: 0,
        executionToken: "t",
        changeId: "",
        operationId: "",
        tool: "",
        operation: "create",
        outcome: "succeeded",
        timestamp: START,
        user: "u",
        awsSession: "s",
        before: null,
        after: { xY: 1 },
        desired: { a_b: 1 },
        patch: [{ op: "add", path: "/xY", value: { fooBar: 1 } }],
        explanation: "e",
        intent: "i",
        rolledBackTo: "t0",
        error,
        policyResults: { failedChecks: 1 },
      },
    ],
  },
  "resource.forgotten": { type: "resource.forgotten", rid, by: "bob", because: "x" },
  "drift.observed": {
    type: "drift.observed",
    rid,
    status: "MODIFIED",
    severity: "LOW",
    details: { differenceCount: [1, { xY: null }] },
  },
  "drift.accepted": { type: "drift.accepted", rid, properties: null, by: "bob", because: "fine" },
  "drift.ignored": { type: "drift.ignored", rid, path: "/a", reason: "r", by: "bob", until: START },
  "state.manual_edit": {
    type: "state.manual_edit",
    by: "alice",
    resources: [{ rid, properties: { aB: 1 }, desired: { c_d: 1 }, dependsOn: ["x"] }],
  },
  "lease.acquired": {
    type: "lease.acquired",
    scope: "store",
    generation: 2,
    supersedes: 1,
    operation: "compact",
    owner: owner(),
    because: "its process is gone",
  },
  "key.rotated": { type: "key.rotated", kid: "k2", by: "alice" },
  "lease.broken": { type: "lease.broken", scope: "store", generation: 2, by: "alice", because: "stuck" },
};

const after = { store: "s", seq: 6, head: "0".repeat(64) };
const commit = (events: readonly Event[]): Omit<Commit, "hash"> => ({
  actor: { awsArn: null, client: "c", host: "h", pid: 1, session: "s", user: "u" },
  commitId: "id",
  epoch: 0,
  events,
  prev: after.head,
  seq: 7,
  store: "s",
  ts: START,
});

describe("every event", () => {
  it.each(Object.entries(EVERY))("%s comes back as it went", (_, event) => {
    const bytes = encodeCommit(commit([event]));
    const read = decodeCommit(bytes, after);
    expect(read).toEqual({ ...commit([event]), hash: sha256(bytes) });
    const { hash: _hash, ...body } = read as Commit;
    const again = encodeCommit(body);
    expect(Buffer.from(again).equals(Buffer.from(bytes))).toBe(true);
  });

  it.each(Object.entries(EVERY))("%s stands in snake_case, documents as they are", (_, event) => {
    const disk = toDisk(event) as JsonObject;
    const keys = (value: unknown, inDocument = false): string[] =>
      Array.isArray(value)
        ? value.flatMap((item) => keys(item, inDocument))
        : value && typeof value === "object"
          ? Object.entries(value).flatMap(([key, member]) => {
              const document =
                inDocument ||
                [
                  "input",
                  "before",
                  "after",
                  "desired",
                  "facts",
                  "details",
                  "properties",
                  "patch",
                  "policy_results",
                ].includes(key);
              return [...(inDocument ? [] : [key]), ...keys(member, document)];
            })
          : [];
    expect(keys(disk).filter((key) => !/^[a-z0-9]+(_[a-z0-9]+)*$/.test(key))).toEqual([]);
    expect(fromDisk(disk)).toEqual(event);
  });

  it("is tied to the types it carries", () => {
    expect(tied.every(Boolean)).toBe(true);
  });
});

describe("a commit that does not belong", () => {
  const bytes = encodeCommit(commit([EVERY["op.parked"]]));
  it.each<[string, Partial<typeof after>, string]>([
    ["another store", { store: "x" }, "another store"],
    ["another number", { seq: 7 }, "number 7 instead of 8"],
    ["another predecessor", { head: "1".repeat(64) }, "does not follow"],
  ])("to %s is told in one sentence", (_, more, why) => {
    expect(decodeCommit(bytes, { ...after, ...more })).toContain(why);
  });

  it("is not whole until its last byte", () => {
    for (let length = 0; length < bytes.length; length++)
      expect(typeof decodeCommit(bytes.slice(0, length), after)).toBe("string");
    expect(typeof decodeCommit(new Uint8Array([...bytes, 10]), after)).toBe("string");
    expect(typeof decodeCommit(bytes, after)).toBe("object");
  });

  it("never passes with a single bit changed", () => {
    fc.assert(
      fc.property(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 7 }), (at, bit) => {
        const damaged = Uint8Array.from(bytes);
        damaged[at]! ^= 1 << bit;
        expect(typeof decodeCommit(damaged, after)).toBe("string");
      }),
    );
  });
});

describe("names", () => {
  it("a token names its commit and is a secret of 128 bits", () => {
    const token = mintToken(423, ids);
    expect(token).toMatch(/^xt_br_[A-Za-z0-9_-]{22}$/);
    expect(parseToken(token)).toEqual({ seq: 423 });
    expect(mintToken(423, ids)).not.toBe(token);
    expect(tokenSha256(token)).toBe(sha256(token));
  });
  it.each([
    "",
    "xt_br",
    "xt_br_short",
    "xt_0_AAAAAAAAAAAAAAAAAAAAAA",
    "xt_BR_AAAAAAAAAAAAAAAAAAAAAA",
    " xt_br_AAAAAAAAAAAAAAAAAAAAAA",
    "xt_br_AAAAAAAAAAAAAAAAAAAAAA\n",
  ])("%j is none", (text) => {
    expect(parseToken(text)).toBeNull();
  });
  it("changes and operations are named by their commit; client tokens fit every service", () => {
    expect([changeId(423), operationId(424)]).toEqual(["ch_br", "op_bs"]);
    expect(clientToken("xt_1_a", 0)).toMatch(/^[0-9a-f]{32}$/);
    expect(clientToken("xt_1_a", 0)).not.toBe(clientToken("xt_1_a", 1));
  });
});
