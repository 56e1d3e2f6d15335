// What handed-out revisions showed, on this machine: so that a revision outlives the process that gave it. A cache: nothing in it is ever the truth.

import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { revisionOf } from "../../src/core/change.js";
import { isObject, isSecretMark, type JsonObject, redact, sameJson } from "../../src/core/json.js";
import type { Clock, Log, SeenRecord, SeenShelf } from "../../src/core/ports.js";
import { cutOffIn } from "../../src/core/shown.js";
import { fromDisk, toDisk } from "../events.js";

/** A revision is good for about a day: the folder of the day it was handed out, and of the day before. */
const DAY_MS = 86_400_000;
/** Files kept; beyond them nothing more is written until the next day. */
const MOST_FILES = 20_000;
const REVISION = /^r\d{1,15}-[0-9a-f]{8}$/;

const Content = z.custom<JsonObject>(isObject);
const Shape = z.strictObject({
  format: z.literal(1),
  revision: z.string(),
  observedAt: z.string(),
  ref: z.strictObject({ account: z.string(), region: z.string(), type: z.string(), id: z.string() }),
  reader: z.enum(["service", "cloudcontrol", "tags"]),
  properties: Content,
  shown: z.array(z.string()).optional(),
  /** Absent in what an earlier version kept: as far as answers show texts. */
  cutOff: z.array(z.strictObject({ path: z.string(), shown: z.number() })).optional(),
});

/** Whatever a reader forgot to put a fingerprint for: its revision is good in this process only. */
const holdsClearSecret = (content: JsonObject): boolean => {
  const told = redact(content, undefined, (secret) => (isSecretMark(secret) ? secret : "[redacted]"));
  return !sameJson(told, content);
};

const dayOf = (at: Date): string => at.toISOString().slice(0, 10);

export interface SeenFolderOptions {
  readonly root: string;
  readonly clock: Pick<Clock, "now">;
  readonly log: Log;
  /** False: the store was opened for reading only, and not a byte of its folder is touched. */
  readonly mayWrite?: () => boolean;
}

/** The shelf under a state folder: as long as that does not exist nothing is written, because looking leaves no trace. */
export function seenFolder({ root, clock, log, mayWrite = () => true }: SeenFolderOptions): SeenShelf {
  const folder = join(root, "seen");
  let writing: Promise<unknown> = Promise.resolve();
  let prepared = "";
  let files = 0;
  let failed = false;

  /** The folder of today; the folders of days that are over go. */
  async function prepare(day: string): Promise<boolean> {
    if (prepared === day) return true;
    if (!(await stat(root).catch(() => null))) return false;
    await mkdir(join(folder, day), { recursive: true, mode: 0o700 });
    const yesterday = dayOf(new Date(clock.now().getTime() - DAY_MS));
    for (const name of await readdir(folder)) {
      if (name < yesterday) await rm(join(folder, name), { recursive: true, force: true });
    }
    files = (await readdir(join(folder, day))).length;
    prepared = day;
    return true;
  }

  async function write(record: SeenRecord): Promise<void> {
    const day = dayOf(clock.now());
    if (files >= MOST_FILES || !(await prepare(day))) return;
    const { content, ...rest } = record;
    const file = { format: 1, ...rest, properties: content };
    await writeFile(join(folder, day, `${record.revision}.json`), JSON.stringify(toDisk(file)), { mode: 0o600 });
    files++;
  }

  return {
    keep(record) {
      if (failed || !mayWrite() || !REVISION.test(record.revision) || holdsClearSecret(record.content)) return;
      writing = writing
        .then(() => write(record))
        .catch((error: unknown) => {
          failed = true;
          log("warn", "what is shown is not kept beyond this process: its folder cannot be written", { folder, error });
        });
    },

    async find(revision) {
      if (!REVISION.test(revision)) return null;
      await writing;
      const now = clock.now();
      for (const day of [now, new Date(now.getTime() - DAY_MS)].map(dayOf)) {
        const text = await readFile(join(folder, day, `${revision}.json`), "utf8").catch(() => null);
        const record = text === null ? null : parsed(text);
        // A file that is torn, edited or of another version says nothing.
        if (record && record.revision === revision && now.getTime() - Date.parse(record.observedAt) < DAY_MS)
          return record;
      }
      return null;
    },

    settled: () => writing.then(() => {}),
  };
}

function parsed(text: string): SeenRecord | null {
  try {
    const { properties: content, format: _, cutOff, ...rest } = Shape.parse(fromDisk(JSON.parse(text)));
    const seq = Number(/^r(\d+)-/.exec(rest.revision)?.[1]);
    return revisionOf(seq, content) === rest.revision
      ? { ...rest, content, cutOff: cutOff ?? cutOffIn(content) }
      : null;
  } catch {
    return null;
  }
}
