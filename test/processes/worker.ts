// A process on a store, told what to do in lines of JSON: the real store, file driver and app, with the knobs that the
// command does not have. Bundled and started by worker-process.ts.

import { randomBytes, randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import type { App } from "../../src/app.js";
import { OpsError } from "../../src/core/errors.js";
import type { Clock, Ids } from "../../src/core/ports.js";
import { type FsPort, fileDriver, nodeFs } from "../../state/drivers/file.js";
import { livenessOn, thisOwner } from "../../state/drivers/host.js";
import type { Event } from "../../state/events.js";
import { openStore } from "../../state/journal.js";
import type { Lease } from "../../state/leases.js";
import { operationId } from "../../state/tokens.js";
import { intent, plan, ref, result, step } from "../state/helpers.js";
import { UNHURRIED } from "../unhurried.js";
import type { Order, WorkerOptions } from "./worker-process.js";

const options = JSON.parse(process.argv[2] ?? "{}") as WorkerOptions;
const clock: Clock & { ahead: number } = {
  ahead: options.aheadMs ?? 0,
  now: () => new Date(Date.now() + clock.ahead),
  monotonic: () => performance.now(),
  // What nobody waits for any more keeps no process from ending.
  sleep: (ms, signal) => setTimeout(ms, undefined, signal && { signal }),
};
const ids: Ids = { uuid: () => randomUUID(), bytes: (count) => randomBytes(count) };
const runtime = {
  host: hostname(),
  pid: process.pid,
  session: randomUUID(),
  pidExists: (pid: number) => {
    try {
      return process.kill(pid, 0);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "EPERM";
    }
  },
};
const owner = thisOwner(runtime);
const liveness = livenessOn(runtime);

/** The file system of this machine; before the call that is waited for, the whole process stops until SIGCONT. */
function stopping(): FsPort {
  let seen = 0;
  const at =
    <A extends unknown[]>(call: string, run: (...args: A) => Promise<void>) =>
    (...args: A): Promise<void> => {
      const { stopAt } = options;
      if (stopAt?.call === call && String(args.at(-1)).includes(stopAt.path) && ++seen === stopAt.nth) {
        process.kill(process.pid, "SIGSTOP");
      }
      return run(...args);
    };
  return {
    ...nodeFs,
    link: at("link", nodeFs.link),
    unlink: at("unlink", nodeFs.unlink),
    rename: at("rename", nodeFs.rename),
  };
}

const store = await openStore({
  driver: fileDriver(
    {
      root: options.root,
      ...(options.minFreeBytes !== undefined && { minFreeBytes: options.minFreeBytes }),
    },
    { clock, ids, fs: stopping() },
  ),
  clock,
  ids,
  owner,
  liveness,
  user: "worker",
  client: "worker",
  ...(options.leaseMs !== undefined && { leaseMs: options.leaseMs }),
});

let app: Promise<App> | undefined;
const held = new Map<number, Lease>();
let beating: NodeJS.Timeout | undefined;

/** The server's app on this store, loaded when it is first called: most workers only commit. */
async function served(): Promise<App> {
  const [{ createApp }, { createAws }, { loadConfig }] = await Promise.all([
    import("../../src/app.js"),
    import("../../src/aws/index.js"),
    import("../../src/config.js"),
  ]);
  const { config } = loadConfig(["--allow-writes", "--approve-from", "never", "--state", options.root], UNHURRIED);
  const log = () => {};
  const aws = createAws({ env: process.env, version: "0.0.0", clock, log });
  return createApp({ config, version: "0.0.0", aws, store, clock, ids, log, owner, scan: async () => [] });
}

/** Good for ten minutes by this process's clock. */
const soon = () => ({
  plannedAt: clock.now().toISOString(),
  expiresAt: new Date(clock.now().getTime() + 600_000).toISOString(),
});

async function change(id: string): Promise<{ seq: number; changeId: string; token: string }> {
  const of = ref(id);
  let made = plan(1);
  await store.commit((_, seq) => {
    made = plan(seq, [step({ ref: of, input: { InstanceIds: [id] } })], soon());
    return [made.event];
  });
  const begun = await store.commit((_, seq) => [intent(seq, made.id, made.token, 0, owner)]);
  const { seq } = await store.commit(() => [
    {
      type: "op.succeeded",
      operationId: operationId(begun.seq),
      results: [result({ state: "running" }, { state: "stopped" }, of)],
    },
  ]);
  return { seq, changeId: made.id, token: made.token };
}

async function obey(order: Order): Promise<unknown> {
  switch (order.do) {
    case "call": {
      app ??= served();
      const { structuredContent, isError } = await (await app).call(order.tool, order.args ?? {}, {
        progress: () => {},
      } as never);
      return { isError: isError === true, data: structuredContent };
    }
    case "change":
      return change(order.of);
    case "commit": {
      const { seq } = await store.commit(() => order.events as readonly Event[], { epoch: order.epoch ?? 0 });
      return { seq };
    }
    case "plan": {
      let made = plan(1);
      const { seq } = await store.commit(
        (_, at) => {
          made = plan(at, [step()], soon());
          return [made.event];
        },
        { epoch: order.epoch ?? 0 },
      );
      return { seq, changeId: made.id, token: made.token };
    }
    case "intend": {
      const { seq } = await store.commit((_, at) => [
        { ...intent(at, order.changeId, order.token, 0, order.owner ?? owner), resendUntil: soon().expiresAt },
      ]);
      return { operationId: operationId(seq) };
    }
    case "succeed": {
      const { seq } = await store.commit(() => [
        {
          type: "op.succeeded",
          operationId: order.operationId,
          results: [result({ state: "running" }, { state: "stopped" })],
        },
      ]);
      return { seq };
    }
    case "acquire": {
      const lease = await store.leases.acquire(order.scope, "torture", { waitMs: order.waitMs ?? 0 });
      if (lease instanceof OpsError) throw lease;
      held.set(lease.generation, lease);
      return { generation: lease.generation };
    }
    case "beat":
      return { holds: await held.get(order.generation)!.heartbeat() };
    case "keepBeating":
      beating = setInterval(() => void held.get(order.generation)!.heartbeat(), order.everyMs);
      return {};
    case "release":
      clearInterval(beating);
      await held.get(order.generation)!.release();
      return {};
    case "compact":
      return store.compact();
    case "checkpoint":
      await store.checkpoint();
      return {};
    case "ahead":
      clock.ahead += order.ms;
      return {};
    case "owner":
      return owner;
    case "seq":
      return { seq: (await store.state()).seq, readOnly: store.readOnly?.code ?? null };
  }
}

process.stdout.write(`${JSON.stringify({ id: 0, answer: { ready: true } })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as Order & { id: number };
  void obey(order).then(
    (answer) => process.stdout.write(`${JSON.stringify({ id: order.id, answer })}\n`),
    (error: unknown) => {
      const refusal =
        error instanceof OpsError
          ? { code: error.code, message: error.message, details: error.details }
          : { code: "bug", message: String((error as Error)?.stack ?? error), details: {} };
      process.stdout.write(`${JSON.stringify({ id: order.id, refusal })}\n`);
    },
  );
}
clearInterval(beating);
