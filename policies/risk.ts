// How dangerous a planned change is, and why: a table of rules over plain facts. Pure.

/** What a rule may look at. */
export interface RiskStep {
  readonly operation: string;
  readonly kind: "create" | "update" | "delete" | "action";
  /** CloudFormation type name. */
  readonly type: string;
  readonly input: unknown;
}
export type Level = "low" | "medium" | "high" | "critical";

const LEVELS: readonly Level[] = ["low", "medium", "high", "critical"];
const WORLD = new Set(["0.0.0.0/0", "::/0"]);
const STATEFUL =
  /^AWS::(RDS::DB(Instance|Cluster)|S3::Bucket|DynamoDB::Table|EC2::Volume|KMS::Key|SecretsManager::Secret|Logs::LogGroup|SQS::Queue|EFS::FileSystem)$/;

interface RiskRule {
  readonly level: Level;
  readonly because: string;
  matches(step: RiskStep): boolean;
}

const RULES: readonly RiskRule[] = [
  {
    level: "critical",
    because: "opens a port other than 80 or 443 to the whole internet",
    matches: (step) => worldPorts(step).some((port) => port !== 80 && port !== 443),
  },
  {
    level: "critical",
    because: "names the whole internet in a security group",
    matches: ({ type, operation, input }) =>
      type.startsWith("AWS::EC2::SecurityGroup") && operation.endsWith("Resource") && namesWorld(input),
  },
  { level: "high", because: "opens a port to the whole internet", matches: (step) => worldPorts(step).length > 0 },
  {
    level: "critical",
    because: "deletes a resource that holds data",
    matches: (step) => step.kind === "delete" && STATEFUL.test(step.type),
  },
  { level: "high", because: "deletes or terminates a resource", matches: (step) => step.kind === "delete" },
  {
    level: "high",
    because: "changes permissions or keys",
    matches: (step) => /^AWS::(IAM|KMS)::|Policy$|Permission$/.test(step.type),
  },
  { level: "medium", because: "removes security group rules", matches: (step) => step.operation.startsWith("Revoke") },
  {
    level: "medium",
    because: "changes who can reach a resource",
    matches: (step) => step.type.endsWith("SecurityGroup"),
  },
  {
    level: "medium",
    because: "creates a resource of a type without rules of its own",
    matches: (step) => step.operation === "CreateResource",
  },
  { level: "medium", because: "changes a running service", matches: (step) => step.kind === "update" },
];

const namesWorld = (input: unknown): boolean => {
  const text = JSON.stringify(input);
  return [...WORLD].some((range) => text.includes(`"${range}"`) || text.includes(`\\"${range}\\"`));
};

/** `-1` stands for all ports. */
function worldPorts(step: RiskStep): number[] {
  if (step.operation !== "AuthorizeSecurityGroupIngress") return [];
  const permissions = (step.input as { IpPermissions?: readonly Permission[] }).IpPermissions ?? [];
  return permissions.flatMap((permission) => {
    const ranges = [
      ...(permission.IpRanges ?? []).map((range) => range.CidrIp),
      ...(permission.Ipv6Ranges ?? []).map((range) => range.CidrIpv6),
    ];
    if (!ranges.some((range) => range !== undefined && WORLD.has(range))) return [];
    if (permission.FromPort === undefined || permission.FromPort !== permission.ToPort) return [-1];
    return [permission.FromPort];
  });
}

interface Permission {
  readonly FromPort?: number;
  readonly ToPort?: number;
  readonly IpRanges?: readonly { CidrIp?: string }[];
  readonly Ipv6Ranges?: readonly { CidrIpv6?: string }[];
}

/**
 * The risk of a plan: the highest level any rule gives any step, with every reason of that level or above medium.
 * @example riskOf([{ operation: "TerminateInstances", kind: "delete", type: "AWS::EC2::Instance", input: {} }]).level // "high"
 */
export function riskOf(steps: readonly RiskStep[]): { level: Level; because: readonly string[] } {
  const hits = RULES.filter((rule) => steps.some((step) => rule.matches(step)));
  const level = LEVELS[Math.max(0, ...hits.map((hit) => LEVELS.indexOf(hit.level)))]!;
  const because = hits.filter((hit) => hit.level === level || hit.level !== "medium").map((hit) => hit.because);
  if (steps.length > 5) because.push(`${steps.length} calls to AWS`);
  return { level, because: [...new Set(because)] };
}
