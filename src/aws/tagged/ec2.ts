// EC2's taggable resources: their tags stand in the descriptions themselves.

import type { Filter, Tag } from "@aws-sdk/client-ec2";
import { arnOf } from "../../core/arns.js";
import type { TaggedResource } from "../../core/tagged.js";
import type { Api } from "../api.js";
import { allPages } from "../pages.js";
import { present, tagsOf } from "../readers/parts.js";
import { type Lister, type Place, whole } from "./lister.js";

/** What a description says of one resource. */
interface Described {
  readonly id: string | undefined;
  readonly tags: readonly Tag[] | undefined;
  readonly createdAt?: Date | undefined;
  readonly state?: string | undefined;
  readonly instanceType?: string | undefined;
  readonly vpcId?: string | undefined;
  readonly profile?: string | undefined;
}

const PAGE = 1_000;
const filter = (Name: string, ...Values: string[]): Filter => ({ Name, Values });

const resourceOf = (
  type: string,
  cloudFormation: string,
  { account, region, partition }: Place,
  described: Described,
): TaggedResource =>
  present<TaggedResource>({
    arn: arnOf({ account, region, type: cloudFormation, id: described.id ?? "" }, partition) ?? "",
    type,
    id: described.id ?? "",
    account,
    region,
    tags: tagsOf(described.tags),
    createdAt: described.createdAt?.toISOString(),
    instanceState: described.state,
    instanceType: described.instanceType,
    vpcId: described.vpcId || undefined,
    role: described.profile?.split("/").at(-1),
  });

/** @param idFilter a filter, not the ids themselves: what does not exist is then missing instead of an error */
function ec2Lister(
  type: string,
  cloudFormation: string,
  idFilter: string,
  describe: (api: Api, filters: Filter[]) => Promise<readonly Described[]>,
): Lister {
  return {
    async list(place) {
      const found = await describe(place.api, []);
      return whole(found.map((one) => resourceOf(type, cloudFormation, place, one)));
    },
    async one(place, id) {
      const [found] = await describe(place.api, [filter(idFilter, id)]);
      return found ? resourceOf(type, cloudFormation, place, found) : null;
    },
  };
}

const token = (NextToken: string | undefined) => (NextToken ? { NextToken } : {});

export const EC2_LISTERS: Readonly<Record<string, Lister>> = {
  "ec2:instance": ec2Lister("ec2:instance", "AWS::EC2::Instance", "instance-id", async (api, filters) => {
    const living = filter("instance-state-name", "pending", "running", "stopping", "stopped");
    const found = await allPages(
      (next) =>
        api.call("ec2", "DescribeInstances", { Filters: [living, ...filters], MaxResults: PAGE, ...token(next) }),
      (output) => output.Reservations?.flatMap(({ Instances = [] }) => Instances),
      (output) => output.NextToken,
    );
    return found.map((one) => ({
      id: one.InstanceId,
      tags: one.Tags,
      createdAt: one.LaunchTime,
      state: one.State?.Name,
      instanceType: one.InstanceType,
      vpcId: one.VpcId,
      profile: one.IamInstanceProfile?.Arn,
    }));
  }),
  "ec2:volume": ec2Lister("ec2:volume", "AWS::EC2::Volume", "volume-id", async (api, Filters) => {
    const found = await allPages(
      (next) => api.call("ec2", "DescribeVolumes", { Filters, MaxResults: 500, ...token(next) }),
      (output) => output.Volumes,
      (output) => output.NextToken,
    );
    return found
      .filter(({ State }) => State !== "deleting" && State !== "deleted")
      .map((one) => ({ id: one.VolumeId, tags: one.Tags, createdAt: one.CreateTime }));
  }),
  "ec2:elastic-ip": ec2Lister("ec2:elastic-ip", "AWS::EC2::EIP", "allocation-id", async (api, Filters) => {
    const { Addresses = [] } = await api.call("ec2", "DescribeAddresses", { Filters });
    return Addresses.map((one) => ({ id: one.AllocationId, tags: one.Tags }));
  }),
  "ec2:snapshot": ec2Lister("ec2:snapshot", "AWS::EC2::Snapshot", "snapshot-id", async (api, Filters) => {
    const found = await allPages(
      (next) => api.call("ec2", "DescribeSnapshots", { OwnerIds: ["self"], Filters, MaxResults: PAGE, ...token(next) }),
      (output) => output.Snapshots,
      (output) => output.NextToken,
    );
    return found.map((one) => ({ id: one.SnapshotId, tags: one.Tags, createdAt: one.StartTime }));
  }),
  "ec2:natgateway": ec2Lister("ec2:natgateway", "AWS::EC2::NatGateway", "nat-gateway-id", async (api, filters) => {
    const living = filter("state", "pending", "available", "failed");
    const found = await allPages(
      (next) =>
        api.call("ec2", "DescribeNatGateways", { Filter: [living, ...filters], MaxResults: PAGE, ...token(next) }),
      (output) => output.NatGateways,
      (output) => output.NextToken,
    );
    return found.map((one) => ({
      id: one.NatGatewayId,
      tags: one.Tags,
      createdAt: one.CreateTime,
      vpcId: one.VpcId,
    }));
  }),
};

/** The Name tag of a VPC; undefined where it has none. */
export async function vpcName(api: Api, vpcId: string): Promise<string | undefined> {
  const { Vpcs = [] } = await api.call("ec2", "DescribeVpcs", { Filters: [filter("vpc-id", vpcId)] });
  return tagsOf(Vpcs[0]?.Tags).Name;
}
