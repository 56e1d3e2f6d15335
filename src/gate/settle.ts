// One step from its durable intent to its durable outcome: send, follow, read back, commit. Also after a crash.

import type { Event, Result } from "../../state/events.js";
import { type Recovery, reached } from "../../state/recover.js";
import {
  type Change,
  type ChangeStep,
  envelopesOf,
  type Operation,
  type OperationError,
  type ResourceRef,
  ridOf,
  type State,
} from "../core/change.js";
import { isGone, volatileOf } from "../core/content.js";
import { OpsError } from "../core/errors.js";
import { diff, type JsonObject, pathsTouch } from "../core/json.js";
import type { AwsReader, Progress } from "../core/ports.js";
import { readerOf } from "../session.js";
import { moved } from "./conflict.js";
import type { GateDeps } from "./deps.js";

export interface Work {
  readonly change: Change;
  readonly operation: Pick<Operation, "id" | "step" | "clientToken" | "requestToken"> & {
    readonly state?: Operation["state"];
  };
  /** The step as stored. */
  readonly step: ChangeStep;
  readonly aws: AwsReader;
  /** Wall time, by the clock port, after which the work is handed over instead of waited for. */
  readonly deadline: number;
  progress(message: string): void;
}

export type StepOutcome =
  | { readonly status: "succeeded"; readonly results: readonly Result[]; readonly state: State }
  | { readonly status: "failed"; readonly error: OpsError; readonly state: State }
  | { readonly status: "unknown"; readonly error: OpsError; readonly state: State }
  | { readonly status: "running"; readonly state: State };

const FIRST_POLL_MS = 1_000;
const LONGEST_POLL_MS = 10_000;
const READ_BACKS = 6;

/** Sends the step and brings it to an outcome. The intent is durable before this is called. */
export async function sendStep(deps: GateDeps, work: Work): Promise<StepOutcome> {
  const { step, operation } = work;
  let sent: Awaited<ReturnType<ReturnType<GateDeps["aws"]["writer"]>["send"]>>;
  try {
    const open = await deps.secrets.reveal(step, envelopesOf(work.change, operation.step));
    sent = await deps.aws.writer(work.aws.region).send(open, operation);
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    if (error.code === "outcome_unknown") return reconcile(deps, work, error);
    return fail(deps, work, (await guardFailure(work)) ?? error);
  }
  if (sent.requestToken || sent.awsRequestId) {
    await commit(deps, [
      {
        type: "op.submitted",
        operationId: operation.id,
        ...(sent.requestToken ? { requestToken: sent.requestToken } : {}),
        ...(sent.awsRequestId ? { awsRequestId: sent.awsRequestId } : {}),
      },
    ]);
  }
  if (sent.requestToken)
    return followStep(deps, { ...work, operation: { ...operation, requestToken: sent.requestToken } });
  return readBack(deps, work, sent.identifiers);
}

/** Polls AWS's own record of a request until it ends or the deadline passes. A failed poll discards nothing. */
export async function followStep(deps: GateDeps, work: Work): Promise<StepOutcome> {
  const { step, operation } = work;
  const writer = deps.aws.writer(work.aws.region);
  let wait = FIRST_POLL_MS;
  for (;;) {
    let answer: Awaited<ReturnType<typeof writer.poll>>;
    try {
      answer = await writer.poll(step, operation.requestToken!);
    } catch (error) {
      if (!(error instanceof OpsError)) throw error;
      if (error.code === "not_found") return reconcile(deps, work, error);
      if (!error.retriable) return { status: "running", state: await deps.store.state() };
      answer = { status: "pending" };
    }
    if (answer.status === "succeeded") return readBack(deps, work, answer.identifier ? [answer.identifier] : []);
    if (answer.status === "failed") return failedInAws(deps, work, answer);
    if (deps.clock.now().getTime() >= work.deadline) return { status: "running", state: await deps.store.state() };
    work.progress(`${step.service}.${step.operation} is in progress in AWS`);
    await deps.clock.sleep(answer.retryAfterMs ?? wait);
    wait = Math.min(wait * 1.5, LONGEST_POLL_MS);
  }
}

/**
 * Whether AWS refused an update because a `test` of its patch failed: how Cloud Control spells that is not documented,
 * so a fresh read tells it apart.
 */
async function guardFailure({ step, aws }: Work): Promise<OpsError | null> {
  const guarded = step.service === "cloudcontrol" && step.kind === "update";
  const live = guarded ? await readOrNull(aws, step.ref, step) : undefined;
  if (live === undefined) return null;
  const { overlapping } = moved(step.before, live, step.touches);
  if (overlapping.length === 0) return null;
  return new OpsError(
    "live_guard_failed",
    `AWS refused the update of ${step.ref.id} because it changed during the call; nothing was changed by it. Read it again, tell the user, then plan from the fresh revision.`,
    {
      details: {
        rid: ridOf(step.ref),
        changed: overlapping
          .slice(0, 20)
          .map(({ path, before, after }) => ({ path, youSaw: before ?? null, now: after ?? null })),
      },
      next: [readerOf(step)],
    },
  );
}

async function failedInAws(deps: GateDeps, work: Work, answer: Progress): Promise<StepOutcome> {
  const { step } = work;
  if (step.kind === "delete" && answer.awsCode === "NotFound") return readBack(deps, work, [step.ref.id]);
  // Only a patch that was refused changed nothing: any other failure may have left half of our own update behind.
  const guard = answer.awsCode === "InvalidRequest" ? await guardFailure(work) : null;
  if (guard) return fail(deps, work, guard);
  const id = answer.identifier ?? step.ref.id;
  const live = id ? await readOrNull(work.aws, { ...step.ref, id }, step) : undefined;
  const changed = live !== undefined && diff(step.before ?? undefined, live ?? undefined).length > 0;
  // A handler that timed out may still be at work: one read that shows nothing proves nothing.
  const sure = live !== undefined && answer.code !== "outcome_unknown";
  const nothingWasChanged =
    answer.awsCode === "AlreadyExists" && step.kind === "create"
      ? true
      : changed && step.kind !== "create"
        ? false
        : sure
          ? !changed
          : "unknown";
  // A create that failed may have left something behind; what existed before it is somebody else's.
  const ours =
    changed && (step.kind !== "create" || (answer.identifier !== undefined && answer.awsCode !== "AlreadyExists"));
  const results: Result[] = ours
    ? [{ ref: { ...step.ref, id }, reader: step.reader, before: step.before, after: live ?? null }]
    : [];
  const error = new OpsError(
    "aws_failed",
    `AWS could not finish ${step.service}.${step.operation}; its reason is in awsMessage. Read the resource to see what is true now.`,
    {
      details: {
        awsCode: answer.awsCode ?? "unknown",
        awsMessage: answer.message ?? "",
        ...(answer.code ? { reason: answer.code } : {}),
        ...(answer.identifier ? { identifier: answer.identifier } : {}),
        nothingWasChanged,
      },
    },
  );
  return fail(deps, work, error, nothingWasChanged === true, results);
}

/**
 * After a call whose answer never came: look for what it did; where AWS shows that it did nothing and is as it was
 * planned from, the identical call may go out again. `inApply`: the caller is waiting, and live was checked just now.
 */
export async function reconcile(
  deps: GateDeps,
  work: Work,
  why: OpsError,
  may: Recovery = "resend",
  inApply = true,
): Promise<StepOutcome> {
  const { step, operation } = work;
  const writer = deps.aws.writer(work.aws.region);
  work.progress(`the answer to ${step.service}.${step.operation} was lost; looking for what it did`);
  const made = await writer.find(step, operation).catch(unlessFatal);
  if (made && made.length > 0) return readBack(deps, work, made);
  const idempotency = writer.idempotency(step);
  const live = step.ref.id ? await readOrNull(work.aws, step.ref, step) : undefined;
  // Nothing was as asked when the intent was recorded: what is now was brought about by the call whose answer was lost.
  const telling = idempotency !== "none" || step.kind === "delete";
  if (telling && live !== undefined && reached(step, live)) return readBack(deps, work, [step.ref.id]);
  const unmoved =
    step.ref.id === ""
      ? step.kind === "create"
      : live !== undefined && moved(step.before, live, step.touches).overlapping.length === 0;
  // A delete of a process that is gone is never sent by whoever comes next: they only came to read.
  const resend = may === "resend" && unmoved && (inApply || step.kind !== "delete");
  if (resend && idempotency !== "none" && deps.config.allowWrites) {
    const again = await sendAgain(deps, work, idempotency === "natural");
    if (again) return again;
  }
  // A create that bears neither mark nor id cannot be looked for: it stays named as unknown.
  if (may === "settle" && (made || live !== undefined)) return giveUp(deps, work, why, made ?? null, live);
  const because = "The call was sent and its answer lost; nothing found in AWS proves or disproves it.";
  const state =
    operation.state === "unknown"
      ? await deps.store.state()
      : await commit(deps, [{ type: "op.unknown", operationId: operation.id, error: errorOf(why), because }]);
  return {
    status: "unknown",
    state,
    error: new OpsError(
      "outcome_unknown",
      `${step.service}.${step.operation} was sent and AWS's answer was lost. It is recorded as operation ${operation.id} and looked for again on later calls; do not plan it a second time.`,
      {
        details: { operationId: operation.id, changeId: work.change.id, cause: why.details },
        next: [{ tool: "changes.get", arguments: { changeId: work.change.id } }],
      },
    ),
  };
}

/** The identical call once more, under the same client token. Null where its answer says nothing either. */
async function sendAgain(deps: GateDeps, work: Work, natural: boolean): Promise<StepOutcome | null> {
  const { step, operation } = work;
  try {
    const open = await deps.secrets.reveal(step, envelopesOf(work.change, operation.step));
    const sent = await deps.aws.writer(work.aws.region).send(open, operation);
    if (!sent.requestToken) return await readBack(deps, work, sent.identifiers);
    await commit(deps, [{ type: "op.submitted", operationId: operation.id, requestToken: sent.requestToken }]);
    return await followStep(deps, { ...work, operation: { ...operation, requestToken: sent.requestToken } });
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    if (!natural || error.code === "outcome_unknown" || error.retriable) return null;
    const live = await readOrNull(work.aws, step.ref, step);
    return live !== undefined && reached(step, live) ? readBack(deps, work, [step.ref.id]) : null;
  }
}

/**
 * Ends an operation that nothing has proved until its approval ran out: what AWS shows now is recorded as what is true,
 * and the resource is free again. Whether the lost call had a part in it stays open, and the lineage says so.
 */
async function giveUp(
  deps: GateDeps,
  work: Work,
  why: OpsError,
  made: readonly string[] | null,
  live: JsonObject | null | undefined,
): Promise<StepOutcome> {
  const { step } = work;
  const nothing =
    step.ref.id === ""
      ? made !== null && made.length === 0
      : live !== undefined && moved(step.before, live, [""]).overlapping.length === 0;
  // Also of a create: the name was free when it was sent, and what bears it now must not be unknown to the state.
  const results: Result[] =
    nothing || live === undefined || live === null
      ? []
      : [{ ref: step.ref, reader: step.reader, before: step.before, after: live }];
  const error = new OpsError(
    "aws_failed",
    `${why.message} Its approval has run out and nothing in AWS shows that it was carried out.`,
    {
      details: { nothingWasChanged: nothing ? true : "unknown", changeId: work.change.id },
    },
  );
  return fail(deps, work, error, nothing, results);
}

/** Reads what is true now until two reads agree, and commits it as the outcome. */
async function readBack(deps: GateDeps, work: Work, identifiers: readonly string[]): Promise<StepOutcome> {
  const { step } = work;
  // Only a create learns its ids from AWS: what other calls answer (rule ids) are parts of the resource.
  const ids = step.kind === "create" && identifiers.length > 0 ? identifiers : [step.ref.id];
  const results: Result[] = [];
  for (const id of ids) {
    const ref = { ...step.ref, id };
    work.progress(`reading ${id} back`);
    results.push({ ref, reader: step.reader, before: step.before, after: await settled(deps, work, ref) });
  }
  const state = await commit(deps, [{ type: "op.succeeded", operationId: work.operation.id, results }]);
  return { status: "succeeded", results, state };
}

async function settled(deps: GateDeps, work: Work, ref: ResourceRef): Promise<JsonObject | null> {
  const { step } = work;
  let last: JsonObject | null | undefined;
  for (let attempt = 0; attempt < READ_BACKS; attempt++) {
    const live = await readOrNull(work.aws, ref, step);
    if (live !== undefined) {
      const gone = isGone(ref.type, live);
      if (step.kind === "delete" && gone) return null;
      const agreed = last !== undefined && steadyDiff(ref.type, last, live).length === 0;
      if (step.kind !== "delete" && live !== null && agreed) return live;
      last = live;
    }
    // Reads that agree at once need no pause: only a resource that has not appeared, gone or settled is waited for.
    if (attempt > 0 || last === null || last === undefined || step.kind === "delete") {
      await deps.clock.sleep(Math.min(500 * 2 ** attempt, 5_000));
    }
  }
  return last ?? null;
}

const steadyDiff = (type: string, a: JsonObject | null, b: JsonObject | null) =>
  diff(a ?? undefined, b ?? undefined).filter(
    (change) => !volatileOf(type).some((path) => pathsTouch(path, change.path)),
  );

/** `undefined` where AWS cannot say. */
async function readOrNull(aws: AwsReader, ref: ResourceRef, step: ChangeStep): Promise<JsonObject | null | undefined> {
  return aws.content(ref, step.reader).catch(unlessFatal);
}

const unlessFatal = (error: unknown): undefined => {
  if (!(error instanceof OpsError)) throw error;
  return undefined;
};

async function fail(
  deps: GateDeps,
  work: Work,
  error: OpsError,
  nothingWasChanged = true,
  results: readonly Result[] = [],
): Promise<StepOutcome> {
  const state = await commit(deps, [
    {
      type: "op.failed",
      operationId: work.operation.id,
      error: errorOf(error),
      nothingWasChanged,
      ...(results.length > 0 ? { results } : {}),
    },
  ]);
  return { status: "failed", error, state };
}

function errorOf(error: OpsError): OperationError {
  const awsCode = error.details.awsCode;
  return { code: error.code, message: error.message, ...(typeof awsCode === "string" ? { awsCode } : {}) };
}

const commit = async (deps: GateDeps, events: readonly Event[]): Promise<State> =>
  (await deps.store.commit(() => events)).state;
