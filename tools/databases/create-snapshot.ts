// databases.createSnapshot: a manual copy of an instance or a cluster.

import { z } from "zod";
import type { ChangeStep } from "../../src/core/change.js";
import { OpsError } from "../../src/core/errors.js";
import { plan } from "../../src/core/tool.js";
import { tagList } from "./made.js";
import { DatabaseId, existing, Kind, name, refOf } from "./parts.js";

export const createSnapshot = plan({
  title: "Plan a database snapshot",
  description:
    "Plan a manual snapshot of an RDS instance or cluster; it is kept until somebody deletes it, and followed until it is complete.",
  scope: "region",
  basedOn: "none",
  input: z.object({
    databaseId: DatabaseId,
    kind: Kind.optional().describe("Where an instance and a cluster have this name"),
    snapshotId: name(255).optional().describe("Default: the database's name and the time"),
  }),
  async propose({ databaseId, kind, snapshotId: given }, { aws, mode, now }) {
    const found = await existing(aws, databaseId, kind);
    const next = [{ tool: "databases.get", arguments: { databaseId, kind: found.kind, region: aws.region } }];
    if (found.kind === "instance" && found.content.clusterId !== undefined) {
      throw new OpsError(
        "unsupported",
        `${databaseId} is a member of a cluster, which holds the data. Plan the snapshot of the cluster.`,
        {
          field: "databaseId",
          next: [
            { tool: "databases.createSnapshot", arguments: { databaseId: found.content.clusterId, kind: "cluster" } },
          ],
        },
      );
    }
    if (found.content.status !== "available" && found.content.status !== "storage-optimization") {
      throw new OpsError(
        "wrong_state",
        `RDS takes snapshots of what is available, and ${databaseId} is not. Read it again later, start it first where it is stopped (databases.start), or use its newest automated snapshot.`,
        { field: "databaseId", details: { status: found.content.status }, next },
      );
    }
    const snapshotId = given ?? `${databaseId}-${now.toISOString().slice(0, 19).replace(/\D/g, "")}`;
    const type = found.kind === "instance" ? "AWS::RDS::DBSnapshot" : "AWS::RDS::DBClusterSnapshot";
    if (await aws.get(type, snapshotId)) {
      throw new OpsError("already_exists", `There is a snapshot ${snapshotId} already. Choose another name.`, {
        field: "snapshotId",
        next: [{ tool: "snapshots.list", arguments: { snapshotId, region: aws.region } }],
      });
    }
    const cluster = found.kind === "cluster";
    const desired = { snapshotId, [cluster ? "clusterId" : "instanceId"]: databaseId };
    const step: ChangeStep = {
      service: "rds",
      operation: cluster ? "CreateDBClusterSnapshot" : "CreateDBSnapshot",
      input: {
        [cluster ? "DBClusterSnapshotIdentifier" : "DBSnapshotIdentifier"]: snapshotId,
        [cluster ? "DBClusterIdentifier" : "DBInstanceIdentifier"]: databaseId,
        Tags: tagList(found.content.copyTagsToSnapshots ? found.content.tags : {}, mode),
      },
      ref: refOf(aws, type, snapshotId),
      reader: "service",
      kind: "create",
      before: null,
      after: desired,
      touches: [""],
      desired,
    };
    // SQL Server is copied from the primary, standby or not.
    const pauses =
      found.kind === "instance" && (!found.content.multiAz || found.content.engine.startsWith("sqlserver"));
    return {
      summary: `Take snapshot ${snapshotId} of ${found.kind} ${databaseId}`,
      steps: [step],
      warnings: pauses ? ["I/O of this database may pause for some seconds while it begins."] : [],
    };
  },
});
