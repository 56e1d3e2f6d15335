// The commands: each is data, acts on the product through its front door, and checks the answer against the model.

import { bucket } from "../../src/aws/sandbox/world.js";
import type { JsonObject } from "../../src/core/json.js";
import { clientToken } from "../../state/tokens.js";
import { check, narrow, rid, Violation } from "./check.js";
import { type Answer, type Effect, type Fault, type Machine, type Slot, TOKEN_MINUTES } from "./machine.js";
import {
  BUCKET,
  type Entry,
  editedOutside,
  type Fields,
  fieldsOf,
  type Model,
  type Plan,
  propertiesOf,
  same,
  sameButEmpty,
  TASK,
  type Wish,
} from "./model.js";

export type BasedOn = "fresh" | "last" | "none" | "invented";

export type Simple =
  | { readonly do: "create"; readonly by: Slot; readonly name: number; readonly wish: Wish; readonly now: boolean }
  | { readonly do: "register"; readonly by: Slot; readonly version: number; readonly now: boolean }
  | {
      readonly do: "update";
      readonly by: Slot;
      readonly target: number;
      readonly wish: Wish;
      readonly basedOn: BasedOn;
      readonly now: boolean;
    }
  | {
      readonly do: "delete";
      readonly by: Slot;
      readonly target: number;
      readonly basedOn: BasedOn;
      readonly now: boolean;
    }
  | {
      readonly do: "rollback";
      readonly by: Slot;
      readonly target: number;
      /** An entry of the lineage, counted from the newest; or the version before. */
      readonly to: number | "previous";
      readonly undoOthers: boolean;
      readonly basedOn: BasedOn;
      readonly now: boolean;
    }
  /** A token, counted from the newest. */
  | { readonly do: "apply"; readonly by: Slot; readonly token: number; readonly fault?: Fault }
  | { readonly do: "cancel"; readonly by: Slot; readonly token: number }
  | { readonly do: "outside"; readonly target: number; readonly wish: Wish | null }
  | { readonly do: "outsider creates"; readonly name: number; readonly wish: Wish }
  | { readonly do: "read"; readonly by: Slot; readonly target: number }
  | { readonly do: "drift"; readonly by: Slot; readonly fault?: Fault }
  | { readonly do: "accept"; readonly by: Slot; readonly target: number }
  | { readonly do: "import"; readonly by: Slot; readonly target: number }
  | { readonly do: "checkpoint"; readonly by: Slot }
  | { readonly do: "compact"; readonly by: Slot }
  | { readonly do: "pass"; readonly minutes: number }
  | { readonly do: "restart"; readonly by: Slot };

export type Step =
  | Simple
  /** The process dies right before its n-th effect; `power`: and then so does the machine, keeping that many percent. */
  | {
      readonly do: "crash";
      readonly during: Simple;
      readonly at: number;
      readonly any: boolean;
      readonly power?: number;
    }
  /** Right before the n-th effect of the one, the other happens from beginning to end. */
  | {
      readonly do: "meanwhile";
      readonly during: Simple;
      readonly at: number;
      readonly any: boolean;
      readonly inner: Simple;
    }
  /** A lease is taken from one that is dead, or that sleeps for too long. */
  | { readonly do: "steal"; readonly from: Slot; readonly by: Slot; readonly dead: boolean };

/** What the commands of one run work with. */
export interface Run {
  readonly model: Model;
  readonly machine: Machine;
  /** Something else may happen in the middle: only what must hold in any case is checked of the answer. */
  loose: boolean;
  /** A process is to die in this command, so nothing may be concluded before it is known what the disk kept. */
  dying: boolean;
  violation: unknown;
  /** An import or accept whose process died in it. */
  uncertain: { readonly key: string; readonly entries: number; settle(): void; readonly sure: boolean } | null;
}

export function begin(model: Model, machine: Machine): Run {
  const run: Run = { model, machine, loose: false, dying: false, violation: null, uncertain: null };
  machine.onEffect = (effect) => noticeEffect(run, effect);
  return run;
}

const REGION = "us-east-1";
const BUCKETS = ["b-0", "b-1", "b-2"] as const;
const INVENTED = "r0-00000000";
const keyOf = (name: number): string => `${BUCKET}/${BUCKETS[name % BUCKETS.length]}`;
const split = (key: string): { readonly type: string; readonly id: string } => {
  const at = key.indexOf("/");
  return { type: key.slice(0, at), id: key.slice(at + 1) };
};

function fail(what: string, facts: unknown = {}): never {
  throw new Violation(`${what} ${JSON.stringify(facts, (_, value) => (value instanceof Set ? [...value] : value))}`);
}

// ── what AWS does with what we send ────────────────────────────────────────────────────────────────────────────────

/** Called when AWS carries a request out: what must be true of every effect, whatever became of the answer. */
function noticeEffect(run: Run, { clientToken: token, operation, type, id, readAt, readContent }: Effect): void {
  const { model } = run;
  const plan = model.plans.find((one) => one.clientToken === token);
  try {
    if (!plan) fail("AWS carried out what nobody was given a token for", { operation, type, id });
    if (plan.effects > 0) fail("a token was carried out twice", { plan });
    if (plan.state === "cancelled") fail("a cancelled change was carried out", { plan });
    const key = `${type}/${id}`;
    const before = model.aws.get(key) ?? null;
    const after = model.madeBy(plan, before);
    if (plan.kind !== "create") {
      for (const field of Object.keys({ ...before, ...after })) {
        const is = before?.[field];
        if (after?.[field] === is || plan.before?.[field] === is) continue;
        const moved = model.outside.get(`${key} ${field}`) ?? -1;
        if (moved <= readAt) fail("a change nobody had seen was overwritten", { key, field, is, plan, moved, readAt });
      }
    }
    plan.read = readContent === undefined ? undefined : fieldsOf(readContent);
    model.carriedOut(plan, key);
    for (const field of Object.keys({ ...before, ...after })) {
      if (before?.[field] !== after?.[field]) model.outside.set(`${key} ${field}`, run.machine.moment);
    }
  } catch (error) {
    run.violation ??= error;
  }
}

// ── plans ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What a plan tool must answer, as known once it has answered. `refusals` empty: it must have planned. */
interface Expected {
  readonly refusals: readonly string[];
  readonly plan: Pick<Plan, "kind" | "key" | "before" | "wish" | "makes" | "declared" | "touches">;
}

async function planned(
  run: Run,
  slot: Slot,
  tool: string,
  given: JsonObject,
  expected: () => Expected,
  now: boolean,
): Promise<void> {
  const { model, machine } = run;
  const asked = machine.clock.now().getTime();
  const answer = await machine.call(slot, tool, { ...given, region: REGION, intent: "model" });
  if (answer === null || run.dying) {
    if (!answer?.executionToken) return;
    remember(run, slot, answer, expected().plan, asked);
    if (now) await applied(run, slot, model.plans.at(-1)!);
    return;
  }
  await narrow(run);
  const { refusals, plan } = expected();
  if (answer.isError) {
    if (!refusals.includes(answer.code)) fail(`${tool} was refused for another reason`, { given, answer, refusals });
    if (answer.nothingWasChanged !== true) fail("a refused plan does not say that nothing was changed", answer);
    sawConflict(run, slot, answer);
    return;
  }
  if (refusals.length > 0) fail(`${tool} should have been refused`, { given, refusals, answer });
  remember(run, slot, answer, plan, asked);
  if (now) await applied(run, slot, model.plans.at(-1)!);
}

function remember(run: Run, slot: Slot, answer: Answer, plan: Expected["plan"], asked: number): void {
  const { model, machine } = run;
  const token = String(answer.executionToken);
  const expiresAt = Date.parse(answer.change.expiresAt);
  const life = TOKEN_MINUTES * 60_000;
  if (expiresAt < asked + life || expiresAt > machine.clock.now().getTime() + life)
    fail("a token does not expire when it should", { answer });
  model.plans.push({
    ...plan,
    named: !plan.key.endsWith("/"),
    token,
    changeId: answer.change.changeId,
    clientToken: clientToken(token, 0),
    expiresAt,
    by: slot,
    state: "live",
    effects: 0,
    found: undefined,
    read: undefined,
    acknowledged: false,
    maybeCancelled: false,
  });
}

/** A conflict shows the fresh content, which may be built upon. */
function sawConflict(run: Run, slot: Slot, answer: Answer): void {
  const { revision, content } = answer.now ?? {};
  if (answer.code !== "stale_revision" || !revision) return;
  const key = String(answer.rid).split("/").slice(2).join("/");
  see(run, slot, key, revision, fieldsOf(content)!);
}

function see(run: Run, slot: Slot, key: string, revision: string, fields: Fields): void {
  const session = run.machine.running(slot)?.owner.session;
  if (session) run.model.seen.set(`${session} ${key}`, { revision, fields });
  run.model.seen.set(`${slot} ${key}`, { revision, fields });
}

/** The revision a caller gives, and what it must be refused for on its account. */
async function basis(
  run: Run,
  slot: Slot,
  key: string,
  how: BasedOn,
): Promise<{ given: JsonObject; seen: () => Fields | "none" | "unknown" } | null> {
  if (how === "invented") return { given: { basedOn: INVENTED }, seen: () => "unknown" };
  if (how === "none") return { given: {}, seen: () => "none" };
  if (how === "fresh") {
    await read(run, slot, key);
    if (run.violation || !run.machine.running(slot)) return null;
  }
  const session = run.machine.running(slot)?.owner.session ?? "none";
  const here = run.model.seen.get(`${session} ${key}`);
  const known = here ?? run.model.seen.get(`${slot} ${key}`);
  if (!known) return { given: {}, seen: () => "none" };
  return { given: { basedOn: known.revision }, seen: () => (here ? here.fields : "unknown") };
}

/** What `basedOn` must be refused for, given the content the plan was made from. */
function basisRefusals(
  { model }: Run,
  seen: Fields | "none" | "unknown",
  before: Fields | null,
  touches: Plan["touches"],
): string[] {
  if (seen === "unknown") return ["stale_revision"];
  if (before === null) return [];
  if (seen === "none") return ["precondition_required"];
  return model.overlaps(touches, seen, before) ? ["stale_revision"] : [];
}

const busyOn = ({ model }: Run, key: string): string[] => (model.holder(key) ? ["resource_busy"] : []);

async function read(run: Run, slot: Slot, key: string): Promise<void> {
  const { type, id } = split(key);
  const answer = await run.machine.call(slot, "resources.get", { type, identifier: id, region: REGION });
  if (answer === null || run.dying) return;
  await narrow(run);
  const live = run.model.aws.get(key) ?? null;
  if (answer.isError) {
    if (answer.code !== "not_found" || (live !== null && !run.loose)) fail("a read failed", { key, answer });
    return;
  }
  const fields = fieldsOf(answer.properties)!;
  // The model does not tell an empty part from an absent one; the account does.
  const held = fieldsOf(run.machine.resources(type)[id] ?? null);
  if (!run.loose && !(same(fields, held) && sameButEmpty(fields, live)))
    fail("a read does not show what AWS holds", { key, fields, live, held });
  if (sameButEmpty(fields, live)) run.model.aws.set(key, fields);
  see(run, slot, key, answer.revision, fields);
}

// ── apply ──────────────────────────────────────────────────────────────────────────────────────────────────────────

async function applied(run: Run, slot: Slot, plan: Plan, fault: Fault | null = null): Promise<void> {
  const { model, machine } = run;
  const was = plan.state;
  const effectsBefore = plan.effects;
  // What an earlier call left is sent first, and meets the fault in this one's place.
  const others = model.plans.some((one) => one !== plan && (one.state === "open" || one.state === "unknown"));
  const began = machine.clock.now().getTime();
  const answer = await machine.call(slot, "changes.apply", { executionToken: plan.token, region: REGION }, fault);
  if (answer?.outcome === "applied") plan.acknowledged = true;
  if (answer === null || run.dying) return;
  await narrow(run, { plan, answered: fault === null && was === "live" });
  const said: string = answer.isError ? answer.code : answer.outcome;
  const facts = { said, answer, plan, was, fault };

  if (said === "applied" && plan.state !== "applied") fail("an answer says applied and the record does not", facts);
  if (was !== "live" && plan.effects > effectsBefore && was !== "open" && was !== "unknown")
    fail("a spent token did something", facts);
  if (
    was === "live" &&
    answer.isError &&
    answer.nothingWasChanged === true &&
    said !== "token_spent" &&
    plan.effects > 0 &&
    // What another process sent under the same token, while this one was being refused, was not this one's.
    machine.sentBy(plan.clientToken) === slot
  )
    fail("an answer says that nothing was changed, and something was", facts);
  if (slot === "mallory" && said !== "identity_mismatch" && plan.by !== "mallory")
    fail("somebody else's token worked", facts);
  if (slot !== "mallory" && plan.by === "mallory" && said !== "identity_mismatch")
    fail("somebody else's token worked", facts);
  if (was === "live" && began >= plan.expiresAt && !["token_expired", "identity_mismatch"].includes(said))
    fail("an expired token was not refused", facts);
  if (was === "cancelled" && !["change_cancelled", "identity_mismatch"].includes(said))
    fail("a cancelled token worked", facts);
  if (was === "failed" && !["token_spent", "identity_mismatch"].includes(said)) fail("a spent token worked", facts);
  if (
    was === "applied" &&
    said !== "identity_mismatch" &&
    (said !== "applied" || answer.repeated?.code !== "token_spent")
  )
    fail("a token that was applied does not answer its outcome", facts);
  sawConflict(run, slot, answer);
  if (said === "applied" && !answer.repeated) {
    for (const { revision, properties, id, type } of answer.resources) {
      if (revision) see(run, slot, `${type}/${id}`, revision, fieldsOf(properties)!);
    }
  }
  if (was !== "live" || run.loose) return;

  const refusals: string[] = [];
  if ((plan.by === "mallory") !== (slot === "mallory")) refusals.push("identity_mismatch");
  if (machine.clock.now().getTime() >= plan.expiresAt) refusals.push("token_expired");
  const live = plan.effects > effectsBefore ? plan.found! : (model.aws.get(plan.key) ?? null);
  if (plan.kind === "create" && plan.named && live !== null) refusals.push("already_exists");
  if (plan.kind !== "create" && (live === null || model.overlaps(plan.touches, plan.before, live)))
    refusals.push("stale_revision");
  const holder = model.holder(plan.key);
  if (plan.named && holder && holder !== plan) refusals.push("resource_busy");
  if (fault === "read denied" && (plan.effects === effectsBefore || said === "access_denied"))
    refusals.push("access_denied");
  if (refusals.length > 0) {
    if (!refusals.includes(said)) fail("an apply that had to be refused was not", { ...facts, refusals, live });
    if (plan.effects > effectsBefore) fail("a refused apply did something", facts);
    return;
  }
  const allowed: Readonly<Record<Fault, readonly string[]>> = {
    refused: others ? ["throttled", "applied"] : ["throttled"],
    "not sent": ["applied"],
    "answer lost": ["applied", "outcome_unknown"],
    "poll denied": ["in_progress"],
    "read denied": ["applied", "in_progress", "outcome_unknown"],
  };
  const wanted = fault ? allowed[fault] : ["applied"];
  if (!wanted.includes(said)) fail("an apply answered something else", { ...facts, wanted, live });
  if (fault === "refused" && said === "throttled" && plan.state !== "failed")
    fail("a failure that was told is not recorded", facts);
}

// ── the steps ──────────────────────────────────────────────────────────────────────────────────────────────────────

const at = <T>(items: readonly T[], index: number): T | undefined => items[index % Math.max(1, items.length)];
const fromEnd = <T>(items: readonly T[], index: number): T | undefined => at([...items].reverse(), index);

async function act(run: Run, step: Simple): Promise<void> {
  const { model, machine } = run;
  const target = "target" in step ? at(model.keys(), step.target) : undefined;
  if ("target" in step && target === undefined) return;
  switch (step.do) {
    case "create": {
      const key = keyOf(step.name);
      const properties = { BucketName: split(key).id, ...propertiesOf(step.wish) };
      const expected = (): Expected => ({
        refusals: [...(model.aws.has(key) ? ["already_exists"] : []), ...busyOn(run, key)],
        plan: {
          kind: "create",
          key,
          before: null,
          wish: step.wish,
          makes: model.createdBy(step.wish),
          declared: step.wish,
          touches: "all",
        },
      });
      return planned(run, step.by, "resources.create", { type: BUCKET, properties }, expected, step.now);
    }
    case "register": {
      const image = `api:${step.version}`;
      const properties = { Family: "api", ContainerDefinitions: [{ Name: "api", Image: image }] };
      const makes = { image };
      const plan = {
        kind: "create",
        key: `${TASK}/`,
        before: null,
        wish: makes,
        makes,
        declared: makes,
        touches: "all",
      } as const;
      return planned(
        run,
        step.by,
        "resources.create",
        { type: TASK, properties },
        () => ({ refusals: [], plan }),
        step.now,
      );
    }
    case "update": {
      if (!target!.startsWith(BUCKET)) return;
      const based = await basis(run, step.by, target!, step.basedOn);
      if (!based) return;
      const { type, id } = split(target!);
      const given = { type, identifier: id, properties: propertiesOf(step.wish), ...based.given };
      const expected = (): Expected => {
        const before = model.aws.get(target!) ?? null;
        const touches = before ? model.touchedBy(before, step.wish) : "all";
        const idle = before !== null && (touches as Set<string>).size === 0;
        return {
          refusals: [
            ...(before === null ? ["not_found"] : []),
            ...(idle ? ["nothing_to_change"] : []),
            ...basisRefusals(run, based.seen(), before, touches),
            ...busyOn(run, target!),
          ],
          plan: {
            kind: "update",
            key: target!,
            before,
            wish: model.changing(before, step.wish),
            makes: null,
            declared: step.wish,
            touches,
          },
        };
      };
      return planned(run, step.by, "resources.update", given, expected, step.now);
    }
    case "delete": {
      const based = await basis(run, step.by, target!, step.basedOn);
      if (!based) return;
      const { type, id } = split(target!);
      const expected = (): Expected => {
        const before = model.aws.get(target!) ?? null;
        return {
          refusals: [
            ...(before === null ? ["not_found"] : []),
            ...basisRefusals(run, based.seen(), before, "all"),
            ...busyOn(run, target!),
          ],
          plan: { kind: "delete", key: target!, before, wish: {}, makes: null, declared: {}, touches: "all" },
        };
      };
      return planned(run, step.by, "resources.delete", { type, identifier: id, ...based.given }, expected, step.now);
    }
    case "rollback":
      return rolledBack(run, step, target!);
    case "apply": {
      const plan = fromEnd(model.plans, step.token);
      if (plan) await applied(run, step.by, plan, step.fault);
      return;
    }
    case "cancel": {
      const plan = fromEnd(model.plans, step.token);
      if (!plan) return;
      const was = plan.state;
      plan.maybeCancelled = was === "live";
      const answer = await machine.call(step.by, "changes.cancel", { changeId: plan.changeId, region: REGION });
      // Of a plan whose time has run out nothing is recorded: nobody can apply it any more.
      const over = machine.clock.now().getTime() >= plan.expiresAt;
      if (answer && !answer.isError && was === "live" && !over) plan.state = "cancelled";
      if (answer === null || run.dying) return;
      await narrow(run);
      if (was === "live" && answer.isError && !run.loose)
        fail("a planned change could not be cancelled", { answer, plan });
      if (was !== "live" && !answer.isError) fail("a change that was not planned was cancelled", { answer, plan, was });
      return;
    }
    case "outside": {
      const { type, id } = split(target!);
      if (step.wish !== null && type !== BUCKET) return;
      const content = machine.resources(type)[id];
      if (!content) return;
      put(run, target!, step.wish && editedOutside(content, step.wish));
      return;
    }
    case "outsider creates": {
      const key = keyOf(step.name);
      if (model.aws.has(key) || machine.resources(BUCKET)[split(key).id]) return;
      const fresh = bucket(split(key).id, REGION);
      put(run, key, editedOutside(fresh, step.wish));
      return;
    }
    case "read":
      return read(run, step.by, target!);
    case "drift":
      return drifted(run, step);
    case "accept":
    case "import":
      return recorded(run, step, target!);
    case "checkpoint":
    case "compact": {
      const process = await machine.process(step.by);
      const work = process.store[step.do]().then(
        () => "done",
        (error: { code?: string; message: string }) => error.code ?? error.message,
      );
      const said = await machine.unlessKilled(process, work);
      if (said !== null && said !== "done" && !(run.loose && said === "resource_busy"))
        fail(`${step.do} failed`, { said });
      return;
    }
    case "pass":
      machine.pass(step.minutes * 60_000);
      return;
    case "restart":
      return machine.close(step.by);
  }
}

function put({ model, machine }: Run, key: string, content: JsonObject | null): void {
  const { type, id } = split(key);
  const before = model.aws.get(key) ?? null;
  const after = fieldsOf(content);
  machine.outside(type, id, content);
  if (after === null) model.aws.delete(key);
  else model.aws.set(key, after);
  for (const field of Object.keys({ ...before, ...after })) {
    if (before?.[field] !== after?.[field]) model.outside.set(`${key} ${field}`, machine.moment);
  }
}

async function rolledBack(run: Run, step: Extract<Simple, { do: "rollback" }>, key: string): Promise<void> {
  const { model } = run;
  const resource = model.managed.get(key);
  if (!key.startsWith(BUCKET) || !resource) return;
  const entry: Entry | undefined = step.to === "previous" ? undefined : fromEnd(resource.lineage, step.to);
  const to = step.to === "previous" ? "previous" : entry?.token || "xt_1_AAAAAAAAAAAAAAAAAAAAAA";
  const based = await basis(run, step.by, key, step.basedOn);
  if (!based) return;
  const given = { type: split(key).type, identifier: rid(key), to, undoOthers: step.undoOthers, ...based.given };
  const expected = (): Expected => {
    const live = model.aws.get(key) ?? null;
    const way = model.rollback(resource, to, live, step.undoOthers);
    const touches = live === null ? "all" : model.touchedBy(live, way.wish);
    const unfit = way.refusals.length > 0;
    return {
      refusals: [
        ...way.refusals,
        ...(unfit && live !== null && basisRefusals(run, based.seen(), live, "all").length === 0
          ? []
          : basisRefusals(run, based.seen(), live, touches)),
        ...busyOn(run, key),
      ],
      plan: {
        kind: live === null ? "create" : "update",
        key,
        before: live,
        wish: model.changing(live, way.wish),
        makes: way.recreates,
        declared: way.declared,
        touches,
      },
    };
  };
  return planned(run, step.by, "state.rollback", given, expected, step.now);
}

async function drifted(run: Run, step: Extract<Simple, { do: "drift" }>): Promise<void> {
  const { model, machine } = run;
  const before = new Map(
    [...model.managed.values()]
      .filter(({ deleted }) => !deleted)
      .map((one) => [one.key, model.drift(one, model.aws.get(one.key) ?? null)]),
  );
  const answer = await machine.call(step.by, "state.drift", { region: REGION }, step.fault ?? null);
  if (answer === null || run.dying) return;
  await narrow(run);
  if (answer.isError) fail("a drift check failed", { answer });
  const rows = new Map<string, Answer>(
    answer.resources.map((row: Answer) => [row.rid.split("/").slice(2).join("/"), row]),
  );
  for (const resource of model.managed.values()) {
    const row = rows.get(resource.key);
    if (resource.deleted) {
      if (row && !run.loose) fail("drift was reported of what was deleted", { row });
      continue;
    }
    if (!row) {
      if (run.loose) continue;
      fail("drift says nothing of a resource", { key: resource.key });
    }
    const now = model.drift(resource, model.aws.get(resource.key) ?? null);
    const wanted = [now, ...(run.loose ? [before.get(resource.key)] : [])].filter((one) => one !== undefined);
    const failed = step.fault === "read denied" && !wanted.some(({ status }) => status === "BUSY");
    if (failed ? row.status !== "UNKNOWN" : !wanted.some(({ status }) => status === row.status)) {
      const denied = run.loose && step.fault === "read denied" && row.status === "UNKNOWN";
      if (!denied && (!run.loose || ["DELETED", "UNKNOWN"].includes(row.status)))
        fail("drift was reported wrongly", { row, wanted });
    }
    if (run.loose || failed || row.status !== "MODIFIED") continue;
    const told: string[] = row.differences
      .filter((one: Answer) => one.class === "declared" || one.class === "undeclared")
      .map((one: Answer) => String(one.path));
    const missed = now.fields.filter((field) => !told.some((path) => names(path, field)));
    if (missed.length > 0 || told.length > now.fields.length)
      fail("drift names other fields", { told, fields: now.fields });
  }
  const state = await (await machine.watcher()).state();
  for (const [key, row] of rows) {
    const held = state.resources.get(rid(key))?.drift.status;
    if (!run.loose && held !== row.status) fail("a drift check was not recorded", { key, held, row });
  }
}

const PATHS: Readonly<Record<string, string>> = {
  versioning: "/VersioningConfiguration",
  accelerate: "/AccelerateConfiguration",
  acls: "/PublicAccessBlockConfiguration/BlockPublicAcls",
  policy: "/PublicAccessBlockConfiguration/BlockPublicPolicy",
};
const names = (path: string, field: string): boolean =>
  field.startsWith("tag:")
    ? path === "/Tags" || path === `/Tags/${field.slice(4)}`
    : path.startsWith(PATHS[field] ?? "?");

/** What no tool does yet: the store's own events, committed by a process. */
async function recorded(run: Run, step: Extract<Simple, { do: "accept" | "import" }>, key: string): Promise<void> {
  const { model, machine } = run;
  const { type, id } = split(key);
  const properties = machine.resources(type)[id] ?? null;
  const live = fieldsOf(properties);
  if (step.do === "import" && properties === null) return;
  const process = await machine.process(step.by);
  const ref = { account: "000000000000", region: REGION, type, id };
  const event =
    step.do === "import"
      ? ({ type: "resource.imported", ref, reader: "cloudcontrol", properties, provenance: "model" } as const)
      : ({ type: "drift.accepted", rid: rid(key), properties, by: "model", because: "wanted" } as const);
  const work = process.store
    .commit(() => [event])
    .then(
      () => "done",
      (error: { code?: string }) => error.code ?? "fault",
    );
  const said = await machine.unlessKilled(process, work);
  const settle = (): void => (step.do === "import" ? model.imported(key, live!) : model.accepted(key, live));
  const known = model.managed.get(key);
  if (said === null || run.dying) {
    run.uncertain = { key, entries: known?.lineage.length ?? 0, settle, sure: said === "done" };
    return;
  }
  await narrow(run);
  const refusals = [
    ...busyOn(run, key),
    ...(step.do === "import" && known && !known.deleted ? ["already_exists"] : []),
    ...(step.do === "accept" && !known ? ["no_history"] : []),
  ];
  if (said === "done" ? refusals.length > 0 : !refusals.includes(said))
    fail(`${step.do} ended otherwise`, { said, refusals, key });
  if (said === "done") settle();
}

async function stolen(run: Run, { from, by, dead }: Extract<Step, { do: "steal" }>): Promise<void> {
  const { machine } = run;
  if (from === by) return;
  const holder = await machine.process(from);
  const held = await holder.store.leases.acquire("store", "hold");
  if (held instanceof Error) fail("a free lease was not given", { code: held.code });
  if (dead) {
    machine.kill(from);
    machine.disk.settle();
  }
  const thief = await machine.process(by);
  const early = await thief.store.leases.acquire("store", "steal");
  if (dead !== !(early instanceof Error)) fail("a lease was given to two, or not given on", { dead });
  const lease =
    early instanceof Error ? await thief.store.leases.acquire("store", "steal", { waitMs: 200_000 }) : early;
  if (lease instanceof Error) fail("a lease of a sleeper was not given on", { code: lease.code });
  if (lease.generation <= held.generation) fail("a lease has an old number", {});
  if (!dead) {
    if (await held.heartbeat()) fail("a lease that was lost still beats", {});
    const refused = await holder.store
      .commit(() => [{ type: "lease.broken", scope: "stack:x", generation: 999, by: "model", because: "late" }], {
        epoch: held.generation,
      })
      .then(
        () => null,
        (error: { code?: string }) => error.code,
      );
    if (refused !== "resource_busy") fail("a commit under a lost lease was taken", { refused });
  }
  await lease.release();
}

// ── running them ───────────────────────────────────────────────────────────────────────────────────────────────────

async function dispatch(run: Run, step: Step): Promise<void> {
  const { machine } = run;
  switch (step.do) {
    case "crash": {
      const slot = "by" in step.during ? step.during.by : "a";
      const process = await machine.process(slot);
      process.effects.arm(step.at, step.any, null);
      run.dying = true;
      await act(run, step.during);
      run.dying = false;
      machine.kill(slot);
      // Without a power cut the kernel writes what a killed process left; with one in that time: see test/crash.
      if (step.power === undefined) machine.disk.settle();
      else machine.powerLoss(step.power);
      return;
    }
    case "meanwhile": {
      if (!("by" in step.during) || ("by" in step.inner && step.inner.by === step.during.by)) return;
      const process = await machine.process(step.during.by);
      process.effects.arm(step.at, step.any, async () => {
        try {
          await narrow(run);
          run.loose = true;
          await act(run, step.inner);
        } catch (error) {
          run.violation ??= error;
        }
      });
      run.loose = true;
      await act(run, step.during);
      run.loose = false;
      process.effects.disarm();
      return;
    }
    case "steal":
      return stolen(run, step);
    default:
      return act(run, step);
  }
}

/** One command and everything that must hold after it. */
export async function perform(run: Run, step: Step): Promise<void> {
  await dispatch(run, step);
  if (run.violation) throw run.violation;
  await check(run);
}
