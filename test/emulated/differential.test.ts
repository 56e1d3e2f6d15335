// The sandbox against moto: the same calls, the same answers, but for what is named below. Keeps the demo honest.

import {
  AuthorizeSecurityGroupIngressCommand,
  CreateSecurityGroupCommand,
  DescribeImagesCommand,
  DescribeSubnetsCommand,
  RunInstancesCommand,
} from "@aws-sdk/client-ec2";
import { afterAll, describe, expect, it } from "vitest";
import { type Answer, type Assistant, startAssistant } from "../harness.js";
import { startProduct } from "./product.js";

const product = await startProduct("the sandbox against moto", import.meta.url);

/** Where the two differ, and which of them AWS's documentation is with. An entry that no longer differs fails. */
const DIVERGES: Readonly<Record<string, string>> = {};

interface Place {
  readonly groupId: string;
  readonly instanceId: string;
  readonly imageId: string;
}

type Told = (name: string, tool: string, args: Record<string, unknown>) => Promise<Answer>;

/** One story over groups and instances, told on any backend. */
async function story(assistant: Assistant, { groupId, instanceId, imageId }: Place): Promise<Map<string, unknown>> {
  const answers = new Map<string, unknown>();
  const tell: Told = async (name, tool, args) => {
    const answer = await assistant.call(tool, args);
    answers.set(name, { isError: answer.isError, data: answer.data });
    return answer;
  };
  const rule = { fromPort: 8443, peer: "10.0.0.0/8", description: "admin" };
  const seen = await tell("get", "securityGroups_get", { groupId });
  const planned = await tell("plan", "securityGroups_addRule", { groupId, rule, intent: "admin port" });
  const executionToken = planned.data.executionToken;
  await tell("apply", "changes_apply", { executionToken });
  await tell("apply again", "changes_apply", { executionToken });
  await tell("same rule", "securityGroups_addRule", { groupId, rule, intent: "admin port" });
  await tell("stale update", "securityGroups_update", {
    groupId,
    rules: [{ fromPort: 443, peer: "0.0.0.0/0" }],
    intent: "clean up",
    basedOn: seen.data.revision,
  });
  const group = await tell("get again", "securityGroups_get", { groupId });
  const added = group.data.securityGroup.rules.find((one: { fromPort?: number }) => one.fromPort === 8443);
  const removal = await tell("plan removal", "securityGroups_removeRule", {
    groupId,
    ruleId: added.ruleId,
    intent: "not needed",
    basedOn: group.data.revision,
  });
  await tell("removal", "changes_apply", { executionToken: removal.data.executionToken });
  await tell("history", "state_history", { identifier: groupId });
  await tell("drift", "state_drift", { identifier: groupId });
  await tell("no such group", "securityGroups_get", { groupId: "sg-0123456789abcdef0" });
  await tell("no such instance", "instances_get", { instanceId: "i-0123456789abcdef0" });
  await tell("no such rule", "securityGroups_removeRule", {
    groupId,
    ruleId: "sgr-0123456789abcdef0",
    intent: "not there",
    basedOn: group.data.revision,
  });
  const launch = await tell("plan launch", "instances_launch", {
    imageId,
    instanceType: "t3.micro",
    intent: "one more",
  });
  await tell("launch", "changes_apply", { executionToken: launch.data.executionToken });
  const instance = await assistant.call("instances_get", { instanceId });
  const end = await tell("plan end", "instances_terminate", {
    instanceIds: [instanceId],
    basedOn: [instance.data.revision],
    intent: "one less",
  });
  await tell("end", "changes_apply", { executionToken: end.data.executionToken });
  await tell("end again", "instances_terminate", {
    instanceIds: [instanceId],
    basedOn: [instance.data.revision],
    intent: "again",
  });
  return answers;
}

/** Ids, times, accounts and digests by order of appearance; what only one backend can know left out. */
function normalised(answers: Map<string, unknown>): Map<string, unknown> {
  const names = new Map<string, string>();
  const nth = (kind: string, value: string): string => {
    if (!names.has(value))
      names.set(value, `<${kind} ${[...names.values()].filter((name) => name.startsWith(`<${kind}`)).length + 1}>`);
    return names.get(value)!;
  };
  const text = (value: string): string =>
    value
      .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>")
      .replace(/\b(sgr|sg|i|ami|vpc|subnet|vol|eni)-[0-9a-f]{8,17}\b/g, (id, kind) =>
        kind === "sgr" ? "<sgr>" : nth(kind, id),
      )
      .replace(/\br\d+-[0-9a-f]{8}\b/g, "<revision>")
      .replace(/\bxt_[0-9a-z]+_[\w-]{22}/g, (token) => nth("token", token))
      .replace(/\b\d{12}\b/g, "<account>")
      .replace(/\b(us-east-1|eu-west-1)\b/g, "<region>")
      .replace(/arn:aws:[^"\s]*/g, "<arn>")
      .replace(/^\/rules\/\d+$/, "/rules/<one>");
  const walk = (value: unknown): unknown => {
    if (typeof value === "string") return text(value);
    if (Array.isArray(value)) {
      const items = value.map(walk);
      return items.every((item) => typeof item === "object" && item !== null && "direction" in item)
        ? items.sort((a, b) => (traffic(a) < traffic(b) ? -1 : 1))
        : items;
    }
    if (typeof value !== "object" || value === null) return value;
    const whole = "path" in value && value.path === "";
    return Object.fromEntries(
      Object.entries(value)
        .filter(([key]) => !ENVIRONMENT.has(key) && !(whole && (key === "before" || key === "after")))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, member]) => [text(key), walk(member)]),
    );
  };
  return new Map([...answers].map(([name, answer]) => [name, walk(answer)]));
}

const traffic = (rule: unknown): string => JSON.stringify({ ...(rule as object), ruleId: "" });

/** What an account merely happens to hold: addresses, names, what else is attached. */
const ENVIRONMENT = new Set([
  "sandbox",
  "asOf",
  "privateIp",
  "publicIp",
  "availabilityZone",
  "subnetId",
  "launchedAt",
  "groupName",
  "description",
  "tags",
  "usedBy",
  "usedByCount",
  "correlationId",
  "securityGroups",
  "imageId",
  "instanceType",
  "autoScalingGroup",
  "name",
  "warnings",
  "hanging",
  "user",
  "staleNotices",
  "requestId",
  "awsMessage",
  "at",
  "stateSync",
  "securityGroup",
  "vpcId",
]);

describe.skipIf(!product)("the sandbox against moto", () => {
  afterAll(() => product!.close());

  it("answers one story alike", async () => {
    const { ec2 } = product!.outsider;
    const { Images = [] } = await ec2.send(new DescribeImagesCommand({ Owners: ["amazon"] }));
    const { Subnets = [] } = await ec2.send(new DescribeSubnetsCommand({}));
    const group = await ec2.send(
      new CreateSecurityGroupCommand({
        GroupName: "prod",
        Description: "Production API",
        VpcId: Subnets[0]!.VpcId!,
        TagSpecifications: [{ ResourceType: "security-group", Tags: [{ Key: "env", Value: "prod" }] }],
      }),
    );
    const groupId = group.GroupId!;
    await ec2.send(
      new AuthorizeSecurityGroupIngressCommand({
        GroupId: groupId,
        IpPermissions: [
          { IpProtocol: "tcp", FromPort: 443, ToPort: 443, IpRanges: [{ CidrIp: "0.0.0.0/0", Description: "https" }] },
        ],
      }),
    );
    const ran = await ec2.send(
      new RunInstancesCommand({
        ImageId: Images[0]!.ImageId!,
        InstanceType: "t3.micro",
        MinCount: 1,
        MaxCount: 1,
      }),
    );
    const onMoto = await product!.start();
    const moto = normalised(
      await story(onMoto, { groupId, instanceId: ran.Instances![0]!.InstanceId!, imageId: Images[0]!.ImageId! }),
    );
    const sandboxed = await startAssistant({ args: ["--sandbox"] });
    const sandbox = normalised(
      await story(sandboxed, {
        groupId: "sg-0bb00000000000001",
        instanceId: "i-0aa00000000000004",
        imageId: "ami-0cc00000000000001",
      }),
    );
    await sandboxed.close();
    for (const [name, answer] of moto) {
      const because = DIVERGES[name];
      if (because) expect(sandbox.get(name), `${name} no longer differs: ${because}`).not.toEqual(answer);
      else expect(sandbox.get(name), name).toEqual(answer);
    }
  });
});
