// Who made a change: events weighed against a difference, whatever their order, and never another's or our own.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ManagedResource, type ResourceRef, ridOf, type State } from "../../src/core/change.js";
import type { Difference, JsonObject } from "../../src/core/json.js";
import type { WhoAsked } from "../../src/core/ports.js";
import type { Attribution, TrailEvent } from "../../src/core/trail.js";
import { authorOf, namesOf, type Ours, oursOf, questionOf, withAuthors, worseFirst } from "../../state/attribution.js";
import { effectOf, sourceOf } from "../../state/attribution-table.js";
import type { DriftReport } from "../../state/drift.js";

const GROUP = "sg-0123456789abcdef0";
const OTHER = "sg-0fedcba9876543210";
const RULE = "sgr-0123456789abcdef0";
const ME = "arn:aws:sts::123456789012:assumed-role/Ops/aws-devops-mcp-me";

const ref = (type: string, id: string, region = "us-east-1"): ResourceRef => ({
  account: "123456789012",
  region,
  type,
  id,
});
const about = (type: string, id: string, names: string[] = []): Pick<WhoAsked, "ref" | "names" | "since"> => ({
  ref: ref(type, id),
  names: [id, ...names],
  since: "2026-11-21T09:00:00.000Z",
});
const group = about("AWS::EC2::SecurityGroup", GROUP, ["sg-prod"]);
const nobody: Ours = { arn: ME, requestIds: new Set(), times: [] };

let number = 0;
function event(more: Partial<TrailEvent> = {}): TrailEvent {
  number += 1;
  return {
    eventId: `e-${number}`,
    at: "2026-11-21T09:12:00.000Z",
    source: "ec2.amazonaws.com",
    name: "AuthorizeSecurityGroupIngress",
    readOnly: false,
    failed: false,
    requestId: `r-${number}`,
    arn: "arn:aws:sts::123456789012:assumed-role/NetworkEngineer/dana",
    principal: "arn:aws:iam::123456789012:role/NetworkEngineer",
    session: "dana",
    resources: [{ type: "AWS::EC2::SecurityGroup", name: GROUP }],
    request: { groupId: GROUP },
    response: null,
    ...more,
  };
}

const rule: JsonObject = {
  ruleId: RULE,
  direction: "ingress",
  protocol: "tcp",
  fromPort: 22,
  toPort: 22,
  peer: "10.0.0.0/8",
};
const added: Difference = { path: `/rules/${RULE}`, kind: "ADD", after: rule };
const removed: Difference = { path: `/rules/${RULE}`, kind: "REMOVE", before: rule };
const permissions = (fromPort: number, cidrIp: string, groups: JsonObject = {}): JsonObject => ({
  items: [{ ipProtocol: "tcp", fromPort, toPort: fromPort, groups, ipRanges: { items: [{ cidrIp }] }, ipv6Ranges: {} }],
});
const confidence = (change: Difference, asked: typeof group, events: TrailEvent[], ours = nobody) =>
  authorOf(change, asked, events, ours)?.confidence ?? null;

describe("a rule of a security group", () => {
  it.each<[string, Difference, Partial<TrailEvent>, string | null]>([
    [
      "its id in the answer is exact",
      added,
      { response: { securityGroupRuleSet: { items: [{ securityGroupRuleId: RULE }] } } },
      "exact",
    ],
    [
      "its traffic in the request is exact",
      added,
      { request: { groupId: GROUP, ipPermissions: permissions(22, "10.0.0.0/8") } },
      "exact",
    ],
    [
      "another rule's traffic is another change",
      added,
      { request: { groupId: GROUP, ipPermissions: permissions(443, "10.0.0.0/8") } },
      null,
    ],
    [
      "the same port for another peer is another change",
      added,
      { request: { groupId: GROUP, ipPermissions: permissions(22, "0.0.0.0/0") } },
      null,
    ],
    [
      "the same traffic outwards is another change",
      added,
      {
        name: "AuthorizeSecurityGroupEgress",
        request: { groupId: GROUP, ipPermissions: permissions(22, "10.0.0.0/8") },
      },
      null,
    ],
    ["without parameters it is likely", added, { request: null, response: null }, "likely"],
    [
      "revoked by id",
      removed,
      {
        name: "RevokeSecurityGroupIngress",
        request: { groupId: GROUP, securityGroupRuleIds: { items: [{ securityGroupRuleId: RULE }] } },
      },
      "exact",
    ],
    [
      "revoked by traffic",
      removed,
      { name: "RevokeSecurityGroupIngress", request: { groupId: GROUP, ipPermissions: permissions(22, "10.0.0.0/8") } },
      "exact",
    ],
    [
      "modified, with the new peer",
      { path: `/rules/${RULE}/peer`, kind: "NOT_EQUAL", before: "10.0.0.0/8", after: "0.0.0.0/0" },
      {
        name: "ModifySecurityGroupRules",
        request: {
          ModifySecurityGroupRulesRequest: {
            GroupId: GROUP,
            SecurityGroupRule: { SecurityGroupRuleId: RULE, SecurityGroupRule: { CidrIpv4: "0.0.0.0/0" } },
          },
        },
      },
      "exact",
    ],
    ["tagging the group adds no rule", added, { name: "CreateTags" }, null],
    ["launching with the group adds no rule", added, { name: "RunInstances" }, null],
    ["deleting the group removes it whole", { path: "", kind: "REMOVE" }, { name: "DeleteSecurityGroup" }, "exact"],
    ["adding a rule does not delete the group", { path: "", kind: "REMOVE" }, {}, null],
    ["a call nobody tabled is possible", added, { name: "FrobnicateSecurityGroup" }, "possible"],
    [
      "a call of another service is possible",
      added,
      { source: "config.amazonaws.com", name: "StartRemediation" },
      "possible",
    ],
  ])("%s", (_, change, more, expected) => {
    expect(confidence(change, group, [event(more)])).toBe(expected);
  });

  it("a group that only stands as the peer of another group's rule is not the one that changed", () => {
    const peer = event({
      request: { groupId: OTHER, ipPermissions: permissions(22, "10.0.0.0/8", { items: [{ groupId: GROUP }] }) },
      resources: [{ type: "AWS::EC2::SecurityGroup", name: GROUP }],
    });
    expect(authorOf(added, group, [peer], nobody)).toBeNull();
  });

  it("says who, from where, with what and when, and nothing of the parameters", () => {
    const author = authorOf(
      added,
      group,
      [event({ eventId: "e", sourceIp: "198.51.100.7", userAgent: "agent", console: true, request: null })],
      nobody,
    );
    expect(author).toEqual({
      status: "known",
      confidence: "likely",
      principal: "arn:aws:iam::123456789012:role/NetworkEngineer",
      session: "dana",
      at: "2026-11-21T09:12:00.000Z",
      sourceIp: "198.51.100.7",
      userAgent: "agent",
      console: true,
      eventName: "AuthorizeSecurityGroupIngress",
      eventSource: "ec2.amazonaws.com",
      eventId: "e",
    });
  });
});

describe("other types", () => {
  const service = about("AWS::ECS::Service", "arn:aws:ecs:us-east-1:123456789012:service/prod/api|prod", ["api"]);
  const ecs = (name: string, request: JsonObject): TrailEvent =>
    event({ source: "ecs.amazonaws.com", name, request, resources: [] });
  const count: Difference = { path: "/DesiredCount", kind: "NOT_EQUAL", before: 4, after: 6 };

  it.each<[string, Difference, typeof group, TrailEvent, string | null]>([
    [
      "ECS: the new count",
      count,
      service,
      ecs("UpdateService", { service: "api", cluster: "prod", desiredCount: 6 }),
      "exact",
    ],
    [
      "ECS: another count",
      count,
      service,
      ecs("UpdateService", { service: "api", cluster: "prod", desiredCount: 9 }),
      "possible",
    ],
    ["ECS: no count", count, service, ecs("UpdateService", { service: "api", cluster: "prod" }), "likely"],
    [
      "ECS: a revision for its ARN",
      {
        path: "/TaskDefinition",
        kind: "NOT_EQUAL",
        after: "arn:aws:ecs:us-east-1:123456789012:task-definition/api:24",
      },
      service,
      ecs("UpdateService", {
        service: "api",
        cluster: "arn:aws:ecs:us-east-1:123456789012:cluster/prod",
        taskDefinition: "api:24",
      }),
      "exact",
    ],
    [
      "ECS: the service of that name in another cluster",
      count,
      service,
      ecs("UpdateService", { service: "api", cluster: "test", desiredCount: 6 }),
      null,
    ],
    [
      "Cloud Control: the patch",
      count,
      service,
      event({
        source: "cloudcontrolapi.amazonaws.com",
        name: "UpdateResource",
        resources: [],
        request: {
          typeName: "AWS::ECS::Service",
          identifier: "arn:aws:ecs:us-east-1:123456789012:service/prod/api|prod",
          patchDocument: '[{"op":"add","path":"/DesiredCount","value":6}]',
        },
      }),
      "exact",
    ],
    [
      "Cloud Control: a hidden patch",
      count,
      service,
      event({
        source: "cloudcontrolapi.amazonaws.com",
        name: "UpdateResource",
        resources: [],
        request: {
          typeName: "AWS::ECS::Service",
          identifier: "arn:aws:ecs:us-east-1:123456789012:service/prod/api|prod",
          patchDocument: "HIDDEN_DUE_TO_SECURITY_REASONS",
        },
      }),
      "likely",
    ],
    [
      "S3: encryption taken away",
      { path: "/BucketEncryption", kind: "REMOVE", before: {} },
      about("AWS::S3::Bucket", "logs"),
      event({
        source: "s3.amazonaws.com",
        name: "DeleteBucketEncryption",
        request: { bucketName: "logs" },
        resources: [{ type: "AWS::S3::Bucket", name: "logs" }],
      }),
      "likely",
    ],
    [
      "S3: versioning does not change encryption",
      { path: "/BucketEncryption", kind: "REMOVE", before: {} },
      about("AWS::S3::Bucket", "logs"),
      event({
        source: "s3.amazonaws.com",
        name: "PutBucketVersioning",
        request: { bucketName: "logs" },
        resources: [{ type: "AWS::S3::Bucket", name: "logs" }],
      }),
      null,
    ],
    [
      "RDS: backups",
      { path: "/BackupRetentionPeriod", kind: "NOT_EQUAL", before: 7, after: 0 },
      about("AWS::RDS::DBInstance", "orders"),
      event({
        source: "rds.amazonaws.com",
        name: "ModifyDBInstance",
        request: { dBInstanceIdentifier: "orders", backupRetentionPeriod: 0 },
        resources: [{ type: "AWS::RDS::DBInstance", name: "orders" }],
      }),
      "exact",
    ],
    [
      "IAM: a trust policy",
      {
        path: "/AssumeRolePolicyDocument",
        kind: "NOT_EQUAL",
        after: { Statement: [{ Effect: "Allow", Principal: "*" }] },
      },
      about("AWS::IAM::Role", "deploy"),
      event({
        source: "iam.amazonaws.com",
        name: "UpdateAssumeRolePolicy",
        request: { roleName: "deploy", policyDocument: '{"Statement":[{"Effect":"Allow","Principal":"*"}]}' },
        resources: [{ type: "AWS::IAM::Role", name: "deploy" }],
      }),
      "exact",
    ],
    [
      "IAM: the user of a role's name",
      { path: "/AssumeRolePolicyDocument", kind: "NOT_EQUAL", after: {} },
      about("AWS::IAM::Role", "deploy"),
      event({
        source: "iam.amazonaws.com",
        name: "UpdateUser",
        request: { userName: "deploy" },
        resources: [{ type: "AWS::IAM::User", name: "deploy" }],
      }),
      null,
    ],
    [
      "an instance's tag",
      { path: "/tags/env", kind: "NOT_EQUAL", before: "test", after: "prod" },
      about("AWS::EC2::Instance", "i-0123456789abcdef0"),
      event({
        name: "CreateTags",
        request: {
          resourcesSet: { items: [{ resourceId: "i-0123456789abcdef0" }] },
          tagSet: { items: [{ key: "env", value: "prod" }] },
        },
        resources: [],
      }),
      "exact",
    ],
    [
      "an instance terminated",
      { path: "", kind: "REMOVE" },
      about("AWS::EC2::Instance", "i-0123456789abcdef0"),
      event({
        name: "TerminateInstances",
        request: { instancesSet: { items: [{ instanceId: "i-0123456789abcdef0" }] } },
        resources: [],
      }),
      "exact",
    ],
    [
      "a type by names alone",
      { path: "/DisplayName", kind: "NOT_EQUAL", after: "new" },
      about("AWS::SNS::Topic", "arn:aws:sns:us-east-1:123456789012:news"),
      event({
        source: "sns.amazonaws.com",
        name: "SetTopicAttributes",
        request: {
          topicArn: "arn:aws:sns:us-east-1:123456789012:news",
          attributeName: "DisplayName",
          attributeValue: "new",
        },
        resources: [],
      }),
      "likely",
    ],
    [
      "a queue of a bucket's name",
      { path: "/Tags", kind: "ADD", after: [] },
      about("AWS::S3::Bucket", "jobs"),
      event({
        source: "sqs.amazonaws.com",
        name: "TagQueue",
        request: { name: "jobs" },
        resources: [{ name: "jobs" }],
      }),
      null,
    ],
  ])("%s", (_, change, asked, one, expected) => {
    expect(confidence(change, asked, [one])).toBe(expected);
  });

  it.each([
    ["AWS::Lambda::Function", "UpdateFunctionConfiguration20150331v2", ["/"]],
    ["AWS::Lambda::Function", "DeleteFunction20150331", ["gone"]],
    ["AWS::SQS::Queue", "CreateQueue", ["made"]],
    ["AWS::SQS::Queue", "SendMessage", null],
    ["AWS::DynamoDB::Table", "TagResource", ["/tags", "/Tags", "/name"]],
    ["AWS::S3::Bucket", "constructor", null],
  ])("%s %s", (type, name, expected) => {
    expect(effectOf(type, name)).toEqual(expected);
  });
  it("names the service of a type", () => {
    expect(sourceOf("AWS::ElasticLoadBalancingV2::LoadBalancer")).toBe("elasticloadbalancing.amazonaws.com");
    expect(sourceOf("AWS::constructor::X")).toBe("constructor.amazonaws.com");
  });
});

describe("what is never an answer", () => {
  const exact = { response: { securityGroupRuleSet: { items: [{ securityGroupRuleId: RULE }] } } };
  it.each<[string, Partial<TrailEvent>]>([
    ["a read", { ...exact, readOnly: true }],
    ["a refused call", { ...exact, failed: true }],
    ["a call from before the window", { ...exact, at: "2026-11-21T08:58:00.000Z" }],
  ])("%s", (_, more) => {
    expect(authorOf(added, group, [event(more)], nobody)).toBeNull();
  });
  it("two minutes of doubt between the clocks are inside", () => {
    expect(confidence(added, group, [event({ ...exact, at: "2026-11-21T08:58:01.000Z" })])).toBe("exact");
  });

  const at = Date.parse("2026-11-21T09:12:00.000Z");
  const ours: Ours = { arn: ME, requestIds: new Set(["r-ours"]), times: [{ from: at - 1, to: at + 1 }] };
  it.each<[string, Partial<TrailEvent>, boolean]>([
    ["our request id, whoever bears it", { requestId: "r-ours" }, true],
    ["our session and program while we worked on it", { arn: ME, userAgent: "aws-devops-mcp/1.0" }, true],
    [
      "our session through Cloud Control while we worked on it",
      { arn: ME, invokedBy: "cloudformation.amazonaws.com" },
      true,
    ],
    ["our session in the console at that time", { arn: ME, userAgent: "Mozilla/5.0" }, false],
    [
      "our session and program at another time",
      { arn: ME, userAgent: "aws-devops-mcp/1.0", at: "2026-11-21T09:30:00.000Z" },
      false,
    ],
    ["another's session of this program at that time", { userAgent: "aws-devops-mcp/1.0" }, false],
  ])("%s: ours %s", (_, more, dropped) => {
    expect(authorOf(added, group, [event({ ...exact, ...more })], ours) === null).toBe(dropped);
  });

  it("our times and ids come from the operations of the store", () => {
    const step = { ref: group.ref };
    const operation = {
      id: "op_1",
      changeId: "ch_1",
      step: 0,
      intentAt: "2026-11-21T09:00:00.000Z",
      awsRequestId: "r-1",
    };
    const elsewhere = { ...operation, id: "op_2", changeId: "ch_2", awsRequestId: "r-2" };
    const state = {
      operations: new Map<string, object>([
        ["op_1", { ...operation, settledAt: "2026-11-21T09:01:00.000Z" }],
        ["op_2", elsewhere],
      ]),
      changes: new Map([
        ["ch_1", { steps: [step] }],
        ["ch_2", { steps: [{ ref: ref("AWS::EC2::SecurityGroup", OTHER) }] }],
      ]),
      // One whose operation the state no longer holds, and an import, which is no call of ours.
      resources: new Map([
        [
          ridOf(group.ref),
          {
            lineage: [
              { operationId: "op_0", timestamp: "2026-11-20T09:00:00.000Z" },
              { operationId: "", timestamp: "2026-11-20T10:00:00.000Z" },
            ],
          },
        ],
      ]),
    } as unknown as State;
    expect(oursOf(state, group.ref, ME)).toEqual({
      arn: ME,
      requestIds: new Set(["r-1", "r-2"]),
      times: [
        { from: Date.parse("2026-11-21T08:58:00Z"), to: Date.parse("2026-11-21T09:03:00Z") },
        { from: Date.parse("2026-11-20T08:58:00Z"), to: Date.parse("2026-11-20T09:02:00Z") },
      ],
    });
  });
});

describe("of several events", () => {
  it("the surest is named, then the last", () => {
    const early = event({ eventId: "early", request: null });
    const late = event({ eventId: "late", request: null, at: "2026-11-21T09:20:00.000Z" });
    const sure = event({
      eventId: "sure",
      at: "2026-11-21T09:01:00.000Z",
      request: { groupId: GROUP, ipPermissions: permissions(22, "10.0.0.0/8") },
    });
    expect(authorOf(added, group, [early, late], nobody)?.eventId).toBe("late");
    expect(authorOf(added, group, [late, sure, early], nobody)?.eventId).toBe("sure");
    const [one, two] = [event({ eventId: "b", request: null }), event({ eventId: "a", request: null })];
    expect(authorOf(added, group, [one, two], nobody)?.eventId).toBe("a");
    expect(authorOf(added, group, [two, one], nobody)?.eventId).toBe("a");
  });

  const someEvent = fc.record({
    eventId: fc.uuid(),
    at: fc.integer({ min: 0, max: 3 }).map((minute) => `2026-11-21T09:${String(minute).padStart(2, "0")}:00.000Z`),
    source: fc.constantFrom(
      "ec2.amazonaws.com",
      "ecs.amazonaws.com",
      "s3.amazonaws.com",
      "cloudcontrolapi.amazonaws.com",
    ),
    name: fc.constantFrom(
      "AuthorizeSecurityGroupIngress",
      "RevokeSecurityGroupIngress",
      "CreateTags",
      "DeleteSecurityGroup",
      "RunInstances",
      "UpdateResource",
      "Odd",
    ),
    readOnly: fc.boolean(),
    failed: fc.boolean(),
    requestId: fc.constantFrom("r-ours", "r-theirs"),
    arn: fc.constantFrom(ME, "arn:aws:iam::123456789012:user/ann"),
    principal: fc.constant("p"),
    userAgent: fc.constantFrom("aws-devops-mcp/1", "Mozilla"),
    resources: fc.subarray([GROUP, OTHER, "sg-prod", "unrelated"]).map((names) => names.map((name) => ({ name }))),
    request: fc.oneof(
      fc.constantFrom(GROUP, OTHER).map((groupId) => ({ groupId })),
      fc.constantFrom(GROUP, OTHER).map((groupId) => ({ groupId, ipPermissions: permissions(22, "10.0.0.0/8") })),
      fc.jsonValue(),
    ),
    response: fc.constantFrom(null, { securityGroupRuleSet: { items: [{ securityGroupRuleId: RULE }] } }),
  }) as fc.Arbitrary<TrailEvent>;
  const someChange = fc.constantFrom<Difference>(
    added,
    removed,
    { path: "/tags/a", kind: "ADD", after: "b" },
    { path: "", kind: "REMOVE" },
  );

  it("the order in which they come means nothing", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(someEvent, { selector: ({ eventId }) => eventId, maxLength: 12 }),
        someChange,
        fc.infiniteStream(fc.nat()),
        (events, change, keys) => {
          const shuffled = events
            .map((one) => [keys.next().value as number, one] as const)
            .sort(([a], [b]) => a - b)
            .map(([, one]) => one);
          expect(authorOf(change, group, shuffled, nobody)).toEqual(authorOf(change, group, events, nobody));
        },
      ),
    );
  });

  it("one that names another resource, and one of ours, is never named", () => {
    const at = Date.parse("2026-11-21T09:00:00.000Z");
    const ours: Ours = { arn: ME, requestIds: new Set(["r-ours"]), times: [{ from: at, to: at + 3_600_000 }] };
    fc.assert(
      fc.property(fc.array(someEvent, { maxLength: 12 }), someChange, (events, change) => {
        const id = authorOf(change, group, events, ours)?.eventId;
        const named = events.find(({ eventId }) => eventId === id);
        if (!named) return;
        const text = JSON.stringify([named.resources, named.request]);
        expect(text.includes(GROUP) || text.includes("sg-prod")).toBe(true);
        expect(named.requestId).not.toBe("r-ours");
        expect(named.arn === ME && named.userAgent === "aws-devops-mcp/1").toBe(false);
        expect(named.readOnly || named.failed).toBe(false);
        const subject = (named.request as JsonObject | null)?.groupId;
        if (named.source === "ec2.amazonaws.com" && subject !== undefined) expect(subject).toBe(GROUP);
      }),
      { numRuns: 500 },
    );
  });

  it("documents without end or bottom are no trouble", () => {
    let deep: JsonObject = { a: 1 };
    for (let level = 0; level < 2_000; level++) deep = { a: deep };
    const wide = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`k${index}`, index]));
    expect(confidence(added, group, [event({ request: { groupId: GROUP, deep, wide } })])).toBe("likely");
  });
});

describe("what CloudTrail may call it", () => {
  it.each<[string, ResourceRef, JsonObject | null, string[]]>([
    ["identifier, then name", group.ref, { groupName: "sg-prod" }, [GROUP, "sg-prod"]],
    [
      "a bucket",
      ref("AWS::S3::Bucket", "logs"),
      { Arn: "arn:aws:s3:::logs", BucketName: "logs" },
      ["logs", "arn:aws:s3:::logs"],
    ],
    [
      "a composed identifier",
      ref("AWS::ECS::Service", "arn:aws:ecs:us-east-1:1:service/prod/api|prod"),
      {
        ServiceArn: "arn:aws:ecs:us-east-1:1:service/prod/api",
        TaskDefinition: "arn:aws:ecs:us-east-1:1:task-definition/api:1",
      },
      ["arn:aws:ecs:us-east-1:1:service/prod/api", "api"],
    ],
    ["nothing but the identifier", ref("AWS::IAM::Role", "deploy"), null, ["deploy"]],
  ])("%s", (_, one, content, expected) => {
    expect(namesOf(one, content)).toEqual(expected);
  });
});

describe("drift", () => {
  const difference = {
    path: "/DesiredCount",
    kind: "NOT_EQUAL",
    class: "declared",
    before: 4,
    after: 2,
    severity: "MEDIUM",
    because: "b",
  } as const;
  const report = (more: Partial<DriftReport> = {}): DriftReport => ({
    status: "MODIFIED",
    severity: "MEDIUM",
    differences: [difference],
    unverifiable: [],
    ignored: 0,
    confidence: "high",
    because: "/DesiredCount: b",
    ...more,
  });
  const by = (more: object): Attribution => ({
    status: "known",
    confidence: "exact",
    principal: "p",
    eventId: "e",
    eventName: "n",
    eventSource: "s",
    at: "2026-11-21T09:12:00.000Z",
    ...more,
  });
  const resource = (drift: Partial<ManagedResource["drift"]> = {}): ManagedResource =>
    ({
      ref: group.ref,
      properties: { groupName: "sg-prod" },
      baselineAt: "2026-11-21T09:00:00.000Z",
      drift: { status: "IN_SYNC", lastChecked: null, severity: null, details: null, ...drift },
    }) as unknown as ManagedResource;

  it.each<[string, Attribution, string]>([
    ["a person's change keeps its severity", by({}), "MEDIUM"],
    ["a service's own change weighs less", by({ onItsOwn: true }), "LOW"],
    ["a person's change through a service does not", by({ invokedBy: "cloudformation.amazonaws.com" }), "MEDIUM"],
    ["nor one that is only possibly the service's", by({ onItsOwn: true, confidence: "possible" }), "MEDIUM"],
    ["nor one that nobody knows of", { status: "unknown", because: "b" }, "MEDIUM"],
  ])("%s", (_, author, severity) => {
    const told = withAuthors(report(), [author]);
    expect(told.severity).toBe(severity);
    expect(told.differences[0]?.severity).toBe(severity);
    expect(told.differences[0]).toHaveProperty("by.status", author.status);
  });
  it("the worst that remains counts", () => {
    const two = report({ differences: [{ ...difference, severity: "HIGH" }, difference], severity: "HIGH" });
    expect(withAuthors(two, [by({ onItsOwn: true }), by({})]).severity).toBe("MEDIUM");
    expect(withAuthors(two, [by({}), by({ onItsOwn: true })]).severity).toBe("HIGH");
  });
  it("a deletion too", () => {
    const gone = report({ status: "DELETED", severity: "HIGH", differences: [] });
    expect(withAuthors(gone, [by({ onItsOwn: true })]).severity).toBe("MEDIUM");
    expect(withAuthors(gone, [by({})]).severity).toBe("HIGH");
  });
  it("is asked about where something differs, the worst first", () => {
    expect(questionOf(resource(), report({ status: "IN_SYNC", differences: [] }))).toBeNull();
    expect(questionOf(resource(), report({ status: "UNKNOWN", differences: [] }))).toBeNull();
    expect(questionOf(resource(), report({ status: "DELETED", differences: [] }))?.changes).toEqual([
      { path: "", kind: "REMOVE", before: { groupName: "sg-prod" } },
    ]);
    const order = [report({ severity: null }), report({ severity: "LOW" }), report({ severity: "CRITICAL" })].sort(
      worseFirst,
    );
    expect(order.map(({ severity }) => severity)).toEqual(["CRITICAL", "LOW", null]);
  });
  it("remembers since when it is known of, as long as it is the same", () => {
    const known = { noticedAt: "2026-11-20T00:00:00.000Z", differences: [difference] };
    const asked = (details: object, status = "MODIFIED") =>
      questionOf(resource({ status: status as never, details: details as never }), report())?.noticedAt;
    expect(asked(known)).toBe(known.noticedAt);
    expect(asked(known, "DELETED")).toBeUndefined();
    expect(asked({ ...known, differences: [{ ...difference, after: 3 }] })).toBeUndefined();
    expect(asked({ because: "an older version's" })).toBeUndefined();
  });
});
