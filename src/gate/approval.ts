// The human's yes: who has to give it, what they are shown, where it is recorded. No tool argument ever is one.

import { needsHuman } from "../../policies/approval.js";
import type { ApprovalForm, ApprovalReply } from "../core/call.js";
import { approvalPhrase, type Change, type ChangeStep } from "../core/change.js";
import { operatorCommand } from "../core/command.js";
import { OpsError } from "../core/errors.js";
import { diff, type Json } from "../core/json.js";
import type { GateDeps } from "./deps.js";

/** A form is read by a human in a small window. */
const MOST_LINES = 12;
const MOST_VALUE = 60;

/** What a host shows the human: the plan and its differences, as stored. What the assistant wrote is marked as its words. */
export function approvalForm(change: Change): ApprovalForm {
  const { account, region, risk, warnings, steps } = change;
  const differences = steps.flatMap(linesOf);
  const lines = [
    change.summary,
    `account ${account}, region ${region}, as ${change.caller.arn}`,
    `risk ${risk.level}${risk.because.length > 0 ? `: ${risk.because.join("; ")}` : ""}`,
    ...warnings.slice(0, MOST_LINES).map((warning) => `warning: ${warning}`),
    ...differences.slice(0, MOST_LINES),
    ...(differences.length > MOST_LINES ? [`and ${differences.length - MOST_LINES} more`] : []),
    `the assistant's reason: ${short(change.intent)}`,
  ];
  return {
    changeId: change.id,
    planDigest: change.planDigest,
    message: lines.join("\n"),
    phrase: approvalPhrase(change),
  };
}

function linesOf(step: ChangeStep): readonly string[] {
  const differences = step.before && step.after ? diff(step.before, step.after) : [];
  return [
    `${step.service}.${step.operation} ${step.ref.type} ${step.ref.id}`.trim(),
    ...differences.map(({ path, before, after }) => `  ${path}: ${short(before)} → ${short(after)}`),
  ];
}

function short(value: Json | undefined): string {
  const text = value === undefined ? "nothing" : JSON.stringify(value);
  return text.length <= MOST_VALUE ? text : `${text.slice(0, MOST_VALUE)}…`;
}

/** What the operator types to see a plan and approve it. */
export const approveCommand = (changeId: string, state: string): string =>
  operatorCommand(["approve", changeId], state);

/**
 * Lets a change pass that needs no human, or has one's yes to exactly this plan: recorded before, or in the reply to our
 * form. A reply is recorded before anything is sent, and is good for no longer than the token.
 * @throws OpsError approval_required, with the command for a terminal.
 */
export async function ensureApproved(
  { config, store }: GateDeps,
  change: Change,
  now: Date,
  asked: { readonly client: string; readonly reply?: ApprovalReply },
): Promise<void> {
  if (!needsHuman(change.risk.level, config.approveFrom)) return;
  if (change.approval && now.toISOString() < change.approval.validUntil) return;
  const refused = (why: string): OpsError =>
    new OpsError("approval_required", why, {
      field: "executionToken",
      details: { changeId: change.id, risk: change.risk, command: approveCommand(change.id, store.location) },
      next: [{ tool: "changes.get", arguments: { changeId: change.id } }],
    });
  const reply = config.approveVia === "host" ? asked.reply : undefined;
  if (!reply || reply.changeId !== change.id || reply.planDigest !== change.planDigest) {
    throw refused(
      `A human has to approve this change of ${change.risk.level} risk outside the model. Nothing was sent. Ask the user to run the command in \`command\` in a terminal, then apply again.`,
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
  await store.commit(() => [
    {
      type: "change.approved",
      changeId: change.id,
      planDigest: change.planDigest,
      channel: "elicitation",
      by: `a human at ${asked.client}`,
      validUntil: change.expiresAt,
    },
  ]);
}
