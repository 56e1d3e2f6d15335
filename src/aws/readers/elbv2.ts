// Elastic Load Balancing's reads: load balancers, listeners, target groups, and how each target does.

import type {
  LoadBalancer as AwsBalancer,
  Listener as AwsListener,
  TargetGroup as AwsTargetGroup,
  TargetHealthDescription,
} from "@aws-sdk/client-elastic-load-balancing-v2";
import type {
  BalancingReads,
  Listener,
  LoadBalancer,
  TargetGroup,
  TargetGroupHead,
  TargetHealth,
} from "../../core/content/load-balancers.js";
import { asKnown } from "../../core/known.js";
import type { Api } from "../api.js";
import { allPages } from "../pages.js";
import { byName, page, present, type TypeReader, unlessAbsent } from "./parts.js";

const ABSENT = {
  balancer: new Set(["LoadBalancerNotFoundException", "LoadBalancerNotFound"]),
  group: new Set(["TargetGroupNotFoundException", "TargetGroupNotFound"]),
};
const PAGE = 400;

const balancerOf = (aws: AwsBalancer): LoadBalancer =>
  present<LoadBalancer>({
    loadBalancerArn: aws.LoadBalancerArn ?? "",
    name: aws.LoadBalancerName ?? "",
    type: aws.Type ?? "unknown",
    scheme: aws.Scheme,
    state: aws.State?.Code ?? "unknown",
    stateReason: aws.State?.Reason || undefined,
    dnsName: aws.DNSName,
    vpcId: aws.VpcId || undefined,
    availabilityZones: (aws.AvailabilityZones ?? []).map(({ ZoneName = "" }) => ZoneName).sort(byName),
    securityGroups: [...(aws.SecurityGroups ?? [])].sort(byName),
    createdAt: aws.CreatedTime?.toISOString(),
  });

const headOf = (aws: AwsTargetGroup): TargetGroupHead =>
  present<TargetGroupHead>({
    targetGroupArn: aws.TargetGroupArn ?? "",
    name: aws.TargetGroupName ?? "",
    protocol: aws.Protocol,
    port: aws.Port,
    targetType: aws.TargetType ?? "instance",
    vpcId: aws.VpcId || undefined,
    loadBalancerArns: [...(aws.LoadBalancerArns ?? [])].sort(byName),
    healthCheck:
      aws.HealthCheckEnabled === false
        ? undefined
        : present<NonNullable<TargetGroup["healthCheck"]>>({
            protocol: aws.HealthCheckProtocol,
            port: aws.HealthCheckPort,
            path: aws.HealthCheckPath,
            intervalSeconds: aws.HealthCheckIntervalSeconds,
            timeoutSeconds: aws.HealthCheckTimeoutSeconds,
            healthyAfter: aws.HealthyThresholdCount,
            unhealthyAfter: aws.UnhealthyThresholdCount,
            matcher: aws.Matcher?.HttpCode ?? aws.Matcher?.GrpcCode,
          }),
  });

const healthOf = ({ Target, TargetHealth: health }: TargetHealthDescription): TargetHealth =>
  present<TargetHealth>({
    targetId: Target?.Id ?? "",
    port: Target?.Port,
    availabilityZone: Target?.AvailabilityZone,
    state: health?.State ?? "unknown",
    reason: health?.Reason,
    awsMessage: health?.Description,
  });

function listenerOf(aws: AwsListener): Listener {
  return present<Listener>({
    listenerArn: aws.ListenerArn ?? "",
    protocol: aws.Protocol,
    port: aws.Port,
    actions: (aws.DefaultActions ?? []).map(({ Type = "unknown", TargetGroupArn, ForwardConfig }) => {
      const weighted = (ForwardConfig?.TargetGroups ?? []).map(({ TargetGroupArn: arn = "", Weight }) =>
        present<{ targetGroupArn: string; weight?: number }>({ targetGroupArn: arn, weight: Weight }),
      );
      const targetGroups = weighted.length > 0 ? weighted : TargetGroupArn ? [{ targetGroupArn: TargetGroupArn }] : [];
      return { type: Type, ...(targetGroups.length > 0 && { targetGroups }) };
    }),
  });
}

export async function targetGroupsOf(
  api: Api,
  { names, loadBalancerArn }: { readonly names?: readonly string[]; readonly loadBalancerArn?: string },
): Promise<TargetGroupHead[]> {
  const found = await allPages(
    (Marker) =>
      api.call("elbv2", "DescribeTargetGroups", {
        ...(names && { Names: [...names] }),
        ...(loadBalancerArn !== undefined && { LoadBalancerArn: loadBalancerArn }),
        ...(Marker && { Marker }),
      }),
    (output) => output.TargetGroups,
    (output) => output.NextMarker,
  );
  return found.map(headOf);
}

async function targetsIn(api: Api, TargetGroupArn: string): Promise<TargetHealth[]> {
  const output = await api.call("elbv2", "DescribeTargetHealth", { TargetGroupArn });
  return (output.TargetHealthDescriptions ?? [])
    .map(healthOf)
    .sort((a, b) => byName(a.targetId, b.targetId) || (a.port ?? 0) - (b.port ?? 0));
}

/** A target group that goes away meanwhile has no targets any more. */
export const targetHealthOf = async (api: Api, arn: string): Promise<TargetHealth[]> =>
  (await unlessAbsent(ABSENT.group, () => targetsIn(api, arn))) ?? [];

export const targetGroupReader = (api: Api): TypeReader<TargetGroup> => {
  const get = (arn: string) =>
    unlessAbsent(ABSENT.group, async () => {
      const output = await api.call("elbv2", "DescribeTargetGroups", { TargetGroupArns: [arn] });
      const found = output.TargetGroups?.[0];
      // Gone between the two calls it is absent, and never a group without targets.
      return found && { ...headOf(found), targets: await targetsIn(api, arn) };
    });
  return {
    get,
    async list({ ids = [] }) {
      const all = await Promise.all(ids.map(get));
      return { items: all.filter((one): one is TargetGroup => one !== null) };
    },
  };
};

export const loadBalancerReader = (api: Api): TypeReader<LoadBalancer> => {
  const get = (arn: string) =>
    unlessAbsent(ABSENT.balancer, async () => {
      const output = await api.call("elbv2", "DescribeLoadBalancers", { LoadBalancerArns: [arn] });
      const found = output.LoadBalancers?.[0];
      return found && balancerOf(found);
    });
  const byItsName = (name: string) =>
    unlessAbsent(ABSENT.balancer, async () => {
      const output = await api.call("elbv2", "DescribeLoadBalancers", { Names: [name] });
      const found = output.LoadBalancers?.[0];
      return found && balancerOf(found);
    });
  return {
    get,
    async list({ ids, filters = {}, limit = PAGE, cursor }) {
      const { name: names } = filters;
      // One that is gone fails a question about many of them.
      if (ids || names) {
        const all = await Promise.all(ids ? ids.map(get) : [...new Set(names)].map(byItsName));
        return { items: all.filter((one): one is LoadBalancer => one !== null) };
      }
      const output = await api.call("elbv2", "DescribeLoadBalancers", {
        PageSize: Math.min(Math.max(limit, 1), PAGE),
        ...(cursor && { Marker: cursor }),
      });
      return page((output.LoadBalancers ?? []).map(balancerOf), output.NextMarker);
    },
  };
};

export const balancingReads = (api: Api): BalancingReads => ({
  listeners: (LoadBalancerArn) =>
    asKnown(async () => {
      const found = await unlessAbsent(ABSENT.balancer, () =>
        allPages(
          (Marker) => api.call("elbv2", "DescribeListeners", { LoadBalancerArn, ...(Marker && { Marker }) }),
          (output) => output.Listeners,
          (output) => output.NextMarker,
        ),
      );
      return (found ?? []).map(listenerOf).sort((a, b) => (a.port ?? 0) - (b.port ?? 0));
    }),
  targetGroups: ({ names, loadBalancerArns }) =>
    asKnown(async () => {
      const asked = loadBalancerArns
        ? await Promise.all(
            loadBalancerArns.map((loadBalancerArn) =>
              unlessAbsent(ABSENT.balancer, () => targetGroupsOf(api, { loadBalancerArn })),
            ),
          )
        : [await unlessAbsent(ABSENT.group, () => targetGroupsOf(api, { ...(names && { names }) }))];
      const all = asked.flatMap((groups) => groups ?? []);
      return [...new Map(all.map((group) => [group.targetGroupArn, group])).values()].sort((a, b) =>
        byName(a.name, b.name),
      );
    }),
  health: (arn) => asKnown(() => targetHealthOf(api, arn)),
});
