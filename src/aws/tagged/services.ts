// Taggable resources of RDS, ECS, Elastic Load Balancing and S3, each listed by its own service.

import { namedBy } from "../../core/arns.js";
import { OpsError } from "../../core/errors.js";
import type { TaggedResource, Unread } from "../../core/tagged.js";
import type { Api } from "../api.js";
import { allPages } from "../pages.js";
import { chunks, present, tagsOf, unlessAbsent } from "../readers/parts.js";
import { hiddenTags, inPool, type Lister, type Place, unreadBy, whole } from "./lister.js";

/** AWS's most for one call. */
const MOST = { clusters: 100, services: 10, loadBalancers: 20 };
const AT_ONCE = 8;

const of = (
  type: string,
  { account, region }: Place,
  arn: string,
  tags: TaggedResource["tags"],
  createdAt?: Date,
  id = namedBy(arn)?.id ?? arn,
): TaggedResource =>
  present<TaggedResource>({ arn, type, id, account, region, tags, createdAt: createdAt?.toISOString() });

// ── RDS ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

const RDS_ABSENT = new Set(["DBInstanceNotFound", "DBInstanceNotFoundFault", "DBClusterNotFoundFault"]);
const rdsToken = (Marker: string | undefined) => (Marker ? { Marker } : {});

const databases: Lister = {
  async list(place) {
    const found = await allPages(
      (next) => place.api.call("rds", "DescribeDBInstances", { MaxRecords: 100, ...rdsToken(next) }),
      (output) => output.DBInstances,
      (output) => output.Marker,
    );
    return whole(
      found.map((one) => of("rds:db", place, one.DBInstanceArn ?? "", tagsOf(one.TagList), one.InstanceCreateTime)),
    );
  },
  one: (place, id) =>
    unlessAbsent(RDS_ABSENT, async () => {
      const { DBInstances = [] } = await place.api.call("rds", "DescribeDBInstances", { DBInstanceIdentifier: id });
      const [one] = DBInstances;
      return one && of("rds:db", place, one.DBInstanceArn ?? "", tagsOf(one.TagList), one.InstanceCreateTime);
    }),
};

const databaseClusters: Lister = {
  async list(place) {
    const found = await allPages(
      (next) => place.api.call("rds", "DescribeDBClusters", { MaxRecords: 100, ...rdsToken(next) }),
      (output) => output.DBClusters,
      (output) => output.Marker,
    );
    return whole(
      found.map((one) => of("rds:cluster", place, one.DBClusterArn ?? "", tagsOf(one.TagList), one.ClusterCreateTime)),
    );
  },
  one: (place, id) =>
    unlessAbsent(RDS_ABSENT, async () => {
      const { DBClusters = [] } = await place.api.call("rds", "DescribeDBClusters", { DBClusterIdentifier: id });
      const [one] = DBClusters;
      return one && of("rds:cluster", place, one.DBClusterArn ?? "", tagsOf(one.TagList), one.ClusterCreateTime);
    }),
};

// ── ECS ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

type EcsTags = readonly { readonly key?: string | undefined; readonly value?: string | undefined }[] | undefined;

/** Tags were asked for: a description without them is one whose tags were not shown. */
const ecsTags = (tags: EcsTags): TaggedResource["tags"] | null =>
  tags ? tagsOf(tags.map(({ key, value }) => ({ Key: key, Value: value }))) : null;

const ecsToken = (nextToken: string | undefined) => (nextToken ? { nextToken } : {});

type EcsFailures = readonly { readonly arn?: string | undefined; readonly reason?: string | undefined }[];

interface EcsDescribed {
  readonly arn: string;
  readonly tags: EcsTags;
  readonly createdAt?: Date | undefined;
}

/** What was described, and what ECS answered a failure for. */
function ecsListing(type: string, place: Place, described: readonly EcsDescribed[], failures: EcsFailures) {
  const resources: TaggedResource[] = [];
  const unread: Unread[] = [];
  for (const { arn, tags, createdAt } of described) {
    const shown = ecsTags(tags);
    if (shown) resources.push(of(type, place, arn, shown, createdAt));
    else unread.push({ type, region: place.region, arn, code: "aws_unavailable" });
  }
  // What was deleted between the two calls is MISSING; everything else was not read.
  for (const { arn, reason } of failures) {
    if (reason !== "MISSING") unread.push({ type, region: place.region, code: "aws_unavailable", ...(arn && { arn }) });
  }
  return whole(resources, unread);
}

/** Only MISSING means that there is none. @throws OpsError where ECS did not describe it for any other reason */
function refuseUnread(type: string, { region }: Place, arn: string, failures: EcsFailures = []): void {
  if (failures.some(({ reason }) => reason !== "MISSING"))
    throw hiddenTags({ type, region, arn, code: "aws_unavailable" });
}

const clusterArns = (api: Api): Promise<string[]> =>
  allPages(
    (next) => api.call("ecs", "ListClusters", ecsToken(next)),
    (output) => output.clusterArns,
    (output) => output.nextToken,
  );

const ECS_ABSENT = new Set(["ClusterNotFoundException", "ServiceNotFoundException"]);

const clusters: Lister = {
  async list(place) {
    const arns = await clusterArns(place.api);
    const answers = await inPool(chunks(arns, MOST.clusters), AT_ONCE, (some) =>
      place.api.call("ecs", "DescribeClusters", { clusters: some, include: ["TAGS"] }),
    );
    const described = answers.flatMap(({ clusters: found = [] }) =>
      found
        .filter(({ status }) => status !== "INACTIVE")
        .map(({ clusterArn = "", tags }) => ({ arn: clusterArn, tags })),
    );
    return ecsListing(
      "ecs:cluster",
      place,
      described,
      answers.flatMap(({ failures = [] }) => failures),
    );
  },
  async one(place, id) {
    const { clusters: found = [], failures } = await place.api.call("ecs", "DescribeClusters", {
      clusters: [id],
      include: ["TAGS"],
    });
    const one = found.find(({ status }) => status !== "INACTIVE");
    if (!one) refuseUnread("ecs:cluster", place, id, failures);
    return one ? shownOr(of, "ecs:cluster", place, one.clusterArn ?? "", one.tags) : null;
  },
};

/** A resource whose tags were shown; what hid them is an error, and never a resource without tags. */
function shownOr(make: typeof of, type: string, place: Place, arn: string, tags: EcsTags, at?: Date): TaggedResource {
  const shown = ecsTags(tags);
  if (shown) return make(type, place, arn, shown, at);
  throw new OpsError("aws_unavailable", "AWS described the resource and left its tags out, so they are not known.", {
    details: { arn },
  });
}

const services: Lister = {
  async list(place) {
    const { api } = place;
    const lists = await inPool(await clusterArns(api), AT_ONCE, async (cluster) => {
      const arns = await allPages(
        (next) => api.call("ecs", "ListServices", { cluster, ...ecsToken(next) }),
        (output) => output.serviceArns,
        (output) => output.nextToken,
      );
      return chunks(arns, MOST.services).map((some) => ({ cluster, services: some }));
    });
    const answers = await inPool(lists.flat(), AT_ONCE, (some) =>
      api.call("ecs", "DescribeServices", { ...some, include: ["TAGS"] }),
    );
    const described = answers.flatMap(({ services: found = [] }) =>
      found
        .filter(({ status }) => status !== "INACTIVE")
        .map(({ serviceArn = "", tags, createdAt }) => ({ arn: serviceArn, tags, createdAt })),
    );
    return ecsListing(
      "ecs:service",
      place,
      described,
      answers.flatMap(({ failures = [] }) => failures),
    );
  },
  one: (place, id) =>
    unlessAbsent(ECS_ABSENT, async () => {
      // The cluster stands in the ARN; the oldest form leaves it out and means the default one.
      const parts = id.split(":").at(-1)!.split("/");
      const { services: found = [], failures } = await place.api.call("ecs", "DescribeServices", {
        ...(parts.length > 2 && { cluster: parts[1]! }),
        services: [id],
        include: ["TAGS"],
      });
      const one = found.find(({ status }) => status !== "INACTIVE");
      if (!one) refuseUnread("ecs:service", place, id, failures);
      return one && shownOr(of, "ecs:service", place, one.serviceArn ?? "", one.tags, one.createdAt);
    }),
};

const taskDefinition = async (place: Place, arn: string): Promise<TaggedResource | undefined> => {
  const output = await place.api.call("ecs", "DescribeTaskDefinition", { taskDefinition: arn, include: ["TAGS"] });
  const { taskDefinition: found, tags } = output;
  if (found?.status !== "ACTIVE") return undefined;
  return shownOr(of, "ecs:task-definition", place, found.taskDefinitionArn ?? arn, tags ?? [], found.registeredAt);
};

const taskDefinitions: Lister = {
  async list(place) {
    const type = "ecs:task-definition";
    const arns = await allPages(
      (next) => place.api.call("ecs", "ListTaskDefinitions", { status: "ACTIVE", ...ecsToken(next) }),
      (output) => output.taskDefinitionArns,
      (output) => output.nextToken,
    );
    const unread: Unread[] = [];
    const found = await inPool(arns, AT_ONCE, (arn) =>
      taskDefinition(place, arn).catch((error: unknown) => {
        unread.push(unreadBy(error, type, place.region, arn));
        return undefined;
      }),
    );
    return whole(
      found.filter((one) => one !== undefined),
      unread,
    );
  },
  one: (place, id) =>
    taskDefinition(place, id).then(
      (found) => found ?? null,
      (error: unknown) => {
        // ECS has no code of its own for it.
        const { awsCode, awsMessage } = error instanceof OpsError ? error.details : {};
        if (awsCode === "ClientException" && /unable to describe task definition/i.test(String(awsMessage)))
          return null;
        throw error;
      },
    ),
};

// ── Elastic Load Balancing ──────────────────────────────────────────────────────────────────────────────────────────

const ELB_ABSENT = new Set([
  "LoadBalancerNotFound",
  "LoadBalancerNotFoundException",
  "TargetGroupNotFound",
  "TargetGroupNotFoundException",
]);
const elbToken = (Marker: string | undefined) => (Marker ? { Marker } : {});

interface ElbFound {
  readonly arn: string;
  readonly createdAt?: Date | undefined;
  readonly vpcId?: string | undefined;
}

/** Tags are asked for by themselves, twenty at a time. */
async function withElbTags(type: string, place: Place, found: readonly ElbFound[]) {
  const unread: Unread[] = [];
  const tags = new Map<string, TaggedResource["tags"]>();
  await inPool(chunks(found, MOST.loadBalancers), AT_ONCE, async (some) => {
    try {
      const ResourceArns = some.map(({ arn }) => arn);
      const { TagDescriptions = [] } = await place.api.call("elbv2", "DescribeTags", { ResourceArns });
      for (const { ResourceArn = "", Tags } of TagDescriptions) tags.set(ResourceArn, tagsOf(Tags));
    } catch (error) {
      for (const { arn } of some) unread.push(unreadBy(error, type, place.region, arn));
    }
  });
  const said = new Set(unread.map(({ arn }) => arn));
  const resources = found.flatMap(({ arn, createdAt, vpcId }) => {
    const shown = tags.get(arn);
    if (shown) return [{ ...of(type, place, arn, shown, createdAt), ...(vpcId && { vpcId }) }];
    // Listed, and left out of the answer about tags: not known, and not gone.
    if (!said.has(arn)) unread.push({ type, region: place.region, arn, code: "aws_unavailable" });
    return [];
  });
  return whole(resources, unread);
}

const elbOne = async (type: string, place: Place, found: readonly ElbFound[]): Promise<TaggedResource | undefined> => {
  const { resources, unread } = await withElbTags(type, place, found);
  const [failure] = unread;
  if (!failure) return resources[0];
  throw hiddenTags(failure);
};

const loadBalancers: Lister = {
  async list(place) {
    const found = await allPages(
      (next) => place.api.call("elbv2", "DescribeLoadBalancers", elbToken(next)),
      (output) => output.LoadBalancers,
      (output) => output.NextMarker,
    );
    return withElbTags(
      "elasticloadbalancing:loadbalancer",
      place,
      found.map((one) => ({ arn: one.LoadBalancerArn ?? "", createdAt: one.CreatedTime, vpcId: one.VpcId })),
    );
  },
  one: (place, id) =>
    unlessAbsent(ELB_ABSENT, async () => {
      const { LoadBalancers = [] } = await place.api.call("elbv2", "DescribeLoadBalancers", { LoadBalancerArns: [id] });
      return elbOne(
        "elasticloadbalancing:loadbalancer",
        place,
        LoadBalancers.map((one) => ({ arn: one.LoadBalancerArn ?? "", createdAt: one.CreatedTime, vpcId: one.VpcId })),
      );
    }),
};

const targetGroups: Lister = {
  async list(place) {
    const found = await allPages(
      (next) => place.api.call("elbv2", "DescribeTargetGroups", elbToken(next)),
      (output) => output.TargetGroups,
      (output) => output.NextMarker,
    );
    return withElbTags(
      "elasticloadbalancing:targetgroup",
      place,
      found.map((one) => ({ arn: one.TargetGroupArn ?? "", vpcId: one.VpcId })),
    );
  },
  one: (place, id) =>
    unlessAbsent(ELB_ABSENT, async () => {
      const { TargetGroups = [] } = await place.api.call("elbv2", "DescribeTargetGroups", { TargetGroupArns: [id] });
      return elbOne(
        "elasticloadbalancing:targetgroup",
        place,
        TargetGroups.map((one) => ({ arn: one.TargetGroupArn ?? "", vpcId: one.VpcId })),
      );
    }),
};

// ── S3 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

const NO_TAGS = new Set(["NoSuchTagSet", "NoSuchTagSetError"]);
const NO_BUCKET = new Set(["NoSuchBucket"]);

/** Where a bucket lives; the oldest region answers nothing, and one of the first ones an old name. */
async function bucketRegion({ api, account }: Place, bucket: string): Promise<string> {
  const { LocationConstraint } = await api.call("s3", "GetBucketLocation", {
    Bucket: bucket,
    ExpectedBucketOwner: account,
  });
  return !LocationConstraint ? "us-east-1" : LocationConstraint === "EU" ? "eu-west-1" : LocationConstraint;
}

export interface BucketDeps {
  /** The API of the region a bucket lives in. */
  readonly apiIn: (region: string) => Api;
}

/** Only "no such tag set" means that a bucket bears no tags. */
async function bucketTags(api: Api, Bucket: string, ExpectedBucketOwner: string): Promise<TaggedResource["tags"]> {
  const found = await unlessAbsent(NO_TAGS, () => api.call("s3", "GetBucketTagging", { Bucket, ExpectedBucketOwner }));
  return tagsOf(found?.TagSet);
}

export const buckets = ({ apiIn }: BucketDeps): Lister => {
  const shown = async (place: Place, bucket: string, region: string, createdAt?: Date): Promise<TaggedResource> => ({
    ...of(
      "s3:bucket",
      { ...place, region: "global" },
      `arn:${place.partition}:s3:::${bucket}`,
      await bucketTags(region === place.region ? place.api : apiIn(region), bucket, place.account),
      createdAt,
      bucket,
    ),
    bucketRegion: region,
  });
  return {
    async list(place) {
      const found = await allPages(
        (next) => place.api.call("s3", "ListBuckets", { MaxBuckets: 1_000, ...(next && { ContinuationToken: next }) }),
        (output) => output.Buckets,
        (output) => output.ContinuationToken,
      );
      const unread: Unread[] = [];
      const resources = await inPool(found, AT_ONCE, async ({ Name = "", BucketRegion, CreationDate }) => {
        try {
          return await shown(place, Name, BucketRegion || (await bucketRegion(place, Name)), CreationDate);
        } catch (error) {
          const gone = error instanceof OpsError && NO_BUCKET.has(String(error.details.awsCode));
          const arn = `arn:${place.partition}:s3:::${Name}`;
          if (!gone) unread.push(unreadBy(error, "s3:bucket", "global", arn));
          return undefined;
        }
      });
      return whole(
        resources.filter((one) => one !== undefined),
        unread,
      );
    },
    one: (place, id) => unlessAbsent(NO_BUCKET, async () => shown(place, id, await bucketRegion(place, id))),
  };
};

export const SERVICE_LISTERS: Readonly<Record<string, Lister>> = {
  "rds:db": databases,
  "rds:cluster": databaseClusters,
  "ecs:cluster": clusters,
  "ecs:service": services,
  "ecs:task-definition": taskDefinitions,
  "elasticloadbalancing:loadbalancer": loadBalancers,
  "elasticloadbalancing:targetgroup": targetGroups,
};
