// A full disk: nothing begins on it, what has begun is recorded on it, and state.json is whole all the while.

import { readFile, stat } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { readCheckpoint } from "../../state/checkpoint.js";
import type { FsPort } from "../../state/drivers/file.js";
import { nodeFs } from "../../state/drivers/file.js";
import { operationId } from "../../state/tokens.js";
import { folder } from "./folder.js";
import { intent, open, plan, result } from "./helpers.js";

/** A file system of a given size: what is written under a name counts until the last name of it is gone. */
function smallFs(capacity: number): FsPort & { fill(): void; empty(): void; free(): number } {
  const full = () => Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
  const BLOCK = 4096;
  let used = 0;
  let claimed = 0;
  const sizes = new Map<string, { bytes: number; names: number }>();
  const free = () => capacity - used - claimed;
  const drop = (path: string) => {
    const file = sizes.get(path);
    sizes.delete(path);
    if (file && --file.names === 0) used -= file.bytes;
  };
  return {
    ...nodeFs,
    free,
    fill: () => {
      claimed = capacity - used;
    },
    empty: () => {
      claimed = 0;
    },
    // Room for an operation to begin as long as nothing filled the disk.
    freeBytes: async () => free() + (claimed > 0 ? 0 : 4 * 1024 * 1024),
    async create(path) {
      const file = await nodeFs.create(path);
      const entry = { bytes: 0, names: 1 };
      sizes.set(path, entry);
      return {
        ...file,
        async write(bytes) {
          const needed = Math.ceil(bytes.length / BLOCK) * BLOCK;
          if (needed > free()) throw full();
          entry.bytes += needed;
          used += needed;
          return file.write(bytes);
        },
      };
    },
    async link(from, to) {
      await nodeFs.link(from, to);
      const entry = sizes.get(from);
      if (entry) {
        entry.names++;
        sizes.set(to, entry);
      }
    },
    async unlink(path) {
      await nodeFs.unlink(path);
      drop(path);
    },
    async rename(from, to) {
      await nodeFs.rename(from, to);
      drop(to);
      const entry = sizes.get(from);
      sizes.delete(from);
      if (entry) sizes.set(to, entry);
    },
  };
}

describe("a full disk", () => {
  it("takes the outcome of what had begun, from the space set aside, and nothing new", async () => {
    const { driver, path } = await folder();
    const fs = smallFs(256 * 1024);
    const store = await open(driver(fs));
    const made = plan(1);
    await store.commit(() => [made.event]);
    await store.commit((_, seq) => [intent(seq, made.id, made.token)]);
    expect((await stat(path("reserve"))).size).toBe(64 * 1024);
    fs.fill();
    await store.commit(() => [{ type: "op.submitted", operationId: operationId(2), requestToken: "r-1" }]);
    await expect(stat(path("reserve"))).rejects.toThrow("ENOENT");
    const { seq } = await store.commit(() => [
      {
        type: "op.succeeded",
        operationId: operationId(2),
        results: [result({ state: "running" }, { state: "stopped" })],
      },
    ]);
    expect(seq).toBe(4);
    const opened = await open(driver());
    expect((await opened.state()).changes.get(made.id)?.state).toBe("applied");
    expect((await opened.verify()).ok).toBe(true);
    // The checkpoint of an outcome has not taken the space that further outcomes need.
    expect(fs.free()).toBeGreaterThan(48 * 1024);
    fs.fill();
    await expect(store.commit((_, next) => [plan(next).event])).rejects.toMatchObject({ code: "state_read_only" });
    const checkpoint = await readFile(path("state.json")).catch(() => null);
    if (checkpoint) expect(readCheckpoint(checkpoint).kind).toBe("checkpoint");
  });

  it("that was full for longer than one commit still gets the space set aside back", async () => {
    const { driver, path } = await folder();
    const fs = smallFs(256 * 1024);
    const store = await open(driver(fs));
    const made = plan(1);
    await store.commit(() => [made.event]);
    await store.commit((_, seq) => [intent(seq, made.id, made.token)]);
    fs.fill();
    // The first one takes the space set aside, the next one finds room left in it and none to set aside.
    await store.commit(() => [{ type: "op.submitted", operationId: operationId(2), requestToken: "r-1" }]);
    await store.commit(() => [{ type: "op.succeeded", operationId: operationId(2), results: [result(null, {})] }]);
    await expect(stat(path("reserve"))).rejects.toThrow("ENOENT");
    fs.empty();
    await store.commit((_, seq) => [plan(seq).event]);
    expect((await stat(path("reserve"))).size).toBe(64 * 1024);
  });

  it("that has not even the space set aside closes the store with the outcome in hand", async () => {
    const { driver } = await folder();
    const fs = smallFs(256 * 1024);
    const store = await open(driver(fs));
    const made = plan(1);
    await store.commit(() => [made.event]);
    await store.commit((_, seq) => [intent(seq, made.id, made.token)]);
    await driver(fs).spendReserve();
    fs.fill();
    const outcome = () =>
      store.commit(() => [{ type: "op.succeeded", operationId: operationId(2), results: [result(null, {})] }]);
    await expect(outcome()).rejects.toMatchObject({ code: "state_read_only" });
    expect(store.readOnly?.code).toBe("state_read_only");
    expect((await (await open(driver())).state()).operations.get(operationId(2))?.state).toBe("open");
  });

  it("fills up through commits until one is refused; every one that was not is there, and state.json is whole", async () => {
    const { driver, path } = await folder();
    const fs = smallFs(256 * 1024);
    const store = await open(driver(fs));
    let acknowledged = 0;
    for (let full = false; !full; ) {
      full = await store
        .commit((_, seq) => [
          {
            type: "resource.imported",
            ref: { account: "1", region: "eu-west-1", type: "A::B::C", id: `i-${seq}` },
            reader: "service",
            properties: { text: "x".repeat(2_000) },
            provenance: "test",
          },
        ])
        .then(({ seq }) => {
          acknowledged = seq;
          return false;
        })
        .catch(() => true);
      const checkpoint = await readFile(path("state.json"));
      expect(readCheckpoint(checkpoint).kind).toBe("checkpoint");
    }
    expect(acknowledged).toBeGreaterThan(10);
    const opened = await open(driver());
    expect(opened.readOnly).toBeNull();
    expect(await opened.verify()).toMatchObject({ ok: true, commits: acknowledged });
  });

  it("is asked for a mebibyte before an operation begins", async () => {
    const { driver } = await folder();
    let bytes = 10 * 1024 * 1024;
    const fs: FsPort = { ...nodeFs, freeBytes: async () => bytes };
    const store = await open(driver(fs));
    const made = plan(1);
    await store.commit(() => [made.event]);
    bytes = 1024 * 1024 - 1;
    const begin = () => store.commit((_, seq) => [intent(seq, made.id, made.token)]);
    await expect(begin()).rejects.toMatchObject({ code: "state_read_only", details: { cause: "ENOSPC" } });
    expect((await store.state()).seq).toBe(1);
    bytes = 1024 * 1024;
    expect((await begin()).seq).toBe(2);
    expect(store.readOnly).toBeNull();
  });

  it("that has room again gets the space set aside back", async () => {
    const { driver, path } = await folder();
    const first = await open(driver());
    await first.commit((_, seq) => [plan(seq).event]);
    await driver().spendReserve();
    const second = await open(driver());
    await expect(stat(path("reserve"))).rejects.toThrow("ENOENT");
    await second.commit((_, seq) => [plan(seq).event]);
    expect((await stat(path("reserve"))).mode & 0o777).toBe(0o600);
  });
});
