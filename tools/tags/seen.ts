// One resource with its tags, under the reader by which its changes are recorded: a resource has one history.

import { cloudFormationOf } from "../../src/core/arns.js";
import { type ResourceRef, ridOf, type Seen } from "../../src/core/change.js";
import { isObject, type JsonObject } from "../../src/core/json.js";
import { isOwnType } from "../../src/core/own-types.js";
import type { ReadPorts } from "../../src/core/ports.js";
import type { TaggedResource } from "../../src/core/tagged.js";

export interface SeenTags {
  readonly resource: TaggedResource;
  /** Where its tags can be changed. */
  readonly place: string;
  /** Absent: it lives in another region than the call, where it has no revision. */
  readonly seen?: Seen;
}

const HOMES: Readonly<Record<string, string>> = { "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1" };

/** A bucket lives in its region; services without regions are tagged through one. */
const placeOf = ({ arn, region, bucketRegion }: TaggedResource): string =>
  bucketRegion ?? (region === "global" ? (HOMES[arn.split(":")[1] ?? ""] ?? "us-east-1") : region);

export const refOf = (resource: TaggedResource): ResourceRef => ({
  account: resource.account,
  region: resource.bucketRegion ?? resource.region,
  type: cloudFormationOf(resource.type) ?? resource.type,
  id: resource.id,
});

/** null: AWS says that there is none. */
export async function seenOf(ports: ReadPorts, arn: string): Promise<SeenTags | null> {
  const { aws } = ports;
  const resource = await aws.tagged.get(arn);
  if (resource === null) return null;
  const place = placeOf(resource);
  if (place !== aws.region) return { resource, place };
  const ref = refOf(resource);
  return { resource, place, seen: await contentOf(ports, ref, resource) };
}

/**
 * The content whose `tags` the change is about: that of the reader which has the resource's history; else the one of its
 * service, else its tags alone.
 */
async function contentOf({ aws, state }: ReadPorts, ref: ResourceRef, resource: TaggedResource): Promise<Seen> {
  const known = state.resources.get(ridOf(ref));
  const reader = known && !known.deleted ? known.reader : isOwnType(ref.type) ? "service" : "tags";
  if (reader !== "tags") {
    const content = await aws.content(ref, reader);
    const shown = reader === "cloudcontrol" ? await tagProperty(aws, ref.type) : "tags";
    if (content !== null && shown !== null && (isObject(content[shown]) || reader === "cloudcontrol")) {
      return { ref, reader, content, shown: [`/${shown}`] };
    }
  }
  return { ref, reader: "tags", content: tagContent(resource) };
}

const tagProperty = async (aws: ReadPorts["aws"], type: string): Promise<string | null> =>
  (await aws.schema(type)).tags?.property ?? null;

export const tagContent = ({ arn, tags }: Pick<TaggedResource, "arn" | "tags">): JsonObject => ({
  arn,
  tags: { ...tags },
});
