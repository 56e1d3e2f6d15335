// Live AWS for one account and region, put together from the readers. It holds an API that passes reads on only.

import type { ChangeStep, ReaderName, ResourceRef } from "../core/change.js";
import type { Contents, ResourceSchema } from "../core/content.js";
import { OpsError } from "../core/errors.js";
import type { JsonObject } from "../core/json.js";
import { isOwnType } from "../core/own-types.js";
import type { Page } from "../core/page.js";
import type { AccountAlias, AwsReader, Clock, Identity, ListQuery } from "../core/ports.js";
import type { Api } from "./api.js";
import { getResource, listResources } from "./control.js";
import { homeOf } from "./homes.js";
import { scalingReads } from "./readers/autoscaling.js";
import { deploymentReads } from "./readers/deployments.js";
import { groupReferencesOf, groupUsersOf, regionsOf } from "./readers/ec2.js";
import { balancingReads } from "./readers/elbv2.js";
import { typeReaders } from "./readers/index.js";
import { instanceReads } from "./readers/instances.js";
import { databaseReads } from "./readers/rds.js";
import { tagPolicyReads } from "./readers/tag-policies.js";
import { taggedReads } from "./tagged/index.js";

export interface ReaderParts {
  readonly api: Api;
  readonly region: string;
  readonly identity: Identity;
  readonly alias: AccountAlias;
  /** Readers of tags look where the resources live. */
  readonly apiIn: (region: string) => Api;
  readonly clock: Clock;
  readonly schema: (type: string) => Promise<ResourceSchema>;
  readonly trail: AwsReader["trail"];
  readonly preflight: (step: ChangeStep) => Promise<void>;
  readonly costs: AwsReader["costs"];
  readonly prices: AwsReader["prices"];
}

export function awsReader(parts: ReaderParts): AwsReader {
  const { api, region, identity, alias, apiIn, clock, schema, trail, preflight, costs, prices } = parts;
  const tagged = taggedReads({ apiIn, identity, schema, clock });
  const types = typeReaders(api);
  const get = <T extends keyof Contents>(type: T, id: string): Promise<Contents[T] | null> => types[type].get(id);

  /** What another account or region holds under the same name is not this resource. */
  function checkPlace(ref: ResourceRef): void {
    if (ref.account !== identity.account) {
      throw new OpsError(
        "identity_mismatch",
        "The resource belongs to another account than these credentials; it was not read.",
        {
          details: { account: identity.account, resourceAccount: ref.account },
        },
      );
    }
    if (ref.region !== region && ref.region !== "global") {
      throw new OpsError(
        "internal",
        "A resource of another region was asked of this region's reader; it was not read.",
        {
          details: { region, resourceRegion: ref.region },
        },
      );
    }
  }

  return {
    account: identity.account,
    region,
    identity,
    alias,
    get,
    list: <T extends keyof Contents>(type: T, query: ListQuery): Promise<Page<Contents[T]>> => types[type].list(query),
    regions: () => regionsOf(api),
    tagged,
    instances: instanceReads(api),
    scaling: scalingReads(api),
    balancing: balancingReads(api),
    databases: databaseReads(api),
    deployments: deploymentReads(api, types["AWS::AutoScaling::AutoScalingGroup"], trail, () => clock.now()),
    groupUsers: (groupId) => groupUsersOf(api, groupId),
    groupReferences: (groupId) => groupReferencesOf(api, groupId),
    resource: (type, id) => getResource(api, type, id),
    resources: (type, model, cursor) => listResources(api, type, model, cursor),
    schema,
    async content(ref: ResourceRef, reader: ReaderName): Promise<JsonObject | null> {
      checkPlace(ref);
      if (reader === "cloudcontrol") return getResource(api, ref.type, ref.id);
      if (reader === "tags") return tagged.content(ref);
      if (isOwnType(ref.type)) return get(ref.type, ref.id);
      throw new OpsError("unsupported", "This resource type has no reader of its own; read it through Cloud Control.", {
        details: { type: ref.type },
      });
    },
    trail,
    preflight,
    tagPolicies: tagPolicyReads(() => apiIn(homeOf("organizations", identity.arn, region))),
    costs,
    prices,
  };
}
