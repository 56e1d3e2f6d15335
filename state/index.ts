// What the rest of the product may use of the state, by name.

import { OpsError } from "../src/core/errors.js";
import type { Clock, Ids } from "../src/core/ports.js";
import type { StateDriver } from "./driver.js";
import { fileDriver } from "./drivers/file.js";
import { memoryDriver } from "./drivers/memory.js";

export type { CompactReport } from "./compact.js";
export type { StateDriver, Stored } from "./driver.js";
export { fileDriver } from "./drivers/file.js";
export { memoryDriver } from "./drivers/memory.js";
export type { Actor, Commit, Event, EventOf, EventType, PlannedChange, Result } from "./events.js";
export { aliases, type Claim, claims, emptyState, fold } from "./fold.js";
export {
  type Build,
  type CommitActor,
  type Committed,
  openStore,
  type Store,
  type StoreOptions,
} from "./journal.js";
export { type Lease, type Leases, type LeaseView, STORE_SCOPE } from "./leases.js";
export { BEAT_MS, type Owners } from "./owners.js";
export type { RecoveryChoice, RecoveryReport } from "./quarantine.js";
export { importSeed, type SeedImport } from "./seed.js";
export { changeId, clientToken, mintToken, operationId, parseToken, tokenSha256 } from "./tokens.js";

/**
 * The driver for a location as `--state` gives it: `memory:` or an absolute folder. Opens nothing.
 * @throws OpsError `unsupported` for every other kind of location.
 */
export function driverFor(location: string, effects: { readonly clock: Clock; readonly ids: Ids }): StateDriver {
  if (location === "memory:") return memoryDriver();
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(location)?.[1];
  // One letter and a colon is a Windows drive.
  if (scheme && scheme.length > 1) {
    throw new OpsError(
      "unsupported",
      `This version keeps its state in a folder, not in "${scheme}:". Nothing was started; give --state an absolute folder.`,
      { field: "state", details: { location } },
    );
  }
  if (!/^(\/|[a-zA-Z]:[\\/]|\\\\)/.test(location)) {
    throw new OpsError(
      "unsupported",
      `The state folder "${location}" is not an absolute path. Nothing was started; give --state an absolute folder.`,
      { field: "state", details: { location } },
    );
  }
  return fileDriver({ root: location }, effects);
}
