// Holds every tool to what its toolset says it asks of AWS (src/iam/uses.ts): policies are made from that.

import { ANY_TOOL, USES } from "../../src/iam/uses.js";
import type { Seen } from "./proxy.js";

/** How requests are signed, where that is not what the product calls the service. */
const SIGNED_AS: Readonly<Record<string, string>> = {
  cloudcontrolapi: "cloudcontrol",
  elasticloadbalancing: "elbv2",
};
/** Not the server's own calls: what its credentials cost, and what wraps the keys of its store. */
const NOT_OF_TOOLS: ReadonlySet<string> = new Set(["sts:AssumeRole", "kms:GenerateDataKey", "kms:Decrypt"]);

export function undeclared(tool: string, calls: readonly Pick<Seen, "service" | "operation">[]): string[] {
  const toolset = tool.split(".")[0]!;
  const own = USES[toolset];
  const rows = own?.others ? Object.values(USES) : own ? [own] : [];
  const named = new Set<string>([...ANY_TOOL, ...rows.flatMap(({ reads, writes }) => [...reads, ...writes])]);
  const asked = calls.map(({ service, operation }) => `${SIGNED_AS[service] ?? service}:${operation}`);
  return [...new Set(asked)]
    .filter((name) => !named.has(name) && !NOT_OF_TOOLS.has(name))
    .map((name) => `${toolset}: ${name} (asked by ${tool})`);
}
