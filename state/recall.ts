// What a state leaves to the chain, read back: the commits that hold it, folded once more by the rules that made it.

import type { Change, LineageEntry, ManagedResource, Operation, State } from "../src/core/change.js";
import { ridOf } from "../src/core/change.js";
import { OpsError } from "../src/core/errors.js";
import type { Segment } from "./archive.js";
import type { ChainReader } from "./chain.js";
import { type Commit, decodeCommit, type Event, textOf } from "./events.js";
import { emptyState, fold } from "./fold.js";
import { seqsIn } from "./spill.js";
import { changeId, seqOfChange, seqOfOperation } from "./tokens.js";

/** Segments and commits kept while one question is answered: a plan, its intent and its outcome stand close together. */
const SEGMENTS = 2;
const COMMITS = 3;

export interface Recall {
  /** The whole lineage of a resource, oldest entry first. */
  lineage(state: State, resource: ManagedResource): Promise<readonly LineageEntry[]>;
  /** A state of this change alone: itself, its operations and what they left. Null where the state left no such change. */
  change(state: State, id: string): Promise<State | null>;
}

/** The reader of what was spilled. @throws OpsError `state_unreadable` where the chain does not hold what it should. */
export function recallFrom(chain: Pick<ChainReader, "segmentOf" | "commitBytes" | "highestFloor" | "damaged">): Recall {
  /** One look at the chain: the commits below the head it was begun for, which nothing can change any more. */
  async function look(state: State) {
    const floor = await chain.highestFloor();
    let segments: readonly Segment[] = [];
    let commits: readonly Commit[] = [];

    async function bytesOf(seq: number): Promise<Uint8Array> {
      let found: Uint8Array | null = null;
      if (seq > floor) found = await chain.commitBytes(seq);
      else {
        let segment = segments.find(({ from, to }) => from <= seq && seq <= to) ?? null;
        if (!segment) {
          segment = await chain.segmentOf(seq);
          if (segment) segments = [segment, ...segments].slice(0, SEGMENTS);
        }
        found = segment?.commit(seq) ?? null;
      }
      if (!found) throw missing(seq, "it is gone");
      return found;
    }

    async function commitAt(seq: number): Promise<Commit> {
      const known = commits.find((one) => one.seq === seq);
      if (known) return known;
      const bytes = await bytesOf(seq);
      // It was part of the chain when it was folded; what it follows is looked at by verify.
      const prev = /"prev":"([0-9a-f]{64})"/.exec(textOf(bytes) ?? "")?.[1] ?? "";
      const commit = decodeCommit(bytes, { store: state.store, seq: seq - 1, head: prev });
      if (typeof commit === "string") throw missing(seq, commit);
      commits = [commit, ...commits].slice(0, COMMITS);
      return commit;
    }

    return { bytesOf, commitAt };
  }
  type Look = Awaited<ReturnType<typeof look>>;

  const missing = (seq: number, because: string): OpsError =>
    chain.damaged(`commit ${seq} holds history that cannot be read: ${because}. Nothing was changed; run verify.`, {
      seq,
      because,
    });

  async function plannedAt({ commitAt }: Look, id: string): Promise<{ change: Change; commit: Commit } | null> {
    const seq = seqOfChange(id);
    if (seq === null) return null;
    const commit = await commitAt(seq);
    for (const event of commit.events) {
      if (event.type !== "change.planned" || event.change.id !== id) continue;
      return { change: { ...event.change, state: "planned", operationIds: [] }, commit };
    }
    return null;
  }

  /** The change and the operation behind an outcome, as they stood before it. */
  async function before(at: Look, operationId: string, outcome: Commit): Promise<{ change: Change; op: Operation }> {
    const seq = seqOfOperation(operationId);
    const commit = seq === null ? null : await at.commitAt(seq);
    const intent = commit?.events.find((event) => event.type === "op.intent" && event.operationId === operationId);
    const plan = intent?.type === "op.intent" ? await plannedAt(at, intent.changeId) : null;
    if (!commit || intent?.type !== "op.intent" || !plan) {
      throw missing(outcome.seq, `it ends ${operationId}, and no commit of this number begins it`);
    }
    const token = intent.token ?? (await tokenOf(at, plan.change.id, plan.commit.seq, commit.seq));
    const { host, pid, session } = outcome.actor;
    return {
      change: { ...plan.change, token, state: "applying", operationIds: [operationId] },
      op: {
        id: operationId,
        changeId: plan.change.id,
        step: intent.step,
        clientToken: intent.clientToken,
        // Whoever wrote the outcome had the right to: that was decided when it was committed.
        owner: { ...intent.owner, host, pid, session },
        intentAt: commit.ts,
        resendUntil: intent.resendUntil,
        ...(intent.patch && { patch: intent.patch }),
        state: outcome.events.some(({ type }) => type === "op.resolved") ? "unknown" : "open",
      },
    };
  }

  /** The token stands with the first step: somewhere between the plan and a later step. */
  async function tokenOf(at: Look, id: string, from: number, to: number): Promise<string> {
    for (let seq = from; seq < to; seq++) {
      const text = textOf(await at.bytesOf(seq)) ?? "";
      if (!text.includes(`"${id}"`) || !text.includes('"token":')) continue;
      for (const event of (await at.commitAt(seq)).events) {
        if (event.type === "op.intent" && event.changeId === id && event.token !== undefined) return event.token;
      }
    }
    throw missing(to, `no commit before it spends the token of ${id}`);
  }

  /** What a commit adds to one resource, folded onto what the commits before it added. */
  async function replayed(at: Look, from: State, seq: number, rid: string): Promise<State> {
    const commit = await at.commitAt(seq);
    let state = from;
    for (const event of commit.events) {
      const about = await aboutResource(at, event, commit, rid);
      if (!about) continue;
      // That the event was right was decided when it was committed; only an import needs a resource that is not there.
      const known = { ...state.resources.get(rid)!, deleted: event.type === "resource.imported" };
      const before = { ...state, ...about.with, resources: new Map([[rid, known]]), seq: seq - 1 };
      const next = fold(before, { ...commit, events: [about.event], epoch: 0 });
      if (next instanceof OpsError) throw missing(seq, next.message);
      const resource = next.resources.get(rid);
      if (resource) state = { ...state, resources: new Map([[rid, resource]]) };
    }
    return state;
  }

  type About = { readonly event: Event; readonly with: Partial<State> };

  async function aboutResource(at: Look, event: Event, commit: Commit, rid: string): Promise<About | null> {
    switch (event.type) {
      case "op.succeeded":
      case "op.failed":
      case "op.unknown":
      case "op.parked":
      case "op.resolved": {
        const { change, op } = await before(at, event.operationId, commit);
        return {
          event,
          with: { changes: new Map([[change.id, change]]), operations: new Map([[op.id, op]]) },
        };
      }
      case "resource.imported":
        return ridOf(event.ref) === rid ? { event, with: {} } : null;
      case "drift.accepted":
        return event.rid === rid ? { event, with: {} } : null;
      case "state.manual_edit": {
        const resources = event.resources.filter((one) => one.rid === rid);
        return resources.length > 0 ? { event: { ...event, resources }, with: {} } : null;
      }
      default:
        return null;
    }
  }

  return {
    async lineage(state, resource) {
      const { rid, lineage, lineageSpilled } = resource;
      if (!lineageSpilled) return lineage;
      const at = await look(state);
      const seqs = seqsIn(lineageSpilled);
      // The doubt that first named a resource is replaced by its outcome: what is left may speak of one that nothing made.
      const { lineageSpilled: _, ...bare } = resource;
      const empty = emptyState(state.store, state.created, "");
      let folded: State = { ...empty, resources: new Map([[rid, { ...bare, lineage: [] }]]) };
      for (const seq of seqs) folded = await replayed(at, folded, seq, rid);
      const found = folded.resources.get(rid)?.lineage ?? [];
      if (found.length < lineageSpilled.count) {
        throw missing(seqs.at(-1)!, `${found.length} of the ${lineageSpilled.count} older entries of ${rid} are there`);
      }
      return [...found.slice(0, lineageSpilled.count), ...lineage];
    },

    async change(state, id) {
      const seq = seqOfChange(id);
      if (seq === null || id !== changeId(seq) || seq > (state.spilled?.to ?? 0)) return null;
      const at = await look(state);
      if (!(await plannedAt(at, id))) return null;
      let folded = emptyState(state.store, state.created, "");
      for (let next = seq; next <= state.seq; next++) {
        const names = [id, ...folded.operations.keys()];
        const text = textOf(await at.bytesOf(next)) ?? "";
        if (!names.some((name) => text.includes(`"${name}"`))) continue;
        const commit = await at.commitAt(next);
        for (const event of commit.events) {
          const own =
            event.type === "change.planned"
              ? event.change.id === id
              : ("changeId" in event && event.changeId === id) ||
                ("operationId" in event && folded.operations.has(event.operationId ?? ""));
          if (!own) continue;
          const after = fold({ ...folded, seq: next - 1 }, { ...commit, events: [event], epoch: 0 });
          if (after instanceof OpsError) throw missing(next, after.message);
          folded = after;
        }
        const change = folded.changes.get(id);
        if (change && change.state !== "planned" && change.state !== "applying" && change.state !== "unknown") break;
      }
      return folded;
    },
  };
}
