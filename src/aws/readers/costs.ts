// Cost Explorer: spend, forecast, anomalies. Every page is read, and every answered request is said with its price.

import type {
  Anomaly,
  Expression,
  GetCostAndUsageResponse,
  GroupDefinition,
  Metric,
  MetricValue,
} from "@aws-sdk/client-cost-explorer";
import {
  type AnomalyQuery,
  type Billed,
  type CostAnomaly,
  type CostMetric,
  type CostReader,
  type Forecast,
  type ForecastQuery,
  microsOf,
  PRICE_PER_REQUEST_USD,
  type Spend,
  type SpendFilter,
  type SpendGroup,
  type SpendQuery,
} from "../../core/content/costs.js";
import { OpsError } from "../../core/errors.js";
import type { Api } from "../api.js";
import { foreign } from "../foreign.js";
import { allPages } from "../pages.js";
import type { Turns } from "../turns.js";
import { present } from "./parts.js";

const DIMENSIONS = {
  service: "SERVICE",
  account: "LINKED_ACCOUNT",
  region: "REGION",
  usageType: "USAGE_TYPE",
} as const;

const FORECAST_METRICS: Readonly<Record<CostMetric, Metric>> = {
  UnblendedCost: "UNBLENDED_COST",
  AmortizedCost: "AMORTIZED_COST",
  NetUnblendedCost: "NET_UNBLENDED_COST",
  NetAmortizedCost: "NET_AMORTIZED_COST",
  BlendedCost: "BLENDED_COST",
};

export interface CostParts {
  /** Cost Explorer's own region; throws where the partition has none. */
  readonly api: () => Api;
  readonly inTurn: Turns;
}

export function costReader({ api, inTurn }: CostParts): CostReader {
  async function ask<T>(billed: Billed, call: () => Promise<T>): Promise<T> {
    const answer = await inTurn(call).catch((error: unknown) => {
      throw inCostWords(error);
    });
    billed(PRICE_PER_REQUEST_USD);
    return answer;
  }

  return {
    async spend(query, billed) {
      const pages = await allPages(
        (token) =>
          ask(billed, () =>
            api().call("ce", "GetCostAndUsage", { ...usageRequest(query), ...(token && { NextPageToken: token }) }),
          ),
        (page) => [page],
        (page) => page.NextPageToken,
      );
      return spendOf(pages, query.metric);
    },

    async forecast(query, billed) {
      try {
        return forecastOf(await ask(billed, () => api().call("ce", "GetCostForecast", forecastRequest(query))));
      } catch (error) {
        if (error instanceof OpsError && error.details.awsCode === "DataUnavailableException") return null;
        throw error;
      }
    },

    async anomalies({ start, end, leastImpact, monitorArn }: AnomalyQuery, billed) {
      const found = await allPages(
        (token) =>
          ask(billed, () =>
            api().call("ce", "GetAnomalies", {
              // Unlike elsewhere, the last day given is part of the period here.
              DateInterval: { StartDate: start, EndDate: end },
              MaxResults: 100,
              ...(leastImpact !== undefined && {
                TotalImpact: { NumericOperator: "GREATER_THAN_OR_EQUAL", StartValue: leastImpact },
              }),
              ...(monitorArn !== undefined && { MonitorArn: monitorArn }),
              ...(token && { NextPageToken: token }),
            }),
          ),
        ({ Anomalies }) => Anomalies,
        ({ NextPageToken }) => NextPageToken,
      );
      return found.map(anomalyOf);
    },

    async monitors(billed) {
      const found = await allPages(
        (token) => ask(billed, () => api().call("ce", "GetAnomalyMonitors", token ? { NextPageToken: token } : {})),
        ({ AnomalyMonitors }) => AnomalyMonitors,
        ({ NextPageToken }) => NextPageToken,
      );
      return found.length;
    },
  };
}

/** What Cost Explorer means by names that mean something else elsewhere. */
function inCostWords(error: unknown): unknown {
  if (!(error instanceof OpsError)) return error;
  const { details, cause } = error;
  const awsMessage = String(details.awsMessage ?? "");
  const said = (code: "not_enabled" | "throttled", message: string) => new OpsError(code, message, { details, cause });
  if (details.awsCode === "LimitExceededException") {
    return said(
      "throttled",
      "Cost Explorer refuses more requests for now; a refused one costs nothing. Call again in a minute.",
    );
  }
  if (error.code === "access_denied" && /not enabled for cost explorer/i.test(awsMessage)) {
    return said(
      "not_enabled",
      "Cost Explorer is not enabled for this account, or its payer keeps it from members, so nothing is known of its costs. Open Cost Explorer once in the billing console of the paying account; the first data takes a day.",
    );
  }
  return error;
}

const dimension = (
  key: (typeof DIMENSIONS)[keyof typeof DIMENSIONS] | "RECORD_TYPE",
  values: readonly string[],
): Expression => ({
  Dimensions: { Key: key, Values: [...values] },
});

/** `undefined` where nothing is filtered: an empty expression is refused. */
export function filterOf({
  services,
  accounts,
  regions,
  usageTypes,
  tag,
  withoutCredits,
}: SpendFilter): Expression | undefined {
  const all: Expression[] = [
    ...(services ? [dimension("SERVICE", services)] : []),
    ...(accounts ? [dimension("LINKED_ACCOUNT", accounts)] : []),
    ...(regions ? [dimension("REGION", regions)] : []),
    ...(usageTypes ? [dimension("USAGE_TYPE", usageTypes)] : []),
    ...(tag ? [{ Tags: { Key: tag.key, Values: [...tag.values] } }] : []),
    ...(withoutCredits ? [{ Not: dimension("RECORD_TYPE", ["Credit", "Refund"]) }] : []),
  ];
  // AWS takes `And` of two and more.
  return all.length > 1 ? { And: all } : all[0];
}

const groupOf = (group: SpendGroup): GroupDefinition =>
  group.by === "tag" ? { Type: "TAG", Key: group.tagKey } : { Type: "DIMENSION", Key: DIMENSIONS[group.by] };

function usageRequest({ start, end, granularity, metric, groupBy, filter }: SpendQuery) {
  const Filter = filterOf(filter);
  return {
    TimePeriod: { Start: start, End: end },
    Granularity: granularity,
    Metrics: [metric],
    ...(groupBy.length > 0 && { GroupBy: groupBy.map(groupOf) }),
    ...(Filter && { Filter }),
  };
}

function forecastRequest({ start, end, granularity, metric, filter, confidence }: ForecastQuery) {
  const Filter = filterOf(filter);
  return {
    TimePeriod: { Start: start, End: end },
    Granularity: granularity,
    Metric: FORECAST_METRICS[metric],
    PredictionIntervalLevel: confidence,
    ...(Filter && { Filter }),
  };
}

/** All pages as one answer. A period may go on from one page to the next. */
function spendOf(pages: readonly GetCostAndUsageResponse[], metric: CostMetric): Spend {
  const currencies = new Set<string>();
  const micros = (values: Readonly<Record<string, MetricValue>> | undefined): number | null => {
    const value = values?.[metric];
    if (value === undefined) return null;
    if (value.Unit) currencies.add(value.Unit);
    return microsOf(value.Amount);
  };
  const periods = new Map<
    string,
    { start: string; end: string; estimated: boolean; groups: Spend["periods"][0]["groups"][0][] }
  >();
  for (const { TimePeriod, Total, Groups = [], Estimated = false } of pages.flatMap(
    ({ ResultsByTime = [] }) => ResultsByTime,
  )) {
    const { Start: start = "", End: end = "" } = TimePeriod ?? {};
    const period = periods.get(start) ?? { start, end, estimated: false, groups: [] };
    periods.set(start, period);
    period.estimated ||= Estimated;
    const total = Groups.length === 0 ? micros(Total) : null;
    if (total !== null) period.groups.push({ keys: [], micros: total });
    for (const { Keys = [], Metrics } of Groups) {
      period.groups.push({ keys: [...Keys], micros: micros(Metrics) ?? 0 });
    }
  }
  if (currencies.size > 1) {
    throw new OpsError(
      "unsupported",
      "These costs are in several currencies, which cannot be added up. Filter by account and ask for each.",
      { field: "accounts", details: { currencies: [...currencies].map((one) => foreign(one, 8)) } },
    );
  }
  const labels = pages
    .flatMap(({ DimensionValueAttributes = [] }) => DimensionValueAttributes)
    .flatMap(({ Value, Attributes }) =>
      Value && Attributes?.description ? [[Value, foreign(Attributes.description)]] : [],
    );
  const [currency] = currencies;
  return { currency: currency ?? null, periods: [...periods.values()], labels: Object.fromEntries(labels) };
}

function forecastOf({
  Total,
  ForecastResultsByTime = [],
}: {
  Total?: MetricValue | undefined;
  ForecastResultsByTime?:
    | readonly {
        TimePeriod?: { Start: string | undefined; End: string | undefined } | undefined;
        MeanValue?: string | undefined;
        PredictionIntervalLowerBound?: string | undefined;
        PredictionIntervalUpperBound?: string | undefined;
      }[]
    | undefined;
}): Forecast {
  return {
    currency: Total?.Unit ?? null,
    micros: microsOf(Total?.Amount),
    periods: ForecastResultsByTime.map((one) => ({
      start: one.TimePeriod?.Start ?? "",
      end: one.TimePeriod?.End ?? "",
      mean: microsOf(one.MeanValue),
      ...(one.PredictionIntervalLowerBound !== undefined && { low: microsOf(one.PredictionIntervalLowerBound) }),
      ...(one.PredictionIntervalUpperBound !== undefined && { high: microsOf(one.PredictionIntervalUpperBound) }),
    })),
  };
}

const text = (value: string | undefined): string | undefined => (value ? foreign(value) : undefined);
const money = (value: number | undefined): number | undefined =>
  value === undefined ? undefined : microsOf(value) / 1e6;

const anomalyOf = (anomaly: Anomaly): CostAnomaly =>
  present<CostAnomaly>({
    anomalyId: foreign(anomaly.AnomalyId),
    start: text(anomaly.AnomalyStartDate),
    end: text(anomaly.AnomalyEndDate),
    monitorArn: foreign(anomaly.MonitorArn, 1024),
    dimensionValue: text(anomaly.DimensionValue),
    totalImpact: money(anomaly.Impact?.TotalImpact) ?? 0,
    maxImpact: money(anomaly.Impact?.MaxImpact) ?? 0,
    actualSpend: money(anomaly.Impact?.TotalActualSpend),
    expectedSpend: money(anomaly.Impact?.TotalExpectedSpend),
    impactPercent: anomaly.Impact?.TotalImpactPercentage,
    maxScore: anomaly.AnomalyScore?.MaxScore,
    currentScore: anomaly.AnomalyScore?.CurrentScore,
    feedback: text(anomaly.Feedback),
    rootCauses: (anomaly.RootCauses ?? []).map((cause) =>
      present<CostAnomaly["rootCauses"][0]>({
        service: text(cause.Service),
        region: text(cause.Region),
        account: text(cause.LinkedAccount),
        accountName: text(cause.LinkedAccountName),
        usageType: text(cause.UsageType),
        contribution: money(cause.Impact?.Contribution),
      }),
    ),
  });
