// What of a planned change is billed by the hour or by the GiB, and which list price says how much. What no price is known for
// is named with the reason, and never guessed. Pure.

import { type ChangeStep, ridOf } from "../../src/core/change.js";
import { type Json, type JsonObject, sameJson } from "../../src/core/json.js";

export const HOURS_PER_MONTH = 730;

/** Something AWS bills for as long as it is there. */
export type Billed =
  | {
      readonly kind: "instance";
      readonly instanceType: string;
      readonly operatingSystem: "Linux" | "Windows";
      readonly tenancy: "Shared" | "Dedicated";
    }
  | {
      readonly kind: "database";
      readonly instanceClass: string;
      readonly engine: string;
      readonly multiAz: boolean;
    }
  | {
      readonly kind: "databaseStorage";
      readonly storageType: string;
      readonly engine: string;
      readonly multiAz: boolean;
      readonly gib: number;
    }
  | { readonly kind: "volume"; readonly volumeType: string; readonly gib: number };

export interface PriceAsk {
  readonly serviceCode: "AmazonEC2" | "AmazonRDS";
  readonly attributes: Readonly<Record<string, string>>;
  readonly unit: "Hrs" | "GB-Mo";
  /** An attribute whose value is taken if a price has it, else the one that holds for all. */
  readonly prefer?: { readonly attribute: string; readonly values: readonly string[] };
}

/** So many units more, or less, of something that has a list price. */
export interface Line {
  readonly what: string;
  readonly count: number;
  /** Units a month of one of it. */
  readonly unitsEach: number;
  readonly ask: PriceAsk;
}

export interface Unpriced {
  readonly what: string;
  readonly id?: string;
  readonly because: string;
}

export interface Bill {
  readonly lines: readonly Line[];
  readonly unknown: readonly Unpriced[];
  readonly assumptions: readonly string[];
}

/** One end of a change of one resource: what is billed of it, and what is billed that nothing is known of. */
interface Side {
  readonly billed: readonly Billed[];
  readonly unknown: readonly string[];
  /** Unknown only where the resource comes or goes: what hangs on it stays as it is otherwise. */
  readonly hanging: readonly string[];
}

const NOTHING: Side = { billed: [], unknown: [], hanging: [] };
const text = (content: JsonObject, ...names: readonly string[]): string | undefined =>
  names.map((name) => content[name]).find((value): value is string => typeof value === "string" && value !== "");
const number = (content: JsonObject, ...names: readonly string[]): number | undefined =>
  names.map((name) => Number(content[name] ?? Number.NaN)).find((value) => Number.isFinite(value));
const object = (value: Json | undefined): JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};

const NOT_RUNNING = new Set(["stopped", "stopping", "terminated", "shutting-down"]);

/** Contents of both readers: ours in camelCase, Cloud Control's as CloudFormation writes them. */
function instanceSide(content: JsonObject): Side {
  const type = text(content, "instanceType", "InstanceType");
  const hanging = ["its volumes, which no reader of this plan told"];
  if (NOT_RUNNING.has(text(content, "state") ?? "")) return { ...NOTHING, hanging };
  if (type === undefined) return { ...NOTHING, unknown: ["its instance type is not in the plan"], hanging };
  if (text(content, "lifecycle") === "spot") return { ...NOTHING, unknown: ["Spot prices are on no list"], hanging };
  const platform = text(content, "platform", "Platform", "platformDetails") ?? "";
  if (platform !== "" && !/^(linux\/unix|windows)$/i.test(platform)) {
    return { ...NOTHING, unknown: ["its platform has prices of its own"], hanging };
  }
  const tenancy = text(content, "tenancy", "Tenancy") ?? "default";
  if (tenancy === "host") return { ...NOTHING, unknown: ["its dedicated host is billed, not the instance"], hanging };
  const operatingSystem = /windows/i.test(platform) ? "Windows" : "Linux";
  const one: Billed = {
    kind: "instance",
    instanceType: type,
    operatingSystem,
    tenancy: tenancy === "dedicated" ? "Dedicated" : "Shared",
  };
  return { billed: [one], unknown: [], hanging };
}

/** What storage costs beside its size, which the price of a GiB does not hold. */
function extra(type: string, content: JsonObject): string[] {
  if (type === "standard") return ["its I/O requests, which are billed by use"];
  const provisioned =
    (number(content, "iops", "Iops") ?? 0) > 3_000 ||
    (number(content, "throughputMibps", "Throughput", "StorageThroughput") ?? 0) > 125;
  return /^io[12]$/.test(type) || (type === "gp3" && provisioned) ? ["provisioned IOPS or throughput"] : [];
}

/** A database as it will be once RDS has carried out what waits: that is what is billed in the end. */
function databaseSide(found: JsonObject): Side {
  const waiting = object(found.pending);
  const content = { ...found, ...waiting };
  const storageWaiting = Object.entries(waiting).flatMap(([name, value]) =>
    name.startsWith("storage.") ? [[name.slice("storage.".length), value] as const] : [],
  );
  const storage = { ...content, ...object(found.storage), ...Object.fromEntries(storageWaiting) };
  const engine = text(content, "engine", "Engine");
  const instanceClass = text(content, "class", "instanceClass", "DBInstanceClass");
  const multiAz = content.multiAz === true || content.MultiAZ === true;
  const clustered = text(content, "clusterId", "DBClusterIdentifier") !== undefined || /^aurora/.test(engine ?? "");
  const gib = clustered ? undefined : number(storage, "allocatedGib", "AllocatedStorage");
  const storageType = text(storage, "type", "storageType", "StorageType") ?? "gp2";
  if (engine === undefined) return { ...NOTHING, unknown: ["its engine is not in the plan"] };
  const running = !/^(stopped|stopping|deleting)$/.test(text(content, "status") ?? "");
  return {
    billed: [
      ...(running && instanceClass !== undefined
        ? [{ kind: "database" as const, instanceClass, engine, multiAz: multiAz && !clustered }]
        : []),
      ...(gib !== undefined ? [{ kind: "databaseStorage" as const, storageType, engine, multiAz, gib }] : []),
    ],
    unknown: [
      ...(running && instanceClass === undefined ? ["its instance class is not in the plan"] : []),
      ...(gib !== undefined ? extra(storageType, storage) : []),
    ],
    hanging: [
      ...(clustered ? ["the cluster's storage and I/O, which are billed by use"] : []),
      ...(!clustered && gib === undefined ? ["its storage, whose size is not in the plan"] : []),
      "backups beyond the free share",
    ],
  };
}

function volumeSide(content: JsonObject): Side {
  const gib = number(content, "sizeGib", "sizeGiB", "Size", "size");
  const volumeType = text(content, "volumeType", "VolumeType", "type") ?? "gp2";
  if (gib === undefined) return { ...NOTHING, unknown: ["its size is not in the plan"] };
  return { billed: [{ kind: "volume", volumeType, gib }], unknown: extra(volumeType, content), hanging: [] };
}

const SIDES: Readonly<Record<string, (content: JsonObject) => Side>> = {
  "AWS::EC2::Instance": instanceSide,
  "AWS::RDS::DBInstance": databaseSide,
  "AWS::EC2::Volume": volumeSide,
};

/** Types that cost nothing themselves. */
const FREE =
  /^AWS::(EC2::(SecurityGroup\w*|Subnet\w*|VPC|RouteTable|Route|InternetGateway|NetworkAcl\w*|KeyPair|LaunchTemplate|DHCPOptions)|IAM::\w+|ECS::(Cluster|TaskDefinition)|RDS::(DBParameterGroup|DBSubnetGroup|OptionGroup|DBClusterParameterGroup)|AutoScaling::(LaunchConfiguration|LifecycleHook|ScalingPolicy)|CodeDeploy::\w+)$/;

const TAGS = new Set(["tags", "Tags"]);
const withoutTags = (content: JsonObject | null): JsonObject | null =>
  content && Object.fromEntries(Object.entries(content).filter(([name]) => !TAGS.has(name)));

/** How many resources a step that names none yet makes. */
const countOf = ({ input, ref }: ChangeStep): number => (ref.id === "" ? (number(input, "MaxCount") ?? 1) : 1);

interface Counted {
  readonly billed: Billed;
  readonly count: number;
}

/** What a planned change adds to and takes from the bill. Steps of one resource count as one, from its first state to its last. */
export function billOf(steps: readonly ChangeStep[], region: string): Bill {
  const counted: Counted[] = [];
  const unknown: Unpriced[] = [];
  const byResource = new Map<string, ChangeStep[]>();
  for (const [index, step] of steps.entries()) {
    const key = step.ref.id === "" ? `new ${index}` : ridOf(step.ref);
    byResource.set(key, [...(byResource.get(key) ?? []), step]);
  }
  for (const [first, ...more] of [...byResource.values()] as [ChangeStep, ...ChangeStep[]][]) {
    const last = more.at(-1) ?? first;
    const { type, id } = first.ref;
    const named = id === "" ? {} : { id };
    const [before, after] = [first.before, last.after];
    if (FREE.test(type) || (before && after && sameJson(withoutTags(before), withoutTags(after)))) continue;
    const sideOf = Object.hasOwn(SIDES, type) ? SIDES[type] : undefined;
    if (!sideOf) {
      unknown.push({ what: type, ...named, because: "this version knows no list price for its type" });
      continue;
    }
    const [gone, made] = [before ? sideOf(before) : NOTHING, after ? sideOf(after) : NOTHING];
    const count = countOf(first);
    for (const billed of gone.billed) counted.push({ billed, count: -1 });
    for (const billed of made.billed) counted.push({ billed, count });
    const comesOrGoes = before === null || after === null;
    const reasons = new Set([
      ...gone.unknown,
      ...made.unknown,
      ...(comesOrGoes ? [...gone.hanging, ...made.hanging] : []),
    ]);
    for (const because of reasons) unknown.push({ what: type, ...named, because });
  }
  return priced(counted, unknown, region);
}

/** The same for what somebody only thinks of. */
export const billOfItems = (items: readonly Counted[], region: string): Bill =>
  priced(
    items.filter(({ billed }) => !(billed.kind === "databaseStorage" && isAurora(billed.engine))),
    items.flatMap(({ billed }) => unsaidOf(billed, items).map((because) => ({ what: wordsOf(billed), because }))),
    region,
  );

const isAurora = (engine: string): boolean => /^aurora/.test(engine);

/** What an item is billed for beside what it says. */
function unsaidOf(billed: Billed, items: readonly Counted[]): string[] {
  switch (billed.kind) {
    case "instance":
      return [];
    case "volume":
      return extra(billed.volumeType, {});
    case "databaseStorage":
      return isAurora(billed.engine) ? [] : extra(billed.storageType, {});
    case "database": {
      if (isAurora(billed.engine)) return ["the cluster's storage and I/O, which are billed by use"];
      const stored = items.some(({ billed: one }) => one.kind === "databaseStorage" && one.engine === billed.engine);
      return stored ? [] : ["its storage, whose size was not given"];
    }
  }
}

function priced(counted: readonly Counted[], unknown: readonly Unpriced[], region: string): Bill {
  const lines = new Map<string, Line>();
  const more: Unpriced[] = [];
  for (const { billed, count } of counted) {
    const asked = askOf(billed, region);
    if (typeof asked === "string") {
      more.push({ what: wordsOf(billed), because: asked });
      continue;
    }
    const what = wordsOf(billed);
    const line = lines.get(what);
    lines.set(what, { what, count: (line?.count ?? 0) + count, unitsEach: unitsOf(billed), ask: asked });
  }
  const kinds = new Set(counted.map(({ billed }) => billed.kind));
  return {
    lines: [...lines.values()].filter(({ count }) => count !== 0),
    unknown: [...unknown, ...more],
    assumptions: [
      `${HOURS_PER_MONTH} hours a month, on demand, without Savings Plans, reservations, free tier, discounts, taxes and data transfer`,
      ...(kinds.has("instance") ? ["Linux and shared tenancy where nothing else is known of an instance"] : []),
      ...(kinds.has("database")
        ? ["license included or none needed; Aurora in its standard storage configuration"]
        : []),
      ...(kinds.has("database") || kinds.has("databaseStorage")
        ? ["databases as they will be once what waits for a window is carried out"]
        : []),
      ...(kinds.has("databaseStorage") ? ["gp2 where a database's storage type is not known"] : []),
    ],
  };
}

const unitsOf = (billed: Billed): number =>
  billed.kind === "volume" || billed.kind === "databaseStorage" ? billed.gib : HOURS_PER_MONTH;

const az = (multiAz: boolean): string => (multiAz ? "Multi-AZ" : "Single-AZ");

function wordsOf(billed: Billed): string {
  switch (billed.kind) {
    case "instance":
      return `EC2 ${billed.instanceType}, ${billed.operatingSystem}${billed.tenancy === "Shared" ? "" : ", dedicated"}`;
    case "database":
      return `RDS ${billed.instanceClass}, ${billed.engine}, ${az(billed.multiAz)}`;
    case "databaseStorage":
      return `RDS storage ${billed.storageType} ${billed.gib} GiB, ${az(billed.multiAz)}`;
    case "volume":
      return `EBS ${billed.volumeType} ${billed.gib} GiB`;
  }
}

const ENGINES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  mysql: { databaseEngine: "MySQL" },
  mariadb: { databaseEngine: "MariaDB" },
  postgres: { databaseEngine: "PostgreSQL" },
  "aurora-mysql": { databaseEngine: "Aurora MySQL", storage: "EBS Only" },
  "aurora-postgresql": { databaseEngine: "Aurora PostgreSQL", storage: "EBS Only" },
  "sqlserver-ex": { databaseEngine: "SQL Server", databaseEdition: "Express", licenseModel: "License included" },
  "sqlserver-web": { databaseEngine: "SQL Server", databaseEdition: "Web", licenseModel: "License included" },
  "sqlserver-se": { databaseEngine: "SQL Server", databaseEdition: "Standard", licenseModel: "License included" },
  "sqlserver-ee": { databaseEngine: "SQL Server", databaseEdition: "Enterprise", licenseModel: "License included" },
};

const DATABASE_STORAGE: Readonly<Record<string, string>> = {
  gp2: "General Purpose",
  gp3: "General Purpose-GP3",
  io1: "Provisioned IOPS",
  io2: "Provisioned IOPS-IO2",
  standard: "Magnetic",
};

/** The question to the price list, or why there is none. */
function askOf(billed: Billed, region: string): PriceAsk | string {
  switch (billed.kind) {
    case "instance":
      return {
        serviceCode: "AmazonEC2",
        unit: "Hrs",
        attributes: {
          instanceType: billed.instanceType,
          regionCode: region,
          operatingSystem: billed.operatingSystem,
          tenancy: billed.tenancy,
          preInstalledSw: "NA",
          capacitystatus: "Used",
          licenseModel: "No License required",
        },
      };
    case "database": {
      const engine = Object.hasOwn(ENGINES, billed.engine) ? ENGINES[billed.engine] : undefined;
      if (!engine) return "its engine's price depends on a license that the plan does not tell";
      return {
        serviceCode: "AmazonRDS",
        unit: "Hrs",
        attributes: {
          productFamily: "Database Instance",
          instanceType: billed.instanceClass,
          regionCode: region,
          deploymentOption: az(billed.multiAz),
          ...engine,
        },
      };
    }
    case "databaseStorage": {
      const volumeType = Object.hasOwn(DATABASE_STORAGE, billed.storageType)
        ? DATABASE_STORAGE[billed.storageType]
        : undefined;
      if (volumeType === undefined) return "this version knows no list price for its storage type";
      const engine = Object.hasOwn(ENGINES, billed.engine) ? ENGINES[billed.engine]!.databaseEngine! : "Any";
      return {
        serviceCode: "AmazonRDS",
        unit: "GB-Mo",
        attributes: {
          productFamily: "Database Storage",
          regionCode: region,
          volumeType,
          deploymentOption: az(billed.multiAz),
        },
        prefer: { attribute: "databaseEngine", values: [engine, "Any"] },
      };
    }
    case "volume":
      return {
        serviceCode: "AmazonEC2",
        unit: "GB-Mo",
        attributes: { productFamily: "Storage", regionCode: region, volumeApiName: billed.volumeType },
      };
  }
}
