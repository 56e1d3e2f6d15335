// Pure rules over a type's facts: what a read shows, what a write may hold. The error names are those seen from the real service.
import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { CloudControlError } from "./errors.js";
import { at, type Json, type Properties, stable } from "./json.js";
import { type Birth, type Place, type TypeFacts, types } from "./types.js";

export function factsOf(typeName: string): TypeFacts {
  const facts = types[typeName];
  if (!facts) throw new CloudControlError("TypeNotFoundException", `The type '${typeName}' cannot be found.`);
  return facts;
}

export function identifierOf(facts: TypeFacts, properties: Properties): string {
  return facts.identifier.map((name) => String(properties[name])).join("|");
}

/** The identifier's own properties, as a partial model. */
export function identity(facts: TypeFacts, identifier: string): Properties {
  const values = identifier.split("|");
  return Object.fromEntries(facts.identifier.map((name, position) => [name, values[position] ?? ""]));
}

/** A new resource: defaults under what was given, issued values over it. */
export function born(facts: TypeFacts, given: Properties, birth: Birth): Properties {
  const whole = { ...facts.defaults(given, birth), ...structuredClone(given) };
  return { ...whole, ...facts.issued(given, birth) };
}

/** Deterministic ids: the n-th resource of an account and region has the same id in every run. */
export function birthAt(place: Place, serial: number): Birth {
  const digits = createHash("sha256").update(`${place.account}/${place.region}/${serial}`).digest("hex");
  return { ...place, id: (hex) => digits.slice(0, hex) };
}

/** What a read handler returns: no write-only values, arrays in the service's order, or the other way round. */
export function visible(facts: TypeFacts, properties: Properties, backwards = false): Properties {
  const shown = structuredClone(properties);
  for (const path of facts.writeOnly) for (const { set } of at(shown, path)) set(undefined);
  for (const path of facts.unordered) {
    for (const { value, set } of at(shown, path))
      if (Array.isArray(value)) set(backwards ? shuffled(value).reverse() : shuffled(value));
  }
  return shown;
}

/** An order that depends on the elements only, and is nobody's expectation. */
function shuffled(items: readonly Json[]): Json[] {
  const rank = (item: Json) => createHash("sha256").update(stable(item)).digest("hex");
  return [...items].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
}

export function checkCreate(facts: TypeFacts, desired: Properties): void {
  checkShape(facts, desired);
  const given = facts.readOnly.filter((path) => at(desired, path).length > 0);
  if (given.length > 0) throw invalid(`Invalid request: readOnlyProperties ${listed(given)} cannot be specified`);
}

export function checkUpdate(facts: TypeFacts, before: Properties, after: Properties): void {
  const changed = (path: string) => !isDeepStrictEqual(valuesAt(before, path), valuesAt(after, path));
  for (const [name, paths] of [
    ["createOnlyProperties", facts.createOnly],
    ["readOnlyProperties", facts.readOnly],
  ] as const) {
    const touched = paths.filter(changed);
    if (touched.length === 0) continue;
    throw new CloudControlError(
      "NotUpdatableException",
      `Invalid patch update: ${name} ${listed(touched)} cannot be updated`,
    );
  }
  checkShape(facts, after);
}

function checkShape(facts: TypeFacts, model: Properties): void {
  const unknown = Object.keys(model).filter((name) => !facts.properties.includes(name));
  const missing = facts.required.filter((name) => !Object.hasOwn(model, name));
  const faults = [
    ...unknown.map((name) => `#: extraneous key [${name}] is not permitted`),
    ...missing.map((name) => `#: required key [${name}] not found`),
  ];
  if (faults.length > 0) throw invalid(`Model validation failed (${faults.join("\n")})`);
}

function valuesAt(document: Properties, path: string): Json[] {
  return at(document, path).map(({ value }) => value);
}

function listed(paths: readonly string[]): string {
  return `[${paths.map((path) => `/properties/${path}`).join(", ")}]`;
}

export function invalid(message: string): CloudControlError {
  return new CloudControlError("ValidationException", message);
}
