// Who made a change: CloudTrail asked within a budget, remembered for a while, and never in the way of the answer.

import { authorOf, type Ours, oursOf, windowOf } from "../../state/attribution.js";
import { ridOf, type State } from "../core/change.js";
import { OpsError } from "../core/errors.js";
import { inTime } from "../core/in-time.js";
import { type Difference, digest } from "../core/json.js";
import type { AwsReader, Clock, Log, WhoAsked } from "../core/ports.js";
import type { Attribution, TrailEvent } from "../core/trail.js";

export interface Who {
  /** One answer a change, in the order asked. Never rejects; after `budgetMs` what is not known yet is `pending`. */
  ask(aws: AwsReader, state: State, questions: readonly WhoAsked[], limits: Limits): Promise<Attribution[][]>;
}

export interface Limits {
  readonly budgetMs: number;
  /** Lookups begun; those answered from memory do not count. */
  readonly lookups: number;
}

/** Beside a refusal, and beside a look for drift. */
export const BESIDE_REFUSAL: Limits = { budgetMs: 1_500, lookups: 3 };
export const BESIDE_DRIFT: Limits = { budgetMs: 8_000, lookups: 12 };

/** Events arrive within about this time: a change noticed less long ago may still be on its way. */
const LATE_MS = 15 * 60_000;
/** How long an answer of CloudTrail, a denial, and a failure are taken for what it would say again. */
const KEPT_MS = { events: 30_000, denied: 300_000, failed: 60_000 } as const;
const MOST_KEPT = 500;
const MOST_NOTICED = 5_000;

const pending = (because: string): Attribution => ({ status: "pending", because });
const unknown = (because: string): Attribution => ({ status: "unknown", because });
const NOT_IN_TIME = pending("CloudTrail was not asked or had not answered within the time of this call; ask again");

type Found = { readonly events: readonly TrailEvent[]; readonly complete: boolean } | { readonly failure: Attribution };

/** @example const who = whoChanged({ clock, log }); await who.ask(aws, state, questions, BESIDE_REFUSAL) */
export function whoChanged({ clock, log }: { readonly clock: Clock; readonly log: Log }): Who {
  const kept = new Map<string, { readonly until: number; readonly found: Promise<Found> }>();
  /** Account and place → why CloudTrail is not asked there for now. */
  const shut = new Map<string, { readonly until: number; readonly failure: Attribution }>();
  const noticed = new Map<string, number>();

  function failureOf(error: unknown, place: string): Attribution {
    const code = error instanceof OpsError ? error.code : "internal";
    log(code === "internal" ? "error" : "debug", "CloudTrail did not answer", { code, error });
    if (code === "throttled") return pending("CloudTrail is limiting lookups; ask again");
    const denied = code === "access_denied";
    const failure = unknown(
      denied ? "cloudtrail:LookupEvents denied" : `cloudtrail:LookupEvents not available (${code})`,
    );
    const until = clock.now().getTime() + (denied ? KEPT_MS.denied : KEPT_MS.failed);
    shut.set(place, { until, failure });
    return failure;
  }

  /** One lookup, or what one said a moment ago. `null`: it would be one too many. */
  function look(aws: AwsReader, asked: WhoAsked, name: string, spend: () => boolean): Promise<Found> | null {
    const now = clock.now();
    const { region } = asked.ref;
    const global = region === "global";
    const place = `${aws.account} ${aws.identity.arn} ${region}`;
    const closed = shut.get(place);
    if (closed && closed.until > now.getTime()) return Promise.resolve({ failure: closed.failure });
    const from = windowOf(asked.since);
    const key = `${place} ${from} ${name}`;
    const held = kept.get(key);
    if (held && held.until > now.getTime()) return held.found;
    if (!spend()) return null;
    const elsewhere = global || region === aws.region ? {} : { region };
    const found = aws
      .trail({ name, from, to: now.toISOString(), global, ...elsewhere })
      .catch((error: unknown): Found => {
        kept.delete(key);
        return { failure: failureOf(error, place) };
      });
    kept.delete(key);
    kept.set(key, { until: now.getTime() + KEPT_MS.events, found });
    if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value!);
    return found;
  }

  /** Whether the change was noticed so recently that its event may still come. */
  function isFresh(asked: WhoAsked, change: Difference): boolean {
    const now = clock.now().getTime();
    const key = digest([ridOf(asked.ref), change.path, change.after ?? null]);
    const first = noticed.get(key) ?? now;
    noticed.set(key, first);
    if (noticed.size > MOST_NOTICED) noticed.delete(noticed.keys().next().value!);
    const since = asked.noticedAt === undefined ? first : Math.min(first, Date.parse(asked.noticedAt));
    return now - since < LATE_MS;
  }

  async function answer(
    aws: AwsReader,
    asked: WhoAsked,
    ours: Ours,
    spend: () => boolean,
    say: (answers: readonly Attribution[]) => void,
  ): Promise<void> {
    const events = new Map<string, TrailEvent>();
    let complete = true;
    for (const name of asked.names) {
      const found = await look(aws, asked, name, spend);
      if (found === null || "failure" in found) {
        say(conclude(found === null ? NOT_IN_TIME : found.failure));
        return;
      }
      for (const event of found.events) events.set(event.eventId, event);
      complete &&= found.complete;
      const authors = asked.changes.map((change) => authorOf(change, asked, [...events.values()], ours));
      if (authors.every((author) => author !== null && author.confidence !== "possible")) break;
      // Should the time run out now, this much is known.
      say(conclude(NOT_IN_TIME));
    }
    say(
      conclude(
        complete
          ? null
          : unknown("nothing found in the newest hundred of the calls recorded; CloudTrail has more of that time"),
      ),
    );

    /** What the events say, and for the rest the reason that there is not more. */
    function conclude(otherwise: Attribution | null): Attribution[] {
      return asked.changes.map((change) => {
        const author = authorOf(change, asked, [...events.values()], ours);
        const fresh = isFresh(asked, change);
        if (author) return author;
        if (otherwise) return otherwise;
        return fresh
          ? pending("CloudTrail has recorded nothing that fits yet; events arrive up to 15 minutes late")
          : unknown("nothing recorded that fits");
      });
    }
  }

  return {
    async ask(aws, state, questions, { budgetMs, lookups }) {
      const answers: Attribution[][] = questions.map(({ changes }) => changes.map(() => NOT_IN_TIME));
      let left = lookups;
      let over = false;
      const spend = (): boolean => !over && left-- > 0;
      const all = async (): Promise<void> => {
        for (const [index, asked] of questions.entries()) {
          const ours = oursOf(state, asked.ref, aws.identity.arn);
          await answer(aws, asked, ours, spend, (said) => {
            answers[index] = [...said];
          });
          if (over) return;
        }
      };
      // A lookup that is late goes on: its answer is remembered for whoever asks again.
      const work = all().catch((error: unknown) => log("error", "looking for who made a change failed", { error }));
      await inTime(work, budgetMs, clock);
      over = true;
      return answers.map((said) => [...said]);
    },
  };
}
