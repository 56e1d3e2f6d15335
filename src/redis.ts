// Redis behind one small port, connected at first use. It may go away and come back at any time: then calls fail at once and are told apart.

import { inTime, LATE } from "./core/in-time.js";
import type { CacheStore, Clock, Log, Redis } from "./core/ports.js";

export interface RedisOptions {
  /** redis[s]://[[user][:password]@]host[:port][/database] */
  readonly url: string;
  /** Where it is not in the url. */
  readonly password?: string;
  readonly timeoutMs?: number;
  readonly clock: Pick<Clock, "monotonic" | "sleep">;
  readonly log: Log;
}

/** Redis cannot be asked now. Whoever asked goes on without it. */
export class RedisAway extends Error {}

const TIMEOUT_MS = 5_000;
/** Between two attempts to connect again; doubled with each that fails. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** How long a call waits to see whether it is back: one that is there answers within that, one that refuses sooner. */
const GLANCE_MS = 100;

interface Connection {
  sendCommand(words: string[]): Promise<unknown>;
  destroy(): void;
}

/**
 * No timer and no socket of it keeps the process alive: an attempt to connect again is made beside a call, never between
 * calls. The first connection is waited for, for `timeoutMs` at most; a later one hardly.
 *
 * @example const redis = createRedis({ url: "redis://127.0.0.1:6379", clock, log })
 */
export function createRedis(options: RedisOptions): Redis {
  const { clock, log, timeoutMs = TIMEOUT_MS } = options;
  const where = placeOf(options.url);
  let connection: Connection | null = null;
  let connecting: Promise<void> | null = null;
  let tried = false;
  let away = false;
  let closed = false;
  let pause = FIRST_PAUSE_MS;
  let notBefore = 0;

  function lost(error: unknown): void {
    connection?.destroy();
    connection = null;
    if (closed) return;
    notBefore = clock.monotonic() + pause;
    pause = Math.min(LONGEST_PAUSE_MS, pause * 2);
    if (away) return;
    away = true;
    log("warn", "Redis is away: budgets, loop counters and caches are this process's own until it is back", {
      redis: where,
      why: error instanceof Error ? error.message || error.name : String(error),
    });
  }

  async function connect(): Promise<void> {
    try {
      const made = await connected(options, timeoutMs, clock, (error) => {
        if (connection) lost(error);
      });
      if (closed) return made.destroy();
      connection = made;
      if (away) log("info", "Redis is back", { redis: where });
      away = false;
      pause = FIRST_PAUSE_MS;
    } catch (error) {
      lost(error);
    } finally {
      tried = true;
      connecting = null;
    }
  }

  async function ready(): Promise<Connection> {
    if (!connection && !closed) {
      if (!connecting && clock.monotonic() >= notBefore) connecting = connect();
      if (connecting) await (tried ? promptly(connecting, GLANCE_MS, clock).catch(() => {}) : connecting);
    }
    if (!connection) throw new RedisAway(`${where} cannot be reached`);
    return connection;
  }

  return {
    async send(...words) {
      const asked = await ready();
      try {
        return await promptly(asked.sendCommand([...words]), timeoutMs, clock);
      } catch (error) {
        if (error instanceof Error && (await isAnswer(error))) throw error;
        if (asked === connection) lost(error);
        throw new RedisAway(`${where} did not answer`, { cause: error });
      }
    },
    close() {
      closed = true;
      connection?.destroy();
      connection = null;
    },
  };
}

/** A CommonJS package: in a bundle all of it is its default. */
const client = async () => (await import("@redis/client")).default;

/** Refusals of the server as a whole: to be here and take nothing is to be away. */
const REFUSES_ALL = /^(NOAUTH|NOPERM|READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|MOVED|OOM|MISCONF)\b/;

/** Whether Redis answered, and to this command alone. */
async function isAnswer(error: Error): Promise<boolean> {
  const { ErrorReply } = await client();
  return error instanceof ErrorReply && !REFUSES_ALL.test(error.message);
}

async function connected(
  { url, password }: RedisOptions,
  timeoutMs: number,
  clock: Pick<Clock, "sleep">,
  onLost: (error: unknown) => void,
): Promise<Connection> {
  const { createClient } = await client();
  const made = createClient({
    url,
    ...(password ? { password } : {}),
    RESP: 2,
    disableOfflineQueue: true,
    socket: { connectTimeout: timeoutMs, reconnectStrategy: false },
  });
  made.unref();
  made.on("error", onLost);
  const destroy = () => {
    if (made.isOpen) made.destroy();
  };
  try {
    await promptly(made.connect(), timeoutMs, clock);
  } catch (error) {
    destroy();
    throw error;
  }
  return { sendCommand: (words) => made.sendCommand(words), destroy };
}

async function promptly<T>(work: Promise<T>, ms: number, clock: Pick<Clock, "sleep">): Promise<T> {
  const answer = await inTime(work, ms, clock);
  if (answer === LATE) throw new Error(`no answer within ${ms} ms`);
  return answer;
}

/** What may be told of a url: neither user nor password. */
export function placeOf(url: string): string {
  const { protocol, hostname, port, pathname } = new URL(url);
  return `${protocol}//${hostname}:${port || "6379"}${pathname === "/" ? "" : pathname}`;
}

const CACHE = "aws-devops-mcp:cache:";
/** Keys looked at in one step of a walk. */
const WALK = "500";

/** Cached answers beside whatever else is kept there: nothing is ever flushed but our own keys. */
export const redisCache = (redis: Pick<Redis, "send">): CacheStore => ({
  name: "redis",
  async get(key) {
    const found = await redis.send("GET", CACHE + key);
    return typeof found === "string" ? found : null;
  },
  async set(key, text, ttlSeconds) {
    await redis.send("SET", CACHE + key, text, "EX", String(Math.max(1, Math.floor(ttlSeconds))));
  },
  async deletePrefix(prefix) {
    const pattern = `${(CACHE + prefix).replace(/[\\*?[\]]/g, "\\$&")}*`;
    let cursor = "0";
    do {
      const [next, keys] = (await redis.send("SCAN", cursor, "MATCH", pattern, "COUNT", WALK)) as [string, string[]];
      if (keys.length > 0) await redis.send("UNLINK", ...keys);
      cursor = next;
    } while (cursor !== "0");
  },
});
