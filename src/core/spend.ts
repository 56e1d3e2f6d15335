// Spend as every tool asks for it: through the cache, so that one figure is paid for once and is the same wherever it is said.

import type { Period, Spend, SpendFilter, SpendQuery } from "./content/costs.js";
import type { Json } from "./json.js";
import type { Cached, ReadPorts } from "./ports.js";

type SpendPorts = Pick<ReadPorts, "aws" | "cached">;

/** A filter's part of a cache question: its lists are sets. */
export const filterQuestion = (
  filter: SpendFilter,
): { ask: { [name: string]: Json }; sets: Record<string, readonly string[]> } => {
  const { tag, withoutCredits = false, ...lists } = filter;
  return {
    ask: { withoutCredits, tagKey: tag?.key ?? null },
    sets: { ...lists, ...(tag && { tagValues: tag.values }) },
  };
};

/** @throws OpsError where Cost Explorer cannot say: never a zero. */
export function askSpend(ports: SpendPorts, query: SpendQuery, forceRefresh = false): Promise<Cached<Spend>> {
  const { filter, groupBy, start, end, granularity, metric } = query;
  const { ask, sets } = filterQuestion(filter);
  const groups = groupBy.map((group) => (group.by === "tag" ? `tag ${group.tagKey}` : group.by));
  return ports.cached(
    "costs",
    { ask: { spend: { start, end, granularity, metric, groups }, ...ask }, sets, forceRefresh },
    async (billed) => ({ value: await ports.aws.costs.spend(query, billed), whole: true }),
  );
}

export interface SpendByKey {
  readonly currency: string | null;
  /** Key → micros. */
  readonly micros: Readonly<Record<string, number>>;
  readonly estimated: boolean;
}

/** The periods of an answer added up, by the keys of its groups (several joined by a tab). */
export function byKey({ currency, periods }: Spend): SpendByKey {
  const micros = new Map<string, number>();
  for (const { groups } of periods) {
    for (const { keys, micros: amount } of groups) {
      const key = keys.join("\t");
      micros.set(key, (micros.get(key) ?? 0) + amount);
    }
  }
  return { currency, micros: Object.fromEntries(micros), estimated: periods.some(({ estimated }) => estimated) };
}

/** Unblended spend of a period by Cost Explorer service. @example (await spendByService(ports, { start, end })).micros */
export const spendByService = async (
  ports: SpendPorts,
  { start, end }: Period,
  filter: SpendFilter = {},
  forceRefresh = false,
): Promise<SpendByKey> =>
  byKey((await askSpend(ports, spendQuery({ start, end }, [{ by: "service" }], filter), forceRefresh)).value);

/** Unblended spend of one service by a tag's value, without the untagged rest; for the tag `Name`, what a name costs. */
export async function spendByTagValue(
  ports: SpendPorts,
  { start, end }: Period,
  {
    service,
    tagKey,
    filter = {},
    forceRefresh = false,
  }: {
    readonly service: string;
    readonly tagKey: string;
    readonly filter?: SpendFilter;
    readonly forceRefresh?: boolean;
  },
): Promise<SpendByKey> {
  const query = spendQuery({ start, end }, [{ by: "tag", tagKey }], { ...filter, services: [service] });
  const found = byKey((await askSpend(ports, query, forceRefresh)).value);
  const values = Object.entries(found.micros).map(([key, amount]) => [tagValueOf(key, tagKey), amount] as const);
  return { ...found, micros: Object.fromEntries(values.filter(([value]) => value !== "")) };
}

/** Cost Explorer writes a tag's group as `Key$value`, and the untagged rest as `Key$`. */
export const tagValueOf = (group: string, tagKey: string): string =>
  group.startsWith(`${tagKey}$`) ? group.slice(tagKey.length + 1) : group;

const spendQuery = (period: Period, groupBy: SpendQuery["groupBy"], filter: SpendFilter): SpendQuery => ({
  ...period,
  granularity: "MONTHLY",
  metric: "UnblendedCost",
  groupBy,
  filter,
});
