// Beside a call: another look at what the session was shown a while ago, so that one who never asks again is told too.

import { emptyState } from "../../state/fold.js";
import type { Config } from "../config.js";
import type { Call, Outcome, StaleNotice } from "../core/call.js";
import type { State } from "../core/change.js";
import type { Layer } from "../core/compose.js";
import type { Contents } from "../core/content.js";
import { inTime, LATE } from "../core/in-time.js";
import type { JsonObject } from "../core/json.js";
import { isOwnType, ownType } from "../core/own-types.js";
import type { AwsReader, Clock, SeenRecord } from "../core/ports.js";
import type { Look, Session } from "../session.js";

export interface RevalidateDeps {
  readonly session: Session;
  readonly currentState: () => Promise<State>;
  readonly clock: Clock;
  readonly revalidate: Config["revalidate"];
}

/** What was shown less long ago is taken for known. */
const OLD_AFTER_MS = 5_000;
/** Reads of AWS beside one call, and how long they may take. */
const MOST_READS = 3;
const BUDGET_MS = 1_000;
const MOST_IDS = 100;

/** The type of what AWS lets be looked at many at once, else null. */
const togetherAs = ({ ref, reader }: Pick<SeenRecord, "ref" | "reader">): keyof Contents | null =>
  reader === "service" && isOwnType(ref.type) && ownType(ref.type).many ? ref.type : null;

export const revalidate =
  ({ session, currentState, clock, revalidate: mode }: RevalidateDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    const { tool } = call.entry!;
    if (!call.aws || mode === "off" || (tool.kind === "gate" && tool.changesAws)) return next(call);
    const before = new Date(call.at.getTime() - OLD_AFTER_MS).toISOString();
    const due = session.due(call.aws, before);
    if (due.length === 0) return next(call);
    const [outcome, found] = await Promise.all([
      next(call),
      inTime(
        lookAgain(call.aws, due).catch(() => []),
        BUDGET_MS,
        clock,
      ),
    ]);
    const looks = found === LATE ? [] : found;
    const answered = outcome.status === "ok" ? [...(outcome.seen ?? []), ...(outcome.beside ?? [])] : [];
    const shown = new Set(answered.map(({ ref }) => JSON.stringify(ref)));
    const others = looks.filter(({ record }) => !shown.has(JSON.stringify(record.ref)));
    const state = await currentState().catch(() => emptyState("", call.at.toISOString(), ""));
    const notices: StaleNotice[] = session.lookedAgain(others, state, call.at.toISOString());
    return notices.length > 0 ? { ...outcome, staleNotices: [...(outcome.staleNotices ?? []), ...notices] } : outcome;
  };

/** Reads what is due, as many at once as AWS allows. A read that fails says nothing about anything. */
export async function lookAgain(aws: AwsReader, due: readonly SeenRecord[]): Promise<Look[]> {
  const groups = new Map<string, SeenRecord[]>();
  for (const record of due) {
    const key = togetherAs(record) ?? `${record.ref.type} ${record.ref.id}`;
    groups.set(key, [...(groups.get(key) ?? []), record]);
  }
  const some = [...groups.values()].slice(0, MOST_READS);
  const looks = await Promise.all(some.map((records) => lookAt(aws, records.slice(0, MOST_IDS)).catch(() => [])));
  return looks.flat();
}

async function lookAt(aws: AwsReader, records: readonly SeenRecord[]): Promise<Look[]> {
  const [{ ref, reader }] = records as [SeenRecord, ...SeenRecord[]];
  const type = togetherAs(records[0]!);
  if (type === null) return [{ record: records[0]!, content: await aws.content(ref, reader) }];
  const page = await aws.list(type, { ids: records.map((record) => record.ref.id) });
  if (page.next) return [];
  const contents = page.items.map((item) => item as unknown as JsonObject);
  const found = new Map(contents.map((content) => [String(content[ownType(type).id]), content]));
  return records.map((record) => ({ record, content: found.get(record.ref.id) ?? null }));
}
