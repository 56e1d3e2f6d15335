// The core of the onion: a read reads, a plan proposes, a tool about the record holds its doors, and the gate does the rest.

import { type Cache, type CallCache, withFacts } from "../cache.js";
import type { Call, Outcome } from "../core/call.js";
import {
  type Caller,
  type LineageEntry,
  type Risk,
  type RiskLevel,
  ridOf,
  type Seen,
  type State,
  securityView,
  stepView,
} from "../core/change.js";
import { OpsError } from "../core/errors.js";
import type { Json, JsonObject } from "../core/json.js";
import type { Audit, GatePorts, Mode, Published, ReadPorts, Runs, SeenRecord } from "../core/ports.js";
import type { RecordDoors } from "../core/record.js";
import type { TaggingPorts } from "../core/tagging.js";
import type { PlanTool, ReadResult } from "../core/tool.js";
import { approvalForm } from "../gate/approval.js";
import type { Gate } from "../gate/index.js";
import type { Session } from "../session.js";

export interface RunDeps {
  readonly gate: Gate;
  readonly cache: Cache;
  readonly tagging: TaggingPorts;
  readonly record: RecordDoors;
  readonly published: Published;
  readonly audit: Audit | null;
  readonly runs: Runs;
  readonly session: Session;
  readonly currentState: () => Promise<State>;
  readonly lineage: (rid: string) => Promise<readonly LineageEntry[]>;
  readonly now: () => Date;
  readonly mode: Mode;
  readonly needsHuman: (risk: RiskLevel) => boolean;
  /** Whether the host may ask the human, where it can. */
  readonly asksInHost: boolean;
  readonly sessionId: string;
  readonly readOf: (domain: string, input: JsonObject) => { tool: string; arguments: JsonObject };
}

export const run =
  (deps: RunDeps) =>
  async (call: Call): Promise<Outcome> => {
    const { tool } = call.entry!;
    const input = call.input!;
    if (tool.kind === "store") {
      const { record, audit, runs, now, mode } = deps;
      const { progress } = call.context;
      return { status: "ok", ...(await tool.run(input, { record, audit, runs, progress, now: now(), mode })) };
    }
    if (tool.kind === "reference") {
      return { status: "ok", ...(await tool.run(input, { published: deps.published, now: deps.now() })) };
    }
    const { ports, cache } = await portsOf(deps, call);
    switch (tool.kind) {
      case "read":
        return { status: "ok", ...(await priced(cache, () => tool.run(input, ports))) };
      case "plan":
        return planned(deps, call, tool, ports);
      case "gate":
        return gated(deps, call, ports, cache);
      case "meta":
        throw new OpsError("internal", "A tool about tools reached the end of the pipeline.");
    }
  };

/** A tool's answer with what the cache has to say of it. What was paid for is said of a failure too. */
async function priced(cache: CallCache, run: () => Promise<ReadResult>): Promise<ReadResult> {
  try {
    const result = await run();
    return { ...result, data: withFacts(result.data, cache.facts()) };
  } catch (error) {
    const usd = cache.billedUsd();
    if (!(error instanceof OpsError) || usd === 0) throw error;
    const { code, message, field, details, next, cause } = error;
    const facts = { ...details, api_cost_usd: usd };
    throw new OpsError(code, message, { details: facts, next, cause, ...(field !== undefined && { field }) });
  }
}

async function portsOf(
  { gate, cache, tagging, currentState, lineage, session, mode, now, sessionId }: RunDeps,
  call: Call,
): Promise<{ readonly ports: ReadPorts; readonly cache: CallCache }> {
  const aws = call.aws!;
  const held = await currentState().catch(stateFailure);
  const caller: Caller = { arn: aws.identity.arn, session: sessionId };
  const forCall = cache.forCall({
    account: aws.account,
    arn: aws.identity.arn,
    ...(held instanceof OpsError ? {} : { state: held }),
  });
  const ports: ReadPorts = {
    aws,
    cached: forCall.cached,
    tagging,
    // A damaged store stops what needs the record, not a look at AWS.
    get state() {
      if (held instanceof OpsError) throw held;
      return held;
    },
    lineage,
    ledger: session,
    now: now(),
    caller,
    mode,
    revision: (seen) => session.revision(seen, seqOf(held, seen)),
    progress: call.context.progress,
    whoChanged: (questions) => gate.whoChanged(aws, questions),
  };
  return { ports, cache: forCall };
}

const seqOf = (state: State | OpsError, { ref }: Pick<Seen, "ref">): number =>
  state instanceof OpsError ? 0 : (state.resources.get(ridOf(ref))?.revisionSeq ?? 0);

/** The store's own refusal as a value; anything else is a fault. */
export function stateFailure(error: unknown): OpsError {
  if (error instanceof OpsError) return error;
  throw error;
}

async function planned(deps: RunDeps, call: Call, tool: PlanTool, ports: ReadPorts): Promise<Outcome> {
  const {
    intent,
    explanation = "",
    basedOn: given,
    ...rest
  } = call.input as JsonObject & { intent: string; explanation?: string };
  const basedOn = tool.basedOn === "none" ? undefined : await seenAt(deps, call, given);
  const proposal = await tool.propose(rest, Object.assign(ports, { basedOn: basedOn ?? new Map() }));
  const { change, token } = await deps.gate.plan({
    tool: call.entry!.name,
    proposal,
    aws: ports.aws,
    caller: ports.caller,
    intent,
    explanation,
    ...(basedOn ? { basedOn } : {}),
  });
  const data: JsonObject = {
    planned: true,
    nothingWasChanged: true,
    change: {
      changeId: change.id,
      summary: change.summary,
      risk: { level: change.risk.level, because: [...change.risk.because] },
      warnings: [...change.warnings],
      steps: change.steps.map((step) => stepView(step)),
      ...(change.policyResults ? { security: securityView(change.policyResults) } : {}),
      ...(change.facts ? { facts: change.facts } : {}),
      expiresAt: change.expiresAt,
    },
    executionToken: token,
    next: {
      tool: "changes.apply",
      arguments: { executionToken: token, region: change.region },
      when: deps.mode.allowWrites
        ? deps.needsHuman(change.risk.level)
          ? deps.asksInHost && call.context.askHuman
            ? "after the user has seen this difference; apply asks a human to approve it in a form"
            : "after a human has approved it in a terminal; apply names the command"
          : "after the user has seen this difference and agreed"
        : "not on this server: it is read-only",
    },
  };
  return { status: "planned", data, change, token };
}

/** What the given revisions showed, by resource. Whether they are enough is judged on the plan: see `checkBasedOn`. */
async function seenAt(deps: RunDeps, call: Call, given: Json | undefined): Promise<ReadonlyMap<string, SeenRecord>> {
  const revisions = (Array.isArray(given) ? given : given === undefined ? [] : [given])
    .map((one) => String(one).trim())
    .filter((text) => text !== "");
  const read = deps.readOf(call.entry!.domain, call.input!);
  const records = await Promise.all(revisions.map((revision) => deps.session.recall(revision)));
  return new Map(
    records.map((record, index) => {
      if (!record) {
        throw new OpsError(
          "stale_revision",
          "`basedOn` is no revision this server has shown on this machine, or one too old to be remembered. Nothing was planned. Read the resource again.",
          { field: "basedOn", details: { given: revisions[index]!.slice(0, 64) }, next: [read] },
        );
      }
      return [ridOf(record.ref), record] as const;
    }),
  );
}

async function gated(deps: RunDeps, call: Call, ports: ReadPorts, cache: CallCache): Promise<Outcome> {
  const { tool } = call.entry!;
  if (tool.kind !== "gate") throw new OpsError("internal", "Only tools about changes hold the gate.");
  let sync: Outcome["sync"];
  const aws = ports.aws;
  const settled = (name: string, outcome: "applied" | "unknown") => {
    sync = { tool: name, outcome, account: aws.account, region: aws.region };
  };
  let state = ports.state;
  const gatePorts: GatePorts = {
    ...ports,
    get state() {
      return state;
    },
    revision: (seen) => deps.session.revision(seen, seqOf(state, seen)),
    async apply(token) {
      const report = await deps.gate.apply({
        token,
        aws,
        caller: ports.caller,
        asked: { client: call.context.client, ...(call.context.reply ? { reply: call.context.reply } : {}) },
        progress: ports.progress,
      });
      state = await deps.currentState();
      if (!report.repeated) settled(report.change.tool, report.outcome === "applied" ? "applied" : "unknown");
      return report;
    },
    async cancel(changeId) {
      const result = await deps.gate.cancel(changeId, ports.caller, aws);
      state = result.state;
      if (result.change.state !== "cancelled") settled(result.change.tool, "unknown");
      return result.change;
    },
    async follow(changeId) {
      const before = ports.state.changes.get(changeId)?.state;
      const result = await deps.gate.follow(changeId, aws, ports.progress);
      state = result.state;
      const after = result.change.state;
      // One that the state does not hold ended long ago: nothing becomes stale by it now.
      if (before !== undefined && before !== after && (after === "applied" || after === "unknown"))
        settled(result.change.tool, after);
      return result;
    },
    async resolve(decision) {
      const result = await deps.gate.resolve(decision, aws, ports.caller);
      state = result.state;
      // An outcome that becomes known makes the same things stale as one that was known at once.
      const closed = decision.choice === "clear" || decision.choice === "retry";
      if (!closed) settled(result.change.tool, result.change.state === "applied" ? "applied" : "unknown");
      return result;
    },
    confirmed: (resources) =>
      deps.gate.confirmed(aws, resources, (done) => ports.progress("reading live", done, resources.length)),
    recordDrift: (reports) => deps.gate.recordDrift(reports),
  };
  try {
    const result = await priced(cache, () => tool.run(call.input!, gatePorts));
    return { status: "ok", ...result, ...(sync ? { sync } : {}) };
  } catch (error) {
    if (!(error instanceof OpsError) || !tool.changesAws) throw error;
    const changeId = error.details.changeId;
    const change = typeof changeId === "string" ? (await deps.currentState()).changes.get(changeId) : undefined;
    if (change && error.code === "approval_required" && deps.asksInHost && !call.context.reply) {
      // As rated just now.
      call.context.askHuman?.(approvalForm({ ...change, risk: error.details.risk as Risk }));
    }
    // A change that was begun may have changed something, whatever became of it; one that was refused has not.
    const begun =
      change && (error.code === "outcome_unknown" || error.code === "aws_failed" || "stepsDone" in error.details);
    if (!begun || error.details.nothingWasChanged === true) throw error;
    return {
      status: "failed",
      error,
      applied: "maybe",
      sync: { tool: change.tool, outcome: "unknown", account: aws.account, region: aws.region },
    };
  }
}
