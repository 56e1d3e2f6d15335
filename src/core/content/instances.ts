// EC2 instances as our reader shows them.

import { z } from "zod";
import { Tags } from "./tags.js";

export const Instance = z.object({
  instanceId: z.string(),
  name: z.string().optional(),
  state: z.string().describe("pending, running, shutting-down, terminated, stopping or stopped"),
  instanceType: z.string(),
  imageId: z.string().optional(),
  availabilityZone: z.string().optional(),
  subnetId: z.string().optional(),
  vpcId: z.string().optional(),
  privateIp: z.string().optional(),
  publicIp: z.string().optional(),
  securityGroups: z.array(z.string()),
  autoScalingGroup: z.string().optional(),
  launchedAt: z.string().optional(),
  tags: Tags,
});
export type Instance = z.infer<typeof Instance>;

/** What hangs on an instance, so that a plan can say what it would hit. */
export interface InstanceDependants {
  readonly terminationProtection: boolean;
  readonly volumes: readonly { volumeId: string; deleteOnTermination: boolean }[];
  readonly elasticIps: readonly string[];
}
