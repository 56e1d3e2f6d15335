// The sole writer. Every operation that changes AWS is one row of the table in writes/; a step without a row is refused.

import type { ChangeStep } from "../core/change.js";
import { OpsError } from "../core/errors.js";
import { type JsonObject, sameJson } from "../core/json.js";
import type { AwsWriter, Clock } from "../core/ports.js";
import type { Answered, Api } from "./api.js";
import { requestAtWork, requestInFlight, requestProgress } from "./control.js";
import { refusalText } from "./errors.js";
import { foreign } from "./foreign.js";
import type { ReadOperations } from "./operations/index.js";
import { WRITES, type WriteOperations } from "./writes/index.js";
import { type Followed, ids, type Many, type Op, type Refusal, type Row } from "./writes/row.js";

/** Reads and writes: held by the executor, and by the demo's outsider on the sandbox. */
export type WholeApi = Api<ReadOperations> & Api<WriteOperations>;

type WriteName = keyof WriteOperations;

/** A row as the code below uses it: the table has checked it against its own operation. */
type AnyRow = Row<WriteOperations, WriteName> & {
  readonly identifiers: (output: object, input: JsonObject) => readonly (string | undefined)[];
  readonly requestToken?: (output: object, input: JsonObject) => string | undefined;
  readonly many?: Many<object>;
};

type Untyped = (
  service: string,
  operation: string,
  input: JsonObject,
  options?: { readonly signal?: AbortSignal },
) => Promise<object>;

/** A step's input is data of a plan; AWS itself checks it. */
const untyped = (api: WholeApi): Untyped => api.call as unknown as Untyped;

function rowOf({ service, operation }: ChangeStep): AnyRow {
  const name = `${service}:${operation}`;
  if (!Object.hasOwn(WRITES, name)) {
    throw new OpsError("internal", "The plan holds a call that the executor has no row for; nothing was sent.", {
      details: { call: foreign(name, 80) },
    });
  }
  return WRITES[name as WriteName] as AnyRow;
}

/** The names of all writes there are, for tests and for IAM hints. */
export const writeNames = (): readonly string[] => Object.keys(WRITES);

/** A dry run is checked with the marks the real call will carry: they need permissions of their own. */
const NO_OPERATION: Op = { id: "dry-run", clientToken: "" };

/** Asks AWS whether a step would be accepted. Resolves when it would, or when the service has no such question. */
export async function preflight(api: WholeApi, step: ChangeStep): Promise<void> {
  const row = rowOf(step);
  if (!row.dryRun) return;
  const { ClientToken: _, ...input } = row.input(step.input, NO_OPERATION);
  try {
    await untyped(api)(step.service, step.operation, { ...input, DryRun: true });
  } catch (error) {
    const answer = error instanceof OpsError ? String(error.details.awsCode) : "";
    if (answer === "DryRunOperation" || row.laterOn?.includes(answer)) return;
    throw error;
  }
  throw new OpsError(
    "aws_failed",
    "The endpoint in use took a dry run for a real call and may have carried it out. Read the resource, and do not use this endpoint.",
    { details: { service: step.service, operation: step.operation } },
  );
}

/** Pauses before a throttled call goes out again, beyond the SDK's own attempts; the input, and so the token, is the same. */
const THROTTLE_PAUSES_MS = [2_000, 4_000, 8_000];

async function patiently(clock: Clock, call: () => Promise<object & Answered>): Promise<object & Answered> {
  for (const pause of THROTTLE_PAUSES_MS) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof OpsError) || error.code !== "throttled") throw error;
      await clock.sleep(pause);
    }
  }
  return call();
}

/** Who else is at work on the resource of a step; null where AWS does not say. */
const inFlightOn = (api: WholeApi, { service, ref }: ChangeStep) =>
  service === "cloudcontrol" && ref.id !== ""
    ? requestInFlight(api, ref.type, ref.id).catch(() => null)
    : Promise.resolve(null);

async function withInFlight(api: WholeApi, step: ChangeStep, error: unknown): Promise<unknown> {
  if (!(error instanceof OpsError) || error.code !== "resource_busy") return error;
  const inFlight = await inFlightOn(api, step);
  if (!inFlight) return error;
  return new OpsError(error.code, error.message, { details: { ...error.details, inFlight }, cause: error });
}

/** A rollout or a restore may take a day; what takes longer is somebody's to judge. */
const FOLLOWED_HOURS = 24;

const followed = (step: ChangeStep, handle: string | undefined, clock: Clock, since?: string): Followed => ({
  step,
  now: clock.now(),
  ...(since !== undefined && { since }),
  ...(handle !== undefined && { handle }),
});

/** What AWS refused of one resource in an answer that was none by itself. */
function refusalOf({ service, operation, ref }: ChangeStep, { code, awsCode, awsMessage }: Refusal): OpsError {
  const { message, action } = refusalText(code, { service, operation, region: ref.region }, awsMessage);
  return new OpsError(code, message, {
    details: {
      ...{ service, operation, id: ref.id },
      ...{ awsCode: foreign(awsCode, 80), awsMessage: foreign(awsMessage) },
      ...(action !== undefined && { action }),
    },
  });
}

export function executor(api: WholeApi, clock: Clock): AwsWriter {
  return {
    idempotency: (step) => rowOf(step).idempotency,
    async send(step, op, signal) {
      const row = rowOf(step);
      if (signal?.aborted) {
        throw new OpsError("aws_unavailable", "The call was cancelled before it was sent; nothing was changed.");
      }
      const given = row.complete ? await row.complete(api, step.input) : step.input;
      const output = await patiently(clock, () =>
        untyped(api)(step.service, step.operation, row.input(given, op), signal && { signal }),
      ).catch(async (error: unknown) => {
        throw await withInFlight(api, step, error);
      });
      const [refused] = row.many?.failures(output).values() ?? [];
      if (refused) throw refusalOf(step, refused);
      const requestToken = row.requestToken?.(output, step.input);
      const awsRequestId = output.$metadata?.requestId;
      return {
        identifiers: row.identifiers(output, step.input).filter((id): id is string => id !== undefined && id !== ""),
        ...(requestToken !== undefined && { requestToken }),
        ...(awsRequestId !== undefined && { awsRequestId: foreign(awsRequestId, 80) }),
      };
    },
    follows: (step) => rowOf(step).follow !== undefined,
    followedHours: (step) => rowOf(step).hours ?? FOLLOWED_HOURS,
    batch(steps) {
      const [first] = steps;
      const many = first && rowOf(first).many;
      if (!many) return 1;
      const shared = ({ service, operation, input }: ChangeStep): JsonObject => ({
        ...{ service, operation },
        ...{ ...input, [many.list]: null },
      });
      const alike = steps.findIndex((step) => !sameJson(shared(step), shared(first)));
      return Math.min(alike < 0 ? steps.length : alike, many.most);
    },
    async sendTogether(steps, op) {
      const [first] = steps as [ChangeStep, ...ChangeStep[]];
      const row = rowOf(first);
      const { list } = row.many!;
      const named = steps.flatMap(({ input }) => ids(input[list]));
      const input = row.input({ ...first.input, [list]: named }, op);
      const output = await patiently(clock, () => untyped(api)(first.service, first.operation, input));
      const failures = row.many!.failures(output);
      const awsRequestId = output.$metadata?.requestId;
      return steps.map((step) => {
        const mine = ids(step.input[list]);
        const refused = mine.map((id) => failures.get(id)).find((one) => one !== undefined);
        if (refused) return refusalOf(step, refused);
        return { identifiers: mine, ...(awsRequestId !== undefined && { awsRequestId: foreign(awsRequestId, 80) }) };
      });
    },
    async poll(step, requestToken, since) {
      const { follow } = rowOf(step);
      if (follow) return follow(api, followed(step, requestToken, clock, since));
      if (requestToken === undefined) throw new OpsError("internal", "There is no request of this call to ask about.");
      const progress = await requestProgress(api, requestToken, step.kind, clock.now());
      if (progress.code !== "resource_busy") return progress;
      const inFlight = await inFlightOn(api, step);
      return inFlight ? { ...progress, inFlight } : progress;
    },
    async stopping(step, requestToken) {
      if (step.service === "cloudcontrol") {
        if (requestToken === undefined) return null;
        return { ...step, operation: "CancelResourceRequest", input: { RequestToken: requestToken } };
      }
      const stop = await rowOf(step).stop?.(api, followed(step, requestToken, clock));
      return stop ? { ...step, ...stop } : null;
    },
    async find(step, op) {
      const { find } = rowOf(step);
      return find ? find(api, op, step) : null;
    },
    atWork: async ({ service, kind, ref }) => service === "cloudcontrol" && requestAtWork(api, kind, ref.type, ref.id),
  };
}
