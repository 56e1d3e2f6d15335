// Every crash of the scenario, every disk it may leave, and what a restart makes of it. Counts worlds and broken promises.

import { createHash } from "node:crypto";
import { ConfigSchema } from "../../src/config.js";
import { digest } from "../../src/core/json.js";
import type { VerifyReport } from "../../src/core/record.js";
import { createGate } from "../../src/gate/index.js";
import { secretKeeper } from "../../src/gate/secrets.js";
import { createSession } from "../../src/session.js";
import { STORE_ID } from "../../state/chain.js";
import { seqOfKey } from "../../state/driver.js";
import { openOperations } from "../../state/lineage.js";
import { owner, START } from "../state/helpers.js";
import { ALL, type Disk, type Limits, MODES, type Mode } from "./disk.js";
import {
  compact,
  type Moment,
  machineClock,
  planOf,
  Recorder,
  ROOT,
  scenario,
  seeded,
  seededIds,
  start,
  type Variant,
} from "./scenario.js";

/** What a restart may never find. */
export type Violation =
  | "fresh start"
  | "refused to open"
  | "acknowledged commit lost"
  | "call without a durable intent"
  | "duplicate create"
  | "orphan"
  | "chain does not verify"
  | "history lost"
  | "state.json neither valid nor refused"
  | "no commit possible after recovery"
  | "operation left open";

export interface Count {
  readonly seed: number;
  /** Calls of the ports the scenario makes, and those of them that can leave another disk or AWS behind. */
  calls: number;
  crashes: number;
  /** Pairs of a crash and a disk it may leave, by mode; `again`: the recovery itself crashed. */
  readonly worlds: Record<Mode | "again", number>;
  /** Those of them that differ in disk, AWS or acknowledgements: each of these was restarted. */
  restarted: number;
  readonly violations: Map<Violation, number>;
  /** The first of each. */
  readonly examples: Map<Violation, string>;
}

export interface Plan {
  readonly seed: number;
  readonly variant?: Variant;
  /** Takes every n-th crash. */
  readonly every?: number;
  readonly limits?: Limits;
  /** Crashes of the recovery: of every n-th restart, and what its crashes may leave. 0: none. */
  readonly againEvery?: number;
  readonly againLimits?: Limits;
  /** Takes only the crashes before calls of this name. */
  readonly before?: RegExp;
  /** Takes the first of them only. */
  readonly first?: number;
  readonly modes?: readonly Mode[];
  readonly progress?: (line: string) => void;
}

/** Every n-th restart also walks the whole chain and ends in order; the head's hash stands for the chain in the others. */
const THOROUGH = 10;

/** How the process after the crash begins. */
const STYLES = ["settles", "saves first", "comes after two days", "compacts first"] as const;
type Style = (typeof STYLES)[number];

export const total = ({ worlds }: Count): number => Object.values(worlds).reduce((sum, count) => sum + count, 0);
export const broken = ({ violations }: Count): number =>
  [...violations.values()].reduce((sum, count) => sum + count, 0);

const digests = new WeakMap<Uint8Array, string>();
function digestOf(bytes: Uint8Array): string {
  let digest = digests.get(bytes);
  if (!digest) {
    digest = createHash("sha1").update(bytes).digest("base64");
    digests.set(bytes, digest);
  }
  return digest;
}

export async function enumerate({
  seed,
  variant = {},
  every = 1,
  limits = ALL,
  againEvery = 1,
  againLimits = { subsetOf: 4, prefixOf: 8 },
  before,
  first,
  modes = MODES,
  progress = () => {},
}: Plan): Promise<Count> {
  const count: Count = {
    seed,
    calls: 0,
    crashes: 0,
    worlds: { kill: 0, ordered: 0, subset: 0, again: 0 },
    restarted: 0,
    violations: new Map(),
    examples: new Map(),
  };
  const report = (violation: Violation, where: string): void => {
    count.violations.set(violation, (count.violations.get(violation) ?? 0) + 1);
    if (!count.examples.has(violation)) count.examples.set(violation, where);
  };
  /** Restarts of equal worlds end equally: the first one is run, the others are counted with it. */
  const judged = new Map<string, readonly [Violation, string][]>();

  async function judge(
    moment: Moment,
    disk: Disk,
    heads: ReadonlyMap<number, string>,
    style: Style,
    where: string,
    record: boolean,
  ): Promise<Recorder | null> {
    const { acknowledged } = moment.known;
    const key = createHash("sha1")
      .update(`${style}\n${acknowledged}\n${moment.aws.image()}\n${disk.image(digestOf)}`)
      .digest("base64");
    const known = judged.get(key);
    if (known && !record) {
      for (const [violation, why] of known) report(violation, why);
      return null;
    }
    count.restarted++;
    const thorough = record || count.restarted % THOROUGH === 0;
    const { recorder, violations } = await restart(
      moment,
      disk,
      heads,
      style,
      seed + count.restarted,
      variant,
      record,
      thorough,
    );
    const found = violations.map(([violation, why]): [Violation, string] => [violation, `${where}, ${style}: ${why}`]);
    judged.set(key, found);
    for (const [violation, why] of found) report(violation, why);
    return recorder;
  }

  const run = await scenario(seed, variant);
  count.calls = run.count;
  const random = seeded(seed);
  const crashes = run.moments.filter(({ call }) => !before || before.test(call)).slice(0, first);
  for (const [index, moment] of crashes.entries()) {
    if (index % every !== 0) continue;
    count.crashes++;
    if (index % 100 === 0)
      progress(`  at crash ${index} of ${crashes.length}: ${total(count)} worlds, ${broken(count)} violations`);
    for (const mode of modes) {
      for (const { disk, what } of moment.disk.worlds(mode, limits)) {
        count.worlds[mode]++;
        const where = `seed ${seed}, call ${moment.at} (${moment.call}), ${what}`;
        const style = mode === "kill" ? "settles" : STYLES[random() % STYLES.length]!;
        const again =
          againEvery > 0 && (mode === "kill" ? index % againEvery === 0 : random() % (100 * againEvery) === 0);
        for (const one of mode === "kill" ? STYLES : [style]) {
          if (mode === "kill" && one !== "settles") count.worlds.kill++;
          const second = await judge(moment, disk.clone(), run.heads, one, where, again);
          if (!second) continue;
          for (const next of second.moments) {
            for (const mode of MODES) {
              for (const left of next.disk.worlds(mode, againLimits)) {
                count.worlds.again++;
                const then = `${where}, ${one}; again at ${next.at} (${next.call}), ${left.what}`;
                await judge(next, left.disk, second.heads, "settles", then, false);
              }
            }
          }
        }
      }
    }
  }
  return count;
}

const CRASH_LATER_MS = {
  settles: 60_000,
  "saves first": 120_000,
  "comes after two days": 48 * 3_600_000,
  "compacts first": 3_600_000,
};

/** Starts again on what a crash left, settles what is open, plans something, ends; and says which promises were broken. */
async function restart(
  { aws: before, known }: Moment,
  disk: Disk,
  heads: ReadonlyMap<number, string>,
  style: Style,
  seed: number,
  variant: Variant,
  record: boolean,
  thorough: boolean,
): Promise<{ recorder: Recorder | null; violations: [Violation, string][] }> {
  const violations: [Violation, string][] = [];
  const broken = (violation: Violation, why: string): void => void violations.push([violation, why]);
  const clock = machineClock(Date.parse(START) + 24 * 60_000 + CRASH_LATER_MS[style]);
  const ids = seededIds(seed);
  const aws = before.clone();
  const here = disk.clone(() => clock.now().getTime());
  const recorder = new Recorder(here, aws, known, heads);
  if (!record) recorder.quiet();
  const by = owner(`session-after-${seed}`, 1_000 + seed);

  const checkpoint = here.files().get(`${ROOT}/state.json`);
  // One of the ways to go on is to leave more to the archive.
  const spilling = style === "compacts first" ? { limits: { inlineBytes: 1, recentMs: 0 } } : {};
  const { store, commit } = await start(recorder, ids, clock, by, { ...variant, ...spilling });
  if (checkpoint && !isJson(checkpoint) && !store.readOnly) {
    broken("state.json neither valid nor refused", `${checkpoint.length} bytes`);
  }
  if (variant.inPlace && store.readOnly) {
    const { file, last } = store.readOnly.details;
    // No id, no store: nobody was told of one.
    if (file === STORE_ID && known.acknowledged === 0) return { recorder: null, violations };
    if (last === true) await store.recover("last_commit").catch(() => {});
  }
  const state = await store.state().catch(() => null);
  if (store.readOnly || !state) {
    broken("refused to open", String(store.readOnly?.message));
    return { recorder: null, violations };
  }
  if (known.acknowledged > 0 && state.store !== known.store) {
    broken("fresh start", `${known.acknowledged} commits were acknowledged`);
    return { recorder: null, violations };
  }
  if (state.seq < known.acknowledged || (state.seq > 0 && heads.get(state.seq) !== state.head)) {
    broken("acknowledged commit lost", `acknowledged ${known.acknowledged}, found ${state.seq}`);
  }
  const sent = new Set(before.writes);
  for (const { clientToken } of state.operations.values()) sent.delete(clientToken);
  // What the state leaves to the chain has its intent there: in the archive, or in the journal where only its plan is archived yet.
  const chain = [...here.files()].filter(([path]) => isOfChain(path, state.seq)).map(([, bytes]) => Buffer.from(bytes));
  for (const token of state.spilled ? sent : []) {
    if (chain.some((bytes) => bytes.includes(`"client_token":"${token}"`))) sent.delete(token);
  }
  if (sent.size > 0) broken("call without a durable intent", `${sent.size} calls of ${before.writes.length}`);

  try {
    for (const { owner, generation, released } of variant.inPlace ? await store.leases.list() : []) {
      if (!owner && !released) await store.leases.break(generation, "alice", "half a file");
    }
    if (style === "saves first") await store.checkpoint();
    if (style === "compacts first") await compact(store);
    const gate = createGate({
      unordered: () => [],
      config: { ...ConfigSchema.parse({}), allowWrites: true, approveFrom: "never", waitSeconds: 30 },
      aws: aws.port(),
      store: recorder.watch(store),
      session: createSession({}),
      secrets: secretKeeper(async (value) => digest(value)),
      clock,
      ids,
      log: () => {},
      owner: by,
      scan: async () => [],
    });
    await gate.settleOpen(aws.reader());
    await commit((seq) => [planOf(seq, [], ids).event]);
    const after = await store.state();
    const open = openOperations(after);
    if (style !== "comes after two days" && open.some(({ state }) => state === "open")) {
      broken("operation left open", open.map(({ id, state }) => `${id} ${state}`).join());
    }
    const held = new Set([...after.resources.values()].filter(({ deleted }) => !deleted).map(({ ref }) => ref.id));
    const orphans = aws.resources.filter(({ id }) => id.startsWith("made-") && !held.has(id));
    if (orphans.length > 0 && open.length === 0) broken("orphan", orphans.map(({ id }) => id).join());
    if (aws.duplicates() > 0) broken("duplicate create", `${aws.duplicates()} resources too many`);
    if (thorough) {
      // Half a segment stays until the next one is made.
      if (variant.inPlace) await compact(store);
      const verified: VerifyReport = await store.verify();
      const { seq } = await store.state();
      if (!verified.ok || verified.commits !== seq) broken("chain does not verify", JSON.stringify(verified));
      for (const { rid, lineage, lineageSpilled } of after.resources.values()) {
        const whole = await store.lineage(rid).catch(() => []);
        const expected = lineage.length + (lineageSpilled?.count ?? 0);
        if (whole.length !== expected) broken("history lost", `${rid}: ${whole.length} of ${expected} entries`);
      }
      await store.close();
      const written = here.files().get(`${ROOT}/state.json`);
      if (!written || !isJson(written)) broken("state.json neither valid nor refused", "after recovery");
    }
  } catch (error) {
    broken("no commit possible after recovery", (error as Error).message);
  }
  recorder.end();
  return { recorder: record ? recorder : null, violations };
}

/** A file that holds commits of a chain that ends at `seq`. */
function isOfChain(path: string, seq: number): boolean {
  const key = path.slice(ROOT.length + 1);
  return key.startsWith("archive/") || (seqOfKey(key) ?? Number.POSITIVE_INFINITY) <= seq;
}

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(Buffer.from(bytes).toString());
    return true;
  } catch {
    return false;
  }
}
