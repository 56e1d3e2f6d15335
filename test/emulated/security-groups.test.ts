// Security groups on moto: made, looked at by the page, and deleted only when nothing uses them, while somebody else changes
// the account. That AWS itself refuses what is in use (DependencyViolation) moto does not do: that answer is injected here.

import {
  AuthorizeSecurityGroupIngressCommand,
  CreateNetworkInterfaceCommand,
  CreateSecurityGroupCommand,
  DeleteNetworkInterfaceCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  DescribeVpcsCommand,
  type IpPermission,
  RevokeSecurityGroupIngressCommand,
} from "@aws-sdk/client-ec2";
import { countTokens } from "gpt-tokenizer/encoding/o200k_base";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Answer, Assistant } from "../harness.js";
import { type Product, startProduct } from "./product.js";

const product = await startProduct("security groups on moto", import.meta.url);
const intent = "tidy up the network";
/** What one default answer may cost a model. */
const MOST_TOKENS = 5_000;

describe.skipIf(!product)("security groups on moto", () => {
  const { proxy, outsider, ledger, calls } = (product ?? {}) as Product;
  let assistant: Assistant;
  let vpcId: string;
  let subnetId: string;

  const made = async (GroupName: string) =>
    (await outsider.ec2.send(new CreateSecurityGroupCommand({ GroupName, Description: GroupName, VpcId: vpcId })))
      .GroupId!;
  const allow = (GroupId: string, ...IpPermissions: IpPermission[]) =>
    outsider.ec2.send(new AuthorizeSecurityGroupIngressCommand({ GroupId, IpPermissions }));
  const from = (port: number, CidrIp = "10.0.0.0/8"): IpPermission => ({
    IpProtocol: "tcp",
    FromPort: port,
    ToPort: port,
    IpRanges: [{ CidrIp }],
  });
  const exists = async (id: string) =>
    (await outsider.ec2.send(new DescribeSecurityGroupsCommand({ Filters: [{ Name: "group-id", Values: [id] }] })))
      .SecurityGroups!.length === 1;
  const get = (groupId: string, more: object = {}) => assistant.call("securityGroups_get", { groupId, ...more });
  const apply = (planned: Answer) => assistant.call("changes_apply", { executionToken: planned.data.executionToken });
  const remove = async (groupId: string) => {
    const { data } = await get(groupId);
    return assistant.call("securityGroups_delete", { groupId, basedOn: data.revision, intent });
  };
  const tokens = ({ text }: Answer) => countTokens(text.join(""));

  beforeAll(async () => {
    await product!.moto.reset();
    vpcId = (await outsider.ec2.send(new DescribeVpcsCommand({}))).Vpcs![0]!.VpcId!;
    subnetId = (await outsider.ec2.send(new DescribeSubnetsCommand({}))).Subnets![0]!.SubnetId!;
    assistant = await product!.start();
  });
  beforeEach(() => proxy.clear());
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => product!.close());

  it("creates one by plan and token, marked, and never a second of the same name", async () => {
    const wanted = { groupName: "web", description: "the web servers", vpcId, tags: { team: "web" }, intent };
    const planned = await assistant.call("securityGroups_create", wanted);
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    const applied = await apply(planned);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    const [{ id, properties }] = applied.data.resources;
    expect(properties).toMatchObject({ groupName: "web", description: "the web servers", tags: { team: "web" } });
    expect(await exists(id)).toBe(true);
    expect((await assistant.call("securityGroups_create", wanted)).data).toMatchObject({
      code: "already_exists",
      field: "groupName",
      next: [{ tool: "securityGroups_get", arguments: { groupId: id } }],
    });
  });

  it("finds the one it made where the answer was lost, and makes no second", async () => {
    const planned = await assistant.call("securityGroups_create", {
      groupName: "lost",
      description: "lost",
      vpcId,
      intent,
    });
    proxy.rule({
      service: "ec2",
      operation: "CreateSecurityGroup",
      where: ({ params }) => params.DryRun !== "true",
      dropReply: true,
    });
    const applied = await apply(planned);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(calls("ec2", "CreateSecurityGroup").filter(({ params }) => params.DryRun !== "true")).toHaveLength(1);
  });

  it("does not take for its own what somebody else made under the name meanwhile", async () => {
    const planned = await assistant.call("securityGroups_create", {
      groupName: "race",
      description: "ours",
      vpcId,
      intent,
    });
    const theirs = await made("race");
    const refused = await apply(planned);
    expect(refused.data).toMatchObject({ code: "already_exists", nothingWasChanged: true });
    expect((await get(theirs)).data.securityGroup.description).toBe("race");
  });

  it("refuses to delete what is in use and names who uses it, then deletes it once nobody does", async () => {
    const [used, friend] = [await made("used"), await made("friend")];
    const { NetworkInterface } = await outsider.ec2.send(
      new CreateNetworkInterfaceCommand({ SubnetId: subnetId, Groups: [used] }),
    );
    const peer: IpPermission = { IpProtocol: "tcp", FromPort: 80, ToPort: 80, UserIdGroupPairs: [{ GroupId: used }] };
    await allow(friend, peer);
    const refused = await remove(used);
    expect(refused.data).toMatchObject({
      code: "in_use",
      field: "groupId",
      usedBy: {
        networkInterfaces: [{ networkInterfaceId: NetworkInterface!.NetworkInterfaceId }],
        groups: [{ groupId: friend, direction: "ingress" }],
      },
      next: [{ tool: "securityGroups_get", arguments: { groupId: friend, peer: used } }],
    });
    expect((await get(used)).data).toMatchObject({ usedByCount: 1, referencedBy: [friend] });
    await outsider.ec2.send(
      new DeleteNetworkInterfaceCommand({ NetworkInterfaceId: NetworkInterface!.NetworkInterfaceId! }),
    );
    await outsider.ec2.send(new RevokeSecurityGroupIngressCommand({ GroupId: friend, IpPermissions: [peer] }));
    const planned = await remove(used);
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    expect(planned.data.change.risk.level).toBe("high");
    const applied = await apply(planned);
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(await exists(used)).toBe(false);
  });

  it("deletes nothing that changed, or that AWS says is in use by now", async () => {
    const group = await made("moving");
    const first = await remove(group);
    await allow(group, from(22));
    expect((await apply(first)).data).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
    const second = await remove(group);
    proxy.rule({
      service: "ec2",
      operation: "DeleteSecurityGroup",
      answer: { status: 400, code: "DependencyViolation", message: "resource has a dependent object" },
    });
    expect((await apply(second)).data).toMatchObject({ code: "in_use", nothingWasChanged: true });
    expect(await exists(group)).toBe(true);
    const { data } = await assistant.call("securityGroups_list", { groupName: "default", vpcId });
    expect((await remove(data.securityGroups[0].groupId)).data).toMatchObject({
      code: "unsupported",
      field: "groupId",
    });
  });

  it("shows 1,200 rules over 24 groups: by count, then each rule of each group, complete and in order", async () => {
    const groups: string[] = [];
    for (let group = 0; group < 24; group++) {
      const id = await made(`many-${group}`);
      groups.push(id);
      await allow(id, ...Array.from({ length: 50 }, (_, n) => from(1_000 + n, `10.${group}.0.0/24`)));
    }
    const rows: { groupId: string; ruleCount: number }[] = [];
    let cursor: string | undefined;
    do {
      const answer = await assistant.call("securityGroups_list", {
        groupIds: groups,
        limit: 10,
        ...(cursor && { cursor }),
      });
      expect(tokens(answer)).toBeLessThanOrEqual(MOST_TOKENS);
      rows.push(...answer.data.securityGroups);
      cursor = answer.data.nextCursor;
    } while (cursor);
    expect(rows.map(({ groupId }) => groupId).sort()).toEqual([...groups].sort());
    expect(rows.every(({ ruleCount }) => ruleCount === 51)).toBe(true);
    let all = 0;
    for (const group of groups) {
      const answer = await get(group, { direction: "ingress" });
      expect(tokens(answer)).toBeLessThanOrEqual(MOST_TOKENS);
      all += answer.data.securityGroup.rules.length;
    }
    expect(all).toBe(1_200);
  });
});
