// The export: everything the state knows as one document, every lineage entry included. Pure; the store writes it.

import type { State } from "../src/core/change.js";
import { sha256 } from "../src/core/json.js";
import type { Export } from "../src/core/record.js";
import { checkpointDocument, checkpointText } from "./checkpoint.js";

export const EXPORTS = "exports/";

/** `state` with its whole lineage: what was spilled has to be read back before. */
export function exportOf(state: State, serverVersion: string): Export {
  const text = checkpointText(checkpointDocument(state, serverVersion));
  return {
    text,
    bytes: new TextEncoder().encode(text).length,
    sha256: sha256(text),
    seq: state.seq,
    head: state.head,
    resources: state.resources.size,
    lineageEntries: [...state.resources.values()].reduce((sum, { lineage }) => sum + lineage.length, 0),
    changes: state.changes.size,
    operations: state.operations.size,
  };
}

/** Equal exports have one name, so that a second one of the same state is the first. */
export const exportKey = ({ seq, sha256: sum }: Export): string =>
  `${EXPORTS}state-${String(seq).padStart(12, "0")}-${sum.slice(0, 12)}.json`;
