// What the database tools share: names and ids, what is called a database, how one is found.

import { z } from "zod";
import { type ResourceRef, ridOf, type Seen } from "../../src/core/change.js";
import type { DatabaseCluster, DatabaseInstance } from "../../src/core/content/databases.js";
import type { Contents } from "../../src/core/content.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import type { AwsReader } from "../../src/core/ports.js";

export const INSTANCE = "AWS::RDS::DBInstance";
export const CLUSTER = "AWS::RDS::DBCluster";
export type Type = typeof INSTANCE | typeof CLUSTER | "AWS::RDS::DBSnapshot" | "AWS::RDS::DBClusterSnapshot";

/** RDS keeps names in lower case. */
export const name = (most: number) =>
  z
    .string()
    .max(most)
    .toLowerCase()
    .regex(/^[a-z](-?[a-z0-9])*$/, "must begin with a letter, then letters, digits and single hyphens");
export const DatabaseId = name(63);
export const Kind = z.enum(["instance", "cluster"]);
export type Kind = z.infer<typeof Kind>;

export const refOf = (aws: AwsReader, type: Type, id: string): ResourceRef => ({
  account: aws.account,
  region: aws.region,
  type,
  id,
});

export const seenOf = (aws: AwsReader, { kind, content }: Database, shown?: readonly string[]): Seen => ({
  ref: refOf(aws, kind === "instance" ? INSTANCE : CLUSTER, idOf({ kind, content })),
  reader: "service",
  content: content as unknown as JsonObject,
  ...(shown && { shown }),
});

export type Database =
  | { readonly kind: "instance"; readonly content: DatabaseInstance }
  | { readonly kind: "cluster"; readonly content: DatabaseCluster };

export const idOf = (one: Pick<Database, "kind" | "content">): string =>
  one.kind === "instance" ? (one.content as DatabaseInstance).instanceId : (one.content as DatabaseCluster).clusterId;

export const GroupIds = z
  .array(z.string().regex(/^sg-[0-9a-z]{3,17}$/, "must look like sg-0123456789abcdef0"))
  .min(1)
  .max(5);
export const Class = z.string().regex(/^db\.[a-z0-9-]+\.[a-z0-9-]+$/, "must look like db.r6g.large");
export const ResourceName = z.string().regex(/^[A-Za-z][A-Za-z0-9._-]{0,254}$/, "must begin with a letter");

/** The part of a version whose change RDS calls a major upgrade. */
export function majorOf(engine: string, version: string): string {
  const [first = "", second = ""] = version.split(".");
  const two = /mysql|mariadb|oracle|sqlserver/.test(engine) || Number(first) < 10;
  return two ? `${first}.${second}` : first;
}

export async function existing(aws: AwsReader, databaseId: string, kind?: Kind): Promise<Database> {
  const one = <T extends keyof Contents>(type: T, asked: boolean): Promise<Contents[T] | null> =>
    asked ? aws.get(type, databaseId) : Promise.resolve(null);
  const [instance, cluster] = await Promise.all([one(INSTANCE, kind !== "cluster"), one(CLUSTER, kind !== "instance")]);
  if (instance && cluster) {
    throw new OpsError("validation_error", `An instance and a cluster are called ${databaseId}. Say which is meant.`, {
      field: "kind",
    });
  }
  if (instance) return { kind: "instance", content: instance };
  if (cluster) return { kind: "cluster", content: cluster };
  throw notFound(aws, databaseId, kind ?? "database");
}

/** @throws OpsError unsupported for one of the other kind, naming the tool that changes it */
export async function existingInstance(aws: AwsReader, databaseId: string): Promise<DatabaseInstance> {
  const instance = await aws.get(INSTANCE, databaseId);
  if (instance) return instance;
  const cluster = await aws.get(CLUSTER, databaseId);
  if (!cluster) throw notFound(aws, databaseId, "instance");
  throw new OpsError(
    "unsupported",
    `${databaseId} is a cluster; this tool changes instances, also the members of one.`,
    {
      field: "databaseId",
      details: { members: cluster.members.map(({ instanceId }) => instanceId) },
      next: onCluster(aws, databaseId),
    },
  );
}

/** @throws OpsError as `existingInstance` */
export async function existingCluster(aws: AwsReader, databaseId: string): Promise<DatabaseCluster> {
  const cluster = await aws.get(CLUSTER, databaseId);
  if (cluster) return cluster;
  const instance = await aws.get(INSTANCE, databaseId);
  if (!instance) throw notFound(aws, databaseId, "cluster");
  const { clusterId } = instance;
  throw new OpsError("unsupported", `${databaseId} is an instance; this tool changes clusters.`, {
    field: "databaseId",
    ...(clusterId !== undefined && { details: { clusterId } }),
    next: [...onInstance(aws, databaseId), ...(clusterId === undefined ? [] : onCluster(aws, clusterId).slice(1))],
  });
}

/** Look first, then change. */
export const onInstance = ({ region }: AwsReader, databaseId: string) => [
  { tool: "databases.get", arguments: { databaseId, kind: "instance", region } },
  { tool: "databases.modifyInstance", arguments: { databaseId, region } },
];
export const onCluster = ({ region }: AwsReader, databaseId: string) => [
  { tool: "databases.get", arguments: { databaseId, kind: "cluster", region } },
  { tool: "databases.modifyCluster", arguments: { databaseId, region } },
];

const notFound = (aws: AwsReader, databaseId: string, what: string): OpsError =>
  new OpsError("not_found", `There is no ${what} ${databaseId} in account ${aws.account}, ${aws.region}.`, {
    field: "databaseId",
    details: { rid: ridOf(refOf(aws, what === "cluster" ? CLUSTER : INSTANCE, databaseId)) },
    next: [{ tool: "databases.list", arguments: { region: aws.region } }],
  });
