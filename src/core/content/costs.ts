// What AWS says of money: spend, forecasts, anomalies, list prices. Amounts are whole micros of a currency, so that sums are
// exact. The last day's figures are incomplete, and the end of a period is exclusive.

import { type ErrorCode, OpsError } from "../errors.js";

/** Cost Explorer's price of a request and of every further page of it. Calls that fail are not billed. */
export const PRICE_PER_REQUEST_USD = 0.01;

export type CostMetric = "UnblendedCost" | "AmortizedCost" | "NetUnblendedCost" | "NetAmortizedCost" | "BlendedCost";

export type SpendGroup =
  | { readonly by: "service" | "account" | "region" | "usageType" }
  | { readonly by: "tag"; readonly tagKey: string };

/** All that are given must hold; the values of one are alternatives. */
export interface SpendFilter {
  readonly services?: readonly string[];
  readonly accounts?: readonly string[];
  readonly regions?: readonly string[];
  readonly usageTypes?: readonly string[];
  readonly tag?: { readonly key: string; readonly values: readonly string[] };
  readonly withoutCredits?: boolean;
}

export interface Period {
  /** YYYY-MM-DD, UTC. */
  readonly start: string;
  /** The first day that is not part of it. */
  readonly end: string;
}

export interface SpendQuery extends Period {
  readonly granularity: "DAILY" | "MONTHLY";
  readonly metric: CostMetric;
  /** None, one or two. */
  readonly groupBy: readonly SpendGroup[];
  readonly filter: SpendFilter;
}

/** A type alias, not an interface: what is cached is JSON. */
export type Spend = {
  /** `null` where AWS named no amount at all. */
  readonly currency: string | null;
  readonly periods: readonly {
    readonly start: string;
    readonly end: string;
    /** AWS says that it may still change. */
    readonly estimated: boolean;
    readonly groups: readonly { readonly keys: readonly string[]; readonly micros: number }[];
  }[];
  /** What AWS calls a key, where it names it otherwise: accounts. */
  readonly labels: { readonly [key: string]: string };
};

export interface ForecastQuery extends Period {
  readonly granularity: "DAILY" | "MONTHLY";
  readonly metric: CostMetric;
  readonly filter: SpendFilter;
  /** Percent of confidence that the interval stands for. */
  readonly confidence: number;
}

export type Forecast = {
  readonly currency: string | null;
  readonly micros: number;
  readonly periods: readonly {
    readonly start: string;
    readonly end: string;
    readonly mean: number;
    readonly low?: number;
    readonly high?: number;
  }[];
};

export interface AnomalyQuery extends Period {
  readonly leastImpact?: number;
  readonly monitorArn?: string;
}

export type CostAnomaly = {
  readonly anomalyId: string;
  readonly start?: string;
  readonly end?: string;
  readonly monitorArn: string;
  readonly dimensionValue?: string;
  readonly totalImpact: number;
  readonly maxImpact: number;
  readonly actualSpend?: number;
  readonly expectedSpend?: number;
  readonly impactPercent?: number;
  readonly maxScore?: number;
  readonly currentScore?: number;
  readonly feedback?: string;
  readonly rootCauses: readonly {
    readonly service?: string;
    readonly region?: string;
    readonly account?: string;
    readonly accountName?: string;
    readonly usageType?: string;
    readonly contribution?: number;
  }[];
};

/** Each read says what it cost as soon as AWS has answered, so that a failure on a later page does not hide it. */
export type Billed = (usd: number) => void;

/** Cost Explorer of the account's partition, every page read; one request at a time, for it refuses bursts. */
export interface CostReader {
  spend(query: SpendQuery, billed: Billed): Promise<Spend>;
  /** `null`: AWS says that there is not enough history to tell. */
  forecast(query: ForecastQuery, billed: Billed): Promise<Forecast | null>;
  anomalies(query: AnomalyQuery, billed: Billed): Promise<readonly CostAnomaly[]>;
  /** How many anomaly monitors there are: without one nothing is looked for. */
  monitors(billed: Billed): Promise<number>;
}

/** An on-demand list price: `micros` a unit, exact in `price`. */
export type ListPrice = {
  readonly sku: string;
  readonly unit: string;
  readonly currency: string;
  /** As AWS writes it. */
  readonly price: string;
  /** Where it begins and ends: a price of one tier begins at 0 and ends at "Inf". */
  readonly from: string;
  readonly to: string;
  readonly attributes: { readonly [name: string]: string };
};

/** The prices, or why they are not known: an estimate says so and goes on. */
export type PriceAnswer =
  | { readonly prices: readonly ListPrice[] }
  | { readonly unknown: { readonly code: ErrorCode; readonly action?: string } };

export interface PriceReader {
  /** On-demand prices of the products with all of these attributes; free of charge. */
  products(serviceCode: string, attributes: Readonly<Record<string, string>>): Promise<PriceAnswer>;
}

/**
 * An amount as AWS writes it, in whole micros.
 * @example microsOf("12.3456789") // 12345679
 */
export function microsOf(amount: string | number | undefined): number {
  const value = Math.round(Number(amount ?? Number.NaN) * 1e6);
  if (Number.isSafeInteger(value)) return value === 0 ? 0 : value;
  throw new OpsError(
    "aws_unavailable",
    "AWS answered an amount that is no number, so nothing is said of it. Call again.",
  );
}

/** @example amountOf(12345679) // 12.345679 */
export const amountOf = (micros: number): number => micros / 1e6;

const DAY_MS = 86_400_000;

/** @example dayOf(new Date("2026-11-21T23:00:00Z"), -1) // "2026-11-20" */
export const dayOf = (at: Date | string, days = 0): string =>
  new Date((typeof at === "string" ? Date.parse(at) : at.getTime()) + days * DAY_MS).toISOString().slice(0, 10);

export const daysIn = ({ start, end }: Period): number => (Date.parse(end) - Date.parse(start)) / DAY_MS;

/** @example isDay("2026-02-30") // false */
export const isDay = (text: string): boolean => {
  const at = Date.parse(`${text}T00:00:00Z`);
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(at) && new Date(at).toISOString().startsWith(text);
};

/** The days of a period whose figures AWS has not finished: its data is up to a day late, so yesterday is among them. */
export const unfinishedDays = ({ start, end }: Period, now: Date): string[] =>
  [dayOf(now, -1), dayOf(now)].filter((day) => day >= start && day < end);
