// Beside a call: another look at what the session was shown a while ago, so that one who never asks again is told too.

import { emptyState } from "../../state/fold.js";
import type { Config } from "../config.js";
import type { Call, Outcome, StaleNotice } from "../core/call.js";
import type { State } from "../core/change.js";
import type { Layer } from "../core/compose.js";
import type { Contents } from "../core/content.js";
import { OpsError } from "../core/errors.js";
import { inTime } from "../core/in-time.js";
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
    const [outcome, looks] = await Promise.all([next(call), lookAgain(call.aws, due, clock)]);
    const answered = outcome.status === "ok" ? [...(outcome.seen ?? []), ...(outcome.beside ?? [])] : [];
    const shown = new Set(answered.map(({ ref }) => JSON.stringify(ref)));
    const others = looks.filter(({ record }) => !shown.has(JSON.stringify(record.ref)));
    const state = await currentState().catch(() => emptyState("", call.at.toISOString(), ""));
    const notices: StaleNotice[] = session.lookedAgain(others, state, call.at.toISOString());
    return notices.length > 0 ? { ...outcome, staleNotices: [...(outcome.staleNotices ?? []), ...notices] } : outcome;
  };

/** Reads what is due, as many at once as AWS allows. A read that fails or is late says nothing about anything but itself. */
export async function lookAgain(
  aws: AwsReader,
  due: readonly SeenRecord[],
  clock: Pick<Clock, "sleep">,
): Promise<Look[]> {
  const groups = new Map<string, SeenRecord[]>();
  for (const record of due) {
    const key = togetherAs(record) ?? `${record.ref.type} ${record.ref.id}`;
    groups.set(key, [...(groups.get(key) ?? []), record]);
  }
  const some = [...groups.values()].slice(0, MOST_READS).map((records) => records.slice(0, MOST_IDS));
  const looks = some.map((records) => failed(records, late()));
  const reads = some.map(async (records, index) => {
    looks[index] = await lookAt(aws, records).catch((error: unknown) => failed(records, asOpsError(error)));
  });
  await inTime(Promise.all(reads), BUDGET_MS, clock);
  return looks.flat();
}

const failed = (records: readonly SeenRecord[], found: OpsError): Look[] =>
  records.map((record) => ({ record, found }));
const late = (): OpsError => new OpsError("timed_out", `Another look took longer than ${BUDGET_MS / 1_000} s.`);
const asOpsError = (error: unknown): OpsError =>
  error instanceof OpsError ? error : new OpsError("internal", "Another look failed.", { cause: error });

async function lookAt(aws: AwsReader, records: readonly SeenRecord[]): Promise<Look[]> {
  const [{ ref, reader }] = records as [SeenRecord, ...SeenRecord[]];
  const type = togetherAs(records[0]!);
  if (type === null) return [{ record: records[0]!, found: await aws.content(ref, reader) }];
  const page = await aws.list(type, { ids: records.map((record) => record.ref.id) });
  if (page.next) return failed(records, new OpsError("aws_unavailable", "AWS answered part of what was asked for."));
  const contents = page.items.map((item) => item as unknown as JsonObject);
  const found = new Map(contents.map((content) => [String(content[ownType(type).id]), content]));
  return records.map((record) => ({ record, found: found.get(record.ref.id) ?? null }));
}
