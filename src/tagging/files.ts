// The operator's tagging files: policy and exceptions. Found where they always were; made in the server's own folder.

import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { OpsError } from "../core/errors.js";
import type { Json, JsonObject } from "../core/json.js";
import type { Clock } from "../core/ports.js";
import type { TaggingFiles } from "../core/tagging.js";

export interface FileOptions {
  /** As configured; a relative one is looked for in the working directory first. */
  readonly policyPath: string;
  /** Where files are made; null: nowhere, and what is written lives as long as this process. */
  readonly folder: string | null;
  readonly fallbackToDefault: boolean;
  readonly clock: Pick<Clock, "now">;
}

const EXCEPTIONS = "tag_exceptions.json";
const MOST_BYTES = 4_000_000;

export function taggingFiles({ policyPath, folder, fallbackToDefault, clock }: FileOptions): TaggingFiles {
  const own = (name: string): string | null => (folder === null ? null : join(folder, name));
  const memory = new Map<string, Json>();

  /** The first of the places where a file is. */
  const found = (path: string): string | null => {
    const places = isAbsolute(path) ? [path] : [resolve(path), own(basename(path))];
    return places.find((place) => place !== null && existsSync(place)) ?? null;
  };
  const exceptionsPath = (): string => {
    const policy = found(policyPath);
    return policy === null ? (own(EXCEPTIONS) ?? EXCEPTIONS) : join(dirname(policy), EXCEPTIONS);
  };

  function parsed(path: string): Json {
    try {
      if (statSync(path).size > MOST_BYTES) throw new Error("it is larger than 4 MB");
      return JSON.parse(readFileSync(path, "utf8").replace(/^\uFEFF/, "")) as Json;
    } catch (cause) {
      throw new OpsError("validation_error", "A tagging file cannot be read as JSON; it was left as it is.", {
        details: { path, because: cause instanceof Error ? cause.message : "" },
        cause,
      });
    }
  }

  /** Whole or not at all; what was there stays beside it under the time it was replaced. */
  function written(path: string, value: Json): { path: string; kept?: string } {
    try {
      mkdirSync(dirname(path), { recursive: true });
      const stamp = clock.now().toISOString().replace(/[:.]/g, "-");
      const kept = existsSync(path) ? `${path}.${stamp}.bak` : undefined;
      const draft = `${path}.${stamp}.new`;
      writeFileSync(draft, `${JSON.stringify(value, null, 2)}\n`, { flag: "wx", mode: 0o644 });
      if (kept) writeFileSync(kept, readFileSync(path), { flag: "wx" });
      renameSync(draft, path);
      return { path, ...(kept && { kept }) };
    } catch (cause) {
      throw new OpsError("state_read_only", "A tagging file cannot be written; nothing was changed.", {
        details: { path },
        cause,
      });
    }
  }

  const put = (path: string | null, name: string, value: Json): { path: string; kept?: string } => {
    if (path !== null) return written(path, value);
    memory.set(name, value);
    return { path: "memory" };
  };

  return {
    async policy(fallback) {
      const path = found(policyPath);
      if (path !== null) {
        const said = { source: "existing_file", success: true, policy_path: path, aws_policy_id: null } as const;
        return { ...said, message: "The policy file was read.", value: parsed(path) };
      }
      const held = memory.get("policy");
      if (held !== undefined) {
        return {
          source: "default",
          success: true,
          message: "The policy this server made in memory.",
          policy_path: null,
          aws_policy_id: null,
          value: held,
        };
      }
      if (!fallbackToDefault) {
        const message = "There is no policy file, and the operator lets none be made.";
        return { source: "none", success: false, message, policy_path: null, aws_policy_id: null };
      }
      const value = fallback();
      const place = put(own(basename(policyPath)), "policy", value).path;
      const message = "There was no policy file: a default one was made. Edit it, or name another with --policy-path.";
      return { source: "default", success: true, message, policy_path: place, aws_policy_id: null, value };
    },
    async writePolicy(value, path) {
      return put(path ?? found(policyPath) ?? own(basename(policyPath)), "policy", value);
    },
    async exceptions() {
      const path = exceptionsPath();
      const value = existsSync(path) ? parsed(path) : (memory.get("exceptions") ?? []);
      if (Array.isArray(value)) return { path, list: value };
      const { exceptions } = (value ?? {}) as JsonObject;
      if (Array.isArray(exceptions)) return { path, list: exceptions };
      throw new OpsError("validation_error", "The file of exceptions must be a list; it was left as it is.", {
        details: { path },
      });
    },
    async writeExceptions(list) {
      return put(folder === null ? null : exceptionsPath(), "exceptions", list as unknown as Json);
    },
  };
}
