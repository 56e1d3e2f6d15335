// What the gate works with: the only place where the writer is held.

import type { Event } from "../../state/events.js";
import type { Store } from "../../state/journal.js";
import type { Config } from "../config.js";
import type { Owner } from "../core/change.js";
import type { Aws, AwsReader, AwsWriter, Clock, Ids, Log, Scan, Unordered } from "../core/ports.js";
import type { Session } from "../session.js";
import type { SecretKeeper } from "./secrets.js";
import type { Who } from "./who.js";

export interface GateDeps {
  readonly config: Pick<
    Config,
    | "tokenMinutes"
    | "waitSeconds"
    | "allowWrites"
    | "approveFrom"
    | "approveVia"
    | "neverAllow"
    | "riskRules"
    | "createsPerHour"
    | "deletesPerHour"
    | "blockFindings"
    | "allowStackOwned"
  >;
  readonly aws: Aws;
  readonly store: Store;
  readonly session: Session;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  readonly owner: Owner;
  readonly secrets: SecretKeeper;
  /** Security scanners installed beside this server. */
  readonly scan: Scan;
  readonly who: Who;
  /** Operation → what became of it, where the record could not take it. The next call tries again. */
  readonly unrecorded: Map<string, readonly Event[]>;
  readonly unordered: Unordered;
}

/** The writer where a reader reads: same region, same credentials. */
export const writerAt = ({ aws }: Pick<GateDeps, "aws">, { region, via }: AwsReader): AwsWriter =>
  aws.writer(region, via);
