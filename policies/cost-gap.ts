// Which part of the spend can be attributed by its tags. One allocator for every tool that says so. Pure; money is whole micros
// of the currency, so that sums are exact.

/** A scanned resource. Identity is its ARN. */
export interface GapResource {
  readonly arn: string;
  /** In the scanner's words, such as `ec2:instance`. */
  readonly type: string;
  readonly region: string;
  readonly account: string;
  /** Its Name tag. */
  readonly name?: string;
  /** An instance's; unknown counts as running. */
  readonly state?: string | null;
  /** `null`: its tags could not be read, so that its spend is attributed to nobody. */
  readonly compliant: boolean | null;
  /** The policy asks nothing of it, or exceptions cover what it lacks: it counts as neither, and nobody is its owner. */
  readonly judged?: false;
  /** What it costs is not among the spend that was asked for. */
  readonly elsewhere?: boolean;
}

export type GapGroup = "resource_type" | "region" | "account" | "service";

export interface GapInput {
  /** Spend by Cost Explorer service, in micros. Only what is in scope: of all, or of the services of the named types. */
  readonly services: Readonly<Record<string, number>>;
  /** Services that no tag can attribute; empty where types were named. */
  readonly unattributable: readonly string[];
  /** Services of which something could not be listed: their spend is laid on nobody, for part of it is the unseen's. */
  readonly unread?: readonly string[];
  /** The types that were asked for; each gets a group, also when nothing of it was found. */
  readonly types: readonly string[];
  /** Type → Cost Explorer service; `""` costs nothing. A type that is missing has no spend to share. */
  readonly serviceOf: Readonly<Record<string, string>>;
  /** Service → Name tag → micros, for the services whose spend was asked by Name. The untagged rest is not among them. */
  readonly byName: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly resources: readonly GapResource[];
  readonly groupBy?: GapGroup;
}

/** `unknown`: nothing can be said; its cost counts as none, and is no figure to show. */
export type CostSource = "actual" | "service_average" | "estimated" | "stopped" | "unknown";

export interface GapBreakdown {
  readonly total: number;
  readonly attributable: number;
  readonly gap: number;
  readonly resources_scanned: number;
  readonly resources_compliant: number;
  readonly resources_non_compliant: number;
  /** Whose tags could not be read. */
  readonly resources_unknown: number;
  /** Of which the policy asks nothing, or which are excepted. */
  readonly resources_not_judged: number;
  readonly note?: string;
}

/** All money in micros. */
export interface CostGap {
  readonly total_spend: number;
  readonly taggable_spend: number;
  readonly attributable_spend: number;
  readonly attribution_gap: number;
  /** Unrounded. */
  readonly attribution_gap_percentage: number;
  readonly breakdown: Readonly<Record<string, GapBreakdown>>;
  /** Taggable spend that no scanned resource carries; the groups' gaps and this are the gap. */
  readonly unallocated: number;
  readonly unattributable_services: readonly { readonly service: string; readonly cost: number }[];
  /** By ARN. */
  readonly resources: ReadonlyMap<string, { readonly cost: number; readonly source: CostSource }>;
  readonly warnings: readonly string[];
}

type Allocated = { readonly cost: number; readonly source: CostSource };

const IDLE = new Set(["stopped", "stopping", "terminated", "shutting-down"]);

const byArn = (a: GapResource, b: GapResource): number => (a.arn < b.arn ? -1 : a.arn > b.arn ? 1 : 0);
const sum = (amounts: Iterable<number>): number => {
  let total = 0;
  for (const amount of amounts) total += amount;
  return total;
};

/** How names are matched: cost reports and consoles differ in case and blanks. */
export const normalName = (name: string): string => name.trim().toLowerCase().replace(/\s+/g, "-");

/**
 * Whole micros to so many, as equal as they can be, the rest to the first ones; the sum is what was given.
 * @example equalShares(10, 3) // [4, 3, 3]
 */
export function equalShares(amount: number, count: number): number[] {
  const each = Math.floor(amount / count);
  return Array.from({ length: count }, (_, index) => each + (index < amount - each * count ? 1 : 0));
}

/** Amounts cut down in proportion so that their sum is `limit`. */
function scaledTo(amounts: readonly number[], limit: number): number[] {
  const all = sum(amounts);
  let [given, seen] = [0, 0];
  // By running totals, so that what rounding takes from one goes to the next, and the last total is the limit.
  return amounts.map((amount) => {
    seen += amount;
    const upTo = seen === all ? limit : Math.floor(limit * (seen / all));
    const share = Math.max(0, upTo - given);
    given += share;
    return share;
  });
}

/** What each resource of one service costs, of that service's spend. Never more than there is. */
function allocate(
  spend: number,
  names: Readonly<Record<string, number>> | undefined,
  resources: readonly GapResource[],
  warnings: Set<string>,
): Map<string, Allocated> {
  const costs = new Map<string, Allocated>();
  const share = (amount: number, among: readonly GapResource[], source: CostSource): void => {
    const shares = equalShares(amount, among.length);
    for (const [index, { arn }] of among.entries()) costs.set(arn, { cost: shares[index]!, source });
  };
  if (!names) {
    if (resources.length > 0) share(spend, resources, "service_average");
    return costs;
  }

  const known = new Map<string, number>();
  for (const [name, amount] of Object.entries(names)) {
    const normal = normalName(name);
    if (normal !== "" && amount > 0) known.set(normal, (known.get(normal) ?? 0) + amount);
  }
  const knownNames = [...known.keys()].sort();
  const listed = knownNames.map((name) => known.get(name)!);
  const tooMuch = sum(listed) > spend;
  if (tooMuch)
    warnings.add("The costs by name exceed the service's spend, as after credits; they were scaled down to it.");
  const amounts = tooMuch ? scaledTo(listed, spend) : listed;
  const bearers = new Map<string, GapResource[]>();
  const nameless: GapResource[] = [];
  for (const resource of resources) {
    const normal = resource.name === undefined ? "" : normalName(resource.name);
    if (normal === "" || !known.has(normal)) nameless.push(resource);
    else bearers.set(normal, [...(bearers.get(normal) ?? []), resource]);
  }
  for (const [index, name] of knownNames.entries()) {
    const among = bearers.get(name);
    if (among) share(amounts[index]!, among, among.length === 1 ? "actual" : "estimated");
  }

  const rest = Math.max(0, spend - sum(amounts));
  const idle = nameless.filter(({ type, state }) => type === "ec2:instance" && IDLE.has(state ?? ""));
  const working = nameless.filter((resource) => !idle.includes(resource));
  if (working.length > 0) {
    share(rest, working, "estimated");
    share(0, idle, "stopped");
  } else if (idle.length > 0 && rest > 0) {
    warnings.add("Spend that no running instance explains was shared by the stopped ones.");
    share(rest, idle, "estimated");
  } else if (idle.length > 0) share(0, idle, "stopped");
  return costs;
}

const NOTES = {
  none: "No resources found for this type",
  freeOrUntagged: "No cost found for these resources: activate cost allocation tags, or they are in the free tier",
  free: "No cost found: free tier or new",
  allTagged: "All resources are properly tagged",
  notJudged: "The policy asks nothing of these resources, or exceptions cover what they lack",
  unknown: "What these resources cost cannot be told",
} as const;

function noteOf(row: GapBreakdown, isUnknown: boolean): string | null {
  const { resources_scanned, resources_compliant, resources_non_compliant, resources_not_judged, total } = row;
  if (resources_scanned === 0) return NOTES.none;
  if (total === 0 && isUnknown) return NOTES.unknown;
  if (total === 0) return resources_non_compliant > 0 ? NOTES.freeOrUntagged : NOTES.free;
  if (resources_scanned === resources_not_judged) return NOTES.notJudged;
  return resources_compliant === resources_scanned ? NOTES.allTagged : null;
}

/** @example costGap({ services: { S: 100 }, types: ["s3:bucket"], … }).attribution_gap */
export function costGap(input: GapInput): CostGap {
  const { services, types, serviceOf, byName, groupBy = "resource_type" } = input;
  const warnings = new Set<string>();
  const withoutTags = new Set(input.unattributable);
  const spendOf = (service: string): number =>
    Object.hasOwn(services, service) && !withoutTags.has(service) ? Math.max(0, services[service]!) : 0;
  if (Object.values(services).some((amount) => amount < 0)) {
    warnings.add("A service's spend is negative, by credits or refunds; nothing of it can be attributed.");
  }
  // The same resource twice is one resource.
  const resources = [...new Map(input.resources.map((one) => [one.arn, one])).values()].sort(byArn);
  const serviceFor = ({ type }: GapResource): string => (Object.hasOwn(serviceOf, type) ? serviceOf[type]! : "");

  const costs = new Map<string, Allocated>();
  const unread = new Set(input.unread ?? []);
  for (const service of new Set(resources.map(serviceFor))) {
    const among = resources.filter((resource) => serviceFor(resource) === service);
    const isUnknown = unread.has(service) || withoutTags.has(service) || (services[service] ?? 0) < 0;
    const bearing = isUnknown ? [] : among.filter(({ elsewhere }) => !elsewhere);
    const names = Object.hasOwn(byName, service) ? byName[service] : undefined;
    const given = service === "" ? new Map<string, Allocated>() : allocate(spendOf(service), names, bearing, warnings);
    const none: Allocated = { cost: 0, source: service === "" ? "service_average" : "unknown" };
    for (const { arn } of among) costs.set(arn, given.get(arn) ?? none);
    if (unread.has(service) && spendOf(service) > 0) {
      warnings.add(`The spend of ${service} is attributed to nobody: not all that it pays for could be read.`);
    }
  }

  const groupOf = (resource: GapResource): string =>
    groupBy === "resource_type"
      ? resource.type
      : groupBy === "service"
        ? serviceFor(resource) || "no cost"
        : resource[groupBy];
  const groups = new Map<string, GapResource[]>(groupBy === "resource_type" ? types.map((type) => [type, []]) : []);
  for (const resource of resources) groups.set(groupOf(resource), [...(groups.get(groupOf(resource)) ?? []), resource]);
  const costOf = (list: readonly GapResource[]): number => sum(list.map(({ arn }) => costs.get(arn)!.cost));
  const breakdown = [...groups].map(([key, members]) => {
    const compliant = members.filter((one) => one.compliant === true);
    const total = costOf(members);
    const attributable = costOf(compliant);
    const row: GapBreakdown = {
      total,
      attributable,
      gap: total - attributable,
      resources_scanned: members.length,
      resources_compliant: compliant.length,
      resources_non_compliant: members.filter((one) => one.compliant === false && one.judged !== false).length,
      resources_unknown: members.filter((one) => one.compliant === null).length,
      resources_not_judged: members.filter((one) => one.judged === false).length,
    };
    const note = noteOf(
      row,
      members.some(({ arn }) => costs.get(arn)!.source === "unknown"),
    );
    return [key, note === null ? row : { ...row, note }] as const;
  });

  const taggable = sum(Object.keys(services).map(spendOf));
  const attributable = costOf(resources.filter(({ compliant }) => compliant === true));
  const gap = taggable - attributable;
  return {
    total_spend: sum(Object.values(services)),
    taggable_spend: taggable,
    attributable_spend: attributable,
    attribution_gap: gap,
    attribution_gap_percentage: taggable === 0 ? 0 : (gap / taggable) * 100,
    breakdown: Object.fromEntries(breakdown),
    unallocated: taggable - costOf(resources),
    unattributable_services: [...withoutTags]
      .filter((service) => Object.hasOwn(services, service) && services[service]! > 0)
      .sort()
      .map((service) => ({ service, cost: services[service]! })),
    resources: costs,
    warnings: [...warnings],
  };
}
