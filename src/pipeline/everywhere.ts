// One question to all regions of an account: each is asked by itself, within bounds, and the answers become one of the
// same shape. A region that could not be read is named; it is never "nothing there".

import type { Call, Outcome, Regions, ShownIn } from "../core/call.js";
import type { Layer } from "../core/compose.js";
import { decodeCursor, encodeCursor } from "../core/cursor.js";
import { OpsError } from "../core/errors.js";
import { inTime, LATE } from "../core/in-time.js";
import { isObject, type Json, type JsonObject, sameJson } from "../core/json.js";
import type { Clock } from "../core/ports.js";
import { EVERYWHERE, type Everywhere } from "../core/tool.js";

export interface EverywhereDeps {
  readonly clock: Clock;
}

const AT_ONCE = 8;
const REGION_TIME_MS = 10_000;
/** Rows of one answer, where the tool has no limit of its own. */
const MOST_ROWS = 25;

/** Where the next answer goes on: a region, and the tool's own cursor within it. */
interface Position {
  readonly region: string;
  readonly cursor?: string;
}

/** What one region answered; an OpsError where it could not be read. */
interface Answer {
  readonly region: string;
  readonly outcome: (Outcome & { status: "ok" }) | OpsError;
}

export const everywhere =
  ({ clock }: EverywhereDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    const { tool, name } = call.entry!;
    if (!call.everywhere || tool.kind !== "read" || !tool.everywhere) return next(call);
    const { cursor, region: _, ...question } = call.input!;
    const asked = { question, tool: name, account: call.aws!.account, region: EVERYWHERE };
    const from = cursor === undefined ? undefined : positionOf(decodeCursor(String(cursor), asked, call.at));
    const limit = typeof question.limit === "number" ? question.limit : MOST_ROWS;
    const ask = (one: Position): Promise<Answer> => askRegion(call, call.everywhere!, one, question, next, clock);

    const regions = from ? call.everywhere.names.filter((region) => region >= from.region) : call.everywhere.names;
    const answers: Answer[] = [];
    let packed = pack(answers, tool.everywhere, limit);
    // The first answer counts every region; those that continue it ask only as many as they can show.
    const batch = from ? AT_ONCE : regions.length;
    for (let begin = 0; begin < regions.length && !packed.rest; begin += batch) {
      const places = regions.slice(begin, begin + batch).map((region) => (region === from?.region ? from : { region }));
      answers.push(
        ...(await inTurns(places, ask, (done) =>
          call.context.progress("asking regions", begin + done, regions.length),
        )),
      );
      packed = pack(answers, tool.everywhere, limit);
    }
    const failed = answers.filter((one): one is Answer & { outcome: OpsError } => one.outcome instanceof OpsError);
    if (failed.length > 0 && failed.length === answers.length) throw allFailed(failed);
    const places = packed.shown.map(
      ({ region, outcome: { seen = [], beside = [], listed = [], complete = false } }): ShownIn => ({
        region,
        seen,
        beside,
        listed,
        complete,
        arguments: { ...question, region },
      }),
    );
    return {
      status: "ok",
      data: {
        ...merged(answers, packed, tool.everywhere, from ? (tool.everywhere.once ?? []) : []),
        ...(packed.rest ? { nextCursor: encodeCursor(JSON.stringify(packed.rest), asked, call.at) } : {}),
      },
      seen: places.flatMap(({ seen }) => seen),
      places,
    };
  };

const positionOf = (text: string): Position => JSON.parse(text) as Position;

async function askRegion(
  call: Call,
  regions: Regions,
  { region, cursor }: Position,
  question: JsonObject,
  next: (call: Call) => Promise<Outcome>,
  clock: Clock,
): Promise<Answer> {
  const answer = (async () => {
    const aws = await regions.reader(region);
    const input = { ...question, region, ...(cursor === undefined ? {} : { cursor }) };
    const { everywhere: _, ...alone } = call;
    const outcome = await next({ ...alone, input, aws });
    return outcome.status === "ok" ? outcome : "error" in outcome ? outcome.error : unreadable();
  })().catch(asValue);
  const outcome = await inTime(answer, REGION_TIME_MS, clock);
  return { region, outcome: outcome === LATE ? silent() : outcome };
}

function asValue(error: unknown): OpsError {
  if (error instanceof OpsError) return error;
  throw error;
}

const silent = (): OpsError =>
  new OpsError("aws_unavailable", `The region did not answer within ${REGION_TIME_MS / 1_000} s.`);

const unreadable = (): OpsError => new OpsError("internal", "A read answered with something other than data.");

/** Results in the given order, so many at once. */
async function inTurns<T, R>(
  all: readonly T[],
  work: (one: T) => Promise<R>,
  progress: (done: number) => void,
): Promise<R[]> {
  const results: R[] = [];
  let begun = 0;
  let done = 0;
  const worker = async (): Promise<void> => {
    while (begun < all.length) {
      const mine = begun++;
      results[mine] = await work(all[mine]!);
      progress(++done);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, all.length) }, worker));
  return results;
}

interface Packed {
  readonly shown: readonly { readonly region: string; readonly outcome: Outcome & { status: "ok" } }[];
  /** What the next answer begins with; absent where everything that was read is shown. */
  readonly rest?: Position;
}

/** Whole pages in the order of their regions, as long as they fit; the first one always does. */
function pack(answers: readonly Answer[], { rows }: Everywhere, limit: number): Packed {
  const shown: { region: string; outcome: Outcome & { status: "ok" } }[] = [];
  let room = limit;
  for (const { region, outcome } of answers) {
    if (outcome instanceof OpsError) continue;
    const count = rowsOf(outcome.data, rows).length;
    if (count > room && room < limit) return { shown, rest: { region } };
    shown.push({ region, outcome });
    room -= count;
    const { nextCursor } = outcome.data;
    if (typeof nextCursor === "string") return { shown, rest: { region, cursor: nextCursor } };
  }
  return { shown };
}

const rowsOf = (data: JsonObject, name: string): readonly Json[] => {
  const rows = data[name];
  return Array.isArray(rows) ? rows : [];
};

function merged(
  answers: readonly Answer[],
  { shown }: Packed,
  { rows, sum: sums }: Everywhere,
  unsaid: readonly string[],
): JsonObject {
  const sum = sums.filter((name) => !unsaid.includes(name));
  const read = answers.flatMap(({ region, outcome }) =>
    outcome instanceof OpsError ? [] : [{ region, data: outcome.data }],
  );
  const isShown = new Set(shown.map(({ region }) => region));
  const names = [...new Set(read.flatMap(({ data }) => Object.keys(data)))].filter(
    (name) => name !== rows && name !== "nextCursor" && !sum.includes(name) && !unsaid.includes(name),
  );
  const common = names.filter((name) =>
    read.every(({ data }) => sameJson(data[name] ?? null, read[0]!.data[name] ?? null)),
  );
  const own = names.filter((name) => !common.includes(name));
  const facts = read.map(({ region, data }) => {
    const count = rowsOf(data, rows).length;
    return {
      region,
      rows: count,
      ...(count > 0 && !isShown.has(region) ? { shown: 0 } : {}),
      ...(data.nextCursor === undefined ? {} : { more: true }),
      ...Object.fromEntries(own.filter((name) => data[name] !== undefined).map((name) => [name, data[name]!])),
    };
  });
  const isEmpty = (fact: JsonObject): boolean => Object.keys(fact).length === 2 && fact.rows === 0;
  const left = (fact: JsonObject): number => (typeof fact.notShown === "number" ? fact.notShown : 0);
  const notShown = facts.reduce((count, fact) => count + (fact.shown === 0 ? fact.rows : 0) + left(fact), 0);
  const failed = answers.flatMap(({ region, outcome }) =>
    outcome instanceof OpsError && outcome.code !== "not_found" ? [{ region, ...failureOf(outcome) }] : [],
  );
  const absent = answers.flatMap(({ region, outcome }) =>
    outcome instanceof OpsError && outcome.code === "not_found" ? [region] : [],
  );
  return {
    ...Object.fromEntries(common.map((name) => [name, read[0]!.data[name] ?? null])),
    ...Object.fromEntries(sum.map((name) => [name, added(read.map(({ data }) => data[name]))])),
    [rows]: shown.flatMap(({ region, outcome }) =>
      rowsOf(outcome.data, rows).map((row) => ({ region, ...(isObject(row) ? row : { value: row }) })),
    ),
    regions: facts.filter((fact) => !isEmpty(fact)),
    emptyRegions: [...facts.filter(isEmpty).map(({ region }) => region), ...absent].sort(),
    ...(failed.length > 0 ? { failedRegions: failed } : {}),
    ...(notShown > 0 ? { notShown } : {}),
  };
}

const failureOf = ({ code, message }: OpsError): JsonObject => ({ code, message });

/** Numbers, or maps of numbers by key. */
function added(values: readonly (Json | undefined)[]): Json {
  const total: Record<string, number> = {};
  let number = 0;
  for (const value of values) {
    if (typeof value === "number") number += value;
    else if (isObject(value)) {
      for (const [key, count] of Object.entries(value)) total[key] = (total[key] ?? 0) + Number(count);
    }
  }
  return values.some(isObject) ? total : number;
}

function allFailed(failed: readonly (Answer & { outcome: OpsError })[]): OpsError {
  // That some regions have none says nothing of those that could not be read.
  const unread = failed.find(({ outcome }) => outcome.code !== "not_found") ?? failed[0]!;
  const { code, message, field, details: all, next } = unread.outcome;
  const { region: _, ...details } = all;
  return new OpsError(code, message, {
    ...(field === undefined ? {} : { field }),
    details: { ...details, failedRegions: failed.map(({ region, outcome }) => ({ region, ...failureOf(outcome) })) },
    next,
  });
}
