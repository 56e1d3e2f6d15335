// The dynamic half: what a change made stale, said in the answer of the call that caused it, in up to three carriers that agree.
import type { Outcome, Scope } from "./outcome.js";
import { admits, isPlainObject } from "./output-schema.js";

/** How and where the signal is written. Without options: text only, first block. */
export interface SignalOptions {
  readonly text?: "system" | "xml" | false | undefined;
  readonly placement?: "first" | "last" | "merge" | undefined;
  /** Key of the twin in `_meta`, for programs. */
  readonly meta?: string | false | undefined;
  /** Key of the twin in `structuredContent`, for models whose host drops text blocks. */
  readonly structured?: string | false | undefined;
  readonly outcome?: Outcome | undefined;
  readonly at?: string | undefined;
  readonly scope?: Scope | undefined;
  readonly outputSchema?: object | undefined;
  /** The spelling a model sees, for names and patterns alike. */
  readonly toWire?: ((canonical: string) => string) | undefined;
}

/** The same fact for programs: `invalidated` and `causedBy` in the spelling of the text, `patterns` and `tool` canonical. */
export interface SignalTwin {
  readonly invalidated: readonly string[];
  readonly patterns: readonly string[];
  readonly causedBy: string;
  readonly tool: string;
  readonly outcome: Outcome;
  readonly at?: string;
  readonly scope?: Scope;
}

/**
 * A copy of the result that carries the signal; the same result if nothing became stale or it carries one already.
 *
 * @example
 * const result = { content: [{ type: "text", text: "ok" }] };
 * decorateResponse(result, ["sprints.*"], "sprints.update").content[0].text; // => "[System: Cache invalidated for sprints.* — caused by sprints.update]"
 * decorateResponse(result, [], "sprints.list") === result; // => true
 */
export function decorateResponse<R>(
  result: R,
  patterns: readonly string[],
  causedBy: string,
  opts: SignalOptions = {},
): R {
  if (patterns.length === 0 || carriesSignal(result, opts.meta)) return result;
  const twin = twinOf(patterns, causedBy, opts);
  const { content, structuredContent, _meta } = result as ResultLike;
  const { meta, structured, outputSchema } = opts;
  const inStructured = structured && isPlainObject(structuredContent) && !Object.hasOwn(structuredContent, structured);
  return {
    ...result,
    ...placed(sentence(twin, opts.text ?? "system"), content, structuredContent, opts.placement ?? "first"),
    ...(inStructured &&
      admits(outputSchema, structured) && { structuredContent: { ...structuredContent, [structured]: twin } }),
    ...(meta && { _meta: { ...(isPlainObject(_meta) && _meta), [meta]: twin } }),
  };
}

/** Whether a wrapped call has already said it: a tool that runs another tool must not say it twice. */
export function carriesSignal(result: unknown, meta: string | false | undefined): boolean {
  const carrier = meta ? (Object(result) as ResultLike)._meta : undefined;
  return meta !== undefined && meta !== false && isPlainObject(carrier) && Object.hasOwn(carrier, meta);
}

interface ResultLike {
  readonly content?: unknown;
  readonly structuredContent?: unknown;
  readonly _meta?: unknown;
}

function twinOf(patterns: readonly string[], tool: string, { outcome, at, scope, toWire }: SignalOptions): SignalTwin {
  const wire = toWire ?? ((canonical: string) => canonical);
  return {
    invalidated: patterns.map((pattern) => wire(pattern)),
    patterns: [...patterns],
    causedBy: wire(tool),
    tool,
    outcome: outcome ?? "applied",
    ...(at !== undefined && { at }),
    ...(scope !== undefined && { scope }),
  };
}

function sentence({ invalidated, causedBy, outcome }: SignalTwin, form: "system" | "xml" | false): string | false {
  const domains = invalidated.join(", ");
  const unsure = outcome === "unknown";
  if (form === "xml") {
    const doubt = unsure ? ' outcome="unknown"' : "";
    return `<cache_invalidation cause="${xmlSafe(causedBy)}" domains="${xmlSafe(domains)}"${doubt} />`;
  }
  const doubt = unsure ? " (outcome unknown)" : "";
  return form && `[System: Cache invalidated for ${bracketSafe(domains)} — caused by ${bracketSafe(causedBy)}${doubt}]`;
}

// A host may show the first block only, or drop text when there is structure: so first by default, and a structured-only result gets its JSON.
function placed(
  signal: string | false,
  content: unknown,
  structuredContent: unknown,
  placement: string,
): { content?: unknown[] } {
  const missing = content === undefined || content === null;
  if (signal === false || !(missing || Array.isArray(content))) return {};
  const json = structuredContent === undefined ? [] : [textBlock(JSON.stringify(structuredContent))];
  const blocks: readonly unknown[] = missing ? json : content;
  if (placement === "last") return { content: [...blocks, textBlock(signal)] };
  const first = placement === "merge" ? blocks.findIndex(isTextBlock) : -1;
  if (first < 0) return { content: [textBlock(signal), ...blocks] };
  return {
    content: blocks.map((b, i) => (i === first && isTextBlock(b) ? { ...b, text: `${signal}\n${b.text}` } : b)),
  };
}

function textBlock(text: string): { type: "text"; text: string } {
  return { type: "text", text };
}

function isTextBlock(block: unknown): block is { type: "text"; text: string } {
  const { type, text } = Object(block) as { type?: unknown; text?: unknown };
  return type === "text" && typeof text === "string";
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function xmlSafe(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

function bracketSafe(text: string): string {
  return text.replace(/[[\]\p{Cc}]/gu, (c) => `\\u${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
}
