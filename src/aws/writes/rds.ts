// What is written to RDS. It has no dry run and takes no client token: names are unique, and a mark tells whose a thing is.

import type {
  AddTagsToResourceMessage,
  CreateDBClusterSnapshotMessage,
  CreateDBClusterSnapshotResult,
  CreateDBSnapshotMessage,
  CreateDBSnapshotResult,
  ModifyDBClusterMessage,
  ModifyDBClusterResult,
  ModifyDBInstanceMessage,
  ModifyDBInstanceResult,
  RemoveTagsFromResourceMessage,
  RestoreDBInstanceFromDBSnapshotMessage,
  RestoreDBInstanceFromDBSnapshotResult,
  StartDBClusterMessage,
  StartDBClusterResult,
  StartDBInstanceMessage,
  StartDBInstanceResult,
  StopDBClusterMessage,
  StopDBClusterResult,
  StopDBInstanceMessage,
  StopDBInstanceResult,
} from "@aws-sdk/client-rds";
import type { ChangeStep } from "../../core/change.js";
import type { JsonObject } from "../../core/json.js";
import type { Progress } from "../../core/ports.js";
import { OPERATION_MARK, tagsOf, withMark } from "../../core/tags.js";
import { typeReaders } from "../readers/index.js";
import { asIs, type Followed, type Op, type Reads, type Rows } from "./row.js";

export interface RdsWrites {
  "rds:ModifyDBInstance": [ModifyDBInstanceMessage, ModifyDBInstanceResult];
  "rds:ModifyDBCluster": [ModifyDBClusterMessage, ModifyDBClusterResult];
  "rds:CreateDBSnapshot": [CreateDBSnapshotMessage, CreateDBSnapshotResult];
  "rds:CreateDBClusterSnapshot": [CreateDBClusterSnapshotMessage, CreateDBClusterSnapshotResult];
  "rds:RestoreDBInstanceFromDBSnapshot": [
    RestoreDBInstanceFromDBSnapshotMessage,
    RestoreDBInstanceFromDBSnapshotResult,
  ];
  "rds:StartDBInstance": [StartDBInstanceMessage, StartDBInstanceResult];
  "rds:StopDBInstance": [StopDBInstanceMessage, StopDBInstanceResult];
  "rds:StartDBCluster": [StartDBClusterMessage, StartDBClusterResult];
  "rds:StopDBCluster": [StopDBClusterMessage, StopDBClusterResult];
  "rds:AddTagsToResource": [AddTagsToResourceMessage, object];
  "rds:RemoveTagsFromResource": [RemoveTagsFromResourceMessage, object];
}

type Named = "AWS::RDS::DBInstance" | "AWS::RDS::DBSnapshot" | "AWS::RDS::DBClusterSnapshot";

/** A create names what it makes: whether that is this operation's is told by the mark planned with it. */
async function madeBy(api: Reads, op: Op, { ref, input }: ChangeStep): Promise<readonly string[] | null> {
  if (tagsOf(input)[OPERATION_MARK] === undefined) return null;
  const found = await typeReaders(api)[ref.type as Named].get(ref.id);
  return found?.tags[OPERATION_MARK] === op.clientToken ? [ref.id] : [];
}

/** Made: RDS works no more on it, or already on what somebody asked for since. Everything else it passes through first. */
const MADE = new Set(["available", "storage-optimization", "storage-full", "stopping", "stopped", "deleting"]);
/** RDS itself says when it has given up; it passes through more states on its way than it documents. */
const UNMADE = /^(failed|restore-error|insufficient-capacity|incompatible-.+)$/;

async function madeSoFar(api: Reads, { step: { ref } }: Followed): Promise<Progress> {
  const found = await typeReaders(api)[ref.type as Named].get(ref.id);
  // What was named a moment ago may not be listed yet.
  if (!found) return { status: "pending" };
  if (MADE.has(found.status)) return { status: "succeeded", identifier: ref.id };
  if (!UNMADE.test(found.status)) return { status: "pending" };
  return {
    status: "failed",
    identifier: ref.id,
    code: "aws_failed",
    awsCode: found.status,
    message: `RDS calls it ${found.status}.`,
  };
}

/** Arrived where RDS says so. */
const movesTo = (there: readonly string[], from: string) => ({
  async follow(api: Reads, { step: { ref } }: Followed): Promise<Progress> {
    const found = await typeReaders(api)[ref.type as "AWS::RDS::DBInstance" | "AWS::RDS::DBCluster"].get(ref.id);
    const status = found?.status ?? "deleted";
    if (there.includes(status)) return { status: "succeeded", identifier: ref.id };
    // Still, or again, where it began.
    if (status === from) return { status: "pending", atRest: true, awsCode: status };
    if (status !== "deleted" && !UNMADE.test(status)) return { status: "pending" };
    return {
      status: "failed",
      identifier: ref.id,
      code: "aws_failed",
      awsCode: status,
      message: `RDS calls it ${status}.`,
    };
  },
});
/** RDS works on a database that runs as soon as it does. */
const RUNNING = ["available", "backing-up", "storage-optimization", "configuring-enhanced-monitoring", "maintenance"];
const STOPPED = ["stopped"];

const NATURAL = { idempotency: "natural", dryRun: false, input: asIs } as const;
const NAMED = {
  idempotency: "natural",
  dryRun: false,
  input: (input: JsonObject, op: Op) => withMark(input, op.clientToken),
  find: madeBy,
  follow: madeSoFar,
} as const;
const TAGS = { ...NATURAL, identifiers: () => [] } as const;

const INSTANCE = {
  identifiers: ({ DBInstance }: StartDBInstanceResult) => [DBInstance?.DBInstanceIdentifier],
  requestToken: ({ DBInstance }: StartDBInstanceResult) => DBInstance?.DBInstanceIdentifier,
} as const;
const CLUSTER = {
  identifiers: ({ DBCluster }: StartDBClusterResult) => [DBCluster?.DBClusterIdentifier],
  requestToken: ({ DBCluster }: StartDBClusterResult) => DBCluster?.DBClusterIdentifier,
} as const;

export const RDS_WRITES: Rows<RdsWrites> = {
  "rds:ModifyDBInstance": { ...NATURAL, identifiers: ({ DBInstance }) => [DBInstance?.DBInstanceIdentifier] },
  "rds:ModifyDBCluster": { ...NATURAL, identifiers: ({ DBCluster }) => [DBCluster?.DBClusterIdentifier] },
  "rds:CreateDBSnapshot": {
    ...NAMED,
    identifiers: ({ DBSnapshot }) => [DBSnapshot?.DBSnapshotIdentifier],
    requestToken: ({ DBSnapshot }) => DBSnapshot?.DBSnapshotIdentifier,
  },
  "rds:CreateDBClusterSnapshot": {
    ...NAMED,
    identifiers: ({ DBClusterSnapshot }) => [DBClusterSnapshot?.DBClusterSnapshotIdentifier],
    requestToken: ({ DBClusterSnapshot }) => DBClusterSnapshot?.DBClusterSnapshotIdentifier,
  },
  "rds:RestoreDBInstanceFromDBSnapshot": {
    ...NAMED,
    identifiers: ({ DBInstance }) => [DBInstance?.DBInstanceIdentifier],
    requestToken: ({ DBInstance }) => DBInstance?.DBInstanceIdentifier,
  },
  "rds:StartDBInstance": { ...NATURAL, ...movesTo(RUNNING, "stopped"), ...INSTANCE },
  "rds:StopDBInstance": { ...NATURAL, ...movesTo(STOPPED, "available"), ...INSTANCE },
  "rds:StartDBCluster": { ...NATURAL, ...movesTo(RUNNING, "stopped"), ...CLUSTER },
  "rds:StopDBCluster": { ...NATURAL, ...movesTo(STOPPED, "available"), ...CLUSTER },
  "rds:AddTagsToResource": TAGS,
  "rds:RemoveTagsFromResource": TAGS,
};
