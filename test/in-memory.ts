// The app in this process behind an in-memory MCP client: for stories in which time passes, because the clock is ours.

import { randomBytes, randomUUID } from "node:crypto";
import { Client } from "@modelcontextprotocol/client";
import { InMemoryTransport } from "@modelcontextprotocol/server";
import { type App, type AppPorts, createApp } from "../src/app.js";
import { createSandboxAws } from "../src/aws/index.js";
import { type Outsider, outsider } from "../src/aws/sandbox/outsider.js";
import { memoryStore, SANDBOX_REGION, type WorldRegion } from "../src/aws/sandbox/world.js";
import { loadConfig } from "../src/config.js";
import type { Liveness, Owner } from "../src/core/change.js";
import type { Aws, CacheStore, Clock, Ids, Scan } from "../src/core/ports.js";
import { createServer } from "../src/server.js";
import type { StateDriver } from "../state/driver.js";
import { memoryDriver } from "../state/drivers/memory.js";
import { openStore, type Store, type StoreOptions } from "../state/journal.js";
import { UNHURRIED } from "./unhurried.js";

export interface InMemory {
  // biome-ignore lint/suspicious/noExplicitAny: answers are read as a client reads them
  call(tool: string, args?: Record<string, unknown>): Promise<any>;
  /** Every uri that is said to be updated from now on. */
  subscribe(uri: string): Promise<readonly string[]>;
  readonly outsider: Outsider;
  /** The account itself, for changes that the outsider has no word for. */
  edit(change: (region: WorldRegion) => void): Promise<void>;
  /** Resolves when somebody waits for so long beside other work; the wait is over then. */
  waitedFor(milliseconds: number): Promise<void>;
  /** Lets time pass. */
  pass(milliseconds: number): void;
  /** The server's heartbeat, which its process calls every 10 s. */
  beat(): Promise<void>;
  /** Another server process on the same state, the same account and the same clock. */
  beside(options?: InMemoryOptions): Promise<InMemory>;
  /** What the state holds, by key. */
  readonly kept: Map<string, Uint8Array>;
  /** For an edge of its own. */
  readonly app: App;
  close(): Promise<void>;
}

export interface InMemoryOptions {
  readonly args?: readonly string[];
  /** The environment the server is started in; by itself one in which nobody is limited. */
  readonly env?: Readonly<Record<string, string>>;
  /** What guards and remembers calls, to watch or to fail. */
  readonly ports?: Partial<Pick<AppPorts, "audit" | "meters" | "tagging" | "log">>;
  /** Wraps AWS, to count or to fail. */
  readonly wrap?: (aws: Aws, clock: Clock) => Aws;
  /** When the store writes its checkpoints, where that is not the usual. */
  readonly limits?: StoreOptions["limits"];
  /** Wraps the store, to fail. */
  readonly wrapStore?: (store: Store) => Store;
  /** Where cached answers are kept, to watch or to fail. */
  readonly cacheStore?: CacheStore;
  /** Security scanners, as if they were installed. */
  readonly scan?: Scan;
  /** Wraps what the state is kept on, to fail. */
  readonly wrapDriver?: (driver: StateDriver) => StateDriver;
  readonly owner?: Partial<Owner>;
  /** What this process can prove about others; without it only a heartbeat that stands still does. */
  readonly liveness?: Liveness;
  /** Another clock, other numbers, another process than this file's. */
  readonly machine?: { readonly clock: Clock; readonly ids: Ids; readonly owner: Owner };
}

export async function inMemory(options: InMemoryOptions = {}): Promise<InMemory> {
  let now = Date.parse("2026-11-21T10:00:00Z");
  const waiting = new Set<{ readonly milliseconds: number; over(): void }>();
  const watchers = new Set<() => void>();
  const clock: Clock = options.machine?.clock ?? {
    now: () => new Date(now),
    monotonic: () => now,
    // Nobody waits in a test: whoever would sleep goes on at once, unless the work beside it is to win the race.
    sleep: (milliseconds, signal) =>
      new Promise((resolve, reject) => {
        if (!signal) {
          now += milliseconds;
          resolve();
        } else {
          const waiter = { milliseconds, over: resolve };
          signal.addEventListener(
            "abort",
            () => {
              waiting.delete(waiter);
              reject(signal.reason);
            },
            { once: true },
          );
          waiting.add(waiter);
          for (const look of watchers) look();
        }
      }),
  };
  const ids: Ids = options.machine?.ids ?? { uuid: () => randomUUID(), bytes: (count) => randomBytes(count) };
  const world = memoryStore();
  const kept = new Map<string, Uint8Array>();

  async function start({
    args = [],
    env = UNHURRIED,
    ports = {},
    limits = {},
    wrap = (aws) => aws,
    wrapStore = (store) => store,
    wrapDriver = (driver) => driver,
    scan = async () => [],
    owner: who = {},
    liveness = () => "unknown",
    machine,
    cacheStore,
  }: InMemoryOptions): Promise<InMemory> {
    const owner = machine?.owner ?? {
      ...{ host: "test", bootId: "b", pid: 1, pidStart: "1", session: "test-session" },
      ...who,
    };
    const { config } = loadConfig(["--sandbox", ...args], env);
    const { log = () => {} } = ports;
    const driver = wrapDriver(memoryDriver(kept));
    const store = wrapStore(await openStore({ driver, clock, ids, owner, user: "tester", log, liveness, limits }));
    const aws = wrap(createSandboxAws({ store: world, clock, log }), clock);
    const app = createApp({
      config,
      version: "0.0.0",
      aws,
      store,
      clock,
      ids,
      log,
      owner,
      scan,
      ...ports,
      ...(cacheStore && { cacheStore }),
    });
    const [near, far] = InMemoryTransport.createLinkedPair();
    const client = new Client({ name: "test", version: "1" });
    await Promise.all([createServer(app).connect(far), client.connect(near)]);
    return {
      call: async (name, given = {}) => {
        const { structuredContent, isError } = await client.callTool({ name, arguments: given });
        return { ...(structuredContent as object), ...(isError ? { isError } : {}) };
      },
      async subscribe(uri) {
        const updated: string[] = [];
        client.setNotificationHandler("notifications/resources/updated", ({ params }) => void updated.push(params.uri));
        await client.subscribeResource({ uri });
        return updated;
      },
      outsider: outsider(world, clock),
      async edit(change) {
        const held = (await world.load())!;
        change(held.regions[SANDBOX_REGION]!);
        await world.save(held);
      },
      waitedFor: (milliseconds) =>
        new Promise((resolve) => {
          const look = () => {
            const waiter = [...waiting].find((one) => one.milliseconds === milliseconds);
            if (!waiter) return;
            waiting.delete(waiter);
            watchers.delete(look);
            now += milliseconds;
            waiter.over();
            resolve();
          };
          watchers.add(look);
          look();
        }),
      pass: (milliseconds) => {
        now += milliseconds;
      },
      beat: () => app.heartbeat(),
      beside: (more = {}) => start(more),
      kept,
      app,
      close: () => client.close(),
    };
  }
  return start(options);
}
