// Steps from live to target: AWS's own input shapes, access given before it is taken, others' rules untouched.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ResourceRef } from "../../src/core/change.js";
import type { Rule, SecurityGroup } from "../../src/core/content/security-groups.js";
import type { JsonObject } from "../../src/core/json.js";
import {
  authorizeStep,
  converge,
  describeStep,
  type RuleWanted,
  revokeStep,
  sameRules,
  updateStep,
} from "../../state/converge.js";
import { ref } from "./helpers.js";
import { schema } from "./schemas.js";

const sg: ResourceRef = ref("sg-1", "AWS::EC2::SecurityGroup");
const rule = (ruleId: string, more: Partial<Rule> = {}): Rule => ({
  ruleId,
  direction: "ingress",
  protocol: "tcp",
  fromPort: 22,
  toPort: 22,
  peer: "10.0.0.0/8",
  ...more,
});
const group = (rules: readonly Rule[], more: Partial<SecurityGroup> = {}): SecurityGroup => ({
  groupId: "sg-1",
  groupName: "web",
  description: "web servers",
  rules: [...rules],
  tags: {},
  ...more,
});
const content = (of: SecurityGroup) => of as unknown as JsonObject;
const wanted = ({ ruleId: _, ...rest }: Rule): RuleWanted => rest;

it("tags nothing by EC2's calls that is not EC2's", () => {
  const of = (tags: JsonObject): JsonObject => ({ taskDefinition: "shop:1", tags });
  const made = converge({
    ref: ref("shop:1", "AWS::ECS::TaskDefinition"),
    reader: "service",
    live: of({}),
    target: of({ team: "web" }),
  });
  expect(made.steps).toEqual([]);
  expect(made.remaining).toMatchObject([{ path: "/tags/team" }]);
});

describe("authorizeStep", () => {
  it.each<[string, Partial<Rule>, JsonObject]>([
    [
      "a CIDR",
      { description: "ssh" },
      { IpProtocol: "tcp", FromPort: 22, ToPort: 22, IpRanges: [{ CidrIp: "10.0.0.0/8", Description: "ssh" }] },
    ],
    [
      "an IPv6 CIDR",
      { peer: "::/0" },
      { IpProtocol: "tcp", FromPort: 22, ToPort: 22, Ipv6Ranges: [{ CidrIpv6: "::/0" }] },
    ],
    [
      "a group",
      { peer: "sg-2" },
      { IpProtocol: "tcp", FromPort: 22, ToPort: 22, UserIdGroupPairs: [{ GroupId: "sg-2" }] },
    ],
    [
      "a group of another account",
      { peer: "210987654321/sg-2" },
      {
        IpProtocol: "tcp",
        FromPort: 22,
        ToPort: 22,
        UserIdGroupPairs: [{ UserId: "210987654321", GroupId: "sg-2" }],
      },
    ],
    [
      "a prefix list",
      { peer: "pl-1" },
      { IpProtocol: "tcp", FromPort: 22, ToPort: 22, PrefixListIds: [{ PrefixListId: "pl-1" }] },
    ],
  ])("lets %s in", (_, more, permission) => {
    const step = authorizeStep(group([]), sg, [wanted(rule("x", more))], "ingress");
    expect(step.operation).toBe("AuthorizeSecurityGroupIngress");
    expect(step.input).toEqual({ GroupId: "sg-1", IpPermissions: [permission] });
  });

  it("leaves ports out where there are none", () => {
    const all: RuleWanted = { direction: "egress", protocol: "-1", peer: "0.0.0.0/0" };
    const step = authorizeStep(group([]), sg, [all], "egress");
    expect(step).toMatchObject({
      service: "ec2",
      operation: "AuthorizeSecurityGroupEgress",
      input: { IpPermissions: [{ IpProtocol: "-1", IpRanges: [{ CidrIp: "0.0.0.0/0" }] }] },
      desired: { rules: [all] },
    });
    expect(Object.keys((step.input.IpPermissions as JsonObject[])[0]!)).toEqual(["IpProtocol", "IpRanges"]);
  });

  it("depends on no rule that is there, and expects all of them afterwards", () => {
    const live = group([rule("sgr-1")]);
    const one = authorizeStep(live, sg, [wanted(rule("x", { fromPort: 80, toPort: 80 }))], "ingress");
    expect(one.touches).toEqual(["/groupId"]);
    expect(one.before).toEqual(live);
    expect((one.after as unknown as SecurityGroup).rules.map(({ ruleId }) => ruleId)).toEqual(["sgr-1", "new-1"]);
    const two = authorizeStep(
      one.after as unknown as SecurityGroup,
      sg,
      [wanted(rule("x", { fromPort: 443 }))],
      "ingress",
    );
    expect((two.after as unknown as SecurityGroup).rules.map(({ ruleId }) => ruleId)).toEqual([
      "sgr-1",
      "new-1",
      "new-2",
    ]);
  });
});

describe("revokeStep", () => {
  it("names rules by id and touches those alone", () => {
    const step = revokeStep(group([rule("sgr-1"), rule("sgr-2", { fromPort: 80 })]), sg, [rule("sgr-2")], "ingress");
    expect(step).toMatchObject({
      operation: "RevokeSecurityGroupIngress",
      input: { GroupId: "sg-1", SecurityGroupRuleIds: ["sgr-2"] },
      touches: ["/rules/sgr-2"],
      after: { rules: [{ ruleId: "sgr-1" }] },
    });
    expect(step).not.toHaveProperty("desired");
  });
});

describe("describeStep", () => {
  it("changes words by rule id", () => {
    const step = describeStep(
      group([rule("sgr-1", { description: "old" })]),
      sg,
      [rule("sgr-1", { description: "new" })],
      "egress",
    );
    expect(step).toMatchObject({
      operation: "UpdateSecurityGroupRuleDescriptionsEgress",
      input: { GroupId: "sg-1", SecurityGroupRuleDescriptions: [{ SecurityGroupRuleId: "sgr-1", Description: "new" }] },
      after: { rules: [{ description: "new" }] },
    });
  });
});

describe("converge", () => {
  it("authorizes before it revokes, one call a direction, and chains the contents", () => {
    const live = group([
      rule("sgr-1"),
      rule("sgr-2", { direction: "egress", peer: "0.0.0.0/0" }),
      rule("sgr-3", { fromPort: 1, description: "a" }),
    ]);
    const target = group([
      rule("any", { fromPort: 443, toPort: 443 }),
      rule("other", { direction: "egress", peer: "::/0" }),
      rule("sgr-3", { fromPort: 1, description: "b" }),
    ]);
    const { steps, remaining } = converge({ ref: sg, reader: "service", live: content(live), target: content(target) });
    expect(steps.map(({ operation }) => operation)).toEqual([
      "AuthorizeSecurityGroupIngress",
      "AuthorizeSecurityGroupEgress",
      "UpdateSecurityGroupRuleDescriptionsIngress",
      "RevokeSecurityGroupIngress",
      "RevokeSecurityGroupEgress",
    ]);
    for (const [index, step] of steps.entries())
      expect(step.before).toEqual(index === 0 ? live : steps[index - 1]!.after);
    expect(remaining).toEqual([]);
  });

  it("sets and removes tags, not AWS's own", () => {
    const live = group([], { tags: { a: "1", gone: "x", "aws:cloudformation:stack-id": "s" } });
    const { steps } = converge({
      ref: sg,
      reader: "service",
      live: content(live),
      target: content(group([], { tags: { a: "2" } })),
    });
    expect(steps).toMatchObject([
      {
        operation: "CreateTags",
        input: { Resources: ["sg-1"], Tags: [{ Key: "a", Value: "2" }] },
        touches: ["/tags/a"],
        desired: { tags: { a: "2" } },
      },
      { operation: "DeleteTags", input: { Tags: [{ Key: "gone", Value: "x" }] }, touches: ["/tags/gone"] },
    ]);
  });

  it("says what it cannot change", () => {
    const { steps, remaining } = converge({
      ref: sg,
      reader: "service",
      live: content(group([])),
      target: content(group([], { groupName: "api", vpcId: "vpc-1" })),
    });
    expect(steps).toEqual([]);
    expect(remaining.map(({ path }) => path)).toEqual(["/groupName", "/vpcId"]);
    const instance = converge({
      ref: ref(),
      reader: "service",
      live: { instanceType: "a", tags: {} },
      target: { instanceType: "b", tags: { x: "1" } },
    });
    expect(instance.steps.map(({ operation }) => operation)).toEqual(["CreateTags"]);
    expect(instance.remaining).toMatchObject([{ path: "/instanceType", before: "a", after: "b" }]);
  });

  it("makes one guarded Cloud Control update, and says what needs more than that", () => {
    const bucket = ref("b", "AWS::S3::Bucket");
    const request = { ref: bucket, reader: "cloudcontrol", schema: schema({ createOnly: ["/BucketName"] }) } as const;
    const { steps, remaining } = converge({
      ...request,
      live: { BucketName: "b", A: 1, Extra: true },
      target: { BucketName: "c", A: 2 },
    });
    expect(steps).toMatchObject([
      {
        service: "cloudcontrol",
        operation: "UpdateResource",
        input: {
          TypeName: "AWS::S3::Bucket",
          Identifier: "b",
          PatchDocument: [
            { op: "test", path: "/A", value: 1 },
            { op: "add", path: "/A", value: 2 },
          ],
        },
        kind: "update",
        before: { A: 1 },
        after: { BucketName: "b", A: 2, Extra: true },
        touches: ["/A"],
      },
    ]);
    expect(remaining.map(({ path, because }) => [path, because.split(":")[0]])).toEqual([
      ["/BucketName", "it can only be set when the resource is created"],
      ["/Extra", "it was neither declared nor seen, so it is not removed"],
    ]);
    expect(converge({ ...request, live: { A: 1 }, target: { A: 1 } }).steps).toEqual([]);
    const risky = { ...request, schema: schema({ conditional: ["/A"] }) };
    expect(converge({ ...risky, live: { A: 1 }, target: { A: 2 } }).warnings).toEqual([
      "Possible interruption or replacement: AWS may replace AWS::S3::Bucket for /A.",
    ]);
  });

  it("touches a list as a whole, whatever index the patch names", () => {
    const step = updateStep({
      ref: ref(),
      live: { S: [{ a: 1 }, { a: 2 }], M: { x: 1 } },
      target: {},
      patch: [
        { op: "replace", path: "/S/1/a", value: 3 },
        { op: "add", path: "/M/x", value: 2 },
        { op: "add", path: "/S/-", value: 3 },
      ],
    });
    expect(step.touches).toEqual(["/S", "/M/x"]);
  });
});

const anyRule = fc.record({
  direction: fc.constantFrom<Rule["direction"]>("ingress", "egress"),
  protocol: fc.constantFrom("tcp", "udp"),
  fromPort: fc.constantFrom(22, 80, 443),
  toPort: fc.constantFrom(443, 8080),
  peer: fc.constantFrom("10.0.0.0/8", "0.0.0.0/0", "::/0", "sg-2", "pl-3"),
});
const anyGroup = fc
  .uniqueArray(anyRule, { selector: (one) => JSON.stringify(one), maxLength: 6 })
  .map((rules) => group(rules.map((one, index) => ({ ...one, ruleId: `sgr-${index}` }))));

describe("for any two groups", () => {
  it("the last step leaves exactly the traffic of the target, and no moment lets less through than both have in common", () => {
    fc.assert(
      fc.property(anyGroup, anyGroup, (live, target) => {
        const { steps } = converge({ ref: sg, reader: "service", live: content(live), target: content(target) });
        const last = (steps.at(-1)?.after ?? live) as unknown as SecurityGroup;
        expect(sameRules(last, target)).toBe(true);
        if (sameRules(live, target)) expect(steps).toEqual([]);
        const firstRevoke = steps.findIndex(({ operation }) => operation.startsWith("Revoke"));
        const lastAuthorize = steps.findLastIndex(({ operation }) => operation.startsWith("Authorize"));
        if (firstRevoke >= 0) expect(lastAuthorize).toBeLessThan(firstRevoke);
        const named = steps.flatMap(({ input }) => (input.SecurityGroupRuleIds ?? []) as string[]);
        expect(named.every((id) => live.rules.some(({ ruleId }) => ruleId === id))).toBe(true);
      }),
    );
  });
});

describe("an Auto Scaling group", () => {
  const workers = ref("workers", "AWS::AutoScaling::AutoScalingGroup");
  const of = (desiredCapacity: number, more: object = {}) =>
    ({
      ...{ groupName: "workers", desiredCapacity, minSize: 1, maxSize: 4, inService: 1, instances: [] },
      ...{ suspendedProcesses: [], availabilityZones: [], subnetIds: [], targetGroupArns: [], tags: {} },
      ...more,
    }) as unknown as JsonObject;
  const back = (live: JsonObject, target: JsonObject) => converge({ ref: workers, reader: "service", live, target });

  it.each([1, 4])("is brought back to a number within its limits (%i)", (wanted) => {
    const { steps, remaining } = back(of(2), of(wanted));
    expect(steps.map(({ input }) => input.DesiredCapacity)).toEqual([wanted]);
    expect(remaining).toEqual([]);
  });

  it.each([0, 5])("is not asked for a number that its limits no longer allow (%i), and that is said", (wanted) => {
    const { steps, remaining } = back(of(2), of(wanted));
    expect(steps).toEqual([]);
    expect(remaining).toMatchObject([{ path: "/desiredCapacity", before: 2, after: wanted }]);
  });
});
