// Memory: for unit tests and the sandbox. Nothing survives the process, so it never stands behind real AWS.

import { sha256 } from "../../src/core/json.js";
import { journalKey, type StateDriver } from "../driver.js";

/** A store in a map. Two drivers over one map are two processes on one store. */
export function memoryDriver(kept: Map<string, Uint8Array> = new Map()): StateDriver {
  const put = (key: string, bytes: Uint8Array) => void kept.set(key, Uint8Array.from(bytes));
  return {
    name: "memory",
    location: "memory:",
    durable: false,
    async get(key) {
      const bytes = kept.get(key);
      return bytes ? { bytes: Uint8Array.from(bytes), etag: sha256(bytes) } : null;
    },
    async putIfAbsent(key, bytes) {
      if (kept.has(key)) return "exists";
      put(key, bytes);
      return "created";
    },
    async putIfMatch(key, bytes, etag, keepPrevious = false) {
      const current = kept.get(key);
      if ((current ? sha256(current) : null) !== etag) return "conflict";
      if (current && keepPrevious) put(`${key}.prev`, current);
      put(key, bytes);
      return { etag: sha256(bytes) };
    },
    hint: async (key, bytes) => put(key, bytes),
    settle: async () => {},
    async remove(keys) {
      for (const key of keys) kept.delete(key);
    },
    list: async (prefix) => [...kept.keys()].filter((key) => key.startsWith(prefix)).sort(),
    probeNext: async (seq) => kept.has(journalKey(seq + 1)),
    inspect: async () => null,
    probeWritable: async () => null,
    keepReserve: async () => false,
    spendReserve: async () => false,
    close: async () => {},
  };
}
