// The store's keys: one behind its fingerprints, and data keys, wrapped by a passphrase or by KMS, behind stored secrets.

import { createCipheriv, createDecipheriv, createHmac, hkdfSync, scrypt } from "node:crypto";
import { z } from "zod";
import type { Envelope } from "../src/core/change.js";
import { OpsError } from "../src/core/errors.js";
import { canonicalJson, type Json } from "../src/core/json.js";
import type { Clock, Ids, Kms } from "../src/core/ports.js";
import type { StateDriver } from "./driver.js";
import { fromDisk, textOf, toDisk } from "./events.js";

export interface Passphrase {
  readonly text: string;
  /** The variable or file it came from: what an error names instead of it. */
  readonly source: string;
}

/** What wraps the data keys. New ones are wrapped by KMS where both are given; each is opened by what wrapped it. */
export interface KeyMeans {
  readonly passphrase?: Passphrase;
  /** The one before, so that `rotateKey` can wrap the keys anew. */
  readonly oldPassphrase?: Passphrase;
  readonly kms?: { readonly keyId: string; readonly port: Kms };
  /** Cost of a guess at a passphrase: N of scrypt. */
  readonly scryptN?: number;
}

/** Where a secret belongs. Its envelope opens nowhere else. */
export interface SecretPlace {
  readonly rid: string;
  /** Pointer in the resource; positions in lists are `*`, because they move. */
  readonly path: string;
  readonly print: string;
}

export interface StoreKeys {
  /** "Did it change?" for values that may not be kept. */
  fingerprint(value: Json): Promise<string>;
  /** A signature under a key of its own, so that no fingerprint is one. */
  sign(value: Json): Promise<string>;
  /** @throws OpsError `key_unavailable` where no key can be made or opened; nothing was written then. */
  seal(place: SecretPlace, value: Json): Promise<Envelope>;
  /** @throws OpsError `key_unavailable`; `plan_mismatch` where the envelope is not of this place. */
  open(place: SecretPlace, envelope: Envelope): Promise<Json>;
  /** Why the key of the fingerprints cannot be used by this process, or null. Creates nothing. */
  problem(): Promise<OpsError | null>;
}

/** A new data key for what is sealed from now on; all older ones are wrapped anew by the means in force. */
export interface Rotated {
  readonly kid: string;
  readonly rewrapped: readonly string[];
}

interface KeyDeps {
  readonly driver: StateDriver;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly means: KeyMeans;
  /** Makes sure that the store exists and takes writes. */
  ready(): Promise<void>;
  storeId(): Promise<string>;
  damaged(what: string, details: Record<string, unknown>): OpsError;
  /** Notes a medium that refused, and throws. */
  failed(error: unknown): never;
}

const KEY = "key";
const KEYS = "keys/";
const N = 2 ** 17;
const R = 8;
/** Sealed text is filled up to a multiple of this, so that its length says little of the secret's. */
const BLOCK = 64;
const TAG = 16;

const Base64 = z.string().regex(/^[A-Za-z0-9+/]+={0,2}$/);
const WrapShape = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("passphrase"),
    kdf: z.strictObject({
      name: z.literal("scrypt"),
      n: z
        .number()
        .int()
        .min(2)
        .max(2 ** 20),
      r: z.number().int().min(1).max(16),
      p: z.number().int().min(1).max(4),
      salt: Base64,
    }),
    iv: Base64,
    ct: Base64,
  }),
  z.strictObject({ kind: z.literal("kms"), keyId: z.string().min(1), ciphertext: Base64, iv: Base64, ct: Base64 }),
]);
const KeyFileShape = z.strictObject({
  format: z.literal(1),
  kid: z.string(),
  created: z.string(),
  wrap: WrapShape,
});
type Wrap = z.infer<typeof WrapShape>;
/** Of a store that was given a passphrase or KMS key from the start: the fingerprints' key follows from a data key. */
const DerivedShape = z.strictObject({ format: z.literal(1), kid: z.string() });

const PASSPHRASE = "AWS_DEVOPS_MCP_STATE_PASSPHRASE or --state-passphrase-file";

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const bytesOf = (text: string): Uint8Array => Buffer.from(text, "base64");
const line = (document: unknown): Uint8Array => new TextEncoder().encode(`${canonicalJson(toDisk(document))}\n`);
const numberOf = (kid: string): number => Number.parseInt(kid.slice(1), 10);
const fileOf = (kid: string): string => `${KEYS}${kid}.json`;

const keyError = (message: string, file: string, cause?: unknown): OpsError =>
  new OpsError("key_unavailable", message, { details: { file }, ...(cause !== undefined && { cause }) });

function encrypt(key: Uint8Array, iv: Uint8Array, aad: string, clear: Uint8Array): string {
  const cipher = createCipheriv("aes-256-gcm", key, iv, { authTagLength: TAG });
  cipher.setAAD(Buffer.from(aad));
  return base64(Buffer.concat([cipher.update(clear), cipher.final(), cipher.getAuthTag()]));
}

/** Null where key, place or bytes are not those it was made of. */
function decrypt(key: Uint8Array, iv: string, aad: string, ct: string): Uint8Array | null {
  const sealed = bytesOf(ct);
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, bytesOf(iv), { authTagLength: TAG });
    decipher.setAAD(Buffer.from(aad));
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG));
    return Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - TAG)), decipher.final()]);
  } catch {
    return null;
  }
}

const stretch = (passphrase: string, salt: Uint8Array, n: number, r: number, p: number): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const options = { N: n, r, p, maxmem: 256 * n * r * p };
    scrypt(passphrase.normalize("NFKC"), salt, 32, options, (error, key) => (error ? reject(error) : resolve(key)));
  });

const wrapPlace = (store: string, kid: string): string => canonicalJson(["data key", store, kid]);
const envelopePlace = (store: string, { rid, path, print }: SecretPlace): string =>
  canonicalJson(["secret", store, rid, path, print]);

/** The keys of one store. Nothing is read or derived before the first use; what was opened stays in memory. */
export function storeKeys(deps: KeyDeps): StoreKeys & { rotate(): Promise<Rotated> } {
  const { driver, clock, ids, means } = deps;
  const opened = new Map<string, Promise<Uint8Array>>();
  let fingerprints: Uint8Array | null = null;

  /** Oldest first. */
  async function kids(): Promise<readonly string[]> {
    const found = (await driver.list(KEYS)).flatMap((key) => {
      const match = /^keys\/(k[1-9]\d{0,8}-[0-9a-f]{8})\.json$/.exec(key);
      return match ? [match[1]!] : [];
    });
    return found.sort((a, b) => numberOf(a) - numberOf(b) || (a < b ? -1 : 1));
  }

  /** Random, so that the name of a key that was lost is never given to another one. */
  const newKid = (number: number): string => `k${number}-${Buffer.from(ids.bytes(4)).toString("hex")}`;

  const put = (key: string, bytes: Uint8Array) => driver.putIfAbsent(key, bytes).catch(deps.failed);

  async function wrapOf(kid: string, key: Uint8Array): Promise<Wrap> {
    const store = await deps.storeId();
    const iv = ids.bytes(12);
    const sealed = (kek: Uint8Array) => ({ iv: base64(iv), ct: encrypt(kek, iv, wrapPlace(store, kid), key) });
    if (means.kms) {
      const { keyId, port } = means.kms;
      const made = await port.generate(keyId, { store }).catch((cause: unknown) => {
        throw notByKms(`KMS made no key under ${keyId}`, fileOf(kid), cause);
      });
      return { kind: "kms", keyId: made.keyId, ciphertext: base64(made.ciphertext), ...sealed(made.key) };
    }
    if (!means.passphrase) {
      throw keyError(
        `Secrets of this store cannot be sealed: neither a passphrase (${PASSPHRASE}) nor --state-kms-key was given. Nothing was changed.`,
        fileOf(kid),
      );
    }
    const salt = ids.bytes(16);
    const n = means.scryptN ?? N;
    const kek = await stretch(means.passphrase.text, salt, n, R, 1);
    return { kind: "passphrase", kdf: { name: "scrypt", n, r: R, p: 1, salt: base64(salt) }, ...sealed(kek) };
  }

  function notByKms(what: string, file: string, cause: unknown): OpsError {
    if (!(cause instanceof OpsError)) throw cause;
    return new OpsError("key_unavailable", `${what} (${cause.code}). Nothing was changed. ${cause.message}`, {
      details: { ...cause.details, file },
      cause,
    });
  }

  async function readKey(kid: string) {
    const file = fileOf(kid);
    const stored = await driver.get(file);
    if (!stored) {
      throw keyError(
        `${file} is missing, so what was sealed with it cannot be opened. Nothing was changed; restore the file from a backup, or give the values anew.`,
        file,
      );
    }
    try {
      const parsed = KeyFileShape.parse(fromDisk(JSON.parse(textOf(stored.bytes) ?? "")));
      if (parsed.kid === kid) return { ...parsed, etag: stored.etag };
    } catch {}
    throw keyError(`${file} is damaged. Nothing was changed; restore it from a backup, or give the values anew.`, file);
  }

  async function kekOf(kid: string, wrap: Wrap): Promise<readonly Uint8Array[]> {
    const file = fileOf(kid);
    if (wrap.kind === "kms") {
      const store = await deps.storeId();
      if (!means.kms) {
        throw keyError(
          `${file} is wrapped by the KMS key ${wrap.keyId}, and --state-kms-key was not given. Nothing was changed.`,
          file,
        );
      }
      return [
        await means.kms.port.decrypt(wrap.keyId, bytesOf(wrap.ciphertext), { store }).catch((cause: unknown) => {
          throw notByKms(`KMS did not open ${file}`, file, cause);
        }),
      ];
    }
    const given = [means.passphrase, means.oldPassphrase].filter((one) => one !== undefined);
    if (given.length === 0) {
      throw keyError(
        `${file} is wrapped by a passphrase and none was given. Nothing was changed; start with ${PASSPHRASE}.`,
        file,
      );
    }
    const { n, r, p, salt } = wrap.kdf;
    const derived: Uint8Array[] = [];
    for (const { text } of given) derived.push(await stretch(text, bytesOf(salt), n, r, p));
    return derived;
  }

  async function unwrap(kid: string): Promise<Uint8Array> {
    const { wrap } = await readKey(kid);
    const place = wrapPlace(await deps.storeId(), kid);
    for (const kek of await kekOf(kid, wrap)) {
      const key = decrypt(kek, wrap.iv, place, wrap.ct);
      if (key) return key;
    }
    const sources = [means.passphrase, means.oldPassphrase].flatMap((one) => (one ? [one.source] : []));
    throw keyError(
      wrap.kind === "kms"
        ? `${fileOf(kid)} was changed: the key that KMS gives does not open it. Nothing was changed; restore it from a backup.`
        : `The passphrase of ${sources.join(" and ")} does not open ${fileOf(kid)}: it is another one, or the file was changed. Nothing was changed; start with the passphrase this store was made with.`,
      fileOf(kid),
    );
  }

  function dataKey(kid: string): Promise<Uint8Array> {
    const known = opened.get(kid);
    if (known) return known;
    const opening = unwrap(kid);
    opened.set(kid, opening);
    // KMS and disks recover, and a file may be restored: what failed is tried again.
    opening.catch(() => opened.delete(kid));
    return opening;
  }

  /** Processes that race make one each: all of them are readable, and all seal with the last of the list. */
  async function make(kid: string): Promise<string> {
    await deps.ready();
    const wrap = await wrapOf(kid, ids.bytes(32));
    await put(fileOf(kid), line({ format: 1, kid, created: clock.now().toISOString(), wrap }));
    await dataKey(kid);
    return kid;
  }

  async function fingerprintKey(): Promise<Uint8Array> {
    if (fingerprints) return fingerprints;
    let stored = await driver.get(KEY);
    if (!stored) {
      await deps.ready();
      const [first] = await kids();
      const wrapped = first !== undefined || means.passphrase !== undefined || means.kms !== undefined;
      const content = wrapped
        ? line({ format: 1, kid: first ?? (await make(newKid(1))) })
        : new TextEncoder().encode(`${Buffer.from(ids.bytes(32)).toString("hex")}\n`);
      if (first) await dataKey(first);
      await put(KEY, content);
      stored = await driver.get(KEY);
    }
    const text = (stored && textOf(stored.bytes)) ?? "";
    fingerprints = /^[0-9a-f]{64}\n$/.test(text) ? Buffer.from(text.trim(), "hex") : await derived(text);
    return fingerprints;
  }

  async function derived(text: string): Promise<Uint8Array> {
    let kid: string;
    try {
      kid = DerivedShape.parse(fromDisk(JSON.parse(text))).kid;
    } catch {
      throw deps.damaged("its key file is damaged. Nothing was changed; restore it from a backup.", { file: KEY });
    }
    const store = await deps.storeId();
    return new Uint8Array(hkdfSync("sha256", await dataKey(kid), store, "fingerprints", 32));
  }

  return {
    fingerprint: async (value) =>
      createHmac("sha256", await fingerprintKey())
        .update(canonicalJson(value))
        .digest("hex"),

    async sign(value) {
      const signing = createHmac("sha256", await fingerprintKey())
        .update("seal")
        .digest();
      return createHmac("sha256", signing).update(canonicalJson(value)).digest("hex");
    },

    async seal(place, value) {
      const kid = (await kids()).at(-1) ?? (await make(newKid(1)));
      const key = await dataKey(kid);
      const clear = Buffer.from(canonicalJson(value));
      const filled = Buffer.alloc(Math.ceil(clear.length / BLOCK) * BLOCK, " ");
      clear.copy(filled);
      const iv = ids.bytes(12);
      const ct = encrypt(key, iv, envelopePlace(await deps.storeId(), place), filled);
      return { $enc: "v1", kid, iv: base64(iv), ct, path: place.path, print: place.print };
    },

    async open(place, { kid, iv, ct }) {
      const clear = decrypt(await dataKey(kid), iv, envelopePlace(await deps.storeId(), place), ct);
      if (clear) return JSON.parse(Buffer.from(clear).toString()) as Json;
      throw new OpsError(
        "plan_mismatch",
        `The stored secret of ${place.path} does not open at this place: it was moved or changed. Nothing was sent; give the value anew.`,
        { field: place.path, details: { rid: place.rid } },
      );
    },

    async problem() {
      if (fingerprints) return null;
      const stored = await driver.get(KEY);
      if (!stored) return null;
      try {
        await fingerprintKey();
        return null;
      } catch (error) {
        if (error instanceof OpsError && error.code === "key_unavailable") return error;
        throw error;
      }
    },

    async rotate() {
      const known = await kids();
      const keys: (readonly [string, Uint8Array])[] = [];
      for (const kid of known) keys.push([kid, await dataKey(kid)]);
      const rewrapped: string[] = [];
      for (const [kid, key] of keys) {
        const { etag, created } = await readKey(kid);
        const bytes = line({ format: 1, kid, created, wrap: await wrapOf(kid, key) });
        if ((await driver.putIfMatch(fileOf(kid), bytes, etag).catch(deps.failed)) === "conflict") {
          throw keyError(`${fileOf(kid)} was replaced by somebody else meanwhile. Rotate again.`, fileOf(kid));
        }
        rewrapped.push(kid);
      }
      return { kid: await make(newKid(numberOf(known.at(-1) ?? "k0") + 1)), rewrapped };
    },
  };
}
