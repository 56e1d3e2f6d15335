// costs.estimate: what a plan changes on the bill, by list prices. What has no known price is never guessed.

import { z } from "zod";
import type { Change } from "../../src/core/change.js";
import type { PriceAnswer } from "../../src/core/content/costs.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import type { ReadPorts } from "../../src/core/ports.js";
import { read } from "../../src/core/tool.js";
import { changeOfToken } from "../../state/tokens.js";
import { type Bill, type Billed, billOf, billOfItems, HOURS_PER_MONTH } from "./billable.js";
import { FACTS, FORCE, wrong } from "./parts.js";
import { choosePrice } from "./prices.js";

const Item = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("instance"),
    instanceType: z.string().min(1).max(64),
    operatingSystem: z.enum(["Linux", "Windows"]).default("Linux"),
    tenancy: z.enum(["Shared", "Dedicated"]).default("Shared"),
    count: z.number().int().min(-500).max(500).default(1),
  }),
  z.object({
    kind: z.literal("database"),
    instanceClass: z.string().min(1).max(64),
    engine: z.string().min(1).max(64).describe("As RDS names it, such as postgres"),
    multiAz: z.boolean().default(false),
    storageGib: z.number().min(0).max(65_536).optional(),
    storageType: z.enum(["gp2", "gp3", "io1", "io2", "standard"]).default("gp3"),
    count: z.number().int().min(-500).max(500).default(1),
  }),
  z.object({
    kind: z.literal("volume"),
    volumeType: z.enum(["gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"]),
    sizeGib: z.number().min(1).max(65_536),
    count: z.number().int().min(-500).max(500).default(1),
  }),
]);

export const estimate = read({
  title: "Estimate a plan's monthly cost",
  description:
    "Monthly cost change of a planned change (`changeId` or `executionToken`), or of `items` you think of (negative count: removed): on-demand list prices for EC2 instances, RDS classes and storage, EBS volumes. What has no known price is in `unknown` with the reason, never guessed. Changes nothing, costs nothing.",
  scope: "region",
  foreignText: false,
  input: z.object({
    changeId: z.string().min(1).max(64).optional(),
    executionToken: z.string().min(1).max(128).optional().describe("Of a plan; it is not spent"),
    items: z.array(Item).min(1).max(20).optional(),
    ...FORCE,
  }),
  output: z.object({
    ...FACTS,
    changeId: z.string().optional(),
    monthlyChange: z.number().optional(),
    currency: z.string().optional(),
    complete: z.boolean(),
    lines: z.array(
      z.object({
        what: z.string(),
        count: z.number(),
        unitPrice: z.string(),
        unit: z.string(),
        unitsEach: z.number(),
        currency: z.string(),
        monthly: z.number(),
      }),
    ),
    unknown: z.array(z.object({ what: z.string(), id: z.string().optional(), because: z.string() })),
    assumptions: z.array(z.string()),
    hoursPerMonth: z.number(),
  }),
  async run({ changeId, executionToken, items, forceRefresh }, ports) {
    const given = [changeId, executionToken, items].filter((one) => one !== undefined);
    if (given.length !== 1) throw wrong("changeId", "give one of changeId, executionToken and items");
    const change = items
      ? undefined
      : plannedChange(ports, changeId ?? changeOfToken(executionToken!), executionToken !== undefined);
    const bill = change
      ? billOf(change.steps, ports.aws.region)
      : billOfItems(items!.flatMap(countedOf), ports.aws.region);
    return {
      data: { ...(change && { changeId: change.id }), ...(await estimated(ports, bill, forceRefresh)) },
    };
  },
});

function plannedChange({ state, aws }: ReadPorts, id: string | undefined, byToken: boolean): Change {
  const change = id === undefined ? undefined : state.changes.get(id);
  const field = byToken ? "executionToken" : "changeId";
  if (change?.account === aws.account && change.region === aws.region) return change;
  const next = [{ tool: "changes.list", arguments: {} }];
  if (!change) {
    throw byToken
      ? new OpsError("unknown_token", "No plan of this store has this execution token.", { field, next })
      : new OpsError("unknown_change", "No change of this store has this id.", { field, next });
  }
  throw new OpsError(
    "identity_mismatch",
    "The change belongs to another account or region than this call; nothing was estimated.",
    {
      field,
      details: { account: change.account, region: change.region },
    },
  );
}

function countedOf(item: z.infer<typeof Item>): { billed: Billed; count: number }[] {
  const { count } = item;
  switch (item.kind) {
    case "instance":
      return [
        {
          billed: {
            kind: item.kind,
            instanceType: item.instanceType,
            operatingSystem: item.operatingSystem,
            tenancy: item.tenancy,
          },
          count,
        },
      ];
    case "database": {
      const { engine, multiAz, storageGib, storageType } = item;
      const database: Billed = { kind: "database", instanceClass: item.instanceClass, engine, multiAz };
      const storage: Billed = { kind: "databaseStorage", storageType, engine, multiAz, gib: storageGib ?? 0 };
      return [{ billed: database, count }, ...(storageGib ? [{ billed: storage, count }] : [])];
    }
    case "volume":
      return [{ billed: { kind: item.kind, volumeType: item.volumeType, gib: item.sizeGib }, count }];
  }
}

/** The bill with prices: each line by its list price, or among what is unknown. */
async function estimated(ports: ReadPorts, bill: Bill, forceRefresh: boolean): Promise<JsonObject> {
  const unknown = [...bill.unknown];
  const lines: {
    what: string;
    count: number;
    unitPrice: string;
    unit: string;
    unitsEach: number;
    currency: string;
    monthly: number;
  }[] = [];
  for (const { what, count, unitsEach, ask } of bill.lines) {
    const { serviceCode, attributes } = ask;
    const { value } = await ports.cached<PriceAnswer>(
      "prices",
      { ask: { serviceCode, attributes }, forceRefresh },
      async () => {
        const answer = await ports.aws.prices.products(serviceCode, attributes);
        return { value: answer, whole: "prices" in answer };
      },
    );
    const chosen = choosePrice(value, ask);
    if ("because" in chosen) unknown.push({ what, because: chosen.because });
    else {
      const { price, currency } = chosen.price;
      const monthly = Math.round(Number(price) * unitsEach * count * 1e4) / 1e4;
      lines.push({ what, count, unitPrice: price, unit: ask.unit, unitsEach, currency, monthly });
    }
  }
  const currencies = new Set(lines.map(({ currency }) => currency));
  const sum = Math.round(lines.reduce((total, { monthly }) => total + monthly, 0) * 1e4) / 1e4;
  const [currency] = currencies;
  const known = unknown.length === 0 || lines.length > 0;
  return {
    ...(known && currencies.size <= 1 && { monthlyChange: sum, ...(currency !== undefined && { currency }) }),
    complete: unknown.length === 0,
    lines,
    unknown: unknown.map((one) => ({ ...one })),
    assumptions: [...bill.assumptions],
    hoursPerMonth: HOURS_PER_MONTH,
  };
}
