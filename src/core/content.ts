// What our own readers say of AWS resources: one schema a resource, for the tools that answer it and the readers that build it.

import { z } from "zod";
import type { JsonObject } from "./json.js";

const Tags = z.record(z.string(), z.string());

export const Instance = z.object({
  instanceId: z.string(),
  name: z.string().optional(),
  state: z.string().describe("pending, running, shutting-down, terminated, stopping or stopped"),
  instanceType: z.string(),
  imageId: z.string().optional(),
  availabilityZone: z.string().optional(),
  subnetId: z.string().optional(),
  vpcId: z.string().optional(),
  privateIp: z.string().optional(),
  publicIp: z.string().optional(),
  securityGroups: z.array(z.string()),
  autoScalingGroup: z.string().optional(),
  launchedAt: z.string().optional(),
  tags: Tags,
});
export type Instance = z.infer<typeof Instance>;

export const Rule = z.object({
  ruleId: z.string(),
  direction: z.enum(["ingress", "egress"]),
  protocol: z.string().describe("tcp, udp, icmp, icmpv6, -1 for all, or a protocol number"),
  fromPort: z.number().optional(),
  toPort: z.number().optional(),
  peer: z.string().describe("a CIDR block, a security group id or a prefix list id"),
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

export const Region = z.object({
  region: z.string(),
  optIn: z.string().describe("opt-in-not-required, opted-in or not-opted-in"),
});
export type Region = z.infer<typeof Region>;

/** What hangs on a security group or an instance, so that a plan can say what it would hit. */
export interface InstanceDependants {
  readonly terminationProtection: boolean;
  readonly volumes: readonly { volumeId: string; deleteOnTermination: boolean }[];
  readonly elasticIps: readonly string[];
}

export interface GroupUser {
  readonly networkInterfaceId: string;
  readonly instanceId?: string;
  readonly description?: string;
}

/** The resource types with a reader of their own; every other type is read through Cloud Control. */
export interface Contents {
  "AWS::EC2::Instance": Instance;
  "AWS::EC2::SecurityGroup": SecurityGroup;
}

/** Where a type keeps its tags: a list of Key and Value, a map, or the list of an Auto Scaling group. */
export interface TagRule {
  readonly property: string;
  readonly shape: "list" | "map" | "asg";
}

/** A resource type's rules, trimmed to what plans and comparisons need. Pointers use `*` for array indices. */
export interface ResourceSchema {
  readonly type: string;
  /** Where it was read: AWS's registry now, or the table shipped with this version. */
  readonly source: "registry" | "built-in" | "none";
  readonly primaryIdentifier: readonly string[];
  readonly readOnly: readonly string[];
  readonly writeOnly: readonly string[];
  /** False where the source cannot say which properties AWS never shows. */
  readonly writeOnlyKnown?: boolean;
  readonly createOnly: readonly string[];
  /** Properties whose change may replace the resource or interrupt it. */
  readonly conditional?: readonly string[];
  readonly required: readonly string[];
  /** Arrays whose order means nothing. */
  readonly unordered: readonly string[];
  readonly tags?: TagRule;
  /** Property name → type and one line of description. */
  readonly properties: Readonly<Record<string, { readonly type: string; readonly description?: string }>>;
  /** Fields that ListResources needs in its resource model. */
  readonly listRequires: readonly string[];
  /** Where it needs all of one of several sets of fields. */
  readonly listRequiresOneOf?: readonly (readonly string[])[];
  /** Minutes after which AWS itself gives up; 120 where it declares nothing. */
  readonly timeouts?: Readonly<Partial<Record<"create" | "update" | "delete", number>>>;
  /** Holds data that a deletion or replacement loses. */
  readonly stateful?: boolean;
  readonly arn?: string;
  /** Kind of scrutiny a change deserves; `""` is the type itself. */
  readonly scrutiny?: Readonly<Record<string, string>>;
  /** What a property may name: types, and the property of theirs. Candidates, not facts. */
  readonly refs?: Readonly<Record<string, readonly { readonly type: string; readonly path: string }[]>>;
  readonly defaults?: Readonly<Record<string, string>>;
  /** Properties of which AWS keeps one; of those read back only the first is written. */
  readonly exclusive?: readonly (readonly string[])[];
}

const CONFIDENCE = { registry: "high", "built-in": "medium", none: "low" } as const;

/** Where a plan's rules come from, and how sure they are: shown with every answer that rests on them. */
export const sourceOf = ({ source }: Pick<ResourceSchema, "source">) => ({ source, confidence: CONFIDENCE[source] });

/** Pointers into a content that AWS moves by itself: part of what a revision covers, never drift. */
const VOLATILE: Readonly<Record<string, readonly string[]>> = {
  "AWS::EC2::Instance": ["/state", "/publicIp", "/privateIp", "/launchedAt"],
};

export const volatileOf = (type: string): readonly string[] => VOLATILE[type] ?? [];

/** Whether AWS still lists a resource that is already on its way out. */
export const isGone = (type: string, content: JsonObject | null): boolean =>
  content === null ||
  (type === "AWS::EC2::Instance" && (content.state === "terminated" || content.state === "shutting-down"));

/** A rule in a few characters, from validated parts only: `tcp/22 from 10.0.0.0/8`. */
export function showRule(rule: Omit<Rule, "ruleId">): string {
  const one = rule.fromPort === rule.toPort ? rule.fromPort : `${rule.fromPort}-${rule.toPort}`;
  const traffic =
    rule.protocol === "-1" ? "all traffic" : `${rule.protocol}/${rule.fromPort === undefined ? "all" : one}`;
  return `${traffic} ${rule.direction === "ingress" ? "from" : "to"} ${rule.peer}`;
}
