// What was made and deleted in an hour: what was begun, and what a plan at work has yet to begin.

import { describe, expect, it } from "vitest";
import type { Change, ChangeStep, Operation, State } from "../../src/core/change.js";
import { spentInHour } from "../../state/budget.js";

const NOW = new Date("2026-11-21T10:00:00.000Z");
const step = (kind: ChangeStep["kind"], input = {}) => ({ kind, input }) as ChangeStep;
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
