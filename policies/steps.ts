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
