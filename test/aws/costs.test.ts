// Cost Explorer and price list readers: pages become one answer, every answered request is paid for, and what AWS cannot say is
// never a zero.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Api } from "../../src/aws/api.js";
import { homeOf } from "../../src/aws/homes.js";
import { costReader, filterOf } from "../../src/aws/readers/costs.js";
import { priceReader } from "../../src/aws/readers/prices.js";
import { turns } from "../../src/aws/turns.js";
import { isDay, microsOf, type SpendQuery, unfinishedDays } from "../../src/core/content/costs.js";
import { OpsError } from "../../src/core/errors.js";
import { byKey, tagValueOf } from "../../src/core/spend.js";
import { failure } from "./support.js";

type Answer = object | OpsError;

/** An API that gives these answers in turn. */
function scripted(...answers: readonly Answer[]) {
  const asked: { readonly operation: string; readonly input: Record<string, unknown> }[] = [];
  const api = {
    async call(_: string, operation: string, input: Record<string, unknown>) {
      asked.push({ operation, input });
      const answer = answers[asked.length - 1]!;
      if (answer instanceof OpsError) throw answer;
      return answer;
    },
  } as unknown as Api;
  const bills: number[] = [];
  return {
    api,
    asked,
    bills,
    billed: (usd: number) => void bills.push(usd),
    costs: costReader({ api: () => api, inTurn: turns() }),
  };
}

const refused = (awsCode: string, awsMessage = "", code: "aws_rejected" | "access_denied" = "aws_rejected") =>
  new OpsError(code, "no", { details: { awsCode, awsMessage, action: "ce:GetCostAndUsage" } });

const query: SpendQuery = {
  start: "2026-10-01",
  end: "2026-11-01",
  granularity: "MONTHLY",
  metric: "UnblendedCost",
  groupBy: [{ by: "service" }],
  filter: {},
};
const usd = (Amount: string, Unit = "USD") => ({ UnblendedCost: { Amount, Unit } });
const group = (key: string, amount: string, unit?: string) => ({ Keys: [key], Metrics: usd(amount, unit) });
const month = (groups: object[], Estimated = false) => ({
  TimePeriod: { Start: "2026-10-01", End: "2026-11-01" },
  Total: {},
  Groups: groups,
  Estimated,
});

describe("spend", () => {
  it("joins the pages of one period and pays for each of them", async () => {
    const { costs, asked, bills, billed } = scripted(
      { ResultsByTime: [month([group("A", "1.5"), group("B", "0.0000004")])], NextPageToken: "p2" },
      {
        ResultsByTime: [month([group("C", "-2.25")], true)],
        DimensionValueAttributes: [{ Value: "C", Attributes: { description: "see" } }],
      },
    );
    expect(await costs.spend(query, billed)).toEqual({
      currency: "USD",
      periods: [
        {
          start: "2026-10-01",
          end: "2026-11-01",
          estimated: true,
          groups: [
            { keys: ["A"], micros: 1_500_000 },
            { keys: ["B"], micros: 0 },
            { keys: ["C"], micros: -2_250_000 },
          ],
        },
      ],
      labels: { C: "see" },
    });
    expect(bills).toEqual([0.01, 0.01]);
    expect(asked.map(({ input }) => input.NextPageToken)).toEqual([undefined, "p2"]);
  });

  it("however AWS cuts its pages, the answer is the same and its groups are the whole", async () => {
    const amounts = fc.array(fc.integer({ min: -1e9, max: 1e12 }), { minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(amounts, fc.array(fc.integer({ min: 1, max: 39 }), { maxLength: 5 }), async (micros, cuts) => {
        const groups = micros.map((amount, index) => group(`S${index}`, (amount / 1e6).toFixed(10)));
        const edges = [
          0,
          ...[...new Set(cuts)].filter((cut) => cut < groups.length).sort((a, b) => a - b),
          groups.length,
        ];
        const pages = edges.slice(1).map((end, index) => ({
          ResultsByTime: [month(groups.slice(edges[index], end))],
          ...(end < groups.length && { NextPageToken: String(end) }),
        }));
        const { costs, billed, bills } = scripted(...pages);
        const answer = byKey(await costs.spend(query, billed));
        expect(bills).toHaveLength(pages.length);
        expect(Object.values(answer.micros).reduce((a, b) => a + b, 0)).toBe(micros.reduce((a, b) => a + b, 0));
        expect(Object.keys(answer.micros)).toHaveLength(micros.length);
      }),
    );
  });

  it("a total without groups is a group without keys; nothing at all is no currency and no zero invented", async () => {
    const total = { ResultsByTime: [{ TimePeriod: { Start: "2026-10-01", End: "2026-11-01" }, Total: usd("3") }] };
    expect((await scripted(total).costs.spend({ ...query, groupBy: [] }, () => {})).periods[0]!.groups).toEqual([
      { keys: [], micros: 3_000_000 },
    ]);
    expect(await scripted({ ResultsByTime: [month([])] }).costs.spend(query, () => {})).toMatchObject({
      currency: null,
      periods: [{ groups: [] }],
    });
  });

  it("refuses to add up two currencies, and an amount that is none", async () => {
    const two = scripted({ ResultsByTime: [month([group("A", "1"), group("B", "1", "CNY")])] });
    expect(await failure(two.costs.spend(query, two.billed))).toMatchObject({
      code: "unsupported",
      details: { currencies: ["USD", "CNY"] },
    });
    expect(
      (await failure(scripted({ ResultsByTime: [month([group("A", "n/a")])] }).costs.spend(query, () => {}))).code,
    ).toBe("aws_unavailable");
  });

  it("what was paid before a page failed stays said; the failed one costs nothing", async () => {
    const { costs, bills, billed } = scripted(
      { ResultsByTime: [], NextPageToken: "p2" },
      refused("LimitExceededException"),
    );
    expect((await failure(costs.spend(query, billed))).code).toBe("throttled");
    expect(bills).toEqual([0.01]);
  });

  it("a repeated page is an error and not a loop", async () => {
    const page = { ResultsByTime: [], NextPageToken: "p2" };
    expect((await failure(scripted(page, page, page).costs.spend(query, () => {}))).code).toBe("aws_unavailable");
  });

  it("tells an account without Cost Explorer from one that may not ask", async () => {
    const off = scripted(
      refused("AccessDeniedException", "User not enabled for cost explorer access", "access_denied"),
    );
    expect((await failure(off.costs.spend(query, off.billed))).code).toBe("not_enabled");
    const denied = scripted(
      refused("AccessDeniedException", "User is not authorized to perform: ce:X", "access_denied"),
    );
    expect(await failure(denied.costs.spend(query, denied.billed))).toMatchObject({ code: "access_denied" });
    expect([...off.bills, ...denied.bills]).toEqual([]);
  });

  it("asks one request at a time", async () => {
    let running = 0;
    let most = 0;
    const api = {
      async call() {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        running--;
        return { ResultsByTime: [] };
      },
    } as unknown as Api;
    const costs = costReader({ api: () => api, inTurn: turns() });
    await Promise.all([1, 2, 3].map(() => costs.spend(query, () => {})));
    expect(most).toBe(1);
  });

  it("a filter of one part is that part, of several their And, of none nothing", () => {
    expect(filterOf({})).toBeUndefined();
    expect(filterOf({ services: ["S"] })).toEqual({ Dimensions: { Key: "SERVICE", Values: ["S"] } });
    expect(filterOf({ accounts: ["1"], tag: { key: "Team", values: ["a"] }, withoutCredits: true })).toEqual({
      And: [
        { Dimensions: { Key: "LINKED_ACCOUNT", Values: ["1"] } },
        { Tags: { Key: "Team", Values: ["a"] } },
        { Not: { Dimensions: { Key: "RECORD_TYPE", Values: ["Credit", "Refund"] } } },
      ],
    });
  });
});

describe("forecast", () => {
  const ask = { ...query, confidence: 80 };
  it("too little history is an answer, every other refusal an error", async () => {
    expect(await scripted(refused("DataUnavailableException")).costs.forecast(ask, () => {})).toBeNull();
    expect((await failure(scripted(refused("ValidationException")).costs.forecast(ask, () => {}))).code).toBe(
      "aws_rejected",
    );
  });
});

describe("days and amounts", () => {
  it("reads days as days", () => {
    expect(["2026-02-28", "2028-02-29"].every(isDay)).toBe(true);
    expect(["2026-02-29", "2026-2-1", "2026-13-01", "yesterday", ""].some(isDay)).toBe(false);
  });

  it("yesterday and today are unfinished, where they are asked for", () => {
    const now = new Date("2026-11-21T10:00:00Z");
    expect(unfinishedDays({ start: "2026-11-01", end: "2026-11-22" }, now)).toEqual(["2026-11-20", "2026-11-21"]);
    expect(unfinishedDays({ start: "2026-11-01", end: "2026-11-21" }, now)).toEqual(["2026-11-20"]);
    expect(unfinishedDays({ start: "2026-10-01", end: "2026-11-01" }, now)).toEqual([]);
  });

  it("micros are exact where a float is not", () => {
    expect(microsOf("0.1") + microsOf("0.2")).toBe(microsOf("0.3"));
    expect(microsOf("-0.0000001")).toBe(0);
  });

  it("a tag's value is what follows the key, also where either holds a dollar sign", () => {
    expect(tagValueOf("Team$web", "Team")).toBe("web");
    expect(tagValueOf("Team$", "Team")).toBe("");
    expect(tagValueOf("US$ cost$a$b", "US$ cost")).toBe("a$b");
  });
});

describe("services without regions", () => {
  it.each([
    ["aws", "us-east-1", "us-east-1", "us-east-1"],
    ["aws-cn", "cn-northwest-1", "cn-northwest-1", "cn-north-1"],
  ])("of %s answer at home", (partition, ce, pricing, iam) => {
    const arn = `arn:${partition}:iam::123456789012:user/ada`;
    expect([homeOf("ce", arn, "here-1"), homeOf("pricing", arn, "here-1"), homeOf("iam", arn, "here-1")]).toEqual([
      ce,
      pricing,
      iam,
    ]);
  });

  it("GovCloud has no price list, and an unknown partition is asked where the caller is", () => {
    const gov = "arn:aws-us-gov:sts::123456789012:assumed-role/r/s";
    expect(homeOf("ce", gov, "us-gov-east-1")).toBe("us-gov-west-1");
    expect(() => homeOf("pricing", gov, "us-gov-east-1")).toThrow(OpsError);
    expect(homeOf("ce", "arn:aws-eusc:iam::1:user/a", "eusc-de-east-1")).toBe("eusc-de-east-1");
  });
});

describe("prices", () => {
  const product = (terms: object) =>
    JSON.stringify({ product: { sku: "SKU1", attributes: { instanceType: "t3.micro", memory: "1 GiB" } }, terms });
  const dimension = { unit: "Hrs", beginRange: "0", endRange: "Inf", pricePerUnit: { USD: "0.0104000000" } };

  it("reads every page, and on-demand prices only", async () => {
    const { api, asked } = scripted(
      {
        PriceList: [
          product({
            OnDemand: { t: { priceDimensions: { d: dimension } } },
            Reserved: { r: { priceDimensions: { d: dimension } } },
          }),
        ],
        NextToken: "n",
      },
      { PriceList: [product({ Reserved: {} })] },
    );
    expect(await priceReader(() => api).products("AmazonEC2", { instanceType: "t3.micro" })).toEqual({
      prices: [
        {
          sku: "SKU1",
          unit: "Hrs",
          currency: "USD",
          price: "0.0104000000",
          from: "0",
          to: "Inf",
          attributes: { instanceType: "t3.micro" },
        },
      ],
    });
    expect(asked).toHaveLength(2);
  });

  it("a price that may not be read is unknown, and says which action is missing; another failure is one", async () => {
    const denied = scripted(new OpsError("access_denied", "no", { details: { action: "pricing:GetProducts" } }));
    expect(await priceReader(() => denied.api).products("AmazonEC2", {})).toEqual({
      unknown: { code: "access_denied", action: "pricing:GetProducts" },
    });
    const nowhere = priceReader(() => {
      throw new OpsError("unsupported", "no");
    });
    expect(await nowhere.products("AmazonEC2", {})).toEqual({ unknown: { code: "unsupported" } });
    const expired = scripted(new OpsError("credentials_expired", "no"));
    expect((await failure(priceReader(() => expired.api).products("AmazonEC2", {}))).code).toBe("credentials_expired");
  });
});
