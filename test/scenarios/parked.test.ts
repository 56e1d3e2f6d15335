// What nothing proves is parked: shown with every answer about it, held until somebody decides, and decided once.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.js";
import type { Aws, AwsReader } from "../../src/core/ports.js";
import { type InMemory, inMemory } from "../in-memory.js";

const BUCKET = "AWS::S3::Bucket";
const LOGS = { type: BUCKET, identifier: "sandbox-logs" };
const TWO = "i-0aa00000000000004";
const APPROVAL_MS = 16 * 60_000;

/** AWS whose writes lose their answer, before or after they arrive, for as long as it is told so. */
function losing() {
  const now = { lose: null as "before" | "after" | null, deny: false };
  const sent: string[] = [];
  const lost = () => new OpsError("outcome_unknown", "the answer was lost");
  const denied = async () => {
    throw new OpsError("access_denied", "not for you");
  };
  const wrap = (aws: Aws): Aws => ({
    ...aws,
    async reader(region) {
      const reader = await aws.reader(region);
      const content: AwsReader["content"] = (ref, name) => (now.deny ? denied() : reader.content(ref, name));
      return { ...reader, content };
    },
    writer: (region) => {
      const writer = aws.writer(region);
      return {
        ...writer,
        async send(step, op, signal) {
          sent.push(step.operation);
          if (now.lose === "before") throw lost();
          const answer = await writer.send(step, op, signal);
          if (now.lose === "after") throw lost();
          return answer;
        },
      };
    },
  });
  return { now, sent, wrap };
}

let aws: ReturnType<typeof losing>;
let session: InMemory;
beforeEach(async () => {
  aws = losing();
  session = await inMemory({ wrap: aws.wrap });
});
afterEach(() => session.close());

const bucket = (change: (content: Record<string, unknown>) => void, name = LOGS.identifier) =>
  session.edit((region) => change(region.resources[BUCKET]![name] as Record<string, unknown>));

/** A plan whose call gets lost on the way, and whose approval runs out. */
async function lost(plan: () => ReturnType<InMemory["call"]>, meanwhile: () => unknown = () => {}) {
  const planned = await plan();
  expect(planned.planned, JSON.stringify(planned)).toBe(true);
  aws.now.lose ??= "before";
  const answer = await session.call("changes_apply", { executionToken: planned.executionToken });
  expect(answer).toMatchObject({ isError: true, code: "outcome_unknown" });
  await meanwhile();
  session.pass(APPROVAL_MS);
  await session.call("session_whoami");
  aws.now.lose = null;
  return { changeId: planned.change!.changeId as string, operationId: answer.operationId as string };
}

const update = async () =>
  session.call("resources_update", {
    ...LOGS,
    properties: { Tags: [{ Key: "team", Value: "api" }] },
    intent: "name the owner",
    basedOn: (await session.call("resources_get", LOGS)).revision,
  });
/** An update that got lost, and somebody else's change of the same property since. */
const contested = () =>
  lost(update, () =>
    bucket((content) => {
      content.Tags = [{ Key: "team", Value: "web" }];
    }),
  );
const create = () =>
  session.call("resources_create", { type: BUCKET, properties: { Note: "new" }, intent: "a bucket" });
const resolve = (args: Record<string, unknown>) =>
  session.call("tools_run", { tool: "changes_resolve", arguments: { reason: "looked in the console", ...args } });
const history = async () => (await session.call("state_history", { identifier: LOGS.identifier })).lineage;

describe("an operation that nothing proves when its approval runs out", () => {
  it("is parked, and shown by every answer about its resource, refusals and plans of others too", async () => {
    const { changeId, operationId } = await contested();
    const { account, region } = await session.call("session_whoami");
    const parked = [
      {
        operationId,
        changeId,
        rid: `${account}/${region}/${BUCKET}/sandbox-logs`,
        what: "Update AWS::S3::Bucket sandbox-logs",
        choices: ["import", "clear", "retry"],
        decideWith: { tool: "changes_resolve", arguments: { changeId } },
      },
    ];
    const about: [string, Record<string, unknown>][] = [
      ["session_whoami", {}],
      ["changes_list", {}],
      ["changes_get", { changeId }],
      ["resources_get", LOGS],
      ["resources_list", { type: BUCKET }],
      ["state_history", { identifier: LOGS.identifier }],
      ["state_drift", {}],
      ["resources_delete", { ...LOGS, intent: "clean up" }],
    ];
    for (const [tool, args] of about) {
      const answer = await session.call(tool, args);
      expect(answer.parked, `${tool} ${JSON.stringify(answer)}`).toMatchObject(parked);
      expect(Date.parse(answer.parked[0].since)).toBeGreaterThan(0);
      expect(answer.parked[0].because).toContain("does not tell what the call did");
    }
    expect(await update()).toMatchObject({ code: "resource_busy", parked });
    for (const [tool, args] of [
      ["instances_list", {}],
      ["instances_get", { instanceId: TWO }],
      ["regions_list", {}],
    ] as const) {
      expect((await session.call(tool, args)).parked, tool).toBeUndefined();
    }
    expect(aws.sent).toHaveLength(2);
  });

  it("stops no tool that has no place of its own: those look at the record it lies in", async () => {
    const { changeId } = await contested();
    for (const [tool, args] of [
      ["state_verify", {}],
      ["state_save", { name: "now" }],
      ["state_load", { name: "now" }],
      ["state_export", {}],
      ["operations_list", {}],
      ["audit_query", {}],
      ["session_seen", {}],
    ] as const) {
      const answer = await session.call("tools_run", { tool, arguments: args });
      expect(answer.code, `${tool} ${JSON.stringify(answer)}`).not.toBe("internal");
    }
    const exported = await session.call("state_export");
    expect(exported.parked, "what its document names is told").toMatchObject([{ changeId }]);
  });

  it("is not parked where live shows that it was not carried out, nor where it shows that it was", async () => {
    const none = await lost(update);
    expect((await session.call("changes_get", { changeId: none.changeId })).change).toMatchObject({ state: "failed" });
    expect((await session.call("session_whoami")).parked).toBeUndefined();
    const done = await lost(update, () =>
      bucket((content) => {
        content.Tags = [{ Key: "team", Value: "api" }];
      }),
    );
    expect((await session.call("changes_get", { changeId: done.changeId })).change).toMatchObject({ state: "applied" });
  });

  it("is looked for again while AWS cannot say, and parked once AWS will not", async () => {
    let fails: "throttled" | "access_denied" | null = null;
    await session.close();
    session = await inMemory({
      wrap: (real) => {
        const wrapped = aws.wrap(real);
        return {
          ...wrapped,
          async reader(region) {
            const reader = await wrapped.reader(region);
            const content: AwsReader["content"] = async (ref, name) => {
              if (fails) throw new OpsError(fails, "no");
              return reader.content(ref, name);
            };
            return { ...reader, content };
          },
        };
      },
    });
    const { changeId } = await lost(update, () => {
      fails = "throttled";
    });
    const state = async () => (await session.call("changes_get", { changeId })).change.operations[0].state;
    expect(await state()).toBe("unknown");
    fails = "access_denied";
    session.pass(11_000);
    expect(await state()).toBe("parked");
    expect((await session.call("session_whoami")).parked[0].because).toContain("access_denied");
    // A decision that needs a look is refused with what AWS says; one that rests on the reason alone is possible.
    expect(await resolve({ changeId, choice: "import" })).toMatchObject({ code: "access_denied" });
    const cleared = await resolve({ changeId, choice: "clear" });
    expect(cleared, JSON.stringify(cleared)).toMatchObject({ ok: true });
    expect(cleared.notes[0]).toContain("rests on the reason alone");
  });

  it("of a create without a known id is shown with its type, and holds nothing else", async () => {
    const { changeId } = await lost(create);
    for (const [tool, args] of [
      ["resources_list", { type: BUCKET }],
      ["resources_get", LOGS],
      ["resources_schema", { type: BUCKET }],
    ] as const) {
      expect((await session.call(tool, args)).parked, tool).toMatchObject([{ changeId }]);
    }
    expect((await session.call("instances_list", {})).parked).toBeUndefined();
    expect((await session.call("resources_list", { type: "AWS::SQS::Queue" })).parked).toBeUndefined();
    expect(await update()).toMatchObject({ planned: true });
  });
});

describe("a decision", () => {
  it("import takes what live shows for the outcome, in the lineage, with who and why", async () => {
    const { changeId } = await contested();
    const answer = await resolve({ changeId, choice: "import" });
    expect(answer, JSON.stringify(answer)).toMatchObject({
      ok: true,
      change: { state: "applied", operations: [{ state: "succeeded", resolved: { choice: "import" } }] },
      resources: [{ id: "sandbox-logs", properties: { Tags: [{ Key: "team", Value: "web" }] } }],
    });
    expect(answer.notes[0]).toContain("not all that was planned");
    expect((await history())[0]).toMatchObject({
      outcome: "succeeded",
      changeId,
      resolved: { choice: "import", reason: "looked in the console" },
    });
    expect((await session.call("session_whoami")).parked).toBeUndefined();
    // The revision it answered can be built upon.
    const next = await session.call("resources_update", {
      ...LOGS,
      properties: { Note: "x" },
      intent: "go on",
      basedOn: answer.resources[0].revision,
    });
    expect(next.planned, JSON.stringify(next)).toBe(true);
  });

  it("clear closes it as not carried out and frees the resource; what live plainly shows is not cleared", async () => {
    const { changeId, operationId } = await contested();
    await bucket((content) => {
      content.Tags = [{ Key: "team", Value: "api" }];
    });
    const refused = await resolve({ changeId, choice: "clear" });
    expect(refused).toMatchObject({ isError: true, code: "validation_error", field: "choice" });
    expect(refused.message).toContain("choose import");
    await bucket((content) => {
      content.Tags = [];
    });
    const cleared = await resolve({ operationId, choice: "clear" });
    expect(cleared, JSON.stringify(cleared)).toMatchObject({ ok: true, change: { state: "failed" } });
    expect(cleared.change.because).toContain("looked in the console");
    expect((await history())[0]).toMatchObject({ outcome: "failed" });
    expect((await update()).planned).toBe(true);
    expect(aws.sent).toHaveLength(2);
  });

  it("retry sends nothing: it closes, and answers the calls that plan it anew under another token", async () => {
    const { changeId } = await contested();
    const answer = await resolve({ changeId, choice: "retry" });
    expect(answer.next, JSON.stringify(answer)).toMatchObject([
      { tool: "resources_get", arguments: LOGS },
      { tool: "resources_update", arguments: { ...LOGS, properties: { Tags: [{ Key: "team", Value: "api" }] } } },
    ]);
    expect(aws.sent).toHaveLength(2);
    const seen = await session.call(answer.next[0].tool, answer.next[0].arguments);
    const again = await session.call(answer.next[1].tool, { ...answer.next[1].arguments, basedOn: seen.revision });
    expect(again.planned, JSON.stringify(again)).toBe(true);
    expect(again.change.changeId).not.toBe(changeId);
    expect((await session.call("changes_apply", { executionToken: again.executionToken })).outcome).toBe("applied");
  });

  it("retry of a secret asks for it again, because it was not kept", async () => {
    const { changeId } = await lost(
      async () =>
        session.call("resources_update", {
          ...LOGS,
          properties: { AdminPassword: "hunter2-hunter2", Note: "n" },
          intent: "rotate",
          basedOn: (await session.call("resources_get", LOGS)).revision,
        }),
      () =>
        bucket((content) => {
          content.Note = "theirs";
          content.AdminPassword = "other";
        }),
    );
    const answer = await resolve({ changeId, choice: "retry" });
    expect(answer.giveAgain, JSON.stringify(answer)).toEqual(["/properties/AdminPassword"]);
    expect(answer.next[1].arguments.properties).toEqual({ Note: "n" });
    expect(JSON.stringify(answer)).not.toContain("hunter2");
  });

  it("on a create names what it made, and only that", async () => {
    const { changeId } = await lost(create);
    expect(await resolve({ changeId, choice: "import" })).toMatchObject({
      code: "validation_error",
      field: "identifier",
      next: [{ tool: "resources_list" }],
    });
    expect(await resolve({ changeId, choice: "import", identifier: "no-such-bucket" })).toMatchObject({
      code: "not_found",
    });
    await bucket((content) => {
      content.Note = "somebody's";
    });
    const other = await resolve({ changeId, choice: "import", identifier: "sandbox-logs" });
    expect(other).toMatchObject({ code: "validation_error", field: "identifier", differs: ["/Note"] });
    await session.edit((region) => {
      region.resources[BUCKET]!["made-7"] = { BucketName: "made-7", Note: "new" };
    });
    const answer = await resolve({ changeId, choice: "import", identifier: "made-7" });
    expect(answer, JSON.stringify(answer)).toMatchObject({ ok: true, change: { state: "applied" } });
    const lineage = (await session.call("state_history", { identifier: "made-7" })).lineage;
    expect(lineage).toMatchObject([{ operation: "create", outcome: "succeeded" }]);
    // What one operation made, another one did not.
    const second = await lost(create);
    const taken = await resolve({ changeId: second.changeId, choice: "import", identifier: "made-7" });
    expect(taken).toMatchObject({ code: "already_exists", field: "identifier" });
  });

  it("is made once, on what is parked, from the place of the change", async () => {
    const { changeId, operationId } = await contested();
    expect(await resolve({ changeId })).toMatchObject({ code: "validation_error", field: "choice" });
    expect(await resolve({ choice: "clear" })).toMatchObject({ code: "validation_error", field: "changeId" });
    expect(await resolve({ changeId: "ch_zz", choice: "clear" })).toMatchObject({ code: "unknown_change" });
    expect(await resolve({ operationId: "op_zz", choice: "clear" })).toMatchObject({ code: "unknown_change" });
    expect(await resolve({ changeId, choice: "clear", identifier: "x" })).toMatchObject({ field: "identifier" });
    expect(await resolve({ changeId, choice: "clear", region: "eu-west-1" })).toMatchObject({
      code: "identity_mismatch",
      field: "region",
    });
    expect(await resolve({ changeId, choice: "clear", reason: "" })).toMatchObject({ field: "reason" });
    expect((await resolve({ changeId, choice: "clear" })).ok).toBe(true);
    for (const named of [{ changeId }, { operationId }]) {
      expect(await resolve({ ...named, choice: "import" })).toMatchObject({ code: "nothing_to_change" });
    }
    const planned = await update();
    aws.now.lose = "before";
    await session.call("changes_apply", { executionToken: planned.executionToken });
    expect(await resolve({ changeId: planned.change.changeId, choice: "clear" })).toMatchObject({
      code: "resource_busy",
      state: "unknown",
    });
  });
});
