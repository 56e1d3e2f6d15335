// The state store at size, on files: opening, commits, checkpoints, beside a whole-file rewrite. Prints, decides nothing.

import { spawnSync } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import {
  closeSync,
  cpSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { arch, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { checkpointDocument, checkpointText } from "../../state/checkpoint.js";
import { fileDriver } from "../../state/drivers/file.js";
import { openStore, type Store } from "../../state/journal.js";
import { owner, plan } from "../state/helpers.js";
import { change, ridOf, type Size, writeStore } from "./world.js";

type Figures = Record<string, unknown>;
interface Job {
  readonly size: Size;
  readonly root: string;
}

const SIZES: readonly Size[] = [
  { resources: 100, entries: 10 },
  { resources: 10_000, entries: 10 },
];
const COMMITS = 400;
const CHECKPOINTS = 5;
const REWRITES = 3;
const LINEAGES = 9;
const TICK_MS = 5;
const MiB = 1024 * 1024;

const clock = {
  now: () => new Date(),
  monotonic: () => performance.now(),
  sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
};
const ids = { uuid: () => randomUUID(), bytes: (count: number) => randomBytes(count) };
const open = (root: string): Promise<Store> =>
  openStore({ driver: fileDriver({ root }, { clock, ids }), clock, ids, owner: owner(), user: "bench" });

const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;
const round = (ms: number): number => Number(ms.toPrecision(3));
const spread = (name: string, values: readonly number[]): Figures => ({
  [`${name}P50Ms`]: round(quantile(values, 0.5)),
  [`${name}P99Ms`]: round(quantile(values, 0.99)),
});
const mebibytes = (bytes: number): number => round(bytes / MiB);
const resident = (): number => mebibytes(process.memoryUsage().rss);

async function timed<T>(run: () => T | Promise<T>): Promise<{ ms: number; value: T }> {
  const from = performance.now();
  const value = await run();
  return { ms: performance.now() - from, value };
}

/** How long it took, and the longest time in which a timer that was due had to wait for it. */
async function watched<T>(run: () => Promise<T>): Promise<{ ms: number; stallMs: number; value: T }> {
  const delay = monitorEventLoopDelay({ resolution: TICK_MS });
  delay.enable();
  await new Promise((resolve) => setTimeout(resolve, 4 * TICK_MS));
  delay.reset();
  const { ms, value } = await timed(run);
  await new Promise((resolve) => setTimeout(resolve, 4 * TICK_MS));
  delay.disable();
  return { ms, stallMs: Math.max(0, delay.max / 1e6 - TICK_MS), value };
}

/** One durable write of a commit's size on this disk, without a store: the floor under every commit. */
function fsyncAlone(root: string): number[] {
  const bytes = randomBytes(3_000);
  return Array.from({ length: COMMITS }, (_, index) => {
    const path = join(root, `fsync-${index}`);
    const from = performance.now();
    const file = openSync(path, "wx");
    writeFileSync(file, bytes);
    fsyncSync(file);
    closeSync(file);
    const ms = performance.now() - from;
    rmSync(path);
    return ms;
  });
}

// ── phases: each is a process of its own, so that memory and caches are its own ────────────────────────────────────

const PHASES: Record<string, (job: Job) => Promise<Figures>> = {
  async generate({ size, root }) {
    const { ms } = await timed(() => writeStore(root, size));
    return { generateMs: round(ms) };
  },

  /** The first process finds the chain alone, folds all of it and writes the checkpoint. */
  async replay({ root }) {
    const { ms, value: store } = await timed(() => open(root));
    await store.commit((_, seq) => [plan(seq).event]);
    const written = await watched(() => store.checkpoint());
    // Twice, so that one stands behind the other and both cover the archive.
    await store.commit((_, seq) => [plan(seq).event]);
    await store.checkpoint();
    return {
      replayMs: round(ms),
      replayCheckpointMs: round(written.ms),
      replayCheckpointStallMs: round(written.stallMs),
    };
  },

  async open({ root }) {
    const { ms, stallMs, value: store } = await watched(() => open(root));
    await store.state();
    return { openMs: round(ms), openStallMs: round(stallMs) };
  },

  async work({ size, root }) {
    const bare = resident();
    const store = await open(root);
    await store.state();
    const figures: Figures = { residentBareMiB: bare, residentOpenMiB: resident() };
    // Plans are not followed by a checkpoint: what a commit alone costs. Interleaved with the disk's own price.
    const commits: number[] = [];
    for (let index = 0; index < COMMITS; index++) {
      commits.push((await timed(() => store.commit((_, seq) => [plan(seq).event]))).ms);
    }
    Object.assign(figures, spread("fsyncAlone", fsyncAlone(root)), spread("commit", commits));

    // Changes with their outcome: a checkpoint follows where one is due.
    const outcomes: number[] = [];
    const busy = await watched(async () => {
      for (let index = 0; index < COMMITS; index++) {
        const version = size.entries + Math.floor(index / size.resources);
        const act = () => store.commit((_, seq) => change(seq, index % size.resources, version));
        outcomes.push((await timed(act)).ms);
      }
    });
    Object.assign(figures, spread("outcome", outcomes), { outcomesStallMs: round(busy.stallMs) });

    const made = { ms: [] as number[], stall: [] as number[] };
    for (let index = 0; index < CHECKPOINTS; index++) {
      await store.commit((_, seq) => change(seq, index % size.resources, size.entries + COMMITS));
      const one = await watched(() => store.checkpoint());
      made.ms.push(one.ms);
      made.stall.push(one.stallMs);
    }
    Object.assign(figures, {
      checkpointFirstMs: round(made.ms[0]!),
      checkpointFirstStallMs: round(made.stall[0]!),
      checkpointP50Ms: round(quantile(made.ms, 0.5)),
      checkpointStallMaxMs: round(Math.max(...made.stall)),
      residentEndMiB: resident(),
      stateJsonMiB: mebibytes(statSync(join(root, "state.json")).size),
    });

    const lineages: number[] = [];
    for (let index = 1; index <= LINEAGES; index++) {
      const rid = ridOf((index * 37) % size.resources);
      const { ms, value } = await timed(() => store.lineage(rid));
      if (value.length < size.entries) throw new Error(`${rid} has ${value.length} entries of ${size.entries}`);
      lineages.push(ms);
    }
    figures.lineageP50Ms = round(quantile(lineages, 0.5));
    const closed = await timed(() => store.close());
    return { ...figures, closeMs: round(closed.ms) };
  },

  async verify({ root }) {
    const store = await open(root);
    const { ms, value } = await timed(() => store.verify());
    if (!value.ok) throw new Error(`The store does not verify: ${JSON.stringify(value)}`);
    return { verifyMs: round(ms), commits: value.commits };
  },

  /** The same mutation as most state files make it: read, change and rewrite the whole document. */
  async wholeFile({ root }) {
    const bare = mkdtempSync(join(tmpdir(), "bench-whole-"));
    try {
      // Without its checkpoint a store is folded from its first commit on, with every entry in it.
      for (const part of ["journal", "archive", "floor", "store.id"]) {
        cpSync(join(root, part), join(bare, part), { recursive: true });
      }
      const text = checkpointText(checkpointDocument(await (await open(bare)).state(), ""));
      const path = join(bare, "whole.json");
      writeFileSync(path, text);
      const times: number[] = [];
      for (let index = 0; index < REWRITES; index++) {
        const { ms } = await timed(() => {
          const document = JSON.parse(readFileSync(path, "utf8")) as { metadata: { last_updated: string } };
          document.metadata.last_updated = clock.now().toISOString();
          const file = openSync(path, "w");
          writeFileSync(file, JSON.stringify(document, null, 2));
          fsyncSync(file);
          closeSync(file);
        });
        times.push(ms);
      }
      return { wholeFileMiB: mebibytes(text.length), wholeFileP50Ms: round(quantile(times, 0.5)) };
    } finally {
      rmSync(bare, { recursive: true, force: true });
    }
  },
};

function inOwnProcess(phase: string, job: Job): Figures {
  const script = fileURLToPath(import.meta.url);
  const args = ["--max-old-space-size=8192", script, "--phase", phase, JSON.stringify(job)];
  const run = spawnSync(process.execPath, args, { encoding: "utf8", maxBuffer: MiB });
  const answer = run.stdout.trim().split("\n").at(-1) ?? "";
  if (run.status === 0 && answer.startsWith("{")) return JSON.parse(answer) as Figures;
  const said = /Error: (.*)/.exec(run.stderr)?.[1] ?? run.stderr.slice(-300);
  const because = said === "Invalid string length" ? "the document is longer than a JavaScript string may be" : said;
  return { [`${phase}Failed`]: because };
}

async function main(): Promise<void> {
  const out = (line: string): void => void process.stdout.write(`${line}\n`);
  const json = process.argv.includes("--json");
  const chosen = process.argv.filter((arg) => /^\d+x\d+$/.test(arg)).map((arg) => arg.split("x").map(Number));
  const sizes = chosen.length > 0 ? chosen.map(([resources = 1, entries = 1]) => ({ resources, entries })) : SIZES;
  const machine = `node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? arch()}`;
  if (!json) out(`${machine}; folders under ${tmpdir()}`);
  const results: Figures[] = [];
  for (const size of sizes) {
    const root = mkdtempSync(join(tmpdir(), "bench-state-"));
    const figures: Figures = { ...size, lineageEntries: size.resources * size.entries };
    try {
      for (const phase of Object.keys(PHASES)) {
        const made = inOwnProcess(phase, { size, root });
        Object.assign(figures, made);
        if (!json) for (const [name, value] of Object.entries(made)) out(`  ${name.padEnd(26)} ${value}`);
      }
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
    if (!json) out(`${size.resources} resources × ${size.entries} entries: done`);
    results.push(figures);
  }
  const ratio = (name: string): number | null => {
    const [small, large] = [results[0]?.[name], results.at(-1)?.[name]];
    return results.length > 1 && typeof small === "number" && typeof large === "number" ? round(large / small) : null;
  };
  const ratios = {
    commitP50: ratio("commitP50Ms"),
    commitP99: ratio("commitP99Ms"),
    outcomeP50: ratio("outcomeP50Ms"),
  };
  if (json) out(JSON.stringify({ machine, sizes: results, ratios }));
  else out(`ratios large : small  ${JSON.stringify(ratios)}`);
}

const phaseAt = process.argv.indexOf("--phase");
const phase = phaseAt < 0 ? undefined : PHASES[process.argv[phaseAt + 1]!];
if (phase) {
  const figures = await phase(JSON.parse(process.argv[phaseAt + 2]!) as Job);
  process.stdout.write(`${JSON.stringify(figures)}\n`);
} else await main();
