// Taggable resources of every other service: listed and read through Cloud Control, their tags by the type's schema.

import { arnOf, cloudFormationOf, namedBy } from "../../core/arns.js";
import type { ResourceSchema } from "../../core/content.js";
import { OpsError } from "../../core/errors.js";
import { isObject, type Json, type JsonObject } from "../../core/json.js";
import type { Listing, TaggedResource, Unread } from "../../core/tagged.js";
import type { Api } from "../api.js";
import { getResource, listResources } from "../control.js";
import { allPages } from "../pages.js";
import { chunks, present, tagsOf } from "../readers/parts.js";
import { hiddenTags, inPool, type Lister, type Place, unreadBy, whole } from "./lister.js";

/** Cloud Control runs a handler behind every read. */
const AT_ONCE = 8;
const MOST_ARNS = 100;

/** Types that are listed under a parent: the parent, and the property that names it. */
const PARENTS: Readonly<Record<string, readonly [type: string, property: string]>> = {
  "eks:nodegroup": ["AWS::EKS::Cluster", "ClusterName"],
};

const refusedType = (type: string): OpsError =>
  new OpsError(
    "unsupported",
    "AWS keeps no tags on resources of this type, or this server knows no way to list them.",
    {
      details: { type },
    },
  );

/** The ARN that a resource says it has, or that follows from its id. */
function arnIn(type: string, place: Place, id: string, properties: JsonObject): string | null {
  const known = (arn: Json | undefined): arn is string => typeof arn === "string" && namedBy(arn)?.type === type;
  const own = known(properties.Arn) ? properties.Arn : Object.values(properties).find(known);
  if (typeof own === "string") return own;
  const region = namedRegion(type, place.region);
  return arnOf({ account: place.account, region, type: cloudFormationOf(type) ?? "", id }, place.partition);
}

const GLOBAL = /^(cloudfront|route53):/;
const namedRegion = (type: string, region: string): string => (GLOBAL.test(type) ? "global" : region);

/** The tags of a resource model; null where it shows none, which may mean that they were hidden. */
function tagsIn(properties: JsonObject, { tags }: Pick<ResourceSchema, "tags">): TaggedResource["tags"] | null {
  const found = tags && properties[tags.property];
  if (Array.isArray(found)) {
    return tagsOf(
      found.filter(isObject).map(({ Key, Value }) => ({ Key: String(Key ?? ""), Value: String(Value ?? "") })),
    );
  }
  if (!isObject(found)) return null;
  return tagsOf(Object.entries(found).map(([Key, Value]) => ({ Key, Value: String(Value ?? "") })));
}

/** What AWS's tagging index says of resources that showed no tags: whatever bears one is in it. */
async function indexed(api: Api, arns: readonly string[]): Promise<ReadonlyMap<string, TaggedResource["tags"]>> {
  const answers = await inPool(chunks(arns, MOST_ARNS), 2, (ResourceARNList) =>
    api.call("tagging", "GetResources", { ResourceARNList }),
  );
  return new Map(
    answers
      .flatMap(({ ResourceTagMappingList = [] }) => ResourceTagMappingList)
      .map(({ ResourceARN = "", Tags }) => [ResourceARN, tagsOf(Tags)] as const),
  );
}

/** What the tagging index alone knows of a type: never-tagged resources are missing from it. */
async function fromIndex(type: string, place: Place): Promise<Listing> {
  const prefix = arnOf({ account: "", region: "", type: cloudFormationOf(type) ?? "", id: "x" });
  const service = prefix?.split(":")[2];
  if (!service || place.region === "global") throw refusedType(type);
  const found = await allPages(
    (next) =>
      place.api.call("tagging", "GetResources", {
        ResourceTypeFilters: [service],
        ResourcesPerPage: 100,
        ...(next && { PaginationToken: next }),
      }),
    (output) => output.ResourceTagMappingList,
    (output) => output.PaginationToken,
  );
  const resources = found.flatMap(({ ResourceARN = "", Tags }): TaggedResource[] => {
    const named = namedBy(ResourceARN);
    return named?.type === type
      ? [{ arn: ResourceARN, type, id: named.id, account: place.account, region: place.region, tags: tagsOf(Tags) }]
      : [];
  });
  return { resources, unread: [], taggedOnly: true };
}

export interface ControlDeps {
  readonly schema: (type: string) => Promise<ResourceSchema>;
}

export function controlLister(type: string, { schema }: ControlDeps): Lister {
  const cloudFormation = cloudFormationOf(type);

  async function idsOf({ api }: Place, of: string, model?: JsonObject): Promise<string[]> {
    return allPages(
      (cursor) => listResources(api, of, model, cursor),
      (page) => page.items.map(({ id }) => id),
      (page) => page.next,
    );
  }

  async function allIds(place: Place): Promise<string[]> {
    const parent = PARENTS[type];
    if (!parent) return idsOf(place, cloudFormation!);
    const parents = await idsOf(place, parent[0]);
    return (await inPool(parents, AT_ONCE, (id) => idsOf(place, cloudFormation!, { [parent[1]]: id }))).flat();
  }

  const resource = (place: Place, arn: string, id: string, tags: TaggedResource["tags"], properties: JsonObject) =>
    present<TaggedResource>({
      arn,
      type,
      id,
      account: place.account,
      region: namedRegion(type, place.region),
      tags,
      role: typeof properties.Role === "string" ? properties.Role.split("/").at(-1) : undefined,
    });

  async function tagged(place: Place, ids: readonly string[]): Promise<Listing> {
    const rules = await schema(cloudFormation!);
    const where = namedRegion(type, place.region);
    const unread: Unread[] = [];
    const resources: TaggedResource[] = [];
    const silent: { readonly arn: string; readonly id: string; readonly properties: JsonObject }[] = [];
    await inPool(ids, AT_ONCE, async (id) => {
      let arn: string | null = null;
      try {
        const properties = await getResource(place.api, cloudFormation!, id);
        if (properties === null) return;
        arn = arnIn(type, place, id, properties);
        const tags = tagsIn(properties, rules);
        if (arn === null) unread.push({ type, region: where, code: "unsupported" });
        else if (tags) resources.push(resource(place, arn, id, tags, properties));
        else silent.push({ arn, id, properties });
      } catch (error) {
        const known = arn ?? arnIn(type, place, id, {});
        unread.push(unreadBy(error, type, where, known ?? undefined));
      }
    });
    if (silent.length > 0) {
      try {
        const known = await indexed(
          place.api,
          silent.map(({ arn }) => arn),
        );
        for (const { arn, id, properties } of silent) {
          resources.push(resource(place, arn, id, known.get(arn) ?? {}, properties));
        }
      } catch (error) {
        for (const { arn } of silent) unread.push(unreadBy(error, type, where, arn));
      }
    }
    return whole(
      resources.sort((a, b) => (a.arn < b.arn ? -1 : 1)),
      unread,
    );
  }

  return {
    async list(place) {
      if (!cloudFormation) throw refusedType(type);
      let ids: readonly string[];
      try {
        ids = await allIds(place);
      } catch (error) {
        if (error instanceof OpsError && error.code === "unsupported") return fromIndex(type, place);
        throw error;
      }
      return tagged(place, ids);
    },
    async one(place, id) {
      if (!cloudFormation) throw refusedType(type);
      const { resources, unread } = await tagged(place, [id]);
      const [failure] = unread;
      if (!failure) return resources[0] ?? null;
      throw hiddenTags(failure);
    },
  };
}
