// The store's keys: made once, wrapped by a passphrase or KMS, rotated, lost; envelopes that open at their own place only.

import { randomBytes } from "node:crypto";
import { chmod } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Envelope } from "../../src/core/change.js";
import { OpsError } from "../../src/core/errors.js";
import { canonicalJson, type Json } from "../../src/core/json.js";
import type { Kms } from "../../src/core/ports.js";
import type { StateDriver } from "../../state/driver.js";
import { memoryDriver } from "../../state/drivers/memory.js";
import type { Store } from "../../state/journal.js";
import type { KeyMeans, SecretPlace } from "../../state/keys.js";
import { folder } from "./folder.js";
import { open } from "./helpers.js";

const PASSPHRASE = "correct horse battery staple";
/** The cost of a guess is not what these tests are about. */
const scryptN = 2 ** 10;
const means = (text: string, more: Partial<KeyMeans> = {}): KeyMeans => ({
  passphrase: { text, source: "AWS_DEVOPS_MCP_STATE_PASSPHRASE" },
  scryptN,
  ...more,
});
const withKeys = (driver: StateDriver, keys: KeyMeans = means(PASSPHRASE)): Promise<Store> => open(driver, { keys });
const place = (more: Partial<SecretPlace> = {}): SecretPlace => ({
  rid: "123456789012/eu-west-1/AWS::RDS::DBInstance/db",
  path: "/MasterUserPassword",
  print: "a".repeat(64),
  ...more,
});
/** The names of the key files, oldest first. */
const kids = (kept: Map<string, Uint8Array>): string[] =>
  [...kept.keys()].flatMap((key) => /^keys\/(.*)\.json$/.exec(key)?.[1] ?? []).sort();
const text = (kept: Map<string, Uint8Array>): string =>
  [...kept.values()].map((bytes) => Buffer.from(bytes).toString()).join("\n");
const refusal = async (promise: Promise<unknown>): Promise<OpsError> => {
  const error = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (error instanceof OpsError) return error;
  throw new Error(`expected an OpsError, got ${String(error)}`);
};

/** What a commit can hold, and so a plan. */
function hasCanonicalForm(value: unknown): boolean {
  try {
    canonicalJson(value);
    return true;
  } catch {
    return false;
  }
}

/** KMS as a table: a ciphertext opens under the context it was made in. `fail` is what it answers instead. */
function fakeKms() {
  const made = new Map<string, { key: Uint8Array; context: string }>();
  const state: { fail?: OpsError; calls: string[] } = { calls: [] };
  const port: Kms = {
    async generate(keyId, context) {
      state.calls.push(`generate ${keyId}`);
      if (state.fail) throw state.fail;
      const [key, ciphertext] = [randomBytes(32), randomBytes(40)];
      made.set(ciphertext.toString("hex"), { key, context: JSON.stringify(context) });
      return { keyId: "arn:aws:kms:eu-west-1:123456789012:key/k", key, ciphertext };
    },
    async decrypt(keyId, ciphertext, context) {
      state.calls.push(`decrypt ${keyId}`);
      if (state.fail) throw state.fail;
      const found = made.get(Buffer.from(ciphertext).toString("hex"));
      if (found?.context !== JSON.stringify(context)) throw new OpsError("aws_rejected", "another context");
      return found.key;
    },
  };
  return { port, state };
}

describe("an envelope", () => {
  it("opens to exactly what was sealed, for any value, and a fresh iv makes every one different", async () => {
    const kept = new Map<string, Uint8Array>();
    const one = await withKeys(memoryDriver(kept));
    const two = await withKeys(memoryDriver(kept));
    await fc.assert(
      fc.asyncProperty(fc.jsonValue().filter(hasCanonicalForm), async (value) => {
        const json = JSON.parse(JSON.stringify(value)) as Json;
        const [a, b] = [await one.keys.seal(place(), json), await one.keys.seal(place(), json)];
        expect(a.iv).not.toBe(b.iv);
        expect(a.ct).not.toBe(b.ct);
        expect(await two.keys.open(place(), a)).toEqual(json);
        expect(await one.keys.open(place(), b)).toEqual(json);
      }),
      { numRuns: 100 },
    );
  });

  it("opens at its own store, resource, pointer and fingerprint only, and with every byte as it was", async () => {
    const store = await withKeys(memoryDriver());
    const other = await withKeys(memoryDriver());
    const { kid } = await other.keys.seal(place(), "makes its key");
    const envelope = await store.keys.seal(place(), "hunter2-hunter2");
    const flipped = (base64: string): string => {
      const bytes = Buffer.from(base64, "base64");
      bytes[bytes.length - 1]! ^= 1;
      return bytes.toString("base64");
    };
    const wrong: readonly (readonly [Store, SecretPlace, Envelope])[] = [
      [other, place(), { ...envelope, kid }],
      [store, place({ rid: `${place().rid}2` }), envelope],
      [store, place({ path: "/OtherPassword" }), envelope],
      [store, place({ print: "b".repeat(64) }), envelope],
      [store, place(), { ...envelope, ct: flipped(envelope.ct) }],
      [store, place(), { ...envelope, iv: flipped(envelope.iv) }],
      [store, place(), { ...envelope, ct: "AAAA" }],
    ];
    for (const [at, where, one] of wrong) {
      expect(await refusal(at.keys.open(where, one))).toMatchObject({ code: "plan_mismatch", field: where.path });
    }
    expect(await store.keys.open(place(), envelope)).toBe("hunter2-hunter2");
  });

  it("says little of how long its secret is", async () => {
    const store = await withKeys(memoryDriver());
    const lengths = new Set<number>();
    for (let length = 1; length <= 60; length++) {
      lengths.add((await store.keys.seal(place(), "x".repeat(length))).ct.length);
    }
    expect(lengths.size).toBe(1);
  });
});

describe("a passphrase", () => {
  it("is needed to seal; without it nothing is written", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await open(memoryDriver(kept));
    const error = await refusal(store.keys.seal(place(), "x"));
    expect(error).toMatchObject({ code: "key_unavailable" });
    expect(error.message).toMatch(/AWS_DEVOPS_MCP_STATE_PASSPHRASE.*--state-kms-key/);
    expect([...kept.keys()]).toEqual(["store.id"]);
  });

  it("that is another one is refused by its source's name, and nothing is written", async () => {
    const kept = new Map<string, Uint8Array>();
    const envelope = await (await withKeys(memoryDriver(kept))).keys.seal(place(), "x");
    const before = new Map(kept);
    const stranger = await withKeys(memoryDriver(kept), means("another passphrase"));
    for (const attempt of [
      () => stranger.keys.seal(place(), "y"),
      () => stranger.keys.open(place(), envelope),
      () => stranger.fingerprint("y"),
      () => stranger.rotateKey("bob"),
    ]) {
      const error = await refusal(attempt());
      expect(error).toMatchObject({ code: "key_unavailable", details: { file: `keys/${kids(kept)[0]}.json` } });
      expect(error.message).toContain("AWS_DEVOPS_MCP_STATE_PASSPHRASE");
      expect(error.message).toContain("Nothing was changed");
      expect(JSON.stringify(error)).not.toContain("another passphrase");
    }
    // A refused rotation took and gave back its lease; keys, and everything else, are as they were.
    for (const [key, bytes] of before) if (!key.startsWith("state.json")) expect(kept.get(key)).toEqual(bytes);
    expect([...kept.keys()].filter((key) => key.startsWith("key"))).toEqual(
      [...before.keys()].filter((key) => key.startsWith("key")),
    );
  });

  it("stands nowhere in the store, nor does any key in clear", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await withKeys(memoryDriver(kept));
    await store.keys.seal(place(), "hunter2-hunter2");
    await store.fingerprint("hunter2-hunter2");
    expect(text(kept)).not.toContain(PASSPHRASE);
    expect(text(kept)).not.toContain("hunter2");
    const [kid = ""] = kids(kept);
    expect(kid).toMatch(/^k1-[0-9a-f]{8}$/);
    expect(JSON.parse(Buffer.from(kept.get(`keys/${kid}.json`)!).toString())).toMatchObject({
      format: 1,
      kid,
      wrap: { kind: "passphrase", kdf: { name: "scrypt", n: scryptN, r: 8, p: 1 } },
    });
  });
});

describe("the key of the fingerprints", () => {
  it("is wrapped in a store that had a passphrase from the start: a copy of the folder can guess nothing", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await withKeys(memoryDriver(kept));
    const print = await store.fingerprint("summer2026");
    expect(Buffer.from(kept.get("key")!).toString()).toBe(`{"format":1,"kid":"${kids(kept)[0]}"}\n`);
    expect(await (await withKeys(memoryDriver(kept))).fingerprint("summer2026")).toBe(print);
    const thief = await open(memoryDriver(kept));
    expect(await refusal(thief.fingerprint("summer2026"))).toMatchObject({ code: "key_unavailable" });
    expect(await thief.keys.problem()).toMatchObject({ code: "key_unavailable" });
    expect(await store.keys.problem()).toBeNull();
  });

  it("stays what it is in a store that has one, with a passphrase or without, and across a rotation", async () => {
    const kept = new Map<string, Uint8Array>();
    const print = await (await open(memoryDriver(kept))).fingerprint("x");
    const later = await withKeys(memoryDriver(kept));
    expect(await later.fingerprint("x")).toBe(print);
    await later.keys.seal(place(), "x");
    await later.rotateKey("alice");
    expect(await (await withKeys(memoryDriver(kept))).fingerprint("x")).toBe(print);
    expect(await (await open(memoryDriver(kept))).fingerprint("x")).toBe(print);

    const wrapped = new Map<string, Uint8Array>();
    const first = await withKeys(memoryDriver(wrapped));
    const own = await first.fingerprint("x");
    await first.rotateKey("alice");
    expect(await (await withKeys(memoryDriver(wrapped))).fingerprint("x")).toBe(own);
  });

  it("is one key however many processes meet at a new store, with and without a passphrase", async () => {
    for (let round = 0; round < 5; round++) {
      const kept = new Map<string, Uint8Array>();
      const stores = await Promise.all(
        [0, 1, 2, 3].map((n) => (n % 2 ? withKeys(memoryDriver(kept)) : open(memoryDriver(kept)))),
      );
      const prints = await Promise.all(
        stores.map((store) => store.fingerprint("x").catch((error: OpsError) => error.code)),
      );
      const said = new Set(prints.filter((print) => print !== "key_unavailable"));
      expect(said.size).toBe(1);
      const again = await withKeys(memoryDriver(kept));
      expect(said).toContain(await again.fingerprint("x"));
    }
  });

  it("is not made anew where wrapped keys are and no passphrase is", async () => {
    const kept = new Map<string, Uint8Array>();
    const first = await withKeys(memoryDriver(kept));
    const print = await first.fingerprint("x");
    kept.delete("key");
    expect(await refusal((await open(memoryDriver(kept))).fingerprint("x"))).toMatchObject({ code: "key_unavailable" });
    expect(kept.has("key")).toBe(false);
    expect(await (await withKeys(memoryDriver(kept))).fingerprint("x")).toBe(print);
  });
});

describe("rotation", () => {
  it("makes a new key for what comes, keeps the older readable, and is on record", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await withKeys(memoryDriver(kept));
    const old = await store.keys.seal(place(), "first");
    expect(await store.rotateKey("alice")).toEqual({
      kid: expect.stringMatching(/^k2-/),
      rewrapped: [old.kid],
    });
    const fresh = await store.keys.seal(place(), "second");
    expect([old.kid, fresh.kid]).toEqual(kids(kept));
    const other = await withKeys(memoryDriver(kept));
    expect(await other.keys.open(place(), old)).toBe("first");
    expect(await other.keys.open(place(), fresh)).toBe("second");
    expect((await other.keys.seal(place(), "third")).kid).toBe(fresh.kid);
    expect(text(kept)).toContain(`{"by":"alice","kid":"${fresh.kid}","type":"key.rotated"}`);
    expect(await store.verify()).toMatchObject({ ok: true });
  });

  it("under a new passphrase wraps every key anew, after which the old one opens nothing", async () => {
    const kept = new Map<string, Uint8Array>();
    const first = await withKeys(memoryDriver(kept));
    const old = await first.keys.seal(place(), "first");
    const print = await first.fingerprint("x");
    const between = await withKeys(
      memoryDriver(kept),
      means("a new passphrase", { oldPassphrase: { text: PASSPHRASE, source: "OLD" } }),
    );
    expect(await between.keys.open(place(), old)).toBe("first");
    await between.rotateKey("alice");
    const after = await withKeys(memoryDriver(kept), means("a new passphrase"));
    expect(await after.keys.open(place(), old)).toBe("first");
    expect(await after.fingerprint("x")).toBe(print);
    const gone = await withKeys(memoryDriver(kept));
    expect(await refusal(gone.keys.open(place(), old))).toMatchObject({ code: "key_unavailable" });
  });

  it("changes nothing where one of the keys does not open", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await withKeys(memoryDriver(kept));
    await store.keys.seal(place(), "x");
    await store.rotateKey("alice");
    const file = `keys/${kids(kept)[0]}.json`;
    const damaged = Buffer.from(kept.get(file)!)
      .toString()
      .replace(/"ct":"./, '"ct":"!');
    kept.set(file, Buffer.from(damaged));
    const keys = () => [...kept].filter(([key]) => key.startsWith("keys/"));
    const before = keys();
    const again = await withKeys(memoryDriver(kept));
    const error = await refusal(again.rotateKey("alice"));
    expect(error).toMatchObject({ code: "key_unavailable", details: { file } });
    expect(error.message).toContain("damaged");
    expect(keys()).toEqual(before);
    expect((await again.keys.seal(place(), "still works")).kid).toMatch(/^k2-/);
  });
});

describe("a lost key", () => {
  it("is named with its file; everything else goes on", async () => {
    const kept = new Map<string, Uint8Array>();
    const store = await withKeys(memoryDriver(kept));
    const old = await store.keys.seal(place(), "first");
    await store.rotateKey("alice");
    const fresh = await store.keys.seal(place(), "second");
    const file = `keys/${old.kid}.json`;
    const bytes = kept.get(file)!;
    kept.delete(file);
    const later = await withKeys(memoryDriver(kept));
    const error = await refusal(later.keys.open(place(), old));
    expect(error).toMatchObject({ code: "key_unavailable", details: { file } });
    expect(error.message).toContain("restore");
    expect(await later.keys.open(place(), fresh)).toBe("second");
    // A file that is restored opens without a restart.
    kept.set(file, bytes);
    expect(await later.keys.open(place(), old)).toBe("first");
  });

  it("has a successor of another name, so that a restored file is never in its way", async () => {
    const kept = new Map<string, Uint8Array>();
    await (await open(memoryDriver(kept))).fingerprint("makes a key of its own");
    const old = await (await withKeys(memoryDriver(kept))).keys.seal(place(), "first");
    const bytes = kept.get(`keys/${old.kid}.json`)!;
    kept.delete(`keys/${old.kid}.json`);
    const later = await withKeys(memoryDriver(kept));
    const fresh = await later.keys.seal(place(), "second");
    expect(fresh.kid).not.toBe(old.kid);
    kept.set(`keys/${old.kid}.json`, bytes);
    expect(await later.keys.open(place(), old)).toBe("first");
    expect(await later.keys.open(place(), fresh)).toBe("second");
  });
});

describe("KMS", () => {
  it("wraps under the store's own context, and is asked once a process", async () => {
    const kept = new Map<string, Uint8Array>();
    const { port, state } = fakeKms();
    const keys = { kms: { keyId: "alias/state", port } };
    const store = await withKeys(memoryDriver(kept), keys);
    const envelope = await store.keys.seal(place(), "x");
    const other = await withKeys(memoryDriver(kept), keys);
    for (let n = 0; n < 3; n++) expect(await other.keys.open(place(), envelope)).toBe("x");
    expect(state.calls.filter((call) => call.startsWith("generate"))).toEqual(["generate alias/state"]);
    expect(state.calls.filter((call) => call.startsWith("decrypt"))).toHaveLength(2);
    expect(state.calls.at(-1)).toBe("decrypt arn:aws:kms:eu-west-1:123456789012:key/k");
    // The wrapped key of another store is worth nothing: the context names this one.
    const file = `keys/${envelope.kid}.json`;
    const stolen = new Map([[file, kept.get(file)!]]);
    await (await open(memoryDriver(stolen))).leases.acquire("stack:x", "makes a store");
    const thief = await withKeys(memoryDriver(stolen), keys);
    expect(await refusal(thief.keys.open(place(), envelope))).toMatchObject({ code: "key_unavailable" });
  });

  it("that refuses is named, writes nothing, and is asked again", async () => {
    const kept = new Map<string, Uint8Array>();
    const { port, state } = fakeKms();
    const keys = { kms: { keyId: "alias/state", port } };
    state.fail = new OpsError("access_denied", "AWS denied the call.", { details: { action: "kms:GenerateDataKey" } });
    const store = await withKeys(memoryDriver(kept), keys);
    const error = await refusal(store.keys.seal(place(), "x"));
    expect(error).toMatchObject({ code: "key_unavailable", details: { action: "kms:GenerateDataKey" } });
    expect(error.message).toContain("alias/state");
    expect([...kept.keys()].filter((key) => key.startsWith("key"))).toEqual([]);
    delete state.fail;
    const envelope = await store.keys.seal(place(), "x");
    const later = await withKeys(memoryDriver(kept), keys);
    state.fail = new OpsError("aws_unavailable", "AWS is away.");
    expect(await refusal(later.keys.open(place(), envelope))).toMatchObject({ code: "key_unavailable" });
    delete state.fail;
    expect(await later.keys.open(place(), envelope)).toBe("x");
  });

  it("takes over from a passphrase by a rotation", async () => {
    const kept = new Map<string, Uint8Array>();
    const old = await (await withKeys(memoryDriver(kept))).keys.seal(place(), "x");
    const { port } = fakeKms();
    const kms = { keyId: "alias/state", port };
    await (await withKeys(memoryDriver(kept), means(PASSPHRASE, { kms }))).rotateKey("alice");
    const after = await withKeys(memoryDriver(kept), { kms });
    expect(await after.keys.open(place(), old)).toBe("x");
    const without = await withKeys(memoryDriver(kept));
    const error = await refusal(without.keys.open(place(), old));
    expect(error.message).toContain("--state-kms-key");
  });
});

describe("on disk", () => {
  it("keys are 0600 in a folder of 0700, and a looser mode opens the store read-only", async () => {
    const { driver, picture, path } = await folder();
    const store = await withKeys(driver());
    await store.keys.seal(place(), "x");
    await store.rotateKey("alice");
    const files = await picture();
    expect(files["state/keys"]).toBe("700 folder");
    const made = Object.keys(files).filter((name) => name.startsWith("state/keys/"));
    expect(made).toHaveLength(2);
    for (const name of made) expect(files[name]).toMatch(/^600 /);
    for (const [name, loose, tight] of [
      [made[0]!.replace("state/", ""), 0o640, 0o600],
      ["keys", 0o750, 0o700],
    ] as const) {
      await chmod(path(name), loose);
      const opened = await withKeys(driver());
      expect(opened.readOnly).toMatchObject({ code: "state_read_only", details: { path: path(name) } });
      expect(opened.readOnly?.message).toContain(`chmod ${tight.toString(8)}`);
      await chmod(path(name), tight);
    }
    expect((await withKeys(driver())).readOnly).toBeNull();
  });
});
