// What was made and deleted in an hour: what was begun, and what a plan at work has yet to begin.

import { describe, expect, it } from "vitest";
import type { Change, ChangeStep, Operation, ResourceRef, State } from "../../src/core/change.js";
import type { JsonObject } from "../../src/core/json.js";
import { spentInHour, weightOf } from "../../state/budget.js";

const NOW = new Date("2026-11-21T10:00:00.000Z");
const step = (kind: ChangeStep["kind"], input = {}, more: Partial<ChangeStep> = {}) =>
  ({ kind, input, ref: { type: "AWS::EC2::Instance" }, before: null, after: null, ...more }) as ChangeStep;
/** A group that is asked for another number, as either reader shows it. */
const scaled = (kind: ChangeStep["kind"], before: JsonObject | null, after: JsonObject | null) =>
  step(kind, {}, { ref: { type: "AWS::AutoScaling::AutoScalingGroup" } as ResourceRef, before, after });
const began = (changeId: string, at: number, intentAt: string) =>
  ({ changeId, step: at, intentAt }) as Pick<Operation, "changeId" | "step" | "intentAt">;

function stateOf(changes: readonly Partial<Change>[], operations: Readonly<Record<string, object>>): State {
  return {
    changes: new Map(changes.map((change) => [change.id, change])),
    operations: new Map(Object.entries(operations)),
    open: new Set(),
  } as unknown as State;
}

describe("spent in an hour", () => {
  const steps = [step("delete"), step("delete"), step("create", { MaxCount: 3 })];

  it("holds the rest of a change that is being applied: another one beside it must not have it too", () => {
    const operations = { op_1: began("ch_1", 0, "2026-11-21T09:59:00.000Z") };
    const applying = stateOf([{ id: "ch_1", state: "applying", steps, operationIds: ["op_1"] }], operations);
    expect(spentInHour(applying, NOW)).toEqual({ delete: 2, create: 3 });
    for (const state of ["failed", "unknown", "applied"] as const) {
      const ended = stateOf([{ id: "ch_1", state, steps, operationIds: ["op_1"] }], operations);
      expect(spentInHour(ended, NOW), state).toEqual({ delete: 1, create: 0 });
    }
  });

  it("forgets what was begun before, and counts nothing of a plan", () => {
    const operations = { op_1: began("ch_1", 0, "2026-11-21T08:59:00.000Z") };
    const old = stateOf([{ id: "ch_1", state: "applied", steps, operationIds: ["op_1"] }], operations);
    expect(spentInHour(old, NOW)).toEqual({ delete: 0, create: 0 });
    expect(spentInHour(stateOf([{ id: "ch_2", state: "planned", steps, operationIds: [] }], {}), NOW)).toEqual({
      delete: 0,
      create: 0,
    });
  });
});

describe("a group of instances", () => {
  it.each<[string, ChangeStep, { create: number; delete: number }]>([
    [
      "launches what it is asked for more",
      scaled("action", { desiredCapacity: 2 }, { desiredCapacity: 1000 }),
      { create: 998, delete: 0 },
    ],
    [
      "terminates what it is asked for less",
      scaled("action", { desiredCapacity: 1000 }, { desiredCapacity: 0 }),
      { create: 0, delete: 1000 },
    ],
    [
      "does so through Cloud Control, in numbers or in text",
      scaled("update", { DesiredCapacity: "2", MinSize: "1" }, { DesiredCapacity: "7", MinSize: "1" }),
      { create: 5, delete: 0 },
    ],
    [
      "has at least its least",
      scaled("update", { MinSize: 1, DesiredCapacity: 1 }, { MinSize: 9, DesiredCapacity: 1 }),
      { create: 8, delete: 0 },
    ],
    ["is made with its instances", scaled("create", null, { MinSize: "3", MaxSize: "9" }), { create: 4, delete: 0 }],
    ["is deleted with them", scaled("delete", { desiredCapacity: 3 }, null), { create: 0, delete: 4 }],
    ["moves none by its tags", scaled("update", { tags: {} }, { tags: { a: "1" } }), { create: 0, delete: 0 }],
  ])("%s", (_, one, weight) => {
    expect(weightOf(one)).toEqual(weight);
  });
});
