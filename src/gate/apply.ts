// Token → checked → executed → settled: the one place where AWS changes.

import { ridsOf } from "../../state/claims.js";
import type { Store } from "../../state/journal.js";
import { LEASE_MS } from "../../state/leases.js";
import { guardedAsShown } from "../../state/patch.js";
import { changeOfToken, clientToken, operationId, tokenSha256 } from "../../state/tokens.js";
import type { ApprovalReply } from "../core/call.js";
import {
  type Caller,
  type Change,
  type ChangeStep,
  envelopesOf,
  type Operation,
  type Owner,
  patchOf,
  planDigest,
  type ResourceRef,
  ridOf,
  type State,
} from "../core/change.js";
import { OpsError } from "../core/errors.js";
import { type Difference, diff, type JsonObject, type PatchOp, pathsTouch, propertyOf } from "../core/json.js";
import { volatileOf } from "../core/own-types.js";
import type { ApplyReport, AwsReader } from "../core/ports.js";
import { withinBounds } from "../core/shown.js";
import { ensureApproved } from "./approval.js";
import { conflict, inWords, moved, touchedBy } from "./conflict.js";
import { refuseDataLoss } from "./data-kept.js";
import { type GateDeps, writerAt } from "./deps.js";
import { checkedAnew, overBudget, refuseForbidden, refuseUnsafe } from "./guards.js";
import { calledStep } from "./made.js";
import { withIds } from "./planned.js";
import { followStep, type StepOutcome, sendStep, sendTogether, type Work } from "./settle.js";
import { refuseStackOwned } from "./stack-owned.js";
import { signedOutcome } from "./unrecorded.js";

export interface ApplyRequest {
  readonly token: string;
  readonly aws: AwsReader;
  readonly caller: Caller;
  /** Where a human can be asked, and what they answered. */
  readonly asked: { readonly client: string; readonly reply?: ApprovalReply };
  progress(message: string): void;
  refusedBefore(rid: string): boolean;
  /** The changes this process is executing. */
  readonly executing: Set<string>;
}

/**
 * Executes the change behind a token, once.
 * @throws OpsError unknown_token, token_expired, token_spent, identity_mismatch, change_cancelled, plan_mismatch,
 * stale_revision, stack_owned, resource_busy with AWS untouched; aws_failed and outcome_unknown after something was sent.
 */
export async function applyChange(deps: GateDeps, request: ApplyRequest): Promise<ApplyReport> {
  const { state, change: found } = await find(deps.store, request.token);
  checkBindings(found, request);
  if (found.state !== "planned") return recorded(found, state);
  // As the rules of this server see it: the plan may be older than they are.
  const policyResults = checkedAnew(found);
  const change: Change = { ...found, ...(policyResults && { policyResults }) };
  const now = deps.clock.now();
  if (now.toISOString() >= change.expiresAt) {
    throw new OpsError("token_expired", `This token expired at ${change.expiresAt}. Plan the change again.`, {
      field: "executionToken",
      details: { changeId: change.id, expiredAt: change.expiresAt },
      next: [{ tool: "changes.get", arguments: { changeId: change.id } }],
    });
  }
  // The operator's word is asked again: the plan may be older than it, or of another process.
  refuseForbidden(deps.config, change.steps);
  refuseUnsafe(deps.config, change.policyResults);
  const approved = await ensureApproved(deps, change, request.asked);
  if (request.executing.has(change.id)) {
    throw new OpsError("token_spent", "This token is being executed right now by another call. Look at the change.", {
      field: "executionToken",
      details: { changeId: change.id },
      next: [{ tool: "changes.get", arguments: { changeId: change.id } }],
    });
  }
  for (const [index, step] of change.steps.entries()) await deps.secrets.reveal(step, envelopesOf(change, index));
  request.executing.add(change.id);
  try {
    return await execute(deps, request, change, await begin(deps, request, approved, state));
  } finally {
    request.executing.delete(change.id);
  }
}

async function find(store: Store, token: string): Promise<{ state: State; change: Change }> {
  const next = [{ tool: "changes.list", arguments: {} }];
  const name = changeOfToken(token);
  if (name === undefined) {
    throw new OpsError(
      "unknown_token",
      "This is not an execution token of this server. It stands in the answer of a plan tool as executionToken.",
      {
        field: "executionToken",
        next,
      },
    );
  }
  const state = await store.recall(name);
  const id = state?.tokens.get(tokenSha256(token));
  const change = id === undefined ? undefined : state?.changes.get(id);
  if (state && change) return { state, change };
  throw new OpsError(
    "unknown_token",
    "This state store issued no such token: it was made up, or it belongs to another store. Plan the change here.",
    {
      field: "executionToken",
      next,
    },
  );
}

/** The identity behind a session name the SDK made up is the role's: the name changes whenever credentials are renewed. */
const actorOf = (arn: string): string => arn.replace(/\/aws-sdk-js-(session-)?\d+$/, "/aws-sdk-js");

function checkBindings(change: Change, { caller, aws }: ApplyRequest): void {
  const mismatch = (what: string, planned: string, now: string): OpsError =>
    new OpsError(
      "identity_mismatch",
      `This change was planned as another ${what}. Nothing was sent. Plan it again as the one who applies it.`,
      { field: "executionToken", details: { what, planned, now, changeId: change.id } },
    );
  if (change.account !== aws.account) throw mismatch("account", change.account, aws.account);
  if (actorOf(change.caller.arn) !== actorOf(caller.arn)) throw mismatch("identity", change.caller.arn, caller.arn);
  if (change.region !== aws.region) throw mismatch("region", change.region, aws.region);
  if (planDigest(change) !== change.planDigest) {
    throw new OpsError(
      "plan_mismatch",
      "The stored plan is not the one this token was issued for. Nothing was sent. Plan the change again.",
      {
        field: "executionToken",
        details: { changeId: change.id },
      },
    );
  }
}

/** A token presented again by the one it was issued to: what is recorded, and no call to AWS. */
function recorded(change: Change, state: State): ApplyReport {
  if (change.state === "cancelled") {
    throw new OpsError(
      "change_cancelled",
      `${change.id} was cancelled. Plan the change again if it is wanted after all.`,
      {
        field: "executionToken",
        details: { changeId: change.id },
      },
    );
  }
  if (change.state === "failed") {
    throw new OpsError(
      "token_spent",
      `This token was used before, and the change failed then. Nothing was sent now. Plan it again.`,
      {
        field: "executionToken",
        details: { changeId: change.id, because: change.because ?? "" },
        next: [{ tool: "changes.get", arguments: { changeId: change.id } }],
      },
    );
  }
  return {
    change,
    outcome: change.state === "applied" ? "applied" : change.state === "unknown" ? "unknown" : "in_progress",
    repeated: true,
    notes: [],
    resources: resourcesOf(change, state),
  };
}

function resourcesOf(change: Change, state: State): ApplyReport["resources"] {
  return [...state.resources.values()].flatMap((resource): ApplyReport["resources"] => {
    const entry = resource.lineage.findLast((one) => one.changeId === change.id);
    if (!entry) return [];
    const { ref, reader } = resource;
    const { outcome, before, after, notVerified, notProven } = entry;
    const doubt = notProven !== undefined && { notProven };
    // Nobody has seen it: what was asked for is no content to build on.
    if (notVerified !== undefined) return [{ ref, reader, content: {}, outcome, notVerified, ...doubt }];
    const shown = withinBounds({ ref, reader, content: after ?? {} }, changedPaths(before, after));
    return [{ ...shown, outcome, ...doubt }];
  });
}

const changedPaths = (before: JsonObject | null, after: JsonObject | null): string[] =>
  diff(before ?? undefined, after ?? undefined).map(({ path }) => path);

interface Begun {
  readonly first: Intent;
  readonly live: Map<string, JsonObject | null>;
  readonly notes: string[];
}

/** So often live is looked at for one apply, where each time another change of ours was first. */
const MOST_LOOKS = 5;

/**
 * Live as planned from, then the first intent. The claims of the store begin with the intent: a change of ours that began
 * and ended between the two has moved what was looked at, so the look is had again.
 */
async function begin(deps: GateDeps, request: ApplyRequest, change: Change, known: State): Promise<Begun> {
  let state = known;
  for (let looks = 1; ; looks++) {
    const { live, notes } = await recheck(deps, request, change, state);
    await ensureApproved(deps, change, request.asked, live);
    const first = await intend(deps, change, 0, request.token, { live, unlessTouchedSince: state.seq });
    if (first) return { first, live, notes };
    if (looks === MOST_LOOKS) {
      throw new OpsError(
        "resource_busy",
        "Other changes of the same resources were recorded first, again and again. Nothing was sent and the token is not spent; apply again.",
        { field: "executionToken", details: { changeId: change.id } },
      );
    }
    state = await deps.store.state();
  }
}

/** Live against the contents the plan was made from. Equal, or different only where the plan does not look: go. */
async function recheck(
  deps: GateDeps,
  request: ApplyRequest,
  change: Change,
  state: State,
): Promise<{ live: Map<string, JsonObject | null>; notes: string[] }> {
  const at = deps.clock.now().toISOString();
  const approved = change.approval !== undefined;
  const live = new Map<string, JsonObject | null>();
  const notes: string[] = [];
  for (const [rid, steps] of groupSteps(change.steps)) {
    const [first] = steps as [ChangeStep, ...ChangeStep[]];
    if (first.ref.id === "") continue;
    request.progress(`re-reading ${first.ref.id}`);
    const now = await request.aws.content(first.ref, first.reader);
    live.set(rid, now);
    if (first.kind === "create") {
      if (now === null) continue;
      throw new OpsError(
        "already_exists",
        `${first.ref.type} ${first.ref.id} exists by now and is never overwritten. Nothing was sent.`,
        {
          field: "executionToken",
          details: { rid },
          next: [{ tool: "resources.get", arguments: { type: first.ref.type, identifier: first.ref.id } }],
        },
      );
    }
    for (const step of steps) refuseStackOwned(step, now, deps.config.allowStackOwned);
    const touches = [...new Set(steps.flatMap((step) => touchedBy(step, now, approved)))];
    const { overlapping, disjoint } = moved(deps, { ...first, touches }, now);
    if (overlapping.length > 0 || now === null) {
      throw await conflict(
        {
          aws: request.aws,
          since: change.plannedAt,
          ref: first.ref,
          reader: first.reader,
          youSaw: { observedAt: change.plannedAt },
          now,
          overlapping,
          touches,
          phase: "apply",
          state,
          at,
          repeated: request.refusedBefore(rid),
        },
        deps,
      );
    }
    // The copy that the plan rested on may be gone by now.
    for (const step of steps) await refuseDataLoss(request.aws, step, deps.clock.now());
    if (disjoint.length > 0) notes.push(rebased(first.ref, disjoint));
  }
  return { live, notes };
}

function groupSteps(steps: readonly ChangeStep[]): Map<string, ChangeStep[]> {
  const groups = new Map<string, ChangeStep[]>();
  for (const step of steps) groups.set(ridOf(step.ref), [...(groups.get(ridOf(step.ref)) ?? []), step]);
  return groups;
}

function rebased(ref: ResourceRef, disjoint: readonly Difference[]): string {
  const words = [...new Set(disjoint.map((difference) => inWords(ref, difference)))];
  const more = words.length > 5 ? `; and ${words.length - 5} more` : "";
  return `${ref.id} was changed elsewhere meanwhile (${words.slice(0, 5).join("; ")}${more}): this plan does not touch that, and it stays.`;
}

/** How long a step is waited for that others follow: to give up there would leave the resource halfway. */
const BETWEEN_STEPS_MS = 10 * 60_000;

/** Once the intent is durable nothing abandons the work, also not a client that has gone: its outcome is recorded. */
async function execute(
  deps: GateDeps,
  request: ApplyRequest,
  planned: Change,
  { first, live, notes }: Begun,
): Promise<ApplyReport> {
  const deadline = deps.clock.now().getTime() + deps.config.waitSeconds * 1_000;
  const done: string[] = [];
  const so: SoFar = { live, done, notes };
  /** What the step before has just read back: that read is the one before this step too. */
  let justRead: ReadonlySet<string> = new Set();
  let batched = 0;
  /** Sent, and AWS is at work on them: followed when all are sent. */
  const under: Work[] = [];
  for (const [index, step] of planned.steps.entries()) {
    if (index < batched) continue;
    const together = batchAt(deps, request, planned, index);
    if (together.length > 1) {
      await applyTogether(deps, request, { planned, first, from: index, steps: together, deadline }, so);
      batched = index + together.length;
      justRead = new Set(together.map(({ ref }) => ridOf(ref)));
      continue;
    }
    const rid = ridOf(step.ref);
    const stops = async (error: unknown): Promise<never> => {
      throw partly(planned, done, step, error, await allFollowed(deps, under, so));
    };
    if (index > 0 && !justRead.has(rid)) await stillThere(deps, request, step, live).catch(stops);
    const operation =
      index === 0
        ? first
        : await intendNext(deps, planned, index, request.token, { live, alongside: under.length > 0 }).catch(stops);
    const called = await calledNow(deps, operation, planned);
    const rest = planned.steps.slice(index + 1);
    const halfway = rest.some((one) => ridOf(one.ref) === rid);
    const alike = !halfway && rest.every((one) => sameCall(one, step)) && rest.length + under.length > 0;
    // What Cloud Control does is followed at once: nothing of it shows by a read before its request ends.
    const followedLater = alike && writerAt(deps, request.aws).follows(step);
    const patience = halfway ? Math.max(deadline, deps.clock.now().getTime() + BETWEEN_STEPS_MS) : deadline;
    const { progress, refusedBefore } = request;
    const work: Work = {
      ...{ change: planned, operation, step: { ...called, before: shownOf(live, step) }, aws: request.aws },
      ...{ deadline: patience, followedLater, progress, refusedBefore },
    };
    const outcome = await sendStep(deps, work).catch(async (error: unknown) => {
      throw await unrecorded(deps, planned, operation.id, error);
    });
    // AWS is at work on it, and the handle by which it is followed could not be stored.
    if (deps.unrecorded.has(operation.id)) {
      const full = new OpsError("state_read_only", "The request token could not be stored.");
      throw await unrecorded(deps, planned, operation.id, deps.store.readOnly ?? full);
    }
    if (outcome.status === "running" && followedLater) {
      under.push({ ...work, ...(outcome.notProven !== undefined && { notProven: outcome.notProven }) });
      continue;
    }
    if (outcome.status !== "succeeded") {
      if (under.length > 0 && outcome.status !== "running") await stops(outcome.error);
      return ended(planned, step, outcome, notes, done);
    }
    justRead = new Set(outcome.results.map(({ ref }) => ridOf(ref)));
    const left = outcome.results.find(({ ref }) => ridOf(ref) === rid)?.after;
    const later = planned.steps.slice(index + 1).filter((one) => ridOf(one.ref) === rid);
    if (outcome.unsure && later.length > 0)
      throw partly(planned, [...done, nameOf(step)], step, restsOnUnshown(step, outcome.unsure));
    const strange = otherThanPlanned(deps, step, left, later);
    if (strange.length > 0) throw partly(planned, [...done, nameOf(step)], step, elsewhere(step, namesOf(strange)));
    const earlier = planned.steps.slice(0, index).filter((one) => ridOf(one.ref) === rid);
    const undone = later.length > 0 ? [] : otherThanPlanned(deps, step, left, earlier);
    if (undone.length > 0) notes.push(meanwhile(step, namesOf(undone)));
    succeeded(deps, step, outcome, so);
  }
  const { failures, running } = await allFollowed(deps, under, so);
  if (failures.length > 0) {
    throw partly(planned, done, under[0]!.step, someFailed(failures, under.length), { failures: [], running });
  }
  const state = await deps.store.state();
  if (running.length > 0) {
    const still = `AWS is still at work on ${running.map(({ step }) => step.ref.id).join(", ")}.`;
    return ended(planned, under[0]!.step, { status: "running", state }, [...notes, still], done);
  }
  const change = state.changes.get(planned.id) ?? planned;
  return { change, outcome: "applied", repeated: false, notes, resources: resourcesOf(change, state) };
}

/** What a change has come to so far. */
interface SoFar {
  readonly live: Map<string, JsonObject | null>;
  readonly done: string[];
  readonly notes: string[];
}

interface Followed {
  readonly failures: readonly Failure[];
  readonly running: readonly Work[];
}

/** Follows what is under way to its end, each with an outcome of its own, or until the wait is over. */
async function allFollowed(deps: GateDeps, works: readonly Work[], so: SoFar): Promise<Followed> {
  const failures: Failure[] = [];
  const running: Work[] = [];
  for (const work of works) {
    const { step, change, operation } = work;
    const current = (await deps.store.state()).operations.get(operation.id);
    const outcome = await followStep(deps, { ...work, operation: current ?? operation, followedLater: false }).catch(
      async (error: unknown) => {
        throw await unrecorded(deps, change, operation.id, error);
      },
    );
    if (outcome.status === "running") running.push(work);
    if (outcome.status === "failed" || outcome.status === "unknown")
      failures.push({ id: step.ref.id, error: outcome.error });
    if (outcome.status === "succeeded") succeeded(deps, step, outcome, so);
  }
  return { failures, running };
}

/** What a step came to, for later steps and for the session. */
function succeeded(
  deps: GateDeps,
  step: ChangeStep,
  { results, state, unsure }: Extract<StepOutcome, { status: "succeeded" }>,
  { live, done, notes }: SoFar,
): void {
  if (unsure) notes.push(unsure);
  for (const result of results) live.set(ridOf(result.ref), result.after);
  deps.session.changed(
    results.flatMap(({ ref, reader, before, after, notVerified }) =>
      after && notVerified === undefined
        ? [withinBounds({ ref, reader, content: after }, changedPaths(before, after))]
        : [],
    ),
    state,
    deps.clock.now().toISOString(),
  );
  done.push(nameOf(step));
}

const nameOf = ({ service, operation, ref }: ChangeStep): string => `${service}.${operation} ${ref.id}`.trim();

interface Failure {
  readonly id: string;
  readonly error: OpsError;
}

const sameCall = (a: ChangeStep, b: ChangeStep): boolean => a.service === b.service && a.operation === b.operation;

/** The step as it is sent now. Only a later one can refer to what was made, and has to ask the record for it. */
async function calledNow({ store }: GateDeps, operation: Intent, planned: Change): Promise<ChangeStep> {
  if (operation.step === 0) return calledStep(operation, planned);
  const state = await store.state();
  return calledStep(operation, state.changes.get(planned.id)!, state);
}

/** The content a step starts from: as the last look showed it, or our own last call on the resource left it. */
const shownOf = (live: ReadonlyMap<string, JsonObject | null>, { ref, before }: ChangeStep): JsonObject | null => {
  const shown = live.get(ridOf(ref));
  return shown === undefined ? before : shown;
};

/** The steps from here on that one call can carry, each about another resource. */
function batchAt(deps: GateDeps, { aws }: ApplyRequest, { steps }: Change, from: number): readonly ChangeStep[] {
  const rest = steps.slice(from);
  const some = rest.slice(0, writerAt(deps, aws).batch(rest));
  const again = some.findIndex((step, index) => some.findIndex((one) => ridOf(one.ref) === ridOf(step.ref)) < index);
  return again < 0 ? some : some.slice(0, again);
}

interface Batch {
  readonly planned: Change;
  /** The intent of the change's first step. */
  readonly first: Intent;
  readonly from: number;
  readonly steps: readonly ChangeStep[];
  readonly deadline: number;
}

/** One call for several resources. Every one of them has its intent before, and its own outcome after. */
async function applyTogether(
  deps: GateDeps,
  request: ApplyRequest,
  { planned, first, from, steps, deadline }: Batch,
  so: SoFar,
): Promise<void> {
  const { live, done } = so;
  for (const step of from > 0 ? steps : []) {
    await stillThere(deps, request, step, live).catch((error: unknown) => {
      throw partly(planned, done, step, error);
    });
  }
  const current = steps.map((step): ChangeStep => ({ ...step, before: shownOf(live, step) }));
  const works: Work[] = [];
  for (const [index, step] of current.entries()) {
    const operation =
      from + index === 0
        ? first
        : await intendNext(deps, planned, from + index, request.token, { live, alongside: index > 0 }).catch(
            async (error: unknown) => {
              const [work] = works;
              if (!work || (await neverSent(deps, works, error))) throw partly(planned, done, step, error);
              throw await unrecorded(deps, planned, work.operation.id, error);
            },
          );
    const called = { ...calledStep(operation, planned), before: step.before };
    works.push({ change: planned, operation, step: called, aws: request.aws, deadline, progress: request.progress });
  }
  const outcomes = await sendTogether(deps, works).catch(async (error: unknown) => {
    const { operation } = works.find((one) => deps.unrecorded.has(one.operation.id)) ?? works[0]!;
    throw await unrecorded(deps, planned, operation.id, error);
  });
  const failures: Failure[] = [];
  for (const [index, outcome] of outcomes.entries()) {
    const step = current[index]!;
    if (outcome.status === "failed" || outcome.status === "unknown")
      failures.push({ id: step.ref.id, error: outcome.error });
    if (outcome.status === "running") failures.push({ id: step.ref.id, error: notReadBack(step) });
    if (outcome.status !== "succeeded") continue;
    succeeded(deps, step, outcome, so);
  }
  if (failures.length > 0) throw partly(planned, done, steps[0]!, someFailed(failures, steps.length));
}

const notReadBack = ({ ref }: ChangeStep): OpsError =>
  new OpsError(
    "outcome_unknown",
    "AWS took the call, and what it left could not be read yet; it is read on later calls.",
    {
      details: { id: ref.id },
    },
  );

/** What AWS refused, or gave up, of equal calls: each resource with its own reason. */
function someFailed(failures: readonly Failure[], of: number): OpsError {
  const [first] = failures as [(typeof failures)[number], ...typeof failures];
  const doubtful = failures.find(({ error }) => error.code === "outcome_unknown")?.error;
  const { code } = doubtful ?? first.error;
  return new Halt(
    code,
    `${failures.length} of ${of} resources did not come to what was asked, or it is not known; \`failures\` names each with its reason.`,
    {
      details: {
        failures: failures.map(failureView),
      },
      cause: first.error,
    },
  );
}

function failureView({ id, error }: Failure): JsonObject {
  const { awsCode, awsMessage, action } = error.details;
  return {
    id,
    code: error.code,
    ...(awsCode !== undefined && { awsCode }),
    ...(awsMessage !== undefined && { awsMessage }),
    ...(action !== undefined && { action }),
  } as JsonObject;
}

/**
 * Intents that no call followed: nothing was sent for them, and the record says so. False where no disk takes that: this
 * process keeps it, or the next one would take them for calls whose answer was lost.
 */
async function neverSent(deps: GateDeps, works: readonly Work[], cause: unknown): Promise<boolean> {
  const message = "The intent of another resource of the same call could not be recorded, so nothing was sent.";
  const code = cause instanceof OpsError ? cause.code : "internal";
  const events = works.map(({ operation }) => ({
    type: "op.failed" as const,
    operationId: operation.id,
    error: { code, message },
    nothingWasChanged: true,
  }));
  if (events.length === 0) return true;
  try {
    await deps.store.commit(() => events);
    return true;
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    for (const event of events) deps.unrecorded.set(event.operationId, [event]);
    return false;
  }
}

/**
 * Live once more, right before a later step on another resource than the step before: that took time. Compared with what
 * was checked at the start, or what our own last step on the resource left; from here on it is what was looked at last.
 */
async function stillThere(
  deps: GateDeps,
  { aws }: ApplyRequest,
  step: ChangeStep,
  live: Map<string, JsonObject | null>,
): Promise<void> {
  if (step.ref.id === "") return;
  const now = await aws.content(step.ref, step.reader);
  const { overlapping } = moved(deps, { ...step, before: shownOf(live, step) }, now);
  if (overlapping.length > 0) throw elsewhere(step, namesOf(overlapping));
  live.set(ridOf(step.ref), now);
}

const meanwhile = ({ ref }: ChangeStep, names: string): string =>
  `Every call was carried out, and ${ref.id} now differs from the plan (${names}): somebody changed it between two of the calls. Read it again.`;

const restsOnUnshown = (step: ChangeStep, unsure: string): OpsError =>
  new Halt("outcome_unknown", `${unsure} The next call rests on it.`, {
    details: { rid: ridOf(step.ref) },
  });

const elsewhere = (step: ChangeStep, names: string): OpsError =>
  new Halt("stale_revision", `${step.ref.id} was changed elsewhere while this change was being applied (${names}).`, {
    details: { rid: ridOf(step.ref) },
  });

const namesOf = (differences: readonly Difference[]): string =>
  [...new Set(differences.map(({ path }) => propertyOf(path)))].slice(0, 5).join(", ");

/**
 * What a step left otherwise than planned where later steps look: somebody else was there between our read and the call,
 * and the read-back must not pass that off as ours.
 */
function otherThanPlanned(
  deps: GateDeps,
  step: ChangeStep,
  left: JsonObject | null | undefined,
  later: readonly ChangeStep[],
): readonly Difference[] {
  if (later.length === 0 || step.reader !== "service" || !step.after || !left) return [];
  const touches = later.flatMap((one) => one.touches);
  return moved(deps, { ...step, before: withIds(step.after, left), touches }, left).overlapping.filter(
    ({ path }) => !volatileOf(step.ref.type, step.reader).some((pointer) => pathsTouch(pointer, path)),
  );
}

/** Why a change stops between its calls, in words that are true of the whole of it. */
class Halt extends OpsError {}

/** What an error says of one call ("nothing was changed") is not said of a change of which others were done. */
function whyStopped(step: ChangeStep, error: OpsError): string {
  if (error instanceof Halt) return error.message;
  const { action, awsMessage } = error.details;
  const lacks = typeof action === "string" ? "; `action` names the permission that is missing" : "";
  const reason = typeof awsMessage === "string" && awsMessage !== "" ? "; AWS's reason is in `awsMessage`" : "";
  if (error.code === "outcome_unknown") return `What became of ${nameOf(step)} is not known yet.`;
  const how = error.code === "aws_failed" ? "failed in AWS" : "was not carried out";
  return `${nameOf(step)} ${how} (${error.code}${lacks}${reason}).`;
}

/** The change stops here: what was done stays and is recorded, the rest was never sent. */
function partly(
  change: Change,
  done: readonly string[],
  step: ChangeStep,
  cause: unknown,
  beside?: Followed,
): OpsError {
  const { failures = [], running = [] } = beside ?? {};
  const error =
    cause instanceof OpsError ? cause : new OpsError("internal", "The server failed by a fault of its own.");
  const { nothingWasChanged: _, ...details } = error.details;
  return new OpsError(
    error.code,
    `${whyStopped(step, error)} ${done.length} of ${change.steps.length} calls were done and stay; what comes after was not sent.${running.length > 0 ? ` AWS is still at work on ${running.length} (\`inProgress\`).` : ""}`,
    {
      field: "executionToken",
      details: {
        ...details,
        ...(done.length > 0 && { nothingWasChanged: false }),
        stepsDone: done.length,
        stepsPlanned: change.steps.length,
        done,
        ...(failures.length > 0 && { failures: failures.map(failureView) }),
        ...(running.length > 0 && { inProgress: running.map(({ step }) => step.ref.id) }),
        changeId: change.id,
      },
      next: [{ tool: "changes.get", arguments: { changeId: change.id } }],
      cause,
    },
  );
}

/**
 * Something failed after the intent and not in AWS's answer: the call may have been sent, and its outcome is not
 * recorded. What is known of it goes to the caller, signed, so that it can be recorded later, by any process.
 */
async function unrecorded(deps: GateDeps, change: Change, operationId: string, cause: unknown): Promise<OpsError> {
  const { owner, state } = cause instanceof OpsError ? cause.details : {};
  if (owner || state) return lostOwnership(change, operationId, cause as OpsError);
  deps.log("error", "an outcome could not be recorded", { operationId, error: cause });
  const reason = cause instanceof OpsError ? cause.code : "internal";
  const signed = await signedOutcome(deps, change, operationId).catch((error: unknown) => {
    deps.log("error", "an unrecorded outcome could not be signed", { operationId, error });
    return null;
  });
  const known = signed
    ? `What is known of it stands in \`unrecordedOutcome\`: keep that. If it is not recorded once the state can be written again, give its \`record\` to the tool in \`recordWith\``
    : "It is looked for on later calls";
  return new OpsError(
    "outcome_unknown",
    `The call of operation ${operationId} may have been carried out, and its outcome could not be recorded (${reason}). ${known}; do not plan it a second time.`,
    {
      details: { operationId, changeId: change.id, reason, ...(signed && { unrecordedOutcome: signed }) },
      next: [{ tool: "changes.get", arguments: { changeId: change.id } }],
      cause,
    },
  );
}

/** This process stood still, was taken for dead, and what it was at belongs to another one. */
function lostOwnership(change: Change, operationId: string, cause: OpsError): OpsError {
  const owner = cause.details.owner as Owner | undefined;
  const by = owner ? `by process ${owner.pid} on ${owner.host}` : "by another process";
  return new OpsError(
    "outcome_unknown",
    `This server stood still, and operation ${operationId} was taken over ${by}, which records what became of the call. From here nothing more was recorded or sent; do not plan it a second time, look at the change.`,
    {
      details: {
        operationId,
        changeId: change.id,
        reason: "taken_over",
        ...(owner && { takenOverBy: { host: owner.host, pid: owner.pid, session: owner.session } }),
      },
      next: [{ tool: "changes.get", arguments: { changeId: change.id } }],
      cause,
    },
  );
}

type Intent = Pick<Operation, "id" | "step" | "clientToken" | "patch">;

interface IntentOptions {
  /** What the last look at each resource showed. */
  readonly live: ReadonlyMap<string, JsonObject | null>;
  readonly alongside?: boolean;
  /** The number of the commit after which the resources of the plan were looked at. */
  readonly unlessTouchedSince?: number;
}

/**
 * The durable intent of one step. With the first one the token is spent and every resource of the plan claimed. Null, and
 * nothing recorded, where a resource of the plan was touched since it was looked at.
 */
async function intend(
  deps: GateDeps,
  change: Change,
  step: number,
  token: string,
  { live, alongside = false, unlessTouchedSince }: IntentOptions,
): Promise<Intent | null> {
  const sent = clientToken(token, step);
  const patch = patchSent(deps, change.steps[step]!, live);
  let id = "";
  // Others see that this process lives, and a full disk later on finds the key its outcome is signed with.
  await deps.store.owners.hold();
  await deps.store.sign(null).catch(unlessFatal);
  const build: Parameters<typeof deps.store.commit>[0] = (state, seq) => {
    if (unlessTouchedSince !== undefined && touchedAfter(state, change, unlessTouchedSince)) return [];
    const refused = step === 0 ? overBudget(state, change, deps.config, deps.clock.now()) : null;
    if (refused) return refused;
    id = operationId(seq);
    return [
      {
        type: "op.intent",
        operationId: id,
        changeId: change.id,
        step,
        ...(step === 0 ? { token } : {}),
        clientToken: sent,
        owner: deps.owner,
        resendUntil: change.expiresAt,
        leaseMs: LEASE_MS,
        ...(alongside && { alongside: true as const }),
        ...(patch && { patch }),
      },
    ];
  };
  const { events } = await deps.store.commit(build).catch(async (error: unknown) => {
    if (!(error instanceof OpsError) || error.details.inChain !== true) throw error;
    // Whoever reads it next takes it for a call of ours, and may carry it out: that none was sent is told with a signature.
    const message = "The intent could not be made durable, so nothing was sent.";
    deps.unrecorded.set(id, [
      { type: "op.failed", operationId: id, error: { code: error.code, message }, nothingWasChanged: true },
    ]);
    throw await unrecorded(deps, change, id, error);
  });
  // As the record has it, to the letter: whoever sends the call again sends what the record says.
  const [intent] = events;
  if (intent?.type !== "op.intent") return null;
  return { id, step, clientToken: sent, ...(intent.patch && { patch: intent.patch }) };
}

/** A patch whose guards the last look spells otherwise than the plan: what is sent is what was looked at. */
function patchSent(
  { unordered }: GateDeps,
  step: ChangeStep,
  live: IntentOptions["live"],
): readonly PatchOp[] | undefined {
  const [planned, shown] = [patchOf(step), live.get(ridOf(step.ref))];
  return planned && shown ? guardedAsShown(planned, shown, unordered(step)) : undefined;
}

/** The intent of a later step: what the change holds, no other change of ours touches. */
const intendNext = async (
  deps: GateDeps,
  change: Change,
  step: number,
  token: string,
  options: Omit<IntentOptions, "unlessTouchedSince">,
) => (await intend(deps, change, step, token, options))!;

/** Not by the change itself: a token that was spent meanwhile is refused as such. */
const touchedAfter = ({ changes, resources }: State, change: Change, seq: number): boolean =>
  changes.get(change.id)?.state === "planned" &&
  ridsOf(change).some((rid) => (resources.get(rid)?.revisionSeq ?? 0) > seq);

const unlessFatal = (error: unknown): void => {
  if (!(error instanceof OpsError)) throw error;
};

function ended(
  change: Change,
  step: ChangeStep,
  outcome: Exclude<StepOutcome, { status: "succeeded" }>,
  notes: readonly string[],
  done: readonly string[],
): ApplyReport {
  const after = outcome.state.changes.get(change.id) ?? change;
  if (outcome.status === "running") {
    const unsent = change.steps.length - after.operationIds.length;
    const stops = `The ${unsent} calls that follow were not sent and will not be: plan what is left when this has ended.`;
    return {
      change: after,
      outcome: "in_progress",
      repeated: false,
      notes: unsent > 0 ? [...notes, stops] : notes,
      resources: resourcesOf(after, outcome.state),
    };
  }
  if (done.length > 0) throw partly(change, done, step, outcome.error);
  throw new OpsError(outcome.error.code, outcome.error.message, {
    details: { ...outcome.error.details, changeId: change.id },
    next:
      outcome.error.next.length > 0
        ? outcome.error.next
        : [{ tool: "changes.get", arguments: { changeId: change.id } }],
    cause: outcome.error,
  });
}
