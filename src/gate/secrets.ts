// Secret values: read contents and stored plans hold a keyed fingerprint in their place. The clear value of an open plan
// is in this process's memory only, and nothing but the executor's input ever holds it again.

import type { ChangeStep } from "../core/change.js";
import type { ResourceSchema } from "../core/content.js";
import { OpsError } from "../core/errors.js";
import { isObject, type Json, type JsonObject, looksSecret, pointerSegments, redact } from "../core/json.js";
import type { Aws, AwsReader } from "../core/ports.js";

export interface SecretKeeper {
  /** AWS whose contents carry fingerprints for secrets, so that plans, ledger, drift and state compare the same thing. */
  guarded(aws: Aws): Aws;
  /** The steps as they may be stored; the secrets in them are kept for `reveal`. */
  hide(
    steps: readonly ChangeStep[],
    schemaOf: (type: string) => Promise<ResourceSchema>,
  ): Promise<readonly ChangeStep[]>;
  /** A document of a plan, by names alone. */
  hideFacts(facts: JsonObject): Promise<JsonObject>;
  /** The operations of a patch, by names alone. */
  hidePatch(patch: readonly Json[]): Promise<readonly Json[]>;
  /** The step as it must be sent. @throws OpsError plan_mismatch when another process planned it. */
  reveal(step: ChangeStep): ChangeStep;
}

type IsSecret = (path: string, name: string) => boolean;

/** Clear values kept for open plans; the oldest goes first, and its plan is made again. */
const MOST_KEPT = 2_000;
const MARK = "$secret";

const isPrint = (value: unknown): value is { readonly $secret: string } =>
  isObject(value) && typeof value[MARK] === "string" && Object.keys(value).length === 1;

const rule =
  (schema?: ResourceSchema): IsSecret =>
  (path, name) =>
    name !== MARK && (looksSecret(name) || (schema?.writeOnly ?? []).includes(path));

/** @param fingerprint keyed hash of a value; equal for equal values of one store */
export function secretKeeper(fingerprint: (value: Json) => Promise<string>): SecretKeeper {
  const kept = new Map<string, Json>();

  async function print(secret: Json, keep: boolean): Promise<Json> {
    if (isPrint(secret)) return secret;
    const $secret = await fingerprint(secret);
    if (keep) {
      kept.delete($secret);
      kept.set($secret, secret);
      if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value!);
    }
    return { $secret };
  }

  async function hideIn(value: Json, isSecret: IsSecret, keep: boolean): Promise<Json> {
    const found: Json[] = [];
    redact(value, isSecret, (secret) => {
      found.push(secret);
      return null;
    });
    if (found.length === 0) return value;
    const prints = await Promise.all(found.map((secret) => print(secret, keep)));
    return redact(value, isSecret, () => prints.shift()!);
  }

  /** A patch operation sets its value under the name `value`: its path says whether that, or what is in it, is secret. */
  async function hidePatch(input: JsonObject, isSecret: IsSecret): Promise<JsonObject> {
    if (!Array.isArray(input.PatchDocument)) return input;
    const operations = input.PatchDocument.map(async (operation: Json) => {
      if (!isObject(operation) || typeof operation.path !== "string" || operation.value === undefined) return operation;
      const { path, value } = operation;
      const name = pointerSegments(path).at(-1) ?? "";
      const hidden = isSecret(path, name)
        ? await print(value, true)
        : await hideIn(value, (below, inner) => isSecret(`${path}${below}`, inner), true);
      return { ...operation, value: hidden };
    });
    return { ...input, PatchDocument: await Promise.all(operations) };
  }

  const shown = async <T>(content: T, schema?: ResourceSchema): Promise<T> =>
    content === null ? content : ((await hideIn(content as Json, rule(schema), false)) as T);

  function guardedReader(reader: AwsReader): AwsReader {
    const schemaOf = (type: string) => reader.schema(type).catch(() => undefined);
    return {
      ...reader,
      get: async (type, id) => shown(await reader.get(type, id)),
      async list(type, query) {
        const page = await reader.list(type, query);
        return { ...page, items: await Promise.all(page.items.map((item) => shown(item))) };
      },
      resource: async (type, id) => shown(await reader.resource(type, id), await schemaOf(type)),
      async resources(type, model, cursor) {
        const [page, schema] = [await reader.resources(type, model, cursor), await schemaOf(type)];
        const items = page.items.map(async (item) => ({ ...item, properties: await shown(item.properties, schema) }));
        return { ...page, items: await Promise.all(items) };
      },
      content: async (ref, name) =>
        shown(await reader.content(ref, name), name === "cloudcontrol" ? await schemaOf(ref.type) : undefined),
    };
  }

  return {
    guarded: (aws) => ({ ...aws, reader: async (region) => guardedReader(await aws.reader(region)) }),

    async hide(steps, schemaOf) {
      const out: ChangeStep[] = [];
      for (const step of steps) {
        const isSecret = rule(step.reader === "cloudcontrol" ? await schemaOf(step.ref.type) : undefined);
        const patched = await hidePatch(step.input, isSecret);
        const input = await hideIn(patched, (path, name) => isSecret(path.replace(/^\/DesiredState/, ""), name), true);
        const documents: Partial<ChangeStep> = {};
        for (const key of ["before", "after", "desired"] as const) {
          const document = step[key];
          if (document) Object.assign(documents, { [key]: await hideIn(document, isSecret, true) });
        }
        out.push({ ...step, ...documents, input: input as JsonObject });
      }
      return out;
    },

    hideFacts: async (facts) => (await hideIn(facts, rule(), false)) as JsonObject,
    hidePatch: async (patch) => (await hidePatch({ PatchDocument: patch }, rule())).PatchDocument as readonly Json[],

    reveal(step) {
      const open = (value: Json): Json => {
        if (isPrint(value)) {
          const secret = kept.get(value.$secret);
          if (secret !== undefined) return secret;
          throw new OpsError(
            "plan_mismatch",
            "This change carries a secret value that this process does not hold: it was planned by another one, or it is of the past and never stored. Plan it again and give the value.",
            { field: "executionToken" },
          );
        }
        if (Array.isArray(value)) return value.map(open);
        if (!isObject(value)) return value;
        return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, open(member)]));
      };
      return { ...step, input: open(step.input) as JsonObject };
    },
  };
}
