// The record itself: written down now, read again, proved whole, copied. Without AWS, and also where it is damaged.

import { z } from "zod";
import { operatorCommand } from "../../src/core/command.js";
import { OpsError } from "../../src/core/errors.js";
import type { Json, JsonObject } from "../../src/core/json.js";
import { store } from "../../src/core/tool.js";

/** Longest export that an answer carries itself, where there is no folder to put it in. */
const MOST_INLINE_BYTES = 64 * 1024;

const problemOf = (error: OpsError | null): JsonObject =>
  error ? { problem: { code: error.code, message: error.message } } : {};

const save = store({
  title: "Write state.json now",
  description:
    "Write the readable checkpoint now. Nothing depends on it: every change is recorded before and after AWS is called, and state.json follows by itself.",
  foreignText: false,
  input: z.object({}),
  output: z.object({ stateDir: z.string(), seq: z.number(), head: z.string() }),
  async run(_input, { record, mode }) {
    return { data: { stateDir: mode.stateDir, ...(await record.save()) } };
  },
});

const load = store({
  title: "Read the state again",
  description:
    "Read the state again from disk, as a new server would, and say what was committed since this session last asked: by whom and what. Commits of others are followed by themselves; this also notices damage that was mended, and a folder that was replaced.",
  foreignText: false,
  input: z.object({}),
  output: z.object({
    stateDir: z.string(),
    seq: z.number(),
    head: z.string(),
    resources: z.number(),
    writable: z.boolean(),
    committed: z.number(),
    notShown: z.number(),
    commits: z.array(z.record(z.string(), z.unknown())),
  }),
  async run(_input, { record, mode }) {
    const { readOnly, news, committed, ...found } = await record.load();
    return {
      data: {
        stateDir: mode.stateDir,
        ...found,
        writable: readOnly === null,
        committed,
        notShown: committed - news.length,
        commits: news.map((commit) => ({ ...commit, events: [...commit.events] })),
        ...problemOf(readOnly),
      },
    };
  },
});

const verify = store({
  title: "Verify the state",
  description:
    "Walk the chain of commits from the first to the last, with archive and checkpoint, and name the first one that does not hold. Changes nothing. It cannot see a rewrite of the whole chain while `anchored` is empty.",
  foreignText: false,
  input: z.object({}),
  output: z.object({
    stateDir: z.string(),
    ok: z.boolean(),
    commits: z.number(),
    head: z.string(),
    firstBad: z.record(z.string(), z.unknown()).nullable(),
    checkpoint: z.record(z.string(), z.unknown()),
    archive: z.record(z.string(), z.unknown()),
    anchored: z.array(z.string()),
  }),
  async run(_input, { record, mode }) {
    const { report, readOnly } = await record.verify();
    return {
      data: { stateDir: mode.stateDir, ...(report as unknown as { [key: string]: Json }), ...problemOf(readOnly) },
    };
  },
});

const exportRecord = store({
  title: "Export the state",
  description:
    "Write the whole record with every lineage entry, also the archived ones, into a new file under exports/ in the state folder, and answer its path, size, sha256 and counts. A damaged state is exported up to the damage.",
  foreignText: true,
  input: z.object({}),
  output: z.object({
    path: z.string().nullable(),
    bytes: z.number(),
    sha256: z.string(),
    complete: z.boolean(),
    counts: z.record(z.string(), z.number()),
  }),
  async run(_input, { record, mode }) {
    const { path, text, bytes, sha256, seq, head, readOnly, ...counts } = await record.export();
    if (path === null && bytes > MOST_INLINE_BYTES) {
      throw new OpsError(
        "unsupported",
        `This state is kept in memory and its export of ${bytes} bytes is too long for an answer. Nothing was written; start the server with --state DIR, or read single resources.`,
        { details: { bytes, counts: { ...counts } }, next: [{ tool: "state.history", arguments: {} }] },
      );
    }
    const complete = readOnly?.code !== "state_unreadable";
    return {
      data: {
        path,
        bytes,
        sha256,
        complete,
        upTo: { seq, head },
        counts: { ...counts },
        ...(path === null ? { document: JSON.parse(text) as JsonObject } : {}),
        ...(complete ? {} : { verifyWith: operatorCommand(["state", "verify"], mode.stateDir) }),
        ...problemOf(readOnly),
      },
    };
  },
});

export const record = { save, load, verify, export: exportRecord };
