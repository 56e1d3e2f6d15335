// A real redis-server on a port of its own: started, stopped and started again as a test tells it.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { temporaryFolder } from "../harness.js";
import { skipLoudly } from "./skip.js";

export interface RedisServer {
  readonly url: string;
  /** Another connection, past the product. */
  cli(...words: string[]): string;
  /** Stops it at once; what it held is gone. */
  stop(): Promise<void>;
  /** Starts it again on the same port. */
  start(): Promise<void>;
  /** Holds and lets go of the process: it is there and does not answer. */
  signal(name: "SIGSTOP" | "SIGCONT"): void;
  close(): Promise<void>;
}

/** For a suite: redis-server, or `undefined` after one loud line. */
export async function redisFor(
  suite: string,
  options: { readonly password?: string } = {},
): Promise<RedisServer | undefined> {
  try {
    execFileSync("redis-server", ["--version"], { stdio: "ignore" });
  } catch {
    skipLoudly(suite, "redis-server; install it with: apt-get install redis-server");
    return undefined;
  }
  const folder = temporaryFolder("redis-");
  const port = await freePort();
  const { password } = options;
  let child: ChildProcess | undefined;
  const killed = () => void child?.kill("SIGKILL");
  process.once("exit", killed);
  const cli = (...words: string[]): string =>
    execFileSync(
      "redis-cli",
      ["-p", String(port), ...(password ? ["-a", password, "--no-auth-warning"] : []), ...words],
      {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      },
    ).trim();

  async function start(): Promise<void> {
    child = spawn(
      "redis-server",
      [
        ...["--bind", "127.0.0.1", "--port", String(port), "--save", "", "--appendonly", "no", "--dir", folder.path],
        ...(password ? ["--requirepass", password] : []),
      ],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    const { stdout } = child;
    await new Promise<void>((resolve, reject) => {
      let said = "";
      stdout!.on("data", (chunk) => {
        said += String(chunk);
        if (/Ready to accept connections/.test(said)) resolve();
      });
      child!.once("exit", () => reject(new Error(`redis-server ended: ${said.slice(-300)}`)));
    });
  }

  async function stop(): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  await start();
  return {
    url: `redis://${password ? `:${password}@` : ""}127.0.0.1:${port}`,
    cli,
    start,
    stop,
    signal: (name) => void child?.kill(name),
    async close() {
      await stop();
      process.off("exit", killed);
      folder.remove();
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
