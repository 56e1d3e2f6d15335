// Costs where no emulator answers (scripted): forecast, anomalies and the price list, in the shapes of AWS's published examples.

import { DescribeImagesCommand, RunInstancesCommand, TerminateInstancesCommand } from "@aws-sdk/client-ec2";
import { CreateDBInstanceCommand } from "@aws-sdk/client-rds";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Assistant } from "../harness.js";
import { PAST_THE_FIRST } from "../past-midnight.js";
import { type Product, startProduct } from "./product.js";
import { type ScriptedAnswer, type ScriptedRequest, startScriptedHttp } from "./scripted-http.js";
import { announced } from "./scripted-rds.js";

const DAY = 86_400_000;

// biome-ignore lint/suspicious/noExplicitAny: read as AWS reads it, without our types
type Script = (input: any) => object;
const script = new Map<string, Script>();
const answer = ({ headers, body }: ScriptedRequest): ScriptedAnswer => {
  const operation = String(headers["x-amz-target"]).split(".")[1]!;
  const said = script.get(operation)?.(JSON.parse(body));
  return said
    ? { status: "__type" in said ? 400 : 200, body: JSON.stringify(said) }
    : { status: 400, body: JSON.stringify({ __type: "ValidationException", message: `not scripted: ${operation}` }) };
};
const [explorer, priceList] = await Promise.all([startScriptedHttp(answer), startScriptedHttp(answer)]);
const product = await startProduct("costs (scripted)", import.meta.url, {
  ce: explorer.endpoint,
  pricing: priceList.endpoint,
});

describe.skipIf(!product)("costs (scripted)", () => {
  const { proxy, outsider, ledger, calls } = (product ?? {}) as Product;
  let assistant: Assistant;
  let today: string;
  const day = (offset: number) => new Date(Date.parse(today) + offset * DAY).toISOString().slice(0, 10);
  const month = (offset: number) =>
    new Date(Date.UTC(Number(today.slice(0, 4)), Number(today.slice(5, 7)) - 1 + offset, 1)).toISOString().slice(0, 10);

  beforeAll(async () => {
    await product!.moto.reset();
    assistant = await product!.start({ args: ["--region", "eu-west-1"], env: PAST_THE_FIRST });
    today = (await assistant.call("session_whoami")).data.asOf.slice(0, 10);
  });
  beforeEach(() => {
    proxy.clear();
    script.clear();
  });
  afterEach(({ task }) => ledger.settle(task));
  afterAll(async () => {
    await product!.close();
    await explorer.stop();
    await priceList.stop();
  });

  describe("forecast", () => {
    const forecast = (Start: string, End: string) => ({
      Total: { Amount: "187.0899247892", Unit: "USD" },
      ForecastResultsByTime: [
        {
          TimePeriod: { Start, End },
          MeanValue: "187.0899247892",
          PredictionIntervalLowerBound: "170.5",
          PredictionIntervalUpperBound: "203.4",
        },
      ],
    });

    it("says what the month will come to: spent so far and forecast from today, each once", async () => {
      script.set("GetCostForecast", () => forecast(today, month(1)));
      script.set("GetCostAndUsage", () => ({
        ResultsByTime: [
          { TimePeriod: { Start: month(0), End: today }, Total: { UnblendedCost: { Amount: "412.5", Unit: "USD" } } },
        ],
      }));
      const { data, isError } = await assistant.call("costs_forecast");
      expect(isError, JSON.stringify(data)).toBe(false);
      expect(data).toMatchObject({
        status: "ok",
        source: "live",
        api_cost_usd: 0.02,
        currency: "USD",
        forecast: 187.089925,
        confidencePercent: 80,
        period: { start: today, end: month(1) },
        series: [{ start: today, mean: 187.089925, low: 170.5, high: 203.4 }],
        thisMonth: { spent: 412.5, forecast: 187.089925, expected: 599.589925 },
      });
      expect(calls("ce", "GetCostForecast")[0]).toMatchObject({
        region: "us-east-1",
        params: {
          TimePeriod: { Start: today, End: month(1) },
          Metric: "UNBLENDED_COST",
          Granularity: "MONTHLY",
          PredictionIntervalLevel: 80,
        },
      });
      expect((await assistant.call("costs_forecast")).data).toMatchObject({ source: "cache", api_cost_usd: 0 });
    });

    it("too little history is said and nothing is invented", async () => {
      script.set("GetCostForecast", () => ({
        __type: "DataUnavailableException",
        message: "Insufficient amount of historical data to generate forecast",
      }));
      const { data, isError } = await assistant.call("costs_forecast", { granularity: "daily", end: day(7) });
      expect(isError).toBe(false);
      expect(data).toMatchObject({ status: "not_enough_data", api_cost_usd: 0 });
      expect(data).not.toHaveProperty("forecast");
    });

    it.each([
      [{ granularity: "daily" }, 100],
      [{}, 600],
      [{}, 0],
    ])("a horizon beyond AWS's is refused before it is asked: %j %i days", async (more, days) => {
      const { data } = await assistant.call("costs_forecast", { ...more, end: day(days) });
      expect(data).toMatchObject({ code: "validation_error", field: "end" });
      expect(calls("ce", "GetCostForecast")).toHaveLength(0);
    });
  });

  describe("anomalies", () => {
    const anomaly = (id: string, impact: number, more: object = {}) => ({
      AnomalyId: id,
      AnomalyStartDate: `${day(-9)}T00:00:00Z`,
      AnomalyEndDate: `${day(-7)}T00:00:00Z`,
      DimensionValue: "Amazon Elastic Compute Cloud - Compute",
      RootCauses: [
        {
          Service: "Amazon Elastic Compute Cloud - Compute",
          Region: "eu-west-1",
          LinkedAccount: "123456789012",
          UsageType: "EU-BoxUsage:m5.24xlarge",
          Impact: { Contribution: impact },
        },
      ],
      AnomalyScore: { MaxScore: 0.9, CurrentScore: 0.4 },
      Impact: { MaxImpact: impact, TotalImpact: impact, TotalActualSpend: impact + 10, TotalExpectedSpend: 10 },
      MonitorArn: "arn:aws:ce::123456789012:anomalymonitor/services",
      ...more,
    });

    it("lists those of every page, the largest first, with their causes", async () => {
      script.set("GetAnomalies", ({ NextPageToken }) =>
        NextPageToken ? { Anomalies: [anomaly("b", 300.25)] } : { Anomalies: [anomaly("a", 12)], NextPageToken: "2" },
      );
      const { data, isError } = await assistant.call("costs_anomalies", { minImpact: 10 });
      expect(isError, JSON.stringify(data)).toBe(false);
      expect(data).toMatchObject({
        count: 2,
        totalImpact: 312.25,
        currency: "USD",
        api_cost_usd: 0.02,
        period: { start: day(-90), end: day(1) },
        anomalies: [
          {
            anomalyId: "b",
            totalImpact: 300.25,
            actualSpend: 310.25,
            rootCauses: [{ usageType: "EU-BoxUsage:m5.24xlarge", contribution: 300.25 }],
          },
          { anomalyId: "a" },
        ],
      });
      expect(calls("ce", "GetAnomalies")[0]!.params).toMatchObject({
        DateInterval: { StartDate: day(-90), EndDate: today },
        TotalImpact: { NumericOperator: "GREATER_THAN_OR_EQUAL", StartValue: 10 },
      });
    });

    it("none found means something only where a monitor watches", async () => {
      script.set("GetAnomalies", () => ({ Anomalies: [] }));
      script.set("GetAnomalyMonitors", () => ({ AnomalyMonitors: [] }));
      const unwatched = await assistant.call("costs_anomalies", { start: day(-30) });
      expect(unwatched.data).toMatchObject({ count: 0, monitors: 0, api_cost_usd: 0.02 });
      expect(unwatched.data.note).toContain("nothing was looked for");
      script.set("GetAnomalyMonitors", () => ({
        AnomalyMonitors: [{ MonitorName: "all", MonitorType: "DIMENSIONAL" }],
      }));
      const watched = await assistant.call("costs_anomalies", { start: day(-30), forceRefresh: true });
      expect(watched.data).toMatchObject({ count: 0, monitors: 1 });
      expect(watched.data).not.toHaveProperty("note");
    });

    it("what AWS no longer keeps is refused, and a denied call names its action", async () => {
      const old = await assistant.call("costs_anomalies", { start: day(-91) });
      expect(old.data).toMatchObject({ code: "validation_error", field: "start" });
      script.set("GetAnomalies", () => ({
        __type: "AccessDeniedException",
        message: "User: arn:aws:iam::1:user/a is not authorized to perform: ce:GetAnomalies on resource: x",
      }));
      const denied = await assistant.call("costs_anomalies", { start: day(-5) });
      expect(denied.data).toMatchObject({ code: "access_denied", action: "ce:GetAnomalies" });
    });
  });

  describe("estimate", () => {
    interface Filter {
      readonly Field: string;
      readonly Value: string;
    }
    const product_ = (price: string, unit: string, attributes: Record<string, string>, tier: object = {}) =>
      JSON.stringify({
        product: { productFamily: "x", sku: `SKU${price}`, attributes: { ...attributes, servicecode: "x" } },
        serviceCode: "x",
        terms: {
          OnDemand: {
            "SKU.JRTCKXETXF": {
              priceDimensions: {
                "SKU.JRTCKXETXF.6YS6EN2CT7": {
                  unit,
                  beginRange: "0",
                  endRange: "Inf",
                  pricePerUnit: { USD: price },
                  ...tier,
                },
              },
            },
          },
          Reserved: {},
        },
        version: "20261101000000",
      });

    /** A small price list that filters as AWS does: every field must match. */
    const onSale: readonly {
      readonly code: string;
      readonly unit: string;
      readonly price: string;
      readonly of: Record<string, string>;
    }[] = [
      { code: "AmazonEC2", unit: "Hrs", price: "0.0114000000", of: { instanceType: "t3.micro" } },
      { code: "AmazonEC2", unit: "Hrs", price: "0.0912000000", of: { instanceType: "t3.large" } },
      { code: "AmazonEC2", unit: "GB-Mo", price: "0.0880000000", of: { volumeApiName: "gp3" } },
      {
        code: "AmazonRDS",
        unit: "Hrs",
        price: "0.0360000000",
        of: { instanceType: "db.t3.small", databaseEngine: "PostgreSQL", deploymentOption: "Single-AZ" },
      },
      {
        code: "AmazonRDS",
        unit: "Hrs",
        price: "0.0180000000",
        of: { instanceType: "db.t3.micro", databaseEngine: "PostgreSQL", deploymentOption: "Single-AZ" },
      },
      {
        code: "AmazonRDS",
        unit: "GB-Mo",
        price: "0.1270000000",
        of: { volumeType: "General Purpose-GP3", databaseEngine: "Any", deploymentOption: "Single-AZ" },
      },
      {
        code: "AmazonRDS",
        unit: "GB-Mo",
        price: "0.1310000000",
        of: { volumeType: "General Purpose-GP3", databaseEngine: "SQL Server", deploymentOption: "Single-AZ" },
      },
    ];
    const sell = () =>
      script.set("GetProducts", ({ ServiceCode, Filters }: { ServiceCode: string; Filters: readonly Filter[] }) => {
        const asked = Object.fromEntries(Filters.map(({ Field, Value }) => [Field, Value]));
        expect(asked.regionCode).toBe("eu-west-1");
        const fitting = onSale.filter(
          ({ code, of }) =>
            code === ServiceCode &&
            Object.entries(of).every(([name, value]) => !(name in asked) || asked[name] === value) &&
            "instanceType" in asked === "instanceType" in of,
        );
        return { FormatVersion: "aws_v1", PriceList: fitting.map(({ price, unit, of }) => product_(price, unit, of)) };
      });

    it("prices a what-if by the list, and says what it assumed", async () => {
      sell();
      const items = [
        { kind: "instance", instanceType: "t3.micro", count: 3 },
        { kind: "instance", instanceType: "t3.large", count: -1 },
        { kind: "database", instanceClass: "db.t3.micro", engine: "postgres", storageGib: 100 },
        { kind: "volume", volumeType: "gp3", sizeGib: 50 },
      ];
      const { data, isError } = await assistant.call("costs_estimate", { items });
      expect(isError, JSON.stringify(data)).toBe(false);
      // 3 × 0.0114 × 730 − 0.0912 × 730 + 0.018 × 730 + 0.127 × 100 + 0.088 × 50
      expect(data).toMatchObject({
        monthlyChange: -11.37,
        currency: "USD",
        complete: true,
        unknown: [],
        hoursPerMonth: 730,
        source: "live",
        api_cost_usd: 0,
      });
      expect(data.lines).toHaveLength(5);
      expect(data.lines[0]).toEqual({
        what: "EC2 t3.micro, Linux",
        count: 3,
        unitPrice: "0.0114000000",
        unit: "Hrs",
        unitsEach: 730,
        currency: "USD",
        monthly: 24.966,
      });
      expect(data.assumptions.join()).toContain("on demand");
      expect(calls("pricing", "GetProducts")[0]!.region).toBe("us-east-1");
      expect((await assistant.call("costs_estimate", { items })).data.source).toBe("cache");
    });

    it("of a plan: what is launched, and what the plan does not tell", async () => {
      sell();
      const { Images = [] } = await outsider.ec2.send(new DescribeImagesCommand({ Owners: ["amazon"] }));
      const planned = await assistant.call("instances_launch", {
        imageId: Images[0]!.ImageId,
        instanceType: "t3.large",
        count: 2,
        intent: "two for the launch",
      });
      expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
      const { changeId } = planned.data.change;
      const { executionToken } = planned.data;
      const byToken = await assistant.call("costs_estimate", { executionToken, forceRefresh: true });
      expect(byToken.data).toMatchObject({
        changeId,
        monthlyChange: 133.152,
        complete: false,
        lines: [{ what: "EC2 t3.large, Linux", count: 2 }],
        unknown: [{ what: "AWS::EC2::Instance" }],
      });
      const byId = await assistant.call("costs_estimate", { changeId });
      expect(byId.data).toMatchObject({ monthlyChange: 133.152, source: "cache" });
      // It was not spent.
      expect((await assistant.call("changes_apply", { executionToken })).data.outcome).toBe("applied");
      const listed = await assistant.call("instances_list", { states: ["running", "pending"] });
      const { instanceId, revision } = listed.data.instances[0];
      const ending = await assistant.call("instances_terminate", {
        instanceIds: [instanceId],
        basedOn: [revision],
        intent: "one is enough",
      });
      expect(ending.isError, JSON.stringify(ending.data)).toBe(false);
      const saved = await assistant.call("costs_estimate", { changeId: ending.data.change.changeId });
      expect(saved.data).toMatchObject({ monthlyChange: -66.576, lines: [{ count: -1 }] });
    });

    it("of a resize: the type now against then, and nothing else of the instance", async () => {
      sell();
      const { Images = [] } = await outsider.ec2.send(new DescribeImagesCommand({ Owners: ["amazon"] }));
      const { Instances = [] } = await outsider.ec2.send(
        new RunInstancesCommand({ ImageId: Images[0]!.ImageId!, InstanceType: "t3.micro", MinCount: 1, MaxCount: 1 }),
      );
      const instanceId = Instances[0]!.InstanceId!;
      const shown = await assistant.call("instances_get", { instanceId });
      const resize = await assistant.call("instances_resize", {
        instanceId,
        instanceType: "t3.large",
        basedOn: shown.data.revision,
        intent: "it swaps",
      });
      expect(resize.isError, JSON.stringify(resize.data)).toBe(false);
      const { data } = await assistant.call("costs_estimate", { changeId: resize.data.change.changeId });
      // (0.0912 − 0.0114) × 730: that it stands still meanwhile is no part of a month's cost
      expect(data).toMatchObject({ monthlyChange: 58.254, complete: true, unknown: [] });
      expect(data.lines.map(({ what, count }: { what: string; count: number }) => `${count} ${what}`)).toEqual([
        "-1 EC2 t3.micro, Linux",
        "1 EC2 t3.large, Linux",
      ]);
      const stop = await assistant.call("instances_stop", {
        instanceIds: [instanceId],
        basedOn: [shown.data.revision],
        intent: "nobody needs it",
      });
      expect(stop.isError, JSON.stringify(stop.data)).toBe(false);
      const stopped = await assistant.call("costs_estimate", { changeId: stop.data.change.changeId });
      expect(stopped.data).toMatchObject({
        monthlyChange: -8.322,
        lines: [{ what: "EC2 t3.micro, Linux", count: -1 }],
      });
      await outsider.ec2.send(new TerminateInstancesCommand({ InstanceIds: [instanceId] }));
    });

    it("of a database's stop: the hours, and not the storage, which costs on", async () => {
      sell();
      proxy.rule(announced());
      await outsider.rds.send(
        new CreateDBInstanceCommand({
          DBInstanceIdentifier: "weekdays",
          Engine: "postgres",
          DBInstanceClass: "db.t3.micro",
          AllocatedStorage: 100,
          StorageType: "gp3",
          MasterUsername: "root",
          ManageMasterUserPassword: true,
        }),
      );
      const revision = async () => (await assistant.call("databases_get", { databaseId: "weekdays" })).data.revision;
      const intent = "closed at the weekend";
      const stop = await assistant.call("databases_stop", {
        databaseId: "weekdays",
        basedOn: await revision(),
        intent,
      });
      expect(stop.isError, JSON.stringify(stop.data)).toBe(false);
      const saved = await assistant.call("costs_estimate", { changeId: stop.data.change.changeId });
      expect(saved.data, JSON.stringify(saved.data)).toMatchObject({
        // 0.018 × 730
        monthlyChange: -13.14,
        complete: true,
        lines: [{ what: "RDS db.t3.micro, postgres, Single-AZ", count: -1 }],
      });
      await assistant.call("changes_apply", { executionToken: stop.data.executionToken });
      const start = await assistant.call("databases_start", {
        databaseId: "weekdays",
        basedOn: await revision(),
        intent: "Monday",
      });
      const again = await assistant.call("costs_estimate", { changeId: start.data.change.changeId });
      expect(again.data).toMatchObject({ monthlyChange: 13.14, lines: [{ count: 1 }] });
    });

    it("of a database's plan: its class now against then, also where the change waits for the window", async () => {
      sell();
      proxy.rule(announced());
      await outsider.rds.send(
        new CreateDBInstanceCommand({
          DBInstanceIdentifier: "shop",
          Engine: "postgres",
          DBInstanceClass: "db.t3.micro",
          AllocatedStorage: 100,
          StorageType: "gp3",
          MasterUsername: "root",
          ManageMasterUserPassword: true,
        }),
      );
      const shown = await assistant.call("databases_get", { databaseId: "shop" });
      expect(shown.isError, JSON.stringify(shown.data)).toBe(false);
      const planned = await assistant.call("databases_modifyInstance", {
        databaseId: "shop",
        class: "db.t3.small",
        storageGib: 200,
        apply: "window",
        basedOn: shown.data.revision,
        intent: "room for the sale",
      });
      expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
      const { data } = await assistant.call("costs_estimate", { changeId: planned.data.change.changeId });
      // (0.036 − 0.018) × 730 + 0.127 × 100
      expect(data).toMatchObject({ monthlyChange: 25.84, currency: "USD", complete: true });
      expect(data.lines.map(({ what, count }: { what: string; count: number }) => `${count} ${what}`)).toEqual([
        "-1 RDS db.t3.micro, postgres, Single-AZ",
        "-1 RDS storage gp3 100 GiB, Single-AZ",
        "1 RDS db.t3.small, postgres, Single-AZ",
        "1 RDS storage gp3 200 GiB, Single-AZ",
      ]);
    });

    it("a price that may not be read, that the list lacks or that is ambiguous is unknown, with the reason", async () => {
      const ask = async (instanceType: string) =>
        (await assistant.call("costs_estimate", { items: [{ kind: "instance", instanceType }] })).data;
      script.set("GetProducts", () => ({
        __type: "AccessDeniedException",
        message: "User: arn:aws:iam::1:user/a is not authorized to perform: pricing:GetProducts",
      }));
      const denied = await ask("m5.large");
      expect(denied).toMatchObject({ complete: false, lines: [] });
      expect(denied).not.toHaveProperty("monthlyChange");
      expect(denied.unknown[0].because).toContain("pricing:GetProducts");
      script.set("GetProducts", () => ({ PriceList: [] }));
      // A refusal was not kept as if it were a price list.
      expect((await ask("m5.large")).unknown[0].because).toContain("no such product");
      script.set("GetProducts", () => ({ PriceList: ["0.1", "0.2"].map((price) => product_(price, "Hrs", {})) }));
      expect((await ask("m6.large")).unknown[0].because).toContain("2 prices");
      script.set("GetProducts", () => ({ PriceList: [product_("0.1", "Hrs", {}, { endRange: "100" })] }));
      expect((await ask("m7.large")).unknown[0].because).toContain("amount used");
    });

    it("what it is asked for must be one thing, and one of this store", async () => {
      expect((await assistant.call("costs_estimate")).data).toMatchObject({
        code: "validation_error",
        field: "changeId",
      });
      expect((await assistant.call("costs_estimate", { changeId: "ch_zzz" })).data).toMatchObject({
        code: "unknown_change",
        field: "changeId",
      });
      expect((await assistant.call("costs_estimate", { executionToken: "nonsense" })).data).toMatchObject({
        code: "unknown_token",
        field: "executionToken",
      });
    });
  });
});
