// What an answer shows of a content that is too large for one: the parts concerned, and a record of exactly those. What was
// not shown is never built upon.

import type { CutOff, Seen } from "./change.js";
import { escapePointer, identityField, isObject, type Json, type JsonObject, pathsTouch } from "./json.js";

/** Longest free text from AWS: names, tags and messages. Descriptions are AWS's or a tool's own; other strings may be documents. */
const MOST_FREE_TEXT = 256;
const MOST_DESCRIPTION = 600;
const MOST_TEXT = 8192;
/** What a tool wrote to be handed on as a file: cut short it would be wrong. */
const DOCUMENT = /^(csv_data|formatted_output|combined_yaml)$/;
const MOST_DOCUMENT = 2_000_000;
const FREE_TEXT = /^(name|groupName|awsMessage|tags)$/;
/** One page of a text that is too long for one answer. */
const PART = "textPart";
const MOST_PART = 16_384;

/** How much of a text under this name an answer shows. The one bound: what it cuts off counts as not shown. */
const mostOf = (name: string): number =>
  FREE_TEXT.test(name)
    ? MOST_FREE_TEXT
    : name === "description"
      ? MOST_DESCRIPTION
      : name === PART
        ? MOST_PART
        : DOCUMENT.test(name)
          ? MOST_DOCUMENT
          : MOST_TEXT;

/** The first characters of a text, never half of one that takes two. */
const beginning = (text: string, most: number): string =>
  text.slice(0, /[\uD800-\uDBFF]/.test(text.charAt(most - 1)) ? most - 1 : most);

/** A text as an answer shows it under this name. */
export function bounded(text: string, name: string): string {
  const most = mostOf(name);
  return text.length <= most ? text : `${beginning(text, most)}… [truncated, ${text.length} characters]`;
}

/** Tags are tags however deep they lie. */
export const nameWithin = (outer: string, name: string): string => (outer === "tags" ? outer : name);

/** The name of a member as an answer shows it. */
export const boundedName = (name: string): string => name.slice(0, MOST_TEXT);

interface LongText extends CutOff {
  /** Empty: a name that is too long, whose member no page shows. */
  readonly text: string;
}

/** The texts of a content that answers show only the beginning of; elements that are named go by their name, as in differences. */
function longTexts(value: Json, path = "", name = ""): LongText[] {
  if (typeof value === "string") {
    const most = mostOf(name);
    return value.length <= most ? [] : [{ path, shown: beginning(value, most).length, text: value }];
  }
  if (Array.isArray(value)) {
    const items = value as readonly Json[];
    const field = identityField(items);
    return items.flatMap((item, index) => {
      const called = field === undefined ? String(index) : String((item as JsonObject)[field]);
      return longTexts(item, `${path}/${escapePointer(called)}`, name);
    });
  }
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, member]) => {
    const at = `${path}/${escapePointer(key)}`;
    return boundedName(key) === key ? longTexts(member, at, nameWithin(name, key)) : [{ path: at, shown: 0, text: "" }];
  });
}

/** What of the texts of a content was not shown when each was shown as far as an answer does. */
export const cutOffIn = (content: JsonObject): CutOff[] =>
  longTexts(content).map(({ path, shown }) => ({ path, shown }));

/** Where the pages of a content's long texts go on: a text, and from which character. */
export type Position = readonly [path: string, from: number];

const paged = (content: JsonObject): LongText[] => longTexts(content).filter(({ text }) => text !== "");

/** Where the pages begin; undefined where there is nothing to continue. */
export function firstPosition(content: JsonObject): Position | undefined {
  const [first] = paged(content);
  return first && [first.path, first.shown];
}

export interface TextPage {
  readonly data: JsonObject;
  /** What of the content is cut off once this page was shown as well. */
  readonly cutOff: readonly CutOff[];
  readonly next: Position | undefined;
}

/**
 * One page of a long text, and what it leaves of `cutOff`: a page that begins beyond what was shown adds nothing to it.
 * Undefined where the content has no such text.
 */
export function textPage(content: JsonObject, [path, from]: Position, cutOff: readonly CutOff[]): TextPage | undefined {
  const all = paged(content);
  const index = all.findIndex((one) => one.path === path);
  const found = all[index];
  if (!found || !(from < found.text.length)) return undefined;
  const text = beginning(found.text.slice(from), MOST_PART);
  const to = from + text.length;
  const characters = found.text.length;
  const after = all[index + 1];
  return {
    data: { textOf: { path, from, characters }, [PART]: text },
    cutOff: cutOff
      .map((one) => (one.path === path && one.shown >= from && one.shown < to ? { path, shown: to } : one))
      .filter((one) => one.path !== path || one.shown < characters),
    next: to < characters ? [path, to] : after && [after.path, after.shown],
  };
}

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
