// RDS's reads: instances, clusters, their snapshots, and the maintenance that AWS has announced.

import type { Filter } from "@aws-sdk/client-rds";
import type {
  ClusterSnapshot,
  DatabaseCluster,
  DatabaseInstance,
  DatabaseReads,
  DatabaseSnapshot,
} from "../../core/content/databases.js";
import type { ListQuery } from "../../core/ports.js";
import type { Api } from "../api.js";
import { allPages } from "../pages.js";
import { page, present, type TypeReader, unlessAbsent } from "./parts.js";
import {
  clusterSnapshotOf,
  databaseClusterOf,
  databaseInstanceOf,
  databaseSnapshotOf,
  maintenanceOf,
} from "./rds-shapes.js";

/** As the SDK and as the service spell them. */
const ABSENT = {
  instance: new Set(["DBInstanceNotFound", "DBInstanceNotFoundFault"]),
  cluster: new Set(["DBClusterNotFoundFault", "DBClusterNotFound"]),
  snapshot: new Set(["DBSnapshotNotFound", "DBSnapshotNotFoundFault"]),
  clusterSnapshot: new Set(["DBClusterSnapshotNotFoundFault", "DBClusterSnapshotNotFound"]),
};

/** AWS's limits for a page of RDS descriptions. */
const PAGE = { least: 20, most: 100 };

interface Described {
  Filters?: Filter[];
  MaxRecords?: number;
  Marker?: string;
}

/** Ids go in as a filter: those that no longer exist are then missing from the answer instead of failing all of it. */
function describedBy(idFilter: string, { ids, filters = {}, limit, cursor }: ListQuery): Described {
  const all: Filter[] = [
    ...(ids ? [{ Name: idFilter, Values: [...ids] }] : []),
    ...Object.entries(filters).map(([Name, Values]) => ({ Name, Values: [...Values] })),
  ];
  return present<Described>({
    Filters: all.length > 0 ? all : undefined,
    MaxRecords: limit === undefined ? PAGE.most : Math.min(Math.max(limit, PAGE.least), PAGE.most),
    Marker: cursor,
  });
}

export const databaseInstanceReader = (api: Api): TypeReader<DatabaseInstance> => ({
  get: (id) =>
    unlessAbsent(ABSENT.instance, async () => {
      const output = await api.call("rds", "DescribeDBInstances", { DBInstanceIdentifier: id });
      return output.DBInstances?.[0] && databaseInstanceOf(output.DBInstances[0]);
    }),
  async list(query) {
    if (query.ids?.length === 0) return { items: [] };
    const output = await api.call("rds", "DescribeDBInstances", describedBy("db-instance-id", query));
    return page((output.DBInstances ?? []).map(databaseInstanceOf), output.Marker);
  },
});

export const databaseClusterReader = (api: Api): TypeReader<DatabaseCluster> => ({
  get: (id) =>
    unlessAbsent(ABSENT.cluster, async () => {
      const output = await api.call("rds", "DescribeDBClusters", { DBClusterIdentifier: id });
      return output.DBClusters?.[0] && databaseClusterOf(output.DBClusters[0]);
    }),
  async list(query) {
    if (query.ids?.length === 0) return { items: [] };
    const output = await api.call("rds", "DescribeDBClusters", describedBy("db-cluster-id", query));
    return page((output.DBClusters ?? []).map(databaseClusterOf), output.Marker);
  },
});

/** Snapshots are asked for by type with a parameter of its own: without it AWS leaves some types out. */
function snapshotQuery(idFilter: string, { filters = {}, ...query }: ListQuery): Described & { SnapshotType?: string } {
  const { "snapshot-type": kinds, ...rest } = filters;
  return { ...describedBy(idFilter, { ...query, filters: rest }), ...(kinds?.[0] && { SnapshotType: kinds[0] }) };
}

export const databaseSnapshotReader = (api: Api): TypeReader<DatabaseSnapshot> => ({
  get: (id) =>
    unlessAbsent(ABSENT.snapshot, async () => {
      const output = await api.call("rds", "DescribeDBSnapshots", { DBSnapshotIdentifier: id });
      return output.DBSnapshots?.[0] && databaseSnapshotOf(output.DBSnapshots[0]);
    }),
  async list(query) {
    if (query.ids?.length === 0) return { items: [] };
    const output = await api.call("rds", "DescribeDBSnapshots", snapshotQuery("db-snapshot-id", query));
    return page((output.DBSnapshots ?? []).map(databaseSnapshotOf), output.Marker);
  },
});

export const clusterSnapshotReader = (api: Api): TypeReader<ClusterSnapshot> => ({
  get: (id) =>
    unlessAbsent(ABSENT.clusterSnapshot, async () => {
      const output = await api.call("rds", "DescribeDBClusterSnapshots", { DBClusterSnapshotIdentifier: id });
      return output.DBClusterSnapshots?.[0] && clusterSnapshotOf(output.DBClusterSnapshots[0]);
    }),
  async list(query) {
    if (query.ids?.length === 0) return { items: [] };
    const output = await api.call("rds", "DescribeDBClusterSnapshots", snapshotQuery("db-cluster-snapshot-id", query));
    return page((output.DBClusterSnapshots ?? []).map(clusterSnapshotOf), output.Marker);
  },
});

export const databaseReads = (api: Api): DatabaseReads => ({
  async maintenance(arn) {
    const announced = await allPages(
      (Marker) =>
        api.call("rds", "DescribePendingMaintenanceActions", {
          ...(arn === undefined ? { MaxRecords: PAGE.most } : { ResourceIdentifier: arn }),
          ...(Marker && { Marker }),
        }),
      (output) => output.PendingMaintenanceActions,
      (output) => output.Marker,
    );
    return new Map(
      announced.map(({ ResourceIdentifier = "", PendingMaintenanceActionDetails = [] }) => [
        ResourceIdentifier,
        PendingMaintenanceActionDetails.map(maintenanceOf),
      ]),
    );
  },
});
