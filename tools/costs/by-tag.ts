// costs.byTag: spend by the values of a tag, the untagged rest apart.

import { z } from "zod";
import { amountOf, daysIn, type Spend, type SpendQuery } from "../../src/core/content/costs.js";
import type { JsonObject } from "../../src/core/json.js";
import { askSpend, byKey, tagValueOf } from "../../src/core/spend.js";
import { read } from "../../src/core/tool.js";
import { largest, percentOf, totalOf } from "./groups.js";
import {
  COVERAGE,
  coverageOf,
  FACTS,
  FILTERS,
  FORCE,
  filterIn,
  METRICS,
  Metric,
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
  shareView,
  TagKey,
  TagValues,
} from "./parts.js";

export const byTag = read({
  title: "Spend by tag value",
  description:
    "Spend by the values of one cost allocation tag, with the untagged rest named apart, optionally split by service, account or region. Only tags activated for cost allocation have figures, and only from their activation on. `end` is exclusive. $0.01 a request unless cached.",
  scope: "region",
  foreignText: true,
  input: z.object({
    tagKey: TagKey,
    tagValues: TagValues.describe("Only these values"),
    ...PERIOD,
    alsoBy: z.enum(["service", "account", "region"]).optional().describe("Splits each value"),
    ...FILTERS,
    metric: Metric,
    ...PAGE,
    ...FORCE,
  }),
  output: z.object({
    ...FACTS,
    ...COVERAGE,
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
    dataQuality: Quality,
    note: z.string().optional(),
    nextCursor: z.string().optional(),
  }),
  async run({ tagKey, tagValues, limit, cursor, forceRefresh, alsoBy, ...input }, ports) {
    const { now } = ports;
    const period = periodOf(input, now);
    const query: SpendQuery = {
      ...period,
      granularity: "MONTHLY",
      metric: METRICS[input.metric],
      groupBy: [{ by: "tag", tagKey }, ...(alsoBy ? [{ by: alsoBy } as const] : [])],
      filter: filterIn(input, tagValues && { key: tagKey, values: tagValues }),
    };
    const question = { ...query, account: ports.aws.account } as unknown as JsonObject;
    const from = offsetOf(cursor, question, now);
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
    const { items, rest, next } = pageOf(largest(totals), { from, limit, question, now });
    const percent = percentOf(untagged, total);
    return {
      data: {
        period: { ...period, days: daysIn(period) },
        ...coverageOf(input.regions),
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
