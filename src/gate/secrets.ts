// Secret values of open plans: in this process's memory, never in a commit. A commit holds a keyed fingerprint.

import type { ChangeStep } from "../core/change.js";
import type { ResourceSchema } from "../core/content.js";
import { OpsError } from "../core/errors.js";
import { isObject, type Json, type JsonObject, looksSecret, pointerSegments, redact } from "../core/json.js";

export interface SecretKeeper {
  /** The steps as they may be stored; the secrets in them are kept for `reveal`. */
  hide(
    steps: readonly ChangeStep[],
    schemaOf: (type: string) => Promise<ResourceSchema>,
  ): Promise<readonly ChangeStep[]>;
  /** The step as it must be sent. @throws OpsError plan_mismatch when another process planned it. */
  reveal(step: ChangeStep): ChangeStep;
  /** A content as it may be stored or kept in a ledger. */
  fingerprinted(type: string, content: JsonObject, schema?: ResourceSchema): Promise<JsonObject>;
}

type IsSecret = (path: string, name: string) => boolean;

/** @param fingerprint keyed hash of a value; equal for equal values of one store */
export function secretKeeper(fingerprint: (value: Json) => Promise<string>): SecretKeeper {
  const kept = new Map<string, Json>();

  async function print(secret: Json): Promise<Json> {
    if (isPrint(secret)) return secret;
    const $secret = await fingerprint(secret);
    kept.set($secret, secret);
    return { $secret };
  }

  async function hideIn(value: Json, isSecret: IsSecret): Promise<Json> {
    const found: Json[] = [];
    redact(value, isSecret, (secret) => {
      found.push(secret);
      return null;
    });
    const prints = await Promise.all(found.map(print));
    return redact(value, isSecret, () => prints.shift()!);
  }

  /** A patch operation sets its value under the name `value`: its path says whether that is a secret. */
  async function hidePatch(input: JsonObject, isSecret: IsSecret): Promise<JsonObject> {
    if (!Array.isArray(input.PatchDocument)) return input;
    const operations = input.PatchDocument.map(async (operation: Json) => {
      if (!isObject(operation) || typeof operation.path !== "string" || operation.value === undefined) return operation;
      const name = pointerSegments(operation.path).at(-1) ?? "";
      return isSecret(operation.path, name) ? { ...operation, value: await print(operation.value) } : operation;
    });
    return { ...input, PatchDocument: await Promise.all(operations) };
  }

  const rule = (schema: ResourceSchema | undefined, prefix = "") => {
    const writeOnly = (schema?.writeOnly ?? []).map((pointer) => `${prefix}${pointer}`);
    return (path: string, name: string): boolean => looksSecret(name) || writeOnly.includes(path);
  };

  return {
    async hide(steps, schemaOf) {
      const out: ChangeStep[] = [];
      for (const step of steps) {
        const schema = step.reader === "cloudcontrol" ? await schemaOf(step.ref.type) : undefined;
        const secretPath = rule(schema);
        const patched = await hidePatch(step.input, secretPath);
        const input = await hideIn(patched, (path, name) => secretPath(path.replace(/^\/DesiredState/, ""), name));
        const documents: Partial<ChangeStep> = {};
        for (const key of ["before", "after", "desired"] as const) {
          const document = step[key];
          if (document) Object.assign(documents, { [key]: await hideIn(document, secretPath) });
        }
        out.push({ ...step, ...documents, input: input as JsonObject });
      }
      return out;
    },

    reveal(step) {
      const open = (value: Json): Json => {
        if (isPrint(value)) {
          const secret = kept.get(value.$secret);
          if (secret !== undefined) return secret;
          throw new OpsError(
            "plan_mismatch",
            "This plan carries a secret value that only the server process that planned it holds, and that process has ended. Plan it again.",
            { field: "executionToken" },
          );
        }
        if (Array.isArray(value)) return value.map(open);
        if (!isObject(value)) return value;
        return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, open(member)]));
      };
      return { ...step, input: open(step.input) as JsonObject };
    },

    fingerprinted: async (_type, content, schema) => (await hideIn(content, rule(schema))) as JsonObject,
  };
}

const isPrint = (value: unknown): value is { readonly $secret: string } =>
  isObject(value) && typeof value.$secret === "string" && Object.keys(value).length === 1;
