// What the sandbox's calls share: a draft of the world to work on, errors in AWS's shape, filters and pages.

import type { Filter } from "@aws-sdk/client-ec2";
import { OpsError } from "../../core/errors.js";
import { foreign } from "../foreign.js";
import type { World, WorldRegion } from "./world.js";

/** A world in the middle of a call. Whoever holds a draft may write to it: it is a copy, dropped if the call fails. */
export interface Draft {
  readonly world: World;
  readonly region: string;
  readonly here: WorldRegion;
  readonly now: Date;
}

/** A handler and the parameters it knows; any other parameter is refused rather than ignored. */
export interface Handler<Input, Output> {
  readonly takes: string;
  run(draft: Draft, input: Input): Output;
}

/** An error as the SDK throws it, so that it takes the same way through the error table. */
export const refusal = (name: string, message: string, httpStatusCode = 400): Error =>
  Object.assign(new Error(message), {
    name,
    $fault: "client",
    $metadata: { httpStatusCode, requestId: "sandbox", attempts: 1 },
  });

export const notInSandbox = (what: string): OpsError =>
  new OpsError("not_in_sandbox", "The sandbox does not know this call or parameter; nothing was changed in it.", {
    details: { call: foreign(what, 120) },
  });

/** Ids are numbered, so that equal stories give equal worlds. */
export function newId(draft: Draft, prefix: string): string {
  draft.world.lastId += 1;
  return `${prefix}-0${draft.world.lastId.toString(16).padStart(16, "0")}`;
}

/** EC2's filters: every filter must match, by any of its values; `*` and `?` are wildcards. */
export function matches(
  filters: readonly Filter[] | undefined,
  fields: Readonly<Record<string, readonly string[]>>,
  tags: Readonly<Record<string, string>> = {},
): boolean {
  return (filters ?? []).every(({ Name = "", Values: wanted = [] }) => {
    const tag = Name.startsWith("tag:") ? Object.entries(tags).filter(([key]) => key === Name.slice(4)) : undefined;
    const held = tag?.map(([, value]) => value) ?? (Object.hasOwn(fields, Name) ? fields[Name] : undefined);
    if (held === undefined) throw notInSandbox(`filter ${Name}`);
    return wanted.some((pattern) => held.some((value) => like(pattern).test(value)));
  });
}

/** `*` and `?` stand for other characters, but for those behind a backslash. */
const like = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern.replace(/\\?[\s\S]/g, (part) =>
      part === "*" ? ".*" : part === "?" ? "." : part.slice(-1).replace(/[.*+?^${}()|[\]\\]/, "\\$&"),
    )}$`,
    "s",
  );

export const tagList = (tags: Readonly<Record<string, string>>) =>
  Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));

export function paged<T>(
  items: readonly T[],
  { MaxResults: size = 1000, NextToken }: { MaxResults?: number | undefined; NextToken?: string | undefined },
): { page: T[]; NextToken?: string } {
  const from = NextToken === undefined ? 0 : Number(/^page-(\d{1,6})$/.exec(NextToken)?.[1] ?? Number.NaN);
  if (Number.isNaN(from)) throw refusal("InvalidNextToken", "The token is not one of ours.");
  const page = items.slice(from, from + size);
  return from + size < items.length ? { page, NextToken: `page-${from + size}` } : { page };
}
