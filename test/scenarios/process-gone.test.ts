// A server process that is gone, or stands still, in the middle of a change: another one goes on with it, and never both.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { OpsError } from "../../src/core/errors.js";
import type { Aws } from "../../src/core/ports.js";
import type { Commit } from "../../state/events.js";
import type { Store } from "../../state/journal.js";
import { startAssistant, temporaryFolder } from "../harness.js";
import { type InMemory, type InMemoryOptions, inMemory } from "../in-memory.js";

const TWO = "i-0aa00000000000004";
const FAR = { host: "far", bootId: "f", pid: 77, session: "far-session" };

/** A door that stays shut until it is opened, and says when somebody stands before it. */
function door() {
  let open = () => {};
  let knock = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const reached = new Promise<void>((resolve) => {
    knock = resolve;
  });
  return {
    open,
    reached,
    async pass() {
      knock();
      await opened;
    },
  };
}

/** A store after whose commits something happens before anybody goes on. */
const afterCommits =
  (then: (events: Commit["events"]) => Promise<void>) =>
  (store: Store): Store => ({
    ...store,
    get readOnly() {
      return store.readOnly;
    },
    commit: async (build, actor) => {
      const made = await store.commit(build, actor);
      await then(made.events);
      return made;
    },
  });

interface Stopped {
  readonly first: InMemory;
  readonly second: InMemory;
  readonly planned: { executionToken: string; change: { changeId: string } };
  readonly answer: Promise<Record<string, unknown>>;
  readonly sent: string[];
  wake(): void;
}

async function termination(on: InMemory) {
  const seen = await on.call("instances_get", { instanceId: TWO });
  return on.call("instances_terminate", { instanceIds: [TWO], basedOn: [seen.revision], intent: "clean up" });
}

async function tagging(on: InMemory) {
  const bucket = { type: "AWS::S3::Bucket", identifier: "sandbox-logs" };
  const { revision: basedOn } = await on.call("resources_get", bucket);
  const properties = { Tags: [{ Key: "team", Value: "api" }] };
  return on.call("resources_update", { ...bucket, properties, basedOn, intent: "name the owner" });
}

/** A process that stands still while it applies, before its call is sent or before AWS's answer reaches it. */
async function stopped(
  where: "before the call" | "before the answer",
  more: InMemoryOptions = {},
  plan = termination,
): Promise<Stopped> {
  const sent: string[] = [];
  const still = door();
  const counting = (stops: boolean) => (aws: Aws) => ({
    ...aws,
    writer: (region: string) => {
      const writer = aws.writer(region);
      return {
        ...writer,
        async send(...args: Parameters<typeof writer.send>) {
          sent.push(`${args[0].operation} ${args[0].ref.id}`);
          const answer = await writer.send(...args);
          if (stops) await still.pass();
          return answer;
        },
      };
    },
  });
  const first = await inMemory({
    wrap: counting(where === "before the answer"),
    wrapStore: afterCommits(async (events) => {
      if (where === "before the call" && events[0]?.type === "op.intent") await still.pass();
    }),
  });
  const planned = await plan(first);
  const answer = first.call("changes_apply", { executionToken: planned.executionToken });
  await still.reached;
  const second = await first.beside({ owner: FAR, wrap: counting(false), ...more });
  return { first, second, planned, answer, sent, wake: still.open };
}

/** Calls of the second process, one every half minute. */
async function wait({ second }: Stopped, looks: number) {
  let open: unknown[] = [];
  for (let look = 0; look < looks; look++) {
    open = (await second.call("session_whoami")).openOperations;
    second.pass(30_000);
  }
  return open;
}

const changeOf = async ({ planned }: Stopped, who: InMemory) =>
  (await who.call("changes_get", { changeId: planned.change.changeId })).change;

describe("a process on another host that stands still", () => {
  it("is not held for gone before its heartbeat stood still for a lease and a half", async () => {
    const story = await stopped("before the answer");
    expect(await wait(story, 3)).toMatchObject([{ state: "open" }]);
    expect(await wait(story, 1)).toEqual([]);
    expect(await changeOf(story, story.second)).toMatchObject({ state: "applied" });
    expect(story.sent).toEqual([`TerminateInstances ${TWO}`]);
  });

  it("and wakes when its change was settled learns who did so, and records nothing", async () => {
    const story = await stopped("before the answer");
    await wait(story, 5);
    const before = story.second.kept.size;
    story.wake();
    expect(await story.answer).toMatchObject({
      isError: true,
      code: "outcome_unknown",
      reason: "taken_over",
      nothingWasChanged: "unknown",
      next: [{ tool: "changes_get", arguments: { changeId: story.planned.change.changeId } }],
    });
    expect(story.second.kept.size).toBe(before);
    expect(await changeOf(story, story.first)).toMatchObject({ state: "applied" });
    const again = await story.first.call("changes_apply", { executionToken: story.planned.executionToken });
    expect(again).toMatchObject({ outcome: "applied", repeated: { code: "token_spent" } });
    expect(story.sent).toHaveLength(1);
  });

  it("and wakes before it sent its call sends nothing, and names the process that has its operation", async () => {
    const story = await stopped("before the call");
    expect(await wait(story, 5)).toMatchObject([{ state: "unknown" }]);
    story.wake();
    const answer = await story.answer;
    expect(answer).toMatchObject({
      isError: true,
      code: "outcome_unknown",
      reason: "taken_over",
      takenOverBy: { host: "far", pid: 77, session: "far-session" },
    });
    expect(answer.message).toContain("by process 77 on far");
    expect(story.sent).toEqual([]);
    story.first.pass(16 * 60_000);
    expect(await changeOf(story, story.second)).toMatchObject({ state: "failed" });
    expect((await story.second.call("instances_get", { instanceId: TWO })).instance.state).toBe("running");
  });

  it("between two steps, and goes on just before it is said to have left them, goes on", async () => {
    const doors = [door(), door()];
    let steps = 0;
    const first = await inMemory({
      args: ["--toolsets", "all"],
      wrapStore: afterCommits(async (events) => {
        if (events.some(({ type }) => type === "op.succeeded")) await doors[steps++]?.pass();
      }),
    });
    const instanceId = "i-0aa00000000000001";
    const { revision: basedOn } = await first.call("instances_get", { instanceId });
    const planned = await first.call("instances_resize", {
      ...{ instanceId, instanceType: "t3.large", basedOn, intent: "it is slow" },
    });
    const answer = first.call("changes_apply", { executionToken: planned.executionToken });
    await doors[0]!.reached;
    let wokeInTime = false;
    const second = await first.beside({
      owner: FAR,
      wrapStore: (store) => ({
        ...store,
        get readOnly() {
          return store.readOnly;
        },
        commit: async (build, actor) => {
          const now = await store.state();
          const events = build(now, now.seq + 1);
          if (Array.isArray(events) && events.some(({ type }) => type === "change.interrupted") && !wokeInTime) {
            wokeInTime = true;
            doors[0]!.open();
            await doors[1]!.reached;
          }
          return store.commit(build, actor);
        },
      }),
    });
    for (let look = 0; look < 5; look++) {
      await second.call("session_whoami");
      second.pass(30_000);
    }
    expect(wokeInTime).toBe(true);
    doors[1]!.open();
    expect(await answer).toMatchObject({ outcome: "applied" });
    const { change } = await second.call("changes_get", { changeId: planned.change.changeId });
    expect(change).toMatchObject({ state: "applied" });
  });

  it("that heartbeats keeps its operation, however long AWS takes", async () => {
    const story = await stopped("before the answer");
    for (let look = 0; look < 10; look++) {
      expect(await wait(story, 1)).toMatchObject([{ state: "open" }]);
      await story.first.beat();
    }
    story.wake();
    expect(await story.answer).toMatchObject({ ok: true, outcome: "applied" });
  });

  it("is held for gone on its own host too, though its pid is there", async () => {
    const near = { host: "test", bootId: "b", pid: 2, session: "near" };
    const story = await stopped("before the answer", { owner: near, liveness: () => "alive" });
    expect(await wait(story, 5)).toEqual([]);
    story.wake();
    expect(await story.answer).toMatchObject({ code: "outcome_unknown", reason: "taken_over" });
  });
});

describe("a process that this machine knows to be gone", () => {
  it.each([
    ["is succeeded by one that sends what it began", [], ["UpdateResource sandbox-logs"]],
    ["is succeeded by none that its own operator forbids the change", ["--never-allow", "* AWS::S3::*"], []],
    ["is succeeded by none that may not write", ["--read-only"], []],
  ])("%s", async (_, args, sent) => {
    const story = await stopped(
      "before the call",
      { owner: { pid: 2, session: "near" }, liveness: () => "dead", args },
      tagging,
    );
    await wait(story, 2);
    expect(story.sent).toEqual(sent);
    const { state } = await changeOf(story, story.second);
    expect(state, "what is not sent is not said to be done").toBe(sent.length > 0 ? "applied" : "unknown");
  });

  it("is succeeded at the first call, by one process of two", async () => {
    const near = (pid: number) => ({ owner: { pid, session: `near-${pid}` }, liveness: () => "dead" as const });
    const story = await stopped("before the answer", near(2));
    const third = await story.first.beside(near(3));
    const [a, b] = await Promise.all([story.second.call("session_whoami"), third.call("session_whoami")]);
    expect([a.isError, b.isError]).toEqual([undefined, undefined]);
    expect(await changeOf(story, third)).toMatchObject({ state: "applied" });
    const journal = [...story.second.kept].filter(([key]) => key.startsWith("journal/"));
    const takeovers = journal.filter(([, bytes]) => Buffer.from(bytes).toString().includes('"op.takeover"'));
    expect(takeovers).toHaveLength(1);
    expect(Buffer.from(takeovers[0]![1]).toString()).toContain('"proof":{"kind":"process_gone"}');
    expect(story.second.kept.has("lock/owner-test-session.hb")).toBe(false);
    expect(story.second.kept.has("state.json")).toBe(true);
  });

  it("leaves a request that AWS has forgotten: it is judged by what live shows, and never sent again", async () => {
    const BUCKET = { type: "AWS::S3::Bucket", identifier: "sandbox-logs" };
    const polls = (code: "access_denied" | "not_found", sent: string[]) => (aws: Aws) => ({
      ...aws,
      writer: (region: string) => {
        const writer = aws.writer(region);
        return {
          ...writer,
          send: async (...args: Parameters<typeof writer.send>) => {
            sent.push(args[1].clientToken);
            return writer.send(...args);
          },
          poll: async () => {
            throw new OpsError(code, "no");
          },
        };
      },
    });
    const sent: string[] = [];
    const first = await inMemory({ wrap: polls("access_denied", sent) });
    const seen = await first.call("resources_get", BUCKET);
    const planned = await first.call("resources_update", {
      ...BUCKET,
      properties: { Note: "ours" },
      intent: "a note",
      basedOn: seen.revision,
    });
    const answer = await first.call("changes_apply", { executionToken: planned.executionToken });
    expect(answer.outcome, JSON.stringify(answer)).toBe("in_progress");
    first.pass(8 * 24 * 3_600_000);
    // AWS gave up on it, and keeps requests for seven days.
    await first.edit((region) => {
      region.requests = {};
    });
    const second = await first.beside({
      owner: { pid: 2, session: "near" },
      liveness: () => "dead",
      wrap: polls("not_found", sent),
    });
    const { change } = await second.call("changes_get", { changeId: planned.change.changeId });
    expect(change, JSON.stringify(change)).toMatchObject({ state: "failed" });
    expect(sent).toHaveLength(1);
  });
});

describe("a real process", () => {
  it("shows its heartbeat while it works, and takes it away when it ends in order", async () => {
    const folder = temporaryFolder();
    const state = join(folder.path, "state");
    const args = ["--sandbox", "--sandbox-world", join(folder.path, "world.json"), "--state", state];
    const server = await startAssistant({ args: [...args, "--allow-writes"] });
    const seen = await server.call("instances_get", { instanceId: TWO });
    const plan = { instanceIds: [TWO], basedOn: [seen.data.revision], intent: "clean up" };
    const planned = await server.call("instances_terminate", plan);
    const beats = () => readdirSync(join(state, "lock")).filter((name) => /^owner-[0-9a-f-]{36}\.hb$/.test(name));
    expect(readdirSync(state)).not.toContain("lock");
    const applied = await server.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(beats()).toHaveLength(1);
    await server.close();
    expect(beats()).toEqual([]);
    folder.remove();
  });
});
