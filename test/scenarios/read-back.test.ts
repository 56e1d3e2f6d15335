// What an apply asks AWS for beyond the bare call: one look before, one look after, and more only where a look shows too little.

import { afterEach, describe, expect, it } from "vitest";
import type { Transport } from "../../src/aws/api.js";
import type { Properties } from "../cloud-control/json.js";
import { type InMemory, inMemory } from "../in-memory.js";
import { account } from "../interleavings/account.js";
import { ARGS } from "../interleavings/stage.js";

const BUCKET = { type: "AWS::S3::Bucket", identifier: "assets" };
const GROUP = "sg-0bb00000000000001";
const intent = "as the user asked";

let session: InMemory;
let calls: string[] = [];
afterEach(() => session.close());

type Put = (properties: Properties) => void;

async function start(bend: (transport: Transport, put: Put) => Transport = (same) => same): Promise<void> {
  const counted: Transport = async (call) => {
    calls.push(call.operation);
    return bent(call);
  };
  let bent: Transport;
  const place = account({ before: () => {}, after: () => {} }, (transport) => {
    bent = bend(transport, (properties) => place.control.put(BUCKET.type, BUCKET.identifier, properties));
    return counted;
  });
  place.control.put(BUCKET.type, BUCKET.identifier, { VersioningConfiguration: { Status: "Suspended" } });
  session = await inMemory({ args: ARGS, wrap: () => place.aws });
}

async function applied(tool: string, given: Record<string, unknown>) {
  const planned = await session.call(tool, { ...given, intent });
  expect(planned.isError, JSON.stringify(planned)).toBeUndefined();
  calls = [];
  const answer = await session.call("changes_apply", { executionToken: planned.executionToken });
  expect(answer.outcome, JSON.stringify(answer)).toBe("applied");
  return answer;
}

/** AWS shows an update only after so many more reads. */
const shownLate =
  (reads: number) =>
  (transport: Transport): Transport => {
    let old: unknown;
    let late = 0;
    return async (call) => {
      const answer = await transport(call);
      if (call.operation === "UpdateResource") late = reads;
      if (call.operation !== "GetResource") return answer;
      if (late-- > 0) return old;
      old = answer;
      return answer;
    };
  };

const looks = (operation: string): number => calls.filter((one) => one === operation).length;

async function enable() {
  const { revision } = await session.call("resources_get", BUCKET);
  const properties = { VersioningConfiguration: { Status: "Enabled" } };
  return applied("resources_update", { ...BUCKET, properties, basedOn: revision });
}

describe("an apply looks", () => {
  it("once before an update and once after, where that shows what was planned", async () => {
    await start();
    await enable();
    expect(calls).toEqual(["GetResource", "UpdateResource", "GetResourceRequestStatus", "GetResource"]);
  });

  it("again as long as AWS still shows the old content, and answers the new one", async () => {
    let old: unknown;
    let late = 0;
    await start((transport) => async (call) => {
      const answer = await transport(call);
      if (call.operation === "UpdateResource") late = 2;
      if (call.operation !== "GetResource") return answer;
      if (late > 0 && late-- > 1) return old;
      old = answer;
      return answer;
    });
    const { resources } = await enable();
    expect(looks("GetResource")).toBe(3);
    expect(resources[0].properties).toMatchObject({ VersioningConfiguration: { Status: "Enabled" } });
  });

  it("also where several reads agree on the old content, for nothing of what was asked shows in it", async () => {
    await start(shownLate(4));
    const { resources, notes } = await enable();
    expect(looks("GetResource")).toBe(6);
    expect(resources[0].properties).toMatchObject({ VersioningConfiguration: { Status: "Enabled" } });
    expect(notes ?? []).toEqual([]);
  });

  it("for a while only, and says where AWS still does not show what it took", async () => {
    await start(shownLate(Number.POSITIVE_INFINITY));
    const { resources, notes } = await enable();
    expect(looks("GetResource")).toBeLessThan(9);
    expect(resources[0].properties).toMatchObject({ VersioningConfiguration: { Status: "Suspended" } });
    expect(notes.join(" ")).toMatch(/assets.*does not show/);
  });

  it("stops there where a later call on the same resource rests on it, and blames nobody", async () => {
    await start((transport) => {
      let old: unknown;
      let sent = false;
      return async (call) => {
        sent ||= /^(Revoke|Authorize)/.test(call.operation);
        if (call.operation !== "DescribeSecurityGroupRules") return transport(call);
        if (!sent) old = await transport(call);
        return old;
      };
    });
    const { revision } = await session.call("securityGroups_get", { groupId: GROUP });
    const rules = [{ fromPort: 8443, peer: "10.0.0.0/8" }];
    const planned = await session.call("securityGroups_update", { groupId: GROUP, rules, basedOn: revision, intent });
    const answer = await session.call("changes_apply", { executionToken: planned.executionToken });
    expect(answer).toMatchObject({ code: "outcome_unknown", stepsDone: 1 });
    expect(answer.message).toMatch(/does not show/);
    expect(answer.message).not.toMatch(/changed elsewhere/);
  });

  it("at what was deleted, and takes one that somebody made again neither for ours nor for seen", async () => {
    await start((transport, put) => async (call) => {
      const answer = await transport(call);
      if (call.operation === "GetResourceRequestStatus") put({ Note: "somebody else's" });
      return answer;
    });
    const { revision } = await session.call("resources_get", BUCKET);
    const answer = await applied("resources_delete", { ...BUCKET, basedOn: revision });
    expect(answer.notes).toEqual([expect.stringContaining("made again by somebody")]);
    expect(JSON.stringify(answer)).not.toContain("somebody else's");
    const { lineage } = await session.call("state_history", { identifier: BUCKET.identifier });
    expect(lineage.at(-1)).toMatchObject({ operation: "delete", outcome: "succeeded" });
    expect(JSON.stringify(lineage)).not.toContain("somebody else's");
    const again = await session.call("resources_delete", { ...BUCKET, basedOn: revision, intent });
    expect(again).toMatchObject({ isError: true, code: "stale_revision" });
  });

  it("twice where AWS added something of its own, for that may not be all of it", async () => {
    let sent = false;
    await start((transport) => async (call) => {
      const answer = await transport(call);
      sent ||= call.operation === "UpdateResource";
      if (call.operation !== "GetResource" || !sent) return answer;
      const { ResourceDescription, ...rest } = answer as { ResourceDescription: { Properties: string } };
      const Properties = JSON.stringify({ ...JSON.parse(ResourceDescription.Properties), Filled: "in" });
      return { ...rest, ResourceDescription: { ...ResourceDescription, Properties } };
    });
    const { resources } = await enable();
    expect(looks("GetResource")).toBe(3);
    expect(resources[0].properties).toMatchObject({ Filled: "in" });
  });

  it("between two calls on one group once: what the first is read back by is the look before the second", async () => {
    await start();
    const { revision } = await session.call("securityGroups_get", { groupId: GROUP });
    const rules = [{ fromPort: 8443, peer: "10.0.0.0/8" }];
    await applied("securityGroups_update", { groupId: GROUP, rules, basedOn: revision });
    const [first, second] = calls.filter((one) => /^(Revoke|Authorize)/.test(one));
    expect([first, second].sort()).toEqual(["AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"]);
    expect(looks("DescribeSecurityGroupRules")).toBe(3);
  });
});
