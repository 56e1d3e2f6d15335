// A text that an answer cuts off has not been seen to its end: no plan takes that end away until its pages were shown.

import { afterEach, describe, expect, it } from "vitest";
import { type InMemory, inMemory } from "../in-memory.js";
import { account, type InProcessAccount } from "../interleavings/account.js";
import { ARGS } from "../interleavings/stage.js";

const PARAMETER = { type: "AWS::SSM::Parameter", identifier: "/app/config" };
const ROLE = { type: "AWS::IAM::Role", identifier: "app" };
const TAIL = "the line that somebody relies on";
const LONG = `${"a".repeat(8_500)} ${TAIL}`;
const VERY_LONG = `${"b".repeat(60_000)} ${TAIL}`;
const intent = "set it";

const open: InMemory[] = [];
afterEach(async () => {
  for (const session of open.splice(0)) await session.close();
});

async function start(): Promise<{ session: InMemory; place: InProcessAccount }> {
  const place = account({ before: () => {}, after: () => {} });
  const session = await inMemory({ args: [...ARGS, "--approve-from", "never"], wrap: () => place.aws });
  open.push(session);
  return { session, place };
}

const parameter = (Value: string) => ({ Name: PARAMETER.identifier, Type: "String", Value });

/** Every page of a resource, as far as there are any. */
async function pages(session: InMemory, of: object, most = 20) {
  let answer = await session.call("resources_get", { ...of });
  const revision = answer.revision as string;
  let count = 1;
  const texts: string[] = [];
  for (; answer.nextCursor && count < most; count++) {
    answer = await session.call("resources_get", { ...of, cursor: answer.nextCursor });
    texts.push(answer.textPart);
    expect(JSON.stringify(answer).length).toBeLessThan(20_000);
  }
  return { revision, count, texts, last: answer };
}

describe("a text that is longer than an answer shows", () => {
  it("is not changed or deleted by who saw its beginning, and is by who saw all of it", async () => {
    const { session, place } = await start();
    place.control.put(PARAMETER.type, PARAMETER.identifier, parameter(LONG));
    const first = await session.call("resources_get", PARAMETER);
    expect(JSON.stringify(first)).not.toContain(TAIL);
    const update = { ...PARAMETER, properties: { Value: "short" }, basedOn: first.revision, intent };
    for (const refused of [
      await session.call("resources_update", update),
      await session.call("resources_delete", { ...PARAMETER, basedOn: first.revision, intent }),
    ]) {
      expect(refused).toMatchObject({ code: "precondition_required", field: "basedOn", path: "/Value" });
      expect(refused.next[0]).toMatchObject({ tool: "resources_get" });
    }
    const tags = { ...update, properties: { Tags: { a: "b" } } };
    expect(await session.call("resources_update", tags), "another property").toMatchObject({ planned: true });

    const rest = await session.call("resources_get", { ...PARAMETER, cursor: first.nextCursor });
    expect(rest).toMatchObject({ revision: first.revision, textOf: { path: "/Value", characters: LONG.length } });
    expect(rest.textPart).toBe(LONG.slice(rest.textOf.from));
    expect(rest.nextCursor).toBeUndefined();
    const planned = await session.call("resources_update", update);
    expect(planned.planned, JSON.stringify(planned)).toBe(true);
    const applied = await session.call("changes_apply", { executionToken: planned.executionToken });
    expect(applied.outcome, JSON.stringify(applied)).toBe("applied");
  });

  it("comes in pages that leave nothing out, and one that was left out is missed", async () => {
    const { session, place } = await start();
    place.control.put(PARAMETER.type, PARAMETER.identifier, parameter(VERY_LONG));
    const first = await session.call("resources_get", PARAMETER);
    const second = await session.call("resources_get", { ...PARAMETER, cursor: first.nextCursor });
    const third = await session.call("resources_get", { ...PARAMETER, cursor: second.nextCursor });
    const remove = { ...PARAMETER, basedOn: first.revision, intent };
    expect(await session.call("resources_delete", remove), "not to the end").toMatchObject({
      code: "precondition_required",
    });
    const other = await inMemory({ args: ARGS, wrap: () => place.aws });
    open.push(other);
    await other.call("resources_get", PARAMETER);
    for (let { nextCursor } = third; nextCursor; ) {
      const page = await other.call("resources_get", { ...PARAMETER, cursor: nextCursor });
      nextCursor = page.nextCursor;
    }
    expect(await other.call("resources_delete", remove), "all but the second page").toMatchObject({
      code: "precondition_required",
    });
    const { texts, last, revision } = await pages(session, PARAMETER);
    expect(first.properties.Value.slice(0, 8_192) + texts.join("")).toBe(VERY_LONG);
    expect(last.nextCursor).toBeUndefined();
    expect(await session.call("resources_delete", { ...remove, basedOn: revision })).toMatchObject({ planned: true });
    expect((await session.call("resources_get", PARAMETER)).revision, "a look does not undo it").toBe(revision);
    expect(await session.call("resources_delete", { ...remove, basedOn: revision })).toMatchObject({ planned: true });
  });

  it("that changed between two pages begins anew", async () => {
    const { session, place } = await start();
    place.control.put(PARAMETER.type, PARAMETER.identifier, parameter(VERY_LONG));
    const first = await session.call("resources_get", PARAMETER);
    place.control.put(PARAMETER.type, PARAMETER.identifier, parameter(`changed ${VERY_LONG}`));
    const again = await session.call("resources_get", { ...PARAMETER, cursor: first.nextCursor });
    expect(again.textPart).toBeUndefined();
    expect(again.properties.Value).toMatch(/^changed/);
    expect(again.staleNotices).toHaveLength(1);
    const remove = { ...PARAMETER, basedOn: again.revision, intent };
    expect(await session.call("resources_delete", remove)).toMatchObject({ code: "precondition_required" });
  });

  it("is found in lists and under any name, also where AWS lists it in another order each time", async () => {
    const { session, place } = await start();
    const of = (...names: string[]) => ({
      Description: "role",
      Policies: names.map((PolicyName) => ({ PolicyName, PolicyDocument: { note: `${PolicyName}${LONG}` } })),
      Map: { description: "d".repeat(700) },
    });
    place.control.put(ROLE.type, ROLE.identifier, of("x", "y") as never);
    const { revision, texts } = await pages(session, ROLE);
    expect(texts).toHaveLength(3);
    const update = { ...ROLE, properties: { Policies: [] }, basedOn: revision, intent };
    expect(await session.call("resources_update", update)).toMatchObject({ planned: true });

    const second = await start();
    second.place.control.put(ROLE.type, ROLE.identifier, of("x", "y") as never);
    const first = await second.session.call("resources_get", ROLE);
    second.place.control.put(ROLE.type, ROLE.identifier, of("y", "x") as never);
    await second.session.call("resources_get", { ...ROLE, cursor: first.nextCursor });
    const mixed = await second.session.call("resources_update", { ...update, basedOn: first.revision });
    expect(mixed, JSON.stringify(mixed)).toMatchObject({ code: "precondition_required" });
  });

  it("is not seen in the answer of an apply or a refusal either", async () => {
    const { session, place } = await start();
    place.control.put(PARAMETER.type, PARAMETER.identifier, parameter("short"));
    const { revision } = await session.call("resources_get", PARAMETER);
    const update = { ...PARAMETER, properties: { Value: "other" }, basedOn: revision, intent };
    place.control.put(PARAMETER.type, PARAMETER.identifier, parameter(LONG));
    const refused = await session.call("resources_update", update);
    expect(refused.code).toBe("stale_revision");
    const built = await session.call("resources_update", { ...update, basedOn: refused.now.revision });
    expect(built, "on the refusal's content").toMatchObject({ code: "precondition_required" });

    const { revision: whole } = await pages(session, PARAMETER);
    const planned = await session.call("resources_update", {
      ...PARAMETER,
      properties: { Tags: { a: "b" } },
      basedOn: whole,
      intent,
    });
    const applied = await session.call("changes_apply", { executionToken: planned.executionToken });
    expect(applied.outcome, JSON.stringify(applied)).toBe("applied");
    expect(JSON.stringify(applied)).not.toContain(TAIL);
    const after = await session.call("resources_update", { ...update, basedOn: applied.resources[0].revision });
    expect(after, "on the answer of the apply").toMatchObject({ code: "precondition_required" });
  });

  it("is named by session_seen as long as its end was not shown", async () => {
    const { session, place } = await start();
    place.control.put(PARAMETER.type, PARAMETER.identifier, parameter(LONG));
    const { revision } = await session.call("resources_get", PARAMETER);
    expect(await session.call("session_seen")).toMatchObject({
      seen: [{ revision, cutOff: [{ path: "/Value", shown: 8_192 }] }],
    });
    await pages(session, PARAMETER);
    expect((await session.call("session_seen")).seen[0].cutOff).toBeUndefined();
  });
});
