// One who reads once and never again is told all the same: the server looks for itself, beside whatever is called next.

import { describe, expect, it } from "vitest";
import type { Aws } from "../../src/core/ports.js";
import { inMemory } from "../in-memory.js";

const GROUP = "sg-0bb00000000000001";

describe("an assistant that never asks again", () => {
  it("is told that api-3 is gone, beside a call about something else", async () => {
    const session = await inMemory();
    const listed = await session.call("instances_list");
    expect(listed.count).toBe(4);
    await session.outsider.terminate(["i-0aa00000000000003"]);
    const soon = await session.call("regions_list");
    expect(soon.staleNotices).toBeUndefined();
    session.pass(6_000);
    const later = await session.call("regions_list");
    expect(later.staleNotices).toHaveLength(1);
    expect(later.staleNotices[0]).toMatchObject({
      what: "000000000000/us-east-1/AWS::EC2::Instance/i-0aa00000000000003",
      youSaw: { values: { "/state": "running" } },
      now: { values: { "/state": "terminated" } },
    });
    session.pass(6_000);
    expect((await session.call("regions_list")).staleNotices).toBeUndefined();
    await session.close();
  });

  it("is told of a rule and of a deployment it did not make, and cannot build on what it was only told", async () => {
    const session = await inMemory();
    const group = await session.call("securityGroups_get", { groupId: GROUP });
    const services = await session.call("resources_list", { type: "AWS::ECS::Service", model: { Cluster: "prod" } });
    const { identifier } = services.resources[0];
    await session.call("resources_get", { type: "AWS::ECS::Service", identifier });
    await session.outsider.allow(GROUP, 22, "10.0.0.0/8");
    await session.outsider.deploy("api-service", 22);
    session.pass(6_000);
    const told = await session.call("session_whoami");
    const text = JSON.stringify(told.staleNotices);
    expect(told.staleNotices).toHaveLength(2);
    expect(text).toContain('"fromPort":22');
    expect(text).toContain("/TaskDefinition");
    const refused = await session.call("securityGroups_update", {
      groupId: GROUP,
      rules: [{ fromPort: 443, peer: "0.0.0.0/0" }],
      intent: "clean up",
      basedOn: group.revision,
    });
    expect(refused).toMatchObject({ code: "stale_revision" });
    await session.close();
  });

  it("costs three reads at most, and a failed look says nothing", async () => {
    let failing = false;
    let reads = 0;
    const wrap = (aws: Aws): Aws => ({
      ...aws,
      reader: async (region) => {
        const reader = await aws.reader(region);
        const count =
          <A extends unknown[], R>(read: (...args: A) => Promise<R>) =>
          async (...args: A): Promise<R> => {
            reads++;
            if (failing) throw new Error("AWS is away");
            return read(...args);
          };
        return { ...reader, list: count(reader.list) as typeof reader.list, content: count(reader.content) };
      },
    });
    const session = await inMemory({ wrap });
    await session.call("instances_list");
    await session.call("securityGroups_get", { groupId: GROUP });
    session.pass(60_000);
    reads = 0;
    await session.call("session_whoami");
    expect(reads).toBe(2);
    failing = true;
    await session.outsider.terminate(["i-0aa00000000000003"]);
    session.pass(60_000);
    const quiet = await session.call("session_whoami");
    expect(quiet.isError).toBeUndefined();
    expect(quiet.staleNotices).toBeUndefined();
    failing = false;
    expect((await session.call("session_whoami")).staleNotices).toHaveLength(1);
    await session.close();
  });

  it("is not looked after when the operator said so", async () => {
    const session = await inMemory({ args: ["--revalidate", "off"] });
    await session.call("instances_list");
    await session.outsider.terminate(["i-0aa00000000000003"]);
    session.pass(60_000);
    expect((await session.call("regions_list")).staleNotices).toBeUndefined();
    const seen = await session.call("session_seen");
    expect(seen).toMatchObject({ count: 4 });
    expect(seen.seen[0]).toMatchObject({
      lastTrue: "2026-11-21T10:00:00.000Z",
      readAgainWith: { tool: "instances_list" },
    });
    await session.close();
  });

  it("is told once by the list itself when it does ask", async () => {
    const session = await inMemory();
    await session.call("instances_list");
    await session.outsider.terminate(["i-0aa00000000000003", "i-0aa00000000000004"]);
    session.pass(60_000);
    const again = await session.call("instances_list");
    expect(again.count).toBe(2);
    expect(again.staleNotices[0]).toMatchObject({ what: "instances_list", youSaw: { count: 4 }, now: { count: 2 } });
    await session.close();
  });
});
