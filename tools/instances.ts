// EC2 instances: what runs, what hangs on it, launch and terminate.

import { z } from "zod";
import { type ChangeStep, type ResourceRef, ridOf, type Seen } from "../src/core/change.js";
import { Instance } from "../src/core/content/instances.js";
import { decodeCursor, encodeCursor } from "../src/core/cursor.js";
import { OpsError } from "../src/core/errors.js";
import type { JsonObject } from "../src/core/json.js";
import type { AwsReader } from "../src/core/ports.js";
import { domain, plan, read } from "../src/core/tool.js";

const InstanceId = z.string().regex(/^i-[0-9a-f]{8,17}$/, "must look like i-0123456789abcdef0");
const Tags = z.record(z.string().min(1).max(128), z.string().max(256));
const STATES = ["pending", "running", "shutting-down", "terminated", "stopping", "stopped"] as const;
const LIVING = ["pending", "running", "stopping", "stopped"] as const;

const refOf = (aws: AwsReader, id: string): ResourceRef => ({
  account: aws.account,
  region: aws.region,
  type: "AWS::EC2::Instance",
  id,
});

const seenOf = (aws: AwsReader, instance: Instance): Seen => ({
  ref: refOf(aws, instance.instanceId),
  reader: "service",
  content: instance as JsonObject,
});

const Row = Instance.extend({ revision: z.string() });

const list = read({
  title: "List EC2 instances",
  description:
    "Instances as they are now, with state, security groups, Auto Scaling group and a revision each. Shutting-down and terminated ones only when asked by `states`. For one instance with what hangs on it use instances.get.",
  scope: "region",
  foreignText: true,
  input: z.object({
    states: z.array(z.enum(STATES)).min(1).optional(),
    instanceIds: z.array(InstanceId).min(1).max(100).optional(),
    tags: Tags.optional().describe("All of these tags"),
    vpcId: z.string().optional(),
    autoScalingGroup: z.string().optional(),
    limit: z.number().int().min(5).max(100).default(25),
    cursor: z.string().optional(),
  }),
  output: z.object({
    count: z.number(),
    inService: z.number(),
    byState: z.record(z.string(), z.number()),
    instances: z.array(Row),
    nextCursor: z.string().optional(),
  }),
  everywhere: { rows: "instances", sum: ["count", "inService", "byState"] },
  async run({ cursor, limit, ...query }, { aws, now, revision }) {
    const filters: Record<string, readonly string[]> = { "instance-state-name": query.states ?? LIVING };
    for (const [key, value] of Object.entries(query.tags ?? {})) filters[`tag:${key}`] = [value];
    if (query.vpcId) filters["vpc-id"] = [query.vpcId];
    if (query.autoScalingGroup) filters["tag:aws:autoscaling:groupName"] = [query.autoScalingGroup];
    if (query.instanceIds) filters["instance-id"] = query.instanceIds;
    const scope = { ...query, account: aws.account, region: aws.region };
    const page = await aws.list("AWS::EC2::Instance", {
      filters,
      limit,
      ...(cursor ? { cursor: decodeCursor(cursor, scope, now) } : {}),
    });
    const seen = page.items.map((instance) => seenOf(aws, instance));
    const byState: Record<string, number> = {};
    for (const { state } of page.items) byState[state] = (byState[state] ?? 0) + 1;
    return {
      data: {
        count: page.items.length,
        inService: byState.running ?? 0,
        byState,
        instances: page.items.map((instance, index) => ({ ...instance, revision: revision(seen[index]!) })),
        ...(page.next ? { nextCursor: encodeCursor(page.next, scope, now) } : {}),
      },
      seen,
      complete: !page.next && !cursor,
    };
  },
});

const get = read({
  title: "Get an EC2 instance",
  description:
    "One instance with what hangs on it: volumes (deleted with it or not), elastic IPs, termination protection. Read it before terminating.",
  scope: "region",
  foreignText: true,
  input: z.object({ instanceId: InstanceId }),
  output: z.object({
    revision: z.string(),
    instance: Instance,
    dependants: z.object({
      terminationProtection: z.boolean(),
      volumes: z.array(z.object({ volumeId: z.string(), deleteOnTermination: z.boolean() })),
      elasticIps: z.array(z.string()),
    }),
  }),
  async run({ instanceId }, { aws, revision }) {
    const instance = await existing(aws, instanceId);
    const dependants = await aws.dependants(instanceId);
    const seen = seenOf(aws, instance);
    return {
      data: { revision: revision(seen), instance, dependants: dependants as unknown as JsonObject },
      seen: [seen],
    };
  },
});

const launch = plan({
  title: "Plan launching EC2 instances",
  description:
    "Plan a launch; nothing starts until changes.apply. All instances of one plan are launched together or not at all. IMDSv2 is required on them. AWS checks the request by dry run.",
  scope: "region",
  basedOn: "none",
  input: z.object({
    imageId: z.string().regex(/^ami-[0-9a-f]{8,17}$/, "must look like ami-0123456789abcdef0"),
    instanceType: z.string().regex(/^[a-z0-9-]+\.[a-z0-9-]+$/, "must look like t3.micro"),
    count: z.number().int().min(1).max(50).default(1),
    name: z.string().max(256).optional().describe("Name tag"),
    subnetId: z
      .string()
      .regex(/^subnet-[0-9a-f]+$/, "must look like subnet-0123456789abcdef0")
      .optional(),
    securityGroupIds: z
      .array(z.string().regex(/^sg-[0-9a-f]+$/, "must look like sg-0123456789abcdef0"))
      .max(16)
      .optional(),
    keyName: z.string().max(255).optional(),
    tags: Tags.optional(),
    userData: z.string().max(16_384).optional().describe("Plain text; kept out of state and answers"),
  }),
  async propose(input, { aws }) {
    const tags = { ...input.tags, ...(input.name ? { Name: input.name } : {}) };
    const step: ChangeStep = {
      service: "ec2",
      operation: "RunInstances",
      input: {
        ImageId: input.imageId,
        InstanceType: input.instanceType,
        MinCount: input.count,
        MaxCount: input.count,
        ...(input.subnetId ? { SubnetId: input.subnetId } : {}),
        ...(input.securityGroupIds ? { SecurityGroupIds: input.securityGroupIds } : {}),
        ...(input.keyName ? { KeyName: input.keyName } : {}),
        ...(input.userData ? { UserData: Buffer.from(input.userData, "utf8").toString("base64") } : {}),
        MetadataOptions: { HttpTokens: "required" },
        TagSpecifications: ["instance", "volume"].map((resource) => ({
          ResourceType: resource,
          Tags: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })),
        })),
      },
      ref: refOf(aws, ""),
      reader: "service",
      kind: "create",
      before: null,
      after: {
        imageId: input.imageId,
        instanceType: input.instanceType,
        ...(input.subnetId ? { subnetId: input.subnetId } : {}),
        ...(input.securityGroupIds ? { securityGroups: input.securityGroupIds } : {}),
        tags,
      },
      touches: [],
      desired: { imageId: input.imageId, instanceType: input.instanceType, tags },
    };
    const what = input.count === 1 ? "one instance" : `${input.count} instances`;
    return {
      summary: `Launch ${what} of type ${input.instanceType} from ${input.imageId}`,
      steps: [step],
      warnings: [],
    };
  },
});

const terminate = plan({
  title: "Plan terminating EC2 instances",
  description:
    "Plan a termination, which cannot be undone. `basedOn`: the revision of each instance from instances.get or instances.list. Shows what hangs on them. Refused while termination protection is on.",
  scope: "region",
  basedOn: "many",
  input: z.object({ instanceIds: z.array(InstanceId).min(1).max(20) }),
  async propose({ instanceIds }, { aws }) {
    const steps: ChangeStep[] = [];
    const warnings: string[] = [];
    const hanging: Record<string, JsonObject> = {};
    for (const instanceId of new Set(instanceIds)) {
      const instance = await existing(aws, instanceId);
      if (instance.state === "terminated" || instance.state === "shutting-down") {
        throw new OpsError("nothing_to_change", `${instanceId} is already ${instance.state}.`, {
          field: "instanceIds",
        });
      }
      const dependants = await aws.dependants(instanceId);
      if (dependants.terminationProtection) {
        throw new OpsError(
          "unsupported",
          `${instanceId} has termination protection on. Ask the user to switch it off first if it really must go.`,
          { field: "instanceIds" },
        );
      }
      hanging[instanceId] = dependants as unknown as JsonObject;
      if (instance.autoScalingGroup) {
        warnings.push(`${instanceId} belongs to an Auto Scaling group, which will launch another one in its place.`);
      }
      if (dependants.elasticIps.length > 0)
        warnings.push(`${instanceId} holds ${dependants.elasticIps.length} elastic IP(s).`);
      const lost = dependants.volumes.filter((volume) => volume.deleteOnTermination).length;
      if (lost > 0) warnings.push(`${lost} volume(s) of ${instanceId} are deleted with it.`);
      steps.push({
        service: "ec2",
        operation: "TerminateInstances",
        input: { InstanceIds: [instanceId] },
        ref: refOf(aws, instanceId),
        reader: "service",
        kind: "delete",
        before: instance as JsonObject,
        after: null,
        touches: [""],
      });
    }
    return {
      summary: `Terminate ${steps.map((step) => step.ref.id).join(", ")}`,
      steps,
      warnings,
      facts: { hanging: hanging as JsonObject },
    };
  },
});

async function existing(aws: AwsReader, instanceId: string): Promise<Instance> {
  const instance = await aws.get("AWS::EC2::Instance", instanceId);
  if (instance) return instance;
  throw new OpsError(
    "not_found",
    `There is no instance ${instanceId} in account ${aws.account}, ${aws.region}. It may be in another region, or terminated more than an hour ago.`,
    {
      field: "instanceId",
      details: { rid: ridOf(refOf(aws, instanceId)) },
      next: [{ tool: "instances.list", arguments: { region: aws.region } }],
    },
  );
}

export const instances = domain("instances", { list, get, launch, terminate }, ["list", "get", "launch", "terminate"]);
