// `aws-devops-mcp approve`: a human sees a plan in a terminal, where no model types, and says yes to exactly that plan.

import { type Config, ConfigError } from "./config.js";
import { approvalPhrase, type Change, securityView, stepView } from "./core/change.js";
import { present } from "./render.js";
import { buildStore, type Host } from "./serve.js";

export interface Approver extends Host {
  /** Null where there is no terminal: then nobody can be asked, and nothing is approved. */
  readonly terminal: { ask(question: string): Promise<string> } | null;
  write(text: string): void;
}

/** Shows a planned change and records the approval. Exit code 1 where it was not given. */
export async function approve(config: Config, words: readonly string[], host: Approver): Promise<number> {
  const [changeId, ...extra] = words;
  if (changeId === undefined || extra.length > 0) throw new ConfigError("approve takes one change id, such as ch_1a");
  const { store } = await buildStore(config, host, "terminal");
  const told = (text: string, code = 1): number => {
    host.write(`${text}\n`);
    return code;
  };
  try {
    const change = (await store.recall(changeId))?.changes.get(changeId);
    if (!change)
      return told(`The state in ${store.location} knows no change ${changeId}. Give --state as the server has it.`);
    host.write(shown(change));
    if (change.state !== "planned") return told(`It is ${change.state}: there is nothing to approve.`);
    if (host.clock.now().toISOString() >= change.expiresAt) return told("It has expired: it has to be planned again.");
    if (!host.terminal) return told("An approval is given in a terminal. This is none, so nothing was approved.");
    const phrase = approvalPhrase(change);
    const typed = await host.terminal.ask(`\nTo approve exactly this, type ${phrase}: `);
    if (typed.trim() !== phrase) return told("That is not it. Nothing was approved.");
    await store.commit(() => [
      {
        type: "change.approved",
        changeId,
        planDigest: change.planDigest,
        risk: change.risk.level,
        channel: "terminal",
        by: host.user,
        validUntil: change.expiresAt,
      },
    ]);
    return told(`Approved until ${change.expiresAt}. The assistant can apply it now.`, 0);
  } finally {
    await store.close();
  }
}

function shown(change: Change): string {
  const facts = present({
    change: change.id,
    summary: change.summary,
    account: change.account,
    region: change.region,
    plannedBy: change.caller.arn,
    intent: change.intent,
    explanation: change.explanation,
    risk: { level: change.risk.level, because: [...change.risk.because] },
    warnings: [...change.warnings],
    steps: change.steps.map((step) => stepView(step, "everything")),
    ...(change.policyResults ? { security: securityView(change.policyResults, "everything") } : {}),
  });
  return `${JSON.stringify(facts, null, 2)}\n`;
}
