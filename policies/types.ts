// What is known of resource types by name alone.

/** Types that hold data or keys: what is deleted of them does not come back. The `isStateful` types of AWS's specification, and caches and logs. */
export const STATEFUL =
  /^AWS::(RDS::DB(Instance|Cluster)|S3::Bucket|DynamoDB::(Global)?Table|KMS::Key|SecretsManager::Secret|EFS::FileSystem|EC2::Volume|ElastiCache::|OpenSearchService::Domain|Redshift::Cluster|SQS::Queue|Logs::LogGroup|Neptune::DBCluster|DocDB::DBCluster|ECR::Repository)/;

/** The whole internet, as a peer. */
export const WORLD: ReadonlySet<string> = new Set(["0.0.0.0/0", "::/0"]);
