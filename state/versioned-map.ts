// A map whose older versions stay as they were: what a reader holds never changes under it, and a write costs little.

/** Below this many recent writes a version copies them; above it they are merged into a new base. */
const MIN_RECENT = 32;

/**
 * An immutable map: a large base shared by all versions, and the few keys written since. A write copies the recent
 * keys only, about the square root of the size, so folding a commit into 10,000 resources does not copy 10,000.
 * Iteration runs over the base first, then over keys added since, each in the order of arrival.
 */
class VersionedMap<V> implements ReadonlyMap<string, V> {
  readonly size: number;

  constructor(
    private readonly base: ReadonlyMap<string, V>,
    private readonly recent: ReadonlyMap<string, V | undefined>,
    size: number,
  ) {
    this.size = size;
  }

  get(key: string): V | undefined {
    return this.recent.has(key) ? this.recent.get(key) : this.base.get(key);
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  /** The next version; `undefined` removes the key. */
  with(key: string, value: V | undefined): VersionedMap<V> {
    const before = this.has(key) ? 1 : 0;
    const size = this.size - before + (value === undefined ? 0 : 1);
    const recent = new Map(this.recent).set(key, value);
    if (recent.size <= Math.max(MIN_RECENT, Math.sqrt(this.base.size)))
      return new VersionedMap(this.base, recent, size);
    const base = new Map(this.base);
    for (const [changed, now] of recent) {
      if (now === undefined) base.delete(changed);
      else base.set(changed, now);
    }
    return new VersionedMap(base, new Map(), size);
  }

  *entries(): MapIterator<[string, V]> {
    for (const [key, value] of this.base) {
      const now = this.recent.has(key) ? this.recent.get(key) : value;
      if (now !== undefined) yield [key, now];
    }
    for (const [key, value] of this.recent) {
      if (value !== undefined && !this.base.has(key)) yield [key, value];
    }
  }

  *keys(): MapIterator<string> {
    for (const [key] of this.entries()) yield key;
  }

  *values(): MapIterator<V> {
    for (const [, value] of this.entries()) yield value;
  }

  /** Without a pair made for each entry: what looks at all of a large map uses this. */
  forEach(each: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    this.base.forEach((value, key) => {
      const now = this.recent.has(key) ? this.recent.get(key) : value;
      if (now !== undefined) each(now, key, this);
    });
    this.recent.forEach((value, key) => {
      if (value !== undefined && !this.base.has(key)) each(value, key, this);
    });
  }

  [Symbol.iterator](): MapIterator<[string, V]> {
    return this.entries();
  }
}

/** A map with one key set, or removed where `value` is undefined. The map it was made from stays as it was. */
export function withKey<V>(map: ReadonlyMap<string, V>, key: string, value: V | undefined): ReadonlyMap<string, V> {
  const versioned = map instanceof VersionedMap ? map : new VersionedMap<V>(map, new Map(), map.size);
  return versioned.with(key, value);
}
