// An added rule stands beside other people's work: what does not concern its traffic is no reason to refuse it.

import { afterEach, describe, expect, it } from "vitest";
import type { Store } from "../../state/journal.js";
import { type InMemory, inMemory } from "../in-memory.js";

const GROUP = "sg-0bb00000000000001";
const rule = { protocol: "tcp", fromPort: 8000, toPort: 9000, peer: "10.0.0.0/8" };

let session: InMemory;
afterEach(() => session.close());

const plan = () => session.call("securityGroups_addRule", { groupId: GROUP, rule, intent: "admin ports" });
const apply = (planned: { executionToken: string }) =>
  session.call("changes_apply", { executionToken: planned.executionToken });
const ports = async (): Promise<number[]> => {
  const { securityGroup } = await session.call("securityGroups_get", { groupId: GROUP });
  return securityGroup.rules
    .filter((one: { direction: string }) => one.direction === "ingress")
    .map((one: { fromPort: number }) => one.fromPort)
    .sort((a: number, b: number) => a - b);
};

describe("a rule that is added while others change the group", () => {
  it("is applied beside a rule of other traffic, and the answer names that rule", async () => {
    session = await inMemory();
    const planned = await plan();
    await session.outsider.allow(GROUP, 22, "10.0.0.0/8");
    await session.outsider.allow(GROUP, 8080, "10.1.0.0/16");
    const applied = await apply(planned);
    expect(applied.outcome, JSON.stringify(applied)).toBe("applied");
    expect(applied.notes.join()).toContain("rule tcp/22 from 10.0.0.0/8 was added");
    expect(applied.notes.join()).toContain("rule tcp/8080 from 10.1.0.0/16 was added");
    expect(await ports()).toEqual([22, 443, 8000, 8080]);
  });

  it("is applied after another rule was removed or edited, and both are named", async () => {
    session = await inMemory();
    await session.outsider.allow(GROUP, 22, "10.0.0.0/8");
    const planned = await plan();
    await session.edit(({ rules }) => {
      delete rules["sgr-0aa00000000000001"];
      const ssh = Object.values(rules).find(({ groupId, fromPort }) => groupId === GROUP && fromPort === 22)!;
      ssh.description = "edited";
    });
    const applied = await apply(planned);
    expect(applied.outcome, JSON.stringify(applied)).toBe("applied");
    expect(applied.notes.join()).toContain("rule tcp/443 from 0.0.0.0/0 was removed");
    expect(applied.notes.join()).toContain("rules changed");
    expect(await ports()).toEqual([22, 8000]);
  });

  it("that was refused once is refused for the second time, whatever succeeded elsewhere between", async () => {
    session = await inMemory();
    const [refused, other] = [await plan(), "sg-0bb00000000000002"];
    await session.outsider.allow(GROUP, 8443, "10.0.0.0/8");
    expect((await apply(refused)).message).not.toContain("second refusal");
    const beside = await session.call("securityGroups_addRule", { groupId: other, rule, intent: "admin ports" });
    expect(await apply(beside)).toMatchObject({ outcome: "applied" });
    const again = await plan();
    await session.outsider.allow(GROUP, 8444, "10.0.0.0/8");
    expect((await apply(again)).message).toContain("second refusal");
    expect(await apply(await plan())).toMatchObject({ outcome: "applied" });
    const fresh = await session.call("securityGroups_addRule", {
      ...{ groupId: GROUP, intent: "admin ports" },
      rule: { ...rule, peer: "10.0.0.0/9" },
    });
    await session.outsider.allow(GROUP, 8445, "10.0.0.0/9");
    expect((await apply(fresh)).message).not.toContain("second refusal");
  });

  const refusals: [string, (s: InMemory) => Promise<void>][] = [
    ["of the same traffic was added", (s) => s.outsider.allow(GROUP, 8443, "10.0.0.0/8")],
    [
      "of all protocols was added for the same peer",
      async (s) => {
        await s.outsider.allow(GROUP, 1, "10.0.0.0/8");
        await s.edit(({ rules }) => {
          const added = Object.values(rules).find(({ fromPort }) => fromPort === 1)!;
          Object.assign(added, { protocol: "-1", fromPort: -1, toPort: -1 });
        });
      },
    ],
    [
      "was edited to cover the same traffic",
      (s) =>
        s.edit(({ rules }) => {
          const https = rules["sgr-0aa00000000000001"]!;
          Object.assign(https, { fromPort: 1, toPort: 65_535, peer: "10.0.0.0/8" });
        }),
    ],
    [
      "stays, and the group was renamed by its tag",
      (s) =>
        s.edit(({ groups }) => {
          groups[GROUP]!.tags.Name = "another";
        }),
    ],
    [
      "stays, and the group is no longer production, which the risk rested on",
      (s) =>
        s.edit(({ groups }) => {
          delete groups[GROUP]!.tags.environment;
        }),
    ],
    [
      "is gone with its group",
      (s) =>
        s.edit(({ groups }) => {
          delete groups[GROUP];
        }),
    ],
  ];
  it.each(refusals)("is refused when a rule %s", async (_what, outside) => {
    session = await inMemory();
    const planned = await plan();
    await outside(session);
    const refused = await apply(planned);
    expect(refused, JSON.stringify(refused)).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
    expect(refused.changed.length + (refused.now.exists === false ? 1 : 0)).toBeGreaterThan(0);
  });

  it("is applied when a tag changed that the plan did not show", async () => {
    session = await inMemory();
    const planned = await plan();
    await session.edit(({ groups }) => {
      groups[GROUP]!.tags.note = "seen by nobody";
    });
    const applied = await apply(planned);
    expect(applied.outcome, JSON.stringify(applied)).toBe("applied");
    expect(applied.notes.join()).toContain("tags changed");
  });

  it("asks again after any change of the group's rules where a human has to approve", async () => {
    let store!: Store;
    session = await inMemory({ args: ["--approve-from", "low"], wrapStore: (one) => (store = one) });
    const planned = await plan();
    const change = (await store.state()).changes.get(planned.change.changeId)!;
    await store.commit(() => [
      {
        type: "change.approved",
        changeId: change.id,
        planDigest: change.planDigest,
        channel: "terminal",
        by: "alice",
        validUntil: change.expiresAt,
      },
    ]);
    await session.outsider.allow(GROUP, 22, "192.0.2.0/24");
    const refused = await apply(planned);
    expect(refused, JSON.stringify(refused)).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
    expect(refused.message).toContain("tcp/22 from 192.0.2.0/24");
  });
});
