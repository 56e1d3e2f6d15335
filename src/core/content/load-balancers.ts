// Load balancers, their listeners and target groups as our readers show them.

import { z } from "zod";
import type { Known } from "../known.js";

export const TargetHealth = z.object({
  targetId: z.string().describe("instance id, IP address, function or load balancer ARN"),
  port: z.number().optional(),
  availabilityZone: z.string().optional(),
  state: z.string().describe("healthy, unhealthy, initial, draining, unused or unavailable"),
  reason: z.string().optional(),
  awsMessage: z.string().optional(),
});
export type TargetHealth = z.infer<typeof TargetHealth>;

export const TargetGroup = z.object({
  targetGroupArn: z.string(),
  name: z.string(),
  protocol: z.string().optional(),
  port: z.number().optional(),
  targetType: z.string(),
  vpcId: z.string().optional(),
  loadBalancerArns: z.array(z.string()),
  healthCheck: z
    .object({
      protocol: z.string().optional(),
      port: z.string().optional(),
      path: z.string().optional(),
      intervalSeconds: z.number().optional(),
      timeoutSeconds: z.number().optional(),
      healthyAfter: z.number().optional(),
      unhealthyAfter: z.number().optional(),
      matcher: z.string().optional(),
    })
    .optional(),
  targets: z.array(TargetHealth),
});
export type TargetGroup = z.infer<typeof TargetGroup>;

export const Listener = z.object({
  listenerArn: z.string(),
  protocol: z.string().optional(),
  port: z.number().optional(),
  actions: z.array(
    z.object({
      type: z.string(),
      targetGroups: z.array(z.object({ targetGroupArn: z.string(), weight: z.number().optional() })).optional(),
    }),
  ),
});
export type Listener = z.infer<typeof Listener>;

export const LoadBalancer = z.object({
  loadBalancerArn: z.string(),
  name: z.string(),
  type: z.string().describe("application, network or gateway"),
  scheme: z.string().optional(),
  state: z.string(),
  /** Of a state that is not `active`: AWS's own words. */
  stateReason: z.string().optional(),
  dnsName: z.string().optional(),
  vpcId: z.string().optional(),
  availabilityZones: z.array(z.string()),
  securityGroups: z.array(z.string()),
  createdAt: z.string().optional(),
});
export type LoadBalancer = z.infer<typeof LoadBalancer>;

/** A target group without its targets: those are asked for by themselves. */
export type TargetGroupHead = Omit<TargetGroup, "targets">;

/** What is read of load balancers beside their content. */
export interface BalancingReads {
  listeners(loadBalancerArn: string): Promise<Known<readonly Listener[]>>;
  /** Target groups of these load balancers, or by name. */
  targetGroups(query: {
    readonly names?: readonly string[];
    readonly loadBalancerArns?: readonly string[];
  }): Promise<Known<readonly TargetGroupHead[]>>;
  health(targetGroupArn: string): Promise<Known<readonly TargetHealth[]>>;
}
