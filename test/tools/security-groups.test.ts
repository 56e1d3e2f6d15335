// Rules as AWS stores them, in process: a rule that is written otherwise is the same rule.

import { afterEach, describe, expect, it } from "vitest";
import { type InMemory, inMemory } from "../in-memory.js";

const intent = "as the user asked";
let session: InMemory;
afterEach(() => session.close());

async function group(): Promise<string> {
  session = await inMemory({ args: ["--toolsets", "all"] });
  const { securityGroups } = await session.call("securityGroups_list");
  return securityGroups[0].groupId;
}

const add = (groupId: string, rule: object) => session.call("securityGroups_addRule", { groupId, rule, intent });
const apply = ({ executionToken }: { executionToken: string }) => session.call("changes_apply", { executionToken });

describe("a rule", () => {
  it.each([
    [
      { fromPort: 5432, peer: "10.20.30.40/16" },
      { fromPort: 5432, peer: "10.20.0.0/16" },
    ],
    [
      { protocol: "6", fromPort: 22, peer: "2001:DB8:0:0::1/32" },
      { fromPort: 22, peer: "2001:db8::/32" },
    ],
    [
      { protocol: "icmp", peer: "10.0.0.0/8" },
      { protocol: "icmp", fromPort: -1, toPort: -1, peer: "10.0.0.0/8" },
    ],
    [
      { protocol: "50", fromPort: 1, peer: "10.0.0.0/8" },
      { protocol: "50", peer: "10.0.0.0/8" },
    ],
  ])("%j is the rule %j", async (given, stored) => {
    const groupId = await group();
    const applied = await apply(await add(groupId, given));
    expect(applied).toMatchObject({ outcome: "applied" });
    expect(applied.notes ?? []).toEqual([]);
    expect(await add(groupId, stored)).toMatchObject({ code: "rule_exists" });
    expect(await add(groupId, given)).toMatchObject({ code: "rule_exists" });
  });

  it("names the account of a group only where it is another one", async () => {
    const groupId = await group();
    const applied = await apply(await add(groupId, { fromPort: 80, peer: `000000000000/${groupId}` }));
    expect(applied).toMatchObject({ outcome: "applied" });
    expect(applied.notes ?? []).toEqual([]);
    expect(await add(groupId, { fromPort: 80, peer: groupId })).toMatchObject({ code: "rule_exists" });
    expect(await add(groupId, { fromPort: 80, peer: "0000/sg-1" })).toMatchObject({
      code: "validation_error",
      field: "rule.peer",
      message: expect.stringContaining("123456789012/sg-"),
    });
  });

  it("for pings lets every code of the type through, and says type and code", async () => {
    const groupId = await group();
    const planned = await add(groupId, { protocol: "icmp", fromPort: 8, peer: "10.0.0.0/8" });
    expect(planned.change.summary).toBe(`Add icmp/type 8 from 10.0.0.0/8 to ${groupId}`);
    await apply(planned);
    const { securityGroup } = await session.call("securityGroups_get", { groupId, peer: "10.9.9.9/8" });
    expect(securityGroup.rules).toMatchObject([{ protocol: "icmp", fromPort: 8, toPort: -1, peer: "10.0.0.0/8" }]);
  });
});

describe("removing a rule", () => {
  const read = (groupId: string, more = {}) => session.call("securityGroups_get", { groupId, ...more });
  const remove = (groupId: string, ruleId: string, basedOn?: string) =>
    session.call("securityGroups_removeRule", { groupId, ruleId, intent, ...(basedOn && { basedOn }) });
  /** A group whose rule of port 8443 an assistant has read. */
  async function story() {
    const groupId = await group();
    await apply(await add(groupId, { fromPort: 8443, peer: "0.0.0.0/0" }));
    const { revision, securityGroup } = await read(groupId);
    const ruleOf = (port: number) =>
      securityGroup.rules.find(({ fromPort }: { fromPort?: number }) => fromPort === port).ruleId as string;
    const ruleId = ruleOf(8443);
    const live = async (): Promise<string[]> =>
      (await read(groupId)).securityGroup.rules.map((one: { ruleId: string }) => one.ruleId);
    /** A colleague makes something else of a rule: its id stays. */
    const modify = (id = ruleId) =>
      session.edit(({ rules }) => Object.assign(rules[id]!, { fromPort: 22, toPort: 22, peer: "10.7.0.0/16" }));
    return { groupId, revision, ruleId, ruleOf, live, modify };
  }

  it("needs a revision of the group", async () => {
    const { groupId, ruleId } = await story();
    expect(await remove(groupId, ruleId)).toMatchObject({ code: "precondition_required", field: "basedOn" });
  });

  it("is refused where the id means another rule by now, before the plan and after it, and is planned from what it is", async () => {
    const { groupId, revision, ruleId, live, modify } = await story();
    const planned = await remove(groupId, ruleId, revision);
    expect(planned.isError, JSON.stringify(planned)).toBeUndefined();
    await modify();
    for (const refused of [await apply(planned), await remove(groupId, ruleId, revision)]) {
      expect(refused, JSON.stringify(refused)).toMatchObject({ isError: true, code: "stale_revision" });
      expect(refused.changed).toContainEqual(
        expect.objectContaining({ path: `/rules/${ruleId}/peer`, youSaw: "0.0.0.0/0", now: "10.7.0.0/16" }),
      );
      expect(await live()).toContain(ruleId);
    }
    const { now } = await remove(groupId, ruleId, revision);
    const again = await remove(groupId, ruleId, now.revision);
    expect(again.change?.summary, JSON.stringify(again)).toContain("10.7.0.0/16");
    expect(await apply(again)).toMatchObject({ outcome: "applied" });
    expect(await live()).not.toContain(ruleId);
  });

  it("is not disturbed by what else somebody changed in the group", async () => {
    const { groupId, revision, ruleId, ruleOf, live, modify } = await story();
    await session.outsider.allow(groupId, 9000, "10.2.0.0/16");
    await modify(ruleOf(443));
    const planned = await remove(groupId, ruleId, revision);
    expect(planned.isError, JSON.stringify(planned)).toBeUndefined();
    await session.outsider.allow(groupId, 9001, "10.2.0.0/16");
    const before = await live();
    expect(await apply(planned)).toMatchObject({ outcome: "applied" });
    expect(await live()).toEqual(before.filter((id) => id !== ruleId));
  });

  it("that no answer has shown is refused as not seen: by a list, a page, a filter, or made since", async () => {
    const { groupId, revision, ruleId, ruleOf, modify } = await story();
    const elsewhere = await session.beside({ owner: { session: "another", pid: 2 } });
    const unseen = async (basedOn: string) => {
      const answer = await elsewhere.call("securityGroups_removeRule", { groupId, ruleId, intent, basedOn });
      expect(answer, JSON.stringify(answer)).toMatchObject({ code: "precondition_required", field: "basedOn" });
      expect(answer.message).toContain(`/rules/${ruleId}`);
    };
    // Another content, so that no revision of before tells anything of it.
    await modify(ruleOf(443));
    const listed = await elsewhere.call("securityGroups_list", { groupIds: [groupId] });
    await unseen(listed.securityGroups[0].revision);
    const filtered = await elsewhere.call("securityGroups_get", { groupId, port: 22 });
    expect(filtered.securityGroup.rules.map((one: { ruleId: string }) => one.ruleId)).not.toContain(ruleId);
    await unseen(filtered.revision);
    const shown = await elsewhere.call("securityGroups_get", { groupId, port: 8443 });
    const planned = await elsewhere.call("securityGroups_removeRule", {
      ...{ groupId, ruleId, intent },
      basedOn: shown.revision,
    });
    expect(planned.isError, JSON.stringify(planned)).toBeUndefined();
    await elsewhere.close();
    await session.outsider.allow(groupId, 9000, "10.2.0.0/16");
    const made = (await read(groupId, { port: 9000 })).securityGroup.rules[0].ruleId;
    const refused = await remove(groupId, made, revision);
    expect(refused).toMatchObject({ code: "stale_revision", message: expect.stringContaining("9000") });
  });
});

describe("a name or a tag with a star in it", () => {
  it("is asked for as it is", async () => {
    const groupId = await group();
    const { securityGroup } = await session.call("securityGroups_get", { groupId });
    const make = (groupName: string, tags = {}) =>
      session.call("securityGroups_create", {
        groupName,
        description: "web",
        vpcId: securityGroup.vpcId,
        tags,
        intent,
      });
    await apply(await make("webapp", { stage: "prod" }));
    const planned = await make("web*", { stage: "p*" });
    expect(planned, JSON.stringify(planned)).toHaveProperty("executionToken");
    await apply(planned);
    const named = async (value: string) =>
      (await session.call("securityGroups_list", { tags: { stage: value } })).securityGroups.map(
        ({ groupName }: { groupName: string }) => groupName,
      );
    expect(await named("p*")).toEqual(["web*"]);
    expect(await named("prod")).toEqual(["webapp"]);
    const instances = await session.call("instances_list", { tags: { Name: "*" } });
    expect(instances).toMatchObject({ count: 0, instances: [] });
    expect(await session.call("instances_list", { tags: { Name: "api" }, name: "w*" })).toMatchObject({
      code: "validation_error",
      field: "name",
    });
  });
});
