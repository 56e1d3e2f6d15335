// aws://{account}/{region}/{type}/{id}: a live resource as MCP names it, and the tool call that reads it.

import { type ReaderName, type ResourceRef, ridOf } from "./core/change.js";
import type { JsonObject } from "./core/json.js";
import { isOwnType } from "./core/own-types.js";
import { readerOf } from "./session.js";

export const TEMPLATE = "aws://{account}/{region}/{type}/{id}";

/** @example uriOf({ account: "1", region: "us-east-1", type: "AWS::EC2::Instance", id: "i-1" }) // "aws://1/us-east-1/AWS::EC2::Instance/i-1" */
export const uriOf = ({ account, region, type, id }: ResourceRef): string =>
  `aws://${account}/${region}/${type}/${encodeURIComponent(id)}`;

/** The resource a uri names, or null where it is none of ours. */
export function refOf(uri: string): ResourceRef | null {
  const match = /^aws:\/\/(\d{12})\/([a-z0-9-]+)\/(\w+(?:::\w+)+)\/([^/]+)$/.exec(uri);
  if (!match) return null;
  const [, account, region, type, id] = match as unknown as [string, string, string, string, string];
  try {
    return { account, region, type, id: decodeURIComponent(id) };
  } catch {
    return null;
  }
}

/** An id of several parts as Cloud Control writes it; no reader of ours has such ids. */
const isCloudControlId = (id: string): boolean => id.includes("|");

/** @param shownBy the reader that showed it; absent: nobody did in this session */
export function readCallOf(
  ref: ResourceRef,
  shownBy?: ReaderName,
): { readonly tool: string; readonly arguments: JsonObject } {
  const likely = isOwnType(ref.type) && !isCloudControlId(ref.id) ? "service" : "cloudcontrol";
  const { tool, arguments: given } = readerOf({ ref, reader: shownBy ?? likely });
  return { tool, arguments: { ...given, account: ref.account } };
}

/** From a key of the state: account/region/type/id, the id last because it may hold slashes. */
export function uriOfRid(rid: string): string {
  const [account = "", region = "", type = "", ...id] = rid.split("/");
  const ref = { account, region, type, id: id.join("/") };
  return ridOf(ref) === rid ? uriOf(ref) : rid;
}
