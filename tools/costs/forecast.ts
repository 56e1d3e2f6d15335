// costs.forecast: AWS's own forecast, and what the running month will come to.

import { z } from "zod";
import {
  amountOf,
  type CostMetric,
  dayOf,
  daysIn,
  type Forecast,
  type SpendFilter,
  type SpendQuery,
} from "../../src/core/content/costs.js";
import type { JsonObject } from "../../src/core/json.js";
import type { ReadPorts } from "../../src/core/ports.js";
import { askSpend, byKey, filterQuestion } from "../../src/core/spend.js";
import { read } from "../../src/core/tool.js";
import { totalOf } from "./groups.js";
import {
  COVERAGE,
  coverageOf,
  Day,
  FACTS,
  FILTERS,
  FORCE,
  filterIn,
  firstOfMonth,
  METRICS,
  Metric,
  Shown,
  wrong,
} from "./parts.js";

export const forecast = read({
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
    ...COVERAGE,
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
    const period = { start, end: until ?? firstOfMonth(now, 1) };
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
        ...coverageOf(input.regions),
        period: shown,
        note: "AWS has too little history of this spend to forecast it. Nothing is estimated instead; look at costs.summary.",
      };
      return { data };
    }
    return {
      data: {
        status: "ok",
        ...coverageOf(input.regions),
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
        // Of a month that is forecast in part only, nothing is said as a whole.
        ...(granularity === "monthly" &&
          period.end >= firstOfMonth(now, 1) &&
          (await thisMonth(ports, value, metric, filter, forceRefresh))),
      },
    };
  },
});

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
  const start = firstOfMonth(ports.now, 0);
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
