// What a restart finds after every kind of crash: the reduced run, and the same run over ports that are broken on purpose.

import { describe, expect, it } from "vitest";
import { Disk, withoutFileSync, withoutFolderSync, withoutLinks } from "./disk.js";
import { broken, type Count, enumerate, total } from "./enumerate.js";
import { ROOT, scenario } from "./scenario.js";

const SEED = 20_261_121;

const summary = (count: Count): string =>
  `${total(count)} worlds, ${count.restarted} restarts, seed ${count.seed}: ${[...count.examples].map(([what, where]) => `\n  ${count.violations.get(what)} × ${what}; ${where}`).join("")}`;

describe("a crash anywhere in twenty operations", () => {
  it("comes upon a store that leaves history to its archive", async () => {
    const { moments } = await scenario(SEED);
    const written = moments.map(({ disk }) => disk.files().get(`${ROOT}/state.json`));
    const spilled = written.filter((bytes) => bytes && Buffer.from(bytes).includes('"lineage_spilled"'));
    expect(spilled.length).toBeGreaterThan(100);
  });

  it("loses nothing that was acknowledged and does nothing twice", async () => {
    const count = await enumerate({
      seed: SEED,
      every: 23,
      limits: { subsetOf: 3, prefixOf: 3 },
      againEvery: 0,
    });
    expect(broken(count), summary(count)).toBe(0);
    expect(count.calls).toBeGreaterThan(500);
    expect(total(count)).toBeGreaterThan(300);
  });

  // What a killed process left is visible before it is durable: nothing may be built on it as it is.
  it("nor does a power cut during the recovery from a kill", async () => {
    const count = await enumerate({
      seed: SEED,
      before: /syncDirectory/,
      every: 89,
      modes: ["kill"],
      againEvery: 1,
      againLimits: { subsetOf: 2, prefixOf: 1 },
    });
    expect(broken(count), summary(count)).toBe(0);
    expect(count.worlds.again).toBeGreaterThan(800);
  });

  // The plan is archived and so may be left to the chain, while the commits that carried it out still stand in the journal.
  it("nor where a kept checkpoint left a change to a chain that is archived in part", async () => {
    const count = await enumerate({
      seed: 333_399,
      before: /UpdateResource/,
      every: 2,
      modes: ["kill"],
      againLimits: { subsetOf: 1, prefixOf: 1 },
    });
    expect(broken(count), summary(count)).toBe(0);
    expect(count.worlds.again).toBeGreaterThan(2_000);
  });

  it("nor in the first calls of a store", async () => {
    const count = await enumerate({
      seed: SEED,
      before: /syncDirectory/,
      first: 4,
      modes: ["kill"],
      againEvery: 1,
      againLimits: { subsetOf: 1, prefixOf: 1 },
    });
    expect(broken(count), summary(count)).toBe(0);
  });
});

// A commit is visible before its bytes are synced: nothing may be built on it as it is.
describe("a crash where there are no hard links", () => {
  const variant = { port: withoutLinks, inPlace: true };

  it("loses nothing that was acknowledged and does nothing twice", async () => {
    const count = await enumerate({
      seed: SEED,
      variant,
      every: 31,
      limits: { subsetOf: 3, prefixOf: 3 },
      againEvery: 0,
    });
    expect(broken(count), summary(count)).toBe(0);
    expect(total(count)).toBeGreaterThan(300);
  });

  it("nor does a power cut during the recovery from a kill before a sync", async () => {
    const count = await enumerate({
      seed: SEED,
      variant,
      before: /sync .*(journal|store\.id|archive)/,
      every: 31,
      modes: ["kill"],
      againEvery: 1,
      againLimits: { subsetOf: 1, prefixOf: 1 },
    });
    expect(broken(count), summary(count)).toBe(0);
    expect(count.worlds.again).toBeGreaterThan(1_000);
  });
});

describe("the enumeration catches", () => {
  const reduced = { seed: SEED, every: 41, limits: { subsetOf: 2, prefixOf: 3 }, againEvery: 0 } as const;

  it("files that are not synced", async () => {
    const count = await enumerate({ ...reduced, variant: { port: withoutFileSync } });
    expect(count.violations.get("refused to open"), summary(count)).toBeGreaterThan(0);
  });

  it("folders that are not synced", async () => {
    const count = await enumerate({
      ...reduced,
      every: 23,
      modes: ["ordered"],
      limits: { subsetOf: 0, prefixOf: 12 },
      variant: { port: withoutFolderSync },
    });
    expect(count.violations.get("acknowledged commit lost"), summary(count)).toBeGreaterThan(0);
    expect(count.violations.get("call without a durable intent"), summary(count)).toBeGreaterThan(0);
  });

  it("an AWS that is told no client token", async () => {
    const count = await enumerate({
      ...reduced,
      before: /syncDirectory .*journal|poll/,
      every: 2,
      modes: ["kill"],
      variant: { clientTokens: false },
    });
    expect(count.violations.get("duplicate create"), summary(count)).toBeGreaterThan(0);
  });
});

describe("the disk", () => {
  const text = (disk: Disk): Record<string, string> =>
    Object.fromEntries([...disk.files()].map(([path, bytes]) => [path, Buffer.from(bytes).toString()]));

  /** A folder with a synced file, one not synced, and one renamed. */
  async function disk(): Promise<Disk> {
    const made = new Disk(() => 0);
    await made.port.mkdir("/d");
    made.settle();
    const file = await made.port.create("/d/a");
    await file.write(Buffer.from("aaaa"));
    await file.sync();
    const other = await made.port.create("/d/b");
    await other.write(Buffer.from("bbbb"));
    return made;
  }
  const found = async (made: Disk, mode: "kill" | "ordered" | "subset"): Promise<Set<string>> =>
    new Set([...made.worlds(mode)].map((world) => JSON.stringify(text(world.disk))));

  it("keeps everything when only the process dies", async () => {
    expect(await found(await disk(), "kill")).toEqual(new Set(['{"/d/a":"aaaa","/d/b":"bbbb"}']));
  });

  it("loses the newest first when its operations reach it in order", async () => {
    expect(await found(await disk(), "ordered")).toEqual(
      new Set(["{}", '{"/d/a":"aaaa"}', '{"/d/a":"aaaa","/d/b":""}', '{"/d/a":"aaaa","/d/b":"bbbb"}']),
    );
  });

  it("loses names of an unsynced folder in any combination, and bytes of an unsynced file in any way", async () => {
    const b = ["", "bb", "\0\0\0\0", "bbbb"].map((content) => ({ "/d/b": content }));
    const each = [{}, { "/d/a": "aaaa" }, ...b, ...b.map((one) => ({ "/d/a": "aaaa", ...one }))];
    expect(await found(await disk(), "subset")).toEqual(new Set(each.map((one) => JSON.stringify(one))));
  });

  it("keeps what was synced: bytes by the file, names by the folder", async () => {
    const made = await disk();
    await made.port.rename("/d/a", "/d/c");
    await made.port.syncDirectory("/d");
    for (const world of made.worlds("subset")) {
      expect(text(world.disk)).toMatchObject({ "/d/c": "aaaa" });
      expect(text(world.disk)).not.toHaveProperty(["/d/a"]);
    }
  });

  it("refuses as a file system does", async () => {
    const { port } = await disk();
    await expect(port.create("/d/a")).rejects.toMatchObject({ code: "EEXIST" });
    await expect(port.link("/d/a", "/d/b")).rejects.toMatchObject({ code: "EEXIST" });
    await expect(port.readFile("/d/x")).rejects.toMatchObject({ code: "ENOENT" });
    await expect(port.stat("/d/a/x")).rejects.toMatchObject({ code: "ENOTDIR" });
  });
});
