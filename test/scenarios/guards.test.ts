// What the operator allows: changes nobody may make, levels of risk, findings that block, and how much in an hour.

import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { ConfigError, loadConfig } from "../../src/config.js";
import type { Change, ChangeStep, State } from "../../src/core/change.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import { checkPlan, overBudget, planRisk } from "../../src/gate/guards.js";
import type { Store } from "../../state/journal.js";
import { startAssistant, temporaryFolder } from "../harness.js";
import { type InMemory, type InMemoryOptions, inMemory } from "../in-memory.js";

const GROUP = "sg-0bb00000000000001";
const FIRST = "i-0aa00000000000001";
const SECOND = "i-0aa00000000000002";

let session: InMemory | undefined;
afterEach(async () => {
  await session?.close();
  session = undefined;
});
const start = async (args: string[] = [], more: Omit<InMemoryOptions, "args"> = {}) => {
  session = await inMemory({ args, ...more });
  return session;
};

async function planTerminate(s: InMemory, instanceId: string) {
  const seen = await s.call("instances_get", { instanceId });
  return s.call("instances_terminate", { instanceIds: [instanceId], basedOn: [seen.revision], intent: "one less" });
}
const addRule = (s: InMemory, rule: object) =>
  s.call("securityGroups_addRule", { groupId: GROUP, rule, intent: "let somebody in" });
const ssh = { fromPort: 22, peer: "0.0.0.0/0" };
const internal = { fromPort: 8443, peer: "10.0.0.0/8" };

describe("the never-allow list", () => {
  it.each(["delete AWS::EC2::*", "* AWS::EC2::Instance", "ec2.Terminate*", "*.TerminateInstances"])(
    "%s refuses the plan, whatever the call says",
    async (pattern) => {
      const s = await start(["--never-allow", pattern]);
      const refused = await planTerminate(s, FIRST);
      expect(refused).toMatchObject({
        isError: true,
        code: "forbidden_by_operator",
        pattern,
        nothingWasChanged: true,
        fixableBy: "operator",
      });
      expect((await s.call("instances_get", { instanceId: FIRST })).instance.state).toBe("running");
      expect((await addRule(s, { fromPort: 8443, peer: "10.0.0.0/8" })).planned).toBe(true);
    },
  );

  it("holds at apply too: a plan of a laxer server on the same store is refused", async () => {
    const folder = temporaryFolder();
    const args = ["--sandbox", "--sandbox-world", join(folder.path, "w.json"), "--state", join(folder.path, "state")];
    const lax = await startAssistant({ args });
    const strict = await startAssistant({ args: [...args, "--never-allow", "delete *,kms.*"] });
    const seen = await lax.call("instances_get", { instanceId: FIRST });
    const planned = await lax.call("instances_terminate", {
      instanceIds: [FIRST],
      basedOn: [seen.data.revision],
      intent: "one less",
    });
    const refused = await strict.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(refused.data).toMatchObject({ code: "forbidden_by_operator", pattern: "delete *", nothingWasChanged: true });
    const applied = await lax.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(applied.data.outcome, "the token was not spent").toBe("applied");
    await lax.close();
    await strict.close();
    folder.remove();
  });

  it("forbids keys and trails to be deleted unless the operator says otherwise", () => {
    expect(loadConfig([], {}).config.neverAllow).toContain("delete AWS::KMS::Key");
    expect(loadConfig(["--never-allow", "none"], {}).config.neverAllow).toEqual(["none"]);
    for (const wrong of ["AWS::KMS::Key", "remove AWS::KMS::Key", "delete AWS KMS", ""]) {
      expect(() => loadConfig(["--never-allow", wrong || " "], {}), wrong).toThrow(ConfigError);
    }
    expect(() => loadConfig(["--risk-rules", "grave=delete AWS::EC2::*"], {})).toThrow(/--risk-rules.*must look like/);
  });
});

describe("risk", () => {
  it("is what the operator says of a step, up or down", async () => {
    const s = await start(["--risk-rules", "low=* AWS::EC2::SecurityGroup,critical=delete AWS::EC2::Instance"]);
    expect((await addRule(s, internal)).change.risk).toEqual({
      level: "low",
      because: ["the operator rates * AWS::EC2::SecurityGroup low"],
    });
    expect((await planTerminate(s, FIRST)).change.risk.level).toBe("critical");
  });

  it("is not brought down for what a plan leaves open or takes away: that counts beside the operator's word", async () => {
    const rules = ["low=* AWS::EC2::SecurityGroup", "low=update AWS::S3::Bucket", "critical=* AWS::EC2::SecurityGroup"];
    const s = await start(["--risk-rules", rules.join(",")]);
    const { risk } = (await addRule(s, ssh)).change;
    expect(risk.level).toBe("critical");
    expect(risk.because).toHaveLength(2);
    expect(risk.because[0]).toBe("the operator rates * AWS::EC2::SecurityGroup low");
    expect(risk.because[1]).toMatch(/internet/);
    const bucket = { type: "AWS::S3::Bucket", identifier: "sandbox-logs" };
    const seen = await s.call("resources_get", bucket);
    const closed = {
      BlockPublicAcls: true,
      BlockPublicPolicy: true,
      IgnorePublicAcls: true,
      RestrictPublicBuckets: true,
    };
    const change = async (properties: object, basedOn: string) =>
      s.call("resources_update", { ...bucket, properties, basedOn, intent: "as asked" });
    const tagged = await change({ Tags: [{ Key: "team", Value: "web" }] }, seen.revision);
    expect(tagged.change?.risk.level, JSON.stringify(tagged)).toBe("low");
    const opened = { ...closed, BlockPublicAcls: false };
    const loosened = await change({ PublicAccessBlockConfiguration: opened }, seen.revision);
    expect(loosened.change?.risk.level, JSON.stringify(loosened)).toBe("critical");
  });

  it("is asked again when a change is applied: a plan that was rated lower needs a human all the same", async () => {
    const s = await start(["--risk-rules", "low=* AWS::EC2::SecurityGroup", "--approve-from", "high"]);
    const planned = await addRule(s, internal);
    expect(planned.change.risk.level).toBe("low");
    const strict = await s.beside({ args: ["--approve-from", "high"] });
    const refused = await strict.call("changes_apply", { executionToken: planned.executionToken });
    expect(refused).toMatchObject({ code: "approval_required", nothingWasChanged: true, risk: { level: "high" } });
    expect((await s.call("changes_apply", { executionToken: planned.executionToken })).outcome).toBe("applied");
  });

  it("is a level higher for what is tagged as production", async () => {
    const s = await start();
    const rule = { fromPort: 8443, peer: "10.0.0.0/8" };
    expect((await addRule(s, rule)).change.risk).toEqual({
      level: "high",
      because: expect.arrayContaining(["it is tagged as production"]),
    });
    await s.edit((region) => {
      region.groups[GROUP]!.tags = { env: "staging" };
    });
    expect((await addRule(s, rule)).change.risk.level).toBe("medium");
  });
});

describe("production", () => {
  it.each([
    ["AWS::SNS::Topic", { Tags: [{ Key: "Environment", Value: "production" }] }],
    ["AWS::AutoScaling::AutoScalingGroup", { Tags: [{ Key: "env", Value: "prod", PropagateAtLaunch: true }] }],
    ["AWS::Route53::HostedZone", { HostedZoneTags: [{ Key: "env", Value: "prod" }] }],
    ["AWS::Cognito::UserPool", { UserPoolTags: { stage: "live" } }],
    ["AWS::Glue::Job", { Tags: { env: "prod" } }],
    [
      "AWS::S3::Bucket",
      {
        Tags: [
          { Key: "env", Value: "prod" },
          { Key: "env", Value: "prod" },
        ],
      },
    ],
  ])("is seen on %s", (type, before) => {
    const step: ChangeStep = {
      service: "cloudcontrol",
      operation: "UpdateResource",
      input: {},
      ref: { account: "123456789012", region: "us-east-1", type, id: "x" },
      reader: "cloudcontrol",
      kind: "update",
      before,
      after: { ...before, Description: "b" },
      touches: ["/Description"],
    };
    expect(planRisk([step], undefined, { riskRules: [] }).because).toContain("it is tagged as production");
  });
});

describe("what was so before", () => {
  const step = (type: string, before: JsonObject, after: JsonObject): ChangeStep => ({
    service: "cloudcontrol",
    operation: "UpdateResource",
    input: {},
    ref: { account: "123456789012", region: "us-east-1", type, id: "x" },
    reader: "cloudcontrol",
    kind: "update",
    before,
    after,
    touches: [""],
  });
  const policy = (Action: string) => ({
    PolicyDocument: JSON.stringify({ Statement: [{ Effect: "Allow", Principal: "*", Action }] }),
  });
  const fresh = async (one: ChangeStep) =>
    (await checkPlan([one], async () => []))?.findings.filter(({ existing }) => !existing).map(({ rule }) => rule);

  it("is not said of another statement in the same place of a policy in a string, nor of another value", async () => {
    expect(await fresh(step("AWS::S3::BucketPolicy", policy("s3:GetObject"), policy("s3:*")))).toEqual([
      "public-policy",
    ]);
    expect(await fresh(step("AWS::S3::BucketPolicy", policy("s3:GetObject"), policy("s3:GetObject")))).toEqual([]);
    const acl = (AccessControl: string) => ({ AccessControl });
    expect(await fresh(step("AWS::S3::Bucket", acl("PublicRead"), acl("PublicReadWrite")))).toEqual([
      "public-bucket-acl",
    ]);
    const key = (Description: string) => ({ Description, EnableKeyRotation: false });
    expect(await fresh(step("AWS::KMS::Key", key("a"), key("b")))).toEqual([]);
  });
});

describe("security findings", () => {
  it("stand in the plan, raise its risk and are recorded with the change", async () => {
    const s = await start();
    const planned = await addRule(s, ssh);
    expect(planned.change.risk.level).toBe("critical");
    expect(planned.change.security).toMatchObject({
      failed: 2,
      checkedBy: ["built-in"],
      findings: [
        { rule: "open-port", severity: "critical", source: "built-in", step: 0 },
        { rule: "open-web-port", severity: "medium", existing: true },
      ],
    });
    await s.call("changes_apply", { executionToken: planned.executionToken });
    const { lineage } = await s.call("state_history", { identifier: GROUP });
    expect(lineage.at(-1).policyResults).toMatchObject({ failed: 2, critical_issues: ["open-port"] });
  });

  it("block what the operator says, but not for what was so before", async () => {
    const s = await start(["--block-findings", "critical"]);
    const refused = await addRule(s, ssh);
    expect(refused).toMatchObject({
      isError: true,
      code: "unsafe_change",
      nothingWasChanged: true,
      findings: [{ rule: "open-port" }],
    });
    expect((await addRule(s, { fromPort: 80, peer: "0.0.0.0/0" })).planned, "a web port is no critical finding").toBe(
      true,
    );
    await s.edit((region) => {
      region.rules["sgr-9"] = {
        id: "sgr-9",
        groupId: GROUP,
        egress: false,
        protocol: "tcp",
        fromPort: 23,
        toPort: 23,
        peerKind: "CidrIpv4",
        peer: "0.0.0.0/0",
        description: "",
      };
    });
    const other = await addRule(s, { fromPort: 8443, peer: "10.0.0.0/8" });
    expect(other.planned, JSON.stringify(other)).toBe(true);
    expect(other.change.security.findings).toMatchObject([
      { rule: "open-port", existing: true },
      { rule: "open-web-port", existing: true },
    ]);
  });

  it("are looked for again at apply: a plan that older rules let pass is refused, with the token unspent", async () => {
    /** A server whose rules know nothing of what this one finds. */
    const unaware = (store: Store): Store => ({
      ...store,
      state: () => store.state(),
      commit: (build, actor) =>
        store.commit((state, seq) => {
          const events = build(state, seq);
          if (events instanceof OpsError) return events;
          return events.map((event) => {
            if (event.type !== "change.planned") return event;
            const { policyResults: _, ...change } = event.change;
            return { ...event, change: { ...change, risk: { level: "low", because: [] } } };
          });
        }, actor),
    });
    const s = await start([], { wrapStore: unaware });
    const planned = await addRule(s, ssh);
    expect(planned.change.security).toBeUndefined();
    const strict = await s.beside({
      args: ["--block-findings", "critical"],
      owner: { pid: 2, session: "strict" },
    });
    const refused = await strict.call("changes_apply", { executionToken: planned.executionToken });
    expect(refused, JSON.stringify(refused)).toMatchObject({
      code: "unsafe_change",
      nothingWasChanged: true,
      findings: [{ rule: "open-port", source: "built-in" }],
    });
    await strict.close();
    expect((await s.call("changes_apply", { executionToken: planned.executionToken })).outcome).toBe("applied");
  });

  it("come from installed scanners too; one that fails is named and blocks nothing", async () => {
    const scanned: unknown[] = [];
    const s = await start(["--block-findings", "high"], {
      scan: async (resources) => {
        scanned.push(...resources);
        return [
          { scanner: "checkov", version: "3", passed: 4, findings: [{ rule: "CKV_1", message: "m", resource: 0 }] },
          { scanner: "cfn-guard", failure: "it wrote no report", passed: 0, findings: [] },
        ];
      },
    });
    const properties = { BucketName: "logs-of-ours" };
    const planned = await s.call("resources_create", { type: "AWS::S3::Bucket", properties, intent: "logs" });
    expect(planned.change.security, JSON.stringify(planned)).toMatchObject({
      failed: 1,
      checkedBy: ["built-in", "checkov 3"],
      notCheckedBy: ["cfn-guard: it wrote no report"],
      findings: [{ source: "checkov", rule: "CKV_1", severity: "medium" }],
    });
    expect(scanned).toMatchObject([{ type: "AWS::S3::Bucket", properties }]);
  });
});

describe("how much in an hour", () => {
  it("deletes beyond the operator's number are refused, the token stays good, and an hour later they go through", async () => {
    const s = await start(["--deletes-per-hour", "1", "--token-minutes", "90"]);
    const [first, second] = [await planTerminate(s, FIRST), await planTerminate(s, SECOND)];
    const apply = ({ executionToken }: { executionToken: string }) => s.call("changes_apply", { executionToken });
    expect((await apply(first)).outcome).toBe("applied");
    expect(await apply(second)).toMatchObject({
      code: "budget_spent",
      nothingWasChanged: true,
      kind: "delete",
      spent: 1,
      wanted: 1,
      allowed: 1,
    });
    expect((await s.call("session_whoami")).leftThisHour).toEqual({ creates: 100, deletes: 0 });
    s.pass(61 * 60_000);
    expect((await s.call("session_whoami")).leftThisHour.deletes).toBe(1);
    expect((await apply(second)).outcome).toBe("applied");
  });

  it("a group counts what it launches, and many at once are a high risk", () => {
    const group = { minSize: 0, maxSize: 2000, tags: {} };
    const scaled = (from: number, to: number): ChangeStep => ({
      service: "autoscaling",
      operation: "SetDesiredCapacity",
      input: { AutoScalingGroupName: "web", DesiredCapacity: to, HonorCooldown: false },
      ref: { account: "123456789012", region: "us-east-1", type: "AWS::AutoScaling::AutoScalingGroup", id: "web" },
      reader: "service",
      kind: "action",
      before: { ...group, desiredCapacity: from },
      after: { ...group, desiredCapacity: to },
      touches: ["/desiredCapacity"],
    });
    const risk = (from: number, to: number) => planRisk([scaled(from, to)], undefined, { riskRules: [] });
    expect(risk(2, 3).level).toBe("medium");
    expect(risk(2, 1000)).toMatchObject({ level: "high", because: expect.arrayContaining(["touches 999 resources"]) });
    expect(risk(1000, 1).level).toBe("high");
    const over = (from: number, to: number) =>
      overBudget(
        { operations: new Map(), changes: new Map() } as unknown as State,
        { id: "ch_1", steps: [scaled(from, to)] } as unknown as Change,
        { createsPerHour: 100, deletesPerHour: 20 },
        new Date("2026-11-21T10:00:00Z"),
      );
    expect(over(2, 1000)?.details).toMatchObject({ kind: "create", wanted: 998, allowed: 100 });
    expect(over(1000, 1)?.details).toMatchObject({ kind: "delete", wanted: 999, allowed: 20 });
    expect(over(2, 22)).toBeNull();
  });

  it("a launch counts what it launches", async () => {
    const s = await start(["--creates-per-hour", "2"]);
    const launch = { imageId: "ami-0cc00000000000001", instanceType: "t3.micro", count: 3, intent: "more" };
    const planned = await s.call("instances_launch", launch);
    expect(planned.planned, JSON.stringify(planned)).toBe(true);
    const refused = await s.call("changes_apply", { executionToken: planned.executionToken });
    expect(refused).toMatchObject({ code: "budget_spent", kind: "create", spent: 0, wanted: 3, allowed: 2 });
    expect(refused.message).toContain("only the operator can raise the limit");
  });
});
