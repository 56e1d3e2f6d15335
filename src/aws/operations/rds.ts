// What is read of RDS.

import type {
  DBClusterMessage,
  DBClusterSnapshotMessage,
  DBInstanceMessage,
  DBSnapshotMessage,
  DescribeDBClusterSnapshotsMessage,
  DescribeDBClustersMessage,
  DescribeDBInstancesMessage,
  DescribeDBSnapshotsMessage,
  DescribePendingMaintenanceActionsMessage,
  PendingMaintenanceActionsMessage,
} from "@aws-sdk/client-rds";

export interface RdsReads {
  "rds:DescribeDBInstances": [DescribeDBInstancesMessage, DBInstanceMessage];
  "rds:DescribeDBClusters": [DescribeDBClustersMessage, DBClusterMessage];
  "rds:DescribeDBSnapshots": [DescribeDBSnapshotsMessage, DBSnapshotMessage];
  "rds:DescribeDBClusterSnapshots": [DescribeDBClusterSnapshotsMessage, DBClusterSnapshotMessage];
  "rds:DescribePendingMaintenanceActions": [DescribePendingMaintenanceActionsMessage, PendingMaintenanceActionsMessage];
}
