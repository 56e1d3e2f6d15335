// The cost gap: what must always hold of it, and the cases its rules name.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { costGap, equalShares, type GapInput, type GapResource } from "../../policies/cost-gap.js";

const EC2 = "Amazon Elastic Compute Cloud - Compute";
const RDS = "Amazon Relational Database Service";
const S3 = "Amazon Simple Storage Service";
const serviceOf = { "ec2:instance": EC2, "rds:db": RDS, "rds:cluster": RDS, "s3:bucket": S3, "iam:role": "" };
const USD = 1_000_000;

const resource = (arn: string, more: Partial<GapResource> = {}): GapResource => ({
  arn,
  type: "ec2:instance",
  region: "eu-west-1",
  account: "123456789012",
  compliant: true,
  ...more,
});
const gap = (more: Partial<GapInput>) =>
  costGap({ services: {}, unattributable: [], types: [], serviceOf, byName: {}, resources: [], ...more });
const costs = (answer: ReturnType<typeof costGap>) =>
  Object.fromEntries([...answer.resources].map(([arn, { cost, source }]) => [arn, [cost / USD, source]]));

const micros = fc.integer({ min: -5 * USD, max: 5_000 * USD });
const name = fc.constantFrom("web", "Web", " web ", "api one", "api-one", "db", "", "gone", "__proto__");
const anyInput: fc.Arbitrary<GapInput> = fc.record({
  services: fc.dictionary(fc.constantFrom(EC2, RDS, S3, "Tax", "AWS Support (Business)", "__proto__"), micros),
  unattributable: fc.subarray(["Tax", "AWS Support (Business)", "Nothing"]),
  types: fc.subarray(["ec2:instance", "rds:db", "s3:bucket", "lambda:function"]),
  serviceOf: fc.constant(serviceOf),
  byName: fc.dictionary(fc.constantFrom(EC2, RDS), fc.dictionary(name, micros)),
  resources: fc.array(
    fc.record(
      {
        arn: fc.nat({ max: 30 }).map((n) => `arn:${n}`),
        type: fc.constantFrom(...Object.keys(serviceOf), "lambda:function"),
        region: fc.constantFrom("eu-west-1", "us-east-1", "global"),
        account: fc.constantFrom("123456789012", "210987654321"),
        name,
        state: fc.constantFrom("running", "stopped", "terminated", null),
        compliant: fc.constantFrom(true, false, null),
        elsewhere: fc.boolean(),
      },
      { requiredKeys: ["arn", "type", "region", "account", "compliant"] },
    ),
    { maxLength: 25 },
  ),
  groupBy: fc.constantFrom("resource_type", "region", "account", "service"),
  unread: fc.subarray([EC2, S3]),
});

describe("always", () => {
  it("0 ≤ attributable ≤ taggable, and groups + unallocated = gap, in whole micros", () => {
    fc.assert(
      fc.property(anyInput, (input) => {
        const { taggable_spend, attributable_spend, attribution_gap, breakdown, unallocated, resources } =
          costGap(input);
        expect(attributable_spend).toBeGreaterThanOrEqual(0);
        expect(attributable_spend).toBeLessThanOrEqual(taggable_spend);
        expect(unallocated).toBeGreaterThanOrEqual(0);
        const rows = Object.values(breakdown);
        expect(rows.reduce((sum, { gap }) => sum + gap, 0) + unallocated).toBe(attribution_gap);
        for (const row of rows) expect(row.total).toBe(row.attributable + row.gap);
        for (const { cost } of resources.values()) {
          expect(cost).toBeGreaterThanOrEqual(0);
          expect(Number.isSafeInteger(cost)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("the order of resources and of services makes no difference", () => {
    fc.assert(
      fc.property(anyInput, (input) => {
        const unique = [...new Map(input.resources.map((one) => [one.arn, one])).values()];
        const turned = {
          ...input,
          resources: [...unique].reverse(),
          services: Object.fromEntries(Object.entries(input.services).reverse()),
        };
        const [a, b] = [costGap({ ...input, resources: unique }), costGap(turned)];
        expect({ ...b, resources: costs(b), breakdown: {} }).toEqual({ ...a, resources: costs(a), breakdown: {} });
        expect(b.breakdown).toEqual(a.breakdown);
      }),
    );
  });

  it("tagging more never widens the gap", () => {
    fc.assert(
      fc.property(anyInput, (input) => {
        const tagged = { ...input, resources: input.resources.map((one) => ({ ...one, compliant: true })) };
        expect(costGap(tagged).attribution_gap).toBeLessThanOrEqual(costGap(input).attribution_gap);
        expect(costGap(tagged).attribution_gap).toBe(costGap(tagged).unallocated);
      }),
    );
  });

  it("equal shares add up and differ by one micro at most", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 500 }), (amount, count) => {
        const shares = equalShares(amount, count);
        expect(shares.reduce((a, b) => a + b, 0)).toBe(amount);
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe("the rules", () => {
  it("lays nothing of a service that was not read whole on what was, and says so", () => {
    const resources = [resource("a"), resource("b", { type: "s3:bucket" })];
    const services = { [EC2]: 100 * USD, [S3]: 30 * USD };
    const answer = gap({ services, types: ["ec2:instance", "s3:bucket"], resources, unread: [EC2] });
    expect(costs(answer)).toEqual({ a: [0, "unknown"], b: [30, "service_average"] });
    expect(answer).toMatchObject({ attributable_spend: 30 * USD, attribution_gap: 100 * USD, unallocated: 100 * USD });
    expect(answer.warnings).toEqual([expect.stringContaining(EC2)]);
    expect(answer.breakdown["ec2:instance"]?.note).toContain("cannot be told");
  });

  it("gives what is paid for elsewhere no figure, and its share to the others", () => {
    const bucket = { type: "s3:bucket", region: "global" };
    const resources = [resource("a", bucket), resource("b", { ...bucket, elsewhere: true })];
    const answer = gap({ services: { [S3]: 30 * USD }, types: ["s3:bucket"], resources });
    expect(costs(answer)).toEqual({ a: [30, "service_average"], b: [0, "unknown"] });
  });

  it("has no figure where credits are more than the spend", () => {
    const answer = gap({ services: { [EC2]: -USD }, types: ["ec2:instance"], resources: [resource("a")] });
    expect(costs(answer)).toEqual({ a: [0, "unknown"] });
  });

  it("shares a service's spend once, whatever number of types it serves", () => {
    const answer = gap({
      services: { [RDS]: 100 * USD },
      types: ["rds:db", "rds:cluster"],
      resources: [resource("a", { type: "rds:db" }), resource("b", { type: "rds:cluster", compliant: false })],
    });
    expect(answer).toMatchObject({ total_spend: 100 * USD, taggable_spend: 100 * USD, attribution_gap: 50 * USD });
    expect(answer.attribution_gap_percentage).toBe(50);
  });

  it("resources of one name share its cost; case and blanks of a name make no difference", () => {
    const answer = gap({
      services: { [EC2]: 100 * USD },
      byName: { [EC2]: { "Web One": 50 * USD, "web-one": 30 * USD } },
      resources: [resource("a", { name: "web one" }), resource("b", { name: "WEB-ONE" }), resource("c")],
    });
    expect(costs(answer)).toEqual({ a: [40, "estimated"], b: [40, "estimated"], c: [20, "estimated"] });
  });

  it("what a name costs that nobody bears is nobody's: it is not laid on others", () => {
    const answer = gap({
      services: { [EC2]: 100 * USD },
      byName: { [EC2]: { terminated: 70 * USD, web: 20 * USD } },
      resources: [resource("a", { name: "web" }), resource("b")],
    });
    expect(costs(answer)).toEqual({ a: [20, "actual"], b: [10, "estimated"] });
    expect(answer.unallocated).toBe(70 * USD);
  });

  it("stopped instances cost nothing while one runs, and an unknown state counts as running", () => {
    const among = (...states: (string | null)[]) =>
      gap({
        services: { [EC2]: 90 * USD },
        byName: { [EC2]: {} },
        resources: states.map((state, index) => resource(String(index), { state })),
      });
    expect(costs(among("running", null, "stopped"))).toEqual({
      0: [45, "estimated"],
      1: [45, "estimated"],
      2: [0, "stopped"],
    });
    const idle = among("stopped", "stopping");
    expect(costs(idle)).toEqual({ 0: [45, "estimated"], 1: [45, "estimated"] });
    expect(idle.warnings).toHaveLength(1);
  });

  it("other types share by number; a type without spend of its own costs nothing", () => {
    const answer = gap({
      services: { [S3]: 9 * USD },
      resources: [
        ...["a", "b", "c"].map((arn) => resource(arn, { type: "s3:bucket" })),
        resource("r", { type: "iam:role" }),
      ],
    });
    expect(costs(answer)).toEqual({
      a: [3, "service_average"],
      b: [3, "service_average"],
      c: [3, "service_average"],
      r: [0, "service_average"],
    });
  });

  it("takes away what no tag can attribute, and names it", () => {
    const answer = gap({
      services: { [S3]: 60 * USD, Tax: 30 * USD, Nothing: 0 },
      unattributable: ["Tax", "Nothing", "Absent"],
      resources: [resource("a", { type: "s3:bucket" })],
    });
    expect(answer).toMatchObject({
      total_spend: 90 * USD,
      taggable_spend: 60 * USD,
      attribution_gap: 0,
      unattributable_services: [{ service: "Tax", cost: 30 * USD }],
    });
  });

  it("costs by name above the spend, as after credits, are scaled down to it", () => {
    const answer = gap({
      services: { [EC2]: 30 * USD },
      byName: { [EC2]: { a: 40 * USD, b: 20 * USD } },
      resources: [resource("a", { name: "a" }), resource("b", { name: "b", compliant: false })],
    });
    expect(costs(answer)).toEqual({ a: [20, "actual"], b: [10, "actual"] });
    expect(answer.warnings).toHaveLength(1);
  });

  it("spend of a resource whose tags could not be read is attributed to nobody, and counted apart", () => {
    const answer = gap({
      services: { [S3]: 10 * USD },
      resources: [resource("a", { type: "s3:bucket", compliant: null })],
    });
    expect(answer.attribution_gap).toBe(10 * USD);
    expect(answer.breakdown["s3:bucket"]).toMatchObject({ resources_unknown: 1, resources_non_compliant: 0 });
    expect(answer.breakdown["s3:bucket"]!.note).toBeUndefined();
  });

  it("says of a group why there is nothing to see", () => {
    const { breakdown } = gap({
      services: { [S3]: 5 * USD },
      types: ["ec2:instance", "s3:bucket", "rds:db", "rds:cluster"],
      resources: [
        resource("a", { type: "s3:bucket" }),
        resource("b", { type: "rds:db", compliant: false }),
        resource("c", { type: "rds:cluster" }),
      ],
    });
    expect(Object.fromEntries(Object.entries(breakdown).map(([key, { note }]) => [key, note]))).toEqual({
      "ec2:instance": "No resources found for this type",
      "s3:bucket": "All resources are properly tagged",
      "rds:db": "No cost found for these resources: activate cost allocation tags, or they are in the free tier",
      "rds:cluster": "No cost found: free tier or new",
    });
  });

  it("groups by what is asked for", () => {
    const resources = [
      resource("a", { region: "eu-west-1", account: "1" }),
      resource("b", { region: "us-east-1", account: "2", type: "s3:bucket" }),
    ];
    const keys = (groupBy: GapInput["groupBy"]) =>
      Object.keys(gap({ resources, ...(groupBy && { groupBy }) }).breakdown).sort();
    expect(keys(undefined)).toEqual(["ec2:instance", "s3:bucket"]);
    expect(keys("region")).toEqual(["eu-west-1", "us-east-1"]);
    expect(keys("account")).toEqual(["1", "2"]);
    expect(keys("service")).toEqual([EC2, S3].sort());
  });
});
