// databases.start, databases.stop: an RDS instance, or a cluster with all its members; what a stop leaves running, and for how long.

import { z } from "zod";
import type { ChangeStep, Proposal } from "../../src/core/change.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import type { AwsReader, PlanPorts } from "../../src/core/ports.js";
import { plan } from "../../src/core/tool.js";
import { type Database, DatabaseId, existing, Kind, seenOf } from "./parts.js";

type Verb = "start" | "stop";

interface Rule {
  readonly operation: Readonly<Record<Kind, string>>;
  /** The one status in which RDS takes the call. */
  readonly from: string;
  readonly already: readonly string[];
  readonly to: string;
}

const RULES: Readonly<Record<Verb, Rule>> = {
  start: {
    operation: { instance: "StartDBInstance", cluster: "StartDBCluster" },
    from: "stopped",
    already: ["available", "starting"],
    to: "available",
  },
  stop: {
    operation: { instance: "StopDBInstance", cluster: "StopDBCluster" },
    from: "available",
    already: ["stopped", "stopping"],
    to: "stopped",
  },
};

const DAYS_STOPPED = 7;

/** What a caller who stops or starts a database has to know it by. */
const TOUCHES: Readonly<Record<Kind, readonly string[]>> = {
  instance: ["/status", "/class", "/multiAz", "/replicas", "/replicaOf", "/clusterId"],
  cluster: ["/status", "/engine", "/members"],
};

const lookAt = (aws: AwsReader, databaseId: string, kind: Kind) => [
  { tool: "databases.get", arguments: { databaseId, kind, region: aws.region } },
];

/** @throws OpsError unsupported for what RDS never stops or starts by itself, naming what to do instead */
function checkKind(verb: Verb, databaseId: string, found: Database, aws: AwsReader): void {
  if (found.kind === "cluster") return;
  const { clusterId, replicas, replicaOf, engine, multiAz } = found.content;
  const refuse = (message: string, details: JsonObject, next = lookAt(aws, databaseId, "instance")): OpsError =>
    new OpsError("unsupported", `${message} Nothing was planned.`, { field: "databaseId", details, next });
  if (clusterId !== undefined) {
    throw refuse(
      `${databaseId} is a member of a cluster, which RDS ${verb}s as a whole: ${verb} the cluster.`,
      { clusterId },
      lookAt(aws, clusterId, "cluster"),
    );
  }
  if (verb === "start") return;
  if (replicaOf !== undefined || replicas.length > 0) {
    throw refuse(`RDS stops neither a read replica nor what has one, and ${databaseId} is such a database.`, {
      ...(replicaOf !== undefined && { replicaOf }),
      replicas,
    });
  }
  if (multiAz && engine.startsWith("sqlserver")) {
    throw refuse(`RDS does not stop SQL Server with a standby. Modify ${databaseId} to multiAz false first.`, {
      engine,
      multiAz,
    });
  }
}

function checkStatus(verb: Verb, databaseId: string, { kind, content: { status } }: Database, aws: AwsReader): void {
  const { from, already } = RULES[verb];
  if (status === from) return;
  const more = { field: "databaseId", details: { status }, next: lookAt(aws, databaseId, kind) };
  if (already.includes(status)) {
    throw new OpsError(
      "nothing_to_change",
      `${databaseId} is ${verb === "stop" ? "stopped" : "running"} already, or on its way there. Nothing was planned.`,
      more,
    );
  }
  throw new OpsError(
    "wrong_state",
    `RDS ${verb}s a database only while it is ${from}, and ${databaseId} is not; its status is in details. Nothing was planned; read it again later.`,
    more,
  );
}

function warningsOf(verb: Verb, databaseId: string, { kind, content }: Database): string[] {
  if (verb === "start") {
    return [
      "It is billed by the hour again from its start on.",
      "RDS recovers the database while it starts: that takes minutes, and may take hours.",
    ];
  }
  return [
    `RDS starts ${databaseId} again by itself after ${DAYS_STOPPED} days, so that it misses no maintenance: from then on it is billed by the hour.`,
    "Open connections end, and nobody can use it until it is started, which takes minutes and may take hours.",
    "Storage, provisioned IOPS and backups are billed while it is stopped; only the hours are not.",
    ...(kind === "instance" && content.multiAz ? ["Stopping a database with a standby can take long."] : []),
    ...(kind === "cluster" && content.members.length > 0
      ? [`All ${content.members.length} member(s) of the cluster stop with it.`]
      : []),
  ];
}

async function proposal(
  verb: Verb,
  { databaseId, kind }: { readonly databaseId: string; readonly kind?: Kind | undefined },
  { aws }: PlanPorts,
): Promise<Proposal> {
  const found = await existing(aws, databaseId, kind);
  checkKind(verb, databaseId, found, aws);
  checkStatus(verb, databaseId, found, aws);
  const { ref, reader, content } = seenOf(aws, found);
  const { operation, to } = RULES[verb];
  const step: ChangeStep = {
    service: "rds",
    operation: operation[found.kind],
    input: { [found.kind === "cluster" ? "DBClusterIdentifier" : "DBInstanceIdentifier"]: databaseId },
    ref,
    reader,
    kind: "action",
    before: content,
    after: { ...content, status: to },
    touches: TOUCHES[found.kind],
    desired: { status: to },
  };
  return {
    summary: `${verb === "stop" ? "Stop" : "Start"} ${found.kind} ${databaseId}`,
    steps: [step],
    warnings: warningsOf(verb, databaseId, found),
    facts: {
      kind: found.kind,
      ...(verb === "stop" && { startsByItselfAfterDays: DAYS_STOPPED }),
      ...(found.kind === "cluster" && { members: found.content.members.map(({ instanceId }) => instanceId) }),
    },
  };
}

const input = z.object({
  databaseId: DatabaseId,
  kind: Kind.optional().describe("Where an instance and a cluster have this name"),
});

export const start = plan({
  title: "Plan starting a database",
  description:
    "Plan the start of a stopped RDS instance or cluster. Applying waits until it is available, or hands over.",
  scope: "region",
  basedOn: "one",
  input,
  propose: (given, ports) => proposal("start", given, ports),
});

export const stop = plan({
  title: "Plan stopping a database",
  description:
    "Plan the stop of an RDS instance, or of a cluster with all its members. RDS starts it again by itself after 7 days; storage and backups cost on. To change a database's class or settings instead: databases.modifyInstance.",
  scope: "region",
  basedOn: "one",
  input,
  propose: (given, ports) => proposal("stop", given, ports),
});
