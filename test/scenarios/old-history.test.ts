// A store that grew large answers for its past as a small one does: from the archive, where the state no longer holds it.

import { expect, it } from "vitest";
import type { Store } from "../../state/journal.js";
import { inMemory } from "../in-memory.js";

const GROUP = "sg-0bb00000000000001";

it("history, a rollback, a change and a spent token are found in the archive", async () => {
  let store: Store | undefined;
  const session = await inMemory({
    args: ["--allow-writes", "--approve-from", "never"],
    limits: { inlineBytes: 1, recentMs: 0 },
    wrapStore: (opened) => {
      store = opened;
      return opened;
    },
  });
  const made: { token: string; id: string }[] = [];
  for (const port of [8443, 8444, 8445]) {
    const rule = { fromPort: port, peer: "10.0.0.0/8" };
    const planned = await session.call("securityGroups_addRule", { groupId: GROUP, rule, intent: `port ${port}` });
    const applied = await session.call("changes_apply", { executionToken: planned.executionToken });
    expect(applied).toMatchObject({ outcome: "applied" });
    made.push({ token: planned.executionToken, id: applied.changeId });
  }
  const asked = async () => ({
    history: await session.call("state_history", { identifier: GROUP }),
    short: await session.call("state_history", { identifier: GROUP, limit: 1 }),
    change: await session.call("changes_get", { changeId: made[0]!.id }),
    again: await session.call("changes_apply", { executionToken: made[0]!.token }),
    list: await session.call("changes_list", { limit: 1 }),
  });
  const before = await asked();
  expect(before.history).toMatchObject({ entries: 3, lineage: [{ intent: "port 8443" }, {}, {}] });
  expect(before.again).toMatchObject({ outcome: "applied", repeated: { code: "token_spent" } });

  await store!.compact();
  await store!.compact();
  await store!.checkpoint();
  const state = await store!.state();
  expect(state.spilled).toMatchObject({ changes: 3 });
  expect(state.changes.has(made[0]!.id)).toBe(false);
  expect([...state.resources.values()].map(({ lineage }) => lineage.length)).toEqual([1]);

  const after = await asked();
  expect(after.history.lineage).toEqual(before.history.lineage);
  expect(after.short).toMatchObject({ entries: 3, notShown: 2 });
  expect(after.change.change).toMatchObject({
    changeId: made[0]!.id,
    state: "applied",
    operations: [{ state: "succeeded" }],
  });
  expect(after.change.change).toEqual(before.change.change);
  expect(after.again.resources).toEqual(before.again.resources);
  expect(after.list.notShown).toBe(before.list.notShown + 1);
  const cancelled = await session.call("changes_cancel", { changeId: made[0]!.id });
  expect(cancelled).toMatchObject({ isError: true, code: "unsupported" });

  await session.call("securityGroups_get", { groupId: GROUP });
  const seen = await session.call("securityGroups_get", { groupId: GROUP });
  const way = await session.call("state_rollback", {
    identifier: GROUP,
    to: made[0]!.token,
    basedOn: seen.revision,
    intent: "back",
  });
  expect(way.isError).toBeUndefined();
  expect(await session.call("changes_apply", { executionToken: way.executionToken })).toMatchObject({
    outcome: "applied",
  });
  const rolled = await session.call("securityGroups_get", { groupId: GROUP });
  const ports = JSON.stringify(rolled);
  expect([ports.includes("8443"), ports.includes("8444"), ports.includes("8445")]).toEqual([true, false, false]);
  await session.close();
});

it("a plan that nobody applied is left to the archive a day after its time, and answers as it did", async () => {
  let store: Store | undefined;
  const session = await inMemory({
    args: ["--allow-writes", "--approve-from", "never"],
    limits: { inlineBytes: 1 },
    wrapStore: (opened) => {
      store = opened;
      return opened;
    },
  });
  const rule = { fromPort: 8443, peer: "10.0.0.0/8" };
  const plan = () => session.call("securityGroups_addRule", { groupId: GROUP, rule, intent: "perhaps" });
  const { executionToken, change } = await plan();
  const { changeId } = change;
  session.pass(16 * 60_000);
  const asked = async () => ({
    applied: await session.call("changes_apply", { executionToken }),
    looked: await session.call("changes_get", { changeId }),
    cancelled: await session.call("changes_cancel", { changeId }),
  });
  const before = await asked();
  expect(before.applied).toMatchObject({ code: "token_expired", nothingWasChanged: true });
  expect(before.looked.change.state).toBe("expired");
  expect(before.cancelled.change.state).toBe("expired");
  // What both checkpoints cover goes into the archive.
  for (let round = 0; round < 2; round++) {
    await plan();
    await store!.checkpoint();
  }
  await store!.compact();
  session.pass(24 * 3_600_000);
  await plan();
  await store!.checkpoint();
  expect((await store!.state()).changes.has(changeId)).toBe(false);
  const after = await asked();
  expect(after.applied).toMatchObject({ code: "token_expired", message: before.applied.message });
  expect(after.looked.change).toEqual(before.looked.change);
  expect(after.cancelled.change).toEqual(before.cancelled.change);
  await session.close();
});
