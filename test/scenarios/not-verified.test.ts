// What AWS made and nobody can read: an end of its own, and no guess. A change that stops halfway says what it did.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Transport } from "../../src/aws/api.js";
import type { JsonObject } from "../../src/core/json.js";
import { type Scripted, startScripted } from "../cloud-control/product.js";
import { type InMemory, inMemory } from "../in-memory.js";
import { account } from "../interleavings/account.js";
import { ARGS } from "../interleavings/stage.js";

const handlers = { create: {}, update: {}, delete: {} };
const POLICY = {
  type: "AWS::SNS::TopicPolicy",
  properties: { PolicyDocument: { Statement: [] }, Topics: ["arn:aws:sns:eu-west-1:123456789012:t"] },
};
const LISTENER = {
  type: "AWS::ElasticLoadBalancingV2::Listener",
  properties: {
    DefaultActions: [{ Type: "forward" }],
    LoadBalancerArn: "arn:aws:elb:::loadbalancer/app/a/1",
    Port: 80,
  },
};
const schemaOf = (id: string, names: readonly string[], more: JsonObject): JsonObject => ({
  properties: Object.fromEntries(names.map((name) => [name, {}])),
  readOnlyProperties: [`/properties/${id}`],
  primaryIdentifier: [`/properties/${id}`],
  handlers: { ...handlers, ...more },
});
const intent = "as the user asked";

describe("a create that AWS reports as done", () => {
  let at: Scripted;
  beforeEach(async () => {
    at = await startScripted();
  });
  afterEach(() => at.close());

  const describeListener = () =>
    at.describe(
      LISTENER.type,
      schemaOf("ListenerArn", ["ListenerArn", ...Object.keys(LISTENER.properties)], { read: {} }),
    );
  const create = (what: object) => at.call("resources_create", { ...what, intent });

  /** Applied, with nobody who could look: the end of the operation, and the same words wherever it is told. */
  async function madeUnseen(what: { type: string }, code: string, drifted: string) {
    const planned = await create(what);
    expect(planned.planned, JSON.stringify(planned)).toBe(true);
    let applied = await at.call("changes_apply", { executionToken: planned.executionToken });
    if (code === "access_denied") {
      // The right may come a moment later: only what is still denied when the approval runs out is for good.
      expect(applied, JSON.stringify(applied)).toMatchObject({ outcome: "in_progress" });
      at.session.pass(16 * 60_000);
      await at.call("changes_get", { changeId: planned.change.changeId });
      applied = await at.call("changes_apply", { executionToken: planned.executionToken });
    }
    expect(applied, JSON.stringify(applied)).toMatchObject({ ok: true, outcome: "applied" });
    const because = `it could not be read back (${code})`;
    const [made] = applied.resources;
    expect(made).toMatchObject({ type: what.type, notVerified: because });
    expect(made.id).not.toBe("");
    expect(made.revision, "what was not seen is nothing to build on").toBeUndefined();
    if (!applied.repeated) expect(applied.notes.join()).toMatch(/not verified/);
    const { change } = await at.call("changes_get", { changeId: planned.change.changeId });
    expect(change).toMatchObject({ state: "applied", operations: [{ state: "succeeded", because }] });
    const history = await at.call("state_history", { identifier: made.id });
    expect(history.lineage.at(-1)).toMatchObject({ operation: "create", outcome: "succeeded", notVerified: because });
    const drift = await at.call("state_drift", { identifier: made.id });
    expect(drift.resources, JSON.stringify(drift)).toMatchObject([{ status: drifted }]);
    return planned;
  }

  it("of a type that nobody can read has ended, is called not verified, and the plan says so before", async () => {
    at.describe(POLICY.type, schemaOf("Id", ["Id", "PolicyDocument", "Topics"], {}));
    const planned = await madeUnseen(POLICY, "unsupported", "NOT_CHECKED");
    expect(planned.change.warnings.join()).toMatch(/no way to read a AWS::SNS::TopicPolicy/);
  });

  it("and that these credentials may not read has ended, and is called not verified", async () => {
    describeListener();
    at.cloudControl.rule({ operation: "GetResource", fail: "AccessDeniedException", times: null });
    const planned = await madeUnseen(LISTENER, "access_denied", "UNKNOWN");
    expect(planned.change.warnings.join()).not.toMatch(/no way to read/);
  });

  it("and that AWS cannot show just now stays open, and is read back later", async () => {
    describeListener();
    at.cloudControl.rule({ operation: "GetResource", fail: "ThrottlingException", times: null });
    const planned = await create(LISTENER);
    const applied = await at.call("changes_apply", { executionToken: planned.executionToken });
    expect(applied, JSON.stringify(applied)).toMatchObject({ outcome: "in_progress" });
    at.cloudControl.rules.clear();
    const { change } = await at.call("changes_get", { changeId: planned.change.changeId });
    expect(change.state).toBe("applied");
  });
});

describe("a change of which one call was done and the next refused", () => {
  const GROUP = "sg-0bb00000000000001";
  let session: InMemory;
  afterEach(() => session.close());

  it("does not say that nothing was changed", async () => {
    const denied: Transport = async () => {
      throw Object.assign(new Error("not authorized to perform: ec2:RevokeSecurityGroupIngress"), {
        name: "UnauthorizedOperation",
        $metadata: { httpStatusCode: 403 },
      });
    };
    const place = account({ before: () => {}, after: () => {} }, (transport) => (call) => {
      const dryRun = (call.input as { DryRun?: boolean }).DryRun;
      return call.operation === "RevokeSecurityGroupIngress" && !dryRun ? denied(call) : transport(call);
    });
    session = await inMemory({ args: ARGS, wrap: () => place.aws });
    const { revision } = await session.call("securityGroups_get", { groupId: GROUP });
    const rules = [{ fromPort: 8443, peer: "10.0.0.0/8" }];
    const planned = await session.call("securityGroups_update", { groupId: GROUP, rules, basedOn: revision, intent });
    const answer = await session.call("changes_apply", { executionToken: planned.executionToken });
    expect(answer, JSON.stringify(answer)).toMatchObject({
      code: "access_denied",
      stepsDone: 1,
      stepsPlanned: 2,
      nothingWasChanged: false,
      awsCode: "UnauthorizedOperation",
      action: "ec2:RevokeSecurityGroupIngress",
      stateSync: { causedBy: "securityGroups_update" },
    });
    expect(answer.awsMessage).toContain("not authorized");
    expect(answer.message).not.toMatch(/nothing was changed/i);
    expect(answer.message).toMatch(/RevokeSecurityGroupIngress.*was not carried out.*1 of 2 calls were done and stay/);
  });
});
