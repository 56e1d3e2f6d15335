// The read ledger: what this session has been shown, by revision, and what it must be told has changed since.

import { arnOf } from "./core/arns.js";
import type { StaleNotice } from "./core/call.js";
import {
  ABSENCE_CONFIRMED_AFTER_MS,
  parseRid,
  type Revision,
  revisionOf,
  ridOf,
  type Seen,
  type State,
} from "./core/change.js";
import { OpsError } from "./core/errors.js";
import { type Difference, diff, isObject, type Json, type JsonObject, sameJson, valueAt } from "./core/json.js";
import { isOwnType, ownType } from "./core/own-types.js";
import type { Ledger, SeenRecord, SeenShelf, Unordered, Unverified } from "./core/ports.js";
import { differences } from "./core/same.js";
import { cutOffIn } from "./core/shown.js";

interface ReadWith {
  readonly tool: string;
  readonly arguments: JsonObject;
}

interface Entry {
  readonly record: SeenRecord;
  /** What an answer to the caller last showed of it; looks of our own leave it. */
  readonly shown: SeenRecord;
  readonly seq: number;
  readonly readWith: ReadWith;
  /** Grows with every answer and every look: what has the lowest has waited longest for another one. */
  readonly turn: number;
  /** The last look, and the first of those in a row that did not find it; `gone` once that is confirmed. */
  readonly lookedAt?: string;
  readonly missingSince?: string;
  readonly gone?: string;
  readonly unverified?: Unverified;
}

interface ListEntry {
  readonly members: ReadonlyMap<string, Seen>;
  readonly at: string;
  readonly readWith: ReadWith;
  readonly place: Place;
  /** The newest commit when it was read, or when it was last said to be outdated. */
  readonly seq: number;
}

/** Where a list looked. */
interface Place {
  readonly account: string;
  readonly region: string;
}

/** Revisions remembered before the oldest is dropped: a dropped one is "stale", so a read again always mends it. */
const MOST_REVISIONS = 20_000;
const MOST_ENTRIES = 5_000;
const MOST_LISTS = 100;
const MOST_NOTICES = 5;
/** Values of one notice. */
const MOST_VALUES = 10;

export interface Session extends Ledger {
  /** The revision of a content under a commit that touched the resource. */
  revision(seen: Seen, seq: number): Revision;
  /** Records an answer, and says what in it differs from what the session was shown before. */
  see(answer: Shown): StaleNotice[];
  /** What a revision showed, also one that an earlier process on this machine handed out. */
  recall(revision: Revision): Promise<SeenRecord | null>;
  /** What the store has learnt of things this session was shown, from any session; each change is told once. */
  outdated(state: State): StaleNotice[];
  /** The session's own change made these known: the answer that says so is the notice. */
  changed(resources: readonly Seen[], state: State, at: string): Revision[];
  /** What was last known to be true of an account and region before `before`: what has waited longest for a look comes first. */
  due(place: { readonly account: string; readonly region: string }, before: string): SeenRecord[];
  /** The accounts and regions of what was shown. */
  places(): readonly { readonly account: string; readonly region: string }[];
  /** Notices found between calls: the next answer says them first. */
  tellLater(notices: readonly StaleNotice[]): void;
  /** Another look at what was shown: says what changed, what is gone once that is confirmed, and what is back. The record follows. */
  lookedAgain(looks: readonly Look[], state: State, at: string): StaleNotice[];
}

/** One resource looked at again: null where AWS says it does not exist, the failure where nothing was learnt of it. */
export interface Look {
  readonly record: SeenRecord;
  readonly found: JsonObject | null | OpsError;
}

export interface Shown {
  readonly seen: readonly Seen[];
  /** Shown in the answer as well, and not among what it lists. */
  readonly beside?: readonly Seen[];
  /** Rows that are compared with those of the same list, and never with a read. */
  readonly listed?: readonly Seen[];
  readonly complete: boolean;
  readonly state: State;
  readonly at: string;
  readonly readWith: ReadWith;
  readonly place: Place;
}

export interface SessionOptions {
  /** Lists whose order means nothing: AWS may list them otherwise, and nothing has changed. */
  readonly unordered?: Unordered;
  /** This server process: its own changes are told in their own answers. */
  readonly id?: string;
  readonly shelf?: SeenShelf;
  /** Hears of every resource whose shown content is known to be outdated, by its key, as soon as that is known. */
  readonly outdated?: (rid: string) => void;
  /** What a change planned by a tool makes stale: whether it covers a read by another. */
  readonly covers?: (planned: string, read: string) => boolean;
}

/** @example const session = createSession({}); session.see({ seen, complete: true, state, at, readWith }) */
export function createSession({
  unordered = () => [],
  id = "",
  shelf,
  outdated: tell = () => {},
  covers = () => false,
}: SessionOptions): Session {
  const revisions = new Map<Revision, SeenRecord>();
  const entries = new Map<string, Entry>();
  const lists = new Map<string, ListEntry>();
  let turns = 0;

  const keyOf = (seen: Seen): string => `${seen.reader} ${ridOf(seen.ref)}`;
  const seqOf = (seen: Seen, state: State): number => state.resources.get(ridOf(seen.ref))?.revisionSeq ?? 0;

  const moved: MovedSince = (seen, now) => differences(seen.content, now, unordered(seen));
  /** A member of a list with what other answers showed of the same content. */
  const asShown = (member: Seen): Seen => {
    const record = entries.get(keyOf(member))?.record;
    return record && sameJson(record.content, member.content) ? record : member;
  };

  /** `handedOut`: the caller was given the revision, so it may stand in `basedOn`. */
  function remember(seen: Seen, state: State, at: string, readWith: ReadWith, handedOut = true): Revision {
    const revision = revisionOf(seqOf(seen, state), seen.content, unordered(seen));
    const known = revisions.get(revision);
    const { ref, reader, content } = seen;
    const record: SeenRecord = { ref, reader, content, ...shownTogether(known, seen), revision, observedAt: at };
    if (handedOut) {
      revisions.delete(revision);
      revisions.set(revision, record);
      shelf?.keep(record);
    }
    if (revisions.size > MOST_REVISIONS) revisions.delete(revisions.keys().next().value!);
    const shown = handedOut ? record : (entries.get(keyOf(seen))?.shown ?? record);
    entries.delete(keyOf(seen));
    entries.set(keyOf(seen), { record, shown, seq: seqOf(seen, state), readWith, turn: ++turns });
    if (entries.size > MOST_ENTRIES) entries.delete(entries.keys().next().value!);
    return revision;
  }

  let looked = 0;
  const later: StaleNotice[] = [];

  /** Whole answers that a change of another session may have made incomplete, by what its tool makes stale; each told once. */
  function listsOutdated(state: State): StaleNotice[] {
    if (state.seq === looked || lists.size === 0) return [];
    const since = Math.min(...[...lists.values()].map(({ seq }) => seq));
    looked = state.seq;
    const changed = [...state.resources.values()].filter(({ revisionSeq }) => revisionSeq > since);
    return [...lists].flatMap(([key, list]) => {
      const cause = changed.find(({ ref, revisionSeq, lineage }) => {
        const last = lineage.at(-1);
        if (revisionSeq <= list.seq || !last || last.seq !== revisionSeq || !covers(last.tool, list.readWith.tool))
          return false;
        const here = ref.account === list.place.account && [list.place.region, "global"].includes(ref.region);
        return here && state.operations.get(last.operationId)?.owner.session !== id;
      });
      lists.set(key, { ...list, seq: state.seq });
      if (!cause) return [];
      const last = cause.lineage.at(-1)!;
      return [
        {
          what: list.readWith.tool,
          youSaw: { count: list.members.size, observedAt: list.at },
          now: { changedBy: last.tool, by: last.awsSession, resource: cause.rid, at: last.timestamp },
          since: list.at,
          readAgainWith: list.readWith,
        },
      ];
    });
  }

  return {
    entries: () =>
      [...entries.values()].map(({ record, shown, readWith, gone, unverified }) => ({
        ...{ record, shown, readWith, gone: gone !== undefined },
        ...(unverified && { unverified }),
      })),
    seen: (revision) => revisions.get(revision) ?? null,
    recall: async (revision) => revisions.get(revision) ?? (await shelf?.find(revision)) ?? null,
    revision: (seen, seq) => revisionOf(seq, seen.content, unordered(seen)),

    see({ seen, beside = [], listed = [], complete, state, at, readWith, place }) {
      const notices: StaleNotice[] = [];
      const rows = [...seen, ...listed];
      const listKey = `${place.account} ${place.region} ${readWith.tool} ${JSON.stringify(readWith.arguments)}`;
      const before = complete ? lists.get(listKey) : undefined;
      const told = new Set<string>();
      if (before) {
        const members = new Map([...before.members].map(([key, member]) => [key, asShown(member)]));
        const notice = listNotice({ ...before, members }, rows, keyOf, readWith, moved);
        if (notice) {
          notices.push(notice);
          for (const key of before.members.keys()) told.add(key);
        }
      }
      for (const one of [...seen, ...beside]) {
        const old = entries.get(keyOf(one));
        if (old && !told.has(keyOf(one))) {
          const notice = contentNotice(old, one, readWith, moved, state);
          if (notice) notices.push(notice);
          if (notice) tell(ridOf(one.ref));
        }
        remember(one, state, at, readWith);
      }
      if (complete && lists.size >= MOST_LISTS) lists.delete(lists.keys().next().value!);
      if (complete) {
        const members = new Map(rows.map((one) => [keyOf(one), one]));
        lists.set(listKey, { members, at, readWith, place, seq: state.seq });
      }
      return bounded(notices);
    },

    outdated(state) {
      const notices: StaleNotice[] = later.splice(0);
      for (const [key, entry] of entries) {
        const managed = state.resources.get(ridOf(entry.record.ref));
        if (!managed || managed.revisionSeq <= entry.seq) continue;
        entries.set(key, { ...entry, seq: managed.revisionSeq });
        const last = managed.lineage.at(-1);
        if (managed.properties && moved(entry.record, managed.properties).length === 0) continue;
        tell(ridOf(entry.record.ref));
        notices.push({
          what: ridOf(entry.record.ref),
          youSaw: { revision: entry.record.revision, observedAt: entry.record.observedAt },
          now: {
            changedBy: last?.tool ?? "another session",
            ...(last && { by: last.awsSession }),
            at: last?.timestamp ?? managed.baselineAt,
            ...(managed.deleted ? { deleted: true } : {}),
          },
          since: entry.record.observedAt,
          readAgainWith: entry.readWith,
        });
      }
      return bounded([...notices, ...listsOutdated(state)]);
    },

    places() {
      const found = [...entries.values()]
        .map(({ record: { ref } }) => ({ account: ref.account, region: ref.region }))
        .filter(({ region }) => region !== "global");
      return [...new Map(found.map((place) => [`${place.account} ${place.region}`, place])).values()];
    },

    tellLater(notices) {
      later.push(...notices);
    },

    due: ({ account, region }, before) =>
      [...entries.values()]
        .filter(({ record: { ref } }) => ref.account === account && [region, "global"].includes(ref.region))
        .filter(({ record, lookedAt, missingSince }) =>
          missingSince && lookedAt ? lookedAt <= before : record.observedAt < before,
        )
        .sort((a, b) => a.turn - b.turn)
        .map(({ record }) => record),

    lookedAgain(looks, state, at) {
      const notices: StaleNotice[] = [];
      for (const { record, found } of looks) {
        const entry = entries.get(keyOf(record));
        if (entry?.record !== record) continue;
        const { shown, seq, readWith } = entry;
        const what = ridOf(record.ref);
        const next: Entry = { ...entry, turn: ++turns, lookedAt: at };
        const because = found instanceof OpsError ? found.code : "not_found";
        const unverified = entry.unverified ?? { since: at, because };
        if (found instanceof OpsError) {
          entries.set(keyOf(record), { ...next, unverified });
        } else if (found === null) {
          const missingSince = entry.missingSince ?? at;
          const isGone = Date.parse(at) - Date.parse(missingSince) >= ABSENCE_CONFIRMED_AFTER_MS;
          const { unverified: _, ...known } = next;
          entries.set(
            keyOf(record),
            isGone ? { ...known, missingSince, gone: entry.gone ?? at } : { ...next, missingSince, unverified },
          );
          if (!isGone || entry.gone) continue;
          tell(what);
          notices.push({
            what,
            youSaw: { revision: record.revision, observedAt: record.observedAt },
            now: { exists: false, ...authorOfDeletion(state, what) },
            since: record.observedAt,
            readAgainWith: readWith,
          });
        } else {
          const { ref, reader } = record;
          const fresh: Seen = { ref, reader, content: found, ...(record.shown ? { shown: record.shown } : {}) };
          const notice = contentNotice(entry, fresh, readWith, moved, state);
          if (entry.gone) notices.push(backNotice(entry, entry.gone, notice));
          else if (notice) notices.push(notice);
          if (notice || entry.gone) tell(what);
          // A look of ours is not the caller's: the record keeps what was shown, under the time it was last true.
          if (notice) remember(fresh, state, at, readWith, false);
          else
            entries.set(keyOf(record), { record: { ...record, observedAt: at }, shown, seq, readWith, turn: ++turns });
        }
      }
      return bounded(notices);
    },

    changed(resources, state, at) {
      return resources.map((one) => {
        if (entries.has(keyOf(one))) tell(ridOf(one.ref));
        const readWith = entries.get(keyOf(one))?.readWith ?? readerOf(one);
        return remember(one, state, at, readWith);
      });
    },
  };
}

/** The tool that reads one resource. */
export function readerOf(seen: Pick<Seen, "ref" | "reader">): ReadWith {
  const { type, id } = seen.ref;
  const region: JsonObject = seen.ref.region === "global" ? {} : { region: seen.ref.region };
  if (seen.reader === "service" && isOwnType(type)) {
    const [tool, argument] = ownType(type).readWith;
    return { tool, arguments: { [argument]: id, ...region } };
  }
  const arn = seen.reader === "tags" ? arnOf(seen.ref) : null;
  if (arn !== null) return { tool: "tags.validate", arguments: { resource_arns: [arn], ...region } };
  return { tool: "resources.get", arguments: { type, identifier: id, ...region } };
}

/** A list that showed part of a content does not undo that a full read showed all of it, nor a read that pages showed its texts. */
function shownTogether(known: SeenRecord | undefined, seen: Seen): Pick<SeenRecord, "shown" | "cutOff"> {
  const parts = !seen.shown || (known && !known.shown) ? undefined : [...(known?.shown ?? []), ...seen.shown];
  return {
    ...(parts && { shown: [...new Set(parts)] }),
    cutOff: cutOffTogether(known, { ...seen, cutOff: seen.cutOff ?? cutOffIn(seen.content) }),
  };
}

/** What was shown of a text adds up where it is the same text: the same content, listed in the same order. */
function cutOffTogether(
  known: SeenRecord | undefined,
  { content, cutOff }: Required<Pick<Seen, "content" | "cutOff">>,
) {
  if (!known) return cutOff;
  if (!sameJson(known.content, content)) return known.shown || known.cutOff.length > 0 ? cutOff : [];
  return cutOff.flatMap(({ path, shown }) => {
    const before = known.cutOff.find((one) => one.path === path);
    return before ? [{ path, shown: Math.max(shown, before.shown) }] : [];
  });
}

type MovedSince = (seen: Seen, now: JsonObject) => Difference[];

/**
 * The values of a notice. Any difference is told, for rows also show counts and extracts of what they leave out; but "you saw"
 * is said of what was shown alone.
 */
function valuesOf(changes: readonly Difference[], { content, shown }: Seen, now: JsonObject) {
  const within = (path: string): boolean => !shown || shown.some((one) => path === one || path.startsWith(`${one}/`));
  const parts = (shown ?? []).filter((one) => changes.some(({ path }) => one.startsWith(`${path}/`) && !within(path)));
  const seen = [
    ...changes.filter(({ path }) => within(path)),
    ...parts.flatMap((path) => diff(valueAt(content, path), valueAt(now, path), undefined, path)),
  ];
  const all = [...seen, ...changes.filter(({ path }) => !within(path))];
  return { youSaw: sideOf(seen, "before"), now: sideOf(all, "after") };
}

/** What the last look for drift found out of who did it: a read asks nobody, and waits for nobody. */
const driftOf = (state: State, rid: string): JsonObject => {
  const details = state.resources.get(rid)?.drift.details;
  return isObject(details) ? details : {};
};
const isKnown = (by: Json | undefined): by is JsonObject => isObject(by) && by.status === "known";

function authorsOf(state: State, rid: string, changes: readonly Difference[]): { readonly by?: JsonObject } {
  const { differences } = driftOf(state, rid);
  const found = (Array.isArray(differences) ? (differences as readonly Json[]) : []).filter(isObject);
  const by = changes.slice(0, MOST_VALUES).flatMap(({ path, after }): [string, Json][] => {
    const same = found.find((one) => one.path === path && sameJson(one.after ?? null, after ?? null));
    return same && isKnown(same.by) ? [[path, same.by]] : [];
  });
  return by.length > 0 ? { by: Object.fromEntries(by) } : {};
}

function authorOfDeletion(state: State, rid: string): { readonly by?: JsonObject } {
  if (state.resources.get(rid)?.drift.status !== "DELETED") return {};
  const { by } = driftOf(state, rid);
  return isKnown(by) ? { by } : {};
}

function contentNotice(old: Entry, now: Seen, readWith: ReadWith, moved: MovedSince, state: State): StaleNotice | null {
  const changes = moved(old.record, now.content);
  if (changes.length === 0) return null;
  const rid = ridOf(now.ref);
  const values = valuesOf(changes, old.record, now.content);
  return {
    what: rid,
    youSaw: { revision: old.record.revision, values: values.youSaw },
    now: { values: values.now, ...authorsOf(state, rid, changes) },
    since: old.record.observedAt,
    readAgainWith: readWith,
  };
}

/** What was told to be gone is there: again, or after all. */
const backNotice = ({ record, readWith }: Entry, gone: string, changed: StaleNotice | null): StaleNotice => ({
  what: ridOf(record.ref),
  youSaw: { ...changed?.youSaw, exists: false, observedAt: gone },
  now: { ...changed?.now, exists: true },
  since: gone,
  readAgainWith: readWith,
});

function listNotice(
  before: ListEntry,
  seen: readonly Seen[],
  keyOf: (seen: Seen) => string,
  readWith: ReadWith,
  moved: MovedSince,
): StaleNotice | null {
  const now = new Map(seen.map((one) => [keyOf(one), one]));
  const idOf = (key: string): string => parseRid(key).id;
  const gone = [...before.members.keys()].filter((key) => !now.has(key)).map(idOf);
  const added = [...now.keys()].filter((key) => !before.members.has(key)).map(idOf);
  const changed = [...now].flatMap(([key, one]) => {
    const old = before.members.get(key);
    const changes = old ? moved(old, one.content) : [];
    return old && changes.length > 0 ? [{ id: idOf(key), ...valuesOf(changes, old, one.content) }] : [];
  });
  if (gone.length + added.length + changed.length === 0) return null;
  return {
    what: readWith.tool,
    youSaw: { count: before.members.size },
    now: {
      count: now.size,
      ...(gone.length > 0 ? { gone: gone.slice(0, 20) } : {}),
      ...(added.length > 0 ? { added: added.slice(0, 20) } : {}),
      ...(changed.length > 0 ? { changed: changed.slice(0, 20) } : {}),
    },
    since: before.at,
    readAgainWith: readWith,
  };
}

const sideOf = (changes: readonly Difference[], side: "before" | "after"): JsonObject =>
  Object.fromEntries(changes.slice(0, MOST_VALUES).map((change) => [change.path, change[side] ?? null]));

const bounded = (notices: StaleNotice[]): StaleNotice[] =>
  notices.length <= MOST_NOTICES
    ? notices
    : [
        ...notices.slice(0, MOST_NOTICES),
        {
          what: "more",
          youSaw: { count: notices.length - MOST_NOTICES },
          since: notices[MOST_NOTICES]!.since,
          readAgainWith: notices[MOST_NOTICES]!.readAgainWith,
        },
      ];
