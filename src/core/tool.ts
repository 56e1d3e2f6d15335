// The typed shapes a tool file fills in. A shape returns what it was given; the kind decides what a tool may hold.

import { z } from "zod";
import type { Proposal, Seen } from "./change.js";
import type { JsonObject } from "./json.js";
import type { GatePorts, PlanPorts, ReadPorts, ReferencePorts } from "./ports.js";
import type { StorePorts } from "./record.js";

type Fields = z.ZodObject;

interface Described<I extends Fields> {
  readonly title: string;
  /** Purpose, when to use it instead of its neighbour, limits. At most 600 characters, static. */
  readonly description: string;
  readonly input: I;
  /** Where the tool looks: `region` tools take the common `region` input and need credentials, the others neither. */
  readonly scope: "region" | "none";
}

export interface ReadResult {
  readonly data: JsonObject;
  /** What the answer shows of single resources; the ledger and the revisions come from it. */
  readonly seen?: readonly Seen[];
  /** Shown in the answer as well, and not among what it lists: not missed when it is not there next time. */
  readonly beside?: readonly Seen[];
  /** Rows that are no contents, because a read shows another form of them: compared with the same list's only. */
  readonly listed?: readonly Seen[];
  /** True when `seen` (or `listed`) is the whole answer to a question, so that what is missing from it next time has gone. */
  readonly complete?: boolean;
}

/** The `region` that means all regions the account may use. */
export const EVERYWHERE = "*";

/** How answers of several regions become one. Whatever is named in neither list is said per region, unless it is the same in all. */
export interface Everywhere {
  /** The list of the output whose members get their region. */
  readonly rows: string;
  /** Numbers of the output, and maps of numbers, that add up. */
  readonly sum: readonly string[];
  /** What an answer that goes on with a cursor does not say: it is about all of a region, not about the rows that follow. */
  readonly once?: readonly string[];
  /** Whether what is asked for belongs to no region: then one is asked, as if by name. */
  global?(input: JsonObject): boolean;
}

export interface ReadTool<I extends Fields = Fields> extends Described<I> {
  readonly kind: "read";
  readonly output: Fields;
  /** Present where `region: "*"` may be asked; the tool itself looks in one region at a time, and takes a `cursor`. */
  readonly everywhere?: Everywhere;
  /** Whether the answer holds text that others wrote in AWS. */
  readonly foreignText: boolean;
  run(input: z.infer<I>, ports: ReadPorts): Promise<ReadResult>;
}

export interface PlanTool<I extends Fields = Fields> extends Described<I> {
  readonly kind: "plan";
  /** The plan replaces or removes: with `basedOn` the caller proves what it saw of the one resource, or of each of many. */
  readonly basedOn: "one" | "many" | "none";
  propose(input: z.infer<I>, ports: PlanPorts): Promise<Proposal>;
}

/** Tools about changes themselves: they hold the gate, and still no writer. */
export interface GateTool<I extends Fields = Fields> extends Described<I> {
  readonly kind: "gate";
  /** The one tool that lets AWS change is marked; it is registered only where writes are allowed. */
  readonly changesAws: boolean;
  readonly output: Fields;
  readonly foreignText: boolean;
  run(input: z.infer<I>, ports: GatePorts): Promise<ReadResult>;
}

/** Tools about the record itself: they hold its doors, and neither AWS nor the gate. */
export interface StoreTool<I extends Fields = Fields> extends Described<I> {
  readonly kind: "store";
  readonly scope: "none";
  readonly output: Fields;
  readonly foreignText: boolean;
  run(input: z.infer<I>, ports: StorePorts): Promise<ReadResult>;
}

/** Tools about what AWS publishes and this version brings along: they need no credentials and ask nobody. */
export interface ReferenceTool<I extends Fields = Fields> extends Described<I> {
  readonly kind: "reference";
  readonly scope: "none";
  readonly output: Fields;
  readonly foreignText: boolean;
  run(input: z.infer<I>, ports: ReferencePorts): Promise<ReadResult>;
}

/** Tools about tools. They are answered by the catalogue, which knows all of them. */
export interface MetaTool<I extends Fields = Fields> extends Described<I> {
  readonly kind: "meta";
  readonly output: Fields;
  readonly meta: "search" | "run";
}

export type Tool = ReadTool | PlanTool | GateTool | StoreTool | ReferenceTool | MetaTool;

// biome-ignore lint/suspicious/noExplicitAny: the one erased alias: a tool's input type is its own affair
type Erased = any;

export const read = <I extends Fields>(tool: Omit<ReadTool<I>, "kind">): ReadTool =>
  ({ kind: "read", ...tool }) as Erased;
export const plan = <I extends Fields>(tool: Omit<PlanTool<I>, "kind">): PlanTool =>
  ({ kind: "plan", ...tool }) as Erased;
export const gate = <I extends Fields>(tool: Omit<GateTool<I>, "kind">): GateTool =>
  ({ kind: "gate", ...tool }) as Erased;
export const store = <I extends Fields>(tool: Omit<StoreTool<I>, "kind" | "scope">): StoreTool =>
  ({ kind: "store", scope: "none", ...tool }) as Erased;
export const reference = <I extends Fields>(
  tool: Omit<ReferenceTool<I>, "kind" | "scope" | "foreignText">,
): ReferenceTool => ({ kind: "reference", scope: "none", foreignText: false, ...tool }) as Erased;
export const meta = <I extends Fields>(tool: Omit<MetaTool<I>, "kind">): MetaTool =>
  ({ kind: "meta", ...tool }) as Erased;

const DATA = z.registry<{ readonly data: true }>();

/**
 * Says that a text is carried on as it is, and steers nothing: descriptions, reasons, tag values, scripts. It may have lines,
 * and what would be an attack in a name is text in it. Documents (records and whatever has no form) are data by themselves.
 *
 * @example reason: data(z.string().max(1024)).describe("Why, for the record")
 */
export const data = <T extends z.ZodType>(schema: T): T => {
  DATA.add(schema, { data: true });
  return schema;
};

export const isData = (schema: z.core.$ZodType): boolean => DATA.get(schema as z.ZodType)?.data === true;

export interface Domain {
  readonly name: string;
  readonly tools: Readonly<Record<string, Tool>>;
  /** Names of the tools listed directly by default; the others are reached through tools.search and tools.run. */
  readonly listed: readonly string[];
}

export const domain = (name: string, tools: Domain["tools"], listed: readonly string[]): Domain => ({
  name,
  tools,
  listed,
});
