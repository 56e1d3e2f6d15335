// costs.anomalies: what AWS found unusual, and whether anything was watched at all.

import { z } from "zod";
import { type CostAnomaly, dayOf, daysIn } from "../../src/core/content/costs.js";
import type { JsonObject } from "../../src/core/json.js";
import { read } from "../../src/core/tool.js";
import { COVERAGE, coverageOf, Day, FACTS, FORCE, offsetOf, PAGE, pageOf, Shown, wrong } from "./parts.js";

const ANOMALY_DAYS = 90;

export const anomalies = read({
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
    ...COVERAGE,
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
    const question = { ...query, account: aws.account } as unknown as JsonObject;
    const from = offsetOf(cursor, question, now);
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
    const { items, next } = pageOf(sorted, { from, limit, question, now });
    return {
      data: {
        ...coverageOf(undefined),
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
