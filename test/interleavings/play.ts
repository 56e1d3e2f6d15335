// Plays one schedule and judges it: every outside change is written down, and so is every effect of ours on AWS.

import type { Act, Basis, Schedule, Thing, When } from "./schedule.js";
import {
  type Arriving,
  type Bend,
  type Elements,
  inProcess,
  PEERS,
  propertyElements,
  type Stage,
  type StageWatcher,
} from "./stage.js";
import { BETWEEN_CALLS, UNDONE_UNSEEN, WINDOWS, type Window } from "./windows.js";

export interface Verdict {
  /** Broken promises, in words. */
  readonly violations: readonly string[];
  /** Outside changes that fell into a documented window, by its row. */
  readonly inWindow: Readonly<Record<string, number>>;
  readonly counts: Counts;
}

export interface Counts {
  outside: number;
  inCalls: number;
  applied: number;
  refused: Record<string, number>;
}

/** When each kind of part of each thing was read: rules of a group are another call than its tags. */
type ReadAt = ReadonlyMap<string, number>;
/** What was there then, by the same kinds. */
type Were = ReadonlyMap<string, Elements>;

interface Planned {
  readonly token: string;
  readonly thing: Thing | undefined;
  readonly what: Act["kind"];
  /** What the plan's maker had been shown. */
  readonly shown: ReadAt;
  /** What the answer that the plan was based on showed, of a resource of Cloud Control. */
  readonly showed?: Elements;
  readonly were: Were;
  /** What must be true of AWS once it is said to be applied; null: nothing is said about it. */
  readonly goal: (now: Elements, before: Elements) => boolean;
  done: boolean;
}

interface Shown {
  readonly revision: string;
  readonly readAt: ReadAt;
  readonly were: Were;
  // biome-ignore lint/suspicious/noExplicitAny: an answer's content
  readonly content: any;
}

const differing = (was: Elements, now: Elements): string[] =>
  [...new Set([...was.keys(), ...now.keys()])].filter((key) => was.get(key) !== now.get(key));

/** All tags of a thing are one property to Cloud Control. */
const isOneProperty = (one: string, other: string): boolean =>
  kindOf(other).endsWith("/tag") ? kindOf(one) === kindOf(other) : one === other;
const kindOf = (element: string): string => element.split("/").slice(0, 2).join("/");
const READS_KIND: Readonly<Record<string, readonly string[]>> = {
  DescribeSecurityGroupRules: ["rule"],
  DescribeSecurityGroups: ["tag"],
  DescribeInstances: ["state", "tag"],
  GetResource: ["property", "tag"],
  DescribeDBInstances: ["setting", "tag"],
};

const REFUSALS_OF_PLANS =
  /^(stale_revision|precondition_required|rule_exists|nothing_to_change|not_found|already_exists|unsupported|no_history|resource_busy|aws_rejected)$/;
const REFUSALS_OF_APPLIES =
  /^(stale_revision|live_guard_failed|resource_busy|token_expired|token_spent|already_exists|not_found)$/;
/** AWS's own refusals: right only where somebody changed the resource after our last read. */
const AWS_SAID_NO = /^(aws_rejected|aws_failed|already_exists|not_found|rule_exists)$/;

export type StageMaker = (watch: StageWatcher) => Promise<Stage>;

export const play = (schedule: Schedule, bend?: Bend): Promise<Verdict> =>
  playOn(schedule, (watch) => inProcess(watch, bend));

export async function playOn(schedule: Schedule, makeStage: StageMaker): Promise<Verdict> {
  const violations: string[] = [];
  const inWindow: Record<string, number> = {};
  const counts: Counts = { outside: 0, inCalls: 0, applied: 0, refused: {} };
  let seq = 0;
  let model: Map<string, string> = new Map();
  /** Who wrote an element last. */
  const writer = new Map<string, { readonly by: "outside" | "us"; readonly at: number }>();
  const moves: { readonly thing: Thing; readonly at: number; readonly names: readonly string[] }[] = [];
  /** When AWS came to list the same in another order. */
  const relisted: { readonly thing: Thing; readonly at: number }[] = [];
  const ours: { readonly thing: Thing | undefined; readonly at: number }[] = [];
  const plans: Planned[] = [];
  const shown = new Map<Thing, Shown[]>();

  // ── one turn ────────────────────────────────────────────────────────────────────────────────────────────────────
  let turn = { number: 0, during: [] as Schedule[number]["during"] };
  let doing: Act["kind"] | undefined;
  let executing: Planned | undefined;
  let arrived = 0;
  /** The last read of each kind in this turn, and the first: what a tool shows, it reads first. */
  let readAt = new Map<string, number>();
  let shownAt = new Map<string, number>();
  let were = new Map<string, Elements>();
  /** What the last read of each kind found. */
  let found = new Map<string, Elements>();
  let sent: { readonly call: Arriving; readonly at: number; readonly readAt: ReadAt; readonly found: Were } | undefined;
  let effects = 0;
  let afterEffect: { before: Elements; after: Elements } | undefined;
  const before = new Map<object, Elements>();
  /** The writes of this turn that arrived, what each of them changed, and what others changed in this turn. */
  let calls: { readonly operation: string; readonly at: number; readonly readAt: ReadAt }[] = [];
  let ownChanges: {
    readonly at: number;
    readonly was: Elements;
    readonly now: Elements;
    readonly keys: readonly string[];
  }[] = [];
  let othersChanges: { readonly thing: Thing; readonly at: number; readonly keys: readonly string[] }[] = [];
  const fail = (words: string) => violations.push(`turn ${turn.number}: ${words}`);

  async function somebody(move: Parameters<Stage["outside"]>[0]): Promise<void> {
    const at = ++seq;
    const touch = await stage.outside(move, at);
    if (!touch) return;
    if (move.kind === "relist") {
      relisted.push({ thing: touch.thing, at });
      return;
    }
    counts.outside++;
    moves.push({ ...touch, at });
    const now = await stage.elements();
    const keys = differing(model, now);
    for (const key of keys) writer.set(key, { by: "outside", at });
    othersChanges.push({ thing: touch.thing, at, keys });
    model = new Map(now);
  }

  async function meanwhile(when: When): Promise<void> {
    const due = turn.during.filter((one) => one.when === when);
    turn = { ...turn, during: turn.during.filter((one) => one.when !== when) };
    for (const { move } of due) {
      const had = counts.outside;
      await somebody(move);
      counts.inCalls += counts.outside - had;
    }
  }

  /** An effect of ours on AWS: whatever it changed that others wrote must have been shown, or stand in a window. */
  function judge(operation: string, was: Elements, now: Elements): void {
    const changed = differing(was, now);
    if (changed.length === 0) return;
    effects++;
    afterEffect = { before: afterEffect?.before ?? was, after: now };
    const at = ++seq;
    ownChanges.push({ at, was, now, keys: changed });
    ours.push({ thing: sent?.call.thing, at });
    if (!executing) fail(`${operation} changed ${changed} without an apply`);
    else if (executing.done) fail(`${operation} changed ${changed} under a token that had been executed`);
    for (const key of changed) {
      const last = writer.get(key);
      writer.set(key, { by: "us", at });
      if (last?.by !== "outside" || operation.endsWith("CreateResource") || !executing || !sent) continue;
      const seen = executing.shown.get(kindOf(key)) ?? 0;
      if (last.at < seen) continue;
      // Somebody brought back what the plan's maker had seen: that is what is replaced.
      if (executing.were.has(kindOf(key)) && executing.were.get(kindOf(key))!.get(key) === was.get(key)) continue;
      // A refusal may have shown it, by a look of its own.
      if (executing.showed && executing.showed.get(key) === was.get(key)) continue;
      const { at: taken, readAt: reads, found } = sent;
      const [, ...part] = key.split("/");
      const isOpen = ({ opens, whereAbsent }: Window): boolean => {
        const opened = opens === "after the call was taken" ? taken : reads.get(kindOf(key));
        const there = found.get(kindOf(key));
        const absent = there !== undefined && ![...there.keys()].some((one) => isOneProperty(one, key));
        return opened !== undefined && last.at > opened && (!whereAbsent || absent);
      };
      const window = WINDOWS.find(
        (one) => one.operation.test(operation) && one.part.test(part.join("/")) && isOpen(one),
      );
      if (window) inWindow[window.row] = (inWindow[window.row] ?? 0) + 1;
      else fail(`LOST: ${operation} overwrote what somebody else made of ${key} (${was.get(key)} → ${now.get(key)})`);
    }
    model = new Map(now);
  }

  const watch: StageWatcher = {
    doing: () => doing,
    async before(call, key) {
      await meanwhile(arrived++);
      const tells = call.operation === "GetResourceRequestStatus";
      if (call.writes) await meanwhile("write");
      if (tells) await meanwhile("progress");
      for (const kind of call.thing ? (READS_KIND[call.operation] ?? []) : []) {
        readAt.set(`${call.thing}/${kind}`, ++seq);
        found.set(`${call.thing}/${kind}`, model);
        if (shownAt.has(`${call.thing}/${kind}`)) continue;
        shownAt.set(`${call.thing}/${kind}`, seq);
        were.set(`${call.thing}/${kind}`, model);
      }
      if (call.writes) {
        sent = { call, at: ++seq, readAt: new Map(readAt), found: new Map(found) };
        calls.push({ ...sent, operation: `${call.service}:${call.operation}` });
      }
      if (call.writes || tells) before.set(key, await stage.elements());
    },
    async after(call, key) {
      const was = before.get(key);
      if (!was || !sent) return;
      const { service, operation } = call.writes ? call : sent.call;
      judge(`${service}:${operation}`, was, await stage.elements());
    },
  };
  const stage = await makeStage(watch);
  model = new Map(await stage.elements());

  // ── what the assistant knows ────────────────────────────────────────────────────────────────────────────────────
  function learn(thing: Thing, revision: unknown, content: unknown): void {
    if (typeof revision !== "string") return;
    const known = (shown.get(thing) ?? []).filter((one) => one.revision !== revision);
    shown.set(thing, [...known, { revision, readAt: new Map(shownAt), were: new Map(were), content }]);
  }

  function basisOf(thing: Thing, basis: Basis): Shown | undefined {
    const all = shown.get(thing) ?? [];
    return basis === "first" ? all[0] : basis === "last" ? all.at(-1) : undefined;
  }
  const given = (basis: Basis, known: Shown | undefined): { basedOn?: string } =>
    basis === "none" ? {} : { basedOn: known?.revision ?? "r9-deadbeef" };

  const says = (now: Elements, key: string, value: string): boolean => now.get(key) === value;
  const intent = "as the user asked";

  function planned(
    act: Act,
    thing: Thing | undefined,
    // biome-ignore lint/suspicious/noExplicitAny: answers are read as a client reads them
    answer: any,
    basis: Shown | undefined,
    goal: Planned["goal"],
  ): void {
    if (effects > 0) fail(`${act.kind} changed AWS`);
    if (answer.isError) {
      counts.refused[answer.code] = (counts.refused[answer.code] ?? 0) + 1;
      if (!REFUSALS_OF_PLANS.test(answer.code)) fail(`${act.kind} was refused as ${answer.code}: ${answer.message}`);
      if (answer.code === "stale_revision" && basis) judgeRefusal(answer, thing, basis.readAt);
      return;
    }
    const known = {
      ...{ shown: basis?.readAt ?? new Map(shownAt), were: basis?.were ?? new Map(were) },
      ...(thing && stage.types[thing] && basis && { showed: new Map(propertyElements(thing, basis.content)) }),
    };
    plans.push({ token: answer.executionToken, thing, what: act.kind, ...known, goal, done: false });
  }

  // biome-ignore lint/suspicious/noExplicitAny: answers are read as a client reads them
  function judgeRefusal(answer: any, thing: Thing | undefined, known: ReadAt): void {
    const since = (at: number, of: Thing | undefined): boolean =>
      of === thing && [...known].some(([key, seen]) => key.startsWith(`${thing}/`) && at > seen);
    const others = moves.filter((one) => since(one.at, one.thing));
    const own = ours.some((one) => since(one.at, one.thing));
    if (others.length === 0 && !own) fail(`FALSE ALARM: ${answer.code} and nobody changed ${thing}`);
    const told = JSON.stringify([answer.changed, { now: answer.now }]);
    if (!own && !others.some(({ names }) => names.some((name) => told.includes(name)))) {
      fail(`${answer.code} names none of ${others.flatMap(({ names }) => names)}: ${told.slice(0, 300)}`);
    }
    if (thing && answer.now?.revision) learn(thing, answer.now.revision, answer.now.content);
  }

  // ── the turns ───────────────────────────────────────────────────────────────────────────────────────────────────
  async function act(one: Act): Promise<void> {
    const { call, ids, types } = stage;
    switch (one.kind) {
      case "read": {
        const { thing } = one;
        const type = types[thing];
        const answer = type
          ? await call("resources_get", { type, identifier: ids[thing] })
          : thing === "group"
            ? await call("securityGroups_get", { groupId: ids.group })
            : thing === "database"
              ? await call("databases_get", { databaseId: ids.database })
              : await call("instances_get", { instanceId: ids[thing] });
        if (answer.isError && answer.code !== "not_found") fail(`read was refused as ${answer.code}`);
        learn(thing, answer.revision, answer.securityGroup ?? answer.instance ?? answer.properties);
        return;
      }
      case "addRule": {
        const rule = { fromPort: one.port, toPort: one.port + one.width, peer: PEERS[one.peer] };
        const answer = await call("securityGroups_addRule", { groupId: ids.group, rule, intent });
        const there = (now: Elements) => ruleElements(now).some((each) => covers(each, rule));
        planned(one, "group", answer, undefined, there);
        return;
      }
      case "removeRule": {
        const rules = ingress(basisOf("group", one.basis === "first" ? "first" : "last")?.content);
        const rule = rules[one.nth % Math.max(rules.length, 1)];
        if (!rule) return;
        const basis = basisOf("group", one.basis);
        const answer = await call("securityGroups_removeRule", {
          groupId: ids.group,
          ruleId: rule.ruleId,
          intent,
          ...given(one.basis, basis),
        });
        planned(one, "group", answer, basis, (now) => !now.has(`group/rule/${rule.ruleId}`));
        return;
      }
      case "replaceRules": {
        const known = basisOf("group", one.basis === "first" ? "first" : "last");
        const rules = ingress(known?.content);
        if (!known || rules.length === 0) return;
        const wanted = [
          ...rules.filter((_, index) => index !== one.drop % rules.length).map(({ ruleId: _, ...rule }) => rule),
          { direction: "ingress", protocol: "tcp", fromPort: one.port, toPort: one.port, peer: "198.51.100.0/24" },
        ];
        const unique = [...new Map(wanted.map((rule) => [trafficKey(rule), rule])).values()];
        const basis = basisOf("group", one.basis);
        const answer = await call("securityGroups_update", {
          groupId: ids.group,
          rules: unique,
          intent,
          ...given(one.basis, basis),
        });
        // What is to stay is not ours: somebody may remove it right before our call, and that stands.
        const dropped = rules[one.drop % rules.length]!;
        const stays = (rule: ShownRule) => unique.some((each) => trafficKey(each) === trafficKey(rule));
        const added = unique.filter((rule) => !rules.some((each) => trafficKey(each) === trafficKey(rule)));
        planned(
          one,
          "group",
          answer,
          basis,
          (now) =>
            added.every((rule) => ruleElements(now).some((each) => covers(each, rule))) &&
            (stays(dropped) || !now.has(`group/rule/${dropped.ruleId}`)),
        );
        return;
      }
      case "terminate": {
        const known = basisOf(one.thing, one.basis);
        const basedOn = one.basis === "none" ? [] : [known?.revision ?? "r9-deadbeef"];
        const answer = await call("instances_terminate", { instanceIds: [ids[one.thing]], basedOn, intent });
        if (answer.code === "validation_error" && basedOn.length === 0) return;
        planned(one, one.thing, answer, known, (now) => says(now, `${one.thing}/state`, "gone"));
        return;
      }
      case "launch": {
        const answer = await call("instances_launch", {
          imageId: stage.imageId,
          instanceType: "t3.micro",
          count: 1,
          intent,
        });
        planned(one, undefined, answer, undefined, (now, was) => launched(now) === launched(was) + 1);
        return;
      }
      case "update": {
        const { thing } = one;
        const known = basisOf(thing, one.basis);
        const value = `ours${turn.number}`;
        const property = thing === "bucket" ? "VersioningConfiguration" : "RetentionInDays";
        const set = thing === "bucket" ? { Status: value } : 90_000 + turn.number;
        const [properties, goal] = (
          [
            [{ [property]: set }, (now: Elements) => says(now, `${thing}/property/${property}`, JSON.stringify(set))],
            [{ Tags: [{ Key: "a", Value: value }] }, (now: Elements) => says(now, `${thing}/tag/a`, value)],
            [{ Tags: [{ Key: "b", Value: value }] }, (now: Elements) => says(now, `${thing}/tag/b`, value)],
            [{ [property]: null }, (now: Elements) => !now.has(`${thing}/property/${property}`)],
          ] as const
        )[one.what]!;
        const answer = await call("resources_update", {
          type: types[thing],
          identifier: ids[thing],
          properties,
          intent,
          ...given(one.basis, known),
        });
        planned(one, thing, answer, known, goal);
        return;
      }
      case "modify": {
        const known = basisOf(one.thing, one.basis);
        const answer = await call("databases_modifyInstance", {
          databaseId: ids.database,
          backupRetentionDays: one.days,
          apply: "immediate",
          intent,
          ...given(one.basis, known),
        });
        planned(one, one.thing, answer, known, (now) =>
          says(now, "database/setting/backupRetentionDays", String(one.days)),
        );
        return;
      }
      case "remove": {
        const { thing } = one;
        const known = basisOf(thing, one.basis);
        const answer = await call("resources_delete", {
          type: types[thing],
          identifier: ids[thing],
          intent,
          ...given(one.basis, known),
        });
        planned(one, thing, answer, known, (now) => ![...now.keys()].some((key) => key.startsWith(`${thing}/`)));
        return;
      }
      case "create": {
        const name = one.thing === "bucket" ? "BucketName" : "LogGroupName";
        const properties = { [name]: ids[one.thing] };
        const answer = await call("resources_create", { type: types[one.thing], properties, intent });
        planned(one, one.thing, answer, undefined, (now) => now.has(`${one.thing}/property/${name}`));
        return;
      }
      case "rollback": {
        const known = basisOf(one.thing, one.basis);
        const answer = await call("state_rollback", {
          identifier: ids[one.thing],
          to: "previous",
          undoOthers: one.undoOthers,
          intent,
          ...given(one.basis, known),
        });
        planned(one, one.thing, answer, known, () => true);
        return;
      }
      case "apply":
        await apply(plans.at(-1 - one.back));
        return;
      case "outside":
        await somebody(one.move);
        return;
      case "wait":
        stage.pass(one.minutes);
    }
  }

  async function apply(plan: Planned | undefined): Promise<void> {
    if (!plan) return;
    executing = plan;
    const answer = await stage.call("changes_apply", { executionToken: plan.token });
    executing = undefined;
    if (answer.isError) {
      counts.refused[answer.code] = (counts.refused[answer.code] ?? 0) + 1;
      if (effects > 0 && answer.nothingWasChanged === true) fail(`${answer.code} says nothing was changed, and it was`);
      const isLate = ({ thing, at }: { thing: Thing; at: number }) => thing === plan.thing && at > lastRead(plan.thing);
      const late = moves.some(isLate);
      if (AWS_SAID_NO.test(answer.code) && !late && effects === 0 && !REFUSALS_OF_APPLIES.test(answer.code)) {
        fail(`AWS refused ${plan.what} (${answer.code}) and nobody was in the way: ${JSON.stringify(answer)}`);
      } else if (answer.code === "outcome_unknown" && undoneUnseen(plan, answer)) {
        inWindow[UNDONE_UNSEEN.row] = (inWindow[UNDONE_UNSEEN.row] ?? 0) + 1;
      } else if (!AWS_SAID_NO.test(answer.code) && !REFUSALS_OF_APPLIES.test(answer.code)) {
        fail(`apply of ${plan.what} ended as ${answer.code}: ${answer.message}`);
      }
      // A guard is compared by the letter: another order between our look and AWS's own is a refusal, named as what it is.
      const reordered = answer.code === "live_guard_failed" && answer.now === undefined && relisted.some(isLate);
      if (/^(stale_revision|live_guard_failed)$/.test(answer.code) && effects === 0 && !reordered) {
        judgeRefusal(answer, plan.thing, plan.shown);
      }
      if (effects > 0) plan.done = true;
      return;
    }
    if (answer.repeated) {
      if (effects > 0) fail("a repeated token changed AWS");
      if (!plan.done) fail("a token that was never executed is said to have been");
      return;
    }
    if (answer.outcome === "in_progress" && takenAway(plan, await stage.elements())) {
      plan.done = true;
      return;
    }
    if (answer.outcome !== "applied") fail(`apply of ${plan.what} answered ${answer.outcome}`);
    counts.applied++;
    // Whoever deletes what somebody else has just deleted finds it done.
    const now = await stage.elements();
    const reached = afterEffect ?? { before: now, after: now };
    const told = ((answer.notes ?? []) as readonly string[]).find((note) => note.includes("between two of the calls"));
    const met = told !== undefined && metBetween(plan, told);
    if (told !== undefined && !met) fail(`${plan.what} is said to have been met between two calls: ${told}`);
    if (met) inWindow[BETWEEN_CALLS.row] = (inWindow[BETWEEN_CALLS.row] ?? 0) + 1;
    if (!plan.goal(met ? withoutUndoing(reached.after) : reached.after, reached.before))
      fail(`${plan.what} is said to be applied and is not in AWS`);
    plan.done = true;
  }

  /** Whether AWS showed us these elements of a thing after a moment. */
  const seenAfter = (at: number, keys: readonly string[]): boolean =>
    keys.some((key) => (readAt.get(kindOf(key)) ?? 0) > at);

  /**
   * The one way to an unknown outcome where no answer is lost: what the last call did, all of it, was undone by somebody
   * before it was read back, and calls that rest on it were not sent.
   */
  // biome-ignore lint/suspicious/noExplicitAny: answers are read as a client reads them
  function undoneUnseen(plan: Planned, answer: any): boolean {
    const [last, own] = [calls.at(-1), ownChanges.at(-1)];
    if (!last || !own || own.at < last.at || !UNDONE_UNSEEN.operation.test(last.operation)) return false;
    const unsent = answer.stepsDone < answer.stepsPlanned && calls.length === answer.stepsDone;
    const after = othersChanges.filter(
      ({ thing, at, keys }) => thing === plan.thing && at > own.at && seenAfter(at, keys),
    );
    // A rule that we made and that lets through something else now is not to be known for ours: its id is AWS's.
    const lost = (key: string): boolean =>
      own.was.has(key)
        ? model.get(key) === own.was.get(key)
        : traffic(model.get(key)) !== traffic(own.now.get(key)) || !model.has(key);
    return unsent && own.keys.every((key) => lost(key) && after.some(({ keys }) => keys.includes(key)));
  }

  /** Whether somebody deleted what we made before we saw it: AWS may as well show it later, so that is not yet said. */
  function takenAway(plan: Planned, now: Elements): boolean {
    const own = ownChanges.at(-1);
    if (!own || !calls.at(-1)?.operation.endsWith("CreateResource")) return false;
    const isGone = own.keys.every((key) => own.now.has(key) && !now.has(key));
    return isGone && othersChanges.some(({ thing, at }) => thing === plan.thing && at > own.at);
  }

  /** Whether somebody changed what the note names, between our look before the first call and the read after the last. */
  function metBetween(plan: Planned, told: string): boolean {
    const [first] = calls;
    if (!first || calls.length < 2 || !calls.every(({ operation }) => BETWEEN_CALLS.operation.test(operation)))
      return false;
    const looked = (key: string): number => first.readAt.get(kindOf(key)) ?? first.at;
    return othersChanges.some(
      ({ thing, at, keys }) =>
        thing === plan.thing &&
        seenAfter(at, keys) &&
        keys.some((key) => at > looked(key) && told.includes(`${kindOf(key).split("/")[1]}s`)),
    );
  }

  /** What AWS would hold if nobody had undone what our calls of this turn did: only that is excused. */
  function withoutUndoing(now: Elements): Elements {
    const restored = new Map(now);
    for (const { at, keys } of othersChanges) {
      for (const key of keys) {
        const own = ownChanges.findLast((one) => one.at < at && one.keys.includes(key));
        if (!own) continue;
        if (own.now.has(key)) restored.set(key, own.now.get(key)!);
        else restored.delete(key);
      }
    }
    return restored;
  }

  /** The oldest of the reads that our last look at a thing was made of. */
  const lastRead = (thing: Thing | undefined): number => {
    const reads = [...(sent?.readAt ?? readAt)].filter(([key]) => key.startsWith(`${thing}/`)).map(([, at]) => at);
    return reads.length > 0 ? Math.min(...reads) : 0;
  };

  try {
    for (const [index, { act: one, during }] of schedule.entries()) {
      turn = { number: index, during };
      arrived = 0;
      readAt = new Map();
      shownAt = new Map();
      were = new Map();
      found = new Map();
      sent = undefined;
      effects = 0;
      afterEffect = undefined;
      [calls, ownChanges, othersChanges] = [[], [], []];
      executing = undefined;
      doing = one.kind;
      await act(one);
    }
    const now = await stage.elements();
    for (const key of new Set([...model.keys(), ...now.keys()])) {
      if (model.get(key) !== now.get(key)) fail(`at the end ${key} is ${now.get(key)} and should be ${model.get(key)}`);
    }
  } finally {
    await stage.close();
  }
  return { violations, inWindow, counts };
}

/** A rule without its words; of another element, the element. */
function traffic(element: string | undefined): string | undefined {
  if (!element?.startsWith("{")) return element;
  const { description: _, ...rest } = JSON.parse(element);
  return JSON.stringify(rest);
}

interface RuleElement {
  readonly egress: boolean;
  readonly protocol: string;
  readonly fromPort: number;
  readonly toPort: number;
  readonly peer: string;
}

const ruleElements = (now: Elements): RuleElement[] =>
  [...now].filter(([key]) => key.startsWith("group/rule/")).map(([, text]) => JSON.parse(text));
const launched = (now: Elements): number => [...now.keys()].filter((key) => key.startsWith("launched/")).length;
const covers = (rule: RuleElement, wanted: { fromPort?: number; toPort?: number; peer?: string }): boolean =>
  !rule.egress && rule.fromPort === wanted.fromPort && rule.toPort === wanted.toPort && rule.peer === wanted.peer;

interface ShownRule {
  readonly ruleId?: string;
  readonly direction: string;
  readonly protocol: string;
  readonly fromPort?: number;
  readonly toPort?: number;
  readonly peer: string;
}
const trafficKey = ({ protocol, fromPort, toPort, peer }: ShownRule): string =>
  JSON.stringify([protocol, fromPort, toPort, peer]);
const ingress = (content: { rules?: readonly ShownRule[] } | undefined): readonly ShownRule[] =>
  (content?.rules ?? []).filter(({ direction }) => direction === "ingress");
