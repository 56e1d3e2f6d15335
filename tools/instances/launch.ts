// instances.launch: instances that did not exist before.

import { z } from "zod";
import type { ChangeStep } from "../../src/core/change.js";
import { data, plan } from "../../src/core/tool.js";
import { InstanceTypeName, refOf, Tags } from "./parts.js";

export const launch = plan({
  title: "Plan launching EC2 instances",
  description:
    "Plan a launch; nothing starts until changes.apply. All instances of one plan are launched together or not at all. IMDSv2 is required on them. For members of an Auto Scaling group use autoscaling.setCapacity.",
  scope: "region",
  basedOn: "none",
  input: z.object({
    imageId: z.string().regex(/^ami-[0-9a-f]{8,17}$/, "must look like ami-0123456789abcdef0"),
    instanceType: InstanceTypeName,
    count: z.number().int().min(1).max(50).default(1),
    name: data(z.string().max(256)).optional().describe("Name tag"),
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
    const left = [
      ...(input.subnetId ? [] : ["No subnet is named: AWS takes one of the default network."]),
      ...(input.securityGroupIds?.length ? [] : ["No security group is named: AWS takes the network's default group."]),
      ...(input.keyName ? [] : ["No key pair is named: there is no SSH login by key."]),
    ];
    return {
      summary: `Launch ${what} of type ${input.instanceType} from ${input.imageId}`,
      steps: [step],
      warnings: left,
    };
  },
});
