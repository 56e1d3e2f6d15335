// Several lists as one: whatever their sizes and pages, every row once and in order, and no answer above its limit.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { joined, type Part } from "../../src/core/joined.js";

/** A list of AWS in pages of at most `limit`, its cursor the place where the next one begins. */
const listOf = (rows: readonly string[]): Part<string> => ({
  idOf: (row) => row,
  async read({ limit, cursor }) {
    const from = Number(cursor ?? 0);
    const items = rows.slice(from, from + limit);
    return from + limit < rows.length ? { items, next: String(from + limit) } : { items };
  },
});

async function all(parts: readonly Part<string>[], limit: number, between: () => void = () => {}): Promise<string[]> {
  const rows: string[] = [];
  let next: string | undefined;
  do {
    const page = await joined(parts, limit, next);
    expect(page.items.length).toBeLessThanOrEqual(limit);
    rows.push(...page.items);
    next = page.next;
    between();
  } while (next !== undefined);
  return rows;
}

describe("lists joined", () => {
  it("are complete and in order", async () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 1, max: 25 }), async (counts, limit) => {
        const lists = counts.map((count, part) => Array.from({ length: count }, (_, row) => `${part}-${row}`));
        expect(await all(lists.map(listOf), limit)).toEqual(lists.flat());
      }),
    );
  });

  it("leave none out where the row that stood last on a page is gone", async () => {
    const clusters = ["a", "b", "c"];
    const instances = Array.from({ length: 30 }, (_, row) => `i${String(row).padStart(2, "0")}`);
    const rows = await all([listOf(clusters), listOf(instances)], 10, () => {
      const at = instances.indexOf("i06");
      if (at >= 0) instances.splice(at, 1);
    });
    for (const row of [...clusters, ...instances]) expect(rows).toContain(row);
  });
});
