// What a lister of one resource type is, and what all of them are built from.

import { OpsError } from "../../core/errors.js";
import type { Listing, TaggedResource, Unread } from "../../core/tagged.js";
import type { Api } from "../api.js";

/** Where a lister looks. */
export interface Place {
  readonly api: Api;
  readonly account: string;
  readonly region: string;
  readonly partition: string;
}

/** Lists one type, also what never bore a tag, and shows one resource of it. */
export interface Lister {
  list(place: Place): Promise<Listing>;
  one(place: Place, id: string): Promise<TaggedResource | null>;
}

export const whole = (resources: readonly TaggedResource[], unread: readonly Unread[] = []): Listing => ({
  resources,
  unread,
});

/** A failure as something that was not read; a fault of ours stays one. */
export function unreadBy(error: unknown, type: string, region: string, arn?: string): Unread {
  if (!(error instanceof OpsError)) throw error;
  const { action } = error.details;
  return {
    type,
    region,
    code: error.code,
    ...(arn !== undefined && { arn }),
    ...(typeof action === "string" && { action }),
  };
}

/** That the tags of one resource could not be read, with the code of what hid them. */
export const hiddenTags = (failure: Unread): OpsError =>
  new OpsError(failure.code, "AWS did not show the tags of this resource, so they are not known.", {
    details: { ...failure },
  });

/** The same calls, given up together. */
export const withSignal = (api: Api, signal: AbortSignal): Api => ({
  call: (service, operation, input, options) => api.call(service, operation, input, { ...options, signal }),
});

/** Runs work on many things, so many at once, and answers in their order. */
export async function inPool<T, R>(items: readonly T[], atOnce: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) results[index] = await work(items[index]!);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  return results;
}
