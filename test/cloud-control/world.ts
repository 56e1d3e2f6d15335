// The scripted account's resources, partitioned by account and region. The test's own hand on it is the outsider's: no request, no trace.
import type { Properties } from "./json.js";
import { birthAt, born, factsOf, identifierOf, identity } from "./model.js";
import type { Place } from "./types.js";

interface Resource {
  properties: Properties;
  /** Reads that still say not found, as right after a create. */
  hidden: number;
}

export class World {
  readonly #shelves = new Map<string, Map<string, Resource>>();
  /** What the service has come to list the other way round: resources by their place, type and identifier. */
  readonly #backwards = new Set<string>();
  #serial = 0;

  constructor(private readonly home: Place) {}

  /** Everything, write-only values included; undefined when there is no such resource. */
  get(type: string, identifier: string, place: Partial<Place> = {}): Properties | undefined {
    const found = this.#shelf(type, place).get(identifier);
    return found && structuredClone(found.properties);
  }

  /** Makes or replaces a resource behind everybody's back. Absent defaults and read-only values are filled in. */
  put(type: string, identifier: string, properties: Properties, place: Partial<Place> = {}): void {
    const facts = factsOf(type);
    const given = { ...properties, ...identity(facts, identifier) };
    const whole = { ...born(facts, given, this.birth(place)), ...given };
    this.#shelf(type, place).set(identifier, { properties: whole, hidden: 0 });
  }

  remove(type: string, identifier: string, place: Partial<Place> = {}): boolean {
    return this.#shelf(type, place).delete(identifier);
  }

  /** Sorted, so that pages repeat. */
  identifiers(type: string, place: Partial<Place> = {}): string[] {
    return [...this.#shelf(type, place).keys()].sort();
  }

  /** As the read handler sees it: undefined also while hidden, and each such read uncovers it a little. */
  read(type: string, identifier: string, place: Place): Properties | undefined {
    const found = this.#shelf(type, place).get(identifier);
    if (!found) return undefined;
    if (found.hidden > 0) {
      found.hidden -= 1;
      return undefined;
    }
    return structuredClone(found.properties);
  }

  /** The service lists what has no order the other way round from now on. */
  relist(type: string, identifier: string, place: Partial<Place> = {}): void {
    const key = this.#key(type, place, identifier);
    if (!this.#backwards.delete(key)) this.#backwards.add(key);
  }

  isBackwards(type: string, identifier: string, place: Partial<Place> = {}): boolean {
    return this.#backwards.has(this.#key(type, place, identifier));
  }

  /** The service's own hand: exactly these properties. */
  store(type: string, properties: Properties, place: Place, hidden = 0): void {
    this.#shelf(type, place).set(identifierOf(factsOf(type), properties), { properties, hidden });
  }

  birth(place: Partial<Place> = {}) {
    this.#serial += 1;
    return birthAt({ ...this.home, ...place }, this.#serial);
  }

  clear(): void {
    this.#shelves.clear();
    this.#backwards.clear();
    this.#serial = 0;
  }

  #key(type: string, place: Partial<Place>, identifier = ""): string {
    const { account, region } = { ...this.home, ...place };
    return `${account}/${region}/${type}/${identifier}`;
  }

  #shelf(type: string, place: Partial<Place>): Map<string, Resource> {
    const key = this.#key(type, place);
    const shelf = this.#shelves.get(key) ?? new Map<string, Resource>();
    this.#shelves.set(key, shelf);
    return shelf;
  }
}
