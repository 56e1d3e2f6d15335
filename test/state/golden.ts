// How the stores under fixtures/ were made: the real app and the real store, with the clock, numbers and process of this file.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SANDBOX_ACCOUNT, SANDBOX_REGION } from "../../src/aws/sandbox/world.js";
import type { Owner } from "../../src/core/change.js";
import { OpsError } from "../../src/core/errors.js";
import type { Aws } from "../../src/core/ports.js";
import { fileDriver } from "../../state/drivers/file.js";
import type { Event } from "../../state/events.js";
import { openStore, type Store } from "../../state/journal.js";
import { operationId } from "../../state/tokens.js";
import { machineClock, planOf, seededIds } from "../crash/scenario.js";
import { inMemory } from "../in-memory.js";
import { intent, owner, result, step } from "./helpers.js";

export const GROUP = "sg-0bb00000000000001";
const ref = (type: string, id: string) => ({ account: SANDBOX_ACCOUNT, region: SANDBOX_REGION, type, id });

/**
 * Writes a store in which every event of format 1 happened, with archive, floor, backups, leases and a commit that no
 * checkpoint covers. Not run by any test: what stands under fixtures/format-1 was written by the code of its day, and
 * stays as it is.
 */
export async function writeGolden(root: string): Promise<void> {
  const clock = machineClock();
  const ids = seededIds(20261121);
  const by = owner("session-1", 101);
  const opened = (who: Owner, liveness: "alive" | "dead" = "alive"): Promise<Store> =>
    openStore({
      driver: fileDriver({ root }, { clock, ids }),
      clock,
      ids,
      owner: who,
      user: "alice",
      client: "golden",
      version: "0.1.0",
      liveness: () => liveness,
    });

  let store = await opened(by);
  const faults: OpsError[] = [];
  const faulty = (aws: Aws): Aws => ({
    ...aws,
    writer: (region) => {
      const writer = aws.writer(region);
      return {
        ...writer,
        async send(one, op, signal) {
          const fault = faults.shift();
          if (fault) throw fault;
          return { ...(await writer.send(one, op, signal)), awsRequestId: ids.uuid() };
        },
      };
    },
  });
  const session = await inMemory({ wrap: faulty, wrapStore: () => store, machine: { clock, ids, owner: by } });
  const call = async (name: string, given: Record<string, unknown>): Promise<Record<string, string>> => {
    const answer = await session.call(name, given);
    clock.advance(1_000);
    return answer;
  };
  const addRule = (fromPort: number) =>
    call("securityGroups_addRule", { groupId: GROUP, rule: { fromPort, peer: "10.0.0.0/8" }, intent: "open a port" });
  const apply = async ({ executionToken }: Record<string, string>) => call("changes_apply", { executionToken });
  const rollback = async (to: string) => {
    const { revision: basedOn } = await call("securityGroups_get", { groupId: GROUP });
    return apply(await call("state_rollback", { identifier: GROUP, to, basedOn, intent: "as it was" }));
  };

  // Through the gate: applied, refused by AWS, without an answer, drift, the way back, a plan nobody wanted.
  const first = await addRule(8443);
  await apply(first);
  const properties = { BucketName: "golden", Tags: [{ Key: "team", Value: "ops" }] };
  await apply(await call("resources_create", { type: "AWS::S3::Bucket", properties, intent: "a place for logs" }));
  await apply(await addRule(9443));
  faults.push(new OpsError("aws_rejected", "AWS refused the call.", { details: { awsCode: "RulesPerSecurityGroup" } }));
  await apply(await addRule(9444));
  await session.outsider.allow(GROUP, 22, "192.0.2.0/24");
  await call("state_drift", {});
  await rollback(first.executionToken!);
  const unwanted = await addRule(1);
  const { changeId } = unwanted.change as unknown as { changeId: string };
  await call("changes_cancel", { changeId });
  await store.compact();
  faults.push(new OpsError("outcome_unknown", "no answer"), new OpsError("outcome_unknown", "no answer"));
  await apply(await addRule(9445));

  // What has no tool yet, through the commit itself.
  const commit = async (...events: readonly Event[]) => (await store.commit(() => events)).seq;
  const [service, bucket] = [`${SANDBOX_ACCOUNT}/${SANDBOX_REGION}/AWS::ECS::Service/api`, "AWS::S3::Bucket"];
  await commit({
    type: "resource.imported",
    ref: ref("AWS::ECS::Service", "api"),
    reader: "cloudcontrol",
    alias: "api",
    properties: { ServiceName: "api", DesiredCount: 2 },
    desired: { DesiredCount: 2 },
    provenance: "read from AWS",
    createdAt: "2026-01-01T00:00:00Z",
    lineage: [
      {
        seq: 0,
        executionToken: "abc123",
        changeId: "",
        operationId: "",
        tool: "",
        operation: "create",
        outcome: "succeeded",
        timestamp: "2026-01-01T00:00:00Z",
        user: "novekm",
        awsSession: "arn:aws:iam::000000000000:user/novekm",
        before: null,
        after: { ServiceName: "api", DesiredCount: 1 },
        patch: [{ op: "add", path: "/DesiredCount", value: 1 }],
        explanation: "Created for the launch",
        intent: "serve the API",
        policyResults: { passed: 8, failed: 2 },
      },
    ],
    dependsOn: ["golden"],
  });
  await commit({
    type: "drift.observed",
    rid: service,
    status: "MODIFIED",
    severity: "high",
    details: { because: "x" },
  });
  const accepted = { ServiceName: "api", DesiredCount: 3 };
  await commit({ type: "drift.accepted", rid: service, properties: accepted, by: "alice", because: "wanted" });
  await commit({ type: "drift.ignored", rid: service, path: "/Tags/*", reason: "tagged by others", by: "alice" });
  await commit({
    type: "drift.ignored",
    rid: service,
    path: "/DesiredCount",
    reason: "scaled by AWS",
    by: "alice",
    until: "2026-12-31T00:00:00Z",
  });
  const old = { ref: ref(bucket, "old"), reader: "cloudcontrol" as const };
  await commit({ type: "resource.imported", ...old, properties: { BucketName: "old" }, provenance: "read from AWS" });
  await commit({
    type: "resource.forgotten",
    rid: `${SANDBOX_ACCOUNT}/${SANDBOX_REGION}/${bucket}/old`,
    by: "alice",
    because: "not ours",
  });
  const planned = async (steps = [step()]) => {
    let made = planOf(1, steps, ids);
    await store.commit((_, seq) => {
      made = planOf(seq, steps, ids);
      return [made.event];
    });
    return made;
  };
  const begun = async (made: { id: string; token: string }, index: number, who = by) => {
    const { seq } = await store.commit((_, seq) => [intent(seq, made.id, made.token, index, who)]);
    return operationId(seq);
  };
  const digestOf = (made: { event: Event }) =>
    made.event.type === "change.planned" ? made.event.change.planDigest : "";
  const rejected = await planned();
  await commit({
    type: "change.rejected",
    changeId: rejected.id,
    planDigest: digestOf(rejected),
    channel: "terminal",
    by: "alice",
    because: "not on a Friday",
  });
  const approved = await planned([step(), step({ operation: "StartInstances", before: { state: "stopped" } })]);
  await commit({
    type: "change.approved",
    changeId: approved.id,
    planDigest: digestOf(approved),
    channel: "elicitation",
    by: "alice",
    validUntil: "2026-11-21T12:00:00.000Z",
  });
  const half = await begun(approved, 0);
  await commit({
    type: "op.succeeded",
    operationId: half,
    results: [result({ state: "running" }, { state: "stopped" })],
  });
  await commit({ type: "change.interrupted", changeId: approved.id, because: "the process ended between two steps" });
  await session.close();
  await store.close();

  // Another process: it takes over, makes room, breaks a lease, and takes an edit of state.json over.
  clock.advance(86_400_000);
  const next = owner("session-2", 102);
  store = await opened(next, "dead");
  const open = [...(await store.state()).operations.values()].find((one) => one.state === "unknown")!;
  await commit({ type: "op.takeover", operationId: open.id, owner: next });
  await store.compact();
  await store.fingerprint("makes the key");
  await store.close();
  const path = join(root, "state.json");
  const document = JSON.parse(await readFile(path, "utf8"));
  document.resources.api.desired = { DesiredCount: 3 };
  document.resources.api.dependencies.depends_on = ["golden", GROUP];
  await writeFile(path, JSON.stringify(document, null, 2));
  store = await opened(next, "dead");
  await store.adopt("alice");
  const held = await store.leases.acquire("stack:web", "update");
  if (held instanceof OpsError) throw held;
  await store.leases.break(held.generation, "alice", "the laptop is gone");
  await store.compact();
  // No checkpoint covers this one, and it holds a resource: a store as a killed process leaves it.
  await begun(await planned([step({ ref: ref("AWS::EC2::Instance", "i-9") })]), 0, next);
}
