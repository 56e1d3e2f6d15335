// The product, broken on purpose: each variant breaks one promise, and the model must notice.

import { OpsError } from "../../src/core/errors.js";
import type { Aws } from "../../src/core/ports.js";
import type { Store } from "../../state/journal.js";
import type { Variant } from "./machine.js";

const reading = (aws: Aws, change: (reader: Awaited<ReturnType<Aws["reader"]>>) => object): Aws => ({
  ...aws,
  reader: async (region) => {
    const reader = await aws.reader(region);
    return { ...reader, ...change(reader) };
  },
});

/** A store whose plans never expire, whatever the answers say. */
function withoutExpiry(store: Store): Store {
  const commit: Store["commit"] = async (build, actor) => {
    const told = new Map<string, string>();
    const made = await store.commit((state, seq) => {
      const events = build(state, seq);
      if (events instanceof OpsError) return events;
      return events.map((event) => {
        if (event.type !== "change.planned") return event;
        told.set(event.change.id, event.change.expiresAt);
        return { ...event, change: { ...event.change, expiresAt: "2099-01-01T00:00:00.000Z" } };
      });
    }, actor);
    const changes = new Map(made.state.changes);
    for (const [id, expiresAt] of told) changes.set(id, { ...changes.get(id)!, expiresAt });
    return { ...made, state: { ...made.state, changes } };
  };
  return new Proxy(store, { get: (of, name) => (name === "commit" ? commit : Reflect.get(of, name)) });
}

/** A store that forgets what failed. */
function withoutFailures(store: Store): Store {
  const commit: Store["commit"] = (build, actor) =>
    store.commit((state, seq) => {
      const events = build(state, seq);
      return events instanceof OpsError ? events : events.filter(({ type }) => type !== "op.failed");
    }, actor);
  return new Proxy(store, { get: (of, name) => (name === "commit" ? commit : Reflect.get(of, name)) });
}

/** Promise broken → the product that breaks it. */
export const VARIANTS: Readonly<Record<string, Variant>> = {
  "a store that forgets its newest commit when it is opened again": { forgetsCommit: true },
  "a gate that does not look at a token's expiry": { store: withoutExpiry },
  "drift that takes a denied read for a deletion": {
    aws: (aws) =>
      reading(aws, (reader) => ({
        content: (...given: Parameters<typeof reader.content>) => reader.content(...given).catch(() => null),
      })),
  },
  "a rollback that undoes other people's changes unasked": {
    arguments: (tool, given) => (tool === "state.rollback" ? { ...given, undoOthers: true } : given),
  },
  "a gate that does not read again before it sends": {
    aws: (aws) => {
      const first = new Map<string, Promise<object | null>>();
      return reading(aws, (reader) => ({
        resource: (type: string, id: string) => {
          const read = reader.resource(type, id);
          first.set(`${type}/${id}`, read);
          return read;
        },
        content: (...[ref, name]: Parameters<typeof reader.content>) => {
          const known = first.get(`${ref.type}/${ref.id}`);
          first.delete(`${ref.type}/${ref.id}`);
          return known ?? reader.content(ref, name);
        },
      }));
    },
  },
  "calls that are sent again under another client token": {
    aws: (aws) => {
      let sent = 0;
      return {
        ...aws,
        writer: (region) => {
          const writer = aws.writer(region);
          return {
            ...writer,
            send: (step, op, signal) => {
              sent++;
              const clientToken = sent % 2 === 0 ? op.clientToken.replace(/^./, "g") : op.clientToken;
              return writer.send(step, { ...op, clientToken }, signal);
            },
          };
        },
      };
    },
  },
  "a store that does not record failures": { store: withoutFailures },
};
