// Backups: one checkpoint a day, for as many days as asked. The log itself is never thinned out.

import type { StateDriver } from "./driver.js";

export const BACKUPS = "backups/";

const DAY_MS = 86_400_000;
const dayOf = (at: Date): string => at.toISOString().slice(0, 10);
const keyOf = (day: string): string => `${BACKUPS}state-${day}.json`;

/** The backups of a store, newest first. */
export const backupKeys = async (driver: StateDriver): Promise<readonly string[]> =>
  (await driver.list(BACKUPS)).filter((key) => /^backups\/state-\d{4}-\d\d-\d\d\.json$/.test(key)).reverse();

/** Keeps this checkpoint as the day's, unless the day has one, and drops what is too old. The newest always stays. */
export async function backUp(
  driver: StateDriver,
  { checkpoint, at, retentionDays }: { checkpoint: Uint8Array; at: Date; retentionDays: number },
): Promise<void> {
  await driver.putIfAbsent(keyOf(dayOf(at)), checkpoint);
  const oldest = keyOf(dayOf(new Date(at.getTime() - retentionDays * DAY_MS)));
  const [, ...older] = await backupKeys(driver);
  const expired = older.filter((key) => key <= oldest);
  if (expired.length > 0) await driver.remove(expired);
}
