// Secret values: read contents and stored plans hold a keyed fingerprint in their place. The clear value is in this
// process's memory and, if the operator wants it, encrypted in the store; nothing but the executor's input holds it again.

import { envelopeAt, placeOf } from "../../state/envelopes.js";
import { isUnder } from "../../state/schema-paths.js";
import { type ChangeStep, type Envelope, ridOf } from "../core/change.js";
import type { DeployTarget } from "../core/content/deployments.js";
import type { ResourceSchema } from "../core/content.js";
import { OpsError } from "../core/errors.js";
import {
  calledIn,
  escapePointer,
  isObject,
  isSecretMark,
  type Json,
  type JsonObject,
  looksSecret,
  pointerSegments,
  propertyOf,
} from "../core/json.js";
import type { Aws, AwsReader, AwsWriter } from "../core/ports.js";

type StepEnvelope = Envelope & { readonly step: number };

export interface HideRequest {
  readonly steps: readonly ChangeStep[];
  schemaOf(type: string): Promise<ResourceSchema>;
  /** What the store holds of a resource's secrets. */
  storedOf(rid: string): readonly Envelope[];
}

export interface SecretKeeper {
  /** AWS whose contents carry fingerprints for secrets, so that plans, ledger, drift and state compare the same thing. */
  guarded(aws: Aws): Aws;
  /**
   * The steps as they may be stored, and the secrets in them, encrypted, where they are stored; else they are kept in
   * memory for `reveal`.
   * @throws OpsError `validation_error` naming a secret that would have to be sent and that nobody holds.
   */
  hide(
    request: HideRequest,
  ): Promise<{ readonly steps: readonly ChangeStep[]; readonly envelopes: readonly StepEnvelope[] }>;
  /** A document of a plan by names alone; one of a resource also by what its schema calls write-only. */
  hideFacts(facts: JsonObject, schema?: ResourceSchema): Promise<JsonObject>;
  /** The operations of a patch, in the same way. */
  hidePatch(patch: readonly Json[], schema?: ResourceSchema): Promise<readonly Json[]>;
  /**
   * The step as it must be sent.
   * @throws OpsError `plan_mismatch` where its secret is neither in memory nor stored, `key_unavailable`.
   */
  reveal(step: ChangeStep, envelopes?: readonly Envelope[]): Promise<ChangeStep>;
}

/** Where secrets are stored: the keys of the store, bound to a place. */
export interface Vault {
  /** Absent: new secrets are not stored. */
  seal?(place: Place, value: Json): Promise<Envelope>;
  open(place: Place, envelope: Envelope): Promise<Json>;
}

interface Place {
  readonly rid: string;
  readonly path: string;
  readonly print: string;
}

type IsSecret = (path: string, name: string) => boolean;

/** Clear values kept for open plans; the oldest goes first, and its plan is made again. */
const MOST_KEPT = 2_000;
/** Shown for a secret whose fingerprint cannot be made; no plan may hold it. */
const UNKNOWN = "key_unavailable";
/** In place of what AWS says of a call that carried a secret unknown here. */
const WITHHELD = "[withheld: it may repeat a secret that this process does not hold]";
/** Shorter ones are words of everyday text. */
const SHORTEST_SCRUBBED = 6;

const rule =
  (schema?: ResourceSchema): IsSecret =>
  (path, name) =>
    looksSecret(name) || isUnder(schema?.writeOnly ?? [], path);

const withoutKey = (error: unknown): boolean => error instanceof OpsError && error.code === "key_unavailable";

/** A copy in which `visit` answers for every secret and every mark; null members are none. */
async function mapSecrets(
  value: Json,
  isSecret: IsSecret,
  visit: (secret: Json, path: string) => Promise<Json>,
  path = "",
): Promise<Json> {
  if (isSecretMark(value)) return visit(value, path);
  if (Array.isArray(value)) {
    const items: Json[] = [];
    for (const [index, item] of value.entries()) {
      const here = `${path}/${index}`;
      const secret = item !== null && isSecret(here, "");
      items.push(secret ? await visit(item, here) : await mapSecrets(item, isSecret, visit, here));
    }
    return items;
  }
  if (!isObject(value)) return value;
  const members: [string, Json][] = [];
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) continue;
    const here = `${path}/${escapePointer(key)}`;
    const secret = member !== null && isSecret(here, calledIn(value, key));
    members.push([key, secret ? await visit(member, here) : await mapSecrets(member, isSecret, visit, here)]);
  }
  return Object.fromEntries(members);
}

/**
 * The same for the input of a call, with paths of the resource: a desired state is the resource, and a patch operation
 * sets its value at its own path.
 */
async function mapInput(
  input: JsonObject,
  isSecret: IsSecret,
  visit: (secret: Json, path: string) => Promise<Json>,
): Promise<JsonObject> {
  const { DesiredState, PatchDocument, ...rest } = input;
  const out: Record<string, Json> = { ...((await mapSecrets(rest, isSecret, visit)) as JsonObject) };
  if (DesiredState !== undefined) out.DesiredState = await mapSecrets(DesiredState, isSecret, visit);
  if (PatchDocument !== undefined) {
    if (!Array.isArray(PatchDocument)) return { ...out, PatchDocument };
    const operations: Json[] = [];
    for (const operation of PatchDocument) {
      if (!isObject(operation) || typeof operation.path !== "string" || operation.value === undefined) {
        operations.push(operation);
        continue;
      }
      const { path, value } = operation;
      const whole = value !== null && onTheWay(path).some(([here, name]) => isSecret(here, name));
      const hidden = whole ? await visit(value, path) : await mapSecrets(value, isSecret, visit, path);
      operations.push({ ...operation, value: hidden });
    }
    out.PatchDocument = operations;
  }
  return out;
}

/** Every part of a pointer from the top down, with its name: what lies in a secret is secret. */
const onTheWay = (path: string): (readonly [path: string, name: string])[] =>
  pointerSegments(path).map((name, index, all) => [
    `/${all
      .slice(0, index + 1)
      .map(escapePointer)
      .join("/")}`,
    name,
  ]);

const never: IsSecret = () => false;

/** Where a document holds the value of a pair that its name makes a secret: a patch tells its place alone. */
function pairsIn(value: Json | undefined, path = ""): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => pairsIn(item, `${path}/${index}`));
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, member]) => {
    const here = `${path}/${escapePointer(key)}`;
    const called = calledIn(value, key);
    return called !== key && looksSecret(called) ? [here] : pairsIn(member, here);
  });
}

/**
 * @param fingerprint keyed hash of a value; equal for equal values of one store. It throws `key_unavailable` where the
 * store's key cannot be used: then contents are shown with a mark that says so, and no plan, comparison or record is
 * made of a resource that has secrets.
 */
export function secretKeeper(fingerprint: (value: Json) => Promise<string>, vault?: Vault): SecretKeeper {
  const kept = new Map<string, Json>();
  const keyOf = ({ rid, path, print }: Place): string => JSON.stringify([rid, path, print]);

  function keep(place: Place, secret: Json): void {
    const key = keyOf(place);
    kept.delete(key);
    kept.set(key, secret);
    if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value!);
  }

  const printed = async (secret: Json): Promise<Json> =>
    isSecretMark(secret) ? secret : { $secret: await fingerprint(secret) };

  /** What a tool shows. */
  const shown = async <T>(content: T, schema?: ResourceSchema): Promise<T> =>
    content === null
      ? content
      : ((await mapSecrets(content as Json, rule(schema), (secret) =>
          printed(secret).catch((error: unknown) => {
            if (withoutKey(error)) return { $secret: UNKNOWN };
            throw error;
          }),
        )) as T);

  /** What is compared and recorded: a mark that says nothing must not get there. */
  const compared = async <T>(content: T, schema?: ResourceSchema): Promise<T> =>
    content === null ? content : ((await mapSecrets(content as Json, rule(schema), printed)) as T);

  function guardedReader(reader: AwsReader): AwsReader {
    const schemaOf = (type: string) => reader.schema(type).catch(() => undefined);
    const shownTarget = async (target: DeployTarget): Promise<DeployTarget> =>
      ({ ...target, content: await shown(target.content) }) as DeployTarget;
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
      scaling: {
        ...reader.scaling,
        async groups(names) {
          const found = await reader.scaling.groups(names);
          if (!found.known) return found;
          const groups = await Promise.all(found.value.groups.map((group) => shown(group)));
          return { known: true, value: { ...found.value, groups } };
        },
      },
      deployments: {
        ...reader.deployments,
        async find(name, where) {
          const looked = await reader.deployments.find(name, where);
          return { ...looked, found: await Promise.all(looked.found.map(shownTarget)) };
        },
        async targets(query, mustAnswer) {
          const page = await reader.deployments.targets(query, mustAnswer);
          return "code" in page ? page : { ...page, items: await Promise.all(page.items.map(shownTarget)) };
        },
        async groupOf(service) {
          const found = await reader.deployments.groupOf(service);
          return found && { ...found, content: await shown(found.content) };
        },
      },
      content: async (ref, name) =>
        compared(await reader.content(ref, name), name === "cloudcontrol" ? await schemaOf(ref.type) : undefined),
      preflight: (step) => reader.preflight(step).catch(rethrown),
    };
  }

  /** What AWS says of a call may repeat the secret it was sent. */
  function scrubbed(text: string): string {
    const held = new Set([...kept.values()].flatMap(textsIn).filter((one) => one.length >= SHORTEST_SCRUBBED));
    return [...held]
      .sort((a, b) => b.length - a.length)
      .reduce((said, one) => said.replaceAll(one, "[redacted]"), text);
  }

  /** The same of a call that another process may have sent: what this one does not hold it cannot take out. */
  function heardOf(step: ChangeStep, text: string): string {
    const held = new Set([...kept.keys()].map((key) => (JSON.parse(key) as [string, string, string])[2]));
    return marksIn(step.input).every((print) => held.has(print)) ? scrubbed(text) : WITHHELD;
  }

  function scrubbedError(error: OpsError): OpsError {
    if (typeof error.details.awsMessage !== "string") return error;
    const { code, message, field, next } = error;
    // Without its cause: that is the SDK's error, with the same text in it.
    const details = { ...error.details, awsMessage: scrubbed(error.details.awsMessage) };
    return new OpsError(code, message, { details, next, ...(field !== undefined && { field }) });
  }

  function rethrown(error: unknown): never {
    throw error instanceof OpsError ? scrubbedError(error) : error;
  }

  function guardedWriter(writer: AwsWriter): AwsWriter {
    return {
      ...writer,
      send: (step, op, signal) => writer.send(step, op, signal).catch(rethrown),
      async sendTogether(steps, op) {
        const answers = await writer.sendTogether(steps, op).catch(rethrown);
        return answers.map((answer) => (answer instanceof OpsError ? scrubbedError(answer) : answer));
      },
      async poll(step, requestToken, since) {
        const progress = await writer.poll(step, requestToken, since);
        return progress.message === undefined ? progress : { ...progress, message: heardOf(step, progress.message) };
      },
    };
  }

  /** One step; what it sends is put into `envelopes`. */
  async function hideStep(step: ChangeStep, number: number, request: HideRequest, envelopes: StepEnvelope[]) {
    const rid = ridOf(step.ref);
    const named = rule(step.reader === "cloudcontrol" ? await request.schemaOf(step.ref.type) : undefined);
    const paired = new Set(
      [step.before, step.after, step.desired].flatMap((document) => pairsIn(document ?? undefined)),
    );
    const isSecret: IsSecret = (path, name) => named(path, name) || paired.has(path);

    async function hold(secret: Json, at: string): Promise<Json> {
      const mark = (await printed(secret)) as { readonly $secret: string };
      const place = { rid, path: placeOf(at), print: mark.$secret };
      const known = isSecretMark(secret) ? kept.get(keyOf(place)) : secret;
      if (known !== undefined) keep(place, known);
      const there = envelopes.some(
        (one) => one.step === number && one.path === place.path && one.print === place.print,
      );
      if (there) return mark;
      const stored = envelopeAt(request.storedOf(rid), at, mark.$secret);
      if (known === undefined && (!stored || !vault)) throw notStored(step, at);
      // Opened now, so that a lost key is said to whoever can still give the value.
      if (known === undefined) keep(place, await openAnywhere(vault!, place, step, stored!).catch(lost(step, at)));
      // What is given is sealed anew: the key of an older envelope may be the one that was lost.
      const envelope = (isSecretMark(secret) && stored) || (await vault?.seal?.(place, known!)) || stored;
      if (envelope) envelopes.push({ ...envelope, step: number });
      return mark;
    }

    const input = await mapInput(step.input, isSecret, hold);
    const documents: Partial<ChangeStep> = {};
    for (const key of ["before", "after", "desired"] as const) {
      const document = step[key];
      if (!document) continue;
      const visit =
        key === "desired"
          ? (secret: Json, at: string) => (isSecretMark(secret) ? printed(secret) : hold(secret, at))
          : printed;
      Object.assign(documents, { [key]: await mapSecrets(document, isSecret, visit) });
    }
    const hidden = { ...step, ...documents, input };
    // A mark without a fingerprint would compare as equal to every other one.
    if (JSON.stringify(hidden).includes(`{"$secret":"${UNKNOWN}"}`)) await fingerprint(null);
    return hidden;
  }

  return {
    guarded: (aws) => ({
      ...aws,
      reader: async (region, via) => guardedReader(await aws.reader(region, via)),
      writer: (region, via) => guardedWriter(aws.writer(region, via)),
    }),

    async hide(request) {
      const envelopes: StepEnvelope[] = [];
      const steps: ChangeStep[] = [];
      for (const [number, step] of request.steps.entries()) {
        steps.push(await hideStep(step, number, request, envelopes));
      }
      return { steps, envelopes };
    },

    hideFacts: async (facts, schema) => (await mapSecrets(facts, rule(schema), printed)) as JsonObject,
    hidePatch: async (patch, schema) =>
      (await mapInput({ PatchDocument: patch }, rule(schema), printed)).PatchDocument as readonly Json[],

    async reveal(step, envelopes = []) {
      const rid = ridOf(step.ref);
      const input = await mapInput(step.input, never, async (mark, at) => {
        const place = { rid, path: placeOf(at), print: (mark as { readonly $secret: string }).$secret };
        const known = kept.get(keyOf(place));
        if (known !== undefined) return known;
        const envelope = envelopeAt(envelopes, at, place.print);
        if (!envelope || !vault) throw notHeld(at);
        const secret = await openAnywhere(vault, place, step, envelope);
        keep(place, secret);
        return secret;
      });
      return { ...step, input };
    },
  };
}

/** What was planned before its resource had an id is sealed under the empty one. */
async function openAnywhere(vault: Vault, place: Place, { ref }: ChangeStep, envelope: Envelope): Promise<Json> {
  try {
    return await vault.open(place, envelope);
  } catch (error) {
    if (!(error instanceof OpsError) || error.code !== "plan_mismatch" || ref.id === "") throw error;
    return vault.open({ ...place, rid: ridOf({ ...ref, id: "" }) }, envelope);
  }
}

const marksIn = (value: Json): readonly string[] =>
  isSecretMark(value)
    ? [value.$secret]
    : Array.isArray(value)
      ? value.flatMap(marksIn)
      : isObject(value)
        ? Object.values(value).flatMap(marksIn)
        : [];

const textsIn = (value: Json): readonly string[] =>
  typeof value === "string"
    ? [value]
    : Array.isArray(value)
      ? value.flatMap(textsIn)
      : isObject(value)
        ? Object.values(value).flatMap(textsIn)
        : [];

const notStored = ({ ref }: ChangeStep, at: string): OpsError =>
  new OpsError(
    "validation_error",
    `This change would have to send ${propertyOf(at)} of ${ref.id || ref.type}, which is a secret: AWS does not show it and it is not stored here. Nothing was planned. Ask the user for the value and give it with an update or create.`,
    { field: `properties${at}`, details: { needsSecret: [at] } },
  );

const lost =
  ({ ref }: ChangeStep, at: string) =>
  (error: unknown): never => {
    if (!(error instanceof OpsError)) throw error;
    throw new OpsError(
      error.code,
      `This change has to send ${propertyOf(at)} of ${ref.id || ref.type}, which is a stored secret that cannot be opened. ${error.message} Nothing was planned; without the key, ask the user for the value and give it with an update.`,
      { field: `properties${at}`, details: { ...error.details, needsSecret: [at] }, cause: error },
    );
  };

const notHeld = (at: string): OpsError =>
  new OpsError(
    "plan_mismatch",
    "This change carries a secret value that this process does not hold: it was planned by another one, or it is of the past and never stored. Plan it again and give the value.",
    { field: "executionToken", details: { needsSecret: [at] } },
  );
