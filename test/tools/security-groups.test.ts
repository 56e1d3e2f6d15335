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
