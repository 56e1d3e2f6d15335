// What readers of every service are built from.

import { OpsError } from "../../core/errors.js";
import type { Page } from "../../core/page.js";
import type { ListQuery } from "../../core/ports.js";

/**
 * Reads one type through its own service. `null` means that AWS says the resource does not exist, in the words it uses for
 * exactly that; every other failure is thrown.
 */
export interface TypeReader<Content> {
  get(id: string): Promise<Content | null>;
  list(query: ListQuery): Promise<Page<Content>>;
}

/** @param absent AWS's error codes for "there is none of this id" */
export async function unlessAbsent<T>(
  absent: ReadonlySet<string>,
  read: () => Promise<T | undefined>,
): Promise<T | null> {
  try {
    return (await read()) ?? null;
  } catch (error) {
    if (error instanceof OpsError && absent.has(String(error.details.awsCode))) return null;
    throw error;
  }
}

export const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The members that have a value: contents never hold `undefined`. */
export function present<T extends object>(members: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as T;
}

/** AWS's list of tags as a map, sorted by key. */
export const tagsOf = (
  tags: readonly { readonly Key?: string | undefined; readonly Value?: string | undefined }[] | undefined,
): Record<string, string> =>
  Object.fromEntries(
    (tags ?? []).map(({ Key = "", Value = "" }) => [Key, Value] as const).sort((a, b) => byName(a[0], b[0])),
  );

/** One call of a service writes HEALTHY where another writes Healthy. */
export const capitalised = (word: string): string => `${word.slice(0, 1)}${word.slice(1).toLowerCase()}`;

export const page = <T>(items: readonly T[], next: string | undefined): Page<T> => (next ? { items, next } : { items });

export const chunks = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, index) => items.slice(index * size, (index + 1) * size));
