// Several lists of AWS as one, a page at a time: complete, in AWS's order, and never more rows than were asked for.

import type { Page } from "./page.js";

export interface Part<Row> {
  read(query: { readonly limit: number; readonly cursor?: string }): Promise<Page<Row>>;
  readonly idOf: (row: Row) => string;
}

/** Which list, from which of its pages, behind which row of it. */
type Position = readonly [part: number, cursor: string | null, after: string | null];

/**
 * The next `limit` rows of the lists, one after the other. `from` is what an earlier page gave as `next`. A row that stood
 * last on a page and is gone since costs rows shown twice, and never one left out.
 */
export async function joined<Row>(parts: readonly Part<Row>[], limit: number, from?: string): Promise<Page<Row>> {
  let [part, cursor, after]: Position = from === undefined ? [0, null, null] : positionOf(from);
  const rows: Row[] = [];
  const next = (...position: Position): Page<Row> => ({ items: rows, next: JSON.stringify(position) });
  while (part < parts.length) {
    const { read, idOf } = parts[part]!;
    const page = await read({ limit, ...(cursor === null ? {} : { cursor }) });
    const known = after === null ? -1 : page.items.findIndex((row) => idOf(row) === after);
    const fresh = page.items.slice(known + 1);
    const room = limit - rows.length;
    rows.push(...fresh.slice(0, room));
    if (fresh.length > room) return next(part, cursor, idOf(rows.at(-1)!));
    if (page.next === undefined) part++;
    cursor = page.next ?? null;
    after = null;
    if (rows.length === limit && part < parts.length) return next(part, cursor, null);
  }
  return { items: rows };
}

const positionOf = (text: string): Position => JSON.parse(text) as Position;
