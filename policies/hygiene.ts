// What may not be in the arguments of any call: sizes that nobody means, and attacks in text that controls. Pure.

/** Why a call is refused before anything else looks at it. */
export type HygieneKind =
  | "excessive_nesting"
  | "excessive_keys"
  | "excessive_key_length"
  | "excessive_array_length"
  | "excessive_string_length"
  | "injection_attempt"
  | "null_byte_injection"
  | "control_character";

export interface Unclean {
  readonly kind: HygieneKind;
  /** Where: names and indices joined by dots; names of the caller are cut and cleaned. */
  readonly field: string;
  /** Of an injection: the class of the pattern, never the text. */
  readonly pattern?: string;
  /** Of a size: what is allowed. */
  readonly most?: number;
}

/**
 * What a tool's schema says an argument is. `control` steers the call: names, ids, types, regions. `data` is carried as it is,
 * to AWS or into the record: tag values, descriptions, reasons, scripts; it may have lines, and attacks in it are text like
 * any other. A `document` is data of any form.
 */
export type Argument =
  | { readonly is: "control" | "data"; readonly most?: number }
  | { readonly is: "document" }
  | { readonly is: "list"; readonly of: Argument; readonly most?: number }
  | { readonly is: "object"; readonly members: Readonly<Record<string, Argument>>; readonly rest: Argument }
  | { readonly is: "either"; readonly options: readonly Argument[] };

export const CONTROL: Argument = { is: "control" };

interface Limits {
  readonly depth: number;
  readonly keys: number;
  readonly list: number;
  readonly text: number;
}
const LIMITS: Limits = { depth: 5, keys: 50, list: 1_000, text: 1_024 };
/** Scripts, policies and whole templates are sent as one text; nothing that AWS takes is larger. */
const DATA_TEXT = 65_536;
const DOCUMENT: Limits = { depth: 32, keys: 1_000, list: 10_000, text: 1_048_576 };
const MOST_KEY_LENGTH = 1_024;

/** The first thing wrong with these arguments, else null. An unknown tool has no data: everything given to it is control. */
export function unclean(given: unknown, argument: Argument = CONTROL): Unclean | null {
  return look(given, argument, { field: "", depth: 0, limits: LIMITS });
}

interface Place {
  readonly field: string;
  readonly depth: number;
  readonly limits: Limits;
}

function look(value: unknown, argument: Argument, place: Place): Unclean | null {
  if (typeof value === "string") return lookAtText(value, argument, place);
  if (typeof value !== "object" || value === null) return null;
  const limits = argument.is === "document" ? DOCUMENT : place.limits;
  const field = place.field || "arguments";
  if (place.depth > limits.depth) return { kind: "excessive_nesting", field, most: limits.depth };
  const inside = (name: string): Place => ({
    field: place.field === "" ? name : `${place.field}.${name}`,
    depth: place.depth + 1,
    limits,
  });
  if (Array.isArray(value)) {
    const list = listIn(argument);
    const most = Math.max(limits.list, list?.most ?? 0);
    if (value.length > most) return { kind: "excessive_array_length", field, most };
    return first(value, (item, index) => look(item, list?.of ?? within(argument), inside(String(index))));
  }
  const members = Object.entries(value);
  if (members.length > limits.keys) return { kind: "excessive_keys", field, most: limits.keys };
  return first(members, ([key, member]) => {
    const name = nameOf(key);
    if (key.length > MOST_KEY_LENGTH) return { kind: "excessive_key_length", field: name, most: MOST_KEY_LENGTH };
    const own = memberOf(argument, key);
    // A name of the schema is right by itself; any other is text of the caller.
    return (
      (own.known ? null : lookAtText(key, own.argument, { ...inside(name), limits })) ??
      look(member, own.argument, inside(name))
    );
  });
}

function lookAtText(text: string, argument: Argument, { field, limits }: Place): Unclean | null {
  const { data, most } = textIn(argument, limits);
  if (text.length > most) return { kind: "excessive_string_length", field, most };
  if (text.includes("\0")) return { kind: "null_byte_injection", field };
  if ((data ? CONTROLS_IN_LINES : CONTROLS).test(text)) return { kind: "control_character", field };
  const attack = data ? undefined : PATTERNS.find(([, pattern]) => pattern.test(text));
  return attack ? { kind: "injection_attempt", field, pattern: attack[0] } : null;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /[\u0000-\u001f\u007f]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: tabs and line breaks are text there
const CONTROLS_IN_LINES = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

const first = <T>(items: readonly T[], of: (item: T, index: number) => Unclean | null): Unclean | null => {
  for (const [index, item] of items.entries()) {
    const found = of(item, index);
    if (found) return found;
  }
  return null;
};

const optionsOf = (argument: Argument): readonly Argument[] =>
  argument.is === "either" ? argument.options.flatMap(optionsOf) : [argument];

const listIn = (argument: Argument) =>
  optionsOf(argument).find((one): one is Extract<Argument, { is: "list" }> => one.is === "list");

/** What is inside something that its schema does not take for a container. */
const within = (argument: Argument): Argument =>
  optionsOf(argument).some(({ is }) => is === "document") ? { is: "document" } : CONTROL;

function memberOf(argument: Argument, key: string): { readonly known: boolean; readonly argument: Argument } {
  for (const option of optionsOf(argument)) {
    if (option.is === "object" && Object.hasOwn(option.members, key))
      return { known: true, argument: option.members[key]! };
  }
  const open = optionsOf(argument).find((one): one is Extract<Argument, { is: "object" }> => one.is === "object");
  return { known: false, argument: open?.rest ?? within(argument) };
}

function textIn(argument: Argument, limits: Limits): { readonly data: boolean; readonly most: number } {
  const options = optionsOf(argument);
  if (options.some(({ is }) => is === "document")) return { data: true, most: DOCUMENT.text };
  const data = options.some(({ is }) => is === "data");
  const declared = Math.max(
    0,
    ...options.map((one) => (one.is === "data" || one.is === "control" ? (one.most ?? 0) : 0)),
  );
  return { data, most: Math.max(declared, data ? DATA_TEXT : limits.text) };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they must not come back in an answer
const nameOf = (key: string): string => key.replace(/[\u0000-\u001f\u007f]/g, "?").slice(0, 64);

const COMMAND =
  "(?:rm|del|cat|ls|id|whoami|uname|curl|wget|nc|ncat|bash|sh|zsh|python3?|perl|ruby|node|powershell|cmd|chmod|chown|kill|ping|nslookup|dig|env|printenv|sudo|ssh|scp|tee|base64|echo|sleep|shutdown|reboot|mkfs|dd)";

/**
 * Class → what an attack of it looks like. Nothing here is a shell, a browser or a query: every value is bound or sent as JSON.
 * So these find who is trying, and each is as narrow as to leave ids, ARNs, paths and expressions alone.
 */
export const PATTERNS: readonly (readonly [string, RegExp])[] = [
  ["script", /<\s*\/?\s*(?:script|iframe|object|embed|svg)\b[^>]*>?/i],
  ["script", /\b(?:javascript|vbscript)\s*:/i],
  ["script", /(?:^|[\s"'<>/])on(?:error|load|click|mouseover|focus|blur|submit|change|input|toggle|begin)\s*=/i],
  ["code", /\b(?:eval|exec|system|popen|passthru|shell_exec|compile)\s*\(/i],
  ["code", /\b__(?:import|class|globals|builtins|subclasses)__\b|\bimport\s+(?:os|sys|subprocess|socket|pty)\b/i],
  ["template", /\$\{[^}]*\}?|\{\{|\{%|<%|#\{/],
  ["traversal", /(?:^|[/\\])\.\.[/\\]|\.\.[/\\]/],
  ["traversal", /(?:%2e|%252e|\.|%c0%ae){2}(?:%2f|%5c|%252f|%255c|%c0%af)/i],
  ["traversal", /(?:%2e|%252e|%c0%ae){2}(?:[/\\]|%)/i],
  ["traversal", /\/etc\/(?:passwd|shadow|sudoers|hosts)\b|\/proc\/self\b|\bboot\.ini\b|\bwin\.ini\b/i],
  ["command", /\bcmd(?:\.exe)?\s+\/[ck]\b|\bcmd\.exe\b|\bpowershell(?:\.exe)?\s+-/i],
  ["command", /\/(?:usr\/)?bin\/(?:ba|z|da|k)?sh\b|\/dev\/tcp\//i],
  ["command", new RegExp(`;\\s*(?:${COMMAND}|drop|truncate|delete|insert|update|select|shutdown)\\b`, "i")],
  ["command", new RegExp(`(?:\\|\\||&&)\\s*${COMMAND}\\b`, "i")],
  ["command", new RegExp(`\\|\\s*${COMMAND}\\s|\\s\\|\\s*${COMMAND}\\b`, "i")],
  ["command", /\$\(|`[^`]*`/],
  ["command", /[<>]\(|>\s*\/(?:dev|etc|tmp|var|proc)\//],
  ["sql", /['"]\s*\)*\s*(?:or|and)\b[\s('"]*[\w@%]*[\s)'"]*(?:=|<|>|like\b|is\b|in\b|between\b)/i],
  ["sql", /\b(?:or|and)\s+(['"]?)(\w+)\1\s*=\s*\1\2\1(?:\s|$|--|#|;)/i],
  ["sql", /\bunion\s+(?:all\s+|distinct\s+)?select\b/i],
  ["sql", /\b(?:drop|truncate|alter)\s+(?:table|database|schema)\b/i],
  ["sql", /\b(?:insert\s+into\s+\S+|delete\s+from\s+\S+\s+where|update\s+\S+\s+set)\b/i],
  ["sql", /['"]\s*;?\s*(?:--|#|\/\*)/],
  [
    "sql",
    /\b(?:waitfor\s+delay|benchmark\s*\(|pg_sleep\s*\(|sleep\s*\(\s*\d|xp_cmdshell|load_file\s*\(|into\s+(?:out|dump)file)/i,
  ],
];
