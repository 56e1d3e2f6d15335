// What a plan rests on may become production after it: then it is rated anew, and nobody's yes to less counts.

import { afterEach, describe, expect, it } from "vitest";
import type { ApprovalForm, ApprovalReply } from "../../src/core/call.js";
import type { Store } from "../../state/journal.js";
import { type InMemory, inMemory } from "../in-memory.js";

const INSTANCE = "i-0aa00000000000003";
const GROUP = "sg-0bb00000000000001";

let session: InMemory;
let store: Store;
afterEach(() => session.close());

const start = async (from: string) => {
  session = await inMemory({ args: ["--approve-from", from], wrapStore: (one) => (store = one) });
  // The account is there once it was looked at.
  await session.call("instances_get", { instanceId: INSTANCE });
  await tagged("staging");
};

async function planStop() {
  const { revision, instance } = await session.call("instances_get", { instanceId: INSTANCE });
  expect(instance.state).toBe("running");
  const planned = await session.call("instances_stop", {
    instanceIds: [INSTANCE],
    basedOn: [revision],
    intent: "idle",
  });
  expect(planned.change?.risk.level, JSON.stringify(planned)).toBe("medium");
  return planned;
}
type Planned = Awaited<ReturnType<typeof planStop>>;

const tagged = (environment: string) =>
  session.edit((region) => {
    region.instances[INSTANCE]!.tags = { environment };
  });
const becomesProduction = () => tagged("production");
const apply = ({ executionToken }: Planned) => session.call("changes_apply", { executionToken });
const riskOf = async ({ change }: Planned) =>
  (await session.call("changes_get", { changeId: change.changeId })).change.risk;

/** A yes in a terminal, which shows the change as it is recorded. */
async function approveInTerminal({ change: { changeId } }: Planned) {
  const change = (await store.state()).changes.get(changeId)!;
  const { planDigest, risk, expiresAt: validUntil } = change;
  await store.commit(() => [
    { type: "change.approved", changeId, planDigest, risk: risk.level, channel: "terminal", by: "alice", validUntil },
  ]);
}

/** An apply of a client that shows forms, with what the human replied to the last one. */
async function applyWithForm({ executionToken }: Planned, at: InMemory, reply?: ApprovalReply) {
  let form: ApprovalForm | undefined;
  const { structuredContent: answer } = await at.app.call(
    "changes_apply",
    { executionToken },
    { client: "test", progress() {}, askHuman: (one) => (form = one), ...(reply && { reply }) },
  );
  return { answer, form };
}
const yes = ({ changeId, planDigest, risk, phrase }: ApprovalForm): ApprovalReply => ({
  ...{ changeId, planDigest, risk },
  action: "accept",
  typed: phrase,
});

describe("a plan whose resource became production", () => {
  it("needs the human whom its risk now asks for, is shown as it is rated now, and is asked about once", async () => {
    await start("high");
    const planned = await planStop();
    await becomesProduction();
    const refused = await apply(planned);
    expect(refused, JSON.stringify(refused)).toMatchObject({
      code: "approval_required",
      nothingWasChanged: true,
      risk: { level: "high", because: expect.arrayContaining(["it is tagged as production"]) },
    });
    expect(await riskOf(planned)).toMatchObject({ level: "high" });
    const commits = (await store.state()).seq;
    expect((await apply(planned)).code).toBe("approval_required");
    expect((await store.state()).seq, "a rating is recorded once").toBe(commits);
    expect((await session.call("instances_get", { instanceId: INSTANCE })).instance.state).toBe("running");
    await approveInTerminal(planned);
    expect(await apply(planned)).toMatchObject({ outcome: "applied" });
  });

  it("is asked about again where a human approved it as less", async () => {
    await start("medium");
    const planned = await planStop();
    await approveInTerminal(planned);
    await becomesProduction();
    expect(await apply(planned)).toMatchObject({ code: "approval_required", risk: { level: "high" } });
    await approveInTerminal(planned);
    expect(await apply(planned)).toMatchObject({ outcome: "applied" });
  });

  it("is not asked about where no threshold is reached, and says what moved", async () => {
    await start("critical");
    const planned = await planStop();
    await becomesProduction();
    const applied = await apply(planned);
    expect(applied, JSON.stringify(applied)).toMatchObject({ outcome: "applied" });
    expect(applied.notes.join()).toContain("tags changed");
  });

  it("is shown in a new form: what was typed into the one before is no yes to this", async () => {
    await start("medium");
    const planned = await planStop();
    const first = await applyWithForm(planned, session);
    expect(first.form?.message).toContain("risk medium");
    await becomesProduction();
    const late = await applyWithForm(planned, session, yes(first.form!));
    expect(late.answer).toMatchObject({ code: "approval_required", risk: { level: "high" } });
    const again = await applyWithForm(planned, session);
    expect(again.form?.message).toMatch(/risk high:.*production/);
    const stale = await applyWithForm(planned, session, yes(first.form!));
    expect(stale.answer).toMatchObject({ code: "approval_required" });
    const done = await applyWithForm(planned, session, yes(again.form!));
    expect(done.answer, JSON.stringify(done.answer)).toMatchObject({ outcome: "applied" });
  });
});

it("a yes in a form covers the rules of a group as they were shown, also where this server alone asks for it", async () => {
  session = await inMemory({ args: ["--risk-rules", "low=* AWS::EC2::SecurityGroup"] });
  const rule = { fromPort: 8443, peer: "10.0.0.0/8" };
  const planned = await session.call("securityGroups_addRule", { groupId: GROUP, rule, intent: "admin port" });
  expect(planned.change.risk.level).toBe("low");
  const strict = await session.beside({ args: ["--approve-from", "high"], owner: { pid: 2, session: "strict" } });
  const { form } = await applyWithForm(planned, strict);
  await session.outsider.allow(GROUP, 22, "192.0.2.0/24");
  const { answer } = await applyWithForm(planned, strict, yes(form!));
  expect(answer, JSON.stringify(answer)).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
  await strict.close();
});
