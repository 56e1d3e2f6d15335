// What an answer shows of a content that is too large for one: the parts concerned, and a record of exactly those. What was
// not shown is never built upon.

import type { Seen } from "./change.js";
import { escapePointer, identityField, isObject, type Json, type JsonObject, pathsTouch } from "./json.js";

/** Characters of one content that an answer carries whole: about 4,000 tokens. */
const MOST_CHARACTERS = 10_000;

/** Lists whose elements are named are what grows: of them only the elements concerned are shown. */
const listOf = (value: Json): { readonly items: readonly JsonObject[]; readonly field: string } | undefined => {
  if (!Array.isArray(value) || value.length === 0 || !value.every(isObject)) return undefined;
  const field = identityField(value);
  return field === undefined ? undefined : { items: value as readonly JsonObject[], field };
};

/** A content as an answer about `concerned` shows it: whole where it fits, else marked with what of it is shown. */
export function withinBounds(seen: Seen, concerned: readonly string[]): Seen {
  if (seen.shown || JSON.stringify(seen.content).length <= MOST_CHARACTERS) return seen;
  const shown = Object.entries(seen.content).flatMap(([name, value]) => {
    const path = `/${escapePointer(name)}`;
    const list = listOf(value);
    if (!list) return [path];
    const paths = list.items.map((item) => `${path}/${escapePointer(String(item[list.field]))}`);
    return paths.filter((element) => concerned.some((one) => one !== "" && one !== path && pathsTouch(one, element)));
  });
  return { ...seen, shown };
}

export interface Visible {
  readonly content: JsonObject;
  /** How many elements of which list are left out. */
  readonly notShown?: Readonly<Record<string, number>>;
}

/** The part of a content that `shown` names. */
export function visible({ content, shown }: Pick<Seen, "content" | "shown">): Visible {
  if (!shown) return { content };
  const has = (path: string): boolean => shown.some((one) => path === one || path.startsWith(`${one}/`));
  const left: Record<string, number> = {};
  const members = Object.entries(content).flatMap(([name, value]): [string, Json][] => {
    const path = `/${escapePointer(name)}`;
    if (has(path)) return [[name, value]];
    const list = listOf(value);
    if (!list) return [];
    const items = list.items.filter((item) => has(`${path}/${escapePointer(String(item[list.field]))}`));
    if (items.length < list.items.length) left[name] = list.items.length - items.length;
    return [[name, items]];
  });
  return { content: Object.fromEntries(members), ...(Object.keys(left).length > 0 && { notShown: left }) };
}
