// Proposal → change + token. Nothing changes in AWS here.

import { claims } from "../../state/fold.js";
import { changeId, mintToken, tokenSha256 } from "../../state/tokens.js";
import {
  type Caller,
  type Change,
  type ChangeStep,
  liveDigest,
  type Proposal,
  planDigest,
  ridOf,
} from "../core/change.js";
import { OpsError } from "../core/errors.js";
import type { AwsReader, SeenRecord } from "../core/ports.js";
import { checkBasedOn } from "./conflict.js";
import { refuseDataLoss } from "./data-kept.js";
import type { GateDeps } from "./deps.js";
import { checkPlan, planRisk, refuseForbidden, refuseUnsafe } from "./guards.js";
import { refuseStackOwned } from "./stack-owned.js";

export interface PlanRequest {
  readonly tool: string;
  readonly proposal: Proposal;
  readonly aws: AwsReader;
  readonly caller: Caller;
  readonly intent: string;
  readonly explanation: string;
  /** Set for tools that replace or remove. */
  readonly basedOn?: ReadonlyMap<string, SeenRecord>;
  /** Whether the last plan or apply on this resource was refused too. */
  refusedBefore(rid: string): boolean;
}

/**
 * Stores a proposal as a change under a fresh execution token.
 * @throws OpsError precondition_required, stale_revision, stack_owned, forbidden_by_operator, unsafe_change, resource_busy,
 * access_denied and what AWS's dry run says.
 */
export async function planChange(deps: GateDeps, request: PlanRequest): Promise<{ change: Change; token: string }> {
  const { proposal, aws, tool } = request;
  const at = deps.clock.now();
  const current = await deps.store.state();
  if (request.basedOn) {
    const adds = new Set(proposal.addsOnly);
    await checkBasedOn(
      [...(proposal.basis ?? []), ...proposal.steps].filter(({ ref }) => !adds.has(ridOf(ref))),
      request.basedOn,
      { aws, state: current, at: at.toISOString(), refusals: request.refusedBefore },
      deps,
    );
  }
  if (proposal.steps.length === 0) {
    throw new OpsError("nothing_to_change", proposal.summary, { details: { warnings: [...proposal.warnings] } });
  }
  refuseForbidden(deps.config, proposal.steps);
  for (const step of proposal.steps) refuseStackOwned(step, step.before, deps.config.allowStackOwned);
  const { steps, envelopes } = await deps.secrets.hide({
    steps: proposal.steps,
    schemaOf: (type) => aws.schema(type),
    storedOf: (rid) => current.resources.get(rid)?.envelopes ?? [],
  });
  const kept: string[] = [];
  for (const step of proposal.steps) kept.push(...(await refuseDataLoss(aws, step, at)));
  const warnings = [...proposal.warnings, ...kept, ...(await preflight(proposal.steps, aws, deps.config.allowWrites))];
  const facts = proposal.facts && (await deps.secrets.hideFacts(proposal.facts));
  const policyResults = await checkPlan(steps, deps.scan);
  refuseUnsafe(deps.config, policyResults);
  const risk = planRisk(steps, policyResults, deps.config);
  const where = { tool, account: aws.account, region: aws.region, steps };
  let token = "";
  const { state, seq } = await deps.store.commit((now, next) => {
    const held = claims(now);
    const rid = proposal.steps.map((step) => ridOf(step.ref)).find((one) => held.has(one));
    if (rid !== undefined) return busy(rid, held.get(rid)!.changeId);
    token = mintToken(next, deps.ids);
    return [
      {
        type: "change.planned",
        change: {
          id: changeId(next),
          summary: proposal.summary,
          steps,
          warnings,
          ...(proposal.rolledBackTo ? { rolledBackTo: proposal.rolledBackTo } : {}),
          ...(facts ? { facts } : {}),
          ...(envelopes.length > 0 ? { envelopes } : {}),
          tool,
          intent: request.intent,
          explanation: request.explanation,
          caller: request.caller,
          account: aws.account,
          region: aws.region,
          planDigest: planDigest(where),
          liveDigest: liveDigest(steps),
          risk,
          ...(policyResults && { policyResults }),
          tokenSha256: tokenSha256(token),
          plannedAt: at.toISOString(),
          expiresAt: new Date(at.getTime() + deps.config.tokenMinutes * 60_000).toISOString(),
        },
      },
    ];
  });
  const change = state.changes.get(changeId(seq));
  if (!change) throw new OpsError("internal", "The plan was stored and cannot be found.");
  return { change, token };
}

const busy = (rid: string, changeId: string): OpsError =>
  new OpsError(
    "resource_busy",
    `Change ${changeId} holds this resource until its outcome is recorded. Nothing was planned; look at that change first.`,
    { details: { rid, changeId }, next: [{ tool: "changes.get", arguments: { changeId } }] },
  );

/** AWS's own word on each step. Where this server may not write anyway, a denied dry run is a warning only. */
async function preflight(steps: readonly ChangeStep[], aws: AwsReader, allowWrites: boolean): Promise<string[]> {
  const warnings: string[] = [];
  for (const step of steps) {
    try {
      await aws.preflight(step);
    } catch (error) {
      if (!(error instanceof OpsError) || error.code !== "access_denied" || allowWrites) throw error;
      warnings.push(`These credentials may not call ${step.service}.${step.operation}: applying would be denied.`);
    }
  }
  return warnings;
}
