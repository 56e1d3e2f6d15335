// Secrets through the front door, on scripted Cloud Control: in clear nowhere but in AWS; back by a rollback where they are stored.

import { randomBytes, randomUUID } from "node:crypto";
import { createServer as createHttp, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Client } from "@modelcontextprotocol/client";
import { InMemoryTransport } from "@modelcontextprotocol/server";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { createApp } from "../../src/app.js";
import { createAws } from "../../src/aws/index.js";
import { loadConfig } from "../../src/config.js";
import { type Envelope, ridOf, type State } from "../../src/core/change.js";
import type { Clock, Ids } from "../../src/core/ports.js";
import { createServer } from "../../src/server.js";
import { memoryDriver } from "../../state/drivers/memory.js";
import { openStore, type Store } from "../../state/journal.js";
import { type CloudControl, startCloudControl } from "../cloud-control/server.js";
import { type TypeFacts, types } from "../cloud-control/types.js";
import { emulatedEnvironment } from "../emulated/clients.js";
import { type ScriptedHttp, startScriptedHttp } from "../emulated/scripted-http.js";

const REGION = "eu-west-1";
const PASSPHRASE = "AWS_DEVOPS_MCP_STATE_PASSPHRASE";
/** Every way in which a schema or a name makes a secret: at the top, nested, in lists, by name alone, and as user data. */
const THING = "Test::Secrets::Thing";
const FACTS: TypeFacts = {
  properties: ["Name", "Note", "MasterUserPassword", "Nested", "Users", "Environment", "UserData", "Credentials"],
  identifier: ["Name"],
  readOnly: [],
  writeOnly: ["MasterUserPassword", "Nested/Inner/Hidden", "Users/*/Key"],
  createOnly: ["Name"],
  required: [],
  unordered: [],
  defaults: () => ({}),
  issued: () => ({}),
};
const xml = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
/** The same, named by AWS. */
const NAMED_BY_AWS = "Test::Secrets::Numbered";
const NUMBERED: TypeFacts = {
  ...FACTS,
  properties: [...FACTS.properties, "Id"],
  identifier: ["Id"],
  readOnly: ["Id"],
  createOnly: [],
  issued: (_, { id }) => ({ Id: `id-${id(12)}` }),
};
const pointers = (paths: readonly string[]) => paths.map((path) => `/properties/${path}`);
const schemaOf = (typeName: string, facts: TypeFacts): string =>
  JSON.stringify({
    typeName,
    properties: Object.fromEntries(facts.properties.map((name) => [name, { type: "string" }])),
    primaryIdentifier: pointers(facts.identifier),
    readOnlyProperties: pointers(facts.readOnly),
    createOnlyProperties: pointers(facts.createOnly),
    writeOnlyProperties: pointers(facts.writeOnly),
  });

let now = Date.parse("2026-11-21T10:00:00Z");
const clock: Clock = {
  now: () => new Date(now),
  monotonic: () => now,
  sleep: async (milliseconds, signal) => {
    // What ends by being given up is no wait of the story's.
    if (signal) await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    now += milliseconds;
  },
};
const ids: Ids = { uuid: () => randomUUID(), bytes: (count) => randomBytes(count) };

let cloud: CloudControl;
let sts: Server;
let registry: ScriptedHttp;

beforeAll(async () => {
  Object.assign(types, { [THING]: FACTS, [NAMED_BY_AWS]: NUMBERED });
  cloud = await startCloudControl({ region: REGION });
  sts = createHttp((_, response) =>
    response.end(
      "<R><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/me</Arn><Account>123456789012</Account></GetCallerIdentityResult></R>",
    ),
  );
  await new Promise<void>((resolve) => sts.listen(0, "127.0.0.1", resolve));
  registry = await startScriptedHttp(({ body }) => ({
    status: 200,
    headers: { "content-type": "text/xml" },
    body: `<DescribeTypeResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeTypeResult><Schema>${xml(
      body.includes("Numbered") ? schemaOf(NAMED_BY_AWS, NUMBERED) : schemaOf(THING, FACTS),
    )}</Schema></DescribeTypeResult></DescribeTypeResponse>`,
  }));
  const env = {
    ...emulatedEnvironment(cloud.endpoint, REGION),
    AWS_ENDPOINT_URL_STS: `http://127.0.0.1:${(sts.address() as AddressInfo).port}`,
    AWS_ENDPOINT_URL_CLOUDFORMATION: registry.endpoint,
  };
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
});
beforeEach(() => cloud.reset());
afterAll(async () => {
  for (const type of [THING, NAMED_BY_AWS]) Reflect.deleteProperty(types, type);
  sts.closeAllConnections();
  sts.close();
  await registry.stop();
  await cloud.stop();
  vi.unstubAllEnvs();
});

// biome-ignore lint/suspicious/noExplicitAny: answers are read as a client reads them
type Answer = any;

interface Process {
  call(tool: string, args?: object): Promise<Answer>;
  readonly store: Store;
  /** Everything this process told its client or its log. */
  readonly told: string[];
}

interface Start {
  readonly stored?: boolean;
  readonly passphrase?: string;
  readonly session?: string;
  /** Whether other processes are found dead. */
  readonly alone?: boolean;
}

/** A server process on a store that lives in a map, and a client on it. */
async function start(kept: Map<string, Uint8Array>, options: Start = {}): Promise<Process> {
  const { stored = true, passphrase = "correct horse battery", session = "one", alone = false } = options;
  const env = stored ? { [PASSPHRASE]: passphrase } : {};
  const { config } = loadConfig(
    ["--allow-writes", "--approve-from", "never", "--region", REGION, ...(stored ? ["--rollback-secrets"] : [])],
    env,
  );
  const told: string[] = [];
  const log = (level: string, message: string, facts?: object) =>
    void told.push(JSON.stringify([level, message, facts]));
  const owner = { host: "test", bootId: "b", pid: 1, pidStart: session, session };
  const keys = stored ? { passphrase: { text: passphrase, source: PASSPHRASE }, scryptN: 2 ** 10 } : {};
  const liveness = () => (alone ? ("dead" as const) : ("alive" as const));
  const driver = memoryDriver(kept);
  const store = await openStore({ driver, clock, ids, owner, user: "tester", log, keys, liveness });
  const aws = createAws({ env: process.env, region: REGION, version: "0.0.0", clock, log });
  const scan = async () => [];
  const app = createApp({ config, version: "0.0.0", aws, store, clock, ids, log, owner, scan });
  const [near, far] = InMemoryTransport.createLinkedPair();
  const client = new Client({ name: "test", version: "1" });
  await Promise.all([createServer(app).connect(far), client.connect(near)]);
  return {
    store,
    told,
    async call(name, args = {}) {
      const answer = await client.callTool({ name, arguments: args as Record<string, unknown> });
      told.push(JSON.stringify(answer));
      return { ...(answer.structuredContent as object), isError: answer.isError === true };
    },
  };
}

const create = (on: Process, properties: object) =>
  on.call("resources_create", { type: THING, properties, intent: "set the scene" });
async function update(on: Process, identifier: string, properties: object) {
  const { revision } = await on.call("resources_get", { type: THING, identifier });
  return on.call("resources_update", { type: THING, identifier, properties, basedOn: revision, intent: "change it" });
}
const shown = new Map<string, string>();
async function rollback(on: Process, identifier: string, to: string) {
  const { revision } = await on.call("resources_get", { type: THING, identifier });
  // What is gone has no revision any more: any that was shown will do.
  const basedOn = revision ?? shown.get(identifier);
  shown.set(identifier, basedOn);
  return on.call("tools_run", { tool: "state_rollback", arguments: { identifier, to, basedOn, intent: "go back" } });
}
async function apply(on: Process, planned: Answer): Promise<string> {
  expect(planned.isError, JSON.stringify(planned)).toBe(false);
  const applied = await on.call("changes_apply", { executionToken: planned.executionToken });
  expect(applied.outcome, JSON.stringify(applied)).toBe("applied");
  return planned.executionToken;
}
const live = (name: string) => cloud.world.get(THING, name);
const everything = (kept: Map<string, Uint8Array>): string =>
  [...kept.values()].map((bytes) => Buffer.from(bytes).toString()).join("\n");

/** All the spellings under which a value could stand in a file or an answer. */
const spellings = (secret: string): readonly string[] => {
  const json = JSON.stringify(secret).slice(1, -1);
  return [secret, json, JSON.stringify(json).slice(1, -1), Buffer.from(secret).toString("base64").replace(/=+$/, "")];
};
const betrayed = (text: string, secrets: readonly string[]): readonly string[] =>
  secrets.filter((secret) => spellings(secret).some((spelling) => text.includes(spelling)));

const secretText = fc
  .tuple(fc.uuid(), fc.string({ maxLength: 24, unit: "grapheme" }))
  .map(([unique, rest]) => `${unique}${rest}`)
  .filter((text) => !/[\uD800-\uDFFF]/.test(text) && text === text.replace(/[\p{Cc}\p{Cf}]/gu, ""));

/** A document with secrets in some of the places, and the secrets. */
const secretive = fc
  .record(
    {
      MasterUserPassword: secretText,
      Nested: fc.record({ Inner: fc.record({ Hidden: secretText, Seen: fc.constant("plain") }) }),
      Users: fc.array(fc.record({ Label: fc.constantFrom("a", "b"), Key: secretText }), { minLength: 1, maxLength: 3 }),
      Environment: fc.oneof(
        fc.record({ Variables: fc.record({ DB_PASSWORD: secretText, MODE: fc.constant("fast") }) }),
        // As containers and builds have it: the name stands beside the value.
        secretText.map((Value) => [
          { Name: "MODE", Value: "fast" },
          { Name: "DB_PASSWORD", Value },
        ]),
      ),
      UserData: secretText,
      Credentials: fc.record({ User: secretText, Token: secretText }),
    },
    { requiredKeys: [] },
  )
  .filter((document) => Object.keys(document).length > 0);

function secretsOf(value: unknown): string[] {
  if (typeof value === "string") return /^[0-9a-f]{8}-/.test(value) ? [value] : [];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(secretsOf) : [];
}

describe("no secret is in clear anywhere", () => {
  it.each([
    ["when none is stored", false],
    ["when they are stored", true],
  ])(
    "%s",
    async (_, stored) => {
      let run = 0;
      await fc.assert(
        fc.asyncProperty(secretive, secretive, async (first, second) => {
          const name = `thing-${++run}`;
          const kept = new Map<string, Uint8Array>();
          const on = await start(kept, { stored });
          const created = await apply(on, await create(on, { Name: name, Note: "1", ...first }));
          expect(live(name)).toMatchObject(first);
          // Whoever stores none gives all of them again; whoever stores them gives the lists, whose elements have no names.
          const again = stored ? { ...(first.Users && { Users: first.Users }) } : first;
          await apply(on, await update(on, name, { Note: "2", ...again }));
          expect(live(name)).toMatchObject({ ...first, Note: "2" });
          await apply(on, await update(on, name, { ...first, ...second, Note: "3" }));
          await on.call("tools_run", { tool: "state_drift", arguments: { identifier: name } });
          await on.call("tools_run", { tool: "state_history", arguments: { identifier: name } });
          const { changes } = await on.call("tools_run", { tool: "changes_list", arguments: {} });
          for (const { changeId } of changes) await on.call("changes_get", { changeId });
          await rollback(on, name, created);
          await create(on, { Name: `${name}-never`, ...second });
          await on.store.close();
          const secrets = secretsOf([first, second]);
          expect(secrets.length).toBeGreaterThan(0);
          expect(betrayed(everything(kept), secrets)).toEqual([]);
          expect(betrayed(on.told.join("\n"), secrets)).toEqual([]);
          expect(/"\$enc"/.test(everything(kept))).toBe(stored);
        }),
        { numRuns: 25 },
      );
    },
    240_000,
  );

  it("not in an error either in which AWS repeats what it was sent", async () => {
    const kept = new Map<string, Uint8Array>();
    const on = await start(kept);
    const secret = "a-password-that-aws-repeats";
    cloud.rule({ operation: "CreateResource", errorCode: "InvalidRequest", message: `"${secret}" is too weak.` });
    const planned = await create(on, { Name: "weak", MasterUserPassword: secret });
    const failed = await on.call("changes_apply", { executionToken: planned.executionToken });
    expect(failed.awsMessage, JSON.stringify(failed)).toBe('"[redacted]" is too weak.');
    cloud.rule({ operation: "CreateResource", fail: "ThrottlingException", message: `${secret}`, times: null });
    const refused = await create(on, { Name: "weak", MasterUserPassword: secret });
    await on.call("changes_apply", { executionToken: refused.executionToken });
    expect(betrayed(on.told.join("\n") + everything(kept), [secret])).toEqual([]);
  });

  it("not in what AWS tells a later process of a request that another one sent", async () => {
    for (const stored of [true, false]) {
      cloud.reset();
      const kept = new Map<string, Uint8Array>();
      const first = await start(kept, { stored });
      const secret = "a-password-that-aws-repeats";
      cloud.rule({
        operation: "CreateResource",
        errorCode: "NotStabilized",
        message: `"${secret}" is weak.`,
        polls: 60,
      });
      const planned = await create(first, { Name: "weak", MasterUserPassword: secret });
      await first.call("changes_apply", { executionToken: planned.executionToken });
      const next = await start(kept, { stored, session: "two", alone: true });
      const look = () => next.call("changes_get", { changeId: planned.change.changeId });
      let found = await look();
      for (let looks = 0; looks < 60 && found.change.state !== "failed"; looks++) {
        now += 60_000;
        found = await look();
      }
      expect(found.change.state, JSON.stringify(found)).toBe("failed");
      expect(JSON.stringify(found)).toContain("withheld");
      expect(betrayed(next.told.join("\n") + everything(kept), [secret])).toEqual([]);
    }
  });

  it("not by a mark that somebody wrote into AWS at another place", async () => {
    const kept = new Map<string, Uint8Array>();
    const on = await start(kept);
    const secret = "the-password-somebody-wants";
    const victim = { Name: "victim", Note: "1", MasterUserPassword: secret, Nested: { Lines: [{ Text: "plain" }] } };
    await apply(on, await create(on, victim));
    const { print } = [...(await on.store.state()).resources.values()][0]!.envelopes![0]!;
    const bait = { Lines: [{ Text: { $secret: print } }] };
    cloud.world.put(THING, "victim", { ...live("victim"), Nested: bait });
    const given = await update(on, "victim", { Note: "2", Nested: bait });
    expect(given, JSON.stringify(given)).toMatchObject({ isError: true, code: "validation_error" });
    // Our next change reads the bait back, and the way back to it would have to send it.
    const token = await apply(on, await update(on, "victim", { Note: "2" }));
    cloud.world.remove(THING, "victim");
    const back = await rollback(on, "victim", token);
    expect(back, JSON.stringify(back)).toMatchObject({
      code: "validation_error",
      field: "properties/Nested/Lines/0/Text",
    });
    expect(live("victim")).toBeUndefined();
  });
});

describe("stored secrets", () => {
  it("come back exactly with a rollback, whatever they were, also to a resource that is gone", async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(secretText, secretText, secretText, async (first, second, token) => {
        const name = `back-${++run}`;
        const kept = new Map<string, Uint8Array>();
        const on = await start(kept);
        const then = {
          Name: name,
          MasterUserPassword: first,
          Nested: { Inner: { Hidden: token } },
          Environment: { Variables: { DB_PASSWORD: first, MODE: "a" } },
        };
        const created = await apply(on, await create(on, then));
        await apply(
          on,
          await update(on, name, {
            MasterUserPassword: second,
            Environment: { Variables: { DB_PASSWORD: second, MODE: "b" } },
          }),
        );
        expect(live(name)).toMatchObject({ MasterUserPassword: second, Nested: { Inner: { Hidden: token } } });
        // Another process, later, after a rotation: only the store can have the values.
        await on.store.rotateKey("operator");
        await on.store.close();
        const later = await start(kept, { session: "two" });
        await apply(later, await rollback(later, name, created));
        expect(live(name)).toEqual(then);
        cloud.world.remove(THING, name);
        await apply(later, await rollback(later, name, created));
        expect(live(name)).toEqual(then);
      }),
      { numRuns: 15 },
    );
  }, 240_000);

  it("come back to a resource that AWS named, and go with an update of something else", async () => {
    const kept = new Map<string, Uint8Array>();
    const on = await start(kept);
    const type = NAMED_BY_AWS;
    const planned = await on.call("resources_create", {
      type,
      properties: { Note: "1", MasterUserPassword: "the-first-one" },
      intent: "set the scene",
    });
    const created = await apply(on, planned);
    const [identifier = ""] = cloud.world.identifiers(type);
    const later = await start(kept, { session: "two" });
    const change = async (properties: object) => {
      const { revision } = await later.call("resources_get", { type, identifier });
      const given = { type, identifier, properties, basedOn: revision, intent: "change it" };
      return apply(later, await later.call("resources_update", given));
    };
    await change({ Note: "2" });
    expect(cloud.world.get(type, identifier)).toMatchObject({ Note: "2", MasterUserPassword: "the-first-one" });
    await change({ MasterUserPassword: "the-second-one" });
    const last = await start(kept, { session: "three" });
    const { revision } = await last.call("resources_get", { type, identifier });
    const back = { identifier, to: created, basedOn: revision, intent: "go back" };
    await apply(last, await last.call("tools_run", { tool: "state_rollback", arguments: back }));
    expect(cloud.world.get(type, identifier)).toMatchObject({ Note: "1", MasterUserPassword: "the-first-one" });
  });

  it("re-encrypted are no difference: none is shown, none is drift, none is in a digest", async () => {
    const kept = new Map<string, Uint8Array>();
    const on = await start(kept);
    const properties = {
      MasterUserPassword: "one-password",
      Environment: { Variables: { DB_PASSWORD: "another-one" } },
    };
    await apply(on, await create(on, { Name: "same", ...properties }));
    const before = [...(await on.store.state()).resources.values()][0]!;
    await on.store.rotateKey("operator");
    const given = await update(on, "same", { Environment: properties.Environment });
    expect(given.change.steps[0].differences, JSON.stringify(given)).toEqual([]);
    await apply(on, await update(on, "same", properties));
    for (let twice = 0; twice < 2; twice++) await create(on, { Name: "never-made", ...properties });
    const [one, two] = [...(await on.store.state()).changes.values()].slice(-2);
    expect(one!.envelopes).toHaveLength(2);
    expect(one!.envelopes![0]!.ct).not.toBe(two!.envelopes![0]!.ct);
    expect(one!.planDigest).toBe(two!.planDigest);
    const after = [...(await on.store.state()).resources.values()][0]!;
    expect(after.desired).toEqual(before.desired);
    expect(after.properties).toEqual(before.properties);
    expect(after.envelopes).toHaveLength(2);
    const drift = await on.call("tools_run", { tool: "state_drift", arguments: { identifier: "same" } });
    expect(drift.resources[0]).toMatchObject({ status: "IN_SYNC" });
  });

  it("are told apart by drift as one value, without a word of either", async () => {
    const kept = new Map<string, Uint8Array>();
    const on = await start(kept);
    await apply(on, await create(on, { Name: "moved", Environment: { Variables: { DB_PASSWORD: "one-password" } } }));
    cloud.world.put(THING, "moved", { Environment: { Variables: { DB_PASSWORD: "somebody-elses" } } });
    const drift = await on.call("tools_run", { tool: "state_drift", arguments: { identifier: "moved" } });
    expect(drift.resources[0].differences, JSON.stringify(drift)).toMatchObject([
      { path: "/Environment/Variables/DB_PASSWORD", kind: "NOT_EQUAL", class: "declared" },
    ]);
    const { executionToken } = (await on.store.state()).resources.values().next().value!.lineage[0]!;
    await apply(on, await rollback(on, "moved", executionToken));
    expect(live("moved")).toMatchObject({ Environment: { Variables: { DB_PASSWORD: "one-password" } } });
    expect(betrayed(on.told.join("\n"), ["one-password", "somebody-elses"])).toEqual([]);
  });

  it("let another process of the same store apply the plan; without them it is told to plan again", async () => {
    for (const stored of [true, false]) {
      cloud.reset();
      const kept = new Map<string, Uint8Array>();
      const planner = await start(kept, { stored });
      const planned = await create(planner, { Name: "shared", MasterUserPassword: "for-two-processes" });
      const other = await start(kept, { stored, session: "two" });
      const applied = await other.call("changes_apply", { executionToken: planned.executionToken });
      if (stored) {
        expect(applied, JSON.stringify(applied)).toMatchObject({ outcome: "applied" });
        expect(live("shared")).toMatchObject({ MasterUserPassword: "for-two-processes" });
      } else {
        expect(applied).toMatchObject({ code: "plan_mismatch", nothingWasChanged: true });
        expect(live("shared")).toBeUndefined();
      }
    }
  });

  it("let the next process send a lost call again", async () => {
    for (const stored of [true, false]) {
      cloud.reset();
      const kept = new Map<string, Uint8Array>();
      const first = await start(kept, { stored });
      const planned = await create(first, { Name: "lost", MasterUserPassword: "sent-once-more" });
      // The request never arrives, also not when it is sent again by the process that then ends.
      cloud.rule({ operation: "CreateResource", loseRequest: true, times: 2 });
      const lost = await first.call("changes_apply", { executionToken: planned.executionToken });
      expect(lost.code, JSON.stringify(lost)).toBe("outcome_unknown");
      cloud.rules.clear();
      now += 60_000;
      const next = await start(kept, { stored, session: "two", alone: true });
      await next.call("resources_get", { type: THING, identifier: "lost" });
      const made = live("lost");
      if (stored) expect(made).toMatchObject({ MasterUserPassword: "sent-once-more" });
      else expect(made).toBeUndefined();
      expect(betrayed(next.told.join("\n"), ["sent-once-more"])).toEqual([]);
    }
  });

  it("open at their own place only", async () => {
    const kept = new Map<string, Uint8Array>();
    const on = await start(kept);
    await apply(
      on,
      await create(on, { Name: "a", MasterUserPassword: "value-of-a-one", Nested: { Inner: { Hidden: "value-two" } } }),
    );
    await apply(on, await create(on, { Name: "b", MasterUserPassword: "value-of-b-one" }));
    const all = places(await on.store.state());
    expect(all).toHaveLength(3);
    for (const one of all) {
      for (const other of all) {
        const opened = on.store.keys.open({ rid: other.rid, path: other.path, print: other.print }, one.envelope);
        if (one === other) expect(await opened).toMatch(/^value-/);
        else await expect(opened).rejects.toMatchObject({ code: "plan_mismatch" });
      }
    }
  });
});

const places = (state: State): readonly { rid: string; path: string; print: string; envelope: Envelope }[] =>
  [...state.resources.values()].flatMap(({ ref, envelopes = [] }) =>
    envelopes.map((envelope) => ({ rid: ridOf(ref), path: envelope.path, print: envelope.print, envelope })),
  );

describe("a secret that is needed and not there is asked for", () => {
  it("by an update that would drop it; null lets it go", async () => {
    const kept = new Map<string, Uint8Array>();
    const on = await start(kept, { stored: false });
    await apply(on, await create(on, { Name: "asks", Note: "1", MasterUserPassword: "not-stored-here" }));
    const asked = await update(on, "asks", { Note: "2" });
    expect(asked, JSON.stringify(asked)).toMatchObject({
      code: "validation_error",
      field: "properties/MasterUserPassword",
      nothingWasChanged: true,
    });
    await apply(on, await update(on, "asks", { Note: "2", MasterUserPassword: "not-stored-here" }));
    expect(live("asks")).toMatchObject({ Note: "2", MasterUserPassword: "not-stored-here" });
    await apply(on, await update(on, "asks", { Note: "3", MasterUserPassword: null }));
    expect(live("asks")).toEqual({ Name: "asks", Note: "3" });
  });

  it("by a rollback to another one, which plans nothing", async () => {
    const kept = new Map<string, Uint8Array>();
    const on = await start(kept, { stored: false });
    const created = await apply(on, await create(on, { Name: "asks", Note: "1", MasterUserPassword: "the-first-one" }));
    await apply(on, await update(on, "asks", { MasterUserPassword: "the-second-one" }));
    const asked = await rollback(on, "asks", created);
    expect(asked, JSON.stringify(asked)).toMatchObject({
      code: "validation_error",
      field: "properties/MasterUserPassword",
    });
    expect(asked.message).toContain("resources.update");
    await apply(on, await update(on, "asks", { Note: "2", MasterUserPassword: "the-second-one" }));
    const again = await rollback(on, "asks", created);
    expect(again, JSON.stringify(again)).toMatchObject({ code: "validation_error" });
    expect(live("asks")).toMatchObject({ Note: "2", MasterUserPassword: "the-second-one" });
  });

  it("where its key is lost or its passphrase another one: reads go on, nothing is sent or lost", async () => {
    const kept = new Map<string, Uint8Array>();
    const on = await start(kept);
    const created = await apply(
      on,
      await create(on, {
        Name: "lost-key",
        Note: "1",
        MasterUserPassword: "the-first-one",
        Environment: { Variables: { DB_PASSWORD: "one-that-is-shown" } },
      }),
    );
    await apply(on, await update(on, "lost-key", { MasterUserPassword: "the-second-one" }));
    const planned = await create(on, { Name: "planned", MasterUserPassword: "of-an-open-plan" });
    await on.store.close();
    const before = new Map(kept);

    const stranger = await start(kept, { session: "two", passphrase: "somebody else's words" });
    const seen = await stranger.call("resources_get", { type: THING, identifier: "lost-key" });
    expect(seen, JSON.stringify(seen)).toMatchObject({ isError: false, properties: { Note: "1" } });
    const drift = await stranger.call("tools_run", { tool: "state_drift", arguments: { identifier: "lost-key" } });
    expect(drift.resources[0], JSON.stringify(drift)).toMatchObject({ status: "UNKNOWN" });
    const history = await stranger.call("tools_run", { tool: "state_history", arguments: { identifier: "lost-key" } });
    expect(history.lineage).toHaveLength(2);
    for (const answer of [
      await rollback(stranger, "lost-key", created),
      await stranger.call("changes_apply", { executionToken: planned.executionToken }),
      await create(stranger, { Name: "new", MasterUserPassword: "a-new-password" }),
    ]) {
      expect(answer, JSON.stringify(answer)).toMatchObject({ code: "key_unavailable", nothingWasChanged: true });
      expect(answer.message).toContain(PASSPHRASE);
    }
    expect(live("planned")).toBeUndefined();
    for (const [key, bytes] of before) {
      if (key.startsWith("key")) expect(kept.get(key), key).toEqual(bytes);
    }

    const key = [...kept.keys()].find((name) => name.startsWith("keys/"))!;
    const file = kept.get(key)!;
    kept.delete(key);
    const without = await start(kept, { session: "three" });
    const asked = await rollback(without, "lost-key", created);
    expect(asked, JSON.stringify(asked)).toMatchObject({ code: "key_unavailable" });
    kept.set(key, file);
    const restored = await start(kept, { session: "four" });
    await apply(restored, await rollback(restored, "lost-key", created));
    expect(live("lost-key")).toMatchObject({ MasterUserPassword: "the-first-one" });
  });
});
