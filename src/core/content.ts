// What our own readers say of AWS resources: one schema a resource, for the tools that answer it and the readers that build it.

import { z } from "zod";
import type { AutoScalingGroup } from "./content/auto-scaling.js";
import type { ClusterSnapshot, DatabaseCluster, DatabaseInstance, DatabaseSnapshot } from "./content/databases.js";
import type { DeploymentGroup, EcsService, TaskDefinition } from "./content/deployments.js";
import type { Instance } from "./content/instances.js";
import type { LoadBalancer, TargetGroup } from "./content/load-balancers.js";
import type { SecurityGroup } from "./content/security-groups.js";
import type { TagRule } from "./tags.js";

export const Region = z.object({
  region: z.string(),
  optIn: z.string().describe("opt-in-not-required, opted-in or not-opted-in"),
});
export type Region = z.infer<typeof Region>;

/** The resource types with a reader of their own; every other type is read through Cloud Control. */
export interface Contents {
  "AWS::EC2::Instance": Instance;
  "AWS::EC2::SecurityGroup": SecurityGroup;
  "AWS::AutoScaling::AutoScalingGroup": AutoScalingGroup;
  "AWS::ElasticLoadBalancingV2::LoadBalancer": LoadBalancer;
  "AWS::ElasticLoadBalancingV2::TargetGroup": TargetGroup;
  "AWS::RDS::DBInstance": DatabaseInstance;
  "AWS::RDS::DBCluster": DatabaseCluster;
  "AWS::RDS::DBSnapshot": DatabaseSnapshot;
  "AWS::RDS::DBClusterSnapshot": ClusterSnapshot;
  "AWS::ECS::Service": EcsService;
  "AWS::ECS::TaskDefinition": TaskDefinition;
  "AWS::CodeDeploy::DeploymentGroup": DeploymentGroup;
}

/** A resource type's rules, trimmed to what plans and comparisons need. Pointers use `*` for array indices. */
export interface ResourceSchema {
  readonly type: string;
  /** Where it was read: AWS's registry now, or the table shipped with this version. */
  readonly source: "registry" | "built-in" | "none";
  readonly primaryIdentifier: readonly string[];
  readonly readOnly: readonly string[];
  readonly writeOnly: readonly string[];
  /** False where the source cannot say which properties AWS never shows. */
  readonly writeOnlyKnown?: boolean;
  readonly createOnly: readonly string[];
  /** Properties whose change may replace the resource or interrupt it. */
  readonly conditional?: readonly string[];
  readonly required: readonly string[];
  /** Arrays whose order means nothing. */
  readonly unordered: readonly string[];
  readonly tags?: TagRule;
  /** Property name → type and one line of description. */
  readonly properties: Readonly<Record<string, { readonly type: string; readonly description?: string }>>;
  /** Fields that ListResources needs in its resource model. */
  readonly listRequires: readonly string[];
  /** Where it needs all of one of several sets of fields. */
  readonly listRequiresOneOf?: readonly (readonly string[])[];
  /** Minutes after which AWS itself gives up; 120 where it declares nothing. */
  readonly timeouts?: Readonly<Partial<Record<"create" | "update" | "delete", number>>>;
  /** AWS has no way to read one through Cloud Control, as its registry says. */
  readonly unreadable?: true;
  /** Holds data that a deletion or replacement loses. */
  readonly stateful?: boolean;
  readonly arn?: string;
  /** Kind of scrutiny a change deserves; `""` is the type itself. */
  readonly scrutiny?: Readonly<Record<string, string>>;
  /** What a property may name: types, and the property of theirs. Candidates, not facts. */
  readonly refs?: Readonly<Record<string, readonly { readonly type: string; readonly path: string }[]>>;
  readonly defaults?: Readonly<Record<string, string>>;
  /** Properties of which AWS keeps one; of those read back only the first is written. */
  readonly exclusive?: readonly (readonly string[])[];
}

const CONFIDENCE = { registry: "high", "built-in": "medium", none: "low" } as const;

/** Where a plan's rules come from, and how sure they are: shown with every answer that rests on them. */
export const sourceOf = ({ source }: Pick<ResourceSchema, "source">) => ({ source, confidence: CONFIDENCE[source] });
