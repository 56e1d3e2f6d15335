// One who reads once and never again is told all the same: the server looks for itself, beside whatever is called next.

import { describe, expect, it } from "vitest";
import type { WorldRegion } from "../../src/aws/sandbox/world.js";
import { OpsError } from "../../src/core/errors.js";
import type { Aws, AwsReader } from "../../src/core/ports.js";
import { inMemory } from "../in-memory.js";
import { account } from "../interleavings/account.js";

const GROUP = "sg-0bb00000000000001";
const INSTANCE = "i-0aa00000000000003";

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

describe("a notice", () => {
  const change = ({ instances }: WorldRegion) => {
    const instance = instances[INSTANCE]!;
    instances[INSTANCE] = { ...instance, privateIp: "10.0.9.9", tags: { ...instance.tags, Owner: "somebody" } };
  };
  const restart = ({ instances }: WorldRegion) => {
    instances[INSTANCE] = { ...instances[INSTANCE]!, state: "stopped", privateIp: "10.0.8.8" };
  };

  it("claims nothing of what was not shown: a row proves its columns", async () => {
    const session = await inMemory();
    const [row] = (await session.call("instances_list")).instances;
    expect(row).not.toHaveProperty("privateIp");
    await session.edit(change);
    session.pass(6_000);
    const [first] = (await session.call("session_whoami")).staleNotices;
    expect(first.youSaw.values).toEqual({});
    expect(first.now.values).toEqual({ "/privateIp": "10.0.9.9", "/tags/Owner": "somebody" });
    await session.edit(restart);
    session.pass(6_000);
    const [notice] = (await session.call("session_whoami")).staleNotices;
    expect(notice.youSaw.values).toEqual({ "/state": "running" });
    expect(notice.now.values).toMatchObject({ "/state": "stopped", "/privateIp": "10.0.8.8" });
    await session.close();
  });

  it("of a list claims nothing either, and all of what another read showed", async () => {
    const session = await inMemory({ args: ["--revalidate", "off"] });
    await session.call("instances_list");
    await session.edit(change);
    const [moved] = (await session.call("instances_list")).staleNotices;
    expect(moved.now.changed).toMatchObject([{ id: INSTANCE, youSaw: {}, now: { "/privateIp": "10.0.9.9" } }]);
    expect(moved.now.changed[0].youSaw).toEqual({});
    await session.edit(restart);
    const [stopped] = (await session.call("instances_list")).staleNotices;
    expect(stopped.now.changed[0].youSaw).toEqual({ "/state": "running" });

    await session.call("instances_list", { fields: ["privateIp"] });
    await session.call("instances_get", { instanceId: INSTANCE });
    await session.edit(change);
    await session.edit(({ instances }) => {
      instances[INSTANCE] = { ...instances[INSTANCE]!, state: "running" };
    });
    const [told] = (await session.call("instances_list")).staleNotices;
    expect(told.now.changed[0].youSaw).toEqual({ "/state": "stopped", "/privateIp": "10.0.8.8" });
    await session.close();
  });
});

describe("a list of any resource type", () => {
  const list = { type: "AWS::S3::Bucket" };

  it("says what has come, gone and changed since it was asked before, and nothing of what a read showed besides", async () => {
    const place = account({ before: () => {}, after: () => {} });
    for (const name of ["one", "two"]) place.control.put(list.type, name, { BucketName: name, Tags: [] });
    const session = await inMemory({ args: ["--revalidate", "off"], wrap: () => place.aws });
    await session.call("resources_list", list);
    const whole = { ...list, identifier: "one" };
    const { revision } = await session.call("resources_get", whole);
    expect((await session.call("resources_list", list)).staleNotices).toBeUndefined();
    expect((await session.call("resources_get", whole)).staleNotices).toBeUndefined();
    expect((await session.call("session_seen")).seen).toMatchObject([{ revision }]);
    place.control.put(list.type, "one", { BucketName: "one", Tags: [{ Key: "a", Value: "b" }] });
    place.control.put(list.type, "three", { BucketName: "three" });
    place.control.remove(list.type, "two");
    const again = await session.call("resources_list", list);
    expect(again.staleNotices, JSON.stringify(again.staleNotices)).toMatchObject([
      { what: "resources_list", youSaw: { count: 2 }, now: { count: 2, gone: ["two"], added: ["three"] } },
    ]);
    expect((await session.call("resources_list", list)).staleNotices).toBeUndefined();
    expect((await session.call("resources_get", whole)).staleNotices, "the read tells its own").toHaveLength(1);
    await session.close();
  });

  it("is named when another session's change makes it stale", async () => {
    const session = await inMemory();
    const services = { type: "AWS::ECS::Service", model: { Cluster: "prod" } };
    const { resources } = await session.call("resources_list", services);
    const { identifier } = resources[0];
    const other = await session.beside({ owner: { session: "another" } });
    const of = { type: services.type, identifier };
    const { revision } = await other.call("resources_get", of);
    const update = { ...of, properties: { DesiredCount: 7 }, basedOn: revision, intent: "more" };
    const { executionToken } = await other.call("resources_update", update);
    expect((await other.call("changes_apply", { executionToken })).outcome).toBe("applied");
    const told = (await session.call("session_whoami")).staleNotices;
    expect(told).toMatchObject([{ what: "resources_list", youSaw: { count: resources.length } }]);
    expect((await session.call("session_whoami")).staleNotices).toBeUndefined();
    await session.close();
    await other.close();
  });
});

describe("another look that fails", () => {
  const buckets = ["one", "two", "three"].map((identifier) => ({ type: "AWS::S3::Bucket", identifier }));
  type Reads = Pick<AwsReader, "content" | "list">;

  /** An account with three buckets, whose reads can be bent. */
  async function watched() {
    const place = account({ before: () => {}, after: () => {} });
    for (const { type, identifier } of buckets) place.control.put(type, identifier, { BucketName: identifier });
    const bent: { how: (reads: Reads) => Partial<Reads> } = { how: () => ({}) };
    const session = await inMemory({
      wrap: () => ({
        ...place.aws,
        reader: async (...asked) => {
          const reader = await place.aws.reader(...asked);
          return { ...reader, ...bent.how(reader) };
        },
      }),
    });
    const terminate = (id: string) =>
      place.edit(({ instances }) => {
        instances[id] = { ...instances[id]!, state: "terminated" };
      });
    return { session, place, bent, terminate };
  }
  const never = new Promise<never>(() => {});
  const toldOf = (answer: { staleNotices?: { what: string }[] }) => (answer.staleNotices ?? []).map(({ what }) => what);
  const rowOf = (answer: { seen: { rid: string }[] }, id: string) => answer.seen.find(({ rid }) => rid.endsWith(id));

  it("does not come first again and again: everything has its turn, and what could not be looked at is named", async () => {
    const { session, bent, terminate } = await watched();
    for (const bucket of buckets) await session.call("resources_get", bucket);
    await session.call("instances_list");
    bent.how = () => ({ content: () => Promise.reject(new OpsError("access_denied", "no")) });
    terminate(INSTANCE);
    session.pass(6_000);
    const told = [await session.call("session_whoami"), await session.call("session_whoami")].flatMap(toldOf);
    expect(told.join()).toContain(INSTANCE);
    const seen = await session.call("session_seen");
    for (const { identifier } of buckets) {
      expect(rowOf(seen, identifier), identifier).toMatchObject({
        lastTrue: "2026-11-21T10:00:00.000Z",
        unverifiedSince: "2026-11-21T10:00:06.000Z",
        because: "access_denied",
      });
    }
    expect(rowOf(seen, INSTANCE)).not.toHaveProperty("unverifiedSince");
    bent.how = () => ({});
    session.pass(6_000);
    await session.call("session_whoami");
    await session.call("session_whoami");
    for (const row of (await session.call("session_seen")).seen) expect(row).not.toHaveProperty("unverifiedSince");
    await session.close();
  });

  it("or that takes too long takes nothing from those that came in time", async () => {
    const { session, bent, terminate } = await watched();
    await session.call("resources_get", buckets[0]);
    await session.call("instances_list");
    let arrived = () => {};
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    bent.how = ({ list }) => ({
      content: () => never,
      list: (async (...asked: Parameters<typeof list>) => {
        const page = await list(...asked);
        setImmediate(arrived);
        return page;
      }) as typeof list,
    });
    terminate(INSTANCE);
    session.pass(6_000);
    const answer = session.call("session_whoami");
    await arrival;
    await session.waitedFor(1_000);
    expect(toldOf(await answer).join()).toContain(INSTANCE);
    bent.how = () => ({ content: () => never });
    const seen = session.call("session_seen");
    await session.waitedFor(1_000);
    expect(rowOf(await seen, "one")).toMatchObject({ unverifiedSince: expect.any(String), because: "timed_out" });
    await session.close();
  });

  it("to find a resource once is no proof that it is gone; twice is, and one that is back is told", async () => {
    const { session, bent } = await watched();
    await session.call("resources_get", buckets[0]);
    const look = async (isThere: boolean) => {
      bent.how = isThere ? () => ({}) : () => ({ content: async () => null });
      session.pass(6_000);
      const answer = await session.call("session_whoami");
      bent.how = () => ({ content: () => Promise.reject(new Error("not now")) });
      return { told: answer.staleNotices, row: rowOf(await session.call("session_seen"), "one") };
    };
    const once = await look(false);
    expect(once.told, "one NotFound").toBeUndefined();
    expect(once.row).not.toHaveProperty("gone");
    expect((await look(true)).told, "there after all").toBeUndefined();
    expect((await look(false)).told, "once more, and not in a row").toBeUndefined();
    const twice = await look(false);
    expect(twice.told).toMatchObject([{ youSaw: { revision: expect.any(String) }, now: { exists: false } }]);
    expect(twice.row).toMatchObject({ gone: true });
    expect((await look(false)).told, "told once").toBeUndefined();
    const back = await look(true);
    expect(back.told).toMatchObject([{ youSaw: { exists: false }, now: { exists: true } }]);
    expect(back.row).not.toHaveProperty("gone");
    expect((await look(true)).told, "told once").toBeUndefined();
    await session.close();
  });

  it("twice at one moment is one look", async () => {
    const { session, bent } = await watched();
    await session.call("resources_get", buckets[0]);
    bent.how = () => ({ content: async () => null });
    session.pass(6_000);
    for (let call = 0; call < 3; call++) expect((await session.call("session_whoami")).staleNotices).toBeUndefined();
    session.pass(5_000);
    expect((await session.call("session_whoami")).staleNotices).toHaveLength(1);
    await session.close();
  });
});
