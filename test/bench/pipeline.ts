// What the guardrails add to a call that does nothing: wall time, without an audit log and with one, each way of writing it.

import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { arch, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { AUDIT_SCHEMA, createAudit } from "../../src/audit.js";
import { createCatalogue } from "../../src/catalogue.js";
import { guardrailLimits, loadConfig } from "../../src/config.js";
import type { Call, Outcome } from "../../src/core/call.js";
import { compose, type Layer } from "../../src/core/compose.js";
import type { Audit, Clock } from "../../src/core/ports.js";
import { memoryMeters } from "../../src/meters.js";
import { audited } from "../../src/pipeline/audit.js";
import { budget } from "../../src/pipeline/budget.js";
import { correlate } from "../../src/pipeline/correlate.js";
import { hygiene } from "../../src/pipeline/hygiene.js";
import { lookup } from "../../src/pipeline/lookup.js";
import { loops } from "../../src/pipeline/loops.js";
import { recover } from "../../src/pipeline/recover.js";
import { validate } from "../../src/pipeline/validate.js";
import { securityLog } from "../../src/security.js";
import { type EngineName, sqlite } from "../../src/sqlite.js";
import { domains } from "../../tools/index.js";

const ROUNDS = Number(process.env.ROUNDS ?? 1_000);
const WARM_UP = 100;
const log = () => {};
const clock: Clock = {
  now: () => new Date(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => setTimeout(ms, undefined, { ref: false, ...(signal && { signal }) }),
};
// Never refused, and counted like any other.
const { config } = loadConfig(["--sandbox", "--calls-per-hour", "1000000", "--identical-calls", "1000000"], {});
const limits = guardrailLimits(config);
const catalogue = createCatalogue(domains, { allowWrites: true });
const security = securityLog({ ...limits.unknown, clock, log });

const bare = (): readonly Layer<Call, Outcome>[] => [
  recover({ log }),
  lookup({ catalogue, listing: { toolsets: ["default"], dotted: false }, absent: new Map(), security }),
  validate(),
];
const guarded = (audit: Audit | null): readonly Layer<Call, Outcome>[] => {
  const meters = memoryMeters({ ...limits, clock });
  return [
    correlate({ catalogue, ids: { uuid: randomUUID } }),
    audited({ audit, sessionId: "bench", clock }),
    recover({ log }),
    hygiene({ security }),
    budget({ meters, budgetLimits: limits.budget, budgetSession: "bench", log }),
    loops({ meters, loopLimits: limits.loops, staleBy: () => [] }),
    ...bare().slice(1),
  ];
};

const out = (text: string): void => void process.stdout.write(`${text}\n`);

type Run = (call: Call) => Promise<Outcome>;
const running = (layers: readonly Layer<Call, Outcome>[]): Run =>
  compose<Call, Outcome>([...layers], async () => ({ status: "ok", data: { done: true } }));

const native = await import("node:sqlite" as string).then(
  () => true,
  () => false,
);
const folder = mkdtempSync(join(tmpdir(), "bench-pipeline-"));

/** A real log on this machine's disk. */
function auditOn(engine: EngineName, required: boolean): Audit {
  const db = sqlite({
    ...{
      path: join(folder, `${randomUUID()}.db`),
      schema: AUDIT_SCHEMA,
      clock,
      liveness: () => "unknown" as const,
      engine,
    },
    owner: { host: "bench", bootId: "b", pid: process.pid, pidStart: "1", session: "bench" },
  });
  return createAudit({ db, clock, log, required, days: 90, megabytes: 256 });
}

interface Way {
  readonly name: string;
  readonly run: Run;
  /** What goes on after the answer, waited for before the next call: an assistant leaves it that time. */
  readonly rest: () => Promise<void>;
  readonly times: number[];
}
const way = (name: string, run: Run, rest: Way["rest"] = async () => {}): Way => ({ name, run, rest, times: [] });

const logs: Audit[] = [];
const ways = [way("no guardrails: lookup and schema", running(bare())), way("guardrails", running(guarded(null)))];
for (const engine of native ? (["node", "wasm"] as const) : (["wasm"] as const)) {
  const [awaited, behind, required] = [auditOn(engine, false), auditOn(engine, false), auditOn(engine, true)];
  logs.push(awaited, behind, required);
  let written: Promise<void> = Promise.resolve();
  const end: Audit["end"] = async (row) => {
    written = behind.end(row);
  };
  ways.push(
    way(`guardrails, row awaited (${engine})`, running(guarded(awaited))),
    way(`guardrails, row behind the answer (${engine})`, running(guarded({ ...behind, end })), () => written),
    way(`guardrails, --audit-required (${engine})`, running(guarded(required))),
  );
}

out(
  `node ${process.version}, ${arch()}, ${cpus()[0]?.model ?? "unknown"}; ms a call, ${ROUNDS} rounds after ${WARM_UP}`,
);
// All ways in every round, so that what else the machine does is in each of them.
for (let round = 0; round < ROUNDS + WARM_UP; round++) {
  for (const { run, rest, times } of ways) {
    const given = { tags: { team: `shop-${round}`, environment: "production" }, states: ["running"], limit: 20 };
    const from = performance.now();
    const { status } = await run({
      ...{ name: "instances_list", arguments: given, at: new Date() },
      context: { client: "bench", progress() {} },
    });
    if (round >= WARM_UP) times.push(performance.now() - from);
    if (status !== "ok") throw new Error("the call was refused");
    await rest();
  }
}
const at = (times: readonly number[], share: number): number =>
  [...times].sort((a, b) => a - b)[Math.floor(times.length * share)]!;
const without = at(ways[0]!.times, 0.5);
for (const { name, times } of ways) {
  const median = at(times, 0.5);
  out(
    `${name.padEnd(44)} median ${median.toFixed(3).padStart(7)}  p99 ${at(times, 0.99).toFixed(3).padStart(8)}  adds ${(median - without).toFixed(3).padStart(7)}  × ${(median / without).toFixed(1)}`,
  );
}
for (const audit of logs) await audit.settled();
rmSync(folder, { recursive: true, force: true });
