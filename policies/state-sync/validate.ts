// Every mistake in a configuration is found here, before the first call: the first one is thrown as a plain Error.
import { PATTERN_LIMITS, VALID_DIRECTIVES } from "./policy.js";

const SEGMENT = /^(?:\*|\*\*|[A-Za-z0-9_-]+)$/;
const POLICY_KEYS = ["match", "cacheControl", "invalidates"] as const;
const DEFAULTS_KEYS = ["cacheControl"] as const;
const ACCEPT_KEYS = ["code", "match", "because"] as const;
const CONFIG_KEYS = [
  "policies",
  "defaults",
  "onInvalidation",
  "notificationSink",
  "signal",
  "staleUri",
  "names",
  "classify",
  "onError",
  "clock",
  "strict",
  "accept",
] as const;
const FUNCTIONS = ["onInvalidation", "notificationSink", "classify", "onError", "clock"] as const;
const SIGNAL_VALUES = {
  text: ["system", "xml", false],
  placement: ["first", "last", "merge"],
  meta: ["any non-empty string", false],
  structured: ["any non-empty string", false],
  emptyDescription: ["tag", "space-tag"],
} as const;

/**
 * Throws on the first row that could not do what it says.
 *
 * @example
 * validatePolicies([{ match: "sprints.*", cacheControl: "no-store" }]); // => undefined
 */
export function validatePolicies(policies: unknown): void {
  if (!Array.isArray(policies)) throw new Error("StateSync: 'policies' must be an array");
  for (let index = 0; index < policies.length; index++) validatePolicy(policies[index], index);
}

/**
 * Throws if the default is not one of the two directives. No defaults are fine.
 *
 * @example
 * validateDefaults({ cacheControl: "no-store" }); // => undefined
 */
export function validateDefaults(defaults?: unknown): void {
  if (defaults === undefined) return;
  const where = "StateSync defaults";
  const { cacheControl } = record(defaults, where, DEFAULTS_KEYS);
  if (isDirective(cacheControl)) return;
  throw new Error(`${where}: Default cacheControl ${quoted(cacheControl)} is invalid; ${DIRECTIVES}`);
}

/** The whole configuration of a layer, rows and defaults included. */
export function validateConfig(config: unknown): void {
  const where = "StateSync config";
  const given = record(config, where, CONFIG_KEYS);
  validatePolicies(given.policies);
  validateDefaults(given.defaults);
  for (const key of FUNCTIONS) {
    if (given[key] !== undefined && typeof given[key] !== "function")
      throw new Error(`${where}: '${key}' must be a function`);
  }
  if (given.staleUri !== undefined && typeof given.staleUri !== "string" && typeof given.staleUri !== "function") {
    throw new Error(`${where}: 'staleUri' must be a string or a function`);
  }
  if (given.strict !== undefined && typeof given.strict !== "boolean") {
    throw new Error(`${where}: 'strict' must be true or false`);
  }
  if (given.signal !== undefined) validateSignal(given.signal, `${where} signal`);
  if (given.names !== undefined) validateNames(given.names, `${where} names`);
  if (given.accept !== undefined) validateAccept(given.accept, where);
}

function validatePolicy(policy: unknown, index: number): void {
  if (!isRecord(policy)) throw new Error(`StateSync policy[${index}]: must be an object`);
  const { match, cacheControl, invalidates } = policy;
  const where = `StateSync policy[${index}] (match: ${quoted(match)})`;
  knownKeys(policy, where, POLICY_KEYS);
  if (typeof match !== "string" || match === "") throw new Error(`${where}: 'match' must be a non-empty string`);
  validatePattern(match, where);
  if (!isDirective(cacheControl)) {
    throw new Error(`${where}: invalid cacheControl ${quoted(cacheControl)}; ${DIRECTIVES}`);
  }
  if (invalidates === undefined) return;
  if (!Array.isArray(invalidates)) throw new Error(`${where}: 'invalidates' must be an array`);
  for (let at = 0; at < invalidates.length; at++) {
    const pattern: unknown = invalidates[at];
    if (typeof pattern !== "string" || pattern === "") {
      throw new Error(`${where}: 'invalidates' entries must be non-empty strings (index ${at})`);
    }
    validatePattern(pattern, where);
  }
}

function validatePattern(pattern: string, where: string): void {
  const segments = pattern.split(".");
  const { characters, segments: most } = PATTERN_LIMITS;
  if (pattern.length > characters || segments.length > most) {
    const size = `${pattern.length} characters, ${segments.length} segments`;
    throw new Error(`${where}: pattern too long (${size}; at most ${characters} and ${most})`);
  }
  const wrong = segments.find((segment) => !SEGMENT.test(segment));
  if (wrong === undefined) return;
  const allowed = 'a segment is "*", "**" or letters, digits, "_" and "-" ([A-Za-z0-9_-]+)';
  throw new Error(`${where}: invalid segment ${quoted(wrong)} in pattern ${quoted(pattern)}; ${allowed}`);
}

function validateSignal(signal: unknown, where: string): void {
  const keys = Object.keys(SIGNAL_VALUES) as (keyof typeof SIGNAL_VALUES)[];
  const given = record(signal, where, keys);
  for (const key of keys) {
    const value = given[key];
    const allowed: readonly unknown[] = SIGNAL_VALUES[key];
    const fits = key === "meta" || key === "structured" ? isText(value) || value === false : allowed.includes(value);
    if (value !== undefined && !fits)
      throw new Error(`${where}: '${key}' must be one of ${allowed.map(String).join(", ")}`);
  }
}

function validateNames(names: unknown, where: string): void {
  const { toWire, toCanonical } = isRecord(names) ? names : {};
  if (typeof toWire === "function" && typeof toCanonical === "function") return;
  throw new Error(`${where}: 'toWire' and 'toCanonical' must both be functions`);
}

function validateAccept(accept: unknown, where: string): void {
  if (!Array.isArray(accept)) throw new Error(`${where}: 'accept' must be an array`);
  for (const [index, entry] of accept.entries()) {
    const given = record(entry, `${where} accept[${index}]`, ACCEPT_KEYS);
    const missing = ACCEPT_KEYS.find((key) => !isText(given[key]));
    if (missing) throw new Error(`${where} accept[${index}]: '${missing}' must be a non-empty string`);
  }
}

const DIRECTIVES = `use ${[...VALID_DIRECTIVES].map((d) => `"${d}"`).join(" or ")}`;

function isDirective(value: unknown): boolean {
  return value === undefined || (typeof value === "string" && VALID_DIRECTIVES.has(value));
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function record(value: unknown, where: string, keys: readonly string[]): Record<string, unknown> {
  if (!isRecord(value)) throw new Error(`${where}: must be an object`);
  knownKeys(value, where, keys);
  return value;
}

function knownKeys(value: object, where: string, keys: readonly string[]): void {
  const unknown = Object.keys(value).find((key) => !keys.includes(key));
  if (unknown === undefined) return;
  const near = keys.find((key) => isNear(unknown.toLowerCase(), key.toLowerCase()));
  const hint = near === undefined ? `known keys: ${keys.join(", ")}` : `did you mean "${near}"?`;
  throw new Error(`${where}: unknown key ${quoted(unknown)}; ${hint}`);
}

// One the beginning of the other, or a third of the letters away.
function isNear(a: string, b: string): boolean {
  if (a.length > 2 && (a.startsWith(b) || b.startsWith(a))) return true;
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row[j] = Math.min(above[j]! + 1, row[j - 1]! + 1, swap);
    }
  }
  return row[b.length]! <= Math.ceil(b.length / 3);
}

function quoted(value: unknown): string {
  return typeof value === "object" && value !== null ? "an object" : JSON.stringify(String(value));
}
