// Which steps of a plan an operator means: one short pattern language for the risk table and the never-allow list. Pure.

/** What a pattern may look at. */
export interface StepFacts {
  readonly service: string;
  readonly operation: string;
  readonly kind: "create" | "update" | "delete" | "action";
  /** CloudFormation type name. */
  readonly type: string;
}

const BY_TYPE = /^(\*|create|update|delete|action) ([\w:*]+)$/;
const BY_CALL = /^([\w*-]+)\.([\w*]+)$/;

/** What a pattern has to look like, for whoever wrote another one. */
export const PATTERN_HELP =
  '"delete AWS::RDS::*" (create, update, delete, action or *, then a type) or "ec2.Terminate*" (a call)';

export const isStepPattern = (text: string): boolean => BY_TYPE.test(text) || BY_CALL.test(text);

/** `*` stands for any characters. */
const fits = (pattern: string, text: string): boolean => {
  const parts = pattern.split("*");
  if (parts.length === 1) return pattern === text;
  let at = 0;
  for (const [index, part] of parts.entries()) {
    if (index === parts.length - 1) return text.length - part.length >= at && text.endsWith(part);
    const found = index === 0 ? (text.startsWith(part) ? 0 : -1) : text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return true;
};

/**
 * @example stepMatches("delete AWS::RDS::*", { service: "cloudcontrol", operation: "DeleteResource", kind: "delete", type: "AWS::RDS::DBInstance" }) // true
 * @example stepMatches("ec2.Terminate*", { service: "ec2", operation: "TerminateInstances", kind: "delete", type: "AWS::EC2::Instance" }) // true
 */
export function stepMatches(pattern: string, step: StepFacts): boolean {
  const byType = BY_TYPE.exec(pattern);
  if (byType) return (byType[1] === "*" || byType[1] === step.kind) && fits(byType[2]!, step.type);
  const byCall = BY_CALL.exec(pattern);
  return byCall !== null && fits(byCall[1]!, step.service) && fits(byCall[2]!, step.operation);
}

const RULES_OF = "AWS::EC2::SecurityGroup";
const call = (operation: string) => `ec2.${operation}`;
const bothWays = (verb: "Authorize" | "Revoke") => [
  call(`${verb}SecurityGroupIngress`),
  call(`${verb}SecurityGroupEgress`),
];

/** The same deed by another door: what a step is called there. A key is a call, or a kind and type. */
const ALSO: Readonly<Record<string, readonly string[]>> = {
  "delete AWS::EC2::Instance": [call("TerminateInstances")],
  "create AWS::EC2::Instance": [call("RunInstances")],
  [`create ${RULES_OF}`]: bothWays("Authorize"),
  [`update ${RULES_OF}`]: [...bothWays("Authorize"), ...bothWays("Revoke")],
  ...Object.fromEntries(
    (["Ingress", "Egress"] as const).flatMap((way) => [
      [call(`AuthorizeSecurityGroup${way}`), [`create ${RULES_OF}${way}`]],
      [call(`RevokeSecurityGroup${way}`), [`delete ${RULES_OF}${way}`]],
      [`create ${RULES_OF}${way}`, [call(`AuthorizeSecurityGroup${way}`), `update ${RULES_OF}`]],
      [`delete ${RULES_OF}${way}`, [call(`RevokeSecurityGroup${way}`), `update ${RULES_OF}`]],
      [`update ${RULES_OF}${way}`, [...bothWays("Authorize"), ...bothWays("Revoke"), `update ${RULES_OF}`]],
    ]),
  ),
  "delete AWS::KMS::ReplicaKey": ["delete AWS::KMS::Key"],
};

/**
 * Whether a pattern of the never-allow list means a step, by whichever door it comes and however the type is written.
 * @example forbids("ec2.Terminate*", { service: "cloudcontrol", operation: "DeleteResource", kind: "delete", type: "AWS::EC2::Instance" }) // true
 */
export function forbids(pattern: string, step: StepFacts): boolean {
  const own = `${step.kind} ${step.type}`;
  const doors = step.service === "cloudcontrol" ? ALSO[own] : ALSO[`${step.service}.${step.operation}`];
  const named = (doors ?? []).map((door): StepFacts => {
    const [kind = "", type] = door.split(" ");
    if (type !== undefined) return { service: "cloudcontrol", operation: "", kind: kind as StepFacts["kind"], type };
    return { ...step, service: "ec2", operation: door.slice("ec2.".length) };
  });
  return [step, ...named].some((one) => stepMatches(lower(pattern), lowered(one)));
}

const lower = (text: string): string => text.toLowerCase();
const lowered = ({ service, operation, kind, type }: StepFacts): StepFacts => ({
  service: lower(service),
  operation: lower(operation),
  kind,
  type: lower(type),
});
