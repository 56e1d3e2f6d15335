// databases.list: instances and clusters in one list.

import { z } from "zod";
import { decodeCursor, encodeCursor } from "../../src/core/cursor.js";
import { joined, type Part } from "../../src/core/joined.js";
import type { Json, JsonObject } from "../../src/core/json.js";
import { asKnown } from "../../src/core/known.js";
import { read } from "../../src/core/tool.js";
import { announcedFor, attentionOf, unknownIn } from "./attention.js";
import { CLUSTER, type Database, DatabaseId, INSTANCE, idOf, Kind, seenOf } from "./parts.js";

/** What `fields` adds to a row: members of the contents. */
const FIELDS = {
  endpoint: ["endpoint", "readerEndpoint", "port"],
  storage: ["storage"],
  network: ["vpcId", "subnetGroup", "securityGroups", "publiclyAccessible", "availabilityZone"],
  backups: ["backupRetentionDays", "backupWindow", "copyTagsToSnapshots"],
  maintenance: ["maintenanceWindow", "autoMinorVersionUpgrade", "caCertificate"],
  parameters: ["parameterGroup", "parameterStatus", "optionGroup"],
  protection: ["deletionProtection", "iamAuthentication", "masterUserManaged"],
  pending: ["pending"],
  members: ["members", "replicaOf", "replicas"],
  tags: ["tags"],
} as const;
type Field = keyof typeof FIELDS;

/** What every row shows. */
const ALWAYS = ["status", "engine", "engineVersion", "class", "multiAz", "clusterId"] as const;

const members = (content: object, names: readonly string[]): JsonObject =>
  Object.fromEntries(
    names.flatMap((member) => {
      const value = (content as JsonObject)[member];
      return value === undefined ? [] : [[member, value]];
    }),
  );

export const list = read({
  title: "List databases",
  description:
    "RDS instances and clusters (Aurora too) with status, engine, class and what needs attention: pending changes, announced maintenance, parameters that wait for a reboot. `fields` adds more; one database in full: databases.get.",
  scope: "region",
  everywhere: { rows: "databases", sum: ["count"] },
  foreignText: true,
  input: z.object({
    kind: Kind.optional(),
    databaseIds: z.array(DatabaseId).min(1).max(100).optional(),
    clusterId: DatabaseId.optional().describe("This cluster and its members"),
    engine: z.string().optional(),
    fields: z.array(z.enum(Object.keys(FIELDS) as [Field, ...Field[]])).optional(),
    limit: z.number().int().min(5).max(100).default(25),
    cursor: z.string().optional(),
  }),
  output: z.object({
    count: z.number(),
    unknown: z.array(z.object({})).optional(),
    databases: z.array(z.looseObject({ databaseId: z.string(), kind: Kind, status: z.string(), revision: z.string() })),
    nextCursor: z.string().optional(),
  }),
  async run({ cursor, limit, fields = [], ...query }, { aws, now, revision }) {
    const scope = { ...query, account: aws.account, region: aws.region };
    const { clusterId, databaseIds, engine } = query;
    // A cluster is asked for by one filter, whichever argument names it.
    const clusterIds = clusterId && databaseIds ? databaseIds.filter((id) => id === clusterId) : databaseIds;
    const filters = (ids: Record<string, readonly string[] | undefined>): Record<string, readonly string[]> =>
      Object.fromEntries(
        Object.entries({ ...ids, engine: engine === undefined ? undefined : [engine] }).flatMap(([key, values]) =>
          values ? [[key, values]] : [],
        ),
      );
    const ofClusters = filters({ "db-cluster-id": clusterIds ?? (clusterId ? [clusterId] : undefined) });
    const ofInstances = filters({
      "db-instance-id": databaseIds,
      "db-cluster-id": clusterId ? [clusterId] : undefined,
    });
    const clusters: Part<Database> = {
      idOf,
      async read(page) {
        const { items, ...rest } = await aws.list(CLUSTER, { ...page, filters: ofClusters });
        return { ...rest, items: items.map((content) => ({ kind: "cluster", content })) };
      },
    };
    const instances: Part<Database> = {
      idOf,
      async read(page) {
        const { items, ...rest } = await aws.list(INSTANCE, { ...page, filters: ofInstances });
        return { ...rest, items: items.map((content) => ({ kind: "instance", content })) };
      },
    };
    const noCluster = query.kind === "instance" || clusterIds?.length === 0;
    const parts = [...(noCluster ? [] : [clusters]), ...(query.kind === "cluster" ? [] : [instances])];
    const from = cursor ? decodeCursor(cursor, scope, now) : undefined;
    const [page, announced] = await Promise.all([
      joined(parts, limit, from),
      asKnown(() => aws.databases.maintenance()),
    ]);
    const more = fields.flatMap((field) => FIELDS[field]);
    const shown = [...ALWAYS, ...more].map((member) => `/${member}`);
    const seen = page.items.map((one) =>
      seenOf(aws, one, [...shown, one.kind === "instance" ? "/instanceId" : "/clusterId"]),
    );
    return {
      data: {
        count: page.items.length,
        databases: page.items.map((one, index) => {
          const maintenance = announcedFor(announced, one);
          const attention = attentionOf(one, maintenance);
          return {
            databaseId: idOf(one),
            kind: one.kind,
            ...members(
              one.content,
              one.kind === "cluster" ? ALWAYS.filter((member) => member !== "clusterId") : ALWAYS,
            ),
            ...members(one.content, more),
            ...(fields.includes("maintenance") && maintenance.length > 0
              ? { maintenance: maintenance as unknown as Json }
              : {}),
            ...(attention.length > 0 ? { attention } : {}),
            revision: revision(seen[index]!),
          };
        }),
        ...unknownIn(announced),
        ...(page.next ? { nextCursor: encodeCursor(page.next, scope, now) } : {}),
      },
      seen,
      complete: !page.next && !cursor,
    };
  },
});
