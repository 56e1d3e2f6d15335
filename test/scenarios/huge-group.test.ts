// A group with more rules than one answer holds: what a page showed is what a change may take away, and every answer stays small.

import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { afterEach, describe, expect, it } from "vitest";
import { type InMemory, inMemory } from "../in-memory.js";

const GROUP = "sg-0bb00000000000001";
const RULES = 1_200;
/** What one default answer may cost a model. */
const MOST_TOKENS = 5_000;
const intent = "tidy up";

const open: InMemory[] = [];
afterEach(async () => {
  for (const session of open.splice(0)) await session.close();
});

async function huge(): Promise<InMemory> {
  const session = await inMemory({ args: ["--revalidate", "off"] });
  open.push(session);
  await session.call("regions_list");
  await session.edit((region) => {
    for (let index = 0; index < RULES; index++) {
      const id = `sgr-1${String(index).padStart(16, "0")}`;
      const peer = `10.${index >> 8}.${index & 255}.0/24`;
      region.rules[id] = {
        ...{ id, groupId: GROUP, egress: false, protocol: "tcp", fromPort: 443, toPort: 443 },
        ...{ peerKind: "CidrIpv4", peer, description: "" },
      };
    }
  });
  return session;
}

const tokens = (answer: object): number => countTokens(JSON.stringify(answer));
const liveRules = async (session: InMemory): Promise<string[]> => {
  let rules: string[] = [];
  await session.edit((region) => {
    rules = Object.values(region.rules)
      .filter(({ groupId }) => groupId === GROUP)
      .map(({ id }) => id);
  });
  return rules;
};

async function pages(session: InMemory, most = Number.POSITIVE_INFINITY) {
  const found: { ruleId: string; direction: string }[] = [];
  let cursor: string | undefined;
  let revision = "";
  let count = 0;
  do {
    const answer = await session.call("securityGroups_get", { groupId: GROUP, ...(cursor ? { cursor } : {}) });
    expect(tokens(answer)).toBeLessThanOrEqual(MOST_TOKENS);
    found.push(...answer.securityGroup.rules);
    cursor = answer.nextCursor;
    revision = answer.revision;
    count++;
  } while (cursor && count < most);
  return { found, revision, count };
}

describe("a group of 1,200 rules", () => {
  it("is read whole by the page, in order, each answer within its budget", async () => {
    const session = await huge();
    const { found, count } = await pages(session);
    const ids = found.map(({ ruleId }) => ruleId);
    expect(ids).toEqual([...new Set(ids)].sort());
    expect(ids).toHaveLength((await liveRules(session)).length);
    expect(count).toBeGreaterThan(5);
    const listed = await session.call("securityGroups_list", {});
    expect(tokens(listed)).toBeLessThanOrEqual(MOST_TOKENS);
    expect(listed.securityGroups[0]).toMatchObject({ ruleCount: ids.length });
  });

  it("loses only rules that the page showed, in plan and in apply, and nobody else's", async () => {
    const session = await huge();
    const before = await liveRules(session);
    const { found, revision } = await pages(session, 1);
    await session.outsider.allow(GROUP, 22, "10.0.0.0/8");
    const planned = await session.call("securityGroups_update", {
      groupId: GROUP,
      rules: [],
      basedOn: revision,
      intent,
    });
    expect(planned.isError, JSON.stringify(planned)).toBeUndefined();
    expect(tokens(planned.change.facts) - tokens(planned.change.facts.removes)).toBeLessThanOrEqual(1_000);
    expect(planned.change.facts.keeps).toHaveLength(20);
    const applied = await session.call("changes_apply", { executionToken: planned.executionToken });
    expect(applied).toMatchObject({ outcome: "applied" });
    expect(tokens(applied)).toBeLessThanOrEqual(MOST_TOKENS);
    const shown = new Set(found.filter(({ direction }) => direction === "ingress").map(({ ruleId }) => ruleId));
    const left = await liveRules(session);
    expect(before.filter((id) => !shown.has(id)).every((id) => left.includes(id))).toBe(true);
    expect(left).toHaveLength(before.length - shown.size + 1);
  });

  it("is refused where a rule that was shown has changed, and not where one has that was not", async () => {
    const session = await huge();
    const { found, revision } = await pages(session, 1);
    const update = () =>
      session.call("securityGroups_update", { groupId: GROUP, rules: [], basedOn: revision, intent });
    await session.edit((region) => {
      region.rules["sgr-10000000000001199"]!.toPort = 8443;
    });
    expect((await update()).planned).toBe(true);
    await session.edit((region) => {
      region.rules[found[5]!.ruleId]!.toPort = 8443;
    });
    const refused = await update();
    expect(refused).toMatchObject({ code: "stale_revision", field: "basedOn" });
    expect(tokens(refused)).toBeLessThanOrEqual(MOST_TOKENS);
    // The refusal shows what differs, and proves no more than that.
    const again = await session.call("securityGroups_update", {
      groupId: GROUP,
      rules: [],
      basedOn: refused.now.revision,
      intent,
    });
    expect(again.planned, JSON.stringify(again)).toBe(true);
    expect(again.change.facts.removes.length).toBeLessThanOrEqual(found.length);
  });

  it("counts as seen whole once every page was shown", async () => {
    const session = await huge();
    const { revision } = await pages(session);
    await session.outsider.allow(GROUP, 22, "10.0.0.0/8");
    const refused = await session.call("securityGroups_update", {
      groupId: GROUP,
      rules: [],
      basedOn: revision,
      intent,
    });
    expect(refused).toMatchObject({ code: "stale_revision" });
    expect(refused.message).toContain("tcp/22 from 10.0.0.0/8");
  });

  it("asks for a look at the rules where only a list was shown", async () => {
    const session = await huge();
    const listed = await session.call("securityGroups_list", {});
    const basedOn = listed.securityGroups.find((row: { groupId: string }) => row.groupId === GROUP).revision;
    const refused = await session.call("securityGroups_update", { groupId: GROUP, rules: [], basedOn, intent });
    expect(refused).toMatchObject({ code: "precondition_required", field: "basedOn" });
  });
});
