// How dangerous a planned change is, and why: a table of rules over plain facts, then what the operator says. Pure.

import { isStepPattern, type StepFacts, stepMatches } from "./steps.js";
import { hasPorts, isWorld, STATEFUL } from "./types.js";

/** What a rule may look at. */
export interface RiskStep extends StepFacts {
  /** Empty for a resource that does not exist yet. */
  readonly id?: string;
  readonly input: unknown;
  /** How many others it launches or terminates by what it asks of this one. */
  readonly moves?: number;
  /** What the difference does, judged elsewhere: protections that go, findings that come. */
  readonly effects?: readonly { readonly level: Level; readonly because: string }[];
  /** Whether its tags say production. */
  readonly production?: boolean;
}
export type Level = "low" | "medium" | "high" | "critical";

export const LEVELS: readonly Level[] = ["low", "medium", "high", "critical"];

/** From which level on something happens. */
export const THRESHOLDS = ["never", "low", "medium", "high", "critical"] as const;
export type Threshold = (typeof THRESHOLDS)[number];

/** @example isAtLeast("critical", "high") // true */
export const isAtLeast = (level: Level, from: Threshold): boolean =>
  from !== "never" && LEVELS.indexOf(level) >= LEVELS.indexOf(from);

/** An operator's own word on the level of a step. */
export interface RiskOverride {
  readonly level: Level;
  /** See `stepMatches`. */
  readonly pattern: string;
}

/**
 * The override that a text stands for, or null where it has another shape.
 * @example parseRiskRule("critical=delete AWS::EC2::Instance") // { level: "critical", pattern: "delete AWS::EC2::Instance" }
 */
export function parseRiskRule(text: string): RiskOverride | null {
  const [level = "", pattern = ""] = text.split(/=(.*)/s);
  return (LEVELS as readonly string[]).includes(level) && isStepPattern(pattern)
    ? { level: level as Level, pattern }
    : null;
}

/** More resources than this in one plan are many: the level is at least high. */
const MANY = 5;

/** Types that say who may do what. */
const PERMITS =
  /^AWS::(IAM|KMS|SSO|RolesAnywhere|Organizations)::|(Policy|Permissions?|AccessEntry|PodIdentityAssociation|RoleAttachment|ResourceShare|AccessGrant)$|^AWS::Lambda::Url$/;
/** Types that make, change and delete any others: their template may hold what would be refused by itself. */
const TEMPLATES = /^AWS::(CloudFormation::(Stack|StackSet)|ServiceCatalog::CloudFormationProvisionedProduct)$/;
const COMMANDS = /^AWS::SSM::(Association|MaintenanceWindowTask)$/;

interface RiskRule {
  readonly level: Level;
  readonly because: string;
  matches(step: RiskStep): boolean;
}

const MODIFIES_DATABASE = /^ModifyDB(Instance|Cluster)$/;

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
  {
    level: "critical",
    because: "carries out a template of its own, of which nothing is judged here",
    matches: (step) => TEMPLATES.test(step.type),
  },
  { level: "high", because: "runs commands elsewhere", matches: (step) => COMMANDS.test(step.type) },
  { level: "high", because: "deletes or terminates a resource", matches: (step) => step.kind === "delete" },
  {
    level: "high",
    because: "changes permissions or keys",
    matches: (step) => PERMITS.test(step.type),
  },
  {
    level: "high",
    because: "takes a database's deletion protection away",
    matches: (step) => MODIFIES_DATABASE.test(step.operation) && inputOf(step).DeletionProtection === false,
  },
  {
    level: "high",
    because: "deletes every automated backup of a database",
    matches: (step) => MODIFIES_DATABASE.test(step.operation) && inputOf(step).BackupRetentionPeriod === 0,
  },
  {
    level: "high",
    because: "upgrades a database to another major version",
    matches: (step) => MODIFIES_DATABASE.test(step.operation) && inputOf(step).AllowMajorVersionUpgrade === true,
  },
  {
    level: "high",
    because: "interrupts a database at once",
    matches: (step) =>
      MODIFIES_DATABASE.test(step.operation) &&
      inputOf(step).ApplyImmediately === true &&
      ["DBInstanceClass", "DBClusterInstanceClass", "EngineVersion", "CACertificateIdentifier"].some(
        (name) => name in inputOf(step),
      ),
  },
  {
    level: "medium",
    because: "makes a database that costs from then on",
    matches: (step) => step.operation.startsWith("Restore"),
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
  {
    level: "high",
    because: "leaves a group without any instance",
    matches: ({ operation, input }) =>
      operation === "SetDesiredCapacity" && (input as { DesiredCapacity?: unknown }).DesiredCapacity === 0,
  },
  {
    level: "medium",
    because: "changes how many instances are in service",
    matches: ({ operation }) => operation === "SetDesiredCapacity",
  },
  {
    level: "medium",
    because: "interrupts an instance",
    matches: ({ operation }) => operation === "StopInstances" || operation === "RebootInstances",
  },
  {
    level: "medium",
    because: "takes a database away from whoever uses it",
    matches: ({ operation }) => operation === "StopDBInstance" || operation === "StopDBCluster",
  },
  { level: "medium", because: "changes a running service", matches: (step) => step.kind === "update" },
];

const inputOf = (step: RiskStep): Readonly<Record<string, unknown>> => step.input as Record<string, unknown>;

const namesWorld = (input: unknown): boolean => {
  const named = JSON.stringify(input).matchAll(/["\\]([0-9a-f.:]+\/\d{1,3})\\*"/gi);
  return [...named].some(([, range]) => isWorld(range));
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
    if (!ranges.some(isWorld)) return [];
    const { IpProtocol, FromPort, ToPort } = permission;
    if (!hasPorts(IpProtocol) || FromPort === undefined || FromPort !== ToPort) return [-1];
    return [FromPort];
  });
}

interface Permission {
  readonly IpProtocol?: string;
  readonly FromPort?: number;
  readonly ToPort?: number;
  readonly IpRanges?: readonly { CidrIp?: string }[];
  readonly Ipv6Ranges?: readonly { CidrIpv6?: string }[];
}

interface Judged {
  readonly level: Level;
  readonly because: readonly string[];
}

const rank = (level: Level): number => LEVELS.indexOf(level);
const worse = (a: Level, b: Level): Level => (rank(a) >= rank(b) ? a : b);

function judge(step: RiskStep, overrides: readonly RiskOverride[]): Judged {
  const told = overrides.find(({ pattern }) => stepMatches(pattern, step));
  if (told) {
    // A rule is about the kind of step; what this difference takes away or leaves open is its own matter.
    const graver = (step.effects ?? []).filter(({ level }) => rank(level) > rank(told.level));
    return {
      level: graver.reduce<Level>((worst, effect) => worse(worst, effect.level), told.level),
      because: [`the operator rates ${told.pattern} ${told.level}`, ...graver.map(({ because }) => because)],
    };
  }
  const hits = [...RULES.filter((rule) => rule.matches(step)), ...(step.effects ?? [])];
  const level = hits.reduce<Level>((worst, hit) => worse(worst, hit.level), "low");
  const because = hits.filter((hit) => hit.level === level || hit.level !== "medium").map((hit) => hit.because);
  if (!step.production || level === "low" || level === "critical") return { level, because };
  return { level: LEVELS[rank(level) + 1]!, because: [...because, "it is tagged as production"] };
}

/**
 * How many resources a plan makes or touches: a launch names a number, a group moves its instances, and several calls may be
 * about one resource.
 */
function resourcesOf(steps: readonly RiskStep[]): number {
  const touched = new Set(steps.map(({ type, id = "" }) => `${type}/${id}`).filter((name) => !name.endsWith("/")));
  const made = steps.filter(({ id = "" }) => id === "").map(({ input }) => (input as { MaxCount?: unknown }).MaxCount);
  const moved = steps.reduce((sum, { moves = 0 }) => sum + moves, 0);
  return made.reduce<number>((sum, count) => sum + (typeof count === "number" ? count : 1), touched.size + moved);
}

/**
 * The risk of a plan: the highest level of any step, with every reason of that level or above medium. What the operator
 * says of a step replaces what the table says of it, by the first rule that fits; its findings and the protections it takes
 * away count all the same.
 * @example riskOf([{ service: "ec2", operation: "TerminateInstances", kind: "delete", type: "AWS::EC2::Instance", input: {} }]).level // "high"
 */
export function riskOf(
  steps: readonly RiskStep[],
  overrides: readonly RiskOverride[] = [],
): { level: Level; because: readonly string[] } {
  const judged = steps.map((step) => judge(step, overrides));
  const worst = judged.reduce<Level>((level, one) => worse(level, one.level), "low");
  const reasons = judged.flatMap((one) => (one.level === worst || one.level !== "medium" ? one.because : []));
  const resources = resourcesOf(steps);
  const many = resources > MANY ? [`touches ${resources} resources`] : [];
  return {
    level: many.length > 0 ? worse(worst, "high") : worst,
    because: [...new Set([...reasons, ...many])],
  };
}
