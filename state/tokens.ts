// Names of plans and operations. An execution token is a secret while live and only a name once spent.

import { sha256 } from "../src/core/json.js";
import type { Ids } from "../src/core/ports.js";

/**
 * A new execution token for the plan that commit `seq` will hold. A writer that loses the race for the number mints
 * another. Only `tokenSha256` of it may be stored before it is spent.
 */
export const mintToken = (seq: number, ids: Ids): string =>
  `xt_${seq.toString(36)}_${Buffer.from(ids.bytes(16)).toString("base64url")}`;

export const tokenSha256 = (token: string): string => sha256(token);

/** The commit a token names, or null for what is no token. @example parseToken("xt_br_AAAAAAAAAAAAAAAAAAAAAA")?.seq // 423 */
export function parseToken(token: string): { readonly seq: number } | null {
  const match = /^xt_([1-9a-z][0-9a-z]{0,9})_[A-Za-z0-9_-]{22}$/.exec(token);
  return match ? { seq: Number.parseInt(match[1]!, 36) } : null;
}

/** The name of the change that commit `seq` plans; safe to show. @example changeId(423) // "ch_br" */
export const changeId = (seq: number): string => `ch_${seq.toString(36)}`;

/** The name of the change that a token would execute, if it is one of this store. */
export function changeOfToken(token: string): string | undefined {
  const seq = parseToken(token)?.seq;
  return seq === undefined ? undefined : changeId(seq);
}

/** The name of the operation that commit `seq` intends. */
export const operationId = (seq: number): string => `op_${seq.toString(36)}`;

const CHANGE = /^ch_[1-9a-z][0-9a-z]{0,9}$/;

/** The commit that planned a change, by its name; null for what is no name of one. */
export const seqOfChange = (id: string): number | null =>
  CHANGE.test(id) ? Number.parseInt(id.slice("ch_".length), 36) : null;

/** The commit that intended an operation. @example seqOfOperation("op_br") // 423 */
export const seqOfOperation = (id: string): number => Number.parseInt(id.slice("op_".length), 36);

/** What AWS is given to recognise a repeated call by: 32 hex digits, which every service's limit and alphabet allow. */
export const clientToken = (token: string, step: number): string => sha256(`${token}${step}`).slice(0, 32);
