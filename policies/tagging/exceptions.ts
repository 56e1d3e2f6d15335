// Exceptions to a tagging policy: whose violations are not counted, why, and until when. Pure.

import { z } from "zod";

const Day = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}(T[\d:.]+Z)?$/, "must be YYYY-MM-DD")
  .refine((text) => !Number.isNaN(Date.parse(text)), "must be a date");

export const TagException = z
  .looseObject({
    arn: z.string().min(1).optional(),
    /** `*` stands for any run of characters. */
    pattern: z.string().min(1).optional(),
    tags: z.array(z.string().min(1)).optional(),
    reason: z.string().min(1),
    expires: Day,
    added_by: z.string().optional(),
    added_at: z.string().optional(),
  })
  .refine(({ arn, pattern }) => (arn === undefined) !== (pattern === undefined), "names one of arn and pattern");
export type TagException = z.infer<typeof TagException>;

/** The end of the day it names, or the moment. */
export const endOf = ({ expires }: Pick<TagException, "expires">): string =>
  expires.length === 10 ? `${expires}T23:59:59.999Z` : new Date(expires).toISOString();

export const isActive = (exception: Pick<TagException, "expires">, now: string): boolean => now <= endOf(exception);

/** Whether a text is of the form of a pattern with `*`; walks the text once for every star at most. */
export function fits(pattern: string, text: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  if (rest.length === 0) return pattern === text;
  if (!text.startsWith(first)) return false;
  const last = rest.pop()!;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}

const names = ({ arn, pattern }: TagException, resource: string): boolean =>
  arn === undefined ? fits(pattern ?? "", resource) : arn === resource;

/** Whether the violation of a tag of a resource is excepted now. */
export const isExcepted = (exceptions: readonly TagException[], arn: string, tag: string, now: string): boolean =>
  exceptions.some((one) => isActive(one, now) && (one.tags === undefined || one.tags.includes(tag)) && names(one, arn));
