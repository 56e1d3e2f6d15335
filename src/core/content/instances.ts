// EC2 instances as our readers show them.

import { z } from "zod";
import type { Known } from "../known.js";
import type { TargetHealth } from "./load-balancers.js";
import { Tags } from "./tags.js";

export const Instance = z.object({
  instanceId: z.string(),
  name: z.string().optional(),
  state: z.string().describe("pending, running, shutting-down, terminated, stopping or stopped"),
  /** Why it is in that state, where AWS says so. */
  stateReason: z.object({ code: z.string(), awsMessage: z.string() }).optional(),
  instanceType: z.string(),
  imageId: z.string().optional(),
  availabilityZone: z.string().optional(),
  subnetId: z.string().optional(),
  vpcId: z.string().optional(),
  privateIp: z.string().optional(),
  publicIp: z.string().optional(),
  securityGroups: z.array(z.string()),
  autoScalingGroup: z.string().optional(),
  /** `spot` or `scheduled`; absent on demand. */
  lifecycle: z.string().optional(),
  /** `instance-store`: it can be terminated, never stopped. Absent: `ebs`. */
  rootDevice: z.string().optional(),
  launchedAt: z.string().optional(),
  tags: Tags,
});
export type Instance = z.infer<typeof Instance>;

/** What AWS's own checks say of an instance. */
export interface InstanceHealth {
  readonly instanceId: string;
  readonly system: string;
  readonly instance: string;
  readonly events?: readonly { readonly code: string; readonly description?: string; readonly notBefore?: string }[];
}

/** A target group that sends traffic to an instance. */
export interface Registration extends Omit<TargetHealth, "targetId"> {
  readonly targetGroup: string;
  readonly targetGroupArn: string;
}

export interface Membership {
  readonly groupName: string;
  readonly lifecycleState: string;
  readonly healthStatus: string;
  readonly protectedFromScaleIn: boolean;
}

/** What hangs on an instance, so that a plan can say what it would hit. */
export interface InstanceDependants {
  readonly volumes: readonly { readonly volumeId: string; readonly deleteOnTermination: boolean }[];
  readonly terminationProtection: Known<boolean>;
  readonly stopProtection: Known<boolean>;
  readonly elasticIps: Known<readonly string[]>;
  /** Null: it belongs to none. */
  readonly autoScaling: Known<Membership | null>;
  readonly targetGroups: Known<{
    readonly registered: readonly Registration[];
    /** Target groups that were not asked: there are too many. */
    readonly notAsked: number;
  }>;
  /** Whether its type has disks that lose what they hold when it stops. */
  readonly instanceStore: Known<boolean>;
}

export interface InstanceTypeFacts {
  readonly instanceType: string;
  readonly architectures: readonly string[];
  readonly instanceStore: boolean;
}

/** What is read of instances beside their content. */
export interface InstanceReads {
  /** By instance id. */
  dependants(instances: readonly Instance[]): Promise<ReadonlyMap<string, InstanceDependants>>;
  health(ids: readonly string[]): Promise<Known<readonly InstanceHealth[]>>;
  /** The types of these names that the region has. */
  types(names: readonly string[]): Promise<Known<readonly InstanceTypeFacts[]>>;
}
