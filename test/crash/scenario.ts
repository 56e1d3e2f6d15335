// Some twenty operations on one store and one AWS, two processes after one another, and what was acknowledged of them when.

import type { ChangeStep, Owner, State } from "../../src/core/change.js";
import { type JsonObject, sha256 } from "../../src/core/json.js";
import type { Clock, Ids } from "../../src/core/ports.js";
import { seqOfKey } from "../../state/driver.js";
import { type FsPort, fileDriver } from "../../state/drivers/file.js";
import type { Event } from "../../state/events.js";
import { openStore, type Store, type StoreOptions } from "../../state/journal.js";
import { mintToken, operationId, tokenSha256 } from "../../state/tokens.js";
import { intent, owner, plan, START } from "../state/helpers.js";
import { ACCOUNT, REGION, ScriptedAws } from "./aws.js";
import { Disk } from "./disk.js";

export const ROOT = "/data/store";
export const TYPE = "AWS::S3::Bucket";

/** The same numbers for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let at = seed >>> 0;
  return () => {
    at = (at + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(at ^ (at >>> 15), at | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

export function seededIds(seed: number): Ids {
  const next = seeded(seed);
  const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => next() & 0xff);
  return {
    bytes,
    uuid: () =>
      Buffer.from(bytes(16))
        .toString("hex")
        .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"),
  };
}

/** Sleeping takes its time at once. */
export function machineClock(startMs = Date.parse(START)): Clock & { advance(ms: number): void } {
  let at = startMs;
  return {
    now: () => new Date(at),
    monotonic: () => at,
    sleep: async (ms) => {
      at += ms;
    },
    advance: (ms) => {
      at += ms;
    },
  };
}

/** What stood at one moment between two calls: the disk, AWS, and what the user had been told. */
export interface Moment {
  readonly at: number;
  readonly call: string;
  readonly disk: Disk;
  readonly aws: ScriptedAws;
  readonly known: Known;
}

/** What may never be forgotten. */
export interface Known {
  /** Number of the newest acknowledged commit; 0: none. */
  readonly acknowledged: number;
  readonly store: string;
}

/** Records a moment before every call that can change something, and one at the end. */
export class Recorder {
  readonly moments: Moment[] = [];
  /** Hash of the commit that got each number, acknowledged or not. */
  readonly heads = new Map<number, string>();
  private known: Known;
  private calls = 0;
  private silent = false;

  constructor(
    readonly disk: Disk,
    readonly aws: ScriptedAws,
    known: Known = { acknowledged: 0, store: "" },
    heads: ReadonlyMap<number, string> = new Map(),
  ) {
    this.known = known;
    for (const [seq, head] of heads) this.heads.set(seq, head);
    disk.beforeCall = (call, changes) => this.moment(call, changes);
    aws.beforeCall = (call) => this.moment(call, true);
    disk.afterMade = (path, bytes) => {
      const seq = seqOfKey(path.slice(ROOT.length + 1));
      if (seq !== null) this.heads.set(seq, sha256(bytes));
    };
  }

  private moment(call: string, changes: boolean): void {
    const at = this.calls++;
    if (!changes) return;
    this.moments.push({ at, call, disk: this.disk.clone(), aws: this.aws.clone(), known: this.known });
  }

  /** Port calls so far, also those that change nothing: a crash before one of these is a crash before the next change. */
  get count(): number {
    return this.calls;
  }

  acknowledge({ seq, store }: State): void {
    this.known = { acknowledged: seq, store };
  }

  /** A store whose commits are acknowledged to somebody: each is remembered. */
  watch(store: Store): Store {
    const commit: Store["commit"] = async (build, actor) => {
      const made = await store.commit(build, actor);
      this.acknowledge(made.state);
      return made;
    };
    return new Proxy(store, { get: (of, name) => (name === "commit" ? commit : Reflect.get(of, name)) });
  }

  end(): void {
    if (!this.silent) this.moment("the end", true);
    this.quiet();
  }

  /** Records nothing. */
  quiet(): void {
    this.silent = true;
    this.disk.beforeCall = () => {};
    this.aws.beforeCall = () => {};
  }
}

/** `compact` comes with the archive; until then a checkpoint stands for it. */
export async function compact(store: Store): Promise<void> {
  const able = store as Store & { compact?: () => Promise<unknown> };
  if (able.compact) await able.compact();
  else await store.checkpoint();
}

export interface Variant {
  readonly limits?: StoreOptions["limits"];
  readonly port?: (fs: FsPort) => FsPort;
  /** A killed process can leave half a file under its name; then a human says what becomes of it. */
  readonly inPlace?: boolean;
  readonly clientTokens?: boolean;
}

const bucket = (name: string, more: Partial<ChangeStep> = {}): ChangeStep => {
  const content = { Name: name, Versioning: "off" };
  return {
    service: "cloudcontrol",
    operation: "CreateResource",
    input: { TypeName: TYPE, DesiredState: content },
    ref: { account: ACCOUNT, region: REGION, type: TYPE, id: "" },
    reader: "cloudcontrol",
    kind: "create",
    before: null,
    after: content,
    touches: [""],
    desired: content,
    ...more,
  };
};

const change = (
  id: string,
  kind: "update" | "delete" | "action",
  before: JsonObject,
  after: JsonObject | null,
  service = "cloudcontrol",
): ChangeStep => {
  const { desired: _, ...rest } = bucket(String(before.Name));
  return {
    ...rest,
    service,
    operation: kind === "delete" ? "DeleteResource" : "UpdateResource",
    input: { TypeName: TYPE, Identifier: id },
    ref: { account: ACCOUNT, region: REGION, type: TYPE, id },
    kind,
    before,
    after,
    ...(after && { desired: after }),
  };
};

/** One process at work on the store. */
export interface Process {
  readonly store: Store;
  readonly owner: Owner;
  commit(build: (seq: number) => readonly Event[]): Promise<number>;
}

/** Every other process of the scenario has ended, and this machine can prove it. */
const PROOF = { liveness: (): "dead" => "dead" };

export async function start(
  recorder: Recorder,
  ids: Ids,
  clock: Clock,
  by: Owner,
  { port = (fs) => fs, limits = {} }: Variant = {},
): Promise<Process> {
  const driver = fileDriver({ root: ROOT }, { clock, ids, fs: port(recorder.disk.port) });
  const store = await openStore({ driver, clock, ids, owner: by, user: "alice", client: "crash", limits, ...PROOF });
  return {
    store,
    owner: by,
    async commit(build) {
      const { seq, state } = await store.commit((_, seq) => build(seq));
      recorder.acknowledge(state);
      return seq;
    },
  };
}

/** Runs the operations to their end and answers every moment in between. */
export async function scenario(seed: number, variant: Variant = {}): Promise<Recorder> {
  const ids = seededIds(seed);
  const clock = machineClock();
  const disk = new Disk(() => clock.now().getTime());
  await disk.port.mkdir("/data");
  disk.settle();
  const aws = new ScriptedAws(variant.clientTokens ?? true);
  const recorder = new Recorder(disk, aws);
  let process = await start(recorder, ids, clock, owner("session-1", 101), variant);

  const planned = async (steps: readonly ChangeStep[]) => {
    let made = { token: "", id: "" };
    await process.commit((seq) => {
      const next = planOf(seq, steps, ids);
      made = { token: next.token, id: next.id };
      return [next.event];
    });
    return made;
  };

  /** One step, as the gate does it: intent, call, request token, outcome as read back. */
  async function run(
    { token, id }: { token: string; id: string },
    step: ChangeStep,
    index = 0,
    answer: "comes" | "is lost" = "comes",
  ): Promise<{ operation: string; resource: string }> {
    const seq = await process.commit((at) => [intent(at, id, token, index, process.owner)]);
    const operation = operationId(seq);
    const event = intent(seq, id, token, index, process.owner);
    const { requestToken, identifier, refused } = aws.send(step, event.clientToken);
    if (answer === "is lost") {
      const error = { code: "outcome_unknown", message: "the answer was lost" };
      await process.commit(() => [{ type: "op.unknown", operationId: operation, error, because: "no answer" }]);
      return { operation, resource: identifier };
    }
    if (step.service === "cloudcontrol") {
      await process.commit(() => [{ type: "op.submitted", operationId: operation, requestToken }]);
      aws.poll(requestToken);
    }
    if (refused !== undefined) {
      const error = { code: "aws_failed", message: "refused", awsCode: refused };
      await process.commit(() => [{ type: "op.failed", operationId: operation, error, nothingWasChanged: true }]);
    } else {
      await process.commit(() => [outcome(operation, step, identifier)]);
    }
    return { operation, resource: identifier };
  }

  const outcome = (operation: string, step: ChangeStep, id: string): Event => ({
    type: "op.succeeded",
    operationId: operation,
    results: [
      { ref: { ...step.ref, id }, reader: step.reader, before: step.before, after: aws.content(step.ref.type, id) },
    ],
  });

  const apply = async (step: ChangeStep) => (await run(await planned([step]), step)).resource;
  /** Steps that go out together, as the gate does it: every intent before the first call, every outcome after the last. */
  async function together(steps: readonly ChangeStep[]): Promise<void> {
    const { token, id } = await planned(steps);
    const held: string[] = [];
    for (const index of steps.keys()) {
      const alongside = index > 0 ? { alongside: true as const } : {};
      held.push(
        operationId(await process.commit((at) => [{ ...intent(at, id, token, index, process.owner), ...alongside }])),
      );
    }
    for (const [index, step] of steps.entries()) aws.send(step, intent(0, id, token, index, process.owner).clientToken);
    for (const [index, step] of steps.entries()) await process.commit(() => [outcome(held[index]!, step, step.ref.id)]);
  }

  const rid = (id: string): string => `${ACCOUNT}/${REGION}/${TYPE}/${id}`;
  const content = (id: string): JsonObject => aws.content(TYPE, id)!;

  // 1–5: create, checkpoint, create, update, drift
  const first = await apply(bucket("first"));
  await process.store.checkpoint();
  const second = await apply(bucket("second"));
  await apply(change(first, "update", content(first), { ...content(first), Versioning: "on" }));
  aws.outside(TYPE, second, { Name: "second", Versioning: "suspended" });
  const difference = [{ path: "/Versioning", kind: "NOT_EQUAL", before: "off", after: "suspended" }];
  await process.commit(() => [
    { type: "drift.observed", rid: rid(second), status: "MODIFIED", severity: "high", details: difference },
  ]);
  // 6–10: accept it, a create that AWS refuses, compaction, an import, an action that is its own proof
  await process.commit(() => [
    { type: "drift.accepted", rid: rid(second), properties: content(second), by: "alice", because: "wanted" },
  ]);
  await apply(bucket("third", { input: { refused: "QuotaExceeded" } }));
  await compact(process.store);
  aws.outside(TYPE, "old", { Name: "old", Versioning: "off" });
  await process.commit(() => [
    {
      type: "resource.imported",
      ref: { account: ACCOUNT, region: REGION, type: TYPE, id: "old" },
      reader: "cloudcontrol",
      properties: content("old"),
      provenance: "read",
    },
  ]);
  await apply(change("old", "action", content("old"), { ...content("old"), Versioning: "stopped" }, "s3"));
  // 11–15: the process ends, another begins and leaves to the archive what only that holds; an answer is lost, drift is ignored, a delete, compaction
  await process.store.close();
  process = await start(recorder, ids, clock, owner("session-2", 102), {
    ...variant,
    limits: { inlineBytes: 1, recentMs: 0 },
  });
  const lost = bucket("fourth");
  const doubtful = await run(await planned([lost]), lost, 0, "is lost");
  await process.commit(() => [
    { type: "drift.ignored", rid: rid("old"), path: "/Tags", reason: "tagged by others", by: "alice" },
  ]);
  await apply(change(second, "delete", content(second), null));
  await compact(process.store);
  // 16–20: what was lost is found, two steps in one change, a plan that is cancelled, one that is forgotten, compaction, two steps that go out together
  await process.commit(() => [outcome(doubtful.operation, lost, doubtful.resource)]);
  const both = [bucket("fifth"), change(first, "update", content(first), { ...content(first), Versioning: "off" })];
  const twice = await planned(both);
  await run(twice, both[0]!, 0);
  await run(twice, both[1]!, 1);
  const unwanted = await planned([bucket("sixth")]);
  await process.commit(() => [{ type: "change.cancelled", changeId: unwanted.id, by: "alice" }]);
  await process.commit(() => [{ type: "resource.forgotten", rid: rid("old"), by: "alice", because: "not ours" }]);
  await compact(process.store);
  const seventh = await apply(bucket("seventh"));
  await together(
    [first, seventh].map((id) => change(id, "action", content(id), { ...content(id), Versioning: "both" }, "s3")),
  );
  await process.store.close();
  recorder.end();
  return recorder;
}

/** A plan whose token comes from the seed. */
export function planOf(seq: number, steps: readonly ChangeStep[], ids: Ids) {
  const token = mintToken(seq, ids);
  const more = { tokenSha256: tokenSha256(token), expiresAt: "2026-11-23T10:00:00.000Z" };
  return { ...plan(seq, steps, more), token };
}
