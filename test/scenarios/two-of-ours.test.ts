// Two plans of ours on one resource, in two processes: the one that comes second must not rest on a look from before the first.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { journalKey, type StateDriver } from "../../state/driver.js";
import { type InMemory, inMemory } from "../in-memory.js";

const GROUP = "sg-0bb00000000000001";
const intent = "as the user asked";
const NEAR = { owner: { pid: 2, session: "beside" }, liveness: () => "alive" as const };

/** A store whose next commit arrives late: others go first in `meanwhile`. */
function late() {
  const next: { meanwhile: (() => Promise<void>) | null } = { meanwhile: null };
  const wrapDriver = (driver: StateDriver): StateDriver => ({
    ...driver,
    async putIfAbsent(key, bytes) {
      const { meanwhile } = next;
      if (meanwhile && key.startsWith(journalKey(1).slice(0, 8))) {
        next.meanwhile = null;
        await meanwhile();
      }
      return driver.putIfAbsent(key, bytes);
    },
  });
  return { next, wrapDriver };
}

let first: InMemory;
let second: InMemory;
let commits: ReturnType<typeof late>;

beforeEach(async () => {
  commits = late();
  first = await inMemory();
  second = await first.beside({ ...NEAR, wrapDriver: commits.wrapDriver });
});
afterEach(async () => {
  await first.close();
  await second.close();
});

const ports = async (): Promise<number[]> => {
  const { securityGroup } = await first.call("securityGroups_get", { groupId: GROUP });
  return securityGroup.rules
    .filter(({ direction }: { direction: string }) => direction === "ingress")
    .map(({ fromPort }: { fromPort: number }) => fromPort)
    .sort();
};

/** Both planned, then the first one applied from beginning to end while the second one's intent is on its way. */
async function both(
  plan: (at: InMemory, which: number) => Promise<{ executionToken: string }>,
  // biome-ignore lint/suspicious/noExplicitAny: answers are read as a client reads them
): Promise<readonly any[]> {
  const [one, other] = [await plan(first, 0), await plan(second, 1)];
  expect(one.executionToken, JSON.stringify(one)).toBeDefined();
  expect(other.executionToken, JSON.stringify(other)).toBeDefined();
  let applied: unknown;
  commits.next.meanwhile = async () => {
    applied = await first.call("changes_apply", { executionToken: one.executionToken });
  };
  const late = await second.call("changes_apply", { executionToken: other.executionToken });
  return [applied, late];
}

describe("two plans of one revision whose intents come one after the other's outcome", () => {
  it("are applied once where they overlap: the second is refused with what the first left", async () => {
    const seen: string[] = [];
    const [one, other] = await both(async (at, which) => {
      const { revision } = await at.call("securityGroups_get", { groupId: GROUP });
      seen.push(revision);
      const rules = [{ fromPort: [8443, 9443][which]!, peer: "10.0.0.0/8" }];
      return at.call("securityGroups_update", { groupId: GROUP, rules, basedOn: revision, intent });
    });
    expect(seen[0]).toBe(seen[1]);
    expect(one, JSON.stringify(one)).toMatchObject({ outcome: "applied" });
    expect(other, JSON.stringify(other)).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
    expect(await ports()).toEqual([8443]);
  });

  it("are both applied where they do not touch each other, and nothing is lost", async () => {
    const before = await ports();
    const [one, other] = await both((at, which) =>
      at.call("securityGroups_addRule", {
        groupId: GROUP,
        rule: { fromPort: [8443, 9443][which]!, peer: "10.0.0.0/8" },
        intent,
      }),
    );
    expect(one, JSON.stringify(one)).toMatchObject({ outcome: "applied" });
    expect(other, JSON.stringify(other)).toMatchObject({ outcome: "applied" });
    expect(other.notes.join(" "), "what the first did is named").toContain("tcp/8443");
    expect(await ports()).toEqual([...before, 8443, 9443].sort());
    const { lineage } = await first.call("state_history", { identifier: GROUP });
    expect(lineage.at(-1).before, "the second rests on what the first left").toEqual(lineage.at(-2).after);
  });

  it("are refused without end where somebody of ours is always first, with the token unspent", async () => {
    const rule = { fromPort: 9443, peer: "10.0.0.0/8" };
    const planned = await second.call("securityGroups_addRule", { groupId: GROUP, rule, intent });
    let port = 9000;
    const again = async () => {
      const one = await first.call("securityGroups_addRule", {
        groupId: GROUP,
        rule: { fromPort: port++, peer: "10.0.0.0/8" },
        intent,
      });
      commits.next.meanwhile = port < 9010 ? again : null;
      await first.call("changes_apply", { executionToken: one.executionToken });
    };
    commits.next.meanwhile = again;
    const apply = () => second.call("changes_apply", { executionToken: planned.executionToken });
    const refused = await apply();
    expect(refused, JSON.stringify(refused)).toMatchObject({ code: "resource_busy", nothingWasChanged: true });
    commits.next.meanwhile = null;
    expect((await apply()).outcome).toBe("applied");
  });
});
