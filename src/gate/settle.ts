// One step from its durable intent to its durable outcome: send, follow, read back, commit. Also after a crash.

import type { Event, EventOf, Result } from "../../state/events.js";
import { guardedAsShown } from "../../state/patch.js";
import { type Recovery, reached, verdictOn } from "../../state/recover.js";
import { isUnder } from "../../state/schema-paths.js";
import { refusedForNow } from "../aws/control.js";
import { refusalText } from "../aws/errors.js";
import {
  type Change,
  type ChangeStep,
  envelopesOf,
  type Operation,
  type OperationError,
  patchOf,
  type ResourceRef,
  ridOf,
  type State,
} from "../core/change.js";
import { OpsError } from "../core/errors.js";
import { escapePointer, type Json, type JsonObject, pathsTouch } from "../core/json.js";
import { isGone, volatileOf } from "../core/own-types.js";
import type { AwsReader, Progress, Sent } from "../core/ports.js";
import { readerOf } from "../session.js";
import { conflict, moved, touchedBy } from "./conflict.js";
import { type GateDeps, writerAt } from "./deps.js";
import { maySend } from "./guards.js";
import { isAsPlanned, showsNothingYet } from "./planned.js";

export interface Work {
  readonly change: Change;
  readonly operation: Pick<Operation, "id" | "step" | "clientToken" | "requestToken"> &
    Partial<Pick<Operation, "state" | "intentAt">>;
  /** How many requests were made of this step before. */
  readonly attempt?: number;
  /** The step as stored. */
  readonly step: ChangeStep;
  readonly aws: AwsReader;
  /** Wall time, by the clock port, after which the work is handed over instead of waited for. */
  readonly deadline: number;
  /** Whether the last change of a resource was refused too, because it had moved. */
  readonly refusedBefore?: (rid: string) => boolean;
  /** Set where a process settles what was left open: what it may do, where the caller of the change no longer waits. */
  readonly afterwards?: Recovery;
  /** Set where the look alone says that it was done: why nothing proves that the call did it. */
  readonly notProven?: string;
  /** Set where the same call on other resources is sent first: AWS's work on this one is followed once all are sent. */
  readonly followedLater?: boolean;
  progress(message: string): void;
}

export type StepOutcome =
  | {
      readonly status: "succeeded";
      readonly results: readonly Result[];
      readonly state: State;
      /** In a sentence: AWS took the call, and what it changed was not seen yet, or cannot be. */
      readonly unsure?: string;
    }
  | { readonly status: "failed"; readonly error: OpsError; readonly state: State }
  | { readonly status: "unknown"; readonly error: OpsError; readonly state: State }
  /** `notProven`: what is under way may be somebody else's, see `Work`. */
  | { readonly status: "running"; readonly state: State; readonly notProven?: string };

/** Characters of AWS's reason that the record keeps. */
const MOST_REASON = 500;
const FIRST_POLL_MS = 1_000;
const LONGEST_POLL_MS = 10_000;
const READ_BACKS = 6;
/** A resource that rests for so long after the call where it was not to come to rest stays there. */
const AT_REST_MINUTES = 2;
const MOST_REQUESTS = 3;
const PAUSE_BEFORE_ANEW_MS = 3_000;
/** What AWS allows a handler that declares nothing, in minutes; below the least, no schema is asked. */
const HANDLER_MINUTES = { usual: 120, least: 1 };

/** For so long after its intent a create that cannot be seen is not taken for deleted again. */
const SEEN_LATE_MINUTES = 5;

const opOf = ({ operation, attempt }: Work) => (attempt ? { ...operation, attempt } : operation);

/** Sends the step and brings it to an outcome. The intent is durable before this is called. */
export async function sendStep(deps: GateDeps, work: Work): Promise<StepOutcome> {
  const { step, operation } = work;
  let sent: Sent;
  await stillOurs(deps, operation.id);
  try {
    sent = await send(deps, work);
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    if (error.code === "outcome_unknown") return reconcile(deps, work, error);
    // Gone between our look and the call: that is what was asked for.
    const gone = step.kind === "delete" && error.code === "not_found";
    if (gone && (await readOrNull(work.aws, step.ref, step)) === null)
      return readBack(deps, byLook(work, GONE), [step.ref.id]);
    const anew = refusedForNow(error, step.kind) ? await makeAnew(deps, work, "refused") : null;
    if (anew) return anew;
    const doubt = work.attempt && work.afterwards ? await sentBefore(deps, work, error) : null;
    return doubt ?? fail(deps, work, (await guardFailure(deps, work, error)) ?? error);
  }
  if (sent.requestToken || sent.awsRequestId) {
    await submitted(deps, {
      type: "op.submitted",
      operationId: operation.id,
      ...(sent.requestToken ? { requestToken: sent.requestToken } : {}),
      ...(sent.awsRequestId ? { awsRequestId: sent.awsRequestId } : {}),
    });
  }
  if (sent.requestToken && !work.followedLater)
    return followStep(deps, { ...work, operation: { ...operation, requestToken: sent.requestToken } });
  return taken(deps, work, sent.identifiers);
}

/** AWS has taken the call: what it was to do is done, or has begun and is followed to its end. */
async function taken(deps: GateDeps, work: Work, identifiers: readonly string[]): Promise<StepOutcome> {
  if (!writerAt(deps, work.aws).follows(work.step)) return readBack(deps, work, identifiers);
  if (!work.followedLater) return followStep(deps, work);
  const { notProven } = work;
  return { status: "running", state: await deps.store.state(), ...(notProven !== undefined && { notProven }) };
}

async function send(deps: GateDeps, work: Work): Promise<Sent> {
  const open = await deps.secrets.reveal(work.step, envelopesOf(work.change, work.operation.step));
  return writerAt(deps, work.aws).send(open, opOf(work));
}

/**
 * Several steps by one call, each with an intent, an outcome and, where it is lost, a recovery of its own. What failed is
 * settled last, so that the resources stay held until every outcome is known.
 */
export async function sendTogether(deps: GateDeps, works: readonly Work[]): Promise<readonly StepOutcome[]> {
  const [first] = works as [Work, ...Work[]];
  for (const { operation } of works) await stillOurs(deps, operation.id);
  const settledBy = async (work: Work, answer: Sent | OpsError): Promise<StepOutcome> => {
    if (!(answer instanceof OpsError)) return taken(deps, work, answer.identifiers);
    return answer.code === "outcome_unknown" ? reconcile(deps, work, answer) : fail(deps, work, answer);
  };
  let answers: readonly (Sent | OpsError)[];
  try {
    const steps: ChangeStep[] = [];
    for (const { change, operation, step } of works) {
      steps.push(await deps.secrets.reveal(step, envelopesOf(change, operation.step)));
    }
    answers = await writerAt(deps, first.aws).sendTogether(steps, first.operation);
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    answers = works.map(() => error);
  }
  const outcomes = new Map<number, StepOutcome>();
  for (const refused of [false, true]) {
    for (const [index, answer] of answers.entries()) {
      if (answer instanceof OpsError === refused) outcomes.set(index, await settledBy(works[index]!, answer));
    }
  }
  return works.map((_, index) => outcomes.get(index)!);
}

/** A process that stood still may have been taken for dead: it sends nothing for what is another one's now. */
async function stillOurs(deps: GateDeps, operationId: string): Promise<void> {
  const operation = (await deps.store.state()).operations.get(operationId);
  if (!operation || operation.owner.session === deps.owner.session) return;
  throw new OpsError("resource_busy", `Operation ${operationId} belongs to another process now. Nothing was sent.`, {
    details: { operationId, changeId: operation.changeId, owner: operation.owner },
  });
}

/** Polls AWS's own record of a request until it ends or the deadline passes. A failed poll discards nothing. */
export async function followStep(deps: GateDeps, work: Work): Promise<StepOutcome> {
  const { step, operation } = work;
  const writer = writerAt(deps, work.aws);
  let wait = FIRST_POLL_MS;
  let still = 0;
  for (;;) {
    let answer: Awaited<ReturnType<typeof writer.poll>>;
    try {
      answer = await writer.poll(step, operation.requestToken, operation.intentAt);
    } catch (error) {
      if (!(error instanceof OpsError)) throw error;
      // That the call was taken is known; how it goes on, AWS does not let this server see.
      if (writer.follows(step) && !error.retriable && work.afterwards === "settle") return park(deps, work, error);
      if (writer.follows(step) && error.code === "not_found")
        return { status: "running", state: await deps.store.state() };
      if (error.code === "not_found" || (!error.retriable && work.afterwards === "settle")) {
        return reconcile(deps, work, error);
      }
      if (!error.retriable) return { status: "running", state: await deps.store.state() };
      answer = { status: "pending" };
    }
    if (answer.status === "succeeded") return readBack(deps, work, answer.identifier ? [answer.identifier] : []);
    if (answer.status === "failed") return failedInAws(deps, work, answer);
    // What AWS was told just now may show a moment later; what shows for longer is how it ended.
    still = answer.atRest ? still + 1 : 0;
    const longAgo = operation.intentAt !== undefined && minutesSince(deps, operation.intentAt) >= AT_REST_MINUTES;
    if (still >= READ_BACKS || (still > 0 && longAgo)) {
      // It stayed there, or it was brought there since by somebody else: a look cannot tell.
      return failedInAws(deps, work, { ...answer, code: "outcome_unknown", status: "failed" });
    }
    const hours = writer.follows(step) ? writer.followedHours(step) : Number.POSITIVE_INFINITY;
    const since = operation.intentAt;
    if (work.afterwards === "settle" && since !== undefined && minutesSince(deps, since) >= hours * 60) {
      const because = `AWS has called it in progress for longer than ${hours} hours, and does not say when it will end.`;
      return parkAs(deps, work, because);
    }
    // What is read of the service itself is in progress for as long as it says so; a request's record may be left behind.
    const late = writer.follows(step) ? null : await overdue(deps, work);
    if (late) return late;
    const now = deps.clock.now().getTime();
    const pause = answer.retryAfterMs ?? wait;
    // Nobody asks before AWS wants to be asked, and nobody waits longer than was promised.
    if (now >= work.deadline || now + (answer.retryAfterMs ?? 0) > work.deadline) {
      return { status: "running", state: await deps.store.state() };
    }
    const parts = answer.done ? ` (${answer.done.count} of ${answer.done.of})` : "";
    work.progress(`${step.service}.${step.operation} is in progress in AWS${parts}`);
    await deps.clock.sleep(pause);
    wait = Math.min(wait * 1.5, LONGEST_POLL_MS);
  }
}

const minutesSince = (deps: GateDeps, at: string): number => (deps.clock.now().getTime() - Date.parse(at)) / 60_000;

/** The time AWS gives the handler of the step's type. */
async function minutesAllowed({ step, aws }: Work): Promise<number> {
  const schema = await aws.schema(step.ref.type).catch(unlessFatal);
  return (step.kind === "action" ? undefined : schema?.timeouts?.[step.kind]) ?? HANDLER_MINUTES.usual;
}

/**
 * Past the time AWS gives the type's handler nobody knows what a request in progress is still doing: what live proves is
 * taken, and the rest is unknown. It is asked about again on later calls. Null before that.
 */
async function overdue(deps: GateDeps, work: Work): Promise<StepOutcome | null> {
  const { step, operation } = work;
  if (operation.intentAt === undefined || step.kind === "action") return null;
  const minutes = minutesSince(deps, operation.intentAt);
  if (minutes < HANDLER_MINUTES.least) return null;
  const allowed = await minutesAllowed(work);
  if (minutes < allowed) return null;
  const made = await writerAt(deps, work.aws).find(step, operation).catch(unlessFatal);
  if (made && made.length > 0) return readBack(deps, work, made);
  const live = step.ref.id ? await readOrNull(work.aws, step.ref, step) : undefined;
  if (live !== undefined && step.kind !== "create" && reached(step, live))
    return readBack(deps, byLook(work, STILL_CALLED_IN_PROGRESS), [step.ref.id]);
  const because = `AWS has called it in progress for longer than the ${allowed} minutes it allows itself.`;
  const error = new OpsError(
    "outcome_unknown",
    `${because} Read the resource; it is asked about again on later calls.`,
    {
      details: { operationId: operation.id, changeId: work.change.id, allowedMinutes: allowed },
      next: [{ tool: "changes.get", arguments: { changeId: work.change.id } }],
    },
  );
  return { status: "unknown", state: await unknown(deps, work, error, because), error };
}

/**
 * A request that AWS gave up before it did anything is made anew, at most twice, and only where a read shows that nothing
 * was done; a refusal needs no read where the resource has no name yet. A later process does so while the approval
 * stands, and under the same tokens: what had been made anew already is found, not made twice. Null: not this time.
 */
async function makeAnew(
  deps: GateDeps,
  work: Work,
  again: NonNullable<Progress["again"]>,
): Promise<StepOutcome | null> {
  const { step, attempt = 0 } = work;
  const now = deps.clock.now();
  const pause = PAUSE_BEFORE_ANEW_MS * 2 ** attempt;
  const may =
    work.afterwards === undefined
      ? now.getTime() + pause <= work.deadline
      : step.kind !== "delete" && work.afterwards === "resend";
  if (attempt + 1 >= MOST_REQUESTS || !may || !maySend(deps.config, work.change, step)) return null;
  work.progress(`AWS gave ${step.service}.${step.operation} up before it began; making the request anew`);
  await deps.clock.sleep(pause);
  const live = step.ref.id ? await readOrNull(work.aws, step.ref, step) : undefined;
  const untouched =
    step.ref.id === ""
      ? again === "refused"
      : live !== undefined && moved(deps, { ...step, touches: [""] }, live).overlapping.length === 0;
  return untouched ? sendStep(deps, { ...work, attempt: attempt + 1 }) : null;
}

/**
 * Whether AWS refused an update because a `test` of its patch failed: how Cloud Control spells that is not documented,
 * so a fresh read tells it apart.
 * @param refusal of the request itself: another code than that of a request that is wrong says by itself what it is
 */
async function guardFailure(
  deps: GateDeps,
  work: Work,
  refusal: Pick<OpsError, "code" | "details">,
): Promise<OpsError | null> {
  const { step, aws, change } = work;
  const guarded = step.service === "cloudcontrol" && step.kind === "update";
  const live = guarded ? await readOrNull(aws, step.ref, step) : undefined;
  if (live === undefined) return null;
  const { overlapping } = moved(deps, step, live);
  if (overlapping.length === 0) {
    // A guard is compared by the letter.
    const respelled = live !== null && guardedAsShown(patchOf(step) ?? [], live, deps.unordered(step)) !== undefined;
    if (!respelled || refusal.code !== "aws_rejected") return null;
    const { awsCode, awsMessage } = refusal.details;
    return new OpsError(
      "live_guard_failed",
      `AWS refused the update of ${step.ref.id} and changed nothing. It lists the same content in another order than right before the call, so a guard may have failed by that: plan it again. If it is refused again, \`awsMessage\` has AWS's reason.`,
      { details: { rid: ridOf(step.ref), awsCode, awsMessage }, next: [readerOf(step)] },
    );
  }
  // Nobody is told who comes upon it afterwards: nothing may count as shown, and who did it can be asked for later.
  if (work.afterwards !== undefined) {
    return new OpsError(
      "live_guard_failed",
      `AWS refused the update of ${step.ref.id} because it changed during the call; nothing was changed by it.`,
      { details: { rid: ridOf(step.ref) }, next: [readerOf(step)] },
    );
  }
  return conflict(
    {
      aws,
      since: change.plannedAt,
      ref: step.ref,
      reader: step.reader,
      youSaw: { observedAt: change.plannedAt },
      now: live,
      overlapping,
      touches: step.touches,
      phase: "call",
      state: await deps.store.state(),
      at: deps.clock.now().toISOString(),
      repeated: work.refusedBefore?.(ridOf(step.ref)) ?? false,
    },
    deps,
  );
}

async function failedInAws(deps: GateDeps, work: Work, answer: Progress): Promise<StepOutcome> {
  const { step } = work;
  if (step.kind === "delete" && answer.awsCode === "NotFound") return readBack(deps, byLook(work, GONE), [step.ref.id]);
  // Only a patch that was refused changed nothing: any other failure may have left half of our own update behind.
  const refusal = { code: "aws_rejected", details: { awsCode: answer.awsCode, awsMessage: answer.message } } as const;
  const guard = answer.awsCode === "InvalidRequest" ? await guardFailure(deps, work, refusal) : null;
  if (guard) return fail(deps, work, guard);
  const anew = answer.again ? await makeAnew(deps, work, answer.again) : null;
  if (anew) return anew;
  // A process that ended meanwhile may have made the request anew: its work bears the mark, or cannot be told apart.
  if (answer.again && step.kind === "create" && work.afterwards !== undefined) {
    const made = await writerAt(deps, work.aws).find(step, work.operation).catch(unlessFatal);
    if (made && made.length > 0) return readBack(deps, work, made);
    const there = step.ref.id ? await readOrNull(work.aws, step.ref, step) : undefined;
    if (there !== null) return work.afterwards === "settle" ? park(deps, work) : nothingProven(deps, work, answer);
  }
  const id = answer.identifier ?? step.ref.id;
  const live = id ? await readOrNull(work.aws, { ...step.ref, id }, step) : undefined;
  // What was not there any more was taken away by somebody else: an update of ours left nothing behind.
  const vanished = answer.awsCode === "NotFound" && live === null;
  const changed =
    live !== undefined && !vanished && moved(deps, { ...step, touches: [""] }, live).overlapping.length > 0;
  // A handler that timed out may still be at work: one read that shows nothing proves nothing.
  const sure = live !== undefined && answer.code !== "outcome_unknown" && !(await setsUnseen(work));
  const nothingWasChanged =
    answer.awsCode === "AlreadyExists" && step.kind === "create"
      ? // What bears the name may be what an earlier request of ours made after all.
        work.attempt
        ? "unknown"
        : true
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
  return fail(deps, work, failureOf(work, answer, nothingWasChanged), nothingWasChanged === true, results);
}

/** Whether a step gives a value that AWS never shows: then no read tells whether it was set. */
async function setsUnseen({ step, aws }: Work): Promise<boolean> {
  if (step.kind !== "update" || !step.desired) return false;
  const schema = await aws.schema(step.ref.type).catch(unlessFatal);
  return schema !== undefined && leavesOf(step.desired, "").some((path) => isUnder(schema.writeOnly, path));
}

const leavesOf = (value: Json, at: string): readonly string[] =>
  typeof value === "object" && value !== null && Object.keys(value).length > 0
    ? Object.entries(value).flatMap(([name, member]) => leavesOf(member, `${at}/${escapePointer(name)}`))
    : [at];

/**
 * A later process was refused a request made anew, which the one before it may have sent before it ended: what is there
 * or under way may be that one's work. Null where there is nothing of the kind.
 */
async function sentBefore(deps: GateDeps, work: Work, { details }: OpsError): Promise<StepOutcome | null> {
  const { step, operation, aws } = work;
  const atWork = await mayBeAtWork(deps, work);
  const made = await writerAt(deps, aws).find(step, operation).catch(unlessFatal);
  if (made && made.length > 0) return readBack(deps, work, made);
  const live = step.ref.id ? await readOrNull(aws, step.ref, step) : undefined;
  const unmoved =
    live !== undefined &&
    moved(deps, { ...step, touches: [""] }, live).overlapping.length === 0 &&
    !(await setsUnseen(work));
  return unmoved && !atWork ? null : nothingProven(deps, work, { status: "failed", awsCode: String(details.awsCode) });
}

async function nothingProven(deps: GateDeps, work: Work, answer: Progress): Promise<StepOutcome> {
  const { operation, change } = work;
  const because = "AWS gave one request up; whether another was made of it before its process ended is not known.";
  const error = new OpsError("outcome_unknown", `${because} It is looked for again on later calls.`, {
    details: { operationId: operation.id, changeId: change.id, awsCode: answer.awsCode ?? "unknown" },
    next: [{ tool: "changes.get", arguments: { changeId: change.id } }],
  });
  return { status: "unknown", error, state: await unknown(deps, work, error, because) };
}

/** Records once that an outcome is not known. */
const unknown = async (deps: GateDeps, { operation }: Work, error: OpsError, because: string): Promise<State> =>
  operation.state === "unknown"
    ? deps.store.state()
    : record(deps, { type: "op.unknown", operationId: operation.id, error: errorOf(error), because });

/** Codes that say nothing of the reason. */
const VAGUE: ReadonlySet<string> = new Set(["aws_failed", "outcome_unknown"]);

/** The end of a request in words: AWS's reason by its own code where nothing was done, else only that it failed. */
function failureOf({ step }: Work, answer: Progress, nothingWasChanged: boolean | "unknown"): OpsError {
  const cancelled = answer.awsCode === "CANCEL_COMPLETE";
  const reason = cancelled ? "change_cancelled" : answer.code;
  const told = nothingWasChanged === true && reason !== undefined && !VAGUE.has(reason) ? reason : "aws_failed";
  const call = { service: step.service, operation: step.operation, region: step.ref.region };
  const name = `${step.service}.${step.operation}`;
  const { message, action }: { message: string; action?: string } =
    told === "change_cancelled"
      ? { message: `${name} was cancelled before it changed anything.` }
      : told !== "aws_failed"
        ? refusalText(told, call, answer.message ?? "")
        : {
            message: answer.atRest
              ? `AWS took ${name} and it was not seen to finish: ${step.ref.id} rests in another state now, because it stayed there or because somebody changed it since. Read it to see what is true now.`
              : cancelled
                ? `${name} was cancelled while AWS was at it. Read the resource to see what is true now.`
                : `AWS could not finish ${name}; its reason is in awsMessage. Read the resource to see what is true now.`,
          };
  const untagged = answer.awsCode === "UnauthorizedTaggingOperation" && step.kind === "create";
  const hint = untagged ? " The operator can leave this server's own tags out with --default-tags off." : "";
  return new OpsError(told, message + hint, {
    details: {
      awsCode: answer.awsCode ?? "unknown",
      awsMessage: answer.message ?? "",
      ...(reason && told === "aws_failed" ? { reason } : {}),
      ...(action !== undefined ? { action } : {}),
      ...(answer.identifier ? { identifier: answer.identifier } : {}),
      ...(answer.inFlight ? { inFlight: answer.inFlight } : {}),
      nothingWasChanged,
    },
  });
}

/**
 * After a call whose answer never came: look for what it did; where AWS shows that it did nothing and is as it was
 * planned from, the identical call may go out again. Once it may not, what AWS shows decides, or somebody has to.
 */
export async function reconcile(deps: GateDeps, work: Work, why: OpsError): Promise<StepOutcome> {
  const { step, operation, afterwards: may = "resend" } = work;
  const inApply = work.afterwards === undefined;
  const writer = writerAt(deps, work.aws);
  work.progress(`the answer to ${step.service}.${step.operation} was lost; looking for what it did`);
  // Asked before anything is read: what ends in between is seen by the reads.
  const atWork = may === "settle" && (await mayBeAtWork(deps, work));
  const found = await writer.find(step, operation).catch(asValue);
  const made = found instanceof OpsError ? undefined : found;
  if (made && made.length > 0) return taken(deps, work, made);
  const idempotency = writer.idempotency(step);
  const read = step.ref.id ? await work.aws.content(step.ref, step.reader).catch(asValue) : undefined;
  const live = read instanceof OpsError ? undefined : read;
  // A create overwrites nothing: under its own token AWS answers what became of it, or that somebody else was first.
  const asks = step.kind === "create" && idempotency === "token";
  // It was not as asked when the intent was recorded, so the call is taken for carried out; that it was is not proven. What
  // bears the name of a create may be somebody else's altogether: its mark alone tells.
  const telling = step.kind !== "create" && (idempotency !== "none" || step.kind === "delete");
  if (telling && live !== undefined && reached(step, live))
    return taken(deps, byLook(work, ANSWER_LOST), [step.ref.id]);
  const unmoved =
    step.ref.id === "" || asks
      ? step.kind === "create"
      : live !== undefined && moved(deps, { ...step, touches: touchedBy(step, live) }, live).overlapping.length === 0;
  // A delete of a process that is gone is never sent by whoever comes next: they only came to read.
  const resend = may === "resend" && unmoved && (inApply || step.kind !== "delete");
  if (resend && idempotency !== "none" && maySend(deps.config, work.change, step)) {
    const again = await sendAgain(deps, work, idempotency === "natural");
    if (again) return again;
  }
  if (may === "settle") {
    const verdict = verdictOn(step, { live, made, natural: idempotency === "natural", unmoved });
    if (verdict === "carried_out") return taken(deps, byLook(work, ANSWER_LOST), [step.ref.id]);
    // What a request in progress has yet to do shows nowhere.
    if (verdict === "not_carried_out" && !atWork) return giveUp(deps, work, why, made ?? null, live);
    const failures = [found, read].filter((one) => one instanceof OpsError);
    // AWS that cannot say just now is asked again; everything else will not become clearer by itself.
    if (!atWork && !failures.some((one) => one.retriable)) return park(deps, work, failures[0]);
  }
  const because = "The call was sent and its answer lost; nothing found in AWS proves or disproves it.";
  const state =
    operation.state === "unknown"
      ? await deps.store.state()
      : await record(deps, { type: "op.unknown", operationId: operation.id, error: errorOf(why), because });
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

/** Whether AWS may still be at work on a call whose answer was lost: by its list of requests, and no longer than it allows. */
async function mayBeAtWork(deps: GateDeps, work: Work): Promise<boolean> {
  const { step, operation, aws } = work;
  const listed = await writerAt(deps, aws).atWork(step).catch(asValue);
  if (listed === false || operation.intentAt === undefined) return false;
  return minutesSince(deps, operation.intentAt) < (await minutesAllowed(work));
}

/** Nothing will prove this any more: it is kept, and shown until somebody decides. */
async function park(deps: GateDeps, work: Work, unreadable?: OpsError): Promise<StepOutcome> {
  const { step } = work;
  const because = unreadable
    ? `The answer to the call was lost, and AWS does not let this server look for what it did (${unreadable.code}).`
    : step.kind !== "create"
      ? "The answer to the call was lost, and the resource was changed since in a way that does not tell what the call did."
      : step.ref.id === ""
        ? "The answer to the call was lost, and what it may have made bears no mark by which it could be found."
        : "The answer to the call was lost, and what bears the name now may be what it made or somebody else's.";
  return parkAs(deps, work, because);
}

async function parkAs(deps: GateDeps, { operation, change }: Work, because: string): Promise<StepOutcome> {
  const state = await record(deps, { type: "op.parked", operationId: operation.id, because });
  return {
    status: "unknown",
    state,
    error: new OpsError("outcome_unknown", `${because} It waits for a decision.`, {
      details: { operationId: operation.id, changeId: change.id },
      next: [{ tool: "changes.get", arguments: { changeId: change.id } }],
    }),
  };
}

/** The identical call once more, under the same client token. Null where its answer says nothing either. */
async function sendAgain(deps: GateDeps, work: Work, natural: boolean): Promise<StepOutcome | null> {
  const { step, operation } = work;
  await stillOurs(deps, operation.id);
  try {
    const sent = await send(deps, work);
    if (!sent.requestToken || work.followedLater) return await taken(deps, work, sent.identifiers);
    await submitted(deps, { type: "op.submitted", operationId: operation.id, requestToken: sent.requestToken });
    return await followStep(deps, { ...work, operation: { ...operation, requestToken: sent.requestToken } });
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    if (!natural || error.code === "outcome_unknown" || error.retriable) return null;
    if (step.kind === "create") {
      const made = await writerAt(deps, work.aws).find(step, operation).catch(unlessFatal);
      return made && made.length > 0 ? taken(deps, work, made) : null;
    }
    const live = await readOrNull(work.aws, step.ref, step);
    return live !== undefined && reached(step, live) ? taken(deps, byLook(work, ANSWER_LOST), [step.ref.id]) : null;
  }
}

const ANSWER_LOST = "Its answer was lost";
const GONE = "The resource was gone when the call arrived";
const STILL_CALLED_IN_PROGRESS = "AWS calls it in progress for longer than it allows itself";

/** Whoever wanted the same may have been first, and AWS does not say whose work it shows. */
const byLook = (work: Work, why: string): Work => ({
  ...work,
  notProven: `${nameOf(work.step, work.step.ref.id)}: ${why}. AWS shows what was asked for; that this call brought it about, and nobody else, is not proven.`,
});

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
      : live !== undefined && moved(deps, { ...step, touches: [""] }, live).overlapping.length === 0;
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

/** Reads what is true now until it is as planned or two reads agree on more than the old content, and commits it as the outcome. */
async function readBack(deps: GateDeps, work: Work, identifiers: readonly string[]): Promise<StepOutcome> {
  const { step } = work;
  // Only a create learns its ids from AWS: what other calls answer (rule ids) are parts of the resource.
  const ids = step.kind === "create" && identifiers.length > 0 ? identifiers : [step.ref.id];
  const results: Result[] = [];
  const unsure: string[] = [];
  for (const id of ids) {
    const ref = { ...step.ref, id };
    work.progress(`reading ${id} back`);
    const after = await settled(deps, work, ref);
    const unreadable = after instanceof OpsError ? forGood(deps, work, after) : null;
    if (unreadable) {
      results.push({ ...notVerified(step, unreadable), ref });
      unsure.push(`AWS reports ${nameOf(step, id)} as done. It could not be read back (${unreadable}): not verified.`);
      continue;
    }
    // What could not be read is not known to be gone: the operation stays open, and later calls read it back.
    if (after instanceof OpsError || (after === null && mayAppear(deps, work))) {
      return { status: "running", state: await deps.store.state() };
    }
    const gone = step.kind === "delete";
    // AWS's word is that it is gone: whatever is shown under its name is shown late, or is somebody else's.
    results.push({ ref, reader: step.reader, before: step.before, after: gone ? null : after });
    if (after !== null && (gone || (await isNotShown(deps, work, after)))) unsure.push(notShown(step, id));
  }
  const proof = work.notProven !== undefined && { notProven: work.notProven };
  const state = await record(deps, { type: "op.succeeded", operationId: work.operation.id, results, ...proof });
  return { status: "succeeded", results, state, ...(unsure.length > 0 && { unsure: unsure.join(" ") }) };
}

const nameOf = ({ service, operation }: ChangeStep, id = ""): string => `${service}.${operation} ${id}`.trim();

const notShown = (step: ChangeStep, id: string): string =>
  step.kind === "delete"
    ? `AWS says that ${id} is deleted, and shows one of that name all the same: late, or made again by somebody. Read it before you rely on either.`
    : `AWS took ${nameOf(step)}, and ${id} does not show it yet: read it again before you rely on it.`;

/**
 * What no later read will mend: a type that cannot be read, or a right that is missing still once the approval has run
 * out, for a right may come a moment later. Its code, or null.
 */
function forGood(deps: GateDeps, { change }: Work, { code }: OpsError): string | null {
  if (code === "unsupported") return code;
  const late = deps.clock.now().toISOString() >= change.expiresAt;
  return code === "access_denied" && late ? code : null;
}

/** What AWS reports as done and nobody can look at: recorded as it was asked for, and marked so. */
const notVerified = ({ reader, before, after, kind }: ChangeStep, code: string): Omit<Result, "ref"> => ({
  reader,
  before,
  after: kind === "delete" ? null : (after ?? before),
  notVerified: `it could not be read back (${code})`,
});

/** Whether what was made may be seen later than AWS said that it is there: until then it is not known to be gone. */
const mayAppear = (deps: GateDeps, { step, operation }: Work): boolean =>
  step.kind === "create" &&
  (operation.intentAt === undefined || minutesSince(deps, operation.intentAt) < SEEN_LATE_MINUTES);

async function isNotShown(deps: GateDeps, { step, aws }: Work, live: JsonObject): Promise<boolean> {
  if (!showsNothingYet(deps, step, live)) return false;
  const schema = step.reader === "cloudcontrol" ? await aws.schema(step.ref.type).catch(unlessFatal) : undefined;
  return showsNothingYet(deps, step, live, schema?.writeOnly);
}

/** AWS's refusal where it could not say once. */
async function settled(deps: GateDeps, work: Work, ref: ResourceRef): Promise<JsonObject | null | OpsError> {
  const { step } = work;
  let last: JsonObject | null | undefined;
  let refusal: OpsError | undefined;
  for (let attempt = 0; attempt < READ_BACKS; attempt++) {
    const live = await work.aws.content(ref, step.reader).catch(asValue);
    if (live instanceof OpsError) {
      refusal = live;
      if (live.code === "unsupported") break;
    } else {
      const gone = isGone(ref.type, step.reader, live);
      if (step.kind === "delete" && gone) return null;
      const seen = { ref, reader: step.reader, before: last ?? null, touches: [""] };
      const agreed =
        last !== undefined && moved(deps, seen, live).overlapping.every(({ path }) => isVolatile(step, path));
      if (step.kind !== "delete" && live !== null) {
        if (isAsPlanned(deps, step, live)) return live;
        // Reads that agree on what was there before the call say nothing of it, as long as somebody waits.
        const waits = deps.clock.now().getTime() < work.deadline;
        if (agreed && !(waits && (await isNotShown(deps, work, live)))) return live;
      }
      last = live;
    }
    // Reads that agree at once need no pause: only a resource that has not appeared, gone or settled is waited for.
    if (attempt > 0 || last === null || last === undefined || step.kind === "delete") {
      await deps.clock.sleep(Math.min(500 * 2 ** attempt, 5_000));
    }
  }
  return last === undefined ? refusal! : last;
}

const isVolatile = ({ ref, reader }: ChangeStep, path: string): boolean =>
  volatileOf(ref.type, reader).some((pointer) => pathsTouch(pointer, path));

/** `undefined` where AWS cannot say. */
async function readOrNull(aws: AwsReader, ref: ResourceRef, step: ChangeStep): Promise<JsonObject | null | undefined> {
  return aws.content(ref, step.reader).catch(unlessFatal);
}

const unlessFatal = (error: unknown): undefined => {
  if (!(error instanceof OpsError)) throw error;
  return undefined;
};

function asValue(error: unknown): OpsError {
  if (error instanceof OpsError) return error;
  throw error;
}

async function fail(
  deps: GateDeps,
  work: Work,
  error: OpsError,
  nothingWasChanged = true,
  results: readonly Result[] = [],
): Promise<StepOutcome> {
  const state = await record(deps, {
    type: "op.failed",
    operationId: work.operation.id,
    error: errorOf(error),
    nothingWasChanged,
    ...(results.length > 0 ? { results } : {}),
  });
  return { status: "failed", error, state };
}

function errorOf(error: OpsError): OperationError {
  const { awsCode, awsMessage } = error.details;
  return {
    code: error.code,
    message: error.message,
    ...(typeof awsCode === "string" ? { awsCode } : {}),
    // Of work that AWS began and gave up the reason is all there is to learn from it.
    ...(error.code === "aws_failed" && typeof awsMessage === "string" && awsMessage !== ""
      ? { awsMessage: awsMessage.slice(0, MOST_REASON) }
      : {}),
  };
}

/** The handle of work in progress. Where the record cannot take it now, it goes with the outcome. */
async function submitted(deps: GateDeps, event: EventOf<"op.submitted">): Promise<void> {
  await record(deps, event).catch((error: unknown) => {
    if (!cannotBeStored(error)) throw error;
  });
}

/** Commits what became of an operation, with whatever of it could not be stored before. */
async function record(deps: GateDeps, event: Event & { readonly operationId: string }): Promise<State> {
  const { operationId } = event;
  const events = [...(deps.unrecorded.get(operationId) ?? []), event];
  try {
    const { state } = await deps.store.commit(() => events);
    deps.unrecorded.delete(operationId);
    return state;
  } catch (error) {
    if (cannotBeStored(error)) deps.unrecorded.set(operationId, events);
    throw error;
  }
}

const cannotBeStored = (error: unknown): boolean =>
  error instanceof OpsError && (error.code === "state_read_only" || error.code === "state_unreadable");
