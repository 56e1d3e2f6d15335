// Patterns of steps: what a never-allow list forbids by one way is forbidden by the other one too.

import { describe, expect, it } from "vitest";
import { forbids, type StepFacts, stepMatches } from "../../policies/steps.js";

const control = (kind: "create" | "update" | "delete", type: string): StepFacts => ({
  service: "cloudcontrol",
  operation: `${kind[0]!.toUpperCase()}${kind.slice(1)}Resource`,
  kind,
  type,
});
const ec2 = (operation: string, kind: StepFacts["kind"], type: string): StepFacts => ({
  service: "ec2",
  operation,
  kind,
  type,
});
const INSTANCE = "AWS::EC2::Instance";
const GROUP = "AWS::EC2::SecurityGroup";

describe("a never-allow pattern", () => {
  it.each<[string, StepFacts]>([
    ["ec2.TerminateInstances", control("delete", INSTANCE)],
    ["ec2.Run*", control("create", INSTANCE)],
    ["ec2.AuthorizeSecurityGroupIngress", control("create", `${GROUP}Ingress`)],
    ["ec2.Authorize*", control("update", GROUP)],
    ["ec2.Authorize*", control("create", GROUP)],
    ["ec2.Revoke*", control("delete", `${GROUP}Egress`)],
    ["create AWS::EC2::SecurityGroupIngress", ec2("AuthorizeSecurityGroupIngress", "update", GROUP)],
    ["delete AWS::EC2::SecurityGroup*gress", ec2("RevokeSecurityGroupEgress", "update", GROUP)],
    ["update AWS::EC2::SecurityGroup", control("create", `${GROUP}Ingress`)],
    ["delete AWS::KMS::Key", control("delete", "AWS::KMS::key")],
    ["delete AWS::KMS::Key", control("delete", "AWS::KMS::ReplicaKey")],
  ])("%s forbids the other way: %o", (pattern, step) => {
    expect(forbids(pattern, step)).toBe(true);
    expect(stepMatches(pattern, step), "an operator's rating is of what it names only").toBe(false);
  });

  it.each<[string, StepFacts]>([
    ["ec2.TerminateInstances", control("update", INSTANCE)],
    ["ec2.Revoke*", control("create", `${GROUP}Ingress`)],
    ["delete AWS::EC2::SecurityGroup", ec2("RevokeSecurityGroupIngress", "update", GROUP)],
    ["delete AWS::KMS::Key", control("update", "AWS::KMS::Key")],
    ["none", control("delete", INSTANCE)],
  ])("%s says nothing of %o", (pattern, step) => {
    expect(forbids(pattern, step)).toBe(false);
  });
});
