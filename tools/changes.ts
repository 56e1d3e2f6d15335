// Changes: apply one by its token, look at them, cancel one.

import { z } from "zod";
import { type Change, type State, securityView, stepView } from "../src/core/change.js";
import { OpsError } from "../src/core/errors.js";
import type { JsonObject } from "../src/core/json.js";
import { domain, gate, read } from "../src/core/tool.js";

const ChangeId = z.string().regex(/^ch_[0-9a-z]+$/, "must look like ch_1a");
const STATES = ["planned", "applying", "applied", "failed", "unknown", "cancelled", "expired"] as const;

const View = z.object({
  changeId: z.string(),
  tool: z.string(),
  state: z.enum(STATES),
  summary: z.string(),
  intent: z.string(),
  risk: z.object({ level: z.string(), because: z.array(z.string()) }),
});

/** What a change is, for whoever looks at it: the plan, never the token. */
export function viewOf(change: Change, state: State, now: Date): JsonObject {
  const expired = change.state === "planned" && now.toISOString() >= change.expiresAt;
  return {
    changeId: change.id,
    tool: change.tool,
    state: expired ? "expired" : change.state,
    summary: change.summary,
    intent: change.intent,
    ...(change.explanation ? { explanation: change.explanation } : {}),
    account: change.account,
    region: change.region,
    plannedBy: change.caller.arn,
    plannedAt: change.plannedAt,
    expiresAt: change.expiresAt,
    risk: { level: change.risk.level, because: [...change.risk.because] },
    warnings: [...change.warnings],
    steps: change.steps.map(stepView),
    ...(change.policyResults ? { security: securityView(change.policyResults) } : {}),
    ...(change.facts ? { facts: change.facts } : {}),
    ...(change.because ? { because: change.because } : {}),
    operations: change.operationIds.flatMap((id) => {
      const operation = state.operations.get(id);
      return operation
        ? [
            {
              operationId: id,
              step: operation.step,
              state: operation.state,
              intentAt: operation.intentAt,
              ...(operation.requestToken ? { requestToken: operation.requestToken } : {}),
              ...(operation.error ? { error: { ...operation.error } } : {}),
              ...(operation.because ? { because: operation.because } : {}),
            },
          ]
        : [];
    }),
  };
}

const apply = gate({
  title: "Apply a planned change",
  description:
    "Execute one planned change by its execution token: the only tool that changes AWS. Live AWS is read again first and the change refused, with the difference, if it moved. Ask the user before applying. A token works once; calling again answers the recorded outcome.",
  scope: "region",
  changesAws: true,
  foreignText: true,
  input: z.object({ executionToken: z.string().min(1).describe("From the answer of a plan tool") }),
  output: z.object({
    ok: z.boolean(),
    outcome: z.string(),
    changeId: z.string(),
    resources: z.array(z.record(z.string(), z.unknown())),
  }),
  async run({ executionToken }, ports) {
    const report = await ports.apply(executionToken);
    return {
      data: {
        ok: report.outcome === "applied",
        outcome: report.outcome,
        changeId: report.change.id,
        tool: report.change.tool,
        summary: report.change.summary,
        ...(report.notes.length > 0 ? { notes: [...report.notes] } : {}),
        ...(report.repeated
          ? {
              repeated: {
                code: "token_spent",
                field: "executionToken",
                message:
                  "This token had been used before: the recorded outcome is shown, and nothing was sent to AWS now.",
              },
            }
          : {}),
        resources: report.resources.map((resource) => ({
          type: resource.ref.type,
          id: resource.ref.id,
          region: resource.ref.region,
          outcome: resource.outcome,
          // What is repeated is history: it proves nothing about now, so it carries no revision.
          ...(Object.keys(resource.content).length > 0
            ? report.repeated
              ? { recorded: resource.content }
              : { revision: ports.revision(resource), properties: resource.content }
            : {}),
        })),
      },
    };
  },
});

const get = gate({
  title: "Get a change",
  description: "One change: plan, difference, risk, state, operations. Also follows an operation still running in AWS.",
  scope: "region",
  changesAws: false,
  foreignText: true,
  input: z.object({ changeId: ChangeId }),
  output: z.object({ change: View }),
  async run({ changeId }, ports) {
    const change = await ports.follow(changeId);
    return { data: { change: viewOf(change.change, change.state, ports.now) } };
  },
});

const list = read({
  title: "List changes",
  description: "Changes of this store, newest first, with their state.",
  scope: "region",
  foreignText: true,
  input: z.object({
    states: z.array(z.enum(STATES)).min(1).optional(),
    limit: z.number().int().min(1).max(100).default(20),
  }),
  output: z.object({ count: z.number(), notShown: z.number(), changes: z.array(View) }),
  async run({ states, limit }, { state, now }) {
    const all = [...state.changes.values()].reverse().map((change) => viewOf(change, state, now));
    const fitting = states ? all.filter((view) => (states as readonly unknown[]).includes(view.state)) : all;
    const rows = fitting.slice(0, limit).map(({ steps: _steps, facts: _facts, ...row }) => row);
    return { data: { count: rows.length, notShown: fitting.length - rows.length, changes: rows } };
  },
});

const cancel = gate({
  title: "Cancel a planned change",
  description: "Cancel a change that has not been applied; its token dies. AWS is not touched.",
  scope: "region",
  changesAws: false,
  foreignText: false,
  input: z.object({ changeId: ChangeId }),
  output: z.object({ change: View }),
  async run({ changeId }, ports) {
    const change = await ports.cancel(changeId);
    if (change.state !== "cancelled") throw new OpsError("internal", `${changeId} was not cancelled.`);
    return { data: { change: viewOf(change, ports.state, ports.now) } };
  },
});

export const changes = domain("changes", { apply, get, list, cancel }, ["apply", "get"]);
