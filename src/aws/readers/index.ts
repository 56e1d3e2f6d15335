// Type → reader: the resource types we read through their own service.

import type { Contents } from "../../core/content.js";
import type { Api } from "../api.js";
import { instanceReader, securityGroupReader } from "./ec2.js";
import type { TypeReader } from "./parts.js";
import { clusterSnapshotReader, databaseClusterReader, databaseInstanceReader, databaseSnapshotReader } from "./rds.js";

export type TypeReaders = { readonly [T in keyof Contents]: TypeReader<Contents[T]> };

export const typeReaders = (api: Api): TypeReaders => ({
  "AWS::EC2::Instance": instanceReader(api),
  "AWS::EC2::SecurityGroup": securityGroupReader(api),
  "AWS::RDS::DBInstance": databaseInstanceReader(api),
  "AWS::RDS::DBCluster": databaseClusterReader(api),
  "AWS::RDS::DBSnapshot": databaseSnapshotReader(api),
  "AWS::RDS::DBClusterSnapshot": clusterSnapshotReader(api),
});
