// What was shown outlives its process, and what is outdated is said without being asked: to subscribers, and for whole answers.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { seenFolder } from "../../state/drivers/seen-folder.js";
import { type Generation, startAssistant, temporaryFolder } from "../harness.js";
import { inMemory } from "../in-memory.js";

const GROUP = "sg-0bb00000000000001";
const INSTANCE = "i-0aa00000000000004";
const URI = `aws://000000000000/us-east-1/AWS::EC2::SecurityGroup/${GROUP}`;
const rule = (port: number) => ({ fromPort: port, peer: "10.0.0.0/8" });

let folder: ReturnType<typeof temporaryFolder>;
let args: string[];
beforeEach(() => {
  folder = temporaryFolder();
  args = ["--sandbox", "--sandbox-world", join(folder.path, "world.json"), "--state", join(folder.path, "state")];
});
afterEach(() => folder.remove());

const start = (client: Generation = "v2", more: string[] = []) => startAssistant({ args: [...args, ...more], client });
type Assistant = Awaited<ReturnType<typeof start>>;
const addRule = async (assistant: Assistant, port: number) => {
  const planned = await assistant.call("securityGroups_addRule", { groupId: GROUP, rule: rule(port), intent: "port" });
  return assistant.call("changes_apply", { executionToken: planned.data.executionToken });
};
/** Everything but the first rule that was shown. */
const removeFirst = (assistant: Assistant, basedOn: string, shown: readonly Record<string, unknown>[]) => {
  const ingress = shown.filter(({ direction }) => direction === "ingress");
  const rules = ingress.slice(1).map(({ protocol, fromPort, toPort, peer }) => ({ protocol, fromPort, toPort, peer }));
  return assistant.call("securityGroups_update", { groupId: GROUP, rules, basedOn, intent: "tidy up" });
};

describe("a revision and the process that handed it out", () => {
  const seenIn = () => join(folder.path, "state", "seen");

  it("is good in the next process of the same machine, and still proves only what it showed", async () => {
    const first = await start();
    await addRule(first, 8443);
    const seen = (await first.call("securityGroups_get", { groupId: GROUP })).data;
    await first.close();

    const second = await start();
    const planned = await removeFirst(second, seen.revision, seen.securityGroup.rules);
    expect(planned.data.planned, JSON.stringify(planned.data)).toBe(true);
    await addRule(second, 9443);
    await second.close();

    const third = await start();
    const stale = await removeFirst(third, seen.revision, seen.securityGroup.rules);
    expect(stale.data).toMatchObject({
      code: "stale_revision",
      nothingWasChanged: true,
      youSaw: { revision: seen.revision },
    });
    expect(JSON.stringify(stale.data.changed)).toContain("9443");
    await third.close();

    const days = readdirSync(seenIn());
    expect(days).toHaveLength(1);
    expect(statSync(join(seenIn(), days[0]!)).mode & 0o077).toBe(0);
    for (const name of readdirSync(join(seenIn(), days[0]!))) {
      expect(statSync(join(seenIn(), days[0]!, name)).mode & 0o077, name).toBe(0);
    }
  });

  it("is stale where its file is gone, torn, or says something else", async () => {
    const first = await start();
    await addRule(first, 8443);
    const seen = (await first.call("securityGroups_get", { groupId: GROUP })).data;
    await first.close();
    const [day] = readdirSync(seenIn());
    const file = join(seenIn(), day!, `${seen.revision}.json`);
    const whole = readFileSync(file, "utf8");
    const second = await start();
    for (const [what, text] of [
      ["torn", whole.slice(0, -20)],
      ["edited", whole.replace('"fromPort":8443', '"fromPort":8444')],
      ["empty", ""],
      ["of another format", whole.replace('"format":1', '"format":2')],
    ] as const) {
      writeFileSync(file, text);
      const refused = await removeFirst(second, seen.revision, seen.securityGroup.rules);
      expect(refused.data, what).toMatchObject({ code: "stale_revision", field: "basedOn" });
    }
    writeFileSync(file, whole);
    const beside = join(dirname(file), "..", seen.revision);
    writeFileSync(`${beside}.json`, whole);
    for (const [invented, code] of [
      // Past what looks like an attack: names of files that are there and hold what they say.
      [file, "stale_revision"],
      [file.replace(/\.json$/, ""), "stale_revision"],
      [`${seen.revision}.json`, "stale_revision"],
      [`${day}/${seen.revision}`, "stale_revision"],
      [`${seen.revision}\ufffd`, "stale_revision"],
      ["..", "stale_revision"],
      [".", "stale_revision"],
      [`..%00${seen.revision}`, "stale_revision"],
      [`..\u2215${seen.revision}`, "stale_revision"],
      ["constructor", "stale_revision"],
    ] as const) {
      const refused = await removeFirst(second, invented, seen.securityGroup.rules);
      expect(refused.data.code, invented).toBe(code);
    }
    rmSync(file);
    for (const [invented, code] of [
      [seen.revision, "stale_revision"],
      ["r1-00000000", "stale_revision"],
      ["../../world", "security_violation"],
      ["r1-00000000/../x", "security_violation"],
    ] as const) {
      const refused = await removeFirst(second, invented, seen.securityGroup.rules);
      expect(refused.data.code, invented).toBe(code);
    }
    await second.close();
  });

  it("leaves no trace where there is no store yet", async () => {
    const assistant = await start();
    await assistant.call("securityGroups_get", { groupId: GROUP });
    await assistant.close();
    expect(existsSync(join(folder.path, "state"))).toBe(false);
  });

  it("is kept for a day, and a folder that cannot be written stops nothing", async () => {
    const root = join(folder.path, "other");
    mkdirSync(root);
    let now = new Date("2026-11-21T23:00:00Z");
    const logged: string[] = [];
    const open = (at = root) =>
      seenFolder({ root: at, clock: { now: () => now }, log: (_, message) => logged.push(message) });
    const record = {
      ref: { account: "1", region: "r", type: "AWS::S3::Bucket", id: "b" },
      reader: "cloudcontrol" as const,
      content: { Some_Key: 1, nested: { aB: [2] } },
      revision: "",
      observedAt: now.toISOString(),
      cutOff: [{ path: "/Some_Key", shown: 3 }],
    };
    const { revisionOf } = await import("../../src/core/change.js");
    const kept = { ...record, revision: revisionOf(3, record.content) };
    const shelf = open();
    shelf.keep(kept);
    expect(await shelf.find(kept.revision)).toEqual(kept);
    const tagged = (value: object) => {
      const content = { arn: "arn:aws:s3:::b", tags: { DbPassword: value } } as unknown as typeof record.content;
      return { ...record, reader: "tags" as const, content, revision: revisionOf(4, content) };
    };
    const [fingerprint, clear] = [tagged({ $secret: "ab12" }), tagged("correct-horse" as unknown as object)];
    shelf.keep(fingerprint);
    shelf.keep(clear);
    expect(await shelf.find(fingerprint.revision), "tags alone").toEqual(fingerprint);
    expect(await shelf.find(clear.revision), "a secret in clear").toBeNull();
    now = new Date("2026-11-22T20:00:00Z");
    expect(await open().find(kept.revision), "the day after").toEqual(kept);
    now = new Date("2026-11-22T23:30:00Z");
    expect(await open().find(kept.revision), "older than a day").toBeNull();
    now = new Date("2026-11-23T01:00:00Z");
    const later = open();
    later.keep({ ...kept, observedAt: now.toISOString() });
    await later.settled();
    expect(readdirSync(join(root, "seen"))).toEqual(["2026-11-23"]);

    const blocked = join(folder.path, "file");
    mkdirSync(blocked);
    writeFileSync(join(blocked, "seen"), "not a folder");
    const unwritable = open(blocked);
    unwritable.keep(kept);
    expect(await unwritable.find(kept.revision)).toBeNull();
    expect(logged).toHaveLength(1);
  });
});

describe.each(["v1", "v2", "v2-2026"] as const)("resources over MCP (%s client)", (client) => {
  it("name what was shown, are read live, and say when it is outdated, only to whoever asked for that one", async () => {
    const first = await start(client);
    expect(await first.resources()).toEqual([]);
    const seen = (await first.call("securityGroups_get", { groupId: GROUP })).data;
    await first.call("instances_get", { instanceId: INSTANCE });
    expect(await first.resources()).toContain(URI);
    expect((await first.read(URI)).revision).toBe(seen.revision);
    const updated = await first.subscribe(URI);

    const second = await start();
    await addRule(second, 8443);
    await second.close();
    const next = await first.call("session_whoami");
    expect(next.data.staleNotices.map(({ what }: { what: string }) => what)).toContain(
      `000000000000/us-east-1/AWS::EC2::SecurityGroup/${GROUP}`,
    );
    await first.call("session_whoami");
    expect([...new Set(updated)]).toEqual([URI]);
    const now = await first.read(URI);
    expect(now.securityGroup.rules).toHaveLength(seen.securityGroup.rules.length + 1);
    expect(now.revision).not.toBe(seen.revision);
    await first.close();
  });

  it("are read by the reader that showed them, each that is named, in the next process too", async () => {
    const first = await start(client);
    const listed = await first.call("resources_list", { type: "AWS::ECS::Service", model: { Cluster: "prod" } });
    for (const { identifier } of listed.data.resources) {
      await first.call("resources_get", { type: "AWS::ECS::Service", identifier });
    }
    await first.call("instances_get", { instanceId: INSTANCE });
    const uris = await first.resources();
    expect(uris.some((uri) => uri.includes("AWS::ECS::Service"))).toBe(true);
    for (const uri of uris) expect(await first.read(uri), uri).toMatchObject({ revision: expect.any(String) });
    await first.close();
    const second = await start(client);
    for (const uri of uris) expect(await second.read(uri), uri).toMatchObject({ revision: expect.any(String) });
    await second.close();
  });

  it("refuse what is no resource, does not exist, or is in another account", async () => {
    const assistant = await start(client);
    for (const [uri, why] of [
      ["aws://nonsense", /not of the form/],
      [URI.replace(GROUP, "sg-0bb00000000009999"), /does not exist|no security group/i],
      [URI.replace("000000000000", "111111111111"), /account/],
    ] as const) {
      await expect(assistant.read(uri), uri).rejects.toThrow(why);
    }
    await assistant.close();
  });
});

describe("a whole answer", () => {
  it("is said to be outdated when another session's change makes its read stale, once", async () => {
    const first = await start();
    const listed = await first.call("instances_list");
    const second = await start();
    const launch = { imageId: "ami-0cc00000000000001", instanceType: "t3.micro", intent: "more" };
    const planned = await second.call("instances_launch", launch);
    await second.call("changes_apply", { executionToken: planned.data.executionToken });
    await second.close();
    const notices = (await first.call("session_whoami")).data.staleNotices ?? [];
    expect(notices).toContainEqual(
      expect.objectContaining({
        what: "instances_list",
        youSaw: expect.objectContaining({ count: listed.data.instances.length }),
        now: expect.objectContaining({ changedBy: "instances.launch" }),
        readAgainWith: { tool: "instances_list", arguments: expect.anything() },
      }),
    );
    expect((await first.call("session_whoami")).data.staleNotices).toBeUndefined();
    await first.close();
  });
});

describe("between calls", () => {
  it("what was shown is looked at again, a subscriber hears of it, and the next answer says it", async () => {
    const session = await inMemory({ args: ["--revalidate", "interval", "--revalidate-seconds", "20"] });
    await session.call("instances_get", { instanceId: INSTANCE });
    const updated = await session.subscribe(`aws://000000000000/us-east-1/AWS::EC2::Instance/${INSTANCE}`);
    await session.outsider.terminate([INSTANCE]);
    await session.waitedFor(20_000);
    await session.waitedFor(20_000);
    expect(updated).toHaveLength(1);
    const next = await session.call("tools_search", { query: "region" });
    expect(next.staleNotices, "a call that looks at nothing in AWS").toBeUndefined();
    const { staleNotices } = await session.call("session_whoami");
    expect(staleNotices).toHaveLength(1);
    expect(staleNotices[0].what).toContain(INSTANCE);
    await session.close();
  });

  it("nobody looks where nobody called for half an hour, until somebody does again", async () => {
    let reads = 0;
    const session = await inMemory({
      args: ["--revalidate", "interval"],
      wrap: (aws) => ({
        ...aws,
        reader: async (region) => {
          reads++;
          return aws.reader(region);
        },
      }),
    });
    await session.call("instances_get", { instanceId: INSTANCE });
    const called = reads;
    await session.waitedFor(30_000);
    await session.waitedFor(30_000);
    expect(reads).toBeGreaterThan(called);
    session.pass(31 * 60_000);
    await session.call("session_whoami");
    const again = reads;
    await session.waitedFor(30_000);
    await session.waitedFor(30_000);
    expect(reads).toBeGreaterThan(again);
    await session.close();
  });
});
