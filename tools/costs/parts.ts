// What the cost tools have in common: the days, filters and metrics they take, and how they show amounts.

import { z } from "zod";
import {
  amountOf,
  type CostMetric,
  dayOf,
  isDay,
  type Period,
  type Spend,
  type SpendFilter,
  unfinishedDays,
} from "../../src/core/content/costs.js";
import { decodeCursor, encodeCursor } from "../../src/core/cursor.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import { percentOf } from "./groups.js";

export const MOST_MOVERS = 5;
/** A series of more days would not fit an answer. */
export const MOST_DAYS_IN_SERIES = 92;
/** What Cost Explorer keeps: by day, and by month where the account has that. */
const MONTHS_KEPT = 38;

export const Day = z.string().refine(isDay, "must be a day, YYYY-MM-DD");
export const PERIOD = {
  start: Day.optional().describe("Default 30 days ago"),
  end: Day.optional().describe("Exclusive; default today"),
};
const Names = z.array(z.string().min(1).max(1024)).min(1).optional();
export const FILTERS = {
  services: Names.describe("As Cost Explorer names them"),
  accounts: z
    .array(z.string().regex(/^\d{12}$/, "must be 12 digits"))
    .min(1)
    .optional(),
  regions: Names,
  withoutCredits: z.boolean().default(false).describe("Nor refunds"),
};
export const TagKey = z.string().min(1).max(128);
export const TagValues = z.array(z.string().max(256)).min(1).optional();
export const Metric = z.enum(["unblended", "amortized", "netUnblended", "netAmortized"]).default("unblended");
export const FORCE = { forceRefresh: z.boolean().default(false) };
export const PAGE = { limit: z.number().int().min(1).max(100).default(20), cursor: z.string().optional() };

export const METRICS: Readonly<Record<z.infer<typeof Metric>, CostMetric>> = {
  unblended: "UnblendedCost",
  amortized: "AmortizedCost",
  netUnblended: "NetUnblendedCost",
  netAmortized: "NetAmortizedCost",
};

/** What every answer through the cache says. */
export const FACTS = {
  source: z.enum(["live", "cache", "mixed"]),
  age_seconds: z.number(),
  api_cost_usd: z.number(),
};

export const wrong = (field: string, message: string): OpsError =>
  new OpsError("validation_error", `${field}: ${message}.`, { field });

/** The first day that every account's Cost Explorer still has; more is kept only where the payer asked for it. */
const MONTHS_EVERYBODY_HAS = 13;

/** Of the month so many months on. */
export const firstOfMonth = (now: Date, months: number): string =>
  dayOf(new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months, 1)));

export const surelyKeptFrom = (now: Date): string => firstOfMonth(now, -MONTHS_EVERYBODY_HAS);

/** The days that are asked for. @throws OpsError validation_error naming the field */
export function periodOf({ start, end }: { start?: string | undefined; end?: string | undefined }, now: Date): Period {
  const period = { start: start ?? dayOf(end ?? now, -30), end: end ?? dayOf(now) };
  if (period.start >= period.end) throw wrong("end", "is exclusive, so it must be a later day than start");
  if (period.start > dayOf(now)) throw wrong("start", "lies in the future; for that use costs.forecast");
  if (period.end > dayOf(now, 1))
    throw wrong("end", "is at most tomorrow, which is exclusive; for the future use costs.forecast");
  if (period.start < firstOfMonth(now, -MONTHS_KEPT))
    throw wrong("start", `lies more than ${MONTHS_KEPT} months back, which Cost Explorer does not keep`);
  return period;
}

export const filterIn = (
  {
    services,
    accounts,
    regions,
    withoutCredits,
  }: {
    readonly services?: readonly string[] | undefined;
    readonly accounts?: readonly string[] | undefined;
    readonly regions?: readonly string[] | undefined;
    readonly withoutCredits: boolean;
  },
  tag?: SpendFilter["tag"],
): SpendFilter => ({
  ...(services && { services }),
  ...(accounts && { accounts }),
  ...(regions && { regions }),
  ...(tag && { tag }),
  ...(withoutCredits && { withoutCredits }),
});

/** The answer's region is where it was asked; what it covers is this. */
export const COVERAGE = { coverage: z.enum(["all regions", "the regions asked for"]) };
export const coverageOf = (regions: readonly string[] | undefined): JsonObject => ({
  coverage: regions ? "the regions asked for" : "all regions",
});

/** What is said of figures that are not final. */
export function quality(spend: Spend, period: Period, now: Date): JsonObject {
  const days = unfinishedDays(period, now);
  return {
    estimated: spend.periods.some(({ estimated }) => estimated),
    unfinishedDays: days,
    ...(days.length > 0 && {
      note: "Cost Explorer is up to a day late: the figures of these days, and so the total, will still grow.",
    }),
  };
}

/** Where a page begins. To be called before anything is asked of AWS: a wrong cursor must not cost. */
export const offsetOf = (cursor: string | undefined, question: JsonObject, now: Date): number =>
  cursor === undefined ? 0 : Number(decodeCursor(cursor, question, now));

/** One page of a list that is known whole. */
export function pageOf<T>(
  all: readonly T[],
  {
    from,
    limit,
    question,
    now,
  }: {
    readonly from: number;
    readonly limit: number;
    readonly question: JsonObject;
    readonly now: Date;
  },
): { readonly items: readonly T[]; readonly rest: readonly T[]; readonly next: { readonly nextCursor?: string } } {
  const end = from + limit;
  return {
    items: all.slice(from, end),
    rest: [...all.slice(0, from), ...all.slice(end)],
    next: end < all.length ? { nextCursor: encodeCursor(String(end), question, now) } : {},
  };
}

export const seriesOf = ({ periods }: Spend): JsonObject[] =>
  periods.map(({ start, end, estimated, groups }) => ({
    start,
    end,
    amount: amountOf(groups.reduce((sum, { micros }) => sum + micros, 0)),
    ...(estimated && { estimated }),
  }));

export const Share = z.object({
  key: z.string(),
  name: z.string().optional(),
  amount: z.number(),
  percent: z.number().optional(),
});
export const Shown = z.object({ start: z.string(), end: z.string(), days: z.number() });
/** What of the figures may still change. */
export const Quality = z.object({
  estimated: z.boolean(),
  unfinishedDays: z.array(z.string()),
  note: z.string().optional(),
});
export const NotShown = z.object({ count: z.number(), amount: z.number() });

export function shareView(key: string, micros: number, total: number, name?: string): JsonObject {
  const percent = percentOf(micros, total);
  return {
    key,
    ...(name !== undefined && { name }),
    amount: amountOf(micros),
    ...(percent !== undefined && { percent }),
  };
}
