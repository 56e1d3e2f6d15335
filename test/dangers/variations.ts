// Random variations of a danger: each has a seed of its own, and a wrong answer is told with the seed that repeats it.

/** A small generator (mulberry32): the same seed, the same story. */
export interface Random {
  /** From 0 to below `most`. */
  below(most: number): number;
  pick<T>(items: readonly T[]): T;
  chance(of: number): boolean;
  some<T>(items: readonly T[], of?: number): T[];
}

export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (most: number): number => Math.floor(next() * most);
  return {
    below,
    pick: (items) => items[below(items.length)]!,
    chance: (of) => next() < of,
    some: (items, of = 0.5) => items.filter(() => next() < of),
  };
}

/** A share is part of every test run; the long run asks for more. */
export const variations = Number(process.env.VARIATIONS ?? 20);
export const firstSeed = Number(process.env.SEED ?? (process.env.VARIATIONS ? Date.now() % 1_000_000_000 : 1));

/** An emulator forgets nothing and gets slow: after so many variations the account is another one. */
const ACCOUNT = 50;

/**
 * Plays them one after the other; what is wrong with an answer is what `play` returns, and null where nothing is.
 * @param anew an empty account, and an assistant that has seen nothing of it
 */
export async function playAll(
  name: string,
  play: (random: Random, number: number) => Promise<string | null>,
  anew: () => Promise<void> = async () => {},
): Promise<string[]> {
  const wrong: string[] = [];
  for (let number = 0; number < variations; number++) {
    if (number > 0 && number % ACCOUNT === 0) await anew();
    const seed = firstSeed + number;
    const because = await play(randomOf(seed), number).catch((error: unknown) => String(error));
    if (because !== null) wrong.push(`VARIATIONS=1 SEED=${seed}: ${because}`);
  }
  process.stderr.write(
    `${name}: ${variations} variations, seeds ${firstSeed} to ${firstSeed + variations - 1}, ${wrong.length} wrong answers\n`,
  );
  return wrong;
}
