// Snapshots of RDS instances and clusters, manual and automated, in one list.

import { z } from "zod";
import type { ResourceRef, Seen } from "../src/core/change.js";
import type { ClusterSnapshot, DatabaseSnapshot } from "../src/core/content/databases.js";
import { decodeCursor, encodeCursor } from "../src/core/cursor.js";
import { joined, type Part } from "../src/core/joined.js";
import type { JsonObject } from "../src/core/json.js";
import type { AwsReader, ListQuery } from "../src/core/ports.js";
import { domain, read } from "../src/core/tool.js";

const TYPES = { instance: "AWS::RDS::DBSnapshot", cluster: "AWS::RDS::DBClusterSnapshot" } as const;
type Of = keyof typeof TYPES;

type Snapshot =
  | { readonly of: "instance"; readonly content: DatabaseSnapshot }
  | { readonly of: "cluster"; readonly content: ClusterSnapshot };

const refOf = (aws: AwsReader, of: Of, id: string): ResourceRef => ({
  account: aws.account,
  region: aws.region,
  type: TYPES[of],
  id,
});

const Row = z.object({
  snapshotId: z.string(),
  of: z.enum(["instance", "cluster"]),
  databaseId: z.string(),
  kind: z.string(),
  status: z.string(),
  progressPercent: z.number().optional(),
  engine: z.string(),
  engineVersion: z.string().optional(),
  allocatedGib: z.number().optional(),
  encrypted: z.boolean(),
  createdAt: z.string().optional(),
  revision: z.string(),
});

const SHOWN = ["status", "kind", "engine", "engineVersion", "allocatedGib", "encrypted", "createdAt"] as const;

const databaseOf = (one: Snapshot): string => (one.of === "instance" ? one.content.instanceId : one.content.clusterId);

const list = read({
  title: "List database snapshots",
  description:
    "Snapshots of RDS instances and clusters, manual and automated. Take one with databases.createSnapshot; restore one with databases.restoreSnapshot.",
  scope: "region",
  everywhere: { rows: "snapshots", sum: ["count"] },
  foreignText: false,
  input: z.object({
    databaseId: z.string().toLowerCase().optional().describe("Also of a database that is gone"),
    snapshotId: z.string().optional(),
    of: z.enum(["instance", "cluster"]).optional(),
    kind: z.enum(["manual", "automated", "awsbackup"]).optional(),
    limit: z.number().int().min(5).max(100).default(25),
    cursor: z.string().optional(),
  }),
  output: z.object({ count: z.number(), snapshots: z.array(Row), nextCursor: z.string().optional() }),
  async run({ cursor, limit, ...query }, { aws, now, revision }) {
    const scope = { ...query, account: aws.account, region: aws.region };
    const asked = (of: Of): Pick<ListQuery, "filters"> => ({
      filters: {
        ...(query.databaseId ? { [`db-${of}-id`]: [query.databaseId] } : {}),
        ...(query.snapshotId
          ? { [of === "instance" ? "db-snapshot-id" : "db-cluster-snapshot-id"]: [query.snapshotId] }
          : {}),
        ...(query.kind ? { "snapshot-type": [query.kind] } : {}),
      },
    });
    const idOf = (one: Snapshot): string => one.content.snapshotId;
    const ofInstances: Part<Snapshot> = {
      idOf,
      async read(page) {
        const { items, ...rest } = await aws.list(TYPES.instance, { ...page, ...asked("instance") });
        return { ...rest, items: items.map((content) => ({ of: "instance", content })) };
      },
    };
    const ofClusters: Part<Snapshot> = {
      idOf,
      async read(page) {
        const { items, ...rest } = await aws.list(TYPES.cluster, { ...page, ...asked("cluster") });
        return { ...rest, items: items.map((content) => ({ of: "cluster", content })) };
      },
    };
    const parts = [...(query.of === "cluster" ? [] : [ofInstances]), ...(query.of === "instance" ? [] : [ofClusters])];
    const page = await joined(parts, limit, cursor ? decodeCursor(cursor, scope, now) : undefined);
    const seen = page.items.map(
      ({ of, content }): Seen => ({
        ref: refOf(aws, of, content.snapshotId),
        reader: "service",
        content: content as JsonObject,
        shown: ["/snapshotId", of === "instance" ? "/instanceId" : "/clusterId", ...SHOWN.map((name) => `/${name}`)],
      }),
    );
    return {
      data: {
        count: page.items.length,
        snapshots: page.items.map((one, index) => {
          const { status, progressPercent, kind, engine, engineVersion, allocatedGib, encrypted, createdAt } =
            one.content;
          return {
            snapshotId: one.content.snapshotId,
            of: one.of,
            databaseId: databaseOf(one),
            kind,
            status,
            ...(status !== "available" && progressPercent !== undefined && { progressPercent }),
            engine,
            ...(engineVersion !== undefined && { engineVersion }),
            ...(allocatedGib !== undefined && { allocatedGib }),
            encrypted,
            ...(createdAt !== undefined && { createdAt }),
            revision: revision(seen[index]!),
          };
        }),
        ...(page.next ? { nextCursor: encodeCursor(page.next, scope, now) } : {}),
      },
      seen,
      complete: !page.next && !cursor,
    };
  },
});

export const snapshots = domain("snapshots", { list }, []);
