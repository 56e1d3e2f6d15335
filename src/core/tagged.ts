// Resources with their tags, as AWS shows them: what a scan asks for, what it finds, and what it could not read.

import type { ResourceRef } from "./change.js";
import type { ErrorCode } from "./errors.js";
import type { Tags } from "./tags.js";

/** A resource with its tags. */
export interface TaggedResource {
  readonly arn: string;
  /** The name in tagging policies. @example "ec2:instance" */
  readonly type: string;
  /** What Cloud Control and CloudFormation call it. */
  readonly id: string;
  readonly account: string;
  /** `global` for services without regions, and for buckets. */
  readonly region: string;
  readonly tags: Tags;
  readonly createdAt?: string;
  readonly instanceState?: string;
  readonly instanceType?: string;
  readonly bucketRegion?: string;
  /** What names around it suggest. */
  readonly vpcId?: string;
  readonly role?: string;
}

/** Something that was not read: a resource whose tags were refused, or a whole type of a region. */
export interface Unread {
  readonly type: string;
  readonly region: string;
  /** Absent: all of the type. */
  readonly arn?: string;
  /** The code of our error, and the action AWS names. */
  readonly code: ErrorCode;
  readonly action?: string;
}

export interface Listing {
  readonly resources: readonly TaggedResource[];
  readonly unread: readonly Unread[];
  /** Only what AWS's tagging index knows was seen: never-tagged resources are missing. */
  readonly taggedOnly?: true;
}

export interface ScanRequest {
  readonly types: readonly string[];
  readonly regions: readonly string[];
  /** Regions at once. */
  readonly concurrency: number;
  /** For one region. */
  readonly timeoutMs: number;
  /** Where global types are listed. */
  readonly globalTypes: ReadonlySet<string>;
}

export interface RegionScan {
  readonly region: string;
  /** How many types were asked for. */
  readonly types: number;
  readonly resources: readonly TaggedResource[];
  readonly unread: readonly Unread[];
  /** Types of which only tagged resources were seen. */
  readonly taggedOnly: readonly string[];
  /** Set where nothing of the region is known: it ran out of time. */
  readonly failed?: string;
}

/** Tags across the account. Nothing that failed is ever passed off as absent, untagged or compliant. */
export interface TaggedReads {
  /** Every type in every region, each by its own lister. A region that fails stops no other. */
  scan(request: ScanRequest, progress: (done: number, total: number) => void): Promise<readonly RegionScan[]>;
  /** One resource by its ARN, where it lives; null: AWS says that there is none. */
  get(arn: string): Promise<TaggedResource | null>;
  /** The Name tag of a VPC; undefined where it has none. */
  vpcName(region: string, vpcId: string): Promise<string | undefined>;
  /** What changes of tags are compared by: the ARN and the tags alone. */
  content(ref: ResourceRef): Promise<{ readonly arn: string; readonly tags: Tags } | null>;
}
