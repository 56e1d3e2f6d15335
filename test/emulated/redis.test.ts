// Our connection to a real redis-server: there, gone, silent, back, and never in the way of the process' end.

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { createRedis, placeOf, RedisAway, type RedisOptions } from "../../src/redis.js";
import { redisFor } from "./redis-server.js";

const PASSWORD = "correct-horse-battery";
const server = await redisFor("Redis connection", { password: PASSWORD });
afterAll(() => server?.close());

/** A clock of the test's own for pauses; time-outs are real. */
function connection(more: Partial<RedisOptions> = {}) {
  const said: { level: string; message: string; facts: unknown }[] = [];
  let ahead = 0;
  let waits = 0;
  const redis = createRedis({
    url: server!.url,
    timeoutMs: 300,
    clock: {
      monotonic: () => ahead,
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          waits++;
          const timer = setTimeout(resolve, ms);
          signal?.addEventListener("abort", () => {
            clearTimeout(timer);
            reject(signal.reason);
          });
        }),
    },
    log: (level, message, facts) => void said.push({ level, message, facts }),
    ...more,
  });
  return {
    redis,
    said,
    waits: () => waits,
    pass: (ms: number) => {
      ahead += ms;
    },
  };
}

/** Asks until it is answered, as calls come in; time passes between them. */
async function untilAnswered(one: ReturnType<typeof connection>): Promise<unknown> {
  for (let asked = 0; asked < 200; asked++) {
    one.pass(60_000);
    const answer = await one.redis.send("PING").catch((error) => error);
    if (!(answer instanceof Error)) return answer;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error("it never came back");
}

describe.skipIf(!server)("Redis", () => {
  beforeEach(() => {
    server!.cli("FLUSHALL");
  });

  it("is spoken to in its own words, and its refusal of a command is a refusal, not an absence", async () => {
    const { redis, said } = connection();
    expect(await redis.send("SET", "a", "1")).toBe("OK");
    expect(await redis.send("INCR", "a")).toBe(2);
    await expect(redis.send("LPUSH", "a", "x")).rejects.toThrow(/WRONGTYPE/);
    expect(await redis.send("GET", "a")).toBe("2");
    expect(said).toEqual([]);
    redis.close();
  });

  it("goes away with one warning that names no password, fails at once meanwhile, and is back when it returns", async () => {
    const one = connection();
    await one.redis.send("PING");
    await server!.stop();
    for (let asked = 0; asked < 20; asked++) {
      one.pass(60_000);
      await expect(one.redis.send("PING")).rejects.toThrow(RedisAway);
    }
    expect(one.said.map(({ level }) => level)).toEqual(["warn"]);
    expect(JSON.stringify(one.said)).not.toContain(PASSWORD);
    await server!.start();
    expect(await untilAnswered(one)).toBe("PONG");
    expect(one.said.map(({ message }) => message)).toEqual([expect.stringContaining("away"), "Redis is back"]);
    one.redis.close();
  });

  it("that is there and silent costs one time-out, then nothing", async () => {
    const one = connection();
    await one.redis.send("PING");
    server!.signal("SIGSTOP");
    try {
      await expect(one.redis.send("PING")).rejects.toThrow(RedisAway);
      const before = one.waits();
      for (let asked = 0; asked < 50; asked++) await expect(one.redis.send("PING")).rejects.toThrow(RedisAway);
      expect(one.waits()).toBe(before);
    } finally {
      server!.signal("SIGCONT");
    }
    expect(await untilAnswered(one)).toBe("PONG");
    one.redis.close();
  });

  it("with a wrong password is away, and says why without telling either", async () => {
    const one = connection({ url: server!.url.replace(PASSWORD, "another-word") });
    await expect(one.redis.send("PING")).rejects.toThrow(RedisAway);
    expect(JSON.stringify(one.said)).toContain("WRONGPASS");
    expect(JSON.stringify(one.said)).not.toContain("another-word");
    const given = connection({ url: server!.url.replace(`:${PASSWORD}@`, ""), password: PASSWORD });
    expect(await given.redis.send("PING")).toBe("PONG");
    given.redis.close();
  });

  it("keeps no process alive, connected or not", async () => {
    const cache = join(import.meta.dirname, "../../.cache");
    mkdirSync(cache, { recursive: true });
    const room = mkdtempSync(join(cache, "redis-"));
    const entry = join(room, "entry.ts");
    writeFileSync(
      entry,
      `import { createRedis } from ${JSON.stringify(join(import.meta.dirname, "../../src/redis.ts"))};
       const sleep = (ms: number, signal?: AbortSignal) => new Promise<void>((done, gone) => {
         const timer = setTimeout(done, ms); signal?.addEventListener("abort", () => { clearTimeout(timer); gone(signal.reason); }); });
       const redis = createRedis({ url: process.argv[2]!, clock: { monotonic: () => performance.now(), sleep }, log: () => {} });
       process.stdout.write(String(await redis.send("PING").catch((error) => error.constructor.name)));`,
    );
    const outfile = join(room, "entry.mjs");
    try {
      await build({
        ...{ entryPoints: [entry], outfile, bundle: true, platform: "node", format: "esm", packages: "external" },
        logLevel: "silent",
      });
      const run = (url: string) => promisify(execFile)(process.execPath, [outfile, url], { timeout: 20_000 });
      expect((await run(server!.url)).stdout).toBe("PONG");
      expect((await run("redis://127.0.0.1:1")).stdout).toBe("RedisAway");
    } finally {
      rmSync(room, { recursive: true, force: true });
    }
  });
});

it("a url is told without user and password", () => {
  expect(placeOf("rediss://me:secret@cache.example:6380/2")).toBe("rediss://cache.example:6380/2");
});
