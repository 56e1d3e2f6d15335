// What the cost tools must never say: that a price is whole which is not, or that a month is forecast of which a part was.

import { describe, expect, it } from "vitest";
import type { ChangeStep } from "../../src/core/change.js";
import type { Forecast, SpendQuery } from "../../src/core/content/costs.js";
import type { ReadPorts } from "../../src/core/ports.js";
import type { ReadTool } from "../../src/core/tool.js";
import { type Billed, billOf, billOfItems } from "../../tools/costs/billable.js";
import { costs } from "../../tools/costs.js";

const unknown = (...items: Billed[]) =>
  billOfItems(
    items.map((billed) => ({ billed, count: 1 })),
    "eu-west-1",
  ).unknown.map(({ because }) => because);

describe("an item somebody thinks of", () => {
  it.each(["io1", "io2", "standard"])(
    "a volume of type %s costs more than its size, and that is said",
    (volumeType) => {
      expect(unknown({ kind: "volume", volumeType, gib: 100 })).toHaveLength(1);
    },
  );

  it("a database of provisioned IOPS costs more than its size", () => {
    const engine = "postgres";
    const database: Billed = { kind: "database", instanceClass: "db.m6g.large", engine, multiAz: false };
    const storage = { kind: "databaseStorage", engine, multiAz: false, gib: 100 } as const;
    expect(unknown(database, { ...storage, storageType: "gp3" })).toEqual([]);
    expect(unknown(database, { ...storage, storageType: "io1" })).toEqual(["provisioned IOPS or throughput"]);
    expect(unknown(database)).toEqual(["its storage, whose size was not given"]);
  });

  it("Aurora's storage is billed by use, and never by RDS's price of a GiB", () => {
    const engine = "aurora-postgresql";
    const { lines, unknown: said } = billOfItems(
      [
        { billed: { kind: "database", instanceClass: "db.r6g.large", engine, multiAz: false }, count: 1 },
        { billed: { kind: "databaseStorage", storageType: "gp3", engine, multiAz: false, gib: 100 }, count: 1 },
      ],
      "eu-west-1",
    );
    expect(lines.map(({ what }) => what)).toEqual(["RDS db.r6g.large, aurora-postgresql, Single-AZ"]);
    expect(said).toEqual([
      expect.objectContaining({ because: "the cluster's storage and I/O, which are billed by use" }),
    ]);
  });
});

it("a stack is not free: what it makes is not known", () => {
  const ref = { account: "1", region: "eu-west-1", type: "AWS::CloudFormation::Stack", id: "" };
  const step = { service: "x", operation: "x", input: {}, ref, reader: "cloudcontrol", kind: "create" } as const;
  const made: ChangeStep = { ...step, before: null, after: { StackName: "web" }, touches: [] };
  expect(billOf([made], "eu-west-1").unknown).toHaveLength(1);
});

describe("a forecast", () => {
  const forecast: Forecast = {
    currency: "USD",
    micros: 10_000_000,
    periods: [{ start: "2026-11-20", end: "2026-12-01", mean: 10_000_000 }],
  };
  async function ask(given: object) {
    const queries: SpendQuery[] = [];
    const ports = {
      now: new Date("2026-11-20T12:00:00Z"),
      aws: {
        account: "123456789012",
        costs: {
          forecast: async () => forecast,
          async spend(query: SpendQuery) {
            queries.push(query);
            const groups = [{ keys: [], micros: 5_000_000 }];
            return {
              currency: "USD",
              periods: [{ start: query.start, end: query.end, estimated: true, groups }],
              labels: {},
            };
          },
        },
      },
      cached: async (_class: string, _question: object, load: (billed: () => void) => Promise<object>) =>
        load(() => {}),
    } as unknown as ReadPorts;
    const { input, run } = costs.tools.forecast as ReadTool;
    return (await run(input.parse(given), ports)).data;
  }

  it("says what the month will come to", async () => {
    expect(await ask({})).toMatchObject({ thisMonth: { spent: 5, forecast: 10, expected: 15 } });
  });

  it("of some days says nothing of the month", async () => {
    expect(await ask({ end: "2026-11-25" })).not.toHaveProperty("thisMonth");
  });
});
