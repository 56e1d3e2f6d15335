// EC2's reads: instances and security groups, and what hangs on them.

import type { Filter } from "@aws-sdk/client-ec2";
import type { Instance } from "../../core/content/instances.js";
import type { GroupReference, GroupUser, SecurityGroup } from "../../core/content/security-groups.js";
import type { Region } from "../../core/content.js";
import { OpsError } from "../../core/errors.js";
import type { ListQuery } from "../../core/ports.js";
import type { Api } from "../api.js";
import { allPages } from "../pages.js";
import { instanceOf, securityGroupOf } from "./ec2-shapes.js";
import { byName, chunks, page, present, type TypeReader, unlessAbsent } from "./parts.js";

const ABSENT = {
  instance: new Set(["InvalidInstanceID.NotFound"]),
  group: new Set(["InvalidGroup.NotFound", "InvalidGroupId.NotFound", "InvalidSecurityGroupID.NotFound"]),
};

/** AWS's limits for a page of EC2 descriptions; for a filter's values. */
const PAGE = { least: 5, most: 1000 };
const FILTER_VALUES = 200;

/**
 * Ids go in as a filter: ids that no longer exist are then missing from the answer instead of failing all of it.
 * A page may hold more than a `limit` below AWS's smallest page.
 */
function listInput(idFilter: string, { ids, filters = {}, limit, cursor }: ListQuery) {
  if (ids && ids.length > FILTER_VALUES) {
    throw new OpsError("validation_error", `At most ${FILTER_VALUES} ids can be read at once.`, { field: "ids" });
  }
  const all: Filter[] = [
    ...(ids ? [{ Name: idFilter, Values: [...ids] }] : []),
    ...Object.entries(filters).map(([Name, Values]) => ({ Name, Values: [...Values] })),
  ];
  return present<{ Filters?: Filter[]; MaxResults?: number; NextToken?: string }>({
    Filters: all.length > 0 ? all : undefined,
    MaxResults: limit === undefined ? PAGE.most : Math.min(Math.max(limit, PAGE.least), PAGE.most),
    NextToken: cursor,
  });
}

function rulesOf(api: Api, groupIds: readonly string[]) {
  const Filters: Filter[] = [{ Name: "group-id", Values: [...groupIds] }];
  return allPages(
    (NextToken) =>
      api.call("ec2", "DescribeSecurityGroupRules", {
        Filters,
        MaxResults: PAGE.most,
        ...(NextToken && { NextToken }),
      }),
    (output) => output.SecurityGroupRules,
    (output) => output.NextToken,
  );
}

export const instanceReader = (api: Api): TypeReader<Instance> => ({
  get: (id) =>
    unlessAbsent(ABSENT.instance, async () => {
      const output = await api.call("ec2", "DescribeInstances", { InstanceIds: [id] });
      const found = output.Reservations?.flatMap(({ Instances = [] }) => Instances)[0];
      return found && instanceOf(found);
    }),
  async list(query) {
    if (query.ids?.length === 0) return { items: [] };
    const output = await api.call("ec2", "DescribeInstances", listInput("instance-id", query));
    const found = (output.Reservations ?? []).flatMap(({ Instances = [] }) => Instances);
    return page(found.map(instanceOf), output.NextToken);
  },
});

export const securityGroupReader = (api: Api): TypeReader<SecurityGroup> => ({
  // Rules first: a group deleted between the two calls is then absent, and never a group without rules.
  get: (id) =>
    unlessAbsent(ABSENT.group, async () => {
      const rules = await rulesOf(api, [id]);
      const output = await api.call("ec2", "DescribeSecurityGroups", { GroupIds: [id] });
      const found = output.SecurityGroups?.[0];
      return found && securityGroupOf(found, rules);
    }),
  async list(query) {
    if (query.ids?.length === 0) return { items: [] };
    const output = await api.call("ec2", "DescribeSecurityGroups", listInput("group-id", query));
    const groups = output.SecurityGroups ?? [];
    const ids = groups.map(({ GroupId = "" }) => GroupId);
    const rules = (await Promise.all(chunks(ids, FILTER_VALUES).map((some) => rulesOf(api, some)))).flat();
    return page(
      groups.map((group) => securityGroupOf(group, rules)),
      output.NextToken,
    );
  },
});

export async function regionsOf(api: Api): Promise<Region[]> {
  const output = await api.call("ec2", "DescribeRegions", { AllRegions: true });
  return (output.Regions ?? [])
    .map(({ RegionName = "", OptInStatus = "opt-in-not-required" }) => ({ region: RegionName, optIn: OptInStatus }))
    .sort((a, b) => (a.region < b.region ? -1 : 1));
}

/** Who stands behind a security group: the network interfaces that carry it. */
export async function groupUsersOf(api: Api, groupId: string): Promise<GroupUser[]> {
  const Filters: Filter[] = [{ Name: "group-id", Values: [groupId] }];
  const interfaces = await allPages(
    (NextToken) =>
      api.call("ec2", "DescribeNetworkInterfaces", { Filters, MaxResults: PAGE.most, ...(NextToken && { NextToken }) }),
    (output) => output.NetworkInterfaces,
    (output) => output.NextToken,
  );
  return interfaces
    .map(({ NetworkInterfaceId = "", Attachment, Description }) =>
      present<GroupUser>({
        networkInterfaceId: NetworkInterfaceId,
        instanceId: Attachment?.InstanceId || undefined,
        description: Description || undefined,
      }),
    )
    .sort((a, b) => (a.networkInterfaceId < b.networkInterfaceId ? -1 : 1));
}

/** AWS's filters for groups with a rule whose peer is another group. */
const REFERENCES = { ingress: "ip-permission.group-id", egress: "egress.ip-permission.group-id" } as const;

/** The other groups whose rules name a group. A rule that names its own group does not keep it. */
export async function groupReferencesOf(api: Api, groupId: string): Promise<GroupReference[]> {
  const by = async (direction: keyof typeof REFERENCES): Promise<GroupReference[]> => {
    const Filters: Filter[] = [{ Name: REFERENCES[direction], Values: [groupId] }];
    const groups = await allPages(
      (NextToken) =>
        api.call("ec2", "DescribeSecurityGroups", {
          Filters,
          MaxResults: PAGE.most,
          ...(NextToken && { NextToken }),
        }),
      (output) => output.SecurityGroups,
      (output) => output.NextToken,
    );
    return groups.map(({ GroupId = "" }) => ({ groupId: GroupId, direction }));
  };
  const found = (await Promise.all([by("ingress"), by("egress")])).flat();
  return found
    .filter((one) => one.groupId !== groupId)
    .sort((a, b) => byName(`${a.groupId} ${a.direction}`, `${b.groupId} ${b.direction}`));
}
