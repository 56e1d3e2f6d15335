// What is read of RDS.

import type {
  DBClusterMessage,
  DBInstanceMessage,
  DescribeDBClustersMessage,
  DescribeDBInstancesMessage,
} from "@aws-sdk/client-rds";

export interface RdsReads {
  "rds:DescribeDBInstances": [DescribeDBInstancesMessage, DBInstanceMessage];
  "rds:DescribeDBClusters": [DescribeDBClustersMessage, DBClusterMessage];
}
