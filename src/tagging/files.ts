// The operator's tagging files: policy and exceptions. Found where they always were; made in the server's own folder.

import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { OpsError } from "../core/errors.js";
import type { Json, JsonObject } from "../core/json.js";
import type { Clock } from "../core/ports.js";
import type { MadePolicy, PolicySource, TaggingFiles } from "../core/tagging.js";

export interface FileOptions {
  /** As configured; a relative one is looked for in the working directory first. */
  readonly policyPath: string;
  /** The file of resource types, where the operator names one. */
  readonly resourceTypesPath?: string | undefined;
  /** Where files are made; null: nowhere, and what is written lives as long as this process. */
  readonly folder: string | null;
  readonly fallbackToDefault: boolean;
  readonly clock: Pick<Clock, "now">;
}

const EXCEPTIONS = "tag_exceptions.json";
const RESOURCE_TYPES = "config/resource_types.json";
const MOST_BYTES = 4_000_000;

export function taggingFiles(options: FileOptions): TaggingFiles {
  const { policyPath, resourceTypesPath, folder, fallbackToDefault, clock } = options;
  const own = (name: string): string | null => (folder === null ? null : join(folder, name));
  const memory = new Map<string, Json>();

  /** The first of the places where a file is. */
  const found = (path: string): string | null => {
    const places = isAbsolute(path) ? [path] : [resolve(path), own(basename(path))];
    return places.find((place) => place !== null && existsSync(place)) ?? null;
  };
  /** The file that is in force, or where one would be made: where the operator says, if that is a place. */
  const policyFile = (): string | null =>
    found(policyPath) ?? (folder === null ? null : isAbsolute(policyPath) ? policyPath : own(basename(policyPath)));
  const exceptionsPath = (): string => {
    const policy = policyFile();
    return policy === null ? EXCEPTIONS : join(dirname(policy), EXCEPTIONS);
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
      const kept = existsSync(path) ? unused(`${path}.${stamp}`) : undefined;
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

  /** Two of one moment are two. */
  const unused = (stem: string): string => {
    for (let count = 0; ; count++) {
      const name = `${stem}${count === 0 ? "" : `-${count}`}.bak`;
      if (!existsSync(name)) return name;
    }
  };

  /** What this process was told where it may write nothing goes before the file: it was made from it. */
  function heldExceptions(): { path: string; list: readonly Json[] } {
    const path = exceptionsPath();
    const value = memory.get("exceptions") ?? (existsSync(path) ? parsed(path) : []);
    if (Array.isArray(value)) return { path, list: value };
    const { exceptions } = (value ?? {}) as JsonObject;
    if (Array.isArray(exceptions)) return { path, list: exceptions };
    throw new OpsError("validation_error", "The file of exceptions must be a list; it was left as it is.", {
      details: { path },
    });
  }

  const put = (path: string | null, name: string, value: Json): { path: string; kept?: string } => {
    if (path !== null) return written(path, value);
    memory.set(name, value);
    return { path: "memory" };
  };

  const read = (path: string): PolicySource => ({
    ...{ source: "existing_file", success: true, policy_path: path, aws_policy_id: null },
    ...{ message: "The policy file was read.", value: parsed(path) },
  });
  let held: PolicySource | null = null;
  let making: Promise<PolicySource> | null = null;

  async function made(imported: () => Promise<MadePolicy>, fallback: () => JsonObject): Promise<PolicySource> {
    const got = await imported();
    // Another call or another server may have been first.
    const path = found(policyPath);
    if (path !== null) return read(path);
    const kept = (
      value: JsonObject,
      said: Pick<PolicySource, "source" | "message" | "aws_policy_id">,
    ): PolicySource => {
      const place = put(policyFile(), "policy", value).path;
      const source = { ...said, success: true, policy_path: place, value };
      if (place === "memory") held = source;
      return source;
    };
    if ("value" in got) {
      const message = "There was no policy file: it was made from the tag policy of AWS Organizations.";
      return kept(got.value, { source: "aws_organizations", message, aws_policy_id: got.policyId });
    }
    const why = got.because === "" ? "" : ` ${got.because}`;
    if (!fallbackToDefault) {
      const message = `There is no policy file, and the operator lets none be made.${why}`;
      return { source: "none", success: false, message, policy_path: null, aws_policy_id: null };
    }
    const value = fallback();
    if (got.forNow) {
      const message = `There is no policy file; the default policy is used for now, and was not written.${why}`;
      return { source: "default", success: true, message, policy_path: null, aws_policy_id: null, value };
    }
    const message = `There was no policy file: a default one was made. Edit it, or name another with --policy-path.${why}`;
    return kept(value, { source: "default", message, aws_policy_id: null });
  }

  function fileNamed(name: string, inForce: string): string {
    const folder = dirname(inForce);
    const path = isAbsolute(name) ? resolve(name) : dirname(name) === "." ? join(folder, name) : resolve(name);
    if (dirname(path) === folder && path.endsWith(".json") && basename(path) !== EXCEPTIONS) return path;
    throw new OpsError(
      "validation_error",
      "A policy is written into the folder of the policy file only, as a .json file.",
      {
        field: "output_path",
        details: { folder },
      },
    );
  }

  return {
    async policy(imported, fallback) {
      const path = found(policyPath);
      if (path !== null) return read(path);
      if (held !== null) return held;
      making ??= made(imported, fallback).finally(() => {
        making = null;
      });
      return making;
    },
    async writePolicy(value, name) {
      const inForce = policyFile();
      const path = inForce !== null && name !== undefined ? fileNamed(name, inForce) : inForce;
      const written = put(path, "policy", value);
      if (path === null) {
        const said = {
          source: "aws_organizations",
          success: true,
          policy_path: "memory",
          aws_policy_id: null,
        } as const;
        held = { ...said, message: "The policy this server holds in memory.", value };
      }
      return { ...written, inForce: path === inForce };
    },
    async resourceTypes() {
      const path = found(resourceTypesPath ?? RESOURCE_TYPES);
      if (path !== null) return { path, value: parsed(path) };
      return { path: resourceTypesPath ?? null, value: null };
    },
    exceptions: async () => heldExceptions(),
    // From the read to the write nothing else of this process runs.
    async changeExceptions(change) {
      const { list, path } = heldExceptions();
      return put(folder === null ? null : path, "exceptions", change(list, path) as unknown as Json);
    },
  };
}
