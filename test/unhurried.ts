// A server without budgets, for stories that make many calls.

/** Stories ask as often as they like; what limits a session is tested where it is the subject. No log of theirs is kept either. */
export const UNHURRIED: Readonly<Record<string, string>> = {
  AWS_DEVOPS_MCP_CALLS_PER_HOUR: "0",
  AWS_DEVOPS_MCP_IDENTICAL_CALLS: "0",
  AWS_DEVOPS_MCP_UNKNOWN_TOOLS: "0",
  AWS_DEVOPS_MCP_AUDIT_DB: "off",
};
