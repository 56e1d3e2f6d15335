// What stands beside a database: what waits, what AWS has announced, what somebody should know although nobody asked.

import type { Maintenance } from "../../src/core/content/databases.js";
import type { JsonObject } from "../../src/core/json.js";
import { type Known, unknownOf } from "../../src/core/known.js";
import type { Database } from "./parts.js";

/** What somebody should know of a database although nobody asked: names only, the values come with `databases.get`. */
export function attentionOf({ kind, content }: Database, maintenance: readonly Maintenance[]): string[] {
  const waiting = Object.keys(content.pending).filter((key) => /^[\w.]+$/.test(key));
  const actions = maintenance.map(({ action }) => (/^[\w-]{1,64}$/.test(action) ? action : "another"));
  const parameters =
    kind === "instance" ? [content.parameterStatus] : content.members.map(({ parameterStatus }) => parameterStatus);
  return [
    ...(waiting.length > 0 ? [`pending: ${waiting.join(", ")}`] : []),
    ...(actions.length > 0 ? [`maintenance: ${actions.join(", ")}`] : []),
    ...(parameters.includes("pending-reboot") ? ["parameters wait for a reboot"] : []),
    ...(kind === "instance" && content.publiclyAccessible ? ["publicly accessible"] : []),
    ...(content.deletionProtection || (kind === "instance" && content.clusterId) ? [] : ["no deletion protection"]),
  ];
}

/** Announced maintenance stands beside a database: where it could not be read, that is said, and the database is shown. */
export type Announced = Known<ReadonlyMap<string, readonly Maintenance[]>>;
export const announcedFor = (announced: Announced, { content }: Database): readonly Maintenance[] =>
  announced.known ? (announced.value.get(content.arn) ?? []) : [];
export const unknownIn = (announced: Announced): JsonObject =>
  announced.known ? {} : { unknown: [{ ...unknownOf("maintenance", announced) }] };
