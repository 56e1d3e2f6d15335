// What AWS's registry said of resource types, on this machine: so that a new process need not ask for each of them again. A cache: what it has lost is asked again.

import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { digest, isObject, type JsonObject } from "../../src/core/json.js";
import type { Ids, Log, SchemaShelf, TypeAt } from "../../src/core/ports.js";

const Shape = z.strictObject({
  format: z.literal(1),
  account: z.string(),
  region: z.string(),
  type: z.string(),
  at: z.iso.datetime(),
  /** Of the document: a file that was torn or edited says nothing. */
  sum: z.string(),
  document: z.custom<JsonObject>(isObject),
});

/** Names become folders and files: nothing else may. */
const ACCOUNT = /^\d{12}$/;
const REGION = /^[a-z0-9-]{1,40}$/;
const TYPE = /^[A-Za-z0-9]{2,64}(::[A-Za-z0-9]{1,64}){2,3}$/;

export interface SchemaFolderOptions {
  readonly root: string;
  readonly ids: Pick<Ids, "uuid">;
  readonly log: Log;
  /** False: the store was opened for reading only, and not a byte of its folder is touched. */
  readonly mayWrite?: () => boolean;
}

/** The shelf under a state folder: as long as that does not exist nothing is written, because looking leaves no trace. */
export function schemaFolder({ root, ids, log, mayWrite = () => true }: SchemaFolderOptions): SchemaShelf {
  let writing: Promise<unknown> = Promise.resolve();
  let failed = false;

  const fileOf = ({ account, region, type }: TypeAt): { folder: string; path: string } | null => {
    if (!ACCOUNT.test(account) || !REGION.test(region) || !TYPE.test(type)) return null;
    const folder = join(root, "schemas", account, region);
    return { folder, path: join(folder, `${type.replaceAll("::", "-")}.json`) };
  };

  async function write(of: TypeAt, document: JsonObject, at: string): Promise<void> {
    const file = fileOf(of);
    if (!file || !(await stat(root).catch(() => null))) return;
    await mkdir(file.folder, { recursive: true, mode: 0o700 });
    const { account, region, type } = of;
    const text = JSON.stringify({ format: 1, account, region, type, at, sum: digest(document), document });
    // Others read while this is written; two that write the same type leave one of two whole files.
    const aside = `${file.path}.${ids.uuid()}`;
    await writeFile(aside, text, { mode: 0o600 });
    await rename(aside, file.path);
  }

  return {
    keep(of, document, at) {
      if (failed || !mayWrite()) return;
      writing = writing
        .then(() => write(of, document, at))
        .catch((error: unknown) => {
          failed = true;
          log("warn", "what AWS says of types is not kept beyond this process: its folder cannot be written", {
            folder: join(root, "schemas"),
            error,
          });
        });
    },

    async find(of) {
      const file = fileOf(of);
      if (!file) return null;
      await writing;
      const text = await readFile(file.path, "utf8").catch(() => null);
      return text === null ? null : parsed(text, of);
    },

    settled: () => writing.then(() => {}),
  };
}

function parsed(text: string, { account, region, type }: TypeAt): { document: JsonObject; at: string } | null {
  try {
    const found = Shape.parse(JSON.parse(text));
    const same = found.account === account && found.region === region && found.type === type;
    return same && digest(found.document) === found.sum ? { document: found.document, at: found.at } : null;
  } catch {
    return null;
  }
}
