// Security groups as our reader shows them.

import { z } from "zod";
import { Tags } from "./tags.js";

export const Rule = z.object({
  ruleId: z.string(),
  direction: z.enum(["ingress", "egress"]),
  protocol: z.string().describe("tcp, udp, icmp, icmpv6, -1 for all, or a protocol number"),
  fromPort: z.number().optional(),
  toPort: z.number().optional(),
  peer: z
    .string()
    .describe("a CIDR block, a security group id (account/id where it is another account's) or a prefix list id"),
  description: z.string().optional(),
});
export type Rule = z.infer<typeof Rule>;

export const SecurityGroup = z.object({
  groupId: z.string(),
  groupName: z.string(),
  description: z.string(),
  vpcId: z.string().optional(),
  rules: z.array(Rule),
  tags: Tags,
});
export type SecurityGroup = z.infer<typeof SecurityGroup>;

/** Who stands behind a security group. */
export interface GroupUser {
  readonly networkInterfaceId: string;
  readonly instanceId?: string;
  readonly description?: string;
}

/** A group whose rules name another one as their peer. */
export interface GroupReference {
  readonly groupId: string;
  readonly direction: Rule["direction"];
}

type Range = Pick<Rule, "fromPort" | "toPort">;

const portsOf = ({ fromPort, toPort }: Range): string =>
  fromPort === undefined ? "all" : fromPort === toPort ? `${fromPort}` : `${fromPort}-${toPort}`;

/** Of ICMP the ports are a type and a code. */
const icmpOf = ({ fromPort = -1, toPort = -1 }: Range): string =>
  fromPort === -1 ? "all" : `type ${fromPort}${toPort === -1 ? "" : ` code ${toPort}`}`;

/** A rule in a few characters, from validated parts only: `tcp/22 from 10.0.0.0/8`. */
export function showRule(rule: Omit<Rule, "ruleId">): string {
  const one = rule.protocol.startsWith("icmp") ? icmpOf(rule) : portsOf(rule);
  const traffic = rule.protocol === "-1" ? "all traffic" : `${rule.protocol}/${one}`;
  return `${traffic} ${rule.direction === "ingress" ? "from" : "to"} ${rule.peer}`;
}
