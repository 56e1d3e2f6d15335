// A store of any size, written as its own writers would leave it: a valid chain in archive segments, floors and journal.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ChangeStep, State } from "../../src/core/change.js";
import { canonicalJson, type JsonObject, sha256 } from "../../src/core/json.js";
import { archiveKey, encodeSegment, floorKey } from "../../state/archive.js";
import { journalKey } from "../../state/driver.js";
import { decodeCommit, type Event, encodeCommit } from "../../state/events.js";
import { emptyState, fold } from "../../state/fold.js";
import { operationId } from "../../state/tokens.js";
import { intent, owner, plan, START } from "../state/helpers.js";

export interface Size {
  readonly resources: number;
  /** Lineage entries of each. */
  readonly entries: number;
}

const SEGMENT = 5_000;
/** Commits that are not archived yet, as between two compactions. */
const TAIL = 200;
/** Before all that counts as done lately. */
const LONG_AGO = "2026-01-01T00:00:00.000Z";
const TYPE = "AWS::S3::Bucket";

/** What AWS shows of one resource; each update changes one value of it. */
const content = (resource: number, version: number): JsonObject => ({
  BucketName: `bucket-${resource}`,
  Arn: `arn:aws:s3:::bucket-${resource}`,
  LifecycleConfiguration: { Rules: [{ Id: "expire", Status: "Enabled", ExpirationInDays: version + 1 }] },
  PublicAccessBlockConfiguration: {
    BlockPublicAcls: true,
    BlockPublicPolicy: true,
    IgnorePublicAcls: true,
    RestrictPublicBuckets: true,
  },
  Tags: [
    { Key: "Name", Value: `bucket of team ${resource % 50}` },
    { Key: "Environment", Value: "production" },
  ],
  VersioningConfiguration: { Status: "Enabled" },
});

export const ridOf = (resource: number): string => `123456789012/eu-west-1/${TYPE}/bucket-${resource}`;

/** The events of one applied change, as three commits would hold them. */
export function change(seq: number, resource: number, version: number): Event[] {
  const before = version === 0 ? null : content(resource, version - 1);
  const after = content(resource, version);
  const ref = { account: "123456789012", region: "eu-west-1", type: TYPE, id: `bucket-${resource}` };
  const desired = { LifecycleConfiguration: after.LifecycleConfiguration! };
  const step: ChangeStep = {
    service: "cloudcontrol",
    operation: version === 0 ? "CreateResource" : "UpdateResource",
    input: {
      TypeName: TYPE,
      Identifier: ref.id,
      PatchDocument: [{ op: "replace", path: "/LifecycleConfiguration", value: after.LifecycleConfiguration! }],
    },
    ref: version === 0 ? { ...ref, id: "" } : ref,
    reader: "cloudcontrol",
    kind: version === 0 ? "create" : "update",
    before,
    after,
    touches: ["/LifecycleConfiguration"],
    desired,
  };
  const made = plan(seq, [step], { expiresAt: "2027-11-21T10:00:00.000Z" });
  return [
    made.event,
    intent(seq, made.id, made.token),
    { type: "op.succeeded", operationId: operationId(seq), results: [{ ref, reader: "cloudcontrol", before, after }] },
  ];
}

/**
 * Writes the chain of a store into a folder: one commit a change, the events and bytes those of the real writers, folded
 * as it goes. Left out are the fsyncs and, of each change, that its three events would be three commits.
 */
export function writeStore(root: string, { resources, entries }: Size): State {
  for (const folder of ["journal", "tmp", "archive", "floor"]) mkdirSync(join(root, folder), { mode: 0o700 });
  const put = (key: string, bytes: Uint8Array | string) => writeFileSync(join(root, key), bytes, { mode: 0o600 });
  const store = "00000000-0000-4000-8000-000000000001";
  const id = `${canonicalJson({ store, created: START })}\n`;
  put("store.id", id);
  let state = emptyState(store, START, sha256(id));
  let start = state;
  let segment: Uint8Array[] = [];
  const by = owner();
  const actor = { awsArn: null, client: "bench", host: by.host, pid: by.pid, session: by.session, user: "alice" };
  const total = resources * entries;
  for (let index = 0; index < total; index++) {
    const seq = index + 1;
    const bytes = encodeCommit({
      actor,
      commitId: `commit-${seq}`,
      epoch: 0,
      events: change(seq, index % resources, Math.floor(index / resources)),
      prev: state.head,
      seq,
      store,
      ts: LONG_AGO,
    });
    const commit = decodeCommit(bytes, state);
    if (typeof commit === "string") throw new Error(commit);
    const next = fold(state, commit);
    if (next instanceof Error) throw next;
    state = next;
    if (seq > total - TAIL) put(journalKey(seq), bytes);
    else segment.push(bytes);
    if (segment.length > 0 && (segment.length === SEGMENT || seq === total - TAIL)) {
      put(archiveKey({ from: start.seq + 1, to: seq }), encodeSegment(start, segment));
      put(floorKey(seq), `{"last_hash":"${state.head}"}\n`);
      start = state;
      segment = [];
    }
  }
  return state;
}
