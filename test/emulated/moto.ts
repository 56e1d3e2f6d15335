// Starts and stops moto, the independent emulator. The product under test must never learn that it is emulated.
import { type ChildProcess, spawn } from "node:child_process";
import { installMoto, type Unavailable } from "./emulator-install.js";
import { requireEmulators, skipLoudly } from "./skip.js";

export interface Moto {
  readonly endpoint: string;
  /** A fresh, seeded account (a=42, so ids repeat) without IAM enforcement. */
  reset(): Promise<void>;
  /** Enforce IAM from the call after the next `calls` ones; reset() turns it off again. */
  enforceIam(calls?: number): Promise<void>;
  /** The end of moto's own log: why it answered 500. Empty when it is not ours. */
  log(): string;
  stop(): Promise<void>;
}

/** Ends with its parent: the standard input closes even when the parent was killed with SIGKILL. */
const server = `
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
from moto.server import main
main(["-H", "127.0.0.1", "-p", "0"])
`;

/** Answers `{ unavailable }` when something is missing; throws instead when REQUIRE_EMULATORS=1. */
export async function startMoto(): Promise<Moto | Unavailable> {
  const given = process.env.MOTO_ENDPOINT;
  const started = given ? attach(given) : await launch();
  if ("unavailable" in started) {
    if (requireEmulators()) throw new Error(`REQUIRE_EMULATORS=1, and missing: ${started.unavailable}`);
    return started;
  }
  await warmUp(started.endpoint);
  await started.reset();
  return started;
}

/** For a suite: moto, or `undefined` after one loud line. */
export async function motoFor(suite: string): Promise<Moto | undefined> {
  const started = await startMoto();
  if (!("unavailable" in started)) return started;
  skipLoudly(suite, started.unavailable);
  return undefined;
}

function attach(endpoint: string): Moto {
  const { hostname, protocol, origin } = new URL(endpoint);
  if (protocol !== "http:" || !/^(127\.\d+\.\d+\.\d+|localhost|\[::1\])$/.test(hostname)) {
    throw new Error(`MOTO_ENDPOINT must be a loopback http URL, not ${endpoint}.`);
  }
  return motoAt(
    origin,
    async () => {},
    () => "",
  );
}

async function launch(): Promise<Moto | Unavailable> {
  const installed = await installMoto();
  if ("unavailable" in installed) return installed;
  const child = spawn(installed.python, ["-c", server], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, PYTHONUNBUFFERED: "1", PYTHONDONTWRITEBYTECODE: "", MOTO_PORT: "0" },
  });
  const stop = endWithUs(child);
  const log = tail(child);
  const port = await listening(child, log);
  if (typeof port !== "number") {
    await stop();
    return { unavailable: `a working moto (it ended at start: ${port}); remove .cache/emulators and try again` };
  }
  return motoAt(`http://127.0.0.1:${port}`, stop, log);
}

/** Reads what moto says, which also keeps its pipes from filling up, and remembers the end of it. */
function tail(child: ChildProcess): () => string {
  let said = "";
  const hear = (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-20_000);
  };
  child.stdout?.on("data", hear);
  child.stderr?.on("data", hear);
  return () => said;
}

/** The port from moto's own line, so no port is ever guessed; its last words when it ended instead. */
function listening(child: ChildProcess, log: () => string): Promise<number | string> {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve(`no answer in 60 s: ${log().slice(-300)}`), 60_000);
    const done = (value: number | string) => {
      clearTimeout(late);
      resolve(value);
    };
    const look = () => {
      const port = /Running on http:\/\/127\.0\.0\.1:(\d+)/.exec(log())?.[1];
      if (port) done(Number(port));
    };
    child.stdout?.on("data", look);
    child.stderr?.on("data", look);
    child.once("error", (error) => done(error.message));
    child.once("exit", (code) => done(log().trim().split("\n").at(-1) || `exit code ${code}`));
  });
}

/** Kills by recorded id: on stop, at exit and on interrupt. */
function endWithUs(child: ChildProcess): () => Promise<void> {
  const gone = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  const kill = () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const interrupted = (signal: NodeJS.Signals) => {
    kill();
    process.off(signal, interrupted);
    // Ours was the only listener: repeat the signal, so that the default (to end) happens.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };
  process.once("exit", kill);
  for (const signal of signals) process.on(signal, interrupted);
  for (const part of [child, child.stdin, child.stdout, child.stderr])
    (part as { unref?: () => void } | null)?.unref?.();
  return async () => {
    process.off("exit", kill);
    for (const signal of signals) process.off(signal, interrupted);
    child.ref();
    kill();
    await gone;
  };
}

function motoAt(endpoint: string, stop: () => Promise<void>, log: () => string): Moto {
  return {
    endpoint,
    stop,
    log,
    async reset() {
      await control(endpoint, "reset-auth", "inf");
      await control(endpoint, "reset");
      await control(endpoint, "seed?a=42");
    },
    async enforceIam(calls = 0) {
      await control(endpoint, "reset-auth", String(calls));
    },
  };
}

async function control(endpoint: string, path: string, body = ""): Promise<void> {
  const reply = await fetch(`${endpoint}/moto-api/${path}`, { method: "POST", body });
  if (!reply.ok)
    throw new Error(`moto: /moto-api/${path} answered ${reply.status}: ${(await reply.text()).slice(0, 300)}`);
  await reply.arrayBuffer();
}

/** The first EC2 call loads the images (about a second); nobody's measured call should pay for it. */
async function warmUp(endpoint: string): Promise<void> {
  const data = await fetch(`${endpoint}/moto-api/data.json`);
  await data.arrayBuffer();
  if (!data.ok) throw new Error(`${endpoint} is not moto: /moto-api/data.json answered ${data.status}.`);
  const reply = await fetch(endpoint, {
    method: "POST",
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      authorization:
        "AWS4-HMAC-SHA256 Credential=warmup/20260101/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0",
    },
    body: "Action=DescribeImages&Version=2016-11-15&ImageId.1=ami-00000000000000000",
  });
  await reply.arrayBuffer();
}
