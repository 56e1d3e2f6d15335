// Ending what nothing proved: a parked operation as somebody decided, or an open one by its signed outcome. AWS is only read.

import { claims } from "../../state/claims.js";
import type { Event, Result } from "../../state/events.js";
import { reached } from "../../state/recover.js";
import {
  type Caller,
  type Change,
  type ChangeStep,
  type Operation,
  type ResourceRef,
  ridOf,
  type State,
} from "../core/change.js";
import { type NextCall, OpsError } from "../core/errors.js";
import { diff, digest, isObject, type JsonObject } from "../core/json.js";
import { isGone } from "../core/own-types.js";
import type { AwsReader, Decision, Resolved } from "../core/ports.js";
import { type GateDeps, writerAt } from "./deps.js";
import { calledStep } from "./made.js";
import { type OutcomeRecord, openRecord } from "./unrecorded.js";

interface Matter {
  readonly state: State;
  readonly change: Change;
  readonly operation: Operation;
  readonly step: ChangeStep;
  readonly aws: AwsReader;
  readonly by: string;
}

/** What a decision comes to: the events that end the operation, and what was found on the way. */
interface Ending {
  readonly events: readonly Event[];
  readonly results: readonly Result[];
  readonly notes: readonly string[];
}

/**
 * @param recordLate stores what this very process could not store before; false: it still cannot
 * @throws OpsError validation_error, unknown_change, identity_mismatch, nothing_to_change, resource_busy, not_found,
 * already_exists; in every case nothing was recorded
 */
export async function resolveOperation(
  deps: GateDeps,
  decision: Decision,
  aws: AwsReader,
  caller: Caller,
  recordLate: (operationId: string) => Promise<boolean>,
): Promise<Resolved> {
  const record = decision.record === undefined ? null : await openRecord(deps, decision.record);
  if (record && record.store !== (await deps.store.state()).store) {
    throw new OpsError("identity_mismatch", "This outcome is of another state store. Nothing was recorded.", {
      field: "record",
      details: { store: record.store },
    });
  }
  if (record) await recordLate(record.operationId);
  const named = record ? { operationId: record.operationId } : decision;
  const matter = find(await deps.store.state(), named, aws, caller.arn);
  const { change, operation, step } = matter;
  const { events, results, notes } = record
    ? await recorded(deps, matter, record, decision.reason)
    : await decided(deps, matter, decision);
  const { state } = await deps.store.commit(() => events);
  return {
    change: state.changes.get(change.id)!,
    step,
    operationId: operation.id,
    state,
    notes,
    resources: results.flatMap(({ ref, reader, after }) => (after ? [{ ref, reader, content: after }] : [])),
  };
}

const look = (change: Change): readonly NextCall[] => [{ tool: "changes.get", arguments: { changeId: change.id } }];

function find(
  state: State,
  { changeId, operationId }: Decision | { operationId: string; changeId?: string },
  aws: AwsReader,
  by: string,
): Matter {
  if (changeId === undefined && operationId === undefined) {
    throw new OpsError("validation_error", "Give the changeId of the parked operation; session.whoami lists them.", {
      field: "changeId",
      next: [{ tool: "session.whoami", arguments: {} }],
    });
  }
  const named = operationId === undefined ? undefined : state.operations.get(operationId);
  const change = state.changes.get(changeId ?? named?.changeId ?? "");
  const open = change?.operationIds.map((id) => state.operations.get(id)!) ?? [];
  const operation = operationId === undefined ? (open.find(({ settledAt }) => !settledAt) ?? open.at(-1)) : named;
  if (!change || !operation || operation.changeId !== change.id) {
    throw new OpsError("unknown_change", "This state store knows no such operation of that change.", {
      field: operationId === undefined ? "changeId" : "operationId",
      next: [{ tool: "changes.list", arguments: {} }],
    });
  }
  for (const what of ["account", "region"] as const) {
    if (change[what] === aws[what]) continue;
    throw new OpsError("identity_mismatch", `This change is of another ${what}. Nothing was recorded.`, {
      field: what === "region" ? "region" : "changeId",
      details: { what, planned: change[what], now: aws[what], changeId: change.id },
    });
  }
  if (operation.settledAt) {
    throw new OpsError(
      "nothing_to_change",
      `Operation ${operation.id} already has an outcome: ${operation.state}. Nothing was recorded.`,
      { details: { operationId: operation.id, changeId: change.id, state: operation.state }, next: look(change) },
    );
  }
  return { state, change, operation, step: calledStep(operation, change, state), aws, by };
}

async function decided(deps: GateDeps, matter: Matter, decision: Decision): Promise<Ending> {
  const { change, operation, step } = matter;
  const { choice, identifier } = decision;
  if (!choice) {
    throw new OpsError("validation_error", "Give `choice` (import, clear or retry), or the `record` of an outcome.", {
      field: "choice",
    });
  }
  if (operation.state !== "parked") {
    throw new OpsError(
      "resource_busy",
      `Operation ${operation.id} is ${operation.state} and still being looked for, so there is nothing to decide yet. Nothing was recorded.`,
      { details: { operationId: operation.id, changeId: change.id, state: operation.state }, next: look(change) },
    );
  }
  if (identifier !== undefined && (choice !== "import" || (step.ref.id !== "" && step.ref.id !== identifier))) {
    throw new OpsError(
      "validation_error",
      "`identifier` names what a create made, for the choice import. This operation needs none. Nothing was recorded.",
      { field: "identifier" },
    );
  }
  return choice === "import" ? imported(deps, matter, decision) : closed(deps, matter, choice, decision);
}

/** What live shows is the outcome. */
async function imported(deps: GateDeps, matter: Matter, { identifier, reason }: Decision): Promise<Ending> {
  const { state, change, operation, step, aws, by } = matter;
  const id = step.ref.id || identifier;
  if (!id) {
    throw new OpsError(
      "validation_error",
      `Give \`identifier\`: what AWS calls the ${step.ref.type} that this operation made. Nothing was recorded.`,
      { field: "identifier", next: [{ tool: "resources.list", arguments: { type: step.ref.type } }] },
    );
  }
  const ref: ResourceRef = { ...step.ref, id };
  const rid = ridOf(ref);
  const created = step.kind === "create";
  if (created) refuseKnown(state, rid, change);
  const live = await aws.content(ref, step.reader);
  const gone = isGone(ref.type, step.reader, live);
  if (gone !== (step.kind === "delete")) {
    throw new OpsError(
      gone ? "not_found" : "validation_error",
      gone
        ? `AWS has no ${ref.type} ${id} here, so there is nothing to import. Nothing was recorded; if it was never made, choose clear.`
        : `${id} still exists, so its deletion cannot be imported. Nothing was recorded; choose clear, or retry to plan it anew.`,
      { field: gone ? "identifier" : "choice", details: { rid } },
    );
  }
  const differs = created ? contradictions(step.desired ?? step.after ?? {}, live!) : [];
  if (differs.length > 0) {
    throw new OpsError(
      "validation_error",
      `${id} is not what this operation was to create: it differs in ${differs.join(", ")}. Nothing was recorded; name the right one, or choose clear.`,
      { field: "identifier", details: { rid, differs } },
    );
  }
  const expected = reached(step, live);
  const results = [{ ref, reader: step.reader, before: step.before, after: gone ? null : live }];
  return {
    events: [
      { type: "op.resolved", operationId: operation.id, choice: "import", by, reason, results },
      ...restNeverSent(change, operation),
    ],
    results,
    notes: [
      ...(expected ? [] : [`${id} was taken over as it is now, which is not all that was planned.`]),
      ...((await stillAtWork(deps, matter)) ? [`AWS is still at work on ${id}: it was taken over as it is now.`] : []),
    ],
  };
}

/** Whether work that goes on after its answer has not ended; where AWS does not say, nothing is said of it. */
async function stillAtWork(deps: GateDeps, { operation, step, aws }: Matter): Promise<boolean> {
  const writer = writerAt(deps, aws);
  if (!writer.follows(step)) return false;
  const answer = await writer.poll(step, operation.requestToken, operation.intentAt).catch(unlessOurs);
  return answer?.status === "pending";
}

const unlessOurs = (error: unknown): null => {
  if (error instanceof OpsError) return null;
  throw error;
};

function refuseKnown(state: State, rid: string, change: Change): void {
  const claim = claims(state).get(rid);
  const known = state.resources.get(rid);
  if ((!claim || claim.changeId === change.id) && (!known || known.deleted)) return;
  throw new OpsError(
    "already_exists",
    "The state holds this resource already, from another change, so it is not what this operation made. Nothing was recorded.",
    { field: "identifier", details: { rid, ...(claim && { changeId: claim.changeId }) } },
  );
}

/** Properties that were asked for and that live shows otherwise. What live does not show (secrets) contradicts nothing. */
function contradictions(wanted: JsonObject, live: JsonObject): string[] {
  const otherwise = diff(wanted, live).filter(
    ({ kind, before, after }) => kind === "NOT_EQUAL" && !isObject(before) && !isObject(after),
  );
  return [...new Set(otherwise.map(({ path }) => path))].slice(0, 10);
}

/** Closed as not carried out, unless live plainly shows that it was. */
async function closed(
  deps: GateDeps,
  { change, operation, step, aws, by }: Matter,
  choice: "clear" | "retry",
  { reason }: Decision,
): Promise<Ending> {
  const made = step.ref.id === "" ? await writerAt(deps, aws).find(step, operation).catch(unlessSettled) : null;
  const read = step.ref.id === "" ? undefined : await aws.content(step.ref, step.reader).catch(unlessSettled);
  const live = read instanceof OpsError ? undefined : read;
  const ids = Array.isArray(made) ? made : [];
  if (ids.length > 0 || (live !== undefined && reached(step, live))) {
    throw new OpsError(
      "validation_error",
      `AWS shows that this was carried out${ids.length > 0 ? ` (${ids.join(", ")})` : ""}, so it cannot be closed as if it had not been. Nothing was recorded; choose import.`,
      { field: "choice", details: { operationId: operation.id, changeId: change.id, rid: ridOf(step.ref) } },
    );
  }
  const unseen = [made, read].find((one) => one instanceof OpsError);
  return {
    events: [{ type: "op.resolved", operationId: operation.id, choice, by, reason }],
    results: live ? [{ ref: step.ref, reader: step.reader, before: step.before, after: live }] : [],
    notes: unseen ? [`AWS did not let itself be looked at (${unseen.code}): this rests on the reason alone.`] : [],
  };
}

/** A look that failed for now is the answer; one that will not get better leaves the decision to the one who decides. */
function unlessSettled(error: unknown): OpsError {
  if (error instanceof OpsError && !error.retriable) return error;
  throw error;
}

function restNeverSent(change: Change, operation: Operation): Event[] {
  if (operation.step === change.steps.length - 1) return [];
  const because = `it was left after step ${operation.step + 1} of ${change.steps.length}; the rest was never sent`;
  return [{ type: "change.interrupted", changeId: change.id, because }];
}

/** The outcome as the process knew it that could not store it. Live is read again: contents do not stand in a record. */
async function recorded(deps: GateDeps, matter: Matter, record: OutcomeRecord, reason: string): Promise<Ending> {
  const { change, operation, step, aws, by } = matter;
  const parked = operation.state === "parked";
  if (!parked && operation.owner.session !== deps.owner.session) {
    const { host, pid } = operation.owner;
    throw new OpsError(
      "resource_busy",
      `Operation ${operation.id} belongs to process ${pid} on ${host}, which is not proven gone: it records the outcome itself, or this is possible later. Nothing was recorded.`,
      { details: { operationId: operation.id, changeId: change.id, owner: operation.owner }, next: look(change) },
    );
  }
  const results: Result[] = [];
  const gone = new Set<string>();
  const notes: string[] = [];
  for (const { id, after } of record.results) {
    const ref = { ...step.ref, id };
    const live = await aws.content(ref, step.reader);
    const now = isGone(ref.type, step.reader, live) ? null : live;
    if ((now && digest(now)) !== after) notes.push(`${id} was changed since the outcome was signed at ${record.at}.`);
    if (now === null) gone.add(id);
    // Deleted since, by whoever: not by this call, which left what was planned where that is what was signed.
    const left = after === null || now !== null ? now : step.after;
    if (left !== now && (!left || digest(left) !== after)) continue;
    results.push({ ref, reader: step.reader, before: step.before, after: left });
  }
  const why = `${reason} (outcome signed at ${record.at}${record.notProven === undefined ? "" : `; ${record.notProven}`})`;
  const { id: operationId } = operation;
  const { requestToken, notProven } = record;
  const proof = notProven !== undefined && { notProven };
  const handle: Event[] = requestToken && !parked ? [{ type: "op.submitted", operationId, requestToken }] : [];
  if (record.outcome === "submitted" && parked) {
    throw new OpsError(
      "validation_error",
      "This record only says that AWS took the call, and the operation is parked by now. Nothing was recorded; choose import or clear.",
      { field: "choice", next: look(change) },
    );
  }
  const ending: Record<OutcomeRecord["outcome"], () => Event[]> = {
    submitted: () => [],
    succeeded: () =>
      parked
        ? [
            { type: "op.resolved", operationId, choice: "import", by, reason: why, results },
            ...restNeverSent(change, operation),
          ]
        : [{ type: "op.succeeded", operationId, results, ...proof }, ...restNeverSent(change, operation)],
    failed: () =>
      parked
        ? [{ type: "op.resolved", operationId, choice: "clear", by, reason: why }]
        : [
            {
              type: "op.failed",
              operationId,
              error: record.error ?? { code: "aws_failed", message: "AWS could not finish the call." },
              nothingWasChanged: record.nothingWasChanged ?? false,
              ...(results.length > 0 ? { results } : {}),
            },
          ],
  };
  const found = results.filter(({ ref }) => !gone.has(ref.id));
  return { events: [...handle, ...ending[record.outcome]()], results: found, notes };
}
