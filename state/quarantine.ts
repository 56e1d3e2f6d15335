// What a human may decide about a damaged store: what does not hold is moved aside, never thrown away, and never silently.

import { OpsError } from "../src/core/errors.js";
import { sha256 } from "../src/core/json.js";
import { backupKeys } from "./backups.js";
import { CHECKPOINT, PREVIOUS } from "./chain.js";
import { readCheckpoint } from "./checkpoint.js";
import { journalKey, type StateDriver } from "./driver.js";
import { HEAD, readHead } from "./head.js";

const QUARANTINE = "quarantine/";

/**
 * `last_commit`: a damaged last commit is moved aside and its number given out again; what is known to have followed it is
 * asked about next. `checkpoint`: a state.json that is
 * damaged, foreign or edited is moved aside and written anew from the journal. `missing_commits`: what stood at the end of
 * the chain is given up, and its numbers are given out again.
 */
export type RecoveryChoice = "last_commit" | "checkpoint" | "missing_commits";

export interface RecoveryReport {
  /** Where the damaged file is now. */
  readonly quarantined: string;
  /** Operations that the damaged commit names, as far as it can be read: what they did in AWS has to be looked up. */
  readonly operations: readonly string[];
}

/** Moves aside what the choice is about. @throws OpsError `validation_error` where this is not what is wrong. */
export async function quarantine(
  driver: StateDriver,
  choice: RecoveryChoice,
  damage: OpsError | null,
): Promise<RecoveryReport> {
  const key =
    choice === "checkpoint"
      ? brokenCheckpoint(damage)
      : choice === "last_commit"
        ? await brokenLastCommit(driver, damage)
        : cutOffHead(damage);
  const stored = await driver.get(key);
  if (!stored) throw refused(`${key} is gone.`, damage);
  const name = key.slice(key.lastIndexOf("/") + 1);
  const quarantined = `${QUARANTINE}${sha256(stored.bytes).slice(0, 12)}-${name}`;
  await driver.putIfAbsent(quarantined, stored.bytes);
  // Its number is given out again, so nobody may be told that it was taken. What is known beyond it stays known: whoever
  // gives one commit up did not give up those behind it.
  if (choice === "last_commit" && readHead((await driver.get(HEAD))?.bytes)?.seq === damage?.details.seq) {
    await driver.remove([HEAD]);
  }
  await driver.remove([key]);
  const text = choice === "last_commit" ? new TextDecoder().decode(stored.bytes) : "";
  const operations = [...text.matchAll(/"operation_id":"(op_[0-9a-z]+)"/g)].map(([, id]) => id!);
  return { quarantined, operations: [...new Set(operations)] };
}

function brokenCheckpoint(damage: OpsError | null): string {
  if (damage?.details.file === CHECKPOINT && damage.details.later !== true && damage.details.seed !== true)
    return CHECKPOINT;
  throw refused("state.json is not what is wrong here.", damage);
}

function cutOffHead(damage: OpsError | null): string {
  if (damage?.details.file === HEAD) return HEAD;
  throw refused("No commits are missing at the end of the journal.", damage);
}

async function brokenLastCommit(driver: StateDriver, damage: OpsError | null): Promise<string> {
  const seq = damage?.details.seq;
  if (damage?.details.last !== true || typeof seq !== "number") {
    throw refused("The last commit is not what is wrong here.", damage);
  }
  // A checkpoint over it proves that it was whole once, and others may have built on it.
  for (const key of [CHECKPOINT, PREVIOUS, ...(await backupKeys(driver))]) {
    const stored = await driver.get(key);
    const found = stored ? readCheckpoint(stored.bytes) : null;
    if (found?.kind === "checkpoint" && found.state.seq >= seq) {
      throw refused(`${key} covers commit ${seq}, so it was whole once; restore it from a backup.`, damage);
    }
  }
  return journalKey(seq);
}

const refused = (message: string, damage: OpsError | null): OpsError =>
  new OpsError("validation_error", `${message} Nothing was moved. ${damage ? damage.message : "The store is whole."}`, {
    field: "choice",
    ...(damage && { details: { damage: damage.details } }),
  });
