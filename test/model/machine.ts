// The real product on a machine that can be broken: processes with their own app, store and gate on one simulated disk
// and one sandbox account, killed, paused or cut off from power at any single effect. Nothing in it waits for real time.

import { type App, createApp } from "../../src/app.js";
import { createSandboxAws } from "../../src/aws/index.js";
import { emptyRegion, SANDBOX_REGION, type World, type WorldRequest } from "../../src/aws/sandbox/world.js";
import { loadConfig } from "../../src/config.js";
import type { Liveness, Owner, State } from "../../src/core/change.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import type { Aws, AwsReader, AwsWriter, Clock } from "../../src/core/ports.js";
import { type FsPort, fileDriver } from "../../state/drivers/file.js";
import { openStore, type Store } from "../../state/journal.js";
import { Disk } from "../crash/disk.js";
import { ROOT, seededIds } from "../crash/scenario.js";
import { START } from "../state/helpers.js";
import { UNHURRIED } from "../unhurried.js";

export type Slot = "a" | "b" | "mallory";

/** What a call to AWS meets besides AWS. */
export type Fault = "answer lost" | "not sent" | "refused" | "poll denied" | "read denied";

/** What a broken product does wrong, on purpose. */
export interface Variant {
  /** Loses the newest commit whenever a process ends. */
  readonly forgetsCommit?: boolean;
  readonly store?: (store: Store) => Store;
  readonly aws?: (aws: Aws) => Aws;
  readonly arguments?: (tool: string, given: JsonObject) => JsonObject;
}

// biome-ignore lint/suspicious/noExplicitAny: answers are read as a client reads them
export type Answer = any;

/** The part of a process between its code and the world: counts effects, and can stop it before any one of them. */
export class Effects {
  private count = 0;
  private stop: { readonly at: number; readonly any: boolean; readonly act: (() => Promise<void>) | null } | null =
    null;
  dead = false;
  private died = () => {};
  /** Resolves when the process is killed. */
  readonly death = new Promise<void>((resolve) => {
    this.died = resolve;
  });

  /** Arms one stop: before the n-th effect from now `act` runs, or the process dies where there is none. */
  arm(at: number, any: boolean, act: (() => Promise<void>) | null): void {
    this.count = 0;
    this.stop = { at, any, act };
  }

  disarm(): void {
    this.stop = null;
  }

  kill(): void {
    this.dead = true;
    this.died();
  }

  /** Never resolves for a process that is dead. */
  async before(changes: boolean): Promise<void> {
    if (this.stop && (changes || this.stop.any) && this.count++ === this.stop.at) {
      const { act } = this.stop;
      this.stop = null;
      if (act) await act();
      else this.kill();
    }
    if (this.dead) await new Promise(() => {});
  }
}

const through = (fs: FsPort, effects: Effects): FsPort => {
  const step =
    <A extends unknown[], R>(changes: boolean, call: (...given: A) => Promise<R>) =>
    async (...given: A): Promise<R> => {
      await effects.before(changes);
      return call(...given);
    };
  return {
    posix: fs.posix,
    readFile: step(false, fs.readFile),
    stat: step(false, fs.stat),
    readdir: step(false, fs.readdir),
    mkdir: step(true, fs.mkdir),
    chmod: step(true, fs.chmod),
    create: step(true, async (path) => {
      const file = await fs.create(path);
      return { write: step(true, file.write), sync: step(true, file.sync), close: step(false, file.close) };
    }),
    overwrite: step(false, fs.overwrite),
    link: step(true, fs.link),
    unlink: step(true, fs.unlink),
    rename: step(true, fs.rename),
    syncFile: step(true, fs.syncFile),
    syncDirectory: step(true, fs.syncDirectory),
    writable: step(false, fs.writable),
    freeBytes: step(false, fs.freeBytes),
  };
};

export interface Process {
  readonly slot: Slot;
  readonly owner: Owner;
  readonly store: Store;
  readonly app: App;
  readonly effects: Effects;
  /** Armed for the next call only. */
  fault: Fault | null;
  /** What this process last read of a resource, and when on the account's own count. */
  readonly reads: Map<string, Read>;
}

interface Read {
  readonly at: number;
  readonly content: JsonObject | null;
}

/** One request as AWS carried it out. */
export interface Effect {
  readonly clientToken: string;
  readonly operation: WorldRequest["operation"];
  readonly type: string;
  readonly id: string;
  readonly before: JsonObject | null;
  /** When the process that sent it had last read the resource; -1 if never. */
  readonly readAt: number;
  readonly readContent: JsonObject | null | undefined;
}

const CONFIG = loadConfig(
  [
    "--sandbox",
    "--default-tags",
    "off",
    "--revalidate",
    "off",
    "--approve-from",
    "never",
    "--toolsets",
    "changes",
    "--creates-per-hour",
    "1000",
    "--deletes-per-hour",
    "1000",
  ],
  UNHURRIED,
).config;
export const TOKEN_MINUTES = CONFIG.tokenMinutes;
const OPEN = { liveness: (): "dead" => "dead" };

export class Machine {
  disk: Disk;
  private now = Date.parse(START);
  private boot = 1;
  private pids = 100;
  private readonly alive = new Set<number>();
  private readonly processes = new Map<Slot, Process>();
  private readonly changes = { pending: true };
  private readonly ended = new Map<Slot, Process["reads"]>();
  private readonly ids = seededIds(7);
  private observer: Store | null = null;
  private world: World = {
    format: 1,
    startedAt: START,
    tick: 0,
    lastId: 0,
    regions: { [SANDBOX_REGION]: emptyRegion() },
  };
  /** Moves with every call to AWS and every change outside. */
  moment = 0;
  /** Reads that AWS did not allow, by anybody. */
  refusedReads = 0;
  private readonly senders = new Map<string, Process>();
  /** Whose process sent a call first. */
  sentBy = (clientToken: string): Slot | undefined => this.senders.get(clientToken)?.slot;
  private readonly readsAtSend = new Map<string, Read | undefined>();
  /** How often AWS took a request under a client token for a new one. */
  readonly accepted = new Map<string, number>();
  onEffect: (effect: Effect) => void = () => {};

  readonly clock: Clock = {
    now: () => new Date(this.now),
    monotonic: () => this.now,
    sleep: async (ms, signal) => {
      if (!signal) {
        this.now += ms;
        return;
      }
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
    },
  };

  constructor(readonly variant: Variant = {}) {
    this.disk = this.watch(new Disk(() => this.now));
  }

  static async start(variant?: Variant): Promise<Machine> {
    const machine = new Machine(variant);
    await machine.disk.port.mkdir("/data");
    machine.disk.settle();
    return machine;
  }

  pass(ms: number): void {
    this.now += ms;
  }

  // ── AWS ────────────────────────────────────────────────────────────────────────────────────────────────────────

  private readonly account = {
    load: () => this.world,
    save: (next: World) => {
      const before = this.world;
      this.world = next;
      this.moment++;
      const was = before.regions[SANDBOX_REGION]!;
      for (const request of Object.values(next.regions[SANDBOX_REGION]!.requests)) {
        const old = was.requests[request.token];
        if (!old) this.accepted.set(request.clientToken, (this.accepted.get(request.clientToken) ?? 0) + 1);
        if (old?.status === "IN_PROGRESS" && request.status === "SUCCESS") this.effect(request, was);
      }
    },
  };

  private effect(
    { clientToken, operation, type, id = "" }: WorldRequest,
    was: { resources: World["regions"][string]["resources"] },
  ): void {
    const read = this.readsAtSend.get(clientToken);
    this.onEffect({
      clientToken,
      operation,
      type,
      id,
      before: was.resources[type]?.[id] ?? null,
      readAt: read?.at ?? -1,
      readContent: read?.content,
    });
  }

  /** What the account holds of the types of this test, everything that is under way carried out. */
  resources(type: string): Readonly<Record<string, JsonObject>> {
    return this.world.regions[SANDBOX_REGION]!.resources[type] ?? {};
  }

  /** Whether AWS took a request under this client token and has not carried it out yet, or has. */
  request(clientToken: string): WorldRequest | undefined {
    return Object.values(this.world.regions[SANDBOX_REGION]!.requests).find((one) => one.clientToken === clientToken);
  }

  /** Somebody in the console: null removes. */
  outside(type: string, id: string, content: JsonObject | null): void {
    const next = structuredClone(this.world);
    const region = next.regions[SANDBOX_REGION]!;
    region.resources[type] ??= {};
    if (content === null) delete region.resources[type]![id];
    else region.resources[type]![id] = content;
    this.world = next;
    this.moment++;
  }

  private aws(slot: Slot, self: () => Process, effects: Effects): Aws {
    const inner = createSandboxAws({ store: this.account, clock: this.clock, log: () => {} });
    const denied = () =>
      new OpsError("access_denied", "AWS denied the call.", { details: { awsCode: "AccessDenied" } });
    const looking = async <T>(type: string, id: string, read: () => Promise<T>): Promise<T> => {
      await effects.before(false);
      if (self().fault === "read denied") {
        this.refusedReads++;
        throw denied();
      }
      const content = await read();
      self().reads.set(`${type}/${id}`, { at: this.moment, content: content as JsonObject | null });
      return content;
    };
    const reader = (of: AwsReader): AwsReader => ({
      ...of,
      ...(slot === "mallory" && { identity: { ...of.identity, arn: `${of.identity.arn}-mallory` } }),
      resource: (type, id) => looking(type, id, () => of.resource(type, id)),
      content: (ref, name) => looking(ref.type, ref.id, () => of.content(ref, name)),
    });
    const writer = (of: AwsWriter): AwsWriter => ({
      ...of,
      send: async (step, op, signal) => {
        await effects.before(true);
        const { fault } = self();
        if (fault === "refused") {
          self().fault = null;
          throw new OpsError("throttled", "AWS is limiting the rate; nothing was changed.");
        }
        if (fault === "not sent") {
          self().fault = null;
          throw new OpsError("outcome_unknown", "The answer was lost.");
        }
        if (!this.senders.has(op.clientToken)) {
          this.senders.set(op.clientToken, self());
          this.readsAtSend.set(op.clientToken, self().reads.get(`${step.ref.type}/${step.ref.id}`));
        }
        const sent = await of.send(step, op, signal);
        await effects.before(true);
        if (fault === "answer lost") {
          self().fault = null;
          throw new OpsError("outcome_unknown", "The answer was lost.");
        }
        return sent;
      },
      poll: async (step, token) => {
        await effects.before(false);
        if (self().fault === "poll denied") throw denied();
        return of.poll(step, token);
      },
    });
    const aws: Aws = {
      ...inner,
      reader: async (region) => reader(await inner.reader(region)),
      writer: (region) => writer(inner.writer(region)),
    };
    return this.variant.aws?.(aws) ?? aws;
  }

  // ── processes ──────────────────────────────────────────────────────────────────────────────────────────────────

  private readonly liveness: Liveness = (owner) =>
    owner.bootId === `boot-${this.boot}` && this.alive.has(owner.pid) ? "alive" : "dead";

  running(slot: Slot): Process | undefined {
    return this.processes.get(slot);
  }

  /** The process of a slot, started if there is none. */
  async process(slot: Slot): Promise<Process> {
    const known = this.processes.get(slot);
    if (known) return known;
    const pid = this.pids++;
    this.alive.add(pid);
    const owner: Owner = {
      host: "host-1",
      bootId: `boot-${this.boot}`,
      pid,
      pidStart: String(pid),
      session: `s-${pid}`,
    };
    const effects = new Effects();
    const { clock, ids, liveness } = this;
    const fs = through(this.disk.port, effects);
    const driver = fileDriver({ root: ROOT }, { clock, ids, fs });
    const opened = await openStore({ driver, clock, ids, owner, user: slot, client: "model", liveness });
    const store = this.variant.store?.(opened) ?? opened;
    let made: Process;
    const aws = this.aws(slot, () => made, effects);
    const log = () => {};
    const scan = async () => [];
    const app = createApp({ config: CONFIG, version: "0.0.0", aws, store, clock, ids, log, owner, scan });
    made = { slot, owner, store, app, effects, fault: null, reads: new Map() };
    this.processes.set(slot, made);
    return made;
  }

  /** A call as a client makes it. Null where the process died in it. */
  async call(slot: Slot, tool: string, given: JsonObject, fault: Fault | null = null): Promise<Answer | null> {
    const process = await this.process(slot);
    process.fault = fault;
    const answered = process.app.call(tool, this.variant.arguments?.(tool, given) ?? given, {
      client: "model",
      progress: () => {},
    });
    const result = await this.unlessKilled(process, answered);
    process.fault = null;
    return result && { ...result.structuredContent, ...(result.isError && { isError: true }) };
  }

  /** What a process does, or null where it died before it was done. */
  async unlessKilled<T>(process: Process, work: Promise<T>): Promise<T | null> {
    const killed = Symbol("killed");
    const first = await Promise.race([work, process.effects.death.then(() => killed)]);
    process.effects.disarm();
    if (first !== killed) return first as T;
    this.kill(process.slot);
    return null;
  }

  kill(slot: Slot): void {
    const process = this.processes.get(slot);
    if (!process) return;
    process.effects.kill();
    this.alive.delete(process.owner.pid);
    this.processes.delete(slot);
    this.ended.set(slot, process.reads);
    if (this.variant.forgetsCommit) this.forget();
  }

  private forget(): void {
    const journal = [...this.disk.files().keys()].filter((path) => path.startsWith(`${ROOT}/journal/`)).sort();
    if (journal.length > 1) this.disk.put(journal.at(-1)!, null);
    this.changes.pending = true;
    this.observer = null;
  }

  async close(slot: Slot): Promise<void> {
    const process = this.processes.get(slot);
    if (!process) return;
    await this.unlessKilled(process, process.app.close());
    this.kill(slot);
  }

  /** The power fails: of the operations that were not durable yet only the first `kept` of a hundred parts were. */
  powerLoss(kept: number): void {
    for (const slot of [...this.processes.keys()]) this.kill(slot);
    const worlds = [...this.disk.worlds("ordered")];
    this.disk = this.watch(worlds[Math.min(worlds.length - 1, Math.floor((kept / 100) * worlds.length))]!.disk);
    this.boot++;
    this.observer = null;
  }

  /** What the process of a slot, also one that has ended, last read of a resource; undefined: nothing. */
  lastRead(slot: Slot, key: string): JsonObject | null | undefined {
    return (this.processes.get(slot)?.reads ?? this.ended.get(slot))?.get(key)?.content;
  }

  // ── looking at the product from outside ────────────────────────────────────────────────────────────────────────

  private open(): Promise<Store> {
    const { clock, ids } = this;
    const owner = { host: "host-1", bootId: "observer", pid: 1, pidStart: "1", session: "observer" };
    const driver = fileDriver({ root: ROOT }, { clock, ids, fs: this.disk.port });
    return openStore({ driver, clock, ids, owner, user: "observer", client: "model", ...OPEN });
  }

  /** A store that only ever reads and was opened once: it follows the chain from where it began. */
  async watcher(): Promise<Store> {
    this.observer ??= await this.open();
    return this.observer;
  }

  /** The state as whoever opens the store now finds it. */
  async reopened(): Promise<{ readonly store: Store; readonly state: State }> {
    const store = await this.open();
    return { store, state: await store.state() };
  }

  /** Whether anything on the disk may be another since this was last asked. */
  takeChanged(): boolean {
    const { pending } = this.changes;
    this.changes.pending = false;
    return pending;
  }

  private watch(disk: Disk): Disk {
    this.changes.pending = true;
    disk.beforeCall = (_, changes) => {
      this.changes.pending ||= changes;
    };
    return disk;
  }
}
