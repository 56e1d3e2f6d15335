// Value patterns of a tagging policy: Python's syntax, anchored at the start, matched in a time that no value can stretch. Pure.

export interface Pattern {
  test(value: string): boolean;
}

type Node =
  | { readonly kind: "char"; readonly has: (char: string) => boolean }
  | { readonly kind: "assert"; readonly holds: (text: readonly string[], at: number) => boolean }
  | { readonly kind: "sequence"; readonly parts: readonly Node[] }
  | { readonly kind: "choice"; readonly parts: readonly Node[] }
  | { readonly kind: "repeat"; readonly of: Node; readonly least: number; readonly most: number };

/** States of one automaton: a counted repetition is written out, so counts multiply. */
const MOST_STATES = 4_000;
/** Values are 256 characters in AWS; what is longer is no tag value. */
const LONGEST_VALUE = 1_024;

class Unmatchable extends Error {}

const isWord = (char: string | undefined): boolean => char !== undefined && /[\p{L}\p{N}_]/u.test(char);
const CLASSES: Readonly<Record<string, (char: string) => boolean>> = {
  d: (char) => /\p{Nd}/u.test(char),
  w: isWord,
  s: (char) => /\s/.test(char),
  D: (char) => !/\p{Nd}/u.test(char),
  W: (char) => !isWord(char),
  S: (char) => !/\s/.test(char),
};
const CONTROLS: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  f: "\f",
  v: "\v",
  a: "\x07",
  "0": "\0",
};

/** Python's leading flags; everything else of its syntax is read as it stands. */
function flagsOf(source: string): { readonly body: string; readonly ignoreCase: boolean; readonly dotAll: boolean } {
  const found = /^\(\?([aimsxuL]+)\)/.exec(source);
  if (!found) return { body: source, ignoreCase: false, dotAll: false };
  const flags = found[1]!;
  if (/[mxL]/.test(flags)) throw new Unmatchable(`the flag ${flags.match(/[mxL]/)![0]} is not supported`);
  return { body: source.slice(found[0].length), ignoreCase: flags.includes("i"), dotAll: flags.includes("s") };
}

/** Reads a pattern into a tree. @throws Unmatchable for what is no pattern, or looks around or back. */
function parse(source: string): Node {
  const { body, ignoreCase, dotAll } = flagsOf(source);
  const text = [...body];
  let at = 0;
  const fail = (why: string): never => {
    throw new Unmatchable(why);
  };
  const same = (a: string): ((char: string) => boolean) => {
    const folded = a.toLowerCase();
    return ignoreCase ? (char) => char.toLowerCase() === folded : (char) => char === a;
  };

  function choice(): Node {
    const parts = [sequence()];
    while (text[at] === "|") {
      at++;
      parts.push(sequence());
    }
    return parts.length === 1 ? parts[0]! : { kind: "choice", parts };
  }

  function sequence(): Node {
    const parts: Node[] = [];
    while (at < text.length && text[at] !== "|" && text[at] !== ")") parts.push(repeated());
    return { kind: "sequence", parts };
  }

  function repeated(): Node {
    let node = atom();
    for (let bounds = quantifier(); bounds; bounds = quantifier()) {
      const [least, most] = bounds;
      // Greedy or not is one for whether there is a match.
      if (text[at] === "?") at++;
      else if (text[at] === "+" || text[at] === "*") fail("possessive and repeated quantifiers are not supported");
      node = { kind: "repeat", of: node, least, most };
    }
    return node;
  }

  function quantifier(): readonly [number, number] | null {
    const sign = text[at];
    if (sign === "*" || sign === "+" || sign === "?") {
      at++;
      return sign === "*" ? [0, Number.POSITIVE_INFINITY] : sign === "+" ? [1, Number.POSITIVE_INFINITY] : [0, 1];
    }
    const counted = sign === "{" && /^\{(\d*)(,?)(\d*)\}/.exec(text.slice(at, at + 16).join(""));
    if (!counted || (counted[1] === "" && counted[3] === "")) return null;
    at += counted[0].length;
    const least = Number(counted[1] || 0);
    const most = counted[2] === "" ? least : counted[3] === "" ? Number.POSITIVE_INFINITY : Number(counted[3]);
    return most < least ? fail("a count ends below its start") : [least, most];
  }

  function atom(): Node {
    const char = text[at++]!;
    if (char === "(") return group();
    if (char === "[") return { kind: "char", has: set() };
    if (char === ".") return { kind: "char", has: dotAll ? () => true : (one) => one !== "\n" };
    if (char === "^") return { kind: "assert", holds: (_, here) => here === 0 };
    if (char === "$") {
      return {
        kind: "assert",
        holds: (all, here) => here === all.length || (here === all.length - 1 && all[here] === "\n"),
      };
    }
    if (char === "\\") return escaped();
    if (char === "*" || char === "+" || char === "?") fail("there is nothing to repeat");
    return { kind: "char", has: same(char) };
  }

  function group(): Node {
    const rest = text.slice(at).join("");
    const opening = /^(\?:|\?P<[A-Za-z_]\w*>|\?<[A-Za-z_]\w*>)/.exec(rest);
    if (rest.startsWith("?") && !opening) fail("looking around or back is not supported here");
    at += opening?.[0].length ?? 0;
    const inner = choice();
    if (text[at++] !== ")") fail("a group is not closed");
    return inner;
  }

  function escaped(): Node {
    const char = text[at++];
    if (char === undefined) return fail("it ends in a backslash");
    if (char === "A") return { kind: "assert", holds: (_, here) => here === 0 };
    if (char === "Z") return { kind: "assert", holds: (all, here) => here === all.length };
    if (char === "b" || char === "B") {
      return {
        kind: "assert",
        holds: (all, here) => (isWord(all[here - 1]) !== isWord(all[here])) === (char === "b"),
      };
    }
    const known = CLASSES[char];
    if (known) return { kind: "char", has: known };
    if (/[1-9]/.test(char)) fail("looking back at a group is not supported here");
    return { kind: "char", has: same(literal(char)) };
  }

  /** The character an escape stands for. */
  function literal(char: string): string {
    const digits = char === "x" ? 2 : char === "u" ? 4 : char === "U" ? 8 : 0;
    if (digits > 0) {
      const code = text.slice(at, at + digits).join("");
      if (!new RegExp(`^[0-9a-fA-F]{${digits}}$`).test(code)) fail("an escape is not complete");
      at += digits;
      const point = Number.parseInt(code, 16);
      return point <= 0x10ffff ? String.fromCodePoint(point) : fail("an escape names no character");
    }
    const control = CONTROLS[char];
    if (control !== undefined) return control;
    if (/[A-Za-z0-9]/.test(char)) fail("an escape is not known");
    return char;
  }

  function set(): (char: string) => boolean {
    const negated = text[at] === "^";
    if (negated) at++;
    const members: ((char: string) => boolean)[] = [];
    for (let first = true; text[at] !== "]" || first; first = false) {
      if (at >= text.length) fail("a set is not closed");
      const low = member();
      if (typeof low === "function" || text[at] !== "-" || text[at + 1] === "]" || text[at + 1] === undefined) {
        members.push(typeof low === "function" ? low : same(low));
        continue;
      }
      at++;
      const high = member();
      if (typeof high === "function" || high < low) return fail("a range is not one");
      const within = (char: string) => char >= low && char <= high;
      members.push(ignoreCase ? (char) => within(char.toLowerCase()) || within(char.toUpperCase()) : within);
    }
    at++;
    return (char) => members.some((has) => has(char)) !== negated;
  }

  function member(): string | ((char: string) => boolean) {
    const char = text[at++]!;
    if (char !== "\\") return char;
    const sign = text[at++];
    if (sign === undefined) return fail("it ends in a backslash");
    return CLASSES[sign] ?? (sign === "b" ? "\b" : literal(sign));
  }

  const node = choice();
  if (at < text.length) fail("a group is closed that was not opened");
  return node;
}

/** One state: what it reads or asserts, and where it leads. */
interface State {
  readonly has?: (char: string) => boolean;
  readonly holds?: (text: readonly string[], at: number) => boolean;
  readonly next: number[];
}

/** A tree as an automaton: all ways are followed at once, so the time is that of the value times the states. */
function automaton(tree: Node): readonly State[] {
  const states: State[] = [];
  const add = (state: State): number => {
    if (states.length >= MOST_STATES) throw new Unmatchable("it is too large");
    return states.push(state) - 1;
  };
  // Built from the end: `to` is where a match of the node leads.
  function build(node: Node, to: number): number {
    switch (node.kind) {
      case "char":
        return add({ has: node.has, next: [to] });
      case "assert":
        return add({ holds: node.holds, next: [to] });
      case "sequence":
        return node.parts.reduceRight((after, part) => build(part, after), to);
      case "choice":
        return add({ next: node.parts.map((part) => build(part, to)) });
      case "repeat": {
        let after = to;
        if (node.most === Number.POSITIVE_INFINITY) {
          const loop: State = { next: [to] };
          after = add(loop);
          loop.next.push(build(node.of, after));
        } else {
          for (let count = node.least; count < node.most; count++) after = add({ next: [to, build(node.of, after)] });
        }
        for (let count = 0; count < node.least; count++) after = build(node.of, after);
        return after;
      }
    }
  }
  const end = add({ next: [] });
  const start = build(tree, end);
  return [...states, { next: [start] }];
}

function matches(states: readonly State[], text: readonly string[]): boolean {
  let current = new Set<number>([states.length - 1]);
  for (let at = 0; ; at++) {
    // A set keeps the order of insertion, and what is added while it is walked is walked too.
    for (const index of current) {
      if (index === 0) return true;
      const { has, holds, next } = states[index]!;
      if (has || (holds && !holds(text, at))) continue;
      for (const to of next) current.add(to);
    }
    if (at >= text.length) return false;
    const reached = new Set<number>();
    for (const index of current) {
      const { has, next } = states[index]!;
      if (has?.(text[at]!)) reached.add(next[0]!);
    }
    if (reached.size === 0) return false;
    current = reached;
  }
}

const ANCHORS: Readonly<Record<string, string>> = { "\\A": "^", "\\Z": "$(?!\\n)" };

/** Python's spelling of what JavaScript's engine needs for looking around and back. */
const translated = (source: string): RegExp => {
  const { body, ignoreCase, dotAll } = flagsOf(source);
  const text = body
    .replace(/\(\?P<([A-Za-z_]\w*)>/g, "(?<$1>")
    .replace(/\(\?P=([A-Za-z_]\w*)\)/g, "\\k<$1>")
    .replace(/\\[\s\S]/g, (sign) => ANCHORS[sign] ?? sign);
  return new RegExp(`^(?:${text})`, `${ignoreCase ? "i" : ""}${dotAll ? "s" : ""}`);
};

/** A pattern without what escapes and sets stand for, where only references to groups keep their backslash. */
const syntaxOf = (source: string): string =>
  source.replace(/\\([1-9])|\\[\s\S]/g, (sign, group) => (group ? sign : "x")).replace(/\[\^?\]?[^\]]*\]/g, "x");

const looksAround = (source: string): boolean => /\(\?(<?[=!]|P=)|\\[1-9]/.test(syntaxOf(source));

/** Without a group under a quantifier, and few loops, backtracking stays within a power of a short value's length. */
const boundedBacktracking = (source: string): boolean => {
  const syntax = syntaxOf(source);
  return !/\)[*+{?]/.test(syntax) && (syntax.match(/[*+]|\{\d*,\d*\}/g)?.length ?? 0) <= 2;
};

/**
 * The matcher of a policy's pattern, or why there is none.
 * @example compilePattern("CC-\\d{4}").pattern?.test("CC-12345-junk") // true: only the start is anchored
 */
export function compilePattern(
  source: string,
):
  | { readonly pattern: Pattern; readonly because?: undefined }
  | { readonly pattern?: undefined; readonly because: string } {
  try {
    const test = looksAround(source) ? lookingAround(source) : followingAll(source);
    const known = new Map<string, boolean>();
    return {
      pattern: {
        test(value) {
          let verdict = known.get(value);
          if (verdict === undefined) {
            if (known.size >= 10_000) known.clear();
            verdict = value.length <= LONGEST_VALUE && test(value);
            known.set(value, verdict);
          }
          return verdict;
        },
      },
    };
  } catch (error) {
    if (error instanceof Unmatchable || error instanceof SyntaxError) {
      return { because: error instanceof Unmatchable ? error.message : "it is no pattern" };
    }
    throw error;
  }
}

function followingAll(source: string): (value: string) => boolean {
  const states = automaton(parse(source));
  return (value) => matches(states, [...value]);
}

function lookingAround(source: string): (value: string) => boolean {
  if (!boundedBacktracking(source))
    throw new Unmatchable("looking around or back and repeating together can take for ever");
  const expression = translated(source);
  return (value) => expression.test(value);
}
