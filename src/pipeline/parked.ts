// Says, with every answer about a resource, that an operation on it waits for a decision.

import { parkedOperations } from "../../state/lineage.js";
import type { Call, Outcome, ParkedNotice } from "../core/call.js";
import { type ChangeStep, type Operation, ridOf, type State } from "../core/change.js";
import type { Layer } from "../core/compose.js";
import { readerOf } from "../session.js";

export interface ParkedDeps {
  readonly currentState: () => Promise<State>;
}

/** What these tools show is about everything that is open. */
const ABOUT_ALL: ReadonlySet<string> = new Set(["session.whoami", "changes.list"]);

export const parked =
  ({ currentState }: ParkedDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    const outcome = await next(call);
    const state = await currentState().catch(() => null);
    const waiting = state ? parkedOperations(state) : [];
    if (!state || waiting.length === 0) return outcome;
    const named = namesIn(call.input, facts(outcome));
    const notices = waiting
      .filter((operation) => concerns(operation, state, call, named))
      .map((operation) => notice(operation, state));
    return notices.length > 0 ? { ...outcome, parked: notices } : outcome;
  };

/** What an answer is made of. */
function facts(outcome: Outcome): unknown {
  if (outcome.status === "ok") return [outcome.data, (outcome.seen ?? []).map(({ ref }) => [ridOf(ref), ref.type])];
  if (outcome.status === "planned") return outcome.data;
  return outcome.error.details;
}

/** Every text that stands by itself in a document. */
function namesIn(...documents: readonly unknown[]): ReadonlySet<string> {
  const names = new Set<string>();
  const walk = (value: unknown): void => {
    if (typeof value === "string") names.add(value);
    else if (typeof value === "object" && value !== null) for (const member of Object.values(value)) walk(member);
  };
  documents.forEach(walk);
  return names;
}

const stepOf = (operation: Operation, state: State): ChangeStep =>
  state.changes.get(operation.changeId)!.steps[operation.step]!;

function concerns(operation: Operation, state: State, call: Call, named: ReadonlySet<string>): boolean {
  if (ABOUT_ALL.has(call.entry!.name)) return true;
  if (named.has(operation.id) || named.has(operation.changeId)) return true;
  const { ref, reader } = stepOf(operation, state);
  const rid = ridOf(ref);
  if (ref.id !== "" && named.has(rid)) return true;
  // A call without a place of its own is about what it names alone.
  if (!call.aws) return false;
  const { account, region } = call.aws;
  const here = call.everywhere !== undefined || ref.region === region || ref.region === "global";
  if (ref.account !== account || !here) return false;
  if (ref.id !== "") return named.has(ref.id) || named.has(state.resources.get(rid)?.alias ?? ref.id);
  // A create without a known id is about every answer on resources of its type.
  const domain = readerOf({ ref, reader }).tool.split(".")[0];
  return named.has(ref.type) || (domain !== "resources" && domain === call.entry!.domain);
}

function notice(operation: Operation, state: State): ParkedNotice {
  const change = state.changes.get(operation.changeId)!;
  return {
    operationId: operation.id,
    changeId: change.id,
    rid: ridOf(stepOf(operation, state).ref),
    what: change.summary,
    since: operation.parkedAt ?? operation.intentAt,
    because: operation.because ?? "",
    choices: ["import", "clear", "retry"],
    decideWith: { tool: "changes.resolve", arguments: { changeId: change.id } },
  };
}
