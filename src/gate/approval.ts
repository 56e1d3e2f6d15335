// The human's yes: who has to give it, what they are shown, where it is recorded. No tool argument ever is one.

import { needsHuman } from "../../policies/approval.js";
import { isAtLeast } from "../../policies/risk.js";
import type { ApprovalForm, ApprovalReply } from "../core/call.js";
import { approvalPhrase, type Change, type ChangeStep, type Risk } from "../core/change.js";
import { operatorCommand } from "../core/command.js";
import { OpsError } from "../core/errors.js";
import { diff, type Json, type JsonObject } from "../core/json.js";
import type { GateDeps } from "./deps.js";
import { planRisk } from "./guards.js";

/** A form is read by a human in a small window. */
const MOST_LINES = 12;
const MOST_DIFFERENCES = 16;
const MOST_VALUE = 160;
const MOST_LINE = 400;

/** What a host shows the human: the plan and its differences, as stored. What the assistant wrote is marked as its words. */
export function approvalForm(change: Change): ApprovalForm {
  const { account, region, risk, warnings, steps } = change;
  const fresh = change.policyResults?.findings.filter(({ existing }) => !existing) ?? [];
  let left = MOST_DIFFERENCES;
  const plan = steps.flatMap((step) => {
    const differences = differencesOf(step);
    const shown = differences.slice(0, left);
    left -= shown.length;
    const more = differences.length - shown.length;
    return [headOf(step), ...shown, ...(more > 0 ? [`  and ${more} more differences`] : [])];
  });
  const lines = [
    change.summary,
    `account ${account}, region ${region}, as ${change.caller.arn}`,
    `risk ${risk.level}${risk.because.length > 0 ? `: ${risk.because.join("; ")}` : ""}`,
    ...plan,
    ...firstOf(warnings.map((warning) => `warning: ${warning}`)),
    ...firstOf(fresh.map(({ rule, message }) => `finding: ${rule} ${message}`)),
    `the assistant's reason: ${short(change.intent)}`,
  ];
  return {
    changeId: change.id,
    planDigest: change.planDigest,
    risk: risk.level,
    message: lines.map(oneLine).join("\n"),
    phrase: approvalPhrase(change),
  };
}

const firstOf = (lines: readonly string[]): readonly string[] =>
  lines.length <= MOST_LINES
    ? lines
    : [...lines.slice(0, MOST_LINES), `and ${lines.length - MOST_LINES} more of these`];

/** Every name and every text in a line may be somebody's who would like to write another one. */
function oneLine(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ");
  return line.length <= MOST_LINE ? line : `${line.slice(0, MOST_LINE)}…`;
}

const headOf = ({ service, operation, ref }: ChangeStep): string =>
  `${service}.${operation} ${ref.type} ${ref.id}`.trim();

/** What becomes other than it is; of a create, all that is asked for. */
function differencesOf({ service, kind, input, before, after }: ChangeStep): readonly string[] {
  const made = kind === "create" ? (service === "cloudcontrol" ? after : input) : null;
  const differences = made ? diff({}, made) : before && after ? diff(before, after) : [];
  return differences.map(({ path, before, after }) => `  ${path}: ${short(before)} → ${short(after)}`);
}

function short(value: Json | undefined): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length <= MOST_VALUE ? text : `${text.slice(0, MOST_VALUE)}…`;
}

/** A plan may be older than the operator's rules, or of another process, or than a tag: the graver rating counts. */
const worseOf = (planned: Risk, now: Risk): Risk => (isAtLeast(now.level, planned.level) ? now : planned);

/** What the operator types to see a plan and approve it. */
export const approveCommand = (changeId: string, state: string): string =>
  operatorCommand(["approve", changeId], state);

/**
 * Lets a change pass that needs no human, or has one's yes to exactly this plan: recorded before, or in the reply to our
 * form. A reply is recorded before anything is sent, and is good for no longer than the token. Where the world moved and
 * made the plan more dangerous, no yes of before counts: that is recorded, so that whoever is asked next sees it.
 * @param live what the resources of the plan hold now, by key, where that was read
 * @returns the change with the approval it rests on
 * @throws OpsError approval_required, with the command for a terminal.
 */
export async function ensureApproved(
  { config, store, clock }: GateDeps,
  change: Change,
  asked: { readonly client: string; readonly reply?: ApprovalReply },
  live?: ReadonlyMap<string, JsonObject | null>,
): Promise<Change> {
  const { steps, policyResults, approval } = change;
  const shown = worseOf(change.risk, planRisk(steps, policyResults, config));
  const risk = live ? worseOf(shown, planRisk(steps, policyResults, config, live)) : shown;
  if (!needsHuman(risk.level, config.approveFrom)) return change;
  /** The world moved, and no human was shown this. */
  const raised = !isAtLeast(shown.level, risk.level);
  const covers = (level: Risk["level"]): boolean => !raised && isAtLeast(level, change.risk.level);
  const valid = approval && clock.now().toISOString() < approval.validUntil;
  if (valid && covers(approval.risk ?? change.risk.level)) return change;
  if (raised) {
    await store.commit((state) => {
      const known = state.changes.get(change.id);
      if (known?.state !== "planned" || isAtLeast(known.risk.level, risk.level)) return [];
      return [{ type: "change.rated", changeId: change.id, risk }];
    });
  }
  const refused = (why: string): OpsError =>
    new OpsError("approval_required", why, {
      field: "executionToken",
      details: { changeId: change.id, risk, command: approveCommand(change.id, store.location) },
      next: [{ tool: "changes.get", arguments: { changeId: change.id } }],
    });
  const reply = config.approveVia === "host" ? asked.reply : undefined;
  const ofThis = reply && reply.changeId === change.id && reply.planDigest === change.planDigest;
  // What was shown at a lower risk was another question.
  if (!ofThis || (reply.action === "accept" && !covers(reply.risk))) {
    throw refused(
      `A human has to approve this change of ${risk.level} risk outside the model. Nothing was sent. Ask the user to run the command in \`command\` in a terminal, then apply again.`,
    );
  }
  if (reply.action !== "accept") {
    throw refused(
      "The user was shown this change and did not approve it. Nothing was sent, and it stays planned. Ask what they want instead; do not apply it again unless they say so.",
    );
  }
  if (reply.typed.trim() !== approvalPhrase(change)) {
    throw refused(
      "The user typed another name than the one that was asked for, so nothing was approved or sent. Ask whether they want this change; apply again to have them asked again.",
    );
  }
  const { state } = await store.commit(() => [
    {
      type: "change.approved",
      changeId: change.id,
      planDigest: change.planDigest,
      risk: reply.risk,
      channel: "elicitation",
      by: `a human at ${asked.client}`,
      validUntil: change.expiresAt,
    },
  ]);
  const given = state.changes.get(change.id)?.approval;
  return given ? { ...change, approval: given } : change;
}
