// Costs on moto, which gives the answers of Cost Explorer that it was seeded with: parsing, paging, what is paid, and what a launch makes stale.

import { DescribeImagesCommand } from "@aws-sdk/client-ec2";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Assistant } from "../harness.js";
import { PAST_MIDNIGHT } from "../past-midnight.js";
import { type Product, startProduct } from "./product.js";

const product = await startProduct("costs on moto", import.meta.url);

const DAY = 86_400_000;

describe.skipIf(!product)("costs on moto", () => {
  const { proxy, outsider, ledger, moto, calls } = (product ?? {}) as Product;
  let assistant: Assistant;
  /** By the server's clock, for it decides what is too old and what is unfinished. */
  let today: string;
  const day = (offset: number) => new Date(Date.parse(today) + offset * DAY).toISOString().slice(0, 10);

  const seed = async (...results: readonly object[]) => {
    const answer = await fetch(`${moto.endpoint}/moto-api/static/ce/cost-and-usage-results`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ results }),
    });
    expect(answer.status).toBe(201);
  };
  const cost = (Amount: string, Unit = "USD") => ({ UnblendedCost: { Amount, Unit } });
  const page = (groups: Readonly<Record<string, string>>, more: object = {}) => ({
    ResultsByTime: [
      {
        TimePeriod: { Start: day(-30), End: day(0) },
        Total: {},
        Groups: Object.entries(groups).map(([keys, amount]) => ({ Keys: keys.split("|"), Metrics: cost(amount) })),
        Estimated: true,
      },
    ],
    DimensionValueAttributes: [],
    ...more,
  });
  const asked = () => calls("ce", "GetCostAndUsage");

  beforeAll(async () => {
    await moto.reset();
    assistant = await product!.start({ env: PAST_MIDNIGHT });
    today = (await assistant.call("session_whoami")).data.asOf.slice(0, 10);
  });
  beforeEach(() => proxy.clear());
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => product!.close());

  it("summarises every page, compares with the days before, names what drove the change, and what it paid", async () => {
    await seed(
      page({ "Amazon EC2": "620.5000000001", "Amazon S3": "20" }, { NextPageToken: "second" }),
      page({ "AWS Lambda": "9.25", Tax: "-1.75" }),
      page({ "Amazon EC2": "500", "Amazon S3": "28", "Amazon RDS": "40" }),
    );
    const { data, isError } = await assistant.call("costs_summary");
    expect(isError, JSON.stringify(data)).toBe(false);
    expect(data).toMatchObject({
      account: "123456789012",
      source: "live",
      age_seconds: 0,
      api_cost_usd: 0.03,
      period: { start: day(-30), end: today, days: 30 },
      currency: "USD",
      total: 648,
      groups: [
        { key: "Amazon EC2", amount: 620.5, percent: 95.8 },
        { key: "Amazon S3", amount: 20 },
        { key: "AWS Lambda", amount: 9.25 },
        { key: "Tax", amount: -1.75 },
      ],
      notShown: { count: 0, amount: 0 },
      previous: { period: { start: day(-60), end: day(-30), days: 30 }, total: 568 },
      change: { amount: 80, percent: 14.1 },
      drivers: [
        { key: "Amazon EC2", from: 500, to: 620.5, change: 120.5, percent: 24.1 },
        { key: "Amazon RDS", from: 40, to: 0, change: -40, percent: -100 },
        { key: "AWS Lambda", from: 0, to: 9.25, change: 9.25 },
        { key: "Amazon S3", change: -8 },
        { key: "Tax", change: -1.75 },
      ],
      otherChange: 0,
      dataQuality: { estimated: true, unfinishedDays: [day(-1)] },
    });
    expect(asked().map(({ params, region }) => [params.TimePeriod, params.NextPageToken, region])).toEqual([
      [{ Start: day(-30), End: today }, undefined, "us-east-1"],
      [{ Start: day(-30), End: today }, "second", "us-east-1"],
      [{ Start: day(-60), End: day(-30) }, undefined, "us-east-1"],
    ]);
  });

  it("answers the same question from the cache, with its age and for nothing; asks anew only when told to", async () => {
    const again = await assistant.call("costs_summary", { end: today, start: day(-30), region: "us-east-1" });
    expect(again.data).toMatchObject({ source: "cache", api_cost_usd: 0, total: 648, coverage: "all regions" });
    expect(again.data.age_seconds).toBeGreaterThanOrEqual(0);
    expect(asked()).toHaveLength(0);
    const forced = await assistant.call("costs_summary", { forceRefresh: true });
    expect(forced.data).toMatchObject({ source: "live", api_cost_usd: 0.03, total: 648 });
    expect(asked()).toHaveLength(3);
  });

  it("shows groups in pages that add up, paid for once", async () => {
    const first = await assistant.call("costs_summary", { limit: 3, compare: false });
    expect(first.data).toMatchObject({ source: "cache", total: 648, notShown: { count: 1, amount: -1.75 } });
    const second = await assistant.call("costs_summary", {
      limit: 3,
      compare: false,
      cursor: first.data.nextCursor,
      forceRefresh: true,
    });
    expect(second.data).toMatchObject({ groups: [{ key: "Tax" }], api_cost_usd: 0 });
    expect(second.data.nextCursor).toBeUndefined();
    expect(asked()).toHaveLength(0);
    const other = await assistant.call("costs_summary", { groupBy: "region", cursor: first.data.nextCursor });
    expect(other.data).toMatchObject({ code: "invalid_cursor", field: "cursor" });
  });

  it("a launch makes costs stale: the next summary is read anew", async () => {
    const { Images = [] } = await outsider.ec2.send(new DescribeImagesCommand({ Owners: ["amazon"] }));
    expect((await assistant.call("costs_summary")).data.source).toBe("cache");
    const planned = await assistant.call("instances_launch", {
      imageId: Images[0]!.ImageId,
      instanceType: "t3.micro",
      intent: "one more for the queue",
    });
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    expect((await assistant.call("costs_summary")).data.source).toBe("cache");
    const applied = await assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(applied.data).toMatchObject({
      outcome: "applied",
      stateSync: { patterns: expect.arrayContaining(["costs.*"]) },
    });
    proxy.clear();
    expect((await assistant.call("costs_summary")).data).toMatchObject({ source: "live", api_cost_usd: 0.03 });
    expect(asked()).toHaveLength(3);
    expect((await assistant.call("costs_summary")).data).toMatchObject({ source: "cache", api_cost_usd: 0 });
  });

  it("another process of the same state does not answer either what this one made stale", async () => {
    const other = await product!.start();
    expect((await other.call("costs_summary")).data.source).toBe("live");
    expect((await other.call("costs_summary")).data.source).toBe("cache");
    const { Images = [] } = await outsider.ec2.send(new DescribeImagesCommand({ Owners: ["amazon"] }));
    const launch = { imageId: Images[0]!.ImageId, instanceType: "t3.micro", intent: "and another one" };
    const planned = await assistant.call("instances_launch", launch);
    await assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    expect((await other.call("costs_summary")).data.source).toBe("live");
    await other.close();
  });

  it("by tag: the values of `Key$value`, the untagged rest by name, each split once more", async () => {
    await seed(
      page({
        "Team$web|Amazon EC2": "60",
        "Team$web|Amazon S3": "5.5",
        "Team$data$2|Amazon RDS": "30",
        "Team$|Amazon EC2": "4.5",
      }),
    );
    const { data } = await assistant.call("tools_run", {
      tool: "costs.byTag",
      arguments: { tagKey: "Team", alsoBy: "service", start: day(-40), end: day(-10) },
    });
    expect(data).toMatchObject({
      total: 100,
      untagged: { amount: 4.5, percent: 4.5 },
      values: [
        {
          value: "web",
          amount: 65.5,
          by: [
            { key: "Amazon EC2", amount: 60 },
            { key: "Amazon S3", amount: 5.5 },
          ],
          byOther: 0,
        },
        { value: "data$2", amount: 30 },
      ],
      dataQuality: { unfinishedDays: [] },
      api_cost_usd: 0.01,
    });
    expect(asked()[0]!.params.GroupBy).toEqual([
      { Type: "TAG", Key: "Team" },
      { Type: "DIMENSION", Key: "SERVICE" },
    ]);
  });

  it("a tag without figures is said to be perhaps not activated", async () => {
    await seed(page({ Nope$: "12" }));
    const { data } = await assistant.call("costs_byTag", { tagKey: "Nope" });
    expect(data).toMatchObject({ total: 12, untagged: { amount: 12, percent: 100 }, values: [] });
    expect(data.note).toContain("activated");
  });

  it("filters at AWS, where the order of values makes no new question", async () => {
    await seed(page({ "USE1-BoxUsage": "3" }));
    const services = ["Amazon EC2", "Amazon S3"];
    const ask = {
      groupBy: "usageType",
      compare: false,
      withoutCredits: true,
      accounts: ["123456789012"],
      tagKey: "Team",
      tagValues: ["web", ""],
    };
    expect((await assistant.call("costs_summary", { ...ask, services })).data).toMatchObject({
      total: 3,
      source: "live",
    });
    expect(asked()[0]!.params.Filter).toEqual({
      And: [
        { Dimensions: { Key: "SERVICE", Values: services } },
        { Dimensions: { Key: "LINKED_ACCOUNT", Values: ["123456789012"] } },
        { Tags: { Key: "Team", Values: ["web", ""] } },
        { Not: { Dimensions: { Key: "RECORD_TYPE", Values: ["Credit", "Refund"] } } },
      ],
    });
    const turned = { ...ask, services: [...services].reverse() };
    expect((await assistant.call("costs_summary", turned)).data).toMatchObject({ total: 3, source: "cache" });
  });

  it("no figures are no zero of a currency, and a series has its days", async () => {
    const none = await assistant.call("costs_summary", { start: day(-3), end: day(-2), compare: false });
    expect(none.data).toMatchObject({ total: 0, groups: [] });
    expect(none.data.currency).toBeUndefined();
    await seed({
      ResultsByTime: [-3, -2, -1].map((offset) => ({
        TimePeriod: { Start: day(offset), End: day(offset + 1) },
        Total: {},
        Groups: [{ Keys: ["Amazon EC2"], Metrics: cost("1.1") }],
        Estimated: offset === -1,
      })),
    });
    const series = await assistant.call("costs_summary", {
      start: day(-3),
      end: today,
      series: "daily",
      compare: false,
    });
    expect(series.data).toMatchObject({
      total: 3.3,
      series: [
        { start: day(-3), amount: 1.1 },
        { start: day(-2), amount: 1.1 },
        { start: day(-1), amount: 1.1, estimated: true },
      ],
    });
  });

  it("does not pay for a comparison with what most accounts no longer have, unless it is told to", async () => {
    const year = { start: day(-360), end: today };
    const plain = await assistant.call("costs_summary", year);
    expect(plain.data).toMatchObject({ api_cost_usd: 0.01, notCompared: expect.stringContaining("13 months") });
    expect(plain.data).not.toHaveProperty("previous");
    expect((await assistant.call("costs_summary", { ...year, compare: true })).data).toMatchObject({
      previous: { period: { start: day(-720) } },
      api_cost_usd: 0.01,
    });
  });

  it("a refusal names the action, whether Cost Explorer is on, and the rate; what was paid stays said", async () => {
    const ask = (start: number) =>
      assistant.call("costs_summary", { start: day(start), end: day(start + 5), compare: false });
    const refuse = (code: string, message: string, times = 1) =>
      proxy.rule({ service: "ce", operation: "GetCostAndUsage", answer: { status: 400, code, message }, times });
    refuse(
      "AccessDeniedException",
      "User: arn:aws:iam::1:user/a is not authorized to perform: ce:GetCostAndUsage on resource: x",
    );
    const denied = await ask(-101);
    expect(denied.data).toMatchObject({ code: "access_denied", action: "ce:GetCostAndUsage" });
    expect(denied.data.message).toContain("ce:GetCostAndUsage");
    expect(denied.data.api_cost_usd).toBeUndefined();
    refuse("AccessDeniedException", "User not enabled for cost explorer access");
    expect((await ask(-102)).data).toMatchObject({ code: "not_enabled", fixableBy: "operator" });
    await seed(page({ A: "1" }, { NextPageToken: "more" }));
    proxy.rule({
      service: "ce",
      where: ({ params }) => params.NextPageToken !== undefined,
      answer: { status: 400, code: "LimitExceededException", message: "slow down" },
      times: 3,
    });
    expect((await ask(-103)).data).toMatchObject({ code: "throttled", retriable: true, api_cost_usd: 0.01 });
    // Nothing of a failure was kept.
    expect((await ask(-103)).data).toMatchObject({ source: "live" });
  });

  it.each([
    [{ start: "2026-02-30" }, "start"],
    [{ start: "2001-01-01", end: "2001-02-01" }, "start"],
    [{ start: "2999-01-01", end: "2999-02-01" }, "start"],
    [{ groupBy: "tag" }, "tagKey"],
    [{ tagKey: "Team" }, "tagKey"],
    [{ tagValues: ["web"] }, "tagKey"],
    [{ accounts: ["prod"] }, "accounts.0"],
    [{ cursor: "nonsense" }, "cursor"],
  ])("names what is wrong with %j", async (given, field) => {
    const { data, isError } = await assistant.call("costs_summary", given);
    expect(isError).toBe(true);
    expect(data.field).toBe(field);
    expect(asked()).toHaveLength(0);
  });

  it("knows that the end is exclusive", async () => {
    const same = await assistant.call("costs_summary", { start: day(-2), end: day(-2) });
    expect(same.data).toMatchObject({ code: "validation_error", field: "end" });
    const beyond = await assistant.call("costs_summary", { end: day(2) });
    expect(beyond.data).toMatchObject({ code: "validation_error", field: "end" });
    const long = await assistant.call("costs_summary", { start: day(-100), series: "daily" });
    expect(long.data).toMatchObject({ code: "validation_error", field: "series" });
  });
});
