// The record's doors for tools: copies, looks, and no way to break a lock, end damage or take an edit over.

import type { Store } from "../state/journal.js";
import { OpsError } from "./core/errors.js";
import type { RecordDoors } from "./core/record.js";

/** Commits a look tells one by one; of more than that only the number is told. */
const MOST_NEWS = 50;

/** @param session this server process, as commits name it */
export function doorsOf(store: Store, session: string): RecordDoors {
  // What this session knows is what the chain was when it was first asked, then what it was told.
  let told: Promise<number> | null = null;
  const seqNow = async (): Promise<number> => (await store.state()).seq;
  const begun = (): Promise<number> => (told ??= seqNow());
  // Asked for once at the start, so that the first look already says what came since; damage is told by the look itself.
  begun().catch(() => {
    told = null;
  });

  return {
    async save() {
      await store.checkpoint();
      const { seq, head } = await store.state();
      return { seq, head };
    },

    async load() {
      const since = await begun().catch(unlessFault);
      const state = await store.reload();
      const after = Math.max(since ?? 0, state.seq - MOST_NEWS);
      const commits = await store.commits(Math.min(after, state.seq), MOST_NEWS);
      // A folder that was replaced by an older one makes nothing new that comes back with the right one.
      told = Promise.resolve(Math.max(since ?? 0, state.seq));
      return {
        seq: state.seq,
        head: state.head,
        resources: [...state.resources.values()].filter(({ deleted }) => !deleted).length,
        readOnly: store.readOnly,
        committed: Math.max(0, state.seq - (since ?? 0)),
        news: commits.map(({ seq, ts, actor, events }) => ({
          seq,
          at: ts,
          user: actor.user,
          host: actor.host,
          client: actor.client,
          own: actor.session === session,
          events: events.map(({ type }) => type),
        })),
      };
    },

    async verify() {
      const report = await store.verify();
      return { report, readOnly: store.readOnly };
    },

    async export() {
      const { file, ...made } = await store.export({ keep: true });
      return { ...made, path: file === null ? null : `${store.location}/${file}`, readOnly: store.readOnly };
    },
  };
}

function unlessFault(error: unknown): null {
  if (error instanceof OpsError) return null;
  throw error;
}
