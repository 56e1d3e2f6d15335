// Costs: what was spent and what drove it, what will be, what was odd, what a plan would change. Cost Explorer bills every
// request, so figures are cached; prices that are not known are never invented.

import { z } from "zod";
import type { Change } from "../src/core/change.js";
import {
  amountOf,
  type CostAnomaly,
  type CostMetric,
  dayOf,
  daysIn,
  type Forecast,
  isDay,
  type Period,
  type PriceAnswer,
  type Spend,
  type SpendFilter,
  type SpendGroup,
  type SpendQuery,
  unfinishedDays,
} from "../src/core/content/costs.js";
import { decodeCursor, encodeCursor } from "../src/core/cursor.js";
import { OpsError } from "../src/core/errors.js";
import type { JsonObject } from "../src/core/json.js";
import type { ReadPorts } from "../src/core/ports.js";
import { askSpend, byKey, filterQuestion, tagValueOf } from "../src/core/spend.js";
import { domain, read } from "../src/core/tool.js";
import { changeOfToken } from "../state/tokens.js";
import { type Bill, type Billed, billOf, billOfItems, HOURS_PER_MONTH } from "./costs/billable.js";
import { largest, movement, moverView, percentOf, totalOf } from "./costs/groups.js";
import { choosePrice } from "./costs/prices.js";

const MOST_MOVERS = 5;
/** A series of more days would not fit an answer. */
const MOST_DAYS_IN_SERIES = 92;
/** What Cost Explorer keeps: by day, and by month where the account has that. */
const MONTHS_KEPT = 38;

const Day = z.string().refine(isDay, "must be a day, YYYY-MM-DD");
const PERIOD = {
  start: Day.optional().describe("First day; default 30 days ago"),
  end: Day.optional().describe("First day after it; default today"),
};
const Names = z.array(z.string().min(1).max(1024)).min(1).max(50).optional();
const FILTERS = {
  services: Names.describe("As Cost Explorer names them"),
  accounts: z
    .array(z.string().regex(/^\d{12}$/, "must be 12 digits"))
    .min(1)
    .max(100)
    .optional(),
  regions: Names,
  tag: z
    .object({ key: z.string().min(1).max(128), values: z.array(z.string().max(256)).min(1).max(50) })
    .optional()
    .describe("Only what bears it"),
  withoutCredits: z.boolean().default(false).describe("Leave out credits and refunds"),
};
const Metric = z.enum(["unblended", "amortized", "netUnblended", "netAmortized"]).default("unblended");
const FORCE = { forceRefresh: z.boolean().default(false).describe("Ask AWS anew, which it bills") };
const PAGE = { limit: z.number().int().min(1).max(100).default(20), cursor: z.string().optional() };

const METRICS: Readonly<Record<z.infer<typeof Metric>, CostMetric>> = {
  unblended: "UnblendedCost",
  amortized: "AmortizedCost",
  netUnblended: "NetUnblendedCost",
  netAmortized: "NetAmortizedCost",
};

/** What every answer through the cache says. */
const FACTS = {
  source: z.enum(["live", "cache", "mixed"]),
  age_seconds: z.number(),
  api_cost_usd: z.number(),
};

const wrong = (field: string, message: string): OpsError =>
  new OpsError("validation_error", `${field}: ${message}.`, { field });

/** The days that are asked for. @throws OpsError validation_error naming the field */
function periodOf({ start, end }: { start?: string | undefined; end?: string | undefined }, now: Date): Period {
  const period = { start: start ?? dayOf(end ?? now, -30), end: end ?? dayOf(now) };
  const oldest = new Date(now);
  oldest.setUTCMonth(oldest.getUTCMonth() - MONTHS_KEPT, 1);
  if (period.start >= period.end) throw wrong("end", "is exclusive, so it must be a later day than start");
  if (period.start > dayOf(now)) throw wrong("start", "lies in the future; for that use costs.forecast");
  if (period.end > dayOf(now, 1))
    throw wrong("end", "is at most tomorrow, which is exclusive; for the future use costs.forecast");
  if (period.start < dayOf(oldest))
    throw wrong("start", `lies more than ${MONTHS_KEPT} months back, which Cost Explorer does not keep`);
  return period;
}

const filterIn = ({
  services,
  accounts,
  regions,
  tag,
  withoutCredits,
}: {
  readonly services?: readonly string[] | undefined;
  readonly accounts?: readonly string[] | undefined;
  readonly regions?: readonly string[] | undefined;
  readonly tag?: { readonly key: string; readonly values: readonly string[] } | undefined;
  readonly withoutCredits: boolean;
}): SpendFilter => ({
  ...(services && { services }),
  ...(accounts && { accounts }),
  ...(regions && { regions }),
  ...(tag && { tag }),
  ...(withoutCredits && { withoutCredits }),
});

/** What is said of figures that are not final. */
function quality(spend: Spend, period: Period, now: Date): JsonObject {
  const days = unfinishedDays(period, now);
  return {
    estimated: spend.periods.some(({ estimated }) => estimated),
    unfinishedDays: days,
    ...(days.length > 0 && {
      note: "Cost Explorer is up to a day late: the figures of these days, and so the total, will still grow.",
    }),
  };
}

/** One page of a list that is known whole. */
function pageOf<T>(
  all: readonly T[],
  { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
  question: JsonObject,
  now: Date,
): { readonly items: readonly T[]; readonly rest: readonly T[]; readonly next: { readonly nextCursor?: string } } {
  const from = cursor ? Number(decodeCursor(cursor, question, now)) : 0;
  const end = from + limit;
  return {
    items: all.slice(from, end),
    rest: [...all.slice(0, from), ...all.slice(end)],
    next: end < all.length ? { nextCursor: encodeCursor(String(end), question, now) } : {},
  };
}

const seriesOf = ({ periods }: Spend): JsonObject[] =>
  periods.map(({ start, end, estimated, groups }) => ({
    start,
    end,
    amount: amountOf(groups.reduce((sum, { micros }) => sum + micros, 0)),
    ...(estimated && { estimated }),
  }));

const Share = z.object({
  key: z.string(),
  name: z.string().optional(),
  amount: z.number(),
  percent: z.number().optional(),
});
const Shown = z.object({ start: z.string(), end: z.string(), days: z.number() });
const NotShown = z.object({ count: z.number(), amount: z.number() });

const summary = read({
  title: "Summarise spend",
  description:
    "Spend of the account (of the organization, asked from its management account) by service, account, region, usage type or tag, compared with the previous period of equal length: `drivers` are what changed most. `end` is exclusive; today and yesterday are unfinished. AWS bills $0.01 a request: `api_cost_usd`, 0 from the cache. For one tag's values use costs.byTag, for plans costs.estimate.",
  scope: "region",
  foreignText: true,
  input: z.object({
    ...PERIOD,
    groupBy: z.enum(["service", "account", "region", "usageType", "tag"]).default("service"),
    tagKey: z.string().min(1).max(128).optional().describe("With groupBy tag"),
    ...FILTERS,
    metric: Metric,
    series: z.enum(["none", "daily", "monthly"]).default("none").describe("Totals over time too"),
    compare: z.boolean().default(true).describe("With the previous period: one more request"),
    ...PAGE,
    ...FORCE,
  }),
  output: z.object({
    ...FACTS,
    period: Shown,
    currency: z.string().optional(),
    total: z.number(),
    groups: z.array(Share),
    notShown: NotShown,
    dataQuality: z.object({ estimated: z.boolean(), unfinishedDays: z.array(z.string()), note: z.string().optional() }),
    previous: z.object({ period: Shown, total: z.number() }).optional(),
    change: z.object({ amount: z.number(), percent: z.number().optional() }).optional(),
    drivers: z
      .array(
        z.object({
          key: z.string(),
          from: z.number(),
          to: z.number(),
          change: z.number(),
          percent: z.number().optional(),
        }),
      )
      .optional(),
    otherChange: z.number().optional(),
    series: z
      .array(z.object({ start: z.string(), end: z.string(), amount: z.number(), estimated: z.boolean().optional() }))
      .optional(),
    nextCursor: z.string().optional(),
  }),
  async run({ limit, cursor, forceRefresh, compare, ...input }, ports) {
    const { now } = ports;
    const period = periodOf(input, now);
    const days = daysIn(period);
    if (input.series === "daily" && days > MOST_DAYS_IN_SERIES) {
      throw wrong("series", `by day is for ${MOST_DAYS_IN_SERIES} days at most; use monthly, or a shorter period`);
    }
    const query: SpendQuery = {
      ...period,
      granularity: input.series === "daily" ? "DAILY" : "MONTHLY",
      metric: METRICS[input.metric],
      groupBy: [groupIn(input.groupBy, input.tagKey)],
      filter: filterIn(input),
    };
    // A further page is the same figures: nothing is paid for again.
    const refresh = forceRefresh && cursor === undefined;
    const { value: spend } = await askSpend(ports, query, refresh);
    const { micros } = byKey(spend);
    const total = totalOf(micros);
    const question = { ...query, account: ports.aws.account } as unknown as JsonObject;
    const { items, rest, next } = pageOf(largest(micros), { limit, cursor }, question, now);
    const keyIn = (key: string) => (input.groupBy === "tag" ? tagValueOf(key, input.tagKey!) : key);
    const nameIn = (key: string) => spend.labels[key] ?? (keyIn(key) === "" ? "untagged" : undefined);
    return {
      data: {
        period: { ...period, days },
        ...(spend.currency !== null && { currency: spend.currency }),
        total: amountOf(total),
        groups: items.map(([key, amount]) => shareView(keyIn(key), amount, total, nameIn(key))),
        notShown: { count: rest.length, amount: amountOf(rest.reduce((sum, [, amount]) => sum + amount, 0)) },
        ...next,
        dataQuality: quality(spend, period, now),
        ...(cursor === undefined && input.series !== "none" && { series: seriesOf(spend) }),
        ...(cursor === undefined && compare && (await comparison(ports, query, spend, keyIn, refresh))),
      },
    };
  },
});

function groupIn(by: "service" | "account" | "region" | "usageType" | "tag", tagKey: string | undefined): SpendGroup {
  if (by !== "tag") {
    if (tagKey !== undefined) throw wrong("tagKey", "is for groupBy tag; to look at what bears a tag use `tag`");
    return { by };
  }
  if (tagKey === undefined) throw wrong("tagKey", "is required with groupBy tag");
  return { by, tagKey };
}

function shareView(key: string, micros: number, total: number, name?: string): JsonObject {
  const percent = percentOf(micros, total);
  return {
    key,
    ...(name !== undefined && { name }),
    amount: amountOf(micros),
    ...(percent !== undefined && { percent }),
  };
}

/** The same days before, and what drove the change. */
async function comparison(
  ports: ReadPorts,
  query: SpendQuery,
  spend: Spend,
  keyIn: (key: string) => string,
  forceRefresh: boolean,
): Promise<JsonObject> {
  const days = daysIn(query);
  const before = { start: dayOf(query.start, -days), end: query.start };
  const { value: previous } = await askSpend(ports, { ...query, ...before, granularity: "MONTHLY" }, forceRefresh);
  if (previous.currency !== null && spend.currency !== null && previous.currency !== spend.currency) {
    return {
      previous: {
        period: { ...before, days },
        currency: previous.currency,
        total: amountOf(totalOf(byKey(previous).micros)),
      },
    };
  }
  const [from, to] = [byKey(previous).micros, byKey(spend).micros];
  const { change, movers, otherChange } = movement(from, to, MOST_MOVERS);
  const percent = percentOf(change, totalOf(from));
  return {
    previous: { period: { ...before, days }, total: amountOf(totalOf(from)) },
    change: { amount: amountOf(change), ...(percent !== undefined && { percent }) },
    drivers: movers.map((mover) => moverView({ ...mover, key: keyIn(mover.key) })),
    otherChange: amountOf(otherChange),
  };
}

const byTag = read({
  title: "Spend by tag value",
  description:
    "Spend by the values of one cost allocation tag, with the untagged rest named apart, optionally split by service, account or region. Only tags activated for cost allocation have figures, and only from their activation on. `end` is exclusive. $0.01 a request unless cached.",
  scope: "region",
  foreignText: true,
  input: z.object({
    tagKey: z.string().min(1).max(128),
    ...PERIOD,
    alsoBy: z.enum(["service", "account", "region"]).optional().describe("Splits each value"),
    ...FILTERS,
    metric: Metric,
    ...PAGE,
    ...FORCE,
  }),
  output: z.object({
    ...FACTS,
    period: Shown,
    currency: z.string().optional(),
    total: z.number(),
    untagged: z.object({ amount: z.number(), percent: z.number().optional() }),
    values: z.array(
      z.object({
        value: z.string(),
        amount: z.number(),
        percent: z.number().optional(),
        by: z.array(Share).optional(),
        byOther: z.number().optional(),
      }),
    ),
    notShown: NotShown,
    dataQuality: z.object({ estimated: z.boolean(), unfinishedDays: z.array(z.string()), note: z.string().optional() }),
    note: z.string().optional(),
    nextCursor: z.string().optional(),
  }),
  async run({ tagKey, limit, cursor, forceRefresh, alsoBy, ...input }, ports) {
    const { now } = ports;
    const period = periodOf(input, now);
    const query: SpendQuery = {
      ...period,
      granularity: "MONTHLY",
      metric: METRICS[input.metric],
      groupBy: [{ by: "tag", tagKey }, ...(alsoBy ? [{ by: alsoBy } as const] : [])],
      filter: filterIn(input),
    };
    const { value: spend } = await askSpend(ports, query, forceRefresh && cursor === undefined);
    const { micros } = byKey(spend);
    const values = new Map<string, Record<string, number>>();
    for (const [joined, amount] of Object.entries(micros)) {
      const [group = "", part = ""] = joined.split("\t");
      const value = tagValueOf(group, tagKey);
      const parts = values.get(value) ?? Object.create(null);
      parts[part] = (parts[part] ?? 0) + amount;
      values.set(value, parts);
    }
    const total = totalOf(micros);
    const untagged = totalOf(values.get("") ?? {});
    values.delete("");
    const totals = Object.fromEntries([...values].map(([value, parts]) => [value, totalOf(parts)]));
    const question = { ...query, account: ports.aws.account } as unknown as JsonObject;
    const { items, rest, next } = pageOf(largest(totals), { limit, cursor }, question, now);
    const percent = percentOf(untagged, total);
    return {
      data: {
        period: { ...period, days: daysIn(period) },
        ...(spend.currency !== null && { currency: spend.currency }),
        total: amountOf(total),
        untagged: { amount: amountOf(untagged), ...(percent !== undefined && { percent }) },
        values: items.map(([value, amount]) => {
          const { key: _, ...share } = shareView(value, amount, total);
          return { value, ...share, ...(alsoBy && partsView(values.get(value)!, amount, spend.labels)) };
        }),
        notShown: { count: rest.length, amount: amountOf(rest.reduce((sum, [, amount]) => sum + amount, 0)) },
        ...next,
        dataQuality: quality(spend, period, now),
        ...(values.size === 0 && {
          note: "No spend bears this tag. It may not be activated as a cost allocation tag (billing console), or was activated after this period; figures appear from activation on.",
        }),
      },
    };
  },
});

/** The largest parts of one value, and what the others come to. */
function partsView(parts: Readonly<Record<string, number>>, total: number, labels: Spend["labels"]): JsonObject {
  const sorted = largest(parts);
  const shown = sorted.slice(0, MOST_MOVERS);
  const other = sorted.slice(MOST_MOVERS).reduce((sum, [, amount]) => sum + amount, 0);
  return {
    by: shown.map(([key, amount]) => shareView(key, amount, total, labels[key])),
    byOther: amountOf(other),
  };
}

const forecast = read({
  title: "Forecast spend",
  description:
    "AWS's own forecast from today on, with the interval it is confident of; by month up to 18 months ahead, by day up to 3. By default this month: with what was spent so far. Says so where the account has too little history. $0.01 a request unless cached.",
  scope: "region",
  foreignText: false,
  input: z.object({
    end: Day.optional().describe("First day after it; default the first of next month"),
    granularity: z.enum(["monthly", "daily"]).default("monthly"),
    confidencePercent: z.number().int().min(51).max(99).default(80),
    ...FILTERS,
    metric: Metric,
    ...FORCE,
  }),
  output: z.object({
    ...FACTS,
    status: z.enum(["ok", "not_enough_data"]),
    period: Shown,
    currency: z.string().optional(),
    forecast: z.number().optional(),
    confidencePercent: z.number().optional(),
    series: z
      .array(
        z.object({
          start: z.string(),
          end: z.string(),
          mean: z.number(),
          low: z.number().optional(),
          high: z.number().optional(),
        }),
      )
      .optional(),
    thisMonth: z.object({ spent: z.number(), forecast: z.number(), expected: z.number(), note: z.string() }).optional(),
    note: z.string().optional(),
  }),
  async run({ end: until, granularity, confidencePercent, forceRefresh, ...input }, ports) {
    const { now } = ports;
    const start = dayOf(now);
    const period = { start, end: until ?? monthsAfter(now, 1) };
    const [most, limit] =
      granularity === "daily" ? ["3 months", sameDayAfter(now, 3)] : ["18 months", sameDayAfter(now, 18)];
    if (period.end <= start)
      throw wrong("end", "must be after today: a forecast begins today, and for the past use costs.summary");
    if (period.end > limit) throw wrong("end", `lies more than ${most} ahead, the most AWS forecasts ${granularity}`);
    const filter = filterIn(input);
    const metric = METRICS[input.metric];
    const query = {
      ...period,
      granularity: granularity === "daily" ? ("DAILY" as const) : ("MONTHLY" as const),
      metric,
      filter,
      confidence: confidencePercent,
    };
    const { ask, sets } = filterQuestion(filter);
    const { filter: _, ...asked } = query;
    const { value } = await ports.cached<Forecast | null>(
      "costs",
      { ask: { forecast: asked, ...ask }, sets, forceRefresh },
      async (billed) => ({ value: await ports.aws.costs.forecast(query, billed), whole: true }),
    );
    const shown = { ...period, days: daysIn(period) };
    if (value === null) {
      const data: JsonObject = {
        status: "not_enough_data",
        period: shown,
        note: "AWS has too little history of this spend to forecast it. Nothing is estimated instead; look at costs.summary.",
      };
      return { data };
    }
    return {
      data: {
        status: "ok",
        period: shown,
        ...(value.currency !== null && { currency: value.currency }),
        forecast: amountOf(value.micros),
        confidencePercent,
        series: value.periods.map(({ start: from, end: to, mean, low, high }) => ({
          start: from,
          end: to,
          mean: amountOf(mean),
          ...(low !== undefined && { low: amountOf(low) }),
          ...(high !== undefined && { high: amountOf(high) }),
        })),
        ...(granularity === "monthly" && (await thisMonth(ports, value, metric, filter, forceRefresh))),
      },
    };
  },
});

const monthsAfter = (now: Date, months: number): string =>
  dayOf(new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months, 1)));

/** The same day so many months on; the first of the month after where that month has none. */
const sameDayAfter = (now: Date, months: number): string =>
  dayOf(new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months, now.getUTCDate())));

/** What the running month will come to: spent so far, and forecast from today on. */
async function thisMonth(
  ports: ReadPorts,
  { periods: [first], currency }: Forecast,
  metric: CostMetric,
  filter: SpendFilter,
  forceRefresh: boolean,
): Promise<JsonObject> {
  const today = dayOf(ports.now);
  const start = monthsAfter(ports.now, 0);
  if (!first || start === today) return {};
  const query: SpendQuery = { start, end: today, granularity: "MONTHLY", metric, groupBy: [], filter };
  const { value } = await askSpend(ports, query, forceRefresh);
  if (value.currency !== null && value.currency !== currency) return {};
  const spent = totalOf(byKey(value).micros);
  return {
    thisMonth: {
      spent: amountOf(spent),
      forecast: amountOf(first.mean),
      expected: amountOf(spent + first.mean),
      note: "Spent until yesterday, whose figures may still grow; forecast from today on.",
    },
  };
}

const ANOMALY_DAYS = 90;

const anomalies = read({
  title: "List cost anomalies",
  description:
    "Spend that AWS's anomaly detection found unusual in the last 90 days, largest impact first, with what it traced each to. Says so if no monitor watches: then nothing was looked for. What was spent: costs.summary. $0.01 a request unless cached.",
  scope: "region",
  foreignText: true,
  input: z.object({
    start: Day.optional().describe("First day; default 90 days ago, the earliest kept"),
    end: Day.optional().describe("First day after it; default tomorrow"),
    minImpact: z.number().min(0).optional().describe("Least total impact, in the bill's currency"),
    ...PAGE,
    ...FORCE,
  }),
  output: z.object({
    ...FACTS,
    period: Shown,
    currency: z.string(),
    count: z.number(),
    totalImpact: z.number(),
    anomalies: z.array(z.record(z.string(), z.unknown())),
    monitors: z.number().optional(),
    note: z.string().optional(),
    nextCursor: z.string().optional(),
  }),
  async run({ start, end, minImpact, limit, cursor, forceRefresh }, ports) {
    const { now, aws } = ports;
    const period = { start: start ?? dayOf(now, -ANOMALY_DAYS), end: end ?? dayOf(now, 1) };
    if (period.start < dayOf(now, -ANOMALY_DAYS))
      throw wrong("start", `lies more than ${ANOMALY_DAYS} days back, which AWS does not keep`);
    if (period.start >= period.end) throw wrong("end", "is exclusive, so it must be a later day than start");
    const query = {
      start: period.start,
      end: dayOf(period.end, -1),
      ...(minImpact !== undefined && { leastImpact: minImpact }),
    };
    const refresh = forceRefresh && cursor === undefined;
    const { value: found } = await ports.cached<readonly CostAnomaly[]>(
      "costs",
      { ask: { anomalies: query }, forceRefresh: refresh },
      async (billed) => ({ value: await aws.costs.anomalies(query, billed), whole: true }),
    );
    const sorted = [...found].sort((a, b) => b.totalImpact - a.totalImpact || (a.anomalyId < b.anomalyId ? -1 : 1));
    const monitors =
      found.length > 0
        ? undefined
        : (
            await ports.cached<number>("costs", { ask: { monitors: true }, forceRefresh: refresh }, async (billed) => ({
              value: await aws.costs.monitors(billed),
              whole: true,
            }))
          ).value;
    const question = { ...query, account: aws.account } as unknown as JsonObject;
    const { items, next } = pageOf(sorted, { limit, cursor }, question, now);
    return {
      data: {
        period: { ...period, days: daysIn(period) },
        currency: aws.identity.arn.startsWith("arn:aws-cn:") ? "CNY" : "USD",
        count: found.length,
        totalImpact: Math.round(found.reduce((sum, { totalImpact }) => sum + totalImpact, 0) * 1e6) / 1e6,
        anomalies: items.map((anomaly) => ({ ...anomaly }) as unknown as JsonObject),
        ...next,
        ...(monitors !== undefined && { monitors }),
        ...(monitors === 0 && {
          note: "No anomaly monitor exists, so nothing was looked for: this is no sign that spend was usual.",
        }),
      },
    };
  },
});

const Item = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("instance"),
    instanceType: z.string().min(1).max(64),
    operatingSystem: z.enum(["Linux", "Windows"]).default("Linux"),
    tenancy: z.enum(["Shared", "Dedicated"]).default("Shared"),
    count: z.number().int().min(-500).max(500).default(1),
  }),
  z.object({
    kind: z.literal("database"),
    instanceClass: z.string().min(1).max(64),
    engine: z.string().min(1).max(64).describe("As RDS names it, such as postgres"),
    multiAz: z.boolean().default(false),
    storageGib: z.number().min(0).max(65_536).optional(),
    storageType: z.enum(["gp2", "gp3", "io1", "io2", "standard"]).default("gp3"),
    count: z.number().int().min(-500).max(500).default(1),
  }),
  z.object({
    kind: z.literal("volume"),
    volumeType: z.enum(["gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"]),
    sizeGib: z.number().min(1).max(65_536),
    count: z.number().int().min(-500).max(500).default(1),
  }),
]);

const estimate = read({
  title: "Estimate a plan's monthly cost",
  description:
    "Monthly cost change of a planned change (`changeId` or `executionToken`), or of `items` you think of (negative count: removed): on-demand list prices for EC2 instances, RDS classes and storage, EBS volumes. What has no known price is in `unknown` with the reason, never guessed. Changes nothing, costs nothing.",
  scope: "region",
  foreignText: false,
  input: z.object({
    changeId: z.string().min(1).max(64).optional(),
    executionToken: z.string().min(1).max(128).optional().describe("Of a plan; it is not spent"),
    items: z.array(Item).min(1).max(20).optional(),
    ...FORCE,
  }),
  output: z.object({
    ...FACTS,
    changeId: z.string().optional(),
    monthlyChange: z.number().optional(),
    currency: z.string().optional(),
    complete: z.boolean(),
    lines: z.array(
      z.object({
        what: z.string(),
        count: z.number(),
        unitPrice: z.string(),
        unit: z.string(),
        unitsEach: z.number(),
        currency: z.string(),
        monthly: z.number(),
      }),
    ),
    unknown: z.array(z.object({ what: z.string(), id: z.string().optional(), because: z.string() })),
    assumptions: z.array(z.string()),
    hoursPerMonth: z.number(),
  }),
  async run({ changeId, executionToken, items, forceRefresh }, ports) {
    const given = [changeId, executionToken, items].filter((one) => one !== undefined);
    if (given.length !== 1) throw wrong("changeId", "give one of changeId, executionToken and items");
    const change = items
      ? undefined
      : plannedChange(ports, changeId ?? changeOfToken(executionToken!), executionToken !== undefined);
    const bill = change
      ? billOf(change.steps, ports.aws.region)
      : billOfItems(items!.flatMap(countedOf), ports.aws.region);
    return {
      data: { ...(change && { changeId: change.id }), ...(await estimated(ports, bill, forceRefresh)) },
    };
  },
});

function plannedChange({ state, aws }: ReadPorts, id: string | undefined, byToken: boolean): Change {
  const change = id === undefined ? undefined : state.changes.get(id);
  const field = byToken ? "executionToken" : "changeId";
  if (change?.account === aws.account && change.region === aws.region) return change;
  const next = [{ tool: "changes.list", arguments: {} }];
  if (!change) {
    throw byToken
      ? new OpsError("unknown_token", "No plan of this store has this execution token.", { field, next })
      : new OpsError("unknown_change", "No change of this store has this id.", { field, next });
  }
  throw new OpsError(
    "identity_mismatch",
    "The change belongs to another account or region than this call; nothing was estimated.",
    {
      field,
      details: { account: change.account, region: change.region },
    },
  );
}

function countedOf(item: z.infer<typeof Item>): { billed: Billed; count: number }[] {
  const { count } = item;
  switch (item.kind) {
    case "instance":
      return [
        {
          billed: {
            kind: item.kind,
            instanceType: item.instanceType,
            operatingSystem: item.operatingSystem,
            tenancy: item.tenancy,
          },
          count,
        },
      ];
    case "database": {
      const { engine, multiAz, storageGib, storageType } = item;
      const database: Billed = { kind: "database", instanceClass: item.instanceClass, engine, multiAz };
      const storage: Billed = { kind: "databaseStorage", storageType, engine, multiAz, gib: storageGib ?? 0 };
      return [{ billed: database, count }, ...(storageGib ? [{ billed: storage, count }] : [])];
    }
    case "volume":
      return [{ billed: { kind: item.kind, volumeType: item.volumeType, gib: item.sizeGib }, count }];
  }
}

/** The bill with prices: each line by its list price, or among what is unknown. */
async function estimated(ports: ReadPorts, bill: Bill, forceRefresh: boolean): Promise<JsonObject> {
  const unknown = [...bill.unknown];
  const lines: {
    what: string;
    count: number;
    unitPrice: string;
    unit: string;
    unitsEach: number;
    currency: string;
    monthly: number;
  }[] = [];
  for (const { what, count, unitsEach, ask } of bill.lines) {
    const { serviceCode, attributes } = ask;
    const { value } = await ports.cached<PriceAnswer>(
      "prices",
      { ask: { serviceCode, attributes }, forceRefresh },
      async () => {
        const answer = await ports.aws.prices.products(serviceCode, attributes);
        return { value: answer, whole: "prices" in answer };
      },
    );
    const chosen = choosePrice(value, ask);
    if ("because" in chosen) unknown.push({ what, because: chosen.because });
    else {
      const { price, currency } = chosen.price;
      const monthly = Math.round(Number(price) * unitsEach * count * 1e4) / 1e4;
      lines.push({ what, count, unitPrice: price, unit: ask.unit, unitsEach, currency, monthly });
    }
  }
  const currencies = new Set(lines.map(({ currency }) => currency));
  const sum = Math.round(lines.reduce((total, { monthly }) => total + monthly, 0) * 1e4) / 1e4;
  const [currency] = currencies;
  const known = unknown.length === 0 || lines.length > 0;
  return {
    ...(known && currencies.size <= 1 && { monthlyChange: sum, ...(currency !== undefined && { currency }) }),
    complete: unknown.length === 0,
    lines,
    unknown: unknown.map((one) => ({ ...one })),
    assumptions: [...bill.assumptions],
    hoursPerMonth: HOURS_PER_MONTH,
  };
}

export const costs = domain("costs", { summary, byTag, forecast, anomalies, estimate }, ["summary"]);
