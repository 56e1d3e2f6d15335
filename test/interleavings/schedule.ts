// Schedules as data: what an assistant does, and what somebody else does before, between and in the middle of it.

import fc from "fast-check";

/** What both stages have. */
export const THINGS = ["group", "first", "second", "bucket", "log"] as const;
export const WITH_DATABASE = [...THINGS, "database"] as const;
export type Thing = (typeof WITH_DATABASE)[number];

/** What somebody else does. `nth` chooses among what is there; a move that finds nothing to do is left out. */
export type Move =
  | { readonly kind: "allow"; readonly port: number; readonly peer: number }
  | { readonly kind: "revoke" | "edit" | "describe"; readonly nth: number }
  | { readonly kind: "tag" | "untag"; readonly thing: Thing; readonly key: number }
  | { readonly kind: "terminate" | "stop"; readonly thing: "first" | "second" }
  | { readonly kind: "set"; readonly thing: "bucket" | "log" }
  | { readonly kind: "retain"; readonly thing: "database" }
  | { readonly kind: "delete" | "make"; readonly thing: "bucket" | "log" }
  /** No change at all: AWS lists the same tags in another order. */
  | { readonly kind: "relist"; readonly thing: "bucket" | "log" };

/** Before the n-th call to AWS of a turn; right before its write; before the first question after how a write is doing. */
export type When = number | "write" | "progress";

/** Which revision a plan stands on: the last one that was shown, the first one, one that never was, or none. */
export type Basis = "last" | "first" | "invented" | "none";

export type Act =
  | { readonly kind: "read"; readonly thing: Thing }
  | { readonly kind: "addRule"; readonly port: number; readonly width: number; readonly peer: number }
  | { readonly kind: "removeRule"; readonly nth: number; readonly basis: Basis }
  | { readonly kind: "replaceRules"; readonly drop: number; readonly port: number; readonly basis: Basis }
  | { readonly kind: "terminate"; readonly thing: "first" | "second"; readonly basis: Basis }
  | { readonly kind: "launch" }
  | { readonly kind: "update"; readonly thing: "bucket" | "log"; readonly what: number; readonly basis: Basis }
  | { readonly kind: "modify"; readonly thing: "database"; readonly days: number; readonly basis: Basis }
  | { readonly kind: "remove"; readonly thing: "bucket" | "log"; readonly basis: Basis }
  | { readonly kind: "create"; readonly thing: "bucket" | "log" }
  | { readonly kind: "rollback"; readonly thing: Thing; readonly basis: Basis; readonly undoOthers: boolean }
  /** Counted from the newest plan. */
  | { readonly kind: "apply"; readonly back: number }
  | { readonly kind: "outside"; readonly move: Move }
  | { readonly kind: "wait"; readonly minutes: number };

export interface Turn {
  readonly act: Act;
  readonly during: readonly { readonly when: When; readonly move: Move }[];
}
export type Schedule = readonly Turn[];

const few = (most: number) => fc.integer({ min: 0, max: most });
const port = fc.constantFrom(22, 443, 8443);
const basis = fc.oneof(
  { weight: 6, arbitrary: fc.constant("last" as const) },
  { weight: 2, arbitrary: fc.constant("first" as const) },
  { weight: 1, arbitrary: fc.constantFrom("invented" as const, "none" as const) },
);

/** What there is to choose from. */
const some = <T>(...choices: readonly ({ weight: number; arbitrary: fc.Arbitrary<T> } | undefined)[]) =>
  fc.oneof(...choices.filter((one) => one !== undefined));

const lookAt = (look: Act, planned: Act): Act =>
  planned.kind === "launch" ? look : { kind: "read", thing: "thing" in planned ? planned.thing : "group" };

/** Schedules about these things. */
export function schedulesOf(things: readonly Thing[]): fc.Arbitrary<Schedule> {
  const among = <T extends Thing>(...names: readonly T[]): fc.Arbitrary<T> | undefined => {
    const here = names.filter((name) => things.includes(name));
    return here.length > 0 ? fc.constantFrom(...here) : undefined;
  };
  const thing = fc.constantFrom(...things);
  const group = among("group");
  const machine = among("first", "second");
  const store = among("bucket", "log");
  const database = among("database");
  // A database goes back by many calls, and not all the way: that is another story.
  const undone = fc.constantFrom(...things.filter((name) => name !== "database"));
  const versioned = among("group", "bucket", "log")!;
  const move = some<Move>(
    group && { weight: 4, arbitrary: fc.record({ kind: fc.constant("allow" as const), port, peer: few(1) }) },
    group && {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constantFrom("revoke" as const, "edit" as const, "describe" as const),
        nth: few(3),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constantFrom("tag" as const, "untag" as const), thing, key: few(1) }),
    },
    machine && {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constantFrom("terminate" as const, "stop" as const), thing: machine }),
    },
    store && { weight: 4, arbitrary: fc.record({ kind: fc.constant("set" as const), thing: store }) },
    database && { weight: 3, arbitrary: fc.record({ kind: fc.constant("retain" as const), thing: database }) },
    store && {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constantFrom("delete" as const, "make" as const), thing: store }),
    },
    store && { weight: 2, arbitrary: fc.record({ kind: fc.constant("relist" as const), thing: store }) },
  );

  const when: fc.Arbitrary<When> = fc.oneof(
    { weight: 3, arbitrary: fc.constant("write" as const) },
    { weight: 1, arbitrary: fc.constant("progress" as const) },
    { weight: 3, arbitrary: few(6) },
  );
  const during = fc.oneof(
    { weight: 2, arbitrary: fc.constant([]) },
    { weight: 2, arbitrary: fc.array(fc.record({ when, move }), { minLength: 1, maxLength: 2 }) },
  );

  const plan = some<Act>(
    group && {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("addRule" as const),
        port,
        width: fc.constantFrom(0, 0, 9000),
        peer: few(1),
      }),
    },
    group && { weight: 3, arbitrary: fc.record({ kind: fc.constant("removeRule" as const), nth: few(3), basis }) },
    group && {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant("replaceRules" as const), drop: few(3), port, basis }),
    },
    machine && { weight: 1, arbitrary: fc.record({ kind: fc.constant("terminate" as const), thing: machine, basis }) },
    machine && { weight: 1, arbitrary: fc.constant({ kind: "launch" as const }) },
    store && {
      weight: 5,
      arbitrary: fc.record({ kind: fc.constant("update" as const), thing: store, what: few(3), basis }),
    },
    database && {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("modify" as const),
        thing: database,
        days: fc.integer({ min: 1, max: 5 }),
        basis,
      }),
    },
    store && { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), thing: store, basis }) },
    store && { weight: 1, arbitrary: fc.record({ kind: fc.constant("create" as const), thing: store }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant("rollback" as const), thing: undone, basis, undoOthers: fc.boolean() }),
    },
  );
  const read: fc.Arbitrary<Act> = fc.record({ kind: fc.constant("read" as const), thing });
  const applied: fc.Arbitrary<Act> = fc.record({
    kind: fc.constant("apply" as const),
    back: fc.constantFrom(0, 0, 0, 1, 2),
  });

  /** Mostly what assistants do: look, plan, apply, look again. A turn in five is anything. */
  const round: fc.Arbitrary<Turn[]> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.tuple(read, plan, applied, during, during, during).map(([look, planned, apply, a, b, c]) => [
        { act: lookAt(look, planned), during: a },
        { act: planned, during: b },
        { act: apply, during: c },
      ]),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(
          fc.oneof(
            read,
            plan,
            applied,
            fc.record({ kind: fc.constant("wait" as const), minutes: fc.constantFrom(1, 16) }),
          ),
          during,
        )
        .map(([act, meanwhile]) => [{ act, during: meanwhile }]),
    },
    // Two versions, and the way back to the first.
    {
      weight: 1,
      arbitrary: fc
        .tuple(versioned, fc.array(port, { minLength: 2, maxLength: 2 }), fc.boolean(), during, during)
        .map(([thing, ports, undoOthers, a, b]): Turn[] => [
          ...ports.flatMap((one, index): Turn[] => [
            { act: { kind: "read", thing }, during: [] },
            {
              act:
                thing === "group"
                  ? { kind: "addRule", port: one, width: index, peer: index }
                  : { kind: "update", thing, what: index, basis: "last" },
              during: [],
            },
            { act: { kind: "apply", back: 0 }, during: index === 0 ? [] : a },
          ]),
          { act: { kind: "read", thing }, during: [] },
          { act: { kind: "rollback", thing, basis: "last", undoOthers }, during: [] },
          { act: { kind: "apply", back: 0 }, during: b },
        ]),
    },
    { weight: 2, arbitrary: move.map((one) => [{ act: { kind: "outside" as const, move: one }, during: [] }]) },
  );

  return fc.array(round, { minLength: 4, maxLength: 8, size: "max" }).map((rounds) => rounds.flat());
}

export const schedules = schedulesOf(THINGS);

/** Plans of several calls on one group, and somebody between the calls. */
export const betweenCalls: fc.Arbitrary<Schedule> = (() => {
  const move = fc.oneof(
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("allow" as const), port, peer: few(1) }) },
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constantFrom("revoke" as const, "edit" as const, "describe" as const),
        nth: few(3),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constantFrom("tag" as const, "untag" as const),
        thing: fc.constant("group" as const),
        key: few(1),
      }),
    },
  ) satisfies fc.Arbitrary<Move>;
  const plan: fc.Arbitrary<Act> = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("replaceRules" as const),
        drop: few(3),
        port,
        basis: fc.constant("last" as const),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("rollback" as const),
        thing: fc.constant("group" as const),
        basis: fc.constant("last" as const),
        undoOthers: fc.constant(true),
      }),
    },
  );
  const during = fc.array(fc.record({ when: fc.integer({ min: 2, max: 8 }), move }), { minLength: 1, maxLength: 2 });
  const round = fc
    .tuple(fc.array(move, { maxLength: 2 }), plan, during)
    .map(([moves, act, meanwhile]): Turn[] => [
      ...moves.map((one): Turn => ({ act: { kind: "outside", move: one }, during: [] })),
      { act: { kind: "read", thing: "group" }, during: [] },
      { act, during: [] },
      { act: { kind: "apply", back: 0 }, during: meanwhile },
    ]);
  return fc.array(round, { minLength: 2, maxLength: 4, size: "max" }).map((rounds) => rounds.flat());
})();
