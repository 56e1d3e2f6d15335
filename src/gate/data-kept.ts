// No database is deleted through this server while it is protected, or without a copy of its data: Cloud Control takes no
// final snapshot, and whichever tool planned the deletion, this is asked.

import type { ChangeStep } from "../core/change.js";
import type {
  ClusterSnapshot,
  DatabaseCluster,
  DatabaseInstance,
  DatabaseSnapshot,
} from "../core/content/databases.js";
import { OpsError } from "../core/errors.js";
import type { Page } from "../core/page.js";
import type { AwsReader } from "../core/ports.js";

/** A snapshot older than this is no copy of what is deleted today. */
const FRESH_HOURS = 24;

type Snapshot = DatabaseSnapshot | ClusterSnapshot;

/**
 * @returns what the user should know of the copy that stays
 * @throws OpsError `unsupported` where the database is protected or no fresh manual snapshot of it is complete.
 */
export async function refuseDataLoss(aws: AwsReader, step: ChangeStep, now: Date): Promise<string[]> {
  const { kind, ref } = step;
  if (kind !== "delete") return [];
  if (ref.type === "AWS::RDS::DBInstance") {
    const instance = await aws.get("AWS::RDS::DBInstance", ref.id);
    if (!instance) return [];
    refuseProtected(step, instance.deletionProtection);
    // The data of a member is its cluster's, and that of a replica is its source's.
    if (instance.clusterId !== undefined || instance.replicaOf !== undefined) return [];
    return [copyOf(step, await manualOf(aws, "AWS::RDS::DBSnapshot", "db-instance-id", ref.id), instance, now)];
  }
  if (ref.type === "AWS::RDS::DBCluster") {
    const cluster = await aws.get("AWS::RDS::DBCluster", ref.id);
    if (!cluster) return [];
    refuseProtected(step, cluster.deletionProtection);
    return [copyOf(step, await manualOf(aws, "AWS::RDS::DBClusterSnapshot", "db-cluster-id", ref.id), cluster, now)];
  }
  return [];
}

/** Every manual snapshot: AWS promises no order, so the newest may stand on the last page. */
async function manualOf(
  aws: AwsReader,
  type: "AWS::RDS::DBSnapshot" | "AWS::RDS::DBClusterSnapshot",
  filter: string,
  id: string,
): Promise<readonly Snapshot[]> {
  const found: Snapshot[] = [];
  let cursor: string | undefined;
  do {
    const page: Page<Snapshot> = await aws.list(type, {
      filters: { [filter]: [id], "snapshot-type": ["manual"] },
      ...(cursor !== undefined && { cursor }),
    });
    found.push(...page.items);
    cursor = page.next;
  } while (cursor !== undefined);
  return found;
}

function refuseProtected({ ref }: ChangeStep, isProtected: boolean): void {
  if (!isProtected) return;
  throw new OpsError(
    "unsupported",
    `${ref.id} is protected from deletion, and this server does not go around that. If it really must go, its protection is taken away first, by a plan of its own.`,
    {
      field: "identifier",
      details: { deletionProtection: true },
      next: [{ tool: "databases.get", arguments: { databaseId: ref.id, region: ref.region } }],
    },
  );
}

function copyOf(
  { ref }: ChangeStep,
  snapshots: readonly Snapshot[],
  { createdAt: made = "" }: Pick<DatabaseInstance | DatabaseCluster, "createdAt">,
  now: Date,
): string {
  const fresh = new Date(now.getTime() - FRESH_HOURS * 3_600_000).toISOString();
  // An older one is of another database, which bore the name before.
  const since = fresh > made ? fresh : made;
  const newest = snapshots
    .filter(({ status, createdAt = "" }) => status === "available" && createdAt >= since)
    .sort((a, b) => ((a.createdAt ?? "") < (b.createdAt ?? "") ? 1 : -1))[0];
  if (newest) {
    return `Its data stays in snapshot ${newest.snapshotId} as it was at ${newest.createdAt}; what was written since is lost, and automated backups go with it.`;
  }
  throw new OpsError(
    "unsupported",
    `No manual snapshot of ${ref.id} of the last ${FRESH_HOURS} hours is complete, and this way of deleting takes no final one: its data would be gone. Take one first; it is kept after the deletion.`,
    {
      field: "identifier",
      next: [{ tool: "databases.createSnapshot", arguments: { databaseId: ref.id, region: ref.region } }],
    },
  );
}
