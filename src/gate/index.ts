// The gate: plans become changes, tokens become AWS calls, and what a crash left open is finished or named.

import type { Proof } from "../../state/events.js";
import { epochOf, openChangeIds } from "../../state/fold.js";
import { LEASE_MS } from "../../state/leases.js";
import { openOperations } from "../../state/lineage.js";
import { recoveryOf } from "../../state/recover.js";
import {
  ABSENCE_CONFIRMED_AFTER_MS,
  type Caller,
  type Change,
  type Operation,
  type ReaderName,
  type ResourceRef,
  ridOf,
  type State,
  sameOwner,
} from "../core/change.js";
import { OpsError } from "../core/errors.js";
import { toItsEnd } from "../core/given-up.js";
import type { JsonObject } from "../core/json.js";
import type { ApplyReport, AwsReader, Decision, DriftObservation, Resolved, WhoAsked } from "../core/ports.js";
import type { Attribution } from "../core/trail.js";
import { type ApplyRequest, applyChange } from "./apply.js";
import { cancelRequest } from "./cancel.js";
import type { GateDeps } from "./deps.js";
import { calledStep } from "./made.js";
import { type PlanRequest, planChange } from "./plan.js";
import { resolveOperation } from "./resolve.js";
import { followStep, reconcile, type Work } from "./settle.js";
import { BESIDE_DRIFT, whoChanged } from "./who.js";

/** An operation whose outcome stays unknown is looked for again on later calls, but not on every one of them. */
const LOOK_AGAIN_AFTER_MS = 10_000;
/** One that could not even be settled is left in peace for longer each time, up to this. */
const LEFT_IN_PEACE_MS = 10 * 60_000;
/** A call that asks about a change waits for AWS's work on it for so long. */
const FOLLOWED_FOR_MS = 5_000;

/** Refused because the world moved. */
const MOVED: ReadonlySet<string> = new Set(["stale_revision", "live_guard_failed"]);

export interface Gate {
  plan(request: Omit<PlanRequest, "refusedBefore">): Promise<{ change: Change; token: string }>;
  apply(request: Omit<ApplyRequest, "refusedBefore" | "executing">): Promise<ApplyReport>;
  /** A planned change dies; of one that AWS is working on through Cloud Control, the request in progress is stopped. */
  cancel(changeId: string, caller: Caller, aws: AwsReader): Promise<{ change: Change; state: State }>;
  /** The change as it stands, after asking AWS about a running operation of it. */
  follow(
    changeId: string,
    aws: AwsReader,
    progress: (message: string) => void,
  ): Promise<{ change: Change; state: State }>;
  /** Ends a parked operation as somebody decided, or any open one by its signed outcome. */
  resolve(decision: Decision, aws: AwsReader, caller: Caller): Promise<Resolved>;
  recordDrift(reports: readonly DriftObservation[]): Promise<void>;
  whoChanged: (aws: AwsReader, questions: readonly WhoAsked[]) => Promise<Attribution[][]>;
  confirmed(
    aws: AwsReader,
    resources: readonly { readonly ref: ResourceRef; readonly reader: ReaderName }[],
    progress: (done: number) => void,
  ): Promise<readonly (JsonObject | null | OpsError)[]>;
  settleOpen(aws: AwsReader): Promise<void>;
}

function asValue(error: unknown): OpsError {
  if (error instanceof OpsError) return error;
  throw error;
}

export function createGate(ports: Omit<GateDeps, "who" | "unrecorded">): Gate {
  const deps: GateDeps = { ...ports, who: whoChanged(ports), unrecorded: new Map() };
  const refusals = new Set<string>();
  const settling = new Map<string, Promise<void>>();
  /** Changes that this process is executing right now: nobody else may settle their operations. */
  const executing = new Set<string>();
  const lookedAt = new Map<string, number>();
  /** How often in a row the settling of an operation failed by itself. */
  const failed = new Map<string, number>();

  /** Remembers a refusal on a resource until something on it succeeds: two in a row are answered differently. */
  async function counting<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof OpsError && MOVED.has(error.code)) refusals.add(String(error.details.rid));
      throw error;
    }
  }
  const refusedBefore = (rid: string): boolean => refusals.has(rid);

  const known = async (changeId: string): Promise<{ change: Change; state: State }> => {
    const state = await deps.store.recall(changeId);
    const change = state?.changes.get(changeId);
    if (state && change) return { change, state };
    throw new OpsError("unknown_change", `This state store knows no change ${changeId}.`, {
      field: "changeId",
      next: [{ tool: "changes.list", arguments: {} }],
    });
  };

  async function finish(
    operation: Operation,
    aws: AwsReader,
    state: State,
    waitMs: number,
    progress: (message: string) => void,
  ) {
    const change = state.changes.get(operation.changeId)!;
    const step = calledStep(operation, change, state);
    const afterwards = recoveryOf(operation, deps.clock.now());
    const deadline = deps.clock.now().getTime() + waitMs;
    const work: Work = { change, operation, step, aws, deadline, afterwards, progress };
    if (operation.requestToken) await followStep(deps, work);
    else {
      const lost = new OpsError(
        "outcome_unknown",
        "The process that sent this call ended before its answer was recorded.",
      );
      await reconcile(deps, work, lost);
    }
  }

  /** What could not be stored when it was learnt. False: it still cannot. */
  async function recordLate(operationId: string): Promise<boolean> {
    const events = deps.unrecorded.get(operationId);
    if (!events) return true;
    try {
      await deps.store.commit(() => events);
    } catch (error) {
      if (!(error instanceof OpsError)) throw error;
      if (error.code === "state_read_only" || error.code === "state_unreadable") return false;
      // Somebody else has recorded an outcome, or has the operation now.
    }
    deps.unrecorded.delete(operationId);
    return true;
  }

  /** True once this process owns the operation of one that is proven gone. */
  async function takeOver(operation: Operation, proof: Proof): Promise<boolean> {
    await deps.store.owners.hold();
    const { events } = await deps.store.commit((now) => {
      const current = now.operations.get(operation.id);
      // Two processes may find the same dead owner: only the first of them finds it still in possession.
      if (!current || current.settledAt || !sameOwner(current.owner, operation.owner)) return [];
      return [
        {
          type: "op.takeover",
          operationId: operation.id,
          owner: deps.owner,
          from: operation.owner,
          supersedes: epochOf(current),
          proof,
          leaseMs: LEASE_MS,
        },
      ];
    });
    return events.length > 0;
  }

  async function settleOpen(aws: AwsReader): Promise<void> {
    const state = await deps.store.state();
    for (const operation of openOperations(state)) {
      const change = state.changes.get(operation.changeId);
      if (!change || change.account !== aws.account || change.region !== aws.region) continue;
      if (executing.has(change.id) || operation.state === "parked") continue;
      const own = operation.owner.session === deps.owner.session;
      const proof = own ? null : await deps.store.owners.proofOf(operation);
      if (!own && !proof) continue;
      const now = deps.clock.now().getTime();
      const pause = Math.min(LOOK_AGAIN_AFTER_MS * 2 ** (failed.get(operation.id) ?? 0), LEFT_IN_PEACE_MS);
      if (now - (lookedAt.get(operation.id) ?? Number.NEGATIVE_INFINITY) < pause) continue;
      if (lookedAt.size > 1_000) for (const seen of [lookedAt, failed]) seen.clear();
      lookedAt.set(operation.id, now);
      if (own && !(await recordLate(operation.id))) return;
      if (deps.store.readOnly) return;
      // Counted before it is known: what kills the attempt must not come first again.
      failed.set(operation.id, (failed.get(operation.id) ?? 0) + 1);
      const settledNow = await settleOne(operation, proof, aws).catch((error: unknown) => {
        if (!(error instanceof OpsError) || deps.store.readOnly) throw error;
        deps.log("error", "an open operation could not be settled; the others go on", {
          operation: operation.id,
          error,
        });
        return false;
      });
      if (settledNow) failed.delete(operation.id);
    }
    await nameInterrupted();
  }

  async function settleOne(operation: Operation, proof: Proof | null, aws: AwsReader): Promise<true> {
    if (proof && !(await takeOver(operation, proof))) return true;
    deps.log("warn", "settling an operation that an earlier process left open", { operation: operation.id });
    const current = (await deps.store.state()).operations.get(operation.id);
    if (current && !current.settledAt) await finish(current, aws, await deps.store.state(), 2_000, () => {});
    if (proof) await deps.store.owners.forget(operation.owner);
    return true;
  }

  /** A change between two steps that nobody executes any more: the rest of it was never sent. */
  async function nameInterrupted(): Promise<void> {
    const state = await deps.store.state();
    for (const id of openChangeIds(state)) {
      const change = state.changes.get(id)!;
      if (change.state !== "applying" || executing.has(change.id) || deps.store.readOnly) continue;
      const operations = change.operationIds.map((id) => state.operations.get(id));
      const last = operations.at(-1);
      if (!last || operations.some((one) => one?.state !== "succeeded")) continue;
      const own = last.owner.session === deps.owner.session;
      const proof = own ? null : await deps.store.owners.proofOf(last);
      if (!own && !proof) continue;
      const because = `it was left after step ${last.step + 1} of ${change.steps.length}; the rest was never sent`;
      await deps.store.commit((now) => {
        const current = now.changes.get(id);
        // Its process may have gone on meanwhile, or another one have said this.
        if (current?.state !== "applying" || current.operationIds.at(-1) !== last.id) return [];
        const event = { type: "change.interrupted" as const, changeId: id, because, operationId: last.id };
        if (!proof) return [event];
        return [{ ...event, owner: deps.owner, from: last.owner, supersedes: epochOf(last), proof }];
      });
    }
  }

  return {
    plan: (request) => counting(() => planChange(deps, { ...request, refusedBefore })),
    apply: (request) =>
      counting(async () => {
        const report = await applyChange(deps, { ...request, refusedBefore, executing });
        if (!report.repeated) for (const { ref } of report.change.steps) refusals.delete(ridOf(ref));
        return report;
      }),

    async cancel(changeId, caller, aws) {
      const { change, state: before } = await known(changeId);
      if (change.state !== "planned") {
        const running = change.operationIds
          .map((id) => before.operations.get(id))
          .find((operation) => operation && !operation.settledAt);
        const step = running && calledStep(running, change, before);
        await cancelRequest(deps, change, step && { operation: running, step }, caller, aws);
        // The call that is applying the change sees its end by itself, and another process records its own.
        const ours = running!.owner.session === deps.owner.session;
        if (ours && !executing.has(changeId)) await finish(running!, aws, before, 5_000, () => {});
        return known(changeId);
      }
      // Its token died by itself, and the store may have left it to its archive: there is nothing to record.
      if (deps.clock.now().toISOString() >= change.expiresAt) return { change, state: before };
      const { state } = await deps.store.commit(() => [{ type: "change.cancelled", changeId, by: caller.arn }]);
      return { change: state.changes.get(changeId)!, state };
    },

    async follow(changeId, aws, progress) {
      const { change, state } = await known(changeId);
      const running = change.operationIds
        .map((id) => state.operations.get(id)!)
        .filter(
          ({ state, owner }) => (state === "open" || state === "unknown") && owner.session === deps.owner.session,
        );
      if (
        running.length === 0 ||
        executing.has(changeId) ||
        deps.store.readOnly ||
        change.account !== aws.account ||
        change.region !== aws.region
      ) {
        return { change, state };
      }
      const until = deps.clock.now().getTime() + FOLLOWED_FOR_MS;
      for (const { id } of running) {
        if (!(await recordLate(id))) return { change, state };
        const left = Math.max(0, until - deps.clock.now().getTime());
        const now = await deps.store.state();
        const current = now.operations.get(id);
        if (current && !current.settledAt) await finish(current, aws, now, left, progress);
      }
      await nameInterrupted();
      return known(changeId);
    },

    async resolve(decision, aws, caller) {
      const resolved = await resolveOperation(deps, decision, aws, caller, recordLate);
      refusals.delete(ridOf(resolved.step.ref));
      return resolved;
    },

    async confirmed(aws, resources, progress) {
      const read = ({ ref, reader }: (typeof resources)[number]) => aws.content(ref, reader).catch(asValue);
      const first: (JsonObject | null | OpsError)[] = [];
      for (const resource of resources) {
        first.push(await read(resource));
        progress(first.length);
      }
      if (!first.includes(null)) return first;
      await deps.clock.sleep(ABSENCE_CONFIRMED_AFTER_MS);
      return Promise.all(first.map((content, index) => (content === null ? read(resources[index]!) : content)));
    },

    async recordDrift(reports) {
      if (reports.length === 0 || deps.store.readOnly) return;
      await deps.store.commit((state) =>
        reports
          .filter((report) => state.resources.has(report.rid))
          .map((report) => ({ type: "drift.observed" as const, ...report })),
      );
    },

    async whoChanged(aws, questions) {
      return questions.length === 0 ? [] : deps.who.ask(aws, await deps.store.state(), questions, BESIDE_DRIFT);
    },

    settleOpen(aws) {
      const key = `${aws.account}/${aws.region}`;
      // Beside a read, which may be given up: what it settles is recorded, and for every caller.
      const running = settling.get(key) ?? toItsEnd(() => settleOpen(aws)).finally(() => settling.delete(key));
      settling.set(key, running);
      return running;
    },
  };
}
