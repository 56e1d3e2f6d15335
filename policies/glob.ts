// Globs over dotted names: exact, total, linear in memory, and never giving up: a matcher that stops early drops a policy.

/** Steps that suffice for the largest validated pattern (16 segments) against the longest name (32); proven by a test, never a cut-off. */
export const MAX_ITERATIONS = 1024;

/**
 * Whether a dotted name fits a pattern: `*` is exactly one segment, `**` is zero or more, everything else is literal.
 *
 * @example
 * matchGlob("sprints.*", "sprints.get"); // => true
 * matchGlob("sprints.*", "sprints.tasks.get"); // => false
 * matchGlob("sprints.**", "sprints"); // => true
 */
export function matchGlob(pattern: string, name: string): boolean {
  return matchSegments(pattern.split("."), name.split("."));
}

/** The same for split text, so that a caller with many names splits each once. At most one step per pair of segments, and one per segment. */
export function matchSegments(pattern: readonly string[], name: readonly string[]): boolean {
  let p = 0;
  let n = 0;
  let afterStars = -1; // behind the latest `**`; earlier ones never need a second look
  let resumeAt = 0;
  while (n < name.length) {
    const segment = pattern[p];
    if (segment === "**") {
      afterStars = ++p;
      if (afterStars === pattern.length) return true;
      resumeAt = n;
    } else if (segment !== undefined && (segment === "*" || segment === name[n])) {
      p++;
      n++;
    } else if (afterStars >= 0) {
      p = afterStars;
      n = ++resumeAt;
    } else {
      return false;
    }
  }
  while (pattern[p] === "**") p++;
  return p === pattern.length;
}

/**
 * Whether every name matched by `pattern` is matched by some pattern of the list. Exact: the list's automata run together
 * (one bit a position) against each position of `pattern`, so a union covers what no single member does.
 *
 * @example
 * covers(["sprints.**"], "sprints.*"); // => true
 * covers(["a.*"], "a.**"); // => false
 * covers(["*", "*.**.*"], "**"); // => true
 */
export function covers(patterns: readonly string[], pattern: string): boolean {
  const target = nonEmpty(pattern.split("."));
  const union = automaton(patterns.map((p) => p.split(".")));
  const alphabet = new Set([...target, ...union.literals, OTHER].filter((s) => s !== "*" && s !== "**"));
  const seen = new Set<string>();
  const open: [position: number, states: bigint][] = [[0, union.start]];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [position, states] = next;
    const key = `${position} ${states}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const segment = target[position];
    if (segment === undefined) {
      if (!union.accepts(states)) return false;
      continue;
    }
    if (segment === "**") open.push([position + 1, states]);
    for (const symbol of segment === "*" || segment === "**" ? alphabet : [segment]) {
      open.push([segment === "**" ? position : position + 1, union.step(states, symbol)]);
    }
  }
  return true;
}

/**
 * Whether some name is matched by both patterns. Exact: the product of the two segment automata, each pair of positions once.
 *
 * @example
 * intersects("a.*", "*.get"); // => true
 * intersects("a.*", "b.**"); // => false
 */
export function intersects(a: string, b: string): boolean {
  const left = a.split(".");
  const right = b.split(".");
  const agree = (x: string, y: string) => x === "*" || y === "*" || x === y;
  let below: boolean[] = []; // row i + 1: can left[i+1..] and right[j..] both be satisfied by one name?
  for (let i = left.length; i >= 0; i--) {
    const row: boolean[] = [];
    for (let j = right.length; j >= 0; j--) {
      const x = left[i];
      const y = right[j];
      if (x === "**") row[j] = Boolean(below[j] || row[j + 1]);
      else if (y === "**") row[j] = Boolean(row[j + 1] || below[j]);
      else if (x === undefined || y === undefined) row[j] = x === y;
      else row[j] = Boolean(agree(x, y) && below[j + 1]);
    }
    below = row;
  }
  return below[0] === true;
}

// A segment never holds a dot, so a dot stands for every literal that no pattern mentions.
const OTHER = ".";

// A name has at least one segment. Only a pattern of nothing but `**` also accepts none; `*.**` is the same set of names.
function nonEmpty(segments: readonly string[]): readonly string[] {
  return segments.every((s) => s === "**") ? ["*", "**"] : segments;
}

interface Automaton {
  readonly literals: readonly string[];
  readonly start: bigint;
  step(states: bigint, symbol: string): bigint;
  accepts(states: bigint): boolean;
}

// All patterns side by side in one set of bits, one bit per position and one behind the last: a step is a mask and a shift.
function automaton(patterns: readonly (readonly string[])[]): Automaton {
  const bySymbol = new Map<string, bigint>();
  let [starts, ends, stars, singles, bit] = [0n, 0n, 0n, 0n, 1n];
  for (const segments of patterns) {
    starts |= bit;
    for (const segment of segments) {
      if (segment === "**") stars |= bit;
      else if (segment === "*") singles |= bit;
      else bySymbol.set(segment, (bySymbol.get(segment) ?? 0n) | bit);
      bit <<= 1n;
    }
    ends |= bit;
    bit <<= 1n;
  }
  const skipStars = (states: bigint): bigint => {
    let reached = states;
    for (let before = 0n; reached !== before; ) {
      before = reached;
      reached |= (reached & stars) << 1n;
    }
    return reached;
  };
  return {
    literals: [...bySymbol.keys()],
    start: skipStars(starts),
    step: (states, symbol) => skipStars((states & stars) | ((states & (singles | (bySymbol.get(symbol) ?? 0n))) << 1n)),
    accepts: (states) => (states & ends) !== 0n,
  };
}
