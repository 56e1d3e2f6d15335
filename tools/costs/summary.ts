// costs.summary: what was spent, on what, and what drove the change.

import { z } from "zod";
import {
  amountOf,
  dayOf,
  daysIn,
  type Spend,
  type SpendFilter,
  type SpendGroup,
  type SpendQuery,
} from "../../src/core/content/costs.js";
import type { JsonObject } from "../../src/core/json.js";
import type { ReadPorts } from "../../src/core/ports.js";
import { askSpend, byKey, tagValueOf } from "../../src/core/spend.js";
import { read } from "../../src/core/tool.js";
import { largest, movement, moverView, percentOf, totalOf } from "./groups.js";
import {
  COVERAGE,
  coverageOf,
  FACTS,
  FILTERS,
  FORCE,
  filterIn,
  METRICS,
  Metric,
  MOST_DAYS_IN_SERIES,
  MOST_MOVERS,
  NotShown,
  offsetOf,
  PAGE,
  PERIOD,
  pageOf,
  periodOf,
  Quality,
  quality,
  Share,
  Shown,
  seriesOf,
  shareView,
  surelyKeptFrom,
  TagKey,
  TagValues,
  wrong,
} from "./parts.js";

export const summary = read({
  title: "Summarise spend",
  description:
    "Spend of the account (from a management account: of the organization), compared with the previous period of equal length; `drivers` changed most. Today and yesterday are unfinished. AWS bills $0.01 a request: `api_cost_usd`, 0 from the cache. For a tag's values: costs.byTag; for a plan: costs.estimate.",
  scope: "region",
  foreignText: true,
  input: z.object({
    ...PERIOD,
    groupBy: z.enum(["service", "account", "region", "usageType", "tag"]).default("service"),
    tagKey: TagKey.optional().describe("To group by, or to filter with tagValues"),
    tagValues: TagValues,
    ...FILTERS,
    metric: Metric,
    series: z.enum(["none", "daily", "monthly"]).default("none"),
    compare: z.boolean().optional().describe("One more request; default: if surely kept"),
    ...PAGE,
    ...FORCE,
  }),
  output: z.object({
    ...FACTS,
    ...COVERAGE,
    period: Shown,
    currency: z.string().optional(),
    total: z.number(),
    groups: z.array(Share),
    notShown: NotShown,
    dataQuality: Quality,
    notCompared: z.string().optional(),
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
      groupBy: [groupIn(input)],
      filter: filterIn(input, tagFilter(input)),
    };
    const question = { ...query, account: ports.aws.account } as unknown as JsonObject;
    const from = offsetOf(cursor, question, now);
    // A further page is the same figures: nothing is paid for again.
    const refresh = forceRefresh && cursor === undefined;
    const { value: spend } = await askSpend(ports, query, refresh);
    const { micros } = byKey(spend);
    const total = totalOf(micros);
    const { items, rest, next } = pageOf(largest(micros), { from, limit, question, now });
    const keyIn = (key: string) => (input.groupBy === "tag" ? tagValueOf(key, input.tagKey!) : key);
    const nameIn = (key: string) => spend.labels[key] ?? (keyIn(key) === "" ? "untagged" : undefined);
    return {
      data: {
        period: { ...period, days },
        ...coverageOf(input.regions),
        ...(spend.currency !== null && { currency: spend.currency }),
        total: amountOf(total),
        groups: items.map(([key, amount]) => shareView(keyIn(key), amount, total, nameIn(key))),
        notShown: { count: rest.length, amount: amountOf(rest.reduce((sum, [, amount]) => sum + amount, 0)) },
        ...next,
        dataQuality: quality(spend, period, now),
        ...(cursor === undefined && input.series !== "none" && { series: seriesOf(spend) }),
        ...(cursor === undefined &&
          compare !== false &&
          (await comparison(ports, query, spend, keyIn, refresh, compare))),
      },
    };
  },
});

interface Grouping {
  readonly groupBy: "service" | "account" | "region" | "usageType" | "tag";
  readonly tagKey?: string | undefined;
  readonly tagValues?: readonly string[] | undefined;
}

function groupIn({ groupBy: by, tagKey, tagValues }: Grouping): SpendGroup {
  if (by === "tag") {
    if (tagKey === undefined) throw wrong("tagKey", "is required with groupBy tag");
    return { by, tagKey };
  }
  if (tagKey !== undefined && tagValues === undefined) {
    throw wrong("tagKey", "alone changes nothing here: give tagValues to filter by, or groupBy tag");
  }
  return { by };
}

function tagFilter({ tagKey, tagValues }: Grouping): SpendFilter["tag"] {
  if (tagValues === undefined) return undefined;
  if (tagKey === undefined) throw wrong("tagKey", "is required with tagValues");
  return { key: tagKey, values: tagValues };
}

/** The same days before, and what drove the change. */
async function comparison(
  ports: ReadPorts,
  query: SpendQuery,
  spend: Spend,
  keyIn: (key: string) => string,
  forceRefresh: boolean,
  asked: boolean | undefined,
): Promise<JsonObject> {
  const days = daysIn(query);
  const before = { start: dayOf(query.start, -days), end: query.start };
  if (asked === undefined && before.start < surelyKeptFrom(ports.now)) {
    return {
      notCompared:
        "The previous period reaches back over 13 months, which Cost Explorer keeps only where the payer enabled it. With `compare: true` it is asked all the same.",
    };
  }
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
