// The pure parts of the cost tools: what drove a change, what of a plan is billed, which list price is meant.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ChangeStep } from "../../src/core/change.js";
import type { ListPrice } from "../../src/core/content/costs.js";
import type { JsonObject } from "../../src/core/json.js";
import { billOf, billOfItems } from "../../tools/costs/billable.js";
import { largest, movement, percentOf, totalOf } from "../../tools/costs/groups.js";
import { choosePrice } from "../../tools/costs/prices.js";

const amounts = fc.dictionary(
  fc.constantFrom("EC2", "S3", "RDS", "Tax", "Lambda", "KMS", "SQS", "__proto__", ""),
  fc.integer({ min: -1e12, max: 1e12 }),
);

describe("what drove a change", () => {
  it("the movers and the others add up to the change, however many are named", () => {
    fc.assert(
      fc.property(amounts, amounts, fc.nat({ max: 10 }), (before, after, most) => {
        const { change, movers, otherChange } = movement(before, after, most);
        expect(change).toBe(totalOf(after) - totalOf(before));
        expect(movers.reduce((sum, mover) => sum + mover.change, 0) + otherChange).toBe(change);
        for (const { from, to, change: one } of movers) expect(to - from).toBe(one);
        expect(movers.length).toBeLessThanOrEqual(most);
      }),
    );
  });

  it("names none that moved less than one it leaves out", () => {
    fc.assert(
      fc.property(amounts, amounts, (before, after) => {
        const all = movement(before, after, 99).movers.map(({ change }) => Math.abs(change));
        expect(all).toEqual([...all].sort((a, b) => b - a));
        expect(movement(before, after, 3).movers).toEqual(movement(before, after, 99).movers.slice(0, 3));
      }),
    );
  });

  it("groups in their order are the whole", () => {
    fc.assert(
      fc.property(amounts, (given) => {
        const sorted = largest(given);
        expect(sorted.reduce((sum, [, micros]) => sum + micros, 0)).toBe(totalOf(given));
        expect(sorted.map(([key]) => key).sort()).toEqual(Object.keys(given).sort());
      }),
    );
  });

  it("has no percentage of nothing", () => {
    expect([percentOf(5, 0), percentOf(5, -1), percentOf(1, 3)]).toEqual([undefined, undefined, 33.3]);
  });
});

const step = (
  type: string,
  id: string,
  before: JsonObject | null,
  after: JsonObject | null,
  input: JsonObject = {},
): ChangeStep => ({
  service: "x",
  operation: "x",
  input,
  ref: { account: "1", region: "eu-west-1", type, id },
  reader: "service",
  kind: before === null ? "create" : after === null ? "delete" : "update",
  before,
  after,
  touches: [],
});
const instance = (instanceType: string, state = "running", more: JsonObject = {}): JsonObject => ({
  instanceType,
  state,
  ...more,
});
const bill = (...steps: ChangeStep[]) => {
  const { lines, unknown } = billOf(steps, "eu-west-1");
  return {
    lines: lines.map(({ what, count }) => `${count} ${what}`),
    unknown: unknown.map(({ what, because }) => `${what.replace(/^AWS::/, "")}: ${because}`),
  };
};
const EC2 = "AWS::EC2::Instance";
const VOLUMES = "EC2::Instance: its volumes, which no reader of this plan told";

describe("what a plan changes on the bill", () => {
  it.each([
    [
      "a launch of three",
      [step(EC2, "", null, { instanceType: "t3.micro" }, { MaxCount: 3 })],
      ["3 EC2 t3.micro, Linux"],
      [VOLUMES],
    ],
    ["a termination", [step(EC2, "i-1", instance("t3.micro"), null)], ["-1 EC2 t3.micro, Linux"], [VOLUMES]],
    ["the end of a stopped one", [step(EC2, "i-1", instance("t3.micro", "stopped"), null)], [], [VOLUMES]],
    [
      "a stop",
      [step(EC2, "i-1", instance("m5.large"), instance("m5.large", "stopped"))],
      ["-1 EC2 m5.large, Linux"],
      [],
    ],
    [
      "a start",
      [step(EC2, "i-1", instance("m5.large", "stopped"), instance("m5.large"))],
      ["1 EC2 m5.large, Linux"],
      [],
    ],
    ["a reboot", [step(EC2, "i-1", instance("m5.large"), instance("m5.large"))], [], []],
    [
      "tags",
      [
        step(
          EC2,
          "i-1",
          instance("m5.large", "running", { tags: {} }),
          instance("m5.large", "running", { tags: { a: "b" } }),
        ),
      ],
      [],
      [],
    ],
    [
      "a resize of a stopped one",
      [step(EC2, "i-1", instance("m5.large", "stopped"), instance("m5.xlarge", "stopped"))],
      [],
      [],
    ],
    [
      "a Spot instance",
      [step(EC2, "i-1", instance("m5.large", "running", { lifecycle: "spot" }), instance("m5.large", "stopped"))],
      [],
      ["EC2::Instance: Spot prices are on no list"],
    ],
    [
      "a licensed platform",
      [step(EC2, "", null, { InstanceType: "m5.large", PlatformDetails: "x", Platform: "Red Hat Enterprise Linux" })],
      [],
      ["EC2::Instance: its platform has prices of its own", VOLUMES],
    ],
    [
      "Cloud Control's spelling",
      [step(EC2, "", null, { InstanceType: "m5.large", Tenancy: "dedicated", Platform: "windows" })],
      ["1 EC2 m5.large, Windows, dedicated"],
      [VOLUMES],
    ],
    [
      "a volume that grows",
      [step("AWS::EC2::Volume", "vol-1", { VolumeType: "gp3", Size: 10 }, { VolumeType: "gp3", Size: 30 })],
      ["-1 EBS gp3 10 GiB", "1 EBS gp3 30 GiB"],
      [],
    ],
    [
      "provisioned IOPS",
      [step("AWS::EC2::Volume", "", null, { VolumeType: "io2", Size: "100", Iops: 9000 })],
      ["1 EBS io2 100 GiB"],
      ["EC2::Volume: provisioned IOPS or throughput"],
    ],
    ["a group's rule", [step("AWS::EC2::SecurityGroup", "sg-1", { a: 1 }, { a: 2 })], [], []],
    [
      "a type without a price",
      [step("AWS::Lambda::Function", "f", null, { a: 1 })],
      [],
      ["Lambda::Function: this version knows no list price for its type"],
    ],
    [
      "a type named like a member of every object",
      [step("constructor", "f", null, { a: 1 })],
      [],
      ["constructor: this version knows no list price for its type"],
    ],
  ] as const)("%s", (_, steps, lines, unknown) => {
    expect(bill(...steps)).toEqual({ lines, unknown });
  });

  it("a resize by stop, change and start counts as one: from the first state to the last", () => {
    const [small, big] = ["m5.large", "m5.xlarge"];
    expect(
      bill(
        step(EC2, "i-1", instance(small), instance(small, "stopped")),
        step(EC2, "i-1", instance(small, "stopped"), instance(big, "stopped")),
        step(EC2, "i-1", instance(big, "stopped"), instance(big)),
      ),
    ).toEqual({ lines: ["-1 EC2 m5.large, Linux", "1 EC2 m5.xlarge, Linux"], unknown: [] });
  });

  it("what comes and what goes of one kind is netted", () => {
    expect(
      bill(
        step(EC2, "i-1", instance("m5.large"), null),
        step(EC2, "", null, { instanceType: "m5.large" }, { MaxCount: 1 }),
      ).lines,
    ).toEqual([]);
  });

  it("a database: class, storage and standby, also where the change waits for a window", () => {
    const RDS = "AWS::RDS::DBInstance";
    const database = (more: JsonObject = {}): JsonObject => ({
      class: "db.t3.micro",
      engine: "postgres",
      multiAz: false,
      status: "available",
      storage: { type: "gp3", allocatedGib: 100, iops: 3000 },
      pending: {},
      ...more,
    });
    expect(
      bill(step(RDS, "db", database(), database({ pending: { class: "db.t3.large", "storage.allocatedGib": 200 } }))),
    ).toEqual({
      lines: [
        "-1 RDS db.t3.micro, postgres, Single-AZ",
        "-1 RDS storage gp3 100 GiB, Single-AZ",
        "1 RDS db.t3.large, postgres, Single-AZ",
        "1 RDS storage gp3 200 GiB, Single-AZ",
      ],
      unknown: [],
    });
    expect(bill(step(RDS, "db", database(), database({ status: "stopped" }))).lines).toEqual([
      "-1 RDS db.t3.micro, postgres, Single-AZ",
    ]);
    expect(bill(step(RDS, "db", database({ engine: "oracle-se2" }), null)).unknown).toEqual([
      "RDS::DBInstance: backups beyond the free share",
      "RDS db.t3.micro, oracle-se2, Single-AZ: its engine's price depends on a license that the plan does not tell",
    ]);
    expect(
      bill(
        step(RDS, "db", null, { DBInstanceClass: "db.r6g.large", Engine: "aurora-mysql", DBClusterIdentifier: "c" }),
      ),
    ).toEqual({
      lines: ["1 RDS db.r6g.large, aurora-mysql, Single-AZ"],
      unknown: [
        "RDS::DBInstance: the cluster's storage and I/O, which are billed by use",
        "RDS::DBInstance: backups beyond the free share",
      ],
    });
    expect(bill(step(RDS, "db", null, { instanceId: "db", class: "db.t3.micro" })).unknown).toEqual([
      "RDS::DBInstance: its engine is not in the plan",
    ]);
  });

  it("asks for exactly one product of the region", () => {
    const [line] = billOfItems(
      [
        {
          billed: { kind: "instance", instanceType: "t3.micro", operatingSystem: "Linux", tenancy: "Shared" },
          count: 1,
        },
      ],
      "ap-south-1",
    ).lines;
    expect(line!.ask).toEqual({
      serviceCode: "AmazonEC2",
      unit: "Hrs",
      attributes: {
        instanceType: "t3.micro",
        regionCode: "ap-south-1",
        operatingSystem: "Linux",
        tenancy: "Shared",
        preInstalledSw: "NA",
        capacitystatus: "Used",
        licenseModel: "No License required",
      },
    });
  });
});

describe("the list price that is meant", () => {
  const price = (more: Partial<ListPrice> = {}): ListPrice => ({
    sku: "S",
    unit: "Hrs",
    currency: "USD",
    price: "0.10",
    from: "0",
    to: "Inf",
    attributes: {},
    ...more,
  });
  const ask = { serviceCode: "AmazonEC2", attributes: {}, unit: "Hrs" } as const;

  it("is one price, whatever number of products has it", () => {
    expect(choosePrice({ prices: [price(), price({ price: "0.1000" })] }, ask)).toMatchObject({
      price: { price: "0.1000" },
    });
  });

  it.each([
    ["none", [], "no such product"],
    ["another unit", [price({ unit: "GB-Mo" })], "no such product"],
    ["capacity blocks", [price({ attributes: { marketoption: "CapacityBlock" } })], "no such product"],
    ["two prices", [price(), price({ price: "0.2" })], "2 prices"],
    ["two currencies", [price(), price({ currency: "CNY" })], "2 prices"],
    ["tiers", [price({ to: "100" }), price({ from: "100", price: "0.05" })], "amount used"],
  ])("is unknown with %s", (_, prices, because) => {
    expect(choosePrice({ prices }, ask)).toMatchObject({ because: expect.stringContaining(because) });
  });

  it("prefers the attribute's own value to the one for all", () => {
    const prices = [
      price({ attributes: { databaseEngine: "Any" } }),
      price({ price: "0.2", attributes: { databaseEngine: "SQL Server" } }),
    ];
    const of = (value: string) =>
      choosePrice({ prices }, { ...ask, prefer: { attribute: "databaseEngine", values: [value, "Any"] } });
    expect(of("SQL Server")).toMatchObject({ price: { price: "0.2" } });
    expect(of("PostgreSQL")).toMatchObject({ price: { price: "0.10" } });
  });
});
