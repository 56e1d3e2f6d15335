// Domains → one flat map of tools, with the names and schemas the wire sees. Static: the same for every connection.

import { z } from "zod";
import type { CallEntry } from "./core/call.js";
import { OpsError } from "./core/errors.js";
import type { JsonObject } from "./core/json.js";
import { found } from "./core/search.js";
import { type Domain, data, type Tool } from "./core/tool.js";

/** A tool with its names; `input` is the tool's own input and the common ones. */
export interface Entry extends CallEntry {
  readonly wire: string;
  readonly listed: boolean;
}

/** A tool as `tools/list` shows it. */
export interface ListedTool {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly inputSchema: { readonly type: "object"; readonly [key: string]: unknown };
  readonly outputSchema: { readonly type: "object"; readonly [key: string]: unknown };
  readonly annotations: {
    readonly readOnlyHint: boolean;
    readonly destructiveHint: boolean;
    readonly idempotentHint?: boolean;
    readonly openWorldHint?: boolean;
  };
}

/** Old names of the servers we take over and of the seed documents: accepted on call, never listed. */
export const ALIASES: Readonly<Record<string, string>> = {
  check_environment_variables: "session.whoami",
  get_aws_session_info: "session.whoami",
  get_aws_account_info: "session.whoami",
  get_resource_schema_information: "resources.schema",
  list_resources: "resources.list",
  get_resource: "resources.get",
  create_resource: "resources.create",
  update_resource: "resources.update",
  delete_resource: "resources.delete",
  get_resource_request_status: "changes.get",
  show_resource_history: "state.history",
  detect_drift: "state.drift",
  rollback_resource: "state.rollback",
  get_tagging_policy: "tags.policy",
  check_tag_compliance: "tags.check",
  find_untagged_resources: "tags.untagged",
  validate_resource_tags: "tags.validate",
  get_cost_attribution_gap: "tags.costGap",
  suggest_tags: "tags.suggest",
  generate_compliance_report: "tags.report",
  get_violation_history: "tags.history",
  detect_tag_drift: "tags.drift",
  export_violations_csv: "tags.exportCsv",
  generate_custodian_policy: "tags.custodianPolicy",
  schedule_compliance_audit: "tags.scheduleAudit",
  import_aws_tag_policy: "tags.importPolicy",
  save_state: "state.save",
  load_state: "state.load",
};

/** Parameters of old names that mean something under another name here; the rest of the old ones is ignored, and said. */
const OLD_PARAMETERS: Readonly<Record<string, string>> = {
  resource_type: "type",
  identifier: "identifier",
  user_intent: "intent",
  properties: "properties",
  execution_token: "executionToken",
};

const isList = (text: string): boolean => text.trimStart().startsWith("[");
const Name = z
  .string()
  .min(1)
  .refine((text) => !isList(text), "is one name, not a list");
const Region = Name.optional().describe("AWS region; default: the session's");
const Account = Name.optional().describe("AWS account: alias, id or profile; default: the session's");
const AnyRegion = Name.optional().describe("AWS region, or * for all enabled; default: the session's");
const Intent = data(z.string().min(3).max(2000)).describe("Why the user wants this, in their words");
const Explanation = data(z.string().max(4000)).optional().describe("What will change and what it affects");
const BasedOn = z.union([z.string(), z.array(z.string())]).optional();

export const wireName = (name: string): string => name.replaceAll(".", "_");

export interface Catalogue {
  readonly entries: readonly Entry[];
  /** The tool a client means by a canonical, wire or old name. */
  find(name: string): Entry | undefined;
  /** Listed tools in their order, as the wire shows them. */
  list(options: ListOptions): ListedTool[];
  search(query: string, limit: number, options: ListOptions): Array<ListedTool & { listed: boolean }>;
  nearest(name: string): string[];
}

export interface ListOptions {
  readonly toolsets: readonly string[];
  readonly dotted: boolean;
}

/**
 * The catalogue of these domains. Without `allowWrites` the tool that changes AWS does not exist.
 * @throws Error when two tools share a wire name.
 */
export function createCatalogue(
  domains: readonly Domain[],
  options: {
    readonly allowWrites: boolean;
    /** Further accounts may be named: only then is `account` shown, for every token of a schema is paid for. */
    readonly accounts?: boolean;
  },
): Catalogue {
  const entries = domains.flatMap((domain) =>
    Object.entries(domain.tools)
      .filter(([, tool]) => options.allowWrites || !(tool.kind === "gate" && tool.changesAws))
      .map(([verb, tool]): Entry => {
        const name = `${domain.name}.${verb}`;
        return {
          name,
          wire: wireName(name),
          domain: domain.name,
          listed: domain.listed.includes(verb),
          tool,
          input: fullInput(tool),
        };
      }),
  );
  const byName = new Map<string, Entry>();
  for (const entry of entries) {
    for (const name of new Set([entry.name, entry.wire])) {
      if (byName.has(name)) throw new Error(`two tools share the name ${name}`);
      byName.set(name, entry);
    }
  }
  for (const [old, name] of Object.entries(ALIASES)) {
    const entry = byName.get(name);
    if (entry && !byName.has(old)) byName.set(old, entry);
  }
  const shown = (entry: Entry, toolsets: readonly string[]): boolean =>
    toolsets.includes("all") || toolsets.includes(entry.domain) || (toolsets.includes("default") && entry.listed);
  const listing = (entry: Entry, dotted: boolean): ListedTool =>
    describe(entry, dotted, entries, options.accounts ?? false);

  return {
    entries,
    find: (name) => byName.get(name),
    list: ({ toolsets, dotted }) =>
      entries.filter((entry) => shown(entry, toolsets)).map((entry) => listing(entry, dotted)),
    search(query, limit, { toolsets, dotted }) {
      return found(entries, query, ({ name, listed, tool: { title, description } }) => ({
        name,
        title,
        description,
        usual: listed,
      }))
        .slice(0, limit)
        .map((entry) => ({ ...listing(entry, dotted), listed: shown(entry, toolsets) }));
    },
    nearest: (name) =>
      [...byName.values()]
        .map((entry) => ({
          name: entry.wire,
          distance: editDistance(wireName(name).toLowerCase(), entry.wire.toLowerCase()),
        }))
        .sort((a, b) => a.distance - b.distance)
        .filter(
          ({ distance }, index, all) => distance <= 8 && all.findIndex((o) => o.name === all[index]!.name) === index,
        )
        .slice(0, 3)
        .map((near) => near.name),
  };
}

/** Old arguments of an old name, in today's names. Returns what was ignored, so that the answer can say so. */
export function translateArguments(
  name: string,
  given: Readonly<Record<string, unknown>>,
): { arguments: Record<string, unknown>; ignored: string[] } {
  if (!(name in ALIASES)) return { arguments: { ...given }, ignored: [] };
  const translated: Record<string, unknown> = {};
  const ignored: string[] = [];
  for (const [key, value] of Object.entries(given)) {
    if (/_token$/.test(key) && key !== "execution_token") ignored.push(key);
    else if (["skip_security_check", "confirmed", "analyze_security", "auto_fix"].includes(key)) ignored.push(key);
    else translated[OLD_PARAMETERS[key] ?? key] = value;
  }
  return { arguments: translated, ignored };
}

function fullInput(tool: Tool): z.ZodObject {
  const common: Record<string, z.ZodType> =
    tool.scope === "region"
      ? { region: tool.kind === "read" && tool.everywhere ? AnyRegion : Region, account: Account }
      : {};
  if (tool.kind === "plan") {
    common.intent = Intent;
    common.explanation = Explanation;
    if (tool.basedOn !== "none") common.basedOn = BasedOn;
  }
  return z.strictObject({ ...tool.input.shape, ...common });
}

function describe(entry: Entry, dotted: boolean, all: readonly Entry[], accounts: boolean): ListedTool {
  const { tool } = entry;
  const changesAws = tool.kind === "gate" && tool.changesAws;
  const openWorld = tool.kind === "plan" || (tool.kind !== "meta" && tool.foreignText);
  return {
    name: dotted ? entry.name : entry.wire,
    title: tool.title,
    description: dotted ? tool.description : inWireNames(tool.description, all),
    inputSchema: inputSchema(entry, accounts),
    outputSchema: outputSchema(tool),
    // The title stands above; both protocol eras read it there. What the specification takes for granted is left out: an
    // open world, and that idempotence says something of a tool that writes only.
    annotations: {
      readOnlyHint: !changesAws,
      destructiveHint: changesAws,
      ...(changesAws && { idempotentHint: true }),
      ...(!openWorld && { openWorldHint: false }),
    },
  };
}

/** Descriptions are written in canonical names and shown in the spelling in force. */
export const inWireNames = (text: string, entries: readonly Entry[]): string =>
  entries.reduce((shown, entry) => shown.replaceAll(entry.name, entry.wire), text);

type JsonSchema = Record<string, unknown> & { properties?: Record<string, JsonSchema>; required?: string[] };

function inputSchema(entry: Entry, accounts: boolean): ListedTool["inputSchema"] {
  const schema = lean(z.toJSONSchema(entry.input, { io: "input", unrepresentable: "any" }) as JsonSchema);
  if (!accounts && entry.tool.scope === "region") delete schema.properties!.account;
  if (entry.tool.kind === "plan" && entry.tool.basedOn !== "none") {
    // Required in the schema, optional in the validator: a missing one is answered by name of the read to make.
    schema.properties!.basedOn =
      entry.tool.basedOn === "many"
        ? { type: "array", items: { type: "string" }, description: "The revision you read of each, same order" }
        : { type: "string", description: "The revision you read it at" };
    schema.required = [...(schema.required ?? []), "basedOn"];
  }
  return { type: "object", ...schema };
}

/** What a schema needs on the wire and nothing else: every token of it is paid for on every turn. */
function lean(schema: JsonSchema): JsonSchema {
  const { $schema: _dialect, ...rest } = schema;
  const out: JsonSchema = {};
  for (const [key, value] of Object.entries(rest)) {
    if ((key === "maximum" || key === "minimum") && Math.abs(value as number) >= Number.MAX_SAFE_INTEGER) continue;
    if (key === "minItems" && value === 1) continue;
    if (key === "maxLength" || key === "minLength" || key === "pattern" || key === "format") continue;
    if (key === "propertyNames") continue;
    if (key === "minItems" || key === "maxItems") continue;
    if (key === "properties") {
      out.properties = Object.fromEntries(
        Object.entries(value as Record<string, JsonSchema>).map(([name, member]) => [name, lean(member)]),
      );
    } else if (key === "items" || (key === "additionalProperties" && typeof value === "object")) {
      out[key] = lean(value as JsonSchema);
    } else if (key === "anyOf") out.anyOf = (value as JsonSchema[]).map(lean);
    else out[key] = value;
  }
  return out;
}

/** The top level of an answer, types only: enough for a client to check, and open, so that the envelope always fits. */
function outputSchema(tool: Tool): ListedTool["outputSchema"] {
  if (tool.kind === "plan") return { type: "object", properties: { change: { type: "object" } } };
  const full = z.toJSONSchema(tool.output, { io: "output", unrepresentable: "any" }) as JsonSchema;
  const properties = Object.fromEntries(
    Object.entries(full.properties ?? {}).map(([name, member]) => [
      name,
      // A list of types ("number or null") makes some clients reject every tool: such a member is left open.
      typeof member.type === "string" ? { type: member.type } : {},
    ]),
  );
  return { type: "object", properties };
}

/** @throws OpsError validation_error for the first thing wrong, with every other one in its details. */
export function parseInput(entry: CallEntry, given: Readonly<Record<string, unknown>>): JsonObject {
  const asGiven = entry.input.safeParse(given);
  const result = asGiven.success ? asGiven : (mendedInput(entry, given, asGiven.error.issues) ?? asGiven);
  if (result.success) return result.data as JsonObject;
  const problems = result.error.issues.map((issue) => problemOf(issue, Object.keys(entry.input.shape)));
  const first = problems[0]!;
  // A sentence where it can be: "token: word" would be taken for a secret, and made unreadable.
  const between = first.problem.startsWith("is ") ? " " : ": ";
  throw new OpsError("validation_error", `${first.field}${between}${first.problem}.`, {
    field: first.field,
    details: { problems: problems.slice(0, 10), accepts: Object.keys(entry.input.shape) },
  });
}

/**
 * What some clients wrap: `["x"]`, or a list written as text. Only where the argument is wrong as it stands, and only
 * text without escapes, for the inside of that was looked at with the rest of the call.
 */
function unwrapped(
  given: Readonly<Record<string, unknown>>,
  issues: readonly z.core.$ZodIssue[],
): Record<string, unknown> | null {
  const mended = structuredClone(given) as Record<string, unknown>;
  let isMended = false;
  for (const { path } of issues) {
    const last = path.at(-1);
    if (last === undefined) continue;
    const holder = path.slice(0, -1).reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown>)?.[key], mended);
    if (typeof holder !== "object" || holder === null || !Object.hasOwn(holder, last)) continue;
    const inner = innerOf((holder as Record<PropertyKey, unknown>)[last]);
    if (inner === undefined) continue;
    (holder as Record<PropertyKey, unknown>)[last] = inner;
    isMended = true;
  }
  return isMended ? mended : null;
}

/** Text may hold a list of one where one is wanted: so it is unwrapped twice at most. */
function mendedInput(
  { input }: CallEntry,
  given: Readonly<Record<string, unknown>>,
  issues: readonly z.core.$ZodIssue[],
) {
  const once = unwrapped(given, issues);
  if (!once) return null;
  const parsed = input.safeParse(once);
  if (parsed.success) return parsed;
  const twice = unwrapped(once, parsed.error.issues);
  const last = twice && input.safeParse(twice);
  return last?.success ? last : null;
}

const isScalar = (value: unknown): boolean => ["string", "number", "boolean"].includes(typeof value);

/** The one scalar of a list, or the list that a text is; undefined where it is neither. */
function innerOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 1 && isScalar(value[0]) ? value[0] : undefined;
  if (typeof value !== "string" || !/^\s*\[[^\\]*\]\s*$/.test(value)) return undefined;
  try {
    const list = JSON.parse(value) as unknown[];
    return list.length > 0 && list.every(isScalar) ? list : undefined;
  } catch {
    return undefined;
  }
}

function problemOf(issue: z.core.$ZodIssue, known: readonly string[]): { field: string; problem: string } {
  const path = issue.path.map(String).join(".");
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0]!;
    const near =
      path === "" ? known.find((name) => editDistance(name.toLowerCase(), key.toLowerCase()) <= 2) : undefined;
    const field = path ? `${path}.${key}` : key;
    return { field: field.slice(0, 100), problem: `is not an argument here${near ? `; did you mean ${near}` : ""}` };
  }
  if (issue.code === "invalid_type" && issue.message.endsWith("received undefined"))
    return { field: path, problem: "is required" };
  return { field: path || "arguments", problem: issue.message.replace(/\.$/, "") };
}

/** Levenshtein distance, for "did you mean". */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}
