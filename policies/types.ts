// What is known of resource types by name alone.

/** Types that hold data or keys: what is deleted of them does not come back. The `isStateful` types of AWS's specification, and caches and logs. */
export const STATEFUL =
  /^AWS::(RDS::DB(Instance|Cluster)|S3::Bucket|DynamoDB::(Global)?Table|KMS::Key|SecretsManager::Secret|EFS::FileSystem|EC2::Volume|ElastiCache::|OpenSearchService::Domain|Redshift::Cluster|SQS::Queue|Logs::LogGroup|Neptune::DBCluster|DocDB::DBCluster|ECR::Repository)/;

/** Prefixes shorter than these hold more than any private network: AWS masks the rest, `10.1.2.3/0` is `0.0.0.0/0`. */
const WIDEST = { v4: 8, v6: 16 } as const;
const PRIVATE_V6 = /^f[cd]/i;

/**
 * Whether a peer is the whole internet, or so much of it that it makes no difference: two halves are the whole.
 * @example isWorld("10.1.2.3/0") // true
 * @example isWorld("10.0.0.0/8") // false
 */
export function isWorld(peer: unknown): boolean {
  if (typeof peer !== "string") return false;
  const [, address = "", bits = ""] = /^\s*([0-9a-f.:]+)\/(\d{1,3})\s*$/i.exec(peer) ?? [];
  if (address === "") return false;
  if (!address.includes(":")) return Number(bits) < WIDEST.v4;
  return Number(bits) < (PRIVATE_V6.test(address) ? 7 : WIDEST.v6);
}

/** Whether a protocol has ports; with any other one AWS ignores the ports of a rule and lets everything in. */
export const hasPorts = (protocol: unknown): boolean =>
  protocol === undefined || /^(tcp|udp|6|17)$/i.test(String(protocol));
