// A small store, damaged from outside in every single place: it is noticed, or it makes no difference.

import { beforeAll, describe, expect, it } from "vitest";
import type { State } from "../../src/core/change.js";
import { canonicalJson, sha256 } from "../../src/core/json.js";
import { FLOOR, rangeOfKey } from "../../state/archive.js";
import { STORE_ID } from "../../state/chain.js";
import { checkpointDocument } from "../../state/checkpoint.js";
import { journalKey, seqOfKey } from "../../state/driver.js";
import { fileDriver } from "../../state/drivers/file.js";
import { HEAD } from "../../state/head.js";
import { openStore, type Store } from "../../state/journal.js";
import { applied, owner, plan } from "../state/helpers.js";
import { Disk } from "./disk.js";
import { compact, machineClock, ROOT, seededIds } from "./scenario.js";

const STRIDE = Number(process.env.CORRUPT_EVERY ?? 47);
const clock = machineClock();
const ids = seededIds(1);
let whole: Disk;
let names: readonly string[];
let truth: string;
/** The newest commit, which no checkpoint covers yet, and what the state said before it. */
let newest: string;
let older: string;
const HEAD_FILE = `${ROOT}/${HEAD}`;

const openOn = (disk: Disk): Promise<Store> =>
  openStore({
    driver: fileDriver({ root: ROOT }, { clock, ids, fs: disk.port }),
    clock,
    ids,
    owner: owner(),
    user: "alice",
    client: "test",
  });

/** Everything a state says. */
const said = (state: State): string => sha256(canonicalJson([state.head, checkpointDocument(state, "")]));

beforeAll(async () => {
  whole = new Disk(() => clock.now().getTime());
  await whole.port.mkdir("/data");
  const store = await openOn(whole);
  await applied(store);
  await store.fingerprint("makes the key");
  await compact(store);
  await applied(store);
  await compact(store);
  await applied(store);
  older = said(await store.state());
  const { seq } = await store.commit((_, seq) => [plan(seq).event]);
  newest = `${ROOT}/${journalKey(seq)}`;
  whole.settle();
  names = [...whole.files().keys()].filter((path) => !path.includes("/tmp/"));
  truth = said(await store.state());
});

/**
 * The number of the first commit that this damage leaves unreadable, Infinity where the chain is whole. Without its floor
 * the archive is not looked at.
 */
function firstOf(changes: ReadonlyMap<string, Uint8Array | null>): number {
  const numbers = [...changes].map(([path, bytes]) => {
    const key = path.slice(ROOT.length + 1);
    if (key === STORE_ID) return 0;
    if (key.startsWith(FLOOR) && bytes === null) return 1;
    return seqOfKey(key) ?? rangeOfKey(key)?.from ?? Number.POSITIVE_INFINITY;
  });
  return Math.min(...numbers);
}

type Verdict = "noticed" | "harmless" | "older" | "SILENT" | "NOT NAMED";

/** What opening and verify answer after this damage: silence about another state is the one thing it may not be. */
async function damaged(changes: ReadonlyMap<string, Uint8Array | null>): Promise<Verdict> {
  const disk = whole.clone();
  for (const [path, bytes] of changes) disk.put(path, bytes);
  const store = await openOn(disk);
  const state = await store.state().catch(() => null);
  const unseen = !store.readOnly && state !== null;
  // Nothing says how far the chain went once both are gone: it is the chain it was before, never a new store.
  if (unseen && changes.get(newest) === null && changes.has(HEAD_FILE) && said(state) === older) return "older";
  if (unseen && said(state) !== truth) return "SILENT";
  const first = firstOf(changes);
  if (first === Number.POSITIVE_INFINITY) return unseen ? "harmless" : "noticed";
  const { ok, firstBad, archive } = await store.verify();
  const named =
    firstBad?.seq === first ||
    // An id that reads as one is found by the commit that follows it.
    (first === 0 && firstBad?.seq === 1) ||
    // The checksum of a segment does not cover its footer: a wrong offset spoils a later commit, a wrong hash none.
    [...changes.keys()].some((path) => archive.because?.startsWith(path.slice(ROOT.length + 1)));
  return !ok && named ? "noticed" : "NOT NAMED";
}

const damage = (path: string, bytes: Uint8Array | null) => damaged(new Map([[path, bytes]]));

function judged() {
  const bad: string[] = [];
  const tell = async (verdict: Promise<Verdict>, what: string): Promise<void> => {
    if ((await verdict) === "SILENT" || (await verdict) === "NOT NAMED") bad.push(`${await verdict}: ${what}`);
  };
  return { bad, tell };
}

describe("damage to a small store", () => {
  it("is made on every kind of file", () => {
    const kinds = names.map((path) => path.slice(ROOT.length + 1).replace(/\/.*/, "/"));
    expect([...new Set(kinds)]).toEqual(
      expect.arrayContaining(["archive/", "journal/", "key", "state.json", "store.id"]),
    );
  });

  // `npm test` takes every STRIDE-th byte, `npm run test:crash` every one.
  it("of one byte anywhere is noticed or harmless, and in the chain verify names the first number", async () => {
    const { bad, tell } = judged();
    let flips = 0;
    for (const path of names.filter((name) => !/\/reserve$/.test(name))) {
      const bytes = whole.files().get(path)!;
      for (let at = flips % STRIDE; at < bytes.length; at += STRIDE) {
        const flipped = Uint8Array.from(bytes);
        flipped[at]! ^= 1 << (at % 8);
        flips++;
        await tell(damage(path, flipped), `${path} byte ${at}`);
      }
    }
    expect(bad).toEqual([]);
    expect(flips).toBeGreaterThan(10_000 / STRIDE);
  });

  it.each([
    ["removed", () => null],
    ["emptied", () => new Uint8Array()],
    ["cut in half", (bytes: Uint8Array) => bytes.slice(0, bytes.length >> 1)],
    ["cut by its last byte", (bytes: Uint8Array) => bytes.slice(0, -1)],
    ["zeroed", (bytes: Uint8Array) => new Uint8Array(bytes.length)],
    ["doubled", (bytes: Uint8Array) => Buffer.concat([bytes, bytes])],
  ] as const)("by a file that was %s is noticed or harmless", async (_, change) => {
    const { bad, tell } = judged();
    for (const path of names) {
      await tell(damage(path, change(whole.files().get(path)!)), path);
    }
    expect(bad).toEqual([]);
  });

  it("by two files that were swapped is noticed or harmless", async () => {
    const { bad, tell } = judged();
    const files = whole.files();
    for (const [index, one] of names.entries()) {
      for (const other of names.slice(index + 1)) {
        const swapped = new Map([
          [one, files.get(other)!],
          [other, files.get(one)!],
        ]);
        await tell(damaged(swapped), `${one} and ${other}`);
      }
    }
    expect(bad).toEqual([]);
  });

  it("by any two files that were removed never begins a new store", async () => {
    const { bad, tell } = judged();
    for (const [index, one] of names.entries()) {
      for (const other of names.slice(index)) {
        const gone = new Map([one, other].map((path) => [path, null] as const));
        await tell(damaged(gone), `${one} and ${other}`);
      }
    }
    expect(bad).toEqual([]);
  });

  it("by the removal of the newest commits is noticed", async () => {
    expect(await damage(newest, null)).toBe("noticed");
    const gone = [newest, ...names.filter((path) => path.includes("/journal/")).slice(-2)];
    expect(await damaged(new Map(gone.map((path) => [path, null])))).toBe("noticed");
  });
});
