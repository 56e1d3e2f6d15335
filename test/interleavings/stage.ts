// Where a schedule is played: a server, the account behind it, and the hand of somebody else on that account.

import type { RawCall, Transport } from "../../src/aws/api.js";
import type { WorldInstance, WorldRule } from "../../src/aws/sandbox/world.js";
import type { Properties } from "../cloud-control/json.js";
import type { World } from "../cloud-control/world.js";
import { type InMemory, inMemory } from "../in-memory.js";
import { account, type InProcessAccount, type Watcher } from "./account.js";
import type { Act, Move, Thing } from "./schedule.js";

/** `<thing>/<part>` → what is there. What does not exist has no entry. */
export type Elements = ReadonlyMap<string, string>;

/** A call to AWS as it arrives there. */
export interface Arriving {
  readonly service: string;
  readonly operation: string;
  readonly thing: Thing | undefined;
  /** It could change something, and is no question whether it would be accepted. */
  readonly writes: boolean;
}

export interface Touch {
  readonly thing: Thing;
  /** Any of these in an answer names the change. */
  readonly names: readonly string[];
}

export interface Stage {
  readonly ids: Readonly<Record<Exclude<Thing, "database">, string>> & { readonly database?: string };
  readonly types: Readonly<Partial<Record<Thing, string>>>;
  readonly imageId: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers are read as a client reads them
  call(tool: string, args: Record<string, unknown>): Promise<any>;
  /** Null where there was nothing to do. */
  outside(move: Move, mark: number): Promise<Touch | null>;
  elements(): Promise<Elements>;
  pass(minutes: number): void;
  close(): Promise<void>;
}

export interface StageWatcher {
  doing(): Act["kind"] | undefined;
  before(call: Arriving, key: object): Promise<void>;
  after(call: Arriving, key: object): Promise<void>;
}

export const PEERS = ["10.0.0.0/8", "192.0.2.0/24"] as const;
export const ARGS = ["--revalidate", "off", "--creates-per-hour", "100000", "--deletes-per-hour", "100000"];
export const TAG_KEYS = ["a", "Name"] as const;

const IDS: Readonly<Record<Exclude<Thing, "database">, string>> = {
  group: "sg-0bb00000000000001",
  first: "i-0aa00000000000001",
  second: "i-0aa00000000000002",
  bucket: "assets",
  log: "/app/api",
};
export const TYPES = { bucket: "AWS::S3::Bucket", log: "AWS::Logs::LogGroup" } as const;

/** Properties of a managed resource as elements: tags one by one. */
export function propertyElements(thing: Thing, properties: Readonly<Record<string, unknown>> | undefined) {
  return Object.entries(properties ?? {}).flatMap(([name, value]): [string, string][] =>
    name === "Tags"
      ? (value as { Key: string; Value: string }[]).map(({ Key, Value }) => [`${thing}/tag/${Key}`, Value])
      : [[`${thing}/property/${name}`, JSON.stringify(value)]],
  );
}

export function arrivingOf(
  { service, operation, input, writes }: Pick<RawCall, "service" | "operation" | "input" | "writes">,
  ids: Stage["ids"],
): Arriving {
  // A document to be created travels as text in the text.
  const text = JSON.stringify(input).replaceAll("\\", "");
  const thing = (Object.keys(ids) as Thing[]).find((one) => text.includes(JSON.stringify(ids[one])));
  return { service, operation, thing, writes };
}

/** Changes calls on their way and answers on their way back; `doing` says what the assistant is at. */
export type Bend = (transport: Transport, doing: () => Act["kind"] | undefined) => Transport;

export async function inProcess(watch: StageWatcher, bend: Bend = (same) => same): Promise<Stage> {
  const watcher: Watcher = {
    before: (call) => watch.before(arrivingOf(call, IDS), call),
    after: (call) => watch.after(arrivingOf(call, IDS), call),
  };
  const place = account(watcher, (transport) => bend(transport, watch.doing));
  for (const thing of ["bucket", "log"] as const) makeResource(place.control, thing, "0");
  const session: InMemory = await inMemory({ args: ARGS, wrap: () => place.aws });
  return {
    ids: IDS,
    types: TYPES,
    imageId: "ami-0cc00000000000001",
    call: (tool, args) => session.call(tool, args),
    outside: async (move, mark) => outside(place, move, mark),
    elements: async () => elements(place),
    pass: (minutes) => session.pass(minutes * 60_000),
    close: () => session.close(),
  };
}

export function makeResource(control: World, thing: "bucket" | "log", mark: string): void {
  const own: Properties =
    thing === "bucket" ? { VersioningConfiguration: { Status: `o${mark}` } } : { RetentionInDays: 1 };
  control.put(TYPES[thing], IDS[thing], { ...own, Tags: [{ Key: "Name", Value: `o${mark}` }] });
}

const gone = ({ state }: WorldInstance): boolean => state === "shutting-down" || state === "terminated";

function elements(place: InProcessAccount): Elements {
  const here = place.ec2();
  const all: [string, string][] = [];
  for (const { id, groupId, ...rule } of Object.values(here.rules)) {
    if (groupId === IDS.group) all.push([`group/rule/${id}`, JSON.stringify(rule)]);
  }
  const group = here.groups[IDS.group];
  for (const [key, value] of Object.entries(group?.tags ?? {})) all.push([`group/tag/${key}`, value]);
  for (const instance of Object.values(here.instances)) {
    const thing = (["first", "second"] as const).find((one) => IDS[one] === instance.id);
    if (!thing && !instance.clientToken) continue;
    if (!thing) {
      all.push([`launched/${instance.id}`, "there"]);
      continue;
    }
    all.push([`${thing}/state`, gone(instance) ? "gone" : instance.state]);
    if (gone(instance)) continue;
    for (const [key, value] of Object.entries(instance.tags)) all.push([`${thing}/tag/${key}`, value]);
  }
  for (const thing of ["bucket", "log"] as const) {
    all.push(...propertyElements(thing, place.control.get(TYPES[thing], IDS[thing])));
  }
  return new Map(all);
}

function outside(place: InProcessAccount, move: Move, mark: number): Touch | null {
  const { control } = place;
  const rules = (): WorldRule[] =>
    Object.values(place.ec2().rules)
      .filter(({ groupId, egress }) => groupId === IDS.group && !egress)
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  const nth = (at: number): WorldRule | undefined => rules()[at % Math.max(rules().length, 1)];
  switch (move.kind) {
    case "allow": {
      const peer = PEERS[move.peer]!;
      const id = `sgr-0cc${String(mark).padStart(14, "0")}`;
      if (rules().some((rule) => rule.fromPort === move.port && rule.toPort === move.port && rule.peer === peer)) {
        return null;
      }
      place.edit((region) => {
        region.rules[id] = {
          id,
          groupId: IDS.group,
          egress: false,
          protocol: "tcp",
          fromPort: move.port,
          toPort: move.port,
          peerKind: "CidrIpv4",
          peer,
          description: `o${mark}`,
        };
      });
      return { thing: "group", names: [id] };
    }
    case "revoke":
    case "edit":
    case "describe": {
      const rule = nth(move.nth);
      if (!rule) return null;
      place.edit((region) => {
        if (move.kind === "revoke") delete region.rules[rule.id];
        else if (move.kind === "describe") region.rules[rule.id]!.description = `o${mark}`;
        else Object.assign(region.rules[rule.id]!, { toPort: rule.fromPort + 1_000 + mark, description: `o${mark}` });
      });
      return { thing: "group", names: [rule.id] };
    }
    case "tag":
    case "untag": {
      const { thing } = move;
      if (thing === "bucket" || thing === "log" || thing === "database") return editResource(control, move, mark);
      const key = TAG_KEYS[move.key]!;
      const held = thing === "group" ? place.ec2().groups[IDS.group] : place.ec2().instances[IDS[thing]];
      if (!held || ("state" in held && gone(held))) return null;
      if (move.kind === "untag" && !(key in held.tags)) return null;
      place.edit((region) => {
        const { tags } = thing === "group" ? region.groups[IDS.group]! : region.instances[IDS[thing]]!;
        if (move.kind === "tag") tags[key] = `o${mark}`;
        else delete tags[key];
      });
      return { thing, names: move.kind === "tag" ? [`o${mark}`] : [`/${key}`, `Tags`] };
    }
    case "terminate":
    case "stop": {
      const instance = place.ec2().instances[IDS[move.thing]];
      if (!instance || gone(instance) || (instance.state as string) === "stopped") return null;
      place.edit((region) => {
        // The sandbox stops nothing itself; its readers show whatever state AWS names.
        region.instances[IDS[move.thing]]!.state = move.kind === "stop" ? ("stopped" as never) : "shutting-down";
      });
      return { thing: move.thing, names: ["/state"] };
    }
    default:
      return editResource(control, move, mark);
  }
}

/** A move on a resource of the scripted Cloud Control, past the server. */
export function editResource(control: World, move: Move, mark: number): Touch | null {
  if (!("thing" in move) || (move.thing !== "bucket" && move.thing !== "log")) return null;
  const { thing } = move;
  const properties = control.get(TYPES[thing], IDS[thing]);
  switch (move.kind) {
    case "tag":
    case "untag": {
      const key = TAG_KEYS[move.key]!;
      if (!properties) return null;
      const tags = (properties.Tags ?? []) as { Key: string; Value: string }[];
      const rest = tags.filter(({ Key }) => Key !== key);
      if (move.kind === "untag" && rest.length === tags.length) return null;
      const Tags = move.kind === "tag" ? [...rest, { Key: key, Value: `o${mark}` }] : rest;
      control.put(TYPES[thing], IDS[thing], { ...properties, Tags });
      return { thing, names: move.kind === "tag" ? [`o${mark}`] : [`/${key}`, `Tags`] };
    }
    case "set": {
      if (!properties) return null;
      const own: Properties =
        thing === "bucket" ? { VersioningConfiguration: { Status: `o${mark}` } } : { RetentionInDays: 1_000 + mark };
      control.put(TYPES[thing], IDS[thing], { ...properties, ...own });
      return { thing, names: thing === "bucket" ? [`o${mark}`] : [`${1_000 + mark}`] };
    }
    case "relist":
      control.relist(TYPES[thing], IDS[thing]);
      return { thing, names: [] };
    case "delete":
      return control.remove(TYPES[thing], IDS[thing]) ? { thing, names: ['"exists":false', '"now":null'] } : null;
    case "make":
      if (properties) return null;
      makeResource(control, thing, String(mark));
      return { thing, names: [`o${mark}`] };
    default:
      return null;
  }
}
