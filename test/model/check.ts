// What must hold after every command. The model is told how open calls ended, and only if that end is one it allows.

import { isDeepStrictEqual } from "node:util";
import type { ManagedResource, State } from "../../src/core/change.js";
import { canonicalJson } from "../../src/core/json.js";
import { BUCKET, type Fields, fieldsOf, type Plan, same, sameButEmpty, TASK } from "./model.js";
import type { Run } from "./steps.js";

/** A promise that was broken. */
export class Violation extends Error {}

export const rid = (key: string): string => `000000000000/us-east-1/${key}`;

function fail(what: string, facts: unknown): never {
  throw new Violation(`${what} ${JSON.stringify(facts, (_, value) => (value instanceof Set ? [...value] : value))}`);
}

/** The call that has just been answered. */
interface Own {
  readonly plan: Plan;
  /** Nothing went wrong on its way to AWS and back. */
  readonly answered: boolean;
}

/** What a resource may have been read back as: now, or when somebody last looked. */
function readBacks({ model, machine }: Run, key: string): (Fields | null)[] {
  const reads = (["a", "b", "mallory"] as const).flatMap((slot) => {
    const read = machine.lastRead(slot, key);
    return read === undefined ? [] : [fieldsOf(read)];
  });
  return [model.aws.get(key) ?? null, ...reads];
}

/**
 * Brings the model to the end of every call whose end it could not know: interrupted, in doubt, or still under way. What
 * the record says is taken over where AWS itself, which the model watches, does not speak against it.
 */
export async function narrow(run: Run, own?: Own): Promise<void> {
  const { model, machine } = run;
  if (run.violation) throw run.violation;
  const state = await (await machine.watcher()).state();
  // One call may end several: what an earlier one left first, then its own.
  const endedAt = ({ key, changeId }: Plan): number =>
    state.resources.get(rid(key))?.lineage.findLast((one) => one.changeId === changeId)?.seq ?? 0;
  for (const plan of [...model.plans].sort((one, other) => endedAt(one) - endedAt(other))) {
    const change = state.changes.get(plan.changeId);
    if (!change) fail("a plan that was handed out is not in the record", { plan });
    const is = change.state;
    if (["applied", "failed", "cancelled"].includes(plan.state)) {
      if (is !== plan.state) fail("what was final is not any more", { plan, is });
      continue;
    }
    if (plan.acknowledged && is !== "applied") fail("an acknowledged change is lost", { plan, is });
    if (is === "planned") {
      if (plan.state !== "live") fail("a change that had begun has not begun any more", { plan });
      if (machine.accepted.has(plan.clientToken)) fail("AWS was called without a durable intent", { plan });
    } else if (is === "cancelled") {
      if (!plan.maybeCancelled) fail("a change was cancelled by nobody", { plan });
      plan.state = "cancelled";
    } else if (is === "applying") plan.state = "open";
    else if (is === "unknown") {
      if (plan.state !== "unknown") model.doubted(plan);
    } else if (is === "applied") ended(run, plan, state, own?.plan === plan ? own : undefined);
    else gaveUp(run, plan, state);
  }
}

const contentOf = (resource: ManagedResource | undefined): Fields | null => fieldsOf(resource?.properties ?? null);

function ended(run: Run, plan: Plan, state: State, own: Own | undefined): void {
  const { model } = run;
  const absent = !model.aws.has(plan.key);
  const entry = state.resources.get(rid(plan.key))?.lineage.findLast(({ changeId }) => changeId === plan.changeId);
  if (plan.effects === 0 && entry?.notProven === undefined && !(plan.kind === "delete" && absent))
    fail("a change is recorded as applied that AWS has not carried out", { plan });
  // Somebody else may have done the same meanwhile: then the record says that nothing proves whose work it is.
  const shown = fieldsOf(entry?.after ?? null);
  const asAsked = sameButEmpty(shown, model.madeBy(plan, shown));
  if (entry?.notProven !== undefined && plan.kind === "update" && !run.loose && !asAsked)
    fail("what was not asked for is called applied and not proven", { plan, entry });
  if (entry?.notProven !== undefined && plan.kind === "create") fail("a create is taken for ours by a look", { plan });
  if (entry?.notProven !== undefined && own?.answered && plan.kind !== "delete")
    fail("a call that was answered is called not proven", { plan, entry });
  const after = plan.kind === "delete" ? null : contentOf(state.resources.get(rid(plan.key)));
  const known = readBacks(run, plan.key);
  if (entry?.notVerified !== undefined) {
    // Only what may still not be read when its approval has run out is recorded unseen.
    if (run.machine.clock.now().getTime() < plan.expiresAt || run.machine.refusedReads === 0)
      fail("what could be read is called not verified", { plan, entry });
    model.unseen.add(plan.token);
  } else if (plan.kind !== "delete" && !known.some((one) => same(one, after)))
    fail("what is recorded is not what was read back", { plan, after, known });
  const planned = plan.before;
  const atSend = plan.kind === "create" ? null : plan.read === undefined ? planned : plan.read;
  const recorded = fieldsOf(entry?.before ?? null);
  // Whoever comes next has the plan only; who sent it had looked once more.
  const before = own || same(recorded, atSend) ? atSend : planned;
  model.succeeded(plan, before, after);
}

function gaveUp(run: Run, plan: Plan, state: State): void {
  const { model } = run;
  const held = state.resources.get(rid(plan.key));
  const resource = model.managed.get(plan.key);
  const tail = held?.lineage.at(-1);
  const recorded = contentOf(held);
  // Once the approval has run out nothing proves any more whose it is: it is named as unknown, then left alone.
  const late = run.machine.clock.now().getTime() >= plan.expiresAt;
  if (plan.effects > 0 && plan.kind === "create" && !held && !late)
    fail("a resource of ours is held by nobody", { plan });
  if (!tail || tail.changeId !== plan.changeId) {
    model.failed(plan, undefined);
    return;
  }
  // Where nobody could read it afterwards, what the change was planned from is the last that is known of it.
  if (!resource && plan.effects === 0 && same(recorded, plan.before)) {
    model.failed(plan, recorded);
    return;
  }
  const unchanged = same(fieldsOf(tail.before), fieldsOf(tail.after)) || tail.after === null;
  // Somebody may have made again what we hold as deleted: the record stays as it was.
  const old = resource ? resource.baseline : plan.before;
  if (unchanged && same(recorded, old)) {
    model.failed(plan, undefined);
    return;
  }
  if (!readBacks(run, plan.key).some((one) => same(one, recorded)))
    fail("what is recorded of a failure is not what was read", { plan, recorded });
  model.failed(plan, recorded);
}

/** Everything that is true between commands. */
export async function check(run: Run): Promise<void> {
  const { model, machine } = run;
  const observer = await machine.watcher();
  if (run.uncertain) {
    const { key, entries, settle, sure } = run.uncertain;
    const state = await observer.state();
    const there = (state.resources.get(rid(key))?.lineage.length ?? 0) > entries;
    run.uncertain = null;
    if (there) settle();
    else if (sure) fail("an acknowledged entry is lost", { key });
  }
  await narrow(run);
  const state = await observer.state();

  for (const type of [BUCKET, TASK]) {
    for (const [id, content] of Object.entries(machine.resources(type))) {
      const key = `${type}/${id}`;
      const fields = fieldsOf(content)!;
      if (!sameButEmpty(fields, model.aws.get(key) ?? null))
        fail("AWS holds something else", { key, fields, wanted: model.aws.get(key) ?? null });
      model.aws.set(key, fields);
    }
  }
  for (const key of model.aws.keys()) {
    const [, type, id] = /^([^/]+)\/(.*)$/.exec(key)!;
    if (!machine.resources(type!)[id!]) fail("AWS lost something", { key });
  }
  for (const [token, times] of machine.accepted) {
    if (times > 1) fail("AWS was asked twice", { token, times });
  }

  const held = new Map([...state.resources.values()].map((one) => [one.rid, one]));
  for (const resource of model.managed.values()) {
    const found = held.get(rid(resource.key));
    held.delete(rid(resource.key));
    if (!found) fail("a resource is not in the record any more", { resource });
    const lineage = found.lineage.map(({ executionToken, outcome, operation }) => ({
      executionToken,
      outcome,
      operation,
    }));
    const wanted = resource.lineage.map(({ token, outcome, operation }) => ({
      executionToken: token,
      outcome,
      operation,
    }));
    if (canonicalJson(lineage) !== canonicalJson(wanted))
      fail("a lineage is another", { key: resource.key, lineage, wanted });
    if (found.deleted !== resource.deleted)
      fail("what exists is recorded as gone, or the other way", { resource, deleted: found.deleted });
    if (!same(contentOf(found), resource.baseline))
      fail("a baseline is another", { resource, found: contentOf(found) });
  }
  if (held.size > 0) fail("the record holds what nobody made", { rids: [...held.keys()] });

  if (machine.takeChanged()) await consistent(run, state);
}

/** The chain holds from its first commit on, and whoever opens it now finds the state that follows from it. */
async function consistent({ machine }: Run, state: State): Promise<void> {
  const { store, state: reopened } = await machine.reopened();
  // Also where state.json is not valid.
  if (store.readOnly) fail("the store opens read-only", { because: store.readOnly.message });
  if (reopened.seq !== state.seq || reopened.head !== state.head)
    fail("a new reader finds another chain", { seq: state.seq, reopened: reopened.seq });
  for (const part of ["resources", "changes", "operations", "tokens", "leases"] as const) {
    const [one, other] = [state, reopened].map((each) => Object.fromEntries(each[part] ?? []));
    if (!isDeepStrictEqual(one, other)) fail("the fold from the checkpoint is another", { part, seq: state.seq });
  }
  const report = await store.verify();
  if (!report.ok || report.commits !== state.seq) fail("the chain does not verify", report);
}
