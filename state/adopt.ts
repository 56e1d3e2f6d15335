// An edited state.json: what differs from the chain, and which of it can be taken over as an event. Pure.

import type { State } from "../src/core/change.js";
import { OpsError } from "../src/core/errors.js";
import {
  calledIn,
  type Difference,
  diff,
  escapePointer,
  isObject,
  isSecretMark,
  type Json,
  type JsonObject,
  looksSecret,
  pointerSegments,
} from "../src/core/json.js";
import { checkpointDocument } from "./checkpoint.js";
import type { EventOf } from "./events.js";
import { isUnder } from "./schema-paths.js";
import { spill } from "./spill.js";

const comparable = ({ integrity: _, metadata, ...rest }: JsonObject): JsonObject => ({
  ...rest,
  metadata: isObject(metadata) ? { ...metadata, mcp_server_version: "" } : (metadata ?? null),
});

/** What an edited checkpoint says otherwise than the state it was made of, spilled as far as the document says it was. */
export function differencesTo(document: JsonObject, truth: State): readonly Difference[] {
  const journal = isObject(document.journal) ? document.journal : {};
  const { to, before } = isObject(journal.spilled) ? journal.spilled : {};
  const point = typeof to === "number" && typeof before === "string" ? { to, before } : undefined;
  const segments = Array.isArray(journal.archive_segments) ? (journal.archive_segments as readonly string[]) : [];
  return diff(comparable(checkpointDocument(spill(truth, point), "", segments)), comparable(document));
}

/** What a human may say of a resource by hand. History, tokens and numbers are the chain's alone. */
const ADOPTABLE = /^\/resources\/([^/]+)\/(current_properties|desired|dependencies\/depends_on)(\/|$)/;

/** Paths that AWS takes and never shows, by type: what stands there is as secret as a password. */
export type WriteOnly = (type: string) => readonly string[];

/**
 * The event that takes the edit over into the newest state.
 * @throws OpsError `validation_error` where it touches anything else, or a resource that was changed after the edit began.
 */
export function adoption(
  document: JsonObject,
  truth: State,
  now: State,
  by: string,
  writeOnly: WriteOnly,
): EventOf<"state.manual_edit"> {
  const differences = differencesTo(document, truth);
  const other = differences.map(({ path }) => path).filter((path) => !ADOPTABLE.test(path));
  if (other.length > 0 || differences.length === 0) {
    throw refused(
      other.length > 0
        ? `Only current_properties, desired and depends_on of a resource can be adopted, and ${other[0]} was edited as well.`
        : "The edit changed nothing but the checksum.",
      { paths: other },
    );
  }
  const known = new Map([...now.resources.values()].map((resource) => [resource.alias, resource]));
  const secret = differences.find(({ path, after }) => {
    const [, alias = "", ...names] = pointerSegments(path);
    const hidden = writeOnly(known.get(alias)?.ref.type ?? "");
    return namesSecret(names, after ?? null, pointerOf(names.slice(1)), hidden);
  });
  if (secret)
    throw refused(
      "A secret, or a value that AWS never shows, was edited, and no clear value may stand in the journal.",
      {
        paths: [secret.path],
      },
    );
  const aliases = new Set(differences.map(({ path }) => unescaped(ADOPTABLE.exec(path)![1]!)));
  const resources = [...aliases].map((alias) => {
    const resource = known.get(alias);
    if (!resource || resource.revisionSeq > truth.seq) {
      throw refused(
        `${alias} was changed by commit ${resource?.revisionSeq ?? now.seq}, after this state.json was written.`,
        {
          alias,
        },
      );
    }
    const edited = (document.resources as JsonObject)[alias] as JsonObject;
    const { current_properties: properties = null, desired, dependencies } = edited;
    const dependsOn = isObject(dependencies) ? dependencies.depends_on : undefined;
    const whole =
      (properties === null || isObject(properties)) &&
      isObject(desired) &&
      Array.isArray(dependsOn) &&
      dependsOn.every((one) => typeof one === "string");
    if (!whole) throw refused(`${alias} no longer has the shape of a resource.`, { alias });
    return { rid: resource.rid, properties, desired, dependsOn: dependsOn as string[] };
  });
  return { type: "state.manual_edit", by, resources };
}

const pointerOf = (names: readonly string[]): string => names.map((name) => `/${escapePointer(name)}`).join("");

/**
 * Whether a value at the end of these names is a secret, or holds one: anything but the fingerprint of one.
 * @param at where it stands in the properties
 */
function namesSecret(names: readonly string[], value: Json, at: string, writeOnly: readonly string[]): boolean {
  if (value === null || (isSecretMark(value) && /^[0-9a-f]{64}$/.test(value.$secret))) return false;
  if (names.some(looksSecret) || isSecretMark(value) || isUnder(writeOnly, at)) return true;
  if (Array.isArray(value)) {
    return value.some((item, index) => namesSecret([], item, `${at}/${index}`, writeOnly));
  }
  return (
    isObject(value) &&
    Object.entries(value).some(([name, member]) =>
      namesSecret([calledIn(value, name)], member, at + pointerOf([name]), writeOnly),
    )
  );
}

const unescaped = (segment: string): string => segment.replace(/~1/g, "/").replace(/~0/g, "~");

const refused = (message: string, details: Record<string, unknown>): OpsError =>
  new OpsError(
    "validation_error",
    `${message} Nothing was adopted; undo that part of the edit, or have state.json written anew.`,
    {
      details,
    },
  );
