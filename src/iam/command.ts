// aws-devops-mcp iam-policy: the policies that the toolsets need, as JSON on stdout. Asks AWS nothing.

import { ConfigError } from "../config.js";
import { type LogGroup, type Policy, policiesFor } from "./policy.js";

/** One policy as it is, several as a list: IAM takes no longer ones. */
export function iamPolicy(
  toolsets: readonly string[],
  options: { readonly write: boolean; readonly logs?: LogGroup },
): string {
  let policies: Policy[];
  try {
    policies = policiesFor(toolsets, options);
  } catch (error) {
    if (error instanceof RangeError) throw new ConfigError(`--toolsets: ${error.message}`);
    throw error;
  }
  return `${JSON.stringify(policies.length === 1 ? policies[0] : policies, null, 2)}\n`;
}
