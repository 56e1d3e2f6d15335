// Changes: apply one by its token, look at them, cancel one.

import { z } from "zod";
import { type Change, type ChangeStep, type State, securityView, stepView } from "../src/core/change.js";
import { isObject, type JsonObject, looksSecret, redact } from "../src/core/json.js";
import { type Visible, visible } from "../src/core/shown.js";
import { data, domain, gate, read } from "../src/core/tool.js";
import { readerOf } from "../src/session.js";

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
    steps: change.steps.map((step) => stepView(step)),
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
              ...(operation.parkedAt ? { parkedAt: operation.parkedAt } : {}),
              ...(operation.resolved ? { resolved: { ...operation.resolved } } : {}),
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
          ...(resource.notVerified !== undefined && { notVerified: resource.notVerified }),
          ...(resource.notProven !== undefined && { notProven: resource.notProven }),
          // What is repeated is history: it proves nothing about now, so it carries no revision.
          ...(Object.keys(resource.content).length > 0
            ? report.repeated
              ? { recorded: visible(resource).content }
              : { revision: ports.revision(resource), ...properties(visible(resource)) }
            : {}),
        })),
      },
    };
  },
});

const properties = ({ content, notShown }: Visible): JsonObject => ({
  properties: content,
  ...(notShown ? { notShown: { ...notShown } } : {}),
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
    // How those ended that a large store leaves to its archive is not known here: they count where no state is asked for.
    const older = states ? 0 : (state.spilled?.changes ?? 0);
    return { data: { count: rows.length, notShown: fitting.length - rows.length + older, changes: rows } };
  },
});

const cancel = gate({
  title: "Cancel a change",
  description:
    "Cancel a change that has not been applied: its token dies and AWS is not touched. Of one under way in Cloud Control, AWS is asked to stop the request; what it did until then stays, and the answer says how it ended.",
  scope: "region",
  changesAws: false,
  foreignText: false,
  input: z.object({ changeId: ChangeId }),
  output: z.object({ change: View }),
  async run({ changeId }, ports) {
    const change = await ports.cancel(changeId);
    return { data: { change: viewOf(change, ports.state, ports.now) } };
  },
});

const resolve = gate({
  title: "Decide a parked operation",
  description:
    "End an operation that `parked` names: its call was sent, nothing proves what became of it, and its resource is held. `import`: what live AWS shows is its outcome (`identifier`: what a create made). `clear`: it was not carried out; refused if live plainly shows it was. `retry`: as clear, and answers how to plan it again. `record`: the signed outcome of an `unrecordedOutcome`. Ask the user first. AWS is read, never changed.",
  scope: "region",
  changesAws: false,
  foreignText: true,
  input: z.object({
    changeId: ChangeId.optional(),
    operationId: z
      .string()
      .regex(/^op_[0-9a-z]+$/, "must look like op_1b")
      .optional(),
    choice: z.enum(["import", "clear", "retry"]).optional(),
    reason: data(z.string().min(1).max(1024)).describe("Why, for the record"),
    identifier: z.string().min(1).max(1024).optional().describe("For import of a create: what AWS calls it"),
    record: data(z.string().min(1).max(8192)).optional().describe("To the letter"),
  }),
  output: z.object({
    ok: z.boolean(),
    operationId: z.string(),
    change: View,
    resources: z.array(z.record(z.string(), z.unknown())),
  }),
  async run(decision, ports) {
    const { change, step, operationId, state, resources, notes } = await ports.resolve(decision);
    return {
      data: {
        ok: true,
        operationId,
        ...(notes.length > 0 ? { notes: [...notes] } : {}),
        resources: resources.map((resource) => ({
          type: resource.ref.type,
          id: resource.ref.id,
          region: resource.ref.region,
          revision: ports.revision(resource),
          properties: resource.content,
        })),
        change: viewOf(change, state, ports.now),
        ...(decision.choice === "retry" ? planAgain(change, step) : {}),
      },
      seen: resources,
    };
  },
});

/** What a plan tool was asked for, as far as it follows from the step it made: tool → its arguments. */
const ASKED: Readonly<Record<string, (step: ChangeStep) => JsonObject>> = {
  "resources.create": ({ ref, desired = {} }) => ({ type: ref.type, properties: desired }),
  "resources.update": ({ ref, desired = {} }) => ({ type: ref.type, identifier: ref.id, properties: desired }),
  "resources.delete": ({ ref }) => ({ type: ref.type, identifier: ref.id }),
  "instances.terminate": ({ ref }) => ({ instanceIds: [ref.id] }),
  "instances.launch": ({ input, desired = {} }) => ({
    ...picked(input, {
      imageId: "ImageId",
      instanceType: "InstanceType",
      count: "MinCount",
      subnetId: "SubnetId",
      securityGroupIds: "SecurityGroupIds",
      keyName: "KeyName",
      userData: "UserData",
    }),
    ...picked(desired, { tags: "tags" }),
  }),
};

const picked = (from: JsonObject, names: Readonly<Record<string, string>>): JsonObject =>
  Object.fromEntries(
    Object.entries(names).flatMap(([name, source]) => (from[source] === undefined ? [] : [[name, from[source]]])),
  );

/**
 * The calls that plan a step anew: a fresh read of what it is about, then the plan. What the step does not tell, and
 * secrets, which are not kept, have to be given again.
 */
function planAgain(change: Change, step: ChangeStep): JsonObject {
  const read = readerOf(step);
  const asked = ASKED[change.tool];
  const giveAgain: string[] = [];
  const known = redact(
    asked ? asked(step) : step.ref.id === "" ? {} : read.arguments,
    (path, name) => {
      const secret = looksSecret(name) || name === "$secret";
      if (secret) giveAgain.push(path.replace(/\/\$secret$/, ""));
      return secret;
    },
    () => null,
  );
  const plan = {
    tool: change.tool,
    arguments: { ...without(known as JsonObject, giveAgain), intent: change.intent, region: change.region },
  };
  return {
    next: step.ref.id === "" ? [plan] : [{ ...read }, plan],
    planned: stepView(step),
    ...(giveAgain.length > 0 ? { giveAgain } : {}),
    ...(asked ? {} : { incomplete: `Give ${change.tool} the rest of its arguments from \`planned\`.` }),
  };
}

/** The document without what stands at these pointers. */
function without(document: JsonObject, pointers: readonly string[], at = ""): JsonObject {
  return Object.fromEntries(
    Object.entries(document).flatMap(([key, member]) => {
      const here = `${at}/${key}`;
      if (pointers.includes(here)) return [];
      return [[key, isObject(member) ? without(member as JsonObject, pointers, here) : member]];
    }),
  );
}

export const changes = domain("changes", { apply, get, list, cancel, resolve }, ["apply", "get"]);
